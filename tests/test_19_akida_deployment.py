"""Lesson 19: the Pi's part alone, equation (1) and (3) against other computations, the move to tf_keras, the file."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from akd1000 import device as device_side
from akd1000 import fbz
from common.claims import meets

import numpy as np
import pytest
import torch
from helpers import ROOT, load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits

lesson = load_script("19_akida_deployment")
RESULT = ROOT / "docs" / "results" / "19_akida_deployment.json"

# Loaded by the child at start: these packages are not found, as if they had never been installed.
BLOCK = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = classmethod(
    lambda cls, name, path=None, target=None: None if name.split(".")[0] in {names} else find(name, path, target))
"""


HEAVY = set(
    "torch tensorflow tf_keras keras quantizeml cnn2snn matplotlib snntorch rich tyro sklearn torchvision".split()
)
"""What a Pi need not have"""


def run_blocked(
    names: set[str], *argv: str, folder: Path, root: Path = ROOT, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """The script as a user runs it, on a machine that lacks some packages."""
    site = folder / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(BLOCK.format(names=names), encoding="utf-8")
    env = {k: v for k, v in os.environ.items() if k != "SNN_DATA"}
    env |= {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, str(root / "19_akida_deployment.py"), *argv],
        cwd=folder,
        env=env,
        text=True,
        capture_output=True,
        timeout=timeout,
        encoding="utf-8",
        check=False,
    )


