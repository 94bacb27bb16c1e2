"""NIR's neurons read: their time constants, gains and potentials worked out for steps of dt, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.io import UserError
from exchange import neurons
from exchange.fields import ROUNDING, Reading, numbers
from exchange.graphs import kind

import nir
import numpy as np
import snntorch as snn
import torch
from torch import nn


def tensor(array: np.ndarray) -> torch.Tensor:
    """32-bit, as snnTorch computes."""
    return torch.from_numpy(np.asarray(array, np.float32))


def kept(name: str, node: nir.NIRNode, tau_field: str, reading: Reading) -> np.ndarray:
    """The share dt/τ that a step takes from a membrane or a current; what is left is 1 − dt/τ."""
    tau = numbers(name, node, tau_field)
    if (tau < reading.dt * (1 - 1e-6)).any():
        raise UserError(
            f"node {name} ({kind(node)}): got {tau_field} = {tau.min():g} s, less than a step of {reading.dt:g} s: "
            "Euler's 1 − dt/τ would be negative; read it with a shorter dt"
        )
    return np.minimum(reading.dt / tau, 1.0)


def near_one(gain: np.ndarray) -> np.ndarray:
    """The gain with the rounding of 32-bit parameters taken out."""
    return np.where(np.abs(gain - 1) <= ROUNDING, 1.0, gain)


def rest_of(name: str, node: nir.NIRNode, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """v_leak, and v before the first step."""
    v_leak = numbers(name, node, "v_leak")
    if not v_leak.any():
        return v_leak, v_leak
    if reading.start not in ("rest", "zero"):
        raise UserError(
            f"node {name} ({kind(node)}): got v_leak = {v_leak.ravel()[np.abs(v_leak).argmax()]:g}; NIR does not say "
            'where such a membrane starts, so say it: start="rest" (v = v_leak) or start="zero"'
        )
    return v_leak, v_leak if reading.start == "rest" else np.zeros_like(v_leak)


def integrator_gain(name: str, node: nir.IF | nir.I, reading: Reading) -> np.ndarray:
    """What a step adds to v for a current of 1: R times the length of a step.

    Files in circulation count R in two units. R = 1 is written where a step adds I, R = 1/dt where NIR's v̇ = R·I is
    taken at its word; both mean a gain of 1. Any other R means different things to different readers.
    """
    r = numbers(name, node, "r")
    if reading.if_step is not None:
        return near_one(r * reading.if_step)
    if (np.abs(r - 1) <= ROUNDING).all() or (np.abs(r * reading.dt - 1) <= ROUNDING).all():
        return np.ones_like(r)
    raise UserError(
        f"node {name} ({kind(node)}): got R = {r.min():g} to {r.max():g}; readers disagree whether a step adds R·I "
        f"or dt·R·I, so say it: if_step=1 or if_step={reading.dt:g}"
    )


def same_shape(name: str, node: nir.NIRNode, *arrays: np.ndarray) -> tuple[int, ...]:
    """The shape of a layer, which all its parameters share."""
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise UserError(
            f"node {name} ({kind(node)}): its parameters have the shapes {sorted(shapes)}"
        )
    return shapes.pop()


def spiking(
    name: str,
    node: nir.NIRNode,
    share: np.ndarray,
    gain: np.ndarray,
    v_leak: np.ndarray,
    start: np.ndarray,
    synapse: tuple[np.ndarray, np.ndarray] | None = None,
) -> nn.Module:
    """A neuron with a threshold: snnTorch's own where it computes just this, else one with every parameter.

    ``share`` is dt/τ of the membrane; ``synapse`` is (dt/τ_syn, its gain) or nothing.
    """
    theta = numbers(name, node, "v_threshold")
    v_reset = numbers(name, node, "v_reset")
    same_shape(name, node, share, gain, v_leak, theta, v_reset, *(synapse or ()))
    unit = [gain] if synapse is None else [gain, synapse[1]]
    plain = all((g == 1).all() for g in unit) and not v_leak.any() and not v_reset.any()
    beta, threshold = tensor(1 - share), tensor(theta)
    if plain and (theta >= 0).all():
        options = {"threshold": threshold, "init_hidden": True, "reset_mechanism": "zero"}
        if synapse is None:
            return snn.Leaky(beta=beta, **options)
        # a late reset to zero would take the next step's current with it
        return snn.Synaptic(alpha=tensor(1 - synapse[0]), beta=beta, reset_delay=False, **options)
    rest = (tensor(gain), tensor(share * v_leak), threshold, tensor(v_reset), tensor(start))
    if synapse is None:
        return neurons.LIF(beta, *rest)
    return neurons.CubaLIF(tensor(1 - synapse[0]), tensor(synapse[1]), beta, *rest)


def lif(name: str, node: nir.LIF, reading: Reading) -> nn.Module:
    """τ·dv/dt = (v_leak − v) + R·I, with threshold and reset."""
    share = kept(name, node, "tau", reading)
    gain = near_one(share * numbers(name, node, "r"))
    return spiking(name, node, share, gain, *rest_of(name, node, reading))


def integrate_and_fire(name: str, node: nir.IF, reading: Reading) -> nn.Module:
    """dv/dt = R·I, with threshold and reset: nothing leaks, β = 1."""
    gain = integrator_gain(name, node, reading)
    nothing = np.zeros_like(gain)
    return spiking(name, node, nothing, gain, nothing, nothing)


def synapse_of(name: str, node: nir.CubaLIF | nir.CubaLI, reading: Reading) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """τ_syn·di/dt = −i + w_in·S: the share dt/τ_syn that a step takes, and the gain (dt/τ_syn)·w_in."""
    share = kept(name, node, "tau_syn", reading)
    return share, near_one(share * numbers(name, node, "w_in"))


def cuba_lif(name: str, node: nir.CubaLIF, reading: Reading) -> nn.Module:
    """A synaptic current in front of a LIF."""
    share = kept(name, node, "tau_mem", reading)
    gain = near_one(share * numbers(name, node, "r"))
    v_leak, start = rest_of(name, node, reading)
    return spiking(name, node, share, gain, v_leak, start, synapse_of(name, node, reading))


def leaky_integrator(name: str, node: nir.LI | nir.CubaLI, reading: Reading) -> neurons.LI:
    """A membrane without threshold, with a synaptic current in front (CubaLI) or none (LI)."""
    share = kept(name, node, "tau" if isinstance(node, nir.LI) else "tau_mem", reading)
    gain = near_one(share * numbers(name, node, "r"))
    v_leak, start = rest_of(name, node, reading)
    synapse = () if isinstance(node, nir.LI) else synapse_of(name, node, reading)
    same_shape(name, node, share, gain, v_leak, *synapse)
    membrane = (tensor(1 - share), tensor(gain), tensor(share * v_leak), tensor(start))
    if not synapse:
        return neurons.LI(*membrane)
    return neurons.LI(*membrane, tensor(1 - synapse[0]), tensor(synapse[1]))


def integrator(name: str, node: nir.I, reading: Reading) -> neurons.LI:
    """dv/dt = R·I, without threshold."""
    gain = integrator_gain(name, node, reading)
    nothing = tensor(np.zeros_like(gain))
    return neurons.LI(torch.ones_like(nothing), tensor(gain), nothing, nothing)


MEMBRANES: dict[type, Callable[[str, Any, Reading], nn.Module]] = {
    nir.LIF: lif,
    nir.IF: integrate_and_fire,
    nir.CubaLIF: cuba_lif,
    nir.LI: leaky_integrator,
    nir.CubaLI: leaky_integrator,
    nir.I: integrator,
}
