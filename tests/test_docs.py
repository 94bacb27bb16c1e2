"""README, files, committed results and RESULTS.md agree, and nothing of a machine is in what we commit."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from common.claims import meets
from tutor.publish import results_table

import pytest
from helpers import ROOT, SCRIPTS

README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = sorted((ROOT / "docs" / "results").glob("*.json"))


def test_readme_lists_every_script_in_order() -> None:
    curriculum = README[README.index("## Curriculum") :]
    positions = [curriculum.find(f"`{name}.py`") for name in SCRIPTS]
    missing = [n for n, p in zip(SCRIPTS, positions, strict=True) if p < 0]
    assert not missing, f"README's curriculum lacks {missing}"
    lessons = [p for n, p in zip(SCRIPTS, positions, strict=True) if n[0].isdigit()]
    assert lessons == sorted(lessons), "the curriculum is out of order"
    for line in curriculum.splitlines():
        if "planned" in line.lower():
            assert not [n for n in SCRIPTS if f"`{n}.py`" in line], (
                f"exists, but is called planned: {line}"
            )


def test_readme_starts_with_the_two_commands() -> None:
    top = README[:3000]
    assert "pip install uv && uv run 09_training_bptt.py" in top and "uv run pytest" in top


def test_readme_links_to_files_that_exist() -> None:
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", README):
        assert (ROOT / target).exists(), f"README points to {target}, which is not there"


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_quiz_and_committed_result(name: str) -> None:
    assert (ROOT / "quizzes" / f"{name}.toml").is_file()
    assert (ROOT / "docs" / "results" / f"{name}.json").is_file(), (
        "finished lessons commit their default run"
    )


@pytest.mark.parametrize("path", RESULTS, ids=lambda p: p.stem)
def test_committed_result_is_a_real_run(path: Path) -> None:
    m = json.loads(path.read_text(encoding="utf-8"))
    for c in m.get("claims", []):
        if c["met"] is not None:
            assert c["met"] == meets(c["value"], c["target"]), (
                f"{c['id']}: judged wrongly, or edited by hand"
            )
    if path.stem.startswith("bench_"):
        return
    assert path.stem == m["lesson"] + ("" if m["scale"] == "default" else f".{m['scale']}")
    assert m["scale"] != "smoke" and not m["data"]["stand_in"]
    assert m["command"].startswith(f"{m['lesson']}.py")
    missed = [c["id"] for c in m["claims"] if c["met"] is False]
    assert not missed or m.get("note"), f"targets missed without a reason: {missed}"


def test_results_md_is_generated() -> None:
    text = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    assert text == results_table(ROOT / "docs" / "results"), "run 'python -m common.run'"


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_lesson_and_its_result_name_the_same_claims(name: str) -> None:
    """A claim that the code no longer makes, or makes anew, means the result is of other code."""
    path = ROOT / "docs" / "results" / f"{name}.json"
    if not path.is_file():
        pytest.skip("no committed result")
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    ids = {c["id"] for c in json.loads(path.read_text(encoding="utf-8"))["claims"]}
    written = set(re.findall(r"\.claim\(\s*\"([^\"{]+)\"\s*,", source))
    assert written <= ids, f"claims of the script that its result lacks: {sorted(written - ids)}"


def test_nothing_of_a_machine_is_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    files = listed.stdout.split("\n")
    if not any(files):
        pytest.skip("no git checkout")
    assert not [
        f for f in files if re.search(r"(^|/)(uv\.lock|poetry\.lock|package-lock\.json)$", f)
    ]
    home, parent = str(Path.home()), str(ROOT.parent)
    for f in filter(None, files):
        path = ROOT / f
        if (
            path.suffix in (".md", ".json", ".toml", ".py", ".txt", ".csv", ".svg")
            and path.is_file()
        ):
            text = path.read_text(encoding="utf-8")
            assert f"{home}/" not in text and f"{parent}/" not in text, (
                f"{f} names a path of this machine"
            )
