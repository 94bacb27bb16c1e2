"""02d  Broken on purpose: a latency code that is not sparse. Model solution"""

from __future__ import annotations

from snntorch import spikegen
from torch import Tensor


def send_and_rebuild(x: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """Intensities ``(B,)`` → spikes ``(T, B)`` and what a receiver makes of them, ``(B,)``."""
    options = {"threshold": 0.01, "normalize": True, "linear": True, "clip": True}
    spk = spikegen.latency(x, num_steps=num_steps, **options)
    when = spk.argmax(0)  # (B,): the step at which each pixel fires, 0 for one that does not
    fired = spk.sum(0)  # (B,): 1 for ink, 0 for black
    return spk, fired * (1 - when / (num_steps - 1))
