"""The journal: entries are complete, appended only, and nothing that anybody wrote is lost."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import tutor.journal as journal
from common.io import UserError
from tutor.journal import append, write_entry, write_quiz
from tutor.quiz import QuizResult

import pytest
from filelock import FileLock
from helpers import ROOT

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
    "seconds": 61.234,
    "memory": 512 * 2**20,
    "resumed": ["main training, 2 of 5 epochs"],
    "findings": [
        {"section": 1, "text": "Each time step keeps\n1.2 MB.", "main": False, "claim": ""},
        {"section": 3, "text": "The network reads 98.31 %.", "main": True, "claim": "accuracy"},
    ],
    "predictions": [
        {
            "id": "accuracy",
            "section": 3,
            "question": "How many digits | of 100?",
            "guess": "90",
            "measured": "98.31 %",
        },
        {"id": "x", "section": 4, "question": "Which?", "guess": "ATan"},
    ],
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


def entry_of(metrics: dict, folder: Path) -> str:
    """The journal after one entry."""
    path = folder / "journal.md"
    write_entry(metrics, path)
    return path.read_text(encoding="utf-8")


def test_entry_holds_what_was_predicted_found_and_measured(tmp_path: Path):
    text = entry_of(METRICS | {"analysis": "Layer 2 is **sparser**.\n\n- so"}, tmp_path)
    assert text.startswith("# Journal")
    assert re.findall(r"^#+ .*$", text, re.MULTILINE) == [
        "# Journal",
        "## 09_training_bptt",
        "### Date",
        "### What I ran",
        "### What I predicted, and what was measured",
        "### What was found",
        "### Claims and their targets",
        "### Analysis",
        "### My findings",
    ]
    for line in (
        "- Command: `09_training_bptt.py --seed 3`",
        "- Seed: 3",
        "- Time: 61.2 s",
        "- Data: MNIST (train 60,000, test 10,000)",
        "- Peak memory: 512 MiB",
        "- Versions: torch 2.9.1, snntorch 1.0.0",
        "- Resumed: main training, 2 of 5 epochs",
        "| section | question | my prediction | measured |",
        "| 3 | How many digits \\| of 100? | 90 | 98.31 % |",
        "| 4 | Which? | ATan |  |",
        "- Section 1: Each time step keeps 1.2 MB.",
        "- Section 3: The network reads 98.31 %.",
        "| test accuracy \\| all images | 98.31 % | ≥ 98.2 % | yes | 10,000 |",
        "| training time | 75 s | ≤ 60 | no |  |",
        "1 more in `metrics.json`.",
        "Layer 2 is **sparser**.",
    ):
        assert line in text.splitlines(), line
    assert "β measured" not in text, "it is not judged, and there are findings to read"
    assert text.index("training time") < text.index("all images"), "what missed comes first"
    assert re.search(r"### Date\n\n\d{4}-\d\d-\d\d \d\d:\d\d\n", text)
    assert all(f"- {prompt}" in text for prompt in journal.PROMPTS)


def test_the_template_in_journal_md_asks_the_same():
    template = (ROOT / "journal.md").read_text(encoding="utf-8")
    assert all(f"\n- {prompt}\n" in template for prompt in journal.PROMPTS)
    headings = (
        "\n### Date\n",
        "\n### What I ran\n",
        "\n### What I predicted, and what was measured\n",
    )
    assert all(heading in template for heading in headings)


def test_the_older_form_of_metrics_is_read(tmp_path: Path):
    new = ("seconds", "memory", "findings", "predictions", "resumed")
    old = {key: value for key, value in METRICS.items() if key not in new}
    text = entry_of(old | {"wall_seconds": 61.234, "peak_memory": 512 * 2**20}, tmp_path)
    assert "- Time: 61.2 s" in text and "- Peak memory: 512 MiB" in text
    assert "### What I predicted" not in text and "### What was found" not in text


def test_the_table_of_claims_is_short(tmp_path: Path):
    met = {"unit": "1", "target": ">= 0", "value": 0.5, "met": True, "n": None}
    claims = [met | {"id": f"c{i}", "text": f"claim {i}"} for i in range(30)]
    text = entry_of(METRICS | {"claims": claims}, tmp_path)
    assert text.count("| claim ") == 1 + journal.MOST_CLAIMS and "22 more in" in text


def test_a_run_without_findings_and_judgement_shows_its_claims(tmp_path: Path):
    claims = [c | {"met": None} for c in METRICS["claims"]]
    text = entry_of(METRICS | {"claims": claims, "findings": []}, tmp_path)
    assert "| β measured | 1.5·10⁻⁷ |  |  |  |" in text


def test_a_committed_result_makes_an_entry(tmp_path: Path):
    for path in sorted((ROOT / "docs" / "results").glob("[0-9mc]*.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        write_entry(metrics, tmp_path / "j.md")
    text = (tmp_path / "j.md").read_text(encoding="utf-8")
    assert text.count("### My findings") > 20 and "None" not in text and "nan" not in text.split()


def test_stand_in_is_named(tmp_path: Path):
    data = {"name": "digits", "stand_in": True, "sizes": {}}
    assert "- Data: digits, a stand-in for the real set" in entry_of(
        METRICS | {"data": data}, tmp_path
    )


def test_metrics_with_nothing_in_them(tmp_path: Path):
    write_entry({}, tmp_path / "new" / "folder" / "j.md")
    assert "### My findings" in (tmp_path / "new" / "folder" / "j.md").read_text(encoding="utf-8")


def test_one_run_is_entered_once_and_another_run_again(tmp_path: Path):
    path = tmp_path / "j.md"
    write_entry(METRICS, path)
    once = path.read_bytes()
    write_entry(dict(reversed(METRICS.items())), path)
    assert path.read_bytes() == once
    write_entry({**METRICS, "seconds": 60.0}, path)
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


def files(folder: Path) -> list[str]:
    """What lies in a folder, without the lock, which stays."""
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


def test_a_cut_while_writing_leaves_the_old_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "j.md"
    path.write_text("mine\n", encoding="utf-8")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    for owner, name in ((os, "replace"), (Path, "write_bytes")):
        with monkeypatch.context() as m:
            m.setattr(owner, name, full_disk)
            with pytest.raises(UserError, match=r"cannot write .*j\.md: No space left on device"):
                write_entry(METRICS, path)
        assert path.read_text(encoding="utf-8") == "mine\n"
        assert files(tmp_path) == ["j.md"], "a temporary file was left"


def test_read_only_journal_is_one_clear_line(tmp_path: Path):
    path = tmp_path / "j.md"
    path.write_text("mine\n", encoding="utf-8")
    path.chmod(stat.S_IREAD)
    try:
        for write in (lambda: write_entry(METRICS, path), lambda: write_quiz(RESULT, path)):
            with pytest.raises(UserError, match=r"cannot write .*j\.md: it is read-only") as caught:
                write()
            assert "\n" not in str(caught.value)
    finally:
        path.chmod(stat.S_IREAD | stat.S_IWRITE)
    assert path.read_text(encoding="utf-8") == "mine\n"


WRITER = """
import sys
from pathlib import Path
from tutor.journal import write_entry
for i in range(100):
    write_entry({"lesson": f"{sys.argv[1]}-{i}", "seed": i}, Path(sys.argv[2]))
