"""Scenes that we draw and show to our own DVS model, for machines without recordings: digits and arm gestures.

Neither is a recording. The digits stand in for N-MNIST; the gestures have the eleven names of DVS128 Gesture and
nothing else of it: no people, no lighting, one tenth of the length.
"""

from __future__ import annotations

from datafiles.digits import digits
from eventcam.events import EVENT, Pixel, frames_to_events

import numpy as np
import torch

GESTURES = (
    "clapping",
    "right hand wave",
    "left hand wave",
    "right arm cw",
    "right arm ccw",
    "left arm cw",
    "left arm ccw",
    "arm roll",
    "air drums",
    "air guitar",
    "other",
)
SIDE = 64  # pixels of the rendered gestures' sensor
SHOULDERS = np.array(
    [[0.36, 0.42], [0.64, 0.42]]
)  # right arm (left in the picture), left arm; 0…1, y down


def saccade_digits(
    n_train: int = 40, n_test: int = 20, seed: int = 0, pixel: Pixel | None = None
) -> tuple[list[np.ndarray], torch.Tensor]:
    """scikit-learn's digits before our DVS, moved along N-MNIST's three saccades of 100 ms: events and labels."""
    x_train, y_train, x_test, y_test = digits()
    images = (
        torch.cat([x_train[:n_train], x_test[:n_test]])[:, 0].numpy().astype(np.float32)
    )  # (N, 28, 28)
    t = np.arange(0, 300_001, 10_000)
    corners = np.array([[0, 0], [3, 6], [6, 0], [0, 0]])  # a triangle, as in Orchard et al. 2015
    path = np.stack([np.interp(t, [0, 1e5, 2e5, 3e5], corners[:, i]) for i in (0, 1)], 1)  # (T, 2)
    recordings = []
    for i, image in enumerate(images):
        frames = np.stack([60 + 0.4 * _shifted(image, dx, dy) for dx, dy in path])  # (T, 34, 34)
        recordings.append(frames_to_events(frames, t, pixel or Pixel(shot_hz=2.0), seed=seed + i))
    return recordings, torch.cat([y_train[:n_train], y_test[:n_test]])


