"""Lesson 20: zero-order hold, scan against steps, run against forward, gradients, chance, operations, hostile flags."""

from __future__ import annotations

import math
from pathlib import Path

from multistep import unroll

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import check_refused, load_script
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

lesson = load_script("20_spiking_mamba_ssm")


def random_ssm(seed: int, H: int = 5, N: int = 3, delta: str = "learnt") -> torch.nn.Module:
    torch.manual_seed(seed)
    ssm = lesson.SSM(H, N, 0.4, delta)
    with torch.no_grad():
        ssm.a.add_(torch.randn(H, N))
        ssm.omega.add_(torch.randn(H, N))
    return ssm


# -------------------------------------------------------------------- the recursion


@settings(max_examples=60, deadline=None)
@given(
    T=st.integers(1, 300),
    seed=st.integers(0, 2**31 - 1),
    kind=st.sampled_from([torch.float32, torch.complex64]),
)
def test_scan_equals_steps(T: int, seed: int, kind: torch.dtype) -> None:
    g = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(T, 2, 3, dtype=kind, generator=g) for _ in range(2))
    a = a / a.abs().clamp(min=1)  # stable, as |Ā| ≤ 1 makes it
    truth, h = [], torch.zeros(2, 3, dtype=kind)
    for t in range(T):
        h = a[t] * h + b[t]
        truth.append(h)
    truth = torch.stack(truth)
    for way in (lesson.scan, lesson.steps):
        assert (way(a, b) - truth).abs().max() <= 1e-4 * truth.abs().max()


@settings(max_examples=100)
@given(st.lists(st.complex_numbers(max_magnitude=10), min_size=6, max_size=6))
def test_the_operation_of_the_scan_is_associative(v: list[complex]) -> None:
    def join(
        second: tuple[complex, complex], first: tuple[complex, complex]
    ) -> tuple[complex, complex]:
        return second[0] * first[0], second[0] * first[1] + second[1]

    x, y, z = (v[0], v[1]), (v[2], v[3]), (v[4], v[5])
    assert np.allclose(join(z, join(y, x)), join(join(z, y), x))


def test_the_scan_takes_logarithmically_many_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds, scan = [], lesson.scan
    monkeypatch.setattr(lesson, "scan", lambda a, b: rounds.append(len(a)) or scan(a, b))
    lesson.scan(torch.ones(1024, 1), torch.ones(1024, 1))
    assert rounds == [2**k for k in range(10, -1, -1)]  # down and up again: 2·log₂T in all


