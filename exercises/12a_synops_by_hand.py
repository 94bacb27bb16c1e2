"""12a  Synaptic operations by hand

Lesson 12, sections 2 and 4. A convolution gets spikes. On an event-driven chip each spike is sent to
every output whose window it lies in, in every output channel, and causes one addition there: one
synaptic operation. Count them, spike by spike, with plain loops: no convolution is needed.

    spk           (T, B, C, H, W), zeros and ones
    kernel        side of the square window
    padding       rows of zeros around the picture, on each side
    stride        by how many rows (and columns) one window lies further than the one before

Along one side of H rows there are (H + 2·padding − kernel)//stride + 1 windows. Window o covers the
rows o·stride − padding to o·stride − padding + kernel − 1. Columns are alike. Return the number of
additions for one picture: over all steps, averaged over the B pictures. About 10 minutes.

Run:  uv run exercises/12a_synops_by_hand.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import torch
import torch.nn.functional as F
from torch import Tensor


def synops(spk: Tensor, out_channels: int, kernel: int, stride: int, padding: int) -> float:
    """Additions that ``spk (T, B, C, H, W)`` causes, per picture."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def answer(synops, spk: Tensor, *args: int) -> float:
    """The student's number."""
    got = synops(spk.clone(), *args)
    if got is None:
        raise Wrong("got None. Is there a return?")
    if isinstance(got, Tensor) and got.numel() != 1:
        raise Wrong(f"got a tensor {tuple(got.shape)}, expected one number.")
    return float(got)


def one_spike(row: int, column: int, size: int) -> Tensor:
    """One picture, one step, one channel, one spike."""
    spk = torch.zeros(1, 1, 1, size, size)
    spk[0, 0, 0, row, column] = 1
    return spk


def check_inside(synops) -> None:
    """a spike in the middle, stride 1: kernel² outputs in each channel"""
    for kernel in (3, 5):
        got = answer(synops, one_spike(5, 5, 11), 4, kernel, 1, kernel // 2)
        wanted = 4 * kernel**2
        if got == wanted:
            continue
        who = f"one spike, {kernel}×{kernel} window, 4 output channels: got {got:g}, expected {wanted}."
        if got == kernel**2:
            raise Wrong(f"{who} Each output channel has weights of its own.")
        if got == 4 * kernel:
            raise Wrong(f"{who} Rows and columns multiply: {kernel} windows along each side.")
        if got < wanted:
            raise Wrong(f"{who} It lies in {kernel} windows along each side, so some are missed.")
        raise Wrong(
            f"{who} It lies in {kernel} windows along each side; no other window may count."
        )


def check_border(synops) -> None:
    """a spike in the corner lies in fewer windows"""
    got = answer(synops, one_spike(0, 0, 8), 1, 3, 1, 1)
    if got != 4:
        why = "Windows stop at the border: along each side only windows 0 and 1 hold row 0."
        raise Wrong(
            f"one spike in the corner, 3×3, stride 1, padding 1: got {got:g}, expected 4. {why}"
        )


def check_stride(synops) -> None:
    """stride 2: row 0 lies in one window, row 1 in two"""
    for row, column, wanted in ((0, 0, 1), (1, 0, 2), (1, 1, 4), (2, 2, 1)):
        got = answer(synops, one_spike(row, column, 8), 1, 3, 2, 1)
        if got != wanted:
            raise Wrong(
                f"one spike at row {row}, column {column}, 3×3, stride 2, padding 1: got {got:g}, "
                f"expected {wanted}. Window o covers the rows 2·o − 1 to 2·o + 1."
            )


def check_steps(synops) -> None:
    """all steps count, and the mean over the pictures"""
    once = one_spike(4, 4, 9)
    steps = answer(synops, once.expand(3, 1, 1, 9, 9), 1, 3, 1, 1)
    if steps != 27:
        raise Wrong(
            f"the same spike at 3 steps: got {steps:g} additions, expected 27. Each step costs anew."
        )
    two = torch.cat([once, torch.zeros_like(once)], dim=1)  # (1, 2, 1, 9, 9): the second is silent
    mean = answer(synops, two, 1, 3, 1, 1)
    if mean != 4.5:
        raise Wrong(
            f"two pictures, one of them silent: got {mean:g}, expected 4.5 a picture. Divide by B, not "
            "by the number of spikes or steps."
        )


def check_against_convolution(synops) -> None:
    """the same as a convolution whose weights are all 1"""
    for size, kernel, stride, padding in ((8, 3, 2, 1), (9, 5, 2, 2), (7, 3, 1, 0)):
        spk = (torch.rand(2, 3, 4, size, size) < 0.3).float()
        ones = torch.ones(6, 4, kernel, kernel)
        reached = F.conv2d(spk.flatten(0, 1), ones, stride=stride, padding=padding)
        wanted = reached.sum().item() / 3
        got = answer(synops, spk, 6, kernel, stride, padding)
        if abs(got - wanted) > 1e-3 * wanted:
            raise Wrong(
                f"{size}×{size}, kernel {kernel}, stride {stride}, padding {padding}: got {got:g} a picture, "
                f"a convolution with ones gives {wanted:g}."
            )


EXERCISE = Exercise(
    solve=synops,
    checks=(check_inside, check_border, check_stride, check_steps, check_against_convolution),
    hints=(
        "Rows and columns can be counted apart: a spike that lies in 2 windows along the rows and in 3 "
        "along the columns reaches 6 outputs in each channel.",
        "spk.nonzero().tolist() lists the spikes as [t, b, c, row, column].",
        "in_windows(r, size) = sum over o in range((size + 2 * padding - kernel) // stride + 1) of "
        "(o * stride - padding <= r < o * stride - padding + kernel).",
    ),
    why="A spike costs what it reaches. Two layers with equally many spikes can therefore differ widely in "
    "synaptic operations, and a rate alone says nothing about energy.",
)

if __name__ == "__main__":
    EXERCISE.main()
