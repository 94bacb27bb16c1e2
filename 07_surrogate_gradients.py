"""Lesson 07 — Surrogate gradients: learning through a step that has no slope

Question
    A spike is a step, and a step is flat: how can a gradient get through it, and how much does the answer matter?

Idea
    A neuron fires when its membrane U passes the threshold θ. With x = U − θ

        S = Θ(x) = 1 if x > 0, else 0              dS/dx = 0 everywhere, except at x = 0, where it is infinite

    The chain rule multiplies by dS/dx at every spike. One factor is zero, so the product is zero: no weight below a
    spike ever moves. The chain rule is right: the loss really is a staircase in every hidden weight, and a small nudge
    changes no spike. A silent layer stays silent for ever, hence the name *dead neuron problem*.

    A surrogate gradient keeps the step in the forward pass, so that spikes stay 0 or 1, and puts the slope h(x) of a
    smooth function in the backward pass alone:

        forward   S = Θ(x)                 backward   ∂L/∂x := ∂L/∂S · h(x)

    The result is the gradient of no function: forward and backward disagree on purpose. h only says how near a neuron
    was to changing its mind, and credit goes to those that were close, on either side, silent ones included. Six such
    h are compared, from ATan, h = α/2 / (1 + (π/2·α·x)²), to the straight-through estimator, h = 1, which knows no
    "near" at all: every neuron is as good as any other. Below, each formula stands above its line of code.

    Zenke & Vogels (2021) found that the shape hardly matters, as long as the scale is sane. To compare shapes alone we
    take scale out: **every h has peak 1 and the same full width at half maximum** (FWHM, how wide the curve is at
    h = 1/2), here `width` in units of θ. The function `matched` finds the α, k and w that do this.

    Biology has no backward pass, but it does have h: a factor that depends on the cell's own voltage is local and
    plausible (e-prop in lesson 15 uses just that). ∂L/∂S is not: an error sent back through weights and through time.

Read first
    Theory: Neftci, Mostafa & Zenke 2019 (https://arxiv.org/abs/1901.09948)
            Zenke & Vogels 2021 (https://direct.mit.edu/neco/article/33/4/899/97482); snnbook (https://snnbook.net/)
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
    - In three hidden layers scale does matter: 87 % at a width near 1 θ, 77 to 79 % at 32 θ; at 0.01 θ 69 % if h keeps
      peak 1, 15 % if its peak grows with its steepness. Towards the input the gradient's norm explodes or vanishes.
      Adam makes up for that, since it divides by each gradient's usual size, but not for a worse *direction*: too
      flat, and every neuron is credited; too steep, and hardly any.

Builds on / leads to
    01 (the neuron), 06 (what a membrane is fed with). 08 builds the network step by step, 09 opens the training loop.

Predict: if all five shapes are forty times as wide (--width 40), which other arm do they come to resemble, and how
    accurate are they?
Next: uv run 08_feedforward_snn.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from common import plots
from common.data import ImageData, batches, mnist
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import unroll
from training import evaluate, membrane_loss

import numpy as np
import snntorch as snn
import torch
from matplotlib.figure import Figure
from snntorch import surrogate as snn_surrogate
from torch import nn
from torch.nn.utils import parameters_to_vector

Slope = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Config(LessonConfig):
    """num_steps is the number of time steps for which each image is shown, as a constant current."""

    num_steps: int = bounded(10, 1, 100_000)
    """time steps per image (T)"""
    n_train: int = bounded(10_000, 1, 60_000)
    """training images of the comparison of shapes"""
    hidden: int = bounded(100, 1, 10_000)
    """neurons of each hidden layer"""
    epochs: int = bounded(2, 1, 1000)
    """passes through the training images"""
    seeds: int = bounded(3, 1, 100)
    """networks per shape: seed, seed + 1, …"""
    lr: float = bounded(5e-3, 1e-9, 10)
    """Adam's learning rate at the start; falls to 0 along a cosine"""
    beta: float = bounded(0.9, 0, 1)
    """membrane decay per step"""
    width: float = bounded(1.0, 1e-3, 1e3)
    """full width at half maximum that every shape is given in the comparison, in units of θ"""
    widths: tuple[float, ...] = bounded((32, 4, 1, 0.25, 0.06, 0.01), 1e-6, 1e6)
    """full widths at half maximum of the slope sweep, flat to steep"""
    sweep_train: int = bounded(5_000, 1, 60_000)
    """training images of the slope sweep"""
    sweep_seeds: int = bounded(2, 1, 100)
    """networks per point of the slope sweep"""


