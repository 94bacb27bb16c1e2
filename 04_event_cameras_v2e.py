"""Lesson 04 — Event cameras: a sensor that speaks in spikes

Question
    What does an eye send that reports changes instead of pictures, and when is that the better deal?

Idea
    A frame camera asks all pixels at once: how bright are you now? Most answers are those of the frame before.
    A pixel of a dynamic vision sensor (DVS) speaks by itself, and only when it has news: it remembers the
    logarithm of the light at its last event, and fires when that has moved by θ:

        ln I(t) − M ≥ +θ   →   event (x, y, t, ON),  M ← M + θ
        ln I(t) − M ≤ −θ   →   event (x, y, t, OFF), M ← M − θ                                           (1)

    The polarity is the *sign of the change*, not a brightness. As ln(k·I) = ln k + ln I, a shadow that halves
    the light costs the same events at noon and at dusk: the pixel sees contrast. (1) is the delta modulation of
    lesson 02, one neuron a pixel, with the threshold on a logarithm. An event travels as an address
    (address-event representation, AER): who fired, with which sign, and when. There are no rows, no frames and
    no clock, and a pixel with nothing to say uses no bandwidth.

    Real pixels are worse than (1). As Hu, Liu & Delbruck (2021) model them for v2e, with τ = 1/(2πf):

        response     ln x for x > 20, x·ln 20 / 20 below       x: grey level; the toe is linear
        bandwidth    f(I) = f_white·(I + I_toe) / (I_white + I_toe)      slow in the dark                (2)
        mismatch     θ_i = θ + σ·N(0, 1)                                 no two pixels are alike
        leak         M sinks by θ every 1/r_leak seconds                 ON events out of nothing
        shot noise   Poisson events, rate r_shot·(1 − ¾·brightness)      most in the dark                (3)
        refractory   a pixel pauses after each of its events

    eventcam/events.py holds these lines for whole frames at once. Between two frames the filtered logarithm runs
    on a straight line, so each event gets the microsecond at which that line crosses its threshold. (If things
    move by several pixels between frames that line is wrong, and so are the events: v2e first makes slow motion.)

Read first
    Theory:   Gallego et al. 2020, Event-based Vision: A Survey, sections 1–3, https://arxiv.org/abs/1904.08405
              Hu, Liu & Delbruck 2021, v2e, https://arxiv.org/abs/2006.07722
    Practice: v2e, https://github.com/SensorsINI/v2e

Run
    uv run 04_event_cameras_v2e.py                    about 5 s on two CPU cores
    uv run 04_event_cameras_v2e.py --video clip.mp4   your own clip (or GIF): its first --num-steps frames
    uv run 04_event_cameras_v2e.py --events v2e.h5    what v2e wrote (.h5, .txt, .aedat)
    uv run 04_event_cameras_v2e.py --smoke            seconds
    uv run 04_event_cameras_v2e.py --full             the rendered clip at 346×260

You should see
    A slow flicker gives 2·⌊Δ ln I / θ⌋ events per cycle, to 0.0 %. The same bars give the same count from 1 to
    10⁶ lux (a fixed 8-bit exposure shows their contrast over 1.3 decades), unless the pixel has its real, slow
    response: then 1 lux leaves 1.3 % of the events.
    A still scene gives 0.76 noise events a second and pixel, 0.99 of what was configured, and nothing else.
    Events are 13 times fewer bytes than raw 60 Hz frames at 0.02 turns a second, and more from 0.66 turns on.
    After a step of light at 100 lux the first event comes after 2.7 % of a 30 Hz frame; at 1 lux it is too late.

Builds on / leads to
    Delta modulation from 02, rasters from 03. Lesson 11 trains on recordings of real event cameras; the
    Pong capstone asks whether events are a better input than frames.

Predict: with --theta 0.4 every pixel needs twice the change. Do the clip's events fall to half, or lower still?
Next: uv run 05_population_coding.py
"""

from __future__ import annotations

