"""training.sweep: many small trainings, in one process or several; cut and resumed, with the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from common.cost import pareto_front
from common.io import UserError
from training.sweep import fingerprint, finished, sweep, train_all

import pytest
import torch
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st


def square(x: int) -> dict[str, int]:
    if x < 0:
        raise KeyboardInterrupt
    return {"y": x * x}


def a_run(folder: Path) -> SimpleNamespace:
    return SimpleNamespace(dir=folder, resumed=[])


def test_sweep_resumes_and_notices_changed_settings(tmp_path: Path) -> None:
    run, points = a_run(tmp_path), tmp_path / "points"
    tasks, marks = {"a": (2,), "b": (3,), "c": (-1,)}, {k: fingerprint(k) for k in "abc"}
    with pytest.raises(KeyboardInterrupt):
        list(sweep(run, square, tasks, marks))
    assert sorted(p.name for p in points.iterdir()) == ["a.json", "b.json"]
    before = (points / "a.json").stat().st_mtime_ns
    marks["b"] = fingerprint("b", "changed")
    tasks |= {"b": (4,), "c": (5,)}
    (points / "c.json").write_text('{"fingerprint": "cut off', encoding="utf-8")
    found = {name: r["y"] for name, r in sweep(run, square, tasks, marks, resume=True)}
    assert found == {"a": 4, "b": 16, "c": 25}
    assert run.resumed == ["1 of 3 points of the sweep"]
    assert (points / "a.json").stat().st_mtime_ns == before, "a finished point is not made again"
    again = {name: r["y"] for name, r in sweep(run, square, {"a": (9,)}, marks)}
    assert again == {"a": 81} and len(run.resumed) == 1, "without --resume it is"


def times(cfg: SimpleNamespace, data: SimpleNamespace | None, x: int) -> dict[str, int]:
    return {"y": cfg.factor * x + (data.more if data else 0)}


def test_train_all_notices_settings_data_task_and_code(tmp_path: Path) -> None:
    cfg = SimpleNamespace(factor=3, jobs=1, resume=True, seed=0, out_dir=tmp_path)
    run = SimpleNamespace(dir=tmp_path, resumed=[], cfg=cfg)

    def taken_over(x: int = 2, code=(times,), data=None) -> tuple[int, bool]:
        run.resumed.clear()
        found = train_all(run, times, {"a": (x,)}, code, data)
        return found["a"]["y"], bool(run.resumed)

    assert taken_over() == (6, False) and taken_over() == (6, True)
    cfg.seed = 1  # a task has a seed of its own, if it has any
    assert taken_over() == (6, True)
    cfg.factor = 4
    assert taken_over() == (8, False) and taken_over() == (8, True)
    assert taken_over(5) == (20, False) and taken_over(5) == (20, True)
    assert taken_over(5, (times, square)) == (20, False)
    data = SimpleNamespace(more=1, facts=lambda: {"name": "digits"})
    assert taken_over(5, data=data) == (21, False) and taken_over(5, data=data) == (21, True)


def test_sweep_in_two_processes(tmp_path: Path) -> None:
    """With ``dict`` for the work, so that the workers need not import this file."""
    tasks = {str(i): ([["y", i * i]],) for i in range(5)}
    marks = dict.fromkeys(tasks, "x")
    found = dict(sweep(a_run(tmp_path / "two"), dict, tasks, marks, jobs=2))
    assert found == {name: {"y": int(name) ** 2} for name in tasks}
    assert dict(sweep(a_run(tmp_path / "one"), dict, tasks, marks)) == found
    for name in tasks:
        one, two = (tmp_path / n / "points" / f"{name}.json" for n in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_a_lost_worker_is_one_line(tmp_path: Path) -> None:
    tasks, marks = {"a": (3,), "b": (3,)}, {"a": "x", "b": "x"}
    with pytest.raises(UserError, match="--resume"):
        list(sweep(a_run(tmp_path), os._exit, tasks, marks, jobs=2))


def test_a_sweep_takes_one_thread_and_gives_the_others_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    count = lambda: {"threads": torch.get_num_threads()}  # noqa: E731
    assert dict(sweep(a_run(tmp_path), count, {"a": ()}, {"a": "x"})) == {"a": {"threads": 1}}
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_fingerprint_changes_with_settings_files_and_code(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"1")
    marks = {
        fingerprint(1, path),
        fingerprint(2, path),
        fingerprint(1, path, code=[square]),
        fingerprint(1, path, code=[a_run]),
    }
    path.write_bytes(b"2")
    assert len(marks | {fingerprint(1, path)}) == 5
    assert fingerprint(1, path) == fingerprint(1, path)
    assert finished(path, "x") is None and finished(tmp_path, "x") is None


SCRIPT = """
import sys, time
from types import SimpleNamespace
from pathlib import Path
sys.path.insert(0, {root!r})
from training.sweep import sweep

def slow(x):
    time.sleep(0.3)
    return {{"y": x * x}}

if __name__ == "__main__":
    run = SimpleNamespace(dir=Path(sys.argv[1]), resumed=[])
    list(sweep(run, slow, {{str(i): (i,) for i in range(8)}}, dict.fromkeys("01234567", "x"), jobs=2))
"""


def test_killed_with_two_processes_and_resumed_with_one(tmp_path: Path) -> None:
    """A sweep with two workers is killed when it has some points; one process goes on with the rest."""
    script, cut = tmp_path / "points.py", tmp_path / "cut"
    script.write_text(SCRIPT.format(root=str(ROOT)), encoding="utf-8")
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen([sys.executable, str(script), str(cut)], env=env, cwd=ROOT)
    until = time.monotonic() + 120
    while child.poll() is None and len(list(cut.rglob("*.json"))) < 2 and time.monotonic() < until:
        time.sleep(0.005)
    child.kill()
    child.wait(timeout=60)
    kept = {p: p.stat().st_mtime_ns for p in cut.rglob("*.json")}
    assert 2 <= len(kept) < 8, "killed too early or too late"
    assert all(json.loads(p.read_text(encoding="utf-8"))["result"] for p in kept)
    run, tasks = a_run(cut), {str(i): (i,) for i in range(8)}
    found = dict(sweep(run, square, tasks, dict.fromkeys(tasks, "x"), resume=True))
    assert found == {str(i): {"y": i * i} for i in range(8)}
    assert all(p.stat().st_mtime_ns == t for p, t in kept.items()), "finished points are taken over"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_front_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    cost, value = zip(*points, strict=True)
    front = pareto_front(cost, value)
    beaten = {
        i
        for i in range(len(points))
        for j in range(len(points))
        if cost[j] <= cost[i]
        and value[j] >= value[i]
        and (cost[j] < cost[i] or value[j] > value[i])
    }
    assert {points[i] for i in front} == {points[i] for i in range(len(points)) if i not in beaten}
    assert not beaten & set(front) and [cost[i] for i in front] == sorted({cost[i] for i in front})
