"""``unroll``: one neuron layer over a whole sequence, by the fastest path that gives snnTorch's numbers.

What is computed stands on one page, ``recursion.py``; which way it is computed, in ``plan.py``. Nothing enters
autograd's graph but one function (``function.py``).
"""

from __future__ import annotations

import math

from multistep.function import Unroll
from multistep.plan import STATES, Plan, make_plan
from multistep.segments import over_segments
from multistep.stepping import State, Unrolled, step_through

import snntorch as snn
import torch


def unroll(
    neuron: snn.SpikingNeuron,
    cur: torch.Tensor,
    state: State | None = None,
    *,
    record_mem: bool = False,
    recompute: bool = False,
) -> Unrolled:
    """Run one spiking neuron layer over a sequence, exactly as stepping it would, and faster.

    ``Leaky``, ``Synaptic``, ``RLeaky`` and ``RSynaptic`` (all-to-all and one-to-one) take the fast path;
    another neuron, or an option that the fast path does not know (``inhibition``, ``state_quant``,
    ``reset_delay=False``, a recurrent convolution, hooks, half precision), is stepped: ``multistep/README.md``
    has the whole table. The neuron's own hidden state is neither used nor changed: a sequence starts from
    ``state``, or from rest if that is None, so nothing can be left over from the batch before.

    One thing is not as stepping it would be: far below the threshold the gradient of ``surrogate.sigmoid`` is NaN
    in snnTorch, which divides two exponentials that overflow; here it is its limit, 0 (lesson 07). And on a GPU the
    sums of a dense ``RLeaky`` agree to float32's last bits, not in every bit (``gpu_recurrent.py``).

    Args:
        neuron: any snnTorch neuron.
        cur: input current ``(T, B, …)``.
        state: the state to start from, as an earlier call returned it: ``(mem,)`` for ``Leaky``,
            ``(syn, mem)`` for ``Synaptic``, each with the recurrent ``spk`` in front for ``R…``.
        record_mem: return the membrane as well.
        recompute: keep the current instead of the membrane for backward and run the neuron once more there.
            It saves memory where the current is there anyway: shown by ``hold``, or itself an input. To save
            it everywhere, wrap several layers by ``over_segments``.

    Returns:
        ``spk_rec (T, B, …)``, ``mem_rec (T, B, …)`` or None, and the state after the last step.

    Raises:
        ValueError: a part of ``state`` has not the shape of one step of ``cur``.
    """
    _check_state(neuron, cur, state)
    plan = make_plan(neuron, cur, state, record_mem, recompute)
    if isinstance(plan, Plan):
        return _by_plan(plan, neuron, cur, state)
    if recompute and torch.is_grad_enabled():
        return _stepped_twice(neuron, cur, state, record_mem)
    return step_through(neuron, cur, state, record_mem=record_mem)


def _check_state(neuron: snn.SpikingNeuron, cur: torch.Tensor, state: State | None) -> None:
    names = STATES.get(type(neuron))
    if names is None or state is None:
        return
    step, shapes = tuple(cur.shape[1:]), [tuple(s.shape) for s in state]
    if len(state) != len(names) or any(shape != step for shape in shapes):
        raise ValueError(
            f"unroll: got a state of shapes {shapes}, expected {' and '.join(names)} of shape "
            f"{step} each, one step of cur"
        )


def _stepped_twice(
    neuron: snn.SpikingNeuron, cur: torch.Tensor, state: State | None, record_mem: bool
) -> Unrolled:
    """Stepped in segments, each of them once more for backward."""

    def run(cur: torch.Tensor, state: State | None) -> tuple[State, State]:
        spk_rec, mem_rec, after = step_through(neuron, cur, state, record_mem=record_mem)
        return (spk_rec,) if mem_rec is None else (spk_rec, mem_rec), after

    out, after = over_segments(run, cur, state)
    return out[0], out[1] if record_mem else None, after


def _by_plan(
    plan: Plan, neuron: snn.SpikingNeuron, cur: torch.Tensor, state: State | None
) -> Unrolled:
    """Lay out current, state and parameters for the path, call it, and put the shape of a step back."""
    names, recurrent = STATES[type(neuron)], getattr(neuron, "recurrent", None)
    start = {} if state is None else dict(zip(names, state, strict=True))
    weight = bias = None
    if plan.dense:
        weight, bias = recurrent.weight, recurrent.bias
    elif recurrent is not None:
        weight = recurrent.V.to(cur.dtype)
    values = (
        neuron.beta.clamp(0, 1).to(cur.dtype),
        neuron.alpha.clamp(0, 1).to(cur.dtype) if hasattr(neuron, "alpha") else None,
        neuron.threshold.to(cur.dtype),
        weight,
        bias,
    )
    step, drive = cur.shape[1:], cur.held if plan.held else cur
    # with single numbers for parameters the shape of a step means nothing, and a flat one is cut most evenly
    single = not any(v is not None and v.dim() for v in values)
    shapeless = plan.path != "in place" and not plan.dense
    flat = len(step) > 1 and (shapeless or (drive.is_contiguous() and single))
    if shapeless and not single:
        # loops and kernels know no shapes: one value a neuron, or one for all
        values = tuple(v if v is None or not v.dim() else v.expand(step).flatten() for v in values)
    if flat:
        drive = drive.reshape(-1) if plan.held else drive.reshape(len(cur), math.prod(step))
        start = {n: s.flatten() for n, s in start.items()}
    starts = (start.get(n) for n in ("mem", "syn", "spk"))
    spk_rec, mem_rec, syn, mem = Unroll.apply(plan, drive, *starts, *values)
    if flat:
        spk_rec, mem = spk_rec.unflatten(1, step), mem.unflatten(0, step)
        mem_rec = None if mem_rec is None else mem_rec.unflatten(1, step)
        syn = None if syn is None else syn.unflatten(0, step)
    if not plan.unit_spikes:
        # snnTorch scales what leaves the neuron; the reset does not see the factor
        spk_rec = spk_rec * neuron.graded_spikes_factor
    after = {"syn": syn, "mem": mem}
    if recurrent is not None:
        # a copy: a view would keep the whole record alive with the state
        rest = torch.zeros_like(mem) if state is None else state[0]
        after["spk"] = spk_rec[-1].clone() if len(cur) else rest
    return spk_rec, mem_rec, tuple(after[n] for n in names)