import io
import math
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common import plots
from common.io import UserError
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from eventcam.events import (
    DVS,
    Pixel,
    accumulate,
    aer_bits,
    aer_decode,
    aer_encode,
    frames_to_events,
    v2e_events,
)
from eventcam.files import read_events
from eventcam.video import read_video

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

FRAME_RATE = 30.0  # of the frame camera that the latency is compared with, Hz
CAMERA_RATE = 60.0  # of the frame camera whose bytes are counted, Hz
EVENT_BYTES = 5  # a 40-bit address-event


@dataclass
class Config(LessonConfig):
    """num_steps is the number of frames of the clip; the other experiments make their own input."""

    num_steps: int = bounded(240, 1, 100_000)
    """frames of the clip that are converted"""
    theta: float = bounded(0.2, 0.02, 0.6)
    """threshold θ of both polarities, as a step of ln(intensity): 0.2 is a change by 22 %"""
    sigma: float = bounded(0.03, 0, 0.2)
    """mismatch: standard deviation of θ from pixel to pixel"""
    cutoff_hz: float = bounded(300.0, 0, 1e5)
    """bandwidth of a pixel in full light, in Hz (0: infinitely fast)"""
    leak_hz: float = bounded(0.1, 0, 100)
    """leak events per pixel and second"""
    shot_hz: float = bounded(1.0, 0, 1000)
    """shot noise events per pixel and second in the dark"""
    refractory_us: float = bounded(500.0, 0, 1e6)
    """pause of a pixel after an event, in microseconds"""
    fps: float = bounded(500.0, 1, 1e5)
    """frames per second of the rendered clip"""
    size: int = bounded(96, 16, 1024)
    """height of the rendered clip in pixels; it is 4/3 as wide"""
    static_s: float = bounded(10.0, 0.1, 1000)
    """seconds for which the motionless scene is watched"""
    engine: str = "auto"
    """what turns frames into events: builtin, v2e, or auto (v2e if it can be imported)"""
    video: Path | None = None
    """a clip to convert instead of the rendered one"""
    events: Path | None = None
    """a file of events (.h5, .txt, .aedat), to look at instead of converting anything"""
    sensor: str = ""
    """sensor of an AEDAT-2.0 file that does not name its own, as v2e's: davis346, davis240, dvs640 or dvs128"""

    def validate(self) -> None:
        super().validate()
        if self.engine not in ("auto", "builtin", "v2e"):
            raise UserError(f"--engine: got {self.engine!r}, allowed are auto, builtin and v2e")
        if self.engine == "v2e" and find_spec("v2ecore") is None:
            raise UserError(
                "--engine v2e: the package v2ecore is not installed; use --engine builtin, or run v2e in "
                "an environment of its own as README tells, and read its file with --events"
            )
        if self.video and self.events:
            raise UserError("got --video and --events together, allowed is one of them")

    def pixel(self) -> Pixel:
        return Pixel(
            self.theta,
            self.theta,
            self.sigma,
            self.cutoff_hz,
            self.leak_hz,
            self.shot_hz,
            self.refractory_us,
        )


SMOKE = dict(num_steps=30, size=32, static_s=1.0, engine="builtin")
FULL = dict(num_steps=1000, size=260, fps=1000.0, static_s=60.0)


# ------------------------------------------------------------------------------------------------ the scene


def render(t: np.ndarray, height: int, speed: float = 2.0) -> Iterator[np.ndarray]:
    """A painted disc that spins ``speed`` times a second and a ball that swings before a wall, at times ``t`` (s).

    Yields grey levels 0–255, linear in light and not rounded, ``(H, W)``; edges are one pixel soft.
    """
    width = height * 4 // 3
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wall = 95 + 30 * np.sin(0.55 * x) * np.sin(0.4 * y + 0.02 * x)
    cx, cy, radius = 0.37 * width, 0.5 * height, 0.4 * height
    r, angle = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
    disc, rings = (
        1 / (1 + np.exp(np.clip(3 * (r - radius), -50, 50))),
        np.sin(2 * np.pi * 1.5 * r / radius),
    )
    for now in t:
        turn = 2 * np.pi * speed * now
        paint = 125 + 95 * np.tanh(3 * np.sin(3 * (angle - turn)) * rings)
        bx, by = width * (0.85 + 0.07 * np.sin(turn)), height * (0.5 + 0.35 * np.cos(turn / 2))
        ball = 1 / (1 + np.exp(np.clip(3 * (np.hypot(x - bx, y - by) - 0.1 * height), -50, 50)))
        yield (wall * (1 - disc) + paint * disc) * (1 - ball) + 235 * ball


