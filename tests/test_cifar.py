"""CIFAR-10 from a tar, a tree and torchvision's batches: the same pictures; damage and absence end in one line."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from common import cifar
from common.cifar import CLASSES, cifar10, flip_and_shift
from common.io import UserError

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Forty training and twenty test pictures, no network, and an empty working folder."""
    from torchvision import datasets

    def fail(self: object) -> None:
        raise RuntimeError("Error downloading cifar-10-python.tar.gz")

    monkeypatch.setattr(datasets.CIFAR10, "download", fail)
    monkeypatch.setattr(cifar, "SIZES", {"train": 40, "test": 20})
    monkeypatch.delenv("SNN_DATA", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


def pictures(number: dict[str, int] | None = None) -> dict[str, bytes]:
    """JPEG files by path: each of one colour, so that its label can be read back from its pixels."""
    from PIL import Image

    out = {}
    for part, n in (number or {"train": 4, "test": 2}).items():
        for label, name in enumerate(CLASSES):
            for i in range(n):
                buffer = io.BytesIO()
                Image.fromarray(np.full((32, 32, 3), 20 * label + i, np.uint8)).save(
                    buffer, "jpeg", quality=95
                )
                out[f"{part}/{name}/{i:04d}.jpg"] = buffer.getvalue()
    return out


def write_tar(path: Path, files: dict[str, bytes], reverse: bool = False) -> None:
    with tarfile.open(path, "w") as tar:
        for name in sorted(files, reverse=reverse):
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            tar.addfile(info, io.BytesIO(files[name]))


def write_tree(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_tar_and_tree_give_the_same_pictures_whatever_the_order(small: Path) -> None:
    for i, reverse in enumerate((False, True)):
        (small / f"tar{i}").mkdir()
        write_tar(small / f"tar{i}" / "cifar10-images.tar", pictures(), reverse)
    write_tree(small / "tree" / "cifar10-images", pictures())
    sets = [cifar10(small / d, n_val=10) for d in ("tar0", "tar1", "tree")]
    for d in sets:
        assert (
            d.name == "CIFAR-10 (JPEG)"
            and not d.stand_in
            and d.sizes == {"train": 30, "val": 10, "test": 20}
        )
        assert d.x_train.shape == (30, 3, 32, 32) and d.x_train.dtype == torch.uint8
        assert torch.equal(d.x_train, sets[0].x_train) and torch.equal(d.y_test, sets[0].y_test)
        assert torch.equal((d.x_train[:, 0, 16, 16].float() / 20).floor().long(), d.y_train), (
            "a label left its picture"
        )
    assert len(sets[0].y_train[:10].unique()) > 3, "the classes are not mixed"


def test_cache_is_used_and_a_damaged_or_foreign_one_is_not(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(small / "cifar10-images.tar", pictures())
    first = cifar10(small)
    cache = Path("data/cifar10-jpeg.safetensors")
    assert cache.is_file() and not list(Path("data").glob("*.tmp"))
    with monkeypatch.context() as m:
        m.setattr(cifar, "_decode", lambda found: pytest.fail("decoded again"))
        assert torch.equal(cifar10(small).x_train, first.x_train)
    whole = cache.read_bytes()
    cache.write_bytes(
        whole[: len(whole) // 2]
    )  # a cut while it was written, if it had not been renamed
    assert torch.equal(cifar10(small).x_train, first.x_train)
    assert cache.read_bytes() == whole
    os.utime(small / "cifar10-images.tar", (1, 1))  # another file: the cache is not its
    calls = []
    real = cifar._decode
    monkeypatch.setattr(cifar, "_decode", lambda found: calls.append(found) or real(found))
    cifar10(small)
    assert len(calls) == 1


def test_incomplete_or_damaged_sets_are_refused(small: Path) -> None:
    files = pictures()
    files.pop("train/cat/0002.jpg")
    write_tar(small / "cifar10-images.tar", files)
    with pytest.raises(UserError, match="got 39 train pictures, expected 40"):
        cifar10(small)
    write_tar(small / "cifar10-images.tar", pictures() | {"train/cat/0002.jpg": b"no picture"})
    with pytest.raises(UserError, match=r"train/cat/0002\.jpg cannot be read"):
        cifar10(small)
    (small / "cifar10-images.tar").write_bytes(b"no tar" * 1000)
    with pytest.raises(UserError, match="damaged"):
        cifar10(small)
    assert not Path("data/cifar10-jpeg.safetensors").exists(), "what is wrong must not be cached"


def test_stand_in_says_so_and_real_does_not_take_it(small: Path) -> None:
    d = cifar10(small)
    assert d.stand_in and "could not be downloaded" in d.why and d.x_train.shape[1:] == (3, 32, 32)
    with pytest.raises(UserError, match="--data-dir"):
        cifar10(small, source="real")
    with pytest.raises(ValueError, match="source"):
        cifar10(small, source="fake")


def test_a_set_without_a_writable_data_folder_is_still_read(small: Path) -> None:
    write_tar(small / "cifar10-images.tar", pictures())
    Path("data").write_text("in the way", encoding="utf-8")
    assert not cifar10(small).stand_in


def test_flip_and_shift_moves_whole_pictures() -> None:
    """Each result is the padded picture, mirrored or not, cut at one of the 25 places."""
    torch.manual_seed(0)
    x = torch.rand(64, 3, 8, 8)
    out = flip_and_shift(x, 2)
    seen = set()
    for before, after in zip(x, out, strict=True):
        found = [
            (f, r, c)
            for f in (False, True)
            for r in range(5)
            for c in range(5)
            if torch.equal(
                torch.nn.functional.pad(before.flip(2) if f else before, (2,) * 4)[
                    :, r : r + 8, c : c + 8
                ],
                after,
            )
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 25 and {f for f, _, _ in seen} == {False, True}
    assert torch.equal(flip_and_shift(torch.ones(2, 3, 4, 4), 0), torch.ones(2, 3, 4, 4))


REAL = Path(
    os.environ.get("SNN_DATA", "data"), "cifar10-images.tar"
).resolve()  # before a test's environment


@pytest.mark.skipif(not REAL.is_file(), reason="no CIFAR-10 tar here")
def test_real_tar_has_ten_classes_of_the_right_size() -> None:
    with tarfile.open(REAL) as tar:
        names = [m.name.split("/") for m in tar if m.isfile()]
    assert sum(n[0] == "train" for n in names) == 50_000 and {n[1] for n in names} == set(CLASSES)
