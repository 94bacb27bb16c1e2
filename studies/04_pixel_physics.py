"""Study 04 — The physics of the pixel: does the model do what its equations say?

Question
    Lesson 04 works with a model of an event camera. A model can be wrong in ways that no picture
    shows. What do the equations predict exactly, and does the model agree?

Idea
    Three predictions follow from the equations in closed form:

        a slow flicker that swings ln I by Δ     2·⌊Δ/θ⌋ events a cycle                       (1)
        a step of ln I by Δ, low-pass τ         first event after τ·ln(Δ/(Δ − θ))            (2)
        thresholds θ + σ·N(0, 1)                the pixel's count of (1) scatters with its θ (3)

Read first
    Lesson 04, sections 1 and 5. Hu, Liu & Delbruck 2021, https://arxiv.org/abs/2006.07722

Run
    uv run studies/04_pixel_physics.py          about 5 seconds on two CPU cores

Builds on / leads to
    Lesson 04, which uses the model for everything. To judge real sensors, see v2e's paper.
"""

from __future__ import annotations

import _root  # noqa: F401

import math
from dataclasses import dataclass

from common import plots
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from eventcam.events import Pixel, frames_to_events

import numpy as np


@dataclass
class Config(LessonConfig):
    """``num_steps`` is the number of frames in a cycle of the flicker."""

    num_steps: int = bounded(200, 1, 10_000)
    """frames in a cycle of the flicker; at least 8 are made"""
    theta: float = bounded(0.2, 0.02, 0.6)
    """threshold θ"""
    sigma: float = bounded(0.03, 0.0, 0.2)
    """mismatch: standard deviation of θ from pixel to pixel"""
    cutoff_hz: float = bounded(300.0, 1.0, 1e5)
    """bandwidth of a pixel at 1,000 lux, in Hz"""
    cycles: int = bounded(3, 1, 100)
    """cycles of the flicker"""


SMOKE = {"cycles": 1}
FULL = {"cycles": 10, "num_steps": 1000}


def flicker_counts(cfg: Config, swing: np.ndarray, rows: int, pixel: Pixel) -> np.ndarray:
    """Events a cycle of ``rows`` pixels for each swing Δ of ln I: ``(rows, len(swing))``.

    I = I₀·(1 + m·sin ωt) swings by ln((1 + m)/(1 − m)), so m = tanh(Δ/2). It starts in the dark.
    """
    frames_a_cycle = max(cfg.num_steps, 8)
    phase = 2 * np.pi * np.arange(frames_a_cycle * cfg.cycles + 1) / frames_a_cycle
    wave = -np.cos(phase)[:, None, None]  # (T, 1, 1)
    mean = np.geomspace(50, 5000, rows)[:, None]  # I₀ of each row
    frames = mean * (1 + np.tanh(swing / 2) * wave)  # (T, rows, swings)
    times = np.rint(1e6 * np.arange(len(frames)) / frames_a_cycle)  # 1 Hz
    events = frames_to_events(frames, times, pixel, cfg.seed)
    place = events["y"].astype(int) * len(swing) + events["x"]
    counts = np.bincount(place, minlength=rows * len(swing))
    return counts.reshape(rows, len(swing)) / cfg.cycles


@section
def section_flicker(cfg: Config, run: Run) -> None:
    """1  How many events does a slow flicker make?

    On the way up ln I crosses ⌊Δ/θ⌋ thresholds, on the way down as many: equation (1). The rest of Δ
    stays in the difference between ln I and M. (This holds if the flicker starts at its darkest, so
    that M is exactly there. Started elsewhere, a half cycle may have one event less.) Measured for 120
    swings, each at 16 mean levels of
    light from 50 to 5,000; the count must not depend on the level. Then once more with thresholds
    that scatter from pixel to pixel: the stairs become a cloud, and its mean is near Δ/θ − ½ on
    each way, as that of the stairs is.
    """
    run.predict(
        "at_one",
        f"θ = {cfg.theta:g}. ln I swings up and down by 1.1. How many events a cycle does a pixel make?",
        unit="events",
    )
    swing = np.linspace(0.13, 3.0, 120)
    predicted = 2 * np.floor(swing / cfg.theta)
    ideal = Pixel.ideal(cfg.theta, toe=1.0)
    counts = flicker_counts(cfg, swing, 16, ideal)
    uneven = flicker_counts(cfg, swing, 16, Pixel.ideal(cfg.theta, toe=1.0, sigma=cfg.sigma))
    at_one = flicker_counts(cfg, np.array([1.1]), 2, ideal).mean()
    ratio = counts.mean() / max(predicted.mean(), 1e-9)
    within = np.mean(np.abs(counts - predicted) <= 2)
    scatter = uneven[:, -1].std() / max(uneven[:, -1].mean(), 1e-9)

    title = f"Events of a slow flicker over 2·⌊Δ/θ⌋: {ratio:.3f}"
    fig, (ax, bx) = plots.figure(1, 2, (11, 4), title, sharey=True)
    for panel, found, head in (
        (ax, counts, "one θ for all"),
        (bx, uneven, "θ of each pixel its own"),
    ):
        panel.plot(swing, predicted, color=plots.ORANGE, linewidth=4, label="2·⌊Δ/θ⌋")
        name = "pixels"
        for row in found:
            panel.plot(swing, row, ".", color=plots.BLUE, markersize=3, label=name)
            name = None
        panel.legend()
        plots.label(panel, "swing Δ of ln I", "events a cycle and pixel", head)
    run.figure(fig, "1_flicker", look="whether points leave the stairs, and by how much")

    run.claim("at_one", "swing of 1.1: events a cycle", at_one, "events")
    run.claim("flicker_ratio", "events over 2·⌊Δ/θ⌋", ratio, "times", "0.95..1.05", n=counts.size)
    run.claim(
        "flicker_within", "pixels within ±1 a half cycle", within, target="== 1", n=counts.size
    )
    run.claim("scatter", f"σ = {cfg.sigma:g}: scatter of the count", scatter, n=16)
    run.finding(
        f"A slow flicker makes {ratio:.3f} times the events of 2·⌊Δ/θ⌋, and {100 * within:.0f} % of the "
        f"pixels are within one event a half cycle of it. A mismatch of {100 * cfg.sigma / cfg.theta:.0f} "
        f"% of θ makes the counts of pixels scatter by {100 * scatter:.0f} %."
    )


