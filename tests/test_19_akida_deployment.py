"""Lesson 19: the Pi's part alone, the emulator against akida, each claim against numbers known beforehand."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

from akd1000 import device as device_side
from akd1000 import fbz
from common.io import UserError

import numpy as np
import pytest
import torch
from helpers import ROOT, load_script
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
    none = tmp_path / "none"
    none.mkdir()
    for name, shape in zip(device_side.TEST_FILES, ((0, 28, 28), (0,)), strict=True):
        (none / name).write_bytes(idx(np.zeros(shape, np.uint8)))
    cases = {
        "which is no file": ["--fbz", str(tmp_path / "nowhere.fbz"), *data],
        "no .fbz file": ["--fbz", str(garbage), *data],
        "is damaged": ["--fbz", str(empty), *data],
        "expected (28, 28, 1)": ["--fbz", str(wide), *data],
        "copy them from the PC": ["--fbz", str(on_disk.fbz), "--data-dir", str(tmp_path)],
        "copy it again": ["--fbz", str(on_disk.fbz), "--data-dir", str(half)],
        "N at least 1": ["--fbz", str(on_disk.fbz), "--data-dir", str(none)],
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


def test_ctrl_c_on_the_pi_is_one_line(tmp_path: Path) -> None:
    """While NumPy is loaded, which takes seconds there: nothing else of the course has been imported."""
    (tmp_path / "numpy.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "19_akida_deployment.py"), "--fbz", "net.fbz"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 130 and done.stderr == "\nstopped by Ctrl-C\n" and done.stdout == ""


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
    assert found["clock"] == "Economy" and "(clock mode Economy)" in text


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


# -------------------------------------------------------------------- equations (1) and (2)


@given(bits=st.integers(2, 8), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_rounding_error_is_half_a_step(bits: int, seed: int) -> None:
    w = np.random.default_rng(seed).normal(size=(3, 3, 4, 5))
    q, s = lesson.quantise_weights(w, bits)
    assert np.array_equal(q, np.round(q)) and np.abs(q).max() == 2 ** (bits - 1) - 1
    assert (np.abs(w - s * q) <= s / 2 + 1e-12).all()
    assert np.allclose(np.abs(s * q).max((0, 1, 2)), np.abs(w).max((0, 1, 2)))


def test_two_bits_leave_three_values_and_one_bit_the_signs() -> None:
    w = np.array([0.8, 0.5, 0.3, -0.1, -0.6, 0.2])[:, None]  # the quiz's channel
    assert lesson.quantise_weights(w, 2)[0].ravel().tolist() == [1, 1, 0, 0, -1, 0]
    with pytest.raises(ValueError, match="at least 2"):
        lesson.quantise_weights(w, 1)
    signs = lesson.sign_weights(w).ravel()
    assert np.allclose(signs, (2.5 / 6) * np.array([1, 1, 1, -1, -1, 1]))


def test_levels_of_an_activation() -> None:
    a = np.array([0.0, 0.9, 1.1, 2.9, 3.1, 6.0, 7.0])
    assert lesson.quantise_activation(a, 2, 6.0).tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert lesson.quantise_activation(a, 1, 6.0).tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_straight_through_has_the_rounded_value_and_the_gradient_of_none() -> None:
    w = torch.randn(4, 2, 3, 3, requires_grad=True)
    hat = lesson.straight_through(w, 3)
    q, s = lesson.quantise_weights(w.detach().permute(2, 3, 1, 0).numpy(), 3)
    assert np.allclose(hat.detach().permute(2, 3, 1, 0).numpy(), q * s, atol=1e-6)
    weight = torch.randn_like(w)
    (grad,) = torch.autograd.grad((weight * hat).sum(), w)
    assert torch.equal(grad, weight)
    (flat,) = torch.autograd.grad((weight * lesson.round_weights(w, 3)).sum(), w)
    assert not flat.any()


@given(bits=st.integers(2, 8), rate=st.sampled_from([1.0, 1.25, 0.75]), seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_even_scales_are_powers_of_two(bits: int, rate: float, seed: int) -> None:
    w = np.random.default_rng(seed).normal(size=(3, 3, 2, 6))
    got = lesson.even_scales(bits, w, rate)
    _, s = lesson.quantise_weights(got, bits)
    power = np.log2(s * rate)
    assert np.allclose(power, np.round(power), atol=1e-9)
    _, before = lesson.quantise_weights(w, bits)
    assert (np.abs(np.log2(s / before)) <= 0.5 + 1e-9).all(), "the nearest power"
    assert (np.sign(got) == np.sign(w)).all()
    assert (
        (got != w).reshape(-1, 6).sum(0) <= (np.abs(w) > np.abs(got)).reshape(-1, 6).sum(0) + 1
    ).all()


def test_even_scales_as_in_the_pages_example() -> None:
    """Levels 1/2 out and 1/4 in, rate 1.25: s = 0.37 becomes 0.4, and Δ = 4.32 becomes 4."""
    w = np.array([[0.37], [-0.1]])
    got = lesson.even_scales(2, w, 1.25)
    assert got.ravel() == pytest.approx([0.4, -0.1])
    deltas = [0.5 / (abs(x).max() * 1.25 * 0.25) for x in (w, got)]
    assert deltas == pytest.approx([4.32, 4], abs=0.005)


# -------------------------------------------------------------------- the emulator


def random_network(akida, seed: int, bits: int):
    """Random weights, thresholds and steps, of both kinds of convolution and both kinds of dense layer."""
    rng, model = np.random.default_rng(seed), akida.Model()
    conv = akida.InputConvolutional
    model.add(
        conv((20, 20, 1), (5, 5), 6, name="a", kernel_stride=(2, 2), weights_bits=8, act_bits=bits)
    )
    pooled = {"pool_size": (2, 2), "pool_type": akida.PoolType.Max}
    model.add(akida.Convolutional((3, 3), 7, name="b", weights_bits=4, act_bits=bits, **pooled))
    model.add(akida.Convolutional((3, 3), 5, name="c", weights_bits=4, act_bits=bits))
    model.add(akida.FullyConnected(9, name="d", weights_bits=4, act_bits=bits))
    model.add(akida.FullyConnected(4, name="e", weights_bits=4, activation=False))
    for layer in model.layers:
        w = layer.get_variable("weights")
        layer.set_variable("weights", rng.integers(-7, 8, w.shape).astype(w.dtype))
        size = 2000 if layer.name == "a" else 30
        step = rng.uniform(0.1, 1, layer.get_variable("act_step").shape) * size * 2.0 ** (bits - 4)
        layer.set_variable("act_step", step.astype(np.float32))
        threshold = rng.integers(-20, 40, layer.get_variable("threshold").shape)
        layer.set_variable("threshold", threshold.astype(np.int32))
    return model


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_emulator_is_akida_for_random_networks(akida, bits: int) -> None:
    """Every output of every layer, as an integer: 100 %."""
    for seed in range(3):
        model = random_network(akida, seed, bits)
        x = np.random.default_rng(seed).integers(0, 256, (40, 20, 20, 1), dtype=np.uint8)
        received, layers = x, lesson.layers_of(model)
        for i, layer in enumerate(layers[:-1], 1):
            received = lesson.fire(lesson.potentials(received, layer), layer)
            wanted = akida.Model(layers=model.layers[:i]).forward(x)
            assert np.array_equal(received.reshape(wanted.shape), wanted), (seed, layer.name)
        assert 0 < received.max()
        pot = lesson.run_on_integers(x, layers)
        assert np.allclose(
            lesson.logits(pot, layers[-1]), model.predict(x).reshape(40, -1), atol=1e-3
        )
        assert lesson.check(x, np.zeros(40), model).emulator == 1


def test_the_emulator_is_akida_for_the_shipped_network(akida) -> None:
    model = device_side.load_network(lesson.SHIPPED)
    x = np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), dtype=np.uint8)
    x[:30] = np.where(x[:30] > 200, 255, 0)
    assert lesson.check(x, np.zeros(60), model).emulator == 1
    layers, _ = lesson.load_integers(lesson.INTEGERS)
    for ours, theirs in zip(layers, lesson.layers_of(model), strict=True):
        assert np.array_equal(ours.weights, theirs.weights) and ours.name == theirs.name
        assert np.array_equal(ours.threshold, theirs.threshold)
        assert (ours.bits, ours.stride, ours.pool) == (theirs.bits, theirs.stride, theirs.pool)
        assert np.array_equal(ours.step, theirs.step)


def test_without_the_kept_step_or_the_threshold_it_is_not_akida(akida) -> None:
    """The check can fail: Δ as it is, or θ one higher, gives other outputs."""
    model = random_network(akida, 0, 4)
    x = np.random.default_rng(0).integers(0, 256, (40, 20, 20, 1), dtype=np.uint8)
    layers = lesson.layers_of(model)
    good = lesson.run_on_integers(x, layers)

    def exact_step(pot, layer):
        return np.clip(np.ceil((pot - layer.threshold) / layer.step), 0, 15)

    def higher(pot, layer):
        return lesson.fire(pot - 1, layer)

    for rule in (exact_step, higher):
        assert (lesson.run_on_integers(x, layers, rule) != good).any(1).mean() > 0.1


def test_the_rule_of_keras_rounds_halves_up() -> None:
    """Against fractions: bias −3, and steps that eight bits can hold exactly."""
    step = Fraction(64, 25)  # 1/Δ = 25/64
    theta = round(float(step) / 2) + 3  # as cnn2snn writes it: round(Δ/2) − bias
    layer = lesson.Layer("x", np.ones((1, 1)), np.array([theta]), np.array([float(step)]), 4)
    units = np.arange(-20, 60)
    got = lesson.fire_like_keras(units[:, None].astype(float), layer)[:, 0]
    wanted = [min(15, max(0, math.floor((u - 3) / step + Fraction(1, 2)))) for u in units.tolist()]
    assert got.tolist() == wanted


def test_even_steps_bring_the_two_rules_together() -> None:
    """Δ = 256/255 of a power of two: not a level differs. Δ = 3.5 at 2 bits: some do."""
    for bits in (2, 4):
        for power in range(1, 7):
            step = np.array([2.0**power * 256 / 255])
            theta = np.round(step / 2).astype(int)
            layer = lesson.Layer("x", np.ones((1, 1)), theta, step, bits)
            units = np.arange(-5, 2 ** (power + bits) + 5)[:, None].astype(float)
            assert np.array_equal(lesson.fire(units, layer), lesson.fire_like_keras(units, layer))
    odd = lesson.Layer("x", np.ones((1, 1)), np.array([2]), np.array([3.5]), 2)
    units = np.arange(20)[:, None].astype(float)
    assert not np.array_equal(lesson.fire(units, odd), lesson.fire_like_keras(units, odd))


def test_boundaries_that_move() -> None:
    """Channel 0: Δ = 4 and θ = 2, where (4) puts all three boundaries one lower; channel 1: none."""
    step = np.array([4.0, 4 * 256 / 255])
    layer = lesson.Layer("x", np.ones((1, 2)), np.array([2, 2]), step, 2)
    assert lesson.boundaries_moved(layer).tolist() == [3, 0]
    units, ours, theirs = lesson.both_rules(layer)
    assert theirs[units == 2, 0] == 1 and ours[units == 2, 0] == 0, "as the page says"
    assert theirs[units == 2, 1] == ours[units == 2, 1] == 0
    assert theirs[units == 3, 1] == ours[units == 3, 1] == 1


def test_what_the_emulator_refuses(akida, tmp_path: Path) -> None:
    model = akida.Model()
    model.add(akida.InputConvolutional((8, 8, 1), (3, 3), 2, name="a", weights_bits=8))
    model.add(akida.SeparableConvolutional((3, 3), 2, name="odd one", weights_bits=4))
    with pytest.raises(UserError, match="got layer 'odd one'"):
        lesson.layers_of(model)


LAYER = {"weights": np.ones((3, 3, 1, 2), np.int8), "threshold": np.zeros(2, np.int32), "step": np.ones(2),
         "shape": np.array([4, 1, 1], np.int32)}  # fmt: skip
DAMAGED_LAYERS = {
    "weights that are no numbers": {"0.c.weights": np.full((3, 3, 1, 2), np.nan)},
    "weights of one dimension": {"0.c.weights": np.ones(2, np.int8)},
    "a shape that is infinite": {"0.c.shape": np.full(3, np.inf)},
    "a shape of two numbers": {"0.c.shape": np.ones(2, np.int32)},
    "a shape of no dimension": {"0.c.shape": np.array(3, np.int32)},
    "a stride of 0": {"0.c.shape": np.array([4, 0, 1], np.int32)},
    "steps for seven": {"0.c.step": np.ones(7)},
    "a step of 0": {"0.c.step": np.zeros(2)},
    "a layer without a name": {"1.weights": np.ones((3, 2), np.int8)},
    "answers in a square": {"answers": np.zeros((2, 2), np.uint8)},
}


@pytest.mark.parametrize("what", DAMAGED_LAYERS)
def test_integers_are_looked_at_before_they_are_cast(what: str, tmp_path: Path) -> None:
    from safetensors.numpy import save

    good = {f"0.c.{key}": value for key, value in LAYER.items()}
    good["answers"] = np.zeros(5, np.uint8)
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(good))
    assert lesson.load_integers(path)[0][0].name == "c", "without a digest, as another tool writes"
    path.write_bytes(save(good | DAMAGED_LAYERS[what]))
    with pytest.raises(UserError, match="no file of integer layers") as e:
        lesson.load_integers(path)
    assert "\n" not in str(e.value)


def test_one_flipped_bit_among_the_integers_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    content = bytearray(lesson.INTEGERS.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="its digest is another"):
        lesson.load_integers(path)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="no file of integer layers"):
        lesson.load_integers(path)


@given(seed=st.integers(0, 10**6), size=st.integers(3, 6), channels=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_operations_counted_one_by_one(seed: int, size: int, channels: int) -> None:
    """Products with the padding count neither among those that events cause nor among all."""
    events = np.random.default_rng(seed).integers(0, 3, (2, size, size, channels))

    def reads(i: int, j: int) -> int:
        near = [(a, b) for a in (i - 1, i, i + 1) for b in (j - 1, j, j + 1)]
        return 4 * sum(0 <= a < size and 0 <= b < size for a, b in near)

    count = sum(reads(i, j) for _, i, j, _ in np.argwhere(events).tolist())
    full = channels * sum(reads(i, j) for i in range(size) for j in range(size))
    one = np.ones(4)
    layer = lesson.Layer("c", np.zeros((3, 3, channels, 4)), one, one, 4, pool=2)
    assert lesson.operations(layer, events) == (count / 2, full)
    dense = lesson.Layer("d", np.zeros((size * size * channels, 4)), one, one, 4)
    sent = 4 * int((events != 0).sum()) / 2
    assert lesson.operations(dense, events) == (sent, size * size * channels * 4)
    first = lesson.Layer("i", np.zeros((3, 3, channels, 4)), one, one, 4, stride=2)
    caused, all_of_them = lesson.operations(first, events, frames=True)
    assert caused == all_of_them > 0, "the input converter computes everything"


def test_clipping_never_makes_the_error_larger() -> None:
    w = (
        np.random.default_rng(0).normal(size=(3, 3, 4, 6)) ** 3
    )  # a few are far larger than the rest
    for bits in (2, 3, 4):
        errors = []
        for candidate in (w, lesson.least_error_clip(w, bits)):
            q, s = lesson.quantise_weights(candidate, bits)
            errors.append(((s * q - w) ** 2).sum((0, 1, 2)))
        plain, clipped = errors
        assert (clipped <= plain + 1e-12).all() and clipped.sum() < plain.sum()
        for share in (0.3, 0.5, 0.9):  # and no other cut-off of the grid is better
            top = share * np.abs(w).max((0, 1, 2))
            q, s = lesson.quantise_weights(np.clip(w, -top, top), bits)
            assert (clipped <= ((s * q - w) ** 2).sum((0, 1, 2)) + 1e-9).all()


def test_two_networks_on_the_same_images() -> None:
    a = np.ones(1000, bool)
    b = a.copy()
    b[:4] = False  # 4 against 0: not less than 2·√4
    assert lesson.compared(a, b) == "−0.40 points"
    a[10:13] = False
    assert lesson.compared(a, b) == "−0.10 points, no more than chance"


def test_which_repair_helps_more() -> None:
    assert "weights' scale more" in lesson.to_blame(0.3, 0.9, 0.4)
    assert "activations more" in lesson.to_blame(0.3, 0.4, 0.9)
    assert lesson.to_blame(0.3, 0.2, 0.3) == "neither helps"


def test_a_step_cut_to_quarters_moves_no_boundary_at_two_bits() -> None:
    """Level k + 1 begins at the first whole number above θ + k·Δ; at 4 bits it may be one unit early."""
    step = np.random.default_rng(0).uniform(1, 40, 500)
    units = np.repeat(np.arange(0, 700)[:, None], len(step), 1)
    for bits, allowed in ((2, {0}), (4, {0, 1})):
        layer = lesson.Layer("x", np.ones((1, 500)), np.zeros(500, int), step, bits)
        levels = lesson.fire(units, layer)
        early = set()
        for k in range(2**bits - 1):
            begins = (levels > k).argmax(0)
            early |= set((np.floor(k * step) + 1 - begins).astype(int).tolist())
        assert early == allowed


# -------------------------------------------------------------------- with TensorFlow


def test_the_move_to_tf_keras_and_equations_1_and_2_in_quantizeml() -> None:
    """Same outputs to 1e-4, not so with Flatten's order forgotten; quantizeml's weights are those of (1)."""
    for package in ("tensorflow", "quantizeml", "cnn2snn", "akida"):
        if not any((Path(p) / package).is_dir() for p in sys.path):
            pytest.skip(f"{package} is not installed")
    torch.manual_seed(1)
    net = lesson.Net().eval()
    x = torch.randint(0, 256, (16, 1, 28, 28), dtype=torch.uint8)
    images = lesson.channels_last(x)
    with torch.no_grad():
        expected = net(x.float() / 255).numpy()
    flat = {"fc1": (16, 7, 7)}
    twin = lesson.copy_weights(net, lesson.keras_twin(), flat)
    assert np.abs(lesson.keras_outputs(twin, images) - expected).max() <= 1e-4
    slip = lesson.copy_weights(net, lesson.keras_twin())
    assert np.abs(lesson.keras_outputs(slip, images) - expected).max() > 1e-3, "the order matters"

    from quantizeml.layers import WeightQuantizer

    tf = sys.modules["tensorflow"]
    w = np.random.default_rng(0).normal(size=(3, 3, 4, 6)).astype(np.float32)
    for bits in (2, 4, 8):
        q, s = lesson.quantise_weights(w, bits)
        kernel = tf.Variable(w)
        with tf.GradientTape() as tape:
            rounded = WeightQuantizer(bitwidth=bits)(kernel).to_float()
        assert np.abs(rounded.numpy() - q * s).max() <= 1e-5, bits
        gradient = tape.gradient(rounded, kernel).numpy()
        inner = np.abs(w) < np.abs(w).max((0, 1, 2))  # the largest also moves the scale
        assert np.allclose(gradient[inner], 1, atol=1e-5), "straight through: ∂ŵ/∂w = 1"


def test_without_the_akida_stack_the_rest_teaches_and_says_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """None of the packages can be imported: seven sections, seven findings, and no watts."""
    from common import akida as status
    from common.lesson import start

    for name in ("akida", "tensorflow", "tf_keras", "quantizeml", "cnn2snn"):
        monkeypatch.setitem(sys.modules, name, None)
    status.akida_status.cache_clear()
    said = (["error: the akida package is missing"], [])
    monkeypatch.setattr(lesson, "run_as_on_the_pi", lambda *_: said)
    flags = ["--smoke", "--device", "cpu", "--out-dir", str(tmp_path)]
    try:
        start(lesson.main, lesson.Config, lesson.SMOKE, lesson.FULL, flags)
    finally:
        status.akida_status.cache_clear()
    out = capsys.readouterr().out
    folder = tmp_path / "smoke" / "19_akida_deployment"
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    found = {c["id"]: c["value"] for c in metrics["claims"]}
    assert {"accuracy_float", "zeros_2", "emulator_equal"} <= set(found)
    assert {"synops_share", "energy_estimated", "deployed_accuracy", "pi_loaded"} <= set(found)
    assert not {"qat_844", "agree_822", "nps_spread", "akida_p50", "edge_100"} & set(found)
    assert "Not installed: tensorflow, akida" in metrics["note"]
    assert len(metrics["findings"]) == 7, "every section leaves a sentence"
    assert "https://arxiv.org/abs/2504.00957" in out and "scp -r" in out
    assert "the akida package is missing" in out
    assert not re.search(r"\d\s*m?W\b", out.replace("below 250 mW", "")), "no meter, no watts"


def test_where_akida_is_missing_the_emulator_is_compared_with_recorded_classes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The claim can fail: of 40 images the emulator names some otherwise than recorded."""
    monkeypatch.setattr(lesson.packages, "missing", lambda: ["akida"])
    layers, _ = lesson.load_integers(lesson.INTEGERS)
    run, data = staged(tmp_path, monkeypatch)
    x = lesson.channels_last(data.x_test)
    own = lesson.logits(lesson.run_on_integers(x, layers), layers[-1]).argmax(1)
    recorded = own.copy()
    recorded[:10] = (recorded[:10] + 1) % 10
    monkeypatch.setattr(lesson, "load_integers", lambda path: (layers, recorded))
    run.results |= {1: lesson.Trained(None, data, 0.9), 2: lesson.Quantised()}
    lesson.section_chip.run(run.cfg, run)
    assert run.value("emulator_equal") == 0.75


