"""Loading lesson scripts as modules: their names start with digits, so ``import`` cannot."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = ("[0-9][0-9]_*.py", "milestone_*.py", "capstone_*.py")
SCRIPTS = sorted(p.stem for pattern in PATTERNS for p in ROOT.glob(pattern))


@cache
def load_script(name: str) -> ModuleType:
    """Import ``<name>.py`` from the repository's root without running it."""
    spec = importlib.util.spec_from_file_location(f"lesson_{name}", ROOT / f"{name}.py")
    assert spec and spec.loader, f"no such script: {name}"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
