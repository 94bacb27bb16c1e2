"""BatchNorm and ``Leaky`` neurons on a GPU: the equations of ``normalised.py`` as six Triton kernels, each element once.

x is ``(S, M, C)``, S being T, or 1 for a current that is held; M counts the places of all images, and channels are
last. Forward: ``moments`` adds x and x² a channel, ``line`` makes a and c of the sums and moves the running statistics,
``fire`` makes the spikes. Nothing but x is kept. Backward: ``pull`` makes U once more, goes from the last step to the
first, writes δ and adds δ and δ·x̂, ``slope_line`` makes three numbers a channel of the sums, and ``centre`` makes
∂L/∂x of δ and x.

In bfloat16 that is 6 bytes a neuron and step forward, and 12 backward. Sums come in parts, one a program, which are
added in a fixed order.
"""

from __future__ import annotations

from multistep.gpu_kernels import fire, slope

import triton
import triton.language as tl


@triton.jit
def plus(a, b):
    """What ``tl.reduce`` adds by."""
    return a + b


@triton.jit
def moments_kernel(x, sums, rows, C, chunk, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Each program's Σx and Σx² a channel over its ``chunk`` of the rows: ``sums (programs, 2, C)``."""
    p = tl.program_id(0).to(tl.int64)
    row, ch = tl.arange(0, ROWS), tl.arange(0, WIDTH)
    s = tl.full((ROWS, WIDTH), 0, tl.float32)
    q = tl.full((ROWS, WIDTH), 0, tl.float32)
    for at in tl.range(0, chunk, ROWS):
        r = p * chunk + at + row
        here = (r < rows)[:, None] & (ch < C)[None, :]
        v = tl.load(x + r[:, None] * C + ch[None, :], mask=here, other=0).to(tl.float32)
        s += v
        q += v * v
    to = sums + p * 2 * C + ch
    tl.store(to, tl.reduce(s, 0, plus), mask=ch < C)
    tl.store(to + C, tl.reduce(q, 0, plus), mask=ch < C)


@triton.jit
def added(sums, ch, C, programs, PARTS: tl.constexpr):
    """The two sums of all programs, for the channels ``ch``."""
    part = tl.arange(0, PARTS)
    here = (part < programs)[:, None] & (ch < C)[None, :]
    at = sums + part[:, None] * 2 * C + ch[None, :]
    s = tl.reduce(tl.load(at, mask=here, other=0), 0, plus)
    q = tl.reduce(tl.load(at + C, mask=here, other=0), 0, plus)
    return s, q


@triton.jit
def line_kernel(
    sums,
    weight,
    bias,
    running_mean,
    running_var,
    line,
    programs,
    C,
    count,
    eps,
    momentum,
    PARTS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """``line (4, C)``: μ, 1/√(v + ε), a and c; the running statistics take their step."""
    ch = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    wide = ch < C
    s, q = added(sums, ch, C, programs, PARTS)
    mean = s / count
    var = tl.maximum(q / count - mean * mean, 0.0)
    inverse = 1 / tl.sqrt(var + eps)
    a = tl.load(weight + ch, mask=wide, other=0) * inverse
    c = tl.load(bias + ch, mask=wide, other=0) - a * mean
    tl.store(line + ch, mean, mask=wide)
    tl.store(line + C + ch, inverse, mask=wide)
    tl.store(line + 2 * C + ch, a, mask=wide)
    tl.store(line + 3 * C + ch, c, mask=wide)
    old = tl.load(running_mean + ch, mask=wide)
    tl.store(running_mean + ch, old + momentum * (mean - old), mask=wide)
    old = tl.load(running_var + ch, mask=wide)
    unbiased = var * (count / tl.maximum(count - 1, 1.0))
    tl.store(running_var + ch, old + momentum * (unbiased - old), mask=wide)


@triton.jit
def fire_kernel(
    x, line, around, beta, theta, spk, size, C, x_step, STEPS: tl.constexpr, BLOCK: tl.constexpr
):
    """``spk (T, M, C)``; with ``around``, what goes around the layer is added."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < size
    ch = i % C
    a = tl.load(line + 2 * C + ch, mask=here)
    c = tl.load(line + 3 * C + ch, mask=here)
    b, th = tl.load(beta), tl.load(theta)
    u = tl.full((BLOCK,), 0, tl.float32)
    r = tl.full((BLOCK,), 0, tl.float32)
    for t in tl.static_range(STEPS):
        v = tl.load(x + t * x_step + i, mask=here).to(tl.float32)
        u = b * u + (a * v + c) - r * th
        r = fire(u, th)
        out = r
        if around is not None:
            out = r + tl.load(around + t * size + i, mask=here).to(tl.float32)
        tl.store(spk + t * size + i, out.to(spk.dtype.element_ty), mask=here)


@triton.jit
def pull_kernel(
    g,
    x,
    line,
    beta,
    theta,
    d,
    sums,
    rows,
    C,
    chunk,
    size,
    x_step,
    shift,
    factor,
    STEPS: tl.constexpr,
    KIND: tl.constexpr,
    HELD: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """δ into ``d``, of a held current its sum over time; each program's Σδ and Σδ·x̂: ``sums (programs, 2, C)``."""
    p = tl.program_id(0).to(tl.int64)
    row, ch = tl.arange(0, ROWS), tl.arange(0, WIDTH)
    wide = ch < C
    mean = tl.load(line + ch, mask=wide, other=0)[None, :]
    inverse = tl.load(line + C + ch, mask=wide, other=0)[None, :]
    a = tl.load(line + 2 * C + ch, mask=wide, other=0)[None, :]
    c = tl.load(line + 3 * C + ch, mask=wide, other=0)[None, :]
    b, th = tl.load(beta), tl.load(theta)
    s = tl.full((ROWS, WIDTH), 0, tl.float32)
    q = tl.full((ROWS, WIDTH), 0, tl.float32)
    for at in tl.range(0, chunk, ROWS):
        r = p * chunk + at + row
        i = r[:, None] * C + ch[None, :]
        here = (r < rows)[:, None] & wide[None, :]
        delta = tl.full((ROWS, WIDTH), 0, tl.float32)
        total = tl.full((ROWS, WIDTH), 0, tl.float32)
        for k in tl.static_range(STEPS):  # step t = T − 1 − k
            u = tl.full((ROWS, WIDTH), 0, tl.float32)
            fired = tl.full((ROWS, WIDTH), 0, tl.float32)
            v = tl.full((ROWS, WIDTH), 0, tl.float32)
            for t in tl.static_range(
                STEPS - k
            ):  # few steps: to make U anew is cheaper than to keep it
                v = tl.load(x + t * x_step + i, mask=here, other=0).to(tl.float32)
                u = b * u + (a * v + c) - fired * th
                fired = fire(u, th)
            asked = tl.load(g + (STEPS - 1 - k) * size + i, mask=here, other=0).to(tl.float32)
            # δ[t] = σ'(U[t] − θ)·∂L/∂S[t] + β·δ[t+1]
            delta = asked * slope(u - th, KIND, shift, factor) + b * delta
            total += delta
            if not HELD:
                s += delta
                q += delta * ((v - mean) * inverse)
                tl.store(d + (STEPS - 1 - k) * size + i, delta.to(d.dtype.element_ty), mask=here)
        if HELD:
            v = tl.load(x + i, mask=here, other=0).to(tl.float32)
            s += total
            q += total * ((v - mean) * inverse)
            tl.store(d + i, total.to(d.dtype.element_ty), mask=here)
    to = sums + p * 2 * C + ch
    tl.store(to, tl.reduce(s, 0, plus), mask=wide)
    tl.store(to + C, tl.reduce(q, 0, plus), mask=wide)


@triton.jit
def slope_line_kernel(
    sums, line, found, programs, C, count, PARTS: tl.constexpr, WIDTH: tl.constexpr
):
    """``found (5, C)``: ∂L/∂γ, ∂L/∂b, and p, q, r of ∂L/∂x = p·δ + q·x + r."""
    ch = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    wide = ch < C
    total, along = added(sums, ch, C, programs, PARTS)
    mean = tl.load(line + ch, mask=wide, other=0)
    inverse = tl.load(line + C + ch, mask=wide, other=0)
    a = tl.load(line + 2 * C + ch, mask=wide, other=0)
    q = -a * inverse * along / count
    tl.store(found + ch, along, mask=wide)
    tl.store(found + C + ch, total, mask=wide)
    tl.store(found + 2 * C + ch, a, mask=wide)
    tl.store(found + 3 * C + ch, q, mask=wide)
    tl.store(found + 4 * C + ch, -a * total / count - q * mean, mask=wide)


@triton.jit
def centre_kernel(d, x, found, size, C, BLOCK: tl.constexpr):
    """∂L/∂x in the place of δ."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < size
    ch = i % C
    p = tl.load(found + 2 * C + ch, mask=here)
    q = tl.load(found + 3 * C + ch, mask=here)
    r = tl.load(found + 4 * C + ch, mask=here)
    delta = tl.load(d + i, mask=here).to(tl.float32)
    v = tl.load(x + i, mask=here).to(tl.float32)
    tl.store(d + i, (p * delta + q * v + r).to(d.dtype.element_ty), mask=here)
