"""Running a converted network: on the chip if there is one, else in akida's simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from akd1000.convert import check_samples
from akd1000.device import measure
from akd1000.mesh import copy_model
from akd1000.packages import load
from common.akida import akida_status
from common.io import UserError

import numpy as np


def akida_outputs(model: Any, x: np.ndarray, batch_size: int = 100) -> np.ndarray:
    """The outputs ``(N, K)`` for uint8 images ``(N, H, W, C)``, from the chip or from the simulator.

    The simulator computes what the chip computes; its *speed* is that of this machine's processor and
    says nothing about the chip. ``model`` is not mapped yet, and stays so.
    """
    x = check_samples(x, model.input_shape)
    if akida_status().state == "hardware":
        model = copy_model(model)
        model.map(load("akida").devices()[0])
    parts = [model.predict(x[i : i + batch_size]) for i in range(0, len(x), batch_size)]
    return np.concatenate(parts).reshape(len(x), -1)


def layer_inputs(model: Any, x: np.ndarray) -> Iterator[np.ndarray]:
    """What each layer of ``model`` receives for ``x (N, H, W, C)``, by the simulator: ``(N, H, W, C)`` each."""
    yield x
    for i in range(1, len(model.layers)):  # the first layers of a model are a model, too
        yield load("akida").Model(layers=model.layers[:i]).forward(x)


def measure_on_chip(model: Any, x: np.ndarray, y: np.ndarray | None = None) -> dict[str, Any]:
    """What ``device.measure`` finds on the first chip of this machine; ``model`` stays as it is.

    Raises:
        UserError: there is no chip. A simulator has no watts.
    """
    status = akida_status()
    if status.state != "hardware":
        raise UserError(
            f"Akida: got no chip ({status.reason}), expected one; power can only be measured on hardware"
        )
    chip = load("akida").devices()[0]
    return measure(copy_model(model), check_samples(x, model.input_shape), y, chip)
