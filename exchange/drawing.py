"""Pictures of a graph, and of where two simulators differ."""

from __future__ import annotations

from common import plots
from exchange.graphs import node_order

import nir
import torch
from matplotlib.axes import Axes


def draw_graph(ax: Axes, graph: nir.NIRGraph, title: str) -> None:
    """Boxes from left to right in the order of computation; a node on a way back stands above."""
    edges = [tuple(e) for e in graph.edges]
    back = {a for a, b in edges if (b, a) in edges and not isinstance(graph.nodes[a], nir.LIF)}
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
    colour = {"LIF": plots.ORANGE, "Input": "0.85", "Output": "0.85"}
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
