"""02d  Broken on purpose: a latency code that is not sparse

Lesson 02, section 1. The function sends a picture as first spikes and rebuilds it from them. It runs, and
the picture that comes out is the one that went in, up to the ruler's marks. And yet it costs a spike
for every pixel, while in a latency code black pixels are silent.

Mend it. When the black pixels have become silent, look at what is rebuilt before you are content.

``x`` has the shape (B,), intensities from 0 to 1; pixels below 0.01 count as black. Return the spikes
(T, B) and the rebuilt intensities (B,), with 0 where no spike came. About 8 minutes.

Run:  uv run exercises/02d_broken_latency.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from snntorch import spikegen
from torch import Tensor


def send_and_rebuild(x: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """Intensities ``(B,)`` → spikes ``(T, B)`` and what a receiver makes of them, ``(B,)``."""
    spk = spikegen.latency(x, num_steps=num_steps, threshold=0.01, normalize=True, linear=True)
    when = spk.argmax(0)  # (B,): the step at which each pixel fires
    return spk, 1 - when / (num_steps - 1)


# ---- nothing to edit below this line

PICTURE = torch.tensor([0.0, 0.0, 0.25, 1.0, 0.75, 0.0, 0.5, 0.0, 0.0])


def both(send_and_rebuild, x: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """The student's spikes and rebuilt intensities."""
    returned = send_and_rebuild(x, num_steps)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("expected two things: the spikes and the rebuilt intensities.")
    spk, rebuilt = returned
    if spk.shape != (num_steps, len(x)):
        raise Wrong(
            f"the spikes have the shape {tuple(spk.shape)}, expected {(num_steps, len(x))}."
        )
    return spk.float(), rebuilt


def check_silence(send_and_rebuild) -> None:
    """black pixels are silent, and ink fires once"""
    spk, _ = both(send_and_rebuild, PICTURE, 25)
    counts = spk.sum(0)
    black = PICTURE < 0.01
    if counts[black].any():
        step = int(spk[:, 0].argmax())
        raise Wrong(
            f"the picture has 4 pixels of ink and makes {counts.sum():.0f} spikes: {int(black.sum())} come from "
            f"black pixels, at step {step}. spikegen.latency has an option for this."
        )
    if (counts[~black] != 1).any():
        raise Wrong("a pixel of ink has to fire just once.")


def check_black(send_and_rebuild) -> None:
    """what never fired is rebuilt as black"""
    _, rebuilt = both(send_and_rebuild, PICTURE, 25)
    if rebuilt[0] > 0.5:
        raise Wrong(
            f"pixel 0 is black, it sends no spike, and it is rebuilt as {rebuilt[0]:.2g}. What does argmax "
            "say of a train that is 0 at every step?"
        )
    expect(
        rebuilt[PICTURE < 0.01], torch.zeros(5), "x̂ of black pixels (B)", "No spike means black."
    )


def check_ink(send_and_rebuild) -> None:
    """ink is rebuilt to within half a mark of the ruler"""
    x = torch.linspace(0.02, 1, 99)
    for num_steps in (5, 25, 100):
        _, rebuilt = both(send_and_rebuild, x, num_steps)
        off = (rebuilt - x).abs()
        worst = int(off.argmax())
        if off[worst] > 0.51 / (num_steps - 1):
            raise Wrong(
                f"T = {num_steps}: x = {x[worst]:.2f} is rebuilt as {rebuilt[worst]:.2f}, expected it within "
                f"{0.5 / (num_steps - 1):.3f}. The ink was right before."
            )


def check_white(send_and_rebuild) -> None:
    """a white pixel, which fires at step 0, stays white"""
    _, rebuilt = both(send_and_rebuild, torch.tensor([1.0, 0.0]), 25)
    if rebuilt[0] < 0.99:
        raise Wrong(
            f"x = 1 is rebuilt as {rebuilt[0]:.2g}, expected 1. It fires at step 0: a step number of 0 does "
            "not mean that there was no spike."
        )


EXERCISE = Exercise(
    solve=send_and_rebuild,
    checks=(check_silence, check_black, check_white, check_ink),
    hints=(
        "Which option of spikegen.latency has section 1 of the lesson that this call has not?",
        "argmax gives the first of equal values: 0 for a train without spikes, and so white. Which pixels "
        "did fire?",
        "Add clip=True; then fired = spk.sum(0), and return spk, fired * (1 - when / (num_steps - 1)).",
    ),
    why="Two faults had cancelled: black pixels fired last, and so were rebuilt as black. A result "
    "that looks right does not prove that the code is sparse; counting the spikes does.",
)

if __name__ == "__main__":
    EXERCISE.main()
