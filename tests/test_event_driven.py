"""multistep.over_events against over_time: the same currents to the last bits, the same spikes where sums are exact."""

from __future__ import annotations

import copy

from common.spiking import constant_current, over_time
from multistep import compiled, event_driven, over_events, rows_by_input, step_through, unroll

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

LOOPS = ["1", "0"]
"""``SNN_COMPILED``: the compiled loop, and embedding_bag"""


@pytest.fixture(autouse=True)
def _no_gradient():
    with torch.no_grad():
        yield


def layer(N: int, M: int, *, exact: bool = False, bias: bool = True) -> nn.Linear:
    """``exact``: weights are multiples of 1/1,024 below 1, whose sums have no rounding error in any order."""
    torch.manual_seed(N + M)
    fc = nn.Linear(N, M, bias=bias)
    if exact:
        for p in fc.parameters():
            p.copy_(torch.randint(-200, 400, p.shape) / 1024)
    return fc


def spikes(T: int, B: int, N: int, activity: float) -> Tensor:
    g = torch.Generator().manual_seed(T + N)
    return (torch.rand(T, B, N, generator=g) < activity).float()


def same_currents(fc: nn.Linear, x: Tensor) -> Tensor:
    """The currents, after a check: either way differs from float64 by no more than rounding N sums can."""
    truth = x.double() @ fc.weight.double().t()
    size = x.double().abs() @ fc.weight.double().abs().t()
    if fc.bias is not None:
        truth, size = truth + fc.bias, size + fc.bias.abs()
    cur = over_events(fc, x)
    assert cur.shape == truth.shape and cur.dtype == x.dtype
    bound = fc.in_features * torch.finfo(x.dtype).eps * size
    for way in (cur, over_time(fc, x)):
        assert ((way - truth).abs() <= bound).all()
    return cur


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("activity", [0.0, 0.02, 0.1, 0.5, 1.0])
@pytest.mark.parametrize(("T", "B", "N", "M"), [(1, 1, 1, 1), (7, 1, 30, 13), (25, 1, 100, 64)])
def test_the_currents(
    T: int, B: int, N: int, M: int, activity: float, loops: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No spike, few, and one at every input and step; several samples go, too, and a layer without a bias."""
    monkeypatch.setenv("SNN_COMPILED", loops)
    for bias in (True, False):
        fc = layer(N, M, bias=bias)
        cur = same_currents(fc, spikes(T, B, N, activity))
        same_currents(fc, spikes(T, 3, N, activity))
        if activity == 0:
            assert torch.equal(cur, (fc.bias if bias else torch.zeros(M)).expand_as(cur))


@pytest.mark.parametrize("loops", LOOPS)
def test_graded_spikes(loops: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNN_COMPILED", loops)
    x = spikes(20, 1, 60, 0.2)
    same_currents(layer(60, 33), x * torch.randn(x.shape))
    same_currents(layer(60, 33).double(), (x * torch.randn(x.shape)).double())


def test_the_compiled_loop_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is loaded, unroll's loops are, too: for one sample ``Leaky`` has little else to do."""
    monkeypatch.delenv("SNN_COMPILED", raising=False)
    if compiled.loaded("compiled_loops") is None:
        pytest.skip("numba is not installed")
    monkeypatch.setattr(event_driven, "by_embedding_bag", None)
    over_events(layer(5, 3), spikes(4, 1, 5, 0.5))
    assert compiled.loops.cache_info().currsize == 1


def test_in_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread has steps of its own, so not a bit depends on their number."""
    fc, x, before = layer(90, 40), spikes(31, 1, 90, 0.3), torch.get_num_threads()
    alone = over_events(fc, x)
    monkeypatch.setattr(event_driven, "SHARED_FROM", 1)
    try:
        torch.set_num_threads(2)
        assert torch.equal(over_events(fc, x), alone)
    finally:
        torch.set_num_threads(before)


def test_an_empty_input() -> None:
    for shape in ((0, 1, 6), (4, 0, 6)):
        assert over_events(layer(6, 5), torch.zeros(shape)).shape == (*shape[:2], 5)


def test_the_same_input_at_every_step() -> None:
    fc, x = layer(12, 9), spikes(1, 2, 12, 0.4)[0]
    cur = over_events(fc, constant_current(x, 8))
    assert cur.stride(0) == 0 and cur.held.shape == (2, 9)
    assert torch.equal(cur, over_events(fc, constant_current(x, 8).contiguous()))


def test_rows_by_input_changes_the_layout_alone() -> None:
    fc = layer(12, 9)
    before, held = copy.deepcopy(fc), fc.weight
    assert rows_by_input(fc) is fc and fc.weight is held
    assert torch.equal(fc.weight, before.weight) and fc.weight.t().is_contiguous()
    x = spikes(6, 1, 12, 0.4)
    assert torch.equal(over_events(fc, x), over_events(before, x))
    for later in (copy.deepcopy(fc), fc.double().float()):
        assert later.weight.t().is_contiguous()
    fc.load_state_dict({k: 2 * v for k, v in before.state_dict().items()})
    assert fc.weight.t().is_contiguous()
    assert torch.equal(over_events(fc, x), 2 * over_events(before, x)), "new weights count at once"


NEURONS = {
    "Leaky": lambda: snn.Leaky(beta=0.5, threshold=0.75),
    "one value a neuron, learnt": lambda: snn.Leaky(
        beta=torch.rand(40), threshold=0.5 + torch.rand(40), learn_beta=True, learn_threshold=True
    ),
    "reset to zero": lambda: snn.Leaky(beta=0.5, reset_mechanism="zero"),
    "no reset": lambda: snn.Leaky(beta=0.5, threshold=2.0, reset_mechanism="none"),
    "graded": lambda: snn.Leaky(beta=0.5, graded_spikes_factor=0.5),
    "Synaptic": lambda: snn.Synaptic(alpha=0.5, beta=0.5),
    "RLeaky": lambda: snn.RLeaky(beta=0.5, linear_features=40),
}


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("name", NEURONS)
def test_the_spikes(name: str, loops: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no order of the sums rounds, each spike, potential and state is the one of ``over_time``, and of stepping."""
    monkeypatch.setenv("SNN_COMPILED", loops)
    fc, x = layer(80, 40, exact=True), spikes(30, 1, 80, 0.08)
    torch.manual_seed(0)
    neuron = NEURONS[name]()
    ours = unroll(neuron, over_events(fc, x), record_mem=True)
    for way in (unroll, step_through):
        spk, mem, state = way(neuron, over_time(fc, x), record_mem=True)
        assert torch.equal(ours[0], spk) and torch.equal(ours[1], mem)
        assert all(map(torch.equal, ours[2], state))
    assert 0.05 < (spk > 0).float().mean() < 0.95


def test_the_state_goes_on() -> None:
    """A sequence in two halves is the whole one: what a stream of events needs."""
    fc, lif, x = layer(50, 20), snn.Leaky(beta=0.9, threshold=0.3), spikes(20, 1, 50, 0.1)
    whole, _, _ = unroll(lif, over_events(fc, x))
    first, _, state = unroll(lif, over_events(fc, x[:10]))
    second, _, _ = unroll(lif, over_events(fc, x[10:]), state)
    assert torch.equal(torch.cat([first, second]), whole) and whole.any()


@pytest.mark.parametrize(
    ("fc", "x", "expected"),
    [
        (nn.Linear(5, 3), torch.zeros(4, 5), r"got x of shape \(4, 5\), expected \(T, B, 5\)"),
        (
            nn.Linear(5, 3),
            torch.zeros(4, 1, 6),
            r"got x of shape \(4, 1, 6\), expected \(T, B, 5\)",
        ),
        (nn.Linear(5, 3), torch.zeros(4, 1, 5).double(), "got x of torch.float64 and weights of"),
        (nn.Linear(5, 3).half(), torch.zeros(4, 1, 5).half(), "expected both float32 or both"),
        (nn.Conv1d(5, 3, 1), torch.zeros(4, 1, 5), "got Conv1d, expected nn.Linear"),
    ],
)
def test_what_does_not_fit(fc: nn.Module, x: Tensor, expected: str) -> None:
    with pytest.raises(ValueError, match=f"over_events: .*{expected}"):
        over_events(fc, x)


def test_a_hook_would_not_be_called() -> None:
    fc = layer(5, 3)
    fc.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match="got Linear with hooks, expected nn.Linear without hooks"):
        over_events(fc, torch.zeros(4, 1, 5))


def test_a_gradient_is_refused() -> None:
    fc, x = layer(5, 3), torch.zeros(4, 1, 5)
    with torch.enable_grad():
        with pytest.raises(RuntimeError, match="under torch.no_grad.*train with over_time"):
            over_events(fc, x)
        fc.requires_grad_(False)
        over_events(fc, x)  # nothing learns
        with pytest.raises(RuntimeError, match="has no gradient"):
            over_events(fc, x.requires_grad_())
