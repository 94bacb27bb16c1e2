"""A whole sequence of a layer as one node of autograd's graph, on whichever path the plan names."""

from __future__ import annotations

from typing import Any

from multistep import compiled, gpu, gpu_recurrent, in_place
from multistep.in_place import Named, Tensors
from multistep.plan import Plan
from multistep.threads import blocks, each

import torch
from torch.autograd.function import once_differentiable


def _kept(plan: Plan, alpha: torch.Tensor | None) -> str:
    """What of the sequence is kept for backward: one full-length tensor at most."""
    if not plan.grad:
        return ""
    # Of a current that is the same at every step the compiled loops keep that one step, and make U again.
    if plan.recompute or (plan.path == "compiled" and plan.held and not plan.record_mem):
        return "cur"
    # U follows from Isyn, and all else follows from U.
    return "syn" if alpha is not None and alpha.requires_grad else "mem"


class Unroll(torch.autograd.Function):
    """``cur (T, B, …)``, or one step of it where ``plan.held``, to spikes, membranes and the state at the end."""

    @staticmethod
    def forward(
        ctx: Any,
        plan: Plan,
        cur: torch.Tensor,
        mem0: torch.Tensor | None,
        syn0: torch.Tensor | None,
        spk0: torch.Tensor | None,
        beta: torch.Tensor,
        alpha: torch.Tensor | None,
        theta: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
    ) -> tuple[torch.Tensor | None, ...]:
        T, step = plan.num_steps, cur.shape if plan.held else cur.shape[1:]
        start = {"mem": mem0, "syn": syn0, "spk": spk0}
        p = {"beta": beta, "alpha": alpha, "theta": theta, "weight": weight, "bias": bias}
        keep = _kept(plan, alpha)
        spk_rec = cur.new_empty((T, *step), dtype=plan.surrogate.dtype)
        mem_rec = cur.new_empty((T, *step)) if plan.record_mem or keep == "mem" else None
        syn_rec = cur.new_empty((T, *step)) if keep == "syn" else None
        # after the last step; filled below, unless there is none
        mem = cur.new_empty(step) if T else cur.new_zeros(step) if mem0 is None else mem0.clone()
        syn = None if alpha is None else cur.new_zeros(step) if syn0 is None else syn0.clone()

        def work(b: Any) -> None:
            mem_b = [mem[b]] * T if mem_rec is None else list(mem_rec[:, b])
            syn_b = None
            if syn is not None:
                syn_b = [syn[b]] * T if syn_rec is None else list(syn_rec[:, b])
            cur_b, spk_b = _steps(plan, cur, b), list(spk_rec[:, b])
            in_place.forward(plan, cur_b, _cut(start, b), p, spk_b, mem_b, syn_b)
            if mem_rec is not None:
                mem[b].copy_(mem_b[-1])
            if syn_rec is not None:
                syn[b].copy_(syn_b[-1])

        if plan.path == "compiled":
            all_mem = mem[None] if mem_rec is None else mem_rec
            each(blocks(plan, step, p), compiled.forward(plan, cur, start, p, spk_rec, all_mem))
            mem.copy_(all_mem[-1])
        elif plan.path == "one kernel":
            kernel = gpu_recurrent if plan.dense else gpu
            kernel.forward(plan, cur, start, p, spk_rec, mem_rec, mem, syn)
        else:
            each(blocks(plan, step, p), work)
        ctx.set_materialize_grads(False)
        ctx.plan, ctx.step, ctx.keep = plan, step, keep
        if keep:
            kept = {"cur": cur, "syn": syn_rec, "mem": mem_rec}[keep]
            ctx.save_for_backward(kept, *start.values(), *p.values())
        return spk_rec, mem_rec if plan.record_mem else None, syn, mem

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        g_spk: torch.Tensor | None,
        g_mem: torch.Tensor | None,
        g_syn: torch.Tensor | None,
        g_last: torch.Tensor | None,
    ) -> tuple[torch.Tensor | None, ...]:
        plan, T, step = ctx.plan, ctx.plan.num_steps, ctx.step
        kept, mem0, syn0, spk0, *values = ctx.saved_tensors
        start = {"mem": mem0, "syn": syn0, "spk": spk0}
        p = dict(zip(("beta", "alpha", "theta", "weight", "bias"), values, strict=True))
        inputs = {"cur": kept, "mem0": mem0, "syn0": syn0, "spk0": spk0} | p
        needs = dict(zip(inputs, ctx.needs_input_grad[1:], strict=True))
        g: Named = {
            k: torch.zeros_like(v) if needs[k] and k != "cur" else None for k, v in inputs.items()
        }
        if needs["cur"]:
            g["cur"] = kept.new_zeros(step) if plan.held else kept.new_empty((T, *step))
        if g_spk is not None:
            g_spk = g_spk.to(kept.dtype)

        if plan.path == "one kernel":
            given = {"spk": g_spk, "mem": g_mem, "mem_end": g_last, "syn_end": g_syn}
            kernel = gpu_recurrent if plan.dense else gpu
            sums = kernel.backward(plan, kept, ctx.keep == "cur", given, start, p, g)
            for k, sum_k in sums.items():
                g[k].add_(sum_k)
            return None, *g.values()

        def work(b: Any) -> dict[str, torch.Tensor]:
            part = _cut(start, b)
            mem, syn = _remember(plan, ctx.keep, kept, b, part, p, needs["alpha"])
            dense = plan.dense and (needs["weight"] or needs["bias"])
            if needs["cur"] and not plan.held:
                d_all = g["cur"][:, b]
            else:  # two buffers in turn, unless a dense layer's weights want to see all
                d_all = kept.new_empty((T if dense else min(T, 2), *mem[0].shape))
            sums = in_place.backward(
                plan,
                None if g_spk is None else g_spk[:, b].unbind(0),
                None if g_mem is None else g_mem[:, b].unbind(0),
                _cut({"syn": g_syn, "mem": g_last}, b),
                mem,
                syn,
                part,
                p,
                d_all.unbind(0) * (T // len(d_all) + 1),
                g,
                b,
            )
            if dense:
                sums |= in_place.dense_gradients(plan, d_all, mem, part, p["theta"], g)
            return sums

        if plan.path == "compiled":
            kept_is_cur = ctx.keep == "cur"
            work = compiled.backward(plan, kept, kept_is_cur, g_spk, g_mem, g_last, start, p, g)
        # added up in the order of the blocks, so that runs are repeatable
        for sums in each(blocks(plan, step, p), work):
            for k, part in sums.items():
                g[k].add_(part)
        return None, *g.values()


def _remember(
    plan: Plan, keep: str, kept: torch.Tensor, b: slice, start: Named, p: Named, needs_syn: bool
) -> tuple[Tensors, Tensors | None]:
    """Membrane, and synaptic current if it is needed, of one block of the batch, from what was kept of it."""
    if keep == "mem":
        return kept[:, b].unbind(0), None
    T = plan.num_steps
    cur = _steps(plan, kept, b) if keep == "cur" else kept[:, b].unbind(0)
    mem = kept.new_empty((T, *cur[0].shape)).unbind(0)
    spk = [torch.empty_like(mem[0], dtype=plan.surrogate.dtype)] * T
    if keep == "syn":  # Isyn drives a neuron without synapse or recurrence
        in_place.forward(plan, cur, start, p | {"alpha": None, "weight": None}, spk, mem, None)
        return mem, cur
    syn = None
    if p["alpha"] is not None:
        syn = [torch.empty_like(mem[0])] * T
        if needs_syn:
            syn = kept.new_empty((T, *cur[0].shape)).unbind(0)
    in_place.forward(plan, cur, start, p, spk, mem, syn)
    return mem, syn


def _steps(plan: Plan, cur: torch.Tensor, b: slice) -> Tensors:
    return [cur[b]] * plan.num_steps if plan.held else cur[:, b].unbind(0)


def _cut(tensors: Named, b: slice) -> Named:
    return {k: None if v is None else v[b] for k, v in tensors.items()}
