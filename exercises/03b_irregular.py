"""03b  How irregular does a neuron fire?

Lesson 03, section 3. Write the coefficient of variation of one neuron's intervals, equation (3):

    CV = σ(ISI) / mean(ISI)

An interval (ISI) is the number of steps from one spike to the next. σ is the standard deviation that
divides by the number of intervals n, not by n − 1. With fewer than two intervals there is nothing to
compare: return math.nan then.

``spk`` is (T,), 0 or 1; the answer is a float. About 10 minutes.

Run:  uv run exercises/03b_irregular.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def cv(spk: Tensor) -> float:
    """The coefficient of variation of the intervals between the spikes of ``spk (T,)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def answer(cv, spk: Tensor) -> float:
    """The student's number."""
    returned = cv(spk.clone())
    if returned is None:
        raise Wrong("got None. Is there a return?")
    return float(returned)


def train(*times: int, length: int = 100) -> Tensor:
    """A spike train with spikes at these steps."""
    spk = torch.zeros(length)
    spk[list(times)] = 1
    return spk


def check_clock(cv) -> None:
    """a clock has CV 0, wherever it starts"""
    got = answer(cv, train(*range(23, 100, 7)))
    if math.isnan(got):
        raise Wrong("a spike every 7 steps: got NaN, expected 0. Eleven spikes have ten intervals.")
    smell = "A spike every 7 steps, the first one at step 23. Silence before it is no interval."
    expect(got, 0.0, "CV", smell)


def check_by_hand(cv) -> None:
    """intervals of 2 and 4 steps have CV 1/3"""
    got = answer(cv, train(10, 12, 16))
    if abs(got - math.sqrt(2) / 3) < 1e-4:
        raise Wrong(
            f"CV is {got:.3f}, expected 0.333. Your σ divides by n − 1; here it divides by n."
        )
    if abs(got - 1 / 9) < 1e-4:
        raise Wrong(
            "CV is 0.111, expected 0.333. That is the variance over the square of the mean."
        )
    if abs(got - 3) < 1e-4:
        raise Wrong("CV is 3, expected 0.333. The mean stands below the line.")
    if abs(got - 1) < 1e-4:
        raise Wrong("CV is 1, expected 0.333. That is σ, in steps; the CV is relative to the mean.")
    expect(got, 1 / 3, "CV", "Spikes at 10, 12 and 16: the mean is 3 steps, σ is 1 step.")


def check_few(cv) -> None:
    """with fewer than two intervals it is not defined"""
    for times in ((), (5,), (5, 9)):
        got = answer(cv, train(*times))
        if not math.isnan(got):
            raise Wrong(
                f"{len(times)} spikes: got {got:.3g}, expected math.nan. With one interval there is "
                "nothing to compare, and 0 would call it a clock."
            )


def check_slower(cv) -> None:
    """a train played at a third of the speed is as irregular as before"""
    spk = (torch.rand(400) < 0.2).float()
    slow = torch.zeros(1200)
    slow[::3] = spk
    expect(answer(cv, slow), answer(cv, spk), "CV", "All intervals have grown three times.")


def check_coin(cv) -> None:
    """a coin that falls on heads with probability p has CV √(1 − p)"""
    for p in (0.1, 0.5):
        got = answer(cv, (torch.rand(100_000) < p).float())
        if abs(got - math.sqrt(1 - p)) > 0.02:
            raise Wrong(
                f"p = {p}: CV is {got:.3f}, expected √(1 − p) = {math.sqrt(1 - p):.3f}. Do you count "
                "steps between spikes?"
            )


EXERCISE = Exercise(
    solve=cv,
    checks=(check_clock, check_by_hand, check_few, check_slower, check_coin),
    hints=(
        "Three steps: at which steps are the spikes, how far apart are they, and how much do these "
        "distances scatter?",
        "torch.nonzero(spk)[:, 0] gives the steps of the spikes, .diff() their distances.",
        "isi = torch.nonzero(spk)[:, 0].diff().float(); if len(isi) < 2 return math.nan; else "
        "return (isi.std(correction=0) / isi.mean()).item()",
    ),
    why="The CV has no unit: it compares the rhythm of a slow neuron with that of a fast one. And it sees "
    "one neuron at a time, so it cannot tell whether two fire together.",
)

if __name__ == "__main__":
    EXERCISE.main()
