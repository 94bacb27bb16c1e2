"""The shape of a NIR graph: nested graphs unfolded, the order of computation, and the connections that lead back.

A graph says which node feeds which; a simulator with time steps also has to know in which order it works the nodes
out, and which connections carry what was sent a step earlier. Both follow from the edges, or the graph is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from common.io import UserError

import nir
import torch

Edge = tuple[str, str]

NEURONS = (nir.LIF, nir.IF, nir.CubaLIF, nir.LI, nir.I, nir.CubaLI)
"""Nodes with a membrane. A loop has to pass through one of them."""

SPIKING = (nir.LIF, nir.IF, nir.CubaLIF)
"""The neurons that send spikes; the others send their membrane potential."""


@dataclass
class Plan:
    """How a graph is worked out, step by step."""

    nodes: dict[str, nir.NIRNode]
    order: list[str]
    """each node after all that feed it within a step"""
    sources: dict[str, list[str]]
    """the nodes whose outputs a node adds up"""
    late: set[Edge]
    """connections that lead back: they carry what was sent a step earlier"""
    entry: str
    exit: str


def kind(node: nir.NIRNode) -> str:
    """The name of a node's class, for messages."""
    return type(node).__name__


def the_only(graph: nir.NIRGraph, wanted: type, where: str) -> str:
    """The name of the one Input or Output of a graph."""
    names = [name for name, node in graph.nodes.items() if isinstance(node, wanted)]
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise UserError(f"{where}: got {wanted.__name__} nodes: {found}; exactly one can be read")
    return names[0]


def unfold(graph: nir.NIRGraph, where: str = "graph") -> tuple[dict[str, nir.NIRNode], list[Edge]]:
    """Nodes and edges with every nested graph unfolded: its node ``x`` in graph ``g`` becomes ``g.x``.

    A nested graph's Input and Output stay as nodes that hand on what they get, so that their shapes are checked too.
    """
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[Edge] = []
    first: dict[str, str] = {}  # where an edge to a nested graph ends
    last: dict[str, str] = {}  # where an edge from a nested graph starts
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            inner_nodes = {name: node}
        else:
            inside = f"nested graph {name}"
            first[name] = f"{name}.{the_only(node, nir.Input, inside)}"
            last[name] = f"{name}.{the_only(node, nir.Output, inside)}"
            unfolded, inner_edges = unfold(node, inside)
            inner_nodes = {f"{name}.{n}": inner for n, inner in unfolded.items()}
            edges += [(f"{name}.{a}", f"{name}.{b}") for a, b in inner_edges]
        if twice := nodes.keys() & inner_nodes.keys():
            raise UserError(f"{where}: two nodes are called {min(twice)} once it is unfolded")
        nodes |= inner_nodes
    for a, b in graph.edges:
        for end in (a, b):
            if end not in graph.nodes:
                raise UserError(f"{where}: edge {a} → {b} names {end}, which is no node")
        edges.append((last.get(a, a), first.get(b, b)))
    return nodes, edges


