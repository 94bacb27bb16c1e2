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
    levels. At the threshold θ or below nothing is sent. Above it every started step of Δ units makes
    one more level y: level 1 begins at θ + 1, level 2 at the first whole number above θ + Δ, where
    the chip cuts Δ down to a multiple of 2^−b. With ⌈ ⌉ for rounding up, ⌊ ⌋ for rounding down:

        y = ⌈2^b·(U − θ) / ⌊2^b·Δ⌋⌉         cut off at 0 and at 2^b − 1; θ is an integer       (3)

    A level 0 is not sent and costs nothing. Akida runs such a network once for each image: there is
    no membrane that lasts over time and no number of steps.

Read first
    Theory     Akida documentation and model zoo, https://doc.brainchipinc.com/
               SpikeFit (Kartashov et al. 2025), https://arxiv.org/abs/2510.15542
    Practice   lesson 12 (the mesh of the AKD1000), lesson 16 (conversion)

Run
    uv run 19_akida_deployment.py --predict   asks what you expect, then measures it: start here
    uv run 19_akida_deployment.py             four minutes on two CPU cores; also --only 3
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
from dataclasses import dataclass, field, replace
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
from akd1000.edge import draw, nearest, one_bit_extractor, only_features
from akd1000.fbz import open_fbz, pi_commands, save_fbz
from akd1000.integers import Layer, layers_of, load_integers
from akd1000.mesh import copy_model, map_on_akd1000
from akd1000.pi import run_as_on_the_pi
from akd1000.published import power_table, published_tables
from akd1000.training import int8_copy, train_quantised
from common import plots
from common.akida import akida_status
from common.claims import plain
from common.cost import PICOJOULES, ann_macs, estimated_energy_nj, latency
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


def least_error_clip(w: np.ndarray, bits: int) -> np.ndarray:
    """Cut each channel's weights ``(…, O)`` off where (1) then makes the least squared error."""
    inputs = tuple(range(w.ndim - 1))
    largest = np.abs(w).max(axis=inputs)  # (O,)
    best, least = w, np.full(w.shape[-1], np.inf)
    for share in np.linspace(0.2, 1.0, 33):
        clipped = np.clip(w, -share * largest, share * largest)
        q, s = quantise_weights(clipped, bits)
        error = ((s * q - w) ** 2).sum(axis=inputs)  # (O,)
        best = np.where(error < least, clipped, best)
        least = np.minimum(error, least)
    return best


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
    smaller than half a step becomes 0. With few bits that is a poor choice: a single large weight
    costs all others their value. `least_error_clip` looks for a better one, by cutting the largest
    weights off. With one bit (1) divides by 2⁰ − 1 = 0: it has no answer. One needs another rule
    there, such as keeping the sign, ŵ = ±mean|w|.

    An activation is never negative, so it needs no sign: b bits give the levels 0 … 2^b − 1, spread
    evenly from 0 to the largest activation. Level 0 is special, because then nothing is sent.

    Why so few bits? A chip of this kind keeps its weights in small memories right beside the
    arithmetic, and reading a weight from far away costs more energy than multiplying with it. The
    50,176 weights of this network's first dense layer take 196 KiB in 32-bit float and 24.5 KiB in 4.
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
        top.hist(share, bins=np.arange(-15, 17) / 14 - 1 / 28, weights=weight, color=plots.BLUE)
        top.set_yscale("log")
        top.set_ylim(0.05, 100)
        top.set_title(name if name != "1 bit" else "1 bit: one size a channel")
        shown = one_map
        if name != "32-bit float":
            bits = int(name[0])
            shown = quantise_activation(one_map, bits, top_level) * top_level / (2**bits - 1)
        below.imshow(shown, cmap="gray", vmin=0, vmax=top_level)
        values = len(np.unique(shown))
        below.set_xlabel(f"{values} grey levels, {100 * np.mean(shown == 0):.0f} % are 0")
        below.set_xticks([])
        below.set_yticks([])
        below.grid(False)
    axes[0, 2].set_xlabel("weight of conv2 / largest of its channel")
    axes[0, 0].set_ylabel("weights (%, log scale)")
    axes[1, 0].set_ylabel("one map of conv1's activations")
    run.figure(
        fig,
        "1_bits",
        look="on how few values the weights stand; from which width on the background is 0",
    )

    def lost(name: str) -> float:
        """Size of the rounding error as a share of the size of the weights (root mean squares)."""
        return float(np.sqrt(np.mean((rounded[name] - w) ** 2) / np.mean(w**2)))

    q, s = quantise_weights(least_error_clip(w, 2), 2)
    rounded["2 bits, clipped"] = s * q
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
    text = f"The error that rounding makes is {100 * lost('8 bits'):.1f} % of the size of conv2's weights "
    text += f"with 8 bits, {100 * lost('4 bits'):.0f} % with 4 and {100 * lost('2 bits'):.0f} % with 2, where "
    text += f"{100 * zeros:.0f} % of them become 0. Signs alone, one bit, make it {100 * lost('1 bit'):.0f} %. "
    if lost("1 bit") < lost("2 bits"):
        text += "So the scale is to blame, which a single large weight decides: "
    text += f"with the largest weights cut off, 2 bits lose {100 * lost('2 bits, clipped'):.0f} %."
    run.finding(text)
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
    """One bit width: the quantised Keras network, trained, and its akida model."""

    bits: tuple[int, int, int]
    quantised: Any
    model: Any
    ptq: np.ndarray
    """which test images it reads correctly, rounded after training"""
    qat: np.ndarray
    """and trained with the rounding"""


