"""Lesson 14: its equations against oracles, and every number it publishes against another way to it."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from common.cost import PJ_PER_AC, PJ_PER_MAC, calls, pareto_front
from common.data import ImageData
from common.io import load_weights
from common.lesson import begin
from common.spiking import constant_current

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import check_refused, load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits
from torch import Tensor, nn

lesson = load_script("14_loss_and_regularization")
ten = load_script("10_convolutional_snn")


def spikes(*shape: int, rate: float = 0.3, seed: int = 0) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def tiny(folder: Path, **settings) -> lesson.Config:
    small = {"num_hidden": 8, "num_steps": 4, "tune_images": 24, "seeds": 2, "smoke": True}
    return lesson.Config(**{**small, "device": "cpu", "out_dir": folder, **settings})


def measured(accuracy: float, sent: float, dead: float = 0.0, burst: int = 2) -> lesson.Measured:
    """What a network does of which everything is known: 10 neurons, 1,000 images."""
    right = (torch.arange(1000) < round(1000 * accuracy)).double()
    silent = round(10 * dead)
    rates = torch.zeros(10, dtype=torch.float64)
    rates[silent:] = sent / max(10 - silent, 1)
    counts = torch.zeros(11, dtype=torch.float64)
    counts[0], counts[burst] = 3, 1
    return lesson.Measured(right, counts, rates)


def arm(val: list[tuple], test: list[tuple], prices=()) -> lesson.Arm:
    """An arm of known networks: (accuracy, spikes, dead, burst) each."""
    nets = [lesson.Net(num_hidden=8) for _ in val]
    return lesson.Arm(nets, list(prices), [measured(*v) for v in val], [measured(*t) for t in test])


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> lesson.Start:
    """Section 1 done, with two networks that send 100 and 200 spikes, on marked images."""
    nets = [lesson.Net(num_hidden=8) for _ in range(2)]
    made = lesson.Start(nets, [100.0, 200.0], marked_splits())
    monkeypatch.setattr(lesson.section_cost, "function", lambda cfg, run: made)
    monkeypatch.setattr(lesson, "ledger_row", lambda net, x, **row: row)
    return made


# -------------------------------------------------------------------- 1  what a spike costs


@settings(max_examples=10, deadline=None)
@given(size=st.integers(1, 9), filters=st.integers(1, 5))
def test_fan_out_is_what_autograd_says(size: int, filters: int) -> None:
    """With weights of 1, ∂(sum of all outputs)/∂(input) counts the weights that an input meets."""
    conv = nn.Conv2d(2, filters, 3, padding=1)
    nn.init.ones_(conv.weight)
    x = torch.zeros(1, 2, size, size, requires_grad=True)
    conv(x).sum().backward()
    assert torch.equal(lesson.fan_out(filters, size).expand(2, size, size), x.grad[0])


def test_the_network_is_lesson_10s_spike_for_spike() -> None:
    net = load_weights(lesson.PhotoNet(), lesson.CHECKPOINT).eval()
    twin = load_weights(ten.photo_net(), lesson.CHECKPOINT).eval()
    x = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        for mine, theirs in zip(
            net.outputs(lesson.show_photo(x)), twin.outputs(ten.encode(x, 2)), strict=True
        ):
            assert torch.equal(mine, theirs)
        assert torch.equal(net.run(lesson.show_photo(x)), twin.run(ten.encode(x, 2)))
        costs = lesson.synops_by_layer(net, net.outputs(lesson.show_photo(x)))
    assert costs.sum().item() == pytest.approx(ten.accumulates(twin, ten.encode(x, 2)), rel=1e-6)
    assert lesson.multiplications(net) == ten.multiplications(twin) == 1_696_512
    out, y = torch.randn(2, 5, 10), torch.arange(5)
    assert lesson.smoothed_loss(out, y) == ten.smoothed_loss(out, y)
    assert torch.equal(lesson.highest_mean_current(out), ten.highest_mean_current(out))


def test_synops_of_each_layer_against_convolutions_with_ones() -> None:
    net = lesson.PhotoNet()
    shapes = ((64, 16), (128, 8), (128, 8), (256, 4), (256, 4))
    outputs = [spikes(2, 3, c, s, s, seed=c + s) for c, s in shapes]
    outputs[2] = outputs[2] + outputs[1]  # behind a shortcut
    found = lesson.synops_by_layer(net, outputs)
    for i, spk in enumerate(outputs[:-1]):
        filters = net.layers[i + 1].conv.out_channels
        ones = torch.ones(filters, spk.shape[2], 3, 3)
        wanted = F.conv2d(spk.flatten(0, 1), ones, padding=1).double().sum().item() / 3
        assert found[i].item() == pytest.approx(wanted, rel=1e-5)
    assert found[-1].item() == pytest.approx(outputs[-1].sum().item() * 10 / 3, rel=1e-5)


def test_measure_counts_what_the_neurons_send(tmp_path: Path) -> None:
    """By hooks, through ``forward``, step by step."""
    cfg = tiny(tmp_path)
    net = lesson.make_net(cfg, 3)
    x = torch.randint(0, 256, (30, 1, 28, 28), dtype=torch.uint8)
    found = lesson.measure(net, x, torch.zeros(30, dtype=torch.long), cfg)
    sent, reached = torch.zeros(8), 0.0
    for name, layer, inputs, out in calls(net, lesson.encode(x.float() / 255, 4)):
        if name == "lif1":
            sent += out.sum(0)
        if name == "fc2":
            reached += inputs.sum().item() * layer.out_features
    assert torch.allclose(found.rates.float(), sent / 30)
    assert 10 * found.spikes == pytest.approx(reached / 30) and found.spikes > 0
    assert found.counts.sum() == 8 * 30
    assert (torch.arange(5) * found.counts).sum().item() == pytest.approx(sent.sum().item())


def test_measure_on_a_network_whose_answer_is_known(tmp_path: Path) -> None:
    """One neuron that fires at every step, one that never does, one at every other step."""
    net = lesson.Net(num_hidden=3)
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net.lif1.beta.fill_(0.0)
        net.fc1.bias.copy_(torch.tensor([9.0, -9.0, -9.0]))
        net.fc2.bias[3] = 1.0
    y = torch.tensor([3] * 7 + [5] * 3)
    m = lesson.measure(net, torch.zeros(10, 1, 28, 28), y, tiny(tmp_path, num_hidden=3))
    assert m.rates.tolist() == [4, 0, 0] and m.spikes == 4 and m.burst == 4
    assert m.dead == pytest.approx(2 / 3) and m.accuracy == pytest.approx(0.7)
    assert m.counts.tolist() == [20, 0, 0, 0, 10]


def test_what_section_1_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []

    def measure(net, x, y, cfg):
        seen.append(len(x))
        return measured(0.9, 30.0 + 10 * len(seen))  # 40 and 50 on the test images

    monkeypatch.setattr(lesson, "fit", lambda *a, **k: [{"val": 0.9}])
    monkeypatch.setattr(lesson, "measure", measure)
    run = run_section(lesson.section_cost, tmp_path, num_steps=3)
    data = run.data(lesson.mnist)
    assert seen == [len(data.x_test)] * 2 + [len(data.x_val)] * 2
    assert run.result_of(lesson.section_cost).spikes == [60, 70]
    assert run.value("spikes") == 45
    lit = (data.x_test.flatten(1) != 0).double().sum(1).mean().item()
    spent = 450 * PJ_PER_AC
    assert run.value("spike_share") == pytest.approx(spent / (spent + lit * 32 * PJ_PER_MAC))
    photos = run.data(lesson.cifar10, **lesson.photos_of(run.cfg)).x_test.float() / 255
    twin = load_weights(ten.photo_net(), lesson.CHECKPOINT)
    synops = ten.accumulates(twin, ten.encode(photos, 2))
    assert run.value("photo_synops") == pytest.approx(synops, rel=1e-5)
    share = synops * PJ_PER_AC / (synops * PJ_PER_AC + 1_696_512 * PJ_PER_MAC)
    assert run.value("photo_share") == pytest.approx(share, rel=1e-4)
    text = run.findings[0]["text"]
    assert f"{100 * share:.0f} % in the second" in text and "costs 10 additions" in text


# -------------------------------------------------------------------- 2  penalties


def test_gradient_of_l1_is_flat_and_that_of_l2_follows_the_count() -> None:
    spk = spikes(6, 4, 5)
    spk[:, :, 0] = 0
    n = spk.sum(0)
    for penalty, wanted in ((lesson.l1, torch.full((4, 5), 0.7 / 20)), (lesson.l2, 1.4 * n / 20)):
        x = spk.clone().requires_grad_()
        lesson.FixedPrice(penalty, 0.7)(x.sum(0), 0.5).backward()
        assert torch.allclose(x.grad, wanted.expand(6, 4, 5), atol=1e-7)
    assert lesson.l1(n).item() == pytest.approx(n.sum().item() / 20)
    assert lesson.l2(n).item() == pytest.approx(sum(v * v for v in n.flatten().tolist()) / 20)


def test_a_steered_price_takes_the_steps_of_equation_3() -> None:
    """The budget falls from 8 to a quarter in the first 4 of 8 updates, by √(1/2) each."""
    price = lesson.SteeredPrice(lesson.l2, budget=2.0)
    strength = 0.0
    budgets = [8, 8 / 2**0.5, 4, 4 / 2**0.5, 2, 2, 2, 2]
    sent = (8.0, 7.0, 6.0, 5.0, 3.0, 2.0, 1.0, 0.5)
    for k, (b, mean) in enumerate(zip(budgets, sent, strict=True)):
        excess = mean / b - 1
        paid = max(0.0, strength + 5.0 * excess)
        added = price(torch.full((3, 4), mean), k / 8).item()
        assert added == pytest.approx(paid * mean**2 / b, abs=1e-5)
        strength = max(0.0, strength + 0.1 * excess)
        assert price.strength == pytest.approx(strength)
        assert price.trace[-1] == pytest.approx((b, mean, paid))
    assert lesson.next_price(0.1, -1.0, 0.01) == (0, pytest.approx(0.09))
    assert lesson.next_price(0.0, -1.0) == (0, 0), "nobody is paid for spiking"


def test_fine_tuning_sees_training_images_and_the_price(tmp_path: Path) -> None:
    cfg, data, seen = tiny(tmp_path, tune_images=10), marked_splits(), []

    def price(n: Tensor, progress: float) -> Tensor:
        seen.append((tuple(n.shape), progress))
        return 100 * n.mean()

    net = lesson.make_net(cfg, 0)
    with torch.no_grad():
        net.fc1.bias.fill_(1.2)  # training images are black: only the bias makes spikes
    before = net.fc1.bias.detach().clone()
    lesson.fine_tune(net, data, price, 0, cfg)
    assert seen == [((10, 8), 0.0), ((10, 8), 0.5)]
    assert (net.fc1.bias < before).all(), "a price on spikes makes them fewer"
    assert net.fc1.weight.equal(lesson.make_net(cfg, 0).fc1.weight), "black images move no weight"


def test_tune_copies_and_measures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: lesson.Start
) -> None:
    cfg, tuned, seen = tiny(tmp_path, seed=5), [], []
    monkeypatch.setattr(
        lesson, "fine_tune", lambda net, data, price, seed, cfg: tuned.append((net, price, seed))
    )

    def measure(net, x, y, cfg):
        seen.append(int(x.max()))
        return int(x.max())

    monkeypatch.setattr(lesson, "measure", measure)
    make_price = partial(lesson.SteeredPrice, lesson.l2, lesson.budget_of(0.25, start, cfg))
    found = lesson.tune(start, make_price, cfg)
    assert [seed for _, _, seed in tuned] == [5, 6] and seen == [128, 255, 128, 255]
    assert found.val == [128, 128] and found.test == [255, 255]
    assert [price.budget for price in found.prices] == [0.25 * 150 / 8] * 2
    assert found.prices[0] is not found.prices[1] and found.prices[0].penalty is lesson.l2
    for net, old in zip(found.nets, start.nets, strict=True):
        assert net is not old and net.fc1.weight.equal(old.fc1.weight)
    fresh = lesson.tune(start, make_price, cfg, fresh=True)
    assert fresh.nets[1].fc1.weight.equal(lesson.make_net(cfg, 6).fc1.weight)


def test_interval_against_a_table() -> None:
    """t for 2 degrees of freedom at 97.5 % is 4.303."""
    mean, half = lesson.interval([1.0, 2.0, 6.0])
    assert mean == 3 and half == pytest.approx(4.303 * math.sqrt(7 / 3), rel=1e-3)


def test_what_section_2_publishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: lesson.Start
) -> None:
    val = [(0.1, 1.0)] * 2
    made = [
        arm(val, [(0.98, 100.0), (0.98, 100.0)]),
        arm(val, [(0.97, 24.0, 0.5, 6), (0.96, 26.0, 0.6, 8)]),
        arm(val, [(0.975, 25.0, 0.1, 4), (0.969, 25.0, 0.1, 5)]),
    ]
    asked, several = [], iter(made)

    def tune(begun, make_price, cfg):
        asked.append(make_price())
        return next(several)

    monkeypatch.setattr(lesson, "tune", tune)
    run = run_section(lesson.section_penalties, tmp_path, num_hidden=10, num_steps=10)
    assert asked[0].strength == 0
    assert [(p.penalty, p.budget) for p in asked[1:]] == [(lesson.l1, 3.75), (lesson.l2, 3.75)]
    assert (run.value("dead_l1"), run.value("dead_l2")) == (pytest.approx(0.55), pytest.approx(0.1))
    assert run.value("burst_gap") == 2.5
    assert run.value("accuracy_gap") == pytest.approx(0.7)
    half = 12.706 * 5 / math.sqrt(1) / math.sqrt(1)  # 40 and 50 points: t(1)·s/√2, s = 7.07
    text = run.findings[0]["text"]
    assert f"45.0 ± {half:.1f}" in text and "do not tell apart" in text
    assert run.result_of(lesson.section_penalties) is made[0]


# -------------------------------------------------------------------- 3  the front


def test_lost_is_before_minus_after_and_paired() -> None:
    before, after = [measured(0.98, 1), measured(0.95, 1)], [measured(0.97, 1), measured(0.93, 1)]
    mean, half = lesson.lost(before, after)
    assert mean == pytest.approx(1.5) and half == pytest.approx(12.706 * 0.5, rel=1e-3)


def test_knee_is_the_cheapest_that_keeps_the_tolerance_on_validation() -> None:
    free = arm([(0.980, 1000)] * 2, [(0.5, 1)] * 2)
    arms = {
        ("no penalty", 0.0): free,
        ("L1", 1.0): arm([(0.977, 400)] * 2, [(0.1, 1)] * 2),
        ("L2", 1.0): arm([(0.975, 300)] * 2, [(0.1, 1)] * 2),  # exactly half a point
        ("L1", 3.0): arm([(0.974, 100)] * 2, [(0.9, 1)] * 2),
    }
    assert lesson.knee(arms, free, 0.5) == ("L2", 1.0)
    assert lesson.knee(arms, free, 0.4) == ("L1", 1.0)
    assert lesson.knee(arms, free, 0.0) == ("no penalty", 0.0)
    assert lesson.knee(arms, free, 50.0) == ("L1", 3.0)
    assert pareto_front([4, 3, 1], [0.977, 0.975, 0.974]) == [2, 1, 0]


def test_what_section_3_publishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: lesson.Start
) -> None:
    free = arm([(0.980, 1000.0), (0.978, 1200.0)], [(0.979, 1.0), (0.977, 1.0)])
    monkeypatch.setattr(lesson.section_penalties, "function", lambda cfg, run: free)

    def tune(begun, make_price, cfg):
        price = make_price()
        if (price.penalty, price.strength) == (lesson.l2, 0.03):
            return arm([(0.977, 200.0), (0.976, 240.0)], [(0.971, 1.0), (0.965, 1.0)])
        return arm([(0.9, 10.0)] * 2, [(0.99, 1.0)] * 2)

    monkeypatch.setattr(lesson, "tune", tune)
    run = run_section(lesson.section_front, tmp_path)
    assert run.value("saving") == pytest.approx(5)
    assert run.value("lost") == pytest.approx(1.0)
    assert run.value("free_accuracy") == pytest.approx(0.978)
    assert run.value("knee_accuracy") == pytest.approx(0.968)
    assert run.value("energy_saved") == pytest.approx((11_000 - 2_200) * PJ_PER_AC / 1000)
    assert "L2 with λ = 0.03" in run.findings[0]["text"]
    (table,) = run.extra["tables"]
    assert len(table["rows"]) == 9 and [r[0] for r in table["rows"] if "←" in r[0]] == ["← L2"]
    assert {row["model"][-4:]: row["accuracy"] for row in run.ledger_rows} == {
        "alty": 0.979,
        "knee": 0.971,
    }


# -------------------------------------------------------------------- 4  budgets


def test_the_hinge_is_free_below_its_budget() -> None:
    n = torch.full((3, 5), 4.0)
    assert lesson.hinge(n, 4.0) == 0 and lesson.hinge(n, 9.0) == 0
    assert lesson.hinge(n, 1.5).item() == pytest.approx(2.5)


def test_what_section_4_publishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: lesson.Start
) -> None:
    def tune(begun, make_price, cfg):
        """Networks that are off their budget b by a known factor; asked for half, b is 75 spikes."""
        price = make_price()
        if isinstance(price, lesson.SteeredPrice):
            b = price.budget * cfg.num_hidden
            price.strength = 3 / cfg.num_hidden
            price.trace = [(4.0, 4.0, 0.5)] * 6
            return arm([(0.9, 0.98 * b), (0.9, 1.03 * b)], [(0.8, 1.0), (0.9, 1.0)], [price] * 2)
        b = price.penalty.keywords["budget"] * cfg.num_hidden
        over = {1.0: (1.5, 1.9), 10.0: (0.9, 0.8)}[price.strength]
        return arm([(0.9, b * over[0]), (0.9, b * over[1])], [(0.8, 1.0), (0.7, 1.0)], [price] * 2)

    monkeypatch.setattr(lesson, "tune", tune)
    run = run_section(lesson.section_budget, tmp_path)
    assert run.value("hinge_error") == pytest.approx(0.7)
    assert run.value("dual_error") == pytest.approx(0.03)
    assert run.value("price_half") == pytest.approx(3 / 75)  # λ/b, with b a neuron
    assert run.value("price_last") == pytest.approx(3 / (150 / 16))
    text = run.findings[0]["text"]
    assert "-15.0 % off for a half and -15.0 % for a sixteenth" in text
    assert f"+10.00 ± {12.706 * 10:.2f} points more" in text  # 0 and 20 points


def test_dual_ascent_finds_the_price_of_a_network_whose_answer_is_known() -> None:
    """A loss (n − 6)²/2 with a price p on n/b ends at n = 6 − p/b: for b = 2 that is p = 8; for b = 9 it is 0."""
    for budget, strength, left in ((2.0, 8.0, 2.0), (9.0, 0.0, 6.0)):
        price = lesson.SteeredPrice(lesson.l1, budget)
        n = torch.full((1, 1), 6.0, requires_grad=True)
        optimizer = torch.optim.SGD([n], lr=0.1)
        for k in range(1200):
            optimizer.zero_grad()
            (((n - 6) ** 2).sum() / 2 + price(n, k / 1200)).backward()
            optimizer.step()
        assert price.strength == pytest.approx(strength, abs=0.5)
        assert n.item() == pytest.approx(left, abs=0.2)


# -------------------------------------------------------------------- 5  dead neurons


def test_floor_pulls_a_silent_neuron_up_and_no_other() -> None:
    n = torch.zeros(40, 3)
    n[:, 0] = 1  # once an image: above the bound
    n[0, 1] = 1  # once in forty images: below it
    n.requires_grad_()
    lesson.l1_with_floor(n).backward()
    pull = n.grad[0]
    assert pull[0] > 0 > pull[1] == pull[2]
    assert pull[2] == pytest.approx((1 - lesson.PULL) * pull[0].item())


def test_reach_falls_with_the_surrogate(tmp_path: Path) -> None:
    """One step, black images but for one pixel: ∂n/∂w of that pixel is σ′(θ − d), for ATan 1/(1 + (πd)²)."""
    net = lesson.Net(num_hidden=4)
    d = torch.tensor([0.1, 1.0, 3.0, 10.0])
    with torch.no_grad():
        net.fc1.weight.zero_()
        net.fc1.bias.copy_(1 - d)
    x = torch.zeros(6, 784)
    x[:, 5] = 0.5
    x = constant_current(x, 1)
    distance, gradient = lesson.reach(net, x)
    assert distance == pytest.approx(d.numpy(), rel=1e-5)
    assert gradient == pytest.approx((0.5 / (1 + (math.pi * d) ** 2)).numpy(), rel=1e-4)
    assert lesson.tail(2.0) == pytest.approx(0.0247, abs=1e-4)


def test_what_section_5_publishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: lesson.Start
) -> None:
    val = [(0.1, 1.0)] * 2
    made = {
        (0.0, True): arm(val, [(0.95, 9.0, 0.1)] * 2),
        (10.0, True): arm(val, [(0.1, 0.0, 1.0), (0.12, 1.0, 0.8)]),
        (10.0, False): arm(val, [(0.85, 1.0, 0.4), (0.83, 1.0, 0.5)]),
        "floor": arm(val, [(0.9, 1.0, 0.0), (0.92, 1.0, 0.1)]),
    }

    def tune(begun, make_price, cfg, fresh):
        price = make_price()
        if price.penalty is lesson.l1_with_floor:
            assert price.strength == 10 and not fresh
            return made["floor"]
        return made[price.strength, fresh]

    killed = made[10.0, True].nets[0]

    def reach(net, x):
        left = 3.0 if net is killed else 12.0
        return np.array([0.4, 1.0, 2.0]), np.array([0.0, left, 1000.0])

    monkeypatch.setattr(lesson, "tune", tune)
    monkeypatch.setattr(lesson, "reach", reach)
    run = run_section(lesson.section_dead, tmp_path)
    assert run.value("killed") == pytest.approx(0.9)
    assert run.value("late") == pytest.approx(0.45)
    assert run.value("floor") == pytest.approx(0.05)
    assert run.value("floor_gain") == pytest.approx(7)
    assert run.value("left_over") == 0.25


# -------------------------------------------------------------------- 6  photographs


def budgeted(goal: float, updates: int = 8) -> lesson.Budgeted:
    net = nn.Module()
    net.outputs = lambda x: [x]
    net.read = lambda spk: spk[..., 0, 0]
    return lesson.Budgeted(net, 50.0, goal, updates)


def test_the_budget_of_operations_falls_over_half_of_the_training() -> None:
    b = budgeted(0.0625)
    current, y = torch.zeros(2, 3, 10), torch.arange(3)
    budgets, strength = [], 0.0
    for k in range(8):
        budgets.append(b.budget())
        value = 0.9 if k < 6 else 0.01
        spent = torch.tensor(value, requires_grad=True)
        excess = value / budgets[-1] - 1
        paid = max(0.0, strength + 2 * excess) / budgets[-1]
        strength = max(0.0, strength + 0.02 * excess)
        loss = b.loss((current, spent), y)
        assert loss.item() == pytest.approx(math.log(10) + paid * value, rel=1e-5)
        assert torch.autograd.grad(loss, spent)[0].item() == pytest.approx(paid, rel=1e-5)
        assert b.strength.item() == pytest.approx(strength, rel=1e-5)
    assert budgets == pytest.approx([1, 0.5, 0.25, 0.125, 0.0625, 0.0625, 0.0625, 0.0625])
    assert {"strength", "done"} <= set(b.state_dict()), (
        "a training that is resumed goes on with them"
    )


def test_without_a_penalty_nothing_is_priced() -> None:
    b = budgeted(1.0)
    for _ in range(8):
        spent = torch.tensor(3.0, requires_grad=True)
        loss = b.loss((torch.zeros(2, 3, 10), spent), torch.arange(3))
        assert loss.item() == pytest.approx(math.log(10), abs=1e-5) and b.strength == 0
        assert not loss.requires_grad


def test_what_is_spent_is_a_share_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "synops_by_layer", lambda net, outputs: torch.tensor([10.0, 15.0]))
    current, spent = budgeted(0.5).run(torch.ones(2, 3, 10, 1, 1))
    assert spent == 0.5 and current.shape == (2, 3, 10)
    assert lesson.class_of((torch.eye(10)[None, [3, 7]], spent)).tolist() == [3, 7]


def test_look_sees_every_image_of_its_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    net = lesson.PhotoNet().eval()
    x = torch.randint(0, 256, (505, 3, 4, 4), dtype=torch.uint8)
    test = (x, torch.zeros(505).long())
    data = ImageData("known", False, ("a",), *test, x[:7], torch.ones(7).long(), *test)
    shown = []

    def outputs(x: Tensor) -> list[Tensor]:
        shown.append(len(x))
        return [x.amax((2, 3, 4))]

    monkeypatch.setattr(net, "outputs", outputs)
    monkeypatch.setattr(net, "read", lambda spk: -spk[..., None].abs() * torch.arange(10.0))
    monkeypatch.setattr(
        lesson, "synops_by_layer", lambda net, o: torch.full((5,), float(o[0].shape[1]))
    )
    run = begin(tiny(tmp_path), "test")
    right, synops = lesson.look(net, data, "test", 3, run)
    assert right.shape == (505,) and right.mean() > 0.9 and shown == [3, 3]
    assert synops.tolist() == pytest.approx([(500 * 500 + 5 * 5) / 505] * 5)
    right, _ = lesson.look(net, data, "val", 1, run)
    assert right.shape == (7,) and right.mean() < 0.1 and shown == [3, 3, 1]


def test_channels_that_fire_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind BatchNorm with mean μ, variance 1 and γ = 1 an empty map gives the current b − μ."""
    net = lesson.PhotoNet().eval()
    shifts = (-1.0, 2.0, 0.6, 0.9, -1.0)  # 0.9 fires at step 2 (0.9·1.5 > 1), 0.6 never
    for layer, shift in zip(net.layers, shifts, strict=True):
        layer.norm.bias.data.fill_(shift + 0.5)
        layer.norm.running_mean.fill_(0.5)
    own = [2.0, 3.0, 5.0, 7.0, 11.0]  # what each layer's neurons send
    sent = [
        torch.full((2, 1, c, 1, 1), n) for c, n in zip((64, 128, 128, 256, 256), own, strict=True)
    ]
    sent[2] = sent[2] + sent[1]
    sent[4] = sent[4] + sent[3]
    monkeypatch.setattr(net, "outputs", lambda x: sent)
    fan_outs = (
        64 * 128,
        128 * 128,
        128 * 256,
        256 * 256,
        2560,
    )  # of all channels of a map of one place
    cost = [2 * n * c for n, c in zip((2, 3, 8, 7, 18), fan_outs, strict=True)]
    # layers 2 and 4 are suspects, whose spikes layers 3 and 5 hand on
    suspect = [0, cost[1], 2 * 3 * fan_outs[2], cost[3], 2 * 7 * fan_outs[4]]
    found = lesson.unasked(net, torch.zeros(2, 1, 3, 2, 2))
    assert found == pytest.approx(sum(suspect) / sum(cost))


