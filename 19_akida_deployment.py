"""Lesson 19 — Akida deployment: from floating point to a file that runs on the chip

Question
    A trained network holds 32-bit real numbers. The AKD1000 holds integers of a few bits. What is
    lost on the way, what exactly does the chip compute, and how do you know that it computes what
    you trained?

Idea
    A weight w of output channel o becomes one of a few integers q, with one scale s for the channel:

        s_o = max|w_o| / (2^(b−1) − 1)        q = round(w / s_o)        ŵ = s_o·q             (1)

    b is the number of bits. To train a network that will be rounded, one computes with ŵ and moves w
    as if rounding had the derivative 1, the straight-through estimator:

        ∂L/∂w = ∂L/∂ŵ                                                                         (2)

    The chip then works with whole numbers alone. A potential U is a sum of integers q times incoming
    levels; Δ units of potential make one more level y of the b-bit activation that is sent on:

        y = ⌈2^b·(U − θ) / ⌊2^b·Δ⌋⌉, cut off at 0 and at 2^b − 1         θ: an integer        (3)

    ⌈ ⌉ rounds up, ⌊ ⌋ rounds down. A level 0 is not sent and costs nothing. Akida runs such a network
    once for each image: there is no membrane that lasts over time and no number of steps.

Read first
    Theory     Akida documentation and model zoo, https://doc.brainchipinc.com/
               SpikeFit (Kartashov et al. 2025), https://arxiv.org/abs/2510.15542
    Practice   lesson 12 (the mesh of the AKD1000), lesson 16 (conversion)

Run
    uv run 19_akida_deployment.py --predict   asks what you expect, then measures it: start here
    uv run 19_akida_deployment.py             five minutes on two CPU cores; also --only 3
    python 19_akida_deployment.py --fbz checkpoints/mnist_akida.fbz     on the Pi: akida and numpy

Builds on / leads to
    07 gave the idea of (2), 12 the mesh, 17 the price of an operation. capstone_pong deploys so.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and any(arg.split("=")[0] == "--fbz" for arg in sys.argv[1:]):
    from akd1000.device import run_fbz  # before all else: a Pi has neither PyTorch nor TensorFlow

    sys.exit(run_fbz(sys.argv[1:]))

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from akd1000 import packages
from akd1000.chip import akida_outputs
from akd1000.convert import (
    channels_last,
    check_complete,
    convert_quantised,
    copy_weights,
    keras_outputs,
    quantize_and_convert,
)
from akd1000.device import describe_measurement, measure
from akd1000.fbz import open_fbz, pi_commands, save_fbz
from akd1000.integers import Layer, layers_of, load_integers
from akd1000.mesh import copy_model, map_on_akd1000
from akd1000.pi import run_as_on_the_pi
from akd1000.published import power_table, published_tables
from akd1000.training import int8_copy, train_quantised
from common import plots
from common.akida import akida_status
from common.claims import plain
from common.cost import PICOJOULES, estimated_energy_nj, latency
from common.data import ImageData, fashion_mnist, mnist
from common.io import ROOT, UserError, live
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from training import evaluate, fit
from training.augment import jitter

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHIPPED = ROOT / "checkpoints" / "mnist_akida.fbz"
INTEGERS = ROOT / "checkpoints" / "mnist_akida_integers.safetensors"


@dataclass
class Config(LessonConfig):
    """The float network trains on all images; quantisation-aware training goes on from it with fewer."""

    num_steps: int = bounded(1, 1, 100_000)
    """accepted, without meaning here: Akida runs a network once for each image"""
    epochs: int = bounded(4, 1, 1000)
    """passes over the training images for the float network"""
    batch_size: int = bounded(128, 1, 60_000)
    """images in one update of the weights"""
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
    """run this deployed network instead, with akida and numpy alone: what the Pi does"""


SMOKE = {"epochs": 1, "calibration": 32, "qat_images": 32, "qat_epochs": 1, "batch_size": 32}
FULL = {"epochs": 20, "qat_images": 55_000, "qat_epochs": 5}


# ---------------------------------------------------------------- 1  bits


class Net(nn.Module):
    """A CNN that fits on the AKD1000; ``run`` is what ``training.fit`` calls, one step of time in front."""

    def __init__(self, clip: float = 6.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, stride=2)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.conv3 = nn.Conv2d(16, 16, 3, padding=1)
        self.fc1 = nn.Linear(16 * 7 * 7, 64)
        self.fc2 = nn.Linear(64, 10)
        self.act = nn.Hardtanh(0.0, clip)  # ReLU, cut off at clip

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 1, 28, 28)`` in 0..1 → logits ``(B, 10)``."""
        x = F.pad(x, (1, 2, 1, 2))  # as TensorFlow pads: the odd pixel stands right and below
        x = self.act(self.conv1(x))  # (B, 8, 14, 14)
        x = self.act(F.max_pool2d(self.conv2(x), 2))  # (B, 16, 7, 7)
        x = self.act(self.conv3(x))  # (B, 16, 7, 7)
        x = self.act(self.fc1(x.flatten(1)))  # (B, 64)
        return self.fc2(x)  # (B, 10)

    def run(self, x: Tensor) -> Tensor:
        """``(1, B, 1, 28, 28)`` → ``(B, 10)``."""
        return self.forward(x[0])


def best_class(out: Tensor) -> Tensor:
    """The class with the largest output, ``(B, 10)`` → ``(B,)``."""
    return out.argmax(1)


