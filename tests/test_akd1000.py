"""Akida: its three states, missing packages, lost layers, the mesh, files, and one real conversion."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import types
import warnings
from typing import Any

from akd1000 import chip, convert, device, drawing, fbz, mesh, packages, published
from common import akida as status
from common.io import UserError

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers import ROOT


@pytest.fixture(autouse=True)
def fresh_status() -> Any:
    status.akida_status.cache_clear()
    yield
    status.akida_status.cache_clear()


def fake_akida(monkeypatch: pytest.MonkeyPatch, devices: Any) -> None:
    module = types.ModuleType("akida")
    module.__version__ = "9.9"  # type: ignore[attr-defined]
    module.devices = devices  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "akida", module)


def test_three_states(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_akida(monkeypatch, lambda: ["chip"])
    assert (status.akida_status().state, status.akida_status().devices) == ("hardware", 1)
    assert "chip's own" in status.akida_status().means
    status.akida_status.cache_clear()
    fake_akida(monkeypatch, list)
    assert (
        status.akida_status().state == "simulator"
        and "no power was measured" in status.akida_status().means
    )
    status.akida_status.cache_clear()

    def broken() -> list[str]:
        raise RuntimeError("no right to open /dev/akida0")

    fake_akida(monkeypatch, broken)
    assert (
        status.akida_status().state == "simulator" and "/dev/akida0" in status.akida_status().reason
    )
    status.akida_status.cache_clear()
    monkeypatch.setitem(sys.modules, "akida", None)
    assert status.akida_status().state == "absent" and "published" in status.akida_status().means


@pytest.mark.parametrize("package", ["akida", "cnn2snn", "quantizeml", "tensorflow"])
def test_a_missing_package_is_one_line_that_says_what_to_do(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    call = packages.keras if package == "tensorflow" else lambda: packages.load(package)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UserError, match="uv sync"):
        call()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UserError, match="no wheels for macOS"):
        call()


def test_quiet_swallows_everything_and_gives_it_back(capfd: pytest.CaptureFixture[str]) -> None:
    with packages.quiet():
        print("out")
        print("err", file=sys.stderr)
        subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('from C')"], check=True)
        warnings.warn("never seen", stacklevel=1)
    print("after", file=sys.stderr)
    out, err = capfd.readouterr()
    assert out == "" and err == "after\n"


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.zeros((3, 32, 32, 3), np.float32), "got images of float32, expected uint8"),
        (np.zeros((3, 3, 32, 32), np.uint8), "channels come last: use x.transpose(0, 2, 3, 1)"),
        (np.zeros((3, 28, 28, 1), np.uint8), "got images (3, 28, 28, 1), expected (N, 32, 32, 3)"),
        (np.zeros((32, 32, 3), np.uint8), "got images (32, 32, 3)"),
    ],
)
def test_images_of_the_wrong_kind(x: np.ndarray, expected: str) -> None:
    with pytest.raises(UserError) as e:
        convert.check_samples(x, (32, 32, 3))
    assert expected in str(e.value)


def test_channels_last_moves_no_pixel() -> None:
    x = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    y = convert.channels_last(x)
    assert y.shape == (2, 5, 7, 3) and y[1, 4, 6, 2] == x[1, 2, 4, 6] and y.flags.c_contiguous
    convert.check_samples(y, (5, 7, 3))


class Conv2D(types.SimpleNamespace):
    """Named as Keras names it: the check goes by the name of the class."""


class Dense(types.SimpleNamespace):
    """Likewise."""


def test_lost_layers_are_found() -> None:
    net = types.SimpleNamespace(
        layers=[Conv2D(name="a"), types.SimpleNamespace(name="pool"), Dense(name="b")],
        output_shape=(None, 10),
    )
    whole = types.SimpleNamespace(
        layers=[types.SimpleNamespace(name=n) for n in "ab"], output_shape=[1, 1, 10]
    )
    convert.check_complete(net, whole)
    for cut in (
        types.SimpleNamespace(layers=whole.layers[:1], output_shape=[1, 1, 10]),
        types.SimpleNamespace(layers=whole.layers, output_shape=[8, 8, 16]),
    ):
        with pytest.raises(UserError, match="lost a part of the network .*expected 2 with"):
            convert.check_complete(net, cut, "8/4/4")


def test_reasons_in_both_forms() -> None:
    listed = "Cannot map layer 'conv3':\n  * Layer 'conv3': it is pooled.\n  * Layer 'fc': so is the one before.\n"
    assert mesh.fallback_reasons(listed) == {
        "conv3": "it is pooled.",
        "fc": "so is the one before.",
    }
    assert mesh.fallback_reasons("Cannot map layer 'conv1'. Too many filters.") == {
        "conv1": "Too many filters."
    }
    assert mesh.fallback_reasons("") == {}


def test_no_watts_without_a_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chip, "akida_status", lambda: status.AkidaStatus("simulator", "no card"))
    with pytest.raises(UserError, match="got no chip .*only be measured on hardware"):
        chip.measure_on_chip(None, np.zeros((1, 4, 4, 3), np.uint8))


def test_a_copy_is_measured_on_the_first_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    model = types.SimpleNamespace(input_shape=[4, 4, 3])
    akida = types.SimpleNamespace(devices=lambda: ["first", "second"])
    hardware = status.AkidaStatus("hardware", "two", devices=2)
    monkeypatch.setattr(chip, "akida_status", lambda: hardware)
    monkeypatch.setattr(chip, "load", lambda _: akida)
    monkeypatch.setattr(chip, "copy_model", lambda m: (m, "copy"))
    monkeypatch.setattr(chip, "measure", lambda *args: args)
    x, y = np.zeros((1, 4, 4, 3), np.uint8), np.zeros(1)
    assert chip.measure_on_chip(model, x, y) == ((model, "copy"), x, y, "first")
    with pytest.raises(UserError, match="expected uint8"):
        chip.measure_on_chip(model, x.astype(float))


def test_what_to_install_is_what_the_course_pins() -> None:
    """The Pi's part stands alone, so the line stands twice."""
    version = status.INSTALL.split("==")[1]
    assert status.INSTALL == device.INSTALL
    assert f'"akida=={version}' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_published_figures_carry_their_source() -> None:
    for p in published.PUBLISHED:
        assert p.source and p.model and p.data and p.bits
        assert p.secondary is (p.source == published.KTH), "the thesis was read in a summary"
    assert not any("mW" in str(p) or "watt" in str(p).lower() for p in published.PUBLISHED)
    tables: list[Any] = []
    printed: list[str] = []
    run = types.SimpleNamespace(table=lambda *a: tables.append(a), print=printed.append)
    published.published_tables(run)
    assert sum(len(rows) for *_, rows in tables) == len(published.PUBLISHED)
    assert all(len(row) == len(columns) for _, columns, rows in tables for row in rows)
    text = "\n".join(printed)
    for source in (published.KTH, published.ZOO):
        assert source in " ".join(text.split()), "the whole source stands beneath its table"
    assert all(len(line) <= 80 for line in text.split("\n"))


