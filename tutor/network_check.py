"""The network check: lesson 03's reading of a raster, done for every layer of a network on one small batch.

A network that does not learn prints a loss like any other. What is wrong stands in four places that a loss
does not show: the spikes of each layer, its gradient, the slope of its surrogate, and the state at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from common.spiking import reset_state, spiking_layers

import snntorch as snn
import torch
import torch.nn.functional as F
from torch import nn

FULL_RATE = 0.9
"""A neuron that fires in more than this share of all steps is saturated: its rate has no room left to say more."""
DEAD = 0.9
"""Share of a layer's neurons that fire for no sample of the batch, from which the layer counts as silent."""
SATURATED = 0.3
"""Share of saturated neurons from which the layer counts as saturated."""
VANISHING, EXPLODING = 1e-2, 1e3
"""Gradient norm of a layer's weights as a multiple of the last layer's, below and above which learning fails."""
GATE = 0.03
"""Surrogate derivative at the membranes met, as a share of its peak, below which a lost gradient is its fault."""
STALE = 1e-4
"""Relative change of the output when the same batch is shown twice, above which state was left over."""


@dataclass(frozen=True)
class Layer:
    """One spiking layer on one batch. Rates are spikes per neuron and step; all shares are 0..1."""

    name: str
    rate: float
    dead: float
    """share of neurons that fire for no sample"""
    saturated: float
    """share of neurons that fire in more than 90 % of all steps"""
    gate: float
    """mean of σ'(U − θ) over neurons, samples and steps, as a share of σ'(0)"""
    gradient: float | None
    """‖∂L/∂W‖ of the weights that feed the layer; None if no weights do"""
    finite: bool = True
    """no potential was infinite or not a number"""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, what it is called, why it happens and what to do."""

    where: str
    problem: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}. Cause: {self.cause}. Remedy: {self.remedy}."


@dataclass(frozen=True)
class Diagnosis:
    """What ``diagnose`` saw. ``stale`` is the relative change of the output when the batch is shown again."""

    layers: tuple[Layer, ...]
    stale: float
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        return not self.findings

    @property
    def problems(self) -> tuple[str, ...]:
        """The names of what is wrong, the first cause first."""
        return tuple(f.problem for f in self.findings)

    def lines(self) -> list[str]:
        """One line a finding; empty for a healthy network."""
        return [str(f) for f in self.findings]


def diagnose(
    net: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    loss_fn: Callable[[Any, torch.Tensor], torch.Tensor] | None = None,
) -> Diagnosis:
    """Run ``net`` on one batch, look into every layer, and name what would keep it from learning.

    Parameters, ``.grad``, hidden states, the training mode and the random numbers are as before when it returns.
    A layer is a ``snn.SpikingNeuron`` that ``net.run`` calls or unrolls; neurons of your own are not seen.

    Args:
        net: has ``run(x)``; BatchNorm and dropout are used in evaluation mode.
        x: input ``(T, B, …)``; 16 to 64 samples are enough.
        y: labels ``(B,)``. Without them classes are handed out in turn: enough to see whether gradients arrive.
        loss_fn: ``loss_fn(net.run(x), y)``; cross entropy of the last output averaged over time by default.
    """
    was_training, neurons = net.training, spiking_layers(net)
    kept = {name: _state(neuron) for name, neuron in neurons.items()}
    devices = [x.device] if x.device.type == "cuda" else []
    net.eval()
    try:
        with torch.random.fork_rng(devices):
            rng = torch.get_rng_state()
            reset_state(net)
            with torch.no_grad():
                first = _flat(net.run(x))
                torch.set_rng_state(rng)
                second = _flat(net.run(x))
            reset_state(net)
            with torch.no_grad(), _watch(net, neurons) as seen:
                net.run(x)
            reset_state(net)
            torch.set_rng_state(rng)
            with (
                torch.enable_grad()
            ):  # without hooks, so that the gradient takes the way it takes in training
                out = net.run(x)
                last = out[-1] if isinstance(out, (tuple, list)) else out  # (T, B, K)
                if y is None:
                    y = torch.arange(x.shape[1], device=last.device) % last.shape[-1]
                loss = loss_fn(out, y) if loss_fn else F.cross_entropy(last.mean(0), y)
                layers, reads_spikes = _measure(seen, out, loss.sum())
    finally:
        for name, neuron in neurons.items():
            for part, value in kept[name].items():
                setattr(neuron, part, value)
        net.train(was_training)
    change = (second - first).norm() / first.norm().clamp(min=1e-12)
    stale = (
        change.item() if bool(torch.isfinite(change)) else 0.0
    )  # not finite: a finding of its own
    return Diagnosis(layers, stale, tuple(_findings(layers, stale, reads_spikes)))


def complaints(
    net: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    loss_fn: Callable[[Any, torch.Tensor], torch.Tensor],
) -> list[str]:
    """What is wrong with a network in training, a line each; nothing if all is well. For ``fit(check=…)``."""
    return diagnose(net, x, y, loss_fn).lines()


# ---------------------------------------------------------------------------- looking


class _Seen:
    """What the hooks collect while the network runs, by layer in the order of the first call."""

    def __init__(self) -> None:
        self.weights: dict[str, list[nn.Parameter]] = {}
        self.waiting: list[nn.Parameter] = []
        self.counts: dict[str, torch.Tensor] = {}
        self.trials: dict[str, int] = {}  # steps × samples
        self.gates: dict[str, list[float]] = {}
        self.finite: dict[str, bool] = {}


@contextmanager
def _watch(net: nn.Module, neurons: dict[str, snn.SpikingNeuron]) -> Iterator[_Seen]:
    """Hooks on all layers. A hooked neuron is stepped by ``unroll``, so each of its steps passes by here."""
    seen, handles = _Seen(), []

    def weights(module: nn.Module, args: Any, out: Any) -> None:
        seen.waiting += [
            p
            for p in module.parameters(recurse=False)
            if p.dim() > 1 and p.requires_grad and not any(p is q for q in seen.waiting)
        ]

    def neuron(name: str) -> Callable[..., None]:
        def hook(module: snn.SpikingNeuron, args: Any, out: Any) -> None:
            spk = out[0] if isinstance(out, (tuple, list)) else out  # (B, …)
            mem = out[-1] if isinstance(out, (tuple, list)) else getattr(module, "mem", None)
            if name not in seen.counts:
                seen.counts[name] = torch.zeros(spk.shape[1:], device=spk.device)
                seen.trials[name], seen.gates[name], seen.finite[name] = 0, [], True
                seen.weights[name], seen.waiting = seen.waiting, []
            seen.counts[name] += (spk != 0).sum(0)
            seen.trials[name] += len(spk)
            if isinstance(mem, torch.Tensor):
                seen.gates[name].append(_gate(module, mem))
                seen.finite[name] &= bool(torch.isfinite(mem).all())

        return hook

    names = {id(m): name for name, m in neurons.items()}
    for m in net.modules():
        if id(m) in names:
            handles.append(m.register_forward_hook(neuron(names[id(m)])))
        elif any(True for _ in m.parameters(recurse=False)):
            handles.append(m.register_forward_hook(weights))
    try:
        yield seen
    finally:
        for h in handles:
            h.remove()


@torch.enable_grad()
def _gate(neuron: snn.SpikingNeuron, mem: torch.Tensor) -> float:
    """Mean σ'(U − θ) as a share of σ'(0): how wide the surrogate's window stands open at these potentials."""
    distance = (mem - neuron.threshold.detach()).flatten()
    distance = torch.cat(
        [distance.new_zeros(1), distance]
    ).requires_grad_()  # its first entry is the peak
    spk = neuron.spike_grad(distance)
    if not spk.requires_grad:  # the true derivative: no gradient at all
        return 0.0
    (slope,) = torch.autograd.grad(spk.sum(), distance)
    slope = slope.nan_to_num(
        0, 0, 0
    ).abs()  # snnTorch's sigmoid overflows far from θ, where it means zero
    return (slope[1:].mean() / slope[0]).item() if slope[0] else 0.0


