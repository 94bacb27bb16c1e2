"""Reading a video or GIF for lesson 04: grey frames and the times at which they were taken."""

from __future__ import annotations

from pathlib import Path

from common.io import UserError

import numpy as np


def read_video(path: Path, max_frames: int, max_width: int = 346) -> tuple[np.ndarray, np.ndarray]:
    """The first frames of a video or GIF, upright, and their times from its own clock.

    Args:
        max_frames: frames that are read at most.
        max_width: pixels; a wider video is scaled down, its shape kept.

    Returns:
        Grey levels ``(T, H, W)`` uint8, and times ``(T,)`` in whole microseconds, the first one 0.

    Raises:
        UserError: the file is missing, empty, broken or no video; its frames change their size; or PyAV
            is not installed.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise UserError(f"--video: got {path}, which is {'empty' if path.is_file() else 'no file'}")
    try:
        import av
    except ImportError as e:
        raise UserError("--video needs PyAV to decode video: pip install av") from e
    frames: list[np.ndarray] = []
    times: list[float | None] = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                size = (frame.width, frame.height)
                if not frames:
                    first = size
                if size != first:
                    raise UserError(
                        f"--video: frame {len(frames)} of {path.name} has {size[0]}×{size[1]} pixels, "
                        f"the first has {first[0]}×{first[1]}; convert it to one size first"
                    )
                width = min(frame.width, max_width)
                height = max(1, round(frame.height * width / frame.width))
                grey = frame.reformat(width, height, format="gray").to_ndarray()
                frames.append(_upright(grey, int(frame.rotation)))
                times.append(frame.time)
                if len(frames) == max_frames:
                    break
            rate = float(container.streams.video[0].average_rate or 30)
    except UserError:
        raise
    except Exception as e:  # a decoder has more ways to fail than a list of types could name
        raise UserError(f"--video: {path.name} is broken or no video ({type(e).__name__})") from e
    if not frames:
        raise UserError(f"--video: {path.name} holds no frame")
    return np.stack(frames), _microseconds(times, rate)


def _upright(grey: np.ndarray, rotation: int) -> np.ndarray:
    """Turn a frame ``(H, W)`` as a player would: phones store the picture lying, and the angle beside it."""
    quarters = round(rotation / 90) % 4  # counter-clockwise, like np.rot90
    return np.ascontiguousarray(np.rot90(grey, quarters))


def _microseconds(times: list[float | None], rate: float) -> np.ndarray:
    """Times from 0 on; evenly spaced at ``rate`` frames a second where the file has no clock that goes forward."""
    even = np.arange(len(times)) / rate
    if None in times:
        seconds = even
    else:
        seconds = np.asarray(times, dtype=float) - times[0]
        if np.any(np.diff(seconds) < 1e-6):
            seconds = even
    return np.rint(1e6 * seconds).astype(np.int64)
