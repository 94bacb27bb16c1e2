"""A network over a long sequence, segment by segment: the memory of one segment for a second forward pass.

T steps in K segments keep T/K steps of the layers and K states. That is least for K = √T, where 1,000 steps keep
what about 2·√1000 = 63 steps would.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from common.spiking import hold
from multistep.memory import Saved, count

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.checkpoint import checkpoint

State = tuple[torch.Tensor, ...]


def over_segments(
    run: Callable[[torch.Tensor, Any], tuple[State, Any]],
    x: torch.Tensor,
    state: Any = None,
    *,
    segments: int | None = None,
) -> tuple[State, Any]:
    """Run a network segment by segment and keep for backward the last segment, and what stands at the cuts.

    Backward runs each earlier segment once more before it differentiates it (gradient checkpointing), so the memory
    is that of one segment and the states between, in exchange for a second forward pass. The last one is the
    first that backward wants: to drop it would only mean to make it again at once.

        def run(x, state):                       # x (t, B, …), state None at the start
            state1, state2 = state or (None, None)
            spk1, _, state1 = unroll(self.lif1, over_time(self.fc1, x), state1)
            spk2, mem2, state2 = unroll(self.lif2, over_time(self.fc2, spk1), state2, record_mem=True)
            return (spk2, mem2), (state1, state2)
        (spk_rec, mem_rec), state = over_segments(run, x)

    Args:
        run: takes ``t`` steps of ``x`` and the state before them; returns a tuple of outputs ``(t, B, …)``
            and the state after them (any nesting of tuples of tensors).
        x: the whole input ``(T, B, …)``.
        segments: number of segments; the square root of T by default, which keeps least.

    Returns:
        The outputs over all steps, ``(T, B, …)`` each, and the state after the last.
    """
    segments = segments or max(1, math.isqrt(len(x)))
    length = -(-len(x) // segments)
    parts = []
    for start in range(0, len(x), length):
        x_s = x[start : start + length]
        if hasattr(x, "held"):
            x_s = hold(x.held, len(x_s))
        if torch.is_grad_enabled() and start + length < len(x):
            out, state = _kept_at_the_cut(run, x_s, state)
        else:
            out, state = run(x_s, state)
        parts.append(out)
    return tuple(torch.cat(p) for p in zip(*parts, strict=True)), state


def _kept_at_the_cut(
    run: Callable[[torch.Tensor, Any], tuple[State, Any]], x: torch.Tensor, state: Any
) -> tuple[State, Any]:
    """Run a segment of which nothing is kept but the state before it."""
    leaves, shape = tree_flatten(state)
    counted = [count(Saved(leaf)) for leaf in leaves if isinstance(leaf, torch.Tensor)]

    def again(x: torch.Tensor, *leaves: Any, _counted: list[Saved] = counted) -> tuple[State, Any]:
        return run(x, tree_unflatten(leaves, shape))

    return checkpoint(again, x, *leaves, use_reentrant=False)