# ---------------------------------------------------------------- claims are what was measured


def staged(folder: Path, monkeypatch: pytest.MonkeyPatch, results: dict | None = None, **options):
    """A run on images whose labels tell their split; earlier sections' results are given."""
    from common.lesson import begin
    from common.run import Run

    data = marked_splits()
    monkeypatch.setattr(Run, "data", lambda self, loader, **_: data)
    monkeypatch.setattr(Run, "figure", lambda self, fig, name, look="": self.dir / name)
    cfg = lesson.Config(
        device="cpu", smoke=True, out_dir=folder, calibration=8, qat_images=8, **options
    )
    run = begin(cfg, "19_akida_deployment")
    run.results.update(results or {})
    run.value = lambda id: {c.id: c.value for c in run.claims}[id]
    return run, data


def brightness(answer: int):
    """A network that answers ``answer`` for a white image (test) and 0 for a black one (training)."""
    return lambda _model, x, **_: np.eye(10)[answer * (x.reshape(len(x), -1).max(1) > 200)]


class Logits(torch.nn.Module):
    """Always gives the same class; its conv2 has known weights."""

    def __init__(self, answer: int) -> None:
        super().__init__()
        net = lesson.Net()
        self.answer, self.conv1, self.conv2, self.act = answer, net.conv1, net.conv2, net.act

    def run(self, x: torch.Tensor) -> torch.Tensor:
        return torch.eye(10)[self.answer].expand(x.shape[1], 10)


