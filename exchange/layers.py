"""One NIR node as one PyTorch layer: every field is read, and what cannot be run rightly is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.io import UserError
from exchange import neurons
from exchange.fields import EVERYWHERE, FIELDS, LONGEST_DELAY, Reading, numbers, whole
from exchange.graphs import kind
from exchange.membranes import MEMBRANES

import nir
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def as_weights(array: np.ndarray) -> nn.Parameter:
    """32-bit weights, as PyTorch's layers hold them."""
    return nn.Parameter(torch.from_numpy(array.astype(np.float32)))


def dense(name: str, node: nir.Affine | nir.Linear, reading: Reading) -> nn.Linear:
    """y = W·x + b, with ``W (N_out, N_in)``."""
    weight = numbers(name, node, "weight")
    if weight.ndim != 2:
        raise UserError(f"node {name}: got weights of shape {weight.shape}, expected (N_out, N_in)")
    has_bias = isinstance(node, nir.Affine)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=has_bias, device="meta")
    layer.weight = as_weights(weight)
    if has_bias:
        layer.bias = bias_of(name, node, weight.shape[0])
    return layer


def bias_of(name: str, node: nir.NIRNode, num_outputs: int) -> nn.Parameter:
    """A bias an output."""
    bias = numbers(name, node, "bias")
    if bias.shape != (num_outputs,):
        raise UserError(f"node {name}: got a bias of shape {bias.shape}, expected ({num_outputs},)")
    return as_weights(bias)


def convolution(name: str, node: nir.Conv1d | nir.Conv2d, reading: Reading) -> nn.Module:
    """A convolution over one or two dimensions, with stride, padding (numbers, "same", "valid"), dilation, groups."""
    dims = 1 if isinstance(node, nir.Conv1d) else 2
    weight = numbers(name, node, "weight")
    if weight.ndim != dims + 2 or 0 in weight.shape:
        raise UserError(
            f"node {name}: got weights of shape {weight.shape}, expected (C_out, C_in, …)"
        )
    stride = whole(name, node, "stride", dims)
    padding = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise UserError(
                f"node {name}: got padding '{padding}', expected numbers, same or valid"
            )
        if padding == "same" and set(stride) != {1}:
            raise UserError(
                f"node {name}: got padding 'same' with a stride of {stride}; expected 1"
            )
    else:
        padding = whole(name, node, "padding", dims, least=0)
    (groups,) = whole(name, node, "groups", 1)
    if weight.shape[0] % groups:
        raise UserError(
            f"node {name}: got {weight.shape[0]} outputs in {groups} groups of equal size"
        )
    layer = (nn.Conv1d, nn.Conv2d)[dims - 1](
        weight.shape[1] * groups,
        weight.shape[0],
        weight.shape[2:],
        stride=stride,
        padding=padding,
        dilation=whole(name, node, "dilation", dims),
        groups=groups,
        device="meta",
    )
    layer.weight = as_weights(weight)
    layer.bias = bias_of(name, node, weight.shape[0])
    return layer


