"""How long networks take on the devices of a machine, from one picture to a full batch: the numbers and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common import plots

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter


@dataclass
class Timing:
    """One network on one device with one batch size."""

    device: str
    name: str
    batch: int
    ms: np.ndarray
    """of a whole batch, ``(rounds,)``; all networks took turns in each round"""
    live: int
    """most bytes in use at one time, weights and input not counted"""

    @property
    def per_second(self) -> float:
        """Pictures a second."""
        return 1000 * self.batch / float(np.median(self.ms))


def in_a_table(rows: Sequence[Timing]) -> list[tuple[str, float, str, float]]:
    """A row for each network on each device: ms of one picture, pictures a second of the largest batch, KiB of one."""
    table = []
    for r in rows:
        if r.batch == 1:
            largest = next(q for q in rows[::-1] if (q.device, q.name) == (r.device, r.name))
            full = f"{largest.per_second:,.0f}"
            table.append((f"{r.device}: {r.name}", float(np.median(r.ms)), full, r.live / 1024))
    return table


def draw_devices(rows: Sequence[Timing], title: str, opponent: str) -> Figure:
    """Latency of one picture relative to that of ``opponent``, throughput and working memory, of all names."""
    fig, (a, b, c) = plots.figure(1, 3, (14, 4), title)
    opponents = {r.device: r for r in rows if r.name == opponent and r.batch == 1}
    names = []
    for i, (device, name) in enumerate(dict.fromkeys((r.device, r.name) for r in rows)):
        line = [r for r in rows if (r.device, r.name) == (device, name)]
        names.append(f"{device}: {name}" if len(opponents) > 1 else name)
        look = {"color": plots.COLOURS[i % 7], "marker": plots.MARKERS[i % 7]}
        own, other = line[0].ms, opponents[device].ms
        low, high = np.percentile(own / other, (25, 75))
        middle = np.median(own) / np.median(other)
        a.plot([low, high], [i, i], color=plots.COLOURS[i % 7], linewidth=4, alpha=0.4)
        a.plot(middle, i, **look)
        a.annotate(f"{middle:.2g}", (middle, i - 0.22), fontsize=9, ha="center")
        look |= {"linestyle": plots.DASHES[i % 7], "label": names[-1]}
        batches = [r.batch for r in line]
        b.loglog(batches, [r.per_second for r in line], base=2, **look)
        c.loglog(batches, [r.live / 2**20 for r in line], base=2, **look)
    for ax in (b, c):
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    a.set_yticks(range(len(names)), names)
    a.set_ylim(len(names) - 0.5, -0.6)
    a.set_xlim(left=0)
    a.margins(x=0.1)
    plots.label(a, f"time / that of {opponent} (bar: quartiles)", "", "One picture")
    plots.label(b, "pictures at once", "pictures a second", "Throughput")
    plots.label(c, "pictures at once", "MiB besides weights and input", "Working memory")
    c.legend(fontsize=8)
    return fig
