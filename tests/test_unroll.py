"""The fast unroll against stepping snnTorch's modules: the same spikes bit by bit, the same gradients.

Needs torch, snnTorch, hypothesis and pytest only, so it also runs with another snnTorch in front of the path.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

from common.spiking import hold
from multistep import compiled as loops
from multistep import over_segments, saved_for_backward, step_through, threads, unroll
from multistep.plan import STATES, Plan, make_plan

import pytest
import snntorch as snn
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from snntorch import surrogate
from torch import nn


@pytest.fixture(autouse=True, scope="module")
def two_threads() -> Iterator[None]:
    """The fast paths share their work between threads; for the tests of other files nothing changes."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class HandMade(torch.autograd.Function):
    """A surrogate as lesson 07 writes one: snnTorch knows nothing of it."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).float()

    @staticmethod
    def backward(ctx, g):
        return g / (1 + ctx.saved_tensors[0].abs()) ** 3


SURROGATES = {
    "default": None,
    "atan": surrogate.atan(3.0),
    "fast_sigmoid": surrogate.fast_sigmoid(10),
    "sigmoid": surrogate.sigmoid(2),
    "straight": surrogate.straight_through_estimator(),
    "triangular": surrogate.triangular(),
    "escape": surrogate.spike_rate_escape(slope=1),
    "sparse": surrogate.SFS(5, -1),
    "custom": surrogate.custom_surrogate(lambda x, g, s: g / (3 * x.abs() + 1) ** 2 + 0 * s),
    "hand-made": HandMade.apply,
}


def make(
    kind,
    n,
    *,
    vector=False,
    learn=False,
    spike_grad=None,
    reset="subtract",
    one_to_one=False,
    seed=0,
    shape=None,
):
    """A neuron layer of ``n`` units with parameters that exercise the clamp (β beyond 1) when they differ by unit."""
    g = torch.Generator().manual_seed(seed)
    draw = lambda low, high: low + (high - low) * torch.rand(shape or (n,), generator=g)  # noqa: E731
    torch.manual_seed(seed)
    options = {
        "beta": draw(0.3, 1.2) if vector else 0.9,
        "threshold": draw(0.4, 1.2) if vector else 0.8,
        "spike_grad": spike_grad,
        "reset_mechanism": reset,
        "learn_beta": learn,
        "learn_threshold": learn,
    }
    if "Synaptic" in kind:
        options |= {"alpha": draw(0.1, 1.1) if vector else 0.6, "learn_alpha": learn}
    if kind.startswith("R"):
        options |= (
            {"all_to_all": False, "V": draw(-1, 1) if vector else 0.3}
            if one_to_one
            else {"linear_features": n}
        )
    return getattr(snn, kind)(**options)


def start_of(kind, shape, g):
    parts = {
        "mem": torch.randn(shape, generator=g),
        "syn": torch.randn(shape, generator=g),
        "spk": (torch.rand(shape, generator=g) > 0.5).float(),
    }
    return tuple(parts[n] for n in STATES[getattr(snn, kind)])


def gradients(run, neuron, cur, state, weights, **options):
    """Outputs of ``run``, and the gradients of a loss on all of them. The loss is positive, lest terms cancel."""
    neuron.zero_grad()
    cur = cur.detach().clone().requires_grad_()
    state = None if state is None else tuple(s.clone().requires_grad_() for s in state)
    spk, mem, after = run(neuron, cur, state, **options)
    loss = (spk * weights[0]).sum() + sum(
        (a * w).sum() for a, w in zip(after, weights[1], strict=True)
    )
    if mem is not None:
        loss = loss + (mem * weights[2]).sum()
    loss.backward()
    found = {"cur": cur.grad} | {k: p.grad for k, p in neuron.named_parameters()}
    if state is not None:
        found |= {f"state {i}": s.grad for i, s in enumerate(state)}
    return (spk, mem, after), found


def assert_same(neuron, cur, state, *, record_mem=True, tolerance=1e-5, seed=0, **options):
    g = torch.Generator().manual_seed(seed)
    weight = lambda shape: (0.1 + torch.rand(shape, generator=g)).to(cur.device)  # noqa: E731
    weights = (
        weight(cur.shape),
        [weight(cur.shape[1:]) for _ in STATES[type(neuron)]],
        weight(cur.shape),
    )
    (spk, mem, after), expected = gradients(
        step_through, neuron, cur, state, weights, record_mem=record_mem
    )
    (spk2, mem2, after2), found = gradients(
        unroll, neuron, cur, state, weights, record_mem=record_mem, **options
    )
    assert torch.equal(spk, spk2) and spk.dtype == spk2.dtype
    assert mem is mem2 is None or torch.equal(mem, mem2)
    for a, b in zip(after, after2, strict=True):
        assert torch.equal(a, b)
    parameters = dict(neuron.named_parameters())
    # a single number's gradient is a sum over everything whose terms may cancel: the scale is that of all parameters
    norms = [e.norm() for k, e in expected.items() if e is not None and k in parameters]
    scale = torch.stack(norms or [torch.zeros((), device=cur.device)])
    for name, a in expected.items():
        b = found[name]
        if a is None or b is None:
            assert (0 if a is None else a.abs().max()) == (0 if b is None else b.abs().max()), name
            continue
        assert a.shape == b.shape and a.dtype == b.dtype
        size = max(a.norm(), scale.norm()) if name in parameters else a.norm()
        error = ((a - b).norm() / size.clamp_min(1e-12)).item()
        assert error < tolerance, f"{name}: {error:.1e}"


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(
    kind=st.sampled_from(["Leaky", "Synaptic", "RLeaky", "RSynaptic"]),
    reset=st.sampled_from(["subtract", "zero", "none"]),
    spike_grad=st.sampled_from(sorted(SURROGATES)),
    vector=st.booleans(),
    learn=st.booleans(),
    one_to_one=st.booleans(),
    with_state=st.booleans(),
    record_mem=st.booleans(),
    recompute=st.booleans(),
    T=st.integers(1, 12),
    B=st.integers(1, 5),
    N=st.integers(1, 9),
    block=st.sampled_from([1, 4, 10_000]),
    compiled=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_stepping(
    kind,
    reset,
    spike_grad,
    vector,
    learn,
    one_to_one,
    with_state,
    record_mem,
    recompute,
    T,
    B,
    N,
    block,
    compiled,
    seed,
):
    neuron = make(
        kind,
        N,
        vector=vector,
        learn=learn,
        spike_grad=SURROGATES[spike_grad],
        reset=reset,
        one_to_one=one_to_one,
        seed=seed,
    )
    g = torch.Generator().manual_seed(seed)
    cur = 0.3 + 0.5 * torch.randn(T, B, N, generator=g)
    state = start_of(kind, (B, N), g) if with_state else None
    before = threads.BLOCK, loops.COMPILED_FROM
    threads.BLOCK, loops.COMPILED_FROM = block, 0 if compiled else 1 << 60
    try:
        assert isinstance(make_plan(neuron, cur, state, record_mem, recompute), Plan)
        assert_same(neuron, cur, state, record_mem=record_mem, recompute=recompute, seed=seed)
    finally:
        threads.BLOCK, loops.COMPILED_FROM = before


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
@pytest.mark.parametrize("shape", [None, (3, 1, 1), (1, 4, 5), (1,), (2, 3, 4, 5)])
def test_images(kind, shape):
    """A layer of channels: parameters by neuron, channel, row, or even by sample."""
    neuron = make(kind, 0, vector=shape is not None, learn=True, shape=shape)
    assert_same(neuron, 0.3 + torch.rand(6, 2, 3, 4, 5), None)
    channels_last = (
        (0.3 + torch.rand(6 * 2, 3, 4, 5))
        .to(memory_format=torch.channels_last)
        .unflatten(0, (6, 2))
    )
    assert_same(neuron, channels_last, None)


@pytest.mark.parametrize("kind", list(k.__name__ for k in STATES))
def test_large_layer_in_several_threads(kind):
    """More than one block of the batch, so that threads share the work; and the sums are the same every time."""
    neuron = make(kind, 300, vector=True, learn=True, one_to_one=True)
    cur = 0.3 + 0.5 * torch.randn(5, 300, 300)
    assert_same(neuron, cur, None)
    grads = []
    for _ in range(2):
        neuron.zero_grad()
        unroll(neuron, cur)[0].sum().backward()
        grads.append(torch.cat([p.grad.flatten() for p in neuron.parameters()]))
    assert torch.equal(*grads)


def test_workers_start_no_threads_of_their_own():
    """A worker's large operation stays inside it: a second OpenMP team halved the speed of all other PyTorch code."""
    here, big = torch.get_num_threads(), torch.rand(1 << 20)
    pool = threads._workers(2)
    assert [
        pool.submit(lambda: (big * big, torch.get_num_threads())[1]).result() for _ in range(4)
    ] == [1] * 4
    assert torch.get_num_threads() == here