@dataclass
class Quantised:
    """What section 2 leaves; ``widths`` is empty where the Akida packages are missing."""

    twin: Any = None
    widths: dict[str, Width] = field(default_factory=dict)


def name_of(bits: tuple[int, int, int]) -> str:
    """(8, 4, 4) → "8/4/4"."""
    return "/".join(str(b) for b in bits)


def where() -> str:
    """What computed in akida's place: the chip, or its simulator."""
    return "on the chip" if akida_status().state == "hardware" else "in akida's simulator"


def right_on_akida(model: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which images an akida model reads correctly, on the chip or in its simulator: ``(N,)`` of bool."""
    return akida_outputs(model, x).argmax(1) == y


def copy_of(twin: Any, clip: float, bits: int = 0) -> Any:
    """The same tf_keras network once more; with ``bits``, its hidden weights cut off for that width."""
    other = keras_twin(clip)
    for name in ("conv1", "conv2", "conv3", "fc1", "fc2"):
        w, bias = twin.get_layer(name).get_weights()
        if bits and name != "conv1":
            w = least_error_clip(w, bits)
        other.get_layer(name).set_weights([w, bias])
    return other


def to_blame(plain_ptq: float, better_scales: float, four_bits: float) -> str:
    """Which of two repairs of a rounded network helps more, in words; shares of images read correctly."""
    if max(better_scales, four_bits) <= plain_ptq:
        return "neither helps"
    if better_scales > four_bits:
        return "it is the weights' scale more than the activations"
    return "it is the activations more than the weights' scale"


def compared(a: np.ndarray, b: np.ndarray) -> str:
    """Two networks on the same images, given which each reads correctly: the difference in words.

    Only images count that one of them reads and the other does not. If both were equally good, their
    two numbers would differ by less than twice the square root of their sum, 19 times of 20.
    """
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    points = f"{100 * (only_b - only_a) / len(a):+.2f} points".replace("-", "−")
    if abs(only_a - only_b) < 2 * np.sqrt(only_a + only_b):
        return f"{points}, no more than chance"
    return points


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

    Behind its input layer the AKD1000 takes weights and activations of 1, 2 or 4 bits; the weights of the
    input layer may have 8 (https://doc.brainchipinc.com/user_guide/1.0_hw_constraints.html). Three widths
    are tried, written input weights/weights/activations: 8/4/4, 4/4/4 and 8/2/2. One bit is not among them: (1)
    has no scale for it, and quantizeml stops there (section 4).

    Three more arms say what a gain or a loss is owed to. The float network is trained on for as many
    passes as the others: is it the passes? At the lowest width PTQ gets the better scales of section
    1: is it the weights' scale? And 8/2/4 is PTQ with 2-bit weights but 4-bit activations: is it the
    activations?
    There is more to be had than is shown here: SpikeFit (Kartashov et al. 2025) also learns which few
    values the weights may take, and prunes, that is removes, synapses that matter little.
    """
    run.predict(
        "ptq_822",
        "The finished network is rounded to 2-bit weights and activations (8-bit weights in the first "
        "layer), without further training. What share of the test images does it still read?",
        unit="%",
    )
    given: Trained = run.result_of(section_bits)
    data = given.data
    n = len(data.y_test)
    batch = data.x_train[:64].cpu().float() / 255
    learn_rounded = share_that_learns(given.net, batch, data.y_train[:64].cpu(), round_weights)
    learn = share_that_learns(given.net, batch, data.y_train[:64].cpu(), straight_through)
    learnt = f"Plainly rounded, {100 * learn_rounded:.0f} % of conv2's weights get a gradient, "
    learnt += f"straight-through {100 * learn:.0f} %."
    missing = packages.missing()
    if missing:
        run.note(
            f"Not installed: {', '.join(missing)}. 'uv pip install -r requirements-pc.txt' on Linux or "
            "Windows (Python 3.11, 3.12) brings them; macOS has no wheels. The trainings of this "
            "section are left out; our own run's numbers stand in RESULTS.md."
        )
        run.finding(f"{learnt} How accurate that makes a network needs TensorFlow and akida.")
        return Quantised()

    flat = {"fc1": (16, 7, 7)}  # what fc1 reads, (C, H, W) in PyTorch
    twin = copy_weights(given.net, keras_twin(cfg.activation_clip), flat)
    x = channels_last(data.x_test)
    y = data.y_test.cpu().numpy()
    longer = copy_of(twin, cfg.activation_clip)
    train_with_rounding(longer, data, cfg)  # nothing is rounded in it: a float network
    longer = keras_outputs(longer, x).argmax(1) == y
    made = Quantised(twin)
    widths = WIDTHS[: 1 if cfg.smoke else None]
    for bits in live(widths, "   widths", len(widths)):
        quantised, rounded = quantise(twin, data, cfg, bits)
        ptq = right_on_akida(rounded, x, y)
        train_with_rounding(quantised, data, cfg)
        model = convert_quantised(quantised, twin, name_of(bits))
        qat = right_on_akida(model, x, y)
        made.widths[name_of(bits)] = Width(bits, quantised, model, ptq, qat)
    save_fbz(made.widths["8/4/4"].model, run.dir / SHIPPED.name)
    first = made.widths["8/4/4"]
    lowest = list(made.widths.values())[-1]
    _, clipped = quantise(
        copy_of(twin, cfg.activation_clip, lowest.bits[1]), data, cfg, lowest.bits
    )
    ptq_clipped = right_on_akida(clipped, x, y).mean()

    after, during = "rounded after training (PTQ)", "trained with rounding (QAT)"
    rows = [("32-bit float", "", f"{100 * given.accuracy:.2f} %")]
    rows += [("float, as many passes more", "", f"{100 * longer.mean():.2f} %")]
    series = {after: {}, during: {}}
    for name, width in made.widths.items():
        ptq = 100 * width.ptq.mean()
        qat = 100 * width.qat.mean()
        rows.append((name, f"{ptq:.2f} %", f"{qat:.2f} %"))
        series[after][name] = 100 - ptq
        series[during][name] = 100 - qat
    last = name_of(lowest.bits)
    rows.append((f"{last}, better scales", f"{100 * ptq_clipped:.2f} %", ""))
    blame = f"better weight scales give {100 * ptq_clipped:.1f} %"
    if not cfg.smoke:  # are the weights to blame, or the activations?
        _, rounded = quantise(twin, data, cfg, (8, 2, 4))
        four_bits = right_on_akida(rounded, x, y).mean()
        rows.append(("8/2/4: 4-bit activations", f"{100 * four_bits:.2f} %", ""))
        blame += f", 4-bit activations (8/2/4) {100 * four_bits:.1f} %: "
        blame += to_blame(lowest.ptq.mean(), ptq_clipped, four_bits)
    columns = ("bits", "rounded after", "trained with it")
    run.table("Test images read correctly (one training each)", columns, rows)

    clipped_error = 100 * (1 - ptq_clipped)
    title = (
        f"Errors at {last}: {series[after][last]:.1f} % rounded, {clipped_error:.1f} % with better "
    )
    title += f"scales, {series[during][last]:.1f} % trained"
    fig, ax = plots.figure(1, 1, (9.5, 4.2), title)
    plots.grouped_bars(ax, series, fmt="{:.2f}")
    error = 100 * (1 - longer.mean())
    line = f"float, trained as long ({error:.2f} %)"
    ax.axhline(error, color="black", ls="--", lw=1.2, zorder=0, label=line)
    place = len(made.widths) - 1.2  # upon the last PTQ bar
    mark = {"marker": "D", "color": "black", "mfc": "white", "ls": "none"}
    ax.plot(place, clipped_error, label=f"PTQ with better scales ({clipped_error:.1f} %)", **mark)
    ax.set_yscale("log")
    ax.margins(y=0.2)
    ax.legend(loc="upper left")
    plots.label(ax, "bits: input weights / weights / activations", "test errors (%, log scale)")
    run.figure(fig, "2_training", look="which pair of bars differs; the axis is logarithmic")

    facts = {"n": n, "seeds": 1, "real": True}
    run.claim("qat_844", "8/4/4, QAT, on Akida", first.qat.mean(), target=">= 0.98", **facts)
    if not cfg.smoke:
        four = made.widths["4/4/4"].qat.mean()
        run.claim("qat_444", "4/4/4, QAT, on Akida", four, target=">= 0.98", **facts)
        run.claim("ptq_822", "8/2/2, PTQ, on Akida", lowest.ptq.mean(), **facts)
        run.claim("ptq_clipped", "8/2/2, PTQ with better scales", ptq_clipped, **facts)
        run.claim("qat_822", "8/2/2, QAT, on Akida", lowest.qat.mean(), **facts)
    run.ledger(
        model="Akida CNN 8/4/4 (QAT)",
        data=data.name,
        accuracy=first.qat.mean(),
        n=n,
        parameters=sum(p.numel() for p in given.net.parameters()),
        bytes=(run.dir / SHIPPED.name).stat().st_size,
    )
    text = f"At 8/4/4 the network reads {100 * first.qat.mean():.2f} % {where()}, in float, trained as long, "
    text += f"{100 * longer.mean():.2f} %: a difference of {compared(longer, first.qat)}. At {last} rounding after training "
    text += f"leaves {100 * lowest.ptq.mean():.1f} %; {blame}. Training with the rounding "
    text += f"gives {100 * lowest.qat.mean():.1f} % (one training, {cfg.qat_epochs} passes over {cfg.qat_images:,} "
    text += f"images: more might give more). {learnt}"
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
    above, left = high // 2, wide // 2  # the odd row stands below, the odd column at the right
    vertical = (above, high - above)
    horizontal = (left, wide - left)
    x = np.pad(x, ((0, 0), vertical, horizontal, (0, 0)))
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


def both_rules(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whole potentials ``(U,)`` that matter to a layer, and its levels for each by (3) and (4), ``(U, O)``."""
    far = int((layer.step * 2**layer.bits).max() + np.abs(layer.threshold).max())
    units = np.arange(-far, far)
    every = np.repeat(units[:, None], len(layer.step), 1)
    return units, fire(every, layer), fire_like_keras(every, layer)


def boundaries_moved(layer: Layer) -> np.ndarray:
    """How many of a channel's 2^b − 1 boundaries between levels (3) and (4) put elsewhere: ``(O,)``."""
    _, ours, theirs = both_rules(layer)
    moved = np.zeros(len(layer.step), int)
    for level in range(1, 2**layer.bits):
        differ = (ours >= level) != (theirs >= level)  # (U, O)
        moved += differ.any(0)
    return moved


def in_batches(x: np.ndarray, layers: list[Layer], rule: Any = fire, size: int = 500) -> np.ndarray:
    """``run_on_integers`` for many images, a few hundred at a time: ``(N, 10)``."""
    parts = [run_on_integers(x[i : i + size], layers, rule) for i in range(0, len(x), size)]
    return np.concatenate(parts)


def even_scales(bits: int, w: np.ndarray, rate: float = 1.0) -> np.ndarray:
    """Weights whose scale (1), times ``rate``, is a power of two in each channel: the nearest such.

    Clips what lies above the new largest value, and puts the channel's largest weight upon it. ``rate``:
    quantizeml multiplies what the layer sends on by it, so that the largest activation meets the top level.
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
    """One network: for what shares of the images the emulator, Akida and quantised Keras agree."""

    emulator: float
    """the emulator's ten output integers equal Akida's"""
    right: np.ndarray
    """for each image: does Akida give the right class?"""
    same_class: float | None = None
    """Akida and the quantised Keras network give the same class"""
    keras_rule: float | None = None
    """the emulator with Keras's rule gives the ten outputs of the quantised Keras network"""


def check(x: np.ndarray, y: np.ndarray, model: Any, quantised: Any = None) -> Checked:
    """Run ``x`` through the emulator, Akida and, if given, the quantised Keras network, and compare."""
    layers = layers_of(model)
    last = layers[-1]
    on_akida = akida_outputs(model, x)  # (N, 10)
    in_units = np.rint(on_akida * last.step) + last.threshold  # back to whole potentials
    emulator = float((in_batches(x, layers) == in_units).all(1).mean())
    right = on_akida.argmax(1) == y
    if quantised is None:
        return Checked(emulator, right)
    by_keras = keras_outputs(quantised, x)
    same_class = float((on_akida.argmax(1) == by_keras.argmax(1)).mean())
    like_keras = logits(in_batches(x, layers, fire_like_keras), last)
    keras_rule = float(np.isclose(like_keras, by_keras, atol=1e-3).all(1).mean())
    return Checked(emulator, right, same_class, keras_rule)


@section
def section_chip(cfg: Config, run: Run) -> dict[str, Checked]:
    """3  What does the chip compute, and why does Keras disagree?

    Four functions above are all of it, forty lines of NumPy: `convolve` and `potentials` multiply
    levels by integer weights and add up, `fire` is equation (3), `run_on_integers` goes through the
    layers. Up to the potentials of the last layer everything is whole: θ, the weights, ⌊2^b·Δ⌋. A real
    number comes in only at the end, where `logits` divides the potential of each class by its own Δ so
    that the ten can be compared.

    Such a chip is event-driven: only levels other than 0 are sent, and each does the work of up to
    2^b − 1 spikes of lesson 01. Sums of integers do not depend on their order, so neither does the
    result on the order of events. We compare with akida's simulator, which is meant to compute what
    the chip computes. Whether your card does so is what --fbz tells you on the Pi (section 7).

    quantizeml's layer, in which the training ran, adds its bias, a whole number, to U, divides by Δ
    and takes the nearest level, halves upwards:

        y = ⌊(U + bias)/Δ + 1/2⌋          so level k begins at U + bias = (k − 1/2)·Δ            (4)

    cnn2snn turns that into (3): it writes round(Δ/2) − bias into θ, a whole number. Three things differ
    then. Half a step is rounded, by up to half a unit of potential. A potential that lies exactly on a
    boundary goes down in (3) and up in (4). And (3) cuts Δ down to a multiple of 2^−b. With 4 bits less
    than a sixteenth is lost from each of at most 14 steps, so an upper level may begin one unit early.
    With 2 bits that changes nothing: Δ becomes a multiple of ¼ and 2·Δ one of ½, and rounding down to
    these never passes a whole number. Potentials are whole, so boundaries move by whole units, nearly
    always by one. How much that is depends on Δ.

    What would make the two agree? Take Δ = 4 and no bias. Half a step is 2, nothing is rounded. But
    U = 2 lies on the boundary of level 1: (4) sends 1 and (3) sends 0. Now take Δ = 4·256/255 = 4.016.
    The first boundary is 2.008, round(Δ/2) is still 2, and in both U = 2 sends 0 and U = 3 sends 1.
    That is what we want: steps a little above an even number.

    How does one get them? Δ is one level that the layer sends on, divided by s times one level that
    comes in. quantizeml takes a power of two for both levels, but then multiplies what the layer sends
    on by one more factor, the `rate`, so that the largest activation meets the top level:

        Δ = (level out) / (s · rate · level in)

    Say that the levels are 1/2 and 1/4 and the rate is 1.25. A channel with s = 0.37 has Δ = 4.32. If its
    largest weight is moved so that s = 0.4, then s·rate is 1/2, a power of two, and Δ = 4. So Δ is a
    power of two as well, and even as soon as it is 2 or more. The little above comes by itself: the
    library keeps 1/Δ in eight bits, whose largest number is 255 and not 256, so 1/4 = 256/1024 becomes
    255/1024. `even_scales` moves each channel's largest weight in that way after every update of the
    training. It costs the training some freedom; whether also accuracy, the finding says.
    """
    run.predict(
        "agree_822",
        "At 8/2/2, quantised Keras network and Akida have the same integers for weights. For what share "
        "of the test images do they name the same class?",
        unit="%",
    )
    given: Trained = run.result_of(section_bits)
    data = given.data
    x = channels_last(data.x_test)
    y = data.y_test.cpu().numpy()
    n = len(y)
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
    if made.widths:
        for name, width in live(made.widths.items(), "   comparing", len(made.widths)):
            checked[name] = check(x, y, width.model, width.quantised)
        narrowest = list(made.widths.values())[-1]
        last = name_of(narrowest.bits)
        drawn = narrowest.model
        third = {name: layers_of(made.widths[name].model)[2] for name in ("8/4/4", last)}  # conv3
        even, _ = quantise(made.twin, data, cfg, narrowest.bits)
        train_with_rounding(even, data, cfg, partial(even_scales, narrowest.bits[1]))
        even_model = convert_quantised(even, made.twin, last)
        checked[f"{last}, even steps"] = check(x, y, even_model, even)
    else:
        last = "shipped 8/4/4"
        drawn = open_fbz(SHIPPED)
        third = {last: layers_of(drawn)[2]}
        checked[last] = check(x, y, drawn)
    noise = np.random.default_rng(cfg.seed).integers(0, 256, x[:500].shape, dtype=np.uint8)
    checked[f"{last}, noise"] = check(noise, y[:500], drawn)

    rows = []
    for name, found in checked.items():
        cells = [name, f"{100 * found.emulator:.2f} %", "", "", ""]
        if found.same_class is not None:
            shares = (found.keras_rule, found.same_class, found.right.mean())
            cells[2:] = [f"{100 * share:.2f} %" for share in shares]
        rows.append(cells)
    columns = ("network", "(3) = Akida", "(4) = Keras", "same class", "read correctly")
    run.table("Shares of the test images (last row: of pictures of noise)", columns, rows)

    fig, axes = plots.figure(1, len(third) + 1, (4.6 * (len(third) + 1), 4))
    units_shown, moved = [], []
    for ax, (name, layer) in zip(axes, third.items(), strict=False):
        units, ours, theirs = both_rules(layer)
        boundaries = 2**layer.bits - 1
        here = boundaries_moved(layer)  # (O,)
        moved.append(f"{100 * here.mean() / boundaries:.0f} %")
        at = here.argmax()  # the channel with most boundaries moved
        units_shown.append(f"{100 / layer.step[at]:.0f} % of a step at {name}")
        first = int((theirs[:, at] > 0).argmax())  # where its first level begins
        piece = slice(max(0, first - 2), first + int(2.6 * layer.step[at]) + 2)
        for level, look, rule in ((ours, "-", "Akida, (3)"), (theirs, "--", "Keras, (4)")):
            ax.step(units[piece], level[piece, at], where="post", ls=look, label=rule)
        ax.legend(loc="lower right")
        ax.set_yticks(range(4))
        what = f"{name}, Δ = {layer.step[at]:.1f}: of conv3's channels\nthe one with most boundaries moved, "
        what += f"{here[at]} of {boundaries}"
        plots.label(ax, "potential U (whole numbers)", "level sent on", what)
    shares = {}
    for name, found in checked.items():
        if found.same_class is not None:
            shares[name.replace(", ", ",\n")] = 100 * found.same_class
    plots.bars(axes[-1], shares or {"no Keras here": 0.0}, fmt="{:.2f}")
    lowest = max(0.0, min(shares.values(), default=0.0) - 2)
    axes[-1].set_xlim(lowest, 100 + 0.3 * (100 - lowest))
    axes[-1].set_xticks([tick for tick in axes[-1].get_xticks() if lowest <= tick <= 100])
    plots.label(
        axes[-1], "test images (%; the axis is cut)", "", "Akida and Keras name the same class"
    )
    title = f"In the channels shown one unit of potential is {' and '.join(units_shown)}"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "3_chip", look="how large the same small shift is beside a step")

    emulator = min(c.emulator for c in checked.values())
    run.claim(
        "emulator_equal", "emulator = Akida, all ten outputs", emulator, target="== 1", **facts
    )
    text = f"The forty lines give Akida's ten outputs for {100 * emulator:.2f} % of all images, of every network "
    text += "here and of random pixels."
    if made.widths:
        as_trained = [checked[name] for name in made.widths]
        plainly, evenly = checked[last], checked[f"{last}, even steps"]
        keras_rule = min(c.keras_rule for c in as_trained)
        lowest = min(c.same_class for c in [*as_trained[:-1], evenly])
        run.claim("keras_rule", "with rule (4): = quantised Keras", keras_rule, **facts)
        run.claim("agree_822", "8/2/2: Akida, Keras: same class", plainly.same_class, **facts)
        run.claim("agree_822_even", "8/2/2, even steps: same class", evenly.same_class, **facts)
        run.claim(
            "agree_lowest", "lowest of 8/4/4, 4/4/4, even 8/2/2", lowest, target=">= 0.995", **facts
        )
        text += " With (4) in its place they give the quantised Keras network's for "
        text += f"{100 * keras_rule:.2f} %: the two differ in this rule alone. Of conv3's boundaries {' and '.join(moved)} "
        text += f"move ({' and '.join(third)}), by a unit that is "
        unit = [f"{100 * np.median(1 / layer.step):.0f} %" for layer in third.values()]
        text += f"{' and '.join(unit)} of a step (median). At {last} the two name different "
        text += f"classes for {100 * (1 - plainly.same_class):.1f} % of the images, with even steps for "
        text += f"{100 * (1 - evenly.same_class):.2f} %. "
        steps = np.concatenate([layer.step for layer in layers_of(even_model)[1:-1]])
        text += f"The even steps are Δ from {steps.min():.2f} to {steps.max():.2f} in the hidden layers behind conv1. With them "
        text += f"Akida reads {100 * evenly.right.mean():.1f} %, without them {100 * plainly.right.mean():.1f} %: "
        text += f"{compared(plainly.right, evenly.right)} (one training each)."
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
        return "partly in software", f"on the host: {', '.join(mapping.fallbacks)}"
    return "whole on the chip", ""


@section
def section_file(cfg: Config, run: Run) -> None:
    """4  What is in the file, and where does it sit on the chip?

    An .fbz file holds, layer by layer, what section 3 computed with: the kind of layer and its sizes,
    integer weights (one byte each), thresholds θ and steps Δ. Nothing of the training is left in it,
    and no float weights. akida does not check such a file: one that is cut short may load all the same, or
    crash. So a SHA-256 checksum travels with it, and `save_fbz` reads back what it has written.

    The AKD1000 has 20 nodes in a mesh of wires. Each node has up to four neural processors (NPs), each
    with a memory of its own. Most compute convolutions; some can hold a dense layer instead and have
    more memory. An event goes, as a packet (place, channel, level), from the NP that fired to those
    that hold the layer behind it; there it is multiplied by all weights that read it. The input layer
    sits in a converter beside the mesh, which takes whole frames. `akida.AKD1000()` is a virtual chip,
    on which one can place a network without owning the card: either on as few NPs as possible, or
    spread for speed, where several NPs hold the same filters and each takes a part of the image.

    Not everything fits, and some of it fails silently. Where quantizeml meets a layer that it cannot
    round, it stops with a warning, and cnn2snn converts what came before. So count the layers and
    look at the shape of the output after every conversion. A third case is announced: the chip cannot
    hand the output of max pooling to a dense layer, so the host computes that part.
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
    run.claim("nps_minimal", "processors, as few as possible", minimal.nps_used, "")
    run.claim("nps_spread", "processors, spread for speed", spread.nps_used, "")
    inside = sum(layer.weight_bytes for layer in minimal.layers) / 1024
    weights = sum(layer.weights.size for layer in layers)
    bits = 4 * weights + 4 * layers[0].weights.size  # 8 in the first layer
    bare = bits / 8 / 1024
    run.finding(
        f"{weights:,} weights of 4 bits (8 in conv1) would be {bare:.1f} "
        f"KiB; as the processors store them, by akida's account, they take {inside:.1f} KiB; the file, with a byte for each weight, has {path.stat().st_size:,} bytes. The "
        f"network sits on {minimal.nps_used} processors at least, or is spread over {spread.nps_used} of "
        f"{spread.nps_total}, and the chip computes {on_chip} of its {len(spread.layers)} layers."
    )


# ---------------------------------------------------------------- 5  profile


def operations(layer: Layer, received: np.ndarray, frames: bool = False) -> tuple[float, float]:
    """Multiply-accumulates of one layer per image: those that events cause, and all of them.

    ``received (N, …)`` are the levels that come in. Each one that is not 0 is multiplied by every
    weight that reads it; without zeros, all are. Products with the padding count on neither side.
    ``frames``: the layer takes whole frames, as the input layer does, and computes all of them.
    """
    unpooled = replace(layer, weights=np.ones_like(layer.weights), pool=1)
    caused = potentials((received != 0).astype(np.uint8), unpooled).sum() / len(received)
    dense = potentials(np.ones_like(received[:1]), unpooled).sum()
    if frames:
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
    dense: a zero is multiplied like any other number. A GPU earns its speed with large batches, as
    lesson 12 measures, while Akida takes one image at a time; on a network as small as this one, even
    INT8 on a CPU may be no faster than float.

    Energy is *estimated* here, from arithmetic alone: 0.3 pJ for multiplying two 8-bit integers and
    adding to a 32-bit sum, at 45 nm (Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9:
    0.2 pJ and 0.1 pJ). There is no figure for 4 bits, which cost less; it is an upper bound for them.
    Memory, wires and the clock are left out, and so is what it costs to send an event. How much they are
    nobody has measured for this network. The figures published below are of other networks: less than
    250 mW from one source and 1.6 ms for an image from another allow up to 0.4 mJ, thousands of times
    as much as the arithmetic here. That is no figure for this network, but it warns: the estimate
    compares operations, not chips. Watts need a meter. Where a card is present its own is read; a
    simulator has none, and its speed is this machine's: it says nothing about the chip.
    """
    run.predict(
        "synops_share",
        "Compared with the same network computed densely, what share of the multiply-accumulates is "
        "left on Akida?",
        unit="%",
    )
    data = run.data(mnist)
    x = channels_last(data.x_test)
    y = data.y_test.cpu().numpy()
    n = len(y)
    has_akida = "akida" not in packages.missing()
    model = open_fbz(deployed(run)) if has_akida else None
    layers = layers_of(model) if has_akida else load_integers(INTEGERS)[0]
    received, events, rows, zeros, total, saved = x[:1000], 0.0, [], {}, 0.0, 0.0
    for layer in layers:
        caused, dense = operations(layer, received, frames=layer is layers[0])
        zeros[f"into {layer.name}"] = 100 * float((received == 0).mean())
        rows.append((layer.name, zeros[f"into {layer.name}"], caused / 1000, dense / 1000))
        total, saved = total + dense, saved + caused
        if layer.bits:
            received = fire(potentials(received, layer), layer)
            events += float((received != 0).sum()) / len(received)
    share = saved / total

    title = f"{saved / 1000:.0f} thousand operations for an image instead of {total / 1000:.0f} thousand; "
    title += "conv1 computes all of its own"
    fig, (left, right) = plots.figure(1, 2, (12, 4), title)
    plots.bars(left, zeros, fmt="{:.0f}")
    plots.label(left, "zeros (%)", "", "what comes into each layer")
    series = {"dense (MACs)": {}, "caused by events (SynOps)": {}}
    for name, _, caused, dense in rows:
        series["dense (MACs)"][name] = dense
        series["caused by events (SynOps)"][name] = caused
    plots.grouped_bars(right, series, fmt="{:.3g}")
    plots.label(
        right, "layer", "operations an image (thousands)", "products with the padding not counted"
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
            if not line.startswith(("latency", "accuracy")):  # they stand below
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
        ann_macs=ann_macs(given.net, one),
        energy_estimated_nj=energy,
    )
    text = f"{100 * share:.0f} % of the dense network's multiply-accumulates are left, products with the "
    text += "padding counted on neither side. Priced at "
    text += f"{PICOJOULES['int8'][1]} pJ each this is an estimated {energy:.0f} nJ of arithmetic an image; "
    text += f"dense INT8 would take {dense_energy:.0f} nJ by the same price, so this is the same share once more, and "
    text += "sending an event is priced at nothing."
    if int8 is not None:
        text += f" INT8 reads {100 * right_int8:.2f} % of the test images, the deployed network {100 * accuracy:.2f} %."
    run.finding(text)


# ---------------------------------------------------------------- 6  edge learning

FIRST, ADDED = 8, 2  # classes at first, and added later
NEURONS = 20  # of each class
PICTURES = (1, 5, 20, 100)  # of each class, to learn from
DRAWS = 3  # of those pictures


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


@section
def section_edge(cfg: Config, run: Run) -> None:
    """6  Can the chip learn something new where it stands?

    So far all learning happened before deployment. Akida can also learn in its last layer, on the chip,
    one picture after another, without gradients and without a PC. The rules are narrow: the features
    that come in have one bit, and so do the weights. (The chip always could compute with 1-bit weights;
    it is rule (1) that has no scale for them.)

        U_n = Σ_i w_ni·x_i          w_ni, x_i ∈ {0, 1}: U counts the ones that w and x have in common

    Each neuron has a fixed number of weights that are 1, at random places at first. A picture and its
    label come in. Among the neurons of that class the one with the largest U is the winner, and it
    moves some of its ones from inputs that are 0 in this picture to inputs that are 1. The share that
    it moves, its plasticity, falls with each win, so that early winners keep what they have. akida
    calls the rule AkidaUnsupervised and documents its parameters, not every detail. It is competitive
    learning, close kin to the STDP of lesson 15. Neurons of another class are not touched, and
    `add_classes` only appends neurons. So nothing learnt is overwritten; it can only lose against a
    new neuron that has more ones in common with the picture.

    Eight kinds are learnt, then two are added. If the first eight fall by that, the learner need not have
    forgotten anything: to pick one answer out of ten is harder than out of eight. So a second learner
    gets all ten kinds at once, and is scored on the same eight.

    The task is one that the network was never made for: clothes (Fashion-MNIST), seen through the first
    three layers of our digit reader, the third with one bit. There are twenty neurons a class, each with
    1.2 times as many ones as a training picture has (median). akida draws the first weights itself and
    takes no seed, so these numbers move by a point or so from run to run. Beside it stands
    what can be had from the same pictures and bits if one may keep all of them: the nearest one.
    """
    run.predict(
        "edge_after",
        f"The chip has learnt {FIRST} kinds of clothing from {PICTURES[-1]} pictures each. Then {ADDED} more are "
        "added. By how many points does its accuracy on the first eight fall?",
        unit="points",
    )
    if "akida" in packages.missing():
        run.note("Edge learning is akida's own rule; without the package it cannot be shown here.")
        run.finding("Not measured here: on-chip learning needs akida; its simulator is enough.")
        return
    data = run.data(fashion_mnist)
    x_train = channels_last(data.x_train[:6000])
    y_train = data.y_train[:6000].cpu().numpy()
    x_test = channels_last(data.x_test)
    y_test = data.y_test.cpu().numpy()
    model = open_fbz(SHIPPED)
    extractor = one_bit_extractor(model, x_train[: cfg.calibration])
    train = extractor.forward(x_train)  # (N, 7, 7, 16), 0 or 1
    test = extractor.forward(x_test)
    ones = int(1.2 * np.median((train != 0).sum((1, 2, 3))))  # a little more than a picture has

    every = range(FIRST + ADDED)
    on_chip, by_nearest, at_once = np.zeros((3, len(PICTURES), DRAWS))
    growing = np.zeros((DRAWS, 3))  # first classes before and after, added classes
    old, changed = y_test < FIRST, 0
    for seed in live(range(DRAWS), "   draws of pictures", DRAWS):
        rng = np.random.default_rng(cfg.seed + seed)
        for i, each in enumerate(PICTURES):
            chosen = draw(y_train, every, each, rng)
            learner = add_learner(only_features(train.shape[1:]), len(every), ones)
            learner.fit(train[chosen], y_train[chosen].astype(np.int32))
            named = learner.predict_classes(test, num_classes=len(every)) == y_test
            on_chip[i, seed] = 100 * named.mean()
            at_once[i, seed] = 100 * named[old].mean()  # the first classes, all learnt together
            answers = nearest(train[chosen], y_train[chosen], test)
            by_nearest[i, seed] = 100 * np.mean(answers == y_test)
        grows = add_learner(only_features(train.shape[1:]), FIRST, ones)
        chosen = draw(y_train, range(FIRST), PICTURES[-1], rng)
        grows.fit(train[chosen], y_train[chosen].astype(np.int32))
        weights = grows.layers[-1].get_variable("weights").copy()
        answers = grows.predict_classes(test, num_classes=FIRST)
        before = np.mean(answers[old] == y_test[old])
        grows.add_classes(ADDED)
        chosen = draw(y_train, range(FIRST, FIRST + ADDED), PICTURES[-1], rng)
        grows.fit(train[chosen], y_train[chosen].astype(np.int32))
        answers = grows.predict_classes(test, num_classes=FIRST + ADDED)
        named = answers == y_test
        after = named[old].mean()
        added = named[~old].mean()
        growing[seed] = before, after, added
        kept = grows.layers[-1].get_variable("weights")[..., : weights.shape[-1]]
        changed += int((kept != weights).sum())
    whole = add_learner(extractor, FIRST, ones)
    processors = len(map_on_akd1000(whole).layers[-1].nps)

    before, after, added = growing.mean(0)
    lost = 100 * (before - after)
    losses = 100 * (growing[:, 0] - growing[:, 1])
    title = f"{on_chip[-1].mean():.0f} % of ten kinds of clothing from {PICTURES[-1]} pictures each; two kinds "
    title += f"more cost the first eight {lost:.1f} points"
    fig, (left, right) = plots.figure(1, 2, (12, 4), title)
    arms = {
        "learnt on Akida, 1-bit weights": (on_chip, "o-"),
        "nearest picture": (by_nearest, "s--"),
    }
    for name, (found, look) in arms.items():
        middle = found.mean(1)
        bars = np.maximum(0, (middle - found.min(1), found.max(1) - middle))
        left.errorbar(PICTURES, middle, bars, fmt=look, capsize=4, label=name)
    left.axhline(100 / len(every), color="0.4", ls=":", label="guessing")
    left.set_xscale("log")
    left.set_xticks(PICTURES, PICTURES)
    left.set_ylim(0, 100)
    left.legend(loc="upper left")
    plots.label(
        left,
        "pictures of each kind",
        "test pictures named correctly (%)",
        f"ten kinds, {DRAWS} draws",
    )
    together = at_once[-1].mean()  # with as many pictures
    values = {f"first {FIRST}, alone": 100 * before, f"first {FIRST}, {ADDED} added": 100 * after}
    values[f"first {FIRST}, ten at once"] = together
    values[f"the {ADDED} added"] = 100 * added
    plots.bars(right, values, fmt="{:.1f}")
    right.set_xlim(0, 110)
    plots.label(
        right,
        "test pictures named correctly (%)",
        "",
        f"{ADDED} kinds added, mean of {DRAWS} draws",
    )
    run.figure(
        fig, "6_edge", look="left: how far apart the two lines are; right: what adding costs"
    )

    later = "higher" if 100 * after > together else "lower"
    facts = {"seeds": DRAWS, "real": True}
    learnt = on_chip[-1].mean() / 100
    run.claim("edge_100", "100 pictures a kind, ten kinds", learnt, n=len(y_test), **facts)
    run.claim("edge_new", "the two added kinds", added, n=int((~old).sum()), **facts)
    run.claim(
        "edge_after", "first eight: lost by adding", lost, "points", n=int(old.sum()), **facts
    )
    run.claim("edge_at_once", "first eight, ten at once", together / 100, n=int(old.sum()), **facts)
    run.claim("edge_changed", "old weights that adding changed", changed, "", "== 0")
    run.claim("edge_nps", "processors for the learning layer", processors, "")
    run.finding(
        f"With a digit reader's features and 1-bit weights, {where()}, {on_chip[0].mean():.0f} % of the pictures of ten kinds "
        f"of clothing are named after one picture of each, {on_chip[-1].mean():.0f} % after {PICTURES[-1]}; the nearest "
        f"picture, with all of them kept, {by_nearest[-1].mean():.0f} % ({DRAWS} draws). Adding two kinds "
        f"({' and '.join(data.classes[FIRST:])}: {100 * added:.0f} % named) takes the first eight from "
        f"{100 * before:.1f} % to {100 * after:.1f} % ({losses.min():.1f} to {losses.max():.1f} points); {plain(changed)} of their weights change. "
        f"Learnt at once with the two they reach {together:.1f} % ({at_once[-1].min():.1f} to {at_once[-1].max():.1f} %): "
        f"with the two added later they are {abs(100 * after - together):.1f} points {later} than that."
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
        "pi_needs",
        "What has to be installed on the Pi to run the file?",
        options=("akida, NumPy", "akida, NumPy, TensorFlow", "akida, NumPy, PyTorch"),
    )
    data = run.data(mnist)
    path = deployed(run)
    x = channels_last(data.x_test)
    y = data.y_test.cpu().numpy()
    printed, loaded = run_as_on_the_pi(Path(__file__), path, x, y)
    for line in printed:
        run.print("   | " + line)
    run.print("   To the Pi, from this folder:")
    for command in pi_commands(path):
        run.print("   $ " + command)
    run.outcome("pi_needs", ", ".join(["akida, NumPy", *loaded]))
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
    device = next(line.split(maxsplit=2)[2] for line in printed if line.startswith("runs on"))
    run.finding(
        f"With akida and NumPy alone the file names {100 * accuracy:.2f} % of {len(data.y_test):,} test images, on: "
        f"{device}. The program loaded {len(loaded)} of PyTorch, TensorFlow and the other large packages."
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
