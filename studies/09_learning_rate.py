"""Study 09 — The learning rate: how wide is the range that works, and what lies beyond it?

Question
    In lesson 09 each loss had a learning rate of its own. How far may one miss it? And what happens
    to the neurons of a spiking network when the steps are too large?

Idea
    Every error on its way to the hidden layer passes the surrogate σ′(U − θ), equation (2) of lesson
    09. It is 1 for a neuron at its threshold and falls with the square of the distance:

        σ′(x) = 1 / (1 + (π·x)²)          one threshold away: 0.09          ten: 0.001          (1)

    A small step moves potentials a little, and the errors of the next batch come through as before.
    A step that is much too large throws potentials many thresholds away, to either side. Below θ
    the neuron is silent; above it, it fires at every step. In both places it hears next to nothing,
    so it stays there: it is dead for the training. An ANN with ReLUs has the first of these deaths;
    a spiking network has both.

Read first
    Lesson 09, section 3; lesson 07 on the surrogate's slope.
    Smith 2015, the range test: https://arxiv.org/abs/1506.01186

Run
    uv run studies/09_learning_rate.py          two minutes on two CPU cores

Builds on / leads to
    Lessons 07 and 09. Lesson 14 keeps neurons alive by a lower bound on their rate.
"""

from __future__ import annotations

import _root  # noqa: F401

import math
from dataclasses import dataclass, replace
from functools import partial

from common import plots
from common.data import mnist
from common.io import live
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import unroll
from training import count_predict, evaluate, fit, membrane_loss, membrane_predict

import numpy as np
import snntorch as snn
import snntorch.functional as SF
import torch
from torch import Tensor, nn

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)


@dataclass
class Config(LessonConfig):
    """The network and the short training of lesson 09."""

    num_steps: int = bounded(10, 1, 100_000)
    """time steps for which an image is shown (T)"""
    images: int = bounded(5_000, 10, 55_000)
    """training images"""
    epochs: int = bounded(3, 1, 100)
    """passes over them"""
    batch_size: int = bounded(128, 1, 60_000)
    """images in one update of the weights (B)"""
    num_hidden: int = bounded(256, 1, 100_000)
    """hidden neurons (H)"""
    seeds: int = bounded(3, 1, 20)
    """trainings for each learning rate"""


SMOKE = {"num_steps": 4, "images": 200, "epochs": 1, "num_hidden": 32, "seeds": 1}
FULL = {"images": 55_000, "seeds": 5}


# same as lesson 08
class Net(nn.Module):
    """784–256–10: Linear → Leaky → Linear → Leaky. ``forward`` is one time step, ``run`` a whole sequence."""

    def __init__(
        self, num_inputs: int = 784, num_hidden: int = 256, num_outputs: int = 10, beta: float = 0.9
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(num_inputs, num_hidden)
        self.lif1 = snn.Leaky(beta=beta, init_hidden=True)
        self.fc2 = nn.Linear(num_hidden, num_outputs)
        self.lif2 = snn.Leaky(beta=beta, init_hidden=True, output=True)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, 784)`` → output spikes and membrane, each ``(B, 10)``."""
        spk1 = self.lif1(self.fc1(x_t))  # (B, 256)
        return self.lif2(self.fc2(spk1))  # (B, 10), (B, 10)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 784)`` → ``spk_rec, mem_rec``, each ``(T, B, 10)``, starting from rest."""
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))  # (T, B, 256)
        spk2, mem2, _ = unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)  # (T, B, 10)
        return spk2, mem2


def encode(x: Tensor, num_steps: int) -> Tensor:
    """The grey values are the input, the same at every step: ``(B, 1, 28, 28)`` → ``(T, B, 784)``."""
    return constant_current(x.flatten(1), num_steps)