@pytest.mark.parametrize("kind", list(k.__name__ for k in STATES))
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("record_mem", [False, True])
def test_held_current(kind, recompute, compiled, record_mem, monkeypatch):
    """A constant current gives the gradient of the one step it is, whether the membrane was kept or is made again."""
    monkeypatch.setattr(loops, "COMPILED_FROM", 0 if compiled else 1 << 60)
    neuron = make(kind, 6, learn=True)
    y = (0.2 + torch.rand(4, 6)).requires_grad_()
    spk, mem, _ = unroll(neuron, hold(y, 9), record_mem=record_mem, recompute=recompute)
    (spk.sum() + (mem.sum() if record_mem else 0)).backward()
    found = [y.grad] + [p.grad for p in neuron.parameters()]
    y2 = y.detach().clone().requires_grad_()
    neuron.zero_grad()
    spk2, mem2, _ = step_through(neuron, y2.expand(9, 4, 6), record_mem=True)
    (spk2.sum() + (mem2.sum() if record_mem else 0)).backward()
    assert torch.equal(spk, spk2) and (mem is None or torch.equal(mem, mem2))
    for a, b in zip([y2.grad] + [p.grad for p in neuron.parameters()], found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", list(k.__name__ for k in STATES))
@pytest.mark.parametrize("one_to_one", [False, True])
@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_finite_differences(kind, one_to_one, reset):
    """With a smooth function for spikes, in float64; the reset is detached, so it is off or kept out of reach."""
    smooth = lambda x: torch.sigmoid(4 * x)  # noqa: E731
    neuron = make(
        kind, 3, vector=True, learn=True, spike_grad=smooth, one_to_one=one_to_one, reset="none"
    ).double()
    if (
        reset != "none"
    ):  # (a neuron with detached reset has no function whose difference it could be)
        neuron = make(
            kind, 3, vector=True, spike_grad=smooth, one_to_one=one_to_one, reset=reset
        ).double()
        neuron.threshold.fill_(30.0)
    neuron.beta.data.clamp_(0.1, 0.9)
    for name, buffer in [*neuron.named_parameters(), *neuron.named_buffers()]:
        assert buffer.dtype == torch.float64 or not buffer.is_floating_point(), name
    cur = torch.rand(5, 2, 3, dtype=torch.float64).requires_grad_()
    state = tuple(
        torch.rand(2, 3, dtype=torch.float64).requires_grad_() for _ in STATES[type(neuron)]
    )
    assert isinstance(make_plan(neuron, cur, state, True, False), Plan)
    names = [k for k, p in neuron.named_parameters() if p.requires_grad]

    def run(cur, *rest):
        for name, value in zip(names, rest[len(state) :], strict=True):
            owner, _, leaf = name.rpartition(".")
            target = neuron.get_submodule(owner)
            target._parameters.pop(leaf, None)
            object.__setattr__(target, leaf, value)
            if leaf == "V" and owner == "":
                neuron.recurrent._parameters.pop("V", None)
                object.__setattr__(neuron.recurrent, "V", value)
        spk, mem, after = unroll(neuron, cur, rest[: len(state)], record_mem=True)
        return (spk, mem, *after[-1:])

    values = [neuron.get_parameter(n).detach().clone().requires_grad_() for n in names]
    assert torch.autograd.gradcheck(run, (cur, *state, *values), eps=1e-6, atol=1e-7, rtol=1e-5)


def test_more_than_one_layer_and_a_carried_state():
    """Two halves with the state handed over equal the whole, gradients included."""
    neuron = make("RSynaptic", 5, learn=True)
    cur = torch.rand(10, 3, 5)
    whole, mem, after = unroll(neuron, cur, record_mem=True)
    (whole.sum() + mem.sum()).backward()
    expected = [p.grad.clone() for p in neuron.parameters()]
    neuron.zero_grad()
    spk1, mem1, state = unroll(neuron, cur[:4], record_mem=True)
    spk2, mem2, after2 = unroll(neuron, cur[4:], state, record_mem=True)
    (spk1.sum() + spk2.sum() + mem1.sum() + mem2.sum()).backward()
    assert torch.equal(whole, torch.cat([spk1, spk2])) and torch.equal(mem, torch.cat([mem1, mem2]))
    assert all(torch.equal(a, b) for a, b in zip(after, after2, strict=True))
    for p, e in zip(neuron.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, e, rtol=1e-4, atol=1e-5)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 20), nn.Linear(20, 4)
        self.lif1, self.lif2 = snn.Leaky(beta=0.9), make("RLeaky", 4, learn=True)

    def run(self, x, state=None):
        state1, state2 = state or (None, None)
        spk1, _, state1 = unroll(self.lif1, self.fc1(x), state1)
        spk2, mem2, state2 = unroll(self.lif2, self.fc2(spk1), state2, record_mem=True)
        return (spk2, mem2), (state1, state2)


