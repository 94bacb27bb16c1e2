"""What matches in the browser say, in sentences: which stage is slow, what the network costs, which tracks fail."""

from __future__ import annotations

import math
from typing import Any

from games.gameworld.match import COMPLETE
from games.runner.play import INTERVAL, LATENCY
from games.runner.twin import TICKS_PER_S

import numpy as np

TICK_S = 1 / TICKS_PER_S
Stages = dict[str, dict[str, float]]
"""stage → p50 and p95 in ms, and their n"""


def latency_rows(timed_of: dict[str, Stages]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of a table: median and p95 of every stage, the players side by side."""
    head = ["stage"]
    for name in timed_of:
        head += [f"{name}: p50", "p95", "n"]
    rows = []
    for stage in next(iter(timed_of.values())):
        row = [stage]
        for stages in timed_of.values():
            t = stages.get(stage)
            row += [f"{t['p50']:.1f}", f"{t['p95']:.1f}", str(t["n"])] if t else ["–"] * 3
        rows.append(tuple(row))
    return tuple(head), rows


def largest_stage(stages: dict[str, dict[str, float]]) -> str:
    """The stage with the largest median, and that median."""
    parts = [stage for stage in stages if stage != "all"]
    largest = max(parts, key=lambda stage: stages[stage]["p50"])
    return f"{largest} ({stages[largest]['p50']:.0f} ms)"


def beside_rule(matches: dict[str, dict[str, Any]]) -> str:
    """What the network's decisions take more than those of the rule, and how far its own step explains that."""
    if "rule with a clock" not in matches:
        return ""
    ours, rule = matches["spiking network"], matches["rule with a clock"]
    if "all" not in ours["latency"] or "all" not in rule["latency"]:
        return ""
    more = {}
    for stage, t in ours["latency"].items():
        if stage in rule["latency"]:
            more[stage] = t["p50"] - rule["latency"][stage]["p50"]
    whole, step = more.pop("all"), more.pop("policy")
    presses = f"medians of {ours['latency']['all']['n']} and {rule['latency']['all']['n']} presses"
    told = f"With the rule with a clock in place of the network, screen to key takes {rule['latency']['all']['p50']:.0f} ms"
    if whole <= 0:
        told = f"{told}, no less ({presses}): what the network adds does not show."
    else:
        told = f"{told}, {whole:.0f} ms less ({presses}). The network's own step takes {step:.1f} ms more than the rule's."
        told += same_work(more, step)
    if "rule with a clock" not in ours.get("in_turn", ()):
        return f"{told} The two did not play in turn: the machine may have a part in it."
    if whole <= 0:
        return told
    return f"{told} A network that took no time would save its own step; what else it would save is not known."


def same_work(more: dict[str, float], step: float) -> str:
    """How far the stages in which both players do the same work differ, beside the difference ``step`` of the policy."""
    if not more:
        return ""
    stages = ", ".join(f"{stage} {ms:+.1f}".replace("-", "−") for stage, ms in more.items())
    told = f" Where both do the same work, the network's stages take longer by: {stages} ms."
    largest = max(abs(ms) for ms in more.values())
    if largest >= abs(step) / 4:
        return f"{told} So the sum is no measure of the step: these differences are up to {largest:.1f} ms, and unexplained."
    return f"{told} These are small beside the step's."


def all_lives(result: dict[str, Any]) -> int:
    """How many lives the runs of a match had: the first ones, and those that a run began anew after a crash."""
    return int(sum(run["attempts"] for run in result["runs"]))


def without_press(result: dict[str, Any]) -> str:
    """How many of a match's jumps follow no press, and so are in no latency; empty if none need to."""
    jumps, presses = result.get("jumps", 0), result["presses"]
    if jumps <= presses:
        return ""
    return (
        f" At least {jumps - presses} of its {jumps} jumps follow no press (a held key jumps again): they have no "
        "latency."
    )


def by_track(ours: np.ndarray, in_twin: np.ndarray) -> str:
    """Which tracks fail in Chromium, and how often each is complete in the twin; ``in_twin`` holds all tracks again and
    again."""
    complete, times = completed(ours, in_twin)
    failed = np.flatnonzero(ours < COMPLETE)
    counts = ", ".join(str(k) for k in complete)
    told = f"On the same tracks, {times} lives each, the twin completes {counts}."
    if not failed.size:
        return told
    safe = int((complete[failed] == times).sum())
    *others, last = (str(k + 1) for k in failed)
    which = f"tracks {', '.join(others)} and {last}" if others else f"track {last}"
    if failed.size == 1:
        rest = "it never fails" if safe else "it fails as well"
    elif safe == failed.size:
        rest = "none of them ever fails"
    else:
        rest = f"{safe} of these {failed.size} never fail"
    return f"{told} In Chromium {which} failed; in the twin {rest}."


def by_chance(ours: np.ndarray, in_twin: np.ndarray) -> str:
    """How likely as many failures as in Chromium are at the twin's rate, all tracks pooled; empty if none failed."""
    complete, times = completed(ours, in_twin)
    failed, n, lives = np.flatnonzero(ours < COMPLETE), len(ours), len(in_twin)
    if not failed.size:
        return ""
    failures = lives - int(complete.sum())
    told = f"Of all lives in the twin {failures} of {lives} fail"
    if failures == 0:
        return f"{told}, so it tells no rate of failures that chance could have."
    share = as_many_fail(failures / lives, failed.size, n)
    told += (
        f" ({failures / lives:.0%}). If those in Chromium failed as rarely and independently, {failed.size} or more of "
        f"{n} would fail in {share:.1%} of such matches:"
    )
    if share < 0.05:
        told += (
            " chance alone is unlikely. Whether browser or load did it, this match does not tell."
        )
    else:
        told += " chance alone may have done it."
    worst = int(complete.argmin())
    on_worst = times - int(complete[worst])
    also = "which failed in Chromium, too" if worst in failed else "which did not fail in Chromium"
    return (
        f"{told} This pools the tracks, as if all were equally hard; of the twin's {failures} failures "
        f"{on_worst} are on track {worst + 1}, {also}."
    )


def completed(ours: np.ndarray, in_twin: np.ndarray) -> tuple[np.ndarray, int]:
    """How many of the twin's lives on each track of ``ours`` are complete, and how many there are on each."""
    n, times = len(ours), len(in_twin) // len(ours)
    complete = (in_twin.reshape(times, n) >= COMPLETE).sum(0)  # of each track
    return complete, times


def as_many_fail(rate: float, failed: int, n: int) -> float:
    """The probability that of ``n`` lives ``failed`` or more fail, if each does with the probability ``rate``."""
    return sum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(failed, n + 1))


def later_than_twin(result: dict[str, Any]) -> str:
    """How many keys and looks came later than any of the twin that is compared."""
    key, look = LATENCY[1], INTERVAL[1]
    if "late" not in result or result["late"].get("ticks") != [key, look]:
        p95 = result["latency"].get("all", {"p95": math.nan})["p95"] / 1000 / TICK_S
        return f"How many keys came later than the twin's {key} ticks was not noted in this match (p95: {p95:.1f} ticks)."
    (keys, of_keys), (looks, of_looks) = (result["late"][part] for part in ("keys", "looks"))
    longest = result["late"]["longest_ms"] / 1000 / TICK_S
    return (
        f"Later than ever in the twin: {keys} of {of_keys} keys (more than {key} ticks after their look) and {looks} of "
        f"{of_looks} looks (more than {look} ticks after the one before). The longest time, "
        f"from a look to its key or to the next look, was {longest:.0f} ticks."
    )
