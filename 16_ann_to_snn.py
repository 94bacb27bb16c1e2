"""Lesson 16 — From an ANN to a spiking network: what survives the conversion, and what it costs

Question
    Somebody has trained an ordinary network, an ANN with ReLUs. Can its weights be run as spikes,
    without training again? How long must the spiking network look at an image, how wrong is it
    until then, and when would training it on spikes from the start have been better?

Idea
    An integrate-and-fire neuron is the LIF neuron of lesson 01 without leak (β = 1). It adds up
    its current I, and each spike takes the threshold θ away. With V for what is left after that:

        V[t] = V[t−1] + I[t] − θ·S[t]        S[t] = 1 if V[t−1] + I[t] > θ, else 0             (1)

    Add (1) up over T steps. The charge that came in is either still there or was paid out as spikes:

        θ·(S[1] + … + S[T])/T = mean of I + (V[0] − V[T])/T                                      (2)

    As long as V stays within bounds, the last term fades as T grows, and θ times the rate becomes the
    mean current: the sum that a unit of the ANN computes. A mean below 0 drives V down for ever, and
    the neuron falls silent. A mean above θ drives it up, and the neuron fires at every step. So what
    the rate shows is ReLU(mean of I), with a ceiling at θ.

Read first
    Theory     Rueckauer et al. 2017, https://doi.org/10.3389/fnins.2017.00682
               Jiang et al. 2023, https://proceedings.mlr.press/v202/jiang23a.html
               Bu et al. 2022, the clipped activation of section 3, https://arxiv.org/abs/2303.04347
    Practice   Akida's CNN2SNN, https://doc.brainchipinc.com/user_guide/cnn2snn.html

Run
    uv run 16_ann_to_snn.py --predict      asks what you expect, then measures it: start here
    uv run 16_ann_to_snn.py                a quarter of an hour on two CPU cores; also --only 1, --resume
    uv run 16_ann_to_snn.py --epochs 20    trains the shipped network anew: eight minutes more
    uv run 16_ann_to_snn.py --full         VGG-16, for a GPU (not run by us)

Builds on / leads to
    01 (reset), 09 (training through time), 10 (convolutions). Lesson 17 exports networks, 19 takes
    the Akida path to its end, and capstone A converts a game player. Next: 17_energy_and_export.py.
"""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from akd1000 import packages
from akd1000.chip import akida_outputs
from akd1000.convert import convert_quantised, keras_outputs, quantize_and_convert
from akd1000.mesh import map_on_akd1000
from akd1000.sequential import keras_twin, share_right, train_until_it_stops, upside_down
from common import plots
from common.akida import akida_status
from common.cost import WEIGHTED, ann_macs, estimated_energy_nj
from common.data import ImageData, cifar10, fashion_mnist
from common.io import ROOT, UserError, load_weights
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time, reset_state
from conversion.drawing import draw_losses, draw_neuron, draw_parts
from conversion.networks import Residual, Still, make_residual, make_small, make_vgg, one_step
from conversion.published import row_of_lesson_10
from conversion.watching import Shown, break_even, look_inside, simulate, steps
from multistep import unroll
from training import evaluate, fit
from training.augment import flip_and_shift

import numpy as np
import snntorch as snn
import torch
from scipy.stats import ttest_ind
from torch import Tensor, nn


@dataclass
class Config(LessonConfig):
    """Sections 2 to 4 use a VGG and CIFAR-10, sections 5 and 6 a smaller network and Fashion-MNIST."""

    num_steps: int = bounded(32, 1, 4096)
    """longest presentation of an image in time steps (T)"""
    network: Literal["small", "vgg16"] = "small"
    """VGG of sections 2 to 4: small (four convolutions, weights are shipped) or vgg16"""
    epochs: int = bounded(0, 0, 1000)
    """passes over the training images for the VGG with ReLUs; 0: take the shipped weights"""
    clip_epochs: int = bounded(2, 1, 1000)
    """further passes with clipped activations in place of the ReLUs"""
    levels: int = bounded(8, 1, 1024)
    """section 3: stairs L of the VGG's clipped activations (section 5 tries two L of its own)"""
    lr: float = bounded(3e-3, 1e-7, 10.0)
    """learning rate of the VGG at the start; it falls to zero along a cosine"""
    sweep_images: int = bounded(1_000, 4, 5_000)
    """validation images in sections 3 and 4"""
    budget: int = bounded(8, 4, 1000)
    """section 5: training costs as much as so many passes of the ANN over its images"""
    direct_steps: int = bounded(4, 1, 64)
    """section 5: time steps for which the network is trained directly, and compared"""
    pair_images: int = bounded(5_000, 10, 55_000)
    """training images in sections 5 and 6"""
    seeds: int = bounded(3, 2, 20)
    """section 5: trainings of each arm"""
    resume: bool = False
    """go on from the checkpoints of a run that was stopped"""


SMOKE = {
    "epochs": 1,
    "clip_epochs": 1,
    "num_steps": 8,
    "sweep_images": 40,
    "budget": 4,
    "pair_images": 100,
    "seeds": 2,
}
FULL = {
    "num_steps": 64,
    "network": "vgg16",
    "epochs": 200,
    "clip_epochs": 60,
    "lr": 1e-3,
    "sweep_images": 5_000,
    "budget": 60,
    "pair_images": 55_000,
}


def powers_of_two(largest: int) -> list[int]:
    """1, 2, 4 … up to ``largest``."""
    return [2**k for k in range(largest.bit_length())]


def tenths(value: float, plus: str = "") -> str:
    """A number to one digit for titles and findings: −0.1, never -0.0. ``plus="+"`` shows a plus, too."""
    rounded = round(float(value), 1) + 0.0  # + 0.0 turns −0.0 into 0.0
    return f"{rounded:{plus}.1f}".replace("-", "−")


# ---------------------------------------------------------------- 1  one neuron


def show_current(cur: Tensor, num_steps: int, charge: float = 0.0) -> tuple[Tensor, Tensor]:
    """Steady currents ``cur (N,)`` into N neurons with θ = 1; ``charge`` is V[0].

    Returns ``spk_rec`` and ``mem_rec``, each ``(T, N)``. snnTorch keeps U, the potential before a
    spike is paid for, and pays one step later. Without leak that changes no spike.
    """
    lif = snn.Leaky(beta=1.0)  # no leak: integrate and fire
    mem = torch.full_like(cur, charge)
    spk_rec, mem_rec = [], []
    for _ in range(num_steps):
        spk, mem = lif(cur, mem)  # (N,) each
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)


@section
def section_neuron(cfg: Config, run: Run) -> None:
    """1  Why can spikes stand in for a ReLU?

    A unit of an ANN computes a weighted sum z of its inputs and passes on ReLU(z) = max(0, z). Give
    the same z as a steady current to an integrate-and-fire neuron, step after step, and count. For
    a steady current equation (2) can be solved for the number of spikes N after T steps:

        N(T) = ⌊(V[0] + T·z)/θ⌋, but at least 0 and at most T                                  (3)

    ⌊ ⌋ rounds down. (A potential of exactly θ does not fire yet; such ties are left out here.)

    So a rate N/T knows T + 1 values, from 0 to 1, and equation (3) is a staircase below the ReLU.
    Two parts of it can be chosen. More steps make the stairs finer. And a neuron that does not start
    empty but at V[0] = θ/2 fires half a step earlier, so that (3) rounds to the nearest stair
    instead of down.

    The first figure shows three currents as potentials, the second all currents as rates. It shows U, the
    potential before a spike is paid for, which is what snnTorch keeps; V is U − θ·S.
    """
    T = 16
    run.predict(
        "rate_031",
        f"θ = 1, V[0] = 0, and the current is 0.31 at each of {T} steps. How many spikes?",
        unit="spikes",
    )
    currents = torch.tensor([0.31, -0.2, 1.4])
    spk_rec, mem_rec = show_current(currents, T)
    counts = spk_rec.sum(0)  # (3,)
    title = f"{T} steps: a rate follows its current only between 0 and one spike a step"
    fig, axes = plots.stack(3, title=title, ylabel="potential U")
    for i, ax in enumerate(axes):
        plots.membrane(ax, mem_rec[:, i], spk_rec[:, i])
        ax.set_title(
            f"current {currents[i]:g}: {counts[i]:.0f} spikes, rate {counts[i] / T:.4g} a step"
        )
    axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes[-1].set_xticks(range(0, T, 3), range(1, T + 1, 3))
    run.figure(fig, "1_neuron", look="where U stays between two spikes, and where it runs away")

    grid = torch.linspace(-0.5, 1.5, 2001)
    inside = (grid >= 0) & (grid <= 1)
    worst = {}
    fig, axes = plots.figure(1, 2, (11, 4), sharey=True)
    for ax, charge in zip(axes, (0.0, 0.5), strict=True):
        rates = {}
        for num_steps in (4, T):
            spk_rec, _ = show_current(grid, num_steps, charge)
            rates[f"T = {num_steps}"] = spk_rec.mean(0)
        worst[charge] = (rates[f"T = {T}"] - grid.relu())[inside].abs().max().item()
        ax.plot(grid, grid.relu(), color="0.6", linewidth=4, label="ReLU")
        plots.curves(ax, grid, rates, markers=False)
        plots.label(
            ax,
            "steady current z, in units of θ",
            "",
            f"V[0] = {charge:g}·θ: largest error drawn {worst[charge]:.4f}",
        )
    axes[0].set_ylabel("spikes a step")
    axes[0].legend(loc="upper left")
    fig.suptitle(
        f"Between 0 and θ, T = {T}: half a threshold at the start makes the largest error "
        f"{worst[0.0] / worst[0.5]:.1f} times smaller",
        x=0.01,
        ha="left",
    )
    run.figure(fig, "1_staircase", look="the distance to the grey line, left and right of 1")

    run.claim("rate_031", "spikes for the current 0.31", counts[0].item(), "spikes")
    run.claim("rate_negative", "spikes for the current −0.2", counts[1].item(), "spikes")
    run.claim("rate_large", "spikes for the current 1.4", counts[2].item(), "spikes")
    run.claim("stairs_empty", "largest error, V[0] = 0", worst[0.0], "of θ")
    run.claim("stairs_charged", "largest error, V[0] = θ/2", worst[0.5], "of θ")
    run.finding(
        f"A negative current gives {counts[1]:.0f} spikes and a current above θ gives "
        f"{counts[2]:.0f} of {T}: a ReLU with a ceiling. In between the rate is a staircase, off by up "
        f"to {worst[0.0]:.4f}·θ; with V[0] = θ/2 it rounds, and is off by up to {worst[0.5]:.4f}·θ."
    )


