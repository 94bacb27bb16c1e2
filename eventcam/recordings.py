"""Event recordings as whole sets: N-MNIST, DVS128 Gesture (with a download that can be resumed), and frames of them.

A set is looked for as in ``common.data``. Recordings have the dtype ``eventcam.events.EVENT``; frames of a whole set
live in one uint8 tensor, kept on disk under a name that contains everything that made them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

from common.data import search_path
from common.io import UserError, console, progress_allowed, write_atomic
from datafiles.files import (
    Damaged,
    alone,
    as_spelled,
    check_source,
    first_writable,
    members,
    read_bytes,
    reading,
    short,
)
from eventcam.events import EVENT
from eventcam.scenes import GESTURES, SIDE, arm_gestures, saccade_digits

import numpy as np
import torch
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    track,
)

NMNIST_TAR = "nmnist-subset.tar.gz"
NMNIST_ARCHIVES = (
    NMNIST_TAR,
    "nmnist-subset.tar",
    "nmnist-subset.zip",
    "NMNIST.zip",
    "N-MNIST.zip",
)
NMNIST_TREES = ("NMNIST", "nmnist-subset", "N-MNIST", ".")  # folders that may hold Train/ and Test/
NMNIST_BYTES = 3_000_000_000  # of the complete set, unpacked, and some more
FIGSHARE = "https://api.figshare.com/v2/file/download/"
DVS_PARTS = {"train": True, "test": False}
DVS_TREES = (
    "DVSGesture",
    "DVS128Gesture",
    "DvsGesture",
    ".",
)  # that may hold archives or unpacked folders


@dataclass
class EventData:
    """Recordings of an event camera: the first ``n_train`` are the official training part, the others its test part.

    ``hashes`` name the content of each recording, so that "no test recording was trained on" can be asserted.
    """

    name: str
    stand_in: bool
    classes: tuple[str, ...]
    sensor_size: tuple[int, int, int]
    """width, height, polarities: Tonic's order"""
    recordings: Sequence[np.ndarray]
    y: torch.Tensor
    n_train: int
    hashes: list[str]
    why: str = ""

    @property
    def sizes(self) -> dict[str, int]:
        return {"train": self.n_train, "test": len(self.y) - self.n_train}

    def facts(self) -> dict[str, object]:
        """What metrics.json keeps of a data set."""
        return {"name": self.name, "stand_in": self.stand_in, "sizes": self.sizes}

    def describe(self) -> str:
        """One line for the header."""
        sizes = " / ".join(f"{v:,} {k}" for k, v in self.sizes.items())
        return f"{self.name}: {sizes}" + (f"  [STAND-IN: {self.why}]" if self.stand_in else "")


def content_hash(events: np.ndarray) -> str:
    """SHA-256 of a recording's events."""
    return hashlib.sha256(np.ascontiguousarray(events).tobytes()).hexdigest()


def assert_disjoint(hashes: Sequence[str], train: Iterable[int], test: Iterable[int]) -> None:
    """Stop if a recording of the test part is also one of the training part, under whatever name.

    Raises:
        AssertionError: naming the first pair.
    """
    known = {hashes[i]: i for i in train}
    for i in test:
        if hashes[i] in known:
            raise AssertionError(
                f"recording {i} of the test part is recording {known[hashes[i]]} of the training part"
            )


def five_folds(y: torch.Tensor, folds: int, seed: int) -> torch.Tensor:
    """Fold of each recording ``(N,)``, every class spread evenly over the folds."""
    fold = torch.empty_like(y)
    g, start = torch.Generator().manual_seed(seed), 0
    for k in y.unique():
        of_class = (y == k).nonzero()[:, 0]
        of_class = of_class[torch.randperm(len(of_class), generator=g)]
        fold[of_class] = (torch.arange(len(of_class)) + start) % folds
        # the next class goes on where this one ended, so that folds are of equal size
        start += len(of_class)
    return fold


