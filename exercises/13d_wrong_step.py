"""13d  Broken on purpose: read at the wrong step

Lesson 13, section 4. Sequences of different lengths stand in one batch. To make them equally long,
zeros are put behind the short ones, and ``lengths`` keeps where each of them ends. The network's answer to
a sequence is the mean of its potentials over the last ``last`` steps of that sequence. The function below
was written for sequences of one length. With different ones it still runs, and short sequences get answers
that fade with the length of the longest one beside them. Mend it:

    answer of sample b = mean of mem_rec[t, b] over t = lengths[b] − last … lengths[b] − 1

or over all of its steps, if the sequence is shorter than ``last``. ``mem_rec`` is (T, B, K), ``lengths`` (B,),
whole numbers; the answer is (B, K). About 10 minutes.

Run:  uv run exercises/13d_wrong_step.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def read_answer(mem_rec: Tensor, lengths: Tensor, last: int) -> Tensor:
    """Potentials ``(T, B, K)`` and where each sequence ends ``(B,)`` → the answer of each, ``(B, K)``."""
    return mem_rec[-last:].mean(0)


# ---- nothing to edit below this line


def check_equal(read_answer) -> None:
    """sequences of one length: the mean of the last steps"""
    mem_rec = torch.randn(9, 3, 4)
    got = read_answer(mem_rec, torch.tensor([9, 9, 9]), 4)
    expect(
        got, mem_rec[5:].mean(0), "answer (B, K)", "Nothing was wrong with sequences of one length."
    )


def check_short(read_answer) -> None:
    """a short sequence is read at its own end"""
    mem_rec = torch.zeros(10, 2, 1)
    mem_rec[:4, 0] = torch.tensor([1.0, 2.0, 3.0, 5.0]).reshape(
        4, 1
    )  # ends after 4 steps, then fades
    mem_rec[4:, 0] = 0.1
    mem_rec[:, 1] = 7.0
    got = read_answer(mem_rec, torch.tensor([4, 10]), 2)
    if isinstance(got, Tensor) and got.shape == (2, 1):
        first = float(got[0])
        if abs(first - 0.1) < 1e-5:
            raise Wrong(
                "sequence 0 ends after 4 steps, with potentials 3 and 5, and gets the answer 0.1, expected 4: that is "
                "the padding behind it, where the potential fades."
            )
        if abs(first - 2.55) < 1e-5:
            raise Wrong(
                "sequence 0: got 2.55, expected 4: the window is one step late. Its last step is lengths − 1."
            )
        if abs(first - 2.5) < 1e-5:
            raise Wrong(
                "sequence 0: got 2.5, expected 4: the window is one step early. Its last step is lengths − 1."
            )
        if abs(first - 0.8) < 1e-5:
            raise Wrong(
                "sequence 0: got 0.8, expected 4: its two steps are summed and divided by all 10 steps."
            )
    expect(
        got, torch.tensor([[4.0], [7.0]]), "answer (B, K)", "Each sample has a window of its own."
    )


def check_alone(read_answer) -> None:
    """the answer does not depend on what stands beside a sequence"""
    mem_rec = torch.randn(20, 3, 4)
    lengths = torch.tensor([7, 20, 12])
    got = read_answer(mem_rec, lengths, 5)
    for b, length in enumerate(lengths.tolist()):
        alone = read_answer(mem_rec[:length, b : b + 1], torch.tensor([length]), 5)
        expect(
            got[b : b + 1],
            alone,
            f"answer of sequence {b}, beside others (B, K)",
            "Alone it gets another one.",
        )
        wanted = mem_rec[length - 5 : length, b : b + 1].mean(0)
        expect(alone, wanted, "answer (B, K)", "The last five steps of the sequence.")


def check_very_short(read_answer) -> None:
    """a sequence shorter than the window is read over all of its steps"""
    mem_rec = torch.ones(8, 2, 1)
    got = read_answer(mem_rec, torch.tensor([3, 8]), 5)
    if isinstance(got, Tensor) and got.shape == (2, 1) and abs(float(got[0]) - 0.6) < 1e-5:
        raise Wrong(
            "a sequence of 3 potentials of 1 gets the answer 0.6: three steps are divided by a window of five."
        )
    if isinstance(got, Tensor) and got.shape == (2, 1) and bool(got[0].isnan()):
        raise Wrong(
            "a sequence of 3 steps gets the answer nan, the mean of nothing: a window of five would begin at step "
            "3 − 5 = −2, and a slice counts that from the end. Begin at 0 at the earliest."
        )
    expect(got, torch.ones(2, 1), "answer (B, K)", "The mean of ones is one.")


def check_gradient(read_answer) -> None:
    """no gradient goes into the padding"""
    mem_rec = torch.randn(6, 2, 3, requires_grad=True)
    out = read_answer(mem_rec, torch.tensor([3, 6]), 2)
    if not out.requires_grad:
        raise Wrong(
            "no gradient comes back at all: is the answer made of mem_rec by torch operations?"
        )
    (grad,) = torch.autograd.grad(out.sum(), mem_rec)
    wanted = torch.zeros(6, 2, 3)
    wanted[1:3, 0] = wanted[4:6, 1] = 0.5
    expect(
        grad,
        wanted,
        "∂L/∂U (T, B, K)",
        "Training would teach the network about zeros that nobody sent.",
    )


EXERCISE = Exercise(
    solve=read_answer,
    checks=(check_equal, check_short, check_alone, check_very_short, check_gradient),
    hints=(
        "Which steps count is a question for each pair (t, b). Write it as a tensor of zeros and ones, (T, B).",
        "t = torch.arange(T)[:, None] is (T, 1); t < lengths is (T, B). The window has a second side.",
        "inside = (t < lengths) & (t >= lengths - last); weight = inside[..., None].to(mem_rec.dtype); "
        "return (weight * mem_rec).sum(0) / weight.sum(0).",
    ),
    why="In a padded batch the last row belongs to the longest sequence alone. Every program that reads [-1] there is "
    "wrong for all the others, and no error message says so.",
)

if __name__ == "__main__":
    EXERCISE.main()
