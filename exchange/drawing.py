"""Pictures of a graph, and of where two simulators differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common import plots
from exchange.graphs import NEURONS, node_order
from exchange.simulators import AS_IT_COMES, NOTHING_LEFT, Row

import nir
import numpy as np
import torch
from matplotlib.axes import Axes


def draw_graph(ax: Axes, graph: nir.NIRGraph, title: str) -> None:
    """Boxes from left to right in the order of computation; a node on a way back stands above."""
    edges = [tuple(e) for e in graph.edges]
    back = {a for a, b in edges if (b, a) in edges and not isinstance(graph.nodes[a], NEURONS)}
    place = {
        n: (float(i), 0.0) for i, n in enumerate(n for n in node_order(graph) if n not in back)
    }
    for n in back:
        place[n] = (place[next(b for a, b in edges if a == n)][0] + 0.5, 1.15)
    for a, b in edges:
        ax.annotate(
            "",
            place[b],
            place[a],
            arrowprops={
                "arrowstyle": "->",
                "shrinkA": 27,
                "shrinkB": 27,
                "color": "0.3",
                "connectionstyle": "arc3,rad=-0.3" if {a, b} & back else "arc3",
            },
        )
    colour = {"Input": "0.85", "Output": "0.85"}
    colour |= {neuron.__name__: plots.ORANGE for neuron in NEURONS}
    for n, (x, y) in place.items():
        kind = type(graph.nodes[n]).__name__
        size = "×".join(str(v) for v in graph.nodes[n].output_type["output"])
        ax.text(
            x,
            y,
            f"{n}\n{kind}\n{size}",
            ha="center",
            va="center",
            fontsize=7.5,
            bbox={
                "boxstyle": "round",
                "facecolor": colour.get(kind, plots.SKY),
                "edgecolor": "0.4",
            },
        )
    ax.set(xlim=(-0.6, len(place) - 0.4), ylim=(-0.7, 1.7 if back else 0.7), title=title)
    ax.set_axis_off()


def draw_difference(
    ax: Axes, ours: torch.Tensor, theirs: torch.Tensor, our_name: str, their_name: str
) -> None:
    """Two rasters ``(T, N)`` in one: grey where both fire, a colour each where one fires alone."""
    for spk, colour, who in (
        (ours * theirs, "0.6", "both"),
        (ours * (1 - theirs), plots.BLUE, f"{our_name} only"),
        (theirs * (1 - ours), plots.RED, f"{their_name} only"),
    ):
        plots.raster(ax, spk, color=colour, width=3)
        ax.plot([], [], color=colour, linewidth=3, label=who)


def draw_rows(ax: Axes, rows: Sequence[Row], names: Sequence[str]) -> None:
    """What other simulators make of one graph: a bar for each cause, in the colour of its simulator."""
    for place, row in enumerate(rows):
        colour = plots.COLOURS[names.index(row.simulator)]
        bar = ax.barh(place, row.differ or 0, color=colour, height=0.65)
        ax.bar_label(bar, ["error" if row.differ is None else f"{row.differ:,}"], padding=3)
    labels = []
    for row in rows:
        alone = "" if row.cause.startswith(AS_IT_COMES) or row.cause == NOTHING_LEFT else "only "
        labels.append(f"{row.simulator}: {alone}{row.cause.split(':')[0]}")
    ax.set_yticks(range(len(rows)), labels)
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.grid(False, axis="y")


def draw_words(
    ax: Axes,
    words: np.ndarray,
    marked: np.ndarray,
    columns: Sequence[str],
    rows: Sequence[str],
    colours: str,
) -> None:
    """A table as a picture: a word in each cell, and a colour behind those that are marked."""
    ax.imshow(marked, cmap=colours, vmin=0, vmax=1.7, aspect="auto")
    for (i, j), word in np.ndenumerate(words):
        ax.text(j, i, word, ha="center", va="center", fontsize=8)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(False)


def draw_seeds(ax: Axes, values: Mapping[str, Sequence[float]]) -> None:
    """A row for each name: a circle for each training, a stroke for their mean; the first on top."""
    for k, numbers in enumerate(values.values()):
        ax.plot(numbers, [k] * len(numbers), "o", color="0.5", mfc="none")
        ax.plot(np.mean(numbers), k, "|", color=plots.BLUE, markersize=16, mew=2.5)
    ax.set_yticks(range(len(values)), list(values))
    ax.set_ylim(len(values) - 0.5, -0.5)


def draw_operations(ax: Axes, series: Mapping[str, Mapping[str, float]]) -> None:
    """Upright bars: a group for each layer, a colour and hatch for each series."""
    looks = (("0.75", ""), (plots.ORANGE, "//"), (plots.BLUE, ".."))
    layers = list(next(iter(series.values())))
    for i, (name, values) in enumerate(series.items()):
        colour, hatch = looks[i]
        place = np.arange(len(layers)) + 0.27 * (i - 1)
        heights = [values[layer] for layer in layers]
        bars = ax.bar(place, heights, 0.25, color=colour, hatch=hatch, label=name)
        ax.bar_label(bars, [f"{h:,.0f}" if h else "" for h in heights], fontsize=7.5, padding=1)
    ax.set_xticks(range(len(layers)), layers)
    ax.margins(y=0.12)