def idx(array: np.ndarray) -> bytes:
    """An array in MNIST's file format."""
    return (
        b"\0\0\x08"
        + bytes([array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.fixture(scope="module")
def akida():
    return pytest.importorskip("akida")


def small_network(akida, seed: int = 0, outputs: int = 10, size: int = 28):
    """A random network for the chip, built without TensorFlow."""
    rng, model = np.random.default_rng(seed), akida.Model()
    model.add(
        akida.InputConvolutional(
            (size, size, 1),
            (5, 5),
            8,
            name="conv1",
            kernel_stride=(2, 2),
            weights_bits=8,
            act_bits=4,
        )
    )
    model.add(
        akida.Convolutional(
            (3, 3),
            8,
            name="conv2",
            weights_bits=4,
            pool_size=(2, 2),
            pool_type=akida.PoolType.Max,
            act_bits=4,
        )
    )
    model.add(akida.Convolutional((3, 3), 8, name="conv3", weights_bits=4, act_bits=4))
    model.add(akida.FullyConnected(outputs, name="fc", weights_bits=4, activation=False))
    for layer in model.layers:
        w = layer.get_variable("weights")
        layer.set_variable("weights", rng.integers(-7, 8, w.shape).astype(w.dtype))
    return model


@pytest.fixture(scope="module")
def on_disk(akida, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A network, and 40 images in MNIST's format whose labels are what the network answers, but for ten of them."""
    folder = tmp_path_factory.mktemp("pi")
    model = small_network(akida)
    images = np.random.default_rng(1).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    labels = model.predict(images[..., None]).reshape(40, -1).argmax(1).astype(np.uint8)
    labels[:10] = (labels[:10] + 1) % 10
    model.save(str(folder / "net.fbz"))
    for name, array in zip(device_side.TEST_FILES, (images, labels), strict=True):
        (folder / name).write_bytes(idx(array))
    return SimpleNamespace(
        folder=folder, fbz=folder / "net.fbz", images=images, labels=labels, model=model
    )


# -------------------------------------------------------------------- on the Pi


def test_the_pi_needs_akida_and_numpy_alone(on_disk: SimpleNamespace, tmp_path: Path) -> None:
    done = run_blocked(
        HEAVY, "--fbz", str(on_disk.fbz), "--data-dir", str(on_disk.folder), folder=tmp_path
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "accuracy  75.00 %" in done.stdout and "40 test images" in done.stdout
    if "simulator" in done.stdout:
        assert (
            "says nothing about the chip" in done.stdout and "power     not measured" in done.stdout
        )
        assert not re.search(r"\d\s*m?W\b", done.stdout), "a simulator has no watts"


def test_a_missing_akida_is_one_line(on_disk: SimpleNamespace, tmp_path: Path) -> None:
    done = run_blocked({"akida"}, f"--fbz={on_disk.fbz}", folder=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert (
        done.stderr.startswith("error: the akida package is missing")
        and "pip install akida==" in done.stderr
    )


def test_what_the_pi_refuses(
    on_disk: SimpleNamespace,
    akida,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    data = ["--data-dir", str(on_disk.folder)]
    garbage, empty, wide = tmp_path / "garbage.fbz", tmp_path / "empty.fbz", tmp_path / "wide.fbz"
    garbage.write_bytes(b"this is no network" * 50)
    empty.write_bytes(b"")
    small_network(akida, size=32).save(str(wide))
    half = tmp_path / "half"
    half.mkdir()
    for name in device_side.TEST_FILES:
        (half / name).write_bytes((on_disk.folder / name).read_bytes()[:-5])
    cases = {
        "which is no file": ["--fbz", str(tmp_path / "nowhere.fbz"), *data],
        "no .fbz file": ["--fbz", str(garbage), *data],
        "is damaged": ["--fbz", str(empty), *data],
        "expected (28, 28, 1)": ["--fbz", str(wide), *data],
        "copy them from the PC": ["--fbz", str(on_disk.fbz), "--data-dir", str(tmp_path)],
        "copy it again": ["--fbz", str(on_disk.fbz), "--data-dir", str(half)],
        "allowed with --fbz are": ["--fbz", str(on_disk.fbz), "--smoke"],
        "expected one argument": ["--fbz"],
    }
    for expected, argv in cases.items():
        assert device_side.run_fbz(argv) == 2, argv
        out, err = capsys.readouterr()
        assert err.startswith("error: ") and err.count("\n") == 1 and expected in err, (
            f"{expected}: {err}"
        )


def test_a_file_cut_short_is_found_by_its_checksum(
    on_disk: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """akida itself loads it, or crashes: this is why a checksum travels with the network."""
    path = fbz.save_fbz(on_disk.model, tmp_path / "net.fbz")
    assert len(device_side.load_network(path).layers) == 4
    path.write_bytes(path.read_bytes()[:-100])
    assert device_side.run_fbz(["--fbz", str(path), "--data-dir", str(on_disk.folder)]) == 2
    assert "differs from its checksum" in capsys.readouterr().err


def test_three_commands_copy_all_that_the_pi_needs(
    on_disk: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is carried out into an empty folder, the third there, with akida and NumPy alone."""
    monkeypatch.setenv("SNN_DATA", str(on_disk.folder))
    path = fbz.save_fbz(on_disk.model, tmp_path / "net.fbz")
    copy, login, run = fbz.pi_commands(path)
    words = copy.split()
    assert words[:2] == ["scp", "-r"] and words[-1].removesuffix(":") == login.split()[1]
    assert login.startswith("ssh ")
    pi = tmp_path / "pi"
    pi.mkdir()
    for name in words[2:-1]:
        source = ROOT / name
        copier = shutil.copytree if source.is_dir() else shutil.copyfile
        copier(source, pi / source.name)
    python, script, *argv = run.split()
    assert (python, script) == ("python", "19_akida_deployment.py")
    done = run_blocked(HEAVY | {"common"}, *argv, folder=pi, root=pi)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "accuracy  75.00 %" in done.stdout


def test_the_pi_reads_compressed_test_images(on_disk: SimpleNamespace, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in device_side.TEST_FILES:
        (raw / f"{name}.gz").write_bytes(gzip.compress((on_disk.folder / name).read_bytes()))
    for root in (tmp_path, tmp_path / "MNIST", raw):
        images, _ = device_side.find_test_files(root)
        assert np.array_equal(device_side.read_idx(images), on_disk.images)
    images.write_bytes(images.read_bytes()[:-20])
    with pytest.raises(ValueError, match="is damaged .*copy it again"):
        device_side.read_idx(images)


@given(shape=st.lists(st.integers(0, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_idx_round_trip(
    shape: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path_factory.mktemp("idx") / "x"
    path.write_bytes(idx(array))
    assert np.array_equal(device_side.read_idx(path), array)


@given(raw=st.one_of(st.binary(max_size=40), st.binary(max_size=30).map(lambda b: b"\0\0\x08" + b)))
@settings(max_examples=50, deadline=None)
def test_idx_refuses_anything_else(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("idx") / "x"
    path.write_bytes(raw)
    try:
        array = device_side.read_idx(path)
    except ValueError as e:
        assert str(path) in str(e)
    else:
        assert idx(array) == raw


# -------------------------------------------------------------------- the meter


class Metrics(dict):
    """akida's metrics: a dict with ``names``."""

    names = property(dict.keys)


class FakeModel:
    """Answers class 3, and hands akida's own Statistics the events of a meter: 900, then 1000 and 1200 mW for 2 s."""

    def __init__(self, akida, powers: tuple[float, ...]) -> None:
        self.akida, self.powers, self.mapped = akida, powers, None

    def map(self, device: object) -> None:
        self.mapped = device

    def predict(self, x: np.ndarray) -> np.ndarray:
        self.frames = len(x)
        return np.tile(np.eye(10, dtype=np.float32)[3], (len(x), 1, 1, 1))

    @property
    def statistics(self):
        events = [SimpleNamespace(ts=1000 + 100 * i, power=p) for i, p in enumerate(self.powers)]
        clock = Metrics(inference_start=1000, inference_end=3000, inference_frames=self.frames)
        clock["inference_clk"] = 150_000 * self.frames
        return self.akida.Statistics(model=SimpleNamespace(metrics=clock, power_events=events))


def measured(akida, monkeypatch: pytest.MonkeyPatch, soc: object, powers: tuple[float, ...]):
    monkeypatch.setattr(device_side.time, "sleep", lambda _: None)
    device, model = SimpleNamespace(soc=soc, desc="fake AKD1000"), FakeModel(akida, powers)
    x, y = np.zeros((8, 28, 28, 1), np.uint8), np.array([3, 3, 3, 3, 3, 3, 0, 1])
    found = device_side.measure(model, x, y, device, repeats=3)
    assert (
        model.mapped is device
        and found["accuracy"] == 0.75
        and found["where"] == "hardware (fake AKD1000)"
    )
    return found, "\n".join(device_side.describe_measurement(found)), model


def test_power_comes_from_the_cards_own_meter(akida, monkeypatch: pytest.MonkeyPatch) -> None:
    soc = SimpleNamespace(power_measurement_enabled=False, power_meter=SimpleNamespace(floor=850.0))
    found, text, model = measured(akida, monkeypatch, soc, (900.0, 1000.0, 1200.0))
    assert soc.power_measurement_enabled is True
    assert found["power_mw"]["Avg"] == 1100, "akida drops the first reading"
    assert found["floor_mw"] == 850.0
    assert model.frames == 10_000, "a call that lasts, so that there is something to average"
    assert found["energy_mj"] == pytest.approx(1100 * 2 / 10_000)  # mW · s / images
    assert "1100.0 mW on average by the card's meter" in text and "0.2200 mJ" in text
    assert "chip_ms" not in found and "chip " not in text, "this card tells no clock rate"


def test_power_is_read_after_a_second(akida, monkeypatch: pytest.MonkeyPatch) -> None:
    """The meter's first readings come late: it is switched on, then waited for, then the chip works."""
    order: list[object] = []
    model, x = FakeModel(akida, (900.0, 1000.0)), np.zeros((8, 28, 28, 1), np.uint8)
    soc = SimpleNamespace(power_meter=SimpleNamespace(floor=850.0))
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda x: order.append(len(x)) or predict(x))
    monkeypatch.setattr(device_side.time, "sleep", order.append)
    device_side.measure(model, x, None, SimpleNamespace(soc=soc, desc=""), repeats=2)
    assert order == [1] * 7 + [8, 1, 10_000], (
        "seven single images, all of them, a second, the long call"
    )


def test_the_chips_own_time_leaves_out_the_host(akida, monkeypatch: pytest.MonkeyPatch) -> None:
    """150,000 clocks an image at 100 MHz are 1.5 ms, however long the host takes."""
    mode = akida.core.soc.ClockMode.Economy
    found, text, _ = measured(akida, monkeypatch, SimpleNamespace(clock_mode=mode), ())
    assert found["chip_ms"] == pytest.approx(1.5) and "1.500 ms of it on the chip" in text


@pytest.mark.parametrize(
    ("soc", "powers"),
    [(None, ()), (SimpleNamespace(power_meter=SimpleNamespace(floor=1.0)), (900.0,))],
    ids=["no meter", "too short"],
)
def test_no_reading_no_watts(
    akida, monkeypatch: pytest.MonkeyPatch, soc: object, powers: tuple[float, ...]
) -> None:
    found, text, _ = measured(akida, monkeypatch, soc, powers)
    assert not {"power_mw", "energy_mj", "floor_mw"} & set(found)
    assert "not measured" in text and "mW" not in text and "says nothing" not in text


# -------------------------------------------------------------------- the equations


@given(bits=st.integers(2, 8), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_rounding_error_is_half_a_step(bits: int, seed: int) -> None:
    w = np.random.default_rng(seed).normal(size=(3, 3, 4, 5))
    q, s = lesson.quantise_weights(w, bits)
    assert np.array_equal(q, np.round(q)) and np.abs(q).max() == 2 ** (bits - 1) - 1
    assert (np.abs(w - s * q) <= s / 2 + 1e-12).all()
    assert np.allclose(np.abs(s * q).max((0, 1, 2)), np.abs(w).max((0, 1, 2))), (
        "the largest weight is kept"
    )


def test_two_bits_leave_three_values_and_one_bit_none() -> None:
    w = np.array([0.8, 0.5, 0.3, -0.1, -0.6, 0.2])[:, None]  # the quiz's channel
    assert lesson.quantise_weights(w, 2)[0].ravel().tolist() == [1, 1, 0, 0, -1, 0]
    with pytest.raises(ValueError, match="at least 2"):
        lesson.quantise_weights(w, 1)


@given(
    seed=st.integers(0, 10**6),
    size=st.integers(3, 6),
    channels=st.integers(1, 3),
    kernel=st.sampled_from([3, 5]),
)
@settings(max_examples=25, deadline=None)
def test_synaptic_operations_counted_one_by_one(
    seed: int, size: int, channels: int, kernel: int
) -> None:
    events = torch.from_numpy(np.random.default_rng(seed).integers(0, 3, (2, size, size, channels)))
    out, reach, count = 4, kernel // 2, 0
    for _, i, j, _ in events.nonzero().tolist():
        count += out * sum(
            0 <= i + a < size and 0 <= j + b < size
            for a in range(-reach, reach + 1)
            for b in range(-reach, reach + 1)
        )
    assert lesson.synaptic_operations(events, (kernel, kernel, channels, out)) == count / 2
    dense = (1, 1, size * size * channels, out)
    assert lesson.synaptic_operations(events, dense) == out * (events != 0).sum().item() / 2


def test_activity_of_a_network(akida) -> None:
    """Dense where nothing is zero; the events into a layer are the non-zero outputs of the one before."""
    model = small_network(akida)
    x = np.random.default_rng(2).integers(1, 256, (6, 28, 28, 1), dtype=np.uint8)
    rows = lesson.experiment_activity(model, x)
    assert [r["layer"] for r in rows] == ["conv1", "conv2", "conv3", "fc"]
    assert [r["macs"] for r in rows] == [
        14 * 14 * 25 * 8,
        14 * 14 * 9 * 64,
        7 * 7 * 9 * 64,
        7 * 7 * 8 * 10,
    ]
    assert rows[0]["zeros"] == 0 and rows[0]["synops"] == rows[0]["macs"]
    after = akida.Model(layers=model.layers[:3]).forward(x)
    assert rows[3]["events"] == pytest.approx((after != 0).sum() / 6)
    assert rows[3]["synops"] == pytest.approx(10 * rows[3]["events"])
    assert all(0 < r["synops"] <= r["macs"] for r in rows)


def test_file_round_trip(akida, tmp_path: Path) -> None:
    x = np.random.default_rng(3).integers(0, 256, (12, 28, 28, 1), dtype=np.uint8)
    found = lesson.experiment_file(small_network(akida, 5), x, tmp_path / "net.fbz")
    assert found["equal"] == 1 and found["bytes"] == (tmp_path / "net.fbz").stat().st_size
    assert [h[0] for h in found["holds"]] == ["conv1", "conv2", "conv3", "fc"] and not list(
        tmp_path.glob("*.tmp")
    )


# -------------------------------------------------------------------- with TensorFlow


def test_the_move_to_tf_keras_and_equation_1_in_quantizeml() -> None:
    """Same outputs to 1e-4, not so with Flatten's order forgotten; quantizeml's weights are those of (1)."""
    for package in ("tensorflow", "quantizeml", "cnn2snn", "akida"):
        if not any((Path(p) / package).is_dir() for p in sys.path):
            pytest.skip(f"{package} is not installed")
    torch.manual_seed(1)
    net = lesson.Net().eval()
    x = torch.randint(0, 256, (16, 1, 28, 28), dtype=torch.uint8)
    twin = lesson.move_weights(net, lesson.keras_twin())
    images, expected = lesson.channels_last(x), lesson.torch_logits(net, x)
    assert np.abs(lesson.keras_outputs(twin, images) - expected).max() <= 1e-4
    assert np.abs(lesson.torch_logits(net, x, pad=(2, 2, 2, 2)) - expected).max() > 1e-3, (
        "the padding matters"
    )
    slip = lesson.move_weights(net, lesson.keras_twin(), reorder=False)
    assert np.abs(lesson.keras_outputs(slip, images) - expected).max() > 1e-3, "the order matters"

    from quantizeml.layers import (
        WeightQuantizer,  # (1) and (2) in the library that does the training
    )

    tf = sys.modules["tensorflow"]
    w = np.random.default_rng(0).normal(size=(3, 3, 4, 6)).astype(np.float32)
    for bits in (2, 4, 8):
        q, s = lesson.quantise_weights(w, bits)
        kernel = tf.Variable(w)
        with tf.GradientTape() as tape:
            rounded = WeightQuantizer(bitwidth=bits)(kernel).to_float()
        assert np.abs(rounded.numpy() - q * s).max() <= 1e-5, bits
        gradient = tape.gradient(rounded, kernel).numpy()
        inner = np.abs(w) < np.abs(w).max(
            (0, 1, 2)
        )  # the largest of a channel also moves the scale
        assert np.allclose(gradient[inner], 1, atol=1e-5), "straight through: ∂ŵ/∂w = 1"


def test_without_the_akida_stack_the_rest_runs_and_says_what_is_left_out(tmp_path: Path) -> None:
    done = run_blocked(
        {"akida", "tensorflow", "tf_keras", "quantizeml", "cnn2snn"}, "--smoke", folder=tmp_path
    )
    assert (
        done.returncode == 0 and "Traceback" not in done.stderr and "Warning" not in done.stderr
    ), done.stderr
    metrics = json.loads(
        (tmp_path / "results" / "smoke" / "19_akida_deployment" / "metrics.json").read_text("utf-8")
    )
    assert {"accuracy_float", "accuracy_int8"} <= {c["id"] for c in metrics["claims"]}
    assert "Not installed: tensorflow, akida" in metrics["note"] and metrics["akida"].startswith(
        "absent"
    )
    assert "Published, measured by others" in done.stdout and "scp -r" in done.stdout
    assert not re.search(r"\d\s*m?W\b", done.stdout)


# -------------------------------------------------------------------- what is committed


def test_the_deployed_network_fits_wholly_on_the_chip(akida) -> None:
    model = device_side.load_network(lesson.DEPLOYED)
    assert lesson.map_on_akd1000(model, hw_only=True).fallbacks == {}
    assert len(model.layers) == 5 and tuple(model.output_shape) == (1, 1, 10)
    assert lesson.DEPLOYED.stat().st_size < 200_000
    try:
        images, labels = (device_side.read_idx(p) for p in device_side.find_test_files(None))
    except ValueError:
        pytest.skip("MNIST is not here")
    found = model.predict(images[:500, ..., None]).reshape(500, -1).argmax(1)
    assert (found == labels[:500]).mean() >= 0.97


def test_committed_result_names_every_limit() -> None:
    """Silent cuts and refusals are those that the lesson tells of; the network as built is whole on the chip."""
    found = {
        r["change"]: r["outcome"] for r in json.loads(RESULT.read_text(encoding="utf-8"))["limits"]
    }
    assert list(found) == list(lesson.LIMITS)
    assert found["as built"] == "whole on the chip"
    assert found["1-bit weights"] == found["average pooling"] == "cut silently"
    assert (
        found["8-bit weights in hidden layers"]
        == found["2-bit weights in the input layer"]
        == "refused"
    )
    assert all(
        outcome != "whole on the chip" for change, outcome in found.items() if change != "as built"
    )
    claims = {c["id"]: c for c in json.loads(RESULT.read_text(encoding="utf-8"))["claims"]}
    assert claims["per_channel_agree"]["value"] < 0.95, (
        "quantizeml's default is a trap that agreement uncovers"
    )
    assert meets(claims["moved"]["value"], "<= 1e-4") and meets(
        claims["fbz_equal"]["value"], "== 1"
    )


# ---------------------------------------------------------------- what is published


def brightness(answer: int):
    """A network that answers ``answer`` for a white image (test) and 0 for a black one (training)."""
    return lambda _model, x, **_: np.eye(10)[answer * (x.reshape(len(x), -1).max(1) > 200)]


def test_every_network_is_scored_on_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Keras says 2, Akida 3, or 2 for every second image: shares of right answers, and of equal ones."""
    from common.lesson import begin

    data = marked_splits()
    cfg = lesson.Config(device="cpu", smoke=True, out_dir=tmp_path, calibration=8, qat_images=8)
    run = begin(cfg, "test")
    monkeypatch.setattr(lesson, "fit", lambda *_, **__: [])
    monkeypatch.setattr(lesson, "Net", lambda clip: Logits(2))
    assert lesson.experiment_train(cfg, data, run)["accuracy"] == 0.75

    def akida_answers(_model, x):
        out = brightness(2)(None, x)
        out[::2] = brightness(3)(None, x)[::2]
        return out

    monkeypatch.setattr(lesson, "keras_outputs", brightness(2))
    monkeypatch.setattr(lesson, "akida_outputs", akida_answers)
    x, y = lesson.channels_last(data.x_test), data.y_test.numpy()
    found = lesson.compare(None, None, x, y)
    # every fourth label is a 3, and stands at an odd place: there Akida says 2, as Keras does
    assert found == {"tf_keras": 0.75, "Akida": 0.25, "agree": 0.5}

    layer = SimpleNamespace(get_variable=lambda name: np.array([8.0]), get_weights=lambda: [0])
    model = SimpleNamespace(get_layer=lambda name: layer)
    monkeypatch.setattr(lesson, "quantize_and_convert", lambda *_, **__: (model, model))
    monkeypatch.setattr(lesson, "train_quantised", lambda *_: None)
    bits = lesson.experiment_bits(None, data, cfg, run)["8/4/4"]
    assert (bits["ptq"], bits["Akida"], bits["agree"], bits["step"]) == (0.25, 0.25, 0.5, 8.0)
    assert lesson.experiment_scales(None, data, cfg)["tf_keras"] == 0.75

    monkeypatch.setattr(lesson, "keras_twin", lambda clip: None)
    monkeypatch.setattr(lesson, "move_weights", lambda net, twin, reorder=True: reorder)
    logits = lambda net, x, pad=None: brightness(3 if pad else 2)(None, x.numpy()) + 0.25  # noqa: E731
    monkeypatch.setattr(lesson, "torch_logits", logits)
    rows = lesson.experiment_move(None, data, cfg)["rows"]
    assert rows["moved by the rules"] == {"difference": 0.25, "accuracy": 0.75}
    assert rows["padded alike on both sides"] == {"difference": 1.0, "accuracy": 0.25}


class Logits(torch.nn.Module):
    """A network without time that always gives the same class."""

    def __init__(self, answer: int) -> None:
        super().__init__()
        self.answer, self.weight = answer, torch.nn.Parameter(torch.zeros(1))

    def run(self, x: torch.Tensor) -> torch.Tensor:
        return torch.eye(10)[self.answer].expand(x.shape[1], 10)


def test_int8_is_scored_on_the_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """The converted network, not the float one: it says 2 for white images only, so 75 % of the test images."""
    from torch.ao.quantization import quantize_fx

    class Converted(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(brightness(2)(None, 255 * x.numpy()))

    monkeypatch.setattr(quantize_fx, "prepare_fx", lambda net, *_: net)
    monkeypatch.setattr(quantize_fx, "convert_fx", lambda prepared: Converted())
    monkeypatch.setattr(lesson, "latency", lambda step, device: (type(step.func).__name__,) * 2)
    r = lesson.experiment_int8(lesson.Net().eval(), marked_splits(), lesson.Config(calibration=8))
    if not r:
        pytest.skip("no INT8 engine")
    assert r["accuracy"] == 0.75 and r["int8_bytes"] < r["float_bytes"]
    assert r["float_ms"][0] == "Net" and r["int8_ms"][0] == "Converted"


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_, **__: value)  # noqa: E731
    set_("akida_status", SimpleNamespace(state="simulator", reason=""))
    monkeypatch.setattr(lesson.packages, "missing", lambda: [])
    net = lesson.Net()
    set_("experiment_train", {"net": net, "accuracy": 0.99})
    rows = {
        "moved by the rules": {"difference": 1e-5, "accuracy": 0.99},
        "padded alike on both sides": {"difference": 3.0, "accuracy": 0.98},
        "Flatten's order forgotten": {"difference": 9.0, "accuracy": 0.2},
    }
    layer = SimpleNamespace(get_weights=lambda: [0])
    set_("experiment_move", {"twin": SimpleNamespace(get_layer=lambda name: layer), "rows": rows})
    bits = {
        name: {
            "ptq": 0.9 - 0.1 * i,
            "Akida": 0.95 - 0.1 * i,
            "tf_keras": 0.5,
            "agree": 0.99 - 0.1 * i,
        }
        | {"model": name, "kernel": 0, "step": 1.0}
        for i, name in enumerate(("8/4/4", "4/4/4", "8/2/2"))
    }
    set_("experiment_bits", bits)
    outcomes = ("refused", "refused", "cut silently", "partly in software", "whole on the chip")
    set_("experiment_limits", [{"change": "x", "outcome": o, "reason": ""} for o in outcomes])
    set_("experiment_scales", {"tf_keras": 0.97, "Akida": 0.4, "agree": 0.41})
    file = {"model": "again", "equal": 0.999, "bytes": 1234, "holds": []}
    set_("experiment_file", file)
    on, off = SimpleNamespace(on_hardware=True), SimpleNamespace(on_hardware=False)
    maps = {
        mode: SimpleNamespace(
            layers=[on, on, off, on], nps_total=78, nps_used=n, program_bytes=100 * n
        )
        for mode, n in (("", 20), ("Minimal", 5))
    }

    def mapped(model: object, mode: str = "") -> SimpleNamespace:
        assert model == "again", "the file that was read back is what gets deployed"
        return maps[mode]

    monkeypatch.setattr(lesson, "map_on_akd1000", mapped)
    monkeypatch.setattr(lesson, "copy_model", lambda model: model)
    speed = {"accuracy": 0.97, "p50_ms": 3.0, "p95_ms": 4.0, "per_second": 300.0}
    set_("measure", speed)
    set_("describe_measurement", [])
    set_("pi_commands", [])
    # of two layers the second is sparse
    activity = [
        {"layer": "a", "zeros": 0.1, "events": 50.0, "synops": 600.0, "macs": 600.0},
        {"layer": "b", "zeros": 0.9, "events": 20.0, "synops": 100.0, "macs": 800.0},
    ]
    set_("experiment_activity", activity)
    int8 = {"engine": "x", "accuracy": 0.98, "float_bytes": 400, "int8_bytes": 120}
    set_("experiment_int8", int8 | {"float_ms": (0.5, 0.6), "int8_ms": (0.2, 0.3)})
    fbz = tmp_path / "default" / "mnist_akida.fbz"
    monkeypatch.setattr(lesson, "DEPLOYED", fbz)
    folder = tmp_path / "19_akida_deployment"
    folder.mkdir()
    (folder / fbz.name).write_bytes(b"12345")
    run = run_main(lesson, tmp_path, monkeypatch, marked_splits(), smoke=False)
    value = run.value
    assert value("accuracy_float") == 0.99 and value("moved") == 1e-5
    assert value("slip_padding") == 0.98 and value("slip_flatten") == 0.2
    assert (value("ptq_844"), value("qat_844"), value("agree_844")) == (0.9, 0.95, 0.99)
    assert value("qat_822") == pytest.approx(0.75) and value("ptq_444") == pytest.approx(0.8)
    assert (
        value("limits_refused") == 2
        and value("limits_silent") == 1
        and value("limits_software") == 1
    )
    assert value("per_channel_Akida") == 0.4 and value("per_channel_tf_keras") == 0.97
    assert value("fbz_equal") == 0.999 and value("fbz_bytes") == 1234
    assert value("on_chip") == 0.75 and value("nps_spread") == 20 and value("nps_minimal") == 5
    assert value("program_bytes") == 500
    assert (
        value("deployed_accuracy") == 0.97
        and value("akida_p50") == 3
        and value("akida_rate") == 300
    )
    assert value("synops_share") == 0.5
    assert value("energy_estimated") == pytest.approx(700 * 4.6e-3)
    assert value("accuracy_int8") == 0.98 and value("int8_bytes") == 0.3
    assert value("float_p50") == 0.5 and value("int8_p50") == 0.2
    chip, on_cpu, as_int8 = run.ledger_rows
    assert (chip["spikes"], chip["synops"], chip["ann_macs"], chip["nps"]) == (20, 700, 1400, 5)
    assert chip["bytes"] == 5 and on_cpu["bytes"] == 400 and as_int8["accuracy"] == 0.98
    # multiplications of the network, layer by layer
    macs = 14 * 14 * 8 * 25 + 14 * 14 * 16 * 72 + 7 * 7 * 16 * 144 + 784 * 64 + 640
    assert on_cpu["macs"] == macs
