"""Loaders: where they look, what they do with damaged files and no network, and what the batches hold."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

from common import data
from common.data import batches, fashion_mnist, mnist
from common.io import UserError
from datafiles import files as datafiles_files
from datafiles import images
from datafiles.digits import digits
from training.augment import flip_and_shift, jitter

import pytest
import torch
from helpers import load_script


def idx_files(n_train: int = 60, n_test: int = 20, seed: int = 0) -> dict[str, bytes]:
    """A tiny set in the idx format of its authors: file name → content."""
    files = {}
    g = torch.Generator().manual_seed(seed)
    for part, n in (("train", n_train), ("t10k", n_test)):
        pixels = torch.randint(0, 256, (n, 28, 28), generator=g, dtype=torch.uint8)
        labels = (torch.arange(n) % 10).to(torch.uint8)
        files[f"{part}-images-idx3-ubyte"] = (
            struct.pack(">4i", 2051, n, 28, 28) + pixels.numpy().tobytes()
        )
        files[f"{part}-labels-idx1-ubyte"] = (
            struct.pack(">2i", 2049, n) + bytes([seed]) + labels.numpy().tobytes()[1:]
        )
    return files


def write(folder: Path, files: dict[str, bytes], packed: bool = False) -> None:
    """Write idx files into a folder, plain or as ``.gz``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


MNIST_FILES, FASHION_FILES = idx_files(seed=0), idx_files(seed=1)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two tiny sets are the real ones, the network is down, and no other data folder is near."""
    from torchvision import datasets

    def fail(self: object) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    for key, files in (("MNIST", MNIST_FILES), ("FashionMNIST", FASHION_FILES)):
        sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
        monkeypatch.setitem(images.CHECKSUMS, key, sums)
    monkeypatch.setattr(datasets.MNIST, "download", fail)
    monkeypatch.delenv("SNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_real_files_are_read_and_split(small: Path) -> None:
    write(small / "d" / "MNIST" / "raw", MNIST_FILES)
    d = mnist(small / "d", n_val=10, n_train=30)
    assert d.name == "MNIST" and not d.stand_in and d.why == ""
    assert d.sizes == {"train": 30, "val": 10, "test": 20}
    assert d.x_train.shape == (30, 1, 28, 28) and d.x_train.dtype == torch.uint8
    assert d.y_val.tolist() == list(range(10)), "validation is the end of the official training set"
    first = MNIST_FILES["train-images-idx3-ubyte"][16 : 16 + 784]
    assert bytes(d.x_train[0].flatten().tolist()) == first
    everything = torch.cat([mnist(small / "d", n_val=10).x_train, d.x_val])
    assert len(everything.flatten(1).unique(dim=0)) == 60, "no image is in two parts"


@pytest.mark.parametrize("by", ["--data-dir", "SNN_DATA"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("layout", ["MNIST/raw", "MNIST", "raw", "."])
def test_layouts(
    layout: str, packed: bool, by: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flag and the variable take the same layouts; ``…/MNIST`` itself may be named as well."""
    write(small / "sets" / layout, MNIST_FILES, packed)
    if by == "SNN_DATA":
        monkeypatch.setenv("SNN_DATA", str(small / "sets"))
    found = mnist(small / "sets" if by == "--data-dir" else None, n_val=10)
    assert not found.stand_in and found.sizes == {"train": 50, "val": 10, "test": 20}


def test_the_folder_mnist_itself_and_names_with_a_dot(small: Path) -> None:
    write(small / "sets" / "MNIST" / "raw", MNIST_FILES)
    assert not mnist(small / "sets" / "MNIST", n_val=10).stand_in
    assert not mnist(small / "sets" / "MNIST" / "raw", n_val=10).stand_in
    dotted = {name.replace("-idx", ".idx"): content for name, content in MNIST_FILES.items()}
    write(small / "unzipped", dotted)
    assert not mnist(small / "unzipped", n_val=10).stand_in


@pytest.mark.parametrize("layout", ["mnist/raw", "Mnist", "MNIST/RAW", "mixed", "folders"])
def test_layouts_in_other_spellings(layout: str, small: Path) -> None:
    """Upper and lower case, plain and packed files side by side, a folder around each file."""
    where, names = small / "sets" / "MNIST", list(MNIST_FILES)
    if layout == "mixed":
        write(where, {name: MNIST_FILES[name] for name in names[:2]}, packed=True)
        write(where, {name: MNIST_FILES[name] for name in names[2:]} | {"._x": b"\0\5\26\7"})
    elif layout == "folders":
        for name in names:
            write(where / name.replace("-idx", ".idx"), {name: MNIST_FILES[name]})
    else:
        write(small / "sets" / layout, MNIST_FILES)
    assert not mnist(small / "sets", n_val=10).stand_in
    assert fashion_mnist(small / "sets").stand_in


