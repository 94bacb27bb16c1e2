"""17a  A NIR graph by hand

Lesson 17, section 3. Write a layer of snnTorch's Leaky as a NIR graph, without an exporter: four nodes called
``input``, ``fc``, ``lif`` and ``output``, and the edges between them.

    NIR:        τ·dv/dt = (v_leak − v) + R·I           a spike when v > θ, and then v ← v_reset
    snnTorch:   U ← β·U + W·x + b                      a spike when U > θ, and then U ← 0

``weight (N_out, N_in)``, ``bias (N_out,)``, ``beta (N_out,)`` and ``threshold (N_out,)`` are NumPy arrays, ``dt`` is the
length of a step in seconds. NIR's classes: ``nir.Input(shape)``, ``nir.Output(shape)`` with a shape such as
``np.array([3])``, ``nir.Affine(weight, bias)``, ``nir.LIF(tau=…, r=…, v_leak=…, v_threshold=…, v_reset=…)`` with an
array for each, and ``nir.NIRGraph(nodes, edges)`` with a dict of nodes and a list of pairs of names.
About 10 minutes.

Run:  uv run exercises/17a_graph_by_hand.py
"""

from __future__ import annotations

import _root  # noqa: F401

from exchange import nir as exchange
from tutor.exercises import Exercise, Wrong

import nir
import numpy as np
import snntorch as snn
import torch


