"""Lesson 10: its equations against oracles, and every number it publishes against another way to it."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

from common.io import load_weights
from common.lesson import begin
from common.spiking import over_time, reset_state
from multistep import compiled, normalised, saved_for_backward, unroll

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from helpers import ROOT, check_refused, load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits
from torch import Tensor, nn

sys.path.insert(0, str(ROOT / "studies"))  # for _root
lesson = load_script("10_convolutional_snn")
shortcuts = load_script("studies/10_shortcuts")
WEIGHTS = ROOT / "checkpoints" / "cifar10_sew.safetensors"


def tiny(folder: Path, **settings) -> lesson.Config:
    small = {"depth": 3, "channels": 2, "epochs": 1, "seeds": 2, "short_images": 20}
    return lesson.Config(**{**small, "smoke": True, "device": "cpu", "out_dir": folder, **settings})


def at_white(out: float, to_test: float):
    """An ``evaluate`` that gives ``to_test`` for white images, which are the test's, else ``out``."""
    return lambda net, x, y, show, read=None: to_test if x.min() == 255 else out


# -------------------------------------------------------------------- 1  shapes


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_first_spikes_by_the_geometric_series(tmp_path: Path, beta: float) -> None:
    run = run_section(lesson.section_shapes, tmp_path, beta=beta, num_steps=6)
    data = run.data(lesson.cifar10, n_train=512)
    grey = data.x_train[:200].double().mean(1) / 255  # (200, 32, 32)
    wide = F.pad(grey[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]  # three rows of a column
    cur = 6 * (rows[:, :, 2:] - rows[:, :, :-2]) / 3
    series = np.cumsum(beta ** np.arange(6))
    at_once, ever = (cur > 1).double().mean(), (cur * series[-1] > 1).double().mean()
    assert run.value("at_once") == pytest.approx(float(at_once), abs=2e-4)
    assert run.value("later") == pytest.approx(float(ever - at_once), abs=2e-4)
    first = next((t for t in range(6) if 0.6 * series[t] > 1), -1) + 1  # 0: never
    assert run.value("first_spike") == first


def test_the_loop_on_the_page_is_the_short_way() -> None:
    torch.manual_seed(0)
    conv, lif, x = lesson.edge_filter(), snn.Leaky(beta=0.5), torch.rand(5, 3, 3, 12, 12)
    with torch.no_grad():
        spk_rec = lesson.step_by_step(conv, lif, x)
        assert torch.equal(spk_rec, unroll(lif, over_time(conv, x))[0])
    assert spk_rec.shape == (5, 3, 1, 12, 12) and spk_rec.any()
    expected = [[0, 0, 1], [0, 1, 1], [0, 0, 0]]  # (T, N)
    assert lesson.first_spikes(torch.tensor(expected)).tolist() == [0, 2, 1]


# -------------------------------------------------------------------- the network


def test_the_network_is_the_one_described() -> None:
    net = lesson.photo_net()
    assert sum(p.numel() for p in net.parameters()) == 1_111_882
    sizes = [tuple(s.shape[2:]) for s in net.outputs(lesson.encode(torch.rand(1, 3, 32, 32), 2))]
    assert sizes == [(64, 16, 16), (128, 8, 8), (128, 8, 8), (256, 4, 4), (256, 4, 4)]
    assert [layer.shortcut for layer in net.layers] == [False, False, True, False, True]


def stepped(net, x: Tensor) -> Tensor:
    """The loop of lesson 08, one step after the other: ``(T, B, 3, H, W)`` → ``(T, B, 10)``."""
    return torch.stack([net(x_t) for x_t in x])


@pytest.mark.parametrize("still", [True, False])
def test_stepped_the_network_gives_the_same_answers(still: bool) -> None:
    torch.manual_seed(2)
    net = lesson.photo_net(channels=4).eval()
    x = lesson.encode(torch.rand(3, 3, 32, 32), 4)
    x = x if still else 3 * torch.randn(4, 3, 3, 32, 32)
    with torch.no_grad():
        reset_state(net)
        assert torch.allclose(stepped(net, x), net.run(x), atol=1e-5)


def test_bfloat16_gives_the_answers_of_float32_nearly() -> None:
    torch.manual_seed(3)
    net, x = lesson.photo_net(channels=8).eval(), torch.rand(20, 3, 32, 32)
    with torch.no_grad():
        for layer in net.layers:
            layer.norm.weight.fill_(1.5)
        fine = net.run(lesson.encode(x, 2))
        coarse = net.run(lesson.encode(x, 2, torch.bfloat16))
    assert coarse.dtype == torch.float32
    assert F.cosine_similarity(fine.flatten(), coarse.flatten(), dim=0) > 0.9


def test_a_shortcut_passes_signal_and_gradient() -> None:
    for shortcut in (True, False):
        layers = [lesson.Layer(3, 3, 0.5, shortcut=shortcut) for _ in range(10)]
        spk_in = (torch.rand(4, 2, 3, 8, 8) < 0.3).float().requires_grad_()
        spk = spk_in
        for layer in layers:
            nn.init.zeros_(layer.norm.weight)
            spk = layer.run(spk)
        asked = torch.randn(spk.shape)
        assert torch.equal(spk, shortcut * spk_in)
        (spk * asked).sum().backward()
        assert torch.allclose(spk_in.grad, shortcut * asked, atol=1e-6)


def test_losses_and_reading() -> None:
    out, y = torch.randn(3, 5, 10), torch.tensor([0, 1, 2, 3, 9])
    logs = out.mean(0).log_softmax(1)
    assert lesson.mean_current_loss(out, y).item() == pytest.approx(
        -logs[torch.arange(5), y].mean().item(), abs=1e-5
    )
    goals = torch.full((5, 10), 0.01)
    goals[torch.arange(5), y] = 0.91
    assert lesson.smoothed_loss(out, y).item() == pytest.approx(
        -(goals * logs).sum(1).mean().item(), abs=1e-5
    )
    assert lesson.highest_mean_current(out).tolist() == out.sum(0).argmax(1).tolist()


# -------------------------------------------------------------------- 2  depth


def test_rho_at_one_step_against_an_integral(tmp_path: Path) -> None:
    """One step: U is standard normal, so both moments of line (c) are integrals over its density."""
    u = torch.linspace(-9, 9, 200_001, dtype=torch.float64)
    density = torch.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)
    rate = 0.5 * math.erfc(1 / math.sqrt(2))
    for slope in lesson.SLOPES:
        derivative = slope / 2 / (1 + (math.pi / 2 * slope * (u - 1)) ** 2)
        exact = math.sqrt(torch.trapezoid(derivative**2 * density, u).item() / (rate * (1 - rate)))
        found = lesson.factor_per_layer(tiny(tmp_path, num_steps=1), slope, torch.Generator())
        assert found == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize(("T", "slope"), [(2, 2.0), (4, 1.0)])
