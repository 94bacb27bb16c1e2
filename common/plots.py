"""One visual language for the course. Every function draws on an ``ax`` it is given and returns nothing.

Colours are the eight of Okabe and Ito (2008), which colour-blind readers can tell apart; lines differ in
marker or dash as well wherever a figure may be printed in grey.
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
    rows: int, title: str = "", xlabel: str = "step", ylabel: str | None = None, height: float = 1.9
) -> tuple[Figure, Any]:
    """``rows`` panels above one another that share the time axis; ``ylabel`` names all of them."""
    fig, axes = figure(rows, 1, (9.5, height * rows + 0.8), title, sharex=True)
    axes = np.atleast_1d(axes)
    axes[-1].set_xlabel(xlabel)
    for ax in axes:
        ax.set_ylabel(ylabel or "")
    return fig, axes


def label(ax: Axes, x: str, y: str, title: str = "") -> None:
    """Name both axes, with units, and say what the panel shows."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title)


def raster(ax: Axes, spk: Any, *, dt: float = 1.0, color: str = BLACK, width: float = 2.0) -> None:
    """Spike raster of ``spk (T, N)``: a tick for each spike, one row a neuron. ``dt`` scales steps to time."""
    spk = np.asarray(spk)
    ax.eventplot(
        [np.nonzero(row)[0] * dt for row in spk.T],
        lineoffsets=range(spk.shape[1]),
        linelengths=0.75,
        linewidths=width,
        colors=color,
    )
    ax.set_xlim(-0.5 * dt, (len(spk) - 0.5) * dt)
    ax.set_ylim(-0.7, spk.shape[1] - 0.3)
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
        t = np.nonzero(np.asarray(spk))[0]
        top = max(float(mem.max()), threshold or 0.0)
        height = top * 1.08 if top > 0 else 0.1
        ax.plot(t, np.full(len(t), height), "|", color=BLACK, markersize=9, label="spike")


def curves(
    ax: Axes,
    x: Sequence[float] | np.ndarray,
    ys: Mapping[str, Any],
    *,
    bands: bool = True,
    markers: bool = True,
) -> None:
    """One line a name. A 2-D entry ``(seeds, len(x))`` is drawn as its mean with the range of its seeds as a band."""
    for i, (name, y) in enumerate(ys.items()):
        y = np.asarray(y, dtype=float)
        look = {"color": COLOURS[i % 7], "linestyle": DASHES[i % 7], "label": name}
        if markers:
            look |= {"marker": MARKERS[i % 7], "markersize": 4.5}
        if y.ndim == 2:
            if bands and len(y) > 1:
                ax.fill_between(
                    x, y.min(0), y.max(0), color=COLOURS[i % 7], alpha=0.15, linewidth=0
                )
            y = y.mean(0)
        ax.plot(x, y, **look)
    if len(ys) > 1:
        ax.legend()


def bars(ax: Axes, values: Mapping[str, float], *, fmt: str = "{:.3g}", color: str = BLUE) -> None:
    """Horizontal bars, each with its value written at its end."""
    names = list(values)
    ax.barh(names, [values[n] for n in names], color=color, height=0.65)
    for i, n in enumerate(names):
        ax.annotate(
            fmt.format(values[n]),
            (values[n], i),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.grid(False, axis="y")


def confusion(ax: Axes, matrix: Any, classes: Sequence[str]) -> None:
    """Confusion matrix ``(K, K)`` of counts, rows = true class; each row is coloured by its share."""
    m = np.asarray(matrix, dtype=float)
    share = m / np.maximum(m.sum(1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*m.shape):
        if m[i, j]:
            ax.text(
                j,
                i,
                f"{m[i, j]:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if share[i, j] > 0.55 else "black",
            )
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
    """Value against cost: each family's ``(costs, values)`` as markers, the front as a line, its knee as a star."""
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


def npu_mesh(
    ax: Axes, mesh: Sequence[Sequence[int]], layers: Mapping[str, Sequence[Sequence[int]]]
) -> None:
    """The nodes of a neuromorphic chip as squares of processors, each coloured by the layer that sits there.

    Args:
        mesh: ``(column, row, id)`` of every processor; those of one node share column and row.
        layers: name → its processors, none for a layer in software. Processors that are not in ``mesh`` (Akida's input
            converter) are drawn beside it.
    """
    owner = {tuple(p): i for i, nps in enumerate(layers.values()) for p in nps}
    places = {tuple(p) for p in mesh}
    nodes = {p[:2] for p in places}
    for c, r in nodes:  # wires to the neighbours at the right and above
        for other in ((c + 1, r), (c, r + 1)):
            if other in nodes:
                ax.plot((c, other[0]), (r, other[1]), color="0.75", linewidth=2.5, zorder=0)
        ax.add_patch(
            plt.Rectangle(
                (c - 0.4, r - 0.4), 0.8, 0.8, facecolor="white", edgecolor="0.55", zorder=1
            )
        )
    for c, r, k in places | set(owner):
        i = owner.get((c, r, k))
        look = (
            {"facecolor": "0.9", "edgecolor": "none"}
            if i is None
            else {"facecolor": COLOURS[i % 7]}
        )
        size = 0.34 if (c, r, k) in places else 0.72
        corner = (c - 0.36 + 0.38 * (k % 2), r - 0.36 + 0.38 * (k // 2))
        ax.add_patch(plt.Rectangle(corner, size, size, zorder=2, **look))
    handles = []
    for i, (name, nps) in enumerate(layers.items()):
        outside = [p for p in nps if tuple(p) not in places]
        where = (
            "software"
            if not nps
            else "input converter"
            if outside
            else f"{len(nps)} NP" + "s" * (len(nps) > 1)
        )
        face = (
            {"facecolor": COLOURS[i % 7]}
            if nps
            else {"facecolor": "white", "edgecolor": "0.4", "hatch": "////"}
        )
        handles.append(plt.Rectangle((0, 0), 1, 1, label=f"{name}: {where}", **face))
    handles.append(
        plt.Rectangle((0, 0), 1, 1, facecolor="0.9", label=f"free: {len(places - set(owner))}")
    )
    ax.legend(handles=handles, loc="lower center", ncols=2, fontsize=8.5)
    ax.set_xticks(sorted({c for c, _ in nodes}))
    ax.set_yticks(sorted({r for _, r in nodes}))
    columns, rows = zip(*(p[:2] for p in places | set(owner)), strict=True)
    ax.set_xlim(min(columns) - 0.6, max(columns) + 0.6)
    ax.set_ylim(
        min(rows) - 0.7 - 0.17 * len(handles), max(rows) + 0.6
    )  # the legend's place is below the lowest row
    ax.set_aspect("equal")
    ax.grid(False)
    label(ax, "column of the mesh", "row of the mesh")


def grouped_bars(
    ax: Axes, series: Mapping[str, Mapping[str, float]], *, fmt: str = "{:.3g}"
) -> None:
    """Upright bars, one group a name, one colour a series; each bar with its value above it."""
    names = list(next(iter(series.values())))
    width = 0.8 / len(series)
    for i, (title, values) in enumerate(series.items()):
        place = np.arange(len(names)) + width * (i - (len(series) - 1) / 2)
        ax.bar(place, [values[n] for n in names], 0.95 * width, color=COLOURS[i % 7], label=title)
        for x, n in zip(place, names, strict=True):
            ax.annotate(fmt.format(values[n]), (x, values[n]), ha="center", va="bottom", fontsize=8)
    ax.set_xticks(range(len(names)), names)
    ax.margins(y=0.12)
    ax.grid(False, axis="x")
    ax.legend()
