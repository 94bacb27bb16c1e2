"""Lesson 07 — Surrogate gradients: learning through a step that has no slope

Question
    A spike is a step, and a step is flat: how can a gradient get through it, and how much does the answer matter?

Idea
    A neuron fires when its membrane U passes the threshold θ. With x = U − θ

        S = Θ(x) = 1 if x > 0, else 0              dS/dx = 0 everywhere, except at x = 0, where it is infinite

    The chain rule multiplies by dS/dx at every spike. One factor is zero, so the whole product is zero: no weight below
    a spike ever moves. Nothing is wrong with the chain rule. The loss really is a staircase in every hidden weight: a
    small nudge changes no spike, so it changes nothing. A layer that is silent stays silent for ever, hence the name
    *dead neuron problem*.

    A surrogate gradient keeps the step in the forward pass, so that spikes stay 0 or 1, and puts the slope h(x) of a
    smooth function in the backward pass alone:

        forward   S = Θ(x)                 backward   ∂L/∂x := ∂L/∂S · h(x)

        ATan             h = α/2 / (1 + (π/2·α·x)²)        from   arctan(π/2·α·x)/π + 1/2
        fast sigmoid     h = 1 / (1 + k|x|)²               from   x / (1 + k|x|)
        sigmoid          h = k·σ(kx)·(1 − σ(kx))           from   σ(kx) = 1/(1 + exp(−kx))
        triangular       h = max(0, 1 − |x|/w)             from   two parabolas
        raised cosine    h = (1 + cos(πx/w))/2, |x| < w    from   x/2 + w·sin(πx/w)/(2π)      (ours)
        straight-through h = 1                             from   x

    The result is the gradient of no function: forward and backward disagree on purpose. h only says how near a neuron
    was to changing its mind. Credit goes to those that were close, in either direction, silent ones included.
    The straight-through estimator is the limit without any "near": every neuron is as good as any other.

    Is the shape important? Zenke & Vogels (2021) compared several and found that it hardly is, as long as the scale is
    sane. To compare shapes alone we take scale out: **every h has peak 1 and the same full width at half maximum**
    (FWHM, the width of the curve where h = 1/2), here `width` in units of θ. That fixes

        α = 4/(π·width)     k = 2(√2 − 1)/width     k = 2·ln(3 + 2√2)/width     w = width     w = width

    Biology has no backward pass, but it does have h: a factor that depends on the cell's own voltage, near threshold,
    is local and plausible (the voltage term of three-factor rules; e-prop in lesson 15 uses just that). What is not
    plausible is ∂L/∂S, an error carried backwards through the transposed weights and through time.

Read first
    Theory: Neftci, Mostafa & Zenke 2019 (https://arxiv.org/abs/1901.09948)
            Zenke & Vogels 2021 (https://direct.mit.edu/neco/article/33/4/899/97482)
            snnbook, the chapter on surrogate gradients (https://snnbook.net/)
    Practice: snnTorch tutorial 5 (https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_5.html)

Run
    uv run 07_surrogate_gradients.py            under a minute (49 s of CPU time on one core)
    uv run 07_surrogate_gradients.py --smoke    seconds, on stand-in data
    uv run 07_surrogate_gradients.py --full     all of MNIST, five seeds, minutes on a GPU

You should see
    - With the true gradient the hidden weights move by exactly 0. The read-out alone learns, to 66 %; ATan gets 92 %.
    - Five smooth shapes end within 0.1 points of each other (92.4 %), straight-through 1.9 points below them.
    - Two of snnTorch's defaults fail. `triangular()` has the wrong sign above θ: a small step against its gradient
      *raises* the loss (71 %). `sigmoid()` divides exponentials that overflow where U < θ − 3.55: NaN, and 11 %. Its
      steepness is not to blame: the same slope written without overflow gives 92 %.
    - Scale does matter, in depth. In three hidden layers a width near 1 θ gives 87 %, 32 θ 77 to 79 %, 0.01 θ 69 %
      (peak 1) or 15 % (peak 88). The gradient norm explodes or vanishes towards the input, in opposite ways for the two
      families, yet both lose. Adam divides a weight's gradient by its usual size, so the norm alone does not decide
      here (with plain gradient descent it would count too); the *direction* gets worse at both ends. Too flat, and
      everybody is credited; too steep, and hardly anybody is.

Builds on / leads to
    01 (the neuron), 06 (what a membrane is fed with). 08 builds the network step by step, 09 opens the training loop.

Predict: the shapes were compared at width 1. Make all five forty times as wide: which arm of the comparison do they
    then come to resemble, and what accuracy will they have? Run with --width 40.
Next: uv run 08_feedforward_snn.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import snntorch as snn
import torch
from matplotlib.figure import Figure
from snntorch import surrogate as snn_surrogate
from torch import nn

from common import plots
from common.data import ImageData, batches, mnist
from common.lesson import LessonConfig, start
from common.results import Run
from common.spiking import constant_current, over_time, unroll
from common.training import evaluate, membrane_loss

Slope = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Config(LessonConfig):
    """num_steps is the number of time steps for which each image is shown, as a constant current."""

    LIMITS = LessonConfig.LIMITS | {"n_train": (1, 60_000), "hidden": (1, 10_000), "epochs": (1, 1000),
                                    "seeds": (1, 100), "lr": (1e-9, 10), "beta": (0, 1), "width": (1e-3, 1e3),
                                    "widths": (1e-6, 1e6), "sweep_train": (1, 60_000), "sweep_seeds": (1, 100)}
    num_steps: int = 10
    """time steps per image (T)"""
    n_train: int = 10_000
    """training images of the comparison of shapes"""
    hidden: int = 100
    """neurons of each hidden layer"""
    epochs: int = 2
    """passes through the training images"""
    seeds: int = 3
    """networks per shape: seed, seed + 1, …"""
    lr: float = 5e-3
    """Adam's learning rate at the start; falls to 0 along a cosine"""
    beta: float = 0.9
    """membrane decay per step"""
    width: float = 1.0
    """full width at half maximum that every shape is given in the comparison, in units of θ"""
    widths: tuple[float, ...] = (32, 4, 1, 0.25, 0.06, 0.01)
    """full widths at half maximum of the slope sweep, flat to steep"""
    sweep_train: int = 5_000
    """training images of the slope sweep"""
    sweep_seeds: int = 2
    """networks per point of the slope sweep"""


