"""Lesson 16: the converter against theory, and every number it publishes against another way to it."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from types import SimpleNamespace

from akd1000.sequential import keras_twin, train_until_it_stops
from common.io import UserError
from common.lesson import begin
from common.run import Run
from common.spiking import constant_current, reset_state
from conversion import published, watching
from conversion.networks import Residual, Still, make_residual, make_small, make_vgg, one_step
from conversion.watching import Shown, break_even, fan_out, look_inside, simulate
from multistep import unroll

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from helpers import load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits
from scipy.stats import t as student_t
from torch import nn

lesson = load_script("16_ann_to_snn")


def like_trained(net: nn.Module, seed: int = 0) -> nn.Module:
    """A network whose BatchNorm has statistics and factors of its own, as after training."""
    g = torch.Generator().manual_seed(seed)
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.3, generator=g)
        norm.running_var.uniform_(0.3, 2, generator=g)
        norm.weight.data.uniform_(0.5, 1.5, generator=g)
        norm.bias.data.normal_(0, 0.3, generator=g)
    return net.eval()


def images(n: int = 4, channels: int = 3, size: int = 32, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def vgg() -> nn.Module:
    torch.manual_seed(0)
    return like_trained(make_vgg("small"))


@pytest.fixture(scope="module")
def residual() -> nn.Module:
    return make_residual(torch.Generator().manual_seed(3))


# -------------------------------------------------------------------- one neuron


@settings(max_examples=150, deadline=None)
@given(current=st.floats(-1.5, 2.5), T=st.integers(1, 40), charge=st.floats(0, 0.99))
def test_spikes_of_a_steady_current_are_the_floor(current: float, T: int, charge: float) -> None:
    """Equation (3), by snnTorch's neuron, by the lesson's, and as an activation; ties are left out."""
    if any(abs(charge + t * current - k) < 1e-4 for t in range(1, T + 1) for k in range(1, T + 1)):
        return
    wanted = min(max(math.floor(charge + T * current), 0), T)
    spk_rec, _ = lesson.show_current(torch.tensor([current]), T, charge)
    assert spk_rec.sum().item() == wanted
    neuron = lesson.IntegrateAndFire(2.0, charge)  # θ = 2: everything twice as large
    outputs = torch.stack([neuron(torch.tensor([2 * current])) for _ in range(T)])
    assert outputs.sum().item() == pytest.approx(2 * wanted)
    stairs = lesson.Stairs(2.0, T, charge)(torch.tensor(2 * current)).item()
    assert stairs == pytest.approx(2 * wanted / T, abs=1e-6)


def test_the_lessons_neuron_is_snntorchs_without_leak() -> None:
    """Paying at once or one step late: the same spikes with β = 1, others with a leak."""
    cur = 1.2 * torch.rand(60, 50, generator=torch.Generator().manual_seed(0)) - 0.2
    neuron = lesson.IntegrateAndFire(0.7)
    outputs = torch.stack([neuron(cur_t) for cur_t in cur])
    spk, _, _ = unroll(snn.Leaky(beta=1.0, threshold=0.7), cur)
    assert torch.equal(outputs, 0.7 * spk)
    neuron.reset_mem()
    assert torch.equal(neuron(cur[0]), outputs[0])
    leaky, _, _ = unroll(snn.Leaky(beta=0.8, threshold=0.7), cur)
    v, at_once = torch.zeros(50), []
    for cur_t in cur:
        u = 0.8 * v + cur_t
        at_once.append((u > 0.7).float())
        v = u - 0.7 * at_once[-1]
    assert not torch.equal(leaky, torch.stack(at_once))


def test_section_1_is_equation_3(tmp_path: Path) -> None:
    run = run_section(lesson.section_neuron, tmp_path)
    assert [run.value(f"rate_{k}") for k in ("031", "negative", "large")] == [4, 0, 16]
    grid = torch.linspace(-0.5, 1.5, 2001).double()
    grid = grid[(grid >= 0) & (grid <= 1)]
    for charge, id in ((0.0, "stairs_empty"), (0.5, "stairs_charged")):
        stairs = torch.floor(charge + 16 * grid).clamp(0, 16) / 16
        assert run.value(id) == pytest.approx((stairs - grid).abs().max().item(), abs=1e-3)


# -------------------------------------------------------------------- the converter


@torch.no_grad()
@pytest.mark.parametrize("name", ["vgg", "residual"])
def test_batchnorm_is_folded_exactly(name: str, request: pytest.FixtureRequest) -> None:
    net, x = request.getfixturevalue(name), images()
    before = copy.deepcopy(net.state_dict())
    folded = lesson.fold(net)
    assert (folded(x) - net(x)).abs().max() <= 1e-5 * net(x).abs().max()
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items()), "left alone"


@torch.no_grad()
def test_a_norm_behind_a_layer_with_bias_and_behind_a_linear_one() -> None:
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    net = nn.Sequential(net, nn.Linear(64, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    for norm in (net[0][1], net[2]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 3)
    x = torch.rand(7, 2, 6, 6)
    assert torch.allclose(lesson.fold(net)(x), net.eval()(x), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["vgg", "residual"])
def test_with_time_the_rates_are_the_activations(name: str, request: pytest.FixtureRequest) -> None:
    """With random weights, every layer, and the logits: the error goes on falling towards nothing."""
    net, x = request.getfixturevalue(name), images(2)
    error = lesson.error_over_time(net, x, [16, 64, 256])
    assert error[0] > 2.5 * error[1] > 6 * error[2] and error[2] < 0.1
    flat = lesson.fold(net)
    theta = [1.2 * v for v in lesson.thresholds(flat, x, 100)]
    spiking = lesson.convert(net, theta, charge=0.5)
    logits = torch.stack([out for out, _ in watching.steps(spiking, x, 256)]).mean(0)
    assert (logits - flat(x)).abs().max() < 0.1 * flat(x).abs().max()


@pytest.mark.parametrize(
    "layers, wrong",
    [
        ([nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)], "MaxPool2d.*use AvgPool2d"),
        ([nn.Linear(3, 4), nn.GELU()], "GELU.*use ReLU"),
        ([nn.Linear(3, 4), nn.Sigmoid()], "'1' is Sigmoid.*use convolutions"),
        ([nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)], "BatchNorm behind Sequential"),
        ([nn.Conv2d(3, 4, 3), nn.AvgPool2d(2), nn.BatchNorm2d(4)], "behind AvgPool2d"),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(layers: list, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        lesson.convert(nn.Sequential(*layers), [1.0])


def test_each_activation_gets_its_own_neuron_in_the_order_in_which_they_act(residual) -> None:
    shared = nn.ReLU()
    net = nn.Sequential(
        nn.Linear(2, 2), shared, Residual(nn.Sequential(nn.Linear(2, 2), shared)), nn.ReLU()
    )
    spiking = lesson.convert(net, [1.0, 2.0, 3.0])
    neurons = [m for m in spiking.modules() if isinstance(m, lesson.IntegrateAndFire)]
    assert [n.threshold for n in neurons] == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError):
        lesson.convert(residual, [1.0])  # five activations, one threshold
    _, seen = look_inside(lesson.fold(residual), images(1))
    assert len(lesson.thresholds(lesson.fold(residual), images(1), 99)) == len(seen) == 5


@torch.no_grad()
def test_thresholds_are_percentiles(vgg) -> None:
    flat, x = lesson.fold(vgg), images()
    _, seen = look_inside(flat, x)
    assert lesson.thresholds(flat, x, 100) == [a.max().item() for _, a in seen]
    for (_, a), value in zip(seen, lesson.thresholds(flat, x, 90), strict=True):
        assert (a <= value).float().mean().item() == pytest.approx(0.9, abs=0.01)


@torch.no_grad()
@settings(max_examples=10, deadline=None)
@given(lam=st.lists(st.floats(0.05, 20), min_size=4, max_size=4))
def test_rescaling_leaves_the_logits_and_divides_the_activations(lam: list[float]) -> None:
    """Equation (4); and θ = 1 with rescaled weights makes the spikes of θ = λ."""
    net = lesson.fold(like_trained(make_small(nn.ReLU)))
    x = images(2, 1, 28)
    scaled = lesson.rescale(net, lam)
    assert torch.allclose(scaled(x), net(x), rtol=1e-3, atol=1e-4 * net(x).abs().max().item())
    ours, theirs = look_inside(scaled, x)[1], look_inside(net, x)[1]
    for (_, a), (_, b), value in zip(ours, theirs, lam, strict=True):
        assert torch.allclose(a * value, b, atol=1e-4 * b.max().item())


def test_clipped_activation_is_the_steady_rate_and_learns_its_range() -> None:
    act, x = lesson.Clipped(2.0, 8), torch.linspace(-1, 4, 101)
    assert torch.allclose(act(x), lesson.Stairs(2.0, 8, 0.5)(x), atol=1e-6)
    x = torch.tensor([-1.0, 1.1, 5.0], requires_grad=True)
    act(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 0], "straight through the stairs, nothing beyond them"
    stairs = round(1.1 / 2 * 8) / 8
    assert act.lam.grad.item() == pytest.approx((stairs - 0.55) + 1.0, abs=1e-5)


def test_vgg16_has_its_thirteen_convolutions() -> None:
    net = make_vgg("vgg16")
    assert sum(isinstance(m, nn.Conv2d) for m in net) == 13 and net[-1].in_features == 512
    assert sum(isinstance(m, nn.AvgPool2d) for m in net) == 5


def test_still_leaves_eval_mode_alone(vgg) -> None:
    """``evaluate`` puts a network back into the mode in which it found it."""
    x = (255 * images(3)).to(torch.uint8)
    lesson.evaluate(Still(vgg), x, torch.zeros(3).long(), one_step)
    assert not any(m.training for m in vgg.modules())


# -------------------------------------------------------------------- spikes and what they cost


@torch.no_grad()
def test_simulate_is_the_plain_loop(vgg) -> None:
    x = (255 * images(5)).to(torch.uint8)
    flat = lesson.fold(vgg)
    net = lesson.convert(vgg, lesson.thresholds(flat, x.float() / 255, 99), 0.5)
    found = simulate(net, x, [1, 3, 4])
    total, spikes = 0, 0
    reset_state(net)
    for t in range(1, 5):
        out, seen = look_inside(net, x.float() / 255)
        total, spikes = total + out, spikes + sum((s > 0).sum().item() for _, s in seen)
        if t in (1, 3, 4):
            k = found.times.index(t)
            assert torch.allclose(found.logits[k], total / t, atol=1e-5)
            assert found.spikes[k] == pytest.approx(spikes / 5)
    y = found.logits[1].argmax(1)
    y[0] = (y[0] + 1) % 10
    assert found.accuracy(y)[1] == pytest.approx(0.8)


@torch.no_grad()
def test_operations_of_a_network_that_always_fires(vgg) -> None:
    """Every neuron fires at every step: spikes and additions are those of the shapes, by hand."""
    net = lesson.convert(vgg, [1.0] * 4)
    convs = [m for m in net if isinstance(m, nn.Conv2d)]
    for conv in convs:
        conv.weight.zero_()
        conv.bias.fill_(2.0)
    found = simulate(net, torch.zeros(3, 3, 32, 32), [1, 2])
    neurons = [32 * 16**2, 64 * 8**2, 64 * 8**2, 128 * 4**2]
    assert found.spikes.tolist() == [sum(neurons), 2 * sum(neurons)]
    # A 3×3 kernel meets 3·n − 2 of 3·n places along an axis with n outputs, for the border is empty.
    # Behind a mean pooling each of the four pooled neurons meets all that its place meets.
    inner = (3 * 8 - 2) ** 2
    reach = [4 * 32 * 64 * inner, 64 * 64 * inner, 4 * 64 * 128 * (3 * 4 - 2) ** 2, 128 * 16 * 10]
    assert found.synops.tolist() == pytest.approx([sum(reach), 2 * sum(reach)])


def test_fan_out_counts_and_refuses(residual) -> None:
    net = nn.Sequential(nn.Linear(3, 4), lesson.IntegrateAndFire(1.0), nn.Linear(4, 7))
    assert fan_out(net, 0, (4,)).tolist() == [7] * 4
    with pytest.raises(UserError, match="at the end"):
        fan_out(net[:2], 0, (4,))
    spiking = lesson.convert(residual, [1.0] * 5)
    with pytest.raises(UserError, match="got Residual behind neurons"):
        fan_out(spiking, 0, (16, 16, 16))


def test_break_even_is_where_the_lines_cross() -> None:
    """E(T) = 2 + 3·T meets 17 at T = 5, measured or continued."""
    for times in ([1, 2, 4, 8], [1, 2, 4]):
        energies = np.array([2 + 3 * t for t in times])
        assert break_even(times, energies, 2.0, 17.0) == pytest.approx(5.0)
    assert break_even([1, 2], np.array([5.0, 8.0]), 2.0, 3.5) == pytest.approx(0.5)


# -------------------------------------------------------------------- what is published


SPLIT = {0: "train", 128: "val", 255: "test"}


def split_of(x: torch.Tensor) -> str:
    """Of which split images of ``marked_splits`` are: by their one grey."""
    (grey,) = (x.float() * (1 if x.dtype == torch.uint8 else 255)).round().unique().tolist()
    return SPLIT[int(grey)]


def given_results(monkeypatch: pytest.MonkeyPatch, *results, data=None) -> None:
    """What earlier sections left, and the data of this one."""
    by_type = {type(r): r for r in results}
    kinds = {
        lesson.section_network: lesson.Trained,
        lesson.section_thresholds: lesson.Balanced,
        lesson.section_budget: lesson.Compared,
    }
    monkeypatch.setattr(Run, "result_of", lambda self, section: by_type[kinds[section]])
    if data is not None:
        monkeypatch.setattr(Run, "data", lambda self, loader, **options: data)


def test_section_2_reports_the_test_images_and_the_worst_layer(
    vgg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = marked_splits((3, 32, 32))
    data.x_val = (255 * images(12, seed=5)).to(torch.uint8)
    data.x_train = (255 * images(24, seed=6)).to(torch.uint8)
    monkeypatch.setattr(Run, "data", lambda self, loader, **options: data)
    monkeypatch.setattr(lesson, "make_vgg", lambda name: copy.deepcopy(vgg))
    monkeypatch.setattr(lesson, "load_weights", lambda net, path: net)

    def score(net, x, y, encode):
        assert x is data.x_test and y is data.y_test and not net.training
        return 0.625

    monkeypatch.setattr(lesson, "evaluate", score)
    run = run_section(lesson.section_network, tmp_path, epochs=0, num_steps=4)
    assert run.value("ann") == 0.625 and run.value("fold") <= 1e-5
    flat, x = lesson.fold(vgg), data.x_val.float() / 255
    spiking = lesson.convert(vgg, lesson.thresholds(flat, data.x_train.float() / 255, 100))
    total = 0
    for _, seen in watching.steps(spiking, x, 4):
        total = total + seen[-1][1]
    wanted = np.corrcoef(total.flatten(), look_inside(flat, x)[1][-1][1].flatten())[0, 1]
    assert run.value("correlation") == pytest.approx(wanted, abs=1e-4), "here the last is the worst"
    logits = torch.stack([out for out, _ in watching.steps(spiking, x, 4)]).mean(0)
    same = (logits.argmax(1) == vgg(x).argmax(1)).float().mean().item()
    assert run.value("agree") == pytest.approx(same)
    twenty = x[:20]
    wanted = lesson.error_over_time(vgg, twenty, [16])[0]
    assert run.value("limit") == pytest.approx(wanted, rel=1e-4)


class Says(nn.Module):
    """A network without state that always answers one class."""

    def __init__(self, answer: int) -> None:
        super().__init__()
        self.answer, self.weight = answer, nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.eye(10)[self.answer].expand(len(x), 10)


def answers(classes: list[int], x: torch.Tensor, times: list[int]) -> Shown:
    """As if a network had answered ``classes``, one for each time, whatever it was shown."""
    logits = torch.eye(10)[torch.tensor(classes)][:, None].expand(-1, len(x), -1)
    return Shown(list(times), logits, np.array(times) * 10.0, np.array(times) * 1000.0)


def test_section_3_compares_each_arm_with_its_own_ann(
    vgg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ANNs say 1 on validation images (right) but for one arm; networks are right from T = 8 on."""
    data = marked_splits((3, 32, 32))
    flat = lesson.fold(vgg)
    given_results(monkeypatch, lesson.Trained(vgg, flat, 0.5, data))
    monkeypatch.setattr(lesson, "train_vgg", lambda *args: None)
    names = [lesson.NONE, lesson.MAX, lesson.MOST, lesson.CHARGED, lesson.TRAINED]
    names += [lesson.NONE_CHARGED, lesson.MAX_CHARGED]
    ids = ["none", "max", "percentile", "charge", "clipped", "none_charge", "max_charge"]
    arms = {
        n: lesson.Arm(Says(7 if i == 0 else 1), [i + 1.0], 0.0, id=ids[i])
        for i, n in enumerate(names)
    }
    monkeypatch.setattr(lesson, "make_arms", lambda *args: arms)
    monkeypatch.setattr(lesson, "convert", lambda ann, theta, charge: theta[0])

    def fake(net, x, times, name=""):
        if name == "test images":
            assert x is data.x_test and times == [1, 2, 4, 8, 16, 32] and net == 2.0, "the best arm"
            return answers([0, 0, 0, 0, 2, 3], x, times)  # 75 % at 16, 25 % at 32
        assert split_of(x) == "val" and len(x) == 12
        from_8 = [int(t >= 8) for t in times]
        return answers(from_8 if net == 2.0 else [0] * len(times), x, times)

    monkeypatch.setattr(lesson, "simulate", fake)

    def score(net, x, y, encode):
        if split_of(x) == "test":
            return 0.875
        return float(net.net.answer == 1)

    monkeypatch.setattr(lesson, "evaluate", score)
    arms[lesson.NONE].thresholds = [4.0]
    arms[lesson.CHARGED].thresholds = [3.0]
    run = run_section(
        lesson.section_thresholds, tmp_path, num_steps=32, sweep_images=100, smoke=False
    )
    assert run.value("lost_max") == 0 and run.value("lost_percentile") == 100
    assert run.value("lost_max_charge") == 100 and run.value("lost_charge") == 100
    (table,) = run.extra["tables"]
    assert table["rows"] == [
        ["θ = 1", "0.0", "100.0"],  # wrong, but as wrong as its own ANN
        ["maximum", "0.0", "100.0"],
        ["99.9 percentile", "100.0", "100.0"],
        ["trained clipped", "–", "100.0"],
    ]
    text = run.findings[0]["text"]
    assert "saves −100.0 points at θ = 1, −100.0 at the maximum and 0.0 at the 99.9" in text
    assert run.value("snn_16") == 0.75
    assert run.value("gap_16") == pytest.approx(12.5), "behind the better of the two ANNs"
    assert run.value("gap_32") == pytest.approx(62.5)
    kept = run.results[3]
    assert kept.best == lesson.MAX and kept.own_ann == 0.875 and kept.times[kept.k] == 16


