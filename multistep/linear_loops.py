"""The recursions of ``multistep.linear`` as compiled loops, for C-ordered float32 arrays on a CPU.

One sequence at a time, so that its states stay in the cache. ``a`` and ``c`` are ``(2, N, H)``: real and imaginary part.
The first use on a machine compiles for some seconds; numba keeps the result in ``__pycache__``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import float32, njit, void

_CUBE = float32[:, :, ::1]


def _forward(x: Any, a: Any, c: Any, y: Any) -> None:
    """Fill ``y (T, B, H)``: h = a·h + x, y = Re c·h, from rest."""
    T, B, H = x.shape
    N = a.shape[1]
    for b in range(B):
        real, imag = np.zeros((N, H), np.float32), np.zeros((N, H), np.float32)
        for t in range(T):
            drive, out = x[t, b], y[t, b]
            for j in range(H):
                out[j] = 0
            for n in range(N):
                ar, ai, cr, ci, hr, hi = a[0, n], a[1, n], c[0, n], c[1, n], real[n], imag[n]
                for j in range(H):
                    r = ar[j] * hr[j] - ai[j] * hi[j] + drive[j]
                    i = ar[j] * hi[j] + ai[j] * hr[j]
                    hr[j] = r
                    hi[j] = i
                    out[j] += cr[j] * r - ci[j] * i


def _backward(g_y: Any, x: Any, a: Any, c: Any, d_x: Any, d_a: Any, d_c: Any) -> None:
    """Fill ``d_x (T, B, H)`` and add to ``d_a`` and ``d_c (2, N, H)``; the states are worked out once more."""
    T, B, H = x.shape
    N = a.shape[1]
    real, imag = np.zeros((T + 1, N, H), np.float32), np.zeros((T + 1, N, H), np.float32)
    for b in range(B):
        for t in range(T):  # the states: entry t + 1 is h[t]
            drive = x[t, b]
            for n in range(N):
                ar, ai, br, bi = a[0, n], a[1, n], real[t, n], imag[t, n]
                hr, hi = real[t + 1, n], imag[t + 1, n]
                for j in range(H):
                    hr[j] = ar[j] * br[j] - ai[j] * bi[j] + drive[j]
                for j in range(H):
                    hi[j] = ar[j] * bi[j] + ai[j] * br[j]
        later_r, later_i = np.zeros((N, H), np.float32), np.zeros((N, H), np.float32)
        for t in range(T - 1, -1, -1):
            g, d = g_y[t, b], d_x[t, b]
            for j in range(H):
                d[j] = 0
            for n in range(N):
                ar, ai, cr, ci = a[0, n], a[1, n], c[0, n], c[1, n]
                hr, hi, br, bi = real[t + 1, n], imag[t + 1, n], real[t, n], imag[t, n]
                er, ei = later_r[n], later_i[n]
                dar, dai, dcr, dci = d_a[0, n], d_a[1, n], d_c[0, n], d_c[1, n]
                for j in range(H):
                    dcr[j] += g[j] * hr[j]
                    dci[j] -= g[j] * hi[j]
                for j in range(H):  # the error of h[t], from y[t] and from h[t + 1]
                    r = cr[j] * g[j] + ar[j] * er[j] + ai[j] * ei[j]
                    i = ar[j] * ei[j] - ai[j] * er[j] - ci[j] * g[j]
                    er[j] = r
                    ei[j] = i
                    d[j] += r
                for j in range(H):
                    dar[j] += er[j] * br[j] + ei[j] * bi[j]
                for j in range(H):
                    dai[j] += ei[j] * br[j] - er[j] * bi[j]


def _compile(**options: Any) -> tuple[Any, Any]:
    """Compile both now, so that one shape more is not one compilation more."""
    compiled = partial(njit, nogil=True, error_model="numpy", fastmath={"contract"}, **options)
    forward = compiled(void(_CUBE, _CUBE, _CUBE, _CUBE))(_forward)
    return forward, compiled(void(_CUBE, _CUBE, _CUBE, _CUBE, _CUBE, _CUBE, _CUBE))(_backward)


try:
    forward, backward = _compile(cache=True)
except RuntimeError:  # no folder for numba's files
    forward, backward = _compile()