def _measure(seen: _Seen, out: Any, loss: torch.Tensor) -> tuple[tuple[Layer, ...], bool]:
    """The layers in the order they run, and whether the loss looks at output spikes or only at the membrane."""
    wanted = [p for weights in seen.weights.values() for p in weights]
    first = out
    while isinstance(first, (tuple, list)):
        first = first[0]
    outputs = [first] if first.requires_grad else []
    grads = (
        torch.autograd.grad(loss, [*wanted, *outputs], allow_unused=True)
        if loss.requires_grad
        else [None] * len([*wanted, *outputs])
    )
    of = {id(p): 0.0 if g is None else g.norm().item() for p, g in zip(wanted, grads, strict=False)}
    layers = []
    for name, count in seen.counts.items():
        share = count / max(1, seen.trials[name])  # of steps and samples
        norms, gates = [of[id(p)] for p in seen.weights[name]], seen.gates[name]
        layers.append(
            Layer(
                name,
                share.mean().item(),
                (share == 0).float().mean().item(),
                (share > FULL_RATE).float().mean().item(),
                sum(gates) / len(gates) if gates else 1.0,
                sum(g * g for g in norms) ** 0.5 if norms else None,
                seen.finite[name],
            )
        )
    binary = bool(((first == 0) | (first == 1)).all())
    return tuple(layers), binary and (not outputs or grads[-1] is not None)