SMOKE = dict(n_train=256, hidden=20, epochs=1, seeds=2, widths=(4, 1, 0.01), sweep_train=256, sweep_seeds=1)
FULL = dict(num_steps=25, n_train=55_000, epochs=10, seeds=5, widths=(128, 32, 8, 4, 2, 1, 0.5, 0.25, 0.12, 0.06, 0.03,
            0.01), sweep_train=55_000, sweep_seeds=3)
BATCH = 256


# ------------------------------------------------------------------ the step, and a slope to put in its place


class Spike(torch.autograd.Function):
    """Θ(x) forward, h(x) backward. ``x = U − θ`` of any shape; ``h`` is any function of ``x``."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, h: Slope) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.h = h
        return (x > 0).float()  # S = Θ(x)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad_output * ctx.h(x), None  # ∂L/∂x := ∂L/∂S · h(x)


def surrogate(h: Slope) -> Slope:
    """A ``spike_grad`` for any snnTorch neuron: it is called with x = U − θ and returns the spikes.

    ``snn.Leaky(beta=0.9, spike_grad=surrogate(h))`` is all it takes; ``unroll`` runs whatever the neuron was given.
    """
    return lambda x: Spike.apply(x, h)


def true_slope(x: torch.Tensor) -> torch.Tensor:
    """dΘ/dx = 0. (At x = 0 it is infinite, but a float all but never lands there.)

    ``snn.Leaky(surrogate_disable=True)`` says the same by cutting autograd's graph: weights below have ``.grad`` None.
    """
    return torch.zeros_like(x)


def atan(x: torch.Tensor, alpha: float = 2.0) -> torch.Tensor:
    """h = α/2 / (1 + (π/2·α·x)²); peak α/2, FWHM 4/(πα). snnTorch's default (Fang et al. 2021)."""
    return alpha / 2 / (1 + (math.pi / 2 * alpha * x) ** 2)


def fast_sigmoid(x: torch.Tensor, slope: float = 25.0) -> torch.Tensor:
    """h = 1/(1 + k|x|)²; peak 1, FWHM 2(√2 − 1)/k (SuperSpike, Zenke & Ganguli 2018)."""
    return 1 / (1 + slope * x.abs()) ** 2


def sigmoid(x: torch.Tensor, slope: float = 25.0) -> torch.Tensor:
    """h = k·σ(kx)·σ(−kx); peak k/4, FWHM 2·ln(3 + 2√2)/k. σ(−kx) is 1 − σ(kx) without the cancellation."""
    return slope * torch.sigmoid(slope * x) * torch.sigmoid(-slope * x)


def triangular(x: torch.Tensor, width: float = 1.0) -> torch.Tensor:
    """h = max(0, 1 − |x|/w); peak 1, FWHM w (Esser et al. 2016, Bellec et al. 2018). Not what snnTorch calls so."""
    return (1 - x.abs() / width).clamp(min=0)


def raised_cosine(x: torch.Tensor, width: float = 1.0) -> torch.Tensor:
    """h = (1 + cos(πx/w))/2 for |x| < w, else 0; peak 1, FWHM w. Ours: no corner, and an end."""
    return (1 + torch.cos(math.pi / width * x.clamp(-width, width))) / 2


def straight_through(x: torch.Tensor) -> torch.Tensor:
    """h = 1: pass the gradient on as if there were no step (Bengio, Léonard & Courville 2013)."""
    return torch.ones_like(x)


def snntorch_triangular(x: torch.Tensor, threshold: float = 1.0) -> torch.Tensor:
    """h = +θ below the threshold, −θ from it on: the slope *of a triangle*, negative wherever a neuron fires."""
    return threshold * torch.where(x >= 0, -1.0, 1.0)


