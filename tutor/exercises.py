"""Exercises: one file, one blank, a check that says where a try goes wrong and what that smells of.

A file in ``exercises/`` holds a docstring with the task, one function to write (``raise
NotImplementedError``) or to mend, and below it its checks and hints:

    EXERCISE = Exercise(solve=leaky_step, checks=(check_leak, check_reset), hints=(…, …, …), why="…")

    if __name__ == "__main__":
        EXERCISE.main()

A check takes the student's function, raises ``Wrong`` with what it found, or returns; the first
line of its docstring is what stands behind the tick. Passing is remembered in
``results/exercises.json`` with a digest of the file, so that a later change is noticed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

from common.io import ROOT, UserError, console, write_json

import torch

FOLDER = ROOT / "exercises"
SOLUTIONS = FOLDER / "solutions"
RECORD = ROOT / "results" / "exercises.json"
MARK = "# ---- nothing to edit below this line"

Work = Callable[..., Any]


class Wrong(Exception):
    """What a check found: where the result departs, and what that smells of."""


@dataclass(frozen=True)
class Outcome:
    """How a try went: the lines to show, and whether everything was right."""

    lines: tuple[str, ...]
    passed: bool
    blank: bool = False


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        solve: the student's function.
        checks: each takes the function and raises ``Wrong``, or returns.
        hints: three, each saying more.
        why: one sentence, shown after success: why it is so.
    """

    solve: Work
    checks: Sequence[Callable[[Work], None]]
    hints: Sequence[str]
    why: str

    @property
    def path(self) -> Path:
        return Path(inspect.getfile(self.solve))

    @property
    def key(self) -> str:
        """Such as ``01a``."""
        return self.path.name[:3]

    @property
    def title(self) -> str:
        """The first line of the file's docstring, without its key."""
        doc = inspect.getdoc(inspect.getmodule(self.solve)) or ""
        return doc.split("\n")[0].removeprefix(self.key).strip()

    def try_(self, work: Work | None = None) -> Outcome:
        """Run the checks, in order, until one fails; ``work`` stands in for the student's function."""
        work = work or self.solve
        lines = []
        for check in self.checks:
            what = (inspect.getdoc(check) or check.__name__).split("\n")[0].rstrip(".")
            try:
                check(work)
            except Wrong as e:
                return Outcome((*lines, f"  ✗ {e}"), False)
            except NotImplementedError:
                return Outcome(
                    (*lines, "  · still blank: open the file and write the line."), False, True
                )
            except (
                Exception
            ) as e:  # whatever the student's code does: say where, without a traceback
                return Outcome((*lines, f"  ✗ {what}: {_where(e, work)}"), False)
            lines.append(f"  ✓ {what}")
        return Outcome(tuple(lines), True)

    def main(self, argv: Sequence[str] | None = None) -> None:
        """The command line of an exercise: check it, or show a hint."""
        argv = list(sys.argv[1:] if argv is None else argv)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(encoding="utf-8", errors="replace")
        try:
            if argv and argv[0] == "--hint":
                self._hint(argv[1:])
                return
            if argv:
                raise UserError(f"got {' '.join(argv)}, allowed is --hint, or --hint with a number")
            if not self.report():
                sys.exit(1)
        except UserError as e:
            print(f"error: {e}", file=sys.stderr)
            sys.exit(2)

    def report(self) -> bool:
        """Print how the student's try goes; remember it if it is right."""
        outcome = self.try_()
        _say(f"{self.key}  {self.title}", *outcome.lines)
        name = f"uv run exercises/{self.path.name}"
        if not outcome.passed:
            _say(f"  hint 1 of {len(self.hints)}: {name} --hint")
            return False
        remember(self.path)
        _say(
            "",
            f"Why: {self.why}",
            "",
            f"The model solution (exercises/solutions/{self.path.name}):",
            "",
        )
        _say(*("    " + line for line in model_solution(self.path).splitlines()))
        return True

    def _hint(self, which: Sequence[str]) -> None:
        number = which[0] if which else "1"
        if len(which) > 1 or number not in map(str, range(1, len(self.hints) + 1)):
            raise UserError(f"--hint: got {' '.join(which)}, allowed is 1 to {len(self.hints)}")
        _say(f"{self.key}  hint {number} of {len(self.hints)}: {self.hints[int(number) - 1]}")
        if int(number) < len(self.hints):
            _say(f"  one more: uv run exercises/{self.path.name} --hint {int(number) + 1}")


