"""Study 02 — Grey paper: when the time of a spike has to carry the message alone

Question
    In lesson 02 jitter spoilt the intensities of a latency code and hardly any digit. Is a latency
    code robust, then? And can a rate code, made sparse enough, say as much with each spike?

Idea
    On black paper only ink fires, so which pixels fire is nearly the digit. On grey paper,

        x' = 1/4 + x/2                                                                       (1)

    every pixel fires just once, and only its time tells ink from paper. The second section computes
    the information of section 2 of the lesson for rate codes of any gain g, from the binomial
    distribution of the count:

        P(N = n given x) = (T choose n)·(g·x)ⁿ·(1 − g·x)^(T−n)                               (2)

Read first
    Lesson 02, sections 2 and 5. Information in spikes: Rieke, Warland, de Ruyter van Steveninck
    and Bialek, Spikes: Exploring the Neural Code, MIT Press 1997, chapter 3.

Run
    uv run studies/02_grey_paper.py          about 20 seconds on two CPU cores

Builds on / leads to
    Lesson 02. Milestone A asks you to choose a code for pictures that are mostly grey.
"""

from __future__ import annotations

import _root  # noqa: F401

from dataclasses import dataclass

from common import plots
from common.data import mnist
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import binom
from torch import Tensor

JITTER = (0.0, 2.0, 4.0, 8.0, 16.0)  # standard deviation of the shift of a spike, in steps
GAINS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass
class Config(LessonConfig):
    """The settings of lesson 02."""

    num_steps: int = bounded(25, 2, 250)
    """time steps T of the window"""
    n_train: int = bounded(5_000, 100, 20_000)
    """training images of each reader; the test set is always whole"""
    seeds: int = bounded(3, 2, 10)
    """repetitions, each with other training images and other spikes"""


SMOKE = {"n_train": 256, "seeds": 2}
FULL = {"n_train": 16_000}


def best_linear_reader(pictures: Tensor, labels: Tensor) -> Tensor:
    """Least squares in closed form, as in lesson 02: pictures ``(B, 784)`` → weights ``(784, 10)``."""
    target = F.one_hot(labels, 10).float()
    gram = pictures.T @ pictures
    strength = gram.diagonal().mean() + 1e-6
    gram.diagonal().add_(strength)
    return torch.linalg.solve(gram, pictures.T @ target)


def by_latency(x: Tensor, num_steps: int, sigma: float) -> Tensor:
    """x̂ of a latency code whose spikes are shifted by ``sigma`` steps: ``x (B, 784)`` → ``(B, 784)``."""
    when = torch.round((num_steps - 1) * (1 - x))
    shift = torch.round(sigma * torch.randn_like(x))
    when = (when + shift).clamp(0, num_steps - 1)
    fired = x >= 0.01
    return fired * (1 - when / (num_steps - 1))


def by_rate(x: Tensor, num_steps: int) -> Tensor:
    """x̂ of a rate code with g = 1, which no jitter changes: ``x (B, 784)`` → ``(B, 784)``."""
    tosses = torch.full_like(x, num_steps)
    return torch.binomial(tosses, x) / num_steps