def custom_raised_cosine(input_: torch.Tensor, grad_input: torch.Tensor, spikes: torch.Tensor) -> torch.Tensor:
    """What ``snn_surrogate.custom_surrogate`` wants: x, ∂L/∂S and S in, ∂L/∂x out. Parameters are fixed inside."""
    return grad_input * raised_cosine(input_, width=1.0)


def matched(width: float) -> dict[str, Slope]:
    """The five shapes with peak 1 and full width ``width`` at half maximum."""
    k_fast, k_sig, alpha = 2 * (2**0.5 - 1) / width, 2 * math.log(3 + 2 * 2**0.5) / width, 4 / (math.pi * width)
    return {"ATan": lambda x: atan(x, alpha) / (alpha / 2),
            "fast sigmoid": lambda x: fast_sigmoid(x, k_fast),
            "sigmoid": lambda x: sigmoid(x, k_sig) / (k_sig / 4),
            "triangular": lambda x: triangular(x, width),
            "raised cosine (ours)": lambda x: raised_cosine(x, width)}


# ------------------------------------------------------------------ the network and its training


class Net(nn.Module):
    """784 – hidden layers of LIF neurons – 10. The read-out never resets: its membrane is a leaky sum of spikes."""

    def __init__(self, hidden: Sequence[int], spike_grad: Slope, beta: float) -> None:
        super().__init__()
        sizes = [784, *hidden, 10]
        self.fc = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in zip(sizes, sizes[1:], strict=False))
        self.lif = nn.ModuleList(
            snn.Leaky(beta=beta, spike_grad=spike_grad, init_hidden=True, output=i == len(hidden),
                      reset_mechanism="none" if i == len(hidden) else "subtract") for i in range(len(hidden) + 1))

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: current ``(B, 784)`` → output spikes and membrane, ``(B, 10)`` each."""
        for fc, lif in zip(self.fc, self.lif, strict=True):
            x_t = lif(fc(x_t))
        return x_t  # type: ignore[return-value]  # the last neuron has output=True: (spk, mem)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 784)`` → ``spk_rec, mem_rec``, ``(T, B, 10)`` each."""
        mem_rec = None
        for fc, lif in zip(self.fc, self.lif, strict=True):
            x, mem_rec, _ = unroll(lif, over_time(fc, x), record_mem=lif is self.lif[-1])  # (T, B, N)
        return x, mem_rec  # type: ignore[return-value]


def use(net: Net, h: Slope) -> Net:
    """Give every neuron of ``net`` another backward pass. The forward pass, and so every spike, stays the same."""
    for lif in net.lif:
        lif.spike_grad = surrogate(h)
    return net


def encoder(cfg: Config) -> Slope:
    """Images ``(B, 1, 28, 28)`` → the same current at every step, ``(T, B, 784)``."""
    return lambda x: constant_current(x.flatten(1), cfg.num_steps)


