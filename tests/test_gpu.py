"""The Triton kernels against stepping: by Triton's interpreter on the CPU, and on a GPU where there is one.

Where Triton is missing (Windows, macOS) these tests are skipped; ``unroll`` takes PyTorch's operations there.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from types import ModuleType
from typing import Any

from common.io import ROOT
from common.spiking import hold
from multistep import gpu, gpu_recurrent, saved_for_backward, step_through, unroll, which_path

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from test_unroll import assert_same, make, start_of
from torch import Tensor

pytest.importorskip("triton", reason="Triton comes with PyTorch's Linux wheels only")

# the interpreter counts steps with NumPy arrays of one number
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")

PLACES = ["cuda"] if torch.cuda.is_available() else ["interpreter"]


@pytest.fixture(scope="module")
def interpreted() -> dict[str, ModuleType]:
    """The kernels as Python: Triton reads the variable when a kernel is defined, and when it is called."""
    found = {}
    with pytest.MonkeyPatch.context() as m:
        m.setenv("TRITON_INTERPRET", "1")
        for name in ("gpu_kernels", "gpu_recurrent_kernels"):
            path = ROOT / "multistep" / f"{name}.py"
            spec = importlib.util.spec_from_file_location(f"interpreted_{name}", path)
            found[name] = importlib.util.module_from_spec(spec)
            m.setitem(sys.modules, f"multistep.{name}", found[name])  # the second imports the first
            spec.loader.exec_module(found[name])
    return found


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """``"cpu"``, where layers now take the kernels too, or ``"cuda"``."""
    if request.param == "cuda":
        return "cuda"
    modules = request.getfixturevalue("interpreted")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(gpu, "kernels", lambda: modules["gpu_kernels"])
    monkeypatch.setattr(gpu, "takes", takes_on_a_cpu)
    monkeypatch.setattr(gpu_recurrent, "kernels", lambda: modules["gpu_recurrent_kernels"])
    monkeypatch.setattr(gpu_recurrent, "works", lambda device: True)
    return "cpu"


def takes_on_a_cpu(cur: Tensor, spike_grad: gpu.Surrogate) -> bool:
    return cur.dim() > 1 and cur.dtype == torch.float32 and spike_grad.kind is not None


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
def test_kernels_equal_stepping(
    place: str, kind: str, reset: str, vector: bool, recompute: bool
) -> None:
    """Spikes, membranes and states bit by bit, and every gradient; with and without a state, learnt β and θ."""
    spike_grad = [None, surrogate.fast_sigmoid(10), surrogate.sigmoid(2)][len(reset) % 3]
    neuron = make(kind, 5, vector=vector, learn=vector, spike_grad=spike_grad, reset=reset)
    if kind == "Synaptic":
        neuron.alpha.requires_grad_(False)  # to learn α is for the operations in place
    neuron = neuron.to(place)
    g = torch.Generator().manual_seed(1)
    cur = (0.3 + 0.5 * torch.randn(6, 3, 5, generator=g)).to(place)
    state = tuple(s.to(place) for s in start_of(kind, (3, 5), g)) if vector else None
    assert which_path(neuron, cur) == "one kernel"
    assert_same(neuron, cur, state, record_mem=not recompute, recompute=recompute)


def recurrent(n: int, **options: Any) -> snn.RLeaky:
    """With weights that are sixty-fourths: their sums are exact, whatever their order."""
    neuron, g = make("RLeaky", n, **options), torch.Generator().manual_seed(2)
    for p in neuron.recurrent.parameters():
        p.data = torch.randint(-40, 41, p.shape, generator=g) / 64
    return neuron


@pytest.mark.parametrize(
    ("reset", "vector", "held"),
    [
        ("subtract", False, False),
        ("subtract", True, True),
        ("zero", True, False),
        ("zero", False, True),
        ("none", True, False),
    ],
)
def test_the_recurrent_kernel_equals_stepping(
    place: str, reset: str, vector: bool, held: bool
) -> None:
    """More samples than one program takes, and a number of neurons that is no power of 2."""
    neuron = recurrent(19, vector=vector, learn=vector, reset=reset).to(place)
    g = torch.Generator().manual_seed(1)
    cur = (0.3 + 0.5 * torch.randn(5, 18, 19, generator=g)).to(place)
    state = tuple(s.to(place) for s in start_of("RLeaky", (18, 19), g)) if vector else None
    assert which_path(neuron, cur) == "one kernel"
    if not held:
        assert_same(neuron, cur, state, record_mem=vector, recompute=reset == "zero")
        return
    found = []
    for way in (
        lambda y: unroll(neuron, hold(y, 5)),
        lambda y: step_through(neuron, y.expand(5, 18, 19)),
    ):
        y = cur[0].clone().requires_grad_()
        neuron.zero_grad()
        spk, _, after = way(y)
        (spk.sum() + after[-1].sum()).backward()
        found.append([spk, *after, y.grad, *(p.grad for p in neuron.parameters())])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
def test_kernels_with_a_held_current(place: str, kind: str) -> None:
    """Recomputed, it keeps the one step that is shown, gets the gradient of the sum, and works over more than one program."""
    neuron = make(kind, 0).to(place)
    y = torch.rand(2, 3, 9, 5, generator=torch.Generator().manual_seed(0))
    y = y.to(place).requires_grad_()
    with saved_for_backward([y]) as kept:
        spk, _, after = unroll(neuron, hold(y, 7), recompute=True)
        assert kept() < 100
    weight = torch.rand(spk.shape, generator=torch.Generator().manual_seed(1)).to(place)
    ((spk * weight).sum() + after[-1].sum()).backward()
    found, y.grad = y.grad, None
    spk2, _, after2 = step_through(neuron, y.expand(7, *y.shape))
    ((spk2 * weight).sum() + after2[-1].sum()).backward()
    assert torch.equal(spk, spk2) and torch.equal(after[-1], after2[-1])
    torch.testing.assert_close(found, y.grad, rtol=1e-4, atol=1e-5)


def test_what_the_kernels_do_not_know_goes_in_place(place: str) -> None:
    cur = torch.rand(4, 2, 5, device=place)
    learns_alpha = make("Synaptic", 5, learn=True).to(place)
    assert which_path(learns_alpha, cur) == "in place"
    odd = snn.Leaky(beta=0.9, spike_grad=surrogate.triangular()).to(place)
    assert which_path(odd, cur) == "in place"
    assert which_path(snn.Leaky(beta=0.9).to(place), cur.double()) == "in place"
    wide = snn.RLeaky(beta=0.9, linear_features=200).to(place)
    assert which_path(wide, torch.rand(4, 2, 200, device=place)) == "in place"


def test_a_trial_finds_kernels_that_are_wrong(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the layer runs without them, and one warning says why."""
    assert gpu.trial(place) == "" and gpu_recurrent.trial(place) == ""
    device = torch.device(place)
    gpu.works.cache_clear()
    try:
        with monkeypatch.context() as m:
            m.setattr(gpu, "backward_flat", lambda *_, cur, **__: cur.zero_())
            with pytest.warns(UserWarning, match="gradients differ"):
                assert not gpu.works(device)
        gpu.works.cache_clear()
        with monkeypatch.context() as m:
            m.setattr(gpu, "forward_flat", lambda *_, **__: 1 / 0)
            with pytest.warns(UserWarning, match="ZeroDivisionError"):
                assert not gpu.works(device)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not gpu.works(device)  # said once
    finally:
        gpu.works.cache_clear()


def test_triton_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.kernels.cache_clear()
    monkeypatch.setenv("SNN_TRITON", "0")
    assert gpu.kernels() is None
    gpu.kernels.cache_clear()


def test_kernels_compile_without_a_gpu() -> None:
    """To the machine code of an H100 and of an MI300; products and sums are rounded apart, not fused."""
    worker = str(ROOT / "tests" / "triton_worker.py")
    done = subprocess.run([sys.executable, worker], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
    lines = done.stdout.split("\n")
    assert lines[:2] == ["ptx fused multiply-adds: 0", "amdgcn fused multiply-adds: 0"]
