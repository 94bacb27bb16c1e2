"""00b  Broken on purpose: a stopwatch that flatters the GPU

Lesson 00, section 4. A colleague times a training step on a GPU. The program runs, and its numbers are
wrong, at times far too small and at times far too large. It has three faults. What is known:

    A GPU works in the background. ``step()`` puts its work into a queue and returns at once;
    ``wait()`` returns when the queue is empty (in PyTorch: torch.cuda.synchronize).
    The first few calls are slow: memory is reserved, kernels are loaded. Five calls are enough.
    Now and then something else uses the machine, and a call takes a hundred times as long.

``clock()`` gives the time in seconds. Return the seconds that one step takes as a rule. About 10 minutes.

Run:  uv run exercises/00b_stopwatch.py
"""

from __future__ import annotations

import _root  # noqa: F401

from collections.abc import Callable
from statistics import mean, median  # noqa: F401

from tutor.exercises import Exercise, Wrong


def seconds_of(
    step: Callable[[], None], wait: Callable[[], None], clock: Callable[[], float], repeats: int
) -> float:
    """How long one ``step()`` takes until its work is done, from ``repeats`` timed calls."""
    times = []
    for _ in range(repeats):
        start = clock()
        step()
        times.append(clock() - start)
    return mean(times)


# ---- nothing to edit below this line


class Gpu:
    """A pretended GPU with a clock of its own: ``step`` returns after 0.1 ms, its work takes longer."""

    def __init__(self, work: float, first: float = 0.0, hiccup: int = 0) -> None:
        self.now, self.done, self.calls = 0.0, 0.0, 0
        self.work, self.first, self.hiccup = work, first, hiccup

    def clock(self) -> float:
        """The time on this clock, in seconds."""
        return self.now

    def step(self) -> None:
        """Queue one piece of work behind what is in the queue already."""
        takes = self.work
        if self.calls < 3:
            takes += self.first
        if self.hiccup and self.calls % self.hiccup == self.hiccup - 1:
            takes *= 100
        self.calls += 1
        self.done = max(self.now, self.done) + takes
        self.now += 1e-4

    def wait(self) -> None:
        """Come back when the queue is empty."""
        self.now = max(self.now, self.done)


def measured(seconds_of, gpu: Gpu, repeats: int = 20) -> float:
    """The student's seconds on a pretended GPU."""
    got = seconds_of(gpu.step, gpu.wait, gpu.clock, repeats)
    if got is None:
        raise Wrong("got None. Is there a return?")
    return float(got)


def off(got: float, wanted: float) -> bool:
    return abs(got - wanted) > 0.01 * wanted


def check_wait(seconds_of) -> None:
    """the clock stops when the work is done, not when it is queued"""
    got = measured(seconds_of, Gpu(5e-3))
    if not off(got, 1e-4):
        raise Wrong(
            "a step of 5 ms is said to take 0.1 ms. That is how long it takes to put it into the queue."
        )
    if off(got, 5e-3):
        raise Wrong(
            f"a step of 5 ms is said to take {1000 * got:.3g} ms. Is the queue empty when the clock "
            "starts, and when it stops? One call, one wait, one time."
        )


def check_warm_up(seconds_of) -> None:
    """the first calls, which take longer, are not timed"""
    got = measured(seconds_of, Gpu(5e-3, first=2.0), 4)
    if off(got, 5e-3):
        raise Wrong(
            f"a step of 5 ms is said to take {1000 * got:.3g} ms. The first three calls take 2 s more: "
            "call step() five times before the first clock(), and let their work end too."
        )


def check_queue(seconds_of) -> None:
    """the work of the warm-up is over before the clock starts"""
    got = measured(seconds_of, Gpu(5e-3, first=2.0), 1)
    if off(got, 5e-3):
        raise Wrong(
            f"timed once, a step of 5 ms is said to take {1000 * got:.3g} ms. Work of the warm-up was "
            "still in the queue when the clock started."
        )


def check_hiccup(seconds_of) -> None:
    """one call in ten that takes a hundred times as long changes nothing"""
    got = measured(seconds_of, Gpu(5e-3, hiccup=10))
    if off(got, 5e-3):
        raise Wrong(
            f"a step of 5 ms is said to take {1000 * got:.3g} ms. Two of 20 calls were disturbed. Which "
            "average does not mind?"
        )


def check_repeats(seconds_of) -> None:
    """as many calls are timed as were asked for"""
    gpu = Gpu(5e-3)
    measured(seconds_of, gpu, 7)
    if gpu.calls != 12:
        raise Wrong(f"step() was called {gpu.calls} times, expected 5 for the warm-up and 7 timed.")


EXERCISE = Exercise(
    solve=seconds_of,
    checks=(check_wait, check_warm_up, check_queue, check_hiccup, check_repeats),
    hints=(
        "What is missing before the second clock()? What is missing before the loop? And what does the "
        "last line do with one very large number?",
        "wait() belongs between step() and the second clock(). Before the loop: five calls of step(), "
        "then wait(), so that no work of theirs is left in the queue.",
        "Five times step(), then wait(). In the loop wait() after step(). And median is imported already.",
    ),
    why="Without waiting one times the queue and not the work; a first call, or one disturbed call, is "
    "about the machine and not about the step.",
)

if __name__ == "__main__":
    EXERCISE.main()
