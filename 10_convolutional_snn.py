"""Lesson 10 — Spiking convolutional and residual networks: photographs, and depth

Question
    A convolution looks at space, a spiking neuron at time. How do the two work together on
    photographs? And what goes wrong in a stack of many spiking layers, and what mends it?

Idea
    All tensors are (T, B, C, H, W): steps, images, channels, height, width. A layer is

        I[t] = conv(S_below[t])     U[t] = β·U[t−1] + I[t] − θ·S[t−1]     S[t] = 1 if U[t] > θ     (1)

    The convolution mixes neighbouring places of one step and has no memory. The neuron mixes the
    steps of one place and has no neighbours. In a deep stack the image on its way up and the
    gradient on its way down have to pass every layer. A spike-element-wise (SEW) shortcut makes a
    way around the layer: it adds the spikes that come in, S_in, to those that the layer makes, A:

        S_out[t] = A[t] + S_in[t]                                                                 (2)

    Why behind the neuron? If S_in were a part of its current, ten spikes in a row would make it fire
    only five times (β = 0.5, θ = 1: U = 1, then 1.5 and a spike, then 0.75, …). The price of (2) is
    that an element of S_out is a whole number: up to l + 1 after l layers with a shortcut.

Read first
    Theory     Fang et al. 2021, SEW-ResNet, https://arxiv.org/abs/2102.04159
    Practice   snnTorch tutorial 6,
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_6.html

Run
    uv run 10_convolutional_snn.py --predict   asks what you expect, then measures it: start here
    uv run 10_convolutional_snn.py             about 40 minutes of one idle CPU core: 14 for section 2
                                               (half of that with --jobs 2) and 25 for section 3
    uv run 10_convolutional_snn.py --resume    goes on where a run was stopped; the time printed is
                                               that of the last part (so is the published run's)
    uv run 10_convolutional_snn.py --full      twice the channels, T = 4, 60 epochs: for a GPU; not
                                               tried yet, and without a target
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, islice, product
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
from training.arms import each_arm, interval, signed
from training.augment import flip_and_shift
from training.muon import muon_for_convolutions, up_and_down

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from matplotlib.colors import ListedColormap
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
    jobs: int = bounded(1, 1, 256)
    """arms of section 2 that are trained at the same time"""
    resume: bool = False
    """take over the arms of section 2 and the epochs of section 3 that a stopped run has finished"""


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

    A filter made by hand finds edges whose dark side is on the left. A photograph is shown for T steps.
    `step_by_step`, above, is the whole layer. Two of its lines share the work:

        cur = conv(x_t)             the same weights at every step, and no memory
        spk, mem = lif(cur, mem)    a memory in each of the C·H·W places, and no neighbours

    The photograph stands still, so conv gives the same map I at every step. The spikes change all the
    same. From rest, and until the first spike, U[t] is a geometric series:

        U[t] = I·(1 + β + … + β^(t−1)) = I·(1 − β^t)/(1 − β)

    A neuron fires first at the step t where this exceeds θ = 1. Strong edges come first, weaker ones
    later, and those with I ≤ 1 − β never. So time turns the strength of an edge into an order. (A spike
    costs θ, so a neuron that has fired may be silent at the next step.) The numbers below are means of
    200 photographs. The figure shows the one with most strong edges.

    Since conv has no memory, it need not stand in the loop. over_time(conv, x) gives it all T steps at
    once, as one batch of T·B images. (A still image, repeated by constant_current, is convolved only
    once.) Then unroll (lesson 09) runs the neurons. The spikes are the same as those of the loop, and
    all later sections go this way:

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
    image = axes[0, 1].imshow(cur[clear, 0], cmap="gray", vmin=-2, vmax=2)
    fig.colorbar(image, ax=axes[0, 1], ticks=range(-2, 3), shrink=0.8, extend="both")
    axes[0, 1].set_title("current I (2 or more: white)")
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
    run.claim("first_spike", "current 0.6: first spike at step", int(first_spikes(weak)), "")
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
#
# The section itself comes first here. What it calls stands below it, in the order in which it is used:
# the gradient on its way down, the image on its way up, short trainings, half a shortcut.

KINDS = ("plain", "SEW")  # without shortcuts, and with one around each of the D layers
SLOPES = (1.0, 2.0, 4.0)  # α of snnTorch's ATan; 2 is its default
WIDTH = 16  # channels of every layer of a deep stack, on maps of 8×8


def deep_stack(cfg: Config, kind: str, slope: float, depth: int, seed: int) -> SpikingCNN:
    """A first layer, then ``depth`` layers alike. The weights depend on the seed alone."""
    torch.manual_seed(seed)
    layers = [Layer(3, WIDTH, cfg.beta, pool=True, slope=slope)]  # 16×16 → 8×8
    for _ in range(depth):
        layers.append(Layer(WIDTH, WIDTH, cfg.beta, shortcut=kind == "SEW", slope=slope))
    return SpikingCNN(layers)


def encode_small(x: Tensor, num_steps: int, number: torch.dtype = torch.float32) -> Tensor:
    """``encode`` at half the resolution: ``(B, 3, 32, 32)`` → ``(T, B, 3, 16, 16)``."""
    return encode(F.avg_pool2d(x, 2), num_steps, number)


@section
def section_depth(cfg: Config, run: Run) -> None:
    """2  What goes wrong in a deep stack, and what does a shortcut mend?

    A stack has a first layer, layer 0, and D layers above it, all alike: plain ones without shortcuts,
    or SEW ones with the shortcut of equation (2). A layer is (1) with BatchNorm between convolution and
    neurons: it brings the currents of each channel to mean 0 and variance 1. Every layer has 16 channels
    and hands on maps of 8×8. If a deep plain stack learns slowly, there are two suspects. The gradient
    may be lost on its way down (in length, which is measured here, or in direction, which is not), or
    the image may be lost on its way up.

    1  The gradient. S_l is what layer l hands on. How long is ∂L/∂S_l at each layer? A plain layer
       multiplies its length by a factor ρ, which `factor_per_layer`, below, derives in three lines, (a)
       to (c). `expected_gradient` has what a shortcut changes, line (d):

           (c)  plain    every layer multiplies it by ρ               D layers by ρ^D
           (d)  SEW      layer l multiplies it by √(1 + ρ²/l)         grows like D^(ρ²/2)

       The slope α of the surrogate decides whether ρ is below 1, so that the gradient of a plain stack
       vanishes, or above 1, so that it explodes. The first figure has a panel for each of three slopes.

    2  The image. Do two photographs that look alike to layer 0 still look alike to layer l? Take all
       pairs of 64 photographs. Write down how alike each pair is to layer 0: a list of numbers. Write
       the same list for layer l. The likeness (`likeness_by_layer`) is the correlation of the two lists:
       1 if they agree, near 0 if they have nothing to do with each other. (At 0 a layer may still hold
       the image, in a code of its own.) In a SEW stack S_0 is a part of every sum, so the likeness has to
       stay above 0. A control shows how much S_0 alone makes: each layer's own spikes are swapped with
       those of another image (`own_spikes_swapped`).

    3  Short trainings. All stacks see the same 3,000 images twice, which shows how fast they learn and
       not where they end. A stack, its slope and its optimiser make an arm. Each arm has a learning rate
       that was better than its neighbours on validation images, with one seed; the ± come from other
       seeds and do not contain this choice. Shallow stacks stand beside the deep ones; depth 0 is layer 0
       alone.

       The arms test the first suspect. SGD moves a weight in proportion to its gradient; AdamW divides by
       the gradient's usual size, and so makes up for a short one. And a slope with ρ near 1 makes the
       gradient of a plain stack equally long at all layers. If its length is what is wrong, both help.

    4  Half a shortcut (may be skipped at first). Is one half of a shortcut enough? "Image only" hands the
       image on and lets no gradient around the layer. "Gradient only" does the reverse. Neither tests one
       suspect alone. With the image only, layer l multiplies the gradient by ρ/√l, so that far down next
       to nothing is left of it: such layers can hardly learn, even by AdamW, whatever the image does. With the
       gradient only, every layer multiplies it by √(1 + ρ²), and it is no longer the derivative of what
       the stack computes.
    """
    D = cfg.depth
    run.predict(
        "gradient_1",
        f"At α = 1 a plain layer makes the gradient about 0.7 times as long. How long is it {D} layers below "
        "the last one, as a multiple of that at the last?",
        unit="×",
    )
    data = run.data(cifar10, n_train=512 if cfg.smoke else None)
    x, y = next(batches(data.x_train, data.y_train, 64, device=run.device))
    x = encode_small(x, cfg.num_steps, fast_number(run.device))
    seeds = range(cfg.seed, cfg.seed + cfg.seeds)

    # 1  The gradient, in stacks of random weights.
    run.print("   before training: the gradient on its way down")
    rho = {slope: factor_per_layer(cfg, slope, run.generator()) for slope in SLOPES}
    gradients = Gradients(rho, {})
    for kind, slope in product(KINDS, SLOPES):
        nets = [deep_stack(cfg, kind, slope, D, seed).to(run.device) for seed in seeds]
        gradients.found[kind, slope] = np.array([gradient_by_layer(net, x, y) for net in nets])
    draw_gradients(run, gradients)
    vanished = float(f"{gradients.mean('plain', 1.0)[0]:.2g}")  # two digits are enough
    run.claim("gradient_1", "plain, α = 1: first layer / last", vanished, "×")
    run.finding(
        f"At layer 0 of a plain stack the gradient is {gradients.first('plain', 1.0)} times the last one's at α = 1, "
        f"and {gradients.first('plain', 4.0)} times at α = 4. Lines (c) and (d) are off by a factor of about "
        f"{worst_factor(gradients, KINDS, SLOPES):.1f} at worst."
    )

    # 2  The image, in the same stacks. The slope moves no spike, so one slope will do.
    run.print("   before training: the image on its way up")
    likeness = {}  # at layers 0 to D, a row a seed
    for kind in KINDS:
        nets = [deep_stack(cfg, kind, 2.0, D, seed).to(run.device) for seed in seeds]
        likeness[kind] = np.array([likeness_by_layer(net.outputs(x)) for net in nets])
    nets = [deep_stack(cfg, "SEW", 2.0, D, seed).to(run.device) for seed in seeds]
    draw = run.generator()
    swapped = [own_spikes_swapped(net.outputs(x), draw) for net in nets]
    likeness[CONTROL] = np.array([likeness_by_layer(outputs) for outputs in swapped])
    last = {kind: float(found[:, -1].mean()) for kind, found in likeness.items()}
    kept = float(f"{last['SEW']:.2g}")
    run.claim("likeness_sew", f"SEW: likeness, layer {D} with 0", kept, "correlation")
    run.finding(
        f"Likeness with layer 0, {D} layers higher: plain {last['plain']:.2f}, SEW {last['SEW']:.2f}. With the SEW "
        f"layers' own spikes swapped between images {last[CONTROL]:.2f} is left: that is S_0 alone."
    )

    # 3  Short trainings: plain and SEW stacks.
    few = short_data(cfg, data)
    settings = {str(one): one for one in all_settings(D)}
    code = (deep_stack, SpikingCNN, Layer, Conv, encode_small, sgd, adamw, best_rate, Setting)
    trained = dict(each_arm(run, train_arm, settings, code, few))
    arms = {one: Arm(**trained[name]) for name, one in settings.items()}
    run.print("   after short trainings")
    print_arms(cfg, run, gradients, arms, images=len(few.x_train))

    def against(one: Setting, other: Setting) -> tuple[float, float]:
        """Points that one arm reads more than the other, seed by seed, and half their interval."""
        return interval(np.subtract(arms[one].test, arms[other].test))

    # deep against shallow
    deep = Setting("SEW", 2.0, "AdamW", D)
    plain_deep = replace(deep, kind="plain")
    few_layers = min(2, D)
    deeper, spread = against(deep, replace(deep, depth=few_layers))
    lost = against(plain_deep, replace(plain_deep, depth=few_layers))
    below = against(plain_deep, replace(plain_deep, depth=0))
    # SEW against plain, for each optimiser and slope
    gains = {}
    for optimiser, slope in product(OPTIMISERS, (1.0, 2.0)):
        sew = Setting("SEW", slope, optimiser, D)
        gains[optimiser, slope] = against(sew, replace(sew, kind="plain"))
    gain, half = gains["AdamW", 2.0]
    # plain stacks whose short gradient is mended, against those where it is not
    mends = {}
    for optimiser in OPTIMISERS:
        even = Setting("plain", 2.0, optimiser, D)
        mends[f"plain, {optimiser}: α = 2 for α = 1"] = against(even, replace(even, slope=1.0))
    made_up = Setting("plain", 1.0, "AdamW", D)
    mends["plain, α = 1: AdamW for SGD"] = against(made_up, replace(made_up, optimiser="SGD"))
    print_changes(run, D, mends, gains)
    title = (
        f"Likeness at layer {D}: plain {last['plain']:.2f}, SEW {last['SEW']:.2f} "
        f"({last[CONTROL]:.2f} with own spikes swapped)\n"
        f"Depth {D} against {few_layers} after training (AdamW, α = 2): "
        f"plain {signed(*lost)} points, SEW {signed(deeper, spread)} points"
    )
    draw_depth(run, likeness, arms, title)
    answers = min(3000, len(data.y_test)) * cfg.seeds
    facts = {"n": answers, "seeds": cfg.seeds, "real": True}
    text = f"SEW against plain, AdamW (± {half:.1f})"
    run.claim("gain", text, gain, "points", **facts)
    text = f"SEW: depth {D} against {few_layers} (± {spread:.1f})"
    run.claim("deeper", text, deeper, "points", **facts)
    shown = sum(points > width for points, width in gains.values())
    plain_name, sew_name = f"{D} plain layers", f"{D} SEW layers"
    run.finding(
        f"Depth: {compared(plain_name, lost, f'{few_layers} plain layers')}. "
        f"{compared(plain_name, below, 'layer 0 alone')} (AdamW, α = 2)."
    )
    run.finding(
        f"The shortcut: {compared(sew_name, (gain, half), plain_name)} (AdamW, α = 2; SEW is shown to read more "
        f"in {shown} of {len(gains)} pairs). "
        f"{compared(sew_name, (deeper, spread), f'{few_layers} SEW layers')}."
    )
    lengths = [float(gradients.mean("plain", slope)[0]) for slope in (1.0, 2.0)]
    run.finding(f"The first suspect, the gradient: {first_suspect(lengths, mends, gains)}")
    run.finding(f"The second suspect, the image: {second_suspect(last['plain'], last['SEW'])}")

    # 4  Half a shortcut.
    for kind in HALVES:
        nets = [half_stack(cfg, kind, seed).to(run.device) for seed in seeds]
        gradients.found[kind, 2.0] = np.array([gradient_by_layer(net, x, y) for net in nets])
    code = (half_stack, ImageOnly, GradientOnly, *code)
    for kind, result in each_arm(run, train_half, HALVES, code, few):
        arms[Setting(kind, 2.0, "AdamW", D)] = Arm(**result)
    print_halves(cfg, run, gradients, {one: arms[one] for one in arms if one.kind in HALVES})
    whole_against = {kind: against(deep, replace(deep, kind=kind)) for kind in HALVES}
    # what goes around a layer in the whole shortcut, and not in this half
    lacking = {"image only": "gradient", "gradient only": "image"}
    for kind, (points, width) in whole_against.items():
        text = f"SEW against {kind} (± {width:.1f})"
        run.claim(lacking[kind], text, points, "points", **facts)
    run.finding(enough(whole_against, float(gradients.mean("image only", 2.0)[0])))


# ---------------------------------------------------------------- the gradient on its way down


def gradient_by_layer(net: SpikingCNN, x: Tensor, y: Tensor) -> np.ndarray:
    """The length of ∂L/∂S_l at each layer l, as a multiple of the last layer's: ``(depth + 1,)``.

    S_l is what layer l hands on.
    """
    outputs = list(net.outputs(x))
    for spk in outputs:
        spk.retain_grad()
    mean_current_loss(net.read(outputs[-1]), y).backward()
    norms = np.array([spk.grad.norm().item() for spk in outputs])
    return norms / max(norms[-1], 1e-30)


def factor_per_layer(cfg: Config, slope: float, draw: torch.Generator) -> float:
    """ρ: by how much one plain layer multiplies the length of the gradient on its way down.

    Backwards through a layer the gradient meets the neurons first, then BatchNorm and the convolution.
    Here σ′ is the slope of the surrogate, and a the factor by which BatchNorm multiplies:

        (a)  ∂L/∂S_in = convᵀ(a·σ′(U − θ)·∂L/∂S_out)          σ′(x) = (α/2)/(1 + (π·α·x/2)²)

    BatchNorm and the convolution. On the way up they give currents of variance 1. If the n inputs of a
    neuron are independent, this says

        (b)  a²·n·Var(w)·Var(S_in) = 1

    All layers have equally many channels, so a spike also reaches n neurons. On the way down the squared
    length is therefore multiplied by a²·n·Var(w), which (b) makes 1/Var(S_in). (BatchNorm's backward
    pass also takes a mean and a correlation off the gradient. This is left out.)

    The neurons. They let the share E[σ′²] of the squared length pass. A step also receives the gradient
    of all later steps, through β (lesson 09). That multiplies the squared length by K, the mean over t
    of 1 + β² + … + β^(2(T−t)): 1.125 for β = 0.5 and T = 2. Both together, as a factor of the length:

        (c)  ρ = √(K·E[σ′(U − θ)²] / Var(S_in))               D plain layers: ρ^D

    Computed for standard normal currents, drawn anew at every step.
    """
    T = cfg.num_steps
    cur = torch.randn(T, 400_000 // T + 1, generator=draw)  # (T, N)
    spk, mem, _ = unroll(snn.Leaky(beta=cfg.beta), cur, record_mem=True)
    steep = math.pi / 2 * slope * (mem - 1)
    derivative = (slope / 2) / (1 + steep**2)  # σ′ of ATan
    powers = cfg.beta ** (2 * np.arange(T))  # 1, β², β⁴, …
    K = float(np.mean(np.cumsum(powers)))  # 1 at the last step, all of them at the first
    passed = (derivative**2).mean().item()  # E[σ′²]
    return math.sqrt(K * passed / spk.var().item())


def expected_gradient(kind: str, rho: float, depth: int) -> np.ndarray:
    """The gradient at layers 0 to ``depth`` that ρ lets us expect, as a multiple of the last layer's.

    In a plain stack every layer multiplies its length by ρ. In a SEW stack it also goes around the
    layer, unchanged, and the two ways add up (their squares do, if they are independent):

        (d)  layer l multiplies it by √(1 + ρ²/l)             D SEW layers: grows like D^(ρ²/2)

    ρ²/l, because the input of layer l is a sum of l spikes. If they are independent, its variance is l
    times that of one spike, and (c) divides by that variance. (The two halves of a shortcut, part 4,
    have one of these changes each: ρ/√l for the sum alone, √(1 + ρ²) for the way around alone.)
    """
    layers = np.arange(1, depth + 1)
    added = kind in ("SEW", "image only")  # then the input of layer l is a sum of l spikes
    squared = rho**2 / (layers if added else np.ones(depth))
    if kind in ("SEW", "gradient only"):
        squared = 1 + squared  # the gradient goes around as well
    passed = np.sqrt(np.cumprod(squared[::-1]))  # from the last layer down
    return np.append(passed[::-1], 1.0)


@dataclass
class Gradients:
    """The length of the gradient by layer, before any training."""

    rho: dict[float, float]
    """of a plain layer, for each slope α"""
    found: dict[tuple[str, float], np.ndarray]
    """for each kind and slope: a row a seed; at layers 0 to D, as a multiple of the last layer's"""

    def mean(self, kind: str, slope: float) -> np.ndarray:
        """At layers 0 to D, the mean of the seeds."""
        return self.found[kind, slope].mean(0)

    def first(self, kind: str, slope: float) -> str:
        """The gradient at layer 0, in two digits."""
        return two_digits(self.mean(kind, slope)[0])

    def expected(self, kind: str, slope: float) -> np.ndarray:
        """What the formulas say of it."""
        depth = self.found[kind, slope].shape[1] - 1
        return expected_gradient(kind, self.rho[slope], depth)


