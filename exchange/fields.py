"""What is read of a NIR graph, field by field, and what a simulator has to know beyond it."""

from __future__ import annotations

from dataclasses import dataclass

from common.io import UserError
from exchange.graphs import kind

import nir
import numpy as np
import torch

DT = 1e-4
"""s; snnTorch writes its graphs for steps of this length. The number stands in its code, not in the file."""

LONGEST_DELAY = 100_000
"""steps; a longer line of delays takes more memory than a lesson should"""

ROUNDING = 5e-7
"""A gain this near to 1 is 1: τ and R were divided in 32 bits somewhere."""


@dataclass
class Reading:
    """What a file does not say and a simulator has to know.

    ``dt``: the length of a step in seconds. ``start``: where v begins if v_leak ≠ 0, at "rest" (v = v_leak) or at
    "zero". ``if_step``: how long a step is for IF and I, in the unit in which their R counts: 1 where a step adds R·I
    (sinabs, Norse, SpiNNaker2), ``dt`` where NIR's equation is taken at its word (SpikingJelly).
    """

    dt: float = DT
    start: str | None = None
    if_step: float | None = None


FIELDS = {
    nir.Input: (),
    nir.Output: (),
    nir.Affine: ("weight", "bias"),
    nir.Linear: ("weight",),
    nir.Scale: ("scale",),
    nir.Threshold: ("threshold",),
    nir.Delay: ("delay",),
    nir.Flatten: ("start_dim", "end_dim"),
    nir.Conv1d: ("input_shape", "weight", "stride", "padding", "dilation", "groups", "bias"),
    nir.Conv2d: ("input_shape", "weight", "stride", "padding", "dilation", "groups", "bias"),
    nir.SumPool2d: ("kernel_size", "stride", "padding"),
    nir.AvgPool2d: ("kernel_size", "stride", "padding"),
    nir.LIF: ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    nir.IF: ("r", "v_threshold", "v_reset"),
    nir.CubaLIF: ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    nir.LI: ("tau", "r", "v_leak"),
    nir.I: ("r",),
    nir.CubaLI: ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
}
"""The kinds of node that can be read, and the fields that are. A node with any other field is refused."""

EVERYWHERE = {"input_type", "output_type", "metadata"}
"""Fields of every node: shapes, checked as the graph runs, and notes of the writer, which mean nothing."""


def numbers(name: str, node: nir.NIRNode, field: str) -> np.ndarray:
    """A field as 64-bit numbers that stay finite in 32 bits, in which the network computes."""
    try:
        value = getattr(node, field)
        if isinstance(value, torch.Tensor):  # bfloat16 has no counterpart in NumPy
            value = value.detach().cpu()
            value = (value.float() if value.is_floating_point() else value).numpy()
        array = np.asarray(value)
        with np.errstate(over="ignore"):
            fits = array.dtype.kind in "fiub" and np.isfinite(array.astype(np.float32)).all()
    except (
        Exception
    ):  # not there, of unequal rows, sparse, quantised, on no device at all: many kinds
        fits = False
    if not fits:
        raise UserError(
            f"node {name} ({kind(node)}): {field} holds something that is no finite 32-bit number"
        )
    return array.astype(np.float64)


def whole(name: str, node: nir.NIRNode, field: str, count: int, least: int = 1) -> tuple[int, ...]:
    """A field as ``count`` whole numbers; one number stands for all."""
    array = numbers(name, node, field)
    if array.size not in (1, count) or (array != np.round(array)).any() or (array < least).any():
        raise UserError(
            f"node {name} ({kind(node)}): got {field} = {array.tolist()}, expected {count} whole "
            f"number{'s' if count > 1 else ''} from {least} on"
        )
    return tuple(int(n) for n in np.broadcast_to(array.ravel(), count))
