"""Between snnTorch and NIR: what can be exported, export, the way back, and who takes which node (lesson 17).

snnTorch 1.0.0 exports by ``nirtorch.extract_nir_graph``, which watches module calls, and imports by
``nirtorch.nir_to_torch``, which builds a torch.fx graph. Both are right for feed-forward networks of ``Linear`` and
``Leaky`` with β and θ one by one; the functions here say what else is in the way, and read loops and Flatten back.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common import plots
from common.cost import calls
from common.io import UserError
from common.spiking import reset_state, spiking_layers

import nir
import nirtorch
import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from snntorch.export_nir import export_to_nir
from torch import nn

DT = 1e-4
"""s; snnTorch writes its graphs for steps of this length. The number stands in its code, not in the file."""

TARGETS = {
    "Loihi 2 (Lava-DL)": {
        "Conv2d",
        "Flatten",
        "Affine",
        "Linear",
        "CubaLIF",
        "IF",
        "LIF",
        "SumPool2d",
    },
    "SpiNNaker2": {
        "Conv1d",
        "Conv2d",
        "Flatten",
        "Affine",
        "Linear",
        "CubaLIF",
        "IF",
        "LIF",
        "SumPool2d",
    },
    "Speck, simulated (sinabs)": {
        "Conv1d",
        "Conv2d",
        "Flatten",
        "Affine",
        "IF",
        "LI",
        "LIF",
        "SumPool2d",
    },
    "Speck, on the chip": {"Conv2d", "Flatten", "Affine", "IF", "SumPool2d"},
    "Xylo (Rockpool)": {"Affine", "Linear", "CubaLIF", "LI", "LIF"},
    "BrainScaleS-2 (hxtorch)": {"Linear", "CubaLI", "CubaLIF"},
}
"""Nodes that each platform's NIR reader takes: https://neuroir.org/docs/supported_primitives.html (NIR calls that table
generated and perhaps not entirely accurate). The chip row of Speck is narrower than the table: sinabs 3.1.3 puts only
neurons without leak (its IAF layer) on the chip's cores. Akida reads no NIR at all."""

BRAILLE = [
    ("snnTorch", "95.0 %"),
    ("Norse", "94.29 %"),
    ("SpiNNaker2", "85.0 %"),
    ("Nengo", "55.7 %"),
    ("Lava", "48.6 %"),
]
"""One recurrent network for Braille letters, run from one NIR graph: published by Pedersen et al. 2024."""

INSTEAD = {
    "Flatten": "reorder weights",
    "Conv2d": "unroll into Affine",
    "AvgPool2d": "SumPool2d, weights/k²",
    "LIF": "IF and train again, or CubaLIF with a short τ_syn",
    "Affine": "Linear, bias as an input",
}
"""What could stand in the place of a node that is not taken."""


@torch.no_grad()
def per_neuron(net: nn.Module, x_t: torch.Tensor, reset: str = "zero") -> nn.Module:
    """A copy whose ``Leaky`` neurons carry β and θ one by one, and ``reset``: the form in which they can be exported.

    The weights stay as they are. If the network was trained with another reset, its spikes change here, visibly.
    """
    net, sizes = copy.deepcopy(net), {}
    hooks = [
        m.register_forward_pre_hook(lambda m, i: sizes.update({m: i[0].shape[1:]}))
        for m in spiking_layers(net).values()
    ]
    net(x_t)
    for hook in hooks:
        hook.remove()
    for name, old in list(net.named_modules()):
        if type(old) is snn.Leaky:
            parent, _, child = name.rpartition(".")
            beta, threshold = (
                v.detach().expand(sizes[old]).clone() for v in (old.beta, old.threshold)
            )
            new = snn.Leaky(
                beta=beta,
                threshold=threshold,
                init_hidden=True,
                output=old.output,
                reset_mechanism=reset,
            )
            setattr(net.get_submodule(parent), child, new)
    return net.eval()


EXPORTED = (nn.Linear, nn.Conv2d, nn.AvgPool2d, nn.Flatten, snn.Leaky, snn.RLeaky)


