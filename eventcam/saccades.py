"""Digits before a moving event camera, drawn: frames that look like those of N-MNIST.

No recording is copied. The path of the camera and the polarity were read off N-MNIST once; the pixel
is the textbook one of lesson 04: it remembers the log intensity at its last event and sends the next
one when the log intensity has moved by a threshold.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SENSOR = 34  # pixels a side
PATH_Y = (
    1.1, 1.4, 2.1, 3.0, 4.1, 5.2, 5.8, 6.0, 6.0, 6.0, 5.9, 5.9, 5.8, 5.5, 4.8, 3.8,
    2.8, 2.0, 1.6, 1.5, 1.4, 1.4, 1.4, 1.4, 1.4, 1.4, 1.3, 1.3, 1.2, 1.2, 1.2,
)  # fmt: skip
PATH_X = (
    0.5, 0.4, 0.4, 0.4, 0.4, 0.7, 1.4, 1.9, 2.0, 2.0, 2.1, 2.4, 2.8, 3.3, 3.8, 4.3,
    4.7, 5.1, 5.3, 5.4, 5.6, 5.7, 5.6, 5.2, 4.5, 3.5, 2.5, 1.6, 1.1, 0.9, 0.9,
)  # fmt: skip
PATH = torch.tensor([PATH_Y, PATH_X]).T
"""where the upper left corner of the 28×28 picture is, every 10 ms: y and x in pixels, ``(31, 2)``

Read off N-MNIST: the place at which the edges of a picture agree best with the events of 10 ms, on
average over 400 recordings. It moves down, then up and to the right, then to the left.
"""
CHUNK = 1_000  # pictures that are drawn at a time
DARK, THRESHOLD, MISMATCH = 1.15, 0.2, 0.15
NOISE = 0.12  # noise events of a pixel and polarity in a whole recording
MOST = 2  # events that a pixel can send between two positions


def saccade_path(num_positions: int) -> Tensor:
    """Positions ``(num_positions + 1, 2)``, y and x, at equal times along the three saccades."""
    t = torch.linspace(0, len(PATH) - 1, num_positions + 1)
    before = t.floor().clamp(max=len(PATH) - 2).long()
    share = (t - before)[:, None]
    return (1 - share) * PATH[before] + share * PATH[before + 1]


def seen_at(pictures: Tensor, y: float, x: float) -> Tensor:
    """Pictures ``(N, 28, 28)`` on the sensor, ``(N, 34, 34)``, corner at ``y, x`` (between pixels: bilinear)."""
    row, column = math.floor(y), math.floor(x)
    fy, fx = y - row, x - column
    side = pictures.shape[-1]
    out = pictures.new_zeros(len(pictures), SENSOR + 1, SENSOR + 1)
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            top, left = row + dy, column + dx
            out[:, top : top + side, left : left + side] += wy * wx * pictures
    return out[:, :SENSOR, :SENSOR]


@torch.no_grad()
def saccade_frames(
    pictures: Tensor, num_steps: int, generator: torch.Generator, num_positions: int = 30
) -> Tensor:
    """Frames of drawn recordings: pictures ``(N, 1, 28, 28)``, uint8 → counts ``(N, T, 2, 34, 34)``, uint8.

    Args:
        num_steps: time bins T of equal length.
        generator: draws thresholds, contrasts and noise events.
        num_positions: the positions of the camera at which pixels are asked; at least T.
    """
    num_positions = max(num_positions, num_steps)
    path = saccade_path(num_positions).tolist()
    parts = []
    for some in pictures[:, 0].split(CHUNK):
        light = some.float() / 255
        N = len(light)
        draw = torch.randn(N, SENSOR, SENSOR, generator=generator)
        theta = THRESHOLD * (1 + MISMATCH * draw).clamp(min=0.4)
        contrast = torch.exp(0.25 * torch.randn(N, 1, 1, generator=generator))
        counts = torch.zeros(N, num_steps, 2, SENSOR, SENSOR)
        memory = theta * (torch.rand(theta.shape, generator=generator) - 0.5)
        memory += contrast * torch.log(DARK - seen_at(light, *path[0]))
        for i in range(1, num_positions + 1):
            # the strokes are dark on a light ground: so N-MNIST's polarities have it
            brightness = contrast * torch.log(DARK - seen_at(light, *path[i]))
            steps = torch.trunc((brightness - memory) / theta)  # whole thresholds, with their sign
            memory += steps * theta
            steps = steps.clamp(-MOST, MOST)
            k = (i - 1) * num_steps // num_positions
            counts[:, k, 1] += F.relu(steps)
            counts[:, k, 0] += F.relu(-steps)
        counts += torch.poisson(torch.full_like(counts, NOISE / num_steps), generator=generator)
        parts.append(counts.to(torch.uint8))
    return torch.cat(parts)
