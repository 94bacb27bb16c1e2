"""Wrong versions of exercise 22c; each docstring is a part of the message that must come."""

from __future__ import annotations

from games.runner.play import overdue

import numpy as np

_NO_KEY = np.array([False])


def _wait(future, least, longest, none=None, enough=0.0):
    """The solution, on ``future`` itself."""
    for _ in range(least):
        future.step(_NO_KEY)
    for n in range(least, longest + 1):
        if overdue(future)[0] >= enough:
            return n
        future.step(_NO_KEY)
    return least if none is None else none


def plays_the_run_itself(games, least, longest):
    """Plan on games.copy()."""
    return _wait(games, least, longest)


def a_tick_late(games, least, longest):
    """Play on tick by tick, without a key"""
    return _wait(games.copy(), least, longest, enough=1.0)


def waits_the_longest_for_nothing(games, least, longest):
    """look again soon"""
    return _wait(games.copy(), least, longest, none=longest)


def beyond_the_longest(games, least, longest):
    """allowed are"""
    return _wait(games.copy(), least, 10 * longest)


def stops_in_the_air(games, least, longest):
    """no reason to stop"""
    future = games.copy()
    for n in range(longest + 1):
        if n >= least and (overdue(future)[0] >= 0 or future.y[0] > 0):
            return n
        future.step(_NO_KEY)
    return least


def ignores_the_least(games, least, longest):
    """allowed are 21 to 60"""
    future = games.copy()
    for n in range(longest + 1):
        if overdue(future)[0] >= 0:
            return n
        future.step(_NO_KEY)
    return least


def always_the_least(games, least, longest):
    """Play on tick by tick, without a key"""
    return least


def asks_from_now_on(games, least, longest):
    """A tick before `least` does not count"""
    future = games.copy()
    for n in range(longest + 1):
        if overdue(future)[0] >= 0:
            return max(n, least)
        future.step(_NO_KEY)
    return least