class SumPool(nn.Module):
    """The sum over each window; what padding adds is zeros, so it changes no sum."""

    def __init__(
        self, size: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` → ``(B, C, H', W')``."""
        height, width = self.padding
        padded = F.pad(x, (width, width, height, height))
        return F.avg_pool2d(padded, self.size, self.stride, divisor_override=1)


def pool(name: str, node: nir.SumPool2d | nir.AvgPool2d, reading: Reading) -> nn.Module:
    """Sum or mean over windows. A mean over padding is refused: NIR does not say whether the zeros count."""
    size = whole(name, node, "kernel_size", 2)
    stride = whole(name, node, "stride", 2)
    padding = whole(name, node, "padding", 2, least=0)
    if isinstance(node, nir.SumPool2d):
        return SumPool(size, stride, padding)
    if any(padding):
        raise UserError(
            f"node {name}: got an AvgPool2d with padding {padding}; NIR does not say whether the zeros count in the "
            "mean, so write it as SumPool2d and a Scale"
        )
    return nn.AvgPool2d(size, stride)


class Flatten(nn.Module):
    """Dimensions ``start`` to ``end`` as one; NIR counts them without the batch."""

    def __init__(self, start: int, end: int) -> None:
        super().__init__()
        self.start, self.end = start, end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, …)`` → ``(B, …)``."""
        last = x.dim() - 2  # of NIR's dimensions
        start = self.start + last + 1 if self.start < 0 else self.start
        end = self.end + last + 1 if self.end < 0 else self.end
        if not 0 <= start <= end <= last:
            raise UserError(f"no dimensions {self.start} to {self.end} in {tuple(x.shape[1:])}")
        return x.flatten(start + 1, end + 1)


def flatten(name: str, node: nir.Flatten, reading: Reading) -> Flatten:
    """Some dimensions become one."""
    (start,) = whole(name, node, "start_dim", 1, least=-99)
    (end,) = whole(name, node, "end_dim", 1, least=-99)
    return Flatten(start, end)


class Elementwise(nn.Module):
    """y = s·x (Scale), or z = H(x − θ) (Threshold), with one number an element."""

    def __init__(self, value: torch.Tensor, fires: bool) -> None:
        super().__init__()
        self.register_buffer("value", value)
        self.fires = fires

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, …)`` → ``(B, …)``."""
        return (x > self.value).to(x.dtype) if self.fires else self.value * x


def elementwise(name: str, node: nir.Scale | nir.Threshold, reading: Reading) -> Elementwise:
    """Scale and Threshold."""
    fires = isinstance(node, nir.Threshold)
    values = numbers(name, node, "threshold" if fires else "scale")
    return Elementwise(torch.from_numpy(values.astype(np.float32)), fires)


def delay(name: str, node: nir.Delay, reading: Reading) -> neurons.Delay:
    """y(t) = x(t − delay), for delays that are whole numbers of steps."""
    steps = numbers(name, node, "delay") / reading.dt
    rounded = np.round(steps)
    if (
        (steps < 0).any()
        or (np.abs(steps - rounded) > 1e-4).any()
        or (rounded > LONGEST_DELAY).any()
    ):
        raise UserError(
            f"node {name} (Delay): got {steps.min():.6g} to {steps.max():.6g} steps of {reading.dt:g} s, expected whole "
            f"numbers from 0 to {LONGEST_DELAY}"
        )
    return neurons.Delay(torch.from_numpy(rounded.astype(np.int64)))


def passed_on(name: str, node: nir.Input | nir.Output, reading: Reading) -> nn.Identity:
    """Input and Output hand on what they get."""
    return nn.Identity()


def module_of(name: str, node: nir.NIRNode, reading: Reading) -> nn.Module:
    """The layer that computes what the node says.

    Raises:
        UserError: names the node, the field and what is wrong with it.
    """
    if type(node) not in FIELDS:
        known = ", ".join(t.__name__ for t in FIELDS)
        raise UserError(f"node {name}: got a {kind(node)}, which cannot be read; {known} can")
    if unread := set(vars(node)) - set(FIELDS[type(node)]) - EVERYWHERE:
        raise UserError(
            f"node {name} ({kind(node)}): got a field {min(unread)}, which is not known"
        )
    return (READERS | MEMBRANES)[type(node)](name, node, reading)


READERS: dict[type, Callable[[str, Any, Reading], nn.Module]] = {
    nir.Input: passed_on,
    nir.Output: passed_on,
    nir.Affine: dense,
    nir.Linear: dense,
    nir.Conv1d: convolution,
    nir.Conv2d: convolution,
    nir.SumPool2d: pool,
    nir.AvgPool2d: pool,
    nir.Flatten: flatten,
    nir.Scale: elementwise,
    nir.Threshold: elementwise,
    nir.Delay: delay,
}
