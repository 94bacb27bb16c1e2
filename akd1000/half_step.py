"""Why Akida and the quantised Keras network do not always agree: half a step, rounded or not.

Let v be a neuron's weighted sum and bias, and q the step from one level of activation to the next. Keras
takes the level that is nearest to v/q. Akida subtracts a threshold h and rounds up, so that level 1 starts
just above h and level 2 just above h + q. With h = q/2 that is the nearest level, too. But in the chip h is a
whole number, and q/2 need not be:

    Keras   floor(v/q + 1/2)                Akida   ceil((v − h)/q),  h = round(q/2)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from akd1000.chip import akida_outputs, measure_on_chip
from akd1000.convert import channels_last, keras_outputs, quantize_and_convert
from akd1000.twin import Twin, keras_twin
from common.akida import akida_status
from common.data import ImageData

import numpy as np
import torch
import torch.nn.functional as F


@torch.no_grad()
def integer_answers(model: Any, images: torch.Tensor, exact_half: bool) -> torch.Tensor:
    """What Akida computes, in whole numbers: ``images (B, 3, 32, 32)`` of uint8 → classes ``(B,)``.

    Args:
        model: the ``akida.Model`` of a ``Twin``.
        exact_half: take q/2 as it is, and not h.

    Raises:
        ValueError: the model has no layer ``fc``.
    """
    x = images.double()
    for layer in model.layers:
        weight = torch.from_numpy(layer.get_variable("weights").astype(np.float64))
        q = torch.from_numpy(layer.get_variable("act_step").astype(np.float64))
        threshold = torch.from_numpy(layer.get_variable("threshold").astype(np.float64))
        if layer.name == "fc":
            flat = x.transpose(2, 3).flatten(1)  # Akida's order: channel, column, row
            return ((flat @ weight[0, 0] - threshold) / q).argmax(1)
        if layer.name != "conv1":
            weight = weight.flip(0, 1)  # Akida keeps these kernels turned round
        weight = weight.permute(3, 2, 0, 1)  # (out, in, k, k)
        q, threshold = q[:, None, None], threshold[:, None, None]
        h = (q / 2).round()
        before = (weight.shape[-1] - 2) // 2  # padding as TensorFlow does it
        after = weight.shape[-1] - 2 - before
        padded = F.pad(x, (before, after, before, after))
        above = F.conv2d(padded, weight, stride=2) - threshold  # v − h: it holds the bias, too
        if exact_half:
            x = torch.floor((above + h) / q + 0.5)
        else:
            x = torch.ceil(above / q)
        x = x.clamp(0, 15)  # 4 bits
    raise ValueError("the model has no layer fc")


@dataclass
class Simulated:
    """A trained twin at 8/4/4 bits, in Akida's simulator or on the chip."""

    accuracy: float
    same: float
    """share of images to which Akida and the quantised Keras network give the same class"""
    rounded_as_akida: float
    """share to which ``integer_answers`` with a rounded half step gives Akida's class"""
    exact_as_keras: float
    """share to which it gives Keras' class with an exact half step"""
    n: int
    chip: dict[str, Any] | None
    """what ``measure_on_chip`` found, if there is a chip"""


def simulate(twin: Twin, data: ImageData, n: int) -> Simulated:
    """Quantise the twin, convert it, and let Akida compute the first ``n`` test images.

    Raises:
        UserError: TensorFlow, quantizeml or cnn2snn is missing.
    """
    images = data.x_test[:n]
    pixels, labels = channels_last(images), data.y_test[:n].numpy()
    quantised, model = quantize_and_convert(keras_twin(twin), channels_last(data.x_train[:512]))
    by_akida = akida_outputs(model, pixels).argmax(1)
    by_keras = keras_outputs(quantised, pixels).argmax(1)
    rounded = _in_batches(partial(integer_answers, model, exact_half=False), images)
    exact = _in_batches(partial(integer_answers, model, exact_half=True), images)
    return Simulated(
        accuracy=float((by_akida == labels).mean()),
        same=float((by_akida == by_keras).mean()),
        rounded_as_akida=float((rounded == by_akida).mean()),
        exact_as_keras=float((exact == by_keras).mean()),
        n=len(images),
        chip=measure_on_chip(model, pixels) if akida_status().state == "hardware" else None,
    )


def _in_batches(answers: Any, images: torch.Tensor) -> np.ndarray:
    return torch.cat([answers(some) for some in images.split(500)]).numpy()
