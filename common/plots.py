"""One visual language for the course. Every function draws on an ``ax`` it is given and returns nothing.

Colours are the eight of Okabe and Ito (2008), which colour-blind readers can tell apart; lines differ
in marker or dash as well, wherever a figure may be printed in grey. Without data a panel stays empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PINK = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)))


def style() -> None:
    """Set the course's look, ``course.mplstyle``: called once by ``lesson.begin``."""
    plt.style.use(Path(__file__).with_name("course.mplstyle"))


def figure(
    rows: int = 1,
    cols: int = 1,
    size: tuple[float, float] | None = None,
    title: str = "",
    **subplots: Any,
) -> tuple[Figure, Any]:
    """``plt.subplots`` with a headline that states the finding. ``size`` is in inches."""
    fig, axes = plt.subplots(rows, cols, figsize=size or (4.4 * cols, 3.2 * rows), **subplots)
    if title:
        fig.suptitle(title, x=0.01, ha="left", wrap=True)
    return fig, axes


def stack(
    rows: int, title: str = "", xlabel: str = "step", ylabel: str = "", height: float = 1.9
) -> tuple[Figure, Any]:
    """``rows`` panels above one another that share the time axis; ``ylabel`` names all of them."""
    fig, axes = figure(rows, 1, (9.5, height * rows + 0.8), title, sharex=True)
    axes = np.atleast_1d(axes)
    axes[-1].set_xlabel(xlabel)
    for ax in axes:
        ax.set_ylabel(ylabel)
    return fig, axes


def label(ax: Axes, x: str, y: str, title: str = "") -> None:
    """Name both axes, with units, and say what the panel shows."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title)


def raster(ax: Axes, spk: Any, *, dt: float = 1.0, color: str = BLACK, width: float = 2.0) -> None:
    """Spike raster of ``spk (T, N)``: a tick a spike, a row a neuron. ``dt`` scales steps to time."""
    spk = np.asarray(spk)
    num_steps, num_neurons = spk.shape
    if num_neurons:
        times = [np.nonzero(row)[0] * dt for row in spk.T]
        look = {"linelengths": 0.75, "linewidths": width, "colors": color}
        ax.eventplot(times, lineoffsets=range(num_neurons), **look)
    else:
        ax.set_yticks([])
    ax.set_xlim(-0.5 * dt, (max(num_steps, 1) - 0.5) * dt)
    ax.set_ylim(-0.7, max(num_neurons, 1) - 0.3)
    ax.grid(False)


def membrane(
    ax: Axes,
    mem: Any,
    spk: Any = None,
    threshold: float | None = 1.0,
    *,
    color: str = BLUE,
    name: str = "membrane U",
) -> None:
    """Membrane trace ``mem (T,)``, its spikes ``spk (T,)`` as ticks above, the threshold dashed."""
    mem = np.asarray(mem)
    ax.plot(mem, color=color, label=name)
    if threshold is not None:
        ax.axhline(threshold, color=RED, linestyle="--", linewidth=1, label="threshold θ")
    if spk is not None:
        times = np.nonzero(np.asarray(spk))[0]
        top = max(float(mem.max(initial=0.0)), threshold or 0.0)
        height = 1.08 * top if top > 0 else 0.1
        ticks = np.full(len(times), height)
        ax.plot(times, ticks, "|", color=BLACK, markersize=9, label="spike")


def curves(
    ax: Axes,
    x: Sequence[float] | np.ndarray,
    ys: Mapping[str, Any],
    *,
    bands: bool = True,
    markers: bool = True,
) -> None:
    """One line a name; of a 2-D entry ``(seeds, len(x))`` the mean, with the seeds' range as a band."""
    for i, (name, y) in enumerate(ys.items()):
        y = np.asarray(y, dtype=float)
        look = {"color": COLOURS[i % 7], "linestyle": DASHES[i % 7], "label": name}
        if markers:
            look |= {"marker": MARKERS[i % 7], "markersize": 4.5}
        if y.ndim == 2:
            if bands and len(y) > 1:
                low, high = y.min(0), y.max(0)
                ax.fill_between(x, low, high, color=COLOURS[i % 7], alpha=0.15, linewidth=0)
            y = y.mean(0)
        ax.plot(x, y, **look)
    if len(ys) > 1:
        ax.legend()


def bars(ax: Axes, values: Mapping[str, float], *, fmt: str = "{:.3g}", color: str = BLUE) -> None:
    """Horizontal bars, each with its value written at its end."""
    drawn = ax.barh(list(values), list(values.values()), color=color, height=0.65)
    ax.bar_label(drawn, [fmt.format(v) for v in values.values()], padding=4, fontsize=9)
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.grid(False, axis="y")


def grouped_bars(
    ax: Axes, series: Mapping[str, Mapping[str, float]], *, fmt: str = "{:.3g}"
) -> None:
    """Upright bars, one group a name, one colour a series; each bar with its value above it."""
    names = list(next(iter(series.values()), {}))
    width = 0.8 / max(1, len(series))
    for i, (title, values) in enumerate(series.items()):
        heights = [values[name] for name in names]
        place = np.arange(len(names)) + width * (i - (len(series) - 1) / 2)
        drawn = ax.bar(place, heights, 0.95 * width, color=COLOURS[i % 7], label=title)
        ax.bar_label(drawn, [fmt.format(h) for h in heights], fontsize=8)
    ax.set_xticks(range(len(names)), names)
    ax.margins(y=0.12)
    ax.grid(False, axis="x")
    if series:
        ax.legend()


def confusion(ax: Axes, matrix: Any, classes: Sequence[str]) -> None:
    """Confusion matrix ``(K, K)`` of counts, rows = true class; each row is coloured by its share."""
    counts = np.asarray(matrix, dtype=float)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.argwhere(counts):
        color = "white" if share[i, j] > 0.55 else "black"
        ax.text(j, i, f"{counts[i, j]:.0f}", ha="center", va="center", fontsize=7, color=color)
    ax.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    ax.set_yticks(range(len(classes)), classes)
    ax.grid(False)
    label(ax, "predicted class", "true class")


def pareto(
    ax: Axes,
    families: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    front: tuple[Sequence[float], Sequence[float]],
    knee: tuple[float, float],
) -> None:
    """Value against cost: each family's ``(costs, values)`` as markers, the front as a line, its knee a star."""
    for i, (name, (cost, value)) in enumerate(families.items()):
        ax.plot(cost, value, MARKERS[i % 7], color=COLOURS[i % 7], markersize=6.5, label=name)
    ax.plot(*front, color="0.4", linewidth=1.2, zorder=1, label="Pareto front")
    ax.plot(*knee, "*", color=BLACK, markersize=17, markerfacecolor=YELLOW, zorder=5, label="knee")
    costs = [c for cost, _ in families.values() for c in cost if c > 0]
    if costs and max(costs) > 4 * min(costs):  # else a logarithmic axis has hardly a number on it
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.legend()
