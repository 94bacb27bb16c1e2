"""MNIST, Fashion-MNIST and CIFAR-10 from the layouts in which their files are met.

``read`` returns None where a set is not, and raises ``Damaged`` where its files are not what they
should be. No file is read further than its set allows, so none can claim more memory than there is.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath

from datafiles.files import (
    LIMIT,
    Damaged,
    alone,
    as_spelled,
    first_writable,
    letters,
    members,
    read_bytes,
    reading,
    short,
)

import numpy as np

SIZES = {"train": 50_000, "test": 10_000}  # of CIFAR-10
ARRAYS = "cifar10-images.npz"  # pictures of CIFAR-10 that were decoded before

# Paths below a data folder. The first is the one that torchvision downloads into.
LAYOUTS = {
    "MNIST": ("MNIST/raw", "MNIST", "raw", "."),
    "FashionMNIST": ("FashionMNIST/raw", "FashionMNIST", "raw", ".", "FashionMNIST/data/fashion"),
    "CIFAR10": ("cifar-10-batches-py", "cifar-10-python.tar.gz", ARRAYS, ".")
    + ("cifar10/cifar-10-batches-py", "cifar10/cifar-10-python.tar.gz")
    + ("cifar10-images", "cifar10", "cifar10-images.tar"),
}
CLASSES = {
    "MNIST": tuple("0123456789"),
    "FashionMNIST": ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat")
    + ("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    "CIFAR10": ("airplane", "automobile", "bird", "cat", "deer")
    + ("dog", "frog", "horse", "ship", "truck"),
}
# MD5 of the unpacked idx files, as their authors distribute them
CHECKSUMS = {
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "FashionMNIST": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}


@dataclass
class ImageSet:
    """The official two parts of a set: images ``(N, C, H, W)`` uint8, labels ``(N,)`` int64."""

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    stamp: str = ""
    """of pictures that were decoded: which files they were"""


def find(
    key: str, roots: Sequence[Path], cache: Path, keep: Callable[[Path, bytes], object]
) -> ImageSet:
    """The set ``key`` of ``LAYOUTS`` from the first of the folders ``roots`` that holds it.

    A set that is in none of them is downloaded by torchvision, into the first that can be written.

    Args:
        cache: where decoded pictures are kept: later they are taken from there, unless a file of
            the set has changed.
        keep: ``keep(cache, content)`` writes that file.

    Raises:
        Damaged: a file is damaged, incomplete or unreadable.
        OSError: no download either; the message lists the paths that were tried.
    """
    tried = [as_spelled(root, below) for root in roots for below in LAYOUTS[key]]
    for path in tried:
        with reading(path):
            found = read(key, path, cache, keep)
        if found:
            return found
    root = first_writable(roots)
    try:
        from torchvision import datasets

        with alone(root):
            getattr(datasets, key)(root, download=True)
    except Exception as e:  # torchvision raises RuntimeError, URLError and others if a mirror fails
        raise OSError(f"{short(e)}; tried {', '.join(map(str, tried))}") from e
    if found := read(key, root / LAYOUTS[key][0], cache, keep):
        return found
    raise OSError(f"{root / LAYOUTS[key][0]} holds another set")


def read(
    key: str, path: Path, cache: Path, keep: Callable[[Path, bytes], object]
) -> ImageSet | None:
    """The set ``key`` from one file or folder, as ``find`` does; None if it is not there."""
    if key in CHECKSUMS:
        return _idx(key, path)
    if not path.exists():
        return None
    if path.name == ARRAYS:
        return _arrays(path)
    official = {letters(name) for name in LAYOUTS[key][:2]}
    if letters(path.name) in official or (path / "data_batch_1").is_file():
        return _batches(path)
    if path.is_file() or all((path / part / c).is_dir() for part in SIZES for c in CLASSES[key]):
        return _kept(path, cache, keep)
    return None


# -------------------------------------------------------------------- idx files


def _idx(key: str, folder: Path) -> ImageSet | None:
    """An idx set; None if one of its files is missing, or if they are those of another set."""
    arrays = []
    for file, md5 in CHECKSUMS[key].items():
        path = content = digest = None
        for path in _spellings(folder, file):
            content = read_bytes(path)
            digest = hashlib.md5(content).hexdigest()
            if digest == md5:
                break
        if digest is None or _of_another(key, digest):
            return None
        if digest != md5:
            raise Damaged(
                f"{path} is damaged (MD5 {digest[:8]}…, expected {md5[:8]}…); delete this one "
                "file and run again: it is fetched anew, the other files are kept"
            )
        if "images" in file:
            images = np.frombuffer(content, np.uint8, offset=16)  # behind four numbers
            arrays.append(images.reshape(-1, 1, 28, 28).copy())
        else:
            labels = np.frombuffer(content, np.uint8, offset=8)  # behind two numbers
            arrays.append(labels.astype(np.int64))
    return ImageSet(key.replace("FashionMNIST", "Fashion-MNIST"), *arrays)


def _spellings(folder: Path, file: str) -> Iterator[Path]:
    """The file as it is met: plain or ``.gz``, or in a folder of its name, as some tools unpack it.

    Some archives write ``.idx3`` for ``-idx3``.
    """
    for name in (file, file.replace("-idx", ".idx")):
        inside = next((folder / name).glob("*-ubyte"), folder / name)
        for path in (folder / name, folder / f"{name}.gz", inside):
            if path.is_file():
                yield path


def _of_another(key: str, digest: str) -> bool:
    """MNIST and Fashion-MNIST have files of the same names; their checksums tell them apart."""
    others = [files for other, files in CHECKSUMS.items() if other != key]
    return any(digest in files.values() for files in others)


# -------------------------------------------------------------------- CIFAR-10, the official batches


def _batches(path: Path) -> ImageSet:
    """The six official batches, from their folder or from their tar."""
    from torchvision.datasets import CIFAR10

    checksums = dict(CIFAR10.train_list + CIFAR10.test_list)
    if path.is_file():
        contents = {PurePosixPath(name).name: content for name, content in members(path)}
    else:
        here = [name for name in checksums if (path / name).is_file()]
        contents = {name: read_bytes(path / name) for name in here}
    images, labels = [], []
    with reading(path):
        for name, md5 in checksums.items():
            if hashlib.md5(contents.get(name, b"")).hexdigest() != md5:
                raise ValueError(f"{name} is missing or has a wrong MD5")
            # unpickling is safe here: the MD5 says that these are the authors' bytes
            batch = pickle.loads(contents[name], encoding="latin1")
            images.append(batch["data"])  # (10000, 3072)
            labels += batch["labels"]
    x = np.concatenate(images).reshape(-1, 3, 32, 32)
    y = np.array(labels, np.int64)
    n = SIZES["train"]
    return ImageSet("CIFAR-10", x[:n], y[:n], x[n:], y[n:])


# -------------------------------------------------------------------- CIFAR-10 as picture files


def decode(path: Path) -> ImageSet:
    """All pictures of a folder or tar with ``train/<class>/*`` and ``test/<class>/*``, JPEG or PNG.

    JPEG is lossy, so a set that has any is named "CIFAR-10 (JPEG)". The order mixes the classes,
    and is the same on every machine. Hidden files are skipped.

    Raises:
        Damaged: a picture cannot be read, or their number is not that of CIFAR-10.
    """
    if path.is_file():
        found = {PurePosixPath(name).parts[-3:]: content for name, content in members(path)}
        found = {parts: content for parts, content in found.items() if _is_picture(*parts)}
    else:
        found = {file.parts[-3:]: read_bytes(file, 100_000) for file in _picture_files(path)}
    lossless = all(file.lower().endswith(".png") for _, _, file in found)
    arrays = []
    for part, expected in SIZES.items():
        several = sorted(parts for parts in found if parts[0] == part)
        if len(several) != expected:
            raise Damaged(
                f"{path}: got {len(several):,} pictures of the {part} part, expected {expected:,}; "
                "the set is incomplete, get it anew"
            )
        several = [several[i] for i in np.random.default_rng(0).permutation(expected)]
        arrays.append(np.stack([_picture(path, parts, found[parts]) for parts in several]))
        arrays.append(np.array([CLASSES["CIFAR10"].index(c) for _, c, _ in several]))
    name = "CIFAR-10" if lossless else "CIFAR-10 (JPEG)"
    return ImageSet(name, *arrays, stamp=_stamp(path))


def _is_picture(part: str = "", c: str = "", file: str = "") -> bool:
    known = part in SIZES and c in CLASSES["CIFAR10"]
    return known and file[0] != "." and file.lower().endswith((".jpg", ".jpeg", ".png"))


def _picture_files(tree: Path) -> list[Path]:
    """Every picture below a folder, sorted."""
    folders = [tree / part / c for part in SIZES for c in CLASSES["CIFAR10"]]
    files = [file for folder in folders for file in folder.iterdir()]
    return sorted(file for file in files if _is_picture(*file.parts[-3:]))


def _picture(source: Path, parts: tuple[str, ...], content: bytes) -> np.ndarray:
    """One picture ``(3, 32, 32)``; its size is checked before it is decoded."""
    from PIL import Image

    with reading(source.joinpath(*parts)), Image.open(io.BytesIO(content)) as image:
        if image.size != (32, 32):
            raise ValueError(f"it has {image.width}×{image.height} pixels, expected 32×32")
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _stamp(path: Path) -> str:
    """A text that changes with any of the picture files of a folder, or with the tar."""
    facts = []
    for file in [path] if path.is_file() else _picture_files(path):
        stat = file.stat()
        facts.append((file.name, stat.st_size, stat.st_mtime_ns))
    return hashlib.md5(repr(facts).encode()).hexdigest()


def _kept(path: Path, cache: Path, keep: Callable[[Path, bytes], object]) -> ImageSet:
    """``decode(path)``, from ``cache`` if that was made of the same files as they are now."""
    with suppress(Damaged):  # missing, or cut off: made anew
        if (images := _arrays(cache)).stamp == _stamp(path):
            return images
    print(f"decoding the pictures in {path}, once: 20 s or so", flush=True)
    images = decode(path)
    keep(cache, pack(images))
    return images


def pack(images: ImageSet) -> bytes:
    """Content of the file ``ARRAYS``, which ``read`` takes: a zip, so that each array has a checksum."""
    buffer = io.BytesIO()
    np.savez(buffer, **vars(images))
    return buffer.getvalue()


def _arrays(path: Path) -> ImageSet:
    """What ``pack`` made. The zip's checksums are compared while it is read."""
    with reading(path), np.load(path) as file:
        if sum(member.file_size for member in file.zip.infolist()) > 5 * LIMIT:
            raise ValueError("it claims more bytes than CIFAR-10 has")
        images = ImageSet(*(file[field.name] for field in fields(ImageSet)))
        for part, n in SIZES.items():
            x, y = getattr(images, f"x_{part}"), getattr(images, f"y_{part}")
            if (x.shape, x.dtype, y.shape) != ((n, 3, 32, 32), np.uint8, (n,)):
                raise ValueError(f"its {part} part is {x.dtype} {x.shape}")
        return replace(images, name=str(images.name), stamp=str(images.stamp))
