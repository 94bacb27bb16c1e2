"""Stepping a neuron through a sequence, as a lesson's loop does: what every faster path has to equal."""

from __future__ import annotations

import snntorch as snn
import torch

State = tuple[torch.Tensor, ...]
Unrolled = tuple[torch.Tensor, torch.Tensor | None, State]
"""``spk_rec (T, B, …)``, ``mem_rec (T, B, …)`` or None, and the state after the last step"""

PARTS = ("spk", "syn_exc", "syn_inh", "syn", "mem")
"""What the state of a neuron can consist of, in snnTorch's order."""


def step_through(
    neuron: snn.SpikingNeuron,
    cur: torch.Tensor,
    state: State | None = None,
    *,
    record_mem: bool = False,
) -> Unrolled:
    """What ``unroll`` computes, by stepping the module: the reference, and the way for every other neuron."""
    names = [n for n in PARTS if isinstance(getattr(neuron, n, None), torch.Tensor)]
    before = {n: getattr(neuron, n) for n in names}
    init_hidden, neuron.init_hidden = neuron.init_hidden, False
    try:
        neuron.reset_mem()
        for n, value in zip(names, state or (), strict=False):
            setattr(neuron, n, value)
        spk_rec, mem_rec = [], []
        for cur_t in cur:  # (B, …)
            out = neuron(cur_t)
            spk_rec.append(out[0])
            if record_mem:
                mem_rec.append(out[-1])
        after = tuple(getattr(neuron, n) for n in names)
    finally:
        neuron.init_hidden = init_hidden
        for n, value in before.items():
            setattr(neuron, n, value)
    return torch.stack(spk_rec), torch.stack(mem_rec) if record_mem else None, after
