"""06d  Broken on purpose: a synapse that passes the usual test. Model solution"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def run_synapse(
    x: Tensor, tau_syn: float, tau_mem: float, dt: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """A neuron with a synaptic current over ``x (T, B)``: ``spk_rec, syn_rec, mem_rec``."""
    alpha = math.exp(-dt / tau_syn)  # the current fades with the synapse's time constant
    beta = math.exp(-dt / tau_mem)
    syn = torch.zeros_like(x[0])
    mem = torch.zeros_like(x[0])
    spk = torch.zeros_like(x[0])
    spk_rec, syn_rec, mem_rec = [], [], []
    for x_t in x:
        syn = alpha * syn + x_t
        mem = beta * mem + syn - spk * 1.0  # the membrane pays, the current flows on
        spk = (mem > 1.0).float()
        spk_rec.append(spk)
        syn_rec.append(syn)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(syn_rec), torch.stack(mem_rec)
