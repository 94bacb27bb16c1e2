"""A network of snnTorch neurons as a NIR graph: what stands in the way, the form it needs, the export."""

from __future__ import annotations

import copy
from typing import Any

from common.io import UserError
from common.spiking import reset_state, spiking_layers
from exchange import neurons, nodes
from exchange.comparing import spikes_of
from exchange.reading import from_nir
from exchange.watching import INPUT, OUTPUT, Call, Trace, runnable, watch

import nir
import numpy as np
import snntorch as snn
import torch
from torch import nn

LOOPED = (snn.RLeaky, snn.RSynaptic, neurons.RSynaptic)
WITH_CURRENT = (snn.Synaptic, snn.RSynaptic, neurons.RSynaptic)
EXPORTED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.AvgPool2d,
    nn.Flatten,
    snn.Leaky,
    snn.Synaptic,
    *LOOPED,
)
"""The layers that have a node in NIR. Leaky is LIF, Synaptic is CubaLIF, the recurrent ones are loops."""

HINTS = {
    "BatchNorm2d": "fold it into the convolution",
    "BatchNorm1d": "fold it into the linear layer",
    "Dropout": "leave it out of the exported network",
    "MaxPool2d": "NIR has no maximum: use a stride or average pooling and train again",
    "Alpha": "NIR has no neuron with two synaptic currents: use Synaptic",
}


@torch.no_grad()
def per_neuron(net: nn.Module, x_t: torch.Tensor, reset: str = "zero") -> nn.Module:
    """A copy whose neurons carry β, α and θ one by one, and ``reset``: the form in which they can be exported.

    The weights stay as they are. With ``reset="zero"`` recurrent neurons and those with a synaptic current reset in
    the step of the spike, as NIR's do. If the network was trained with another reset, its spikes change here, visibly.
    """
    reset_state(net)  # a state that hangs on a gradient cannot be copied
    net = runnable(copy.deepcopy(net))
    shapes = watch(net, x_t).shapes
    for name, neuron in list(spiking_layers(net).items()):
        if type(neuron) not in EXPORTED or name not in shapes:
            continue
        for key in ("beta", "alpha", "threshold"):
            value = getattr(neuron, key, None)
            if value is not None:
                whole = value.detach().expand(shapes[name]).clone()
                neuron._parameters.pop(key, None)
                neuron._buffers.pop(key, None)
                neuron.register_buffer(key, whole)
        set_reset(neuron, reset)
    reset_state(net)
    return net.eval()


def set_reset(neuron: snn.SpikingNeuron, reset: str) -> None:
    """Give a neuron another reset; to zero in the step of its spike, where the moment makes a difference."""
    neuron.reset_mechanism = reset
    neuron.state_function = {
        "subtract": neuron._base_sub,
        "zero": neuron._base_zero,
        "none": neuron._base_int,
    }[reset]
    if type(neuron) is not snn.Leaky:
        neuron.reset_delay = reset != "zero"
        if isinstance(neuron, snn.RSynaptic):
            neuron.__class__ = neurons.RSynaptic if reset == "zero" else snn.RSynaptic


def neuron_problems(name: str, m: snn.SpikingNeuron) -> list[str]:
    """What a NIR neuron could not say about this one."""
    found = []
    rates = {"β": m.beta} | ({"α": m.alpha} if isinstance(m, WITH_CURRENT) else {})
    for symbol, rate in rates.items():
        if rate.dim() == 0 and not isinstance(m, LOOPED):
            found.append(
                f"{name} has one {symbol} for all neurons: NIR wants one each; use per_neuron(net, x_t)"
            )
        if (rate >= 1).any():
            found.append(f"{name} has {symbol} ≥ 1: its τ = dt/(1 − {symbol}) is no finite number")
    if m.reset_mechanism != "zero":
        found.append(
            f"{name} resets by '{m.reset_mechanism}': NIR's neurons are set to v_reset; train with "
            "reset_mechanism='zero'"
        )
    elif type(m) is not snn.Leaky and m.reset_delay:
        found.append(
            f"{name} is a {type(m).__name__} with a late reset, which loses an input a spike: reset_delay=False, "
            "or per_neuron(net, x_t)"
        )
    if m.inhibition or m.state_quant or (m.graded_spikes_factor != 1).any():
        found.append(
            f"{name} has inhibition, a quantised state or graded spikes, which would be lost"
        )
    values = [*rates.values(), m.threshold]
    if not all(torch.isfinite(v).all() for v in values):
        found.append(f"{name} has a parameter that is no finite number")
    return found


def node_of(name: str, call: Call) -> nir.NIRNode:
    """The NIR node of one called module; of a recurrent layer the neuron without its loop."""
    m, shape = call.module, call.shape_in
    if isinstance(m, WITH_CURRENT):
        return nodes.cuba_node(m, shape)
    if isinstance(m, snn.SpikingNeuron):
        return nodes.lif_node(m, shape)
    if isinstance(m, nn.Linear):
        if len(shape) != 1:
            raise UserError(f"{name} takes {shape}: NIR's weights act on one dimension; flatten it")
        return nodes.linear_node(m)
    if isinstance(m, nn.Flatten):
        return nodes.flatten_node(name, m, shape)
    if isinstance(m, nn.AvgPool2d):
        return nodes.pool_node(name, m, shape, call.shape_out)
    return nodes.convolution_node(name, m, shape)