def test_published_power_is_told_with_its_source() -> None:
    tables: list[Any] = []
    printed: list[str] = []
    published.power_table(
        types.SimpleNamespace(table=lambda *a: tables.append(a), print=printed.append)
    )
    assert [row[1] for row in tables[0][2]] == ["below 250 mW", "below 15 mJ"]
    assert "https://arxiv.org/abs/2504.00957" in printed[0]
    assert not any("idle" in what or "rest" in what for what, *_ in published.POWER)


def test_weights_behind_a_flatten_change_places() -> None:
    """(C, H, W) in PyTorch, (H, W, C) in Keras: each input keeps its weight."""
    net = torch.nn.Sequential()
    net.add_module("fc", torch.nn.Linear(2 * 3 * 4, 5))
    kept: dict[str, Any] = {}
    layer = types.SimpleNamespace(set_weights=lambda w: kept.update(fc=w))
    twin = types.SimpleNamespace(get_layer=lambda name: layer)
    convert.copy_weights(net, twin, {"fc": (2, 3, 4)})
    x = torch.randn(1, 2, 3, 4)
    by_keras = x.permute(0, 2, 3, 1).flatten(1).numpy() @ kept["fc"][0] + kept["fc"][1]
    assert np.allclose(by_keras, net(x.flatten(1)).detach().numpy(), atol=1e-5)