@pytest.mark.parametrize("segments", [None, 1, 3, 100])
def test_over_segments(segments):
    torch.manual_seed(0)
    net, x = Net(), torch.rand(11, 4, 6)
    (spk, mem), _ = net.run(x)
    (spk.sum() + mem.sum()).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    (spk2, mem2), state = over_segments(net.run, x, segments=segments)
    (spk2.sum() + mem2.sum()).backward()
    assert torch.equal(spk, spk2) and torch.equal(mem, mem2) and torch.equal(state[1][1], mem[-1])
    for p, e in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, e, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert torch.equal(over_segments(net.run, x, segments=segments)[0][0], spk)


# ------------------------------------------------------------------ what must be stepped, is


FALLBACKS = {
    "graded, recurrent": lambda: _graded(make("RLeaky", 4)),
    "reset at once": lambda: snn.Leaky(beta=0.9, reset_delay=False),
    "state_quant": lambda: snn.Leaky(
        beta=0.9, state_quant=lambda x: x + (x.round(decimals=1) - x).detach()
    ),
    "random spikes": lambda: snn.Leaky(
        beta=0.9, spike_grad=lambda x: torch.sigmoid(x).detach().bernoulli() + 0 * x
    ),
    "a learnt surrogate": lambda: snn.Leaky(beta=0.9, spike_grad=_Learnt()),
    "a subclass": lambda: type("Mine", (snn.Leaky,), {})(beta=0.9),
    "a hook": lambda: _hooked(snn.Leaky(beta=0.9)),
    "recurrent convolution": lambda: snn.RLeaky(beta=0.9, conv2d_channels=2, kernel_size=3),
    "Alpha": lambda: snn.Alpha(alpha=0.9, beta=0.8),
    "Lapicque": lambda: snn.Lapicque(beta=0.9),
    "SLSTM": lambda: snn.SLSTM(4, 4),
}


