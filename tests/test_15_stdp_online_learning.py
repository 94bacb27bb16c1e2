"""Lesson 15: STDP and e-prop against oracles, and every number it publishes against another way to it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from common.lesson import begin
from datafiles.digits import digits

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits
from scipy import stats

lesson = load_script("15_stdp_online_learning")
AdaptiveNet, Learnt, eprop, bptt = lesson.AdaptiveNet, lesson.Learnt, lesson.eprop, lesson.bptt


def tiny(folder: Path, **flags) -> lesson.Config:
    """A Config whose trainings take a tenth of a second."""
    return lesson.Config(**{**lesson.SMOKE, "smoke": True, "out_dir": folder, **flags})


# -------------------------------------------------------------------- 1  STDP


@settings(max_examples=40, deadline=None)
@given(
    pre=st.lists(st.booleans(), min_size=1, max_size=50),
    seed=st.integers(0, 10**6),
    rate=st.floats(0.0, 1.0),
    sizes=st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(1, 80), st.floats(1, 80)),
)
def test_traces_equal_the_window_summed_over_all_pairs(pre, seed, rate, sizes) -> None:
    """Any two spike trains: the traces against equation (4) for every pair of spikes."""
    post = (np.random.default_rng(seed).random(len(pre)) < rate).tolist()
    a_plus, a_minus, tau_plus, tau_minus = sizes
    total = 0.0
    for i in [i for i, spike in enumerate(pre) if spike]:
        for j in [j for j, spike in enumerate(post) if spike]:
            if j > i:
                total += a_plus * math.exp(-(j - i) / tau_plus)
            if j < i:
                total -= a_minus * math.exp(-(i - j) / tau_minus)
    column = [torch.tensor(s, dtype=torch.float64)[:, None] for s in (pre, post)]
    _, _, dw_rec = lesson.stdp(*column, *sizes)
    assert dw_rec[-1].item() == pytest.approx(total, abs=1e-9 * (1 + len(pre) ** 2))


def test_section_window_publishes_the_window_and_the_gaps(tmp_path: Path) -> None:
    run = run_section(lesson.section_window, tmp_path, seed=3)
    assert run.value("before") == pytest.approx(math.exp(-10 / 20), rel=1e-5)
    assert run.value("after") == pytest.approx(-0.8 * math.exp(-10 / 30), rel=1e-5)
    for name, sign in (("gap_hebbian", 1), ("gap_anti", -1)):
        neurons = [lesson.one_neuron(20, sign, 40, 3 + i) for i in range(2)]
        ends = [course[-1] for course, _, _ in neurons]
        assert run.value(name) == pytest.approx(np.mean([a - b for a, b in ends]))
    surplus = [first / second - 1 for _, first, second in neurons]
    assert run.value("surplus") == pytest.approx(np.mean(surplus))
    text, more = (finding["text"] for finding in run.findings)
    group = np.mean(ends, 0)[0]  # of the mirror image, the last of the two
    assert f"under its mirror image, where the group has {group:.2f}." in more
    assert "+0.61·A₊ if the presynaptic spike comes 10 ms before" in text and "−0.57·A₊ if" in text
    assert f"to {np.mean(ends, 0)[1]:.2f}." in more
    assert "weakens an input whose lead is below 5 %" in more


def test_the_first_figure_marks_what_the_rule_reads(tmp_path: Path, monkeypatch) -> None:
    """The circles stand at e^(−10/20) and e^(−10/30), and the title tells of the same two pairs."""
    figures = {}
    monkeypatch.setattr(
        "common.run.Run.figure", lambda self, fig, name, look="": figures.update({name: fig})
    )
    run_section(lesson.section_window, tmp_path)
    fig = figures["1_traces"]
    circles = [line for line in fig.axes[1].lines if line.get_marker() == "o"]
    heights = [line.get_ydata()[0] for line in circles]
    assert heights == pytest.approx([math.exp(-10 / 20), math.exp(-10 / 30)], abs=1e-4)
    assert "Δw = +0.61·A₊" in fig.get_suptitle() and "Δw = −0.57·A₊" in fig.get_suptitle()


def test_inputs_that_fire_together_win_and_lose() -> None:
    hebbian, anti, none = (lesson.one_neuron(100, sign, 40, 1)[0] for sign in (1, -1, 0))
    assert hebbian[-1, 0] - hebbian[-1, 1] > 0.1 and anti[-1, 0] - anti[-1, 1] < -0.02
    assert np.allclose(none, 0.5), "without the rule nothing changes"
    assert hebbian[0, 0] == pytest.approx(0.5, abs=0.1), "the first second is noted first"
    assert hebbian.min() >= 0 and hebbian.max() <= 1


def test_inputs_without_a_group_come_first_more_often_as_they_cause_spikes() -> None:
    _, first, second = lesson.one_neuron(100, 0, 0, 1)
    assert first > 1.02 * second > 0


# -------------------------------------------------------------------- 2, 3  the layer


def show(images, w, threshold, num_steps, learn=True, inhibit=True, rise=0.1, seed=0):
    """``present`` on copies: counts, weights and thresholds after it."""
    w, threshold = w.copy(), threshold.copy()
    rise = np.float32(rise)
    counts = lesson.present(images, w, threshold, num_steps, learn, inhibit, rise, seed)
    return counts, w, threshold


def two_neurons():
    rng = np.random.default_rng(0)
    w = rng.random((784, 2)).astype(np.float32)
    w *= np.float32(78.4) / w.sum(0)
    image = np.zeros((1, 784), np.float32)
    image[0, 300] = 1
    return image, w


def test_the_winner_moves_towards_the_traces_and_nobody_else_does() -> None:
    """One lit pixel and low thresholds: the first input spike makes the neuron with the larger weight fire."""
    image, w = two_neurons()
    low = np.full(2, 1e-3, np.float32)
    steps = next(t for t in range(1, 60) if show(image, w, low, t)[0].sum() == 1)
    counts, after, threshold = show(image, w, low, steps)
    best = int(w[300].argmax())
    assert counts[0].tolist() == [int(best == 0), int(best == 1)]
    x = image[0]  # the trace is 1 where the spike came from, and 0 elsewhere
    wanted = w[:, best] + 0.01 * (x - w[:, best])
    wanted *= 78.4 / wanted.sum()
    assert np.allclose(after[:, best], wanted, rtol=1e-4)
    assert np.array_equal(after[:, 1 - best], w[:, 1 - best])
    assert threshold[best] == pytest.approx((1e-3 + 0.1) * (1 - 1 / 15_000), rel=1e-4)
    assert threshold[1 - best] == pytest.approx(1e-3, rel=1e-3)


def test_fixed_thresholds_stay_where_they_are() -> None:
    image, w = two_neurons()
    low = np.full(2, 1e-3, np.float32)
    counts, after, threshold = show(image, w, low, 60, rise=0.0)
    assert counts.sum() > 0 and not np.array_equal(after, w)
    assert np.array_equal(threshold, low)


def test_without_inhibition_all_neurons_above_threshold_fire() -> None:
    image, w = two_neurons()
    low = np.full(2, 1e-3, np.float32)
    with_it = show(image, w, low, 60, learn=False)[0][0]
    without = show(image, w, low, 60, learn=False, inhibit=False)[0][0]
    assert without[0] == without[1] == without.max() and with_it.sum() < without.sum()
    assert min(with_it) == 0, "a silenced neuron cannot answer within 60 steps"


def test_pixels_fire_at_their_rate() -> None:
    """Two hundred spikes a second from white, half of it from grey: counted by neurons that copy a pixel."""
    image = np.zeros((1, 784), np.float32)
    image[0, 0], image[0, 1] = 1.0, 0.5
    w = np.zeros((784, 2), np.float32)
    w[0, 0] = w[1, 1] = 50
    counts = show(image, w, np.full(2, 49, np.float32), 20_000, learn=False, inhibit=False)[0][0]
    assert counts[0] / 20 == pytest.approx(200, rel=0.05)
    assert counts[1] / 20 == pytest.approx(100, rel=0.05)


def test_a_layer_learns_digits_without_labels(tmp_path: Path) -> None:
    x, y, x_test, y_test = digits()
    layer = lesson.Layer(tiny(tmp_path, neurons=30, num_steps=100), 0)
    layer.show(x, learn=True)
    layer.name_neurons(layer.show(x), y)
    right = layer.answer(layer.show(x_test)) == y_test.numpy()
    assert right.mean() > 0.5  # guessing: 0.1
    assert np.allclose(layer.w.sum(0), 78.4, rtol=1e-3) and (layer.w >= 0).all()
    kept = layer.w.copy(), layer.threshold.copy()
    first, other = layer.show(x[:20]), layer.show(x[:20])
    assert np.array_equal(layer.w, kept[0]) and np.array_equal(layer.threshold, kept[1])
    assert not np.array_equal(first, other), "each call draws new input spikes"


def test_neurons_are_named_and_vote_by_means(tmp_path: Path) -> None:
    layer, y = lesson.Layer(tiny(tmp_path, neurons=10), 0), torch.tensor([4, 4, 4, 7])
    counts = np.zeros((4, 10))
    counts[:3, 0], counts[3, 0] = 2, 1  # more for a 4 in sum and on average
    counts[:3, 1], counts[3, 1] = 1, 2  # more for 4s in sum, but for a 7 on average
    layer.name_neurons(counts, y)
    assert layer.names[:2].tolist() == [4, 7]
    # One neuron named 3 fires three times, two named 2 fire twice each: 3 is ahead on average.
    layer.names = np.array([3, 2, 2, *[5] * 7])
    assert layer.answer(np.array([[3, 2, 2, *[0] * 7]])).tolist() == [3]


class FakeLayer(lesson.Layer):
    """Knows which images it is asked about; ``script(layer, part)`` says how well it answers them."""

    data = marked_splits()
    asked: list[str] = []
    script = staticmethod(lambda layer, part: 0.0)

    def __init__(self, cfg, seed, inhibit=True, rise=0.1, height=10.0) -> None:
        super().__init__(cfg, seed, inhibit, rise, height)
        self.seed, self.inhibit, self.rise, self.height = seed, inhibit, rise, height
        self.threshold[:] = height + 100 * rise

    def part(self, images) -> str:
        for part in ("train", "val", "test"):
            x = getattr(self.data, f"x_{part}")
            if len(images) and (images[0] == x).flatten(1).all(1).any():
                return part
        return "none"

    def show(self, images, learn=False):
        self.now = self.part(images)
        self.asked.append("learn" if learn else self.now)
        counts = np.zeros((len(images), len(self.threshold)), int)
        counts[:, 0 if self.inhibit else 4] = 3
        return counts

    def name_neurons(self, counts, y):
        self.names = np.arange(len(self.threshold)) % 10

    def answer(self, counts):
        y = getattr(self.data, f"y_{self.now}").numpy()
        right = np.arange(len(y)) < self.script(self, self.now) * len(y) - 1e-9
        return np.where(right, y, 10)


@pytest.fixture
def fake(monkeypatch):
    """``fake(script)`` puts a layer in place that answers by the script, on splits that can be told apart."""

    def put(script):
        monkeypatch.setattr(lesson, "Layer", FakeLayer)
        monkeypatch.setattr(FakeLayer, "script", staticmethod(script))
        monkeypatch.setattr(FakeLayer, "asked", [])
        monkeypatch.setattr("common.run.Run.data", lambda self, loader: FakeLayer.data)
        return FakeLayer.asked

    return put


def test_section_competition_asks_validation_images(tmp_path: Path, fake, monkeypatch) -> None:
    """Of 12 images five are 1s, three 0s with much ink; a quarter of the validation images are 0s."""
    plain = FakeLayer.data
    digit = torch.tensor([*5 * [1], *3 * [0], *4 * [8], *12 * [0]])
    grey = torch.tensor([*5 * [10], *3 * [60], *4 * [30], *12 * [90]], dtype=torch.uint8)
    x_train = grey[:, None, None, None].expand(24, 1, 28, 28)
    y_val = torch.tensor([*3 * [0], *9 * [1]])
    data = replace(plain, x_train=x_train, y_train=digit, y_val=y_val)
    monkeypatch.setattr(FakeLayer, "data", data)

    def script(layer, part):
        assert part == "val"
        if not layer.inhibit:
            return 0.25
        if layer.rise:
            return 0.75 + 0.25 * layer.seed
        return {10: 0.5, 40: 0.25}.get(layer.height, 0.0)

    asked = fake(script)
    run = run_section(lesson.section_competition, tmp_path, train_images=12, num_steps=2)
    names = ("no_inhibition", "both", "fixed", "fixed_middle", "fixed_high")
    assert [run.value(name) for name in names] == pytest.approx([0.25, 0.875, 0.5, 0.25, 0])
    assert "test" not in asked and asked.count("learn") == 10
    text, ink, fixed = (finding["text"] for finding in run.findings)
    assert "Its worst seed beats the best layer of every other kind" in text
    assert "fixed at 10 50.0 %, at 40 25.0 %, at 20, as high" in text
    assert "To answer 0 to every image would give 25.0 %." in text
    average = (5 * 10 + 3 * 60 + 4 * 30) / 12
    assert "thresholds end at 20, against 20" in ink and "named after 4. The digit with" in ink
    assert f"ink is 0, {60 / average:.2f} times the average; the most frequent one is 1." in ink
    driven = 0.02 * 784 * average / 255 / (1 - math.exp(-1 / 20))
    assert f"has not learnt to about {driven:.0f}. One that" in fixed
    rows = run.extra["tables"][0]["rows"]
    heights = [row[1] for row in rows]
    assert heights == ["20", "20", "10", "40", "20"], "of the layers as they end"
    assert [row[2:] for row in rows] == 5 * [["1.0", "1.0"]], "silent neurons do not count"
    labels = [row[0] for row in rows]
    assert labels[2:] == [f"thresholds fixed at {height}" for height in (10, 40, 20)]
    assert next(c.n for c in run.claims if c.id == "both") == len(FakeLayer.data.y_val)


def test_the_figure_of_the_layers_names_its_panels_by_their_own_numbers(
    tmp_path: Path, fake, monkeypatch
) -> None:
    """The first layer beside the mean of both, and how many digits each kind has found."""
    figures = {}
    monkeypatch.setattr(
        "common.run.Run.figure", lambda self, fig, name, look="": figures.update({name: fig})
    )
    fake(lambda layer, part: 0.25 + 0.5 * layer.seed if layer.inhibit else 0.5)
    run_section(lesson.section_competition, tmp_path, train_images=12, num_steps=2)
    fig = figures["2_competition"]
    heads = [ax.get_title(loc="left").split("\n") for ax in fig.axes]
    kinds = ["no inhibition", "inhibition + adaptive thresholds"]
    kinds += [f"thresholds fixed at {height}" for height in (10, 40, 20)]
    *heads, last = heads
    assert [head[0] for head in heads] == kinds and last == ["Ink of the training images"]
    assert [head[1] for head in heads[:2]] == [
        "50 % right (mean of 2 layers: 50 %)",
        "25 % right (mean of 2 layers: 50 %)",
    ]
    assert {head[2] for head in heads} == {"neurons that fire: 1, digits: 1"}
    title = "Seed 0, both: 1 digits. No inhibition, or fixed at 10, 40, 20: 1 at most"
    assert fig.get_suptitle() == title


def test_section_images_one_split_and_the_test_set_last(tmp_path: Path, fake) -> None:
    """Two layers, asked after 10 and after 20 images: 0.5, 0.75 and 0.5, 1 on validation."""
    told = {0: iter([0.5, 0.75]), 1: iter([0.5, 1.0])}

    def script(layer, part):
        return next(told[layer.seed]) if part == "val" else 0.25 + 0.5 * layer.seed

    asked = fake(script)
    flags = {"train_images": 10, "epochs": 2, "num_steps": 2}
    run = run_section(lesson.section_images, tmp_path, **flags)
    assert run.value("stdp_accuracy") == pytest.approx(0.5)
    assert run.value("stdp_few") == pytest.approx(0.5)
    assert run.value("stdp_all") == pytest.approx(0.875)
    assert run.value("more_images") == pytest.approx(37.5)
    assert run.value("easier") == pytest.approx(37.5)
    half = stats.t.ppf(0.975, 1) * np.std([25, 50], ddof=1) / math.sqrt(2)
    assert f"+37.50 ± {half:.2f} points" in run.findings[0]["text"]
    assert "the seeds do not tell" in run.findings[0]["text"]
    one_layer = ["learn", "train", "val", "learn", "train", "val", "test"]
    assert asked == 2 * one_layer, "the test images once a layer, at its end"
    claim = next(c for c in run.claims if c.id == "stdp_accuracy")
    assert claim.target == ">= 0.83" and claim.n == len(FakeLayer.data.y_test)
    row = run.ledger_rows[0]
    assert row["accuracy"] == 0.25, "the ledger's row is of the first layer"
    white = FakeLayer.data.x_test.float().mean(0).sum().item() / 255
    assert row["synops"] == pytest.approx(white * 0.2 * 2 * 20)  # 200 Hz, 2 ms, 20 neurons
    assert row["spikes"] == pytest.approx(white * 0.2 * 2 + 3) and row["parameters"] == 785 * 20


@pytest.mark.parametrize(
    ("ends", "said"), [((0.75, 0.75), "accuracy rises"), ((0.25, 0.25), "accuracy falls")]
)
def test_section_images_says_which_way_it_went(tmp_path: Path, fake, ends, said) -> None:
    told = {0: iter([0.5, ends[0]]), 1: iter([0.5, ends[1]])}
    fake(lambda layer, part: next(told[layer.seed]) if part == "val" else 0.5)
    flags = {"train_images": 10, "epochs": 2, "num_steps": 2}
    run = run_section(lesson.section_images, tmp_path, **flags)
    assert f"validation images: {said} (" in run.findings[0]["text"]


def test_a_layer_sees_all_images_of_a_pass_once(tmp_path: Path, fake, monkeypatch) -> None:
    fake(lambda layer, part: 0.5)
    learnt = []
    real = FakeLayer.show

    def show(self, images, learn=False):
        if learn:
            learnt.append(images)
        return real(self, images, learn)

    monkeypatch.setattr(FakeLayer, "show", show)
    numbered = torch.arange(24, dtype=torch.uint8)[:, None, None, None].expand(24, 1, 28, 28)
    data = replace(FakeLayer.data, x_train=numbered)
    cfg = tiny(tmp_path, train_images=12, epochs=2)
    found = lesson.train_layer(cfg, data, {}, 1, [4, 12, 24])
    assert [len(images) for images in learnt] == [4, 8, 12] and len(found["validation"]) == 3
    passes = [torch.cat(learnt[:2])[:, 0, 0, 0].tolist(), learnt[2][:, 0, 0, 0].tolist()]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(12)), "the first 12, each once"
    assert passes[0] != passes[1], "another order in the next pass"


# -------------------------------------------------------------------- 4  e-prop


def small(seed: int, b: float, gain: float, beta: float = 0.8):
    """A little network in double precision, with an input and its classes."""
    generator = torch.Generator().manual_seed(seed)
    net = AdaptiveNet((5, 7, 3), generator, b=b, beta=beta, gain_rec=gain).double()
    x = (torch.rand(30, 4, 5, generator=generator) < 0.4).double()
    return net, x, torch.randint(0, 3, (4,), generator=generator)


def same(ours: Learnt, theirs: Learnt) -> bool:
    pairs = zip(ours.grads, theirs.grads, strict=True)
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in pairs)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    b=st.sampled_from([0.0, 0.1, 0.5]),
    gain=st.sampled_from([0.0, 1.0, 2.0]),
)
def test_eprop_drops_the_path_through_other_neurons_and_nothing_else(seed, b, gain) -> None:
    net, x, y = small(seed, b, gain)
    ours = eprop(net, x, y)
    assert same(ours, bptt(net, x, y, cut=True))
    if gain == 0:
        whole = bptt(net, x, y)
        assert torch.allclose(ours.grads[0], whole.grads[0]), "nothing passes through other neurons"


def test_bptt_is_the_gradient_of_the_mean_cross_entropy_and_both_answer_alike() -> None:
    net, x, y = small(3, 0.2, 1.0)
    ours, theirs = eprop(net, x, y), bptt(net, x, y)
    state, losses, shares = net.rest(4), [], []
    for x_t in x:
        out, state = net(x_t, state)
        losses.append(F.cross_entropy(out, y))
        shares.append(out.softmax(1))
    wanted = torch.autograd.grad(torch.stack(losses[-15:]).mean(), [net.w_in, net.w_out])
    assert torch.allclose(theirs.grads[0], wanted[0]) and torch.allclose(theirs.grads[2], wanted[1])
    assert torch.allclose(theirs.grads[2], ours.grads[2]) and not same(ours, theirs)
    assert torch.allclose(ours.answer, torch.stack(shares[-15:]).mean(0))
    assert torch.allclose(theirs.answer, ours.answer)


def test_cosines_and_difference_are_by_layer() -> None:
    vectors = torch.eye(2, dtype=torch.float64)
    a = Learnt((vectors[:1], vectors[:1], vectors[:1]), torch.zeros(()))
    turned = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    b = Learnt((vectors[:1], turned, -vectors[:1]), torch.zeros(()))
    assert lesson.cosines(a, b) == pytest.approx([1, 0.6, -1])
    assert lesson.difference(a, b) == pytest.approx(2)


def test_surrogate_is_the_derivative_that_autograd_sees() -> None:
    net = AdaptiveNet((1, 1, 1), torch.Generator().manual_seed(0))
    mem = torch.linspace(-1, 2, 31)
    x = (mem / net.w_in.item())[:, None].requires_grad_()
    _, state = net(x, net.rest(31))
    state.spk.sum().backward()
    expected = 0.5 * (1 - (mem - 0.6).abs() / 0.6).clamp(min=0)
    assert torch.allclose(state.psi[:, 0], expected, atol=1e-6)
    assert torch.equal(state.spk[:, 0].detach(), (mem > 0.6).float())
    assert torch.allclose(x.grad[:, 0] / net.w_in.item(), expected, atol=1e-6)


def test_no_synapse_onto_itself_and_random_feedback_changes_hidden_gradients_only() -> None:
    net, x, y = small(2, 0.2, 1.0)
    symmetric, random = eprop(net, x, y), lesson.eprop_random(net, x, y)
    for learnt in (symmetric, random, bptt(net, x, y)):
        assert (learnt.grads[1].diagonal() == 0).all()
    assert (net.w_rec.diagonal() == 0).all()
    assert torch.equal(symmetric.grads[2], random.grads[2])
    assert not torch.allclose(symmetric.grads[0], random.grads[0])
    with torch.no_grad():
        net.random_feedback.copy_(net.w_out)
    assert same(lesson.eprop_random(net, x, y), symmetric)


def test_the_watched_synapse_follows_equation_8() -> None:
    x = (torch.rand(60, 2, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    for b in (0.0, 0.1):
        seen = lesson.watch_one_synapse(x, b)
        mem = a = spk = x_bar = eps = e = 0.0
        for t in range(60):
            mem = lesson.FAST * mem + 0.3 * x[t, 0].item() + 0.45 * x[t, 1].item() - 0.6 * spk
            a = lesson.SLOW * a + spk
            above = mem - 0.6 - b * a
            spk = float(above > 0)
            psi = 0.5 * max(0.0, 1 - abs(above) / 0.6)
            eps = lesson.SLOW * eps + e if b else 0.0
            x_bar = lesson.FAST * x_bar + x[t, 0].item()
            e = psi * (x_bar - b * eps)
            found = [seen[name][t] for name in ("S", "x̄", "ε", "e")]
            assert found == pytest.approx([spk, x_bar, eps, e], abs=1e-5)
        assert seen["S"].sum() > 0


def test_the_figure_of_a_synapse_tells_what_is_left(tmp_path: Path, monkeypatch) -> None:
    """ε peaks at 2 in step 20, 0.5 is left 120 steps on; e ends between −0.03 and 0.01."""
    figures = {}
    steps = np.arange(150)
    eps = np.where(steps == 20, 2.0, 0.5)
    late = np.where(steps == 110, -0.03, 0.01)

    def watched(x, b):
        e = late if b else np.zeros(150)
        return {"S": np.zeros(150), "x̄": np.zeros(150), "ε": eps, "e": e}

    monkeypatch.setattr(lesson, "watch_one_synapse", watched)
    monkeypatch.setattr(
        "common.run.Run.figure", lambda self, fig, name, look="": figures.update({name: fig})
    )
    run_section(lesson.section_eprop, tmp_path, num_hidden=4)
    fig = figures["4_synapse"]
    assert "neuron falls to −0.030; |e| of LIF: below 10⁻⁹" in fig.get_suptitle()
    assert "1.2 s after the peak 25% of ε is left (if ψ = 0: 55%)" in fig.axes[1].get_title(
        loc="left"
    )


def test_section_eprop_compares_layer_by_layer(tmp_path: Path, monkeypatch) -> None:
    """Gradients in the plane: e-prop at angles with cosine 0.6, 0.8 and 1 to BPTT's; 0 if they are strong."""
    one = torch.tensor([[1.0, 0.0]], dtype=torch.float64)

    def turned(c: float) -> torch.Tensor:
        return torch.tensor([[c, math.sqrt(1 - c * c)]], dtype=torch.float64)

    usual = Learnt((turned(0.6), turned(0.8), one), torch.zeros(1))
    strong = Learnt((turned(0.0), turned(0.0), one), torch.zeros(1))

    def fake_eprop(net, x, y):
        return strong if net.w_rec.std() > 3 / len(net.w_rec) ** 0.5 else usual

    def fake_bptt(net, x, y, cut=False):
        return usual if cut else Learnt((one, one, one), torch.zeros(1))

    monkeypatch.setattr(lesson, "eprop", fake_eprop)
    monkeypatch.setattr(lesson, "bptt", fake_bptt)
    run = run_section(lesson.section_eprop, tmp_path, num_hidden=20)
    assert [run.value(f"cosine_{k}") for k in ("in", "rec", "out")] == pytest.approx([0.6, 0.8, 1])
    assert run.value("cut") == 0 and run.value("cosine_strong") == pytest.approx(0, abs=1e-9)
    text = run.findings[0]["text"]
    assert "the cosine is 0.60 for the input weights, 0.80 for the recurrent" in text


