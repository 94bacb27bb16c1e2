"""Lesson 06: closed forms against plain recurrences and snnTorch, the peak, the filter, resets, and Alpha's corner."""

from __future__ import annotations

import dataclasses

from common.io import UserError
from tutor.questions import load

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import load_script, run_main
from hypothesis import assume, given, settings
from hypothesis import strategies as st

lesson = load_script("06_synaptic_currents")
DECAY = st.floats(0.05, 0.97)
KINDS = ("Leaky", "Synaptic", "Alpha")


def by_hand(kind: str, x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Equations (1) and (2) in plain Python floats: U for the input ``x (T,)``."""
    syn = inh = mem = 0.0
    out = []
    for value in x:
        syn, inh = alpha * syn + value, beta * inh - value
        if kind == "Alpha":
            mem = np.log(beta) / (np.log(beta) - np.log(alpha)) * (syn + inh)
        else:
            mem = beta * mem + (syn if kind == "Synaptic" else value)
        out.append(mem)
    return np.array(out)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), DECAY, DECAY)
def test_impulse_is_the_recurrence(kind: str, alpha: float, beta: float) -> None:
    assume(kind != "Alpha" or abs(alpha - beta) > 1e-3)
    x = np.eye(1, 80)[0]
    assert np.allclose(
        lesson.impulse(kind, np.arange(80), alpha, beta), by_hand(kind, x, alpha, beta), atol=1e-10
    )


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), DECAY, DECAY, st.integers(0, 2**31 - 1))
def test_snntorch_is_the_recurrence_for_any_input(
    kind: str, alpha: float, beta: float, seed: int
) -> None:
    assume(
        kind != "Alpha" or alpha - beta > 0.01
    )  # snn.Alpha refuses β ≥ α, and loses digits near it
    x = torch.rand(50, 1, generator=torch.Generator().manual_seed(seed)) - 0.3
    _, mem = lesson.simulate(kind, x, alpha, beta, **lesson.SUBTHRESHOLD)
    expected = by_hand(kind, x[:, 0].double().numpy(), alpha, beta)
    assert np.allclose(mem[:, 0], expected, atol=1e-4 * max(1.0, np.abs(expected).max()))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), DECAY, DECAY)
def test_peak_and_area(kind: str, alpha: float, beta: float) -> None:
    assume(abs(alpha - beta) > 1e-6)
    h = lesson.impulse(kind, np.arange(2000), alpha, beta)
    at = int(lesson.peak_step(kind, alpha, beta))
    assert h[at] >= h.max() * (1 - 1e-9)  # a tie of two neighbours may fall either way
    assert lesson.area(kind, alpha, beta) == pytest.approx(h.sum(), rel=1e-8)


@pytest.mark.parametrize("alpha", [0.3, 0.63, 0.9, 0.96])
def test_equal_decays(alpha: float) -> None:
    """The limits (n+1)·αⁿ and −ln α·n·αⁿ, and the peaks there."""
    n = np.arange(600)
    assert np.allclose(lesson.impulse("Synaptic", n, alpha, alpha), (n + 1) * alpha**n, atol=1e-9)
    assert np.allclose(
        lesson.impulse("Alpha", n, alpha, alpha), -np.log(alpha) * n * alpha**n, atol=1e-9
    )
    for kind in ("Synaptic", "Alpha"):
        h = lesson.impulse(kind, n, alpha, alpha)
        assert h[int(lesson.peak_step(kind, alpha, alpha))] >= h.max() * (1 - 1e-9)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), DECAY, DECAY, st.floats(0.0, 0.5))
def test_transfer_is_the_fourier_sum_of_the_impulse(
    kind: str, alpha: float, beta: float, f: float
) -> None:
    assume(abs(alpha - beta) > 1e-6)
    n = np.arange(2000)
    expected = (lesson.impulse(kind, n, alpha, beta) * np.exp(-2j * np.pi * f * n)).sum()
    assert np.isclose(lesson.transfer(kind, f, alpha, beta), expected, rtol=1e-7, atol=1e-9)


@given(DECAY, DECAY)
def test_alpha_is_a_scaled_synaptic_one_step_later(alpha: float, beta: float) -> None:
    assume(abs(alpha - beta) > 1e-4)
    n = np.arange(100)
    scale = np.log(beta) / np.log(beta / alpha) * (alpha - beta)
    late = scale * lesson.impulse("Synaptic", n - 1, alpha, beta)
    assert np.allclose(lesson.impulse("Alpha", n, alpha, beta), late, atol=1e-9)
    assert np.allclose(
        lesson.impulse("Synaptic", n, alpha, beta), lesson.impulse("Synaptic", n, beta, alpha)
    )


def test_resets_are_as_the_lesson_says() -> None:
    """After a spike under "zero": Synaptic keeps its current, Alpha loses all, even the input of that step."""
    x = torch.tensor([[3.0], [0.5]])
    synaptic = snn.Synaptic(0.9, 0.8, reset_mechanism="zero", init_hidden=True, output=True)
    spk, syn, mem = [synaptic(x_t) for x_t in x][-1]
    assert mem.item() == 0 and syn.item() == pytest.approx(0.9 * 3 + 0.5) and spk.item() == 0
    assert synaptic(torch.zeros(1))[0].item() == 1  # the current goes on and fires it again
    alpha = snn.Alpha(0.9, 0.8, init_hidden=True, output=True)
    fired = next(t for t in range(20) if alpha(torch.tensor([5.0 * (t == 0)]))[0].item())
    assert fired > 0
    assert [s.item() for s in alpha(torch.tensor([7.0]))] == [0, 0, 0, 0]


def test_crossing_on_a_filter_known_by_hand() -> None:
    """No leak in sight: h = 1 for ten steps climbs by level/10 a step."""
    at, jitter = lesson.crossing(np.ones(10), 2.0, 0.3)
    assert at == pytest.approx(4.0)  # 2·5/10 = 1 at step 4
    assert jitter == pytest.approx(0.3 * np.sqrt(5) / 10 / 0.2)


def test_experiments_on_small_settings() -> None:
    cfg = dataclasses.replace(lesson.Config(), **lesson.SMOKE)
    r = lesson.experiment_impulse(cfg)
    assert max(r[k]["error"] for k in KINDS) < 1e-5 and r["guess_error"] == pytest.approx(
        1.0, abs=1e-5
    )
    assert r["twin_error"] < 1e-5 and r["swapped_error"] < 1e-5
    r = lesson.experiment_grid(cfg)
    assert r["Synaptic"]["peak_equal"] >= 0.95 and r["Alpha"]["area_error"] < 1e-4
    r = lesson.experiment_cost(dataclasses.replace(cfg, neurons=50), torch.device("cpu"))
    assert [r[k]["state"] for k in KINDS] == [4, 8, 12]


def test_corner_of_alpha() -> None:
    r = lesson.experiment_corner(lesson.Config())
    assert r["refused"] == 1 and r["nan"] == 1 and r["nan_gradient"] == 1
    assert r["sign"] >= 0 and r["remedy_error"] < 1e-5
    assert (
        r["error"]["float32"][0] > 1e-3 > r["error"]["float32"][-5]
        and r["error"]["float64"][0] < 1e-8
    )
    neuron = snn.Alpha(0.9, 0.8, init_hidden=True)
    neuron.beta.fill_(neuron.alpha.item())
    assert sum(neuron(100 * x).item() for x in lesson.pulse(50)) == 0  # NaN > θ is False: silence


@pytest.mark.parametrize(("alpha", "beta"), [(0.8, 0.8), (0.5, 0.9)])
def test_alpha_not_above_beta_is_one_clear_line(alpha: float, beta: float) -> None:
    with pytest.raises(UserError, match="--alpha: got .* allowed is more than --beta"):
        dataclasses.replace(lesson.Config(), alpha=alpha, beta=beta).validate()


def test_quiz_numbers() -> None:
    answers = [q.answer for q in load("06_synaptic_currents") if q.kind == "number"]
    u2 = lesson.impulse("Synaptic", 2, 0.5, 0.5)
    assert answers == pytest.approx(
        [float(u2), 0.1 * lesson.area("Synaptic", 0.9, 0.6), 8 * 100_000 * 32 / 1e6]
    )


# ---------------------------------------------------------------- what is published


def test_weights_of_the_swap_and_the_rate_of_leaky(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same weights are Leaky's; scaled ones give each model a mean potential of 0.7 θ. The rate by a loop."""
    seen, simulate = [], lesson.simulate

    def spy(kind: str, cur: torch.Tensor, *decays: float, **options: object):
        seen.append((kind, cur))
        return simulate(kind, cur, *decays, **options)

    monkeypatch.setattr(lesson, "simulate", spy)
    r = lesson.experiment_swap(lesson.Config())
    assert [kind for kind, _ in seen] == [kind for kind in KINDS for _ in range(2)]
    n = np.arange(500)
    for i, kind in enumerate(KINDS):
        same, scaled = (cur.max().item() for _, cur in seen[2 * i : 2 * i + 2])
        assert same == pytest.approx(3.5 * (1 - 0.8))
        assert scaled == pytest.approx(3.5 / lesson.impulse(kind, n, 0.9, 0.8).sum())
    cur = seen[0][1].numpy()
    mem, spk, fired = np.zeros(64, np.float32), np.zeros(64, np.float32), 0.0
    for cur_t in cur:
        mem = np.float32(0.8) * mem * (1 - spk) + cur_t
        spk = (mem > 1).astype(np.float32)
        fired += spk.sum()
    assert r["rate"]["Leaky", False] == pytest.approx(fired / cur.size, rel=1e-3)
    assert r["rate"]["Leaky", True] == r["rate"]["Leaky", False]


def test_decibels_and_cutoff_by_the_fourier_sum() -> None:
    r = lesson.experiment_frequency(lesson.Config(frequencies=4))
    n = np.arange(2000)
    for kind, one in r["models"].items():
        h = lesson.impulse(kind, n, 0.9, 0.8)
        share = lambda f, h=h: abs((h * np.exp(-2j * np.pi * f * n)).sum()) / h.sum()  # noqa: E731
        assert 10 ** (one["tenth_db"] / 20) == pytest.approx(share(0.1))
        assert share(one["cutoff"]) ** 2 == pytest.approx(0.5, abs=0.02), "half the power"
        assert one["error_h"] < 1e-3


def test_cost_is_per_step_and_neuron(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by 2 ms whenever it is read: 2 ms for 20 steps of 1,000 neurons are 100 ns each."""
    clock = iter(np.arange(0, 10, 2e-3))
    monkeypatch.setattr(lesson.time, "perf_counter", lambda: float(next(clock)))
    r = lesson.experiment_cost(lesson.Config(neurons=1000), torch.device("cpu"))
    assert [r[k]["time"] for k in KINDS] == pytest.approx([100.0] * 3)


def test_windows_and_volleys_by_brute_force() -> None:
    """Two inputs Δ apart, each worth 0.65 θ: the longest Δ that fires, from the recurrence by hand."""
    cfg = lesson.Config(trials=200)
    r = lesson.experiment_coincidence(cfg)
    for kind in KINDS:
        peak = by_hand(kind, np.eye(1, 200)[0], cfg.alpha, cfg.beta).max()
        fires = [
            by_hand(kind, 0.65 / peak * np.bincount([0, gap], minlength=200), 0.9, 0.8).max() > 1
            for gap in range(60)
        ]
        assert r["window"][kind][0] == sum(fires)
        half = r["half"][kind]
        share = np.interp(np.log(half), np.log(r["scatter"]), r["fires"][kind])
        assert share == pytest.approx(0.5, abs=1e-6)


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_: value)  # noqa: E731
    rate = {(k, s): 0.1 * i + 0.01 * s for i, k in enumerate(KINDS) for s in (False, True)}
    set_("experiment_swap", {"rate": rate, "n": 5})
    pulse = {k: {"error": 1e-7 * (i + 1)} for i, k in enumerate(KINDS)}
    pulse |= {"guess_error": 1.0, "twin_error": 2e-6, "swapped_error": 3e-6}
    set_("experiment_impulse", pulse)
    grid = {"n": 9, "peak_equal": 0.98, "width_off": 1.0, "area_error": 1e-5}
    set_("experiment_grid", {"Synaptic": grid, "Alpha": grid | {"width_off": 0.0}})
    sines = {
        k: {"error_h": 1e-4, "tenth_db": -10.0 * i, "cutoff": 0.1 / (i + 1)}
        for i, k in enumerate(KINDS)
    }
    set_("experiment_frequency", {"models": sines, "f": [1, 2]})
    late = {
        k: {
            "jitter": np.array([1, 2, 3, 4, 5]) * (i + 1.0),
            "theory": np.array([1, 2, 6, 4, 5]) * (i + 1.0),
            "latency": 7.0 + i,
        }
        for i, k in enumerate([*KINDS, "Leaky, slowed"])
    }
    set_("experiment_jitter", {"models": late, "n": 5})
    window = {k: np.array([10 + i, 3, 4]) for i, k in enumerate(KINDS)}
    half = {k: 2.0 + i for i, k in enumerate(KINDS)}
    set_("experiment_coincidence", {"window": window, "half": half, "off": 2, "n": 5})
    cost = {k: {"state": 4 * (i + 1), "time": 2.0 * (i + 1) ** 2} for i, k in enumerate(KINDS)}
    set_("experiment_cost", cost)
    corner = {"refused": 1.0, "gap": [1e-6], "error": {"float32": [0.4, 0.1], "float64": [9, 9]}}
    corner |= {"nan": 0.9, "n": [1], "nan_gradient": 1.0, "sign": 0.25, "remedy_error": 1e-7}
    set_("experiment_corner", corner)
    value = run_main(lesson, tmp_path, monkeypatch).value
    assert value("rate_same_synaptic") == 0.1 and value("rate_scaled_alpha") == pytest.approx(0.21)
    assert value("error_alpha") == pytest.approx(3e-7) and value("twin") == 2e-6
    assert value("symmetry") == 3e-6 and value("impulse_guess") == 1
    assert value("width_off_synaptic") == 1 and value("width_off_alpha") == 0
    assert value("tenth_db_alpha") == -20 and value("cutoff_synaptic") == 0.05
    # the sweep of σ is 0.05, 0.1, 0.2, 0.4, 0.8
    assert value("jitter_02_synaptic") == 6 and value("predicted_leaky_slowed") == 0.5
    assert value("latency_alpha") == 9 and value("window_off") == 2
    # gaps start at 0: eleven of them fire, the longest is 10
    assert value("window_synaptic") == 10 and value("half_alpha") == 4
    assert value("state_alpha") == 12 and value("ratio_alpha") == 9 and value("ratio_leaky") == 1
    assert value("corner_error") == 0.4 and value("corner_nan") == 0.9
    assert value("corner_sign") == 0.25 and value("corner_remedy") == 1e-7


def test_the_sweep_of_noise_has_its_third_point_at_one_fifth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    r = lesson.experiment_jitter(lesson.Config(trials=200))
    assert r["sigmas"][2] == 0.2
    for kind in ("Leaky", "Synaptic"):
        assert r["models"][kind]["jitter"][3] / r["models"][kind]["theory"][3] == pytest.approx(
            1, abs=0.25
        )
