"""11a  Frames of equal time

Lesson 11, section 3. Cut a recording into ``num_bins`` bins of equal time and count the events of each
bin, polarity and pixel, equations (1) and (3):

    bin k, counted from 0, holds   t_1 + k·Δ ≤ t_i < t_1 + (k+1)·Δ      Δ = (t_N − t_1) / num_bins

The last event lies exactly on the last edge; put it into the last bin, so that no event is lost.

``events (N,)`` is a structured array in order of time, as Tonic has it: ``events["x"]``, ``["y"]`` and
``["t"]`` (µs) are whole numbers, ``["p"]`` is True for ON and False for OFF. Return the counts
``(num_bins, 2, side, side)``, polarity 0 for OFF, then y, then x. NumPy or PyTorch, as you like. About
10 minutes.

Run:  uv run exercises/11a_time_bins.py
"""

from __future__ import annotations

import _root  # noqa: F401

from eventcam.events import event_array
from tutor.exercises import Exercise, Wrong, expect

import numpy as np
import torch


def time_bins(events: np.ndarray, num_bins: int, side: int) -> np.ndarray:
    """Events ``(N,)`` → counts ``(num_bins, 2, side, side)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def recording(times: list[int] | np.ndarray, side: int = 6) -> np.ndarray:
    """Events at these times (µs), at random places."""
    N = len(times)
    x = torch.randint(0, side, (N,)).numpy()
    y = torch.randint(0, side, (N,)).numpy()
    on = torch.rand(N).numpy() < 0.5
    return event_array(x, y, np.sort(np.asarray(times, dtype=np.int64)), on)


def counts(time_bins, events: np.ndarray, num_bins: int, side: int = 6) -> torch.Tensor:
    """What the student's function returns, as a tensor, its shape checked."""
    got = torch.as_tensor(np.asarray(time_bins(events, num_bins, side))).float()
    if tuple(got.shape) != (num_bins, 2, side, side):
        raise Wrong(
            f"got the shape {tuple(got.shape)}, expected (num_bins, 2, side, side) = "
            f"{(num_bins, 2, side, side)}."
        )
    return got


def check_one_event(time_bins) -> None:
    """an event is counted at its own polarity, row and column"""
    events = event_array(
        np.array([1, 4, 1]), np.array([2, 3, 5]), np.array([0, 40, 100]), np.array([1, 0, 1]) > 0
    )
    got = counts(time_bins, events, 2)
    wanted = torch.zeros(2, 2, 6, 6)
    wanted[0, 1, 2, 1] = wanted[0, 0, 3, 4] = wanted[1, 1, 5, 1] = 1
    if torch.equal(got, wanted.transpose(2, 3)):
        raise Wrong("rows and columns are exchanged: the index is [bin, p, y, x], with y before x.")
    if torch.equal(got, wanted.flip(1)):
        raise Wrong(
            "polarities are exchanged: index 1 counts the ON events, index 0 the OFF events."
        )
    if int(got.sum()) == 2 and not got[1].any():
        raise Wrong(
            "the last event is missing: it lies on the last edge and belongs into the last bin."
        )
    expect(
        got, wanted, "F (T, 2, y, x)", "Events at 0 and 40 µs lie in bin 0, one at 100 µs in bin 1."
    )


def check_same_place(time_bins) -> None:
    """two events of one pixel in one bin count as two"""
    zeros = np.zeros(4, dtype=np.int64)
    events = event_array(zeros, zeros, np.array([0, 1, 2, 100]), np.ones(4) > 0)
    got = counts(time_bins, events, 2)
    if got[0, 1, 0, 0] == 1:
        raise Wrong(
            "three events of one pixel in one bin are counted as 1, expected 3. `F[index] += 1` adds "
            "only once where an index comes several times; np.add.at does not."
        )
    if got[0, 1, 0, 0] != 3:
        raise Wrong(f"three events of one pixel in one bin are counted as {got[0, 1, 0, 0]:g}.")


def check_all_kept(time_bins) -> None:
    """no event is lost, however the recording is cut"""
    for N, num_bins in ((200, 7), (50, 3), (300, 20)):
        events = recording(torch.randint(0, 99_991, (N,)).numpy())
        got = int(counts(time_bins, events, num_bins).sum())
        if got != N:
            raise Wrong(
                f"{num_bins} bins hold {got} events, expected all {N}. If Δ is rounded to whole "
                "microseconds, the last bin ends too early or too late."
            )


