"""Lesson 18: SSA against loops and against its definition, order, counts, kinds of equal size, forward against run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from common.cost import ann_macs, workload
from common.lesson import begin
from common.spiking import constant_current, reset_state
from multistep import unroll

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import check_refused, load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import Always, marked_splits
from torch import nn

lesson = load_script("18_spiking_transformers")
SMALL = lesson.Config(dim=16, heads=2, blocks=2)


def alive(kind: str, cfg: object = SMALL) -> nn.Module:
    """A network whose BatchNorm has seen images, so that spikes flow, in evaluation mode."""
    net = lesson.build(cfg, kind, 3)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = None  # the mean over all batches
    for _ in range(3):
        net.run(constant_current(4 * torch.rand(6, 3, 32, 32) - 2, 3))
    return net.eval()


@settings(max_examples=40, deadline=None)
@given(
    N=st.integers(1, 9),
    d=st.integers(1, 9),
    rate=st.floats(0, 1),
    seed=st.integers(0, 9999),
    keys=st.booleans(),
)
def test_loops_of_additions_are_the_matrix_products(
    N: int, d: int, rate: float, seed: int, keys: bool
) -> None:
    """Any N, d and rate, both orders: the integers and the number of additions."""
    q, k, v = (torch.rand(3, N, d, generator=torch.Generator().manual_seed(seed)) < rate).float()
    out, made = lesson.ssa_by_hand(q, k, v, keys)
    defined = torch.einsum("ic,jc,je->ie", q, k, v)  # Σ_j Σ_c q_ic·k_jc·v_je
    assert torch.equal(torch.tensor(out).float(), defined) and torch.equal(
        lesson.ssa(q, k, v), defined
    )
    assert made == lesson.additions(q, k, v)["Q(KᵀV)" if keys else "(QKᵀ)V"]


@given(N=st.integers(1, 40), d=st.integers(1, 40))
def test_additions_stay_below_the_dense_products(N: int, d: int) -> None:
    ones = torch.ones(N, d)
    counted = lesson.additions(
        ones, ones, ones
    )  # every neuron fires: the bound of equation (4) is met
    assert counted["(QKᵀ)V"] == 2 * N * N * d and counted["Q(KᵀV)"] == 2 * N * d * d
    assert counted["SDSA"] == N * d and counted["softmax"] == N * N * d


def test_the_scale_is_a_threshold() -> None:
    """SN(s·z) with θ makes the spikes of SN(z) with θ/s: bit for bit, for s is a power of two."""
    z = torch.randint(0, 30, (6, 4, 8, 5)).float()
    scaled = unroll(snn.Leaky(beta=0.5), lesson.SCALE * z)[0]
    assert 0 < scaled.mean() < 1
    assert torch.equal(scaled, unroll(snn.Leaky(beta=0.5, threshold=1 / lesson.SCALE), z)[0])


def test_softmax_is_pytorchs() -> None:
    q, k, v = torch.randn(3, 2, 4, 10, 8)
    theirs = nn.functional.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(lesson.vsa(q, k, v), theirs, atol=1e-6)


def test_attention_is_equations_2_and_3_written_out() -> None:
    """One head after the other, one step after the other, with an own LIF loop."""
    net, cfg = alive("SSA"), SMALL
    part = net.parts[0]
    x = torch.randint(0, 3, (3, 2, 64, cfg.dim)).float()  # (T, B, N, D)

    def neurons(cur: torch.Tensor) -> torch.Tensor:
        mem, spk, out = torch.zeros_like(cur[0]), torch.zeros_like(cur[0]), []
        for cur_t in cur:
            mem = lesson.BETA * mem + cur_t - spk  # U[t] = β·U[t−1] + I[t] − θ·S[t−1]
            spk = (mem > 1).float()
            out.append(spk)
        return torch.stack(out)

    with torch.no_grad():
        q, k, v = (neurons(f(x)) for f in (part.to_q, part.to_k, part.to_v))
        d, heads = cfg.dim // cfg.heads, []
        for h in range(cfg.heads):
            q_h, k_h, v_h = (y[..., h * d : (h + 1) * d] for y in (q, k, v))
            heads.append(
                neurons(torch.einsum("tbic,tbjc,tbje->tbie", q_h, k_h, v_h) * lesson.SCALE)
            )
        expected = part.out(torch.cat(heads, -1))
        assert q.mean() > 0.02 and torch.cat(heads).mean() > 0.02
        assert torch.allclose(part(x, lesson.whole), expected, atol=1e-5)


@pytest.mark.parametrize("kind", lesson.KINDS)
def test_stepped_is_run(kind: str) -> None:
    net = alive(kind)
    x = constant_current(4 * torch.rand(3, 3, 32, 32) - 2, 1 if kind == "ANN" else 4)
    with torch.no_grad():
        features, classes = net.run(x)
        reset_state(net)
        step = [net(x_t) for x_t in x]
    assert features.std() > 0
    assert torch.allclose(torch.stack([f for f, _ in step]), features, atol=1e-4)
    assert torch.allclose(torch.stack([c for _, c in step]), classes, atol=1e-4)


def test_kinds_have_the_same_weights_at_the_start() -> None:
    nets = {kind: dict(lesson.build(SMALL, kind, 4).named_parameters()) for kind in lesson.KINDS}
    for other in nets.values():
        assert other.keys() == nets["SSA"].keys()
        assert all(torch.equal(other[k], p) for k, p in nets["SSA"].items())


def test_without_attention_tokens_do_not_meet() -> None:
    """Behind the convolutions a change of one token moves no other; with SSA it does."""
    for kind, meets in (("no attention", False), ("SSA", True), ("softmax", True)):
        part = alive(kind).parts[0]
        x = torch.randint(0, 3, (2, 1, 64, SMALL.dim)).float()
        y = x.clone()
        y[:, :, 5] = 2 - y[:, :, 5]
        with torch.no_grad():
            moved = (part(x, lesson.whole) - part(y, lesson.whole)).abs().amax((0, 1, 3)) > 1e-6
        assert moved[5] and (moved.sum() > 1) == meets, kind


def test_membrane_shortcut_hands_on_bits_and_sew_does_not() -> None:
    x = constant_current(4 * torch.rand(4, 3, 32, 32) - 2, 3)
    parts = {kind: lesson.experiment_shortcut(alive(kind), x) for kind in ("SSA", "SSA, membrane")}
    assert parts["SSA, membrane"] == [0.0] * 4 and min(parts["SSA"]) > 0


def test_operations_against_neurobench_and_arithmetic() -> None:
    """Where all between layers is 0 or 1 NeuroBench counts the same additions; Q, K, V come on top."""
    net, x = alive("SSA, membrane"), constant_current(4 * torch.rand(4, 3, 32, 32) - 2, 3)
    found, theirs = lesson.operations(net, x), workload(net, x)
    with torch.no_grad():
        spikes = lesson.net_spikes(net, x)
    counted = (
        sum(min(c["(QKᵀ)V"], c["Q(KᵀV)"]) for c in (lesson.additions(*qkv) for qkv in spikes)) / 4
    )
    assert found["core_adds"] == pytest.approx(counted) and counted > 0
    assert found["adds"] - found["core_adds"] == pytest.approx(theirs["acs"], rel=1e-5)
    cfg = SMALL
    products = 2 * cfg.blocks * 2 * 64 * 64 * cfg.dim  # two products a block, N²·D each
    ann = lesson.operations(alive("ANN"), x[:1])["dense"]
    border = ann_macs(net, x[0]) + products // 2 - ann
    assert 0 <= border < 0.1 * ann  # what reaches over the edges


def test_dssa_keeps_its_rate_where_ssa_saturates() -> None:
    found = lesson.experiment_products(lesson.Config(num_steps=4, smoke=True))
    at = found["scales"].index(lesson.SCALE)
    assert found["rates"][64][0] > 0.9 and found["rates"][256][at] > 2 * found["rates"][16][at]
    assert max(found["dssa"].values()) < 3 * min(found["dssa"].values())
    assert all(row["difference"] == 0 for row in found["rows"])


def test_the_full_network_is_spikformer_4_384() -> None:
    cfg = lesson.Config(**lesson.FULL, full=True)
    net = lesson.build(cfg, "SSA").eval()
    assert 9.30e6 < sum(p.numel() for p in net.parameters()) < 9.34e6
    assert len(net.parts) == 8 and net.parts[0].heads == 12
    with torch.no_grad():
        assert net.run(torch.rand(1, 1, 3, 32, 32))[0].shape == (1, 1, 384)


@pytest.mark.parametrize(
    "flags",
    [
        ("--dim", "7"),
        ("--heads", "0"),
        ("--n-train", "5"),
        ("--seeds", "0"),
        ("--lr", "nan"),
        ("--heads", "5"),
        ("--blocks", "two"),
    ],
)
def test_bad_flags_end_in_one_line(
    flags: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    check_refused(lesson, flags, capsys, tmp_path)


# ---------------------------------------------------------------- what is published


def test_networks_are_scored_on_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data, cfg = (
        marked_splits((3, 32, 32)),
        lesson.Config(device="cpu", smoke=True, out_dir=tmp_path),
    )
    monkeypatch.setattr(lesson, "build", lambda cfg, kind, seed: Always(2 + seed))
    monkeypatch.setattr(lesson, "fit", lambda *_, **__: [])
    run = begin(cfg, "test")
    assert lesson.train_one(cfg, "SSA", 0, data, run)["accuracy"] == 0.75
    assert lesson.train_one(cfg, "SSA", 1, data, run)["accuracy"] == 0.25
    assert (lesson.pictures(cfg, "SSA", data, 9, run.device) == 2).all(), "test images are white"


class Shows(nn.Module):
    """A network whose parts are given known inputs."""

    def __init__(self, *inputs: torch.Tensor) -> None:
        super().__init__()
        self.inputs = inputs

    def run(self, x: torch.Tensor, seen: list[torch.Tensor]) -> None:
        seen.extend(self.inputs)


def test_share_of_inputs_above_one() -> None:
    """The first input, of the positions, is left out; zeros do not count."""
    shown = Shows(torch.full((4,), 9.0), torch.tensor([0.0, 1, 1, 2, 3]), torch.zeros(3))
    assert lesson.experiment_shortcut(shown, torch.zeros(1)) == [0.5, 0.0]


def test_spread_and_own_share_of_known_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four tokens, 3 steps, 5 images, 2 heads. Looking at itself: 1 token, 3/4 its own. At all alike: 4 and 0."""
    data = marked_splits((3, 32, 32))
    for q, spread, own in ((torch.eye(4), 1.0, 0.75), (torch.ones(4, 4), 4.0, 0.0)):
        many = q.expand(3, 5, 2, 4, 4)
        monkeypatch.setattr(lesson, "net_spikes", lambda net, x, many=many: [(many, many, many)])
        found = lesson.experiment_maps(SMALL, "SSA", None, data, torch.device("cpu"))
        assert found["spread"] == pytest.approx(spread) and found["own"] == pytest.approx(own)
        assert found["maps"].shape == (5, 4, 4)