def count_loss(out: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    """Cross entropy of the spike counts."""
    spk_rec, _ = out
    return SF.ce_count_loss()(spk_rec, y)


LOSSES = {
    "mean membrane": (membrane_loss, membrane_predict),
    "ce_count_loss": (count_loss, count_predict),
}


@dataclass
class Hidden:
    """The state of a hidden layer, over many images. All are shares, 0 to 1."""

    silent: float  # neurons that fire for no image at any step
    always: float  # neurons that fire for every image, at every step but the first
    open: float  # mean of σ′(U − θ) over neurons, images and steps


@torch.no_grad()
def hidden_layer(net: Net, images: Tensor, num_steps: int) -> Hidden:
    """Look into the hidden layer for ``images (B, 1, 28, 28)``, values 0 to 255."""
    x = encode(images.float() / 255, num_steps)
    spk1, mem1, _ = unroll(net.lif1, over_time(net.fc1, x), record_mem=True)  # (T, B, H) each
    later = spk1[1:] if num_steps > 1 else spk1
    sigma = 1 / (1 + (math.pi * (mem1 - net.lif1.threshold)) ** 2)  # equation (1)
    return Hidden(
        silent=(spk1.amax((0, 1)) == 0).float().mean().item(),
        always=(later.amin((0, 1)) == 1).float().mean().item(),
        open=sigma.mean().item(),
    )


@dataclass
class Trained:
    """Of one loss: validation accuracy in %, and the hidden layer, each ``(seeds, rates)``."""

    accuracy: np.ndarray
    hidden: list[list[Hidden]]


def widest_range(accuracy: np.ndarray, tolerance: float) -> tuple[float, float]:
    """The lowest and the highest rate around the best whose mean is within ``tolerance`` points."""
    mean = accuracy.mean(0)
    best = int(mean.argmax())
    good = mean >= mean[best] - tolerance
    low, high = best, best
    while low > 0 and good[low - 1]:
        low -= 1
    while high < len(mean) - 1 and good[high + 1]:
        high += 1
    return RATES[low], RATES[high]


@section
def section_range(cfg: Config, run: Run) -> dict[str, Trained]:
    """1  How far may one miss the learning rate?

    The network of lesson 09 is trained with nine rates, from 0.0001 to 1, for the loss of section 1
    there and for the loss on spike counts. The rate falls to zero along a cosine, as in the lesson;
    it is its value at the start that is drawn. Adam divides each step by the size of the
    gradients, so the rate is about the distance that a weight moves in one update. Weights of the
    first layer start between −0.036 and 0.036.
    """
    run.predict(
        "span_membrane",
        "The best rate gives the highest accuracy. Between the lowest and the highest rate that lose "
        "less than 2 points, what is the ratio (mean membrane loss)?",
        unit="times",
    )
    data = run.data(mnist).to(run.device)
    few = replace(data, x_train=data.x_train[: cfg.images], y_train=data.y_train[: cfg.images])
    show = partial(encode, num_steps=cfg.num_steps)
    results = {}
    for name, (loss_fn, predict) in LOSSES.items():
        accuracy = np.zeros((cfg.seeds, len(RATES)))
        hidden = []
        for i in live(range(cfg.seeds), f"   {name}", cfg.seeds):
            row = []
            for j, lr in enumerate(RATES):
                torch.manual_seed(cfg.seed + i)
                net = Net(num_hidden=cfg.num_hidden)
                fit(
                    net, few, show, run=run, epochs=cfg.epochs, lr=lr, batch_size=cfg.batch_size,
                    loss_fn=loss_fn, predict=predict, seed=cfg.seed + i, quiet=True,
                )  # fmt: skip
                accuracy[i, j] = 100 * evaluate(net, data.x_val, data.y_val, show, predict)
                row.append(hidden_layer(net, data.x_val[:1000], cfg.num_steps))
            hidden.append(row)
        results[name] = Trained(accuracy, hidden)

    ranges = {name: widest_range(r.accuracy, 2.0) for name, r in results.items()}
    best = {name: RATES[int(r.accuracy.mean(0).argmax())] for name, r in results.items()}
    low, high = ranges["mean membrane"]
    title = f"Mean membrane: within 2 points of the best from {low:g} to {high:g}"
    fig, ax = plots.figure(1, 1, (8.5, 4.2), title)
    plots.curves(ax, RATES, {name: r.accuracy for name, r in results.items()})
    ax.set_xscale("log")
    plots.label(ax, "learning rate at the start", "validation images read correctly (%)")
    run.figure(fig, "1_range", look="the slope to the left of the summit, and that to the right")

    facts = {"n": len(data.y_val) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    run.claim("best_membrane", "mean membrane: best rate", best["mean membrane"], "", **facts)
    run.claim("span_membrane", "rates within 2 points, high over low", high / low, "times", **facts)
    run.claim("best_count", "ce_count_loss: best rate", best["ce_count_loss"], "", **facts)
    count_low, count_high = ranges["ce_count_loss"]
    span = count_high / count_low
    run.claim("span_count", "rates within 2 points, high over low", span, "times", **facts)
    run.finding(
        f"The mean membrane loss wants a rate near {best['mean membrane']:g}, the count loss one near "
        f"{best['ce_count_loss']:g}. Within 2 points of their best are {low:g} to {high:g} and "
        f"{count_low:g} to {count_high:g}."
    )
    return results


@section
def section_neurons(cfg: Config, run: Run) -> None:
    """2  What do large steps do to the neurons?

    The networks of section 1 are shown 1,000 validation images. A hidden neuron that never fires, or
    that fires at every step for every image, tells the output nothing about the image. How well
    errors get through to the hidden layer is the mean of σ′, equation (1), over all neurons, images
    and steps: 100 % if every potential stood at its threshold.

    The two losses differ in one thing. One reads the output potentials, with no surrogate in
    between, so the weights of the output layer learn in any case, if only to make the best of what
    the hidden layer happens to do. The other reads the output spikes, and its errors have to pass a
    surrogate there as well.
    """
    places = ("most are silent", "most fire at every step", "neither")
    run.predict(
        "fate",
        f"After training with a rate of {RATES[-1]:g}, what has become of the hidden neurons (mean "
        "membrane loss)?",
        places,
    )
    results: dict[str, Trained] = run.result_of(section_range)
    fig, axes = plots.figure(1, 2, (11, 4), "", sharey=True)
    shares = {}
    for ax, (name, r) in zip(axes, results.items(), strict=True):
        silent = np.array([[100 * h.silent for h in row] for row in r.hidden])  # (seeds, rates)
        always = np.array([[100 * h.always for h in row] for row in r.hidden])
        door = np.array([[100 * h.open for h in row] for row in r.hidden])
        curves = {"neurons that never fire": silent, "neurons that always fire": always}
        plots.curves(ax, RATES, curves | {"mean of σ′": door})
        ax.set_xscale("log")
        ax.set_title(name)
        plots.label(ax, "learning rate at the start", "hidden layer (%)")
        shares[name] = (silent.mean(0), always.mean(0), door.mean(0))
    best = int(results["mean membrane"].accuracy.mean(0).argmax())
    silent, always, door = shares["mean membrane"]
    title = (
        f"Mean of σ′: {door[best]:.0f} % at the best rate, {door[-1]:.1g} % at {RATES[-1]:g} (left)"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "2_neurons", look="which of the two deaths grows, and σ′ at the same rates")

    facts = {"n": 1000 * cfg.seeds, "seeds": cfg.seeds, "real": True}
    run.claim(
        "silent_high", f"rate {RATES[-1]:g}: neurons that never fire", silent[-1] / 100, **facts
    )
    run.claim(
        "always_high", f"rate {RATES[-1]:g}: neurons that always fire", always[-1] / 100, **facts
    )
    run.claim("door_best", f"rate {RATES[best]:g}: mean σ′", door[best] / 100, **facts)
    run.claim("door_high", f"rate {RATES[-1]:g}: mean σ′", door[-1] / 100, **facts)
    fate = places[2]
    if silent[-1] > 50:
        fate = places[0]
    if always[-1] > 50:
        fate = places[1]
    run.outcome("fate", fate)
    left = {name: r.accuracy.mean(0)[-1] for name, r in results.items()}
    run.finding(
        f"At a rate of {RATES[-1]:g}, {silent[-1]:.0f} % of the hidden neurons never fire, "
        f"{always[-1]:.0f} % always do, and the mean of σ′ is {door[-1]:.1g} % instead of "
        f"{door[best]:.0f} %. The loss on potentials still reads {left['mean membrane']:.0f} % of the "
        f"images, the loss on spike counts {left['ce_count_loss']:.0f} %."
    )


def main(cfg: Config, run: Run) -> None:
    section_range(cfg, run)
    section_neurons(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
