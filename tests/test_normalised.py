"""BatchNorm and Leaky neurons as one function: the numbers of the two apart, in every type, mode and layout."""

from __future__ import annotations

import copy

from common.spiking import hold, over_time
from multistep import fast_number, saved_for_backward, unroll, unroll_normalised
from multistep import normalised as module

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn


def apart(norm: nn.BatchNorm2d, neuron: snn.Leaky, cur: Tensor) -> Tensor:
    """The two, one after the other, in float32."""
    drive = hold(cur.held.float(), len(cur)) if hasattr(cur, "held") else cur.float()
    return unroll(neuron, over_time(norm, drive))[0].to(cur.dtype)


def all_numbers(way, norm: nn.BatchNorm2d, neuron: snn.Leaky, x: Tensor, T: int) -> list[Tensor]:
    """Spikes, gradients and running statistics; ``x`` is one step, or all of them if ``T`` is 0."""
    norm, x = copy.deepcopy(norm), x.clone().requires_grad_()
    spk = way(norm, neuron, hold(x, T) if T else x)
    asked = torch.randn(spk.shape, generator=torch.Generator().manual_seed(1)).to(spk.dtype)
    (spk * asked).sum().backward()
    found = [spk, x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var]
    return [v.detach().float() for v in found]


def a_norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    nn.init.normal_(norm.weight, 1, 0.3)
    nn.init.normal_(norm.bias, 0.5, 0.3)
    norm.running_mean.normal_(3, 0.2)
    norm.running_var.fill_(4)
    return norm


@pytest.mark.parametrize("number", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("steps", "held"), [(1, 0), (3, 0), (0, 4), (0, 1)])
@pytest.mark.parametrize("grad", [surrogate.atan(2.0), surrogate.fast_sigmoid(5.0)])
def test_the_numbers_of_the_two_apart(number, training: bool, steps: int, held: int, grad) -> None:
    torch.manual_seed(steps + held)
    norm, neuron = a_norm(5).train(training), snn.Leaky(beta=0.7, threshold=0.8, spike_grad=grad)
    shape = (3, 5, 7, 4) if held else (steps, 3, 5, 7, 4)
    x = (2 * torch.randn(shape) + 3).to(number)
    fused = all_numbers(unroll_normalised, norm, neuron, x, held)
    plain = all_numbers(apart, norm, neuron, x, held)
    assert 0.05 < fused[0].mean() < 0.95
    coarse = 1e-2 if number == torch.bfloat16 else 1e-5  # the gradient has the type of x
    for i, (a, b) in enumerate(zip(fused, plain, strict=True)):
        tolerance = coarse if i == 1 else 1e-5
        assert (a - b).abs().max() <= tolerance * b.abs().max().clamp(min=1), i


def test_what_the_loops_do_not_know_goes_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    norm, x = a_norm(4), torch.randn(2, 3, 4, 5, 5)
    plain = snn.Leaky(beta=0.5)
    assert module._fast(norm, plain, x) is not None
    others = [
        (norm, snn.Leaky(beta=0.5, reset_mechanism="zero"), x),
        (norm, snn.Leaky(beta=0.5, learn_beta=True), x),
        (norm, snn.Leaky(beta=0.5, spike_grad=surrogate.triangular()), x),
        (norm, snn.Leaky(beta=torch.full((4, 5, 5), 0.5)), x),
        (norm, snn.Leaky(beta=0.5, graded_spikes_factor=2.0), x),
        (nn.BatchNorm2d(4, affine=False), plain, x),
        (a_norm(4).double(), plain, x.double()),
    ]
    for norm_, neuron, cur in others:
        norm_ = copy.deepcopy(norm_)
        assert module._fast(norm_, neuron, cur) is None
        expected = unroll(neuron, over_time(copy.deepcopy(norm_), cur))[0]
        assert torch.equal(unroll_normalised(norm_, neuron, cur), expected)
    monkeypatch.setattr(module, "_loops", lambda: None)
    assert module._fast(a_norm(4), plain, x) is None


def test_any_layout_and_a_large_mean() -> None:
    """Channels last or first, and currents around 1,000, where squares would cancel."""
    norm, neuron = nn.BatchNorm2d(3), snn.Leaky(beta=0.5)
    x = torch.randn(2, 4, 3, 6, 6) + 1000
    last = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (2, 4))
    first = all_numbers(unroll_normalised, norm, neuron, x, 0)
    for a, b in zip(first, all_numbers(unroll_normalised, norm, neuron, last, 0), strict=True):
        assert torch.equal(a, b)
    exact = x.double().permute(2, 0, 1, 3, 4).flatten(1).var(1)
    assert torch.allclose(first[5], (0.9 + 0.1 * exact).float(), rtol=1e-5)


def test_the_sums_do_not_depend_on_the_number_of_threads() -> None:
    norm, neuron, x = a_norm(8), snn.Leaky(beta=0.5), torch.randn(2, 5, 8, 9, 9)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(all_numbers(unroll_normalised, norm, neuron, x, 0))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    ("channels", "places"), [(4, (2, 8, 8)), (16, (3, 4, 2)), (300, (1, 2, 3))]
)
def test_few_channels_and_many(channels: int, places: tuple[int, int, int]) -> None:
    """Short rows are joined to longer ones, as far as the number of places can be halved."""
    torch.manual_seed(2)
    batch, height, width = places
    x = torch.randn(2, batch, channels, height, width)
    norm, neuron = a_norm(channels), snn.Leaky(beta=0.5)
    fused = all_numbers(unroll_normalised, norm, neuron, x, 0)
    for a, b in zip(fused, all_numbers(apart, norm, neuron, x, 0), strict=True):
        assert torch.allclose(a, b, atol=1e-5, rtol=1e-4)


def test_only_the_current_is_kept() -> None:
    norm, neuron = nn.BatchNorm2d(8), snn.Leaky(beta=0.5)
    x = torch.randn(4, 2, 8, 16, 16, requires_grad=True)
    with saved_for_backward() as kept:
        spk = unroll_normalised(norm, neuron, x)
        assert kept() == pytest.approx(4 * x.numel(), rel=0.01)
    assert spk.requires_grad


def test_the_number_that_a_device_is_fast_with() -> None:
    assert fast_number(torch.device("cpu")) in (torch.float32, torch.bfloat16)
    assert fast_number(torch.device("meta")) == torch.float32