def test_section_bits_scores_test_images_and_counts_zeros(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    net = Logits(2)
    with torch.no_grad():  # of each channel: one weight of 1, then 18 of 0.6, 53 of 0.4
        w = torch.full((16, 72), 0.4)
        w[:, :19] = 0.6
        w[:, 0] = 1.0
        net.conv2.weight.copy_(w.view(16, 8, 3, 3))
    monkeypatch.setattr(lesson, "Net", lambda clip: net)
    monkeypatch.setattr(lesson, "fit", lambda *_, **__: [])
    run, _ = staged(tmp_path, monkeypatch)
    lesson.section_bits.run(run.cfg, run)
    assert run.value("accuracy_float") == 0.75
    assert run.value("zeros_2") == pytest.approx(53 / 72)
    size = np.sqrt(1 + 18 * 0.36 + 53 * 0.16)
    assert run.value("lost_2") == pytest.approx(np.sqrt(18 * 0.16 + 53 * 0.16) / size)
    mean = (1 + 18 * 0.6 + 53 * 0.4) / 72
    signs = (1 - mean) ** 2 + 18 * (0.6 - mean) ** 2 + 53 * (0.4 - mean) ** 2
    assert run.value("lost_1") == pytest.approx(np.sqrt(signs) / size)
    off = 18 * (0.6 - 4 / 7) ** 2 + 53 * (0.4 - 3 / 7) ** 2
    assert run.value("lost_4") == pytest.approx(np.sqrt(off) / size, rel=1e-5)
    assert "74 %" in run.findings[-1]["text"]


def fake_stack(monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...] = ()) -> None:
    """All packages are there; models are names, and nothing is trained or converted."""
    monkeypatch.setattr(lesson.packages, "missing", lambda: list(missing))
    monkeypatch.setattr(lesson, "keras_twin", lambda clip: "twin")
    monkeypatch.setattr(lesson, "copy_weights", lambda net, twin, flat: twin)
    monkeypatch.setattr(lesson, "copy_of", lambda twin, clip, bits=0: f"{twin} {bits}")
    monkeypatch.setattr(
        lesson, "quantise", lambda twin, data, cfg, bits: (bits, f"ptq {bits[2]} of {twin}")
    )
    monkeypatch.setattr(lesson, "train_with_rounding", lambda *_: None)
    monkeypatch.setattr(lesson, "keras_outputs", brightness(2))
    monkeypatch.setattr(lesson, "convert_quantised", lambda q, twin, name: f"qat {q[2]}")

    def save(model: str, path: Path) -> None:
        assert model == "qat 4", "the trained 8/4/4 network is what gets deployed"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")

    monkeypatch.setattr(lesson, "save_fbz", save)


