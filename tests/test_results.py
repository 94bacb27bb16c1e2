"""Claims are judged and shown rightly, a run says and keeps what its sections show, only real runs are
published, and RESULTS.md says what the JSON says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import tutor.page as page
import tutor.prompts as prompts
import tutor.publish as publish_
from common.claims import LEDGER, meets, plain, show_target, show_value
from common.io import UserError, save_weights, write_atomic, write_json
from common.lesson import LessonConfig, begin, section
from common.run import Run
from tutor.publish import publish, results_page, small, with_lessons, write_results_page

import matplotlib.pyplot as plt
import pytest
import torch
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st


def make_run(folder: Path, **flags) -> Run:
    """A run of a lesson of three sections that nobody has started yet."""
    return begin(LessonConfig(out_dir=folder, device="cpu", **flags), "01_test", "A headline\n")


# -------------------------------------------------------------------- claims and numbers


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        (0.982, ">= 0.982", True),
        (0.9819, ">= 0.982", False),
        (1e-6, "<= 1e-5", True),
        (2e-5, "<= 1e-5", False),
        (0.0, "== 0", True),
        (1.0, "== 0", False),
        (-1.05, "-1.1..-0.9", True),
        (-1.2, "-1.1..-0.9", False),
        (3.0, None, None),
    ],
)
def test_meets(value: float, target: str | None, expected: bool | None) -> None:
    assert meets(value, target) is expected


@pytest.mark.parametrize("target", ["> 3", "about 5", "1..", "", ">= x", "3"])
def test_meets_refuses_other_forms(target: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        meets(1.0, target)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_interval_is_both_bounds(value: float, other: float) -> None:
    low, high = min(value, other), max(value, other)
    both = meets(value, f">= {low:.17g}") and meets(value, f"<= {high:.17g}")
    assert meets(value, f"{low:.17g}..{high:.17g}") == both


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.9868, "1", "98.68 %"),
        (0.0, "1", "0.00 %"),
        (-0.002, "1", "-0.20 %"),
        (0.0005, "1", "0.05 %"),
        (0.000499, "1", "5.0·10⁻⁴"),
        (8.1e-8, "1", "8.1·10⁻⁸"),
        (-8.1e-8, "1", "-8.1·10⁻⁸"),
        (1.5, "points", "+1.50 points"),
        (-0.3, "points", "-0.30 points"),
        (0.0, "points", "+0.00 points"),
        (34.0, "s", "34 s"),
        (2.345678, "ms", "2.346 ms"),
        (102404.4, "bytes", "102,404 bytes"),
        (1.0, "", "1"),
        (float("nan"), "1", "nan"),
        (float("inf"), "s", "inf s"),
    ],
)
def test_show_value(value: float, unit: str, shown: str) -> None:
    assert show_value(value, unit) == shown


@pytest.mark.parametrize(
    ("target", "unit", "shown"),
    [
        (">= 0.982", "1", "≥ 98.2 %"),
        ("<= 1e-5", "1", "≤ 1.0·10⁻⁵"),
        ("== 0", "1", "= 0 %"),
        ("0.9..1.1", "1", "90..110 %"),
        ("0.9999..1.0001", "1", "99.99..100.01 %"),
        (">= 0.5", "points", "≥ +0.5 points"),
        ("-1..1", "points", "-1..+1 points"),
        (None, "1", ""),
        ("<= 60", "s", "≤ 60"),
        ("-0.55..-0.45", "", "-0.55..-0.45"),
    ],
)
def test_show_target(target: str | None, unit: str, shown: str) -> None:
    assert show_target(target, unit) == shown


@given(st.floats(-1e300, 1e300))
def test_a_number_for_people_is_short_and_near(value: float) -> None:
    text = plain(value)
    assert len(text.replace(",", "")) <= 12
    digits = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
    number = text.replace(",", "").replace("·10", "e")
    number = number.translate({ord(c): "-0123456789"[i] for i, c in enumerate(digits)})
    assert float(number) == pytest.approx(value, rel=0.051, abs=1e-323)


# -------------------------------------------------------------------- files


def test_a_cut_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"old": True})

    def broken(tmp: Path) -> None:
        tmp.write_text("half of", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        write_atomic(path, broken)
    assert json.loads(path.read_text(encoding="utf-8")) == {"old": True}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"], "the temporary file stayed"

    def interrupted(tmp: Path) -> None:
        tmp.write_text("half of", encoding="utf-8")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, interrupted)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_json_refuses_what_json_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()
    path = write_json(tmp_path / "b.json", {"x": torch.tensor([1, 2])})
    assert json.loads(path.read_text(encoding="utf-8")) == {"x": [1, 2]}


def test_weights_on_a_full_disk_are_one_clear_line_and_the_old_file_stays(tmp_path: Path) -> None:
    """No file may grow beyond 1 kB: the system itself says no."""
    resource = pytest.importorskip("resource", reason="this system has no limits to set")
    path = save_weights(torch.nn.Linear(2, 2), tmp_path / "net.safetensors")
    old = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match="Free the disk"):
            save_weights(torch.nn.Linear(100, 100), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


# -------------------------------------------------------------------- a run and its sections


@section
def section_one(cfg: LessonConfig, run: Run) -> float:
    """1  How long is a piece of string?

    As long as it is.
    """
    length = float(torch.rand(1))
    run.claim(
        "length", "length of the string, measured twice with the same ruler", 0.5, "m", ">= 0.1"
    )
    run.finding("The string is half a metre long, " + "and it has been measured with care, " * 4)
    return length


@section
def section_two(cfg: LessonConfig, run: Run) -> None:
    """2  Which end is the better one?"""
    run.predict("end", "Which end?", ("the left one", "the right one"))
    run.predict("share", "What share?", unit="%")
    run.outcome("end", "the right one")
    run.claim("share", "share of the right end", 0.75, target="99.99..100.01")
    run.finding("The right end wins.", main=True, claim="share")


@section
def section_three(cfg: LessonConfig, run: Run) -> None:
    """3  Does it depend on the first?"""
    run.claim("again", "length again", run.result_of(section_one), "m")


def whole(run: Run) -> Run:
    """Run all three sections."""
    for part in (section_one, section_two, section_three):
        part(run.cfg, run)
    return run


def test_a_prediction_that_cannot_be_read_is_asked_for_again_with_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["z", "c", "b", "many", "12 steps"])
    monkeypatch.setattr(prompts.console, "input", lambda _: next(typed))
    assert prompts.predict("Which?", ("left", "right")) == "right"
    assert capsys.readouterr().out.count("a letter from a to b, please") == 2
    assert prompts.predict("How many?", unit="steps") == "12 steps"
    assert capsys.readouterr().out.count("a number, please") == 1


def test_a_section_prints_its_question_claims_and_findings_as_they_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole(make_run(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    places = []
    for start in ("1  How long", "   ✓ length of", "   → The string", "2  Which end", "   ✗ share"):
        places.append(next(i for i, line in enumerate(lines) if line.startswith(start)))
    assert places == sorted(places)
    assert max(map(len, lines)) <= 80
    first = next(i for i, line in enumerate(lines) if line.startswith("   → "))
    assert lines[first + 1].startswith("     ") and lines[first + 1][5] != " ", "it is set under it"


def test_claims_and_findings_know_their_section(tmp_path: Path) -> None:
    run = whole(make_run(tmp_path))
    assert [(c.id, c.section) for c in run.claims] == [("length", 1), ("share", 2), ("again", 3)]
    assert [f["section"] for f in run.findings] == [1, 2]
    assert run.claims[2].value == run.results[1], "what section 1 returned"


def test_one_section_alone_gets_the_same_numbers_and_overwrites_no_whole_run(
    tmp_path: Path,
) -> None:
    run = whole(make_run(tmp_path))
    path = run.finish()
    old = path.read_bytes()
    alone = whole(make_run(tmp_path, only=3))
    assert [c.id for c in alone.claims] == ["length", "again"], "section 3 and what it needs"
    assert alone.claims[1].value == run.claims[2].value, "whatever ran before"
    assert alone.finish().name == "metrics_only_3.json" and path.read_bytes() == old
    assert json.loads((run.dir / "config.json").read_text("utf-8"))["only"] is None
    assert json.loads((run.dir / "config_only_3.json").read_text("utf-8"))["only"] == 3


class Terminal:
    """A keyboard at which somebody sits."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    def isatty(self) -> bool:
        return True

    def readline(self, *_: object) -> str:
        return self.lines.pop(0) + "\n" if self.lines else ""


