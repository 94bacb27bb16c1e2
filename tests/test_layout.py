"""Who may import whom, and that ``common/`` stays thin."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, SCRIPTS

COMMON = sorted((ROOT / "common").glob("*.py"))


def test_the_import_rule() -> None:
    """Lesson or study → package → common → libraries: the contracts stand in pyproject.toml."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    env = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=ROOT, env=env, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff(command: tuple[str, ...]) -> None:
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
    done = subprocess.run(ruff, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_lessons_do_not_import_each_other() -> None:
    for path in ROOT.glob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not line.startswith(
                ("from tests", "import tests", "from exercises", "from studies")
            )


def lines(path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", COMMON, ids=lambda p: p.name)
def test_a_file_of_common_is_short(path) -> None:
    assert lines(path) <= 250, (
        f"{path.name} has {lines(path)} lines: thin plumbing, or a lesson's work?"
    )


def test_common_is_thin() -> None:
    assert sum(map(lines, COMMON)) <= 1600


def test_common_is_used() -> None:
    """A file of common is imported by at least three scripts, or by another file of common."""
    sources = {p: p.read_text(encoding="utf-8") for p in [*ROOT.glob("*.py"), *COMMON]}
    for path in COMMON:
        if path.stem == "__init__":
            continue
        users = [p for p, s in sources.items() if p != path and _imports(s, path.stem)]
        inside = [p for p in users if p.parent != ROOT]
        assert inside or len(users) >= 3, f"common/{path.name} is used by {[p.name for p in users]}"


def _imports(source: str, name: str) -> bool:
    return f"from common.{name} import" in source or f"from common import {name}" in source


def test_ctrl_c_during_imports_is_one_line(tmp_path: Path) -> None:
    """A torch that never arrives: its import is where a student's Ctrl-C most often falls."""
    (tmp_path / "torch.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "01_lif_neuron.py"), "--smoke"],
        cwd=tmp_path, env=env, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 130 and done.stderr.strip() == "stopped by Ctrl-C", done.stderr[-500:]


def test_ctrl_c_in_a_destructor_is_not_lost() -> None:
    """Python itself would print a traceback, go on and end with 0."""
    code = (
        "import common, signal, time\n"
        "from common.io import one_line_errors\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores it
        "class Dying:\n"
        "    def __del__(self): signal.raise_signal(signal.SIGINT)\n"
        "with one_line_errors():\n"
        "    Dying()\n"
        "    time.sleep(20)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 130 and done.stderr.strip().startswith("stopped by Ctrl-C;")
    assert done.stderr.strip().count("\n") == 0, done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_common_is_imported_before_what_takes_seconds(name: str) -> None:
    """What the test above shows of one script holds for all: our packages come before torch."""
    tree = ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
        package = names[0].split(".")[0]
        if package not in sys.stdlib_module_names:
            assert (ROOT / package).is_dir(), f"{name} imports {package} first"
            return
