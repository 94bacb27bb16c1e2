"""Which way a neuron layer goes: settled before the first step, with the reason in words where it is stepped.

Three fast paths compute the same recursion (``recursion.py``): PyTorch's operations in place (``in_place.py``), on
any device; loops that numba compiles (``compiled.py``), on a CPU; one Triton kernel each way (``gpu.py``), on an NVIDIA
or AMD GPU. What none of them knows is stepped (``stepping.py``). The table in this folder's README is made from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from multistep import compiled, gpu, gpu_recurrent
from multistep.stepping import State
from multistep.surrogates import Surrogate, recognise

import snntorch as snn
import torch
from torch import nn

STATES = {
    snn.Leaky: ("mem",),
    snn.Synaptic: ("syn", "mem"),
    snn.RLeaky: ("spk", "mem"),
    snn.RSynaptic: ("spk", "syn", "mem"),
}
"""The neurons with a fast path, and the parts of their state in snnTorch's order."""


@dataclass(frozen=True)
class Plan:
    """What is settled before the first step."""

    path: Literal["in place", "compiled", "one kernel"]
    reset: str
    """subtract, zero or none"""
    first_order: bool
    """``Leaky``: the one neuron that resets to zero *before* the step, so that U lands on I"""
    dense: bool
    """the recurrent weights are a matrix, not one weight a neuron"""
    surrogate: Surrogate
    num_steps: int
    held: bool
    """the current is one step (B, …), shown at every step"""
    record_mem: bool
    recompute: bool
    grad: bool
    unit_spikes: bool
    """nothing scales the spikes on their way out"""


def make_plan(
    neuron: snn.SpikingNeuron,
    cur: torch.Tensor,
    state: State | None = None,
    record_mem: bool = False,
    recompute: bool = False,
) -> Plan | str:
    """Settle how to run this neuron; a string says why it has to be stepped."""
    why = (
        _why_not_this_neuron(neuron)
        or _why_not_this_current(cur)
        or _why_not_fed_back(neuron, cur)
        or _why_not_these_values(neuron, cur, state)
    )
    if why:
        return why
    surrogate = recognise(neuron.spike_grad, cur.dtype)
    if surrogate is None:
        return "a surrogate that draws random numbers or learns"
    recurrent = getattr(neuron, "recurrent", None)
    unit = is_one(neuron.graded_spikes_factor)
    if recurrent is not None and not unit:
        return "graded spikes are fed back"
    if recurrent is not None and surrogate.dtype != cur.dtype:
        return "spikes of another type than the current are fed back"
    learns = any(t.requires_grad for t in (cur, *(state or ()), *_values(neuron)))
    learns = learns or any(p.requires_grad for p in neuron.parameters())
    return Plan(
        path=_fast_path(neuron, cur, surrogate),
        reset=_reset_of(neuron),
        first_order=type(neuron) is snn.Leaky,
        dense=isinstance(recurrent, nn.Linear),
        surrogate=surrogate,
        num_steps=len(cur),
        held=hasattr(cur, "held") and len(cur) > 0,
        record_mem=record_mem,
        recompute=recompute,
        grad=torch.is_grad_enabled() and learns,
        unit_spikes=unit,
    )


def which_path(neuron: snn.SpikingNeuron, cur: torch.Tensor) -> str:
    """``"in place"``, ``"compiled"``, ``"one kernel"``, or ``"stepped: "`` and why: the way ``unroll`` takes here."""
    plan = make_plan(neuron, cur)
    return f"stepped: {plan}" if isinstance(plan, str) else plan.path


def _fast_path(neuron: snn.SpikingNeuron, cur: torch.Tensor, surrogate: Surrogate) -> str:
    if type(neuron) is snn.Leaky and compiled.takes(cur, surrogate):
        return "compiled"
    if type(neuron) in (snn.Leaky, snn.Synaptic) and gpu.takes(cur, surrogate):
        # to learn α takes Isyn of every step, which the kernels keep in registers
        if type(neuron) is snn.Leaky or not neuron.alpha.requires_grad:
            return "one kernel"
    if type(neuron) is snn.RLeaky and isinstance(neuron.recurrent, nn.Linear):
        if gpu_recurrent.takes(cur, surrogate, _values(neuron)):
            return "one kernel"
    return "in place"


