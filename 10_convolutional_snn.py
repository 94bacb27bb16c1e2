"""Lesson 10 — Spiking convolutional and residual networks: photographs, and depth

Question
    A convolution looks at space, a spiking neuron at time. How do the two work together on
    photographs? And why does a stack of many spiking layers learn so slowly, unless spikes may also
    go around a layer?

Idea
    All tensors are (T, B, C, H, W): steps, images, channels, height, width. A layer is

        I[t] = conv(S_below[t])     U[t] = β·U[t−1] + I[t] − θ·S[t−1]     S[t] = 1 if U[t] > θ     (1)

    The convolution mixes neighbouring places of one step and has no memory. The neuron mixes the
    steps of one place and has no neighbours. In a deep stack both the image on its way up and the
    error on its way down have to pass every layer. A spike-element-wise (SEW) shortcut adds the
    spikes that come in to those that the layer makes, A, so that there is a way around it:

        S_out[t] = A[t] + S_in[t]                                                                 (2)

Read first
    Theory     Fang et al. 2021, SEW-ResNet, https://arxiv.org/abs/2102.04159
    Practice   snnTorch tutorial 6,
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_6.html

Run
    uv run 10_convolutional_snn.py --predict   asks what you expect, then measures it: start here
    uv run 10_convolutional_snn.py             about 35 minutes of one idle core, 25 of them for
                                               section 3; less on two; also --only 2
    uv run 10_convolutional_snn.py --resume    goes on after the last finished epoch
    uv run 10_convolutional_snn.py --full      twice the channels, T = 4, 60 epochs, aims at 93 %:
                                               for a GPU, not run so far
    torchrun --nproc-per-node 2 10_convolutional_snn.py      several processes or GPUs

Builds on / leads to
    07 gave the surrogate, 09 the training loop, training.fit, and its memory. 11 brings event
    recordings to such networks, 14 saves spikes in this one, 16 sets it beside converted networks.
"""

from __future__ import annotations

import copy
import json
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from common import plots
from common.claims import plain
from common.cost import ann_macs, estimated_energy_nj, latency
from common.data import ImageData, batches, cifar10
from common.io import ROOT, live
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time, reset_state
from multistep import fast_number, is_fused, saved_for_backward, unroll, unroll_normalised
from training import evaluate, fit
from training.augment import flip_and_shift
from training.muon import muon_for_convolutions, up_and_down

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from matplotlib.colors import ListedColormap
from scipy.stats import t as student_t
from snntorch import surrogate
from torch import Tensor, nn


@dataclass
class Config(LessonConfig):
    """Section 3 trains on all images, section 2 on the first ``short_images``, several times."""

    num_steps: int = bounded(2, 1, 100_000)
    """time steps for which an image is shown (T)"""
    epochs: int = bounded(0, 0, 1000)
    """passes over the training images in section 3; 0: 17 where bfloat16 is fast, else 7"""
    batch_size: int = bounded(256, 2, 45_000)
    """images in one update of the weights (B)"""
    lr: float = bounded(0.1, 1e-7, 10.0)
    """highest learning rate of the convolutions in section 3"""
    beta: float = bounded(0.5, 0.0, 1.0)
    """share β of the potential that is left after one step"""
    channels: int = bounded(64, 1, 1024)
    """channels of the first layer in section 3; later ones have two and four times as many"""
    depth: int = bounded(16, 2, 100)
    """layers of the deep stacks in section 2"""
    short_images: int = bounded(3_000, 10, 45_000)
    """training images of each short training in section 2"""
    short_epochs: int = bounded(2, 1, 100)
    """passes over them"""
    seeds: int = bounded(3, 2, 20)
    """trainings of each arm in section 2"""
    resume: bool = False
    """go on after the last finished epoch of a run that was stopped"""


SMOKE = {
    "epochs": 1,
    "batch_size": 64,
    "channels": 8,
    "depth": 3,
    "short_images": 100,
    "short_epochs": 1,
    "seeds": 2,
}
FULL = {"epochs": 60, "channels": 128, "num_steps": 4, "batch_size": 512}

# ---------------------------------------------------------------- 1  a convolution over time


def edge_filter(strength: float = 6.0) -> nn.Conv2d:
    """A 3×3 filter for edges, dark on the left and bright on the right; the mean over colours."""
    conv = nn.Conv2d(3, 1, kernel_size=3, padding=1, padding_mode="replicate", bias=False)
    columns = torch.tensor([-1.0, 0.0, 1.0])
    with torch.no_grad():
        conv.weight.copy_((strength / 9) * columns.expand(1, 3, 3, 3))
    return conv


def step_by_step(conv: nn.Conv2d, lif: snn.Leaky, x: Tensor) -> Tensor:
    """Equation (1) in plain sight: ``x (T, B, 3, H, W)`` → spikes ``(T, B, C, H, W)``."""
    mem = lif.init_leaky()
    spk_rec = []
    for x_t in x:  # (B, 3, H, W)
        cur = conv(x_t)  # (B, C, H, W): neighbouring places of this step
        spk, mem = lif(cur, mem)  # (B, C, H, W): this place, all steps so far
        spk_rec.append(spk)
    return torch.stack(spk_rec)


def first_spikes(spk_rec: Tensor) -> Tensor:
    """The step, from 1, at which each neuron fires first; 0 if it never does: ``(T, …)`` → ``(…)``."""
    first = spk_rec.argmax(0) + 1
    return torch.where(spk_rec.sum(0) > 0, first, 0)


@section
def section_shapes(cfg: Config, run: Run) -> None:
    """1  What does a spiking neuron add to a convolution?

    One filter, made by hand: it finds edges with the dark side on the left. A photograph is shown for
    T steps. `step_by_step`, above, is the whole layer, and two things in it deserve a look:

        cur = conv(x_t)             the same weights at every step, and no memory
        spk, mem = lif(cur, mem)    a memory in each of the C·H·W places, and no neighbours

    The photograph stands still, so conv gives the same map I at every step. The spikes change all the
    same. From rest, and before the first spike, U[t] is a geometric series:

        U[t] = I·(1 + β + … + β^(t−1)) = I·(1 − β^t)/(1 − β)

    A neuron fires first at the step t where this exceeds θ = 1. Strong edges come first, weaker ones
    later, and those with I < 1 − β never. So time turns the strength of an edge into an order.
    The numbers below are of 200 photographs; the one shown is that with most strong edges.

    Since conv has no memory, it need not stand in the loop. over_time(conv, x) gives all T steps to
    it as if they were one batch of T·B images, and an image that stands still only once. unroll (what
    is in it: lesson 09) then runs the neurons. The spikes are the same, and all later sections go this
    way:

        spk_rec, _, _ = unroll(lif, over_time(conv, x))         # (T, B, C, H, W)
    """
    run.predict(
        "first_spike",
        "β = 0.5, θ = 1, and a place gets the current 0.6 at every step. At which step does its neuron "
        "fire first? (1 is the first step)",
        unit="step",
    )
    T = max(4, cfg.num_steps)
    data = run.data(cifar10, n_train=512 if cfg.smoke else None)
    conv = edge_filter()
    lif = snn.Leaky(beta=cfg.beta)
    photos = data.x_train[:200].float() / 255  # (200, 3, 32, 32)
    with torch.no_grad():
        cur = conv(photos)  # (200, 1, 32, 32)
        spk_rec = step_by_step(conv, lif, constant_current(photos, T))  # (T, 200, 1, 32, 32)
        weak = step_by_step(nn.Identity(), lif, torch.full((50, 1), 0.6))  # (50, 1)
    first = first_spikes(spk_rec)  # (200, 1, 32, 32)

    clear = int((first == 1).flatten(1).sum(1).argmax())  # the photograph with most strong edges
    new_later = int((first[clear] > 1).sum())
    fig, axes = plots.figure(
        2,
        3,
        (9.5, 7.1),
        f"{int((first[clear] == 1).sum())} neurons fire at step 1, {new_later} more at the next {T - 1} steps\n"
        "(orange: fires for the first time, black: fires again, white: silent)",
    )
    axes[0, 0].imshow(photos[clear].permute(1, 2, 0))
    axes[0, 0].set_title("the photograph, at every step")
    axes[0, 1].imshow(cur[clear, 0], cmap="gray", vmin=-2, vmax=2)
    axes[0, 1].set_title("current I, −2 (black) to 2")
    colours = ListedColormap(["white", plots.BLACK, plots.ORANGE])
    for t, ax in enumerate([axes[0, 2], *axes[1]], start=1):
        fires = spk_rec[t - 1, clear, 0]  # (32, 32)
        new = first[clear, 0] == t
        ax.imshow(fires + new, cmap=colours, vmin=0, vmax=2)
        ax.set_title(f"step {t}: {int(fires.sum())} neurons fire, {int(new.sum())} new")
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
    run.figure(fig, "1_edges", look="which edges are there at step 1, and which come later")

    at_once = (first == 1).float().mean().item()
    later = (first > 1).float().mean().item()
    strong = cur[first == 1].mean().item()
    medium = cur[first > 1].mean().item() if later else 0.0
    run.claim("first_spike", "current 0.6: first spike at", int(first_spikes(weak)), "step")
    run.claim("at_once", "neurons that fire at step 1", at_once, real=True)
    run.claim("later", f"that fire first at step 2 to {T}", later, real=True)
    run.finding(
        f"The convolution gives the same map {T} times, and the neurons do not: {100 * at_once:.0f} % "
        f"of them fire at step 1 (their mean current is {strong:.2f}), and a further "
        f"{100 * later:.0f} % only later (mean current {medium:.2f}). Waiting shows weaker edges."
    )


