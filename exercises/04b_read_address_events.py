"""04b  Read a stream of address-events

Lesson 04, section 3. A sensor of 346×260 pixels sends words of 40 bits, from the left to the right: 9 bits
of x, 9 of y, 1 of polarity, 21 of time in microseconds. The clock starts again at 0 after 2²¹ µs. Turn
words into events, with times that run on: a time smaller than the one before means that the clock has begun
a new round. (No pause is as long as a round.)

``words`` is a list of whole numbers in order of time, ``start`` the time at which the clock of the first
word's round was 0, in µs. Return four lists: x, y, polarity (1 for ON, 0 for OFF) and t. About 15 minutes.

Run:  uv run exercises/04b_read_address_events.py
"""

from __future__ import annotations

import _root  # noqa: F401

from eventcam.events import aer_encode, event_array
from tutor.exercises import Exercise, Wrong

import numpy as np


def read_words(words: list[int], start: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Words of 40 bits → x, y, polarity and time (µs), lists as long as ``words``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

ROUND = 2**21


def word(x: int, y: int, on: int, t: int) -> int:
    """A word, by arithmetic: each field counts in units of what stands to its right."""
    return ((x * 2**9 + y) * 2 + on) * ROUND + t % ROUND


def columns(read_words, words: list[int], start: int = 0) -> list[list[int]]:
    """The student's four lists of whole numbers."""
    found = read_words(list(words), start)
    if found is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(found, tuple) or len(found) != 4:
        raise Wrong("expected four lists: end with 'return x, y, on, t'.")
    for name, column in zip(("x", "y", "polarity", "t"), found, strict=True):
        if len(column) != len(words):
            raise Wrong(f"{name}: got {len(column)} values for {len(words)} words.")
    return [[int(value) for value in column] for column in found]


def compare(found: list[list[int]], wanted: list[tuple[int, ...]], smells: dict[str, str]) -> None:
    """Event by event, field by field."""
    for i, right in enumerate(wanted):
        for name, column, value in zip(("x", "y", "polarity", "t"), found, right, strict=True):
            if column[i] != value:
                smell = smells.get(name, "")
                raise Wrong(f"word {i}: {name} is {column[i]:,}, expected {value:,}. {smell}")


def check_fields(read_words) -> None:
    """one field at a time: the others are 0"""
    smells = {
        "t": "t is the 21 bits on the right: word % 2**21.",
        "polarity": "The polarity is one bit, just left of the 21 bits of time.",
        "y": "y is 9 bits, left of the polarity: 22 bits stand on its right.",
        "x": "x is the 9 bits on the left: 31 bits stand on its right.",
    }
    for event in ((0, 0, 0, 1_000_000), (0, 0, 1, 0), (0, 259, 0, 0), (345, 0, 0, 0)):
        compare(columns(read_words, [word(*event)]), [event], smells)


def check_together(read_words) -> None:
    """all fields at once do not disturb one another"""
    smells = dict.fromkeys(
        ("x", "y", "polarity", "t"), "Is the field cut off on its left? % keeps the lowest bits."
    )
    events = [(345, 259, 1, 1), (17, 3, 0, 77_000), (1, 258, 1, 2_000_000)]
    compare(columns(read_words, [word(*event) for event in events]), events, smells)


def check_rounds(read_words) -> None:
    """the clock starts again, and the times run on"""
    times = [100, ROUND - 1, ROUND, ROUND + 5, 2 * ROUND + 3, 3 * ROUND + 2]
    events = [(i, 2 * i, i % 2, t) for i, t in enumerate(times)]
    found = columns(read_words, [word(*event) for event in events])
    smell = "Each time that is smaller than the one before it adds a round of 2²¹ µs to all that follow."
    if found[3] == [t % ROUND for t in times]:
        smell = "The clock was back at 0 before this word. Keep count of its rounds."
    compare(found, events, {"t": smell})


def check_same_time(read_words) -> None:
    """two events of the same microsecond begin no new round"""
    events = [(1, 1, 1, 500), (2, 2, 0, 500), (3, 3, 0, 501)]
    smell = "Equal times are no step back."
    compare(columns(read_words, [word(*event) for event in events]), events, {"t": smell})


def check_start(read_words) -> None:
    """the stream begins at its start"""
    events = [(9, 9, 1, 7_000_003), (9, 8, 0, 7_000_010)]
    words = [word(x, y, on, t - 7_000_000) for x, y, on, t in events]
    smell = "start is added to every time, once."
    compare(columns(read_words, words, 7_000_000), events, {"t": smell})


def check_lesson(read_words) -> None:
    """2,000 events of a minute, packed by the lesson's own code"""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 60_000_000, 2000))
    events = event_array(rng.integers(0, 346, 2000), rng.integers(0, 260, 2000), t, t % 2 == 0)
    packed = aer_encode(events, 346, 260)
    words = [int.from_bytes(row.tobytes(), "big") for row in packed]
    wanted = [(int(e["x"]), int(e["y"]), int(e["p"]), int(e["t"])) for e in events]
    smells = dict.fromkeys(("x", "y", "polarity"), "Compare with word() below the line.")
    smells["t"] = "The clock went round 28 times in this minute: is every round counted, once?"
    compare(columns(read_words, words), wanted, smells)


EXERCISE = Exercise(
    solve=read_words,
    checks=(check_fields, check_together, check_rounds, check_same_time, check_start, check_lesson),
    hints=(
        "Take a word apart from the right: t = word % 2**21, then word = word >> 21, and so on.",
        "Keep two variables from word to word: the clock's last reading, and the number of rounds so far.",
        "if clock < before: rounds += 1; t.append(start + rounds * 2**21 + clock); before = clock, with "
        "before = 0 at first.",
    ),
    why="Address and sign are in the word, and only the low bits of the time: the rest is the receiver's "
    "count. That is why a stream with a long pause, or a lost word, needs a time mark.",
)

if __name__ == "__main__":
    EXERCISE.main()