@pytest.mark.parametrize(
    "layout", ["fashion-mnist", "fashion_mnist/raw", "fashion-mnist/data/fashion"]
)
def test_fashion_mnist_as_its_authors_spell_it(layout: str, small: Path) -> None:
    write(small / "sets" / layout, FASHION_FILES, packed=True)
    assert fashion_mnist(small / "sets", n_val=10).name == "Fashion-MNIST"


def test_flat_files_tell_the_two_sets_apart(small: Path) -> None:
    """MNIST and Fashion-MNIST have files of the same names: one is not taken, or refused, as the other."""
    write(small / "flat", FASHION_FILES)
    assert fashion_mnist(small / "flat", n_val=10).name == "Fashion-MNIST"
    assert mnist(small / "flat").stand_in
    write(small / "data" / "MNIST" / "raw", MNIST_FILES)
    assert mnist(small / "flat", n_val=10).name == "MNIST", "the next folder has it"


def test_the_flag_comes_before_the_variable_before_data(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(small / "env" / "MNIST" / "raw", MNIST_FILES)
    (small / "given").mkdir()
    monkeypatch.setenv("SNN_DATA", str(small / "env"))
    assert not mnist(small / "given", n_val=10).stand_in
    assert [p.name for p in data.search_path(small / "given")] == ["given", "env", "data"]
    assert [p.name for p in data.search_path(small / "env")] == ["env", "data"]


@pytest.mark.parametrize("quote", ['"', "'", " "])
def test_quotes_around_the_variable_are_not_part_of_it(
    quote: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(small / "my sets" / "MNIST" / "raw", MNIST_FILES)
    monkeypatch.setenv("SNN_DATA", f"{quote}{small / 'my sets'}{quote}")
    assert not mnist(n_val=10).stand_in
    monkeypatch.setenv("SNN_DATA", quote + quote)
    assert data.search_path(None) == [Path("data")]


def test_a_folder_that_is_named_has_to_exist(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="^--data-dir: got .*nowhere, which is no folder"):
        mnist(small / "nowhere")
    (small / "file").touch()
    monkeypatch.setenv("SNN_DATA", str(small / "file"))
    with pytest.raises(UserError, match="^SNN_DATA: got .*file, which is no folder"):
        mnist()
    # a lesson says so before it starts, whether it will need the data or not
    from common.lesson import start

    lesson = load_script("01_lif_neuron")
    with pytest.raises(SystemExit) as stop:
        start(lesson.main, lesson.Config, lesson.SMOKE, lesson.FULL, ["--smoke"])
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and out == "" and err.startswith("error: SNN_DATA: got")
    assert err.count("\n") == 1


@pytest.mark.parametrize("damage", ["truncate", "flip", "longer"])
def test_damaged_file_is_named_and_the_rest_kept(damage: str, small: Path) -> None:
    write(small / "d", MNIST_FILES)
    path = small / "d" / "t10k-images-idx3-ubyte"
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    path.write_bytes(
        {"truncate": content[:-100], "flip": flipped, "longer": content + b"x"}[damage]
    )
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte is damaged.*delete this one file"):
        mnist(small / "d")
    assert len(list(path.parent.iterdir())) == 4


def test_a_cut_archive_is_one_line(small: Path) -> None:
    write(small / "d", MNIST_FILES, packed=True)
    path = small / "d" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte\.gz is damaged") as stop:
        mnist(small / "d")
    assert "\n" not in str(stop.value)
    # the unpacked file beside it is whole, so nothing is amiss
    write(small / "d", MNIST_FILES)
    assert not mnist(small / "d", n_val=10).stand_in


def test_an_archive_that_claims_too_much_is_not_unpacked(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(small / "d", MNIST_FILES, packed=True)
    path = small / "d" / "train-labels-idx1-ubyte.gz"
    with gzip.open(path, "wb") as f:
        for _ in range(200):
            f.write(bytes(1_000_000))
    sizes = []
    real = images.read_bytes
    monkeypatch.setattr(images, "read_bytes", lambda p: sizes.append(len(c := real(p))) or c)
    with pytest.raises(UserError, match="is damaged"):
        mnist(small / "d")
    assert max(sizes) == 50_000_000, "it is read no further than any file of these sets reaches"


def test_no_network_means_a_named_stand_in_and_the_paths_tried(small: Path) -> None:
    (small / "mine").mkdir()
    d = mnist(small / "mine")
    assert d.stand_in and d.name == "scikit-learn digits" and d.classes == tuple("0123456789")
    assert "could not be downloaded: Error downloading" in d.why
    for tried in ("mine/MNIST/raw", "mine/MNIST", "mine/raw", "mine,", "data/MNIST/raw", "data"):
        assert str(Path(tried)) in d.why
    assert "STAND-IN" in d.describe() and d.facts()["stand_in"] is True
    with pytest.raises(UserError, match=r"tried .*mine.raw.* name its folder with --data-dir"):
        mnist(small / "mine", source="real")
    with pytest.raises(ValueError, match="source"):
        mnist(source="fake")
    assert mnist(source="stand-in").why == "--smoke"


def test_a_download_that_dies_half_way_is_no_data_set(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training part arrives, the test part does not: no half set is used, and what came stays."""
    from torchvision import datasets

    def half(self: datasets.MNIST) -> None:
        raw = Path(self.raw_folder)
        raw.mkdir(parents=True, exist_ok=True)
        (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"some bytes"))
        raise ConnectionResetError("connection reset by peer")

    monkeypatch.setattr(datasets.MNIST, "download", half)
    assert mnist().stand_in
    assert (small / "data/MNIST/raw/train-images-idx3-ubyte.gz").exists()


def test_a_download_goes_where_the_first_folder_is(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into ``$SNN_DATA`` as into ``--data-dir``; into ``data/`` if the folder cannot be written."""
    from torchvision import datasets

    monkeypatch.setattr(
        datasets.MNIST, "download", lambda self: write(Path(self.raw_folder), MNIST_FILES)
    )
    monkeypatch.setattr(datasets.MNIST, "_check_exists", lambda self: True)
    (small / "env").mkdir()
    monkeypatch.setenv("SNN_DATA", str(small / "env"))
    assert not mnist(n_val=10).stand_in
    assert (small / "env" / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").is_file()

    (small / "shared").mkdir()
    monkeypatch.setenv("SNN_DATA", str(small / "shared"))
    monkeypatch.setattr(datafiles_files.os, "access", lambda path, mode: False)
    assert not mnist(n_val=10).stand_in
    assert (small / "data" / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").is_file()
    assert not list((small / "shared").iterdir())


def test_digits_are_what_they_say() -> None:
    x, y, x_test, y_test = digits()
    assert len(x) + len(x_test) == 1797 and x.shape[1:] == (1, 28, 28) and x.dtype == torch.uint8
    assert x.max() == 255, "scaled to 0..255"
    assert x[:, :, :4].max() == 0, "a margin of four pixels"
    assert set(y.tolist()) == set(y_test.tolist()) == set(range(10))


def test_batches_of_images_and_labels_on_two_devices() -> None:
    """PyTorch's meta device stands in for a GPU that holds the images: it has shapes, no values."""
    x, y = torch.zeros(7, 1, 2, 2, dtype=torch.uint8, device="meta"), torch.arange(7)
    found = list(batches(x, y, 4, generator=torch.Generator().manual_seed(0)))
    assert [tuple(a.shape) for a, _ in found] == [(4, 1, 2, 2), (3, 1, 2, 2)]
    assert sorted(torch.cat([b for _, b in found]).tolist()) == list(range(7))


def test_batches_cover_everything_once() -> None:
    x = torch.arange(103, dtype=torch.uint8).view(-1, 1, 1, 1)
    y = torch.arange(103)
    seen = list(batches(x, y, 10, generator=torch.Generator().manual_seed(1)))
    assert [len(b) for _, b in seen] == [10] * 10 + [3]
    labels = torch.cat([b for _, b in seen])
    assert labels.tolist() != y.tolist() and sorted(labels.tolist()) == y.tolist()
    pixels = torch.cat([a for a, _ in seen]).flatten()
    assert torch.equal(pixels, labels.float() / 255), "image and label stay together; 0..1"
    again = torch.cat([b for _, b in batches(x, y, 10, generator=torch.Generator().manual_seed(1))])
    assert torch.equal(labels, again)
    in_order = torch.cat([b for _, b in batches(x, y, 10)])
    assert torch.equal(in_order, y), "without a generator nothing is shuffled"


def test_jitter_moves_and_changes_nothing_else() -> None:
    x = torch.zeros(64, 1, 28, 28)
    x[:, :, 10:14, 10:14] = torch.rand(64, 1, 4, 4) + 0.1
    moved = jitter(x, 2)
    assert torch.allclose(moved.sum((1, 2, 3)), x.sum((1, 2, 3))), "nothing falls off the edge here"
    offsets = {tuple(((m[0] > 0).nonzero().min(0).values - 10).tolist()) for m in moved}
    assert all(abs(a) <= 2 and abs(b) <= 2 for a, b in offsets) and len(offsets) > 10
    assert jitter(x, 0) is x


def test_flip_and_shift_moves_whole_pictures() -> None:
    """Each result is the padded picture, mirrored or not, cut out at one of 25 places."""
    torch.manual_seed(0)
    x = torch.rand(64, 3, 8, 8)
    seen = set()
    for before, after in zip(x, flip_and_shift(x, 2), strict=True):
        found = []
        for mirrored in (False, True):
            picture = before.flip(2) if mirrored else before
            padded = torch.nn.functional.pad(picture, (2,) * 4)
            for r in range(5):
                for c in range(5):
                    if torch.equal(padded[:, r : r + 8, c : c + 8], after):
                        found.append((mirrored, r, c))
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 25 and {mirrored for mirrored, _, _ in seen} == {False, True}
    assert torch.equal(flip_and_shift(torch.ones(2, 3, 4, 4), 0), torch.ones(2, 3, 4, 4))
