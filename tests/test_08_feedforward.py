"""Lesson 08: the loop against plain numbers and snnTorch, and every number that it publishes.

The oracle is ``by_hand``, which writes equations (1) to (3) out in NumPy and knows no snnTorch.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

from common.data import ImageData
from common.io import UserError
from common.run import Run
from datafiles.digits import digits

import matplotlib.pyplot as plt
import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import load_script, run_section
from nets import marked_splits
from snntorch import utils

lesson = load_script("08_feedforward_snn")
SMALL = {"num_steps": 6, "num_hidden": 24, "test_images": 60, "batch_size": 10}


def lively(num_hidden: int = 24, beta: float = 0.9, seed: int = 0):
    """An untrained network most of whose neurons spike."""
    torch.manual_seed(seed)
    net = lesson.Net(num_hidden=num_hidden, beta=beta)
    with torch.no_grad():
        for fc in (net.fc1, net.fc2):
            fc.weight *= 4
    return net


def few(n: int = 60) -> ImageData:
    """Digits; those for training and validation are others than those for the test."""
    x, y, x_test, y_test = digits()
    names = tuple("0123456789")
    return ImageData("digits", True, names, x[:n], y[:n], x[:n], y[:n], x_test[:n], y_test[:n])


def by_hand(net, images, num_steps: int):
    """Equations (1) to (3) for ``images (B, 784)``: spikes of both layers, (T, B, H) and (T, B, 10)."""
    w1, b1 = net.fc1.weight.detach().double().numpy(), net.fc1.bias.detach().double().numpy()
    w2, b2 = net.fc2.weight.detach().double().numpy(), net.fc2.bias.detach().double().numpy()
    beta = float(net.lif1.beta)
    x = images.double().numpy()
    mem1, spk1 = np.zeros((len(x), len(b1))), np.zeros((len(x), len(b1)))
    mem2, spk2 = np.zeros((len(x), len(b2))), np.zeros((len(x), len(b2)))
    first, second = [], []
    for _ in range(num_steps):
        mem1 = beta * mem1 + (x @ w1.T + b1) - spk1
        spk1 = (mem1 > 1).astype(float)
        mem2 = beta * mem2 + (spk1 @ w2.T + b2) - spk2
        spk2 = (mem2 > 1).astype(float)
        first.append(spk1)
        second.append(spk2)
    return np.stack(first), np.stack(second)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch):
    """What sections draw, print and answer."""
    seen = SimpleNamespace(figures={}, outcomes={}, said=[])

    def figure(self, fig, name, look=""):
        assert look, "every figure says what to look at"
        fig.canvas.draw()
        lines, bars, heights = {}, [], []
        for i, ax in enumerate(fig.axes):
            bars.append([bar.get_width() for bar in ax.patches])
            heights.append([bar.get_height() for bar in ax.patches])
            for line in ax.get_lines():
                lines[i, line.get_label()] = np.asarray(line.get_xydata(), dtype=float)
        titles = [ax.get_title(loc="left") for ax in fig.axes]
        keep = {"headline": fig.get_suptitle(), "titles": titles, "lines": lines, "bars": bars}
        keep["heights"] = heights
        keep["texts"] = [text.get_text() for text in fig.axes[-1].texts]
        seen.figures[name] = SimpleNamespace(**keep)
        plt.close(fig)
        return Path(name)

    monkeypatch.setattr(Run, "figure", figure)
    monkeypatch.setattr(Run, "outcome", lambda self, id, said: seen.outcomes.update({id: said}))
    monkeypatch.setattr(
        Run, "print", lambda self, *text: seen.said.append(" ".join(map(str, text)))
    )
    return seen


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch):
    """A lively network and a few digits in place of what section 1 trains."""
    here = lesson.Trained(lively(), few())
    monkeypatch.setattr(lesson, "trained", lambda cfg, run: here)
    monkeypatch.setattr(Run, "result_of", lambda self, section: here)
    return here


# -------------------------------------------------------------------- oracles


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
def test_three_ways_are_the_equations(beta: float) -> None:
    net, x = lively(beta=beta), torch.rand(5, 784)
    _, wanted = by_hand(net, x, 11)
    assert 0.02 < wanted.mean() < 0.9, "a silent network would prove nothing"
    shown = x.expand(11, 5, 784)
    with torch.no_grad():
        ways = lesson.by_loop(net, shown), lesson.by_forward(net, shown), net.run(shown)[0]
        for spk in (*ways, lesson.by_layer(net, shown)):
            assert spk.shape == (11, 5, 10) and (spk.numpy() != wanted).mean() <= 1e-3


def test_pencil_and_paper() -> None:
    """One neuron a layer, weights 1 and 2, current 0.6, β = 0.5: U1 is 0.6, 0.9, 1.05 (spike), 0.125, …"""
    net = lesson.Net(1, 1, 1, beta=0.5)
    with torch.no_grad():
        for fc, weight in ((net.fc1, 1.0), (net.fc2, 2.0)):
            fc.weight.fill_(weight)
            fc.bias.zero_()
    spk = lesson.by_loop(net, torch.full((5, 1, 1), 0.6))
    assert spk.flatten().tolist() == [0, 0, 1, 0, 0], "it passes both layers in one step"


def test_gradient_reaches_the_first_layer_by_every_way() -> None:
    x = torch.rand(4, 3, 784, generator=torch.Generator().manual_seed(1))
    grads = []
    for way in (lesson.by_loop, lesson.by_forward, lambda net, x: net.run(x)[0]):
        net = lively()
        (way(net, x) * torch.arange(10)).sum().backward()
        grads.append(net.fc1.weight.grad)
    assert grads[0].abs().sum() > 0
    torch.testing.assert_close(grads[0], grads[1], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(grads[0], grads[2], atol=1e-4, rtol=1e-3)


def test_nested_is_the_same_network() -> None:
    net, nested, x = lively(), lesson.Nested(24, 0.9), torch.rand(5, 3, 784)
    names = {"fc1": "block1.0", "lif1": "block1.1", "fc2": "block2.0", "lif2": "block2.1"}
    state = {}
    for key, value in net.state_dict().items():
        part, _, rest = key.partition(".")
        state[f"{names[part]}.{rest}"] = value
    nested.load_state_dict(state)
    assert torch.equal(lesson.by_forward(nested, x), net.run(x)[0])
    utils.reset(nested)
    assert lesson.state_of(nested).any(), "if this fails, snnTorch has mended it: rewrite section 4"
    lesson.reset(nested)
    assert not lesson.state_of(nested).any()


def test_a_tie_is_two_neurons_in_first_place() -> None:
    counts = torch.tensor([[2.0, 2, 1], [3, 1, 1], [0, 0, 0], [1, 2, 1]])
    assert lesson.has_tie(counts).tolist() == [True, False, True, False]


def test_another_batch_size_starts_a_new_state_in_silence() -> None:
    lif = snn.Leaky(beta=0.9, init_hidden=True)
    lif(torch.full((4, 2), 0.5))
    lif(torch.zeros(3, 2))
    assert lif.mem.shape == (3, 2) and not lif.mem.any()


def test_answers_with_a_reset_depend_on_nothing_else() -> None:
    net, images = lively(), few().x_test
    _, spikes = by_hand(net, images.flatten(1) / 255, 6)
    wanted = torch.from_numpy(spikes.sum(0).argmax(1))
    for batch_size in (10, 60):
        counts = lesson.spike_counts(net, images, 6, batch_size, True)
        assert torch.equal(counts, torch.from_numpy(spikes.sum(0)).float())
    without = lesson.spike_counts(net, images, 6, 10, False).argmax(1)
    assert torch.equal(without[:10], wanted[:10]) and (without[10:] != wanted[10:]).any()
    assert not lesson.state_of(net).any(), "it leaves no state behind"


def test_training_gives_a_network_that_reads(tmp_path: Path, seen) -> None:
    cfg = lesson.Config(
        num_steps=8, num_hidden=64, train_images=1000, epochs=5, smoke=True, device="cpu"
    )
    run = Run("08", cfg, torch.device("cpu"))
    run.cfg.out_dir = tmp_path
    here = lesson.trained(cfg, run)
    x = lesson.encode(here.data.x_test.float() / 255, 8)
    with torch.no_grad():
        answers = here.net.run(x)[0].sum(0).argmax(1)
    assert (answers == here.data.y_test).float().mean() > 0.75


def test_milliseconds_takes_turns_and_the_fastest(monkeypatch) -> None:
    """Two ways take 1 and 2 s; in the first five rounds a slow machine adds 7 s to each."""
    now, order = [0.0], []

    def way(name, seconds):
        def call(x):
            order.append((name, x))
            now[0] += seconds + (7 if len(order) <= 20 else 0)

        return call

    monkeypatch.setattr(lesson.time, "perf_counter", lambda: now[0])
    ways = {"a": way("a", 1), "b": way("b", 2)}
    run = SimpleNamespace(device=torch.device("cpu"))
    times = lesson.milliseconds(ways, {"p": 0, "q": 1}, run)
    assert times == {"p": {"a": 1000, "b": 2000}, "q": {"a": 1000, "b": 2000}}
    assert order[:4] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)] and len(order) == 40


def test_why_not_tells_errors_and_only_those() -> None:
    def fail() -> None:
        raise ValueError("a shape does not fit")

    assert lesson.why_not(fail) == "a shape does not fit" and lesson.why_not(list) == ""


# -------------------------------------------------------------------- the numbers of each section


def test_section_1(tmp_path: Path, seen, here) -> None:
    with torch.no_grad():  # some images stay silent and some counts are equal
        here.net.fc2.bias -= 0.6
    run = run_section(lesson.section_loop, tmp_path, **SMALL)
    images, labels = here.data.x_test.flatten(1) / 255, here.data.y_test.numpy()
    first, second = by_hand(here.net, images, 6)
    counts = second.sum(0)
    best = counts.max(1)
    assert run.value("accuracy") == pytest.approx((counts.argmax(1) == labels).mean())
    tied = ((counts == best[:, None]).sum(1) > 1).mean()
    assert run.value("tied") == pytest.approx(tied) and 0 < tied < 1
    assert (
        run.value("silent") == pytest.approx((best == 0).mean()) and 0 < run.value("silent") < tied
    )
    active = (first[:, :10].sum(0) > 0).mean()
    assert run.value("active") == pytest.approx(active)
    show = int((best[:10] > 0).argmax())
    told = int(counts[show].argmax())
    figure = seen.figures["1_loop"]
    assert figure.headline == (
        f"A {labels[show]} on its way: read as a {told}, by {int(counts[show].max())} output spikes"
    )
    assert figure.titles[2] == f"spk2: {int(counts[show].sum())} spikes"
    assert figure.titles[1] == f"spk1: {int((first[:, show].sum(0) > 0).sum())} of 24"
    assert figure.bars[4] == counts[show].tolist()
    text = run.findings[0]["text"]
    assert f"for {100 * tied:.1f} % two or more counts share the first place" in text
    table = {row[0]: row[2] for row in run.extra["tables"][0]["rows"]}
    assert table["x"] == "(6, 10, 784)" and table["spk_rec"] == "(6, 10, 10)"
    assert table[".argmax(1)"] == "(10,)" and table["cur1, spk1, mem1 in a step"] == "(10, 24)"


def test_section_2(tmp_path: Path, seen, here, monkeypatch) -> None:
    changing = {"loop": 500.0, "forward": 800.0, "by layer": 250.0, "run": 125.0}
    still = {"loop": 600.0, "forward": 900.0, "by layer": 300.0, "run": 30.0}

    def milliseconds(ways, inputs, run):
        first, second = inputs.values()
        assert list(inputs) == ["input changes", "one still image"] and list(ways) == list(still)
        assert not torch.equal(first[0], first[1]) and torch.equal(second[0], second[1])
        return {"input changes": changing, "one still image": still}

    monkeypatch.setattr(lesson, "milliseconds", milliseconds)
    true_forward = lesson.by_forward

    def forward(net, x):
        spk = true_forward(net, x).clone()
        spk[0] = 1 - spk[0]  # all of the first of six steps is wrong
        return spk

    monkeypatch.setattr(lesson, "by_forward", forward)
    run = run_section(lesson.section_three_ways, tmp_path, **SMALL)
    assert run.value("forward_differs") == pytest.approx(1 / 6)
    assert run.value("run_differs") == run.value("layer_differs") == 0
    assert run.value("speedup") == pytest.approx(4)
    assert run.value("speedup_still") == pytest.approx(20)
    text = run.findings[0]["text"]
    assert text.startswith("Of 600 output spikes and silences, 100 differ if the neurons keep")
    assert "and 0 if it is computed layer by layer" in text
    assert "4.0 times as fast as the loop if the input changes, and 20 times if it stays" in text
    headline = seen.figures["2_order"].headline
    assert headline == "Four ways: 100 of 600 outputs (spike or none) differ at most"
    heights = seen.figures["2_order"].heights[2]
    assert heights == [500, 800, 250, 125, 600, 900, 300, 30]


def test_section_3(tmp_path: Path, seen, here, monkeypatch) -> None:
    """With a reset every digit but a 3 is read; without one, all after the first batch is called a 9."""
    labels = here.data.y_test

    def spike_counts(net, images, num_steps, batch_size, between):
        assert (num_steps, batch_size) == (6, 10)
        told = torch.stack(
            [labels[(here.data.x_test == image).flatten(1).all(1)][0] for image in images]
        )
        told = torch.where(told == 3, 0, told)
        if not between:
            told[batch_size:] = 9
        counts = torch.nn.functional.one_hot(told, 10).float()
        if between:
            counts[20:, 9] = counts[20:].max(1).values  # a tie with the 9, which argmax leaves out
        return counts

    monkeypatch.setattr(lesson, "spike_counts", spike_counts)
    run = run_section(lesson.section_no_reset, tmp_path, **SMALL)
    rest = torch.where(labels == 3, 0, labels)[10:]
    flips = (rest != 9).float().mean().item()
    assert run.value("flips") == pytest.approx(flips)
    changed = torch.where(labels == 3, 0, labels) != 9
    by_tie = changed[20:].sum().item() / changed[10:].sum().item()
    assert run.value("by_tie") == pytest.approx(by_tie)
    assert f"in {100 * by_tie:.0f} % of these cases two counts are equal" in run.findings[0]["text"]
    assert run.value("accuracy_reset") == pytest.approx((labels != 3).float().mean().item())
    begin = (labels[:10] != 3).sum().item()
    no_reset = (begin + (labels[10:] == 9).sum().item()) / 60
    assert run.value("accuracy_no_reset") == pytest.approx(no_reset)
    in_order = labels.sort().values
    sorted_ = ((in_order[:10] != 3).sum().item() + (in_order[10:] == 9).sum().item()) / 60
    assert run.value("accuracy_sorted") == pytest.approx(sorted_)
    assert any("backward through the graph a second time" in line for line in seen.said)
    text = run.findings[0]["text"]
    assert f"then reads {100 * no_reset:.2f} %, sorted by class {100 * sorted_:.2f} %" in text
    assert f"{100 * flips:.1f} % of the answers change" in seen.figures["3_no_reset"].headline


def test_section_3_traces(tmp_path: Path, seen, here) -> None:
    """The dashed lines are those of the whole run without a reset; the fading is measured in truth."""
    run = run_section(lesson.section_no_reset, tmp_path, **SMALL)
    images = here.data.x_test
    counts = [lesson.spike_counts(here.net, images, 6, 10, between) for between in (True, False)]
    rested, carried = counts[0].argmax(1), counts[1].argmax(1)
    tie = lesson.has_tie(counts[0]) | lesson.has_tie(counts[1])
    labels = here.data.y_test
    telling = (rested != carried) & (rested == labels) & ~tie
    if not telling.any():
        telling = rested != carried
    flip = int(telling.float().argmax())
    assert flip >= 10 and run.value("flips") == (rested != carried)[10:].float().mean().item()
    lesson.reset(here.net)
    with torch.no_grad():
        for batch in images.split(10)[: flip // 10 + 1]:
            mems = []
            for _ in range(6):
                mems.append(here.net(batch.flatten(1).float() / 255)[1][flip % 10])
    k = int(rested[flip])
    trace = torch.stack(mems)[:, k]
    lines = seen.figures["3_no_reset"].lines
    drawn = lines[0, f"neuron {k}, no reset, spikes: {int((trace > 1).sum())}"][:, 1]
    assert drawn == pytest.approx(trace.numpy(), abs=1e-5)
    x = images[10:20].flatten(1).float() / 255
    rest, left = [], []
    with torch.no_grad():
        lesson.reset(here.net)
        for batch, kept in ((images[:10].flatten(1).float() / 255, None), (x, left)):
            for _ in range(6):
                here.net(batch)
                if kept is not None:
                    kept.append(here.net.lif1.mem.numpy())
        lesson.reset(here.net)
        for _ in range(6):
            here.net(x)
            rest.append(here.net.lif1.mem.numpy())
    left, rest = np.stack(left), np.stack(rest)
    apart = np.abs(left - rest)
    fires = ((left > 1) | (rest > 1)).any(0)
    for name, which in (("neurons that spike", fires), ("neurons that do not", ~fires)):
        mean = apart[:, which].mean(1)
        assert lines[1, name][:, 1] == pytest.approx(100 * mean / mean[0], rel=1e-4)
    silent = lines[1, "neurons that do not"][:, 1]
    assert silent == pytest.approx(lines[1, "by (4)"][:, 1], rel=1e-3), (
        "without spikes (4) is exact"
    )


def test_section_4(tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_reset_reach, tmp_path, **SMALL)
    assert (run.value("missed"), run.value("elsewhere")) == (0, 1)
    assert (run.value("remedy_own"), run.value("remedy_other")) == (1, 0)
    assert seen.outcomes["call"] == "it resets nothing"
    wrong = "Resets too little or too much: utils.reset(flat) and utils.reset(nested)"
    assert seen.figures["4_reset"].headline == wrong
    assert seen.figures["4_reset"].bars[0] == [100, 0, 100, 100, 100, 0, 0, 0]
    assert "puts 0 % of the potentials to rest" in run.findings[0]["text"]


def test_reached_measures_both_networks() -> None:
    net, other, x = lively(), lively(seed=1), torch.rand(3, 784) + 0.1
    assert lesson.reached(net, x, other, lambda net: None) == (0, 0)
    assert lesson.reached(net, x, other, lesson.reset) == (1, 0)
    assert lesson.reached(net, x, other, lambda _: lesson.reset(other)) == (0, 1)
    own, others = lesson.reached(net, x, other, lambda net: net.lif2.reset_mem())
    assert own == pytest.approx(10 / 34) and others == 0


class ByAxis(torch.nn.Module):
    """Answers 2 if its steps are alike, as in a still image with time first; else the place's number."""

    def run(self, x):
        spk = torch.zeros(*x.shape[:2], 10)
        places = range(x.shape[1])
        for place in places:
            spk[:, place, 2 if torch.equal(x[0], x[1]) else self.other(place)] = 1
        return spk, spk


