"""CIFAR-10 from each of its forms: the same pictures; damage, absence and false claims end in one line."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import random
import subprocess
import sys
import tarfile
from pathlib import Path

from common import io as course_io
from common.data import cifar10
from common.io import UserError
from datafiles import images
from datafiles.images import ARRAYS, CLASSES

import numpy as np
import pytest
import torch
from helpers import ROOT

NAMES = CLASSES["CIFAR10"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Forty training and twenty test pictures, no network, and an empty working folder."""
    from torchvision import datasets

    def fail(self: object) -> None:
        raise RuntimeError("Error downloading cifar-10-python.tar.gz")

    monkeypatch.setattr(datasets.CIFAR10, "download", fail)
    monkeypatch.setattr(images, "SIZES", {"train": 40, "test": 20})
    monkeypatch.delenv("SNN_DATA", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


def pictures(end: str = ".jpg") -> dict[str, bytes]:
    """Picture files by path: each of one colour, so that its label can be read back from its pixels."""
    from PIL import Image

    out = {}
    for part, n in (("train", 4), ("test", 2)):
        for label, name in enumerate(NAMES):
            for i in range(n):
                buffer = io.BytesIO()
                picture = Image.fromarray(np.full((32, 32, 3), 20 * label + i, np.uint8))
                picture.save(buffer, "png" if end.lower() == ".png" else "jpeg")
                out[f"{part}/{name}/{i:04d}{end}"] = buffer.getvalue()
    return out


def write_tar(path: Path, files: dict[str, bytes], claims: dict[str, int] | None = None) -> Path:
    """A tar of ``files``; ``claims`` are the sizes that some of them only pretend to have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if claims and name in claims:
                info.size = claims[name]
                tar.fileobj.write(info.tobuf(tar.format, tar.encoding, tar.errors))
            else:
                tar.addfile(info, io.BytesIO(content))
    return path


def write_tree(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def official(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Six official batches of ten pictures, with checksums that torchvision then expects."""
    from torchvision.datasets import CIFAR10

    files = {}
    for i, (name, _) in enumerate(CIFAR10.train_list + CIFAR10.test_list):
        rows = np.random.default_rng(i).integers(0, 256, (10, 3072), np.uint8)
        files[name] = pickle.dumps({"data": rows, "labels": list(range(10))})
    lists = [[name, hashlib.md5(content).hexdigest()] for name, content in files.items()]
    monkeypatch.setattr(CIFAR10, "train_list", lists[:5])
    monkeypatch.setattr(CIFAR10, "test_list", lists[5:])
    monkeypatch.setattr(images, "SIZES", {"train": 50, "test": 10})
    return files


def labels_are_right(x: torch.Tensor, y: torch.Tensor) -> bool:
    return torch.equal((x[:, 0, 16, 16].float() / 20).floor().long(), y)


# -------------------------------------------------------------------- the official batches


@pytest.mark.parametrize("by", ["--data-dir", "SNN_DATA"])
@pytest.mark.parametrize("layout", ["folder", "the folder itself", "tar"])
def test_official_batches(
    layout: str, by: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = official(monkeypatch)
    root = small / "sets"
    if layout == "tar":
        inside = {f"cifar-10-batches-py/{name}": content for name, content in files.items()}
        inside["cifar-10-batches-py/._data_batch_1"] = b"a Mac's"
        write_tar(root / "cifar-10-python.tar.gz", inside)
    else:
        write_tree(root / "cifar-10-batches-py", files)
    folder = root / "cifar-10-batches-py" if layout == "the folder itself" else root
    if by == "SNN_DATA":
        monkeypatch.setenv("SNN_DATA", str(folder))
    d = cifar10(folder if by == "--data-dir" else None, n_val=10)
    assert d.name == "CIFAR-10" and not d.stand_in and d.classes == NAMES
    assert d.sizes == {"train": 40, "val": 10, "test": 10}
    first = pickle.loads(files["data_batch_1"])["data"][0]
    assert d.x_train[0].flatten().tolist() == first.tolist() and d.y_train[3] == 3
    assert d.x_test[9].flatten().tolist() == pickle.loads(files["test_batch"])["data"][9].tolist()


@pytest.mark.parametrize("damage", ["flip", "missing", "pickle"])
def test_a_damaged_batch_is_named(
    damage: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is unpickled unless its checksum is that of the authors."""
    files = official(monkeypatch)
    write_tree(small / "cifar-10-batches-py", files)
    path = small / "cifar-10-batches-py" / "data_batch_3"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "flip":
        path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    else:
        path.write_bytes(b"cos\nabort\n(tR.")  # would end this process
    with pytest.raises(UserError, match="cifar-10-batches-py is damaged.*data_batch_3"):
        cifar10(small)


def test_a_cut_tar_and_one_that_claims_twelve_gigabytes(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = official(monkeypatch)
    tar = write_tar(small / "cifar-10-python.tar.gz", files)
    whole = tar.read_bytes()
    for cut in (len(whole) // 2, len(whole) - 5, 30, 0):
        tar.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"cifar-10-python\.tar\.gz is damaged") as stop:
            cifar10(small)
        assert "\n" not in str(stop.value)
    write_tar(tar, files, {"data_batch_2": 12_000_000_000})
    with pytest.raises(UserError, match="data_batch_2 claims 12,000,000,000 bytes"):
        cifar10(small)


# -------------------------------------------------------------------- pictures


@pytest.mark.parametrize("end", [".jpg", ".JPG", ".jpeg", ".png"])
def test_tree_and_tar_give_the_same_pictures(
    end: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the order of the files and the case of their ends; hidden files are skipped."""
    files = pictures(end)
    hidden = {
        f"train/cat/._0000{end}": b"a Mac's",
        "train/cat/.DS_Store": b"x",
        "train/Thumbs.db": b"x",
    }
    backwards = dict(reversed((files | hidden).items()))
    write_tree(small / "a", files | hidden)
    write_tree(small / "b" / "cifar10-images", files | hidden)
    write_tar(small / "c" / "cifar10-images.tar", files | hidden)
    write_tar(small / "d" / "cifar10-images.tar", {f"./top/{k}": v for k, v in backwards.items()})
    sets = []
    for folder in "abcd":
        monkeypatch.setenv("SNN_DATA", str(small / folder))
        sets.append(cifar10(n_val=10))
    for d in sets:
        assert d.name == ("CIFAR-10" if end == ".png" else "CIFAR-10 (JPEG)") and not d.stand_in
        assert d.sizes == {"train": 30, "val": 10, "test": 20}
        assert d.x_train.shape == (30, 3, 32, 32) and d.x_train.dtype == torch.uint8
        assert torch.equal(d.x_train, sets[0].x_train) and torch.equal(d.y_test, sets[0].y_test)
        assert labels_are_right(d.x_train, d.y_train), "a label left its picture"
    assert len(sets[0].y_train[:10].unique()) > 3, "the classes are not mixed"


def test_incomplete_or_damaged_pictures_are_refused(small: Path) -> None:
    from PIL import Image

    tar = small / "cifar10-images.tar"
    files = pictures()
    large = io.BytesIO()
    Image.new("RGB", (5000, 5000)).save(large, "jpeg")
    whole = files.pop("train/cat/0002.jpg")
    write_tar(tar, files)
    with pytest.raises(UserError, match="got 39 pictures of the train part, expected 40"):
        cifar10(small)
    for content, why in (
        (b"no picture", "cannot identify"),
        (whole[: len(whole) // 2], "(?i:truncated)"),
        (large.getvalue(), "5000×5000 pixels, expected 32×32"),
    ):
        write_tar(tar, files | {"train/cat/0002.jpg": content})
        with pytest.raises(UserError, match=rf"0002\.jpg is damaged or cannot be read \(.*{why}"):
            cifar10(small)
    write_tar(tar, pictures(), {"test/dog/0000.jpg": 12_000_000_000})
    with pytest.raises(UserError, match="claims 12,000,000,000 bytes"):
        cifar10(small)
    tar.write_bytes(write_tar(tar, pictures()).read_bytes()[:20_000])
    with pytest.raises(UserError, match="damaged|incomplete"):
        cifar10(small)
    tar.write_bytes(b"no tar" * 1000)
    with pytest.raises(UserError, match="damaged"):
        cifar10(small)
    assert not Path("data", ARRAYS).exists(), "what is wrong must not be kept"


def test_pictures_are_decoded_once_and_again_when_a_file_has_changed(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(small, pictures())
    first = cifar10(small)
    kept = Path("data", ARRAYS)
    assert kept.is_file() and not list(Path("data").glob("*.tmp"))
    calls = []
    real = images.decode
    monkeypatch.setattr(images, "decode", lambda path: calls.append(path) or real(path))
    assert torch.equal(cifar10(small).x_train, first.x_train) and not calls
    os.utime(small / "test" / "dog" / "0001.jpg", (1, 1))
    cifar10(small)
    assert len(calls) == 1, "another file: what is kept is not of these pictures"
    monkeypatch.setenv("SNN_DATA", str(small / "work"))
    assert cifar10().name == "CIFAR-10 (JPEG)", "what is kept is enough, without the pictures"


def test_a_flipped_bit_in_what_is_kept_is_found(small: Path) -> None:
    """Wherever it lies: the pictures are then decoded anew, or are unharmed."""
    write_tree(small, pictures())
    first = cifar10(small)
    kept = Path("data", ARRAYS)
    whole = bytearray(kept.read_bytes())
    draw = random.Random(0)
    for position in [draw.randrange(len(whole)) for _ in range(40)]:
        broken = whole.copy()
        broken[position] ^= 1 << draw.randrange(8)
        kept.write_bytes(broken)
        again = cifar10(small)
        assert again.name == first.name
        assert torch.equal(again.x_train, first.x_train) and torch.equal(again.y_test, first.y_test)
    for cut in (0, 1000, len(whole) // 2, len(whole) - 1):
        kept.write_bytes(whole[:cut])
        assert torch.equal(cifar10(small).x_train, first.x_train)


def test_a_damaged_file_of_arrays_is_one_line(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no pictures to decode anew; a file that claims too much is not read at all."""
    write_tree(small / "tree", pictures())
    cifar10(small / "tree")
    whole = Path("data", ARRAYS).read_bytes()
    (small / ARRAYS).write_bytes(whole[:-30])
    with pytest.raises(UserError, match=rf"{ARRAYS} is damaged"):
        cifar10(small)
    (small / ARRAYS).write_bytes(whole)
    assert not cifar10(small).stand_in
    monkeypatch.setattr(images, "LIMIT", 1000)
    with pytest.raises(UserError, match="claims more bytes than CIFAR-10 has"):
        cifar10(small)


@pytest.mark.parametrize("reason", ["a file in the way", "a full disk"])
def test_what_cannot_be_kept_costs_no_lesson(
    reason: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(small, pictures())

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if reason == "a full disk":
        monkeypatch.setattr(course_io.os, "fsync", full)
    else:
        Path("data").write_text("in the way", encoding="utf-8")
    assert not cifar10(small).stand_in
    assert not Path("data", ARRAYS).exists()


def test_stand_in_says_so_and_real_does_not_take_it(small: Path) -> None:
    d = cifar10(small)
    assert d.stand_in and d.x_train.shape[1:] == (3, 32, 32)
    assert d.name == "scikit-learn digits (3×32×32)" and d.classes == tuple("0123456789")
    for tried in ("cifar-10-batches-py", "cifar-10-python.tar.gz", ARRAYS, "cifar10-images.tar"):
        assert str(small / tried) in d.why
    with pytest.raises(UserError, match="--data-dir"):
        cifar10(small, source="real")
    with pytest.raises(ValueError, match="source"):
        cifar10(small, source="fake")


# -------------------------------------------------------------------- the tool


def tool(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "cifar10_images.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_the_tool_makes_the_file_that_is_read(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import cifar10_images

    write_tar(small / "pictures.tar", pictures())
    cifar10_images.main([str(small / "pictures.tar"), "--out-dir", str(small / "made")])
    assert capsys.readouterr().out == f"saved      {small / 'made' / ARRAYS}\n"
    monkeypatch.setattr(images, "decode", lambda path: pytest.fail("decoded again"))
    d = cifar10(small / "made", n_val=10)
    assert d.name == "CIFAR-10 (JPEG)" and labels_are_right(d.x_test, d.y_test)


def test_the_tool_ends_in_one_line(small: Path) -> None:
    done = tool(small / "nowhere.tar")
    assert done.returncode == 2 and done.stderr.startswith("error: got ")
    assert done.stderr.count("\n") == 1 and "nowhere.tar" in done.stderr
    (small / "cut.tar").write_bytes(write_tar(small / "cut.tar", pictures()).read_bytes()[:9000])
    done = tool(small / "cut.tar", "--out-dir", small)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "cut.tar" in done.stderr
