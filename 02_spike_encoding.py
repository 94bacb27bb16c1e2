"""Lesson 02 — Spike encoding: how a number becomes a train of spikes

Question
    An image is made of numbers, and a neuron hears only spikes, all of which look alike. Which train
    of spikes should stand for a pixel, what does it cost, and what gets lost on the way?

Idea
    Since spikes look alike, a train of them can tell something in two ways: by *how many* spikes it
    has, or by *when* they come. For a pixel of intensity x, 0 for black and 1 for white, that is
    sent in T time steps:

        rate      fires at each step with probability g·x      x̂ = spikes/(g·T)              (1)
        latency   fires once, at step (T−1)·(1−x), rounded     x̂ = 1 − step/(T−1)            (2)
        delta     fires +1 where x has just risen by θ or more, −1 where it has fallen         (3)

    x̂, "x hat", is what a receiver can rebuild from the spikes. The *gain* g says how often a white
    pixel fires; spikegen, snnTorch's module for encoding, takes g = 1. A delta code says nothing as
    long as nothing changes, so it is made for pictures that move. Animals use all three: the
    rate of a motor neuron sets the force of its muscle, the times of the first spikes from a fingertip
    tell what it has touched (https://doi.org/10.1038/nn1177), many cells of the eye tell changes.

Read first
    Theory     Neuronal Dynamics, chapter 7, https://neuronaldynamics.epfl.ch/online/Ch7.html
               Eshraghian et al. 2023, section II-B, https://arxiv.org/abs/2109.12894
    Practice   snnTorch tutorial 1,
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_1.html

Run
    uv run 02_spike_encoding.py --predict    asks what you expect, then measures it: start here
    uv run 02_spike_encoding.py              without questions; about a minute on two CPU cores
    uv run 02_spike_encoding.py --gain 0.3   livelier neurons; also --num-steps 50, or --only 3
    uv run 02_spike_encoding.py --full       each reader of sections 4 and 5 learns from 16,000

Builds on / leads to
    01 is the neuron that will hear these spikes. 03 reads them as rasters, 04 builds the camera
    that delta imitates, and milestone A asks you to choose a code.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import plots
from common.data import ImageData, mnist
from common.io import write_atomic
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from snntorch import spikegen
from torch import Tensor

RATE, SPARSE, LATENCY, DELTA = "rate", "sparse rate", "latency", "delta"
CODES = (RATE, SPARSE, LATENCY, DELTA)
STILL = (RATE, SPARSE, LATENCY)  # the codes that can tell a picture that does not move
LOST = (0.0, 0.5, 0.75, 0.9)  # shares of the spikes that do not arrive
SIGNS = ListedColormap([plots.ORANGE, "white", plots.BLACK])  # of a spike: −1, 0, +1
JITTER = (0.0, 2.0, 4.0, 8.0)  # standard deviation of the shift of a spike, in steps


@dataclass
class Config(LessonConfig):
    """The window T, the settings of the three codes, and how much the readers learn from."""

    num_steps: int = bounded(25, 1, 250)
    """time steps T in which a code has to say everything; one step stands for 1 ms"""
    gain: float = bounded(0.1, 0.001, 1.0)
    """gain g of the sparse rate code: spikes per step of a white pixel"""
    pixel_threshold: float = bounded(0.01, 0.001, 0.5)
    """pixels below this intensity stay silent in the latency code"""
    delta_threshold: float = bounded(0.1, 0.01, 1.0)
    """change of intensity θ that makes a spike in the delta code"""
    n_train: int = bounded(5_000, 100, 20_000)
    """training images of each reader in sections 4 and 5; the test set is always whole"""
    seeds: int = bounded(3, 2, 10)
    """repetitions of sections 4 and 5, each with other training images and other spikes"""


SMOKE = {"n_train": 256, "seeds": 2}
FULL = {"n_train": 16_000}


def rate(x: Tensor, num_steps: int, gain: float = 1.0) -> Tensor:
    """Equation (1): intensities ``x (…)`` → spikes ``(T, …)``, a coin toss at every step."""
    return (torch.rand(num_steps, *x.shape, device=x.device) < gain * x).float()


def latency(x: Tensor, num_steps: int, threshold: float) -> Tensor:
    """Equation (2): ``x (…)`` → spikes ``(T, …)``, one for each pixel of at least ``threshold``."""
    when = torch.round((num_steps - 1) * (1 - x))
    spk_rec = []
    for step in range(num_steps):
        spk = (when == step) & (x >= threshold)
        spk_rec.append(spk.float())
    return torch.stack(spk_rec)


def delta(frames: Tensor, threshold: float) -> Tensor:
    """Equation (3): a film ``frames (T, …)`` → spikes ``(T, …)``, each +1 (ON), −1 (OFF) or 0."""
    before = frames[0]
    spk_rec = []
    for frame in frames:
        change = frame - before
        spk = (change >= threshold).float() - (change <= -threshold).float()
        spk_rec.append(spk)
        before = frame
    return torch.stack(spk_rec)


def film(images: Tensor, num_steps: int) -> Tensor:
    """Images ``(B, 28, 28)`` that move a pixel a step, three to the right and back: ``(T, B, 784)``."""
    frames = []
    for step in range(num_steps):
        place = 3 - abs(step % 6 - 3)  # 0, 1, 2, 3, 2, 1, 0, …
        frames.append(images.roll(place, dims=-1).flatten(1))
    return torch.stack(frames)


def encode(code: str, images: Tensor, cfg: Config) -> Tensor:
    """Images ``(B, 28, 28)``, intensities from 0 to 1 → spikes ``(T, B, 784)``."""
    x = images.flatten(1)  # (B, 784)
    if code == RATE:
        return rate(x, cfg.num_steps)
    if code == SPARSE:
        return rate(x, cfg.num_steps, cfg.gain)
    if code == LATENCY:
        return latency(x, cfg.num_steps, cfg.pixel_threshold)
    return delta(film(images, cfg.num_steps), cfg.delta_threshold)


def as_images(x: Tensor, run: Run) -> Tensor:
    """``uint8`` images ``(B, 1, 28, 28)`` of a data set → intensities ``(B, 28, 28)``."""
    return x[:, 0].to(run.device).float() / 255


def chunks(
    images: Tensor, labels: Tensor, cfg: Config, run: Run
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images ``(B, 28, 28)`` with their labels, as many at a time as make 40 MB of spikes."""
    size = max(1, 12_500 // cfg.num_steps)
    for x_b, y_b in zip(images.split(size), labels.split(size), strict=True):
        yield as_images(x_b, run), y_b.to(run.device)


def look(code: str) -> dict[str, Any]:
    """Colour, marker, dash and name of a code: the same in every figure."""
    i = CODES.index(code)
    shown = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i], "label": code}
    return shown | {"marker": plots.MARKERS[i], "markersize": 4.5}


