"""A flat PyTorch network of convolutions and one linear layer as Keras has it, and its training to the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from akd1000 import packages
from akd1000.convert import channels_last, keras_outputs

import numpy as np
from torch import Tensor, nn


def keras_twin(net: nn.Sequential, shape: tuple[int, int, int]) -> Any:
    """``net`` in Keras, from raw bytes on, with activations cut off at 1.

    At stride 2 TensorFlow pads the other side than PyTorch. So the twin is built upside down: it wants its
    images turned by 180°, and kernels and the places that the read-out reads are turned with them.

    Args:
        net: convolutions with bias, padded by half their kernel, no norm, activations in 0..1; one linear
            layer. ``shape`` is ``(H, W, C)`` of an image.
    """
    layers, weights = packages.keras().layers, []
    image = layers.Input(shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(image)
    for i, conv in enumerate((layer for layer in net if isinstance(layer, nn.Conv2d)), 1):
        same = {"padding": "same", "name": f"conv{i}"}
        x = layers.Conv2D(conv.out_channels, conv.kernel_size, conv.stride, **same)(x)
        x = layers.ReLU(1.0)(x)
        weights += [conv.weight.flip(2, 3).permute(2, 3, 1, 0), conv.bias]  # (k, k, C in, C out)
    _, rows, cols, channels = x.shape
    read = net[-1].weight.view(-1, channels, rows, cols).flip(2, 3)  # (10, C, H, W)
    weights += [read.permute(2, 3, 1, 0).flatten(0, 2), net[-1].bias]  # (H·W·C, 10)
    out = layers.Dense(net[-1].out_features, name="fc")(layers.Flatten()(x))
    twin = packages.keras().Model(image, out)
    twin.set_weights([w.detach().cpu().numpy() for w in weights])
    return twin


def upside_down(x: Tensor) -> np.ndarray:
    """uint8 images ``(N, C, H, W)`` → ``(N, H, W, C)``, turned by 180°, as ``keras_twin`` wants them."""
    return channels_last(x.flip(2, 3))


def share_right(logits: np.ndarray, y: Tensor) -> float:
    """Share of right answers of ``logits (N, K)``."""
    return float((logits.argmax(1) == y.cpu().numpy()).mean())


def train_until_it_stops(
    model: Any,
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    most: int = 40,
    patience: int = 3,
    say: Callable[[str], None] = print,
) -> list[float]:
    """Train a Keras model, float or quantised, pass by pass; it ends with its best weights on ``val``.

    A pass without a new best halves the learning rate (1e-3 at first); ``patience`` of them in a row end
    the training, or ``most`` passes.

    Returns:
        The accuracy on ``val`` before any training, and after each pass.
    """
    keras = packages.keras()
    x, y = upside_down(train[0]), train[1].cpu().numpy()
    x_val = upside_down(val[0])
    with packages.quiet():
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-3), loss)
    history = [share_right(keras_outputs(model, x_val), val[1])]
    best, waited = model.get_weights(), 0
    for number in range(1, most + 1):
        started = time.perf_counter()
        with packages.quiet():
            model.fit(x, y, batch_size=100, epochs=1, verbose=0)
        history.append(share_right(keras_outputs(model, x_val), val[1]))
        seconds = time.perf_counter() - started
        say(f"      pass {number:2d}: {100 * history[-1]:.2f} % (validation)   {seconds:.1f} s")
        if history[-1] > max(history[:-1]):
            best, waited = model.get_weights(), 0
            continue
        waited += 1
        model.optimizer.learning_rate.assign(model.optimizer.learning_rate / 2)
        if waited == patience:
            break
    model.set_weights(best)
    return history
