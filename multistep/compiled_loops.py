"""The recursions of a ``Leaky`` layer as compiled loops, for layers so large that the time goes into memory traffic.

The equations stand in ``recursion.py``, the surrogate's in ``surrogates.py``. Where numba is installed (tonic and
NeuroBench bring it), ``unroll`` takes these on a CPU for large layers by itself; the environment variable ``SNN_COMPILED=0`` keeps to PyTorch's operations. The spikes are the same bit by
bit: numba multiplies, adds and rounds as it is told. A few thousand neurons at a time go through all steps, so that
their state stays in the nearest caches and each tensor is read or written once.

The first use on a machine compiles for some seconds; numba keeps the result in ``__pycache__``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import float32, int64, njit, void

NEURONS = 4096  # at a time: their state, four arrays of 16 KiB, stays at hand
REMADE = 1 << 16  # membranes at a time that backward makes once more: 256 KiB
RESETS = {"subtract": 0, "zero": 1, "none": 2}


def _loops(**options: Any) -> tuple[Any, Any]:
    """Compile both now, for C-ordered float32 arrays, so that one shape more is not one compilation more."""
    row, rows, number, real = float32[::1], float32[:, ::1], int64, float32
    ahead = void(rows, row, row, row, number, rows, rows, number, number)
    back = void(
        rows,
        rows,
        row,
        rows,
        rows,
        row,
        row,
        row,
        number,
        number,
        number,
        real,
        real,
        rows,
        row,
        row,
        row,
        number,
        number,
    )
    compiled = partial(njit, nogil=True, error_model="numpy", **options)
    return compiled(ahead)(_forward), compiled(back)(_backward)


def _forward(cur, start, beta, theta, reset, spk, mem, first, last):  # type: ignore[no-untyped-def]
    """Fill ``spk (T, M)`` and ``mem``, (T, M) or its last step as (1, M), for the neurons from ``first`` to ``last``.

    ``cur`` is (T, M), or (1, M) if it is the same at every step; ``start, beta, theta`` have one value a neuron, or
    one for all.
    """
    one, nought = np.float32(1), np.float32(0)
    u, r = np.empty(NEURONS, np.float32), np.empty(NEURONS, np.float32)
    b, th = np.empty(NEURONS, np.float32), np.empty(NEURONS, np.float32)
    for a in range(first, last, NEURONS):
        n = min(NEURONS, last - a)
        for j in range(n):
            b[j] = beta[min(a + j, beta.shape[0] - 1)]
            th[j] = theta[min(a + j, theta.shape[0] - 1)]
            u[j] = start[min(a + j, start.shape[0] - 1)]
            r[j] = one if u[j] > th[j] else nought
        for t in range(spk.shape[0]):
            c, s, m = (
                cur[min(t, cur.shape[0] - 1), a : a + n],
                spk[t, a : a + n],
                mem[min(t, mem.shape[0] - 1), a : a + n],
            )
            if reset == 0:
                for j in range(n):
                    u[j] = b[j] * u[j] + c[j] - r[j] * th[j]
            elif reset == 1:
                for j in range(n):
                    u[j] = b[j] * ((one - r[j]) * u[j]) + c[j]
            else:
                for j in range(n):
                    u[j] = b[j] * u[j] + c[j]
            for j in range(n):
                m[j] = u[j]
                r[j] = one if u[j] > th[j] else nought
                s[j] = r[j]


def _backward(
    g_spk,
    g_mem,
    g_last,
    mem,
    cur,
    start,
    beta,
    theta,
    T,
    reset,
    kind,  # type: ignore[no-untyped-def]
    shift,
    factor,
    d_cur,
    d_beta,
    d_theta,
    d_start,
    first,
    last,
):
    """The recursion backwards. Gradients nobody has or wants are arrays of no rows or no elements.

    So is ``mem`` if it was not kept: then ``cur``, as in ``_forward``, gives it once more, block by block, and it
    never leaves the cache. ``d_cur`` is (T, M), or (1, M) for the sum over time that a held current gets. ``kind``
    0 is ATan, f / (x² + shift), 1 the fast sigmoid, f / (|x| + shift)².
    """
    one, nought = np.float32(1), np.float32(0)
    d, p = np.empty(NEURONS, np.float32), np.empty(NEURONS, np.float32)
    b, th, u0 = (
        np.empty(NEURONS, np.float32),
        np.empty(NEURONS, np.float32),
        np.empty(NEURONS, np.float32),
    )
    again = mem.shape[0] == 0
    width = max(64, min(NEURONS, REMADE // T)) if again else NEURONS
    remade = np.empty((T if again else 0, width), np.float32)
    for a in range(first, last, width):
        n = min(width, last - a)
        for j in range(n):
            b[j] = beta[min(a + j, beta.shape[0] - 1)]
            th[j] = theta[min(a + j, theta.shape[0] - 1)]
            u0[j] = start[min(a + j, start.shape[0] - 1)]
            d[j] = nought
        if again:
            for t in range(T):
                c, m = cur[min(t, cur.shape[0] - 1), a : a + n], remade[t, :n]
                u = remade[t - 1, :n] if t > 0 else u0[:n]
                if reset == 0:
                    for j in range(n):
                        m[j] = b[j] * u[j] + c[j] - (one if u[j] > th[j] else nought) * th[j]
                elif reset == 1:
                    for j in range(n):
                        m[j] = b[j] * ((one - (one if u[j] > th[j] else nought)) * u[j]) + c[j]
                else:
                    for j in range(n):
                        m[j] = b[j] * u[j] + c[j]
        kept, i = (remade, 0) if again else (mem, a)
        for t in range(T - 1, -1, -1):
            m = kept[t, i : i + n]
            before = kept[t - 1, i : i + n] if t > 0 else u0[:n]
            if t == T - 1:
                if g_last.shape[0]:
                    for j in range(n):
                        d[j] = g_last[a + j]
            elif reset == 1:
                for j in range(n):
                    d[j] = nought if m[j] > th[j] else b[j] * d[j]
            else:
                for j in range(n):
                    d[j] = b[j] * d[j]
            if g_mem.shape[0]:
                g = g_mem[t, a : a + n]
                for j in range(n):
                    d[j] += g[j]
            if g_spk.shape[0]:
                g = g_spk[t, a : a + n]
                if kind == 0:
                    for j in range(n):
                        x = m[j] - th[j]
                        p[j] = factor * g[j] / (x * x + shift)
                else:
                    for j in range(n):
                        x = abs(m[j] - th[j]) + shift
                        p[j] = factor * g[j] / (x * x)
                for j in range(n):
                    d[j] += p[j]
                if d_theta.shape[0]:
                    o = d_theta[a : a + n]
                    for j in range(n):
                        o[j] -= p[j]
            if d_theta.shape[0] and reset == 0:
                o = d_theta[a : a + n]
                for j in range(n):
                    o[j] -= d[j] if before[j] > th[j] else nought
            if d_beta.shape[0]:
                o = d_beta[a : a + n]
                if reset == 1:
                    for j in range(n):
                        o[j] += nought if before[j] > th[j] else d[j] * before[j]
                else:
                    for j in range(n):
                        o[j] += d[j] * before[j]
            if d_cur.shape[0] > 1 or T == 1:
                o = d_cur[t, a : a + n]
                for j in range(n):
                    o[j] = d[j]
            elif d_cur.shape[0]:
                o = d_cur[0, a : a + n]
                for j in range(n):
                    o[j] += d[j]
        if d_start.shape[0]:
            o = d_start[a : a + n]
            for j in range(n):
                keep = nought if reset == 1 and u0[j] > th[j] else one
                o[j] = keep * b[j] * d[j]


try:
    forward, backward = _loops(cache=True)
except RuntimeError:  # no folder for numba's files
    forward, backward = _loops()
