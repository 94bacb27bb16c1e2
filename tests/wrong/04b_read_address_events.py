"""Wrong versions of exercise 04b; each docstring is a part of the message that must come."""

from __future__ import annotations


def _read(words, start=0, *, bits=21, wrap=True, equal=False, y_mask=2**9, side=0):
    x, y, on, t = [], [], [], []
    before, rounds = -1 if equal else 0, 0
    for word in words:
        clock = word % 2**bits
        x.append((word >> 31) if not side else (word >> 22) % 2**9)
        y.append((word >> 22) % y_mask if not side else word >> 31)
        on.append((word >> 21) % 2)
        if wrap and (clock < before or (equal and clock == before)):
            rounds += 1
        t.append(start + rounds * 2**21 + clock)
        before = clock
    return x, y, on, t


def clock_not_counted(words, start):
    """Keep count of its rounds"""
    return _read(words, start, wrap=False)


def equal_times_are_a_round(words, start):
    """Equal times are no step back"""
    return _read(words, start, equal=True)


def start_forgotten(words, start):
    """start is added to every time"""
    return _read(words)


def y_not_cut_off(words, start):
    """Is the field cut off on its left?"""
    x, y, on, t = _read(words, start)
    return (
        x,
        [
            word >> 22 if word >> 31 and (word >> 22) % 512 else v
            for word, v in zip(words, y, strict=True)
        ],
        on,
        t,
    )


def x_and_y_swapped(words, start):
    """31 bits stand on its right"""
    x, y, on, t = _read(words, start)
    return y, x, on, t


def twenty_bits_of_time(words, start):
    """t is the 21 bits on the right"""
    return _read(words, start, bits=19)


def rounds_added_once(words, start):
    """adds a round of 2²¹ µs to all that follow"""
    x, y, on, t = _read(words, start, wrap=False)
    out, before = [], 0
    for clock in t:
        out.append(clock + 2**21 * (clock < before))
        before = clock
    return x, y, on, out


def three_things(words, start):
    """expected four lists"""
    return _read(words, start)[:3]
