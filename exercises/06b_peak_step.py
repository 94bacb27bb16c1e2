"""06b  When does a synapse's answer peak?

Lesson 06, section 2. One input of 1 at step 0 leaves in snn.Synaptic, n steps later and below the
threshold, the potential

    h[n] = (αⁿ⁺¹ − βⁿ⁺¹)/(α − β)          with α ≠ β

Give the step n at which h is highest, from α and β alone, without a loop. Paper first: U rises from step n
to step n + 1 as long as h[n+1] > h[n]. Bring α to one side and β to the other, take logarithms, and ask
for the first n at which it does *not* rise.

``alpha`` and ``beta`` are floats between 0 and 1. Either may be the larger, but they are not equal. Return a
whole number. About 10 minutes.

Run:  uv run exercises/06b_peak_step.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math  # noqa: F401  (for your lines)

from tutor.exercises import Exercise, Wrong

import snntorch as snn
import torch


def peak_step(alpha: float, beta: float) -> int:
    """The step at which the answer of snn.Synaptic to one input is highest."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

PAIRS = ((0.9, 0.8), (0.5, 0.3), (0.97, 0.6), (0.95, 0.94), (0.3, 0.1), (0.99, 0.9), (0.9, 0.36))


def measured(alpha: float, beta: float) -> int:
    """The step of the highest U of snn.Synaptic after one input."""
    options = {"threshold": 1e9, "reset_mechanism": "none"}
    synaptic = snn.Synaptic(alpha=torch.tensor(alpha), beta=torch.tensor(beta), **options).double()
    syn = torch.zeros(1, dtype=torch.float64)
    mem = torch.zeros(1, dtype=torch.float64)
    mem_rec = []
    for step in range(300):
        x = torch.full((1,), float(step == 0), dtype=torch.float64)
        _, syn, mem = synaptic(x, syn, mem)
        mem_rec.append(mem.item())
    return mem_rec.index(max(mem_rec))


def answer(peak_step, alpha: float, beta: float) -> float:
    """The student's step as a number."""
    who = f"α = {alpha}, β = {beta}"
    try:
        step = peak_step(alpha, beta)
    except (ValueError, ZeroDivisionError) as e:
        raise Wrong(f"{who}: {e}. Which side do the logarithms stand on?") from None
    if step is None:
        raise Wrong("got None. Is there a return?")
    step = float(step)
    if step != round(step):
        raise Wrong(f"{who}: got {step:.4g}, expected a whole number. A peak lies at a step.")
    return step


def check_first_step(peak_step) -> None:
    """with hardly any memory the answer is highest at once"""
    for alpha, beta in ((0.3, 0.1), (0.1, 0.3)):
        step = answer(peak_step, alpha, beta)
        if step != 0:
            raise Wrong(
                f"α = {alpha}, β = {beta}: got step {step:.0f}, expected 0. h[0] = 1 and h[1] = α + β = 0.4."
            )


def check_either_way(peak_step) -> None:
    """α and β may change places"""
    for alpha, beta in PAIRS:
        one, other = answer(peak_step, alpha, beta), answer(peak_step, beta, alpha)
        if one != other:
            raise Wrong(
                f"α = {alpha}, β = {beta}: step {one:.0f}, and {other:.0f} when they change places. h does "
                "not change, so its peak cannot."
            )


def check_neuron(peak_step) -> None:
    """snn.Synaptic is highest at that step"""
    for alpha, beta in PAIRS:
        got, right = answer(peak_step, alpha, beta), measured(alpha, beta)
        who = (
            f"α = {alpha}, β = {beta}: got step {got:.0f}, snn.Synaptic is highest at step {right}."
        )
        if got == right + 1:
            raise Wrong(
                f"{who} One too late. (α/β)ⁿ⁺¹ has n + 1 in its exponent, so x bounds n + 1. Or is this "
                "snn.Alpha's peak, which comes one step later?"
            )
        if got == right - 1:
            raise Wrong(
                f"{who} One too early: which whole number is the first that fails? (To round the peak of a "
                "curve drawn through the steps is not the same.)"
            )
        if got != right:
            raise Wrong(f"{who} Do (1 − α) and (1 − β) stand where they should?")


EXERCISE = Exercise(
    solve=peak_step,
    checks=(check_first_step, check_either_way, check_neuron),
    hints=(
        "Write h[n+1] > h[n] without the denominator. For α > β: αⁿ⁺²− αⁿ⁺¹ > βⁿ⁺² − βⁿ⁺¹.",
        "It rises as long as (α/β)ⁿ⁺¹ < (1 − β)/(1 − α), that is n + 1 < x. The peak is the first n at which "
        "this fails: the first whole n with n + 1 ≥ x.",
        "x = math.log((1 - beta) / (1 - alpha)) / math.log(alpha / beta); return math.ceil(x) - 1",
    ),
    why="At first the current brings more than the leak takes. At the peak the two are in balance, and the "
    "faster decay decides how soon that is.",
)

if __name__ == "__main__":
    EXERCISE.main()
