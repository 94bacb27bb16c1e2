"""N-MNIST from a tar and a tree, the resumable download, the frame cache: damage ends in one clear line."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from common.io import UserError
from eventcam import recordings as event_data
from eventcam.events import EVENT, aer_encode, event_array
from eventcam.recordings import (
    EventData,
    Frames,
    assert_disjoint,
    content_hash,
    download,
    dvs_gesture,
    five_folds,
    inner_split,
    make_frames,
    nmnist,
    read_frames,
    rendered_gestures,
    write_frames,
)
from eventcam.scenes import GESTURES, _hands, with_noise

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder, no data of this machine, no network for Tonic."""
    import tonic

    def fail(self: object) -> None:
        raise OSError("no network here")

    monkeypatch.delenv("SNN_DATA", raising=False)
    monkeypatch.setattr(tonic.datasets.NMNIST, "download", fail)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def recording(seed: int, n: int = 200, side: int = 34) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return event_array(
        rng.integers(side, size=n),
        rng.integers(side, size=n),
        np.sort(rng.integers(300_000, size=n)),
        rng.integers(2, size=n) > 0,
    )


def files() -> dict[str, bytes]:
    """Twelve recordings of 40-bit words: numbers run across the digits, as in N-MNIST."""
    return {
        f"{part}/{i % 10}/{i + 1:05d}.bin": aer_encode(recording(base + i), 34, 34).tobytes()
        for part, base, n in (("Train", 0, 8), ("Test", 100, 4))
        for i in range(n)
    }


def write_tar(path: Path, content: dict[str, bytes], reverse: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name in sorted(content, reverse=reverse):
            info = tarfile.TarInfo(name)
            info.size = len(content[name])
            tar.addfile(info, io.BytesIO(content[name]))
    return path


def write_tree(folder: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


# ---------------------------------------------------------------------------------------- N-MNIST


@pytest.mark.parametrize("tree", ["NMNIST", "nmnist-subset", ".", None])
def test_nmnist_from_tar_and_tree_is_what_was_encoded(alone: Path, tree: str | None) -> None:
    if tree is None:
        write_tar(alone / event_data.NMNIST_TAR, files(), reverse=True)
    else:
        write_tree(alone / tree, files())
    data = nmnist(alone)
    assert (
        not data.stand_in
        and data.sizes == {"train": 8, "test": 4}
        and data.name == "N-MNIST (12 recordings)"
    )
    assert data.y.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3]
    for got, expected in zip(
        data.recordings, [*map(recording, range(8)), *map(recording, range(100, 104))], strict=True
    ):
        assert got.dtype == EVENT and np.array_equal(got, expected)
    assert len(set(data.hashes)) == 12
    assert nmnist(alone, n_train=3, n_test=2).y.tolist() == [0, 1, 2, 0, 1]


def test_a_download_that_fails_leaves_no_empty_folder(alone: Path, monkeypatch) -> None:
    """Tonic makes NMNIST/ before it asks the server."""
    import tonic

    def fail(self: tonic.datasets.NMNIST) -> None:
        Path(self.location_on_system).mkdir(parents=True)
        raise OSError("no network here")

    monkeypatch.setattr(tonic.datasets.NMNIST, "download", fail)
    assert nmnist(alone).stand_in and not list(alone.rglob("NMNIST"))


def test_nmnist_that_is_not_there(alone: Path) -> None:
    data = nmnist(alone)
    assert data.stand_in and "N-MNIST" not in data.name and "no network here" in data.why
    assert (
        len(data.recordings) == len(data.y) == sum(data.sizes.values())
        and min(map(len, data.recordings)) > 100
    )
    with pytest.raises(UserError, match="--data-dir"):
        nmnist(alone, source="real")
    with pytest.raises(ValueError, match="source"):
        nmnist(alone, source="maybe")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: {**f, "Train/3/00004.bin": f["Train/3/00004.bin"][:-1]}, "multiple of 5"),
        (lambda f: {**f, "Train/3/00004.bin": b""}, "0 bytes"),
        (lambda f: {**f, "Train/3/00004.bin": bytes([99, 0, 0, 0, 1])}, "off the 34×34 sensor"),
        (lambda f: {k: v for k, v in f.items() if k.startswith("Train")}, "no recording Test"),
    ],
)
def test_damaged_nmnist_is_one_line(alone: Path, damage, message: str) -> None:
    write_tar(alone / event_data.NMNIST_TAR, damage(files()))
    with pytest.raises(UserError, match=message):
        nmnist(alone)


