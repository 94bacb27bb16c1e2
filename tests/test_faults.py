"""The seeded faults of ``faults.py`` still fit their files; whether tests notice them is tried by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import ROOT, Fault, faults

ALL = faults()


@pytest.mark.parametrize("fault", ALL, ids=lambda f: f"{f.script[:2]} {f.wrong}")
def test_fault_fits(fault) -> None:
    assert fault.problem() == "" and fault.old != fault.new
    assert (ROOT / fault.test.split("::")[0]).is_file()


def test_every_fault_is_another_one() -> None:
    assert len({(f.file, f.old, f.new) for f in ALL}) == len(ALL)


@pytest.mark.parametrize(
    "source", ["a = 1\n", "b = 2\n\n\n@dec\ndef f():\n    a = 1\n    return a\n\n\nc = 3\n"]
)
def test_a_fault_that_is_no_python_is_refused(source: str, tmp_path: Path) -> None:
    """Only the statement that it lies in is parsed; that has to be the right one, with its decorators."""
    (tmp_path / "x.py").write_text(source, encoding="utf-8")
    broken = Fault("x", "wrong", "x.py", "a = 1", "a = (1", "test")
    assert "is no Python" in broken.problem(tmp_path)
    sound = Fault("x", "wrong", "x.py", "a = 1", "a = (1)", "test")
    assert sound.problem(tmp_path) == ""
    assert sound.changed(source) == source.replace("a = 1", "a = (1)").removeprefix(
        "b = 2\n\n\n"
    ).removesuffix("c = 3\n")
