"""What learning on the chip needs around it: one-bit features, and pictures to learn from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from akd1000.mesh import copy_model
from akd1000.packages import load

import numpy as np


def one_bit_extractor(model: Any, images: np.ndarray, share: float = 0.2) -> Any:
    """The first three layers of ``model``; the third sends one bit: 1 where U lies above θ, else 0.

    Args:
        model: an ``akida.Model`` whose third layer is a 3×3 convolution without pooling.
        images: ``(N, H, W, C)`` of uint8. θ is chosen for each channel so that ``share`` of its potentials
            for these images lie above.
    """
    akida = load("akida")
    first = copy_model(model).layers[:2]
    weights = model.layers[2].get_variable("weights")
    bits, channels = int(model.layers[2].parameters.weights_bits), weights.shape[-1]
    bare = akida.Model(layers=first)
    plain = akida.Convolutional((3, 3), channels, name="U", weights_bits=bits, activation=False)
    bare.add(plain)
    plain.set_variable("weights", weights)
    pot = bare.forward(images).reshape(-1, channels)  # (N·H·W, O)
    extractor = akida.Model(layers=copy_model(model).layers[:2])
    one_bit = akida.Convolutional((3, 3), channels, name="bits", weights_bits=bits, act_bits=1)
    extractor.add(one_bit)
    one_bit.set_variable("weights", weights)
    theta = np.quantile(pot, 1 - share, axis=0)
    one_bit.set_variable("threshold", theta.astype(np.int32))
    return extractor


def only_features(shape: tuple[int, ...]) -> Any:
    """An ``akida.Model`` that takes 1-bit features ``shape`` as they are: computed once, used often."""
    akida = load("akida")
    model = akida.Model()
    model.add(akida.InputData(tuple(shape), input_bits=1, name="in"))
    return model


def draw(y: np.ndarray, classes: Iterable[int], each: int, rng: np.random.Generator) -> np.ndarray:
    """Places of ``each`` pictures of every class in ``classes``, in random order."""
    chosen = [rng.permutation(np.flatnonzero(y == c))[:each] for c in classes]
    return rng.permutation(np.concatenate(chosen))


def nearest(known: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The class ``(N,)`` of the known picture from which each asked one differs in the fewest bits.

    Args:
        known: ``(K, …)`` of 0 and 1, all of which have to be kept; ``y (K,)`` are their classes.
        asked: ``(N, …)``.
    """
    a = known.reshape(len(known), -1).astype(np.float32)
    b = asked.reshape(len(asked), -1).astype(np.float32)
    differ = a.sum(1)[None] - 2 * b @ a.T  # and b.sum(1), which is the same for all known ones
    return y[differ.argmin(1)]
