"""Lesson 12: clock against event, operations by brute force, Akida's three states, and every published number."""

from __future__ import annotations

import builtins
import sys
import time
import types
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from akd1000 import half_step, packages
from akd1000.drawing import draw_meshes
from akd1000.mesh import map_on_akd1000
from akd1000.twin import Twin, layers_for_akida
from common.akida import AkidaStatus, akida_status
from common.io import UserError, load_weights
from common.lesson import begin
from common.run import Run
from common.spiking import reset_state
from multistep import meters
from training.eight_bits import keep_rounded, with_eight_bits

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
NEURONS = 32 * 256 + 64 * 64 + 128 * 16 + 10


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
def test_three_ways_give_the_same_sums(
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
        lesson.clock_driven(spk, weight),
    ):
        assert torch.allclose(found, by_hand, atol=1e-5)


def test_crossing_of_known_lines() -> None:
    """t_c = 0.8, t = 0.1 + 3.5·a: equal at a = 0.2, as the quiz asks."""
    event = 0.1 + 3.5 * ACTIVITIES
    assert lesson.crossing(event / 0.8) == pytest.approx(0.2)
    assert lesson.crossing(event / 1.0) == pytest.approx(0.9 / 3.5), "between two activities"
    assert lesson.crossing(event / 0.05) == 0, "events never win"
    assert lesson.crossing(event / 9.0) == 1, "events always win"


def measured(clock: float, slope: float, rounds: int = 5) -> Any:
    """(1) takes ``clock``, at the lowest activity 1.3 times that; (2) takes 0.1 + slope·a."""
    event = np.tile((0.1 + slope * ACTIVITIES)[:, None], rounds)
    flat = np.full_like(event, clock)
    flat[0] *= 1.3
    return lesson.Measured(flat, event, find=np.full(rounds, 0.09))


def lasting(event: Any, clock: float = 0.8) -> Any:
    """(2) takes ``event`` ms, ``(activities,)`` or ``(activities, rounds)``, and (1) always ``clock``."""
    event = np.asarray(event)
    if event.ndim == 1:
        event = np.tile(event[:, None], 3)
    return lesson.Measured(np.full_like(event, clock), event, np.ones(event.shape[1]))


def test_how_many_times_as_long() -> None:
    """Medians 2 and 1, whose ratio no round has."""
    assert lesson.ratio_of(np.array([1.5, 3.0, 2.0]), np.array([1.0, 1.0, 0.5])) == 2


def test_the_crossing_is_that_of_the_median() -> None:
    """Of five rounds of 0.1 + 3.5·a against 0.8, two are slower and two faster, one of each wildly."""
    event = np.outer(0.1 + 3.5 * ACTIVITIES, [1.0, 2.0, 0.5, 50.0, 0.01])
    assert lasting(event).star == pytest.approx(0.2)


def test_the_line_of_equation_3() -> None:
    t_0, t_e, star = lasting(0.1 + 3.5 * ACTIVITIES).by_equation
    assert (t_0, t_e) == pytest.approx((0.1 / 0.8, 3.5 / 0.8)) and star == pytest.approx(0.2)


def test_the_share_of_the_fixed_price() -> None:
    """Of 0.1 + 3.5·0.1 ms, 0.1 ms; of 3.5·0.1 − 0.01 ms, nothing. The line counts, so that both shares make 1."""
    assert lasting(0.1 + 3.5 * ACTIVITIES).fixed_share == pytest.approx(0.1 / 0.45)
    assert lasting(3.5 * ACTIVITIES - 0.01).fixed_share == 0
    bent = 0.1 + 3.5 * ACTIVITIES
    bent[lesson.TENTH] = 0.3
    m = lasting(bent)
    t_0, t_e, _ = m.by_equation
    assert m.fixed_share + 0.1 * t_e / (t_0 + 0.1 * t_e) == pytest.approx(1)


def test_a_line_does_not_bend() -> None:
    assert lasting(0.1 + 3.5 * ACTIVITIES).bend == pytest.approx(1)
    steeper = 0.1 + ACTIVITIES + 2 * np.maximum(ACTIVITIES - 0.2, 0)
    assert lasting(steeper).bend == pytest.approx(3), "slope 1 up to 20 %, then 3"


