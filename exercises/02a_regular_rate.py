"""02a  A rate without dice

Lesson 02, section 3. Tossing a coin at every step makes a count inexact. Write a rate code that leaves
nothing to chance: its spikes come as regularly as they can. After t steps, for every t, a pixel of
intensity x is to have sent just

    ⌊x·t⌋ spikes            x·t, rounded down

So x = 0.25 fires at every fourth step, x = 1 at every step, and x = 0 never.

``x`` has the shape (B,), with intensities from 0 to 1. Return spikes, 0 or 1, of the shape (T, B), where
T is ``num_steps``. About 8 minutes.

Run:  uv run exercises/02a_regular_rate.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def regular_rate(x: Tensor, num_steps: int) -> Tensor:
    """Intensities ``(B,)`` → spikes ``(T, B)``, as regular as they can be."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def train(regular_rate, x: Tensor, num_steps: int) -> Tensor:
    """The student's spikes as floats, if they have the right shape and are 0 or 1."""
    spk = regular_rate(x, num_steps)
    if spk is None:
        raise Wrong("got None. Is there a return?")
    spk = torch.as_tensor(spk)
    if spk.shape != (num_steps, len(x)):
        raise Wrong(f"got shape {tuple(spk.shape)}, expected {(num_steps, len(x))}: time first.")
    spk = spk.float()
    if not ((spk == 0) | (spk == 1)).all():
        raise Wrong(
            f"the train holds {spk[(spk != 0) & (spk != 1)][0].item():.4g}. A spike is 1, no spike 0: "
            "is this the number of spikes so far, or what has been added up?"
        )
    return spk


def check_ends(regular_rate) -> None:
    """black never fires, white fires at every step"""
    spk = train(regular_rate, torch.tensor([0.0, 1.0]), 6)
    if spk[:, 0].any():
        raise Wrong(f"x = 0 fires {spk[:, 0].sum():.0f} times in 6 steps, expected never.")
    if spk[0, 1] == 0:
        raise Wrong(
            "step 0: x = 1 does not fire. After t = 1 step it has to have sent ⌊1·1⌋ = 1 spike: "
            "does your sum have to exceed 1, or to reach it?"
        )
    if not spk[:, 1].all():
        raise Wrong(f"x = 1 fires {spk[:, 1].sum():.0f} times in 6 steps, expected 6.")


def check_quarter(regular_rate) -> None:
    """a quarter fires at every fourth step"""
    spk = train(regular_rate, torch.tensor([0.25]), 12)[:, 0]
    steps = torch.nonzero(spk)[:, 0].tolist()
    if steps != [3, 7, 11]:
        raise Wrong(
            f"x = 0.25 fires at steps {steps}, expected [3, 7, 11]. After 4 steps ⌊0.25·4⌋ = 1 spike "
            "is due, and the fourth step has the number 3."
        )


def check_counts(regular_rate) -> None:
    """at every moment just ⌊x·t⌋ spikes have been sent"""
    x = torch.arange(17) / 16  # sixteenths add up exactly
    counts = train(regular_rate, x, 64).cumsum(0)
    t = torch.arange(1, 65)[:, None]
    smell = "What is above a whole spike must not be thrown away: it counts towards the next one."
    expect(counts, torch.floor(x * t), "spikes so far (T, N)", smell)


def check_error(regular_rate) -> None:
    """its error falls as 1/T, where dice would give 1/√T"""
    x = torch.rand(1000)
    for num_steps in (10, 100, 1000):
        count = train(regular_rate, x, num_steps).sum(0)
        worst = (count / num_steps - x).abs().max().item()
        if worst > 1.01 / num_steps:
            raise Wrong(
                f"T = {num_steps}: x̂ is off by up to {worst:.2g}, expected at most 1/T = "
                f"{1 / num_steps:.2g}. Rounding down loses less than one spike in all, however long T is."
            )


EXERCISE = Exercise(
    solve=regular_rate,
    checks=(check_ends, check_quarter, check_counts, check_error),
    hints=(
        "Add up x, step by step. When is the next spike due? What is left of the sum after it?",
        "A spike comes when the sum reaches 1, and takes 1 off it. Which neuron of lesson 01 does this?",
        "In a loop: total = total + x; spk = (total >= 1).float(); total = total - spk; append spk.",
    ),
    why="This is a neuron with β = 1 and reset by subtraction: it fires at a rate, and its count is "
    "off by less than one spike. So it is the dice that make a rate code slow, not the counting. In a "
    "brain it is the noise of thousands of inputs that brings the dice back.",
)

if __name__ == "__main__":
    EXERCISE.main()