def leaky_graph(
    weight: np.ndarray, bias: np.ndarray, beta: np.ndarray, threshold: np.ndarray, dt: float
) -> nir.NIRGraph:
    """Input → Affine → LIF → Output, with the names of the task."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

BETA = np.array([0.9, 0.5, 0.75, 0.875])
THRESHOLD = np.array([1.0, 0.5, 2.0, 1.0])


def made(leaky_graph, dt: float = 1e-4) -> nir.NIRGraph:
    """The graph of a small layer, if it is one."""
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(4, 3)), 0.1 * rng.normal(size=4)
    graph = leaky_graph(weight, bias, BETA, THRESHOLD, dt)
    if not isinstance(graph, nir.NIRGraph):
        raise Wrong(f"got {type(graph).__name__}, expected a nir.NIRGraph. Is there a return?")
    return graph


def check_nodes(leaky_graph) -> None:
    """has the four nodes, with their shapes"""
    graph = made(leaky_graph)
    kinds = {"input": nir.Input, "fc": nir.Affine, "lif": nir.LIF, "output": nir.Output}
    for name, kind in kinds.items():
        node = graph.nodes.get(name)
        if not isinstance(node, kind):
            found = ", ".join(graph.nodes) or "none"
            raise Wrong(f"no {kind.__name__} node called {name}; got the nodes {found}.")
    sizes = {"input": 3, "output": 4}
    for name, size in sizes.items():
        shape = next(iter(graph.nodes[name].input_type.values()))
        if np.asarray(shape).tolist() != [size]:
            raise Wrong(f"{name}: got the shape {np.asarray(shape).tolist()}, expected [{size}].")


def check_edges(leaky_graph) -> None:
    """the edges lead from the input to the output"""
    edges = [tuple(edge) for edge in made(leaky_graph).edges]
    wanted = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
    for a, b in wanted:
        if (a, b) not in edges:
            turned = " It is there the other way round." if (b, a) in edges else ""
            raise Wrong(f"edge {a} → {b} is missing.{turned} What does {a} feed?")
    if len(edges) > 3:
        extra = next(edge for edge in edges if edge not in wanted)
        raise Wrong(f"edge {extra[0]} → {extra[1]} is one too many.")


def check_tau(leaky_graph) -> None:
    """τ is dt/(1 − β), in seconds"""
    for dt in (1e-4, 1e-3):
        tau = np.asarray(made(leaky_graph, dt).nodes["lif"].tau, float)
        wanted = dt / (1 - BETA)
        if tau.shape != wanted.shape:
            raise Wrong(f"τ has the shape {tau.shape}, expected (4,): one for each neuron.")
        if np.allclose(tau, -dt / np.log(BETA), rtol=1e-3):
            raise Wrong(
                f"τ of the first neuron is {tau[0]:.4g} s, expected {wanted[0]:.4g} s. This is the exact solution's "
                "β = e^(−dt/τ); snnTorch and its readers take Euler's β = 1 − dt/τ."
            )
        if np.allclose(tau, 1 / (1 - BETA)):
            raise Wrong(
                f"τ of the first neuron is {tau[0]:.4g}: that counts steps. NIR's τ is in seconds."
            )
        if not np.allclose(tau, wanted):
            raise Wrong(
                f"dt = {dt:g} s: τ of the first neuron is {tau[0]:.4g} s, expected {wanted[0]:.4g} s."
            )


def check_r(leaky_graph) -> None:
    """a current of 1 raises the potential by 1"""
    lif = made(leaky_graph, 1e-3).nodes["lif"]
    gain = 1e-3 / np.asarray(lif.tau, float) * np.asarray(lif.r, float)  # (dt/τ)·R
    if np.allclose(np.asarray(lif.r, float), 1):
        raise Wrong(
            f"neuron 0: a current of 1 raises v by {gain[0]:.4g} a step, expected 1. With R = 1 the input is scaled "
            "by dt/τ = 1 − β; snnTorch adds it as it is."
        )
    if not np.allclose(gain, 1):
        raise Wrong(
            f"neuron 0: a current of 1 raises v by (dt/τ)·R = {gain[0]:.4g} a step, expected 1."
        )


def check_spikes(leaky_graph) -> None:
    """read back, it gives the spikes of snn.Leaky"""
    graph = made(leaky_graph)
    lif = graph.nodes["lif"]
    for name in ("v_leak", "v_reset"):
        if np.asarray(getattr(lif, name), float).any():
            raise Wrong(f"{name} is not 0: what does U rest at, and what does a spike set it to?")
    fc = graph.nodes["fc"]
    x = torch.rand(40, 5, 3, generator=torch.Generator().manual_seed(1)).mul(3)
    theta = torch.tensor(THRESHOLD, dtype=torch.float32)
    neuron = snn.Leaky(torch.tensor(BETA, dtype=torch.float32), theta, reset_mechanism="zero", init_hidden=True)  # fmt: skip
    rng = np.random.default_rng(0)
    weight = torch.tensor(rng.normal(size=(4, 3)), dtype=torch.float32)
    bias = torch.tensor(0.1 * rng.normal(size=4), dtype=torch.float32)
    if np.asarray(fc.weight).shape != (4, 3):
        raise Wrong(
            f"fc: W has the shape {np.asarray(fc.weight).shape}, expected (4, 3), as given."
        )
    want = torch.stack([neuron(x_t @ weight.T + bias) for x_t in x])
    (got,) = exchange.spikes_of(exchange.from_nir(graph), x)
    differ = (got != want).nonzero()
    if len(differ):
        step, _, n = differ[0].tolist()
        smell = (
            "Is θ the one of each neuron?" if (differ[:, 2] != 0).all() else "Are W and b as given?"
        )
        raise Wrong(
            f"step {step}, neuron {n}: the spikes differ ({len(differ)} places in all). {smell}"
        )


EXERCISE = Exercise(
    solve=leaky_graph,
    checks=(check_nodes, check_edges, check_tau, check_r, check_spikes),
    hints=(
        "Write one step of NIR's equation by Euler, v ← (1 − dt/τ)·v + (dt/τ)·R·I, and set it beside snnTorch's.",
        "1 − dt/τ has to be β, and (dt/τ)·R has to be 1. What does that make of τ and of R?",
        "tau = dt / (1 - beta); r = tau / dt; v_leak and v_reset are np.zeros_like(tau). The edges are "
        "[('input', 'fc'), ('fc', 'lif'), ('lif', 'output')].",
    ),
    why="A graph holds equations in seconds, and β, which belongs to steps, becomes τ and R by a choice of dt; "
    "whoever reads the file has to know which dt that was, for it is not in there.",
)

if __name__ == "__main__":
    EXERCISE.main()