def inner_split(index: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A tenth of the training recordings becomes the validation part: what is to be chosen is chosen there."""
    index = index[torch.randperm(len(index), generator=torch.Generator().manual_seed(seed))]
    cut = max(1, len(index) // 10)
    return index[cut:], index[:cut]


# ---------------------------------------------------------------------------------------- N-MNIST


def nmnist(
    data_dir: Path | None = None, *, source: str = "auto", n_train: int = 1_000, n_test: int = 100
) -> EventData:
    """N-MNIST: digits on a screen before a moving event camera, 34×34 pixels, three saccades in 300 ms.

    Read from the complete set or from a part of it: ``Train/<digit>/*.bin`` and ``Test/…`` (in any case) as folders
    or as ``Train.zip`` and ``Test.zip``, in the data folder or in one of ``NMNIST_TREES`` below it, or one of
    ``NMNIST_ARCHIVES`` with the same inside; the names in any case, with ``-``, ``_`` or neither. ``tonic.datasets.NMNIST`` refuses a part, so Tonic downloads the
    complete set if there is nothing at all, and Tonic's reader reads the files in each case. The first ``n_train``
    and ``n_test`` recordings by number are taken: classes are mixed there as in MNIST.

    Raises:
        UserError: a file is damaged, or the set cannot be had and ``source`` is ``real``.
    """
    check_source(source)
    why = "--smoke"
    if source != "stand-in":
        try:
            return _read_nmnist(data_dir, n_train, n_test)
        except Damaged as e:
            raise UserError(str(e)) from e
        except OSError as e:
            why = f"N-MNIST is not here and could not be downloaded ({e})"
            if source == "real":
                raise UserError(
                    f"{why}; put it in a folder and name that with --data-dir, or drop --no-stand-in"
                ) from e
    recordings, y = saccade_digits(24, 12)
    return EventData(
        "rendered digits with saccades",
        True,
        tuple("0123456789"),
        (34, 34, 2),
        recordings,
        y,
        24,
        [content_hash(r) for r in recordings],
        why,
    )


def _read_nmnist(data_dir: Path | None, n_train: int, n_test: int) -> EventData:
    roots = search_path(data_dir)
    trees = (*NMNIST_TREES, *NMNIST_ARCHIVES)
    tried = [as_spelled(root, tree) for root in roots for tree in trees]
    for path in tried:
        sources = {p: path if path.is_file() else _part_of(path, p) for p in ("Train", "Test")}
        if all(sources.values()):
            return _nmnist_set(path, sources, n_train, n_test)
    import tonic

    root = first_writable(roots)
    try:
        with alone(root):
            for train in DVS_PARTS.values():
                tonic.datasets.NMNIST(str(root), train=train)
    except Exception as e:  # whatever a server that fails makes of it
        with contextlib.suppress(OSError):  # Tonic makes a folder before it asks; nothing is in it
            (root / "NMNIST").rmdir()
        raise OSError(f"{short(e)}; tried {', '.join(map(str, tried))}") from e
    folder = root / "NMNIST"
    return _nmnist_set(folder, {p: folder / p for p in ("Train", "Test")}, n_train, n_test)


def _part_of(folder: Path, part: str) -> Path | None:
    """The folder or zip of one part, in any case: ``Train``, ``train``, ``Train.zip``."""
    if not folder.is_dir():
        return None
    for path in sorted(folder.iterdir(), key=lambda p: p.suffix):  # a folder before its zip
        if path.name.lower() == part.lower() and path.is_dir():
            return path
        if path.name.lower() == f"{part.lower()}.zip" and path.is_file():
            return path
    return None


def _nmnist_set(found: Path, sources: dict[str, Path], n_train: int, n_test: int) -> EventData:
    """The first recordings by number of each part.

    Raises:
        Damaged: a file is damaged, or a part is empty.
    """
    from tonic.io import read_mnist_file

    recordings, labels, counts = [], [], {}
    wanted = {"Train": n_train, "Test": n_test}
    if sources["Train"] == sources["Test"]:  # one archive, which is read once
        files = _bin_files(found, wanted)
    else:
        files = {p: _bin_files(sources[p], {p: n})[p] for p, n in wanted.items()}
    for part in ("Train", "Test"):
        for _, label, name, content in files[part]:
            if not content or len(content) % 5:
                raise Damaged(
                    f"{found}: {name} has {len(content)} bytes, expected a multiple of 5; get it anew"
                )
            raw = read_mnist_file(io.BytesIO(content), EVENT, is_stream=True)
            if not len(raw) or raw["x"].max() >= 34 or raw["y"].max() >= 34:
                raise Damaged(
                    f"{found}: {name} has an event off the 34×34 sensor, or none; it is damaged, get it anew"
                )
            recordings.append(raw[np.argsort(raw["t"], kind="stable")])
            labels.append(label)
        counts[part] = len(files[part])
        if not counts[part]:
            raise Damaged(f"{found}: got no recording {part}/<digit>/*.bin; get the set anew")
    total = counts["Train"] + counts["Test"]
    return EventData(
        f"N-MNIST ({total:,} recordings)",
        False,
        tuple("0123456789"),
        (34, 34, 2),
        recordings,
        torch.tensor(labels),
        counts["Train"],
        [content_hash(r) for r in recordings],
    )


Recording = tuple[int, int, str, Any]
"""Number, digit, name, and the bytes or the path that they are read from."""


def _bin_files(found: Path, first: dict[str, int]) -> dict[str, list[Recording]]:
    """The first so many recordings of each part by number, from the folder of a part or from an archive.

    Hidden files, as macOS puts them into archives, are no recordings.
    """
    entries: dict[str, list[Recording]] = {part: [] for part in first}

    def place(name: str) -> Recording | None:
        *_, part, digit, file = ("", "", *PurePosixPath(name.replace("\\", "/")).parts)
        stem, part = file.removesuffix(".bin"), part.capitalize()
        if part not in entries or stem == file or not (stem + digit).isdecimal() or len(digit) != 1:
            return None
        return int(stem), int(digit), f"{part}/{digit}/{file}", None

    def keep(where: Recording, content: Any) -> None:
        part = where[2].partition("/")[0]
        insort(entries[part], (*where[:3], content), key=lambda r: r[:3])
        del entries[part][first[part] :]

    if found.is_dir():
        for path in found.glob("*/*.bin"):
            if where := place(path.as_posix()):
                keep(where, path)
        return {p: [(*r[:3], read_bytes(r[3])) for r in several] for p, several in entries.items()}
    for name, content in members(found, total=NMNIST_BYTES, wanted=lambda name: bool(place(name))):
        keep(place(name), content)
    return entries


# ---------------------------------------------------------------------------------------- DVS128 Gesture


def rendered_gestures(
    data_dir: Path | None = None, *, source: str = "auto", per_class: int = 30, n_test: int = 110
) -> EventData:
    """Eleven arm gestures that we draw and pass through our own DVS model: a synthetic set, not DVS128 Gesture.

    It is what it says it is on every machine, so it is no stand-in: no claim about it is a claim about another set.
    """
    recordings, y = arm_gestures(per_class)
    return EventData(
        "rendered gestures (not DVS128 Gesture)",
        False,
        GESTURES,
        (SIDE, SIDE, 2),
        recordings,
        y,
        len(y) - n_test,
        [content_hash(r) for r in recordings],
    )


class _Lazy(Sequence):
    """Recordings read one by one from disk: all of DVS128 Gesture would take 7 GB."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(len(p) for p in self.parts)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]
        import numpy.lib.recfunctions  # noqa: F401  (Tonic uses it without importing it)

        if not 0 <= i < len(self):
            raise IndexError(i)
        part = next(p for p in self.parts if i < len(p) or (i := i - len(p)) < 0)
        try:
            with reading(Path(part.data[i])):
                rows = np.load(part.data[i], mmap_mode="r")  # (N, 4): x, y, polarity, ms
                if rows.ndim != 2 or rows.shape[1] != 4 or not np.isfinite(rows).all():
                    raise ValueError(f"got {rows.shape}, expected finite numbers (N, 4)")
                if rows.min(initial=0) < 0 or rows[:, :2].max(initial=0) >= 128:
                    raise ValueError("an event is off the 128×128 sensor")
                return part[i][0]
        except Damaged as e:
            raise UserError(str(e)) from e


def dvs_gesture(
    data_dir: Path | None = None, *, source: str = "auto", url: str = FIGSHARE
) -> EventData:
    """DVS128 Gesture (Amir et al. 2017): eleven hand and arm gestures, 128×128 pixels, 2.4 GB and 691 MB.

    Tonic's ``DVSGesture`` reads it, from its archives or from their folders unpacked, in one of
    ``DVS_TREES``. Tonic's own address answers with an empty file, so the archives, with the same ids and
    checksums, come through figshare's API.

    Raises:
        UserError: a download went wrong in a way that another run or another file puts right.
    """
    check_source(source)
    why = "--smoke"
    if source != "stand-in":
        try:
            return _read_dvs_gesture(data_dir, url)
        except Damaged as e:
            raise UserError(str(e)) from e
        except OSError as e:
            why = f"DVS128 Gesture is not here and could not be downloaded ({e})"
            if source == "real":
                raise UserError(
                    f"{why}; put it in a folder and name that with --data-dir, or drop --no-stand-in"
                ) from e
    rendered = rendered_gestures()
    rendered.stand_in, rendered.why = True, why
    return rendered


def _read_dvs_gesture(data_dir: Path | None, url: str) -> EventData:
    from tonic.datasets import DVSGesture

    roots = search_path(data_dir)
    tried = [as_spelled(root, below) for root in roots for below in DVS_TREES]
    folder = next((path for path in tried if any(_is_here(path, part) for part in DVS_PARTS)), None)
    if folder is None:
        folder = first_writable(roots) / "DVSGesture"
    try:
        for part in DVS_PARTS:
            if not _unpacked(folder, part).is_dir():
                with alone(folder):
                    _fetch_gestures(folder, part, url)
    except OSError as e:
        raise OSError(f"{short(e)}; tried {', '.join(map(str, tried))}") from e
    parts = [_gestures(_unpacked(folder, part), train) for part, train in DVS_PARTS.items()]
    if shared := set(parts[0].users) & set(parts[1].users):
        raise UserError(f"{folder}: the users {sorted(shared)} are in both parts; get the set anew")
    hashes = [hashlib.sha256(Path(f).read_bytes()).hexdigest() for p in parts for f in p.data]
    y = torch.tensor([t for p in parts for t in p.targets])
    return EventData(
        "DVS128 Gesture",
        False,
        tuple(DVSGesture.classes),
        (128, 128, 2),
        _Lazy(parts),
        y,
        len(parts[0]),
        hashes,
    )


def _gestures(folder: Path, train: bool) -> Any:
    """Tonic's reader of one unpacked part, without its archive (for want of which it would download 2.4 GB).

    Hidden files are no recordings. The order is by name: the same on each machine.
    """
    from tonic.datasets import DVSGesture

    class Unpacked(DVSGesture):
        def _check_exists(self) -> bool:
            self.folder_name = "."  # Tonic's own walk stumbles over hidden files
            self.location_on_system = os.devnull
            return True

    part = Unpacked("", train=train)
    names = re.compile(r"user(\d+)_[^/]*/(\d+)\.npy")
    for path in sorted(folder.glob("*/*.npy"), key=Path.as_posix):
        if match := names.fullmatch(path.relative_to(folder).as_posix()):
            part.data.append(str(path))
            part.users.append(int(match[1]))
            part.targets.append(int(match[2]))
    if not part.data:
        raise UserError(f"{folder}: got no recording user*/<class>.npy; get the set anew")
    return part


def _names(part: str) -> tuple[str, str]:
    """Archive and unpacked folder of one part, as Tonic calls them."""
    from tonic.datasets import DVSGesture

    archive = getattr(DVSGesture, f"{part}_filename")
    return archive, archive.removesuffix(".tar.gz")


def _unpacked(folder: Path, part: str) -> Path:
    return folder / _names(part)[1]


def _is_here(folder: Path, part: str) -> bool:
    archive, unpacked = _names(part)
    return (folder / unpacked).is_dir() or (folder / archive).is_file()


def _fetch_gestures(folder: Path, part: str, url: str) -> None:
    """Have the unpacked folder of one part, whole or not at all; its archive is fetched if it is not there."""
    from tonic.datasets import DVSGesture

    name, unpacked = folder / _names(part)[0], _unpacked(folder, part)
    md5, address = (getattr(DVSGesture, f"{part}_{k}") for k in ("md5", "url"))
    if unpacked.is_dir():  # by another process, meanwhile
        return
    if not name.is_file():
        download(url + address.rsplit("/", 1)[1], name, md5)
    elif (digest := md5_of(name)) != md5:  # put there by hand
        raise UserError(
            f"{name} is damaged (MD5 {digest[:8]}…, expected {md5[:8]}…); delete it and run again"
        )
    console.print(f"unpacking {name.name}, once", markup=False)
    half = folder / f".{unpacked.name}.unpacking"
    shutil.rmtree(half, ignore_errors=True)
    with reading(name), tarfile.open(name) as tar:
        tar.extractall(half, filter="data")
    os.replace(half / unpacked.name if (half / unpacked.name).is_dir() else half, unpacked)
    shutil.rmtree(half, ignore_errors=True)


def md5_of(path: Path) -> str:
    """MD5 of a file of any size."""
    digest = hashlib.md5()
    with path.open("rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def download(url: str, path: Path, md5: str, *, tries: int = 5, timeout: float = 30.0) -> Path:
    """Fetch ``url`` to ``path``. What has arrived is kept in ``<name>.part``, and the next try goes on behind it.

    Only a file with the right MD5 gets the name ``path``. One with a wrong MD5 is set aside as ``<name>.wrong``.

    Raises:
        UserError: an empty answer, a wrong checksum, or a connection that broke ``tries`` times.
        OSError: the server cannot be reached, and nothing has arrived so far.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    error: Exception | None = None
    for _ in range(tries):
        before = part.stat().st_size if part.is_file() else 0
        try:
            _append(url, part, timeout)
            error = None
            break
        except (
            OSError,
            HTTPException,
        ) as e:  # URLError is an OSError; a cut body is HTTPException or ours
            error = e
            if not part.is_file() or part.stat().st_size == before == 0:
                break  # nobody there: more tries would only take time
    size = part.stat().st_size if part.is_file() else 0
    if error is not None:
        if not size:
            part.unlink(missing_ok=True)
            raise OSError(f"{path.name}: {short(error)}") from error
        raise UserError(
            f"{path.name}: the connection broke after {size:,} bytes ({short(error)}); run again: what "
            f"arrived is kept in {part.name}, and the download goes on from there"
        ) from error
    if not size:
        part.unlink(missing_ok=True)
        raise UserError(
            f"{path.name}: the server answered with an empty file; try again later, or put the file with "
            f"MD5 {md5} into {path.parent} by hand"
        )
    if (digest := md5_of(part)) != md5:
        wrong = path.with_name(path.name + ".wrong")
        os.replace(part, wrong)
        raise UserError(
            f"{path.name}: got MD5 {digest[:8]}…, expected {md5[:8]}…; it was set aside as "
            f"{wrong.name}; run again to fetch it anew"
        )
    os.replace(part, path)
    return path


def _append(url: str, part: Path, timeout: float) -> None:
    """One connection: ask for what is missing, append it.

    Raises:
        OSError, HTTPException: the connection broke, or ended before the length that was promised.
    """
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(
        url,
        headers={"Range": f"bytes={have}-", "User-Agent": "python"}
        if have
        else {"User-Agent": "python"},
    )
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as e:
        if (
            e.code == 416 and have
        ):  # nothing lies behind what we have: it is complete, or too long; MD5 tells
            return
        raise
    with answer:
        if answer.status != 206:  # the server knows no ranges: from the beginning
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("r+b" if have else "wb") as f, _progress(part.stem, total, have) as tick:
            f.seek(have)
            while block := answer.read(1 << 16):
                f.write(block)
                tick(len(block))
            f.truncate()
            if total is not None and f.tell() != total:
                raise OSError(f"got {f.tell():,} of {total:,} bytes")


@contextlib.contextmanager
def _progress(name: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    """A live line in a terminal; otherwise one line every 100 MB."""
    if progress_allowed():
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            transient=True,
            console=console,
        ) as bar:
            task = bar.add_task(name, total=total, completed=done)
            yield lambda n: bar.advance(task, n)
        return
    seen = [done]

    def tick(n: int) -> None:
        if (seen[0] + n) // 100_000_000 > seen[0] // 100_000_000:
            console.print(
                f"download  {name}: {(seen[0] + n) / 1e6:,.0f} MB of {(total or 0) / 1e6:,.0f}",
                markup=False,
            )
        seen[0] += n

    yield tick


# ---------------------------------------------------------------------------------------- frames of a whole set


@dataclass
class Frames:
    """All frames of a set one after the other, ``(ΣT, 2, H, W)`` uint8: no padding; ``lengths (N,)`` cut them apart."""

    frames: torch.Tensor
    lengths: torch.Tensor
    events: torch.Tensor
    """events of each recording before the transforms ``(N,)``"""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, i: int) -> torch.Tensor:
        end = int(self.lengths[: i + 1].sum())
        return self.frames[end - int(self.lengths[i]) : end]  # (T, 2, H, W)

    def padded(self, num_frames: int | None = None) -> torch.Tensor:
        """``(N, T, 2, H, W)``, T of the longest recording (or as given: longer ones are cut), zeros behind its end."""
        T = num_frames or int(self.lengths.max())
        out = self.frames.new_zeros(len(self), T, *self.frames.shape[1:])
        for i, one in enumerate(self.frames.split(self.lengths.tolist())):
            out[i, : len(one)] = one[:T]
        return out


