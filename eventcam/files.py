"""Reading event files for lesson 04: HDF5, text and AEDAT-2.0, as v2e and other tools write them.

An event file seldom says all that is needed to read it: the sensor's size, the unit of its times, the order of its
columns. What a file does not say is asked for or refused here, never guessed. A number is checked before it is cast,
and a record that is left out is counted.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.io import UserError
from eventcam.events import EVENT, event_array

import numpy as np

MOST_EVENTS = 50_000_000
"""Events in a file at most: reading them takes up to 4 GB. What claims more is refused before memory is taken."""
MOST_BYTES = 2_000_000_000
"""Bytes of a file that is read whole, as text and AEDAT are."""
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
    four data sets or fields t, x, y, p in ``events``, in ``CD/events`` or at the top. Text: a line ``t x y polarity``
    an event, t in seconds, with v2e's fifth column (signal or noise) or without; or any order and unit of time that
    a first line gives the names of, such as ``x y p t_us``. AEDAT-2.0: the layouts of ``SENSORS``.

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
        if readers[kind] is not _read_h5 and path.stat().st_size > MOST_BYTES:
            raise _Unreadable(f"has {path.stat().st_size:,} bytes, at most {MOST_BYTES:,} are read")
        return readers[kind](path, sensor)
    except _Unreadable as e:
        raise UserError(f"{path.name}: {e}") from None
    except PermissionError as e:
        raise UserError(f"{path} cannot be read: {e.strerror or e}; change its mode") from e
    except Exception as e:  # a foreign file has more ways to fail than a list of types could name
        said = " ".join(str(e).split())[:120] or type(e).__name__
        raise UserError(f"{path.name} is damaged or no event file: {said}") from e


def _columns(
    t: Any, x: Any, y: Any, p: Any, size: tuple[int, int] | None = None, named: bool = True
) -> tuple[np.ndarray, list[str]]:
    """Four columns of numbers → events and notes. ``t`` in µs. Everything is checked before it is cast.

    Args:
        named: it is sure which column is which. If it is not, times out of order are a reason to doubt it.
    """
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
        return np.empty(0, EVENT), []
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
    t, turns = _run_on(t)
    notes = [f"its clock went round {turns} times; the times run on"] if turns else []
    if back := int((np.diff(t) < 0).sum()):
        if not named and any(_rises(column) for column in (x, y)):
            raise _Unreadable(
                f"its first column goes back {back:,} times and another one never does (are the columns t x y p?); "
                "write t, x, y and p as four data sets of these names"
            )
        notes.append(f"its times go back {back:,} times; the events were put in order")
    return event_array(x, y, t, p == 1), notes


def _rises(column: np.ndarray) -> bool:
    return bool((np.diff(column) >= 0).all() and column[-1] > column[0])


def _run_on(t: np.ndarray) -> tuple[np.ndarray, int]:
    """Times made to run on where their clock goes round, and how often it did.

    A clock of 32 bits goes round after 71.6 minutes, one of 16 after 66 ms. It is told by the type of the numbers, or,
    where they were kept as longer ones, by a fall of more than half its range and no other. An event that comes late
    belongs to the turn before.
    """
    kept_longer = t.dtype.kind not in "iu" or t.dtype.itemsize == 8
    bits = 32 if kept_longer else 8 * t.dtype.itemsize
    t = t.astype(np.int64)
    step = np.diff(t, prepend=t[:1])
    falls = step < -(2 ** (bits - 1))
    if t.max() - t.min() >= 2**bits or kept_longer and (step < 0).sum() > falls.sum():
        return t, 0
    turns = np.cumsum(falls.astype(np.int64) - (step > 2**bits - 2 ** (bits - 6)))
    turns -= np.minimum.accumulate(np.minimum(turns, 0))
    return t + turns * 2**bits, int(turns.max())


# -------------------------------------------------------------------- names of columns

NAMES = {
    "t": ("t", "ts", "timestamp", "timestamps", "time", "times"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "polarities"),
}
UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0, "µs": 1.0, "ns": 1e-3}
UNITS |= {"seconds": 1e6, "milliseconds": 1e3, "microseconds": 1.0, "nanoseconds": 1e-3, "sec": 1e6}
"""Microseconds in a unit, by its names."""
IN_TEXT = "t, x, y and p in a line of names, such as t_us x y p"
IN_HDF5 = "an array 'events' (N, 4) or t, x, y and p"


def _meaning(name: str) -> tuple[str, float | None]:
    """What a column called ``name`` holds: t, x, y, p or nothing; and µs in its unit of time, if the name says it."""
    words = re.findall(r"[a-zµ]+", name.lower().replace("μ", "µ"))
    unit = UNITS[words.pop()] if len(words) == 2 and words[1] in UNITS else None
    for column, names in NAMES.items():
        if len(words) == 1 and words[0] in names and (unit is None or column == "t"):
            return column, unit
    return "", None


def _arranged(
    found: Iterable[str], where: str, expected: str
) -> tuple[dict[str, str], float | None]:
    """Which of the names ``found`` stands for t, x, y and p, and µs in the unit of t, if its name says it."""
    found = list(found)
    columns: dict[str, str] = {}
    unit = None
    for name in found:
        column, of_name = _meaning(name)
        if column in columns:
            raise _Unreadable(f"{where} holds {columns[column]} and {name}; which is {column}?")
        if column:
            columns[column], unit = name, unit or of_name
    if len(columns) < 4:
        there = ", ".join(sorted(found)[:8]) or "nothing"
        raise _Unreadable(f"{where} holds {there}; expected {expected}")
    return columns, unit


# -------------------------------------------------------------------- HDF5


def _read_h5(path: Path, sensor: str) -> EventFile:
    import h5py

    with h5py.File(path, "r") as file:
        place = next((name for name in ("events", "CD/events") if name in file), "/")
        found = file[place]
        names, unit = None, None
        if isinstance(found, h5py.Group) or found.dtype.names:
            several = found.dtype.names if isinstance(found, h5py.Dataset) else found
            names, unit = _arranged(several, f"'{place}'", IN_HDF5)
            t, x, y, p = (_h5_column(found, names[column]) for column in "txyp")
            if isinstance(found, h5py.Group):
                unit = _h5_unit(found[names["t"]], unit)
        else:
            t, x, y, p = _h5_table(found)
        begin = file.get("t_offset")  # DSEC's: the time at which its own times begin, in µs
        begin = 0 if begin is None else int(begin[()])
    if t.dtype.kind == "f" and not np.isfinite(t).all():
        raise _Unreadable("t holds a value that is no number")
    if t.dtype.kind not in "iuf" or t.dtype.kind == "f" and not unit:
        raise _Unreadable(
            f"times of type {t.dtype}, and nothing says their unit; expected whole microseconds"
        )
    if unit and unit != 1:
        t = np.rint(t * unit)
    size = (SENSORS[sensor].width, SENSORS[sensor].height) if sensor else None
    events, notes = _columns(t, x, y, p, size, named=bool(names))
    if begin and abs(begin) < LATEST_US:
        events["t"] += begin
    return EventFile(events, size, tuple(notes))


def _fits(length: int) -> None:
    if length > MOST_EVENTS:
        raise _Unreadable(f"claims {length:,} events, at most {MOST_EVENTS:,} are read")


def _h5_numbers(dataset: Any, dtype: np.dtype, dims: int) -> None:
    """Refuse what is no column, or table, of numbers, and what cannot be unpacked, before memory is taken."""
    import h5py

    if dataset.shape is None or len(dataset.shape) != dims or dtype.kind not in "iufb":
        raise _Unreadable(f"'{dataset.name}' is no {('column', 'table')[dims - 1]} of numbers")
    _fits(dataset.shape[0])
    plan = dataset.id.get_create_plist()
    for i in range(plan.get_nfilters()):
        code, _, _, name = plan.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            raise _Unreadable(
                f"'{dataset.name}' is compressed with {name.decode(errors='replace')}, which is not installed here; "
                "write it with gzip, or without"
            )


def _h5_table(table: Any) -> Iterable[np.ndarray]:
    """A data set (N, 4)."""
    if table.shape is None or not table.shape:
        raise _Unreadable("'events' holds no table")
    if len(table.shape) != 2 or table.shape[1] != 4:
        raise _Unreadable(f"'events' has the shape {table.shape}, expected (N, 4)")
    _h5_numbers(table, table.dtype, 2)
    return table[:].T


def _h5_column(found: Any, name: str) -> np.ndarray:
    """A data set of a group, or a field of a data set."""
    import h5py

    column = found if isinstance(found, h5py.Dataset) else found[name]
    if not isinstance(column, h5py.Dataset):
        raise _Unreadable(f"'{column.name}' is no column of numbers")
    if column is found:
        _h5_numbers(found, found.dtype[name], 1)
        return found[name]
    _h5_numbers(column, column.dtype, 1)
    return column[:]


def _h5_unit(t: Any, by_name: float | None) -> float | None:
    """µs in the unit of the times: by an attribute ``unit`` or by the name, which must agree."""
    for key in t.attrs:
        if key.lower() in ("unit", "units"):
            said = t.attrs[key]
            said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            unit = UNITS.get(said.strip().lower().replace("μ", "µ"))
            if unit is None or by_name not in (None, unit):
                raise _Unreadable(f"the unit of t is '{said}', expected one of {', '.join(UNITS)}")
            return unit
    return by_name


# -------------------------------------------------------------------- text

MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def _read_text(path: Path, sensor: str) -> EventFile:
    raw = path.read_bytes()
    # Numbers are ASCII. A comment may be in any encoding: Latin-1 gives every byte some letter.
    encoding = next((code for mark, code in MARKS.items() if raw.startswith(mark)), "latin-1")
    text = raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    if binary := re.search(r"[\x00-\x08\x0e-\x1f]", text[:10_000]) or re.search("\0", text):
        raise _Unreadable(
            f"byte {ord(binary[0])} stands at {binary.start():,}: this is no text, or UTF-16 without its mark; save it "
            "as UTF-8"
        )
    _fits(text.count("\n"))
    size = (SENSORS[sensor].width, SENSORS[sensor].height) if sensor else None
    heading = _heading(text)
    if not heading.first:
        return EventFile(np.empty(0, EVENT), size)
    text = text[heading.length :]
    if re.search(r"\d,\d", heading.first) and re.search(r"[;\t]|\d,? +[-+.\d]", heading.first):
        text = re.sub(
            r"(?<=\d),(?=\d)", ".", text
        )  # a decimal comma: something else parts the columns
    text = re.sub(r"(?m)^\s*%.*$", "", re.sub(r"[,;\t\"]", " ", text))
    try:
        rows = np.loadtxt(io.StringIO(text), comments="#", ndmin=2)
    except ValueError as e:
        raise _Unreadable(_bad_line(text)) from e
    if heading.columns and heading.count != rows.shape[1]:
        raise _Unreadable(f"{heading.count} names above {rows.shape[1]} columns, expected as many")
    if not heading.columns and rows.shape[1] not in (4, 5):
        raise _Unreadable(f"{rows.shape[1]} columns, expected t x y polarity, and perhaps a label")
    if not heading.columns and not np.isin(rows[:, 4:], (-1, 0, 1)).all():
        raise _Unreadable("its fifth column holds more than v2e's label, which is 0 or 1")
    t, x, y, p = (rows[:, i] for i in heading.columns or range(4))
    unit = heading.unit
    if unit is None:
        in_order = heading.columns or (0,)
        fields = rf"(?m)^\s*(?:\S+\s+){{{in_order[0]}}}"
        seconds = re.search(fields + r"[-+]?(\d*\.\d*|\d+[eE])", text)
        whole = np.array_equal(t, np.rint(t)) and np.isfinite(t).all()
        if not seconds or t.any() and whole:
            raise _Unreadable(
                "times without a decimal point, or with nothing behind it, and nothing says their unit; expected "
                f"seconds, as 0.000125, or {IN_TEXT}"
            )
        unit = UNITS["s"]
    events, notes = _columns(np.rint(t * unit), x, y, p, size)
    return EventFile(events, size or heading.size, tuple(notes))


@dataclass
class _Heading:
    """What stands above the events of a text."""

    length: int = 0
    first: str = ""
    """the first line of numbers; empty if there is none"""
    columns: tuple[int, ...] = ()
    """where t, x, y and p stand, if the columns have names"""
    count: int = 0
    unit: float | None = None
    size: tuple[int, int] | None = None
    """some tools write the sensor's width and height above the events"""