def test_rho_against_a_random_error_sent_back(tmp_path: Path, T: int, slope: float) -> None:
    """By autograd through unroll, the carrying back by β included."""
    cfg = tiny(tmp_path, num_steps=T)
    torch.manual_seed(0)
    cur = torch.randn(T, 100_000, requires_grad=True)
    lif = snn.Leaky(beta=cfg.beta, spike_grad=snn.surrogate.atan(slope))
    spk, _, _ = unroll(lif, cur)
    asked = torch.randn(spk.shape)
    spk.backward(asked)
    sent = math.sqrt(cur.grad.square().mean() / asked.square().mean() / spk.var())
    found = lesson.factor_per_layer(cfg, slope, torch.Generator().manual_seed(0))
    assert found == pytest.approx(sent, rel=0.02)


class Doubling(nn.Module):
    """Each layer doubles its input."""

    def outputs(self, x: Tensor):
        x = x * torch.ones(1, requires_grad=True)
        for _ in range(4):
            x = 2 * x
            yield x

    def read(self, spk: Tensor) -> Tensor:
        return spk.flatten(2)[..., :10]


def test_gradients_are_multiples_of_the_last_ones() -> None:
    found = lesson.gradient_by_layer(
        Doubling(), torch.randn(2, 3, 1, 4, 4), torch.tensor([0, 1, 2])
    )
    assert found.tolist() == pytest.approx([8, 4, 2, 1])


def test_likeness_is_one_for_copies_and_none_for_noise() -> None:
    class Noise(Doubling):
        def outputs(self, x: Tensor):
            yield x
            yield 3 * x + 1
            yield torch.randn(x.shape)

    torch.manual_seed(0)
    found = lesson.likeness_by_layer(Noise().outputs(torch.randn(2, 60, 2, 5, 5)))
    assert found[:2].tolist() == pytest.approx([1, 1], abs=1e-4) and abs(found[2]) < 0.1


def test_the_control_keeps_the_first_layer_and_takes_own_spikes_from_other_images() -> None:
    own = [torch.randint(0, 2, (2, 40, 3, 4, 4)).float() for _ in range(3)]
    sums = [own[0], own[0] + own[1], own[0] + own[1] + own[2]]
    draw = torch.Generator().manual_seed(0)
    mixed = list(lesson.own_spikes_swapped(iter(sums), draw))
    assert torch.equal(mixed[0], own[0])
    below = mixed[0]
    for spk, mine in zip(mixed[1:], own[1:], strict=True):
        added = spk - below  # (T, B, …): every image's own spikes once, few of them in their place
        below = spk
        assert torch.equal(added.sum(1), mine.sum(1))
        stayed = [torch.equal(added[:, b], mine[:, b]) for b in range(40)]
        assert sum(stayed) < 8
        places = [[torch.equal(added[:, b], mine[:, c]) for c in range(40)] for b in range(40)]
        assert np.sum(places) == 40


def test_the_control_is_what_a_sum_keeps_of_one_part_in_four() -> None:
    """Of n parts with equal variance the likeness has n² terms, equally large, and one is S_0's own."""
    torch.manual_seed(0)
    kinds = torch.randn(20, 1, 30, 5, 5).repeat_interleave(3, 0)  # three of each kind
    first = (kinds + 0.5 * torch.randn(60, 1, 30, 5, 5)).transpose(0, 1)  # (1, 60, …)
    copies = [first * layer for layer in (1, 2, 3, 4)]  # each layer's own spikes are S_0 again
    draw = torch.Generator().manual_seed(1)
    assert lesson.likeness_by_layer(copies)[-1] == pytest.approx(1, abs=1e-5)
    swapped = lesson.likeness_by_layer(lesson.own_spikes_swapped(copies, draw))
    assert swapped.tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4], abs=0.1)


def test_all_stacks_have_the_same_weights(tmp_path: Path) -> None:
    cfg = tiny(tmp_path)
    plain, *others = (
        dict(lesson.deep_stack(cfg, kind, 2.0, 3, 4).named_parameters()) for kind in lesson.KINDS
    )
    for other in others:
        assert plain.keys() == other.keys() and all(torch.equal(plain[k], other[k]) for k in plain)
    other = dict(lesson.deep_stack(cfg, "SEW", 2.0, 3, 5).named_parameters())
    assert not torch.equal(other["fc.weight"], plain["fc.weight"])
    layers = lesson.deep_stack(cfg, "SEW", 4.0, 3, 0).layers
    assert [layer.shortcut for layer in layers] == [False, True, True, True]
    x = torch.ones(1, requires_grad=True)
    layers[2].lif.spike_grad(x - 1).sum().backward()
    assert x.grad.item() == pytest.approx(2.0)  # α/2 at the threshold


@pytest.mark.parametrize(("kind", "around"), [("plain", 0), ("SEW", 1)])
def test_what_goes_around_a_silent_layer(kind: str, around: int, tmp_path: Path) -> None:
    layer = lesson.deep_stack(tiny(tmp_path), kind, 2.0, 1, 0).layers[1]
    nn.init.zeros_(layer.norm.weight)  # no neuron fires, and no error gets through
    spk_in = (torch.rand(2, 3, lesson.WIDTH, 4, 4) < 0.3).float().requires_grad_()
    spk, asked = layer.run(spk_in), torch.randn(spk_in.shape)
    assert torch.equal(spk, around * spk_in)
    (spk * asked).sum().backward()
    assert torch.allclose(spk_in.grad, around * asked, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "image", "gradient"), [("image only", 1, 0), ("gradient only", 0, 1)]
)
def test_half_a_shortcut_passes_one_of_the_two(
    kind: str, image: int, gradient: int, tmp_path: Path
) -> None:
    cfg = tiny(tmp_path)
    half, plain = lesson.half_stack(cfg, kind, 4), lesson.deep_stack(cfg, "plain", 2.0, 3, 4)
    pairs = zip(half.state_dict().items(), plain.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(one, other) for (a, one), (b, other) in pairs)
    layer = half.layers[2]
    nn.init.zeros_(layer.norm.weight)  # no neuron fires, and no error gets through
    spk_in = (torch.rand(2, 3, lesson.WIDTH, 4, 4) < 0.3).float().requires_grad_()
    spk, asked = layer.run(spk_in), torch.randn(spk_in.shape)
    assert torch.equal(spk, image * spk_in)
    (spk * asked).sum().backward()
    assert torch.allclose(spk_in.grad, gradient * asked, atol=1e-6)
    assert type(half.layers[0]) is lesson.Layer and len(half.layers) == 4


