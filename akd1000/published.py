"""Figures that others measured on an AKD1000, each with its network and its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common import plots

from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

ZOO = "BrainChip, Akida 1.0 model zoo, https://doc.brainchipinc.com/model_zoo_performance.html"
KTH = (
    "Chemnitz & Ermis, Comparison of Akida Neuromorphic Processor and NVIDIA Graphics Processor Unit "
    "for Spiking Neural Networks, bachelor's thesis, KTH, June 2025, https://kth.diva-portal.org "
    "(figures taken from a summary, not read in the thesis)"
)
PUTRA = (
    "Putra, Wickramasinghe & Shafique, Enabling Efficient Processing of Spiking Neural Networks with "
    "On-Chip Learning on Commodity Neuromorphic Processors for Edge AI Systems, 2025, "
    "https://arxiv.org/abs/2504.00957 (abstract)"
)


@dataclass(frozen=True)
class Published:
    """One network's figures. ``secondary``: taken from a summary, not read at the source."""

    model: str
    data: str
    bits: str
    source: str
    accuracy: float | None = None
    kilobytes: float | None = None
    nps: int | None = None
    latency_ms: float | None = None
    gpu_latency_ms: float | None = None
    energy_saved: str = ""
    """energy of the AKD1000 below that of the GTX 1080, as published"""
    secondary: bool = False


PUBLISHED = (
    # Akida 1.0 model zoo, quantisation-aware training; bits are input weights/weights/activations
    Published("GXNOR", "MNIST", "2/2/1", ZOO, 0.9803, 412.8, 3),
    Published("DS-CNN", "keywords", "8/4/4", ZOO, 0.9172, 23.1, 5),
    Published("AkidaNet-0.25/96", "visual wake words", "8/4/4", ZOO, 0.8477, 179.6, 16),
    Published("AkidaNet-0.25/160", "ImageNet", "8/4/4", ZOO, 0.4258, None, 20),
    Published("AkidaNet/224", "ImageNet", "8/4/4", ZOO, 0.6965, None, 116),
    # one frame at a time against an NVIDIA GTX 1080
    Published(
        "GXNOR",
        "MNIST",
        "2-bit weights",
        KTH,
        latency_ms=1.622,
        gpu_latency_ms=7.014,
        energy_saved="99.5 %",
        secondary=True,
    ),
    Published(
        "YOLOv2",
        "Pascal VOC",
        "4-bit weights",
        KTH,
        latency_ms=160.9,
        gpu_latency_ms=73.8,
        energy_saved="96 to 99.7 %",
        secondary=True,
    ),
)

POWER = (
    ("processing power while it works", "below 250 mW", PUTRA),
    ("energy of a task (images, video, keywords)", "below 15 mJ", PUTRA),
)
"""Power that others measured on the chip, with the source. There is no figure for a chip at rest:
we found no primary source for the "microwatt idle power" that is often repeated."""


def draw_latencies(known: Sequence[Published], title: str = "") -> Figure:
    """The latency of one frame on the AKD1000 and on the GPU, a row a network."""
    rows = range(len(known))
    chip, card = [p.latency_ms for p in known], [p.gpu_latency_ms for p in known]
    fig, ax = plots.figure(1, 1, (9, 3.6), title)
    ax.hlines(rows, chip, card, color="0.7", linewidth=2, zorder=1)
    ax.plot(chip, rows, "o", color=plots.BLUE, markersize=9, label="AKD1000")
    ax.plot(card, rows, "s", color=plots.RED, markersize=9, label="GTX 1080")
    for i in rows:
        for ms in (chip[i], card[i]):
            ax.annotate(f"{ms:.3g}", (ms, i), (0, 9), textcoords="offset points", ha="center")
    ax.set_xscale("log")
    ax.set_xlim(0.4 * min(*chip, *card), 2.5 * max(*chip, *card))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.set_yticks(rows, [f"{p.model}, {p.data}" for p in known])
    ax.set_ylim(len(known) - 0.5, -0.6)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plots.label(ax, "published latency of one frame (ms)", "")
    return fig


def published_tables(run: Any) -> None:
    """Print ``PUBLISHED`` as two tables, their sources beneath, and keep them in a lesson's results."""
    against_gpu, zoo = [], []
    for p in PUBLISHED:
        name = f"{p.model}, {p.data}"
        if p.latency_ms:
            against_gpu.append(
                (f"{name}, {p.bits}", p.latency_ms, p.gpu_latency_ms, p.energy_saved)
            )
        if p.accuracy:
            zoo.append((name, p.bits, f"{100 * p.accuracy:.2f} %", p.kilobytes or "", p.nps))
    run.table(
        "Published: AKD1000 against an NVIDIA GTX 1080, one frame at a time [1]",
        ("network, data", "AKD1000, ms", "GTX 1080, ms", "energy below the GPU's"),
        against_gpu,
    )
    print_source(run, 1, KTH)
    run.table(
        "Published: networks of the Akida 1.0 model zoo [2]",
        ("network, data", "bits", "accuracy", "KB", "NPs"),
        zoo,
    )
    print_source(run, 2, ZOO)


def power_table(run: Any) -> None:
    """Print ``POWER`` with its source beneath. Nothing here comes from this machine."""
    rows = [(what, value) for what, value, _ in POWER]
    run.table("Published: power of an AKD1000, measured by others [3]", ("what", "figure"), rows)
    print_source(run, 3, PUTRA)


def print_source(run: Any, number: int, source: str) -> None:
    """A source, whole, on lines of at most 80 columns."""
    import textwrap

    hang = " " * 7
    run.print(
        textwrap.fill(
            f"[{number}] {source}",
            80,
            initial_indent="   ",
            subsequent_indent=hang,
            break_on_hyphens=False,
            break_long_words=False,
        )
    )
