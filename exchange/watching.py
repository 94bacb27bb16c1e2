"""What a forward pass really does: which module's output becomes which module's input, and what stays unseen."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from common.io import UserError
from common.spiking import reset_state
from exchange import neurons

import snntorch as snn
import torch
from torch import nn

INPUT, OUTPUT = "input", "output"


@dataclass
class Call:
    """One module called once: from where its input came, and the shapes ``(…)`` without the batch."""

    module: nn.Module
    source: str
    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]


@dataclass
class Trace:
    """One forward pass: the calls by module name, the module that made the output, and what no hook could see."""

    calls: dict[str, Call] = field(default_factory=dict)
    last: str = ""
    problems: list[str] = field(default_factory=list)
    times: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """of each module's output, without the batch"""


def runnable(net: nn.Module) -> nn.Module:
    """The network itself, or a copy in which RSynaptic can reset in the step of its spike (snnTorch's own cannot)."""
    broken = [n for n, m in net.named_modules() if type(m) is snn.RSynaptic and not m.reset_delay]
    if not broken:
        return net
    reset_state(net)  # a state that hangs on a gradient cannot be copied
    net = copy.deepcopy(net)
    for name in broken:
        net.get_submodule(name).__class__ = neurons.RSynaptic
    return net


def leaves(net: nn.Module) -> dict[str, nn.Module]:
    """Modules that compute something themselves; a neuron counts as one, its recurrent weights included."""
    found: dict[str, nn.Module] = {}
    for name, m in net.named_modules():
        inside_a_neuron = any(name.startswith(f"{n}.") for n in found)
        is_leaf = isinstance(m, snn.SpikingNeuron) or not list(m.children())
        if name and is_leaf and not inside_a_neuron:
            found[name] = m
    return found


def first_of(out: Any) -> Any:
    """The spikes of a neuron that also returns its states."""
    return out[0] if isinstance(out, tuple) else out


@torch.no_grad()
def watch(net: nn.Module, x_t: torch.Tensor) -> Trace:
    """Run one step ``x_t (B, …)`` from rest and note every module call.

    A tensor is known by its identity and its version, so that one which a function made, or changed in place, is not
    taken for a module's output.
    """
    trace = Trace()
    made: dict[int, tuple[str, int]] = {id(x_t): (INPUT, x_t._version)}
    kept: list[torch.Tensor] = []  # alive, so that no later tensor gets the id of an earlier one

    def source_of(tensor: torch.Tensor) -> str:
        name, version = made.get(id(tensor), ("", -1))
        return name if version == tensor._version else ""

    def hook_of(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], out: Any) -> None:
            trace.times[name] = trace.times.get(name, 0) + 1
            tensors = [i for i in inputs if isinstance(i, torch.Tensor)]
            sources = [source_of(i) for i in tensors]
            out = first_of(out)
            if "" in sources:
                trace.problems.append(
                    f"{name} takes a tensor that no module made: a function or operator in forward is not "
                    "exported; write it as a module, or fold it into the weights"
                )
            elif len(tensors) != 1:
                trace.problems.append(
                    f"{name} takes {len(tensors)} tensors; a node of NIR takes one"
                )
            elif isinstance(out, torch.Tensor):
                trace.calls[name] = Call(
                    module, sources[0], tuple(tensors[0].shape[1:]), tuple(out.shape[1:])
                )
            if isinstance(out, torch.Tensor):
                kept.append(out)
                trace.shapes[name] = tuple(out.shape[1:])
                made[id(out)] = (name, out._version)

        return hook

    hooks = [m.register_forward_hook(hook_of(name)) for name, m in leaves(net).items()]
    try:
        reset_state(net)
        out = first_of(net(x_t))
    except UserError:
        raise
    except Exception as e:  # whatever the user's forward raises
        why = " ".join(str(e).split())[:160]
        raise UserError(f"forward fails on a step of shape {tuple(x_t.shape)}: {why}") from e
    finally:
        for hook in hooks:
            hook.remove()
        reset_state(net)
    trace.problems = list(dict.fromkeys(trace.problems))
    trace.last = source_of(out) if isinstance(out, torch.Tensor) else ""
    if trace.last in ("", INPUT):
        trace.problems.append(
            "the output is made by a function or operator, not by a module: end with a spiking layer"
        )
    return trace
