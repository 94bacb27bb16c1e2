"""Claims are judged rightly, files appear whole or not at all, RESULTS.md says what the JSON says."""

from __future__ import annotations

import json
from pathlib import Path

from common import run as results
from common.claims import LEDGER, meets, show_target, show_value
from common.io import UserError, save_weights, write_atomic, write_json
from common.lesson import LessonConfig, begin
from tutor.publish import enter, publish, results_table

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st


def make_run(tmp_path: Path, **flags) -> results.Run:
    return begin(LessonConfig(out_dir=tmp_path, device="cpu", **flags), "01_test", "A headline\n")


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
        (8.1e-8, "1", "8.10e-08"),
        (34.0, "s", "34 s"),
        (2.345678, "ms", "2.346 ms"),
        (1.0, "", "1"),
        (-0.002, "1", "-0.20 %"),
    ],
)
def test_show_value(value: float, unit: str, shown: str) -> None:
    assert show_value(value, unit) == shown


@pytest.mark.parametrize(
    ("target", "unit", "shown"),
    [
        (">= 0.982", "1", ">= 98.2 %"),
        ("<= 1e-5", "1", "<= 1e-5"),
        ("0.9..1.1", "1", "90..110 %"),
        (None, "1", ""),
        ("<= 60", "s", "<= 60"),
        ("-0.55..-0.45", "", "-0.55..-0.45"),
    ],
)
def test_show_target(target: str | None, unit: str, shown: str) -> None:
    assert show_target(target, unit) == shown


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
    assert json.loads(write_json(tmp_path / "b.json", {"x": torch.tensor([1, 2])}).read_text())[
        "x"
    ] == [1, 2]


def test_finish_refuses_a_claim_that_is_no_number(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.claim("a", "a ratio by zero", float("nan"))
    with pytest.raises(RuntimeError, match="a"):
        run.finish()
    assert not (run.dir / "metrics.json").exists()


def test_scales_write_to_places_of_their_own(tmp_path: Path) -> None:
    folders = {make_run(tmp_path, **flags).dir for flags in ({}, {"smoke": True}, {"full": True})}
    assert len(folders) == 3


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


def test_a_run_of_every_kind_reaches_results_md(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "out")
    run.claim("acc", "accuracy | of a net", 0.91, target=">= 0.9", n=10_000)
    run.claim("late", "a missed one", 3.0, "s", "<= 2")
    run.note("The clock of this test is slow.")
    run.ledger(model="net", accuracy=0.91, synops=12345.6)
    run.finish()
    monkeypatch.setattr("tutor.publish.ROOT", tmp_path)
    published = publish("01_test", tmp_path / "out")
    text = results_table(published.parent)
    assert "| accuracy \\| of a net | 91.00 % | >= 90 % | yes | 10,000 |" in text
    assert "| a missed one | 3 s | <= 2 | **no** |  |" in text and "clock of this test" in text
    assert "| 01_test | net | 0.91 | 12,346 |" in text
    assert json.loads(published.read_text())["command"] == "01_test.py"
    with pytest.raises(UserError, match="first"):
        publish("01_test", tmp_path / "out", full=True)


@pytest.mark.parametrize(
    "field", [{"scale": "smoke"}, {"data": {"stand_in": True, "name": "x", "sizes": {}}}]
)
def test_only_real_runs_are_published(
    field: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "out")
    run.claim("acc", "accuracy", 0.91)
    path = run.finish()
    path.write_text(json.dumps(json.loads(path.read_text()) | field), encoding="utf-8")
    monkeypatch.setattr("tutor.publish.ROOT", tmp_path)
    with pytest.raises(UserError, match="only real runs"):
        publish("01_test", tmp_path / "out")


def test_paths_of_the_machine_stay_out_of_the_command(tmp_path: Path) -> None:
    argv = ["--data-dir", "/home/me/x", "--lr", "0.1", "--out-dir=/y", "--journal", "--resume"]
    run = begin(LessonConfig(out_dir=tmp_path, device="cpu"), "01_test", "", argv)
    assert run.command == "01_test.py --lr 0.1"
    assert "data_dir" not in json.loads((run.dir / "config.json").read_text())


def test_ledger_has_the_columns_of_the_design() -> None:
    assert {
        "model",
        "data",
        "accuracy",
        "n",
        "num_steps",
        "parameters",
        "bytes",
        "spikes",
        "synops",
        "ann_macs",
        "energy_estimated_nj",
        "nps",
    } <= set(LEDGER)


def test_weights_on_a_full_disk_are_one_clear_line_and_the_old_file_stays(tmp_path: Path) -> None:
    """No file may grow beyond 1 kB: the system itself says no, and safetensors' own error is no OSError."""
    resource = pytest.importorskip("resource", reason="this system has no limits to set")
    path = save_weights(torch.nn.Linear(2, 2), tmp_path / "net.safetensors")
    old = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match="free the disk"):
            save_weights(torch.nn.Linear(100, 100), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_reference_journal_has_one_entry_a_lesson_and_scale(tmp_path: Path) -> None:
    journal = tmp_path / "reference.md"
    journal.write_text("# Reference\n\nwords\n", encoding="utf-8")
    for lesson, scale, seconds in (
        ("01_a", "default", 1.0),
        ("02_b", "default", 2.0),
        ("01_a", "full", 3.0),
        ("01_a", "default", 4.0),
    ):
        enter({"lesson": lesson, "scale": scale, "wall_seconds": seconds, "claims": []}, journal)
    text = journal.read_text(encoding="utf-8")
    assert text.startswith("# Reference\n\nwords\n") and text.count("\n## ") == 3
    assert "Time: 1.0 s" not in text and all(f"Time: {t}.0 s" in text for t in (2, 3, 4))