# ---------------------------------------------------------------- the layer of sections 2 to 5


class Conv(nn.Conv2d):
    """A 3×3 convolution in the number type of its input; its weights are kept in float32."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, kernel_size=3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C_in, H, W)`` → ``(N, C_out, H, W)``."""
        weight = self.weight.to(x.dtype, memory_format=torch.channels_last)
        return F.conv2d(x, weight, padding=1)


class Layer(nn.Module):
    """Convolution → BatchNorm → LIF neurons; ``pool`` halves the map, ``shortcut`` is equation (2)."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        beta: float,
        pool: bool = False,
        shortcut: bool = False,
        slope: float = 2.0,
    ) -> None:
        super().__init__()
        self.pool = pool
        self.shortcut = shortcut
        self.conv = Conv(c_in, c_out)
        self.norm = nn.BatchNorm2d(c_out)
        self.lif = snn.Leaky(beta=beta, init_hidden=True, spike_grad=surrogate.atan(slope))

    def convolve(self, x: Tensor) -> Tensor:
        """The part without a state: ``(N, C_in, H, W)`` → ``(N, C_out, H, W)``, or half of H and W."""
        cur = self.conv(x)
        return F.max_pool2d(cur, 2) if self.pool else cur

    def forward(self, x_t: Tensor) -> Tensor:
        """One time step after training, ``(B, C_in, H, W)`` → ``(B, C_out, H, W)``.

        In training BatchNorm has to see all steps together, which only ``run`` lets it (exercise 10c).
        """
        spk = self.lif(self.norm(self.convolve(x_t)))
        return spk + x_t if self.shortcut else spk

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest, ``(T, B, C_in, H, W)`` → ``(T, B, C_out, H, W)``."""
        cur = over_time(self.convolve, x)  # an input that stays is convolved once
        # the same as unroll(self.lif, over_time(self.norm, cur))[0], faster and with less memory
        spk = unroll_normalised(self.norm, self.lif, cur)
        return spk + x if self.shortcut else spk


