"""Lesson 19 — Akida deployment: from floating point to a file that runs on the chip

Question
    What is lost on the way from a float network on a PC to 4-bit events on a neuromorphic chip, and how is
    each loss noticed before the chip is in the field?

Idea
    A weight w of output channel o becomes one of a few integers q, with one scale s a channel:

        s_o = max|w_o| / (2^(b−1) − 1)        q = round(w / s_o)        ŵ = s_o·q                          (1)

    With b = 8 bits there are 255 values, with 4 bits 15, with 2 bits three (−1, 0, 1): the largest weight of a
    channel sets the scale, and whatever is under half of it becomes 0. With 1 bit, (1) divides by zero.
    Post-training quantisation (PTQ) applies (1) to a finished network. Quantisation-aware training (QAT)
    computes the loss with ŵ but moves w, as if rounding had the derivative 1:

        ∂L/∂w = ∂L/∂ŵ                                                                                      (2)

    the straight-through estimator: the surrogate of lesson 07 for a staircase with more than one step.

    An activation becomes an event of b bits, but 0 is not sent. Each event causes an operation for every weight
    that reads it, its fan-out f:

        SynOps = Σ_layers Σ_events f(event)   ≤  MACs of the dense network                                 (3)

    Akida runs such a network once per image: it has no membrane over time and no number of steps.

Read first
    Theory:   SpikeFit (Kartashov et al. 2025), https://arxiv.org/abs/2510.15542
              Akida documentation and model zoo, https://doc.brainchipinc.com/
    Practice: lesson 12 (the mesh of the AKD1000), lesson 16 (conversion to spikes)

Run
    uv run 19_akida_deployment.py             five minutes on two CPU cores
    uv run 19_akida_deployment.py --smoke     about a minute, stand-in data
    uv run 19_akida_deployment.py --full      more epochs, and quantisation-aware training on all images
    python 19_akida_deployment.py --fbz checkpoints/mnist_akida.fbz      on the Pi: needs akida and numpy, nothing else

You should see
    98.94 % in float and 98.87 % at 4 bits. At 2 bits 32.81 % rounded after training, 96.25 % trained with rounding.
    Akida gives the class of the quantised tf_keras network on 99.74 % of the images at 8/4/4, on 97.10 % at 8/2/2.
    1-bit weights and average pooling leave 1 and 2 of 5 layers, without an error; so do check what came out.
    On the chip: 34 of 78 processors, or 4; 47 % of the operations of the dense network; the file has 68,501 bytes.

Builds on / leads to
    07 gave the straight-through idea, 12 the mesh, 17 what an operation costs. capstone_pong deploys this way.

Predict: --activation-clip 2 cuts activations at 2 instead of 6. Which row of section 3 gains most, and why?
Next: uv run 20_spiking_mamba_ssm.py
"""

from __future__ import annotations

import io
import sys
import time
import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__" and any(arg.split("=")[0] == "--fbz" for arg in sys.argv[1:]):
    from akd1000.device import (
        run_fbz,  # before all else: a Pi need have neither PyTorch nor TensorFlow
    )

    sys.exit(run_fbz(sys.argv[1:]))

from akd1000 import packages
from akd1000.chip import akida_outputs
from akd1000.convert import (
    channels_last,
    check_complete,
    convert_quantised,
    keras_outputs,
    quantize_and_convert,
)
from akd1000.device import describe_measurement, measure
from akd1000.fbz import open_fbz, pi_commands, save_fbz
from akd1000.mesh import copy_model, fallback_reasons, map_on_akd1000
from akd1000.published import PUBLISHED
from common import plots
from common.akida import akida_status
from common.cost import ann_macs, estimated_energy_nj, latency
from common.data import ImageData, mnist
from common.io import ROOT, UserError
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from training import evaluate, fit
from training.augment import jitter

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

DEPLOYED = ROOT / "checkpoints" / "mnist_akida.fbz"


@dataclass
class Config(LessonConfig):
    """The float network trains through ``fit``; quantisation-aware training goes on from it with fewer images."""

    num_steps: int = bounded(1, 1, 100_000)
    """accepted, without meaning here: Akida runs a network once per image"""
    epochs: int = bounded(4, 1, 1000)
    """passes over the training images for the float network"""
    batch_size: int = bounded(128, 1, 60_000)
    """images per gradient step"""
    lr: float = bounded(3e-3, 1e-7, 10.0)
    """learning rate of the float network at the start; it falls to zero along a cosine"""
    activation_clip: float = bounded(6.0, 0.1, 1000.0)
    """activations are cut off here, so that few bits need not cover rare large values"""
    calibration: int = bounded(1000, 8, 55_000)
    """training images from which the range of each activation is read"""
    qat_images: int = bounded(12_800, 8, 55_000)
    """training images in quantisation-aware training"""
    qat_epochs: int = bounded(4, 1, 100)
    """passes over them, at each bit width"""
    qat_lr: float = bounded(2e-3, 1e-7, 1.0)
    """learning rate of quantisation-aware training at the start; it falls to zero along a cosine"""
    fbz: Path | None = None
    """run this deployed network instead, with akida and numpy alone: what the Pi does (with --data-dir if need be)"""