def test_section_training_scores_the_right_network_on_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rounded networks say 3 (25 %), trained ones 2 (75 %); at 2 bits, trained, half the images each."""
    fake_stack(monkeypatch)

    def answers(model: str, x: np.ndarray) -> np.ndarray:
        out = brightness(3 if model.startswith("ptq") else 2)(None, x)
        if model == "ptq 2 of twin 2":  # the copy whose weights are cut off for 2 bits
            return brightness(9)(None, x)
        if model == "qat 2":
            out[::2] = brightness(3)(None, x)[::2]
        return out

    monkeypatch.setattr(lesson, "akida_outputs", answers)
    run, data = staged(tmp_path, monkeypatch)
    run.cfg.smoke = False
    run.results[1] = lesson.Trained(lesson.Net(), data, 0.9)
    made = lesson.section_training.function(run.cfg, run)
    assert run.value("qat_844") == run.value("qat_444") == 0.75
    assert run.value("ptq_822") == 0.25 and run.value("qat_822") == 0.25
    assert run.value("ptq_clipped") == 0
    assert list(made.widths) == ["8/4/4", "4/4/4", "8/2/2"]
    assert run.ledger_rows[0]["accuracy"] == 0.75 and run.ledger_rows[0]["bytes"] == 5
    text = run.findings[-1]["text"]
    assert "reads 75.00 % in akida's simulator, in float, trained as long, 75.00 %" in text
    assert "+0.00 points" in text and run.findings[-1]["main"]
    assert (
        "leaves 25.0 %; better weight scales give 0.0 %, 4-bit activations (8/2/4) 25.0 %: n"
        in text
    )
    assert "Training with the rounding gives 25.0 %" in text
    assert "0 % of conv2's weights get a gradient" in text


def test_share_that_learns_depends_on_the_rule() -> None:
    torch.manual_seed(0)
    net, x, y = lesson.Net(), torch.rand(8, 1, 28, 28), torch.arange(8)
    assert lesson.share_that_learns(net, x, y, lesson.round_weights) == 0
    assert lesson.share_that_learns(net, x, y, lesson.straight_through) > 0.5


def test_check_compares_what_it_says(akida, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras: another class for every fourth image; the emulator: another potential for every second."""
    model = random_network(akida, 1, 4)
    x = np.random.default_rng(1).integers(0, 256, (40, 20, 20, 1), dtype=np.uint8)
    on_akida = lesson.akida_outputs(model, x)
    by_keras = on_akida.copy()
    by_keras[::4] = -by_keras[::4]
    monkeypatch.setattr(lesson, "keras_outputs", lambda q, images: by_keras)
    usual = lesson.in_batches

    def every_second(images, layers, rule=lesson.fire):
        pot = usual(images, layers, lesson.fire)
        if rule is lesson.fire:
            pot[::2, 0] += 1
        return pot

    monkeypatch.setattr(lesson, "in_batches", every_second)
    y = on_akida.argmax(1)
    y[:10] = (y[:10] + 1) % 4
    found = lesson.check(x, y, model, "quantised")
    assert (found.emulator, found.same_class, found.keras_rule) == (0.5, 0.75, 0.75)
    assert found.right.mean() == 0.75, "right answers are Akida's"