def test_speed_and_bytes_are_per_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A clock that goes on by half a second whenever it is read; as many bytes again for twice the images."""
    cfg = lesson.Config(device="cpu", smoke=True, out_dir=tmp_path, batch_size=6, num_steps=1)
    data, run = marked_splits((3, 32, 32)), begin(cfg, "test")
    found = []
    for size in (6, 12):
        clock = iter(range(100))
        monkeypatch.setattr(lesson.time, "perf_counter", lambda clock=clock: next(clock) / 2)
        small = replace(cfg, batch_size=size, dim=8, heads=1, blocks=1)
        found.append(lesson.train_cost(small, lesson.build(small, "SSA"), "SSA", data, run, 2))
    assert [f["speed"] for f in found] == [12, 24]
    # weights are kept once whatever the batch, so the share of each image falls a little
    assert found[1]["bytes"] == pytest.approx(found[0]["bytes"], rel=0.1)
    assert found[1]["bytes"] < found[0]["bytes"]


def test_cost_is_operations_times_their_price(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """0.9 pJ an addition, 4.6 pJ a multiply-accumulate; training goes forward once and backward twice."""
    counted = {"adds": 1000.0, "macs": 100.0, "core_adds": 10.0, "core_macs": 1.0, "dense": 5e8}
    monkeypatch.setattr(lesson, "operations", lambda net, x: dict(counted))
    monkeypatch.setattr(lesson, "train_cost", lambda *_: {"speed": 1.0, "bytes": 2.0})
    cfg = lesson.Config(device="cpu", smoke=True, out_dir=tmp_path, dim=16)
    data, run = marked_splits((3, 32, 32)), begin(cfg, "test")
    net = lesson.build(cfg, "SSA")
    found = lesson.experiment_cost(cfg, "SSA", net, data, run)
    assert found["nj"] == pytest.approx(0.9 + 0.46) and found["core_nj"] == pytest.approx(
        0.009 + 0.0046
    )
    full = lesson.experiment_full(cfg, data, run)
    assert full["gflop"] == pytest.approx(3 * 2 * 0.5)
    made = lesson.build(replace(cfg, full=True), "SSA")
    assert full["million"] == pytest.approx(sum(p.numel() for p in made.parameters()) / 1e6)


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_, **__: value)  # noqa: E731
    scales = [1.0, 0.5, 0.25, 0.125]
    order = {"(QKᵀ)V": 6.0, "Q(KᵀV)": 2.0}
    rows = [
        {"N": n, "difference": d, "additions": order, "ms": {"(QKᵀ)V": 1.0, "Q(KᵀV)": 4.0}}
        for n, d in ((16, 0.5), (64, 0.0))
    ]
    rates = {16: [0.5, 0.4, 0.3, 0.1], 64: [0.9, 0.8, 0.7, 0.4]}
    set_(
        "experiment_products",
        {"rates": rates, "scales": scales, "dssa": {16: 0.2, 64: 0.25}, "rows": rows},
    )
    trained = {
        kind: {"net": kind, "accuracy": np.array([0.60, 0.62]) - 0.02 * i}
        for i, kind in enumerate(lesson.KINDS)
    }
    set_("experiment_train", trained)
    set_(
        "experiment_exact", {"not_bits": 1, "worst": 0.5, "miscounted": 2, "entries": 8, "total": 9}
    )
    order_of = {kind: i for i, kind in enumerate(lesson.KINDS)}
    keys = ("adds", "macs", "core_adds", "core_macs", "nj", "core_nj", "bytes", "speed", "dense")

    def cost(cfg, kind, net, data, run):
        assert net == kind, "the cost of another network"
        return {key: 100.0 * order_of[kind] + j for j, key in enumerate(keys)}

    def maps(cfg, kind, net, data, device):
        assert net == kind, "the map of another network"
        return {"spread": 10.0 + order_of[kind], "own": 0.3 + order_of[kind]}

    monkeypatch.setattr(lesson, "experiment_cost", cost)
    monkeypatch.setattr(lesson, "experiment_maps", maps)
    monkeypatch.setattr(
        lesson,
        "experiment_shortcut",
        lambda net, x: [0.1, 0.4, 0.2] if net == "SSA" else [0.0, 0.01, 0.0],
    )
    set_("experiment_full", {"million": 9.3, "gflop": 12.0, "speed": 3.0})
    monkeypatch.setattr(lesson, "ledger_row", lambda net, x, **row: row | {"num_steps": 2})
    run = run_main(lesson, tmp_path, monkeypatch, marked_splits((3, 32, 32)), seeds=2)
    value = run.value
    assert value("rate_unscaled") == 0.9 and value("rate_16") == 0.1 and value("dssa_64") == 0.25
    assert value("order") == 0.5 and value("order_additions") == 3 and value("order_ms") == 0.25
    assert value("accuracy_ssa") == pytest.approx(0.61)
    assert value("accuracy_no_attention") == pytest.approx(0.55)
    assert value("gap_softmax") == pytest.approx(-2), "points, and worse than SSA is negative"
    assert value("gap_ssa_membrane") == pytest.approx(-8)
    assert (value("not_bits"), value("worst"), value("miscounted")) == (1, 0.5, 2)
    assert value("adds_ssa") == 0 and value("macs_ann") == 201 and value("nj_softmax") == 104
    assert value("speed_ssa_membrane") == 407
    assert value("spread_ssa") == 10 and value("own_softmax") == 1.3
    assert value("several_ssa") == 0.4 and value("several_ssa_membrane") == 0.01
    assert value("full_million") == 9.3 and value("full_gflop") == 12 and value("full_speed") == 3
    row = run.ledger_rows[1]
    assert (row["synops"], row["macs"], row["ann_macs"], row["energy_estimated_nj"]) == (
        100,
        101,
        54,
        104,
    )
    assert row["accuracy"] == pytest.approx(0.58) and row["n"] == 40