# -------------------------------------------------------------------- 5  the cue task


def test_cue_trials() -> None:
    x, y = lesson.cue_trials(200, 120, torch.Generator().manual_seed(0))
    assert x.shape == (225, 200, 40) and set(x.unique().tolist()) == {0.0, 1.0}
    left, right = x[:105, :, :10].sum((0, 2)), x[:105, :, 10:20].sum((0, 2))
    assert ((right > left).long() == y).float().mean() > 0.95, "more cues there, more spikes there"
    assert x[105:, :, :20].sum() == 0 and x[:-15, :, 20:30].sum() == 0
    assert 0.35 < y.float().mean() < 0.65
    assert x[-15:, :, 20:30].mean().item() == pytest.approx(0.4, abs=0.02)
    assert x[:, :, 30:].mean().item() == pytest.approx(0.1, abs=0.01)


def test_eprop_learns_a_short_cue_task(tmp_path: Path) -> None:
    cfg = tiny(tmp_path, wait=15, num_hidden=20, iterations=20)
    found = lesson.train_cues(cfg, None, *lesson.ARMS["e-prop, adaptive"], 4e-2, 0)
    assert np.mean(found["curve"][-5:]) > 0.75 > np.mean(found["curve"][:3])
    assert all(-1 <= cosine <= 1 for cosine in found["cosines"])