def test_section_chip_reports_the_right_network(
    akida, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The lowest agreement is over the even 8/2/2 network and the others, the plain one left out."""
    fake_stack(monkeypatch)
    net = small_network(akida)
    run, data = staged(tmp_path, monkeypatch)
    widths = {
        name: lesson.Width(bits, name, net, np.zeros(4), np.zeros(4))
        for name, bits in zip(("8/4/4", "4/4/4", "8/2/2"), lesson.WIDTHS, strict=True)
    }
    run.results |= {1: lesson.Trained(None, data, 0.9), 2: lesson.Quantised("twin", widths)}
    kept = []
    monkeypatch.setattr(
        lesson, "train_with_rounding", lambda q, d, cfg, keep: kept.append(keep.args)
    )
    monkeypatch.setattr(lesson, "convert_quantised", lambda *_: net)
    shares = {"8/4/4": 0.99, "4/4/4": 0.98, "8/2/2": 0.9, (8, 2, 2): 0.97}

    def found(x, y, model, quantised=None):
        if quantised is None:
            return lesson.Checked(0.6, np.arange(100) < 10)
        right = np.arange(100) < (80 if quantised == (8, 2, 2) else 85)
        return lesson.Checked(0.7, right, shares[quantised], 0.5 + shares[quantised] / 10)

    monkeypatch.setattr(lesson, "check", found)
    lesson.section_chip.run(run.cfg, run)
    assert kept == [(2,)], "weights of 2 bits"
    assert run.value("emulator_equal") == 0.6 and run.value("agree_822") == 0.9
    assert run.value("agree_lowest") == run.value("agree_822_even") == 0.97
    assert run.value("keras_rule") == pytest.approx(0.59)
    text = run.findings[-1]["text"]
    assert "10.0 % of the images, with even steps for 3.00 %" in text
    assert "reads 80.0 %, without them 85.0 %: −5.00 points (one training each)" in text, (
        "5 against 0: no chance"
    )
    steps = np.concatenate([layer.step for layer in lesson.layers_of(net)[1:-1]])
    assert f"Δ from {steps.min():.2f} to {steps.max():.2f}" in text


def test_section_file_reports_the_mapping_of_the_file(
    akida, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lesson.packages, "missing", lambda: ["tensorflow"])
    run, _ = staged(tmp_path, monkeypatch)
    lesson.section_file.run(run.cfg, run)
    model = device_side.load_network(lesson.SHIPPED)
    few = lesson.map_on_akd1000(model, mode="Minimal")
    many = lesson.map_on_akd1000(model)
    assert run.value("nps_minimal") == few.nps_used < many.nps_used == run.value("nps_spread")
    assert run.value("fbz_bytes") == lesson.SHIPPED.stat().st_size
    assert run.value("fbz_equal") == 1 and run.value("on_chip") == 1
    memory = sum(n.weight_bytes for layer in few.layers for n in layer.nps) / 1024
    bare = (200 * 8 + (1152 + 2304 + 50176 + 640) * 4) / 8 / 1024
    text = run.findings[-1]["text"]
    assert (
        f"{bare:.1f} KiB; as the processors store them, by akida's account, they take {memory:.1f} KiB"
        in text
    )


def test_the_deployed_file_is_this_runs_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, _ = staged(tmp_path, monkeypatch)
    assert lesson.deployed(run) == lesson.SHIPPED
    run.results[2] = lesson.Quantised()
    assert lesson.deployed(run) == lesson.SHIPPED
    run.results[2].widths["8/4/4"] = "a width"
    assert lesson.deployed(run) == run.dir / "mnist_akida.fbz"


def test_section_profile_prices_integers_and_scores_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two layers, 600 and 800 MACs, of which 600 and 100 are done; the chip says 3 for every image."""
    monkeypatch.setattr(lesson.packages, "missing", lambda: [])
    layers = [lesson.Layer(n, np.ones((784, 10)), np.zeros(10), np.ones(10), 0) for n in "ab"]
    monkeypatch.setattr(lesson, "open_fbz", lambda path: "model")
    monkeypatch.setattr(lesson, "layers_of", lambda model: layers)
    done = {"a": (600.0, 600.0), "b": (100.0, 800.0)}
    monkeypatch.setattr(lesson, "operations", lambda layer, received, frames: done[layer.name])
    monkeypatch.setattr(lesson, "copy_model", lambda model: model)
    state = SimpleNamespace(state="simulator", reason="")
    monkeypatch.setattr(lesson, "akida_status", lambda: state)

    def measured(model, x, y, device):
        assert device is None and len(x) == 40, "all test images"
        found = {"accuracy": float((y == 3).mean()), "p50_ms": 3.0, "p95_ms": 4.0}
        return found | {"where": "simulator on this host", "per_second": 7.0}

    monkeypatch.setattr(lesson, "measure", measured)
    monkeypatch.setattr(lesson, "latency", lambda step, device: (0.5, 0.6))

    class Says(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(brightness(2)(None, 255 * x.numpy()))

    monkeypatch.setattr(lesson, "int8_copy", lambda net, calibration: Says())
    run, data = staged(tmp_path, monkeypatch)
    run.results[1] = lesson.Trained(lesson.Net(), data, 0.9)
    lesson.section_profile.run(run.cfg, run)
    assert run.value("synops_share") == 0.5 and run.value("accuracy_int8") == 0.75
    assert run.value("deployed_accuracy") == 0.25 and run.value("akida_p50") == 3.0
    assert run.value("energy_estimated") == pytest.approx(700 * 0.3e-3), "0.2 pJ and 0.1 pJ each"
    row = run.ledger_rows[0]
    macs = 14 * 14 * 8 * 25 + 14 * 14 * 16 * 72 + 7 * 7 * 16 * 144 + 784 * 64 + 640
    assert (row["synops"], row["ann_macs"], row["accuracy"]) == (700, macs, 0.25)
    assert "dense INT8 would take 0 nJ" in run.findings[-1]["text"]


class FakeLearner:
    """Learns nothing: answers the labels of the test images, some of them wrong once classes are added."""

    def __init__(self, y: np.ndarray) -> None:
        self.y, self.classes, self.fits = y, 8, []
        self.layers = [SimpleNamespace(get_variable=lambda name: np.ones((1, 1, 4, 6)))]

    def fit(self, x, y) -> None:
        self.fits.append(sorted(set(y.tolist())))

    def add_classes(self, n: int) -> None:
        self.classes += n

    def predict_classes(self, x, num_classes: int):
        out = self.y.copy()
        if self.classes == 10:
            out[:4] = 9
        if (
            len(self.fits[0]) == 10
        ):  # all learnt at once: one old picture and three new ones go wrong
            out[:1] = 9
            out[-3:] = 0
        return out


def test_section_edge_counts_old_and_new_classes(
    akida, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """40 test images, four of each class; after adding, the first four (class 0) are named wrongly."""
    from dataclasses import replace

    y = np.repeat(np.arange(10), 4)
    made = []

    def learner(model, classes, ones):
        made.append(FakeLearner(y))
        return made[-1]

    monkeypatch.setattr(lesson, "add_learner", learner)
    one_np = SimpleNamespace(layers=[SimpleNamespace(nps=(1, 2))])
    monkeypatch.setattr(lesson, "map_on_akd1000", lambda model: one_np)
    monkeypatch.setattr(lesson.packages, "missing", lambda: [])
    run, data = staged(tmp_path, monkeypatch)
    train = torch.arange(len(data.x_train)) % 10
    data = replace(data, y_train=train, y_test=torch.from_numpy(y))
    monkeypatch.setattr(type(run), "data", lambda self, loader, **_: data)
    lesson.section_edge.run(run.cfg, run)
    assert run.value("edge_100") == pytest.approx(36 / 40) and run.value("edge_new") == 1
    assert run.value("edge_at_once") == pytest.approx(31 / 32)
    assert run.value("edge_after") == pytest.approx(100 * 4 / 32)
    assert run.value("edge_changed") == 0 and run.value("edge_nps") == 2
    assert made[-2].fits == [list(range(8)), [8, 9]], "new classes alone are shown at the end"
    text = run.findings[-1]["text"]
    assert "from 100.0 % to 87.5 %" in text
    assert "they reach 96.9 %" in text and "later they are 9.4 points lower" in text


def test_the_nearest_known_picture() -> None:
    known = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    asked = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0]])
    assert lesson.nearest(known, np.array([5, 6, 7]), asked).tolist()[:2] == [5, 6]
    for picture in asked:
        differ = (known != picture).sum(1)
        answer = lesson.nearest(known, np.array([0, 1, 2]), picture[None])[0]
        assert differ[answer] == differ.min()