def with_range(ax: Axes, x: Sequence[float], ys: np.ndarray, code: str) -> None:
    """The mean of ``ys (seeds, len(x))`` as a line, and the range of the seeds as a band."""
    ax.plot(x, ys.mean(0), **look(code))
    ax.fill_between(x, ys.min(0), ys.max(0), color=look(code)["color"], alpha=0.15, linewidth=0)


def pictures(rows: int, cols: int, size: tuple[float, float], title: str) -> tuple[Figure, Any]:
    """``plots.figure`` for pictures: panels with a thin frame and no axes."""
    fig, axes = plots.figure(rows, cols, size, title)
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(False)
        ax.spines[:].set(visible=True, color="0.8")
    return fig, axes


def save_film(path: Path, spikes: dict[str, Tensor], scale: int = 7) -> None:
    """A GIF of the spikes ``(T, 784)`` of each code, side by side: black is +1, orange is −1."""
    colours = np.array([[230, 159, 0], [255, 255, 255], [0, 0, 0]], dtype=np.uint8)  # −1, 0, 1
    pages = []
    for step in range(len(next(iter(spikes.values())))):
        page = Image.new("RGB", (len(spikes) * 31 * scale, 32 * scale), "grey")
        for i, (code, spk_rec) in enumerate(spikes.items()):
            signs = spk_rec[step].view(28, 28).int().numpy()
            picture = Image.fromarray(colours[signs + 1])
            picture = picture.resize((28 * scale, 28 * scale), Image.Resampling.NEAREST)
            page.paste(picture, (i * 31 * scale + scale, 3 * scale))
            ImageDraw.Draw(page).text((i * 31 * scale + scale, 4), f"{code}, step {step}")
        pages.append(page)
    content = io.BytesIO()
    pages[0].save(content, "GIF", save_all=True, append_images=pages[1:], duration=250, loop=0)
    write_atomic(path, content.getvalue())


