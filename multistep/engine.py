"""One neuron layer over a whole sequence as one autograd function: the recursion of lesson 09, made general.

Forward, for each step (a neuron leaves out what it has not)

    Isyn[t] = α·Isyn[t−1] + I[t] + V·S[t−1]
    U[t]    = β·U[t−1] + Isyn[t] − R[t]·θ,      R[t] = H(U[t−1] − θ), detached
    S[t]    = H(U[t] − θ)

Backward, from the last step to the first, with σ' the surrogate derivative

    δU[t]    = ∂L/∂U[t] + σ'(U[t] − θ)·(∂L/∂S[t] + Vᵀ·δI[t+1]) + β·δU[t+1]
    δI[t]    = δU[t] + α·δI[t+1]

Only U is kept for backward, and of a neuron with a learnt α only Isyn: the rest follows from it. (Of a current
that is the same at every step the compiled loops keep just that one step, and make U again.) Each step is
a handful of in-place operations on data that are still in the cache, and nothing enters autograd's graph but
the one function. Every sum is taken in snnTorch's order, so the spikes are the same bit by bit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from threading import Barrier
from typing import Any, TypeVar

from common.spiking import hold

import snntorch as snn
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.checkpoint import checkpoint

State = tuple[torch.Tensor, ...]
Tensors = Sequence[torch.Tensor]

STATES = {
    snn.Leaky: ("mem",),
    snn.Synaptic: ("syn", "mem"),
    snn.RLeaky: ("spk", "mem"),
    snn.RSynaptic: ("spk", "syn", "mem"),
}
"""The neurons with a fast path, and the parts of their state in snnTorch's order."""

BLOCK = 65_536
"""Elements of one step that are worked on at a time: three or four such buffers fit the L2 cache of a core."""

COMPILED_FROM, LOADED_FROM = 1 << 20, 1 << 14
"""Neurons × steps × samples from which the compiled loops are worth loading (two seconds), and, when they have been
loaded, from which they are worth calling."""

MAX_THREADS = 4
"""More threads than these would wait for Python's interpreter lock."""


