"""CIFAR-10 from any of the forms in which it is met, and cached as one file of tensors.

Looked for in each folder of ``data.search_path``: the official batches as torchvision keeps them
(``cifar-10-batches-py/``), or JPEG copies in a tree ``train/<class>/*.jpg, test/<class>/*.jpg`` or a tar of one.
JPEG is lossy, so such a set is called "CIFAR-10 (JPEG)" wherever its numbers appear. Licence: none is stated by its
authors; cite Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from common.data import ImageData, alone, check_source, digits, search_path, short, split
from common.io import UserError, console, progress_allowed, write_atomic

import numpy as np
import torch
from rich.progress import track

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZES = {"train": 50_000, "test": 10_000}
TREES = ("cifar10-images", "CIFAR-10-images", "cifar10")  # folders that may hold train/ and test/
TAR = "cifar10-images.tar"


def cifar10(
    data_dir: Path | None = None,
    *,
    source: str = "auto",
    n_train: int | None = None,
    n_val: int = 5_000,
    n_test: int | None = None,
) -> ImageData:
    """CIFAR-10: colour pictures of ten things, 45,000 / 5,000 / 10,000 images ``(N, 3, 32, 32)``.

    Args:
        source: ``auto`` (real, else the stand-in), ``real`` (stop if it cannot be had) or ``stand-in``.
        n_train, n_test: take only the first so many images; classes are mixed in both parts.
        n_val: images taken from the end of the training set for validation.

    Raises:
        UserError: a file is damaged or incomplete, or the set cannot be had and ``source`` is ``real``.
    """
    check_source(source)
    why = "--smoke"
    if source != "stand-in":
        try:
            name, parts = _read(data_dir)
            return split(name, False, CLASSES, parts, n_train, n_val, n_test)
        except OSError as e:
            why = f"CIFAR-10 is not here and could not be downloaded ({short(e)})"
            if source == "real":
                raise UserError(
                    f"{why}; put it in a folder and name that with --data-dir, or drop --no-stand-in"
                ) from e
    x, y, x_test, y_test = digits()
    as_pictures = lambda x: torch.nn.functional.pad(x, (2, 2, 2, 2)).expand(-1, 3, -1, -1)  # noqa: E731
    parts = (as_pictures(x), y, as_pictures(x_test), y_test)  # (N, 3, 32, 32)
    return split(
        "scikit-learn digits (3×32×32)",
        True,
        tuple("0123456789"),
        parts,
        n_train,
        min(n_val, 200),
        n_test,
        why,
    )


def flip_and_shift(x: torch.Tensor, shift: int = 2) -> torch.Tensor:
    """Mirror half of the images ``(B, C, H, W)`` and move each by up to ``shift`` pixels: the usual augmentation."""
    B, _, H, W = x.shape
    mirrored = torch.rand(B, 1, 1, 1, device=x.device) < 0.5
    x = torch.where(mirrored, x.flip(3), x)
    if shift == 0:
        return x
    dx, dy = torch.randint(0, 2 * shift + 1, (2, B, 1, 1), device=x.device)
    rows = torch.arange(H, device=x.device)[:, None] + dy  # (B, H, 1)
    cols = torch.arange(W, device=x.device) + dx  # (B, 1, W)
    padded = torch.nn.functional.pad(x, (shift,) * 4).permute(
        0, 2, 3, 1
    )  # (B, H + 2·shift, W + 2·shift, C)
    return (
        padded[torch.arange(B, device=x.device).view(B, 1, 1), rows, cols]
        .permute(0, 3, 1, 2)
        .contiguous()
    )


def _read(data_dir: Path | None) -> tuple[str, tuple[torch.Tensor, ...]]:
    """Name and the four tensors, from the first folder that holds the set in any form."""
    for root in search_path(data_dir):
        if (root / "cifar-10-batches-py").is_dir():
            return "CIFAR-10", _official(root, download=False)
        for found in (*(root / tree for tree in TREES), root / TAR):
            if found.is_file() or all(
                (found / part / c).is_dir() for part in SIZES for c in CLASSES
            ):
                return "CIFAR-10 (JPEG)", _cached(found)
    root = data_dir or Path("data")
    with alone(root):
        return "CIFAR-10", _official(root, download=True)


def _official(root: Path, download: bool) -> tuple[torch.Tensor, ...]:
    """torchvision's own copy, with its checksums."""
    from torchvision.datasets import CIFAR10

    try:
        sets = [CIFAR10(root, train=train, download=download) for train in (True, False)]
    except Exception as e:  # a mirror that fails, a checksum that differs
        if not download:
            raise UserError(
                f"{root / 'cifar-10-batches-py'} is damaged ({short(e)}); delete it and run again"
            ) from e
        raise OSError(short(e)) from e
    return tuple(
        t
        for s in sets
        for t in (
            torch.from_numpy(s.data).permute(0, 3, 1, 2).contiguous(),
            torch.tensor(s.targets),
        )
    )


