"""Frames of events as pictures: one, or a row for each recording."""

from __future__ import annotations

from common import plots

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Patch
from torch import Tensor

# of a pixel in a picture of a frame: more OFF events, as many, more ON events
OFF_TO_ON = LinearSegmentedColormap.from_list("OFF to ON", [plots.RED, "0.97", plots.BLUE])


def draw_frame(ax: plots.Axes, frame: Tensor) -> None:
    """One frame ``(2, H, W)`` of whole numbers: where it holds more ON events, and where more OFF."""
    off, on = frame
    ax.imshow(on - off, cmap=OFF_TO_ON, vmin=-3, vmax=3)
    ax.set_axis_off()


def colour_key(fig: plots.Figure) -> None:
    """Below a figure: what the colours of its frames mean."""
    on = Patch(color=plots.BLUE, label="more ON events than OFF")
    off = Patch(color=plots.RED, label="more OFF than ON")
    fig.legend(handles=[on, off], loc="outside lower right", ncols=2)


def show_frames(
    rows: dict[str, Tensor], title: str, most: int = 14, cell: float = 0.85
) -> plots.Figure:
    """A row of pictures for each ``(T, 2, H, W)``, with the number of events above each of them.

    ``most`` frames are shown of each, at ``cell`` inches.
    """
    columns = min(most, max(len(frames) for frames in rows.values()))
    size = (cell * columns + 1.6, 1.35 * cell * len(rows) + 0.5)
    fig, axes = plots.figure(len(rows), columns, size, title, squeeze=False)
    for row, (name, frames) in zip(axes, rows.items(), strict=True):
        for ax in row:
            ax.set_axis_off()
        for ax, frame in zip(row, frames.int(), strict=False):
            draw_frame(ax, frame)
            ax.set_title(str(int(frame.sum())), fontsize=7, pad=2)
        row[0].text(-0.15, 0.5, name, ha="right", va="center", transform=row[0].transAxes)
    colour_key(fig)
    return fig
