"""PyTorch layers and snnTorch neurons as NIR nodes.

snnTorch's exporter (1.0.0) writes convolutions as tensors instead of arrays, drops a pool's options and asks for
parameters in the shape of the layer; so the nodes are made here, by the equations of :mod:`exchange.neurons`.
"""

from __future__ import annotations

from common.io import UserError
from exchange.fields import DT

import nir
import numpy as np
import snntorch as snn
import torch
from torch import nn


def array(value: torch.Tensor | np.ndarray) -> np.ndarray:
    """A tensor's numbers, on the CPU."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def time_constant(decay: np.ndarray) -> np.ndarray:
    """τ = dt/(1 − β), in 32 bits where 1 − dt/τ gives exactly this β back, else in 64."""
    tau = DT / (1 - decay.astype(np.float64))
    short = tau.astype(np.float32)
    back = (1 - DT / short.astype(np.float64)).astype(np.float32)
    return short if (back == decay.astype(np.float32)).all() else tau


def spread(value: torch.Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """One number for each neuron of a layer of this shape."""
    return np.broadcast_to(array(value), shape).copy()


def decay_of(value: torch.Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """β or α for each neuron, as snnTorch uses it: kept between 0 and 1."""
    return spread(value, shape).clip(0, 1)


def lif_node(m: snn.Leaky, shape: tuple[int, ...] | None = None) -> nir.LIF:
    """A ``Leaky`` as NIR's equation has it, the way snnTorch writes it: R = τ/dt, so that a current acts unscaled."""
    shape = tuple(m.beta.shape) if shape is None else shape
    tau = time_constant(decay_of(m.beta, shape))
    return nir.LIF(
        tau=tau,
        r=tau / tau.dtype.type(DT),
        v_leak=np.zeros_like(tau),
        v_threshold=spread(m.threshold, shape).astype(tau.dtype),
        v_reset=np.zeros_like(tau),
    )


def cuba_node(m: snn.Synaptic, shape: tuple[int, ...]) -> nir.CubaLIF:
    """A ``Synaptic``: R = τ_mem/dt and w_in = τ_syn/dt, so that both gains are 1."""
    tau_mem = time_constant(decay_of(m.beta, shape))
    tau_syn = time_constant(decay_of(m.alpha, shape))
    width = np.result_type(tau_mem, tau_syn)
    tau_mem, tau_syn = tau_mem.astype(width), tau_syn.astype(width)
    return nir.CubaLIF(
        tau_mem=tau_mem,
        tau_syn=tau_syn,
        r=tau_mem / width.type(DT),
        w_in=tau_syn / width.type(DT),
        v_leak=np.zeros_like(tau_mem),
        v_threshold=spread(m.threshold, shape).astype(width),
        v_reset=np.zeros_like(tau_mem),
    )


def linear_node(m: nn.Linear) -> nir.Affine | nir.Linear:
    """W·x + b."""
    if m.bias is None:
        return nir.Linear(array(m.weight))
    return nir.Affine(array(m.weight), array(m.bias))


def ungrouped(weight: np.ndarray, groups: int) -> np.ndarray:
    """The same convolution without groups: zeros from each output to the inputs of other groups.

    NIR has the field, but NIR 1.0.8 takes one group's channels for all when it reads such a file, and stops.
    """
    num_outputs, inputs_each = weight.shape[:2]
    outputs_each = num_outputs // groups
    full = np.zeros((num_outputs, inputs_each * groups, *weight.shape[2:]), weight.dtype)
    for g in range(groups):
        rows = slice(g * outputs_each, (g + 1) * outputs_each)
        columns = slice(g * inputs_each, (g + 1) * inputs_each)
        full[rows, columns] = weight[rows]
    return full