def load_clip(cfg: Config) -> tuple[str, np.ndarray, np.ndarray]:
    """Name, frames ``(T, H, W)`` and their times (µs) of the clip that experiment 1 converts."""
    if cfg.video:
        frames, t_us = read_video(cfg.video, cfg.num_steps)
        return f"video {cfg.video.name}", frames, t_us
    t = np.arange(cfg.num_steps) / cfg.fps
    return "rendered clip", np.stack([*render(t, cfg.size)]), np.rint(t * 1e6).astype(np.int64)


# ------------------------------------------------------------------------------------------------ experiments


def experiment_clip(cfg: Config, frames: np.ndarray, t_us: np.ndarray) -> tuple[np.ndarray, str]:
    """(1) Frames → events, and the name of the engine that made them."""
    if cfg.engine == "v2e" or (cfg.engine == "auto" and find_spec("v2ecore") is not None):
        return v2e_events(frames, t_us, cfg.pixel(), cfg.seed), "v2e"
    return frames_to_events(frames, t_us, cfg.pixel(), cfg.seed), "the builtin model"


def experiment_aer(events: np.ndarray, width: int, height: int) -> dict[str, Any]:
    """(2) Every event into 40 bits and back."""
    bits = aer_bits(width, height)
    # after a pause as long as the clock's wrap (2 s and more) a new packet starts, which names its own start
    packets = (
        np.split(events, np.flatnonzero(np.diff(events["t"]) >> bits[2]) + 1) if len(events) else []
    )
    same = size = 0
    for packet in packets:
        begin = int(packet["t"][0])
        words = aer_encode(packet, width, height, begin)  # (N, 5) bytes
        same, size = (
            same + np.sum(aer_decode(words, width, height, begin) == packet),
            size + words.size,
        )
    return {"exact": same / len(events) if len(events) else 1.0, "bytes": size, "bits": bits}


def experiment_bytes(cfg: Config, speeds: np.ndarray, seconds: float = 0.3) -> dict[str, Any]:
    """(3) Bytes a second of events, of raw frames, and of frames compressed in two ways, as the disc spins faster.

    The frame camera has a read noise of one grey level; the DVS has the noise of ``cfg``.
    """
    rng = np.random.default_rng(cfg.seed)
    names = ("events, 5 bytes each", "raw frames", "frames, lossless", "frames, JPEG")
    rates = np.empty((4, len(speeds)))  # bytes per second
    for i, speed in enumerate(speeds):
        # the DVS has no frames, so its clip must be fine enough: the rim moves half a pixel from frame to frame
        fps = max(100.0, 2 * 2 * math.pi * speed * 0.4 * cfg.size)
        t = np.arange(int(seconds * fps) + 1) / fps
        events = frames_to_events(
            render(t, cfg.size, speed), np.rint(t * 1e6), cfg.pixel(), cfg.seed
        )
        shots = np.stack(
            [*render(np.arange(round(seconds * CAMERA_RATE) + 1) / CAMERA_RATE, cfg.size, speed)]
        )
        shots = np.clip(np.rint(shots + rng.standard_normal(shots.shape)), 0, 255).astype(np.uint8)
        change = np.diff(shots, axis=0)  # modulo 256: nothing is lost
        per_frame = (
            change[0].size,
            *(
                np.mean([size(f) for f in frames])
                for size, frames in (
                    (lambda f: len(zlib.compress(f.tobytes(), 6)), change),
                    (jpeg_bytes, shots[1:]),
                )
            ),
        )
        rates[:, i] = EVENT_BYTES * len(events) / t[-1], *(CAMERA_RATE * n for n in per_frame)
    # where events overtake each kind of frame, between two measured speeds (an end of the sweep if nowhere in it)
    gap = np.log(np.maximum(rates[0], 1)) - np.log(rates[1:])
    crossing = {
        name: float(np.exp(np.interp(0, g, np.log(speeds))))
        for name, g in zip(names[1:], gap, strict=True)
    }
    return {"speeds": speeds, "rates": dict(zip(names, rates, strict=True)), "crossing": crossing}


