"""Pictures of the runner for capstone B: the page with its jump, and a film of a run beside its spikes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.io import write_atomic
from games.runner import twin

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle


def page(ax: Axes, kinds: Sequence[int], lefts: Sequence[float]) -> None:
    """The page as a browser paints it: things of ``kinds`` whose left edges stand ``lefts`` px before the runner."""
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
    ax.set_ylim(-60, 300)
    ax.set_aspect("equal")
    ax.grid(False)


def arc(ax: Axes, start: float, speed: float, colour: str, name: str) -> None:
    """The path of the runner's lower left corner if it leaves the ground at ``start`` px."""
    n = np.arange(twin.AIRBORNE + 1)
    ax.plot(
        start + speed * n, twin.JUMP * n - twin.GRAVITY / 2 * n * (n + 1), color=colour, label=name
    )


def record(frames: np.ndarray, keys: np.ndarray, spk: np.ndarray, path: Path) -> Path:
    """What the network saw and how its hidden layer fired, as an animated WebP or GIF, 16 pictures a second.

    Args:
        frames: ``(T, 24, 80)`` uint8. keys: ``(T,)`` bool. spk: ``(T, N)``.
    """
    from PIL import Image, ImageDraw

    wide, high, shown = 480, 144, 120
    neurons = spk.shape[1]
    pictures = []
    for t in range(len(frames)):
        picture = Image.new("RGB", (wide, high + neurons + 34), "white")
        game = np.repeat(np.repeat(frames[t], 6, 0), 6, 1)
        picture.paste(Image.fromarray(game).convert("RGB"), (0, 16))
        window = spk[max(0, t + 1 - shown) : t + 1].T > 0  # (N, ≤ shown)
        raster = np.full((neurons, shown), 255, np.uint8)
        raster[:, shown - window.shape[1] :][window] = 0
        picture.paste(Image.fromarray(np.repeat(raster, 4, 1)), (0, high + 34))
        draw = ImageDraw.Draw(picture)
        down = "key down" if keys[t] else ""
        draw.text((4, 2), f"what the network sees   {down}", fill="black")
        draw.text((4, high + 19), f"spikes of its {neurons} hidden neurons", fill="black")
        pictures.append(picture.quantize(16) if path.suffix == ".gif" else picture)
    options = {"save_all": True, "append_images": pictures[1:], "duration": 62, "loop": 0}
    if path.suffix == ".gif":
        kind, options["optimize"] = "GIF", True
    else:
        kind, options["quality"] = "WEBP", 40
    return write_atomic(path, lambda tmp: pictures[0].save(tmp, kind, **options))
