"""Lesson 09: the hand-written backward pass, the latency loss, truncation, and the real data when they are here."""

from __future__ import annotations

import os
from pathlib import Path

from common.lesson import parse, start
from common.spiking import check_time_first, constant_current, reset_state

import pytest
import snntorch as snn
import snntorch.functional as SF
import torch
from helpers import ROOT, load_script
from hypothesis import given, settings
from hypothesis import strategies as st

lesson = load_script("09_training_bptt")


@settings(max_examples=25, deadline=None)
@given(
    T=st.integers(1, 12),
    B=st.integers(1, 4),
    N=st.integers(1, 5),
    beta=st.floats(0.0, 1.0),
    seed=st.integers(0, 10**6),
)
def test_hand_written_bptt_equals_autograd(T: int, B: int, N: int, beta: float, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cur0, (w_spk, w_mem) = (
        2 * torch.rand(T, B, N, generator=g),
        torch.randn(2, T, B, N, generator=g),
    )
    lif = snn.Leaky(beta=beta, learn_beta=True)
    cur, mem, loss, spikes = cur0.clone().requires_grad_(), torch.zeros(B, N), 0.0, []
    for t in range(T):
        spk, mem = lif(cur[t], mem)
        spikes.append(spk)
        loss = loss + (w_spk[t] * spk + w_mem[t] * mem).sum()
    loss.backward()
    ours, ours_beta = cur0.clone().requires_grad_(), torch.tensor(beta, requires_grad=True)
    spk_rec, mem_rec = lesson.LIFThroughTime.apply(ours, ours_beta)
    (w_spk * spk_rec + w_mem * mem_rec).sum().backward()
    assert torch.equal(spk_rec, torch.stack(spikes))
    assert (ours.grad - cur.grad).norm() <= 1e-5 * cur.grad.norm() + 1e-9
    assert (ours_beta.grad - lif.beta.grad).abs() <= 1e-4 * lif.beta.grad.abs() + 1e-4


def test_backward_against_finite_differences_where_nothing_spikes() -> None:
    """Below threshold the layer is smooth in its membrane, so differences are a judge of their own."""
    cur = 0.05 * torch.rand(6, 2, 3, dtype=torch.float64)
    weight = torch.randn(6, 2, 3, dtype=torch.float64)
    beta = torch.tensor(0.8, dtype=torch.float64)

    def loss(c: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (weight * lesson.LIFThroughTime.apply(c, b)[1]).sum()

    assert torch.autograd.gradcheck(
        loss, (cur.requires_grad_(), beta.requires_grad_()), eps=1e-6, atol=1e-7
    )


def test_error_fades_by_beta_per_step() -> None:
    """Equation (2) with one direct error at the end: δ[t] = β^(T−t)."""
    cur = torch.zeros(8, 1, 1, requires_grad=True)
    _, mem_rec = lesson.LIFThroughTime.apply(cur, torch.tensor(0.7))
    mem_rec[-1].sum().backward()
    assert torch.allclose(cur.grad.flatten(), 0.7 ** torch.arange(7, -1, -1.0))


@given(seed=st.integers(0, 10**6), rate=st.floats(0.0, 0.6))
@settings(max_examples=20, deadline=None)
def test_latency_loss_is_snntorchs(seed: int, rate: float) -> None:
    g = torch.Generator().manual_seed(seed)
    spk0 = (torch.rand(7, 6, 10, generator=g) < rate).float()
    y = torch.randint(0, 10, (6,), generator=g)
    ours, theirs = spk0.clone().requires_grad_(), spk0.clone().requires_grad_()
    a, b = lesson.latency_loss((ours, ours), y), SF.ce_temporal_loss()(theirs, y)
    a.backward()
    b.backward()
    assert torch.allclose(a, b) and torch.allclose(ours.grad, theirs.grad, atol=1e-7)


def test_first_spike_times() -> None:
    spk = torch.zeros(5, 1, 4)
    spk[0, 0, 0] = spk[3, 0, 1] = spk[2:, 0, 2] = 1
    assert lesson.FirstSpike.apply(spk).tolist() == [[0, 3, 2, 4]]
    assert lesson.latency_predict((spk, spk)).item() == 0


def test_the_loop_on_the_page_is_fit(tmp_path: Path) -> None:
    """The loop that the lesson writes out and ``common.training.fit`` reach the same weights, bit for bit."""
    from functools import partial

    from common.data import mnist
    from common.lesson import begin
    from common.training import fit

    cfg = lesson.Config(
        num_hidden=16, num_steps=3, sweep_epochs=1, epochs=1, out_dir=tmp_path, device="cpu"
    )
    data, enc = mnist(source="stand-in"), partial(lesson.encode, num_steps=3)
    ours, theirs = lesson.make_net(cfg, 1), lesson.make_net(cfg, 1)
    lesson.train(ours, data, cfg, seed=4, enc=enc)
    fit(
        theirs,
        data,
        enc,
        run=begin(cfg, "x"),
        epochs=1,
        lr=cfg.lr,
        batch_size=cfg.batch_size,
        seed=4,
        quiet=True,
    )
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_step_by_step_equals_run() -> None:
    torch.manual_seed(0)
    net, x = lesson.Net(num_hidden=20), torch.rand(6, 3, 784)
    spk_rec, mem_rec = net.run(x)
    reset_state(net)
    steps = [net(x_t) for x_t in x]
    assert torch.equal(torch.stack([s for s, _ in steps]), spk_rec)
    assert torch.allclose(torch.stack([m for _, m in steps]), mem_rec, atol=1e-5)
    check_time_first(spk_rec, 6)


@pytest.mark.parametrize("window", [1, 3, 6, 100])
def test_truncation_changes_gradients_not_outputs(window: int) -> None:
    torch.manual_seed(0)
    net, x = lesson.AnswerAtTheEnd(num_hidden=20), torch.rand(6, 3, 784)
    _, whole = lesson.Net.run(net, x)
    net.window = window
    _, mem = net.run(x)
    assert torch.allclose(mem[0], whole[-1], atol=1e-5)
    mem.sum().backward()
    assert net.fc1.weight.grad is not None
    if window >= 6:
        grad = net.fc1.weight.grad.clone()
        net.zero_grad()
        lesson.Net.run(net, x)[1][-1].sum().backward()
        assert torch.allclose(grad, net.fc1.weight.grad, atol=1e-6)


def test_flashed_image_is_dark_after_a_fifth() -> None:
    x = lesson.flashed(torch.ones(2, 1, 28, 28), 10)
    assert x.shape == (10, 2, 784) and x[:2].min() == 1 and x[2:].max() == 0
    assert lesson.flashed(torch.ones(2, 1, 28, 28), 1).min() == 1, "even one step shows the image"


def test_memory_is_a_straight_line_and_learnt_beta_costs_half(tmp_path: Path) -> None:
    memory = lesson.experiment_memory(lesson.Config(num_hidden=64), torch.device("cpu"))
    assert memory["r2"] > 0.999
    assert memory["slope"] == pytest.approx(64 * 4 * (64 + 64 + 10), rel=0.01), (
        "membranes and hidden spikes"
    )
    ours, theirs = (
        memory["layer"][k][-1] for k in ("by hand, learnt β", "snnTorch's steps, learnt β")
    )
    assert ours / theirs < 0.51


def test_resume_with_another_architecture_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--smoke", "--num-steps", "2", "--out-dir", str(tmp_path)]
    cfg = parse(lesson.Config, flags, lesson.SMOKE, lesson.FULL, "09_training_bptt.py")
    from common.lesson import begin

    run = begin(cfg, "09_training_bptt")
    lesson.experiment_train(cfg, run.data(lesson.mnist), run)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        start(
            lesson.main,
            lesson.Config,
            lesson.SMOKE,
            lesson.FULL,
            [*flags, "--num-hidden", "33", "--resume"],
        )
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count("\n") == 1 and "another architecture" in err


SHARED = Path(os.environ.get("SNN_DATA") or ROOT.parent / "shared" / "datasets")


@pytest.mark.skipif(
    not (SHARED / "MNIST").is_dir(), reason="real MNIST is not on this machine (set SNN_DATA)"
)
def test_learns_real_mnist(tmp_path: Path) -> None:
    """One epoch over all 55,000 real images: at least 95 % of the 10,000 test images."""
    from common.lesson import begin

    cfg = lesson.Config(epochs=1, out_dir=tmp_path, data_dir=SHARED, device="cpu")
    run = begin(cfg, "09_training_bptt")
    data = run.data(lesson.mnist)
    assert not data.stand_in and data.sizes == {"train": 55_000, "val": 5_000, "test": 10_000}
    assert lesson.experiment_train(cfg, data, run)["test"]["membrane"] >= 0.95


def test_constant_input_takes_no_memory() -> None:
    x = constant_current(torch.rand(2, 784), 1000)
    assert x.untyped_storage().nbytes() == 2 * 784 * 4