def _say(*lines: str) -> None:
    for line in lines:
        console.print(line, markup=False)


def _where(e: Exception, work: Work) -> str:
    """An error in the student's code as one line: the line it happened in, and what Python says."""
    file = inspect.getsourcefile(work)
    frames = [f for f in traceback.extract_tb(e.__traceback__) if f.filename == file]
    place = f"line {frames[-1].lineno} ({(frames[-1].line or '').strip()}): " if frames else ""
    return f"{place}{type(e).__name__}: {' '.join(str(e).split())}"


# -------------------------------------------------------------------- what checks are made of


def expect(got: Any, wanted: Any, what: str, smell: str = "", tolerance: float = 1e-5) -> None:
    """Compare a tensor (or number) with the right one; say where it departs first.

    Args:
        what: name of the thing with its axes, such as ``"U (T,)"``; the message counts along the
            first axis as *step* where it is T, else as *index*.
        smell: what such a difference usually means.

    Raises:
        Wrong: nothing was returned, the shape differs, or a value does.
    """
    if got is None:
        raise Wrong(f"{what}: got nothing. Is there a return?")
    try:
        got, wanted = torch.as_tensor(got), torch.as_tensor(wanted)
    except (TypeError, ValueError, RuntimeError) as e:
        raise Wrong(f"{what}: got {type(got).__name__}, expected a tensor") from e
    if got.shape != wanted.shape:
        raise Wrong(f"{what}: got shape {tuple(got.shape)}, expected {tuple(wanted.shape)}")
    got, wanted = got.detach().double(), wanted.detach().double()
    off = ~torch.isclose(got, wanted, rtol=tolerance, atol=tolerance)
    if not off.any():
        return
    place = torch.nonzero(off)[0].tolist() if off.ndim else []
    axis = "step" if what.partition("(")[2][:1] == "T" else "index"
    at = f"{axis} {place[0]}" if place else ""
    if len(place) > 1:
        at += f", {tuple(place[1:])}"
    here = tuple(place)
    name = what.partition(" (")[0]
    at = f"{at}: " if at else ""
    raise Wrong(
        f"{at}{name} is {got[here]:.4g}, expected {wanted[here]:.4g}."
        + (f" {smell}" if smell else "")
    )


# -------------------------------------------------------------------- files


def exercise_files(prefix: str = "") -> list[Path]:
    """All exercises in the order of the course, or those whose key starts with ``prefix``."""
    return sorted(FOLDER.glob(f"{prefix}[0-9a-z]*_*.py" if not prefix else f"{prefix}*_*.py"))


def load(path: Path) -> ModuleType:
    """Import an exercise or a solution from its file.

    Raises:
        UserError: the file is not there or is no Python.
    """
    if not path.is_file():
        raise UserError(f"got no exercise {path.name}; 'uv run course.py' lists them")
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))  # for _root
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    try:
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    except SyntaxError as e:
        raise UserError(f"{path.name}, line {e.lineno}: {e.msg}: {(e.text or '').strip()}") from e
    return module


def model_solution(path: Path) -> str:
    """The source of the model solution's function for the exercise at ``path``."""
    name = load(path).EXERCISE.solve.__name__
    return inspect.getsource(getattr(load(SOLUTIONS / path.name), name)).rstrip()


def digest(path: Path) -> str:
    """Twelve hex digits of the part of an exercise that the student edits."""
    text = path.read_text(encoding="utf-8").partition(MARK)[0]
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def passed() -> dict[str, dict[str, str]]:
    """What was passed: key → digest of the file then, and the date. Empty if nothing was."""
    try:
        found = json.loads(RECORD.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(path: Path) -> None:
    """Note that the exercise at ``path`` is right as it stands."""
    row = {"digest": digest(path), "date": date.today().isoformat()}
    write_json(RECORD, passed() | {path.name[:3]: row})
