"""Lesson 01: the recurrence against snn.Leaky, the closed forms, and the numbers that its quiz asks for."""

from __future__ import annotations

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import load_script
from hypothesis import given, settings
from hypothesis import strategies as st

lesson = load_script("01_lif_neuron")
BETA, THETA = st.floats(0.0, 1.0, width=32), st.floats(0.125, 8.0, width=32)


def currents(seed: int, steps: int = 60, size: int = 5) -> torch.Tensor:
    return torch.rand(steps, size, generator=torch.Generator().manual_seed(seed)) * 2 - 0.5


@settings(max_examples=60, deadline=None)
@given(BETA, THETA, st.sampled_from(lesson.RESETS), st.integers(0, 2**31 - 1), st.floats(0.1, 10.0))
def test_by_hand_is_leaky(beta: float, theta: float, reset: str, seed: int, scale: float) -> None:
    """Any β, θ, reset and current: the same spikes and the very same membrane."""
    cur = currents(seed) * scale
    ours, theirs = (
        lesson.lif(cur, beta, theta, reset),
        lesson.leaky(cur, beta, theta, reset_mechanism=reset),
    )
    assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])


@settings(max_examples=40, deadline=None)
@given(BETA, THETA, st.integers(0, 2**31 - 1))
def test_reset_at_once(beta: float, theta: float, seed: int) -> None:
    """Zero: the same spikes with either reset_delay. Subtract: the 'leak later' guess, while no input exceeds θ."""
    cur = currents(seed).clamp(max=1.0) * 0.9 * theta
    zero = lesson.leaky(cur, beta, theta, reset_mechanism="zero", reset_delay=False)[0]
    assert torch.equal(zero, lesson.lif(cur, beta, theta, "zero")[0])
    spk, mem = lesson.lif(cur, beta, theta, lesson.LEAK_LATER)
    their_spk, their_mem = lesson.leaky(cur, beta, theta, reset_delay=False)
    clear = (
        (mem - theta).abs() > 1e-4 * theta
    ).all()  # a potential within rounding of θ may fall either way
    if clear:
        assert torch.equal(spk, their_spk)
        assert torch.allclose(mem - spk * theta, their_mem, atol=1e-4 * theta)


@settings(max_examples=30, deadline=None)
@given(BETA, THETA, st.integers(0, 2**31 - 1))
def test_adaptive_lif_with_everything_off_is_reset_to_zero(
    beta: float, theta: float, seed: int
) -> None:
    spk, mem, w = lesson.adaptive_lif(currents(seed), beta, theta)
    expected = lesson.lif(currents(seed), beta, theta, "zero")
    assert (
        torch.equal(spk, expected[0])
        and torch.allclose(mem, expected[1], atol=1e-6)
        and not w.any()
    )


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 0.99), st.floats(0.2, 5.0), st.floats(1.02, 30.0), st.integers(0, 12))
def test_period_is_the_closed_form_rounded_up(
    beta: float, theta: float, rheobases: float, refractory: int
) -> None:
    current = rheobases * theta * (1 - beta)
    x = float(lesson.period(current, beta, theta))
    if abs(x - round(x)) < 0.01:  # the potential meets θ within rounding: either step is right
        return
    period = refractory + int(np.floor(x)) + 1
    cur = torch.full((4 * period + 2, 1), current, dtype=torch.float64)
    isi = lesson.intervals(lesson.adaptive_lif(cur, beta, theta, refractory=refractory)[0][:, 0])
    assert len(isi) >= 2 and (isi == period).all()
    assert lesson.uneven(isi) == (1.0, 1.0)


def test_period_below_the_rheobase_is_infinite() -> None:
    assert np.isinf(lesson.period(np.array([0.05, 0.0999]), 0.9, 1.0)).all()


@pytest.mark.parametrize(
    ("reset", "delay", "first", "second"),
    [
        ("subtract", True, 1.3, 0.05),
        ("zero", True, 1.3, 0.4),
        ("none", True, 1.3, 1.05),
        ("subtract", False, 0.3, 0.55),
        ("zero", False, 0.0, 0.4),
    ],
)
def test_one_spike_step_by_step(reset: str, delay: bool, first: float, second: float) -> None:
    """β = 0.5, θ = 1, input 1.3 then 0.4, worked out by hand."""
    _, mem = lesson.leaky(
        torch.tensor([[1.3], [0.4]]), 0.5, 1.0, reset_mechanism=reset, reset_delay=delay
    )
    assert mem.flatten().tolist() == pytest.approx([first, second], abs=1e-6)


def test_numbers_of_the_quiz() -> None:
    kick = torch.zeros(12, 1)
    kick[0] = 3.0
    assert [int(lesson.lif(kick, 0.8, 1.0, reset)[0].sum()) for reset in lesson.RESETS] == [2, 1, 5]
    assert not lesson.lif(torch.full((2000, 1), 0.0999), 0.9, 1.0)[0].any()
    assert lesson.lif(torch.full((2000, 1), 0.1001), 0.9, 1.0)[0].any()
    for start, lower in (
        (1.2, True),
        (1.3, False),
    ):  # the next U is lower with subtract while U < θ/β = 1.25
        cur = torch.tensor([[start], [0.3]])
        assert (
            lesson.lif(cur, 0.8, 1.0)[1][1] < lesson.lif(cur, 0.8, 1.0, "zero")[1][1]
        ).item() is lower
    fi = lesson.experiment_fi(lesson.Config())
    slower = fi["rate"]["subtract"] < fi["rate"]["zero"]
    assert (
        slower[fi["fires"] & (fi["cur"] < 3)].mean() > 0.2
    )  # at the foot of the curves subtract lags behind


