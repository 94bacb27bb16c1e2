"""Lesson 15: STDP and e-prop against oracles, and every number it publishes against another way to it."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

from common.data import mnist
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
        ends = [lesson.one_neuron(20, sign, 40, 3 + i)[-1] for i in range(2)]
        assert run.value(name) == pytest.approx(np.mean([a - b for a, b in ends]))
    text = run.findings[0]["text"]
    assert "+0.61·A₊ if the presynaptic spike comes 10 ms before" in text and "−0.57·A₊ if" in text


def test_inputs_that_fire_together_win_and_lose() -> None:
    hebbian, anti, none = (lesson.one_neuron(100, sign, 40, 1) for sign in (1, -1, 0))
    assert hebbian[-1, 0] - hebbian[-1, 1] > 0.1 and anti[-1, 0] - anti[-1, 1] < -0.02
    assert np.allclose(none, 0.5), "without the rule nothing changes"
    assert hebbian[0, 0] == pytest.approx(0.5, abs=0.1), "the first second is noted first"
    assert hebbian.min() >= 0 and hebbian.max() <= 1


# -------------------------------------------------------------------- 2, 3  the layer


def show(images, w, threshold, num_steps, learn=True, inhibit=True, rise=0.1, seed=0):
    """``present`` on copies: counts, weights and thresholds after it."""
    w, threshold = w.copy(), threshold.copy()
    counts = np.zeros((len(images), w.shape[1]), np.int32)
    rates = np.float32(rise), np.float32(0.01)
    lesson.present(images, w, threshold, counts, num_steps, learn, inhibit, *rates, seed)
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
    layer(x, learn=True)
    layer.name_neurons(x, y)
    assert layer.accuracy(x_test, y_test) > 0.5  # guessing: 0.1
    assert torch.allclose(layer.w.sum(0), torch.tensor(78.4), rtol=1e-3) and (layer.w >= 0).all()
    kept = {k: v.clone() for k, v in layer.state_dict().items()}
    first, again, other = layer(x[:20]), layer(x[:20]), layer(x[:20], noise=1)
    assert all(torch.equal(v, kept[k]) for k, v in layer.state_dict().items())
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_neurons_are_named_and_vote_by_means(tmp_path: Path, monkeypatch) -> None:
    layer, y = lesson.Layer(tiny(tmp_path, neurons=10), 0), torch.tensor([4, 4, 4, 7])
    counts = torch.zeros(4, 10)
    counts[:3, 0], counts[3, 0] = 2, 1  # more for a 4 in sum and on average
    counts[:3, 1], counts[3, 1] = 1, 2  # more for 4s in sum, but for a 7 on average
    monkeypatch.setattr(lesson.Layer, "forward", lambda self, images, noise: counts)
    layer.name_neurons(torch.zeros(4), y)
    assert layer.names[:2].tolist() == [4, 7]
    # One neuron named 3 fires three times, two named 2 fire twice each: 3 is ahead on average.
    layer.names = torch.tensor([3, 2, 2, *[5] * 7])
    votes = torch.tensor([[3, 2, 2, *[0] * 7]])
    monkeypatch.setattr(lesson.Layer, "forward", lambda self, images, noise: votes)
    assert layer.answer(torch.zeros(1)).tolist() == [3]
    assert layer.accuracy(torch.zeros(1), torch.tensor([2])) == 0


class FakeLayer(lesson.Layer):
    """Knows which images it is asked about; ``script(layer, part)`` says how well it answers."""

    data = marked_splits()
    asked: list[str] = []
    script = staticmethod(lambda layer, part: 0.0)

    def part(self, images) -> str:
        for part in ("train", "val", "test"):
            if len(images) and torch.equal(images[:1], getattr(self.data, f"x_{part}")[:1]):
                return part
        return "none"

    def forward(self, images, learn=False, noise=0):
        self.asked.append("learn" if learn else self.part(images))
        counts = torch.zeros(len(images), len(self.threshold))
        counts[:, : 18 if self.rise else 2] = 1
        return counts

    def accuracy(self, images, y) -> float:
        self.asked.append(self.part(images))
        return self.script(self, self.part(images))


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


def test_section_competition_asks_validation_images(tmp_path: Path, fake) -> None:
    def script(layer, part):
        assert part == "val"
        if not layer.inhibit:
            return 0.2
        return 0.8 + 0.1 * layer.seed if layer.rise else 0.3

    asked = fake(script)
    run = run_section(lesson.section_competition, tmp_path, train_images=20, num_steps=2)
    found = [run.value(name) for name in ("no_inhibition", "fixed", "both")]
    assert found == pytest.approx([0.2, 0.3, 0.85])
    # 2 of 20 neurons give all spikes in one arm, 18 in the other: 90 % come from 2 and from 17
    assert run.value("busy_fixed") == 2 and run.value("busy_both") == 17
    assert "test" not in asked and "Each seed of it beats" in run.findings[0]["text"]
    assert next(c.n for c in run.claims if c.id == "both") == 2 * len(FakeLayer.data.y_val)


def test_section_images_one_split_and_the_test_set_last(tmp_path: Path, fake) -> None:
    """Two layers, asked after 10 and after 20 images: 0.5, 0.6 and 0.6, 0.8 on validation; 0.4, 0.6 on test."""
    told = {0: iter([0.5, 0.6]), 1: iter([0.6, 0.8])}

    def script(layer, part):
        return next(told[layer.seed]) if part == "val" else 0.4 + 0.2 * layer.seed

    asked = fake(script)
    flags = {"train_images": 10, "epochs": 2, "num_steps": 2}
    run = run_section(lesson.section_images, tmp_path, **flags)
    assert run.value("stdp_accuracy") == pytest.approx(0.5)
    assert run.value("stdp_few") == pytest.approx(0.55) and run.value("stdp_all") == pytest.approx(
        0.7
    )
    assert run.value("more_images") == pytest.approx(15) and run.value("easier") == pytest.approx(
        20
    )
    half = stats.t.ppf(0.975, 1) * np.std([10, 20], ddof=1) / math.sqrt(2)
    assert f"+15.0 ± {half:.1f} points" in run.findings[0]["text"]
    assert "the seeds do not tell" in run.findings[0]["text"]
    tests = [i for i, part in enumerate(asked) if part == "test"]
    first = asked.index("test")
    assert "learn" not in asked[first:] or asked[first:].count("learn") == 2, (
        "once a layer, at its end"
    )
    assert len([i for i in tests if i <= first]) == 1
    claim = next(c for c in run.claims if c.id == "stdp_accuracy")
    assert claim.target == ">= 0.83" and claim.n == 2 * len(FakeLayer.data.y_test)
    assert run.ledger_rows[0]["accuracy"] == 0.4, "the ledger's row is of the first layer"


@pytest.mark.parametrize(
    ("ends", "said"), [((0.7, 0.72), "more rightly"), ((0.3, 0.31), "fewer rightly")]
)
def test_section_images_says_which_way_it_went(tmp_path: Path, fake, ends, said) -> None:
    told = {0: iter([0.5, ends[0]]), 1: iter([0.5, ends[1]])}
    fake(lambda layer, part: next(told[layer.seed]) if part == "val" else 0.5)
    flags = {"train_images": 10, "epochs": 2, "num_steps": 2}
    run = run_section(lesson.section_images, tmp_path, **flags)
    assert f"images: {said}" in run.findings[0]["text"]


def test_a_layer_that_was_cut_goes_on_as_if_it_had_not_been(tmp_path: Path, monkeypatch) -> None:
    data = mnist(source="stand-in")

    def trained(folder: Path, stop: int = 9, **flags):
        cfg = tiny(folder, train_images=40, epochs=3, num_steps=30, neurons=10, **flags)
        run, count, real = begin(cfg, "x"), 0, lesson.save_checkpoint

        def save(*args) -> None:
            nonlocal count
            real(*args)
            count += 1
            if count == stop:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(lesson, "save_checkpoint", save)
            patch.setattr(lesson, "stops", lambda cfg: [25, 40, 80, 120])
            return lesson.train_layer(cfg, run, data, 1), run

    (whole, curve, test), run = trained(tmp_path / "whole")
    assert run.resumed == [] and len(curve) == 4
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", stop=2)
    (again, again_curve, again_test), run = trained(tmp_path / "cut", resume=True)
    assert (
        len(run.resumed) == 1
        and torch.equal(whole.w, again.w)
        and torch.equal(whole.names, again.names)
    )
    assert curve == again_curve and test == again_test


def test_stops_hold_ten_thousand_and_each_pass() -> None:
    assert lesson.stops(lesson.Config()) == [2500, 5000, 10_000, 20_000, 40_000, 55_000]
    assert lesson.stops(lesson.Config(train_images=3000, epochs=2)) == [2500, 3000, 6000]


def test_costs_of_a_layer_count_input_spikes(tmp_path: Path) -> None:
    data, layer = marked_splits(), lesson.Layer(tiny(tmp_path), 0)  # its test images are white
    row = lesson.layer_costs(layer, data, 0.5, tiny(tmp_path, num_steps=100))
    white = data.x_test.float().mean().item() / 255
    assert row["synops"] == pytest.approx(
        784 * white * 20 * 20, rel=1e-4
    )  # 200 Hz, 100 ms, 20 neurons
    assert row["parameters"] == 785 * 20 and row["spikes"] >= row["synops"] / 20


# -------------------------------------------------------------------- 4  e-prop


def small(seed: int, b: float, gain: float, beta: float = 0.8):
    """A little network in double precision, with an input and its classes."""
    generator = torch.Generator().manual_seed(seed)
    net = AdaptiveNet((5, 7, 3), generator, b=b, gain=gain, beta=beta).double()
    x = (torch.rand(30, 4, 5, generator=generator) < 0.4).double()
    return net, x, torch.randint(0, 3, (4,), generator=generator)


def same(ours: Learnt, theirs: Learnt) -> bool:
    pairs = zip(ours.grads, theirs.grads, strict=True)
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in pairs)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6), b=st.sampled_from([0.0, 0.1, 0.5]), recall=st.integers(1, 30),
    gain=st.sampled_from([0.0, 1.0, 2.0]),
)  # fmt: skip
def test_eprop_drops_the_path_through_other_neurons_and_nothing_else(seed, b, recall, gain) -> None:
    net, x, y = small(seed, b, gain)
    ours = eprop(net, x, y, recall)
    assert same(ours, bptt(net, x, y, recall, cut=True))
    if gain == 0:
        whole = bptt(net, x, y, recall)
        assert torch.allclose(ours.grads[0], whole.grads[0]), "nothing passes through other neurons"


def test_bptt_is_the_gradient_of_the_mean_cross_entropy_and_both_answer_alike() -> None:
    net, x, y = small(3, 0.2, 1.0)
    ours, theirs = eprop(net, x, y, 12), bptt(net, x, y, 12)
    state, losses, shares = net.rest(4), [], []
    for x_t in x:
        out, state = net(x_t, state)
        losses.append(F.cross_entropy(out, y))
        shares.append(out.softmax(1))
    wanted = torch.autograd.grad(torch.stack(losses[-12:]).mean(), [net.w_in, net.w_out])
    assert torch.allclose(theirs.grads[0], wanted[0]) and torch.allclose(theirs.grads[2], wanted[1])
    assert torch.allclose(theirs.grads[2], ours.grads[2]) and not same(ours, theirs)
    assert torch.allclose(ours.answer, torch.stack(shares[-12:]).mean(0))
    assert torch.allclose(theirs.answer, ours.answer) and ours.rate == pytest.approx(theirs.rate)


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
    symmetric, random = eprop(net, x, y, 12), lesson.eprop_random(net, x, y, 12)
    for learnt in (symmetric, random, bptt(net, x, y, 12)):
        assert (learnt.grads[1].diagonal() == 0).all()
    assert (net.w_rec.diagonal() == 0).all()
    assert torch.equal(symmetric.grads[2], random.grads[2])
    assert not torch.allclose(symmetric.grads[0], random.grads[0])
    with torch.no_grad():
        net.random_feedback.copy_(net.w_out)
    assert same(lesson.eprop_random(net, x, y, 12), symmetric)


def test_the_watched_synapse_follows_equation_8() -> None:
    x = (torch.rand(60, 2, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    for b in (0.0, 0.1):
        spk, mem, threshold, pre, slow, trace = lesson.watch_one_synapse(x, b)
        psi = 0.5 * (1 - ((mem - threshold) / 0.6).abs()).clamp(min=0)
        x_bar = eps = e = a = 0.0
        for t in range(60):
            eps = lesson.SLOW * eps + e if b else 0.0
            x_bar = lesson.FAST * x_bar + x[t, 0].item()
            e = psi[t].item() * (x_bar - b * eps)
            assert (pre[t].item(), slow[t].item(), trace[t].item()) == pytest.approx(
                (x_bar, eps, e), abs=1e-5
            )
            assert threshold[t].item() == pytest.approx(0.6 + b * a, abs=1e-5)
            a = lesson.SLOW * a + spk[t].item() if t + 1 < 60 else a
        assert spk.sum() > 0


def test_section_eprop_compares_layer_by_layer(tmp_path: Path, monkeypatch) -> None:
    """Gradients in the plane: e-prop at angles with cosine 0.6, 0.8 and 1 to BPTT's, random feedback at −1."""
    one = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    turned = [
        torch.tensor([[c, math.sqrt(1 - c * c)]], dtype=torch.float64) for c in (0.6, 0.8, 1.0)
    ]
    answer = torch.zeros(1)
    monkeypatch.setattr(lesson, "eprop", lambda *_: Learnt(tuple(turned), answer, 0.1))
    monkeypatch.setattr(lesson, "eprop_random", lambda *_: Learnt((-one, -one, one), answer, 0.1))

    def fake_bptt(net, x, y, recall, cut=False):
        return Learnt(tuple(turned) if cut else (one, one, one), answer, 0.1)

    monkeypatch.setattr(lesson, "bptt", fake_bptt)
    run = run_section(lesson.section_eprop, tmp_path)
    assert [run.value(f"cosine_{k}") for k in ("in", "rec", "out")] == pytest.approx([0.6, 0.8, 1])
    assert run.value("cut") == 0 and run.value("cosine_random") == pytest.approx(-1)
    assert run.value("cosine_strong") == pytest.approx(0.6)
    table = run.extra["tables"][0]["rows"]
    assert table[0] == ["W_in", "0.60", f"{math.hypot(0.4, 0.8):.2f}", "-1.00"]
    assert "change the first of these by +0.00 ± 0.00" in run.findings[0]["text"]


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
    found = lesson.train_cues(cfg, "e-prop, adaptive", 4e-2, 0)
    assert np.mean(found["curve"][-5:]) > 0.75 > np.mean(found["curve"][:3])
    assert -1 <= found["before"] <= 1 and 0 < found["rate"] < 1