def make_frames(
    data: EventData, transforms: Sequence[Callable], folder: Path | None = None
) -> Frames:
    """Apply Tonic's ``transforms``, the last of which makes frames, to every recording of ``data``; counts stop at 255.

    Args:
        folder: where the result is kept. Its file is named by a hash of the transforms with all their parameters and
            of every recording's content: another parameter is another file. It is written whole or not at all, and
            read back only if its length and its CRC are right; otherwise it is made anew.
    """
    key = hashlib.sha256(
        "\n".join(["1", *map(repr, transforms), *data.hashes]).encode()
    ).hexdigest()[:20]
    path = None if folder is None else folder / f"frames-{key}.safetensors"
    if path is not None and (kept := read_frames(path)) is not None:
        return kept
    several, events = [], []
    for i in track(
        range(len(data.recordings)),
        f"frames of {data.name}",
        console=console,
        transient=True,
        disable=not progress_allowed(),
    ):
        out = data.recordings[i]
        events.append(len(out))
        for transform in transforms:
            out = transform(out)
        several.append(torch.from_numpy(np.minimum(out, 255).astype(np.uint8)))  # (T, 2, H, W)
    made = Frames(torch.cat(several), torch.tensor([len(s) for s in several]), torch.tensor(events))
    if path is not None:
        with contextlib.suppress(UserError):  # a disk that is full costs the cache, not the lesson
            write_frames(path, made)
    return made


