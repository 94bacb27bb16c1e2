"""The compiled loops behind ``multistep.normalised``, for rows of channels: one place of one image, all its channels.

Arrays of 16-bit integers hold bfloat16 numbers: the upper half of a float32. numba compiles a loop at its first use
for each type, some seconds in all, and keeps it in ``__pycache__``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

ROWS = 64
"""rows whose sums stay float32 before they are added to those in double precision"""


def _read(x: Any, wide: Any, real: Any) -> None:
    """``real[:] = x``; ``wide`` is the same memory as 32-bit integers."""
    if x.itemsize == 2:
        for j in range(x.shape[0]):
            wide[j] = np.uint32(x[j]) << np.uint32(16)
    else:
        for j in range(x.shape[0]):
            real[j] = x[j]


def _write(wide: Any, real: Any, x: Any) -> None:
    """``x[:] = real``, rounded to the nearest number that ``x`` can hold, to the even one of two."""
    if x.itemsize == 2:
        for j in range(x.shape[0]):
            w = wide[j]
            odd = (w >> np.uint32(16)) & np.uint32(1)
            x[j] = (w + np.uint32(0x7FFF) + odd) >> np.uint32(16)
    else:
        for j in range(x.shape[0]):
            x[j] = real[j]


def _moments(x: Any, origin: Any, first: int, last: int, total: Any, squares: Any) -> None:
    """Add up x − origin and (x − origin)² over the rows of ``x (R, C)`` from ``first`` to ``last``, per channel."""
    C = x.shape[1]
    wide = np.empty(C, np.uint32)
    real = wide.view(np.float32)
    s, q = np.empty(C, np.float32), np.empty(C, np.float32)
    for start in range(first, last, ROWS):
        s[:] = 0
        q[:] = 0
        for m in range(start, min(start + ROWS, last)):
            _read(x[m], wide, real)
            for j in range(C):
                v = real[j] - origin[j]
                s[j] += v
                q[j] += v * v
        for j in range(C):
            total[j] += s[j]
            squares[j] += q[j]


def _forward(
    x: Any, a: Any, c: Any, beta: Any, theta: Any, one: Any, spk: Any, first: int, last: int
) -> None:
    """Fill ``spk (T, M, C)``; ``x`` is (T, M, C), or (1, M, C) if it is the same at every step."""
    T, _, C = spk.shape
    nought = np.float32(0)
    wide = np.empty(C, np.uint32)
    cur, u = wide.view(np.float32), np.empty(C, np.float32)
    for m in range(first, last):
        u[:] = 0
        for t in range(T):
            if t < x.shape[0]:
                _read(x[t, m], wide, cur)
                for j in range(C):
                    cur[j] = a[j] * cur[j] + c[j]
            s = spk[t, m]
            for j in range(C):
                paid = theta if u[j] > theta else nought
                u[j] = beta * u[j] + cur[j] - paid
                s[j] = one if u[j] > theta else 0


def _backward(
    g: Any,
    x: Any,
    mean: Any,
    inverse: Any,
    a: Any,
    c: Any,
    beta: Any,
    theta: Any,
    kind: int,
    shift: Any,
    factor: Any,
    d: Any,
    first: int,
    last: int,
    total: Any,
    along: Any,
) -> None:
    """Fill ``d``, of the shape of ``x``, with δ (summed over time for a held x); add up δ and δ·x̂ per channel.

    ``kind`` 0 is ATan, σ' = factor/(y² + shift); 1 is the fast sigmoid, factor/(|y| + shift)²; y = U − θ.
    """
    T, _, C = g.shape
    steps = x.shape[0]
    nought = np.float32(0)
    wide = np.empty(C, np.uint32)
    real = wide.view(np.float32)
    x_hat, u = np.empty((steps, C), np.float32), np.empty((T + 1, C), np.float32)
    delta, held = np.empty(C, np.float32), np.empty(C, np.float32)
    s, q = np.empty(C, np.float32), np.empty(C, np.float32)
    for start in range(first, last, ROWS):
        s[:] = 0
        q[:] = 0
        for m in range(start, min(start + ROWS, last)):
            u[0, :] = 0
            for t in range(T):
                k = min(t, steps - 1)
                if t == k:
                    _read(x[t, m], wide, real)
                    for j in range(C):
                        x_hat[k, j] = real[j]
                for j in range(C):
                    paid = theta if u[t, j] > theta else nought
                    u[t + 1, j] = beta * u[t, j] + (a[j] * x_hat[k, j] + c[j]) - paid
            for k in range(steps):
                for j in range(C):
                    x_hat[k, j] = (x_hat[k, j] - mean[j]) * inverse[j]
            delta[:] = 0
            held[:] = 0
            for t in range(T - 1, -1, -1):
                _read(g[t, m], wide, real)
                if kind == 0:
                    for j in range(C):
                        y = u[t + 1, j] - theta
                        delta[j] = beta * delta[j] + factor * real[j] / (y * y + shift)
                else:
                    for j in range(C):
                        y = abs(u[t + 1, j] - theta) + shift
                        delta[j] = beta * delta[j] + factor * real[j] / (y * y)
                if steps == T:
                    for j in range(C):
                        real[j] = delta[j]
                        s[j] += delta[j]
                        q[j] += delta[j] * x_hat[t, j]
                    _write(wide, real, d[t, m])
                else:
                    for j in range(C):
                        held[j] += delta[j]
            if steps != T:
                for j in range(C):
                    real[j] = held[j]
                    s[j] += held[j]
                    q[j] += held[j] * x_hat[0, j]
                _write(wide, real, d[0, m])
        for j in range(C):
            total[j] += s[j]
            along[j] += q[j]


def _centre(d: Any, x: Any, p: Any, q: Any, r: Any, first: int, last: int) -> None:
    """``d = p·d + q·x + r`` in place, ``(R, C)`` each, p, q and r per channel."""
    C = x.shape[1]
    wide_x, wide_d = np.empty(C, np.uint32), np.empty(C, np.uint32)
    real_x, real_d = wide_x.view(np.float32), wide_d.view(np.float32)
    for m in range(first, last):
        _read(x[m], wide_x, real_x)
        _read(d[m], wide_d, real_d)
        for j in range(C):
            real_d[j] = p[j] * real_d[j] + q[j] * real_x[j] + r[j]
        _write(wide_d, real_d, d[m])


def _compile(**options: Any) -> list[Any]:
    def made(function: Any) -> Any:
        return njit(nogil=True, error_model="numpy", **options)(function)

    global _read, _write
    _read, _write = made(_read), made(_write)
    return [made(f) for f in (_moments, _forward, _backward, _centre)]


try:
    moments, forward, backward, centre = _compile(cache=True)
except RuntimeError:  # no folder for numba's files
    moments, forward, backward, centre = _compile()
