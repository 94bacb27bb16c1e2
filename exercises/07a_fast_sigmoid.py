"""07a  The backward pass of a surrogate

Lesson 07, sections 2 and 3. The class below is a spike: forward it is a step, which stays as it is. Its
backward pass is missing. Forward, the smooth step that is meant is

    f(x) = x/(1 + k·|x|)                 k > 0, x = U − θ

Work out its slope h(x) = df/dx, for x > 0 and for x < 0, and return what autograd wants: ∂L/∂x, given
∂L/∂S. The height of h is 1 at x = 0.

``x`` and ``grad_spk`` (∂L/∂S) have the same shape, (B, N); ``k`` is a float. Return a tensor of that
shape. Use k as it comes: here it is given, not worked out from a width. About 10 minutes.

Run:  uv run exercises/07a_fast_sigmoid.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor


def fast_sigmoid_backward(x: Tensor, grad_spk: Tensor, k: float) -> Tensor:
    """∂L/∂x from x = U − θ and ∂L/∂S, each ``(B, N)``."""
    raise NotImplementedError("your line here")


# ---- nothing to edit below this line


def spike_with(fast_sigmoid_backward, k: float):
    """A spike_grad for snnTorch with the student's backward pass."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return (x > 0).float()

        @staticmethod
        def backward(ctx, grad_spk: Tensor) -> Tensor:
            (x,) = ctx.saved_tensors
            return fast_sigmoid_backward(x, grad_spk, k)

    return Spike.apply


def check_slope(fast_sigmoid_backward) -> None:
    """for ∂L/∂S = 1 it is the slope of f, by finite differences, on both sides"""
    for k in (1.0, 4.0, 25.0):
        for side in (1.0, -1.0):
            x = side * torch.tensor([[0.01, 0.1, 0.3, 1.0, 3.0]], dtype=torch.float64)
            step = 1e-6
            up = (x + step) / (1 + k * (x + step).abs())
            down = (x - step) / (1 + k * (x - step).abs())
            got = fast_sigmoid_backward(x, torch.ones_like(x), k)
            where = "x > 0" if side > 0 else "x < 0"
            smell = f"k = {k:g}, {where}, x = {x[0].tolist()}. f is odd, so h is even: the same for x and −x."
            if got is not None and tuple(getattr(got, "shape", ())) == tuple(x.shape):
                if torch.allclose(got, 1 / (1 + k * x.abs()), atol=1e-4):
                    raise Wrong(
                        f"k = {k:g}: your h is 1/(1 + k·|x|). Did you differentiate the denominator as well?"
                    )
                if torch.allclose(got, x / (1 + k * x.abs()), atol=1e-4):
                    raise Wrong(f"k = {k:g}: this is f itself. What is wanted is its slope.")
                if side < 0 and (got < 0).any():
                    raise Wrong(
                        f"k = {k:g}, x < 0: h is negative. Below the threshold more potential still means "
                        "more of a spike, so f rises there too."
                    )
            expect(got, (up - down) / (2 * step), "h (B, N)", smell, tolerance=1e-5)


def check_chain(fast_sigmoid_backward) -> None:
    """the error ∂L/∂S is multiplied, with its sign"""
    x = torch.randn(6, 4)
    error = torch.randn(6, 4)
    wanted = error / (1 + 5.0 * x.abs()) ** 2
    got = fast_sigmoid_backward(x, error, 5.0)
    if got is not None and torch.allclose(got, 1 / (1 + 5.0 * x.abs()) ** 2):
        raise Wrong("this is h alone. By (2), ∂L/∂x is ∂L/∂S · h: what becomes of grad_spk?")
    expect(got, wanted, "∂L/∂x (B, N)", "By (2), ∂L/∂x = ∂L/∂S · h(x).")


def check_snntorch(fast_sigmoid_backward) -> None:
    """in a neuron, over 20 steps, the gradient is that of snnTorch's fast_sigmoid"""
    cur = torch.rand(20, 5)
    gradients = []
    for spike_grad in (spike_with(fast_sigmoid_backward, 10.0), surrogate.fast_sigmoid(slope=10)):
        weight = torch.full((5,), 0.4, requires_grad=True)
        lif = snn.Leaky(beta=0.9, spike_grad=spike_grad)
        mem = torch.zeros(5)
        total = torch.zeros(())
        for step, cur_t in enumerate(cur):
            spk, mem = lif(weight * cur_t, mem)
            total = total + (step + 1) * spk.sum()
        gradients.append(torch.autograd.grad(total, weight)[0])
    expect(gradients[0], gradients[1], "∂L/∂w (N)", "k = 10, 20 steps.")


EXERCISE = Exercise(
    solve=fast_sigmoid_backward,
    checks=(check_slope, check_chain, check_snntorch),
    hints=(
        "For x > 0, f is x/(1 + k·x). Use the quotient rule; much of the numerator cancels.",
        "For x > 0 the slope is 1/(1 + k·x)². For x < 0 the same with −x in place of x. Then the chain rule.",
        "return grad_spk / (1 + k * x.abs()) ** 2",
    ),
    why="The forward pass never sees f. All that is left of it is a number between 0 and 1 for each neuron "
    "and step, which says how much of the error it is handed.",
)

if __name__ == "__main__":
    EXERCISE.main()