def squared(
    weight: np.ndarray, padding: tuple[int, int], dilation: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int]]:
    """The same convolution with a square kernel: zeros around the shorter side, and as much more padding.

    NIR 1.0.8 takes a kernel's height for its width when it works out shapes, and stops. Only an even number of rows
    can be added in this way, as padding is the same on both sides.
    """
    size = max(weight.shape[2:])
    more = [(size - k) // 2 for k in weight.shape[2:]]
    rows, columns = more
    wider = np.pad(weight, ((0, 0), (0, 0), (rows, rows), (columns, columns)))
    new_padding = [p + m * d for p, m, d in zip(padding, more, dilation, strict=True)]
    return wider, (new_padding[0], new_padding[1])


def convolution_node(name: str, m: nn.Conv1d | nn.Conv2d, shape: tuple[int, ...]) -> nir.NIRNode:
    """A convolution with zeros as padding.

    Raises:
        UserError: another kind of padding, or a kernel that NIR's own reader gets wrong and that cannot be rewritten.
    """
    pads = m.padding not in ("valid", (0,), (0, 0))
    if m.padding_mode != "zeros" and pads:
        raise UserError(
            f"{name} pads in the mode '{m.padding_mode}': NIR pads with zeros; train with padding_mode='zeros'"
        )
    weight = ungrouped(array(m.weight), m.groups)
    bias = np.zeros(len(weight), weight.dtype) if m.bias is None else array(m.bias)
    padding = (0,) * (weight.ndim - 2) if m.padding == "valid" else m.padding
    spans = [d * (k - 1) for d, k in zip(m.dilation, m.kernel_size, strict=True)]
    if padding == "same" and not any(span % 2 for span in spans):
        padding = tuple(span // 2 for span in spans)
    if isinstance(m, nn.Conv1d):
        padding = padding if isinstance(padding, str) else padding[0]
        return nir.Conv1d(shape[1], weight, m.stride[0], padding, m.dilation[0], 1, bias)
    height, width = weight.shape[2:]
    if height != width and padding != "same":
        if (height - width) % 2:
            raise UserError(
                f"{name} has a kernel of {height}×{width}: NIR's reader (1.0.8) takes every kernel for a square, and "
                "this one cannot be filled up evenly; use sizes that are both odd or both even"
            )
        weight, padding = squared(weight, padding, m.dilation)
    return nir.Conv2d(tuple(shape[1:]), weight, m.stride, padding, m.dilation, 1, bias)


def two(value: int | tuple[int, int]) -> np.ndarray:
    """A size of a pool, which PyTorch allows to be one number."""
    return np.broadcast_to(np.asarray(value), 2).copy()


def pool_node(name: str, m: nn.AvgPool2d, shape: tuple[int, ...], shape_out: tuple[int, ...]) -> nir.AvgPool2d:  # fmt: skip
    """A mean over windows.

    Raises:
        UserError: padding, ceil_mode where it matters, or a divisor, none of which a NIR node can say.
    """
    size = two(m.kernel_size)
    stride = size if m.stride is None else two(m.stride)
    if two(m.padding).any():
        raise UserError(
            f"{name} drops a pool's padding: NIR does not say whether the zeros count in the mean; pool without padding"
        )
    whole_windows = (np.asarray(shape[1:]) - size) // stride + 1
    if tuple(whole_windows) != tuple(shape_out[1:]):
        raise UserError(
            f"{name} pools in ceil_mode, which makes {tuple(shape_out[1:])} of {tuple(shape[1:])}; NIR only knows whole "
            f"windows, {tuple(int(n) for n in whole_windows)}"
        )
    if m.divisor_override:
        raise UserError(f"{name} has divisor_override, which NIR lacks: fold it into the weights")
    return nir.AvgPool2d(size, stride, np.array([0, 0]))


def flatten_node(name: str, m: nn.Flatten, shape: tuple[int, ...]) -> nir.Flatten:
    """Flatten, its dimensions counted without the batch."""
    start = m.start_dim if m.start_dim >= 0 else m.start_dim + len(shape) + 1
    end = m.end_dim if m.end_dim >= 0 else m.end_dim + len(shape) + 1
    if start == 0:
        raise UserError(f"{name} flattens the batch too: start_dim=1")
    last = -1 if end == len(shape) else end - 1
    return nir.Flatten({"input": np.array(shape)}, start - 1, last)


def loop_node(name: str, m: snn.RLeaky | snn.RSynaptic, shape: tuple[int, ...]) -> nir.NIRNode:
    """The weights from a recurrent layer's output back to its input."""
    if isinstance(m.recurrent, nn.Linear):
        return linear_node(m.recurrent)
    if isinstance(m.recurrent, nn.Conv2d):
        return convolution_node(f"{name}.recurrent", m.recurrent, shape)
    own = spread(m.recurrent.V, shape)  # each neuron to itself
    return nir.Linear(np.diag(own)) if len(shape) == 1 else nir.Scale(own)
