"""Lesson 10: its equations against oracles, and every number it publishes against another way to it."""

from __future__ import annotations

import json
import math
import sys
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


@pytest.mark.parametrize("still", [True, False])
def test_stepped_the_network_gives_the_same_answers(still: bool) -> None:
    torch.manual_seed(2)
    net = lesson.photo_net(channels=4).eval()
    x = lesson.encode(torch.rand(3, 3, 32, 32), 4)
    x = x if still else 3 * torch.randn(4, 3, 3, 32, 32)
    with torch.no_grad():
        reset_state(net)
        assert torch.allclose(lesson.stepped(net, x), net.run(x), atol=1e-5)


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
    found = lesson.likeness_by_layer(Noise(), torch.randn(2, 60, 2, 5, 5))
    assert found[:2].tolist() == pytest.approx([1, 1], abs=1e-4) and abs(found[2]) < 0.1


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


@pytest.mark.parametrize(
    ("kind", "image", "error"),
    [("plain", 0, 0), ("error around", 0, 1), ("image around", 1, 0), ("SEW", 1, 1)],
)
def test_what_goes_around_a_silent_layer(kind: str, image: int, error: int, tmp_path: Path) -> None:
    layer = lesson.deep_stack(tiny(tmp_path), kind, 2.0, 1, 0).layers[1]
    nn.init.zeros_(layer.norm.weight)  # no neuron fires, and no error gets through
    spk_in = (torch.rand(2, 3, lesson.WIDTH, 4, 4) < 0.3).float().requires_grad_()
    spk, asked = layer.run(spk_in), torch.randn(spk_in.shape)
    assert torch.equal(spk, image * spk_in)
    (spk * asked).sum().backward()
    assert torch.allclose(spk_in.grad, error * asked, atol=1e-6)


@pytest.mark.parametrize("rho", [0.7, 1.0, 1.42])
def test_the_law_of_each_stack_in_closed_form(rho: float) -> None:
    """Line (d)'s product is a quotient of gamma functions, and goes with D^(ρ²/2) where D is large."""
    D, left = 40, np.arange(40, -1, -1)  # layers below the last
    assert lesson.expected_gradient("plain", rho, D) == pytest.approx(rho**left)
    around = (1 + rho**2) ** (left / 2)
    assert lesson.expected_gradient("error around", rho, D) == pytest.approx(around)
    sew = lesson.expected_gradient("SEW", rho, D)
    for layer in (0, 1, 7, D):
        logs = math.lgamma(D + 1 + rho**2) - math.lgamma(layer + 1 + rho**2)
        logs -= math.lgamma(D + 1) - math.lgamma(layer + 1)
        assert sew[layer] == pytest.approx(math.exp(logs / 2))
    alone = rho**D / math.sqrt(math.factorial(D))
    assert lesson.expected_gradient("image around", rho, D)[0] == pytest.approx(alone)
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
    for kind, slope in (("SEW", 1.0), ("SEW", 4.0), ("image around", 2.0), ("error around", 2.0)):
        net = lesson.deep_stack(cfg, kind, slope, 6, 1)
        expected = lesson.expected_gradient(kind, lesson.factor_per_layer(cfg, slope, draw), 6)
        assert lesson.gradient_by_layer(net, x, y)[0] == pytest.approx(expected[0], rel=0.3)


@pytest.mark.parametrize(("best", "tried"), [(0, 4), (1, 4), (2, 3), (3, 3), (5, 5), (7, 6)])
def test_the_search_ends_between_two_worse_neighbours(best: int, tried: int) -> None:
    asked = []

    def validate(rate: float) -> float:
        asked.append(rate)
        return -abs(math.log(rate / lesson.RATES[best]))

    rate, all_tried = lesson.best_rate(validate)
    assert rate == lesson.RATES[best] and all_tried == sorted(asked)
    assert len(asked) == len(set(asked)) == tried
    neighbours = {best - 1, best + 1} & set(range(len(lesson.RATES)))
    assert {lesson.RATES[i] for i in neighbours} <= set(asked)


