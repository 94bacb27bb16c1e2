"""01b  Which current makes a neuron fire every n steps?

Lesson 01, section 4, read backwards. A neuron with reset to zero gets a steady current I. n steps
after a spike its potential is

    U = I·(1 − βⁿ)/(1 − β)

Find the current with which this is just θ. Anything stronger fires every n steps or more often;
this current itself is a shade too weak, since a spike needs U > θ. For n → ∞ it is the rheobase.

``n`` is a number of steps, 1 or more, or math.inf; ``beta`` and ``threshold`` are floats; the answer
is a float. Paper first, then one line. About 5 minutes.

Run:  uv run exercises/01b_rheobase_and_period.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch


def current_for_period(n: float, beta: float, threshold: float) -> float:
    """The current with which U is just θ, n steps after a reset to zero."""
    raise NotImplementedError("your line here")


# ---- nothing to edit below this line

NEURONS = ((0.9, 1.0, 5), (0.5, 1.0, 3), (0.98, 2.0, 20), (0.8, 0.3, 2))


def measured_period(cur: float, beta: float, threshold: float, steps: int) -> float:
    """Steps between the first two spikes of snn.Leaky; infinite if there are none in ``steps``."""
    lif = snn.Leaky(beta=beta, threshold=threshold, reset_mechanism="zero")
    mem = torch.zeros(1)
    times = []
    for step in range(steps):
        spk, mem = lif(torch.tensor([cur]), mem)
        if spk:
            times.append(step)
        if len(times) == 2:
            return times[1] - times[0]
    return math.inf


def answer(current_for_period, n: float, beta: float, threshold: float) -> float:
    """The student's current as a float."""
    try:
        cur = current_for_period(n, beta, threshold)
    except ZeroDivisionError:
        raise Wrong(
            f"n = {n}: your line divides by zero. Count the steps after the spike again."
        ) from None
    if cur is None:
        raise Wrong("got None. Is there a return?")
    cur = float(cur)
    if not math.isfinite(cur) or cur <= 0:
        who = f"β = {beta}, θ = {threshold}, n = {'∞' if n == math.inf else n}: got {cur:g}"
        raise Wrong(
            f"{who}, expected a current above 0. U leaks while it climbs, so even with all the time "
            "there is, the current has to reach the rheobase. Does β occur in your line?"
        )
    return cur


def check_single_step(current_for_period) -> None:
    """n = 1 takes a current of θ: there is no time to add anything up"""
    for beta, threshold, _ in NEURONS:
        smell = f"β = {beta}, θ = {threshold}. After one step U is I itself."
        expect(answer(current_for_period, 1, beta, threshold), threshold, "I for n = 1", smell)


def check_rheobase(current_for_period) -> None:
    """n = ∞ is the rheobase θ·(1 − β)"""
    for beta, threshold, _ in NEURONS:
        smell = f"β = {beta}, θ = {threshold}. With all the time there is, U climbs to I/(1 − β)."
        got = answer(current_for_period, math.inf, beta, threshold)
        expect(got, threshold * (1 - beta), "I for n = ∞", smell)


def check_neuron(current_for_period) -> None:
    """snn.Leaky agrees: with 1 % more it fires in n steps, with 1 % less it takes longer"""
    for beta, threshold, n in NEURONS:
        cur = answer(current_for_period, n, beta, threshold)
        who = f"β = {beta}, θ = {threshold}, n = {n}: your current is {cur:.4g}."
        more = measured_period(1.01 * cur, beta, threshold, 10 * n)
        less = measured_period(0.99 * cur, beta, threshold, 10 * n)
        if more > n:
            takes = f"every {more} steps" if more < math.inf else "not at all"
            raise Wrong(f"{who} With 1 % more the neuron fires {takes}. Too weak.")
        if less <= n:
            raise Wrong(f"{who} With 1 % less it still fires every {less} steps. Too strong.")


EXERCISE = Exercise(
    solve=current_for_period,
    checks=(check_single_step, check_rheobase, check_neuron),
    hints=(
        "Set the potential after n steps equal to θ. What do you have to do to get I alone?",
        "Multiply by (1 − β) and divide by (1 − βⁿ). Does n = 1 give θ?",
        "return threshold * (1 - beta) / (1 - beta**n); in Python, 0.9**math.inf is 0.",
    ),
    why="The longer a neuron may take, the less current it needs, down to θ·(1 − β), and no lower.",
)

if __name__ == "__main__":
    EXERCISE.main()