def check_equal_time(time_bins) -> None:
    """bins have equal time, not equal numbers of events"""
    events = recording([0, 10, 20, 30, 40, 90, 100])
    per_bin = counts(time_bins, events, 2).sum((1, 2, 3)).tolist()
    if per_bin != [5, 2]:
        raise Wrong(
            f"of events at 0, 10, 20, 30, 40, 90 and 100 µs, {per_bin[0]:g} and {per_bin[1]:g} are in two "
            "bins, expected 5 and 2: the edge is at 50 µs."
        )
    place = np.arange(3)
    events = event_array(
        place, place, np.array([0, 85, 100]), np.ones(3) > 0
    )  # each at its own pixel
    for i, t, wanted in ((0, 0, 0), (1, 85, 5), (2, 100, 6)):
        bins = counts(time_bins, events, 7)[:, 1, i, i].nonzero().flatten().tolist()
        if bins != [wanted]:
            found = f"lies in bin {bins[0]}" if bins else "is in no bin"
            raise Wrong(
                f"seven bins of 100/7 = 14.29 µs: the event at {t} µs {found}, expected bin {wanted}, which "
                f"begins at {wanted * 100 / 7:.1f} µs. Is Δ rounded to whole microseconds?"
            )
    on_edge = counts(time_bins, recording([0, 50, 60, 100]), 2).sum((1, 2, 3)).tolist()
    if on_edge != [1, 3]:
        raise Wrong(
            f"an event exactly on the edge between two bins: they hold {on_edge[0]:g} and "
            f"{on_edge[1]:g} events, expected 1 and 3. Bin k starts *at* its edge: ≤ on the left, < on "
            "the right."
        )


def check_clock(time_bins) -> None:
    """what counts is the time since the first event, not the clock"""
    events = recording(torch.randint(0, 1000, (100,)).numpy())
    later = events.copy()
    later["t"] += 7_000_000
    smell = "The clock started 7 s earlier, and nothing else differs: t_1 has to be taken off."
    expect(counts(time_bins, later, 5), counts(time_bins, events, 5), "F (T, 2, y, x)", smell)


def check_speed(time_bins) -> None:
    """the same movement at a third of the speed makes the same frames"""
    events = recording(1000 * torch.randint(0, 100, (100,)).numpy())
    slow = events.copy()
    slow["t"] *= 3
    smell = "All times are three times as long, so Δ is as well, and each event stays in its bin."
    expect(counts(time_bins, slow, 4), counts(time_bins, events, 4), "F (T, 2, y, x)", smell)


def check_tonic(time_bins) -> None:
    """equals Tonic's ToFrame(n_time_bins), which drops the last event"""
    from tonic.transforms import ToFrame

    # the length is a multiple of the number of bins: Tonic rounds Δ down to whole microseconds
    times = np.append(torch.randint(1, 6000, (400,)).numpy(), [0, 6000])
    events = recording(times)
    wanted = torch.as_tensor(ToFrame((6, 6, 2), n_time_bins=6)(events)).float()
    last = events[-1]
    wanted[5, int(last["p"]), last["y"], last["x"]] += 1
    expect(counts(time_bins, events, 6), wanted, "F (T, 2, y, x)", "Tonic's frames differ.")


EXERCISE = Exercise(
    solve=time_bins,
    checks=(
        check_one_event,
        check_same_place,
        check_all_kept,
        check_equal_time,
        check_clock,
        check_speed,
        check_tonic,
    ),
    hints=(
        "First the bin of each event, (N,): a whole number from 0 to num_bins − 1. Then count.",
        "The share of the recording that has passed at event i is (t_i − t_1) / (t_N − t_1), from 0 "
        "to 1. Which bin is that? What does it give for the last event?",
        "k = (t - t[0]) * num_bins // (t[-1] - t[0]), in whole numbers; np.minimum(k, num_bins - 1); "
        "then np.add.at(F, (k, p, y, x), 1) with p as a whole number.",
    ),
    why="A fixed number of bins makes tensors that fit into a batch; the price is that Δ is another one "
    "for every recording, so how fast the movement was cannot be seen any more.",
)

if __name__ == "__main__":
    EXERCISE.main()
