"""19c  Broken on purpose: how many processors does a network need?

Lesson 19, section 4. A colleague wants to know, before buying the card, on how few processors (NPs) a
network could sit. The program below runs, and its answers are wrong. There are three faults. Find them
and mend them. The rules of this simplified chip:

    an NP holds whole filters of a single layer; no filter is divided between two NPs
    a filter's weights take k·k·C·b bits, in whole bytes; ``memory`` is what one NP has, in bytes
    the first layer sits in the input converter, beside the mesh, and takes no NP

``layers`` is a list of (k, C, O, b): kernel size (1 for a dense layer), channels in, filters, bits of a
weight. Return a list with the NPs of each layer. Where not even one filter fits into an NP, raise a
ValueError. About 10 minutes.

Run:  uv run exercises/19c_place_on_the_mesh.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong


def processors(layers: list[tuple[int, int, int, int]], memory: int) -> list[int]:
    """NPs of each layer of ``layers`` when one NP has ``memory`` bytes for weights."""
    needed = []
    for k, channels, filters, bits in layers:
        filter_bytes = k * k * channels * math.ceil(bits / 8)
        if filter_bytes > memory:
            raise ValueError(f"a filter of {filter_bytes} bytes does not fit into {memory}")
        layer_bytes = filters * filter_bytes
        needed.append(math.ceil(layer_bytes / memory))
    return needed


# ---- nothing to edit below this line


def counts(processors, layers: list[tuple[int, int, int, int]], memory: int) -> list[int]:
    """What the program says, if it is a list of the right length."""
    try:
        got = processors(list(layers), memory)
    except ValueError as e:
        raise Wrong(f"{layers} in {memory} bytes: it fits, but a ValueError came ({e}).") from e
    if not isinstance(got, list) or len(got) != len(layers):
        raise Wrong(f"got {got}, expected a list with one number for each of {len(layers)} layers.")
    return got


FIRST = (5, 1, 8, 8)  # an input layer


def check_converter(processors) -> None:
    """the input layer takes no NP"""
    got = counts(processors, [FIRST, (3, 8, 16, 8)], 10_000)
    if got[0] != 0:
        raise Wrong(
            f"the input layer takes {got[0]} NPs, expected 0: it sits in the input converter."
        )


def check_bits(processors) -> None:
    """a weight of b bits takes b bits"""
    small = counts(processors, [FIRST, (1, 800, 64, 4)], 25_600)
    if small[1] != 1:
        raise Wrong(
            f"64 filters of 800 4-bit weights are 25,600 bytes and fit into one NP of 25,600: got {small[1]} "
            "NPs. Two 4-bit weights share a byte."
        )
    eight, four, two = (counts(processors, [FIRST, (1, 800, 64, b)], 8_000)[1] for b in (8, 4, 2))
    if not eight > four > two:
        raise Wrong(f"8, 4 and 2 bits take {eight}, {four} and {two} NPs: fewer bits, fewer NPs.")


def check_whole_filters(processors) -> None:
    """a filter is never divided"""
    got = counts(processors, [FIRST, (3, 16, 10, 8)], 2 * 144 + 143)[1]
    if got == 4:
        raise Wrong(
            "10 filters of 144 bytes, NPs of 431 bytes: 4 NPs, expected 5. Two whole filters fit into each, "
            "and the 143 bytes that are left hold no third."
        )
    if got != 5:
        raise Wrong(f"10 filters of 144 bytes, NPs of 431 bytes: {got} NPs, expected 5.")


def check_odd_bits(processors) -> None:
    """a filter takes whole bytes"""
    got = counts(processors, [FIRST, (3, 1, 4, 4)], 9)[1]  # 36 bits are 5 bytes
    if got != 4:
        raise Wrong(
            f"filters of 36 bits take 5 bytes each; NPs of 9 bytes hold one: {got} NPs, expected 4."
        )


def check_too_large(processors) -> None:
    """what fits nowhere is refused"""
    for memory, fits in ((287, False), (288, True)):
        try:
            got = processors([FIRST, (3, 64, 2, 4)], memory)
        except ValueError:
            if fits:
                raise Wrong(
                    "a filter of 288 bytes fits into an NP of 288, and was refused."
                ) from None
        else:
            if not fits:
                raise Wrong(
                    f"a filter of 288 bytes fits into no NP of 287: got {got}, expected a ValueError."
                )
    got = counts(processors, [(9, 3, 4, 8), (3, 4, 2, 4)], 100)
    if got != [0, 1]:
        raise Wrong(f"got {got}, expected [0, 1]: the input layer needs no room in an NP.")


EXERCISE = Exercise(
    solve=processors,
    checks=(check_converter, check_bits, check_whole_filters, check_odd_bits, check_too_large),
    hints=(
        "Take the three rules one by one. For which of them is there a line in the program?",
        "Look at three places: what the first layer gets, where bits become bytes, and what the last "
        "division shares out.",
        "filter_bytes = math.ceil(k * k * channels * bits / 8); fit = memory // filter_bytes filters go into "
        "one NP; a layer needs math.ceil(filters / fit). For the first layer append 0 and continue.",
    ),
    why="On a mesh of small memories what counts is how many whole filters fit into one, so halving the "
    "bits can halve the processors, and a filter that is one byte too large can double them.",
)

if __name__ == "__main__":
    EXERCISE.main()
