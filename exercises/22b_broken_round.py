"""22b  A round of DAgger that is none: broken on purpose

Capstone B, section 2. The function below plays one round of B runs and returns what the network is to be
trained on. DAgger lets the *network* play, and asks the teacher about each frame that the network ran into:

    target[t] = σ(teacher(state at frame t)/2)                                                (3)

    world       .frame() → what the players see now, (B, …); .act(keys) plays on to the next frame
    network     frames (B, …) → keys, (B,) bool
    teacher     world → by how many ticks each key is overdue now, (B,) float32 NumPy array

The program runs, and the loss of a network that is trained on its record falls. But the record is not what DAgger
asks for. There are two mistakes. Find them before you run the check, and mend both. About 10 minutes.

Run:  uv run exercises/22b_broken_round.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import numpy as np
import torch
from torch import Tensor


def one_round(world, network, teacher, num_frames: int) -> tuple[Tensor, Tensor]:
    """Frames ``(T, B, …)`` and the teacher's answers to them, as probabilities ``(T, B)``."""
    frames, targets = [], []
    for _ in range(num_frames):
        frame = world.frame()
        keys = teacher(world) >= 0
        world.act(keys)
        overdue = torch.from_numpy(teacher(world))  # (B,)
        frames.append(torch.from_numpy(frame))
        targets.append(torch.sigmoid(overdue / 2))
    return torch.stack(frames), torch.stack(targets)


# ---- nothing to edit below this line


class Track:
    """B runners on a line: each frame shows its place. A key takes it back by 3, otherwise it goes on by 1."""

    def __init__(self, starts: tuple[int, ...]) -> None:
        self.place = np.array(starts, np.float32)
        self.keys: list[np.ndarray] = []

    def frame(self) -> np.ndarray:
        return self.place[:, None].copy()  # (B, 1)

    def act(self, keys: np.ndarray) -> None:
        self.keys.append(np.asarray(keys))
        self.place += np.where(self.keys[-1], -3, 1).astype(np.float32)


STARTS = (0, 1, 4)


def teacher_of(world: Track) -> np.ndarray:
    """Wants the key from place 5 on."""
    return world.place - 5


def lazy(frame: np.ndarray) -> np.ndarray:
    """A network that presses three places later than the teacher would."""
    return frame[:, 0] >= 8


def played(one_round) -> tuple[Track, Tensor, Tensor]:
    """The track after a round of 12 frames, and what came back."""
    world = Track(STARTS)
    got = one_round(world, lazy, teacher_of, 12)
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong("expected two tensors: frames and targets.")
    frames, targets = got
    if tuple(frames.shape) != (12, 3, 1) or tuple(targets.shape) != (12, 3):
        raise Wrong(
            f"got {tuple(frames.shape)} and {tuple(targets.shape)}, expected frames of (12, 3, 1) and targets "
            "of (12, 3)."
        )
    if len(world.keys) != 12:
        raise Wrong(f"the world was played on {len(world.keys)} times in 12 frames.")
    return world, frames, targets


def check_who_plays(one_round) -> None:
    """the network plays"""
    world, frames, _ = played(one_round)
    again = Track(STARTS)
    for t, keys in enumerate(world.keys):
        wanted = lazy(again.frame())
        if not np.array_equal(keys, wanted):
            raise Wrong(
                f"at frame {t} run {int((keys != wanted).nonzero()[0][0])} got another key than the network's. If "
                "the teacher plays, the record never shows where the network's own mistakes lead."
            )
        if not np.array_equal(frames[t].numpy(), again.frame()):
            raise Wrong(f"frame {t} of the record is not the one that the network saw.")
        again.act(keys)


def check_whose_answer(one_round) -> None:
    """each frame has the teacher's answer to it"""
    _, frames, targets = played(one_round)
    wanted = torch.sigmoid((frames[:, :, 0] - 5) / 2)
    if torch.allclose(targets, wanted, atol=1e-5):
        return
    t, run = (int(i) for i in ((targets - wanted).abs() > 1e-5).nonzero()[0])
    if torch.allclose(targets[:-1], wanted[1:], atol=1e-5):
        raise Wrong(
            f"target {t} of run {run} answers frame {t + 1}. When is the teacher asked, before the key or after it?"
        )
    raise Wrong(
        f"at frame {t} run {run} stands at {frames[t, run, 0]:g}, its key is overdue by {frames[t, run, 0] - 5:g} ticks: "
        f"σ({frames[t, run, 0] - 5:g}/2) = {wanted[t, run]:.3f}, the target is {targets[t, run]:.3f}."
    )


def check_states(one_round) -> None:
    """the record holds states that a good player never meets"""
    _, frames, targets = played(one_round)
    beyond = frames[:, :, 0] > 5
    if not bool(beyond.any()) or float(targets[beyond].min()) <= 0.5:
        raise Wrong("the network runs beyond place 5, and the teacher's answer there is to press.")


EXERCISE = Exercise(
    solve=one_round,
    checks=(check_who_plays, check_whose_answer, check_states),
    hints=(
        "Write down who is asked in each line, and about which frame.",
        "The keys that the world gets are network(frame). The teacher is only asked.",
        "world.act changes the world. Ask the teacher before it, while the world still is what the frame shows.",
    ),
    why=(
        "The network is trained on the states that it will meet when it plays, with the answers of somebody who "
        "knows better. Teacher's states with teacher's answers are behaviour cloning."
    ),
)

if __name__ == "__main__":
    EXERCISE.main()