def jpeg_bytes(frame: np.ndarray) -> int:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=85)
    return buffer.tell()


def experiment_static(cfg: Config) -> dict[str, Any]:
    """(4) Nothing moves. What still comes is noise, at the rate that was configured, and nothing from ideal pixels."""
    frame, p = next(render(np.zeros(1), cfg.size)), cfg.pixel()
    t = np.arange(0, cfg.static_s + 1e-9, 0.02)
    noise, silent = (
        frames_to_events([frame] * len(t), t * 1e6, pixel, cfg.seed) for pixel in (p, Pixel.ideal())
    )
    # (3), with the mean of 1/θ over pixels whose θ scatters by σ: (1 + σ²/θ²)/θ
    shot = p.shot_hz * np.mean(1 - 0.75 * p.brightness(frame)) * (1 + (p.sigma / p.theta_on) ** 2)
    expected = (p.leak_hz + shot) * frame.size * t[-1]
    return {
        "frame": frame,
        "seconds": t[-1],
        "noise": noise,
        "silent": len(silent),
        "expected": expected,
        "expected_on": (p.leak_hz + shot / 2) / max(p.leak_hz + shot, 1e-12),
        "rate": len(noise) / frame.size / t[-1],
    }


def experiment_flicker(cfg: Config, cycles: int = 3) -> dict[str, Any]:
    """(5) A slow sinusoidal flicker gives 2·⌊Δ ln I / θ⌋ events per cycle and pixel.

    I(t) = I₀·(1 + m·sin ωt) swings by Δ ln I = ln((1 + m)/(1 − m)), so m = tanh(Δ/2). Each column has a Δ of its
    own, each row an I₀. It starts in the darkest moment; started elsewhere, a half cycle may have one event less.
    """
    delta, mean = np.linspace(0.13, 3.0, 120), np.geomspace(50, 5000, 16)[:, None]
    wave = -np.cos(2 * np.pi * np.arange(200 * cycles + 1) / 200)[:, None, None]
    frames = mean * (1 + np.tanh(delta / 2) * wave)  # (T, rows, columns)
    events = frames_to_events(
        frames, 5000 * np.arange(len(frames)), Pixel.ideal(cfg.theta, toe=1.0)
    )  # 1 Hz
    counts = np.bincount(events["y"].astype(int) * 120 + events["x"], minlength=16 * 120).reshape(
        16, 120
    )
    return {"delta": delta, "counts": counts / cycles, "predicted": 2 * np.floor(delta / cfg.theta)}


def experiment_lux(cfg: Config) -> dict[str, Any]:
    """(6) Bars of contrast 2 : 1 pass by, under 1 to 10⁶ lux: events of a DVS, contrast as an 8-bit camera sees it."""
    lux = np.geomspace(1, 1e6, 13)
    t = np.arange(400) / 1000
    x = np.arange(64) - 100 * t[:, None]  # the bars move at 100 pixels a second
    bars = np.repeat(
        (0.75 + 0.25 * np.tanh(6 * np.sin(2 * np.pi * x / 32)))[:, None], 4, axis=1
    )  # (T, 4, 64), 0.5…1
    ideal = Pixel.ideal(cfg.theta, toe=0.1, white=1000.0)
    count = lambda light, pixel: len(frames_to_events(light * bars, t * 1e6, pixel))  # noqa: E731
    # the frame camera's exposure is set once, so that white is grey level 200 at 1,000 lux; it has 256 levels
    fine = np.geomspace(1, 1e6, 1201)
    bright, dark = (np.clip(np.floor(white * fine / 1000), 1, 255) for white in (200, 100))
    camera = np.log(bright / dark)
    wrong = fine[np.abs(camera / math.log(2) - 1) > 0.1]
    decades = np.log10(
        wrong[wrong > 1000][0] / wrong[wrong < 1000][-1]
    )  # the stretch around 1,000 lux
    return {
        "lux": lux,
        "ideal": np.array([count(light, ideal) for light in lux]),
        "slow": np.array([count(light, replace(ideal, cutoff_hz=300.0)) for light in lux]),
        "fine": fine,
        "camera": camera,
        "decades": decades,
    }


