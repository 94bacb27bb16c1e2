"""Figures of one network, whoever built it: its errors, its spikes, its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common import plots
from tutor.judge import Gap

import torch
from matplotlib.figure import Figure
from torch import Tensor

NAMES = {"train": "training images", "val": "validation images", "test": "test images"}
SHOWN = 80
"""Neurons of a layer that its raster shows at most."""


def confusion_matrix(classes: Tensor, y: Tensor, num_classes: int) -> Tensor:
    """Counts ``(K, K)``: row the true class, column the answer."""
    pairs = num_classes * y.cpu() + classes.cpu()
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def confusion(matrix: Tensor, classes: Sequence[str], title: str) -> Figure:
    """The confusion matrix; only errors are coloured, by their share of the true class.

    The title is the caller's, computed from the matrix.
    """
    fig, ax = plots.figure(size=(7.2, 6.4), title=title)
    counts = matrix.double()
    errors = counts / counts.sum(1, keepdim=True).clamp(min=1)
    errors.fill_diagonal_(0)
    most = max(errors.max().item(), 1e-9)
    ax.imshow(errors.numpy(), cmap="Blues", vmin=0, vmax=most)
    for i, j in counts.nonzero().tolist():
        look = {"ha": "center", "va": "center", "fontsize": 7}
        look["color"] = "white" if errors[i, j] > 0.6 * most else "black"
        look["weight"] = "bold" if i == j else "normal"
        ax.text(j, i, f"{counts[i, j]:.0f}", **look)
    ax.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    ax.set_yticks(range(len(classes)), classes)
    ax.grid(False)
    head = "bold: right answers; blue: errors, darker if frequent"
    plots.label(ax, "predicted class", "true class", head)
    return fig


def rasters(
    spikes: Mapping[str, Tensor], image: Tensor, classes: Sequence[str], title: str
) -> Figure:
    """One image ``(28, 28)``, and the spikes ``(T, B, N)`` that the first of the batch causes in every layer.

    Of a hidden layer some neurons are shown, evenly chosen, whether they fire or not; of an output
    layer all ten, with their classes.
    """
    fig, axes = plots.figure(1, len(spikes) + 1, (3.1 * len(spikes) + 3.2, 4.2), title)
    axes[0].imshow(image.numpy(), cmap="gray")
    axes[0].set_axis_off()
    for ax, (name, spk) in zip(axes[1:], spikes.items(), strict=True):
        first = spk[:, 0]  # (T, N)
        T = len(first)
        fires = first.any(0).nonzero()[:, 0]
        heading = f"{name}:\n{100 * len(fires) / first.shape[1]:.0f} % of its neurons fire"
        if first.shape[1] == len(classes):
            plots.raster(ax, first, width=4)
            ax.set_yticks(range(len(classes)), classes)
            ax.invert_yaxis()  # the first class on top, as in the confusion matrix
            plots.label(ax, "time step", "", heading)
        else:
            shown = min(SHOWN, first.shape[1])
            kept = torch.linspace(0, first.shape[1] - 1, shown).long()
            plots.raster(ax, first[:, kept], width=4)
            ax.set_yticks([])
            plots.label(ax, "time step", f"{shown} neurons, evenly chosen", heading)
        every = max(1, T // 5)
        ax.set_xticks(range(0, T, every), range(1, T + 1, every))
    return fig


def training(history: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Loss by epoch, and beside it whatever accuracies the history holds."""
    epochs = [row.get("epoch", i + 1) for i, row in enumerate(history)]
    keys = [key for key in history[0] if all(key in row for row in history)]
    shares = [key for key in keys if key not in ("epoch", "loss", "seconds", "lr")]
    fig, axes = plots.figure(1, 2, (10, 3.8), title)
    plots.curves(axes[0], epochs, {"loss": [row["loss"] for row in history]})
    plots.label(axes[0], "epoch", "loss", "Loss on the training images")
    plots.curves(
        axes[1],
        epochs,
        {NAMES.get(key, key): [100 * row[key] for row in history] for key in shares},
    )
    found = "Accuracy" if shares else "No accuracy in the history"
    if len(shares) == 1:
        axes[1].legend()
    plots.label(axes[1], "epoch", "accuracy (%)", found)
    for ax in axes:
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig


def gaps(found: Mapping[str, Gap], title: str) -> Figure:
    """Test less validation accuracy of several networks, in points, with intervals."""
    fig, ax = plots.figure(size=(9, 1.6 + 0.5 * len(found)), title=title)
    for i, gap in enumerate(found.values()):
        colour = plots.RED if gap.leaks else plots.BLUE
        look = {"fmt": "s" if gap.leaks else "o", "color": colour, "capsize": 4}
        ax.errorbar(100 * gap.difference, i, xerr=100 * gap.half, **look)
    ax.axvline(0, color=plots.BLACK, linestyle=":", linewidth=1)
    ax.set_yticks(range(len(found)), list(found))
    ax.set_ylim(len(found) - 0.5, -0.5)
    plots.label(
        ax,
        "accuracy on test images less that on validation images (points, ± 3.3 standard errors)",
        "",
    )
    return fig
