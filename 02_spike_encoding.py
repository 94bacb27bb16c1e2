"""Lesson 02 — Spike encoding: how a number becomes a train of spikes, and what each way costs

Question
    An image is numbers and a neuron hears only spikes: which train of spikes should stand for a pixel?

Idea
    All spikes look alike, so a train can say something in two ways only: *how many* spikes there are, or *when*
    they come. Three codes cover most of what is used, in brains as in chips. x is a pixel's intensity from 0 to 1,
    T the number of time steps (num_steps).

    **Rate**: fire at every step with probability g·x (g is a gain, 1 in spikegen). The receiver counts.

        N ~ Binomial(T, g·x)      x̂ = N/(g·T)      mean squared error  x·(1 − g·x)/(g·T)  ∝  1/T              (1)

    Twice the precision takes four times the steps. But no single spike matters, so losing some, or shifting them, does
    little. Motor neurons that set a muscle's force speak like this.

    **Latency**: fire once; the brighter, the sooner. With a linear ramp over T steps

        t = round((T − 1)·(1 − x))      x̂ = 1 − t/(T − 1)      squared error  ≈ 1/(12·(T − 1)²)  ∝  1/T²      (2)

    People tell within 150 ms whether a picture shows an animal (Thorpe, Fize & Marlot 1996,
    https://doi.org/10.1038/381520a0): ten synapses or so, with time for one spike a cell and not for counting.

    **Delta**: say nothing while nothing happens. Fire +1 where a pixel has risen by θ or more, −1 where it has fallen.

        S[t] = +1 if x[t] − x[t−1] ≥ θ,   −1 if x[t] − x[t−1] ≤ −θ,   else 0                                  (3)

    The retina works this way, and so does the *silicon retina* that became the event camera of lesson 04. A still image
    is silent, so here the digit moves: one pixel a step round a square, as eyes do in small.

    What the code drops no network brings back. Textbooks conclude that rate is robust but slow and latency fast but
    fragile. Two of these four words turn out to hold on conditions only.

    How information is counted (section 3): a pixel drawn at random from the test images has intensity X, and S is its
    train. I(X;S) is computed, not sampled. Rate: the count N says all that a Bernoulli train says of x, so it is
    H(N) − H(N|X), with (1) for N given X and the pixels' histogram for X. Latency: the train is a function of x, so it
    is H(t), "no spike" being one value. Delta: the sum over t of H(S[t]) bounds *from above* what the train says of all
    the pixel's changes (not of X). Bits per spike are these bits over the mean spikes of a train: silence is free.

Read first
    Theory:   Neuronal Dynamics, Ch. 7, https://neuronaldynamics.epfl.ch/online/Ch7.html
              Eshraghian et al. 2023, section II-B, https://arxiv.org/abs/2109.12894
    Practice: snnTorch tutorial 1, https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_1.html

Run
    uv run 02_spike_encoding.py            45 s on one CPU core
    uv run 02_spike_encoding.py --smoke    seconds, on stand-in data
    uv run 02_spike_encoding.py --full     read-outs trained on all of MNIST: 2 minutes on an H100

You should see
    82 % of the default latency code's spikes come from black pixels. Set right, its 141 spikes an image carry 7.6 bits
    each, 24 times those of the rate code. Squared error falls as T^−1.01 by counting, as T^−1.95 by timing.
    Slow? At gain 1 the rate code reads 89 % of the digits after one step: MNIST is nearly black and white, and one draw
    is nearly the picture. At gain 0.1 it starts at 58 % (latency: 85 %) and overtakes latency at step 18 of 25, also
    because a leaky trace forgets the bright pixels, which fired first: latency falls from 89 to 86 %.
    Fragile to loss? At step 13 latency leads by 2.3 points until 64 % of the spikes are gone (62 to 67 % in three other
    runs). The deadline decides: asked at step 7 it leads whatever is lost, asked at step 25 sparse rate does.
    Fragile to jitter? 16 steps cost 1.4 points: *which* pixels fire is enough for 90 %. On grey paper, where all of
    them fire, the same jitter costs 24 points, sparse rate 0.4, and they cross at 9 steps.

Builds on / leads to
    01 (a trace is a LIF membrane that never fires). 03 reads the rasters, 04 builds the pixel that delta imitates,
    milestone A asks you to choose a code.

Predict: --trace-beta 1 lets the traces forget nothing. Which code gains most at the last step, and why just that one?
Next: uv run 03_spike_visualization.py
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from common import plots
from common.data import ImageData, mnist
from common.io import write_atomic
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from training import fit

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from snntorch import spikegen
from torch import nn

Tensor = torch.Tensor
RATE, SPARSE, LATENCY, DELTA = "rate", "sparse rate", "latency", "delta"
CODES = (RATE, SPARSE, LATENCY, DELTA)
SQUARE = [
    (0, 0),
    (0, 1),
    (0, 2),
    (0, 3),
    (1, 3),
    (2, 3),
    (3, 3),
    (3, 2),
    (3, 1),
    (3, 0),
    (2, 0),
    (1, 0),
]  # (dy, dx)
DELETED = np.arange(10) / 10  # shares of spikes that are lost
SIGMAS = (0.0, 2.0, 4.0, 8.0, 16.0)  # jitter, steps


@dataclass
class Config(LessonConfig):
    """num_steps is the window T in which each code has to say everything it has to say."""

    num_steps: int = bounded(25, 1, 250)
    """time steps T of the window; one step stands for 1 ms"""
    gain: float = bounded(0.1, 0.001, 1)
    """spikes per step of a white pixel in the sparse rate code (0.1 at 1 ms: 100 Hz, a busy cell of the cortex)"""
    pixel_threshold: float = bounded(0.01, 0.001, 0.5)
    """pixels below this intensity stay silent in the latency code"""
    delta_threshold: float = bounded(0.1, 0.01, 1)
    """change of intensity that makes a spike in the delta code"""
    trace_beta: float = bounded(0.95, 0.1, 1)
    """share of the receiver's trace that one step leaves; 0.95 is a memory of 20 steps"""
    n_train: int = bounded(10_000, 100, 60_000)
    """training images for the read-outs; the test set is always whole"""
    epochs: int = bounded(5, 1, 100)
    """passes over the training images for each read-out"""