def experiment_latency(cfg: Config) -> dict[str, Any]:
    """(7) The light doubles at t = 0. When does the first event come, and what does (2) say?

    After a step by Δ the filter has Δ·(1 − e^(−t/τ)), which reaches θ at t = τ·ln(Δ/(Δ − θ)).
    """
    p = Pixel.ideal(
        cfg.theta, sigma=cfg.sigma, cutoff_hz=cfg.cutoff_hz or 300.0, toe=0.1, white=1000.0
    )
    lux, delta, n = np.geomspace(1, 1000, 7), math.log(2), 16
    predicted, first = [], []
    for light in lux:
        tau = 1e6 / (2 * math.pi * p.cutoff_hz * p.brightness(2 * light))  # µs
        predicted.append(tau * math.log(delta / (delta - cfg.theta)))
        dt = max(1, round(predicted[-1] / 50))
        sensor, times = DVS(p, cfg.seed), np.full((n, n), np.nan)
        sensor.step(np.full((n, n), light), 0)
        for k in range(1, 400):
            events = sensor.step(np.full((n, n), 2 * light), k * dt)[
                ::-1
            ]  # the earliest is written last
            fresh = np.isnan(times[events["y"], events["x"]])
            times[events["y"][fresh], events["x"][fresh]] = events["t"][fresh]
        first.append(times.ravel())
    return {"lux": lux, "predicted": np.array(predicted), "first": np.array(first)}


# ------------------------------------------------------------------------------------------------ figures


