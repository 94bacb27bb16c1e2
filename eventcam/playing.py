"""Recordings played with another clock: more slowly, or with a pause, and with the noise of the time that is added."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import NamedTuple

from eventcam.events import event_array
from eventcam.recordings import EventData

import numpy as np

SACCADE_US = 100_000  # how long each turn of N-MNIST's camera takes


class Noise(NamedTuple):
    """A camera's noise."""

    hz: float  # events of one pixel in a second
    on: float  # share of ON events


def border_noise(data: EventData) -> Noise:
    """Of the outermost pixels, which no digit reaches: what they send is noise."""
    last = data.sensor_size[0] - 1
    fired, seconds = [], 0.0
    for events in data.recordings:
        x, y = events["x"], events["y"]
        border = (x == 0) | (x == last) | (y == 0) | (y == last)
        fired.append(events["p"][border])
        seconds += np.ptp(events["t"]) / 1e6
    polarity = np.concatenate(fired)
    on = float(polarity.sum()) / max(1, len(polarity))
    return Noise(float(len(polarity) / (4 * last * seconds)), on)


@dataclass(frozen=True)
class Played:
    """Plays a recording: ``slower`` times as slowly, or with a pause after the first saccade.

    Noise goes on by the clock, so the time that is added brings noise events of its own.
    """

    noise: Noise
    side: int
    slower: int = 1
    pause_us: int = 0

    def __call__(self, events: np.ndarray) -> np.ndarray:
        played = events.copy()
        t = played["t"]  # (N,), a view
        begin, duration = t[0], np.ptp(t)
        after = begin + SACCADE_US
        t[t >= after] += self.pause_us
        t *= self.slower
        if self.pause_us:
            return self.with_noise(played, self.pause_us, after, after + self.pause_us)
        added = (self.slower - 1) * duration
        return self.with_noise(played, added, t[0], t[-1])

    def with_noise(self, played: np.ndarray, added: int, begin: int, end: int) -> np.ndarray:
        """As many noise events as ``added`` µs bring, at random times from ``begin`` to ``end``."""
        # the same recording gets the same noise, for each rule of binning
        rng = np.random.default_rng(zlib.crc32(played.tobytes()))
        n = rng.poisson(self.noise.hz * self.side**2 * added / 1e6)
        t = rng.integers(begin, end, n)
        x, y = rng.integers(self.side, size=(2, n))
        both = np.concatenate([played, event_array(x, y, t, rng.random(n) < self.noise.on)])
        return both[np.argsort(both["t"], kind="stable")]