def test_discretisation() -> None:
    r = lesson.experiment_discretise()
    # first order: the worst error of forward Euler is Δt/(2τ)·e⁻¹, reached at t = τ
    assert r["error"]["Euler"][0] == pytest.approx(0.01 / 2 / np.e, rel=0.02)
    assert (
        0.95 <= r["order"] <= 1.05
        and r["error"]["Euler"][-1] > 10
        and max(r["error"]["exact"]) < 1e-12
    )


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 0.97), st.integers(0, 2**31 - 1))
def test_charge_is_conserved_by_subtraction_only(theta: float, seed: int) -> None:
    """Without leak: ΣI = θ·(spikes paid for) + U, in exact arithmetic; integers keep it exact in float32."""
    cur = torch.randint(0, 4, (200, 3), generator=torch.Generator().manual_seed(seed)).float()
    spk, mem = lesson.lif(cur, 1.0, 5.0)
    assert torch.equal(cur.sum(0), 5.0 * spk[:-1].sum(0) + mem[-1])
    spk, mem = lesson.lif(cur, 1.0, 5.0, "zero")
    assert (cur.sum(0) >= 5.0 * spk[:-1].sum(0) + mem[-1]).all()


def test_refractory_holds_and_slow_current_adapts() -> None:
    spk, mem, _ = lesson.adaptive_lif(torch.full((200, 1), 50.0), 0.9, 1.0, refractory=4)
    assert (lesson.intervals(spk[:, 0]) == 5).all()
    after = np.nonzero(spk[:-4, 0].numpy())[0]
    assert all(not mem[t + 1 : t + 5].any() for t in after), "held at rest, deaf to its input"
    r = lesson.experiment_limits(lesson.Config())
    assert (np.diff(r["adapting"]["isi"][:6]) >= 0).all() and r["adapting"]["uneven"][0] > 1.5
    assert r["LIF"]["uneven"] == r["bursting without w"]["uneven"] == (1.0, 1.0)
    assert r["bursting"]["uneven"][1] > 5 and (r["bursting"]["isi"] <= 3).mean() > 0.5


def test_too_few_spikes_are_not_called_even() -> None:
    assert lesson.uneven(np.array([])) == lesson.uneven(np.array([4])) == (0.0, 0.0)
    assert lesson.uneven(np.array([2, 8, 4])) == (2.0, 4.0)


def test_per_neuron_beta_and_threshold() -> None:
    """A layer of different neurons is the neurons one by one."""
    cur, beta, theta = (
        currents(3, size=4),
        torch.tensor([0.2, 0.5, 0.9, 0.99]),
        torch.tensor([0.5, 1.0, 2.0, 4.0]),
    )
    spk, mem = lesson.leaky(cur, beta, theta)
    for i in range(4):
        one = lesson.lif(cur[:, i : i + 1], beta[i].item(), theta[i].item())
        assert torch.equal(spk[:, i : i + 1], one[0]) and torch.equal(mem[:, i : i + 1], one[1])


def test_a_spike_needs_more_than_the_threshold() -> None:
    """The comparison is strict: U = θ does not fire, in either implementation."""
    cur = torch.tensor([[1.0]])
    assert (
        not lesson.lif(cur, 0.9, 1.0)[0].any()
        and not snn.Leaky(beta=0.9)(cur[0], torch.zeros(1))[0].any()
    )


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "edge", [{"num_steps": 1}, {"beta": 0.05}, {"beta": 0.995, "threshold": 50.0}]
)
def test_experiments_at_the_edges(edge: dict[str, float]) -> None:
    """One step to draw, almost no memory, almost no leak: every measured number stays a number."""
    cfg = lesson.Config(**{**lesson.SMOKE, **edge})
    passive, resets, fi = (
        lesson.experiment_passive(cfg),
        lesson.experiment_resets(cfg),
        lesson.experiment_fi(cfg),
    )
    refractory, currents_, limits = (
        e(cfg)
        for e in (
            lesson.experiment_refractory,
            lesson.experiment_currents,
            lesson.experiment_limits,
        )
    )
    numbers = [
        passive["steady_error"],
        passive["climb_error"],
        resets["error"],
        *resets["charge"].values(),
        fi["worst"],
        max(refractory["off"]),
        refractory["ceiling"],
        currents_["locking"],
        *limits["bursting"]["uneven"],
    ]
    assert np.isfinite(numbers).all()
    assert passive["steady_error"] < 1e-5 * max(1, 0.1 / (1 - cfg.beta)) and resets["error"] < 1e-6
    assert fi["worst"] <= 1.01 and fi["silent"] == 1