def _heading(text: str) -> _Heading:
    found = _Heading()
    while found.length < len(text):
        end = text.find("\n", found.length) + 1 or len(text)
        line = text[found.length : end].strip()
        bare = line.lstrip("#%! ").rstrip()
        names = [
            cell.strip('" ')
            for cell in re.split(r"[,;\t]" if re.search(r"[,;\t]", bare) else r"\s+", bare)
        ]
        is_comment = line[:1] in ("#", "%") or not line
        if is_comment:
            if {"t", "x", "y", "p"} <= {_meaning(name)[0] for name in names}:
                _take_names(found, names)
            if re.search(r"\btime \(float s\)", line):  # v2e's own words
                found.unit = found.unit or UNITS["s"]
        elif re.fullmatch(r"\d+\s+\d+", line) and not found.size:
            width, height = map(int, line.split())
            found.size = (width, height)
        elif re.match(r"[\"\s]*[-+.]?[\d.]|[-+]?(nan|inf)", line.lower()):
            found.first = line
            return found
        else:
            _take_names(found, names)
        found.length = end
    return found


def _take_names(found: _Heading, names: list[str]) -> None:
    columns, unit = _arranged(names, "its first line", IN_TEXT)
    found.columns = tuple(names.index(columns[column]) for column in "txyp")
    found.count, found.unit = len(names), unit


