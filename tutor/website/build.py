"""Write the website: an index, the ledger, and a page a script, into one folder without outside links.

Nothing is written here that is not in the scripts, in ``docs/results`` or in ``docs/figures``: the
templates hold headings and buttons only. The folder can be opened from a file or served by anything.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from common.claims import plain, show_value
from common.io import ROOT, UserError, write_atomic
from tutor.website import content, playground, prose

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("theme.js", "ledger.js")
LEDGER = (
    ("lesson", "lesson"),
    ("model", "network"),
    ("data", "data"),
    ("accuracy", "accuracy or reward"),
    ("num_steps", "time steps"),
    ("parameters", "parameters"),
    ("synops", "SynOps"),
    ("ann_macs", "MACs of the ANN"),
    ("latency_p50_ms", "latency p50 (ms)"),
    ("energy_estimated_nj", "energy, estimated (nJ)"),
)
"""The columns of the ledger: the name in a result, and the heading on the page."""


def build(folder: Path) -> list[Path]:
    """Write all pages into ``folder``; return them, the index first.

    Raises:
        UserError: ``folder`` holds something that is not a website of this course.
    """
    _make_room(folder)
    pages = content.pages()
    templates = Environment(
        loader=FileSystemLoader([TEMPLATES, playground.FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = templates.get_template("style.css").render(colours=prose.code_colours())
    write_atomic(folder / "style.css", style)
    scripts = {name: (TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS}
    for name, text in scripts.items():
        write_atomic(folder / name, text)
    for page in pages:
        _copy_figures(page, folder)
    written = []
    shared = {"pages": pages}
    single = {
        "index.html": ("index.html", {}),
        "ledger.html": ("ledger.html", {"ledger": ledger(pages)}),
        "playground.html": ("page.html", playground.values(style, scripts["theme.js"])),
    }
    for name, (template, values) in single.items():
        text = templates.get_template(template).render(**shared, **values, current=name)
        written.append(write_atomic(folder / name, text))
    for i, page in enumerate(pages):
        values = {
            "page": page,
            "before": pages[i - 1] if i else None,
            "after": pages[i + 1] if i + 1 < len(pages) else None,
        }
        text = templates.get_template("lesson.html").render(**shared, **values, current=page.name)
        written.append(write_atomic(folder / f"{page.name}.html", text))
    return written


def _make_room(folder: Path) -> None:
    """An old website makes room; anything else is left alone."""
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / "style.css").is_file()):
        raise UserError(
            f"--out: got {folder}, which holds something else; give an empty or a new folder"
        )
    shutil.rmtree(folder / "figures", ignore_errors=True)
    for old in folder.glob("*.html"):
        old.unlink()


def _copy_figures(page: content.Page, folder: Path) -> None:
    source = ROOT / "docs" / "figures" / page.name
    for path in sorted(source.glob("*.webp")):
        write_atomic(folder / "figures" / page.name / path.name, path.read_bytes())


def ledger(pages: list[content.Page]) -> dict[str, Any]:
    """The ledger of all results: headings, and rows of cells with a text and a number to sort by."""
    rows = []
    for page in pages:
        for row in page.result.get("ledger") or []:
            row = row | {"lesson": page.number}
            rows.append({"page": page.name, "cells": [_cell(row, key) for key, _ in LEDGER]})
    return {"columns": [heading for _, heading in LEDGER], "rows": rows}


def _cell(row: dict[str, Any], key: str) -> dict[str, Any]:
    value = row.get(key)
    if value is None:
        return {"text": "", "sort": ""}
    if isinstance(value, str):
        return {"text": value, "sort": value.lower()}
    text = f"{value:,.0f}"
    if key == "accuracy":  # a reward is given in points, and may be larger than 1
        text = plain(value) if abs(value) > 1 else show_value(value, "1")
    if key == "latency_p50_ms":
        text = f"{value:.2f}"
    return {"text": text, "sort": value}