def train(cfg: Config, run: Run, data: ImageData, spike_grad: Slope, seed: int, hidden: Sequence[int],
          n_train: int) -> tuple[Net, list[torch.Tensor], list[float]]:
    """Train one network; equal seeds start from equal weights and see equal batches, whatever the surrogate.

    Returns:
        the network after the last update (no epoch is picked, so no validation set is needed), the weights and
        biases it started from, and the loss at each update.
    """
    torch.manual_seed(seed)
    net = Net(hidden, spike_grad, cfg.beta).to(run.device)
    before = [torch.cat([p.detach().flatten().clone() for p in fc.parameters()]) for fc in net.fc]
    generator, encode, losses = torch.Generator().manual_seed(seed), encoder(cfg), []
    optimizer = torch.optim.Adam(net.parameters(), lr=cfg.lr)
    x_train, y_train = data.x_train[:n_train], data.y_train[:n_train]
    updates = cfg.epochs * -(-len(x_train) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in range(cfg.epochs):
        for x, y in batches(x_train, y_train, BATCH, generator=generator, device=run.device):
            loss = membrane_loss(net.run(encode(x)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    return net, before, losses


def gradients(net: Net, x: torch.Tensor, y: torch.Tensor) -> tuple[float, list[torch.Tensor]]:
    """Loss, and the gradient of each layer's weights, for input ``x (T, B, 784)``."""
    loss = membrane_loss(net.run(x), y)
    return loss.item(), list(torch.autograd.grad(loss, [fc.weight for fc in net.fc]))


@torch.no_grad()
def descent(net: Net, grads: Sequence[torch.Tensor], x: torch.Tensor, y: torch.Tensor, step: float) -> float:
    """Loss after a step of relative length ``step`` against the gradient in the hidden layers, less the loss before.

    The test of any surrogate that no theory can talk its way out of: does following it lead down?
    """
    before = membrane_loss(net.run(x), y).item()
    moves = [step * fc.weight.norm() * g / g.norm().clamp(min=1e-30) for fc, g in zip(net.fc, grads[:-1], strict=False)]
    for fc, move in zip(net.fc, moves, strict=False):
        fc.weight -= move
    after = membrane_loss(net.run(x), y).item()
    for fc, move in zip(net.fc, moves, strict=False):
        fc.weight += move
    return after - before


# ------------------------------------------------------------------ experiments


def experiment_true_gradient(cfg: Config, run: Run, data: ImageData) -> dict[str, Any]:
    """Train with dΘ/dx = 0 and with ATan from equal weights; then walk along one hidden weight and watch the loss."""
    arms: dict[str, list[dict[str, Any]]] = {}
    for name, h in {"true gradient": true_slope, "ATan": matched(cfg.width)["ATan"]}.items():
        for seed in range(cfg.seed, cfg.seed + cfg.seeds):
            net, before, losses = train(cfg, run, data, surrogate(h), seed, [cfg.hidden], cfg.n_train)
            after = [torch.cat([p.detach().flatten() for p in fc.parameters()]) for fc in net.fc]
            arms.setdefault(name, []).append({
                "losses": losses, "accuracy": evaluate(net, data.x_test, data.y_test, encoder(cfg)),
                "largest": [(b - a).abs().max().item() for a, b in zip(before, after, strict=True)],
                "relative": [((b - a).norm() / a.norm()).item() for a, b in zip(before, after, strict=True)]})
    # the staircase: eight images, and the hidden weight (of the ATan network) to which the surrogate gives most credit
    x = encoder(cfg)(data.x_train[:8].to(run.device).float() / 255)
    y, weight = data.y_train[:8].to(run.device), net.fc[0].weight
    _, grads = gradients(net, x, y)
    i, j = divmod(int(grads[0].abs().argmax()), weight.shape[1])
    _, true_grads = gradients(use(net, true_slope), x, y)
    slope = {"ATan": grads[0][i, j].item(), "the true gradient": true_grads[0][i, j].item()}
    offsets, start_value = np.linspace(-0.5, 0.5, 201), weight[i, j].item()
    walk = []
    with torch.no_grad():
        for offset in offsets:
            weight[i, j] = start_value + offset
            walk.append(membrane_loss(net.run(x), y).item())
        weight[i, j] = start_value
    flat = float(np.mean(np.diff(walk) == 0))
    return {"arms": arms, "offsets": offsets, "walk": np.array(walk), "slope": slope, "flat": flat}


def experiment_shapes() -> dict[str, Any]:
    """Every formula by hand against snnTorch's, at its defaults, where both are finite; and where snnTorch's is not."""
    x = torch.linspace(-3, 3, 6001)
    pairs = {"ATan, α = 2": (atan, snn_surrogate.atan()),
             "fast sigmoid, k = 25": (fast_sigmoid, snn_surrogate.fast_sigmoid()),
             "sigmoid, k = 25": (sigmoid, snn_surrogate.sigmoid()),
             "straight-through": (straight_through, snn_surrogate.straight_through_estimator()),
             "snnTorch's triangular": (snntorch_triangular, snn_surrogate.triangular()),
             "raised cosine (custom)": (raised_cosine, snn_surrogate.custom_surrogate(custom_raised_cosine))}
    rows = {}
    for name, (h, theirs) in pairs.items():
        a, b = backward_of(surrogate(h), x), backward_of(theirs, x)
        rows[name] = {"ours": a.numpy(), "theirs": b.numpy(), "error": ((a - b).abs().max() / a.abs().max()).item()}
    far = torch.linspace(-6, 0, 6001)
    nan = backward_of(snn_surrogate.sigmoid(), far, error=1e-3).isnan()  # exp(−25x) overflows, and ∞/∞ is NaN
    return {"x": x.numpy(), "rows": rows, "edge": far[nan].max().item(), "far": far.numpy(),
            "safe": sigmoid(far).numpy()}


def backward_of(spike_grad: Slope, x: torch.Tensor, error: float = 1.0) -> torch.Tensor:
    """h(x) as autograd sees it: what ``spike_grad`` passes back for ∂L/∂S = ``error``, divided by that."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(spike_grad(x).sum() * error, x)[0] / error


def raw_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """snnTorch's sigmoid() as a stepped ``snn.Leaky`` runs it. Handed over bare it would be mended in silence:
    ``unroll`` knows it by name and computes the same slope without the overflow."""
    return snn_surrogate.sigmoid()(x)


def experiment_comparison(cfg: Config, run: Run, data: ImageData, first: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The same task, weights and batches with every shape, and with two of snnTorch's defaults as they come."""
    arms: dict[str, Slope] = {n: surrogate(h) for n, h in matched(cfg.width).items() if n not in first}
    arms |= {"straight-through": surrogate(straight_through), "snnTorch triangular()": snn_surrogate.triangular(),
             "snnTorch sigmoid()": raw_sigmoid, "the same sigmoid, no overflow": surrogate(sigmoid)}
    result = {}
    for name in [*first, *arms]:
        if name in first:
            result[name] = {"losses": [a["losses"] for a in first[name]], "nan": 0.0,
                            "accuracy": [a["accuracy"] for a in first[name]]}
        else:
            row = result[name] = {"losses": [], "accuracy": [], "nan": 0.0}
            for seed in range(cfg.seed, cfg.seed + cfg.seeds):
                net, _, losses = train(cfg, run, data, arms[name], seed, [cfg.hidden], cfg.n_train)
                row["losses"].append(losses)
                row["accuracy"].append(evaluate(net, data.x_test, data.y_test, encoder(cfg)))
                row["nan"] += net.fc[0].weight.isnan().float().mean().item() / cfg.seeds
        run.print(f"{name:30s} test accuracy " + "  ".join(f"{a:.4f}" for a in result[name]["accuracy"]))
    return result


def probe(cfg: Config, run: Run, data: ImageData, hidden: Sequence[int], seed: int,
          n: int = 500) -> tuple[Net, torch.Tensor, torch.Tensor]:
    """A network after its first six updates, and ``n`` training images ``(T, n, 784)``: common ground for all h."""
    short = Config(**{**vars(cfg), "epochs": 1})
    net, _, _ = train(short, run, data, surrogate(matched(1.0)["sigmoid"]), seed, hidden, 6 * BATCH)
    x, y = next(batches(data.x_train[-n:], data.y_train[-n:], n, device=run.device))
    return net, encoder(cfg)(x), y


def experiment_why_they_fail(cfg: Config, run: Run, data: ImageData, edge: float) -> dict[str, Any]:
    """One network, one set of spikes: which backward pass points downhill? And how far below θ do membranes go?"""
    slopes = {**matched(cfg.width), "straight-through": straight_through, "snnTorch triangular()": snntorch_triangular}
    change: dict[str, list[float]] = {name: [] for name in slopes}
    for seed in range(cfg.seed, cfg.seed + cfg.seeds):
        net, x, y = probe(cfg, run, data, [cfg.hidden], seed)
        for name, h in slopes.items():
            loss, grads = gradients(use(net, h), x, y)
            change[name].append(descent(net, grads, x, y, step=0.01))
    torch.manual_seed(cfg.seed)
    net = Net([cfg.hidden], raw_sigmoid, cfg.beta).to(run.device)  # untrained: the very first batch
    x, y = next(batches(data.x_train[:BATCH], data.y_train[:BATCH], BATCH, device=run.device))
    _, grads = gradients(net, encoder(cfg)(x), y)
    with torch.no_grad():
        _, mem_rec, _ = unroll(net.lif[0], over_time(net.fc[0], encoder(cfg)(x)), record_mem=True)
        distance = (mem_rec - net.lif[0].threshold).flatten()  # U − θ, of every neuron at every step
    return {"change": change, "distance": distance.cpu().numpy(), "beyond": (distance < edge).float().mean().item(),
            "nan_gradient": grads[0].isnan().float().mean().item(), "edge": edge}


def experiment_slope_sweep(cfg: Config, run: Run, data: ImageData) -> dict[str, Any]:
    """Three hidden layers, from flat to steep. The fast sigmoid keeps peak 1; the sigmoid's grows with its slope."""
    hidden, result = [cfg.hidden] * 3, {"widths": list(cfg.widths)}
    net0, x, y = probe(cfg, run, data, hidden, cfg.seed)
    families: dict[str, Callable[[float], Slope]] = {
        "fast sigmoid, peak 1": lambda w: matched(w)["fast sigmoid"],
        "sigmoid, peak k/4": lambda w: lambda v: sigmoid(v, 2 * math.log(3 + 2 * 2**0.5) / w)}
    for name, family in families.items():
        accuracy, norms, change = [], [], []
        for width in cfg.widths:
            _, grads = gradients(use(net0, family(width)), x, y)
            norms.append([g.norm().item() for g in grads])
            change.append(descent(net0, grads, x, y, step=0.01))
            accuracy.append([])
            for seed in range(cfg.seed, cfg.seed + cfg.sweep_seeds):
                net, _, _ = train(cfg, run, data, surrogate(family(width)), seed, hidden, cfg.sweep_train)
                accuracy[-1].append(evaluate(net, data.x_test[:2000], data.y_test[:2000], encoder(cfg)))
            run.print(f"{name:22s} width {width:<6g} accuracy {np.mean(accuracy[-1]):.4f}   gradient norm by layer "
                      + "  ".join(f"{n:.1e}" for n in norms[-1]))
        result[name] = {"accuracy": np.array(accuracy).T, "norms": np.array(norms), "change": np.array(change)}
    return result


# ------------------------------------------------------------------ figures


def plot_true_gradient(r: dict[str, Any]) -> Figure:
    moved = r["arms"]["true gradient"][0]["relative"]
    fig, (left, right) = plots.figure(1, 2, size=(10.5, 4), title=f"The true gradient moves the hidden weights by "
                                      f"{moved[0]:g}: their loss is a staircase")
    left.plot(r["offsets"], r["walk"], color=plots.BLACK, linewidth=1.2, label="loss, measured")
    middle = r["walk"][len(r["walk"]) // 2]
    for (name, slope), colour, dash in zip(r["slope"].items(), (plots.BLUE, plots.RED), ("--", "-."), strict=True):
        near = np.abs(r["offsets"]) < 0.25
        left.plot(r["offsets"][near], middle + slope * r["offsets"][near], color=colour, linestyle=dash,
                  label=f"slope by {name}: {slope:.2g}")
    left.plot(0, middle, "o", color=plots.BLACK)
    left.legend()
    plots.label(left, "change of one hidden weight", "cross entropy of 8 images",
                f"No change over {r['flat']:.0%} of the small steps, jumps elsewhere")
    for k, (name, runs) in enumerate(r["arms"].items()):
        values = np.mean([a["relative"] for a in runs], axis=0)
        bars = right.bar(np.arange(2) + 0.36 * k - 0.18, values, width=0.34, color=(plots.RED, plots.BLUE)[k],
                         hatch=("//", "")[k], label=f"{name}: {np.mean([a['accuracy'] for a in runs]):.1%} right")
        right.bar_label(bars, fmt="%.2g", fontsize=9)
    right.set_xticks([0, 1], ["hidden layer", "read-out"])
    right.margins(y=0.25)
    right.legend(loc="upper left")
    plots.label(right, "", "‖ΔW‖ / ‖W‖ after training", "How far the weights of each layer went")
    return fig


def plot_shapes(width: float) -> Figure:
    """Forward, backward and the smooth function behind it (the running integral of h, scaled to 0 … 1)."""
    x = torch.linspace(-2.5 * width, 2.5 * width, 1001)
    fig, axes = plots.figure(2, 3, size=(10.5, 5.6), sharex=True, sharey=True,
                             title="One forward pass, six backward passes: peak 1; full width "
                                   f"at half maximum {width:g} θ, or endless")
    for ax, (name, h) in zip(axes.flat, {**matched(width), "straight-through": straight_through}.items(), strict=True):
        slope = h(x)
        area = torch.cumulative_trapezoid(slope, x)
        ax.step(x, (x > 0).float(), where="post", color=plots.BLACK, label="forward: the step Θ")
        ax.plot(x[1:], area / area[-1], color=plots.ORANGE, linestyle="--", label="its smooth stand-in (never used)")
        ax.plot(x, slope, color=plots.BLUE, label="backward: its slope h")
        ax.set_title(name)
    axes[0, 0].legend(fontsize=8.5, loc="upper left")
    axes[0, 0].set_ylim(-0.08, 1.75)
    axes[0, 0].set_yticks([0, 0.5, 1])
    for ax in axes[1]:
        ax.set_xlabel("U − θ")
    return fig


def plot_library(r: dict[str, Any]) -> Figure:
    worst = max(row["error"] for row in r["rows"].values())
    negative = [n for n, row in r["rows"].items() if row["ours"].min() < 0]
    fig, axes = plots.figure(2, 3, size=(10.5, 5.6), title="By hand and by snnTorch: "
                             f"equal to {worst:.1e} of the peak. Negative somewhere: {', '.join(negative) or 'none'}")
    near = np.abs(r["x"]) <= 1.5
    for ax, (name, row) in zip(axes.flat, r["rows"].items(), strict=True):
        ax.plot(r["x"][near], row["ours"][near], color=plots.BLUE, label="by hand")
        ax.plot(r["x"][near][::60], row["theirs"][near][::60], "o", color=plots.RED, markersize=3.5, label="snnTorch")
        ax.axhline(0, color=plots.BLACK, linewidth=0.6)
        plots.label(ax, "U − θ", "h", f"{name}\npeak {row['ours'].max():.4g}")
    axes[0, 0].legend()
    return fig


def plot_comparison(r: dict[str, dict[str, Any]], smooth: Sequence[str], n_test: int) -> Figure:
    means = {name: np.mean(row["accuracy"]) for name, row in r.items()}
    spread = max(means[n] for n in smooth) - min(means[n] for n in smooth)
    fig, (left, right) = plots.figure(1, 2, size=(11.5, 4.6), title=f"Five smooth shapes end within {100 * spread:.2g} "
                                      "points of each other; the true gradient ends "
                                      f"{100 * (means['ATan'] - means['true gradient']):.0f} points below ATan")
    for k, (name, row) in enumerate(r.items()):
        losses = np.array(row["losses"])
        window = min(5, losses.shape[1])
        kernel = np.ones(window) / window
        y = np.array([np.convolve(line, kernel, mode="valid") for line in losses])
        look = _look(name, k)
        left.fill_between(np.arange(y.shape[1]), y.min(0), y.max(0), color=look["color"], alpha=0.12, linewidth=0)
        left.plot(y.mean(0), label=name, **look)
        right.plot(row["accuracy"], [k] * len(row["accuracy"]), "o", color=look["color"], alpha=0.6)
        right.annotate(f"{means[name]:.1%}", (max(row["accuracy"]), k), xytext=(8, 0), textcoords="offset points",
                       va="center", fontsize=9)
    left.set_ylim(0, 1.75 * left.get_ylim()[1])
    left.legend(fontsize=8, ncols=2, loc="upper right")
    plots.label(left, "update", "cross entropy", "Training loss (mean of 5 updates; band: range of the seeds)")
    right.set_yticks(range(len(r)), list(r))
    right.invert_yaxis()
    right.set_xlim(0, 1.15)
    right.set_xticks(np.linspace(0, 1, 6))
    plots.label(right, "share of right answers", "", f"{n_test:,} test images, a dot per seed")
    return fig


def _look(name: str, k: int) -> dict[str, Any]:
    """Failing arms in red and black, the rest in the course's colours."""
    special = {"true gradient": (plots.BLACK, "-"), "snnTorch triangular()": (plots.RED, "--"),
               "snnTorch sigmoid()": (plots.RED, ":"), "straight-through": (plots.ORANGE, "-."),
               "the same sigmoid, no overflow": (plots.PINK, "--")}
    colour, dash = special.get(name, ((plots.BLUE, plots.GREEN, plots.SKY)[k % 3], plots.DASHES[k % 7]))
    return {"color": colour, "linestyle": dash}


def plot_why_they_fail(r: dict[str, Any], shapes: dict[str, Any]) -> Figure:
    up = [n for n, c in r["change"].items() if np.mean(c) > 0]
    fig, (left, right) = plots.figure(1, 2, size=(11.5, 4.2), title=f"{' and '.join(up) or 'No shape'} points uphill; "
                                      f"snnTorch sigmoid() is not a number below θ − {-r['edge']:.2f}")
    for k, c in enumerate(r["change"].values()):
        left.barh(k, np.mean(c), color=plots.RED if np.mean(c) > 0 else plots.BLUE, height=0.65)
        left.plot(c, [k] * len(c), "o", color=plots.BLACK, markersize=3)
    left.axvline(0, color=plots.BLACK, linewidth=0.8)
    left.set_yticks(range(len(r["change"])), list(r["change"]))
    left.invert_yaxis()
    plots.label(left, "change of the loss", "", "A 1 % step against the gradient (same spikes for all)")
    right.hist(r["distance"], bins=80, density=True, color=plots.SKY, label="U − θ in the first batch")
    right.set_yscale("log")
    right.axvspan(min(r["distance"].min(), r["edge"]) - 0.3, r["edge"], color=plots.RED, alpha=0.2,
                  label=f"exp(−25 x) overflows: NaN ({r['beyond']:.1%})")
    right.plot(shapes["far"], np.clip(shapes["safe"], 1e-7, None), color=plots.BLACK, linestyle="--",
               label="sigmoid k = 25, written safely")
    right.set_ylim(1e-6, 40)
    right.legend(fontsize=8, loc="upper left")
    plots.label(right, "U − θ", "density; h", f"{r['nan_gradient']:.0%} of the first gradient is NaN")
    return fig


def plot_slope_sweep(r: dict[str, Any]) -> Figure:
    families = [n for n in r if n != "widths"]
    best = max(r[n]["accuracy"].mean(0).max() for n in families)
    flat, steep = ([f"{r[n]['accuracy'].mean(0)[i]:.0%}" for n in families] for i in (0, -1))
    fig, axes = plots.figure(2, 2, size=(10.5, 7), title=f"Three hidden layers: {best:.0%} at best; flattest "
                             f"{' and '.join(flat)}, steepest {' and '.join(steep)}")
    plots.curves(axes[0, 0], r["widths"], {n: r[n]["accuracy"] for n in families})
    plots.label(axes[0, 0], "", "share of right answers", "Accuracy (2,000 test images; band: seeds)")
    plots.curves(axes[0, 1], r["widths"], {n: r[n]["change"] for n in families})
    axes[0, 1].axhline(0, color=plots.BLACK, linewidth=0.8)
    plots.label(axes[0, 1], "", "change of the loss", "A 1 % step against the gradient: lower is better")
    for ax, n in zip(axes[1], families, strict=True):
        for layer, norms in enumerate(r[n]["norms"].T[:-1]):
            ax.plot(r["widths"], np.maximum(norms, 1e-30), marker=plots.MARKERS[layer], markersize=4.5,
                    linestyle=plots.DASHES[layer], label=f"hidden layer {layer + 1}")
        ax.set_yscale("log")
        ax.legend()
        plots.label(ax, "full width at half maximum (θ): flat → steep", "gradient norm ‖∂L/∂W‖", n)
    for ax in axes.flat:
        ax.set_xscale("log")
        ax.invert_xaxis()
    return fig


def main(cfg: Config, run: Run) -> None:
    data = run.data(mnist, n_train=cfg.n_train)
    n_test = len(data.y_test)

    run.print("\n1  The true gradient first")
    first = experiment_true_gradient(cfg, run, data)
    run.table("Largest change of any weight or bias, and ‖ΔW‖/‖W‖", ["trained with", "hidden: largest",
              "hidden: relative", "read-out: largest", "read-out: relative", "test accuracy"],
              [[name, a["largest"][0], a["relative"][0], a["largest"][1], a["relative"][1], f"{a['accuracy']:.4f}"]
               for name, runs in first["arms"].items() for a in runs])
    run.figure(plot_true_gradient(first), "true_gradient")
    true = first["arms"]["true gradient"]
    run.claim("true_hidden_change", "true gradient: largest change of any hidden weight or bias, all seeds",
              max(a["largest"][0] for a in true), "", "== 0")
    run.claim("true_readout_change", "true gradient: ‖ΔW‖/‖W‖ of the read-out, smallest of the seeds",
              min(a["relative"][1] for a in true), "", ">= 0.1", real=True)
    run.claim("staircase_flat", "share of small steps of a hidden weight that leave the loss unchanged", first["flat"])

    run.print("\n2  The shapes, by hand")
    shapes = experiment_shapes()
    run.table("Formula by hand against snnTorch, U − θ from −3 to 3",
              ["surrogate", "peak", "lowest", "largest difference / peak"],
              [[n, float(s["ours"].max()), float(s["ours"].min()), s["error"]] for n, s in shapes["rows"].items()])
    run.figure(plot_shapes(cfg.width), "shapes")
    run.figure(plot_library(shapes), "library")
    run.claim("formula_error", "our six backward passes against snnTorch's: largest difference, relative to the peak",
              max(s["error"] for s in shapes["rows"].values()), "", "<= 1e-6", n=6 * len(shapes["x"]))
    run.claim("nan_edge", "snnTorch's sigmoid() gives NaN for U − θ below", shapes["edge"], "", "-3.56..-3.54")

    run.print("\n3  Does the shape matter?")
    comparison = experiment_comparison(cfg, run, data, first["arms"])
    smooth = list(matched(cfg.width))
    run.figure(plot_comparison(comparison, smooth, n_test), "comparison")
    mean = {name: float(np.mean(row["accuracy"])) for name, row in comparison.items()}
    run.claim("smooth_spread", f"best less worst of the five smooth shapes (mean of {cfg.seeds} seeds)",
              max(mean[n] for n in smooth) - min(mean[n] for n in smooth), "1", "<= 0.02", n=n_test, real=True)
    for key, name in {"true": "true gradient", "atan": "ATan", "straight_through": "straight-through",
                      "snn_triangular": "snnTorch triangular()", "snn_sigmoid": "snnTorch sigmoid()",
                      "safe_sigmoid": "the same sigmoid, no overflow"}.items():
        run.claim(f"accuracy_{key}", f"test accuracy: {name}", mean[name], "1", n=n_test, real=True)

    why = experiment_why_they_fail(cfg, run, data, shapes["edge"])
    run.figure(plot_why_they_fail(why, shapes), "why_they_fail")
    change = {n: float(np.mean(c)) for n, c in why["change"].items()}
    run.claim("uphill", "snnTorch's triangular(): change of the loss after a 1 % step against its gradient",
              change["snnTorch triangular()"], "nats", ">= 0", n=500, real=True)
    run.claim("downhill", "the same step with the worst of the five smooth shapes", max(change[n] for n in smooth),
              "nats", "<= 0", n=500, real=True)
    run.claim("nan_gradient", "snnTorch's sigmoid(): share of the first hidden gradient that is NaN",
              why["nan_gradient"], "1", ">= 0.01", real=True)
    run.claim("nan_weights", "… and of the hidden weights after training", comparison["snnTorch sigmoid()"]["nan"],
              "1", ">= 0.5", real=True)

    run.print("\n4  How steep?")
    sweep = experiment_slope_sweep(cfg, run, data)
    run.figure(plot_slope_sweep(sweep), "slope_sweep")
    n_sweep = min(2000, n_test)
    for key, name, flat, steep in (("fast", "fast sigmoid, peak 1", ">= 0.5", "<= -0.5"),
                                   ("sigmoid", "sigmoid, peak k/4", "<= -0.5", ">= 0.5")):
        accuracy, norms = sweep[name]["accuracy"].mean(0), np.maximum(sweep[name]["norms"], 1e-30)
        ratio, best = np.log10(norms[:, 0] / norms[:, 2]), accuracy.argmax()
        run.claim(f"{key}_best", f"{name}: accuracy at the best width ({cfg.widths[best]:g} θ)", accuracy[best], "1",
                  n=n_sweep, real=True)
        for end, i, target in (("flattest", 0, flat), ("steepest", -1, steep)):
            run.claim(f"{key}_{end}", f"{name}: accuracy lost at the {end} ({cfg.widths[i]:g} θ)",
                      accuracy[best] - accuracy[i], "1", ">= 0.05", n=n_sweep, real=True)
            run.claim(f"{key}_{end}_norm", "… log₁₀ of the gradient norm of hidden layer 1 over that of layer 3",
                      ratio[i], "", target, real=True)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
