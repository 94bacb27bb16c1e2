"""Lesson 04 — Event cameras: a sensor that speaks in spikes

Question
    A camera takes thirty pictures a second, whether anything moves or not. A retina does not: its
    cells report what changes, at the moment when it changes. What does a camera send that works
    like a retina, and when is that the better deal?

Idea
    Each pixel of a *dynamic vision sensor* (DVS) works by itself. It remembers a number M, which
    starts as the logarithm of the light I. As soon as ln I has moved away from M by the threshold
    θ, the pixel sends an *event*, and M follows by one θ:

        ln I(t) − M ≥ +θ     →     event (x, y, t, ON)         M ← M + θ
        ln I(t) − M ≤ −θ     →     event (x, y, t, OFF)        M ← M − θ                     (1)

    The *polarity*, ON or OFF, is the sign of a change: it got brighter, or darker. It does not say
    how bright it is. There are no frames and no clock, and a pixel without news is silent. This is the
    delta code of lesson 02, on a logarithm, with one neuron a pixel.

Read first
    Theory     Gallego et al. 2020, Event-based Vision: A Survey, sections 1 to 3,
               https://arxiv.org/abs/1904.08405
               Hu, Liu & Delbruck 2021, v2e, https://arxiv.org/abs/2006.07722
    Practice   v2e's documentation, https://github.com/SensorsINI/v2e

Run
    uv run 04_event_cameras_v2e.py --predict          asks what you expect first: start here
    uv run 04_event_cameras_v2e.py                    without questions; 15 seconds on two cores
    uv run 04_event_cameras_v2e.py --video clip.mp4   your own clip; also --theta 0.4, --only 4
    uv run 04_event_cameras_v2e.py --events v2e.h5    a file of events (.h5, .txt, .aedat, --sensor)

Builds on / leads to
    Delta modulation from lesson 02, rasters from 03. Lesson 11 trains on recordings of real event
    cameras. studies/04_pixel_physics.py sets the model against closed forms.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from common import plots
from common.io import UserError
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from eventcam.events import (
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
from PIL import Image

CAMERA_RATE = 60.0  # of the frame camera whose bytes are counted, Hz
FRAME_RATE = 30.0  # of the frame camera that latency is compared with, Hz
EVENT_BYTES = 5  # a 40-bit address-event
STILL_S = 10.0  # seconds for which section 6 watches a scene without motion


@dataclass
class Config(LessonConfig):
    """``num_steps`` is the number of frames of the clip; other sections make their own input."""

    num_steps: int = bounded(240, 1, 100_000)
    """frames of the clip that are converted"""
    theta: float = bounded(0.2, 0.02, 0.6)
    """threshold θ of both polarities, as a step of ln I: 0.2 is a change by 22 %"""
    sigma: float = bounded(0.03, 0, 0.2)
    """mismatch: standard deviation of θ from pixel to pixel"""
    cutoff_hz: float = bounded(300.0, 0, 1e5)
    """bandwidth of a pixel at white (grey level 255; in section 5, 1,000 lux), in Hz; 0: infinite"""
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
    engine: str = "auto"
    """what turns frames into events: builtin, v2e, or auto (v2e if it can be imported)"""
    video: Path | None = None
    """a clip to convert instead of the rendered one"""
    events: Path | None = None
    """a file of events (.h5, .txt, .aedat), to look at instead of converting anything"""
    sensor: str = ""
    """sensor of a file that does not name its own: davis346, davis240, dvs640 or dvs128"""

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

    @property
    def pixel(self) -> Pixel:
        """The real pixel of these flags: with mismatch, low-pass, noise and pause."""
        return Pixel(
            theta_on=self.theta,
            theta_off=self.theta,
            sigma=self.sigma,
            cutoff_hz=self.cutoff_hz,
            leak_hz=self.leak_hz,
            shot_hz=self.shot_hz,
            refractory_us=self.refractory_us,
        )


SMOKE = {"num_steps": 30, "size": 32, "engine": "builtin"}
FULL = {"num_steps": 1000, "size": 260, "fps": 1000.0}


def counted(number: int) -> str:
    """1 event, 2 events."""
    return f"{number:,} event{'' if number == 1 else 's'}"


# ---------------------------------------------------------------- 1  one pixel


def pixel_events(light: np.ndarray, theta: float) -> tuple[list[tuple[int, int]], np.ndarray]:
    """One ideal DVS pixel, equation (1): light ``(T,)`` → its events, and what it remembers ``(T,)``.

    An event is (step, +1 for ON or −1 for OFF). A large change makes several at the same step.
    """
    memory = math.log(light[0])
    events = []
    memory_rec = np.zeros(len(light))
    for t, intensity in enumerate(light):
        level = math.log(intensity)
        while level - memory >= theta:
            events.append((t, +1))
            memory += theta
        while level - memory <= -theta:
            events.append((t, -1))
            memory -= theta
        memory_rec[t] = memory
    return events, memory_rec


def one_pixels_light(steps: int) -> np.ndarray:
    """A second of light for section 1: steady, doubled at once, a slow fade, a flicker; 1 at the start."""
    t = np.linspace(0, 1, steps)
    light = np.ones(steps)
    light[(t >= 0.15) & (t < 0.4)] = 2.0
    fade = (t >= 0.4) & (t < 0.65)
    light[fade] = 2.0 * np.exp(-(t[fade] - 0.4) / 0.25 * math.log(4))  # from 2 down to 1/2
    flicker = t >= 0.65
    light[flicker] = 0.5 * np.exp(0.5 * np.sin(2 * np.pi * (t[flicker] - 0.65) / 0.1))
    return light


@section
def section_one_pixel(cfg: Config, run: Run) -> None:
    """1  What does one pixel say?

    A pixel of an ordinary camera collects light for one exposure, and hands over a number when the
    clock asks for it. A DVS pixel is asked by nobody. Its photodiode's current goes through a
    circuit whose voltage follows the *logarithm* of the light; a capacitor holds M; and two
    comparators watch the difference, equation (1). All of it stands in `pixel_events` above.

    Why a logarithm? Because ln(k·I) = ln k + ln I. Whatever multiplies the light, a cloud or the
    lamp that is switched on, adds a constant to the logarithm, and constants drop out of the
    difference from M. What an object does to the light is to multiply it: white paper sends back
    80 % of it, black print 5 %, at noon as at dusk. So the pixel reports contrast, the ratio
    between neighbouring moments, and not brightness.

    The receiver sees only events. But it can add them up: one θ for each ON, minus one θ for each
    OFF, is M − M(0). So it knows ln I, up to a constant and with an error below θ.

    The left column shows a pixel at noon, and the right column the same scene with a hundredth of
    its light. Below each is what a camera makes of it that takes 30 pictures a second, with 256
    grey levels and an exposure that fits the noon.
    """
    run.predict(
        "step",
        f"The light of the pixel doubles, all at once. θ is {cfg.theta:g}. How many events does it send?",
        unit="events",
    )
    steps = 1000  # of 1 ms
    shape = one_pixels_light(steps)
    shown = {"noon, 10,000 lux": 1e4 * shape, "dusk, 100 lux": 1e2 * shape}
    every = round(1000 / FRAME_RATE)
    streams = {}
    greys = {}
    rows = {"sharex": True, "height_ratios": (1, 1.3, 0.6, 1)}
    fig, axes = plots.figure(4, 2, (11, 7.4), **rows)
    for column, (name, light) in enumerate(shown.items()):
        events, memory_rec = pixel_events(light, cfg.theta)
        grey = np.clip(np.floor(light[::every] / 1e4 * 100), 0, 255)  # 10,000 lux is level 100
        streams[name] = events
        greys[name] = len(np.unique(grey))
        ax, bx, cx, dx = axes[:, column]
        ax.plot(light, color=plots.GREEN)
        ax.set_ylim(0, 2.3 * light[0])
        ax.set_title(f"{name} at the start")
        bx.plot(np.log(light), color=plots.GREEN, label="ln I")
        bx.plot(memory_rec, color=plots.BLUE, drawstyle="steps-post", label="memory M")
        bx.set_ylim(math.log(light[0]) - 1.9, math.log(light[0]) + 1.3)
        for sign, colour in ((1, plots.RED), (-1, plots.BLUE)):
            times = [t for t, polarity in events if polarity == sign]
            look = {"colors": colour, "lineoffsets": sign, "linelengths": 1.2}
            cx.eventplot([times], **look)
            for t in sorted(set(times)):
                if times.count(t) > 2:
                    cx.text(t + 8, sign, f"{times.count(t)} at once", va="center", fontsize=9)
        cx.set_yticks([-1, 1], ["OFF", "ON"])
        cx.set_ylim(-2, 2)
        cx.set_title(f"{len(events)} events")
        dx.plot(np.arange(len(grey)) * every, grey, "o", color=plots.BLACK, markersize=3.5)
        dx.set_ylim(-12, 255)
        dx.set_title(f"{len(grey)} pictures, {greys[name]} different grey levels")
        dx.set_xlabel("time (ms)")
    axes[0, 0].set_ylabel("light I (lux)")
    axes[1, 0].set_ylabel("logarithm")
    axes[1, 0].legend(loc="lower left")
    axes[2, 0].set_ylabel("events")
    axes[3, 0].set_ylabel("grey level")
    noon, dusk = streams.values()
    differ = len(set(noon) ^ set(dusk))
    title = f"With a hundredth of the light, {differ} of {len(noon)} events differ"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(
        fig, "1_one_pixel", look="how M follows ln I in steps of θ; then compare the columns"
    )

    _, memory_rec = pixel_events(shape, cfg.theta)
    rebuilt = np.abs(np.log(shape) - memory_rec).max()
    known = "within one θ" if rebuilt < cfg.theta else f"{rebuilt / cfg.theta:.2f} θ"
    at_step = sum(t == np.argmax(shape > 1) for t, _ in noon)
    run.claim("step", "events when the light doubles", at_step, "events")
    run.claim("noon", "events of the whole second", len(noon), "events")
    run.claim("differ", "of which differ at dusk", differ, "events")
    run.claim("rebuilt", "ln I from the events: error ≤", rebuilt / cfg.theta, "θ")
    run.finding(
        f"The pixel answers a doubled light with {counted(at_step)}. With a hundredth of the light, "
        f"{differ} of its {len(noon)} events differ, while the grey levels that the camera can tell "
        f"apart fall from {greys['noon, 10,000 lux']} to {greys['dusk, 100 lux']}. Whoever adds up "
        f"the events knows ln I, but for a constant, to {known}."
    )


# ---------------------------------------------------------------- 2  a clip


def render(times: np.ndarray, height: int, speed: float = 2.0) -> Iterator[np.ndarray]:
    """A painted disc that spins ``speed`` times a second and a ball that swings before a wall.

    Yields a frame for each of ``times`` (s): grey levels 0–255, linear in light and not rounded,
    ``(H, W)``. Edges are one pixel soft.
    """
    width = height * 4 // 3
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wall = 95 + 30 * np.sin(0.55 * x) * np.sin(0.4 * y + 0.02 * x)
    centre_x, centre_y, radius = 0.37 * width, 0.5 * height, 0.4 * height
    r = np.hypot(x - centre_x, y - centre_y)
    angle = np.arctan2(y - centre_y, x - centre_x)
    disc = 1 / (1 + np.exp(np.clip(3 * (r - radius), -50, 50)))  # 1 inside, 0 outside
    rings = np.sin(2 * np.pi * 1.5 * r / radius)
    for now in times:
        turn = 2 * np.pi * speed * now
        paint = 125 + 95 * np.tanh(3 * np.sin(3 * (angle - turn)) * rings)
        ball_x = width * (0.85 + 0.07 * np.sin(turn))
        ball_y = height * (0.5 + 0.35 * np.cos(turn / 2))
        away = np.hypot(x - ball_x, y - ball_y) - 0.1 * height
        ball = 1 / (1 + np.exp(np.clip(3 * away, -50, 50)))
        yield (wall * (1 - disc) + paint * disc) * (1 - ball) + 235 * ball


@dataclass
class Clip:
    """What section 2 leaves for section 3."""

    name: str
    events: np.ndarray  # fields x, y, t (µs), p (True for ON), in order of time
    height: int
    width: int
    begin: int  # µs
    seconds: float
    frames: np.ndarray | None  # (T, H, W), if there are any
    times: np.ndarray  # of the frames, in µs


def load_clip(cfg: Config, run: Run) -> Clip:
    """The events of ``--events``, or the clip of ``--video`` or our own and the events made of it."""
    if cfg.events:
        read = read_events(cfg.events, cfg.sensor)
        if not len(read.events):
            raise UserError(f"--events: {cfg.events.name} holds no event")
        for line in read.notes:
            run.print(f"   {cfg.events.name}: {line}")
        seen = (int(read.events["x"].max()) + 1, int(read.events["y"].max()) + 1)
        width, height = read.size or seen
        name, frames, times = f"file {cfg.events.name}", None, read.events["t"][[0, -1]]
        events = read.events
    else:
        if cfg.video:
            name = f"video {cfg.video.name}"
            frames, times = read_video(cfg.video, cfg.num_steps)
        else:
            name = "rendered clip"
            seconds = np.arange(cfg.num_steps) / cfg.fps
            frames = np.stack(list(render(seconds, cfg.size)))
            times = np.rint(seconds * 1e6).astype(np.int64)
        height, width = frames.shape[1:]
        by_v2e = cfg.engine == "v2e"
        if cfg.engine == "auto":
            by_v2e = find_spec("v2ecore") is not None
        convert = v2e_events if by_v2e else frames_to_events
        events = convert(frames, times, cfg.pixel, cfg.seed)
        run.print(f"   clip    {name}, by {'v2e' if by_v2e else 'the builtin model'}")
    sizes = {"frames": 0 if frames is None else len(frames)}
    run.datasets.append({"name": name, "stand_in": False, "sizes": sizes})
    begin = int(times[0])
    span = max((int(times[-1]) - begin) / 1e6, 1e-6)
    return Clip(name, events, height, width, begin, span, frames, times)


@section
def section_clip(cfg: Config, run: Run) -> Clip:
    """2  What does a moving scene look like in events?

    Event cameras are rare, and videos are not. *v2e* turns a video into the events that a DVS would
    have sent. So does the model in eventcam/, which follows v2e's paper. Both go the same way:

        1  slow motion     between two frames of a video things jump; v2e's network draws pictures
                           in between (our clip is rendered at 500 frames a second instead)
        2  logarithm       of each pixel's light; near black it is replaced by a straight line
        3  low-pass        a real photodiode needs time to follow, more so in the dark
        4  thresholds      equation (1) for each pixel, with a θ of its own: θ + σ·N(0, 1)
        5  noise           events without a cause (section 6)

    Between two frames ln I is taken to run on a straight line. Where that line crosses a threshold
    is the time of the event, so times are finer than frames. `frames_to_events` does what
    `pixel_events` does, for all pixels at once.

    The clip shows a painted disc that turns twice a second and a ball that swings. In the *point
    cloud* each event is a point in space and time. A pixel that sees no change leaves its line along
    the time axis empty, but for noise. A *slice* of the cloud is easier to read: the events of one
    row of pixels, x against time. A thing at rest draws nothing, and an edge that moves draws a
    slanted trace, the steeper the faster it moves.

    Pictures can be made from events as well: ON minus OFF at each pixel, over 20 ms. They show edges
    in motion. Where a bright thing arrives, at its leading edge, the events are ON. Where it leaves,
    at its trailing edge, they are OFF. Inside it nothing changes.
    """
    few, half, many = "less than 40 %", "40 to 60 %", "more than 60 %"
    run.predict(
        "on_share",
        "The scene is as bright at the end of the clip as at its start. The ball is bright, the wall "
        "behind it darker. What share of all events is ON?",
        (few, half, many),
    )
    clip = load_clip(cfg, run)
    events = clip.events
    num_pixels = clip.height * clip.width
    on_share = float(np.mean(events["p"])) if len(events) else 0.0
    address = events["y"].astype(np.int64) * clip.width + events["x"]
    per_pixel = np.bincount(address, minlength=num_pixels)
    busiest = np.sort(per_pixel)[::-1][: max(1, num_pixels // 4)].sum() / max(1, len(events))

    title = f"{clip.name}: {len(events):,} events in {clip.seconds:.2f} s, "
    title += f"{100 * on_share:.0f} % of them ON"
    fig = plt.figure(figsize=(12.5, 6.6))
    fig.suptitle(title, x=0.01, ha="left")
    grid = fig.add_gridspec(2, 3, width_ratios=[1.5, 1, 1])
    ax = fig.add_subplot(grid[0, 0], projection="3d")
    bx = fig.add_subplot(grid[1, 0])
    span = clip.seconds * 1e6
    part = events[events["t"] < clip.begin + span / 4]
    chosen = np.linspace(0, len(part) - 1, min(len(part), 8_000)).astype(int)
    cloud = part[chosen]
    row = clip.height // 5  # here the disc moves from left to right
    if (cfg.video or cfg.events) and len(part):
        row = int(np.bincount(part["y"]).argmax())  # the row with most events
    line = part[part["y"] == row]
    looks = ((True, plots.RED, "^", "ON: brighter"), (False, plots.BLUE, "o", "OFF: darker"))
    for polarity, colour, marker, word in looks:
        e = cloud[cloud["p"] == polarity]
        place = ((e["t"] - clip.begin) / 1e3, e["x"], clip.height - 1 - e["y"])
        look = {"color": colour, "marker": marker, "linewidths": 0}
        ax.scatter(*place, s=4, alpha=0.8, **look)
        e = line[line["p"] == polarity]
        bx.scatter((e["t"] - clip.begin) / 1e3, e["x"], s=14, alpha=0.7, label=word, **look)
    ax.set(xlabel="time (ms)", ylabel="x (pixel)", zlabel="height (pixel)")
    ax.set_xlim(0, span / 4e3)
    ax.locator_params(nbins=4)
    ax.set_box_aspect((1.8, clip.width / clip.height, 1), zoom=1.08)
    ax.view_init(15, -50)
    ax.set_title("the first quarter as a point cloud")
    bx.set_xlim(0, span / 4e3)
    bx.set_ylim(0, clip.width)
    bx.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    plots.label(bx, "time (ms)", f"x (pixel), row {row}", "")
    for i, share in enumerate((0.3, 0.7)):
        at = clip.begin + share * span
        top = fig.add_subplot(grid[0, i + 1])
        bottom = fig.add_subplot(grid[1, i + 1])
        top.set_title("the file has no frames")
        if clip.frames is not None:
            nearest = np.abs(clip.times - at).argmin()
            top.imshow(clip.frames[nearest], cmap="gray", vmin=0, vmax=255)
            top.set_title(f"frame at {(at - clip.begin) / 1e3:.0f} ms")
        window = np.array([at - 10_000, at + 10_000])
        near = accumulate(events, (clip.height, clip.width), window)[0]
        image = bottom.imshow(near, cmap="RdBu_r", vmin=-4, vmax=4)
        bottom.set_title(f"events, {(at - clip.begin) / 1e3:.0f} ± 10 ms")
        for panel in (top, bottom):
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
    fig.colorbar(image, ax=fig.axes[2:], shrink=0.45, anchor=(0, 0), label="ON − OFF")
    run.figure(
        fig,
        "2_clip",
        look="slanted traces in the slice; ON and OFF on opposite sides of the ball",
    )

    rate = len(events) / num_pixels / clip.seconds
    run.claim("events", f"events in {clip.seconds:.2f} s", len(events), "events")
    run.claim("on_share", "share of ON events", on_share, n=len(events))
    run.claim("pixel_rate", "events a second and pixel", rate, "Hz")
    run.claim("busiest", "from the busiest 25 % of pixels", busiest, n=len(events))
    outcome = half
    if not 0.4 <= on_share <= 0.6:
        outcome = many if on_share > 0.6 else few
    run.outcome("on_share", outcome)
    balance = ""
    if 0.4 <= on_share <= 0.6:
        balance = ": about as much gets brighter as gets darker"
    run.finding(
        f"{num_pixels:,} pixels send {counted(len(events))} in {clip.seconds:.2f} s, "
        f"{100 * on_share:.0f} % of them ON{balance}. The busiest quarter of the pixels sends "
        f"{100 * busiest:.0f} % of all events."
    )
    return clip


# ---------------------------------------------------------------- 3  the address-event word


def pack(x: int, y: int, on: int, t: int, bits: tuple[int, int, int]) -> int:
    """One event as a whole number of 40 bits: x, y, polarity, time, from the left to the right."""
    _, bits_y, bits_t = bits
    word = x
    word = word << bits_y | y  # make room on the right, and put y there
    word = word << 1 | on
    word = word << bits_t | t % 2**bits_t  # a clock of so many bits starts again at 0
    return word


def unpack(word: int, bits: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The four numbers back, from the right to the left: ``x, y, on, t``."""
    _, bits_y, bits_t = bits
    t = word % 2**bits_t  # the lowest bits
    word = word >> bits_t  # drop them
    on = word % 2
    word = word >> 1
    y = word % 2**bits_y
    x = word >> bits_y
    return x, y, on, t


