"""04c  When do the events of a ramp come?

Lesson 04, section 1. The light on an ideal pixel changes along a straight line, from ``first`` at t = 0 to
``last`` at t = ``duration``, and stays there. M is ln(first) at the start. Say, without simulating it, when
each event comes: the k-th event is at the moment at which ln I has moved from ln(first) by k·θ, up or down.

Return the times as a tensor (K,), in order, in the unit of ``duration``. K is the number of events, 0 if
there are none. All times are below or equal to ``duration``. About 10 minutes.

Run:  uv run exercises/04c_events_of_a_ramp.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def ramp_events(first: float, last: float, duration: float, theta: float) -> Tensor:
    """Times of all events while the light goes from ``first`` to ``last``: ``(K,)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def simulated(first: float, last: float, duration: float, theta: float) -> Tensor:
    """The same by brute force: a pixel that looks a million times."""
    steps = 1_000_000
    t = torch.linspace(0, duration, steps + 1, dtype=torch.float64)
    level = (first + (last - first) * t / duration).log() - math.log(first)
    whole = (level.abs() / theta + 1e-9).floor()  # events so far
    return t[1:][whole.diff() > 0]


def times(ramp_events, first: float, last: float, duration: float, theta: float) -> Tensor:
    """The student's times, one dimension."""
    try:
        found = ramp_events(first, last, duration, theta)
    except RuntimeError as e:
        if last < first:
            raise Wrong(
                f"from {first:g} to {last:g}: {e}. The light falls here: is the number of events negative?"
            ) from None
        raise
    if found is None:
        raise Wrong("got None. Is there a return?")
    found = torch.as_tensor(found, dtype=torch.float64)
    if found.ndim != 1:
        raise Wrong(f"got the shape {tuple(found.shape)}, expected one dimension, (K,).")
    return found


def check_number(ramp_events) -> None:
    """the right number of events, up and down"""
    for first, last, theta in ((100, 200, 0.2), (200, 100, 0.2), (1, 1000, 0.5), (50, 49, 0.1)):
        found = times(ramp_events, first, last, 1.0, theta)
        wanted = int(abs(math.log(last / first)) / theta)
        if len(found) != wanted:
            smell = ""
            if len(found) == int(abs(last - first) / theta):
                smell = " Count in the logarithm: ln(last) − ln(first)."
            elif not len(found) and last < first:
                smell = " The light falls: ln I moves by −k·θ, and there are OFF events."
            raise Wrong(
                f"from {first} to {last}, θ = {theta}: {len(found)} events, expected {wanted}.{smell}"
            )


def check_times_up(ramp_events) -> None:
    """from 100 to 200 in 1 s: the first event after 22 % of the time"""
    found = times(ramp_events, 100.0, 200.0, 1.0, 0.2)
    evenly = torch.tensor([0.2, 0.4, 0.6]) / math.log(2)
    if torch.allclose(found, evenly.double(), atol=1e-4):
        raise Wrong(
            "the times are evenly spaced. The light rises evenly, not its logarithm: solve "
            "ln I(t) = ln(first) + k·θ for t."
        )
    wanted = torch.tensor([math.exp(0.2 * k) - 1 for k in (1, 2, 3)], dtype=torch.float64)
    smell = "At the k-th event I = first·exp(k·θ). When does the straight line get there?"
    expect(found, wanted, "t (K)", smell)


def check_times_down(ramp_events) -> None:
    """from 200 to 100 in 3 s"""
    found = times(ramp_events, 200.0, 100.0, 3.0, 0.2)
    wanted = torch.tensor([6 * (1 - math.exp(-0.2 * k)) for k in (1, 2, 3)], dtype=torch.float64)
    smell = "At the k-th OFF event I = first·exp(−k·θ). All times are between 0 and duration."
    expect(found, wanted, "t (K)", smell)


def check_unit(ramp_events) -> None:
    """a hundred times the light: the same times; twice the duration: twice the times"""
    once = times(ramp_events, 3.0, 10.0, 1.0, 0.15)
    bright = times(ramp_events, 300.0, 1000.0, 1.0, 0.15)
    expect(bright, once, "t (K)", "In 100 times the light: only the ratio of the light counts.")
    slow = times(ramp_events, 3.0, 10.0, 2.0, 0.15)
    expect(slow, 2 * once, "t (K)", "In twice the duration.")


def check_simulation(ramp_events) -> None:
    """a pixel that is simulated in a million steps says the same"""
    for first, last, duration, theta in ((20.0, 333.0, 0.7, 0.11), (90.0, 7.0, 2.0, 0.23)):
        wanted = simulated(first, last, duration, theta)
        found = times(ramp_events, first, last, duration, theta)
        what = f"From {first:g} to {last:g}."
        expect(found, wanted, "t (K)", what, tolerance=1e-4)


EXERCISE = Exercise(
    solve=ramp_events,
    checks=(check_number, check_times_up, check_times_down, check_unit, check_simulation),
    hints=(
        "How bright is the light at the k-th event? And when does first + (last − first)·t/duration have "
        "that value?",
        "K is the whole number of θ in |ln(last/first)|. The sign of k·θ is that of last − first.",
        "k = torch.arange(1, K + 1); light = first * torch.exp(sign * k * theta); t = duration * "
        "(light - first) / (last - first).",
    ),
    why="Even motion of the light makes uneven events: on the way up they come further and further apart, "
    "since each one needs 22 % more light than the last.",
)

if __name__ == "__main__":
    EXERCISE.main()