@torch.no_grad()
def why_not(net: nn.Module, x_t: torch.Tensor) -> list[str]:
    """What stands between this network and a NIR file that means the same; empty if nothing does.

    snnTorch's exporter watches which module's output becomes which module's input while ``net(x_t)`` runs. All it
    cannot see (functions, operators, loops) it leaves out, often without a word; so this looks for it first.
    """
    found, calls, made, kept = [], Counter(), {id(x_t)}, []

    def watch(name: str) -> Callable[..., None]:
        def hook(_m: nn.Module, inputs: tuple[Any, ...], out: Any) -> None:
            calls[name] += 1
            if any(isinstance(i, torch.Tensor) and id(i) not in made for i in inputs):
                found.append(
                    f"{name} takes a tensor that no module made: a function or operator in forward is not "
                    "exported; write it as a module, or fold it into the weights"
                )
            out = out[0] if isinstance(out, tuple) else out
            kept.append(out)  # alive, so that no later tensor gets its id
            made.add(id(out))

        return hook

    inside = [f"{n}." for n, m in net.named_modules() if isinstance(m, snn.SpikingNeuron)]
    leaves = {
        n: m
        for n, m in net.named_modules()
        if n
        and (isinstance(m, snn.SpikingNeuron) or not list(m.children()))
        and not any(n.startswith(i) for i in inside)
    }
    hooks = [m.register_forward_hook(watch(n)) for n, m in leaves.items()]
    try:
        reset_state(net)
        out = net(x_t)
    finally:
        for hook in hooks:
            hook.remove()
    found = list(dict.fromkeys(found))
    if id(out[0] if isinstance(out, tuple) else out) not in made:
        found.append(
            "the output is made by a function or operator, not by a module: end with a spiking layer"
        )
    for name, m in leaves.items():
        kind = type(m).__name__
        if calls[name] > 1:
            found.append(
                f"{name} is called {calls[name]} times in one step: loops over time stay outside forward, and "
                "each call of a shared layer needs a layer of its own"
            )
        if calls[name] == 0:
            continue
        if type(m) not in EXPORTED:
            hint = {
                "BatchNorm2d": "fold it into the convolution",
                "BatchNorm1d": "fold it into the linear layer",
                "Dropout": "leave it out of the exported network",
                "MaxPool2d": "NIR has no maximum: use a stride or average pooling and train again",
            }.get(kind, "NIR or snnTorch's exporter has no such node")
            found.append(f"{name} is a {kind}: {hint}")
        elif isinstance(m, snn.SpikingNeuron):
            if m.beta.dim() == 0 and not isinstance(m, snn.RLeaky):
                found.append(
                    f"{name} has one β for all neurons: NIR wants one each; use per_neuron(net, x_t)"
                )
            if m.reset_mechanism != "zero":
                found.append(
                    f"{name} resets by '{m.reset_mechanism}': NIR's neurons are set to v_reset; train with "
                    "reset_mechanism='zero'"
                )
            if isinstance(m, snn.RLeaky) and m.reset_delay:
                found.append(
                    f"{name} is an RLeaky with a late reset, which loses an input a spike: reset_delay=False"
                )
            if (m.beta >= 1).any():
                found.append(f"{name} has β ≥ 1: its τ = dt/(1 − β) is no finite number")
            if m.inhibition or m.state_quant or (m.graded_spikes_factor != 1).any():
                found.append(
                    f"{name} has inhibition, a quantised state or graded spikes, which would be lost"
                )
        elif isinstance(m, nn.AvgPool2d) and m.padding not in (0, (0, 0)):
            found.append(f"{name} pads, and the exporter drops a pool's padding")
    return found