@torch.no_grad()
def test_errors_add_up_and_the_first_layer_is_even(vgg) -> None:
    flat, x = lesson.fold(vgg), images(3)
    arm = lesson.Arm(flat, lesson.thresholds(flat, x, 98), 0.5)
    layers = lesson.see_layers(arm, x, 8)
    for layer in layers:
        parts = layer.parts()
        assert torch.allclose(sum(parts.values()), layer.out.mean(0) - layer.a, atol=1e-5)
    first = layers[0].parts()
    assert (first["unevenness"].abs() > 1e-6).float().mean() < 1e-3
    assert first["inherited"].abs().max() < 1e-5
    assert layers[-1].parts()["unevenness"].abs().max() > 0
    # the current of a layer is what its convolution makes of the spikes before it
    spikes = F.avg_pool2d(layers[0].out[3], 2)
    assert torch.allclose(layers[1].cur[3], flat[4](spikes), atol=1e-4)


def test_losses_by_part_go_from_the_ann_to_the_network(
    vgg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flat, data = lesson.fold(vgg), marked_splits((3, 32, 32))

    def score(net, x, y, encode):
        assert split_of(x) == "val" and len(x) == 9
        kinds = [type(m) for m in net.modules()]
        if nn.Hardtanh in kinds:
            return 0.7
        (stairs,) = {(m.num_steps, m.charge) for m in net.modules() if type(m) is lesson.Stairs}
        assert stairs == (16, 0.5)
        return 0.6

    monkeypatch.setattr(lesson, "evaluate", score)
    arm = lesson.Arm(flat, [1.0] * 4, 0.5, 0.75, np.array([0.1, 0.55]))
    cfg = lesson.Config(sweep_images=9)
    parts = lesson.accuracy_by_part(arm, 1, 16, data, cfg)
    assert [round(parts[p], 6) for p in lesson.PARTS] == [5, 10, 5]


def test_section_4_counts_the_spikes_that_should_not_be(
    vgg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flat = lesson.fold(vgg)
    data = marked_splits((3, 32, 32))
    data.x_val = (255 * images(6, seed=5)).to(torch.uint8)
    theta = [v / 4 for v in lesson.thresholds(flat, data.x_val.float() / 255, 99.9)]
    names = (lesson.NONE, lesson.MAX, lesson.MOST, lesson.CHARGED, lesson.TRAINED)
    names += (lesson.NONE_CHARGED, lesson.MAX_CHARGED)
    arms = {
        n: lesson.Arm(flat, theta, 0.5 * (i == 3), 0.8, np.zeros(5)) for i, n in enumerate(names)
    }
    times = [1, 2, 4, 8, 16]
    found = answers([0] * 5, data.x_test, times)
    given_results(
        monkeypatch, lesson.Balanced(arms, times, 4, lesson.MAX, found, np.zeros(5), 0.8, data)
    )
    parts = {
        lesson.NONE: (12.0, 2.0, 1.0),
        lesson.MAX: (0.0, 15.0, 20.0),
        lesson.MOST: (1.0, 3.0, 7.0),
        lesson.CHARGED: (1.0, -0.5, 2.0),
        lesson.MAX_CHARGED: (0.0, 1.0, 40.0),
    }

    def by_part(arm, k, num_steps, data, cfg):
        (name,) = [n for n, a in arms.items() if a is arm]
        assert k == 4 and num_steps == 16
        return dict(zip(lesson.PARTS, parts.get(name, (0.0, 0.0, 0.0)), strict=True))

    monkeypatch.setattr(lesson, "accuracy_by_part", by_part)
    run = run_section(lesson.section_errors, tmp_path)
    assert run.value("clip_none") == 12 and run.value("stairs_max") == 15
    assert run.value("uneven_percentile") == 7 and run.value("uneven_charge") == 2
    assert run.value("uneven_max_charge") == 40
    text = run.findings[0]["text"]
    assert "quantisation from 3.0 to −0.5 points, unevenness from 7.0 to 2.0 points. Max" in text
    assert "quantisation from 15.0 to 1.0 points, unevenness from 20.0 to 40.0 points." in text
    # once more, by hand: the last layer's currents and spikes, neuron by neuron
    for charge, id in ((0.0, "burst_empty"), (0.5, "burst")):
        spiking = lesson.convert(flat, theta, charge)
        steps = [seen[-1] for _, seen in watching.steps(spiking, data.x_val.float() / 255, 16)]
        got = torch.stack([cur for cur, _ in steps]).sum(0) <= 0
        wrong = [((out > 0) & got).sum().item() for _, out in steps]
        every = sum((out > 0).sum().item() for _, out in steps)
        assert run.value(id) == pytest.approx(sum(wrong[:4]) / max(1, sum(wrong)))
    assert sum(wrong[:4]) > 2 * sum(wrong[4:]), "a burst"
    assert run.value("wrong_share") == pytest.approx(sum(wrong) / every)


@torch.no_grad()
def test_the_arms_differ_in_one_choice_at_a_time(vgg) -> None:
    """Pairs of one threshold: the same θ and weights, V[0] = 0 and θ/2."""
    flat, x = lesson.fold(vgg), images(3)
    clipped = lesson.swap_activations(flat, [lesson.Clipped(v, 8) for v in (1.0, 2.0, 3.0, 4.0)])
    trained = lesson.Trained(vgg, flat, 0.5, None)
    arms = lesson.make_arms(trained, clipped, x)
    for name in (lesson.NONE, lesson.MAX, lesson.MOST):
        empty, charged = arms[name], arms[name + lesson.HALF]
        assert empty.thresholds == charged.thresholds and empty.ann is charged.ann is flat
        assert (empty.charge, charged.charge) == (0.0, 0.5)
    assert arms[lesson.MAX].thresholds == lesson.thresholds(flat, x, 100)
    assert arms[lesson.TRAINED].thresholds == [1, 2, 3, 4] and arms[lesson.TRAINED].charge == 0.5
    assert list(arms) == list(lesson.SHORT) and len({arm.id for arm in arms.values()}) == 7


def test_tenths_have_a_minus_and_no_negative_zero() -> None:
    texts = [lesson.tenths(value) for value in (-0.04, -0.06, 2.55, np.float32(-15.9))]
    assert texts == ["0.0", "−0.1", "2.5", "−15.9"] and lesson.tenths(2.5, "+") == "+2.5"


def test_each_arm_is_tuned_on_validation_at_the_steps_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = marked_splits()
    right = {(1e-3, 4): 2, (3e-3, 4): 1, (1e-2, 4): 9, (3e-2, 4): 8, (1e-2, 8): 10}

    def train(lr, value, seed, few, cfg, run):
        assert few is data and seed == cfg.seed
        return SimpleNamespace(spiking=right[lr, value])

    def fake(net, x, times, name=""):
        assert split_of(x) == "val" and times == [4]
        classes = torch.tensor([1] * net + [0] * (len(x) - net))
        return Shown(times, torch.eye(10)[classes][None], np.zeros(1), np.zeros(1))

    monkeypatch.setattr(lesson, "simulate", fake)
    cfg = lesson.Config(device="cpu", smoke=True, out_dir=tmp_path)
    run = begin(cfg, "test")
    assert lesson.tuned(train, (4, 8), "x", data, cfg, run) == (1e-2, 8)
    right[1e-2, 8] = 2
    assert lesson.tuned(train, (4, 8), "x", data, cfg, run) == (1e-2, 4)


def test_both_arms_get_the_same_budget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Passes times steps are the budget in both; the converted one's two trainings add up."""
    data, asked = marked_splits(), []

    def fake(net, data, encode, *, epochs, lr, seed, **options):
        T = len(encode(torch.zeros(1, 1, 28, 28)))
        asked.append((T * epochs, lr, seed))
        return [{"seconds": 5.0}, {"seconds": 7.0}]

    monkeypatch.setattr(lesson, "fit", fake)
    cfg = lesson.Config(device="cpu", smoke=True, out_dir=tmp_path, budget=12)
    run = begin(cfg, "test")
    one = lesson.train_then_convert(3e-3, 4, 9, data, cfg, run)
    assert asked == [(9, 3e-3, 9), (3, 1e-3, 9)] and one.seconds == 14
    clipped = [m for m in one.ann.modules() if isinstance(m, lesson.Clipped)]
    assert {c.levels for c in clipped} == {4}
    neurons = [m for m in one.spiking.modules() if isinstance(m, lesson.IntegrateAndFire)]
    assert [(n.threshold, n.charge) for n in neurons] == [(c.lam.item(), 0.5) for c in clipped]
    asked.clear()
    two = lesson.train_directly(1e-2, 0.5, 9, data, cfg, run)
    assert asked == [(12, 1e-2, 9)] and two.ann is None and two.seconds == 7
    leaks = {m.beta.item() for m in two.spiking.modules() if isinstance(m, snn.Leaky)}
    assert leaks == {0.5}


def test_over_time_equals_stepping() -> None:
    torch.manual_seed(0)
    net = make_small(lambda: snn.Leaky(beta=0.5, init_hidden=True)).eval()
    x = images(2, 1, 28)
    with torch.no_grad():
        out, _ = lesson.OverTime(net).run(constant_current(x, 4))
        stepped = torch.stack([o for o, _ in watching.steps(net, x, 4)])
    assert torch.allclose(out, stepped, atol=1e-4)


def test_section_5_is_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two fake arms: the converted one's answers and operations are known, and so is its ANN's cost."""
    data = marked_splits()
    given_results(monkeypatch, data=data)
    monkeypatch.setattr(lesson, "tuned", lambda *args: (1e-3, 4))
    ann = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(26 * 26, 10))
    trained = []

    def train(kind, seconds):
        def work(lr, value, seed, few, cfg, run):
            assert len(few.x_train) == 5 and (lr, value) == (1e-3, 4)
            trained.append((kind, seed))
            return lesson.Tried((kind, seed), ann, [1.0], seconds)

        return work

    monkeypatch.setattr(lesson, "train_then_convert", train("converted", 10.0))
    monkeypatch.setattr(lesson, "train_directly", train("direct", 12.0))

    def fake(net, x, times, name=""):
        assert x is data.x_test and times == [1, 2, 4, 8]
        kind, seed = net
        late = 2 if kind == "converted" or seed == 2 else 3  # 75 %, or 25 %
        shown = answers([0, 0, late, 0], x, times)
        shown.synops = np.array(times) * 1000.0
        return shown

    monkeypatch.setattr(lesson, "simulate", fake)
    macs = {"first": 100.0, "ann": [900.0, 1100.0]}  # of the two seeds
    monkeypatch.setattr(lesson, "first_layer_macs", lambda net, x: macs["first"])
    counted = []

    def count(net, x, skip_zeros=False):
        assert skip_zeros, "zeros are free on both sides"
        counted.append(net)
        return macs["ann"][(len(counted) - 1) % 2]

    monkeypatch.setattr(lesson, "ann_macs", count)
    monkeypatch.setattr(lesson, "evaluate", lambda net, x, y, encode: 0.8)
    run = run_section(lesson.section_budget, tmp_path, num_steps=8, pair_images=5, seeds=2)
    assert trained == [(kind, seed) for kind in ("converted", "direct") for seed in (1, 2)]
    assert run.value("converted") == 0.75 and run.value("direct") == 0.5
    assert run.value("gap") == pytest.approx(25) and run.value("cost") == pytest.approx(1.2)
    # (1000 − 100)·4.6 pJ pay for so many steps of 1000 additions at 0.9 pJ; with 8 bits 0.3 and 0.1
    assert run.value("break_even") == pytest.approx(900 * 4.6 / 900)
    assert run.value("break_even_8") == pytest.approx(900 * 0.3 / 100)
    text = run.findings[-1]["text"]
    assert "not told apart" in text, "±318 points with two seeds"
    assert (
        "T = 4.6 (4.1 to 5.1 over 2 seeds), with" in text and "T = 2.7 (2.4 to 3.0 over 2" in text
    )
    assert (
        "direct training took 1.2 times as long" in text and "4 passes × steps of 5 images" in text
    )


def test_the_interval_is_welchs() -> None:
    """(s₁²/n + s₂²/n), its degrees of freedom by Welch and Satterthwaite."""
    a, b = np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.5, 9.0])
    gap, half = lesson.difference(a, b)
    va, vb = a.var(ddof=1) / 3, b.var(ddof=1) / 3
    freedom = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 2)
    assert gap == pytest.approx(-4.5)
    assert half == pytest.approx(student_t.ppf(0.975, freedom) * math.sqrt(va + vb))
    assert lesson.difference(np.ones(2), np.ones(2)) == (0, 0)
    verdicts = [lesson.judge(*pair) for pair in ((2, 1), (-2, 1), (1, 2))]
    assert verdicts == ["conversion is ahead", "direct training is ahead", "not told apart"]


def test_the_table_counts_both_sides_alike(
    vgg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """4.6 pJ a MAC, 0.9 pJ an addition; a black image costs a first layer nothing."""
    data = marked_splits((3, 32, 32))
    flat = lesson.fold(vgg)
    arm = lesson.Arm(flat, [1.0] * 4, 0.0)
    found = answers([0, 0], data.x_test, [4, 8])
    given = lesson.Balanced({"a": arm}, [4, 8], 0, "a", found, np.array([0.5, 0.6]), 0.7, data)
    monkeypatch.setattr(lesson, "row_of_lesson_10", lambda: ["lesson 10"])
    run = begin(lesson.Config(device="cpu", smoke=True, out_dir=tmp_path), "test")
    rows = lesson.cifar_rows(given, run)
    assert [row[1] for row in rows[:3]] == ["70.0", "50.0", "60.0"] and rows[3] == ["lesson 10"]
    said = lesson.said_of_cifar(
        [
            ["VGG, the ANN behind it", "80.0", "0", "2", "1.00"],
            ["VGG, converted, T = 1", "40.0", "1", "1", "0.30"],
            ["VGG, converted, T = 8", "77.0", "7", "1", "0.90"],
            ["VGG, converted, T = 32", "79.5", "27", "1", "2.60"],
        ]
    )
    assert "77.0 % for 0.90 times its energy at T = 8" in said and "80.0 % right" in said
    assert said.endswith("79.5 % for 2.60 times its energy at T = 32.")
    x = data.x_test[:4].float() / 255
    first = sum(
        F.conv2d((x != 0).float(), torch.ones_like(flat[0].weight), None, 2, 2)[0].flatten()
    ).item()
    ledger = run.ledger_rows[2]
    assert ledger["num_steps"] == 8 and ledger["synops"] == 8000 and ledger["accuracy"] == 0.6
    assert ledger["macs"] == pytest.approx(first)
    assert ledger["energy_estimated_nj"] == pytest.approx((8000 * 0.9 + first * 4.6) / 1000)
    assert run.ledger_rows[0]["macs"] == ledger["ann_macs_nonzero"] < ledger["ann_macs"]


def test_lesson_10s_row_is_its_committed_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(published, "ROOT", tmp_path)
    assert published.row_of_lesson_10() is None
    folder = tmp_path / "docs" / "results"
    folder.mkdir(parents=True)
    other = '{"accuracy": 0.5, "num_steps": 9, "synops": 1, "macs": 1}'
    row = '{"accuracy": 0.851, "num_steps": 2, "synops": 2.0e7, "macs": 1.8e6}'
    claims = '[{"id": "tested", "value": 0.1}, {"id": "accuracy", "value": 0.851}]'
    text = f'{{"claims": {claims}, "ledger": [{other}, {row}]}}'
    (folder / "10_convolutional_snn.json").write_text(text)
    assert published.row_of_lesson_10() == ["lesson 10, direct, T = 2", "85.1", "20", "1.8", "–"]
    for text in ("", "[]", "null", '{"claims": null}', '{"claims": ["a"], "ledger": []}'):
        (folder / "10_convolutional_snn.json").write_text(text)
        assert published.row_of_lesson_10() is None, "a table without this row, not a traceback"


# -------------------------------------------------------------------- Akida, without TensorFlow


class Grows:
    """As if a Keras model were trained: each pass brings the next of some accuracies."""

    def __init__(self, accuracies: list[float]) -> None:
        self.accuracies, self.at = accuracies, 0
        self.optimizer = SimpleNamespace(learning_rate=Rate(1.0))

    def compile(self, optimizer, loss) -> None:
        pass

    def fit(self, x, y, **options) -> None:
        assert options["epochs"] == 1 and x.max() == 0, "black: training images"
        self.at += 1

    def get_weights(self) -> int:
        return self.at

    def set_weights(self, at: int) -> None:
        self.at = at


class Rate(float):
    def assign(self, value: float) -> None:
        Rate.last = float(value)


def test_a_training_ends_when_it_no_longer_improves(monkeypatch: pytest.MonkeyPatch) -> None:
    import akd1000.sequential as module

    keras = SimpleNamespace(
        losses=SimpleNamespace(SparseCategoricalCrossentropy=lambda **_: None),
        optimizers=SimpleNamespace(Adam=lambda lr: None),
    )
    monkeypatch.setattr(module.packages, "keras", lambda: keras)
    data = marked_splits()

    def outputs(model, x):
        assert x.max() == 128, "grey: validation images"
        right = round(model.accuracies[model.at] * len(x))
        return np.eye(10)[[1] * right + [0] * (len(x) - right)]

    monkeypatch.setattr(module, "keras_outputs", outputs)
    train, val = (data.x_train, data.y_train), (data.x_val, data.y_val)
    model = Grows([0.25, 0.5, 0.5, 0.75, 0.5, 0.75, 0.5, 1.0])
    found = train_until_it_stops(model, train, val, say=lambda text: None)
    assert found == [0.25, 0.5, 0.5, 0.75, 0.5, 0.75, 0.5], "three passes without a new best"
    assert model.at == 3, "the best weights are kept, of equal ones the first"
    assert len(train_until_it_stops(Grows([0.0] * 9), train, val, most=2, say=str)) == 3
    assert Rate.last == 0.5


def test_section_6_is_scored_on_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rounded networks say 2 (75 %) before and 3 (25 %) after; the float one is better after."""
    data = marked_splits()
    net = lesson.fold(make_small(nn.ReLU).eval())
    given_results(monkeypatch, lesson.Compared(net, [1.0] * 4, data))
    keras = SimpleNamespace(utils=SimpleNamespace(set_random_seed=lambda seed: None))
    monkeypatch.setattr(lesson.packages, "keras", lambda: keras)
    trained = []

    def train(model, train, val, most, say):
        assert train[0] is data.x_train and split_of(val[0]) == "val"
        trained.append(model)
        return [0.1, 0.3, 0.2]

    def says(answer, x):
        assert x.min() == 255, "white: test images"
        return np.eye(10)[[answer] * len(x)]

    mapping = SimpleNamespace(
        nps_used=31, nps_total=78, fallbacks={"a": "why"}, draw=lambda ax: None
    )
    for name, value in {
        "keras_twin": lambda net, shape: "twin",
        "quantize_and_convert": lambda twin, some, **bits: (bits["weight_bits"], 2),
        "convert_quantised": lambda rounded, twin, bits: 3 if rounded == 2 else 2,
        "akida_outputs": says,
        "keras_outputs": lambda model, x: says(2 if "twin" in trained else 3, x),
        "train_until_it_stops": train,
        "map_on_akd1000": lambda model: mapping,
    }.items():
        monkeypatch.setattr(lesson, name, value)
    run = run_section(lesson.section_akida, tmp_path, smoke=False)
    assert trained == [4, 2, "twin"]
    assert run.value("akida_822") == 0.25 and run.value("before_822") == 0.75
    assert run.value("akida_844") == 0.75 and run.value("akida_float") == 0.75
    assert run.value("drop_822") == pytest.approx(50) and run.value("akida_software") == 1


def test_without_akida_the_section_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given_results(monkeypatch, lesson.Compared(nn.Sequential(), [], marked_splits()))

    def missing(*args):
        raise UserError("Akida: the package 'tensorflow' is missing; install it")

    monkeypatch.setattr(lesson.packages, "keras", missing)
    run = run_section(lesson.section_akida, tmp_path)
    assert run.claims == [] and "'tensorflow' is missing" in run.extra["note"]


def test_the_keras_twin_is_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, padding and read-out: TensorFlow's convolution, written in PyTorch, gives its logits."""
    built: list = []

    class Tensorish:
        def __init__(self, shape):
            self.shape = shape

    def conv(width, kernel, stride, padding, name):
        assert padding == "same"

        def call(x):
            built.append(stride[0])
            _, h, w, _ = x.shape
            return Tensorish((None, -(-h // stride[0]), -(-w // stride[1]), width))

        return call

    same = lambda *args, **options: lambda x: x  # noqa: E731
    layers = SimpleNamespace(
        Input=lambda shape, dtype: Tensorish((None, *shape)),
        Rescaling=same,
        Conv2D=conv,
        ReLU=same,
        Dense=same,
        Flatten=same,
    )
    kept = SimpleNamespace(set_weights=lambda weights: setattr(kept, "weights", weights))
    import akd1000.sequential as module

    keras = SimpleNamespace(layers=layers, Model=lambda image, out: kept)
    monkeypatch.setattr(module.packages, "keras", lambda: keras)
    torch.manual_seed(0)
    net = lesson.fold(like_trained(make_small(nn.ReLU)))
    assert keras_twin(net, (28, 28, 1)) is kept and built == [2, 1, 2, 1]
    x = torch.rand(3, 1, 28, 28)
    z = x.flip(2, 3)
    for i, stride in enumerate(built):
        weight, bias = (
            torch.from_numpy(np.ascontiguousarray(w)) for w in kept.weights[2 * i : 2 * i + 2]
        )
        kernel = weight.shape[0]
        total = (-(-z.shape[2] // stride) - 1) * stride + kernel - z.shape[2]
        pad = (total // 2, total - total // 2)  # TensorFlow: the odd pixel comes last
        z = F.conv2d(F.pad(z, pad + pad), weight.permute(3, 2, 0, 1), bias, stride).relu()
    weight, bias = (torch.from_numpy(np.ascontiguousarray(w)) for w in kept.weights[-2:])
    out = z.permute(0, 2, 3, 1).flatten(1) @ weight + bias
    with torch.no_grad():
        assert torch.allclose(out, net(x), atol=1e-4)