@section
def section_digit(cfg: Config, run: Run) -> None:
    """1  How does a digit become spikes?

    The three functions `rate`, `latency` and `delta` above are equations (1) to (3), line by line.
    snnTorch has them ready:

        spikegen.rate(x, num_steps=T)                                  the same coin tosses
        spikegen.latency(x, num_steps=T, threshold=0.01,
                         normalize=True, linear=True, clip=True)       the same spikes
        spikegen.delta(frames, threshold=0.1, padding=True,
                       off_spike=True)                                 the same spikes

    Mind the options of the second. With `linear` and `normalize` the time is that of equation (2).
    Without them it is the logarithm that a charging capacitor gives (exercise 02b), with a time
    constant of one step: nearly all ink fires in the first two steps. And without `clip` a black pixel
    is not silent: it fires late. Since every pixel then fires once, the share of spikes that come from
    black pixels is the share of black pixels.

    Below, one digit of the test set is sent in T steps. For rate and latency it stands still. For
    delta it moves, one pixel a step, three to the right and back. An ON spike (+1) marks a pixel
    that has become brighter, an OFF spike (−1) one that has become darker. (A neuron has no
    negative spikes: an eye has ON cells and OFF cells.)

    A chip whose pixels send such spikes, each on its own, is a *silicon retina*; it became the event
    camera of lesson 04. Its pixel compares x with its *level*, the sum of what its spikes have told;
    each spike moves the level by θ. So slow changes add up until they are told, while by equation (3)
    they go unnoticed (exercise 02c).

    To see a digit that you have drawn in each of the three codes: `uv run course.py pages` writes
    site/playground.html, part (b).
    """
    data = run.data(mnist)
    images = as_images(data.x_test[:1000], run)
    digit = images[:1]  # (1, 28, 28)
    ink = int((digit >= cfg.pixel_threshold).sum())
    run.predict(
        "digit_rate",
        f"{ink} pixels of the digit are not black; all intensities add up to {digit.sum():.0f}. "
        f"How many spikes does the rate code send in {cfg.num_steps} steps?",
        unit="spikes",
    )
    spikes = {}
    for code in (RATE, LATENCY, DELTA):
        spikes[code] = encode(code, digit, cfg)[:, 0].cpu()  # (T, 784)
    counts = {code: int(spk_rec.abs().sum()) for code, spk_rec in spikes.items()}

    # spikegen.latency by default (bypass only allows for times after T), and with those options.
    x = images.flatten(1)  # (1000, 784)
    threshold = cfg.pixel_threshold
    carelessly = spikegen.latency(x, num_steps=cfg.num_steps, threshold=threshold, bypass=True)
    carefully = encode(LATENCY, images, cfg)
    black = x < threshold
    from_black = (carelessly * black).sum().item() / max(carelessly.sum().item(), 1)
    ink_spikes = (carelessly * ~black).sum((1, 2))  # (T,)
    ink_early = (ink_spikes[:2].sum() / ink_spikes.sum().clamp(min=1)).item()
    ink_early_carefully = (carefully[:2].sum() / carefully.sum().clamp(min=1)).item()

    title = f"One {int(data.y_test[0])} in three codes: "
    title += ", ".join(f"{count:,} spikes by {code}" for code, count in counts.items())
    steps = np.linspace(0, cfg.num_steps - 1, 6).round().astype(int)
    fig, axes = pictures(3, 8, (12.5, 5.4), title)
    for row, (code, spk_rec) in enumerate(spikes.items()):
        axes[row, 0].imshow(digit[0].cpu(), cmap="gray")
        axes[row, 0].set_title("x" if code != DELTA else "x, and it moves")
        for column, step in enumerate(steps, 1):
            spk = spk_rec[step].view(28, 28)
            axes[row, column].imshow(spk, cmap=SIGNS, vmin=-1, vmax=1)
            axes[row, column].set_title(f"step {step}: {int(spk.abs().sum())}")
        axes[row, 7].imshow(spk_rec.abs().sum(0).view(28, 28), cmap="gray_r", vmin=0)
        axes[row, 7].set_title(f"all: up to {int(spk_rec.abs().sum(0).max())}")
        axes[row, 0].set_ylabel(code)
    caption = "black: a spike (delta: brighter, ON); orange: darker, OFF. The number: how many. "
    caption += "On the right: how often each pixel fires in all"
    fig.supxlabel(caption, fontsize=10)
    run.figure(fig, "1_digit", look="which pixels fire at which step, and how many of them")

    # The same codes for single pixels: seven intensities, and one pixel of the moving digit.
    levels = torch.linspace(1, 0, 7, device=run.device)
    moving = film(digit, cfg.num_steps)[:, 0].cpu()  # (T, 784)
    pixel = int(spikes[DELTA].abs().sum(0).argmax())
    fig, (ax, bx, cx) = plots.figure(
        1, 3, (12.5, 3.4), "Single pixels: how many, when, and what changes"
    )
    plots.raster(ax, rate(levels, cfg.num_steps).cpu())
    plots.raster(bx, latency(levels, cfg.num_steps, threshold).cpu())
    for panel, name in ((ax, "rate: brighter is more often"), (bx, "latency: brighter is sooner")):
        panel.set_yticks(range(7), [f"{level:.2f}" for level in levels])
        panel.invert_yaxis()
        plots.label(panel, "step (counted from 0)", "intensity x of the pixel", name)
    cx.plot(moving[:, pixel], color="0.5", drawstyle="steps-post", label="x[t]")
    for sign, marker, name in ((1, "^", "ON"), (-1, "v", "OFF")):
        when = torch.nonzero(spikes[DELTA][:, pixel] == sign)[:, 0]
        colour = plots.BLUE if sign > 0 else plots.RED
        cx.plot(
            when, torch.full_like(when, 1.12, dtype=torch.float), marker, color=colour, label=name
        )
    cx.set_ylim(-0.05, 1.45)
    cx.legend(loc="upper center", ncols=3)
    plots.label(
        cx, "step (counted from 0)", "intensity x[t]", "delta: a pixel that the digit passes"
    )
    run.figure(fig, "1_pixels", look="the number of ticks on the left, their place in the middle")
    save_film(run.dir / "1_digit.gif", spikes)
    run.print(f"   film    {run.dir / '1_digit.gif'}")

    run.claim("digit_rate", "this digit, rate", counts[RATE], unit="spikes")
    run.claim("digit_latency", "this digit, latency", counts[LATENCY], unit="spikes")
    run.claim("digit_delta", "this digit, delta, moving", counts[DELTA], unit="spikes")
    run.claim(
        "from_black",
        "spikegen default: spikes from black",
        from_black,
        target=">= 0.7",
        n=1000,
        real=True,
    )
    run.claim(
        "ink_early",
        "of its other spikes, in steps 0, 1",
        ink_early,
        target=">= 0.9",
        n=1000,
        real=True,
    )
    run.finding(
        f"The same digit is {counts[RATE]:,} spikes by rate, {counts[LATENCY]:,} by latency and, "
        f"while it moves, {counts[DELTA]:,} by delta. Of the spikes that spikegen.latency makes with "
        f"its default options, {100 * from_black:.0f} % come from black pixels; of the others "
        f"{100 * ink_early:.1f} % come in the first two steps (with the options above, "
        f"{100 * ink_early_carefully:.0f} %)."
    )


def message(code: str, spk: Tensor) -> Tensor:
    """What the receiver of a train notes down: ``spk (T, …)`` → whole numbers from 0 to T ``(…)``.

    For latency the step of the spike, or T if there was none; for rate the number of spikes.
    """
    if code == LATENCY:
        silent = spk.sum(0) == 0
        return torch.where(silent, len(spk), spk.argmax(0))
    return spk.sum(0).long()


def entropy(table: np.ndarray) -> float:
    """H = −Σ p·log₂ p in bits; p is the share of each entry of a table of counts."""
    p = table[table > 0] / table.sum()
    return float(-(p * np.log2(p)).sum())


def bits_told(levels: Tensor, messages: Tensor, num_steps: int) -> float:
    """Equation (4): what the messages, from 0 to ``num_steps``, tell about the 256 grey levels."""
    table, _, _ = np.histogram2d(
        levels.flatten().cpu().numpy(),
        messages.flatten().cpu().numpy(),
        bins=(256, num_steps + 1),
        range=((0, 256), (0, num_steps + 1)),
    )  # (256, T + 1): how often each level was sent as each message
    return entropy(table.sum(1)) + entropy(table.sum(0)) - entropy(table)