def test_one_bit_features_fire_for_the_share_that_was_asked_for(akida) -> None:
    model = device_side.load_network(lesson.SHIPPED)
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28, 1), dtype=np.uint8)
    bits = lesson.one_bit_extractor(model, images, 0.3).forward(images)
    assert bits.shape == (50, 7, 7, 16) and set(np.unique(bits)) == {0, 1}
    assert bits.mean((0, 1, 2)) == pytest.approx(np.full(16, 0.3), abs=0.06)
    first, second, third = lesson.layers_of(model)[:3]
    x = lesson.fire(lesson.potentials(images, first), first)
    pot = lesson.potentials(lesson.fire(lesson.potentials(x, second), second), third)
    for channel in range(16):
        on, off = (
            pot[..., channel][bits[..., channel] == 1],
            pot[..., channel][bits[..., channel] == 0],
        )
        assert on.min() > off.max(), "1 above a threshold, 0 below"


def test_the_learner_never_touches_other_classes(akida) -> None:
    """akida's rule as the page tells it: a fixed number of ones, and neurons of the label's class only."""
    rng = np.random.default_rng(0)
    model = lesson.add_learner(lesson.only_features((2, 2, 8)), 3, 6)
    weights = model.layers[-1].get_variable("weights").copy()
    assert weights.shape == (1, 1, 32, 3 * lesson.NEURONS)
    assert (weights.sum((0, 1, 2)) == 6).all()
    x = (rng.random((30, 2, 2, 8)) < 0.3).astype(np.uint8)
    model.fit(x, np.full(30, 1, np.int32))
    after = model.layers[-1].get_variable("weights")
    assert (after.sum((0, 1, 2)) == 6).all()
    moved = (after != weights).any((0, 1, 2))
    own = np.arange(len(moved)) // lesson.NEURONS == 1
    assert moved[own].any() and not moved[~own].any()