class SpikingCNN(nn.Module):
    """Spiking layers, one after the other, the mean over all places, and a linear read-out."""

    def __init__(self, layers: Sequence[Layer], num_outputs: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(layers[-1].conv.out_channels, num_outputs)

    def forward(self, x_t: Tensor) -> Tensor:
        """One time step: ``(B, 3, H, W)`` → output current ``(B, 10)``."""
        spk = self.layers(x_t)  # (B, C, H, W)
        return self.fc(spk.mean((2, 3)))

    def outputs(self, x: Tensor) -> Iterator[Tensor]:
        """What each layer hands on, ``(T, B, C, H, W)``, one after the other."""
        for layer in self.layers:
            x = layer.run(x)
            yield x

    def read(self, spk: Tensor) -> Tensor:
        """The last layer's ``(T, B, C, H, W)`` → output current ``(T, B, 10)``."""
        return self.fc(spk.float().mean((3, 4)))

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest: ``(T, B, 3, H, W)`` → output current ``(T, B, 10)``."""
        *_, spk = self.outputs(x)
        return self.read(spk)


def encode(x: Tensor, num_steps: int, number: torch.dtype = torch.float32) -> Tensor:
    """Colour values 0..1, stretched to −2..2, as a current that stays: ``(B, 3, H, W)`` → ``(T, B, …)``."""
    cur = (4 * x - 2).to(number, memory_format=torch.channels_last)
    return constant_current(cur, num_steps)


def mean_current_loss(out: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of the output current ``(T, B, 10)``, averaged over time; classes ``y (B,)``."""
    return F.cross_entropy(out.mean(0), y)


def smoothed_loss(out: Tensor, y: Tensor) -> Tensor:
    """The same with goals of 0.91 for the right class and 0.01 for each other one, not 1 and 0."""
    return F.cross_entropy(out.mean(0), y, label_smoothing=0.1)


def highest_mean_current(out: Tensor) -> Tensor:
    """The class whose output current is highest on average: ``(T, B, 10)`` → ``(B,)``."""
    return out.mean(0).argmax(1)


# ---------------------------------------------------------------- 2  depth


class ImageAround(Layer):
    """A layer which the image may go around, while the error on its way down has to pass it."""

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest, ``(T, B, C, H, W)`` → the same shape."""
        return super().run(x) + x.detach()  # detach: the same value, and no error goes this way


class ErrorAround(Layer):
    """A layer which the error may go around, while the image on its way up has to pass it."""

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest, ``(T, B, C, H, W)`` → the same shape."""
        return super().run(x) + (x - x.detach())  # adds 0, whose derivative is 1


KINDS = {
    "plain": Layer,
    "error around": ErrorAround,
    "image around": ImageAround,
    "SEW": partial(Layer, shortcut=True),
}
SLOPES = (1.0, 2.0, 4.0)  # α of snnTorch's ATan; 2 is its default
WIDTH = 16  # channels of every layer of a deep stack, on maps of 8×8
# learning rates; the search starts with 0.003 and 0.01
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
START = (RATES.index(3e-3), RATES.index(1e-2))
SHORT_BATCH = 50  # images in one update of a short training


def deep_stack(cfg: Config, kind: str, slope: float, depth: int, seed: int) -> SpikingCNN:
    """A first layer, then ``depth`` layers alike. The weights depend on the seed alone."""
    torch.manual_seed(seed)
    layers = [Layer(3, WIDTH, cfg.beta, pool=True, slope=slope)]  # 16×16 → 8×8
    for _ in range(depth):
        layers.append(KINDS[kind](WIDTH, WIDTH, cfg.beta, slope=slope))
    return SpikingCNN(layers)


def encode_small(x: Tensor, num_steps: int, number: torch.dtype = torch.float32) -> Tensor:
    """``encode`` at half the resolution: ``(B, 3, 32, 32)`` → ``(T, B, 3, 16, 16)``."""
    return encode(F.avg_pool2d(x, 2), num_steps, number)


def factor_per_layer(cfg: Config, slope: float, draw: torch.Generator) -> float:
    """ρ of line (c) for standard normal currents, drawn anew at every step."""
    T = cfg.num_steps
    cur = torch.randn(T, 400_000 // T + 1, generator=draw)  # (T, N)
    spk, mem, _ = unroll(snn.Leaky(beta=cfg.beta), cur, record_mem=True)
    derivative = (slope / 2) / (1 + (math.pi / 2 * slope * (mem - 1)) ** 2)  # σ′ of ATan
    powers = cfg.beta ** (2 * np.arange(T))  # 1, β², β⁴, …
    K = float(np.mean(np.cumsum(powers)))  # 1 at the last step, all of them at the first
    return math.sqrt(K * (derivative**2).mean().item() / spk.var().item())


def expected_gradient(kind: str, rho: float, depth: int) -> np.ndarray:
    """Lines (c) and (d): the error at layers 0 to ``depth``, as a share of the last one's."""
    below = np.arange(1, depth + 1)  # how many layers' spikes the input of layer 1, 2, … contains
    if kind not in ("image around", "SEW"):
        below = np.ones(depth)  # those of the last one alone
    squared = rho**2 / below
    if kind in ("error around", "SEW"):
        squared = squared + 1
    passed = np.sqrt(np.cumprod(squared[::-1]))  # from the last layer down
    return np.append(passed[::-1], 1.0)


def gradient_by_layer(net: SpikingCNN, x: Tensor, y: Tensor) -> np.ndarray:
    """‖∂L/∂S‖, S being what a layer hands on, as a share of the last one's: ``(depth + 1,)``."""
    outputs = list(net.outputs(x))
    for spk in outputs:
        spk.retain_grad()
    mean_current_loss(net.read(outputs[-1]), y).backward()
    norms = np.array([spk.grad.norm().item() for spk in outputs])
    return norms / max(norms[-1], 1e-30)


@torch.no_grad()
def likeness_by_layer(net: SpikingCNN, x: Tensor) -> np.ndarray:
    """Do images that look alike to the first layer look alike to layer l? ``(depth + 1,)``, at most 1.

    How alike two images are in a layer is the cosine between their spike counts there, less the mean
    over all images. That gives one number for each pair. Returned is, for each layer, the correlation
    of its numbers with those of the first layer: 1 if they say the same, near 0 if they have nothing to
    do with each other.
    """
    found = []
    for spk in net.outputs(x):
        counts = spk.float().sum(0).flatten(1)  # (B, C·H·W)
        counts = F.normalize(counts - counts.mean(0), dim=1)
        likeness = counts @ counts.T  # (B, B)
        above = torch.triu_indices(*likeness.shape, offset=1)
        found.append(likeness[above[0], above[1]])  # every pair once
    return np.array(
        [torch.corrcoef(torch.stack([found[0], pairs]))[0, 1].item() for pairs in found]
    )


@dataclass
class Arm:
    """Short trainings that differ in their seed alone."""

    rate: float
    """the learning rate that was best on validation"""
    tried: list[float]
    """all rates that were tried, in order"""
    test: list[float]
    """test accuracy in per cent, a seed each"""


def best_rate(validate: Callable[[float], float]) -> tuple[float, list[float]]:
    """The rate of ``RATES`` that is better than its neighbours, and all that were tried."""
    missing, found = list(START), {}
    while missing:
        for i in missing:
            found[i] = validate(RATES[i])
        best = max(found, key=found.get)
        neighbours = {best - 1, best + 1} & set(range(len(RATES)))
        missing = sorted(neighbours - set(found))
    return RATES[best], [RATES[i] for i in sorted(found)]


def even_adamw(net: nn.Module, lr: float) -> torch.optim.Optimizer:
    """AdamW that makes up for a gradient of 10⁻¹⁵, too: its ε is 10⁻¹⁸, where PyTorch takes 10⁻⁸."""
    return torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.0, eps=1e-18)


def train_arm(build: Callable[[int], SpikingCNN], data: ImageData, cfg: Config, run: Run) -> Arm:
    """Search a learning rate on validation with one seed, train anew with other seeds, test.

    What is later said of the seeds holds for that rate: its choice is not in their intervals.
    """
    few = replace(
        data,
        x_train=data.x_train[: cfg.short_images],
        y_train=data.y_train[: cfg.short_images],
        x_val=data.x_val[:1000],
        y_val=data.y_val[:1000],
        x_test=data.x_test[:3000],
        y_test=data.y_test[:3000],
    )
    show = partial(encode_small, num_steps=cfg.num_steps, number=fast_number(run.device))

    def trained(lr: float, seed: int) -> tuple[SpikingCNN, float]:
        net = build(seed)
        history = fit(
            net,
            few,
            show,
            run=run,
            epochs=cfg.short_epochs,
            optimizer=partial(even_adamw, lr=lr),
            batch_size=SHORT_BATCH,
            loss_fn=mean_current_loss,
            predict=highest_mean_current,
            seed=seed,
            quiet=True,
        )
        return net, max(row["val"] for row in history)

    def validate(lr: float) -> float:
        return trained(lr, cfg.seed)[1]

    rate, tried = best_rate(validate)
    test = []
    for i in range(cfg.seeds):
        net, _ = trained(rate, cfg.seed + 1 + i)
        test.append(100 * evaluate(net, few.x_test, few.y_test, show, highest_mean_current))
    return Arm(rate, tried, test)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of a few trainings, and half the width of its 95 % interval (Student's t)."""
    n = len(values)
    half = student_t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n)
    return float(np.mean(values)), float(half)


def two_digits(value: float) -> str:
    """Two digits that count: 0.0052, 1.1, 250, 2e-07."""
    return plain(float(f"{value:.2g}"))


def draw_gradients(
    run: Run, gradient: dict[tuple[str, float], np.ndarray], rho: dict[float, float], title: str
) -> None:
    """A panel for each slope: what was measured, and what lines (c) and (d) expect (dotted)."""
    fig, axes = plots.figure(1, len(SLOPES), (11.5, 3.9), sharey=True)
    for ax, slope in zip(axes, SLOPES, strict=True):
        for i, kind in enumerate(("plain", "SEW")):
            measured = np.maximum(gradient[kind, slope], 1e-9)  # (seeds, D + 1)
            layers = np.arange(measured.shape[1])
            expected = expected_gradient(kind, rho[slope], layers[-1])
            color, marker = plots.COLOURS[i], plots.MARKERS[i]
            for one in measured:
                ax.plot(layers, one, marker, color=color, ms=4, alpha=0.6)
            ax.plot([], [], marker, color=color, label=f"{kind}, measured")
            law = "ρ^(D − l)" if kind == "plain" else "line (d)"
            ax.plot(layers, expected, color=color, ls=":", lw=2, label=f"{kind}, {law}")
        ax.set_yscale("log")
        ax.xaxis.get_major_locator().set_params(integer=True)
        plots.label(ax, "layer l", "", f"slope α = {slope:g}: ρ = {rho[slope]:.2f}")
    axes[0].set_ylabel("gradient at layer l / at the last")
    axes[1].legend()
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "2_gradients", look="which kind of stack gives straight lines, and which bent?")


def draw_depth(
    run: Run, likeness: dict[str, np.ndarray], rows: dict[str, list[float]], title: str
) -> None:
    """Left: likeness by layer, ``(seeds, D + 1)``. Right: a row for each arm, a dot for each seed."""
    fig, (left, right) = plots.figure(1, 2, (11, 4), width_ratios=(1, 1.15))
    plots.curves(left, np.arange(likeness["SEW"].shape[1]), likeness)
    left.xaxis.get_major_locator().set_params(integer=True)
    what = "correlation with the first layer's likeness"
    plots.label(left, "layer l", what, "before training (bands: range of the seeds)")
    for place, test in enumerate(rows.values()):
        right.plot(np.mean(test), place, "|", color=plots.BLACK, ms=18)
        right.plot(test, [place] * len(test), "o", color=plots.BLUE, ms=5, alpha=0.7)
    right.set_yticks(range(len(rows)), list(rows))
    right.invert_yaxis()
    right.axvline(10, color="0.5", lw=1, ls=":")
    right.set_xlim(5, None)
    title_right = "after short trainings (dots: seeds; bar: mean)"
    plots.label(right, "test images read correctly (%; dotted: by chance)", "", title_right)
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(
        fig, "2_depth", look="right: which of the deep stacks stand apart from the plain one?"
    )


def is_length(gradient: dict[float, float], read: dict[float, Sequence[float]], sew: Any) -> str:
    """What the length of the gradient has to do with it.

    ``gradient`` and ``read``, per cent a seed, are those of plain stacks, by slope. Taken is the slope at
    which the gradient of a plain stack is most nearly the same in all layers. If such a stack still reads
    less than ``sew``, the length is not what it lacks.
    """
    slope = min(gradient, key=lambda a: abs(math.log(max(gradient[a], 1e-30))))
    gain, half = interval(np.subtract(sew, read[slope]))
    text = (
        f"At α = {slope:g} the gradient is {two_digits(gradient[slope])} times as long at the first layer "
        f"as at the last, and the plain stack reads {np.mean(read[slope]):.0f} % of the test images, "
        f"where SEW reads {np.mean(sew):.0f} %"
    )
    if gain > half:
        return f"{text}: the length of the gradient is not what a plain stack lacks here."
    return f"{text}: this does not show that it lacks more than the length of the gradient."


