"""NIR in and out: every node against NumPy, every refusal, loops and nested graphs, files of any bytes."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from common.io import UserError
from common.spiking import reset_state
from exchange import files
from exchange import nir as exchange
from exchange.fields import EVERYWHERE, FIELDS

import h5py
import nir
import nir_reference
import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import ROOT
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

CASES = Path(os.environ.get("SNN_CASES") or ROOT.parent / "shared" / "cases")

Graph = nir.NIRGraph
SOME = np.random.default_rng(0)


def filled(shape: int | tuple[int, ...], value: float) -> np.ndarray:
    return np.full(shape, value, np.float32)


def lif(shape: int | tuple[int, ...] = 4, **given: float | np.ndarray) -> nir.LIF:
    values = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | given
    return nir.LIF(**{k: filled(shape, 1) * v for k, v in values.items()})


def cuba(shape: int | tuple[int, ...] = 4, **given: float | np.ndarray) -> nir.CubaLIF:
    values = {"tau_syn": 1e-3, "tau_mem": 1e-3, "r": 10.0, "v_leak": 0.0}
    values |= {"v_threshold": 1.0, "v_reset": 0.0, "w_in": 1.0}
    return nir.CubaLIF(**{k: filled(shape, 1) * v for k, v in (values | given).items()})


def affine(out: int = 4, inp: int = 3, seed: int = 0, bias: float = 0.1) -> nir.Affine:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(out, inp)).astype(np.float32)
    return nir.Affine(weight, (bias * rng.normal(size=out)).astype(np.float32))


def graph_of(nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]], inp: tuple[int, ...], out: tuple[int, ...]) -> Graph:  # fmt: skip
    whole = {"input": nir.Input(np.array(inp)), **nodes, "output": nir.Output(np.array(out))}
    return Graph(whole, edges, type_check=False)


def chain(inp: tuple[int, ...], out: tuple[int, ...], *nodes: nir.NIRNode) -> Graph:
    names = [f"n{i}" for i in range(len(nodes))]
    path = ["input", *names, "output"]
    edges = list(zip(path[:-1], path[1:], strict=True))
    return graph_of(dict(zip(names, nodes, strict=True)), edges, inp, out)


@torch.no_grad()
def run(net: exchange.ImportedNet, x: np.ndarray) -> np.ndarray:
    """``x (T, B, …)`` → what reaches the Output, ``(T, B, …)``, from rest."""
    reset_state(net)
    out = []
    for x_t in torch.from_numpy(x.astype(np.float32)):
        out.append(net(x_t)[0].numpy())
    return np.stack(out)


def reference(graph: Graph, x: np.ndarray, order: list[str] | None = None) -> tuple[np.ndarray, float]:  # fmt: skip
    order = list(graph.nodes) if order is None else order
    samples = [
        nir_reference.run(graph.nodes, graph.edges, order, x[:, b]) for b in range(x.shape[1])
    ]
    return np.stack([r["output"] for r, _ in samples], 1), min(near for _, near in samples)


def agree(graph: Graph, x: np.ndarray, order: list[str] | None = None, **options: object) -> np.ndarray:  # fmt: skip
    want, nearest = reference(graph, x, order)
    got = run(exchange.from_nir(graph, **options), x)
    assert got.shape == want.shape
    assert nearest > 1e-6, "choose another seed: a membrane hits its threshold"
    assert np.allclose(got, want, atol=1e-4, rtol=1e-4)
    return want


def drive(*shape: int, seed: int = 1, scale: float = 3.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).random(shape)


# ------------------------------------------------------------------------------------ the public cases


def case(name: str) -> Graph:
    """The graphs of the public files, made anew."""
    weight = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    node = {
        "lif_r1": lif(r=1.0),
        "lif_reset_half": lif(v_reset=0.5),
        "if": nir.IF(filled(4, 1), filled(4, 1), filled(4, 0)),
        "cubalif": cuba(),
    }[name]
    nodes = {"fc": nir.Affine(weight, filled(4, 0)), "n": node}
    return graph_of(nodes, [("input", "fc"), ("fc", "n"), ("n", "output")], (3,), (4,))


@pytest.mark.parametrize("name", ["lif_r1", "lif_reset_half", "if", "cubalif"])
def test_public_cases_give_the_references_spikes(name: str, tmp_path: Path) -> None:
    graph, x = case(name), drive(200, 3, 3)
    path = CASES / f"{name}.nir"
    if not path.is_file():
        path = tmp_path / "case.nir"
        nir.write(path, graph)
    want, _ = reference(graph, x)
    assert want.sum() > 20, "silence proves nothing"
    for found in (
        exchange.from_nir(graph),
        exchange.from_nir(path),
        exchange.from_nir(nir.read(path)),
    ):
        assert np.array_equal(run(found, x), want)


def test_r_counts() -> None:
    """R = 1 with τ = 10 dt lets a tenth of the current in; read as R = τ/dt there are many more spikes."""
    x = drive(200, 2, 3)
    faithful = reference(case("lif_r1"), x)[0].sum()
    as_if = chain((3,), (4,), case("lif_r1").nodes["fc"], lif(r=10.0))
    assert run(exchange.from_nir(as_if), x).sum() > 2 * faithful > 0


# ------------------------------------------------------------------------------------ node by node


EACH = np.linspace(0.5, 2, 4)
NEURONS = {
    "R each": lif(r=10 * EACH),
    "tau each": lif(tau=1e-3 * EACH),
    "tau of one step": lif(tau=1e-4, r=1.0),
    "threshold each": lif(v_threshold=EACH),
    "threshold below zero": lif(v_threshold=-0.2, v_reset=-1.0),
    "reset each": lif(v_reset=0.3 * EACH),
    "negative R": lif(r=-10.0),
    "IF, R in steps": nir.IF(filled(4, 1), filled(4, 1), filled(4, 0.2)),
    "IF, R in seconds": nir.IF(filled(4, 1e4), 3 * EACH, filled(4, 0)),
    "Cuba, all each": cuba(tau_syn=1e-3 * EACH, tau_mem=2e-3 * EACH, r=9 * EACH, w_in=3 * EACH),
    "Cuba as snnTorch writes it": cuba(w_in=10.0),
    "Cuba, reset": cuba(v_reset=-0.5, w_in=4.0),
    "LI": nir.LI(1e-3 * EACH, 5 * EACH, 0 * EACH),
    "CubaLI": nir.CubaLI(1e-3 * EACH, 2e-3 * EACH, 5 * EACH, 0 * EACH, 2 * EACH),
    "I": nir.I(filled(4, 1)),
}


@pytest.mark.parametrize("name", NEURONS)
def test_a_neuron_is_numpys(name: str) -> None:
    want = agree(chain((3,), (4,), affine(), NEURONS[name]), drive(60, 3, 3))
    assert np.abs(want).sum() > 5


def test_what_snntorch_computes_itself_is_snntorchs_own() -> None:
    assert type(exchange.from_nir(chain((4,), (4,), lif())).n0) is snn.Leaky
    assert type(exchange.from_nir(chain((4,), (4,), cuba(w_in=10.0))).n0) is snn.Synaptic


@pytest.mark.parametrize("node", [lif(v_leak=0.4), cuba(v_leak=0.4, w_in=5.0), lif(v_leak=0.4, v_reset=0.2)])  # fmt: skip
def test_a_resting_potential_wants_to_know_where_it_starts(node: nir.NIRNode) -> None:
    graph = chain((3,), (4,), affine(), node)
    with pytest.raises(UserError, match=r'n1 .*v_leak = 0.4; .*start="rest"'):
        exchange.from_nir(graph)
    agree(graph, drive(60, 2, 3), start="rest")
    silent = np.zeros((200, 1, 3))
    silent_graph = chain((3,), (4,), affine(bias=0), nir.LI(filled(4, 1e-3), filled(4, 1), filled(4, 0.4)))  # fmt: skip
    rest = run(exchange.from_nir(silent_graph, start="rest"), silent)
    zero = run(exchange.from_nir(silent_graph, start="zero"), silent)
    assert np.allclose(rest, 0.4) and zero[0].max() < 0.05 and np.allclose(zero[-1], 0.4, atol=1e-4)


def test_other_r_of_if_are_asked_for() -> None:
    graph = chain((4,), (4,), nir.IF(filled(4, 2), filled(4, 1)))
    with pytest.raises(UserError, match=r"n0 \(IF\): got R = 2 .*if_step=1"):
        exchange.from_nir(graph)
    x = np.full((4, 1, 4), 0.3)
    assert (
        run(exchange.from_nir(graph, if_step=1), x).sum() == 8
    )  # 0.6, 1.2: a spike every second step
    assert run(exchange.from_nir(graph, if_step=1e-4), x).sum() == 0


def test_another_step_length() -> None:
    graph = chain((4,), (4,), lif(tau=1e-2, r=1.0))
    x = np.full((40, 1, 4), 2.0)
    decay = run(exchange.from_nir(graph, dt=1e-3), x)
    assert decay[:, 0, 0].argmax() == 6  # 1 − 0.9ⁿ > ½ from n = 7 on


CONVS = {
    "stride": {"stride": (2, 1)},
    "padding": {"padding": (2, 0)},
    "one number for both": {"padding": 1, "stride": 2},
    "same": {"padding": "same"},
    "valid": {"padding": "valid"},
    "same, dilated": {"padding": "same", "dilation": (2, 1)},
    "dilation": {"dilation": (1, 2)},
    "groups": {"groups": 2},
    "not square": {"kernel": (3, 5), "padding": (1, 2)},
    "even": {"kernel": (2, 4), "padding": "same"},
}


@pytest.mark.parametrize("name", CONVS)
def test_a_convolution_is_numpys(name: str) -> None:
    options = {"kernel": (3, 3), "stride": 1, "padding": 0, "dilation": 1, "groups": 1} | CONVS[
        name
    ]
    weight = SOME.normal(size=(4, 2 // options["groups"], *options.pop("kernel")))
    node = nir.Conv2d(None, weight, bias=SOME.normal(size=4), **options)
    out = nir_reference.conv(np.zeros((2, 7, 6)), node).shape
    agree(chain((2, 7, 6), out, node), drive(2, 2, 2, 7, 6))


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 2}, {"padding": "same", "dilation": 2}, {"groups": 2}])  # fmt: skip
def test_a_convolution_over_one_dimension(options: dict[str, object]) -> None:
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | options
    weight = SOME.normal(size=(4, 2 // options["groups"], 3))
    node = nir.Conv1d(None, weight, bias=SOME.normal(size=4), **options)
    out = nir_reference.conv(np.zeros((2, 9)), node).shape
    agree(chain((2, 9), out, node), drive(2, 2, 2, 9))


@pytest.mark.parametrize(
    "node",
    [
        nir.SumPool2d(np.array([2, 3]), np.array([2, 1]), np.array([0, 0])),
        nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([2, 1])),
        nir.AvgPool2d(np.array([2, 3]), np.array([1, 2]), np.array([0, 0])),
        nir.SumPool2d(2, 2, 0),
        nir.Flatten({"input": np.array([2, 5, 6])}, 0, -1),
        nir.Flatten({"input": None}, 1, 2),
        nir.Flatten({"input": None}, -2, -1),
        nir.Flatten({"input": None}, 0, 1),
        nir.Scale(SOME.normal(size=(2, 5, 6))),
        nir.Threshold(SOME.random((2, 5, 6)) * 3),
        nir.Delay(1e-4 * SOME.integers(0, 4, (2, 5, 6))),
    ],
    ids=lambda n: type(n).__name__,
)
def test_other_nodes_are_numpys(node: nir.NIRNode) -> None:
    x = drive(6, 2, 2, 5, 6)
    out = x.shape[2:] if isinstance(node, nir.Delay) else nir_reference.stateless(node, x[0, 0]).shape  # fmt: skip
    agree(chain((2, 5, 6), out, node), x)


def test_every_field_of_every_node_is_read() -> None:
    """A field that NIR adds one day makes this fail; until then it is refused as unknown."""
    kinds = {k for k in vars(nir.ir).values() if isinstance(k, type) and issubclass(k, nir.NIRNode)}
    assert kinds - {nir.NIRNode, nir.NIRGraph} == set(FIELDS)
    for kind, read in FIELDS.items():
        assert {f.name for f in dataclasses.fields(kind)} - EVERYWHERE == set(read)


# ------------------------------------------------------------------------------------ what is refused, by name


def node_with(node: nir.NIRNode, **fields: object) -> nir.NIRNode:
    for key, value in fields.items():
        setattr(node, key, value)
    return node


def conv2d(**given: object) -> nir.Conv2d:
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": np.zeros(4)} | given
    return nir.Conv2d(options.pop("input_shape", None), np.ones((4, 1, 3, 3)), **options)


REFUSED = {
    "n0 (LIF): got tau = 5e-05 s, less than a step": chain((4,), (4,), lif(tau=5e-5)),
    "n0 (LIF): got tau = -0.001 s": chain((4,), (4,), lif(tau=-1e-3)),
    "n0 (CubaLIF): got tau_syn = 1e-05 s": chain((4,), (4,), cuba(tau_syn=1e-5)),
    "n0 (LIF): r holds something that is no finite 32-bit number": chain((4,), (4,), lif(r=np.nan)),
    "n0 (LIF): tau holds": chain((4,), (4,), lif(tau=np.inf)),
    "n0 (LIF): got an input of shape (3,), expected (4,)": chain((3,), (4,), lif()),
    "output (Output): got an input of shape (4,), expected (5,)": chain((4,), (5,), lif()),
    "n0 (LIF): got a field refractory": chain((4,), (4,), node_with(lif(), refractory=np.ones(4))),
    "n0 (LIF): its parameters have the shapes": chain(
        (4,), (4,), node_with(lif(), v_threshold=np.ones(1))
    ),
    "node n0: got weights of shape (2, 4, 3)": chain((3,), (4,), nir.Linear(np.ones((2, 4, 3)))),
    "node n0: got a bias of shape (1,)": chain((3,), (4,), nir.Affine(np.ones((4, 3)), np.ones(1))),
    "n0 (Affine): got an input of shape (5,), expected (3,)": chain((5,), (4,), affine()),
    "node n0: got padding 'same' with a stride of (2, 2)": chain(
        (1, 5, 5), (4, 3, 3), conv2d(padding="same", stride=2)
    ),
    "n0 (Conv2d): got stride = 1.5": chain((1, 5, 5), (4, 3, 3), conv2d(stride=1.5)),
    "n0 (Conv2d): got dilation = [0.0, 0.0], expected 2 whole numbers": chain(
        (1, 5, 5), (4, 3, 3), conv2d(dilation=0)
    ),
    "node n0: got 4 outputs in 3 groups": chain((3, 5, 5), (4, 3, 3), conv2d(groups=3)),
    "node n0: got padding 'circular'": chain(
        (1, 5, 5), (4, 3, 3), node_with(conv2d(), padding="circular")
    ),
    "n0 (Conv2d): got an input of shape (1, 5, 5), expected (1, 7, 7)": chain(
        (1, 5, 5), (4, 3, 3), conv2d(input_shape=(7, 7))
    ),
    "node n0: got an AvgPool2d with padding (1, 1)": chain(
        (1, 4, 4), (1, 3, 3), nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([1, 1]))
    ),
    "n0 (Delay): got 1.5 to 1.5 steps": chain((4,), (4,), nir.Delay(filled(4, 1.5e-4))),
    "n0 (Delay): got -1": chain((4,), (4,), nir.Delay(filled(4, -1e-4))),
    "n0 (Scale): got an input of shape (4,)": chain((4,), (4,), nir.Scale(np.ones(1))),
    "n0 (Flatten) takes no input": chain((4,), (4,), nir.Flatten({"input": None}, 1, 3)),
    "edge input → ghost names ghost": graph_of({}, [("input", "ghost")], (4,), (4,)),
    "edge n → output stands 2 times": graph_of(
        {"n": lif()}, [("input", "n"), ("n", "output"), ("n", "output")], (4,), (4,)
    ),
    "node lonely: nothing leads to it": graph_of(
        {"lonely": lif()}, [("input", "output")], (4,), (4,)
    ),
    "got Input nodes: input, second": Graph(
        {
            "input": nir.Input(np.array([4])),
            "second": nir.Input(np.array([4])),
            "output": nir.Output(np.array([4])),
        },
        [("input", "output"), ("second", "output")],
        type_check=False,
    ),
    "got Output nodes: none": Graph({"input": nir.Input(np.array([4]))}, [], type_check=False),
    "node output: its inputs have the shapes": graph_of(
        {"a": nir.Linear(np.ones((2, 4)))},
        [("input", "a"), ("a", "output"), ("input", "output")],
        (4,),
        (4,),
    ),
    "got an input of shape [0]": chain((0,), (4,), lif()),
    "got an input of shape [4.5]": chain((4.5,), (4,), lif()),
    "node n0 (Affine): weight holds something that is no finite 32-bit number": chain(
        (4,), (4,), nir.Affine(np.full((4, 4), 1e300), np.zeros(4))
    ),
    "got an input of shape [1000000000000]": chain((10**12,), (4,), lif()),
    "no neuron in it": graph_of(
        {"a": nir.Scale(np.ones(4)), "b": nir.Scale(np.ones(4))},
        [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")],
        (4,),
        (4,),
    ),
    "node d: got a Delay inside a loop": graph_of(
        {"n": lif(), "d": nir.Delay(filled(4, 1e-3))},
        [("input", "n"), ("n", "d"), ("d", "n"), ("n", "output")],
        (4,),
        (4,),
    ),
    "it can be entered at two places": graph_of(
        {"a": lif(), "b": lif()},
        [("input", "a"), ("input", "b"), ("a", "b"), ("b", "a"), ("b", "output")],
        (4,),
        (4,),
    ),
}


def test_a_node_may_bear_the_name_of_a_property() -> None:
    """A node called ``state`` reads as any other."""
    graph = graph_of({"state": lif()}, [("input", "state"), ("state", "output")], (4,), (4,))
    net = exchange.from_nir(graph)
    assert isinstance(net.layer("state"), snn.Leaky)


@pytest.mark.parametrize("message", REFUSED)
def test_refused_by_name(message: str) -> None:
    with pytest.raises(UserError) as e:
        exchange.from_nir(REFUSED[message])
    assert message in str(e.value) and "\n" not in str(e.value)


def with_r(value: object) -> Graph:
    """A graph put together by hand, whose R holds what no file could."""
    node = lif()
    node.r = value
    return graph_of({"n0": node}, [("input", "n0"), ("n0", "output")], (4,), (4,))


def with_edges(edges: object) -> Graph:
    graph = chain((4,), (4,), lif())
    graph.edges = edges
    return graph


BY_HAND: dict[str, Callable[[], object]] = {
    "r of unequal rows": lambda: exchange.from_nir(with_r([[1.0], [1.0, 2.0]])),
    "r sparse": lambda: exchange.from_nir(with_r(torch.ones(4).to_sparse())),
    "r on no device": lambda: exchange.from_nir(with_r(torch.ones(4, device="meta"))),
    "r of another shape": lambda: exchange.from_nir(with_r(filled(3, 1.0))),
    "no edges at all": lambda: exchange.from_nir(with_edges(None)),
    "an edge with one end": lambda: exchange.from_nir(with_edges([("input",)])),
    "an input of words": lambda: exchange.from_nir(graph_of({}, [("input", "output")], ("x",), (4,))),
    "a node alone": lambda: exchange.from_nir(lif()),
    "nothing": lambda: exchange.from_nir(None),
    "a step of no length": lambda: exchange.from_nir(chain((4,), (4,), lif()), dt=math.nan),
    "if_step no number": lambda: exchange.from_nir(chain((4,), (4,), lif()), if_step=math.nan),
    "if_step below 0": lambda: exchange.from_nir(chain((4,), (4,), lif()), if_step=-1.0),
    "start unknown": lambda: exchange.from_nir(chain((4,), (4,), lif()), start="banana"),
    "a state of no node": lambda: exchange.from_nir(chain((4,), (4,), lif()))(torch.zeros(1, 4), {"q.mem": torch.zeros(1, 4)}),
    "a state of seven": lambda: exchange.from_nir(chain((4,), (4,), lif()))(torch.zeros(1, 4), {"n0.mem": torch.zeros(7, 4)}),
}  # fmt: skip


@pytest.mark.parametrize("what", BY_HAND)
def test_what_was_put_together_by_hand_ends_in_one_line(what: str) -> None:
    with pytest.raises(UserError) as e:
        BY_HAND[what]()
    assert "\n" not in str(e.value)


def test_weights_of_16_bits_are_read() -> None:
    net = exchange.from_nir(with_r(torch.full((4,), 10.0, dtype=torch.bfloat16)))
    assert isinstance(net.layer("n0"), snn.Leaky)


def test_a_whole_sequence_is_not_a_step() -> None:
    net = exchange.from_nir(chain((3,), (4,), affine(), lif()))
    with pytest.raises(UserError, match=r"got a step of shape \(7, 2, 3\), expected \(B, 3\)"):
        net(torch.zeros(7, 2, 3))


# ------------------------------------------------------------------------------------ loops and nested graphs


def looped(neuron: nir.NIRNode, back: nir.NIRNode, n: int = 4) -> Graph:
    edges = [("input", "fc"), ("fc", "n"), ("n", "back"), ("back", "n"), ("n", "output")]
    return graph_of({"fc": affine(n), "n": neuron, "back": back}, edges, (3,), (n,))


@pytest.mark.parametrize("neuron", [lif(), lif(r=4.0, v_reset=0.2), cuba(w_in=5.0), NEURONS["IF, R in steps"], nir.LI(1e-3 * EACH, EACH, 0 * EACH)])  # fmt: skip
@pytest.mark.parametrize("back", [affine(4, 4, 3, bias=1.0), nir.Linear(affine(4, 4, 4).weight), nir.Scale(0.3 * EACH)])  # fmt: skip
def test_a_loop_carries_the_step_before(neuron: nir.NIRNode, back: nir.NIRNode) -> None:
    graph = looped(neuron, back)
    order = ["input", "fc", "n", "back", "output"]
    want = agree(graph, drive(40, 2, 3), order)
    graph.edges.remove(("back", "n"))
    alone = reference(graph, drive(40, 2, 3), order)[0]
    assert not np.array_equal(want, alone)


def test_a_loop_over_two_layers_and_a_neuron_that_feeds_itself() -> None:
    nodes = {"a": affine(), "l1": lif(), "b": affine(5, 4, 5), "l2": lif(5), "c": affine(4, 5, 6)}
    edges = [("input", "a"), ("a", "l1"), ("l1", "b"), ("b", "l2"), ("l2", "output")]
    edges += [("l2", "c"), ("c", "l1"), ("l2", "l2")]
    order = ["input", "a", "l1", "b", "l2", "c", "output"]
    agree(graph_of(nodes, edges, (3,), (5,)), drive(40, 2, 3), order)


def test_names_do_not_decide() -> None:
    """The same loop under names that sort the other way round."""
    nodes = {"z": affine(), "y": lif(), "x": affine(4, 4, 3, bias=1.0)}
    edges = [("x", "y"), ("y", "output"), ("y", "x"), ("z", "y"), ("input", "z")]
    mine = run(exchange.from_nir(graph_of(nodes, edges, (3,), (4,))), drive(40, 2, 3))
    theirs = run(exchange.from_nir(looped(lif(), affine(4, 4, 3, bias=1.0))), drive(40, 2, 3))
    assert np.array_equal(mine, theirs)


def test_a_skip_connection_is_added() -> None:
    edges = [("input", "n"), ("n", "w"), ("w", "m"), ("n", "m"), ("m", "output")]
    nodes = {"n": lif(), "w": affine(4, 4), "m": lif()}
    agree(graph_of(nodes, edges, (4,), (4,)), drive(40, 2, 4))


def test_nested_graphs_are_unfolded() -> None:
    inner = graph_of(
        {"lif": lif(), "w_rec": affine(4, 4, 3, bias=1.0)},
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
        (4,),
        (4,),
    )
    middle = graph_of({"rnn": inner}, [("input", "rnn"), ("rnn", "output")], (4,), (4,))
    outer = chain((3,), (4,), affine(), middle)
    flat = looped(lif(), affine(4, 4, 3, bias=1.0))
    x = drive(40, 2, 3)
    assert np.array_equal(run(exchange.from_nir(outer), x), run(exchange.from_nir(flat), x))


def test_a_nested_graph_with_two_outputs_is_refused() -> None:
    inner = graph_of({"more": nir.Output(np.array([4]))}, [("input", "output"), ("input", "more")], (4,), (4,))  # fmt: skip
    with pytest.raises(UserError, match="nested graph n0: got Output nodes: more, output"):
        exchange.from_nir(chain((4,), (4,), inner))


def test_state_can_be_kept_given_and_forgotten() -> None:
    net = exchange.from_nir(looped(cuba(w_in=5.0), affine(4, 4, 3, bias=1.0)))
    x = torch.from_numpy(drive(30, 2, 3).astype(np.float32))
    want = torch.from_numpy(run(net, x.numpy()))
    reset_state(net)
    first = [net(x_t)[0] for x_t in x[:12]]
    _, halfway = net(x[12])
    for x_t in x[13:]:
        net(x_t)
    out, state = net(x[13], halfway)  # back to step 13
    rest = [out]
    for x_t in x[14:]:
        out, state = net(x_t, state)
        rest.append(out)
    assert torch.equal(torch.stack(first), want[:12]) and torch.equal(torch.stack(rest), want[13:])


def test_gradients_flow_through_an_imported_graph() -> None:
    net = exchange.from_nir(looped(lif(v_reset=0.1), affine(4, 4, 3)))
    for x_t in torch.from_numpy(drive(10, 2, 3).astype(np.float32)):
        out, _ = net(x_t)
    out.sum().backward()
    assert net.fc.weight.grad.abs().sum() > 0 and net.back.weight.grad.abs().sum() > 0


# ------------------------------------------------------------------------------------ export


class Net(nn.Module):
    """Layers in a row."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x_t: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x_t = layer(x_t)
        return x_t


