"""Loaders: where they look, what they do with damaged files and no network, and what the batches hold."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

from common import data
from common.data import batches, digits, jitter, mnist
from common.io import UserError

import pytest
import torch


def write_idx(
    root: Path, name: str = "MNIST", n_train: int = 60, n_test: int = 20
) -> dict[str, str]:
    """A tiny set in the idx format of its authors; returns the checksums of its four files."""
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    sums = {}
    g = torch.Generator().manual_seed(0)
    for part, n in (("train", n_train), ("t10k", n_test)):
        images = (
            torch.randint(0, 256, (n, 28, 28), generator=g, dtype=torch.uint8).numpy().tobytes()
        )
        labels = (torch.arange(n) % 10).to(torch.uint8).numpy().tobytes()
        for file, content in (
            (f"{part}-images-idx3-ubyte", struct.pack(">4i", 2051, n, 28, 28) + images),
            (f"{part}-labels-idx1-ubyte", struct.pack(">2i", 2049, n) + labels),
        ):
            (raw / file).write_bytes(content)
            sums[file] = hashlib.md5(content).hexdigest()
    return sums


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The network is down, and no other data folder is near."""
    from torchvision import datasets

    def fail(self) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(datasets.MNIST, "download", fail)
    monkeypatch.delenv("SNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def test_reads_real_files_and_splits_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_download: None
) -> None:
    monkeypatch.setitem(data.CHECKSUMS, "MNIST", write_idx(tmp_path / "d"))
    d = mnist(tmp_path / "d", n_val=10, n_train=30)
    assert not d.stand_in and d.sizes == {"train": 30, "val": 10, "test": 20}
    assert d.x_train.shape == (30, 1, 28, 28) and d.x_train.dtype == torch.uint8
    assert d.y_val.tolist() == list(range(10)), "validation is the end of the official training set"
    everything = torch.cat([mnist(tmp_path / "d", n_val=10).x_train, d.x_val])
    assert len(everything) == 60 and len(everything.flatten(1).unique(dim=0)) == 60, (
        "no image in two parts"
    )


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_download: None) -> None:
    monkeypatch.setitem(data.CHECKSUMS, "MNIST", write_idx(tmp_path / "env"))
    monkeypatch.setenv("SNN_DATA", str(tmp_path / "env"))
    (tmp_path / "given").mkdir()
    assert not mnist(tmp_path / "given", n_val=10).stand_in, (
        "not in --data-dir, so $SNN_DATA is next"
    )
    assert [p.name for p in data.search_path(tmp_path / "given")] == ["given", "env", "data"]


@pytest.mark.parametrize("damage", ["truncate", "flip"])
def test_damaged_file_is_named_and_the_rest_kept(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_download: None
) -> None:
    monkeypatch.setitem(data.CHECKSUMS, "MNIST", write_idx(tmp_path / "d"))
    path = tmp_path / "d" / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    content = path.read_bytes()
    path.write_bytes(
        content[:-100] if damage == "truncate" else content[:-1] + bytes([content[-1] ^ 1])
    )
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte is damaged.*delete this one file"):
        mnist(tmp_path / "d")
    assert len(list(path.parent.iterdir())) == 4


def test_no_network_means_a_named_stand_in(no_download: None) -> None:
    d = mnist()
    assert d.stand_in and d.name == "scikit-learn digits" and "could not be downloaded" in d.why
    assert "STAND-IN" in d.describe() and d.facts()["stand_in"] is True
    with pytest.raises(UserError, match="--data-dir"):
        mnist(source="real")
    with pytest.raises(ValueError, match="source"):
        mnist(source="fake")


def test_a_download_that_dies_half_way_is_no_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training part arrives, the test part does not: no half set is used, and what came stays."""
    from torchvision import datasets

    def half(self) -> None:
        raw = Path(self.raw_folder)
        raw.mkdir(parents=True, exist_ok=True)
        (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"some bytes"))
        raise ConnectionResetError("connection reset by peer")

    monkeypatch.setattr(datasets.MNIST, "download", half)
    monkeypatch.delenv("SNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert mnist().stand_in
    assert (tmp_path / "data/MNIST/raw/train-images-idx3-ubyte.gz").exists()


def test_digits_are_what_they_say() -> None:
    x, y, x_test, y_test = digits()
    assert len(x) + len(x_test) == 1797 and x.shape[1:] == (1, 28, 28) and x.dtype == torch.uint8
    assert x.max() == 255 and x[:, :, :4].max() == 0, (
        "scaled to 0..255 within a margin of four pixels"
    )
    assert set(y.tolist()) == set(y_test.tolist()) == set(range(10))


def test_batches_of_images_and_labels_on_two_devices() -> None:
    """Images on a GPU and labels on the CPU; PyTorch's meta device stands in for the GPU: it has shapes, no values."""
    x, y = torch.zeros(7, 1, 2, 2, dtype=torch.uint8, device="meta"), torch.arange(7)
    found = list(batches(x, y, 4, generator=torch.Generator().manual_seed(0)))
    assert [tuple(a.shape) for a, _ in found] == [(4, 1, 2, 2), (3, 1, 2, 2)]
    assert sorted(torch.cat([b for _, b in found]).tolist()) == list(range(7))


def test_batches_cover_everything_once() -> None:
    x = torch.arange(103, dtype=torch.uint8).view(-1, 1, 1, 1)
    y = torch.arange(103)
    seen = [(a, b) for a, b in batches(x, y, 10, generator=torch.Generator().manual_seed(1))]
    assert [len(b) for _, b in seen] == [10] * 10 + [3]
    labels = torch.cat([b for _, b in seen])
    assert labels.tolist() != y.tolist() and sorted(labels.tolist()) == y.tolist()
    pixels = torch.cat([a for a, _ in seen]).flatten()
    assert torch.equal(pixels, labels.float() / 255), (
        "image and label stay together, uint8 becomes 0..1"
    )
    again = torch.cat([b for _, b in batches(x, y, 10, generator=torch.Generator().manual_seed(1))])
    assert torch.equal(labels, again)
    assert torch.equal(torch.cat([b for _, b in batches(x, y, 10)]), y), (
        "without a generator: in order"
    )


def test_jitter_moves_and_changes_nothing_else() -> None:
    x = torch.zeros(64, 1, 28, 28)
    x[:, :, 10:14, 10:14] = torch.rand(64, 1, 4, 4) + 0.1
    moved = jitter(x, 2)
    assert torch.allclose(moved.sum((1, 2, 3)), x.sum((1, 2, 3))), "nothing falls off the edge here"
    offsets = {tuple(((m[0] > 0).nonzero().min(0).values - 10).tolist()) for m in moved}
    assert all(abs(a) <= 2 and abs(b) <= 2 for a, b in offsets) and len(offsets) > 10
    assert jitter(x, 0) is x