SMOKE = dict(
    n_train=256, hidden=20, epochs=1, seeds=2, widths=(1, 0.01), sweep_train=256, sweep_seeds=1
)
FULL = dict(
    num_steps=25,
    n_train=55_000,
    epochs=10,
    seeds=5,
    widths=(128, 32, 8, 4, 2, 1, 0.5, 0.25, 0.12, 0.06, 0.03, 0.01),
    sweep_train=55_000,
    sweep_seeds=3,
)
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
    """A ``spike_grad`` for any snnTorch neuron, as in ``snn.Leaky(beta=0.9, spike_grad=surrogate(h))``."""
    return lambda x: Spike.apply(x, h)


def true_slope(x: torch.Tensor) -> torch.Tensor:
    """dΘ/dx = 0. (At x = 0 it is infinite, but a float all but never lands there.)"""
    return torch.zeros_like(x)


def atan(x: torch.Tensor, alpha: float = 2.0) -> torch.Tensor:
    """h = α/2 / (1 + (π/2·α·x)²), slope of arctan(π/2·α·x)/π; peak α/2, FWHM 4/(πα). snnTorch's default."""
    return alpha / 2 / (1 + (math.pi / 2 * alpha * x) ** 2)


def fast_sigmoid(x: torch.Tensor, slope: float = 25.0) -> torch.Tensor:
    """h = 1/(1 + k|x|)², slope of x/(1 + k|x|); peak 1, FWHM 2(√2 − 1)/k (SuperSpike, Zenke & Ganguli 2018)."""
    return 1 / (1 + slope * x.abs()) ** 2


def sigmoid(x: torch.Tensor, slope: float = 25.0) -> torch.Tensor:
    """h = k·σ(kx)·(1 − σ(kx)), slope of σ(kx); peak k/4, FWHM 2·ln(3 + 2√2)/k. σ(−kx) is 1 − σ(kx), rounded better."""
    return slope * torch.sigmoid(slope * x) * torch.sigmoid(-slope * x)


def triangular(x: torch.Tensor, width: float = 1.0) -> torch.Tensor:
    """h = max(0, 1 − |x|/w), slope of two parabolas; peak 1, FWHM w (Bellec et al. 2018). Not snnTorch's."""
    return (1 - x.abs() / width).clamp(min=0)


def raised_cosine(x: torch.Tensor, width: float = 1.0) -> torch.Tensor:
    """h = (1 + cos(πx/w))/2 for |x| < w, slope of x/2 + w·sin(πx/w)/(2π); peak 1, FWHM w. Ours: no corner, an end."""
    return (1 + torch.cos(math.pi / width * x.clamp(-width, width))) / 2


def straight_through(x: torch.Tensor) -> torch.Tensor:
    """h = 1, slope of x: pass the gradient on as if there were no step (Bengio, Léonard & Courville 2013)."""
    return torch.ones_like(x)


def snntorch_triangular(x: torch.Tensor, threshold: float = 1.0) -> torch.Tensor:
    """h = +θ below the threshold, −θ from it on: the slope *of a triangle*, negative wherever a neuron fires."""
    return threshold * torch.where(x >= 0, -1.0, 1.0)


def custom_raised_cosine(
    input_: torch.Tensor, grad_input: torch.Tensor, spikes: torch.Tensor
) -> torch.Tensor:
    """What ``snn_surrogate.custom_surrogate`` wants: x, ∂L/∂S and S in, ∂L/∂x out. Parameters are fixed inside."""
    return grad_input * raised_cosine(input_, width=1.0)


def raw_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """snnTorch's sigmoid() as a stepped ``snn.Leaky`` runs it; ``unroll`` would replace the bare one by a safe form."""
    return snn_surrogate.sigmoid()(x)


