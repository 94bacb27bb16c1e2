"""20a  A scan of your own

Lesson 20, section 2. Step t of a linear state is h ← a[t]·h + b[t], and (5) joins two such steps into one.
The lesson's `scan` joins neighbours, halves the length, and comes back down. There is a shorter way:
first every step takes in the step one before it, then what stands two before it, then four, eight, …
After each round entry t stands for twice as many steps, and when it stands for all steps from the first
one on, its b is h[t] (the state starts at 0).

Write this scan: ``a`` and ``b`` are ``(T, …)``, real or complex, and T may be any length; h ``(T, …)`` comes
back. A round does all entries at once, so there is no loop over t. Which of two steps is the first
one in (5)? And what becomes of the entries that have nothing so far before them? About 15 minutes.

Run:  uv run exercises/20a_scan_by_doubling.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def scan(a: Tensor, b: Tensor) -> Tensor:
    """All states h ``(T, …)`` of h[t] = a[t]·h[t−1] + b[t], from h = 0, in about log₂T rounds."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def loop(a: Tensor, b: Tensor) -> Tensor:
    """The same, step by step."""
    h = [b[0]]
    for t in range(1, len(b)):
        h.append(a[t] * h[-1] + b[t])
    return torch.stack(h)


def result(scan, a: Tensor, b: Tensor) -> Tensor:
    """What the student's function returns, if it has the right shape and has left its arguments alone."""
    kept_a, kept_b = a.clone(), b.clone()
    h = scan(a, b)
    if not isinstance(h, Tensor) or h.shape != b.shape:
        got = tuple(h.shape) if isinstance(h, Tensor) else type(h).__name__
        raise Wrong(f"got {got}, expected a state for each step, {tuple(b.shape)}.")
    if not (torch.equal(a, kept_a) and torch.equal(b, kept_b)):
        raise Wrong("a or b has changed: write the new entries into a copy (torch.cat, or clone).")
    return h


def random_steps(*shape: int) -> tuple[Tensor, Tensor]:
    """Steps that fade, each by another factor."""
    draw = torch.Generator().manual_seed(shape[0])
    return 0.5 + 0.5 * torch.rand(shape, generator=draw), torch.randn(shape, generator=draw)


def check_two(scan) -> None:
    """one step, and two"""
    a, b = random_steps(1, 3)
    expect(result(scan, a, b), b, "h after one step", "From h = 0 the first step leaves b.")
    a, b = random_steps(2, 3)
    h = result(scan, a, b)
    if torch.allclose(h[1], a[0] * b[1] + b[0]):
        raise Wrong(
            "h[1] is a[0]·b[1] + b[0]: the earlier step of the pair was taken for the later."
        )
    if torch.allclose(h[1], b[0] + b[1]):
        raise Wrong(
            "h[1] is b[0] + b[1]: what came in at the first step does not fade in the second."
        )
    if torch.allclose(h[1], a[1] * a[0] * b[0] + b[1]):
        raise Wrong(
            "h[1] is a[1]·a[0]·b[0] + b[1]: b was joined with the new a. Join b with the old a first."
        )
    expect(h, loop(a, b), "h", "h[1] = a[1]·b[0] + b[1], and h[0] = b[0].")


def check_sum(scan) -> None:
    """with a = 1 it adds up"""
    for T in (4, 64):
        h = result(scan, torch.ones(T, 1), torch.ones(T, 1))
        if h[-1].item() < T:
            raise Wrong(
                f"a = b = 1, {T} steps: the last state is {h[-1].item():g}, expected {T}. "
                "How many steps does an entry stand for after each round?"
            )
        expect(h[:, 0], torch.arange(1.0, T + 1), "h", "1, 2, 3, …: does a step go in twice?")


def check_fading(scan) -> None:
    """64 different steps are the loop"""
    a, b = random_steps(64, 3)
    smells = (
        "a of a joined pair is the product of both: is a updated in each round, with the old a?"
    )
    expect(result(scan, a, b), loop(a, b), "h", smells)


def check_lengths(scan) -> None:
    """any length, and complex steps"""
    for T in (3, 5, 37, 100):
        a, b = random_steps(T, 2)
        smells = f"T = {T} is no power of two: the last round joins only what has a step before it."
        expect(result(scan, a, b), loop(a, b), "h", smells)
    turn = torch.polar(torch.full((50, 2), 0.95), torch.full((50, 2), 0.7))
    push = torch.ones(50, 2, dtype=turn.dtype)
    got, truth = result(scan, turn, push), loop(turn, push)
    expect(torch.view_as_real(got), torch.view_as_real(truth), "h", "complex a")


class Multiplications(TorchDispatchMode):
    """Counts the multiplications of tensors, whatever their size."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += "mul" in func.__name__ or "addcmul" in func.__name__
        return func(*args, **(kwargs or {}))


def check_rounds(scan) -> None:
    """1,024 steps in ten rounds"""
    a, b = random_steps(1024, 2)
    with Multiplications() as counter:
        scan(a, b)
    if counter.count > 60:
        raise Wrong(
            f"{counter.count} multiplications of tensors for 1,024 steps, expected about 20: two a round, "
            "ten rounds. Is there a loop over the steps?"
        )


EXERCISE = Exercise(
    solve=scan,
    checks=(check_two, check_sum, check_fading, check_lengths, check_rounds),
    hints=(
        "In a round with distance d, entry t ≥ d is joined with entry t − d, which is the first of the two. "
        "Entries t < d stand for all of their past already: they stay as they are.",
        "far = 1; while far < len(b): all new entries from the old ones; then far = 2 * far.",
        "b = torch.cat([b[:far], a[far:] * b[:-far] + b[far:]]), and after it "
        "a = torch.cat([a[:far], a[far:] * a[:-far]]).",
    ),
    why=(
        "Each round doubles what an entry stands for, so log₂T rounds do, half as many as the lesson's scan "
        "needs. The price: every round works on all T entries, T·log₂T joins in all, where the lesson's way "
        "takes about 2·T. On a processor with room for all entries the first is faster, on one core the second."
    ),
)

if __name__ == "__main__":
    EXERCISE.main()
