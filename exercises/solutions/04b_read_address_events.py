"""04b  Read a stream of address-events: model solution"""

from __future__ import annotations


def read_words(words: list[int], start: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Words of 40 bits → x, y, polarity and time (µs), lists as long as ``words``."""
    x, y, on, t = [], [], [], []
    before, rounds = 0, 0
    for word in words:
        clock = word % 2**21
        word = word >> 21
        on.append(word % 2)
        word = word >> 1
        y.append(word % 2**9)
        x.append(word >> 9)
        if clock < before:  # the clock has begun a new round
            rounds += 1
        t.append(start + rounds * 2**21 + clock)
        before = clock
    return x, y, on, t
