"""A few trainings of each arm, which differ in their seed: kept in files, compared seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common import plots
from common.io import live
from training.arms import interval
from training.sweep import fingerprint, sweep

import numpy as np
from matplotlib.axes import Axes


def all_trainings(
    run: Any,
    work: Callable[..., dict[str, float]],
    arms: Mapping[str, Mapping[str, Any]],
    decides: Sequence[Any],
    code: Sequence[Any],
    constants: Sequence[Any] = (),
    **more: Any,
) -> dict[str, list[float]]:
    """``work(cfg, run, arm, seed, **more)`` for all arms and seeds: an arm's shares of right answers, seed by seed.

    Each result is kept in a file, which ``--resume`` takes over if all that ``decides`` it (flags, data),
    the arm, the ``constants`` and the source of ``work`` and ``code`` are the same.
    """
    cfg = run.cfg
    seeds = range(cfg.seed, cfg.seed + cfg.seeds)
    names = {f"{work.__name__} {arm} {seed}": (arm, seed) for arm in arms for seed in seeds}
    source = fingerprint(*constants, code=(work, *code))
    marks = {}
    for name, (arm, _) in names.items():
        built = {key: getattr(value, "__name__", value) for key, value in arms[arm].items()}
        marks[name] = fingerprint(name, built, cfg.num_steps, *decides, source)
    tasks = {name: (cfg, run, *task, *more.values()) for name, task in names.items()}
    before = len(run.resumed)
    found = {}
    results = sweep(run, work, tasks, marks, resume=cfg.resume)
    for name, result in live(results, "   trainings", len(tasks)):
        found[names[name]] = result["right"]
    for taken in run.resumed[before:]:
        run.print(f"   taken over: {taken}")
    return {arm: [found[arm, seed] for seed in seeds] for arm in arms}


def against(some: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Points by which ``some`` shares are above ``others``, seed by seed, and half their 95 % interval."""
    return interval(100 * np.subtract(some, others))


def signed(gap: tuple[float, float] | None) -> str:
    """A difference and half its interval; nothing for the arm that the others are compared with."""
    if gap is None:
        return ""
    gain, half = gap
    return f"{gain:+.1f} ± {half:.1f}".replace("-", "−")


def about(pair: tuple[float, float]) -> str:
    """A mean and half its interval."""
    mean, half = pair
    return f"{mean:.1f} ± {half:.1f}"


def listed(shares: Sequence[float]) -> str:
    """Shares in per cent, one after the other."""
    return ", ".join(f"{100 * share:.0f}" for share in shares) + " %"


def verdict(gap: tuple[float, float]) -> str:
    """What an interval allows to say."""
    gain, half = gap
    if abs(gain) <= half:
        return "not shown to differ"
    return "more" if gain > 0 else "fewer"


def dots(ax: Axes, shares: Mapping[str, Sequence[float]], what: str, title: str = "") -> None:
    """A row for each arm: a dot for each training, a bar for their mean; shares in per cent."""
    for place, values in enumerate(shares.values()):
        percent = 100 * np.array(values)
        row = [place] * len(values)
        ax.plot(percent, row, "o", color=plots.BLUE, alpha=0.7)
        ax.plot(percent.mean(), place, "|", color=plots.BLACK, ms=18)
    ax.set_yticks(range(len(shares)), list(shares))
    ax.set_ylim(len(shares) - 0.4, -0.6)
    plots.label(ax, what, "", title or "dots: seeds, bar: mean")


def gaps_of(ax: Axes, gaps: Mapping[str, tuple[float, float]], what: str, title: str) -> None:
    """A row for each arm: a difference and its interval; a dotted line where there is none."""
    for place, (gain, half) in enumerate(gaps.values()):
        ax.errorbar(gain, place, xerr=half, fmt="o", color=plots.BLUE, capsize=4)
    ax.axvline(0, color="0.4", ls=":", lw=1.2)
    ax.set_yticks(range(len(gaps)), [name.replace(" of ", "\nof ") for name in gaps])
    ax.set_ylim(len(gaps) - 0.4, -0.6)
    plots.label(ax, what, "", title)
