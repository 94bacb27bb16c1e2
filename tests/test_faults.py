"""The seeded faults of ``faults.py`` still fit their files; whether tests notice them is tried by hand."""

from __future__ import annotations

import pytest
from faults import ROOT, faults

ALL = faults()


@pytest.mark.parametrize("fault", ALL, ids=lambda f: f"{f.script[:2]} {f.wrong}")
def test_fault_fits(fault) -> None:
    assert fault.problem() == "" and fault.old != fault.new
    assert (ROOT / fault.test.split("::")[0]).is_file()


def test_every_fault_is_another_one() -> None:
    assert len({(f.file, f.old, f.new) for f in ALL}) == len(ALL)
