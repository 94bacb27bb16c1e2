"""Lesson 10: SEW connections, gradients through depth, the memory formula, the time constant, hostile flags."""

from __future__ import annotations

import math
import os
from pathlib import Path

from common.cost import ann_macs
from common.io import load_weights
from common.lesson import begin
from common.spiking import over_time, reset_state
from multistep import saved_for_backward, unroll
from training import evaluate, membrane_loss

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import ROOT, check_refused, load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import Always, marked_splits
from torch import nn

lesson = load_script("10_convolutional_snn")
CHECKPOINT = ROOT / "checkpoints" / "cifar10_cnn.safetensors"


def test_connections_are_their_truth_tables() -> None:
    a, s = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    expected = {
        "plain": [0, 0, 1, 1],
        "ADD": [0, 1, 1, 2],
        "AND": [0, 0, 0, 1],
        "IAND": [0, 1, 0, 0],
    }
    assert {name: g(a, s).tolist() for name, g in lesson.CONNECT.items()} == expected


@pytest.mark.parametrize(
    ("connect", "passes"), [("ADD", 1.0), ("IAND", 1.0), ("AND", 0.0), ("plain", 0.0)]
)
def test_a_block_without_weights_passes_signal_and_gradient_or_nothing(
    connect: str, passes: float
) -> None:
    """A = 0 in every block: ADD and IAND are the identity through ten of them, the other two lose everything."""
    blocks = [
        lesson.Block(3, 3, connect, lambda: snn.Leaky(beta=0.5, init_hidden=True))
        for _ in range(10)
    ]
    for block in blocks:
        nn.init.zeros_(block.path[0][0].weight)
    s0 = (torch.rand(4, 2, 3, 8, 8) < 0.3).float().requires_grad_()
    s = s0
    for block in blocks:
        s = block.run(s)
    assert torch.equal(s, passes * s0)
    out = torch.randn(s.shape)
    (out * s).sum().backward()
    # the surrogate's tail times a weight of zero adds nothing: the gradient is exactly that of the direct path
    assert torch.equal(s0.grad, passes * out)


@pytest.mark.parametrize("connect", lesson.CONNECT)
def test_a_deep_stack_stepped_is_the_stack_run(connect: str) -> None:
    torch.manual_seed(1)
    net = lesson.SpikingResNet((4, 8), (2, 2), connect, convs=2, stem_stride=2).eval()
    x = 2 * torch.randn(3, 2, 3, 32, 32)
    with torch.no_grad():
        spk_rec, mem_rec = net.run(x)
        reset_state(net)
        steps = [net(x_t) for x_t in x]
    assert torch.equal(torch.stack([s for s, _ in steps]), spk_rec)
    assert torch.allclose(torch.stack([m for _, m in steps]), mem_rec, atol=1e-5)


@pytest.mark.parametrize("still", [True, False])
def test_the_small_network_stepped_is_the_network_run(still: bool) -> None:
    torch.manual_seed(2)
    net, image = lesson.SmallCNN((4, 6, 8)), torch.rand(3, 3, 32, 32)
    x = lesson.encode(image, 5) if still else lesson.encode(torch.rand(5, 3, 3, 32, 32), 1)[0]
    assert x.shape == (5, 3, 3, 32, 32)
    with torch.no_grad():
        spk_rec, mem_rec = net.run(x)
        steps = [net(x_t) for x_t in x]
    assert mem_rec.abs().max() > 0
    assert torch.equal(torch.stack([s for s, _ in steps]), spk_rec)
    assert torch.allclose(torch.stack([m for _, m in steps]), mem_rec, atol=1e-5)


def test_the_four_stacks_have_the_same_weights() -> None:
    nets = [lesson.stack(lesson.Config(), c, 3, seed=4) for c in lesson.CONNECT]
    first = dict(nets[0].named_parameters())
    for net in nets[1:]:
        other = dict(net.named_parameters())
        assert first.keys() == other.keys() and all(torch.equal(first[k], other[k]) for k in first)
    changed = dict(lesson.stack(lesson.Config(), "ADD", 3, seed=5).named_parameters())
    assert not torch.equal(first["stem.0.0.weight"], changed["stem.0.0.weight"])


def test_rho_against_an_integral() -> None:
    """One step: U is standard normal, so both moments of equation (2) are integrals over its density."""
    u = torch.linspace(-9, 9, 200_001, dtype=torch.float64)
    density = torch.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)
    rate = 0.5 * math.erfc(1 / math.sqrt(2))  # P(U > θ)
    for slope in lesson.SLOPES:
        derivative = slope / 2 / (1 + (torch.pi / 2 * slope * (u - 1)) ** 2)
        exact = math.sqrt(torch.trapezoid(derivative**2 * density, u).item() / (rate * (1 - rate)))
        assert lesson.predicted_rho(lesson.Config(num_steps=1), slope) == pytest.approx(
            exact, rel=0.03
        )


