"""Lesson 16: folding, integrate-and-fire against its formula, balancing, the split of the error, and Akida's cut."""

from __future__ import annotations

import copy
import os
from types import SimpleNamespace
from unittest.mock import MagicMock

from common.lesson import begin
from common.spiking import constant_current
from multistep import unroll

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from helpers import ROOT, load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits
from torch import nn

lesson = load_script("16_ann_to_snn")


def trained_like(name: str = "small", seed: int = 0):
    """A network whose BatchNorm has statistics and factors of its own, as after training."""
    torch.manual_seed(seed)
    net = lesson.VGG(name)
    for norm in net.norms:
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.3, 2)
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.normal_(0, 0.3)
    return net.eval()


@pytest.fixture(scope="module")
def plain():
    return lesson.fold(trained_like())


@pytest.fixture(scope="module")
def images():
    return torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("seed", [0, 1])
def test_batchnorm_is_folded_exactly(images: torch.Tensor, seed: int) -> None:
    net = trained_like(seed=seed)
    before = copy.deepcopy(net.state_dict())
    folded = lesson.fold(net)
    assert (folded(images) - net(images)).abs().max() <= 1e-5 * net(images).abs().max()
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items()), (
        "the original is left alone"
    )


@settings(max_examples=200, deadline=None)
@given(current=st.floats(-1.5, 2.5), T=st.integers(1, 40), charge=st.floats(0, 0.99))
def test_spikes_of_a_steady_current_are_the_floor(current: float, T: int, charge: float) -> None:
    """Equation (3), by snnTorch stepping its own neuron; exact ties are left to rounding."""
    exact = charge + T * current
    if any(abs(charge + t * current - k) < 1e-4 for t in range(1, T + 1) for k in range(1, T + 1)):
        return
    lif, mem, count = snn.Leaky(beta=1.0), torch.full((1,), charge), 0
    for _ in range(T):
        spk, mem = lif(torch.full((1,), current), mem)
        count += int(spk)
    assert count == min(max(int(exact // 1), 0), T)
    assert lesson.quantise(torch.tensor(current), T, charge).item() == pytest.approx(
        count / T, abs=1e-6
    )


def test_the_late_reset_changes_no_spike_without_leak() -> None:
    cur = 1.2 * torch.rand(60, 50, generator=torch.Generator().manual_seed(0)) - 0.2
    for beta, same in ((1.0, True), (0.8, False)):
        spk, _, _ = unroll(snn.Leaky(beta=beta), cur)
        v, at_once = torch.zeros(50), []
        for cur_t in cur:
            u = beta * v + cur_t
            at_once.append((u > 1).float())
            v = u - at_once[-1]
        assert torch.equal(spk, torch.stack(at_once)) is same


@torch.no_grad()
@settings(max_examples=10, deadline=None)
@given(lam=st.lists(st.floats(0.05, 20), min_size=4, max_size=4))
def test_balancing_leaves_the_anns_answer(lam: list[float]) -> None:
    net, x = (
        lesson.fold(trained_like()),
        torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(2)),
    )
    balanced = lesson.balance(net, lam)
    assert torch.equal(balanced(x).argmax(1), net(x).argmax(1))
    ours, theirs = lesson.activations(balanced, x)[0], lesson.activations(net, x)[0]
    for a, b, value in zip(ours, theirs, lam, strict=True):
        assert torch.allclose(a * value, b, atol=1e-4 * b.max().item())
    each = [
        value * torch.linspace(0.5, 2, conv.out_channels)
        for value, conv in zip(lam, net.convs, strict=True)
    ]
    assert torch.equal(lesson.balance(net, each)(x).argmax(1), net(x).argmax(1)), (
        "one λ a channel does it, too"
    )


@torch.no_grad()
def test_thresholds_are_percentiles(plain, images: torch.Tensor) -> None:
    found = lesson.activations(plain, images)[0]
    assert lesson.thresholds(plain, images, 100) == [a.max().item() for a in found]
    for a, value in zip(found, lesson.thresholds(plain, images, 90), strict=True):
        assert (a <= value).float().mean().item() == pytest.approx(0.9, abs=0.01)


def test_clipped_activation_is_the_steady_rate_and_learns_its_range() -> None:
    act, x = lesson.Clipped(2.0, 8), torch.linspace(-1, 4, 101)
    assert torch.allclose(act(x), 2.0 * lesson.quantise(x / 2.0, 8, 0.5), atol=1e-6)
    x = torch.tensor([-1.0, 1.1, 5.0], requires_grad=True)
    act(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 0], "straight through the stairs, nothing beyond them"
    stairs = round(1.1 / 2 * 8) / 8
    assert act.lam.grad.item() == pytest.approx((stairs - 0.55) + 1.0, abs=1e-5)


@torch.no_grad()
def test_step_by_step_equals_run_and_pieces_equal_the_whole(plain, images: torch.Tensor) -> None:
    net = lesson.SpikingVGG(
        lesson.balance(plain, lesson.thresholds(plain, images, 99)), charge=0.5
    ).eval()
    out = net.run(constant_current(images, 9))[1]
    for _ in range(2):  # the second time shows that reset forgets
        net.reset()
        assert torch.allclose(torch.stack([net(images) for _ in range(9)]), out, atol=1e-5)
    _, first, state = net.steps(constant_current(images, 4))
    _, second, _ = net.steps(constant_current(images, 5), state)
    assert torch.allclose(torch.cat([first, second]), out, atol=1e-5)
    x = (images * 255).to(torch.uint8)
    found = lesson.simulate(net, x, [1, 4, 9], batch=4)
    mean = net.run(constant_current(x.float() / 255, 9))[1].cumsum(0) / torch.arange(1, 10).view(
        -1, 1, 1
    )
    assert torch.allclose(found["logits"], mean[[0, 3, 8]], atol=1e-5)


@torch.no_grad()
def test_rates_go_to_the_activations(plain, images: torch.Tensor) -> None:
    """Equation (2): with nothing clipped, the logits come as close as the time allows."""
    net = lesson.SpikingVGG(
        lesson.balance(plain, lesson.thresholds(plain, images, 100)), charge=0.5
    ).eval()
    wrong = [
        (net.run(constant_current(images, T))[1].mean(0) - plain(images)).abs().max().item()
        for T in (4, 32, 256)
    ]
    assert wrong[0] > 2 * wrong[1] > 4 * wrong[2]


@torch.no_grad()
def test_errors_add_up_and_the_first_layer_is_even(plain, images: torch.Tensor) -> None:
    balanced, T, charge = lesson.balance(plain, lesson.thresholds(plain, images, 98)), 8, 0.5
    net = lesson.SpikingVGG(balanced, charge=charge).eval()
    wanted, _ = lesson.activations(balanced, images)
    spks, _, _ = net.steps(constant_current(images, T))
    before = images
    for i, (a, spk) in enumerate(zip(wanted, spks, strict=True)):
        rate, z = spk.mean(0), net.convs[i](before)
        parts = lesson.split_error(a, z, rate, T, charge)
        total = parts.pop("total")
        assert torch.allclose(sum(parts.values()), total, atol=1e-5) and torch.equal(
            total, rate - a
        )
        # z is the mean of the currents that came, since convolution and pooling are linear
        came = (
            torch.stack(
                [
                    net.convs[i](x)
                    for x in (
                        F.avg_pool2d(spks[i - 1].flatten(0, 1), 2).unflatten(0, (T, -1))
                        if net.pools[i - 1]
                        else spks[i - 1]
                    )
                ]
            ).mean(0)
            if i
            else z
        )
        assert torch.allclose(z, came, atol=1e-4)
        if i == 0:
            assert (parts["unevenness"].abs() > 1e-6).float().mean() < 1e-3
            assert parts["inherited"].abs().max() < 1e-5
        before = F.avg_pool2d(rate, 2) if net.pools[i] else rate
    assert parts["unevenness"].abs().max() > 0, "a deep layer's spikes do not come evenly"


@torch.no_grad()
def test_operations_of_a_network_that_always_fires(plain) -> None:
    """Every neuron fires at every step: spikes and accumulates are those of the shapes, counted by hand."""
    net = lesson.SpikingVGG(plain).eval()
    for conv in net.convs:
        conv.weight.zero_()
        conv.bias.fill_(2.0)
    found = lesson.simulate(net, torch.zeros(3, 3, 32, 32, dtype=torch.uint8), [2])
    neurons = [32 * 16**2, 64 * 8**2, 64 * 8**2, 128 * 4**2]
    assert found["spikes"][0].tolist() == [2 * n for n in neurons]
    reach = (9 * 64, 9 * 64, 9 * 128, 10)
    assert found["synops"][0].tolist() == [2 * n * f for n, f in zip(neurons, reach, strict=True)]


def test_vgg16_has_its_thirteen_convolutions() -> None:
    net = lesson.VGG("vgg16")
    assert len(net.convs) == 13 and sum(net.pools) == 5 and net.fc.in_features == 512
    assert net.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_committed_weights_fit_the_network() -> None:
    from common.io import load_weights

    path = ROOT / "checkpoints" / "cifar10_vgg.safetensors"
    if not path.is_file():
        pytest.skip("no committed weights")
    net = load_weights(lesson.fold(lesson.VGG()), path)
    assert path.stat().st_size < 1_000_000 and all(
        torch.isfinite(p).all() for p in net.parameters()
    )


def akida_or_skip():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from common.akida import akida_status

    if akida_status().state == "absent":
        pytest.skip(akida_status().reason)
    pytest.importorskip("tf_keras")


@torch.no_grad()
def test_the_keras_twin_is_the_network_with_max_pooling(plain, images: torch.Tensor) -> None:
    """Weights, padding and read-out moved exactly: the same logits as PyTorch with the one kind of pooling changed."""
    akida_or_skip()
    net = lesson.balance(
        plain, lesson.thresholds(plain, images, 95)
    )  # so that some activations are clipped
    x = (images * 255).round()
    twin = lesson.keras_twin(net)
    theirs = twin.predict(x.flip(2, 3).permute(0, 2, 3, 1).numpy().astype("uint8"), verbose=0)
    z = x / 255
    for i, (conv, pool) in enumerate(zip(net.convs, net.pools, strict=True)):
        z = conv(z).clamp(0, 1)
        if pool:
            z = (F.avg_pool2d if i == 3 else F.max_pool2d)(z, 2)
    assert (torch.from_numpy(theirs) - net.fc(z.flatten(1))).abs().max() <= 1e-4


def test_akida_cuts_mean_pooling_off_and_it_is_noticed(plain) -> None:
    akida_or_skip()
    from common.io import UserError

    x = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    mean = lesson.keras_twin(plain, "AveragePooling2D")
    _, cut = lesson.quantize_and_convert(mean, x, check=False)
    assert len(cut.layers) < 5 and tuple(cut.output_shape)[-1] != 10
    with pytest.raises(UserError, match="lost a part of the network"):
        lesson.check_complete(mean, cut)


# ---------------------------------------------------------------- what is published


class Says(nn.Module):
    """A network without state that always answers the same class, and checks how bright its images are."""

    def __init__(self, answer: int, grey: int) -> None:
        super().__init__()
        self.answer, self.grey = answer, grey
        self.fc = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert (x * 255).round().unique().tolist() == [self.grey], "other images than it should see"
        return torch.eye(10)[self.answer].expand(len(x), 10)


def test_losses_are_against_the_own_ann_on_validation_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    """The ANN says 0 (8 of 12 validation images); the SNN says 1 at T = 1 and T = 128, and 0 in between."""
    data = marked_splits((3, 32, 32))
    data.y_val = torch.tensor([0, 1, 0] * 4)

    def simulate(net, x, times, batch=50):
        assert x.unique().tolist() == [128]
        says = torch.tensor([int(t in (1, 128)) for t in times])
        return {"logits": torch.eye(10)[says][:, None].expand(-1, len(x), -1)}

    monkeypatch.setattr(lesson, "simulate", simulate)
    cfg = lesson.Config(num_steps=128, sweep_images=12, device="cpu", smoke=True, out_dir=tmp_path)
    arms = {"only": {"ann": Says(0, 128), "snn": None}}
    r = lesson.experiment_balancing(cfg, arms, data, begin(cfg, "test"))
    row = r["arms"]["only"]
    assert r["times"] == [1, 2, 4, 8, 16, 32, 64, 128] and r["k"] == 4
    assert row["ann"] == pytest.approx(2 / 3)
    assert row["accuracy"] == pytest.approx([1 / 3, *[2 / 3] * 6, 1 / 3])
    # T = 128 sees a quarter of the images only, 0, 1, 0: there the ANN has 2/3, too
    assert row["lost"] == pytest.approx([1 / 3, *[0.0] * 6, 1 / 3])


def test_energy_of_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """4.6 pJ a MAC of the ANN; of the SNN the first layer's, once, and 0.9 pJ an accumulate."""
    monkeypatch.setattr(lesson, "latency", lambda *_, **__: (1.0, 2.0))
    data = marked_splits((3, 32, 32))
    ann = lesson.costs("ANN", lesson.VGG().eval(), 0.7, 10_000_000, data)
    assert ann["energy_estimated_nj"] == pytest.approx(46_000) and ann["n"] == 40
    found = {
        "times": [1, 4],
        "spikes": np.array([[1.0], [50.0]]),
        "synops": np.array([[2.0], [2e6]]),
    }
    snn_row = lesson.costs("SNN", lesson.SpikingVGG(lesson.VGG()), 0.6, 10_000_000, data, found, 1)
    first = 32 * 16 * 16 * 3 * 25  # outputs times inputs of a window
    assert snn_row["num_steps"] == 4 and snn_row["spikes"] == 50 and snn_row["macs"] == first
    assert snn_row["energy_estimated_nj"] == pytest.approx((2e6 * 0.9 + first * 4.6) / 1000)


def test_trainings_are_scored_on_the_test_images(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    data = marked_splits((3, 32, 32))
    cfg = lesson.Config(device="cpu", smoke=True, out_dir=tmp_path)
    monkeypatch.setattr(lesson, "fit", lambda *_, **__: [])

    def score(net, x, y, encode):
        assert x is data.x_test and y is data.y_test
        return 0.6 if isinstance(net.acts[0], nn.ReLU) else 0.5

    monkeypatch.setattr(lesson, "evaluate", score)
    r = lesson.experiment_train(cfg, data, begin(cfg, "test"))
    assert r["test"] == {"plain": 0.6, "clipped": 0.5} and r["fold"] < 1e-5

    def simulate(net, x, times):
        assert x is data.x_test
        return {"logits": torch.eye(10)[3].expand(1, len(x), 10)}

    monkeypatch.setattr(lesson, "simulate", simulate)
    assert lesson.experiment_direct(cfg, data, begin(cfg, "test"))["accuracy"] == 0.25


def test_akida_is_scored_on_the_test_images(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Keras says 3 for a white (test) image, the chip 2; both say 0 for a black (training) one."""
    says = lambda k, x: np.eye(10)[k * (x.reshape(len(x), -1).max(1) > 200)]  # noqa: E731
    twin = SimpleNamespace(
        predict=lambda x, **_: says(3, x), compile=lambda *_: None, fit=lambda *_, **__: None
    )
    monkeypatch.setattr(lesson, "keras_twin", lambda *_: twin)
    for name, value in {
        "quantize_and_convert": lambda *_, **__: (None, None),
        "akida_outputs": lambda model, x: says(2, x),
        "map_on_akd1000": lambda *_: "mapping",
    }.items():
        monkeypatch.setattr(lesson, name, value)
    monkeypatch.setattr(lesson.packages, "keras", MagicMock)
    cfg = lesson.Config(device="cpu", smoke=True, out_dir=tmp_path, akida_images=10)
    plain = lesson.fold(lesson.VGG().eval())
    r = lesson.experiment_akida(cfg, plain, marked_splits((3, 32, 32)), begin(cfg, "test"))
    assert r["accuracy"] == {"float": 0.25, "8/4/4": 0.75} and r["n"] == 40


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_, **__: value)  # noqa: E731
    test = {"plain": 0.72, "clipped": 0.73}
    plain = Says(2, 255)
    set_(
        "experiment_train",
        {"plain": plain, "clipped": plain, "lam": [], "test": test, "fold": 1e-7},
    )
    names = ("none", "maximum", "percentile", lesson.CHARGED, "clipped")
    arms = {name: {"ann": Says(3, 255), "snn": None} for name in names}
    set_("make_arms", arms)
    times = [1, 2, 4, 8, 16, 32, 64, 128]
    swept = {
        name: {"lost": [0.01 * i + 0.001 * t for t in times], "accuracy": [0.5 - 0.01 * i] * 8}
        for i, name in enumerate(names)
    }
    sweep = {"times": times, "k": 4, "arms": swept, "best": "percentile", "n": 12, "n_long": 3}
    set_("experiment_balancing", sweep)
    whole = {name: {"both": 0.6 + 0.01 * i} for i, name in enumerate(names)}
    rates = {lesson.CHARGED: [(0.99, None, None), (0.9, None, None), (0.95, None, None)]}
    set_("experiment_errors", {"rates": rates, "num_steps": 16, "whole": whole})
    # up to T = 32 everything is called 3, at T = 64 a 2
    logits = torch.eye(10)[torch.tensor([3] * 6 + [2])][:, None].expand(-1, 40, -1)
    final = {"times": times[:7], "logits": logits}
    set_("simulate", final)
    set_("experiment_direct", {"net": None, "accuracy": 0.66})
    set_("ann_macs", 100)

    def costs(label, net, accuracy, macs, data, found=None, k=0):
        row = {"model": label, "data": "x", "accuracy": accuracy, "n": 40, "macs": macs}
        if found is None:
            return row | {"energy_estimated_nj": 8.0}
        return row | {
            "num_steps": (found.get("times") or [4])[k],
            "energy_estimated_nj": 2.0 * (k + 1),
        }

    monkeypatch.setattr(lesson, "costs", costs)
    mapping = SimpleNamespace(nps_used=31, fallbacks={"a": "why"})
    akida = {
        "accuracy": {"float": 0.7, "8/4/4": 0.65},
        "n": 9,
        "mapping": mapping,
        "cut": 3,
        "shape": (),
    }
    set_("experiment_akida", akida)
    run = run_main(
        lesson, tmp_path, monkeypatch, marked_splits((3, 32, 32)), smoke=False, sweep_images=12
    )
    value = run.value
    assert value("ann") == 0.72 and value("ann_clipped") == 0.73 and value("fold") == 1e-7
    assert value("lost_none") == pytest.approx(0.016) and value("lost_clipped") == pytest.approx(
        0.056
    )
    assert value("correlation") == 0.9, "the worst layer"
    assert value("uneven_charge") == pytest.approx(0.63 - 0.47)
    # a quarter of the test images are a 3, three quarters a 2; its ANN always says 3
    assert value("snn_16") == 0.25 and value("snn_64") == 0.75
    assert value("gap_16") == pytest.approx(0.73 - 0.25), "behind the better of the two ANNs"
    assert value("gap_64") == pytest.approx(-0.02)
    assert value("agree_16") == 1 and value("agree_64") == 0
    assert value("direct") == 0.66
    assert value("energy_4") == 6 / 8 and value("energy_64") == 14 / 8
    assert value("energy_direct") == 2 / 8
    assert value("akida_844") == 0.65 and value("akida_float") == 0.7
    assert value("akida_nps") == 31 and value("akida_software") == 1 and value("akida_cut") == 3
    assert [row["accuracy"] for row in run.ledger_rows] == [0.72, *[0.25] * 4, 0.75, 0.66]
