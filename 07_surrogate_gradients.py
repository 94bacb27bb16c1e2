"""Lesson 07 — Surrogate gradients: learning through a step that has no slope

Question
    Networks learn by following a slope. A spike has none: it is 0, and then it is 1. How can the
    weights below a spike learn at all, and how much does it matter what is put in place of the slope?

Idea
    A neuron fires when its potential U exceeds the threshold θ. With x = U − θ

        S = Θ(x) = 1 if x > 0, else 0            dS/dx = 0, except at x = 0, where it is infinite   (1)

    The chain rule multiplies by dS/dx at every spike. One factor is zero, so the product is zero. A
    *surrogate gradient* keeps the step in the forward pass, so that spikes stay 0 or 1, and puts
    some function h of x in place of dS/dx in the backward pass, and only there:

        forward    S = Θ(x)                      backward    ∂L/∂x := ∂L/∂S · h(x)                  (2)

    h is large near the threshold and small far from it. It says how near a neuron was to changing its
    mind, and the error is handed to those that were near, on either side, silent ones included.

Read first
    Theory     Neftci, Mostafa & Zenke 2019, https://arxiv.org/abs/1901.09948
               Zenke & Vogels 2021, https://direct.mit.edu/neco/article/33/4/899/97482
               https://snnbook.net/ (the chapter on surrogate gradients)
    Practice   snnTorch tutorial 5,
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_5.html

Run
    uv run 07_surrogate_gradients.py --predict    asks what you expect, then measures: start here
    uv run 07_surrogate_gradients.py              without questions; 90 seconds on two free CPU cores
    uv run 07_surrogate_gradients.py --width 4    wider surrogates in sections 2 to 4
    uv run 07_surrogate_gradients.py --full       all of MNIST, five seeds; wants a GPU

Builds on / leads to
    Lesson 01 (the neuron). Lesson 08 builds networks step by step, 09 opens the backward pass through
    time, 15 asks what of (2) a synapse could compute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from common import plots
from common.claims import plain
from common.data import ImageData, batches, mnist
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from scipy.stats import studentized_range
from snntorch import surrogate as snn_surrogate
from torch import Tensor, nn

Slope = Callable[[Tensor], Tensor]  # U − θ of any shape → h, of the same shape
BATCH = 256
RATES = (0.5, 1, 2, 4)  # learning rates that are tried, in units of --lr
TRUE_RATES = (1, 4, 16, 64)  # with the true gradient: only the read-out learns, and it bears more


@dataclass
class Config(LessonConfig):
    """Each image is shown for ``num_steps`` time steps, as a constant current."""

    num_steps: int = bounded(10, 1, 10_000)
    """time steps per image (T)"""
    n_train: int = bounded(10_240, 1, 55_000)
    """training images"""
    hidden: int = bounded(100, 1, 10_000)
    """neurons of each hidden layer"""
    epochs: int = bounded(2, 1, 1000)
    """passes through the training images"""
    seeds: int = bounded(3, 1, 100)
    """networks of each kind: seed, seed + 1, …"""
    lr: float = bounded(5e-3, 1e-6, 1.0)
    """Adam's learning rate at the start; falls to 0 along a cosine"""
    beta: float = bounded(0.9, 0.0, 1.0)
    """share β of the potential that is left after one step"""
    width: float = bounded(1.0, 0.01, 100.0)
    """full width of every h at half of its height, in units of θ"""
    depth: int = bounded(5, 1, 20)
    """hidden layers of the networks of section 5"""
    widths: tuple[float, ...] = bounded((32.0, 1.0, 0.06), 1e-3, 1e3)
    """widths that section 5 compares, flat to steep"""
    sweep_train: int = bounded(4096, 1, 55_000)
    """training images of section 5"""
    sweep_epochs: int = bounded(4, 1, 1000)
    """passes through them"""


SMOKE = {
    "n_train": 300,
    "hidden": 20,
    "epochs": 1,
    "seeds": 2,
    "sweep_train": 300,
    "sweep_epochs": 1,
    "depth": 2,
}
FULL = {
    "num_steps": 25,
    "n_train": 55_000,
    "epochs": 10,
    "seeds": 5,
    "sweep_train": 55_000,
    "sweep_epochs": 10,
}


