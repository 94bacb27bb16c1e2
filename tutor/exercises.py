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

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.io import UserError, console, one_line_errors
from tutor import record, trial
from tutor.prompts import say
from tutor.record import MARK

__all__ = ["MARK", "Exercise", "Outcome", "Wrong", "expect"]
AXES = {"T": "step", "B": "sample", "N": "neuron", "K": "class", "C": "channel"}
AXES |= {"H": "row", "W": "column"}

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
        seconds: how long one check may take, in seconds of the processor.
    """

    solve: Work
    checks: Sequence[Callable[[Work], None]]
    hints: Sequence[str]
    why: str
    seconds: float = 30.0

    @property
    def _module(self) -> dict[str, Any]:
        """What stands in the exercise's file: taken from a check, which no student replaces."""
        return inspect.unwrap(self.checks[0]).__globals__

    @property
    def path(self) -> Path:
        return Path(self._module["__file__"]).resolve()

    @property
    def key(self) -> str:
        """Such as ``01a``."""
        return self.path.name[:3]

    @property
    def title(self) -> str:
        """The first line of the file's docstring, without its key."""
        return self._doc.split("\n")[0].removeprefix(self.key).strip()

    @property
    def _doc(self) -> str:
        return inspect.cleandoc(self._module.get("__doc__") or "")

    @property
    def command(self) -> str:
        return f"uv run exercises/{self.path.name}"

    def try_(self, work: Work | None = None) -> Outcome:
        """Run the checks, in order, until one fails; ``work`` stands in for the student's function."""
        import torch  # here, because it takes seconds: `course.py` alone does without it

        work = self.solve if work is None else work
        lines: list[str] = []
        for check in self.checks:
            what = (inspect.getdoc(check) or check.__name__).split("\n")[0].rstrip(".")
            torch.manual_seed(0)  # the same try gives the same answer
            try:
                with trial.time_limit(self.seconds):
                    check(work)
            except Wrong as e:
                return Outcome((*lines, f"  ✗ {' '.join(str(e).split())}"), False)
            except (Exception, SystemExit, trial.TooLong) as e:
                line, blank = self._stopped(e, work)
                mark = "·" if blank else f"✗ {what}:"
                return Outcome((*lines, f"  {mark} {line}"), False, blank)
            lines.append(f"  ✓ {what}")
        return Outcome(tuple(lines), True)

    def _stopped(self, e: BaseException, work: Work) -> tuple[str, bool]:
        """What stopped a check other than ``Wrong``, in one line; and whether it was the blank."""
        name = getattr(work, "__name__", "the function")
        try:
            file = Path(inspect.getsourcefile(inspect.unwrap(work)) or self.path)
        except TypeError:  # something callable that stands in no file, such as a layer
            file = self.path
        own = trial.frames(e, file, end=record.end_of_students_part(file))
        if not own and not isinstance(e, trial.TooLong):
            said = trial.in_one_line(e, file, end=0)
            return f"the check cannot use what {name} returns ({said})", False
        if isinstance(e, NotImplementedError) and (own[-1].line or "").startswith("raise Not"):
            return f"still blank: open exercises/{self.path.name} and write {name}.", True
        return trial.in_one_line(e, file, end=record.end_of_students_part(file)), False

    def main(self, argv: Sequence[str] | None = None) -> None:
        """The command line of an exercise: check it (exit code 1 if it is not right), or show a hint."""
        argv = list(sys.argv[1:] if argv is None else argv)
        with one_line_errors():
            if argv and argv[0].partition("=")[0] == "--hint":
                self._hint([*argv[0].split("=")[1:], *argv[1:]])
            elif argv in (["-h"], ["--help"]):
                console.print(
                    f"{self._doc}\n\n--hint shows a hint, --hint 2 the next.", markup=False
                )
            elif argv:
                raise UserError(f"got {' '.join(argv)}, allowed is --hint, or --hint with a number")
            elif not self.report():
                sys.exit(1)

    def report(self, brief: bool = False) -> bool:
        """Print how the student's try goes; remember it if it is right.

        Args:
            brief: leave out the model solution.
        """
        outcome = self.try_()
        say(f"{self.key}  {self.title}", *outcome.lines)
        if not outcome.passed:
            say(f"  hint 1 of {len(self.hints)}: {self.command} --hint")
            return False
        if not brief:
            say("", f"Why: {self.why}", "")
            say(f"The model solution (exercises/solutions/{self.path.name}):", "")
            for line in model_solution(self.path, self.solve.__name__).splitlines():
                console.print(f"    {line}", markup=False)
        record.remember(self.path)
        return True

    def _hint(self, which: Sequence[str]) -> None:
        allowed = [str(n + 1) for n in range(len(self.hints))]
        number = which[0] if which else "1"
        if len(which) > 1 or number not in allowed:
            raise UserError(f"--hint: got {' '.join(which)}, allowed is 1 to {len(self.hints)}")
        say(f"{self.key}  hint {number} of {len(self.hints)}: {self.hints[int(number) - 1]}")
        if number != allowed[-1]:
            say(f"  one more: {self.command} --hint {int(number) + 1}")