def test_half_a_shortcut_is_tested_at_the_rate_that_validation_chooses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cfg, tried = tiny(tmp_path, seed=10, seeds=3), []

    def fit(net, data, show, *, optimizer, seed, **_):
        assert optimizer.func is lesson.adamw and type(net.layers[3]) is lesson.GradientOnly
        lr = optimizer.keywords["lr"]
        tried.append((lr, seed))
        return [{"val": 0.5 + (lr == lesson.RATES[1])}, {"val": 0.1}]

    monkeypatch.setattr(lesson, "fit", fit)
    monkeypatch.setattr(lesson, "evaluate", at_white(0.1, 0.75))
    few = lesson.short_data(cfg, marked_splits((3, 32, 32)))
    arm = lesson.train_half("gradient only", few, cfg, begin(cfg, "test"))
    assert arm == {"rate": lesson.RATES[1], "test": [75.0] * 3}
    assert sorted(tried[:4]) == [(rate, 10) for rate in lesson.RATES[:4]]
    assert tried[4:] == [(lesson.RATES[1], seed) for seed in (11, 12, 13)]


@pytest.mark.parametrize(("beta", "spikes"), [(0.5, 5), (0.8, 7)])
def test_a_shortcut_in_front_of_the_neuron_loses_spikes(beta: float, spikes: int) -> None:
    """The line of arithmetic in section 2, and the quiz's: 4 of the first 6 at β = 0.8."""
    spk, mem, _ = unroll(snn.Leaky(beta=beta), torch.ones(10, 1), record_mem=True)
    assert spk.sum() == spikes
    wanted = [1, 1.5, 0.75, 1.375] if beta == 0.5 else [1, 1.8, 1.44, 1.152]
    assert mem[:4, 0].tolist() == pytest.approx(wanted)
    assert beta == 0.5 or spk[:6].sum() == 4


@pytest.mark.parametrize("rho", [0.7, 1.0, 1.42])
def test_the_law_of_each_stack_in_closed_form(rho: float) -> None:
    """Line (d)'s product is a quotient of gamma functions, and goes with D^(ρ²/2) where D is large."""
    D, left = 40, np.arange(40, -1, -1)  # layers below the last
    assert lesson.expected_gradient("plain", rho, D) == pytest.approx(rho**left)
    sew = lesson.expected_gradient("SEW", rho, D)
    for layer in (0, 1, 7, D):
        logs = math.lgamma(D + 1 + rho**2) - math.lgamma(layer + 1 + rho**2)
        logs -= math.lgamma(D + 1) - math.lgamma(layer + 1)
        assert sew[layer] == pytest.approx(math.exp(logs / 2))
    squares = rho ** (2 * left[0])
    image = lesson.expected_gradient("image only", rho, D)[0]
    assert image == pytest.approx(math.sqrt(squares / math.factorial(D)))
    gradient = lesson.expected_gradient("gradient only", rho, D)[0]
    assert gradient == pytest.approx((1 + rho**2) ** (D / 2))
    grown = (
        lesson.expected_gradient("SEW", rho, 4000)[0]
        / lesson.expected_gradient("SEW", rho, 1000)[0]
    )
    assert grown == pytest.approx(4 ** (rho**2 / 2), rel=3e-3)


def test_the_laws_hold_for_real_stacks(tmp_path: Path) -> None:
    """Six layers of random weights and random images, within a quarter."""
    cfg, draw = tiny(tmp_path), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    x, y = lesson.encode_small(torch.rand(48, 3, 32, 32), 2), torch.randint(0, 10, (48,))
    for kind, slope in (("SEW", 1.0), ("SEW", 4.0), ("plain", 2.0), ("plain", 4.0)):
        net = lesson.deep_stack(cfg, kind, slope, 6, 1)
        expected = lesson.expected_gradient(kind, lesson.factor_per_layer(cfg, slope, draw), 6)
        assert lesson.gradient_by_layer(net, x, y)[0] == pytest.approx(expected[0], rel=0.3)


@pytest.mark.parametrize("start", [(3e-3, 1e-2), (1.0, 3.0)])
@pytest.mark.parametrize("best", [0, 1, 2, 3, 5, 7, 11])
def test_the_search_ends_between_two_worse_neighbours(best: int, start: tuple) -> None:
    asked = []

    def validate(rate: float) -> float:
        asked.append(rate)
        return -abs(math.log(rate / lesson.RATES[best]))

    assert lesson.best_rate(validate, start) == lesson.RATES[best]
    assert asked[:2] == list(start) and len(asked) == len(set(asked))
    neighbours = {best - 1, best + 1} & set(range(len(lesson.RATES)))
    assert {lesson.RATES[i] for i in neighbours} <= set(asked)


def test_the_optimisers_leave_short_gradients_short_or_make_up_for_them() -> None:
    for optimiser, ratio in (("SGD", 1000), ("AdamW", 1)):
        net = nn.Linear(2, 1, bias=False)
        before = net.weight.detach().clone()
        net.weight.grad = torch.tensor([[1.0, 1e-3]])
        lesson.OPTIMISERS[optimiser](net, 0.01).step()
        moved = (net.weight.detach() - before).abs()[0]
        assert (moved[0] / moved[1]).item() == pytest.approx(ratio, rel=0.01)
        assert moved[0].item() == pytest.approx(0.01, rel=0.01)