class Spike(torch.autograd.Function):
    """Equation (2): Θ(x) forward, h(x) backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Slope) -> Tensor:
        ctx.save_for_backward(x)
        ctx.h = h
        return (x > 0).float()  # S = Θ(x)

    @staticmethod
    def backward(ctx: Any, grad_spk: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad_spk * ctx.h(x), None  # ∂L/∂x := ∂L/∂S · h(x)


def surrogate(h: Slope) -> Slope:
    """What every snnTorch neuron takes: ``snn.Leaky(beta=0.9, spike_grad=surrogate(h))``."""

    def spike_grad(x: Tensor) -> Tensor:
        return Spike.apply(x, h)

    return spike_grad


def true_slope(x: Tensor) -> Tensor:
    """dΘ/dx = 0. (At x = 0 it is infinite, but a potential hardly ever is θ to the last digit.)"""
    return torch.zeros_like(x)


class Net(nn.Module):
    """784 pixels – layers of LIF neurons – 10 read-out membranes that leak and add but never fire."""

    def __init__(self, hidden: Sequence[int], spike_grad: Slope, beta: float) -> None:
        super().__init__()
        sizes = [784, *hidden, 10]
        self.fc = nn.ModuleList()
        self.lif = nn.ModuleList()
        for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
            self.fc.append(nn.Linear(n_in, n_out))
        for _ in hidden:
            self.lif.append(snn.Leaky(beta=beta, spike_grad=spike_grad))
        self.beta = beta

    def forward(self, x: Tensor, num_steps: int) -> Tensor:
        """Pixels ``(B, 784)``, shown at every step → mean read-out potential ``(B, 10)``."""
        cur = self.fc[0](x)  # (B, N): the same at every step
        mem = [lif.init_leaky() for lif in self.lif]  # each layer starts at rest
        out = torch.zeros(len(x), 10, device=x.device)
        total = torch.zeros_like(out)
        for _ in range(num_steps):
            spk, mem[0] = self.lif[0](cur, mem[0])  # (B, N)
            for k in range(1, len(self.lif)):
                spk, mem[k] = self.lif[k](self.fc[k](spk), mem[k])
            out = self.beta * out + self.fc[-1](spk)  # (B, 10)
            total = total + out
        return total / num_steps


def train(
    cfg: Config,
    run: Run,
    data: ImageData,
    spike_grad: Slope,
    seed: int,
    hidden: Sequence[int] | None = None,
    n_train: int | None = None,
    lr: float | None = None,
    epochs: int | None = None,
) -> tuple[Net, list[float]]:
    """Train one network; returns it after the last update, and the loss of each update.

    Networks of the same seed start from the same weights and see the same batches, whatever h is.
    """
    torch.manual_seed(seed)
    net = Net(hidden or [cfg.hidden], spike_grad, cfg.beta).to(run.device)
    x_train, y_train = data.x_train[:n_train], data.y_train[:n_train]
    generator = torch.Generator().manual_seed(seed)
    epochs = epochs or cfg.epochs
    updates = epochs * math.ceil(len(x_train) / BATCH)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr or cfg.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    losses = []
    for _ in range(epochs):
        for x, y in batches(x_train, y_train, BATCH, generator=generator, device=run.device):
            loss = F.cross_entropy(net(x.flatten(1), cfg.num_steps), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    return net, losses


@torch.no_grad()
def accuracy(cfg: Config, run: Run, net: Net, x: Tensor, y: Tensor) -> float:
    """Share of all images ``x`` whose highest read-out potential is that of their class."""
    right = 0
    for x_b, y_b in batches(x, y, 1000, device=run.device):
        right += (net(x_b.flatten(1), cfg.num_steps).argmax(1) == y_b).sum().item()
    return right / len(y)


def tuned(
    cfg: Config, run: Run, data: ImageData, h: Slope, rates: Sequence[float]
) -> tuple[float, list[float], list[list[float]], list[Net]]:
    """One network a seed, at the learning rate that is best for this h on *validation* images.

    Returns that rate, and of each seed the test accuracy, the losses and the network.
    """
    spike_grad = surrogate(h)
    best, lr = -1.0, cfg.lr
    for rate in rates:
        net, _ = train(cfg, run, data, spike_grad, cfg.seed, lr=rate * cfg.lr)
        score = accuracy(cfg, run, net, data.x_val, data.y_val)
        if score > best:
            best, lr = score, rate * cfg.lr
    scores, losses, nets = [], [], []
    for seed in seeds_of(cfg):
        net, loss = train(cfg, run, data, spike_grad, seed, lr=lr)
        scores.append(accuracy(cfg, run, net, data.x_test, data.y_test))
        losses.append(loss)
        nets.append(net)
    return lr, scores, losses, nets


def start_weights(cfg: Config, seed: int) -> Tensor:
    """The hidden weights ``(N, 784)`` from which ``train`` starts with this seed."""
    torch.manual_seed(seed)
    return Net([cfg.hidden], true_slope, cfg.beta).fc[0].weight.detach()


def seeds_of(cfg: Config) -> range:
    return range(cfg.seed, cfg.seed + cfg.seeds)


def few_images(run: Run, data: ImageData, n: int = 8) -> tuple[Tensor, Tensor]:
    """``n`` training images ``(n, 784)`` and their labels, on the device."""
    x, y = next(batches(data.x_train[:n], data.y_train[:n], n, device=run.device))
    return x.flatten(1), y


@torch.no_grad()
def walk(cfg: Config, run: Run, data: ImageData, net: Net, offsets: np.ndarray) -> np.ndarray:
    """The loss of eight images while one hidden weight is moved by each of the ``offsets``."""
    x, y = few_images(run, data)
    i, j = chosen_weight(cfg, net, x)
    weight = net.fc[0].weight
    before = weight[i, j].item()
    losses = []
    for offset in offsets:
        weight[i, j] = before + offset
        losses.append(F.cross_entropy(net(x, cfg.num_steps), y).item())
    weight[i, j] = before
    return np.array(losses)


@torch.no_grad()
def chosen_weight(cfg: Config, net: Net, x: Tensor) -> tuple[int, int]:
    """From the brightest pixel of these images to the hidden neuron that says most to the read-out."""
    cur = net.fc[0](x)
    mem = net.lif[0].init_leaky()
    count = torch.zeros_like(cur[0])
    for _ in range(cfg.num_steps):
        spk, mem = net.lif[0](cur, mem)
        count += spk.sum(0)
    neuron = (count * net.fc[-1].weight.norm(dim=0)).argmax().item()
    pixel = x.mean(0).argmax().item()
    return int(neuron), int(pixel)


@section
def section_true_gradient(cfg: Config, run: Run) -> Any:
    """1  What does the true gradient teach a spiking network?

    A network with one hidden layer reads digits. The rule for a hidden weight w is the chain rule: how
    the loss L depends on the spikes, times how a spike depends on its potential, times how the
    potential depends on w, summed over all steps t:

        ∂L/∂w  =  Σ_t   ∂L/∂S[t] · dS/dU[t] · ∂U[t]/∂w                                         (3)

    The factor in the middle is zero by (1). The chain rule is not mistaken. The loss really is a
    staircase in every hidden weight: a small nudge moves no potential across θ, changes no spike and
    so does not change the loss at all. The slope of a stair is zero, and where it is not, at the
    edge, it is infinite. A layer that happens to be silent stays silent, hence the name *dead neuron
    problem*. The read-out lies above the last spike: no step stands between its weights and the loss.

    The figure moves a single hidden weight of a trained network and watches the loss of eight images.
    The claim about nudges moves 100 weights, one at a time, by 0.0001, each from a pixel that is lit.
    (Four learning rates are tried, and the one that is best on validation images is kept. Sections 2
    and 4 do the same with every surrogate, between half and four times --lr. A read-out alone bears
    higher rates, so here they reach from --lr to 64 times that; the last fourfold step still gained a
    point here, so take its accuracy for a floor.)
    """
    nothing, part, all_ = "10 % or so, pure chance", "more than chance, below 90 %", "90 % or more"
    run.predict(
        "true",
        "784 pixels, 100 spiking neurons, 10 read-outs. All weights are trained with the true gradient "
        "(dS/dU = 0). How many test digits are read correctly?",
        (nothing, part, all_),
    )
    data = run.data(mnist, n_train=cfg.n_train)
    lr, scores, all_losses, nets = tuned(cfg, run, data, true_slope, TRUE_RATES)
    moved = 0.0
    for seed, net in zip(seeds_of(cfg), nets, strict=True):
        change = net.fc[0].weight.detach().cpu() - start_weights(cfg, seed)
        moved = max(moved, change.abs().max().item())

    # One hidden weight is moved, coarsely and finely; then 100 weights are nudged.
    offsets = np.linspace(-0.5, 0.5, 201)
    stairs = walk(cfg, run, data, net, offsets)
    fine = np.linspace(-0.025, 0.025, 201)
    stairs_fine = walk(cfg, run, data, net, fine)
    x, y = few_images(run, data)
    generator = run.generator()
    unchanged = 0
    with torch.no_grad():
        before = F.cross_entropy(net(x, cfg.num_steps), y).item()
        weight = net.fc[0].weight  # (N, 784)
        lit = torch.nonzero(x.max(0).values)[:, 0].cpu()  # pixels that say anything
        for _ in range(100):
            i = torch.randint(len(weight), (1,), generator=generator).item()
            j = lit[torch.randint(len(lit), (1,), generator=generator)].item()
            kept = weight[i, j].item()
            weight[i, j] = kept + 1e-4
            unchanged += F.cross_entropy(net(x, cfg.num_steps), y).item() == before
            weight[i, j] = kept

    mean = float(np.mean(scores))
    title = (
        f"True gradient: hidden weights move by {moved:g}, {100 * mean:.1f} % of test digits read"
    )
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 3.9), title)
    for panel, where, loss in ((ax, offsets, stairs), (bx, fine, stairs_fine)):
        panel.plot(where, loss, color=plots.BLACK, drawstyle="steps-mid", linewidth=1.3)
        plots.label(panel, "change of one hidden weight", "loss of 8 images (nats)")
    ax.set_title("One hidden weight, moved in 200 steps")
    bx.set_title("The same, 20 times closer")
    bx.ticklabel_format(useOffset=False)
    bx.set_ylim(ax.get_ylim())
    plots.curves(cx, range(len(all_losses[0])), {"true": np.array(all_losses)}, markers=False)
    cx.axhline(math.log(10), color="grey", linestyle=":")
    cx.text(len(all_losses[0]), math.log(10), "pure chance", ha="right", va="bottom", fontsize=9)
    cx.set_ylim(0, 1.15 * max(math.log(10), np.max(all_losses)))
    plots.label(cx, "update", "training loss (nats)", f"{cfg.seeds} seeds, learning rate {lr:g}")
    run.figure(
        fig, "1_true_gradient", look="how much of the walk is level; what the loss still does"
    )

    n_test = len(data.y_test)
    run.claim("true_moved", "largest move of a hidden weight", moved, unit="", target="== 0")
    run.claim("nudges", "nudges of 0.0001: loss unchanged", unchanged / 100, n=100)
    run.claim("true_accuracy", "true gradient: test accuracy", mean, n=n_test, seeds=cfg.seeds)
    answer = part
    if mean < 0.2:
        answer = nothing
    if mean >= 0.9:
        answer = all_
    run.outcome("true", answer)
    run.finding(
        f"With the true gradient the largest move of any hidden weight is {moved:g}, and {unchanged} of "
        f"100 small nudges leave the loss exactly as it was. The read-out alone learns from the "
        f"unchanging hidden spikes: {100 * mean:.1f} % of the test digits."
    )
    return {"scores": scores, "losses": all_losses, "net": net, "stairs": stairs}


def atan(x: Tensor, width: float = 1.0) -> Tensor:
    """h = 1/(1 + (2x/w)²), the slope of w/2·arctan(2x/w): snnTorch's default, scaled to height 1."""
    return 1 / (1 + (2 * x / width) ** 2)


