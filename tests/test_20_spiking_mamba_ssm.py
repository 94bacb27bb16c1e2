"""Lesson 20: zero-order hold, scan against steps, run against forward, gradients, chance, operations, hostile flags."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

from common.lesson import begin
from multistep import unroll

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import check_refused, load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import Always, marked_splits
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


# -------------------------------------------------------------------- what is published


class Scores(Always):
    """Answers one class; of its two blocks' ten neurons one fires at every step."""

    def run(self, x: torch.Tensor):
        spk, mem = super().run(x)
        return [spk, spk], mem


def run_for(tmp_path: Path, **settings: object):
    cfg = lesson.Config(
        **lesson.SMOKE | {"device": "cpu", "smoke": True, "out_dir": tmp_path} | settings
    )
    return cfg, begin(cfg, "test")


def test_trainings_are_scored_on_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cfg, run = run_for(tmp_path, num_steps=8, seeds=2)
    data = marked_splits(n_test=200)
    monkeypatch.setattr(lesson, "fit", lambda *_, **__: [])

    def make_net(cfg, seed: int, **changes: object) -> Scores:
        net = Scores(2 + seed)
        kernel = SimpleNamespace(kernel=lambda T: torch.zeros(T, 10))
        net.blocks = [SimpleNamespace(ssm=kernel)]
        return net

    monkeypatch.setattr(lesson, "make_net", make_net)
    r = lesson.experiment_train(cfg, data, run)
    # two blocks, eight steps: a spike each; one of ten neurons fires
    assert r["test"] == 0.75 and r["spikes"] == 16 and r["rate"] == pytest.approx(0.1)
    row = lesson.comparison(cfg, data, run, 2, kind="LIF")
    assert row["accuracy"].tolist() == [0.75, 0.25] and row["rate"] == pytest.approx(0.1)
    kinds, again = lesson.experiment_kinds(cfg, data, run)
    assert list(kinds) == list(lesson.KINDS) and again == [0.25]


def test_memory_of_one_more_token_in_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A state of H·N complex numbers of 8 bytes and H membranes of 4; keys and values of every token so far."""
    monkeypatch.setattr(lesson, "latency", lambda *_: (2.0, 3.0))
    cfg, _ = run_for(tmp_path, num_hidden=8, num_state=3)
    rows = lesson.experiment_inference(cfg, lesson.Net(8, 2, 3))
    assert [row[0] for row in rows] == [16, 64]
    for t, ours, state, theirs, cache in rows:
        assert ours == theirs == 2
        assert state == 2 * (8 * 3 * 8 + 8 * 4) and cache == 2 * (2 * t * 8 * 4)


def test_prices_of_the_parts() -> None:
    """4.6 pJ a multiply-accumulate, 0.9 pJ an addition."""
    for name, count, nj in lesson.operations(lesson.Net(6, 2, 4), 40, 100.0):
        price = 0.9 if "additions" in name else 4.6
        assert nj == pytest.approx(count * price / 1000)
    assert lesson.operations(lesson.Net(6, 2, 4), 40, 100.0)[2][1] == 600


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_, **__: value)  # noqa: E731
    set_("experiment_discretise", {"explode": 7, "euler": 900.0, "zoh": 1e-6, "lif": 2e-6})
    seconds = {
        (delta, way, T): base * T
        for T in (4, 8)
        for delta, way, base in (
            ("learnt", "step by step", 6.0),
            ("learnt", "scan", 2.0),
            ("input", "step by step", 1.0),
            ("input", "scan", 4.0),
        )
    }
    worst = {"learnt": 1e-5, "input": 2e-5}
    set_("experiment_forms", {"worst": worst, "seconds": seconds, "lengths": (4, 8)})
    r = {"net": Scores(2), "test": 0.97, "rate": 0.2, "spikes": 50.0}
    set_("experiment_train", r)
    ops = [("states", 100, 4.0), ("ends", 10, 1.0), ("additions", 20, 2.0), ("dense", 80, 8.0)]
    set_("operations", ops)
    set_("latency", (1.0, 2.0))
    set_("experiment_inference", [(10, 1.0, 100, 2.0, 1000), (20, 1.5, 110, 5.0, 4400)])
    kinds = {
        kind: {"accuracy": np.array([0.9, 0.94]) - 0.1 * i, "rate": 0.1 * i}
        for i, kind in enumerate(lesson.KINDS)
    }
    set_("experiment_kinds", (kinds, [0.8, 0.83, 0.81]))
    set_("experiment_ablation", {"N = 0": {"accuracy": np.array([0.3, 0.5])}})
    run = run_main(lesson, tmp_path, monkeypatch, marked_splits(), seeds=2)
    value = run.value
    assert (value("explode"), value("euler"), value("zoh"), value("lif")) == (7, 900, 1e-6, 2e-6)
    assert value("agree_learnt") == 1e-5 and value("agree_input") == 2e-5
    assert value("scan_learnt") == 3 and value("scan_input") == 0.25, "how many times as fast"
    assert value("accuracy") == 0.97 and value("rate") == 0.2
    assert value("mixing_energy") == 0.25 and value("energy") == pytest.approx(7 / 13)
    assert value("time") == 1.5 and value("memory") == pytest.approx(1.1)
    assert value("kv_time") == 2.5 and value("kv_memory") == 4.4 and value("cache") == 40
    assert value("kind_stochastic") == pytest.approx(0.82)
    assert value("spread_LIF") == pytest.approx(0.04) and value("rate_GELU") == pytest.approx(0.3)
    assert value("sampling") == pytest.approx(0.03) and value("N = 0") == pytest.approx(0.4)
    (row,) = run.ledger_rows
    assert (row["synops"], row["macs"], row["ann_macs"]) == (20, 110, 190)
    assert row["energy_estimated_nj"] == 7 and row["accuracy"] == 0.97 and row["n"] == 40