def quantise_weights(w: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Equation (1), for weights whose last axis is the output channel.

    Returns the integers q, shaped like ``w (…, O)``, and the scales s ``(O,)``.
    """
    if bits < 2:
        raise ValueError(f"got {bits} bit, expected at least 2: for one bit (1) divides by zero")
    largest = np.abs(w).max(axis=tuple(range(w.ndim - 1)))  # (O,)
    s = largest / (2 ** (bits - 1) - 1)
    q = np.round(w / s)
    return q, s


def sign_weights(w: np.ndarray) -> np.ndarray:
    """One bit: each weight keeps its sign, and the mean size of its channel's weights."""
    size = np.abs(w).mean(axis=tuple(range(w.ndim - 1)))  # (O,)
    return np.where(w < 0, -size, size)


def quantise_activation(a: np.ndarray, bits: int, top: float) -> np.ndarray:
    """Levels 0 … 2^bits − 1 for activations between 0 and ``top``, the nearest one each."""
    step = top / (2**bits - 1)
    return np.clip(np.floor(a / step + 0.5), 0, 2**bits - 1)


@dataclass
class Trained:
    """What section 1 leaves for the others."""

    net: Net
    data: ImageData
    accuracy: float


@section
def section_bits(cfg: Config, run: Run) -> Trained:
    """1  What do 8, 4, 2 bits and one bit do to a weight and to an activation?

    First we need a network: five layers, made for the chip, trained in 32-bit floating point with the
    loop of lesson 09. Then its numbers are rounded.

    Weights follow equation (1). With b = 8 bits it allows 255 values, with 4 bits 15, with 2 bits
    three: −s, 0 and s. The largest weight of a channel decides how wide a step s is, and a weight
    smaller than half a step becomes 0. With one bit (1) divides by 2⁰ − 1 = 0: it has no answer. One
    needs another rule there, such as keeping the sign, ŵ = ±mean|w|.

    An activation is never negative, so it needs no sign: b bits give the levels 0 … 2^b − 1, spread
    evenly from 0 to the largest activation. Level 0 is special, because then nothing is sent.

    Why so few bits? A chip of this kind keeps its weights in small memories right beside the
    arithmetic. Reading a weight from far away costs more energy than multiplying with it. Half the
    bits, and twice as many weights fit.
    """
    run.predict(
        "zeros_2",
        "The weights of the second layer are rounded to 2 bits, by equation (1). What share of them "
        "becomes 0?",
        unit="%",
    )
    data = run.data(mnist)
    net = Net(cfg.activation_clip)
    fit(
        net,
        data,
        lambda x: x[None],
        run=run,
        epochs=cfg.epochs,
        lr=cfg.lr,
        batch_size=cfg.batch_size,
        loss_fn=F.cross_entropy,
        predict=best_class,
        augment=partial(jitter, shift=1),
    )
    accuracy = evaluate(net, data.x_test, data.y_test, lambda x: x[None], best_class)
    net = net.cpu().eval()
    run.checkpoint(net, "float")

    w = net.conv2.weight.detach().permute(2, 3, 1, 0).numpy()  # (3, 3, 8, 16): out channel last
    rounded = {"32-bit float": w, "1 bit": sign_weights(w)}
    for bits in (8, 4, 2):
        q, s = quantise_weights(w, bits)
        rounded[f"{bits} bits"] = s * q
    with torch.no_grad():
        digit = data.x_test[:1].cpu().float() / 255
        maps = net.act(net.conv1(F.pad(digit, (1, 2, 1, 2))))[0].numpy()  # (8, 14, 14)
    top_level = float(maps.max())  # the largest activation of this image
    one_map = maps[maps.std((1, 2)).argmax()]  # the channel with the most contrast

    fig, axes = plots.figure(2, 5, (13, 5.4), "The same numbers with fewer and fewer bits")
    largest = np.abs(w).max((0, 1, 2))
    names = ("32-bit float", "8 bits", "4 bits", "2 bits", "1 bit")
    for column, name in enumerate(names):
        top, below = axes[:, column]
        share = (rounded[name] / largest).ravel()  # as a share of the channel's largest
        weight = np.full(len(share), 100 / len(share))
        top.hist(share, bins=np.linspace(-1.02, 1.02, 52), weights=weight, color=plots.BLUE)
        top.set_title(name)
        top.set_xlabel("weight / largest of its channel")
        shown = one_map
        if name != "32-bit float":
            bits = int(name[0])
            shown = quantise_activation(one_map, bits, top_level) * top_level / (2**bits - 1)
        below.imshow(shown, cmap="gray", vmin=0, vmax=top_level)
        values = len(np.unique(shown))
        below.set_xlabel(f"different values: {values}; {100 * np.mean(shown == 0):.0f} % are 0")
        below.set_xticks([])
        below.set_yticks([])
        below.grid(False)
    axes[0, 0].set_ylabel("weights of conv2 (%)")
    axes[1, 0].set_ylabel("one map of conv1's activations")
    run.figure(
        fig,
        "1_bits",
        look="on how few values the weights stand; at how many bits the digit is lost",
    )

    def lost(name: str) -> float:
        """Size of the rounding error as a share of the size of the weights (root mean squares)."""
        return float(np.sqrt(np.mean((rounded[name] - w) ** 2) / np.mean(w**2)))

    zeros = float((rounded["2 bits"] == 0).mean())
    run.claim(
        "accuracy_float",
        "32-bit float, test images",
        accuracy,
        target=">= 0.98",
        n=len(data.y_test),
        real=True,
    )
    run.claim("lost_4", "4-bit weights: error / size", lost("4 bits"))
    run.claim("lost_2", "2-bit weights: error / size", lost("2 bits"))
    run.claim("lost_1", "1-bit weights, signs: error / size", lost("1 bit"))
    run.claim("zeros_2", "2 bits: weights of conv2 that become 0", zeros)
    run.finding(
        f"The error that rounding makes is {100 * (lost('8 bits')):.1f} % of the size of conv2's weights with 8 "
        f"bits, {100 * (lost('4 bits')):.0f} % with 4 and {100 * (lost('2 bits')):.0f} % with 2, where the largest weight "
        f"of a channel sets the scale and {100 * zeros:.0f} % of all weights become 0. Signs alone lose "
        f"{100 * (lost('1 bit')):.0f} %."
    )
    return Trained(net, data, accuracy)


# ---------------------------------------------------------------- 2  training with rounding

WIDTHS = ((8, 4, 4), (4, 4, 4), (8, 2, 2))  # bits: input layer's weights / weights / activations


def round_weights(w: Tensor, bits: int) -> Tensor:
    """Equation (1) in PyTorch, ŵ for ``w (O, …)``; its derivative is that of a staircase: 0."""
    s = w.detach().flatten(1).abs().amax(1) / (2 ** (bits - 1) - 1)  # (O,)
    s = s.view(-1, *[1] * (w.ndim - 1))  # (O, 1, 1, 1)
    return s * torch.round(w / s)


def straight_through(w: Tensor, bits: int) -> Tensor:
    """Equation (2): forward the rounded weights, backward as if nothing were rounded."""
    return w + (round_weights(w, bits) - w).detach()


def share_that_learns(
    net: Net, x: Tensor, y: Tensor, rule: Callable[[Tensor, int], Tensor]
) -> float:
    """Share of conv2's weights that get a gradient other than 0 when ``rule`` rounds them to 4 bits."""
    w = net.conv2.weight.detach().clone().requires_grad_()
    out = torch.func.functional_call(net, {"conv2.weight": rule(w, 4)}, (x,))
    (grad,) = torch.autograd.grad(F.cross_entropy(out, y), w)
    return (grad != 0).float().mean().item()


def keras_twin(clip: float = 6.0, pool: str = "max", pool_last: bool = False) -> Any:
    """The network once more, in tf_keras: ``(B, 28, 28, 1)`` of uint8 → logits.

    ``pool`` and ``pool_last`` make two of the networks that do not fit (section 4).
    """
    packages.keras()
    from tf_keras import Input, Sequential, layers

    relu = partial(layers.ReLU, max_value=clip)
    pooling = {"max": layers.MaxPool2D, "average": layers.AveragePooling2D}[pool]
    conv = partial(layers.Conv2D, padding="same")
    stack = [Input((28, 28, 1), dtype="uint8"), layers.Rescaling(1 / 255)]
    stack += [conv(8, 5, strides=2, name="conv1"), relu()]
    stack += [conv(16, 3, name="conv2"), pooling(2, padding="same"), relu()]
    stack += [conv(16, 3, name="conv3")]
    if pool_last:
        stack += [pooling(2, padding="same")]
    stack += [relu(), layers.Flatten(), layers.Dense(64, name="fc1"), relu()]
    stack += [layers.Dense(10, name="fc2")]
    return Sequential(stack)


def train_with_rounding(quantised: Any, data: ImageData, cfg: Config, keep: Any = None) -> None:
    """Quantisation-aware training on ``qat_data``: quantizeml computes with ŵ and uses (2) on the way back."""
    train_quantised(
        quantised,
        *qat_data(data, cfg),
        epochs=cfg.qat_epochs,
        lr=cfg.qat_lr,
        batch_size=cfg.batch_size,
        seed=cfg.seed,
        eager=cfg.smoke,
        keep=keep,
    )


def quantise(
    twin: Any, data: ImageData, cfg: Config, bits: tuple[int, int, int]
) -> tuple[Any, Any]:
    """Post-training quantisation by MetaTF: the rounded Keras network and its akida model."""
    images, _ = qat_data(data, cfg)
    names = ("input_bits", "weight_bits", "activation_bits")
    return quantize_and_convert(
        twin, images[: cfg.calibration], **dict(zip(names, bits, strict=True))
    )


def qat_data(data: ImageData, cfg: Config) -> tuple[np.ndarray, np.ndarray]:
    """The training images of quantisation-aware training, ``(N, 28, 28, 1)`` of uint8, and their labels."""
    order = torch.randperm(len(data.x_train), generator=torch.Generator().manual_seed(cfg.seed))
    chosen = order[: cfg.qat_images]
    return channels_last(data.x_train[chosen]), data.y_train[chosen].numpy()


@dataclass
class Width:
    """One bit width: the quantised Keras network, the akida model, and the share each reads correctly."""

    bits: tuple[int, int, int]
    quantised: Any
    model: Any
    ptq: float
    qat: float


@dataclass
class Quantised:
    """What section 2 leaves; ``widths`` is empty where the Akida packages are missing."""

    twin: Any = None
    widths: dict[str, Width] = field(default_factory=dict)


def name_of(bits: tuple[int, int, int]) -> str:
    """(8, 4, 4) → "8/4/4"."""
    return "/".join(str(b) for b in bits)


def share_right(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Share of the images that an akida model reads correctly, on the chip or in its simulator."""
    return float((akida_outputs(model, x).argmax(1) == y).mean())


@section
def section_training(cfg: Config, run: Run) -> Quantised:
    """2  Round after training, or train with the rounding?

    Post-training quantisation (PTQ) takes the finished network and applies (1). Quantisation-aware
    training (QAT) goes on training with rounded weights and activations, so that the loss sees the
    damage and the weights can move to where few values are enough.

    The obvious way to train through a rounding fails. Rounding is a staircase: flat nearly
    everywhere, so its derivative is 0 and no weight ever moves. `straight_through` above is the
    remedy, one line: forward it gives the rounded weight, backward it passes the gradient on as it
    is. It is the surrogate gradient of lesson 07 for a staircase with many steps. The float weight w
    stays in the background and adds up small changes until its rounded value jumps; the chip gets
    the rounded one alone.

    BrainChip's MetaTF does the rest. Its quantizeml rounds a tf_keras network and trains it, cnn2snn
    converts that to a network for the chip, akida runs it, here in its simulator unless a card is in
    this machine. So the PyTorch weights move to tf_keras first. PyTorch counts channels first and
    TensorFlow last; `copy_weights` turns the kernels, and puts the inputs of fc1 in the other order.

    Three widths are tried, written input weights/weights/activations: 8/4/4, 4/4/4 and 8/2/2.
    """
    run.predict(
        "ptq_822",
        "The finished network is rounded to 2-bit weights and activations (8-bit weights in the first "
        "layer), without further training. What share of the test images does it still read?",
        unit="%",
    )
    given: Trained = run.result_of(section_bits)
    data, n = given.data, len(given.data.y_test)
    batch = data.x_train[:64].cpu().float() / 255
    learn_rounded = share_that_learns(given.net, batch, data.y_train[:64].cpu(), round_weights)
    learn = share_that_learns(given.net, batch, data.y_train[:64].cpu(), straight_through)
    run.claim("learn_rounded", "weights with a gradient, rounded", learn_rounded, target="== 0")
    missing = packages.missing()
    if missing:
        run.note(
            f"Not installed: {', '.join(missing)}. 'uv pip install -r requirements-pc.txt' on Linux or "
            "Windows (Python 3.11, 3.12) brings them; macOS has no wheels. The trainings of this "
            "section are left out; our own run's numbers stand in RESULTS.md."
        )
        run.finding(
            f"Rounded plainly, {100 * learn_rounded:.0f} % of conv2's weights get a gradient; straight-through, "
            f"{100 * learn:.0f} % do. How accurate that makes the network needs TensorFlow and akida."
        )
        return Quantised()

    flat = {"fc1": (16, 7, 7)}  # what fc1 reads, (C, H, W) in PyTorch
    twin = copy_weights(given.net, keras_twin(cfg.activation_clip), flat)
    x, y = channels_last(data.x_test), data.y_test.cpu().numpy()
    made = Quantised(twin)
    for bits in WIDTHS[: 1 if cfg.smoke else None]:
        name = name_of(bits)
        quantised, rounded = quantise(twin, data, cfg, bits)
        ptq = share_right(rounded, x, y)
        train_with_rounding(quantised, data, cfg)
        model = convert_quantised(quantised, twin, name)
        qat = share_right(model, x, y)
        made.widths[name] = Width(bits, quantised, model, ptq, qat)
        run.print(
            f"   {name}   rounded after training {100 * ptq:.2f} %, trained with rounding {100 * qat:.2f} %"
        )
    save_fbz(made.widths["8/4/4"].model, run.dir / SHIPPED.name)

    lowest = list(made.widths.values())[-1]
    title = (
        f"At {name_of(lowest.bits)}: {100 * (1 - lowest.ptq):.1f} % errors after plain rounding, "
    )
    title += f"{100 * (1 - lowest.qat):.1f} % after training with it (one training a width)"
    fig, ax = plots.figure(1, 1, (8.5, 4.2), title)
    series = {"rounded after training (PTQ)": {}, "trained with rounding (QAT)": {}}
    for name, width in made.widths.items():
        series["rounded after training (PTQ)"][name] = 100 * (1 - width.ptq)
        series["trained with rounding (QAT)"][name] = 100 * (1 - width.qat)
    plots.grouped_bars(ax, series, fmt="{:.2f}")
    error = 100 * (1 - given.accuracy)
    ax.axhline(error, color="black", ls="--", lw=1.2, label=f"32-bit float ({error:.2f} %)")
    ax.set_yscale("log")
    ax.margins(y=0.2)
    ax.legend(loc="upper left")
    plots.label(ax, "bits: input weights / weights / activations", "test errors (%, log scale)")
    run.figure(fig, "2_training", look="which pair of bars differs; the axis is logarithmic")

    facts = {"n": n, "seeds": 1, "real": True}
    first = made.widths["8/4/4"]
    run.claim("qat_844", "8/4/4, QAT, on Akida", first.qat, target=">= 0.98", **facts)
    if "4/4/4" in made.widths:
        run.claim(
            "qat_444", "4/4/4, QAT, on Akida", made.widths["4/4/4"].qat, target=">= 0.98", **facts
        )
        run.claim("ptq_822", "8/2/2, PTQ, on Akida", lowest.ptq, **facts)
        run.claim("qat_822", "8/2/2, QAT, on Akida", lowest.qat, **facts)
    run.ledger(
        model="Akida CNN 8/4/4 (QAT)",
        data=data.name,
        accuracy=first.qat,
        n=n,
        parameters=sum(p.numel() for p in given.net.parameters()),
        bytes=(run.dir / SHIPPED.name).stat().st_size,
    )
    noise = 100 * np.sqrt(2 * given.accuracy * (1 - given.accuracy) / n)
    gap = 100 * (given.accuracy - first.qat)
    cost = f"a difference of {-gap:+.2f} points"
    if abs(gap) < 2 * noise:
        cost = f"no difference that {n:,} images can show"
    text = f"With 4-bit weights and activations the chip's network reads {100 * first.qat:.2f} %, in float it "
    text += f"was {100 * given.accuracy:.2f} %: {cost}."
    if lowest is not first:
        text += f" At {name_of(lowest.bits)} plain rounding leaves {100 * lowest.ptq:.1f} %, training with the "
        text += f"rounding {100 * lowest.qat:.1f} % (one training each)."
    run.finding(text, main=True, claim="qat_844")
    return made


# ---------------------------------------------------------------- 3  what the chip computes


def convolve(x: np.ndarray, weights: np.ndarray, stride: int) -> np.ndarray:
    """Padding "same": ``x (N, H, W, C)``, ``weights (k, k, C, O)`` → ``(N, H/stride, W/stride, O)``."""
    k = len(weights)
    rows = -(-x.shape[1] // stride)  # H / stride, rounded up
    columns = -(-x.shape[2] // stride)
    high = max(0, (rows - 1) * stride + k - x.shape[1])  # zeros to add above and below together
    wide = max(0, (columns - 1) * stride + k - x.shape[2])
    x = np.pad(x, ((0, 0), (high // 2, high - high // 2), (wide // 2, wide - wide // 2), (0, 0)))
    pot = np.zeros((len(x), rows, columns, weights.shape[3]))
    for i in range(k):
        for j in range(k):
            seen = x[:, i : i + stride * rows : stride, j : j + stride * columns : stride]
            pot += seen[:, :rows, :columns] @ weights[i, j]  # (N, rows, columns, O)
    return pot


def potentials(x: np.ndarray, layer: Layer) -> np.ndarray:
    """U of one layer: incoming levels ``(N, …)`` times integer weights, summed; whole numbers."""
    x = x.astype(np.float64)  # exact for whole numbers below 2^53, and fast
    if layer.is_dense:
        return x.reshape(len(x), -1) @ layer.weights  # (N, O)
    pot = convolve(x, layer.weights, layer.stride)  # (N, H, W, O)
    if layer.pool == 2:
        n, rows, columns, out = pot.shape
        pot = pot.reshape(n, rows // 2, 2, columns // 2, 2, out).max((2, 4))
    return pot


def fire(pot: np.ndarray, layer: Layer) -> np.ndarray:
    """Equation (3): the levels that the chip sends on for potentials ``(…, O)``."""
    above = pot - layer.threshold
    reach = np.floor(2**layer.bits * layer.step)  # the chip keeps 2^b·Δ as a whole number
    level = np.ceil(above * 2**layer.bits / reach)
    return np.clip(level, 0, 2**layer.bits - 1)


def run_on_integers(x: np.ndarray, layers: list[Layer], rule: Any = fire) -> np.ndarray:
    """The whole network: images ``(N, 28, 28, 1)`` of uint8 → potentials of the last layer ``(N, 10)``."""
    for layer in layers:
        pot = potentials(x, layer)
        if layer.bits:
            x = rule(pot, layer)
    return pot.reshape(len(pot), -1)


def logits(pot: np.ndarray, layer: Layer) -> np.ndarray:
    """Potentials of the last layer on one scale for all classes."""
    return (pot - layer.threshold) / layer.step


def fire_like_keras(pot: np.ndarray, layer: Layer) -> np.ndarray:
    """The levels of quantizeml's layer: U plus bias, divided by Δ, to the nearest one, halves upwards."""
    bias = np.round(layer.step / 2) - layer.threshold  # cnn2snn writes round(Δ/2) − bias as θ
    mantissa, power = np.frexp(1 / layer.step)
    scale = np.ldexp(np.round(256 * mantissa) / 256, power)  # 1/Δ has eight bits there
    level = np.floor((pot + bias) * scale + 0.5)
    return np.clip(level, 0, 2**layer.bits - 1)


def in_batches(x: np.ndarray, layers: list[Layer], rule: Any = fire, size: int = 500) -> np.ndarray:
    """``run_on_integers`` for many images, a few hundred at a time: ``(N, 10)``."""
    parts = [run_on_integers(x[i : i + size], layers, rule) for i in range(0, len(x), size)]
    return np.concatenate(parts)


def even_scales(bits: int, w: np.ndarray, rate: float = 1.0) -> np.ndarray:
    """Weights whose scale (1), times ``rate``, is a power of two in each channel: the nearest such.

    Clips what lies above the new largest value, and puts the channel's largest weight upon it. ``rate``
    is the factor by which quantizeml stretches the layer's output to meet the top level.
    """
    levels = 2 ** (bits - 1) - 1
    rows = w.reshape(-1, w.shape[-1])  # (inputs, O)
    largest = np.abs(rows).max(0)  # (O,)
    power = np.round(np.log2(largest * rate / levels))
    allowed = (2.0**power * levels / rate).astype(w.dtype)
    out = np.clip(rows, -allowed, allowed)
    at = np.abs(rows).argmax(0)
    channel = np.arange(rows.shape[1])
    out[at, channel] = np.sign(rows[at, channel]) * allowed
    return out.reshape(w.shape)


@dataclass
class Checked:
    """One network: how far the emulator, Akida and the quantised Keras network agree, as shares of images."""

    emulator: float
    """the emulator's ten output integers equal Akida's"""
    same_class: float | None = None
    """Akida and the quantised Keras network give the same class"""
    keras_rule: float | None = None
    """the emulator with Keras's rule gives the ten outputs of the quantised Keras network"""


def check(x: np.ndarray, model: Any, quantised: Any = None) -> Checked:
    """Run ``x`` through the emulator, Akida and, if given, the quantised Keras network, and compare."""
    layers = layers_of(model)
    last = layers[-1]
    on_akida = akida_outputs(model, x)  # (N, 10)
    in_units = np.rint(on_akida * last.step) + last.threshold  # back to whole potentials
    emulator = float((in_batches(x, layers) == in_units).all(1).mean())
    if quantised is None:
        return Checked(emulator)
    by_keras = keras_outputs(quantised, x)
    same_class = float((on_akida.argmax(1) == by_keras.argmax(1)).mean())
    like_keras = logits(in_batches(x, layers, fire_like_keras), last)
    keras_rule = float(np.isclose(like_keras, by_keras, atol=1e-3).all(1).mean())
    return Checked(emulator, same_class, keras_rule)


@section
def section_chip(cfg: Config, run: Run) -> dict[str, Checked]:
    """3  What does the chip compute?

    The forty lines above are all of it, in NumPy: `potentials` multiplies levels by integer weights and
    adds up, `fire` is equation (3). No real number is left: θ, the weights, and 2^b·Δ are integers.
    A chip like this is event-driven: only levels other than 0 are sent, and each is worth up to
    2^b − 1 spikes of lesson 01. The order of the sums does not matter, so neither does the order of
    events.

    quantizeml's layer, in which the training ran, divides U plus a bias by Δ and takes the nearest
    level, halves upwards:

        y = ⌊(U + bias)/Δ + 1/2⌋          so level k begins at U + bias = (k − 1/2)·Δ            (4)

    cnn2snn turns that into (3): it writes round(Δ/2) − bias into θ, a whole number. Half a step is
    rounded, then, by up to half a unit of potential. With Δ ≈ 22, as at 8/4/4, this is 2 % of a step;
    with 2-bit weights Δ is near 3, and it is up to 17 %. On top of that a potential that lies exactly
    on a boundary goes down in (3) and up in (4); and with 4 bits (3) keeps only sixteenths of Δ, so that
    high levels begin a little early.

    So the way out is to have steps where nothing gets lost: Δ even, so that Δ/2 is whole. Δ is one
    level of the output divided by one level of the input times s. If s is a power of two, so is Δ.
    `even_scales` moves each channel's largest weight so that it is, after every update of the
    training. (The library keeps 1/Δ in eight bits, whose largest number is 255, not 256. Its Δ is
    therefore 256/255 times the power of two, and no potential falls upon a boundary.)
    """
    run.predict(
        "agree_822",
        "At 8/2/2, quantised Keras network and Akida have the same integers for weights. For what share "
        "of the test images do they name the same class?",
        unit="%",
    )
    given: Trained = run.result_of(section_bits)
    data = given.data
    x, n = channels_last(data.x_test), len(data.y_test)
    made: Quantised = run.result_of(section_training)
    facts = {"n": n, "real": True}
    if "akida" in packages.missing():
        layers, recorded = load_integers(INTEGERS)
        answers = logits(in_batches(x, layers), layers[-1]).argmax(1)
        equal = float((answers == recorded).mean()) if len(recorded) == n else 0.0
        run.claim(
            "emulator_equal", "emulator = Akida's recorded classes", equal, target="== 1", **facts
        )
        run.finding(
            f"Forty lines of NumPy give the class that Akida's simulator gave on our machine for {100 * equal:.2f} % "
            "of the test images. Without akida the rest of this section is left out."
        )
        return {}

    checked = {}
    if not made.widths:
        checked["shipped 8/4/4"] = check(x, open_fbz(SHIPPED))
    for name, width in made.widths.items():
        checked[name] = check(x, width.model, width.quantised)
        run.print(
            f"   {name}   the same class for {100 * checked[name].same_class:.2f} % of the images"
        )
    noise = np.random.default_rng(cfg.seed).integers(0, 256, (500, 28, 28, 1), dtype=np.uint8)
    drawn = open_fbz(SHIPPED)
    if made.widths:
        last = list(made.widths.values())[-1]
        drawn = last.model
        even, _ = quantise(made.twin, data, cfg, last.bits)
        train_with_rounding(even, data, cfg, partial(even_scales, last.bits[1]))
        model = convert_quantised(even, made.twin, name_of(last.bits))
        checked[f"{name_of(last.bits)}, even steps"] = check(x, model, even)
    checked["random pixels"] = check(noise, drawn)

    rows = []
    for name, found in checked.items():
        cells = [name, f"{100 * found.emulator:.2f} %", "", ""]
        if found.same_class is not None:
            cells[2:] = [f"{100 * found.keras_rule:.2f} %", f"{100 * found.same_class:.2f} %"]
        rows.append(cells)
    columns = ("network", "(3) = Akida", "(4) = Keras", "Akida, Keras: same class")
    run.table("Shares of the test images; (3), (4): all ten outputs equal", columns, rows)

    layer = layers_of(drawn)[2]  # conv3
    reach = int((layer.step * 2**layer.bits).max() + np.abs(layer.threshold).max())
    units = np.arange(-reach, reach)  # potentials
    every = np.repeat(units[:, None], len(layer.step), 1)  # (units, O)
    ours, theirs = fire(every, layer), fire_like_keras(every, layer)
    differ = (ours != theirs).sum(0)  # (O,): whole potentials for which the levels differ
    channel = int(differ.argmax())
    rises = 2**layer.bits - 1
    fig, (left, right) = plots.figure(1, 2, (12, 4.2))
    rising = (theirs[:, channel] > 0) & (ours[:, channel] < rises)
    shown = slice(max(0, rising.argmax() - 2), len(units) - rising[::-1].argmax() + 2)
    for level, look, name in ((ours, "-", "Akida, (3)"), (theirs, "--", "Keras, (4)")):
        left.step(units[shown], level[shown, channel], where="post", ls=look, label=name)
    left.legend(loc="lower right")
    plots.label(
        left,
        "potential U (whole numbers)",
        "level sent on",
        f"one channel of conv3, Δ = {layer.step[channel]:.2f}",
    )
    shares = {name: 100 * c.same_class for name, c in checked.items() if c.same_class is not None}
    plots.bars(right, shares or {"no Keras here": 0.0}, fmt="{:.2f}")
    lowest = max(0.0, min(shares.values(), default=0.0) - 2)
    right.set_xlim(lowest, 100 + 0.15 * (100 - lowest))
    right.set_xticks([tick for tick in right.get_xticks() if lowest <= tick <= 100])
    plots.label(
        right, "test images with the same class (%)", "", "Akida and the quantised Keras network"
    )
    moved = 0  # boundaries between levels
    for level in range(1, rises + 1):
        moved += int(((ours >= level) != (theirs >= level)).any(0).sum())
    off = moved / (rises * len(layer.step))
    title = f"Of conv3's boundaries between levels {100 * off:.0f} % lie elsewhere on Akida than in Keras"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(
        fig, "3_chip", look="left: where the dashed staircase rises before or after the other"
    )

    emulator = min(c.emulator for c in checked.values())
    run.claim(
        "emulator_equal", "emulator = Akida, all ten outputs", emulator, target="== 1", **facts
    )
    text = f"The forty lines give Akida's ten outputs for {100 * emulator:.2f} % of all images, of every network "
    text += "here and of random pixels."
    by_keras = [c for c in checked.values() if c.same_class is not None]
    if by_keras:
        plain_rule = [c.keras_rule for name, c in checked.items() if name in made.widths]
        plainly = checked[name_of(last.bits)].same_class
        evenly = checked[f"{name_of(last.bits)}, even steps"].same_class
        best = [c.same_class for name, c in checked.items() if name in made.widths][:-1] + [evenly]
        run.claim("keras_rule", "with rule (4): = quantised Keras", min(plain_rule), **facts)
        run.claim("agree_822", "8/2/2: Akida, Keras: same class", plainly, **facts)
        run.claim(
            "agree_lowest",
            "8/2/2 with even steps, others as they are",
            min(best),
            target=">= 0.995",
            **facts,
        )
        text += f" With (4) in the place of (3) they give the quantised Keras network's for {100 * min(plain_rule):.2f} %: "
        text += f"the two differ in this rule alone. At {name_of(last.bits)} they name different classes for "
        text += f"{100 * (1 - plainly):.1f} % of the images, with even steps for {100 * (1 - evenly):.2f} %."
    run.finding(text)
    return checked


# ---------------------------------------------------------------- 4  the file and the mesh


def deployed(run: Run) -> Path:
    """The 8/4/4 network of this run, if section 2 has made one; else the one that is shipped."""
    made = run.results.get(section_training.number)
    if made is not None and made.widths:
        return run.dir / SHIPPED.name
    return SHIPPED


MISFITS = {  # one change each: arguments of keras_twin, bits
    "1-bit weights": ({}, (8, 1, 4)),
    "average pooling": ({"pool": "average"}, (8, 4, 4)),
    "pooling before fc1": ({"pool_last": True}, (8, 4, 4)),
}


def try_misfit(change: dict[str, Any], bits: tuple[int, int, int]) -> tuple[str, str]:
    """What becomes of a network that does not fit: the outcome, and what shows it."""
    twin = keras_twin(**change)
    images = np.random.default_rng(0).integers(0, 256, (32, 28, 28, 1), dtype=np.uint8)
    names = ("input_bits", "weight_bits", "activation_bits")
    chosen = dict(zip(names, bits, strict=True))
    _, model = quantize_and_convert(twin, images, check=False, **chosen)
    try:
        check_complete(twin, model)
    except UserError:
        return "cut, without an error", f"{len(model.layers)} of 5 layers are left"
    mapping = map_on_akd1000(model)
    if mapping.fallbacks:
        return "partly in software", "on the host: " + ", ".join(mapping.fallbacks)
    return "whole on the chip", ""


@section
def section_file(cfg: Config, run: Run) -> None:
    """4  What is in the file, and where does it sit on the chip?

    An .fbz file holds, layer by layer, what section 3 computed with: the kind of layer and its sizes,
    integer weights, thresholds θ and steps Δ, packed. Nothing of the training is left in it, and no
    float weights. akida does not check such a file: one that is cut short may load all the same, or
    crash. So a SHA-256 checksum travels with it, and `save_fbz` reads back what it has written.

    The AKD1000 has 20 nodes in a mesh of wires. Each node has up to four neural processors (NPs), and
    each NP holds the weights of some filters or neurons in a memory of its own. An event goes, as a
    packet (place, channel, level), from the NP that fired to those that hold the layer behind it;
    there it is multiplied by all weights that read it. The input layer sits in a converter beside the
    mesh, which takes whole frames. `akida.AKD1000()` is a virtual chip, on which one can place a
    network without owning the card, either spread over many NPs for speed or on as few as possible.

    Not everything fits, and some of it fails silently: cnn2snn may drop the end of a network with no
    more than a warning. So count the layers and look at the shape of the output after every conversion.
    """
    run.predict(
        "nps_minimal",
        "The chip has 78 NPs. On how few of them can this network's four layers behind the input "
        "converter sit?",
    )
    if "akida" in packages.missing():
        layers, _ = load_integers(INTEGERS)
        count = sum(layer.weights.size for layer in layers)
        run.claim("fbz_bytes", "size of the .fbz file", SHIPPED.stat().st_size, "bytes")
        run.finding(
            f"{count:,} weights: {count / 2048:.0f} KiB at 4 bits, {count / 256:.0f} KiB in 32-bit float. "
            "To place them on the mesh, even on a virtual chip, akida is needed."
        )
        return
    model = open_fbz(deployed(run))
    data = run.data(mnist)
    x = channels_last(data.x_test[:1000])
    with tempfile.TemporaryDirectory() as folder:
        again = open_fbz(save_fbz(model, Path(folder) / "copy.fbz"))
    equal = float((akida_outputs(again, x) == akida_outputs(model, x)).all(1).mean())
    layers = layers_of(model)
    holds = []
    for layer in layers:
        w = layer.weights
        shape = "×".join(str(size) for size in w.shape)
        holds.append((layer.name, shape, f"{w.min()} … {w.max()}", w.size, layer.bits or "–"))
    columns = ("layer", "weights", "from … to", "how many", "bits sent on")
    run.table("What the file holds", columns, holds)

    spread = map_on_akd1000(model)
    minimal = map_on_akd1000(model, mode="Minimal")
    title = f"Spread for speed: {spread.nps_used} of {spread.nps_total} processors; "
    title += f"as few as possible: {minimal.nps_used}"
    fig, axes = plots.figure(1, 2, (12, 6), title)
    for ax, mapping, name in zip(
        axes, (spread, minimal), ("spread for speed", "as few as possible"), strict=True
    ):
        mapping.draw(ax)
        ax.set_title(name)
    run.figure(fig, "4_mesh", look="who sits where; a square is one processor, a box one node")

    if "tensorflow" not in packages.missing():
        tried = []
        cases = list(MISFITS.items())[: 1 if cfg.smoke else None]
        for name, (change, bits) in live(cases, "   what does not fit", len(cases)):
            tried.append((name, *try_misfit(change, bits)))
        run.table("One change to the network", ("change", "outcome", "what shows it"), tried)
        run.extra["misfits"] = [list(row) for row in tried]

    path = deployed(run)
    on_chip = sum(layer.on_hardware for layer in spread.layers)
    run.claim("fbz_equal", "saved and read again: equal outputs", equal, target="== 1", n=len(x))
    run.claim("fbz_bytes", "size of the .fbz file", path.stat().st_size, "bytes")
    run.claim(
        "on_chip", "layers that the chip computes", on_chip / len(spread.layers), target="== 1"
    )
    run.claim("nps_minimal", "processors, as few as possible", minimal.nps_used, "NPs")
    run.claim("nps_spread", "processors, spread for speed", spread.nps_used, "NPs")
    inside = sum(layer.weight_bytes for layer in minimal.layers) / 1024
    outside = sum(layer.external_bytes for layer in minimal.layers) / 1024
    run.finding(
        f"The file has {path.stat().st_size:,} bytes and gives the same outputs after reading. On as few "
        f"as {minimal.nps_used} processors, {inside:.0f} KiB of weights lie in them and {outside:.0f} KiB "
        f"in the chip's external memory; spread for speed, {spread.nps_used} of {spread.nps_total} "
        f"processors work, and {on_chip} of {len(spread.layers)} layers run on the chip."
    )


# ---------------------------------------------------------------- 5  profile


def operations(layer: Layer, received: np.ndarray) -> tuple[float, float]:
    """Multiply-accumulates of one layer per image: those that events cause, and all of them.

    ``received (N, …)`` are the levels that come in. Each one that is not 0 is multiplied by every
    weight that reads it. The input layer takes whole frames: there all are computed.
    """
    ones = np.ones_like(layer.weights)
    unpooled = Layer(layer.name, ones, layer.threshold, layer.step, layer.bits, layer.stride)
    sent = (received != 0).astype(np.uint8)
    caused = potentials(sent, unpooled).sum() / len(received)  # each event once for each read
    if layer.is_dense:
        return caused, layer.weights.size
    rows, columns = -(-received.shape[1] // layer.stride), -(-received.shape[2] // layer.stride)
    dense = float(rows * columns * layer.weights.size)
    if layer.stride > 1:  # the input converter
        return dense, dense
    return caused, dense


@torch.no_grad()
def share_read(net: nn.Module, data: ImageData) -> float:
    """Share of the test images that ``net`` reads correctly, on the CPU."""
    right = 0
    for x_b, y_b in zip(data.x_test.cpu().split(500), data.y_test.cpu().split(500), strict=True):
        right += int((best_class(net(x_b.float() / 255)) == y_b).sum())
    return right / len(data.y_test)


@section
def section_profile(cfg: Config, run: Run) -> None:
    """5  How fast, how sparse, how much energy?

    What Akida saves is work that zeros would cause. One event of level y ≠ 0 is read by f weights, its
    fan-out, and each read is one multiply-accumulate, called a synaptic operation (SynOp):

        SynOps = Σ over layers Σ over events of f           ≤ the MACs of the dense network       (5)

    Our emulator can count them: `operations` sends ones in the place of levels through ones in the
    place of weights. The input layer takes whole frames, so all of its products are computed.

    The usual alternative is INT8 on a CPU or GPU: the same network with 8-bit integers, a few lines of
    PyTorch. It is as small and almost as easy, and accuracy hardly suffers. But its arithmetic is
    dense: a zero is multiplied like any other number, and the hardware earns its speed with large
    batches, where Akida takes one image at a time.

    Energy is *estimated* here, from arithmetic alone: 0.3 pJ for multiplying two 8-bit integers and
    adding to a 32-bit sum, at 45 nm (Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9:
    0.2 pJ and 0.1 pJ). There is no figure for 4 bits, which cost less; it is an upper bound for them.
    Memory, wires and the clock are left out, and they are most of a real chip's energy.
    Watts need a meter. Where a card is present its own is read; a simulator has none, and its speed is
    this machine's and says nothing about the chip.
    """
    run.predict(
        "synops_share",
        "Compared with the same network computed densely, what share of the multiply-accumulates is "
        "left on Akida?",
        unit="%",
    )
    data = run.data(mnist)
    x, y = channels_last(data.x_test), data.y_test.cpu().numpy()
    n = len(y)
    has_akida = "akida" not in packages.missing()
    model = open_fbz(deployed(run)) if has_akida else None
    layers = layers_of(model) if has_akida else load_integers(INTEGERS)[0]
    received, events, rows, zeros, total, saved = x[:1000], 0.0, [], {}, 0.0, 0.0
    for layer in layers:
        caused, dense = operations(layer, received)
        zeros[f"into {layer.name}"] = 100 * float((received == 0).mean())
        rows.append((layer.name, zeros[f"into {layer.name}"], caused / 1000, dense / 1000))
        total, saved = total + dense, saved + caused
        if layer.bits:
            received = fire(potentials(received, layer), layer)
            events += float((received != 0).sum()) / len(received)
    share = saved / total

    title = f"Zeros are not sent: {saved / 1000:.0f} thousand operations for an image, dense "
    title += f"{total / 1000:.0f} thousand"
    fig, (left, right) = plots.figure(1, 2, (12, 4), title)
    plots.bars(left, zeros, fmt="{:.0f}")
    plots.label(left, "zeros (%)", "", "what comes into each layer")
    series = {"dense (MACs)": {}, "caused by events (SynOps)": {}}
    for name, _, caused, dense in rows:
        series["dense (MACs)"][name] = dense
        series["caused by events (SynOps)"][name] = caused
    plots.grouped_bars(right, series, fmt="{:.0f}")
    plots.label(
        right, "layer", "operations an image (thousands)", "conv1 takes frames: all of them"
    )
    run.figure(
        fig, "5_profile", look="which layer gains most from its zeros, and which gains nothing"
    )

    given: Trained = run.result_of(section_bits)
    int8 = int8_copy(given.net, data.x_train[: cfg.calibration].cpu().float() / 255)
    one = data.x_test[:1].cpu().float() / 255
    times = []
    if int8 is not None:
        for name, net in (("32-bit float, PyTorch", given.net), ("INT8, PyTorch", int8)):
            times.append((name, *latency(partial(net, one), "cpu")))
        right_int8 = share_read(int8, data)
        run.claim("accuracy_int8", "INT8 on the CPU, for comparison", right_int8, n=n, real=True)
    if has_akida:
        status = akida_status()
        device = packages.load("akida").devices()[0] if status.state == "hardware" else None
        speed = measure(copy_model(model), x, y, device)
        for line in describe_measurement(speed):
            run.print("   " + line)
        times.append((f"Akida, {speed['where']}", speed["p50_ms"], speed["p95_ms"]))
        accuracy = speed["accuracy"]
        run.claim("akida_p50", f"one image, median, {speed['where']}", speed["p50_ms"], "ms")
        for key, unit in {"chip_ms": "ms", "energy_mj": "mJ", "floor_mw": "mW"}.items():
            if key in speed:  # only where the card gave readings
                run.claim(f"meter_{key}", f"measured by the card: {key}", speed[key], unit)
    else:
        accuracy = float((logits(in_batches(x, layers), layers[-1]).argmax(1) == y).mean())
    run.claim("deployed_accuracy", "the deployed network, 8/4/4", accuracy, n=n, real=True)
    run.table("One image at a time, on this machine", ("how", "p50, ms", "p95, ms"), times)
    published_tables(run)
    power_table(run)
    run.print("   We found no primary source for the microwatts at rest that are often told")
    run.print("   of this chip, so no such figure stands here.")
    energy = estimated_energy_nj(0, saved, "int8")
    dense_energy = estimated_energy_nj(0, total, "int8")
    run.claim(
        "synops_share", "SynOps / MACs of the dense network", share, n=min(1000, n), real=True
    )
    run.claim(
        "energy_estimated", "estimated energy of arithmetic, an image", energy, "nJ", n=min(1000, n)
    )
    run.ledger(
        model="Akida CNN 8/4/4, deployed",
        data=data.name,
        accuracy=accuracy,
        n=n,
        bytes=SHIPPED.stat().st_size,
        spikes=events,
        synops=saved,
        ann_macs=total,
        energy_estimated_nj=energy,
    )
    text = f"{100 * share:.0f} % of the dense network's multiply-accumulates are left. Priced at "
    text += f"{PICOJOULES['int8'][1]} pJ each this is an estimated {energy:.0f} nJ of arithmetic an image; "
    text += f"dense INT8 would take {dense_energy:.0f} nJ by the same price."
    if int8 is not None:
        text += f" INT8 reads {100 * right_int8:.2f} % of the test images, the deployed network {100 * accuracy:.2f} %."
    run.finding(text)


# ---------------------------------------------------------------- 6  edge learning

FIRST, ADDED = 8, 2  # classes at first, and added later
NEURONS = 20  # of each class
SHOWN = (1, 5, 20, 100)  # images of each class that are learnt from


def one_bit_extractor(model: Any, images: np.ndarray, share: float = 0.2) -> Any:
    """The first three layers of ``model``; the third sends one bit: 1 where U lies above θ, else 0.

    θ is chosen for each channel so that ``share`` of its potentials for ``images`` lie above.
    """
    akida = packages.load("akida")
    first, second, third = layers_of(model)[:3]
    x = fire(potentials(images, first), first)
    x = fire(potentials(x, second), second)
    pot = potentials(x, third)  # (N, 7, 7, 16)
    extractor = akida.Model(layers=copy_model(model).layers[:2])
    channels = pot.shape[-1]
    one_bit = akida.Convolutional((3, 3), channels, name="features", weights_bits=4, act_bits=1)
    extractor.add(one_bit)
    one_bit.set_variable("weights", model.layers[2].get_variable("weights"))
    theta = np.quantile(pot.reshape(-1, channels), 1 - share, axis=0)
    one_bit.set_variable("threshold", theta.astype(np.int32))
    return extractor


def add_learner(model: Any, classes: int, ones: int) -> Any:
    """Put a layer of 1-bit weights behind ``model`` that can learn on the chip; returns ``model``."""
    akida = packages.load("akida")
    learner = akida.FullyConnected(
        classes * NEURONS, name="learner", weights_bits=1, activation=False
    )
    model.add(learner)
    rule = akida.AkidaUnsupervised(num_weights=ones, num_classes=classes, learning_competition=0.1)
    model.compile(optimizer=rule)
    return model


def only_features(shape: tuple[int, ...]) -> Any:
    """A model that takes 1-bit features ``shape`` as they are: they need to be computed only once."""
    akida = packages.load("akida")
    model = akida.Model()
    model.add(akida.InputData(tuple(shape), input_bits=1, name="in"))
    return model


def draw(y: np.ndarray, classes: range, each: int, rng: np.random.Generator) -> np.ndarray:
    """Places of ``each`` images of every class in ``classes``, in random order."""
    chosen = [rng.permutation(np.flatnonzero(y == c))[:each] for c in classes]
    return rng.permutation(np.concatenate(chosen))


@section
def section_edge(cfg: Config, run: Run) -> None:
    """6  Can the chip learn something new where it stands?

    So far all learning happened before deployment. Akida can also learn in its last layer, on the chip,
    one image after another, without gradients and without a PC. The rules are narrow: the features
    that come in have one bit, and so do the weights.

        U_n = Σ_i w_ni·x_i          w_ni, x_i ∈ {0, 1}: U counts the ones that w and x have in common

    Each neuron has a fixed number of weights that are 1. A picture and its label come in; among the
    neurons of that class the one with the largest U is the winner, and it moves some of its ones from
    inputs that are 0 in this picture to inputs that are 1 (akida calls it AkidaUnsupervised; its
    documentation names the parameters, not every detail). How many it moves, the plasticity, gets
    less with each win. This is competitive learning, close kin to the STDP of lesson 15. A neuron of
    another class is not touched, and `add_classes` only appends neurons. So what was learnt cannot be
    overwritten; it can only lose when a new neuron counts more ones in common.

    The task is one that the network was never made for: clothes (Fashion-MNIST), seen through the first
    three layers of our digit reader, the third with one bit. Twenty neurons a class.
    """
    run.predict(
        "edge_after",
        f"The chip has learnt {FIRST} kinds of clothing from 100 pictures each. Then {ADDED} more are added. "
        "By how many points does its accuracy on the first eight fall?",
        unit="points",
    )
    if "akida" in packages.missing():
        run.note("Edge learning is akida's own rule; without the package it cannot be shown here.")
        run.finding("Not measured here: on-chip learning needs akida, its simulator is enough.")
        return
    data = run.data(fashion_mnist)
    # enough training images to draw from; the extractor sees them once
    x_train, y_train = channels_last(data.x_train[:6000]), data.y_train[:6000].cpu().numpy()
    x_test, y_test = channels_last(data.x_test), data.y_test.cpu().numpy()
    model = open_fbz(SHIPPED)
    extractor = one_bit_extractor(model, x_train[: cfg.calibration])
    seen = extractor.forward(x_train)  # (N, 7, 7, 16), 0 or 1
    shown = extractor.forward(x_test)
    ones = int(
        1.2 * np.median((seen != 0).sum((1, 2, 3)))
    )  # akida's advice: a little above the median

    accuracy = np.zeros((len(SHOWN), 3))
    every = range(FIRST + ADDED)
    for i, each in enumerate(live(SHOWN, "   pictures of each class", len(SHOWN))):
        for seed in range(3):
            chosen = draw(y_train, every, each, np.random.default_rng(cfg.seed + seed))
            learner = add_learner(only_features(seen.shape[1:]), len(every), ones)
            learner.fit(seen[chosen], y_train[chosen].astype(np.int32))
            answers = learner.predict_classes(shown, num_classes=len(every))
            accuracy[i, seed] = 100 * np.mean(answers == y_test)

    rng = np.random.default_rng(cfg.seed)
    grows = add_learner(only_features(seen.shape[1:]), FIRST, ones)
    old, new = y_test < FIRST, y_test >= FIRST
    chosen = draw(y_train, range(FIRST), SHOWN[-1], rng)
    grows.fit(seen[chosen], y_train[chosen].astype(np.int32))
    weights = grows.layers[-1].get_variable("weights").copy()
    before = float(np.mean(grows.predict_classes(shown, num_classes=FIRST)[old] == y_test[old]))
    grows.add_classes(ADDED)
    chosen = draw(y_train, range(FIRST, FIRST + ADDED), SHOWN[-1], rng)
    grows.fit(seen[chosen], y_train[chosen].astype(np.int32))
    answers = grows.predict_classes(shown, num_classes=FIRST + ADDED)
    after = float(np.mean(answers[old] == y_test[old]))
    added = float(np.mean(answers[new] == y_test[new]))
    kept = grows.layers[-1].get_variable("weights")[..., : weights.shape[-1]]
    changed = int((kept != weights).sum())
    whole = add_learner(extractor, FIRST, ones)
    place = map_on_akd1000(whole).layers[-1]

    title = f"Learnt from {SHOWN[-1]} pictures of each class: {accuracy[-1].mean():.0f} % named correctly"
    fig, (left, right) = plots.figure(1, 2, (12, 4), title)
    middle = accuracy.mean(1)
    reach = np.maximum(0, (middle - accuracy.min(1), accuracy.max(1) - middle))
    left.errorbar(
        SHOWN, middle, reach, marker="o", capsize=4, label="learnt on Akida, 1-bit weights"
    )
    left.axhline(10, color="0.4", ls=":", label="guessing")
    left.set_xscale("log")
    left.set_xticks(SHOWN, SHOWN)
    left.set_ylim(0, 100)
    left.legend(loc="center right")
    plots.label(
        left,
        "pictures of each class",
        "test pictures named correctly (%)",
        "ten classes; three draws",
    )
    values = {f"first {FIRST}, before": 100 * before, f"first {FIRST}, after": 100 * after}
    values[f"the {ADDED} added"] = 100 * added
    plots.bars(right, values, fmt="{:.1f}")
    right.set_xlim(0, 100)
    plots.label(right, "test pictures named correctly (%)", "", f"{ADDED} classes added (one draw)")
    run.figure(fig, "6_edge", look="the left curve's first point; right, what adding classes costs")

    facts = {"seeds": 1, "real": True}
    lost = 100 * (before - after)
    run.claim(
        "edge_100",
        "100 pictures a class: ten kinds",
        accuracy[-1].mean() / 100,
        n=3 * len(y_test),
        seeds=3,
        real=True,
    )
    run.claim("edge_new", "the two added classes", added, n=int(new.sum()), **facts)
    run.claim(
        "edge_after", "first eight: lost by adding", lost, "points", n=int(old.sum()), **facts
    )
    run.claim("edge_changed", "old weights that adding changed", changed, "", "== 0")
    run.claim("edge_nps", "processors of the learning layer", len(place.nps), "NPs")
    run.finding(
        f"A digit reader's features and 1-bit weights name {middle[0]:.0f} % of ten kinds of clothing after "
        f"one picture of each and {middle[-1]:.0f} % after {SHOWN[-1]} (guessing: 10 %; three draws). Two "
        f"added classes are named at {100 * added:.0f} %; the first eight go from {100 * before:.1f} % to {100 * after:.1f} %, and "
        f"{plain(changed)} of their weights change. The layer takes {len(place.nps)} processor(s)."
    )


# ---------------------------------------------------------------- 7  to the Pi and back


@section
def section_pi(cfg: Config, run: Run) -> None:
    """7  To the Pi and back

    On the Raspberry Pi that carries the card there is neither PyTorch nor TensorFlow: the file is
    complete, and akida and NumPy are enough. Three commands, printed below, copy it, log in and run it.
    The same script, given --fbz, then takes another way from its first lines on. It checks the
    checksum, reads MNIST's test images, and measures.

    With a card it reports the time of one image as the host sees it; of that the chip's own part, by the
    clocks that it counts (`inference_clk`) and its clock mode; images a second; and the power that the
    card's meter reads, after a second of warm-up. What nothing measured is not printed. Bring the
    numbers back to your journal.

    Here the same program runs on this machine, in a Python of its own.
    """
    run.predict(
        "pi_accuracy",
        "The Pi's program reads the .fbz file and the test images. What share will it name correctly?",
        unit="%",
    )
    data = run.data(mnist)
    path = deployed(run)
    x, y = channels_last(data.x_test), data.y_test.cpu().numpy()
    printed, loaded = run_as_on_the_pi(Path(__file__), path, x, y)
    for line in printed:
        run.print("   | " + line)
    run.print("   To the Pi, from this folder:")
    for command in pi_commands(path):
        run.print("   $ " + command)
    run.claim("pi_loaded", "of seven large packages: loaded", len(loaded), "", "== 0")
    found = [line for line in printed if line.startswith("accuracy")]
    if not found:
        run.finding(f"The Pi's program needs akida. Here it says: {printed[-1]}")
        return
    accuracy = float(found[0].split()[1]) / 100
    run.claim(
        "pi_accuracy",
        "what the Pi's program names correctly",
        accuracy,
        n=len(data.y_test),
        real=True,
    )
    where = next(line.split(maxsplit=2)[2] for line in printed if line.startswith("runs on"))
    run.finding(
        f"With akida and NumPy alone the file names {100 * accuracy:.2f} % of {len(data.y_test):,} test images, on: "
        f"{where}. The program loaded {len(loaded)} of PyTorch, TensorFlow and the other large packages."
    )


def main(cfg: Config, run: Run) -> None:
    section_bits(cfg, run)
    section_training(cfg, run)
    section_chip(cfg, run)
    section_file(cfg, run)
    section_profile(cfg, run)
    section_edge(cfg, run)
    section_pi(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