def way_around(
    image: tuple[float, float], error: tuple[float, float], both: tuple[float, float]
) -> str:
    """What three intervals, the gain of each way around alone and of both, say about the cause."""
    image_helps, error_helps = image[0] > image[1], error[0] > error[1]
    if image_helps and error_helps:
        return "Either way around helps by itself."
    if image_helps:
        return "So it is the image that needs a way around here; the error's alone is not shown to help."
    if error_helps:
        return "So it is the error that needs a way around here; the image's alone is not shown to help."
    if both[0] > both[1]:
        return "Neither way around is shown to help by itself; together they do."
    return "No way around is shown to help."


@section
def section_depth(cfg: Config, run: Run) -> None:
    """2  Why does depth fail, and what does a shortcut mend?

    S is what a layer hands on, and by the gradient or the error at a layer we mean ∂L/∂S, not that of
    its weights. First the error, on its way down through one layer without a shortcut:

        (a)  ∂L/∂S_in = convᵀ(a·σ′(U − θ)·∂L/∂S)     a: BatchNorm's factor, σ′: the surrogate
        (b)  BatchNorm makes currents of variance 1. For the n inputs of a neuron this says
             a²·n·Var(w)·Var(S_in) = 1. On the way back, a and convᵀ multiply the length of the
             error by a·√(n·Var(w)), which by this equation is 1/√Var(S_in).
        (c)  σ′ lets √E[σ′²] of it pass, so each layer multiplies the length of the error by
             ρ = √(K·E[σ′(U − θ)²] / Var(S_in))           and D layers by ρ^D

    K counts time: the error of a step also reaches earlier steps, weakened by β, β², … (lesson 09).
    Squares of independent parts add up. So for T = 2 and β = 0.5 the first step gets 1 + 0.5² and the
    last 1, and K is their mean, 1.125. This is a rough law. It takes one K for all layers and steps, as
    many channels in as out, errors and inputs that are independent of the weights and of each other,
    currents that are standard normal and new at each step, and, for (d) below, spikes of different
    layers that do not correlate. What BatchNorm's mean and variance send back is left out. If the
    currents stood still instead, ρ would be 1 to 6 % larger, depending on α. That is not much for one
    layer, but over 16 layers it is a factor of 1.3 to 2.3.

    For ReLU with He's weights and no BatchNorm ρ is 1, behind BatchNorm it is 1.21. In a spiking network
    ρ is a choice: the slope α of the surrogate (lesson 07), ATan with σ′(x) = (α/2)/(1 + (π·α·x/2)²),
    decides it. Below 1 the gradient vanishes, above 1 it explodes, and depth is the exponent. A shortcut
    (2) changes that twice. The error may go around the layer: ∂S_out/∂S_in = ∂A/∂S_in + 1. And it is
    weakened inside:

        (d)  the input of layer l is a sum of l spikes, of variance l·Var(A), and BatchNorm divides
             by it. So the layer multiplies by ρ/√l, not ρ, and the way around by 1: together
             √(1 + ρ²/l), which for l = 1 … D multiply to about D^(ρ²/2): a power of D, where ρ^D
             is exponential.

    The price: sums of spikes are no spikes. After l layers an element may be as large as l + 1. (Fang et
    al. also try A·S_in and (1 − A)·S_in, which stay 0 or 1: exercise 10a. ResNets for ReLU add the
    shortcut to the current, in front of the neuron; there the 1 would have to pass the threshold and σ′.)

    Then the image, on its way up. Do two photographs that look alike to the first layer still look alike
    to the last? If not, what is learned of one says little about the other. `likeness_by_layer` measures
    it, before any training. (The sum that a SEW stack hands on still contains the first layer's spikes, so
    some of the likeness has to stay. The question is how much.)

    So a shortcut gives a way around to the image and to the error. Which of them matters? With detach(),
    which keeps a value and stops the error, each can have it alone:

        plain           A                            both have to pass every layer
        error around    A + (S_in − S_in.detach())   adds 0, with the derivative 1
        image around    A + S_in.detach()            adds S_in, with the derivative 0
        SEW             A + S_in                     both may go around

    The two in the middle are experiments, not methods: neither follows the true gradient of its loss. In
    image around the error shrinks by ρ/√l a layer. At 16 layers the gradients of the lowest weights are
    near 10⁻¹¹ or less. AdamW divides each weight's gradient by its own usual size plus ε, and so makes up for one
    that is short throughout, unless it is far below ε. PyTorch's ε is 10⁻⁸: the lowest layers would stay
    as they are. Therefore all arms are trained with an ε of 10⁻¹⁸ (`even_adamw`), and all layers learn.

    All four are trained with D layers at α = 2, plain stacks at the other slopes as well, plain and SEW
    with two layers, and, as "depth 0", the first layer with the read-out alone. At equal depth they have
    the same number of weights and the same weights at the start. All see the same 3,000 images twice, 50
    in an update, which is few: the comparison is of how fast they learn, not of where they end.
    `train_arm` says how. In the table, "gradient" is that at the first layer as a multiple of that at
    the last, before training, and "expected" what lines (c) and (d) say of it.
    """
    D = cfg.depth
    run.predict(
        "gradient_plain",
        f"In a plain stack with the default slope, α = 2: how large is the gradient {D} layers below the "
        "last one, as a multiple of that at the last? (1: equally large)",
        unit="×",
    )
    data = run.data(cifar10, n_train=512 if cfg.smoke else None)
    number = fast_number(run.device)
    x, y = next(batches(data.x_train, data.y_train, 64, device=run.device))
    x = encode_small(x, cfg.num_steps, number)
    rho = {slope: factor_per_layer(cfg, slope, run.generator()) for slope in SLOPES}
    gradient, likeness = {}, {}
    for kind in KINDS:
        for slope in SLOPES:
            build = partial(deep_stack, cfg, kind, slope, D)
            nets = [build(cfg.seed + i).to(run.device) for i in range(cfg.seeds)]
            gradient[kind, slope] = np.array([gradient_by_layer(net, x, y) for net in nets])
        if kind in ("plain", "SEW"):  # up, the other two are like these; and the slope is not used
            likeness[kind] = np.array([likeness_by_layer(net, x) for net in nets])

    def first(kind: str, slope: float) -> float:
        """The gradient at the first layer, as a multiple of the last one's."""
        return float(gradient[kind, slope][:, 0].mean())

    measured = ", ".join(two_digits(first("plain", slope)) for slope in SLOPES)
    around = ", ".join(two_digits(first("SEW", slope)) for slope in SLOPES)
    slopes = ", ".join(f"{slope:g}" for slope in SLOPES)
    title = f"Gradient, first / last layer, at α = {slopes}: plain {measured}; SEW {around}"
    draw_gradients(run, gradient, rho, title)

    settings = [("plain", 2.0, 0), ("plain", 2.0, min(2, D)), ("SEW", 2.0, min(2, D))]
    settings += [("plain", slope, D) for slope in SLOPES]
    settings += [(kind, 2.0, D) for kind in KINDS if kind != "plain"]
    arms = {}
    settings = list(dict.fromkeys(settings))  # each once, if D is 2
    for kind, slope, depth in live(settings, "   trainings", len(settings)):
        build = partial(deep_stack, cfg, kind, slope, depth)
        arms[kind, slope, depth] = train_arm(build, data, cfg, run)

    def against(one: tuple[str, float, int], other: tuple[str, float, int]) -> tuple[float, float]:
        """Points that one arm reads more than the other, seed by seed, and half their interval."""
        return interval(np.subtract(arms[one].test, arms[other].test))

    shallow = min(2, D)
    gain, half = against(("SEW", 2.0, D), ("plain", 2.0, D))
    image = against(("image around", 2.0, D), ("plain", 2.0, D))
    error = against(("error around", 2.0, D), ("plain", 2.0, D))
    deeper, spread = against(("SEW", 2.0, D), ("SEW", 2.0, shallow))
    dots, rows = {}, []
    for (kind, slope, depth), arm in arms.items():
        name = f"depth {depth}: {kind}" if depth else "depth 0"
        if slope == 2:
            dots[name] = arm.test
        mean, width = interval(arm.test)
        tried = f"{arm.rate:g} ({arm.tried[0]:g}–{arm.tried[-1]:g})"
        at_first = law = ""
        if depth == D:
            at_first = two_digits(first(kind, slope))
            law = two_digits(expected_gradient(kind, rho[slope], D)[0])
        name = name.removeprefix("depth ")
        rows.append((name, f"{slope:g}", f"{mean:.1f} ± {width:.1f}", tried, at_first, law))
    updates = cfg.short_epochs * math.ceil(min(cfg.short_images, len(data.x_train)) / SHORT_BATCH)
    columns = ("depth", "α", "read (%)", "rate (tried)", "gradient", "expected")
    run.table(f"After {updates} updates (±: 95 % interval of {cfg.seeds} seeds)", columns, rows)
    at_end = {kind: float(found[:, -1].mean()) for kind, found in likeness.items()}
    plains = {slope: arms["plain", slope, D].test for slope in SLOPES}
    sew = arms["SEW", 2.0, D].test
    title = (
        f"{D} layers up, {at_end['plain']:.2f} of the likeness is left (plain) or {at_end['SEW']:.2f} (SEW); "
        f"trained, {np.mean(plains[2.0]):.0f} % or {np.mean(sew):.0f} % are read"
    )
    draw_depth(run, likeness, dots, title)

    facts = {
        "n": min(3000, len(data.y_test)) * cfg.seeds,
        "seeds": cfg.seeds,
        "real": True,
    }
    for kind in at_end:
        text = f"{kind}: gradient, first / last"
        run.claim(f"gradient_{kind.lower()}", text, first(kind, 2.0), "×")
    for kind, left in at_end.items():
        run.claim(f"likeness_{kind.lower()}", f"{kind}: likeness left, {D} layers up", left, "")
    run.claim("gain", f"depth {D}: SEW against plain", gain, "points", **facts)
    run.claim("image_around", "image around against plain", image[0], "points", **facts)
    run.claim("error_around", "error around against plain", error[0], "points", **facts)
    run.claim("deeper", f"SEW: depth {D} against {shallow}", deeper, "points", **facts)
    use = f"{D} layers of SEW are not shown to read more than {shallow}"
    if deeper > spread:
        use = f"{D} layers of SEW read more than {shallow}"
    if deeper < -spread:
        use = f"{D} layers of SEW read less than {shallow}"
    run.finding(
        f"{is_length({slope: first('plain', slope) for slope in SLOPES}, plains, sew)} The image gets lost "
        f"as well: after {D} plain layers {at_end['plain']:.2f} of the likeness is left, after {D} SEW "
        f"layers {at_end['SEW']:.2f}. Against plain, a way around for the image alone gains {image[0]:+.1f} "
        f"± {image[1]:.1f} points, for the error alone {error[0]:+.1f} ± {error[1]:.1f}, for both "
        f"{gain:+.1f} ± {half:.1f} (95 % of {cfg.seeds} seeds). {way_around(image, error, (gain, half))} {use} "
        f"({deeper:+.1f} ± {spread:.1f} points)."
    )