class _Learnt(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(3.0))

    def forward(self, x):
        return torch.sigmoid(self.slope * x)


def _graded(neuron):
    neuron.graded_spikes_factor = torch.tensor(2.0)
    return neuron


def _hooked(neuron):
    neuron.calls = 0

    def count(m, _inputs, _out):
        m.calls += 1

    neuron.register_forward_hook(count)
    return neuron


@pytest.mark.parametrize("name", FALLBACKS)
def test_fallback(name):
    torch.manual_seed(0)
    neuron = FALLBACKS[name]()
    shape = (7, 3, 2, 5, 5) if "convolution" in name else (7, 3, 4)
    cur = torch.rand(shape).requires_grad_()
    torch.manual_seed(1)
    spk, mem, after = unroll(neuron, cur, record_mem=True)
    (spk.sum() + mem.sum()).backward()
    if name == "a hook":
        assert neuron.calls == 7
    neuron.init_hidden = False
    torch.manual_seed(1)
    neuron.reset_mem()
    recs = [neuron(c) for c in cur]
    assert torch.equal(spk, torch.stack([r[0] for r in recs])) and torch.equal(
        mem, torch.stack([r[-1] for r in recs])
    )
    assert torch.isfinite(cur.grad).all() and cur.grad.abs().sum() > 0
    torch.manual_seed(1)
    again, _, _ = unroll(neuron, cur, recompute=True)
    assert torch.equal(again, spk)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
