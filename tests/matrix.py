"""Every script against everything that may go wrong around it. Run by hand; a sample runs in test_matrix.py.

    uv run tests/matrix.py                 all scripts, about ten minutes; writes docs/results/robustness.json
    uv run tests/matrix.py 01 09 course    those of these beginnings; writes nothing

A cell of the grid is one run of one script under one fault, with ``--smoke`` and few time steps:

    .   survived: it ended as it would have without the fault
    r   refused kindly: one line on standard error and exit code 2, or 130 after Ctrl-C; nothing at all where the
        reader of its output has gone
    L   lost: a traceback, more than one line, an exit code that hides it, a hang, or a file of an earlier run changed
    -   does not apply
    ?   not tried: the grid was made in several calls (--rows), of which one is still to come

A script runs in a copy (``fork``) of a process that has imported the libraries, so this needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import json
import locale
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from common.io import one_line_errors, write_json  # noqa: E402

from smoke_worker import fork, import_libraries, run_here  # noqa: E402

LIMIT_S = 90
"""Seconds, as ``smoke_worker.Clock`` counts them, after which a cell counts as hanging."""
RESULT = ROOT / "docs" / "results" / "robustness.json"
FLAGS = ("--smoke", "--num-steps", "2", "--device", "cpu")
SURVIVED, REFUSED, LOST, NOTHING = ".", "r", "L", "-"
UNTRIED = ("?", "")


@dataclass(frozen=True)
class Script:
    """One script, its flags for a short run, and what it can do."""

    path: Path
    flags: tuple[str, ...] = ()
    section: str = ""
    """the number of its first section, if it has sections"""

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def lesson(self) -> bool:
        return bool(self.flags)

    @property
    def done(self) -> tuple[int, ...]:
        """Exit codes of a run that ended as it should: 1 is an exercise that waits for its line."""
        return (0, 1) if self.path.parent.name == "exercises" else (0,)

    @property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")


def scripts(chosen: list[str]) -> list[Script]:
    """Lessons and studies, exercises and ``course.py``, in that order."""
    lessons = [p for k in ("[0-9m]*_*.py", "capstone_*.py") for p in sorted(ROOT.glob(k))]
    lessons += [p for p in sorted((ROOT / "studies").glob("*.py")) if p.stem != "_root"]
    others = [p for p in sorted((ROOT / "exercises").glob("*.py")) if p.stem != "_root"]
    found = []
    for path in [*lessons, ROOT / "course.py", *others]:
        if chosen and not any(path.stem.startswith(c) for c in chosen):
            continue
        if path in lessons:
            headings = re.findall(
                r'@section\ndef .*?\n    r?"""(\d+)  ', path.read_text("utf-8"), re.S
            )
            found.append(Script(path, FLAGS, min(headings, key=int, default="")))
        else:
            found.append(Script(path))
    return found


@dataclass
class Cell:
    """One run under one fault: its folder, its output, and what the fault has to do with them."""

    script: Script
    folder: Path
    flags: list[str] = field(default_factory=list)
    before: list[Callable[[], object]] = field(default_factory=list)
    """what is done in the process of the run before the script starts"""

    @property
    def out_dir(self) -> Path:
        return self.folder / "results"

    def run(self, kill_when: Callable[[], bool] = lambda: False) -> tuple[int, str]:
        """Exit code (−1: it hung) and standard error. It is killed as soon as ``kill_when`` is true."""
        flags = (*self.script.flags, *self.flags)
        if self.script.lesson and "--out-dir" not in flags:
            flags = (*flags, "--out-dir", str(self.out_dir))

        def work() -> int:
            os.chdir(self.folder)
            for step in self.before:
                step()
            return _main(self.script.path, flags)

        number = len(
            list(self.folder.glob("*.err"))
        )  # what a run has started may still write to its own
        out, err = (self.folder / f"{number}.{kind}" for kind in ("out", "err"))
        code = fork(work, str(out), str(err), LIMIT_S, kill_when)
        return code, err.read_text(encoding="utf-8", errors="replace")

    def kept(self) -> dict[str, bytes]:
        """Every file of an earlier run."""
        files = (p for p in self.out_dir.rglob("*") if p.is_file() and p.suffix != ".lock")
        return {str(p): p.read_bytes() for p in files}