def test_paired_interval_by_hand() -> None:
    before, after = torch.tensor([1.0, 1, 1, 0, 1]), torch.tensor([1.0, 0, 1, 1, 0])
    mean, half = lesson.paired(before, after)
    change = [0, 100, 0, -100, 100]
    assert mean == pytest.approx(20)
    assert half == pytest.approx(1.96 * np.std(change, ddof=1) / math.sqrt(5))


def test_all_ways_are_trained_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []

    def fit(net, data, show, **how):
        seen.append((net, torch.rand(1).item(), show.keywords["num_steps"], how))
        return []

    monkeypatch.setattr(lesson, "fit", fit)
    cfg = tiny(tmp_path, cifar_epochs=3)
    run = begin(cfg, "test")
    photos = marked_splits((3, 32, 32))
    for name in lesson.WAYS:
        assert not lesson.fine_tune_photos(name, 15.0, photos, cfg, run).training
    assert [net.goal for net, *_ in seen] == [1, lesson.GOAL, lesson.GOAL]
    assert [num_steps for _, _, num_steps, _ in seen] == [2, 2, 1]
    assert [how["epochs"] for *_, how in seen] == [3, 3, 6], "as many steps of images in all"
    assert [net.updates for net, *_ in seen] == [3, 3, 6]
    assert {net.at_start for net, *_ in seen} == {15} and len({drawn for _, drawn, *_ in seen}) == 1
    assert len({how["name"] for *_, how in seen}) == 3
    first = seen[0][3]
    for *_, how in seen:
        for key in ("batch_size", "augment", "schedule", "last", "resume"):
            assert how[key] == first[key]
        assert how["last"] and how["optimizer"].keywords == first["optimizer"].keywords


