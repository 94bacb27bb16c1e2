"""Akida's plumbing: missing packages, the check for lost layers, mapping reports, and one real conversion."""

from __future__ import annotations

import re
import subprocess
import sys
import types
import warnings
from typing import Any

from akd1000 import backend as B
from common.io import UserError

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def fresh_status() -> Any:
    B.akida_status.cache_clear()
    yield
    B.akida_status.cache_clear()


def fake_akida(monkeypatch: pytest.MonkeyPatch, devices: Any) -> None:
    module = types.ModuleType("akida")
    module.__version__ = "9.9"  # type: ignore[attr-defined]
    module.devices = devices  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "akida", module)


def test_three_states(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_akida(monkeypatch, lambda: ["chip"])
    assert (B.akida_status().state, B.akida_status().devices) == ("hardware", 1)
    assert "chip's own" in B.akida_status().means
    B.akida_status.cache_clear()
    fake_akida(monkeypatch, list)
    assert (
        B.akida_status().state == "simulator" and "no power was measured" in B.akida_status().means
    )
    B.akida_status.cache_clear()

    def broken() -> list[str]:
        raise RuntimeError("no right to open /dev/akida0")

    fake_akida(monkeypatch, broken)
    assert B.akida_status().state == "simulator" and "/dev/akida0" in B.akida_status().reason
    B.akida_status.cache_clear()
    monkeypatch.setitem(sys.modules, "akida", None)
    assert B.akida_status().state == "absent" and "published" in B.akida_status().means


@pytest.mark.parametrize("package", ["akida", "cnn2snn", "quantizeml", "tensorflow"])
def test_a_missing_package_is_one_line_that_says_what_to_do(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    call = B.keras if package == "tensorflow" else lambda: B.load(package)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UserError, match="uv sync"):
        call()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UserError, match="no wheels for macOS"):
        call()


def test_quiet_swallows_everything_and_gives_it_back(capfd: pytest.CaptureFixture[str]) -> None:
    with B.quiet():
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
        B.check_samples(x, (32, 32, 3))
    assert expected in str(e.value)


def test_channels_last_moves_no_pixel() -> None:
    x = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    y = B.channels_last(x)
    assert y.shape == (2, 5, 7, 3) and y[1, 4, 6, 2] == x[1, 2, 4, 6] and y.flags.c_contiguous
    B.check_samples(y, (5, 7, 3))


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
    B.check_complete(net, whole)
    for cut in (
        types.SimpleNamespace(layers=whole.layers[:1], output_shape=[1, 1, 10]),
        types.SimpleNamespace(layers=whole.layers, output_shape=[8, 8, 16]),
    ):
        with pytest.raises(UserError, match="lost a part of the network .*expected 2 with"):
            B.check_complete(net, cut, "8/4/4")


def test_reasons_in_both_forms() -> None:
    listed = "Cannot map layer 'conv3':\n  * Layer 'conv3': it is pooled.\n  * Layer 'fc': so is the one before.\n"
    assert B.fallback_reasons(listed) == {"conv3": "it is pooled.", "fc": "so is the one before."}
    assert B.fallback_reasons("Cannot map layer 'conv1'. Too many filters.") == {
        "conv1": "Too many filters."
    }
    assert B.fallback_reasons("") == {}


def test_no_watts_without_a_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "akida_status", lambda: B.AkidaStatus("simulator", "no card"))
    with pytest.raises(UserError, match="got no chip .*only be measured on hardware"):
        B.measure_on_chip(None, np.zeros((1, 4, 4, 3), np.uint8))


def test_the_chip_is_asked_for_power(monkeypatch: pytest.MonkeyPatch) -> None:
    soc = types.SimpleNamespace(power_measurement_enabled=False)
    device = types.SimpleNamespace(soc=soc)
    mapped: list[Any] = []
    statistics = types.SimpleNamespace(fps=200.0, powers={"Avg": 900.0}, energy=4.5)
    copy = types.SimpleNamespace(map=mapped.append, predict=lambda x: x, statistics=statistics)
    monkeypatch.setattr(B, "akida_status", lambda: B.AkidaStatus("hardware", "one", devices=1))
    monkeypatch.setattr(B, "load", lambda _: types.SimpleNamespace(devices=lambda: [device]))
    monkeypatch.setattr(B, "clone", lambda m: copy)
    found = B.measure_on_chip(
        types.SimpleNamespace(input_shape=[4, 4, 3]), np.zeros((1, 4, 4, 3), np.uint8)
    )
    assert found == {"fps": 200.0, "power_mw": 900.0, "energy_mj": 4.5}
    assert mapped == [device] and soc.power_measurement_enabled


def test_published_figures_carry_their_source() -> None:
    for p in B.PUBLISHED:
        assert p.source and p.model and p.data and p.bits
        assert p.secondary is (p.source == B.KTH), "the thesis was read in a summary"
    assert not any("mW" in str(p) or "watt" in str(p).lower() for p in B.PUBLISHED)
    tables: list[Any] = []
    B.published_tables(types.SimpleNamespace(table=lambda *a: tables.append(a)))
    assert sum(len(rows) for *_, rows in tables) == len(B.PUBLISHED)
    assert all(len(row) == len(columns) for _, columns, rows in tables for row in rows)


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
    before = B.simulate(model, x)
    mapping = B.map_on_akd1000(model)
    assert np.array_equal(B.simulate(model, x, batch_size=2), before) and before.shape == (5, 5)
    assert [layer.name for layer in mapping.layers] == [
        "conv1",
        "conv2",
        "fc",
    ] and not mapping.problem
    assert mapping.nps_total == 78 and len({(n.col, n.row) for n in mapping.mesh}) == 20
    minimal = B.map_on_akd1000(model, mode="Minimal")
    assert minimal.nps_used == 2 <= mapping.nps_used and minimal.program_bytes > 0
    assert all(layer.on_hardware and layer.bytes > 0 for layer in mapping.layers)
    facts = mapping.places()
    assert len(facts["mesh"]) == 78 and len(facts["layers"]["fc"]) == len(mapping.layers[2].nps)


def test_inputs_of_each_layer() -> None:
    """The last layer, fed what ``layer_inputs`` gives for it, makes the model's output."""
    model = tiny()
    x = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    inputs = list(B.layer_inputs(model, x))
    assert len(inputs) == 3 and inputs[0] is x and inputs[1].shape == (3, 8, 8, 4)
    weights = model.layers[2].get_variable("weights").reshape(-1, 5).astype(int)
    flat = (
        inputs[2].transpose(0, 3, 2, 1).reshape(3, -1).astype(int)
    )  # akida flattens channel, column, row
    assert np.array_equal(flat @ weights, model.forward(x).reshape(3, -1))


CONVERT = """
import sys
import numpy as np
from akd1000 import backend as B
from common.io import UserError
K = B.keras(1)
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
quantised, model = B.quantize_and_convert(good, samples)
akida, by_keras = B.simulate(model, samples), B.keras_outputs(quantised, samples)
assert len(model.layers) == 3 and akida.shape == (100, 5)
print("apart", np.abs(akida - by_keras).max() / by_keras.std())
assert not B.map_on_akd1000(model).fallbacks
try:
    B.quantize_and_convert(net(True), samples)
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