def _reset_of(neuron: snn.SpikingNeuron) -> str:
    """What counts is the function chosen when the neuron was made: to set reset_mechanism later changes nothing."""
    chosen = getattr(neuron.state_function, "__func__", None)
    for name, reset in (("_base_sub", "subtract"), ("_base_zero", "zero"), ("_base_int", "none")):
        if chosen is getattr(type(neuron), name):
            return reset
    return ""


def _why_not_this_neuron(neuron: snn.SpikingNeuron) -> str:
    if type(neuron) not in STATES:
        return "not one of the four neurons"
    if not _reset_of(neuron):
        return "a state function of its own"
    if is_hooked(neuron):
        return "a hook"
    if neuron.inhibition:
        return "inhibition"
    if neuron.state_quant:
        return "state_quant"
    return "" if neuron.reset_delay else "reset_delay=False"


def _why_not_this_current(cur: torch.Tensor) -> str:
    if cur.dtype not in (torch.float32, torch.float64):
        # snnTorch's spikes are float32, so the first reset promotes a half-precision membrane
        return f"{cur.dtype}".removeprefix("torch.")
    if torch.is_autocast_enabled(cur.device.type):
        return "autocast"
    return "torch.compile" if torch.compiler.is_compiling() else ""


def _why_not_fed_back(neuron: snn.SpikingNeuron, cur: torch.Tensor) -> str:
    recurrent = getattr(neuron, "recurrent", None)
    if isinstance(recurrent, nn.Linear):
        if type(recurrent) is not nn.Linear or is_hooked(recurrent) or recurrent.bias is None:
            return "recurrent weights of an unusual kind"
        if cur.dim() != 3:
            return "a dense recurrent layer whose current is not (T, B, H)"
        return "" if recurrent.weight.dtype == cur.dtype else "weights of another type"
    known = recurrent is None or isinstance(getattr(recurrent, "V", None), torch.Tensor)
    return "" if known else "a recurrent convolution"


def _values(neuron: snn.SpikingNeuron) -> list[torch.Tensor]:
    """β, θ, α and one-to-one V: numbers, or one a neuron."""
    values = [neuron.beta, neuron.threshold]
    if hasattr(neuron, "alpha"):
        values.append(neuron.alpha)
    recurrent = getattr(neuron, "recurrent", None)
    if recurrent is not None and not isinstance(recurrent, nn.Linear):
        values.append(recurrent.V)
    return values


def _why_not_these_values(neuron: snn.SpikingNeuron, cur: torch.Tensor, state: State | None) -> str:
    for v in _values(neuron):
        if v.dim() == 0:
            continue
        if not _fits(v.shape, cur.shape[1:]):
            return "a parameter that makes a step larger"
        if torch.result_type(v, cur) != cur.dtype:
            return "a parameter of another type"
    same = all(s.dtype == cur.dtype for s in state or () if s.is_floating_point())
    return "" if same else "a state of another type"


def is_hooked(m: nn.Module) -> bool:
    """True if somebody listens at this module: then it has to be called."""
    return bool(
        m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks
    )


def _fits(shape: torch.Size, step: torch.Size) -> bool:
    """True if a parameter of this shape broadcasts to one step without making it larger."""
    return len(shape) <= len(step) and all(
        a in (1, b) for a, b in zip(reversed(shape), reversed(step), strict=False)
    )


_ASKED: dict[int, tuple[torch.Tensor, int, bool]] = {}


def is_one(factor: torch.Tensor) -> bool:
    """Whether a factor is fixed at 1; asked once a tensor, for on a GPU each question waits for the device."""
    if factor.requires_grad or factor.numel() != 1:
        return False
    if factor.device.type == "cpu":
        return factor.item() == 1
    found = _ASKED.get(id(factor))
    if found is None or found[0] is not factor or found[1] != factor._version:
        if len(_ASKED) > 1000:  # the tensors in it are kept alive
            _ASKED.clear()
        found = _ASKED[id(factor)] = (factor, factor._version, factor.item() == 1)
    return found[2]
