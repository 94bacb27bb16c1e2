"""Reading event files for lesson 04: HDF5, text and AEDAT-2.0, as v2e and other tools write them.

An event file seldom says all that is needed to read it: the sensor's size, the unit of its times, the order of its
columns. What a file does not say is asked for or refused here, never guessed. A number is checked before it is cast,
and a record that is left out is counted.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.io import UserError
from eventcam.events import EVENT, event_array

import numpy as np

MOST_EVENTS = 200_000_000
"""Events in a file at most: they take 2.6 GB. A file that claims more is refused before memory is taken."""
LATEST_US = 2**53
"""Times below this (µs; 285 years) are whole numbers in double precision too."""


@dataclass(frozen=True)
class Sensor:
    """How jAER packs an address: shifts of x, y and polarity, and which raw bit means ON."""

    width: int
    height: int
    x: int
    y: int
    p: int
    on: int
    not_a_pixel: int
    """bits that mark a sample of a frame or of the inertial sensor"""
    special: int = 0
    """bit of an event from outside; v2e marks noise with it (``--label_signal_noise``)"""
    names: tuple[str, ...] = ()
    """what a header's AEChip line calls the sensor, in lower case"""

    @property
    def used(self) -> int:
        """All bits that an event of a pixel may set."""
        across = (1 << (self.width - 1).bit_length()) - 1
        down = (1 << (self.height - 1).bit_length()) - 1
        return across << self.x | down << self.y | 1 << self.p | self.special


