"""Cutting a layer into blocks of its batch, and taking the blocks through all steps in several threads.

A block's buffers of one step stay in the cache of a core. PyTorch would share each operation among its threads,
which then wait for one another a dozen times a step; here each thread takes whole blocks, and the operations run
inside it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier
from typing import Any, TypeVar

from multistep.plan import Plan

import torch

BLOCK = 65_536
"""Elements of one step that are worked on at a time: three or four such buffers fit the L2 cache of a core."""

MAX_THREADS = 4
"""More threads than these would wait for Python's interpreter lock."""

Result = TypeVar("Result")
_pool: tuple[int, int, ThreadPoolExecutor] | None = None


def blocks(plan: Plan, step: torch.Size, p: dict[str, torch.Tensor | None]) -> list[Any]:
    """Parts of the batch that are run one after the other, so that a step's buffers stay in the CPU's cache.

    Not where the batch hangs together: a parameter that differs along it, a function of which nothing is known.
    """
    if plan.num_steps == 0 or math.prod(step) == 0:
        return []
    if not step:
        return [...]
    rows, beta = step[0], p["beta"]
    size = rows
    if beta.device.type != "cpu" or plan.surrogate.function is not None:
        pass
    elif plan.path == "compiled":
        size = -(-rows // threads())
    elif plan.dense:  # a block a thread, in steps of 16 rows: matrix products want many
        number = min(threads(), rows // 16)
        if number > 1 and _splits_exactly(*step, beta.dtype):
            size = -(-rows // (16 * number)) * 16
    elif not any(v is not None and v.dim() == len(step) for v in p.values()):
        number = -(-math.prod(step) // BLOCK)
        number += -number % threads()
        if number > threads():
            size = -(-rows // number)
    return [slice(i, min(i + size, rows)) for i in range(0, rows, size)]


@lru_cache(maxsize=256)
def _splits_exactly(rows: int, columns: int, dtype: torch.dtype) -> bool:
    """Whether a matrix product over half of the rows gives the same bits as one over all of them, by trying it.

    Libraries may order the sums by the number of rows; spikes that have to equal snnTorch's forbid that.
    """
    g = torch.Generator().manual_seed(0)
    spk = (torch.rand(rows, columns, generator=g) > 0.5).to(dtype)
    weight = torch.randn(columns, columns, generator=g, dtype=dtype)
    bias = torch.randn(columns, generator=g, dtype=dtype)
    half = -(-rows // 32) * 16
    parts = [torch.addmm(bias, part, weight.t()) for part in (spk[:half], spk[half:])]
    return torch.equal(torch.cat(parts), torch.addmm(bias, spk, weight.t()))


def threads() -> int:
    return min(torch.get_num_threads(), MAX_THREADS)


def _alone() -> None:
    """Keep PyTorch's operations inside this thread: a second team of OpenMP threads would slow the first for good."""
    torch.get_num_threads()  # the first question a thread asks sets its number; only then does another one stay
    torch.set_num_threads(1)


def _workers(n: int) -> ThreadPoolExecutor:
    """``n`` threads in which PyTorch does not start threads of its own; made once."""
    global _pool
    # a forked process has no threads but the one that forked
    if _pool is None or _pool[:2] != (os.getpid(), n):
        pool, together = ThreadPoolExecutor(n, "unroll", initializer=_alone), Barrier(n)
        for started in [pool.submit(together.wait) for _ in range(n)]:
            started.result()
        # the workers have set the number for threads to come
        torch.set_num_threads(torch.get_num_threads())
        _pool = os.getpid(), n, pool
    return _pool[2]


def each(blocks: list[Any], work: Callable[[Any], Result]) -> list[Result]:
    """``[work(b) for b in blocks]``, in several threads."""
    n = min(len(blocks), threads())
    if n < 2 or torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack():
        return [work(b) for b in blocks]
    inference, pool = torch.is_inference_mode_enabled(), _workers(threads())

    def share(i: int) -> list[Result]:
        with torch.inference_mode(inference), torch.no_grad():  # both belong to a thread
            return [work(b) for b in blocks[i::n]]

    shares = [f.result() for f in [pool.submit(share, i) for i in range(n)]]
    return [shares[i % n][i // n] for i in range(len(blocks))]
