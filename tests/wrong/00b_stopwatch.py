"""Wrong versions of exercise 00b; each docstring is a part of the message that must come."""

from __future__ import annotations

from statistics import mean, median


def _seconds(step, wait, clock, repeats, *, warm=5, drain=True, after=True, average=median):
    for _ in range(warm):
        step()
    if drain:
        wait()
    times = []
    for _ in range(repeats):
        start = clock()
        step()
        if after:
            wait()
        times.append(clock() - start)
    return average(times)


def as_it_was_given(step, wait, clock, repeats):
    """how long it takes to put it into the queue"""
    return _seconds(step, wait, clock, repeats, warm=0, drain=False, after=False, average=mean)


def never_waits(step, wait, clock, repeats):
    """how long it takes to put it into the queue"""
    return _seconds(step, wait, clock, repeats, after=False)


def no_warm_up(step, wait, clock, repeats):
    """The first three calls take 2 s more"""
    return _seconds(step, wait, clock, repeats, warm=0)


def mean_of_all(step, wait, clock, repeats):
    """Which average does not mind?"""
    return _seconds(step, wait, clock, repeats, average=mean)


def waits_once_at_the_end(step, wait, clock, repeats):
    """One call, one wait, one time"""
    start = clock()
    for _ in range(repeats):
        step()
    wait()
    return clock() - start


def warm_up_is_taken_from_the_repeats(step, wait, clock, repeats):
    """expected 5 for the warm-up and 7 timed"""
    return _seconds(step, wait, clock, max(1, repeats - 5))


def warm_up_still_in_the_queue(step, wait, clock, repeats):
    """still in the queue when the clock started"""
    return _seconds(step, wait, clock, repeats, drain=False)
