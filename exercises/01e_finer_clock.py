"""01e  The same cell, a finer clock

Lesson 01, section 2. A cell has the time constant τ and the resistance R; a constant current I_in flows
into it:

    τ·dU/dt = −U + R·I_in

You simulate it in steps of Δt by equation (1), U ← β·U + I. Give β and the I of one step, such that U
is right at every step, whatever Δt is. (Solve the equation for one step, or remember how U settles.)

``tau`` and ``dt`` are floats in ms, ``resistance`` in MΩ and ``current`` in nA, so that R·I_in is in mV.
Return β and I, in this order. About 5 minutes.

Run:  uv run exercises/01e_finer_clock.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch


def at_clock(tau: float, dt: float, resistance: float, current: float) -> tuple[float, float]:
    """β and the current I of one step, in mV, for steps of ``dt`` ms."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def answer(at_clock, tau: float, dt: float, resistance: float, current: float):
    """The student's β and I as floats."""
    returned = at_clock(tau, dt, resistance, current)
    if returned is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("expected two things: end with 'return beta, cur'.")
    beta, cur = returned
    return float(beta), float(cur)


def check_share(at_clock) -> None:
    """after τ, whatever the step, 1/e is left"""
    for tau, steps in ((10.0, 10), (10.0, 20), (20.0, 4)):
        beta, _ = answer(at_clock, tau, tau / steps, 10.0, 2.0)
        smell = f"τ = {tau:g} ms in {steps} steps. Euler keeps 1 − Δt/τ, which is only near."
        expect(beta**steps, math.exp(-1), f"what {steps} steps leave", smell)


def check_steady(at_clock) -> None:
    """with a steady current U settles at R·I_in"""
    for dt in (1.0, 0.5):
        beta, cur = answer(at_clock, 10.0, dt, 10.0, 2.0)
        smell = f"Δt = {dt:g} ms. U settles at I/(1 − β): what has to stand in I?"
        expect(cur / (1 - beta), 20.0, "U at the end, in mV", smell)


def check_spikes(at_clock) -> None:
    """snn.Leaky fires as often on the finer clock"""
    counts = {}
    for dt in (1.0, 0.5, 0.1):
        beta, cur = answer(at_clock, 10.0, dt, 10.0, 2.0)
        lif = snn.Leaky(beta=beta, threshold=15.0, reset_mechanism="zero")
        mem = torch.zeros(1)
        spikes = 0
        for _ in range(round(500 / dt)):
            spk, mem = lif(torch.tensor([cur]), mem)
            spikes += int(spk)
        counts[dt] = spikes
    # From 0 to 15 mV on the way to 20 mV takes τ·ln(20/5) = 13.9 ms, so 36 times in 500 ms; the
    # clock rounds every interval up, by one step at most.
    for dt, spikes in counts.items():
        low = math.floor(500 / (10 * math.log(4) + dt))
        if not low <= spikes <= 36:
            raise Wrong(f"Δt = {dt:g} ms: {spikes} spikes in 500 ms, expected {low} to 36.")


EXERCISE = Exercise(
    solve=at_clock,
    checks=(check_share, check_steady, check_spikes),
    hints=(
        "Over one step the distance of U to its end R·I_in shrinks by the share exp(−Δt/τ). Write that down.",
        "β is math.exp of something. I contains β, so it changes with the clock as well.",
        "beta = math.exp(-dt / tau), then cur = (1 - beta) * resistance * current.",
    ),
    why="β and I both belong to the clock. Half the step with √β and the old I is a cell with about "
    "twice the current.",
)

if __name__ == "__main__":
    EXERCISE.main()
