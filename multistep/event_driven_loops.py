"""Way (2) of ``multistep.event_driven`` as a compiled loop, for C-ordered float32 arrays on a CPU.

The first use on a machine compiles for some seconds; numba keeps the result in ``__pycache__``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int64, njit, void

_ROWS = float32[:, ::1]


def _add_rows(x: Any, rows: Any, cur: Any, first: int, last: int) -> None:
    """Add Σ x_i·rows_i over all x_i ≠ 0 to each of ``cur (K, M)`` from ``first`` to ``last``.

    ``x`` is (K, N), ``rows`` is (N, M): a row for each input, its weights to all outputs.
    """
    N, M = rows.shape
    at, s = np.empty(N, np.int64), np.empty(N, np.float32)  # the events of a step, and their size
    for k in range(first, last):
        events = 0
        for i in range(N):
            if x[k, i] != 0:
                at[events] = i
                s[events] = x[k, i]
                events += 1
        c = cur[k]
        whole = events - events % 8
        for e in range(0, whole, 8):
            w0, w1, w2, w3 = rows[at[e]], rows[at[e + 1]], rows[at[e + 2]], rows[at[e + 3]]
            w4, w5, w6, w7 = rows[at[e + 4]], rows[at[e + 5]], rows[at[e + 6]], rows[at[e + 7]]
            s0, s1, s2, s3 = s[e], s[e + 1], s[e + 2], s[e + 3]
            s4, s5, s6, s7 = s[e + 4], s[e + 5], s[e + 6], s[e + 7]
            for j in range(M):
                four = (s0 * w0[j] + s1 * w1[j]) + (s2 * w2[j] + s3 * w3[j])
                more = (s4 * w4[j] + s5 * w5[j]) + (s6 * w6[j] + s7 * w7[j])
                c[j] += four + more
        for e in range(whole, events):
            w, size = rows[at[e]], s[e]
            for j in range(M):
                c[j] += size * w[j]


def _compile(**options: Any) -> Any:
    """Compile now, so that one shape more is not one compilation more."""
    types = void(_ROWS, _ROWS, _ROWS, int64, int64)
    return njit(types, nogil=True, error_model="numpy", **options)(_add_rows)


try:
    add_rows = _compile(cache=True)
except RuntimeError:  # no folder for numba's files
    add_rows = _compile()