def test_the_mesh_in_a_picture() -> None:
    nodes = [[c, r, k] for c in (1, 2) for r in (1, 2) for k in range(4)]
    layers = {"input": [[0, 0, 0]], "conv": nodes[:5], "one": nodes[5:6], "soft": []}
    _, ax = plt.subplots()
    drawing.draw_mesh(ax, nodes, layers)
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels[:3] == ["input: input converter", "conv: 5 NPs", "one: 1 NP"]
    assert labels[3:] == ["soft: software", "free: 10"]
    colours = [patch.get_facecolor() for patch in ax.patches if patch.get_width() < 0.4]
    assert colours.count(colours[-1]) == 10, "drawn last: those that nobody took"
    assert ax.get_xlim()[0] < -0.3, "the input converter stands inside the panel"
    plt.close()
    _, ax = plt.subplots()
    drawing.draw_mesh(ax, nodes, {"conv": nodes[:5], "fc": nodes[4:6]})
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["conv: 5 NPs", "fc: 2 NPs", "free: 10", "(serve two or more layers: 1)"]
    halves = [patch for patch in ax.patches if 0.1 < patch.get_height() < 0.2]
    assert len(halves) == 2 and halves[0].get_y() < halves[1].get_y(), "one square, two layers"
    places = [text.get_position() for text in ax.texts]
    assert len(places) == len(set(places)) == 7, "no label upon another"
    plt.close()


# -------------------------------------------------------------------- files


def test_a_file_is_written_whole_with_its_checksum(tmp_path: Any) -> None:
    model, path = tiny(), tmp_path / "net.fbz"
    assert fbz.save_fbz(model, path) == path
    x = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    assert np.array_equal(fbz.open_fbz(path).predict(x), model.predict(x))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert device.checksum_file(path).read_text(encoding="utf-8") == f"{digest}  net.fbz\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.fbz", "net.fbz.sha256"]
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match="differs from its checksum"):
        fbz.open_fbz(path)
    with pytest.raises(UserError, match="which is no file"):
        fbz.open_fbz(tmp_path / "none.fbz")


class FullDisk:
    """An ``akida.Model`` whose file stops after some bytes; akida itself says nothing of it."""

    def __init__(self, model: Any, kept: int) -> None:
        self.model, self.kept = model, kept
        self.to_buffer = model.to_buffer

    def save(self, path: str) -> None:
        self.model.save(path)
        with open(path, "rb+") as file:
            file.truncate(self.kept)


@pytest.mark.parametrize("kept", [0, 100, 1000])
def test_a_full_disk_leaves_the_old_file(tmp_path: Any, kept: int) -> None:
    model, path = tiny(), tmp_path / "net.fbz"
    fbz.save_fbz(model, path)
    before = path.read_bytes(), device.checksum_file(path).read_bytes()
    assert len(before[0]) > kept
    with pytest.raises(UserError, match="only a part of it, as on a full disk; nothing that stood"):
        fbz.save_fbz(FullDisk(model, kept), path)
    assert (path.read_bytes(), device.checksum_file(path).read_bytes()) == before
    assert len(list(tmp_path.iterdir())) == 2


# -------------------------------------------------------------------- the real packages


def tiny() -> Any:
    """4 channels a layer, written in akida itself: no TensorFlow needed."""
    ak = pytest.importorskip("akida")
    model = ak.Model()
    model.add(ak.InputConvolutional((8, 8, 3), (3, 3), 4, name="conv1", weights_bits=8, act_bits=4))
    model.add(ak.Convolutional((3, 3), 4, name="conv2", weights_bits=4, act_bits=4))
    model.add(ak.FullyConnected(5, name="fc", weights_bits=4, activation=False))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        weights = layer.get_variable("weights")
        layer.set_variable("weights", rng.integers(-3, 4, weights.shape).astype(np.int8))
    return model