def hidden(kind: type, n: int | tuple[int, ...] = 6, **options: object) -> snn.SpikingNeuron:
    """A neuron in the form in which it can be exported, each with its own β, α and θ."""
    torch.manual_seed(2)
    shape = (n,) if isinstance(n, int) else n
    options = {
        "beta": 0.2 + 0.7 * torch.rand(shape),
        "threshold": 0.5 + torch.rand(shape),
    } | options
    if kind is not snn.Leaky:
        options |= {"reset_delay": False}
    if kind in (snn.Synaptic, snn.RSynaptic):
        options.setdefault("alpha", 0.1 + 0.7 * torch.rand(shape))
    if kind in (snn.RLeaky, snn.RSynaptic) and not {"V", "conv2d_channels"} & set(options):
        options["linear_features"] = shape[0]
    return kind(init_hidden=True, reset_mechanism="zero", **options)


def weighted(layer: nn.Module, seed: int = 3, gain: float = 1.0) -> nn.Module:
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(gain * torch.randn(p.shape))
    return layer


def conv_net(**options: object) -> Net:
    conv = weighted(nn.Conv2d(2, 4, **({"kernel_size": 3} | options)), gain=0.4)
    size = tuple(conv(torch.zeros(1, 2, 7, 7)).shape[1:])
    return Net(conv, hidden(snn.Leaky, size), nn.Flatten(), weighted(nn.Linear(4 * size[1] * size[2], 3)), hidden(snn.Leaky, 3))  # fmt: skip