SMOKE = {"epochs": 1, "calibration": 32, "qat_images": 32, "qat_epochs": 1, "batch_size": 32}
FULL = {"epochs": 20, "qat_images": 55_000, "qat_epochs": 5}

BITS = ((8, 4, 4), (4, 4, 4), (8, 2, 2))
BIT_NAMES = ("input_bits", "weight_bits", "activation_bits")


# ------------------------------------------------------------------------------------ the equations as code


def quantise_weights(w: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Equation (1) for weights ``(…, O)`` with the output channel last: integers ``q (…, O)`` and scales ``s (O,)``."""
    if bits < 2:
        raise ValueError(
            f"got {bits} bit, expected at least 2: one bit leaves no value beside 0 and −1"
        )
    s = np.abs(w).max(axis=tuple(range(w.ndim - 1))) / (
        2 ** (bits - 1) - 1
    )  # s_o = max|w_o| / (2^(b−1) − 1)
    return np.round(w / s), s  # q = round(w / s_o)


def synaptic_operations(events: torch.Tensor, kernel: tuple[int, int, int, int]) -> float:
    """Equation (3) for one layer: operations that the non-zero ``events (N, H, W, C)`` cause, per image.

    ``kernel`` is ``(h, w, C, O)`` of a convolution that keeps the image's size, ``(1, 1, H·W·C, O)`` of a dense layer.
    """
    h, w, _, out = kernel
    sent = (events != 0).float()
    if (h, w) == (1, 1):
        return sent.sum().item() * out / len(events)
    sent = sent.sum(3)[:, None]  # (N, 1, H, W): events a pixel
    reads = F.conv2d(
        sent, torch.ones(1, 1, h, w), padding=(h // 2, w // 2)
    )  # those each output position sees
    return reads.sum().item() * out / len(events)


# ------------------------------------------------------------------------------------ the network, twice


class Net(nn.Module):
    """A CNN that fits on the AKD1000. ``run`` is what ``training.fit`` calls: a single step of time in front."""

    def __init__(self, clip: float = 6.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, stride=2)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.conv3 = nn.Conv2d(
            16, 16, 3, padding=1
        )  # not pooled: on the chip a pooled layer cannot feed a dense one
        self.fc1 = nn.Linear(16 * 7 * 7, 64)
        self.fc2 = nn.Linear(64, 10)
        self.act = nn.Hardtanh(0.0, clip)  # ReLU, cut off at clip

    def forward(
        self, x: torch.Tensor, pad: tuple[int, int, int, int] = (1, 2, 1, 2)
    ) -> torch.Tensor:
        """``(B, 1, 28, 28)`` in 0..1 → logits ``(B, 10)``. TensorFlow's "same" puts the odd pixel right and below."""
        x = self.act(self.conv1(F.pad(x, pad)))  # (B, 8, 14, 14)
        x = self.act(F.max_pool2d(self.conv2(x), 2))  # (B, 16, 7, 7)
        x = self.act(self.conv3(x))  # (B, 16, 7, 7)
        return self.fc2(self.act(self.fc1(x.flatten(1))))  # (B, 64) → (B, 10)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward(x[0])


def keras_twin(
    clip: float = 6.0,
    *,
    channels: int = 1,
    dtype: str = "uint8",
    pool: str = "max",
    scale: bool = True,
    pool_last: bool = False,
    filters: tuple[int, int, int] = (8, 16, 16),
    hidden: int = 64,
) -> Any:
    """The same network in tf_keras, ``(B, 28, 28, 1)`` in uint8 → logits; the arguments make what does not fit."""
    packages.keras()
    from tf_keras import Input, Sequential, layers

    relu = partial(layers.ReLU, max_value=clip)
    pooling = {"max": layers.MaxPool2D, "average": layers.AveragePooling2D}[pool]
    conv = partial(layers.Conv2D, padding="same")
    return Sequential(
        [
            Input((28, 28, channels), dtype=dtype),
            *([layers.Rescaling(1 / 255)] if scale else []),
            conv(filters[0], 5, strides=2, name="conv1"),
            relu(),
            conv(filters[1], 3, name="conv2"),
            pooling(2, padding="same"),
            relu(),
            conv(filters[2], 3, name="conv3"),
            *([pooling(2, padding="same")] if pool_last else []),
            relu(),
            layers.Flatten(),
            layers.Dense(hidden, name="fc1"),
            relu(),
            layers.Dense(10, name="fc2"),
        ]
    )


def move_weights(net: Net, twin: Any, reorder: bool = True) -> Any:
    """Copy PyTorch's weights into the tf_keras network and return it.

    PyTorch counts channels first, TensorFlow last: kernels are ``(O, C, h, w)`` here and ``(h, w, C, O)`` there, and
    ``Flatten`` lays out (C, H, W) here and (H, W, C) there, so that fc1's inputs change places. ``reorder=False``
    forgets this last point: every shape still fits.
    """
    for name, layer in net.named_children():
        if isinstance(layer, nn.Conv2d):
            w = layer.weight.detach().permute(2, 3, 1, 0)  # (h, w, C, O)
        elif isinstance(layer, nn.Linear):
            w = layer.weight.detach()  # (O, inputs)
            if name == "fc1" and reorder:
                w = (
                    w.view(-1, net.conv3.out_channels, 7, 7).permute(0, 2, 3, 1).flatten(1)
                )  # (O, H·W·C)
            w = w.T  # (inputs, O)
        else:
            continue
        twin.get_layer(name).set_weights([w.cpu().numpy(), layer.bias.detach().cpu().numpy()])
    return twin


def train_quantised(quantised: Any, x: np.ndarray, y: np.ndarray, cfg: Config) -> None:
    """QAT: quantizeml's layers compute with ŵ of (1) and pass the gradient straight through, as in (2)."""
    from tf_keras import losses, optimizers

    packages.keras().utils.set_random_seed(cfg.seed)
    steps = cfg.qat_epochs * -(-len(x) // cfg.batch_size)
    schedule = optimizers.schedules.CosineDecay(cfg.qat_lr, steps)
    quantised.compile(
        optimizers.Adam(schedule),
        losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=cfg.smoke,
    )  # for a handful of steps, tracing a graph would take longest
    with packages.quiet():
        quantised.fit(x, y, batch_size=cfg.batch_size, epochs=cfg.qat_epochs, verbose=0)


# ------------------------------------------------------------------------------------ experiments


def experiment_train(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """The float network in PyTorch, on moved images; complete test set."""
    torch.manual_seed(cfg.seed)
    net = Net(cfg.activation_clip)
    best = {"predict": lambda out: out.argmax(1)}
    fit(
        net,
        data,
        lambda x: x[None],
        run=run,
        epochs=cfg.epochs,
        lr=cfg.lr,
        batch_size=cfg.batch_size,
        loss_fn=F.cross_entropy,
        augment=partial(jitter, shift=1),
        **best,
    )
    accuracy = evaluate(net, data.x_test, data.y_test, lambda x: x[None], **best)
    return {"net": net.cpu().eval(), "accuracy": accuracy}


@torch.no_grad()
def torch_logits(net: nn.Module, x: torch.Tensor, **options: Any) -> np.ndarray:
    """Outputs ``(N, 10)`` for images ``(N, 1, 28, 28)`` of uint8."""
    return np.concatenate(
        [net(x_b.float() / 255, **options).numpy() for x_b in x.cpu().split(1000)]
    )


def experiment_move(net: Net, data: ImageData, cfg: Config) -> dict[str, Any]:
    """The same weights in tf_keras: moved rightly, and with each of two slips that no shape check notices."""
    x, y = channels_last(data.x_test), data.y_test.numpy()
    twin, slip = move_weights(net, keras_twin(cfg.activation_clip)), keras_twin(cfg.activation_clip)
    outputs = {
        "moved by the rules": keras_outputs(twin, x),
        "padded alike on both sides": torch_logits(net, data.x_test, pad=(2, 2, 2, 2)),
        "Flatten's order forgotten": keras_outputs(move_weights(net, slip, reorder=False), x),
    }
    reference = torch_logits(net, data.x_test)
    return {
        "twin": twin,
        "rows": {
            name: {
                "difference": float(np.abs(out - reference).max()),
                "accuracy": float((out.argmax(1) == y).mean()),
            }
            for name, out in outputs.items()
        },
    }


def compare(quantised: Any, model: Any, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Share of right answers of the quantised tf_keras network and of Akida, and of equal ones."""
    by_keras, by_akida = keras_outputs(quantised, x).argmax(1), akida_outputs(model, x).argmax(1)
    return {
        "tf_keras": (by_keras == y).mean(),
        "Akida": (by_akida == y).mean(),
        "agree": (by_keras == by_akida).mean(),
    }


def experiment_bits(twin: Any, data: ImageData, cfg: Config, run: Run) -> dict[str, dict[str, Any]]:
    """PTQ and QAT at each bit width on the complete test set; the quantised tf_keras network against Akida."""
    x, y = channels_last(data.x_test), data.y_test.numpy()
    order = torch.randperm(len(data.x_train), generator=torch.Generator().manual_seed(cfg.seed))
    x_train = channels_last(data.x_train[order[: cfg.qat_images]])
    y_train = data.y_train[order[: cfg.qat_images]].numpy()
    found = {}
    for bits in BITS[: 1 if cfg.smoke else None]:
        began, name, options = (
            time.perf_counter(),
            "/".join(map(str, bits)),
            dict(zip(BIT_NAMES, bits, strict=True)),
        )
        quantised, ptq = quantize_and_convert(twin, x_train[: cfg.calibration], **options)
        ptq_accuracy = float((akida_outputs(ptq, x).argmax(1) == y).mean())
        train_quantised(quantised, x_train, y_train, cfg)
        model = (
            ptq if cfg.smoke else convert_quantised(quantised, twin, name)
        )  # converting takes longest in a smoke run
        step = model.get_layer("conv3").get_variable("act_step") * 2 ** (
            4 - bits[2]
        )  # potentials for one more level
        found[name] = {
            "ptq": ptq_accuracy,
            "model": model,
            "kernel": quantised.get_layer("conv2").get_weights()[0],
            "step": float(np.median(step)),
            **compare(quantised, model, x, y),
        }
        run.print(
            f"          {name}: after training {100 * ptq_accuracy:.2f} %, trained with rounding "
            f"{100 * found[name]['Akida']:.2f} % ({time.perf_counter() - began:.0f} s)"
        )
    return found


LIMITS = {  # one change each to the network that fits: (arguments of keras_twin, input/weight/activation bits)
    "as built": ({}, (8, 4, 4)),
    "1-bit weights": ({}, (8, 1, 4)),
    "average pooling": ({"pool": "average"}, (8, 4, 4)),
    "8-bit weights in hidden layers": ({}, (8, 8, 4)),
    "2-bit weights in the input layer": ({}, (2, 4, 4)),
    "float input": ({"dtype": "float32", "scale": False}, (8, 4, 4)),
    "pooling right before the dense layers": ({"pool_last": True}, (8, 4, 4)),
    "2 input channels": (
        {"channels": 2},
        (8, 4, 4),
    ),  # not 1 or 3: conv1 counts as hidden, its 8 bits are refused
    "4 input channels": ({"channels": 4}, (8, 4, 4)),
}


def experiment_limits(cfg: Config, run: Run) -> list[dict[str, Any]]:
    """What becomes of each of ``LIMITS``: whole on the chip, partly in software, refused, or cut silently."""
    rows, rng = [], np.random.default_rng(cfg.seed)
    cases = {k: LIMITS[k] for k in ("1-bit weights",)} if cfg.smoke else LIMITS
    for name, (change, bits) in cases.items():
        twin = keras_twin(**change, filters=(8, 8, 8), hidden=16)
        x = rng.integers(0, 256, (32, *twin.input_shape[1:]), dtype=np.uint8)
        row = {"change": name, "outcome": "whole on the chip", "reason": ""}
        try:
            _, model = quantize_and_convert(
                twin, x, **dict(zip(BIT_NAMES, bits, strict=True)), check=False
            )
            mapping = map_on_akd1000(model)
            if mapping.problem:
                why = (
                    dict.fromkeys(fallback_reasons(mapping.problem).values())
                    or mapping.problem.splitlines()
                )
                row |= {
                    "outcome": "partly in software",
                    "reason": f"{', '.join(mapping.fallbacks)}: {' '.join(why)}",
                }
            try:
                check_complete(twin, model)
            except UserError:
                row |= {
                    "outcome": "cut silently",
                    "reason": f"{len(model.layers)} of 5 layers are left, output "
                    f"{'×'.join(map(str, model.output_shape))}; hw_only {'fails' if mapping.problem else 'passes'}",
                }
        except (UserError, RuntimeError, ValueError) as e:
            row |= {"outcome": "refused", "reason": str(e.__cause__ or e)}
        row["reason"] = " ".join(row["reason"].split())
        rows.append(row)
        run.print(f"          {name}: {row['outcome']}")
    return rows


def experiment_scales(twin: Any, data: ImageData, cfg: Config) -> dict[str, float]:
    """PTQ with quantizeml's default, activation scales for each channel. Akida 1.0 has one a layer; nothing warns."""
    quantised, model = quantize_and_convert(
        twin, channels_last(data.x_train[: cfg.calibration]), per_channel=True
    )
    return compare(quantised, model, channels_last(data.x_test), data.y_test.numpy())


def experiment_file(model: Any, x: np.ndarray, path: Path) -> dict[str, Any]:
    """Save, reload, compare on all images; and what the file holds, layer by layer."""
    save_fbz(model, path)
    again = open_fbz(path)
    holds = []
    for layer in again.layers:
        values = {name: layer.get_variable(name) for name in layer.get_variable_names()}
        w = values["weights"]
        holds.append(
            (
                layer.name,
                layer.parameters.layer_type.name,
                "×".join(map(str, w.shape)),
                f"{w.min()} … {w.max()}",
                len(np.unique(w)),
                ", ".join(k for k in values if k != "weights"),
            )
        )
    return {
        "model": again,
        "equal": float((akida_outputs(again, x) == akida_outputs(model, x)).all(1).mean()),
        "bytes": path.stat().st_size,
        "holds": holds,
    }


def experiment_activity(model: Any, x: np.ndarray) -> list[dict[str, Any]]:
    """Events and operations of each layer on the images ``x``, by running the network up to that layer."""
    akida, rows, events = packages.load("akida"), [], torch.from_numpy(x)
    for k, layer in enumerate(model.layers, 1):
        kernel = layer.get_variable("weights").shape  # (h, w, C, O), or (1, 1, H·W·C, O)
        positions = (
            1
            if kernel[:2] == (1, 1)
            else int(np.prod(layer.output_dims[:2] if k == 1 else layer.input_dims[:2]))
        )  # before pooling
        macs = positions * int(np.prod(kernel))
        rows.append(
            {
                "layer": layer.name,
                "zeros": (events == 0).float().mean().item(),
                "events": (events != 0).sum().item()
                / len(x),  # the input layer takes frames: all is computed
                "synops": macs if k == 1 else synaptic_operations(events, kernel),
                "macs": macs,
            }
        )
        if k < len(model.layers):
            events = torch.from_numpy(
                akida.Model(layers=model.layers[:k]).forward(x).astype(np.int32)
            )
    return rows


def experiment_int8(net: Net, data: ImageData, cfg: Config) -> dict[str, Any]:
    """The common alternative: static INT8 of the same network by PyTorch, on the CPU; empty without an engine."""
    if not (engines := [e for e in torch.backends.quantized.supported_engines if e != "none"]):
        return {}
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    torch.backends.quantized.engine = engine = next(
        (e for e in ("x86", "qnnpack") if e in engines), engines[0]
    )
    x = data.x_train[: cfg.calibration].cpu().float() / 255
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.ao announces its successor, torchao
        prepared = prepare_fx(deepcopy(net), get_default_qconfig_mapping(engine), (x[:1],))
        prepared(x)  # the ranges of the activations
        int8 = convert_fx(prepared)
        one, y = data.x_test[:1].cpu().float() / 255, data.y_test.numpy()
        found = {
            "engine": engine,
            "accuracy": float((torch_logits(int8, data.x_test).argmax(1) == y).mean()),
        }
        for name, model in (("float", net), ("int8", int8)):
            file = io.BytesIO()
            torch.save(model.state_dict(), file)
            found |= {
                f"{name}_bytes": file.tell(),
                f"{name}_ms": latency(partial(model, one), "cpu"),
            }
    return found


# ------------------------------------------------------------------------------------ figures


def grouped(ax: Any, names: Sequence[str], groups: dict[str, list[float]], fmt: str) -> None:
    """Bars side by side, one colour a group, each with its value on top."""
    for k, (label, values) in enumerate(groups.items()):
        at = np.arange(len(names)) + 0.4 * k - 0.2
        ax.bar(at, values, 0.38, color=(plots.ORANGE, plots.BLUE)[k], label=label)
        for i, v in zip(at, values, strict=True):
            ax.annotate(
                fmt.format(v),
                (i, v),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
    ax.set_xticks(range(len(names)), names)
    ax.grid(False, axis="x")


def plot_bits(bits: dict[str, dict[str, Any]], float_accuracy: float, n: int) -> Figure:
    names, error = list(bits), 100 * (1 - float_accuracy)
    ptq, qat = ([100 * (1 - bits[k][key]) for k in names] for key in ("ptq", "Akida"))
    fig, ax = plots.figure(
        size=(8.5, 4.2),
        title=(
            f"Rounded to {names[-1]} bits after training: {ptq[-1]:.1f} % errors; trained with rounding: {qat[-1]:.1f} %"
        ),
    )
    ax.axhline(
        error,
        color=plots.BLACK,
        linestyle="--",
        linewidth=1.2,
        label=f"32-bit float ({error:.2f} %)",
    )
    grouped(
        ax,
        names,
        {"rounded after training (PTQ)": ptq, "trained with rounding (QAT)": qat},
        "{:.2f}",
    )
    ax.set_yscale("log")
    ax.margins(y=0.2)
    ax.legend(loc="upper left")
    plots.label(
        ax,
        "bits of input weights / weights / activations",
        "test error (%, log scale)",
        f"Akida simulator, {n:,} test images",
    )
    return fig


def plot_levels(before: np.ndarray, after: np.ndarray | None) -> Figure:
    """Weights of conv2 as shares of their channel's largest: float, and where equation (1) puts them."""
    panels = {"float": (before, 32), "4 bits, rounded": (before, 4), "2 bits, rounded": (before, 2)}
    panels |= {} if after is None else {"2 bits, trained with rounding": (after, 2)}
    share = {}
    for name, (w, b) in panels.items():
        q, s = quantise_weights(w, b)
        share[name] = (q * s / np.abs(w).max(axis=(0, 1, 2))).ravel()
    zeros = {name: 100 * float((v == 0).mean()) for name, v in share.items()}
    fig, axes = plots.figure(
        1,
        len(panels),
        size=(3.3 * len(panels), 3.5),
        sharey=True,
        title=(
            f"With 2 bits the largest weight sets the scale: {zeros['2 bits, rounded']:.0f} % of conv2's weights become 0"
        ),
    )
    for ax, (name, v) in zip(axes, share.items(), strict=True):
        ax.hist(
            v,
            bins=np.linspace(-1.02, 1.02, 52),
            weights=np.full(len(v), 100 / len(v)),
            color=plots.BLUE,
        )
        plots.label(ax, "weight / largest of its channel", "weights (%)", name)
    return fig


def plot_mesh(spread: Any, minimal: Any) -> Figure:
    names = [layer.name for layer in spread.layers]
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11, 3.9),
        title=(
            f"On the chip: {spread.nps_used} of {spread.nps_total} processors for speed, or as few as {minimal.nps_used}"
        ),
    )
    counts = [
        [sum(n.type != "HRC" for n in layer.nps) for layer in m.layers] for m in (minimal, spread)
    ]
    grouped(a, names, {"as few as possible": counts[0], "spread for speed": counts[1]}, "{}")
    plots.label(
        a,
        "layer (conv1 sits in the input converter)",
        "neural processors",
        "Processors a layer gets",
    )
    bottom = np.zeros(len(names))
    for key, colour, label in (
        ("weight_bytes", plots.BLUE, "weights, in the processors"),
        ("external_bytes", plots.RED, "weights, in external memory"),
        ("input_bytes", plots.SKY, "input buffers"),
    ):
        values = np.array([getattr(layer, key) for layer in minimal.layers]) / 1024
        b.bar(names, values, 0.6, bottom=bottom, color=colour, label=label)
        bottom += values
    for ax in (a, b):
        ax.legend()
    plots.label(b, "layer", "memory (KiB)", "Memory, on as few as possible")
    return fig


def plot_activity(rows: list[dict[str, Any]]) -> Figure:
    macs, ops = ([r[key] / 1000 for r in rows] for key in ("macs", "synops"))
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11, 3.6),
        title=(
            f"Zeros are not sent: {sum(ops):,.0f} thousand operations an image instead of {sum(macs):,.0f} thousand"
        ),
    )
    plots.bars(a, {f"into {r['layer']}": 100 * r["zeros"] for r in rows}, fmt="{:.0f}")
    plots.label(a, "zeros (%)", "", "Pixels and events that are 0")
    grouped(
        b,
        [r["layer"] for r in rows],
        {"dense (MACs)": macs, "caused by events (SynOps)": ops},
        "{:.0f}",
    )
    b.legend()
    plots.label(
        b, "layer", "operations an image (thousands)", "conv1 takes frames: it does all of them"
    )
    return fig


# ------------------------------------------------------------------------------------ the lesson


def main(cfg: Config, run: Run) -> None:
    data = run.data(mnist)
    n, status, missing = len(data.y_test), akida_status(), packages.missing()
    x, y = channels_last(data.x_test), data.y_test.numpy()
    run.extra["akida"] = f"{status.state}: {status.reason}"
    run.print(f"Akida     {run.extra['akida']}")

    run.print("\n1  A network made for the chip, trained in PyTorch")
    trained = experiment_train(cfg, data, run)
    net = trained["net"]
    parameters = sum(p.numel() for p in net.parameters())
    run.checkpoint(net, "float")
    run.claim(
        "accuracy_float",
        "32-bit float, PyTorch",
        trained["accuracy"],
        target=">= 0.98",
        n=n,
        real=True,
    )

    model, path = None, DEPLOYED
    if missing:
        run.note(
            f"Not installed: {', '.join(missing)}; sections 2 to 4 are left out. 'uv pip install -r "
            "requirements-pc.txt' on Linux or Windows (Python 3.11, 3.12) brings them; macOS has no wheels."
        )
        if "akida" not in missing and DEPLOYED.is_file():
            model = open_fbz(DEPLOYED)
    else:
        run.print("\n2  From PyTorch to tf_keras")
        moved = experiment_move(net, data, cfg)
        rows = moved["rows"]
        run.table(
            "The same weights in tf_keras",
            ("how", "largest difference of an output", "test accuracy"),
            [(how, *row.values()) for how, row in rows.items()],
        )
        run.claim(
            "moved",
            "tf_keras against PyTorch, largest difference of an output",
            rows["moved by the rules"]["difference"],
            "",
            "<= 1e-4",
            n=n,
        )
        for key, how in (
            ("padding", "padded alike on both sides"),
            ("flatten", "Flatten's order forgotten"),
        ):
            run.claim(f"slip_{key}", f"test accuracy, {how}", rows[how]["accuracy"], n=n, real=True)

        run.print("\n3  Fewer bits (input weights / weights / activations)")
        bits = experiment_bits(moved["twin"], data, cfg, run)
        run.figure(plot_bits(bits, trained["accuracy"], n), "bits")
        run.figure(
            plot_levels(
                moved["twin"].get_layer("conv2").get_weights()[0],
                bits.get("8/2/2", {}).get("kernel"),
            ),
            "levels",
        )
        for name, found in bits.items():
            key = name.replace("/", "")
            run.claim(
                f"ptq_{key}",
                f"{name}, rounded after training (PTQ), Akida",
                found["ptq"],
                n=n,
                real=True,
            )
            run.claim(
                f"qat_{key}",
                f"{name}, trained with rounding (QAT), Akida",
                found["Akida"],
                n=n,
                real=True,
                target=">= 0.98" if name != "8/2/2" else None,
            )
            agree = run.claim(
                f"agree_{key}",
                f"{name}: Akida gives the same class as quantised tf_keras",
                found["agree"],
                target=">= 0.995",
                n=n,
                real=True,
            )
            if agree.met is False:
                run.note(
                    f"{name}: Akida's thresholds are whole numbers, so half a step is rounded; a step of conv3 is "
                    f"{found['step']:.1f} potentials (median), {bits['8/4/4']['step']:.1f} at 8/4/4."
                )
        model, path = bits["8/4/4"]["model"], run.dir / DEPLOYED.name

        run.print("\n4  What does not fit, and what breaks without a word")
        limits = experiment_limits(cfg, run)
        run.table(
            "One change at a time",
            ("change", "outcome", "akida's reason"),
            [(r["change"], r["outcome"], r["reason"]) for r in limits],
        )
        run.extra["limits"] = limits
        for key, value in (
            {} if cfg.smoke else experiment_scales(moved["twin"], data, cfg)
        ).items():
            run.claim(
                f"per_channel_{key}",
                f"8/4/4 with a scale for each channel: {key}",
                value,
                n=n,
                real=True,
            )
        for key, outcome in (
            ("silent", "cut silently"),
            ("refused", "refused"),
            ("software", "partly in software"),
        ):
            run.claim(
                f"limits_{key}",
                f"changes to the network that end as '{outcome}', of {len(limits)}",
                sum(r["outcome"] == outcome for r in limits),
                "",
            )

    if model is not None:
        run.print("\n5  The .fbz file")
        if path is not DEPLOYED:
            file = experiment_file(model, x, path)
            run.print(f"   saved   {path}")
            run.table(
                "What the file holds",
                ("layer", "type", "weights", "from … to", "values", "besides"),
                file["holds"],
            )
            run.claim(
                "fbz_equal", "reloaded from .fbz: equal outputs", file["equal"], target="== 1", n=n
            )
            run.claim("fbz_bytes", "size of the .fbz file", file["bytes"], "bytes")
            model = file["model"]

        run.print("\n6  On the mesh of the AKD1000")
        spread, minimal = map_on_akd1000(model), map_on_akd1000(model, mode="Minimal")
        run.figure(plot_mesh(spread, minimal), "mesh")
        run.claim(
            "on_chip",
            "layers on the chip (hw_only)",
            sum(la.on_hardware for la in spread.layers) / len(spread.layers),
            target="== 1",
            n=len(spread.layers),
        )
        for key, mapping, how in (
            ("spread", spread, "spread for speed"),
            ("minimal", minimal, "as few as possible"),
        ):
            run.claim(
                f"nps_{key}",
                f"processors taken of {mapping.nps_total}, {how}",
                mapping.nps_used,
                "NPs",
            )
        run.claim(
            "program_bytes",
            "loaded onto the chip, as few as possible",
            minimal.program_bytes,
            "bytes",
        )

        run.print("\n7  Speed, events and energy")
        device = packages.load("akida").devices()[0] if status.state == "hardware" else None
        speed = measure(copy_model(model), x, y, device)
        run.print("\n".join("          " + line for line in describe_measurement(speed)))
        activity = experiment_activity(model, x[:1000])
        run.figure(plot_activity(activity), "activity")
        ops, macs = (sum(r[key] for r in activity) for key in ("synops", "macs"))
        run.table(
            "Layer by layer (first 1,000 test images)",
            ("layer", "zeros at its input", "events", "SynOps", "MACs"),
            [tuple(r.values()) for r in activity],
        )
        run.claim(
            "deployed_accuracy", "the deployed file, 8/4/4", speed["accuracy"], n=n, real=True
        )
        on = (
            "the chip"
            if device is not None
            else "this host's simulator (says nothing about the chip)"
        )
        run.claim("akida_p50", f"one image, p50, on {on}", speed["p50_ms"], "ms")
        run.claim("akida_rate", f"images a second on {on}", speed["per_second"], "1/s")
        run.claim(
            "synops_share",
            "SynOps / MACs of the dense network",
            ops / macs,
            n=min(1000, n),
            real=True,
        )
        run.claim(
            "energy_estimated",
            "energy an image, estimated: SynOps × 4.6 pJ (Horowitz 2014, 32-bit float)",
            estimated_energy_nj(0, ops),
            "nJ",
            n=min(1000, n),
            real=True,
        )
        meters = {"chip_ms": "ms", "energy_mj": "mJ", "floor_mw": "mW"}
        for key, unit in meters.items():
            if key in speed:  # only where the card gave readings
                run.claim(f"meter_{key}", f"measured by the card: {key}", speed[key], unit)
        run.ledger(
            model="Akida CNN 8/4/4 (QAT)",
            data=data.name,
            accuracy=speed["accuracy"],
            n=n,
            parameters=parameters,
            bytes=path.stat().st_size,
            spikes=sum(r["events"] for r in activity[1:]),
            synops=ops,
            ann_macs=macs,
            latency_p50_ms=speed["p50_ms"],
            latency_p95_ms=speed["p95_ms"],
            energy_estimated_nj=estimated_energy_nj(0, ops),
            nps=minimal.nps_used,
        )

    run.table(
        "Published, measured by others on an AKD1000",
        ("network", "data", "bits", "accuracy", "KB", "NPs", "latency (ms)", "source"),
        [
            (
                *(
                    v or ""
                    for v in (p.model, p.data, p.bits, p.accuracy, p.kilobytes, p.nps, p.latency_ms)
                ),
                p.source + (" (read in a summary)" if p.secondary else ""),
            )
            for p in PUBLISHED
        ],
    )

    run.print("\n8  INT8 on the CPU, for comparison")
    int8 = experiment_int8(net, data, cfg)
    macs = ann_macs(net, data.x_test[:1].cpu().float() / 255)
    nonzero = ann_macs(net, data.x_test[:100].cpu().float() / 255, skip_zeros=True)
    if int8:
        run.claim(
            "accuracy_int8", f"INT8 by PyTorch ({int8['engine']})", int8["accuracy"], n=n, real=True
        )
        run.claim(
            "int8_bytes",
            "bytes of INT8 / of float",
            int8["int8_bytes"] / int8["float_bytes"],
            "ratio",
        )
        for key, accuracy in (("float", trained["accuracy"]), ("int8", int8["accuracy"])):
            p50, p95 = int8[f"{key}_ms"]
            run.claim(f"{key}_p50", f"one image in {key} on this CPU, p50", p50, "ms")
            run.ledger(
                model=f"CNN of lesson 19 in {key}",
                data=data.name,
                accuracy=accuracy,
                n=n,
                macs=macs,
                ann_macs=macs,
                ann_macs_nonzero=nonzero,
                parameters=parameters,
                bytes=int8[f"{key}_bytes"],
                latency_p50_ms=p50,
                latency_p95_ms=p95,
            )
    else:
        run.note("This build of PyTorch has no INT8 engine; section 8 is left out.")

    run.print(
        "\n9  To the Pi: three commands (the first from this folder, the third in the Pi's environment)"
    )
    run.print("\n".join(pi_commands(path)))


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
