"""Lesson 17: the hand count against a loop and NeuroBench, the round trips, the integrator against closed forms."""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import SimpleNamespace

from common.cost import ann_macs
from common.io import UserError
from common.lesson import begin
from common.spiking import reset_state
from exchange import nir as exchange

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import ROOT, load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import Always, marked_splits
from torch import nn

lesson = load_script("17_energy_and_export")


def lif(
    num: int, tau: float = 8e-4, r: float = 8.0, theta: float = 1.0, **options: float
) -> nir.LIF:
    full = lambda v: np.full(num, v, np.float64)  # noqa: E731
    return nir.LIF(
        tau=full(tau),
        r=full(r),
        v_leak=full(options.get("v_leak", 0.0)),
        v_threshold=full(theta),
        v_reset=full(options.get("v_reset", 0.0)),
    )


def chain(*nodes: nir.NIRNode) -> nir.NIRGraph:
    return nir.NIRGraph.from_list(*nodes)


def louder(net: nn.Module, gain: float = 2.5) -> nn.Module:
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(gain)
    return net.eval()


class Pooled(nn.Module):
    """Convolution, average pooling and Flatten: what lesson 10's network does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif1, self.pool = (
            nn.Conv2d(1, 3, 3, padding=1),
            snn.Leaky(0.875, init_hidden=True),
            nn.AvgPool2d(2),
        )
        self.flat, self.fc = nn.Flatten(), nn.Linear(3 * 4 * 4, 5)
        self.lif2 = snn.Leaky(0.875, init_hidden=True, output=True)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.lif2(self.fc(self.flat(self.pool(self.lif1(self.conv(x_t))))))


# ------------------------------------------------------------------------------------ counting


@settings(max_examples=25, deadline=None)
@given(
    k=st.integers(1, 3),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    H=st.integers(5, 8),
    W=st.integers(5, 8),
    seed=st.integers(0, 999),
)
def test_fan_out_of_a_convolution_is_a_loop_over_its_synapses(
    k: int, stride: int, padding: int, dilation: int, groups: int, H: int, W: int, seed: int
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(2, 4, k, stride, padding, dilation, groups)
    conv.weight.data[torch.rand_like(conv.weight) < 0.3] = 0  # pruned synapses do not exist
    x = torch.zeros(1, 2, H, W)
    out = conv(x)
    slow = np.zeros((2, H, W))
    for c, i, j, a, b in np.ndindex(4, *out.shape[2:], k, k):
        h, w = i * stride - padding + a * dilation, j * stride - padding + b * dilation
        if 0 <= h < H and 0 <= w < W:
            for m in range(2 // groups):
                slow[c // (4 // groups) * (2 // groups) + m, h, w] += (
                    conv.weight[c, m, a, b].item() != 0
                )
    assert np.array_equal(lesson.fan_out(conv, x.shape, out.shape).numpy(), slow)


def test_fan_out_of_a_dense_layer_ignores_pruned_weights() -> None:
    fc = nn.Linear(3, 4)
    fc.weight.data[1:, 0] = 0
    assert lesson.fan_out(fc, torch.Size([1, 3]), torch.Size([1, 4])).tolist() == [1, 4, 4]


def subject(key: str, net: nn.Module, x: torch.Tensor, passes: int = 1) -> object:
    s = lesson.Subject(key, key, net, lambda v: v, None, x.shape[1], passes=passes)
    s.x, s.y = x, torch.zeros(x.shape[1], dtype=torch.long)
    return s


@pytest.mark.parametrize("key", ["dense", "recurrent", "conv"])
def test_hand_count_equals_neurobench(key: str) -> None:
    torch.manual_seed(3)
    net, x = {
        "dense": (lesson.SmallNet(784, lesson.leaky(100, 0.875)), torch.rand(4, 6, 784)),
        "recurrent": (lesson.row_net(), torch.rand(28, 6, 28)),
        "conv": (lesson.SmallCNN(), (4 * torch.rand(2, 3, 32, 32) - 2).expand(3, 2, 3, 32, 32)),
    }[key]
    c = lesson.experiment_counts(subject(key, louder(net), x, 28 if key == "recurrent" else 1))
    assert (
        c["difference"] == 0
        and c["by_hand"]["acs"] > 0
        and (c["twice"] > 0) is (key == "recurrent")
    )
    macs = {
        "dense": 78400 + 1000,
        "recurrent": 28 * (28 * 64 + 64 * 64 + 640),
        "conv": 32 * 256 * 75 + 64 * 64 * 288 + 128 * 16 * 576 + 20480,
    }[key]
    assert c["ann"] == macs == ann_macs(net, x[0]) if key != "recurrent" else c["ann"] == macs
    assert (c["by_hand"]["border"] > 0) is (key == "conv")
    assert c["macs once"] == c["by_hand"]["macs"] / c["n"] / (3 if key == "conv" else 1), (
        "a still image counts once"
    )


def test_a_spike_count_of_known_size() -> None:
    """Every neuron at every step is an update; the recurrent layer counts the spikes of the step before."""
    net = louder(lesson.row_net(), 4)
    x = torch.rand(28, 3, 28)
    table, spikes = lesson.hand_count(net, x), exchange.spikes_of(net, x)
    assert table["lif1"]["updates"] == 28 * 3 * 64 and table["lif2"]["updates"] == 28 * 3 * 10
    assert table["fc2"]["acs"] == int(spikes[0].sum()) * 10
    assert table["lif1.recurrent"]["acs"] == int(spikes[0][:-1].sum()) * 64
    assert table["lif1.recurrent"]["calls"] == 2, (
        "snnTorch works the loop out twice a step; it is one loop"
    )


def test_energy_closed_form() -> None:
    c = {
        "an image": {"acs": 1000, "macs": 500, "updates": 10},
        "macs once": 100,
        "ann": 200,
        "zero pixels": 50,
    }
    e = lesson.experiment_energy(c)
    assert e["synapses only"] == {
        "snn": pytest.approx((900 + 460) / 1000),
        "ann": pytest.approx(0.92),
    }
    assert e["input multiplied each step"]["snn"] == pytest.approx((900 + 2300) / 1000)
    assert e["ANN skips zero pixels"]["ann"] == pytest.approx(150 * 4.6 / 1000)
    assert e["+ neuron updates"]["snn"] == pytest.approx((900 + 460 + 55) / 1000)
    assert e["+ memory"]["snn"] == pytest.approx((900 + 460 + 55 + 5 * (3 * 1100 + 20)) / 1000)
    assert e["+ memory"]["ann"] == pytest.approx((920 + 5 * 400) / 1000)


# ------------------------------------------------------------------------------------ the integrator


@settings(max_examples=25, deadline=None)
@given(tau=st.floats(2e-4, 1e-2), current=st.floats(-1.0, 0.9), T=st.integers(1, 60))
def test_integrator_below_threshold_against_closed_forms(
    tau: float, current: float, T: int
) -> None:
    """exact: R·I·(1 − e^(−t/τ)) at any step; Euler: R·I·(1 − (1 − dt/τ)^t), which its substeps bring to the former."""
    x = torch.full((T, 1, 1), current, dtype=torch.float64)
    ends = {}
    for name, options in {
        "exact": {"scheme": "exact"},
        "euler": {},
        "dv": {"scheme": "increments"},
        "fine": {"substeps": 200},
    }.items():
        r = lesson.Reference(chain(lif(1, tau, r=1.0)), **options)
        assert r.run(x)[0].sum() == 0
        ends[name] = r.v["lif"].item()
    assert ends["exact"] == pytest.approx(current * (1 - math.exp(-T * 1e-4 / tau)), abs=1e-9)
    assert ends["euler"] == pytest.approx(current * (1 - (1 - 1e-4 / tau) ** T), abs=1e-9)
    assert ends["dv"] == pytest.approx(ends["euler"], abs=1e-9)
    assert abs(ends["fine"] - ends["exact"]) <= 0.02 * abs(current) + 1e-9


def test_period_of_a_constant_current() -> None:
    """From rest to θ: the exact scheme fires every ⌈τ·ln(RI/(RI − θ))/dt⌉ steps."""
    spk = (
        lesson.Reference(chain(lif(1, tau=2e-3, r=1.0)), scheme="exact")
        .run(torch.full((200, 1, 1), 1.6, dtype=torch.float64))[0]
        .flatten()
    )
    times = spk.nonzero().flatten()
    assert (times.diff() == math.ceil(20 * math.log(1.6 / 0.6))).all() and times[0] == times.diff()[
        0
    ] - 1


def test_reset_goes_where_the_node_says_and_leak_to_rest() -> None:
    node = lif(1, theta=1.0, v_reset=-0.5, v_leak=0.3)
    r = lesson.Reference(chain(node))
    r.run(torch.full((1, 1, 1), 5.0, dtype=torch.float64))
    assert r.v["lif"].item() == -0.5
    r.run(torch.zeros(400, 1, 1, dtype=torch.float64))
    assert r.v["lif"].item() == pytest.approx(0.3, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), reset=st.sampled_from(["zero", "subtract"]))
def test_integrator_against_snntorchs_own_neuron(seed: int, reset: str) -> None:
    x = torch.rand(30, 4, 6, generator=torch.Generator().manual_seed(seed))  # U stays under 2θ
    neuron = snn.Leaky(
        beta=torch.full((6,), 0.875), init_hidden=True, reset_mechanism=reset, reset_delay=False
    )
    want = torch.stack([neuron(x_t) for x_t in x])
    got = lesson.Reference(
        chain(lif(6)), reset={"zero": "value", "subtract": "subtract"}[reset]
    ).run(x)[0]
    assert torch.equal(got, want) and want.sum() > 0


def test_rleakys_late_reset_loses_an_input() -> None:
    """The reason for reset_delay=False: Leaky and RLeaky mean different things by 'zero'."""
    x = 3 * torch.rand(30, 4, 6, generator=torch.Generator().manual_seed(1))

    def spikes(late: bool) -> torch.Tensor:
        m = snn.RLeaky(
            beta=torch.full((6,), 0.875),
            linear_features=6,
            init_hidden=True,
            reset_mechanism="zero",
            reset_delay=late,
        )
        nn.init.zeros_(m.recurrent.weight)
        nn.init.zeros_(m.recurrent.bias)
        return torch.stack([m(x_t) for x_t in x]).detach()

    graph = chain(lif(6))
    assert torch.equal(spikes(False), lesson.Reference(graph).run(x)[0])
    assert torch.equal(spikes(True), lesson.Reference(graph, reset="late").run(x)[0])
    assert not torch.equal(spikes(True), spikes(False))


def test_delayed_loop_starts_from_silence() -> None:
    """A neuron that excites itself: the echo comes one step later, two with loop_delay=1, and its bias at once."""
    w = nir.Affine(weight=np.array([[2.0]]), bias=np.array([0.1]))
    graph = nir.NIRGraph(
        {
            "input": nir.Input(np.array([1])),
            "n": lif(1, r=8.0),
            "w": w,
            "output": nir.Output(np.array([1])),
        },
        [("input", "n"), ("n", "w"), ("w", "n"), ("n", "output")],
    )
    x = torch.zeros(6, 1, 1, dtype=torch.float64)
    x[0] = 2
    assert lesson.Reference(graph).run(x)[0].flatten().tolist() == [1, 1, 1, 1, 1, 1]
    assert lesson.Reference(graph, loop_delay=1).run(x)[0].flatten().tolist() == [1, 0, 1, 0, 1, 0]


# ------------------------------------------------------------------------------------ there and back


def nets() -> dict[str, tuple[nn.Module, torch.Tensor]]:
    torch.manual_seed(5)
    return {
        "dense": (lesson.SmallNet(20, lesson.leaky(12, 0.9)), 2 * torch.rand(15, 4, 20)),
        "recurrent": (lesson.row_net(), torch.rand(28, 4, 28)),
        "conv": (lesson.SmallCNN(), 4 * torch.rand(5, 2, 3, 32, 32) - 2),
        "pooled": (Pooled(), 2 * torch.rand(12, 3, 1, 8, 8)),
    }


@pytest.mark.parametrize("key", ["dense", "recurrent", "conv", "pooled"])
def test_round_trip_gives_the_same_spikes(key: str, tmp_path: Path) -> None:
    net, x = nets()[key]
    net = exchange.per_neuron(louder(net), x[0])
    nir.write(tmp_path / "a.nir", exchange.to_nir(net, x[0]))
    want, back = (
        exchange.spikes_of(net, x),
        exchange.spikes_of(exchange.from_nir(nir.read(tmp_path / "a.nir")), x),
    )
    assert all(w.sum() > 0 for w in want[:-1])
    assert len(want) == len(back) and all(map(torch.equal, want, back))
    again = lesson.Reference(nir.read(tmp_path / "a.nir")).run(x)
    assert exchange.compare(want, again, torch.zeros(x.shape[1]))["share"] < 0.01


def test_average_pooling_is_sum_pooling_with_smaller_weights() -> None:
    """What the hardware table proposes, checked: every reader of the table that pools takes SumPool2d."""
    net, x = nets()["pooled"]
    net = exchange.per_neuron(louder(net), x[0])
    graph = exchange.to_nir(net, x[0])
    want = lesson.Reference(graph).run(x)
    pool = graph.nodes["pool"]
    graph.nodes["pool"] = nir.SumPool2d(pool.kernel_size, pool.stride, pool.padding)
    graph.nodes["fc"].weight = graph.nodes["fc"].weight / 4
    assert all(map(torch.equal, want, lesson.Reference(graph).run(x)))


def test_the_reset_that_nir_lacks_is_refused_and_shown(tmp_path: Path) -> None:
    net, x = nets()["dense"]
    subtract = exchange.per_neuron(louder(net), x[0], reset="subtract")
    with pytest.raises(UserError, match="lif1 resets by 'subtract'"):
        exchange.to_nir(subtract, x[0])
    trip = lesson.experiment_round_trip(subject("dense", net, x), tmp_path)
    assert (
        trip["round"]["differ"] == 0
        and trip["default"]["differ"] > 0
        and trip["library"] == "works"
    )


def test_snntorchs_own_import_still_stops_at_loops_and_flatten(tmp_path: Path) -> None:
    """If this fails, the library has learnt it: the lesson's table and text want a new look."""
    for key in ("recurrent", "conv"):
        net, x = nets()[key]
        assert (
            "Error"
            in lesson.experiment_round_trip(subject(key, louder(net), x), tmp_path)["library"]
        )