# ---------------------------------------------------------------- 2  a whole network


class IntegrateAndFire(nn.Module):
    """Equation (1), in the place of a ReLU. Its spikes have the height θ: they are 0 or θ.

    ``charge`` is V[0] in units of θ. ``common.spiking.reset_state`` forgets the last image.
    """

    def __init__(self, threshold: float, charge: float = 0.0) -> None:
        super().__init__()
        self.threshold = threshold
        self.charge = charge
        self.mem: Tensor | None = None  # V, the potential after a spike is paid for

    def forward(self, cur: Tensor) -> Tensor:
        """One step: current ``(B, …)`` → spikes of height θ, ``(B, …)``."""
        if self.mem is None:
            self.mem = torch.full_like(cur, self.charge * self.threshold)
        mem = self.mem + cur
        spk = (mem > self.threshold).to(cur.dtype)
        out = self.threshold * spk
        self.mem = mem - out
        return out

    def reset_mem(self) -> None:
        """The next step starts from V[0]."""
        self.mem = None


class Clipped(nn.Module):
    """λ·clip(⌊L·x/λ + ½⌋/L, 0, 1): equation (3) with T = L and V[0] = θ/2, and a θ = λ that is learnt.

    This is the activation QCFS of Bu et al. 2022. The floor has no slope, so the gradient passes it
    straight through, as in lesson 07.
    """

    def __init__(self, lam: float, levels: int) -> None:
        super().__init__()
        self.lam, self.levels = nn.Parameter(torch.tensor(float(lam))), levels

    def forward(self, x: Tensor) -> Tensor:
        z = x / self.lam
        stairs = torch.floor(z.detach() * self.levels + 0.5) / self.levels
        return self.lam * (z + (stairs - z.detach())).clamp(0, 1)


ACTIVATIONS = (nn.ReLU, Clipped)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
SUMS = (*WEIGHTED, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Dropout, nn.Identity)
INSTEAD = {"MaxPool2d": "AvgPool2d", "GELU": "ReLU", "SiLU": "ReLU", "LeakyReLU": "ReLU"}


def check_convertible(net: nn.Module) -> None:
    """Spikes can take the place of sums and ReLUs, and of nothing else.

    Raises:
        UserError: names the first layer that is neither, and what to use instead.
    """
    for name, layer in net.named_modules():
        if isinstance(layer, (nn.Sequential, Residual, *ACTIVATIONS, *NORMS, *SUMS)):
            continue
        kind = type(layer).__name__
        other = INSTEAD.get(kind, "convolutions, linear layers, mean pooling, BatchNorm and ReLU")
        raise UserError(f"layer '{name}' is {kind}, which is neither a sum nor a ReLU; use {other}")


@torch.no_grad()
def fold_one(layer: nn.Module, norm: nn.Module) -> nn.Module:
    """A convolution or linear layer that does what it and the BatchNorm behind it did.     (fold)"""
    if not isinstance(layer, WEIGHTED):
        raise UserError(f"got BatchNorm behind {type(layer).__name__}; it has to follow a sum")
    folded = copy.deepcopy(layer)
    scale = torch.rsqrt(norm.running_var + norm.eps)  # 1/√(σ² + ε), one number a channel
    scale = scale * norm.weight  # γ/√(σ² + ε)
    folded.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    before = 0.0 if layer.bias is None else layer.bias
    folded.bias = nn.Parameter(norm.bias + (before - norm.running_mean) * scale)
    return folded


def fold(net: nn.Module) -> nn.Module:
    """A copy in which each BatchNorm has gone into the layer before it."""
    check_convertible(net)
    net = copy.deepcopy(net).eval()
    blocks = [layer for layer in net.modules() if isinstance(layer, nn.Sequential)]
    for block in blocks:
        for i, layer in enumerate(block):
            if isinstance(layer, NORMS):
                block[i - 1] = fold_one(block[i - 1] if i else block, layer)
                block[i] = nn.Identity()
    return net


def swap_activations(net: nn.Module, layers: Sequence[nn.Module]) -> nn.Module:
    """A copy with ``layers`` in the place of the activations, in the order in which these act."""
    net = copy.deepcopy(net)
    places = [
        name
        for name, layer in net.named_modules(remove_duplicate=False)
        if isinstance(layer, ACTIVATIONS)
    ]
    for name, layer in zip(places, layers, strict=True):
        net.set_submodule(name, layer)
    return net


def convert(net: nn.Module, thresholds: Sequence[float], charge: float = 0.0) -> nn.Module:
    """The spiking network: ``net`` folded, with a neuron for each of its activations.

    ``net`` may be folded already: folding it once more changes nothing.
    """
    neurons = [IntegrateAndFire(theta, charge) for theta in thresholds]
    return swap_activations(fold(net), neurons)


@torch.no_grad()
def answer(spiking: nn.Module, x: Tensor, num_steps: int) -> Tensor:
    """The classes ``(B,)`` that a spiking network finds for images ``x (B, …)``: the loop over time."""
    reset_state(spiking)  # V[0]
    total = 0.0
    for _ in range(num_steps):
        total = total + spiking(x)  # (B, 10): one step of all layers; x is the same at every step
    return total.argmax(1)  # the largest sum is the largest mean


def thresholds(net: nn.Module, x: Tensor, percentile: float) -> list[float]:
    """λ of each activation of a folded network: this percentile of its outputs for images ``x``."""
    _, seen = look_inside(net, x)
    found = []
    for _, a in seen:
        rank = max(1, round(a.numel() * percentile / 100))
        found.append(a.flatten().kthvalue(rank).values.item())
    return found


def float_images(x: Tensor, run: Run) -> Tensor:
    """uint8 images → 0..1, on the run's device."""
    return x.to(run.device).float() / 255


def train_vgg(
    net: nn.Sequential, epochs: int, lr: float, name: str, data, cfg: Config, run: Run
) -> None:
    """Train ``net`` in place with mirrored and shifted images; the best epoch on validation is kept.

    ``Still`` shows an ANN to ``fit`` and ``evaluate``, which expect time, as a network of one step.
    """
    fit(
        Still(net),
        data,
        one_step,
        run=run,
        epochs=epochs,
        lr=lr,
        batch_size=100,
        weight_decay=5e-4,
        augment=partial(flip_and_shift, shift=2),
        name=name,
        resume=cfg.resume,
    )


@dataclass
class Trained:
    """What section 2 leaves: the network with BatchNorm, the same folded, and its images."""

    net: nn.Sequential
    folded: nn.Module
    accuracy: float
    data: ImageData


def outputs_after(spiking: nn.Module, x: Tensor, times: Sequence[int]) -> list[list[Tensor]]:
    """θ·rate of each layer up to each of ``times``, for images ``x (B, …)``."""
    total: list[Tensor] = []
    found = []
    for t, (_, seen) in enumerate(steps(spiking, x, times[-1]), 1):
        outputs = [out for _, out in seen]
        total = [a + b for a, b in zip(total, outputs, strict=True)] if total else outputs
        if t in times:
            found.append([a / t for a in total])
    return found


def relative(error: Tensor, a: Tensor) -> float:
    """Root mean square of an error, as a share of that of the activation ``a``."""
    share = error.square().mean() / a.square().mean()
    return share.sqrt().item()