def _bad_line(text: str) -> str:
    """What is wrong with the first line that is not like the others."""
    expected = 0
    for line in text.split("\n"):
        cells = line.partition("#")[0].split()
        if not cells:
            continue
        expected = expected or len(cells)
        if len(cells) != expected or not all(map(_is_number, cells)):
            break
    shown = " ".join(line.split())[:60]
    return f"got a line {shown!r}, expected numbers t x y polarity, as many in each line"


def _is_number(cell: str) -> bool:
    try:
        return "_" not in cell and float(cell) is not None
    except ValueError:
        return False


# -------------------------------------------------------------------- AEDAT-2.0


def _read_aedat2(path: Path, sensor: str) -> EventFile:
    """Header lines that start with #, then pairs of 32-bit big-endian words: address and time in µs."""
    raw = path.read_bytes()
    if not re.match(rb"#!AER-DAT2\.0\s*\n|#!AER-DAT2\.0$", raw):
        version = re.match(rb"#!AER-DAT([\d.]+)\s", raw)
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
    t, notes = words[:, 1].astype(np.uint32), []
    address = words[:, 0].astype(np.int64)
    skipped = address & layout.not_a_pixel != 0
    special = ~skipped & (address & layout.special != 0)
    if "v2e" in header:
        if special.any():
            notes.append(f"{special.sum():,} events carry v2e's label of noise; they are kept")
    else:
        skipped |= special
    if len(t) and skipped.all():
        raise _Unreadable(
            f"none of its {len(t):,} records is an event of a pixel; is --sensor right?"
        )
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
    events, more = _columns(t, x, y, on, size)
    return EventFile(events, size, (*notes, *more))


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
    line = re.search(r"(?i)aechip:[ \t]*(\S+)", header)
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
