"""02c  A pixel that forgets no change

Lesson 02, section 1. spikegen.delta compares each frame with the frame before: what changes by less than
θ in one step is never told, however far it gets. A pixel of a silicon retina compares x with its
*level*, the value that its spikes have told so far, and moves the level with every spike:

    S[t] = +1 if x[t] − level ≥ θ,   −1 if x[t] − level ≤ −θ,   else 0
    level ← level + θ·S[t]

At the first frame the level is x itself, and no spike is sent. A change of several θ within one
step is told at the steps that follow, one spike a step.

``frames`` has the shape (T, B). Return the spikes, +1, −1 or 0, of the same shape. About 8 minutes.

Run:  uv run exercises/02c_silicon_retina.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from snntorch import spikegen
from torch import Tensor


def silicon_retina(frames: Tensor, threshold: float) -> Tensor:
    """A film ``(T, B)`` → spikes ``(T, B)``, each +1 (ON), −1 (OFF) or 0."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

THETA = 0.125  # sums of eighths are exact


def train(silicon_retina, frames: Tensor, threshold: float = THETA) -> Tensor:
    """The student's spikes, if they are +1, −1 and 0 and have the shape of the film."""
    before = frames.clone()
    spk = silicon_retina(frames, threshold)
    if not torch.equal(frames, before):
        raise Wrong(
            "your function has changed the film that it was given. Does the level share its memory "
            "with frames[0]? level = level + … makes a new tensor, level += … does not."
        )
    if spk is None:
        raise Wrong("got None. Is there a return?")
    spk = torch.as_tensor(spk).float()
    if spk.shape != frames.shape:
        raise Wrong(
            f"got shape {tuple(spk.shape)}, expected {tuple(frames.shape)}, one entry a frame."
        )
    if not torch.isin(spk, torch.tensor([-1.0, 0.0, 1.0])).all():
        raise Wrong("there are numbers other than +1, −1 and 0: one spike a step, no more.")
    return spk


def check_still(silicon_retina) -> None:
    """a still picture is silent, from the first frame on"""
    spk = train(silicon_retina, torch.rand(3).expand(10, 3))
    if spk[0].any():
        raise Wrong("step 0: there are spikes. The level starts at x[0], not at 0.")
    if spk.any():
        raise Wrong("a picture that does not change makes spikes.")


def check_edge(silicon_retina) -> None:
    """where an edge passes, ON in front of it and OFF behind it"""
    bar = torch.zeros(8, 8)  # (T, B): a bright pixel moves one place a step
    for step in range(8):
        bar[step, step] = THETA
    spk = train(silicon_retina, bar)
    wanted = torch.zeros(8, 8)
    for step in range(1, 8):
        wanted[step, step] = 1
        wanted[step, step - 1] = -1
    smell = "A bright pixel moves one place a step: ON where it arrives, OFF where it was."
    expect(spk, wanted, "S (T, N)", smell)


def check_slow(silicon_retina) -> None:
    """a slow change is told in full, up and down"""
    up = torch.arange(0, 257)[:, None] / 256  # from 0 to 1, a thirty-second of θ a step
    for frames, sign, way in ((up, 1, "rises"), (up.flip(0), -1, "falls")):
        spk = train(silicon_retina, frames)
        if spk.sum() != 8 * sign:
            got = f"x {way} by 8·θ in 256 steps: the spikes add up to {spk.sum():.0f}, expected {8 * sign}."
            if not spk.any():
                raise Wrong(f"{got} With what do you compare x: the last frame, or the level?")
            raise Wrong(f"{got} By how much does a spike move the level?")


def check_drift(silicon_retina) -> None:
    """what a spike has not told is kept"""
    frames = torch.tensor([[0.0], [1.5], [1.5], [2.0]]) * THETA
    spk = train(silicon_retina, frames)
    smell = (
        "x is 0, 1.5·θ, 1.5·θ, 2·θ. The first spike tells θ; half a θ is left and counts towards the "
        "second. Does your level jump to x?"
    )
    expect(spk, torch.tensor([[0.0], [1.0], [0.0], [1.0]]), "S (T, N)", smell)


def check_jump(silicon_retina) -> None:
    """a jump of 3·θ takes three spikes"""
    frames = torch.tensor([0.0, 3.0, 3.0, 3.0, 3.0])[:, None] * THETA
    spk = train(silicon_retina, frames)
    smell = "x jumps by 3·θ at step 1."
    expect(spk, torch.tensor([[0.0], [1.0], [1.0], [1.0], [0.0]]), "S (T, N)", smell)


def check_level(silicon_retina) -> None:
    """from its spikes the film can be rebuilt, to within θ; from spikegen.delta's it cannot"""
    walk = (torch.randint(-1, 2, (400, 20)) / 32).cumsum(0)  # steps of θ/4
    spk = train(silicon_retina, walk)
    told = walk[0] + THETA * spk.cumsum(0)
    off = (told - walk).abs()
    if (off >= THETA).any():
        raise Wrong(
            f"x and what the spikes have told are up to {off.max().item() / THETA:.2g}·θ apart, expected "
            "less than θ at every step."
        )
    assert not spikegen.delta(walk, threshold=THETA, padding=True, off_spike=True).any()


EXERCISE = Exercise(
    solve=silicon_retina,
    checks=(check_still, check_edge, check_slow, check_drift, check_jump, check_level),
    hints=(
        "It is the function `delta` of the lesson with one line changed: what `before` becomes.",
        "Start with level = frames[0]. In the loop, after spk is known, move the level by θ·spk.",
        "change = frame - level; spk = (change >= threshold).float() - (change <= -threshold).float(); "
        "level = level + threshold * spk; append spk.",
    ),
    why="What has been told is remembered, so no change gets lost, only late. It is the same idea as "
    "reset by subtraction, and lesson 04 builds the event camera's pixel from it.",
)

if __name__ == "__main__":
    EXERCISE.main()