def _main(path: Path, flags: tuple[str, ...]) -> int:
    """Run the script as Python does: an error that nobody caught goes to ``sys.excepthook``."""
    import traceback

    def report() -> None:
        kind, error, trace = sys.exc_info()
        sys.excepthook(kind, error, trace)

    traceback.print_exc = report  # run_here's own report
    code = run_here(path, flags)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        return code
    if sys.stdout is not None:
        with contextlib.suppress(OSError, AttributeError):
            sys.stdout = None
    return code


# -------------------------------------------------------------------- what is done to a run

Verdict = tuple[str, str]


def judge(
    code: int, err: str, refuse: bool | None, quiet: bool = False, done: tuple[int, ...] = (0,)
) -> Verdict:
    """What became of a run.

    Args:
        done: the exit codes of a run that ended as it should.
        refuse: it has to refuse (True), to survive (False), or may do either (None).
        quiet: it may also end without a word.
    """
    lines = [line for line in err.splitlines() if line.strip()]
    last = lines[-1][:160] if lines else ""
    if "Traceback" in err or code == -1:
        return LOST, f"{'hung' if code == -1 else 'traceback'}: {last}"
    if code in done and (code == 0 or not lines):
        return (SURVIVED, "") if not refuse else (LOST, f"exit code {code}")
    if quiet and not lines:
        return REFUSED, ""
    if code in (2, 130) and len(lines) == 1:
        return (REFUSED, last) if refuse is not False else (LOST, f"refused: {last}")
    return LOST, f"exit code {code}, {len(lines)} lines: {last}"


def set_env(**values: str) -> Callable[[], None]:
    return lambda: os.environ.update(values)


def closed_stdin() -> None:
    os.close(0)
    sys.stdin = None


def odd_locale() -> None:
    """Nothing but ASCII, on the terminal and in files whose encoding is not named."""
    locale.setlocale(locale.LC_ALL, "C")
    for name in ("stdout", "stderr"):
        stream = open(getattr(sys, name).fileno(), "w", encoding="ascii", errors="strict")  # noqa: SIM115
        setattr(sys, name, stream)


def new_stdout(number: int) -> None:
    """Standard output becomes the open file ``number``, buffered as Python does it."""
    os.dup2(number, 1)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def stdout_to(path: str) -> Callable[[], None]:
    return lambda: new_stdout(os.open(path, os.O_WRONLY))


def cut_output() -> None:
    """Somebody reads a line and leaves, as ``| head -1`` does."""
    read, write = os.pipe()
    new_stdout(write)
    os.close(write)

    def leave() -> None:
        os.read(read, 40)
        os.close(read)

    threading.Thread(target=leave, daemon=True).start()


def no_network() -> None:
    def refuse(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

    socket.socket.connect = refuse


def full_disk(from_: str = "") -> Callable[[], None]:
    """Files whose temporary name holds ``from_`` can no longer be written: the system says so at ``fsync``."""
    real = os.fsync

    def fsync(fd: int) -> None:
        if from_ in os.path.basename(os.readlink(f"/proc/self/fd/{fd}")):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd)

    return lambda: setattr(os, "fsync", fsync)


def without(package: str, *users: str) -> Callable[[], None]:
    """``package`` is not there; its ``users``, which this process has imported already, are imported again."""

    def block() -> None:
        for name in list(sys.modules):
            if name.split(".")[0] in (package, *users):
                del sys.modules[name]
        sys.modules[package] = None

    return block


def ctrl_c(after_s: float) -> Callable[[], None]:
    def set_alarm() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, after_s)

    return set_alarm


# -------------------------------------------------------------------- the faults


def simple(cell: Cell, refuse: bool | None, quiet: bool = False) -> Verdict:
    """Run once; what an earlier run has left has to stay as it was, if this one does not end well."""
    before = cell.kept()
    code, err = cell.run()
    symbol, why = judge(code, err, refuse, quiet, cell.script.done)
    if symbol == REFUSED:
        for name, content in before.items():
            path = Path(name)
            now = path.read_bytes() if path.is_file() else b""
            if now != content and not _whole(path):
                return LOST, f"{path.name} was damaged"
    return symbol, why