@section
def section_surrogate(cfg: Config, run: Run) -> Any:
    """2  What changes if the backward pass pretends?

    Now h is the slope of a smooth step, the arctangent:

        h(x) = 1 / (1 + (2·x/w)²)             x = U − θ                                         (4)

    It is 1 at the threshold and one half at a distance of w/2 on either side, so w is its *full width
    at half maximum*. Here w is 1, in units of θ. Not one spike of the forward pass is different: a
    network of the same weights computes the same. Only what is handed back has changed.

    The result is the gradient of no function whatever. The forward pass is a staircase and the backward
    pass belongs to a ramp, on purpose. So a finite difference of the loss cannot confirm it: on a
    stair it is 0. What can be checked is whether following it leads down, and whether it learns. The
    dashed line in the right panel has the slope that ATan hands to the weight of section 1. Compare it
    with the stairs. Its sign matters most, for Adam rescales every gradient by its usual size.

    Could a brain do this? h asks for nothing but the cell's own voltage, and the last factor of (3) for
    the cell's own input: both are there, at the synapse. The first, ∂L/∂S, is not. It is an error sent
    back through the weights of later cells and through time. Lesson 15 replaces just this factor.
    """
    run.predict(
        "atan_accuracy",
        "The same network, the same start, the same batches, now with the surrogate (4). How many "
        "per cent of the test digits are read correctly?",
        unit="per cent",
    )
    data = run.data(mnist, n_train=cfg.n_train)
    true = run.result_of(section_true_gradient)
    lr, scores, all_losses, nets = tuned(cfg, run, data, partial(atan, width=cfg.width), RATES)
    moves = []
    for seed, net in zip(seeds_of(cfg), nets, strict=True):
        start = start_weights(cfg, seed)
        change = net.fc[0].weight.detach().cpu() - start
        moves.append((change.norm() / start.norm()).item())
    offsets = np.linspace(-0.5, 0.5, 201)
    net = true["net"]  # the stairs of section 1, and the slope that a surrogate sees there
    net.lif[0].spike_grad = surrogate(partial(atan, width=cfg.width))
    x, y = few_images(run, data)
    i, j = chosen_weight(cfg, net, x)
    loss = F.cross_entropy(net(x, cfg.num_steps), y)
    slope = torch.autograd.grad(loss, net.fc[0].weight)[0][i, j].item()

    mean, true_mean = float(np.mean(scores)), float(np.mean(true["scores"]))
    title = f"Test accuracy {100 * true_mean:.1f} % with the true gradient, {100 * mean:.1f} % with ATan"
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 3.9), title)
    at = torch.linspace(-2.5 * cfg.width, 2.5 * cfg.width, 501)
    ax.step(at, (at > 0).float(), where="post", color=plots.BLACK, label="forward: Θ(x)")
    smooth = 0.5 + torch.atan(2 * at / cfg.width) / math.pi
    ax.plot(at, smooth, "--", color=plots.ORANGE, label="the smooth step, scaled (never used)")
    ax.plot(at, atan(at, cfg.width), color=plots.BLUE, label="backward: h(x)")
    ax.set_ylim(-0.05, 1.65)
    ax.legend(loc="upper left")
    plots.label(ax, "x = U − θ (in θ)", "spike S, slope h", "One forward, another backward")
    curves = {"true gradient": np.array(true["losses"]), "ATan": np.array(all_losses)}
    plots.curves(bx, range(len(all_losses[0])), curves, markers=False)
    bx.set_ylim(bottom=0)
    plots.label(
        bx, "update", "training loss (nats)", f"{cfg.seeds} seeds, each arm at its best rate"
    )
    cx.plot(offsets, true["stairs"], color=plots.BLACK, drawstyle="steps-mid", label="loss")
    near = np.abs(offsets) <= 0.25
    line = loss.item() + slope * offsets[near]
    cx.plot(offsets[near], line, "--", color=plots.BLUE, label=f"ATan's slope, {slope:.2g}")
    cx.legend()
    plots.label(cx, "change of one hidden weight", "loss of 8 images (nats)", "A slope for stairs")
    run.figure(fig, "2_surrogate", look="what h does at x = 0 and far from it; the two losses")

    n_test = len(data.y_test)
    run.claim(
        "atan_accuracy",
        "ATan: test accuracy",
        mean,
        target=">= 0.9",
        n=n_test,
        seeds=cfg.seeds,
        real=True,
    )
    run.claim("gain", "ATan less true gradient", 100 * (mean - true_mean), unit="points", n=n_test)
    moved = float(np.mean(moves))
    run.claim("atan_moved", "hidden weights: ‖change‖/‖start‖", moved, unit="1")
    run.finding(
        f"With the same forward pass and the surrogate (4) in the backward pass the network reads "
        f"{100 * mean:.1f} % of the test digits, {100 * (mean - true_mean):+.1f} points against the true "
        f"gradient. The hidden weights change by {100 * moved:.0f} % of their norm.",
        main=True,
        claim="atan_accuracy",
    )