def test_per_neuron_leaves_the_original_alone_and_keeps_its_answers() -> None:
    net, x = nets()["conv"]
    before = exchange.spikes_of(net, x)
    copy = exchange.per_neuron(net, x[0], reset="subtract")
    assert net.lif1.beta.dim() == 0 and copy.lif1.beta.shape == (32, 16, 16)
    assert all(map(torch.equal, before, exchange.spikes_of(copy, x)))
    assert net.lif1.mem.abs().sum() == 0


# ------------------------------------------------------------------------------------ what cannot be exported


class Step(nn.Module):
    def __init__(
        self, layer: nn.Module | None = None, neuron: nn.Module | None = None, step: object = None
    ) -> None:
        super().__init__()
        self.fc, self.layer, self.step = nn.Linear(6, 6), layer or nn.Linear(6, 6), step
        self.lif = neuron or lesson.leaky(6, 0.875)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.step(self, x) if self.step else self.lif(self.layer(self.fc(x)))


per = {"beta": torch.full((6,), 0.875), "threshold": torch.ones(6), "init_hidden": True}
REFUSED = [
    (Step(layer=nn.BatchNorm1d(6)), "layer is a BatchNorm1d: fold it into the linear layer"),
    (Step(layer=nn.Dropout(0.5)), "layer is a Dropout: leave it out"),
    (Step(neuron=snn.Alpha(alpha=0.9, beta=0.8, init_hidden=True)), "lif is a Alpha"),
    (
        Step(neuron=snn.Leaky(0.875, init_hidden=True, reset_mechanism="zero")),
        "lif has one β for all neurons",
    ),
    (Step(neuron=snn.Leaky(**per, reset_mechanism="none")), "resets by 'none'"),
    (Step(neuron=snn.Leaky(**{**per, "beta": torch.ones(6)}, reset_mechanism="zero")), "β ≥ 1"),
    (
        Step(neuron=snn.Leaky(**per, reset_mechanism="zero", graded_spikes_factor=2.0)),
        "graded spikes",
    ),
    (
        Step(
            neuron=snn.RLeaky(beta=0.9, linear_features=6, init_hidden=True, reset_mechanism="zero")
        ),
        "loses an input a spike",
    ),
    (
        Step(step=lambda n, x: n.lif(n.layer(torch.relu(n.fc(x))))),
        "layer takes a tensor that no module made",
    ),
    (Step(step=lambda n, x: 2 * n.lif(n.fc(x))), "the output is made by a function"),
    (
        Step(step=lambda n, x: [n.lif(n.fc(x)) for _ in range(4)][-1]),
        "lif is called 4 times in one step",
    ),
]