def test_half_precision_is_snntorchs(kind, reset, dtype):
    """Spikes are float32, so snnTorch's membrane is promoted after the first reset: in value and in type."""
    torch.manual_seed(0)
    options = {"alpha": 0.8} if kind == "Synaptic" else {}
    neuron = getattr(snn, kind)(beta=0.9, reset_mechanism=reset, **options)
    cur = (torch.randn(30, 4, 20) * 0.5 + 0.1).to(dtype)
    spk, mem, _ = unroll(neuron, cur, record_mem=True)
    first, _, state = unroll(neuron, cur[:11])
    second, _, _ = unroll(neuron, cur[11:], state)
    again, _, _ = unroll(neuron, cur.requires_grad_(), recompute=True)
    state = neuron.reset_mem()
    state = state if isinstance(state, tuple) else (state,)
    for t, step in enumerate(cur.detach()):
        s, *state = neuron(step, *state)
        assert torch.equal(spk[t], s) and torch.equal(mem[t], state[-1].to(mem.dtype))
    assert spk.sum() > 100 and torch.equal(torch.cat((first, second)), spk)
    assert torch.equal(again, spk)


def test_a_learnt_surrogate_keeps_its_gradient():
    neuron = snn.Leaky(beta=0.9, spike_grad=_Learnt())
    unroll(neuron, torch.rand(5, 2, 3))[0].sum().backward()
    assert neuron.spike_grad.slope.grad.abs() > 0


def test_graded_spikes_and_switched_off_surrogate():
    cur = torch.rand(8, 3, 4)
    neuron = snn.Leaky(beta=0.9, graded_spikes_factor=2.5, learn_graded_spikes_factor=True)
    assert_same(neuron, cur, None)
    off = snn.Leaky(beta=0.9, surrogate_disable=True)
    assert_same(off, cur, None)


def test_reset_mechanism_set_afterwards_follows_snntorch():
    """Setting the attribute changes what is stored, not what is done: the neuron goes on as it was made."""
    neuron = snn.Leaky(beta=0.9, reset_mechanism="subtract")
    neuron.reset_mechanism = "zero"
    assert_same(neuron, torch.rand(8, 3, 4), None)


def test_own_state_is_untouched():
    neuron = snn.Leaky(beta=0.9, init_hidden=True)
    neuron(torch.rand(3, 4))
    before = neuron.mem
    spk, _, _ = unroll(neuron, torch.rand(5, 3, 4))
    assert neuron.mem is before and neuron.init_hidden and spk.shape == (5, 3, 4)


def test_wrong_state_is_named():
    neuron = snn.Synaptic(alpha=0.9, beta=0.8)
    with pytest.raises(ValueError, match=r"\(2, 4\).*expected syn and mem of shape \(3, 4\)"):
        unroll(neuron, torch.rand(5, 3, 4), (torch.rand(2, 4), torch.rand(3, 4)))
    with pytest.raises(ValueError, match="expected syn and mem"):
        unroll(neuron, torch.rand(5, 3, 4), (torch.rand(3, 4),))


def test_hostile_values():
    """Infinity and NaN go where they go in snnTorch; an empty sequence or batch gives an empty record."""
    cur = torch.tensor([0.5, float("inf"), float("-inf"), float("nan"), 3e38, -3e38, 1e-45]).repeat(
        6, 2, 1
    )
    for reset in ("subtract", "zero", "none"):
        neuron = snn.Leaky(beta=0.9, reset_mechanism=reset)
        spk, mem, _ = unroll(neuron, cur, record_mem=True)
        spk2, mem2, _ = step_through(neuron, cur, record_mem=True)
        assert torch.equal(spk, spk2) and torch.equal(mem.nan_to_num(7.0), mem2.nan_to_num(7.0))
    spk, mem, (last,) = unroll(neuron, torch.zeros(0, 3, 4), record_mem=True)
    assert spk.shape == mem.shape == (0, 3, 4) and torch.equal(last, torch.zeros(3, 4))
    assert unroll(neuron, torch.zeros(3, 0, 4))[0].shape == (3, 0, 4)
    assert unroll(neuron, torch.zeros(3))[0].shape == (3,)