def fast_sigmoid(x: Tensor, width: float = 1.0) -> Tensor:
    """h = 1/(1 + k·|x|)² with k = 2·(√2 − 1)/w: the slope of x/(1 + k·|x|)."""
    k = 2 * (math.sqrt(2) - 1) / width
    return 1 / (1 + k * x.abs()) ** 2


def sigmoid(x: Tensor, width: float = 1.0) -> Tensor:
    """h = 4·σ(kx)·(1 − σ(kx)) with k = 2·ln(3 + 2√2)/w: the slope of the logistic step, height 1."""
    k = 2 * math.log(3 + 2 * math.sqrt(2)) / width
    return 4 * torch.sigmoid(k * x) * torch.sigmoid(-k * x)  # 1 − σ(kx) is σ(−kx)


def triangular(x: Tensor, width: float = 1.0) -> Tensor:
    """h = max(0, 1 − |x|/w): the slope of two pieces of parabola. (Not snnTorch's: section 6.)"""
    return (1 - x.abs() / width).clamp(min=0)


def raised_cosine(x: Tensor, width: float = 1.0) -> Tensor:
    """h = (1 + cos(πx/w))/2 for |x| < w, else 0. This one is ours: no corner, and it ends."""
    return (1 + torch.cos(math.pi / width * x.clamp(-width, width))) / 2


def straight_through(x: Tensor, width: float = 1.0) -> Tensor:
    """h = 1: hand the error on as if there were no step at all. ``width`` has no meaning here."""
    return torch.ones_like(x)


PEAKED = {
    "ATan": atan,
    "fast sigmoid": fast_sigmoid,
    "sigmoid": sigmoid,
    "triangular": triangular,
    "raised cosine": raised_cosine,
}
SHAPES = PEAKED | {"straight-through": straight_through}


def custom_raised_cosine(input_: Tensor, grad_input: Tensor, spikes: Tensor) -> Tensor:
    """What snnTorch's ``custom_surrogate`` asks for: x, ∂L/∂S and S come in, ∂L/∂x goes out."""
    return grad_input * raised_cosine(input_, width=1.0)


def handed_back(spike_grad: Slope, x: Tensor, error: float = 1.0) -> Tensor:
    """h(x) as autograd sees it: what ``spike_grad`` hands back for ∂L/∂S = ``error``, over ``error``."""
    x = x.clone().requires_grad_()
    spk = spike_grad(x)
    return torch.autograd.grad(spk.sum() * error, x)[0] / error