def test_validation_chooses_the_rate_and_new_seeds_are_tested(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cfg = tiny(tmp_path, seed=10, seeds=3)
    tried, made = [], lesson.adamw

    def fit(net, data, show, *, optimizer, seed, **_):
        assert optimizer.func is made
        lr = optimizer.keywords["lr"]
        tried.append((lr, seed))
        slope = net.layers[1].lif.spike_grad(torch.zeros(1, requires_grad=True))
        assert len(net.layers) == 3 and slope.requires_grad
        assert [layer.shortcut for layer in net.layers] == [False, True, True]
        assert len(data.x_train) == 20
        return [{"val": 0.5 + (lr == lesson.RATES[1])}, {"val": 0.1}]  # the best is the first

    monkeypatch.setattr(lesson, "fit", fit)
    monkeypatch.setattr(lesson, "evaluate", at_white(0.1, 0.75))
    run, few = begin(cfg, "test"), lesson.short_data(cfg, marked_splits((3, 32, 32)))
    arm = lesson.train_arm("2 SEW, AdamW, α = 2", few, cfg, run)
    assert arm == {"rate": lesson.RATES[1], "test": [75.0] * 3}
    assert sorted(tried[:4]) == [(rate, 10) for rate in lesson.RATES[:4]]
    assert tried[4:] == [(lesson.RATES[1], seed) for seed in (11, 12, 13)]
    made = lesson.sgd
    lesson.train_arm("2 SEW, SGD, α = 2", few, replace(cfg, depth=2), run)
    assert (1.0, 10) in tried, "the search of SGD starts elsewhere"


def test_the_arms_are_two_by_two_by_two(tmp_path: Path) -> None:
    settings = lesson.all_settings(16)
    deep = {(s.kind, s.slope, s.optimiser) for s in settings if s.depth == 16}
    assert deep == set(product(("plain", "SEW"), (1.0, 2.0), ("SGD", "AdamW")))
    few = [s for s in settings if s.depth != 16]
    assert [(s.kind, s.slope, s.optimiser, s.depth) for s in few] == [
        ("plain", 2.0, "AdamW", 0),
        ("plain", 2.0, "AdamW", 2),
        ("plain", 2.0, "AdamW", 4),
        ("plain", 2.0, "AdamW", 8),
        ("SEW", 2.0, "AdamW", 2),
    ]
    assert len(lesson.all_settings(2)) == 9
    assert len({str(one) for one in settings}) == len(settings) == 13


def test_interval_against_a_table() -> None:
    """t for 2 degrees of freedom at 97.5 % is 4.303."""
    mean, half = lesson.interval([1.0, 2.0, 6.0])
    assert mean == 3 and half == pytest.approx(4.303 * math.sqrt(7 / 3), rel=1e-3)


def kind_of(net) -> str:
    """By what its last layer does, not by the name that the lesson gave."""
    for kind, layer in lesson.HALVES.items():
        if type(net.layers[-1]) is layer:
            return kind
    return "SEW" if net.layers[-1].shortcut else "plain"


def slope_of(net) -> float:
    """By the surrogate's derivative at the threshold, α/2."""
    x = torch.zeros(1, requires_grad=True)
    net.layers[-1].lif.spike_grad(x).sum().backward()
    return 2 * x.grad.item()


RHO = {1.0: 0.7, 2.0: 1.0, 4.0: 1.4}


def publish(monkeypatch: pytest.MonkeyPatch, folder: Path, read: dict[tuple, list], **settings):
    """Section 2 with accuracies by arm, and gradients and likeness of known size; and the arms trained."""
    size = {("plain", 1): 0.2, ("plain", 2): 1.3, ("plain", 4): 70}
    size |= {("image only", 2): 0.001, ("gradient only", 2): 300}
    size |= {("SEW", 1): 2, ("SEW", 2): 5, ("SEW", 4): 17}
    ends = {"plain": 0.2, "SEW": 0.6, "swapped": 0.3}
    monkeypatch.setattr(
        lesson,
        "gradient_by_layer",
        lambda net, x, y: np.array([size[kind_of(net), round(slope_of(net))], 5.0, 3.0, 1.0]),
    )

    def swapped(outputs, draw):
        assert max(spk.max() for spk in outputs) > 1  # of SEW, which adds
        return "swapped"

    def likeness(outputs):
        kind = outputs
        if outputs != "swapped":
            kind = "SEW" if list(outputs)[-1].max() > 1 else "plain"
        return np.array([1, 0.9, 0.8, ends[kind]])

    monkeypatch.setattr(lesson, "own_spikes_swapped", swapped)
    monkeypatch.setattr(lesson, "likeness_by_layer", likeness)
    asked = {str(lesson.Setting(*key)): found for key, found in read.items()}
    halves = {"image only": [37.0, 39.6], "gradient only": [33.0, 32.0]}
    trained = []

    def train_arm(name, few, cfg, run):
        trained.append(name)
        assert len(few.x_train) == 20
        return {"rate": 3e-3, "test": asked[name]}

    def train_half(kind, few, cfg, run):
        trained.append(kind)
        assert len(few.x_train) == 20
        return {"rate": 1e-3, "test": halves[kind]}

    monkeypatch.setattr(lesson, "train_arm", train_arm)
    monkeypatch.setattr(lesson, "train_half", train_half)
    monkeypatch.setattr(lesson, "factor_per_layer", lambda cfg, slope, draw: RHO[slope])
    monkeypatch.setattr(lesson, "draw_gradients", lambda run, gradients: None)
    monkeypatch.setattr(lesson, "draw_depth", lambda run, likeness, arms, title: run.print(title))
    run = run_section(lesson.section_depth, folder, short_images=20, **settings)
    return run, trained


READ = {
    ("plain", 2.0, "AdamW", 0): [29.0, 30.0],
    ("plain", 2.0, "AdamW", 2): [34.0, 35.0],
    ("SEW", 2.0, "AdamW", 2): [38.0, 43.0],
    ("plain", 1.0, "SGD", 3): [20.0, 22.0],
    ("SEW", 1.0, "SGD", 3): [30.0, 33.0],
    ("plain", 2.0, "SGD", 3): [21.0, 25.0],
    ("SEW", 2.0, "SGD", 3): [31.0, 35.2],
    ("plain", 1.0, "AdamW", 3): [26.0, 27.0],
    ("SEW", 1.0, "AdamW", 3): [25.0, 29.0],
    ("plain", 2.0, "AdamW", 3): [30.0, 32.0],
    ("SEW", 2.0, "AdamW", 3): [40.0, 44.0],
}


def test_what_section_2_publishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = publish(monkeypatch, tmp_path, READ)
    assert run.value("gradient_1") == 0.2 and run.value("likeness_sew") == 0.6
    assert run.value("gain") == pytest.approx(11)  # 40 and 44 against 30 and 32
    assert run.value("deeper") == pytest.approx(1.5)  # against 38 and 43
    assert run.value("gradient") == pytest.approx(3.7)  # 40 and 44 against 37 and 39.6
    assert run.value("image") == pytest.approx(9.5)  # 40 and 44 against 33 and 32
    law, likeness, depth, shortcut, first, second, halves = (f["text"] for f in run.findings)
    off = 70 / 1.4**3  # the worst of six: plain, α = 4
    assert "is 0.2 times the last one's at α = 1, and 70 times at α = 4." in law
    assert f"off by a factor of about {off:.1f} at worst" in law
    assert "3 layers higher: plain 0.20, SEW 0.60." in likeness
    assert "swapped between images 0.30 is left: that is S_0 alone" in likeness
    # 30 and 32 against 34 and 35, and against 29 and 30
    assert "3 plain layers are not shown to differ from 2 plain layers (−3.5 ± 6.4" in depth
    assert "3 plain layers are not shown to differ from layer 0 alone (+1.5 ± 6.4" in depth
    assert "3 SEW layers are not shown to differ from 3 plain layers (+11.0 ± 12.7" in shortcut
    assert "read more in 2 of 4 pairs" in shortcut  # SGD, both: 10.5 ± 6.4 and 10.1 ± 1.3
    assert "3 SEW layers are not shown to differ from 2 SEW layers (+1.5 ± 6.4" in shortcut
    assert "at layer 0 of the plain stack at α = 1, and 1.3 times at α = 2" in first
    assert "does not mend a short gradient here" in first and "likeness fits it" in second
    assert "Neither half of a shortcut is shown to be too little" in halves
    assert "gains +3.7 ± 8.9 on image only and +9.5 ± 31.8 on gradient only" in halves
    texts = {claim.id: claim.text for claim in run.claims}
    assert texts["gain"].endswith("(± 12.7)") and texts["deeper"].endswith(" (± 6.4)")
    assert texts["gradient"] == "SEW against image only (± 8.9)"
    assert texts["image"] == "SEW against gradient only (± 31.8)"
    printed = " ".join(capsys.readouterr().out.split())  # with the figure's title
    assert "Likeness at layer 3: plain 0.20, SEW 0.60 (0.30 with own" in printed
    assert "plain −3.5 ± 6.4 points, SEW +1.5 ± 6.4 points" in printed
    table, changes, of_halves = run.extra["tables"]
    assert "after 1 updates" in table["title"]
    plain_laws, sew_laws = [], []
    for r in (0.7, 1.0):
        sew = math.sqrt((1 + r**2) * (1 + r**2 / 2) * (1 + r**2 / 3))
        plain_laws.append(lesson.two_digits(r**3))
        sew_laws.append(lesson.two_digits(sew))
    laws = ["", "", *plain_laws, *plain_laws, "", *sew_laws, *sew_laws]
    assert [row[6] for row in table["rows"]] == laws
    gradients = ["", "", *["0.2", "1.3"] * 2, "", *["2", "5"] * 2]
    assert [row[5] for row in table["rows"]] == gradients
    assert table["rows"][2][:5] == ["3 plain", "1", "SGD", "21.0 ± 12.7", "0.003"]
    names = ["0 plain", "2 plain", *["3 plain"] * 4, "2 SEW", *["3 SEW"] * 4]
    assert [row[0] for row in table["rows"]] == names
    # 21 and 25 against 20 and 22; 30 and 32 against 26 and 27; 26 and 27 against 20 and 22
    assert [row[1] for row in changes["rows"]] == [
        "+2.0 ± 12.7",
        "+4.5 ± 6.4",
        "+5.5 ± 6.4",
        "+10.5 ± 6.4",
        "+10.1 ± 1.3",
        "+0.5 ± 19.1",
        "+11.0 ± 12.7",
    ]
    assert changes["rows"][0][0] == "plain, SGD: α = 2 for α = 1"
    assert changes["rows"][3][0] == "SEW for plain: SGD, α = 1"
    law = [lesson.two_digits(law) for law in (1 / math.sqrt(6), math.sqrt(8))]
    assert [row[3:] for row in of_halves["rows"]] == [["0.001", law[0]], ["300", law[1]]]
    assert [row[0] for row in of_halves["rows"]] == ["3 image only", "3 gradient only"]
    assert f"off by a factor of {1 / math.sqrt(6) / 0.001:.1f} at worst" in of_halves["title"]


def test_the_first_suspect_is_judged_where_the_length_is_even() -> None:
    gains = {("SGD", 1.0): (1.0, 3.0), ("SGD", 2.0): (10.5, 3.7), ("AdamW", 2.0): (13.8, 3.4)}
    mends = {"a": (0.3, 1.5), "b": (-2.0, 6.9)}
    said = lesson.first_suspect([0.005, 1.1], mends, gains)
    assert "is 0.005 times the last one's at layer 0" in said and "and 1.1 times at α = 2" in said
    assert "not shown to help a plain stack" in said
    assert "still gains +10.5 ± 3.7 (SGD) and +13.8 ± 3.4 (AdamW)" in said
    assert "the length alone is not what is wrong" in said
    said = lesson.first_suspect([0.005, 1.1], mends, gains | {("SGD", 2.0): (3.6, 3.7)})
    assert "do not tell" in said and "is not what" not in said
    assert "is shown to help" in lesson.first_suspect([0.005, 1.1], {"b": (2.0, 1.9)}, gains)
    for lengths in ([0.2, 1.1], [0.005, 2.1], [0.005, 0.4]):
        assert "is not tested" in lesson.first_suspect(lengths, {"a": (0.0, 1.0)}, gains)


def test_the_second_suspect_is_not_proved() -> None:
    fits = lesson.second_suspect(0.01, 0.67)
    assert "fits it" in fits and "no proof" in fits
    assert "does not fit" in lesson.second_suspect(0.6, 0.67)


def test_a_half_is_enough_or_not_by_its_interval() -> None:
    shown, not_shown = (2.0, 1.9), (2.0, 2.1)

    def said(image: tuple, gradient: tuple, vanished: float = 0.1) -> str:
        return lesson.enough({"image only": image, "gradient only": gradient}, vanished)

    assert "Neither half of a shortcut, as built here, is enough" in said(shown, shown)
    assert said(shown, not_shown).startswith("Image only is not enough")
    assert said(not_shown, shown).startswith("Gradient only is not enough")
    assert "is shown to be too little" in said(not_shown, not_shown)
    assert "is shown to be too little" in said((-2.0, 1.0), (-2.0, 1.0))
    assert "gains +2.0 ± 1.9 on image only and +2.0 ± 2.1 on" in said(shown, not_shown)
    assert "poor test" not in said(shown, shown)
    assert "at layer 0 is 4.1·10⁻⁸ times the last one's" in said(shown, shown, 4.1e-8)


def test_arms_of_a_run_that_was_cut_are_taken_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole, trained = publish(monkeypatch, tmp_path, READ)
    assert len(trained) == 13 and not whole.resumed
    points = sorted((whole.dir / "points").glob("*.json"))
    assert len(points) == 13
    points[3].unlink()
    again, trained = publish(monkeypatch, tmp_path, READ, resume=True)
    assert len(trained) == 1 and again.resumed == [
        "10 of 11 points of the sweep",
        "2 of 2 points of the sweep",
    ]
    assert [c.value for c in again.claims] == [c.value for c in whole.claims]
    assert again.extra["tables"] == whole.extra["tables"]
    _, trained = publish(monkeypatch, tmp_path, READ, resume=True, seed=1)
    assert len(trained) == 13, "arms of other seeds are other arms"


def test_two_stacks_are_compared_by_their_interval() -> None:
    more = lesson.compared("A", (2.0, 1.9), "B")
    assert more == "A read 2.0 ± 1.9 points more of the images correctly than B"
    fewer = lesson.compared("A", (-2.0, 1.9), "B")
    assert fewer == "A read 2.0 ± 1.9 points fewer of the images correctly than B"
    for points in (2.0, -2.0):
        assert "A are not shown to differ from B" in lesson.compared("A", (points, 2.1), "B")


# -------------------------------------------------------------------- 3  the headline


def test_the_page_says_what_the_study_of_seeds_found() -> None:
    result = json.loads((ROOT / "docs" / "results" / "10_seeds.json").read_text("utf-8"))
    assert result["device"].startswith("NVIDIA") and result["settings"]["seeds"] == 3
    (main,) = [f["text"] for f in result["findings"] if f["main"]]
    page = " ".join(lesson.section_training.__doc__.split())
    assert "Three of them on a GPU (`studies/10_seeds.py`) read 84.50 ± 0.77 % of the test" in page
    assert "3 trainings read 84.50 ± 0.77 % of the test images, from 84.14 to 84.68 %" in main
    assert "images, from 84.14 to 84.68 %" in page
    own = json.loads((ROOT / "docs" / "results" / "10_convolutional_snn.json").read_text("utf-8"))
    (accuracy,) = [claim["value"] for claim in own["claims"] if claim["id"] == "accuracy"]
    assert own["device"].startswith("CPU") and f"reads {100 * accuracy:.2f} %: the" in page


def test_the_study_is_read_from_its_committed_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lesson, "ROOT", tmp_path)
    assert lesson.finding_of("10_seeds") == ""
    stored = tmp_path / "docs" / "results" / "10_seeds.json"
    stored.parent.mkdir(parents=True)
    findings = [{"text": "aside", "main": False}, {"text": "84.8 ± 0.3 %", "main": True}]
    stored.write_text(json.dumps({"findings": findings}), encoding="utf-8")
    assert lesson.finding_of("10_seeds") == "84.8 ± 0.3 %"
    assert lesson.finding_of("10_shortcuts") == ""
    stored.write_text("{", encoding="utf-8")
    assert lesson.finding_of("10_seeds") == "", "damaged"