def error_over_time(net: nn.Module, x: Tensor, times: Sequence[int]) -> list[float]:
    """Error of the rates in the worst layer, at each time; θ is so high that nothing is cut off."""
    flat = fold(net)
    _, wanted = look_inside(flat, x)
    high = [1.2 * theta for theta in thresholds(flat, x, 100)]
    found = []
    for layers in outputs_after(convert(net, high), x, times):
        errors = [relative(r - a, a) for r, (_, a) in zip(layers, wanted, strict=True)]
        found.append(max(errors))
    return found


@section
def section_network(cfg: Config, run: Run) -> Trained:
    """2  How does a whole trained network become spikes?

    The network is a small VGG: convolution, BatchNorm, ReLU and mean pooling, four times, and a linear
    layer. It was trained on CIFAR-10 as usual. `convert`, above, makes spikes of it in three moves.

    Fold. A neuron adds up currents and knows no BatchNorm. In a trained network BatchNorm is a fixed
    scale and offset for each channel, so it can go into the weights W and the bias b before it:

        W ← W·γ/√(σ² + ε)        b ← β + (b − μ)·γ/√(σ² + ε)                                (fold)

    with its mean μ, variance σ², scale γ and offset β. (This β is no leak.)

    Choose θ. A neuron shows no activation above its θ. So run some training images and take for each
    layer's θ the largest activation λ that they cause. Section 3 doubts that choice.

    Swap each ReLU for integrate-and-fire neurons whose spikes have the height θ. On paper and on chips
    one prefers θ = 1 everywhere and spikes of height 1. That is the same network written in another
    way, with the heights moved into the weights of the next layer:

        W_l ← W_l·λ_{l−1}/λ_l        b_l ← b_l/λ_l                                             (4)

    Everything else stays: a mean of spike trains has the mean of their rates, a sum has the sum. That
    is why shortcuts need no care, and why max pooling cannot stay: the larger of two spike trains, step
    by step, is not a train with the larger rate. (Two neurons that fire in turn give a spike at every
    step.) `check_convertible` refuses it by name.

    `answer` is the loop over time: the same image at every step, and the class with the largest mean
    current at the end. The image is a steady current. What the layers behind the first one get is not:
    it is spikes. So equation (3) no longer holds there, and equation (2) still does. Is that enough?
    The residual network has random weights: the question is the method's, not the training's.
    """
    T = min(16, cfg.num_steps)
    times = powers_of_two(4 * cfg.num_steps)
    longest = times[-1]
    run.predict(
        "limit",
        f"After {longest} steps, how far are the rates of the worst layer from the activations? (RMS, "
        "as a share of the activations' RMS)",
        unit="%",
    )
    small = {"n_train": 200, "n_test": 100} if cfg.smoke else {}
    data = run.data(cifar10, **small)
    torch.manual_seed(cfg.seed)
    net = make_vgg(cfg.network)
    if cfg.epochs:
        train_vgg(net, cfg.epochs, cfg.lr, "relu", data, cfg, run)
    else:
        load_weights(net, ROOT / "checkpoints" / "cifar10_vgg.safetensors")
    net = net.to(run.device).eval()
    run.checkpoint(net, "cifar10_vgg")
    folded = fold(net)
    accuracy = evaluate(Still(net), data.x_test, data.y_test, one_step)
    x = float_images(data.x_val[:50], run)
    with torch.no_grad():
        moved = ((folded(x) - net(x)).abs().max() / net(x).abs().max()).item()

    top = thresholds(folded, float_images(data.x_train[:500], run), 100)
    many = float_images(data.x_val[:500], run)
    with torch.no_grad():
        classes = folded(many).argmax(1)
    agree = (answer(convert(net, top), many, T) == classes).float().mean().item()
    _, wanted = look_inside(folded, x)
    (rates,) = outputs_after(convert(net, top), x, [T])
    correlations = []
    for (_, a), rate in zip(wanted, rates, strict=True):
        both = torch.stack([a.flatten(), rate.flatten()])
        correlations.append(torch.corrcoef(both)[0, 1].item())
    shown = min(4, len(rates))
    title = (
        f"T = {T}: correlation of rate and activation {correlations[0]:.2f} in layer 1, "
        f"{correlations[-1]:.2f} in layer {len(correlations)} (red: equal)"
    )
    fig, axes = plots.figure(1, shown, (3.1 * shown, 3.6), title, sharey=True)
    for i, ax in enumerate(axes):
        _, a = wanted[i]
        a = a.flatten().cpu() / top[i]
        rate = rates[i].flatten().cpu() / top[i]
        generator = run.generator(i)
        some = torch.randint(len(a), (3000,), generator=generator)
        ax.plot(a[some], rate[some], ".", markersize=2.5, alpha=0.35)
        ax.plot([0, 1], [0, 1], color=plots.RED, linewidth=1.2)
        head = f"layer {i + 1}: correlation {correlations[i]:.3f}"
        plots.label(ax, "activation / θ", "" if i else "spikes a step", head)
    run.figure(fig, "2_layers", look="the cloud around the red line, from left to right")

    residual = make_residual(run.generator()).to(run.device)
    curves = {
        "VGG, trained": error_over_time(net, x[:20], times),
        "residual network, random weights": error_over_time(residual, x[:20], times),
    }
    error, error_residual = (curve[-1] for curve in curves.values())
    title = f"T = {longest}: {100 * error:.1f} % of error in the VGG, {100 * error_residual:.1f} % in the residual net"
    fig, ax = plots.figure(1, 1, (8.5, 4.2), title)
    plots.curves(ax, times, curves)
    ax.plot(times, [1 / t for t in times], color="0.5", linewidth=1, label="1/T")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(times, [str(t) for t in times])
    ax.legend()
    plots.label(ax, "time steps T", "error of the worst layer\n(RMS / RMS of the activation)")
    run.figure(fig, "2_limit", look="the slope on the right, beside the grey line")

    n = len(data.y_test)
    run.claim("ann", "the ANN: test images right", accuracy, "1", ">= 0.70", n=n, real=True)
    run.claim("fold", "folding moves an output by at most", moved, "1", "<= 1e-5")
    run.claim("correlation", f"correlation, worst layer, T = {T}", min(correlations), "", n=50)
    run.claim("agree", f"T = {T}: same class as the ANN", agree, "1", n=len(many), real=True)
    run.claim("limit", f"VGG, T = {longest}: error, worst layer", error, "1")
    run.finding(
        f"Fold, choose θ, swap: the same three moves convert a VGG and a residual network. At T = {T} the "
        f"correlation of rates and activations falls from {correlations[0]:.3f} in the first layer to "
        f"{correlations[-1]:.3f} in the last, and the VGG finds its ANN's class for {100 * agree:.0f} % of "
        f"the images. Over the first steps the error may even grow. At T = {longest} it is {100 * error:.1f} % of "
        f"the activations in the worst layer of the VGG, {100 * error_residual:.1f} % in the residual network."
    )
    return Trained(net, folded, accuracy, data)


# ---------------------------------------------------------------- 3  thresholds


@dataclass
class Arm:
    """One way to choose θ: a folded ANN, θ of each layer, and V[0] in units of θ."""

    ann: nn.Module
    thresholds: list[float]
    charge: float
    ann_accuracy: float = 0.0  # on the validation images of the sweep
    accuracy: np.ndarray | None = None  # of its spiking network there, at each time
    id: str = ""

    def lost(self) -> np.ndarray:
        """Points lost against its own ANN, at each time."""
        return 100 * (self.ann_accuracy - self.accuracy)


NONE, MAX, MOST = "θ = 1", "maximum", "99.9 percentile"
HALF = ", V[0] = θ/2"
NONE_CHARGED, MAX_CHARGED, CHARGED = NONE + HALF, MAX + HALF, MOST + HALF
TRAINED = "trained clipped" + HALF
SHORT = {
    NONE: "θ = 1",
    NONE_CHARGED: "θ = 1,\nθ/2",
    MAX: "maximum",
    MAX_CHARGED: "maximum,\nθ/2",
    MOST: "99.9 %",
    CHARGED: "99.9 %,\nθ/2",
    TRAINED: "clipped,\nθ/2",
}
"""The arms in a figure with little room; θ/2 is V[0]."""


def make_arms(given: Trained, clipped: nn.Module, x: Tensor) -> dict[str, Arm]:
    """Three thresholds, each with two starts, and a network trained for both. ``x`` are training images."""
    plain = given.folded
    top = thresholds(plain, x, 100.0)
    most = thresholds(plain, x, 99.9)
    learnt = [layer.lam.item() for layer in clipped.modules() if isinstance(layer, Clipped)]
    return {
        NONE: Arm(plain, [1.0] * len(top), 0.0, id="none"),
        NONE_CHARGED: Arm(plain, [1.0] * len(top), 0.5, id="none_charge"),
        MAX: Arm(plain, top, 0.0, id="max"),
        MAX_CHARGED: Arm(plain, top, 0.5, id="max_charge"),
        MOST: Arm(plain, most, 0.0, id="percentile"),
        CHARGED: Arm(plain, most, 0.5, id="charge"),
        TRAINED: Arm(clipped, learnt, 0.5, id="clipped"),
    }


