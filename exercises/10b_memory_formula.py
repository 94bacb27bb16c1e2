"""10b  Memory, told beforehand

Lesson 10, section 4. A layer convolves, may pool (each map becomes half as wide and half as high),
normalises and fires. For its backward pass these numbers are kept, at every step and for every image:

    what the convolution gave, before pooling: only if the layer pools    b bytes each
    where each maximum stood, an entry for each pooled place: only then   8 bytes each
    the input of BatchNorm and neurons, after pooling                     b bytes each
    the spikes, which the next layer reads                                b bytes each

``layers`` is a list of (channels, size, pool): a layer's number of maps, the width and height of its maps
*after* pooling, and whether it pools. Write the sum for all layers. About 8 minutes.

Run:  uv run exercises/10b_memory_formula.py
"""

from __future__ import annotations

import _root  # noqa: F401

from multistep import is_fused, saved_for_backward, unroll_normalised
from tutor.exercises import Exercise, Wrong

import snntorch as snn
import torch
import torch.nn.functional as F
from torch import nn


def kept_bytes(num_steps: int, batch: int, layers: list[tuple[int, int, bool]], b: int) -> int:
    """Bytes that ``layers`` keep for the backward pass of ``batch`` images at ``num_steps`` steps."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def number(value: object) -> int:
    """``value``, if it is a whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise Wrong(f"got {value!r}, expected a whole number of bytes")
    return int(value)


def check_one_layer(kept_bytes) -> None:
    """counts one layer without pooling"""
    got = number(kept_bytes(1, 1, [(3, 5, False)], 4))
    wanted = 2 * 4 * 3 * 5 * 5  # 75 neurons
    smells = {
        wanted // 2: "A neuron's input and its spike are kept: two numbers.",
        2 * 4 * 3 * 5: "A map has size·size places.",
        wanted // 4: "In bytes: b for each number.",
    }
    if got != wanted:
        raise Wrong(
            f"3 maps of 5×5, b = 4: {got} bytes, expected {wanted}. {smells.get(got, '75 neurons.')}"
        )


def check_product(kept_bytes) -> None:
    """grows with steps times images"""
    layers = [(3, 4, False), (5, 2, False)]
    one = number(kept_bytes(1, 1, layers, 4))
    for T, B in ((6, 1), (1, 6), (4, 5)):
        got = number(kept_bytes(T, B, layers, 4))
        if got != T * B * one:
            raise Wrong(
                f"T = {T}, B = {B}: {got} bytes, expected {T * B} times the {one} of one step of one image. "
                "Each step of each image is kept."
            )


def check_pool(kept_bytes) -> None:
    """counts a layer that pools"""
    b = 6  # no number type has 6 bytes, but then no two slips make the same sum
    got = number(kept_bytes(1, 1, [(1, 4, True)], b))
    neurons = 16
    wanted = neurons * (4 * b + 8 + b + b)
    smells = {
        neurons * (2 * b + 8 + b + b): "Half as wide and half as high: a quarter of the places.",
        neurons * (b + 8 + b + b): "The map before pooling has four times as many places.",
        neurons * (4 * b + 4 * 8 + b + b): "Only one place in four is a maximum.",
        neurons * (4 * b + b + b): "And where the maxima stood: 8 bytes each.",
        neurons
        * (4 * b + b + b + b): "The places of the maxima are 64-bit integers: 8 bytes each, not b.",
        neurons
        * (4 * b + 2 * b + b + b): "The places of the maxima are 8 bytes each, whatever b is.",
        neurons * (4 * b + 8 + b + b) // 4: "size is that after pooling.",
    }
    if got != wanted:
        smell = smells.get(got, "Four entries of the list, for 64 and three times 16 places.")
        raise Wrong(f"one map, 4×4 after pooling, b = 6: {got} bytes, expected {wanted}. {smell}")
    half = number(kept_bytes(1, 1, [(1, 4, True)], 2))
    if half != neurons * (4 * 2 + 8 + 2 + 2):
        raise Wrong(
            f"the same with b = 2: {half} bytes, expected {neurons * 20}. The places of the maxima are "
            "8 bytes each, whatever b is."
        )


def check_measured(kept_bytes) -> None:
    """agrees with what autograd keeps of a real stack"""
    sizes = [(6, 8, True), (6, 8, False), (4, 4, True)]
    convs, norms = nn.ModuleList(), nn.ModuleList()
    before = 2
    for channels, _, _ in sizes:
        convs.append(nn.Conv2d(before, channels, 3, padding=1, bias=False))
        norms.append(nn.BatchNorm2d(channels))
        before = channels
    reader = nn.Conv2d(before, 2, 3, padding=1)  # so that the last spikes are read, too
    lif = snn.Leaky(beta=0.5)

    def measured(T: int, B: int) -> int:
        x = torch.randn(T, B, 2, 16, 16)
        if not is_fused(norms[0], lif, x):  # without compiled loops more is kept than in the list
            return 0
        with saved_for_backward(leave_out=[x]) as kept:
            for (_, _, pool), conv, norm in zip(sizes, convs, norms, strict=True):
                cur = conv(x.flatten(0, 1))
                cur = F.max_pool2d(cur, 2) if pool else cur
                x = unroll_normalised(norm, lif, cur.unflatten(0, (T, B)))
            out = reader(x.flatten(0, 1)).sum()
            held = kept()
        del out
        return held

    for T, B in ((2, 4), (5, 2)):
        more = measured(2 * T, B) - measured(T, B)  # the weights are in both
        wanted = number(kept_bytes(2 * T, B, sizes, 4)) - number(kept_bytes(T, B, sizes, 4))
        if more and abs(wanted / more - 1) > 0.05:
            raise Wrong(
                f"three layers, from T = {T} to {2 * T} at B = {B}: autograd keeps {more:,} bytes more, "
                f"your sum says {wanted:,}. Each layer has its own size and its own pool."
            )


EXERCISE = Exercise(
    solve=kept_bytes,
    checks=(check_one_layer, check_product, check_pool, check_measured),
    hints=(
        "First the neurons of a layer, channels·size·size. Then the bytes for one of them.",
        "Without pooling 2·b bytes a neuron. With it, 4·b + 8 more: the map before pooling has four "
        "places for each neuron.",
        "total += channels * size**2 * (2 * b + (4 * b + 8 if pool else 0)) in a loop over the layers; "
        "then num_steps * batch * total.",
    ),
    why="In this list a pooled layer keeps 6·b + 8 bytes a neuron, where another keeps 2·b: four "
    "times as much at b = 4, five times at b = 2. T and B enter as a product. What the list leaves out, the weights "
    "and a first layer that convolves a still image once, does not grow with T, so that twice the steps take a "
    "little less than twice the memory.",
)

if __name__ == "__main__":
    EXERCISE.main()