EXPORTABLE: dict[str, Callable[[], nn.Module]] = {
    "Leaky": lambda: Net(weighted(nn.Linear(5, 6)), hidden(snn.Leaky)),
    "no bias": lambda: Net(weighted(nn.Linear(5, 6, bias=False)), hidden(snn.Leaky)),
    "RLeaky": lambda: Net(weighted(nn.Linear(5, 6)), hidden(snn.RLeaky)),
    "RLeaky one to one": lambda: Net(
        weighted(nn.Linear(5, 6)), hidden(snn.RLeaky, all_to_all=False, V=torch.randn(6))
    ),
    "Synaptic": lambda: Net(weighted(nn.Linear(5, 6)), hidden(snn.Synaptic)),
    "RSynaptic": lambda: Net(weighted(nn.Linear(5, 6)), hidden(snn.RSynaptic)),
    "two loops": lambda: Net(
        weighted(nn.Linear(5, 6)),
        hidden(snn.RSynaptic),
        weighted(nn.Linear(6, 4)),
        hidden(snn.RLeaky, 4),
    ),
    "convolution": lambda: conv_net(stride=2, padding=1),
    "groups": lambda: conv_net(groups=2, padding=1),
    "kernel (3, 5)": lambda: conv_net(kernel_size=(3, 5), padding=(0, 2), dilation=(2, 1)),
    "same": lambda: conv_net(padding="same"),
    "same, (3, 5)": lambda: conv_net(padding="same", kernel_size=(3, 5)),
    "same, even": lambda: conv_net(padding="same", kernel_size=4),
    "valid": lambda: conv_net(padding="valid"),
    "circular without padding": lambda: conv_net(padding_mode="circular"),
    "no bias in a convolution": lambda: conv_net(bias=False),
    "pool": lambda: Net(
        nn.AvgPool2d(2),
        weighted(nn.Conv2d(2, 4, 2)),
        hidden(snn.Leaky, (4, 2, 2)),
        nn.Flatten(),
        weighted(nn.Linear(16, 3)),
        hidden(snn.Synaptic, 3),
    ),
    "pool, ceil_mode that changes nothing": lambda: Net(
        nn.AvgPool2d((7, 1), ceil_mode=True), nn.Flatten(), hidden(snn.Leaky, 14)
    ),
    "flatten in parts": lambda: Net(nn.Flatten(2), hidden(snn.Leaky, (2, 49))),
    "Conv1d": lambda: Net(
        nn.Flatten(2),
        weighted(nn.Conv1d(2, 4, 5, stride=3, padding=2, groups=2)),
        hidden(snn.Leaky, (4, 17)),
    ),
    "a loop of convolutions": lambda: Net(
        hidden(snn.RLeaky, (2, 7, 7), conv2d_channels=2, kernel_size=3)
    ),
}