@section
def section_latency(cfg: Config, run: Run) -> None:
    """2  When does the first event come?

    The light doubles: Δ = ln 2. The low-pass has reached Δ·(1 − exp(−t/τ)) after t, which is θ at
    equation (2). τ is 1/(2π·bandwidth), and the bandwidth is proportional to the light after the
    step (with a small floor, so that it is not 0 in the dark). 256 pixels at seven levels of light,
    with mismatch. A pixel of a higher θ waits longer, and more than in proportion.
    """
    run.predict(
        "slowest",
        "At each light the latency of the slowest of the pixels (95th percentile) is divided by that "
        "of the fastest (5th). What is the ratio?",
        unit="times",
    )
    lights = np.geomspace(1, 1000, 7)  # lux
    delta = math.log(2)
    model = Pixel.ideal(cfg.theta, sigma=cfg.sigma, cutoff_hz=cfg.cutoff_hz, toe=0.1, white=1000.0)
    predicted, median, low, high = [], [], [], []
    for light in lights:
        tau = 1e6 / (2 * math.pi * cfg.cutoff_hz * model.brightness(2 * light))  # µs
        predicted.append(tau * math.log(delta / (delta - cfg.theta)))
        step = max(1, round(tau / 100))
        frames = np.full((800, 16, 16), 2.0 * light)
        frames[0] = light
        events = frames_to_events(frames, step * np.arange(800), model, cfg.seed)
        first = np.full((16, 16), np.nan)
        for event in events[::-1]:  # backwards: the earliest is written last
            first[event["y"], event["x"]] = event["t"]
        median.append(np.nanmedian(first))
        low.append(np.nanpercentile(first, 5))
        high.append(np.nanpercentile(first, 95))
    ratio = np.array(median) / np.array(predicted)
    off = np.abs(ratio - 1).max()
    slowest = (np.array(high) / np.array(low)).mean()

    title = f"Median latency against τ·ln(Δ/(Δ − θ)): off by {100 * off:.1f} % at most"
    fig, ax = plots.figure(1, 1, (8, 4), title)
    ax.fill_between(lights, np.array(low) / 1e3, np.array(high) / 1e3, alpha=0.2, label="5 to 95 %")
    ax.plot(lights, np.array(median) / 1e3, "o", color=plots.BLUE, label="median of 256 pixels")
    ax.plot(lights, np.array(predicted) / 1e3, "--", color=plots.BLACK, label="equation (2)")
    ax.set(xscale="log", yscale="log")
    ax.legend()
    plots.label(ax, "light before it doubles (lux)", "time to the first event (ms)")
    run.figure(
        fig, "2_latency", look="the distance of the points from the line, and the band's width"
    )

    run.claim("latency_theory", "median against equation (2)", off, "1", "<= 0.1", n=7 * 256)
    run.claim("slowest", "95th over 5th percentile", slowest, "times", n=7 * 256)
    run.finding(
        f"The median latency departs from equation (2) by {100 * off:.1f} % at most. With a mismatch of "
        f"{100 * cfg.sigma / cfg.theta:.0f} % of θ the slow pixels take {slowest:.1f} times as long as "
        "the fast ones."
    )


def main(cfg: Config, run: Run) -> None:
    section_flicker(cfg, run)
    section_latency(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