def test_what_section_3_publishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = {}
    monkeypatch.setattr(lesson, "finding_of", lambda study: f"so says {study}: and more")

    def fit(net, data, show, **options):
        seen.update(options)
        return [{"epoch": 1, "train": 0.2, "val": 0.7}, {"epoch": 2, "train": 0.3, "val": 0.6}]

    monkeypatch.setattr(lesson, "fit", fit)
    monkeypatch.setattr(lesson, "evaluate", at_white(0.1, 0.83))
    data = marked_splits((3, 32, 32))
    monkeypatch.setattr("common.run.Run.data", lambda self, loader, **_: data)
    run = run_section(lesson.section_training, tmp_path, channels=2, num_steps=3)
    assert run.value("accuracy") == 0.83 and run.value("validation") == 0.7
    assert seen["loss_fn"] is lesson.smoothed_loss and seen["augment"] is lesson.flip_and_shift
    net = run.results[3].net.eval()
    x = lesson.encode(torch.ones(40, 3, 32, 32), 3, lesson.fast_number(torch.device("cpu")))
    spikes, neurons = 0.0, 0
    with torch.no_grad():
        for layer in net.layers:
            own = unroll(layer.lif, over_time(layer.norm, over_time(layer.convolve, x).float()))[0]
            spikes, neurons = spikes + own.sum().item(), neurons + own[0, 0].numel()
            x = own.to(x.dtype) + x if layer.shortcut else own.to(x.dtype)
    assert run.value("rate") == pytest.approx(spikes / (3 * 40 * neurons), abs=1e-4)
    assert run.findings[0]["main"] and "83.0 % of 40" in run.findings[0]["text"]
    out = capsys.readouterr().out
    assert "studies/10_seeds.py: so says 10_seeds.\n" in out
    assert "studies/10_shortcuts.py: so says 10_shortcuts.\n" in out
    (row,) = run.ledger_rows
    assert row["accuracy"] == 0.83 and row["num_steps"] == 3