def write_frames(path: Path, frames: Frames) -> Path:
    """Keep ``frames`` in ``path``, whole or not at all."""
    from safetensors.torch import save_file

    parts = {k: v.contiguous() for k, v in vars(frames).items()}
    crc = _crc(frames)
    return write_atomic(path, lambda tmp: save_file(parts, tmp, metadata={"crc": crc}))


def read_frames(path: Path) -> Frames | None:
    """What ``write_frames`` kept; None if it is missing, cut off or damaged, or its shapes do not fit each other."""
    from safetensors import safe_open

    with contextlib.suppress(Exception):  # safetensors raises its own error, OSError, KeyError …
        with safe_open(path, "pt") as f:
            frames = Frames(*(f.get_tensor(k) for k in ("frames", "lengths", "events")))
            whole = int(frames.lengths.sum()) == len(frames.frames)
            if whole and f.metadata()["crc"] == _crc(frames):
                return frames
    return None


def _crc(frames: Frames) -> str:
    """Of content, shapes and types: a header that is damaged gives the same bytes another meaning."""
    crc = 0
    for tensor in (frames.frames, frames.lengths, frames.events):
        crc = zlib.crc32(f"{tuple(tensor.shape)} {tensor.dtype}".encode(), crc)
        crc = zlib.crc32(tensor.contiguous().numpy(), crc)
    return str(crc)
