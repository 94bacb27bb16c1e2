"""Compiles the Triton kernels for an H100 and an MI300, on a machine that has neither; ``tests/test_gpu.py`` starts it.

A process of its own: after Triton's interpreter has run in one, its compiler no longer works there.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget

TARGETS = {"ptx": GPUTarget("cuda", 90, 32), "amdgcn": GPUTarget("hip", "gfx942", 64)}
ABSENT = (
    """mem0 alpha syn0 syn_end g_mem g_mem_end g_syn_end d_beta d_theta d_mem0 d_syn0""".split()
)
NUMBERS = "M T end cur_stride beta_stride alpha_stride theta_stride".split()
FIXED = {"RESET": "subtract", "KIND": 0, "HELD": False, "BLOCK": 128, "AHEAD": 4}


def code_of(kernel: Any, language: str) -> str:
    """Machine code of the most common case: ``Leaky`` with ATan and reset by subtraction, from rest."""
    types = dict.fromkeys(kernel.arg_names, "*fp32")
    types |= {n: "i32" for n in NUMBERS if n in types}
    types |= {n: "fp32" for n in ("shift", "factor") if n in types}
    values = {n: None for n in ABSENT if n in types}
    values |= {n: v for n, v in FIXED.items() if n in types}
    types |= dict.fromkeys(values, "constexpr")
    source = triton.compiler.ASTSource(kernel, types, values)
    options = {"enable_fp_fusion": False}
    made = triton.compile(source, target=TARGETS[language], options=options)
    assert len(made.kernel) > 1000
    return made.asm[language]


def main(path: Path) -> None:
    spec = importlib.util.spec_from_file_location("gpu_kernels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for language in TARGETS:
        forward = code_of(module.forward_kernel, language)
        code_of(module.backward_kernel, language)
        fused = sum(forward.count(name) for name in ("fma.rn.f32", "v_fma_f32", "v_fmac_f32"))
        print(language, "fused multiply-adds:", fused)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