# jAER counts x from the right (its extractors mirror it) and y from the bottom. The DVS128 sends 0 for ON
SENSORS = {
    "davis346": Sensor(346, 260, 12, 22, 11, 1, 1 << 31, 1 << 10, ("davis346",)),
    "davis240": Sensor(240, 180, 12, 22, 11, 1, 1 << 31, 1 << 10, ("davis240", "sbret10", "sbret20")),
    "dvs640": Sensor(640, 480, 1, 11, 0, 1, 1 << 31, 0, ("dvs640", "dvxplorer")),
    "dvs128": Sensor(128, 128, 1, 8, 0, 0, 1 << 31, 1 << 15, ("dvs128",)),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class EventFile:
    """What a file held."""

    events: np.ndarray
    """dtype ``EVENT``, in order of time"""
    size: tuple[int, int] | None
    """width and height of the sensor in pixels; None if the file does not say"""
    notes: tuple[str, ...] = ()
    """one line each on what was left out or put right"""


class _Unreadable(Exception):
    """What is wrong with a file, in words; ``read_events`` puts its name in front."""


def read_events(path: Path, sensor: str = "") -> EventFile:
    """Read an event file, by the end of its name: ``.h5``, ``.hdf5``, ``.txt``, ``.csv``, ``.aedat`` or ``.aedat2``.

    HDF5: a data set ``events`` (N, 4) of whole numbers t (µs), x, y, polarity, as v2e's ``--dvs_h5`` writes it; or
    four data sets t, x, y, p in a group ``events`` or at the top. Text: a line ``t x y polarity`` an event, t in
    seconds, with v2e's fifth column (signal or noise) or without. AEDAT-2.0: the layouts of ``SENSORS``.

    Args:
        sensor: a key of ``SENSORS``. An AEDAT-2.0 file needs it unless its header has an AEChip line: v2e writes none.

    Raises:
        UserError: in one line, if the file is missing, damaged, of another kind, or does not say what is needed.
    """
    readers = {
        ".h5": _read_h5,
        ".hdf5": _read_h5,
        ".txt": _read_text,
        ".csv": _read_text,
        ".aedat": _read_aedat2,
        ".aedat2": _read_aedat2,
    }
    kind = path.suffix.lower()
    if kind not in readers:
        raise UserError(f"got {path.name}, allowed are files that end in {', '.join(readers)}")
    if not path.is_file():
        raise UserError(f"got {path}, which is no file")
    if sensor and sensor not in SENSORS:
        raise UserError(f"--sensor: got {sensor}, allowed are {', '.join(SENSORS)}")
    try:
        return readers[kind](path, sensor)
    except _Unreadable as e:
        raise UserError(f"{path.name}: {e}") from None
    except Exception as e:  # a foreign file has more ways to fail than a list of types could name
        said = " ".join(str(e).split())[:120] or type(e).__name__
        raise UserError(f"{path.name} is damaged or no event file: {said}") from e


def _columns(t: Any, x: Any, y: Any, p: Any, size: tuple[int, int] | None = None) -> np.ndarray:
    """Four columns of numbers → events. ``t`` in µs. Everything is checked before it is cast."""
    t, x, y, p = (np.asarray(column) for column in (t, x, y, p))
    if not t.shape == x.shape == y.shape == p.shape or t.ndim != 1:
        raise _Unreadable(
            f"columns of {len(t)}, {len(x)}, {len(y)} and {len(p)} values, expected one length"
        )
    for name, column in (("t", t), ("x", x), ("y", y), ("polarity", p)):
        if column.dtype.kind not in "iufb":
            raise _Unreadable(f"{name} holds {column.dtype}, expected numbers")
        if not np.isfinite(column).all():
            raise _Unreadable(f"{name} holds a value that is no number")
    if not len(t):
        return np.empty(0, EVENT)
    latest = max(abs(float(t.min())), abs(float(t.max())))
    if latest > LATEST_US:
        raise _Unreadable(f"a time of {latest:.3g} µs; is the unit right?")
    for name, column, pixels in (("x", x, size and size[0]), ("y", y, size and size[1])):
        most = (pixels or 32_768) - 1
        if (column != np.floor(column)).any():
            raise _Unreadable(
                f"{name} holds fractions, expected whole pixels (are the columns t x y p?)"
            )
        if column.min() < 0 or column.max() > most:
            found = column.min() if column.min() < 0 else column.max()
            hint = "; is --sensor right?" if pixels else " (are the columns t x y p?)"
            raise _Unreadable(f"an address {name} = {found:.0f}, expected 0 to {most}{hint}")
    signed = (p == -1).any()
    if not np.isin(p, (-1, 1) if signed else (0, 1)).all():
        raise _Unreadable("polarities other than 0 and 1, or −1 and 1 (are the columns t x y p?)")
    return event_array(x, y, t, p == 1)


def _unwrapped(t: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Times from a clock of 32 bits, which goes round after 71.6 minutes, made to run on; and a note if it did."""
    t = t.astype(np.int64)
    turns = np.cumsum(np.diff(t, prepend=t[:1]) < -(2**31))
    if not len(t) or not turns[-1]:
        return t, []
    return t + turns * 2**32, [f"its 32-bit clock went round {turns[-1]} times; the times run on"]


# -------------------------------------------------------------------- HDF5

NAMES = {
    "t": ("t", "ts", "timestamp", "timestamps"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "polarities"),
}


def _read_h5(path: Path, sensor: str) -> EventFile:
    import h5py

    with h5py.File(path, "r") as file:
        found = file.get("events", file)
        if isinstance(found, h5py.Dataset):
            t, x, y, p = _h5_table(found)
        else:
            t, x, y, p = (_h5_column(found, name) for name in NAMES)
    if t.dtype.kind == "f" and not np.isfinite(t).all():
        raise _Unreadable("t holds a value that is no number")
    if t.dtype.kind not in "iu":
        raise _Unreadable(
            f"times of type {t.dtype}, and nothing says their unit; expected whole microseconds"
        )
    notes: list[str] = []
    if t.dtype.itemsize == 4:
        t, notes = _unwrapped(t.astype(np.uint32))
    size = (SENSORS[sensor].width, SENSORS[sensor].height) if sensor else None
    return EventFile(_columns(t, x, y, p, size), size, tuple(notes))


def _fits(length: int) -> None:
    if length > MOST_EVENTS:
        raise _Unreadable(f"claims {length:,} events, at most {MOST_EVENTS:,} are read")


def _h5_table(table: Any) -> Iterable[np.ndarray]:
    """A data set (N, 4), or one whose rows have the fields t, x, y, p."""
    if table.shape is None or not table.shape:
        raise _Unreadable("'events' holds no table")
    _fits(table.shape[0])
    if table.dtype.names:
        rows = table[:]
        fields = {field.lower(): field for field in table.dtype.names}
        return [rows[fields[_one_of(fields, name, "'events'")]] for name in NAMES]
    if len(table.shape) != 2 or table.shape[1] != 4:
        raise _Unreadable(f"'events' has the shape {table.shape}, expected (N, 4)")
    return table[:].T


def _h5_column(group: Any, name: str) -> np.ndarray:
    """One of the four columns of a group, under one of its usual names."""
    keys = {key.lower(): key for key in group}
    column = group[keys[_one_of(keys, name, f"'{group.name}'")]]
    if getattr(column, "shape", None) is None or len(column.shape) != 1:
        raise _Unreadable(f"'{column.name}' is no column of numbers")
    _fits(column.shape[0])
    return column[:]


def _one_of(found: Iterable[str], name: str, where: str) -> str:
    for key in NAMES[name]:
        if key in found:
            return key
    there = ", ".join(sorted(found)[:8]) or "nothing"
    raise _Unreadable(f"{where} holds {there}; expected an array 'events' (N, 4) or t, x, y and p")


# -------------------------------------------------------------------- text

MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def _read_text(path: Path, sensor: str) -> EventFile:
    raw = path.read_bytes()
    # Numbers are ASCII. A comment may be in any encoding: Latin-1 gives every byte some letter.
    encoding = next((code for mark, code in MARKS.items() if raw.startswith(mark)), "latin-1")
    text = raw.decode(encoding)
    _fits(text.count("\n"))
    text = re.sub(r"[,;\t]", " ", text)
    size = (SENSORS[sensor].width, SENSORS[sensor].height) if sensor else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file with no events is no fault
        rows = np.loadtxt(io.StringIO(text), comments="#", ndmin=2)
    if not len(rows):
        return EventFile(np.empty(0, EVENT), size)
    if rows.shape[1] not in (4, 5):
        raise _Unreadable(f"{rows.shape[1]} columns, expected t x y polarity, and perhaps a label")
    seconds = re.search(r"(?m)^\s*[-+]?(\d*\.\d*|\d+[eE])", text)
    if rows[:, 0].any() and not seconds:
        raise _Unreadable(
            "times without a decimal point, and nothing says their unit; expected seconds, as 0.000125"
        )
    t, x, y, p = rows[:, :4].T
    return EventFile(_columns(np.rint(t * 1e6), x, y, p, size), size)


# -------------------------------------------------------------------- AEDAT-2.0


def _read_aedat2(path: Path, sensor: str) -> EventFile:
    """Header lines that start with #, then pairs of 32-bit big-endian words: address and time in µs."""
    raw = path.read_bytes()
    if not raw.startswith(b"#!AER-DAT2.0"):
        version = re.match(rb"#!AER-DAT([\d.]+)", raw)
        said = (
            f"this is AEDAT {version[1].decode()}"
            if version
            else "its first line is not #!AER-DAT2.0"
        )
        raise _Unreadable(f"{said}; only AEDAT-2.0 is read, which jAER and v2e write")
    at = _header_length(raw)
    header = raw[:at].decode("latin-1")
    tick = re.search(r"(?i)timestamps? tick is ([\d.]+ *\w+)", header)
    if tick and tick[1].replace(" ", "").lower() != "1us":
        raise _Unreadable(f"its clock ticks every {tick[1]}, expected 1 us")
    layout = SENSORS[_sensor_of(header, sensor)]
    if (len(raw) - at) % 8:
        raise _Unreadable(f"{(len(raw) - at) % 8} bytes are left over at its end: it was cut off")
    _fits((len(raw) - at) // 8)
    words = np.frombuffer(raw, ">u4", offset=at).reshape(-1, 2)
    t, notes = _unwrapped(words[:, 1])
    address = words[:, 0].astype(np.int64)
    skipped = address & layout.not_a_pixel != 0
    special = ~skipped & (address & layout.special != 0)
    if "v2e" in header:
        if special.any():
            notes.append(f"{special.sum():,} events carry v2e's label of noise; they are kept")
    else:
        skipped |= special
    if skipped.any():
        notes.append(
            f"left out {skipped.sum():,} of {len(t):,} records, which are no events of a pixel"
        )
    address, t = address[~skipped], t[~skipped]
    if (address & ~layout.used).any():
        raise _Unreadable("bits are set that this sensor does not use; is --sensor right?")
    raw_x = _field(address, layout.x, layout.width)
    raw_y = _field(address, layout.y, layout.height)
    on = address >> layout.p & 1 == layout.on
    size = (layout.width, layout.height)
    x, y = layout.width - 1 - raw_x, layout.height - 1 - raw_y
    return EventFile(_columns(t, x, y, on, size), size, tuple(notes))


def _field(address: np.ndarray, shift: int, pixels: int) -> np.ndarray:
    """The bits of an address that can count ``pixels``, from bit ``shift`` on."""
    return address >> shift & (1 << (pixels - 1).bit_length()) - 1


def _header_length(raw: bytes) -> int:
    """Bytes of the header. The first event may begin with the byte of a '#' too, but it is no line of text."""
    at = 0
    while raw[at : at + 1] == b"#":
        end = raw.find(b"\n", at)
        line = raw[at:end]
        if end < 0 or re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", line):
            break
        at = end + 1
        if line.lower().startswith(b"#end of ascii header"):
            break
    if not at:
        raise _Unreadable("its header has no end")
    return at


def _sensor_of(header: str, sensor: str) -> str:
    """The sensor that the header's AEChip line or the flag names."""
    line = re.search(r"(?i)aechip:\s*(\S+)", header)
    allowed = ", ".join(f"{name} ({s.width}×{s.height})" for name, s in SENSORS.items())
    if not line:
        if not sensor:
            raise _Unreadable(
                f"its header names no sensor (AEChip); say which with --sensor: {allowed}"
            )
        return sensor
    chip = line[1].rpartition(".")[2]
    named = [key for key, s in SENSORS.items() if any(n in line[1].lower() for n in s.names)]
    if not named and not sensor:
        raise _Unreadable(
            f"its sensor is a {chip}, which is not known; with --sensor one of {allowed} is taken"
        )
    if named and sensor and named[0] != sensor:
        raise _Unreadable(
            f"its header names a {chip}, but --sensor says {sensor}; leave the flag out"
        )
    return sensor or named[0]