@pytest.mark.parametrize(
    "other, same", [(lambda place: 3, 1.0), (lambda place: 4 + place % 2, 0.0)]
)
def test_section_5(other, same, tmp_path: Path, seen, monkeypatch) -> None:
    data = marked_splits()
    data.x_test = torch.rand(40, 1, 28, 28)  # otherwise the images are alike
    net = ByAxis()
    net.other = other
    monkeypatch.setattr(Run, "result_of", lambda self, section: lesson.Trained(net, data))
    run = run_section(lesson.section_swapped, tmp_path, **SMALL | {"num_steps": 8})
    assert run.value("accuracy_right") == 0.75, "scored on the test images"
    assert run.value("accuracy_swapped") == (0.25 if same else 0)
    assert run.value("same_answer") == same
    assert any("B = T, at the door" in line and "no error" in line for line in seen.said)
    assert any("(15, 8, 784)" in line and "transpose(0, 1)" in line for line in seen.said)
    assert any("match target batch_size (15)" in line for line in seen.said)
    title = seen.figures["5_swapped"].headline
    assert "T = B = 8" in title and "75 % read correctly with time first" in title
    assert f"In {100 * same:.0f} % of the batches" in run.findings[0]["text"]


def test_section_5_with_a_real_network(tmp_path: Path, seen, here) -> None:
    """Shown still images, every place sees the same film: one answer a batch."""
    run = run_section(lesson.section_swapped, tmp_path, **SMALL)
    assert run.value("same_answer") == 1
    images = here.data.x_test.flatten(1) / 255
    right = 0
    for start in range(0, 60, 6):
        films = images[start : start + 6, None].expand(-1, 6, -1)  # step t shows image t everywhere
        counts = lesson.by_loop(here.net, films).sum(0)
        right += (counts.argmax(1) == here.data.y_test[start : start + 6]).sum().item()
    assert run.value("accuracy_swapped") == pytest.approx(right / 60)


