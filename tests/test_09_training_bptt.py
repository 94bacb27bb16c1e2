"""Lesson 09: its equations against oracles, and every number it publishes against another way to it."""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from common.data import ImageData, mnist
from common.lesson import begin, start
from common.spiking import reset_state
from training import fit
from training.augment import jitter

import matplotlib.figure
import numpy as np
import pytest
import snntorch as snn
import snntorch.functional as SF
import torch
import torch.nn.functional as F
from helpers import ROOT, load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

lesson = load_script("09_training_bptt")
TRAIN, VAL, TEST = (
    1237,
    200,
    360,
)  # the stand-in's sizes: they tell a fake evaluate what it is shown


def tiny(folder: Path, **settings) -> lesson.Config:
    """A Config of a training that takes a tenth of a second."""
    small = {"num_hidden": 16, "num_steps": 3, "epochs": 2, "short_images": 200, "short_epochs": 1}
    return lesson.Config(**{**small, "smoke": True, "device": "cpu", "out_dir": folder, **settings})


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# -------------------------------------------------------------------- the network


def test_three_ways_through_the_network_are_the_same() -> None:
    torch.manual_seed(0)
    net, x = lesson.Net(num_hidden=20), noise(6, 3, 784)
    spk_rec, mem_rec = net.run(x)
    spk1, mem1, spk2, mem2 = lesson.step_by_step(net, x)
    assert torch.equal(torch.stack(spk2), spk_rec)
    assert torch.allclose(torch.stack(mem2), mem_rec, atol=1e-5)
    assert [tuple(record[0].shape) for record in (spk1, mem1)] == [(3, 20)] * 2
    assert all(len(record) == 6 for record in (spk1, mem1, spk2, mem2))
    reset_state(net)
    assert torch.equal(torch.stack([net(x_t)[0] for x_t in x]), spk_rec)