# ---------------------------------------------------------------- 3  the headline


def photo_net(beta: float = 0.5, channels: int = 64) -> SpikingCNN:
    """Five spiking layers, 32×32 → 16 → 8 → 8 → 4 → 4 pixels; 1,111,882 parameters by default."""
    c1, c2, c3 = channels, 2 * channels, 4 * channels
    return SpikingCNN(
        [
            Layer(3, c1, beta, pool=True),
            Layer(c1, c2, beta, pool=True),
            Layer(c2, c2, beta, shortcut=True),
            Layer(c2, c3, beta, pool=True),
            Layer(c3, c3, beta, shortcut=True),
        ]
    )


def planned_epochs(cfg: Config, number: torch.dtype) -> int:
    """As many as the flag says, or what two cores do in a quarter of an hour."""
    if cfg.epochs:
        return cfg.epochs
    return 17 if number == torch.bfloat16 else 7


@torch.no_grad()
def spikes_by_layer(net: SpikingCNN, x: Tensor) -> list[Tensor]:
    """What each layer hands on for ``x (T, B, 3, H, W)``, with the running statistics."""
    was_training = net.training
    net.eval()
    outputs = list(net.outputs(x))
    net.train(was_training)
    return outputs


@torch.no_grad()
def accumulates(net: SpikingCNN, x: Tensor) -> float:
    """Additions an image that spikes cause in the next layer, for ``x (T, B, 3, H, W)``.

    A spike adds a weight to each neuron that it reaches: C_out filters at up to nine places, fewer at
    the edge. Behind a shortcut an element may be 2, which counts as two spikes. The read-out's additions
    are counted too, one a class.
    """
    outputs = spikes_by_layer(net, x)
    nine = torch.ones(1, 1, 3, 3, device=x.device)
    total = 0.0
    for layer, spk in zip(list(net.layers)[1:], outputs, strict=False):
        spikes = spk.float().sum(2).flatten(0, 1).unsqueeze(1)  # (T·B, 1, H, W): over all channels
        total += F.conv2d(spikes, nine, padding=1).sum().item() * layer.conv.out_channels
    total += outputs[-1].float().sum().item() * net.fc.out_features
    return total / x.shape[1]


def multiplications(net: SpikingCNN, size: int = 32) -> int:
    """Multiply-accumulates of the first layer an image: colour values are no spikes, but stay the same."""
    places_reached = (3 * size - 2) ** 2  # of 3 by 3 neighbours, those inside the image
    return 3 * net.layers[0].conv.out_channels * places_reached


def cost_row(net: SpikingCNN, x: Tensor) -> dict[str, Any]:
    """What one image costs, for the ledger of all lessons; ``x (T, B, 3, H, W)``."""
    acs, macs = accumulates(net, x), multiplications(net)
    p50, p95 = latency(lambda: net.run(x[:, :1]), x.device)
    parameters = sum(p.numel() for p in net.parameters())
    row = {
        "model": "SNN, SEW",
        "num_steps": len(x),
        "parameters": parameters,
    }
    row |= {
        "bytes": 4 * parameters,
        "synops": acs,
        "macs": macs,
    }
    row |= {
        "ann_macs": ann_macs(net, x[0].float()),
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
    }
    return row | {"energy_estimated_nj": estimated_energy_nj(acs, macs)}


def other_seeds() -> str:
    """What study 10 found on other seeds, as its committed result has it; empty without one."""
    stored = ROOT / "docs" / "results" / "10_seeds.json"
    try:
        found = json.loads(stored.read_text(encoding="utf-8"))
        return next(f["text"] for f in found["findings"] if f["main"])
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return ""  # not published yet, or damaged


@dataclass
class Trained:
    """What section 3 leaves for section 5."""

    net: SpikingCNN
    data: ImageData


