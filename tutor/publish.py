"""Committing results: a run's metrics and figures go to ``docs/``, and RESULTS.md and README follow."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

from common.io import ROOT, UserError, write_atomic, write_json
from tutor.page import lessons_table, results_page, studies_list

ALL_FIGURES = 6 * 2**20
"""Bytes that all committed figures may take together."""
WIDEST = 1100
"""Pixels; a wider figure is scaled down."""
SMALL = 30_000
"""Bytes up to which a figure is kept without loss."""
QUALITY = 70

TABLE_OF_LESSONS = re.compile(r"(<!-- lessons:.*?-->\n).*?(<!-- end of lessons -->)", re.DOTALL)
LIST_OF_STUDIES = re.compile(r"(<!-- studies:.*?-->\n).*?(<!-- end of studies -->)", re.DOTALL)


def publish(name: str, out_dir: Path, full: bool = False) -> Path:
    """Copy the metrics of the last real run to ``docs/results``, its figures to ``docs/figures/<name>``.

    Figures are those of the default scale. They keep their names and become WebP.

    Args:
        name: the script, such as ``09_training_bptt``.
        out_dir: the folder that holds the results of all scripts.
        full: publish the run at the paper's scale.

    Returns:
        The file in ``docs/results``.

    Raises:
        UserError: there is no such run; it ran on a stand-in, at smoke scale or one section only; it
            missed a target and has no note that says why; or the figures take too many bytes.
    """
    folder = out_dir / ("full" if full else "") / name
    source = folder / "metrics.json"
    if not source.is_file():
        flag = " --full" if full else ""
        raise UserError(f"got no run in {source}; run 'uv run {name}.py{flag}' first")
    metrics = json.loads(source.read_text(encoding="utf-8"))
    _check(metrics, name)
    if not full:
        _publish_figures(folder, name)
    suffix = ".full" if full else ""
    return write_json(ROOT / "docs" / "results" / f"{name}{suffix}.json", metrics)


def write_results_page() -> Path:
    """Write RESULTS.md, and the table of lessons between its two marks in README; return the first."""
    results, readme = ROOT / "docs" / "results", ROOT / "README.md"
    page = write_atomic(ROOT / "RESULTS.md", results_page(results))
    if readme.is_file():
        write_atomic(readme, with_lessons(readme.read_text(encoding="utf-8"), results))
    return page


def with_lessons(readme: str, results: Path) -> str:
    """README's text with the table of lessons and the list of studies made anew, where it has marks for them."""
    for marks, made in (
        (TABLE_OF_LESSONS, lessons_table(results)),
        (LIST_OF_STUDIES, studies_list()),
    ):
        readme = marks.sub(lambda found, made=made: f"{found[1]}{made}\n{found[2]}", readme)
    return readme


def _check(metrics: dict[str, Any], name: str) -> None:
    """Refuse what is no result of the whole lesson on real data."""
    if metrics["scale"] == "smoke":
        raise UserError(f"{name}: got a smoke run; only real runs are published")
    if metrics["data"]["stand_in"]:
        raise UserError(f"{name}: got a run on stand-in data; only real runs are published")
    if metrics.get("only"):
        raise UserError(
            f"{name}: got a run of section {metrics['only']} only; run the whole lesson"
        )
    ids = {claim["id"] for claim in metrics["claims"]}
    for finding in metrics.get("findings") or []:
        if finding.get("claim") and finding["claim"] not in ids:
            raise UserError(
                f"{name}: a finding names the claim '{finding['claim']}', which the run did not make"
            )
    missed = [claim["id"] for claim in metrics["claims"] if claim["met"] is False]
    if missed and not metrics.get("note"):
        raise UserError(
            f"{name}: missed {', '.join(missed)} and says nowhere why; add run.note(…) and run it again"
        )


# -------------------------------------------------------------------- figures


def _publish_figures(folder: Path, name: str) -> None:
    """Replace the committed figures of a script by those of the run in ``folder``."""
    shown = ROOT / "docs" / "figures"
    target = shown / name
    new = {f"{path.stem}.webp": small(path.read_bytes()) for path in _figures(folder)}
    others = [p for p in shown.rglob("*") if p.is_file() and p.parent != target]
    total = sum(map(len, new.values())) + sum(p.stat().st_size for p in others)
    if total > ALL_FIGURES:
        raise UserError(
            f"{name}: with its figures, docs/figures would take {total / 2**20:.1f} MiB, allowed are "
            f"{ALL_FIGURES / 2**20:.0f}; draw fewer points, or fewer figures"
        )
    for file, content in new.items():
        write_atomic(target / file, content)
    for path in target.glob("*"):
        if path.name not in new:
            path.unlink()  # a figure that the lesson no longer draws


def _figures(folder: Path) -> list[Path]:
    """The figures of the run in ``folder``: those drawn after it began, none of an older version.

    Raises:
        UserError: one was drawn anew since, by a run of one section.
    """
    began = (folder / "config.json").stat().st_mtime
    ended = (folder / "metrics.json").stat().st_mtime
    found = []
    for path in sorted(folder.glob("*.png")):
        drawn = path.stat().st_mtime
        if drawn > ended + 2:  # seconds: copies need not keep their order
            raise UserError(
                f"{path} is younger than its metrics.json: a run with --only drew it anew; "
                "run the whole lesson again"
            )
        if drawn >= began - 2:
            found.append(path)
    return found


def small(png: bytes) -> bytes:
    """A figure as WebP: without loss where that is small, otherwise whatever takes fewer bytes."""
    from PIL import Image

    drawn = Image.open(io.BytesIO(png)).convert("RGBA")
    paper = Image.new("RGBA", drawn.size, "white")
    image = Image.alpha_composite(paper, drawn).convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)))
    exact = _webp(image, lossless=True, method=6)
    if len(exact) <= SMALL:
        return exact
    return min(exact, _webp(image, quality=QUALITY, method=6), key=len)


def _webp(image: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", **options)
    return buffer.getvalue()