def test_the_slow_membrane_starts_with_about_as_many_spikes() -> None:
    """As section 5 says: far more (two to five times) with full weights, alike with halved ones."""
    full, halved = [], []
    for seed in range(3):
        rates = {}
        for name, gain in (("20 ms", 1.0), ("2 s", 0.5), ("2 s, full", 1.0)):
            beta = lesson.FAST if name == "20 ms" else lesson.SLOW
            generator = torch.Generator().manual_seed(seed)
            net = AdaptiveNet((40, 50, 2), generator, 0.0, beta, gain, gain)
            x, _ = lesson.cue_trials(16, 120, generator)
            state, spikes = net.rest(16), 0.0
            with torch.no_grad():
                for x_t in x:
                    _, state = net(x_t, state)
                    spikes += state.spk.mean().item()
            rates[name] = spikes
        full.append(rates["2 s, full"] / rates["20 ms"])
        halved.append(rates["2 s"] / rates["20 ms"])
    assert all(0.4 < ratio < 2 for ratio in halved), halved
    assert all(2 < ratio < 5.5 for ratio in full), full


def test_section_cues_reports_new_networks_at_the_best_rates(tmp_path: Path, monkeypatch) -> None:
    """Each arm is best at another rate with the network that chooses; two others are reported."""
    best = dict(zip(lesson.ARMS, lesson.RATES, strict=False))
    base = dict(zip(lesson.ARMS, (0.5, 0.6, 0.7, 0.8, 0.9), strict=True))
    calls = []

    def train_arms(cfg, run, todo):
        calls.append(todo)
        found = {}
        for name, lr, seed in todo:
            right = base[name] + 0.1 * seed
            if seed >= 1000:  # at a third rate one network alone is best of all
                lucky = lr == lesson.RATES[5] and seed == 1000
                right = 0.8 if lr == best[name] else float(lucky)
            found[name, lr, seed] = {
                "right": right, "curve": [0.5], "cosines": (base[name] - 0.6, base[name] - 0.4),
            }  # fmt: skip
        return found

    def reach(net, x, y, cut=False):
        if cut:
            return 0.7
        return 0.03 if net.b else 2e-31 if net.beta == lesson.FAST else 42_345.0

    monkeypatch.setattr(lesson, "train_arms", train_arms)
    monkeypatch.setattr(lesson, "reach", reach)
    run = run_section(lesson.section_cues, tmp_path, smoke=False, seeds=2, iterations=1)
    tuning, final = calls
    assert {seed for _, _, seed in tuning}.isdisjoint({seed for _, _, seed in final})
    assert {(name, lr) for name, lr, _ in final} == set(best.items())
    assert {seed for _, _, seed in final} == {0, 1} and len(tuning) == 60
    keys = ("cue_lif", "cue_lif_slow", "cue_eprop", "cue_random", "cue_bptt")
    assert [run.value(k) for k in keys] == pytest.approx([0.55, 0.65, 0.75, 0.85, 0.95])
    assert next(c for c in run.claims if c.id == "cue_eprop").target == ">= 0.95"
    assert run.results[5] == pytest.approx((75, 95))
    first, second = (finding["text"] for finding in run.findings)
    assert "BPTT +20.0 ± 0.0, told apart; random feedback +10.0 ± 0.0, told apart" in first
    assert "LIF of 20 ms -20.0 ± 0.0, told apart".replace("-", "−") in first
    assert "LIF of 20 ms ends at +0.10" in second and "LIF of 2 s ends at +0.20" in second
    assert "error at the first cue is below 10⁻⁹ of that at the end" in second
    assert "first cue is 42,000 times that at the end, and 0.7 times without the path" in second
    assert "Random feedback starts at +0.20 (+0.20…+0.20), ends at +0.40" in second
    tuned, table, turned = run.extra["tables"]
    assert tuned["rows"][1] == ["e-prop, LIF of 2 s", "0.0", "80.0", "0.0", "0.0", "0.0", "50.0"]
    assert table["rows"][1][1:3] == ["0.00125", f"65.0 ± {lesson.interval([60, 70])[1]:.1f}"]
    assert [row[3] for row in table["rows"]][2:] == [
        "",
        "+10.0 ± 0.0, told apart",
        "+20.0 ± 0.0, told apart",
    ]
    assert turned["rows"][1][1:] == ["+0.00 (+0.00…+0.00)", "+0.20 (+0.20…+0.20)", "42,000"]