@section
def section_cost(cfg: Config, run: Run) -> None:
    """2  What does a code cost, and how much does a spike say?

    Every spike costs energy, in a brain as on a chip. So a code should be *sparse*: few spikes, and
    most pixels silent. Besides the rate code with g = 1, where a white pixel fires at every step, we
    now look at a *sparse rate* code, with g = 0.1. With steps of 1 ms this is 100 spikes a second
    for a white pixel, which is already much for a cell of the cortex.

    But a code that never fires is sparser still. How much does a train tell? Let X be the grey level
    of a pixel that is picked at random, and M the message that its train brings: the number of its
    spikes, or the time of its one spike ("none" being a message as well). The entropy H(X), in bits,
    is the number of yes-no questions that it takes on average to find out X, asked as cleverly as
    possible. Once M is known, H(X given M) are left to ask, which is H(X, M) − H(M). The rest is the
    *information* that M carries about X:

        I = H(X) + H(M) − H(X, M)          H = −Σ p·log₂ p                                   (4)

    All it takes is to count, over many pixels, how often each level was sent as each message. Four
    fifths of the pixels are black. A latency code spends nothing on them, and yet the receiver learns
    from their silence that they are black. We divide by the spikes alone, so what silence tells is
    added to the account of the few pixels that fire, and the information per spike may exceed log₂ T,
    here 4.6 bits, which is the most that the time of a single spike can tell. Delta is left out of
    the bits: it speaks of changes, and it was shown another picture.
    """
    run.predict(
        "bits_ratio",
        "Information about a pixel, divided by its spikes: how many times as many bits does a spike "
        "of the latency code carry as a spike of the rate code?",
        unit="times",
    )
    images = run.data(mnist).x_test[:1000]
    levels = images.flatten(1).long()  # (B, 784), 0 to 255
    spikes = dict.fromkeys(CODES, 0.0)  # for one image
    silent = dict.fromkeys(CODES, 0.0)  # share of its pixels
    bits = {}  # for one pixel
    for code in CODES:
        messages = []
        for x_b, _ in chunks(images, levels, cfg, run):
            spk = encode(code, x_b, cfg)  # (T, B, 784)
            spikes[code] += spk.abs().sum().item() / len(images)
            quiet = spk.abs().sum(0) == 0
            silent[code] += quiet.sum().item() / levels.numel()
            if code != DELTA:
                messages.append(message(code, spk))
        if code != DELTA:
            bits[code] = bits_told(levels, torch.cat(messages), cfg.num_steps)
    grey = entropy(np.bincount(levels.flatten().numpy()))
    per_spike = {}
    for code in STILL:
        per_pixel = spikes[code] / levels.shape[1]
        per_spike[code] = bits[code] / max(per_pixel, 1e-9)

    ratio = per_spike[LATENCY] / max(per_spike[RATE], 1e-9)
    ratio_sparse = per_spike[LATENCY] / max(per_spike[SPARSE], 1e-9)
    title = (
        f"Bits for a spike: {per_spike[LATENCY]:.2f} by latency, {per_spike[SPARSE]:.2f} by sparse "
    )
    title += f"rate, {per_spike[RATE]:.2f} by rate"
    fig, (ax, bx, cx, dx) = plots.figure(1, 4, (14.5, 3), title)
    plots.bars(ax, spikes, fmt="{:,.0f}")
    plots.bars(bx, {code: 100 * share for code, share in silent.items()}, fmt="{:.0f}")
    plots.bars(cx, bits, fmt="{:.2f}")
    cx.axvline(grey, color="grey", linestyle=":")
    plots.bars(dx, per_spike, fmt="{:.2f}")
    plots.label(ax, "spikes for one image", "")
    plots.label(bx, "silent pixels (%)", "")
    plots.label(cx, f"bits for one pixel\n(dotted: all of them, H(X) = {grey:.2f})", "")
    plots.label(dx, "bits for one spike", "")
    for panel in (ax, bx, dx):
        panel.margins(x=0.3)
    run.figure(fig, "2_cost", look="which code is last on the left, and first on the right")

    n = len(images)
    run.claim("spikes_rate", "rate: spikes for one image", spikes[RATE], "", n=n, real=True)
    run.claim(
        "spikes_latency", "latency: spikes for one image", spikes[LATENCY], "", n=n, real=True
    )
    run.claim("bits_rate", "rate: bits told about a pixel", bits[RATE], "bits", n=n, real=True)
    run.claim(
        "bits_latency", "latency: bits told about a pixel", bits[LATENCY], "bits", n=n, real=True
    )
    run.claim(
        "bits_ratio", "bits for a spike, latency / rate", ratio, "times", ">= 5", n=n, real=True
    )
    run.claim(
        "ratio_sparse", "the same, latency / sparse rate", ratio_sparse, "times", n=n, real=True
    )
    run.finding(
        f"For one image the rate code needs {spikes[RATE]:,.0f} spikes, the latency code "
        f"{spikes[LATENCY]:,.0f}. Their trains tell {bits[RATE]:.2f} and {bits[LATENCY]:.2f} of the "
        f"{grey:.2f} bits that there are to know about a pixel, so a spike of the latency code "
        f"carries {ratio:.1f} times the information of one of the rate code, and "
        f"{ratio_sparse:.1f} times that of one of the sparse rate code."
    )


def rebuild(code: str, spk: Tensor, num_steps: int, gain: float = 1.0) -> Tensor:
    """x̂ by (1) or (2) from the spikes that have come so far, ``spk (t, …)``: ``(…)``.

    Args:
        num_steps: the whole window T of the sender, t ≤ T. A pixel that has not fired yet is black.
        gain: g of the rate code.
    """
    if code == LATENCY:
        value = 1 - torch.arange(len(spk), device=spk.device) / max(num_steps - 1, 1)  # (t,)
        return torch.tensordot(value, spk, dims=1)  # Σ value[s]·S[s]
    return spk.sum(0) / (gain * len(spk))


WINDOWS = (1, 2, 4, 8, 16, 32, 64)


