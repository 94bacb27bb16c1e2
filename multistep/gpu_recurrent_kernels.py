"""A dense recurrent layer, ``RLeaky``, on a GPU: the whole sequence in one Triton kernel each way, the weights on chip.

The equations stand in ``recursion.py``. A program takes ``ROWS`` samples and all neurons through all steps: U, S and δ stay
in registers, and so do the weights, which every step needs again. Per step that leaves one small matrix product, forward
S[t−1]·Vᵀ, backward δI[t+1]·V. It is taken as three products of TF32 parts ("tf32x3"), whose sum is good to float32's
last bits; since S is 0 or 1, the forward one loses nothing in S.

Steps are ``(T, B, H)``, H filled up with silent neurons to ``WIDTH``, a power of 2. A pointer that is None stands for what
nobody has or wants.
"""

from __future__ import annotations

from multistep.gpu_kernels import fire, slope

import triton
import triton.language as tl


@triton.jit
def forward_kernel(
    cur,
    mem0,
    spk0,
    beta,
    theta,
    weight,
    bias,
    spk,
    mem,
    mem_end,
    B,
    H,
    T,
    cur_stride,
    beta_stride,
    theta_stride,
    RESET: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Fill ``spk`` and ``mem (T, B, H)`` and the membrane after the last step ``(B, H)``.

    ``cur_stride`` is 0 where the current is the same at every step.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    j = tl.arange(0, WIDTH)
    inside = j < H
    here = (row[:, None] < B) & inside[None, :]
    at = row[:, None].to(tl.int64) * H + j[None, :]  # (ROWS, WIDTH)
    b = tl.load(beta + j * beta_stride, mask=inside, other=0.0)[None, :]
    th = tl.load(theta + j * theta_stride, mask=inside, other=1.0)[None, :]
    v_0 = tl.load(bias + j, mask=inside, other=0.0)[None, :]
    # Vᵀ: row k has the weights from neuron k
    k = tl.arange(0, WIDTH)
    v_t = tl.load(
        weight + j[None, :] * H + k[:, None], mask=inside[None, :] & (k < H)[:, None], other=0.0
    )
    u = tl.full((ROWS, WIDTH), 0, tl.float32)
    s = tl.full((ROWS, WIDTH), 0, tl.float32)
    if mem0 is not None:
        u = tl.load(mem0 + at, mask=here, other=0.0)
    if spk0 is not None:
        s = tl.load(spk0 + at, mask=here, other=0.0)
    r = fire(u, th)
    of, to = at, at
    for _ in range(T):
        drive = tl.load(cur + of, mask=here, other=0.0)
        fed_back = tl.dot(s, v_t, input_precision="tf32x3") + v_0
        # U[t] = β·U[t−1] + I[t] + V·S[t−1] − R[t]·θ
        u = b * u + drive + fed_back
        if RESET == "subtract":
            u = u - r * th
        elif RESET == "zero":
            u = u - r * u
        r = fire(u, th)
        s = r
        if spk is not None:
            tl.store(spk + to, s, mask=here)
        if mem is not None:
            tl.store(mem + to, u, mask=here)
        of += cur_stride
        to += B * H
    if mem_end is not None:
        tl.store(mem_end + at, u, mask=here)


@triton.jit
def backward_kernel(
    g_spk,
    g_mem,
    g_mem_end,
    mem,
    mem0,
    beta,
    theta,
    weight,
    d_cur,
    d_beta,
    d_theta,
    d_mem0,
    d_spk0,
    B,
    H,
    T,
    end,
    beta_stride,
    theta_stride,
    shift,
    factor,
    KIND: tl.constexpr,
    RESET: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Fill ``d_cur (T, B, H)`` and the gradients of β, θ and the first state, a sample and neuron each ``(B, H)``.

    ``end`` is (T − 1)·B·H, where the last step begins.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    j = tl.arange(0, WIDTH)
    inside = j < H
    here = (row[:, None] < B) & inside[None, :]
    first = row[:, None].to(tl.int64) * H + j[None, :]  # (ROWS, WIDTH)
    b = tl.load(beta + j * beta_stride, mask=inside, other=0.0)[None, :]
    th = tl.load(theta + j * theta_stride, mask=inside, other=1.0)[None, :]
    k = tl.arange(0, WIDTH)
    v = tl.load(
        weight + k[:, None] * H + j[None, :], mask=inside[None, :] & (k < H)[:, None], other=0.0
    )
    nought = tl.full((ROWS, WIDTH), 0, tl.float32)
    carried, d_mem, sum_beta, sum_theta, u0 = nought, nought, nought, nought, nought
    if g_mem_end is not None:
        carried = tl.load(g_mem_end + first, mask=here, other=0.0)
    if mem0 is not None:
        u0 = tl.load(mem0 + first, mask=here, other=0.0)
    at = first + end
    u = tl.load(mem + at, mask=here, other=0.0)
    for i in range(T):
        before = tl.load(mem + at - B * H, mask=here & (i < T - 1), other=0.0)
        before = tl.where(i < T - 1, before, u0)
        r = fire(before, th)
        # δU[t] = (g_S[t] + Vᵀ·δI[t+1])·σ'(U[t] − θ) + g_U[t] + β·δU[t+1], and δI = δU
        g = nought
        if g_spk is not None:
            g = tl.load(g_spk + at, mask=here, other=0.0)
        g += tl.dot(d_mem, v, input_precision="tf32x3")
        pulled = g * slope(u - th, KIND, shift, factor)
        d_mem = carried + pulled
        if g_mem is not None:
            d_mem += tl.load(g_mem + at, mask=here, other=0.0)
        sum_theta -= pulled
        if RESET == "subtract":
            sum_theta -= d_mem * r
        elif RESET == "zero":
            d_mem = (1 - r) * d_mem
        sum_beta += d_mem * before
        carried = b * d_mem
        if d_cur is not None:
            tl.store(d_cur + at, d_mem, mask=here)
        u = before
        at -= B * H
    if d_beta is not None:
        tl.store(d_beta + first, sum_beta, mask=here)
    if d_theta is not None:
        tl.store(d_theta + first, sum_theta, mask=here)
    if d_mem0 is not None:
        tl.store(d_mem0 + first, carried, mask=here)
    if d_spk0 is not None:
        tl.store(d_spk0 + first, tl.dot(d_mem, v, input_precision="tf32x3"), mask=here)
