"""The recursion by PyTorch's operations in place, on buffers that stay in the cache; any device.

The equations stand in ``recursion.py``. Every sum is taken in snnTorch's order, so the spikes are the same bit by
bit; only the membrane U is kept for backward, and of a neuron with a learnt α only Isyn: the rest follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from multistep.plan import Plan
from multistep.surrogates import add_pulled

import torch

Tensors = Sequence[torch.Tensor]
Named = dict[str, torch.Tensor | None]


def forward(
    plan: Plan,
    cur: Tensors,
    start: Named,
    p: Named,
    spk: Tensors,
    mem: Tensors,
    syn: Tensors | None,
) -> None:
    """Fill ``spk``, ``mem`` and ``syn`` (one buffer a step, or the same one T times) for one block of the batch."""
    beta, alpha, theta, weight = p["beta"], p["alpha"], p["theta"], p["weight"]
    before = torch.zeros_like(mem[0]) if start["mem"] is None else start["mem"]
    reset = plan.surrogate.fire(before, theta, torch.empty_like(spk[0]))
    if alpha is not None:
        i_syn = torch.zeros_like(before) if start["syn"] is None else start["syn"]
    if weight is not None:
        spk_before = torch.zeros_like(before) if start["spk"] is None else start["spk"]
        # a matrix product's last bit can depend on where its operand lies in memory: 64 bytes apart, as PyTorch allots
        aligned = torch.empty_like(before) if plan.dense and before.nbytes % 64 else None
        fed_back, weight_t = torch.empty_like(before), weight.t() if plan.dense else weight
    tmp = torch.empty_like(before) if plan.reset == "zero" else None
    for t, drive in enumerate(cur):
        now = mem[t]
        if weight is not None:
            if plan.dense:
                torch.addmm(p["bias"], spk_before, weight_t, out=fed_back)
            else:
                torch.mul(spk_before, weight_t, out=fed_back)
        # multiply and add apart: snnTorch rounds twice, and addcmul rounds once where the processor fuses them
        if alpha is not None:
            i_syn = torch.mul(i_syn, alpha, out=syn[t]).add_(drive)
            drive = i_syn if weight is None else i_syn.add_(fed_back)
        if plan.reset == "zero" and plan.first_order:
            before = torch.sub(1, reset, out=tmp).mul_(before)
        torch.mul(before, beta, out=now).add_(drive)
        if weight is not None and alpha is None:
            now.add_(fed_back)
        if plan.reset == "subtract":
            # R·θ is exact, so fused or not makes no difference
            now.addcmul_(reset, theta, value=-1)
        elif plan.reset == "zero" and not plan.first_order:
            now.sub_(torch.mul(reset, now, out=tmp))
        before, reset = now, plan.surrogate.fire(now, theta, spk[t])
        spk_before = reset if weight is None or aligned is None else aligned.copy_(reset)


def backward(
    plan: Plan,
    g_spk: Tensors | None,
    g_mem: Tensors | None,
    last: Named,
    mem: Tensors,
    syn: Tensors | None,
    start: Named,
    p: Named,
    d_cur: Tensors,
    g: Named,
    b: slice,
) -> dict[str, torch.Tensor]:
    """The recursion from the last step to the first, for one block ``b`` of the batch.

    Args:
        g_spk, g_mem: ∂L/∂S[t] and ∂L/∂U[t], or None where the loss does not see them.
        last: ∂L/∂ of the state after the last step.
        d_cur: filled with δI[t]; one buffer a step, or two in turn where nobody asks for it.
        g: the gradients asked for; those of the state and of a held current are filled in.

    Returns:
        This block's part of the gradients of the parameters.
    """
    beta, alpha, theta, weight = p["beta"], p["alpha"], p["theta"], p["weight"]
    zero_first = plan.reset == "zero" and plan.first_order
    zero_last = plan.reset == "zero" and not plan.first_order
    mem0 = torch.zeros_like(mem[0]) if start["mem"] is None else start["mem"]
    sums = {
        k: torch.zeros_like(mem0)
        for k in ("beta", "alpha", "theta", "weight")
        if g[k] is not None and not (k == "weight" and plan.dense)
    }
    tmp, spk = torch.empty_like(mem0), torch.empty_like(mem0, dtype=plan.surrogate.dtype)
    back = torch.empty_like(mem0) if weight is not None else None
    two = [torch.empty_like(mem0) for _ in range(2 if alpha is not None else 0)]
    needs_reset = (
        zero_last
        or (zero_first and "beta" in sums)
        or (plan.reset == "subtract" and "theta" in sums)
    )
    d_mem = d_in = None  # of the step after: δU[t+1] before its reset, and δI[t+1]

    for t in reversed(range(plan.num_steps)):
        # δU[t] = β·δU[t+1] + ∂L/∂U[t] + …; in a neuron of first order δI is the same thing
        here = two[t % 2] if two else d_cur[t]
        if d_mem is None:
            here.zero_() if last["mem"] is None else here.copy_(last["mem"])
        else:
            torch.mul(d_mem, beta, out=here)
            if zero_first:  # U[t] was cleared on its way to t + 1
                here.mul_(torch.sub(1, plan.surrogate.fire(mem[t], theta, spk), out=tmp))
        if g_mem is not None:
            here.add_(g_mem[t])
        # … + σ'(U[t] − θ)·(∂L/∂S[t] + Vᵀ·δI[t+1])
        gs = None if g_spk is None else g_spk[t]
        if weight is not None and d_in is not None:
            if plan.dense:
                gs = (
                    torch.mm(d_in, weight, out=back)
                    if gs is None
                    else torch.addmm(gs, d_in, weight, out=back)
                )
            else:
                torch.mul(d_in, weight, out=back)
                gs = back if gs is None else back.add_(gs)
        if gs is not None:
            pulled = plan.surrogate.pull(gs, mem[t], theta, tmp)
            add_pulled(here, gs, pulled)
            if "theta" in sums:
                add_pulled(sums["theta"], gs, pulled, -1)
        before = mem[t - 1] if t else mem0
        if needs_reset:
            plan.surrogate.fire(before, theta, spk)  # R[t]
            if zero_last:
                here.mul_(torch.sub(1, spk, out=tmp))
            if "theta" in sums and plan.reset == "subtract":
                sums["theta"].addcmul_(here, spk, value=-1)
        if "beta" in sums:
            kept = torch.sub(1, spk, out=tmp).mul_(before) if zero_first else before
            sums["beta"].addcmul_(here, kept)
        d_mem = here
        # δI[t] = δU[t] + α·δI[t+1]
        if alpha is None:
            d_in = here
        else:
            if d_in is None:
                d_cur[t].copy_(here)
                if last["syn"] is not None:
                    d_cur[t].add_(last["syn"])
            else:
                torch.mul(d_in, alpha, out=d_cur[t]).add_(here)
            d_in = d_cur[t]
            if "alpha" in sums and (t or start["syn"] is not None):
                sums["alpha"].addcmul_(d_in, syn[t - 1] if t else start["syn"])
        if "weight" in sums and (t or start["spk"] is not None):
            s = plan.surrogate.fire(before, theta, spk) if t else start["spk"]
            sums["weight"].addcmul_(d_in, s)
        if plan.held and g["cur"] is not None:
            g["cur"][b].add_(d_in)

    if g["mem0"] is not None:
        torch.mul(d_mem, beta, out=g["mem0"][b])
        if zero_first:
            g["mem0"][b].mul_(torch.sub(1, plan.surrogate.fire(mem0, theta, spk), out=tmp))
    if g["syn0"] is not None:
        torch.mul(d_in, alpha, out=g["syn0"][b])
    if g["spk0"] is not None:
        g["spk0"][b].copy_(d_in @ weight if plan.dense else d_in * weight)
    return {k: total.sum_to_size(g[k].shape) for k, total in sums.items()}


def dense_gradients(
    plan: Plan,
    d_cur: torch.Tensor,
    mem: Tensors,
    start: Named,
    theta: torch.Tensor,
    g: Named,
    length: int = 64,
) -> dict[str, torch.Tensor]:
    """∂L/∂V = Σ δI[t]ᵀ·S[t−1] and ∂L/∂b = Σ δI[t] of one block, as a few large products; ``d_cur (T, B, H)``."""
    out = {} if g["bias"] is None else {"bias": d_cur.sum((0, 1))}
    if g["weight"] is None:
        return out
    total = torch.zeros_like(g["weight"])
    if start["spk"] is not None:
        total.addmm_(d_cur[0].t(), start["spk"])
    spk = torch.empty(
        (min(length, len(d_cur)), *d_cur.shape[1:]), dtype=plan.surrogate.dtype, device=d_cur.device
    )
    for first in range(1, len(d_cur), length):
        d = d_cur[first : first + length]
        for i in range(len(d)):
            plan.surrogate.fire(mem[first + i - 1], theta, spk[i])
        total.addmm_(d.reshape(-1, d.shape[-1]).t(), spk[: len(d)].flatten(0, 1))
    return out | {"weight": total}
