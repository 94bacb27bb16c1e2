"""00b  Broken on purpose: a stopwatch that flatters the GPU. Model solution"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median


def seconds_of(
    step: Callable[[], None], wait: Callable[[], None], clock: Callable[[], float], repeats: int
) -> float:
    """How long one ``step()`` takes until its work is done, from ``repeats`` timed calls."""
    for _ in range(5):  # the warm-up
        step()
    wait()  # and none of it is left in the queue
    times = []
    for _ in range(repeats):
        start = clock()
        step()
        wait()  # until the work is done
        times.append(clock() - start)
    return median(times)
