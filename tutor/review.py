"""Questions that were missed come back: after 1, 3, 7 and 21 days, until they are known.

All of it is read from the quiz log (``tutor.quiz`` describes it). A question counts as missed if it
was not right at the first try. A right answer on or after its day moves it to the next interval, a
right answer before that leaves it where it is, and a wrong one sends it back to the first interval.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, TextIO

from common.io import ROOT, UserError
from tutor.prompts import say

RESULTS = ROOT / "results"
INTERVALS = (1, 3, 7, 21)
"""Days until a question comes back, by the number of times it was right since it was missed."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Missed:
    """A question that was missed and is not known yet."""

    script: str
    question: str
    level: int
    """how many intervals it has passed"""
    due: date


def read_log() -> tuple[list[Row], list[str]]:
    """The lines of the quiz log in their order, and a remark if some of them are damaged."""
    path = RESULTS / "quiz_log.jsonl"
    if not path.is_file():
        return [], []
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as e:
        return [], [f"{path.name} cannot be read: {e.strerror or e}"]
    rows, bad = [], []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                rows.append(_checked(json.loads(line)))
        except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
            bad.append(str(number))
    if not bad:
        return rows, []
    which = ", ".join(bad[:5]) + (" …" if bad[5:] else "")
    return rows, [f"{path.name} is damaged and left out in line {which}; the rest counts"]


def _checked(row: Row) -> Row:
    """The row, if its fields are there and of the right kind."""
    datetime.fromisoformat(row["date"]) + timedelta(days=INTERVALS[-1])  # the day it may come back
    text = row["grade"] if row["kind"] == "score" else row["question"]
    share = row["points"] / row.get("total", 1)
    if not all(isinstance(part, str) for part in (row["script"], row["kind"], text)):
        raise TypeError("expected texts")
    if not 0 <= share <= 1:
        raise ValueError("expected points of a total")
    return row


def missed(rows: Sequence[Row]) -> list[Missed]:
    """All questions that come back, in the order of their days."""
    open_: dict[tuple[str, str], Missed] = {}
    for row in rows:
        if row["kind"] == "score":
            continue
        key = (row["script"], row["question"])
        day = datetime.fromisoformat(row["date"]).date()
        before = open_.get(key)
        if row["points"] < 1:
            open_[key] = Missed(*key, 0, day + timedelta(days=INTERVALS[0]))
        elif before is not None and day >= before.due:
            level = before.level + 1
            if level == len(INTERVALS):
                del open_[key]
            else:
                open_[key] = Missed(*key, level, day + timedelta(days=INTERVALS[level]))
    return sorted((m for m in open_.values() if _find(m) is not None), key=lambda m: m.due)


def due(rows: Sequence[Row], now: datetime) -> list[Missed]:
    """The questions that come back today or should have come back before."""
    return [m for m in missed(rows) if m.due <= now.date()]


@cache
def _quiz(script: str) -> tuple[Any, ...]:
    """The questions of a script's quiz; none if there is no quiz, or it is damaged."""
    from tutor.questions import load

    try:
        return tuple(load(script))
    except UserError:
        return ()


def _find(m: Missed) -> Any:
    """The question as it stands in its quiz; None if it has been taken out or worded anew."""
    return next((q for q in _quiz(m.script) if q.question == m.question), None)


def review(
    now: datetime | None = None, stream: TextIO | None = None, out: TextIO | None = None
) -> None:
    """Ask what is due; every answer is logged at once, so that nothing is lost by stopping.

    Args:
        now: the clock; the present if None.
        stream, out: where answers come from and questions go to; the terminal if None.

    Raises:
        UserError: standard input is closed.
    """
    from tutor.quiz import pose

    now = now or datetime.now()
    rows, remarks = read_log()
    for remark in remarks:
        say(f"?  {remark}")
    asked = due(rows, now)
    if not asked:
        say(f"nothing is due today; {_outlook(missed(rows), now)}")
        return
    say(f"{len(asked)} due. What is right at the first try comes back later, the rest tomorrow.")
    right = done = 0
    try:
        for m in asked:
            right += pose(_find(m), m.script, RESULTS, stream, out, kind="review") == 1
            done += 1
    except (EOFError, KeyboardInterrupt):
        say("", f"stopped after {done} of {len(asked)}")
    say("", f"{right} of {done} right; {_outlook(missed(read_log()[0]), now)}")


def _outlook(left: Sequence[Missed], now: datetime) -> str:
    """When the next question comes back."""
    if not left:
        return "no question waits to come back"
    day = max(left[0].due, now.date())
    count = sum(m.due <= day for m in left)
    when = "today" if day == now.date() else f"on {day:%Y-%m-%d}"
    return f"next: {count} {when}, {len(left)} in all"