def test_mapping_leaves_the_model_free_to_run() -> None:
    """akida's own map would end in 'An actual hardware device is required'; ours maps a copy."""
    model = tiny()
    x = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    before = chip.akida_outputs(model, x)
    mapping = mesh.map_on_akd1000(model)
    assert np.array_equal(chip.akida_outputs(model, x, batch_size=2), before) and before.shape == (
        5,
        5,
    )
    assert [layer.name for layer in mapping.layers] == [
        "conv1",
        "conv2",
        "fc",
    ] and not mapping.problem
    assert mapping.nps_total == 78 and len({(n.col, n.row) for n in mapping.mesh}) == 20
    minimal = mesh.map_on_akd1000(model, mode="Minimal")
    assert minimal.nps_used == 2 <= mapping.nps_used and minimal.program_bytes > 0
    assert all(layer.on_hardware and layer.bytes > 0 for layer in mapping.layers)
    facts = mapping.places()
    assert len(facts["mesh"]) == 78 and len(facts["layers"]["fc"]) == len(mapping.layers[2].nps)
    _, ax = plt.subplots()
    mapping.draw(ax)
    processors = 78 + 1  # and the input converter beside them
    assert len(ax.patches) == 20 + processors
    plt.close()


def test_inputs_of_each_layer() -> None:
    """The last layer, fed what ``layer_inputs`` gives for it, makes the model's output."""
    model = tiny()
    x = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    inputs = list(chip.layer_inputs(model, x))
    assert len(inputs) == 3 and inputs[0] is x and inputs[1].shape == (3, 8, 8, 4)
    weights = model.layers[2].get_variable("weights").reshape(-1, 5).astype(int)
    flat = (
        inputs[2].transpose(0, 3, 2, 1).reshape(3, -1).astype(int)
    )  # akida flattens channel, column, row
    assert np.array_equal(flat @ weights, model.forward(x).reshape(3, -1))


CONVERT = """
import sys
import numpy as np
from akd1000 import packages
from akd1000.chip import akida_outputs
from akd1000.convert import keras_outputs, quantize_and_convert
from akd1000.mesh import map_on_akd1000
from common.io import UserError
K = packages.keras(1)
K.utils.set_random_seed(0)
L = K.layers
def net(average):
    x = i = L.Input((8, 8, 3), dtype="uint8")
    x = L.Rescaling(1 / 255.0)(x)
    x = L.ReLU(6.0)(L.Conv2D(4, 3, padding="same")(x))
    x = L.Conv2D(4, 3, padding="same")(x)
    x = L.AveragePooling2D(2)(x) if average else x
    return K.Model(i, L.Dense(5)(L.Flatten()(L.ReLU(6.0)(x))))
samples = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3)).astype(np.uint8)
good = net(False)
kernel, bias = good.layers[2].get_weights()  # channels of unlike range: a scale for each would be lost in conversion
good.layers[2].set_weights([kernel * np.array([0.1, 1, 3, 10]), bias])
quantised, model = quantize_and_convert(good, samples)
akida, by_keras = akida_outputs(model, samples), keras_outputs(quantised, samples)
assert len(model.layers) == 3 and akida.shape == (100, 5)
print("apart", np.abs(akida - by_keras).max() / by_keras.std())
assert not map_on_akd1000(model).fallbacks
try:
    quantize_and_convert(net(True), samples)
except UserError as e:
    print(e)
"""


def test_real_conversion_and_the_silent_loss() -> None:
    """In a process of its own: TensorFlow takes seconds to start, and writes to file descriptors. Nothing is heard."""
    pytest.importorskip("akida")
    command = [sys.executable, "-c", CONVERT]
    done = subprocess.run(command, text=True, capture_output=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == "", f"noise on standard error: {done.stderr[:500]}"
    apart = float(re.search(r"apart (\S+)", done.stdout)[1])
    assert apart < 1, f"Akida's outputs are {apart} standard deviations from quantised Keras's"
    assert "lost a part of the network" in done.stdout and "expected 3 with (5,)" in done.stdout
