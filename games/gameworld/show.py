"""Pictures of the runner for capstone B: the page with its jump, and a film of a run beside its spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from common import plots
from common.io import write_atomic
from games.runner import twin

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle


def page(ax: Axes, kinds: Sequence[int], lefts: Sequence[float]) -> None:
    """The rows of the page that a frame keeps, as a browser paints them: things of ``kinds`` whose left edges stand
    ``lefts`` px before the runner."""
    colours = twin.COLOURS

    def box(x: float, low: float, w: float, h: float, colour: str) -> None:
        ax.add_patch(Rectangle((x, low), w, h, color=colours[colour], linewidth=0))

    ax.set_facecolor(colours["sky"])
    box(-twin.PLAYER_X, -60, twin.WIDTH, 60, "ground")
    box(0, 0, twin.PLAYER_W, twin.PLAYER_H, "player")
    for kind, left in zip(kinds, lefts, strict=True):
        thing = twin.KINDS[kind]
        box(
            left,
            thing.bottom,
            thing.w,
            thing.top - thing.bottom,
            "hang" if thing.bottom else "stand",
        )
    ax.set_xlim(-twin.PLAYER_X, twin.WIDTH - twin.PLAYER_X)
    ax.set_ylim(twin.GROUND - twin.BOTTOM, twin.GROUND - twin.TOP)
    ax.set_aspect("equal")
    ax.grid(False)


def arc(ax: Axes, start: float, speed: float, colour: str, name: str, linestyle: str = "-") -> None:
    """The path of a foot of the runner that leaves the ground at ``start`` px."""
    n = np.arange(twin.AIRBORNE + 1)
    height = twin.JUMP * n - twin.GRAVITY / 2 * n * (n + 1)
    ax.plot(start + speed * n, height, color=colour, label=name, linestyle=linestyle)


def dots(ax: Axes, points: Mapping[str, np.ndarray], complete: float) -> None:
    """A row a player: a dot a run, spread in height so that none hides another; a bar at the median; at the right
    edge the share of runs with ``complete`` points or more."""
    for k, (name, p) in enumerate(points.items()):
        spread = (np.arange(len(p)) * 0.618) % 1 - 0.5
        ax.plot(p, k + 0.6 * spread, "o", color=plots.BLUE, alpha=0.5, markersize=4, label=name)
        middle = float(np.median(p))
        ax.plot([middle, middle], [k - 0.42, k + 0.42], color=plots.RED, linewidth=2.5)
        reached = (p >= complete).mean()
        ax.text(
            1.01, k, f"{reached:.0%}", transform=ax.get_yaxis_transform(), va="center", fontsize=9
        )
    ax.set_yticks(range(len(points)), list(points))
    ax.set_ylim(len(points) - 0.4, -0.6)
    ax.text(1.01, 1.02, "complete", transform=ax.transAxes, va="bottom", fontsize=9)


def record(
    frames: np.ndarray, keys: np.ndarray, spk: np.ndarray, path: Path, seen: tuple[int, int]
) -> Path:
    """What the network saw and how its hidden layer fired, as an animated WebP or GIF, 16 pictures a second.

    Args:
        frames: ``(T, 24, 80)`` uint8. keys: ``(T,)`` bool. spk: ``(T, N)``, the last neuron is drawn on top.
        seen: first column that the network gets, and the first after it: the others are drawn pale.
    """
    from PIL import Image, ImageDraw

    wide, high, shown = 480, 144, 120
    neurons = spk.shape[1]
    pale = np.ones(frames.shape[2], bool)
    pale[seen[0] : seen[1]] = False
    pictures = []
    for t in range(len(frames)):
        picture = Image.new("RGB", (wide, high + neurons + 34), "white")
        frame = frames[t].copy()
        frame[:, pale] = 255 - (255 - frame[:, pale]) // 4
        game = np.repeat(np.repeat(frame, 6, 0), 6, 1)
        picture.paste(Image.fromarray(game).convert("RGB"), (0, 16))
        window = spk[max(0, t + 1 - shown) : t + 1].T[::-1] > 0  # (N, ≤ shown)
        raster = np.full((neurons, shown), 255, np.uint8)
        raster[:, shown - window.shape[1] :][window] = 0
        picture.paste(Image.fromarray(np.repeat(raster, 4, 1)), (0, high + 34))
        draw = ImageDraw.Draw(picture)
        draw.text((4, 2), "dark: what the network sees", fill="black")
        if keys[t]:
            draw.rectangle((wide - 90, 0, wide - 1, 14), fill="#d55e00")
            draw.text((wide - 80, 2), "key down", fill="white")
        told = f"spikes of its {neurons} hidden neurons, long memory on top"
        draw.text((4, high + 19), told, fill="black")
        pictures.append(picture.quantize(16) if path.suffix == ".gif" else picture)
    options = {"save_all": True, "append_images": pictures[1:], "duration": 62, "loop": 0}
    if path.suffix == ".gif":
        kind, options["optimize"] = "GIF", True
    else:
        kind = "WEBP"
        options |= {"quality": 40, "minimize_size": True}
    return write_atomic(path, lambda tmp: pictures[0].save(tmp, kind, **options))
