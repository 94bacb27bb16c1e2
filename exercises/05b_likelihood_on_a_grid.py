"""05b  Which angle makes these counts most likely?

Lesson 05, section 3. Write maximum likelihood the plain way: try every angle of a grid, and keep the
best. The log-likelihood of an angle s, up to a number that is the same for all s, is

    log L(s) = Σᵢ nᵢ·log fᵢ(s) − T·Σᵢ fᵢ(s)

``counts`` (nᵢ) is (B, N): B trials, N neurons. ``rates`` is (G, N): row g holds the mean rates fᵢ of
all neurons at the angle ``grid[g]``, in spikes a second. ``window`` is T in seconds. Return for each
trial the angle of the grid with the highest log L, (B,). Do not assume that neurons are spread evenly:
in some of the checks a whole side is missing. About 10 minutes.

Run:  uv run exercises/05b_likelihood_on_a_grid.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor
from torch.distributions import Poisson


def most_likely(counts: Tensor, rates: Tensor, grid: Tensor, window: float) -> Tensor:
    """``counts (B, N)``, ``rates (G, N)``, ``grid (G,)`` → the most likely angles ``(B,)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

GRID = torch.arange(-180.0, 180.0, 2.0)


def bells(preferred: Tensor, s: Tensor = GRID) -> Tensor:
    """Mean rates of bell-shaped tuning curves at the angles ``s (G,)``: ``(G, N)``."""
    distance = (s[:, None] - preferred + 180) % 360 - 180
    return 3 + 40 * torch.exp(-(distance**2) / (2 * 25.0**2))


def decode(most_likely, counts: Tensor, rates: Tensor, window: float) -> Tensor:
    """The student's angles, if they are one angle of the grid for each trial."""
    found = most_likely(counts, rates, GRID, window)
    if found is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(found, Tensor) or found.shape != counts.shape[:1]:
        shape = tuple(getattr(found, "shape", ()))
        raise Wrong(
            f"got the shape {shape}, expected ({len(counts)},): one angle for each of {len(counts)} "
            f"trials. log L should be (B, G) = ({len(counts)}, {len(GRID)}), its argmax over G."
        )
    if found.dtype == torch.int64:
        raise Wrong(
            "got whole numbers: these are places in the grid. The angle there is grid[place]."
        )
    return found


def right(counts: Tensor, rates: Tensor, window: float) -> Tensor:
    """The same by torch's Poisson distribution, (B, G, N) at once."""
    log_p = Poisson(window * rates).log_prob(counts[:, None, :])
    return GRID[log_p.sum(2).argmax(1)]


def check_no_noise(most_likely) -> None:
    """counts without noise, neurons all around: exact"""
    preferred = torch.arange(-180.0, 180.0, 10.0)
    s = torch.tensor([-180.0, -76.0, 0.0, 44.0, 178.0])
    rates = bells(preferred)
    found = decode(most_likely, 0.5 * bells(preferred, s), rates, 0.5)
    smell = "The counts are exactly T·f of the stimulus. Is it the largest log L that you keep?"
    expect(found, s, "ŝ (B)", smell)


def check_silence(most_likely) -> None:
    """neurons around 180° only, and all are silent: the stimulus was at 0°"""
    preferred = torch.arange(100.0, 261.0, 10.0)  # 260° is −100°
    found = decode(most_likely, torch.zeros(1, 17), bells(preferred), 0.5)
    if found.abs().item() > 30:
        raise Wrong(
            f"no neuron fired, and the answer is {found.item():.0f}°, where they would have fired. "
            "Silence is evidence: the term −T·Σ f says so."
        )


def check_window(most_likely) -> None:
    """neurons on one side only: right for short and for long windows"""
    preferred = torch.arange(0.0, 90.0, 7.5)
    s = GRID[torch.randint(70, 150, (300,))]
    for window in (0.1, 0.5, 4.0):
        counts = torch.poisson(window * bells(preferred, s))
        found = decode(most_likely, counts, bells(preferred), window)
        differ = int((found != right(counts, bells(preferred), window)).sum())
        rates = bells(preferred)
        no_log = GRID[(counts @ rates.T - window * rates.sum(1)).argmax(1)]
        if differ > 2 and torch.equal(found, no_log):
            raise Wrong(
                f"T = {window:g} s: {differ} of 300 answers are wrong. The counts multiply f itself, "
                "and should multiply its logarithm."
            )
        if differ > 2:
            raise Wrong(
                f"T = {window:g} s: {differ} of 300 answers differ from torch's Poisson distribution. "
                "What should T multiply?"
            )


def check_better_than_vector(most_likely) -> None:
    """better than the population vector on the same counts"""
    preferred = torch.arange(-180.0, 180.0, 5.0)
    s = GRID[torch.randint(0, 180, (1000,))]
    counts = torch.poisson(0.5 * bells(preferred, s))
    angle = torch.deg2rad(preferred)
    vector = torch.rad2deg(torch.atan2(counts @ torch.sin(angle), counts @ torch.cos(angle)))
    found = decode(most_likely, counts, bells(preferred), 0.5)
    errors = [((x - s + 180) % 360 - 180).square().mean().sqrt().item() for x in (found, vector)]
    if errors[0] > 0.9 * errors[1]:
        raise Wrong(
            f"its error is {errors[0]:.2f}°, that of the vector {errors[1]:.2f}°; expected less than 0.9 of "
            "it. Are all neurons and all of the grid in log L?"
        )


EXERCISE = Exercise(
    solve=most_likely,
    checks=(check_no_noise, check_silence, check_window, check_better_than_vector),
    hints=(
        "Make a table log L of the shape (B, G): a row for each trial, a column for each angle of the grid.",
        "The first sum is a matrix product of counts (B, N) and the transpose of log rates (G, N). The "
        "second does not depend on the trial: it has the shape (G,).",
        "log_l = counts @ rates.log().T - window * rates.sum(1); return grid[log_l.argmax(1)].",
    ),
    why="Counts times a table of weights, minus what was to be expected: a linear layer with a bias. "
    "Where neurons are spread evenly the bias is the same for all s and may be left out.",
)

if __name__ == "__main__":
    EXERCISE.main()
