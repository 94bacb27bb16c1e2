"""A NIR graph read back into snnTorch neurons and PyTorch layers, ready to step through time."""

from __future__ import annotations

from pathlib import Path

from common.io import UserError
from exchange.fields import DT, Reading
from exchange.files import read_nir
from exchange.graphs import NEURONS, Plan, kind, make_plan, one_step, silence
from exchange.layers import module_of

import nir
import torch
from torch import nn

MOST_VALUES = 2**28
"""The largest input, in numbers, that is taken as meant."""

STATES = ("spk", "syn", "mem")
"""The buffers in which neurons, delays and integrators keep what they remember."""


class ImportedNet(nn.Module):
    """A NIR graph as a network whose ``forward`` is one step, as every network of this course.

    Neurons keep their state between calls, and so do the connections that lead back: start a new sequence with
    ``common.spiking.reset_state(net)``. ``net(x_t)`` returns ``(out, state)``; a state that is given, as in
    ``net(x_t, state)``, takes the place of the one that is kept.
    """

    def __init__(self, plan: Plan, reading: Reading) -> None:
        super().__init__()
        self.plan = plan
        self.past: dict[str, torch.Tensor] = {}
        """node → what it sent in the step before, where a connection leads back"""
        self.attribute: dict[str, str] = {}
        """node → the attribute under which its layer stands, as names in Python have no dots"""
        for name in plan.order:
            attribute = "".join(c if c.isalnum() else "_" for c in name) or "_"
            while attribute in dir(self):  # hasattr would compute the properties
                attribute += "_"
            self.add_module(attribute, module_of(name, plan.nodes[name], reading))
            self.attribute[name] = attribute

    def layer(self, name: str) -> nn.Module:
        """The layer that a node became."""
        return getattr(self, self.attribute[name])

    def reset_mem(self) -> None:
        """Forget everything: the next step is the first."""
        self.past = {}
        for layer in self.children():
            if hasattr(layer, "reset_mem"):
                layer.reset_mem()

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """All that the network remembers, as ``node.buffer`` → tensor."""
        found = {f"{name}.past": value for name, value in self.past.items()}
        for name in self.plan.order:
            for key in STATES:
                if isinstance(value := getattr(self.layer(name), key, None), torch.Tensor):
                    found[f"{name}.{key}"] = value
        return found

    @state.setter
    def state(self, state: dict[str, torch.Tensor]) -> None:
        self.past = {}
        for place, value in state.items():
            name, _, key = place.rpartition(".")
            if key == "past":
                self.past[name] = value
            else:
                setattr(self.layer(name), key, value)

    def check_state(self, state: dict[str, torch.Tensor], batch_size: int) -> None:
        """Refuse a state of other nodes or of another batch, which the neurons would take for none.

        Raises:
            UserError: names the entry.
        """
        for place, value in state.items():
            name, _, key = place.rpartition(".")
            if name not in self.attribute or key not in (*STATES, "past"):
                raise UserError(f"from_nir: got a state of {place}, which this network has not")
            if value.ndim and len(value) != batch_size:
                raise UserError(
                    f"from_nir: got a state of {place} for a batch of {len(value)}, and a step for "
                    f"{batch_size}"
                )

    def apply_node(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """One node on one step ``(B, …)``."""
        return self.layer(name)(x)

    def forward(
        self, x_t: torch.Tensor, state: dict[str, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """One step: ``(B, …)`` → what reaches the Output ``(B, …)``, and the state."""
        expected = tuple(int(n) for n in self.plan.nodes[self.plan.entry].input_type["input"])
        if tuple(x_t.shape[1:]) != expected:
            raise UserError(
                f"from_nir: got a step of shape {tuple(x_t.shape)}, expected (B, "
                f"{', '.join(str(n) for n in expected)}); time is the loop outside"
            )
        if state is not None:
            self.check_state(state, len(x_t))
            self.state = state

        def before(name: str) -> torch.Tensor:
            value = self.past.get(name)
            if value is None or len(value) != len(x_t):
                return silence(self.plan, name, self.apply_node, x_t)
            return value

        out = one_step(self.plan, x_t, self.apply_node, before)
        self.past = {a: out[a] for a, _ in self.plan.late}
        return out[self.plan.exit], self.state


def declared_shape(node: nir.NIRNode) -> tuple[int, ...] | None:
    """The shape of input that a node itself states, or nothing."""
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        size = (
            node.input_shape
        )  # without the channels; NIR's input_type counts those of one group only
        sizes = [] if size is None else [size] if isinstance(node, nir.Conv1d) else list(size)
        return (-1, *(int(n) for n in sizes)) if sizes else None
    if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
        return None  # worked out by whoever built the graph, never stored
    shape = (node.input_type or {}).get("input")
    return None if shape is None else tuple(int(n) for n in shape)


@torch.no_grad()
def try_out(net: ImportedNet) -> None:
    """Run one step of zeros through the network: every shape is checked before anybody relies on it.

    Raises:
        UserError: names the first node that does not take what reaches it.
    """
    plan = net.plan
    shape = plan.nodes[plan.entry].input_type["input"]
    sizes = None if shape is None else [float(n) for n in shape]
    if sizes and all(size.is_integer() for size in sizes):
        sizes = [int(size) for size in sizes]
    values = 1
    for size in sizes or [0]:
        values *= size
    if not 0 < values <= MOST_VALUES or min(sizes) < 1 or isinstance(sizes[0], float):
        raise UserError(
            f"node {plan.entry}: got an input of shape {sizes}, expected positive whole sizes"
        )

    def checked(name: str, x: torch.Tensor) -> torch.Tensor:
        node, got = plan.nodes[name], tuple(x.shape[1:])
        declared = declared_shape(node)
        if declared is not None and len(declared) > 1 and declared[0] == -1:
            declared = (got[0], *declared[1:]) if got else declared
        if declared is not None and declared != got:
            raise UserError(
                f"node {name} ({kind(node)}): got an input of shape {got}, expected {declared}"
            )
        try:
            out = net.apply_node(name, x)
        except Exception as e:  # PyTorch's shape errors are of many kinds
            why = " ".join(str(e).split())[:120]
            raise UserError(
                f"node {name} ({kind(node)}) takes no input of shape {got}: {why}"
            ) from e
        if isinstance(node, NEURONS) and tuple(out.shape[1:]) != got:
            raise UserError(f"node {name} ({kind(node)}): got an input of shape {got}")
        return out

    x_t = torch.zeros(1, *sizes)
    one_step(plan, x_t, checked, lambda name: silence(plan, name, net.apply_node, x_t))
    net.reset_mem()


def from_nir(
    graph: nir.NIRGraph | str | Path,
    dt: float = DT,
    start: str | None = None,
    if_step: float | None = None,
) -> ImportedNet:
    """Read a graph, or a file, back into snnTorch neurons; ``net(x_t)`` returns ``(out, state)``.

    Every field of every node is read: R and w_in become gains, v_reset and τ stay with their neuron. What could be
    read in more than one way is refused by name, with the option that says which way is meant.

    Args:
        dt: seconds a step; a file does not say.
        start: where v begins in neurons with v_leak ≠ 0: "rest" or "zero".
        if_step: length of a step in the unit of IF's R, if R is neither 1 nor 1/dt everywhere: 1 or ``dt``.

    Raises:
        UserError: one line that names the node and the field.
    """
    if isinstance(graph, (str, Path)):
        graph = read_nir(graph)
    if not isinstance(graph, nir.NIRGraph):
        raise UserError(f"from_nir: got a {type(graph).__name__}, expected a NIRGraph or its file")
    check_options(dt, start, if_step)
    try:
        net = ImportedNet(make_plan(graph), Reading(dt, start, if_step))
        try_out(net)
    except UserError:
        raise
    except Exception as e:  # a graph that was put together by hand may hold anything anywhere
        why = " ".join(str(e).split())[:120]
        raise UserError(f"graph: cannot be read ({type(e).__name__}: {why})") from e
    return net.eval()


def check_options(dt: object, start: object, if_step: object) -> None:
    """Refuse options of ``from_nir`` that mean nothing, whether the graph at hand needs them or not.

    Raises:
        UserError: names the option and what it may be.
    """
    for name, seconds in (("dt", dt), ("if_step", if_step)):
        if name == "if_step" and seconds is None:
            continue
        is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not (is_number and 0 < seconds < float("inf")):
            raise UserError(
                f"from_nir: got {name} = {seconds}, expected a positive number of seconds"
            )
    if start not in (None, "rest", "zero"):
        raise UserError(f"from_nir: got start = {start!r}, expected 'rest' or 'zero'")
