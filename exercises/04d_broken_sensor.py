"""04d  Broken on purpose: a sensor with a bad memory

Lesson 04, sections 1 and 2. A colleague has written the pixel for whole frames at once. On her clip, in
which edges jump from black to white, pictures made of its events look right. But a cloud that slowly dims
the scene makes hardly any events, and when she adds up the events of a pixel, they drift away from ln I.
Find the two faults, and mend them.

``frames`` is (T, H, W): light, above 0. A pixel may have several events at a step, so what is returned is a
count for each pixel and step, (T, H, W): +3 for three ON events, −2 for two OFF events, 0 for none. The first
frame has no events. About 10 minutes.

Run:  uv run exercises/04d_broken_sensor.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def sensor(frames: Tensor, theta: float) -> Tensor:
    """Light ``(T, H, W)`` → signed number of events at each step and pixel ``(T, H, W)``."""
    memory = frames[0].log()
    counts = []
    for frame in frames:
        level = frame.log()
        steps = ((level - memory) / theta).round()  # whole thresholds that were crossed
        memory = level
        counts.append(steps)
    return torch.stack(counts)


# ---- nothing to edit below this line


def counts_of(sensor, frames: Tensor, theta: float) -> Tensor:
    """The student's counts, if they have the shape of the frames."""
    found = sensor(frames, theta)
    if found is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(found, Tensor) or found.shape != frames.shape:
        shape = tuple(getattr(found, "shape", ()))
        raise Wrong(f"got the shape {shape}, expected that of frames, {tuple(frames.shape)}.")
    return found.double()


def one_pixel(levels: list[float]) -> Tensor:
    """A sensor of one pixel, whose ln I is given: ``(T, 1, 1)``."""
    return torch.tensor(levels, dtype=torch.float64).exp()[:, None, None]


def check_jump(sensor) -> None:
    """jumps by three thresholds, up and down again"""
    found = counts_of(sensor, one_pixel([0.0, 0.62, -0.02]), 0.2)[:, 0, 0]
    wanted = torch.tensor([0.0, 3.0, -3.0], dtype=torch.float64)
    if found.tolist() == [0, 3, -4]:
        raise Wrong(
            "step 2: ln I is 3.1 θ below M, and the count is −4, expected −3. floor on a negative "
            "number goes away from 0."
        )
    smell = "ln I jumps to 3.1 θ above M, and then to 3.1 θ below the new M."
    expect(found, wanted, "count (T)", smell)


def check_whole(sensor) -> None:
    """a change by 0.7 θ is no event, in either direction"""
    for change in (0.14, -0.14):
        found = counts_of(sensor, one_pixel([0.0, change]), 0.2)[1, 0, 0].item()
        if found:
            way = "up" if change > 0 else "down"
            smell = "round" if found * change > 0 else ""
            if abs(found) == 1 and change < 0:
                smell = "round, or floor on a negative number, which goes away from 0"
            raise Wrong(
                f"ln I moves {way} by 0.7 θ: {found:+.0f} event, expected 0. A threshold counts once it is "
                f"reached as a whole: what does {smell or 'the rounding'} make of 0.7?"
            )


def check_slow(sensor) -> None:
    """a slow change, 0.4 θ a step, is not lost"""
    levels = [0.08 * step for step in range(10)] + [0.82]
    found = counts_of(sensor, one_pixel(levels), 0.2)[:, 0, 0]
    total = found.sum().item()
    if total != 4:
        smell = ""
        if total == 0:
            smell = (
                " M follows the light even where there was no event. When may it move, and how far?"
            )
        if total == 3:
            smell = " After an event, M jumps to ln I. What becomes of the rest above a whole θ?"
        raise Wrong(
            f"ln I rises by 0.82, about 0.08 a step, θ = 0.2: {total:.0f} events, expected 4.{smell}"
        )


def check_rest(sensor) -> None:
    """the rest of a jump is kept for later"""
    found = counts_of(sensor, one_pixel([0.0, 0.31, 0.41]), 0.2)[:, 0, 0].tolist()
    if found != [0, 1, 1]:
        smell = ""
        if found == [0, 1, 0]:
            smell = " At step 1 M has to move by θ times the count, and not to ln I: 0.11 are left over."
        raise Wrong(f"ln I is 0, 0.31, 0.41: counts {found}, expected [0, 1, 1].{smell}")


def check_account(sensor) -> None:
    """the events of each pixel add up to ln I, within θ"""
    generator = torch.Generator().manual_seed(0)
    walk = 0.07 * torch.randn(400, 6, 8, generator=generator, dtype=torch.float64)
    levels = walk.cumsum(0)
    found = counts_of(sensor, levels.exp(), 0.2)
    off = (levels - levels[0] - 0.2 * found.cumsum(0)).abs().amax((1, 2))
    if off.max() > 0.2 + 1e-9:
        step = int((off > 0.2 + 1e-9).long().argmax())
        raise Wrong(
            f"step {step}: for some pixel the events are {off[step] / 0.2:.2f} θ away from ln I, allowed is 1."
        )


EXERCISE = Exercise(
    solve=sensor,
    checks=(check_jump, check_whole, check_slow, check_rest, check_account),
    hints=(
        "Follow one pixel by hand, θ = 0.2: ln I is 0, then 0.14, then 0.28. What should happen, and what does?",
        "Two lines are wrong: how many thresholds are counted, and what the pixel remembers afterwards.",
        "torch.trunc drops the part behind the point, towards 0; and memory = memory + steps * theta.",
    ),
    why="Rounding invents events, and a memory that follows the light forgets all change that is slower "
    "than θ a step. With whole thresholds and M in steps of θ the sum of the events is the light.",
)

if __name__ == "__main__":
    EXERCISE.main()