def problems_of(trace: Trace) -> list[str]:
    """All that keeps a watched network from being exported."""
    found = list(trace.problems)
    used = {call.source for call in trace.calls.values()} | {trace.last}
    for name, times in trace.times.items():
        if times > 1:
            found.append(
                f"{name} is called {times} times in one step: loops over time stay outside forward, and "
                "each call of a shared layer needs a layer of its own"
            )
    for name, call in trace.calls.items():
        kind = type(call.module).__name__
        if type(call.module) not in EXPORTED:
            hint = HINTS.get(kind, "NIR has no such node")
            found.append(f"{name} is a {kind}: {hint}")
            continue
        if name not in used:
            found.append(f"{name} makes an output that no module takes: leave the layer out")
        if isinstance(call.module, snn.SpikingNeuron):
            found += neuron_problems(name, call.module)
        try:
            if isinstance(call.module, LOOPED):
                nodes.loop_node(name, call.module, call.shape_in)
            elif not isinstance(call.module, snn.SpikingNeuron):
                node_of(name, call)
        except UserError as e:
            found.append(str(e))
    return found


@torch.no_grad()
def why_not(net: nn.Module, x_t: torch.Tensor) -> list[str]:
    """What stands between this network and a NIR file that means the same; empty if nothing does.

    An exporter sees which module's output becomes which module's input while ``net(x_t)`` runs. All it cannot see
    (functions, operators, loops) it would leave out without a word; so this looks for it first.
    """
    return problems_of(watch(runnable(net), x_t))


def typed(node: Any, shape_in: tuple[int, ...], shape_out: tuple[int, ...]) -> Any:
    """The node with the shapes that were seen."""
    node.input_type = {"input": np.array(shape_in)}
    node.output_type = {"output": np.array(shape_out)}
    return node


@torch.no_grad()
def to_nir(net: nn.Module, x_t: torch.Tensor) -> nir.NIRGraph:
    """Export a network whose ``forward`` is one step; ``x_t (B, …)`` shows the shape.

    Leaky becomes LIF, Synaptic CubaLIF, RLeaky and RSynaptic a LIF or CubaLIF with weights from its output back to its
    input. In the end the graph is read back and run: a difference that nobody thought of is refused as well.

    Raises:
        UserError: with all that has to be changed first.
    """
    net = runnable(net)
    trace = watch(net, x_t)
    if problems := problems_of(trace):
        raise UserError("this network cannot be exported: " + "; ".join(problems))
    graph_nodes: dict[str, nir.NIRNode] = {INPUT: nir.Input(np.array(x_t.shape[1:]))}
    edges = []
    entrance = {
        INPUT: INPUT
    }  # of a layer, the node that takes its input; and the one that makes its output
    for name, call in trace.calls.items():
        looped = isinstance(call.module, LOOPED)
        entrance[name] = f"{name}.lif" if looped else name
        if entrance[name] in graph_nodes:
            raise UserError(f"a layer called {name} cannot be exported: NIR needs the name itself")
        node = typed(node_of(name, call), call.shape_in, call.shape_out)
        graph_nodes[entrance[name]] = node
        edges.append((entrance[call.source], entrance[name]))
        if looped:
            back = f"{name}.w_rec"
            loop = nodes.loop_node(name, call.module, call.shape_in)
            graph_nodes[back] = typed(loop, call.shape_in, call.shape_in)
            edges += [(entrance[name], back), (back, entrance[name])]
    if OUTPUT in graph_nodes:
        raise UserError(f"a layer called {OUTPUT} cannot be exported: NIR needs the name itself")
    graph_nodes[OUTPUT] = nir.Output(np.array(trace.calls[trace.last].shape_out))
    edges.append((entrance[trace.last], OUTPUT))
    graph = nir.NIRGraph(graph_nodes, edges, type_check=False)
    check_export(net, x_t, graph)
    return graph


def check_export(net: nn.Module, x_t: torch.Tensor, graph: nir.NIRGraph) -> None:
    """Would NIR itself read this graph, and does it give the network's spikes?

    Raises:
        UserError: if not. A spike in a hundred may differ, where rewritten convolutions round differently.
    """
    try:
        nir.NIRGraph.from_dict(copy.deepcopy(graph.to_dict()))
    except Exception as e:  # NIR checks shapes with asserts, ValueErrors and IndexErrors
        why = " ".join(str(e).split())[:160]
        raise UserError(f"NIR {nir.version} cannot read this network's graph: {why}") from e
    steps = torch.stack([x_t, x_t, 0 * x_t, -x_t, 2 * x_t, x_t])  # (6, B, …)
    steps = steps.detach().float().cpu()
    on_cpu = copy.deepcopy(net).cpu().float().eval()
    ours = spikes_of(on_cpu, steps)
    theirs = spikes_of(from_nir(graph), steps)
    alike = [a.shape for a in ours] == [b.shape for b in theirs]
    differ = sum(int((a != b).sum()) for a, b in zip(ours, theirs, strict=True)) if alike else "all"
    if not alike or differ > 0.01 * sum(int(a.sum()) for a in ours) + 1:
        raise UserError(
            f"the exported graph would not give this network's spikes ({differ} differ in six steps): forward does "
            "something that no module shows, such as a branch on its data"
        )
