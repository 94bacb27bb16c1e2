"""12b  Place a layer on the mesh

Lesson 12, section 3. A convolution is divided among processors by its filters. Place one by a rule that
is simpler than Akida's own, and as sparing as its mode Minimal (AllNps, the other picture of the lesson,
spreads a layer as widely as it can). A processor has a memory of ``memory`` bytes. It has to hold

    the whole input of the layer                             input_bytes
    the weights of the filters that it computes              bytes_per_filter each

Return how many filters each processor gets, as a list such as [22, 21, 21]: all filters are placed, no
processor holds more than its memory, there are as few processors as possible, and the numbers differ
by at most 1 (so that all finish at about the same time). If the layer does not fit on the ``available``
processors, return []: it falls to software. About 10 minutes.

Run:  uv run exercises/12b_place_on_the_mesh.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong


def place(
    filters: int, bytes_per_filter: int, input_bytes: int, memory: int, available: int
) -> list[int]:
    """Filters of each processor; [] if the layer does not fit."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

# filters, bytes a filter, bytes of the input, memory of a processor, processors that are free
CASES = (
    (64, 150, 4_000, 16_000, 60),  # fits on one
    (64, 1_000, 4_000, 16_000, 60),
    (128, 576, 2_048, 20_000, 60),
    (100, 900, 10_000, 20_000, 60),
    (7, 1_000, 0, 2_000, 4),  # exactly as many as there are
    (10, 500, 1_000, 3_000, 60),  # memory filled to the last byte
)
TOO_LARGE = (
    (64, 100, 20_000, 16_000, 60),  # the input alone is too large
    (4, 9_000, 8_000, 16_000, 60),  # not one filter fits beside the input
    (64, 1_000, 4_000, 16_000, 5),  # six processors are needed
)


def answer(place, case: tuple[int, ...]) -> list[int]:
    """The student's list."""
    got = place(*case)
    if got is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(got, list | tuple) or any(int(n) != n for n in got):
        raise Wrong(f"got {got!r}, expected a list of whole numbers.")
    return [int(n) for n in got]


def told(case: tuple[int, ...]) -> str:
    """A case in words."""
    filters, each, given, memory, available = case
    return f"{filters} filters of {each:,} bytes, input {given:,}, memory {memory:,}, {available} processors"


def check_all_placed(place) -> None:
    """every filter is placed, none twice"""
    for case in CASES:
        got = answer(place, case)
        if not got:
            raise Wrong(f"{told(case)}: got [], but it fits.")
        if min(got) < 1:
            raise Wrong(f"{told(case)}: got {got}; a processor without a filter is not used.")
        if sum(got) != case[0]:
            raise Wrong(f"{told(case)}: got {got}, {sum(got)} filters in all.")


def check_memory(place) -> None:
    """no processor holds more than its memory: its filters and the whole input"""
    for case in CASES:
        _, each, given, memory, _ = case
        got = answer(place, case)
        needed = given + max(got) * each
        if needed > memory:
            raise Wrong(
                f"{told(case)}: {max(got)} filters on one processor need {needed:,} bytes with the input. "
                "Each processor keeps the whole input, too."
            )


def fewest(case: tuple[int, ...]) -> int:
    """As few processors as can be, by trying."""
    filters, each, given, memory, _ = case
    used = 1
    while given + -(-filters // used) * each > memory:
        used += 1
    return used


def check_fewest(place) -> None:
    """as few processors as possible"""
    for case in CASES:
        got, wanted = answer(place, case), fewest(case)
        if len(got) != wanted:
            raise Wrong(f"{told(case)}: got {len(got)} processors, {wanted} would do.")


def check_even(place) -> None:
    """the numbers differ by at most 1"""
    for case in CASES:
        got = answer(place, case)
        if max(got) - min(got) > 1:
            raise Wrong(
                f"{told(case)}: got {got}. A processor with {max(got)} filters keeps the others waiting."
            )


def check_software(place) -> None:
    """what does not fit falls to software"""
    reasons = (
        "The input alone fills the memory.",
        "Beside the input there is no room for a single filter.",
        "Six processors would be needed.",
    )
    for case, reason in zip(TOO_LARGE, reasons, strict=True):
        got = answer(place, case)
        if got:
            raise Wrong(f"{told(case)}: got {got}, expected []. {reason}")


EXERCISE = Exercise(
    solve=place,
    checks=(check_all_placed, check_memory, check_fewest, check_even, check_software),
    hints=(
        "How many filters fit on one processor beside the input? That number decides everything else.",
        "most = (memory − input_bytes) // bytes_per_filter. If it is below 1, nothing fits. Otherwise "
        "filters / most, rounded up, processors are needed.",
        "small, left = divmod(filters, used): left processors get small + 1 filters, the rest small.",
    ),
    why="The weights of a layer are divided, its input is not: every further processor costs at least a copy "
    "of the input. Spreading a layer buys speed with memory.",
)

if __name__ == "__main__":
    EXERCISE.main()