@section
def section_shapes(cfg: Config, run: Run) -> None:
    """3  Which functions can stand in for the slope?

    Any function that says "near the threshold". Six of them, each one line of code above:

        ATan              1/(1 + (2x/w)²)             falls off like 1/x²; snnTorch's default
        fast sigmoid      1/(1 + k·|x|)²              has a corner at 0; SuperSpike, Zenke & Ganguli 2018
        sigmoid           4·σ(kx)·(1 − σ(kx))         falls off exponentially
        triangular        max(0, 1 − |x|/w)           ends at x = ±w; Bellec et al. 2018
        raised cosine     (1 + cos(πx/w))/2           ends at ±w without a corner; ours
        straight-through  1                           knows no "near" at all

    The last is the *straight-through estimator* (STE; Bengio, Léonard & Courville 2013), an old
    trick of this kind that is still in wide use. It treats the step as the identity. Where networks
    are trained with rounded weights it is still the usual one (lesson 19). It is also what all
    others become when w grows without end.

    In snnTorch a neuron gets its h as spike_grad. Its own are surrogate.atan(alpha=2), of height 1 and
    width 0.64·θ; fast_sigmoid(slope=25), height 1, width 0.033; sigmoid(slope=25), height 6.25, width
    0.14; straight_through_estimator(); and a few more. So to compare its defaults is to compare
    widths and heights. Here every h has height 1 and width w. A new one takes three lines (surrogate is
    snnTorch's module here; in this file it is called snn_surrogate):

        def mine(input_, grad_input, spikes):             # x, ∂L/∂S and S
            return grad_input * raised_cosine(input_)     # ∂L/∂x
        snn.Leaky(beta=0.9, spike_grad=surrogate.custom_surrogate(mine))

    What differs is what a neuron gets that is *far* from its threshold. At U = 0, at rest, x = −θ.
    """
    short = "triangular and raised cosine"
    tails = "ATan and fast sigmoid"
    finite = "all but straight-through"
    none = "none of the six"
    run.predict(
        "silent",
        f"A neuron rests at U = 0, a whole θ below its threshold. Each h is {cfg.width:g}·θ wide at half "
        "of its height. With which does this neuron get no error at all?",
        (short, tails, finite, none),
    )
    at_rest = {name: h(torch.tensor(-1.0), cfg.width).item() for name, h in SHAPES.items()}
    half_way = {name: h(torch.tensor(-0.5), cfg.width).item() for name, h in SHAPES.items()}
    x = torch.linspace(-3, 3, 6001)
    custom = snn_surrogate.custom_surrogate(custom_raised_cosine)
    own = handed_back(surrogate(raised_cosine), x)
    differ = (handed_back(custom, x) - own).abs().max().item()

    zero = [name for name, value in at_rest.items() if value == 0]
    title = f"Height 1, width {cfg.width:g}·θ: {len(zero)} of 6 hand nothing to a neuron at rest"
    fig, axes = plots.figure(2, 3, (11, 5.8), title, sharex=True, sharey=True)
    reach = max(2.5 * cfg.width, 1.2)
    at = torch.linspace(-reach, reach, 1001)
    for ax, (name, h) in zip(axes.flat, SHAPES.items(), strict=True):
        area = torch.cumulative_trapezoid(h(at, cfg.width), at)
        ax.step(at, (at > 0).float(), where="post", color=plots.BLACK, label="forward: Θ(x)")
        ax.plot(at[1:], area / area[-1], "--", color=plots.ORANGE, label="its smooth step, scaled")
        ax.plot(at, h(at, cfg.width), color=plots.BLUE, label="backward: h(x)")
        ax.plot(-1, at_rest[name], "o", color=plots.RED, label="a neuron at rest")
        ax.set_title(f"{name}: {at_rest[name]:.2g} at rest")
        ax.set_yticks([0, 0.5, 1])
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    for ax in axes[1]:
        ax.set_xlabel("x = U − θ (in θ)")
    for ax in axes[:, 0]:
        ax.set_ylabel("spike S, slope h")
    run.figure(fig, "3_shapes", look="the red point: the error that a neuron at rest is handed")

    rows = []
    for name in SHAPES:
        rows.append((name, f"{half_way[name]:.3f}", f"{at_rest[name]:.3f}"))
    run.table("h at two potentials below θ = 1", ("h", "U = 0.5", "U = 0"), rows)
    run.claim("rest_fast", "fast sigmoid: h at rest", at_rest["fast sigmoid"])
    run.claim("rest_atan", "ATan: h at rest", at_rest["ATan"])
    run.claim("rest_sigmoid", "sigmoid: h at rest", at_rest["sigmoid"])
    run.claim("custom", "custom_surrogate against our class", differ, unit="", target="<= 1e-6")
    outcome = " and ".join(zero) if zero else none
    run.outcome("silent", outcome)
    run.finding(
        f"At equal height and width, a neuron at rest is handed {100 * at_rest['fast sigmoid']:.0f} % of "
        f"its error by the fast sigmoid, {100 * at_rest['ATan']:.0f} % by ATan, "
        f"{100 * at_rest['sigmoid']:.0f} % by the sigmoid, all of it by the straight-through estimator "
        f"and nothing by {' and '.join(zero) or 'none of the six'}."
    )


@section
def section_shape_matters(cfg: Config, run: Run) -> None:
    """4  Does the shape matter?

    Zenke & Vogels (2021) trained many networks with many surrogates and found that the shape hardly
    matters, as long as its scale is sane. Here is a small test. The six shapes get equal height and
    width. For each of them the best of four learning rates is taken, on validation images. Then as
    many networks as there are seeds are trained and read all test images.

    A mean over few seeds is uncertain. Its *standard error* is the standard deviation of the seeds
    divided by the root of their number. A difference of two means is uncertain by √2 times as much;
    unless it is two or three times as large as that, the two cannot be told apart. And if one picks
    the largest of many differences, chance has had as many tries: the limit is higher.
    """
    run.predict(
        "smooth_spread",
        "The five shapes with a peak, at equal height and width, each at its best rate. How many "
        "percentage points lie between the best and the worst of them in test accuracy?",
        unit="points",
    )
    data = run.data(mnist, n_train=cfg.n_train)
    scores, rates = {}, {}
    for name, shape in SHAPES.items():
        h = partial(shape, width=cfg.width)
        rates[name], scores[name], _, _ = tuned(cfg, run, data, h, RATES)
    mean = {name: float(np.mean(values)) for name, values in scores.items()}
    peaked = [mean[name] for name in PEAKED]
    spread = 100 * (max(peaked) - min(peaked))
    ste = 100 * (mean["straight-through"] - float(np.mean(peaked)))
    error = 0.0
    if cfg.seeds > 1:
        variances = [np.var(scores[name], ddof=1) for name in PEAKED]
        error = 100 * math.sqrt(np.mean(variances) / cfg.seeds)

    title = f"Five shapes with a peak: {spread:.2f} points from best to worst; "
    title += f"standard error of a mean {error:.2f}"
    fig, ax = plots.figure(1, 1, (10, 3.6), title)
    for row, (name, values) in enumerate(scores.items()):
        percent = [100 * value for value in values]
        ax.plot(percent, [row] * len(percent), "o", color=plots.BLUE, alpha=0.6)
        ax.plot(np.mean(percent), row, "|", color=plots.BLACK, markersize=16, markeredgewidth=2)
        ax.annotate(
            f"{np.mean(percent):.2f} %, lr {rates[name]:g}",
            (max(percent), row),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
        )
    ax.set_yticks(range(len(scores)), list(scores))
    ax.invert_yaxis()
    ax.margins(x=0.3, y=0.12)
    n_test = len(data.y_test)
    plots.label(ax, f"share of {n_test:,} test digits read correctly (%)", "")
    ax.set_title(f"A dot for each of {cfg.seeds} seeds, a bar for their mean")
    run.figure(
        fig, "4_shape", look="whether the dots of two shapes are further apart than two seeds"
    )

    run.claim(
        "smooth_spread",
        "shapes with a peak: largest gap",
        spread,
        unit="points",
        target="<= 2",
        n=n_test,
        seeds=cfg.seeds,
        real=True,
    )
    run.claim("error", "standard error of a mean", error, unit="points")
    run.claim("ste", "straight-through against them", ste, unit="points", n=n_test)
    ratio = spread / max(math.sqrt(2) * error, 1e-9)  # in standard errors of a difference
    limit = studentized_range.ppf(0.95, 5, 5 * max(cfg.seeds - 1, 1)) / math.sqrt(2)  # Tukey
    apart = "so they are told apart" if ratio > limit else "so they are not told apart"
    run.finding(
        f"The means of the five shapes with a peak lie within {spread:.2f} points, from "
        f"{100 * min(peaked):.2f} to {100 * max(peaked):.2f} % of the test digits, each uncertain by "
        f"{error:.2f}. Of the ten pairs, the largest gap is {ratio:.1f} standard errors of a "
        f"difference. Chance alone reaches {limit:.1f} in one case of twenty, {apart}. The "
        f"straight-through estimator is {ste:+.1f} points from their mean."
    )


