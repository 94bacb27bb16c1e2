"""BatchNorm and a layer of ``Leaky`` neurons over a whole sequence as one autograd function.

With x[t] the convolution's output, and μ, v its mean and variance over time, batch and places, a channel each (in
eval mode the running ones), forward is

    I[t] = γ·(x[t] − μ)/√(v + ε) + b = a·x[t] + c              a = γ/√(v + ε),  c = b − a·μ
    U[t] = β·U[t−1] + I[t] − θ·S[t−1],  S[t] = H(U[t] − θ)

Nothing of this is kept but x and a few numbers a channel: backward makes U once more, row by row in the cache, and
goes from the last step to the first. With x̂ = (x − μ)/√(v + ε), and ⟨·⟩ a mean over time, batch and places,

    δ[t]  = σ'(U[t] − θ)·∂L/∂S[t] + β·δ[t+1]                   the reset is detached, as in snnTorch
    ∂L/∂γ = Σ δ·x̂,   ∂L/∂b = Σ δ
    ∂L/∂x = a·(δ − ⟨δ⟩ − x̂·⟨δ·x̂⟩)                             in eval mode a·δ

x is float32 or bfloat16. Sums, membranes and norms are float32 in either case, and S has the type of x. A current
that is the same at every step (``hold``) is kept once, and δ is summed over time. The loops want channels last:
then a row, which is one place of one image, has all its channels next to each other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from common.spiking import hold, over_time
from multistep import compiled
from multistep.engine import unroll
from multistep.plan import is_hooked, is_one
from multistep.surrogates import Surrogate, recognise
from multistep.threads import each

import numpy as np
import snntorch as snn
import torch
from torch import nn
from torch.autograd.function import once_differentiable

PARTS = 8
"""into which the rows are cut, whatever the number of threads: so the sums do not depend on it"""

WIDTH = 256
"""numbers up to which short rows are joined"""


def unroll_normalised(norm: nn.BatchNorm2d, neuron: snn.Leaky, cur: torch.Tensor) -> torch.Tensor:
    """The spikes of ``neuron`` for a current that ``norm`` normalises over time, batch and places, from rest.

    The same numbers as ``unroll(neuron, over_time(norm, cur))[0]``, but for the last bits of the sums; what the
    compiled loops do not know (a GPU, float64, a learnt β or θ, another surrogate or reset) goes that way.

    Args:
        norm: with its running statistics, which training moves as ``nn.BatchNorm2d`` does.
        neuron: ``snn.Leaky``; its hidden state is neither used nor changed.
        cur: ``(T, B, C, H, W)``, float32 or bfloat16, channels last if it is to be fast; held or not.

    Returns:
        Spikes ``(T, B, C, H, W)`` of the type of ``cur``, channels last.
    """
    surrogate = _fast(norm, neuron, cur)
    held = hasattr(cur, "held")
    if surrogate is None:
        plain = hold(cur.held.float(), len(cur)) if held else cur
        plain = plain.float() if plain.dtype == torch.bfloat16 else plain
        return unroll(neuron, over_time(norm, plain))[0].to(cur.dtype)
    x = cur.held[None] if held else cur
    rows = x.permute(0, 1, 3, 4, 2)  # (T or 1, B, H, W, C): a view if channels are last
    how = (surrogate, float(neuron.beta.clamp(0, 1)), float(neuron.threshold), len(cur))
    spk = _Normalised.apply(rows.flatten(1, 3), norm.weight, norm.bias, norm, *how)  # (T, M, C)
    return spk.view(len(cur), *rows.shape[1:]).permute(0, 1, 4, 2, 3)


def fast_number(device: torch.device) -> torch.dtype:
    """The type in which this device convolves fastest: bfloat16 if it has arithmetic for that, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    bfloat16 = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if bfloat16 else torch.float32


def is_fused(norm: nn.BatchNorm2d, neuron: snn.Leaky, cur: torch.Tensor) -> bool:
    """Whether ``unroll_normalised`` takes the compiled loops here, which keep least for backward."""
    return _fast(norm, neuron, cur) is not None


def _fast(norm: nn.BatchNorm2d, neuron: snn.Leaky, cur: torch.Tensor) -> Surrogate | None:
    """The surrogate, if the compiled loops know all that is asked for; otherwise None."""
    known = (
        type(norm) is nn.BatchNorm2d
        and type(neuron) is snn.Leaky
        and cur.device.type == "cpu"
        and cur.dtype in (torch.float32, torch.bfloat16)
        and cur.numel() > 0
        and norm.weight is not None
        and norm.weight.dtype == torch.float32
        and norm.momentum is not None
        and norm.track_running_stats
        and getattr(neuron.state_function, "__func__", None) is snn.Leaky._base_sub
        and neuron.beta.numel() == neuron.threshold.numel() == 1
        and not (neuron.beta.requires_grad or neuron.threshold.requires_grad)
        and not (neuron.inhibition or neuron.state_quant)
        and neuron.reset_delay
        and is_one(neuron.graded_spikes_factor)
        and not (is_hooked(norm) or is_hooked(neuron))
        and not torch.is_autocast_enabled("cpu")
    )
    if not known or _loops() is None:
        return None
    surrogate = recognise(neuron.spike_grad, torch.float32)
    return surrogate if surrogate is not None and surrogate.kind in (0, 1) else None


