"""Pictures of lesson 16: one neuron's account over time, losses over time, and errors by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common import plots

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from torch import Tensor

LOOKS = {
    "inherited": ("0.75", ""),
    "clipping": (plots.ORANGE, ""),
    "quantisation": (plots.SKY, "//"),
    "unevenness": (plots.PINK, ".."),
}
"""Colour and hatch of each kind of error."""


def _tenths(height: float) -> str:
    """One digit, with a minus sign that is one, and none before 0.0."""
    return f"{round(height, 1) + 0.0:.1f}".replace("-", "−")


def draw_neuron(ax: Axes, bx: Axes, cur: Tensor, spk: Tensor, charge: float) -> None:
    """Current (above), V and spikes (below) of one neuron, ``cur`` and ``spk`` ``(T,)``, in units of θ."""
    mem = charge + (cur - spk).cumsum(0)  # V, what is left after each spike
    mean = cur.mean()
    place = np.arange(1, len(cur) + 1)
    ax.bar(place, cur, color=[plots.BLUE if c > 0 else plots.ORANGE for c in cur])
    ax.axhline(
        mean,
        color=plots.BLACK,
        linestyle="--",
        linewidth=1.2,
        label=f"mean, {mean:.2f}".replace("-", "−"),
    )
    ax.axhline(0, color="0.5", linewidth=0.8)
    bx.plot(place, mem, color=plots.BLUE, marker=".", label="V")
    bx.axhline(1, color=plots.RED, linestyle="--", linewidth=1, label="θ")
    height = np.full(int(spk.sum()), mem.max().clamp(min=1) + 0.3)
    bx.plot(place[spk > 0], height, "|", color=plots.BLACK, markersize=10, label="spike")
    for panel in (ax, bx):
        panel.legend()
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_losses(
    ax: Axes, times: Sequence[int], losses: Mapping[str, np.ndarray], half: str
) -> None:
    """One line a name. Names that differ in the ending ``half`` alone share a colour; it draws dashes."""
    families: list[str] = []
    for name, lost in losses.items():
        family = name.removesuffix(half)
        if family not in families:
            families.append(family)
        place = families.index(family)
        line = "--" if name.endswith(half) else "-"
        look = {"color": plots.COLOURS[place], "marker": plots.MARKERS[place], "markersize": 5}
        ax.plot(times, lost, line, label=name, **look)


def draw_parts(ax: Axes, series: dict[str, list[float]], groups: Sequence[str]) -> None:
    """Bars in groups: ``series`` holds, for each kind of error, one height a group."""
    width = 0.8 / len(series)
    for j, (part, heights) in enumerate(series.items()):
        colour, hatch = LOOKS[part]
        place = np.arange(len(heights)) + width * (j - (len(series) - 1) / 2)
        drawn = ax.bar(place, heights, 0.92 * width, color=colour, hatch=hatch, label=part)
        ax.bar_label(drawn, [_tenths(h) for h in heights], fontsize=7, padding=2)
    ax.axhline(0, color="0.3", linewidth=0.8)
    ax.set_xticks(range(len(groups)), groups)
    ax.margins(y=0.12)
    ax.legend()