def grown_sigmoid(x: Tensor, width: float) -> Tensor:
    """The sigmoid as snnTorch scales it: its area is 1, so its height k/4 grows as it gets narrow."""
    k = 2 * math.log(3 + 2 * math.sqrt(2)) / width
    return k / 4 * sigmoid(x, width)


def layer_norms(cfg: Config, net: Net, h: Slope, x: Tensor, y: Tensor) -> list[float]:
    """Norm of the gradient of each hidden layer's weights, with this h and the same spikes for all."""
    for lif in net.lif:
        lif.spike_grad = surrogate(h)
    loss = F.cross_entropy(net(x, cfg.num_steps), y)
    weights = [fc.weight for fc in net.fc[:-1]]
    return [grad.norm().item() for grad in torch.autograd.grad(loss, weights)]


@section
def section_width_matters(cfg: Config, run: Run) -> None:
    """5  Does the width matter?

    With one hidden layer hardly: the error passes a single h. On its way to a weight of layer 1 in a
    network of five layers it passes one h in each layer, and the weights between them, and all of
    these are multiplied. (Time adds factors β, not h: snnTorch lets no gradient through the reset.)

        narrow    few neurons are near enough; the error shrinks from layer to layer on its way down
        wide      all are near, contributions add up, and the error grows on its way down
        high      the error grows, too, if h exceeds 1, as in a narrow h that keeps its *area* (snnTorch's)

    Adam divides each gradient by its usual size, so it makes up for much of that. Still it takes
    time until layers that are handed next to nothing have moved. How much worse a width looks depends
    therefore on how long one trains, and the figure shows the whole way.

    Networks of five hidden layers, fast sigmoid, height 1, three widths, one learning rate: twice
    --lr. For the right panel one trained network gets each h in turn. Its spikes are the same, so what
    differs comes from h. (Layer 1 has 784 inputs, the others 100, which alone changes a norm. So
    compare the lines with one another. In our runs the best width rises towards layer 1 as well.)

    To move the width and watch an error go down through ten layers: `uv run course.py pages` writes
    site/playground.html, part (c).
    """
    wide, middle, narrow = "the widest", "one in between", "the narrowest, nearest to the true step"
    run.predict(
        "best_width",
        f"Five hidden layers, widths from {max(cfg.widths):g} to {min(cfg.widths):g}·θ, few updates. "
        "Which width reads the test digits best?",
        (wide, middle, narrow),
    )
    data = run.data(mnist, n_train=cfg.n_train)
    hidden = [cfg.hidden] * cfg.depth
    widths = sorted(cfg.widths, reverse=True)
    scores, losses, nets = [], {}, []
    for width in widths:
        spike_grad = surrogate(partial(fast_sigmoid, width=width))
        reached, loss = [], []
        for seed in seeds_of(cfg):
            options = {"hidden": hidden, "n_train": cfg.sweep_train, "epochs": cfg.sweep_epochs}
            net, of_seed = train(cfg, run, data, spike_grad, seed, lr=2 * cfg.lr, **options)
            reached.append(accuracy(cfg, run, net, data.x_test, data.y_test))
            loss.append(of_seed)
        scores.append(reached)
        losses[f"{width:g}·θ"] = np.array(loss)  # (seeds, updates)
        nets.append(net)
    percent = 100 * np.array(scores).T  # (seeds, widths)
    mean = percent.mean(0)
    best = int(mean.argmax())
    updates = len(loss[0])
    early = updates // 4
    at_quarter = [curve[:, early].mean() for curve in losses.values()]

    # One trained network, so the same spikes; what does each h make of the gradient there?
    x, y = few_images(run, data, 500)
    norms = {}
    for width in dict.fromkeys((widths[0], widths[best], widths[-1])):
        h = partial(fast_sigmoid, width=width)
        norms[width] = layer_norms(cfg, nets[best], h, x, y)
    grown = layer_norms(cfg, nets[best], partial(grown_sigmoid, width=widths[-1]), x, y)

    read = ", ".join(f"{m:.0f} % at {w:g}·θ" for w, m in zip(widths, mean, strict=True))
    title = f"{cfg.depth} hidden layers, {updates} updates: {read}"
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.3), title)
    plots.curves(ax, range(updates), losses, markers=False)
    ax.axhline(math.log(10), color="grey", linestyle=":")
    ax.text(updates, math.log(10), "pure chance", ha="right", va="bottom", fontsize=9)
    ax.set_ylim(0, 3)
    ax.legend(title="width of h", loc="lower left")
    plots.label(ax, "update", "training loss (nats)", f"{cfg.seeds} seeds: mean and range")
    layers = np.arange(1, cfg.depth + 1)
    for i, (width, values) in enumerate(norms.items()):
        floor = np.maximum(values, 1e-12)
        look = {"marker": plots.MARKERS[i], "linestyle": plots.DASHES[i]}
        bx.semilogy(layers, floor, label=f"{width:g}·θ, height 1", **look)
    floor = np.maximum(grown, 1e-12)
    bx.semilogy(layers, floor, "v:", color=plots.BLACK, label=f"{widths[-1]:g}·θ, area 1")
    bx.set_xticks(layers)
    bx.legend(loc="upper left", bbox_to_anchor=(1.01, 1), title="width of h")
    plots.label(
        bx,
        "hidden layer (1 is next to the pixels)",
        "norm of the gradient",
        "One trained network: the same spikes",
    )
    run.figure(
        fig,
        "5_width",
        look="how late each curve falls; which lines rise towards layer 1, and which sink",
    )

    n_test = len(data.y_test)
    lost_flat, lost_steep = mean[0] - mean[best], mean[-1] - mean[best]
    run.claim("best", "best width: test accuracy", mean[best] / 100, n=n_test, seeds=cfg.seeds)
    run.claim("flat", f"{widths[0]:g}·θ against the best", lost_flat, unit="points", n=n_test)
    run.claim("steep", f"{widths[-1]:g}·θ against the best", lost_steep, unit="points", n=n_test)
    shrinks = norms[widths[-1]][0] / max(norms[widths[-1]][-1], 1e-30)
    grows = norms[widths[0]][0] / max(norms[widths[0]][-1], 1e-30)
    run.claim(
        "shrinks",
        f"{widths[-1]:g}·θ: norm, layer 1 / last layer",
        shrinks,
        unit="times",
        target="<= 0.3",
        real=True,
    )
    run.claim(
        "grows",
        f"{widths[0]:g}·θ: norm, layer 1 / last layer",
        grows,
        unit="times",
        target=">= 3",
        real=True,
    )
    answer = middle
    if best == 0:
        answer = wide
    if best == len(widths) - 1:
        answer = narrow
    run.outcome("best_width", answer)
    run.finding(
        f"With {cfg.depth} hidden layers, {updates} updates lead to {read} of the test digits. After a "
        f"quarter of them the training loss was {', '.join(f'{loss:.2f}' for loss in at_quarter)} nats, in "
        "this order. From the last hidden layer to the first, the gradient's norm changes by a factor "
        f"of {plain(float(f'{grows:.2g}'))} at {widths[0]:g}·θ and of "
        f"{plain(float(f'{shrinks:.2g}'))} at {widths[-1]:g}·θ."
    )


