"""course.py: every command on an empty and on a filled folder, with wrong words and damaged files."""

from __future__ import annotations

import codeop
import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import course
from common.io import UserError, write_json
from tutor import exercises, journal, notebook, progress, prompts, quiz, record, review, watch
from tutor import publish as publishing
from tutor.questions import load as load_quiz

import pytest
from helpers import ROOT

NAMES = ("01_lif_neuron", "09_training_bptt", "milestone_a_fashion_mnist", "capstone_pong")
NOW = datetime(2026, 3, 10, 12, 0)
EXERCISE = '''"""01{letter}  A number, {letter}

Return twice x. About 1 minute.
"""

from tutor.exercises import Exercise, expect


def twice(x):
    {body}


# ---- nothing to edit below this line


def check(twice):
    """doubles"""
    expect(twice(2.0), 4.0, "2·x")


EXERCISE = Exercise(solve=twice, checks=(check,), hints=("a", "b", "c"), why="Twice is twice.")
'''
RIGHT, BLANK = "return 2 * x", "raise NotImplementedError"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with four scripts and nothing done."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f'"""{name}"""\n', encoding="utf-8")
    (tmp_path / "exercises" / "solutions").mkdir(parents=True)
    monkeypatch.setattr(record, "FOLDER", tmp_path / "exercises")
    monkeypatch.setattr(record, "SOLUTIONS", tmp_path / "exercises" / "solutions")
    monkeypatch.setattr(record, "RECORD", tmp_path / "results" / "exercises.json")
    for module in (review, progress):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(progress, "QUIZZES", tmp_path / "quizzes")
    monkeypatch.setattr(progress, "JOURNAL", tmp_path / "journal.md")
    for module in (progress, prompts, course):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def call(*argv: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            course.main(argv)
        except SystemExit as e:
            code = int(e.code or 0)
    return code, out.getvalue(), err.getvalue()


def ok(*argv: str) -> str:
    code, out, err = call(*argv)
    assert (code, err) == (0, ""), err
    return out


def refused(*argv: str) -> str:
    code, out, err = call(*argv)
    assert code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1, err
    return err


def write_exercise(home: Path, letter: str, body: str) -> Path:
    path = home / "exercises" / f"01{letter}_a_number.py"
    path.write_text(EXERCISE.format(letter=letter, body=body), encoding="utf-8")
    solution = f'"""Solution."""\n\n\ndef twice(x):\n    {RIGHT}\n'
    (home / "exercises" / "solutions" / path.name).write_text(solution, encoding="utf-8")
    return path


def write_run(path: Path, *met: bool | None) -> None:
    write_json(
        path, {"lesson": path.parent.name, "scale": "default", "claims": [{"met": m} for m in met]}
    )


def log(home: Path, *rows: dict) -> None:
    path = home / "results" / "quiz_log.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def score(points: float, total: int = 8, grade: str = "pass", script: str = NAMES[0]) -> dict:
    row = {"script": script, "date": NOW.isoformat(), "kind": "score"}
    return row | {"points": points, "total": total, "grade": grade}


def answer(day: int, points: float, kind: str = "quiz", which: int = 0) -> dict:
    q = load_quiz(NAMES[0])[which]
    date = (NOW + timedelta(days=day)).isoformat()
    row = {"script": NAMES[0], "date": date, "kind": kind, "question": q.question}
    return row | {"topic": q.topic, "points": points}


def line_of(name: str, table: str) -> list[str]:
    return next(line for line in table.splitlines() if line.startswith(name)).split()


# -------------------------------------------------------------------- the table, and what comes next


def test_nothing_done(home: Path) -> None:
    out = ok()
    assert out == ok("status")
    for name in NAMES:
        assert line_of(name, out) == [name, "–", "–", "–", "–", "no"]
    assert [line.split()[0] for line in out.splitlines()[2:6]] == list(NAMES)
    assert out.splitlines()[-1] == "next  uv run 01_lif_neuron.py --predict"
    assert ok("next") == "uv run 01_lif_neuron.py --predict    01_lif_neuron has not been run yet\n"
    assert "no exercises" in ok("check") and "nothing is due" in ok("review")
    assert {p.name for p in home.iterdir()} == {"exercises", *(f"{n}.py" for n in NAMES)}


def test_no_course_at_all(home: Path) -> None:
    for name in NAMES:
        (home / f"{name}.py").unlink()
    assert "got no lesson scripts" in refused() and "got no lesson scripts" in refused("next")


def test_one_lesson_step_by_step(home: Path) -> None:
    """Run, exercises, quiz, journal, then the next script: each is what `next` says until it is done."""
    a, b = write_exercise(home, "a", BLANK), write_exercise(home, "b", BLANK)
    name, results = NAMES[0], home / "results"
    write_run(results / "smoke" / name / "metrics.json", None)
    assert "smoke run only" in ok("next")
    write_run(results / name / "metrics_only_3.json", True)
    assert "smoke run only" in ok("next"), "a smoke run is a whole one"
    write_run(results / name / "metrics.json", True, True, False, None)
    today = datetime.now()
    cells = line_of(name, ok())
    assert cells[1:] == ["default", str(today.day), f"{today:%b}", "2/3", "0/2", "–", "no"]
    assert ok("next").startswith(f"uv run exercises/{a.name}    0 of 2 exercises")
    write_exercise(home, "a", RIGHT)
    assert "✓ doubles" in ok("check", "01a")
    assert ok("next").startswith(f"uv run exercises/{b.name}    1 of 2 exercises")
    write_exercise(home, "b", RIGHT)
    assert "2 of 2 right" in ok("check", "1")
    assert "2/2" in line_of(name, ok())
    write_exercise(home, "b", RIGHT + "  # better")
    out = ok()
    assert "1/2 ~1" in out and "changed since it passed" in out
    assert "it was changed since it passed" in ok("next")
    ok("check")
    (home / "quizzes").mkdir()
    (home / "quizzes" / f"{name}.toml").touch()
    assert ok("next") == f"uv run {name}.py --quiz    the quiz of {name} has not been taken\n"
    log(home, score(3, grade="fail"))
    assert ok("next").startswith(f"uv run {name}.py --quiz    3 of 8 points")
    log(home, score(4.5, grade="marginal"), score(6.5))
    assert line_of(name, ok())[6:] == ["81", "%", "no"]
    assert ok("next").startswith("uv run course.py journal 01    01_lif_neuron has no entry")
    assert "is entered" in ok("journal", "01")
    assert line_of(name, ok())[-1] == "yes"
    assert ok("next") == f"uv run {NAMES[1]}.py --predict    {NAMES[1]} has not been run yet\n"
    write_run(results / "full" / NAMES[1] / "metrics.json", True)
    assert line_of(NAMES[1], ok())[1] == "full"
    (home / "journal.md").write_text("## Lesson 01\n\n## 09 Training\n", encoding="utf-8")
    assert "--check my_net.py" in ok("next"), "the milestone is the student's own"
    write_run(results / NAMES[2] / "metrics.json", True)
    assert "--check my_net.py" in ok("next"), "a run of the reference is not the student's network"
    write_run(results / NAMES[2] / "metrics_check.json", True, False)
    assert line_of(NAMES[2], ok())[1] == "check" and "1/2" in line_of(NAMES[2], ok())
    assert ok("next").startswith(f"uv run course.py journal {NAMES[2]}")
    ok("journal", "milestone")
    assert ok("next").startswith("uv run capstone_pong.py --help")
    write_run(results / NAMES[3] / "metrics.json", True)
    ok("journal", "capstone")
    assert "everything is done" in ok("next")


def test_questions_that_are_due_come_first(home: Path) -> None:
    log(home, answer(0, 0.0), answer(0, 0.5, which=1))
    assert ok("next") == "uv run course.py review    2 questions that you missed are due again\n"
    assert ok().splitlines()[-1] == "next  uv run course.py review"


def test_damaged_files_are_marked_and_the_table_still_comes(home: Path) -> None:
    write_exercise(home, "a", BLANK)
    name = NAMES[0]
    log(home, score(8))
    with (home / "results" / "quiz_log.jsonl").open("ab") as file:
        file.write(
            b'{"script": "01\n[]\n\xff\xfe\n3\n{"kind": "score", "script": 1, "date": "x"}\n'
        )
    log(
        home, score(0, total=0), {"script": name, "date": "2026-01-01", "kind": "quiz", "points": 9}
    )
    record.RECORD.write_text("{", encoding="utf-8")
    (home / "journal.md").write_bytes(b"\xff\xfe## 01\n")
    for text in ("{", "[]", '{"claims": 3}', '{"claims": [1]}', ""):
        path = home / "results" / name / "metrics.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        out = ok()
        cells = line_of(name, out)
        assert cells[1] == "default" and cells[4:] == ["?", "0/1", "100", "%", "no"]
        for what in (
            "exercises.json is damaged",
            "journal.md cannot be read",
            "the default result",
        ):
            assert out.count(what) == 1, what
        assert "?  quiz_log.jsonl is damaged and left out in line 2, 3, 4, 5, 6 …;" in out
        assert ok("next") == f"uv run {name}.py    the result of its last run is damaged\n"
        assert "damaged" in refused("journal", "01")


def test_the_real_course_fits_80_columns() -> None:
    out = ok()
    assert all(len(line) <= 80 for line in out.splitlines() if line[:1] not in "?~")
    lines = out.splitlines()
    scripts = [line.split()[0] for line in lines[2 : 2 + len(prompts.scripts())]]
    assert scripts == prompts.scripts()
    assert scripts[0] == "00_environment_test" and scripts.index(NAMES[2]) == 10


def test_widest_cells_fit_80_columns() -> None:
    s = progress.Standing(
        "11_neuromorphic_data_tonic", "notebook", datetime(2026, 11, 28), 10, 12, has_quiz=True,
        exercises=((Path("x"), "passed"), (Path("y"), "changed")), quiz=score(8), journal=True,
    )  # fmt: skip
    lines = progress.table(progress.Progress((s,), (), 0))
    assert all(len(line) <= 80 for line in lines)


def test_an_old_run_shows_its_year() -> None:
    assert progress._day(datetime(2019, 5, 1)) == "2019"


# -------------------------------------------------------------------- wrong words


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["chek"], "got chek, allowed is status, next, check, watch, review"),
        (["check", "99"], "got 99, which is no exercise; there are: 01a"),
        (["check", ""], "got nothing, which is no exercise"),
        (["watch", "zz"], "got zz, which is no exercise"),
        (["watch", "01a", "01b"], "unrecognized arguments: 01b"),
        (["notebook"], "SCRIPT"),
        (["notebook", "77"], "got 77: expected a script's number or name"),
        (["notebook", ""], "got nothing"),
        (["journal", "m", "--x"], "--x"),
        (["journal", "09"], "got no run of 09_training_bptt"),
        (["publish"], "SCRIPT"),
        (["publish", "zz"], "got zz"),
        (["--status"], "--status"),
        (["review", "today"], "today"),
    ],
)
def test_wrong_words_are_one_line(home: Path, argv: list[str], expected: str) -> None:
    write_exercise(home, "a", BLANK)
    assert expected in refused(*argv)


def test_a_word_that_fits_two_scripts(home: Path) -> None:
    (home / "09_another.py").touch()
    assert "got 09: that may be 09_another or 09_training_bptt" in refused("notebook", "09")


@pytest.mark.parametrize(
    "word", ["1", "01", "01_lif_neuron", "01_lif_neuron.py", "./01_lif_neuron.py"]
)
def test_a_script_may_be_called_in_many_ways(home: Path, word: str) -> None:
    assert progress.find_script(word) == NAMES[0]


def test_help_names_every_command(home: Path) -> None:
    out = ok("--help")
    for command in ("status", "next", "check", "watch", "review", "journal", "notebook", "publish"):
        assert f"    {command} " in out
        assert "usage: course.py" in ok(command, "--help")


def test_as_a_program_without_torch(tmp_path: Path) -> None:
    """The table comes at once: nothing loads torch. And it works from any folder."""
    code = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__'); assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "course.py")],
        cwd=tmp_path, capture_output=True, encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == "" and "next  uv run " in done.stdout
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------- check and watch


def test_check_says_each_and_ends_with_1(home: Path) -> None:
    write_exercise(home, "a", RIGHT)
    write_exercise(home, "b", BLANK)
    write_exercise(home, "c", "return 3 * x")
    (home / "exercises" / "01d_broken_file.py").write_text("def f(:\n", encoding="utf-8")
    code, out, err = call("check")
    assert code == 1 and err == "" and "Traceback" not in out
    assert "01a  A number, a\n  ✓ doubles\n" in out
    assert "still blank: open exercises/01b_a_number.py and write twice." in out
    assert "✗ 2·x is 6, expected 4." in out
    assert "01d  broken file\n  ✗ 01d_broken_file.py, line 1 (def f(:): SyntaxError" in out
    assert out.endswith("\n1 of 4 right\n")
    assert "Why:" not in out and "Why: Twice is twice." in ok("check", "01a")
    assert list(record.passed()) == ["01a"]
    for word in ("1a", "01a_a_number.py", "exercises/01a_a_number.py"):
        assert "✓ doubles" in ok("check", word)


@pytest.fixture
def watching(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, list[str], object]]:
    """The folder, the names of the files that were checked, and a function that starts watching."""
    checked: list[str] = []

    def check_file(path: Path, brief: bool = False) -> bool:
        checked.append(f"{path.name} {exercises.load(path).try_().passed}")
        return True

    monkeypatch.setattr(watch, "check_file", check_file)
    stop = threading.Event()
    threads = []

    def start(word: str = "") -> None:
        thread = threading.Thread(target=watch.watch, args=(word, stop))
        thread.start()
        threads.append(thread)
        time.sleep(0.5)  # until the system reports changes

    yield home, checked, start
    stop.set()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()


def wait_for(checked: list[str], entry: str) -> None:
    deadline = time.monotonic() + 15
    while entry not in checked:
        assert time.monotonic() < deadline, checked
        time.sleep(0.05)


def test_watch_follows_what_is_saved(watching) -> None:
    home, checked, start = watching
    a = write_exercise(home, "a", BLANK)
    b = write_exercise(home, "b", BLANK)
    start()
    assert checked == []
    a.write_text(a.read_text(encoding="utf-8").replace(BLANK, RIGHT), encoding="utf-8")
    wait_for(checked, f"{a.name} True")
    new = b.with_suffix(".new")  # many editors write beside the file, and rename
    new.write_text(b.read_text(encoding="utf-8").replace(BLANK, RIGHT), encoding="utf-8")
    new.replace(b)
    wait_for(checked, f"{b.name} True")


def test_watch_of_one_exercise(watching) -> None:
    home, checked, start = watching
    a = write_exercise(home, "a", BLANK)
    b = write_exercise(home, "b", BLANK)
    start("01a")
    assert checked == [f"{a.name} False"], "checked at the start"
    b.write_text(b.read_text(encoding="utf-8").replace(BLANK, RIGHT), encoding="utf-8")
    a.write_text(a.read_text(encoding="utf-8").replace(BLANK, RIGHT), encoding="utf-8")
    wait_for(checked, f"{a.name} True")
    assert not any(entry.startswith(b.name) for entry in checked)


def test_watch_survives_a_file_that_breaks_or_goes(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_exercise(home, "a", BLANK)
    stop = threading.Event()
    thread = threading.Thread(target=watch.watch, args=("", stop))
    thread.start()
    time.sleep(0.5)
    path.write_text("def f(:\n", encoding="utf-8")
    out, deadline = "", time.monotonic() + 15
    while "SyntaxError" not in out:
        assert time.monotonic() < deadline, out
        time.sleep(0.05)
        out += capsys.readouterr().out
    path.unlink()
    time.sleep(0.3)
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    out += capsys.readouterr().out
    assert out.startswith("\nWatching exercises/") and out.endswith("stopped watching\n")


# -------------------------------------------------------------------- review


def levels(home: Path) -> list[tuple[int, int]]:
    """Level, and day counted from the first, of every question that comes back."""
    found = review.missed(review.read_log()[0])
    return [(m.level, (m.due - NOW.date()).days) for m in found]


def test_intervals(home: Path) -> None:
    log(home, answer(0, 0.0))
    assert levels(home) == [(0, 1)]
    log(home, answer(0, 1.0))
    assert levels(home) == [(0, 1)], "right on the same day says nothing yet"
    log(home, answer(1, 1.0, "review"))
    assert levels(home) == [(1, 4)]
    log(home, answer(9, 1.0, "review"))
    assert levels(home) == [(2, 16)], "late, and the interval is counted from the answer"
    log(home, answer(16, 0.5, "review"))
    assert levels(home) == [(0, 17)], "right at the second try only: back to the first interval"
    day = 17
    for level, wait in ((1, 3), (2, 7), (3, 21)):
        log(home, answer(day, 1.0, "review"))
        day += wait
        assert levels(home) == [(level, day)]
    log(home, answer(day, 1.0, "review"))
    assert levels(home) == []
    log(home, answer(day + 5, 0.0))
    assert levels(home) == [(0, day + 6)], "missed again in a later quiz"


def test_only_what_was_missed_comes_back(home: Path) -> None:
    log(home, answer(0, 1.0), answer(0, 0.5, which=1), answer(0, 0.0, which=2), score(6))
    log(home, answer(0, 0.0) | {"question": "One that was taken out?"})
    log(home, answer(0, 0.0) | {"script": "33_no_such_lesson"})
    assert levels(home) == [(0, 1), (0, 1)]
    rows = review.read_log()[0]
    assert review.due(rows, NOW) == [] and len(review.due(rows, NOW + timedelta(days=1))) == 2


def typed(which: int, right: bool) -> str:
    """An answer to a question of the quiz, as somebody would type it; twice if it is wrong."""
    q = load_quiz(NAMES[0])[which]
    if q.kind == "number":
        return f"{q.answer}\n" if right else "123456\n123456\n"
    if q.kind == "truefalse":
        return f"{'t' if q.answer == right else 'f'}\n"
    marks = q.answer if right else q.answer[-1:] + q.answer[:-1]
    if not right and len(marks) == 1:
        marks = "b" if q.answer == "a" else "a"
    return f"{marks}\n" if right else f"{marks}\n{marks}\n"


def at(day: int, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Stop the clock of the quiz log on a day; the time that ``review`` is to take for now."""
    moment = NOW + timedelta(days=day)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return moment

    monkeypatch.setattr(quiz, "datetime", Clock)
    return moment


