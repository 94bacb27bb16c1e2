"""A layer of adaptive neurons over a whole sequence as one autograd function.

A leaky neuron has one variable, its membrane u. An adaptive one has a second, w, which follows the membrane, the
neuron's own spikes, or both, and acts back on the membrane or on the threshold:

    i[t] = α·i[t−1] + I[t] + V·s[t−1]                             x[t] = u[t] − κ·w[t−1] − θ
    u[t] = β·u[t−1] − f·w[t−1] + i[t] − ρ·s[t−1]                  s[t] = H(x[t])
    w[t] = c·w[t−1] + a·u[t] + b·s[t]

    LIF       a = b = 0                          no second variable; with α > 0 a synaptic current
    ALIF      b = 1, f = 0, κ > 0                each spike raises the threshold (Bellec et al. 2018)
    adLIF     a > 0, f = 1, κ = 0                the membrane pulls itself back, and so it can swing

w is moved by the *new* u (symplectic Euler). With c = β and a = 2β·(1 − cos φ) the two variables turn by the angle φ
a step and shrink by β: the eigenvalues of the step are β·e^(±iφ) exactly (Baronig et al. 2025).

Backward, from the last step to the first, with σ' the surrogate derivative and everything after the end 0:

    δw[t] = c·δw[t+1] − f·δu[t+1] − κ·ε[t+1]
    ε[t]  = ∂L/∂x[t] + σ'(x[t])·(∂L/∂s[t] + Vᵀ·δi[t+1] + b·δw[t] − ρ·δu[t+1])     ρ only if the reset is differentiated
    δu[t] = ε[t] + β·δu[t+1] + a·δw[t]
    ∂L/∂I[t] = δi[t] = δu[t] + α·δi[t+1]                     ∂L/∂V = Σ δi[t]·s[t−1]ᵀ

Only x is kept. On a CPU and in single precision ``multistep.adaptive_loops`` goes through the steps, compiled by numba;
elsewhere, and without numba or with ``SNN_COMPILED=0``, PyTorch's operations do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from multistep.compiled import loops_for

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Number = float | Tensor
Slope = Callable[[Tensor], Tensor]


def triangle(x: Tensor) -> Tensor:
    """Surrogate derivative that is exactly zero further than 1 from the threshold: ½·max(0, 1 − |x|)."""
    return x.abs().neg_().add_(1).clamp_(min=0).mul_(0.5)


@dataclass(frozen=True)
class Adaptation:
    """The constants of a layer, each one number or one for every neuron ``(H,)``; none of them is learnt."""

    beta: Number
    """share of the membrane that is left after a step"""
    decay: Number = 0.0
    """the same of the second variable (c)"""
    by_mem: Number = 0.0
    """how much of the membrane goes into it (a)"""
    by_spk: Number = 0.0
    """how much a spike adds to it (b)"""
    on_mem: Number = 1.0
    """how much of it is taken from the membrane (f)"""
    on_threshold: Number = 0.0
    """how much of it is added to the threshold (κ)"""
    reset: Number = 0.0
    """what a spike takes from the membrane (ρ)"""
    alpha: Number = 0.0
    """share of the synaptic current that is left after a step (α); 0: the current acts for one step"""

    def rows(self, like: Tensor) -> Tensor:
        """All of them for a layer of ``like.shape[-1]`` neurons, in the order above: ``(8, H)``."""
        values = [torch.as_tensor(getattr(self, f.name)).to(like) for f in fields(self)]
        return torch.stack([v.expand(like.shape[-1]) for v in values])


def peak_gain(adaptation: Adaptation) -> Tensor:
    """By how much each neuron amplifies the sine that it likes best, as long as it does not fire: ``(H,)``."""
    a = adaptation
    z = torch.exp(-1j * torch.linspace(0, math.pi, 2000))[
        :, None
    ]  # one step later, for each frequency
    leak, fading = 1 - a.beta * z, 1 - a.decay * z
    gain = fading / (leak * fading + a.on_mem * a.by_mem * z) / (1 - a.alpha * z)
    return gain.abs().amax(0)


@torch.no_grad()
def quiet_std(cur: Tensor, adaptation: Adaptation) -> Tensor:
    """Standard deviation of all potentials that ``cur (T, B, H)`` makes as long as no neuron fires."""
    quiet = replace(adaptation, by_spk=0.0, reset=0.0)
    _, mem = unroll_adaptive(cur, quiet, threshold=0.0)
    return mem.std()


def unroll_adaptive(
    cur: Tensor,
    adaptation: Adaptation,
    recurrent: Tensor | None = None,
    *,
    threshold: float = 1.0,
    reset_grad: bool = False,
    surrogate: Slope = triangle,
) -> tuple[Tensor, Tensor]:
    """Run a layer of adaptive neurons over a sequence, from rest.

    Args:
        cur: input current ``(T, B, H)``.
        adaptation: the constants of the layer.
        recurrent: V ``(H, H)``: from the spikes of neuron j to the current of neuron i, one step later.
        reset_grad: differentiate the reset too; otherwise it counts as a constant, as in snnTorch.
        surrogate: σ' as a function of x ``(T, B, H)``.

    Returns:
        ``spk_rec`` and ``x_rec``, each ``(T, B, H)``: spikes, and the distance of the membrane from the threshold.
        Gradients flow back from both, to ``cur`` and ``recurrent``.

    Raises:
        ValueError: ``cur`` or ``recurrent`` has another shape.
    """
    H = cur.shape[-1]
    if cur.dim() != 3 or (recurrent is not None and recurrent.shape != (H, H)):
        got = None if recurrent is None else tuple(recurrent.shape)
        raise ValueError(
            f"unroll_adaptive: got a current {tuple(cur.shape)} and V {got}, expected (T, B, H) and (H, H)"
        )
    rows = adaptation.rows(cur.detach())
    return _Adaptive.apply(cur, recurrent, rows, threshold, reset_grad, surrogate)


class _Adaptive(torch.autograd.Function):
    """All steps as one node of the graph."""

    @staticmethod
    def forward(
        ctx: Any,
        cur: Tensor,
        V: Tensor | None,
        rows: Tensor,
        threshold: float,
        reset_grad: bool,
        surrogate: Slope,
    ) -> tuple[Tensor, Tensor]:
        cur = cur.contiguous()
        x, spk = torch.empty_like(cur), torch.empty_like(cur)
        if loops := loops_for("adaptive_loops", cur):
            matrix = cur.new_empty(0, 0) if V is None else V.detach().t().contiguous()
            arrays = [v.detach().numpy() for v in (cur, matrix, rows, x, spk)]
            loops.forward(*arrays, threshold)
        else:
            _forward(cur, V, rows, threshold, x, spk)
        ctx.save_for_backward(x, V, rows)
        ctx.reset_grad, ctx.surrogate = reset_grad, surrogate
        ctx.set_materialize_grads(False)
        return spk, x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_spk: Tensor | None, g_x: Tensor | None) -> tuple[Tensor | None, ...]:
        x, V, rows = ctx.saved_tensors
        sigma = ctx.surrogate(x)
        g_spk = torch.zeros_like(x) if g_spk is None else g_spk.contiguous()
        g_x = x.new_empty(0, 0, 0) if g_x is None else g_x.contiguous()
        if not ctx.reset_grad:
            rows = rows.clone()
            rows[6] = 0  # backward, a detached reset is none
        d_cur = torch.empty_like(x)
        if loops := loops_for("adaptive_loops", x):
            matrix = x.new_empty(0, 0) if V is None else V.detach().contiguous()
            loops.backward(*[v.detach().numpy() for v in (g_spk, g_x, sigma, matrix, rows, d_cur)])
        else:
            _backward(g_spk, g_x, sigma, V, rows, d_cur)
        d_V = None
        if V is not None and ctx.needs_input_grad[1]:
            before = (x[:-1] > 0).to(x.dtype)  # s[t−1]
            d_V = d_cur[1:].flatten(0, 1).t() @ before.flatten(0, 1)
        return d_cur, d_V, None, None, None, None


def _forward(
    cur: Tensor, V: Tensor | None, rows: Tensor, threshold: float, x: Tensor, spk: Tensor
) -> None:
    """Fill ``x`` and ``spk`` step by step."""
    beta, decay, by_mem, by_spk, on_mem, on_threshold, reset, alpha = rows
    syn, u, w, s = torch.zeros(4, *cur.shape[1:], dtype=cur.dtype, device=cur.device)  # (B, H) each
    for t in range(len(cur)):
        syn = alpha * syn + cur[t]
        if V is not None:
            syn = syn + s @ V.t()
        u = beta * u - on_mem * w + syn - reset * s
        x[t] = u - on_threshold * w - threshold
        s = (x[t] > 0).to(cur.dtype)
        spk[t] = s
        w = decay * w + by_mem * u + by_spk * s


def _backward(
    g_spk: Tensor, g_x: Tensor, sigma: Tensor, V: Tensor | None, rows: Tensor, d_cur: Tensor
) -> None:
    """Fill ``d_cur`` from the last step to the first."""
    beta, decay, by_mem, by_spk, on_mem, on_threshold, reset, alpha = rows
    d_syn, d_u, d_w, e = torch.zeros(4, *d_cur.shape[1:], dtype=sigma.dtype, device=sigma.device)
    for t in reversed(range(len(d_cur))):
        d_w = decay * d_w - on_mem * d_u - on_threshold * e
        from_spike = g_spk[t] + by_spk * d_w - reset * d_u
        if V is not None:
            from_spike = from_spike + d_syn @ V
        e = sigma[t] * from_spike
        if len(g_x):
            e = e + g_x[t]
        d_u = e + beta * d_u + by_mem * d_w
        d_syn = d_u + alpha * d_syn
        d_cur[t] = d_syn