@pytest.mark.parametrize(("net", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_one_clear_message(net: nn.Module, message: str) -> None:
    with pytest.raises(UserError) as e:
        exchange.to_nir(net.eval(), torch.rand(2, 6))
    assert message in str(e.value) and "\n" not in str(e.value)
    assert not any(m._forward_hooks for m in net.modules())


def test_pooling_with_padding_and_maxima_are_refused() -> None:
    net = exchange.per_neuron(Pooled(), torch.rand(1, 1, 8, 8))
    for pool, message in (
        (nn.MaxPool2d(2), "NIR has no maximum"),
        (nn.AvgPool2d(2, 2, 1), "drops a pool's padding"),
    ):
        net.pool = pool
        if pool.padding == 1:
            net.fc = nn.Linear(3 * 5 * 5, 5)
        with pytest.raises(UserError, match=message):
            exchange.to_nir(net, torch.rand(1, 1, 8, 8))


def test_both_exporters_on_eight_forwards() -> None:
    found = {p["how"]: p for p in lesson.experiment_export(0)}
    assert found["plain"]["calls"] == found["plain"]["fx"] == "right"
    assert found["plain"]["check"] == "nothing in the way"
    assert (
        found["skip connection"]["calls"] == lesson.SILENT
        and found["skip connection"]["fx"] == "right"
    )
    assert (
        found["scaled spikes"]["calls"] == lesson.SILENT and "Error" in found["scaled spikes"]["fx"]
    )
    assert "Error" in found["BatchNorm"]["calls"] and "TraceError" in found["branch on data"]["fx"]
    for p in found.values():
        assert lesson.SILENT not in p["calls"] or p["check"] != "nothing in the way", p


class Squared(nir.NIRNode):
    """A node that NIR does not have."""

    def __init__(self) -> None:
        self.input_type, self.output_type = {"input": np.array([2])}, {"output": np.array([2])}


def test_unknown_node_is_named() -> None:
    with pytest.raises(UserError, match="squared: got a Squared"):
        lesson.Reference(chain(Squared())).run(torch.rand(1, 1, 2))


def test_hardware_table_is_computed_from_the_nodes() -> None:
    dense = chain(nir.Affine(np.ones((2, 3)), np.ones(2)), lif(2))
    pool = nir.NIRGraph.from_list(
        nir.Input(np.array([1, 4, 4])),
        nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
    )
    table = {row[0]: row[1:] for row in lesson.experiment_hardware({"a": dense, "b": pool})}
    assert table["Xylo (Rockpool)"][0] == "all taken" and table["Speck, on the chip"][0] == "LIF"
    assert all(row[1] == "AvgPool2d" and "SumPool2d" in row[2] for row in table.values())
    kinds = {k for taken in exchange.TARGETS.values() for k in taken}
    assert all(issubclass(getattr(nir, k), nir.NIRNode) for k in kinds | set(exchange.INSTEAD))


def test_missing_checkpoint_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "ROOT", tmp_path)
    cfg = lesson.Config(out_dir=tmp_path, device="cpu")
    with pytest.raises(UserError, match="mnist_dense.safetensors .*--train"):
        lesson.Subject(
            "dense", "", lesson.SmallNet(784, lesson.leaky(100, 0.875)), lambda v: v, None, 1
        ).prepare(cfg, begin(cfg, "x"))


# ------------------------------------------------------------------------------------ other simulators, real data


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("norse.torch", ("Norse, with R = 1", "Norse, graph as it is")),
        ("sinabs.nir", ("sinabs",)),
        ("spikingjelly.activation_based.nir_exchange", ("SpikingJelly",)),
    ],
)
def test_second_simulator_where_installed(
    module: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip(module)
    net, x = nets()["dense"]
    rows = lesson.experiment_simulators(
        subject("dense", net, x),
        lesson.experiment_round_trip(subject("dense", louder(net), x), tmp_path),
    )
    assert set(names) <= set(rows)
    if names[0] in ("Norse, with R = 1", "SpikingJelly"):
        assert rows[names[0]]["share"] < 0.01, "the same step, solver and reset: rounding only"
    if "Norse" in names[0]:
        assert rows["Norse, graph as it is"]["share"] > 0.5, "it leaves R out"


SHARED = Path(os.environ.get("SNN_DATA") or ROOT.parent / "shared" / "datasets")


@pytest.mark.skipif(
    not (SHARED / "MNIST").is_dir(), reason="real MNIST is not on this machine (set SNN_DATA)"
)
def test_checkpoints_are_the_networks_that_the_lesson_names(tmp_path: Path) -> None:
    cfg = lesson.Config(out_dir=tmp_path, data_dir=SHARED, device="cpu")
    run = begin(cfg, "x")
    data = run.data(lesson.mnist, n_test=1000)
    s = lesson.Subject(
        "dense",
        "",
        lesson.SmallNet(784, lesson.leaky(100, 0.875)),
        lambda x: lesson.constant_current(x.flatten(1), 10),
        data,
        5,
    ).prepare(cfg, run)
    assert s.accuracy >= 0.95 and s.x.shape == (10, 5, 784)
    reset_state(s.net)


# ------------------------------------------------------------------------------------ what is published


def test_subjects_are_scored_on_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Counts say 2, the membrane 3; a network is read by what its subject names."""
    data = marked_splits()
    run = begin(lesson.Config(out_dir=tmp_path, smoke=True, device="cpu"), "test")
    monkeypatch.setattr(lesson, "load_file", lambda path: Always(3, spikes=2).state_dict())
    for predict, expected in ((lesson.count_predict, 0.75), (lesson.membrane_predict, 0.25)):
        s = lesson.Subject("dense", "x", Always(3, spikes=2), lambda x: x[None], data, 7, predict)
        s = s.prepare(lesson.Config(), run)
        assert s.accuracy == expected
        assert (
            s.x.shape == (1, 7, 1, 28, 28)
            and (s.x == 1).all()
            and s.y.tolist() == [2, 2, 2, 3, 2, 2, 2]
        )


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = ("dense", "conv", "recurrent")
    place = {key: i for i, key in enumerate(keys)}

    def prepare(self, cfg, run):
        self.accuracy, self.x, self.y = 0.9 - 0.1 * place[self.key], torch.zeros(2, 3, 1), None
        return self

    def counts(s):
        i = place[s.key]
        c = {"layers": {}, "n": 5, "T": 2, "difference": 0 + i, "twice": 0.5 * i, "ann": 100.0}
        return c | {"an image": {"acs": 10.0 + i}, "by_hand": {"border": 3 * i, "dense": 12}}

    ways = ("synapses only", "ANN skips zero pixels", "+ neuron updates", "+ memory")
    energy = {way: {"snn": 2.0 * (j + 1), "ann": 10.0} for j, way in enumerate(ways)}

    def trip(s, folder):
        i = place[s.key]
        return {
            "graph": SimpleNamespace(nodes={}),
            "path": "x",
            "spikes": [],
            "library": "works",
            "round": {"differ": float(i), "share": 0.5, "accuracy": 0.9},
            "was": 0.9,
            "default": {"share": 0.1 * i, "differ": 9.0},
        }

    def simulators(s, trip):
        names = ("Euler, as β·v + I", "exact solution", "reset by subtraction", "reset a step late")
        i = place[s.key]
        return {n: {"share": 0.01 * (j + 10 * i), "accuracy": 0.5} for j, n in enumerate(names)}

    monkeypatch.setattr(lesson.Subject, "prepare", prepare)
    monkeypatch.setattr(lesson, "experiment_counts", counts)
    monkeypatch.setattr(lesson, "experiment_energy", lambda c: energy)
    monkeypatch.setattr(lesson, "experiment_round_trip", trip)
    monkeypatch.setattr(lesson, "experiment_simulators", simulators)
    monkeypatch.setattr(exchange, "node_order", lambda graph: [])
    yes = "all taken"
    platforms = [["A", yes, yes, yes, "–"], ["B", yes, "LIF", yes, ""], ["C", yes, yes, yes, ""]]
    monkeypatch.setattr(lesson, "experiment_hardware", lambda graphs: platforms)
    probe = {"how": "x", "calls": "right", "fx": "right", "check": "a loop: x"}
    probes = [
        probe | {"calls": lesson.SILENT},
        probe | {"calls": lesson.SILENT, "check": "nothing in the way"},
        probe | {"fx": lesson.SILENT, "check": "nothing in the way"},
    ]
    monkeypatch.setattr(lesson, "experiment_export", lambda seed: probes)
    monkeypatch.setattr(lesson, "ledger_row", lambda net, x, **row: row | {"synops": -1.0})
    run = run_main(lesson, tmp_path, monkeypatch, marked_splits())
    value = run.value
    assert [value(f"exact_{k}") for k in keys] == [0, 1, 2]
    assert [value(f"synops_{k}") for k in keys] == [10, 11, 12]
    assert value("twice") == 1 and value("border") == 0.25
    assert value("ratio_dense_synapses only") == 5
    assert value("ratio_conv_+ memory") == pytest.approx(10 / 8)
    # 4.6 pJ a MAC against 0.9 pJ a spike; with memory two words of 5 pJ against three
    assert value("break-even") == pytest.approx(4.6 / 0.9)
    assert value("break-even with memory") == pytest.approx((4.6 + 2 * 5) / (0.9 + 3 * 5))
    assert [value(f"accuracy_{k}") for k in keys] == pytest.approx([0.9, 0.8, 0.7])
    assert value("round_conv") == 1 and value("default_recurrent") == pytest.approx(0.2)
    assert value("dense: exact solution") == 0.01
    assert value("recurrent: reset a step late") == pytest.approx(0.23)
    assert value("all_taken") == 2
    assert value("silent_calls") == 2 and value("silent_fx") == 1 and value("unchecked") == 1
    row = run.ledger_rows[1]
    assert (row["accuracy"], row["synops"], row["ann_macs"]) == (pytest.approx(0.8), 11, 100)
    assert row["energy_estimated_nj"] == 2 and row["n"] == 40


def test_a_comparison_counts_spikes_and_not_zeros() -> None:
    """Of four and of three spikes two are at the same place: three differ."""
    a, b = torch.zeros(3, 2, 4), torch.zeros(3, 2, 4)
    a[0, 0, 0] = a[1, 0, 1] = a[2, 1, 2] = a[2, 1, 3] = 1
    b[0, 0, 0] = b[1, 0, 1] = b[0, 1, 0] = 1
    found = exchange.compare([a], [b], torch.tensor([0, 0]))
    assert found["differ"] == 3 and found["share"] == pytest.approx(3 / 4)
    assert found["accuracy"] == 1