def _state(neuron: snn.SpikingNeuron) -> dict[str, torch.Tensor]:
    parts = ("mem", "syn", "spk", "syn_exc", "syn_inh", "reset")
    return {
        p: getattr(neuron, p) for p in parts if isinstance(getattr(neuron, p, None), torch.Tensor)
    }


def _flat(out: Any) -> torch.Tensor:
    """All tensors that a network returned, as one vector."""
    if isinstance(out, torch.Tensor):
        return out.detach().float().flatten()
    parts = out.values() if isinstance(out, dict) else out if isinstance(out, (tuple, list)) else ()
    return torch.cat([torch.zeros(0), *(_flat(o).cpu() for o in parts)])


# ---------------------------------------------------------------------------- naming


def _findings(layers: tuple[Layer, ...], stale: float, reads_spikes: bool) -> Iterator[Finding]:
    """From numbers to names. Only first causes: what follows from another finding is not named again."""
    if stale > STALE:
        yield Finding(
            "all layers",
            "state left over from the batch before",
            f"the same batch shown twice changes the output by {100 * stale:.3g} %: a run does not start "
            "from rest",
            "begin run with reset_state(self) of common.spiking, or use unroll, which starts from rest",
        )
    for layer in layers:
        if not layer.finite:
            yield Finding(
                layer.name,
                "potentials that are no finite numbers",
                "the weights have grown without bound",
                "divide the learning rate by ten; clip gradients",
            )
            return
    silent = [la for la in layers if la.dead >= DEAD and (la is not layers[-1] or reads_spikes)]
    if silent:
        first = silent[0]
        also = f" ({', '.join(la.name for la in silent[1:])} too)" if silent[1:] else ""
        yield Finding(
            first.name,
            "silence",
            f"{100 * first.dead:.0f} % of its neurons fire for no sample{also}: the current that its weights "
            "deliver never brings U to the threshold",
            "scale the weights or the input up, lower the threshold, or raise beta; see whether a weight "
            "matrix is zero",
        )
    full = [la for la in layers if la.saturated >= SATURATED]
    if full:
        yield Finding(
            full[0].name,
            "saturation",
            f"{100 * full[0].saturated:.0f} % of its neurons fire in more than {100 * FULL_RATE:.0f} % of "
            "all steps: the current exceeds what a spike a step can take away",
            "scale the weights or the input down, raise the threshold, or normalise the current",
        )
    if silent or full:
        return  # gradients are small for that reason
    with_weights = [la for la in layers if la.gradient is not None]
    if not with_weights:
        return
    last = with_weights[-1].gradient or 0.0
    largest = max(with_weights, key=lambda la: la.gradient)
    faint = [la for la in with_weights if la.gradient < VANISHING * last or la.gradient == 0]
    if not all(la.gradient < float("inf") for la in with_weights):  # NaN compares false
        bad = next(la for la in with_weights if not la.gradient < float("inf"))
        yield Finding(
            bad.name,
            "gradient that is no finite number",
            "the loss or a surrogate has overflowed",
            "divide the learning rate by ten; clip gradients",
        )
    elif faint:
        small = faint[0]
        # The surrogates on the error's way. If the loss reads potentials, the last layer's is not.
        way = [la for la in layers[layers.index(small) :] if reads_spikes or la is not layers[-1]]
        shut = min(way or layers, key=lambda la: la.gate)
        size = f"‖∂L/∂W‖ is {small.gradient:.2g} here, {last:.2g} in the last layer"
        if shut.gate < GATE:
            yield Finding(
                small.name,
                "vanishing gradient",
                f"{size}; at {shut.name} the surrogate is, at the potentials met, {100 * shut.gate:.2g} % of "
                "its peak on average: too steep, so hardly a neuron passes an error on",
                "take a flatter surrogate (ATan with alpha 2, or a slope ten times smaller: lesson 07)",
            )
        elif small.gradient == 0:
            yield Finding(
                small.name,
                "vanishing gradient",
                f"{size}: nothing connects its weights with the loss",
                "look for a detach(), a no_grad() or a rounding between this layer and the next",
            )
        else:
            yield Finding(
                small.name,
                "vanishing gradient",
                f"{size}: it shrinks from layer to layer",
                "add residual connections (lesson 10), normalise the currents, or use fewer layers",
            )
    elif largest.gradient > EXPLODING * last:
        yield Finding(
            largest.name,
            "exploding gradient",
            f"‖∂L/∂W‖ is {largest.gradient:.2g} here, {last:.2g} in the last layer: each layer magnifies it",
            "take a surrogate with a lower peak (lesson 07), scale the weights down, or clip gradients",
        )
