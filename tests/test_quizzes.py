"""The quiz files are complete, right in form and fair; the quiz scores answers from a pipe."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import tutor.quiz as quiz
from common.io import UserError
from tutor.questions import LETTERS, QUIZZES, Question, load

import pytest
import torch
from snntorch import Leaky
from snntorch import functional as SF

SCRIPTS = sorted(p.stem for p in QUIZZES.glob("*.toml") if p.stem != "topics")
TOPICS = {
    name: table["topics"]
    for name, table in tomllib.loads((QUIZZES / "topics.toml").read_text(encoding="utf-8")).items()
}
LONG = ("06", "07", "09", "13", "15", "18", "20")


def count_range(script: str) -> range:
    """How many questions a script's quiz has."""
    if script.startswith("00"):
        return range(3, 6)
    if script.startswith(("milestone", "capstone")):
        return range(6, 9)
    return range(10, 13) if script.startswith(LONG) else range(7, 10)


# -------------------------------------------------------------------- the files


def test_topics_name_every_script():
    numbers = [name[:2] for name in TOPICS if name[:2].isdigit()]
    assert sorted(numbers) == [f"{i:02d}" for i in range(21)]
    assert {"milestone_a_fashion_mnist", "capstone_pong", "capstone_gameworld"} < set(TOPICS)
    scripts = {
        p.stem
        for pattern in ("[0-9][0-9]_*.py", "milestone_*.py", "capstone_*.py")
        for p in QUIZZES.parent.glob(pattern)
    }
    assert scripts <= set(TOPICS)
    assert set(SCRIPTS) <= set(TOPICS)
    for name, topics in TOPICS.items():
        assert len(topics) == len(set(topics)) >= 3, name


@pytest.mark.parametrize("script", SCRIPTS)
def test_quiz_covers_its_topics(script: str):
    questions = load(script)
    assert {q.topic for q in questions} == set(TOPICS[script])
    assert len(questions) in count_range(script)
    assert len({q.question for q in questions}) == len(questions)


@pytest.mark.parametrize("script", SCRIPTS)
def test_half_of_the_questions_ask_to_reason_or_compute(script: str):
    questions = load(script)
    assert sum(q.skill in ("reason", "compute") for q in questions) >= len(questions) / 2
    assert len({q.kind for q in questions}) >= 3


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_form_of_a_choice_does_not_give_it_away(script: str):
    questions = [q for q in load(script) if q.kind == "choice"]
    shortest = 0
    for q in questions:
        right = len(q.options[LETTERS.index(q.answer)])
        others = [len(o) for m, o in zip(LETTERS, q.options, strict=False) if m != q.answer]
        assert right <= max(others), f"the right option is the longest: {q.question}"
        assert max(right, *others) <= 1.6 * min(right, *others), (
            f"options of unlike length: {q.question}"
        )
        shortest += right < min(others)
    assert shortest <= len(questions) / 2
    places = Counter(q.answer for q in questions)
    assert max(places.values(), default=0) <= max(
        1, math.ceil(len(questions) / 2) - (len(questions) > 4)
    )


