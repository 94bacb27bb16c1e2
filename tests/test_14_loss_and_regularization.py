"""Lesson 14: the penalties and their gradients, SynOps by two counts, front and knee, and a sweep that resumes."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from common.cost import pareto_front, workload
from common.lesson import begin
from common.spiking import constant_current

import numpy as np
import pytest
import torch
from helpers import ROOT, load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import Always, marked_splits

lesson = load_script("14_loss_and_regularization")


def spikes(*shape: int, rate: float = 0.3, seed: int = 0) -> torch.Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


# -------------------------------------------------------------------- the penalties


def by_loops(
    kind: str, strength: float, hidden: list[torch.Tensor], fans: list[torch.Tensor]
) -> float:
    """λ·R once more, neuron by neuron and image by image, in plain numbers."""
    T, B = hidden[0].shape[:2]
    n, f = [], []
    for layer, fan in zip(hidden, fans, strict=True):
        flat, weights = layer.reshape(T, B, -1).tolist(), fan.flatten().tolist()
        for i in range(len(weights)):
            n.append([sum(flat[t][b][i] for t in range(T)) for b in range(B)])
            f.append(weights[i])
    N, r = len(n), [sum(row) / B for row in n]
    low = lesson.KAPPA * sum(max(0.0, lesson.R_MIN - x) for x in r) / N
    mean = sum(r) / N
    return {
        "none": 0.0,
        "L1": strength * mean,
        "L2": strength * sum(x * x for row in n for x in row) / N / B,
        "L1 with floor": strength * (mean + low),
        "budget": max(0.0, mean - strength) + low,
        "SynOps": strength * sum(a * b for a, b in zip(f, r, strict=True)) / sum(f),
    }[kind]


@pytest.mark.parametrize("kind", ["none", "L1", "L2", "L1 with floor", "budget", "SynOps"])
@settings(max_examples=15, deadline=None)
@given(
    T=st.integers(1, 5),
    B=st.integers(1, 4),
    rate=st.floats(0, 1),
    strength=st.floats(0.01, 5),
    seed=st.integers(0, 10**6),
)
def test_penalty_equals_the_equation_in_loops(
    kind: str, T: int, B: int, rate: float, strength: float, seed: int
) -> None:
    hidden = [
        spikes(T, B, 2, 3, 3, rate=rate, seed=seed),
        spikes(T, B, 4, rate=rate, seed=seed + 1),
    ]
    fans = [torch.arange(18.0).view(2, 3, 3), torch.full((4,), 10.0)]
    got = lesson.penalty(kind, strength, hidden, fans).item()
    assert got == pytest.approx(by_loops(kind, strength, hidden, fans), rel=1e-5, abs=1e-7)


def test_gradient_of_l1_is_flat_and_that_of_l2_follows_the_count() -> None:
    """Equations (4) and (5): 1/N for every spike, 2·n_i/N; so L2 leaves a silent neuron alone and L1 does not."""
    spk, fans = spikes(6, 4, 5), [torch.ones(5)]
    spk[:, :, 0] = 0
    n = spk.sum(0)
    for kind, expected in (("L1", torch.full((4, 5), 0.7 / 20)), ("L2", 0.7 * 2 * n / 20)):
        x = spk.clone().requires_grad_()
        lesson.penalty(kind, 0.7, [x], fans).backward()
        assert torch.allclose(x.grad, expected.expand(6, 4, 5), atol=1e-7), kind
    assert n[:, 0].sum() == 0 and expected[:, 0].abs().sum() == 0


def test_floor_pulls_a_silent_neuron_up_and_no_other() -> None:
    spk = torch.zeros(5, 40, 3, requires_grad=True)
    with torch.no_grad():
        spk[0, :, 0] = 1  # once an image: above the bound
        spk[0, 0, 1] = 1  # once in forty images: below it
    lesson.penalty("L1 with floor", 1.0, [spk], [torch.ones(3)]).backward()
    pull = spk.grad[0, 0]
    assert pull[0] > 0 > pull[1] == pull[2], (
        "a positive gradient takes spikes away, a negative one adds some"
    )
    assert pull[2] == pytest.approx((1 - lesson.KAPPA) * pull[0].item())


def test_budget_is_free_below_its_bound() -> None:
    spk = torch.ones(4, 3, 5)  # 4 spikes a neuron
    assert lesson.penalty("budget", 4.0, [spk], [torch.ones(5)]) == 0
    assert lesson.penalty("budget", 1.5, [spk], [torch.ones(5)]) == pytest.approx(2.5)
    assert lesson.penalty("budget", 9.0, [torch.zeros(4, 3, 5)], [torch.ones(5)]) == pytest.approx(
        lesson.KAPPA * lesson.R_MIN
    ), "and silence costs, whatever the bound"


# -------------------------------------------------------------------- fan-out and SynOps


@settings(max_examples=40, deadline=None)
@given(
    c=st.integers(1, 3),
    out=st.integers(1, 5),
    h=st.integers(5, 9),
    w=st.integers(5, 9),
    k=st.integers(1, 5),
    s=st.integers(1, 3),
    p=st.integers(0, 2),
)
def test_fan_out_of_a_convolution_is_what_autograd_says(
    c: int, out: int, h: int, w: int, k: int, s: int, p: int
) -> None:
    """With weights of 1, ∂(sum of all outputs)/∂(input) counts the weights that an input meets."""
    conv = torch.nn.Conv2d(c, out, k, s, p)
    torch.nn.init.ones_(conv.weight)
    x = torch.zeros(1, c, h, w, requires_grad=True)
    conv(x).sum().backward()
    assert torch.equal(lesson.fan_out(conv, (c, h, w)), x.grad[0])


def test_fan_out_of_a_linear_layer() -> None:
    assert torch.equal(
        lesson.fan_out(torch.nn.Linear(32, 10), (2, 4, 4)), torch.full((2, 4, 4), 10.0)
    )


@pytest.mark.parametrize("data", ["mnist", "cifar10"])
def test_synops_by_hand_equal_neurobench(data: str) -> None:
    cfg = lesson.Config(num_hidden=40, num_steps=5)
    how = lesson.plan(cfg, data)
    torch.manual_seed(0)
    net = how.build()
    x = torch.randint(
        0, 256, (6, 1, 28, 28) if data == "mnist" else (6, 3, 32, 32), dtype=torch.uint8
    )
    by_hand = lesson.measure(net, x, torch.zeros(6, dtype=torch.long), how)
    assert by_hand["synops"] > 0
    assert by_hand["synops"] == workload(net, how.encode(x.float() / 255))["acs"], "exactly"
    assert len(by_hand["r"]) == (40 if data == "mnist" else 32 * 256 + 64 * 64 + 128 * 16)


@pytest.mark.parametrize("data", ["mnist", "cifar10"])
def test_in_sight_or_not_the_network_is_the_same(data: str) -> None:
    how = lesson.plan(lesson.Config(num_hidden=20, num_steps=4), data)
    torch.manual_seed(1)
    net, x = (
        how.build(),
        how.encode(torch.rand(3, 1, 28, 28) if data == "mnist" else torch.rand(3, 3, 32, 32)),
    )
    spk, mem, hidden, fans = lesson.run_open(net, x)
    assert torch.equal(spk, net.run(x)[0]) and torch.equal(mem, net.run(x)[1])
    assert [h.shape[2:] for h in hidden] == [f.shape for f in fans]
    assert all(set(h.unique().tolist()) <= {0.0, 1.0} for h in hidden)


def test_measure_on_a_network_whose_answer_is_known() -> None:
    """One neuron that fires at every step, one that never does."""
    how = lesson.plan(lesson.Config(num_hidden=2, num_steps=4), "mnist")
    net = how.build()
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net.fc1.bias.copy_(torch.tensor([9.0, -9.0]))
        net.fc2.bias[3] = 1.0
    m = lesson.measure(net, torch.zeros(10, 1, 28, 28), torch.tensor([3] * 7 + [5] * 3), how)
    assert (
        m["r"] == [4.0, 0.0]
        and m["dead"] == 0.5
        and m["burst"] == 4
        and m["spikes"] == 4
        and m["synops"] == 40
    )
    assert m["accuracy"] == 0.7


# -------------------------------------------------------------------- front and knee


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


def test_knee_of_a_synthetic_front() -> None:
    cost, value = [1000, 300, 100, 40, 90], [0.985, 0.984, 0.979, 0.95, 0.97]
    assert lesson.knee(cost, value, 0.0) == 0
    assert lesson.knee(cost, value, 0.002) == 1
    assert lesson.knee(cost, value, 0.006) == 2, "0.979 is exactly 0.6 points below the best"
    assert lesson.knee(cost, value, 1.0) == 3
    assert lesson.knee([5, 5], [0.8, 0.9], 0.5) == 1, "of equal cost the better"
    assert pareto_front(cost, value) == [3, 4, 2, 1, 0]


# -------------------------------------------------------------------- the silent neuron


def test_what_a_loss_can_do_to_a_silent_neuron_falls_with_the_surrogate() -> None:
    """One step, membrane θ − d: ∂n/∂I is σ′(−d), for ATan 1/(1 + (πd)²), to the last digits."""
    from multistep import unroll

    from snntorch import Leaky

    d = torch.tensor([0.1, 1.0, 3.0, 10.0, 100.0])
    cur = (1 - d).view(1, 1, -1).requires_grad_()
    spk, _, _ = unroll(Leaky(beta=0.9), cur)
    spk.sum().backward()
    assert spk.sum() == 0
    assert torch.allclose(cur.grad.flatten(), 1 / (1 + (torch.pi * d) ** 2), rtol=1e-5)


def test_l1_pushes_silent_neurons_and_l2_does_not() -> None:
    how = lesson.plan(lesson.Config(num_hidden=6, num_steps=4), "mnist")
    torch.manual_seed(0)
    net = how.build()
    with torch.no_grad():
        net.fc1.bias[:3] = -2.0
    _, _, hidden, fans = lesson.run_open(net, constant_current(torch.rand(8, 784), 4))
    silent = hidden[0].sum((0, 1)) == 0
    assert silent[:3].all()
    for kind, moved in (("L1", True), ("L2", False)):
        net.zero_grad()
        lesson.penalty(kind, 1.0, hidden, fans).backward(retain_graph=True)
        assert bool((net.fc1.weight.grad[silent] != 0).any()) is moved, kind


# -------------------------------------------------------------------- the sweep


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from helpers import load_script
import cloudpickle
lesson = load_script("14_loss_and_regularization")
cloudpickle.register_pickle_by_value(lesson)  # as what stands in a script that is run
lesson.workload = lambda net, x: dict(acs=0.0, macs=0.0)
{function}
if __name__ == "__main__":
    six_points(Path(sys.argv[1]), 2)
"""


