"""``Leaky`` layers on a CPU by compiled loops: which layers, and how the loops of ``compiled_loops.py`` are called.

A loop goes through flat steps: ``(T, M)`` for the M neurons and samples of a layer, (1, M) where the current is the
same at every step. β, θ and the membrane at the start are one value a neuron, or one for all.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from multistep.surrogates import Surrogate

import torch

if TYPE_CHECKING:
    from multistep.plan import Plan

Named = dict[str, torch.Tensor | None]

COMPILED_FROM, LOADED_FROM = 1 << 20, 1 << 14
"""Neurons × steps × samples from which the compiled loops are worth loading (two seconds), and, when they have been
loaded, from which they are worth calling."""


def takes(cur: torch.Tensor, surrogate: Surrogate) -> bool:
    """Whether the compiled loops take this layer: large enough to pay for loading them, and of a kind they know."""
    smallest = min(COMPILED_FROM, LOADED_FROM) if loops.cache_info().currsize else COMPILED_FROM
    return (
        cur.dim() > 1
        and cur.numel() >= smallest
        and cur.device.type == "cpu"
        and cur.dtype == torch.float32
        and surrogate.kind in (0, 1)
        and loops() is not None
    )


@lru_cache(maxsize=1)
def loops() -> Any:
    """``multistep.compiled_loops``, or None without numba or with ``SNN_COMPILED=0``."""
    return None if os.environ.get("SNN_COMPILED") == "0" else loaded("compiled_loops")


def loops_for(module: str, x: torch.Tensor) -> Any:
    """The compiled loops in ``multistep.<module>`` for steps ``x (T, …)``, or None where they do not take them."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or not len(x):
        return None
    return None if os.environ.get("SNN_COMPILED") == "0" else loaded(module)


@lru_cache
def loaded(module: str) -> Any:
    """``multistep.<module>``, whose loops numba compiles, or None without numba."""
    try:
        return importlib.import_module(f"multistep.{module}")
    except Exception:  # not installed, or not for this NumPy
        return None


def forward(
    plan: Plan, cur: torch.Tensor, start: Named, p: Named, spk: torch.Tensor, mem: torch.Tensor
) -> Callable[[slice], None]:
    """``in_place.forward`` for flat steps, as a function of the block; ``mem`` is (T, M), or its last step (1, M)."""
    drive = cur[None] if plan.held else cur
    arrays = [_array(x) for x in (drive, *_each_neuron(start, p))]
    outs = [_array(x) for x in (spk, mem)]
    reset = loops().RESETS[plan.reset]
    return lambda b: loops().forward(*arrays, reset, *outs, b.start, b.stop)


def backward(
    plan: Plan,
    kept: torch.Tensor,
    kept_is_cur: bool,
    g_spk: torch.Tensor | None,
    g_mem: torch.Tensor | None,
    g_last: torch.Tensor | None,
    start: Named,
    p: Named,
    g: Named,
) -> Callable[[slice], dict[str, torch.Tensor]]:
    """``in_place.backward`` for flat steps, as a function of the block; ``g`` has the gradients to fill or add to."""
    step = kept.shape[-1:]
    row, rows = kept.new_empty(0), kept.new_empty((0, 0))  # for what nobody has or wants
    mem, cur = (rows, kept[None] if plan.held else kept) if kept_is_cur else (kept, rows)
    sums = {
        k: g[k] if g[k].dim() else kept.new_zeros(step)
        for k in ("beta", "theta")
        if g[k] is not None
    }
    d_cur = rows if g["cur"] is None else g["cur"][None] if plan.held else g["cur"]
    ins = (
        rows if g_spk is None else g_spk,
        rows if g_mem is None else g_mem,
        row if g_last is None else g_last,
        mem,
        cur,
        *_each_neuron(start, p),
    )
    numbers = (
        plan.num_steps,
        loops().RESETS[plan.reset],
        plan.surrogate.kind,
        plan.surrogate.shift,
        plan.surrogate.factor,
    )
    outs = (
        d_cur,
        sums.get("beta", row),
        sums.get("theta", row),
        row if g["mem0"] is None else g["mem0"],
    )
    arrays, filled = [_array(x) for x in ins], [_array(x) for x in outs]

    def work(b: slice) -> dict[str, torch.Tensor]:
        loops().backward(*arrays, *numbers, *filled, b.start, b.stop)
        return {k: total[b].sum() for k, total in sums.items() if not g[k].dim()}

    return work


def _each_neuron(start: Named, p: Named) -> list[torch.Tensor]:
    """Membrane at the start, β and θ: one value a neuron, or one for all."""
    mem = p["beta"].new_zeros(1) if start["mem"] is None else start["mem"]
    return [x.reshape(-1) for x in (mem, p["beta"], p["theta"])]


def _array(x: torch.Tensor) -> Any:
    return x.detach().contiguous().numpy()
