"""Loading lesson scripts as modules: their names start with digits, so ``import`` cannot."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import pytest

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


def draft_figures() -> None:
    """Save every figure coarsely and without laying it out: a third of the time. Tests only ask whether there is one."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    save = Figure.savefig

    def coarse(self: Figure, *args: object, **options: object) -> None:
        with rc_context({"figure.constrained_layout.use": False}):
            self.set_layout_engine(None)
        save(self, *args, **options | {"dpi": 60})

    Figure.savefig = coarse


def search_less() -> None:
    """Search for unreachable cycles after 50,000 new objects, not 700, and never among those there are now.

    Imported libraries are many objects: a quarter of the tests' time went into searching them again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def check_refused(
    lesson: ModuleType, flags: tuple[str, ...], capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """Bad flags end a lesson with code 2 and one line that names the first of them; ``folder`` stays empty."""
    from common.lesson import start

    with contextlib.chdir(folder), pytest.raises(SystemExit) as stop:
        start(lesson.main, lesson.Config, lesson.SMOKE, lesson.FULL, ["--smoke", *flags])
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and out == "" and err.count("\n") == 1 and flags[0] in err
    assert list(folder.iterdir()) == []


def run_section(section, folder: Path, **settings):
    """Run one section of a lesson alone, on stand-in data unless told otherwise; return its run.

    ``run_section(lesson.section_resets, tmp_path, num_steps=50).value("kept_zero")``
    """
    from common.lesson import begin

    module = sys.modules[section.__module__]
    settings = {"device": "cpu", "smoke": True, "out_dir": folder} | settings
    scale = module.SMOKE if settings["smoke"] else {}
    run = begin(module.Config(**{**scale, **settings}), Path(module.__file__).stem)
    section.run(run.cfg, run)
    run.value = {c.id: c.value for c in run.claims}.__getitem__
    return run


def run_main(
    lesson: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, data=None, **settings
):
    """Run a whole lesson without drawing, and return its run: only the numbers count.

    What the test has put in place of an experiment, of ``fit`` or of ``evaluate`` stays in place.
    ``run_main(lesson, tmp_path, monkeypatch, trials=50).value("slope_ml_cosine")``

    Args:
        data: what every ``run.data`` gives; None: the stand-in of the data set that is asked for.
    """
    from common.lesson import begin
    from common.run import Run

    for name in vars(lesson):
        if name.startswith("plot_"):
            monkeypatch.setattr(lesson, name, MagicMock())
    monkeypatch.setattr(Run, "figure", lambda self, fig, name, look="": self.dir / f"{name}.png")
    if data is not None:
        monkeypatch.setattr(Run, "data", lambda self, loader, **options: data)
    settings = {"device": "cpu", "smoke": True, "out_dir": folder} | settings
    scale = lesson.SMOKE if settings["smoke"] else {}
    run = begin(lesson.Config(**{**scale, **settings}), Path(lesson.__file__).stem)
    lesson.main(run.cfg, run)
    run.value = {c.id: c.value for c in run.claims}.__getitem__
    return run
