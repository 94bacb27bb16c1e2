"""17c  Broken on purpose: a reader that runs every file

Lesson 17, sections 3 to 5. The function reads a NIR graph and runs it. It never stops with an error, and for some files it
is even right. For others the spikes are wrong. It has three faults; find and mend them.

The graphs here are chains, Input → Affine → LIF → … → Output, with v_leak = 0. Names and the order in the dict of nodes mean
nothing: a file may be sorted by the alphabet. A step, by Euler: v ← (1 − dt/τ)·v + (dt/τ)·R·I, from v = 0; a spike when v > θ,
and then v ← v_reset. ``x`` is ``(T, B, N_in)``; return the spikes of the last LIF, ``(T, B, N_out)``. About 12 minutes.

Run:  uv run exercises/17c_broken_reader.py
"""

from __future__ import annotations

import _root  # noqa: F401

from exchange import nir as exchange
from tutor.exercises import Exercise, Wrong

import nir
import numpy as np
import snntorch as snn
import torch
from torch import Tensor, nn


def read_and_run(graph: nir.NIRGraph, x: Tensor, dt: float) -> Tensor:
    """Run a chain of Affine and LIF nodes: ``x (T, B, N_in)`` → output spikes ``(T, B, N_out)``."""
    v = {}  # the potential of each LIF node
    out = []
    for x_t in x:
        signal = x_t
        for name, node in graph.nodes.items():
            if isinstance(node, nir.Affine):
                signal = signal @ torch.as_tensor(node.weight).T + torch.as_tensor(node.bias)
            if isinstance(node, nir.LIF):
                beta = 1 - dt / torch.as_tensor(node.tau)
                v[name] = beta * v.get(name, 0.0) + signal
                spk = (v[name] > torch.as_tensor(node.v_threshold)).float()
                v[name] = v[name] - spk * torch.as_tensor(node.v_threshold)
                signal = spk
        out.append(signal)
    return torch.stack(out)


# ---- nothing to edit below this line


def tensor(array: np.ndarray) -> Tensor:
    """An array of a node as 32-bit numbers."""
    return torch.as_tensor(np.asarray(array)).float()


def lif(n: int, **given: float) -> nir.LIF:
    """A node of n equal neurons."""
    values = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | given
    return nir.LIF(**{name: np.full(n, value, np.float32) for name, value in values.items()})


def chain(nodes: dict[str, nir.NIRNode], order: list[str], sizes: tuple[int, int]) -> nir.NIRGraph:
    """Nodes in the order of the dict, edges in ``order``."""
    ends = {"input": nir.Input(np.array([sizes[0]])), "output": nir.Output(np.array([sizes[1]]))}
    path = ["input", *order, "output"]
    edges = list(zip(path[:-1], path[1:], strict=True))
    return nir.NIRGraph(ends | nodes, edges, type_check=False)


def affine(n_out: int, n_in: int, seed: int) -> nir.Affine:
    """Random weights, mostly positive."""
    rng = np.random.default_rng(seed)
    weight = 0.5 + 0.5 * rng.normal(size=(n_out, n_in))
    return nir.Affine(weight.astype(np.float32), 0.1 * rng.normal(size=n_out).astype(np.float32))


def one_layer(**given: float) -> nir.NIRGraph:
    """3 inputs, 4 neurons."""
    return chain({"fc": affine(4, 3, 0), "lif": lif(4, **given)}, ["fc", "lif"], (3, 4))


