"""Counts of operations against a count by hand; energy against the figures it cites."""

from __future__ import annotations

from common.claims import LEDGER
from common.cost import ann_macs, calls, estimated_energy_nj, latency, ledger_row, workload
from common.spiking import constant_current, over_time
from multistep import unroll

import pytest
import torch
from nets import TinyNet


def spike_input(T: int = 7, B: int = 5) -> torch.Tensor:
    return (torch.rand(T, B, 8, generator=torch.Generator().manual_seed(1)) < 0.4).float()


def test_neurobench_equals_the_count_by_hand() -> None:
    torch.manual_seed(0)
    net, x = TinyNet(), spike_input()
    spk1, _, _ = unroll(net.lif1, over_time(net.fc1, x) * 1.0)
    spk2, _ = net.run(x)
    assert spk1.sum() > 0
    w = workload(net, x)
    by_hand = (
        x.sum() * 12 + spk1.sum() * 3
    ).item() / 5  # each spike meets the weights of its fan-out
    assert w["acs"] == pytest.approx(by_hand, rel=1e-6) and w["macs"] == 0
    assert w["dense"] == 7 * (8 * 12 + 12 * 3)
    assert w["spikes"] == pytest.approx((spk1.sum() + spk2.sum()).item() / 5)
    ones = (spk1.sum() + spk2.sum()).item()
    assert w["activation_sparsity"] == pytest.approx(1 - ones / (7 * 5 * (12 + 3)), abs=1e-6)


def test_input_that_is_no_spike_train_costs_multiplications() -> None:
    net = TinyNet()
    x = constant_current(torch.full((4, 8), 0.3), 6)
    w = workload(net, x)
    assert w["macs"] == 6 * 8 * 12, "NeuroBench counts them at every step"
    row = ledger_row(net, x, model="m", data="d", accuracy=0.5, n=4)
    assert row["macs"] == 8 * 12, "a constant current is computed once"
    assert row["ann_macs"] == 8 * 12 + 12 * 3 and row["parameters"] == 8 * 12 + 12 + 12 * 3 + 3
    assert row["energy_estimated_nj"] == pytest.approx((row["synops"] * 0.9 + 96 * 4.6) / 1000)
    assert set(row) <= set(LEDGER) and 0 < row["latency_p50_ms"] <= row["latency_p95_ms"]


def test_counting_leaves_the_network_as_it_was() -> None:
    torch.manual_seed(0)
    net, x = TinyNet(), spike_input()
    net.train()
    before = net.run(x)[1]
    workload(net, x)
    ann_macs(net, x[0])
    assert torch.equal(net.run(x)[1], before) and net.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert not hasattr(net, "reset") and net.lif1.mem.abs().sum() == 0


def test_convolution_macs() -> None:
    conv = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, stride=2, padding=2),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 16, 4),
    )
    assert ann_macs(conv, torch.rand(2, 3, 8, 8)) == 8 * 16 * 3 * 25 + 8 * 16 * 4


def test_zeros_are_skipped_in_every_layer_of_an_ann() -> None:
    """Against a count connection by connection: an input that is zero costs nothing, padding neither."""
    torch.manual_seed(0)
    ann = torch.nn.Sequential(
        torch.nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(6 * 9, 5),
    )
    x = torch.relu(torch.randn(3, 4, 5, 6))
    with torch.no_grad():
        hidden = ann[:3](x)
    by_hand = 5 * (hidden != 0).sum().item()
    for _b, _c, i, j in x.nonzero().tolist():
        rows = [o for o in range(3) if 0 <= i - (2 * o - 1) < 3]
        columns = [o for o in range(3) if 0 <= j - (2 * o - 1) < 3]
        by_hand += len(rows) * len(columns) * 3  # output channels of its group
    assert ann_macs(ann, x, skip_zeros=True) == pytest.approx(by_hand / 3)
    assert 0 < by_hand / 3 < ann_macs(ann, x) == 6 * 9 * 2 * 9 + 54 * 5


def test_calls_can_be_repeated_while_they_are_listed() -> None:
    """Whoever calls a layer again does not hear himself: the count of zeros does so."""
    net, x = TinyNet(), spike_input()
    named = [name for name, *_ in calls(net, x)]
    assert named == ["fc1", "lif1", "fc2", "lif2"] * 7
    assert ann_macs(net, x[0], skip_zeros=True) <= ann_macs(net, x[0])


def test_energy_closed_form() -> None:
    assert estimated_energy_nj(1000, 0) == pytest.approx(0.9)
    assert estimated_energy_nj(0, 1000) == pytest.approx(4.6)
    assert estimated_energy_nj(1000, 1000, "int8") == pytest.approx(0.1 + 0.2 + 0.1)


def test_latency_is_in_milliseconds() -> None:
    import time

    p50, p95 = latency(lambda: time.sleep(0.002), "cpu", repeats=10)
    assert 2 <= p50 <= p95 < 50
