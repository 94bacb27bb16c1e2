"""20a  Two steps in one

Lesson 20, section 2. A linear state moves by h ← a·h + b. Two such steps, first (a₁, b₁), then (a₂, b₂),
are again one step of the same kind:

    h  →  a₁·h + b₁  →  a₂·(a₁·h + b₁) + b₂  =  a·h + b

Write the function that returns this (a, b). It is all that a parallel scan needs to know. The steps
are tensors of any shape, real or complex, and a₁ and a₂ may differ. About 5 minutes.

Run:  uv run exercises/20a_join_two_steps.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def join(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The step (a, b) that does ``first`` and then ``second``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

Step = tuple[Tensor, Tensor]


def step(*shape: int) -> Step:
    """A random step that fades."""
    return 0.9 * torch.rand(shape), torch.randn(shape)


def joined(join, first: Step, second: Step) -> Step:
    """What the student's function returns, if it is a pair of the right shape."""
    got = join(first, second)
    if got is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong(f"got {type(got).__name__}, expected two tensors, a and b.")
    for name, value in zip("ab", got, strict=True):
        if not isinstance(value, Tensor) or value.shape != first[0].shape:
            raise Wrong(f"{name} is no tensor of the shape {tuple(first[0].shape)}.")
    return got


def check_factor(join) -> None:
    """a says what is left of h after both steps"""
    (a1, b1), (a2, b2) = step(5), step(5)
    a, _ = joined(join, (a1, b1), (a2, b2))
    if torch.allclose(a, a1 + a2):
        raise Wrong(
            "a is the sum of a₁ and a₂. What is left after keeping a half, and then a half?"
        )
    expect(a, a1 * a2, "a", "h = 1 and no b: what is left after both steps?")


def check_order(join) -> None:
    """b says where h = 0 ends up, and the order counts"""
    (a1, b1), (a2, b2) = step(5), step(5)
    _, b = joined(join, (a1, b1), (a2, b2))
    if torch.allclose(b, a1 * b2 + b1):
        raise Wrong(
            "b is that of the other order: what came in at the first step fades in the second."
        )
    if torch.allclose(b, b1 + b2):
        raise Wrong("b is b₁ + b₂: what came in at the first step does not fade in the second.")
    expect(b, a2 * b1 + b2, "b", "Start with h = 0 and do both steps.")


def check_associative(join) -> None:
    """it does not matter which neighbours are joined first"""
    one, two, three = step(4), step(4), step(4)
    left = joined(join, joined(join, one, two), three)
    right = joined(join, one, joined(join, two, three))
    for name, x, y in zip("ab", left, right, strict=True):
        expect(x, y, name, "(1, 2) then 3 has to be 1 then (2, 3).")


def check_scan(join) -> None:
    """joined in pairs, 64 different steps are the loop"""
    a, b = step(64, 3)
    h = torch.zeros(3)
    for t in range(64):
        h = a[t] * h + b[t]
    while len(a) > 1:
        a, b = joined(join, (a[0::2], b[0::2]), (a[1::2], b[1::2]))
    expect(b[0], h, "state after 64 steps", "Six rounds of pairs instead of 64 steps.")


def check_complex(join) -> None:
    """complex steps as well"""
    first = (torch.tensor([0.5 + 0.5j]), torch.tensor([1.0 + 0j]))
    second = (torch.tensor([0.0 + 0.8j]), torch.tensor([0.0 - 1j]))
    a, b = joined(join, first, second)
    expect(torch.view_as_real(a), torch.tensor([[-0.4, 0.4]]), "a", "(0.5 + 0.5i)·0.8i")
    expect(torch.view_as_real(b), torch.tensor([[0.0, -0.2]]), "b", "0.8i·1 − i")


EXERCISE = Exercise(
    solve=join,
    checks=(check_factor, check_order, check_associative, check_scan, check_complex),
    hints=(
        "Multiply out a₂·(a₁·h + b₁) + b₂. What stands before h, and what is left without h?",
        "a = a₂·a₁. And b₁ came in before the second step, so the second step makes it fade.",
        "b = a₂·b₁ + b₂. Unpack the steps first: a1, b1 = first.",
    ),
    why=(
        "Two numbers describe any run of steps, however long, and they are joined in any order of "
        "brackets. That is what makes the scan possible. With a threshold and a reset in each step the "
        "joined function has one more piece for each threshold, and two numbers are not enough."
    ),
)

if __name__ == "__main__":
    EXERCISE.main()