def drive(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def compared(read_and_run, graph: nir.NIRGraph, x: Tensor, dt: float, smell: str) -> None:
    """The student's reader against a plain one that follows the edges."""
    got = read_and_run(graph, x, dt)
    if not isinstance(got, Tensor):
        raise Wrong(f"got {type(got).__name__}, expected a tensor. Is there a return?")
    following = {a: b for a, b in graph.edges}
    v: dict[str, Tensor] = {}
    for t, x_t in enumerate(x):
        name, signal = following["input"], x_t
        while name != "output":
            node = graph.nodes[name]
            if isinstance(node, nir.Affine):
                signal = signal @ tensor(node.weight).T + tensor(node.bias)
            else:
                share = dt / tensor(node.tau)
                now = (1 - share) * v.get(name, torch.zeros_like(signal)) + share * tensor(
                    node.r
                ) * signal
                fired = now > tensor(node.v_threshold)
                v[name] = torch.where(fired, tensor(node.v_reset), now)
                signal = fired.float()
            name = following[name]
        if got[t].shape != signal.shape:
            raise Wrong(
                f"step {t}: got the shape {tuple(got[t].shape)}, expected {tuple(signal.shape)}. {smell}"
            )
        if not torch.equal(got[t], signal):
            b, n = (got[t] != signal).nonzero()[0].tolist()
            raise Wrong(
                f"step {t}, sample {b}, neuron {n}: {got[t][b, n]:.0f} spikes, expected {signal[b, n]:.0f}. {smell}"
            )


def check_before_a_spike(read_and_run) -> None:
    """snnTorch's own file, up to the first spikes"""
    compared(
        read_and_run,
        one_layer(),
        0.3 * drive(6, 2, 3),
        1e-4,
        "This worked before you changed something.",
    )


def check_r(read_and_run) -> None:
    """a file with R = 1, as Norse writes it"""
    smell = "These neurons have R = 1 and τ = 10·dt: how much of the current arrives in one step?"
    compared(read_and_run, one_layer(r=1.0, v_threshold=100.0), 3 * drive(30, 2, 3), 1e-4, smell)
    compared(read_and_run, one_layer(r=1.0, v_threshold=0.5), 0.7 * drive(4, 2, 3), 1e-4, smell)


def check_reset(read_and_run) -> None:
    """after a spike, v is v_reset"""
    smell = "It was right up to a spike. Where does NIR's equation put v after one?"
    compared(read_and_run, one_layer(), 2 * drive(40, 2, 3), 1e-4, smell)
    compared(
        read_and_run,
        one_layer(v_reset=0.4),
        2 * drive(40, 2, 3),
        1e-4,
        smell + " Here v_reset = 0.4.",
    )


def check_order(read_and_run) -> None:
    """nodes in the order of the alphabet"""
    nodes = {"a": lif(5), "b": affine(5, 3, 1), "c": lif(4), "d": affine(4, 5, 2)}
    graph = chain(nodes, ["b", "a", "d", "c"], (3, 4))
    smell = (
        "The dict says a, b, c, d; the edges say b, a, d, c. Which of the two says what feeds what?"
    )
    try:
        compared(read_and_run, graph, drive(30, 2, 3), 1e-4, smell)
    except RuntimeError as e:
        raise Wrong(f"PyTorch stops: shapes do not fit. {smell}") from e


def check_step(read_and_run) -> None:
    """another length of a step"""
    compared(read_and_run, one_layer(tau=1e-2, r=4.0), 2 * drive(40, 2, 3), 1e-3, "Here dt = 1 ms.")


def check_snntorch(read_and_run) -> None:
    """a network that snnTorch exported"""
    options = {"reset_mechanism": "zero", "init_hidden": True}
    lif1 = snn.Leaky(torch.full((6,), 0.9), torch.ones(6), **options)
    lif2 = snn.Leaky(torch.full((4,), 0.8), torch.ones(4), **options)
    net = nn.Sequential(nn.Linear(3, 6), lif1, nn.Linear(6, 4), lif2).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)
    x = 2 * drive(40, 2, 3)
    want = exchange.spikes_of(net, x)[-1]
    got = read_and_run(exchange.to_nir(net, x[0]), x, 1e-4)
    differ = int((got != want).sum())
    if differ > 2:  # 32-bit rounding may move a spike
        raise Wrong(f"{differ} spikes of a two-layer network differ from snnTorch's.")


EXERCISE = Exercise(
    solve=read_and_run,
    checks=(check_before_a_spike, check_r, check_reset, check_order, check_step, check_snntorch),
    hints=(
        "Go through the fields of a LIF node: tau, r, v_leak, v_threshold, v_reset. Which are never read?",
        "share = dt / tau is 1 − β, and the current comes in as share·R·I. After a spike: torch.where(spk > 0, v_reset, v).",
        "Follow the edges: following = dict(graph.edges), then name = following['input'], and name = following[name] "
        "until it is 'output'.",
    ),
    why="A reader that skips a field, or takes the order of a file for the order of computation, is right for its "
    "own files and silently wrong for those of others; only spikes compared with the writer's show it.",
)

if __name__ == "__main__":
    EXERCISE.main()
