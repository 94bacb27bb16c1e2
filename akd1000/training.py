"""Quantisation-aware training of a network that quantizeml has rounded, and the usual alternative, INT8."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from akd1000.packages import keras, quiet

import numpy as np

Rule = Callable[[np.ndarray, float], np.ndarray]
"""A kernel (output channel last) and its layer's ``rate`` → the kernel to use instead"""


def train_quantised(
    quantised: Any,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    lr: float,
    batch_size: int = 128,
    seed: int = 0,
    eager: bool = False,
    keep: Rule | None = None,
) -> None:
    """Train ``quantised`` in place: it computes with rounded weights, and the float ones behind them move.

    Args:
        x: ``(N, H, W, C)`` of uint8; ``y``: ``(N,)``, classes. Cross entropy of logits, Adam.
        lr: at the start; it falls to zero along a cosine.
        eager: do not trace a graph first: for a handful of updates that would take longest.
        keep: applied to the kernels of all layers that have an activation behind them, but for the first,
            before the first update and after each. Its ``rate`` is the factor by which quantizeml
            stretches what that layer sends on, so that the largest activation meets the top level.
    """
    from tf_keras import callbacks, losses, optimizers

    class Keep(callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.found = _hidden_kernels(quantised)
            self.on_train_batch_end(0)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            for kernel, rate in self.found:
                kernel.assign(keep(kernel.numpy(), rate))

    keras().utils.set_random_seed(seed)
    steps = epochs * -(-len(x) // batch_size)
    optimizer = optimizers.Adam(optimizers.schedules.CosineDecay(lr, steps))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    quantised.compile(optimizer, loss, run_eagerly=eager)
    more = [Keep()] if keep else []
    with quiet():
        quantised.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=more)


def _hidden_kernels(quantised: Any) -> list[tuple[Any, float]]:
    """Kernel and rate of each layer between the first and the last that have weights."""
    weighted = [i for i, layer in enumerate(quantised.layers) if hasattr(layer, "kernel")]
    found = []
    for i in weighted[1:-1]:
        quantizers = (getattr(layer, "out_quantizer", None) for layer in quantised.layers[i:])
        quantizer = next(q for q in quantizers if q is not None)
        found.append((quantised.layers[i].kernel, float(quantizer.rescaling_rate)))
    return found


def int8_copy(net: Any, calibration: Any) -> Any:
    """PyTorch's static INT8 version of ``net``, on the CPU; None where PyTorch has no engine for it.

    Args:
        calibration: inputs of ``net``, from which the ranges of its activations are read.
    """
    import torch
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    engines = [e for e in torch.backends.quantized.supported_engines if e != "none"]
    if not engines:
        return None
    engine = "x86" if "x86" in engines else engines[0]
    torch.backends.quantized.engine = engine
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.ao announces its successor
        settings = get_default_qconfig_mapping(engine)
        prepared = prepare_fx(deepcopy(net), settings, (calibration[:1],))
        prepared(calibration)
        return convert_fx(prepared)
