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
from datafiles.weights import pack, unpack

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
    """Write the layers as safetensors, with their digest: for machines that have no akida to open a ``.fbz``.

    Args:
        answers: ``(N,)``, the classes that akida gave for the N test images.
    """
    import torch

    tensors = {"answers": answers.astype(np.uint8)}
    for i, layer in enumerate(layers):
        key = f"{i}.{layer.name}"
        tensors[f"{key}.weights"] = np.ascontiguousarray(layer.weights.astype(np.int8))
        tensors[f"{key}.threshold"] = layer.threshold.astype(np.int32)
        tensors[f"{key}.step"] = layer.step.astype(np.float64)
        shape = [layer.bits, layer.stride, layer.pool]
        tensors[f"{key}.shape"] = np.array(shape, np.int32)
    return write_atomic(path, pack({key: torch.from_numpy(a) for key, a in tensors.items()}))


def load_integers(path: Path) -> tuple[list[Layer], np.ndarray]:
    """The layers and the answers that ``save_integers`` wrote.

    Raises:
        UserError: there is no such file, a bit of it was flipped, or it holds something else.
    """
    try:
        tensors = {key: tensor.numpy() for key, tensor in unpack(path).items()}
        answers = tensors.pop("answers")
        keys = sorted({key.rsplit(".", 1)[0] for key in tensors}, key=_number)
        layers = [_layer(key, tensors) for key in keys]
        if not layers or answers.ndim != 1:
            raise ValueError("no layers, or no list of answers")
    except Exception as e:  # a file that somebody made may hold anything
        why = " ".join(str(e).split())[:120]
        raise UserError(
            f"{path}: got no file of integer layers ({type(e).__name__}: {why}); fetch it again from "
            "the repository"
        ) from e
    return layers, answers


def _layer(key: str, tensors: dict[str, np.ndarray]) -> Layer:
    """One layer of a file; a ``ValueError`` if its arrays are not those that ``save_integers`` writes."""
    weights, threshold, step, shape = (
        tensors[f"{key}.{part}"] for part in ("weights", "threshold", "step", "shape")
    )
    kinds = [array.dtype.name for array in (weights, threshold, step, shape)]
    if kinds != ["int8", "int32", "float64", "int32"]:  # nothing is cast before it is looked at
        raise ValueError(f"{key} holds {', '.join(kinds)}")
    outputs = weights.shape[-1:]
    square = weights.ndim == 2 or (weights.ndim == 4 and weights.shape[0] == weights.shape[1])
    if not square or threshold.shape != outputs or step.shape != outputs or shape.shape != (3,):
        raise ValueError(f"{key} has weights {weights.shape} and thresholds {threshold.shape}")
    bits, stride, pool = shape.tolist()
    if bits not in range(9) or stride < 1 or pool < 1 or not (step > 0).all():
        raise ValueError(f"{key} has {bits} bits, stride {stride}, pool {pool}, or a step of 0")
    name = key.split(".", 1)[1]
    whole = (weights.astype(np.int64), threshold.astype(np.int64))
    return Layer(name, *whole, step, bits, stride, pool)


def _number(key: str) -> int:
    return int(key.split(".", 1)[0])
