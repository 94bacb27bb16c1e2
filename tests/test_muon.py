"""Muon: turned gradients, a momentum, rates of its own; everything else by AdamW."""

from __future__ import annotations

from training.muon import MuonAdamW, muon_for_convolutions, orthogonalised, up_and_down

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16)])
def test_all_directions_become_about_equally_long(shape: tuple[int, int]) -> None:
    """The singular vectors stay, the singular values come near 1: against a decomposition."""
    g = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    u, _, vt = torch.linalg.svd(g, full_matrices=False)
    turned = orthogonalised(g, steps=6, number=torch.float64)
    values = torch.diagonal(u.T @ turned @ vt.T)
    assert torch.allclose(u @ torch.diag(values) @ vt, turned, atol=1e-6)
    assert values.min() > 0.5 and values.max() < 1.3


def test_one_update_by_hand() -> None:
    weight = nn.Parameter(torch.randn(4, 2, 3, 3))
    bias = nn.Parameter(torch.zeros(3))
    before, g = weight.detach().clone(), torch.randn(4, 2, 3, 3)
    groups = [{"params": [weight], "lr": 0.1, "muon": True}, {"params": [bias], "lr": 0.01}]
    optimizer = MuonAdamW(groups, momentum=0.6)
    weight.grad, bias.grad = g.clone(), torch.tensor([1.0, -2.0, 0.5])
    optimizer.step()
    unit = before * 2 / before.norm()  # four filters of length 1 on average
    turned = orthogonalised((1.6 * g).flatten(1)).view_as(g)
    assert torch.allclose(weight, unit - 0.1 * turned, atol=1e-6)
    assert torch.allclose(bias, torch.tensor([-0.01, 0.01, -0.01]), atol=1e-6)
    weight.grad, bias.grad = g.clone(), None
    at = weight.detach().clone()
    optimizer.step()
    unit = at * 2 / at.norm()
    turned = orthogonalised((g + 0.6 * 1.6 * g).flatten(1)).view_as(g)
    assert torch.allclose(weight, unit - 0.1 * turned, atol=1e-6)


def test_every_parameter_has_one_rate_and_the_state_survives() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    optimizer = muon_for_convolutions(net, lr=0.2, rest=0.003)
    mine = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(mine) == sorted(id(p) for p in net.parameters())
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.003]
    net(torch.randn(2, 3, 4, 4)).sum().backward()
    optimizer.step()
    again = muon_for_convolutions(net, lr=0.2, rest=0.003)
    again.load_state_dict(optimizer.state_dict())
    weight = net[0].weight
    assert torch.equal(again.state[weight]["average"], optimizer.state[weight]["average"])


def test_the_rate_rises_and_falls_in_straight_lines() -> None:
    found = [up_and_down(p) for p in (0, 0.05, 0.1, 0.55, 1)]
    assert found == pytest.approx([0, 0.5, 1, 0.5, 0])