def test_epochs_follow_the_number_type(tmp_path: Path) -> None:
    cfg = lesson.Config(out_dir=tmp_path)
    assert lesson.planned_epochs(cfg, torch.bfloat16) == 17
    assert lesson.planned_epochs(cfg, torch.float32) == 7
    assert lesson.planned_epochs(lesson.Config(epochs=3), torch.bfloat16) == 3


def test_accumulates_are_the_non_zero_products() -> None:
    """Every product of a spike and a weight, counted by unfolding each layer's input; 2 counts twice."""
    torch.manual_seed(1)
    net = lesson.photo_net(channels=3)
    for layer in net.layers:
        nn.init.constant_(layer.norm.bias, 0.7)
    x = lesson.encode(torch.rand(4, 3, 32, 32), 3)
    outputs = lesson.spikes_by_layer(net, x)
    total = 10 * outputs[-1].sum().item()
    for layer, spk in zip(net.layers[1:], outputs, strict=False):
        seen = F.unfold(spk.flatten(0, 1), 3, padding=1)  # (T·B, 9·C, places)
        total += seen.sum().item() * layer.conv.out_channels
    assert outputs[2].max() == 2
    assert lesson.accumulates(net, x) == pytest.approx(total / 4)
    inside = F.unfold(torch.ones(1, 3, 32, 32), 3, padding=1).sum().item()
    assert lesson.multiplications(net) == inside * 3


# -------------------------------------------------------------------- 4  memory


@settings(max_examples=6, deadline=None)
@given(T=st.integers(1, 6), B=st.integers(1, 5), C=st.integers(2, 12), half=st.booleans())
def test_the_formula_where_it_was_not_fitted(T: int, B: int, C: int, half: bool) -> None:
    number = torch.bfloat16 if half else torch.float32
    net = lesson.photo_net(channels=C)
    x = lesson.encode(torch.rand(B, 3, 32, 32), T, number)
    fused = lesson.is_fused(net.layers[0].norm, net.layers[0].lif, x)
    predicted = lesson.bytes_by_formula(net, T, B, b=number.itemsize, fused=fused)
    assert lesson.bytes_measured(net, net.run, x) == pytest.approx(predicted, rel=0.05)


@pytest.mark.parametrize("number", [torch.float32, torch.bfloat16])
def test_the_formula_without_compiled_loops(monkeypatch: pytest.MonkeyPatch, number) -> None:
    """As on a GPU: BatchNorm keeps its input, and the neurons their potentials."""
    monkeypatch.setattr(compiled, "takes", lambda *_: False)
    monkeypatch.setattr(normalised, "_loops", lambda: None)
    net, T, B = lesson.photo_net(channels=8), 4, 3
    x = lesson.encode(torch.rand(B, 3, 32, 32), T, number)
    assert not lesson.is_fused(net.layers[0].norm, net.layers[0].lif, x)
    predicted = lesson.bytes_by_formula(net, T, B, b=number.itemsize, fused=False)
    assert lesson.bytes_measured(net, net.run, x) == pytest.approx(predicted, rel=0.05)


