"""What this package computes, on one page: equations (1) and (2) of lesson 09, for four neurons and three resets.

Read this; the other files do the same faster. Nothing here is in place, nothing is cut into blocks, and a test holds
it against snnTorch bit by bit and against autograd.

Forward, with input current I, potential U, spikes S, leak β, threshold θ; a neuron leaves out what it has not:
a synaptic current Isyn with its own leak α (``Synaptic``), its own spikes fed back by weights V (``RLeaky``).

    Isyn[t] = α·Isyn[t−1] + I[t] + V·S[t−1]
    U[t]    = β·U[t−1] + Isyn[t] − R[t]·θ             R[t] = H(U[t−1] − θ), detached               (1)
    S[t]    = H(U[t] − θ)

Backward, with the errors δU = ∂L/∂U and δI = ∂L/∂I, the surrogate derivative σ', and the gradients g_S and g_U that
the loss, or the layer above, sends to S[t] and U[t]:

    δU[t]   = (g_S[t] + Vᵀ·δI[t+1])·σ'(U[t] − θ) + g_U[t] + β·δU[t+1]                               (2)
    δI[t]   = δU[t] + α·δI[t+1]

The other resets. "zero": what R[t] = 1 marks is multiplied by 0: in ``Leaky`` the old potential, U[t−1], so that U lands
on I; in the other three the new one, U[t]. "none": R[t] = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layer:
    """One layer of neurons, in symbols. Parameters are one number, or one a neuron."""

    beta: Tensor
    theta: Tensor
    alpha: Tensor | None = None
    """leak of the synaptic current, or None for a neuron without one"""
    feed_back: Callable[[Tensor], Tensor] | None = None
    """S ↦ V·S (with a bias, if V has one), or None for a neuron that does not hear itself"""
    pull_back: Callable[[Tensor], Tensor] | None = None
    """δI ↦ Vᵀ·δI"""
    reset: str = "subtract"
    """subtract, zero or none"""

    @property
    def clears_old(self) -> bool:
        """``Leaky`` with reset to zero"""
        return self.reset == "zero" and self.alpha is None and self.feed_back is None


def forward(layer: Layer, cur: Tensor) -> tuple[Tensor, Tensor]:
    """Equation (1) from rest: ``cur (T, B, …)`` to ``spk_rec`` and ``mem_rec``, each ``(T, B, …)``."""
    spk, mem, syn = (torch.zeros_like(cur[0]) for _ in range(3))  # (B, …)
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        reset = (mem > layer.theta).to(mem.dtype)  # R[t]
        if layer.clears_old:
            mem = (1 - reset) * mem
        # Isyn[t] = α·Isyn[t−1] + I[t] + V·S[t−1]; the order of the sums is snnTorch's
        if layer.alpha is None:
            mem = layer.beta * mem + cur_t
            if layer.feed_back is not None:
                mem = mem + layer.feed_back(spk)
        else:
            syn = layer.alpha * syn + cur_t
            if layer.feed_back is not None:
                syn = syn + layer.feed_back(spk)
            mem = layer.beta * mem + syn
        # U[t] = … − R[t]·θ
        if layer.reset == "subtract":
            mem = mem - reset * layer.theta
        elif layer.reset == "zero" and not layer.clears_old:
            mem = mem - reset * mem
        # S[t] = H(U[t] − θ)
        spk = (mem > layer.theta).to(mem.dtype)
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)


def backward(
    layer: Layer, mem_rec: Tensor, slope: Callable[[Tensor], Tensor], g_spk: Tensor, g_mem: Tensor
) -> Tensor:
    """Equation (2), from the last step down: δI ``(T, B, …)``, the gradient of the current.

    Args:
        mem_rec: U, as ``forward`` returned it ``(T, B, …)``.
        slope: σ', of U − θ.
        g_spk, g_mem: g_S and g_U ``(T, B, …)``.
    """
    d_cur = torch.zeros_like(mem_rec[0])  # δI[T+1] = 0: nothing comes after the last step
    from_next = torch.zeros_like(mem_rec[0])  # β·δU[t+1], as far as the reset lets it through
    d_cur_rec = []
    for t in reversed(range(len(mem_rec))):
        # δU[t] = (g_S[t] + Vᵀ·δI[t+1])·σ'(U[t] − θ) + g_U[t] + β·δU[t+1]
        g = g_spk[t]
        if layer.pull_back is not None:
            g = g + layer.pull_back(d_cur)
        d_mem = g * slope(mem_rec[t] - layer.theta) + g_mem[t] + from_next
        # R[t] = H(U[t−1] − θ), and a potential that was multiplied by 0 has no error
        before = mem_rec[t - 1] if t else torch.zeros_like(d_mem)
        passed = 1 - (before > layer.theta).to(d_mem.dtype)  # 1 − R[t]
        if layer.reset == "zero" and not layer.clears_old:
            d_mem = passed * d_mem
        from_next = layer.beta * d_mem
        if layer.clears_old:
            from_next = passed * from_next
        # δI[t] = δU[t] + α·δI[t+1]
        d_cur = d_mem if layer.alpha is None else d_mem + layer.alpha * d_cur
        d_cur_rec.insert(0, d_cur)
    return torch.stack(d_cur_rec)