def test_predictions_are_set_beside_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("c", "a", "much", "80 %"))
    run = whole(make_run(tmp_path, predict=True))
    end, share = run.predictions
    assert end["question"] == "Which end?" and end["section"] == 2
    assert (end["guess"], end["measured"]) == ("the left one", "the right one")
    assert (share["guess"], share["measured"]) == ("80 %", "75.00 %")
    out = capsys.readouterr().out
    assert "! the right one (you said: the left one)" in out
    assert "! 75.00 % (you said: 80 %)" in out
    assert json.loads(run.finish().read_text("utf-8"))["predictions"] == run.predictions


@pytest.mark.parametrize("answers", [("", ""), ()], ids=["Enter", "end of input"])
def test_a_prediction_may_be_skipped(
    answers: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(*answers))
    assert whole(make_run(tmp_path, predict=True)).predictions == []


@pytest.mark.parametrize(
    "stdin", [None, open(os.devnull, encoding="utf-8")], ids=["closed", "null"]
)
def test_without_a_terminal_or_the_flag_nothing_asks(
    stdin: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    assert whole(make_run(tmp_path, predict=True)).predictions == []
    monkeypatch.setattr(sys, "stdin", Terminal("a", "80"))
    assert whole(make_run(tmp_path / "b")).predictions == []


def test_the_notice_of_stand_in_data_stands_in_titles_of_sections_that_used_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.data import mnist

    titles = {}

    def draw(name: str, run: Run) -> None:
        fig, ax = plt.subplots()
        fig.suptitle(name)
        ax.set_title("over the axes")
        run.figure(fig, name)
        titles[name] = fig.get_suptitle()
        assert ax.get_title("left") == "over the axes", "it never covers a label"

    @section
    def section_theory(cfg: LessonConfig, run: Run) -> None:
        """1  What does the equation say?"""
        draw("theory", run)

    @section
    def section_data(cfg: LessonConfig, run: Run) -> str:
        """2  And the data?"""
        run.data(lambda data_dir, source: mnist(source="stand-in"))
        draw("data", run)
        return "trained"

    @section
    def section_later(cfg: LessonConfig, run: Run) -> None:
        """3  What did the network of section 2 learn?"""
        run.result_of(section_data)
        draw("later", run)

    @section
    def section_more_theory(cfg: LessonConfig, run: Run) -> None:
        """4  And another equation?"""
        draw("more theory", run)

    run = make_run(tmp_path)
    for part in (section_theory, section_data, section_later, section_more_theory):
        part(run.cfg, run)
    assert titles["theory"] == "theory" and titles["more theory"] == "more theory"
    assert titles["data"].startswith("data  [stand-in data: ") and "[stand-in" in titles["later"]
    assert run.metrics()["data"]["stand_in"]


def test_claims_about_real_data_are_not_judged_on_a_stand_in(tmp_path: Path) -> None:
    from common.data import mnist

    run = make_run(tmp_path)
    assert run.claim("before", "no data yet", 1.0, target=">= 2", real=True).met is False
    run.data(lambda data_dir, source: mnist(source="stand-in"))
    assert run.claim("real", "about MNIST", 0.5, target=">= 0.9", real=True).met is None
    assert run.claim("maths", "about an equation", 0.5, target=">= 0.9").met is False
    with pytest.raises(ValueError, match="stands already"):
        run.claim("maths", "again", 1.0)
    with pytest.raises(ValueError, match="unknown columns"):
        run.ledger(model="x", power_watts=3)


def test_finish_refuses_a_claim_that_is_no_number(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.claim("a", "a ratio by zero", float("nan"))
    with pytest.raises(RuntimeError, match="a"):
        run.finish()
    assert not (run.dir / "metrics.json").exists()


def test_the_end_of_a_run_says_what_was_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = whole(make_run(tmp_path))
    run.resumed.append("the training, 2 of 3 epochs")
    metrics = json.loads(run.finish().read_text("utf-8"))
    out = capsys.readouterr().out
    assert "missed     share of the right end: 75.00 % (target 9999..10001 %)" in out
    assert metrics["resumed"] == ["the training, 2 of 3 epochs"]
    assert {"seconds", "memory", "findings", "predictions", "ledger", "settings"} <= set(metrics)


def test_scales_write_to_places_of_their_own(tmp_path: Path) -> None:
    folders = {make_run(tmp_path, **flags).dir for flags in ({}, {"smoke": True}, {"full": True})}
    assert len(folders) == 3


def test_paths_of_the_machine_stay_out_of_the_command(tmp_path: Path) -> None:
    argv = ["--data-dir", "/home/me/x", "--lr", "0.1", "--out-dir=/y", "--journal", "--resume"]
    run = begin(LessonConfig(out_dir=tmp_path, device="cpu"), "01_test", "", argv)
    assert run.command == "01_test.py --lr 0.1"
    assert "data_dir" not in json.loads((run.dir / "config.json").read_text("utf-8"))


def test_ledger_has_the_columns_of_the_design() -> None:
    wanted = "model data accuracy n num_steps parameters bytes spikes synops ann_macs nps"
    assert set(wanted.split()) | {"ann_macs_nonzero", "energy_estimated_nj"} <= set(LEDGER)


# -------------------------------------------------------------------- publishing


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty course: its root, with the pins of the real one."""
    root = tmp_path / "course"
    root.mkdir()
    (root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8"), "utf-8")
    monkeypatch.setattr(publish_, "ROOT", root)
    monkeypatch.setattr(page, "ROOT", root)
    monkeypatch.setattr(page, "scripts", lambda: ["01_test", "02_test"])
    return root


def figure(run: Run, name: str) -> None:
    fig, ax = plt.subplots(figsize=(4, 3))
    ax.plot([0, 1], [0, 1])
    run.figure(fig, name)


def test_a_published_run_reaches_the_page(course: Path, tmp_path: Path) -> None:
    run = whole(make_run(tmp_path / "out"))
    run.claim("late", "a missed | one", 3.0, "s", "<= 2", n=1234, seeds=3)
    run.note("The clock of this test is slow.")
    run.ledger(model="net", accuracy=0.91, synops=12345.6, ann_macs=1000, ann_macs_nonzero=400)
    figure(run, "1_string")
    path = run.finish()
    published = publish("01_test", tmp_path / "out")
    assert published == course / "docs" / "results" / "01_test.json"
    assert json.loads(published.read_text("utf-8")) == json.loads(path.read_text("utf-8"))
    assert [p.name for p in (course / "docs" / "figures" / "01_test").iterdir()] == [
        "1_string.webp"
    ]
    text = results_page(published.parent)
    row = next(line for line in text.splitlines() if line.startswith("| [01](01_test.py)"))
    assert "The right end wins. | 75.00 % | 9999..10001 % (missed) |" in row
    assert "- **01**: a missed \\| one: 3 s, target ≤ 2." in text
    assert "*Why:* The clock of this test is slow." in text
    assert "| 01 | net |  | 91.00 % |  |  | 12,346 | 1,000 / 400 |" in text
    with pytest.raises(UserError, match="uv run 01_test.py --full"):
        publish("01_test", tmp_path / "out", full=True)


def test_a_full_run_is_a_row_of_its_own_and_draws_no_figures(course: Path, tmp_path: Path) -> None:
    run = whole(make_run(tmp_path, full=True))
    run.note("It is a test.")
    figure(run, "1_string")
    run.finish()
    path = publish("01_test", tmp_path, full=True)
    assert path.name == "01_test.full.json" and not (course / "docs" / "figures").exists()
    assert "| [01]" in results_page(path.parent).split("## At full scale")[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": "smoke"}, "smoke run"),
        ({"data": {"stand_in": True, "name": "x", "sizes": {}}}, "stand-in"),
        ({"only": 3}, "section 3 only"),
        ({"note": ""}, "missed share and says nowhere why"),
        ({"findings": [{"section": 1, "text": "x", "claim": "y"}]}, "names the claim 'y'"),
    ],
)
def test_only_real_and_whole_runs_are_published(
    change: dict, message: str, course: Path, tmp_path: Path
) -> None:
    run = whole(make_run(tmp_path))
    run.note("It is a test.")
    path = run.finish()
    write_json(path, json.loads(path.read_text("utf-8")) | change)
    with pytest.raises(UserError, match=message) as caught:
        publish("01_test", tmp_path)
    assert "\n" not in str(caught.value) and not (course / "docs").exists()


def test_figures_of_another_version_are_not_published(course: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for name in ("old", "1_new"):
        figure(run, name)
    old = (run.dir / "config.json").stat().st_mtime - 100
    os.utime(run.dir / "old.png", (old, old))
    run.finish()
    shown = course / "docs" / "figures" / "01_test"
    shown.mkdir(parents=True)
    (shown / "0_gone.webp").write_bytes(b"of a section that is gone")
    publish("01_test", tmp_path)
    assert [p.name for p in shown.iterdir()] == ["1_new.webp"]

    late = (run.dir / "metrics.json").stat().st_mtime + 100
    os.utime(run.dir / "1_new.png", (late, late))
    with pytest.raises(UserError, match="a run with --only drew it anew"):
        publish("01_test", tmp_path)


def test_too_many_figures_are_refused(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    figure(run, "1_string")
    run.finish()
    monkeypatch.setattr(publish_, "ALL_FIGURES", 1000)
    with pytest.raises(UserError, match="would take"):
        publish("01_test", tmp_path)
    assert not (course / "docs").exists()


def test_a_figure_becomes_small_and_stays_itself() -> None:
    import io

    import numpy as np
    from PIL import Image

    def png(pixels: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG")
        return buffer.getvalue()

    def read(webp: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(webp)))

    flat = np.full((60, 80, 4), 255, np.uint8)
    flat[20:40, :, :3] = (200, 30, 40)
    flat[:10, :, 3] = 0  # transparent is paper, not ink
    assert (read(small(png(flat))) == flat[..., :3]).all()
    noise = np.random.default_rng(0).integers(0, 256, (300, 2560, 3), np.uint8)
    assert read(small(png(noise))).shape == (129, 1100, 3)
    assert len(small(png(noise))) < len(png(noise)) / 4


# -------------------------------------------------------------------- headlines and versions


def result(**fields) -> dict:
    """A committed result with three claims."""
    claim = {"unit": "1", "target": None, "met": None, "n": None, "section": 1}
    claims = [
        claim | {"id": "first", "text": "the first", "value": 0.25},
        claim | {"id": "judged", "text": "the judged", "value": 0.5, "target": ">= 0", "met": True},
        claim | {"id": "second", "text": "of section 2", "value": 3.0, "unit": "s", "section": 2},
    ]
    return {"lesson": "01_test", "scale": "default", "claims": claims} | fields


def test_the_headline_is_the_marked_finding_or_the_first() -> None:
    one = {"section": 1, "text": "One."}
    two = {"section": 2, "text": "Two.", "main": True}
    named = {"section": 2, "text": "Three.", "claim": "first", "main": True}
    for findings, text, number in (
        ([one], "One.", "judged"),
        ([one, two], "Two.", "second"),
        ([one, named], "Three.", "first"),
    ):
        found = page.headline(result(findings=findings))
        assert (found.text, found.claim["id"]) == (text, number)


def test_the_headline_of_the_older_form(course: Path) -> None:
    assert page.headline(result()).text == "the judged"
    accuracy = result()["claims"][0] | {"id": "accuracy", "text": "accuracy"}
    assert page.headline(result(claims=[*result()["claims"], accuracy])).text == "accuracy"
    (course / "docs").mkdir()
    sentences = course / "docs" / "lessons.toml"
    sentences.write_text('[01_test]\nfinding = "It takes {second}, not {first:plain}."', "utf-8")
    found = page.headline(result())
    assert (found.text, found.claim["id"]) == ("It takes 3 s, not 0.25.", "second")
    sentences.write_text('[01_test]\nfinding = "It has {no_such_claim}."', "utf-8")
    assert page.headline(result()).text == "the judged"
    assert page.headline(result(findings=[{"section": 1, "text": "New."}])).text == "New."


def test_another_version_than_the_pinned_one_is_said(course: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.claim("a", "a", 1.0, "s")
    path = run.finish()
    metrics = json.loads(path.read_text("utf-8"))
    pinned = page.pins()
    for version, said in (
        (pinned["torch"], False),
        (pinned["torch"] + "+rocm7.2", False),
        ("1.13", True),
    ):
        write_json(path, metrics | {"versions": metrics["versions"] | {"torch": version}})
        text = results_page(publish("01_test", tmp_path).parent)
        note = f"¹ Made with torch 1.13 (pinned: {pinned['torch']})."
        assert (note in text) is said
        row = next(line for line in text.splitlines() if line.startswith("| [01]"))
        assert row.endswith("¹ |") is said


def test_a_resumed_run_another_seed_and_another_device_are_said(
    course: Path, tmp_path: Path
) -> None:
    for lesson, change in (
        ("01_test", {}),
        ("02_test", {}),
        ("03_test", {"resumed": ["the training"], "seed": 7, "device": "NVIDIA X, 79 GiB"}),
    ):
        run = make_run(tmp_path)
        run.claim("a", "a", 1.0, "s")
        path = write_json(tmp_path / lesson / "metrics.json", run.metrics() | {"lesson": lesson})
        write_json(path, json.loads(path.read_text("utf-8")) | change)
        write_json(path.with_name("config.json"), {})
        folder = publish(lesson, tmp_path).parent
    rows = [line for line in results_page(folder).splitlines() if line.startswith("| [0")]
    assert "NVIDIA X, seed 7, resumed: the training |" in rows[2]
    assert all("NVIDIA" not in row and "seed" not in row for row in rows[:2])


def test_a_study_stands_behind_its_lesson_and_leads_to_its_script(
    course: Path, tmp_path: Path
) -> None:
    (course / "studies").mkdir()
    for name in ("01_test.py", "02_test.py", "studies/01_aside.py"):
        (course / name).write_text('"""Lesson — Strings"""\n', "utf-8")
    for name in ("01_aside", "01_test", "02_test"):
        run = make_run(tmp_path)
        run.claim("a", "a", 1.0, "s")
        path = write_json(tmp_path / name / "metrics.json", run.metrics() | {"lesson": name})
        write_json(path.with_name("config.json"), {})
        folder = publish(name, tmp_path).parent
    rows = [line for line in results_page(folder).splitlines() if line.startswith("| [0")]
    links = [row.split(" | ")[0] for row in rows]
    assert links == [
        "| [01](01_test.py)",
        "| [01, study](studies/01_aside.py)",
        "| [02](02_test.py)",
    ]


def test_the_page_and_the_table_in_readme_are_written(course: Path, tmp_path: Path) -> None:
    for name in ("01_test", "02_test"):
        (course / f"{name}.py").write_text('"""Lesson — Strings\n\nmore\n"""\n', "utf-8")
    whole_run = whole(make_run(tmp_path))
    whole_run.note("It is a test.")
    whole_run.finish()
    publish("01_test", tmp_path)
    readme = "# Mine\n\n<!-- lessons: made -->\nold\n<!-- end of lessons -->\n\nand more \\1\n"
    (course / "README.md").write_text(readme, "utf-8")
    assert write_results_page() == course / "RESULTS.md"
    text = (course / "README.md").read_text("utf-8")
    assert text.startswith("# Mine\n\n<!-- lessons: made -->\n| script |")
    assert "| [`01_test.py`](01_test.py) | Strings | The right end wins. |" in text
    assert "| [`02_test.py`](02_test.py) | Strings |  |" in text
    assert text.endswith("|\n<!-- end of lessons -->\n\nand more \\1\n") and "old" not in text
    assert with_lessons(text, course / "docs" / "results") == text
    assert with_lessons("no marks", course / "docs" / "results") == "no marks"
