"""How far the student is, read from what is there: results, exercises, quiz log, journal.

Nothing here keeps a list of lessons or a state of its own. What cannot be read is marked with a
question mark in the table and named below it; the rest of the table still comes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from common.io import ROOT, UserError
from tutor import record, review
from tutor.prompts import say, scripts

RESULTS = ROOT / "results"
JOURNAL = ROOT / "journal.md"
QUIZZES = ROOT / "quizzes"
REAL = ("default", "full", "check", "notebook")
"""Scales whose numbers mean something; ``check`` is the judge's run of a student's own network."""


@dataclass(frozen=True)
class Standing:
    """Where one script stands."""

    name: str
    scale: str = ""
    """of the last run: one of ``REAL``, smoke, or part (a run of one section); empty: none"""
    when: datetime | None = None
    met: int = 0
    judged: int = 0
    broken: bool = False
    """the result of the last run cannot be read"""
    exercises: tuple[tuple[Path, str], ...] = ()
    """each with ``passed``, ``changed`` or ``open``"""
    has_quiz: bool = False
    quiz: dict[str, Any] | None = None
    """the last line of the quiz log with a score"""
    journal: bool = False

    def count(self, state: str) -> int:
        """How many exercises are in that state."""
        return sum(s == state for _, s in self.exercises)


@dataclass(frozen=True)
class Progress:
    """All scripts in the order of the course, what is damaged, and how many questions are due."""

    standings: tuple[Standing, ...]
    damaged: tuple[str, ...]
    due: int


def find_script(word: str) -> str:
    """The script that somebody means by ``1``, ``01``, ``01_lif_neuron`` or its file name.

    Raises:
        UserError: no script, or more than one, is called so.
    """
    stem = Path(word).stem
    if re.match(r"\d(?!\d)", stem):
        stem = f"0{stem}"
    fits = [name for name in scripts() if name.startswith(stem)] if stem else []
    if len(fits) != 1:
        what = f"that may be {' or '.join(fits)}" if fits else "expected a script's number or name"
        raise UserError(f"got {word or 'nothing'}: {what}; 'uv run course.py' lists the scripts")
    return fits[0]


def read() -> Progress:
    """Look at everything that is there.

    Raises:
        UserError: there are no lesson scripts.
    """
    damaged: list[str] = []
    known: record.Passed = {}
    try:
        known = record.passed()
    except UserError as e:
        damaged.append(str(e))
    rows, bad_lines = review.read_log()
    damaged += bad_lines
    try:
        journal = JOURNAL.read_text(encoding="utf-8") if JOURNAL.is_file() else ""
    except (OSError, ValueError) as e:
        journal = ""
        damaged.append(f"journal.md cannot be read ({type(e).__name__}); save it as UTF-8")
    standings = [_standing(name, known, rows, journal) for name in scripts()]
    if not standings:
        raise UserError(f"got no lesson scripts in {ROOT}; expected the folder of the course")
    for s in standings:
        if s.broken:
            damaged.append(f"the {s.scale} result of {s.name} is damaged; run the script again")
    return Progress(tuple(standings), tuple(damaged), len(review.due(rows, datetime.now())))


def _standing(
    name: str, known: record.Passed, rows: Sequence[dict[str, Any]], journal: str
) -> Standing:
    scores = [r for r in rows if r["kind"] == "score" and r["script"] == name]
    files = record.of_script(name)
    return Standing(
        name,
        **_last_run(name),
        exercises=tuple((path, record.standing(path, known)) for path in files),
        has_quiz=(QUIZZES / f"{name}.toml").is_file(),
        quiz=scores[-1] if scores else None,
        journal=_has_entry(name, journal),
    )


def _last_run(name: str) -> dict[str, Any]:
    """Scale, time and claims of the last run."""
    scale, path = _result(name)
    return {"scale": scale, **_claims(path)} if path else {}


def _result(name: str) -> tuple[str, Path | None]:
    """The newest result and its scale; one that means something goes before a smoke run."""
    own = RESULTS / name
    judged = [("check", own / "metrics_check.json")]
    whole = [("default", own / "metrics.json"), ("full", RESULTS / "full" / name / "metrics.json")]
    book = [("notebook", RESULTS / "notebook" / name / "metrics.json")]
    smoke = [("smoke", RESULTS / "smoke" / name / "metrics.json")]
    parts = [("part", path) for path in own.glob("metrics_only_*.json")]
    for group in (judged, whole, book, smoke, parts):
        there = [(path.stat().st_mtime, scale, path) for scale, path in group if path.is_file()]
        if there:
            return max(there)[1:]
    return "", None


def _claims(path: Path) -> dict[str, Any]:
    """When a result was written, and how many of its judged claims are met."""
    when = datetime.fromtimestamp(path.stat().st_mtime)
    try:
        verdicts = [c["met"] for c in json.loads(path.read_text(encoding="utf-8"))["claims"]]
    except Exception:  # a damaged file has more ways to fail than a list of types could name
        return {"when": when, "broken": True}
    return {
        "when": when,
        "met": verdicts.count(True),
        "judged": len(verdicts) - verdicts.count(None),
    }


def _has_entry(name: str, journal: str) -> bool:
    """Whether the journal has an entry on a script: by its name, or for a lesson by its number."""
    heading = re.escape(name)
    if name[:2].isdigit():
        heading = rf"(?:[Ll]esson )?{name[:2]}(?!\d)"
    return bool(re.search(rf"^## {heading}", journal, re.MULTILINE))


def enter(name: str) -> None:
    """Append what the last run of a script measured to the journal, without running it again.

    Raises:
        UserError: there is no such run, its result is damaged, or the journal cannot be written.
    """
    from tutor.journal import write_entry

    scale, path = _result(name)
    if path is None or scale not in REAL:
        got = f"a {scale} run" if scale else "no run"
        raise UserError(f"got {got} of {name}, expected a whole one; run 'uv run {name}.py' first")
    try:
        write_entry(json.loads(path.read_text(encoding="utf-8")), JOURNAL)
    except UserError:
        raise  # it is the journal that cannot be written
    except Exception as e:
        raise UserError(
            f"{path} is damaged ({type(e).__name__}); run 'uv run {name}.py' again"
        ) from e
    say(f"{JOURNAL.name}: the {scale} run of {name} is entered; its findings are yours to write")


# -------------------------------------------------------------------- for the eye


def table(progress: Progress) -> list[str]:
    """The state of all scripts as lines of at most 80 columns."""
    rows = [("script", "last run", "claims", "exercises", "quiz", "journal")]
    rows += [_row(s) for s in progress.standings]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "─" * len("  ".join("x" * width for width in widths)))
    if any(s.count("changed") for s in progress.standings):
        lines += ["", "~1: an exercise was changed since it passed; 'uv run course.py check'"]
    if progress.damaged:
        lines.append("")
    return lines + [f"?  {text}" for text in progress.damaged]


def _row(s: Standing) -> tuple[str, ...]:
    changed = s.count("changed")
    exercises = f"{s.count('passed')}/{len(s.exercises)}" + (f" ~{changed}" if changed else "")
    return (
        s.name,
        f"{s.scale} {_day(s.when)}" if s.when else "–",
        "?" if s.broken else f"{s.met}/{s.judged}" if s.judged else "–",
        exercises if s.exercises else "–",
        f"{100 * s.quiz['points'] / s.quiz['total']:.0f} %" if s.quiz else "–",
        "yes" if s.journal else "no",
    )


def _day(when: datetime) -> str:
    """Day and month; the year alone for what is older than ten months."""
    old = (datetime.now() - when).days > 300
    return f"{when:%Y}" if old else f"{when.day} {when:%b}"


# -------------------------------------------------------------------- what comes next


@dataclass(frozen=True)
class Step:
    """What to do next, and why."""

    command: str
    reason: str


def next_step(progress: Progress) -> Step:
    """What comes next: questions that are due, then the first thing open in the first open script."""
    if progress.due:
        what = (
            "questions that you missed are" if progress.due > 1 else "question that you missed is"
        )
        return Step("uv run course.py review", f"{progress.due} {what} due again")
    for s in progress.standings:
        step = _open_run(s) or _open_exercise(s) or _open_quiz(s)
        if step:
            return step
        if not s.journal:
            reason = f"{s.name} has no entry in journal.md yet; its findings are yours to write"
            return Step(
                f"uv run course.py journal {s.name[:2] if s.name[0].isdigit() else s.name}", reason
            )
    return Step("uv run course.py review", "everything is done; what you missed comes back here")


def _open_run(s: Standing) -> Step | None:
    if s.broken:
        return Step(f"uv run {s.name}.py", "the result of its last run is damaged")
    if s.name.startswith("milestone"):
        if s.scale == "check":
            return None
        reason = (
            "the milestone is your own network, and this judges it; --help says what it expects"
        )
        return Step(f"uv run {s.name}.py --check my_net.py", reason)
    if s.scale in REAL:
        return None
    if s.name.startswith("capstone"):
        return Step(
            f"uv run {s.name}.py --help", f"{s.name} is your own project; journal.md has its steps"
        )
    reasons = {
        "": "has not been run yet",
        "smoke": "has had a smoke run only, whose numbers mean nothing",
        "part": "has been run in parts only",
    }
    return Step(f"uv run {s.name}.py --predict", f"{s.name} {reasons[s.scale]}")


def _open_exercise(s: Standing) -> Step | None:
    for path, state in s.exercises:
        if state != "passed":
            count = f"{s.count('passed')} of {len(s.exercises)} exercises of {s.name} passed"
            reason = "it was changed since it passed" if state == "changed" else count
            return Step(f"uv run exercises/{path.name}", reason)
    return None


def _open_quiz(s: Standing) -> Step | None:
    if not s.has_quiz or (s.quiz and s.quiz["grade"] != "fail"):
        return None
    reason = f"the quiz of {s.name} has not been taken"
    if s.quiz:
        reason = (
            f"{s.quiz['points']:g} of {s.quiz['total']} points: go through {s.name} once more first"
        )
    return Step(f"uv run {s.name}.py --quiz", reason)