def input_for(net: Net) -> torch.Tensor:
    shape = (5,) if isinstance(net.layers[0], nn.Linear) else (2, 7, 7)
    torch.manual_seed(4)
    return torch.randn(25, 3, *shape)


@pytest.mark.parametrize("name", EXPORTABLE)
def test_out_and_back_with_and_without_a_file(name: str, tmp_path: Path) -> None:
    net = EXPORTABLE[name]().eval()
    x = input_for(net)
    graph = exchange.to_nir(net, x[0])
    # snnTorch 1.0.0 cannot run RSynaptic with reset_delay=False; per_neuron puts one there that can
    ours = exchange.spikes_of(exchange.per_neuron(net, x[0]), x)
    assert sum(s.sum() for s in ours) > 10
    nir.write(tmp_path / "a.nir", graph)
    for back in (graph, nir.read(tmp_path / "a.nir"), exchange.read_nir(tmp_path / "a.nir")):
        theirs = exchange.spikes_of(exchange.from_nir(back), x)
        assert len(theirs) == len(ours)
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", ["Leaky", "RLeaky", "Synaptic", "RSynaptic", "two loops"])
def test_an_exported_graph_means_in_numpy_what_it_means_in_snntorch(name: str) -> None:
    net = EXPORTABLE[name]().eval()
    x = input_for(net)
    graph = exchange.to_nir(net, x[0])
    want = exchange.spikes_of(exchange.per_neuron(net, x[0]), x)[-1].numpy()
    got, nearest = reference(graph, x.numpy(), exchange.node_order(graph))
    assert nearest > 1e-6 and np.array_equal(got, want)