SMOKE = {"n_train": 256, "epochs": 1}
FULL = {"n_train": 55_000, "epochs": 15}


# ------------------------------------------------------------------------------------ the equations as code


def shift(x: Tensor, dy: int, dx: int) -> Tensor:
    """Images ``(..., H, W)`` moved down and right by up to 4 pixels; what enters is black."""
    H, W = x.shape[-2:]
    return F.pad(x, (4, 4, 4, 4))[..., 4 - dy : 4 - dy + H, 4 - dx : 4 - dx + W]


def moving(x: Tensor, num_steps: int) -> Tensor:
    """Images ``(B, 1, H, W)`` carried round a square, one pixel a step: ``(T, B, H·W)``."""
    loop = torch.stack([shift(x, dy, dx).flatten(1) for dy, dx in SQUARE[:num_steps]])
    return loop[torch.arange(num_steps, device=x.device) % len(SQUARE)]


def encode(code: str, x: Tensor, cfg: Config) -> Tensor:
    """Images ``(B, 1, 28, 28)`` in 0..1 → spikes ``(T, B, N)``; N is 784, and twice that for delta (ON, then OFF)."""
    if code in (RATE, SPARSE):
        return spikegen.rate(
            x.flatten(1), num_steps=cfg.num_steps, gain=1.0 if code == RATE else cfg.gain
        )
    if code == LATENCY:
        return spikegen.latency(
            x.flatten(1),
            num_steps=cfg.num_steps,
            threshold=cfg.pixel_threshold,
            normalize=True,
            linear=True,
            clip=True,
        )
    lap = spikegen.delta(
        moving(x, len(SQUARE) + 1), threshold=cfg.delta_threshold, padding=True, off_spike=True
    )
    # two cells a pixel, as in the retina: summed in one cell, ON and OFF would cancel once the digit is back home
    lap = torch.cat([lap.clamp(min=0), (-lap).clamp(min=0)], 2)
    later = torch.arange(cfg.num_steps, device=x.device)
    return lap[
        torch.where(later > 0, (later - 1) % len(SQUARE) + 1, 0)
    ]  # every lap is like the first


def retina(frames: Tensor, theta: float) -> Tensor:
    """Delta against the level *last reported*, as a DVS pixel does: ``frames (T, …)`` → signed counts ``(T, …)``. The
    level moves by θ with every spike, so what is too slow for one step adds up until it is told."""
    level, spk_rec = frames[0].clone(), []
    for frame in frames:
        count = torch.trunc(
            (frame - level) / theta + 1e-4 * (frame - level).sign()
        )  # 1e-4: rounding of 0.1 + 0.1 …
        level = level + theta * count
        spk_rec.append(count)
    return torch.stack(spk_rec)


def trace_weights(steps: list[int], num_steps: int, beta: float) -> Tensor:
    """The leaky trace X[t] = β·X[t−1] + S[t] unrolled, X[t] = Σ β^(t−s)·S[s]: its weights ``(K, T)`` at ``steps``."""
    age = torch.tensor(steps)[:, None] - torch.arange(
        num_steps
    )  # (K, T): steps since s; negative is the future
    return torch.where(age >= 0, beta ** age.clamp(min=0).float(), 0.0)


def entropy(p: Tensor, dim: int = -1) -> Tensor:
    """Bits; ``p`` sums to 1 along ``dim``."""
    return -torch.xlogy(p, p).sum(dim) / np.log(2)


def counts_given(level: Tensor, num_steps: int) -> Tensor:
    """Binomial(T, p) for each probability ``level (L,)``: ``(L, T + 1)``."""
    k = torch.arange(num_steps + 1, dtype=torch.float64)
    log_choose = torch.lgamma(k[-1] + 1) - torch.lgamma(k + 1) - torch.lgamma(k[-1] - k + 1)
    p = level.double()[:, None]
    return torch.exp(log_choose + torch.xlogy(k, p) + torch.xlogy(num_steps - k, 1 - p))


def mutual_information(joint: Tensor) -> float:
    """I(X;Y) in bits from a table ``(X, Y)`` of probabilities or counts."""
    p = joint.double() / joint.sum()
    return float(entropy(p.sum(0)) + entropy(p.sum(1)) - entropy(p.flatten()))