def backward_of(spike_grad: Slope, x: torch.Tensor, error: float = 1.0) -> torch.Tensor:
    """h(x) as autograd sees it: what ``spike_grad`` passes back for ∂L/∂S = ``error``, divided by that."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(spike_grad(x).sum() * error, x)[0] / error


def matched(width: float) -> dict[str, Slope]:
    """The five shapes with peak 1 and full width ``width`` at half maximum."""
    k_fast, k_sig, alpha = (
        2 * (2**0.5 - 1) / width,
        2 * math.log(3 + 2 * 2**0.5) / width,
        4 / (math.pi * width),
    )
    return {
        "ATan": lambda x: atan(x, alpha) / (alpha / 2),
        "fast sigmoid": lambda x: fast_sigmoid(x, k_fast),
        "sigmoid": lambda x: sigmoid(x, k_sig) / (k_sig / 4),
        "triangular": lambda x: triangular(x, width),
        "raised cosine (ours)": lambda x: raised_cosine(x, width),
    }


# ------------------------------------------------------------------ the network and its training


class Net(nn.Module):
    """784 – hidden layers of LIF neurons – 10. The read-out never resets: its membrane is a leaky sum of spikes."""

    def __init__(self, hidden: Sequence[int], spike_grad: Slope, beta: float) -> None:
        super().__init__()
        sizes = [784, *hidden, 10]
        self.fc = nn.ModuleList(
            nn.Linear(n_in, n_out) for n_in, n_out in zip(sizes, sizes[1:], strict=False)
        )
        self.lif = nn.ModuleList(
            snn.Leaky(
                beta=beta,
                spike_grad=spike_grad,
                init_hidden=True,
                output=i == len(hidden),
                reset_mechanism="none" if i == len(hidden) else "subtract",
            )
            for i in range(len(hidden) + 1)
        )

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: current ``(B, 784)`` → output spikes and membrane, ``(B, 10)`` each."""
        for fc, lif in zip(self.fc, self.lif, strict=True):
            x_t = lif(fc(x_t))
        return x_t  # type: ignore[return-value]  # the last neuron has output=True: (spk, mem)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 784)`` → ``spk_rec, mem_rec``, ``(T, B, 10)`` each."""
        mem_rec = None
        for fc, lif in zip(self.fc, self.lif, strict=True):
            x, mem_rec, _ = unroll(
                lif, over_time(fc, x), record_mem=lif is self.lif[-1]
            )  # (T, B, N)
        return x, mem_rec  # type: ignore[return-value]


def use(net: Net, h: Slope) -> Net:
    """Give every neuron of ``net`` another backward pass. The forward pass, and so every spike, stays the same."""
    for lif in net.lif:
        lif.spike_grad = surrogate(h)
    return net


def encoder(cfg: Config) -> Slope:
    """Images ``(B, 1, 28, 28)`` → the same current at every step, ``(T, B, 784)``."""
    return lambda x: constant_current(x.flatten(1), cfg.num_steps)


