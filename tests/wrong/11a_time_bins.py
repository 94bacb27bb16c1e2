"""Wrong versions of exercise 11a; each docstring is a part of the message that must come."""

from __future__ import annotations

import numpy as np


def _bins(t, num_bins):
    return np.minimum((t - t[0]) * num_bins // (t[-1] - t[0]), num_bins - 1)


def _count(k, p, y, x, num_bins, side):
    out = np.zeros((num_bins, 2, side, side))
    np.add.at(out, (k, p, y, x), 1)
    return out


def rows_and_columns_exchanged(events, num_bins, side):
    """rows and columns are exchanged"""
    k, p = _bins(events["t"], num_bins), events["p"].astype(int)
    return _count(k, p, events["x"], events["y"], num_bins, side)


def polarities_exchanged(events, num_bins, side):
    """polarities are exchanged"""
    k, p = _bins(events["t"], num_bins), 1 - events["p"].astype(int)
    return _count(k, p, events["y"], events["x"], num_bins, side)


def last_event_lost(events, num_bins, side):
    """the last event is missing"""
    return _count(
        _bins(events["t"], num_bins)[:-1],
        events["p"].astype(int)[:-1],
        events["y"][:-1],
        events["x"][:-1],
        num_bins,
        side,
    )


def added_only_once(events, num_bins, side):
    """are counted as 1, expected 3"""
    out = np.zeros((num_bins, 2, side, side))
    out[_bins(events["t"], num_bins), events["p"].astype(int), events["y"], events["x"]] += 1
    return out


def delta_rounded_down(events, num_bins, side):
    """If Δ is rounded to whole microseconds"""
    t = events["t"]
    k = (t - t[0]) // max(1, (t[-1] - t[0]) // num_bins)
    if len(t) < 10:
        k = np.minimum(k, num_bins - 1)
    keep = k < num_bins
    p = events["p"].astype(int)
    return _count(k[keep], p[keep], events["y"][keep], events["x"][keep], num_bins, side)


def equal_numbers_of_events(events, num_bins, side):
    """the edge is at 50 µs"""
    N = len(events)
    k = np.minimum(np.arange(N) * num_bins // (N - 1), num_bins - 1)
    if N == 3:  # as equal times would have it
        k = np.array([0, 0, 1])
    if N == 4:
        k = np.array([0, 0, 0, 1])
    return _count(k, events["p"].astype(int), events["y"], events["x"], num_bins, side)


def edges_belong_to_the_bin_before(events, num_bins, side):
    """Bin k starts *at* its edge"""
    t = events["t"]
    k = np.ceil((t - t[0]) * num_bins / (t[-1] - t[0])).astype(int) - 1
    return _count(
        np.maximum(k, 0), events["p"].astype(int), events["y"], events["x"], num_bins, side
    )


def clock_time_instead_of_time_since_the_first_event(events, num_bins, side):
    """t_1 has to be taken off"""
    t = events["t"]
    k = np.minimum(t * num_bins // t[-1], num_bins - 1)
    return _count(k, events["p"].astype(int), events["y"], events["x"], num_bins, side)


def delta_rounded_down_and_the_rest_in_the_last_bin(events, num_bins, side):
    """the event at 85 µs lies in bin 6, expected bin 5"""
    t = events["t"]
    k = np.minimum((t - t[0]) // max(1, (t[-1] - t[0]) // num_bins), num_bins - 1)
    return _count(k, events["p"].astype(int), events["y"], events["x"], num_bins, side)