@dataclass
class Balanced:
    """What section 3 leaves: the arms, the best one's network on all test images, both ANNs there."""

    arms: dict[str, Arm]
    times: list[int]
    k: int  # place of T = 16 in times
    best: str
    test: Shown
    test_accuracy: np.ndarray
    own_ann: float  # share of the test images that the best arm's own ANN gets right
    data: ImageData


@section
def section_thresholds(cfg: Config, run: Run) -> Balanced:
    """3  How high should the threshold of each layer be, and where should V start?

    θ decides twice. It is the ceiling: activations above θ are cut off. And it is the grain: one spike
    in T steps stands for θ/T, so a high threshold needs a long time to say a small number. Balancing
    the thresholds means to trade the one against the other, layer by layer:

        θ = 1               no balancing: whatever the activations happen to be
        maximum             nothing is cut off; a single outlier decides for all
        99.9 percentile     cuts off one activation in a thousand

    V[0] is a choice of its own. With V[0] = θ/2, equation (3) rounds to the nearest stair. It does more
    in a deep layer, where no current is steady: charge that comes late can still make a spike. So that
    the one choice is not taken for the other, each threshold is run with both starts.

        trained clipped     the ANN gets the ceiling and the stairs as its activation, `Clipped`, and
                            is trained on for a few passes; it learns its θ, layer by layer (V[0] = θ/2)

    This arm is no longer "without training again", but it is ANN training: no time, no surrogate. Its
    weights are others, so it shows what training for θ and V[0] together brings. (`Clipped` rounds to
    stairs. Jiang et al. 2023 take a weighted sum of a stair and a straight line with a ceiling.)

    On validation images each arm is compared with the ANN that it was made from. (On 1,000 images a loss
    of tens of points is known to about ±3, a small one better.) The arm that is best there at T = 16 is
    run once on all test images. That network is compared with the ANN that is better on the test images:
    the one with ReLUs, or the clipped one.
    """
    given: Trained = run.result_of(section_network)
    data = given.data
    times = powers_of_two(cfg.num_steps)
    k = min(4, len(times) - 1)
    run.predict(
        "lost_max",
        f"θ = the largest activation of each layer, so that nothing is cut off, and V[0] = 0. How many "
        f"points of accuracy does the spiking network lose at T = {times[k]}?",
        unit="points",
    )
    x_some = float_images(data.x_train[:500], run)
    clipped = copy.deepcopy(given.net)
    ceilings = thresholds(given.folded, x_some, 99.0)
    clipped = swap_activations(clipped, [Clipped(v, cfg.levels) for v in ceilings])
    train_vgg(clipped, cfg.clip_epochs, cfg.lr / 3, "clipped", data, cfg, run)
    clipped = fold(clipped)
    arms = make_arms(given, clipped, x_some)
    x = data.x_val[: cfg.sweep_images]
    y = data.y_val[: cfg.sweep_images]
    for name, arm in arms.items():
        arm.ann_accuracy = evaluate(Still(arm.ann), x, y, one_step)
        spiking = convert(arm.ann, arm.thresholds, arm.charge)
        arm.accuracy = simulate(spiking, x, times, name).accuracy(y)
    best = max(arms, key=lambda name: arms[name].accuracy[k])

    losses = {name: arm.lost() for name, arm in arms.items()}
    now = {name: float(lost[k]) for name, lost in losses.items()}
    lowest = min(lost.min() for lost in losses.values())
    title = (
        f"Points lost at T = {times[k]}, V[0] = 0 → θ/2: maximum {tenths(now[MAX])} → "
        f"{tenths(now[MAX_CHARGED])}, 99.9 percentile {tenths(now[MOST])} → {tenths(now[CHARGED])}"
    )
    fig, ax = plots.figure(1, 1, (11, 4.8), title)
    draw_losses(ax, times, losses, HALF)
    ax.axhline(0, color="0.5", linewidth=1)
    ax.set_xscale("log", base=2)
    ax.set_yscale("symlog", linthresh=5)
    ax.set_yticks([0, 1, 3, 10, 30, 100], ["0", "1", "3", "10", "30", "100"])
    ax.set_ylim(min(-1.0, lowest) - 0.5, 110)
    ax.set_xticks(times, [str(t) for t in times])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    head = f"{len(x):,} validation images; the scale is linear below 5 points"
    plots.label(ax, "time steps T", "points lost against its own ANN", head)
    run.figure(fig, "3_balancing", look="one colour, two lines: V[0]; one kind of line: θ")
    table = []
    for name in (NONE, MAX, MOST):
        table.append([name, tenths(now[name]), tenths(now[name + HALF])])
    table.append(["trained clipped", "–", tenths(now[TRAINED])])
    title = f"Points lost at T = {times[k]}, {len(x):,} validation images"
    run.table(title, ("threshold", "V[0] = 0", "V[0] = θ/2"), table)

    # The best arm there meets the test images.
    arm = arms[best]
    kept = [t for t in times if t <= 32]
    spiking = convert(arm.ann, arm.thresholds, arm.charge)
    test = simulate(spiking, data.x_test, kept, "test images")
    accuracy = test.accuracy(data.y_test)
    own_ann = evaluate(Still(arm.ann), data.x_test, data.y_test, one_step)
    ann = max(own_ann, given.accuracy)
    early = kept[min(k, len(kept) - 1)]
    late = kept[-1]
    at_early = float(accuracy[kept.index(early)])
    at_late = float(accuracy[-1])
    facts = {"n": len(x), "seeds": 1, "real": True}
    for name in (MAX, MAX_CHARGED, MOST, CHARGED):
        short = SHORT[name].replace("\n", " V[0] = ")
        run.claim(f"lost_{arms[name].id}", f"{short}: lost", now[name], "points", **facts)
    facts = {"n": len(data.y_test), "seeds": 1, "real": True}
    run.claim("snn_16", f"best arm on test images, T = {early}", at_early, "1", **facts)
    gap = 100 * (ann - at_early)
    gap_late = 100 * (ann - at_late)
    run.claim("gap_16", "the better ANN is ahead by", gap, "points", "<= 3", **facts)
    run.claim("gap_32", f"and at T = {late} by", gap_late, "points", "<= 1", **facts)
    saved = {name: now[name] - now[name + HALF] for name in (NONE, MAX, MOST)}  # points gained
    ends = [now[name] for name in (NONE_CHARGED, MAX_CHARGED, CHARGED)]
    run.finding(
        f"At T = {times[k]}, V[0] = θ/2 in place of 0 saves {tenths(saved[NONE])} points at θ = 1, "
        f"{tenths(saved[MAX])} at the maximum and {tenths(saved[MOST])} at the 99.9 percentile. With that "
        f"start, these thresholds lose between {tenths(min(ends))} and {tenths(max(ends))} points; "
        f"the network trained clipped, with other weights, loses {tenths(now[TRAINED])}."
    )
    run.finding(
        f"The best arm is '{best}'. Of all test images it gets {100 * at_early:.1f} % right at "
        f"T = {early} and {100 * at_late:.1f} % at T = {late}; the better of the two ANNs gets "
        f"{100 * ann:.1f} %."
    )
    return Balanced(arms, times, k, best, test, accuracy, own_ann, data)


# ---------------------------------------------------------------- 4  where the error comes from


class Stairs(nn.Module):
    """Equation (3) as an activation: the rate of a *steady* current, times θ."""

    def __init__(self, theta: float, num_steps: int, charge: float) -> None:
        super().__init__()
        self.theta = theta
        self.num_steps = num_steps
        self.charge = charge

    def forward(self, z: Tensor) -> Tensor:
        spikes = torch.floor(self.charge + self.num_steps * z / self.theta)
        return self.theta * spikes.clamp(0, self.num_steps) / self.num_steps


@dataclass
class Seen:
    """One layer over T steps: ``cur`` and ``out`` are ``(T, B, …)``, ``a`` the ANN's activation ``(B, …)``."""

    cur: Tensor
    out: Tensor
    a: Tensor
    theta: float
    charge: float

    def parts(self) -> dict[str, Tensor]:
        """(rate·θ − activation) of every neuron in four parts that add up to it, each ``(B, …)``."""
        z = self.cur.mean(0)  # what the layer got, however it was spread over time
        cut = z.clamp(0, self.theta)
        stairs = Stairs(self.theta, len(self.cur), self.charge)(z)
        return {
            "inherited": z.relu() - self.a,  # its input is wrong already
            "clipping": cut - z.relu(),
            "quantisation": stairs - cut,
            "unevenness": self.out.mean(0) - stairs,
        }


