"""Which neuron, option and type takes which path: the table of multistep/README.md, written by

    python tests/test_paths.py

and the page of reference code, held against snnTorch and against autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

from common.io import ROOT, write_atomic
from multistep import (
    compiled,
    gpu,
    gpu_recurrent,
    recursion,
    step_through,
    unroll,
    which_path,
)

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor

README = ROOT / "multistep" / "README.md"
BEGIN, END = "<!-- paths -->\n", "<!-- /paths -->"
H = 64
LARGE = 1 << 14
"""steps of the large layer: with H neurons and one sample just enough for the compiled loops"""


def hooked(neuron: snn.SpikingNeuron) -> snn.SpikingNeuron:
    neuron.register_forward_hook(lambda *_: None)
    return neuron


def inhibited(neuron: snn.SpikingNeuron) -> snn.SpikingNeuron:
    neuron.inhibition = True  # set afterwards: when asked for, snnTorch warns
    return neuron


class Learnt(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.slope * x)


Make = Callable[[], snn.SpikingNeuron]
CASES: dict[str, tuple[Make, torch.dtype]] = {
    "`Leaky`": (lambda: snn.Leaky(beta=0.9), torch.float32),
    "… β, θ learnt or one a neuron": (
        lambda: snn.Leaky(beta=torch.rand(H), threshold=torch.rand(H), learn_beta=True),
        torch.float32,
    ),
    "… reset to zero, or none": (
        lambda: snn.Leaky(beta=0.9, reset_mechanism="zero"),
        torch.float32,
    ),
    "… `fast_sigmoid`": (
        lambda: snn.Leaky(beta=0.9, spike_grad=surrogate.fast_sigmoid(5)),
        torch.float32,
    ),
    "… `sigmoid`": (lambda: snn.Leaky(beta=0.9, spike_grad=surrogate.sigmoid(5)), torch.float32),
    "… another surrogate": (
        lambda: snn.Leaky(beta=0.9, spike_grad=surrogate.triangular()),
        torch.float32,
    ),
    "… graded spikes": (lambda: snn.Leaky(beta=0.9, graded_spikes_factor=2.0), torch.float32),
    "… float64": (lambda: snn.Leaky(beta=0.9), torch.float64),
    "… float16 or bfloat16": (lambda: snn.Leaky(beta=0.9), torch.bfloat16),
    "`Synaptic`": (lambda: snn.Synaptic(alpha=0.8, beta=0.9), torch.float32),
    "… α learnt": (
        lambda: snn.Synaptic(alpha=0.8, beta=0.9, learn_alpha=True),
        torch.float32,
    ),
    "`RLeaky`, `RSynaptic`, one weight a neuron": (
        lambda: snn.RLeaky(beta=0.9, all_to_all=False, V=0.5),
        torch.float32,
    ),
    "`RLeaky`, all to all, up to 128 neurons": (
        lambda: snn.RLeaky(beta=0.9, linear_features=H),
        torch.float32,
    ),
    "`RSynaptic`, all to all; a wider `RLeaky`": (
        lambda: snn.RSynaptic(alpha=0.8, beta=0.9, linear_features=H),
        torch.float32,
    ),
    "… a convolution": (
        lambda: snn.RLeaky(beta=0.9, conv2d_channels=2, kernel_size=3),
        torch.float32,
    ),
    "`Alpha`, `Lapicque`, `SLSTM`, …": (lambda: snn.Alpha(alpha=0.9, beta=0.8), torch.float32),
    "`inhibition=True`": (lambda: inhibited(snn.Leaky(beta=0.9)), torch.float32),
    "`state_quant`": (lambda: snn.Leaky(beta=0.9, state_quant=torch.round), torch.float32),
    "`reset_delay=False`": (lambda: snn.Leaky(beta=0.9, reset_delay=False), torch.float32),
    "a surrogate that learns": (lambda: snn.Leaky(beta=0.9, spike_grad=Learnt()), torch.float32),
    "a hook on the neuron": (lambda: hooked(snn.Leaky(beta=0.9)), torch.float32),
}


class OnGpu(torch.Tensor):
    """A current that says it lies on a GPU, for a machine without one."""

    device = torch.device("cuda")


def table() -> str:
    """As Markdown; neither the loops nor a GPU need be there to ask for them."""
    head = "| neuron, option, type | on a CPU | on a CPU, large | on a GPU with Triton |"
    rows = [head, "|---|---|---|---|"]
    loops = patch.object(compiled, "loops", lru_cache(lambda: compiled))
    works = [patch.object(module, "works", lambda device: True) for module in (gpu, gpu_recurrent)]
    with loops, works[0], works[1]:
        for name, (make, dtype) in CASES.items():
            neuron = make()
            neuron = neuron.double() if dtype == torch.float64 else neuron
            small, large = (torch.empty((T, 1, H), dtype=dtype) for T in (10, LARGE))
            ways = [which_path(neuron, cur) for cur in (small, large, small.as_subclass(OnGpu))]
            if len(set(ways)) == 1:
                ways = [ways[0], "", ""]
            rows.append("| " + " | ".join([name, *ways]) + " |")
    return "\n".join(rows) + "\n"


def with_table(page: str) -> str:
    before, rest = page.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


def test_the_table_of_the_readme_is_what_the_code_does() -> None:
    page = README.read_text(encoding="utf-8")
    assert page == with_table(page), "run: python tests/test_paths.py"


def test_the_readme_names_every_file() -> None:
    page = README.read_text(encoding="utf-8")
    for path in sorted((ROOT / "multistep").glob("*.py")):
        assert path.name == "__init__.py" or f"({path.name})" in page, path.name


@pytest.mark.parametrize("path", sorted((ROOT / "multistep").glob("*.py")), ids=lambda p: p.name)
def test_one_thing_a_file(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250, path.name


def layer_of(neuron: snn.SpikingNeuron, reset: str) -> recursion.Layer:
    recurrent = getattr(neuron, "recurrent", None)
    dense = isinstance(recurrent, torch.nn.Linear)
    return recursion.Layer(
        beta=neuron.beta,
        theta=neuron.threshold,
        alpha=getattr(neuron, "alpha", None),
        feed_back=recurrent,
        pull_back=(
            None
            if recurrent is None
            else lambda d: d @ recurrent.weight if dense else d * recurrent.V
        ),
        reset=reset,
    )


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "RLeaky", "RSynaptic"])
def test_the_page_of_reference_code(kind: str, reset: str) -> None:
    """The spikes and potentials of snnTorch bit by bit, the gradient of autograd, and both of ``unroll``."""
    torch.manual_seed(0)
    options = {"alpha": torch.rand(5)} if "Syn" in kind else {}
    options |= {"linear_features": 5} if kind.startswith("R") else {}
    neuron = getattr(snn, kind)(beta=torch.rand(5), threshold=0.7, reset_mechanism=reset, **options)
    cur = (0.3 + torch.randn(12, 3, 5)).requires_grad_()
    g_spk, g_mem = torch.rand(2, 12, 3, 5)
    layer = layer_of(neuron, reset)
    with torch.no_grad():
        spk_rec, mem_rec = recursion.forward(layer, cur)
        slope = surrogate_of_atan(2.0)
        d_cur = recursion.backward(layer, mem_rec, slope, g_spk, g_mem)
    for way in (step_through, unroll):
        cur.grad = None
        spk, mem, _ = way(neuron, cur, record_mem=True)
        ((spk * g_spk).sum() + (mem * g_mem).sum()).backward()
        assert torch.equal(spk, spk_rec) and torch.equal(mem, mem_rec)
        torch.testing.assert_close(d_cur, cur.grad, rtol=1e-4, atol=1e-5)
    assert 0.05 < spk_rec.mean() < 0.95


def surrogate_of_atan(a: float) -> Callable[[Tensor], Tensor]:
    """σ' of snnTorch's default, as lesson 07 writes it."""
    return lambda x: a / 2 / (1 + (torch.pi / 2 * a * x) ** 2)


if __name__ == "__main__":
    write_atomic(README, with_table(README.read_text(encoding="utf-8")))
