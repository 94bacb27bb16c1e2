"""The quiz of a lesson: ask its questions one at a time, judge the score, keep it in the journal.

Answers come from the keyboard or a pipe. A wrong answer brings a hint and a second try that counts half.
70 % passes; from 50 % on, the missed questions come again with their reading.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any, TextIO

from tutor.journal import write_quiz
from tutor.questions import LETTERS, Question, load

from rich.console import Console

PASS, MARGINAL = 0.70, 0.50


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
        return "pass" if self.score >= PASS else "marginal" if self.score >= MARGINAL else "fail"


class _Talk:
    """One conversation: prints to ``out``, reads lines from ``stream``, raises EOFError at its end."""

    def __init__(self, stream: TextIO | None, out: TextIO | None) -> None:
        if stream is None and hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(
                errors="replace"
            )  # a pipe in another encoding must not end the quiz
        self.stream, self.console = (
            stream or sys.stdin,
            Console(file=out, highlight=False, emoji=False),
        )
        self.console.width = min(self.console.width, 100)

    def say(self, text: str, style: str = "", end: str = "\n") -> None:
        self.console.print(text, style=style, markup=False, end=end)

    def listen(self, prompt: str, parse: Any) -> Any:
        """Ask until ``parse`` makes something of a line; a line that it cannot read is not counted."""
        while True:
            self.say(f"Your answer ({prompt}): ", end="")
            if not (line := self.stream.readline()):
                raise EOFError
            if not self.stream.isatty():
                self.say(line.rstrip("\n"))  # from a pipe: show what was answered
            if (answer := parse(line)) is not None:
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
        self.say(
            q.question.replace("{value}", f"{answer / q.factor:,.6g}" if q.from_result else "")
        )
        if q.from_result:
            self.say(
                "(measured by your run)" if measured else "(an example: you have no result yet)",
                "dim",
            )
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


def ask(
    script: str,
    results_dir: Path = Path("results"),
    journal: Path = Path("journal.md"),
    stream: TextIO | None = None,
    out: TextIO | None = None,
) -> QuizResult:
    """Ask the quiz of ``script``; where the input ends, stop with a summary.

    Args:
        results_dir: where the lessons' metrics.json stand, for questions about measured numbers.
        journal: the file that date, score and weak areas are written to, if the student says yes.
        stream, out: where answers come from and text goes to; the terminal if None.

    Raises:
        UserError: there is no quiz, it is damaged, or the journal cannot be written.
    """
    questions, talk, points, mended = load(script), _Talk(stream, out), [], set()
    talk.say(
        f"Quiz of {script}: {len(questions)} questions. A second try counts half; Ctrl-C ends.",
        "bold",
    )
    try:
        for i, q in enumerate(questions, 1):
            points.append(talk.pose(q, f"{i}/{len(questions)}", script, results_dir))
        if _result(script, questions, points, mended).grade == "marginal":
            talk.say(
                "\nNearly there. What you missed comes again: read, then answer (one try).", "bold"
            )
            for i in [i for i, p in enumerate(points) if p < 1]:
                talk.say(f"\nRead: {questions[i].read}")
                if talk.pose(questions[i], "Again", script, results_dir, tries=1):
                    mended.add(i)
    except (EOFError, KeyboardInterrupt):
        talk.say("\nThe input ended.")
    result = _result(script, questions, points, mended)
    _summary(talk, result)
    if result.grade != "unfinished":
        try:
            talk.say(f"\nWrite date, score and weak areas to {journal.name}?")
            answers = {"y": True, "yes": True, "n": False, "no": False}
            if talk.listen("y or n", lambda line: answers.get(line.strip().lower())):
                write_quiz(result, journal)
                talk.say(f"Written to {journal.name}.")
        except (EOFError, KeyboardInterrupt):
            talk.say("\nThe input ended; nothing was written.")
    return result


def _result(
    script: str, questions: list[Question], points: list[float], mended: set[int]
) -> QuizResult:
    """Score, and the weak topics: below the pass share once what the second round mended counts full."""
    topics: dict[str, list[tuple[float, str]]] = {}
    for i, (q, p) in enumerate(zip(questions, points, strict=False)):
        topics.setdefault(q.topic, []).append((1.0 if i in mended else p, q.read))
    weak = {
        t: min(rows)[1] for t, rows in topics.items() if sum(p for p, _ in rows) / len(rows) < PASS
    }
    return QuizResult(script, len(questions), tuple(points), tuple(weak.items()))


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