def test_validation_chooses_the_rate_and_new_seeds_are_tested(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cfg = tiny(tmp_path, seed=10, seeds=3)
    tried = []

    def fit(net, data, show, *, optimizer, seed, **_):
        assert optimizer.func is lesson.even_adamw
        lr = optimizer.keywords["lr"]
        tried.append((lr, seed, net))
        assert len(data.x_train) == 20
        return [{"val": 0.5 + (lr == lesson.RATES[1])}, {"val": 0.1}]  # the best is the first

    monkeypatch.setattr(lesson, "fit", fit)
    monkeypatch.setattr(lesson, "evaluate", at_white(0.1, 0.75))
    arm = lesson.train_arm(lambda seed: seed, marked_splits((3, 32, 32)), cfg, begin(cfg, "test"))
    assert arm.rate == lesson.RATES[1] and arm.test == [75.0] * 3
    assert arm.tried == list(lesson.RATES[:4])
    assert sorted(tried[:4]) == [(rate, 10, 10) for rate in lesson.RATES[:4]]
    assert tried[4:] == [(lesson.RATES[1], seed, seed) for seed in (11, 12, 13)]


def test_the_lowest_layers_move_as_far_as_the_uppermost(tmp_path: Path) -> None:
    """In image around the lowest gradients are far below AdamW's usual ε, and it makes up for it."""
    net = lesson.deep_stack(tiny(tmp_path), "image around", 2.0, 16, 0)
    x, y = lesson.encode_small(torch.rand(8, 3, 32, 32), 2), torch.arange(8)
    optimizer = lesson.even_adamw(net, 0.01)
    start = [layer.conv.weight.detach().clone() for layer in net.layers]
    lesson.mean_current_loss(net.run(x), y).backward()
    assert net.layers[0].conv.weight.grad.abs().median() < 1e-9
    optimizer.step()
    for layer, before in zip(net.layers, start, strict=True):
        moved = (layer.conv.weight.detach() - before).abs().median().item()
        assert moved == pytest.approx(0.01, rel=0.01), "the first step of Adam: lr for each weight"


def test_interval_against_a_table() -> None:
    """t for 2 degrees of freedom at 97.5 % is 4.303."""
    mean, half = lesson.interval([1.0, 2.0, 6.0])
    assert mean == 3 and half == pytest.approx(4.303 * math.sqrt(7 / 3), rel=1e-3)


def kind_of(net) -> str:
    """By what its last layer does, not by the name that the lesson gave."""
    layer = net.layers[-1]
    if isinstance(layer, lesson.ImageAround):
        return "image"
    if isinstance(layer, lesson.ErrorAround):
        return "error"
    return "SEW" if layer.shortcut else "plain"


def publish(monkeypatch: pytest.MonkeyPatch, folder: Path, read: dict[tuple[str, int], list]):
    """Section 2 with accuracies by kind and depth, and gradients and likeness of known size."""
    size = {"plain": 7.0, "error": 70.0, "image": 0.07, "SEW": 17.0}
    ends = {"plain": 0.2, "error": 0.3, "image": 0.4, "SEW": 0.6}
    monkeypatch.setattr(
        lesson, "gradient_by_layer", lambda net, x, y: np.array([size[kind_of(net)], 5.0, 3.0, 1.0])
    )
    monkeypatch.setattr(
        lesson, "likeness_by_layer", lambda net, x: np.array([1, 0.9, 0.8, ends[kind_of(net)]])
    )

    def train_arm(build, data, cfg, run):
        net = build(0)
        return lesson.Arm(3e-3, [1e-3, 3e-3, 1e-2], read[kind_of(net), len(net.layers) - 1])

    monkeypatch.setattr(lesson, "train_arm", train_arm)
    return run_section(lesson.section_depth, folder)


READ = {
    ("plain", 0): [20.0, 22.0],
    ("plain", 2): [34.0, 35.0],
    ("SEW", 2): [38.0, 43.0],
    ("plain", 3): [30.0, 32.0],
    ("error", 3): [31.0, 31.0],
    ("image", 3): [38.0, 40.2],
    ("SEW", 3): [40.0, 44.0],
}


def test_what_section_2_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = publish(monkeypatch, tmp_path, READ)
    assert (run.value("gradient_plain"), run.value("gradient_sew")) == (7, 17)
    assert run.value("gain") == pytest.approx(11)  # 40 and 44 against 30 and 32
    assert run.value("image_around") == pytest.approx(8.1)
    assert run.value("error_around") == pytest.approx(0)
    assert run.value("deeper") == pytest.approx(1.5)  # against 38 and 43
    assert run.value("likeness_plain") == 0.2 and run.value("likeness_sew") == 0.6
    text = run.findings[0]["text"]
    assert "At α = 1 the gradient is 7 times" in text, "equally long at all slopes: the first"
    assert "the plain stack reads 31 % of the test images, where SEW reads 42 %: this does" in text
    assert "after 3 plain layers 0.20 of the likeness is left, after 3 SEW layers 0.60" in text
    assert "image alone gains +8.1 ± 1.3 points, for the error alone +0.0 ± 12.7" in text
    assert "for both +11.0 ± 12.7" in text and "it is the image that needs a way around" in text
    assert "3 layers of SEW are not shown to read more than 2 (+1.5 ± 6.4 points)" in text
    (table,) = run.extra["tables"]
    assert table["title"].startswith(("After 1 updates", "After 2 updates"))
    draw = torch.Generator().manual_seed(0)
    rho = [lesson.factor_per_layer(run.cfg, a, draw.manual_seed(0)) for a in lesson.SLOPES]
    r = rho[1]
    laws = [math.sqrt((1 + r**2) ** 3), math.sqrt(r**6 / 6)]
    laws.append(math.sqrt((1 + r**2) * (1 + r**2 / 2) * (1 + r**2 / 3)))
    laws = [lesson.two_digits(v) for v in [rho[0] ** 3, rho[1] ** 3, rho[2] ** 3, *laws]]
    assert [row[5] for row in table["rows"]] == ["", "", "", *laws]
    assert table["rows"][4][:4] == ["3: plain", "2", "31.0 ± 12.7", "0.003 (0.001–0.01)"]
    assert table["rows"][4][4] == "7" and table["rows"][2][4] == ""
    assert [row[0] for row in table["rows"]][6:] == [
        "3: error around",
        "3: image around",
        "3: SEW",
    ]
    assert [row[4] for row in table["rows"]][6:] == ["70", "0.07", "17"]


@pytest.mark.parametrize(
    ("image", "error", "both", "said"),
    [
        ((5, 4), (1, 4), (5, 4), "it is the image"),
        ((1, 4), (5, 4), (5, 4), "it is the error"),
        ((5, 4), (5, 4), (5, 4), "Either way around helps"),
        ((-5, 4), (1, 4), (5, 4), "Neither way around is shown to help by itself; together"),
        ((-5, 4), (1, 4), (3, 4), "No way around"),
    ],
)
def test_the_cause_is_what_the_intervals_say(image, error, both, said: str) -> None:
    assert said in lesson.way_around(image, error, both)


def test_the_length_is_judged_where_it_is_most_nearly_one() -> None:
    gradient = {1.0: 0.005, 2.0: 1.1, 4.0: 250.0}
    plain = {1.0: [20.0, 21.0], 2.0: [18.0, 19.0], 4.0: [11.0, 12.0]}
    text = lesson.is_length(gradient, plain, [32.0, 32.5])
    assert text.startswith("At α = 2 the gradient is 1.1 times") and "reads 18 % of" in text
    assert "SEW reads 32 %: the length of the gradient is not what a plain stack lacks" in text
    assert "does not show" in lesson.is_length(gradient, plain, [18.0, 20.0])


@pytest.mark.parametrize(
    ("deep", "said"),
    [((50.0, 55.2), "SEW read more than 2"), ((28.0, 33.2), "SEW read less than 2")],
)
def test_depth_is_judged_by_its_interval(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, deep: tuple[float, float], said: str
) -> None:
    run = publish(monkeypatch, tmp_path, READ | {("SEW", 3): list(deep)})
    assert run.value("deeper") == pytest.approx(np.mean(deep) - 40.5)
    assert said in run.findings[0]["text"]


# -------------------------------------------------------------------- 3  the headline


def test_the_study_is_read_from_its_committed_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lesson, "ROOT", tmp_path)
    assert lesson.other_seeds() == ""
    stored = tmp_path / "docs" / "results" / "10_seeds.json"
    stored.parent.mkdir(parents=True)
    findings = [{"text": "aside", "main": False}, {"text": "84.8 ± 0.3 %", "main": True}]
    stored.write_text(json.dumps({"findings": findings}), encoding="utf-8")
    assert lesson.other_seeds() == "84.8 ± 0.3 %"
    stored.write_text("{", encoding="utf-8")
    assert lesson.other_seeds() == "", "damaged"