@pytest.mark.parametrize("kind", [snn.Synaptic, snn.RSynaptic])
def test_neurons_with_a_current_become_cubalif(kind: type) -> None:
    graph = exchange.to_nir(Net(nn.Linear(5, 6), hidden(kind)), torch.rand(2, 5))
    (node,) = [n for n in graph.nodes.values() if isinstance(n, nir.CubaLIF)]
    assert np.allclose(node.r, node.tau_mem / exchange.DT)
    assert np.allclose(node.w_in, node.tau_syn / exchange.DT)
    assert any(isinstance(n, nir.Affine) and n.weight.shape == (6, 6) for n in graph.nodes.values()) is (kind is snn.RSynaptic)  # fmt: skip


def test_the_mended_rsynaptic_without_loop_is_synaptic() -> None:
    x = 2 * torch.rand(30, 3, 6)
    with_loop = hidden(snn.RSynaptic)
    nn.init.zeros_(with_loop.recurrent.weight)
    nn.init.zeros_(with_loop.recurrent.bias)
    plain = hidden(snn.Synaptic, alpha=with_loop.alpha, beta=with_loop.beta, threshold=with_loop.threshold)  # fmt: skip
    mended = exchange.per_neuron(Net(with_loop), x[0])
    want, got = exchange.spikes_of(Net(plain), x), exchange.spikes_of(mended, x)
    assert want[0].sum() > 20 and torch.equal(want[0], got[0])


