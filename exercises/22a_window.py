"""22a  How wide is the window?

Capstone B, section 1. A thing of height h and width w comes towards the runner at v px a tick. n ticks
after a take-off the runner's feet are at y(n) = 17.5·n − 0.4375·n·(n + 1) px. Equation (1):

    W = n₂(h) − (w + 40)/v − n₁(h)             chance of a key in time = min(1, W/I)

n₁ and n₂ are the two real numbers at which y(n) = h, W and I are in ticks, and the runner is 40 px wide.
Where no jump gets over the thing, because it is too high or too wide, W is 0. Return W and the chance,
both for this one thing. (Section 1 takes the mean of the chance over the things.)
All that comes in are plain numbers. About 10 minutes.

Run:  uv run exercises/22a_window.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong


def window_and_chance(h: float, w: float, v: float, interval: float) -> tuple[float, float]:
    """W in ticks, and the chance that an agent that looks every ``interval`` ticks has a key in time."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

STEP = 0.01  # ticks between two take-offs that are tried
THINGS = ((48, 32), (96, 32), (64, 96), (40, 128))  # height and width, px


def height(n: float) -> float:
    """The runner's feet n ticks after its take-off."""
    return 17.5 * n - 0.4375 * n * (n + 1)


def answer(window_and_chance, h: float, w: float, v: float, interval: float) -> tuple[float, float]:
    """What the student's function says, as two floats."""
    negative = f"a thing of {h} px: the root of a negative number. What does that say about h?"
    try:
        got = window_and_chance(h, w, v, interval)
    except (TypeError, ValueError) as e:  # "'<' not supported … 'complex'", or what math.sqrt says
        if h > 166:  # px: no jump is higher
            raise Wrong(f"{negative} ({e})") from e
        raise
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong(f"got {got!r}, expected two numbers: W and the chance.")
    if any(isinstance(part, complex) for part in got):
        raise Wrong(f"got {got[0]!r} for {negative}")
    return float(got[0]), float(got[1])


def tried(h: float, w: float, v: float) -> float:
    """W by trying: take off so many ticks before the touch, and look whether the feet stay above h until the end."""
    over = (w + 40) / v  # ticks for which some part of the runner is over some part of the thing
    good = 0
    for k in range(int(40 / STEP)):
        n = k * STEP  # ticks from the take-off to the touch
        # a jump rises and falls: it stays above h between two moments at which it is above h
        good += height(n) >= h and height(n + over) >= h
    return good * STEP


def check_thin(window_and_chance) -> None:
    """over something very fast, only the jump counts"""
    for h in (40, 96, 150):
        above = sum(height(k * STEP) >= h for k in range(int(40 / STEP))) * STEP
        got = answer(window_and_chance, h, 32, 1e9, 10)[0]
        if abs(got - above) > 0.05:
            raise Wrong(
                f"a jump is above {h} px for {above:.1f} ticks, and at an endless speed all of them are "
                f"left; W is {got:.1f}. Are n₁ and n₂ the roots of y(n) = h?"
            )


def check_flight(window_and_chance) -> None:
    """things of the game, take-offs tried one by one"""
    for h, w in THINGS:
        for v in (8.0, 12.0, 16.0):
            true, got = tried(h, w, v), answer(window_and_chance, h, w, v, 10)[0]
            if abs(got - true) > 0.05:
                raise Wrong(
                    f"{h} px high, {w} px wide, at {v:g} px a tick: take-offs in {true:.1f} ticks get over "
                    f"it, W is {got:.1f}. For how long is some part of the runner above the thing?"
                )


def check_impossible(window_and_chance) -> None:
    """what no jump gets over"""
    for h, w, why in ((200, 32, "166 px is the highest"), (40, 600, "it is longer than a jump")):
        wide, chance = answer(window_and_chance, h, w, 8.0, 10)
        if wide != 0 or chance != 0:
            raise Wrong(
                f"nothing gets over {h} × {w} px at 8 px a tick ({why}), and W is {wide:.1f}, the chance "
                f"{chance:.2f}. Both should be 0."
            )


def check_chance(window_and_chance) -> None:
    """looks tried at every phase"""
    for interval in (5, 21, 60, 144):
        h, w, v = 96, 32, 8.0
        true_w, got = tried(h, w, v), answer(window_and_chance, h, w, v, interval)[1]
        # the first look after the window opens comes between 0 and I ticks later, each equally likely
        hits = sum((k + 0.5) / 1000 * interval < true_w for k in range(1000)) / 1000
        if abs(got - hits) > 0.005:
            raise Wrong(
                f"W = {true_w:.1f}, a look every {interval} ticks: {hits:.1%} of all phases have a look in the "
                f"window, your chance is {got:.1%}."
            )


EXERCISE = Exercise(
    solve=window_and_chance,
    checks=(check_thin, check_flight, check_impossible, check_chance),
    hints=(
        "y(n) = h is a quadratic equation: 0.4375·n² − 17.0625·n + h = 0. Its smaller root is n₁.",
        "With b = 17.0625: n = (b ∓ √(b² − 4·0.4375·h))/(2·0.4375). If what stands under the root is "
        "negative, no jump reaches h.",
        "W = max(0, n₂ − n₁ − (w + 40)/v), and the chance is min(1, W/interval).",
    ),
    why=(
        "A key helps in W ticks, and a look comes every I ticks, at a phase that nobody chose: the share of "
        "phases with a look in the window is W/I. The delay of the answer moves the window and leaves W as it is."
    ),
)

if __name__ == "__main__":
    EXERCISE.main()