def _whole(path: Path) -> bool:
    """A file may be replaced by another one that is whole."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    if path.suffix in (".json", ".csv", ".jsonl", ".md"):
        with contextlib.suppress(ValueError):
            text = content.decode()
            return path.suffix != ".json" or json.loads(text) is not None
    if path.suffix == ".safetensors":
        from safetensors.torch import load

        with contextlib.suppress(Exception):
            return bool(load(content))
    if path.suffix == ".pt":
        return hashlib.sha256(content[:-32]).digest() == content[-32:]
    return path.suffix == ".png" and content.endswith(b"IEND\xaeB`\x82")


def bad_value(cell: Cell) -> Verdict:
    cell.flags = ["--num-steps", "0"] if cell.script.lesson else ["--no-such-flag", "3"]
    return simple(cell, True)


def bad_rank(cell: Cell) -> Verdict:
    if not cell.script.lesson:
        return NOTHING, ""
    cell.before = [set_env(RANK="banana")]
    return simple(cell, True)


def no_data_folder(cell: Cell) -> Verdict:
    if not cell.script.lesson:
        return NOTHING, ""
    cell.before = [set_env(SNN_DATA="/no/such/folder")]
    return simple(cell, True)


def read_only_folder(cell: Cell) -> Verdict:
    if not cell.script.lesson:
        return NOTHING, ""
    blocked = cell.folder / "blocked"  # root may write anywhere, but not below a file
    blocked.write_bytes(b"a file")
    cell.flags = ["--out-dir", str(blocked)]
    return simple(cell, True)


def missing_package(cell: Cell) -> Verdict:
    if not cell.script.lesson:
        return NOTHING, ""
    cell.before = [without("snntorch", "multistep", "training", "exchange")]
    code, err = cell.run()
    if (
        cell.script.name.startswith("00") and code == 1
    ):  # lesson 00 looks for packages: this is its finding
        code = 2
    return judge(code, err, None)


def full_stdout(cell: Cell) -> Verdict:
    cell.before = [stdout_to("/dev/full")]
    return simple(cell, True)


def head(cell: Cell) -> Verdict:
    cell.before = [cut_output]
    return simple(cell, None, quiet=True)


def disk_full_at_once(cell: Cell) -> Verdict:
    if not cell.script.lesson:
        return NOTHING, ""
    cell.before = [full_disk()]
    return simple(cell, True)


def disk_full_at_the_end(cell: Cell) -> Verdict:
    if not cell.script.lesson:
        return NOTHING, ""
    cell.before = [full_disk("metrics")]
    cell.flags = ["--only", cell.script.section] if cell.script.section else []
    return simple(cell, True)


def stop_at_once(cell: Cell) -> Verdict:
    if not cell.script.lesson:
        return NOTHING, ""
    cell.before = [ctrl_c(1.0)]
    return simple(cell, None)


def quiz_without_keyboard(cell: Cell) -> Verdict:
    if not cell.script.lesson or cell.script.path.parent != ROOT:
        return NOTHING, ""
    cell.flags, cell.before = ["--quiz"], [closed_stdin]
    return simple(cell, True)


def predict_without_keyboard(cell: Cell) -> Verdict:
    if cell.script.lesson and not cell.script.section:
        return NOTHING, ""  # a whole run: together with the next one
    cell.before = [closed_stdin]
    if cell.script.lesson:
        cell.flags = ["--predict", "--only", cell.script.section]
    return simple(cell, None if not cell.script.lesson else False)


def ascii_only(cell: Cell) -> Verdict:
    cell.before = [odd_locale]
    if cell.script.section:
        cell.flags = ["--only", cell.script.section]
    elif cell.script.lesson:
        cell.before, cell.flags = [odd_locale, closed_stdin], ["--predict"]
    return simple(cell, None if not cell.script.lesson else False)


def elsewhere_offline(cell: Cell) -> Verdict:
    """From a folder that is not the repository's, without a network."""
    cell.before = [no_network, set_env(SNN_DATA="")]
    return simple(cell, None if not cell.script.lesson else False)


def _goes_on_from(path: Path) -> bool:
    """A checkpoint, a finished point of a sweep, or the finished parts of a command."""
    return path.suffix == ".pt" or path.parent.name == "points" or path.name == "parts.json"


def killed_and_resumed(cell: Cell) -> Verdict:
    """kill −9 as soon as there is something to go on from; then ``--resume``."""
    if not cell.script.lesson or not re.search(r"^    resume: bool", cell.script.source, re.M):
        return NOTHING, ""
    shutil.rmtree(cell.out_dir, ignore_errors=True)

    def has_begun() -> bool:
        return any(_goes_on_from(p) for p in cell.out_dir.rglob("*.*"))

    code, err = cell.run(kill_when=has_begun)
    if code not in (0, -signal.SIGKILL):
        return LOST, f"before it was killed: exit code {code}: {err.strip()[-160:]}"
    cell.flags = ["--resume"]
    return judge(*cell.run(), refuse=False)