def expect(got: Any, wanted: Any, what: str, smell: str = "", tolerance: float = 1e-5) -> None:
    """Compare a tensor (or number) with the right one; say where it departs first.

    Args:
        what: name of the thing with its axes, such as ``"U (T, B)"``. The message counts along
            them from 0, as *step* for T, *sample* for B, *row* for H and so on (``AXES``), else *index*.
        smell: what such a difference usually means, a sentence.
        tolerance: absolute, and relative to the right value.

    Raises:
        Wrong: nothing was returned, the shape differs, or a value does.
    """
    import torch

    name, _, axes = what.rstrip(")").partition(" (")
    if got is None:
        raise Wrong(f"{name}: got None. Is there a return?")
    if isinstance(got, tuple) and not isinstance(wanted, tuple):
        raise Wrong(f"{name}: got {len(got)} things, expected one. What does the return say?")
    try:
        got, wanted = torch.as_tensor(got).detach().cpu(), torch.as_tensor(wanted).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as e:
        raise Wrong(f"{name}: got {type(got).__name__}, expected a tensor") from e
    if got.shape != wanted.shape:
        turned = got.ndim > 1 and sorted(got.shape) == sorted(wanted.shape)
        hint = " Its axes stand in another order." if turned else f" {smell}" if got.ndim else ""
        shapes = f"got shape {tuple(got.shape)}, expected {tuple(wanted.shape)}"
        raise Wrong(f"{name}: {shapes}{f', which is ({axes})' if axes else ''}.{hint}".rstrip())
    off = ~torch.isclose(got.double(), wanted.double(), rtol=tolerance, atol=tolerance)
    if not off.any():
        return
    place = torch.nonzero(off)[0].tolist() if off.ndim else []
    letters = axes.replace(" ", "").split(",")
    words = [AXES.get(letter, "index") for letter in letters] + ["index"] * len(place)
    at = ", ".join(f"{words[axis]} {i}" for axis, i in enumerate(place))
    a, b = got[tuple(place)].item(), wanted[tuple(place)].item()
    digits = 4
    while f"{a:.{digits}g}" == f"{b:.{digits}g}" and digits < 17:
        digits += 1
    found = f"{name} is {a:.{digits}g}, expected {b:.{digits}g}. {smell}".rstrip()
    raise Wrong(f"{at}: {found}" if at else found)


# -------------------------------------------------------------------- files


def load(path: Path) -> Exercise:
    """The exercise that stands in a file.

    Raises:
        UserError: the file is not there, does not run, or its lower part was changed.
    """
    if not path.is_file():
        raise UserError(f"got no exercise {path.name}; 'uv run course.py' lists them")
    exercise = getattr(trial.load(path, f"exercise_{path.stem}"), "EXERCISE", None)
    if not isinstance(exercise, Exercise):
        raise UserError(
            f"{path.name} has no EXERCISE at its end; 'git checkout exercises/{path.name}' "
            "brings the whole file back, without what you wrote"
        )
    return exercise


def model_solution(path: Path, name: str) -> str:
    """The source of the function ``name`` in the model solution of the exercise at ``path``."""
    file = record.SOLUTIONS / path.name
    if not file.is_file():
        return f"(there is no file exercises/solutions/{path.name})"
    solution = trial.load(file, f"solution_{path.stem}")
    return inspect.getsource(getattr(solution, name)).rstrip()


trial.errors_in_one_line(record.FOLDER)
