"""BatchNorm and ``Leaky`` over a whole sequence on a GPU, by the kernels of ``gpu_normalised_kernels.py``.

The equations are those of ``normalised.py``. Half types need no detour through float32 here: x and the spikes may be
bfloat16, and sums, membranes and norms are float32 in registers. Nothing asks the device for a number, so that a whole
update may be captured as a CUDA graph.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from common.spiking import hold, over_time
from multistep import gpu
from multistep.engine import unroll
from multistep.gpu_normalised_function import NormAndFire, kernels
from multistep.surrogates import Surrogate, recognise

import snntorch as snn
import torch
from torch import nn

LONGEST = 8
"""more steps than these are not unrolled"""


@lru_cache(maxsize=16)
def works(device: torch.device) -> bool:
    """Whether the kernels compile on this device and give the numbers of BatchNorm and ``unroll`` there."""
    return kernels() is not None and gpu.stands(trial, device, "norm_and_fire")


def norm_and_fire(
    norm: nn.BatchNorm2d, neuron: snn.Leaky, cur: torch.Tensor, around: torch.Tensor | None = None
) -> torch.Tensor:
    """The spikes of ``neuron`` for the current that ``norm`` makes of ``cur``, from rest; plus ``around``.

    Where the kernels do not run, BatchNorm and ``unroll`` do the same one after the other, with channels last.

    Args:
        norm: affine and with running statistics, which training moves.
        neuron: ``snn.Leaky`` with fixed β and θ, reset by subtraction, and a surrogate that the kernels know.
        cur: ``(T, B, C, H, W)``, channels last; held or not.
        around: spikes that go around the layer (SEW), of the output's shape and type.

    Returns:
        Spikes, or their sums, ``(T, B, C, H, W)`` of the type of ``cur``, channels last.
    """
    held = hasattr(cur, "held")
    device = (cur.held if held else cur).device
    if device.type == "cuda" and len(cur) <= LONGEST and works(device):
        return by_kernels(norm, neuron, cur, around)
    return apart(norm, neuron, cur, around)


def by_kernels(
    norm: nn.BatchNorm2d, neuron: snn.Leaky, cur: torch.Tensor, around: torch.Tensor | None = None
) -> torch.Tensor:
    """``norm_and_fire``, without asking whether the kernels run here."""
    T, x = len(cur), cur.held[None] if hasattr(cur, "held") else cur
    rows = x.permute(0, 1, 3, 4, 2)  # (T or 1, B, H, W, C): contiguous
    flat = rows.flatten(1, 3)
    if around is not None:
        around = around.permute(0, 1, 3, 4, 2).flatten(1, 3)
    if norm.training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    values = (norm, neuron.beta, neuron.threshold, recognised(neuron), T)
    spk = NormAndFire.apply(flat, norm.weight, norm.bias, around, *values)  # (T, M, C)
    return spk.view(T, *rows.shape[1:]).permute(0, 1, 4, 2, 3)


def apart(
    norm: nn.BatchNorm2d, neuron: snn.Leaky, cur: torch.Tensor, around: torch.Tensor | None = None
) -> torch.Tensor:
    """The same by BatchNorm and ``unroll``, one after the other."""
    plain = hold(cur.held.float(), len(cur)) if hasattr(cur, "held") else cur.float()
    normed = over_time(norm, plain)
    # neurons do not know their neighbours, and so not the order of the axes
    if hasattr(normed, "held"):
        last = hold(normed.held.permute(0, 2, 3, 1), len(cur))
    else:
        last = normed.permute(0, 1, 3, 4, 2)
    spk = unroll(neuron, last)[0].permute(0, 1, 4, 2, 3).to(cur.dtype)
    return spk if around is None else spk + around


_SURROGATES: dict[int, tuple[Any, Surrogate]] = {}


def recognised(neuron: snn.Leaky) -> Surrogate:
    """The neuron's surrogate; recognised once, since that takes longer than to run a layer."""
    found = _SURROGATES.get(id(neuron.spike_grad))
    if found is None or found[0] is not neuron.spike_grad:
        if len(_SURROGATES) > 1000:
            _SURROGATES.clear()
        surrogate = recognise(neuron.spike_grad, torch.float32)
        if surrogate is None or surrogate.kind is None:
            raise ValueError("norm_and_fire: got a surrogate that the kernels do not know")
        found = _SURROGATES[id(neuron.spike_grad)] = (neuron.spike_grad, surrogate)
    return found[1]


@torch.enable_grad()
def trial(device: torch.device | str) -> str:
    """Run a small layer by the kernels and apart; what differs, or nothing.

    A current that lies within rounding of the threshold may fire in one and not in the other: one in a thousand may.
    """
    g = torch.Generator().manual_seed(0)
    for T, held, number in ((2, False, torch.bfloat16), (4, True, torch.bfloat16)):
        shape = (1 if held else T, 8, 24, 5, 5)
        x0 = torch.randn(shape, generator=g).add_(0.5).to(number).permute(0, 1, 3, 4, 2)
        x0 = x0.contiguous().permute(0, 1, 4, 2, 3).to(device)
        asked = torch.randn(T, *shape[1:], generator=g).to(device)
        around = torch.randint(0, 2, (T, *shape[1:]), generator=g).to(device, number)
        found = []
        for fused in (True, False):
            norm, neuron = nn.BatchNorm2d(24).to(device), snn.Leaky(beta=0.5).to(device)
            x = x0.clone().requires_grad_()
            cur = hold(x[0], T) if held else x
            way = by_kernels if fused else apart
            out = way(norm, neuron, cur, around)
            (out.float() * asked).sum().backward()
            found.append([out, x.grad, norm.weight.grad, norm.running_mean, norm.running_var])
        for i, (a, b) in enumerate(zip(*found, strict=True)):
            a, b = a.double(), b.double()
            apart_by = (a - b).norm() / b.norm()
            if not apart_by < (0.05 if i < 3 else 1e-3):  # NaN differs, too
                return f"T = {T}: {['spikes', 'x', 'weight', 'mean', 'variance'][i]} differ"
    return ""