def quietly(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """``call`` without the libraries' own prints and deprecation warnings."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            return call(*args, **options)
        finally:
            logging.disable(logging.NOTSET)


def to_nir(net: nn.Module, x_t: torch.Tensor) -> nir.NIRGraph:
    """Export a network whose ``forward`` is one step; ``x_t (B, …)`` shows the shape.

    Raises:
        UserError: with all that has to be changed first.
    """
    if problems := why_not(net, x_t):
        raise UserError("this network cannot be exported: " + "; ".join(problems))
    reset_state(net)
    graph = quietly(
        export_to_nir, net, x_t, ignore_dims=[0]
    )  # dimension 0 is the batch, no part of the network
    reset_state(net)
    return graph


def lif_node(m: snn.Leaky) -> nir.LIF:
    """A ``Leaky`` as NIR's equation has it, the way snnTorch writes it: R = τ/dt, so that a current acts unscaled."""
    tau = DT / (1 - m.beta.detach().numpy())
    return nir.LIF(tau=tau, r=tau / DT, v_leak=0 * tau, v_threshold=m.threshold.detach().numpy())


@dataclass(eq=False)
class RecurrentLIF(nir.NIRNode):
    """A LIF node and the weights from its output back to its input, as one: what ``snn.RLeaky`` is."""

    lif: nir.LIF
    w_rec: nir.Affine

    def __post_init__(self) -> None:
        self.input_type, self.output_type = self.lif.input_type, self.lif.output_type


def from_nir(graph: nir.NIRGraph) -> torch.fx.GraphModule:
    """Read a graph back into snnTorch neurons; ``net(x_t, state)`` returns ``(spk, state)``.

    snnTorch's own ``import_from_nir`` does this for feed-forward networks. It stops at a loop, and its Flatten takes
    the batch for a part of the image; here both are read as they were written.
    """

    def leaky(n: nir.LIF) -> snn.Leaky:
        return snn.Leaky(
            beta=torch.from_numpy(1 - DT / n.tau),
            threshold=torch.from_numpy(n.v_threshold),
            init_hidden=True,
            reset_mechanism="zero",
        )

    def rleaky(n: RecurrentLIF) -> snn.RLeaky:
        m = snn.RLeaky(
            beta=torch.from_numpy(1 - DT / n.lif.tau),
            threshold=torch.from_numpy(n.lif.v_threshold),
            linear_features=len(n.lif.tau),
            init_hidden=True,
            reset_mechanism="zero",
            reset_delay=False,
        )
        m.recurrent.load_state_dict(
            {"weight": torch.from_numpy(n.w_rec.weight), "bias": torch.from_numpy(n.w_rec.bias)}
        )
        return m

    def affine(n: nir.Affine) -> nn.Linear:
        m = nn.Linear(*reversed(n.weight.shape))
        m.load_state_dict({"weight": torch.from_numpy(n.weight), "bias": torch.from_numpy(n.bias)})
        return m

    nodes, edges = dict(graph.nodes), [tuple(e) for e in graph.edges]
    for a, b in edges:
        if (b, a) in edges and isinstance(
            nodes.get(a), nir.LIF
        ):  # a → b → a: fold the two into one node
            nodes[a] = RecurrentLIF(nodes[a], nodes.pop(b))
            edges = [e for e in edges if b not in e]
    return quietly(
        nirtorch.nir_to_torch,
        nir.NIRGraph(nodes, edges, type_check=False),
        {
            nir.LIF: leaky,
            RecurrentLIF: rleaky,
            nir.Affine: affine,
            nir.AvgPool2d: lambda n: nn.AvgPool2d(_pair(n.kernel_size), _pair(n.stride)),
            nir.Flatten: lambda n: nn.Flatten(*_with_batch(n)),
        },
    )


def node_order(graph: nir.NIRGraph) -> list[str]:
    """Nodes from the input on, each after all that feed it; a connection back is the only one that breaks this."""
    seen: set[str] = set()
    behind: list[str] = []

    def visit(name: str) -> None:
        if name not in seen:
            seen.add(name)
            for b in sorted(b for a, b in graph.edges if a == name):
                visit(b)
            behind.append(name)  # after everything that follows it

    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input):
            visit(name)
    return behind[::-1]


@torch.no_grad()
def run_graph(
    graph: nir.NIRGraph,
    x: torch.Tensor,
    lif: Callable[[str, nir.LIF, torch.Tensor], torch.Tensor],
    loop_delay: int = 0,
) -> list[torch.Tensor]:
    """Walk a graph through ``x (T, B, …)``: ``lif(name, node, cur)`` advances a layer by a step and returns spikes.

    A connection back carries what was sent ``1 + loop_delay`` steps ago; at the start, what its node makes of silence.

    Returns:
        The spikes ``(T, B, …)`` of each LIF node, from the input to the output.
    """
    order, past = node_order(graph), []
    rec: dict[str, list[torch.Tensor]] = {
        n: [] for n in order if isinstance(graph.nodes[n], nir.LIF)
    }
    for x_t in x:
        out: dict[str, torch.Tensor] = {}
        for n in order:
            into = []
            for a in (a for a, b in graph.edges if b == n):
                if a in out:
                    into.append(out[a])
                elif len(past) > loop_delay:
                    into.append(past[-1 - loop_delay][a])
                else:
                    silence = x_t.new_zeros(len(x_t), *graph.nodes[a].input_type["input"])
                    into.append(_apply(a, graph.nodes[a], silence))
            cur, node = sum(into[1:], into[0]) if into else x_t, graph.nodes[n]
            out[n] = lif(n, node, cur) if isinstance(node, nir.LIF) else _apply(n, node, cur)
        for n, r in rec.items():
            r.append(out[n])
        past = [*past, out][-1 - loop_delay :]
    return [torch.stack(r) for r in rec.values()]