@section
def section_training(cfg: Config, run: Run) -> Trained:
    """3  How well does a small spiking network read photographs?

    CIFAR-10: 60,000 photographs of 32×32 pixels, ten classes from aeroplane to lorry. The network is
    `photo_net`: five layers of equation (1) with BatchNorm, two of them with a SEW shortcut (2), then
    the mean over all places and a linear layer, whose output is averaged over the T steps. Colour values
    are the input current. Max pooling halves the map before BatchNorm and neuron.

    Three things let two CPU cores train it in about a quarter of an hour:

        number    where the processor multiplies 16-bit bfloat16 numbers fast, convolutions use them. A
                  spike is the same in 16 bits as in 32; the weights, the image and the currents that
                  come out are rounded to two or three digits. Potentials and BatchNorm stay float32. On
                  other processors all is float32, with fewer epochs.
        memory    BatchNorm and neurons of all steps are one function, unroll_normalised; its file
                  multistep/normalised.py has the four equations. Section 4 counts what it saves.
        updates   Muon for the convolutions, AdamW for the rest. Muon takes the gradient of a layer as a
                  matrix G = UΣVᵀ (filters × inputs) and steps along UVᵀ: all directions equally far,
                  those with a small gradient too. training/muon.py has it in thirty lines.

    The rest are ordinary helpers. The learning rate rises for a tenth of the updates and then falls to
    zero, both in a straight line. Training images are mirrored at random and moved by up to two pixels.
    `smoothed_loss` asks for 0.91 and not for certainty. 5,000 of the training images are set aside for
    validation: they choose the epoch that is kept. Earlier runs chose all settings on these 5,000 as
    well, so the accuracy on them is a little too good. The 10,000 test images choose nothing: sections
    2, 3 and 5 read them to report. What the two shortcuts are worth in a network of only five layers is
    not measured here.

    BatchNorm takes one mean and one variance for a channel, over all steps, images and places together.
    Exercise 10c has a layer that takes them step by step, and shows what it can no longer see.

    One training is one sample. `studies/10_seeds.py` repeats this one with other seeds; where its
    result stands in docs/results/, the run prints it.

    To compare: a larger network with T = 8 and learnt time constants (PLIF) reads 92.6 %, chosen on
    validation as here (https://arxiv.org/abs/2007.05785).
    """
    run.predict(
        "accuracy",
        "What share of 10,000 photographs that it has never seen will the network put into the right "
        f"one of ten classes, with {cfg.num_steps} steps?",
        unit="%",
    )
    data = run.data(cifar10, n_train=512 if cfg.smoke else None)
    number = fast_number(run.device)
    epochs = planned_epochs(cfg, number)
    run.print(f"   number  {str(number).removeprefix('torch.')} in convolutions: {epochs} epochs")
    torch.manual_seed(cfg.seed)
    net = photo_net(cfg.beta, cfg.channels)
    show = partial(encode, num_steps=cfg.num_steps, number=number)
    history = fit(
        net,
        data,
        show,
        run=run,
        epochs=epochs,
        batch_size=cfg.batch_size,
        loss_fn=smoothed_loss,
        predict=highest_mean_current,
        augment=flip_and_shift,
        optimizer=partial(muon_for_convolutions, lr=cfg.lr, number=number),
        schedule=up_and_down,
        name="cnn",
        resume=cfg.resume,
    )
    net.eval()  # from here on BatchNorm uses its running statistics, and leaves them alone
    run.checkpoint(net)  # model.safetensors: the weights of the best epoch
    accuracy = evaluate(net, data.x_test, data.y_test, show, highest_mean_current)

    some = data.x_test[:500].to(run.device).float() / 255
    outputs = spikes_by_layer(net, show(some))
    rates = {}
    below = torch.zeros((), device=run.device)
    for i, (layer, spk) in enumerate(zip(net.layers, outputs, strict=True), start=1):
        own = spk.float() - below.float() if layer.shortcut else spk.float()  # without the shortcut
        rates[f"layer {i}" + (" (SEW)" if layer.shortcut else "")] = own.mean().item()
        below = spk

    n = len(data.y_test)
    fig, (left, right) = plots.figure(1, 2, (11, 4))
    curves = {
        "training (during the epoch, images moved)": [100 * row["train"] for row in history],
        "validation": [100 * row["val"] for row in history],
    }
    plots.curves(left, [row["epoch"] for row in history], curves)
    left.legend(loc="lower right")
    left.xaxis.get_major_locator().set_params(integer=True)
    plots.label(left, "epoch", "images read correctly (%)", "training")
    plots.bars(right, {name: 100 * rate for name, rate in rates.items()}, fmt="{:.1f}")
    plots.label(
        right, "neurons that spike at a step (%; shortcuts not counted)", "", "after training"
    )
    title = f"{100 * accuracy:.1f} % of {n:,} test images after {len(history)} epochs, T = {cfg.num_steps}"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "3_training", look="in which layer the most neurons spike at a step")

    target = ">= 0.84" if number == torch.bfloat16 else ">= 0.82"
    target = ">= 0.93" if cfg.full else target
    best = max(row["val"] for row in history)
    neurons = sum(spk[0, 0].numel() for spk in outputs)
    active = sum(r * spk[0, 0].numel() for r, spk in zip(rates.values(), outputs, strict=True))
    run.claim(
        "accuracy", "test images read correctly", accuracy, target=target, n=n, seeds=1, real=True
    )
    run.claim("validation", "validation images, best epoch", best, n=len(data.y_val), real=True)
    run.claim("rate", "neurons that spike at a step", active / neurons, real=True)
    run.ledger(**cost_row(net, show(some[:200])), data=data.name, accuracy=accuracy, n=n)
    run.finding(
        f"{100 * accuracy:.1f} % of {n:,} photographs are read correctly with {cfg.num_steps} steps (one seed, "
        f"{len(history)} epochs), by a network of {sum(p.numel() for p in net.parameters()):,} parameters. "
        f"At a step {100 * active / neurons:.0f} % of its {neurons:,} neurons spike.",
        main=True,
        claim="accuracy",
    )
    study = other_seeds()
    if study:
        text = textwrap.fill(f"studies/10_seeds.py: {study}", 77, subsequent_indent="   ")
        run.print(f"   {text}")
    return Trained(net, data)


# ---------------------------------------------------------------- 4  memory


def bytes_by_formula(
    net: SpikingCNN, num_steps: int, batch: int, size: int = 32, b: int = 4, fused: bool = True
) -> int:
    """What ``net.run`` keeps for backward, for ``batch`` still images of size×size and numbers of b bytes."""
    kept = b * batch * 3 * size**2  # the images, once
    computed = 1  # steps at which a layer convolves: the first has an input that stays
    for layer in net.layers:
        kept += b * layer.conv.weight.numel()  # the weights, in the number type of the convolution
        maps = batch * layer.conv.out_channels
        if layer.pool:
            kept += b * computed * maps * size**2  # what the convolution gave
            size = size // 2
            kept += 8 * computed * maps * size**2  # where each maximum stood: a 64-bit integer
        if fused:
            kept += b * computed * maps * size**2  # input of BatchNorm and neurons together
        else:
            kept += 4 * (computed + num_steps) * maps * size**2  # input of BatchNorm; potentials
        kept += b * num_steps * maps * size**2  # what the layer hands on: the next one's input
        computed = num_steps
    kept -= b * num_steps * maps * size**2  # of the last layer only the mean over places is read
    kept += 4 * (num_steps * maps + net.fc.weight.numel())  # that mean, and the read-out
    return kept