def train(
    cfg: Config,
    run: Run,
    data: ImageData,
    spike_grad: Slope,
    seed: int,
    hidden: Sequence[int],
    n_train: int,
) -> tuple[Net, list[torch.Tensor], list[float]]:
    """Train one network; equal seeds start from equal weights and see equal batches, whatever the surrogate.

    Returns the network after the last update (no epoch is picked, so no validation set is needed), the weights and
    biases that each layer started from, as one vector a layer, and the loss at each update.
    """
    torch.manual_seed(seed)
    net = Net(hidden, spike_grad, cfg.beta).to(run.device)
    before = [parameters_to_vector(fc.parameters()).detach() for fc in net.fc]
    generator, encode, losses = torch.Generator().manual_seed(seed), encoder(cfg), []
    x_train, y_train = data.x_train[:n_train], data.y_train[:n_train]
    optimizer = torch.optim.Adam(net.parameters(), lr=cfg.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, cfg.epochs * math.ceil(len(x_train) / BATCH)
    )
    for _ in range(cfg.epochs):
        for x, y in batches(x_train, y_train, BATCH, generator=generator, device=run.device):
            loss = membrane_loss(net.run(encode(x)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    return net, before, losses


def train_seeds(
    cfg: Config, run: Run, data: ImageData, name: str, spike_grad: Slope
) -> dict[str, Any]:
    """``cfg.seeds`` networks with one hidden layer: what each learnt, and how far each of its two layers moved."""
    r: dict[str, Any] = {"losses": [], "accuracy": [], "largest": [], "relative": []}
    for seed in range(cfg.seed, cfg.seed + cfg.seeds):
        net, before, losses = train(cfg, run, data, spike_grad, seed, [cfg.hidden], cfg.n_train)
        moves = [
            parameters_to_vector(fc.parameters()).detach() - b
            for fc, b in zip(net.fc, before, strict=True)
        ]
        r["losses"].append(losses)
        r["accuracy"].append(evaluate(net, data.x_test, data.y_test, encoder(cfg)))
        r["largest"].append([move.abs().max().item() for move in moves])
        r["relative"].append(
            [(move.norm() / b.norm()).item() for move, b in zip(moves, before, strict=True)]
        )
    run.print(f"{name:30s} test accuracy " + "  ".join(f"{a:.4f}" for a in r["accuracy"]))
    return r | {
        "net": net,
        "nan": net.fc[0].weight.isnan().float().mean().item(),
    }  # of the last network


def gradients(net: Net, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The gradient of the loss by each layer's weights, for input ``x (T, B, 784)``."""
    return torch.autograd.grad(membrane_loss(net.run(x), y), [fc.weight for fc in net.fc])


@torch.no_grad()
def descent(
    net: Net, grads: Sequence[torch.Tensor], x: torch.Tensor, y: torch.Tensor, step: float
) -> float:
    """Does following a surrogate lead down? The change of the loss when each hidden layer takes a step against its
    gradient, ``step`` times as long as its weights; then the weights are put back."""
    hidden, before = [fc.weight for fc in net.fc[:-1]], membrane_loss(net.run(x), y).item()
    start_weights = [weight.clone() for weight in hidden]
    for weight, grad in zip(hidden, grads[:-1], strict=True):
        weight -= step * weight.norm() * grad / grad.norm().clamp(min=1e-30)
    after = membrane_loss(net.run(x), y).item()
    for weight, start_weight in zip(hidden, start_weights, strict=True):
        weight.copy_(start_weight)
    return after - before


def experiment_true_gradient(cfg: Config, run: Run, data: ImageData) -> dict[str, Any]:
    """1. Train with dΘ/dx = 0 and with ATan from equal weights; then move one hidden weight and watch the loss."""
    arms = {
        name: train_seeds(cfg, run, data, name, surrogate(h))
        for name, h in {"true gradient": true_slope, "ATan": matched(cfg.width)["ATan"]}.items()
    }
    # the staircase: eight images, and the hidden weight (of the ATan network) to which the surrogate gives most credit
    net = arms["ATan"]["net"]
    x, y = (
        encoder(cfg)(data.x_train[:8].to(run.device).float() / 255),
        data.y_train[:8].to(run.device),
    )
    grad, _ = gradients(net, x, y)
    i, j = divmod(int(grad.abs().argmax()), grad.shape[1])
    weight, offsets, walk = net.fc[0].weight, np.linspace(-0.5, 0.5, 201), []
    with torch.no_grad():
        start_value = weight[i, j].item()
        for offset in offsets:
            weight[i, j] = start_value + offset
            walk.append(membrane_loss(net.run(x), y).item())
    return {
        "arms": arms,
        "offsets": offsets,
        "walk": np.array(walk),
        "slope": grad[i, j].item(),
        "flat": float(np.mean(np.diff(walk) == 0)),
    }


def experiment_shapes() -> dict[str, Any]:
    """2. Every formula by hand against snnTorch's, at its defaults, where both are finite; and where snnTorch's is not.

    Returns the largest difference of each, relative to its peak, and the U − θ below which ``sigmoid()`` gives NaN.
    """
    x, error = torch.linspace(-3, 3, 6001), {}
    for h, theirs in (
        (atan, snn_surrogate.atan()),
        (fast_sigmoid, snn_surrogate.fast_sigmoid()),
        (sigmoid, snn_surrogate.sigmoid()),
        (snntorch_triangular, snn_surrogate.triangular()),
        (straight_through, snn_surrogate.straight_through_estimator()),
        (raised_cosine, snn_surrogate.custom_surrogate(custom_raised_cosine)),
    ):
        a, b = backward_of(surrogate(h), x), backward_of(theirs, x)
        error[h.__name__] = ((a - b).abs().max() / a.abs().max()).item()
    far = torch.linspace(-6, 0, 6001)
    nan = backward_of(
        snn_surrogate.sigmoid(), far, error=1e-3
    ).isnan()  # exp(−25x) overflows, and ∞/∞ is NaN
    return {"error": error, "n": len(error) * len(x), "edge": far[nan].max().item()}


def experiment_comparison(
    cfg: Config, run: Run, data: ImageData, first: dict[str, Any]
) -> dict[str, Any]:
    """3. The same task, weights and batches with every shape, and with two of snnTorch's defaults as they come.

    ``first`` holds the two arms of experiment 1, which need not be trained again.
    """
    arms: dict[str, Slope] = {
        name: surrogate(h) for name, h in matched(cfg.width).items() if name not in first
    }
    arms |= {
        "straight-through": surrogate(straight_through),
        "snnTorch triangular()": snn_surrogate.triangular(),
        "snnTorch sigmoid()": raw_sigmoid,
        "the same sigmoid, no overflow": surrogate(sigmoid),
    }
    return first | {
        name: train_seeds(cfg, run, data, name, spike_grad) for name, spike_grad in arms.items()
    }


def probe(
    cfg: Config, run: Run, data: ImageData, hidden: Sequence[int], seed: int, n: int = 500
) -> tuple[Net, torch.Tensor, torch.Tensor]:
    """A network after its first six updates, and ``n`` training images ``(T, n, 784)``: common ground for all h."""
    short = Config(**{**vars(cfg), "epochs": 1})
    net, _, _ = train(short, run, data, surrogate(matched(1.0)["sigmoid"]), seed, hidden, 6 * BATCH)
    x, y = next(batches(data.x_train[-n:], data.y_train[-n:], n, device=run.device))
    return net, encoder(cfg)(x), y


def experiment_why_they_fail(cfg: Config, run: Run, data: ImageData) -> dict[str, Any]:
    """3b. With the same spikes for all: which backward pass points downhill, and which is not even a number?"""
    slopes = {
        **matched(cfg.width),
        "straight-through": straight_through,
        "snnTorch triangular()": snntorch_triangular,
    }
    change: dict[str, list[float]] = {name: [] for name in slopes}
    for seed in range(cfg.seed, cfg.seed + cfg.seeds):
        net, x, y = probe(cfg, run, data, [cfg.hidden], seed)
        for name, h in slopes.items():
            grads = gradients(use(net, h), x, y)
            change[name].append(descent(net, grads, x, y, step=0.01))
    torch.manual_seed(cfg.seed)
    net = Net([cfg.hidden], raw_sigmoid, cfg.beta).to(run.device)  # untrained
    grads = gradients(net, x, y)
    with torch.no_grad():
        _, mem_rec, _ = unroll(
            net.lif[0], over_time(net.fc[0], x), record_mem=True
        )  # (T, B, hidden)
    return {
        "change": {name: float(np.mean(c)) for name, c in change.items()},
        "nan_gradient": grads[0].isnan().float().mean().item(),
        "distance": (mem_rec - net.lif[0].threshold).flatten().cpu().numpy(),
    }  # U − θ


def experiment_slope_sweep(
    cfg: Config, run: Run, data: ImageData
) -> dict[str, dict[str, np.ndarray]]:
    """4. Three hidden layers, from flat to steep. The fast sigmoid keeps peak 1; the sigmoid's grows with its slope."""
    hidden, result = [cfg.hidden] * 3, {}
    net0, x, y = probe(cfg, run, data, hidden, cfg.seed)
    families: dict[str, Callable[[float], Slope]] = {
        "fast sigmoid, peak 1": lambda width: matched(width)["fast sigmoid"],
        "sigmoid, peak k/4": lambda width: (
            lambda x: sigmoid(x, 2 * math.log(3 + 2 * 2**0.5) / width)
        ),
    }
    for name, family in families.items():
        accuracy, norms, change = [], [], []
        for width in cfg.widths:
            grads = gradients(use(net0, family(width)), x, y)
            norms.append(
                [max(g.norm().item(), 1e-30) for g in grads]
            )  # a norm of 0 has no place on a log axis
            change.append(descent(net0, grads, x, y, step=0.01))
            accuracy.append([])
            for seed in range(cfg.seed, cfg.seed + cfg.sweep_seeds):
                net, _, _ = train(
                    cfg, run, data, surrogate(family(width)), seed, hidden, cfg.sweep_train
                )
                accuracy[-1].append(
                    evaluate(net, data.x_test[:2000], data.y_test[:2000], encoder(cfg))
                )
            run.print(
                f"{name:22s} width {width:<6g} accuracy {np.mean(accuracy[-1]):.4f}   gradient norm by layer "
                + "  ".join(f"{n:.1e}" for n in norms[-1])
            )
        result[name] = {
            "accuracy": np.array(accuracy).T,
            "norms": np.array(norms),
            "change": np.array(change),
        }
    return result


def plot_true_gradient(r: dict[str, Any]) -> Figure:
    moved = max(layers[0] for layers in r["arms"]["true gradient"]["largest"])
    fig, ax = plots.figure(
        1, 1, (8, 4), f"The true gradient moves hidden weights by {moved:g}: a staircase is flat"
    )
    middle, near = r["walk"][len(r["walk"]) // 2], r["offsets"][50:151]
    ax.plot(r["offsets"], r["walk"], color=plots.BLACK, linewidth=1.2, label="loss, measured")
    ax.plot(
        near,
        middle + r["slope"] * near,
        "--",
        color=plots.BLUE,
        label=f"ATan's slope: {r['slope']:.2g}",
    )
    ax.plot(near, middle + 0 * near, "-.", color=plots.RED, label="the true gradient's slope: 0")
    ax.legend()
    plots.label(
        ax,
        "change of one hidden weight",
        "cross entropy of 8 images",
        f"No change over {r['flat']:.0%} of the small steps, jumps elsewhere",
    )
    return fig


def plot_shapes(width: float) -> Figure:
    """Forward, backward and the smooth function behind it (the running integral of h, scaled to 0 … 1)."""
    x = torch.linspace(-2.5 * width, 2.5 * width, 1001)
    fig, axes = plots.figure(
        2,
        3,
        (10.5, 5.6),
        sharex=True,
        sharey=True,
        title="One forward pass, six backward "
        f"passes: peak 1; full width at half maximum {width:g} θ, or endless",
    )
    for ax, (name, h) in zip(
        axes.flat, {**matched(width), "straight-through": straight_through}.items(), strict=True
    ):
        area = torch.cumulative_trapezoid(h(x), x)
        ax.step(x, (x > 0).float(), where="post", color=plots.BLACK, label="forward: the step Θ")
        ax.plot(
            x[1:],
            area / area[-1],
            color=plots.ORANGE,
            linestyle="--",
            label="its smooth stand-in (never used)",
        )
        ax.plot(x, h(x), color=plots.BLUE, label="backward: its slope h")
        plots.label(ax, "U − θ" if ax in axes[1] else "", "", name)
    axes[0, 0].legend(fontsize=8.5, loc="upper left")
    axes[0, 0].set(ylim=(-0.08, 1.75), yticks=[0, 0.5, 1])
    return fig


def plot_comparison(r: dict[str, Any], smooth: Sequence[str], n_test: int) -> Figure:
    means = {name: np.mean(arm["accuracy"]) for name, arm in r.items()}
    spread = 100 * (max(means[n] for n in smooth) - min(means[n] for n in smooth))
    lost = 100 * (means["ATan"] - means["true gradient"])
    fig, (left, right) = plots.figure(
        1,
        2,
        (11.5, 4.4),
        f"Five smooth shapes end within {spread:.2g} points of each "
        f"other; the true gradient ends {lost:.0f} points below ATan",
    )
    losses = {
        name: arm["losses"] for name, arm in r.items() if name == "ATan" or name not in smooth
    }
    plots.curves(
        left, np.arange(len(r["ATan"]["losses"][0])), losses, markers=False
    )  # each (seeds, updates)
    left.set(ylim=(0, 1.6 * left.get_ylim()[1]))
    left.legend(fontsize=8, ncols=2, loc="upper right")
    plots.label(
        left, "update", "cross entropy", "Training loss (ATan stands for the smooth shapes)"
    )
    for k, (name, arm) in enumerate(r.items()):
        right.plot(arm["accuracy"], [k] * len(arm["accuracy"]), "o", color=plots.BLUE, alpha=0.6)
        right.text(max(arm["accuracy"]) + 0.02, k, f"{means[name]:.1%}", va="center", fontsize=9)
    right.set_yticks(range(len(r)), list(r))
    right.set(xlim=(0, 1.15), ylim=(len(r) - 0.5, -0.5), xticks=np.linspace(0, 1, 6))
    plots.label(right, "share of right answers", "", f"{n_test:,} test images, a dot per seed")
    return fig


def plot_why_they_fail(r: dict[str, Any], edge: float) -> Figure:
    up = [name for name, c in r["change"].items() if c > 0]
    fig, (left, right) = plots.figure(
        1,
        2,
        (11.5, 3.8),
        f"{' and '.join(up) or 'No shape'} points uphill; "
        f"snnTorch's sigmoid() is not a number below θ − {-edge:.2f}",
    )
    plots.bars(left, r["change"], color=plots.SKY)
    plots.label(
        left,
        "change of the loss (nats)",
        "",
        "A 1 % step against the gradient (same spikes for all)",
    )
    right.hist(
        r["distance"],
        bins=80,
        color=plots.SKY,
        log=True,
        label="hidden membranes of a fresh network",
    )
    right.axvspan(
        min(r["distance"].min(), edge) - 0.3,
        edge,
        color=plots.RED,
        alpha=0.2,
        label="exp overflows: NaN",
    )
    right.legend(loc="upper left")
    plots.label(
        right,
        "U − θ",
        "neurons × steps × images",
        f"{r['nan_gradient']:.0%} of its hidden gradient is NaN",
    )
    return fig


def plot_slope_sweep(r: dict[str, dict[str, np.ndarray]], widths: Sequence[float]) -> Figure:
    means = [family["accuracy"].mean(0) for family in r.values()]  # by width
    flat, steep = (" and ".join(f"{m[end]:.0%}" for m in means) for end in (0, -1))
    fig, axes = plots.figure(
        2,
        2,
        (10.5, 7),
        f"Three hidden layers: {np.max(means):.0%} at best; flattest {flat}, steepest {steep}",
    )
    for ax, what in zip(axes[0], ("accuracy", "change"), strict=True):
        plots.curves(ax, widths, {name: family[what] for name, family in r.items()})
    plots.label(
        axes[0, 0], "", "share of right answers", "Accuracy (2,000 test images; band: seeds)"
    )
    plots.label(
        axes[0, 1], "", "change of the loss", "A 1 % step against the gradient: lower is better"
    )
    for ax, (name, family) in zip(axes[1], r.items(), strict=True):
        plots.curves(ax, widths, {f"hidden layer {k + 1}": family["norms"][:, k] for k in range(3)})
        ax.set_yscale("log")
        plots.label(
            ax, "full width at half maximum (θ): flat → steep", "gradient norm ‖∂L/∂W‖", name
        )
    for ax in axes.flat:
        ax.set(xscale="log", xlim=(1.3 * max(widths), min(widths) / 1.3))
    return fig


def main(cfg: Config, run: Run) -> None:
    data = run.data(mnist, n_train=cfg.n_train)
    n_test, smooth = len(data.y_test), list(matched(cfg.width))
    run.print("\n1  The true gradient first")
    first = experiment_true_gradient(cfg, run, data)
    run.figure(plot_true_gradient(first), "true_gradient")
    true = first["arms"]["true gradient"]
    run.claim(
        "true_hidden_change",
        "true gradient: largest change of any hidden weight or bias, all seeds",
        max(layers[0] for layers in true["largest"]),
        "",
        "== 0",
    )
    run.claim(
        "true_readout_change",
        "true gradient: ‖ΔW‖/‖W‖ of the read-out, smallest of the seeds",
        min(layers[1] for layers in true["relative"]),
        "",
        ">= 0.1",
        real=True,
    )
    run.claim(
        "staircase_flat",
        "share of small steps of a hidden weight that leave the loss unchanged",
        first["flat"],
    )
    run.print("\n2  The shapes, by hand")
    shapes = experiment_shapes()
    run.figure(plot_shapes(cfg.width), "shapes")
    run.claim(
        "formula_error",
        "our six backward passes against snnTorch's: largest difference, relative to the peak",
        max(shapes["error"].values()),
        "",
        "<= 1e-6",
        n=shapes["n"],
    )
    run.claim(
        "nan_edge",
        "snnTorch's sigmoid() gives NaN for U − θ below",
        shapes["edge"],
        "",
        "-3.56..-3.54",
    )
    run.print("\n3  Does the shape matter?")
    comparison = experiment_comparison(cfg, run, data, first["arms"])
    run.figure(plot_comparison(comparison, smooth, n_test), "comparison")
    mean = {name: float(np.mean(arm["accuracy"])) for name, arm in comparison.items()}
    run.claim(
        "smooth_spread",
        f"best less worst of the five smooth shapes (mean of {cfg.seeds} seeds)",
        max(mean[n] for n in smooth) - min(mean[n] for n in smooth),
        "1",
        "<= 0.02",
        n=n_test,
        real=True,
    )
    for key, name in {
        "true": "true gradient",
        "atan": "ATan",
        "straight_through": "straight-through",
        "snn_triangular": "snnTorch triangular()",
        "snn_sigmoid": "snnTorch sigmoid()",
        "safe_sigmoid": "the same sigmoid, no overflow",
    }.items():
        run.claim(f"accuracy_{key}", f"test accuracy: {name}", mean[name], "1", n=n_test, real=True)
    why = experiment_why_they_fail(cfg, run, data)
    change, nan_weights = why["change"], comparison["snnTorch sigmoid()"]["nan"]
    run.figure(plot_why_they_fail(why, shapes["edge"]), "why_they_fail")
    run.claim(
        "uphill",
        "snnTorch's triangular(): change of the loss after a 1 % step against its gradient",
        change["snnTorch triangular()"],
        "nats",
        ">= 0",
        n=500,
        real=True,
    )
    run.claim(
        "downhill",
        "the same step with the worst of the five smooth shapes",
        max(change[n] for n in smooth),
        "nats",
        "<= 0",
        n=500,
        real=True,
    )
    run.claim(
        "nan_gradient",
        "snnTorch's sigmoid(): share of the first hidden gradient that is NaN",
        why["nan_gradient"],
        "1",
        ">= 0.01",
        real=True,
    )
    run.claim(
        "nan_weights",
        "… and of the hidden weights after training",
        nan_weights,
        "1",
        ">= 0.5",
        real=True,
    )
    run.print("\n4  How steep?")
    sweep = experiment_slope_sweep(cfg, run, data)
    run.figure(plot_slope_sweep(sweep, cfg.widths), "slope_sweep")
    for (name, family), key, targets in zip(
        sweep.items(),
        ("fast", "sigmoid"),
        ((">= 0.5", "<= -0.5"), ("<= -0.5", ">= 0.5")),
        strict=True,
    ):
        accuracy, n = family["accuracy"].mean(0), min(2000, n_test)
        best, ratio = accuracy.argmax(), np.log10(family["norms"][:, 0] / family["norms"][:, 2])
        run.claim(
            f"{key}_best",
            f"{name}: best accuracy ({cfg.widths[best]:g} θ)",
            accuracy[best],
            "1",
            n=n,
            real=True,
        )
        for end, i, target in zip(("flattest", "steepest"), (0, -1), targets, strict=True):
            run.claim(
                f"{key}_{end}",
                f"{name}: accuracy lost at the {end} ({cfg.widths[i]:g} θ)",
                accuracy[best] - accuracy[i],
                "1",
                ">= 0.05",
                n=n,
                real=True,
            )
            run.claim(
                f"{key}_{end}_norm",
                "… log₁₀ of the gradient norm of hidden layer 1 over that of layer 3",
                ratio[i],
                "",
                target,
                real=True,
            )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