def test_a_measurement_sets_round_beside_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every second round all takes twice as long: the crossing stays where it is."""
    asked = {}

    def fake(calls: dict, rounds: int, device: Any, threads: int) -> dict:
        asked["rounds"], asked["threads"] = rounds, threads
        busy = np.where(np.arange(rounds) % 2, 2.0, 1.0)
        for (way, a), call in calls.items():
            asked[way, a] = call.args[0].shape
        ms = {"clock": lambda a: 0.8 * busy, "event": lambda a: (0.1 + 3.5 * a) * busy}
        ms["find"] = lambda a: a * busy
        return {(way, a): ms[way](a) for way, a in calls}

    monkeypatch.setattr(lesson, "timed", fake)
    cfg = lesson.Config(rounds=6, threads=3)
    generator = torch.Generator().manual_seed(0)
    m = lesson.measure_layer(cfg, 2, torch.zeros(1000, 4), generator)
    assert asked["rounds"] == 6 and asked["threads"] == 3
    assert asked["event", 0.1] == (2, 100) and asked["clock", 0.1] == (2, 1000)
    assert asked["event", 1.0] == (2, 1000) and asked["event", 0.01] == (2, 10)
    assert asked["find", 0.1] == (2, 1000) and m.find.tolist() == [0.1, 0.2] * 3
    assert m.star == pytest.approx(0.2) and m.clock[0].tolist() == [0.8, 1.6] * 3


def test_section_1(seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At 10 % events take 0.45 ms and 3.6 ms: 0.9 ms are twice as long, and 1.8 half as long."""
    known = {1: measured(0.9, 3.5), 64: measured(1.8, 35.0)}
    asked = []

    def measure(cfg: Any, batch: int, weight: Any, g: Any) -> Any:
        asked.append((batch, tuple(weight.shape)))
        return known[batch]

    monkeypatch.setattr(lesson, "measure_layer", measure)
    run = run_section(lesson.section_two_ways, tmp_path, batch=256, inputs=128, rounds=5)
    assert asked == [(1, (128, 128)), (64, (128, 128))]
    assert run.value("speed_one") == pytest.approx(2)
    assert run.value("speed_batch") == pytest.approx(0.5)
    assert run.value("clock_flat") == pytest.approx(1.3)
    assert run.value("crossing_one") == pytest.approx(0.8 / 3.5)
    assert run.value("crossing_batch") == pytest.approx(1.7 / 35, rel=0.01)
    assert {c.n for c in run.claims} == {5}
    title = "on this CPU, event-driven is 2.0 times as fast for one sample, 0.5 times for 64"
    assert title in seen.titles["1_two_ways"]
    said = texts(run)
    assert "the event-driven way is 2.0 times as fast for one sample on this CPU" in said
    assert "and 0.5 times for 64" in said
    assert "t_0 is 17 % of its time for one sample" in said, "0.0857 / (0.0857 + 0.405)"
    table = rows_of(run, "Equation (3)")
    assert table["1"][0] == "0.9" and table["1"][4:6] == ["23 %", "23 %"]
    assert table["1"][6] == "0.1", "0.09 / 0.9"
    assert table["64"][4:6] == ["5 %", "5 %"], "(1.8 − 0.1) / 35"