def two_digits(value: float) -> str:
    """Two digits that count: 0.0052, 1.1, 250, 2e-07."""
    return plain(float(f"{value:.2g}"))


def worst_factor(gradients: Gradients, kinds: Iterable[str], slopes: Iterable[float]) -> float:
    """By how much the gradient at layer 0 is off the formulas, for the worst of these stacks; at least 1."""
    off = []
    for kind, slope in product(kinds, slopes):
        measured = gradients.mean(kind, slope)[0]
        law = gradients.expected(kind, slope)[0]
        off.append(max(measured / law, law / measured))
    return max(off)


def draw_gradients(run: Run, gradients: Gradients) -> None:
    """A panel for each slope: what was measured, and what lines (c) and (d) expect (dotted)."""
    deep = gradients.found["plain", 1.0].shape[1] - 1
    title = (
        f"Gradient {deep} layers below the last, as a multiple of the last one's, for α = 1 to 4\n"
        f"plain: {gradients.first('plain', 1.0)} to {gradients.first('plain', 4.0)}, "
        f"SEW: {gradients.first('SEW', 1.0)} to {gradients.first('SEW', 4.0)} (means of the seeds)"
    )
    fig, axes = plots.figure(1, len(SLOPES), (11.5, 4.1), title, sharey=True)
    for ax, slope in zip(axes, SLOPES, strict=True):
        for i, kind in enumerate(KINDS):
            color = plots.COLOURS[i]
            line = "(c)" if kind == "plain" else "(d)"
            found = gradients.found[kind, slope]  # (seeds, D + 1)
            layers = np.arange(found.shape[1])
            hollow = {"fillstyle": "none"} if kind == "SEW" else {}  # shows what lies behind it
            ax.plot(layers, found.mean(0), plots.MARKERS[i], color=color, label=kind, **hollow)
            ax.fill_between(layers, found.min(0), found.max(0), color=color, alpha=0.25, lw=0)
            expected = gradients.expected(kind, slope)
            ax.plot(layers, expected, color=color, ls=":", lw=2, label=f"{kind}, line {line}")
        ax.set_yscale("log")
        ax.set_xticks(range(0, deep + 1, max(1, deep // 4)))
        plots.label(ax, "layer l", "", f"slope α = {slope:g}: ρ = {gradients.rho[slope]:.2f}")
    axes[0].set_ylabel(
        "gradient at layer l / at the last\n(markers: mean of the seeds, bands: range)"
    )
    axes[1].legend()
    run.figure(fig, "2_gradients", look="how far the gradient of each kind moves if α changes")


# ---------------------------------------------------------------- the image on its way up

CONTROL = "SEW, own spikes swapped"


@torch.no_grad()
def likeness_by_layer(outputs: Iterable[Tensor]) -> np.ndarray:
    """Do images that look alike to layer 0 look alike to layer l? ``(depth + 1,)``, at most 1.

    ``outputs`` are what the layers hand on, each ``(T, B, C, H, W)``. A layer describes an image by its
    spike counts, from which the mean over all images is taken away. The cosine between two such
    descriptions says how alike the two images are to that layer. This makes a list for each layer, with
    a number for each pair of images. Returned is the correlation of layer l's list with that of layer 0.
    """
    found = []
    for spk in outputs:
        counts = spk.float().sum(0).flatten(1)  # (B, C·H·W)
        counts = F.normalize(counts - counts.mean(0), dim=1)
        likeness = counts @ counts.T  # (B, B)
        above = torch.triu_indices(*likeness.shape, offset=1)
        found.append(likeness[above[0], above[1]])  # every pair once
    with_first = [torch.stack([found[0], pairs]) for pairs in found]
    return np.array([torch.corrcoef(both)[0, 1].item() for both in with_first])


@torch.no_grad()
def own_spikes_swapped(outputs: Iterable[Tensor], draw: torch.Generator) -> Iterator[Tensor]:
    """What SEW layers would hand on if each one's own spikes were those of another image.

    The spikes of layer 0 stay. They are in every sum, and nothing else is left of the image.
    """
    below = None
    for spk in outputs:  # (T, B, C, H, W)
        if below is None:
            mixed = spk
        else:
            other = torch.randperm(spk.shape[1], generator=draw)  # (B,): an image for each image
            mixed = mixed + (spk - below)[:, other]
        below = spk
        yield mixed


# ---------------------------------------------------------------- short trainings

SHORT_BATCH = 50  # images in one update of a short training


def sgd(net: nn.Module, lr: float) -> torch.optim.Optimizer:
    """A weight moves by ``lr`` times its gradient: where the gradient is short, it moves little."""
    return torch.optim.SGD(net.parameters(), lr=lr)


def adamw(net: nn.Module, lr: float) -> torch.optim.Optimizer:
    """A weight moves by about ``lr``, since its gradient is divided by its own usual size."""
    return torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.0)


OPTIMISERS = {"SGD": sgd, "AdamW": adamw}
# learning rates, and those with which the search starts
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0, 30.0, 100.0)
START = {"SGD": (1.0, 3.0), "AdamW": (3e-3, 1e-2)}


@dataclass(frozen=True)
class Setting:
    """What one arm of short trainings has in common."""

    kind: str
    slope: float
    optimiser: str
    depth: int

    def __str__(self) -> str:
        return f"{self.depth} {self.kind}, {self.optimiser}, α = {self.slope:g}"


@dataclass
class Arm:
    """Short trainings that differ in their seed alone."""

    rate: float
    """a learning rate that was better than its neighbours on validation (one seed)"""
    test: list[float]
    """test accuracy in per cent, a seed each"""


def all_settings(depth: int) -> list[Setting]:
    """Which stacks are trained: a few shallow ones, then plain and SEW ones of ``depth`` layers.

    The deep ones are trained by each optimiser and at two slopes.
    """
    shallow = [few for few in (0, 2, 4, 8) if few < depth]  # 0: the first layer alone
    settings = [Setting("plain", 2.0, "AdamW", few) for few in shallow]
    settings.append(Setting("SEW", 2.0, "AdamW", min(2, depth)))
    for optimiser in OPTIMISERS:
        for slope in (1.0, 2.0):
            settings += [Setting(kind, slope, optimiser, depth) for kind in KINDS]
    return list(dict.fromkeys(settings))  # each once, if depth is 2


def best_rate(validate: Callable[[float], float], start: Sequence[float]) -> float:
    """The rate of ``RATES`` that is better than its neighbours; ``start`` is tried first."""
    missing, found = [RATES.index(rate) for rate in start], {}
    while missing:
        for i in missing:
            found[i] = validate(RATES[i])
        best = max(found, key=found.get)
        neighbours = {best - 1, best + 1} & set(range(len(RATES)))
        missing = sorted(neighbours - set(found))
    return RATES[best]


def short_data(cfg: Config, data: ImageData) -> ImageData:
    """The first images of each split, for short trainings."""
    return replace(
        data,
        x_train=data.x_train[: cfg.short_images],
        y_train=data.y_train[: cfg.short_images],
        x_val=data.x_val[:1000],
        y_val=data.y_val[:1000],
        x_test=data.x_test[:3000],
        y_test=data.y_test[:3000],
    )


def train_arm(name: str, few: ImageData, cfg: Config, run: Run) -> dict[str, Any]:
    """Search a learning rate on validation with one seed, train anew with other seeds, test: an ``Arm``.

    What is later said of the seeds holds for that rate: its choice is not in their intervals.
    """
    setting = {str(one): one for one in all_settings(cfg.depth)}[name]
    show = partial(encode_small, num_steps=cfg.num_steps, number=fast_number(run.device))

    def trained(lr: float, seed: int) -> tuple[SpikingCNN, float]:
        net = deep_stack(cfg, setting.kind, setting.slope, setting.depth, seed)
        history = fit(
            net,
            few,
            show,
            run=run,
            epochs=cfg.short_epochs,
            optimizer=partial(OPTIMISERS[setting.optimiser], lr=lr),
            batch_size=SHORT_BATCH,
            loss_fn=mean_current_loss,
            predict=highest_mean_current,
            seed=seed,
            quiet=True,
        )
        return net, max(row["val"] for row in history)

    def validate(lr: float) -> float:
        return trained(lr, cfg.seed)[1]

    rate = best_rate(validate, START[setting.optimiser])
    test = []
    for i in range(cfg.seeds):
        net, _ = trained(rate, cfg.seed + 1 + i)
        test.append(100 * evaluate(net, few.x_test, few.y_test, show, highest_mean_current))
    return {"rate": rate, "test": test}


def grouped(arms: dict[Setting, Arm]) -> dict[Setting, Arm]:
    """The arms by kind, and within a kind by depth; the order of optimisers and slopes stays."""
    return dict(sorted(arms.items(), key=lambda item: (KINDS.index(item[0].kind), item[0].depth)))


def print_arms(
    cfg: Config, run: Run, gradients: Gradients, arms: dict[Setting, Arm], images: int
) -> None:
    """The table of the trained stacks: what they read, their learning rate, and the gradient at the start."""
    rows = []
    for one, arm in grouped(arms).items():
        measured = expected = ""
        if one.depth == cfg.depth:
            measured = gradients.first(one.kind, one.slope)
            expected = two_digits(gradients.expected(one.kind, one.slope)[0])
        mean, half = interval(arm.test)
        read = f"{mean:.1f} ± {half:.1f}"
        stack = f"{one.depth} {one.kind}"
        lr = f"{arm.rate:g}"
        rows.append((stack, f"{one.slope:g}", one.optimiser, read, lr, measured, expected))
    updates = cfg.short_epochs * math.ceil(images / SHORT_BATCH)
    title = (
        f"Stacks after {updates} updates, named by the number and kind of layers above layer 0\n"
        f"α: slope of the surrogate; read: test images read correctly (± 95 %, {cfg.seeds} seeds);\n"
        "lr: a learning rate that was better than its neighbours on validation (one seed);\n"
        "gradient: at layer 0, as a multiple of the last layer's, before training;\n"
        "expected: by lines (c) and (d)"
    )
    columns = ("stack", "α", "optimiser", "read (%)", "lr", "gradient", "expected")
    run.table(title, columns, rows)


def print_changes(
    run: Run,
    depth: int,
    mends: dict[str, tuple[float, float]],
    gains: dict[tuple[str, float], tuple[float, float]],
) -> None:
    """The table of what a change of a deep stack is worth: a mended gradient, and a shortcut."""
    rows = [(change, signed(*points)) for change, points in mends.items()]
    for (optimiser, slope), points in gains.items():
        rows.append((f"SEW for plain: {optimiser}, α = {slope:g}", signed(*points)))
    title = f"What one change of a stack of {depth} layers is worth (± 95 %, seed by seed)"
    run.table(title, ("change", "points"), rows)


def draw_depth(
    run: Run, likeness: dict[str, np.ndarray], arms: dict[Setting, Arm], title: str
) -> None:
    """Left: likeness by layer, ``(seeds, D + 1)``. Right: a row for each arm, a marker for each seed."""
    fig, (left, right) = plots.figure(1, 2, (11, 4.6), title, width_ratios=(1, 1.1))
    plots.curves(left, np.arange(likeness["SEW"].shape[1]), likeness)
    left.xaxis.get_major_locator().set_params(integer=True)
    what = "likeness: correlation with layer 0"
    plots.label(left, "layer l", what, "before training (bands: range of the seeds)")
    names = []
    row = 0
    for kind in KINDS:
        for one, arm in grouped(arms).items():
            if one.kind != kind:
                continue
            i = KINDS.index(kind)
            rows = row + np.linspace(-0.2, 0.2, len(arm.test))  # so that no marker hides another
            right.plot(arm.test, rows, plots.MARKERS[i], color=plots.COLOURS[i], fillstyle="none")
            right.plot(np.mean(arm.test), row, "|", color=plots.BLACK, ms=16)
            names.append(str(one))
            row += 1
    plains = sum(one.kind == "plain" for one in arms)
    right.axhline(plains - 0.5, color="0.5", lw=1)  # plain stacks above, SEW below
    right.set_yticks(range(len(names)), names)
    right.invert_yaxis()
    right.axvline(10, color="0.5", lw=1, ls=":")
    title_right = "after short trainings (markers: seeds; bar: mean)"
    plots.label(right, "test images read correctly (%; dotted: by chance)", "", title_right)
    run.figure(fig, "2_depth", look="right: does slope or optimiser move the deep plain stacks?")


def compared(stack: str, gain: tuple[float, float], other: str) -> str:
    """What a gain and half the width of its interval say of two stacks."""
    points, half = gain
    if points > half:
        return f"{stack} read {points:.1f} ± {half:.1f} points more of the images correctly than {other}"
    if points < -half:
        return f"{stack} read {-points:.1f} ± {half:.1f} points fewer of the images correctly than {other}"
    return f"{stack} are not shown to differ from {other} ({signed(points, half)} points)"


def first_suspect(
    lengths: Sequence[float],
    mends: dict[str, tuple[float, float]],
    gains: dict[tuple[str, float], tuple[float, float]],
) -> str:
    """Is it the length of the gradient? ``lengths``: at layer 0 of the plain stack, for α = 1 and 2.

    At α = 2 it is even before training. If its length is what is wrong, a shortcut gains nothing there.
    """
    told = (
        f"before training it is {two_digits(lengths[0])} times the last one's at layer 0 of the plain stack "
        f"at α = 1, and {two_digits(lengths[1])} times at α = 2."
    )
    if lengths[0] > 0.1 or not 0.5 < lengths[1] < 2:
        return f"{told} So α = 2 does not mend a short gradient here, and its length is not tested."
    helps = any(points > half for points, half in mends.values())
    told += f" Mending its length is {'shown' if helps else 'not shown'} to help a plain stack."
    even = {by: gain for (by, slope), gain in gains.items() if slope == 2.0}
    if any(points <= half for points, half in even.values()):
        return f"{told} Whether a shortcut gains where the length is even, these trainings do not tell."
    said = " and ".join(f"{signed(*gain)} ({by})" for by, gain in even.items())
    return (
        f"{told} Where it is even, a shortcut still gains {said}. So the length alone is not what is "
        "wrong. Where the gradient points was not tested."
    )


def second_suspect(plain: float, sew: float) -> str:
    """Is it the image? ``plain``, ``sew``: likeness at the last layer."""
    if sew - plain < 0.2:
        return "the shortcut does not keep the likeness much better than plain layers, so it does not fit."
    return (
        "the likeness fits it, since plain stacks lose what SEW ones keep and α does not touch it. That is no "
        "proof: it is measured on random weights and for one D, SEW changes the gradient, too, and keeping the "
        "image need not be enough (part 4)."
    )


# ---------------------------------------------------------------- half a shortcut
#
# A shortcut does two things at once: it hands the image on, and it lets the gradient around the layer.
# detach() gives a value without its gradient, and so takes the two apart:
#
#     image only       S_out = A + S_in.detach()               the image goes around, no gradient does
#     gradient only    S_out = A + S_in − S_in.detach()        adds 0; the gradient goes around


class ImageOnly(Layer):
    """Half a shortcut: what comes in is handed on, and no gradient goes around."""

    def run(self, x: Tensor) -> Tensor:
        return super().run(x) + x.detach()


class GradientOnly(Layer):
    """The other half: it adds 0, so no image goes around, and the gradient does."""

    def run(self, x: Tensor) -> Tensor:
        return super().run(x) + (x - x.detach())


HALVES = {"image only": ImageOnly, "gradient only": GradientOnly}


def half_stack(cfg: Config, kind: str, seed: int) -> SpikingCNN:
    """``deep_stack`` with half a shortcut around each layer, α = 2; the same weights."""
    torch.manual_seed(seed)
    layers = [Layer(3, WIDTH, cfg.beta, pool=True)]
    for _ in range(cfg.depth):
        layers.append(HALVES[kind](WIDTH, WIDTH, cfg.beta))
    return SpikingCNN(layers)


# train_arm once more, with another stack and AdamW alone: two lines differ, `net =` and `optimizer=`.
# Each stands whole, so that finished arms of one stay valid for --resume if the other is edited.
def train_half(kind: str, few: ImageData, cfg: Config, run: Run) -> dict[str, Any]:
    """``train_arm`` for ``half_stack``, by AdamW."""
    show = partial(encode_small, num_steps=cfg.num_steps, number=fast_number(run.device))

    def trained(lr: float, seed: int) -> tuple[SpikingCNN, float]:
        net = half_stack(cfg, kind, seed)
        history = fit(
            net,
            few,
            show,
            run=run,
            epochs=cfg.short_epochs,
            optimizer=partial(adamw, lr=lr),
            batch_size=SHORT_BATCH,
            loss_fn=mean_current_loss,
            predict=highest_mean_current,
            seed=seed,
            quiet=True,
        )
        return net, max(row["val"] for row in history)

    rate = best_rate(lambda lr: trained(lr, cfg.seed)[1], START["AdamW"])
    test = []
    for i in range(cfg.seeds):
        net, _ = trained(rate, cfg.seed + 1 + i)
        test.append(100 * evaluate(net, few.x_test, few.y_test, show, highest_mean_current))
    return {"rate": rate, "test": test}


def print_halves(cfg: Config, run: Run, gradients: Gradients, arms: dict[Setting, Arm]) -> None:
    """The table of the stacks with half a shortcut."""
    rows = []
    for one, arm in arms.items():
        read = "{:.1f} ± {:.1f}".format(*interval(arm.test))
        measured = gradients.first(one.kind, one.slope)
        expected = two_digits(gradients.expected(one.kind, one.slope)[0])
        rows.append((f"{one.depth} {one.kind}", read, f"{arm.rate:g}", measured, expected))
    title = (
        "Half a shortcut (AdamW, α = 2); expected: by the factors ρ/√l and √(1 + ρ²),\n"
        f"off by a factor of {worst_factor(gradients, HALVES, (2.0,)):.1f} at worst"
    )
    run.table(title, ("stack", "read (%)", "lr", "gradient", "expected"), rows)


def enough(whole_against: dict[str, tuple[float, float]], vanished: float) -> str:
    """Is one half of a shortcut enough? ``vanished``: the gradient of "image only" at layer 0."""
    less = [kind for kind, (points, half) in whole_against.items() if points > half]
    apart = [f"{signed(*points)} on {kind}" for kind, points in whole_against.items()]
    if len(less) == len(whole_against):
        said = "Neither half of a shortcut, as built here, is enough"
    elif less:
        said = f"{less[0].capitalize()} is not enough, and the other half is not shown to be too little"
    else:
        said = "Neither half of a shortcut is shown to be too little"
    text = f"{said}: the whole one gains {' and '.join(apart)} (points)."
    if vanished < 1e-6:
        text += (
            " Image only keeps the image and is a poor test of it all the same: at the start the gradient at "
            f"layer 0 is {two_digits(vanished)} times the last one's, so the lower layers can hardly learn."
        )
    return text


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
    """As many as the flag says, or what one idle core does in about 25 minutes."""
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
        spikes = spk.float().sum(2)  # (T, B, H, W): over all channels
        spikes = spikes.flatten(0, 1).unsqueeze(1)  # (T·B, 1, H, W)
        reached = F.conv2d(spikes, nine, padding=1).sum().item()
        total += reached * layer.conv.out_channels
    last = outputs[-1].float().sum().item()
    total += last * net.fc.out_features
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
    return {
        "model": "SNN, SEW",
        "num_steps": len(x),
        "parameters": parameters,
        "bytes": 4 * parameters,
        "synops": acs,
        "macs": macs,
        "ann_macs": ann_macs(net, x[0].float()),
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "energy_estimated_nj": estimated_energy_nj(acs, macs),
    }


def finding_of(study: str) -> str:
    """The main finding of a study of this lesson, as its committed result has it; empty without one."""
    stored = ROOT / "docs" / "results" / f"{study}.json"
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

    CIFAR-10 has 60,000 photographs of 32×32 pixels in ten classes, from aeroplane to lorry. The network
    is `photo_net`: five layers of equation (1) with BatchNorm, of which two have a SEW shortcut (2).
    Max pooling halves the map three times, before BatchNorm and neuron. Colour values are the input
    current. Behind the last layer stand the mean over all places and a linear layer, whose output is
    averaged over the T steps. BatchNorm takes one mean and one variance for each channel, over all
    steps, images and places (exercise 10c has it step by step).

    One idle CPU core trains it in about 25 minutes. The run uses three things to save time or memory;
    how many minutes each of them saves is not measured here:

        number    Where the processor multiplies 16-bit bfloat16 numbers fast, convolutions use them.
                  A spike is the same in 16 bits; weights are rounded to two or three digits.
                  Elsewhere all is float32, with fewer epochs.
        memory    BatchNorm and neurons of all steps are one function, unroll_normalised. Its file,
                  multistep/normalised.py, has the four equations. Section 4 counts what it saves.
        updates   Muon moves the convolutions, AdamW the rest. Muon takes the gradient of a layer as a
                  matrix G = PΣQᵀ (filters × inputs) and steps along PQᵀ: equally far in all directions,
                  those with a small gradient too. training/muon.py has it in thirty lines.

    The learning rate rises for a tenth of the updates and then falls to zero. Training images are
    mirrored at random and moved by up to two pixels. `smoothed_loss` asks for 0.91 and not for certainty.

    Which images decide? 5,000 of the training images are set aside for validation. They choose the epoch
    that is kept. Earlier runs chose all settings on them as well, so the accuracy on them is a little
    too good. The 10,000 test images choose nothing: sections 2, 3 and 5 read them to report.

    How sure is the number? One training is one sample. Three of them on a GPU (`studies/10_seeds.py`)
    read 84.50 ± 0.77 % of the test images, from 84.14 to 84.68 %. With bfloat16 expect yours within a
    point or two of that, so that it may miss the target of 84 %; float32 trains for 7 epochs only, and
    its target is 82 %. The published run
    here, on a CPU, reads 84.84 %: the same seed on another device is another training. To compare: a
    larger network with T = 8 and learnt time constants (PLIF) reads 92.6 %, chosen on validation as here
    (https://arxiv.org/abs/2007.05785).

    What stays open? Whether the two shortcuts help this network is not measured here. Its accuracy says
    nothing about that, and what section 2 finds in sixteen equal layers need not hold for five.
    `studies/10_shortcuts.py` trains the network with and without them, and wants a GPU for it; once its
    result is published, this section prints it. Nor does anything in this lesson show that more layers
    read more. Fang et al. report that of SEW networks for ImageNet, up to 152 layers.
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
    right.set_axisbelow(True)
    plots.label(
        right, "neurons that spike at a step (%; shortcuts not counted)", "", "after training"
    )
    neurons = sum(spk[0, 0].numel() for spk in outputs)
    active = 0.0
    for rate, spk in zip(rates.values(), outputs, strict=True):
        active += rate * spk[0, 0].numel()
    title = (
        f"{100 * accuracy:.1f} % of {n:,} test images read correctly after {len(history)} epochs, "
        f"T = {cfg.num_steps}; {100 * active / neurons:.0f} % of the neurons spike at a step"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "3_training", look="in which layer the most neurons spike at a step")

    target = ">= 0.84" if number == torch.bfloat16 else ">= 0.82"
    target = None if cfg.full else target  # not tried yet: nothing to hold it to
    best = max(row["val"] for row in history)
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
    for study in ("10_seeds", "10_shortcuts"):
        if found := finding_of(study):
            short = found.split(": ")[0].rstrip(".")
            text = textwrap.fill(f"studies/{study}.py: {short}.", 77, subsequent_indent="   ")
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


def unfused(net: SpikingCNN) -> SpikingCNN:
    """A copy of ``net`` that goes the way of a GPU: PyTorch's BatchNorm, and then the neurons.

    Each layer gets a surrogate for which there are no compiled loops, so that PyTorch's functions run.
    How much they keep does not depend on which surrogate it is.
    """
    other = copy.deepcopy(net)
    for layer in other.layers:
        layer.lif.spike_grad = surrogate.sigmoid(slope=25)
    return other


@section
def section_memory(cfg: Config, run: Run) -> None:
    """4  How much memory does training take, and can it be told beforehand?

    Lesson 09 counted what a dense layer keeps for the backward pass. Here maps are large, so it pays to
    write the sum down before a run. `bytes_by_formula`, above, adds up what a layer keeps at b bytes a
    number (float32: 4, bfloat16: 2). Its C maps have h×w pixels after pooling, if it pools:

        the next layer's convolution reads this layer's spikes                b·T·B·C·h·w
        BatchNorm and neurons, one function, read their input                 b·T·B·C·h·w
        max pooling reads the map before it, four times as large              b·T·B·C·4·h·w
            and where each maximum stood, a 64-bit integer                    8·T·B·C·h·w
        the weights of each convolution, once                                 b·C_out·C_in·9

    Potentials are not in the list, since unroll_normalised makes them again on its way back. Two layers
    are exceptions. The image of the first stays the same, so its convolution's results are computed and
    kept once, not T times (`computed` in the code); only its spikes are kept for all T steps. Of the last
    layer's spikes only the mean over all places is kept. For large T the memory is proportional to T·B.
    For small T it grows more slowly: at B = 2, in bfloat16, 2.7 MiB do not grow with T, and 2.1 of them
    are the weights.

    That is the "fused" way, one function for BatchNorm and neurons. A GPU takes the "unfused" way, with
    two functions. Both of them compute in float32, and only their spikes go on in b bytes: BatchNorm
    keeps its input in 4 bytes (fused: b), and the neurons keep their potentials, 4 bytes each (fused:
    none). The function `unfused` makes a network go that way on a CPU, so that this is measured as well.

    The measurement counts the bytes that autograd holds, by its own hooks. The peak of a training is
    higher: backward itself needs room for one layer at a time, and on a GPU the allocator keeps some.
    That peak is not measured here. And what does a shortcut add? Think of the gradient of a sum.
    """
    run.predict(
        "sew_extra",
        "How many per cent more does the network with two SEW shortcuts keep than without them?",
        unit="%",
    )
    number = fast_number(run.device)
    torch.manual_seed(cfg.seed)
    net = photo_net(cfg.beta, cfg.channels).to(run.device)
    bare = copy.deepcopy(net)
    for layer in bare.layers:
        layer.shortcut = False
    apart = unfused(net)
    images = torch.rand(8, 3, 32, 32, generator=run.generator()).to(run.device)
    fused = is_fused(net.layers[0].norm, net.layers[0].lif, encode(images, 2, number))
    formula = partial(bytes_by_formula, net, b=number.itemsize)
    way = "fused" if fused else "net.run"  # a machine without the compiled loops has no fused way
    steps = (1, 2, 4, 8)
    sizes = (2, 8)
    expected, measured, extra = {}, {}, []
    for T in steps:
        for B in sizes:
            x = encode(images[:B], T, number)
            expected[way, B, T] = formula(T, B, fused=fused)
            measured[way, B, T] = bytes_measured(net, net.run, x)
            expected["unfused", B, T] = formula(T, B, fused=False)
            measured["unfused", B, T] = bytes_measured(apart, apart.run, x)
            without = bytes_measured(bare, bare.run, x)
            extra.append(measured[way, B, T] / without - 1)

    fig, ax = plots.figure(1, 1, (8.5, 4.2))
    rows = []
    errors = {way: [], "unfused": []}
    for i, (one, B) in enumerate(product(errors, sizes)):
        law = np.array([expected[one, B, T] for T in steps]) / 2**20
        found = np.array([measured[one, B, T] for T in steps]) / 2**20
        errors[one] += list(abs(law / found - 1))
        for T, told, kept in zip(steps, law, found, strict=True):
            rows.append((one, B, T, f"{told:.1f}", f"{kept:.1f}"))
        color = plots.COLOURS[i]
        ax.plot(steps, law, color=color)
        ax.plot(steps, found, plots.MARKERS[i], color=color, label=f"{one}, B = {B}")
    name = str(number).removeprefix("torch.")
    title = (
        f"MiB kept for the backward pass, convolutions in {name}\n"
        "fused, unfused: BatchNorm and neurons as one function, as two functions"
    )
    run.table(title, ("network", "images B", "steps T", "formula", "measured"), rows)
    worst = {one: max(found) for one, found in errors.items()}
    saved = 1 - measured[way, 8, 8] / measured["unfused", 8, 8]
    title = (
        f"Formula and measurement: at most {100 * max(worst.values()):.1f} % apart (in {name})\n"
        f"At T = 8, B = 8 {way} keeps {100 * saved:.0f} % less than unfused"
    )
    fig.suptitle(title, x=0.01, ha="left", wrap=True)
    ax.set_xticks(steps)
    ax.set_ylim(0, None)
    ax.legend(loc="upper left")
    plots.label(ax, "time steps T", "kept for backward (MiB)", "lines: formula, markers: measured")
    run.figure(fig, "4_memory", look="do the markers lie on the lines? what happens if T doubles?")

    run.claim("memory_error", f"{way}: formula, worst error", worst[way], target="<= 0.05")
    text = "unfused: formula, worst error"
    run.claim("memory_error_unfused", text, worst["unfused"], target="<= 0.05")
    run.claim("sew_extra", "more kept with SEW, at most", max(extra))
    run.claim("saved", f"{way} against unfused: less", saved)
    told = max(worst.values())
    why = ": the gradient of a sum needs neither summand" if max(extra) == 0 else ""
    verdict = "can be told beforehand" if told <= 0.05 else "is not told well by the formula"
    run.finding(
        f"What training keeps {verdict}, to {100 * told:.1f} % here. SEW shortcuts keep "
        f"{100 * max(extra):.1f} % more at most{why}."
    )
    # In float32 all numbers have 4 bytes, and the two ways differ by the potentials alone.
    in_float32 = partial(bytes_by_formula, net, 8, 8, b=4)
    potentials = in_float32(fused=False) - in_float32(fused=True)
    alone = potentials / measured["unfused", 8, 8]
    text = f"At T = 8, B = 8 the {way} way keeps {100 * saved:.0f} % less than the unfused one. "
    text += f"Of these, {100 * alone:.0f} points are potentials that it does not keep (formula)."
    if number == torch.bfloat16:
        text += " The rest is the number type: it keeps BatchNorm's input in 2 bytes, not in 4."
    run.finding(text)


# ---------------------------------------------------------------- 5  how many steps?


@torch.no_grad()
def right_answers(
    net: SpikingCNN, x: Tensor, y: Tensor, show: Callable[[Tensor], Tensor]
) -> Tensor:
    """Which of the images ``x`` are read correctly: 1 or 0, ``(N,)``."""
    found = []
    for x_b, y_b in batches(x, y, 500, device=net.fc.weight.device):
        answers = highest_mean_current(net.run(show(x_b)))
        found.append((answers == y_b).float().cpu())
    return torch.cat(found)


def change(after: Tensor, before: Tensor) -> tuple[float, float]:
    """Points gained, judged image by image, and half their 95 % interval."""
    points = 100 * (after - before)
    half = 1.96 * points.std().item() / math.sqrt(len(points))
    return points.mean().item(), half


def largest_batch(net: SpikingCNN, num_steps: int, room: int) -> int:
    """No more images than this fit ``room`` bytes of a GPU in training: section 4's formula, solved for B.

    An upper bound: backward needs working memory as well. Counted as on a GPU, unfused and in bfloat16. A
    weight takes 16 bytes: itself, its gradient, and the two numbers of AdamW; 12 in a convolution, as
    Muon keeps one.
    """
    kept = partial(bytes_by_formula, net, num_steps, b=2, fused=False)
    weights = sum((12 if p.ndim == 4 else 16) * p.numel() for p in net.parameters())
    fixed = weights + kept(batch=0)
    each = kept(batch=1) - kept(batch=0)
    return max(0, (room - fixed) // each)


def gradient_in_parts(
    net: SpikingCNN, x: Tensor, y: Tensor, show: Callable[[Tensor], Tensor], parts: int
) -> Tensor:
    """The gradient of the images ``x``, by ``parts`` batches one after the other, as one vector."""
    net.zero_grad()
    for x_b, y_b in zip(x.chunk(parts), y.chunk(parts), strict=True):
        loss = smoothed_loss(net.run(show(x_b)), y_b)  # that of section 3
        (loss / parts).backward()  # adds to .grad, and lets go of what it kept
    return torch.cat([p.grad.flatten() for p in net.parameters()])


@section
def section_steps(cfg: Config, run: Run) -> None:
    """5  How many steps, and how large a batch?

    T costs in two places: each step of each image has to be computed, and in training it has to be kept.
    What does it buy? The network of section 3 is asked again with other T, without new training. Its
    BatchNorm keeps the statistics of T = 2, so part of a difference between two T may be that they do
    not fit both. All T read the same images, so a gain is judged image by image; the figure's bars are
    for each T by itself.
    The cost is counted in additions (`accumulates`): a spike adds a weight to each neuron that it
    reaches. Only the first convolution multiplies, and it does so once, since the image stays. (β·U and
    BatchNorm are not counted. Lesson 12 says what additions mean in energy.)

    In training, steps compete with images for memory. `largest_batch` solves section 4's formula for B
    at 1 GiB, in bfloat16 and for the unfused way, which a GPU takes: BatchNorm's input in 4 bytes, and
    the potentials. This is an upper bound; for 24 GiB it is about 24 times as high. Steps cannot replace
    images: all eight steps of one image show the same photograph, so 32 images at eight steps should be
    worth fewer than 256 images at one. (That is an argument; it is not measured here.)

    If the batch that you want does not fit, take it in parts. Their gradients add up, and the optimiser
    steps once (`gradient_in_parts`, above):

        for x_b, y_b in zip(x.chunk(4), y.chunk(4)):                  # 4 × 32 images, not 128
            (loss_fn(net.run(show(x_b)), y_b) / 4).backward()         # adds to .grad

    That needs the memory of 32 images. With BatchNorm's statistics held fixed the sum is the gradient of
    all 128, up to rounding. In training, however, BatchNorm takes the mean and variance of each part, so
    the sum is another gradient. How far apart are the two? Their cosine is measured below, for the
    trained network. The yardstick is the cosine between the gradients of two different batches: it says
    how much of a batch's gradient is chance at this point of the training.

    What to do about it? A cosine below 1 does not say that training in parts is worse. It says that the
    network trained is one with the statistics of 32 images. Make the parts as large as fit, and choose
    the learning rate with the parts that you train with. Where the gradient has to be that of the whole
    batch, hold the statistics fixed, or take a norm that looks at one image at a time (GroupNorm).
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
        cost[T] = accumulates(net, show(some)) / 1e6
    times = (1, 2, 4, 8, 16, 32)
    fits = [largest_batch(net, T, room=2**30) for T in times]
    batch = dict(zip(times, fits, strict=True))
    learner = copy.deepcopy(net).train()  # BatchNorm takes its statistics of the batch again
    show = partial(encode, num_steps=cfg.num_steps, number=number)
    wholes, alike = [], []
    draw = run.generator()
    shuffled = batches(data.x_train, data.y_train, 128, generator=draw, device=run.device)
    for x, y in islice(shuffled, 2 if cfg.smoke else 8):
        whole = gradient_in_parts(learner, x, y, show, parts=1)
        parts = gradient_in_parts(learner, x, y, show, parts=4)
        alike.append(F.cosine_similarity(whole, parts, dim=0).item())
        wholes.append(whole)
    learner.eval()  # and now its statistics stay as they are
    held = [gradient_in_parts(learner, x, y, show, parts) for parts in (1, 4)]
    fixed = F.cosine_similarity(*held, dim=0).item()
    others = [F.cosine_similarity(*two, dim=0).item() for two in combinations(wholes, 2)]

    bought = []
    for T in (1, 2, 4):
        gained = signed(*change(right[2 * T], right[T]))  # image by image
        bought.append(f"{gained} ({T} → {2 * T})")
    title = (
        f"Trained at T = {cfg.num_steps}, asked with twice the T: {', '.join(bought)} points\n"
        f"Twice the T: {cost[4] / max(cost[2], 1e-9):.1f} × the additions (2 → 4), and for 1 GiB at most "
        f"{batch[4]:,} images instead of {batch[2]:,}"
    )
    fig, (left, middle, third) = plots.figure(1, 3, (11.5, 4.2), title)
    shares = np.array([accuracy[T] for T in steps])
    chance = 196 * np.sqrt(shares * (1 - shares) / len(data.y_test))  # 95 %, in points
    left.errorbar(steps, 100 * shares, chance, color=plots.BLUE, marker="o", capsize=4)
    left.axvline(cfg.num_steps, color="0.5", lw=1, ls=":")
    x_label = "T when asked (dotted: when trained)"
    plots.label(left, x_label, "test images read correctly (%)", "accuracy (bars: 95 % of each)")
    costs = [cost[T] for T in steps]
    plots.curves(middle, steps, {"additions": costs})
    plots.label(middle, "T when asked", "additions an image (millions)", "cost")
    plots.curves(third, times, {"largest batch": fits})
    plots.label(third, "T in training", "largest batch B", "at most in 1 GiB (formula)")
    for ax, values, text in ((middle, costs, two_digits), (third, fits, "{:,}".format)):
        ax.set_yscale("log", base=2)
        ax.set_yticks(values, [text(value) for value in values])
    for ax, at in ((left, steps), (middle, steps), (third, times)):
        names = [str(T) for T in at]
        ax.set_xscale("log", base=2)
        ax.set_xticks(at, names)
    run.figure(fig, "5_steps", look="left: from which T on is little gained?")

    facts = {"n": len(data.y_test), "seeds": 1, "real": True}
    gain, half = change(right[4], right[cfg.num_steps])
    last, last_half = change(right[8], right[4])
    run.claim("accuracy_4", "asked with T = 4", accuracy[4], **facts)
    run.claim(
        "gain_4", f"T = 4 against T = {cfg.num_steps} (± {half:.2f})", gain, "points", **facts
    )
    run.claim("accumulates", "additions an image, T = 2", cost[2], "million", real=True)
    run.claim("batch_2", "1 GiB, T = 2: at most", batch[2], "images")
    run.claim("parts", "gradient, whole against 4 parts", np.mean(alike).round(2), "cosine")
    run.claim("others", "gradient, another 128 images", np.mean(others).round(2), "cosine")
    run.finding(
        f"The network was trained at T = {cfg.num_steps}. Asked with T = 4 it gains {signed(gain, half, 2)} "
        f"points for {cost[4] / max(cost[cfg.num_steps], 1e-9):.1f} × the additions; T = 8 gains "
        f"{signed(last, last_half, 2)} on T = 4 (one network, image by image, BatchNorm's statistics those of "
        f"T = {cfg.num_steps})."
    )
    run.finding(
        f"By the formula at most {batch[2]:,} images fit 1 GiB at T = 2, and {batch[16]:,} at T = 16. That is an "
        "upper bound (unfused), not tried on a GPU: backward's own working memory lowers it."
    )
    run.finding(
        f"A batch of 128 in four parts: with BatchNorm's statistics of each part the cosine with the whole "
        f"batch's gradient is {np.mean(alike):.2f} (mean of {len(alike)} batches), with statistics held fixed "
        f"{fixed:.2f}. Two different batches have {np.mean(others):.2f}."
    )


def main(cfg: Config, run: Run) -> None:
    section_shapes(cfg, run)
    section_depth(cfg, run)
    section_training(cfg, run)
    section_memory(cfg, run)
    section_steps(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
