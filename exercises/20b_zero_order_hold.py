"""20b  From the equation to the step

Lesson 20, section 1. Between two steps the state follows h′ = A·h + x, and x holds still. The time
between them is Δ. So a step is

    h[t] = a·h[t−1] + b·x[t]

Find a and b such that this is the *exact* solution, for every A ≠ 0 and every Δ > 0. Two cases say it
all: with x = 0 the solution is h(Δ) = e^(ΔA)·h(0); with h(0) = 0 and x = 1 it is h(Δ) = (e^(ΔA) − 1)/A.

``A`` is complex, ``(N,)``, its real part is negative; ``dt`` is Δ, a float. Return a and b, complex,
``(N,)`` each. About 5 minutes.

Run:  uv run exercises/20b_zero_order_hold.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def discretise(A: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """A ``(N,)`` and Δ → a and b of one step, ``(N,)`` each."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def rates() -> Tensor:
    """Four states that fade and ring."""
    return torch.complex(torch.full((4,), -0.5), torch.tensor([0.0, 3.0, 6.0, 9.0]))


def result(discretise, A: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """What the student's function returns, if it is a pair of the right shape."""
    got = discretise(A, dt)
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong(f"got {type(got).__name__}, expected two tensors, a and b.")
    for name, value in zip("ab", got, strict=True):
        if not isinstance(value, Tensor) or value.shape != A.shape:
            raise Wrong(f"{name} is no tensor of the shape {tuple(A.shape)}.")
    return got


def check_fades(discretise) -> None:
    """a state without input fades, with any time step"""
    for dt in (0.01, 0.2, 1.0, 5.0):
        a, _ = result(discretise, rates(), dt)
        size = a.abs().max().item()
        if size > 1:
            raise Wrong(
                f"Δ = {dt:g}: |a| = {size:.3g}. A state that fades grows: is a = 1 + ΔA (Euler)?"
            )


def check_leak(discretise) -> None:
    """and it fades as the membrane of lesson 01 does"""
    a, _ = result(discretise, torch.tensor([-0.5 + 0j]), 0.2)
    if abs(a.real.item() - 0.904837) > 1e-5:
        raise Wrong(f"A = −0.5, Δ = 0.2: a = {a.real.item():.6f}, expected e^(−0.1) = 0.904837.")


def check_halves(discretise) -> None:
    """two half steps are one step"""
    a, b = result(discretise, rates(), 0.4)
    a_half, b_half = result(discretise, rates(), 0.2)
    expect(torch.view_as_real(a_half**2), torch.view_as_real(a), "a²", "twice Δ/2 is Δ")
    both = a_half * b_half + b_half  # x = 1 in both halves
    if torch.allclose(b, torch.full_like(b, 0.4)):
        raise Wrong("b = Δ is Euler's: what came in early in a step has faded when the step ends.")
    expect(
        torch.view_as_real(both), torch.view_as_real(b), "b", "x = 1 in two half steps, or in one"
    )


def check_rest(discretise) -> None:
    """under constant input h comes to rest where h′ = 0"""
    A = rates()
    a, b = result(discretise, A, 0.3)
    rest = b / (1 - a)
    if torch.allclose(rest, 1 / A, atol=1e-4):
        raise Wrong("h comes to rest at 1/A, expected −1/A. Which sign has (e^(ΔA) − 1)/A?")
    hint = "h′ = A·h + 1 is 0 at h = −1/A."
    expect(torch.view_as_real(rest), torch.view_as_real(-1 / A), "h at rest", hint)


def check_fine(discretise) -> None:
    """equals ten thousand tiny steps of the differential equation"""
    A = rates().to(torch.complex128)
    h = torch.zeros_like(A)
    for _ in range(10_000):
        middle = h + 0.00001 * (A * h + 1)
        h = h + 0.00002 * (A * middle + 1)
    _, b = result(discretise, A, 0.2)
    expect(torch.view_as_real(b), torch.view_as_real(h), "b for Δ = 0.2", "h(0) = 0, x = 1")


EXERCISE = Exercise(
    solve=discretise,
    checks=(check_fades, check_leak, check_halves, check_rest, check_fine),
    hints=(
        "The two cases of the task are a and b: what becomes of h(0) = 1, and what does x = 1 leave?",
        "a = torch.exp(dt * A). It is complex: its size is the fading, its angle the turning.",
        "b = (a - 1) / A",
    ),
    why=(
        "The size of e^(ΔA) is e^(Δ·Re A): below 1 for every Δ and every frequency. So training may "
        "change Δ and A as it likes, and no state can explode. Euler's 1 + ΔA is only close to it for "
        "small ΔA, and a fast oscillation is not small."
    ),
)

if __name__ == "__main__":
    EXERCISE.main()
