"""README, files, committed results and RESULTS.md agree, and nothing of a machine is in what we commit."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

from common.claims import meets, plain, show_value
from tutor.journal import PROMPTS
from tutor.page import headline
from tutor.publish import ALL_FIGURES, results_page, with_lessons

import pytest
from helpers import ROOT, SCRIPTS

DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
RESULTS = sorted(p for p in (DOCS / "results").glob("*.json") if p.name != "robustness.json")


def test_readme_lists_every_script_in_order() -> None:
    curriculum = README[README.index("## Lessons") :]
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
    assert m["scale"] != "smoke" and not m["data"]["stand_in"] and not m.get("only")
    assert m["command"].startswith(f"{m['lesson']}.py")
    missed = [c["id"] for c in m["claims"] if c["met"] is False]
    assert not missed or m.get("note"), f"targets missed without a reason: {missed}"


# -------------------------------------------------------------------- the page of results


def test_results_md_is_generated() -> None:
    assert results_page(DOCS / "results") == PAGE, "run 'uv run course.py results'"


def test_the_table_of_lessons_in_readme_is_generated() -> None:
    assert "<!-- lessons:" in README and "<!-- end of lessons -->" in README
    assert with_lessons(README, DOCS / "results") == README, "run 'uv run course.py results'"


def test_results_md_is_one_page() -> None:
    assert PAGE.count("\n") <= 250
    assert "None" not in PAGE and "nan" not in PAGE.split()
    for path in RESULTS:
        if path.stem.startswith("bench_"):
            continue
        name = path.name.split(".")[0]
        part = PAGE.split("## At full scale")[".full." in path.name]
        links = (f"({name}.py)", f"(studies/{name}.py)")
        assert any(link in part for link in links), f"{path.name} has no row"


def test_what_missed_its_target_stands_on_the_page_with_the_reason() -> None:
    for path in RESULTS:
        m = json.loads(path.read_text(encoding="utf-8"))
        for c in m["claims"]:
            if c["met"] is False:
                line = f"{c['text']}: {show_value(c['value'], c['unit'])}, target"
                assert line.replace("|", "\\|") in PAGE, f"{path.name}: {c['id']}"
                assert " ".join(m["note"].split()).replace("|", "\\|") in PAGE, path.name


@pytest.mark.parametrize("path", RESULTS, ids=lambda p: p.stem)
def test_results_of_other_versions_than_the_pinned_ones_say_so(path: Path) -> None:
    m = json.loads(path.read_text(encoding="utf-8"))
    pinned = dict(re.findall(r'"([\w-]+)==([\w.]+)', (ROOT / "pyproject.toml").read_text("utf-8")))
    for package in ("torch", "snntorch", "numpy"):
        version = m["versions"][package]
        if version.split("+")[0] != pinned[package]:
            assert f"{package} {version} (pinned: {pinned[package]})" in PAGE


@pytest.mark.parametrize("path", RESULTS, ids=lambda p: p.stem)
def test_a_finding_names_claims_that_are_there(path: Path) -> None:
    if path.stem.startswith("bench_"):
        return
    m = json.loads(path.read_text(encoding="utf-8"))
    found = headline(m)
    assert found.text and found.claim and "{" not in found.text
    assert found.claim in m["claims"]


def test_sentences_of_lessons_are_those_without_findings_and_hold_their_numbers() -> None:
    sentences = tomllib.loads((DOCS / "lessons.toml").read_text(encoding="utf-8"))
    assert set(sentences) <= set(SCRIPTS)
    for name, table in sentences.items():
        m = json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))
        assert not m.get("findings"), f"{name} says its finding itself: take it out of lessons.toml"
        claims = {c["id"]: c for c in m["claims"]}
        for field in re.findall(r"\{([^{}]+)\}", table["finding"]):
            claim = claims[field.removesuffix(":plain")]
            shown = show_value(claim["value"], claim["unit"])
            if field.endswith(":plain"):
                shown = plain(claim["value"])
            assert shown in headline(m).text


def test_published_figures_have_their_source() -> None:
    published = tomllib.loads((DOCS / "published.toml").read_text(encoding="utf-8"))
    known = set(SCRIPTS) | {p.stem for p in RESULTS if p.stem.startswith("bench_")}
    assert set(published) <= known
    allowed = {"figure", "of", "more", "source", "link", "chosen", "secondary"}
    for name, figures in published.items():
        for f in figures:
            assert {"figure", "of", "source", "link"} <= set(f) <= allowed, name
            assert f["link"].startswith("https://") and f.get("chosen") in (None, "val", "max-test")
            assert f["figure"] in PAGE and f["source"] in PAGE
            if "chosen" in f:
                assert re.search(
                    rf"{re.escape(f['of'])}, best epoch on (validation|the test)", PAGE
                )


def test_committed_figures_are_few_enough() -> None:
    sizes = [p.stat().st_size for p in (DOCS / "figures").rglob("*") if p.is_file()]
    assert sum(sizes) <= ALL_FIGURES


# -------------------------------------------------------------------- the example of a journal


def test_the_reference_journal_is_written_not_generated() -> None:
    text = (DOCS / "reference_journal.md").read_text(encoding="utf-8")
    assert len(text.encode()) < 20_000 and "<!-- run" not in text
    entries = re.findall(r"(?m)^## (\w+)$", text)
    assert 2 <= len(entries) <= 4 and set(entries) <= set(SCRIPTS)
    for prompt in PROMPTS:
        filled = re.findall(rf"(?m)^- {re.escape(prompt)} (\S.+)$", text)
        assert len(filled) == len(entries), f"an example is filled in: {prompt}"


def test_the_numbers_of_the_reference_journal_are_committed_ones() -> None:
    """What stands in its tables under *measured* is a claim of the committed result, as we show it."""
    text = (DOCS / "reference_journal.md").read_text(encoding="utf-8")
    for entry in re.split(r"(?m)^(?=## )", text)[1:]:
        name = entry.split("\n")[0].removeprefix("## ")
        m = json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))
        shown = {show_value(c["value"], c["unit"]) for c in m["claims"]}
        rows = re.findall(r"(?m)^\| .* \|$", entry.split("### My findings")[0])
        values = [row.strip("| ").split(" | ")[-1] for row in rows]
        values = [v for v in values if re.match(r"[+-]?\d", v)]  # not the choices
        assert values, f"{name}: no table of predictions"
        assert set(values) <= shown, f"{name}: {sorted(set(values) - shown)}"


# -------------------------------------------------------------------- code and results


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_lesson_and_its_result_name_the_same_claims(name: str) -> None:
    """A claim that the code no longer makes, or makes anew, means the result is of other code."""
    path = ROOT / "docs" / "results" / f"{name}.json"
    if not path.is_file():
        pytest.skip("no committed result")
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    if "carry_out_asked(" in source:
        pytest.skip("its sections are commands: a result holds those that were run")
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