def test_draw_takes_as_many_of_each_class() -> None:
    y = np.arange(200) % 10
    chosen = lesson.draw(y, range(8, 10), 7, np.random.default_rng(0))
    assert sorted(y[chosen].tolist()) == [8] * 7 + [9] * 7 and len(set(chosen.tolist())) == 14


def test_section_pi_repeats_what_the_program_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = ["runs on   hardware (a card)", "accuracy  75.00 %", "power     none"]
    asked = []

    def program(script, fbz, x, y):
        asked.append((script.name, fbz, len(x)))
        return said, ["torch"]

    monkeypatch.setattr(lesson, "run_as_on_the_pi", program)
    run, _ = staged(tmp_path, monkeypatch)
    lesson.section_pi.run(run.cfg, run)
    assert asked == [("19_akida_deployment.py", lesson.SHIPPED, 40)]
    assert run.value("pi_accuracy") == 0.75 and run.value("pi_loaded") == 1
    assert "hardware (a card)" in run.findings[-1]["text"]


def test_the_pis_program_runs_here_without_the_large_packages(
    on_disk: SimpleNamespace, tmp_path: Path
) -> None:
    from akd1000.pi import run_as_on_the_pi

    x = on_disk.images[..., None]
    lines, loaded = run_as_on_the_pi(
        ROOT / "19_akida_deployment.py", on_disk.fbz, x, on_disk.labels
    )
    assert loaded == [] and "accuracy  75.00 %" in lines
    lines, _ = run_as_on_the_pi(
        ROOT / "19_akida_deployment.py", tmp_path / "no.fbz", x, on_disk.labels
    )
    assert "which is no file" in lines[-1]