def test_what_section_6_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nets = {}

    def fine_tune_photos(name, at_start, data, cfg, run):
        assert at_start == pytest.approx(7e6)
        nets[name] = lesson.PhotoNet()
        return nets[name]

    known = {  # right on validation and on test images, SynOps
        "no penalty": (0.95, 0.9, 8e6),
        "budget, T = 2": (0.7, 0.875, 2e6),
        "budget, T = 1": (0.8, 0.85, 1.9e6),
        "as shipped": (0.9, 0.8, 7e6),
    }

    def look(net, data, part, num_steps, run):
        name = next((name for name in nets if nets[name] is net), "as shipped")
        assert num_steps == (1 if name == "budget, T = 1" else 2)
        val, test, synops = known[name]
        share = {"val": val, "test": test}[part]
        return (torch.arange(400) < 400 * share).float(), torch.full((5,), synops / 5).double()

    monkeypatch.setattr(lesson, "fine_tune_photos", fine_tune_photos)
    monkeypatch.setattr(lesson, "look", look)
    monkeypatch.setattr(lesson, "unasked", lambda net, x: x.shape[1] / 1000)
    run = run_section(lesson.section_photographs, tmp_path)
    assert run.value("photo_unasked") == pytest.approx(0.1)  # of 100 stand-in images
    assert run.value("photo_saving") == pytest.approx(7 / 1.9), "against the cheaper of the two"
    assert run.value("photo_lost") == pytest.approx(5)
    assert run.value("photo_shipped") == pytest.approx(-5)
    assert run.value("photo_sparse") == pytest.approx(0.85)
    first = 1_696_512 * PJ_PER_MAC
    left = 100 * (1.9e6 * PJ_PER_AC + first) / (8e6 * PJ_PER_AC + first)
    assert [row["synops"] for row in run.ledger_rows] == pytest.approx([8e6, 1.9e6])
    assert [row["accuracy"] for row in run.ledger_rows] == pytest.approx([0.9, 0.85])
    assert [row["num_steps"] for row in run.ledger_rows] == [2, 1]
    finding = run.findings[0]
    assert finding["main"] and finding["claim"] == "photo_saving"
    text = finding["text"]
    for part in (
        "reads -2.50 ±",
        "choose T = 1",
        "3.68 times fewer",
        "5.00 ±",
        "-5.00 ±",
        "90.00 %",
    ):
        assert part in text
    assert f"{left:.0f} % of the estimated" in text
    kept = load_weights(lesson.PhotoNet(), run.dir / "model.safetensors")
    assert kept.fc.weight.equal(nets["budget, T = 1"].fc.weight), "the chosen one is saved"


def test_bad_flags_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    check_refused(lesson, ("--tolerance", "-1"), capsys, tmp_path)
    check_refused(lesson, ("--seeds", "1"), capsys, tmp_path)