def _cached(found: Path) -> tuple[torch.Tensor, ...]:
    """Decode the JPEG copies once; after that, one file of 184 MB under data/ is read."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    names = ("x_train", "y_train", "x_test", "y_test")
    stat = found.stat()
    stamp = f"{found.name} {stat.st_size if found.is_file() else 'tree'} {int(stat.st_mtime)}"
    cache = Path("data") / "cifar10-jpeg.safetensors"
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(
            OSError
        ):  # a folder that cannot be written costs the cache, not the lesson
            stack.enter_context(alone(cache.parent))
        with contextlib.suppress(Exception):  # missing or cut off: made anew
            with safe_open(cache, "pt") as f:
                if f.metadata().get("source") == stamp:
                    return tuple(f.get_tensor(n) for n in names)
        parts = _decode(found)
        with contextlib.suppress(UserError):
            write_atomic(
                cache,
                lambda tmp: save_file(
                    dict(zip(names, parts, strict=True)), tmp, metadata={"source": stamp}
                ),
            )
    return parts


def _decode(found: Path) -> tuple[torch.Tensor, ...]:
    """All JPEG files of a tree or tar, in an order that mixes the classes and is the same on every machine.

    Raises:
        UserError: a picture cannot be read, or their number is not that of CIFAR-10.
    """
    from PIL import Image

    pictures: dict[str, list[tuple[str, int, np.ndarray]]] = {part: [] for part in SIZES}
    files = track(
        _files(found),
        f"decoding {found.name}, once",
        sum(SIZES.values()),
        console=console,
        transient=True,
        disable=not progress_allowed(),
    )
    for path, content in files:
        part, label = path.split("/")[-3:-1]
        try:
            image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))  # (32, 32, 3)
            pictures[part].append((path, CLASSES.index(label), image))
        except (OSError, ValueError) as e:
            raise UserError(f"{found}: {path} cannot be read ({short(e)}); get the set anew") from e
    out = []
    for part, expected in SIZES.items():
        several = sorted(pictures[part], key=lambda p: p[0].split("/")[-3:])
        if len(several) != expected or any(image.shape != (32, 32, 3) for _, _, image in several):
            raise UserError(
                f"{found}: got {len(several):,} {part} pictures, expected {expected:,} of 32×32; the set "
                "is incomplete, get it anew"
            )
        order = np.random.default_rng(0).permutation(len(several))
        out += [
            torch.from_numpy(np.stack([several[i][2] for i in order]))
            .permute(0, 3, 1, 2)
            .contiguous(),
            torch.tensor([several[i][1] for i in order]),
        ]
    return tuple(out)


def _files(found: Path) -> Iterator[tuple[str, bytes]]:
    """``(…/train/cat/0001.jpg, its bytes)`` of every picture."""
    wanted = lambda parts: len(parts) > 2 and parts[-3] in SIZES and parts[-2] in CLASSES  # noqa: E731
    if found.is_dir():
        for path in found.glob("*/*/*.jp*g"):
            if wanted(path.parts):
                yield path.as_posix(), path.read_bytes()
        return
    try:
        with tarfile.open(found) as tar:
            for member in tar:
                if (
                    member.isfile()
                    and wanted(member.name.split("/"))
                    and (f := tar.extractfile(member))
                ):
                    yield member.name, f.read()
    except tarfile.TarError as e:
        raise UserError(f"{found} is damaged ({short(e)}); get it anew") from e