def test_section_cues_reports_new_networks_at_the_best_rates(tmp_path: Path, monkeypatch) -> None:
    """Each arm is best at another rate with the network that chooses; two others are reported."""
    best = dict(zip(lesson.ARMS, (5e-3, 1e-2, 2e-2, 4e-2, 1e-2), strict=True))
    base = dict(zip(lesson.ARMS, (0.5, 0.6, 0.7, 0.8, 0.9), strict=True))
    calls = []

    def train_all(cfg, run, todo):
        calls.append(todo)
        found = {}
        for name, lr, seed in todo:
            right = base[name] + 0.1 * seed if seed < 1000 else float(lr == best[name])
            found[name, lr, seed] = {
                "right": right, "curve": [0.5], "before": 0.1, "after": 0.3, "rate": 0.1,
            }  # fmt: skip
        return found

    monkeypatch.setattr(lesson, "train_all", train_all)
    run = run_section(lesson.section_cues, tmp_path, smoke=False, seeds=2, iterations=1)
    tuning, final = calls
    assert {seed for _, _, seed in tuning}.isdisjoint({seed for _, _, seed in final})
    assert {(name, lr) for name, lr, _ in final} == set(best.items())
    assert {seed for _, _, seed in final} == {0, 1} and len(tuning) == 20
    keys = ("cue_lif", "cue_lif_slow", "cue_eprop", "cue_random", "cue_bptt")
    assert [run.value(k) for k in keys] == pytest.approx([0.55, 0.65, 0.75, 0.85, 0.95])
    assert next(c for c in run.claims if c.id == "cue_eprop").target == ">= 0.95"
    assert run.results[5] == pytest.approx((75, 95))
    text = run.findings[0]["text"]
    assert "BPTT gets 95.0 % (+20.0 ± 0.0 points" in text and "+0.10 at the start and +0.30" in text
    assert run.extra["tables"][0]["rows"][0][3] == "10", "0.1 spikes in a step of 10 ms are 10 Hz"


