"""From a Keras network in floating point to an ``akida.Model`` by the rules of Akida 1.0, the AKD1000.

What that takes, layer by layer: https://doc.brainchipinc.com/user_guide/1.0_hw_constraints.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from akd1000.packages import keras, load, quiet
from common.io import UserError

import numpy as np

WEIGHTED = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense")
"""Keras layers that become an Akida layer each"""


def channels_last(x: Any) -> np.ndarray:
    """PyTorch's images ``(N, C, H, W)`` as Akida and Keras take them, ``(N, H, W, C)``."""
    return np.ascontiguousarray(x.permute(0, 2, 3, 1).cpu().numpy())


def check_samples(samples: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Images for Akida: ``(N, H, W, C)`` of uint8, the layout and type of the chip's input.

    Raises:
        UserError: with what was got, what is expected, and what to do.
    """
    samples, shape = np.asarray(samples), tuple(shape)
    if samples.dtype != np.uint8:
        raise UserError(
            f"Akida: got images of {samples.dtype}, expected uint8 (0 to 255); Akida 1.0 takes 8-bit "
            "inputs, so keep the raw pixels and let a Rescaling layer scale them"
        )
    if samples.ndim == 4 and samples.shape[1:] == shape:
        return samples
    is_channels_first = samples.ndim == 4 and samples.shape[2:] + samples.shape[1:2] == shape
    fix = "check the network's Input"
    if is_channels_first:
        fix = "channels come last: use x.transpose(0, 2, 3, 1)"
    expected = ", ".join(("N", *map(str, shape)))
    raise UserError(f"Akida: got images {samples.shape}, expected ({expected}); {fix}")


def quantize_and_convert(
    keras_model: Any,
    samples: np.ndarray,
    *,
    input_bits: int = 8,
    weight_bits: int = 4,
    activation_bits: int = 4,
    check: bool = True,
    per_channel: bool = False,
) -> tuple[Any, Any]:
    """Post-training quantisation and conversion by the rules of Akida 1.0.

    For the chip, a network starts with ``Input(dtype="uint8")`` and ``Rescaling``, then a convolution on
    1 or 3 channels; 3×3 convolutions, with max pooling except in the last one before the dense layers;
    ReLU throughout.

    Args:
        samples: ``(N, H, W, C)`` uint8 images, from which the range of each activation is read.
        input_bits: bits of the *weights* of the first layer (its input has 8); 8/4/4, 4/4/4 and 8/2/2 work.
        check: stop if the end of the network was lost on the way, which the packages do with no more than
            a warning (average pooling, 1-bit weights). False returns the truncated model, to be looked at.
        per_channel: quantizeml's default, which is wrong for this chip: its scales are dropped on the way.

    Returns:
        The quantised Keras model and the ``akida.Model``, not mapped yet.

    Raises:
        UserError: a package is missing, the images have another type or shape, the network cannot be
            converted, or layers were lost.
    """
    keras()
    quantizeml, cnn2snn = load("quantizeml"), load("cnn2snn")
    samples = check_samples(samples, keras_model.input_shape[1:])
    bits = f"{input_bits}/{weight_bits}/{activation_bits}"
    try:
        with quiet(), cnn2snn.set_akida_version(cnn2snn.AkidaVersion.v1):
            # Akida 1.0 hands plain integers from layer to layer. quantizeml's default gives each channel
            # a scale of its own, which the conversion drops without a word: one image in four then gets
            # another class on the chip.
            params = quantizeml.models.QuantizationParams(
                input_weight_bits=input_bits,
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                per_tensor_activations=not per_channel,
            )
            quantised = quantizeml.models.quantize(
                keras_model,
                qparams=params,
                samples=samples,
                num_samples=len(samples),
                batch_size=min(100, len(samples)),
            )
            model = cnn2snn.convert(quantised)
    except Exception as e:  # TensorFlow, quantizeml and akida each have errors of their own
        raise UserError(
            f"Akida: the network cannot be converted at {bits} (input/weight/activation bits): {e}; "
            "known to work are 8/4/4, 4/4/4 and 8/2/2 on convolutions with max pooling and ReLU"
        ) from e
    if check:
        check_complete(keras_model, model, bits)
    return quantised, model


def convert_quantised(quantised: Any, keras_model: Any, bits: str = "") -> Any:
    """A quantised Keras network, for instance after quantisation-aware training, → ``akida.Model``.

    Raises:
        UserError: a part of ``keras_model``, the float network that it was made from, got lost.
    """
    cnn2snn = load("cnn2snn")
    with quiet(), cnn2snn.set_akida_version(cnn2snn.AkidaVersion.v1):
        model = cnn2snn.convert(quantised)
    check_complete(keras_model, model, bits)
    return model


def check_complete(keras_model: Any, model: Any, bits: str = "") -> None:
    """Every layer with weights arrived on the Akida side, and the output has the shape it had.

    Raises:
        UserError: a part of the network was lost in conversion.
    """
    layers = [layer for layer in keras_model.layers if type(layer).__name__.endswith(WEIGHTED)]
    arrived = [layer.name for layer in model.layers]
    lost = [layer.name for layer in layers if layer.name not in arrived]
    wanted = tuple(n for n in keras_model.output_shape[1:] if n != 1)
    shape = tuple(n for n in model.output_shape if n != 1)
    if not lost and shape == wanted:
        return
    at = f" at {bits}" if bits else ""
    first = f"; the first one lost is '{lost[0]}'" if lost else ""
    raise UserError(
        f"Akida: conversion{at} lost a part of the network without an error: got {len(arrived)} layers "
        f"with output {tuple(model.output_shape)}, expected {len(layers)} with {wanted}{first}; use max "
        "pooling and ReLU, and at least 2-bit weights"
    )


def keras_outputs(model: Any, x: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Outputs ``(N, K)`` of a float or quantised Keras network for ``x (N, H, W, C)``.

    Run as it stands: tracing a graph first, as ``model.predict`` does, takes seconds.
    """
    parts = []
    with quiet():
        for i in range(0, len(x), batch_size):
            parts.append(np.asarray(model(x[i : i + batch_size], training=False)))
    return np.concatenate(parts).reshape(len(x), -1)


def copy_weights(
    torch_net: Any, keras_net: Any, flattened: Mapping[str, tuple[int, int, int]] | None = None
) -> Any:
    """The weights of PyTorch's layers into those Keras layers that have the same names.

    PyTorch keeps (out, in, k, k) and (out, in), Keras (k, k, in, out) and (in, out). PyTorch's
    ``Flatten`` lays an image out as (C, H, W), that of Keras as (H, W, C): the inputs of the dense layer
    behind it change places. No shape tells whether they have.

    Args:
        flattened: of each dense layer that stands behind a ``Flatten``, the ``(C, H, W)`` that it reads.
    """
    for name, layer in torch_net.named_children():
        if not hasattr(layer, "weight"):
            continue
        weight = layer.weight.detach().cpu().numpy()
        if flattened and name in flattened:
            image = weight.reshape(-1, *flattened[name])  # (out, C, H, W)
            weight = image.transpose(0, 2, 3, 1).reshape(len(weight), -1)
        weight = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
        keras_net.get_layer(name).set_weights([weight, layer.bias.detach().cpu().numpy()])
    return keras_net
