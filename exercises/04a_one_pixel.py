"""04a  One pixel of an event camera

Lesson 04, section 1. Write the pixel. It remembers M, which starts as ln I of the first sample. While ln I
is θ or more above M, it sends an ON event, and M rises by θ. While ln I is θ or more below M, it sends an
OFF event, and M falls by θ. One sample may cause several events.

``light`` is a list of T numbers, all above 0. Return the list of events in the order in which they happen,
each a pair (step, polarity): the step counts samples from 0, the polarity is +1 for ON and −1 for OFF.
Try it without looking at the lesson's code. About 10 minutes.

Run:  uv run exercises/04a_one_pixel.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong

import torch


def pixel_events(light: list[float], theta: float) -> list[tuple[int, int]]:
    """Light over time, T numbers → events ``(step, +1 or −1)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def events_of(pixel_events, light, theta: float) -> list[tuple[int, int]]:
    """The student's events as plain pairs."""
    found = pixel_events([float(value) for value in light], theta)
    if found is None:
        raise Wrong("got None. Is there a return?")
    events = [tuple(event) for event in found]
    for event in events:
        if len(event) != 2 or event[1] not in (1, -1):
            raise Wrong(f"got the event {event}, expected (step, +1) or (step, −1).")
    return [(int(t), int(p)) for t, p in events]


def tell(events: list[tuple[int, int]]) -> str:
    """A few events in words."""
    words = [f"{'ON' if p > 0 else 'OFF'} at step {t}" for t, p in events[:6]]
    return ", ".join(words) + (", …" if len(events) > 6 else "") if words else "no event"


def check_steady(pixel_events) -> None:
    """a steady light, however bright, is no news"""
    for level in (1.0, 1000.0):
        events = events_of(pixel_events, [level] * 5, 0.2)
        if events:
            raise Wrong(
                f"light {level:g} at all steps: got {tell(events)}. M starts as ln I of the first sample."
            )


def check_double(pixel_events) -> None:
    """θ = 0.2: doubled light gives three ON events, halved again three OFF"""
    events = events_of(pixel_events, [5, 5, 10, 10, 4.9], 0.2)
    wanted = [(2, 1)] * 3 + [(4, -1)] * 3
    if events == wanted:
        return
    smell = ""
    if events == [(2, 1), (4, -1)]:
        smell = " A change by several θ makes several events at once: ln 2 is 3.47 θ."
    elif events == [(2, 1), (3, 1), (4, -1)]:
        smell = " One event a step is not enough: ln 2 is 3.47 θ, all of it at step 2."
    elif len(events) > 20:
        smell = " Is it the logarithm of the light that is compared?"
    elif [(t, -p) for t, p in events] == wanted:
        smell = " The signs are turned round: brighter is ON."
    raise Wrong(f"light 5, 5, 10, 10, 4.9: got {tell(events)}; expected {tell(wanted)}.{smell}")


def check_remainder(pixel_events) -> None:
    """what is left below θ is not forgotten"""
    light = [math.exp(0.155 * step) for step in range(9)]  # ln I: 0, 0.155, 0.31, … 1.24
    events = events_of(pixel_events, light, 0.2)
    if len(events) == 6:
        return
    smell = ""
    if len(events) == 4:
        smell = " M moves by θ, not to ln I: else the rest of each step, up to θ, is lost."
    raise Wrong(f"ln I rises by 0.155 a step, to 1.24: {len(events)} events, expected 6.{smell}")


def check_scale(pixel_events) -> None:
    """a thousandth of the light, and the same events"""
    light = (0.3 * torch.randn(200, generator=torch.Generator().manual_seed(1))).cumsum(0).exp()
    bright = events_of(pixel_events, (1000 * light).tolist(), 0.17)
    dark = events_of(pixel_events, light.tolist(), 0.17)
    if bright != dark:
        raise Wrong(
            f"{len(bright)} events in bright light, {len(dark)} in the dark, expected the same. "
            "Differences of logarithms do not know the unit."
        )


def check_rebuild(pixel_events) -> None:
    """from its events ln I is known, within θ"""
    log_light = (0.1 * torch.randn(300, generator=torch.Generator().manual_seed(2))).cumsum(0)
    events = events_of(pixel_events, log_light.exp().tolist(), 0.25)
    for step in range(300):
        known = 0.25 * sum(p for t, p in events if t <= step)
        off = log_light[step].item() - log_light[0].item() - known
        if abs(off) > 0.25 + 1e-4:
            raise Wrong(
                f"step {step}: ln I has moved {off / 0.25:.2f} θ further than the events say. Does the "
                "pixel go on until the rest is below θ, in both directions?"
            )


EXERCISE = Exercise(
    solve=pixel_events,
    checks=(check_steady, check_double, check_remainder, check_scale, check_rebuild),
    hints=(
        "memory = math.log(light[0]), then a loop over the samples. Which kind of statement repeats for as "
        "long as something holds?",
        "Inside the loop stand two while loops: one for level - memory >= theta, one for the other side.",
        "while level - memory >= theta: events.append((step, 1)); memory += theta. The second with <= -theta, "
        "-1 and -=.",
    ),
    why="M moves in whole steps of θ, so it is the sum of the events: who counts them knows ln I to within "
    "θ. A pixel that set M to ln I would lose up to θ at each event.",
    seconds=2.0,  # a loop without an end fills the memory
)

if __name__ == "__main__":
    EXERCISE.main()
