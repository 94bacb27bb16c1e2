"""The recursions of ``multistep.adaptive`` as compiled loops, for C-ordered float32 arrays on a CPU.

A step of one layer is a few thousand numbers, so PyTorch spends its time on calling a dozen small operations; here a
step is one matrix product, if there are recurrent weights, and one pass over the numbers. The first use on a machine
compiles for some seconds; numba keeps the result in ``__pycache__``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import float32, float64, njit, void

_CUBE, _ROWS = float32[:, :, ::1], float32[:, ::1]


def _forward(cur: Any, V_t: Any, rows: Any, x: Any, spk: Any, threshold: float) -> None:
    """Fill ``x`` and ``spk (T, B, H)``; ``V_t`` is Vᵀ, or has no rows; ``rows (8, H)`` are the layer's constants."""
    T, B, H = cur.shape
    beta, decay, by_mem, by_spk = rows[0], rows[1], rows[2], rows[3]
    on_mem, on_threshold, reset, alpha = rows[4], rows[5], rows[6], rows[7]
    theta, one, nought = np.float32(threshold), np.float32(1), np.float32(0)
    mem, second = np.zeros((B, H), np.float32), np.zeros((B, H), np.float32)
    synapse = np.zeros((B, H), np.float32)
    rest, back = np.zeros((B, H), np.float32), np.zeros((B, H), np.float32)
    for t in range(T):
        before = spk[t - 1] if t > 0 else rest
        if V_t.shape[0] > 0 and t > 0:
            np.dot(before, V_t, back)
        for i in range(B):
            u, w, c, r, s_before = mem[i], second[i], cur[t, i], back[i], before[i]
            syn = synapse[i]
            above, s = x[t, i], spk[t, i]
            # short loops over few arrays, so that the compiler can take sixteen neurons at a time
            for j in range(H):
                syn[j] = alpha[j] * syn[j] + c[j] + r[j]
            for j in range(H):
                u[j] = beta[j] * u[j] - on_mem[j] * w[j]
            for j in range(H):
                u[j] = u[j] + syn[j] - reset[j] * s_before[j]
            for j in range(H):
                above[j] = u[j] - on_threshold[j] * w[j] - theta
            for j in range(H):
                s[j] = one if above[j] > nought else nought
            for j in range(H):
                w[j] = decay[j] * w[j] + by_mem[j] * u[j]
            for j in range(H):
                w[j] += by_spk[j] * s[j]


def _backward(g_spk: Any, g_x: Any, sigma: Any, V: Any, rows: Any, d_cur: Any) -> None:
    """Fill ``d_cur (T, B, H)`` from the last step to the first; ``g_x`` may have no steps.

    A reset that is detached stands as 0 in ``rows``.
    """
    T, B, H = d_cur.shape
    beta, decay, by_mem, by_spk = rows[0], rows[1], rows[2], rows[3]
    on_mem, on_threshold, reset, alpha = rows[4], rows[5], rows[6], rows[7]
    d_second, at_x = np.zeros((B, H), np.float32), np.zeros((B, H), np.float32)
    d_mem = np.zeros((B, H), np.float32)
    rest, back = np.zeros((B, H), np.float32), np.zeros((B, H), np.float32)
    for t in range(T - 1, -1, -1):
        after = d_cur[t + 1] if t < T - 1 else rest
        if V.shape[0] > 0 and t < T - 1:
            np.dot(after, V, back)
        for i in range(B):
            d_w, e, d_u, r = d_second[i], at_x[i], d_mem[i], back[i]
            g_s, sig, d_after, d = g_spk[t, i], sigma[t, i], after[i], d_cur[t, i]
            for j in range(H):
                d_w[j] = decay[j] * d_w[j] - on_mem[j] * d_u[j]
            for j in range(H):
                d_w[j] -= on_threshold[j] * e[j]
            for j in range(H):
                e[j] = g_s[j] + by_spk[j] * d_w[j]
            for j in range(H):
                e[j] -= reset[j] * d_u[j]
            for j in range(H):
                e[j] += r[j]
            for j in range(H):
                e[j] *= sig[j]
            if g_x.shape[0]:
                g = g_x[t, i]
                for j in range(H):
                    e[j] += g[j]
            for j in range(H):
                d_u[j] = e[j] + beta[j] * d_u[j] + by_mem[j] * d_w[j]
            for j in range(H):
                d[j] = d_u[j] + alpha[j] * d_after[j]


def _compile(**options: Any) -> tuple[Any, Any]:
    """Compile both now, so that one shape more is not one compilation more."""
    ahead = void(_CUBE, _ROWS, _ROWS, _CUBE, _CUBE, float64)
    back = void(_CUBE, _CUBE, _CUBE, _ROWS, _ROWS, _CUBE)
    compiled = partial(njit, nogil=True, error_model="numpy", **options)
    return compiled(ahead)(_forward), compiled(back)(_backward)


try:
    forward, backward = _compile(cache=True)
except RuntimeError:  # no folder for numba's files
    forward, backward = _compile()