def test_cut_tar_is_one_line(alone: Path) -> None:
    path = write_tar(alone / event_data.NMNIST_TAR, files())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match="damaged"):
        nmnist(alone)


# ---------------------------------------------------------------------------------------- splits


def test_a_copy_under_another_name_is_found() -> None:
    hashes = [content_hash(recording(i)) for i in (0, 1, 2, 1)]
    assert_disjoint(hashes, [0, 1], [2])
    with pytest.raises(AssertionError, match="recording 3 of the test part is recording 1"):
        assert_disjoint(hashes, [0, 1], [2, 3])


@pytest.mark.parametrize("folds", [2, 5])
def test_folds_are_a_partition_with_classes_spread(folds: int) -> None:
    y = torch.tensor([0] * 23 + [1] * 9 + [2] * 40)[torch.randperm(72)]
    fold = five_folds(y, folds, seed=3)
    sizes = fold.bincount(minlength=folds)
    assert sizes.sum() == 72 and sizes.max() - sizes.min() <= 1
    for k in y.unique():
        per = fold[y == k].bincount(minlength=folds)
        assert per.max() - per.min() <= 1
    train, val = inner_split((fold != 0).nonzero()[:, 0], 0)
    assert len(val) == len(torch.cat([train, val])) // 10
    assert sorted(torch.cat([train, val]).tolist()) == (fold != 0).nonzero()[:, 0].tolist()


# ---------------------------------------------------------------------------------------- frames


def small(n: int = 5, seed: int = 0) -> EventData:
    recordings = [recording(seed + i, 50 + 30 * i) for i in range(n)]
    return EventData(
        "small",
        False,
        ("a", "b"),
        (34, 34, 2),
        recordings,
        torch.arange(n) % 2,
        n,
        [content_hash(r) for r in recordings],
    )


def frames_of(data: EventData, folder: Path | None = None, **how: int) -> Frames:
    from tonic.transforms import ToFrame

    return make_frames(data, [ToFrame(data.sensor_size, **how)], folder)