@section
def section_time(cfg: Config, run: Run) -> None:
    """3  What does more time buy?

    With T steps a pixel can send T + 1 different messages, by its count (0 to T) as well as by its
    time (T steps, or no spike). That is log₂(T + 1) bits at most, so four times the time adds only
    two bits. And a code need not make good use of its messages.

    Rate. The count is a sum of T tosses, each 1 with probability x. A toss has the variance
    x·(1 − x), the mean of T independent ones a T-th of it:

        E (x̂ − x)² = x·(1 − x)/T              four times the steps: a quarter of it           (5)

    With a gain g it is x·(1 − g·x)/(g·T). For dark pixels only the product g·T counts. A white pixel is
    exact with g = 1, where it fires at every step, and tossed with g = 0.1.

    Latency. The steps are a ruler with marks 1/(T − 1) apart, and x is rounded to the nearest mark.
    An error spread evenly over ±d/2 has the mean square d²/12, with d = 1/(T − 1):

        E (x̂ − x)² ≈ 1/(12·(T − 1)²)          four times the steps: about a sixteenth         (6)

    (With T = 1 there is no ruler: a spike means white.) The error itself is the root: half of it, and a
    quarter. Both equations are measured on 10,000
    pixels with intensities spread evenly from 0 to 1. Note what makes counting slow: the dice.
    Exercise 02a counts without them, and its error falls as fast as (6).

    The last panel counts what the trains of MNIST's pixels tell, by (4). The gap between a curve and
    H(X) is what the receiver still does not know.
    """
    run.predict(
        "told",
        "16 steps. Of all that there is to know about a pixel of MNIST, H(X), which share does the count of "
        "a rate code tell?",
        unit="%",
    )
    images = run.data(mnist).x_test[:1000]
    levels = images.flatten(1).long()
    even = torch.rand(10_000, generator=run.generator()).to(run.device)  # greys, spread evenly
    error = {RATE: [], LATENCY: []}
    bits = {RATE: [], LATENCY: []}
    rebuilt = {RATE: [], LATENCY: []}
    for num_steps in WINDOWS:
        for code in (RATE, LATENCY):
            messages = []
            for part in images.split(250):
                x = as_images(part, run).flatten(1)  # (B, 784)
                spk = rate(x, num_steps)  # (T, B, 784)
                if code == LATENCY:
                    spk = latency(x, num_steps, cfg.pixel_threshold)
                messages.append(message(code, spk))
                if len(messages) == 1:
                    rebuilt[code].append(rebuild(code, spk, num_steps)[0].view(28, 28).cpu())
            spk = rate(even, num_steps)  # (T, 10,000)
            if code == LATENCY:
                spk = latency(even, num_steps, cfg.pixel_threshold)
            x_hat = rebuild(code, spk, num_steps)
            error[code].append((x_hat - even).square().mean().item())
            bits[code].append(bits_told(levels, torch.cat(messages), num_steps))
    digit = images[0, 0].float() / 255
    by_5 = [(even * (1 - even)).mean().item() / num_steps for num_steps in WINDOWS]
    by_6 = [1 / 12 / (num_steps - 1) ** 2 for num_steps in WINDOWS[1:]]
    all_bits = entropy(np.bincount(levels.flatten().numpy()))

    shown = [WINDOWS.index(num_steps) for num_steps in (1, 4, 16, 64)]
    title = "The digit as it is rebuilt from its spikes, with the root of its mean squared error"
    fig, axes = pictures(2, 5, (10, 4.4), title)
    for row, code in enumerate((RATE, LATENCY)):
        axes[row, 0].imshow(images[0, 0], cmap="gray")
        axes[row, 0].set_title("x, as sent")
        axes[row, 0].set_ylabel(code)
        for column, i in enumerate(shown, 1):
            picture = rebuilt[code][i]
            rms = (picture - digit).square().mean().sqrt().item()
            axes[row, column].imshow(picture, cmap="gray", vmin=0, vmax=1)
            axes[row, column].set_title(f"T = {WINDOWS[i]}: {rms:.3f}")
    run.figure(fig, "3_rebuilt", look="the edges of the strokes, where the pixels are grey")

    steps = np.array(WINDOWS[1:])  # a single step is no ruler
    slope_rate = np.polyfit(np.log(steps), np.log(error[RATE][1:]), 1)[0]
    slope_latency = np.polyfit(np.log(steps - 1), np.log(error[LATENCY][1:]), 1)[0]
    sixteen = WINDOWS.index(16)
    gains = {code: errors[sixteen] / errors[-1] for code, errors in error.items()}
    title = f"16 to 64 steps: the squared error is divided by {gains[RATE]:.1f} (rate) and by "
    title += f"{gains[LATENCY]:.1f} (latency)"
    fig, (ax, bx) = plots.figure(1, 2, (10.5, 4), title)
    ax.plot(WINDOWS, by_5, color="0.8", linewidth=5, label="rate, by (5)")
    ax.plot(WINDOWS[1:], by_6, color="0.6", linewidth=5, label="latency, by (6)")
    ax.set_yscale("log")
    for code in (RATE, LATENCY):
        ax.plot(WINDOWS, error[code], **look(code))
        bx.plot(WINDOWS, bits[code], **look(code))
    bx.plot(
        WINDOWS, np.log2(np.array(WINDOWS) + 1), color="0.6", linestyle=":", label="log₂(T + 1)"
    )
    bx.axhline(all_bits, color=plots.BLACK, linewidth=1, label="H(X)")
    bx.set_ylim(0, 1.25 * all_bits)
    for panel in (ax, bx):
        panel.set_xscale("log", base=2)
        panel.set_xticks(WINDOWS, WINDOWS)
        panel.legend()
    plots.label(ax, "window T (steps)", "mean squared error of x̂", "precision, evenly spread greys")
    plots.label(bx, "window T (steps)", "bits for one pixel", "information, pixels of MNIST")
    run.figure(fig, "3_precision", look="the two slopes on the left, and the gap on the right")

    run.claim("slope_rate", "rate: squared error, exponent of T", slope_rate, "", "-1.1..-0.9")
    run.claim("slope_latency", "latency: exponent of T − 1", slope_latency, "", "-2.1..-1.9")
    run.claim("gain_rate", "rate: error at T = 16 / at T = 64", gains[RATE], "times")
    run.claim("gain_latency", "latency: the same", gains[LATENCY], "times")
    share = {code: told[sixteen] / all_bits for code, told in bits.items()}
    run.outcome("told", f"{100 * share[RATE]:.0f} %")
    run.finding(
        f"Four times the steps divide the mean squared error by {gains[RATE]:.1f} with the rate code "
        f"and by {gains[LATENCY]:.1f} with latency. With 16 steps the counts tell "
        f"{100 * share[RATE]:.0f} % of what there is to know "
        f"about a pixel, the times {100 * share[LATENCY]:.0f} %."
    )


