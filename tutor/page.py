"""RESULTS.md and README's table of lessons, as text, from the committed results.

A lesson's headline is the finding that it marks itself (``run.finding(…, main=True)``), or its first one.
Results of the older form have no findings: ``docs/lessons.toml`` holds one sentence for each, with the
names of claims in braces.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.claims import plain, show_target, show_value
from common.io import ROOT
from tutor.prompts import scripts

Metrics = dict[str, Any]

CHOSEN = {
    "val": "best epoch on validation images",
    "max-test": "best epoch on the test images",
}
FOOTNOTES = "¹²³⁴⁵⁶⁷⁸⁹"
ROBUSTNESS = "robustness.json"  # the grid of tests/matrix.py
NAMES = {"milestone_a_fashion_mnist": "A", "capstone_pong": "Pong", "capstone_gameworld": "Runner"}


@dataclass(frozen=True)
class Headline:
    """What stands for a lesson: one sentence, and the claim that is its number (None: it has none)."""

    text: str
    claim: dict[str, Any] | None


def headline(metrics: Metrics) -> Headline:
    """The finding of a committed result, in words, and its number."""
    claims = {claim["id"]: claim for claim in metrics["claims"]}
    findings = metrics.get("findings") or []
    marked = [f for f in findings if f.get("main")]
    for finding in (marked or findings)[:1]:
        return Headline(finding["text"], _claim_of(finding, claims))
    sentence = _read_toml("lessons.toml").get(metrics["lesson"], {}).get("finding", "")
    names = re.findall(r"\{([^{}]+?)(?::plain)?\}", sentence)
    if sentence and set(names) <= set(claims):
        number = claims[names[0]] if names else None
        return Headline(re.sub(r"\{([^{}]+)\}", lambda m: _filled(m[1], claims), sentence), number)
    number = claims.get("accuracy") or _first_judged(claims.values())
    return Headline(number["text"] if number else "", number)


def _claim_of(finding: dict[str, Any], claims: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The claim that a finding names, or else the first judged one of its section."""
    if finding.get("claim"):
        return claims[finding["claim"]]
    return _first_judged(c for c in claims.values() if c.get("section") == finding["section"])


