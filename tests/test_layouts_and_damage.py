"""Data sets as users have them on disk, and damaged: event recordings, archives, what the Pi reads."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import lzma
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from akd1000 import device as device_side
from common.data import search_path
from common.io import UserError, load_weights, one_line_errors, save_weights
from datafiles import files as datafiles
from datafiles import weights
from datafiles.files import Damaged, members
from eventcam import recordings
from eventcam.recordings import Frames, dvs_gesture, nmnist, read_frames, write_frames
from training import sweep

import numpy as np
import pytest
import torch
from helpers import ROOT
from safetensors.torch import save as safetensors_save
from test_event_data import files, gesture_tar, write_tar, write_tree


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder, no data of this machine, no network."""
    import tonic

    def fail(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.delenv("SNN_DATA", raising=False)
    monkeypatch.setattr(tonic.datasets.NMNIST, "download", fail)
    monkeypatch.setattr(recordings, "download", fail)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def write_zip(path: Path, content: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in content.items():
            packed.writestr(name, data)
    return path


def part(name: str) -> dict[str, bytes]:
    return {path: data for path, data in files().items() if path.startswith(name)}


HIDDEN = {
    "Train/3/._00004.bin": b"\0\5\26\7 from a Mac",
    "Train/3/.DS_Store": b"x",
    "__MACOSX/Train/3/._00004.bin": b"\0\5\26\7 from a Mac",
    "Train/3/readme.txt": b"x",
}


# -------------------------------------------------------------------- N-MNIST


@pytest.mark.parametrize("below", ["NMNIST", "N-MNIST", "n_mnist", "."])
@pytest.mark.parametrize("layout", ["zips", "lower", "mixed", "hidden"])
def test_nmnist_layouts(layout: str, below: str, alone: Path) -> None:
    folder = alone / "sets" / below
    if layout == "zips":  # as Tonic downloads them
        write_zip(folder / "Train.zip", part("Train") | HIDDEN)
        write_zip(folder / "Test.zip", part("Test"))
    elif layout == "lower":
        write_tree(folder, {name.lower(): data for name, data in files().items()})
    elif layout == "mixed":
        write_tree(folder, part("Train"))
        write_zip(folder / "test.zip", {n.lower(): d for n, d in part("Test").items()})
    else:
        write_tree(folder, files() | HIDDEN)
    data = nmnist(alone / "sets")
    assert not data.stand_in and data.sizes == {"train": 8, "test": 4}
    assert data.y.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3]
    assert nmnist(alone / "sets", n_train=3, n_test=2).y.tolist() == [0, 1, 2, 0, 1]


def test_nmnist_as_one_archive_with_folders_around(alone: Path) -> None:
    content = {f"NMNIST/{name}": data for name, data in (files() | HIDDEN).items()}
    write_zip(alone / "a" / "NMNIST.zip", content)
    write_tar(alone / "b" / "nmnist-subset.tar.gz", content, reverse=True)
    write_zip(alone / "c" / "N_MNIST.ZIP", content)
    for name in "bc":
        assert nmnist(alone / "a").hashes == nmnist(alone / name).hashes


def test_nmnist_in_the_variable_and_the_paths_tried(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(alone / "sets" / "NMNIST", files())
    monkeypatch.setenv("SNN_DATA", f'"{alone / "sets"}"')
    assert not nmnist().stand_in
    (alone / "empty").mkdir()
    monkeypatch.setenv("SNN_DATA", str(alone / "empty"))
    why = nmnist().why
    for path in ("empty/NMNIST", "empty/nmnist-subset.tar.gz", "data/NMNIST"):
        assert str(Path(path)) in why
    with pytest.raises(UserError, match=r"tried .*nmnist-subset\.tar\.gz"):
        nmnist(source="real")


def test_a_tilde_is_the_home_folder(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell leaves it alone inside quotes, and so does a .env file."""
    (alone / "sets").mkdir()
    monkeypatch.setenv("HOME", str(alone))
    monkeypatch.setenv("USERPROFILE", str(alone))
    monkeypatch.setenv("SNN_DATA", "~/sets")
    assert search_path(None)[0] == alone / "sets" == device_side.data_folders(None)[0]


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "zip"])
def test_a_flipped_bit_of_an_archive_is_found(kind: str, alone: Path) -> None:
    """Wherever it lies; a plain tar has checksums in its headers alone, which are found as well."""
    if kind == "zip":
        path = write_zip(alone / "nmnist-subset.zip", files())
        places = np.linspace(40, path.stat().st_size - 1, 25).astype(int)
    else:
        path = write_tar(alone / "nmnist-subset.tar.gz", files())
        places = np.linspace(10, path.stat().st_size - 1, 25).astype(int)
        if kind == "tar":
            content = gzip.decompress(path.read_bytes())
            path.unlink()
            path = alone / "nmnist-subset.tar"
            path.write_bytes(content)
            starts = [i for i in range(0, len(content), 512) if content[i : i + 5] == b"Train"]
            places = np.array([i + 148 for i in starts])  # the checksum of a header
    whole, good = path.read_bytes(), nmnist(alone).hashes
    for at in places:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            assert nmnist(alone).hashes == good, f"byte {at}"  # a flip that changes nothing
        except UserError as e:
            assert "nmnist-subset" in str(e) and "\n" not in str(e)


def claiming(path: Path, size: int) -> Path:
    """A tar whose only member says that it has so many bytes, and has few."""
    info = tarfile.TarInfo("Train/0/00001.bin")
    info.size = size
    path.write_bytes(info.tobuf() + bytes(2048))
    return path


def test_an_archive_that_claims_12_gb_is_refused_before_memory_is_taken(alone: Path) -> None:
    path = claiming(alone / "nmnist-subset.tar", 12_000_000_000)
    with pytest.raises(UserError, match="claims 12,000,000,000 bytes, too many for this set"):
        nmnist(alone)
    # the same in a zip, whose directory says what it likes
    path.unlink()
    path = write_zip(alone / "nmnist-subset.zip", {"Train/0/00001.bin": bytes(5)})
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\1\2")
    raw[at + 24 : at + 28] = struct.pack("<I", 4_000_000_000)
    path.write_bytes(raw)
    with pytest.raises(UserError, match="claims 4,000,000,000 bytes"):
        nmnist(alone)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_note_in_an_archive_that_claims_12_gb_takes_no_memory_either(
    kind: bytes, alone: Path
) -> None:
    """Long names stand in members of their own, which tarfile reads before it shows any."""
    info = tarfile.TarInfo("././@LongLink")
    info.size, info.type = 12_000_000_000, kind
    path = alone / "nmnist-subset.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
    with pytest.raises(UserError, match="a note in it claims 12,000,000,000 bytes, too many"):
        nmnist(alone)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.97])
@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz", "zip"])
def test_a_cut_archive_is_one_line(suffix: str, keep: float, alone: Path) -> None:
    packed = write_tar(alone / "a.tar.gz", files()).read_bytes()
    plain = gzip.decompress(packed)
    path = alone / f"set.{suffix}"
    if suffix == "zip":
        write_zip(path, files())
    else:
        path.write_bytes({"tar": plain, "tar.gz": packed}.get(suffix) or lzma.compress(plain))
    assert sum(1 for _ in members(path)) == 12
    content = path.read_bytes()
    if suffix == "tar":  # at the end of a file's last block: nothing inside looks cut
        length = content.rstrip(b"\0").__len__() // 512 * 512 + 512
        path.write_bytes(content[: {0.0: 0, 0.3: 512, 0.97: length}[keep]])
    else:
        path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(Damaged, match="is damaged or cannot be read") as stop:
        list(members(path))
    assert "\n" not in str(stop.value)


# -------------------------------------------------------------------- DVS128 Gesture


@pytest.fixture
def gestures(alone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both parts unpacked, without their archives, below ``sets/DVSGesture``."""
    folder = alone / "sets" / "DVSGesture"
    for name, user in (("ibmGestureTrain", "user01"), ("ibmGestureTest", "user24")):
        path = alone / f"{name}.tar.gz"
        gesture_tar(path, name, user, n=22)
        with tarfile.open(path) as tar:
            tar.extractall(folder, filter="data")
    return folder


def test_gestures_unpacked_without_their_archive(gestures: Path, alone: Path) -> None:
    (gestures / "ibmGestureTrain" / "__MACOSX").mkdir()
    (gestures / "ibmGestureTrain" / "user01_fluorescent_0" / "._0.npy").write_bytes(b"x")
    (gestures / ".DS_Store").touch()
    data = dvs_gesture(alone / "sets")
    assert data.name == "DVS128 Gesture" and data.sizes == {"train": 22, "test": 22}
    assert data.recordings[0]["t"].tolist() == [3000, 9000]
    assert data.y[:11].tolist() == sorted(range(11), key=str)
    assert dvs_gesture(gestures).hashes == data.hashes, "the folder itself"
    for name in ("DvsGesture", "dvs128-gesture"):
        gestures = gestures.rename(alone / name)
        assert dvs_gesture(alone).hashes == data.hashes


def test_a_damaged_gesture_is_one_line(gestures: Path, alone: Path) -> None:
    data = dvs_gesture(alone / "sets")
    path = gestures / "ibmGestureTrain" / "user01_fluorescent_0" / "0.npy"
    whole = path.read_bytes()
    bad = {"cut": whole[:-9], "empty": b"", "text": b"not an array"}
    for name, rows in (
        ("nan", [[1, 2, 1, np.nan]]),
        ("off", [[128, 2, 1, 3]]),
        ("columns", [[1, 2, 1]]),
    ):
        buffer = io.BytesIO()
        np.save(buffer, np.array(rows, dtype=np.float64))
        bad[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    bad["pickle"] = buffer.getvalue()
    for name, content in bad.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"0\.npy is damaged or cannot be read") as stop:
            data.recordings[0]
        assert "\n" not in str(stop.value), name
    with pytest.raises(IndexError):
        data.recordings[44]


def test_an_archive_put_there_by_hand_is_checked(alone: Path) -> None:
    folder = alone / "sets" / "DVSGesture"
    gesture_tar(folder / "ibmGestureTrain.tar.gz", "ibmGestureTrain", "user01", n=3)
    with pytest.raises(UserError, match=r"ibmGestureTrain\.tar\.gz is damaged \(MD5"):
        dvs_gesture(alone / "sets")
    shutil.rmtree(folder)
    why = str(pytest.raises(UserError, dvs_gesture, alone / "sets", source="real").value)
    assert "tried" in why and str(alone / "sets" / "DVSGesture") in why


# -------------------------------------------------------------------- caches


def test_a_frame_cache_of_other_shapes_is_made_anew(alone: Path) -> None:
    frames = torch.zeros(6, 2, 3, 4, dtype=torch.uint8)
    good = Frames(frames, torch.tensor([2, 4]), torch.tensor([9, 9]))
    path = write_frames(alone / "f.safetensors", good)
    assert read_frames(path) is not None
    header = path.read_bytes()
    for old, new in ((b"[6,2,3,4]", b"[6,2,4,3]"), (b'"dtype":"U8"', b'"dtype":"I8"')):
        assert old in header
        path.write_bytes(header.replace(old, new))
        assert read_frames(path) is None, "the same bytes mean something else"
    write_frames(path, Frames(frames, torch.tensor([2, 3]), torch.tensor([9, 9])))
    assert read_frames(path) is None, "the lengths are not those of the frames"


# -------------------------------------------------------------------- what the Pi reads


def idx(array: np.ndarray) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def pi_files(folder: Path, **changed: np.ndarray) -> None:
    arrays = {"images": np.ones((4, 28, 28), np.uint8), "labels": np.arange(4, dtype=np.uint8)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(device_side.TEST_FILES, (arrays | changed).values(), strict=True):
        (folder / name).write_bytes(idx(array))


@pytest.mark.parametrize("below", ["MNIST/raw", "MNIST", "raw", "."])
def test_the_pi_finds_what_the_pc_finds(
    below: str, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi_files(alone / "my sets" / below)
    labels = alone / "my sets" / below / device_side.TEST_FILES[1]
    labels.with_name("t10k-labels.idx1-ubyte.gz").write_bytes(gzip.compress(labels.read_bytes()))
    labels.unlink()
    monkeypatch.setenv("SNN_DATA", f'"{alone / "my sets"}"')
    x, y = device_side.read_test_set(*device_side.find_test_files(None))
    assert x.shape == (4, 28, 28) and y.tolist() == [0, 1, 2, 3]
    monkeypatch.setenv("SNN_DATA", str(alone / "nowhere"))
    with pytest.raises(ValueError, match="SNN_DATA: got .*nowhere, which is no folder"):
        device_side.find_test_files(None)


def test_the_pi_refuses_what_does_not_belong_together(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (
        {"images": np.ones((4, 32, 32), np.uint8)},
        {"images": np.ones((5, 28, 28), np.uint8)},
        {"labels": np.full(4, 12, np.uint8)},
    ):
        pi_files(alone / "sets", **wrong)
        with pytest.raises(ValueError, match="expected .N, 28, 28. and N labels 0 to 9"):
            device_side.read_test_set(*device_side.find_test_files(alone / "sets"))
    pi_files(alone / "sets")
    pixels = np.ones((4, 28, 28), np.uint8).tobytes()
    monkeypatch.setattr(device_side, "FASHION_PIXELS", hashlib.md5(pixels).hexdigest())
    with pytest.raises(ValueError, match="is Fashion-MNIST's"):
        device_side.read_test_set(*device_side.find_test_files(alone / "sets"))


def test_the_pi_reads_no_further_than_mnist_reaches(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_side, "LIMIT", 1000)
    (alone / "x.gz").write_bytes(gzip.compress(bytes(5000)))
    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        device_side.read_idx(alone / "x.gz")
    sizes = struct.pack(">4I", *[1 << 16] * 4)  # 2^64 bytes: 0 in 64-bit arithmetic
    (alone / "x").write_bytes(b"\0\0\x08\x04" + sizes)
    with pytest.raises(ValueError, match="expected 18,446,744,073,709,551,636"):
        device_side.read_idx(alone / "x")


def test_first_writable(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datafiles.os, "access", lambda path, mode: path.name == "work")
    assert datafiles.first_writable([alone, alone / "work", alone / "x"]).name == "work"
    assert datafiles.first_writable([alone, alone / "x"]).name == "x"


# -------------------------------------------------------------------- weights, and what a sweep keeps


def test_every_flipped_bit_of_a_weights_file_is_found(alone: Path) -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    path = save_weights(net, alone / "w.safetensors")
    good = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            load_weights(net, path)
        except UserError as e:
            assert "w.safetensors" in str(e) and "\n" not in str(e)
        assert all(torch.equal(t, good[n]) for n, t in net.state_dict().items()), f"byte {at}"
    path.write_bytes(whole)
    load_weights(net, path)
    path.write_bytes(safetensors_save(good))  # of another tool, without a digest
    load_weights(net, path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_weights_of_other_types_and_shapes(dtype: torch.dtype, alone: Path) -> None:
    there = {"a": torch.ones(2, 3).to(dtype), "b": torch.zeros((), dtype=dtype)}
    there["none"] = torch.zeros(0, 4, dtype=dtype)
    path = alone / "w.safetensors"
    path.write_bytes(weights.pack(there))
    assert all(torch.equal(t, there[n]) for n, t in weights.unpack(path).items())


def test_a_point_of_a_sweep_with_another_number_is_made_anew(alone: Path) -> None:
    path = alone / "p.json"
    sweep._one("p", path, "mark", lambda a: {"value": a}, (0.75,))
    assert sweep.finished(path, "mark") == {"value": 0.75}
    path.write_bytes(path.read_bytes().replace(b"0.75", b"0.35"))
    assert sweep.finished(path, "mark") is None


def test_a_full_disk_while_unpacking_does_not_blame_the_archive(alone: Path) -> None:
    with pytest.raises(OSError, match="No space"), datafiles.reading(alone / "a.tar.gz"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(Damaged), datafiles.reading(alone / "a.tar.gz"):
        raise OSError("not a gzip file")


# -------------------------------------------------------------------- what a program prints


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_one_line(unbuffered: str) -> None:
    code = "from common.io import one_line_errors\nwith one_line_errors(): print('a ' * 9000)"
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, env=env
        )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: what this prints: No space left on device")


def test_a_missing_package_is_one_line_from_the_first_import_on() -> None:
    for name, kind in (("no_such_package", "the package 'no_such_package' is missing"), ("x", "")):
        code = f"import common, sys; sys.modules['x'] = None; import {name}"
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert kind in done.stderr and "uv sync" in done.stderr
    done = subprocess.run(
        [sys.executable, "-c", "import common, common.nothing"],
        capture_output=True,
        text=True,
        env=env,
    )
    assert "Traceback" in done.stderr, "one of the course's own is a fault of ours"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nand more"),
    ],
)
def test_no_memory_left_is_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """As after ``--num-steps 100000``; any other error of PyTorch's is a fault of ours, with its traceback."""
    with pytest.raises(SystemExit) as stop, one_line_errors():
        raise error
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.startswith("error: out of memory") and err.count("\n") == 1
    with pytest.raises(RuntimeError, match="shapes"), one_line_errors():
        raise RuntimeError("shapes do not match")