def test_inference_mode_and_no_grad():
    neuron = make("Leaky", 400, vector=True, learn=True)
    cur = torch.rand(4, 400, 400)
    expected = step_through(neuron, cur)[0]
    with torch.inference_mode():
        assert torch.equal(unroll(neuron, cur)[0], expected)
    with torch.no_grad():
        spk, _, _ = unroll(neuron, cur)
    assert torch.equal(spk, expected) and not spk.requires_grad


def kept_by(run):
    """Bytes that autograd keeps alive: each storage once, parameters and inputs left out by the caller."""
    storages = {}

    def pack(t):
        storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        out = run()
        gc.collect()
    return sum(storages.values()), out


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
def test_memory(kind):
    """One float a neuron a step with fixed or learnt decay: what the loop keeps, and half of it (or less)."""
    T, B, N = 50, 4, 100
    cur = torch.rand(T, B, N).requires_grad_()
    one = T * B * N * 4
    for learn, ratio in ((False, 1.05), (True, 0.55)):
        neuron = make(kind, N, learn=learn)
        ours, out = kept_by(lambda n=neuron: unroll(n, cur))
        loop, out2 = kept_by(lambda n=neuron: [*step_through(n, cur)])
        assert ours < 1.05 * one and ours <= ratio * loop, (ours, loop, one)
    held, out = kept_by(
        lambda: unroll(neuron, hold(torch.rand(B, N).requires_grad_(), T), recompute=True)
    )
    assert held < 0.1 * one


def test_compiled_loops_can_be_turned_off_or_absent_and_change_no_spike(monkeypatch):
    """``SNN_COMPILED=0``, and a machine without numba, take PyTorch's operations: the same spikes and gradients."""
    import sys

    monkeypatch.setattr(loops, "COMPILED_FROM", 0)
    cur, found = torch.randn(9, 4, 33, generator=torch.Generator().manual_seed(1)), []
    for how in ("compiled", "off", "absent"):
        loops.loops.cache_clear()
        loops.loaded.cache_clear()
        with monkeypatch.context() as m:
            m.setenv("SNN_COMPILED", "0" if how == "off" else "1")
            if how == "absent":
                m.delitem(sys.modules, "multistep.compiled_loops", raising=False)
                m.delattr("multistep.compiled_loops", raising=False)
                m.setitem(sys.modules, "numba", None)
            neuron, x = snn.Leaky(beta=0.8, learn_beta=True), cur.clone().requires_grad_()
            assert (make_plan(neuron, x).path == "compiled") == (how == "compiled")
            spk, _, _ = unroll(neuron, x)
            spk.sum().backward()
            found.append((spk.detach(), x.grad, neuron.beta.grad))
    loops.loops.cache_clear()
    loops.loaded.cache_clear()
    for other in found[1:]:
        assert torch.equal(found[0][0], other[0])
        assert torch.allclose(found[0][1], other[1], atol=1e-6) and torch.allclose(
            found[0][2], other[2], rtol=1e-5
        )


def test_compiled_loops_keep_one_step_of_a_current_that_stays(monkeypatch):
    """Neither the membrane nor the spikes are held for backward; a wide layer is made again in several blocks."""
    monkeypatch.setattr(loops, "COMPILED_FROM", 0)
    T, y = 40, (torch.randn(3, 5000, generator=torch.Generator().manual_seed(0))).requires_grad_()
    with saved_for_backward([y]) as kept:
        spk, _, _ = unroll(snn.Leaky(beta=0.9), hold(y, T))
        assert kept() < 1000
    spk.mul(torch.arange(T).view(T, 1, 1)).sum().backward()
    found, y.grad = y.grad, None
    spk, _, _ = step_through(snn.Leaky(beta=0.9), y.expand(T, 3, 5000))
    spk.mul(torch.arange(T).view(T, 1, 1)).sum().backward()
    torch.testing.assert_close(found, y.grad, rtol=1e-4, atol=1e-4)
