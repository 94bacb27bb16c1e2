"""03c  Diagnose a population

Lesson 03, sections 3, 4 and 6. Section 4's rule looks at the mean rate, and so it missed a population in
which most neurons are silent and a few saturated. Write another one, with limits of its own, which counts
neurons. Return the first name that applies:

    "silence"                 at least 90 % of the neurons never fire
    "saturation"              at least 30 % of the neurons fire in more than 90 % of all steps
    "synchronous bursting"    ρ is above 0.3
    "healthy firing"          otherwise

with equation (5), for bins of one step:

    χ² = Var over time of the mean neuron / mean over neurons of its variance over time
    ρ = (χ² − 1/N) / (1 − 1/N)

Variances divide by T, not by T − 1. ``spk`` is (T, N), 0 or 1. About 15 minutes.

Run:  uv run exercises/03c_diagnose.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import torch
from torch import Tensor


def diagnose(spk: Tensor) -> str:
    """The name of the pattern of ``spk (T, N)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

NAMES = ("silence", "saturation", "synchronous bursting", "healthy firing")


def ask(diagnose, spk: Tensor, wanted: str, what: str, smell: str = "") -> None:
    """The student's name must be the wanted one."""
    got = diagnose(spk.clone())
    if got is None:
        raise Wrong("got None. Does every way through the function end with a return?")
    if got not in NAMES:
        raise Wrong(f"got {got!r}, expected one of the four names, as they are written above.")
    if got != wanted:
        raise Wrong(f"{what}: got '{got}', expected '{wanted}'. {smell}".rstrip())


def coins(p: float, neurons: int, steps: int = 200) -> Tensor:
    """Independent neurons that fire with probability p at each step."""
    return (torch.rand(steps, neurons) < p).float()


def together(share: float, neurons: int, steps: int = 4000) -> Tensor:
    """Neurons that fire in 10 % of the steps and take a share of them from a common coin: ρ = share²."""
    common = (torch.rand(steps, 1) < 0.1).float()
    copies = torch.rand(steps, neurons) < share
    return torch.where(copies, common, coins(0.1, neurons, steps))


def check_clear(diagnose) -> None:
    """four clear cases"""
    ask(
        diagnose,
        torch.zeros(50, 20),
        "silence",
        "no spike at all",
        "Does a division by 0 hide here?",
    )
    ask(diagnose, torch.ones(50, 20), "saturation", "a spike at every step", "Nothing varies here.")
    ask(
        diagnose,
        together(1.0, 20),
        "synchronous bursting",
        "20 copies of one neuron",
        "Here ρ is 1.",
    )
    ask(diagnose, coins(0.1, 20), "healthy firing", "20 coins", "Here ρ is near 0.")


def check_mixture(diagnose) -> None:
    """the mean rate deceives: most neurons silent, a few saturated"""
    spk = torch.zeros(100, 40)
    spk[:, :3] = 1
    smell = "37 of 40 neurons never fire. The mean rate, 0.075, hides that: count neurons."
    ask(diagnose, spk, "silence", "3 of 40 neurons saturated, the others silent", smell)
    spk = coins(0.1, 40)
    spk[:, :13] = coins(0.95, 13)
    smell = "13 of 40 neurons are saturated: 32 %. The mean rate, 0.38, hides that."
    ask(diagnose, spk, "saturation", "13 of 40 neurons fire in 95 % of the steps", smell)


def check_limits(diagnose) -> None:
    """the limits stand where the task says"""
    spk = coins(0.2, 40)
    spk[:, :32] = 0
    smell = "32 of 40 neurons never fire: 80 %, and silence begins at 90 %."
    ask(diagnose, spk, "healthy firing", "8 of 40 neurons fire", smell)
    spk = coins(0.1, 40)
    spk[:, :8] = 1
    smell = (
        "8 of 40 neurons are saturated: 20 %, and saturation begins at 30 %. Nor do they make the rest "
        "synchronous, for they never vary in time: over which dimension is each variance taken?"
    )
    ask(diagnose, spk, "healthy firing", "8 of 40 neurons saturated", smell)
    smell = "A neuron that fires in 85 % of the steps is busy, not saturated: the limit is 90 %."
    ask(diagnose, coins(0.85, 30, 2000), "healthy firing", "30 neurons at 0.85", smell)


def check_chance(diagnose) -> None:
    """a few independent neurons are not synchronous: 1/N is taken off"""
    smell = "Two independent neurons have χ² = 1/2 by chance alone. Is 1/N taken off?"
    ask(diagnose, coins(0.1, 2, 4000), "healthy firing", "2 coins", smell)


def check_rho(diagnose) -> None:
    """ρ is the share of its variance that a pair has in common"""
    smell = "ρ is 0.5² = 0.25, below the limit, while χ is 0.53. Is it χ that you compare?"
    ask(diagnose, together(0.5, 40), "healthy firing", "half of the spikes are shared", smell)
    smell = "ρ is 0.6² = 0.36, above the limit. Over which dimension is each variance taken?"
    ask(diagnose, together(0.6, 40), "synchronous bursting", "60 % of the spikes are shared", smell)
    fast = torch.where(torch.rand(4000, 20) < 0.9, coins(0.5, 1, 4000), coins(0.5, 20, 4000))
    spk = torch.cat([coins(0.02, 20, 4000), fast], dim=1)
    smell = (
        "Half of the neurons are slow, the others fast and alike; ρ is 0.39. Each neuron's variance is "
        "taken around its own mean: spk.var(0), then the mean over neurons."
    )
    ask(diagnose, spk, "synchronous bursting", "neurons of unequal rates", smell)


EXERCISE = Exercise(
    solve=diagnose,
    checks=(check_clear, check_mixture, check_limits, check_chance, check_rho),
    hints=(
        "First rate = spk.mean(0), one number a neuron. Two of the four names are shares of neurons.",
        "The mean neuron is spk.mean(1), over time (T,). Its variance over time, divided by "
        "spk.var(0, correction=0).mean(), is χ².",
        "if (rate == 0).float().mean() >= 0.9: silence. if (rate > 0.9).float().mean() >= 0.3: "
        "saturation. chi2 = spk.mean(1).var(correction=0) / spk.var(0, correction=0).mean(); "
        "rho = (chi2 - 1 / N) / (1 - 1 / N).",
    ),
    why="A mean over neurons hides what single rows show, and a number for each row hides what a column "
    "shows: a diagnosis needs both directions, and silence and saturation first.",
)

if __name__ == "__main__":
    EXERCISE.main()