def unroll(
    neuron: snn.SpikingNeuron,
    cur: torch.Tensor,
    state: State | None = None,
    *,
    record_mem: bool = False,
    recompute: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None, State]:
    """Run one spiking neuron layer over a sequence, exactly as stepping it would, and faster.

    ``Leaky``, ``Synaptic``, ``RLeaky`` and ``RSynaptic`` (all-to-all and one-to-one) take the fast path;
    another neuron, or an option that the fast path does not know (``inhibition``, ``state_quant``,
    ``reset_delay=False``, a recurrent convolution, hooks, half precision), is stepped. The neuron's own hidden state is
    neither used nor changed: a sequence starts from ``state``, or from rest if that is None, so nothing can
    be left over from the batch before.

    One thing is not as stepping it would be: far below the threshold the gradient of ``surrogate.sigmoid`` is NaN
    in snnTorch, which divides two exponentials that overflow; here it is its limit, 0 (lesson 07).

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
    names = STATES.get(type(neuron))
    if names and state is not None:
        shapes = [tuple(s.shape) for s in state]
        if len(state) != len(names) or any(s != tuple(cur.shape[1:]) for s in shapes):
            raise ValueError(
                f"unroll: got a state of shapes {shapes}, expected {' and '.join(names)} of shape "
                f"{tuple(cur.shape[1:])} each, one step of cur"
            )
    plan = _plan(neuron, cur, state, record_mem, recompute) if names else None
    if plan is None:
        if recompute and torch.is_grad_enabled():
            run = lambda c, s: _repack(step_through(neuron, c, s, record_mem=record_mem))  # noqa: E731
            (spk_rec, *mem_rec), after = over_segments(run, cur, state)
            return spk_rec, mem_rec[0] if mem_rec else None, after
        return step_through(neuron, cur, state, record_mem=record_mem)
    start = dict(zip(names, state, strict=True)) if state is not None else {}
    recurrent = getattr(neuron, "recurrent", None)
    weight = (
        recurrent.weight if plan.dense else None if recurrent is None else recurrent.V.to(cur.dtype)
    )
    values = (
        neuron.beta.clamp(0, 1).to(cur.dtype),
        neuron.alpha.clamp(0, 1).to(cur.dtype) if hasattr(neuron, "alpha") else None,
        neuron.threshold.to(cur.dtype),
        weight,
        recurrent.bias if plan.dense else None,
    )
    step, drive = cur.shape[1:], cur.held if plan.held else cur
    # with single numbers for parameters the shape of a step means nothing, and a flat one is cut most evenly
    single = not any(v is not None and v.dim() for v in values)
    flat = len(step) > 1 and (plan.compiled or (drive.is_contiguous() and single))
    if (
        plan.compiled and not single
    ):  # the compiled loops know no shapes: one value a neuron, or one for all
        values = tuple(v if v is None or not v.dim() else v.expand(step).flatten() for v in values)
    if flat:
        drive = drive.reshape(-1) if plan.held else drive.reshape(len(cur), math.prod(step))
        start = {n: s.flatten() for n, s in start.items()}
    starts = (start.get(n) for n in ("mem", "syn", "spk"))
    spk_rec, mem_rec, syn, mem = _Unroll.apply(plan, drive, *starts, *values)
    if flat:
        spk_rec, mem = spk_rec.unflatten(1, step), mem.unflatten(0, step)
        mem_rec = None if mem_rec is None else mem_rec.unflatten(1, step)
        syn = None if syn is None else syn.unflatten(0, step)
    if (
        not plan.unit_spikes
    ):  # snnTorch scales what leaves the neuron; the reset does not see the factor
        spk_rec = spk_rec * neuron.graded_spikes_factor
    # a copy: a view would keep the whole record alive with the state
    spk = spk_rec[-1].clone() if len(cur) else torch.zeros_like(mem) if state is None else state[0]
    return spk_rec, mem_rec, tuple({"spk": spk, "syn": syn, "mem": mem}[n] for n in names)


def step_through(
    neuron: snn.SpikingNeuron,
    cur: torch.Tensor,
    state: State | None = None,
    *,
    record_mem: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None, State]:
    """What ``unroll`` computes, by stepping the module: the reference, and the way for every other neuron."""
    parts = ("spk", "syn_exc", "syn_inh", "syn", "mem")
    names = [n for n in parts if isinstance(getattr(neuron, n, None), torch.Tensor)]
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


def _repack(out: tuple[torch.Tensor, torch.Tensor | None, State]) -> tuple[State, State]:
    return tuple(o for o in out[:2] if o is not None), out[2]


def over_segments(
    run: Callable[[torch.Tensor, Any], tuple[State, Any]],
    x: torch.Tensor,
    state: Any = None,
    *,
    segments: int | None = None,
) -> tuple[State, Any]:
    """Run a network segment by segment and keep for backward the last segment, and what stands at the cuts.

    Backward runs each earlier segment once more before it differentiates it (gradient checkpointing), so the memory
    is that of one segment and the states between, in exchange for a second forward pass. The last one is the
    first that backward wants: to drop it would only mean to make it again at once.

        def run(x, state):                       # x (t, B, …), state None at the start
            state1, state2 = state or (None, None)
            spk1, _, state1 = unroll(self.lif1, over_time(self.fc1, x), state1)
            spk2, mem2, state2 = unroll(self.lif2, over_time(self.fc2, spk1), state2, record_mem=True)
            return (spk2, mem2), (state1, state2)
        (spk_rec, mem_rec), state = over_segments(run, x)

    Args:
        run: takes ``t`` steps of ``x`` and the state before them; returns a tuple of outputs ``(t, B, …)``
            and the state after them (any nesting of tuples of tensors).
        x: the whole input ``(T, B, …)``.
        segments: number of segments; the square root of T by default, which keeps least.

    Returns:
        The outputs over all steps, ``(T, B, …)`` each, and the state after the last.
    """
    segments = segments or max(1, math.isqrt(len(x)))
    length = -(-len(x) // segments)
    parts = []
    for start in range(0, len(x), length):
        x_s = x[start : start + length]
        if hasattr(x, "held"):
            x_s = hold(x.held, len(x_s))
        if torch.is_grad_enabled() and start + length < len(x):
            leaves, shape = tree_flatten(state)
            again = lambda x, *leaves, shape=shape: run(x, tree_unflatten(leaves, shape))  # noqa: E731
            out, state = checkpoint(again, x_s, *leaves, use_reentrant=False)
        else:
            out, state = run(x_s, state)
        parts.append(out)
    return tuple(torch.cat(p) for p in zip(*parts, strict=True)), state


# ---------------------------------------------------------------------------- what the fast path needs to know


@dataclass(frozen=True)
class _Plan:
    """What is settled before the first step."""

    reset: str
    """subtract, zero or none"""
    first_order: bool
    """``Leaky``: the one neuron that resets to zero *before* the step, so that U lands on I"""
    dense: bool
    """the recurrent weights are a matrix, not one weight a neuron"""
    surrogate: _Surrogate
    num_steps: int
    held: bool
    """the current is one step (B, …), shown at every step"""
    record_mem: bool
    recompute: bool
    grad: bool
    unit_spikes: bool
    """nothing scales the spikes on their way out"""
    compiled: bool
    """by the loops of ``multistep.compiled``"""


def _plan(
    neuron: snn.SpikingNeuron,
    cur: torch.Tensor,
    state: State | None,
    record_mem: bool,
    recompute: bool,
) -> _Plan | None:
    """Settle how to run this neuron; None if it has to be stepped."""
    kind = type(neuron)
    # what counts is the function chosen when the neuron was made: setting reset_mechanism later does not change it
    resets = {
        getattr(kind, name): reset
        for name, reset in (
            ("_base_sub", "subtract"),
            ("_base_zero", "zero"),
            ("_base_int", "none"),
        )
    }
    reset = resets.get(getattr(neuron.state_function, "__func__", None))
    if (
        reset is None
        or _hooked(neuron)
        or neuron.inhibition
        or neuron.state_quant
        or not neuron.reset_delay
    ):
        return None
    # snnTorch's spikes are float32, so a half-precision membrane is promoted by the first reset: stepped
    if (
        cur.dtype not in (torch.float32, torch.float64)
        or torch.is_autocast_enabled(cur.device.type)
        or torch.compiler.is_compiling()
    ):
        return None
    recurrent = getattr(neuron, "recurrent", None)
    values = [neuron.beta, neuron.threshold, *([neuron.alpha] if hasattr(neuron, "alpha") else [])]
    if isinstance(recurrent, nn.Linear):
        if (
            type(recurrent) is not nn.Linear
            or _hooked(recurrent)
            or recurrent.bias is None
            or cur.dim() != 3
            or recurrent.weight.dtype != cur.dtype
        ):
            return None
    elif recurrent is not None:
        if not isinstance(getattr(recurrent, "V", None), torch.Tensor):
            return None
        values.append(recurrent.V)
    if not all(
        v.dim() == 0 or (_fits(v.shape, cur.shape[1:]) and torch.result_type(v, cur) == cur.dtype)
        for v in values
    ) or any(s.dtype != cur.dtype for s in state or () if s.is_floating_point()):
        return None
    surrogate, unit = _surrogate(neuron.spike_grad, cur.dtype), _is_one(neuron.graded_spikes_factor)
    if surrogate is None or (recurrent is not None and (not unit or surrogate.dtype != cur.dtype)):
        return None  # what is fed back to the neuron is scaled too, and its type decides that of the sum
    learns = any(t.requires_grad for t in (cur, *values, *(state or ()), *neuron.parameters()))
    return _Plan(
        reset,
        kind is snn.Leaky,
        isinstance(recurrent, nn.Linear),
        surrogate,
        len(cur),
        hasattr(cur, "held") and len(cur) > 0,
        record_mem,
        recompute,
        torch.is_grad_enabled() and learns,
        unit,
        kind is snn.Leaky and _is_compiled(cur, surrogate),
    )


def _hooked(m: nn.Module) -> bool:
    """True if somebody listens at this module: then it has to be called."""
    return bool(
        m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks
    )


def _fits(shape: torch.Size, step: torch.Size) -> bool:
    """True if a parameter of this shape broadcasts to one step without making it larger."""
    return len(shape) <= len(step) and all(
        a in (1, b) for a, b in zip(reversed(shape), reversed(step), strict=False)
    )


def _is_compiled(cur: torch.Tensor, surrogate: _Surrogate) -> bool:
    """Whether the compiled loops take this layer: large enough to pay for loading them, and of a kind they know."""
    smallest = min(COMPILED_FROM, LOADED_FROM) if _loops.cache_info().currsize else COMPILED_FROM
    return (
        cur.dim() > 1
        and cur.numel() >= smallest
        and cur.device.type == "cpu"
        and cur.dtype == torch.float32
        and isinstance(surrogate, (_ATan, _FastSigmoid))
        and _loops() is not None
    )


@lru_cache(maxsize=1)
def _loops() -> Any:
    """``multistep.compiled``, or None without numba or with ``SNN_COMPILED=0``."""
    if os.environ.get("SNN_COMPILED") == "0":
        return None
    try:
        from multistep import compiled
    except Exception:  # not installed, or not for this NumPy
        return None
    return compiled


_ASKED: dict[int, tuple[torch.Tensor, int, bool]] = {}


def _is_one(factor: torch.Tensor) -> bool:
    """Whether a factor is fixed at 1; asked once a tensor, for on a GPU each question waits for the device."""
    if factor.requires_grad or factor.numel() != 1:
        return False
    if factor.device.type == "cpu":
        return factor.item() == 1
    found = _ASKED.get(id(factor))
    if found is None or found[0] is not factor or found[1] != factor._version:
        if len(_ASKED) > 1000:  # the tensors in it are kept alive
            _ASKED.clear()
        found = _ASKED[id(factor)] = (factor, factor._version, factor.item() == 1)
    return found[2]


# ---------------------------------------------------------------------------- surrogates


Pulled = tuple[torch.Tensor, str, float]


class _Surrogate:
    """A step function H(x) forward; backward by the function's own derivative, whatever it is."""

    def __init__(
        self,
        function: Callable[[torch.Tensor], torch.Tensor] | None = None,
        dtype: torch.dtype = torch.float32,
        binary: bool = True,
    ) -> None:
        self.function = function
        self.dtype = dtype  # of the spikes: snnTorch's are float32 for any membrane
        self.binary = binary

    def fire(self, mem: torch.Tensor, theta: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """S = H(U − θ), into ``out``. U > θ and U − θ > 0 say the same in IEEE arithmetic."""
        if self.binary:
            return torch.gt(mem, theta, out=out)
        with torch.no_grad():
            return out.copy_(self.function(mem - theta))  # type: ignore[misc]

    def pull(
        self, gs: torch.Tensor, mem: torch.Tensor, theta: torch.Tensor, tmp: torch.Tensor
    ) -> Pulled:
        """gs·σ'(U − θ) in parts, so that it can be added on in one operation.

        Returns:
            ``(v, "div", f)`` for f·gs/v, ``(v, "mul", f)`` for f·gs·v, ``(v, "add", f)`` for f·v.
        """
        with torch.enable_grad():
            shift = (mem - theta).detach().requires_grad_()
            spk = self.function(shift)  # type: ignore[misc]
        if not spk.requires_grad:  # surrogate_disable
            return tmp.zero_(), "add", 1.0
        return torch.autograd.grad(spk, shift, gs.to(spk.dtype))[0], "add", 1.0


class _ATan(_Surrogate):
    """σ'(x) = (a/2) / (1 + (π·a·x/2)²), written as f / (x² + 1/c²) with c = π·a/2, f = a/(2c²)."""

    def __init__(self, a: float) -> None:
        super().__init__()
        c = math.pi / 2 * a
        self.shift, self.factor = 1 / c**2, a / (2 * c**2)

    def pull(
        self, gs: torch.Tensor, mem: torch.Tensor, theta: torch.Tensor, tmp: torch.Tensor
    ) -> Pulled:
        torch.sub(mem, theta, out=tmp)
        return tmp.mul_(tmp).add_(self.shift), "div", self.factor


class _FastSigmoid(_Surrogate):
    """σ'(x) = 1 / (1 + k·|x|)² = k⁻² / (1/k + |x|)²."""

    def __init__(self, k: float) -> None:
        super().__init__()
        self.k = k

    def pull(
        self, gs: torch.Tensor, mem: torch.Tensor, theta: torch.Tensor, tmp: torch.Tensor
    ) -> Pulled:
        torch.sub(mem, theta, out=tmp).abs_().add_(1 / self.k)
        return tmp.mul_(tmp), "div", self.k**-2


class _Sigmoid(_Surrogate):
    """σ'(x) = k·s·(1 − s), s = 1/(1 + e^(−k·x)). Finite everywhere; snnTorch's quotient is NaN for k·x < −88."""

    def __init__(self, k: float) -> None:
        super().__init__()
        self.k = k

    def pull(
        self, gs: torch.Tensor, mem: torch.Tensor, theta: torch.Tensor, tmp: torch.Tensor
    ) -> Pulled:
        torch.sub(mem, theta, out=tmp).abs_().mul_(
            -self.k
        ).sigmoid_()  # s(−|x|): s·(1 − s) is even and loses nothing
        return tmp.addcmul_(tmp, tmp, value=-1), "mul", self.k


KNOWN = {
    "atan": ("alpha", _ATan),
    "fast_sigmoid": ("slope", _FastSigmoid),
    "sigmoid": ("slope", _Sigmoid),
}
BINARY = (
    "straight_through_estimator",
    "triangular",
    "heaviside",
    "spike_rate_escape",
    "SSO",
    "LSO",
    "SFS",
    "custom_surrogate",
)


def _surrogate(
    function: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype
) -> _Surrogate | None:
    """Recognise a ``spike_grad``; None if the neuron has to be stepped for it.

    ``snntorch.surrogate.atan(alpha)`` returns an inner function, whose closure holds ``alpha``. A function that
    is not snnTorch's is tried on a zero: one that draws random numbers or learns something is stepped.
    """
    name = getattr(function, "__qualname__", "")
    if getattr(function, "__module__", "") == "snntorch.surrogate" and name.endswith(
        ".<locals>.inner"
    ):
        maker = name.split(".")[0]
        if maker in KNOWN:
            variable, kind = KNOWN[maker]
            cells = dict(
                zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
            )
            value = cells[variable].cell_contents if variable in cells else None
            if isinstance(value, (int, float)) and value > 0:
                return kind(float(value))
        if maker in KNOWN or maker in BINARY:
            return _Surrogate(function)
    if function is snn.SpikingNeuron._surrogate_bypass:
        return _Surrogate(function)
    before = torch.random.get_rng_state()
    try:
        with torch.enable_grad():
            spk = function(torch.zeros(1, dtype=dtype))
    except Exception:  # a function that cannot take one number may need the whole layer
        return None
    finally:
        drawn = not torch.equal(before, torch.random.get_rng_state())
        torch.random.set_rng_state(before)
    if drawn or spk.requires_grad or not spk.is_floating_point() or isinstance(function, nn.Module):
        return None
    return _Surrogate(function, spk.dtype, binary=False)


# ---------------------------------------------------------------------------- the two recursions


Named = dict[str, torch.Tensor | None]


def _forward(
    plan: _Plan,
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
            now.addcmul_(
                reset, theta, value=-1
            )  # R·θ is exact, so fused or not makes no difference
        elif plan.reset == "zero" and not plan.first_order:
            now.sub_(torch.mul(reset, now, out=tmp))
        before, reset = now, plan.surrogate.fire(now, theta, spk[t])
        spk_before = reset if weight is None or aligned is None else aligned.copy_(reset)


def _backward(
    plan: _Plan,
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
            _add(here, gs, pulled)
            if "theta" in sums:
                _add(sums["theta"], gs, pulled, -1)
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


def _add(to: torch.Tensor, gs: torch.Tensor, pulled: Pulled, sign: int = 1) -> None:
    values, how, factor = pulled
    if how == "div":
        to.addcdiv_(gs, values, value=sign * factor)
    elif how == "mul":
        to.addcmul_(gs, values, value=sign * factor)
    else:
        to.add_(values, alpha=sign * factor)


def _dense_gradients(
    plan: _Plan,
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


# ---------------------------------------------------------------------------- the autograd function


class _Unroll(torch.autograd.Function):
    """A whole sequence as one node of the graph."""

    @staticmethod
    def forward(
        ctx: Any,
        plan: _Plan,
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
        # one full-length tensor at most: Isyn if α is learnt (U follows from it), else U (all else follows from it)
        again = plan.recompute or (
            plan.compiled and plan.held and not plan.record_mem
        )  # from one step that is there
        keep = (
            ""
            if not plan.grad
            else "cur"
            if again
            else "syn"
            if alpha is not None and alpha.requires_grad
            else "mem"
        )
        spk_rec = cur.new_empty((T, *step), dtype=plan.surrogate.dtype)
        mem_rec = cur.new_empty((T, *step)) if plan.record_mem or keep == "mem" else None
        syn_rec = cur.new_empty((T, *step)) if keep == "syn" else None
        # after the last step; filled below, unless there is none
        mem = cur.new_empty(step) if T else cur.new_zeros(step) if mem0 is None else mem0.clone()
        syn = None if alpha is None else cur.new_zeros(step) if syn0 is None else syn0.clone()

        def work(b: Any) -> None:
            mem_b = [mem[b]] * T if mem_rec is None else list(mem_rec[:, b])
            syn_b = (
                None if syn is None else [syn[b]] * T if syn_rec is None else list(syn_rec[:, b])
            )
            _forward(
                plan, _steps(plan, cur, b), _cut(start, b), p, list(spk_rec[:, b]), mem_b, syn_b
            )
            if mem_rec is not None:
                mem[b].copy_(mem_b[-1])
            if syn_rec is not None:
                syn[b].copy_(syn_b[-1])

        if plan.compiled:
            all_mem = mem[None] if mem_rec is None else mem_rec
            _each(_blocks(plan, step, p), _compiled_forward(plan, cur, start, p, spk_rec, all_mem))
            mem.copy_(all_mem[-1])
        else:
            _each(_blocks(plan, step, p), work)
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
        inputs = dict(
            zip(("cur", "mem0", "syn0", "spk0", *p), (kept, mem0, syn0, spk0, *values), strict=True)
        )
        needs = dict(zip(inputs, ctx.needs_input_grad[1:], strict=True))
        g: Named = {
            k: torch.zeros_like(v) if needs[k] and k != "cur" else None for k, v in inputs.items()
        }
        if needs["cur"]:
            g["cur"] = kept.new_zeros(step) if plan.held else kept.new_empty((T, *step))
        if g_spk is not None:
            g_spk = g_spk.to(kept.dtype)

        def work(b: Any) -> dict[str, torch.Tensor]:
            part = _cut(start, b)
            mem, syn = _remember(plan, ctx.keep, kept, b, part, p, needs["alpha"])
            dense = plan.dense and (needs["weight"] or needs["bias"])
            if needs["cur"] and not plan.held:
                d_all = g["cur"][:, b]
            else:  # two buffers in turn, unless a dense layer's weights want to see all
                d_all = kept.new_empty((T if dense else min(T, 2), *mem[0].shape))
            d_cur = d_all.unbind(0) * (T // len(d_all) + 1)
            sums = _backward(
                plan,
                None if g_spk is None else g_spk[:, b].unbind(0),
                None if g_mem is None else g_mem[:, b].unbind(0),
                _cut({"syn": g_syn, "mem": g_last}, b),
                mem,
                syn,
                part,
                p,
                d_cur,
                g,
                b,
            )
            return sums | _dense_gradients(plan, d_all, mem, part, p["theta"], g) if dense else sums

        if plan.compiled:
            work = _compiled_backward(plan, ctx.keep, kept, g_spk, g_mem, g_last, start, p, g)
        for sums in _each(
            _blocks(plan, step, p), work
        ):  # in the order of the blocks, so that runs are repeatable
            for k, part in sums.items():
                g[k].add_(part)
        return None, *g.values()


def _remember(
    plan: _Plan, keep: str, kept: torch.Tensor, b: slice, start: Named, p: Named, needs_syn: bool
) -> tuple[Tensors, Tensors | None]:
    """Membrane, and synaptic current if it is needed, of one block of the batch, from what was kept of it."""
    if keep == "mem":
        return kept[:, b].unbind(0), None
    T = plan.num_steps
    cur = _steps(plan, kept, b) if keep == "cur" else kept[:, b].unbind(0)
    mem = kept.new_empty((T, *cur[0].shape)).unbind(0)
    spk = [torch.empty_like(mem[0], dtype=plan.surrogate.dtype)] * T
    if keep == "syn":  # Isyn drives a neuron without synapse or recurrence
        _forward(plan, cur, start, p | {"alpha": None, "weight": None}, spk, mem, None)
        return mem, cur
    syn = None
    if p["alpha"] is not None:
        syn = (
            kept.new_empty((T, *cur[0].shape)).unbind(0)
            if needs_syn
            else [torch.empty_like(mem[0])] * T
        )
    _forward(plan, cur, start, p, spk, mem, syn)
    return mem, syn


def _steps(plan: _Plan, cur: torch.Tensor, b: slice) -> Tensors:
    return [cur[b]] * plan.num_steps if plan.held else cur[:, b].unbind(0)


def _cut(tensors: Named, b: slice) -> Named:
    return {k: None if v is None else v[b] for k, v in tensors.items()}


def _compiled_forward(
    plan: _Plan, cur: torch.Tensor, start: Named, p: Named, spk: torch.Tensor, mem: torch.Tensor
) -> Callable[[slice], None]:
    """``_forward`` for flat steps by the compiled loops, as a function of the block; ``mem`` is (T, M) or (1, M)."""
    loops, drive = _loops(), cur[None] if plan.held else cur
    arrays = [_array(x) for x in (drive, *_each_neuron(start, p))]
    outs = [_array(x) for x in (spk, mem)]
    return lambda b: loops.forward(*arrays, loops.RESETS[plan.reset], *outs, b.start, b.stop)


def _compiled_backward(
    plan: _Plan,
    keep: str,
    kept: torch.Tensor,
    g_spk: torch.Tensor | None,
    g_mem: torch.Tensor | None,
    g_last: torch.Tensor | None,
    start: Named,
    p: Named,
    g: Named,
) -> Callable[[slice], dict[str, torch.Tensor]]:
    """``_backward`` for flat steps by the compiled loops, as a function of the block."""
    loops, step = _loops(), kept.shape[-1:]
    row, rows = kept.new_empty(0), kept.new_empty((0, 0))
    mem, cur = (kept, rows) if keep == "mem" else (rows, kept[None] if plan.held else kept)
    sums = {
        k: g[k] if g[k].dim() else kept.new_zeros(step)
        for k in ("beta", "theta")
        if g[k] is not None
    }
    d_cur = rows if g["cur"] is None else g["cur"][None] if plan.held else g["cur"]
    s = plan.surrogate
    kind, shift, factor = (0, s.shift, s.factor) if isinstance(s, _ATan) else (1, 1 / s.k, s.k**-2)
    ins = [
        _array(x)
        for x in (
            rows if g_spk is None else g_spk,
            rows if g_mem is None else g_mem,
            row if g_last is None else g_last,
            mem,
            cur,
            *_each_neuron(start, p),
        )
    ]
    outs = [
        _array(x)
        for x in (
            d_cur,
            sums.get("beta", row),
            sums.get("theta", row),
            row if g["mem0"] is None else g["mem0"],
        )
    ]

    def work(b: slice) -> dict[str, torch.Tensor]:
        loops.backward(
            *ins,
            plan.num_steps,
            loops.RESETS[plan.reset],
            kind,
            shift,
            factor,
            *outs,
            b.start,
            b.stop,
        )
        return {k: total[b].sum() for k, total in sums.items() if not g[k].dim()}

    return work


def _each_neuron(start: Named, p: Named) -> list[torch.Tensor]:
    """Membrane at the start, β and θ: one value a neuron, or one for all."""
    mem = p["beta"].new_zeros(1) if start["mem"] is None else start["mem"]
    return [x.reshape(-1) for x in (mem, p["beta"], p["theta"])]


def _array(x: torch.Tensor) -> Any:
    return x.detach().contiguous().numpy()


def _blocks(plan: _Plan, step: torch.Size, p: Named) -> list[Any]:
    """Parts of the batch that are run one after the other, so that a step's buffers stay in the CPU's cache.

    Not where the batch hangs together: a parameter that differs along it, a function of which nothing is known.
    """
    if plan.num_steps == 0 or math.prod(step) == 0:
        return []
    if not step:
        return [...]
    one, beta = [slice(0, step[0])], p["beta"]
    if beta.device.type != "cpu" or plan.surrogate.function is not None:
        return one
    if plan.compiled:
        size = -(-step[0] // _threads())
    elif plan.dense:  # a block a thread, in steps of 16 rows: matrix products want many
        number = min(_threads(), step[0] // 16)
        size = (
            -(-step[0] // (16 * number)) * 16
            if number > 1 and _splits_exactly(*step, beta.dtype)
            else step[0]
        )
    elif any(v is not None and v.dim() == len(step) for v in p.values()):
        return one
    else:
        number = -(-math.prod(step) // BLOCK)
        number += -number % _threads()
        size = -(-step[0] // number) if number > _threads() else step[0]
    return [slice(i, min(i + size, step[0])) for i in range(0, step[0], size)]


@lru_cache(maxsize=256)
def _splits_exactly(rows: int, columns: int, dtype: torch.dtype) -> bool:
    """Whether a matrix product over half of the rows gives the same bits as one over all of them, by trying it.

    Libraries may order the sums by the number of rows; spikes that have to equal snnTorch's forbid that.
    """
    g = torch.Generator().manual_seed(0)
    spk = (torch.rand(rows, columns, generator=g) > 0.5).to(dtype)
    weight = torch.randn(columns, columns, generator=g, dtype=dtype)
    bias = torch.randn(columns, generator=g, dtype=dtype)
    half = -(-rows // 32) * 16
    parts = [torch.addmm(bias, part, weight.t()) for part in (spk[:half], spk[half:])]
    return torch.equal(torch.cat(parts), torch.addmm(bias, spk, weight.t()))


def _threads() -> int:
    return min(torch.get_num_threads(), MAX_THREADS)


Result = TypeVar("Result")
_pool: tuple[int, int, ThreadPoolExecutor] | None = None


def _alone() -> None:
    """Keep PyTorch's operations inside this thread: a second team of OpenMP threads would slow the first for good."""
    torch.get_num_threads()  # the first question a thread asks sets its number; only then does another one stay
    torch.set_num_threads(1)


def _workers(n: int) -> ThreadPoolExecutor:
    """``n`` threads in which PyTorch does not start threads of its own; made once."""
    global _pool
    if _pool is None or _pool[:2] != (
        os.getpid(),
        n,
    ):  # a forked process has no threads but the one that forked
        pool, together = ThreadPoolExecutor(n, "unroll", initializer=_alone), Barrier(n)
        for started in [pool.submit(together.wait) for _ in range(n)]:
            started.result()
        torch.set_num_threads(
            torch.get_num_threads()
        )  # the workers have set the number for threads to come
        _pool = os.getpid(), n, pool
    return _pool[2]


def _each(blocks: list[Any], work: Callable[[Any], Result]) -> list[Result]:
    """``[work(b) for b in blocks]``, in several threads.

    PyTorch would share each operation among its threads, which then wait for one another a dozen times a step;
    here each thread takes whole blocks through all steps, and the operations run inside it.
    """
    n = min(len(blocks), _threads())
    if n < 2 or torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack():
        return [work(b) for b in blocks]
    inference, pool = torch.is_inference_mode_enabled(), _workers(_threads())

    def share(i: int) -> list[Result]:
        with torch.inference_mode(inference), torch.no_grad():  # both belong to a thread
            return [work(b) for b in blocks[i::n]]

    shares = [f.result() for f in [pool.submit(share, i) for i in range(n)]]
    return [shares[i % n][i // n] for i in range(len(blocks))]