@section
def section_address_event(cfg: Config, run: Run) -> None:
    """3  How does an event travel?

    A sensor has 100,000 pixels, and they cannot have a wire each. In the *address-event
    representation* (AER) they share one bundle of wires. A pixel with an event asks for the bus. An
    *arbiter* lets one pixel go at a time, and puts its address on the wires: x, y, and one bit for
    the polarity. The receiver notes the time. No brightness is sent, and no strength: who speaks,
    and when, is the message. Chips for spiking networks send their spikes in the same way.

    If two pixels ask at once, one waits, well below a microsecond. If a whole scene flashes, the
    queue grows, and events come late or get lost: the bus is what limits an event camera.

    In a file an event is a word. Ours has 40 bits, the layout of the N-MNIST recordings: 8 bits
    of x, 8 of y, 1 of polarity, 23 of time in µs. A larger sensor takes address bits from the time.
    `pack` and `unpack`, above, move bits: `a << n` shifts a to the left by n places, `|` fills the
    zeros there with another number, `% 2**n` keeps the lowest n bits.

    A clock of n bits starts again at 0 after 2ⁿ µs. The receiver counts its rounds: a time smaller
    than the one before means that one more has begun. This fails if no event comes for a whole
    round. So each packet of a stream names its start.
    """
    clip = run.result_of(section_clip)
    bits = aer_bits(clip.width, clip.height)
    fewer, same, more = (
        "less than half of it",
        "half of it to twice as much",
        "more than twice as much",
    )
    run.predict(
        "clip_bytes",
        f"Five bytes an event. Beside raw pictures of the same {clip.width}×{clip.height} pixels, a byte "
        f"each, {CAMERA_RATE:.0f} a second: how much does the clip take as address-events?",
        (fewer, same, more),
    )
    events = clip.events
    # A pause as long as a round starts a new packet.
    rounds = np.diff(events["t"]) >> bits[2]
    packets = np.split(events, np.flatnonzero(rounds) + 1) if len(events) else []
    kept, size = 0, 0
    for packet in packets:
        begin = int(packet["t"][0])
        words = aer_encode(packet, clip.width, clip.height, begin)  # (N, 5) bytes
        kept += int(np.sum(aer_decode(words, clip.width, clip.height, begin) == packet))
        size += words.size

    shown = events[:: max(1, len(events) // 4)][:4]
    exact = 0
    fig, ax = plots.figure(1, 1, (12, 3.6), "40 bits an event: who, which sign, when")
    names = ("x", "y", "p", "t")
    widths = (bits[0], bits[1], 1, bits[2])
    for row, event in enumerate(shown):
        x, y, on = int(event["x"]), int(event["y"]), int(event["p"])
        t = int(event["t"]) - clip.begin
        word = pack(x, y, on, t, bits)
        exact += unpack(word, bits) == (x, y, on, t % 2 ** bits[2])
        text = f"{word:040b}"
        at = 0
        values = (x, y, "ON" if on else "OFF", f"{t:,} µs")
        for i, width in enumerate(widths):
            colour = (plots.SKY, plots.GREEN, plots.ORANGE, plots.PINK)[i]
            ax.barh(row, width - 0.15, left=at, color=colour, alpha=0.35, height=0.8)
            middle = at + width / 2
            ax.text(middle, row - 0.2, values[i], ha="center", va="center", fontsize=6.5)
            for place in range(at, at + width):
                look = {"ha": "center", "va": "center", "family": "monospace", "fontsize": 10}
                ax.text(place + 0.5, row + 0.17, text[place], **look)
            if row == 0:
                head = f"{names[i]}: {width}" if width > 1 else "p"
                ax.text(middle, -0.62, head, ha="center", weight="bold", fontsize=9)
            at += width
    ax.set_xlim(0, 40)
    ax.set_ylim(max(len(shown), 1) - 0.5, -0.9)
    ax.set_yticks(range(len(shown)), [f"event {i + 1}" for i in range(len(shown))])
    ax.set_xticks([0, 8, 16, 24, 32, 40])
    ax.grid(False)
    plots.label(ax, "bit, from the left", "")
    look = "no event"
    if len(shown):
        x = int(shown[0]["x"])
        powers = [str(2**k) for k in range(bits[0], -1, -1) if x >> k & 1]
        look = f"the eight bits of x of event 1: {' + '.join(powers) or '0'} = {x}"
    run.figure(fig, "3_address_event", look=look.replace("eight", str(bits[0])))

    wrap = 2 ** bits[2] / 1e6
    rate = size / clip.seconds / 1e3
    by_hand = exact / len(shown) if len(shown) else 1.0
    unchanged = kept / len(events) if len(events) else 1.0
    run.claim("by_hand", "by pack and unpack: unchanged", by_hand, target="== 1", n=len(shown))
    run.claim("aer_exact", "all events, packed fast: unchanged", unchanged, target="== 1")
    run.claim("wrap", "the clock is back at 0 after", wrap, "s")
    run.claim("clip_rate", "the clip as address-events", rate, "kB/s")
    raw = CAMERA_RATE * clip.width * clip.height / 1e3
    outcome = same
    if not 0.5 <= rate / raw <= 2:
        outcome = fewer if rate < raw else more
    run.outcome("clip_bytes", outcome)
    run.finding(
        f"x, y, polarity and time of an event fit into 40 bits, {bits[2]} of them for a clock that "
        f"starts again every {wrap:.1f} s. The clip takes {rate:,.0f} kB a second as address-events, "
        f"and {raw:,.0f} kB as raw pictures at {CAMERA_RATE:.0f} Hz."
    )


# ---------------------------------------------------------------- 4  bytes


def jpeg_bytes(frame: np.ndarray) -> int:
    """Bytes of one picture ``(H, W)`` as JPEG of quality 85."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=85)
    return buffer.tell()


def lossless_bytes(change: np.ndarray) -> int:
    """Bytes of one picture's difference from the last one, modulo 256, compressed by zlib."""
    return len(zlib.compress(change.tobytes(), 6))


KINDS = ("events", "raw frames", "frames, lossless", "frames, JPEG")


def noise_rate(cfg: Config, frame: np.ndarray) -> tuple[float, float]:
    """ON and OFF events a second and pixel that leak and shot noise make, on average over ``frame``.

    θ scatters by σ from pixel to pixel, and the mean of 1/θ is (1 + σ²/θ²)/θ.
    """
    dark = float(np.mean(1 - 0.75 * cfg.pixel.brightness(frame)))
    shot = cfg.shot_hz * dark * (1 + (cfg.sigma / cfg.theta) ** 2)
    return cfg.leak_hz + shot / 2, shot / 2


def bytes_per_second(cfg: Config, speed: float) -> tuple[float, ...]:
    """What the clip costs at ``speed`` turns a second, in each of ``KINDS``.

    The DVS has the noise of the flags, the frame camera a noise of one grey level.
    """
    seconds = min(max(0.3, 0.1 / speed), 3.0)
    # Frames for the DVS model so fine that the rim moves half a pixel from one to the next.
    fps = max(100.0, 2 * 2 * math.pi * speed * 0.4 * cfg.size)
    times = np.arange(int(2 * seconds * fps) + 1) / fps
    frames = render(times, cfg.size, speed)
    events = frames_to_events(frames, np.rint(times * 1e6), cfg.pixel, cfg.seed)
    half = times[-1] / 2  # the first half only lets the pixels find their M
    later = int(np.sum(events["t"] >= half * 1e6))

    rng = np.random.default_rng(cfg.seed)
    times_60 = np.arange(19) / CAMERA_RATE
    shots = np.stack(list(render(times_60, cfg.size, speed)))
    shots = shots + rng.standard_normal(shots.shape)
    shots = np.clip(np.rint(shots), 0, 255).astype(np.uint8)  # (T, H, W)
    changes = np.diff(shots, axis=0)  # modulo 256, so that nothing is lost
    lossless = np.mean([lossless_bytes(change) for change in changes])
    jpeg = np.mean([jpeg_bytes(shot) for shot in shots[1:]])
    return (
        EVENT_BYTES * later / half,
        CAMERA_RATE * shots[0].size,
        CAMERA_RATE * float(lossless),
        CAMERA_RATE * float(jpeg),
    )


def crossing(speeds: np.ndarray, events: np.ndarray, frames: np.ndarray) -> float:
    """The speed from which on events take more bytes, on logarithmic axes; NaN if there is none."""
    gap = np.log(np.maximum(events, 1e-9)) - np.log(frames)
    if not gap[0] < 0 < gap[-1]:
        return math.nan
    after = int(np.argmax(gap > 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    step = math.log(speeds[after] / speeds[after - 1])
    return float(speeds[after - 1] * math.exp(share * step))


def turns(speed: float) -> str:
    """A crossing in words."""
    return "nowhere in this range" if math.isnan(speed) else f"from {speed:.2g} turns/s on"


@section
def section_bytes(cfg: Config, run: Run) -> None:
    """4  When are events the smaller message?

    A raw picture costs one byte a pixel, whatever it shows. An event costs five. So events win where
    a pixel sends fewer than one event in five pictures, on average, and lose where much moves.

    The disc of section 2 turns, and its ball swings, at speeds from a slow clock to a fan. Counted
    are the bytes of the events and those of a camera of the same size that takes 60 pictures a
    second: raw; lossless, each as its difference from the last one, compressed by zlib; as JPEG.

    A byte is not a byte. The pictures know nothing of what happens between them, 1/60 of a second,
    and from some speed on the disc is a blur or seems to turn backwards. Events carry microseconds.
    On the other hand events of one scene repeat each other, and nobody has compressed them here.
    Nor is a video codec among the rivals, which sends changes only, as events do. Most of what the
    lossless frames cost at low speed is the camera's noise of one grey level, which is assumed. And
    half as many raw pictures a second cost half as much, so the crossing with them would lie at
    about half the speed. A turn of the disc sends nearly the same events at any of these speeds, so
    above the noise of the pixels the bytes of the events grow in proportion to the speed.

    Bytes also cost energy: each event is sent, stored and computed with. A sensor whose pixels are
    silent saves all that. This is where the low power of event cameras comes from (section 5).
    """
    run.predict(
        "crossing_raw",
        "The disc fills 38 % of the picture. From how many turns a second on does the clip take more "
        "bytes as events than as raw pictures at 60 Hz?",
        unit="turns/s",
    )
    speeds = np.geomspace(0.02, 5.0, 4 if cfg.smoke else 13)
    measured = [bytes_per_second(cfg, speed) for speed in speeds]
    rates = dict(zip(KINDS, np.array(measured).T, strict=True))  # of (speeds,) each
    cross = {kind: crossing(speeds, rates["events"], rates[kind]) for kind in KINDS[1:]}

    title = f"Events take more bytes than raw frames {turns(cross['raw frames'])},\n"
    title += f"than JPEG {turns(cross['frames, JPEG'])}"
    fig, ax = plots.figure(1, 1, (8, 4.4), title)
    plots.curves(ax, speeds, {kind: rate / 1e3 for kind, rate in rates.items()})
    for kind, speed in cross.items():
        if not math.isnan(speed):
            height = np.interp(np.log(speed), np.log(speeds), np.log(rates[kind] / 1e3))
            ax.plot(speed, np.exp(height), "o", color=plots.BLACK, mfc="none", markersize=12)
    ax.plot([], [], "o", color=plots.BLACK, mfc="none", markersize=12, label="events take more")
    floor = EVENT_BYTES * sum(noise_rate(cfg, next(render(np.zeros(1), cfg.size))))
    pixels = cfg.size * (cfg.size * 4 // 3)
    ax.axhline(floor * pixels / 1e3, color="grey", linestyle="--", linewidth=1, label="noise alone")
    ax.set(xscale="log", yscale="log")
    ax.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5])
    ax.set_xticklabels(["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5"])
    ax.legend(loc="upper left")
    head = "both sensors with their noise"
    plots.label(ax, "turns of the disc a second", "kB a second (frames: 60 Hz)", head)
    run.figure(
        fig, "4_bytes", look="how the events' line leaves the noise, and which lines it crosses"
    )

    raw = rates["raw frames"]
    saved = raw[0] / max(rates["events"][0], 1e-9)
    lost = raw[-1] / max(rates["events"][-1], 1e-9)
    run.claim("bytes_saved", "raw / events, 0.02 turns/s", saved, "times", ">= 5")
    run.claim("bytes_lost", "raw / events, 5 turns/s", lost, "times", "<= 1")
    for id, kind in (("raw", KINDS[1]), ("lossless", KINDS[2]), ("jpeg", KINDS[3])):
        if not math.isnan(cross[kind]):
            text = f"events above {id} from"
            run.claim(f"crossing_{id}", text, cross[kind], "turns/s")
    run.finding(
        "Of a disc that turns 0.02 times a second, raw pictures at 60 Hz take "
        f"{saved:.0f} times the bytes of events; at 5 turns a second {lost:.2f} times. Events take more "
        f"bytes than raw pictures {turns(cross['raw frames'])}, than lossless ones "
        f"{turns(cross['frames, lossless'])}, than JPEG {turns(cross['frames, JPEG'])}.",
        main=True,
        claim="bytes_saved",
    )


# ---------------------------------------------------------------- 5  range and latency


def bars(times: np.ndarray) -> np.ndarray:
    """Bars of contrast 2 : 1 that pass by at 100 pixels a second: ``(T, 4, 64)``, from 0.5 to 1."""
    x = np.arange(64) - 100 * times[:, None]
    row = 0.75 + 0.25 * np.tanh(6 * np.sin(2 * np.pi * x / 32))
    return np.repeat(row[:, None], 4, axis=1)


def decibels(ratio: float) -> float:
    """A ratio of light as engineers write it: 20 dB for each factor of ten."""
    return 20 * math.log10(ratio)


def low_passed(light: np.ndarray, dt: float, cutoff_hz: float) -> np.ndarray:
    """What a slow pixel sees of ln I: light ``(T,)`` in lux, a value every ``dt`` seconds → ``(T,)``."""
    level = math.log(light[0])
    level_rec = np.zeros(len(light))
    for t, intensity in enumerate(light):
        bandwidth = cutoff_hz * (intensity + 0.1) / 1000.1  # Hz: cutoff_hz at 1,000 lux
        # L ← L + (1 − exp(−2π·bandwidth·Δt))·(ln I − L)
        follow = 1 - math.exp(-2 * math.pi * bandwidth * dt)
        level += follow * (math.log(intensity) - level)
        level_rec[t] = level
    return level_rec


def one_slow_pixel(light: float, cutoff_hz: float, theta: float) -> float:
    """Milliseconds from a doubling of the ``light`` (lux) to the first event of one pixel."""
    tau = 1 / (2 * math.pi * cutoff_hz * (2 * light + 0.1) / 1000.1)  # s
    dt = tau / 500
    doubled = np.full(3000, 2 * light)  # six τ
    doubled[0] = light
    level = low_passed(doubled, dt, cutoff_hz)
    events, _ = pixel_events(np.exp(level), theta)  # equation (1), with L in the place of ln I
    return 1000 * dt * events[0][0] if events else math.nan


def first_events(pixel: Pixel, light: float, side: int, seed: int) -> np.ndarray:
    """Time (µs) from a doubling of the light to the first event of each of ``side``² pixels."""
    tau = 1e6 / (2 * math.pi * pixel.cutoff_hz * pixel.brightness(2 * light))  # µs
    step = max(1, round(tau / 100))
    frames = np.full((800, side, side), 2.0 * light)
    frames[0] = light
    events = frames_to_events(frames, step * np.arange(800), pixel, seed)
    times = np.full((side, side), np.nan)
    for event in events[::-1]:  # backwards: the earliest is written last
        times[event["y"], event["x"]] = event["t"]
    return times.ravel()


@section
def section_range(cfg: Config, run: Run) -> None:
    """5  What is an event camera better at?

    *Dynamic range.* The ratio of the brightest light that a sensor can work with to the darkest. It
    is given in decibels: 20·log₁₀ of the ratio, 20 dB for each factor of ten. A camera has one
    exposure for the whole picture. With 8 bits, the levels 1 to 255 are 48 dB, and good cameras
    reach 60. From a full moon (0.25 lux) to the sun (100,000 lux) it is 112 dB. A DVS pixel has no
    exposure: it compares with its own past. But it has a weakness: the smaller the photodiode's
    current, the longer it takes to follow. Its bandwidth is proportional to the light: here 300 Hz
    at 1,000 lux (--cutoff-hz), so 30 Hz at 100 lux and 0.3 Hz at 1 lux. (The model adds 0.1 lux to
    the light, so that the bandwidth never falls to nothing.) `low_passed` above is all of it: a level
    L that follows ln I, and equation (1) then looks at L. The package `eventcam` does the same for
    whole pictures; a θ of its own for each pixel and the noise of section 6 come on top.

    *Latency.* The time from a change to the message. A camera is blind until its next picture: at
    30 Hz for 33 ms at worst, 17 on average. A pixel's response to a step of ln I by Δ is
    Δ·(1 − exp(−t/τ)). It reaches θ at

        t = τ·ln(Δ/(Δ − θ))          τ = 1/(2π·bandwidth)                                    (2)

    with the bandwidth at the light after the step: 60 Hz when 100 lux double. So it need not wait
    for the end of the step, but at dusk its τ is long.

    *Power.* What no model can measure, published for real sensors:

        DVS128, 2008         120 dB    15 µs latency    23 mW       doi:10.1109/JSSC.2007.914337
        event cameras, 2020  120 dB and more            about 10 mW for most chips, below 10 µW for
                                                        prototypes, 100 mW with a processor
        a good frame camera   60 dB    33 ms at 30 Hz   (every pixel, every picture, moving or not)

    (The last two are from Gallego et al. 2020, sections 1 and 2.) A sleeping scene costs an event
    camera next to nothing, and a processor that waits for events can sleep as well. In a busy scene
    this advantage is gone.

    Below, bars of contrast 2 : 1 pass by at 1 to 10⁶ lux, which is 120 dB. (A living room has about
    100 lux, an overcast day 10,000.) The camera's exposure is fixed and fits 1,000 lux, as it is
    where sun and shade are in one picture. (If the whole scene dims, a real camera exposes longer.)
    For the camera we ask where it shows a contrast between 1.8 : 1 and 2.2 : 1; below level 1 and
    above 255 it shows none. For the pixel we ask where its low-pass costs fewer than 10 % of the
    events. These are different tests. The second one depends on the speed of the bars (three times
    as fast, and it ends at three times the light), and the model has no upper end: a real pixel has.
    The pixel here has no shot noise, which is worst in the dark (section 6), and its 300 Hz are our
    choice. So compare the shapes of the curves and how they end, not the two numbers of decibels.
    """
    run.predict(
        "camera_db",
        "Bars that are twice as bright as their gaps, seen by an 8-bit camera of fixed exposure. Over "
        "how many decibels of light does it show a contrast between 1.8 and 2.2 : 1?",
        unit="dB",
    )
    lux = np.geomspace(1, 1e6, 13)
    times = np.arange(400) / 1000
    ideal_pixel = Pixel.ideal(cfg.theta, toe=0.1, white=1000.0)
    slow_pixel = replace(ideal_pixel, cutoff_hz=cfg.cutoff_hz or 300.0)
    ideal, slow = [], []
    for light in lux:
        scene = light * bars(times)
        ideal.append(len(frames_to_events(scene, times * 1e6, ideal_pixel)))
        slow.append(len(frames_to_events(scene, times * 1e6, slow_pixel)))
    ideal, slow = np.array(ideal), np.array(slow)
    most = max(1, ideal.max())
    enough = slow >= 0.9 * slow.max()
    dvs_db = decibels(lux[-1] / lux[enough][0])

    # The camera: 1,000 lux on white is grey level 200 of 255. Levels are whole numbers.
    fine = np.geomspace(1, 1e6, 2401)
    bright = np.clip(np.floor(0.2 * fine), 1, 255)
    dark = np.clip(np.floor(0.1 * fine), 1, 255)
    contrast = bright / dark
    wrong = fine[np.abs(contrast / 2 - 1) > 0.1 + 1e-9]
    camera_db = decibels(wrong[wrong > 1000][0] / wrong[wrong < 1000][-1])

    lights = np.geomspace(1, 1000, 7)
    noisy = replace(slow_pixel, sigma=cfg.sigma)
    first = [first_events(noisy, light, 16, cfg.seed) / 1000 for light in lights]  # ms
    median = np.array([np.nanmedian(ms) for ms in first])
    expected = []
    for light in lights:
        tau = 1e3 / (2 * math.pi * noisy.cutoff_hz * noisy.brightness(2 * light))  # ms
        expected.append(tau * math.log(math.log(2) / (math.log(2) - cfg.theta)))  # equation (2)
    by_hand = [one_slow_pixel(light, noisy.cutoff_hz, cfg.theta) for light in lights]
    period = 1000 / FRAME_RATE

    low_lux, high_lux = wrong[wrong < 1000][-1], wrong[wrong > 1000][0]
    title = (
        f"At 100 pixels/s the DVS keeps 90 % of its events from {lux[enough][0]:.0f} lux up; one "
    )
    title += f"exposure\nkeeps a 2 : 1 contrast from {low_lux:.0f} to {high_lux:,.0f} lux"
    fig, (ax, bx, cx) = plots.figure(1, 3, (13.5, 4), title)
    plots.curves(
        ax, lux, {"ideal pixel": 100 * ideal / most, "with its low-pass": 100 * slow / most}
    )
    ax.axhline(90, color="grey", linestyle=":", label="90 %")
    ax.set_xscale("log")
    ax.set_ylim(0, 140)
    ax.legend(loc="upper left", ncols=2)
    plots.label(ax, "light (lux)", "events (% of the most)", "event camera: the same bars")
    bx.plot(fine, contrast, color=plots.BLUE, label="from 8-bit grey levels")
    bx.axhline(2, color=plots.BLACK, linestyle="--", label="true contrast, 2 : 1")
    bx.axhspan(1.8, 2.2, color=plots.GREEN, alpha=0.2, label="1.8 to 2.2 : 1")
    bx.axvspan(low_lux, high_lux, color="0.9", label=f"always within: {camera_db:.0f} dB")
    bx.set_xscale("log")
    bx.set_ylim(0.8, 4.4)
    bx.legend(loc="upper right")
    plots.label(
        bx, "light (lux)", "bright bar / dark bar", f"frame camera: right for {camera_db:.0f} dB"
    )
    low = [np.nanpercentile(ms, 5) for ms in first]
    high = [np.nanpercentile(ms, 95) for ms in first]
    cx.fill_between(lights, low, high, color=plots.BLUE, alpha=0.2, label="5 to 95 % of 256 pixels")
    cx.plot(lights, median, "o", color=plots.BLUE, label="their median")
    cx.plot(lights, expected, "--", color=plots.BLACK, label="equation (2)")
    cx.plot(lights, by_hand, "x", color=plots.BLACK, label="one pixel, by low_passed")
    cx.axhline(period, color=plots.RED, linestyle=":", label=f"frame period, {FRAME_RATE:.0f} Hz")
    cx.set(xscale="log", yscale="log")
    cx.legend(loc="lower left")
    plots.label(cx, "light before it doubles (lux)", "time to the first event (ms)", "latency")
    run.figure(fig, "5_range", look="the dark end of each panel")

    run.claim("dvs_db", "DVS, 90 % of the events: at least", dvs_db, "dB")
    run.claim("camera_db", "8-bit camera: contrast right for", camera_db, "dB", "<= 60")
    same = f"{ideal.min():,} to {ideal.max():,} events"
    if ideal.min() == ideal.max():
        same = f"the same {ideal.max():,} events"
    share = median[4] / period
    run.claim("latency_frame", "latency at 100 lux / frame period", share, "1", "<= 0.1", n=256)
    run.claim("latency_dark", "latency at 1 lux", median[0], "ms", n=256)
    run.finding(
        f"The 8-bit camera shows the contrast over {camera_db:.0f} dB. An ideal DVS pixel sends {same} "
        f"at all lights from 1 to 10⁶ lux; one with a real bandwidth sends 90 % of its most over "
        f"{dvs_db:.0f} dB at this speed of the bars, up to the end of our range (another test than the camera's). Its first event comes "
        f"after {median[4]:.3g} ms at 100 lux and {median[0]:.3g} ms at 1 lux; a picture takes "
        f"{period:.0f} ms at worst."
    )


# ---------------------------------------------------------------- 6  where it fails


@section
def section_still(cfg: Config, run: Run) -> None:
    """6  When does it fail?

    Where nothing changes there is nothing to report. A parked car before a camera on a tripod is
    invisible, however strong its outline is: contrast in *space* makes no events, only change in
    *time* does. Real pixels are not even silent then:

        leak          the charge that holds M leaks away, so M sinks by θ every 1/r_leak seconds, and
                      an ON event comes out of nothing (r_leak is about 0.1 Hz). When nothing has
                      moved for long, M lies anywhere up to one θ below ln I
        shot noise    light comes in photons, by chance. In the dark this disturbs a pixel most: ON
                      and OFF events together at the rate r_shot·(1 − ¾·brightness), where the
                      brightness is (I + 20)/275 for a grey level I from 0 to 255

    So a still scene gives pure noise, and a filter that drops events without neighbours comes
    first in many systems (lesson 11). The remedy is motion. Our eyes do it too: they tremble all
    the time, and a picture that is held still on the retina fades within seconds. The N-MNIST
    recordings were made by tilting the camera three times before each digit.

    Other failures follow from the earlier sections: a flicker or a busy scene floods the bus; in the
    dark the pixel is slow; absolute brightness is never sent, so a picture must be rebuilt from its
    changes; and existing networks for images cannot be used as they are.
    """
    frame = next(render(np.zeros(1), cfg.size))
    asked_on, asked_off = noise_rate(cfg, frame)  # what the flags ask for
    asked = asked_on + asked_off
    run.predict(
        "tremble_rate",
        f"When nothing moves, leak and shot noise of the flags make {asked:.2f} events a second and pixel, "
        "on average over this scene. Then the camera trembles by two pixels, to and fro, five times a "
        "second. How many events a second does a pixel send now, noise included?",
        unit="events",
    )
    times = np.arange(0, STILL_S + 1e-9, 0.02)
    microseconds = times * 1e6
    still = [frame] * len(times)
    noise = frames_to_events(still, microseconds, cfg.pixel, cfg.seed)
    silent = len(frames_to_events(still, microseconds, Pixel.ideal(cfg.theta), cfg.seed))
    rate = len(noise) / frame.size / STILL_S

    # The same scene, and a camera that trembles: two pixels to the right and back, five times a
    # second. The first swing is not counted: in it the pixels find their M.
    swing = np.arange(601) / 100
    shaken = []
    wide = np.pad(frame, ((0, 0), (3, 0)), mode="edge")  # what comes in from the left
    for move in 1 - np.cos(2 * np.pi * swing):  # 0 … 2 … 0 pixels
        whole, part = divmod(move, 1)
        start = 3 - int(whole)
        here = wide[:, start : start + frame.shape[1]]
        further = wide[:, start - 1 : start - 1 + frame.shape[1]]
        shaken.append((1 - part) * here + part * further)
    tremble = frames_to_events(shaken, 2000 * np.arange(601), cfg.pixel, cfg.seed)
    after = int(np.sum(tremble["t"] >= 200_000))
    tremble_rate = after / frame.size / 1.0  # in one second

    title = (
        f"Nothing moves: {rate:.2f} events a second and pixel; with a tremble: {tremble_rate:.1f}"
    )
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 3.9), title, width_ratios=(1, 1, 1.1))
    window = np.array([200_000, 300_000])  # the first half of the second swing
    for panel, events, head in ((ax, noise, "nothing moves"), (bx, tremble, "the camera trembles")):
        image = panel.imshow(
            accumulate(events, frame.shape, window)[0], cmap="RdBu_r", vmin=-3, vmax=3
        )
        panel.set(xticks=[], yticks=[])
        panel.grid(False)
        panel.set_title(f"{head}: events of 0.1 s")
    fig.colorbar(image, ax=[ax, bx], shrink=0.75, label="ON − OFF")
    line = np.linspace(0, STILL_S, 200)
    for polarity, expected, colour, word in (
        (True, asked_on, plots.RED, "ON"),
        (False, asked_off, plots.BLUE, "OFF"),
    ):
        mine = noise["t"][noise["p"] == polarity]
        so_far = np.searchsorted(mine, line * 1e6) / frame.size
        dash = "-" if polarity else "-."
        cx.plot(line, so_far, color=colour, linestyle=dash, label=f"{word}, measured")
        name = "both as the flags set them" if polarity else None
        cx.plot(line, expected * line, ":", color=plots.BLACK, label=name)
    cx.legend()
    plots.label(cx, "time (s)", "events so far, per pixel", "nothing moves")
    run.figure(fig, "6_still", look="what can be recognised in each of the two pictures")

    ratio = rate / asked if asked else 1.0 + len(noise)
    run.claim("still_ideal", "ideal pixels, still scene: events", silent, "", "== 0")
    run.claim("noise_rate", "real pixels: events a second", rate, "Hz", n=len(noise))
    run.claim("noise_ratio", "of leak and shot noise as set", ratio, "times", "0.9..1.1")
    run.claim("tremble_rate", "with a tremble: events a second", tremble_rate, "Hz")
    run.finding(
        f"Before a still scene ideal pixels send {silent} events and real ones {rate:.2f} a second each, "
        f"{ratio:.2f} times what leak and shot noise were set to. A tremble by two pixels, five times a "
        f"second, makes it {tremble_rate:.1f} a second, noise included."
    )


def main(cfg: Config, run: Run) -> None:
    section_one_pixel(cfg, run)
    section_clip(cfg, run)
    section_address_event(cfg, run)
    section_bytes(cfg, run)
    section_range(cfg, run)
    section_still(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