def test_cosines_come_with_their_range() -> None:
    assert lesson.with_range([0.28, 0.07, 0.99]) == "+0.45 (+0.07…+0.99)"


def test_reach_sets_the_first_cue_beside_the_last_steps(monkeypatch) -> None:
    """A loss whose error is 3 at each input of the first cue, 0.5 in the last 15 steps, 9 elsewhere."""
    weight = torch.full((120, 1, 1), 9.0)
    weight[5:15], weight[-15:] = 3, 0.5
    monkeypatch.setattr(lesson, "forward_all", lambda net, x, y, cut: ((weight * x).sum(), None))
    net = AdaptiveNet((40, 4, 2), torch.Generator())
    x, y = lesson.cue_trials(6, 15, torch.Generator())
    assert lesson.reach(net, x, y) == pytest.approx(6)


def test_cue_networks_answer_fresh_trials(tmp_path: Path, monkeypatch) -> None:
    """Whatever is learnt, the network says 1: the share of trials with more cues on the right."""
    drawn = []
    real = lesson.cue_trials

    def cue_trials(batch, wait, generator):
        x, y = real(batch, wait, generator)
        drawn.append(y)
        return x, y

    def always_one(net, x, y, cut=False):
        return torch.zeros(()), torch.tensor([[0.0, 1.0]]).expand(len(y), 2)

    nothing = Learnt((None, None, None), torch.tensor([[1.0, 0.0]]))
    monkeypatch.setattr(lesson, "cue_trials", cue_trials)
    monkeypatch.setattr(lesson, "forward_all", always_one)
    monkeypatch.setattr(lesson, "bptt", lambda *_: nothing)
    monkeypatch.setattr(lesson, "cosines", lambda *_: [0.5, 0, 0])
    monkeypatch.setitem(lesson.RULES, "e-prop", lambda *_: nothing)
    found = lesson.train_cues(tiny(tmp_path, iterations=2), None, "e-prop", {}, 1e-2, 0)
    probe, *batches, last = drawn
    assert found["right"] == pytest.approx(last.float().mean().item())
    assert found["curve"] == pytest.approx([(y == 0).float().mean().item() for y in batches])
    assert len(probe) == 32 and len(last) == 20