def best_linear_reader(pictures: Tensor, labels: Tensor) -> Tensor:
    """The weights ``(784, 10)`` whose answers are nearest to 1 for the right digit and 0 for others.

    Least squares, in closed form: the smallest Σ|xᵀW − target|² + strength·|W|². There are no
    epochs and there is no learning rate that could suit one code better than another.
    """
    target = F.one_hot(labels, 10).float()  # (B, 10)
    gram = pictures.T @ pictures  # (784, 784)
    strength = gram.diagonal().mean() + 1e-6  # keeps weights of rare pixels small
    gram.diagonal().add_(strength)
    return torch.linalg.solve(gram, pictures.T @ target)


def share_right(pictures: Tensor, labels: Tensor, weights: Tensor) -> float:
    """Share of pictures ``(B, 784)`` for which the right digit gets the highest answer."""
    answers = (pictures @ weights).argmax(1)
    return (answers == labels).float().mean().item()


def as_seen(
    code: str, x: Tensor, y: Tensor, deadlines: list[int], cfg: Config, run: Run
) -> tuple[list[Tensor], list[float]]:
    """Pictures rebuilt from the first t steps of every train, for each deadline t.

    Returns ``(B, 784)`` for each deadline, and how many spikes an image had sent by then.
    """
    parts: list[list[Tensor]] = [[] for _ in deadlines]
    spikes = [0.0 for _ in deadlines]
    gain = cfg.gain if code == SPARSE else 1.0
    for x_b, _ in chunks(x, y, cfg, run):
        spk = encode(code, x_b, cfg)  # (T, B, 784)
        for k, t in enumerate(deadlines):
            parts[k].append(rebuild(code, spk[:t], cfg.num_steps, gain))
            spikes[k] += spk[:t].sum().item() / len(x)
    return [torch.cat(part) for part in parts], spikes