@torch.no_grad()
def see_layers(arm: Arm, x: Tensor, num_steps: int) -> list[Seen]:
    """Every layer of the spiking network, while it sees images ``x`` for ``num_steps`` steps."""
    spiking = convert(arm.ann, arm.thresholds, arm.charge)
    _, wanted = look_inside(arm.ann, x)
    every = [seen for _, seen in steps(spiking, x, num_steps)]
    layers = []
    for i, (_, a) in enumerate(wanted):
        cur = torch.stack([seen[i][0] for seen in every])  # (T, B, …)
        out = torch.stack([seen[i][1] for seen in every])
        layers.append(Seen(cur, out, a, arm.thresholds[i], arm.charge))
    return layers


def wrong_spikes(layer: Seen) -> tuple[Tensor, float]:
    """Spikes of neurons whose mean current is not positive: by step ``(T,)``, and as a share of all."""
    silent = layer.cur.mean(0) <= 0
    fired = layer.out > 0  # (T, B, …)
    wrong = (fired & silent).flatten(1).sum(1).float().cpu()  # (T,)
    every = fired.sum().clamp(min=1).cpu()
    return wrong, (wrong.sum() / every).item()


def share_of_first(counts: Tensor, steps: int) -> float:
    """The share of ``counts (T,)`` that falls into the first ``steps``."""
    every = counts.sum().clamp(min=1)
    return (counts[:steps].sum() / every).item()


PARTS = ("clipping", "quantisation", "unevenness")


def accuracy_by_part(
    arm: Arm, k: int, num_steps: int, data: ImageData, cfg: Config
) -> dict[str, float]:
    """Points lost when the errors come one after the other into all layers; they add up to the loss."""
    x = data.x_val[: cfg.sweep_images]
    y = data.y_val[: cfg.sweep_images]
    clip = swap_activations(arm.ann, [nn.Hardtanh(0.0, theta) for theta in arm.thresholds])
    layers = [Stairs(theta, num_steps, arm.charge) for theta in arm.thresholds]
    stairs = swap_activations(arm.ann, layers)
    with_clip = evaluate(Still(clip), x, y, one_step)
    with_stairs = evaluate(Still(stairs), x, y, one_step)
    left = [arm.ann_accuracy, with_clip, with_stairs, float(arm.accuracy[k])]
    return {part: 100 * (left[i] - left[i + 1]) for i, part in enumerate(PARTS)}


def changed(empty: dict[str, float], charged: dict[str, float]) -> str:
    """What V[0] = θ/2 in place of 0 does to the points lost, in words."""
    texts = []
    for part in ("quantisation", "unevenness"):
        texts.append(f"{part} from {tenths(empty[part])} to {tenths(charged[part])} points")
    return ", ".join(texts)