def six_points(
    folder, jobs=1, resume=False
):  # no annotations: its text is also part of a program of its own
    """A small sweep of the lesson: what its table says."""
    from common.lesson import begin

    cfg = lesson.Config(
        smoke=True,
        num_hidden=16,
        num_steps=3,
        tune_images=400,
        device="cpu",
        out_dir=folder,
        jobs=jobs,
        resume=resume,
    )
    run = begin(cfg, "lesson")
    points = [
        lesson.Point("mnist", kind, 0.3, seed) for kind in ("none", "L1", "L2") for seed in (0, 1)
    ]
    table = lesson.run_points(cfg, run, run.data(lesson.LOADERS["mnist"]), dict.fromkeys(points))
    return [(r["penalty"], r["each"], r["spikes"], r["synops"], r["r"].tolist()) for r in table]


def test_killed_with_two_processes_and_resumed_with_one_gives_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with two workers is killed when it has some points; one process goes on. An undisturbed run agrees.

    Without NeuroBench, whose import would take longer than all the rest.
    """
    monkeypatch.setattr(lesson, "workload", lambda net, x: {"acs": 0.0, "macs": 0.0})
    script, cut = tmp_path / "points.py", tmp_path / "cut"
    script.write_text(
        SCRIPT.format(
            root=str(ROOT), tests=str(ROOT / "tests"), function=inspect.getsource(six_points)
        ),
        encoding="utf-8",
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"}
    child = subprocess.Popen(
        [sys.executable, str(script), str(cut)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    while child.poll() is None and len(list(cut.rglob("mnist_*.json"))) < 2:
        time.sleep(0.005)
    child.kill()
    child.wait(timeout=60)
    err = child.stderr.read().decode()  # at its end only when no worker holds the pipe any more
    kept = {p: p.stat().st_mtime_ns for p in cut.rglob("mnist_*.json")}
    assert 2 <= len(kept) < 6, f"killed too early or too late: {err}"
    assert all(json.loads(p.read_text(encoding="utf-8"))["result"] for p in kept)
    assert six_points(cut, resume=True) == six_points(tmp_path / "whole")
    assert all(p.stat().st_mtime_ns == t for p, t in kept.items()), (
        "finished points were taken over"
    )


def test_a_changed_setting_is_not_taken_over(tmp_path: Path) -> None:
    cfg = lesson.Config(
        smoke=True, num_hidden=16, num_steps=2, tune_images=100, device="cpu", out_dir=tmp_path
    )
    from dataclasses import replace

    from common.lesson import begin

    run = begin(cfg, "lesson")
    data, point = run.data(lesson.LOADERS["mnist"]), lesson.Point("mnist", "L1", 0.3, 0)
    path = run.dir / "points" / f"{point}.json"
    lesson.run_points(cfg, run, data, {point: None})
    first = path.read_text(encoding="utf-8")
    lesson.run_points(replace(cfg, resume=True, tolerance=0.3, jobs=2), run, data, {point: None})
    assert path.read_text(encoding="utf-8") == first, (
        "the knee's tolerance and the jobs decide no point"
    )
    lesson.run_points(replace(cfg, resume=True, num_steps=3), run, data, {point: None})
    assert (
        json.loads(path.read_text(encoding="utf-8"))["fingerprint"]
        != json.loads(first)["fingerprint"]
    )


# -------------------------------------------------------------------- learning


def test_l1_takes_spikes_away() -> None:
    cfg = lesson.Config(num_hidden=32, num_steps=4, tune_images=600, device="cpu")
    how, data = lesson.plan(cfg, "mnist"), lesson.LOADERS["mnist"](None, source="stand-in")
    spikes_left = []
    for strength in (0.0, 0.3, 3.0):
        torch.manual_seed(0)
        net = how.build()
        lesson.fine_tune(net, data, how, lesson.Point("mnist", "L1", strength, 0))
        spikes_left.append(lesson.measure(net, data.x_val, data.y_val, how)["spikes"])
    assert spikes_left[0] > 1.3 * spikes_left[1] > 1.3 * spikes_left[2]


# -------------------------------------------------------------------- what is published


def test_a_point_is_measured_on_validation_and_on_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The fine-tuned network, not another one, on grey (validation) and on white (test) images."""
    data = marked_splits()
    net = Always(2)
    how = SimpleNamespace(build=lambda: net, encode=lambda x: x, measured=100, counted=8)
    monkeypatch.setattr(lesson, "LOADERS", {"mnist": lambda *_, **__: data})
    monkeypatch.setattr(lesson, "plan", lambda *_: how)

    def fine_tune(tuned: Always, *_: object) -> None:
        tuned.answer = 3

    def measure(measured: Always, x: torch.Tensor, y: torch.Tensor, _how: object) -> dict:
        assert measured.answer == 3
        return {
            "accuracy": (y == 3).float().mean().item(),
            "light": int(x[0, 0, 0, 0]),
            "synops": len(x),
        }

    monkeypatch.setattr(lesson, "fine_tune", fine_tune)
    monkeypatch.setattr(lesson, "measure", measure)
    monkeypatch.setattr(lesson, "workload", lambda net, x: {"macs": 70.0, "acs": float(len(x))})
    point = lesson.Point("mnist", "L1", 1.0, 0)
    r = lesson.work(lesson.Config(device="cpu"), point, None, "stand-in", tmp_path)
    assert (r["val"]["light"], r["test"]["light"]) == (128, 255)
    assert r["test"]["accuracy"] == 0.25 and r["macs"] == 70
    assert r["neurobench"] == r["by_hand"] == 8


