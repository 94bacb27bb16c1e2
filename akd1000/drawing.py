"""The picture of a network on the mesh of a chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common import plots

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

Places = Sequence[Sequence[int]]
"""``(column, row, id)`` of some processors; those of one node share column and row"""


def draw_meshes(panels: Mapping[str, Any], title: str) -> Figure:
    """A mesh a panel: title → what ``Mapping.places`` gives."""
    fig, axes = plots.figure(1, len(panels), (5.4 * len(panels), 5.9), title)
    for ax, (name, places) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        draw_mesh(ax, places["mesh"], places["layers"])
        ax.set_title(name)
    return fig


def draw_mesh(ax: Axes, mesh: Places, layers: Mapping[str, Places]) -> None:
    """The nodes of a chip as squares of processors, each in the colour of the layer that sits there.

    Args:
        mesh: every processor.
        layers: name → its processors, none for a layer in software. Processors that are not in ``mesh``
            (Akida's input converter) are drawn beside it. A processor that serves several layers, one
            after the other, is divided among them.
    """
    inside = {tuple(place) for place in mesh}
    _draw_nodes(ax, {place[:2] for place in inside})
    free, beside, handles = set(inside), set(), []
    users: dict[tuple[int, ...], list[str]] = {}  # processor → its layers
    for name, nps in layers.items():
        for place in nps:
            users.setdefault(tuple(place), []).append(name)
    for i, (name, nps) in enumerate(layers.items()):
        look: dict[str, Any] = {"facecolor": plots.COLOURS[i % len(plots.COLOURS)]}
        places = {tuple(place) for place in nps}
        for place in places:
            strip = (users[place].index(name), len(users[place]))
            _draw_processor(ax, place, place in inside, look, strip)
            _name_processor(ax, place, place in inside, name, strip, look["facecolor"])
        if not places:
            look = {"facecolor": "white", "edgecolor": "0.4", "hatch": "////"}
            where = "software"
        elif places <= inside:
            where = "1 NP" if len(places) == 1 else f"{len(places)} NPs"
        else:
            where = "input converter"
        handles.append(Rectangle((0, 0), 1, 1, label=f"{name}: {where}", **look))
        free -= places
        beside |= places - inside
    nobody = {"facecolor": "0.9", "edgecolor": "none"}
    for place in free:
        _draw_processor(ax, place, True, nobody)
    handles.append(Rectangle((0, 0), 1, 1, label=f"free: {len(free)}", facecolor="0.9"))
    shared = sum(len(set(names)) > 1 for names in users.values())
    if shared:
        text = f"(serve two or more layers: {shared})"
        handles.append(Rectangle((0, 0), 1, 1, label=text, facecolor="none", edgecolor="none"))
    columns, rows = {place[0] for place in inside}, {place[1] for place in inside}
    ax.set_xticks(sorted(columns))
    ax.set_yticks(sorted(rows))
    columns |= {place[0] for place in beside}
    rows |= {place[1] for place in beside}
    lines = (len(handles) + 1) // 2
    spare = 0  # rows beside the mesh in which a narrow legend finds room
    if lines <= 3 and not shared:
        spare = min(place[1] for place in inside) - min(rows)
    loc = "lower right" if spare else "lower center"
    ax.legend(handles=handles, loc=loc, ncols=2, fontsize=8.5)
    room = max(0.0, 0.34 * lines - spare)  # for the legend, below the lowest row
    ax.set_xlim(min(columns) - 0.6, max(columns) + 0.6)
    ax.set_ylim(min(rows) - 0.7 - room, max(rows) + 0.6)
    ax.set_aspect("equal")
    ax.grid(False)
    plots.label(ax, "column of the mesh", "row of the mesh")


def _draw_nodes(ax: Axes, nodes: set[tuple[int, ...]]) -> None:
    """A box a node, and a wire to each neighbour at its right and above it."""
    for c, r in nodes:
        for other in ((c + 1, r), (c, r + 1)):
            if other in nodes:
                ax.plot((c, other[0]), (r, other[1]), color="0.75", linewidth=2.5, zorder=0)
        box = {"facecolor": "white", "edgecolor": "0.55", "zorder": 1}
        ax.add_patch(Rectangle((c - 0.4, r - 0.4), 0.8, 0.8, **box))


def _draw_processor(
    ax: Axes,
    place: tuple[int, ...],
    is_inside: bool,
    look: Mapping[str, Any],
    strip: tuple[int, int] = (0, 1),
) -> None:
    """One of a node's four squares; the input converter, outside the mesh, fills a node's place.

    ``strip``: which of how many layers of this processor is drawn, from the bottom to the top.
    """
    left, bottom, width, height = _strip_of(place, is_inside, strip)
    ax.add_patch(Rectangle((left, bottom), width, height, zorder=2, **look))


def _name_processor(
    ax: Axes, place: tuple[int, ...], is_inside: bool, name: str, strip: tuple[int, int], face: str
) -> None:
    """The layer's name in its square, as far as there is room: colour does not stand alone."""
    left, bottom, width, height = _strip_of(place, is_inside, strip)
    if not is_inside:
        size = 8.0
    elif strip[1] > 1 or len(name) > 5:
        size = 5.0
    else:
        size = 5.5
    red, green, blue = to_rgb(face)
    colour = "black" if 0.3 * red + 0.6 * green + 0.1 * blue > 0.6 else "white"
    look = {"fontsize": size, "ha": "center", "va": "center", "color": colour, "zorder": 3}
    ax.text(left + width / 2, bottom + height / 2, name[:6], **look)


def _strip_of(
    place: tuple[int, ...], is_inside: bool, strip: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of a layer's share of a processor's square."""
    column, row, k = place
    which, of = strip
    size = 0.34 if is_inside else 0.72
    left = column - 0.36 + 0.38 * (k % 2)
    bottom = row - 0.36 + 0.38 * (k // 2)
    return left, bottom + which * size / of, size, size / of
