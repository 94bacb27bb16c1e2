"""The journal: entries are complete, appended only, and nothing the student wrote is lost."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import tutor.journal as journal
from common.io import UserError
from tutor.journal import write_entry, write_quiz
from tutor.quiz import QuizResult

import pytest

METRICS = {
    "lesson": "09_training_bptt",
    "scale": "default",
    "command": "09_training_bptt.py --seed 3",
    "data": {
        "name": "MNIST",
        "stand_in": False,
        "sizes": {"MNIST": {"train": 60000, "test": 10000}},
    },
    "device": "cpu (2 cores)",
    "versions": {"torch": "2.9.1", "snntorch": "1.0.0"},
    "seed": 3,
    "wall_seconds": 61.234,
    "peak_memory": 512 * 2**20,
    "claims": [
        {
            "id": "accuracy",
            "text": "test accuracy | all images",
            "value": 0.98312,
            "unit": "1",
            "target": ">= 0.982",
            "met": True,
            "n": 10000,
        },
        {
            "id": "seconds",
            "text": "training\ntime",
            "value": 75.0,
            "unit": "s",
            "target": "<= 60",
            "met": False,
            "n": None,
        },
        {
            "id": "slope",
            "text": "β measured",
            "value": 1.5e-7,
            "unit": "1",
            "target": None,
            "met": None,
            "n": None,
        },
    ],
    "ledger": [
        {"model": "784–256–10", "accuracy": 0.98312, "parameters": 203530},
        {"model": "small", "spikes": 41.5},
    ],
}
RESULT = QuizResult(
    "01_lif_neuron", 4, (1, 0.5, 0, 0), (("what beta means", "Lesson 01"), ("reset", "Ch 1"))
)


def test_entry_holds_what_was_run_and_measured(tmp_path: Path):
    path = tmp_path / "journal.md"
    write_entry({**METRICS, "analysis": "Layer 2 is **sparser**.\n\n- so"}, path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Journal")
    headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
    assert headings == [
        "# Journal",
        "## 09_training_bptt",
        "### Date",
        "### What I ran",
        "### What was measured",
        "### Analysis",
        "### My findings",
    ]
    for line in (
        "- Command: `09_training_bptt.py --seed 3`",
        "- Seed: 3",
        "- Time: 61.2 s",
        "- Data: MNIST {MNIST: {train: 60000, test: 10000}}",
        "- Peak memory: 512 MiB",
        "- Versions: torch 2.9.1, snntorch 1.0.0",
        "| test accuracy \\| all images | 0.9831 | >= 0.982 | yes | 10000 |",
        "| training time | 75 s | <= 60 | no |  |",
        "| β measured | 1.5e-07 |  |  |  |",
        "| 784–256–10 | 0.9831 | 203530 |  |",
        "Layer 2 is **sparser**.",
    ):
        assert line in text, line
    assert re.search(r"### Date\n\n\d{4}-\d\d-\d\d \d\d:\d\d\n", text)
    assert all(f"- {prompt}" in text for prompt in journal.PROMPTS)


def test_stand_in_is_named(tmp_path: Path):
    write_entry(
        {**METRICS, "data": {"name": "digits", "stand_in": True, "sizes": {}}}, tmp_path / "j.md"
    )
    assert "digits (stand-in for the real set)" in (tmp_path / "j.md").read_text(encoding="utf-8")


def test_metrics_with_nothing_in_them(tmp_path: Path):
    write_entry({}, tmp_path / "new" / "folder" / "j.md")
    assert "### My findings" in (tmp_path / "new" / "folder" / "j.md").read_text(encoding="utf-8")


def test_one_run_is_entered_once_and_another_run_again(tmp_path: Path):
    path = tmp_path / "j.md"
    write_entry(METRICS, path)
    once = path.read_bytes()
    write_entry(dict(reversed(METRICS.items())), path)
    assert path.read_bytes() == once
    write_entry({**METRICS, "wall_seconds": 60.0}, path)
    assert path.read_text(encoding="utf-8").count("## 09_training_bptt") == 2
    assert path.read_bytes().startswith(once)


@pytest.mark.parametrize(
    "old",
    [
        "",
        "no newline at the end",
        "# Mine\n\nβ, 日本, 🧠\n\n\n",
        "windows\r\nlines\r\n",
        "\ufeffwith a mark\n",
    ],
    ids=["empty", "open", "unicode", "crlf", "bom"],
)
@pytest.mark.parametrize(
    "write",
    [lambda p: write_entry(METRICS, p), lambda p: write_quiz(RESULT, p)],
    ids=["entry", "quiz"],
)
def test_every_byte_of_the_student_stays(tmp_path: Path, old: str, write):
    path = tmp_path / "j.md"
    path.write_bytes(old.encode())
    write(path)
    new = path.read_bytes()
    assert new.startswith(old.encode()) and len(new) > len(old.encode())
    added = new[len(old.encode()) :].decode()
    assert re.match(r"(\r?\n)*## ", added)
    assert not old or old.endswith("\n") or added.startswith("\n\n")
    assert ("\r\n" in added) is ("\r\n" in old)
    assert "\r\n" not in old or not re.search(r"(?<!\r)\n", added)


def test_findings_written_between_two_runs_stay(tmp_path: Path):
    path = tmp_path / "j.md"
    write_entry(METRICS, path)
    prompt = journal.PROMPTS[0]
    filled = path.read_text(encoding="utf-8").replace(prompt, f"{prompt} I was wrong: β → 1")
    path.write_text(filled, encoding="utf-8")
    write_entry({**METRICS, "seed": 4}, path)
    assert path.read_text(encoding="utf-8").startswith(filled)


def test_a_cut_while_writing_leaves_the_old_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "j.md"
    path.write_text("mine\n", encoding="utf-8")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    for name in ("replace", "write_bytes"):
        with monkeypatch.context() as m:
            m.setattr(journal.os if name == "replace" else Path, name, full_disk)
            with pytest.raises(UserError, match="cannot write j.md: No space left on device"):
                write_entry(METRICS, path)
        assert path.read_text(encoding="utf-8") == "mine\n"
        assert [p.name for p in tmp_path.iterdir()] == ["j.md"], "a temporary file was left"


def test_read_only_journal_is_one_clear_line(tmp_path: Path):
    path = tmp_path / "j.md"
    path.write_text("mine\n", encoding="utf-8")
    path.chmod(stat.S_IREAD)
    try:
        for write in (lambda: write_entry(METRICS, path), lambda: write_quiz(RESULT, path)):
            with pytest.raises(UserError, match="cannot write j.md: it is read-only") as caught:
                write()
            assert "\n" not in str(caught.value)
    finally:
        path.chmod(stat.S_IREAD | stat.S_IWRITE)
    assert path.read_text(encoding="utf-8") == "mine\n"


def test_a_directory_or_another_encoding_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="cannot write"):
        write_entry(METRICS, tmp_path)
    path = tmp_path / "j.md"
    path.write_bytes("größer".encode("cp1252"))
    with pytest.raises(UserError, match="is not UTF-8"):
        write_entry(METRICS, path)
    assert path.read_bytes() == "größer".encode("cp1252")


@pytest.mark.skipif(os.name == "nt", reason="links and modes of POSIX")
def test_a_link_stays_a_link_and_the_mode_stays(tmp_path: Path):
    real, link = tmp_path / "real.md", tmp_path / "link.md"
    real.write_text("mine\n", encoding="utf-8")
    real.chmod(0o640)
    link.symlink_to(real)
    write_entry(METRICS, link)
    assert link.is_symlink() and "09_training_bptt" in real.read_text(encoding="utf-8")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_quiz_entry(tmp_path: Path):
    path = tmp_path / "j.md"
    write_quiz(RESULT, path)
    write_quiz(RESULT, path)  # taken twice on one day: two entries
    text = path.read_text(encoding="utf-8")
    assert text.count("## Quiz: 01_lif_neuron") == 2
    assert "- Score: 1.5 of 4 points (38%), fail" in text
    assert "- what beta means (read: Lesson 01)" in text
    write_quiz(QuizResult("01_lif_neuron", 1, (1.0,), ()), tmp_path / "k.md")
    assert "Weak areas:\n\n- none" in (tmp_path / "k.md").read_text(encoding="utf-8")