def test_what_section_3_publishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = {}
    monkeypatch.setattr(lesson, "other_seeds", lambda: "three seeds say so")

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
    assert "studies/10_seeds.py: three seeds say so" in capsys.readouterr().out.replace(
        "\n   ", " "
    )
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


@given(T=st.integers(1, 64), card=st.integers(10**7, 10**11))
def test_the_largest_batch_fits_and_one_more_does_not(T: int, card: int) -> None:
    net = lesson.photo_net(channels=4)
    B = lesson.largest_batch(net, T, card)

    def needed(batch: int) -> int:
        fixed = 16 * sum(p.numel() for p in net.parameters())
        return fixed + lesson.bytes_by_formula(net, T, batch, b=2, fused=False)

    assert B == 0 or needed(B) <= card
    assert needed(B + 1) > card
    room = lesson.bytes_by_formula(net, T, 7, b=2, fused=True)
    assert lesson.batch_in(net, T, room, b=2, fused=True) == 7
    assert lesson.batch_in(net, T, room - 1, b=2, fused=True) == 6


@pytest.mark.parametrize(("number", "b"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_as_on_a_gpu_no_compiled_loop_is_taken(number: torch.dtype, b: int) -> None:
    """Large enough that the loops would be; the network itself stays as it is."""
    net = lesson.photo_net(channels=16)
    slow, x = lesson.as_on_a_gpu(net), lesson.encode(torch.rand(4, 3, 32, 32), 4, number)
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
            return 120 * T * B
        if "stepped" in str(forward):
            return 700 * T * B
        return (110 if any(layer.shortcut for layer in net.layers) else 100) * T * B

    monkeypatch.setattr(lesson, "bytes_measured", measured)
    monkeypatch.setattr(
        lesson, "bytes_by_formula", lambda net, num_steps, batch, **_: 101 * num_steps * batch
    )
    as_on_a_gpu = lesson.as_on_a_gpu

    def marked(net):
        slow = as_on_a_gpu(net)
        slow.layers[0].lif.spike_grad = lambda x: "slow"
        return slow

    monkeypatch.setattr(lesson, "as_on_a_gpu", marked)
    run = run_section(lesson.section_memory, tmp_path)
    assert run.value("memory_error") == pytest.approx(1 - 101 / 110)
    assert run.value("memory_error_gpu") == pytest.approx(1 - 101 / 120)
    assert run.value("sew_extra") == pytest.approx(0.1)
    assert run.value("loop_ratio") == pytest.approx(700 / 110)
    card = 24 * 2**30 - 16 * sum(p.numel() for p in lesson.photo_net(channels=8).parameters())
    assert run.value("batch_2") == pytest.approx(card / 202, rel=0.05)  # two digits are shown
    shown = f"{float(f'{card / (101 * 16):.2g}'):,.0f} at T = 16"
    assert shown in run.findings[0]["text"]
    assert run.extra["tables"][0]["rows"][0][6] == f"{110 * 2 / 2**20:.1f}"
    assert "SEW shortcuts keep 10.0 % more at most" in run.findings[0]["text"]


# -------------------------------------------------------------------- 5  steps


def test_agreement_is_that_of_two_batches() -> None:
    torch.manual_seed(0)
    net, data = lesson.photo_net(channels=2), marked_splits((3, 32, 32))
    draw = torch.Generator().manual_seed(0)
    # all training images are black and of class 0: every batch gives the same gradient
    for layer in net.layers:
        layer.norm.eval()
    assert lesson.agreement(net, data, 2, 4, 3, draw) == pytest.approx([1, 1, 1], abs=1e-3)


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
    asked = []

    def agreement(net, data, T, B, pairs, draw):
        asked.append((T, B))
        return [(B + T) / 100, (B + T) / 100 + (B == 4) / 50]

    monkeypatch.setattr(lesson, "agreement", agreement)
    monkeypatch.setattr(lesson, "is_fused", lambda *_: True)
    data = marked_splits((3, 32, 32))
    given = lesson.Trained(lesson.photo_net(channels=2), data)
    monkeypatch.setattr("common.run.Run.result_of", lambda self, section: given)
    run = run_section(lesson.section_steps, tmp_path)
    assert (run.value("accuracy_1"), run.value("accuracy_4")) == (0.5, 0.75)
    assert run.value("gain_4") == pytest.approx(15)
    assert run.value("accumulates") == 4
    net = lesson.photo_net(channels=8)
    b = lesson.fast_number(torch.device("cpu")).itemsize
    kept = {
        (T, B): lesson.bytes_by_formula(net, T, B, b=b) for T in (1, 2, 4, 8) for B in range(40)
    }
    most = {T: max(B for B in range(40) if kept[T, B] <= kept[8, 4]) for T in (1, 2, 4, 8)}
    assert most[8] == 4 and set(asked) == set(most.items()) | {(T, 4) for T in most}
    many = most[1]
    assert run.value("alike_images") == pytest.approx((many + 1) / 100)
    assert run.value("alike_steps") == pytest.approx(0.13)  # T = 8, B = 4: 0.12 and 0.14
    text = run.findings[0]["text"]
    assert "50.0 % of the test images with T = 1, 60.0 % with T = 2 and 70.0 % with T = 8" in text
    assert "for 1, 4 and 64 million additions" in text
    half = 196 * math.sqrt(0.15 * 0.85 * 40 / 39 / 40)  # six of forty images more
    assert f"+15.00 ± {half:.2f} points on T = 2" in text
    more = kept[8, 4] / kept[1, 4]
    assert (
        f"two batches of 4 agree by 0.06 at T = 1. With {more:.1f} times the memory it is" in text
    )
    half = 12.706 * 0.01  # t for one degree of freedom, times the deviation of the mean
    assert f"0.13 ± {half:.2f} by T = 8 or {(many + 1) / 100:.2f} ± 0.00 by B = {many}" in text
    assert "which of the two brings more is not shown. Equation (3) expects" in text
    by_law = 1 / (1 + (1 / 0.06 - 1) * 4 / many)
    assert f"expects {by_law:.2f} (95 %: 0.00 to " in text and f"of the {many} images" in text
    assert lesson.more_images(0.04, 8) == pytest.approx(0.25)
    assert lesson.more_images(-0.1, 8) < 1e-4 and lesson.more_images(1.2, 8) == 1


@pytest.mark.parametrize(
    ("images", "steps", "said"),
    [
        ([0.3, 0.31], [0.1, 0.11], "here images bring more than steps"),
        ([0.1, 0.11], [0.3, 0.31], "here steps bring more than images"),
        ([0.1, 0.3], [0.1, 0.1], "which of the two brings more is not shown"),
    ],
)
def test_images_or_steps_is_judged_by_their_intervals(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, images: list, steps: list, said: str
) -> None:
    one = torch.ones(40)
    monkeypatch.setattr(lesson, "right_answers", lambda *_: one)
    monkeypatch.setattr(lesson, "accumulates", lambda net, x: 1e6)
    monkeypatch.setattr(
        lesson, "agreement", lambda net, data, T, B, *_: steps if B == 4 else images
    )
    given = lesson.Trained(lesson.photo_net(channels=2), marked_splits((3, 32, 32)))
    monkeypatch.setattr("common.run.Run.result_of", lambda self, section: given)
    assert said in run_section(lesson.section_steps, tmp_path).findings[0]["text"]


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
