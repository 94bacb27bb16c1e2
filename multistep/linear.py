"""A layer of linear neurons with complex states over a whole sequence: what a state space model is without its spikes.

    h[t] = a·h[t−1] + x[t]          y[t] = Re(c₁·h₁[t] + … + c_N·h_N[t])          a, c ∈ ℂ^N for each neuron

As a convolution y = k ∗ x with the kernel k[n] = Re Σ c·aⁿ. On a CPU and in single precision ``multistep.linear_loops``
goes through the steps, compiled by numba: it does less work than the convolution as long as N is small. Elsewhere the
convolution is done by Fourier transform. Backward, the error of h runs down in time with the conjugate of a:

    ε[t] = c*·∂L/∂y[t] + a*·ε[t+1]         ∂L/∂x[t] = Re Σ ε[t]         ∂L/∂a = Σ ε[t]·h[t−1]*
"""

from __future__ import annotations

from typing import Any

from multistep.compiled import loaded, loops_for

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def unroll_linear(x: Tensor, a: Tensor, c: Tensor) -> Tensor:
    """Run a layer of linear neurons over a sequence, from rest.

    Args:
        x: input ``(T, B, H)``.
        a: factors of the states, complex ``(H, N)``.
        c: weights of the read-out, complex ``(H, N)``.

    Returns:
        ``y (T, B, H)``. Gradients flow back to all three.

    Raises:
        ValueError: the shapes do not fit.
    """
    if x.dim() != 3 or a.dim() != 2 or a.shape != c.shape or len(a) != x.shape[-1]:
        got = f"x {tuple(x.shape)}, a {tuple(a.shape)}, c {tuple(c.shape)}"
        raise ValueError(f"unroll_linear: got {got}; expected (T, B, H) and twice (H, N)")
    if loops_for("linear_loops", x):
        parts = [torch.view_as_real(v).permute(2, 1, 0) for v in (a, c)]  # (2, N, H) each
        return _Linear.apply(x, *parts)
    return convolve(x, kernel(a, c, len(x)))


def kernel(a: Tensor, c: Tensor, num_steps: int) -> Tensor:
    """k[n] = Re Σ c·aⁿ for n = 0 … T − 1: complex ``(H, N)`` twice → ``(T, H)``."""
    n = torch.arange(num_steps, device=a.device).view(-1, 1, 1)
    powers = torch.exp(n * torch.log(a))  # (T, H, N)
    return (c * powers).real.sum(-1)


def convolve(x: Tensor, k: Tensor) -> Tensor:
    """y[t] = Σ k[n]·x[t−n], by Fourier transform: ``(T, B, H)`` and ``(T, H)`` → ``(T, B, H)``."""
    T = len(x)
    room = 2 * T  # twice the length, so that the end does not come in again at the beginning
    product = torch.fft.rfft(x, n=room, dim=0) * torch.fft.rfft(k, n=room, dim=0).unsqueeze(1)
    return torch.fft.irfft(product, n=room, dim=0)[:T]


class _Linear(torch.autograd.Function):
    """All steps as one node of the graph; only x is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, c: Tensor) -> Tensor:
        x, a, c = x.contiguous(), a.contiguous(), c.contiguous()
        y = torch.empty_like(x)
        loaded("linear_loops").forward(*[v.detach().numpy() for v in (x, a, c, y)])
        ctx.save_for_backward(x, a, c)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, a, c = ctx.saved_tensors
        d_x, d_a, d_c = torch.empty_like(x), torch.zeros_like(a), torch.zeros_like(c)
        arrays = (g_y.contiguous(), x, a, c, d_x, d_a, d_c)
        loaded("linear_loops").backward(*[v.detach().numpy() for v in arrays])
        return d_x, d_a, d_c