@settings(deadline=None)
@given(T=st.integers(1, 64), room=st.integers(10**7, 10**11))
def test_the_largest_batch_fits_and_one_more_does_not(T: int, room: int) -> None:
    net = lesson.photo_net(channels=4)
    B = lesson.largest_batch(net, T, room)

    def needed(batch: int) -> int:
        convolutions = sum(layer.conv.weight.numel() for layer in net.layers)
        fixed = 16 * sum(p.numel() for p in net.parameters()) - 4 * convolutions
        return fixed + lesson.bytes_by_formula(net, T, batch, b=2, fused=False)

    assert B == 0 or needed(B) <= room
    assert needed(B + 1) > room


@pytest.mark.parametrize(("number", "b"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_unfused_no_compiled_loop_is_taken(number: torch.dtype, b: int) -> None:
    """Large enough that the loops would be; the network itself stays as it is."""
    net = lesson.photo_net(channels=16)
    slow, x = lesson.unfused(net), lesson.encode(torch.rand(4, 3, 32, 32), 4, number)
    predicted = lesson.bytes_by_formula(net, 4, 4, b=b, fused=False)
    assert lesson.bytes_measured(slow, slow.run, x) == pytest.approx(predicted, rel=0.02)
    for layer, own in zip(slow.layers, net.layers, strict=True):
        assert torch.equal(layer.conv.weight, own.conv.weight) and layer.shortcut == own.shortcut
    assert not lesson.is_fused(slow.layers[0].norm, slow.layers[0].lif, x)


def test_bytes_are_those_that_autograd_holds() -> None:
    net = lesson.photo_net(channels=2)
    x = lesson.encode(torch.rand(2, 3, 32, 32), 2)
    with saved_for_backward() as kept:
        loss = lesson.mean_current_loss(net.run(x), torch.zeros(2, dtype=torch.long))
        assert lesson.bytes_measured(net, net.run, x) == kept()
    assert loss.requires_grad


def test_what_section_4_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def measured(net, forward, x):
        T, B = x.shape[:2]
        if net.layers[0].lif.spike_grad(torch.zeros(1)) == "slow":
            return (160 + (T == 2) * 40) * T * B
        return (110 if any(layer.shortcut for layer in net.layers) else 100) * T * B

    monkeypatch.setattr(lesson, "bytes_measured", measured)
    monkeypatch.setattr(
        lesson,
        "bytes_by_formula",
        lambda net, T, B, fused, **_: (101 if fused else 150) * T * B + (T == 4),
    )
    monkeypatch.setattr(lesson, "is_fused", lambda *_: True)
    unfused = lesson.unfused

    def marked(net):
        slow = unfused(net)
        slow.layers[0].lif.spike_grad = lambda x: "slow"
        return slow

    monkeypatch.setattr(lesson, "unfused", marked)
    run = run_section(lesson.section_memory, tmp_path)
    assert run.value("memory_error") == pytest.approx(1 - 101 / 110)
    assert run.value("memory_error_unfused") == pytest.approx(1 - 150 / 200)
    assert run.value("sew_extra") == pytest.approx(0.1)
    assert run.value("saved") == pytest.approx(1 - 110 / 160)
    formula, ways = (finding["text"] for finding in run.findings)
    assert "is not told well by the formula, to 25.0 % here" in formula
    assert formula.endswith("shortcuts keep 10.0 % more at most.")
    assert "At T = 8, B = 8 the fused way keeps 31 % less than the unfused one" in ways
    assert f"Of these, {100 * (150 - 101) / 160:.0f} points are potentials" in ways
    narrow = lesson.fast_number(torch.device("cpu")) == torch.bfloat16
    assert ("in 2 bytes, not in 4" in ways) == narrow
    rows = run.extra["tables"][0]["rows"]
    assert rows[0][:3] == ["fused", "2", "1"] and rows[-1][:3] == ["unfused", "8", "8"]
    assert rows[-1][3:] == [f"{150 * 64 / 2**20:.1f}", f"{160 * 64 / 2**20:.1f}"]


# -------------------------------------------------------------------- 5  steps


def test_parts_of_a_batch_add_up_to_its_gradient() -> None:
    """Exactly so once BatchNorm does not look at the batch; with its statistics only nearly."""
    torch.manual_seed(0)
    net, y = lesson.photo_net(channels=2), torch.arange(8)
    x = torch.rand(8, 3, 32, 32)
    for norm, close in ((False, True), (True, False)):
        for layer in net.layers:
            layer.norm.train(norm)
        whole = lesson.gradient_in_parts(net, x, y, lambda x: lesson.encode(x, 2), 1)
        parts = lesson.gradient_in_parts(net, x, y, lambda x: lesson.encode(x, 2), 4)
        assert len(whole) == sum(p.numel() for p in net.parameters())
        assert torch.allclose(whole, parts, atol=1e-5, rtol=1e-3) == close


def test_the_loss_of_the_gradient_is_that_of_the_training() -> None:
    torch.manual_seed(0)
    net, x, y = lesson.photo_net(channels=2), torch.rand(4, 3, 32, 32), torch.arange(4)
    found = lesson.gradient_in_parts(net, x, y, lambda x: lesson.encode(x, 2), 1)
    goals = torch.full((4, 10), 0.01)
    goals[torch.arange(4), y] = 0.91
    loss = -(goals * net.run(lesson.encode(x, 2)).mean(0).log_softmax(1)).sum(1).mean()
    wanted = torch.cat([g.flatten() for g in torch.autograd.grad(loss, net.parameters())])
    assert torch.allclose(found, wanted, atol=1e-6)


def test_change_is_judged_image_by_image() -> None:
    after, before = torch.tensor([1.0, 1, 0, 1]), torch.tensor([0.0, 1, 1, 0])
    gain, half = lesson.change(after, before)
    points = np.array([100.0, 0, -100, 100])
    assert gain == pytest.approx(25)
    assert half == pytest.approx(1.96 * points.std(ddof=1) / 2)


def test_right_answers_image_by_image() -> None:
    class Mean(nn.Module):
        fc = nn.Linear(1, 1)

        def run(self, x: Tensor) -> Tensor:  # white images are of class 2
            return 2 * x.mean((2, 3, 4))[..., None] * F.one_hot(torch.tensor(2), 10)

    data = marked_splits((3, 32, 32))
    found = lesson.right_answers(Mean(), data.x_test, data.y_test, lambda x: x[None])
    assert torch.equal(found, (data.y_test == 2).float())


def test_what_section_5_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shares = {1: 0.5, 2: 0.6, 4: 0.75, 8: 0.7}

    def right_answers(net, x, y, show):
        assert x.min() == 255  # the test images
        return (torch.arange(40) < 40 * shares[len(show(x[:1].float()))]).float()

    monkeypatch.setattr(lesson, "right_answers", right_answers)
    monkeypatch.setattr(lesson, "accumulates", lambda net, x: 1e6 * len(x) ** 2)

    wholes = iter([[1.0, 0.0], [-5.0, 12.0]])  # of two batches
    parts_of = iter([[3.0, 4.0], [0.0, 1.0]])

    def gradient_in_parts(net, x, y, show, parts):
        assert x.max() == 0  # of the training images
        if not net.training:  # and statistics held fixed
            return torch.tensor([4.0, 3.0] if parts == 1 else [0.0, 2.0])
        return torch.tensor(next(wholes if parts == 1 else parts_of))

    monkeypatch.setattr(lesson, "gradient_in_parts", gradient_in_parts)
    halves = lesson.batches
    monkeypatch.setattr(lesson, "batches", lambda x, y, n, **how: halves(x, y, len(x) // 2, **how))
    monkeypatch.setattr(lesson, "largest_batch", lambda net, T, room: room // (T * 2**20) + 5)
    data = marked_splits((3, 32, 32))
    net = lesson.photo_net(channels=2).eval()
    given = lesson.Trained(net, data)
    monkeypatch.setattr("common.run.Run.result_of", lambda self, section: given)
    titles, figure = [], lesson.plots.figure

    def titled(rows, cols, size, title=""):
        titles.append(title)
        return figure(rows, cols, size, title)

    monkeypatch.setattr(lesson.plots, "figure", titled)
    run = run_section(lesson.section_steps, tmp_path)
    assert not net.training, "the network of section 3 stays as it is"
    assert run.value("accuracy_4") == 0.75
    assert run.value("gain_4") == pytest.approx(15)
    assert run.value("accumulates") == 4
    assert run.value("parts") == 0.76  # 3/5 and 12/13
    assert run.value("others") == -0.38  # -5/13
    assert run.value("batch_2") == 517  # not rounded up
    gained, fits, parts = (finding["text"] for finding in run.findings)
    half = 196 * math.sqrt(0.15 * 0.85 * 40 / 39 / 40)  # six of forty images more
    assert f"with T = 4 it gains +15.00 ± {half:.2f} points for 4.0 × the additions" in gained
    assert f"+15.0 ± {half:.1f} (2 → 4)" in titles[0] and "at T = 2, asked" in titles[0]
    half = 196 * math.sqrt(0.05 * 0.95 * 40 / 39 / 40)
    assert f"T = 8 gains −5.00 ± {half:.2f} on T = 4" in gained
    assert f"−5.0 ± {half:.1f} (4 → 8)" in titles[0]
    assert "at most 517 images fit 1 GiB at T = 2, and 69 at T = 16" in fits
    assert (
        "4.0 × the additions (2 → 4), and for 1 GiB at most 261 images instead of 517" in titles[0]
    )
    assert "with the whole batch's gradient is 0.76 (mean of 2 batches)" in parts
    assert "Two different batches have -0.38" in parts
    assert "with statistics held fixed 0.60." in parts


# -------------------------------------------------------------------- study: shortcuts


def test_the_two_networks_differ_in_their_shortcuts_alone(tmp_path: Path) -> None:
    cfg = shortcuts.Config(channels=2)
    bare, net = (shortcuts.network(cfg, arm, 3) for arm in (False, True))
    assert [layer.shortcut for layer in bare.layers] == [False] * 5
    assert [layer.shortcut for layer in net.layers] == [False, False, True, False, True]
    pairs = zip(bare.state_dict().values(), net.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize(
    ("with_", "said"),
    [([0.9, 0.7], "not shown"), ([0.9, 0.911], "they help"), ([0.7, 0.711], "they do harm")],
)
def test_what_the_study_of_shortcuts_publishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, with_: list[float], said: str
) -> None:
    trained, without = [], [0.8, 0.81]

    def fit(net, data, show, *, optimizer, seed, epochs, **_):
        arm = any(layer.shortcut for layer in net.layers)
        lr = optimizer.keywords["lr"]
        trained.append((arm, seed, lr, epochs))
        best = 0.05 if arm else 0.2
        net.answer = (with_ if arm else without)[seed % 2]
        return [{"val": 0.5 + (lr == best)}, {"val": 0.3}]

    def evaluate(net, x, y, show, read):
        assert x.min() == 255 and read is shortcuts.lesson.highest_mean_current
        return net.answer

    monkeypatch.setattr(shortcuts, "fit", fit)
    monkeypatch.setattr(shortcuts, "evaluate", evaluate)
    data = marked_splits((3, 32, 32))
    monkeypatch.setattr("common.run.Run.data", lambda self, loader, **_: data)
    run = run_section(shortcuts.section_pairs, tmp_path, seed=4, epochs=2, search_epochs=1)
    assert sorted(trained[:6]) == [
        (arm, 1004, lr, 1) for arm in (False, True) for lr in shortcuts.RATES
    ]
    pairs = [(False, seed, 0.2, 2) for seed in (4, 5)] + [(True, seed, 0.05, 2) for seed in (4, 5)]
    assert sorted(trained[6:]) == sorted(pairs)
    assert run.value("without") == pytest.approx(0.805)
    assert run.value("with") == pytest.approx(np.mean(with_))
    gains = 100 * np.subtract(with_, without)
    assert run.value("gain") == pytest.approx(gains.mean())
    half = 12.7062 * gains.std(ddof=1) / math.sqrt(2)
    text = run.findings[0]["text"]
    assert f"{gains.mean():+.2f} ± {half:.2f} points" in text and said in text
    (table,) = run.extra["tables"]
    assert [row[1] for row in table["rows"]] == ["0.2", "0.05"]


# -------------------------------------------------------------------- flags and weights


@pytest.mark.parametrize(
    "flags",
    [("--depth", "1"), ("--beta", "1.5"), ("--seeds", "1"), ("--batch-size", "1"), ("--lr", "nan")],
)
def test_bad_flags_end_in_one_line(
    flags: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    check_refused(lesson, flags, capsys, tmp_path)


def test_committed_weights_fit_the_network() -> None:
    net = load_weights(lesson.photo_net(), WEIGHTS)
    assert WEIGHTS.stat().st_size < 2_500_000
    assert all(torch.isfinite(p).all() for p in net.parameters())