def test_train_arms_hands_out_every_task_once_and_resumes(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    cfg = tiny(tmp_path, iterations=1, num_hidden=4)
    todo = [("e-prop, LIF of 20 ms", 1e-2, 0), ("BPTT, adaptive", 2e-2, 1)]
    found = lesson.train_arms(cfg, begin(cfg, "x"), todo)
    assert list(found) == todo and all(len(r["curve"]) == 1 for r in found.values())
    cfg = tiny(tmp_path, iterations=1, num_hidden=4, resume=True)
    run = begin(cfg, "x")
    assert lesson.train_arms(cfg, run, todo) == found
    assert run.resumed == ["2 of 2 points of the sweep"]
    cfg = tiny(tmp_path, iterations=2, num_hidden=4, resume=True)
    run = begin(cfg, "x")
    lesson.train_arms(cfg, run, todo[:1])
    assert run.resumed == [], "other settings, another training"
    monkeypatch.setitem(lesson.ARMS, "BPTT, adaptive", ("BPTT", {"b": 0.2}))
    cfg = tiny(tmp_path, iterations=1, num_hidden=4, resume=True)
    run = begin(cfg, "x")
    lesson.train_arms(cfg, run, todo[1:])
    assert run.resumed == [], "other options of the network, another training"
    capsys.readouterr()


# -------------------------------------------------------------------- 6  three rules


def test_memory_of_both_rules() -> None:
    net = AdaptiveNet((40, 10, 2), torch.Generator().manual_seed(0))
    trials = {T: (torch.rand(T, 1, 40) < 0.1).float() for T in (20, 40, 80)}
    kept = [lesson.bptt_bytes(net, x) for x in trials.values()]
    # as section 6 says: inputs, spikes and ψ of each step
    assert (kept[2] - kept[1]) / 40 == pytest.approx(4 * (40 + 2 * 10), rel=0.02)
    # x̄ for 50 presynaptic neurons, ε for 10 × 50 synapses, and U, a, S, ψ of 10 neurons
    assert {lesson.eprop_bytes(net, x) for x in trials.values()} == {4 * (50 + 500 + 40)}


def test_section_rules(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lesson, "bptt_bytes", lambda net, x: 1000 + 240 * len(x))
    monkeypatch.setattr(lesson, "eprop_bytes", lambda net, x: 10_600)
    run = run_section(lesson.section_rules, tmp_path)
    assert run.value("memory_slope") == pytest.approx(240)
    assert run.value("crossing") == pytest.approx(40)
    # of 240 bytes 4·(40 + 8) are spikes of inputs and neurons, for which 6 bytes would do
    assert run.value("crossing_bits") == pytest.approx(9600 / (240 - 192 + 6), abs=0.05)
    assert run.value("memory_growth") == 1
    assert "c = 7.5 numbers" in run.findings[0]["text"], "240 bytes, 8 neurons"
    assert "it would be 54 bytes a step, and 178 steps" in run.findings[0]["text"]
    assert [f["main"] for f in run.findings] == [False], "no headline without sections 3 and 5"
    run.results |= {3: 84.0, 5: (97.0, 98.0)}
    run.claims.clear()
    lesson.section_rules.run(run.cfg, run)
    headline = run.findings[-1]
    assert headline["main"] and headline["claim"] == "stdp_accuracy"
    assert "84.0 % of MNIST's test images" in headline["text"]
    assert "97.0 % right in a task whose cues are a second old; BPTT 98.0 %" in headline["text"]


def test_what_is_as_good_as_nothing_is_said_to_be_so() -> None:
    values = (2.7e-21, 0.9e-9, 1.1e-9, 0.0283, 61_234.0)
    said = [lesson.or_nothing(value) for value in values]
    assert said[:2] == 2 * ["below 10⁻⁹"] and said[2].startswith("1.1·10")
    assert said[3:] == ["0.028", "61,000"]


def test_interval_is_students() -> None:
    mean, half = lesson.interval([1.0, 2.0, 4.0])
    low, high = stats.t.interval(0.95, 2, loc=mean, scale=stats.sem([1.0, 2.0, 4.0]))
    assert mean == pytest.approx(7 / 3) and (mean - half, mean + half) == pytest.approx((low, high))
