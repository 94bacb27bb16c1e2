"""One lesson's run: what its sections show, as it happens, and what is kept of it in files."""

from __future__ import annotations

import math
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.claims import LEDGER, Claim, as_table, meets, plain, show_target, show_value
from common.device import describe, peak_memory, versions
from common.io import console, is_rank_zero, save_weights, tutor, write_atomic, write_json

import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 80  # columns of the terminal that tables and sentences fit into


class Run:
    """Collects what one lesson shows and writes it under ``out_dir``.

    ``dir`` is ``<out_dir>/<lesson>`` for the default scale, ``<out_dir>/smoke/<lesson>`` and
    ``<out_dir>/full/<lesson>`` for the other two, so that no scale overwrites another.
    """

    def __init__(self, name: str, cfg: Any, device: torch.device, title: str = "") -> None:
        self.name, self.cfg, self.device, self.title = name, cfg, device, title or name
        self.scale = "smoke" if cfg.smoke else "full" if cfg.full else "default"
        self.dir = Path(cfg.out_dir) / ("" if self.scale == "default" else self.scale) / name
        self.command = name + ".py"
        self.section: int | None = None  # the number of the section that is running
        self.results: dict[int, Any] = {}  # what each finished section returned
        self.claims: list[Claim] = []
        self.findings: list[dict[str, Any]] = []
        self.predictions: list[dict[str, Any]] = []
        self.ledger_rows: list[dict[str, Any]] = []
        self.datasets: list[dict[str, Any]] = []
        self.resumed: list[str] = []
        self.extra: dict[str, Any] = {}
        self.parts: Any = None  # of a script with commands: games.commands
        # a run of one section, or of a student's own network, leaves the record of a whole run alone
        part = f"_only_{cfg.only}" if cfg.only else ""
        self._part = "_check" if getattr(cfg, "check", None) else part
        self._loaded: dict[str, Any] = {}
        self._used: dict[int | None, set[str]] = {}  # stand-ins, by the section that used them
        self._start = time.perf_counter()
        if is_rank_zero():
            write_json(self.dir / f"config{self._part}.json", self._settings())

    def _settings(self) -> dict[str, Any]:
        """The flags that decide the numbers; paths of this machine are left out."""
        left_out = ("data_dir", "out_dir", "show", "quiz", "journal", "predict")
        return {k: v for k, v in asdict(self.cfg).items() if k not in left_out}

    def print(self, *text: object) -> None:
        """Print from one process only."""
        if is_rank_zero():
            console.print(*text, markup=False)

    def generator(self, offset: int = 0) -> torch.Generator:
        """A CPU generator with this run's seed, for numbers that no other section can shift."""
        return torch.Generator().manual_seed(self.cfg.seed + offset)

    def data(self, loader: Callable[..., Any], **options: Any) -> Any:
        """Load a data set with a function of ``common.data`` and note its name; once a run.

        Smoke runs always take the embedded stand-in: they need no network and no files.
        """
        key = f"{loader.__module__}.{loader.__qualname__} {sorted(options.items())}"
        if key not in self._loaded:
            source = "stand-in" if self.cfg.smoke else "auto" if self.cfg.stand_in else "real"
            self._loaded[key] = loader(self.cfg.data_dir, source=source, **options)
            self.datasets.append(self._loaded[key].facts())
            self.print(f"   data    {self._loaded[key].describe()}")
        data = self._loaded[key]
        if data.stand_in:
            self._used.setdefault(self.section, set()).add(data.name)
        return data

    @property
    def stand_in(self) -> bool:
        """True once any data set of this run is a stand-in for the real one."""
        return any(d["stand_in"] for d in self.datasets)

    def result_of(self, section: Any) -> Any:
        """What an earlier section returned; under ``--only`` that section runs now."""
        if section.number not in self.results:
            section.run(self.cfg, self)
        if self.section is not None:
            used = self._used.get(section.number, set())
            self._used.setdefault(self.section, set()).update(used)
        return self.results[section.number]

    def predict(self, id: str, question: str, options: Sequence[str] = (), unit: str = "") -> None:
        """Ask for a prediction, if ``--predict`` is given and somebody sits at a terminal.

        The answer is set beside what the claim (or ``outcome``) of this ``id`` measures.
        """
        if not (self.cfg.predict and sys.stdin and sys.stdin.isatty() and is_rank_zero()):
            return
        guess = tutor("prompts").predict(question, options, unit)
        if guess is not None:
            row = {"id": id, "section": self.section, "question": question, "guess": guess}
            self.predictions.append(row)

    def outcome(self, id: str, measured: str) -> None:
        """What a prediction turned out to be; ``claim`` does this for numbers by itself."""
        for row in self.predictions:
            if row["id"] == id and "measured" not in row:
                row["measured"] = measured
                said = "as you said" if row["guess"] == measured else f"you said: {row['guess']}"
                self.print(f"   ! {measured} ({said})")

    def claim(
        self,
        id: str,
        text: str,
        value: float,
        unit: str = "1",
        target: str | None = None,
        *,
        n: int | None = None,
        seeds: int | None = None,
        real: bool = False,
    ) -> Claim:
        """Record one measured number and print it.

        Args:
            unit: as ``claims.show_value`` takes it: ``1`` for shares, ``points`` for differences.
            target: ``>= x``, ``<= x``, ``== x``, ``a..b``; None: reported, not judged.
            n: number of samples behind the value; ``seeds``: number of trainings.
            real: the claim is about the real data set; on a stand-in it is not judged.
                A smoke run judges nothing.
        """
        if any(c.id == id for c in self.claims):
            raise ValueError(f"claim '{id}' stands already")
        met = meets(float(value), target)
        if self.scale == "smoke" or (real and self.stand_in):
            met = None
        claim = Claim(id, text, float(value), unit, target, met, n, self.section, seeds)
        self.claims.append(claim)
        mark = {True: "✓", False: "✗", None: " "}[met]
        first, *rest = textwrap.wrap(text, 34)
        aim = f"  (target {show_target(target, unit)})" if met is not None else ""
        self.print(f"   {mark} {first:<34} {show_value(claim.value, unit):>12}{aim}")
        for line in rest:
            self.print(f"     {line}")
        self.outcome(id, show_value(claim.value, unit))
        return claim

    def finding(self, text: str, *, main: bool = False, claim: str = "") -> None:
        """One sentence that a student could repeat, computed from what was measured.

        Args:
            main: it stands for the lesson on the results page; otherwise the first one does.
            claim: id of the claim that is its number; otherwise the section's first judged one.
        """
        row = {"section": self.section, "text": text, "main": main, "claim": claim}
        self.findings.append(row)
        self._wrapped("→ ", text)

    def _wrapped(self, mark: str, text: str) -> None:
        hang = {"initial_indent": "   " + mark, "subsequent_indent": " " * (3 + len(mark))}
        filled = textwrap.fill(text.replace(" %", "\u00a0%"), WIDTH, break_on_hyphens=False, **hang)
        self.print(filled.replace("\u00a0", " "))  # a number and its unit stay on one line

    def figure(self, fig: Figure, name: str, look: str = "") -> Path:
        """Save a figure as ``<name>.png``. ``look`` says what to look at.

        If this section used a stand-in data set, the figure's title line says so.
        """
        sections = self._used if self.section is None else {self.section}
        used = set().union(*(self._used.get(number, ()) for number in sections))
        if used:
            notice = f"[stand-in data: {', '.join(sorted(used))}]"
            fig.suptitle(f"{fig.get_suptitle()}  {notice}".strip(), x=0.01, ha="left")
        path = self.dir / f"{name}.png"
        if is_rank_zero():
            write_atomic(path, lambda tmp: fig.savefig(tmp, format="png"))
            self.print(f"   figure  {path}" + (f"\n           look at: {look}" if look else ""))
        import matplotlib.pyplot as plt

        if not self.cfg.show:
            plt.close(fig)
        return path

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table of at most 80 columns and keep it in metrics.json under ``tables``."""
        cells = [[plain(c) if isinstance(c, float) else str(c) for c in row] for row in rows]
        kept = {"title": title, "section": self.section, "columns": list(columns), "rows": cells}
        self.extra.setdefault("tables", []).append(kept)
        if is_rank_zero():
            console.print(as_table(title, columns, cells), width=WIDTH, soft_wrap=False)

    def ledger(self, **row: Any) -> None:
        """Add one trained network to the ledger; columns of ``LEDGER`` not given stay empty."""
        if unknown := set(row) - set(LEDGER):
            raise ValueError(f"ledger: unknown columns {sorted(unknown)}; allowed are {LEDGER}")
        self.ledger_rows.append({k: row[k] for k in LEDGER if k in row})

    def note(self, text: str) -> None:
        """Say beside the results what a reader must know, above all why a target was missed."""
        self.extra["note"] = f"{self.extra['note']} {text}" if "note" in self.extra else text
        self._wrapped("note  ", text)

    def checkpoint(self, net: torch.nn.Module, name: str = "model") -> Path:
        """Save the weights as ``<name>.safetensors``."""
        path = self.dir / f"{name}.safetensors"
        if is_rank_zero():
            save_weights(net, path)
        return path

    def metrics(self) -> dict[str, Any]:
        """Everything measured, as it stands in metrics.json."""
        names = dict.fromkeys(d["name"] for d in self.datasets)
        sizes = {d["name"]: d["sizes"] for d in self.datasets}
        data = {"name": ", ".join(names) or "none", "stand_in": self.stand_in, "sizes": sizes}
        what = {"lesson": self.name, "scale": self.scale, "only": self.cfg.only, "data": data}
        where = {"command": self.command, "device": describe(self.device), "versions": versions()}
        how = {"seed": self.cfg.seed, "settings": self._settings(), "resumed": self.resumed}
        seconds = round(time.perf_counter() - self._start, 2)
        cost = {"seconds": seconds, "memory": peak_memory(self.device)}
        found = {"claims": [asdict(c) for c in self.claims], "findings": self.findings}
        rest = {"predictions": self.predictions, "ledger": self.ledger_rows}
        return what | where | how | cost | found | rest | self.extra

    def finish(self) -> Path | None:
        """Write metrics.json; say what was missed and how long it took."""
        if not is_rank_zero():
            return None
        if bad := [c.id for c in self.claims if not math.isfinite(c.value)]:
            raise RuntimeError(f"claims that are not finite numbers: {', '.join(bad)}")
        metrics = self.metrics()
        path = write_json(self.dir / f"metrics{self._part}.json", metrics)
        self.print("")
        for c in self.claims:
            if c.met is False:
                value = show_value(c.value, c.unit)
                self.print(f"missed     {c.text}: {value} (target {show_target(c.target, c.unit)})")
        mib = metrics["memory"] / 2**20
        self.print(f"took       {metrics['seconds']:.1f} s, {mib:.0f} MiB at most")
        self.print(f"saved      {self.dir}")
        return path