def training_part(data: ImageData, seed: int, cfg: Config) -> slice:
    """Which training images belong to a repetition: no image to two of them."""
    size = min(cfg.n_train, len(data.x_train) // cfg.seeds)
    return slice(seed * size, (seed + 1) * size)


@dataclass
class Readers:
    """What section 4 leaves for section 5: a reader for the whole window, by code and repetition."""

    data: ImageData
    weights: dict[str, list[Tensor]]
    spikes: dict[str, float]  # for one image, in the whole window


@section
def section_speed(cfg: Config, run: Run) -> Readers:
    """4  Which code lets you answer early?

    150 ms after a picture has appeared, the brain's waves tell whether there is an animal in it (Thorpe,
    Fize and Marlot 1996, https://doi.org/10.1038/381520a0). Some ten stages of neurons lie between the
    eye and there, so each has 10 to 15 ms. At 100 spikes a second that is time for one spike or none,
    which as a count is a single bit. So, it is said, rate is slow and latency is fast. (g = 1, a spike
    at every step of 1 ms, is possible on a chip and in no brain.)

    We ask for the digit after t of the T steps. The receiver rebuilds the picture from the spikes
    that have come by then, by (1) or (2); with latency, pixels that have not fired yet are black.
    A linear reader, one weight for each pixel and digit, then says which digit it is:

        answer = the digit k with the highest Σ w_k·x̂

    Each code gets a reader of its own for each deadline t, the best linear one for its training
    pictures, found in closed form (`best_linear_reader`). All is repeated with other training images
    and other random spikes, and each time scored on the whole test set. A linear reader found by
    least squares knows little of digits: on the original pictures it reads about 84 % correctly. What
    counts is the difference between codes.

    Mind that latency is only as early as the picture is bright. The white ink of MNIST fires at step 0.
    A picture whose brightest pixel is 0.8 would be silent for the first five of 25 steps.
    """
    fastest = (RATE, SPARSE, LATENCY)
    run.predict(
        "first",
        "You have to answer after the very first step. Which code lets the reader name most digits?",
        fastest,
    )
    data = run.data(mnist)
    deadlines = sorted({int(t) for t in np.geomspace(1, cfg.num_steps, 7).round()})
    accuracy = {code: np.zeros((cfg.seeds, len(deadlines))) for code in STILL}
    spikes = {code: np.zeros((cfg.seeds, len(deadlines))) for code in STILL}
    weights: dict[str, list[Tensor]] = {code: [] for code in STILL}
    y_test = data.y_test.to(run.device)
    for seed in range(cfg.seeds):
        torch.manual_seed(cfg.seed + seed)  # of the random spikes
        mine = training_part(data, seed, cfg)
        x_train, y_train = data.x_train[mine], data.y_train[mine]
        for code in STILL:
            learnt, _ = as_seen(code, x_train, y_train, deadlines, cfg, run)
            tested, sent = as_seen(code, data.x_test, data.y_test, deadlines, cfg, run)
            spikes[code][seed] = sent
            for k in range(len(deadlines)):
                reader = best_linear_reader(learnt[k], y_train.to(run.device))
                accuracy[code][seed, k] = share_right(tested[k], y_test, reader)
            weights[code].append(reader)  # the one of the last deadline, T

    first = {code: accuracy[code][:, 0].mean() for code in STILL}
    last = {code: accuracy[code][:, -1].mean() for code in STILL}
    sent = {code: spikes[code][:, 0].mean() for code in STILL}
    title = f"After the first step: rate {100 * first[RATE]:.0f} %, latency "
    title += f"{100 * first[LATENCY]:.0f} %, sparse rate {100 * first[SPARSE]:.0f} % read correctly"
    fig, (ax, bx) = plots.figure(1, 2, (11, 4), title, sharey=True)
    percent = {code: 100 * shares for code, shares in accuracy.items()}
    for code in STILL:
        with_range(ax, deadlines, percent[code], code)
        received = np.maximum(spikes[code].mean(0), 1e-3)  # an axis of logarithms has no 0
        bx.plot(received, percent[code].mean(0), **look(code))
    ax.set_xscale("log")
    ax.set_xticks(deadlines, deadlines)
    ax.minorticks_off()
    bx.set_xscale("log")
    ax.legend(loc="lower right")
    plots.label(ax, "deadline t (steps)", "test images read correctly (%)", "against time")
    plots.label(bx, "spikes of an image that have come by then", "", "against spikes")
    run.figure(
        fig, "4_speed", look="the left end of each curve; on the right, what 100 spikes are worth"
    )

    n = len(data.y_test)
    for code, id in ((RATE, "first_rate"), (SPARSE, "first_sparse"), (LATENCY, "first_latency")):
        text = f"{code}: read after one step"
        run.claim(id, text, first[code], n=n, seeds=cfg.seeds, real=True)
    lead = 100 * (accuracy[LATENCY] - accuracy[SPARSE])  # (seeds, K), points
    run.claim(
        "lead_first",
        "latency − sparse rate, one step",
        lead[:, 0].mean(),
        "points",
        ">= 10",
        n=n,
        seeds=cfg.seeds,
        real=True,
    )
    run.claim(
        "lead_last",
        "latency − sparse rate, all steps",
        lead[:, -1].mean(),
        "points",
        n=n,
        seeds=cfg.seeds,
        real=True,
    )
    like = int(
        np.abs(spikes[SPARSE].mean(0) - sent[RATE]).argmin()
    )  # about as many as rate's first
    run.outcome("first", max(STILL, key=first.get))
    run.finding(
        f"After one step latency has sent {sent[LATENCY]:.0f} of its "
        f"{spikes[LATENCY][:, -1].mean():.0f} spikes an image, those of white ink, and "
        f"{100 * first[LATENCY]:.0f} % of the digits are read; the sparse rate code has sent "
        f"{sent[SPARSE]:.0f}, for {100 * first[SPARSE]:.0f} %. After all {cfg.num_steps} steps it is "
        f"{100 * last[LATENCY]:.1f} % and {100 * last[SPARSE]:.1f} %. With g = 1, at 1,000 spikes a "
        f"second for white, one step has {sent[RATE]:.0f} spikes and reads {100 * first[RATE]:.0f} %; "
        f"sparse rate needs {deadlines[like]} steps for {spikes[SPARSE][:, like].mean():.0f} spikes and "
        f"reads {100 * accuracy[SPARSE][:, like].mean():.0f} %. A rate code waits for spikes; how long that "
        "is depends on how often a neuron may fire.",
    )
    return Readers(data, weights, {code: sent[:, -1].mean() for code, sent in spikes.items()})


def jittered(spk: Tensor, sigma: float) -> Tensor:
    """Every spike of ``spk (T, B, N)`` shifted by a random time; what would leave the window stays
    at its edge. ``sigma`` is the standard deviation of the shift, in steps."""
    step, image, pixel = torch.nonzero(spk, as_tuple=True)  # one entry a spike
    shift = (sigma * torch.randn(len(step), device=spk.device)).round().long()
    later = (step + shift).clamp(0, len(spk) - 1)
    moved = torch.zeros_like(spk)
    ones = torch.ones(len(step), device=spk.device)
    return moved.index_put_((later, image, pixel), ones, accumulate=True)


@section
def section_damage(cfg: Config, run: Run) -> None:
    """5  What if spikes are lost, or come at the wrong time?

    Synapses fail, cells die, and no clock is perfect. Two kinds of damage are done to the spikes of
    the test images; the readers of section 4 have learnt from intact ones.

    *Lost spikes*. Each spike is dropped with probability p. A count shrinks to about the share 1 − p
    of itself, in all pixels alike, and gets noisier: the picture becomes darker and grainier, but no
    pixel that fired often is gone. A pixel of the latency code has one spike. If it is lost, so is the
    pixel.

    *Jitter*. Each spike is shifted by a random time, with a standard deviation of σ steps; what would
    leave the window stays at its edge. The number of spikes is what it was, so a count does not
    notice. By (2), a spike that comes σ steps late is an intensity that is wrong by σ/(T − 1). Here it is
    less: white pixels fire at step 0 and cannot come sooner, so half of their shifts are undone.

    So it is said that rate is *robust* and latency *fragile*: a rate code says the same thing many
    times, and it pays for that with spikes and with time (sections 2 and 4); in a latency code each
    spike counts. Mind that fragile is about how steeply a curve falls. Where it stands, and where curves
    cross, depends on how many spikes each code was given, and here they differ.

    And is a wrong intensity a wrong digit? On black paper one need not know the intensities: which
    pixels fire at all is nearly the digit. On grey paper, where every pixel fires, only the times are
    left to tell ink from paper, and jitter costs many digits: see studies/02_grey_paper.py.
    """
    run.predict(
        "lost_latency",
        "Half of all spikes are lost, at random. By how many points does the share of digits that are "
        "read correctly change with the latency code? (A loss is negative.)",
        unit="points",
    )
    readers = run.result_of(section_speed)
    data = readers.data
    n = len(data.y_test)
    lost = {code: np.zeros((cfg.seeds, len(LOST))) for code in STILL}
    late = np.zeros((cfg.seeds, len(JITTER)))  # of the latency code
    squared = [0.0 for _ in JITTER]  # errors of x̂ by latency, over all pixels of ink
    ink_pixels = 0
    for seed in range(cfg.seeds):
        torch.manual_seed(cfg.seed + 100 + seed)
        for code in STILL:
            reader = readers.weights[code][seed]
            gain = cfg.gain if code == SPARSE else 1.0
            for x_b, y_b in chunks(data.x_test, data.y_test, cfg, run):
                spk = encode(code, x_b, cfg)  # (T, B, 784)
                share = len(y_b) / n
                luck = torch.rand_like(spk)
                for k, p in enumerate(LOST):
                    left = spk * (luck >= p)
                    picture = rebuild(code, left, cfg.num_steps, gain)
                    lost[code][seed, k] += share * share_right(picture, y_b, reader)
                if code != LATENCY:
                    continue  # a shift inside the window changes no count: nothing to measure
                x = x_b.flatten(1)
                ink = x >= cfg.pixel_threshold
                ink_pixels += int(ink.sum())
                for k, sigma in enumerate(JITTER):
                    picture = rebuild(code, jittered(spk, sigma), cfg.num_steps)
                    late[seed, k] += share * share_right(picture, y_b, reader)
                    squared[k] += (picture - x)[ink].square().sum().item()
    error = np.sqrt(np.array(squared) / max(ink_pixels, 1))  # root mean square

    x = as_images(data.x_test[:1], run)
    title = "A digit rebuilt from damaged spikes (black is x̂ = 0, white x̂ = 1 or more)"
    fig, axes = pictures(3, 5, (10, 6.3), title)
    damages = ("intact", "half lost", "90 % lost", "jitter σ = 2", "jitter σ = 8")
    for row, code in enumerate(STILL):
        spk = encode(code, x, cfg)
        luck = torch.rand_like(spk)
        trains = (spk, spk * (luck >= 0.5), spk * (luck >= 0.9), jittered(spk, 2), jittered(spk, 8))
        axes[row, 0].set_ylabel(code)
        gain = cfg.gain if code == SPARSE else 1.0
        for ax, train, damage in zip(axes[row], trains, damages, strict=True):
            picture = rebuild(code, train, cfg.num_steps, gain)[0].view(28, 28).cpu()
            ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
            ax.set_title(f"{damage}: {int(train.sum())} spikes", fontsize=9)
    run.figure(
        fig, "5_rebuilt", look="holes, where a pixel's only spike is lost; grain, from jitter"
    )

    drop = {code: 100 * (shares - shares[:, :1]).mean(0) for code, shares in lost.items()}
    late_drop = 100 * (late - late[:, :1]).mean(0)
    half = LOST.index(0.5)
    level = {code: 100 * shares[:, half].mean() for code, shares in lost.items()}
    title = f"Half of the spikes lost: {drop[RATE][half]:+.1f} points (rate), "
    title += f"{drop[SPARSE][half]:+.1f} (sparse rate), {drop[LATENCY][half]:+.1f} (latency)"
    title = title.replace("-", "−")
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 3.9), title)
    percent = [100 * p for p in LOST]
    for code in STILL:
        with_range(ax, percent, 100 * lost[code], code)
    ax.legend(loc="lower left")
    plots.label(ax, "spikes lost (%)", "test images read correctly (%)", "lost spikes")
    bx.plot(JITTER, error, **look(LATENCY))
    ruler = np.array(JITTER) / max(cfg.num_steps - 1, 1)
    bx.plot(JITTER, ruler, color="0.6", linestyle=":", label="σ/(T − 1)")
    bx.legend()
    with_range(cx, JITTER, 100 * (late - late[:, :1]), LATENCY)
    cx.axhline(0, color="0.6", linewidth=1)
    low, high = cx.get_ylim()
    cx.set_ylim(min(low, -2), max(high, 1))
    shift = "jitter σ (steps)"
    plots.label(bx, shift, "error of x̂ on ink (root mean square)", "jitter: the intensity")
    plots.label(cx, shift, "change of the share read (points)", "jitter: the digit")
    run.figure(fig, "5_damage", look="the steepest curve on the left; the middle against the right")

    seeds = {"n": n, "seeds": cfg.seeds, "real": True}
    run.claim("lost_rate", "rate: half lost", drop[RATE][half], "points", ">= -2", **seeds)
    run.claim("lost_sparse", "sparse rate: half lost", drop[SPARSE][half], "points", **seeds)
    run.claim("lost_latency", "latency: half lost", drop[LATENCY][half], "points", "<= -2", **seeds)
    run.claim("late_error", "latency, σ = 8: error of x̂ on ink", error[-1], "", **seeds)
    run.claim("late_latency", "latency, σ = 8: digits read", late_drop[-1], "points", **seeds)
    run.finding(
        f"Half of the spikes lost changes the share of digits read correctly by "
        f"{drop[RATE][half]:+.1f} points with the rate code, by {drop[SPARSE][half]:+.1f} with the sparse "
        f"rate code (to {level[SPARSE]:.1f} %, of {readers.spikes[SPARSE]:.0f} spikes an image) and by "
        f"{drop[LATENCY][half]:+.1f} with latency (to {level[LATENCY]:.1f} %, of "
        f"{readers.spikes[LATENCY]:.0f}). A jitter of {JITTER[-1]:.0f} steps puts latency's intensities wrong "
        f"by {error[-1]:.2f} (white is 1) and changes the share by {late_drop[-1]:+.1f} points.",
        main=True,
        claim="lost_latency",
    )


def main(cfg: Config, run: Run) -> None:
    section_digit(cfg, run)
    section_cost(cfg, run)
    section_time(cfg, run)
    section_speed(cfg, run)
    section_damage(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