def test_section_6(tmp_path: Path, seen) -> None:
    run = run_section(
        lesson.section_where, tmp_path, **SMALL | {"num_hidden": 100, "batch_size": 64}
    )
    assert run.value("parameters") == 79_510 == 785 * 100 + 101 * 10
    assert run.value("state") == 7040 == 110 * 64
    assert run.value("state_saved") == 0
    assert run.value("a_step") == pytest.approx(7040 + 6400, abs=5), "potentials, and hidden spikes"
    lines = seen.figures["6_where"].lines
    assert lines[0, "potentials"][:, 1].tolist() == [110 * b for b in (1, 4, 16, 64, 256)]
    assert set(lines[1, "potentials"][:, 1]) == {7040} and set(lines[1, "parameters"][:, 1]) == {
        79_510
    }
    kept = lines[1, "kept for backward, in training"][:, 1]
    assert kept[0] == pytest.approx(13_440, abs=10) and kept[3] / kept[0] == pytest.approx(
        10, rel=0.01
    )
    assert "7,040 after 1 step, 7,040 after 50" in seen.figures["6_where"].headline
    assert (
        "110 potentials an image: 7,040 for the batch after one step, 7,040 after 50"
        in (run.findings[0]["text"])
    )


@pytest.mark.parametrize("settings", [{"num_steps": 1}, {"batch_size": 2, "num_hidden": 1}])
def test_extreme_settings(settings, tmp_path: Path, seen, monkeypatch) -> None:
    data = few()
    net = lively(settings.get("num_hidden", 24))
    monkeypatch.setattr(lesson, "trained", lambda cfg, run: lesson.Trained(net, data))
    for name in ("loop", "three_ways", "no_reset", "swapped"):
        run = run_section(getattr(lesson, f"section_{name}"), tmp_path, **SMALL | settings)
        assert all(math.isfinite(claim.value) for claim in run.claims)


def test_check_time_first() -> None:
    x = torch.zeros(25, 32, 10)
    assert lesson.check_time_first(x, 25) is x
    with pytest.raises(
        UserError, match=r"got \(25, 32, 10\), expected T=32 first; use spk_rec.transpose\(0, 1\)"
    ):
        lesson.check_time_first(x, 32, "spk_rec")
    with pytest.raises(UserError, match="check num_steps"):
        lesson.check_time_first(x, 7)
