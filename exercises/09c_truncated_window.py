"""09c  A window for the error

Lesson 09, section 6. Write the loop over time of a network with two layers, with truncated BPTT: the
answer is the potential of the output neurons at the last step, and from there errors go back
``window`` steps and no further. The last step counts as one of them. The numbers that come out are
the same as without a window; only their history is cut.

``x`` is (T, B, N). ``fc1`` and ``fc2`` are nn.Linear, ``lif1`` and ``lif2`` snn.Leaky that hand their state
back: ``spk1, mem1 = lif1(fc1(x[t]), mem1)``. Start with ``mem1 = lif1.init_leaky()``. A window longer
than T is ordinary BPTT. About 10 minutes.

Run:  uv run exercises/09c_truncated_window.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor, nn


def last_potential(
    x: Tensor, fc1: nn.Linear, lif1: snn.Leaky, fc2: nn.Linear, lif2: snn.Leaky, window: int
) -> Tensor:
    """``x (T, B, N)`` → the potential of the output neurons at the last step, ``(B, K)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

T = 7  # no multiple of the windows below


def layers() -> tuple[nn.Linear, snn.Leaky, nn.Linear, snn.Leaky]:
    """A small network that fires."""
    fc1, fc2 = nn.Linear(4, 8), nn.Linear(8, 3)
    with torch.no_grad():
        fc1.weight.abs_()
    return fc1, snn.Leaky(beta=0.9), fc2, snn.Leaky(beta=0.9)


def answer(last_potential, window: int) -> tuple[Tensor, Tensor, Tensor]:
    """The student's answer, the gradient that it sends to ``x``, and how much reaches each step (T,)."""
    torch.manual_seed(1)
    net = layers()
    x = torch.rand(T, 5, 4, requires_grad=True)
    mem = last_potential(x, *net, window)
    if mem is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(mem, Tensor) or mem.shape != (5, 3):
        shape = tuple(mem.shape) if isinstance(mem, Tensor) else type(mem).__name__
        raise Wrong(f"got {shape}, expected one tensor (B, K) = (5, 3): mem2 of the last step.")
    if not mem.requires_grad:
        raise Wrong("the answer has no history at all: even the last step was cut off.")
    (grad,) = torch.autograd.grad(mem.sum(), x, allow_unused=True)
    if grad is None:
        grad = torch.zeros_like(x)
    return mem, grad, grad.abs().sum((1, 2))


def whole(window: int = T) -> tuple[Tensor, Tensor]:
    """The right answer and its gradient without any window."""
    torch.manual_seed(1)
    fc1, lif1, fc2, lif2 = layers()
    x = torch.rand(T, 5, 4, requires_grad=True)
    mem1, mem2 = lif1.init_leaky(), lif2.init_leaky()
    for x_t in x:
        spk1, mem1 = lif1(fc1(x_t), mem1)
        _, mem2 = lif2(fc2(spk1), mem2)
    (grad,) = torch.autograd.grad(mem2.sum(), x)
    return mem2, grad


def check_forward(last_potential) -> None:
    """computes the same numbers with and without a window"""
    right, _ = whole()
    for window in (T, 3, 1):
        mem, _, _ = answer(last_potential, window)
        smell = (
            f"This is window {window}: cutting the history must not change the number. "
            "Was the state set to zero?"
        )
        if window == T:
            smell = "This is the longest window: an ordinary loop over all steps."
        expect(mem, right, "U2 at the end (B, K)", smell)


def check_cut(last_potential) -> None:
    """sends nothing back beyond the window"""
    for window in (1, 3):
        _, _, reached = answer(last_potential, window)
        early = reached[: T - window]
        if early.any():
            step = int(torch.nonzero(early)[0])
            raise Wrong(
                f"window {window}, step {step} of 0 to {T - 1}: the error still gets there. Both "
                "layers have a state, and each carries its history; or the cut comes too early."
            )


def check_window(last_potential) -> None:
    """lets everything back within the window"""
    _, right = whole()
    for window in (1, 4, T, T + 4):
        _, grad, reached = answer(last_potential, window)
        first = max(0, T - window)
        inside = reached[first:]
        if not inside.all():
            count = int((inside > 0).sum())
            if count == (T - 1) % window + 1 > 1:
                raise Wrong(
                    f"window {window}, T = {T}: the error gets back {count} steps, expected {len(inside)}. "
                    "Is the history cut every so many steps from the first on, as by t % window? "
                    "The window is counted back from the last step."
                )
            raise Wrong(
                f"window {window}: the error gets back {count} steps, expected {len(inside)}. Is the "
                "history cut at one step only, before that step is computed?"
            )
        smell = f"Window {window}: inside it, nothing may be lost."
        expect(grad[first:], right[first:], "∂U2/∂x (T, B, N)", smell)


EXERCISE = Exercise(
    solve=last_potential,
    checks=(check_forward, check_cut, check_window),
    hints=(
        "First write the loop without a window. Then: what links step T − window to the step before?",
        "mem1.detach() is the same number without a history. Two states cross from step to step.",
        "At the top of the loop: if t == len(x) - window: mem1 = mem1.detach(); mem2 = mem2.detach().",
    ),
    why="Time steps are joined by the states alone, so detaching both of them once cuts the sequence "
    "in two for the error, and for nothing else.",
)

if __name__ == "__main__":
    EXERCISE.main()
