"""11b  Frames of equal numbers of events

Lesson 11, section 3. Cut a recording into bins of ``count`` events each, one after the other, and count
per bin, polarity and pixel. Events that do not fill the last bin are dropped:

    bin k, counted from 0, holds the events  k·count < i ≤ (k+1)·count,  i = 1 … N

How many bins there are, T, depends on the recording; one with fewer than ``count`` events has none.

``events (N,)`` is a structured array in order of time, as in exercise 11a. Return the counts
``(T, 2, side, side)`` and the number of events that were dropped. About 10 minutes.

Run:  uv run exercises/11b_event_counts.py
"""

from __future__ import annotations

import _root  # noqa: F401

from eventcam.events import event_array
from tutor.exercises import Exercise, Wrong, expect

import numpy as np
import torch


def event_counts(events: np.ndarray, count: int, side: int) -> tuple[np.ndarray, int]:
    """Events ``(N,)`` → counts ``(T, 2, side, side)`` and the number of events that were dropped."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def recording(N: int, side: int = 6) -> np.ndarray:
    """N events at random places and times."""
    x, y = torch.randint(0, side, (2, N)).numpy()
    t = torch.randint(0, 100_000, (N,)).sort().values.numpy()
    return event_array(x, y, t, torch.rand(N).numpy() < 0.5)


def outcome(
    event_counts, events: np.ndarray, count: int, side: int = 6
) -> tuple[torch.Tensor, int]:
    """Both things returned, checked for their kind."""
    returned = event_counts(events, count, side)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("expected two things: the counts, and the number of events that were dropped.")
    counts, dropped = returned
    counts = torch.as_tensor(np.asarray(counts)).float()
    if counts.ndim != 4 or tuple(counts.shape[1:]) != (2, side, side):
        raise Wrong(f"got the shape {tuple(counts.shape)}, expected (T, 2, {side}, {side}).")
    return counts, int(dropped)


def check_full(event_counts) -> None:
    """each bin holds exactly ``count`` events, and as many bins are full as can be"""
    for N, count in ((100, 10), (107, 25), (59, 60), (60, 60), (230, 7)):
        counts, dropped = outcome(event_counts, recording(N), count)
        wanted = N // count
        if len(counts) == wanted + 1 and N % count:
            raise Wrong(
                f"{N} events, {count} a bin: {len(counts)} bins, expected {wanted}. The events that are left "
                "over do not fill a bin, and are dropped."
            )
        if len(counts) != wanted:
            raise Wrong(f"{N} events, {count} a bin: {len(counts)} bins, expected {wanted}.")
        per_bin = counts.sum((1, 2, 3))
        if not bool((per_bin == count).all()):
            k = int((per_bin != count).nonzero()[0])
            raise Wrong(
                f"bin {k} of {wanted} holds {per_bin[k]:g} events, expected {count}. Are several events "
                "of one pixel counted as one (np.add.at counts them all)?"
            )
        if dropped != N % count:
            raise Wrong(f"{N} events, {count} a bin: {dropped} dropped, expected {N % count}.")


def check_order(event_counts) -> None:
    """bins follow each other in time"""
    number = np.arange(12)
    on = np.ones(12) > 0
    events = event_array(number % 6, number // 6, 10 * number, on)  # event i at pixel i
    counts, _ = outcome(event_counts, events, 3)
    for k in range(4):
        found = counts[k, 1].flatten().nonzero().flatten().tolist()
        wanted = [3 * k, 3 * k + 1, 3 * k + 2]
        if found != wanted:
            raise Wrong(
                f"twelve events, three a bin: bin {k} holds the events {found}, expected {wanted} (counted "
                "from 0). A bin is a run of events that follow each other; its polarity index is p, and y "
                "stands before x."
            )


def check_time_does_not_matter(event_counts) -> None:
    """frames stay the same if the movement gets slower on the way"""
    events = recording(300)
    slower = events.copy()
    slower["t"] = events["t"] ** 2 // 1000
    got, _ = outcome(event_counts, slower, 40)
    wanted, _ = outcome(event_counts, events, 40)
    smell = "Only times were changed, not their order. Bins of equal counts do not look at times."
    expect(got, wanted, "F (T, 2, y, x)", smell)


def check_tonic(event_counts) -> None:
    """equals Tonic's ToFrame(event_count)"""
    from tonic.transforms import ToFrame

    for N, count in ((500, 60), (500, 500), (123, 5)):
        events = recording(N)
        wanted = torch.as_tensor(ToFrame((6, 6, 2), event_count=count)(events)).float()
        got, _ = outcome(event_counts, events, count)
        smell = f"{N} events, {count} a bin. The index is [bin, p, y, x], p = 1 for ON."
        expect(got, wanted, "F (T, 2, y, x)", smell)


EXERCISE = Exercise(
    solve=event_counts,
    checks=(check_full, check_order, check_time_does_not_matter, check_tonic),
    hints=(
        "How many bins are full? How many events do they hold? The rest is dropped.",
        "Event i, counted from 0, lies in bin i // count. Leave out the events whose bin is not full.",
        "T = N // count; kept = events[: T * count]; k = np.arange(len(kept)) // count; then "
        "np.add.at(F, (k, p, y, x), 1).",
    ),
    why="Every frame holds as many events, whether the movement is fast or slow. What is lost is the "
    "clock, and the events at the end, half a bin on average.",
)

if __name__ == "__main__":
    EXERCISE.main()