def _apply(name: str, node: nir.NIRNode, x: torch.Tensor) -> torch.Tensor:
    """A node without state, on one step ``(B, …)``."""

    def t(a: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(a)).to(x.dtype)

    if isinstance(node, (nir.Affine, nir.Linear)):
        return F.linear(x, t(node.weight), t(node.bias) if isinstance(node, nir.Affine) else None)
    if isinstance(node, nir.Conv2d):
        return F.conv2d(
            x,
            t(node.weight),
            t(node.bias),
            _pair(node.stride),
            _pair(node.padding),
            _pair(node.dilation),
            int(node.groups),
        )
    if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
        return F.avg_pool2d(
            x,
            _pair(node.kernel_size),
            _pair(node.stride),
            divisor_override=1 if isinstance(node, nir.SumPool2d) else None,
        )
    if isinstance(node, nir.Flatten):
        return x.flatten(*_with_batch(node))
    if isinstance(node, (nir.Input, nir.Output)):
        return x
    raise UserError(
        f"node {name}: got a {type(node).__name__}, which this interpreter does not know; it knows Affine, "
        "Linear, Conv2d, AvgPool2d, SumPool2d, Flatten and LIF"
    )


def _pair(value: Any) -> tuple[int, int]:
    """A pool's size, which a file may hold as one number."""
    return tuple(int(v) for v in np.broadcast_to(value, 2))  # type: ignore[return-value]


def _with_batch(node: nir.Flatten) -> tuple[int, int]:
    """Flatten's dimensions counted with the batch, which NIR leaves out."""
    return tuple(int(d) + (d >= 0) for d in (node.start_dim, node.end_dim))  # type: ignore[return-value]


