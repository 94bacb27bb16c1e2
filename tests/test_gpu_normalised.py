"""BatchNorm and Leaky neurons by Triton kernels: the numbers of the two apart, by Triton's interpreter or on a GPU."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from common.io import ROOT
from common.spiking import hold
from multistep import gpu, gpu_normalised, norm_and_fire
from multistep import gpu_normalised_function as function

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

pytest.importorskip("triton", reason="Triton comes with PyTorch's Linux wheels only")

# the interpreter counts steps with NumPy arrays of one number
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")

PLACE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def interpreted() -> dict[str, ModuleType]:
    """The kernels as Python: Triton reads the variable when a kernel is defined, and when it is called."""
    found = {}
    with pytest.MonkeyPatch.context() as m:
        m.setenv("TRITON_INTERPRET", "1")
        for name in ("gpu_kernels", "gpu_normalised_kernels"):
            path = ROOT / "multistep" / f"{name}.py"
            spec = importlib.util.spec_from_file_location(f"interpreted_{name}", path)
            found[name] = importlib.util.module_from_spec(spec)
            m.setitem(sys.modules, f"multistep.{name}", found[name])  # the second imports the first
            spec.loader.exec_module(found[name])
    return found


@pytest.fixture
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels run here, compiled or as Python."""
    if PLACE == "cpu":
        modules = request.getfixturevalue("interpreted")
        monkeypatch.setenv("TRITON_INTERPRET", "1")
        monkeypatch.setattr(function, "kernels", lambda: modules["gpu_normalised_kernels"])


def all_numbers(way, T: int, held: bool, training: bool, number: torch.dtype) -> list[Tensor]:
    """Spikes, every gradient and the statistics, of 5 channels on more rows than one program takes."""
    g = torch.Generator().manual_seed(1)
    x = (2 * torch.randn(1 if held else T, 3, 7, 4, 5, generator=g) + 3).to(PLACE, number)
    x = x.permute(0, 1, 4, 2, 3).requires_grad_()  # channels last
    around = torch.randint(0, 3, (T, 3, 5, 7, 4), generator=g).to(PLACE, number).requires_grad_()
    norm = nn.BatchNorm2d(5)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(5, generator=g) + 0.5)
        norm.bias.copy_(torch.rand(5, generator=g))
        norm.running_mean.fill_(3)
        norm.running_var.fill_(4)
    norm = norm.to(PLACE).train(training)
    grad = surrogate.fast_sigmoid(5.0) if held else surrogate.atan(2.0)
    neuron = snn.Leaky(beta=0.7, threshold=0.8, spike_grad=grad).to(PLACE)
    spk = way(norm, neuron, hold(x[0], T) if held else x, around)
    (spk.float() * torch.randn(spk.shape, generator=g).to(PLACE)).sum().backward()
    found = [spk, x.grad, around.grad, norm.weight.grad, norm.bias.grad]
    found += [norm.running_mean, norm.running_var, norm.num_batches_tracked]
    return [v.detach().float() for v in found]


@pytest.mark.parametrize(
    ("T", "held", "training", "number"),
    [
        (1, False, True, torch.float32),
        (3, False, True, torch.float32),
        (2, False, False, torch.bfloat16),
        (3, True, True, torch.bfloat16),
        (2, True, False, torch.float32),
    ],
)
def test_the_numbers_of_the_two_apart(
    T: int,
    held: bool,
    training: bool,
    number: torch.dtype,
    kernels: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(function, "TILE", 64)  # several tiles a program, several programs
    monkeypatch.setattr(function, "PROGRAMS", 3)
    fused = all_numbers(gpu_normalised.by_kernels, T, held, training, number)
    plain = all_numbers(gpu_normalised.apart, T, held, training, number)
    for i, (a, b) in enumerate(zip(fused, plain, strict=True)):
        # the gradient of x has its type, and δ is rounded to it on the way
        tolerance = 2e-2 if i == 1 and number == torch.bfloat16 else 1e-5
        assert (a - b).abs().max() <= tolerance * b.abs().max().clamp(min=1), i


def test_the_trial_finds_a_fault(kernels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():  # as where a network is judged first
        assert gpu_normalised.trial(PLACE) == ""
    right = function._line_of_batch
    monkeypatch.setattr(function, "_line_of_batch", lambda *a: 1.05 * right(*a))
    assert "differ" in gpu_normalised.trial(PLACE)


def test_where_there_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the two run one after the other, and a surrogate that no kernel knows does not matter."""
    monkeypatch.setattr(gpu, "kernels", lambda: None)
    function.kernels.cache_clear()
    assert function.kernels() is None
    function.kernels.cache_clear()
    x = torch.randn(2, 3, 4, 5, 5)
    neuron = snn.Leaky(beta=0.5, spike_grad=surrogate.triangular())
    assert norm_and_fire(nn.BatchNorm2d(4), neuron, x).shape == x.shape
    with pytest.raises(ValueError, match="a surrogate that the kernels do not know"):
        gpu_normalised.recognised(neuron)