def test_ragged_frames_and_their_padding() -> None:
    data = small()
    f = frames_of(data, event_count=20)
    assert f.lengths.tolist() == [len(r) // 20 for r in data.recordings] and len(f) == 5
    padded = f.padded()
    for i in range(5):
        n = int(f.lengths[i])
        assert (
            torch.equal(padded[i, :n], f[i]) and padded[i, n:].sum() == 0 and f[i].sum() == 20 * n
        )
    assert torch.equal(f.padded(2), padded[:, :2])


def test_cache_is_read_back_and_named_by_what_made_it(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, folder = small(), alone / "cache"
    first = frames_of(data, folder, n_time_bins=4)
    frames_of(data, folder, n_time_bins=5)
    other = frames_of(small(seed=50), folder, n_time_bins=4)
    assert len(list(folder.glob("frames-*.safetensors"))) == 3 and not list(folder.glob(".*"))
    assert not torch.equal(other.frames, first.frames)
    monkeypatch.setattr(data, "recordings", [])  # from here on the cache alone can answer
    again = frames_of(data, folder, n_time_bins=4)
    assert all(
        torch.equal(a, b) for a, b in zip(vars(first).values(), vars(again).values(), strict=True)
    )


@pytest.mark.parametrize("keep", [0, 7, 200, 0.5, 0.999])
def test_cut_cache_is_made_anew(alone: Path, keep: float) -> None:
    data, folder = small(), alone / "cache"
    first = frames_of(data, folder, n_time_bins=4)
    (path,) = folder.glob("frames-*")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    assert read_frames(path) is None
    assert torch.equal(frames_of(data, folder, n_time_bins=4).frames, first.frames)
    assert path.read_bytes() == whole


def test_a_flipped_bit_is_found_wherever_it_lies(alone: Path) -> None:
    path = write_frames(alone / "f.safetensors", frames_of(small(), n_time_bins=4))
    whole, good = path.read_bytes(), read_frames(path)
    assert good is not None
    for at in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        got = read_frames(path)  # None, or a flip that changes nothing (a blank of the header)
        assert got is None or all(
            torch.equal(a, b) for a, b in zip(vars(got).values(), vars(good).values(), strict=True)
        )


def test_interrupted_write_leaves_the_old_cache(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch

    path = write_frames(alone / "f.safetensors", frames_of(small(), n_time_bins=4))
    before = path.read_bytes()

    def cut(parts: dict, tmp: Path, **_: object) -> None:
        tmp.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(safetensors.torch, "save_file", cut)
    with pytest.raises(KeyboardInterrupt):
        write_frames(path, frames_of(small(), n_time_bins=3))
    assert path.read_bytes() == before and [p.name for p in alone.glob("*f.safetensors*")] == [
        "f.safetensors"
    ]


# ---------------------------------------------------------------------------------------- download

BODY = bytes(np.random.default_rng(0).integers(256, size=300_000, dtype=np.uint8))
MD5 = hashlib.md5(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """``/<kind>``: ok, noranges, drop (breaks off twice), always (breaks off always), empty, missing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str] = []
        self.files: dict[str, bytes] = {}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        kind, wanted = self.path.strip("/"), self.headers.get("Range") or ""
        self.server.ranges.append(wanted)
        body = self.server.files.get(kind, b"" if kind == "empty" else BODY)
        if kind == "missing":
            self.send_error(404)
            return
        start = 0
        if wanted and kind != "noranges":
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        broken = kind == "always" or (kind == "drop" and len(self.server.ranges) < 3)
        self.wfile.write(body[start : start + 70_000] if broken else body[start:])


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as s:
        threading.Thread(target=s.serve_forever, daemon=True).start()
        yield s
        s.shutdown()


def fetch(server: Server, kind: str, path: Path, md5: str = MD5, **options: float) -> Path:
    return download(
        f"http://127.0.0.1:{server.server_port}/{kind}", path, md5, timeout=5, **options
    )


@pytest.mark.parametrize("kind", ["ok", "noranges", "drop"])
def test_download_arrives_whole(server: Server, alone: Path, kind: str) -> None:
    path = fetch(server, kind, alone / "deep" / "a.tar.gz")
    assert path.read_bytes() == BODY and [p.name for p in path.parent.iterdir()] == ["a.tar.gz"]
    if kind == "drop":
        assert server.ranges == ["", "bytes=70000-", "bytes=140000-"], (
            "it must go on where it broke off"
        )


def test_download_that_breaks_again_and_again_keeps_what_came(server: Server, alone: Path) -> None:
    path = alone / "a.tar.gz"
    with pytest.raises(UserError, match="140,000 bytes.*run again"):
        fetch(server, "always", path, tries=2)
    part = alone / "a.tar.gz.part"
    assert part.read_bytes() == BODY[:140_000] and not path.exists()
    server.ranges.clear()
    assert fetch(server, "ok", path).read_bytes() == BODY and server.ranges == ["bytes=140000-"]
    assert not part.exists()


def test_server_without_ranges_starts_anew(server: Server, alone: Path) -> None:
    (alone / "a.part").write_bytes(b"x" * 400_000)  # longer than the file, too
    assert fetch(server, "noranges", alone / "a").read_bytes() == BODY


def test_part_that_is_complete_needs_no_more_bytes(server: Server, alone: Path) -> None:
    (alone / "a.part").write_bytes(BODY)
    assert fetch(server, "ok", alone / "a").read_bytes() == BODY


def test_wrong_checksum_is_set_aside(server: Server, alone: Path) -> None:
    other = alone / "other.tar.gz"
    other.write_bytes(b"kept")
    with pytest.raises(UserError, match="expected 00000000…; it was set aside as a.wrong") as stop:
        fetch(server, "ok", alone / "a", md5="0" * 32)
    assert "\n" not in str(stop.value)
    assert (
        (alone / "a.wrong").read_bytes() == BODY
        and not (alone / "a").exists()
        and not (alone / "a.part").exists()
    )
    assert other.read_bytes() == b"kept"
    assert fetch(server, "ok", alone / "a").read_bytes() == BODY


def test_empty_answer_is_one_line(server: Server, alone: Path) -> None:
    with pytest.raises(UserError, match="empty file"):
        fetch(server, "empty", alone / "a")
    assert list(alone.glob("a*")) == []


def test_nobody_there(server: Server, alone: Path) -> None:
    with pytest.raises(OSError, match="404"):
        fetch(server, "missing", alone / "a")
    (alone / "a.part").write_bytes(BODY[:5000])
    with pytest.raises(UserError, match="5,000 bytes"):
        fetch(server, "missing", alone / "a", tries=1)
    assert (alone / "a.part").stat().st_size == 5000
    server.server_close()


# ---------------------------------------------------------------------------------------- DVS128 Gesture


def gesture_tar(path: Path, folder: str, user: str, n: int = 101) -> bytes:
    """``n`` recordings in the form of Tonic's copy: columns x, y, p, t in ms."""
    content = {}
    for i in range(n):
        rows = np.array([[i % 128, 5, 1, 3], [7, i % 128, 0, 9]], dtype=np.float64)
        buffer = io.BytesIO()
        np.save(buffer, rows)
        content[f"{folder}/{user}_fluorescent_{i // 11}/{i % 11}.npy"] = buffer.getvalue()
    return write_tar(path, content).read_bytes()


@pytest.fixture
def gestures(server: Server, alone: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    from tonic.datasets import DVSGesture

    for part, folder, user in (
        ("train", "ibmGestureTrain", "user01"),
        ("test", "ibmGestureTest", "user24"),
    ):
        body = gesture_tar(alone / "made" / f"{part}.tar.gz", folder, user)
        server.files[getattr(DVSGesture, f"{part}_url").rsplit("/", 1)[1]] = body
        monkeypatch.setattr(DVSGesture, f"{part}_md5", hashlib.md5(body).hexdigest())
    return server


def test_dvs_gesture_by_its_file_ids(gestures: Server, alone: Path) -> None:
    url = f"http://127.0.0.1:{gestures.server_port}/"
    data = dvs_gesture(alone, url=url)
    assert (
        data.name == "DVS128 Gesture"
        and not data.stand_in
        and data.sizes == {"train": 101, "test": 101}
    )
    assert (
        len(data.classes) == 11
        and data.sensor_size == (128, 128, 2)
        and len(data.recordings) == 202
    )
    events = data.recordings[0]
    assert events["t"].tolist() == [3000, 9000] and events["p"].tolist() == [True, False]
    assert int(data.y[0]) == 0 and sorted(data.y[:11].tolist()) == list(range(11))
    gestures.files.clear()
    assert dvs_gesture(alone, url=url).sizes == data.sizes, "what is there is not fetched again"


@pytest.mark.parametrize("tree", ["DVSGesture", "DVS128Gesture", "."])
@pytest.mark.parametrize("unpacked", [False, True])
def test_dvs_gesture_from_what_lies_on_the_disk(
    gestures: Server, alone: Path, tree: str, unpacked: bool
) -> None:
    """Archives, or the folders that were in them, put there by hand: no server is asked."""
    from tonic.datasets import DVSGesture

    (alone / tree).mkdir(exist_ok=True)
    for part in ("train", "test"):
        body = (alone / "made" / f"{part}.tar.gz").read_bytes()
        if unpacked:
            with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                tar.extractall(alone / tree, filter="data")
        else:
            (alone / tree / getattr(DVSGesture, f"{part}_filename")).write_bytes(body)
    data = dvs_gesture(alone, url="http://127.0.0.1:9/")
    assert not data.stand_in and data.sizes == {"train": 101, "test": 101}
    assert data.recordings[3]["t"].tolist() == [3000, 9000] and not gestures.ranges
    assert len(set(data.hashes[:101])) == 101


def test_dvs_archive_that_was_damaged_on_the_way(gestures: Server, alone: Path) -> None:
    from tonic.datasets import DVSGesture

    (alone / DVSGesture.train_filename).write_bytes(b"half of it")
    with pytest.raises(UserError, match="is damaged .MD5.*delete it and run again"):
        dvs_gesture(alone, url="http://127.0.0.1:9/")


def test_dvs_gesture_with_a_wrong_file(gestures: Server, alone: Path) -> None:
    gestures.files["38020584"] = b"another file"
    with pytest.raises(UserError, match="ibmGestureTest.tar.gz: got MD5"):
        dvs_gesture(alone, url=f"http://127.0.0.1:{gestures.server_port}/")
    assert (alone / "DVSGesture" / "ibmGestureTrain.tar.gz").is_file(), "the other archive stays"


def test_interrupted_unpacking_is_done_again(gestures: Server, alone: Path) -> None:
    half = alone / "DVSGesture" / ".ibmGestureTrain.unpacking"
    half.mkdir(parents=True)
    (half / "left over").write_bytes(b"x")
    assert dvs_gesture(alone, url=f"http://127.0.0.1:{gestures.server_port}/").sizes["train"] == 101
    assert not half.exists()


def few(per_class: int, seed: int = 0) -> tuple[list[np.ndarray], torch.Tensor]:
    return [recording(i, side=64) for i in range(330)], torch.arange(330) % 11


def test_rendered_gestures_are_no_stand_in_until_they_take_the_place(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_data, "arm_gestures", few)
    own = rendered_gestures()
    assert not own.stand_in and "not DVS128 Gesture" in own.name
    instead = dvs_gesture(alone, url="http://127.0.0.1:9/")
    assert (
        instead.stand_in and instead.name == own.name and "could not be downloaded" in instead.why
    )
    with pytest.raises(UserError, match="DVS128 Gesture is not here"):
        dvs_gesture(alone, source="real", url="http://127.0.0.1:9/")


def test_clockwise_turns_clockwise_on_the_picture() -> None:
    """y points down, so a clockwise turn has a positive cross product of successive steps."""
    t = np.arange(0, 1, 0.02)
    for gesture, arm, sign in ((3, 0, 1), (4, 0, -1), (5, 1, 1), (6, 1, -1)):
        step = np.diff(_hands(gesture, t, np.random.default_rng(gesture))[:, arm], axis=0)
        cross = step[:-1, 0] * step[1:, 1] - step[:-1, 1] * step[1:, 0]
        assert (sign * cross > 0).all(), GESTURES[gesture]


def test_noise_label_stays_with_its_event() -> None:
    a, b = recording(1), recording(2, 60)
    both = with_noise(a, b)
    assert (np.diff(both["t"]) >= 0).all() and both["noise"].sum() == 60
    for truth, source in ((False, a), (True, b)):
        got = both[both["noise"] == truth]
        assert all(np.array_equal(got[f], source[f]) for f in EVENT.names)
