"""Data sets as whole tensors in memory, and the honest stand-in where a set cannot be had.

A loader looks in ``--data-dir``, then ``$SNN_DATA``, then ``data/``; if the set is in none of them its own
library downloads it into the first of these that was given (``data/`` otherwise). If that fails too, the
embedded stand-in takes its place and says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from common.io import UserError

import torch

FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

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
class ImageData:
    """Images as ``uint8`` tensors ``(N, C, H, W)`` with their labels ``(N,)``; moved to a device batch by batch.

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
        move = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        return ImageData(**{**vars(self), **move})


def batches(
    x: torch.Tensor,
    y: torch.Tensor,
    batch_size: int,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield ``(B, …)`` float images in 0..1 and their labels ``(B,)``; shuffled if a generator is given.

    ``uint8`` becomes float on the device, a batch at a time; float input passes unchanged. Images and labels may lie
    on different devices.
    """
    order = (
        torch.randperm(len(x), generator=generator)
        if generator is not None
        else torch.arange(len(x))
    )
    for index in order.split(batch_size):
        x_b, y_b = x[index.to(x.device)], y[index.to(y.device)]
        if device is not None:
            x_b, y_b = x_b.to(device), y_b.to(device)
        yield (x_b.float() / 255 if x_b.dtype == torch.uint8 else x_b), y_b


def jitter(x: torch.Tensor, shift: int) -> torch.Tensor:
    """Move each image ``(B, 1, H, W)`` by up to ``shift`` pixels both ways: a little more data for free."""
    if shift == 0:
        return x
    B, _, H, W = x.shape
    dx, dy = torch.randint(0, 2 * shift + 1, (2, B, 1, 1), device=x.device)
    rows, cols = torch.arange(H, device=x.device), torch.arange(W, device=x.device)
    image = torch.arange(B, device=x.device).view(B, 1, 1)
    padded = torch.nn.functional.pad(x, (shift,) * 4)[:, 0]  # (B, H + 2·shift, W + 2·shift)
    return padded[image, rows[:, None] + dy, cols + dx][:, None]  # (B, 1, H, W)


def search_path(data_dir: Path | None) -> list[Path]:
    """Folders in which a data set is looked for, first to last."""
    env = os.environ.get("SNN_DATA")
    return [Path(p) for p in (data_dir, env, "data") if p]


def mnist(
    data_dir: Path | None = None,
    *,
    source: str = "auto",
    n_train: int | None = None,
    n_val: int = 5_000,
    n_test: int | None = None,
) -> ImageData:
    """MNIST: 28×28 grey digits, ten classes, 55,000 / 5,000 / 10,000 images ``(N, 1, 28, 28)``.

    Args:
        source: ``auto`` (real, else the stand-in), ``real`` (stop if it cannot be had) or ``stand-in``.
        n_train, n_test: take only the first so many images.
        n_val: images taken from the end of the training set for validation.

    Raises:
        UserError: a file is damaged, or the set cannot be had and ``source`` is ``real``.
    """
    return _idx_set("MNIST", tuple("0123456789"), data_dir, source, n_train, n_val, n_test)


def fashion_mnist(
    data_dir: Path | None = None,
    *,
    source: str = "auto",
    n_train: int | None = None,
    n_val: int = 5_000,
    n_test: int | None = None,
) -> ImageData:
    """Fashion-MNIST: as ``mnist``, with ten kinds of clothing (Xiao, Rasul & Vollgraf 2017; MIT licence)."""
    return _idx_set("FashionMNIST", FASHION, data_dir, source, n_train, n_val, n_test)


def _idx_set(
    name: str,
    classes: tuple[str, ...],
    data_dir: Path | None,
    source: str,
    n_train: int | None,
    n_val: int,
    n_test: int | None,
) -> ImageData:
    check_source(source)
    why = "--smoke"
    if source != "stand-in":
        try:
            parts = _read_idx(name, data_dir)
            return split(
                name.replace("FashionMNIST", "Fashion-MNIST"),
                False,
                classes,
                parts,
                n_train,
                n_val,
                n_test,
            )
        except OSError as e:
            why = f"{name} is not here and could not be downloaded ({short(e)})"
            if source == "real":
                raise UserError(
                    f"{why}; put it in a folder and name that with --data-dir, or drop --no-stand-in"
                ) from e
    n_val = min(n_val, 200)
    return split(
        "scikit-learn digits", True, tuple("0123456789"), digits(), n_train, n_val, n_test, why
    )


def check_source(source: str) -> None:
    """Raise ``ValueError`` for anything but ``auto``, ``real`` and ``stand-in``."""
    if source not in ("auto", "real", "stand-in"):
        raise ValueError(f"source: got {source!r}, expected 'auto', 'real' or 'stand-in'")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time may fetch into ``folder``: under torchrun all of them start with the same wish.

    Raises:
        OSError: the folder cannot be made or written.
    """
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


def short(e: Exception) -> str:
    """An exception's text on one line, not too long."""
    return " ".join(str(e).split())[:100] or type(e).__name__


def _read_idx(name: str, data_dir: Path | None) -> tuple[torch.Tensor, ...]:
    """The four tensors of an idx set, read (and if need be downloaded) by torchvision."""
    from torchvision import datasets

    files = CHECKSUMS[name]
    for root in search_path(data_dir):
        raw = root / name / "raw"
        if all((raw / f).is_file() for f in files):
            break
    else:
        root = data_dir or Path("data")
        try:
            with alone(root):
                for train in (True, False):
                    getattr(datasets, name)(root, train=train, download=True)
        except (
            Exception
        ) as e:  # torchvision raises RuntimeError, URLError and others when a mirror fails
            raise OSError(short(e)) from e
        raw = root / name / "raw"
    for file, expected in files.items():
        if (found := hashlib.md5((raw / file).read_bytes()).hexdigest()) != expected:
            raise UserError(
                f"{raw / file} is damaged (MD5 {found[:8]}…, expected {expected[:8]}…); delete this one "
                "file and run again: it is fetched anew, the other files are kept"
            )
    sets = [getattr(datasets, name)(root, train=train) for train in (True, False)]
    return tuple(t for s in sets for t in (s.data.unsqueeze(1), s.targets))


def split(
    name: str,
    stand_in: bool,
    classes: tuple[str, ...],
    parts: tuple[torch.Tensor, ...],
    n_train: int | None,
    n_val: int,
    n_test: int | None,
    why: str = "",
) -> ImageData:
    """A data set of the official two parts ``(x, y, x_test, y_test)``, validation cut off the end of the first."""
    x, y, x_test, y_test = parts
    cut = len(x) - n_val
    x_train, y_train = x[:cut][:n_train], y[:cut][:n_train]
    return ImageData(
        name,
        stand_in,
        classes,
        x_train,
        y_train,
        x[cut:],
        y[cut:],
        x_test[:n_test],
        y_test[:n_test],
        why,
    )


@cache
def digits() -> tuple[torch.Tensor, ...]:
    """The embedded stand-in: 1,797 digits of 8×8 pixels from scikit-learn, enlarged to 28×28 ``uint8``.

    Real handwriting (UCI, Alpaydin & Kaynak 1998), but fewer and coarser than MNIST, so easier or harder in
    ways that say nothing about MNIST. 1,437 to train and validate, 360 to test.
    """
    from sklearn.datasets import load_digits

    small, target = load_digits(return_X_y=True)
    x = torch.from_numpy(small).float().view(-1, 1, 8, 8) / 16
    x = torch.nn.functional.interpolate(x, size=(20, 20), mode="bilinear", align_corners=False)
    x = torch.nn.functional.pad(x, (4, 4, 4, 4)).mul(255).round().to(torch.uint8)  # (N, 1, 28, 28)
    y = torch.from_numpy(target).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]