@lru_cache(maxsize=1)
def _loops() -> Any:
    """``multistep.normalised_loops``, or None where the other compiled loops are not used either."""
    if compiled.loops() is None:
        return None
    from multistep import normalised_loops

    return normalised_loops


def _array(x: torch.Tensor) -> Any:
    """As NumPy sees it; bfloat16, which it does not know, as 16-bit integers."""
    x = x.detach()
    return (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()


def _parts(rows: int) -> list[slice]:
    size = -(-rows // PARTS)
    return [slice(i, min(i + size, rows)) for i in range(0, rows, size)]


def _joined(places: int, channels: int) -> int:
    """How many rows of few channels are taken as one, since a loop over a short row is mostly overhead."""
    k = 1
    while 2 * k * channels <= WIDTH and places % (2 * k) == 0:
        k *= 2
    return k


def _sums(rows: int, k: int, channels: int, work: Any) -> torch.Tensor:
    """Two sums a channel over all rows, ``(2, C)`` in double precision; ``work(part, s, q)`` adds those of a part.

    A row is ``k`` places with ``channels`` each.
    """

    def one(part: slice) -> torch.Tensor:
        both = torch.zeros(2, k * channels, dtype=torch.float64)
        work(part, *both.numpy())
        return both

    return torch.stack(each(_parts(rows), one)).sum(0).view(2, k, channels).sum(1)


class _Normalised(torch.autograd.Function):
    """``x (T or 1, M, C)`` → spikes ``(T, M, C)``."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        norm: nn.BatchNorm2d,
        surrogate: Any,
        beta: float,
        theta: float,
        num_steps: int,
    ) -> torch.Tensor:
        loops = _loops()
        x = x.contiguous()
        steps, places, channels = x.shape
        k = _joined(places, channels)
        rows = places // k
        ctx.training = norm.training
        if norm.training:
            mean, var = _moments(x, k)
            with torch.no_grad():
                n = steps * places
                unbiased = var * n / max(n - 1, 1)
                norm.num_batches_tracked += 1
                norm.running_mean.lerp_(mean.float(), norm.momentum)
                norm.running_var.lerp_(unbiased.float(), norm.momentum)
        else:
            mean, var = norm.running_mean.double(), norm.running_var.double()
        inverse = (var + norm.eps).rsqrt()
        a = weight.double() * inverse
        c = bias.double() - a * mean
        a, c, mean, inverse = a.float(), c.float(), mean.float(), inverse.float()
        spk = x.new_empty((num_steps, places, channels))
        one = np.uint16(0x3F80) if x.dtype == torch.bfloat16 else np.float32(1)
        ctx.numbers = np.float32(beta), np.float32(theta)
        ins = [_array(v) for v in (x.view(steps, rows, -1), a.repeat(k), c.repeat(k))]
        out = _array(spk.view(num_steps, rows, -1))
        each(
            _parts(rows),
            lambda part: loops.forward(*ins, *ctx.numbers, one, out, part.start, part.stop),
        )
        ctx.save_for_backward(x, mean, inverse, a, c)
        ctx.surrogate = surrogate
        return spk

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        loops = _loops()
        x, mean, inverse, a, c = ctx.saved_tensors
        steps, places, channels = x.shape
        k = _joined(places, channels)
        rows = places // k
        s, d = ctx.surrogate, torch.empty_like(x)
        how = (*ctx.numbers, s.kind, np.float32(s.shift), np.float32(s.factor))
        g = g.contiguous().view(len(g), rows, -1)
        per_channel = [_array(v.repeat(k)) for v in (mean, inverse, a, c)]
        ins = [_array(g), _array(x.view(steps, rows, -1)), *per_channel]
        out = _array(d.view(steps, rows, -1))

        def recursion(part: slice, s: Any, q: Any) -> None:
            loops.backward(*ins, *how, out, part.start, part.stop, s, q)

        total, along = _sums(rows, k, channels, recursion)
        if not ctx.needs_input_grad[0]:
            return None, along.float(), total.float(), *[None] * 5
        n = steps * places if ctx.training else float("inf")  # fixed statistics pull nothing back
        p, q = a.double(), -a.double() * inverse.double() * along / n
        r = -p * total / n - q * mean.double()
        both = [_array(v.view(steps * rows, -1)) for v in (d, x)]
        line = [_array(v.float().repeat(k)) for v in (p, q, r)]
        each(
            _parts(steps * rows),
            lambda part: loops.centre(*both, *line, part.start, part.stop),
        )
        return d, along.float(), total.float(), *[None] * 5


def _moments(x: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of ``x (T, M, C)`` a channel, by sums around the first row: there squares cancel less."""
    loops, (steps, places, channels) = _loops(), x.shape
    origin = x[0, 0].float()
    rows, start = _array(x.view(steps * places // k, -1)), _array(origin.repeat(k))

    def add(part: slice, s: Any, q: Any) -> None:
        loops.moments(rows, start, part.start, part.stop, s, q)

    s, q = _sums(len(rows), k, channels, add) / (steps * places)
    return s + origin, (q - s**2).clamp(min=0)
