"""Wrong versions of exercise 11b; each docstring is a part of the message that must come."""

from __future__ import annotations

import numpy as np


def _frames(events, k, T, side):
    out = np.zeros((T, 2, side, side))
    np.add.at(out, (k, events["p"].astype(int), events["y"], events["x"]), 1)
    return out


def incomplete_bin_is_kept(events, count, side):
    """do not fill a bin, and are dropped"""
    T = -(-len(events) // count)
    return _frames(events, np.arange(len(events)) // count, T, side), 0


def several_events_of_a_pixel_count_once(events, count, side):
    """Are several events of one pixel counted as one"""
    T = len(events) // count
    kept = events[: T * count]
    out = np.zeros((T, 2, side, side))
    k = np.arange(len(kept)) // count
    out[k, kept["p"].astype(int), kept["y"], kept["x"]] += 1
    return out, len(events) - len(kept)


def dropped_is_forgotten(events, count, side):
    """dropped, expected 7"""
    T = len(events) // count
    kept = events[: T * count]
    return _frames(kept, np.arange(len(kept)) // count, T, side), 0


def events_are_dealt_out_like_cards(events, count, side):
    """A bin is a run of events that follow each other"""
    T = len(events) // count
    kept = events[: T * count]
    k = np.arange(len(kept)) % max(1, T)
    return _frames(kept, k, T, side), len(events) - len(kept)


def counts_alone(events, count, side):
    """expected two things"""
    T = len(events) // count
    kept = events[: T * count]
    return _frames(kept, np.arange(len(kept)) // count, T, side)


def rows_and_columns_exchanged(events, count, side):
    """y stands before x"""
    T = len(events) // count
    kept = events[: T * count]
    out = np.zeros((T, 2, side, side))
    k = np.arange(len(kept)) // count
    np.add.at(out, (k, kept["p"].astype(int), kept["x"], kept["y"]), 1)
    return out, len(events) - len(kept)
