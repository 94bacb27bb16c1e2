"""The integers that the chip keeps of each layer, read out of an ``akida.Model`` or a file of ours.

Lesson 19 computes with them in NumPy. Akida keeps the kernels of its ``Convolutional`` layers
flipped and counts the inputs of a dense layer in the order (channel, column, row); here a kernel is
what PyTorch calls one, and the inputs of a dense layer stand in the order (row, column, channel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.io import UserError, write_atomic

import numpy as np


@dataclass(frozen=True)
class Layer:
    """One layer as the chip keeps it."""

    name: str
    weights: np.ndarray
    """``(k, k, C, O)`` of a convolution, ``(inputs, O)`` of a dense layer; small integers"""
    threshold: np.ndarray
    """``(O,)``, integers: what is taken away from a potential first"""
    step: np.ndarray
    """``(O,)``, real: how many units of potential make one more level"""
    bits: int
    """of an activation; 0: no activation, the layer hands its potentials out"""
    stride: int = 1
    pool: int = 1
    """side of the squares of which max pooling keeps the largest potential; 1: none"""

    @property
    def is_dense(self) -> bool:
        """True of a fully connected layer."""
        return self.weights.ndim == 2


def layers_of(model: Any) -> list[Layer]:
    """The layers of an ``akida.Model`` for Akida 1.0.

    Raises:
        UserError: a layer is of a kind that lesson 19 does not compute.
    """
    return [_read(layer) for layer in model.layers]


def _read(layer: Any) -> Layer:
    p, kind = layer.parameters, layer.parameters.layer_type.name
    weights = layer.get_variable("weights").astype(np.int64)
    threshold = layer.get_variable("threshold").astype(np.int64)
    step = layer.get_variable("act_step").astype(np.float64)
    bits = int(p.act_bits) if p.activation else 0
    if bits:
        step = step * 2.0 ** (4 - bits)  # akida gives it for 4 bits, whatever the layer has
    if kind == "FullyConnected":
        rows, columns, channels = layer.input_dims
        order = np.arange(rows * columns * channels).reshape(channels, columns, rows)
        weights = weights[0, 0][order.transpose(2, 1, 0).ravel()]  # to (row, column, channel)
        return Layer(layer.name, weights, threshold, step, bits)
    k = weights.shape[0]
    pool = int(p.pooling_height) if p.pool_type else 1
    is_known = kind in ("InputConvolutional", "Convolutional") and weights.shape[:2] == (k, k)
    if not (is_known and p.padding == 1 and p.pool_type in (0, 1) and pool in (1, 2)):
        raise UserError(
            f"Akida: got layer '{layer.name}' ({kind}, kernel {weights.shape[:2]}), expected dense "
            "layers and square convolutions of padding 'same', with max pooling over 2×2 or none"
        )
    if kind == "Convolutional":
        weights = weights[::-1, ::-1]
    return Layer(layer.name, weights, threshold, step, bits, int(p.stride_x), pool)


def save_integers(layers: Sequence[Layer], answers: np.ndarray, path: Path) -> Path:
    """Write the layers as safetensors: for machines on which there is no akida to open a ``.fbz``.

    Args:
        answers: ``(N,)``, the classes that akida gave for the N test images.
    """
    from safetensors.numpy import save

    tensors = {"answers": answers.astype(np.uint8)}
    for i, layer in enumerate(layers):
        key = f"{i}.{layer.name}"
        tensors[f"{key}.weights"] = np.ascontiguousarray(layer.weights.astype(np.int8))
        tensors[f"{key}.threshold"] = layer.threshold.astype(np.int32)
        tensors[f"{key}.step"] = layer.step.astype(np.float64)
        shape = [layer.bits, layer.stride, layer.pool]
        tensors[f"{key}.shape"] = np.array(shape, np.int32)
    return write_atomic(path, save(tensors))


def load_integers(path: Path) -> tuple[list[Layer], np.ndarray]:
    """The layers and the answers that ``save_integers`` wrote.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(path.read_bytes())
        answers = tensors.pop("answers")
        keys = sorted({key.rsplit(".", 1)[0] for key in tensors}, key=_number)
        layers = []
        for key in keys:
            bits, stride, pool = (int(n) for n in tensors[f"{key}.shape"])
            weights = tensors[f"{key}.weights"].astype(np.int64)
            threshold = tensors[f"{key}.threshold"].astype(np.int64)
            step = tensors[f"{key}.step"]
            name = key.split(".", 1)[1]
            layers.append(Layer(name, weights, threshold, step, bits, stride, pool))
    except (OSError, SafetensorError, KeyError, ValueError) as e:
        raise UserError(
            f"{path}: got no file of integer layers ({e}); fetch it again from the repository"
        ) from e
    return layers, answers


def _number(key: str) -> int:
    return int(key.split(".", 1)[0])
