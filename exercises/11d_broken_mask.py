"""11d  Broken on purpose: padding has a say

Lesson 11, section 2. A recording's answer is the mean of the output potentials over its own T_b steps,
equation (2); the rest of the batch's T steps is padding:

    z_b = (U_b[1] + … + U_b[T_b]) / T_b

Nobody says how long a recording is, but its frames do: it ends with its last frame that holds an event.
In between there may be frames without any, since a scene that rests causes hardly any; they count. A
recording without events is taken for one step long. The function below runs, and the answer still
depends on who is in the batch. There are two faults. Find them and mend them. (The lesson's
``step_weights`` gives the same means in another way: try first, and compare then.)

``x (T, B, 2, H, W)`` are the counts of the frames, ``mem_rec (T, B, K)`` the output potentials. Return
the means ``(B, K)``. About 10 minutes.

Run:  uv run exercises/11d_broken_mask.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def mean_over_own_steps(x: Tensor, mem_rec: Tensor) -> Tensor:
    """Frames ``(T, B, 2, H, W)`` and potentials ``(T, B, K)`` → means ``(B, K)``."""
    filled = x.flatten(2).sum(2) > 0  # (T, B): is there an event in this frame?
    return (mem_rec * filled[..., None]).mean(0)


# ---- nothing to edit below this line


def batch(lengths: list[int], T: int) -> tuple[Tensor, Tensor]:
    """Frames with an event each up to the recordings' ends, and potentials that go on behind them."""
    B = len(lengths)
    x = torch.zeros(T, B, 2, 4, 4)
    for b, length in enumerate(lengths):
        x[:length, b] = torch.randint(0, 3, (length, 2, 4, 4)).float()
        x[:length, b, 0, 0, 0] = 1.0
    return x, torch.randn(T, B, 3)


def means(mean_over_own_steps, x: Tensor, mem_rec: Tensor) -> Tensor:
    """What the student's function returns, its shape checked."""
    got = torch.as_tensor(mean_over_own_steps(x.clone(), mem_rec.clone())).float()
    if got.shape != mem_rec.shape[1:]:
        raise Wrong(
            f"got the shape {tuple(got.shape)}, expected (B, K) = {tuple(mem_rec.shape[1:])}."
        )
    return got


def check_full(mean_over_own_steps) -> None:
    """without padding, it is the mean over all steps"""
    x, mem_rec = batch([6, 6], 6)
    got = means(mean_over_own_steps, x, mem_rec)
    expect(got, mem_rec.mean(0), "z (B, K)", "Both recordings fill all 6 steps.")


def check_padding(mean_over_own_steps) -> None:
    """more padding changes nothing"""
    x, mem_rec = batch([4, 6], 6)
    alone = mem_rec[:4, 0].mean(0)
    got = means(mean_over_own_steps, x, mem_rec)[0]
    if torch.allclose(got, alone * 4 / 6, atol=1e-5):
        raise Wrong(
            "a recording of 4 frames in a batch of 6: its means are 4/6 of what they should be. The sum "
            "runs over 4 steps; by how many is it divided?"
        )
    if torch.allclose(got, mem_rec[:, 0].mean(0), atol=1e-5):
        raise Wrong("a recording of 4 frames in a batch of 6: the mean runs over its padding, too.")
    expect(got, alone, "z[0] (K,)", "Steps 5 and 6 are padding of recording 0.")
    more = torch.cat([x, torch.zeros(5, *x.shape[1:])])
    longer = torch.cat([mem_rec, torch.randn(5, *mem_rec.shape[1:])])
    again = means(mean_over_own_steps, more, longer)
    expect(again[0], alone, "z[0] (K,)", "Five more padded steps stand behind both recordings.")


def check_pause(mean_over_own_steps) -> None:
    """a pause is no padding"""
    x, mem_rec = batch([5, 6], 6)
    x[1:3, 0] = 0.0  # frames 2 and 3 of 5 hold no event
    wanted = mem_rec[:5, 0].mean(0)
    got = means(mean_over_own_steps, x, mem_rec)[0]
    kept = mem_rec[[0, 3, 4], 0]
    if torch.allclose(got, kept.mean(0), atol=1e-5):
        raise Wrong(
            "frames 2 and 3 of 5 hold no event, and their steps are left out. Light that rests is part of "
            "the recording: it ends with its *last* frame that holds an event."
        )
    if torch.allclose(got, kept.sum(0) / 5, atol=1e-5):
        raise Wrong(
            "frames 2 and 3 of 5 hold no event: the sum leaves their steps out, and the division by 5 "
            "does not."
        )
    if torch.allclose(got, mem_rec[:3, 0].mean(0), atol=1e-5):
        raise Wrong(
            "three of the first five frames hold an event, and the mean runs over the first three steps. "
            "How many frames hold one is not how long the recording is."
        )
    expect(got, wanted, "z[0] (K,)", "Frames 2 and 3 of 5 hold no event, frame 5 does.")


def check_empty(mean_over_own_steps) -> None:
    """a recording without events gives numbers"""
    x, mem_rec = batch([3, 4], 4)
    x[:, 0] = 0.0
    got = means(mean_over_own_steps, x, mem_rec)
    if not bool(got.isfinite().all()):
        raise Wrong(
            "a recording without any event gives nan: its length is 0, and one divides by it."
        )
    expect(got[0], mem_rec[0, 0], "z[0] (K,)", "Without events it is taken for one step long.")


def check_neighbour(mean_over_own_steps) -> None:
    """what stands beside a recording does not matter"""
    x, mem_rec = batch([3, 7], 7)
    together = means(mean_over_own_steps, x, mem_rec)[0]
    alone = means(mean_over_own_steps, x[:3, :1], mem_rec[:3, :1])[0]
    expect(together, alone, "z[0] (K,)", "Once in a batch with a longer recording, once alone.")


EXERCISE = Exercise(
    solve=mean_over_own_steps,
    checks=(check_full, check_padding, check_pause, check_empty, check_neighbour),
    hints=(
        "Which steps are summed, and by what is the sum divided? What does a frame without events mean "
        "in the middle of a recording?",
        "Give each frame its number, 1 … T. The length of a recording is the largest number of a frame "
        "that holds an event. The steps up to there count, filled or not.",
        "step = torch.arange(1, T + 1)[:, None]; length = (filled * step).amax(0).clamp(min=1); then "
        "inside = step <= length, and the sum over inside is divided by length[:, None].",
    ),
    why="With the mean over its own steps, a recording is answered alike alone and in any batch. The "
    "lesson's step_weights does the same by weights T / T_b and 0, so that a plain mean over T follows.",
)

if __name__ == "__main__":
    EXERCISE.main()
