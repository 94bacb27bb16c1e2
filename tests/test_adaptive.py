"""multistep.adaptive: the fast path of adaptive neurons against the plain loop, autograd, finite differences, snnTorch."""

from __future__ import annotations

import math
from functools import partial

from multistep import Adaptation, unroll, unroll_adaptive

import pytest
import snntorch as snn
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor


class _Fire(torch.autograd.Function):
    """H(x) with the triangle as its derivative, for autograd through the plain loop."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g * 0.5 * (1 - x.abs()).clamp(min=0)


def plain(cur: Tensor, a: Adaptation, V: Tensor | None, reset_grad: bool) -> tuple[Tensor, Tensor]:
    """The equations of the module's docstring, a line each, differentiated by autograd."""
    syn = u = w = s = torch.zeros_like(cur[0])
    spikes, distances = [], []
    for cur_t in cur:
        taken = s if reset_grad else s.detach()
        syn = a.alpha * syn + cur_t
        if V is not None:
            syn = syn + s @ V.t()
        u = a.beta * u - a.on_mem * w + syn - a.reset * taken
        x = u - a.on_threshold * w - 1
        s = _Fire.apply(x)
        w = a.decay * w + a.by_mem * u + a.by_spk * s
        spikes.append(s)
        distances.append(x)
    return torch.stack(spikes), torch.stack(distances)


def layer(kind: str, H: int) -> Adaptation:
    """A LIF, an ALIF or an adLIF layer whose neurons differ."""
    beta = 0.7 + 0.3 * torch.rand(H)
    if kind == "LIF":
        return Adaptation(beta, reset=1.0)
    if kind == "synaptic":
        return Adaptation(beta, reset=1.0, alpha=0.5 * torch.rand(H))
    if kind == "ALIF":
        return Adaptation(
            beta, 0.95 + 0.05 * torch.rand(H), by_spk=1.0, on_mem=0.0, on_threshold=0.4, reset=1.0
        )
    return Adaptation(beta, beta, 2 * beta * (1 - torch.cos(torch.rand(H))), reset=0.5)


def gradients(way, cur: Tensor, V: Tensor | None, weights: Tensor) -> list[Tensor]:
    """Spikes, distances, and the gradients that a loss on both sends to the current and to V."""
    cur = cur.clone().requires_grad_()
    V = None if V is None else V.clone().requires_grad_()
    spk, x = way(cur, V)
    loss = (weights[0] * spk).sum() + (weights[1] * x).sum()
    wanted = [cur] if V is None else [cur, V]
    return [spk.detach(), x.detach(), *torch.autograd.grad(loss, wanted)]