def test_the_surrogate_on_the_page_is_snntorchs() -> None:
    for slope in lesson.SLOPES:
        x = torch.linspace(-2, 2, 41, requires_grad=True)
        snn.surrogate.atan(alpha=slope)(x).sum().backward()
        assert torch.allclose(
            x.grad, slope / 2 / (1 + (torch.pi / 2 * slope * x.detach()) ** 2), atol=1e-6
        )


def test_depth_is_the_exponent_in_plain_stacks_and_not_with_add() -> None:
    """The ratio of first to last block, at two depths and two slopes, on noise in the place of images."""
    torch.manual_seed(0)
    x, y = torch.rand(8, 3, 32, 32), torch.randint(0, 10, (8,))

    def ratio(connect: str, depth: int, slope: float) -> float:
        net = lesson.stack(lesson.Config(), connect, depth, 0, slope)
        outputs = list(net.layers(lesson.encode(x, 3)))[1:]
        for s in outputs:
            s.retain_grad()
        mem = unroll(net.out, over_time(net.head, outputs[-1]), record_mem=True)[1]
        membrane_loss((mem, mem), y).backward()
        return (outputs[0].grad.norm() / outputs[-1].grad.norm()).item()

    assert ratio("plain", 12, 8.0) > 3 * ratio("plain", 6, 8.0) > 3 * ratio("ADD", 6, 8.0)
    assert ratio("plain", 12, 0.5) < 0.1 * ratio("plain", 6, 0.5) < 0.1
    assert 0.5 < ratio("ADD", 12, 0.5) < 3


@settings(max_examples=8, deadline=None)
@given(T=st.integers(3, 7), B=st.integers(1, 5), c=st.tuples(*[st.integers(2, 20)] * 3))
def test_the_memory_formula_where_it_was_not_fitted(
    T: int, B: int, c: tuple[int, int, int]
) -> None:
    net, image = lesson.SmallCNN(c), torch.rand(B, 3, 32, 32)
    neurons = c[0] * 256 + c[1] * 64 + c[2] * 16
    predicted = lesson.kept_bytes(
        T, B, sum(p.numel() for p in net.parameters()), 3 * 32 * 32, neurons
    )
    with saved_for_backward() as kept:
        mem = torch.stack([net(image)[1] for _ in range(T)])
        loss = membrane_loss((mem, mem), torch.zeros(B, dtype=torch.long))
        assert predicted == pytest.approx(kept(), rel=0.05)
    assert loss.requires_grad


@given(
    T=st.integers(1, 64),
    P=st.integers(1, 10**7),
    image=st.integers(0, 10**6),
    N=st.integers(1, 10**7),
    card=st.integers(10**6, 10**11),
)
def test_largest_batch_fits_and_one_more_does_not(
    T: int, P: int, image: int, N: int, card: int
) -> None:
    B = lesson.largest_batch(T, P, image, N, card)
    total = lambda B: lesson.kept_bytes(T, B, P, image, N) + 12 * P  # noqa: E731  gradient and two moments
    assert B == 0 or total(B) <= card
    assert total(B + 1) > card


@pytest.mark.parametrize("tau", [2, 16])
def test_scaled_input_is_the_leaky_integrator_of_plif(tau: int) -> None:
    """A current too weak to fire: U after T steps is (1 − β^T)·I in (5), and τ times that in snnTorch."""
    beta, x = 1 - 1 / tau, torch.zeros(4, 1, 3, 32, 32)
    for scaled, limit in ((True, 1.0), (False, tau)):
        net = lesson.SmallCNN((2, 2, 2), beta=beta)
        net = lesson.scale_currents(net, beta) if scaled else net
        nn.init.constant_(net.conv1.bias, 0.5 / tau)
        mem = unroll(net.lif1, over_time(net.conv1, x), record_mem=True)[1]
        expected = limit * 0.5 / tau * (1 - beta ** torch.arange(1, 5.0))
        assert torch.allclose(mem[:, 0, 0, 0, 0], expected, atol=1e-6)


def test_scaling_the_input_is_a_higher_threshold() -> None:
    """β·U + (1 − β)·I against θ makes the same spikes as β·U + I against τ·θ; with τ = 2 bit for bit."""
    cur = 4 * torch.randn(20, 5, 30)
    scaled = unroll(snn.Leaky(beta=0.5), 0.5 * cur)[0]
    assert scaled.sum() > 0 and torch.equal(
        scaled, unroll(snn.Leaky(beta=0.5, threshold=2.0), cur)[0]
    )


