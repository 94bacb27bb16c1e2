"""14b  SynOps of a network, layer by layer

Lesson 14, sections 1 and 6. A spiking network like lesson 10's: every layer's spikes go into the next
layer's 3×3 convolution (stride 1, one row of zeros around the map), the last layer's into a linear
read-out, which sees the mean over all places. How many additions do the spikes of each layer cause,
for one image?

    outputs     a list: what each layer hands on, each (T, B, C, H, W). An element is how many spikes
                there are at that place in that step: 0, 1, or behind a shortcut 2
    filters     a list: how many filters the convolution behind each layer has; the last entry is the
                number of classes

A spike meets one weight of each filter for every output whose window it lies in: nine outputs inside the
map, fewer at its edge. A spike of the last layer meets one weight a class. Return a list of numbers, one
a layer: over all T steps, mean of the B images. Use tensors, no loop over spikes (12a has that one).
About 10 minutes.

Run:  uv run exercises/14b_synops_of_a_network.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import torch
import torch.nn.functional as F
from torch import Tensor


def synops_by_layer(outputs: list[Tensor], filters: list[int]) -> list[float]:
    """Additions an image that the spikes of each layer cause, one number a layer."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def answer(synops_by_layer, outputs: list[Tensor], filters: list[int]) -> list[float]:
    """The student's numbers."""
    got = synops_by_layer([spk.clone() for spk in outputs], list(filters))
    if got is None:
        raise Wrong("got None. Is there a return?")
    got = [float(value) for value in got]
    if len(got) != len(outputs):
        raise Wrong(f"got {len(got)} numbers for {len(outputs)} layers, expected one a layer.")
    return got


def silent(size: int, channels: int = 2, T: int = 2, B: int = 2) -> Tensor:
    """A layer without spikes."""
    return torch.zeros(T, B, channels, size, size)


def check_inside(synops_by_layer) -> None:
    """one spike inside the map meets nine weights of each filter"""
    spk = silent(5, B=1)
    spk[1, 0, 0, 2, 2] = 1
    got, _ = answer(synops_by_layer, [spk, silent(5, B=1)], [7, 10])
    if got == 63:
        return
    if got == 9:
        raise Wrong("one spike, 7 filters: got 9, expected 63. Each filter has weights of its own.")
    if got == 7:
        raise Wrong("one spike, 7 filters: got 7, expected 63. It lies in nine windows.")
    if got == 31.5:
        raise Wrong(
            "one spike in two steps, 7 filters: got 31.5, expected 63. Sum over the steps: the mean is of the "
            "images only."
        )
    raise Wrong(f"one spike, 7 filters: got {got:g}, expected 9·7 = 63.")


def check_edge(synops_by_layer) -> None:
    """fewer at the edge: six beside a border, four in a corner"""
    for row, column, windows in ((0, 0, 4), (0, 2, 6), (4, 4, 4), (3, 4, 6)):
        spk = silent(5, B=1)
        spk[0, 0, 1, row, column] = 1
        got, _ = answer(synops_by_layer, [spk, silent(5, B=1)], [3, 10])
        if got != 3 * windows:
            raise Wrong(
                f"one spike at row {row}, column {column} of a 5×5 map, 3 filters: got {got:g}, expected "
                f"{3 * windows}. Windows whose middle lies outside of the map do not exist."
            )


def check_readout(synops_by_layer) -> None:
    """a spike of the last layer meets one weight a class"""
    spk = silent(4, B=1)
    spk[0, 0, 0, 0, 0] = 1
    spk[1, 0, 1, 2, 2] = 1
    _, got = answer(synops_by_layer, [silent(4, B=1), spk], [5, 10])
    if got != 20:
        raise Wrong(
            f"two spikes of the last layer, 10 classes: got {got:g}, expected 20. Behind it stands a linear "
            "layer and no convolution; where in the map a spike lies makes no difference."
        )


def check_shortcut(synops_by_layer) -> None:
    """behind a shortcut a 2 counts as two spikes"""
    spk = silent(5, B=1)
    spk[0, 0, 0, 2, 2] = 2
    got, _ = answer(synops_by_layer, [spk, silent(5, B=1)], [1, 10])
    if got != 18:
        raise Wrong(
            f"an element of 2, one filter: got {got:g}, expected 18. The layer's own spike and the one of the "
            "shortcut arrive both, and each is added."
        )


def check_mean(synops_by_layer) -> None:
    """all steps count, and the mean over the images"""
    spk = silent(5, T=3, B=4)
    spk[:, 0, 0, 2, 2] = 1  # at three steps, for one of four images
    got, _ = answer(synops_by_layer, [spk, silent(5, T=3, B=4)], [4, 10])
    if got != 27:
        raise Wrong(
            f"a spike at each of 3 steps, for one of 4 images, 4 filters: got {got:g}, expected 27 = 3·36/4. "
            "Every step costs anew, and the images are averaged."
        )


def check_against_convolution(synops_by_layer) -> None:
    """the same as convolutions whose weights are all 1"""
    outputs = [(torch.rand(2, 3, c, s, s) < 0.3).float() for c, s in ((4, 8), (6, 4), (5, 3))]
    outputs[1] = outputs[1] + (torch.rand(2, 3, 6, 4, 4) < 0.3).float()
    filters = [6, 5, 10]
    got = answer(synops_by_layer, outputs, filters)
    for i, (spk, after) in enumerate(zip(outputs[:-1], filters, strict=False)):
        ones = torch.ones(after, spk.shape[2], 3, 3)
        wanted = F.conv2d(spk.flatten(0, 1), ones, padding=1).sum().item() / 3
        if abs(got[i] - wanted) > 1e-3 * wanted:
            raise Wrong(
                f"layer {i + 1}, {tuple(spk.shape)}, {after} filters behind it: got {got[i]:g}, a convolution "
                f"with ones gives {wanted:g}."
            )


EXERCISE = Exercise(
    solve=synops_by_layer,
    checks=(
        check_inside,
        check_edge,
        check_readout,
        check_shortcut,
        check_mean,
        check_against_convolution,
    ),
    hints=(
        "How many windows a place lies in depends on the place alone: it is a map (H, W), the same for every "
        "step, image and channel.",
        "Convolve a map of ones with a 3×3 window of ones, padding=1: that is the map of windows.",
        "spk.sum((0, 1, 2)) / B are the spikes of one image at each place, (H, W). Times the map, summed, times "
        "the filters.",
    ),
    why="The fan-out is known before anything runs, so SynOps are a weighted sum of spikes. That is why they can "
    "stand in a loss as easily as the spikes themselves.",
)

if __name__ == "__main__":
    EXERCISE.main()
