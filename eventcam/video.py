"""Reading a video or GIF for lesson 04: grey frames and the times at which they were taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.io import UserError, console

import numpy as np

MOST_PIXELS = 40_000_000
"""Pixels of a frame at most, some more than 8K has: a small file can claim a picture that takes all memory."""


def read_video(path: Path, max_frames: int, max_width: int = 346) -> tuple[np.ndarray, np.ndarray]:
    """The first frames of a video or GIF, upright, and their times from its own clock.

    If fewer frames arrive than the file says it holds, as of a download that was cut off, a line says so.

    Args:
        max_frames: frames that are read at most.
        max_width: pixels; a wider video is scaled down, its shape kept.

    Returns:
        Grey levels ``(T, H, W)`` uint8, and times ``(T,)`` in whole microseconds, the first one 0.

    Raises:
        UserError: the file is missing, empty, broken or no video; its frames change their size, are huge or are to
            be shown at a slant; or PyAV is not installed.
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
            stream = _stream_of(container, path)
            for frame in container.decode(stream):
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
                frames.append(_upright(grey, _matrix(frame), path))
                times.append(frame.time)
                if len(frames) == max_frames:
                    break
            rate = float(stream.average_rate or 30)
            claimed = stream.frames or _by_duration(container, stream, rate)
    except UserError:
        raise
    except Exception as e:  # a decoder has more ways to fail than a list of types could name
        raise UserError(f"--video: {path.name} is broken or no video ({type(e).__name__})") from e
    if not frames:
        raise UserError(f"--video: {path.name} holds no frame")
    if len(frames) < min(claimed, max_frames):
        console.print(
            f"   {path.name}: {len(frames)} of {claimed} frames or more can be read; the rest is missing or damaged",
            markup=False,
        )
    return np.stack(frames), _microseconds(times, rate)


def _by_duration(container: Any, stream: Any, rate: float) -> int:
    """How many frames a stream should hold that lasts as long as the file says; 0 if it does not say."""
    if stream.duration and stream.time_base:
        return int(0.95 * float(stream.duration * stream.time_base) * rate)
    if container.duration and len(container.streams) == 1:  # in µs
        return int(0.95 * container.duration / 1e6 * rate)
    return 0


def _stream_of(container: Any, path: Path) -> Any:
    """The first stream of pictures, if it can be decoded: to decode one that cannot would end the process."""
    stream = container.streams.video[0] if container.streams.video else None
    codec = getattr(stream, "codec_context", None)
    if codec is None:
        raise UserError(f"--video: {path.name} is broken or no video (no pictures to decode)")
    if codec.width * codec.height > MOST_PIXELS:
        raise UserError(
            f"--video: {path.name} has frames of {codec.width}×{codec.height} pixels, at most {MOST_PIXELS:,} are "
            "read; make it smaller first"
        )
    return stream


def _matrix(frame: Any) -> tuple[int, int, int, int]:
    """(a, b, c, d): the pixel (x, y) of a frame is shown at (a·x + c·y, b·x + d·y), but for its place."""
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return 1, 0, 0, 1
    m = np.frombuffer(
        bytes(side_data), np.int32
    )  # 3 × 3, of which the last column is for perspective
    return int(m[0]), int(m[1]), int(m[3]), int(m[4])


def _upright(grey: np.ndarray, matrix: tuple[int, int, int, int], path: Path) -> np.ndarray:
    """Turn a frame ``(H, W)`` as a player would: phones store the picture lying or mirrored, and a matrix beside it."""
    a, b, c, d = matrix
    if a and d and not b and not c:
        shown, right, down = grey, a, d
    elif b and c and not a and not d:
        shown, right, down = grey.T, c, b
    else:
        raise UserError(
            f"--video: {path.name} is to be shown at a slant, expected quarter turns; convert it first, which turns it"
        )
    return np.ascontiguousarray(shown[:: 1 if down > 0 else -1, :: 1 if right > 0 else -1])


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
