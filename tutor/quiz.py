"""The quiz of a lesson: ask its questions one at a time, judge the score, keep it in the journal.

Answers come from the keyboard or a pipe. A wrong answer brings a hint and a second try that counts half.
70 % passes; from 50 % on, the missed questions come again with their reading.

Every answer is also a line of ``quiz_log.jsonl`` in the results folder, from which ``course.py review``
knows what to ask again:

    {"script": "01_lif_neuron", "date": "2026-11-28T23:50:12", "kind": "quiz",
     "question": "…", "topic": "…", "points": 0.5}
    {"script": "01_lif_neuron", "date": "2026-11-28T23:58:40", "kind": "score",
     "points": 6.5, "total": 8, "grade": "pass"}

The second kind ends a quiz whose questions were all answered. Points are 1, 0.5 (second try) or 0.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from textwrap import fill
from typing import Any, TextIO, TypeVar

from common.io import ROOT, UserError
from tutor.journal import append, write_quiz
from tutor.questions import LETTERS, Question, load

from rich.console import Console

T = TypeVar("T")

PASS, MARGINAL = 0.70, 0.50
RESULTS = ROOT / "results"
LOG = "quiz_log.jsonl"


@dataclass(frozen=True)
class QuizResult:
    """The outcome: ``points`` of the questions answered (1, ½ or 0), the weak areas as (topic, reading)."""

    script: str
    total: int
    points: tuple[float, ...]
    weak: tuple[tuple[str, str], ...]

    @property
    def score(self) -> float:
        """Points over the number of all questions, 0 … 1."""
        return sum(self.points) / self.total

    @property
    def grade(self) -> str:
        """``pass``, ``marginal``, ``fail``, or ``unfinished`` if the input ended early."""
        if len(self.points) < self.total:
            return "unfinished"
        if self.score >= PASS:
            return "pass"
        return "marginal" if self.score >= MARGINAL else "fail"


# -------------------------------------------------------------------- talking to the student


class _Talk:
    """One conversation: prints to ``out``, reads lines from ``stream``, raises EOFError at its end."""

    def __init__(self, stream: TextIO | None, out: TextIO | None) -> None:
        self.stream = stream or sys.stdin
        if self.stream is None or self.stream.closed:
            raise UserError(
                "got a closed standard input, expected a keyboard or a pipe with answers; "
                "run the quiz in a terminal"
            )
        if stream is None and hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(errors="replace")  # bytes that are no text must not end the quiz
        self.remembers = True  # until the log turns out not to be writable
        self.console = Console(file=out, highlight=False, emoji=False)
        self.console.width = min(self.console.width, 100)

    def say(self, text: str, style: str = "", end: str = "\n") -> None:
        self.console.print(text, style=style, markup=False, end=end)

    def listen(self, prompt: str, parse: Callable[[str], T | None]) -> T:
        """Ask until ``parse`` makes something of a line; a line that it cannot read is not counted."""
        while True:
            self.say(f"Your answer ({prompt}): ", end="")
            try:
                line = self.stream.readline()
            except OSError as e:  # a terminal that went away
                raise EOFError from e
            if not line:
                raise EOFError
            if not self.stream.isatty():
                self.say(line.rstrip("\n"))  # from a pipe: show what was answered
            answer = parse(line)
            if answer is not None:
                return answer
            self.say(
                f"That is no answer here, and it is not counted. Expected: {prompt}.", "yellow"
            )

    def pose(
        self, q: Question, title: str, script: str, results_dir: Path, tries: int = 2
    ) -> float:
        """Ask one question; its points are 1, ½ for the second of two tries, or 0.

        True or false has one try: a second would be a gift.
        """
        tries = 1 if q.kind == "truefalse" else tries
        answer, measured = q.expected(script, results_dir)
        self.say(f"\n{title} · {q.topic}", "bold")
        if q.from_result:
            self.say(q.question.replace("{value}", f"{answer / q.factor:,.6g}"))
            note = "measured by your run" if measured else "an example: you have no result yet"
            self.say(f"({note})", "dim")
        else:
            self.say(q.question)
        for letter, option in zip(LETTERS, q.options, strict=False):
            self.say(fill(f"  {letter}) {option}", self.console.width, subsequent_indent=" " * 5))
        for attempt in range(tries):
            if q.right(self.listen(q.prompt(), q.parse), answer):
                self.say(f"Right. {q.why}", "green")
                return 1.0 - attempt / 2
            if attempt < tries - 1:
                self.say(f"Not yet. {q.hint}", "yellow")
        self.say(f"The answer: {q.shown(answer)}\n{q.why}", "red")
        return 0.0


# -------------------------------------------------------------------- asking


def pose(
    question: Question,
    script: str,
    results_dir: Path = RESULTS,
    stream: TextIO | None = None,
    out: TextIO | None = None,
    kind: str = "quiz",
) -> float:
    """Ask one question of the quiz of ``script`` and log the answer; return its points.

    Args:
        results_dir: where the lessons' metrics.json and the log stand.
        stream, out: where answers come from and text goes to; the terminal if None.
        kind: what the line of the log calls it.

    Raises:
        EOFError: the input ended before an answer; nothing is logged.
        UserError: standard input is closed.
    """
    talk = _Talk(stream, out)
    points = talk.pose(question, script, script, results_dir)
    _log_answer(talk, question, script, results_dir, points, kind)
    return points


def ask(
    script: str,
    results_dir: Path = RESULTS,
    journal: Path = ROOT / "journal.md",
    stream: TextIO | None = None,
    out: TextIO | None = None,
) -> QuizResult:
    """Ask the quiz of ``script``; where the input ends or Ctrl-C comes, stop with a summary.

    Args:
        results_dir: where the lessons' metrics.json stand, for questions about measured numbers,
            and the log of answers.
        journal: the file that date, score and weak areas are written to, if the student says yes.
        stream, out: where answers come from and text goes to; the terminal if None.

    Raises:
        UserError: there is no quiz, it is damaged, standard input is closed, or the journal cannot
            be written.
    """
    questions, talk = load(script), _Talk(stream, out)
    points: list[float] = []
    mended: set[int] = set()
    talk.say(
        f"Quiz of {script}: {len(questions)} questions. A second try counts half; Ctrl-C ends.",
        "bold",
    )
    try:
        for i, q in enumerate(questions, 1):
            points.append(talk.pose(q, f"{i}/{len(questions)}", script, results_dir))
            _log_answer(talk, q, script, results_dir, points[-1])
        first = _result(script, questions, points, mended)
        _log_score(talk, first, results_dir)
        if first.grade == "marginal":
            _second_round(talk, questions, points, mended, script, results_dir)
    except (EOFError, KeyboardInterrupt) as e:
        talk.say(_stopped(e))
    result = _result(script, questions, points, mended)
    _summary(talk, result)
    if result.grade != "unfinished":
        _offer_journal(talk, result, journal)
    return result


def _second_round(
    talk: _Talk,
    questions: list[Question],
    points: list[float],
    mended: set[int],
    script: str,
    results_dir: Path,
) -> None:
    """Ask what was missed once more, with its reading; it mends the topic, not the score."""
    talk.say("\nNearly there. What you missed comes again: read, then answer (one try).", "bold")
    for i, first_points in enumerate(points):
        if first_points == 1:
            continue
        talk.say(f"\nRead: {questions[i].read}")
        if talk.pose(questions[i], "Again", script, results_dir, tries=1):
            mended.add(i)


def _offer_journal(talk: _Talk, result: QuizResult, journal: Path) -> None:
    """Write the result into the journal, if the student says yes."""
    answers = {"y": True, "yes": True, "n": False, "no": False}
    talk.say(f"\nWrite date, score and weak areas to {journal.name}?")
    try:
        if talk.listen("y or n", lambda line: answers.get(line.strip().lower())):
            write_quiz(result, journal)
            talk.say(f"Written to {journal.name}.")
    except (EOFError, KeyboardInterrupt) as e:
        talk.say(f"{_stopped(e)} Nothing was written.")


def _stopped(e: BaseException) -> str:
    return "\nStopped by Ctrl-C." if isinstance(e, KeyboardInterrupt) else "\nThe input ended."


def _result(
    script: str, questions: list[Question], points: list[float], mended: set[int]
) -> QuizResult:
    """Score and weak topics: those below the pass share once what the second round mended counts."""
    earned: dict[str, list[float]] = {}
    reading: dict[str, tuple[float, str]] = {}
    for i, (q, p) in enumerate(zip(questions, points, strict=False)):
        p = 1.0 if i in mended else p
        earned.setdefault(q.topic, []).append(p)
        reading[q.topic] = min(
            reading.get(q.topic, (p, q.read)), (p, q.read)
        )  # of its worst answer
    weak = []
    for topic, of_topic in earned.items():
        if sum(of_topic) / len(of_topic) < PASS:
            weak.append((topic, reading[topic][1]))
    return QuizResult(script, len(questions), tuple(points), tuple(weak))


def _summary(talk: _Talk, result: QuizResult) -> None:
    """Print the score, what it means, and what to read."""
    advice = {
        "pass": "go on to the next lesson",
        "marginal": "go over the topics below, then go on",
        "fail": "work through the lesson and the reading below, then take the quiz again",
        "unfinished": f"{len(result.points)} questions were answered; start again with --quiz",
    }
    talk.say(
        f"\n{sum(result.points):g} of {result.total} points ({result.score:.0%}), {result.grade}: "
        f"{advice[result.grade]}.",
        "bold",
    )
    if result.weak:
        talk.say("Worth reading again:")
    for topic, read in result.weak:
        talk.say(f"  - {topic}: {read}")


# -------------------------------------------------------------------- the log


def _log_answer(
    talk: _Talk,
    q: Question,
    script: str,
    results_dir: Path,
    points: float,
    kind: str = "quiz",
) -> None:
    row = {"question": q.question, "topic": q.topic, "points": points}
    _log(talk, results_dir, script, kind, row)


def _log_score(talk: _Talk, result: QuizResult, results_dir: Path) -> None:
    row = {"points": sum(result.points), "total": result.total, "grade": result.grade}
    _log(talk, results_dir, result.script, "score", row)


def _log(talk: _Talk, results_dir: Path, script: str, kind: str, row: dict[str, Any]) -> None:
    """Add one line to the log; where it cannot be written, say so once and go on with the quiz."""
    if not talk.remembers:
        return
    now = datetime.now().isoformat(timespec="seconds")
    line = json.dumps({"script": script, "date": now, "kind": kind} | row, ensure_ascii=False)

    def addition(old: bytes | None) -> bytes:
        cut = old is not None and old != b"" and not old.endswith(b"\n")  # a line that broke off
        return (("\n" if cut else "") + line + "\n").encode()

    try:
        append(Path(results_dir) / LOG, addition)
    except UserError as e:
        talk.remembers = False
        talk.say(f"(Your answers are not remembered: {e}.)", "yellow")