def test_train_all_hands_out_every_task_once_and_resumes(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    cfg = tiny(tmp_path, iterations=1, num_hidden=4)
    todo = [("e-prop, LIF of 20 ms", 1e-2, 0), ("BPTT, adaptive", 2e-2, 1)]
    found = lesson.train_all(cfg, begin(cfg, "x"), todo)
    assert set(found) == set(todo) and all(len(r["curve"]) == 1 for r in found.values())
    cfg = tiny(tmp_path, iterations=1, num_hidden=4, resume=True)
    run = begin(cfg, "x")
    assert lesson.train_all(cfg, run, todo) == found and run.resumed == [
        "2 of 2 points of the sweep"
    ]
    cfg = tiny(tmp_path, iterations=2, num_hidden=4, resume=True)
    run = begin(cfg, "x")
    lesson.train_all(cfg, run, todo[:1])
    assert run.resumed == [], "other settings, another training"
    capsys.readouterr()


# -------------------------------------------------------------------- 6  three rules


def test_memory_of_both_rules() -> None:
    net = AdaptiveNet((40, 10, 2), torch.Generator().manual_seed(0))
    trials = {T: (torch.rand(T, 1, 40) < 0.1).float() for T in (20, 40, 80)}
    kept = [lesson.bptt_bytes(net, x) for x in trials.values()]
    assert kept[1] > kept[0] and (kept[2] - kept[1]) / 40 == pytest.approx((kept[1] - kept[0]) / 20)
    # x̄ for 50 presynaptic neurons, ε for 10 × 50 synapses, and U, a, S, ψ of 10 neurons
    assert {lesson.eprop_bytes(net, x) for x in trials.values()} == {4 * (50 + 500 + 40)}


def test_section_rules(tmp_path: Path, monkeypatch) -> None:
    right = iter([0.9, 0.92])
    monkeypatch.setattr(lesson, "supervised", lambda *_: next(right))
    monkeypatch.setattr(lesson, "seconds_of", lambda rule, *_: 0.3 if rule is eprop else 0.2)
    monkeypatch.setattr(lesson, "bptt_bytes", lambda net, x: 1000 + 50 * len(x))
    monkeypatch.setattr(lesson, "eprop_bytes", lambda net, x: 3000)
    run = run_section(lesson.section_rules, tmp_path)
    assert run.value("memory_slope") == pytest.approx(50) and run.value(
        "crossing"
    ) == pytest.approx(40)
    assert run.value("memory_growth") == 1 and run.value("slower") == pytest.approx(1.5)
    assert run.value("labels") == pytest.approx(0.91)
    assert [f["main"] for f in run.findings] == [False], "no headline without sections 3 and 5"
    run.results |= {3: 0.84, 5: (97.0, 98.0)}
    right = iter([0.9, 0.92])
    run.claims.clear()
    lesson.section_rules.run(run.cfg, run)
    headline = run.findings[-1]
    assert headline["main"] and headline["claim"] == "stdp_accuracy"
    assert (
        "84.0 % of MNIST's test images" in headline["text"]
        and "97.0 % of a task" in headline["text"]
    )


def test_the_taught_network_is_scored_on_test_images(tmp_path: Path, monkeypatch) -> None:
    """Whatever is learnt, the read-out says 2: three quarters of the marked test labels."""
    nothing = (torch.zeros(10, 784), None, torch.zeros(10, 10))
    monkeypatch.setattr(lesson, "eprop", lambda *_: Learnt(nothing, None, 0.0))
    two = torch.eye(10)[2]
    monkeypatch.setattr(
        lesson, "forward_all", lambda net, x, y, r: (0.0, two.expand(len(y), 10), 0.0)
    )
    cfg = tiny(tmp_path, neurons=10, train_images=20, num_steps=2)
    assert lesson.supervised(cfg, marked_splits(), 0) == 0.75


def test_the_taught_network_learns(tmp_path: Path) -> None:
    x, y, x_test, y_test = digits()
    data = SimpleNamespace(x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    cfg = tiny(tmp_path, neurons=40, train_images=len(x), num_steps=10)
    assert lesson.supervised(cfg, data, 0) > 0.4


def test_interval_is_students() -> None:
    mean, half = lesson.interval([1.0, 2.0, 4.0])
    low, high = stats.t.interval(0.95, 2, loc=mean, scale=stats.sem([1.0, 2.0, 4.0]))
    assert mean == pytest.approx(7 / 3) and (mean - half, mean + half) == pytest.approx((low, high))
