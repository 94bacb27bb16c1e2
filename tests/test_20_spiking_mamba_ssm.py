"""Lesson 20: the forms of a linear neuron, the rounds, chance and selectivity, and every published number."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from types import SimpleNamespace

from multistep import unroll
from training.arms import LADDER

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from helpers import check_refused, load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits
from scipy import stats
from scipy.linalg import expm

lesson = load_script("20_spiking_mamba_ssm")
Kind, Net = lesson.Kind, lesson.Net


def tiny(folder: Path, **flags) -> lesson.Config:
    """A Config whose trainings take a tenth of a second."""
    return lesson.Config(**{**lesson.SMOKE, "smoke": True, "out_dir": folder, **flags})


# -------------------------------------------------------------------- 1  one neuron


@pytest.mark.parametrize("dt", [0.05, 0.4])
def test_zero_order_hold_against_the_matrix_exponential(dt: float) -> None:
    """e^(Δ·[[A, 1], [0, 0]]) holds a and b in its first row; no formula of the lesson is used."""
    A = torch.tensor([-0.5 + 0j, -0.3 + 4j])
    a, b = lesson.zero_order_hold(A, dt)
    for n in range(2):
        block = expm(dt * np.array([[A[n].item(), 1], [0, 0]]))
        assert np.allclose(block[0], [a[n].item(), b[n].item()], atol=1e-5)


def test_euler_is_right_to_its_order() -> None:
    """Twice as many steps over a fixed time: half the error."""
    A = torch.tensor([-0.5 + 3j], dtype=torch.complex128)
    errors = []
    for n in (200, 400):
        a, b = lesson.euler(A, 1 / n)
        h = b * (1 - a**n) / (1 - a)
        errors.append((h - (torch.exp(A) - 1) / A).abs().item())
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)


def test_section_membrane(tmp_path: Path) -> None:
    run = run_section(lesson.section_membrane, tmp_path)
    assert run.value("lif") <= 1e-6
    size = abs(complex(1 - 0.05, 0.3 * math.pi))
    assert run.value("euler") == pytest.approx(196 * math.log10(size), rel=1e-5)
    text = run.findings[0]["text"]
    assert f"Zero-order hold takes it to {math.exp(-0.05):.3f}, Euler's rule to {size:.3f}" in text


# -------------------------------------------------------------------- 2  all steps at once


@settings(max_examples=40, deadline=None)
@given(
    T=st.integers(1, 200),
    seed=st.integers(0, 2**31 - 1),
    kind=st.sampled_from([torch.float32, torch.complex64]),
)
def test_scan_and_steps_equal_the_loop(T: int, seed: int, kind: torch.dtype) -> None:
    g = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(T, 2, 3, dtype=kind, generator=g) for _ in range(2))
    a = a / a.abs().clamp(min=1)
    truth, h = [], torch.zeros(2, 3, dtype=kind)
    for t in range(T):
        h = a[t] * h + b[t]
        truth.append(h)
    truth = torch.stack(truth)
    for way in (lesson.scan, lesson.steps):
        assert (way(a, b) - truth).abs().max() <= 1e-4 * truth.abs().max()


def test_the_scan_takes_logarithmically_many_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds, scan = [], lesson.scan
    monkeypatch.setattr(lesson, "scan", lambda a, b: rounds.append(len(a)) or scan(a, b))
    lesson.scan(torch.ones(1024, 1), torch.ones(1024, 1))
    assert rounds == [2**k for k in range(10, -1, -1)]  # down and up again: 2·log₂T in all


@pytest.mark.parametrize("kind", [torch.float64, torch.complex128])
def test_the_backward_recursion_against_finite_differences(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    a, b = (torch.randn(7, 2, dtype=kind, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lesson.Recurrence.apply, (a, b))


def test_states_and_kernel_give_the_potentials_of_walk() -> None:
    torch.manual_seed(0)
    a = torch.exp(0.3 * lesson.s4d(3)).repeat(2, 1)
    weight, x = torch.randn(2, 3, dtype=torch.complex64), torch.randn(40, 1, 2)
    truth = torch.stack([lesson.walk(a[h], weight[h], x[:, 0, h]) for h in range(2)], 1)
    ways = [lesson.by_states(recursion, x, a, weight) for recursion in (lesson.steps, lesson.scan)]
    for got in (*ways, lesson.by_kernel(x, a, weight)):
        assert torch.allclose(got[:, 0], truth, atol=1e-4)


def test_section_scan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # loop, scan, convolution, convolution with its kernel given; two lengths
    clock = iter([(6.0, 2.0, 3.0, 1.0), (12.1, 3.0, 4.0, 0.5)])
    compared = []

    def timed(calls, rounds, device):
        compared.append([call() for call in calls.values()])
        return {name: [ms] for name, ms in zip(calls, next(clock), strict=True)}

    monkeypatch.setattr(lesson, "timed", timed)
    run = run_section(lesson.section_scan, tmp_path)
    for loop, *others in compared:  # the same work: from x to U
        assert all(torch.allclose(other, loop, atol=1e-3) for other in others)
    assert run.value("agree") <= 1e-4 and run.value("scan_speed") == 4.0
    assert run.value("kernel_built") == 88  # per cent, of 1 − 0.5/4
    text = run.findings[0]["text"]
    assert "1/4 of the time of a loop in Python, the convolution 1/3, of which 88 % goes" in text


def test_what_section_2_says_of_snntorchs_neurons_without_a_reset() -> None:
    neuron = snn.StateLeaky(beta=0.5, channels=1)
    pulse = torch.zeros(3, 1, 1)
    pulse[0] = 1.0
    _, mem = neuron(pulse)
    assert (mem[1] / mem[0]).item() == pytest.approx(0.607, abs=5e-4)
    torch.manual_seed(0)
    neuron = snn.AssociativeLeaky(8, 4, 4, 16, use_q_projection=False)
    neuron.output = False  # the states, not the spikes
    x = torch.randn(40, 1, 8)
    with torch.no_grad():
        v, k, alpha = neuron.to_v(x), neuron.to_k(x), torch.sigmoid(neuron.to_alpha(x))
        written = torch.einsum("tbd,tbn->tbdn", v, k)
        truth = lesson.steps(alpha.unsqueeze(2).expand_as(written), written).flatten(2)
        got = neuron(x)
    wrong = [lesson.apart(got[t], truth[t]) for t in range(40)]
    assert max(wrong[:3]) < 1e-5 and max(wrong[:10]) < 0.01 and min(wrong[20:]) > 0.01


# -------------------------------------------------------------------- 3  the reset, in parallel


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    beta=st.sampled_from([0.0, 0.5, 0.9, 0.98]),
    mean=st.floats(0.0, 0.6),
    T=st.integers(1, 60),
)
def test_rounds_end_at_the_spikes_of_leaky(seed: int, beta: float, mean: float, T: int) -> None:
    cur = mean + 0.3 * torch.randn(T, 2, 3, generator=torch.Generator().manual_seed(seed))
    true, mem, _ = unroll(snn.Leaky(beta=beta), cur, record_mem=True)
    if (mem - 1).abs().min() < 1e-4:
        return  # a potential within rounding of θ: either is right
    guesses = lesson.rounds(cur, beta)
    assert len(guesses) <= T + 1 and torch.equal(guesses[-1], true)
    for k, guess in enumerate(guesses, 1):
        assert torch.equal(guess[:k], true[:k]), "after round k the first k steps are right"


def test_parallel_leaky_has_the_gradient_of_the_loop() -> None:
    cur = (0.2 + 0.3 * torch.randn(50, 2, 4)).requires_grad_()
    lif = snn.Leaky(beta=0.9, spike_grad=lesson.fire)
    mem, out = lif.init_leaky(), []
    for cur_t in cur:
        spk, mem = lif(cur_t, mem)
        out.append(spk)
    weight = torch.randn(50, 2, 4)
    (truth,) = torch.autograd.grad((torch.stack(out) * weight).sum(), cur)
    (got,) = torch.autograd.grad((lesson.parallel_leaky(cur, 0.9) * weight).sum(), cur)
    assert torch.allclose(got, truth, atol=1e-4)
    spk = lesson.by_loop(cur, 0.9)  # what the rounds are timed against does the same
    (by_loop,) = torch.autograd.grad((spk * weight).sum(), cur)
    assert torch.equal(spk, torch.stack(out)) and torch.allclose(by_loop, truth, atol=1e-4)


def test_joined_steps_with_a_reset_are_a_line_of_dozens_of_pieces() -> None:
    """20 steps with the noise of section 3, as a function of U before them: where its spikes change, a piece ends."""
    for seed in range(3):
        cur = 0.15 + 0.3 * torch.randn(20, generator=torch.Generator().manual_seed(seed))
        mem = torch.linspace(-3, 3, 200_001)
        spk, trains = torch.zeros_like(mem), []
        for cur_t in cur:
            mem = 0.99 * mem + cur_t - spk
            spk = (mem > 1).float()
            trains.append(spk)
        trains = torch.stack(trains)
        pieces = 1 + (trains[:, 1:] != trains[:, :-1]).any(0).sum().item()
        assert 15 <= pieces <= 80


def test_one_pass_is_snntorchs_neuron_without_a_reset() -> None:
    cur = 0.15 + 0.3 * torch.randn(50, 2, 4)
    truth, mem, _ = unroll(snn.Leaky(beta=0.9, reset_mechanism="none"), cur, record_mem=True)
    near = (mem - 1).abs() < 1e-4
    assert truth.sum() > 0 and torch.equal(lesson.without_reset(cur, 0.9)[~near], truth[~near])


def test_section_reset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = []

    def timed(calls, rounds, device):
        names.append(list(calls))
        for call in calls.values():
            call()
            leaf = call.args[1]
            assert leaf.grad.abs().sum() > 0, "backward as well"
            leaf.grad = None
        return {name: np.array([ms]) for name, ms in zip(calls, (4.0, 20.08, 5.2), strict=True)}

    monkeypatch.setattr(lesson, "timed", timed)
    run = run_section(lesson.section_reset, tmp_path, num_steps=25, seed=4)
    cur = 0.15 + 0.3 * torch.randn(25, 8, 32, generator=torch.Generator().manual_seed(4))
    for id, beta in (("rounds_fast", 0.5), ("rounds_slow", 0.99)):
        true, _, _ = unroll(snn.Leaky(beta=beta), cur)
        spk, count = torch.zeros_like(cur), 0
        powers = beta ** (torch.arange(25)[:, None] - torch.arange(25)).clamp(min=0).float()
        while True:
            paid = torch.cat([torch.zeros(1, 8, 32), spk[:-1]])
            mem = torch.einsum("ts,sbh->tbh", powers.tril(), cur - paid)
            new, count = (mem > 1).float(), count + 1
            if torch.equal(new, spk):
                break
            spk = new
        assert run.value(id) == count - 1 and torch.equal(spk, true)
        busiest = int(true.sum(0).max())
        (row,) = [row for row in run.extra["tables"][0]["rows"] if row[0] == str(beta)]
        assert row[1:] == [str(count - 1), str(busiest), f"{(count - 1) / max(1, busiest):.1f}"]
    assert names == [["loop with reset", "rounds", "loop without"]]
    assert run.value("time_rounds") == 5 and run.value("time_pass") == 1.3
    text = run.findings[0]["text"]
    assert "take 5 times as long as a loop with the reset" in text
    assert text.endswith("a loop without it, in complex numbers, 1.3 times as long.")
    assert f"{run.value('rounds_slow'):.0f} at 0.99. On one core a loop" in run.results[3]
    assert run.results[3].endswith("without it takes 1.3 times the time of one with it.")


# -------------------------------------------------------------------- 4  arms


@given(decay=st.floats(-8, 8), omega=st.floats(-100, 100), dt=st.floats(1e-3, 10))
def test_no_parameter_makes_a_state_explode(decay: float, omega: float, dt: float) -> None:
    ssm = lesson.SSM(2, Kind(), 0.1)
    with torch.no_grad():
        ssm.log_decay.fill_(decay)
        ssm.omega.fill_(omega)
        ssm.log_dt.fill_(math.log(dt))
        assert ssm.discretise()[0].abs().max().item() <= 1


def test_real_states_do_not_ring_and_complex_ones_do() -> None:
    real, ringing = lesson.SSM(6, Kind(ringing=False), 0.2), lesson.SSM(6, Kind(), 0.2)
    assert real.discretise()[0].imag.abs().max() == 0 and not real.omega.requires_grad
    assert ringing.discretise()[0].imag.abs().min() > 0 and ringing.omega.requires_grad
    dt = lesson.SSM(50, Kind(4), 0.2).log_dt.exp()
    assert dt.max().item() == pytest.approx(0.2) and dt.min().item() == pytest.approx(0.004)


def test_the_rules_of_spiking() -> None:
    mem = torch.tensor([-0.5, 0.5, 0.99, 1.01, 2.5])
    assert lesson.by_threshold(mem).tolist() == [0, 0, 0, 1, 1]
    assert lesson.graded(mem).tolist() == pytest.approx([0, 0, 0, 0.01, 1.5], abs=1e-6)


def test_spikes_by_chance_have_their_mean_and_their_slope() -> None:
    torch.manual_seed(0)
    levels = torch.tensor([-1.5, 0.2, 1.0, 2.6, 3.5])
    mem = levels.repeat(20_000, 1).requires_grad_()
    spk = lesson.by_chance(mem)
    assert set(spk.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(spk.mean(0), torch.tensor([0, 0.3, 0.5, 0.9, 1]), atol=0.015)
    spk.sum().backward()
    assert mem.grad[0].tolist() == [0, 0.25, 0.25, 0.25, 0]


@pytest.mark.parametrize("kind", [Kind(3), Kind(ringing=False), Kind(2, rule="graded")])
def test_the_network_stepped_is_the_network_run(kind: Kind) -> None:
    torch.manual_seed(4)
    net, x = Net(kind, 12), 2 * torch.randn(40, 3, 1)
    for layer in net.layers:
        torch.nn.init.constant_(layer.norm.bias, 0.5)  # so that many neurons fire
    net.run(x)  # running means of BatchNorm that are not those of the start
    net.eval()
    with torch.no_grad():
        truth, state, out = net.run(x), [0.0] * 3, []
        for x_t in x:
            mem, state = net.step(x_t, state)
            out.append(mem)
        assert torch.allclose(torch.stack(out), truth, atol=1e-3)
        assert torch.equal(lesson.step_answers(net, x), truth[-2:].mean(0).argmax(1))
        assert all(spk.sum() > 0 for spk in net.hidden(x))


def test_arms_differ_in_one_thing_each(tmp_path: Path) -> None:
    """What section 4 subtracts: two kinds of neuron that are alike but for one of their four switches."""
    kinds = list(lesson.arms(tiny(tmp_path)).values())
    lif, lif_free, reset, ringing, many, chance, grade = kinds
    pairs = [(lif_free, lif), (ringing, lif_free), (ringing, reset), (many, ringing)]
    for one, other in [*pairs, (chance, ringing), (grade, ringing)]:
        a, b = vars(one), vars(other)
        assert sum(a[key] != b[key] for key in a) == 1
    assert lif.reset and reset.reset and not ringing.reset and not lif.ringing


def test_the_lif_arm_is_snntorchs_leaky_and_without_its_reset_the_real_arm() -> None:
    for reset in (True, False):
        torch.manual_seed(1)
        layer = lesson.Layer(3, 6, Kind(ringing=False, reset=reset), 0.2).eval()
        layer.norm.running_var.fill_(0.01)
        x = 5 * torch.randn(60, 2, 3)
        with torch.no_grad():
            a, weight = layer.ssm.discretise()
            cur = layer.fc(x) * weight.real[:, 0] / math.sqrt(0.01 + layer.norm.eps)
            mechanism = "subtract" if reset else "none"
            leaky = snn.Leaky(beta=a.real[:, 0], reset_mechanism=mechanism)
            truth, mem, _ = unroll(leaky, cur, record_mem=True)
            near = (mem - 1).abs() < 1e-4
            assert (layer(x) != truth)[~near].sum() == 0 and truth.sum() > 20


def test_the_way_back_of_the_reset_is_that_of_the_threshold_at_the_same_potentials() -> None:
    torch.manual_seed(3)
    mem, beta = (1.5 * torch.randn(40, 2, 5)).requires_grad_(), torch.full((5,), 0.9)
    spk = lesson.with_reset(mem, beta)
    paid, trace = torch.zeros(2, 5), []
    for s in spk.detach():
        trace.append(paid)
        paid = 0.9 * paid + s
    weight = torch.randn(40, 2, 5)
    (got,) = torch.autograd.grad((spk * weight).sum(), mem, retain_graph=True)
    direct = lesson.fire(mem - torch.stack(trace) - 1)
    (truth,) = torch.autograd.grad((direct * weight).sum(), mem)
    assert torch.equal(direct, spk) and torch.allclose(got, truth, atol=1e-5)


def test_the_sequence_is_the_image_pixel_by_pixel() -> None:
    image = torch.rand(2, 1, 28, 28)
    x = lesson.one_pixel_a_step(image, 784)
    assert x.shape == (784, 2, 1)
    assert (x[30, 1, 0] * 0.3 + 0.13).item() == pytest.approx(image[1, 0, 1, 2].item(), abs=1e-5)
    small = lesson.one_pixel_a_step(image, 196)
    mean = image[0, 0, 2:4, 2:4].mean().item()
    assert (small[15, 0, 0] * 0.3 + 0.13).item() == pytest.approx(mean, abs=1e-5)
    assert lesson.one_pixel_a_step(image, 20).shape == (16, 2, 1)
    eight = lesson.one_pixel_a_step(image, 196, draws=8)
    assert all(torch.equal(one, small) for one in eight.split(2, dim=1))


def test_only_the_last_steps_are_the_answer() -> None:
    mem = torch.zeros(28, 2, 10)
    mem[:26, :, 3] = 9
    mem[26:, 0, 4] = 1
    mem[26, 1, 5] = 3
    mem[27, 1, 6] = 2
    assert lesson.answer(mem).tolist() == [4, 5]
    y = torch.tensor([4, 5])
    loss = F.cross_entropy(mem[26:].mean(0), y).item()
    assert lesson.answer_loss(mem, y).item() == pytest.approx(loss)
    three_draws = torch.cat([mem, mem, 2.5 * mem.roll(1, -1)], 1)
    assert lesson.answer(three_draws, draws=3).tolist() == [5, 6]


def test_training_moves_the_states_more_slowly_and_decays_weights_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = {}
    monkeypatch.setattr(lesson, "fit", lambda net, *_, **options: seen.update(options) or [])
    net = Net(Kind(2), 4)
    lesson.train_net(net, 0.1, 7, None, tiny(tmp_path), None)
    weights, states = seen["groups"]
    assert weights["lr"] == 0.1 and states["lr"] == pytest.approx(0.03)
    assert states["weight_decay"] == 0 and len(states["params"]) == 2 * 4 and seen["seed"] == 7
    named = [*weights["params"], *states["params"]]
    assert len(named) == len(list(net.parameters()))


@pytest.mark.parametrize(("arm", "draws"), [("ringing", 0), ("ringing, by chance", 3)])
def test_an_arm_is_tuned_on_validation_and_scored_on_test_images(
    arm: str, draws: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cfg = tiny(tmp_path, num_steps=16, seeds=3)
    data = marked_splits(n_test=200)
    calls = []

    def train_net(net, lr, seed, data, cfg, run):
        calls.append((lr, seed, len(data.x_train)))
        return [{"val": {1e-2: 0.9}.get(lr, 0.5)}]

    asked = []

    def evaluate(net, x, y, encode, predict, batch_size=500):
        assert x is data.x_test and y is data.y_test
        many = encode(x[:2].float()).shape[1] // 2
        asked.append(many)
        return 0.1 * len(asked) if many == 1 else 0.8

    monkeypatch.setattr(lesson, "train_net", train_net)
    monkeypatch.setattr(lesson, "evaluate", evaluate)
    outputs = [torch.ones(4, 2, 8), torch.zeros(4, 2, 8)]
    monkeypatch.setattr(Net, "hidden", lambda self, x: outputs)
    run = SimpleNamespace(device=torch.device("cpu"))
    found = lesson.train_arm(arm, data, cfg, run)
    rates = [3e-2, 1e-2, 1e-1, 3e-3]
    assert calls[:4] == [(lr, 0, 24) for lr in rates], "tuned at the same budget, both neighbours"
    assert calls[4:] == [(1e-2, seed, 24) for seed in (1, 2, 3)], "seeds that did not choose"
    assert found["lr"] == 1e-2 and found["fires"] == 50, "half of the neurons fire in a step"
    if draws:
        assert asked == [1, 8] * 3 and found["averaged"] == [80, 80, 80]
    else:
        assert found["test"] == pytest.approx([10, 20, 30]) and not found["averaged"]


SCORES = (50.0, 60.0, 73.0, 75.0, 90.0, 69.0, 75.0)
FIRING = (3.1, 10.0, 2.4, 12.3, 14.0, 20.0, 13.0)


def stub_arms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spread=(-1, 0, 1)) -> list:
    """Arms with made-up scores in the place of trainings."""
    names = list(lesson.arms(tiny(tmp_path)))
    sizes = []

    def train_arm(arm, data, cfg, run):
        sizes.append((len(data.x_train), len(data.x_val), len(data.x_test)))
        i = names.index(arm)
        test = [SCORES[i] + more for more in spread]
        return {"lr": 0.03, "test": test, "averaged": [71.0, 72.0], "fires": FIRING[i]}

    monkeypatch.setattr(lesson, "train_arm", train_arm)
    return sizes


def test_section_arms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sizes = stub_arms(monkeypatch, tmp_path)
    run = run_section(lesson.section_arms, tmp_path, seeds=3, images=64)
    assert set(sizes) == {(64, 200, 360)} and len(sizes) == 7
    for id, gain in (("reset", 10), ("ring", 15), ("reset_ringing", 2), ("states", 15)):
        assert run.value(f"gain_{id}") == pytest.approx(gain)
    assert run.value("arm_ringing") == pytest.approx(0.75)
    assert run.value("averaged") == pytest.approx(0.715)
    text = run.findings[0]["text"]
    assert "let the state ring: +15.0 ± 0.0 (a gain)" in text
    assert "by chance, not threshold: −6.0 ± 0.0 (a loss)" in text
    assert "graded, not threshold: +0.0 ± 0.0 (open)" in text
    assert "Averaging 8 draws changes chance by +2.5." in text
    assert "LIF +10.0 ± 0.0 (a gain), ringing +2.0 ± 0.0 (a gain), at 3.2 and 5.1 times" in text
    assert text.endswith(run.results[4])


def test_the_price_of_dropping_the_reset_may_be_accuracy() -> None:
    firing = [(3.0, 10.0), (0.0, 2.0)]
    for gain, loss in ((5.0, 4), (-5.0, 14)):
        said = lesson.price({"LIF": (gain, 9.0)}, firing)
        assert f"9.0 (open: a loss of {loss} is not excluded), at 3.3 and ∞ times" in said
    said = lesson.price({"LIF": (5.0, 9.0), "ringing": (-5.0, 4.0)}, firing)
    assert said.startswith("Dropping the reset, in points: LIF +5.0 ± 9.0 (open: a loss of 4")
    assert "ringing −5.0 ± 4.0 (a loss)" in said


def test_the_intervals_of_gains_hold_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def train_arm(arm, data, cfg, run):
        test = [70.0, 72.0, 77.0] if arm == "ringing" else [60.0, 60.0, 60.0]
        return {"lr": 0.03, "test": test, "averaged": [60.0], "fires": 10.0}

    monkeypatch.setattr(lesson, "train_arm", train_arm)
    run = run_section(lesson.section_arms, tmp_path, seeds=3, images=64)
    level = 1 - 0.05 / 6
    _, high = stats.t.interval(level, 2, loc=13, scale=stats.sem([10, 12, 17]))
    assert f"let the state ring: +13.0 ± {high - 13:.1f} (" in run.findings[0]["text"]


@given(scores=st.lists(st.integers(0, 5), min_size=8, max_size=8))
def test_neither_neighbour_of_the_best_rate_beats_it(scores: list[int]) -> None:
    of, asked = dict(zip(LADDER, scores, strict=True)), []
    best = lesson.best_rate(lambda lr: asked.append(lr) or of[lr])
    i = LADDER.index(best)
    assert all(of[lr] <= of[best] for lr in LADDER[max(0, i - 1) : i + 2])
    assert set(LADDER[max(0, i - 1) : i + 2]) <= set(asked) and len(asked) == len(set(asked))


def test_arms_that_are_finished_are_taken_over(tmp_path: Path) -> None:
    done = []

    def work(arm, data, cfg, run):
        done.append(arm)
        return {"seed": cfg.seed}

    def run_of(**flags):
        return SimpleNamespace(dir=tmp_path, cfg=tiny(tmp_path, **flags), resumed=[])

    assert dict(lesson.each_arm(run_of(), work, ("a",), ())) == {"a": {"seed": 0}}
    both = run_of(resume=True)
    assert dict(lesson.each_arm(both, work, ("a", "b"), ())) == {"a": {"seed": 0}, "b": {"seed": 0}}
    assert done == ["a", "b"] and both.resumed
    other = dict(lesson.each_arm(run_of(resume=True, seed=3), work, ("a",), ()))
    assert other == {"a": {"seed": 3}}, "another seed: trained again"


def test_interval_and_verdict() -> None:
    mean, half = lesson.interval([1.0, 2.0, 4.0])
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem([1, 2, 4]))
    assert mean == pytest.approx(7 / 3) and (mean - half, mean + half) == pytest.approx((low, high))
    assert lesson.verdict(-3.0, 1.0) == "−3.0 ± 1.0"
    assert lesson.verdict(0.5, 1.0) == "+0.5 ± 1.0 (not told apart from 0)"


# -------------------------------------------------------------------- 5  a long training


def test_section_best_counts_what_it_carries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = Net(Kind(4), 8)
    monkeypatch.setattr(lesson, "best_net", lambda data, cfg, run: net)
    asked = []

    def evaluate(net, x, y, encode, predict):
        asked.append((len(x), predict))
        return 0.75

    monkeypatch.setattr(lesson, "evaluate", evaluate)
    run = run_section(lesson.section_best, tmp_path)
    assert run.value("accuracy") == 0.75 and asked == [(360, lesson.answer)], "the test images"
    assert run.value("same") == 1
    carried = (
        2 * 8 * 4 * 8 + 10 * 4
    )  # two layers, eight neurons, four complex states; ten potentials
    assert run.value("carried") == carried
    assert run.value("cache") == round(2 * 2 * 16_384 * 8 * 4 / carried)
    (row,) = run.ledger_rows
    states = 2 * 16 * 8 * 4 * 6
    assert row["macs"] == states + 16 * 8
    assert run.value("work") == pytest.approx(row["synops"] / (16 * 8 * (8 + 10)))
    assert row["energy_estimated_nj"] == pytest.approx(9e-4 * row["synops"] + 4.6e-3 * row["macs"])
    assert run.results == {5: 0.75}
    text = run.findings[0]["text"]
    here, then = (round(2 * 2 * tokens * 8 * 4 / carried) for tokens in (16, 16_384))
    assert f"{carried:,} bytes" in text
    assert f"{here:,} times as much after these 16 tokens and {then:,} times after" in text


def test_who_leads_to_the_end() -> None:
    mem = np.zeros((9, 3))
    mem[[0, 1, 5, 6, 7, 8], 2] = 1
    assert lesson.leads(mem, 2) == "digit 2 leads from step 5 on"
    assert lesson.leads(mem[5:], 2) == "digit 2 leads from step 0 on"
    assert lesson.leads(mem, 1) == "another digit leads at the end"


def test_operations_against_a_count_by_hand() -> None:
    """If every neuron fires at every step, layer 1 makes H² additions a step and layer 2 makes 10·H."""
    net = Net(Kind(3), 6).eval()
    net.hidden = lambda x: [torch.ones(20, 2, 6), torch.ones(20, 2, 6)]
    ops = lesson.operations(net, torch.zeros(20, 2, 1))
    assert ops["spikes"] == 240 and ops["synops"] == 20 * (36 + 60) == ops["dense"]
    assert ops["states"] == 2 * 20 * 6 * 3 * 6 and ops["pixels"] == 120


def test_a_missing_checkpoint_is_one_clear_line(tmp_path: Path) -> None:
    cfg = tiny(tmp_path, smoke=False, num_steps=25)
    with pytest.raises(lesson.UserError, match="spiking_ssm_25.safetensors.*--train"):
        lesson.best_net(None, cfg, SimpleNamespace(device=torch.device("cpu")))


def test_the_shipped_network_and_its_log() -> None:
    folder = Path(lesson.__file__).parent / "checkpoints"
    net = lesson.best_net(None, lesson.Config(), SimpleNamespace(device=torch.device("cpu")))
    assert sum(p.numel() for p in net.parameters()) == sum(
        p.numel() for p in Net(Kind(4), 128).parameters()
    )
    with (folder / "spiking_ssm_196.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == lesson.Config().best_epochs + lesson.Config().best_more_epochs
    assert max(float(row["val"]) for row in rows) > 0.97


@pytest.mark.parametrize(("later", "kept"), [(0.97, 2.0), (0.95, 1.0)])
def test_the_last_passes_are_kept_if_validation_says_so(
    later: float, kept: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = []

    def train_net(net, lr, seed, data, cfg, run, name, epochs):
        seen.append((lr, name, epochs))
        with torch.no_grad():
            net.fc_out.bias.fill_(len(seen))
        return [{"epoch": i + 1, "val": 0.96 if len(seen) == 1 else later} for i in range(epochs)]

    monkeypatch.setattr(lesson, "train_net", train_net)
    run = SimpleNamespace(dir=tmp_path, checkpoint=lambda net, name: None)
    net = lesson.best_net(None, tiny(tmp_path, best_epochs=2, best_more_epochs=1), run)
    assert net.fc_out.bias.eq(kept).all()
    assert seen == [(1e-2, "spiking_ssm_16", 2), (pytest.approx(3e-3), "spiking_ssm_16_more", 1)]
    with (tmp_path / "spiking_ssm_16.csv").open(encoding="utf-8") as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == [1, 2, 3]


# -------------------------------------------------------------------- 6  selectivity


def test_the_symbol_asked_for_came_three_symbols_before() -> None:
    tokens, asked = lesson.n_back_batch(40, 60, torch.Generator().manual_seed(1))
    assert 0.2 < (tokens > 0).float().mean() < 0.3 and tokens.max() == 4
    for b in range(40):
        past = []
        for t in range(60):
            symbol = tokens[t, b].item()
            expected = past[-3] - 1 if symbol and len(past) >= 3 else -1
            assert asked[t, b].item() == expected
            past += [symbol] if symbol else []


def selective(arm: str) -> lesson.SelectiveNet:
    torch.manual_seed(2)
    net = lesson.SelectiveNet(5, 3, *lesson.ARMS[arm])
    with torch.no_grad():
        for p in (net.to_delta, net.to_B, net.to_C):
            if p is not None:
                p.normal_()
    return net.eval()


@pytest.mark.parametrize("arm", list(lesson.ARMS))
def test_the_selective_layer_against_a_loop(arm: str) -> None:
    net = selective(arm)
    tokens, _ = lesson.n_back_batch(3, 20, torch.Generator().manual_seed(0))
    with torch.no_grad():
        A = torch.complex(-net.log_decay.exp(), net.omega)
        C = torch.view_as_complex(net.C)
        h, out = torch.zeros(3, 5, 3, dtype=torch.complex64), []
        for token in tokens:
            x = F.one_hot(token, 5).float()
            z = net.bias if net.to_delta is None else net.bias + net.to_delta[token]
            dt = torch.log1p(z.exp()).expand(3, 5).unsqueeze(-1)
            a = torch.exp(dt * A)
            B = 1.0 if net.to_B is None else (1 + net.to_B[token]).unsqueeze(1)
            gain = 1.0 if net.to_C is None else (1 + net.to_C[token]).unsqueeze(1)
            h = a * h + (a - 1) / A * B * net.fc(x).unsqueeze(-1)
            out.append(net.fc_out(lesson.fire(net.norm((C * gain * h).real.sum(-1)) - 1)))
        assert torch.allclose(net.run(tokens), torch.stack(out), atol=1e-4)


def test_delta_depends_on_the_token_if_it_may() -> None:
    one = torch.eye(5)
    fixed, by_delta = selective("fixed"), selective("Δ by input")
    assert fixed.delta(one).shape == (5,) and by_delta.delta(one).shape == (5, 5)
    assert (by_delta.delta(one) > 0).all() and by_delta.delta(one).std(0).min() > 0


@pytest.mark.parametrize("arm", list(lesson.ARMS))
def test_a_selective_arm_is_tuned_and_asked(
    arm: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained, asked = [], []

    def train_selective(arm, H, lr, seed, cfg, run):
        trained.append((lr, seed))
        net = lesson.SelectiveNet(4, 2, *lesson.ARMS[arm])
        net.lr, net.trained = lr, seed
        return net

    def named(net, length, seed, number=300):
        asked.append((length, seed))
        if seed == 5:
            return {1e-1: 60.0}.get(net.lr, 40.0)
        return 10.0 * net.trained + length / 40

    monkeypatch.setattr(lesson, "train_selective", train_selective)
    monkeypatch.setattr(lesson, "named", named)
    run = SimpleNamespace(device=torch.device("cpu"))
    found = lesson.train_select(arm, None, tiny(tmp_path, seeds=3), run)
    assert trained[:4] == [(lr, 0) for lr in (3e-2, 1e-2, 1e-1, 3e-1)], "tuned with its own seed"
    assert trained[4:] == [(1e-1, seed) for seed in (1, 2, 3)] and found["lr"] == 1e-1
    assert found["shares"] == [[10 * seed + n for n in (1, 2, 4)] for seed in (1, 2, 3)]
    assert {seed for _, seed in asked} == {5, 101, 102, 103}, "new sequences, the same for all arms"
    budget = lesson.count_parameters(lesson.SelectiveNet(32, 4, True, True))
    n = lesson.count_parameters(lesson.SelectiveNet(found["H"], 4, *lesson.ARMS[arm]))
    assert 0.95 * budget <= n <= budget, "equal parameters"
    delta = torch.tensor(found["delta"])
    assert delta.shape == ((4,) if arm == "fixed" else (5, 4)) and (delta > 0).all()


def stub_select(monkeypatch: pytest.MonkeyPatch, by_delta: float = 95.0) -> None:
    """Shares of right answers that are made up: three trainings, three lengths."""

    def train_select(arm, data, cfg, run):
        base = {"fixed": 50.0, "Δ by input": by_delta, "Δ, B, C by input": 96.0}[arm]
        rows = [[base + more, base + more, base + more - 10] for more in (-1, 0, 1)]
        return {"H": 4, "lr": 0.1, "shares": rows, "delta": [[0.1, 0.2]] * 5}

    monkeypatch.setattr(lesson, "train_select", train_select)
    monkeypatch.setattr(lesson, "named_by_age", lambda length, seed: 44.0 + length / 40)


def test_section_select(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stub_select(monkeypatch)
    run = run_section(lesson.section_select, tmp_path, seeds=3, updates=8)
    assert run.value("fixed") == pytest.approx(0.5) and run.value("delta") == pytest.approx(0.95)
    assert run.value("all") == pytest.approx(0.96) and run.value("by_age") == 0.45
    assert run.value("selective_gain") == pytest.approx(45)
    (finding,) = run.findings  # alone it does not answer the lesson's question
    assert "names 50 % of the symbols; by age alone it would be 45 %" in finding["text"]
    assert (
        "it names 95.0 %, in points +45.0 ± 0.0. B and C by input add +1.0 ± 0.0" in finding["text"]
    )
    assert finding["text"].endswith("goes to 40 % with a fixed Δ and to 85 % with Δ by input.")


def test_at_the_ceiling_nothing_is_said_of_b_and_c(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub_select(monkeypatch, by_delta=99.5)
    run = run_section(lesson.section_select, tmp_path, seeds=3, updates=8)
    (finding,) = run.findings
    assert "cannot show what B and C are good for" in finding["text"]
    assert "B and C by input add" not in finding["text"]


def test_the_last_finding_answers_the_question_of_the_lesson(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub_select(monkeypatch)

    def with_earlier(cfg, run):
        run.results |= {3: "It stays.", 4: "The price.", 5: 0.98}
        run.claim("accuracy", "test images", 0.98)
        return lesson.section_select.function(cfg, run)

    with_earlier.__doc__, with_earlier.__module__ = "6  What?", lesson.main.__module__
    run = run_section(lesson.section(with_earlier), tmp_path, seeds=3, updates=8)
    _, answer = run.findings
    assert answer["main"] and answer["claim"] == "accuracy"
    assert "the spike before it. It stays. Without it steps join" in answer["text"]
    assert "The price. 98.00 % is one training without a reset" in answer["text"]


def test_named_is_the_share_of_right_answers() -> None:
    net = selective("fixed")
    _, asked = lesson.n_back_batch(300, 30, torch.Generator().manual_seed(3))
    scores = F.one_hot(asked.clamp(min=0), 4).float()
    scores[:, :150] = scores[:, :150].roll(1, -1)
    net.run = lambda tokens: scores
    known = asked >= 0
    share = known[:, 150:].sum().item() / known.sum().item()
    assert lesson.named(net, 30, 3) == pytest.approx(100 * share)


def test_by_age_alone_each_symbol_votes_with_the_chance_that_it_is_asked_for() -> None:
    tokens, asked = lesson.n_back_batch(20, 30, torch.Generator().manual_seed(3))
    right, questions = 0, 0
    for b in range(20):
        for t in range(30):
            if asked[t, b] < 0:
                continue
            votes = np.zeros(4)
            for s in range(t):
                if tokens[s, b]:
                    two_between = stats.binom.pmf(2, t - s - 1, 0.25)
                    votes[tokens[s, b] - 1] += 0.25 * two_between
            right += votes.round(9).argmax() == asked[t, b].item()
            questions += 1
    assert lesson.named_by_age(30, 3, 20) == pytest.approx(100 * right / questions)


# -------------------------------------------------------------------- flags


@pytest.mark.parametrize(
    "flags",
    [
        ("--num-steps", "785"),
        ("--num-states", "0"),
        ("--dt-max", "0"),
        ("--seeds", "1"),
        ("--images", "two"),
    ],
)
def test_bad_flags_end_in_one_line(
    flags: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    check_refused(lesson, flags, capsys, tmp_path)
