"""Data sets as whole tensors in memory, and the honest stand-in where a set cannot be had.

A loader looks in ``--data-dir``, then in ``$SNN_DATA``, then in ``data/``, for each layout that its
docstring lists. A set that is in none of them is downloaded by torchvision. If that fails too, the
embedded stand-in takes its place, and says so together with the paths that were tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.io import UserError, write_atomic
from datafiles import images
from datafiles.digits import stand_in
from datafiles.files import check_source, data_folders

import torch


@dataclass
class ImageData:
    """Images as ``uint8`` tensors ``(N, C, H, W)`` with their labels ``(N,)``.

    The validation images are the last of the official training set; the test set is the official one.
    """

    name: str
    stand_in: bool
    classes: tuple[str, ...]
    x_train: torch.Tensor
    y_train: torch.Tensor
    x_val: torch.Tensor
    y_val: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    why: str = ""

    @property
    def sizes(self) -> dict[str, int]:
        return {"train": len(self.x_train), "val": len(self.x_val), "test": len(self.x_test)}

    def facts(self) -> dict[str, object]:
        """What metrics.json keeps of a data set."""
        return {"name": self.name, "stand_in": self.stand_in, "sizes": self.sizes}

    def describe(self) -> str:
        """One line for the header."""
        sizes = " / ".join(f"{v:,} {k}" for k, v in self.sizes.items())
        return f"{self.name}: {sizes}" + (f"  [STAND-IN: {self.why}]" if self.stand_in else "")

    def to(self, device: torch.device | str) -> ImageData:
        """The same data on ``device``: as ``uint8`` all of MNIST takes 55 MB there."""
        tensors = {k: v for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        return replace(self, **{k: v.to(device) for k, v in tensors.items()})


def mnist(data_dir: Path | None = None, **options: Any) -> ImageData:
    """MNIST: 28×28 grey digits, ten classes, 55,000 / 5,000 / 10,000 images ``(N, 1, 28, 28)``.

    Read from its four idx files, plain or ``.gz``: in ``MNIST/raw``, in ``MNIST``, or in the data
    folder itself, which may also be ``MNIST``.

    Args:
        options: ``source``: ``auto`` (real, else the stand-in), ``real`` (stop if it cannot be had)
            or ``stand-in``. ``n_train``, ``n_test``: take only the first so many images.
            ``n_val`` (5,000): images taken from the end of the training set for validation.

    Raises:
        UserError: a file is damaged, or the set cannot be had and ``source`` is ``real``.
    """
    return _load("MNIST", data_dir, **options)


def fashion_mnist(data_dir: Path | None = None, **options: Any) -> ImageData:
    """Fashion-MNIST: as ``mnist``, with clothing (Xiao, Rasul & Vollgraf 2017; MIT licence)."""
    return _load("FashionMNIST", data_dir, **options)


def cifar10(data_dir: Path | None = None, **options: Any) -> ImageData:
    """CIFAR-10: photographs, ten classes, 45,000 / 5,000 / 10,000 images ``(N, 3, 32, 32)``.

    Read from torchvision's ``cifar-10-batches-py`` or its ``cifar-10-python.tar.gz``, or from JPEG
    or PNG files ``train/<class>/*`` and ``test/<class>/*``, which are decoded once and then kept
    under ``data/``. JPEG is lossy: the set is then called "CIFAR-10 (JPEG)". No licence is stated;
    cite Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. Options and
    errors are those of ``mnist``.
    """
    return _load("CIFAR10", data_dir, **options)


def _load(
    key: str,
    data_dir: Path | None,
    source: str = "auto",
    n_train: int | None = None,
    n_val: int = 5_000,
    n_test: int | None = None,
) -> ImageData:
    """The real set if ``source`` allows it and it can be had, otherwise the stand-in."""
    check_source(source)
    found, why = None, "--smoke"
    if source != "stand-in":
        try:
            found = images.find(key, search_path(data_dir), Path("data") / images.ARRAYS, _keep)
        except images.Damaged as e:
            raise UserError(str(e)) from e
        except OSError as e:
            why = f"{key} is not here and could not be downloaded: {e}"
            if source == "real":
                advice = "name its folder with --data-dir or SNN_DATA, or drop --no-stand-in"
                raise UserError(f"{why}; {advice}") from e
    if found is None:
        name, classes, parts = stand_in(key)
        n_val = min(n_val, 200)
    else:
        name, classes, why = found.name, images.CLASSES[key], ""
        parts = (found.x_train, found.y_train, found.x_test, found.y_test)
    x, y, x_test, y_test = map(torch.as_tensor, parts)
    cut = len(x) - n_val
    train, val = (x[:cut][:n_train], y[:cut][:n_train]), (x[cut:], y[cut:])
    test = (x_test[:n_test], y_test[:n_test])
    return ImageData(name, found is None, classes, *train, *val, *test, why)


def _keep(path: Path, content: bytes) -> None:
    """Write a cache. Where that cannot be done it costs the cache, not the lesson."""
    with suppress(UserError):
        write_atomic(path, content)


def search_path(data_dir: Path | None) -> list[Path]:
    """Folders in which a data set is looked for, first to last; a ``UserError`` if one is not there."""
    try:
        return data_folders(data_dir)
    except NotADirectoryError as e:
        raise UserError(str(e)) from e


def batches(
    x: torch.Tensor,
    y: torch.Tensor,
    batch_size: int,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield ``(B, …)`` float images in 0..1 and their labels ``(B,)``; shuffled if a generator is given.

    ``uint8`` becomes float on the device, a batch at a time; float input passes unchanged. Images
    and labels may lie on different devices.
    """
    order = torch.arange(len(x))
    if generator is not None:
        order = torch.randperm(len(x), generator=generator)
    for index in order.split(batch_size):
        x_b, y_b = x[index.to(x.device)], y[index.to(y.device)]
        if device is not None:
            x_b, y_b = x_b.to(device), y_b.to(device)
        yield (x_b.float() / 255 if x_b.dtype == torch.uint8 else x_b), y_b