def test_the_full_network_has_the_size_it_says() -> None:
    net = lesson.sew_resnet18().eval()
    assert 11.1e6 < sum(p.numel() for p in net.parameters()) < 11.3e6
    macs, c_in, size = 9 * 3 * 64 * 32**2, 64, 32
    for stage, width in enumerate((64, 128, 256, 512)):
        size = size if stage == 0 else size // 2
        macs += size**2 * (9 * c_in * width + 3 * 9 * width**2 + (c_in * width if stage else 0))
        c_in = width
    assert ann_macs(net, torch.zeros(1, 3, 32, 32)) == macs + 512 * 10


@pytest.mark.parametrize(
    "flags",
    [
        ("--depth", "1"),
        ("--beta", "1.5"),
        ("--sweep-train", "5"),
        ("--seeds", "0"),
        ("--batch-size", "1"),
        ("--lr", "nan"),
        ("--epochs", "two"),
    ],
)
def test_bad_flags_end_in_one_line(
    flags: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    check_refused(lesson, flags, capsys, tmp_path)


def test_committed_weights_fit_the_network() -> None:
    net = load_weights(lesson.SmallCNN(), CHECKPOINT)
    assert CHECKPOINT.stat().st_size < 1_000_000
    assert all(torch.isfinite(p).all() for p in net.parameters())


SHARED = Path(os.environ.get("SNN_DATA") or ROOT.parent / "shared" / "datasets")


@pytest.mark.skipif(
    not (SHARED / "cifar10-images.tar").is_file(), reason="CIFAR-10 is not on this machine"
)
def test_committed_weights_reach_their_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """67.6 % on all 10,000 test images; here the first 2,000, four standard errors either way."""
    monkeypatch.chdir(ROOT)  # where the decoded pictures are cached
    run = begin(
        lesson.Config(out_dir=tmp_path, data_dir=SHARED, device="cpu"), "10_convolutional_snn"
    )
    data = run.data(lesson.cifar10, n_test=2000)
    net, enc = load_weights(lesson.SmallCNN(), CHECKPOINT), lambda x: lesson.encode(x, 4)
    assert not data.stand_in and abs(evaluate(net, data.x_test, data.y_test, enc) - 0.676) < 0.042


# ------------------------------------------------------------------ what is published


def test_trainings_are_scored_on_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data, cfg = (
        marked_splits((3, 32, 32)),
        lesson.Config(out_dir=tmp_path, device="cpu", smoke=True),
    )
    run = begin(cfg, "test")
    monkeypatch.setattr(lesson, "fit", lambda *_, **__: [])
    monkeypatch.setattr(lesson, "SmallCNN", lambda beta: Always(2))
    r = lesson.experiment_train(cfg, data, run)
    assert r["accuracy"] == 0.75 and r["other"] == {1: 0.75, 2: 0.75, 4: 0.75, 8: 0.75}
    assert lesson.short_training(Always(3), cfg, data, run, 0) == 0.25


def test_gradients_are_relative_to_the_last_block(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every block doubles its input, so the first block's gradient is 2^(D − 1) times the last one's."""

    class Doubling(nn.Module):
        def __init__(self, depth: int) -> None:
            super().__init__()
            self.depth = depth
            self.out = snn.Leaky(beta=0.5, init_hidden=True, output=True)
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))

        def layers(self, x: torch.Tensor):
            s = (x * torch.ones(1, requires_grad=True)).clone()
            yield s
            for _ in range(self.depth):
                s = 2 * s
                yield s

    monkeypatch.setattr(lesson, "stack", lambda cfg, connect, depth, seed, slope: Doubling(depth))
    cfg = lesson.Config(out_dir=tmp_path, device="cpu", smoke=True, seeds=1)
    r = lesson.experiment_gradients(cfg, marked_splits((3, 32, 32)), begin(cfg, "test"))
    for depth in r["depths"]:
        expected = [2.0 ** (depth - 1 - i) for i in range(depth)]
        assert r["norms"]["ADD", 2.0, depth][0].tolist() == pytest.approx(expected, rel=1e-4)


def test_arithmetic_of_training_is_what_torch_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A ResNet of one block: GFLOP and bytes of a forward and a backward pass, counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    made = lambda beta: lesson.SpikingResNet((64,), (1,), "ADD", beta)  # noqa: E731
    monkeypatch.setattr(lesson, "sew_resnet18", made)
    cfg = lesson.Config(out_dir=tmp_path, device="cpu", smoke=True, num_steps=2)
    data = marked_splits((3, 32, 32))
    r = lesson.experiment_sew_resnet(cfg, data, begin(cfg, "test"))
    net, x = made(0.5), lesson.encode(torch.rand(1, 3, 32, 32), 2)
    with FlopCounterMode(display=False) as counter:
        membrane_loss(net.run(x), torch.zeros(1, dtype=torch.long)).backward()
    # the picture needs no gradient, so the first convolution goes two ways and not three
    assert r["flop"] == pytest.approx(counter.get_total_flops(), rel=0.05)
    assert r["losses"][0] > 0 and len(r["losses"]) == 2
    # a membrane and a spike of 64 maps of 32×32, twice (stem and block); BatchNorm keeps its input besides
    assert r["sizes"]["neurons"] > 2 * 64 * 32 * 32


def test_time_constant_and_connections_average_the_seeds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cfg = lesson.Config(out_dir=tmp_path, device="cpu", smoke=True, seeds=2)
    run, data = begin(cfg, "test"), marked_splits((3, 32, 32))
    seen = []

    def short_training(net, cfg, data, run, seed) -> float:
        seen.append((float(net.lif1.beta), len(net.conv1._forward_hooks)))
        return 0.1 * len(seen)

    monkeypatch.setattr(lesson, "short_training", short_training)
    monkeypatch.setattr(lesson, "rates", lambda *_: [0.0, 0.0, 0.0])
    rows = lesson.experiment_time_constant(cfg, data, run)
    assert [list(r["accuracy"]) for r in rows.values()] == [
        pytest.approx([0.1 * i, 0.1 * (i + 1)]) for i in (1, 3, 5, 7)
    ]
    # β = 1 − 1/τ; the first four networks have their input scaled
    assert seen == [
        *[(pytest.approx(0.5), 1)] * 2,
        *[(pytest.approx(15 / 16), 1)] * 2,
        *[(pytest.approx(0.5), 0)] * 2,
        *[(pytest.approx(15 / 16), 0)] * 2,
    ]


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_, **__: value)  # noqa: E731
    set_("experiment_train", {"net": Always(0), "accuracy": 0.7, "other": {1: 0.1, 4: 0.4}})
    norms = {}
    for c in lesson.CONNECT:
        for a in lesson.SLOPES:
            for depth in (3, 5):
                first = (16.0 if c == "plain" else 1.0) * a
                norms[c, a, depth] = np.array([[first / 2, 9, 1], [first * 3 / 2, 9, 1]])
    rho = {a: 10 * a for a in lesson.SLOPES}
    set_("experiment_gradients", {"norms": norms, "depths": (3, 5), "rho": rho})
    set_(
        "experiment_connections",
        {c: np.array([0.1 * i, 0.1 * i + 0.2]) for i, c in enumerate(lesson.CONNECT)},
    )
    set_("experiment_memory", {"rows": [], "worst": 0.04, "sizes": {"neurons": 1000}})
    resnet = {"losses": [2.0, 1.5, 1.0], "speed": 12.0, "flop": 3.5e9, "sizes": {"neurons": 2000.0}}
    set_("experiment_sew_resnet", resnet)
    taus = {f"{i}": {"accuracy": np.array([0.1 * i, 0.1 * i + 0.1])} for i in range(4)}
    set_("experiment_time_constant", taus)
    monkeypatch.setattr(lesson, "ledger_row", lambda net, x, **row: {"synops": 99.0, **row})
    run = run_main(lesson, tmp_path, monkeypatch, marked_splits((3, 32, 32)), seeds=2)
    value = run.value
    assert value("accuracy") == 0.7 and value("tested_T4") == 0.4 and value("synops") == 99
    assert value("gradient_plain_flat") == 8 and value("gradient_add_steep") == 8
    assert value("factor_flat") == pytest.approx(8 ** (1 / 4)), "five blocks are four steps"
    assert value("factor_default") == pytest.approx(32 ** (1 / 4)) and value("rho_steep") == 80
    assert value("depth_plain") == pytest.approx(0.1) and value("depth_iand") == pytest.approx(0.4)
    # a membrane and a spike of four bytes each
    assert value("memory_slope") == 8000 and value("resnet_slope") == 16000
    assert value("memory") == 0.04 and value("resnet_loss") == 0.5 and value("resnet_flop") == 3.5
    assert value("tau2_scaled") == pytest.approx(0.05) and value("tau16") == pytest.approx(0.35)
    assert run.ledger_rows[0]["accuracy"] == 0.7 and run.ledger_rows[0]["n"] == 40