@pytest.mark.parametrize("compiled", ["1", "0"])
@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from(["LIF", "synaptic", "ALIF", "adLIF"]),
    T=st.integers(1, 40),
    B=st.integers(1, 4),
    H=st.integers(1, 20),
    loop=st.booleans(),
    reset_grad=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_fast_path_is_the_plain_loop(
    compiled: str, kind: str, T: int, B: int, H: int, loop: bool, reset_grad: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    a = layer(kind, H)
    V = torch.randn(H, H) / H**0.5 if loop else None
    cur, weights = torch.randn(T, B, H), torch.randn(2, T, B, H)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNN_COMPILED", compiled)
        fast = gradients(
            lambda c, v: unroll_adaptive(c, a, v, reset_grad=reset_grad), cur, V, weights
        )
    slow = gradients(lambda c, v: plain(c, a, v, reset_grad), cur, V, weights)
    # with V a sum in another order may tip a spike that hung on the last bit; without, nothing may differ
    assume(not loop or torch.equal(fast[0], slow[0]))
    assert torch.equal(fast[0], slow[0])
    for got, expected in zip(fast[1:], slow[1:], strict=True):
        scale = max(1.0, expected.abs().max().item())
        assert torch.allclose(got, expected, rtol=1e-4, atol=1e-4 * scale)


def test_gradients_of_the_membrane_are_finite_differences() -> None:
    """In double precision, below the threshold, where nothing is made up: d(Σ weight·x)/dI, a step at a time."""
    torch.manual_seed(0)
    beta = torch.tensor([0.9, 0.97], dtype=torch.float64)
    a = Adaptation(beta, beta, 2 * beta * (1 - math.cos(0.3)))
    cur = (0.02 * torch.rand(12, 1, 2, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(12, 1, 2, dtype=torch.float64)
    spk, x = unroll_adaptive(cur, a)
    assert not spk.any()
    (got,) = torch.autograd.grad((weight * x).sum(), cur)
    for index in [(0, 0, 0), (3, 0, 1), (11, 0, 0)]:
        h = torch.zeros_like(cur)
        h[index] = 1e-6
        up = (weight * unroll_adaptive(cur.detach() + h, a)[1]).sum()
        down = (weight * unroll_adaptive(cur.detach() - h, a)[1]).sum()
        assert got[index].item() == pytest.approx((up - down).item() / 2e-6, rel=1e-6)


def test_a_second_variable_that_follows_the_new_membrane_turns_it_by_the_angle() -> None:
    """Without spikes the answer to one pulse is β^n·sin((n + 1)φ)/sin φ: eigenvalues β·e^(±iφ)."""
    beta, angle = 0.98, 2 * math.pi / 25
    a = Adaptation(beta, beta, 2 * beta * (1 - math.cos(angle)))
    cur = torch.zeros(80, 1, 1, dtype=torch.float64)
    cur[0] = 0.5
    u = unroll_adaptive(cur, a)[1].flatten() + 1
    # with u the new membrane, the two solutions combine to this (two steps of the recursion fix it)
    n = torch.arange(80, dtype=torch.float64)
    trace = 2 * beta * math.cos(angle)
    assert torch.allclose(u[2:], trace * u[1:-1] - beta**2 * u[:-2], atol=1e-12)
    c = (u[1] / beta - u[0] * math.cos(angle)) / math.sin(angle)
    closed = beta**n * (u[0] * torch.cos(n * angle) + c * torch.sin(n * angle))
    assert torch.allclose(u, closed, atol=1e-9)


@pytest.mark.parametrize(("loop", "alpha"), [(False, 0.0), (True, 0.0), (True, 0.6)])
def test_a_lif_layer_is_snntorchs(loop: bool, alpha: float) -> None:
    """Spikes and gradients of snn.Leaky, RLeaky and RSynaptic, whose reset is detached, with one surrogate."""
    torch.manual_seed(1)
    spike_grad = snn.surrogate.custom_surrogate(
        lambda x, g, s: g * 0.5 * (1 - x.abs()).clamp(min=0)
    )
    if loop:
        make = partial(snn.RSynaptic, alpha=alpha) if alpha else snn.RLeaky
        neuron = make(beta=0.9, linear_features=6, spike_grad=spike_grad)
        torch.nn.init.zeros_(neuron.recurrent.bias)
        V = neuron.recurrent.weight
    else:
        neuron, V = snn.Leaky(beta=0.9, spike_grad=spike_grad), None
    cur, weights = torch.rand(30, 3, 6), torch.randn(30, 3, 6)
    found = []
    for way in ("snnTorch", "fast"):
        x = cur.clone().requires_grad_()
        spk = unroll(neuron, x)[0] if way == "snnTorch" else None
        if spk is None:
            spk = unroll_adaptive(x, Adaptation(0.9, reset=1.0, alpha=alpha), V)[0]
        found.append([spk.detach(), *torch.autograd.grad((weights * spk).sum(), [x])])
    assert torch.equal(found[0][0], found[1][0]) and found[0][0].sum() > 0
    assert torch.allclose(found[0][1], found[1][1], atol=1e-5)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(T, B, H\)"):
        unroll_adaptive(torch.zeros(3, 4), Adaptation(0.9))
    with pytest.raises(ValueError, match=r"V \(4, 5\)"):
        unroll_adaptive(torch.zeros(3, 2, 4), Adaptation(0.9), torch.zeros(4, 5))
