"""Lesson 16: folding, integrate-and-fire against its formula, balancing, the split of the error, and Akida's cut."""

from __future__ import annotations

import copy
import os

from common.spiking import constant_current
from multistep import unroll

import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from helpers import ROOT, load_script
from hypothesis import given, settings
from hypothesis import strategies as st
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
    from akd1000 import backend as akida

    if akida.akida_status().state == "absent":
        pytest.skip(akida.akida_status().reason)
    pytest.importorskip("tf_keras")
    return akida


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
    akida = akida_or_skip()
    from common.io import UserError

    import numpy as np

    x = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    mean = lesson.keras_twin(plain, "AveragePooling2D")
    _, cut = akida.quantize_and_convert(mean, x, check=False)
    assert len(cut.layers) < 5 and tuple(cut.output_shape)[-1] != 10
    with pytest.raises(UserError, match="lost a part of the network"):
        akida.check_complete(mean, cut)