def spikes_of(net: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Spikes ``(T, B, …)`` of every spiking layer of a network or an imported graph, stepped from rest."""
    state = None

    class Stepped(nn.Module):  # an imported graph returns (spk, state) and wants the state back
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x_t: torch.Tensor) -> None:
            nonlocal state
            if isinstance(net, torch.fx.GraphModule):
                _, state = net(x_t, state)
            else:
                net(x_t)

    rec: dict[str, list[torch.Tensor]] = {}
    for name, m, _, out in calls(Stepped(), x):
        if isinstance(m, snn.SpikingNeuron):
            rec.setdefault(name, []).append(out)
    return [torch.stack(r) for r in rec.values()]


def compare(
    ours: list[torch.Tensor], theirs: list[torch.Tensor], y: torch.Tensor
) -> dict[str, float]:
    """Spikes that differ (and their share of all ``ours``), and the second simulator's accuracy by output spikes."""
    differ = sum(int((a != b).sum()) for a, b in zip(ours, theirs, strict=True))
    return {
        "differ": differ,
        "share": differ / max(1, sum(int(a.sum()) for a in ours)),
        "accuracy": (theirs[-1].sum(0).argmax(1) == y).float().mean().item(),
    }


# ------------------------------------------------------------------------------------ other libraries


def second_simulators() -> dict[str, Callable[[nir.NIRGraph, torch.Tensor], torch.Tensor]]:
    """Other libraries that read NIR, where they are installed: feed-forward graph, ``x (T, B, N)`` → output spikes.

    Norse 1.1 ignores R and takes dt as an argument; sinabs 3.1 counts τ in steps and resets by subtraction;
    SpikingJelly 2.0 checks that R = τ/dt and resets to a value.
    """

    def stepped(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        state, out = None, []
        for x_t in x:
            z, state = net(x_t, state)
            out.append(z)
        return torch.stack(out)

    def norse(graph: nir.NIRGraph, x: torch.Tensor) -> torch.Tensor:
        return stepped(quietly(norse_torch.from_nir, graph, dt=DT), x)

    def norse_unit_r(graph: nir.NIRGraph, x: torch.Tensor) -> torch.Tensor:
        for n in graph.nodes.values():
            if isinstance(n, nir.LIF):  # v/R obeys the same equation with R = 1 and θ/R
                n.v_threshold, n.r = n.v_threshold / n.r, np.ones_like(n.r)
        return norse(graph, x)

    def spikingjelly(graph: nir.NIRGraph, x: torch.Tensor) -> torch.Tensor:
        return stepped(quietly(sj.import_from_nir, graph), x)

    def sinabs(graph: nir.NIRGraph, x: torch.Tensor) -> torch.Tensor:
        for n in graph.nodes.values():
            if isinstance(n, nir.LIF):
                n.tau, n.v_threshold, n.v_leak = (
                    torch.from_numpy(a) for a in (n.tau / DT, n.v_threshold, n.v_leak)
                )
        out = quietly(
            quietly(sinabs_nir.from_nir, graph, batch_size=x.shape[1]),
            x.transpose(0, 1).flatten(0, 1),
        )
        out = out[0] if isinstance(out, tuple) else out
        return out.unflatten(0, (x.shape[1], x.shape[0])).transpose(0, 1)

    found: dict[str, Callable[[nir.NIRGraph, torch.Tensor], torch.Tensor]] = {}
    with contextlib.suppress(ImportError):
        import norse.torch as norse_torch

        found |= {"Norse, graph as it is": norse, "Norse, with R = 1": norse_unit_r}
    with contextlib.suppress(ImportError):
        import sinabs.nir as sinabs_nir

        found["sinabs"] = sinabs
    with contextlib.suppress(ImportError):
        from spikingjelly.activation_based import nir_exchange as sj

        found["SpikingJelly"] = spikingjelly
    return found


# ------------------------------------------------------------------------------------ a picture


def draw_graph(ax: Axes, graph: nir.NIRGraph, title: str) -> None:
    """Boxes from left to right in the order of computation; a node on a way back stands above."""
    edges = [tuple(e) for e in graph.edges]
    back = {a for a, b in edges if (b, a) in edges and not isinstance(graph.nodes[a], nir.LIF)}
    place = {
        n: (float(i), 0.0) for i, n in enumerate(n for n in node_order(graph) if n not in back)
    }
    for n in back:
        place[n] = (place[next(b for a, b in edges if a == n)][0] + 0.5, 1.15)
    for a, b in edges:
        ax.annotate(
            "",
            place[b],
            place[a],
            arrowprops={
                "arrowstyle": "->",
                "shrinkA": 27,
                "shrinkB": 27,
                "color": "0.3",
                "connectionstyle": "arc3,rad=-0.3" if {a, b} & back else "arc3",
            },
        )
    colour = {"LIF": plots.ORANGE, "Input": "0.85", "Output": "0.85"}
    for n, (x, y) in place.items():
        kind = type(graph.nodes[n]).__name__
        size = "×".join(str(v) for v in graph.nodes[n].output_type["output"])
        ax.text(
            x,
            y,
            f"{n}\n{kind}\n{size}",
            ha="center",
            va="center",
            fontsize=7.5,
            bbox={
                "boxstyle": "round",
                "facecolor": colour.get(kind, plots.SKY),
                "edgecolor": "0.4",
            },
        )
    ax.set(xlim=(-0.6, len(place) - 0.4), ylim=(-0.7, 1.7 if back else 0.7), title=title)
    ax.set_axis_off()


def draw_difference(
    ax: Axes, ours: torch.Tensor, theirs: torch.Tensor, our_name: str, their_name: str
) -> None:
    """Two rasters ``(T, N)`` in one: grey where both fire, a colour each where one fires alone."""
    for spk, colour, who in (
        (ours * theirs, "0.6", "both"),
        (ours * (1 - theirs), plots.BLUE, f"{our_name} only"),
        (theirs * (1 - ours), plots.RED, f"{their_name} only"),
    ):
        plots.raster(ax, spk, color=colour, width=3)
        ax.plot([], [], color=colour, linewidth=3, label=who)