def test_review_asks_logs_and_says_when_it_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log(home, answer(0, 0.0), answer(0, 0.0, which=1))
    review.review(at(0, monkeypatch), io.StringIO(""), io.StringIO())
    assert capsys.readouterr().out == "nothing is due today; next: 2 on 2026-03-11, 2 in all\n"
    asked = io.StringIO()
    answers = io.StringIO(typed(0, True) + typed(1, False))
    review.review(at(1, monkeypatch), answers, asked)
    assert load_quiz(NAMES[0])[0].question[:40] in asked.getvalue()
    assert capsys.readouterr().out.endswith("\n1 of 2 right; next: 1 on 2026-03-12, 2 in all\n")
    rows = review.read_log()[0]
    assert [(r["kind"], r["points"]) for r in rows[2:]] == [("review", 1.0), ("review", 0.0)]
    assert levels(home) == [(0, 2), (1, 4)]
    review.review(at(4, monkeypatch), io.StringIO(typed(1, True)), io.StringIO())
    assert "stopped after 1 of 2" in capsys.readouterr().out, "the input ended"
    assert levels(home) == [(1, 4), (1, 7)], "what was answered is kept"


def test_review_until_known(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log(home, answer(0, 0.0))
    for day in (1, 4, 11, 32):
        review.review(at(day, monkeypatch), io.StringIO(typed(0, True)), io.StringIO())
    out = capsys.readouterr().out
    assert out.endswith("1 of 1 right; no question waits to come back\n")
    assert review.missed(review.read_log()[0]) == []


def test_review_with_a_damaged_log(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log(home, answer(0, 0.0))
    with (home / "results" / "quiz_log.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"script": "01_lif')  # cut while it was written
    review.review(at(1, monkeypatch), io.StringIO(typed(0, True)), io.StringIO())
    out = capsys.readouterr().out
    assert "?  quiz_log.jsonl is damaged and left out in line 2;" in out and "1 of 1 right" in out
    assert levels(home) == [(1, 4)]


def test_a_damaged_quiz_file_loses_no_review(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tutor import questions

    def damaged(script: str) -> None:
        raise UserError("damaged")

    log(home, answer(0, 0.0))
    review._quiz.cache_clear()
    monkeypatch.setattr(questions, "load", damaged)
    assert "nothing is due" in ok("review") and "due" not in ok("next")
    review._quiz.cache_clear()


# -------------------------------------------------------------------- journal, notebook, results


def test_journal_enters_a_run_once(home: Path) -> None:
    write_run(home / "results" / NAMES[0] / "metrics.json", True)
    ok("journal", "1")
    ok("journal", "1")
    text = (home / "journal.md").read_text(encoding="utf-8")
    assert text.count(f"## {NAMES[0]}\n") == 1
    write_run(home / "results" / "smoke" / NAMES[1] / "metrics.json", None)
    assert "got a smoke run" in refused("journal", "9")
    (home / "journal.md").write_bytes(b"\xff")
    assert "UTF-8" in refused("journal", "1")
    assert journal.TEMPLATE.startswith("# Journal")


def notebook_of(name: str, tmp_path: Path) -> tuple[dict, list[str]]:
    path = tmp_path / "book.ipynb"
    assert str(path) in ok("notebook", name, "--out", str(path))
    book = json.loads(path.read_text(encoding="utf-8"))
    return book, ["".join(c["source"]) for c in book["cells"] if c["cell_type"] == "code"]


def run_cells(sources: list[str], tmp_path: Path) -> dict:
    """Run code cells in order, in smoke settings; `from __future__` holds for all, as in Jupyter."""
    compile_cell = codeop.Compile()
    names: dict = {"__name__": "__main__"}
    path = list(sys.path)
    with contextlib.chdir(tmp_path):
        for source in sources:
            small = "cfg = Config(**shared, **SMOKE, smoke=True)"
            exec(
                compile_cell(source.replace("cfg = Config(**shared)", small), "<cell>", "exec"),
                names,
            )
            if "shared" in names:
                names["shared"]["out_dir"] = tmp_path / "results"
    sys.path[:] = path
    return names


def test_notebook_of_a_lesson_with_sections_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book, sources = notebook_of("01", tmp_path)
    prose = ["".join(c["source"]) for c in book["cells"] if c["cell_type"] == "markdown"]
    assert prose[0].startswith("# Lesson 01") and "\n## Question\n" in prose[0]
    assert prose[1].startswith("## 1  ") and len(prose) > 3
    sections = [s for s in sources if s.startswith("@section")]
    assert len(sections) == len(prose) - 1
    for text, source in zip(prose[1:], sections, strict=True):
        headline = text.split("\n")[0].removeprefix("## ")
        assert f'    """{headline}"""\n' in source, "the prose stands in one place"
    begin = next(i for i, s in enumerate(sources) if "run = begin(" in s)
    sources[begin] = sources[begin].replace('"results/notebook"', repr(str(tmp_path / "results")))
    again = [source for source in sections[:1]]
    names = run_cells([*sources[:-1], *again, sources[-1]], tmp_path)
    run = names["run"]
    folder = tmp_path / "results" / "smoke" / "01_lif_neuron"
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert len({f["section"] for f in metrics["findings"]}) == len(sections)
    assert len(metrics["findings"]) == len(sections), "a section run twice is kept once"
    assert list(folder.glob("*.png")) and run.claims
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.parametrize(
    "remote, address",
    [
        ("https://example.org/us/course.git", "https://example.org/us/course.git"),
        ("git@example.org:us/course.git", "https://example.org/us/course.git"),
        ("https://me:secret@example.org/course.git", ""),
        ("/home/me/course", ""),
        ("", ""),
    ],
)
def test_the_cell_for_colab_fetches_the_course(remote: str, address: str, monkeypatch) -> None:
    def answer(*args: object, **kwargs: object) -> subprocess.CompletedProcess:
        return subprocess.CompletedProcess(args, 0, stdout=f"{remote}\n")

    monkeypatch.setattr(notebook.subprocess, "run", answer)
    cell = notebook.colab_cell()
    assert f"address = {address!r}" in cell.text and "'snntorch==1.0.0'" in cell.text
    assert "torch==2" not in cell.text.replace("snntorch", "").replace("nirtorch", "")
    monkeypatch.undo()
    exec(compile(cell.text, "<cell>", "exec"), {})  # outside Colab it does nothing


def test_notebook_of_every_script_is_python() -> None:
    for name in prompts.scripts():
        found = notebook.cells(name)
        assert found[0].kind == "markdown"
        compile_cell = codeop.Compile()
        for cell in found:
            if cell.kind == "code":
                compile_cell(cell.text, name, "exec")
                assert not any(line.startswith("# %%") for line in cell.text.splitlines())
        code = [cell.text for cell in found if cell.kind == "code"]
        assert code[-1] == "run.finish()" and sum("run = begin(" in text for text in code) == 1


def test_notebook_without_sections_ends_with_main(tmp_path: Path, home: Path, monkeypatch) -> None:
    monkeypatch.setattr(notebook, "ROOT", home)
    source = '''"""Lesson 01 — Small

Idea
    One line.

        U = I
"""

from __future__ import annotations

from common.lesson import LessonConfig, start

SMOKE: dict = {}


class Config(LessonConfig):
    """Nothing of its own."""


# -------------------------------------------------------------------- a part


# why it is so
def helper() -> int:
    """One."""
    return 1


def main(cfg, run):
    run.claim("one", "one", helper(), "")


if __name__ == "__main__":
    start(main, Config, SMOKE, {})
'''
    (home / "01_lif_neuron.py").write_text(source, encoding="utf-8")
    found = notebook.cells("01_lif_neuron")
    assert found[0].text == "# Lesson 01 — Small\n\n## Idea\n\nOne line.\n\n    U = I"
    texts = [cell.text for cell in found[2:]]
    assert texts[0].startswith("from __future__") and texts[0].endswith("SMOKE: dict = {}")
    assert texts[1].startswith("class Config")
    assert texts[2] == '# why it is so\ndef helper() -> int:\n    """One."""\n    return 1'
    assert texts[4].endswith("\n\n\nmain(cfg, run)") and "__main__" not in "".join(texts)
    (home / "01_lif_neuron.py").write_text("def f(:\n", encoding="utf-8")
    assert "01_lif_neuron.py, line 1" in refused(
        "notebook", "1", "--out", str(tmp_path / "b.ipynb")
    )


def test_publish_and_results_call_the_maintainers_functions(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple] = []

    def publish(name: str, out_dir: Path, full: bool) -> Path:
        calls.append((name, out_dir, full))
        return home / "docs" / f"{name}.json"

    monkeypatch.setattr(publishing, "publish", publish)
    monkeypatch.setattr(publishing, "write_results_page", lambda: home / "RESULTS.md")
    assert ok("results") == "written  RESULTS.md\n"
    out = ok("publish", "1", "09", "--full")
    assert calls == [(name, home / "results", True) for name in NAMES[:2]]
    assert out.endswith("written  RESULTS.md\n") and "docs" in out


# -------------------------------------------------------------------- files in any state

DEEP = "[" * 3000 + "]" * 3000  # a reader that calls itself runs out of stack
HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        f'{{"claims": {DEEP}}}',
        f'{{"claims": [{{"met": true, "value": {HUGE}, "id": {{}}}}], "memory": {HUGE}}}',
        '{"claims": [{"met": [1]}], "predictions": [1], "findings": "abc"}',
    ],
)
def test_a_damaged_result_is_one_line_whatever_it_holds(home: Path, text: str):
    path = home / "results" / NAMES[0] / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    assert call()[0] == call("next")[0] == 0
    code, _, err = call("journal", "01")
    assert code in (0, 2) and err.count("\n") <= 1


def test_a_damaged_record_is_one_line_whatever_it_holds(home: Path):
    write_exercise(home, "a", RIGHT)
    (home / "results").mkdir()
    (home / "results" / "exercises.json").write_text(DEEP, encoding="utf-8")
    assert "exercises.json is damaged (RecursionError)" in ok()


def test_the_last_day_of_all_and_a_mark_of_windows(home: Path):
    """The day on which a question comes back has to be one; an editor may put a mark at the beginning."""
    last = {"script": NAMES[0], "date": "9999-12-31T00:00:00", "kind": "quiz", "question": "q"}
    log(home, score(3), last | {"points": 0})
    path = home / "results" / "quiz_log.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    rows, remarks = review.read_log()
    assert rows == [score(3)] and "left out in line 2" in remarks[0]
    assert "left out in line 2" in ok()