def plot_cloud(
    frames: np.ndarray | None,
    t_us: np.ndarray,
    events: np.ndarray,
    shape: tuple[int, int],
    name: str,
) -> Figure:
    """Events in space and time; and for two moments the frame and what the events of 20 ms around it add up to."""
    (h, w), begin, span = shape, int(t_us[0]), max(int(t_us[-1] - t_us[0]), 1)
    fig = plt.figure(figsize=(12.5, 6))
    on = f"{np.mean(events['p']):.0%} of them ON" if len(events) else "nothing moved"
    fig.suptitle(f"{name}: {len(events):,} events in {span / 1e6:.2f} s, {on}", x=0.01, ha="left")
    grid = fig.add_gridspec(2, 3, width_ratios=[2.3, 1, 1])
    ax = fig.add_subplot(grid[:, 0], projection="3d")
    part = events[events["t"] < begin + span // 4]
    part = part[np.linspace(0, len(part) - 1, min(len(part), 12_000)).astype(int)]
    for p, color, word in ((True, plots.RED, "ON: brighter"), (False, plots.BLUE, "OFF: darker")):
        e = part[part["p"] == p]
        ax.scatter(
            e["t"] / 1e3,
            e["x"],
            h - 1 - e["y"],
            s=3,
            color=color,
            alpha=0.6,
            linewidths=0,
            label=word,
        )
    ax.set(
        xlabel="time (ms)",
        ylabel="x (pixel)",
        zlabel="height (pixel)",
        xlim=(begin / 1e3, (begin + span / 4) / 1e3),
    )
    ax.set_box_aspect((1.8, w / h, 1), zoom=0.9)
    ax.view_init(15, -50)
    ax.set_title("the first quarter as a point cloud")
    ax.legend(loc="upper left", markerscale=4)
    for i, at in enumerate(begin + span * np.array([0.3, 0.7])):
        top, bottom = fig.add_subplot(grid[0, i + 1]), fig.add_subplot(grid[1, i + 1])
        if frames is not None:
            top.imshow(frames[np.abs(t_us - at).argmin()], cmap="gray", vmin=0, vmax=255)
        top.set_title(
            f"frame at {at / 1e3:.0f} ms" if frames is not None else "v2e's file has no frames"
        )
        near = accumulate(events, shape, np.array([at - 10_000, at + 10_000]))[0]
        bottom.imshow(near, cmap="RdBu_r", vmin=-4, vmax=4)
        bottom.set_title(f"ON − OFF, {at / 1e3:.0f} ± 10 ms")
        for panel in (top, bottom):
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
        if frames is None:
            top.set_axis_off()
    return fig


def plot_bytes(result: dict[str, Any]) -> Figure:
    fig, ax = plots.figure(
        1,
        1,
        (7.5, 4.4),
        "Events are the smaller message until the disc turns\n"
        f"{result['crossing']['raw frames']:.2g} times a second; beyond that raw frames are",
    )
    plots.curves(ax, result["speeds"], {k: v / 1e3 for k, v in result["rates"].items()})
    for name, speed in result["crossing"].items():
        height = np.interp(np.log(speed), np.log(result["speeds"]), np.log(result["rates"][name]))
        ax.plot(
            speed,
            np.exp(height) / 1e3,
            "o",
            color=plots.BLACK,
            markerfacecolor="none",
            markersize=12,
        )
    ax.set(xscale="log", yscale="log")
    plots.label(
        ax,
        "turns of the disc per second",
        f"kB per second (frames at {CAMERA_RATE:.0f} Hz)",
        "circles: events overtake",
    )
    return fig


def plot_static(result: dict[str, Any]) -> Figure:
    noise, n, t = result["noise"], result["frame"].size, np.linspace(0, result["seconds"], 200)
    fig, ax = plots.figure(
        1,
        1,
        (7.5, 4),
        f"A still scene: {result['rate']:.2f} events a second and pixel, all of "
        f"them\nnoise; ideal pixels send {result['silent']}",
    )
    for p, share, word in (
        (True, result["expected_on"], "ON"),
        (False, 1 - result["expected_on"], "OFF"),
    ):
        ax.plot(
            t,
            np.searchsorted(noise["t"][noise["p"] == p], t * 1e6) / n,
            color=plots.RED if p else plots.BLUE,
            label=f"{word}, measured",
        )
        ax.plot(
            t,
            share * result["expected"] / n * t / result["seconds"],
            "--",
            color=plots.BLACK,
            linewidth=1,
            label="from the configuration" if p else None,
        )
    ax.legend()
    plots.label(
        ax, "time (s)", "events per pixel so far", "shot noise has both signs, leak is ON only"
    )
    return fig


def plot_flicker(result: dict[str, Any]) -> Figure:
    error = result["counts"].mean() / result["predicted"].mean() - 1
    fig, ax = plots.figure(
        1,
        1,
        (7.5, 4),
        f"Slow flicker: the count is 2·⌊Δ ln I / θ⌋, on average to {100 * error:+.1f} %",
    )
    ax.plot(
        result["delta"],
        result["predicted"],
        color=plots.ORANGE,
        linewidth=4,
        alpha=0.6,
        label="2·⌊Δ ln I / θ⌋",
    )
    ax.plot(
        result["delta"],
        result["counts"].T,
        ".",
        color=plots.BLUE,
        markersize=3,
        label=["pixels"] + [None] * (len(result["counts"]) - 1),
    )
    ax.legend()
    plots.label(ax, "swing of the light, Δ ln I", "events per cycle and pixel")
    return fig


def plot_lux(result: dict[str, Any]) -> Figure:
    worst = np.abs(result["ideal"] / result["ideal"].mean() - 1).max()
    fig, (a, b) = plots.figure(
        1,
        2,
        (11, 3.9),
        "The same bars from 1 to 10⁶ lux: an ideal DVS's count is within "
        f"{100 * worst:.1f} %;\n8 bits show them over {result['decades']:.1f} decades",
    )
    plots.curves(
        a, result["lux"], {"ideal pixel": result["ideal"], "with the low-pass": result["slow"]}
    )
    a.set(xscale="log", ylim=(0, None))
    plots.label(a, "illumination (lux)", "events", "event camera: contrast, whatever the light")
    b.plot(result["fine"], result["camera"], color=plots.BLUE, label="from 8-bit frames")
    b.axhline(
        math.log(2), color=plots.BLACK, linestyle="--", linewidth=1, label="true contrast, ln 2"
    )
    b.set_xscale("log")
    b.legend()
    plots.label(
        b,
        "illumination (lux)",
        "ln(bright bar / dark bar)",
        "frame camera: coarse steps below, clipped above",
    )
    return fig


def plot_latency(result: dict[str, Any]) -> Figure:
    ms, lux, period = result["first"] / 1e3, result["lux"], 1e3 / FRAME_RATE
    median = np.nanmedian(ms, axis=1)
    faster = lux[median < period]
    where = f"from {faster[0]:.0f} lux up" if len(faster) else "at none of these lights"
    fig, ax = plots.figure(
        1,
        1,
        (7.5, 4.2),
        f"At {lux[-1]:.0f} lux the first event takes {median[-1]:.2g} ms; it\n"
        f"beats the next frame {where}",
    )
    ax.fill_between(
        lux,
        *np.nanpercentile(ms, (5, 95), axis=1),
        color=plots.BLUE,
        alpha=0.2,
        linewidth=0,
        label="5–95 % of the pixels (mismatch)",
    )
    ax.plot(lux, median, "o", color=plots.BLUE, label="median pixel")
    ax.plot(
        lux,
        result["predicted"] / 1e3,
        "--",
        color=plots.BLACK,
        linewidth=1,
        label="τ(I)·ln(Δ / (Δ − θ))",
    )
    ax.axhline(period, color=plots.RED, label=f"one frame at {FRAME_RATE:.0f} Hz")
    ax.set(xscale="log", yscale="log")
    ax.legend()
    plots.label(ax, "illumination before the light doubles (lux)", "time to the first event (ms)")
    return fig


# ------------------------------------------------------------------------------------------------ the lesson


def main(cfg: Config, run: Run) -> None:
    # 1, 2: a clip becomes events, and events become 40-bit addresses
    if cfg.events:
        read = read_events(cfg.events, cfg.sensor)
        name, frames, events = f"the file {cfg.events.name}", None, read.events
        if not len(events):
            raise UserError(f"--events: {cfg.events.name} holds no event")
        for line in read.notes:
            run.print(f"   {cfg.events.name}: {line}")
        width, height = read.size or (int(events["x"].max()) + 1, int(events["y"].max()) + 1)
        shape, t_us = (height, width), events["t"][[0, -1]]
    else:
        name, frames, t_us = load_clip(cfg)
        shape, began = frames.shape[1:], time.perf_counter()
        events, engine = experiment_clip(cfg, frames, t_us)
        took = time.perf_counter() - began
        run.print(
            f"clip      {name}: {len(frames)} frames of {shape[1]}×{shape[0]} → {len(events):,} events by "
            f"{engine}, {frames.size / took / 1e6:.0f} megapixels/s"
        )
    run.datasets.append(
        {"name": name, "stand_in": False, "sizes": {"frames": 0 if frames is None else len(frames)}}
    )
    seconds = max((int(t_us[-1]) - int(t_us[0])) / 1e6, 1e-6)
    run.figure(plot_cloud(frames, t_us, events, shape, name), "cloud")
    run.claim("events", f"events of the clip ({seconds:.2f} s)", len(events), "events")
    run.claim(
        "on_share",
        "share of ON events",
        np.mean(events["p"]) if len(events) else 0.0,
        n=len(events),
    )
    aer = experiment_aer(events, shape[1], shape[0])
    run.claim(
        "aer_exact",
        "events unchanged after 40-bit AER encode and decode",
        aer["exact"],
        target="== 1",
        n=len(events),
    )
    run.table(
        f"The clip, {shape[1]}×{shape[0]} pixels, as bytes",
        ["sent as", "kB per second"],
        [
            [
                "events; bits of x {}, y {}, time {}, polarity 1".format(*aer["bits"]),
                aer["bytes"] / seconds / 1e3,
            ],
            *(
                [f"raw frames at {rate:.0f} Hz", rate * shape[0] * shape[1] / 1e3]
                for rate in (CAMERA_RATE, 1000)
            ),
        ],
    )

    # 3: when are events the smaller message?
    sent = experiment_bytes(cfg, np.geomspace(0.02, 5.0, 4 if cfg.smoke else 13))
    run.figure(plot_bytes(sent), "bytes")
    bytes_ratio = sent["rates"]["raw frames"] / np.maximum(sent["rates"]["events, 5 bytes each"], 1)
    run.claim(
        "bytes_saved",
        "bytes of raw frames over those of events, 0.02 turns/s",
        bytes_ratio[0],
        "×",
        ">= 5",
    )
    run.claim(
        "bytes_lost",
        "bytes of raw frames over those of events, 5 turns/s",
        bytes_ratio[-1],
        "×",
        "<= 1",
    )
    for key, (kind, speed) in zip(
        ("raw", "lossless", "jpeg"), sent["crossing"].items(), strict=True
    ):
        run.claim(f"crossing_{key}", f"events overtake {kind} at", speed, "turns/s", "0.021..4.9")

    # 4: a still scene
    static = experiment_static(cfg)
    run.figure(plot_static(static), "static")
    run.claim(
        "static_silent",
        "events of ideal pixels before a still scene",
        static["silent"],
        "events",
        "== 0",
    )
    run.claim(
        "noise_rate",
        "noise events per pixel and second",
        static["rate"],
        "Hz",
        n=len(static["noise"]),
    )
    ratio = (
        len(static["noise"]) / static["expected"]
        if static["expected"]
        else 1.0 + len(static["noise"])
    )
    run.claim(
        "noise_ratio",
        "noise rate over the configured rate",
        ratio,
        "×",
        "0.9..1.1",
        n=len(static["noise"]),
    )

    # 5: flicker
    flicker = experiment_flicker(cfg)
    run.figure(plot_flicker(flicker), "flicker")
    counts, predicted = flicker["counts"], flicker["predicted"]
    run.claim(
        "flicker_ratio",
        "events of a slow flicker over 2·⌊Δ ln I / θ⌋",
        counts.mean() / predicted.mean(),
        "×",
        "0.95..1.05",
        n=counts.size,
    )
    run.claim(
        "flicker_within",
        "pixels within ±1 event a half cycle of it",
        np.mean(np.abs(counts - predicted) <= 2),
        target="== 1",
        n=counts.size,
    )

    # 6: contrast, not brightness
    light = experiment_lux(cfg)
    run.figure(plot_lux(light), "lux")
    run.claim(
        "invariance",
        "largest deviation of the event count, 1 to 10⁶ lux",
        np.abs(light["ideal"] / light["ideal"].mean() - 1).max(),
        target="<= 0.1",
        n=int(light["ideal"].sum()),
    )
    run.claim(
        "dark_share",
        "events left at 1 lux when the pixel has its low-pass",
        light["slow"][0] / light["slow"].max(),
    )
    run.claim(
        "camera_decades",
        "decades of light in which 8 bits show the contrast to 10 %",
        light["decades"],
        "decades",
        "<= 3",
    )

    # 7: how soon?
    first = experiment_latency(cfg)
    run.figure(plot_latency(first), "latency")
    median = np.nanmedian(first["first"], axis=1)
    run.claim(
        "latency_frame",
        "median latency at 100 lux over a frame period (30 Hz)",
        median[4] * FRAME_RATE / 1e6,
        target="<= 0.1",
        n=first["first"].shape[1],
    )
    run.claim(
        "latency_theory",
        "largest deviation of median latency from τ·ln(Δ / (Δ − θ))",
        np.abs(median / first["predicted"] - 1).max(),
        target="<= 0.1",
        n=first["first"].size,
    )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
