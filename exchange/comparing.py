"""Two simulators of one network, spike by spike."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from typing import Any

from common.cost import calls
from exchange.fields import DT, Reading
from exchange.graphs import NEURONS, make_plan, one_step, silence
from exchange.layers import module_of

import nir
import snntorch as snn
import torch
from torch import nn

__all__ = ["DT", "compare", "quietly", "run_graph", "spikes_of"]


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


def spikes_of(net: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Spikes ``(T, B, …)`` of every spiking layer of a network or an imported graph, stepped from rest."""
    records: dict[str, list[torch.Tensor]] = {}
    for name, layer, _, out in calls(net, x):
        if isinstance(layer, snn.SpikingNeuron):
            records.setdefault(name, []).append(out)
    return [torch.stack(record) for record in records.values()]


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


@torch.no_grad()
def run_graph(
    graph: nir.NIRGraph,
    x: torch.Tensor,
    neuron: Callable[[str, Any, torch.Tensor], torch.Tensor],
    loop_delay: int = 0,
    empty_loops: bool = False,
) -> list[torch.Tensor]:
    """Walk a graph through ``x (T, B, …)``: ``neuron(name, node, cur)`` advances a layer by a step and returns spikes.

    The way to write another reading of NIR's equations: the graph, its weights and its loops are taken care of here. A
    connection back carries what was sent ``1 + loop_delay`` steps ago. At the start it carries what its node makes of
    silence, which is the bias of its weights, or with ``empty_loops`` nothing at all.

    Returns:
        The spikes ``(T, B, …)`` of each neuron node, from the input to the output.
    """
    plan = make_plan(graph)
    layers: dict[str, nn.Module] = {}
    for name in plan.order:
        if not isinstance(plan.nodes[name], NEURONS):
            layers[name] = module_of(name, plan.nodes[name], Reading()).to(x.dtype)
    records: dict[str, list[torch.Tensor]] = {n: [] for n in plan.order if n not in layers}
    past: list[dict[str, torch.Tensor]] = []

    def apply(name: str, value: torch.Tensor) -> torch.Tensor:
        if name in layers:
            return layers[name](value)
        return neuron(name, plan.nodes[name], value)

    for x_t in x:

        def before(name: str, x_t: torch.Tensor = x_t) -> torch.Tensor:
            if len(past) > loop_delay:
                return past[-1 - loop_delay][name]
            quiet = silence(plan, name, apply, x_t)
            return torch.zeros_like(quiet) if empty_loops else quiet

        out = one_step(plan, x_t, apply, before)
        for name, record in records.items():
            record.append(out[name])
        past.append(out)
        del past[: -1 - loop_delay]
    return [torch.stack(record) for record in records.values()]