def test_rows_of_the_table_are_means_of_the_seeds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Energy: 0.9 pJ an accumulate, 4.6 pJ a multiplication of the first layer, once and not at every step."""

    def sweep(*args, **_):
        tasks = next(a for a in args if isinstance(a, dict))
        for i, name in enumerate(tasks):
            part = {"n": 40, "spikes": 10.0 + i, "synops": 1000.0 * (i + 1), "dead": 0.1 * i}
            part |= {"burst": 2.0 + i, "r": [0.0, 1.0 * i], "accuracy": 0.9 - 0.1 * i}
            val = part | {"accuracy": 0.5 + 0.1 * i, "synops": 7.0 + i}
            yield (
                name,
                {"val": val, "test": part, "macs": 4000.0, "neurobench": 5.0 + i, "by_hand": 5.0},
            )

    monkeypatch.setattr(lesson, "sweep", sweep)
    cfg = lesson.Config(num_steps=4, smoke=True, device="cpu", out_dir=tmp_path)
    points = [lesson.Point("mnist", "L1", 0.3, seed) for seed in (0, 1)]
    (row,) = lesson.run_points(cfg, begin(cfg, "test"), marked_splits(), dict.fromkeys(points))
    assert row["accuracy"] == pytest.approx(0.85) and row["each"] == pytest.approx([0.9, 0.8])
    assert row["val_accuracy"] == pytest.approx(0.55) and row["val_synops"] == pytest.approx(7.5)
    assert row["spikes"] == 10.5 and row["burst"] == 2.5 and row["dead"] == pytest.approx(0.05)
    assert row["miscount"] == 1
    assert row["energy_spikes"] == pytest.approx(1500 * 0.9e-3)
    assert row["energy"] == pytest.approx(1500 * 0.9e-3 + 4000 / 4 * 4.6e-3)


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def row(kind: str, strength: float, accuracy: float, synops: float, **more: object) -> dict:
        """Energy: 1 nJ a SynOp, and 100 nJ for the first layer."""
        row = {"penalty": kind, "strength": strength, "scratch": False, "accuracy": accuracy}
        row |= {"synops": synops, "spikes": synops / 8, "dead": 1 - accuracy, "burst": 2 * accuracy}
        row |= {"energy": synops + 100, "energy_spikes": synops, "miscount": 0.0, "n": 40}
        row |= {"val_accuracy": accuracy, "val_synops": synops, "each": [accuracy, 0.0]}
        return row | {"point": SimpleNamespace(data="mnist")} | more

    table = [
        row("none", 0.0, 0.98, 900.0),
        row("L1", 10.0, 0.5, 10.0, val_accuracy=0.5),
        row("L1", 10.0, 0.1, 0.0, scratch=True),
        row("L1 with floor", 10.0, 0.7, 50.0),
        row("L1", 0.3, 0.976, 300.0, miscount=2.0),
        row("L2", 0.03, 0.9, 400.0),
    ]
    cnn = [
        row("none", 0.0, 0.7, 1000.0, whole=0.68),
        row("L1", 3.0, 0.698, 500.0, whole=0.67, spikes=50.0),
        row("SynOps", 3.0, 0.4, 100.0, spikes=25.0),
    ]
    silent = np.array([True, False, False, True])
    pulls = {"L1": np.array([3.0, 4, 0, 0]), "L2": np.array([0.0, 1, 1, 0]), "silent": silent}
    found = {
        (shape, name): pulls | {"gradient": np.full(4, g * f)}
        for shape, f in (("ATan", 1.0), ("fast sigmoid", 0.5))
        for name, g in (
            ("no penalty", 8.0 * f),
            ("strong L1, late", 5.0),
            ("strong L1 from the start", 2.0 * f**3),
        )
    }
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_, **__: value)  # noqa: E731
    set_("experiment_mnist", table)
    set_("experiment_cnn", cnn)
    set_("experiment_silence", found)
    set_("trained", Always(0))
    set_("plan", SimpleNamespace(encode=lambda x: x))
    monkeypatch.setattr(lesson, "ledger_row", lambda net, x, **row: row)
    run = run_main(lesson, tmp_path, monkeypatch, marked_splits(), seeds=2)
    value = run.value
    assert (value("killed_accuracy"), value("killed_dead")) == (0.1, 0.9)
    assert (value("late_accuracy"), value("late_dead")) == (0.5, 0.5)
    assert value("floor_accuracy") == 0.7 and value("free_accuracy") == 0.98
    # within half a point of the best on validation: λ = 0.3
    assert value("MNIST_saving") == 3 and value("MNIST_lost") == pytest.approx(0.004)
    assert value("MNIST_base") == 0.98 and value("MNIST_knee") == 0.976
    assert value("MNIST_energy") == 300 and value("MNIST_energy_saved") == pytest.approx(0.6)
    assert value("MNIST_miscount") == 2
    assert value("pair_spikes_L1") == 37.5 and value("pair_accuracy_L2") == 0.9
    assert value("pair_burst_L2") == pytest.approx(1.8)
    assert value("reach_atan") == pytest.approx(0.25) and value("reach_fast") == pytest.approx(
        1 / 16
    )
    assert value("pull_L1") == pytest.approx(9 / 25) and value("pull_L2") == 0
    # the CNN is judged on its whole test set
    assert value("CIFAR-10_saving") == 2 and value("CIFAR-10_lost") == pytest.approx(0.01)
    assert value("CIFAR-10_base") == 0.68 and value("CIFAR-10_knee") == 0.67
    assert value("per_spike_L1") == 10 and value("per_spike_SynOps") == 4
    assert [row["accuracy"] for row in run.ledger_rows] == [0.98, 0.976, 0.68, 0.67]
