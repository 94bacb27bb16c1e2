"""A layer of ``Leaky`` or ``Synaptic`` neurons on a GPU: one Triton kernel forward, one backward.

The equations stand in ``recursion.py``, the surrogate's in ``surrogates.py``. Each program takes ``BLOCK`` neurons through
all steps and keeps U, Isyn, δU and δI in registers. Forward reads I and writes U and S, backward reads U and ∂L/∂S and
writes δI: six numbers, 24 bytes, a neuron and step, each once. Products and sums are rounded apart (no fused
multiply-add), as in snnTorch's operations, so the spikes are the same bit by bit.

Steps are flat, ``(T, M)``. ``…_stride`` is 0 where one number serves all neurons, or one step all steps. A pointer that is
None stands for what nobody has or wants.
"""

from __future__ import annotations

import triton
import triton.language as tl

STAGES = 4
"""Steps ahead that are loaded while one is worked on: memory answers after hundreds of cycles."""


@triton.jit
def fire(mem, theta):
    """H(U − θ)"""
    return tl.where(mem > theta, 1.0, 0.0)


@triton.jit
def slope(x, kind: tl.constexpr, shift, factor):
    """σ'(x) by the number of the formula."""
    if kind == 0:
        found = factor / (x * x + shift)
    elif kind == 1:
        y = tl.abs(x) + shift
        found = factor / (y * y)
    else:
        s = 1 / (1 + tl.exp(factor * tl.abs(x)))
        found = factor * s * (1 - s)
    return found


@triton.jit
def forward_kernel(
    cur,
    mem0,
    syn0,
    beta,
    alpha,
    theta,
    spk,
    mem,
    mem_end,
    syn_end,
    M,
    T,
    cur_stride,
    beta_stride,
    alpha_stride,
    theta_stride,
    RESET: tl.constexpr,
    BLOCK: tl.constexpr,
    AHEAD: tl.constexpr,
):
    """Fill ``spk`` and ``mem (T, M)``, and the state after the last step ``(M,)``."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < M
    b = tl.load(beta + i * beta_stride, mask=here)
    th = tl.load(theta + i * theta_stride, mask=here)
    u = tl.full((BLOCK,), 0, tl.float32)
    i_syn = tl.full((BLOCK,), 0, tl.float32)
    if mem0 is not None:
        u = tl.load(mem0 + i, mask=here)
    if alpha is not None:
        a = tl.load(alpha + i * alpha_stride, mask=here)
        if syn0 is not None:
            i_syn = tl.load(syn0 + i, mask=here)
    r = fire(u, th)
    at, to = i, i
    for _ in tl.range(0, T, num_stages=AHEAD):
        drive = tl.load(cur + at, mask=here)
        # Isyn[t] = α·Isyn[t−1] + I[t]
        if alpha is not None:
            i_syn = a * i_syn + drive
            drive = i_syn
        elif RESET == "zero":
            u = (1.0 - r) * u
        # U[t] = β·U[t−1] + Isyn[t] − R[t]·θ
        u = b * u + drive
        if RESET == "subtract":
            u = u - r * th
        elif RESET == "zero" and alpha is not None:
            u = u - r * u
        r = fire(u, th)
        if spk is not None:
            tl.store(spk + to, r, mask=here)
        if mem is not None:
            tl.store(mem + to, u, mask=here)
        at += cur_stride
        to += M
    if mem_end is not None:
        tl.store(mem_end + i, u, mask=here)
    if syn_end is not None:
        tl.store(syn_end + i, i_syn, mask=here)


@triton.jit
def backward_kernel(
    g_spk,
    g_mem,
    g_mem_end,
    g_syn_end,
    mem,
    mem0,
    beta,
    alpha,
    theta,
    d_cur,
    d_beta,
    d_theta,
    d_mem0,
    d_syn0,
    M,
    T,
    end,
    beta_stride,
    alpha_stride,
    theta_stride,
    shift,
    factor,
    KIND: tl.constexpr,
    RESET: tl.constexpr,
    HELD: tl.constexpr,
    BLOCK: tl.constexpr,
    AHEAD: tl.constexpr,
):
    """Fill ``d_cur (T, M)``, of a held current its sum ``(M,)``, and the gradients of β, θ and the first state ``(M,)``.

    ``end`` is (T − 1)·M, where the last step begins.
    """
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < M
    b = tl.load(beta + i * beta_stride, mask=here)
    th = tl.load(theta + i * theta_stride, mask=here)
    nought = tl.full((BLOCK,), 0, tl.float32)
    carried, d_in, decayed = nought, nought, nought  # β·δU[t+1], δI[t+1], α·δI[t+1]
    sum_cur, sum_beta, sum_theta, u0 = nought, nought, nought, nought
    if g_mem_end is not None:
        carried = tl.load(g_mem_end + i, mask=here)
    if alpha is not None:
        a = tl.load(alpha + i * alpha_stride, mask=here)
        if g_syn_end is not None:
            decayed = tl.load(g_syn_end + i, mask=here)
    if mem0 is not None:
        u0 = tl.load(mem0 + i, mask=here)
    at = i + end
    u = tl.load(mem + at, mask=here)
    for k in tl.range(0, T, num_stages=AHEAD):
        earlier = k < T - 1
        before = tl.load(mem + at - M, mask=here & earlier)
        before = tl.where(earlier, before, u0)
        r = fire(before, th)
        # δU[t] = g_S[t]·σ'(U[t] − θ) + g_U[t] + β·δU[t+1]
        d_mem = carried
        if g_mem is not None:
            d_mem += tl.load(g_mem + at, mask=here)
        if g_spk is not None:
            pulled = tl.load(g_spk + at, mask=here) * slope(u - th, KIND, shift, factor)
            d_mem += pulled
            sum_theta -= pulled
        if RESET == "subtract":
            sum_theta -= d_mem * r
        # what the reset cleared has no error: U[t] itself, or, in Leaky, U[t−1] on its way here
        passed = nought + 1
        if RESET == "zero":
            passed = 1 - r
            if alpha is not None:
                d_mem = passed * d_mem
        sum_beta += d_mem * before * passed
        carried = b * d_mem
        if RESET == "zero" and alpha is None:
            carried = passed * carried
        # δI[t] = δU[t] + α·δI[t+1]
        d_in = d_mem + decayed
        if alpha is not None:
            decayed = a * d_in
        if HELD:
            sum_cur += d_in
        elif d_cur is not None:
            tl.store(d_cur + at, d_in, mask=here)
        u = before
        at -= M
    if HELD and d_cur is not None:
        tl.store(d_cur + i, sum_cur, mask=here)
    if d_beta is not None:
        tl.store(d_beta + i, sum_beta, mask=here)
    if d_theta is not None:
        tl.store(d_theta + i, sum_theta, mask=here)
    if d_mem0 is not None:
        tl.store(d_mem0 + i, carried, mask=here)
    if d_syn0 is not None:
        tl.store(d_syn0 + i, decayed, mask=here)
