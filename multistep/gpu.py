"""Layers on an NVIDIA or AMD GPU by Triton: which ones, and how the kernels of ``gpu_kernels.py`` are called.

Triton comes with PyTorch's CUDA and ROCm wheels for Linux. Where it is missing, as on Windows, or fails its trial at
first use, or with ``SNN_TRITON=0`` in the environment, PyTorch's operations do the same (``in_place.py``).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from multistep.recursion import Layer
from multistep.recursion import backward as reference_backward
from multistep.recursion import forward as reference_forward
from multistep.surrogates import ATan, Surrogate

import torch

if TYPE_CHECKING:
    from multistep.plan import Plan

Named = dict[str, torch.Tensor | None]


def takes(cur: torch.Tensor, surrogate: Surrogate) -> bool:
    """Whether the kernels take a layer without recurrence and with a fixed α."""
    return (
        cur.device.type == "cuda"  # AMD's GPUs have this name too
        and cur.dim() > 1
        and cur.numel() > 0
        and cur.dtype == torch.float32
        and surrogate.kind is not None
        and works(cur.device)
    )


@lru_cache(maxsize=1)
def kernels() -> Any:
    """``multistep.gpu_kernels``, or None without Triton or with ``SNN_TRITON=0``."""
    if os.environ.get("SNN_TRITON") == "0":
        return None
    try:
        from multistep import gpu_kernels
    except Exception:  # not installed, or not for this PyTorch
        return None
    return gpu_kernels


@lru_cache(maxsize=16)
def works(device: torch.device) -> bool:
    """Whether the kernels compile on this device and give the numbers of ``recursion.py`` there, by trying them.

    Triton also needs a C compiler at run time. What is wrong is said in one warning, and the layer runs without it.
    """
    return kernels() is not None and stands(trial, device, "unroll")


def stands(trial: Callable[[torch.device], str], device: torch.device, who: str) -> bool:
    """Whether ``trial`` finds nothing wrong on this device; what it finds is said in one warning."""
    try:
        wrong = trial(device)
    except Exception as e:
        wrong = f"{type(e).__name__}: {e}".splitlines()[0][:200]
    if wrong:
        warnings.warn(f"{who} goes on without Triton's kernels: {wrong}", stacklevel=3)
    return not wrong


def trial(device: torch.device | str) -> str:
    """Run a small layer by the kernels and by the reference; what differs, or nothing."""
    g = torch.Generator().manual_seed(0)
    T, M = 9, 300
    cur, g_spk, g_mem = (torch.rand(T, M, generator=g).to(device) for _ in range(3))
    spk, mem, d_cur = (torch.empty_like(cur) for _ in range(3))
    beta, theta = torch.tensor(0.9, device=device), torch.tensor(0.8, device=device)
    surrogate, layer = ATan(2.0), Layer(beta, theta)
    forward_flat(cur, {}, {"beta": beta, "theta": theta}, "subtract", spk=spk, mem=mem)
    given = {"spk": g_spk, "mem": g_mem}
    backward_flat(mem, given, {}, {"beta": beta, "theta": theta}, "subtract", surrogate, cur=d_cur)
    return differs(layer, surrogate, cur, (g_spk, g_mem), (spk, mem, d_cur), 1e-4)


def differs(
    layer: Layer,
    surrogate: ATan,
    cur: torch.Tensor,
    given: tuple[torch.Tensor, torch.Tensor],
    found: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    tolerance: float,
) -> str:
    """What differs from the reference, or nothing: spikes and potentials exactly, gradients within ``tolerance``.

    ``given`` are the gradients of spikes and potentials; ``found`` is what the kernels made of them: spikes,
    potentials, and the current's gradient. All are ``(T, …)``.
    """
    spk, mem, d_cur = found
    spk2, mem2 = reference_forward(layer, cur)

    def slope(x: torch.Tensor) -> torch.Tensor:
        return surrogate.factor / (x * x + surrogate.shift)

    d_cur2 = reference_backward(layer, mem2, slope, *given)
    if not (torch.equal(spk, spk2) and torch.equal(mem, mem2)):
        return "spikes or potentials differ from the reference"
    close = torch.allclose(d_cur, d_cur2, rtol=tolerance, atol=tolerance / 10)
    return "" if close else "gradients differ from the reference"


def forward_flat(
    cur: torch.Tensor,
    start: Named,
    p: Named,
    reset: str,
    *,
    num_steps: int | None = None,
    spk: torch.Tensor | None = None,
    mem: torch.Tensor | None = None,
    mem_end: torch.Tensor | None = None,
    syn_end: torch.Tensor | None = None,
) -> None:
    """Fill what is given of the outputs; ``cur (T, M)``, or one step of it ``(M,)`` shown ``num_steps`` times."""
    M, block = cur.shape[-1], _block(cur.shape[-1])
    with torch.cuda.device_of(cur):
        kernels().forward_kernel[(-(-M // block),)](
            cur.contiguous(),
            contiguous(start.get("mem")),
            contiguous(start.get("syn")),
            p["beta"],
            p.get("alpha"),
            p["theta"],
            spk,
            mem,
            mem_end,
            syn_end,
            M,
            len(cur) if num_steps is None else num_steps,
            M if num_steps is None else 0,
            *(stride(p.get(k)) for k in ("beta", "alpha", "theta")),
            RESET=reset,
            BLOCK=block,
            AHEAD=kernels().STAGES,
            enable_fp_fusion=False,
        )


def backward_flat(
    mem: torch.Tensor,
    given: Named,
    start: Named,
    p: Named,
    reset: str,
    surrogate: Surrogate,
    *,
    cur: torch.Tensor | None = None,
    beta: torch.Tensor | None = None,
    theta: torch.Tensor | None = None,
    mem0: torch.Tensor | None = None,
    syn0: torch.Tensor | None = None,
) -> None:
    """Fill the gradients asked for, from U ``(T, M)`` and the ``given`` ones of spk, mem, mem_end and syn_end."""
    (T, M), block = mem.shape, _block(mem.shape[-1])
    with torch.cuda.device_of(mem):
        kernels().backward_kernel[(-(-M // block),)](
            *(contiguous(given.get(k)) for k in ("spk", "mem", "mem_end", "syn_end")),
            mem,
            contiguous(start.get("mem")),
            p["beta"],
            p.get("alpha"),
            p["theta"],
            cur,
            beta,
            theta,
            mem0,
            syn0,
            M,
            T,
            (T - 1) * M,
            *(stride(p.get(k)) for k in ("beta", "alpha", "theta")),
            surrogate.shift,
            surrogate.factor,
            KIND=surrogate.kind,
            RESET=reset,
            HELD=cur is not None and cur.dim() == 1,
            BLOCK=block,
            AHEAD=kernels().STAGES,
            enable_fp_fusion=False,
        )


def forward(
    plan: Plan,
    cur: torch.Tensor,
    start: Named,
    p: Named,
    spk: torch.Tensor,
    mem: torch.Tensor | None,
    mem_end: torch.Tensor,
    syn_end: torch.Tensor | None,
) -> None:
    """``in_place.forward`` for flat steps."""
    T = plan.num_steps if plan.held else None
    ends = {"mem_end": mem_end, "syn_end": syn_end}
    forward_flat(cur, start, p, plan.reset, num_steps=T, spk=spk, mem=mem, **ends)


def backward(
    plan: Plan,
    kept: torch.Tensor,
    kept_is_cur: bool,
    given: Named,
    start: Named,
    p: Named,
    g: Named,
) -> dict[str, torch.Tensor]:
    """``in_place.backward`` for flat steps: fills ``g``, and returns the sums of what is one number for all."""
    mem = kept
    if kept_is_cur:
        mem = kept.new_empty((plan.num_steps, kept.shape[-1]))
        T = plan.num_steps if plan.held else None
        forward_flat(kept, start, p, plan.reset, num_steps=T, mem=mem)
    asked = {k: g[k] for k in ("cur", "beta", "theta", "mem0", "syn0") if g[k] is not None}
    single = [k for k in ("beta", "theta") if k in asked and not g[k].dim()]
    asked |= {k: mem.new_empty(mem.shape[-1]) for k in single}
    backward_flat(mem, given, start, p, plan.reset, plan.surrogate, **asked)
    return {k: asked[k].sum() for k in single}


def _block(neurons: int) -> int:
    """Neurons a program: few where there are few, so that every core of the GPU has some."""
    return 128 if neurons < 1 << 19 else 512


def stride(value: torch.Tensor | None) -> int:
    """From one neuron's value to the next one's: 0 where there is but one."""
    return 0 if value is None or value.numel() == 1 else 1


def contiguous(x: torch.Tensor | None) -> torch.Tensor | None:
    return None if x is None else x.contiguous()
