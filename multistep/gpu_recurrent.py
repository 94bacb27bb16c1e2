"""``RLeaky`` with all-to-all weights on a GPU: which layers, and how ``gpu_recurrent_kernels.py`` is called.

The sums over the neurons that are heard are taken in another order than by the GPU's matrix library. So potentials agree
with stepping to float32's last bits, and a spike differs where a potential lies that near to the threshold; with weights
whose sums are exact, every bit agrees, which is how it is tested.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from multistep import gpu
from multistep.recursion import Layer
from multistep.surrogates import ATan, Surrogate

import torch

if TYPE_CHECKING:
    from multistep.plan import Plan

Named = dict[str, torch.Tensor | None]

WIDEST = 128
"""neurons whose weights fit the registers of one core of a GPU, in two parts of TF32"""

ROWS, WARPS = 16, 8
"""samples a program, the fewest that its matrix units take, and groups of 32 threads that share the weights"""


def takes(cur: torch.Tensor, surrogate: Surrogate, values: list[torch.Tensor]) -> bool:
    """Whether the kernels take a dense ``RLeaky``; ``values`` are β and θ: one number, or one a neuron."""
    H = cur.shape[-1]
    return (
        gpu.takes(cur, surrogate)
        and cur.dim() == 3
        and H <= WIDEST
        and all(v.numel() == 1 or v.numel() == v.shape[-1] == H for v in values)
        and works(cur.device)
    )


@lru_cache(maxsize=1)
def kernels() -> Any:
    from multistep import gpu_recurrent_kernels

    return gpu_recurrent_kernels


@lru_cache(maxsize=16)
def works(device: torch.device) -> bool:
    """Whether the kernels compile on this device and give the numbers of ``recursion.py`` there, by trying them."""
    return gpu.stands(trial, device, "RLeaky")


def trial(device: torch.device | str) -> str:
    """Run a small layer by the kernels and by the reference; what differs, or nothing."""
    g = torch.Generator().manual_seed(0)
    T, B, H = 5, 18, 20
    cur, g_spk, g_mem = (torch.rand(T, B, H, generator=g).to(device) for _ in range(3))
    spk, mem, d_cur = (torch.empty_like(cur) for _ in range(3))
    # sums of sixty-fourths are exact in any order
    weight = (torch.randint(-32, 33, (H, H), generator=g) / 64).to(device)
    p = {"beta": torch.tensor(0.9), "theta": torch.tensor(0.8), "bias": torch.zeros(H)}
    p = {k: v.to(device) for k, v in p.items()} | {"weight": weight}
    surrogate = ATan(2.0)
    layer = Layer(p["beta"], p["theta"], None, lambda s: s @ weight.t(), lambda d: d @ weight)
    _forward(cur, cur[0].numel(), T, {}, p, "subtract", spk, mem, None)
    _backward(mem, {"spk": g_spk, "mem": g_mem}, {}, p, "subtract", surrogate, {"cur": d_cur})
    return gpu.differs(layer, surrogate, cur, (g_spk, g_mem), (spk, mem, d_cur), 1e-3)


def forward(
    plan: Plan,
    cur: torch.Tensor,
    start: Named,
    p: Named,
    spk: torch.Tensor,
    mem: torch.Tensor | None,
    mem_end: torch.Tensor,
    syn_end: None,
) -> None:
    """``in_place.forward`` for all samples at once."""
    stride = 0 if plan.held else cur[0].numel()
    _forward(cur, stride, plan.num_steps, start, p, plan.reset, spk, mem, mem_end)


def backward(
    plan: Plan,
    kept: torch.Tensor,
    kept_is_cur: bool,
    given: Named,
    start: Named,
    p: Named,
    g: Named,
) -> dict[str, torch.Tensor]:
    """``in_place.backward`` for all samples at once: fills ``g``, and returns what is to be added to it."""
    mem = kept
    if kept_is_cur:
        mem = kept.new_empty((plan.num_steps, *kept.shape[-2:]))
        stride = 0 if plan.held else kept[0].numel()
        _forward(kept, stride, plan.num_steps, start, p, plan.reset, None, mem, None)
    whole = g["cur"] is not None and not plan.held
    d_cur = g["cur"] if whole else torch.empty_like(mem)  # (T, B, H)
    sums = {k: torch.empty_like(mem[0]) for k in ("beta", "theta") if g[k] is not None}
    asked = sums | {"cur": d_cur, "mem0": g["mem0"], "spk0": g["spk0"]}
    _backward(mem, given, start, p, plan.reset, plan.surrogate, asked)
    found = {k: total.sum_to_size(g[k].shape) for k, total in sums.items()}
    if g["cur"] is not None and plan.held:
        found["cur"] = d_cur.sum(0)
    if g["bias"] is not None:
        found["bias"] = d_cur.sum((0, 1))
    if g["weight"] is not None:
        # ∂L/∂V = Σ δI[t]ᵀ·S[t−1]
        spk = (mem[:-1] > p["theta"]).to(mem.dtype)  # (T − 1, B, H)
        found["weight"] = d_cur[1:].flatten(0, 1).t() @ spk.flatten(0, 1)
        if start["spk"] is not None:
            found["weight"].addmm_(d_cur[0].t(), start["spk"])
    return found


def _grid(x: torch.Tensor) -> dict[str, Any]:
    B, H = x.shape[-2:]
    width = max(16, 1 << (H - 1).bit_length())
    return {"ROWS": ROWS, "WIDTH": width, "num_warps": WARPS, "enable_fp_fusion": False}


def _forward(cur, cur_stride, T, start, p, reset, spk, mem, mem_end) -> None:  # type: ignore[no-untyped-def]
    (B, H), contiguous = cur.shape[-2:], gpu.contiguous
    with torch.cuda.device_of(cur):
        kernels().forward_kernel[(-(-B // ROWS),)](
            cur.contiguous(),
            contiguous(start.get("mem")),
            contiguous(start.get("spk")),
            *(contiguous(p[k]) for k in ("beta", "theta", "weight", "bias")),
            spk,
            mem,
            mem_end,
            B,
            H,
            T,
            cur_stride,
            *(gpu.stride(p[k]) for k in ("beta", "theta")),
            RESET=reset,
            **_grid(cur),
        )


def _backward(mem, given, start, p, reset, surrogate, asked) -> None:  # type: ignore[no-untyped-def]
    (T, B, H), contiguous = mem.shape, gpu.contiguous
    with torch.cuda.device_of(mem):
        kernels().backward_kernel[(-(-B // ROWS),)](
            *(contiguous(given.get(k)) for k in ("spk", "mem", "mem_end")),
            mem,
            contiguous(start.get("mem")),
            *(contiguous(p[k]) for k in ("beta", "theta", "weight")),
            *(asked.get(k) for k in ("cur", "beta", "theta", "mem0", "spk0")),
            B,
            H,
            T,
            (T - 1) * B * H,
            *(gpu.stride(p[k]) for k in ("beta", "theta")),
            surrogate.shift,
            surrogate.factor,
            KIND=surrogate.kind,
            RESET=reset,
            **_grid(mem),
        )