def _first_judged(claims: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    claims = list(claims)
    judged = [claim for claim in claims if claim["met"] is not None]
    return next(iter(judged or claims), None)


def _filled(name: str, claims: dict[str, dict[str, Any]]) -> str:
    """``{accuracy}`` with its unit; ``{accuracy:plain}`` without."""
    claim = claims[name.removesuffix(":plain")]
    if name.endswith(":plain"):
        return plain(claim["value"])
    return show_value(claim["value"], claim["unit"])


# -------------------------------------------------------------------- the page


def results_page(folder: Path) -> str:
    """RESULTS.md as text, from every JSON file in ``folder``."""
    lessons, benchmarks = [], []
    for path in sorted(folder.glob("*.json"), key=_place):
        if path.name == ROBUSTNESS:
            continue
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["file"] = path.name
        (benchmarks if path.name.startswith("bench_") else lessons).append(metrics)
    devices = Counter(m["device"] for m in lessons + benchmarks)
    usual = devices.most_common(1)[0][0] if devices else ""
    notes = _version_notes(lessons + benchmarks)
    lines = [
        "# Results",
        "",
        "Made by `uv run course.py results` from [`docs/results`](docs/results), where all claims of "
        "every run stand with its settings, sizes and versions; do not edit. This page has one finding "
        f"a lesson. Unless a row says otherwise, it was measured on {usual}, with seed 0. *n* is the "
        "number of samples behind a number.",
        "",
        "## Lessons",
        "",
        *_rows([m for m in lessons if m["scale"] == "default"], usual, notes),
    ]
    full = [m for m in lessons if m["scale"] != "default"]
    if full:
        lines += ["", "## At full scale", "", *_rows(full, usual, notes)]
    if notes:
        lines += ["", *[f"{FOOTNOTES[i]} {note}  " for i, note in enumerate(notes)]]
    remarks = [m for m in lessons if m.get("note") and not _missed([m])]
    if remarks:
        lines += ["", *[f"- {_label(m)}: {_cell(m['note'])}" for m in remarks]]
    missed = _missed(lessons + benchmarks) or ["Nothing did."]
    lines += ["", "## What missed its target, and why", "", *missed]
    lines += ["", "## Published figures beside ours", "", *_published_list()]
    lines += ["", "## The ledger: what each idea bought, and what it cost", "", *_ledger(lessons)]
    lines += ["", "## Benchmarks", "", *_benchmarks(benchmarks, usual, notes)]
    if (folder / ROBUSTNESS).is_file():
        lines += ["", "## What may go wrong around a script", "", _robustness(folder / ROBUSTNESS)]
    return "\n".join(lines).rstrip() + "\n"


def _robustness(path: Path) -> str:
    """One sentence on the grid of ``tests/matrix.py``."""
    found = json.loads(path.read_text(encoding="utf-8"))
    n, faults = found["counts"], ", ".join(found["faults"])
    untried = sum(list(row.values()).count("?") for row in found["grid"].values())
    rest = f", {untried:,} not tried yet" if untried else ""
    return (
        f"{len(found['grid'])} scripts were run under {len(found['faults'])} faults each ({faults}), where "
        f"they apply: {n['tried']:,} cells tried, {n['survived']:,} survived, {n['refused kindly']:,} refused "
        f"in one line, {n['lost']:,} lost{rest} ([grid](docs/results/{path.name}); `uv run tests/matrix.py`)."
    )


def _place(path: Path) -> tuple[int, str]:
    """Place of a result in the order of the course, the default run first; benchmarks come last."""
    order = scripts()
    name = path.name.split(".")[0]
    if _is_study(name):  # behind its lesson
        name = next((lesson for lesson in order if lesson[:2] == name[:2]), name)
        return order.index(name) if name in order else len(order), "~" + path.stem
    return order.index(name) if name in order else len(order), path.stem


def _is_study(script: str) -> bool:
    return (ROOT / "studies" / f"{script}.py").is_file()


def short_name(script: str) -> str:
    """What a table calls a script: ``09``, ``A``, ``Pong``."""
    return NAMES.get(script, script[:2] if script[:2].isdigit() else script)


def _link(script: str) -> str:
    if _is_study(script):
        return f"[{short_name(script)}, study](studies/{script}.py)"
    return f"[{short_name(script)}]({script}.py)"


def _rows(lessons: Sequence[Metrics], usual: str, notes: Sequence[str]) -> list[str]:
    """The table of lessons: a row a result."""
    published = _read_toml("published.toml")
    head = ("", "what we found", "number", "target", "published", "data, n", "time, device")
    rows = []
    for m in lessons:
        found = headline(m)
        number, target, n = "", "", ""
        if found.claim:
            claim = found.claim
            number = show_value(claim["value"], claim["unit"])
            target = show_target(claim["target"], claim["unit"])
            target += " (missed)" if claim["met"] is False else ""
            n = f"n = {claim['n']:,}" if claim["n"] else ""
            n += f" ({claim['seeds']} seeds)" if claim.get("seeds") else ""
        beside = ""
        for figure in published.get(m["lesson"], [])[:1]:
            beside = f"[{figure['figure']}]({figure['link']}){_described(figure)}"
        data = "" if m["data"]["name"] == "none" else m["data"]["name"]
        data = ", ".join(part for part in (data, n) if part)
        where = _where(m, usual, notes)
        rows.append((_link(m["lesson"]), found.text, number, target, beside, data, where))
    return _table(head, rows)


def _described(figure: dict[str, Any]) -> str:
    """What stands behind a published figure: the mark of a secondary source, of what, which epoch."""
    mark = "†" if figure.get("secondary") else ""
    chosen = f", {CHOSEN[figure['chosen']]}" if "chosen" in figure else ""
    return f"{mark} {figure['of']}{chosen}"


def _where(m: Metrics, usual: str, notes: Sequence[str]) -> str:
    """Time, the device if it is another one, whether a part was resumed, and the note on versions."""
    seconds = m.get("seconds", m.get("wall_seconds"))
    parts = [] if seconds is None else [_duration(seconds)]
    if m["device"] != usual:
        name = m["device"]
        parts.append(name if name.startswith("CPU") else name.split(",")[0])
    if m.get("seed"):
        parts.append(f"seed {m['seed']}")
    resumed = m.get("resumed") or []
    if len(resumed) > 6:
        resumed = [f"{len(resumed)} parts"]
    parts += [f"resumed: {part}" for part in resumed]
    note = _version_note(m)
    mark = [FOOTNOTES[notes.index(note)]] if note else []
    return " ".join([", ".join(parts), *mark]).strip()


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def pins() -> dict[str, str]:
    """The versions that pyproject.toml pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [re.match(r"([\w-]+)==([\w.]+)", line) for line in project["dependencies"]]
    return {m[1]: m[2] for m in found if m}


def _version_note(m: Metrics) -> str:
    """What was not the pinned version; empty if all were."""
    pinned, parts = pins(), []
    for package, version in m["versions"].items():
        wanted = pinned.get(package)
        if wanted and version.split("+")[0] != wanted:
            parts.append(f"{package} {version} (pinned: {wanted})")
    return f"Made with {', '.join(parts)}." if parts else ""


def _version_notes(results: Sequence[Metrics]) -> list[str]:
    """The different notes on versions, in the order of the page."""
    notes = dict.fromkeys(_version_note(m) for m in results)
    return [note for note in notes if note]


def _missed(results: Sequence[Metrics]) -> list[str]:
    """Every claim that missed its target, and under them the run's own note on it."""
    lines = []
    for m in results:
        missed = [c for c in m["claims"] if c["met"] is False]
        for c in missed:
            value, target = show_value(c["value"], c["unit"]), show_target(c["target"], c["unit"])
            lines.append(f"- **{_label(m)}**: {_cell(c['text'])}: {value}, target {target}.")
        if missed and m.get("note"):
            lines.append(f"  *Why:* {_cell(m['note'])}")
    return lines


def _label(m: Metrics) -> str:
    """What a result is called where it has no row: ``14``, ``02 at full scale``, ``bench_unroll``."""
    if "lesson" not in m:
        return m["file"].removesuffix(".json")
    scale = "" if m["scale"] == "default" else f" at {m['scale']} scale"
    return short_name(m["lesson"]) + scale


def _published_list() -> list[str]:
    """All published figures, script by script."""
    lines = [
        "Networks and budgets differ from ours; each line says how. A figure of the *best epoch on the "
        "test images* flatters: we never report one. † read in another paper, not at its source.",
        "",
    ]
    for script, figures in _read_toml("published.toml").items():
        parts = []
        for f in figures:
            more = f" ({f['more']})" if "more" in f else ""
            source = f"[{f['source']}]({f['link']})"
            parts.append(f"**{f['figure']}**{_described(f)}{more}: {source}")
        lines.append(f"- {short_name(script)}: " + " · ".join(parts))
    return lines


def _ledger(lessons: Sequence[Metrics]) -> list[str]:
    """A row a trained network."""
    head = (
        "", "network", "data", "accuracy or reward", "T", "parameters", "SynOps", "MACs of the ANN",
        "p50, ms", "energy, nJ",
    )  # fmt: skip
    rows = []
    for m in lessons:
        for row in m.get("ledger") or []:
            accuracy = row.get("accuracy")
            if accuracy is not None:  # a reward is given in points, and may be larger than 1
                accuracy = plain(accuracy) if abs(accuracy) > 1 else show_value(accuracy, "1")
            dense, nonzero = row.get("ann_macs"), row.get("ann_macs_nonzero")
            macs = _whole(dense) + (f" / {_whole(nonzero)}" if nonzero is not None else "")
            latency = row.get("latency_p50_ms")
            rows.append(
                (
                    _label(m),
                    row["model"],
                    row.get("data", ""),
                    accuracy or "",
                    _whole(row.get("num_steps")),
                    _whole(row.get("parameters")),
                    _whole(row.get("synops")),
                    macs,
                    "" if latency is None else f"{latency:.2f}",
                    _whole(row.get("energy_estimated_nj")),
                )
            )
    return [
        "Everything is for one inference. *T*: time steps. *SynOps*: operations at synapses that a "
        "spike causes. *MACs of the ANN*: multiply-accumulates of the conventional network of the same "
        "shape, dense / with zeros skipped where that was counted. *Energy*: estimated for the "
        "arithmetic alone, in 32-bit float 0.9 pJ an accumulate and 4.6 pJ a multiply-accumulate "
        "(Horowitz 2014, 45 nm); memory traffic and leakage are left out. Spikes, bytes, p95 and "
        "processors of the AKD1000 stand in the JSON files.",
        "",
        *_table(head, rows),
    ]


def _benchmarks(benchmarks: Sequence[Metrics], usual: str, notes: Sequence[str]) -> list[str]:
    """The claims of each benchmark, and what has to be said beside them."""
    lines = []
    for m in benchmarks:
        where = _where(m, usual, notes)
        title = f"**{_cell(m['title'])}** · `uv run {m['command']}`"
        lines += [f"{title} · {where}" if where else title, ""]
        rows = []
        for c in m["claims"]:
            missed = " (missed)" if c["met"] is False else ""
            target = show_target(c["target"], c["unit"]) + missed
            rows.append((c["text"], show_value(c["value"], c["unit"]), target))
        lines += [*_table(("measured", "value", "target"), rows), ""]
        if m.get("note") and not _missed([m]):  # otherwise it stands above, where it says why
            lines += [_cell(m["note"]), ""]
    return lines


# -------------------------------------------------------------------- README's table


def lessons_table(folder: Path) -> str:
    """The table of lessons in README: every script, its subject, and what we found."""
    rows = []
    for name in scripts():
        path = folder / f"{name}.json"
        found = ""
        if path.is_file():
            found = headline(json.loads(path.read_text(encoding="utf-8"))).text
        rows.append((f"[`{name}.py`]({name}.py)", _subject(ROOT / f"{name}.py"), found))
    return "\n".join(_table(("script", "subject", "what we found"), rows))


def studies_list() -> str:
    """The list of studies in README: each with its subject."""
    paths = sorted(path for path in (ROOT / "studies").glob("[0-9]*.py"))
    lines = [f"- [`studies/{path.name}`](studies/{path.name}): {_subject(path)}" for path in paths]
    return "\n".join(lines)


def _subject(script: Path) -> str:
    """What the title of a script says behind its number."""
    doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return re.split(r" — |: ", doc.split("\n")[0], maxsplit=1)[-1]


# -------------------------------------------------------------------- helpers


def _whole(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"


def _read_toml(name: str) -> dict[str, Any]:
    """A table of ``docs/``; empty if there is none."""
    path = ROOT / "docs" / name
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _cell(text: object) -> str:
    """Text that may stand in a table: on one line, without bars."""
    return " ".join(str(text).split()).replace("|", "\\|")


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table as lines."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in rows:
        lines.append(f"| {' | '.join(_cell(cell) for cell in row)} |")
    return lines
