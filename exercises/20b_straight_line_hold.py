"""20b  From the equation to the step, for an input that moves

Lesson 20, section 1. Zero-order hold takes the input to stand still during a step. A sound or a voltage
does not: between two samples, x₀ at the start of a step and x₁ at its end, it is better taken to go in a
straight line. From the start of the step the state follows

    h′(τ) = A·h(τ) + x(τ)          x(τ) = x₀ + (x₁ − x₀)·τ/Δ,   0 ≤ τ ≤ Δ

and its exact value at the end is a·h(0) + b₀·x₀ + b₁·x₁ with the a of zero-order hold. Find b₀ and b₁. All
that comes in at τ fades until Δ, so the way is the integral

    h(Δ) = e^(ΔA)·h(0) + ∫₀^Δ e^((Δ−τ)A)·x(τ) dτ

``A`` is complex, ``(N,)``, its real part is negative; ``dt`` is Δ, a float. Return b₀ and b₁, complex,
``(N,)`` each. A pencil helps. About 20 minutes.

Run:  uv run exercises/20b_straight_line_hold.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def straight_line(A: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """A ``(N,)`` and Δ → b₀ and b₁ of one step, ``(N,)`` each."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def rates() -> Tensor:
    """Four states that fade and ring, in double precision."""
    parts = torch.full((4,), -0.5, dtype=torch.float64), torch.tensor([0.0, 3.0, 6.0, 9.0]).double()
    return torch.complex(*parts)


def result(straight_line, A: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """What the student's function returns, if it is a pair of the right shape."""
    got = straight_line(A, dt)
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong(f"got {type(got).__name__}, expected two tensors, b₀ and b₁.")
    for name, value in zip(("b₀", "b₁"), got, strict=True):
        if not isinstance(value, Tensor) or value.shape != A.shape:
            raise Wrong(f"{name} is no tensor of the shape {tuple(A.shape)}.")
    return got


def same(got: Tensor, truth: Tensor, what: str, smells: str) -> None:
    """``expect`` for complex numbers."""
    expect(torch.view_as_real(got.to(truth.dtype)), torch.view_as_real(truth), what, smells)


def fine(A: Tensor, dt: float, x0: float, x1: float, n: int = 4000) -> Tensor:
    """h(Δ) from h(0) = 0, by n tiny steps of the differential equation, each from its middle."""
    h = torch.zeros_like(A)
    for i in range(n):
        x = x0 + (x1 - x0) * (i + 0.5) / n
        middle = h + dt / n / 2 * (A * h + x)
        h = h + dt / n * (A * middle + x)
    return h


def check_still(straight_line) -> None:
    """an input that stands still is zero-order hold"""
    A, dt = rates(), 0.4
    b0, b1 = result(straight_line, A, dt)
    held = (torch.exp(dt * A) - 1) / A
    smells = "x₀ = x₁ = 1: nothing moves, so (2) holds, and b₀ + b₁ is its b."
    same(b0 + b1, held, "b₀ + b₁", smells)


def check_ramp(straight_line) -> None:
    """an input that rises from 0 to 1 is the differential equation"""
    A, dt = rates(), 0.4
    b0, b1 = result(straight_line, A, dt)
    truth = fine(A, dt, 0.0, 1.0)
    if torch.allclose(b0.to(truth.dtype), truth, atol=1e-5):
        raise Wrong("b₀ and b₁ have changed places: x₀ is the input at the start of the step.")
    if torch.allclose(b1, b0, atol=1e-5):
        raise Wrong(
            "b₀ = b₁: what comes in late has less time to fade and turn than what comes early."
        )
    if b1.abs().max() < 1e-6:
        raise Wrong("b₁ is 0: that is zero-order hold. The end of the step counts as well.")
    same(b1, truth, "b₁", "x₀ = 0, x₁ = 1: the integral of e^((Δ−τ)A)·τ/Δ.")


def check_fall(straight_line) -> None:
    """and so is one that falls from 1 to 0"""
    A, dt = rates(), 0.7
    b0, _ = result(straight_line, A, dt)
    same(b0, fine(A, dt, 1.0, 0.0), "b₀", "x₀ = 1, x₁ = 0: the rest of zero-order hold's b.")


def check_halves(straight_line) -> None:
    """two half steps along a line are one step"""
    A, dt = rates(), 0.6
    b0, b1 = result(straight_line, A, dt)
    c0, c1 = result(straight_line, A, dt / 2)
    x0, x1 = 0.3, -1.1
    middle = (x0 + x1) / 2
    h = torch.exp(dt / 2 * A) * (c0 * x0 + c1 * middle) + c0 * middle + c1 * x1
    same(h, b0 * x0 + b1 * x1, "h(Δ)", "twice Δ/2 is Δ: does one of the two forget a factor Δ?")


EXERCISE = Exercise(
    solve=straight_line,
    checks=(check_still, check_ramp, check_fall, check_halves),
    hints=(
        "Set h(0) = 0. With x₀ = x₁ = 1 the integral is (2)'s b. With x₀ = 0 and x₁ = 1 it is b₁. So one "
        "integral is new, and b₀ = b − b₁.",
        "b₁ = ∫₀^Δ e^((Δ−τ)A)·τ/Δ dτ. By parts: −1/A from the upper end, and 1/(ΔA) times the integral "
        "that gives (2)'s b.",
        "b = (torch.exp(dt * A) - 1) / A; b₁ = (b / dt - 1) / A; b₀ = b - b₁.",
    ),
    why=(
        "The state has no rule of its own for stepping: give an exact account of what the input does "
        "in between, and a and b follow. Straight lines follow a smooth input with an error that falls with "
        "Δ², steps with one that falls with Δ. The pixels of the lesson are no smooth curve: there a "
        "held input is as good a guess."
    ),
)

if __name__ == "__main__":
    EXERCISE.main()