def test_section_1_without_a_crossing(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lesson, "measure_layer", lambda *_: measured(0.05, 3.5))
    run = run_section(lesson.section_two_ways, tmp_path, inputs=64)
    assert run.value("crossing_one") == run.value("crossing_batch") == 0
    assert rows_of(run, "Equation (3)")["1"][4] == "none"


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
    ms = meters.timed({name: partial(order.append, name) for name in "abc"}, 4, "cpu")
    turns = ["".join(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert len(turns) == 4 * 5 + 2 and all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert len(set(turns)) > 1 and ms["a"].shape == (4,) and (ms["a"] >= 0).all()


def test_timed_keeps_the_fastest_of_five(monkeypatch: pytest.MonkeyPatch) -> None:
    """After two turns that do not count, the calls take 10, 11, … 19 ms: 2 rounds of 5, far apart."""
    clock, threads = [0.0], []
    monkeypatch.setattr(meters, "clock_for", lambda device, threads: lambda: clock[0])
    durations = iter([1, 1, *range(10, 20)])

    def step() -> None:
        threads.append(torch.get_num_threads())
        clock[0] += next(durations) / 1000

    before = torch.get_num_threads()
    assert meters.timed({"a": step}, 2, "cpu", threads=1)["a"] == pytest.approx([10, 11])
    assert set(threads) == {1} and torch.get_num_threads() == before


def test_other_programs_turns_do_not_count() -> None:
    """While a call sleeps, somebody else has the processor."""
    ms = meters.timed({"a": partial(time.sleep, 0.005)}, 2, "cpu")["a"]
    assert ms.max() < 2.5
    assert meters.timed({"a": partial(time.sleep, 0.005)}, 2, "cpu", threads=2)["a"].min() >= 4.9
    assert meters.clock_for("cuda", 1) is time.perf_counter, "a GPU computes while the CPU waits"


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
    assert lesson.count(lesson.silenced(net), x).one_by_one == 0
    assert lesson.count(net, x).one_by_one > 0


def test_neurobench_against_a_count_of_our_own() -> None:
    net, x = lively(), lesson.encode(torch.rand(4, 3, 32, 32), 3)
    bench, own = lesson.neurobench(net, x), lesson.count(net, x)
    assert bench["acs"] == pytest.approx(own.one_by_one)
    assert bench["macs"] == 3 * 569_184, "a dense picture, at each step"
    assert own.conv1 == pytest.approx(569_184), "counted once"
    assert own.operations == pytest.approx(bench["acs"] + 569_184)
    assert bench["dense"] == pytest.approx(3 * (own.dense + 569_184))
    assert bench["updates"] == 3 * own.neurons == 3 * NEURONS, "each potential at each step"
    weights = 4 * sum(p.numel() for p in net.parameters())
    assert weights + 4 * NEURONS <= bench["footprint"] <= weights + 4 * NEURONS + 200
    assert bench["connection_sparsity"] < 1e-3
    assert not hasattr(net, "reset")


def test_every_network_is_timed_on_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def fake(calls: dict, rounds: int, device: Any, threads: int) -> dict:
        shapes.append([call.args[-1].shape for call in calls.values()])
        assert threads == 1
        return {name: np.full(rounds, 2.0 * (i + 1)) for i, name in enumerate(calls)}

    monkeypatch.setattr(lesson, "timed", fake)
    monkeypatch.setattr(lesson, "device_names", lambda: ["cpu"])
    cfg = lesson.Config(num_steps=2, batch=4, rounds=10)
    images = torch.zeros(6, 3, 32, 32, dtype=torch.uint8)
    rows = lesson.time_networks(cfg, lively(), lesson.FiveLevels(), images)
    assert [(r.name, r.batch) for r in rows] == [(n, b) for b in (1, 4) for n in lesson.CONTENDERS]
    assert [r.ms[0] for r in rows[:4]] == [2, 4, 6, 8] and [len(r.ms) for r in rows[3:5]] == [10, 5]
    cfg = lesson.Config(num_steps=1, batch=6, rounds=6)
    few = lesson.time_networks(cfg, lively(), lesson.FiveLevels(), images)
    assert {len(r.ms) for r in few if r.batch == 6} == {5}, "6 / √6 rounds would be 2"
    assert rows[4].per_second == 2000, "4 pictures in 2 ms"
    assert shapes[1] == [(2, 4, 3, 32, 32)] * 3 + [(4, 3, 32, 32)]
    one_step = 4 * 32 * 256  # bytes of conv1's output: at least that much is in use
    assert rows[-1].live >= 4 * one_step and rows[0].live >= one_step
    assert rows[5].live > rows[7].live, "two steps, one pass"


def timing_rows(batch: int) -> list:
    """Of the opponent's five times of one picture, one is 1 ms instead of 2; all others stand still."""
    ms = dict(zip(lesson.CONTENDERS, (8.0, 4.0, 3.0, 2.0), strict=True))
    rows = []
    for name, t in ms.items():
        for b in (1, batch):
            factor = b**0.5 if name != lesson.ONE_PASS else 2 * b**0.5
            times = np.full(5, t * (factor if b > 1 else 1))
            if name == lesson.ONE_PASS and b == 1:
                times[3] = 1.0
            rows.append(lesson.Timing("cpu", name, b, times, 2048 * b))
    return rows


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

    def macs(net: Any, x_t: torch.Tensor, skip_zeros: bool = False) -> float:
        asked["macs"] = (type(net).__name__, tuple(x_t.shape), x_t.mean().item(), skip_zeros)
        return 500_000.0

    monkeypatch.setattr(Run, "data", lambda self, loader, **_: data)
    monkeypatch.setattr(lesson, "device_names", lambda: ["cpu"])
    monkeypatch.setattr(lesson, "time_networks", time_networks)
    monkeypatch.setattr(lesson, "neurobench", neurobench)
    monkeypatch.setattr(lesson, "ann_macs", macs)
    monkeypatch.setattr(lesson, "measured_energy", lambda *_: 0.5)
    monkeypatch.setattr(lesson, "still_network", lambda *_: (3.0, 0.05, 0.8))
    run = run_section(lesson.section_devices, tmp_path, num_steps=4, batch=16, images=30, rounds=5)
    white = {"grey": 255, "bench": ((4, 30, *COLOURED), 2.0)}
    white["macs"] = ("FiveLevels", (30, *COLOURED), 2.0, True)
    assert asked == white, "test pictures, which are white"
    assert run.value("steps_cost") == 2 and run.value("silent") == 1.5
    assert run.value("updates") == 57_384
    assert run.value("operations") == pytest.approx(2.5), "1,000,000 ACs + 250,000 MACs, conv1 once"
    assert {c.id: c.n for c in run.claims} == {
        "steps_cost": 5,
        "silent": 5,
        "operations": 30,
        "updates": 30,
    }
    latency = rows_of(run, "Latency")
    assert latency["cpu: SNN, layer by layer"] == ["4", "1,000", "2"]
    table = rows_of(run, "NeuroBench on 30")
    assert table["footprint"] == ["2 KiB", "3 KiB"]
    assert table["activation sparsity"] == ["90.0 %", "80.0 %"]
    assert table["connection sparsity"] == ["25.0 %", "5.0 %"]
    assert table["MACs, the SNN's conv1 once"] == ["250,000", "500,000"]
    assert table["ACs + MACs, conv1 once"] == ["1,250,000", "500,000"]
    assert any("500 µJ a picture" in line for line in seen.said)
    assert "2.0 times its opponent's time; if it never spikes, 1.5 " in seen.titles["2_devices"]
    said = texts(run)
    assert "takes 2.0 times its opponent's time, and 1.5 times if it never spikes" in said
    assert "are 2.50 times the opponent's; without a spike, 0.50 times" in said


def test_the_metrics_of_a_network_without_neurons() -> None:
    """Half of conv2's weights are zero; conv1's bias drives one of its channels to level 0, conv3's all."""
    net = lesson.FiveLevels()
    with torch.no_grad():
        for conv in (net.conv1, net.conv2, net.conv3):
            conv.weight.fill_(1e-9)
            conv.bias.fill_(1.0)
        net.conv2.weight[:32] = 0
        net.conv1.bias[0] = -1.0
        net.conv3.bias[:] = -1.0
    weights = 32 * 75 + 64 * 288 + 128 * 576 + 20_480
    kib, no_weight, silent = lesson.still_network(net, lesson.encode(torch.rand(3, *COLOURED), 1))
    assert kib * 1024 == 4 * (weights + 32 + 64 + 128 + 10)
    assert no_weight == pytest.approx(32 * 288 / weights)
    assert silent == pytest.approx((256 + 2048) / (8192 + 4096 + 2048)), "outputs that are zero"


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


@pytest.mark.parametrize("channels", [(64, 128), (64, 64), (64, 160), (128, 128), (32, 32), (7, 7)])
def test_the_rule_of_placing(channels: tuple[int, int]) -> None:
    """What section 3 says of AllNps: as few filters an NP as lets everything fit on the mesh."""
    pytest.importorskip("akida")
    placed = map_on_akd1000(layers_for_akida((32, *channels)))
    f = 1
    while sum(-(-c // f) for c in channels) + 1 > 78:
        f += 1
    assert placed.nps_used == sum(-(-c // f) for c in channels) + 1
    for layer in placed.layers[1:3]:
        filters = sorted(n.filters for n in layer.nps)
        assert set(filters[1:]) == {f} and filters[0] <= f


def test_every_panel_of_the_mesh_has_its_title() -> None:
    mesh = [[c, r, k] for c in (1, 2) for r in (1, 2) for k in range(4)]
    layers = {"conv1": [[0, 0, 0]], "conv2": mesh[:5], "soft": []}
    panel = {"mesh": mesh, "layers": layers}
    fig = draw_meshes({"first": panel, "second": panel}, "title")
    assert [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes] == ["first", "second"]
    labels = [t.get_text() for t in fig.axes[0].get_legend().get_texts()]
    assert "conv2: 5 NPs" in labels and "soft: software" in labels
    plt.close(fig)


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
    found = half_step.integer_answers(model, images, exact_half=False).numpy()
    assert (found == (out / q).argmax(1)).mean() >= 0.95
    exact = half_step.integer_answers(model, images, exact_half=True).numpy()
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
                0 if half_step.integer_answers(with_bias(model, c), image, exact_half=exact) else 1
                for c in (0.5, 1.5)
            ]
            found.append(sum(seen))
        assert found == [by_keras, by_akida]
    even_q = with_step(model, 4.0, 2)  # a tie: v = 2 is 0.5 of a step
    image = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    image[0, 0, 0, 0] = 2
    up = [
        int(half_step.integer_answers(with_bias(even_q, 0.5), image, exact_half=e)) for e in (1, 0)
    ]
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
        monkeypatch.setattr(half_step, name, value)
    monkeypatch.setattr(lesson, "akida_status", half_step.akida_status)


def test_akida_is_scored_on_the_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    data = marked_splits(COLOURED)
    for state, expected in (("simulator", []), ("hardware", ["chip"])):
        asked: list[str] = []
        fakes(monkeypatch, state, asked)
        found = half_step.simulate(Twin(), data, 40)
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
    said = texts(run)
    assert seen.titles["3_mesh"].startswith("66 processors") and "3 could" in seen.titles["3_mesh"]
    assert "66 of 78 processors and 531 KiB; 3 processors and 72 KiB" in said, (
        "3.6 + 156.8 + 354.8 + 15.4 KiB"
    )
    assert "No layer falls to software" in said
    assert "with max pooling in conv3, conv3 does, and with 128 filters in conv1, conv1." in said
    assert "same class to 90.0 % of 40" in said
    assert "with h, our own computation gives Akida's to 87.5 %" in said
    assert "explains most" not in said, "12.5 % differ after rounding, 10 % before"
    (row,) = run.ledger_rows
    assert row["nps"] == 66 and row["accuracy"] == 0.75 and row["n"] == 40
    tables = [t["title"] for t in run.extra["tables"]]
    assert ("Measured on the chip" in tables) is (state == "hardware")
    layers = rows_of(run, "Where each layer")
    assert layers["conv2"] == ["22 CNP1", "3", "88", "68.75", "1", "4", "9.375"], "22 × 4 KiB"
    assert layers["fc"][:2] == ["1 FNP3", "10"]


def test_without_tensorflow_the_mesh_is_still_shown(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("akida")

    def refuse(*_: Any) -> Any:
        raise UserError("TensorFlow is missing")

    monkeypatch.setattr(half_step, "keras_twin", refuse)
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
    assert lesson.operations(layer, x) == pytest.approx(5 * count)
    dense = lesson.operations(nn.Linear(3 * size * size, 4), x.flatten(1))
    assert dense == pytest.approx(4 * float((x != 0).sum()))


def test_a_count_is_a_mean_over_pictures_and_a_sum_over_steps() -> None:
    net, x = lively(), torch.rand(3, 3, 32, 32)
    whole = lesson.count(net, lesson.encode(x, 4))
    alone = [lesson.count(net, lesson.encode(x[i : i + 1], 4)) for i in range(3)]
    for name in ("conv1", "one_by_one", "at_once", "dense"):
        mean = np.mean([getattr(one, name) for one in alone])
        assert getattr(whole, name) == pytest.approx(mean)
    many = lesson.count(net, lesson.encode(x[torch.arange(501) % 3], 1))  # more than one batch
    few = lesson.count(net, lesson.encode(x, 1))
    assert many == few or many.one_by_one == pytest.approx(few.one_by_one)
    assert many.neurons == few.neurons == NEURONS
    full = F.conv2d(torch.ones(1, 32, 16, 16), torch.ones(64, 32, 3, 3), stride=2, padding=1)
    last = F.conv2d(torch.ones(1, 64, 8, 8), torch.ones(128, 64, 3, 3), stride=2, padding=1)
    assert whole.dense == pytest.approx(full.sum().item() + last.sum().item() + 20_480), "one step"


def test_a_count_by_hand() -> None:
    """The inputs of fc at each step, and those that spike at any step: without conv1."""
    net, x = lively(), torch.rand(3, 3, 32, 32)
    shown, taken = lesson.encode(x, 4), {"conv2": [], "conv3": [], "fc": []}
    reset_state(net)
    with torch.no_grad():
        for x_t in shown:
            taken["conv2"].append(net.lif1(net.conv1(x_t)))
            taken["conv3"].append(net.lif2(net.conv2(taken["conv2"][-1])))
            taken["fc"].append(net.lif3(net.conv3(taken["conv3"][-1])).flatten(1))
        one_by_one = at_once = 0.0
        for name, spikes in taken.items():
            layer = getattr(net, name)
            one_by_one += sum(lesson.operations(layer, spk) for spk in spikes) / 3
            at_once += lesson.operations(layer, torch.stack(spikes).sum(0)) / 3
    reset_state(net)
    found = lesson.count(net, shown)
    assert found.one_by_one == pytest.approx(one_by_one) and found.at_once == pytest.approx(at_once)
    assert found.at_once < found.one_by_one


def test_eight_bits() -> None:
    torch.manual_seed(0)
    net = keep_rounded(with_eight_bits(lesson.FiveLevels()))
    assert sorted(n for n, _ in net.named_parameters())[:2] == ["conv1.bias", "conv1.weight"]
    for layer in (net.conv1, net.conv2, net.conv3, net.fc):
        units = 127 * layer.weight / layer.weight.abs().max()
        assert (units - units.round()).abs().max() < 1e-3 and len(units.round().unique()) <= 255
    trained = with_eight_bits(lesson.FiveLevels())
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


NET = lesson.Count(conv1=200.0, one_by_one=800.0, at_once=400.0, dense=1000.0, neurons=10)
FIVE = lesson.Count(conv1=200.0, one_by_one=300.0, at_once=300.0, dense=1000.0)


def first_of(net: Any, five: Any, steps: int = 4) -> dict[str, float]:
    """Account → ratio of one SNN."""
    return {name: values[0] for name, values in lesson.ratios([net], five, steps).items()}


def test_accounts_by_hand() -> None:
    """conv1's 200 MACs stand on both sides, at the prices of each account."""
    found = lesson.accounts(NET, FIVE, 4)
    sums, other_sums = (200 + 800) * 4 * 1.25, (200 + 300) * 4 * 1.25
    potentials = 4 * 10 * 4 * 1.25
    add, first = 800 * 0.1, 200 * 0.3
    other = 500 * 0.3 + 500 * 1.25
    assert list(found.values()) == [
        pytest.approx((200 * 4.6 + 800 * 0.9, 1200 * 4.6)),
        pytest.approx((200 * 4.6 + 800 * 0.9, 500 * 4.6)),
        pytest.approx((first + add, 500 * 0.3)),
        pytest.approx((first + add + 600 * 1.25, other)),
        pytest.approx((first + add + 600 * 1.25 + sums, other + other_sums)),
        pytest.approx((first + add + 1000 * 1.25, other)),
        pytest.approx((first + add + 1000 * 1.25 + potentials, other)),
        pytest.approx((first + add + 1000 * 1.25 + potentials + sums, other + other_sums)),
    ]
    assert first_of(NET, FIVE)[lesson.REGISTERS] == pytest.approx(890 / 775)
    assert [list(found)[i] for i in (3, 4, 6, 7)] == list(lesson.KINDS)
    assert pytest.approx((1.25, 2.5)) == tuple(lesson.SRAM.values())


def test_behind_conv1_the_ratio_lies_further_from_1() -> None:
    behind = lesson.ratios_behind(NET, FIVE, 4)
    assert behind[lesson.USUAL] == pytest.approx(720 / 4600)
    assert behind[lesson.AT_ONCE] == pytest.approx(4580 / 1965)
    assert behind[lesson.ONE_BY_ONE] == pytest.approx(5280 / 1965)
    whole = first_of(NET, FIVE)
    assert all(abs(np.log(whole[name])) < abs(np.log(ratio)) for name, ratio in behind.items())


def test_further_trainings_change_only_the_spikes() -> None:
    found = lesson.ratios([NET, *lesson.further_trainings(NET)], FIVE, 4)
    assert {len(values) for values in found.values()} == {1 + len(lesson.MORE_SNNS)}
    one_by_one, at_once = lesson.MORE_SNNS[1]
    assert found["and both in integers"][2] == pytest.approx((60 + one_by_one * 0.1) / 150)
    once = (310 + one_by_one * 0.1 + at_once * 1.25) / 775
    assert found[lesson.REGISTERS][2] == pytest.approx(once)


@pytest.mark.parametrize("kind", lesson.KINDS)
def test_at_the_break_even_both_take_the_same(kind: str) -> None:
    """On each kind of chip the SNN that causes just this share takes as much as its opponent."""
    spikes = lesson.break_even(kind, NET, FIVE, 4, lesson.PJ_PER_BYTE) * 4 * NET.dense
    equal = replace(NET, one_by_one=spikes, at_once=NET.rho * spikes)
    assert first_of(equal, FIVE)[kind] == pytest.approx(1)


def test_what_moves_the_break_even() -> None:
    kind = lesson.ONE_BY_ONE
    share = lesson.break_even(kind, NET, FIVE, 4, 1.25)
    free = lesson.break_even(kind, NET, FIVE, 4, 0.0)
    assert free == pytest.approx(0.3 * 0.3 / (4 * 0.1))
    fewer = lesson.break_even(kind, replace(NET, neurons=4), FIVE, 4, 1.25)
    assert fewer - share == pytest.approx(4 * 6 * 4 * 1.25 / (4 * 1000 * 6.35)), "six potentials"
    heavy = replace(NET, neurons=10_000)
    assert lesson.break_even(kind, heavy, FIVE, 4, 1.25) < 0, "potentials alone"


def energy_section(
    monkeypatch: pytest.MonkeyPatch, folder: Path, net: lesson.Count, **settings: Any
) -> Any:
    """Section 4 on known counts."""
    data = replace(marked_splits(COLOURED), stand_in=False)
    shown = []

    def count(network: nn.Module, x: torch.Tensor) -> lesson.Count:
        shown.append((type(network).__name__, x.shape[0], x.mean().item()))
        return net if isinstance(network, lesson.SmallCNN) else FIVE

    def score(net: nn.Module, x: torch.Tensor, y: torch.Tensor, show: Any, *_: Any) -> float:
        assert x is data.x_test and y is data.y_test
        units = 127 * net.conv2.weight / net.conv2.weight.abs().max()
        assert (units - units.round()).abs().max() < 1e-3, "both have 8-bit weights"
        steps = len(show(torch.zeros(1, *COLOURED)))
        known = {("SmallCNN", 4): 0.676, ("FiveLevels", 1): 0.673}
        return known.get((type(net).__name__, steps), 0)

    monkeypatch.setattr(Run, "data", lambda self, loader, **_: data)
    monkeypatch.setattr(lesson, "evaluate", score)
    monkeypatch.setattr(lesson, "count", count)
    run = run_section(lesson.section_energy, folder, **({"num_steps": 4, "images": 20} | settings))
    assert shown == [("SmallCNN", run.cfg.num_steps, 2.0), ("FiveLevels", 1, 2.0)], "white: test"
    return run


def test_section_4(seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of its opponent's 775 pJ, sums in registers, the SNN takes 890 all at once and 1,590 one by one."""
    monkeypatch.setattr(lesson, "MORE_SNNS", ((700.0, 300.0),))
    run = energy_section(monkeypatch, tmp_path, NET, images=1000)
    assert run.value("accuracy") == 0.676 and run.value("opponent") == 0.673
    assert run.value("ratio_usual") == pytest.approx(1640 / 5520)
    assert run.value("ratio_highest") == pytest.approx(1590 / 775), "one by one, registers"
    assert run.value("break_even") == pytest.approx((465 - 200) / (4000 * 1.35)), "one by one"
    assert run.value("break_even_highest") == pytest.approx(465 / (4000 * 0.725)), "at once"
    assert seen.outcomes["winner"] == "the network of five levels"
    (finding,) = run.findings
    assert finding["main"] and finding["claim"] == "ratio_highest"
    said = "takes clearly more energy than its opponent on three of four kinds of chip and clearly less "
    assert (
        said + "on none: 1.15 to 2.05 times as much. The usual account gives 0.30"
        in finding["text"]
    )
    title = "0.30 times its opponent's by the usual account; same rules, 1.15 to 2.05 times, by the kind"
    assert title in seen.titles["4_energy"]
    rows = rows_of(run, "Estimated energy")
    assert rows[lesson.ONE_BY_ONE][2:] == ["2.01", "2.69"] and "note" not in run.extra
    needed = rows_of(run, "What (4) needs")
    assert needed["1,000"] == ["30.0 %", "20.0 %", "50.0 %", "10", "200"]
    chips = rows_of(run, "Break-even on four kinds of chip; this SNN has s = 20.0 %")
    assert chips["all at once, sums in registers"] == ["1.15", "0.97 to 1.15", "16.0 %"]
    assert chips["one by one, sums in memory"] == ["2.01", "1.82 to 2.01", "6.9 %"]


def test_who_takes_less_on_how_many_chips() -> None:
    def of(*ratios: tuple) -> tuple[int, int]:
        return lesson.tally(dict(zip(lesson.KINDS, map(np.array, ratios), strict=True)))

    assert of((0.5, 0.6), (0.7,), (0.79,), (0.81,)) == (3, 0)
    assert of((1.3, 1.4), (3.1,), (0.7,), (1.0,)) == (1, 2)
    assert of((1.16, 1.3), (0.7, 0.9), (1.2,), (1.0,)) == (0, 0), "one training is not clear"


def test_section_4_can_come_out_the_other_way(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lesson, "MORE_SNNS", ())
    few = replace(NET, one_by_one=40.0, at_once=20.0, neurons=1)
    run = energy_section(monkeypatch, tmp_path, few)
    assert run.value("ratio_highest") < 0.8 and seen.outcomes["winner"] == "the SNN"
    assert "on none of four kinds of chip and clearly less on four" in texts(run)
    between = replace(NET, one_by_one=300.0, at_once=300.0, neurons=1)
    run = energy_section(monkeypatch, tmp_path / "between", between)
    assert seen.outcomes["winner"] == "neither"


def test_another_number_of_steps_is_no_fair_pair(
    seen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = energy_section(monkeypatch, tmp_path, NET, num_steps=8, images=1000)
    assert "can say 9 things" in run.extra["note"]
    chips = rows_of(run, "Break-even on four kinds of chip")
    assert all(row[1] == f"{row[0]} to {row[0]}" for row in chips.values()), "one SNN"


def test_epochs_train_both_networks_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the same settings, but the opponent's weights are rounded while it learns; saved are plain ones."""
    told = []

    def fit(net: nn.Module, data: Any, show: Any, **how: Any) -> None:
        rounded = lesson.nn.utils.parametrize.is_parametrized(net.conv1)
        told.append((type(net).__name__, len(show(torch.zeros(1, *COLOURED))), rounded, how))

    saved = {}
    run = types.SimpleNamespace(checkpoint=lambda net, name: saved.update({name: net}))
    monkeypatch.setattr(lesson, "fit", fit)
    net, five = lesson.networks(lesson.Config(epochs=6), run, None)
    assert [t[:3] for t in told] == [("SmallCNN", 4, False), ("FiveLevels", 1, True)]
    for *_, how in told:
        assert how["epochs"] == 6 and how["lr"] == 2e-3 and how["batch_size"] == 64
        assert how["augment"] is lesson.flip_and_shift
    assert told[0][3]["loss_fn"] is lesson.membrane_loss
    assert told[1][3]["loss_fn"] is F.cross_entropy
    assert set(saved) == {lesson.SPIKING.stem, lesson.QUANTISED.stem}
    assert not any(lesson.nn.utils.parametrize.is_parametrized(n.conv1) for n in (net, five))
    fresh = lesson.SmallCNN()
    for conv, inputs in ((fresh.conv1, 75), (fresh.conv2, 288), (fresh.conv3, 576)):
        assert conv.weight.std().item() == pytest.approx(2 / inputs**0.5, rel=0.1)


def test_section_5(seen: Any, tmp_path: Path) -> None:
    run = run_section(lesson.section_which, tmp_path)
    assert seen.outcomes["faster"] == "the small one" and run.value("published_sooner") == 1
    assert "for 1 of 2 networks" in seen.titles["5_published"]
    assert any("Chemnitz" in line for line in seen.said), "the thesis is named"
    said = texts(run)  # 7.014 / 1.622 and 160.9 / 73.8
    assert "4.3 times sooner for GXNOR" in said and "2.2 times later for YOLOv2" in said
    assert "one frame at a time is no promise" in said
    assert "only below a break-even share, by whether" in said


def test_the_last_rule_quotes_the_break_evens(seen: Any, tmp_path: Path) -> None:
    cfg = lesson.Config(device="cpu", smoke=True, out_dir=tmp_path)
    run = begin(cfg, "12_hardware_deep_dive")
    run.claim("break_even", "lowest", 0.0371)
    run.claim("break_even_highest", "highest", 0.1448)
    lesson.section_which.run(run.cfg, run)
    assert "only below a break-even share, here about 4 to 14 %, by whether" in texts(run)


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
    assert texts(run).count("2.0 times sooner") == 2 and "no promise" not in texts(run)