def test_the_place_of_the_right_answer_is_balanced():
    questions = [q for script in SCRIPTS for q in load(script)]
    places = Counter(q.answer for q in questions if q.kind == "choice" and len(q.options) == 4)
    assert set(places) == set("abcd")
    assert all(0.15 <= n / places.total() <= 0.35 for n in places.values()), places
    truths = Counter(q.answer for q in questions if q.kind == "truefalse")
    assert min(truths[True], truths[False]) >= truths.total() * 0.3, truths
    assert all(list(q.answer) != sorted(q.answer) for q in questions if q.kind == "order"), (
        "already in order"
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_hint_does_not_tell_and_why_deepens(script: str):
    for q in load(script):
        assert "?" in q.hint, f"a hint asks something simpler: {q.hint}"
        assert q.hint != q.why and len(q.why) > 80, q.question
        assert re.search(r"[Ll]esson \d\d|README|https://", q.read), q.read
        if q.kind == "number":
            assert q.right(q.parse(f"{q.answer} {q.unit}"), q.answer)
            assert not q.right([q.answer * 1.3 + 1e-6], q.answer), (
                "the tolerance lets anything pass"
            )


def leaky(beta: float, inputs: list[float], **options) -> list[tuple[float, int]]:
    """(potential, spike) at each step of one snn.Leaky."""
    neuron, mem, out = Leaky(beta=beta, **options), torch.zeros(1), []
    for current in inputs:
        spk, mem = neuron(torch.tensor([current]), mem)
        out.append((mem.item(), int(spk.item())))
    return out


def the(script: str, words: str) -> Question:
    """The one question that has these words in it."""
    found = [q for q in load(script) if words in q.question]
    assert len(found) == 1, words
    return found[0]


def test_lif_answers_agree_with_snntorch():
    q = the("01_lif_neuron", "largest I")
    assert not any(s for _, s in leaky(0.9, [q.answer * 0.999] * 500))
    assert any(s for _, s in leaky(0.9, [q.answer * 1.01] * 500))

    q = the("01_lif_neuron", "What is U[t+1]")
    assert leaky(0.5, [1.3, 0.4])[1][0] == pytest.approx(q.answer)

    q = the("01_lif_neuron", "One input of 3.0")
    pulse = [3.0] + [0.0] * 20
    counts = [
        sum(s for _, s in leaky(0.8, pulse, reset_mechanism=r))
        for r in ("subtract", "zero", "none")
    ]
    assert q.options[LETTERS.index(q.answer)] == "subtract {}, zero {}, none {}".format(*counts)

    q = the("01_lif_neuron", "fall behind reset to zero")
    for start, lower in ((q.answer - 0.05, True), (q.answer + 0.05, False)):
        after = {r: leaky(0.8, [start, 0.3], reset_mechanism=r)[1][0] for r in ("subtract", "zero")}
        assert (after["subtract"] < after["zero"]) is lower

    spikes = [t for t, (_, s) in enumerate(leaky(0.999, [0.1] * 400, reset_mechanism="zero")) if s]
    assert len(set(b - a for a, b in zip(spikes, spikes[1:], strict=False))) == 1
    assert the("01_lif_neuron", "ever longer intervals").answer is False
    assert the("01_lif_neuron", "steps of 0.5 ms").answer == pytest.approx(math.sqrt(0.9), abs=1e-4)


def test_network_answers_agree_with_snntorch():
    q = the("08_feedforward_snn", "Nobody resets")
    assert leaky(0.9, [0.95] + [0.0] * 10)[-1][0] == pytest.approx(q.answer, abs=q.tolerance)
    assert the("08_feedforward_snn", "784–100–10").answer == (100 + 10) * 64

    from snntorch import utils

    block = torch.nn.Sequential(torch.nn.Linear(3, 3), Leaky(0.9, init_hidden=True))
    net = torch.nn.Sequential(
        block, torch.nn.Sequential(torch.nn.Linear(3, 3), Leaky(0.9, init_hidden=True))
    )
    net(torch.ones(1, 3) * 5)
    utils.reset(net)
    assert block[1].mem.abs().sum() > 0
    assert torch.zeros(4, 10).argmax(1).tolist() == [0] * 4


def test_training_answers_agree_with_snntorch():
    # δ[1] over δ[20]: what the mean of U owes to a push at the first step, and at the last
    cur = torch.zeros(20, 1)
    cur[4] = cur[8] = cur[13] = 3.0
    cur.requires_grad_()
    mem, neuron, mem_rec = torch.zeros(1), Leaky(0.8), []
    for cur_t in cur:
        _, mem = neuron(cur_t, mem)
        mem_rec.append(mem)
    torch.stack(mem_rec).mean().backward()
    q = the("09_training_bptt", "as δ[20] is δ[1]")
    assert q.right([(cur.grad[0] / cur.grad[-1]).item()], q.answer)

    spk_rec, target = torch.zeros(10, 1, 10), torch.tensor([3])
    spk_rec[::2, :, 3] = 1
    q = the("09_training_bptt", "value of ce_rate_loss")
    assert q.right([SF.ce_rate_loss()(spk_rec, target).item()], q.answer)
    assert SF.ce_count_loss()(spk_rec, target).item() == pytest.approx(0.06, abs=5e-3)

    def punished(right: int, wrong: int) -> float:
        """Ten times the squared distances of the right neuron and one wrong one; the rest are content."""
        spk_rec = torch.zeros(10, 1, 10)
        spk_rec[:2] = 1
        spk_rec[:, 0, 0], spk_rec[:, 0, 1] = 0, 0
        spk_rec[:right, 0, 0], spk_rec[:wrong, 0, 1] = 1, 1
        loss = SF.mse_count_loss(correct_rate=0.8, incorrect_rate=0.2)
        return loss(spk_rec, torch.tensor([0])).item()

    changes = {
        "a": punished(7, 2) - punished(6, 2),
        "b": punished(10, 2) - punished(8, 2),
        "c": punished(8, 2) - punished(8, 0),
        "d": punished(8, 3) - punished(8, 2),
    }
    order = "".join(sorted(changes, key=changes.__getitem__))
    assert the("09_training_bptt", "mse_count_loss").answer == order

    def temporal(right: int, others: int) -> float:
        spk_rec = torch.zeros(10, 1, 10)
        spk_rec[others - 1, 0, :] = 1
        spk_rec[:, 0, 0] = 0
        spk_rec[right - 1, 0, 0] = 1
        return SF.ce_temporal_loss()(spk_rec, torch.tensor([0])).item()

    assert temporal(2, 3) == pytest.approx(1.46, abs=0.01)
    assert temporal(6, 9) == pytest.approx(0.37, abs=0.01)
    assert the("09_training_bptt", "lower ce_temporal_loss").answer == "c"

    rnn, lif = torch.ones(()), torch.ones(())
    for _ in range(10):
        rnn, lif = rnn * 1.25 * 0.8, lif * 0.9
    q = the("09_training_bptt", "in the RNN 10 steps earlier")
    assert q.right([(rnn / lif).item()], q.answer)


@pytest.mark.parametrize("script", SCRIPTS)
def test_measured_numbers_are_claims_of_the_lesson(script: str):
    committed = QUIZZES.parent / "docs" / "results" / f"{script}.json"
    wanted = {q.from_result for q in load(script) if q.from_result}
    if not committed.is_file() or not wanted:
        pytest.skip("no number of a run is asked for, or no run is committed yet")
    assert wanted <= {c["id"] for c in json.loads(committed.read_text(encoding="utf-8"))["claims"]}


# -------------------------------------------------------------------- hostile files

GOOD = """[[question]]
topic = "t"
kind = "choice"
question = "q"
options = ["one", "two"]
answer = "a"
why = "w"
hint = "h"
read = "r"
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kind", 'kind = "essay"'), "allowed are choice"),
        (("answer", 'answer = "c"'), "expected a letter from a to b"),
        (("answer", "answer = 1"), "got answer 1"),
        (("answer", ""), "got answer None"),
        (("options", 'options = ["one", "one"]'), "different texts"),
        (("options", 'options = ["one"]'), "needs 2 to 8"),
        (("options", 'options = "one two"'), "different texts"),
        (("why", 'why = " "'), "'why' must be a text"),
        (("hint", "hint = 3"), "'hint' must be a text"),
        (("read", ""), "'read' must be a text"),
        (("topic", 'topic = "t"\ncolour = "red"'), "unknown field colour"),
        (("topic", 'topic = "t"\nskill = "guess"'), "'skill' must be"),
        (("topic", 'topic = "t"\ntolerance = 1'), "number questions only"),
        (("question", 'question = "{value}?"'), "needs 'from_result'"),
        (("kind", 'kind = "number"\nanswer = 1'), "cannot be read as TOML"),
        (("topic", 'topic = "t'), "cannot be read as TOML"),
        (("[[question]]", "[question]"), "expected [[question]] tables"),
        (("[[question]]", "question = [1, 2]\n[x]"), "expected [[question]] tables"),
    ],
    ids=lambda v: None if isinstance(v, tuple) else v,
)
def test_damaged_quiz_is_one_clear_line(tmp_path: Path, change: tuple[str, str], message: str):
    start, line = change
    lines = [line if row.startswith(start) else row for row in GOOD.splitlines()]
    (tmp_path / "bad.toml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load("bad", tmp_path)
    assert "bad.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('answer = "two"\ntolerance = 1', "expected a number"),
        ("answer = true\ntolerance = 1", "expected a number"),
        ("answer = nan\ntolerance = 1", "expected a number"),
        ("answer = 1.0", "'tolerance'"),
        ("answer = 1.0\ntolerance = -1", "'tolerance'"),
        ('answer = 1.0\ntolerance = "a lot"', "'tolerance'"),
        ("answer = 1.0\ntolerance = 1\nfactor = 0", "'factor'"),
        ('answer = 1.0\ntolerance = 1\noptions = ["a", "b"]', "needs none"),
    ],
)
def test_damaged_number_question(tmp_path: Path, lines: str, message: str):
    kept = [row for row in GOOD.splitlines() if not row.startswith(("kind", "options", "answer"))]
    (tmp_path / "bad.toml").write_text(
        "\n".join([*kept, 'kind = "number"', lines]), encoding="utf-8"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        load("bad", tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"x = " + b"[" * 5000])
def test_file_that_is_no_quiz(tmp_path: Path, content: bytes):
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(UserError, match="bad.toml"):
        load("bad", tmp_path)


@pytest.mark.parametrize("name", ["99_nothing", "../topics", "", "a/b"])
def test_unknown_quiz_lists_what_there_is(name: str):
    with pytest.raises(UserError, match="01_lif_neuron"):
        load(name)


# -------------------------------------------------------------------- answers as people type them


def question(kind: str, answer, **more) -> Question:
    return Question(
        topic=kind,
        kind=kind,
        question=f"{kind} [b]?[/b] :smile: β",
        answer=answer,
        why="WHY",
        hint="HINT",
        read="READ " + kind,
        **more,
    )


CHOICE = question("choice", "b", options=("one", "two", "three"))
NUMBER = question("number", 12.5, tolerance=0.1, unit="ms")
LARGE = question("number", 1250.0, tolerance="1 %", unit="bytes")
TRUTH = question("truefalse", True)
ORDER = question("order", "cab", options=("one", "two", "three"))


@pytest.mark.parametrize(
    ("q", "text"),
    [
        *((CHOICE, t) for t in ("b", "B", "2", " b) ", "b.", "(b)")),
        *((NUMBER, t) for t in ("12.5", "12,5", "12.5 ms", "12,5MS", "1.25e1", "+12.45")),
        *((LARGE, t) for t in ("1250", "1,250", "1 250", "1_250", "1250 bytes", "1260")),
        *((TRUTH, t) for t in ("t", "T", "true", "True ")),
        *((ORDER, t) for t in ("c a b", "3 1 2", "cab", "c, a, b", "C>A>B", "c → a → b", "312")),
    ],
)
def test_right_answers_are_understood(q: Question, text: str):
    assert q.right(q.parse(text), q.answer)


@pytest.mark.parametrize(
    ("q", "text"),
    [
        *((CHOICE, t) for t in ("", "d", "0", "9", "ab", "two", "²")),
        *(
            (NUMBER, t)
            for t in ("", "ms", "12.5 s", "twelve", "nan", "inf", "1e999", "1.2.3", "--1", "٣")
        ),
        *((TRUTH, t) for t in ("", "maybe", "1", "tf")),
        *((ORDER, t) for t in ("", "c a", "c a a", "c a b b", "c a d", "4 1 2")),
    ],
)
def test_what_is_no_answer(q: Question, text: str):
    assert q.parse(text) is None


@pytest.mark.parametrize(
    ("q", "text"),
    [
        (CHOICE, "a"),
        (NUMBER, "12.7"),
        (NUMBER, "−12.5"),
        (LARGE, "1.25"),
        (TRUTH, "f"),
        (ORDER, "a b c"),
    ],
)
def test_wrong_answers_are_wrong(q: Question, text: str):
    assert not q.right(q.parse(text), q.answer)


# -------------------------------------------------------------------- scoring

WRONG = {"choice": "a", "number": "-1", "truefalse": "f", "order": "abc"}
FOUR = [CHOICE, NUMBER, TRUTH, ORDER]


def typed(q: Question) -> str:
    """The right answer as one would type it."""
    return {True: "t", False: "f"}[q.answer] if q.kind == "truefalse" else str(q.answer)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Ask questions with these lines typed in; returns the result and what was printed."""

    def run(lines: list[str], questions: list[Question] = FOUR, **options):
        monkeypatch.setattr(quiz, "load", lambda script: questions)
        out = io.StringIO()
        options = {"results_dir": tmp_path, "journal": tmp_path / "journal.md", **options}
        result = quiz.ask(
            "x", stream=io.StringIO("".join(f"{x}\n" for x in lines)), out=out, **options
        )
        return result, " ".join(out.getvalue().split())

    return run


@pytest.mark.parametrize("script", SCRIPTS)
def test_all_right_passes(script: str, tmp_path: Path):
    questions = load(script)
    answers = io.StringIO("\n".join([typed(q) for q in questions] + ["n"]))
    result = quiz.ask(script, tmp_path, tmp_path / "j.md", stream=answers, out=io.StringIO())
    assert (result.score, result.grade, result.weak) == (1.0, "pass", ())
    assert not (tmp_path / "j.md").exists()


@pytest.mark.parametrize("script", SCRIPTS)
def test_all_wrong_fails_and_names_every_topic(script: str, tmp_path: Path):
    lines = []
    for q in load(script):
        wrong = (
            next(m for m in LETTERS if m != q.answer)
            if q.kind == "choice"
            else (
                "".join(sorted(q.answer))
                if q.kind == "order"
                else "f"
                if q.answer is True
                else "t"
                if q.answer is False
                else "-99999"
            )
        )
        lines += [wrong, wrong]
    out = io.StringIO()
    result = quiz.ask(
        script,
        results_dir=tmp_path,
        journal=tmp_path / "j.md",
        out=out,
        stream=io.StringIO("\n".join([*lines, "n"])),
    )
    assert (result.score, result.grade) == (0.0, "fail")
    assert {t for t, _ in result.weak} == set(TOPICS[script])
    assert all(read for _, read in result.weak)
    assert "fail" in out.getvalue()


def test_second_try_counts_half(run):
    result, text = run(["a", "b", "12.5", "t", "cab", "n"])
    assert result.points == (0.5, 1, 1, 1) and result.grade == "pass"
    assert result.weak == (("choice", "READ choice"),)
    assert text.count("HINT") == 1 and text.count("WHY") == 4
    assert text.index("HINT") < text.index("WHY")


def test_markup_in_a_question_is_printed_as_it_stands(run):
    assert "[b]?[/b] :smile: β" in run([])[1]


def test_garbage_is_asked_again_and_not_counted(run):
    result, text = run(
        ["", "zebra", "b", "12.5 apples", "12,5 ms", "yes?", "t", "c a", "c a b", "what", "n"]
    )
    assert result.points == (1, 1, 1, 1)
    assert text.count("not counted") == 6


@pytest.mark.parametrize(
    ("lines", "points"),
    [([], ()), (["b"], (1,)), (["b", "1"], (1,)), (["b", "1", "12.5", "nonsense"], (1, 0.5))],
)
def test_end_of_input_ends_with_a_summary(
    run, tmp_path: Path, lines: list[str], points: tuple[float, ...]
):
    result, text = run(lines)
    assert result.points == points and result.grade == "unfinished"
    assert "The input ended." in text and "start again with --quiz" in text
    assert not (tmp_path / "journal.md").exists()


def test_end_of_input_at_the_journal_prompt(run, tmp_path: Path):
    result, text = run(["b", "12.5", "t", "cab"])
    assert result.grade == "pass" and "Nothing was written" in text
    assert not (tmp_path / "journal.md").exists()


def logged(folder: Path) -> list[dict]:
    """The lines of the quiz log."""
    path = folder / quiz.LOG
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


class Interrupted(io.StringIO):
    """A keyboard at which Ctrl-C is pressed."""

    def readline(self, *_):
        raise KeyboardInterrupt


def test_ctrl_c_ends_with_a_summary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(quiz, "load", lambda script: FOUR)
    out = io.StringIO()
    result = quiz.ask("x", tmp_path, tmp_path / "j.md", stream=Interrupted(), out=out)
    assert result.grade == "unfinished" and "Stopped by Ctrl-C." in out.getvalue()
    assert logged(tmp_path) == []


@pytest.mark.parametrize(
    ("right", "grade"), [(10, "pass"), (7, "pass"), (6, "marginal"), (5, "marginal"), (4, "fail")]
)
def test_thresholds(run, right: int, grade: str):
    result, text = run(["b"] * right + ["a"] * 2 * (10 - right) + ["a"] * 10 + ["n"], [CHOICE] * 10)
    assert result.score == right / 10 and result.grade == grade
    assert ("Again" in text) is (grade == "marginal")


def test_marginal_asks_what_was_missed_again_with_its_reading(run):
    missed = ["b", "-1", "-1", "t", "abc", "abc"]
    result, text = run([*missed, "12.5", "abc", "n"])
    assert (
        result.grade == "marginal" and result.score == 0.5
    )  # the second round mends topics, not the score
    assert result.weak == (("order", "READ order"),)
    assert text.count("Again ·") == 2 and text.index("Read: READ number") < text.index(
        "Again · number"
    )


def test_measured_number_is_read_from_the_result(run, tmp_path: Path):
    measured = question("number", 30.0, tolerance="1 %", from_result="speed", factor=10.0)
    (tmp_path / "x").mkdir()
    path = tmp_path / "x" / "metrics.json"
    path.write_text(json.dumps({"claims": [{"id": "speed", "value": 7.0}]}), encoding="utf-8")
    assert run(["70", "n"], [measured])[0].score == 1
    assert "your run" in run(["70", "n"], [measured])[1]
    claim = '{"claims": [{"id": "%s", "value": %s}]}'
    for damaged in (
        "",
        "{",
        "[]",
        '{"claims": 3}',
        claim % ("other", "7"),
        claim % ("speed", "NaN"),
        claim % ("speed", '"fast"'),
    ):
        path.write_text(damaged, encoding="utf-8")
        result, text = run(["30", "n"], [measured])
        assert result.score == 1 and "no result" in text, damaged


def test_value_in_the_question_is_the_claim(run, tmp_path: Path):
    q = Question(
        "t", "number", "got {value} {x}", 30.0, "w", "h", "r", from_result="speed", factor=0.001
    )
    assert "got 30,000 {x}" in run([], [q])[1]


def test_score_goes_to_the_journal_on_yes(run, tmp_path: Path):
    _, text = run(["a", "b", "12.5", "t", "cab", "y"])
    entry = (tmp_path / "journal.md").read_text(encoding="utf-8")
    assert "Written to journal.md" in text
    assert (
        "## Quiz: x" in entry and "3.5 of 4 points (88%), pass" in entry and "READ choice" in entry
    )


def by_a_shell(folder: Path, stdin: str, answers: bytes | None = None):
    """Take the first quiz in a process of its own; ``stdin`` is what a shell would write for it."""
    script = (
        "from pathlib import Path; from common.io import one_line_errors; from tutor.quiz import ask\n"
        f"with one_line_errors(): ask({SCRIPTS[0]!r}, Path({str(folder)!r}), Path('j.md'))"
    )
    command = [sys.executable, "-c", script]
    if stdin:
        command = ["sh", "-c", f'exec "$@" {stdin}', "sh", *command]
    return subprocess.run(
        command,
        input=answers,
        capture_output=True,
        cwd=QUIZZES.parent,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=120,
    )


def test_quiz_by_a_real_pipe(tmp_path: Path):
    """Bytes that are no text end in a summary, not in a traceback."""
    done = by_a_shell(tmp_path, "", b"b\n\xff\xfe\n")
    assert done.returncode == 0, done.stderr.decode()
    assert "The input ended." in done.stdout.decode() and not done.stderr


@pytest.mark.skipif(os.name == "nt", reason="redirection of a POSIX shell")
@pytest.mark.parametrize("stdin", ["<&-", "</dev/null"])
def test_quiz_without_any_input(stdin: str, tmp_path: Path):
    done = by_a_shell(tmp_path, stdin)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in out + err
    if stdin == "<&-":
        assert done.returncode == 2 and out == "" and err.count("\n") == 1
        assert err.startswith("error: got a closed standard input")
    else:
        assert done.returncode == 0 and err == "" and "0 questions were answered" in out


# -------------------------------------------------------------------- the log


def test_every_answer_and_the_score_are_logged(run, tmp_path: Path):
    run(["a", "b", "-1", "-1", "t", "cab", "n"])
    rows = logged(tmp_path)
    *answers, score = rows
    assert [row["points"] for row in answers] == [0.5, 0, 1, 1]
    assert [row["topic"] for row in answers] == ["choice", "number", "truefalse", "order"]
    assert all(row["question"] == q.question for row, q in zip(answers, FOUR, strict=True))
    assert all(row["kind"] == "quiz" and row["script"] == "x" for row in answers)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", row["date"]) for row in rows)
    wanted = {"script": "x", "kind": "score", "points": 2.5, "total": 4, "grade": "marginal"}
    assert score | wanted == score


def test_an_unfinished_quiz_logs_its_answers_but_no_score(run, tmp_path: Path):
    run(["b", "12.5"])
    assert [row["kind"] for row in logged(tmp_path)] == ["quiz", "quiz"]


def test_the_second_round_is_not_logged(run, tmp_path: Path):
    run(["b", "-1", "-1", "t", "abc", "abc", "12.5", "abc", "n"])
    rows = logged(tmp_path)
    assert [row["kind"] for row in rows] == ["quiz"] * 4 + ["score"]


def test_a_line_that_broke_off_is_left_as_it_is(run, tmp_path: Path):
    """Readers leave it out; the next answer starts a line of its own."""
    broken = b'\xff\xfe{"script": "y", "da'
    log = tmp_path / quiz.LOG
    log.write_bytes(broken)
    run(["b"])
    first, second = log.read_bytes().splitlines()
    assert first == broken and json.loads(second)["points"] == 1


def test_a_log_that_cannot_be_written_does_not_end_the_quiz(run, tmp_path: Path):
    (tmp_path / quiz.LOG).mkdir()
    result, text = run(["b", "12.5", "t", "cab", "n"])
    assert result.grade == "pass" and text.count("not remembered") == 1


def test_pose_asks_one_question_and_logs_it(tmp_path: Path):
    out = io.StringIO()
    points = quiz.pose(CHOICE, "x", tmp_path, io.StringIO("a\nb\n"), out)
    assert points == 0.5 and "HINT" in out.getvalue()
    quiz.pose(TRUTH, "x", tmp_path, io.StringIO("f\n"), out, kind="review")
    rows = logged(tmp_path)
    assert [(row["kind"], row["points"]) for row in rows] == [("quiz", 0.5), ("review", 0)]
    with pytest.raises(EOFError):
        quiz.pose(CHOICE, "x", tmp_path, io.StringIO(""), out)
    assert len(logged(tmp_path)) == 2