@section
def section_errors(cfg: Config, run: Run) -> None:
    """4  Where does the error come from?

    A layer can turn a right input into a wrong rate in three ways, and each can be looked at alone:

        clipping        activations above θ all become the rate 1                    θ is too low
        quantisation    a rate has T + 1 values, θ/T apart             θ is too high, or T too small
        unevenness      (3) was for steady currents; a deep layer gets spikes, not in equal portions

    Why should it matter when the charge arrives? A neuron that gets +1.2·θ early and −1.2·θ late has
    got nothing, and should be silent. But at the early step it fires: a spike is sent and cannot be
    called back. What is left of V is negative, and stays so. The other way round, charge that
    arrives late cannot be made up for, at one spike a step.

    And the early steps are special. In the first ones only the strongest inputs have fired at all,
    so the picture that a deep layer gets is coarse and one-sided: a burst that later spikes correct.
    Two things add to it. V[0] = θ/2 brings every neuron closer to its first spike. And a negative mean
    runs V down, so a neuron that fires by mistake can hardly do so late.

    The first figure draws two such neurons of the last layer (99.9 percentile, V[0] = θ/2). On its right
    it counts, step by step, the spikes of all neurons there whose mean current is negative: they should
    be silent. The finding sets the same count for V[0] = 0 beside it.

    The second figure splits the loss. First the ANN gets the ceiling in every layer, then the stairs
    (3). What the spiking network loses beyond that is unevenness. So the parts depend on the order: where
    quantisation has taken much already, less is left for unevenness. Two
    neighbouring groups of one threshold differ in V[0] alone. On the right, each layer also inherits what
    the layers before it did.
    """
    given: Balanced = run.result_of(section_thresholds)
    arms, data, T = given.arms, given.data, given.times[given.k]
    run.predict(
        "burst",
        f"Deep in the network, some neurons get a negative mean current over the {T} steps and fire all "
        "the same. What share of these spikes comes in the first quarter of the steps?",
        unit="%",
    )
    x = float_images(data.x_val[:100], run)
    layers = see_layers(arms[CHARGED], x, T)
    deep = layers[-1]
    z = deep.cur.mean(0)
    silent = z <= 0  # these should not fire at all
    quarter = max(1, T // 4)
    wrong, share = wrong_spikes(deep)  # (T,)
    burst = share_of_first(wrong, quarter)
    empty, share_empty = wrong_spikes(see_layers(arms[MOST], x, T)[-1])  # V[0] = 0
    burst_empty = share_of_first(empty, quarter)

    fig, axes = plots.figure(2, 3, (13, 5.4), width_ratios=(1, 1, 1.1))
    uneven = deep.parts()["unevenness"]
    too_many = torch.where(silent, uneven, -1.0)  # of the neurons that should be silent
    for column, (found, text) in enumerate(((too_many, "too many"), (-uneven, "too few"))):
        place = int(found.argmax())
        index = np.unravel_index(place, tuple(found.shape))  # image and neuron
        cur = deep.cur[(slice(None), *index)].cpu() / deep.theta  # (T,)
        spk = (deep.out[(slice(None), *index)] > 0).float().cpu()
        even = T * Stairs(1.0, T, deep.charge)(cur.mean()).item()  # equation (3)
        draw_neuron(axes[0, column], axes[1, column], cur, spk, deep.charge)
        head = f"{text}: {spk.sum():.0f} spikes, {even:.0f} if spread evenly"
        axes[0, column].set_title(head)
        axes[1, column].set_xlabel("time step")
    axes[0, 0].set_ylabel("current, in units of θ")
    axes[1, 0].set_ylabel("V, in units of θ")
    spread = (deep.cur - z).square().flatten(1).mean(1).sqrt()  # (T,)
    spread = spread.cpu() / deep.theta
    place = np.arange(1, T + 1)
    axes[0, 2].bar(place, spread, color=plots.SKY)
    plots.label(axes[0, 2], "", "RMS, in units of θ", "distance of a current from its mean")
    axes[1, 2].bar(place, wrong / len(x), color=plots.RED)
    plots.label(axes[1, 2], "time step", "spikes, one image", "neurons with a negative mean")
    for ax in axes.flat:
        ax.set_xlim(0, T + 1)
    title = (
        f"Layer {len(layers)}: of the spikes of neurons with a negative mean current, {100 * burst:.0f} % "
        f"come in the first {quarter} of {T} steps"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "4_burst", look="the first bars of each row; where V ends on the left")

    lost = {name: accuracy_by_part(arm, given.k, T, data, cfg) for name, arm in arms.items()}
    largest = {name: max(parts, key=parts.get) for name, parts in lost.items()}
    by_part = {part: [parts[part] for parts in lost.values()] for part in PARTS}
    by_layer: dict[str, list[float]] = {}
    for layer in layers:
        for part, error in layer.parts().items():
            by_layer.setdefault(part, []).append(100 * relative(error, layer.a))
    fig, (ax, bx) = plots.figure(1, 2, (15, 4.5), width_ratios=(1.7, 1))
    draw_parts(ax, by_part, [SHORT[name] for name in arms])
    head = f"whole network, T = {T}, {cfg.sweep_images:,} validation images"
    plots.label(ax, "", "points lost", f"{head} (θ/2: V[0])")
    draw_parts(bx, by_layer, [f"layer {i + 1}" for i in range(len(layers))])
    plots.label(bx, "", "RMS error / RMS activation (%)", CHARGED)
    title = (
        f"Largest part (V[0] = 0 → θ/2): θ = 1 {largest[NONE]} → {largest[NONE_CHARGED]}; "
        f"maximum {largest[MAX]} → {largest[MAX_CHARGED]}; "
        f"99.9 % {largest[MOST]} → {largest[CHARGED]}"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(
        fig, "4_errors", look="what V[0] = θ/2 does to each bar; the last layer on the right"
    )

    facts = {"n": cfg.sweep_images, "seeds": 1, "real": True}
    run.claim("burst", "wrong spikes in the first quarter", burst, "1", n=len(x), real=True)
    run.claim("burst_empty", "the same with V[0] = 0", burst_empty, "1", n=len(x), real=True)
    run.claim("wrong_share", "wrong spikes, share of all", share, "1", n=len(x), real=True)
    uneven_charged = lost[CHARGED]["unevenness"]
    uneven_max = lost[MAX_CHARGED]["unevenness"]
    parts = [
        ("clip_none", f"{NONE}: lost by clipping", lost[NONE]["clipping"]),
        ("stairs_max", f"{MAX}: by quantisation", lost[MAX]["quantisation"]),
        ("uneven_percentile", f"{MOST}: by unevenness", lost[MOST]["unevenness"]),
        ("uneven_charge", "the same with V[0] = θ/2", uneven_charged),
        ("uneven_max_charge", f"{MAX}, θ/2: by unevenness", uneven_max),
    ]
    for key, text, points in parts:
        run.claim(key, text, points, "points", **facts)
    run.finding(
        f"From V[0] = 0, θ = 1 loses most by {largest[NONE]} ({lost[NONE][largest[NONE]]:.0f} points), the "
        f"maximum by {largest[MAX]} ({lost[MAX][largest[MAX]]:.0f}), the 99.9 percentile by {largest[MOST]} "
        f"({lost[MOST][largest[MOST]]:.0f}). V[0] = θ/2 changes two of the parts. {MOST}: "
        f"{changed(lost[MOST], lost[CHARGED])}. {MAX.capitalize()}: {changed(lost[MAX], lost[MAX_CHARGED])}."
    )
    run.finding(
        f"Of the last layer's spikes {100 * share:.0f} % come from neurons with a negative mean current, "
        f"{100 * burst:.0f} % of these in the first {quarter} of {T} steps. With V[0] = 0 it is "
        f"{100 * share_empty:.0f} %, and {100 * burst_empty:.0f} % of these come that early."
    )


# ---------------------------------------------------------------- 5  convert, or train directly?


class OverTime(nn.Module):
    """``run`` of a network with snn.Leaky neurons, layer by layer over all steps (lessons 08 and 10)."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(T, B, 1, 28, 28)`` → the output current ``(T, B, 10)``, twice; BatchNorm sees all T·B."""
        for layer in self.net:
            if isinstance(layer, snn.Leaky):
                x, _, _ = unroll(layer, x)
            else:
                x = over_time(layer, x)
        return x, x


@dataclass
class Tried:
    """One training: the network as it is run, the ANN behind it (None if there is none), seconds."""

    spiking: nn.Sequential
    ann: nn.Module | None
    thresholds: list[float]
    seconds: float


def train_small(
    net: nn.Module, encode: Callable, epochs: int, lr: float, seed: int, name: str, data, cfg, run
) -> float:
    """Train in place; returns the seconds it took."""
    history = fit(
        net,
        data,
        encode,
        run=run,
        epochs=epochs,
        lr=lr,
        batch_size=100,
        weight_decay=5e-4,
        augment=partial(flip_and_shift, shift=1),
        seed=seed,
        name=name,
        resume=cfg.resume,
        quiet=True,
    )
    return history[-1]["seconds"]


def train_then_convert(lr: float, levels: float, seed: int, data, cfg: Config, run: Run) -> Tried:
    """ReLUs for three quarters of the budget, clipped activations for the last; then conversion."""
    torch.manual_seed(seed)
    net = make_small(nn.ReLU)
    last = cfg.budget // 4
    name = f"converted_{lr:g}_{levels:g}_{seed}"
    seconds = train_small(
        Still(net), one_step, cfg.budget - last, lr, seed, f"{name}_relu", data, cfg, run
    )
    ceilings = thresholds(fold(net), float_images(data.x_train[:500], run), 99.0)
    net = swap_activations(net, [Clipped(v, int(levels)) for v in ceilings])
    seconds += train_small(Still(net), one_step, last, lr / 3, seed, name, data, cfg, run)
    ann = fold(net)
    learnt = [layer.lam.item() for layer in ann.modules() if isinstance(layer, Clipped)]
    return Tried(convert(ann, learnt, charge=0.5), ann, learnt, seconds)


def train_directly(lr: float, beta: float, seed: int, data, cfg: Config, run: Run) -> Tried:
    """Leaky neurons in the same places, trained through time by a surrogate for T times fewer passes."""
    torch.manual_seed(seed)
    net = make_small(partial(snn.Leaky, beta=beta, init_hidden=True))
    encode = partial(constant_current, num_steps=cfg.direct_steps)
    epochs = cfg.budget // cfg.direct_steps
    name = f"direct_{lr:g}_{beta:g}_{seed}"
    seconds = train_small(OverTime(net), encode, epochs, lr, seed, name, data, cfg, run)
    return Tried(net, None, [], seconds)


RATES = (1e-3, 3e-3, 1e-2, 3e-2)


def tuned(
    train: Callable[..., Tried], values: tuple[float, float], text: str, data, cfg: Config, run: Run
) -> tuple[float, float]:
    """Four learning rates at the first of ``values``, then the second value at the best of them.

    Validation images choose, by the spiking network's answers after ``direct_steps`` steps.
    """
    x, y = data.x_val, data.y_val
    found: dict[tuple[float, float], float] = {}

    def score(lr: float, value: float) -> None:
        net = train(lr, value, cfg.seed, data, cfg, run).spiking
        shown = simulate(net, x, [cfg.direct_steps], text)
        found[lr, value] = float(shown.accuracy(y)[0])
        run.print(f"   {text} {value:g}, rate {lr:g}: {100 * found[lr, value]:.1f} % (validation)")

    for lr in RATES:
        score(lr, values[0])
    best, _ = max(found, key=found.get)
    score(best, values[1])
    return max(found, key=found.get)


def difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Mean of ``a`` − mean of ``b``, and half the width of its 95 % interval (Welch's t)."""
    found = ttest_ind(a, b, equal_var=False)
    low, high = found.confidence_interval(0.95)
    half = np.nan_to_num((high - low) / 2)  # all seeds alike: no width
    gap = np.mean(a) - np.mean(b)
    return float(gap), float(half)


def judge(gap: float, half: float) -> str:
    """What a gap of two arms, converted − direct, says, if its interval is ± ``half``."""
    if abs(gap) <= half:
        return "not told apart"
    return "conversion is ahead" if gap > 0 else "direct training is ahead"


def first_layer_macs(net: nn.Sequential, x: Tensor) -> float:
    """Multiplications of the first layer for one image, pixels that are 0 left out."""
    return ann_macs(nn.Sequential(net[0]), x, skip_zeros=True)


@dataclass
class Trials:
    """One arm: its trainings with several seeds, and what each network did with the test images."""

    tried: list[Tried]
    shown: list[Shown]

    def accuracy(self, y: Tensor) -> np.ndarray:
        """In per cent, ``(seeds, times)``."""
        return 100 * np.array([shown.accuracy(y) for shown in self.shown])

    def energy(self, x: Tensor, kind: str = "float32") -> np.ndarray:
        """Estimated nJ for one image, up to each time, ``(seeds, times)``."""
        rows = []
        for tried, shown in zip(self.tried, self.shown, strict=True):
            first = first_layer_macs(tried.spiking, x)
            rows.append([estimated_energy_nj(synops, first, kind) for synops in shown.synops])
        return np.array(rows)

    def ann_energy(self, x: Tensor, kind: str = "float32") -> np.ndarray:
        """Estimated nJ of the ANNs that the networks were made from, zeros skipped, ``(seeds,)``."""
        macs = [ann_macs(tried.ann, x, skip_zeros=True) for tried in self.tried]
        return np.array([estimated_energy_nj(0, m, kind) for m in macs])

    def break_even(self, x: Tensor, kind: str = "float32") -> np.ndarray:
        """The T at which network and ANN cost the same, ``(seeds,)``."""
        found = []
        rows = zip(self.tried, self.energy(x, kind), self.ann_energy(x, kind), strict=True)
        for tried, energy, ann in rows:
            start_energy = estimated_energy_nj(0, first_layer_macs(tried.spiking, x), kind)
            found.append(break_even(self.shown[0].times, energy, start_energy, ann))
        return np.array(found)


def train_arms(data: ImageData, few: ImageData, times: list[int], cfg: Config, run: Run) -> dict:
    """Tune both arms on validation images of ``few``, train each with new seeds, show all test images."""
    settings = {
        "converted": (train_then_convert, (4, 8), "converted, L ="),
        "direct": (train_directly, (0.5, 0.9), "direct, β ="),
    }
    arms: dict[str, Trials] = {}
    for name, (train, values, text) in settings.items():
        lr, value = tuned(train, values, text, few, cfg, run)
        run.print(f"   chosen: {text} {value:g}, learning rate {lr:g}")
        arms[name] = Trials([], [])
        for seed in range(cfg.seed + 1, cfg.seed + 1 + cfg.seeds):
            tried = train(lr, value, seed, few, cfg, run)
            shown = simulate(tried.spiking, data.x_test, times, f"{name}, seed {seed}")
            arms[name].tried.append(tried)
            arms[name].shown.append(shown)
    return arms


def mean_and_range(values: np.ndarray) -> str:
    """``13.0 (12.5 to 13.4 over 3 seeds)``."""
    low, high = tenths(values.min()), tenths(values.max())
    return f"{tenths(values.mean())} ({low} to {high} over {len(values)} seeds)"


@dataclass
class Compared:
    """What section 5 leaves: the clipped ANN of its first seed, its thresholds, and the images."""

    ann: nn.Module
    thresholds: list[float]
    data: ImageData


@section
def section_budget(cfg: Config, run: Run) -> Compared:
    """5  Convert, or train directly?

    Here are two ways to the same kind of network, four convolutions and one linear layer, on
    Fashion-MNIST:

        converted   ReLUs, then clipped activations; at the end `convert`
        direct      snn.Leaky in the same places, trained through T = 4 steps by BPTT (lesson 09)

    An honest comparison needs an equal budget. A training step through T steps costs about T times as
    much as one of the ANN, so the budget is counted in passes times steps, and the direct arm gets a
    quarter of the passes: of the 5,000 images in batches of 100, eight passes (400 updates) for the
    converted arm and two (100 updates) for the direct one. --budget and --pair-images change that.

    Equal on this count is not equal in seconds. These are measured too, and in our runs the direct arm
    took nearly twice as long. And the budget is small, so what comes out says which way is cheaper to
    train here, not which way ends higher. Each arm tries four learning rates, and two values of a setting
    of its own: the number of stairs L here, the leak β there. Validation images choose, by the answer
    after four steps. Then each arm is trained anew with new seeds and tested.

    What does an answer cost? In the ANN, a multiplication with each weight that an activation meets. In
    the spiking network, an addition with each weight that a spike meets, once for every spike: these
    are the synaptic operations, SynOps. Zeros are free on both sides: an activation that is 0 costs the
    ANN nothing here, as a neuron without a spike costs nothing there. The image itself is multiplied,
    once, on both sides. Then, with E_MAC = 4.6 pJ and E_AC = 0.9 pJ (32 bits, 45 nm, Horowitz 2014):

        E_ANN = MACs·E_MAC         E_SNN(T) = MACs of the first layer·E_MAC + SynOps(T)·E_AC

    With products of 8 bits, added up in 32, the prices are 0.3 and 0.1 pJ. Multiplying is then less
    expensive beside adding, which leaves less room for time; with sums of 8 bits it would be otherwise.

    SynOps grow with T, so there is a T at which both are equal: the break-even. It is *estimated* energy
    of arithmetic. Memory traffic, and the update of each potential at each step, are left out.

    One thing no budget mends. Conversion aims at means. When a spike comes is not meant to say anything,
    and where it does make a difference, as in section 4, it is an error. Nothing in a ReLU network could
    become a memory of what came first. For a sound or a film, where the order is the message, one trains
    directly (lesson 13). One also does where T is very short: few steps leave conversion few stairs.
    Where a trained ANN is there and T may be longer, one converts.
    """
    if cfg.budget < cfg.direct_steps:
        raise UserError(
            f"--budget: got {cfg.budget}, expected --direct-steps, {cfg.direct_steps}, or more"
        )
    T = cfg.direct_steps
    run.predict(
        "break_even",
        "How many time steps may the converted network take until its estimated energy is that of its ANN?",
        unit="steps",
    )
    data = run.data(fashion_mnist)
    n = cfg.pair_images
    few = replace(data, x_train=data.x_train[:n], y_train=data.y_train[:n])
    few = replace(few, x_val=data.x_val[:2000], y_val=data.y_val[:2000])
    times = sorted({*powers_of_two(max(min(16, cfg.num_steps), T)), T})
    arms = train_arms(data, few, times, cfg, run)

    # What the answers cost, on 500 test images.
    x = float_images(data.x_test[:500], run)
    accuracy = {name: arm.accuracy(data.y_test) for name, arm in arms.items()}  # (seeds, times)
    ann_energy = arms["converted"].ann_energy(x).mean()
    even = arms["converted"].break_even(x)  # (seeds,)
    even_8 = arms["converted"].break_even(x, "int8")
    continued = ""
    if even.max() > times[-1]:
        continued = f" (continued beyond T = {times[-1]}, the longest run)"

    # How many answers are right, on all test images.
    anns = [tried.ann for tried in arms["converted"].tried]
    right = [evaluate(Still(ann), data.x_test, data.y_test, one_step) for ann in anns]
    ann_right = 100 * float(np.mean(right))
    at = times.index(T)
    each_converted = accuracy["converted"][:, at]  # (seeds,)
    each_direct = accuracy["direct"][:, at]
    converted = each_converted.mean()
    direct = each_direct.mean()
    gap, half = difference(each_converted, each_direct)
    verdict = judge(gap, half)
    gap_1, half_1 = difference(accuracy["converted"][:, 0], accuracy["direct"][:, 0])

    title = (
        f"Equal passes × steps, {cfg.seeds} seeds, T = {T}: {converted:.1f} % converted, "
        f"{direct:.1f} % direct ({verdict})"
    )
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.3), title, sharey=True)
    plots.curves(ax, times, accuracy)
    ax.axhline(ann_right, color="0.4", linestyle=":", label="ANN of the converted one")
    ax.axvline(T, color="0.7", linewidth=1)
    ax.set_xscale("log", base=2)
    ax.set_xticks(times, [str(t) for t in times])
    ax.legend(title="line: mean; band: range of the seeds")
    plots.label(ax, f"time steps T (direct: trained for {T})", "test images right (%)")
    for i, (name, arm) in enumerate(arms.items()):
        look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "linestyle": plots.DASHES[i]}
        bx.plot(arm.energy(x).mean(0) / ann_energy, accuracy[name].mean(0), label=name, **look)
    bx.plot(1, ann_right, "k*", markersize=13, label="ANN")
    bx.axvline(1, color=plots.BLACK, linewidth=1)
    bx.legend()
    head = f"converted and its ANN cost the same at T = {even.mean():.1f}"
    plots.label(bx, "estimated energy / that of the ANN (zeros skipped in both)", "", head)
    run.figure(
        fig, "5_budget", look=f"left, the curves at T = {T}; right, what lies left of the line"
    )

    if section_thresholds.number in run.results:  # under --only 5 there is no VGG to set beside it
        rows = cifar_rows(run.result_of(section_thresholds), run)
        columns = ("network", "right, %", "SynOps, M", "MACs, M", "energy/ANN")
        run.table("One image of CIFAR-10 (no equal budgets here)", columns, rows)
        run.finding(said_of_cifar(rows))

    facts = {"n": len(data.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    seconds = {name: np.mean([t.seconds for t in arm.tried]) for name, arm in arms.items()}
    cost = seconds["direct"] / seconds["converted"]
    run.claim("converted", f"converted, T = {T}: right", converted / 100, "1", **facts)
    run.claim("direct", f"direct, T = {T}: right", direct / 100, "1", **facts)
    run.claim("gap", "converted − direct", gap, "points", **facts)
    run.claim("cost", "training time, direct / converted", cost, "times", **facts)
    run.claim("break_even", "T of the break-even", round(even.mean(), 1), "steps", **facts)
    run.claim("break_even_8", "the same at 8-bit prices", round(even_8.mean(), 1), "steps", **facts)
    run.finding(
        f"Read after T = {times[0]}, with the direct arm trained for {T} steps, the gap is "
        f"{tenths(gap_1, '+')} ± {half_1:.1f} points: {judge(gap_1, half_1)}."
    )
    run.finding(
        f"Trained for {cfg.budget} passes × steps of {len(few.x_train):,} images and read at T = {T}, "
        f"{converted:.1f} % of the test images are right after conversion and {direct:.1f} % after direct "
        f"training, a gap of {tenths(gap, '+')} ± {half:.1f} points: {verdict}. The budgets are not equal in "
        f"time: direct training took {cost:.1f} times as long. The converted network costs as much as its "
        f"ANN ({ann_right:.1f} % right) at T = {mean_and_range(even)}{continued}, with zeros skipped on both "
        f"sides; at the prices of 8-bit arithmetic at T = {mean_and_range(even_8)}.",
        main=True,
        claim="break_even",
    )
    first_try = arms["converted"].tried[0]
    return Compared(first_try.ann, first_try.thresholds, few)


def cifar_rows(given: Balanced, run: Run) -> list[list[object]]:
    """What one image of CIFAR-10 costs: the VGG's ANN and spiking network, and lesson 10's network."""
    arm = given.arms[given.best]
    pictures = float_images(given.data.x_test[:200], run)
    macs = ann_macs(arm.ann, pictures, skip_zeros=True)
    first = first_layer_macs(arm.ann, pictures)
    size = sum(p.numel() for p in arm.ann.parameters())
    facts = {"data": given.data.name, "n": len(given.data.y_test), "parameters": size}
    facts |= {"ann_macs": ann_macs(arm.ann, pictures[:1]), "ann_macs_nonzero": macs}
    answers = [("VGG, the ANN behind it", given.own_ann, 0, 0.0, 0.0, macs)]
    for k, t in enumerate(given.test.times):
        spikes = float(given.test.spikes[k])
        synops = float(given.test.synops[k])
        right = float(given.test_accuracy[k])
        answers.append((f"VGG, converted, T = {t}", right, t, spikes, synops, first))
    ann_energy = estimated_energy_nj(0, macs)
    rows: list[list[object]] = []
    for model, accuracy, t, spikes, synops, multiplied in answers:
        energy = estimated_energy_nj(synops, multiplied)
        row = {"model": model, "accuracy": accuracy, "macs": multiplied} | facts
        if t:
            row |= {"num_steps": t, "spikes": spikes, "synops": synops}
        run.ledger(**row, energy_estimated_nj=energy)
        millions = f"{synops / 1e6:.3g}", f"{multiplied / 1e6:.3g}"
        rows.append([model, f"{100 * accuracy:.1f}", *millions, f"{energy / ann_energy:.2f}"])
    if (lesson_10 := row_of_lesson_10()) is not None:
        rows.append(lesson_10)
    return rows


def said_of_cifar(rows: list[list[object]]) -> str:
    """The longest run of the table's spiking network, and the one that costs most nearly what the ANN does."""
    ann = rows[0]
    runs = [row for row in rows if "converted" in str(row[0])]
    longest = runs[-1]
    nearest = min(runs, key=lambda row: abs(float(str(row[-1])) - 1))
    parts = []
    for name, right, _, _, energy in (nearest, longest):
        at = str(name).split(", ")[-1]  # T = …
        parts.append(f"{right} % for {energy} times its energy at {at}")
    return (
        f"On CIFAR-10 the ANN behind the converted VGG gets {ann[1]} % right. The spiking network gets "
        f"{parts[0]}, and {parts[1]}."
    )


# ---------------------------------------------------------------- 6  Akida


@torch.no_grad()
def rescale(net: nn.Sequential, lam: Sequence[float]) -> nn.Sequential:
    """A copy of a folded network whose activations are those of ``net`` divided by λ.         (4)"""
    net = copy.deepcopy(net)
    before = 1.0
    scales = [*lam, 1.0]  # the read-out gives the logits as they were
    weighted = [layer for layer in net if isinstance(layer, WEIGHTED)]
    for layer, scale in zip(weighted, scales, strict=True):
        layer.weight.mul_(before / scale)  # W_l·λ_{l−1}/λ_l
        layer.bias.div_(scale)  # b_l/λ_l
        before = scale
    return net


@section
def section_akida(cfg: Config, run: Run) -> None:
    """6  What does a chip make of it?

    BrainChip's AKD1000 calls itself neuromorphic, and its tool cnn2snn converts an ANN to its model of
    an SNN. But it does not count spikes over time. It sends each activation once, as a whole number of
    4 bits or fewer, and sends nothing for a 0. In the words of section 4:

        a rate over T steps            0, 1 … T          clipping, quantisation, unevenness
        an activation of b bits        0, 1 … 2^b − 1    clipping, quantisation

    So 4 bits are a staircase of T = 15, and 2 bits one of T = 3, without time and without unevenness.
    Weights are whole numbers of few bits, too. A network is called 8/4/4 if the weights of the first
    layer have 8 bits, those of the others 4, and activations 4.

    The network is the small one of section 5, for which training with rounding takes minutes. The
    pipeline: fold, rescale by (4) so that each activation ends at 1, build the same network in
    Keras, quantise with quantizeml, convert with cnn2snn, map on the chip. Quantising after the
    training moves every weight at once, and nobody corrects for it. Quantisation-aware training goes
    on with rounded weights and activations in the forward pass, and a gradient that passes the rounding
    straight through: `Clipped` again. One pass of it says little about the chip: it says how far one
    pass gets. So every width is trained until validation no longer improves, and the float network is
    trained on in the same way, so that what more training is worth is not taken for what bits cost.
    """
    run.predict(
        "drop_822",
        "8/2/2: activations of 2 bits, weights too but for the first layer (8). How many points does it "
        "lose against the float network, both trained until they stop improving?",
        unit="points",
    )
    given: Compared = run.result_of(section_budget)
    data = given.data
    run.print(
        textwrap.fill(akida_status().means, 77, initial_indent="   ", subsequent_indent="   ")
    )
    try:
        keras = packages.keras()
        keras.utils.set_random_seed(cfg.seed)
        twin = keras_twin(rescale(given.ann, given.thresholds), (28, 28, 1))
        x_test = upside_down(data.x_test)
        some = upside_down(data.x_train[:500])
        train = (data.x_train, data.y_train)
        val = (data.x_val, data.y_val)
        most = 1 if cfg.smoke else 40
        before, after, curves = {}, {}, {}
        for bits in (4, 2)[: 1 if cfg.smoke else 2]:
            name = f"8/{bits}/{bits}"
            rounded, model = quantize_and_convert(
                twin, some, weight_bits=bits, activation_bits=bits
            )
            run.print(f"   {name}")
            before[name] = share_right(akida_outputs(model, x_test), data.y_test)
            curves[name] = train_until_it_stops(rounded, train, val, most, say=run.print)
            model = convert_quantised(rounded, twin, name)
            after[name] = share_right(akida_outputs(model, x_test), data.y_test)
        before["float"] = share_right(keras_outputs(twin, x_test), data.y_test)
        run.print("   float, trained on in the same way")
        passes = 0 if cfg.smoke else most  # Keras prepares each training for seconds
        curves["float"] = train_until_it_stops(twin, train, val, passes, say=run.print)
        after["float"] = share_right(keras_outputs(twin, x_test), data.y_test)
        mapping = map_on_akd1000(model)
    except UserError as e:
        run.note(f"The Akida part is left out. {e}.")
        return

    last = list(before)[-2]  # 8/2/2; in a smoke run 8/4/4
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.4), width_ratios=(1.3, 1))
    for i, (name, curve) in enumerate(curves.items()):
        look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "linestyle": plots.DASHES[i]}
        ax.plot(range(len(curve)), 100 * np.array(curve), label=name, **look)
        top = int(np.argmax(curve))
        ax.plot(top, 100 * curve[top], "o", markersize=13, mfc="none", color=plots.COLOURS[i])
    first = [curve[min(1, len(curve) - 1)] for curve in curves.values()]
    low = 100 * min(first) - 3  # what comes before the first pass may lie below the panel
    hidden = [f"{name}: {100 * c[0]:.0f} %" for name, c in curves.items() if 100 * c[0] < low]
    ax.set_ylim(bottom=low)
    ax.xaxis.get_major_locator().set_params(integer=True)
    if hidden:
        text = "pass 0, below the panel: " + ", ".join(hidden)
        ax.text(0.03, 0.04, text, transform=ax.transAxes)
    ax.legend(title="circle: pass that is kept", loc="center right")
    plots.label(ax, "passes of training after quantising", "validation images right (%)")
    mapping.draw(bx)
    bx.set_title(f"{last} on the mesh: {mapping.nps_used} of {mapping.nps_total} processors")
    drop = {name: 100 * (after["float"] - value) for name, value in after.items()}
    title = (
        f"{last} on test images: {100 * before[last]:.1f} % if only rounded, {100 * after[last]:.1f} % "
        f"trained on; float, trained on, {100 * after['float']:.1f} %"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "6_akida", look="how many passes each width takes until it stops improving")

    facts = {"n": len(data.y_test), "seeds": 1, "real": True}
    for name, value in after.items():
        key = name.replace("/", "")
        run.claim(f"akida_{key}", f"{name}, trained: right", value, "1", **facts)
    if not cfg.smoke:
        run.claim("before_822", "8/2/2, rounded only: right", before["8/2/2"], "1", **facts)
        run.claim("drop_822", "8/2/2: below float", drop["8/2/2"], "points", **facts)
    software = len(mapping.fallbacks)
    ending = "until it stops improving"
    if len(curves[last]) - 1 == most:
        ending = "for as many passes as allowed"
    run.claim("akida_software", f"{last}: layers in software", software, "layers")
    run.finding(
        f"Only rounded, {last} gets {100 * before[last]:.1f} % of the test images right. Trained "
        f"{ending} ({len(curves[last]) - 1} passes), it gets {100 * after[last]:.1f} %; the float network "
        f"gets {100 * after['float']:.1f} % in the same way, 8/4/4 {100 * after['8/4/4']:.1f} %. (One training each: "
        f"some tenths of a point mean nothing.) {last} takes {mapping.nps_used} of the chip's "
        f"{mapping.nps_total} processors and leaves {software} layers to software."
    )


def main(cfg: Config, run: Run) -> None:
    section_neuron(cfg, run)
    section_network(cfg, run)
    section_thresholds(cfg, run)
    section_errors(cfg, run)
    section_budget(cfg, run)
    section_akida(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
