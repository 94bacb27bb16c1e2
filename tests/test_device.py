"""Devices by name, and the count of what autograd keeps."""

from __future__ import annotations

import subprocess
import sys

from common.device import describe, device_names, peak_memory, pick_device, seed_everything
from multistep import saved_for_backward

import pytest
import torch
from helpers import ROOT


def test_auto_takes_the_best_and_cpu_is_always_there() -> None:
    assert pick_device("auto").type == device_names()[0]
    assert pick_device("cpu") == torch.device("cpu") and device_names()[-1] == "cpu"
    assert describe("cpu").startswith("CPU, ")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "cuda:999", "CPU", "xla", "cuda:-1"])
def test_wrong_names(name: str) -> None:
    with pytest.raises(ValueError, match="got"):
        pick_device(name)


def test_seeds_repeat() -> None:
    seed_everything(3)
    a = torch.rand(4)
    g = seed_everything(3)
    assert torch.equal(a, torch.rand(4)) and g.initial_seed() == 3


def test_peak_memory_counts_this_process() -> None:
    """In a process of its own: the peak only ever rises, so whatever ran before would hide the block."""
    code = (
        "import torch; from common.device import peak_memory; before = peak_memory('cpu'); "
        "block = torch.ones(64 * 2**20); print(peak_memory('cpu') - before)"
    )  # 256 MiB
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 200 * 2**20 < int(done.stdout) < 400 * 2**20


def test_saved_bytes_closed_form() -> None:
    x = torch.rand(100, 10, requires_grad=True)
    with saved_for_backward() as kept:
        y = x.exp()  # keeps its output: 4,000 bytes
        z = y * 2  # keeps nothing of that size
        assert kept() == 4000
        w = z.sin()  # keeps its input z
        assert kept() == 8000
    w.sum().backward()


def test_saved_bytes_count_shared_storage_once_and_let_go() -> None:
    x = torch.rand(100, 10, requires_grad=True)
    with saved_for_backward() as kept:
        a = x.exp()
        b = (
            a.sin() + a.cos() + a.tan() * 0
        ).sum()  # sin and cos keep the same a, tan its own output
        assert kept() == 2 * 4000
        del b
        c = a.sum()
        del a
        assert kept() == 4000, "exp still keeps its output through c"
        del c
        assert kept() == 0, "nothing references the graph any more"


def test_memory_of_this_machine() -> None:
    assert 2**20 < peak_memory("cpu") < 2**45


def test_freed_memory_is_kept_where_glibc_is() -> None:
    """It may be asked for again and again, and never fails."""
    import platform

    from multistep import keep_freed_memory

    kept = [keep_freed_memory() for _ in range(2)]
    assert kept[0] == kept[1] and (kept[0] or platform.libc_ver()[0] != "glibc")