def crossing(x: Any, a: Any, b: Any) -> float:
    """The first x where a − b, positive at the start, reaches 0, by straight lines; the ends if it is never so."""
    gap = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    if gap[0] <= 0:
        return float(x[0])
    i = int(np.argmax(gap <= 0))  # 0 if it never is
    return float(x[i - 1] + (x[i] - x[i - 1]) * gap[i - 1] / (gap[i - 1] - gap[i]) if i else x[-1])


class ReadOut(nn.Module):
    """One linear layer for each of K decision steps, all trained at once: traces ``(B, K, N)`` → ``(K, B, 10)``."""

    def __init__(self, K: int, N: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.zeros(K, N, 10)
        )  # convex problem: zero is as good a start as any
        self.bias = nn.Parameter(torch.zeros(K, 1, 10))

    def run(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x.transpose(0, 1), self.weight)


def chunks(x: Tensor, cfg: Config, device: torch.device) -> Iterator[Tensor]:
    """uint8 images as floats in 0..1, as many at a time as keep a chunk of spikes near 8 MB."""
    for part in x.split(max(1, 2_500 // cfg.num_steps)):
        yield part.to(device).float() / 255


def traces(code: str, x: Tensor, steps: list[int], cfg: Config, device: torch.device) -> Tensor:
    """Encode and leave only the traces at the decision steps: images → ``(B, K, N)``."""
    weights = trace_weights(steps, cfg.num_steps, cfg.trace_beta).to(device)
    spks = (encode(code, x_b, cfg) for x_b in chunks(x, cfg, device))  # each (T, B, N)
    return torch.cat(
        [(weights @ s.flatten(1)).unflatten(1, s.shape[1:]).transpose(0, 1) for s in spks]
    )


def train(code: str, data: ImageData, steps: list[int], cfg: Config, run: Run) -> ReadOut:
    """Softmax regression on the traces; ``fit`` is the box that lesson 09 opens."""
    x_train, x_val = (traces(code, x, steps, cfg, run.device) for x in (data.x_train, data.x_val))
    net = ReadOut(len(steps), x_train.shape[2])
    fit(
        net,
        replace(data, x_train=x_train, x_val=x_val),
        lambda x: x,
        run=run,
        epochs=cfg.epochs,
        lr=3e-3,
        loss_fn=lambda out, y: F.cross_entropy(out.flatten(0, 1), y.repeat(len(out))) * len(out),
        predict=lambda out: out[-1].argmax(1),
        quiet=True,
    )
    return net


def code_curves(ax: Any, x: Any, ys: dict[str, Any]) -> None:
    """One line a code, in the same colour in every panel."""
    for code, y in ys.items():
        i = CODES.index(code)
        ax.plot(
            x,
            y,
            color=plots.COLOURS[i],
            marker=plots.MARKERS[i],
            linestyle=plots.DASHES[i],
            ms=4.5,
            label=code,
        )
    ax.legend()


def experiment_defaults(x: Tensor, cfg: Config) -> dict[str, Any]:
    """1. What goes wrong with the obvious calls. ``x (B, 1, 28, 28)`` in 0..1."""
    pixels, T = x.flatten(1), cfg.num_steps
    ink = pixels >= cfg.pixel_threshold
    r: dict[str, Any] = {"times": {}, "black": {}, "early": {}, "stops": False}
    r["bytes"] = float((spikegen.rate(pixels * 255, num_steps=T) * ink).mean() / ink.float().mean())
    calls = {
        "default": {},
        "clip": {"clip": True},
        "clip, normalize": {"clip": True, "normalize": True},
        "and linear": {"clip": True, "normalize": True, "linear": True},
    }
    for name, options in calls.items():
        spk = spikegen.latency(
            pixels, num_steps=T, threshold=cfg.pixel_threshold, bypass=True, **options
        )
        count = r["times"][name] = torch.stack(
            [(spk * part).sum((1, 2)) for part in (ink, ~ink)]
        ).cpu()  # (2, T)
        r["black"][name] = float(count[1].sum() / count.sum().clamp(min=1))
        r["early"][name] = float(count[0, :2].sum() / ink.sum())
    try:
        spikegen.latency(pixels, num_steps=T, tau=float(T))
    except Exception:  # snnTorch raises nothing narrower
        r["stops"] = True
    grey = torch.tensor([[0.3, 0.5, 0.9]])
    r["batch"] = [
        spikegen.latency(batch, num_steps=25, normalize=True).argmax(0)[0].tolist()
        for batch in (grey, torch.cat([grey, 0 * grey]))
    ]
    on = spikegen.delta(pixels.expand(T, -1, -1), threshold=cfg.delta_threshold)
    r["still"] = (float(on[0].sum() / len(x)), float(on[1:].sum() / len(x)))
    both = spikegen.delta(moving(x, T), threshold=cfg.delta_threshold, padding=True, off_spike=True)
    r["off"] = float((both < 0).sum() / both.abs().sum().clamp(min=1))
    return r


def plot_defaults(r: dict[str, Any]) -> Figure:
    black, early = r["black"]["default"], r["early"]["default"]
    title = f"latency by default: {black:.0%} of the spikes from black pixels, {early:.1%} of the ink in two steps"
    fig, axes = plots.figure(1, 4, (13, 3.5), title, sharey=True)
    for ax, (name, count) in zip(axes, r["times"].items(), strict=True):
        ax.bar(range(count.shape[1]), count[0], color=plots.BLUE, width=1, label="from ink")
        ax.bar(
            range(count.shape[1]),
            count[1],
            bottom=count[0],
            color=plots.RED,
            width=1,
            label="from black",
        )
        ax.set_yscale("symlog", linthresh=100)
        ax.set_ylim(0, 1e6)
        plots.label(
            ax, "step of the spike", "spikes" if name == "default" else "", f"latency: {name}"
        )
    axes[0].legend(loc="upper right")
    return fig


def experiment_pictures(x: Tensor, cfg: Config) -> dict[str, Any]:
    """2. One image ``x (1, 1, 28, 28)`` in each code: what is shown, and its spikes, both ``(T, 784)``."""
    still = x.flatten(1).expand(cfg.num_steps, 1, -1)
    shown = {
        code: (moving(x, cfg.num_steps) if code == DELTA else still)[:, 0].cpu() for code in CODES
    }
    spk = {code: encode(code, x, cfg)[:, 0].cpu() for code in CODES}
    spk[DELTA] = spk[DELTA][:, :784] - spk[DELTA][:, 784:]
    return {"shown": shown, "spk": spk}


def plot_pictures(r: dict[str, Any]) -> Figure:
    title = "Spikes for one digit: " + ", ".join(
        f"{c} {int(spk.abs().sum()):,}" for c, spk in r["spk"].items()
    )
    fig, axes = plots.figure(1, 4, (14, 4.4), title, sharey=True)
    for ax, (code, spk) in zip(axes, r["spk"].items(), strict=True):
        rows = spk[:, 12 * 28 : 16 * 28]  # four lines of the picture: all 784 would be a grey wall
        plots.raster(
            ax, rows.clamp(min=0), color=plots.BLUE if code == DELTA else plots.BLACK, width=2.2
        )
        if code == DELTA:
            ax.plot(
                *np.nonzero(rows.numpy() < 0),
                "_",
                color=plots.RED,
                markersize=5,
                markeredgewidth=1.3,
                label="OFF",
            )
            ax.plot([], [], "|", color=plots.BLUE, markersize=8, markeredgewidth=2, label="ON")
            ax.legend(loc="upper right", ncols=2)
        ax.set_ylim(top=124)
        ax.hlines((27.5, 55.5, 83.5), 0, len(spk) - 1, color="grey", linewidth=0.6, linestyle=":")
        plots.label(ax, "step", "pixel (lines 12–15 of the picture)" if code == RATE else "", code)
    return fig


def plot_gif(code: str, r: dict[str, Any], beta: float, note: str = "") -> list[Image.Image]:
    """Frames of an animation: the picture, the spikes of this step, and the leaky trace of all so far."""
    shown, spk, font = r["shown"][code], r["spk"][code], ImageFont.load_default(size=15)
    trace = trace_weights(list(range(len(spk))), len(spk), beta) @ spk  # (T, 784)
    trace = trace / trace.abs().max().clamp(min=1e-6)
    frames = []
    for t in range(len(spk)):
        page = Image.new("RGB", (3 * 224 + 40, 286), "white")
        draw = ImageDraw.Draw(page)
        tiles = {
            f"{code}: what is shown": shown[t],
            f"spikes, step {t + 1} of {len(spk)}": spk[t],
            "leaky trace so far": trace[t],
        }
        for k, (name, values) in enumerate(tiles.items()):
            v = values.view(28, 28).numpy()
            # black is silence, white is ON, orange-red is OFF
            rgb = np.stack(
                [np.abs(v), np.where(v > 0, v, -0.37 * v), np.where(v > 0, v, 0)], -1
            ).clip(0, 1)
            tile = Image.fromarray((rgb * 255).round().astype(np.uint8)).resize(
                (224, 224), Image.Resampling.NEAREST
            )
            page.paste(tile, (10 + k * 234, 34))
            draw.text((10 + k * 234, 10), name, fill="black", font=font)
        draw.text(
            (10, 263),
            f"{int(spk[: t + 1].abs().sum()):,} spikes so far    {note}",
            fill="black",
            font=font,
        )
        frames.append(page.quantize(32))
    return frames


def experiment_density(x: Tensor, cfg: Config) -> dict[str, dict[str, float]]:
    """3. Spikes, silence and information of each code on images ``x (B, 1, 28, 28)``, as the docstring defines them."""
    pixels, n = (x * 255).round().long().flatten().cpu(), x[0].numel()
    levels = torch.bincount(pixels, minlength=256).double() / len(pixels)  # P(X)
    r = {"H(X)": {"bits": float(entropy(levels))}}
    for code in CODES:
        spk = [
            encode(code, x_b, cfg).unflatten(2, (-1, n))
            for x_b in x.split(max(1, 2_500 // cfg.num_steps))
        ]
        count = torch.cat([s.sum((0, 2)) for s in spk]).cpu()  # (B, 784)
        share = sum(s.sum((1, 3)).double().cpu() for s in spk) / len(pixels)  # (T, 1), delta (T, 2)
        if (
            code == LATENCY
        ):  # at most one spike a pixel: the shares of the steps, and the rest, are P(t)
            bits = float(entropy(torch.cat([share.flatten(), 1 - share.sum()[None]]).clamp(min=0)))
        elif code == DELTA:
            bits = float(
                entropy(torch.cat([share, 1 - share.sum(1, keepdim=True)], 1).clamp(min=0)).sum()
            )
        else:
            level = (1.0 if code == RATE else cfg.gain) * torch.arange(256) / 255
            bits = mutual_information(levels[:, None] * counts_given(level, cfg.num_steps))
        r[code] = {
            "spikes": float(count.sum(1).mean()),
            "silent": float((count == 0).float().mean()),
            "bits": bits,
            "most": float(count.max()),
            "per_spike": bits / max(float(count.mean()), 1e-9),
        }
    return r


def plot_density(r: dict[str, dict[str, float]]) -> Figure:
    best = max((RATE, SPARSE, LATENCY), key=lambda c: r[c]["per_spike"])
    fig, axes = plots.figure(
        1,
        4,
        (14.5, 3),
        f"{best.capitalize()} says most about the intensity with each spike: "
        f"{r[best]['per_spike']:.2f} bits, rate {r[RATE]['per_spike']:.3f}",
    )
    bits = f"bits per pixel (H(X) = {r['H(X)']['bits']:.2f})"
    panels = (
        ("spikes", "spikes per image", "{:,.0f}"),
        ("silent", "share of silent pixels", "{:.1%}"),
        ("bits", bits, "{:.2f}"),
        ("per_spike", "bits per spike", "{:.2f}"),
    )
    for ax, (key, text, fmt) in zip(axes, panels, strict=True):
        plots.bars(
            ax,
            {"delta (≤)" if c == DELTA and "bits" in text else c: r[c][key] for c in CODES},
            fmt=fmt,
        )
        plots.label(ax, text, "")
        ax.margins(x=0.3)
    return fig


def experiment_rebuild(x: Tensor, steps: list[int]) -> dict[str, Any]:
    """4. Mean squared error of the rebuilt intensity against T, for rate (1) and latency (2). ``x (B, 1, 28, 28)``."""
    pixels = x.flatten(1)
    count = spikegen.rate(pixels, num_steps=steps[-1]).cumsum(
        0
    )  # (T, B, N): a shorter window is the start of a longer
    error: dict[str, list[float]] = {RATE: [], LATENCY: []}
    for T in steps:
        error[RATE].append(float((count[T - 1] / T - pixels).square().mean()))
        spk = spikegen.latency(pixels, num_steps=T, normalize=True, linear=True, clip=True)
        rebuilt = torch.where(spk.any(0), 1 - spk.argmax(0) / max(T - 1, 1), 0.0)
        error[LATENCY].append(float((rebuilt - pixels).square().mean()))
    theory = [float((pixels * (1 - pixels)).mean() / T) for T in steps]
    # for latency one or two steps are no ramp yet, and beyond 64 the bytes' own 256 levels show
    slope = {
        code: float(np.polyfit(np.log(steps[fit]), np.log(error[code][fit]), 1)[0])
        for code, fit in ((RATE, slice(None)), (LATENCY, slice(2, 7)))
    }
    return {"steps": steps, "error": error, "theory": theory, "slope": slope}


def plot_rebuild(r: dict[str, Any]) -> Figure:
    fig, ax = plots.figure(
        1,
        1,
        (7.5, 4.2),
        f"Squared error ∝ T^{r['slope'][RATE]:.2f} by counting, "
        f"∝ T^{r['slope'][LATENCY]:.2f} by timing (4 to 64 steps)",
    )
    ax.plot(
        r["steps"],
        r["theory"],
        color=plots.BLACK,
        linewidth=5,
        alpha=0.2,
        label="mean of x·(1 − x) / T",
    )
    code_curves(ax, r["steps"], r["error"])
    ax.set_yscale("log")
    ax.set_xscale("log", base=2)
    plots.label(ax, "num_steps T", "mean squared error of x̂")
    return fig


def experiment_moving(x: Tensor, cfg: Config) -> dict[str, Any]:
    """5. Where does delta fire, and what if the change is slow? At v pixels a step no pixel changes by more than v."""
    r: dict[str, Any] = {"theta": cfg.delta_threshold}
    frames = moving(x, cfg.num_steps)
    changed = torch.cat([torch.zeros_like(frames[:1]), frames.diff(dim=0)]) != 0
    for padding in (False, True):
        spk = spikegen.delta(
            frames, threshold=cfg.delta_threshold, padding=padding, off_spike=True
        ).abs()
        r[padding] = float((spk * changed).sum() / spk.sum().clamp(min=1))
    r["n"] = int(spk.sum())
    r |= {
        "speeds": [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32],
        "spikes": {"spikegen.delta": [], "level kept (DVS)": []},
    }
    whole = torch.stack(
        [shift(x, 0, dx).flatten(1) for dx in range(4)]
    )  # three pixels to the right
    for v in r["speeds"]:
        at = torch.arange(round(3 / v) + 1, device=x.device) * v
        low = at.floor().clamp(max=2).long()
        part = (at - low)[:, None, None]
        frames = (1 - part) * whole[low] + part * whole[low + 1]  # (steps, B, 784)
        spk = spikegen.delta(frames, threshold=cfg.delta_threshold, padding=True, off_spike=True)
        r["spikes"]["spikegen.delta"].append(float(spk.abs().sum() / len(x)))
        r["spikes"]["level kept (DVS)"].append(
            float(retina(frames, cfg.delta_threshold).abs().sum() / len(x))
        )
    return r


def plot_moving(r: dict[str, Any]) -> Figure:
    lost, kept = (counts[-1] for counts in r["spikes"].values())
    fig, ax = plots.figure(
        1,
        1,
        (8.5, 4.2),
        f"At 1/32 pixel a step spikegen.delta fires {lost:,.0f} times, "
        f"one that keeps its level {kept:,.0f}",
    )
    plots.curves(ax, r["speeds"], r["spikes"])
    ax.axvline(r["theta"], color="grey", linestyle=":", label="speed = θ")
    ax.set_xscale("log", base=2)
    ax.legend()
    plots.label(ax, "speed (pixels a step)", "spikes per image on a way of 3 pixels")
    return fig


def experiment_decide(data: ImageData, cfg: Config, run: Run) -> dict[str, Any]:
    """6. A linear read-out for each code at each of some six steps, judged on the whole test set."""
    steps = sorted({int(t) for t in np.geomspace(1, cfg.num_steps, 6).round()})
    half = int(np.abs(np.array(steps) - (cfg.num_steps + 1) / 2).argmin())
    r: dict[str, Any] = {"steps": steps, "half": half, "accuracy": {}, "net": {}}
    at, y = (
        [t - 1 for t in steps],
        data.y_test.to(run.device),
    )  # decision after t steps: the trace at index t − 1
    # the control forgets *when*: a trace without leak, read at the end, is the set of pixels that fired
    control = replace(cfg, trace_beta=1.0)
    for name, code, at_k, c in (
        *((code, code, at, cfg) for code in CODES),
        ("timeless", LATENCY, at[-1:], control),
    ):
        net = r["net"][name] = train(code, data, at_k, c, run)
        with torch.no_grad():  # 2,000 images at a time: the traces are the large thing here
            out = [
                net.run(traces(code, x_b, at_k, c, run.device)).argmax(2)
                for x_b in data.x_test.split(2000)
            ]
        r["accuracy"][name] = (torch.cat(out, 1) == y).float().mean(1).tolist()
        line = "  ".join(
            f"{t + 1}: {a:.3f}" for t, a in zip(at_k, r["accuracy"][name], strict=True)
        )
        run.print(f"{name:12s} test accuracy by step  {line}")
    r["timeless"] = r["accuracy"].pop("timeless")[0]
    return r


def plot_decide(r: dict[str, Any]) -> Figure:
    cross = crossing(r["steps"], r["accuracy"][LATENCY], r["accuracy"][SPARSE])
    fig, ax = plots.figure(
        1,
        1,
        (8.8, 4.4),
        f"Sparse rate needs {cross:.0f} steps to overtake latency; "
        f"gain 1 has {r['accuracy'][RATE][0]:.1%} after one",
    )
    code_curves(ax, r["steps"], r["accuracy"])
    ax.axhline(r["timeless"], color="grey", linestyle=":", label="which pixels fired, without when")
    ax.set_xscale("log")
    ax.set_xticks(r["steps"], r["steps"])
    ax.minorticks_off()
    ax.legend(loc="lower right")
    plots.label(ax, "decision after step t", "test accuracy")
    return fig


@torch.no_grad()
def experiment_noise(
    code: str, net: ReadOut, k: int, step: int, data: ImageData, cfg: Config, device: torch.device
) -> dict[str, list[float]]:
    """7. Lose or shift spikes of the test images, and ask the read-out trained on intact ones. A spike is lost with
    probability p, or moved by a normal number of steps, rounded, kept inside the window; the trace at ``step`` is then
    built straight from the list of spikes."""
    right = torch.zeros(10 + len(SIGMAS), device=device)
    weight = trace_weights([step], cfg.num_steps, cfg.trace_beta)[0].to(
        device
    )  # (T,): what a spike adds, by its time
    labels = data.y_test.to(device).split(max(1, 2_500 // cfg.num_steps))
    for x_b, y_b in zip(chunks(data.x_test, cfg, device), labels, strict=True):
        spk = encode(code, x_b, cfg)  # (T, B, N)
        B, N = spk.shape[1:]
        t, where = spk.flatten(1).nonzero(
            as_tuple=True
        )  # one entry a spike: its step, and image and pixel
        # each spike falls into one of ten bins; losing a share p is losing the first 10·p bins
        fate, z = torch.randint(0, 10, t.shape, device=device), torch.randn(t.shape, device=device)
        bins = torch.bincount(fate * (B * N) + where, weight[t], 10 * B * N).view(10, B, N)
        moved = [(t + (sigma * z).round().long()).clamp(0, cfg.num_steps - 1) for sigma in SIGMAS]
        jittered = [torch.bincount(where, weight[m], B * N).view(1, B, N) for m in moved]
        x = torch.cat([bins.flip(0).cumsum(0).flip(0), *jittered]).float()  # (10 + 5, B, N)
        right += ((x @ net.weight[k] + net.bias[k]).argmax(-1) == y_b).sum(-1)
    share = (right / len(data.y_test)).tolist()
    return {"deleted": share[:10], "jittered": share[10:]}


def grey_paper(data: ImageData) -> ImageData:
    """Ink at 3/4, paper at 1/4: every pixel fires, so only times and counts are left to tell them apart."""
    return replace(
        data, **{part: 64 + getattr(data, part) // 2 for part in ("x_train", "x_val", "x_test")}
    )


def plot_noise(
    deleted: dict[str, list[float]],
    jittered: dict[str, list[float]],
    grey: dict[str, list[float]],
    step: int,
) -> Figure:
    lost = {
        name: r[LATENCY][0] - r[LATENCY][-1] for name, r in (("black", jittered), ("grey", grey))
    }
    title = (
        f"Jitter of {SIGMAS[-1]:.0f} steps costs the latency code {100 * lost['black']:.1f} points on black "
        f"paper, {100 * lost['grey']:.1f} on grey"
    )
    fig, axes = plots.figure(1, 3, (14, 4.2), title, sharey=True)
    code_curves(axes[0], DELETED, deleted)
    plots.label(
        axes[0], "share of spikes lost", "test accuracy", f"Deletion, decision after step {step}"
    )
    for ax, r, name in (
        (axes[1], jittered, f"Jitter, black paper, after step {step}"),
        (axes[2], grey, "Jitter, grey paper, at the end"),
    ):
        code_curves(ax, SIGMAS, r)
        plots.label(ax, "standard deviation of the shift (steps)", "", name)
    return fig


def main(cfg: Config, run: Run) -> None:
    data = run.data(mnist, n_train=cfg.n_train, n_val=1000)
    sample = data.x_test[:1000].to(run.device).float() / 255  # what is counted rather than trained
    n, tests = len(sample), len(data.y_test)

    def claims(n: int, *rows: tuple[str, str, float, str, str | None]) -> None:
        for row in rows:
            run.claim(*row, n=n, real=True)

    run.print("1  the obvious calls, and what they do")
    r = experiment_defaults(sample[:200], cfg)
    run.figure(plot_defaults(r), "1_defaults")
    alone, mixed = r["batch"]
    run.table(
        "spikegen's defaults",
        ("call", "expected", "found"),
        [
            ("rate(x), x in bytes", "fires by intensity", f"any ink: {r['bytes']:.2f} a step"),
            (
                "latency(x)",
                "one spike a pixel of ink",
                f"{r['black']['default']:.0%} of spikes: black pixels",
            ),
            (
                "latency(…, clip=True)",
                "ink spread over T",
                f"{r['early']['clip']:.1%} of ink in steps 0, 1",
            ),
            (
                "latency(…, tau=T)",
                "ink spread over T",
                "stops: times beyond T" if r["stops"] else "runs",
            ),
            (
                "latency(…, normalize=True)",
                "0.3, 0.5, 0.9 have times",
                f"{alone}; beside black {mixed}",
            ),
            (
                "delta(still)",
                "silence",
                f"{r['still'][0]:.0f} spikes at step 0, then {r['still'][1]:.0f}",
            ),
            ("delta(moving)", "every change", f"misses {r['off']:.0%}: no off_spike"),
        ],
    )
    claims(
        200,
        (
            "black_spikes",
            "latency, defaults: spikes from black pixels",
            r["black"]["default"],
            "1",
            ">= 0.7",
        ),
        ("black_clipped", "the same with clip=True", r["black"]["clip"], "1", "== 0"),
        (
            "early_log",
            "latency, clip: ink in the first two steps",
            r["early"]["clip"],
            "1",
            ">= 0.9",
        ),
    )
    run.print("2  one digit in each code")
    r = experiment_pictures(sample[:1], cfg)
    run.figure(plot_pictures(r), "2_rasters")
    for code in CODES:
        frames = plot_gif(
            code, r, cfg.trace_beta, f"stand-in data: {data.name}" if data.stand_in else ""
        )
        path = run.dir / f"2_{code.replace(' ', '_')}.gif"
        film = io.BytesIO()
        options = {"save_all": True, "duration": 160, "loop": 0, "disposal": 2}
        frames[0].save(film, format="GIF", append_images=frames[1:], **options)
        run.print(f"   saved   {write_atomic(path, film.getvalue())}")
    run.print("3  spikes, silence and information")
    r = experiment_density(sample, cfg)
    run.figure(plot_density(r), "3_density")
    for code in CODES:
        id, most = code.split()[0], " at most" if code == DELTA else ""
        claims(
            n,
            (f"spikes_{id}", f"{code}: spikes per image", r[code]["spikes"], "", None),
            (f"silent_{id}", f"{code}: silent pixels", r[code]["silent"], "1", None),
            (f"bits_{id}", f"{code}: bits per spike{most}", r[code]["per_spike"], "bits", None),
        )
    rate, latency = r[RATE], r[LATENCY]
    claims(
        n,
        (
            "rate_count",
            "rate: spikes over T·Σx",
            rate["spikes"] / (sample.sum().item() / n * cfg.num_steps),
            "",
            "0.99..1.01",
        ),
        (
            "bits_ratio",
            "bits per spike, latency over rate",
            latency["per_spike"] / rate["per_spike"],
            "",
            ">= 5",
        ),
        ("one_spike", "latency: most spikes of any pixel", latency["most"], "", "<= 1"),
    )
    run.print("4  rebuilding the intensity")
    r = experiment_rebuild(sample[:100], [2**k for k in range(9)])
    run.figure(plot_rebuild(r), "4_rebuild")
    claims(
        100,
        (
            "slope_rate",
            "rate: log-log slope of squared error against T",
            r["slope"][RATE],
            "",
            "-1.1..-0.9",
        ),
        ("slope_latency", "latency: the same", r["slope"][LATENCY], "", "-2.3..-1.7"),
    )
    run.print("5  a moving digit")
    r = experiment_moving(sample[:200], cfg)
    run.figure(plot_moving(r), "5_moving")
    run.claim(
        "changed",
        "delta: spikes at changed pixels",
        r[True] if r["n"] else 1.0,
        "1",
        "== 1",
        n=r["n"],
    )
    slow, kept = r["spikes"].values()
    claims(
        200,
        ("changed_default", "the same with padding=False, the default", r[False], "1", None),
        ("slow_lost", "digit at 1/32 pixel a step: spikes of spikegen.delta", slow[-1], "", "== 0"),
        (
            "slow_kept",
            "with the level kept, over those at 1 pixel a step",
            kept[-1] / kept[0],
            "",
            "0.8..1.2",
        ),
    )
    run.print("6  a linear read-out of each code")
    r = experiment_decide(data, cfg, run)
    run.figure(plot_decide(r), "6_decide")
    steps, half, accuracy = r["steps"], r["half"], r["accuracy"]
    for code in CODES:
        for name, k in (("first", 0), ("half", half), ("last", -1)):
            text = f"{code}: accuracy after step {steps[k]}"
            claims(tests, (f"{name}_{code.split()[0]}", text, accuracy[code][k], "1", None))
    claims(
        tests,
        (
            "cross_time",
            "step at which sparse rate overtakes latency",
            crossing(steps, accuracy[LATENCY], accuracy[SPARSE]),
            "steps",
            f"2..{cfg.num_steps - 1}",
        ),
        (
            "timeless",
            "latency: accuracy from which pixels fired, without when",
            r["timeless"],
            "1",
            None,
        ),
    )
    run.print("7  spikes lost and spikes shifted")
    # one deadline for all, half the window: at its end sparse rate is ahead before anything is lost
    noise = {
        c: experiment_noise(c, r["net"][c], half, steps[half] - 1, data, cfg, run.device)
        for c in CODES
    }
    grey, paper = {}, grey_paper(data)
    for code in (SPARSE, LATENCY):  # at the end of the window, when every pixel has fired
        net = train(code, paper, [cfg.num_steps - 1], cfg, run)
        grey[code] = experiment_noise(code, net, 0, cfg.num_steps - 1, paper, cfg, run.device)[
            "jittered"
        ]
    deleted, jittered = ({c: v[kind] for c, v in noise.items()} for kind in ("deleted", "jittered"))
    run.figure(plot_noise(deleted, jittered, grey, steps[half]), "7_noise")
    run.table(
        "Test accuracy with spikes lost",
        ("lost", *CODES),
        [(f"{p:.0%}", *(f"{deleted[c][i]:.3f}" for c in CODES)) for i, p in enumerate(DELETED)],
    )
    run.table(
        "Test accuracy with spikes shifted (standard deviation in steps)",
        ("code", *(f"{s:g}" for s in SIGMAS)),
        [
            (f"{c}{on}", *(f"{a:.3f}" for a in row))
            for on, v in (("", jittered), (", grey paper", grey))
            for c, row in v.items()
        ],
    )
    claims(
        tests,
        *(
            (
                f"lost_{c.split()[0]}",
                f"{c}: accuracy lost with half of the spikes",
                a[0] - a[5],
                "1",
                None,
            )
            for c, a in deleted.items()
        ),
    )
    for name, v, target in (("black", jittered, None), ("grey", grey, ">= 0.05")):
        text = f"{name} paper: accuracy lost by jitter of {SIGMAS[-1]:.0f} steps"
        claims(
            tests,
            *(
                (f"jitter_{name}_{c.split()[0]}", f"{c}, {text}", v[c][0] - v[c][-1], "1", goal)
                for c, goal in ((LATENCY, target), (SPARSE, "<= 0.05"))
            ),
        )
    claims(
        tests,
        (
            "cross_deletion",
            "share of lost spikes at which sparse rate overtakes latency",
            crossing(DELETED, deleted[LATENCY], deleted[SPARSE]),
            "1",
            "0.01..0.89",
        ),
        (
            "cross_jitter",
            "grey paper: jitter at which sparse rate overtakes latency",
            crossing(SIGMAS, grey[LATENCY], grey[SPARSE]),
            "steps",
            "0.1..15.9",
        ),
    )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
