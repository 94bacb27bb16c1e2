"""The layers of ``SmallCNN`` (``checkpoints/cifar10_cnn.safetensors``) as Akida can have them: with ReLU, without time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from akd1000 import packages
from akd1000.convert import copy_weights

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn


class Twin(nn.Module):
    """SmallCNN for Akida: the same layers, ReLU (clipped at 6) where the LIF neurons were, no time.

    Padded as TensorFlow does for ``padding="same"`` and stride 2: more at the end than at the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, stride=2)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2)
        self.conv3 = nn.Conv2d(64, 128, 3, stride=2)
        self.fc = nn.Linear(128 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Pixels 0..1 ``(B, 3, 32, 32)`` → logits ``(B, 10)``."""
        x = F.relu6(self.conv1(F.pad(x, (1, 2, 1, 2))))  # (B, 32, 16, 16)
        x = F.relu6(self.conv2(F.pad(x, (0, 1, 0, 1))))  # (B, 64, 8, 8)
        x = F.relu6(self.conv3(F.pad(x, (0, 1, 0, 1))))  # (B, 128, 4, 4)
        x = x.permute(0, 2, 3, 1)  # channels last, as Keras flattens
        return self.fc(x.flatten(1))

    def run(self, x: Tensor) -> Tensor:
        """``(1, B, 3, 32, 32)`` → ``(B, 10)``: one picture, one pass."""
        return self(x[0])


def layers_for_akida(channels: Sequence[int] = (32, 64, 128), pool_last: bool = False) -> Any:
    """The twin's layers in akida's own words, untrained: where they fit depends on their shapes alone."""
    ak = packages.load("akida")
    c1, c2, c3 = channels
    stride = {"kernel_stride": (2, 2)}
    bits = {"weights_bits": 4, "act_bits": 4}
    last = stride
    if pool_last:
        last = {"pool_type": ak.PoolType.Max, "pool_size": (2, 2), "pool_stride": (2, 2)}
    first = {"name": "conv1", "weights_bits": 8, "act_bits": 4, **stride}
    model = ak.Model()
    model.add(ak.InputConvolutional((32, 32, 3), (5, 5), c1, **first))
    model.add(ak.Convolutional((3, 3), c2, name="conv2", **bits, **stride))
    model.add(ak.Convolutional((3, 3), c3, name="conv3", **bits, **last))
    model.add(ak.FullyConnected(10, name="fc", weights_bits=4, activation=False))
    ones = np.ones((5, 5, 3, c1), np.int8)  # the input converter refuses zeros
    model.layers[0].set_variable("weights", ones)
    return model


def keras_twin(twin: Twin) -> Any:
    """The twin in Keras, with the same weights."""
    K = packages.keras()
    L = K.layers
    with packages.quiet():
        x = inputs = L.Input((32, 32, 3), dtype="uint8")  # a float input could not be mapped
        x = L.Rescaling(1 / 255.0)(x)
        for name, channels, size in (("conv1", 32, 5), ("conv2", 64, 3), ("conv3", 128, 3)):
            x = L.Conv2D(channels, size, strides=2, padding="same", name=name)(x)
            x = L.ReLU(6.0)(x)
        net = K.Model(inputs, L.Dense(10, name="fc")(L.Flatten()(x)))
    return copy_weights(twin, net)