def bytes_measured(net: SpikingCNN, forward: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Bytes that autograd holds for backward when the loss of ``forward(x)`` has been computed."""
    y = torch.zeros(x.shape[1], dtype=torch.long, device=x.device)
    reset_state(net)
    with saved_for_backward() as kept:
        loss = mean_current_loss(forward(x), y)  # has to live until the bytes are counted
        held = kept()
    del loss
    reset_state(net)
    return held


def stepped(net: SpikingCNN, x: Tensor) -> Tensor:
    """The loop of lesson 08, one step after the other: ``(T, B, 3, H, W)`` → ``(T, B, 10)``."""
    return torch.stack([net(x_t) for x_t in x])


def as_on_a_gpu(net: SpikingCNN) -> SpikingCNN:
    """A copy of ``net`` that never takes the compiled loops: PyTorch's BatchNorm, and then the neurons.

    The loops do not know the surrogate that it gets; what another one keeps for backward is the same.
    """
    other = copy.deepcopy(net)
    for layer in other.layers:
        layer.lif.spike_grad = surrogate.sigmoid(slope=25)
    return other


def batch_in(net: SpikingCNN, num_steps: int, room: int, b: int, fused: bool) -> int:
    """The most images in a batch for which backward needs at most ``room`` bytes, by the formula."""
    count = partial(bytes_by_formula, net, num_steps, b=b, fused=fused)
    fixed = count(batch=0)
    each = count(batch=1) - fixed
    return max(0, (room - fixed) // each)


def largest_batch(net: SpikingCNN, num_steps: int, card: int) -> int:
    """Images in a batch for which a GPU of ``card`` bytes can keep what backward needs, by the formula.

    On a GPU with bfloat16, without the compiled loops. Weights, gradients and the two numbers a weight
    that an optimiser keeps take 16 bytes a weight.
    """
    always = 16 * sum(p.numel() for p in net.parameters())
    return batch_in(net, num_steps, card - always, b=2, fused=False)


@section
def section_memory(cfg: Config, run: Run) -> None:
    """4  How much memory does training take, and can it be told beforehand?

    Lesson 09 counted what a dense layer keeps for the backward pass. Here the maps are large, and a GPU
    of 24 GB is soon full, so it pays to write the sum down before a run. `bytes_by_formula`, above, does
    so line by line. For a layer with C maps of h×w pixels, b bytes a number (4 float32, 2 bfloat16):

        the next layer's convolution reads this layer's spikes                b·T·B·C·h·w
        BatchNorm and neurons, one function, read their input                 b·T·B·C·h·w
        max pooling reads the map before it, four times as large              b·T·B·C·4·h·w
            and where each maximum stood, a 64-bit integer                    8·T·B·C·h·w

    Potentials are not in the list: unroll_normalised makes them again on its way back. The first layer
    convolves its image once, since it stays the same; all its entries but the spikes count one step, not
    T. A shortcut is a sum, and the gradient of a sum needs neither summand. So for large T the memory
    goes with T·B, and for small T it grows more slowly.

    A GPU does not have these compiled loops. There BatchNorm keeps its input and the neurons their
    potentials, 4 bytes each: fused=False in the formula. `as_on_a_gpu` makes a network go that way here,
    so that this branch is measured as well. The right panel is for such a card. It shows an upper bound:
    the peak of a training is higher, by what backward needs for one layer at a time.

    The formula is held against the bytes that autograd really holds, counted by its own hooks, for this
    network with and without shortcuts, and without the loops. The plain loop over steps is counted as well.
    """
    run.predict(
        "sew_extra",
        "How many per cent more does the network with two SEW shortcuts keep than without them?",
        unit="%",
    )
    number = fast_number(run.device)
    b = number.itemsize
    torch.manual_seed(cfg.seed)
    net = photo_net(cfg.beta, cfg.channels).to(run.device)
    bare = photo_net(cfg.beta, cfg.channels).to(run.device)
    for layer in bare.layers:
        layer.shortcut = False
    slow = as_on_a_gpu(net)
    layer = net.layers[0]
    images = torch.rand(8, 3, 32, 32, generator=run.generator()).to(run.device)
    fused = is_fused(layer.norm, layer.lif, encode(images, 2, number))
    rows, errors, errors_slow, extra = [], [], [], []
    for T in (1, 2, 4, 8):
        for B in (2, 8):
            x = encode(images[:B], T, number)
            predicted = bytes_by_formula(net, T, B, b=b, fused=fused)
            with_sew = bytes_measured(net, net.run, x)
            without = bytes_measured(bare, bare.run, x)
            errors += [abs(predicted / with_sew - 1), abs(predicted / without - 1)]
            extra.append(with_sew / without - 1)
            expected = bytes_by_formula(net, T, B, b=b, fused=False)
            no_loops = bytes_measured(slow, slow.run, x)
            errors_slow.append(abs(expected / no_loops - 1))
            x = encode(images[:B], T)  # float32, for the loop over steps too
            loop = bytes_measured(net, partial(stepped, net), x)
            fine = bytes_measured(net, net.run, x)
            rows.append((T, B, predicted, with_sew, expected, no_loops, fine, loop))
    ratio = loop / fine  # at the largest T and B
    columns = (
        "T",
        "B",
        "formula",
        "run",
        "GPU formula",
        "GPU run",
        "32-bit run",
        "32-bit loop",
    )
    table = []
    for T, B, *kept in rows:
        cells = [f"{value / 2**20:.1f}" for value in kept]
        table.append((T, B, *cells))
    name = str(number).removeprefix("torch.")
    title = f"MiB kept for backward, {name}; GPU: as on one, without compiled loops"
    run.table(title, columns, table)

    steps, card = (1, 2, 4, 8, 16, 32, 64), 24 * 2**30
    fits = [float(f"{largest_batch(net, T, card):.2g}") for T in steps]  # two digits are enough
    fig, (left, right) = plots.figure(1, 2, (11, 4))
    for i, B in enumerate((2, 8)):
        mine = [row for row in rows if row[1] == B]
        at, look = [row[0] for row in mine], {"color": plots.COLOURS[i]}
        left.plot(at, [row[2] / 2**20 for row in mine], "-", label=f"formula, B = {B}", **look)
        left.plot(at, [row[3] / 2**20 for row in mine], "ov"[i], label=f"measured, B = {B}", **look)
    left.legend()
    left.set_ylim(0, None)
    title = "measured here"
    plots.label(left, "time steps T", "kept for backward (MiB)", title)
    plots.curves(right, steps, {"largest batch": fits})
    for T, most in zip(steps, fits, strict=True):
        right.annotate(f"{most:,.0f}", (T, most), (6, 5), textcoords="offset points", fontsize=9)
    right.set_xlim(0.8, 120)
    right.set_ylim(0.6 * fits[-1], 2 * fits[0])
    right.set_xscale("log", base=2)
    right.set_yscale("log")
    right.set_xticks(steps, [str(T) for T in steps])
    right.yaxis.set_major_formatter("{x:,.0f}")
    plots.label(
        right,
        "time steps T",
        "largest batch B",
        "what a GPU of 24 GB takes at most",
    )
    worst = max(*errors, *errors_slow)
    title = (
        f"Formula and measurement at most {100 * worst:.1f} % apart; 24 GB: at most "
        f"{fits[1]:,.0f} images at T = 2"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(
        fig, "4_memory", look="left, points on lines; right, by how much B falls if T doubles"
    )

    run.claim("memory_error", "formula against measured, worst", max(errors), target="<= 0.05")
    run.claim("memory_error_gpu", "the same as on a GPU, worst", max(errors_slow), target="<= 0.05")
    run.claim("sew_extra", "SEW against plain, most", max(extra))
    run.claim("loop_ratio", "loop / net.run, T = 8, float32", ratio, "×")
    run.claim("batch_2", "largest batch, 24 GB, T = 2", fits[1], "images")
    verdict = "can be told beforehand" if worst <= 0.05 else "is not told well by the formula"
    cost = "no byte more"
    if max(extra) > 0.0005:
        cost = f"{100 * max(extra):.1f} % more at most"
    run.finding(
        f"The memory of training {verdict}, to {100 * worst:.1f} % here. SEW shortcuts keep {cost}. The plain "
        f"loop keeps {ratio:.1f} times as much as net.run (float32, T = 8). By the formula a GPU of 24 GB "
        f"takes at most about {fits[1]:,.0f} images at T = 2 and {fits[4]:,.0f} at T = 16; no training on "
        "such a card was measured."
    )


# ---------------------------------------------------------------- 5  how many steps?


def agreement(
    net: SpikingCNN, data: ImageData, num_steps: int, batch: int, pairs: int, draw: torch.Generator
) -> list[float]:
    """Cosines between the gradients of two batches without a common image, ``pairs`` times."""
    weights = [layer.conv.weight for layer in net.layers]
    gradients = []
    shuffled = batches(data.x_train, data.y_train, batch, generator=draw)
    for (x, y), _ in zip(shuffled, range(2 * pairs), strict=False):
        x, y = x.to(weights[0].device), y.to(weights[0].device)
        loss = mean_current_loss(net.run(encode(x, num_steps, fast_number(x.device))), y)
        found = torch.autograd.grad(loss, weights)
        gradients.append(torch.cat([g.flatten() for g in found]))
    return [
        F.cosine_similarity(a, other, dim=0).item()
        for a, other in zip(gradients[::2], gradients[1::2], strict=False)
    ]


@torch.no_grad()
def right_answers(
    net: SpikingCNN, x: Tensor, y: Tensor, show: Callable[[Tensor], Tensor]
) -> Tensor:
    """Which of the images ``x`` are read correctly: 1 or 0, ``(N,)``."""
    found = []
    for x_b, y_b in batches(x, y, 500, device=net.fc.weight.device):
        found.append((highest_mean_current(net.run(show(x_b))) == y_b).float().cpu())
    return torch.cat(found)


def more_images(cosine: float, factor: float) -> float:
    """Equation (3): the cosine that batches ``factor`` times as large have, from that of these."""
    noise = 1 / min(max(cosine, 1e-6), 1.0) - 1  # σ²/(B·g²)
    return 1 / (1 + noise / factor)


@section
def section_steps(cfg: Config, run: Run) -> None:
    """5  How many steps, and how large a batch?

    T costs twice. Each step of each image has to be computed, and in training kept (section 4). What does
    it buy?

    First, accuracy. The network of section 3 is asked again with other T, without new training. All T read
    the same images, so a gain is judged image by image. (The bars in the figure are for each T by itself.)
    The cost is counted as additions (`accumulates`): a spike adds a weight to each neuron that it reaches,
    nothing is multiplied. (The first layer multiplies colour values, once, since the image stays.) Lesson
    12 counts an ordinary network in the same way and says what that means in energy.

    Second, batches. A gradient is an average over B images, and the fewer they are, the more of it is
    chance. The same memory can go into steps or into images: `batch_in` solves the formula of section 4
    for B. (An eighth of the steps makes room for less than eight times the images: the first layer's
    convolution and pooling are kept once an image, whatever T.) The measure: how alike are the gradients
    of two batches that have no image in common? 1 is the same direction, 0 nothing in common. A batch's
    gradient is the true one, of length g, and chance, whose variance, summed over all weights, is σ²/B if
    the images are independent of each other. So

        cosine of two batches = g²/(g² + σ²/B) = 1/(1 + σ²/(B·g²))                                 (3)

    The cosine of one B gives σ²/g², and with it that of any other B. (BatchNorm makes the images of a batch
    depend on each other a little, so (3) need not hold exactly.) The cosine is measured in an untrained
    network, built like that of section 4, for sixteen pairs of batches each. One line has the memory
    fixed, the other B. (Who needs more images behind an update than the memory holds adds up the gradients
    of several batches before the optimiser's step. That costs time and no memory.)
    """
    run.predict(
        "gain_4",
        f"The network was trained with T = {cfg.num_steps}. It is now shown each image for 4 steps, "
        "without new training. By how many points does its accuracy change?",
        unit="points",
    )
    given: Trained = run.result_of(section_training)
    net, data = given.net, given.data
    number = fast_number(run.device)
    steps = sorted({1, 2, 4, 8, cfg.num_steps})
    some = data.x_test[:200].to(run.device).float() / 255
    right, accuracy, cost = {}, {}, {}
    for T in live(steps, "   steps", len(steps)):
        show = partial(encode, num_steps=T, number=number)
        right[T] = right_answers(net, data.x_test, data.y_test, show)  # (N,)
        accuracy[T] = right[T].mean().item()
        cost[T] = accumulates(net, show(some))
    torch.manual_seed(cfg.seed)
    fresh = photo_net(cfg.beta, cfg.channels).to(run.device)
    layer, few = fresh.layers[0], 4 if cfg.smoke else 32  # images at T = 8
    fused = is_fused(layer.norm, layer.lif, encode(some[:8], 2, number))
    kept = partial(bytes_by_formula, fresh, b=number.itemsize, fused=fused)
    room = kept(8, few)
    pairs = 2 if cfg.smoke else 16
    times = (1, 2, 4, 8)
    batch, same_memory, same_images = {}, {}, {}
    for T in live(times, "   batches", len(times)):
        batch[T] = batch_in(fresh, T, room, number.itemsize, fused)
        same_memory[T] = agreement(fresh, data, T, batch[T], pairs, run.generator())
        same_images[T] = agreement(fresh, data, T, few, pairs, run.generator())

    fig, (left, middle, third) = plots.figure(1, 3, (11.5, 3.9))
    shares = np.array([accuracy[T] for T in steps])
    chance = 196 * np.sqrt(shares * (1 - shares) / len(data.y_test))  # 95 %, in points
    left.errorbar(steps, 100 * shares, chance, color=plots.BLUE, marker="o", capsize=4)
    left.axvline(cfg.num_steps, color="0.5", lw=1, ls=":")
    plots.label(
        left, "T when asked (dotted: when trained)", "test images read correctly (%)", "accuracy"
    )
    plots.curves(middle, steps, {"additions": [cost[T] / 1e6 for T in steps]})
    middle.set_yscale("log", base=2)
    middle.yaxis.set_major_formatter("{x:g}")
    plots.label(
        middle,
        "T when asked",
        "additions an image (millions)",
        "cost",
    )
    shown = ", ".join(str(batch[T]) for T in times)
    lines = {f"{room / 2**20:.0f} MiB: B = {shown}": same_memory, f"B = {few}": same_images}
    for i, (name, found) in enumerate(lines.items()):
        means, halves = np.array([interval(found[T]) for T in times]).T  # (4,) each
        look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "ls": plots.DASHES[i]}
        third.errorbar(times, means, halves, label=name, capsize=4, **look)
    third.axhline(0, color="0.5", lw=1)
    third.legend()
    plots.label(third, "T", "cosine of two batches' gradients", "batches (bars: 95 %)")
    for ax, at in ((left, steps), (middle, steps), (third, times)):
        ax.set_xscale("log", base=2)
        ax.set_xticks(at, [str(T) for T in at])
    fig.suptitle(
        f"From T = 1 to 8: {100 * (accuracy[8] - accuracy[1]):+.1f} points, "
        f"{cost[8] / max(cost[1], 1):.1f} times the additions",
        x=0.01,
        ha="left",
    )
    look = "left: from which T on is little gained? right: how far apart are the lines at T = 1?"
    run.figure(fig, "5_steps", look=look)

    facts = {
        "n": len(data.y_test),
        "seeds": 1,
        "real": True,
    }
    change = 100 * (right[4] - right[cfg.num_steps])  # image by image, in points
    gain = change.mean().item()
    half = 1.96 * change.std().item() / math.sqrt(len(change))
    small, width = interval(same_images[1])
    images, width_images = interval(same_memory[1])
    both, width_both = interval(same_images[8])
    factor = batch[1] / few
    by_law = more_images(small, factor)
    low, high = (more_images(small + side * width, factor) for side in (-1, 1))
    run.claim("accuracy_1", "asked with T = 1", accuracy[1], **facts)
    run.claim("accuracy_4", "asked with T = 4", accuracy[4], **facts)
    run.claim("gain_4", f"T = 4 against T = {cfg.num_steps}", gain, "points", **facts)
    run.claim("accumulates", "additions an image, T = 2", cost[2] / 1e6, "million", real=True)
    run.claim("alike_images", f"gradients alike: T = 1, B = {batch[1]}", images, "")
    run.claim("alike_steps", f"gradients alike: T = 8, B = {few}", both, "")
    # half the interval of the difference, or a little more: two means of different batches
    apart = math.hypot(width_images, width_both)
    more = "which of the two brings more is not shown"
    if images - both > apart:
        more = "here images bring more than steps"
    if both - images > apart:
        more = "here steps bring more than images"
    run.finding(
        f"The same weights read {100 * accuracy[1]:.1f} % of the test images with T = 1, "
        f"{100 * accuracy[2]:.1f} % with T = 2 and {100 * accuracy[8]:.1f} % with T = 8, for "
        f"{cost[1] / 1e6:.0f}, {cost[2] / 1e6:.0f} and {cost[8] / 1e6:.0f} million additions an image. Image by "
        f"image, T = 4 gains {gain:+.2f} ± {half:.2f} points on T = {cfg.num_steps}. In one untrained network "
        f"the gradients of two batches of {few} agree by {small:.2f} at T = 1. With "
        f"{room / kept(1, few):.1f} times the memory it is {both:.2f} ± {width_both:.2f} by T = 8 or "
        f"{images:.2f} ± {width_images:.2f} by B = {batch[1]}: {more}. Equation (3) expects {by_law:.2f} "
        f"(95 %: {low:.2f} to {high:.2f}) of the {batch[1]} images."
    )


def main(cfg: Config, run: Run) -> None:
    section_shapes(cfg, run)
    section_depth(cfg, run)
    section_training(cfg, run)
    section_memory(cfg, run)
    section_steps(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