def downhill(cfg: Config, net: Net, h: Slope, x: Tensor, y: Tensor) -> float:
    """Change of the loss after a small step against the hidden gradient, 1 % of the weights' norm."""
    net.lif[0].spike_grad = surrogate(h)
    weight = net.fc[0].weight
    loss = F.cross_entropy(net(x, cfg.num_steps), y)
    grad = torch.autograd.grad(loss, weight)[0]
    with torch.no_grad():
        before = weight.clone()
        weight -= 0.01 * weight.norm() * grad / grad.norm().clamp(min=1e-30)
        after = F.cross_entropy(net(x, cfg.num_steps), y).item()
        weight.copy_(before)
    return after - loss.item()


def snntorch_triangular(x: Tensor) -> Tensor:
    """h of snnTorch's triangular(): +1 below the threshold, −1 from it on."""
    return torch.where(x >= 0, -1.0, 1.0)


@section
def section_defaults(cfg: Config, run: Run) -> None:
    """6  Which defaults fail, and why?

    Two functions of snnTorch 1.0 have a respectable name and fail as they come.

    surrogate.triangular() is not the triangle of section 3. Its h is +1 below the threshold and −1
    above: it is the slope *of* a triangle. For a neuron that fires, ∂L/∂x has the wrong sign. If the
    loss says "less of this spike", the update raises U. For one that is silent the sign is right.

    surrogate.sigmoid(), slope k = 25, writes the slope of a sigmoid as k·exp(−kx)/(exp(−kx) + 1)². In
    float32 exp(−kx) overflows beyond e^88.7, that is for x < −3.55 (a little sooner if the error is
    large, for it is multiplied first): infinity divided by infinity is NaN, *not a number*. A
    potential 3.55·θ below its threshold is nothing special. One NaN in a gradient makes the whole
    weight vector of that neuron NaN, and NaN > θ is False: it is silent from then on, without an
    error. The same slope written as k·σ(kx)·σ(−kx) does not overflow.

    How would you notice? Draw the h that autograd sees, from −10 to 10·θ, and look for its sign and
    for NaN. A small step against the gradient is a test as well: does the loss fall? But it depends
    on the moment. In an untrained network nearly all neurons are below θ, where +1 is right. Here it
    is taken in such a network, and after six updates with ATan.

    All arms of this section train at --lr, as they come; the dotted line, the true gradient of section
    1, had the best of four rates. So compare the arms with each other.
    """
    chance, poor, good = "about 10 %, pure chance", "above chance, below 90 %", "90 % or more"
    run.predict(
        "wrong_sign",
        "A network is trained with snnTorch's triangular(), which is +1 below the threshold and −1 "
        "above. How many test digits does it read correctly?",
        (chance, poor, good),
    )
    data = run.data(mnist, n_train=cfg.n_train)

    def safe_sigmoid(x: Tensor) -> Tensor:
        return 25 * torch.sigmoid(25 * x) * torch.sigmoid(-25 * x)

    arms = {
        "triangular()": snn_surrogate.triangular(),
        "our triangle": surrogate(triangular),
        "sigmoid()": snn_surrogate.sigmoid(),
        "no overflow": surrogate(safe_sigmoid),
    }
    true = float(np.mean(run.result_of(section_true_gradient)["scores"]))
    scores, poisoned = {}, []
    for name, spike_grad in arms.items():
        scores[name] = []
        for seed in seeds_of(cfg):
            net, _ = train(cfg, run, data, spike_grad, seed)
            scores[name].append(accuracy(cfg, run, net, data.x_test, data.y_test))
            if name == "sigmoid()":
                poisoned.append(net.fc[0].weight.isnan().any(1).float().mean().item())
    mean = {name: float(np.mean(values)) for name, values in scores.items()}

    # A small step against each gradient, from a network after six updates; the same spikes for both.
    change = {"triangular()": [], "our triangle": [], "untrained": []}
    for seed in seeds_of(cfg):
        x, y = few_images(run, data, 500)
        torch.manual_seed(seed)
        untrained = Net([cfg.hidden], surrogate(atan), cfg.beta).to(run.device)
        change["untrained"].append(downhill(cfg, untrained, snntorch_triangular, x, y))
        net, _ = train(cfg, run, data, surrogate(atan), seed, n_train=6 * BATCH, epochs=1)
        change["triangular()"].append(downhill(cfg, net, snntorch_triangular, x, y))
        change["our triangle"].append(downhill(cfg, net, triangular, x, y))
    step = {name: float(np.mean(values)) for name, values in change.items()}

    # Where is sigmoid() not a number, and are potentials there? The hidden layer before any training.
    at = torch.linspace(-6, 3, 9001)
    slope = handed_back(arms["sigmoid()"], at, error=1e-3)  # errors of training are as small
    edge = at[slope.isnan()].max().item() if slope.isnan().any() else -math.inf
    torch.manual_seed(cfg.seed)
    net = Net([cfg.hidden], arms["sigmoid()"], cfg.beta).to(run.device)
    x, _ = few_images(run, data, 500)
    with torch.no_grad():
        cur = net.fc[0](x)
        mem = net.lif[0].init_leaky()
        distances = []
        for _ in range(cfg.num_steps):
            _, mem = net.lif[0](cur, mem)
            distances.append(mem - 1)  # U − θ
    distance = torch.stack(distances).flatten().cpu().numpy()
    beyond = float((distance < edge).mean())

    title = f"triangular() {100 * mean['triangular()']:.0f} %, sigmoid() {100 * mean['sigmoid()']:.0f} %, "
    title += f"without their faults {100 * mean['our triangle']:.0f} and "
    title += f"{100 * mean['no overflow']:.0f} %"
    fig, (ax, bx, cx) = plots.figure(1, 3, (13.5, 4), title, width_ratios=(1, 1.2, 1.3))
    near = torch.linspace(-2, 2, 801)
    theirs = handed_back(arms["triangular()"], near)
    ax.plot(near, theirs, color=plots.RED, label="triangular()")
    ax.plot(near, triangular(near), "--", color=plots.BLUE, label="our triangle")
    ax.axhline(0, color="grey", linewidth=1)
    ax.set_ylim(-1.3, 2)
    ax.legend(loc="upper right")
    plots.label(ax, "x = U − θ (in θ)", "h(x), as autograd sees it", "Two triangles")
    bx.hist(distance, bins=60, color=plots.SKY, label="untrained")
    bx.set_yscale("log")
    low = min(distance.min(), -6.0)
    bx.axvspan(low, edge, color=plots.RED, alpha=0.2, hatch="//", label="NaN")
    bx.set_ylim(top=30 * bx.get_ylim()[1])
    bx.legend(loc="upper right")
    plots.label(
        bx, "x = U − θ (in θ)", "neurons × steps × images", "sigmoid(): where U is, where h is NaN"
    )
    for row, values in enumerate(scores.values()):
        percent = [100 * value for value in values]
        cx.plot(percent, [row] * len(percent), "o", color=plots.BLUE, alpha=0.6)
    cx.set_yticks(range(len(scores)), list(scores))
    cx.invert_yaxis()
    cx.axvline(100 * true, color="grey", linestyle=":")
    cx.text(100 * true - 1, 1.5, "true gradient", rotation=90, ha="right", va="center", fontsize=9)
    cx.set_xlim(0, 100)
    plots.label(cx, "test digits read correctly (%)", "", f"A dot for each of {cfg.seeds} seeds")
    run.figure(
        fig, "6_defaults", look="the sign on the right of x = 0; the potentials in the hatched part"
    )

    n_test = len(data.y_test)
    run.claim("triangular", "triangular(): test accuracy", mean["triangular()"], n=n_test)
    run.claim("sigmoid", "sigmoid(): test accuracy", mean["sigmoid()"], n=n_test)
    run.claim("safe_sigmoid", "no overflow: test accuracy", mean["no overflow"], n=n_test)
    run.claim("nan_edge", "sigmoid() is NaN for U − θ below", edge, "θ", target="-3.56..-3.54")
    nan = float(np.mean(poisoned))
    run.claim("poisoned", "sigmoid(): neurons with NaN", nan, target=">= 0.5", real=True)
    run.claim(
        "uphill",
        "step against triangular(): loss",
        step["triangular()"],
        "nats",
        ">= 0",
        n=500,
        real=True,
    )
    answer = poor
    if mean["triangular()"] < 0.2:
        answer = chance
    if mean["triangular()"] >= 0.9:
        answer = good
    run.outcome("wrong_sign", answer)
    run.finding(
        f"triangular() reads {100 * mean['triangular()']:.0f} % of the test digits, the true gradient at its own best rate "
        f"{100 * true:.0f} %. A small step against its gradient changes the loss by "
        f"{step['untrained']:+.3f} nats in an untrained network and by {step['triangular()']:+.3f} after "
        f"six updates (our triangle: {step['our triangle']:+.3f}). sigmoid() reads "
        f"{100 * mean['sigmoid()']:.0f} %: its slope is NaN where {100 * beyond:.1f} % of the untrained "
        f"potentials lie, and {100 * nan:.0f} % of the trained neurons have NaN weights. Written without "
        f"overflow it reads {100 * mean['no overflow']:.0f} %."
    )


def main(cfg: Config, run: Run) -> None:
    section_true_gradient(cfg, run)
    section_surrogate(cfg, run)
    section_shapes(cfg, run)
    section_shape_matters(cfg, run)
    section_width_matters(cfg, run)
    section_defaults(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
