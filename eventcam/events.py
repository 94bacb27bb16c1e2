"""Event cameras: a DVS pixel model, event arrays, address-events of 40 bits. Files are read by ``event_files``.

An event array has Tonic's dtype ``EVENT``: x and y in pixels (0, 0 is the upper left), t in microseconds, p True for
ON. Every function works on whole frames and whole arrays; none walks over pixels or events in Python.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from common.io import UserError

import numpy as np

EVENT = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
KNEE = 20.0  # v2e's grey level (of 255) at which the logarithm takes over from the linear toe


@dataclass(frozen=True)
class Pixel:
    """What a DVS pixel does, after Hu, Liu & Delbruck 2021 (v2e); thresholds are in units of ln(intensity).

    ``toe`` and ``white`` are in the unit of the frames: grey levels for a video, lux for a physical scene.
    """

    theta_on: float = 0.2
    theta_off: float = 0.2
    sigma: float = 0.03
    """standard deviation of both thresholds from pixel to pixel"""
    cutoff_hz: float = 300.0
    """bandwidth of the photoreceptor at ``white``; it falls in proportion to the light; 0: infinitely fast"""
    leak_hz: float = 0.1
    """ON events a second from the leaking reset switch"""
    shot_hz: float = 1.0
    """noise events a second (ON and OFF together) in the dark; a quarter of it at ``white``"""
    refractory_us: float = 500.0
    """pause of a pixel after each of its events"""
    toe: float = KNEE
    """intensity below which the response is linear"""
    white: float = 255.0
    """intensity at which the bandwidth is ``cutoff_hz``"""

    @classmethod
    def ideal(cls, theta: float = 0.2, **other: float) -> Pixel:
        """A pixel without noise, mismatch, delay or pause: the textbook rule, one event for each step of θ."""
        return cls(
            **{
                "theta_on": theta,
                "theta_off": theta,
                "sigma": 0.0,
                "cutoff_hz": 0.0,
                "leak_hz": 0.0,
                "shot_hz": 0.0,
                "refractory_us": 0.0,
                **other,
            }
        )

    def brightness(self, intensity: np.ndarray) -> np.ndarray:
        """0…1 with an offset, so that the bandwidth never falls to nothing: (I + toe) / (white + toe)."""
        return (intensity + self.toe) / (self.white + self.toe)


def lin_log(intensity: np.ndarray, toe: float = KNEE) -> np.ndarray:
    """Logarithm with a linear toe: ln x for x > 20, x·ln 20 / 20 below, where x = 20·I / toe.

    Near black a logarithm would turn the last grey level of a video into a storm of events.
    """
    x = np.asarray(intensity, dtype=np.float32) * np.float32(KNEE / toe)
    return np.log(np.maximum(x, KNEE)) + np.minimum(x - KNEE, 0) * np.float32(math.log(KNEE) / KNEE)


class DVS:
    """A sensor that sees one frame after the other: ``step(frame, t_us)`` returns the events since the frame before.

    Between two frames the filtered log intensity moves on a straight line, so the time of each threshold crossing
    has a closed form. A pixel in its pause fires when the pause is over, if it still has reason to; what it could
    not report before the next frame stays in the difference and comes later. Shot noise is a Poisson process beside
    the signal: unlike v2e's, it leaves the memorised level alone, so that the rates of leak and shot noise add.
    """

    def __init__(self, pixel: Pixel | None = None, seed: int = 0) -> None:
        self.pixel, self.rng, self.t = pixel or Pixel(), np.random.default_rng(seed), None

    def _begin(self, frame: np.ndarray) -> None:
        p, (h, w) = self.pixel, frame.shape
        self.shape = (h, w)
        draw = lambda theta: np.maximum(  # noqa: E731  (v2e's floor: a threshold of zero would never stop firing)
            theta + p.sigma * self.rng.standard_normal((h, w), dtype=np.float32), 0.01
        ).astype(np.float32)
        self.theta_on, self.theta_off = draw(p.theta_on), draw(p.theta_off)
        self.filtered = lin_log(frame, p.toe)
        self.memory = self.filtered.copy()
        if (
            p.leak_hz
        ):  # in the steady state every pixel is somewhere on its way to the next leak event
            self.memory -= self.theta_on * self.rng.random((h, w), dtype=np.float32)
        self.last = np.full(h * w, -np.inf)

    def step(self, frame: np.ndarray, t_us: float) -> np.ndarray:
        """Show ``frame (H, W)``, linear in light, at time ``t_us``; returns events ``(N,)`` in order of time.

        Raises:
            ValueError: time does not go forward, or the frame has another shape than the first.
        """
        frame, t_us = np.asarray(frame, dtype=np.float32), int(t_us)
        if frame.ndim != 2:
            raise ValueError(f"frame: got shape {frame.shape}, expected (H, W) in grey")
        if self.t is None:
            self._begin(frame)
            self.t = t_us
            return np.empty(0, EVENT)
        if frame.shape != self.shape or t_us <= self.t:
            raise ValueError(
                f"got a frame {frame.shape} at {t_us} µs, expected {self.shape} later than {self.t} µs"
            )
        p, dt = self.pixel, t_us - self.t  # µs
        # a first-order low-pass whose input is held: L ← L + (1 − e^(−2π f(I) Δt))·(ln I − L)
        before, target = self.filtered - self.memory, lin_log(frame, p.toe)
        if p.cutoff_hz:
            rate = p.brightness(frame) * np.float32(-2e-6 * math.pi * p.cutoff_hz * dt)
            target -= self.filtered
            target *= np.expm1(rate, out=rate)
            self.filtered = self.filtered - target
        else:
            self.filtered = target
        if p.leak_hz:  # the memorised level sinks by θ_on in 1 / leak_hz seconds
            self.memory -= np.float32(1e-6 * p.leak_hz * dt) * self.theta_on
        after = self.filtered - self.memory
        # The memory is a sum of float32 steps; the slack lets a signal that comes back to where it was give back
        # as many events as it took
        slack = np.float32(1 - 1e-4)
        where = np.flatnonzero(
            (after >= slack * self.theta_on) | (after <= -slack * self.theta_off)
        )
        pix, tau, on = self._crossings(where, before.ravel()[where], after.ravel()[where], dt)
        if p.shot_hz:
            noise = self._shot_noise(frame, dt)
            pix, tau, on = (
                np.concatenate(pair) for pair in zip((pix, tau, on), noise, strict=True)
            )
        tau = tau.astype(
            np.uint16 if dt < 65536 else np.int64
        )  # whole microseconds; 16 bits sort by radix
        order = np.argsort(tau, kind="stable")
        events, pix = np.empty(len(tau), EVENT), pix[order]
        events["y"], events["x"] = np.divmod(pix, frame.shape[1])
        events["t"], events["p"] = tau[order], on[order]
        events["t"] += self.t
        self.t = t_us
        return events

    def _crossings(
        self, where: np.ndarray, before: np.ndarray, after: np.ndarray, dt: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixel, time since the last frame (µs) and polarity of each event of the pixels ``where``.

        Args:
            before, after: difference of filtered and memorised log intensity at the last frame and at this one.
        """
        on = after > 0
        sign = np.where(on, np.float32(1), np.float32(-1))
        theta = np.where(on, self.theta_on.ravel()[where], self.theta_off.ravel()[where])
        d0, d1 = sign * before, sign * after
        # n events: the whole thresholds in the difference (1 where the slack alone brought a pixel here)
        n = np.maximum(1, (d1 / theta + np.float32(1e-4)).astype(np.int64))
        # level k·θ is crossed at c_k = Δt·(kθ − d₀)/(d₁ − d₀); at once, if it was crossed before this frame
        scale = dt / np.where(d1 > d0, d1 - d0, np.inf).astype(np.float64)
        rise, offset = theta * scale, d0 * scale
        start = np.cumsum(n) - n
        of = np.repeat(np.arange(len(where)), n)  # which pixel an event belongs to
        k = np.arange(1, len(of) + 1) - start[of]  # 1, 2, … n for each pixel
        tau = np.clip(k * rise[of] - offset[of], 0, dt)
        if self.pixel.refractory_us:
            # the earliest times with a pause R: t_k = max(c_k, t_{k−1} + R). As c_k is convex in k, the recursion
            # unfolds to t_k = max(c_k, max(c_1, t_last + R) + (k − 1)·R)
            pause = self.pixel.refractory_us
            first = np.maximum(tau[start], self.last[where] + pause - self.t)
            tau = np.maximum(tau, first[of] + (k - 1) * pause)
            keep = tau <= dt
            of, tau = of[keep], tau[keep]
            self.last[where[of]] = (
                self.t + tau
            )  # a pixel's last event comes last and is the one that stays
            n = np.bincount(of, minlength=len(where))
        self.memory.ravel()[where] += sign * n * theta
        return where[of], tau, on[of]

    def _shot_noise(
        self, frame: np.ndarray, dt: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Poisson events of both polarities: half the rate each, more where it is dark and where θ is low."""
        p, size = self.pixel, frame.size
        # drawn for all pixels at the rate of the most sensitive one, then each kept with its own share of that rate
        peak = max(p.theta_on / self.theta_on.min(), p.theta_off / self.theta_off.min())
        drawn = self.rng.integers(
            0, 2 * size, self.rng.poisson(0.5e-6 * p.shot_hz * dt * peak * 2 * size)
        )
        on, pix = drawn < size, drawn % size
        own = np.where(
            on, p.theta_on / self.theta_on.ravel()[pix], p.theta_off / self.theta_off.ravel()[pix]
        )
        own *= 1 - 0.75 * np.clip(p.brightness(frame.ravel()[pix]), 0, 1)
        keep = self.rng.random(len(own)) * peak < own
        return pix[keep], self.rng.random(int(keep.sum())) * dt, on[keep]


def frames_to_events(
    frames: Iterable[np.ndarray], t_us: Iterable[float], pixel: Pixel | None = None, seed: int = 0
) -> np.ndarray:
    """All events of a clip: frames ``(T, H, W)``, linear in light, at the times ``t_us (T,)``."""
    sensor = DVS(pixel, seed)
    parts = [sensor.step(frame, t) for frame, t in zip(frames, t_us, strict=True)]
    return np.concatenate([np.empty(0, EVENT), *parts])


def v2e_events(
    frames: Iterable[np.ndarray], t_us: Iterable[float], pixel: Pixel | None = None, seed: int = 0
) -> np.ndarray:
    """As ``frames_to_events``, by v2e's own emulator. Its times are float32 seconds.

    Raises:
        UserError: v2e cannot be imported.
    """
    try:
        from v2ecore.emulator import EventEmulator
    except ImportError as e:
        raise UserError(
            f"--engine v2e: v2ecore cannot be imported ({e}); use --engine builtin, or run v2e in an "
            "environment of its own as README tells, and read its file with --events"
        ) from e
    p = pixel or Pixel()
    emulator = EventEmulator(
        pos_thres=p.theta_on,
        neg_thres=p.theta_off,
        sigma_thres=p.sigma,
        cutoff_hz=p.cutoff_hz,
        leak_rate_hz=p.leak_hz,
        shot_noise_rate_hz=p.shot_hz,
        seed=seed,
        device="cpu",
        refractory_period_s=p.refractory_us * 1e-6,
    )
    parts = [
        emulator.generate_events(np.asarray(f, dtype=np.float32), float(t) * 1e-6)
        for f, t in zip(frames, t_us, strict=True)
    ]
    rows = np.concatenate([np.empty((0, 4)), *(part for part in parts if part is not None)])
    return event_array(rows[:, 1], rows[:, 2], np.rint(rows[:, 0] * 1e6), rows[:, 3] > 0)


def event_array(x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Columns → event array, in order of time (events of the same time keep their order)."""
    events = np.empty(len(t), EVENT)
    events["x"], events["y"], events["t"], events["p"] = x, y, t, p
    return (
        events
        if np.all(events["t"][1:] >= events["t"][:-1])
        else events[np.argsort(events["t"], kind="stable")]
    )


def accumulate(events: np.ndarray, shape: tuple[int, int], edges: np.ndarray) -> np.ndarray:
    """Signed event counts ``(len(edges) − 1, H, W)``: ON minus OFF in each window [edge, next edge), in µs."""
    h, w = shape
    b = np.searchsorted(edges, events["t"], side="right") - 1
    ok = (b >= 0) & (b < len(edges) - 1)
    cell = (b[ok] * h + events["y"][ok]) * w + events["x"][ok]
    signs = np.where(events["p"][ok], 1.0, -1.0)
    return np.bincount(cell, signs, minlength=(len(edges) - 1) * h * w).reshape(-1, h, w)


# ---------------------------------------------------------------------------------------- address-events of 40 bits


def aer_bits(width: int, height: int) -> tuple[int, int, int]:
    """Bits of x, y and t in a 40-bit word: 8, 8 and 23 (the layout of N-MNIST's files) up to 256×256 pixels.

    A larger sensor takes its address bits from the time, which then wraps sooner: 346×260 has 9, 9 and 21 bits.
    """
    x, y = max(8, (width - 1).bit_length()), max(8, (height - 1).bit_length())
    if x + y > 31:
        raise ValueError(
            f"got a sensor of {width}×{height}, whose addresses leave no room for time in 40 bits"
        )
    return x, y, 39 - x - y


def aer_encode(events: np.ndarray, width: int, height: int, start: int = 0) -> np.ndarray:
    """Events → ``(N, 5)`` bytes, big-endian: x | y | polarity | t. The time wraps, and counts from ``start`` (µs).

    Raises:
        ValueError: an address lies off the sensor, events are out of order, or a pause is as long as the wrap, so
            that a receiver could not tell how often the clock went round.
    """
    bx, by, bt = aer_bits(width, height)
    x, y, t = (events[name].astype(np.int64) for name in "xyt")
    if len(x) and (min(x.min(), y.min()) < 0 or x.max() >= width or y.max() >= height):
        raise ValueError(f"got an address off the sensor of {width}×{height} pixels")
    gaps = np.diff(t, prepend=start)
    if len(t) and not 0 <= gaps.min() <= gaps.max() < 1 << bt:
        raise ValueError(
            f"got pauses of {gaps.min()} to {gaps.max()} µs, allowed are 0 to {(1 << bt) - 1} µs"
        )
    word = (
        x << (40 - bx)
        | y << (bt + 1)
        | events["p"].astype(np.int64) << bt
        | (t - start) % (1 << bt)
    )
    return word.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 3:].copy()


def aer_decode(words: np.ndarray, width: int, height: int, start: int = 0) -> np.ndarray:
    """``(N, 5)`` bytes → events: the inverse of ``aer_encode``. A time that falls back has gone round once."""
    bx, by, bt = aer_bits(width, height)
    padded = np.zeros((len(words), 8), np.uint8)
    padded[:, 3:] = words
    word = padded.view(">u8").ravel().astype(np.int64)
    t = word & ((1 << bt) - 1)
    turns = np.cumsum(np.diff(t, prepend=0) < 0) << bt
    return event_array(
        word >> (40 - bx), word >> (bt + 1) & ((1 << by) - 1), t + turns + start, word >> bt & 1 > 0
    )
