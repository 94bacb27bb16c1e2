"""Lesson 12: clock against event, operations by brute force, Akida's three states, and every published number."""

from __future__ import annotations

import builtins
import sys
import types
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from akd1000 import packages
from akd1000.mesh import map_on_akd1000
from akd1000.twin import Twin, layers_for_akida
from common.akida import AkidaStatus, akida_status
from common.io import UserError, load_weights
from common.run import Run
from common.spiking import reset_state
from multistep import meters

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits
from torch import nn

lesson = load_script("12_hardware_deep_dive")
ACTIVITIES = np.asarray(lesson.ACTIVITIES)
COLOURED = (3, 32, 32)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """What a section says and draws: findings, notes, outcomes, titles of figures."""
    seen = types.SimpleNamespace(titles={}, outcomes={}, said=[])

    def figure(self: Run, fig: Any, name: str, look: str = "") -> Path:
        assert look, "every figure says what to look at"
        seen.titles[name] = fig.get_suptitle()
        plt.close(fig)
        return Path(name)

    monkeypatch.setattr(Run, "figure", figure)
    monkeypatch.setattr(Run, "outcome", lambda self, id, said: seen.outcomes.update({id: said}))
    monkeypatch.setattr(Run, "print", lambda self, *t: seen.said.append(" ".join(map(str, t))))
    return seen


def texts(run: Run) -> str:
    return " ".join(f["text"] for f in run.findings)


def rows_of(run: Run, title: str) -> dict[str, list[str]]:
    table = next(t for t in run.extra["tables"] if t["title"].startswith(title))
    return {row[0]: row[1:] for row in table["rows"]}


# -------------------------------------------------------------------- 1  one layer, two ways