def test_activity_counts_what_the_steps_show(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = lesson.Net(num_hidden=20)
    with torch.no_grad():
        net.fc2.bias[0] = 0.6  # one output neuron that fires at its second step at the latest
    images = (255 * noise(8, 1, 28, 28)).round()
    cfg = tiny(tmp_path, num_steps=5)
    spk1, _, spk2, _ = lesson.step_by_step(net, lesson.encode(images / 255, 5))
    hidden, output = torch.stack(spk1), torch.stack(spk2)  # (T, B, ·)
    first = []
    for b in range(8):
        steps = [t + 1 for t in range(5) if output[t, b].any()]
        first.append(steps[0] if steps else 6)
    seen = lesson.activity(net, images, cfg)
    assert seen.hidden == pytest.approx(hidden.sum().item() / 8)
    assert seen.output == pytest.approx(output.sum().item() / 8) and seen.output > 0
    assert seen.onset == pytest.approx(np.mean(first)) and seen.onset < 3
    with torch.no_grad():
        net.fc2.weight.zero_()
        net.fc2.bias.zero_()
    assert lesson.activity(net, images, cfg).onset == 6, "T + 1 for a silent output"
    both = [SimpleNamespace(), SimpleNamespace()]
    values = iter([lesson.Activity(10.0, 2.0, 1.0), lesson.Activity(20.0, 4.0, 3.0)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lesson, "activity", lambda *_: next(values))
        mean = lesson.average_activity(both, SimpleNamespace(x_test=images), cfg)
    assert mean == lesson.Activity(15.0, 3.0, 2.0)


# -------------------------------------------------------------------- 1  training


def test_the_loop_on_the_page_is_fit(tmp_path: Path) -> None:
    """The loop that the lesson shows and ``training.fit`` reach the same weights, bit for bit."""
    cfg = tiny(tmp_path)
    run, data = begin(cfg, "x"), mnist(source="stand-in")
    ours, theirs = lesson.make_net(cfg, 1), lesson.make_net(cfg, 1)
    start_weights = ours.fc1.weight.detach().clone()
    torch.manual_seed(5)
    loss, predict = lesson.mean_membrane_loss, lesson.highest_mean_membrane
    rows = lesson.train(ours, data, cfg, run, "ours", loss, predict, 5e-3)
    torch.manual_seed(5)
    show = partial(lesson.encode, num_steps=cfg.num_steps)
    theirs_rows = fit(
        theirs, data, show, run=run, epochs=2, lr=5e-3, batch_size=cfg.batch_size,
        augment=partial(jitter, shift=cfg.shift), seed=cfg.seed, quiet=True,
    )  # fmt: skip
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
    for row, their in zip(rows, theirs_rows, strict=True):
        assert row["val"] == their["val"] and row["train"] == pytest.approx(their["train"])
        assert row["loss"] == pytest.approx(their["loss"], rel=1e-5)
    assert not torch.equal(start_weights, ours.fc1.weight)


def test_checkpoints_of_fit_and_of_the_page_are_one_training(tmp_path: Path) -> None:
    """What torchrun has begun, one process may finish: both write and accept the same mark."""
    cfg = tiny(tmp_path, resume=True)
    run, data = begin(cfg, "x"), mnist(source="stand-in")
    loss, read = lesson.mean_membrane_loss, lesson.highest_mean_membrane
    torch.manual_seed(5)
    whole = lesson.make_net(cfg, 1)
    lesson.train(whole, data, cfg, run, "whole", loss, read, 5e-3)
    torch.manual_seed(5)
    begun = lesson.make_net(cfg, 1)
    show = partial(lesson.encode, num_steps=cfg.num_steps)
    rows = fit(
        begun, data, show, run=run, epochs=2, lr=5e-3, batch_size=cfg.batch_size, loss_fn=loss,
        predict=read, augment=partial(jitter, shift=cfg.shift), name="both", quiet=True,
    )  # fmt: skip
    ended = lesson.make_net(cfg, 1)
    assert lesson.train(ended, data, cfg, run, "both", loss, read, 5e-3) == rows
    assert len(run.resumed) == 1 and torch.equal(ended.fc1.weight, whole.fc1.weight)


def test_only_torchrun_leaves_the_loop_to_fit(tmp_path: Path, monkeypatch) -> None:
    cfg, called = tiny(tmp_path), []
    monkeypatch.setattr(lesson, "train", lambda *_: called.append("train"))
    monkeypatch.setattr(lesson, "fit", lambda *_, **more: called.append(more))
    todo = (lesson.make_net(cfg, 1), None, cfg, None, "x", *lesson.LOSSES["mean membrane"], 5e-3)
    lesson.train_alone_or_together(*todo)
    monkeypatch.setenv("WORLD_SIZE", "2")
    lesson.train_alone_or_together(*todo)
    assert called[0] == "train" and called[1]["lr"] == 5e-3
    assert called[1]["loss_fn"] is todo[5] and called[1]["predict"] is todo[6]


def fake_evaluate(val: list[float], test: float, train: float = 0.99):
    """``evaluate`` that knows what it is shown by its number: validation accuracies in their order."""
    found = iter(val)

    def evaluate(net, x, y, encode, predict=None, batch_size=500) -> float:
        assert len(x) == len(y)
        return {TRAIN: lambda: train, VAL: lambda: next(found), TEST: lambda: test}[len(x)]()

    return evaluate


def test_validation_chooses_the_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three epochs the second is best on validation images: its weights are left."""
    cfg = tiny(tmp_path, epochs=3)
    run, data = begin(cfg, "x"), mnist(source="stand-in")
    seen = []
    judge = fake_evaluate([0.5, 0.8, 0.7], test=0.1)

    def evaluate(net, x, y, encode, predict=None) -> float:
        seen.append({k: v.clone() for k, v in net.state_dict().items()})
        return judge(net, x, y, encode)

    monkeypatch.setattr(lesson, "evaluate", evaluate)
    net = lesson.make_net(cfg, 0)
    rows = lesson.train(
        net, data, cfg, run, "x", lesson.mean_membrane_loss, lesson.highest_mean_membrane, 1e-2
    )
    assert [row["val"] for row in rows] == [0.5, 0.8, 0.7]
    assert torch.equal(net.fc1.weight, seen[1]["fc1.weight"])
    assert not torch.equal(net.fc1.weight, seen[2]["fc1.weight"])


def test_training_rows_count_the_training_images(tmp_path: Path, monkeypatch) -> None:
    """A predictor that is always right gives 100 %, one that answers class 0 the share of zeros."""
    cfg = tiny(tmp_path, epochs=1)
    run, data = begin(cfg, "x"), mnist(source="stand-in")
    monkeypatch.setattr(lesson, "evaluate", fake_evaluate([0.5], test=0.1))
    zeros = lambda out: torch.zeros(out[0].shape[1], dtype=torch.long)  # noqa: E731
    unit = lambda out, y: 0 * out[1].sum() + 2.5  # noqa: E731
    (row,) = lesson.train(lesson.make_net(cfg, 0), data, cfg, run, "x", unit, zeros, 1e-3)
    assert row["train"] == pytest.approx((data.y_train == 0).float().mean().item())
    assert row["loss"] == pytest.approx(2.5) and row["epoch"] == 1


def test_section_training_reports_the_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson, "evaluate", fake_evaluate([0.6, 0.5], test=0.75))
    run = run_section(lesson.section_training, tmp_path, num_steps=3, num_hidden=16)
    assert run.value("accuracy") == 0.75
    claim = next(c for c in run.claims if c.id == "accuracy")
    assert claim.n == TEST and claim.target == ">= 0.984"
    assert "90 of 360 test images are read wrongly (75.00 % right)" in run.findings[0]["text"]
    assert run.ledger_rows[0]["accuracy"] == 0.75 and run.ledger_rows[0]["n"] == TEST
    trained = run.result_of(lesson.section_training)
    seen = lesson.activity(trained.net, trained.data.x_test, run.cfg)
    assert run.value("spikes_hidden") == seen.hidden
    assert run.value("spikes_output") == seen.output
    names = {path.name for path in run.dir.iterdir()}
    assert {"1_inside.png", "1_training.png", "model.safetensors"} <= names


def test_cut_after_an_epoch_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """The same weights and figures as without the cut, and more epochs are trained as if long from the start."""
    data = mnist(source="stand-in")

    def trained(folder: Path, stop: int = 9, **flags):
        cfg = tiny(folder, **flags)
        run, net = begin(cfg, "x"), lesson.make_net(cfg, 0)
        epochs = 0
        real = lesson.save_checkpoint

        def save(*args):
            nonlocal epochs
            real(*args)
            epochs += 1
            if epochs == stop:
                raise KeyboardInterrupt

        monkeypatch.setattr(lesson, "save_checkpoint", save)
        torch.manual_seed(3)
        loss, predict = lesson.mean_membrane_loss, lesson.highest_mean_membrane
        rows = None
        try:
            rows = lesson.train(net, data, cfg, run, "main", loss, predict, 1e-2)
        except KeyboardInterrupt:
            pass
        finally:
            monkeypatch.setattr(lesson, "save_checkpoint", real)
        return net, rows, run

    whole, rows, run = trained(tmp_path / "whole", epochs=3)
    assert run.resumed == []
    trained(tmp_path / "cut", stop=1, epochs=3)
    again, again_rows, run = trained(tmp_path / "cut", epochs=3, resume=True)
    assert len(run.resumed) == 1
    assert torch.equal(whole.fc1.weight, again.fc1.weight)
    assert [r["val"] for r in rows] == [r["val"] for r in again_rows]
    # Planned with 2 epochs, continued with 3: the third falls to zero as that of three does.
    trained(tmp_path / "more", epochs=2)
    _, more_rows, _ = trained(tmp_path / "more", epochs=3, resume=True)
    assert len(more_rows) == 3
    capsys.readouterr()


def test_resume_with_other_settings_is_one_line(tmp_path: Path, capsys) -> None:
    flags = ["--smoke", "--num-steps", "2", "--out-dir", str(tmp_path), "--only", "1"]

    def go(*more: str) -> None:
        start(lesson.main, lesson.Config, lesson.SMOKE, lesson.FULL, [*flags, *more])

    go()
    capsys.readouterr()
    for more, name in ((("--beta", "0.5"), "beta"), (("--num-hidden", "33"), "num_hidden")):
        with pytest.raises(SystemExit) as stop:
            go(*more, "--resume")
        err = capsys.readouterr().err
        assert stop.value.code == 2 and err.count("\n") == 1
        assert "another training" in err and name in err


# -------------------------------------------------------------------- 2  BPTT


@settings(max_examples=20, deadline=None)
@given(
    T=st.integers(1, 9),
    B=st.integers(1, 4),
    H=st.integers(1, 6),
    beta=st.floats(0.0, 1.0),
    seed=st.integers(0, 10**6),
)
def test_backward_by_hand_equals_autograd(T: int, B: int, H: int, beta: float, seed: int) -> None:
    torch.manual_seed(seed)
    net = lesson.Net(num_inputs=5, num_hidden=H, beta=beta)
    x, y = 4 * torch.rand(T, B, 5), torch.randint(0, 10, (B,))
    spk1, mem1, _, mem2 = lesson.step_by_step(net, x)
    w1, w2, delta1, delta2 = lesson.backward_by_hand(net, x, y, spk1, mem1, mem2)
    loss = F.cross_entropy(torch.stack(mem2).mean(0), y)
    wanted = [net.fc1.weight, net.fc2.weight, *mem1, *mem2]
    auto_w1, auto_w2, *auto = torch.autograd.grad(loss, wanted)
    for ours, theirs in ((w1, auto_w1), (w2, auto_w2)):
        assert (ours - theirs).norm() <= 1e-5 * theirs.norm() + 1e-8
    assert torch.allclose(torch.stack(delta1), torch.stack(auto[:T]), atol=1e-6)
    assert torch.allclose(torch.stack(delta2), torch.stack(auto[T:]), atol=1e-6)


def uncarried_gradient(net, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """∂L/∂W1 if each step is cut off from the next: autograd with both states detached."""
    lif1, lif2 = snn.Leaky(beta=net.lif1.beta), snn.Leaky(beta=net.lif2.beta)
    mem1, mem2 = lif1.init_leaky(), lif2.init_leaky()
    mem2_rec = []
    for x_t in x:
        spk1, mem1 = lif1(net.fc1(x_t), mem1.detach())
        _, mem2 = lif2(net.fc2(spk1), mem2.detach())
        mem2_rec.append(mem2)
    loss = F.cross_entropy(torch.stack(mem2_rec).mean(0), y)
    return torch.autograd.grad(loss, net.fc1.weight)[0]


def test_nothing_carried_is_every_step_cut_off() -> None:
    torch.manual_seed(2)
    net = lesson.Net(num_inputs=5, num_hidden=7)
    x, y = 3 * noise(6, 4, 5), torch.tensor([1, 0, 9, 4])
    spk1, mem1, _, mem2 = lesson.step_by_step(net, x)
    ours, _, _, _ = lesson.backward_by_hand(net, x, y, spk1, mem1, mem2, carry=False)
    assert torch.allclose(ours, uncarried_gradient(net, x, y), atol=1e-7) and ours.any()


def test_surrogate_is_snntorchs() -> None:
    x = torch.linspace(-3, 3, 31, requires_grad=True)
    (theirs,) = torch.autograd.grad(snn.surrogate.atan()(x).sum(), x)
    assert torch.allclose(lesson.surrogate(x.detach()), theirs, atol=1e-6)


def test_what_is_left_of_an_error() -> None:
    left = lesson.error_left(lambda h: 0.5 * h, noise(2, 3), 4)
    assert left == pytest.approx([1, 0.5, 0.25, 0.125, 0.0625])


@pytest.mark.parametrize(("beta", "T"), [(0.9, 10), (0.6, 4)])
def test_section_bptt_publishes_closed_forms(tmp_path: Path, beta: float, T: int) -> None:
    run = run_section(lesson.section_bptt, tmp_path, beta=beta, num_steps=T, num_hidden=64)
    assert run.value("first_over_last") == pytest.approx((1 - beta**T) / (1 - beta), rel=1e-4)
    assert run.value("lif_left") == pytest.approx(beta**20, rel=1e-4)
    assert run.value("bptt") < 1e-5 and run.value("bptt") > 0
    assert run.value("rnn_left") > 1

    cfg = run.cfg
    net = lesson.make_net(cfg, cfg.seed)
    x_b, y = next(lesson.batches(run.data(mnist).x_train, run.data(mnist).y_train, 32))
    x = lesson.encode(x_b, T)
    _, mem_rec = net.run(x)
    (whole,) = torch.autograd.grad(F.cross_entropy(mem_rec.mean(0), y), net.fc1.weight)
    cut = uncarried_gradient(net, x, y)
    assert run.value("carried") == pytest.approx((whole.norm() / cut.norm()).item(), rel=1e-3)
    cosine = ((whole * cut).sum() / whole.norm() / cut.norm()).item()
    assert run.value("carried_cosine") == pytest.approx(cosine, rel=1e-3)
    same_way = "points nearly the same way" in run.findings[0]["text"]
    assert same_way == (cosine > 0.95) and f"cosine {cosine:.3f}" in run.findings[0]["text"]


# -------------------------------------------------------------------- 3  losses


@given(seed=st.integers(0, 10**6), rate=st.floats(0.0, 0.6))
@settings(max_examples=15, deadline=None)
def test_first_spike_loss_is_snntorchs(seed: int, rate: float) -> None:
    g = torch.Generator().manual_seed(seed)
    spk0 = (torch.rand(7, 6, 10, generator=g) < rate).float()
    y = torch.randint(0, 10, (6,), generator=g)
    ours, theirs = spk0.clone().requires_grad_(), spk0.clone().requires_grad_()
    a, b = lesson.first_spike_loss(ours, y), SF.ce_temporal_loss()(theirs, y)
    a.backward()
    b.backward()
    assert torch.allclose(a, b) and torch.allclose(ours.grad, theirs.grad, atol=1e-7)


def test_each_loss_is_what_its_name_says() -> None:
    spk_rec = (noise(10, 6, 10) < 0.4).float()
    mem_rec = 4 * noise(10, 6, 10, seed=1) - 2
    y = torch.tensor([3, 1, 4, 1, 5, 9])
    cross = torch.nn.CrossEntropyLoss()
    wanted = {
        "ce_rate_loss": torch.stack([cross(s, y) for s in spk_rec]).mean(),
        "ce_count_loss": cross(spk_rec.sum(0), y),
        "mse_count_loss": ((spk_rec.sum(0) - (2 + 6 * F.one_hot(y, 10))) ** 2).mean() / 10,
        "ce_temporal_loss": SF.ce_temporal_loss()(spk_rec, y),
        "ce_max_membrane_loss": cross(mem_rec.max(0).values, y),
        "mean membrane": cross(mem_rec.mean(0), y),
    }
    assert list(lesson.LOSSES) == list(wanted)
    for name, value in wanted.items():
        loss, _ = lesson.LOSSES[name]
        assert float(loss((spk_rec, mem_rec), y)) == pytest.approx(float(value), rel=1e-5), name
    function = {"ce_rate_loss", "ce_count_loss", "mse_count_loss", "ce_max_membrane_loss"}
    assert all(hasattr(SF, name) for name in function | {"ce_temporal_loss"})


def test_answers_are_read_as_the_losses_ask() -> None:
    spk = torch.zeros(6, 1, 3)
    spk[0, 0, 1] = 1  # class 1 fires first
    spk[2:5, 0, 2] = 1  # class 2 fires most
    mem = torch.zeros(6, 1, 3)
    mem[3, 0, 0] = 5.0  # class 0 has the highest peak
    mem[:, 0, 1] = 1.5  # class 1 the highest mean
    answers = {
        "ce_rate_loss": 2,
        "ce_count_loss": 2,
        "mse_count_loss": 2,
        "ce_temporal_loss": 1,
        "ce_max_membrane_loss": 0,
        "mean membrane": 1,
    }
    for name, answer in answers.items():
        _, predict = lesson.LOSSES[name]
        assert predict((spk, mem)).tolist() == [answer], name
    silent = torch.zeros(5, 1, 4)
    silent[3, 0, 1] = 1
    assert lesson.FirstSpike.apply(silent).tolist() == [[4, 3, 4, 4]]


def test_floor_of_the_rate_loss() -> None:
    """Section 3 says where ce_rate_loss ends."""
    spk = torch.zeros(10, 1, 10)
    spk[:, 0, 3] = 1
    loss, _ = lesson.LOSSES["ce_rate_loss"]
    assert float(loss((spk, spk), torch.tensor([3]))) == pytest.approx(math.log(1 + 9 / math.e))


def test_interval_is_students() -> None:
    values = [93.1, 92.4, 92.9, 93.6]
    mean, half = lesson.interval(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high))
    _, five = lesson.interval(values, comparisons=5)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.99)
    assert five == pytest.approx((high - low) / 2)


def arm(test: list[float], validation=(1.0,), lr: float = 1e-3) -> lesson.Arm:
    return lesson.Arm(list(validation), lr, test, [])


def test_who_is_told_apart() -> None:
    """Differences are judged seed by seed: common ups and downs of the seeds do not count."""
    arms = {
        "lower": arm([90.0, 92.0, 91.0]),
        "best": arm([91.0, 93.01, 91.99]),  # 1 point more at each seed
        "unsure": arm([90.9, 93.5, 91.0]),
    }
    assert lesson.not_told_apart(arms) == ["best", "unsure"]
    del arms["unsure"]
    assert lesson.not_told_apart(arms) == ["best"]
    twin = {"a": arm([90.0, 91.0]), "b": arm([90.0, 91.0])}
    assert lesson.not_told_apart(twin) == ["a", "b"]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch):
    """``fit`` that trains nothing and notes on the network how it was called; ``evaluate`` asks ``judge``."""
    calls = []

    def fake_fit(net, data, encode, *, run, epochs, lr, batch_size, loss_fn, predict, seed, quiet):
        net.how = SimpleNamespace(lr=lr, seed=seed, loss=loss_fn, n=len(data.x_train), data=data)
        calls.append(net.how)

    monkeypatch.setattr(lesson, "fit", fake_fit)

    def use(judge) -> list:
        def evaluate(net, x, y, encode, predict=None) -> float:
            return judge(net.how, {VAL: "validation", TEST: "test"}[len(x)])

        monkeypatch.setattr(lesson, "evaluate", evaluate)
        return calls

    return use


def test_an_arm_chooses_its_rate_on_validation_images(tmp_path: Path, recorded) -> None:
    """The rate that is best on validation images and worst on test images is taken; then come new seeds."""
    best = {1e-3: 0.5, 2e-3: 0.9, 4e-3: 0.7}

    def judge(how, part: str) -> float:
        if part == "validation":
            return best[how.lr]
        return 0.3 + how.seed / 100 if how.lr == 2e-3 else 0.99

    calls = recorded(judge)
    cfg = tiny(tmp_path, seeds=3, seed=4)
    run, data = begin(cfg, "x"), mnist(source="stand-in")
    show = partial(lesson.encode, num_steps=3)
    built = []
    found = lesson.train_arm(
        lambda seed: built.append(seed) or lesson.make_net(cfg, seed), show,
        *lesson.LOSSES["mean membrane"], data, cfg, run, (1e-3, 2e-3, 4e-3),
    )  # fmt: skip
    assert found.validation == pytest.approx([50, 90, 70]) and found.lr == 2e-3
    assert found.test == pytest.approx([35, 36, 37]), "seeds 5, 6, 7: not the one that chose"
    assert [c.seed for c in calls] == built == [4, 4, 4, 5, 6, 7]
    assert [c.lr for c in calls] == [1e-3, 2e-3, 4e-3, 2e-3, 2e-3, 2e-3]
    assert {c.n for c in calls} == {200} and len(found.nets) == 3
    assert torch.equal(calls[0].data.x_train, data.x_train[:200])


def test_section_losses_reports_its_arms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded, capsys
) -> None:
    """Known accuracies, rates and spikes go in; claims, table and finding come out."""
    names = list(lesson.LOSSES)
    order = {id(loss): i for i, (loss, _) in enumerate(lesson.LOSSES.values())}

    def judge(how, part: str) -> float:
        i = order[id(how.loss)]
        if part == "test":
            return 0.80 + 0.02 * i + 0.001 * how.seed  # the last loss is best, surely
        # at the lowest rate the first loss is best, at the highest the last, by 0.25
        return 0.5 + 0.05 * (i if how.lr > 4e-3 else 0.8 - i)

    recorded(judge)
    spikes = {"ce_temporal_loss": lesson.Activity(20.0, 1.0, 3.0)}
    by_seed = iter(names * 10)

    def activity(net, images, cfg):
        name = names[order[id(net.how.loss)]]
        assert len(images) == TEST
        return spikes.get(name, lesson.Activity(100.0, 10.0 + order[id(net.how.loss)], 2.0))

    monkeypatch.setattr(lesson, "activity", activity)
    run = run_section(lesson.section_losses, tmp_path, seeds=3, num_steps=3, num_hidden=8)
    assert run.value("spread_own") == pytest.approx(25 - 4), "75 % at best against 54 %"
    assert run.value("spread_shared") == pytest.approx(25.0)
    assert run.value("first_temporal") == 3.0 and run.value("earlier") == 5
    assert run.value("fewest") == 21.0
    text = run.findings[0]["text"]
    assert (
        "mean membrane has the highest mean; 3 seeds tell 5 of the 5 others apart from it" in text
    )
    assert "the winner at 0.001 is ce_rate_loss, at 0.032 mean membrane" in text
    assert "there ce_rate_loss loses most, 4 points against its own best" in text
    assert "at step 3.0; 5 of the 5 others are earlier" in text
    claims = {c.id: c for c in run.claims}
    assert {claims[name].n for name in ("spread_own", "spread_shared")} == {VAL}
    table = {row[0]: row[1:] for row in run.extra["tables"][0]["rows"]}
    assert table["mean membrane"][0] == "0.008" and table["ce_rate_loss"][0] == "0.001"
    assert table["ce_rate_loss"][1] == "80.2 ± 0.2 %"  # seeds 1, 2, 3: 0.1 points apart
    assert table["ce_temporal_loss"][2:] == ["20", "1.0", "3.0"]
    assert next(by_seed) == names[0]


# -------------------------------------------------------------------- 4  reading


def test_accuracy_after_each_step(tmp_path: Path) -> None:
    """Two images of classes 0 and 1; the answer by potential is right from step 2 on for one of them."""
    mem = torch.zeros(3, 2, 10)
    mem[0, 0, 5] = 1.0  # image 0: first a 5 ...
    mem[1, 0, 0] = 3.0  # ... then a 0, by the sum
    mem[:, 1, 1] = 1.0  # image 1: a 1 from the start
    spk = torch.zeros(3, 2, 10)
    spk[:, :, 1] = 1.0  # by spikes, everything is a 1
    data = SimpleNamespace(x_test=torch.zeros(2, 1, 28, 28), y_test=torch.tensor([0, 1]))
    net = SimpleNamespace(run=lambda x: (spk, mem))
    cfg = tiny(tmp_path)
    by_potential, by_count = lesson.accuracy_by_step(net, data, cfg)
    assert by_potential.tolist() == [0.5, 1.0, 1.0] and by_count.tolist() == [0.5, 0.5, 0.5]
    assert lesson.share_of_ties(net, data, cfg) == 0
    spk[:, 0, 7] = 1.0  # image 0: as many spikes for a 7 ...
    spk[:, 1, 4:6] = 0.0  # ... and image 1: neurons 4 and 5 tie far below the highest
    assert lesson.share_of_ties(net, data, cfg) == 0.5


def test_section_reading_reports_both_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, trained = object(), {}
    data = mnist(source="stand-in")
    by_step = {
        "first": (np.array([0.5, 0.9]), np.array([0.2, 0.6])),
        "second": (np.array([0.4, 0.7]), np.array([0.3, 0.8])),
    }

    def train(net, data, cfg, run, name, loss_fn, predict, lr):
        trained.update(name=name, loss=loss_fn, predict=predict, lr=lr)

    monkeypatch.setattr(lesson, "train", train)
    monkeypatch.setattr(
        lesson, "accuracy_by_step", lambda net, *_: by_step["first" if net is first else "second"]
    )
    monkeypatch.setattr(lesson, "share_of_ties", lambda net, *_: 0.123 if net is first else 0.456)
    monkeypatch.setattr(
        lesson.section_training, "function", lambda cfg, run: lesson.Trained(first, data)
    )
    run = run_section(lesson.section_reading, tmp_path, num_steps=2, lr_count=7e-3)
    assert run.value("count_of_potential") == 0.6
    assert run.value("count_of_count") == 0.8
    assert run.value("potential_of_count") == 0.7
    assert (trained["loss"], trained["predict"]) == lesson.LOSSES["ce_count_loss"]
    assert trained["lr"] == 7e-3
    text = run.findings[0]["text"]
    assert "90.00 % by potential, 80.00 % by counts" in text
    assert "potentials loses 30.0 points, the one trained on counts 10.0" in text
    assert run.value("ties") == 0.123 and "tie of counts for 12.3 %" in text
    assert run.value("one_step") == 0.5
    assert "50.0 % after a single step: a still image, too, takes time" in text


# -------------------------------------------------------------------- 5  memory


def test_section_memory_follows_the_formula(tmp_path: Path) -> None:
    run = run_section(lesson.section_memory, tmp_path, num_hidden=24)
    assert run.value("memory_slope") == run.value("memory_formula") == 4 * (24 + 24 + 10)
    assert run.value("memory_changes") == 4 * (784 + 24 + 24 + 10)
    weights = 4 * (784 * 24 + 24 + 24 * 10 + 10) / 1e6
    text = run.findings[0]["text"]
    assert f"make {232 * 12_800 / 1e6:.0f} MB" in text and f"take {weights:.1f} MB" in text


# -------------------------------------------------------------------- 6  truncation


@pytest.mark.parametrize("window", [1, 3, 6, 100])
def test_truncation_changes_gradients_and_no_outputs(window: int) -> None:
    torch.manual_seed(0)
    net = lesson.Net(num_hidden=20)
    x = noise(6, 3, 784)
    whole_x, cut_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    _, whole = net.run(whole_x)
    spk, mem = lesson.run_truncated(net, cut_x, window)
    assert spk.shape == mem.shape == (1, 3, 10)
    assert torch.allclose(mem[0], whole[-1], atol=1e-5)
    (wanted,) = torch.autograd.grad(whole[-1].sum(), whole_x)
    (grad,) = torch.autograd.grad(mem.sum(), cut_x)
    first = max(0, 6 - window)
    assert not grad[:first].any(), "beyond the window nothing arrives"
    assert torch.allclose(grad[first:], wanted[first:], atol=1e-6) and grad[first].any()


def test_flashed_image_is_dark_after_a_fifth() -> None:
    x = lesson.flash(torch.ones(2, 1, 28, 28), 10)
    assert x.shape == (10, 2, 784) and x[:2].min() == 1 and x[2:].max() == 0
    assert lesson.flash(torch.ones(2, 1, 28, 28), 1).min() == 1, "even one step shows the image"


def test_section_truncated_reports_its_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known accuracies by task and window; sign of the difference, and which window is which."""
    asked = []

    def train_arm(build, show, loss_fn, predict, data, cfg, run, rates):
        net = build(cfg.seed + 1)
        seen = show(torch.ones(1, 1, 28, 28))
        task = "stays" if seen.min() == 1 else "flashed"
        asked.append((task, net.window))
        mean = {"stays": 90.0, "flashed": 40.0}[task] + net.window
        return lesson.Arm([], rates[0], [mean - 0.5, mean + 0.5], [net])

    monkeypatch.setattr(lesson, "train_arm", train_arm)
    run = run_section(lesson.section_truncated, tmp_path, num_steps=10, seeds=2, num_hidden=8)
    assert set(asked) == {
        ("stays", 1), ("stays", 5), ("stays", 10),
        ("flashed", 1), ("flashed", 8), ("flashed", 9), ("flashed", 10),
    }  # fmt: skip
    assert run.value("stays_gain") == pytest.approx(9.0), "whole BPTT minus window 1"
    assert run.value("flash_short") == pytest.approx(0.48)
    assert run.value("flash_enough") == pytest.approx(0.49)
    assert run.value("flash_moved") == 0
    assert (
        "with 8 steps" in run.findings[0]["text"] and "with 9 it is 49 %" in run.findings[0]["text"]
    )


def test_hidden_weights_stay_until_the_window_reaches_the_flash(tmp_path: Path) -> None:
    """What section 6 derives, on a real training: short of the flash not one hidden weight moves."""
    cfg = tiny(tmp_path, num_steps=5, num_hidden=24)
    run, data = begin(cfg, "x"), mnist(source="stand-in")
    show = partial(lesson.flash, num_steps=5)
    moved = {}
    for window in (4, 5):
        net, fresh = (lesson.make_last_answer(cfg, window, 1) for _ in range(2))
        few = lesson.replace(data, x_train=data.x_train[:200], y_train=data.y_train[:200])
        fit(net, few, show, run=run, epochs=1, lr=1e-2, batch_size=50, quiet=True)
        moved[window] = (net.fc1.weight - fresh.fc1.weight).abs().max().item()
    assert moved[4] == 0 and moved[5] > 0
    real = run_section(lesson.section_truncated, tmp_path, num_steps=5, num_hidden=24, seeds=2)
    assert real.value("flash_moved") == 0


# -------------------------------------------------------------------- figures, real data


def test_titles_say_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = {}
    real = lesson.Run.figure

    def figure(self, fig: matplotlib.figure.Figure, name: str, look: str = "") -> Path:
        titles[name] = fig.get_suptitle()
        return real(self, fig, name, look)

    monkeypatch.setattr(lesson.Run, "figure", figure)
    monkeypatch.setattr(lesson, "evaluate", fake_evaluate([0.6, 0.5], test=0.75))
    run = run_section(lesson.section_training, tmp_path, num_steps=3, num_hidden=16)
    net, data = run.results[1].net, run.results[1].data
    x = lesson.encode(data.x_test[:1].float() / 255, 3)
    answer = int(lesson.highest_mean_membrane(net.run(x)))
    assert f"a {int(data.y_test[0])} is read as a {answer}" in titles["1_inside"]
    assert "75.00 % of 360 test images" in titles["1_training"]
    run_section(lesson.section_memory, tmp_path, num_hidden=24)
    assert "232 bytes" in titles["5_memory"]


SHARED = Path(os.environ.get("SNN_DATA") or ROOT.parent / "shared" / "datasets")


@pytest.mark.skipif(
    not (SHARED / "MNIST").is_dir(), reason="real MNIST is not on this machine (set SNN_DATA)"
)
def test_learns_real_mnist(tmp_path: Path) -> None:
    """One epoch over all 55,000 real images: at least 96 % of the 10,000 test images."""
    run = run_section(
        lesson.section_training, tmp_path, smoke=False, epochs=1, data_dir=SHARED, num_steps=5
    )
    data: ImageData = run.results[1].data
    assert not data.stand_in and data.sizes == {"train": 55_000, "val": 5_000, "test": 10_000}
    assert run.value("accuracy") >= 0.96
