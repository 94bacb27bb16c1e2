"""A dense layer over a whole sequence, event by event: only the weights that a spike reaches are read and added.

A layer has N inputs and M outputs, and at one step the share a of its inputs spikes. Lesson 12 forms its currents in
two ways:

    over_time      I_j[t] = b_j + Σ_i W_ji·S_i[t]                        N·M operations a step, whatever the input  (1)
    over_events    I_j[t] = b_j + Σ W_ji·S_i[t] over all S_i[t] ≠ 0      a·N·M operations a step                    (2)

(2) is for few samples whose inputs seldom spike, after training:

    rows_by_input(net.fc1)  # once
    with torch.no_grad():
        spk1, _, _ = unroll(net.lif1, over_events(net.fc1, x))  # x (T, 1, N) → spk1 (T, 1, M)

The sums are those of (1) in another order. So the currents agree to float32's last bits, and a spike can differ where a
potential lies as near to the threshold as that. ``unroll`` does the rest, for any neuron, bit for bit.

What one input reaches is a column of PyTorch's W ``(M, N)``, and its numbers lie N apart. ``rows_by_input`` puts them next
to each other. The columns of eight events are added at a time, so that a current is read and written an eighth as
often. Many steps, like many samples, help (1): it reads a weight once for all of them.
"""

from __future__ import annotations

from common.spiking import hold
from multistep import compiled
from multistep.plan import is_hooked
from multistep.threads import each, threads

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHARED_FROM = 1 << 26
"""Operations of (1) from which (2) is shared among threads; below, waiting for them takes longer than it saves."""


def rows_by_input(fc: nn.Linear) -> nn.Linear:
    """Lay out the weights of ``fc`` so that those of one input lie next to each other; nothing else changes.

    Shape, values and training stay as they are, as with ``memory_format=torch.channels_last``. Without it
    ``over_events`` copies all weights at each call, and that takes about as long as (1).
    """
    fc.weight.data = fc.weight.data.t().contiguous().t()
    return fc


def over_events(fc: nn.Linear, x: Tensor) -> Tensor:
    """The currents ``over_time(fc, x)``, ``(T, B, N)`` → ``(T, B, M)``, by way (2), without a gradient.

    Args:
        fc: the layer, best laid out by ``rows_by_input``.
        x: spikes. Graded ones are multiplied by their weights; what is 0 is never read, whatever its weights.

    Raises:
        ValueError: ``fc`` is not a plain ``nn.Linear`` without hooks, or ``x`` has another shape or type.
        RuntimeError: a gradient is asked for.
    """
    _check(fc, x)
    if len(x) > 1 and x.stride(0) == 0:  # the same at every step
        return hold(_currents(fc, getattr(x, "held", x[0])), len(x))
    return _currents(fc, x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _check(fc: nn.Linear, x: Tensor) -> None:
    if type(fc) is not nn.Linear or is_hooked(fc):
        hooked = " with hooks" if isinstance(fc, nn.Linear) and is_hooked(fc) else ""
        raise ValueError(
            f"over_events: got {type(fc).__name__}{hooked}, expected nn.Linear without hooks; "
            "over_time takes any layer"
        )
    N = fc.in_features
    if x.dim() != 3 or x.shape[-1] != N:
        raise ValueError(
            f"over_events: got x of shape {tuple(x.shape)}, expected (T, B, {N}), N = {N} inputs of the layer"
        )
    if x.dtype != fc.weight.dtype or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"over_events: got x of {x.dtype} and weights of {fc.weight.dtype}, expected both float32 or both float64"
        )
    if torch.is_grad_enabled() and any(v.requires_grad for v in (x, *fc.parameters())):
        raise RuntimeError(
            "over_events: has no gradient; call it under torch.no_grad(), and train with over_time(fc, x)"
        )


@torch.no_grad()
def _currents(fc: nn.Linear, x: Tensor) -> Tensor:
    """``x (K, N)`` → ``(K, M)``, a row for each step and sample."""
    rows = fc.weight.t().contiguous()  # (N, M): a copy only where rows_by_input has not been called
    loops = compiled.loops_for("event_driven_loops", x)
    if loops is None:
        return by_embedding_bag(rows, fc.bias, x)
    compiled.loops()  # numba is there now, and unroll takes its loops at once where they are loaded
    cur = x.new_zeros((len(x), fc.out_features)) if fc.bias is None else fc.bias.repeat(len(x), 1)
    arrays = [v.detach().numpy() for v in (x.contiguous(), rows, cur)]
    parts = threads() if len(x) * rows.numel() >= SHARED_FROM else 1
    size = -(-len(x) // parts)
    each(
        [slice(i, min(i + size, len(x))) for i in range(0, len(x), size)],
        lambda part: loops.add_rows(*arrays, part.start, part.stop),
    )
    return cur


def by_embedding_bag(rows: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    """The same by the call of lesson 12, on any device and in float64: slower, still ahead of (1) where few spike."""
    row, events = x.nonzero(as_tuple=True)
    count = torch.bincount(row, minlength=len(x))
    first = count.cumsum(0) - count  # where the events of a row begin
    graded = x[row, events]
    cur = F.embedding_bag(events, rows, first, mode="sum", per_sample_weights=graded)
    return cur if bias is None else cur.add_(bias)
