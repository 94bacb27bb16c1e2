"""Reset and layers over time."""

from __future__ import annotations

from common.spiking import (
    constant_current,
    over_time,
    reset_state,
    spiking_layers,
)

import pytest
import snntorch as snn
import torch
from nets import TinyNet
from torch import nn


@pytest.mark.parametrize(
    "make",
    [
        lambda: snn.Leaky(beta=0.9, init_hidden=True),
        lambda: snn.Synaptic(alpha=0.8, beta=0.9, init_hidden=True),
        lambda: snn.Alpha(alpha=0.8, beta=0.7, init_hidden=True),
        lambda: snn.RLeaky(beta=0.9, linear_features=6, init_hidden=True),
        lambda: snn.RSynaptic(alpha=0.8, beta=0.9, linear_features=6, init_hidden=True),
        lambda: snn.SLSTM(6, 6, init_hidden=True),
    ],
    ids=["Leaky", "Synaptic", "Alpha", "RLeaky", "RSynaptic", "SLSTM"],
)
def test_reset_reaches_nested_neurons_of_every_kind_and_no_other_network(make) -> None:
    torch.manual_seed(0)
    net, other = nn.Sequential(nn.Sequential(nn.Linear(4, 6), make())), TinyNet()
    x, y = torch.rand(3, 4), torch.rand(3, 8)
    first = net(x).clone() if torch.is_tensor(net(x)) else None
    reset_state(net)
    other(y)
    kept = other.lif1.mem.clone()
    outs = [net(x) for _ in range(4)]
    reset_state(net)
    again = [net(x) for _ in range(4)]
    for a, b in zip(outs, again, strict=True):
        assert torch.equal(a, b), "after a reset a network repeats itself"
    assert first is not None and torch.equal(other.lif1.mem, kept) and kept.abs().sum() > 0


def test_spiking_layers_by_name_in_order() -> None:
    net = nn.Sequential(
        nn.Linear(2, 2), snn.Leaky(beta=0.5), nn.Sequential(snn.Synaptic(alpha=0.5, beta=0.5))
    )
    assert list(spiking_layers(net)) == ["1", "2.0"]


@pytest.mark.parametrize("T", [1, 5])
def test_over_time_is_the_layer_at_each_step(T: int) -> None:
    torch.manual_seed(0)
    calls = 0

    class Counting(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            nonlocal calls
            calls += len(x)
            return super().forward(x)

    conv = Counting(2, 3, 3, padding=1)
    varying = torch.rand(T, 4, 2, 8, 8)
    expected = torch.stack([conv(x_t) for x_t in varying])
    assert torch.allclose(over_time(conv, varying), expected, atol=1e-6)
    held = constant_current(torch.rand(4, 2, 8, 8), T)
    calls = 0
    out = over_time(conv, held)
    assert out.shape == (T, 4, 3, 8, 8) and calls == 4, (
        "a constant input goes through the layer once"
    )
    assert torch.allclose(out[-1], conv(held[0]), atol=1e-6)


def test_over_time_gradient_of_a_constant_input_is_the_sum_over_time() -> None:
    torch.manual_seed(0)
    layer, weight = nn.Linear(3, 2), torch.randn(6, 4, 2)
    grads = []
    for copy in (False, True):
        x = torch.rand(4, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
        held = constant_current(x, 6)
        (over_time(layer, held.contiguous() if copy else held) * weight).sum().backward()
        grads.append(x.grad)
    assert torch.allclose(grads[0], grads[1], atol=1e-5)