# -------------------------------------------------------------------- what is committed


def test_the_shipped_network_fits_wholly_on_the_chip(akida) -> None:
    model = device_side.load_network(lesson.SHIPPED)
    assert lesson.map_on_akd1000(model, hw_only=True).fallbacks == {}
    assert len(model.layers) == 5 and tuple(model.output_shape) == (1, 1, 10)
    assert lesson.SHIPPED.stat().st_size < 200_000
    try:
        images, labels = (device_side.read_idx(p) for p in device_side.find_test_files(None))
    except ValueError:
        pytest.skip("MNIST is not here")
    found = model.predict(images[:500, ..., None]).reshape(500, -1).argmax(1)
    assert (found == labels[:500]).mean() >= 0.97
    _, recorded = lesson.load_integers(lesson.INTEGERS)
    assert np.array_equal(recorded[:500], found), "what a machine without akida is compared with"


def test_committed_result_holds_what_the_page_promises() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    claims = {c["id"]: c["value"] for c in result["claims"]}
    assert claims["emulator_equal"] == 1 and claims["keras_rule"] == 1
    assert claims["agree_lowest"] >= 0.995 > claims["agree_822"]
    assert claims["edge_changed"] == 0 and claims["pi_loaded"] == 0
    assert claims["deployed_accuracy"] == claims["pi_accuracy"] == claims["qat_844"]
    found = {change: outcome for change, outcome, _ in result["misfits"]}
    assert list(found) == list(lesson.MISFITS)
    assert found["1-bit weights"] == found["average pooling"] == "cut, without an error"
    assert found["pooling before fc1"] == "partly in software"