FAULTS: dict[str, Callable[[Cell], Verdict]] = {
    "elsewhere, no network": elsewhere_offline,  # first: it leaves the results that the others must not harm
    "bad flag value": bad_value,
    "RANK=banana": bad_rank,
    "$SNN_DATA missing": no_data_folder,
    "out-dir read-only": read_only_folder,
    "package missing": missing_package,
    "stdout to /dev/full": full_stdout,
    "output cut (| head)": head,
    "disk full at once": disk_full_at_once,
    "disk full at the end": disk_full_at_the_end,
    "Ctrl-C": stop_at_once,
    "quiz, stdin closed": quiz_without_keyboard,
    "stdin closed": predict_without_keyboard,
    "ASCII locale": ascii_only,
    "kill -9, --resume": killed_and_resumed,
}


def try_script(
    script: Script, folder: Path, faults: list[str], kept: Path | None = None
) -> dict[str, Verdict]:
    """All cells of one row; what earlier cells left in the results folder stays for the later ones.

    Args:
        kept: file of the cells that were tried before, which are not tried again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    row = json.loads(kept.read_text(encoding="utf-8")) if kept and kept.is_file() else {}
    for fault in faults:
        if fault not in row:
            row[fault] = FAULTS[fault](Cell(script, folder))
            if kept:
                write_json(kept, row)
    return row


def grid(rows: dict[str, dict[str, Verdict]], faults: list[str]) -> str:
    """The grid as text: a letter a cell, the faults by number below it."""
    lines = [f"{'':28} " + " ".join(f"{i:>2}" for i in range(1, len(faults) + 1))]
    for name, row in rows.items():
        lines.append(f"{name:28} " + " ".join(f"{row.get(f, UNTRIED)[0]:>2}" for f in faults))
    lines += ["", *(f"{i:>2}  {fault}" for i, fault in enumerate(faults, 1)), ""]
    for name, row in rows.items():
        lines += [
            f"lost  {name}, {f}: {row[f][1]}" for f in faults if row.get(f, UNTRIED)[0] == LOST
        ]
    return "\n".join(lines)


def counts(rows: dict[str, dict[str, Verdict]]) -> dict[str, int]:
    """Cells by what became of them."""
    found = Counter(symbol for row in rows.values() for symbol, _ in row.values())
    tried = sum(found.values()) - found[NOTHING]
    by_name = {"survived": SURVIVED, "refused kindly": REFUSED, "lost": LOST}
    return {"tried": tried} | {name: found[symbol] for name, symbol in by_name.items()}


def try_all(
    several: list[Script], folder: Path, kept: Path, faults: list[str], jobs: int
) -> dict[str, dict[str, Verdict]]:
    """All rows, by ``jobs`` copies of this process, of which each takes every n-th script."""
    children = []
    for job in range(jobs):
        child = os.fork()
        if child:
            children.append(child)
            continue
        try:
            for script in several[job::jobs]:
                start, file = time.perf_counter(), kept / f"{script.name}.json"
                row = try_script(script, folder / script.name, faults, file)
                symbols = " ".join(row[f][0] for f in faults)
                print(
                    f"{script.name:28} {symbols}   {time.perf_counter() - start:.0f} s", flush=True
                )
        finally:
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)
    files = {s.name: kept / f"{s.name}.json" for s in several}
    there = {name: path for name, path in files.items() if path.is_file()}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in there.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", nargs="*", help="beginnings of their names; all without")
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument(
        "--rows", type=Path, help="folder for finished rows, which are not tried again"
    )
    parser.add_argument("--jobs", type=int, default=1, help="scripts at a time")
    args = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3", MPLBACKEND="Agg")
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SNN_DATA"):
        os.environ.pop(name, None)
    import_libraries()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        several, kept = scripts(args.scripts), args.rows or Path(folder)
        rows = try_all(several, Path(folder), kept, args.faults, args.jobs)
    found = counts(rows)
    print("\n" + grid(rows, args.faults))
    print("   ".join(f"{name} {n:,}" for name, n in found.items()))
    if not args.scripts and len(args.faults) == len(FAULTS):
        cells = {n: {f: row.get(f, UNTRIED)[0] for f in args.faults} for n, row in rows.items()}
        command = "tests/matrix.py" + (" --rows FOLDER" if args.rows else "")
        result = {"command": command, "counts": found, "faults": args.faults, "grid": cells}
        if not args.rows:  # else most of them were made by earlier calls
            result["seconds"] = round(time.perf_counter() - began)
        write_json(RESULT, result)
    return int(found["lost"] > 0)


if __name__ == "__main__":
    with one_line_errors():
        sys.exit(main())
