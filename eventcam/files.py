"""Reading files for lesson 04: what v2e writes (HDF5, text, AEDAT-2.0), and video."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from common.io import UserError
from eventcam.events import EVENT, event_array

import numpy as np


@dataclass(frozen=True)
class Sensor:
    """How jAER packs an address: shifts of x, y and polarity, and which raw bit means ON; ``skip``: not a pixel."""

    width: int
    height: int
    x: int
    y: int
    p: int
    on: int
    skip: int


# jAER counts x from the right (its extractors mirror it) and y from the bottom. The DVS128 sends 0 for ON
SENSORS = {
    "davis346": Sensor(346, 260, 12, 22, 11, 1, 1 << 31 | 1 << 10),
    "davis240": Sensor(240, 180, 12, 22, 11, 1, 1 << 31 | 1 << 10),
    "dvs640": Sensor(640, 480, 1, 11, 0, 1, 1 << 31),
    "dvs128": Sensor(128, 128, 1, 8, 0, 0, 1 << 31 | 1 << 15),
}


def read_events(path: Path, sensor: str = "") -> np.ndarray:
    """Read a file that v2e wrote: ``.h5`` (``--dvs_h5``), ``.txt`` (``--dvs_text``), ``.aedat`` (``--dvs_aedat2``).

    Args:
        sensor: of an AEDAT-2.0 file, a key of ``SENSORS``; by default what the header's AEChip says, else davis346.

    Raises:
        UserError: the file is missing, damaged, or of another kind.
    """
    readers = {
        ".h5": _read_h5,
        ".hdf5": _read_h5,
        ".txt": _read_text,
        ".aedat": lambda f: _read_aedat2(f, sensor),
        ".aedat2": lambda f: _read_aedat2(f, sensor),
    }
    if path.suffix.lower() not in readers:
        raise UserError(f"got {path.name}, allowed are files that end in {', '.join(readers)}")
    if not path.is_file():
        raise UserError(f"got {path}, which is no file")
    try:
        return readers[path.suffix.lower()](path)
    except (OSError, ValueError, KeyError, IndexError, UnicodeDecodeError) as e:
        raise UserError(
            f"{path.name} is damaged or no file of v2e: {' '.join(str(e).split())[:120]}"
        ) from e


def _rows(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    if len(t) and (
        not np.all(np.isin(p, (0, 1))) or max(x.max(), y.max()) > 32767 or min(x.min(), y.min()) < 0
    ):
        raise ValueError("an address or a polarity is out of range")
    return event_array(x, y, t, p == 1)


def _read_h5(path: Path) -> np.ndarray:
    """Data set ``events`` (N, 4) of uint32: t in µs, x, y, polarity 0/1."""
    import h5py

    with h5py.File(path, "r") as f:
        rows = f["events"][:]
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"'events' has the shape {rows.shape}, expected (N, 4)")
    return _rows(*rows.astype(np.int64).T)


def _read_text(path: Path) -> np.ndarray:
    """Lines ``t x y p`` with t in seconds and p 0/1; a fifth column (signal or noise) is left out; # comments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file with no events is no fault
        rows = np.loadtxt(path, comments="#", ndmin=2, encoding="utf-8")
    if not len(rows):
        return np.empty(0, EVENT)
    t, x, y, p = rows[:, :4].T
    return _rows(np.rint(t * 1e6), x, y, p)


def _read_aedat2(path: Path, sensor: str) -> np.ndarray:
    """Header lines that start with #, then pairs of 32-bit big-endian words: address and time in µs."""
    raw, at = path.read_bytes(), 0
    if not raw.startswith(b"#!AER-DAT2.0"):
        raise ValueError("the first line is not #!AER-DAT2.0")
    while raw[at : at + 1] == b"#":
        at = raw.index(b"\n", at) + 1
    chip = raw[:at].decode("utf-8", "replace").lower().partition("aechip:")[2].partition("\n")[0]
    s = SENSORS[sensor or next((name for name in SENSORS if name in chip), "davis346")]
    if (len(raw) - at) % 8:
        raise ValueError(f"{(len(raw) - at) % 8} bytes are left over at its end: it was cut off")
    address, t = np.frombuffer(raw, ">u4", offset=at).astype(np.int64).reshape(-1, 2).T
    pixel = address & s.skip == 0  # frames, inertial and external events share the file
    address, t = address[pixel], t[pixel]
    bits = (s.width - 1).bit_length(), (s.height - 1).bit_length()
    x, y = ((address >> shift) & ((1 << b) - 1) for shift, b in zip((s.x, s.y), bits, strict=True))
    return _rows(
        t, s.width - 1 - x, s.height - 1 - y, (address >> s.p & 1 == s.on).astype(np.int64)
    )


def read_video(path: Path, max_frames: int, max_width: int = 346) -> tuple[np.ndarray, np.ndarray]:
    """The first frames of a video or GIF as grey levels ``(T, H, W)`` uint8, and their times (µs) from its own clock.

    Raises:
        UserError: the file is missing, empty, broken, or no video; or PyAV is not installed.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise UserError(f"--video: got {path}, which is {'empty' if path.is_file() else 'no file'}")
    try:
        import av
    except ImportError as e:
        raise UserError("--video needs PyAV to decode video: pip install av") from e
    frames, times = [], []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                w = min(frame.width, max_width)
                grey = frame.reformat(
                    w, max(1, round(frame.height * w / frame.width)), format="gray"
                )
                frames.append(grey.to_ndarray())
                times.append(frame.time)
                if len(frames) == max_frames:
                    break
            rate = float(container.streams.video[0].average_rate or 30)
    except (av.error.FFmpegError, IndexError, OSError, ValueError) as e:
        raise UserError(f"--video: {path.name} is broken or no video ({type(e).__name__})") from e
    if not frames:
        raise UserError(f"--video: {path.name} holds no frame")
    t = (
        np.arange(len(frames)) / rate
        if None in times
        else np.asarray(times, dtype=float) - times[0]
    )
    if np.any(np.diff(t) < 1e-6):  # a container without a clock of its own
        t = np.arange(len(frames)) / rate
    return np.stack(frames), np.rint(1e6 * t).astype(np.int64)