def _shifted(image: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """The image on 34×34 pixels, moved by a fraction of a pixel (bilinear)."""
    canvas = np.zeros((36, 36), np.float32)
    (ix, fx), (iy, fy) = divmod(dx, 1), divmod(dy, 1)
    for sx, wx in ((0, 1 - fx), (1, fx)):
        for sy, wy in ((0, 1 - fy), (1, fy)):
            y, x = int(iy) + sy, int(ix) + sx
            canvas[y : y + 28, x : x + 28] += np.float32(wx * wy) * image
    return canvas[:34, :34]


def arm_gestures(per_class: int, seed: int = 0) -> tuple[list[np.ndarray], torch.Tensor]:
    """``per_class`` clips of each gesture, 0.5 to 1.5 s at 50 frames a second, through our DVS of 64×64 pixels."""
    rng, recordings, labels = np.random.default_rng(seed), [], []
    for _ in range(per_class):
        for k in range(len(GESTURES)):
            t = np.arange(0, rng.uniform(0.5, 1.5), 0.02)  # s
            frames = _draw(_hands(k, t, rng), rng)
            recordings.append(
                frames_to_events(frames, (1e6 * t).round(), Pixel(), seed=int(rng.integers(2**31)))
            )
            labels.append(k)
    return recordings, torch.tensor(labels)


def _hands(gesture: int, t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where the two hands are, ``(T, 2 hands, 2)`` in 0…1: one to three periods from a random phase on."""
    phase = 2 * np.pi * rng.uniform(1.5, 2.5) * t + rng.uniform(0, 2 * np.pi)
    s, c, zero = np.sin(phase), np.cos(phase), np.zeros_like(t)
    size = rng.uniform(0.8, 1.2)
    rest = [np.stack([zero + x, zero + 0.85], 1) for x in (0.28, 0.72)]
    at = lambda x, y: np.stack([zero + x, zero + y], 1)  # noqa: E731
    ring = lambda x, turn: at(x + 0.15 * size * c, 0.42 + 0.15 * size * turn * s)  # noqa: E731
    wave = lambda x: at(x + 0.12 * size * s, 0.15)  # noqa: E731
    other = at(0.5, 0.5)
    for _ in range(3):  # slow wandering of no pattern
        other = (
            other
            + rng.uniform(-0.12, 0.12, 2)
            * np.sin(rng.uniform(3, 12) * t + rng.uniform(0, 6.3))[:, None]
        )
    right, left = [
        (at(0.46 - 0.07 * size * (1 + c), 0.55), at(0.54 + 0.07 * size * (1 + c), 0.55)),
        (wave(0.24), rest[1]),
        (rest[0], wave(0.76)),
        (ring(0.22, 1), rest[1]),
        (ring(0.22, -1), rest[1]),  # y points down: +s turns clockwise on the picture
        (rest[0], ring(0.78, 1)),
        (rest[0], ring(0.78, -1)),
        (
            at(0.5 + 0.09 * size * c, 0.55 + 0.09 * size * s),
            at(0.5 - 0.09 * size * c, 0.55 - 0.09 * size * s),
        ),
        (at(0.34, 0.6 + 0.1 * size * s), at(0.66, 0.6 - 0.1 * size * s)),
        (at(0.45 + 0.03 * c, 0.65 + 0.1 * size * s), at(0.85, 0.45 + 0.01 * s)),
        (other, other[::-1] * [1, 0.9] + [0.1, 0]),
    ][gesture]
    return np.stack([right, left], 1) + rng.uniform(-0.04, 0.04, 2)


def _draw(hands: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two arms from shoulder to hand, as light rods with a hand at the end: ``(T, 2, 2) → (T, 64, 64)``."""
    grid = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    x, y = np.meshgrid(grid, grid)
    frames = np.full((len(hands), SIDE, SIDE), rng.uniform(30, 60), np.float32)
    light, width = np.float32(rng.uniform(90, 160)), np.float32(rng.uniform(0.025, 0.04))
    for arm in range(2):
        a = SHOULDERS[arm].astype(np.float32)
        b = hands[:, arm].astype(np.float32)  # (T, 2)
        d = b - a
        px, py = x - a[0], y - a[1]
        # distance of each pixel from the segment: the foot of the perpendicular, held between its two ends
        along = (px * d[:, :1, None] + py * d[:, 1:, None]) / np.maximum((d**2).sum(1), 1e-6)[
            :, None, None
        ]
        along = np.clip(along, 0, 1)  # (T, 64, 64)
        r = np.hypot(px - along * d[:, :1, None], py - along * d[:, 1:, None])
        hand = np.hypot(x - b[:, :1, None], y - b[:, 1:, None]) - width
        cover = np.clip((width - np.minimum(r, hand)) * SIDE + 0.5, 0, 1)  # one pixel of soft edge
        frames = np.maximum(frames, light * cover)
    return frames


def with_noise(signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Both streams in order of time, with a fifth field that tells them apart; Tonic's transforms let it pass."""
    both = np.concatenate([signal, noise])
    out = np.empty(len(both), np.dtype([*EVENT.descr, ("noise", "?")]))
    for field in EVENT.names:
        out[field] = both[field]
    out["noise"] = np.arange(len(both)) >= len(signal)
    return out[np.argsort(out["t"], kind="stable")]


def uniform_noise(
    like: np.ndarray, share: float, side: int, rng: np.random.Generator
) -> np.ndarray:
    """Events at random places and times, ``share`` times as many as the recording has."""
    n = round(share * len(like))
    noise = np.empty(n, EVENT)
    noise["x"], noise["y"], noise["p"] = (
        rng.integers(side, size=n),
        rng.integers(side, size=n),
        rng.integers(2, size=n),
    )
    noise["t"] = rng.integers(like["t"][0], like["t"][-1], n)
    return noise