@settings(max_examples=25, deadline=None)
@given(
    B=st.integers(1, 4),
    N=st.integers(1, 12),
    M=st.integers(1, 6),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_four_ways_give_the_same_sums(
    B: int, N: int, M: int, seed: int, data: st.DataObject
) -> None:
    K = data.draw(st.integers(1, N))
    g = torch.Generator().manual_seed(seed)
    weight, events = torch.randn(N, M, generator=g), torch.rand(B, N, generator=g).argsort(1)[:, :K]
    spk = torch.zeros(B, N).scatter_(1, events, 1.0)
    by_hand = torch.stack([sum(weight[i] for i in row) for row in events])
    for found in (
        lesson.event_driven(events, weight),
        lesson.event_driven_loop(spk, weight),
        lesson.search_then_add(spk, weight),
        lesson.clock_driven(spk, weight),
    ):
        assert torch.allclose(found, by_hand, atol=1e-5)


def test_crossing_of_known_lines() -> None:
    """t_c = 0.8, t = 0.1 + 3.5·a: equal at a = 0.2, as the quiz asks."""
    event = 0.1 + 3.5 * ACTIVITIES
    assert lesson.crossing(0.8, event) == pytest.approx(0.2)
    assert lesson.crossing(1.0, event) == pytest.approx(0.9 / 3.5), "between two activities"
    assert lesson.crossing(0.05, event) is None, "events never win"
    assert lesson.crossing(9.0, event) is None, "events always win"


def measured(clock: float, slope: float, star: float | None, stars: list, n: int = 40) -> Any:
    event = list(0.1 + slope * ACTIVITIES)
    flat = [clock] * len(ACTIVITIES)
    flat[0] *= 1.3
    return lesson.Measured(flat, event, [2 * e for e in event], star, stars, n)


def test_a_crossing_in_words() -> None:
    words = measured(0.8, 3.5, 0.2, [0.15, 0.2, None, 0.25, 0.2]).crossing_in_words()
    assert "cross at 20 %" in words and "15 to 25 %" in words and "none in 1" in words
    never = measured(0.05, 3.5, None, [None] * 5).crossing_in_words()
    assert "no crossing: clock-driven is faster" in never
    always = measured(9.0, 3.5, None, [None] * 5).crossing_in_words()
    assert "no crossing: event-driven is faster" in always


def test_a_measurement_is_the_median_of_its_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of 5 blocks: the clock takes 0.8 ms, in every fifth round 1.6; events 0.1 + 3.5·a."""
    events_of = {}

    def fake(calls: dict, repeats: int, device: Any) -> dict:
        for (way, a), call in calls.items():
            if way == "event":
                events_of[a] = call.args[0].shape
        every_fifth = np.where(np.arange(repeats) % 5 == 4, 1.6, 0.8)
        times = {"clock": lambda a: every_fifth, "event": lambda a: np.full(repeats, 0.1 + 3.5 * a)}
        times["search"] = lambda a: np.full(repeats, 7.0)
        return {(way, a): times[way](a) for way, a in calls}

    monkeypatch.setattr(lesson, "timed", fake)
    m = lesson.measure_layer(
        lesson.Config(repeats=20), 1, torch.zeros(1000, 4), torch.Generator().manual_seed(0)
    )
    assert m.clock == [0.8] * len(ACTIVITIES) and m.search[0] == 7
    assert m.event == pytest.approx(0.1 + 3.5 * ACTIVITIES) and m.star == pytest.approx(0.2)
    assert m.stars[:4] == pytest.approx([0.2] * 4) and m.stars[4] == pytest.approx(1.5 / 3.5)
    assert m.n == 20
    assert events_of[0.1] == (1, 100) and events_of[1.0] == (1, 1000) and events_of[0.001] == (1, 1)


def test_section_1(seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At 10 % events take 0.45 ms and 3.6 ms: 0.9 ms are twice as long, and 1.8 half as long."""
    known = {
        1: measured(0.9, 3.5, 0.254, [0.25] * 5),
        64: measured(1.8, 35.0, 0.02, [0.02] * 5, n=14),
    }
    asked = []

    def measure(cfg: Any, batch: int, weight: Any, g: Any) -> Any:
        asked.append((batch, tuple(weight.shape)))
        return known[batch]

    monkeypatch.setattr(lesson, "measure_layer", measure)
    run = run_section(lesson.section_two_ways, tmp_path, batch=256, inputs=128)
    assert asked == [(1, (128, 128)), (64, (128, 128))]
    assert run.value("speed_one") == pytest.approx(2)
    assert run.value("speed_batch") == pytest.approx(0.5)
    assert run.value("clock_flat") == pytest.approx(1.3)
    assert run.value("crossing_one") == 0.25 and run.value("crossing_batch") == 0.02
    rounds = {c.id: c.n for c in run.claims}
    assert rounds["speed_one"] == rounds["crossing_one"] == rounds["clock_flat"] == 40
    assert rounds["speed_batch"] == rounds["crossing_batch"] == 14, "fewer rounds for a batch"
    assert "2.0 times as fast for one sample, 0.5 times for 64" in seen.titles["1_two_ways"]
    said = texts(run)
    assert "it is 2.0 times" in said and "cross at 25 %" in said
    assert (
        "64 samples cost 2 times as much as one if they are clock-driven, 8 times if event" in said
    )
    assert "23 % for one sample (measured 25 %, within a quarter)" in said
    assert "5 % for 64 samples (measured 2 %, 2.4 times off" in said, "(1.8 − 0.1) / 35 / 0.02"
    assert "cannot come from that alone" not in said, "8 of 64 times"
    table = rows_of(run, "Equation (3)")
    assert table["1"] == ["0.9", "0.1", "3.5", "23 %", "25 %", "25 to 25 %"]
    assert table["64"][3] == "5 %", "(1.8 − 0.1) / 35"


def test_straight_line() -> None:
    assert lesson.straight_line(0.1 + 3.5 * ACTIVITIES) == pytest.approx((0.1, 3.5))


def test_section_1_without_a_crossing(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    never = measured(0.05, 3.5, None, [None] * 5)
    monkeypatch.setattr(lesson, "measure_layer", lambda *_: never)
    run = run_section(lesson.section_two_ways, tmp_path, inputs=64)
    ids = {c.id for c in run.claims}
    assert not {"crossing_one", "crossing_batch"} & ids
    assert texts(run).count("no crossing: clock-driven is faster") == 2
    assert texts(run).count("it cannot be checked") == 2


def test_more_than_a_batch_can_explain_is_said(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """0.45 against 0.1 + 350 · 0.1 = 35.1 ms are 78 times, for 64 samples."""
    known = {1: measured(0.9, 3.5, 0.25, [0.25] * 5), 64: measured(1.8, 350.0, 0.01, [0.01] * 5)}
    monkeypatch.setattr(lesson, "measure_layer", lambda cfg, batch, *_: known[batch])
    said = texts(run_section(lesson.section_two_ways, tmp_path, batch=256, inputs=64))
    assert "78 times if event-driven" in said and "More than 64 times cannot come" in said


def test_span() -> None:
    assert lesson.span([3.52, 11.8, 4.0]) == "3.5 to 12" and lesson.span([2.0, 2.01]) == "2.0"


# -------------------------------------------------------------------- meters


def test_live_bytes_counts_what_is_alive_and_no_more() -> None:
    x = torch.ones(1000)
    with meters.LiveBytes([x]) as live:
        y = x + 1  # 4,000 bytes
        z = (y * 2).sum()  # 4,000 more for a moment, then 4
        del y
        _ = x.view(10, 100)  # a view of what was left out
    assert z == 4000 and live.peak == 8004
    with meters.LiveBytes([x]) as longer:
        kept = [x + i for i in range(5)]
    assert longer.peak == 5 * 4000 and len(kept) == 5


def test_timed_takes_turns() -> None:
    order: list[str] = []
    ms = meters.timed({name: partial(order.append, name) for name in "abc"}, 6, "cpu")
    rounds = ["".join(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert len(rounds) == 8 and all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len(set(rounds)) > 1 and ms["a"].shape == (6,) and (ms["a"] >= 0).all()


def test_energy_counter(tmp_path: Path) -> None:
    counter = tmp_path / "energy_uj"
    counter.write_text("1000\n", encoding="utf-8")

    def step() -> None:  # 500 µJ a call
        counter.write_text(f"{int(counter.read_text(encoding='utf-8')) + 500}\n", encoding="utf-8")

    assert meters.measured_energy(step, "cpu", 0.02, counter) == pytest.approx(0.5)
    assert meters.measured_energy(step, "cpu", 0.02, tmp_path / "nothing") is None
    assert meters.measured_energy(lambda: None, "cpu", 0.02, counter) is None, "it stands still"
    counter.write_text("surprise", encoding="utf-8")
    assert meters.measured_energy(step, "cpu", 0.02, counter) is None


def test_energy_by_power_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 mW for 4 ms a call are 2 mJ."""
    monkeypatch.setattr(torch.cuda, "power_draw", lambda _device: 500)
    monkeypatch.setattr(meters, "synchronize", lambda _device: None)
    clock = [0.0]
    monkeypatch.setattr(meters.time, "perf_counter", lambda: clock[0])

    def step() -> None:
        clock[0] += 0.004

    assert meters.measured_energy(step, "cuda", 0.1) == pytest.approx(2)
    assert meters.measured_energy(lambda: None, "mps", 0.02) is None, "no reading, no figure"


# -------------------------------------------------------------------- 2  devices and NeuroBench


def lively() -> Any:
    """The spiking network with weights at which many neurons spike."""
    torch.manual_seed(0)
    net = lesson.SmallCNN().eval()
    with torch.no_grad():
        for layer in (net.conv1, net.conv2, net.conv3, net.fc):
            layer.weight *= 4
    return net


def test_step_by_step_equals_layer_by_layer() -> None:
    net, x = lively(), lesson.encode(torch.rand(2, 3, 32, 32), 3)
    with torch.no_grad():
        stepped = lesson.step_by_step(net, x)
        reset_state(net)
        spk, mem = net.run(x)
    assert torch.allclose(mem.mean(0), stepped, atol=1e-4) and spk.sum() > 0


def test_a_silenced_network_never_spikes_and_leaves_the_other_alone() -> None:
    net, x = lively(), lesson.encode(torch.rand(2, 3, 32, 32), 3)
    silent = lesson.silenced(net)
    assert lesson.operations_by_layer(silent, x)["conv2"] == 0
    assert lesson.operations_by_layer(net, x)["conv2"] > 0


def test_neurobench_against_a_count_of_our_own() -> None:
    net, x = lively(), lesson.encode(torch.rand(4, 3, 32, 32), 3)
    bench = lesson.neurobench(net, x)
    own = lesson.operations_by_layer(net, x)
    first = own.pop("conv1")
    assert bench["macs"] == pytest.approx(first) and bench["acs"] == pytest.approx(
        sum(own.values())
    )
    dense = lesson.dense_operations(net, x)
    assert bench["dense"] == pytest.approx(3 * sum(dense.values()))
    neurons = 32 * 256 + 64 * 64 + 128 * 16 + 10
    assert bench["updates"] == 3 * neurons, "each potential at each step"
    weights = 4 * sum(p.numel() for p in net.parameters())
    assert weights + 4 * neurons <= bench["footprint"] <= weights + 4 * neurons + 200
    assert bench["connection_sparsity"] < 1e-3
    assert not hasattr(net, "reset")


def test_every_network_is_timed_on_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def fake(calls: dict, repeats: int, device: Any) -> dict:
        shapes.append([call.args[-1].shape for call in calls.values()])
        return {name: np.arange(1.0, 102.0) * (i + 1) for i, name in enumerate(calls)}

    monkeypatch.setattr(lesson, "timed", fake)
    monkeypatch.setattr(lesson, "device_names", lambda: ["cpu"])
    cfg = lesson.Config(num_steps=2, batch=4)
    images = torch.zeros(6, 3, 32, 32, dtype=torch.uint8)
    rows = lesson.time_networks(cfg, lively(), lesson.FiveLevels(), images)
    assert [(r.name, r.batch) for r in rows] == [(n, b) for b in (1, 4) for n in lesson.CONTENDERS]
    assert [r.p50 for r in rows[:4]] == [51, 102, 153, 204] and rows[0].p95 == 96
    assert rows[0].parts == (11, 31.5, 51.5, 71.5, 91.5), "medians of 1..21, 22..41, …, 82..101"
    assert shapes[1] == [(2, 4, 3, 32, 32)] * 3 + [(4, 3, 32, 32)]
    one_step = 4 * 32 * 256  # bytes of conv1's output: at least that much is in use
    assert rows[-1].live >= 4 * one_step and rows[0].live >= one_step
    assert rows[5].live > rows[7].live, "two steps, one pass"


def timing_rows(batch: int, silenced: float = 3.0) -> list:
    ms = dict(zip(lesson.CONTENDERS, (8.0, 4.0, silenced, 2.0), strict=True))
    one = {  # how a single picture's time scatters
        lesson.CONTENDERS[1]: (4.0, 4.0, 4.0, 5.0, 4.0),
        lesson.CONTENDERS[3]: (2.0, 2.0, 1.0, 2.0, 2.0),
    }
    return [
        lesson.Timing("cpu", name, b, t * b**0.5, 3 * t * b**0.5, 2048 * b, one.get(name, (t,) * 5))
        for name, t in ms.items()
        for b in sorted({1, batch})
    ]


BENCH = {
    "footprint": 2048.0,
    "connection_sparsity": 0.25,
    "activation_sparsity": 0.9,
    "acs": 1_000_000.0,
    "macs": 4 * 250_000.0,
    "dense": 4 * 2_664_288.0,
    "updates": 57_384.0,
}


def test_section_2(seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = marked_splits(COLOURED)
    asked = {}

    def time_networks(cfg: Any, net: Any, opponent: Any, images: torch.Tensor) -> list:
        asked["grey"] = images.float().mean().item()
        return timing_rows(cfg.batch)

    def neurobench(net: Any, x: torch.Tensor) -> dict:
        asked["bench"] = (tuple(x.shape), x.mean().item())
        return dict(BENCH)

    monkeypatch.setattr(Run, "data", lambda self, loader, **_: data)
    monkeypatch.setattr(lesson, "device_names", lambda: ["cpu"])
    monkeypatch.setattr(lesson, "time_networks", time_networks)
    monkeypatch.setattr(lesson, "neurobench", neurobench)
    monkeypatch.setattr(lesson, "measured_energy", lambda *_: 0.5)
    run = run_section(lesson.section_devices, tmp_path, num_steps=4, batch=16, images=30)
    assert asked == {"grey": 255, "bench": ((4, 30, *COLOURED), 2.0)}, (
        "test pictures, which are white"
    )
    assert run.value("latency_p50") == 4 and run.value("steps_cost") == 2
    assert run.value("silent") == 0.75 and run.value("membrane_updates") == 57_384
    # dense, conv1 once: 4 · 2,664,288 − 3 · 569,184; effective: 1,000,000 + 250,000
    assert run.value("dense_over_effective") == pytest.approx(8_949_600 / 1_250_000)
    latency = rows_of(run, "Latency")
    assert latency["cpu: SNN, layer by layer"] == ["4", "12", "1,000 (B=16)", "2"]
    table = rows_of(run, "NeuroBench on 30")
    assert table["dense operations / effective"] == ["5.3"] and table["footprint"] == ["2 KiB"]
    assert table["the same, conv1 once"] == ["7.2"] and table["MACs, conv1 once"] == ["250,000"]
    assert table["activation sparsity"] == ["90.0 %"]
    assert any("500 µJ a picture" in line for line in seen.said)
    title = seen.titles["2_devices"]
    assert "takes 2.0 to 4.0 times as long" in title and "saves some time in every part" in title
    said = texts(run)
    assert "takes 2.0 to 4.0 times as long as its opponent's one pass" in said
    assert "step by step 1.6 to 2.0 times as long as layer by layer" in said
    assert "0.6 to 0.8 times as long as with spikes: silence saves some time in every part" in said
    assert "one operation in 7.2" in said


def test_silence_in_words() -> None:
    assert "saves some time" in lesson.silence_in_words([0.8, 0.9, 0.99])
    assert "costs some time" in lesson.silence_in_words([1.01, 1.5, 1.2])
    assert "no difference" in lesson.silence_in_words([0.7, 1.2, 0.7])


def test_ratios_of_two_networks_part_by_part() -> None:
    a = lesson.Timing("cpu", "a", 1, 4.0, 5.0, 0, (4.0, 6.0))
    b = lesson.Timing("cpu", "b", 1, 2.0, 5.0, 0, (2.0, 1.0))
    assert lesson.ratios_of(a, b) == [2, 6]


# -------------------------------------------------------------------- 3  the mesh


def test_the_network_on_the_mesh() -> None:
    """Real mapper, no TensorFlow: the network fits whole; its variants fall to software for akida's reasons."""
    pytest.importorskip("akida")
    spread = map_on_akd1000(layers_for_akida())
    assert not spread.fallbacks and spread.nps_used <= spread.nps_total == 78 and spread.passes == 1
    assert len({(n.col, n.row) for n in spread.mesh}) == 20, "nodes"
    places = [(n.col, n.row, n.id) for layer in spread.layers for n in layer.nps if n.type != "HRC"]
    assert len(places) == len(set(places))
    conv3 = next(layer for layer in spread.layers if layer.name == "conv3")
    assert sum(n.filters for n in conv3.nps) == 128, "the filters are divided up, none twice"
    assert "max pooling" in map_on_akd1000(layers_for_akida(pool_last=True)).fallbacks["conv3"]
    wide = map_on_akd1000(layers_for_akida((128, 64, 128)))
    assert list(wide.fallbacks) == ["conv1"] and "64" in wide.fallbacks["conv1"]


def test_every_panel_of_the_mesh_has_its_title() -> None:
    mesh = [[c, r, k] for c in (1, 2) for r in (1, 2) for k in range(4)]
    layers = {"conv1": [[0, 0, 0]], "conv2": mesh[:5], "soft": []}
    panel = {"mesh": mesh, "layers": layers}
    fig = lesson.draw_meshes({"first": panel, "second": panel}, "title")
    assert [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes] == ["first", "second"]
    labels = [t.get_text() for t in fig.axes[0].get_legend().get_texts()]
    assert "conv2: 5 NPs" in labels and "soft: software" in labels
    plt.close(fig)
    assert lesson.squares(panel) == 5, "the input converter is no processor of the mesh"
    shared = {"mesh": mesh, "layers": layers | {"fc": mesh[4:6]}}
    assert lesson.squares(shared) == 6, "one serves two layers"


def random_model() -> Any:
    """An untrained network of the twin's shapes, whose steps are odd numbers."""
    model = layers_for_akida()
    rng = np.random.default_rng(0)
    for layer in model.layers:
        weight = layer.get_variable("weights")
        layer.set_variable("weights", rng.integers(-7, 8, weight.shape).astype(weight.dtype))
        scale = 4000 if layer.name == "conv1" else 40
        q = 2 * rng.integers(scale, 2 * scale, layer.get_variable("act_step").shape) + 1
        layer.set_variable("act_step", q.astype(np.float32))
        threshold = layer.get_variable("threshold")
        h = np.round(q / 2) if layer.name != "fc" else 0 * q
        layer.set_variable("threshold", h.astype(threshold.dtype))
    return model


def test_whole_numbers_are_what_akida_computes() -> None:
    pytest.importorskip("akida")
    images = torch.randint(0, 256, (60, *COLOURED), dtype=torch.uint8)
    pictures = images.permute(0, 2, 3, 1).contiguous().numpy()
    model = random_model()
    out = model.forward(pictures).reshape(60, -1)
    q = model.layers[-1].get_variable("act_step")
    found = lesson.integer_answers(model, images, exact_half=False).numpy()
    assert (found == (out / q).argmax(1)).mean() >= 0.95
    exact = lesson.integer_answers(model, images, exact_half=True).numpy()
    assert (exact == (out / q).argmax(1)).mean() < 0.95, "odd steps: the half matters"


def test_the_half_step_at_its_edge() -> None:
    """One channel, q = 5: both start level 1 at v = 3 and level 2 at v = 8; at a tie they part."""
    layer = {
        "conv1": {"weights": np.ones((5, 5, 1, 1)), "act_step": [5.0], "threshold": [2]},
        "fc": {
            "weights": np.array([[[[1.0, 0.0]]]]),
            "act_step": [1.0, 1.0],
            "threshold": [0, -0.5],
        },
    }
    model = types.SimpleNamespace(
        layers=[
            types.SimpleNamespace(name=name, get_variable=lambda key, v=v: np.asarray(v[key]))
            for name, v in layer.items()
        ]
    )
    for pixels, by_keras, by_akida in ((2, 0, 0), (3, 1, 1), (7, 1, 1), (8, 2, 2)):
        image = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
        image[0, 0, 0, 0] = pixels
        found = []
        for exact in (True, False):
            # levels 0, 1 and 2 against thresholds that tell them apart
            seen = [
                0 if lesson.integer_answers(with_bias(model, c), image, exact_half=exact) else 1
                for c in (0.5, 1.5)
            ]
            found.append(sum(seen))
        assert found == [by_keras, by_akida]
    even_q = with_step(model, 4.0, 2)  # a tie: v = 2 is 0.5 of a step
    image = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    image[0, 0, 0, 0] = 2
    up = [int(lesson.integer_answers(with_bias(even_q, 0.5), image, exact_half=e)) for e in (1, 0)]
    assert up == [0, 1], "Keras rounds a tie up, Akida down"


def with_bias(model: Any, bias: float) -> Any:
    """The second output of fc is ``bias``: the first wins if the level lies above it."""
    conv1, fc = model.layers
    values = {"weights": fc.get_variable("weights"), "act_step": np.ones(2)}
    values["threshold"] = np.array([0.0, -bias])
    fc = types.SimpleNamespace(name="fc", get_variable=lambda key: values[key])
    return types.SimpleNamespace(layers=[conv1, fc])


def with_step(model: Any, step: float, threshold: int) -> Any:
    conv1, fc = model.layers
    values = {"weights": conv1.get_variable("weights"), "act_step": np.array([step])}
    values["threshold"] = np.array([threshold])
    conv1 = types.SimpleNamespace(name="conv1", get_variable=lambda key: values[key])
    return types.SimpleNamespace(layers=[conv1, fc])


def fakes(monkeypatch: pytest.MonkeyPatch, state: str, asked: list[str]) -> None:
    """A chip that answers 2 for a white image (test) and 0 for a black one (training).

    Keras differs on one image in ten; the emulator with an exact half step agrees with Keras but on
    one in twenty, with a rounded one it agrees with the chip but on one in eight.
    """

    def by_brightness(x: Any) -> np.ndarray:
        return np.where(np.asarray(x).reshape(len(x), -1).max(1) > 200, 2, 0)

    def keras_classes(x: Any) -> np.ndarray:
        classes = by_brightness(x)
        classes[: len(x) // 10] = 5
        return classes

    def emulator(model: Any, x: torch.Tensor, exact_half: bool) -> torch.Tensor:
        classes = keras_classes(x) if exact_half else by_brightness(x)
        classes[-len(x) // (20 if exact_half else 8) :] = 7
        return torch.from_numpy(classes)

    for name, value in {
        "quantize_and_convert": lambda net, samples: (
            asked.append(f"calibrated on {samples.max()}"),
            "model",
        ),
        "akida_outputs": lambda _m, x: np.eye(10)[by_brightness(x)],
        "keras_outputs": lambda _m, x: np.eye(10)[keras_classes(x)],
        "integer_answers": emulator,
        "keras_twin": lambda twin: None,
        "measure_on_chip": lambda *_: (
            asked.append("chip")
            or {"p50_ms": 9.0, "p95_ms": 11.0, "per_second": 100.0, "energy_mj": 0.05}
        ),
        "akida_status": lambda: AkidaStatus(state, "as faked", "2.19", int(state == "hardware")),
    }.items():
        monkeypatch.setattr(lesson, name, value)


def test_akida_is_scored_on_the_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    data = marked_splits(COLOURED)
    for state, expected in (("simulator", []), ("hardware", ["chip"])):
        asked: list[str] = []
        fakes(monkeypatch, state, asked)
        found = lesson.simulate(lesson.Config(simulated=40), Twin(), data)
        assert asked == ["calibrated on 0", *expected], "training images, which are black"
        assert found.accuracy == 0.75 and found.n == 40 and found.same == 0.9
        assert found.rounded_as_akida == 1 - 5 / 40 and found.exact_as_keras == 1 - 2 / 40
        assert (found.chip is not None) is (state == "hardware")


@pytest.mark.parametrize("state", ["hardware", "simulator"])
def test_section_3(seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str) -> None:
    """Only a chip has measured times; a simulated one has none in any table."""
    pytest.importorskip("akida")
    fakes(monkeypatch, state, [])
    monkeypatch.setattr(Run, "data", lambda self, loader, **_: marked_splits(COLOURED))
    run = run_section(lesson.section_mesh, tmp_path, simulated=40)
    assert run.extra["akida"]["state"] == state and f"Akida: {state}" in run.extra["analysis"]
    assert ("no power was measured" in run.extra["analysis"]) is (state == "simulator")
    assert run.value("nps") == 66 and run.value("nps_fewest") == 3
    assert run.value("software_layers") == 0 and run.value("akida_accuracy") == 0.75
    assert run.value("akida_same") == 0.9 and run.value("exact_as_keras") == 0.95
    assert run.value("rounded_as_akida") == 0.875
    said = texts(run)
    assert (
        "takes 66 processors" in seen.titles["3_mesh"] and "conv3 leaves" in seen.titles["3_mesh"]
    )
    assert "with 7.4 times less memory" in said, "(3.6 + 156.8 + 354.8 + 15.4) / 71.9 KiB"
    assert "66 of 78" in said and "none as it is" in said and "pooling in conv3, conv3" in said
    assert "128 filters in conv1, conv1" in said and "account for most" in said
    (row,) = run.ledger_rows
    assert row["nps"] == 66 and row["accuracy"] == 0.75 and row["n"] == 40
    tables = [t["title"] for t in run.extra["tables"]]
    assert ("Measured on the chip" in tables) is (state == "hardware")
    layers = rows_of(run, "Where each layer")
    assert layers["conv2"][:2] == ["22 CNP1", "1"] and layers["fc"][0] == "1 FNP3"


def test_half_steps_that_explain_nothing_are_said_to(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("akida")
    monkeypatch.setattr(Run, "data", lambda self, loader, **_: marked_splits(COLOURED))
    found = lesson.Simulated(0.5, 0.9, 0.99, 0.85, 40, None)
    monkeypatch.setattr(lesson, "simulate", lambda *_: found)
    run = run_section(lesson.section_mesh, tmp_path, simulated=40)
    assert "do not account for that" in texts(run)


def test_without_tensorflow_the_mesh_is_still_shown(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("akida")

    def refuse(*_: Any) -> Any:
        raise UserError("TensorFlow is missing")

    monkeypatch.setattr(lesson, "keras_twin", refuse)
    monkeypatch.setattr(Run, "data", lambda self, loader, **_: marked_splits(COLOURED))
    run = run_section(lesson.section_mesh, tmp_path)
    assert run.value("nps") == 66 and "akida_same" not in {c.id for c in run.claims}
    assert "TensorFlow is missing" in run.extra["note"] and "66 of 78" in texts(run)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_absent_runs_to_the_end(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str
) -> None:
    """Neither akida nor TensorFlow can be imported: the lesson says so, and shows the committed mesh."""
    real = builtins.__import__
    blocked = ("akida", "tensorflow", "quantizeml", "cnn2snn", "tf_keras")

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return real(name, *rest, **named)

    for name in [m for m in sys.modules if m.split(".")[0] in blocked]:
        monkeypatch.delitem(sys.modules, name)
    akida_status.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(sys, "platform", platform)
    run = run_section(lesson.section_mesh, tmp_path)
    monkeypatch.setattr(builtins, "__import__", real)
    akida_status.cache_clear()
    assert run.extra["akida"]["state"] == "absent" and not run.claims
    assert "published" in run.extra["analysis"]
    assert ("macOS" in run.extra["note"]) is (platform == "darwin")
    assert "3_mesh" in seen.titles and "course's results" in seen.titles["3_mesh"]


def test_packages_are_loaded_inside_functions_only() -> None:
    assert callable(packages.load) and not {"akida", "tensorflow"} & set(vars(lesson))


# -------------------------------------------------------------------- 4  energy


@pytest.mark.parametrize(
    ("size", "k", "stride", "pad"), [(8, 3, 2, 1), (7, 3, 2, 1), (8, 5, 2, 2), (6, 3, 1, 0)]
)
def test_operations_against_brute_force(size: int, k: int, stride: int, pad: int) -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, size, size, generator=g) - 0.5
    x = x * (torch.rand(x.shape, generator=g) < 0.3)
    windows = (size + 2 * pad - k) // stride + 1
    count = 0
    for _b, _c, i, j in x.nonzero().tolist():
        readers = [
            sum(o * stride - pad <= p < o * stride - pad + k for o in range(windows))
            for p in (i, j)
        ]
        count += readers[0] * readers[1]
    layer = nn.Conv2d(3, 5, k, stride=stride, padding=pad)
    assert lesson.operations(layer, x) == pytest.approx(5 * count / 2)
    dense = lesson.operations(nn.Linear(3 * size * size, 4), x.flatten(1))
    assert dense == pytest.approx(4 * float((x != 0).sum()) / 2)


def test_operations_of_a_network_are_means_over_pictures_and_sums_over_steps() -> None:
    net, x = lively(), torch.rand(3, 3, 32, 32)
    whole = lesson.operations_by_layer(net, lesson.encode(x, 4))
    assert list(whole) == ["conv1", "conv2", "conv3", "fc"]
    assert whole["conv1"] == 4 * 569_184, "a dense picture, at each step"
    alone = [lesson.operations_by_layer(net, lesson.encode(x[i : i + 1], 4)) for i in range(3)]
    for name, value in whole.items():
        assert value == pytest.approx(np.mean([one[name] for one in alone]))
    many = x[torch.arange(501) % 3]  # more than one batch
    assert lesson.operations_by_layer(net, lesson.encode(many, 1))["conv2"] == pytest.approx(
        lesson.operations_by_layer(net, lesson.encode(x, 1))["conv2"]
    )
    dense = lesson.dense_operations(net, lesson.encode(x, 4))
    full = F.conv2d(torch.ones(1, 32, 16, 16), torch.ones(64, 32, 3, 3), stride=2, padding=1)
    assert dense["conv2"] == full.sum() and dense["fc"] == 20_480


def test_eight_bits() -> None:
    torch.manual_seed(0)
    net = lesson.keep_rounded(lesson.with_eight_bits(lesson.FiveLevels()))
    assert sorted(n for n, _ in net.named_parameters())[:2] == ["conv1.bias", "conv1.weight"]
    for layer in (net.conv1, net.conv2, net.conv3, net.fc):
        units = 127 * layer.weight / layer.weight.abs().max()
        assert (units - units.round()).abs().max() < 1e-3 and len(units.round().unique()) <= 255
    trained = lesson.with_eight_bits(lesson.FiveLevels())
    trained(torch.rand(2, *COLOURED)).sum().backward()
    raw = trained.conv2.parametrizations.weight.original
    assert raw.grad is not None and raw.grad.abs().sum() > 0


def test_five_levels() -> None:
    net = lesson.FiveLevels()
    x = torch.linspace(-1, 4, 1001, requires_grad=True)
    y = net.activate(x)
    assert y.unique().tolist() == [0, 0.5, 1, 1.5, 2], "as many as spikes in four steps"
    assert (y - x.clamp(0, 2)).abs().max() <= 0.25 + 1e-6
    y.sum().backward()
    inside = (x > 0) & (x < 2)
    assert (x.grad[inside] == 1).all() and (x.grad[(x < 0) | (x > 2)] == 0).all()


def test_the_saved_weights_are_those_of_the_networks(tmp_path: Path) -> None:
    for net, path in (
        (lesson.SmallCNN(), lesson.SPIKING),
        (lesson.FiveLevels(), lesson.QUANTISED),
        (Twin(), lesson.TWIN),
    ):
        before = {k: v.clone() for k, v in net.state_dict().items()}
        load_weights(net, path)
        learnt = [k for k in before if k.endswith("weight")]
        assert learnt and not any(torch.equal(before[k], net.state_dict()[k]) for k in learnt)
    net = load_weights(lesson.FiveLevels(), lesson.QUANTISED)
    for layer in (net.conv1, net.conv2, net.conv3, net.fc):
        units = 127 * layer.weight / layer.weight.abs().max()
        assert (units - units.round()).abs().max() < 1e-3, "they have eight bits"
    with pytest.raises(UserError, match="none.safetensors"):
        load_weights(Twin(), tmp_path / "none.safetensors")


WORK = lesson.Work(
    first=100.0,
    dense=1000.0,
    spikes=800.0,
    at_once=400.0,
    levels=300.0,
    updates=40.0,
    num_steps=4,
)


def test_operations_if_all_steps_are_taken_at_once() -> None:
    net, x = lively(), torch.rand(3, 3, 32, 32)
    shown = lesson.encode(x, 4)
    union, whole = lesson.operations_at_once(net, shown), lesson.operations_by_layer(net, shown)
    assert union["conv1"] == 569_184, "a still picture"
    assert union["conv2"] < whole["conv2"] and union["fc"] <= whole["fc"]
    one = lesson.encode(x, 1)
    alone = lesson.operations_by_layer(net, one)
    assert lesson.operations_at_once(net, one) == pytest.approx(alone)
    reset_state(net)
    spiked = torch.zeros(3, 2048)
    with torch.no_grad():
        for x_t in shown:
            spk1 = net.lif1(net.conv1(x_t))
            spk3 = net.lif3(net.conv3(net.lif2(net.conv2(spk1))))
            spiked = torch.maximum(spiked, spk3.flatten(1))
    assert union["fc"] == pytest.approx(10 * spiked.sum().item() / 3)


def test_accounts_by_hand() -> None:
    found = lesson.accounts(WORK)
    assert list(found.values()) == [
        pytest.approx((100 * 4.6 + 800 * 0.9, 1100 * 4.6)),
        pytest.approx((100 * 4.6 + 800 * 0.9, 400 * 4.6)),
        pytest.approx((100 * 0.3 + 800 * 0.1, 400 * 0.3)),
        pytest.approx((110 + 500 * 1.25, 120 + 400 * 1.25)),
        pytest.approx((110 + 900 * 1.25, 120 + 400 * 1.25)),
        pytest.approx((110 + 900 * 1.25 + 40 * 4 * 1.25, 120 + 400 * 1.25)),
    ]
    behind = list(lesson.behind_conv1(WORK).values())
    assert behind[0] == pytest.approx(800 * 0.9 / (1000 * 4.6))
    assert behind[3] == pytest.approx((80 + 400 * 1.25) / (90 + 300 * 1.25))
    assert behind[5] == pytest.approx((80 + 800 * 1.25 + 40 * 4 * 1.25) / (90 + 300 * 1.25))
    assert WORK.spike_rate == 0.2 and WORK.active == 0.3
    assert pytest.approx((1.25, 2.5, 12.5)) == tuple(lesson.SRAM.values())


def test_at_the_break_even_both_take_the_same() -> None:
    rate = lesson.break_even(WORK, lesson.PJ_PER_BYTE)
    equal = replace(WORK, spikes=rate * WORK.num_steps * WORK.dense)
    snn, opponent = lesson.accounts(equal)["and potentials kept"]
    assert snn == pytest.approx(opponent) and equal.spike_rate == pytest.approx(rate)
    without = replace(WORK, spikes=rate * WORK.num_steps * WORK.dense)
    assert lesson.behind_conv1(without)["and potentials kept"] == pytest.approx(1), (
        "no conv1 in (4)"
    )
    assert lesson.break_even(WORK, 0.0) == pytest.approx(0.3 * 0.3 / (4 * 0.1))
    share = lesson.break_even_at_once(WORK, lesson.PJ_PER_BYTE) * WORK.num_steps * WORK.dense
    equal = replace(WORK, spikes=share, at_once=share / 2)
    spiking, other = lesson.accounts(equal)["and weights read: all steps at once"]
    assert spiking == pytest.approx(other)
    heavy = replace(WORK, updates=1e6)
    assert lesson.break_even(heavy, 1.25) < 0, "the potentials alone cost more"


def energy_section(
    monkeypatch: pytest.MonkeyPatch, folder: Path, spikes: float, **settings: Any
) -> Any:
    """Section 4 on known counts: later layers 1,000 operations dense, ``spikes`` additions, 300 of levels."""
    data = marked_splits(COLOURED)
    shown = []

    def count(net: nn.Module, x: torch.Tensor) -> dict[str, float]:
        shown.append((type(net).__name__, x.shape[0], x.mean().item()))
        if isinstance(net, lesson.SmallCNN):
            return {"conv1": 4 * 100.0, "conv2": spikes, "fc": 0.0}
        return {"conv1": 100.0, "conv2": 290.0, "fc": 10.0}

    def score(net: nn.Module, x: torch.Tensor, y: torch.Tensor, show: Any, *_: Any) -> float:
        assert x is data.x_test and y is data.y_test
        steps = len(show(torch.zeros(1, *COLOURED)))
        return {("SmallCNN", 4): 0.676, ("FiveLevels", 1): 0.673}.get(
            (type(net).__name__, steps), 0
        )

    monkeypatch.setattr(Run, "data", lambda self, loader, **_: data)
    monkeypatch.setattr(lesson, "evaluate", score)
    monkeypatch.setattr(lesson, "operations_by_layer", count)
    at_once = {"conv1": 100.0, "conv2": spikes / 2, "fc": 0.0}
    monkeypatch.setattr(lesson, "operations_at_once", lambda *_: at_once)
    monkeypatch.setattr(
        lesson, "dense_operations", lambda *_: {"conv1": 100.0, "conv2": 980.0, "fc": 20.0}
    )
    run = run_section(lesson.section_energy, folder, **({"num_steps": 4, "images": 20} | settings))
    assert shown == [("SmallCNN", run.cfg.num_steps, 2.0), ("FiveLevels", 1, 2.0)], "white: test"
    return run


NEURONS = 32 * 256 + 64 * 64 + 128 * 16 + 10


def test_section_4(seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = energy_section(monkeypatch, tmp_path, spikes=800.0)
    work = lesson.Work(100.0, 1000.0, 800.0, 400.0, 300.0, 4 * NEURONS, 4)
    whole = [spiking / other for spiking, other in lesson.accounts(work).values()]
    without = lesson.accounts(replace(work, first=0.0)).values()
    ratios = [spiking / other for spiking, other in without]
    assert run.value("accuracy") == 0.676 and run.value("opponent") == 0.673
    assert run.value("ratio_usual") == pytest.approx(ratios[0])
    assert run.value("ratio_at_once") == pytest.approx(ratios[3])
    assert run.value("ratio_fair") == pytest.approx(ratios[5])
    assert run.value("break_even") == pytest.approx(lesson.break_even(work, 1.25))
    assert seen.outcomes["winner"] == lesson.verdict(ratios[3], ratios[5])
    (finding,) = run.findings
    assert finding["main"] and finding["claim"] == "ratio_fair"
    for text in (
        f"% right) {ratios[0]:.2f} times",
        f"one by one. With conv1 the last two are {whole[3]:.2f} and {whole[5]:.2f}",
        f"make it {ratios[1]:.2f}, integers {ratios[2]:.2f}, memory {ratios[3]:.2f}",
        "nowhere: its potentials",
        "with free memory below 22.5 %; it has 20.0 %",
    ):
        assert text in finding["text"]
    assert "could turn it round" in finding["text"], f"{ratios[3]:.2f} is close"
    assert f"the fair ones {ratios[3]:.1f} and {ratios[5]:.1f}" in seen.titles["4_accounts"]
    rows = rows_of(run, "Estimated energy")
    assert rows["zeros skipped on both sides"][2:] == [f"{whole[1]:.2f}", f"{ratios[1]:.2f}"]
    assert "note" not in run.extra


def test_who_takes_less() -> None:
    assert lesson.verdict(0.5, 0.8) == "the SNN"
    assert lesson.verdict(1.2, 1.9) == "the network of five levels"
    assert lesson.verdict(1.07, 1.9) == lesson.verdict(0.8, 1.3) == "it depends, or within 10 %"


def test_section_4_can_come_out_the_other_way(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lesson, "MEMBRANE_BYTES", 0)
    run = energy_section(monkeypatch, tmp_path, spikes=40.0)
    assert run.value("ratio_fair") < 0.9 and seen.outcomes["winner"] == "the SNN"
    assert "take less below" in texts(run) and "turn it round" not in texts(run)


def test_another_number_of_steps_is_no_fair_pair(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = energy_section(monkeypatch, tmp_path, spikes=800.0, num_steps=8)
    assert "can say 9 things" in run.extra["note"]


def test_epochs_train_the_opponent_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With rounded weights, as SmallCNN was trained; what is saved has rounded weights only."""
    told = {}

    def fit(net: nn.Module, data: Any, show: Any, **how: Any) -> None:
        told.update(how, rounded=lesson.parametrize.is_parametrized(net.conv1))

    saved = {}
    run = types.SimpleNamespace(checkpoint=lambda net, name: saved.update({name: net}))
    monkeypatch.setattr(lesson, "fit", fit)
    net = lesson.load_opponent(lesson.Config(epochs=6), run, None)
    assert told["rounded"] and told["epochs"] == 6 and told["lr"] == 2e-3
    assert told["batch_size"] == 64 and told["augment"] is lesson.flip_and_shift
    assert saved == {lesson.QUANTISED.stem: net}
    assert not lesson.parametrize.is_parametrized(net.conv1)


def test_section_5(seen: Any, tmp_path: Path) -> None:
    run = run_section(lesson.section_which, tmp_path)
    assert seen.outcomes["faster"] == "the small one" and run.value("published_sooner") == 1
    assert "for 1 of 2 networks" in seen.titles["5_published"]
    assert any("Chemnitz" in line for line in seen.said), "the thesis is named"
    said = texts(run)  # 7.014 / 1.622 and 160.9 / 73.8
    assert "4.3 times sooner for GXNOR" in said and "2.2 times later for YOLOv2" in said


def test_section_5_with_other_figures(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    swapped = []
    for p in lesson.PUBLISHED:
        if p.latency_ms:
            swapped.append(replace(p, latency_ms=1.0, gpu_latency_ms=2.0))
    monkeypatch.setattr(lesson, "PUBLISHED", swapped)
    run = run_section(lesson.section_which, tmp_path)
    assert seen.outcomes["faster"] == "both" and "for 2 of 2" in seen.titles["5_published"]
    assert texts(run).count("2.0 times sooner") == 2