@section
def section_grey_paper(cfg: Config, run: Run) -> None:
    """1  What does jitter cost when every pixel fires?

    The same digits on black and on grey paper, equation (1), by latency, with the spikes of the test
    images shifted; each paper has its own best linear reader, which has learnt from intact spikes.
    """
    run.predict(
        "grey_8",
        "On grey paper, spikes are shifted by 8 steps. By how many points does the share of digits "
        "read correctly change? (On black paper it was about −0.5.)",
        unit="points",
    )
    data = run.data(mnist)
    y_test = data.y_test.to(run.device)
    size = min(cfg.n_train, len(data.x_train) // cfg.seeds)
    accuracy = {paper: np.zeros((cfg.seeds, len(JITTER))) for paper in ("black", "grey")}
    rate = {paper: np.zeros(cfg.seeds) for paper in accuracy}
    for seed in range(cfg.seeds):
        torch.manual_seed(cfg.seed + seed)
        mine = slice(seed * size, (seed + 1) * size)
        y_train = data.y_train[mine].to(run.device)
        for paper in accuracy:
            x_train = data.x_train[mine].flatten(1).to(run.device).float() / 255
            x_test = data.x_test.flatten(1).to(run.device).float() / 255
            if paper == "grey":
                x_train = 0.25 + x_train / 2
                x_test = 0.25 + x_test / 2
            reader = best_linear_reader(by_latency(x_train, cfg.num_steps, 0.0), y_train)
            for k, sigma in enumerate(JITTER):
                answers = (by_latency(x_test, cfg.num_steps, sigma) @ reader).argmax(1)
                accuracy[paper][seed, k] = (answers == y_test).float().mean().item()
            reader = best_linear_reader(by_rate(x_train, cfg.num_steps), y_train)
            answers = (by_rate(x_test, cfg.num_steps) @ reader).argmax(1)
            rate[paper][seed] = (answers == y_test).float().mean().item()

    eight = JITTER.index(8.0)
    change = {p: 100 * (a[:, eight] - a[:, 0]).mean() for p, a in accuracy.items()}
    title = f"Jitter of 8 steps: {change['black']:+.1f} points on black paper, "
    title += f"{change['grey']:+.1f} on grey"
    fig, ax = plots.figure(1, 1, (8, 4), title)
    plots.curves(ax, JITTER, {f"latency, {p} paper": 100 * a for p, a in accuracy.items()})
    for paper, dash in (("black", ":"), ("grey", "-.")):
        level = 100 * rate[paper].mean()
        ax.axhline(level, color="grey", linestyle=dash, label=f"rate, {paper}: no change")
    ax.legend(loc="lower left")
    plots.label(ax, "jitter σ (steps)", "test images read correctly (%)")
    run.figure(fig, "1_grey_paper", look="where the lower curve leaves the upper one")

    shared = {"n": len(data.y_test), "seeds": cfg.seeds, "real": True}
    run.claim("black_8", "black paper, σ = 8", change["black"], "points", ">= -2", **shared)
    run.claim("grey_8", "grey paper, σ = 8", change["grey"], "points", "<= -5", **shared)
    run.finding(
        f"A jitter of 8 steps changes the share of digits read by {change['black']:+.1f} points on black "
        f"paper and by {change['grey']:+.1f} on grey, where the times alone carry the digit."
    )


def entropy(p: np.ndarray) -> float:
    """H = −Σ p·log₂ p in bits."""
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def information(given: np.ndarray, levels: np.ndarray) -> float:
    """I(X; M) from P(M given x), ``(256, M)``, and the shares of the grey levels, ``(256,)``."""
    joint = levels[:, None] * given
    return entropy(levels) + entropy(joint.sum(0)) - entropy(joint)


@section
def section_gain(cfg: Config, run: Run) -> None:
    """2  How much can a spike of a rate code say?

    Information of a pixel's count by (2), exactly, for gains from 0.01 to 1, and of a latency code's
    one time. The grey levels are those of 1,000 digits on black paper.
    """
    run.predict(
        "best_rate",
        "Which is the most that a spike of a rate code carries, at any gain from 0.01 to 1?",
        unit="bits",
    )
    pixels = run.data(mnist).x_test[:1000].flatten().numpy()
    levels = np.bincount(pixels, minlength=256) / len(pixels)  # (256,)
    x = np.arange(256) / 255
    counts = np.arange(cfg.num_steps + 1)
    bits, per_spike = [], []
    for gain in GAINS:
        given = binom.pmf(counts, cfg.num_steps, gain * x[:, None])  # (256, T + 1)
        bits.append(information(given, levels))
        per_spike.append(bits[-1] / (gain * cfg.num_steps * (levels * x).sum()))
    when = np.round((cfg.num_steps - 1) * (1 - x)).astype(int)
    when[x < 0.01] = cfg.num_steps  # silent
    given = np.eye(cfg.num_steps + 1)[when]  # (256, T + 1): each level has one message
    bits_latency = information(given, levels)
    per_spike_latency = bits_latency / levels[x >= 0.01].sum()

    best = int(np.argmax(per_spike))
    title = f"A rate code's spike carries at most {per_spike[best]:.2f} bits, one of latency "
    title += f"{per_spike_latency:.2f}"
    fig, (ax, bx) = plots.figure(1, 2, (10, 3.8), title)
    plots.curves(ax, GAINS, {"rate": bits})
    plots.curves(bx, GAINS, {"rate": per_spike})
    ax.axhline(bits_latency, color=plots.GREEN, linestyle="-.", label="latency")
    bx.axhline(per_spike_latency, color=plots.GREEN, linestyle="-.", label="latency")
    for panel in (ax, bx):
        panel.set_xscale("log")
        panel.set_ylim(bottom=0)
    ax.legend(loc="center left")
    bx.legend(loc="center right")
    plots.label(ax, "gain g (spikes per step of white)", "bits for one pixel")
    plots.label(bx, "gain g (spikes per step of white)", "bits for one spike")
    run.figure(fig, "2_gain", look="the left end on the right: what few spikes are worth")

    run.claim("best_rate", "rate: most bits for a spike", per_spike[best], "bits", real=True)
    run.claim("latency_spike", "latency: bits for a spike", per_spike_latency, "bits", real=True)
    run.finding(
        f"A spike of a rate code carries most at g = {GAINS[best]:g}: {per_spike[best]:.2f} bits, "
        f"though all of a pixel's spikes together then carry {bits[best]:.2f}. A latency code's spike "
        f"carries {per_spike_latency:.2f} bits, {bits_latency:.2f} for a pixel."
    )


def main(cfg: Config, run: Run) -> None:
    section_grey_paper(cfg, run)
    section_gain(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