@pytest.mark.parametrize("way", ["steps", "scan"])
@pytest.mark.parametrize("kind", [torch.float64, torch.complex128])
def test_the_backward_recursion_against_finite_differences(way: str, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    a, b = (torch.randn(7, 2, dtype=kind, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(
        lambda a, b: lesson.Recurrence.apply(a, b, getattr(lesson, way)), (a, b)
    )


# -------------------------------------------------------------------- the state space model


def test_zero_order_hold_against_the_matrix_exponential() -> None:
    """e^(Δ·[[A, B], [0, 0]]) holds Ā and B̄ in its first row; no formula of the lesson is used."""
    ssm = random_ssm(1)
    dt = ssm.delta(torch.zeros(5)).detach()
    A_bar, B_bar = (v.detach().numpy() for v in ssm.discretise(dt))
    A = (-ssm.a.exp() + 1j * ssm.omega).detach().numpy()
    for h, n in np.ndindex(*A.shape):
        block = expm(dt[h].item() * np.array([[A[h, n], 1], [0, 0]]))
        assert np.allclose(block[0], [A_bar[h, n], B_bar[h, n]], atol=1e-5)


@given(a=st.floats(-8, 8), omega=st.floats(-100, 100), dt=st.floats(1e-3, 10))
def test_no_parameter_makes_a_state_explode(a: float, omega: float, dt: float) -> None:
    ssm = lesson.SSM(1, 1, 0.1)
    with torch.no_grad():
        ssm.a.fill_(a)
        ssm.omega.fill_(omega)
        assert ssm.discretise(torch.tensor([dt]))[0].abs().item() <= 1


def test_one_real_state_is_a_lif_below_its_threshold() -> None:
    ssm, dt, alpha = lesson.SSM(1, 1, 0.1), 0.1, 2.0
    with torch.no_grad():
        ssm.a.fill_(math.log(alpha))
        ssm.omega.zero_()
        ssm.C.copy_(torch.tensor([1.0, 0.0]))
        ssm.D.zero_()
        beta = math.exp(-dt * alpha)
        x = torch.randn(80, 3, 1)
        mem = unroll(snn.Leaky(beta=beta, threshold=1e9), (1 - beta) / alpha * x, record_mem=True)[
            1
        ]
        assert torch.allclose(ssm.run(x), mem, atol=1e-5)


@pytest.mark.parametrize("delta", ["frozen", "learnt", "input"])
@pytest.mark.parametrize("T", [1, 2, 37, 196])
def test_all_forms_of_an_ssm_agree(delta: str, T: int) -> None:
    ssm, x = random_ssm(2, delta=delta), torch.randn(T, 4, 5)
    with torch.no_grad():
        truth = ssm.step_through(x)
        for y in (ssm.run(x), ssm.run(x, lesson.scan), ssm.run(x, lesson.steps)):
            assert (y - truth).abs().max() <= 1e-4 * truth.abs().max()


@pytest.mark.parametrize("way", [None, "scan", "steps"])
@pytest.mark.parametrize("delta", ["learnt", "input"])
def test_gradients_are_those_of_autograd_through_the_steps(delta: str, way: str | None) -> None:
    ssm, x, found = random_ssm(3, delta=delta), torch.randn(50, 2, 5, requires_grad=True), []
    for run in (ssm.step_through, lambda x: ssm.run(x, getattr(lesson, way) if way else None)):
        found.append(torch.autograd.grad(run(x).square().sum(), [*ssm.parameters(), x]))
    for one, other in zip(*found, strict=True):
        assert (one - other).abs().max() <= 1e-4 * one.abs().max()


def test_frozen_means_frozen() -> None:
    ssm = random_ssm(0, delta="frozen")
    ssm.run(torch.randn(5, 1, 5)).sum().backward()
    assert ssm.bias.grad is None and ssm.a.grad is not None
    assert torch.allclose(
        torch.nn.functional.softplus(ssm.bias), 0.4 * torch.logspace(0, math.log10(0.02), 5)
    )


# -------------------------------------------------------------------- spikes and the network


def test_spikes_by_chance_have_their_mean_and_their_surrogate() -> None:
    torch.manual_seed(0)
    levels = torch.tensor([-0.5, 0.0, 0.2, 0.5, 0.9, 1.5])
    y = levels.repeat(20_000, 1).requires_grad_()
    spk = lesson.sample(y)
    assert set(spk.unique().tolist()) == {0.0, 1.0}  # exactly binary, although p − p stands in it
    assert torch.allclose(spk.mean(0), levels.clamp(0, 1), atol=0.015)
    weight = torch.randn(6)
    (spk * weight).sum().backward()
    inside = torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0])  # at 0 itself either is right
    assert torch.equal(y.grad[0][[0, 2, 3, 4, 5]], (weight[[0, 2, 3, 4, 5]] * inside))


@pytest.mark.parametrize(
    "kind", [k for k in lesson.KINDS if k != "stochastic"]
)  # that one draws anew
@pytest.mark.parametrize("changes", [{}, {"delta": "input"}, {"num_state": 0}])
def test_the_network_stepped_is_the_network_run(kind: str, changes: dict[str, object]) -> None:
    torch.manual_seed(4)
    net, x = (
        lesson.Net(**({"num_hidden": 12, "num_blocks": 2, "num_state": 3, "kind": kind} | changes)),
        2 * torch.randn(60, 3, 1),
    )
    net.train()
    net.run(x)  # running means of BatchNorm that are not those of the start
    net.eval()
    with torch.no_grad():
        recs, scores = net.run(x)
        for _ in range(2):  # reset forgets everything
            net.reset()
            steps = [net(x_t) for x_t in x]
            assert (torch.stack([s for s, _ in steps]) - recs[-1]).abs().max() < 1e-4
            assert torch.allclose(torch.stack([y for _, y in steps])[-15:], scores, atol=1e-4)
    assert len(recs) == 2 and scores.shape == (15, 3, 10) and recs[-1].abs().sum() > 0
    if kind != "GELU":
        assert set(recs[0].unique().tolist()) == {0.0, 1.0}


def test_memory_of_inference_does_not_grow() -> None:
    net, sizes = lesson.Net(8, 2, 3).eval(), []
    with torch.no_grad():
        for _ in range(3):
            for _ in range(50):
                net(torch.randn(1, 1))
            sizes.append([b.ssm.state.shape for b in net.blocks])
    assert sizes[0] == sizes[1] == sizes[2] == [torch.Size([1, 8, 3])] * 2


def test_cached_attention_is_causal_softmax_attention() -> None:
    torch.manual_seed(0)
    layer, x = lesson.Attention(8, 20, heads=2), torch.randn(20, 1, 8)
    with torch.no_grad():
        out = torch.stack([layer(x_t) for x_t in x])[:, 0]  # (t, H)
        q, k, v = layer.qkv(x[:, 0]).view(20, 3, 2, 4).permute(1, 2, 0, 3)  # (heads, t, d) each
        truth = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(out, truth.transpose(0, 1).flatten(1), atol=1e-5)


def test_the_sequence_is_the_image_pixel_by_pixel() -> None:
    image = torch.rand(2, 1, 28, 28)
    x = lesson.encode(image, 784)
    assert x.shape == (784, 2, 1) and torch.allclose(
        x[30, 1, 0] * 0.3 + 0.13, image[1, 0, 1, 2], atol=1e-6
    )
    small = lesson.encode(image, 196)
    assert torch.allclose(small[15, 0, 0] * 0.3 + 0.13, image[0, 0, 2:4, 2:4].mean(), atol=1e-6)
    whole = (image * 255).to(torch.uint8)
    assert torch.equal(lesson.encode(whole, 196), lesson.encode(whole.float() / 255, 196))
    assert lesson.encode(image, 2).shape == (2, 2, 1)


def test_operations_against_a_count_by_hand() -> None:
    """Spikes leave by H synapses each; without spikes every neuron would, at every step."""
    net, T = lesson.Net(6, 2, 4), 40
    ops = {name.split(":")[0]: count for name, count, _ in lesson.operations(net, T, 2 * T * 6)}
    assert (
        ops["mixing, by spikes"] == ops["mixing, without spikes"] == 2 * T * 6 * 6
    )  # all neurons at all steps
    assert ops["states, spikes or not"] == 2 * T * 6 * (4 * 8 + 1)
    assert ops["encoder and read-out"] == T * 6 + 10 * 60


def test_discretisation_fails_the_wrong_way_and_holds_the_right_way() -> None:
    d = lesson.experiment_discretise(lesson.Config())
    assert d["explode"] == 7 and d["euler"] > 1e3 and d["zoh"] < 1e-4 and d["lif"] < 1e-4


@pytest.mark.parametrize(
    "flags",
    [
        ("--num-steps", "785"),
        ("--num-state", "0"),
        ("--dt-max", "0"),
        ("--seeds", "0"),
        ("--lr", "nan"),
        ("--epochs", "two"),
        ("--batch-size", "1"),
    ],
)
def test_bad_flags_end_in_one_line(
    flags: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    check_refused(lesson, flags, capsys, tmp_path)
