"""07c  Broken on purpose: a triangle that teaches the wrong thing

Lesson 07, sections 3 and 6. Somebody wanted the triangular surrogate

    h(x) = max(0, 1 − |x|/w)             x = U − θ

and wrote an autograd function around U. Its spikes are right. In a network the loss goes down for a
while, since the read-out learns, and then stays far above what others reach.

The two functions below run; two things are wrong in the second. Mend it. To see the first, ask what a
neuron is handed that stands just above θ, and whether an update then goes the right way. To see the other,
ask which neuron is handed most.

``mem`` (U) and ``grad_spk`` (∂L/∂S) have the same shape, (B, N); ``threshold`` and ``width`` are floats.
About 10 minutes.

Run:  uv run exercises/07c_broken_slope.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def fires(mem: Tensor, threshold: float) -> Tensor:
    """The forward pass: right as it is."""
    return (mem > threshold).float()


def triangle_backward(mem: Tensor, grad_spk: Tensor, threshold: float, width: float) -> Tensor:
    """The backward pass: ∂L/∂U from U and ∂L/∂S, each ``(B, N)``."""
    near = (mem.abs() < width).float()
    slope = torch.where(mem > threshold, -1.0, 1.0)
    return grad_spk * near * slope * (1 - mem.abs() / width)


# ---- nothing to edit below this line


def check_sign(triangle_backward) -> None:
    """more potential never means less of a spike: h is nowhere negative"""
    for threshold, width in ((1.0, 0.5), (1.0, 2.0), (0.5, 1.0)):
        mem = torch.linspace(-3, 4, 701)[None]
        got = triangle_backward(mem, torch.ones_like(mem), threshold, width)
        if got is None:
            raise Wrong("got None. Is there a return?")
        if (got < 0).any():
            at = mem[got < 0][0].item()
            if (got[mem > threshold] >= 0).all():
                raise Wrong(
                    f"θ = {threshold}, w = {width}: at U = {at:.2f} h is negative. Is the cut-off measured from "
                    "the same place as the distance?"
                )
            raise Wrong(
                f"θ = {threshold}, w = {width}: at U = {at:.2f} h is negative. If the error says 'less of this "
                "spike', such an update raises U."
            )


def check_centre(triangle_backward) -> None:
    """it is centred at θ: highest there, with height 1, and alike on both sides"""
    for threshold, width in ((1.0, 0.5), (2.0, 1.0), (0.5, 3.0)):
        off = torch.linspace(0, 0.9 * width, 10)
        above = triangle_backward(threshold + off[None], torch.ones(1, 10), threshold, width)
        below = triangle_backward(threshold - off[None], torch.ones(1, 10), threshold, width)
        who = f"θ = {threshold}, w = {width}: "
        if abs(above[0, 0].item() - 1) > 1e-5:
            raise Wrong(
                f"{who}at U = θ h is {above[0, 0].item():.3g}, expected 1. From where do you measure the distance?"
            )
        expect(above, below, "h (B, N)", f"{who}above θ and as far below it.")


def check_ends(triangle_backward) -> None:
    """it falls in a straight line and is 0 from a distance of w on"""
    for threshold, width in ((1.0, 0.5), (2.0, 1.0), (0.5, 3.0)):
        x = width * torch.tensor([[-1.5, -1.0, -0.75, -0.5, 0.0, 0.25, 1.0, 2.0]])
        wanted = torch.tensor([[0.0, 0.0, 0.25, 0.5, 1.0, 0.75, 0.0, 0.0]])
        got = triangle_backward(threshold + x, torch.ones_like(x), threshold, width)
        smell = f"θ = {threshold}, w = {width}; x/w is −1.5, −1, −0.75, −0.5, 0, 0.25, 1, 2."
        expect(got, wanted, "h (B, N)", smell)


def check_error(triangle_backward) -> None:
    """the error is multiplied, with its sign"""
    mem = torch.tensor([[1.0, 1.0, 0.75]])
    error = torch.tensor([[2.0, -2.0, 4.0]])
    got = triangle_backward(mem, error, 1.0, 0.5)
    expect(got, torch.tensor([[2.0, -2.0, 2.0]]), "∂L/∂U (B, N)", "∂L/∂S is 2, −2, 4.")


EXERCISE = Exercise(
    solve=triangle_backward,
    checks=(check_sign, check_centre, check_ends, check_error),
    hints=(
        "Put in U = 0, U = 0.9 and U = 1.1 with θ = 1, and w = 0.5. Which of the three should be handed least?",
        "The slope of the step's smooth version is what is wanted: a triangle, not the slope of a triangle. And h "
        "is a function of x = U − θ.",
        "x = mem - threshold; return grad_spk * (1 - x.abs() / width).clamp(min=0)",
    ),
    why="A surrogate may have almost any shape, but it needs the right place and the right sign. Nothing in "
    "the forward pass shows when it has neither.",
)

if __name__ == "__main__":
    EXERCISE.main()
