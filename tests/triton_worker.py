"""Compiles the Triton kernels for an H100 and an MI300, on a machine that has neither; ``tests/test_gpu.py`` starts it.

A process of its own: after Triton's interpreter has run in one, its compiler no longer works there.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import triton
from triton.backends.compiler import GPUTarget

TARGETS = {"ptx": GPUTarget("cuda", 90, 32), "amdgcn": GPUTarget("hip", "gfx942", 64)}
ABSENT = (
    "mem0 alpha syn0 spk0 syn_end g_mem g_mem_end g_syn_end d_beta d_theta d_mem0 d_syn0 d_spk0"
)
NUMBERS = "M T B H end cur_stride beta_stride alpha_stride theta_stride"
NUMBERS += " rows C chunk size x_step programs"
REALS = "shift factor count eps momentum"
FIXED = {"RESET": "subtract", "KIND": 0, "HELD": False, "BLOCK": 128, "AHEAD": 4}
FIXED |= {"ROWS": 16, "WIDTH": 16, "STEPS": 2, "PARTS": 16}


def code_of(kernel: Any, language: str) -> str:
    """Machine code of the most common case: ``Leaky`` with ATan and reset by subtraction, from rest."""
    types = dict.fromkeys(kernel.arg_names, "*fp32")
    types |= {n: "i32" for n in NUMBERS.split() if n in types}
    types |= {n: "fp32" for n in REALS.split() if n in types}
    values = {n: None for n in ABSENT.split() if n in types}
    values |= {n: v for n, v in FIXED.items() if n in types}
    types |= dict.fromkeys(values, "constexpr")
    source = triton.compiler.ASTSource(kernel, types, values)
    options = {"enable_fp_fusion": False}
    made = triton.compile(source, target=TARGETS[language], options=options)
    assert len(made.kernel) > 1000
    return made.asm[language]


def main() -> None:
    package = ModuleType("multistep")  # without its __init__, which would load PyTorch
    package.__path__ = [str(Path(__file__).resolve().parent.parent / "multistep")]
    sys.modules["multistep"] = package
    flat = import_module("multistep.gpu_kernels")
    recurrent = import_module("multistep.gpu_recurrent_kernels")
    normalised = import_module("multistep.gpu_normalised_kernels")
    for language in TARGETS:
        forward = code_of(flat.forward_kernel, language)
        code_of(flat.backward_kernel, language)
        fused = sum(forward.count(name) for name in ("fma.rn.f32", "v_fma_f32", "v_fmac_f32"))
        print(language, "fused multiply-adds:", fused)
    for kernel in (recurrent.forward_kernel, recurrent.backward_kernel):
        code_of(kernel, "ptx")
    for name in ("moments", "line", "fire", "pull", "slope_line", "centre"):
        code_of(getattr(normalised, f"{name}_kernel"), "ptx")


if __name__ == "__main__":
    main()
