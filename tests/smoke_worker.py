"""Runs scripts as ``python script.py …`` would, but forked from a process that has imported the libraries already.

    python smoke_worker.py <folder>     reads the paths of scripts, one a line, and says the name of each when it is done

Importing PyTorch and its friends takes longer than most smoke runs, and is the same for all of them. So it is done once
here; each script then gets a process of its own by ``fork``, with its own folder ``<folder>/<name>`` to run in, and its
output in ``<folder>/<name>.out`` and ``.err``, its exit code in ``.code``. Where there is no fork (Windows), each script
is a fresh process.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import psutil

TICK_S, LOOK_S = 0.02, 0.5
"""Seconds between two questions whether a run has ended, and between two looks at what it does."""
FLAGS = ("--smoke", "--num-steps", "2", "--journal")
LIMIT_S = 300
"""Seconds, as ``Clock`` counts them, until a smoke run counts as hanging."""
# torch._dynamo: the first optimiser of a process imports it
ADVANCE = (
    "torch._dynamo snntorch matplotlib.pyplot sklearn.datasets scipy.stats tyro rich.table safetensors.torch "
    "numba torchvision tonic nir neurobench.benchmarks PIL.Image"
)


def import_libraries() -> None:
    """Import what nearly every script imports, so that a fork has it already."""
    for name in ADVANCE.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    helpers = importlib.import_module("helpers")
    helpers.draft_figures()
    helpers.search_less()


def no_network() -> None:
    """Make any connection that leaves the machine an error."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> object:
        inside = ("127.0.0.1", "::1", "localhost")
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in inside:
            raise AssertionError(f"a smoke run opened a connection to {address}")
        return connect(self, address)

    socket.socket.connect = guarded


def run_here(script: Path, flags: tuple[str, ...] = FLAGS) -> int:
    """Run a script in this process as its main program; its exit code."""
    sys.path[0] = str(script.parent)
    sys.argv = [str(script), *flags]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as e:
        if isinstance(e.code, str):
            print(e.code, file=sys.stderr)
        return e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def run_forked(script: Path, folder: Path) -> int:
    """Run a script in a copy of this process, inside ``folder``; its exit code, or −1 if it hangs."""

    def work() -> int:
        os.chdir(folder)
        code = run_here(script)
        atexit._run_exitfuncs()
        return code

    return fork(work, f"{folder}.out", f"{folder}.err", LIMIT_S)


def fork(
    work: Callable[[], int],
    out: str,
    err: str,
    limit_s: int,
    kill_when: Callable[[], bool] = lambda: False,
) -> int:
    """Do ``work`` in a copy of this process that prints into files; what it returns, or −1 if it hangs.

    Args:
        limit_s: seconds, as ``Clock`` counts them, after which it hangs.
        kill_when: it is killed, as by ``kill -9``, as soon as this is true.
    """
    child = os.fork()
    if child:
        clock = Clock(child)
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            late = clock.seconds() > limit_s
            if late or kill_when():
                os.kill(child, signal.SIGKILL)
                status = os.waitpid(child, 0)[1]
                return -1 if late else os.waitstatus_to_exitcode(status)
            time.sleep(TICK_S)
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the names of the next scripts come in there
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        code = work()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


class Clock:
    """The time that a process and its children have had: their processor time, and the time in which all of them slept.

    Time in which one of them could have gone on, but waited for a processor, does not count. So other work on the
    machine makes no run hang, while a run that waits for what never comes is found out as before. Where the system does
    not say who waits for a processor (macOS), each second counts.
    """

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)
        self.slept, self.worked, self.looked = 0.0, 0.0, time.monotonic()

    def seconds(self) -> float:
        """The time until now. It is summed up from a look twice a second, so this is to be asked often."""
        now = time.monotonic()
        if now - self.looked < LOOK_S:
            return self.slept + self.worked
        with contextlib.suppress(psutil.Error, OSError):  # one of them has just ended
            family = [self.process, *self.process.children(recursive=True)]
            if not any(wants_to_run(p.pid) for p in family):
                self.slept += now - self.looked
            self.worked = max(self.worked, sum(sum(p.cpu_times()[:4]) for p in family))
        self.looked = now
        return self.slept + self.worked


def wants_to_run(pid: int) -> bool:
    """Whether a thread of the process runs, waits for a processor, or waits for the disk."""
    states = Path(f"/proc/{pid}/task").glob("*/stat")
    return any(path.read_text().rpartition(")")[2].split()[0] in "RD" for path in states)


def run_apart(script: Path, folder: Path) -> int:
    """Run a script in a fresh process; its exit code, or −1 if it hangs."""
    with open(f"{folder}.out", "wb") as out, open(f"{folder}.err", "wb") as err:
        command = [sys.executable, __file__, "--here", str(script)]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return -1
    return done.returncode


def main() -> None:
    no_network()
    if sys.argv[1] == "--here":
        sys.exit(run_here(Path(sys.argv[2])))
    folder = Path(sys.argv[1])
    forks = hasattr(os, "fork")
    if forks:
        import_libraries()
    for line in sys.stdin:
        script = Path(line.strip())
        here = folder / script.stem
        here.mkdir()
        code = (run_forked if forks else run_apart)(script, here)
        (folder / f"{script.stem}.code").write_text(str(code), encoding="utf-8")
        print(script.stem, flush=True)


if __name__ == "__main__":
    main()