def late(kind: type) -> snn.SpikingNeuron:
    neuron = hidden(kind)
    neuron.reset_delay = True
    return neuron


class Forward(nn.Module):
    """Two layers and a forward that does more than call them."""

    def __init__(self, step: Callable[[Forward, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.fc, self.lif, self.out = (
            weighted(nn.Linear(5, 6)),
            hidden(snn.Leaky),
            hidden(snn.Leaky),
        )
        self.step = step

    def forward(self, x_t: torch.Tensor) -> torch.Tensor:
        return self.step(self, x_t)


def doubled_in_place(net: Forward, x_t: torch.Tensor) -> torch.Tensor:
    spk = net.lif(net.fc(x_t))
    spk.mul_(2)
    return net.out(spk)


def depends_on_data(net: Forward, x_t: torch.Tensor) -> torch.Tensor:
    if x_t.sum() == 0:
        return net.lif(net.fc(x_t))
    return net.out(net.lif(net.fc(x_t)))


def leaves_one_out(net: Forward, x_t: torch.Tensor) -> torch.Tensor:
    cur = net.fc(x_t)
    net.out(cur)
    return net.lif(cur)


def broken(net: Forward, x_t: torch.Tensor) -> torch.Tensor:
    return net.lif(net.fc(x_t[:, :3]))


NOT_EXPORTED = {
    "pads in the mode 'circular'": lambda: conv_net(padding=1, padding_mode="circular"),
    "pads in the mode 'reflect'": lambda: conv_net(padding=1, padding_mode="reflect"),
    "has a kernel of 3×4": lambda: conv_net(kernel_size=(3, 4)),
    "pools in ceil_mode": lambda: Net(
        nn.AvgPool2d(2, ceil_mode=True), hidden(snn.Leaky, (2, 4, 4))
    ),
    "drops a pool's padding": lambda: Net(nn.AvgPool2d(3, padding=1), hidden(snn.Leaky, (2, 3, 3))),
    "has divisor_override": lambda: Net(
        nn.AvgPool2d(2, divisor_override=3), hidden(snn.Leaky, (2, 3, 3))
    ),
    "is a Synaptic with a late reset": lambda: Net(nn.Linear(5, 6), late(snn.Synaptic)),
    "is a RSynaptic with a late reset": lambda: Net(nn.Linear(5, 6), late(snn.RSynaptic)),
    "has one α for all neurons": lambda: Net(nn.Linear(5, 6), hidden(snn.Synaptic, alpha=0.5)),
    "is a Alpha": lambda: Net(nn.Linear(5, 6), snn.Alpha(alpha=0.9, beta=0.8, init_hidden=True)),
    "takes (2, 7, 7): NIR's weights act on one dimension": lambda: Net(
        nn.Linear(7, 3), hidden(snn.Leaky, (2, 7, 3))
    ),
    "out takes a tensor that no module made": lambda: Forward(doubled_in_place),
    "would not give this network's spikes": lambda: Forward(depends_on_data),
    "out makes an output that no module takes": lambda: Forward(leaves_one_out),
    "forward fails on a step of shape": lambda: Forward(broken),
    "flattens the batch too": lambda: Net(hidden(snn.Leaky, (2, 7, 7)), nn.Flatten(0)),
}


@pytest.mark.parametrize("message", NOT_EXPORTED)
def test_not_exported_and_why(message: str) -> None:
    net = NOT_EXPORTED[message]().eval()
    layers = getattr(net, "layers", [net])
    flat = isinstance(layers[0], (Forward, nn.Linear)) and "NIR's weights" not in message
    x_t = torch.rand(2, 5) if flat else torch.rand(2, 2, 7, 7)
    with pytest.raises(UserError) as e:
        exchange.to_nir(net, x_t)
    assert message in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize("kind", [snn.Leaky, snn.Synaptic, snn.RLeaky, snn.RSynaptic])
def test_per_neuron_makes_any_of_the_four_exportable(kind: type) -> None:
    options = {"alpha": 0.6} if kind in (snn.Synaptic, snn.RSynaptic) else {}
    options |= {"linear_features": 6} if kind in (snn.RLeaky, snn.RSynaptic) else {}
    net = Net(weighted(nn.Linear(5, 6)), kind(beta=0.8, init_hidden=True, **options))
    x = torch.randn(25, 3, 5)
    for x_t in x[:3]:
        net(x_t)  # a state that hangs on a gradient
    ready = exchange.per_neuron(net, x[0])
    theirs = exchange.spikes_of(exchange.from_nir(exchange.to_nir(ready, x[0])), x)
    assert torch.equal(exchange.spikes_of(ready, x)[0], theirs[0]) and theirs[0].sum() > 10
    assert net.layers[1].beta.dim() == 0 and net.layers[1].reset_mechanism == "subtract"


# ------------------------------------------------------------------------------------ files


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("nir") / "good.nir"
    nir.write(path, looped(cuba(w_in=5.0), affine(4, 4, 3)))
    return path.read_bytes()


def one_line(path: Path, *parts: str) -> None:
    with pytest.raises(UserError) as e:
        exchange.from_nir(path)
    assert "\n" not in str(e.value) and all(part in str(e.value) for part in parts)


def test_files_that_are_none(tmp_path: Path, good: bytes) -> None:
    one_line(tmp_path / "missing.nir", "no such file")
    one_line(tmp_path, "no such file")
    for name, content in (("empty", b""), ("text", b"hello"), ("cut", good[: len(good) // 2])):
        (tmp_path / name).write_bytes(content)
        one_line(tmp_path / name, name, "not a NIR file, or a damaged one")
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["events"] = np.zeros(3)
    one_line(tmp_path / "other.h5", "no group 'node'")


def test_files_that_say_too_much(tmp_path: Path, good: bytes) -> None:
    path = tmp_path / "a.nir"

    def with_change(change: Callable[[h5py.File], None]) -> Path:
        path.write_bytes(good)
        with h5py.File(path, "a") as f:
            change(f["node/nodes"])
        return path

    def huge(nodes: h5py.Group) -> None:
        del nodes["fc/weight"]
        nodes.create_dataset("fc/weight", (40_000, 40_000), "f8", chunks=True, compression="gzip")

    def elsewhere(nodes: h5py.Group) -> None:
        del nodes["fc/weight"]
        nodes["fc/weight"] = h5py.ExternalLink("/etc/passwd", "x")

    def unknown_kind(nodes: h5py.Group) -> None:
        del nodes["n/type"]
        nodes["n/type"] = "Izhikevich"

    def unknown_field(nodes: h5py.Group) -> None:
        nodes["n/refractory"] = np.ones(4)

    def in_a_circle(nodes: h5py.Group) -> None:
        nodes["fc/again"] = nodes

    def of_text(nodes: h5py.Group) -> None:
        del nodes["fc/bias"]
        nodes["fc/bias"] = np.array([b"a", b"b", b"c", b"d"])

    def without(nodes: h5py.Group) -> None:
        del nodes["n/tau_mem"]

    one_line(with_change(huge), "12.8 GB")
    one_line(with_change(elsewhere), "fc/weight: a link to another place")
    one_line(with_change(unknown_kind), "node n: got the type Izhikevich")
    one_line(with_change(unknown_field), "node n (CubaLIF): got a field refractory")
    one_line(with_change(in_a_circle), "nested more than")
    one_line(
        with_change(of_text),
        "node fc (Affine): bias holds something that is no finite 32-bit number",
    )
    one_line(with_change(without), "tau_mem")


def test_a_file_on_which_hdf5_walks_in_a_circle(
    tmp_path: Path, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The length of one string in the file's heap, made 210 instead of 2."""
    damaged = bytearray(good)
    damaged[good.index(b"\x02" + bytes(7) + b"fc\x00")] = 210
    path = tmp_path / "circle.nir"
    path.write_bytes(bytes(damaged))
    monkeypatch.setattr(files, "PATIENCE_S", 3.0)
    one_line(path, "damaged")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_bytes_end_in_a_network_or_in_one_line(data: st.DataObject, tmp_path: Path, good: bytes) -> None:  # fmt: skip
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(len(good) // 2, len(good)))]
    path = tmp_path / "damaged.nir"
    path.write_bytes(bytes(damaged))
    try:
        exchange.from_nir(path)
    except UserError as e:
        assert "\n" not in str(e)


# ------------------------------------------------------------------------------------ any small graph


def numbers_in(shape: tuple[int, ...], low: float, high: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape)


@st.composite
def neurons(draw: st.DrawFn, shape: tuple[int, ...]) -> nir.NIRNode:
    """A neuron of any kind with values of its own for every neuron, some of which have to be refused."""
    seed = draw(st.integers(0, 10**6))
    kind = draw(st.sampled_from([nir.LIF, nir.LIF, nir.CubaLIF, nir.IF, nir.LI, nir.CubaLI, nir.I]))
    shortest = draw(st.sampled_from([1e-4, 1e-4, 5e-4, 0.5e-4]))
    tau = numbers_in(shape, shortest, 30 * shortest, seed)
    unit = draw(st.booleans())
    r = tau / 1e-4 if unit else numbers_in(shape, 0.5, 12, seed + 1)
    zero = np.zeros(shape)
    v_reset = zero if draw(st.booleans()) else numbers_in(shape, -0.5, 0.4, seed + 2)
    v_leak = zero if draw(st.integers(0, 4)) else numbers_in(shape, -0.3, 0.3, seed + 3)
    theta = numbers_in(shape, 0.5, 1.5, seed + 4)
    tau_syn = numbers_in(shape, 1e-4, 2e-3, seed + 5)
    w_in = tau_syn / 1e-4 if unit else numbers_in(shape, 0.5, 6, seed + 6)
    if kind is nir.IF or kind is nir.I:
        r = draw(st.sampled_from([np.ones(shape), np.full(shape, 1e4), np.full(shape, 2.0)]))
        return nir.IF(r, theta, v_reset) if kind is nir.IF else nir.I(r)
    if kind is nir.LIF:
        return nir.LIF(tau, r, v_leak, theta, v_reset)
    if kind is nir.LI:
        return nir.LI(tau, r, v_leak)
    if kind is nir.CubaLI:
        return nir.CubaLI(tau_syn, tau, r, v_leak, w_in)
    return nir.CubaLIF(tau_syn, tau, r, v_leak, theta, v_reset, w_in)


@st.composite
def images(draw: st.DrawFn) -> tuple[list[nir.NIRNode], tuple[int, ...]]:
    """Convolution, pool and Flatten with any options, for an image of 2×6×5."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    groups = draw(st.sampled_from([1, 2]))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = draw(st.sampled_from([0, 1, (1, 0), "same", "valid"]))
    stride = 1 if padding == "same" else draw(st.sampled_from([1, 2, (2, 1)]))
    conv = nir.Conv2d(
        None,
        rng.normal(size=(2, 2 // groups, *kernel)),
        stride,
        padding,
        draw(st.sampled_from([1, (1, 2)])),
        groups,
        rng.normal(size=2),
    )
    nodes: list[nir.NIRNode] = [conv]
    shape = nir_reference.conv(np.zeros((2, 6, 5)), conv).shape
    if draw(st.booleans()) and min(shape[1:]) >= 2:
        kind = draw(st.sampled_from([nir.SumPool2d, nir.AvgPool2d]))
        pad = np.array([draw(st.integers(0, 1)), 0])
        pool = kind(np.array([2, 2]), np.array([draw(st.integers(1, 2)), 2]), pad)
        nodes.append(pool)
        shape = nir_reference.pool(np.zeros(shape), pool).shape
    nodes.append(nir.Flatten({"input": None}, 0, -1))
    return nodes, (int(np.prod(shape)),)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, list[str]]:
    """A small network, its layers plain, delayed, scaled, looped or nested, and the order to work it out in."""
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[tuple[str, str]] = []
    last = "input"

    def append(name: str, node: nir.NIRNode) -> None:
        nonlocal last
        nodes[name] = node
        edges.append((last, name))
        last = name

    if draw(st.booleans()):
        layers, size = draw(images())
        inp: tuple[int, ...] = (2, 6, 5)
        for i, node in enumerate(layers):
            append(f"image{i}", node)
    else:
        inp = size = (3,)
    assume(size[0] > 0)
    for i in range(draw(st.integers(1, 2))):
        seed = draw(st.integers(0, 10**6))
        width = draw(st.integers(1, 4))
        append(f"w{i}", affine(width, size[0], seed, bias=draw(st.sampled_from([0.0, 0.5]))))
        size = (width,)
        if draw(st.integers(0, 3)) == 0:
            append(f"scale{i}", nir.Scale(numbers_in(size, -2, 2, seed)))
        append(f"n{i}", draw(neurons(size)))
        if draw(st.integers(0, 2)) == 0:
            nodes[f"back{i}"] = affine(width, width, seed + 1, bias=0.3)
            edges += [(f"n{i}", f"back{i}"), (f"back{i}", f"n{i}")]
        if draw(st.integers(0, 3)) == 0:
            steps = np.random.default_rng(seed).integers(0, 5, size)
            append(f"delay{i}", nir.Delay(1e-4 * steps))
    edges.append((last, "output"))
    graph = graph_of(nodes, edges, inp, size)
    return graph, list(graph.nodes)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=graphs(), seed=st.integers(0, 10**6), through_file=st.booleans())
def test_any_small_graph_gives_the_references_numbers_or_one_line(
    drawn: tuple[Graph, list[str]], seed: int, through_file: bool, tmp_path: Path
) -> None:
    graph, order = drawn
    inp = tuple(graph.nodes["input"].input_type["input"])
    x = drive(15, 2, *inp, seed=seed, scale=2.0) - 0.5
    back = graph
    if through_file and not any(isinstance(n, nir.Conv2d) for n in graph.nodes.values()):
        nir.write(tmp_path / "a.nir", graph)
        back = tmp_path / "a.nir"
    try:
        net = exchange.from_nir(back)
    except UserError as e:
        message = str(e)
        assert "\n" not in message
        refused = ("less than a step", "v_leak", "got R = 2", "AvgPool2d with padding")
        assert any(part in message for part in refused), message
        return
    want, nearest = reference(graph, x, order)
    assume(nearest > 1e-4)  # nearer to θ than 32 bits can tell
    assert np.allclose(run(net, x), want, rtol=1e-3, atol=1e-3)


def test_folder_of_cases_is_left_alone(tmp_path: Path) -> None:
    """Reading changes no file and no graph."""
    path = tmp_path / "a.nir"
    nir.write(path, case("cubalif"))
    before = path.read_bytes()
    copy = tmp_path / "b.nir"
    shutil.copy(path, copy)
    graph = nir.read(copy)
    values = graph.nodes["n"].tau_mem.copy()
    exchange.from_nir(copy)
    exchange.from_nir(graph)
    assert path.read_bytes() == before == copy.read_bytes()
    assert np.array_equal(values, graph.nodes["n"].tau_mem) and list(graph.nodes) == ["fc", "input", "n", "output"]  # fmt: skip