"""


def test_three_processes_lose_no_entry(tmp_path: Path):
    path = tmp_path / "journal.md"
    path.write_text("mine\n", encoding="utf-8")
    running = []
    for who in "abc":
        command = [sys.executable, "-c", WRITER, who, str(path)]
        running.append(subprocess.Popen(command, cwd=ROOT))
    assert [process.wait(timeout=300) for process in running] == [0, 0, 0]
    text = path.read_text(encoding="utf-8")
    assert text.startswith("mine\n")
    wanted = {f"{who}-{i}" for who in "abc" for i in range(100)}
    assert set(re.findall(r"^## (\S+)$", text, re.MULTILINE)) == wanted
    assert text.count("### My findings") == 300 and files(tmp_path) == ["journal.md"]


def test_a_writer_that_does_not_let_go_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal, "PATIENCE", 0.1)
    with FileLock(tmp_path / ".j.md.lock"), pytest.raises(UserError, match="another process"):
        write_entry(METRICS, tmp_path / "j.md")
    write_entry(METRICS, tmp_path / "j.md")


def test_nothing_to_add_touches_nothing(tmp_path: Path):
    append(tmp_path / "j.md", lambda old: b"")
    assert files(tmp_path) == []


def test_utf_16_without_its_mark_is_refused(tmp_path: Path):
    """All of it is valid UTF-8, with a zero behind each letter."""
    path = tmp_path / "journal.md"
    path.write_bytes("# My journal\n".encode("utf-16-le"))
    with pytest.raises(UserError, match="journal.md holds zero bytes; save it as UTF-8"):
        write_entry({"lesson": "a"}, path)
    assert path.read_bytes() == "# My journal\n".encode("utf-16-le")


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