def order_from(roots: list[str], edges: list[Edge]) -> list[str]:
    """Nodes reached from ``roots``, each after all that feed it, except along connections that lead back."""
    after: dict[str, list[str]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
    seen: set[str] = set()
    finished: list[str] = []
    for root in roots:
        open_nodes = [(root, iter(sorted(after.get(root, []))))]
        seen.add(root)
        while open_nodes:
            name, rest = open_nodes[-1]
            following = next((b for b in rest if b not in seen), None)
            if following is None:  # all that follow this node are finished, so it is
                finished.append(name)
                open_nodes.pop()
            else:
                seen.add(following)
                open_nodes.append((following, iter(sorted(after.get(following, [])))))
    return finished[::-1]


def node_order(graph: nir.NIRGraph) -> list[str]:
    """Nodes from the input on, each after all that feed it; a connection back is the only one that breaks this."""
    inputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    return order_from(inputs, [(a, b) for a, b in graph.edges])


def reached(start: str, edges: list[Edge], without: frozenset[str] = frozenset()) -> set[str]:
    """All nodes that a signal from ``start`` gets to when the nodes ``without`` are taken out."""
    allowed = [(a, b) for a, b in edges if not without & {a, b}]
    return set(order_from([start], allowed))


def make_plan(graph: nir.NIRGraph) -> Plan:
    """Unfold a graph and find the order in which its nodes are worked out.

    Raises:
        UserError: several inputs or outputs, an edge to nowhere or twice, a node without input, or a loop whose
            late connection the graph leaves open.
    """
    entry = the_only(graph, nir.Input, "graph")
    exit_ = the_only(graph, nir.Output, "graph")
    nodes, edges = unfold(graph)
    for (a, b), times in Counter(edges).items():
        if times > 1:
            raise UserError(f"graph: edge {a} → {b} stands {times} times")
        if b == entry or a == exit_:
            raise UserError(f"graph: edge {a} → {b} runs into the Input or out of the Output")
    order = order_from([entry], edges)
    if forgotten := [name for name in nodes if name not in order]:
        raise UserError(f"node {forgotten[0]}: nothing leads to it from {entry}")
    place = {name: i for i, name in enumerate(order)}
    late = {(a, b) for a, b in edges if place[b] <= place[a]}
    check_loops(nodes, edges, late, entry)
    sources = {name: [a for a, b in edges if b == name] for name in order}
    return Plan(nodes, order, sources, late, entry, exit_)


def check_loops(
    nodes: dict[str, nir.NIRNode], edges: list[Edge], late: set[Edge], entry: str
) -> None:
    """Refuse loops that a step-by-step simulator cannot work out in one way only."""
    neurons = frozenset(name for name, node in nodes.items() if isinstance(node, NEURONS))
    for a, b in sorted(late):
        if b != entry and a in reached(entry, edges, without=frozenset({b})):
            raise UserError(
                f"loop through {b} and {a}: it can be entered at two places, and NIR does not say which of its "
                "connections carries the step before"
            )
        loop = {name for name in reached(b, edges) if a in reached(name, edges)}
        if not neurons & {a, b} and a in reached(b, edges, without=neurons):
            raise UserError(f"loop through {b} and {a}: no neuron in it, so it has no first step")
        for name in sorted(loop):
            if isinstance(nodes[name], nir.Delay):
                raise UserError(
                    f"node {name}: got a Delay inside a loop; whether the loop's own step comes on top, NIR does "
                    "not say"
                )


def silence(plan: Plan, name: str, apply: Callable[[str, torch.Tensor], torch.Tensor], x_t: torch.Tensor) -> torch.Tensor:  # fmt: skip
    """What a node sends before anything has happened: input and neurons are silent, biases are not.

    This is snnTorch's convention: ``RLeaky`` adds the bias of its recurrent weights in step 0 already.
    """
    node = plan.nodes[name]
    if name == plan.entry:
        return torch.zeros_like(x_t)
    if isinstance(node, NEURONS):
        shape = tuple(int(n) for n in node.input_type["input"])
        return x_t.new_zeros(len(x_t), *shape)
    parts = [silence(plan, a, apply, x_t) for a in plan.sources[name]]
    return apply(name, sum(parts[1:], parts[0]))


def one_step(
    plan: Plan,
    x_t: torch.Tensor,
    apply: Callable[[str, torch.Tensor], torch.Tensor],
    before: Callable[[str], torch.Tensor],
) -> dict[str, torch.Tensor]:
    """All outputs ``(B, …)`` of a step: ``apply(name, sum of inputs)``, and ``before(name)`` what it sent a step ago."""
    out: dict[str, torch.Tensor] = {}
    for name in plan.order:
        if name == plan.entry:
            out[name] = apply(name, x_t)
            continue
        parts = []
        for a in plan.sources[name]:
            parts.append(before(a) if (a, name) in plan.late else out[a])
        if differing := [p for p in parts if p.shape != parts[0].shape]:
            raise UserError(
                f"node {name}: its inputs have the shapes {tuple(parts[0].shape[1:])} and "
                f"{tuple(differing[0].shape[1:])}; they are added, so they must agree"
            )
        out[name] = apply(name, sum(parts[1:], parts[0]))
    return out
