"""Lesson 12: clock against event, operations by brute force, live bytes, energy counters, and Akida's three states."""

from __future__ import annotations

import builtins
import json
import sys
import types
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from akd1000.mesh import NP, MappedLayer, Mapping, map_on_akd1000
from common.akida import AkidaStatus, akida_status
from common.io import UserError, load_weights
from common.lesson import begin, parse
from common.spiking import reset_state

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import ROOT, load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits
from torch import nn

lesson = load_script("12_hardware_deep_dive")


@settings(max_examples=25, deadline=None)
@given(
    B=st.integers(1, 4),
    N=st.integers(1, 12),
    M=st.integers(1, 6),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_events_and_clock_give_the_same_sums(
    B: int, N: int, M: int, seed: int, data: st.DataObject
) -> None:
    K = data.draw(st.integers(1, N))
    g = torch.Generator().manual_seed(seed)
    weight, events = torch.randn(N, M, generator=g), torch.rand(B, N, generator=g).argsort(1)[:, :K]
    spk = torch.zeros(B, N).scatter_(1, events, 1.0)
    by_hand = torch.stack([sum(weight[i] for i in row) for row in events])
    assert torch.allclose(lesson.event_driven(events, weight), by_hand, atol=1e-5)
    assert torch.allclose(lesson.clock_driven(spk, weight), by_hand, atol=1e-5)


def test_crossing_of_known_lines() -> None:
    """t_c = 0.8, t = 0.1 + 3.5·a: equal at a = 0.2, as the quiz asks."""
    a = np.asarray(lesson.ACTIVITIES)
    found = lesson.crossing(a, np.full(len(a), 0.8), 0.1 + 3.5 * a)
    assert (
        found["a"] == pytest.approx(0.2)
        and found["r2"] == pytest.approx(1)
        and found["t_0"] == pytest.approx(0.1)
    )
    assert lesson.crossing(a, np.full(len(a), 0.05), 0.1 + 3.5 * a)["a"] == 0, "events never win"
    assert lesson.crossing(a, np.full(len(a), 9.0), 0.1 + 3.5 * a)["a"] == 1, "events always win"


@pytest.mark.parametrize(("size", "k", "stride"), [(8, 3, 2), (7, 3, 2), (8, 5, 2), (6, 3, 1)])
def test_operations_against_brute_force(size: int, k: int, stride: int) -> None:
    g = torch.Generator().manual_seed(0)
    x = (torch.rand(2, 3, size, size, generator=g) < 0.3) * torch.rand(
        2, 3, size, size, generator=g
    )
    outputs = -(-size // stride)
    before = max(0, (outputs - 1) * stride + k - size) // 2
    count = 0
    for _b, _c, i, j in x.nonzero().tolist():
        readers = [
            sum(o * stride - before <= p < o * stride - before + k for o in range(outputs))
            for p in (i, j)
        ]
        count += readers[0] * readers[1]
    assert lesson.effective_operations(x, nn.Conv2d(3, 5, k, stride=stride)) == pytest.approx(
        5 * count / 2
    )
    dense = lesson.effective_operations(x.flatten(1), nn.Linear(3 * size * size, 4))
    assert dense == pytest.approx(4 * float((x != 0).sum()) / 2)


def test_dense_input_costs_the_macs_inside_the_borders() -> None:
    x = torch.ones(1, 3, 8, 8)
    layer = nn.Conv2d(3, 5, 3, stride=2)
    padded = F.pad(x, (0, 1, 0, 1))
    reads = F.conv2d(padded, torch.ones(1, 3, 3, 3), stride=2).sum() * 5
    assert lesson.effective_operations(x, layer) == float(reads)


def test_live_bytes_counts_what_is_alive_and_no_more() -> None:
    x = torch.ones(1000)
    with lesson.LiveBytes([x]) as live:
        y = x + 1  # 4,000 bytes
        z = (y * 2).sum()  # 4,000 more for a moment, then 4
        del y
        _ = x.view(10, 100)  # a view of what was left out
    assert z == 4000 and live.peak == 8004
    with lesson.LiveBytes([x]) as longer:
        kept = [x + i for i in range(5)]
    assert longer.peak == 5 * 4000 and len(kept) == 5


def test_timed_takes_turns() -> None:
    order: list[str] = []
    ms = lesson.timed({name: partial(order.append, name) for name in "abc"}, 6, "cpu")
    rounds = ["".join(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert len(rounds) == 8 and all(sorted(r) == ["a", "b", "c"] for r in rounds), (
        "each once a round, two to warm up"
    )
    assert len(set(rounds)) > 1 and ms["a"].shape == (6,) and (ms["a"] >= 0).all()


def test_energy_counter(tmp_path: Path) -> None:
    counter = tmp_path / "energy_uj"
    counter.write_text("1000\n", encoding="utf-8")

    def step() -> None:  # 500 µJ a call
        counter.write_text(f"{int(counter.read_text(encoding='utf-8')) + 500}\n", encoding="utf-8")

    assert lesson.measured_energy(step, "cpu", 0.02, counter) == pytest.approx(0.5)
    assert lesson.measured_energy(step, "cpu", 0.02, tmp_path / "nothing") is None, (
        "no counter, no figure"
    )
    assert lesson.measured_energy(lambda: None, "cpu", 0.02, counter) is None, (
        "a counter that stands still tells nothing"
    )
    counter.write_text("surprise", encoding="utf-8")
    assert lesson.measured_energy(step, "cpu", 0.02, counter) is None


def test_energy_by_power_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 mW for 4 ms a call are 2 mJ."""
    monkeypatch.setattr(torch.cuda, "power_draw", lambda _device: 500)
    monkeypatch.setattr(lesson, "synchronize", lambda _device: None)
    clock = [0.0]
    monkeypatch.setattr(lesson.time, "perf_counter", lambda: clock[0])

    def step() -> None:
        clock[0] += 0.004

    assert lesson.measured_energy(step, "cuda", 0.1) == pytest.approx(2)
    assert lesson.measured_energy(lambda: None, "mps", 0.02) is None, "no reading, no figure"


def test_step_by_step_equals_layer_by_layer() -> None:
    torch.manual_seed(0)
    net = lesson.SmallCNN()
    x = lesson.encode(torch.rand(2, 3, 32, 32), 3)
    with torch.no_grad():
        stepped = lesson.step_by_step(net, x)
        reset_state(net)
        assert torch.allclose(net.run(x)[1].mean(0), stepped, atol=1e-5)


def test_neurobench_counts_at_a_known_activity() -> None:
    """A network that never spikes: no ACs, full sparsity; the footprint is the weights and one picture's membranes."""
    net = lesson.SmallCNN().eval()
    for p in net.parameters():
        nn.init.zeros_(p)
    x = lesson.encode(torch.rand(4, 3, 32, 32), 2)
    bench = lesson.experiment_neurobench(net, x)
    assert (
        bench["acs"] == 0
        and bench["activation_sparsity"] == 1
        and bench["connection_sparsity"] == pytest.approx(1)
    )
    assert set(bench["rates"].values()) == {0.0}
    weights = 4 * sum(p.numel() for p in net.parameters())
    membranes = 4 * (32 * 256 + 64 * 64 + 128 * 16 + 10)
    assert weights + membranes <= bench["footprint"] <= weights + membranes + 200


def test_weights_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(UserError, match="none.safetensors"):
        load_weights(lesson.Twin(), tmp_path / "none.safetensors")
    save_file({"conv1.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="another architecture: conv1"):
        load_weights(lesson.Twin(), tmp_path / "other.safetensors")


def test_the_saved_weights_are_those_of_the_networks() -> None:
    for net, path in ((lesson.SmallCNN(), lesson.CNN), (lesson.Twin(), lesson.TWIN)):
        before = {k: v.clone() for k, v in net.state_dict().items()}
        load_weights(net, path)
        learnt = [k for k in before if k.endswith("weight")]
        assert learnt and not any(torch.equal(before[k], net.state_dict()[k]) for k in learnt)


# -------------------------------------------------------------------- the mesh


def test_bare_model_on_the_mesh() -> None:
    """Real mapper, no TensorFlow: the counterpart fits whole; its variants fall to software for akida's reasons."""
    pytest.importorskip("akida")
    spread = map_on_akd1000(lesson.bare_model())
    assert not spread.fallbacks and spread.nps_used <= spread.nps_total == 78 and spread.passes == 1
    places = [(n.col, n.row, n.id) for layer in spread.layers for n in layer.nps if n.type != "HRC"]
    assert len(places) == len(set(places)) and set(places) <= {
        (n.col, n.row, n.id) for n in spread.mesh
    }
    conv3 = next(layer for layer in spread.layers if layer.name == "conv3")
    assert sum(n.filters for n in conv3.nps) == 128, "the filters are divided up, none twice"
    assert "max pooling" in map_on_akd1000(lesson.bare_model(pool_last=True)).fallbacks["conv3"]
    wide = map_on_akd1000(lesson.bare_model((128, 64, 128)))
    assert list(wide.fallbacks) == ["conv1"] and "64" in wide.fallbacks["conv1"]


def test_mesh_figure_draws_each_processor_once() -> None:
    mesh = [[c, r, k] for c in (1, 2) for r in (1, 2) for k in range(4)]
    layers = {"input": [[0, 0, 0]], "conv": mesh[:5], "soft": []}
    fig = lesson.plot_mesh({"a": {"mesh": mesh, "layers": layers}})
    labels = [t.get_text() for t in fig.axes[0].get_legend().get_texts()]
    assert labels == ["input: input converter", "conv: 5 NPs", "soft: software", "free: 11"]
    assert len(fig.axes[0].patches) == 4 + 16 + 1, "nodes, processors and the input converter"


# -------------------------------------------------------------------- three states


def known_measurements(batch: int) -> tuple[list[dict], dict[str, Any], dict[str, Any]]:
    """Devices, NeuroBench, and one layer clock-driven and event-driven: invented, and quick."""
    ms = {"SNN, step by step": 8.0, "SNN, layer by layer": 4.0, "ReLU twin, one pass": 2.0}
    rows = [
        {
            "device": "cpu",
            "name": name,
            "batch": b,
            "p50": t * b**0.5,
            "p95": 3 * t * b**0.5,
            "bytes": 1,
        }
        for name, t in ms.items()
        for b in sorted({1, batch})
    ]
    bench = {"footprint": 1000, "activation_sparsity": 0.9, "acs": 100.0, "macs": 300.0}
    bench |= {"dense": 2000.0, "rates": {"lif1": 0.1, "lif2": 0.2, "lif3": 0.3, "lif4": 0.4}}
    activities = len(lesson.ACTIVITIES)
    event = [0.5 + 0.5 * i for i in range(activities)]
    clock, clock_batch = [1.5] * activities, [3.0] * activities
    clock[:2] = 2.0, 1.0
    line = {"t_c": 1.0, "t_0": 0.1, "t_e": 1.0, "r2": 0.99}
    layer = {
        "sizes": [1, 16],
        "clock": {1: clock, 16: clock_batch},
        "event": {1: event, 16: event},
        "found": {1: event, 16: event},
        "crossing": {1: line | {"a": 0.25}, 16: line | {"a": 0.75, "r2": 0.9}},
        "difference": 1e-7,
        "activity": list(lesson.ACTIVITIES),
        "operations": [1.0] * activities,
        "dense": 64 * 64,
    }
    return rows, bench, layer


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lesson's run and data at the smallest scale, with weights of its own."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    for name, net in (("CNN", lesson.SmallCNN()), ("TWIN", lesson.Twin())):
        save_file(net.state_dict(), tmp_path / f"{name}.safetensors")
        monkeypatch.setattr(lesson, name, tmp_path / f"{name}.safetensors")
    argv = ["--smoke", "--num-steps", "1", "--batch", "1", "--images", "8", "--inputs", "64"]
    argv += ["--out-dir", str(tmp_path)]
    cfg = parse(lesson.Config, argv, lesson.SMOKE, lesson.FULL, "12_hardware_deep_dive.py")
    clear = akida_status.cache_clear
    clear()
    yield cfg, begin(cfg, "12_hardware_deep_dive", lesson.__doc__ or "")
    clear()


def metrics(run: Any) -> dict[str, Any]:
    return json.loads(run.finish().read_text(encoding="utf-8"))


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_absent_runs_to_the_end(small: Any, monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Neither akida nor TensorFlow can be imported: the lesson says so, and shows what others published."""
    cfg, run = small
    real = builtins.__import__
    blocked = ("akida", "tensorflow", "quantizeml", "cnn2snn", "tf_keras")

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return real(name, *rest, **named)

    for name in [m for m in sys.modules if m.split(".")[0] in blocked]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(sys, "platform", platform)
    lesson.main(cfg, run)
    monkeypatch.undo()
    m = metrics(run)
    assert (
        m["akida"]["state"] == "absent"
        and "Akida: absent" in m["analysis"]
        and "published" in m["analysis"]
    )
    assert ("macOS" in m["note"]) is (platform == "darwin")
    assert not {"nps", "akida_accuracy"} & {c["id"] for c in m["claims"]} and not m["ledger"]
    assert any("GTX 1080" in t["title"] for t in m["tables"])
    assert not any(
        "measured" in row and "AKD1000" in row[0] for t in m["tables"] for row in t["rows"]
    )


def fake_chip(state: str) -> dict[str, Any]:
    mapping = Mapping(
        tuple(
            MappedLayer(n, "Convolutional", (1, 1, 1), (NP(1, 1, i, "CNP1", 8, 10, 10),))
            for i, n in enumerate(("conv1", "conv2", "conv3", "fc"))
        ),
        tuple(NP(1, 1, i, "CNP1") for i in range(4)),
        (("HW", "Hardware", 1, 100),),
    )
    minimal = replace(
        mapping,
        layers=tuple(replace(x, nps=x.nps if x.name != "fc" else ()) for x in mapping.layers),
    )
    rates = dict.fromkeys(("conv1", "conv2", "conv3", "fc"), 0.5)
    chip = (
        {"per_second": 100.0, "p50_ms": 9.0, "power_mw": {"Avg": 5.0}, "energy_mj": 0.05}
        if state == "hardware"
        else None
    )
    return {
        "accuracy": 0.5,
        "n": 8,
        "same": 1.0,
        "rates": rates,
        "operations": rates,
        "spread": mapping,
        "minimal": minimal,
        "variants": {"pool": mapping},
        "chip": chip,
    }


@pytest.mark.parametrize("state", ["hardware", "simulator"])
def test_hardware_and_simulator(small: Any, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """Only a chip has measured energy; a simulated one has none in any table."""
    cfg, run = small
    status = AkidaStatus(state, "as faked", "2.19.1", int(state == "hardware"))
    monkeypatch.setattr(lesson, "akida_status", lambda: status)
    monkeypatch.setattr(lesson, "experiment_akida", lambda *_: fake_chip(state))
    lesson.main(cfg, run)
    m = metrics(run)
    assert m["akida"]["state"] == state and f"Akida: {state}" in m["analysis"]
    assert m["ledger"][0]["nps"] == 4
    table = next(t for t in m["tables"] if t["title"].startswith("Energy"))
    measured = [row for row in table["rows"] if "AKD1000" in row[0]]
    assert bool(measured) is (state == "hardware") and all(row[1] == "measured" for row in measured)
    assert any("On the chip" in t["title"] for t in m["tables"]) is (state == "hardware")
    assert ("no power was measured" in m["analysis"]) is (state == "simulator")


def test_experiment_akida_asks_the_chip_only_on_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    layer = types.SimpleNamespace(name="fc")
    model = types.SimpleNamespace(layers=[layer])
    zeros = lambda _m, x: np.eye(10)[np.zeros(len(x), int)]  # noqa: E731
    for name, value in {
        "quantize_and_convert": lambda *_: ("q", model),
        "akida_outputs": zeros,
        "keras_outputs": zeros,
        "layer_inputs": lambda _m, x: [np.ones((len(x), 4, 4, 128))],
        "map_on_akd1000": lambda *_a, **_k: "mapping",
        "measure_on_chip": lambda *_: asked.append("chip"),
    }.items():
        monkeypatch.setattr(lesson, name, value)
    monkeypatch.setattr(lesson, "keras_twin", lambda twin: None)
    monkeypatch.setattr(lesson, "bare_model", lambda *_a, **_k: None)
    images = torch.zeros(20, 3, 32, 32, dtype=torch.uint8)
    data = types.SimpleNamespace(
        x_train=images, x_test=images, y_test=torch.zeros(20, dtype=torch.long)
    )
    for state, expected in (("simulator", []), ("hardware", ["chip"])):
        monkeypatch.setattr(lesson, "akida_status", lambda s=state: AkidaStatus(s, ""))
        found = lesson.experiment_akida(lesson.Config(simulated=16), lesson.Twin(), data)
        assert asked == expected and found["accuracy"] == 1 and found["same"] == 1
        assert found["operations"]["fc"] == 2048 * 10


def test_docstring_tells_the_truth_of_the_committed_run() -> None:
    path = ROOT / "docs" / "results" / "12_hardware_deep_dive.json"
    if not path.is_file():
        pytest.skip("no committed run yet")
    claims = {c["id"]: c["value"] for c in json.loads(path.read_text(encoding="utf-8"))["claims"]}
    seen = (lesson.__doc__ or "").split("You should see")[1].split("Builds on")[0]
    assert (
        f"{claims['nps']:.0f} of 78" in seen and f"{100 * claims['akida_accuracy']:.1f} %" in seen
    )


# -------------------------------------------------------------------- what is published


def test_akida_is_scored_on_the_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chip that answers 2 for a white image (test) and 0 for a black one (training); Keras differs on one in ten."""
    data = marked_splits((3, 32, 32))
    model = types.SimpleNamespace(layers=[])

    def by_brightness(_model: object, x: np.ndarray) -> np.ndarray:
        return np.eye(10)[2 * (x.reshape(len(x), -1).max(1) > 200)]

    def keras(_model: object, x: np.ndarray) -> np.ndarray:
        out = by_brightness(_model, x)
        out[: len(x) // 10] = np.eye(10)[5]
        return out

    for name, value in {
        "quantize_and_convert": lambda *_: ("q", model),
        "akida_outputs": by_brightness,
        "keras_outputs": keras,
        "layer_inputs": lambda *_: [],
        "map_on_akd1000": lambda *_a, **_k: "mapping",
        "akida_status": lambda: AkidaStatus("simulator", ""),
    }.items():
        monkeypatch.setattr(lesson, name, value)
    monkeypatch.setattr(lesson, "keras_twin", lambda twin: None)
    monkeypatch.setattr(lesson, "bare_model", lambda *_a, **_k: None)
    found = lesson.experiment_akida(lesson.Config(simulated=40), lesson.Twin(), data)
    assert found["accuracy"] == 0.75 and found["n"] == 40 and found["same"] == 0.9


def test_estimates_are_the_operations_times_their_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiplications of ``run`` counted by torch: the still picture once, the rest at every step."""
    from torch.utils.flop_counter import FlopCounterMode

    monkeypatch.setattr(lesson, "device_names", lambda: [])
    net, twin, x = lesson.SmallCNN().eval(), lesson.Twin().eval(), torch.rand(1, 3, 32, 32)
    cfg = lesson.Config(num_steps=3)
    bench = {"acs": 1e6, "macs": 3 * 2e6}
    rows = lesson.experiment_energy(cfg, net, twin, bench, None, x)
    macs = []
    for way in (lambda: net.run(lesson.encode(x, 3)), lambda: twin(x)):
        with FlopCounterMode(display=False) as counter:
            way()
        macs.append(counter.get_total_flops() / 2)
    clock, event, relu = (row[2] for row in rows)
    assert clock == pytest.approx(macs[0] * 4.6e-6, rel=1e-3), "4.6 pJ a MAC, in µJ"
    assert event == pytest.approx((1e6 * 0.9 + 2e6 * 4.6) * 1e-6)
    assert relu == pytest.approx(macs[1] * 4.6e-6, rel=1e-3)


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_, **__: value)  # noqa: E731
    data = marked_splits((3, 32, 32))

    def score(net: nn.Module, x: torch.Tensor, y: torch.Tensor, *_: Any, **__: Any) -> float:
        assert x is data.x_test and y is data.y_test
        return {"SmallCNN": 0.6, "Twin": 0.5}[type(net).__name__]

    monkeypatch.setattr(lesson, "evaluate", score)
    monkeypatch.setattr(lesson, "load_weights", lambda net, path: net)
    set_("device_names", ["cpu"])
    rows, bench, layer = known_measurements(16)
    set_("experiment_devices", rows)
    set_("experiment_neurobench", bench)
    set_("experiment_clock_against_event", layer)
    event = layer["event"][1]
    chip = fake_chip("simulator") | {"same": 0.97, "accuracy": 0.55}
    set_("on_akida", chip)
    energy = [
        ("clock", "estimated", 12.0, ""),
        ("event", "estimated", 4.0, ""),
        ("relu", "estimated", 2.0, ""),
    ]
    set_("experiment_energy", energy)
    run = run_main(lesson, tmp_path, monkeypatch, data, batch=16)
    value = run.value
    assert value("accuracy") == 0.6 and value("twin_accuracy") == 0.5
    assert value("latency_p50") == 4 and value("latency_p95") == 12 and value("steps_cost") == 4
    # 16 pictures take four times as long as one: throughput is four times as high
    assert value("batch_gain") == pytest.approx(4)
    assert value("footprint") == 1000 and value("activation_sparsity") == 0.9
    assert value("synops") == 100 and value("dense_over_effective") == 5
    assert value("same_sums") == 1e-7 and value("clock_flat") == 2
    assert value("event_span") == pytest.approx(event[-1] / event[0])
    assert value("event_linear") == 0.9
    assert value("crossing_one") == 0.25 and value("crossing_batch") == 0.75
    assert value("nps") == 4 and value("nps_fewest") == 3 and value("program_bytes") == 100
    assert value("software_layers") == 0 and value("akida_same") == 0.97
    assert value("akida_accuracy") == 0.55
    assert value("energy_event") == 4 and value("energy_saved") == 3 and value("energy_relu") == 0.5
    (row,) = run.ledger_rows
    assert row["macs"] == 4 * 0.5 and row["bytes"] == 100 and row["nps"] == 4
    assert row["accuracy"] == 0.55 and row["n"] == 8
