"""Lesson 03: the numbers against second implementations, every claim worked out again, the network check.

Spikes are recorded while a section runs, and its numbers are computed from them once more, with plain
loops and NumPy.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from pathlib import Path
from types import SimpleNamespace

from common.lesson import LessonConfig, begin, start
from common.run import Run
from common.spiking import constant_current, reset_state, spiking_layers
from training import fit, membrane_loss
from tutor.network_check import complaints, diagnose

import matplotlib.pyplot as plt
import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import ROOT, load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import TinyNet, marked_splits, three_classes
from snntorch import surrogate

sys.path.insert(0, str(ROOT / "studies"))  # for _root
lesson = load_script("03_spike_visualization")
study = load_script("studies/03_intervals")

FROZEN = "0ef8a616ba6cb3d0"
"""Fingerprint of the ranges of both frozen tests. They were committed before anything had been drawn
from them. A change of theirs is a new test set, and has to be one that nobody has looked at."""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch):
    """What a section draws, answers and simulates: titles, outcomes, ``(cur, spk, mem)`` of each run."""
    seen = SimpleNamespace(titles={}, outcomes={}, runs=[], drawn=False, lines={})

    def figure(self, fig, name, look=""):
        assert look, "every figure says what to look at"
        if seen.drawn:
            fig.canvas.draw()  # whatever cannot be drawn fails here
        seen.titles[name] = [fig.get_suptitle(), *(ax.get_title(loc="left") for ax in fig.axes)]
        seen.lines[name] = [[line.get_xydata() for line in ax.get_lines()] for ax in fig.axes]
        plt.close(fig)
        return Path(name)

    plain = lesson.simulate

    def simulate(cur, beta, mem):
        spk_rec, mem_rec = plain(cur, beta, mem)
        seen.runs.append(SimpleNamespace(cur=cur, beta=beta, spk=spk_rec, mem=mem_rec))
        return spk_rec, mem_rec

    monkeypatch.setattr(Run, "figure", figure)
    monkeypatch.setattr(Run, "outcome", lambda self, id, said: seen.outcomes.update({id: said}))
    monkeypatch.setattr(lesson, "simulate", simulate)
    return seen


def raster(seed: int, T: int, N: int, p: float) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).random((T, N)) < p).float()


def text_of(run) -> str:
    return run.findings[0]["text"]


# -------------------------------------------------------------------- neurons and numbers


def test_simulate_is_a_neuron_with_reset_to_zero() -> None:
    random = torch.Generator().manual_seed(0)
    cur = torch.rand(60, 4, generator=random) / 2
    spk_rec, mem_rec = lesson.simulate(cur, 0.9, torch.full((4,), 0.3))
    for i in range(4):
        mem, fired = 0.3, False
        for t in range(60):
            mem = (0.0 if fired else 0.9 * mem) + cur[t, i].item()
            fired = mem > 1
            assert spk_rec[t, i].item() == fired
            assert mem_rec[t, i].item() == pytest.approx(mem, abs=1e-5)


def test_white_noise_has_the_spread_it_says() -> None:
    cur = lesson.white_noise((2000, 200), 0.9, 0.2, torch.Generator().manual_seed(0))
    mem, u = [], torch.zeros(200)
    for cur_t in cur:
        u = 0.9 * u + cur_t
        mem.append(u)
    assert torch.stack(mem[100:]).std().item() == pytest.approx(0.2, rel=0.03)


@pytest.mark.parametrize("beta", [0.6, 0.9, 0.97])
def test_noiseless_rate_is_what_a_neuron_does(beta: float) -> None:
    strengths = torch.tensor([0.5, 0.99, 1.03, 1.7, 2.9, 5.1])
    cur = ((1 - beta) * strengths).expand(4000, 6)
    spk, _ = lesson.simulate(cur, beta, torch.zeros(6))
    assert torch.allclose(lesson.noiseless_rate(strengths, beta), spk.mean(0), atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), T=st.integers(10, 80), N=st.integers(2, 8), p=st.floats(0.05, 0.95)
)
def test_rho_is_mean_covariance_over_mean_variance(seed: int, T: int, N: int, p: float) -> None:
    spk = raster(seed, T, N, p)
    if spk.var(0).mean() == 0:
        return
    cov = np.cov(spk.T, bias=True)
    pairs = [cov[i, j] for i, j in itertools.permutations(range(N), 2)]
    wanted = np.mean(pairs) / np.diag(cov).mean()
    assert lesson.rho_of(spk, 1) == pytest.approx(wanted, abs=1e-5)


def test_copies_are_synchronous_and_the_order_of_neurons_does_not_matter() -> None:
    one = raster(0, 300, 1, 0.2)
    assert lesson.rho_of(one.repeat(1, 7)) == pytest.approx(1, abs=1e-5)
    spk = raster(1, 300, 9, 0.2)
    assert lesson.rho_of(spk.flip(1)) == pytest.approx(lesson.rho_of(spk), abs=1e-6)


def test_noise_of_a_mean_of_neurons() -> None:
    """Section 3: the mean of N has the variance σ²·(ρ + (1 − ρ)/N), whatever the spikes are."""
    common = raster(5, 500, 1, 0.3)
    spk = torch.where(raster(6, 500, 12, 0.5) > 0, common, raster(7, 500, 12, 0.3))
    rho = lesson.rho_of(spk, 1)
    each = spk.var(0, correction=0).mean().item()
    together = spk.mean(1).var(correction=0).item()
    assert together == pytest.approx(each * (rho + (1 - rho) / 12), rel=1e-4)
    assert rho > 0.15


def test_intervals_cv_and_fano_by_hand() -> None:
    spk = torch.zeros(12, 2)
    spk[[0, 2, 6, 11], 0] = 1  # intervals 2, 4, 5
    spk[5, 1] = 1  # no interval: does not count
    assert lesson.intervals(spk).tolist() == [2, 4, 5]
    assert lesson.cv_of(spk) == pytest.approx(np.std([2, 4, 5]) / np.mean([2, 4, 5]))
    # windows of 4: neuron 0 has counts 2, 1, 1; a single spike does not count. It divides by n − 1.
    assert lesson.fano_of(spk, 4) == pytest.approx((1 / 3) / (4 / 3))


@pytest.mark.parametrize(("T", "width", "bins"), [(10, 3, 3), (10, 5, 2), (4, 9, 1)])
def test_bins(T: int, width: int, bins: int) -> None:
    spk = raster(0, T, 3, 0.5)
    n = lesson.counts(spk, width)
    assert n.shape == (bins, 3) and n.sum() == spk[: bins * min(width, T)].sum()


def test_psth_by_hand() -> None:
    spk = torch.tensor([[1.0, 0], [1, 1], [0, 0], [0, 1], [1, 1]])  # 5 steps, 2 trials
    assert lesson.psth(spk, 2).tolist() == [0.75, 0.25]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_numbers_of_rasters_in_which_nothing_varies(value: float) -> None:
    spk = torch.full((40, 5), value)
    r, cv, fano, rho = lesson.numbers_of(spk)
    assert (r, rho) == (value, 0.0)
    if value:
        assert (cv, fano) == (0.0, 0.0)
    else:
        assert np.isnan(cv) and np.isnan(fano)
    assert lesson.two_digits(float("nan")) == "–" and lesson.two_digits(-0.001) == "0.00"


# -------------------------------------------------------------------- sections 1 to 3


def test_section_1(tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_diagnose, tmp_path, smoke=False, seed=3)
    spikes = dict(zip(lesson.six_patterns(run.cfg, run.generator()), seen.runs[:6], strict=True))
    rates = {name: one.spk.numpy().mean() for name, one in spikes.items()}
    mixed = rates["most silent, a few saturated"]
    assert run.value("rate_healthy") == pytest.approx(rates["healthy, irregular"], rel=1e-5)
    assert run.value("rate_nearest") == pytest.approx(mixed, rel=1e-5)
    assert f"{mixed:.3f} against {rates['healthy, irregular']:.3f}" in text_of(run)
    assert seen.titles["1_unlabelled"][1:] == list("ABCDEF")
    answers = [title.split(": ") for title in seen.titles["1_answers"][1:]]
    assert {letter: name for letter, name in answers}[seen.outcomes["bursting"]] == (
        "synchronous bursting"
    )
    assert dict(answers)[seen.outcomes["deceives"]] == "most silent, a few saturated"
    assert sorted(name for _, name in answers) == sorted(spikes)


def test_six_patterns_are_what_they_are_called() -> None:
    cfg = lesson.Config()
    spk = lesson.six_patterns(cfg, torch.Generator().manual_seed(1))
    rate = {name: s.mean(0).numpy() for name, s in spk.items()}
    assert rate["silence"].mean() < 0.006
    assert rate["saturation"].min() == 1
    mixed = rate["most silent, a few saturated"]
    assert ((mixed > 0.9).sum(), (mixed < 0.05).sum()) == (6, 54)
    busy = spk["synchronous bursting"].mean(1).numpy()  # share of the neurons, step by step
    assert busy[np.arange(200) % 30 < 8].sum() > 0.98 * busy.sum()
    isi = np.diff(np.nonzero(spk["healthy, regular"][:, 30].numpy())[0])
    assert set(isi) == {isi[0]}
    isi = np.diff(np.nonzero(spk["healthy, irregular"][:, 30].numpy())[0])
    assert isi.std() / isi.mean() > 0.3


def test_letters_are_drawn_by_the_seed(tmp_path: Path) -> None:
    orders = set()
    for seed in range(4):
        run = begin(lesson.Config(seed=seed, out_dir=tmp_path, smoke=True), "test")
        patterns = lesson.shuffled_patterns(run.cfg, run)
        again = lesson.shuffled_patterns(run.cfg, run)
        assert [n for n, _ in patterns] == [n for n, _ in again], "sections 1, 3, 4: the same six"
        orders.add(tuple(n for n, _ in patterns))
    assert len(orders) == 4


def test_section_2(tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_recording, tmp_path, smoke=False, num_steps=150, seed=1)
    one, many = seen.runs[0], seen.runs[20]
    assert len(seen.runs) == 22 and one.spk.shape == (150, 60)
    # Twenty trials of the whole population, then one neuron: 0.8 rheobases, 2.5 times as much in the grey.
    level = many.cur.mean(1).numpy() / run.cfg.rheobase
    assert level[:50].mean() == pytest.approx(0.8, abs=0.01)
    assert level[50:75].mean() == pytest.approx(2.0, abs=0.01)
    assert one.cur[:50, 59].mean().item() == pytest.approx(0.3, abs=0.03)
    spk = many.spk.numpy()
    truth = spk.mean(1)
    assert run.value("rate_below") == pytest.approx(truth[25:50].mean(), rel=1e-4)
    assert run.value("rate_strong") == pytest.approx(truth[50:75].mean(), rel=1e-4)
    errors = []
    for width in (1, 2, 4, 8, 16, 32):
        roots = []
        for first in range(0, width, max(1, width // 8)):
            for group in range(20):
                few = spk[first:, 20 * group : 20 * group + 20].sum(1)
                bins = len(few) // width
                stairs = [
                    few[b * width : (b + 1) * width].sum() / (20 * width) for b in range(bins)
                ]
                off = [stairs[t // width] - truth[first + t] for t in range(bins * width)]
                roots.append(np.sqrt(np.mean(np.square(off))))
        errors.append(np.mean(roots))
    best = int(np.argmin(errors))
    assert 0 < best < 5
    assert run.value("psth_bin") == 2**best
    assert run.value("psth_fine") == pytest.approx(errors[0] / errors[best], rel=1e-3)
    assert run.value("psth_coarse") == pytest.approx(errors[-1] / errors[best], rel=1e-3)
    near = [2**k for k in range(6) if errors[k] < 1.1 * errors[best]]
    said = f"{near[0]} to {near[-1]} steps" if len(near) > 1 else f"{near[0]} steps"
    assert f"best in bins of {said}" in text_of(run)
    assert seen.titles["2_recording"][0].endswith(f"best in bins of {said}")
    drawn = seen.lines["2_recording"][5][0]  # the last panel: error against bin width
    assert drawn[:, 1] == pytest.approx(errors, rel=1e-3)
    long = (
        seen.runs[21].cur.mean(0).numpy() / run.cfg.rheobase
    )  # the run that intervals are taken from
    assert (
        long == pytest.approx([0.8] * 20 + [2.0] * 20, abs=0.05) and len(seen.runs[21].spk) == 3000
    )
    isi = np.concatenate(
        [np.diff(np.nonzero(row)[0]) for row in seen.runs[21].spk[:, :20].numpy().T]
    )
    coin = seen.lines["2_recording"][3][0]
    assert coin[0, 1] == pytest.approx(1 / isi.mean())
    before = seen.lines["2_recording"][1][1]  # the panel of rates: before the grey bar
    rates = np.mean([r.spk[25:50].numpy().mean(0) for r in seen.runs[:20]], axis=0)
    assert before[:, 1] == pytest.approx(rates, abs=1e-6)
    assert before[[0, -1], 0] == pytest.approx([0.5, 3.0])


def test_psth_error_of_single_steps_is_binomial(tmp_path: Path, seen) -> None:
    """In bins of one step, 20 trials miss a probability p by √(p(1 − p)/20)."""
    run_section(lesson.section_recording, tmp_path, num_steps=120)
    p = seen.runs[20].spk.mean(1).numpy()
    error = seen.lines["2_recording"][5][0][0, 1]
    assert error == pytest.approx(np.sqrt(np.mean(p * (1 - p)) / 20), rel=0.1)


def test_section_3(tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_numbers, tmp_path, smoke=False)
    patterns = lesson.shuffled_patterns(run.cfg, run)
    together = dict(patterns)["synchronous bursting"].numpy()

    def cv(spk: np.ndarray) -> float:
        isis = [np.diff(np.nonzero(row)[0]) for row in spk.T]
        return float(np.mean([isi.std() / isi.mean() for isi in isis if len(isi) > 1]))

    def rho(spk: np.ndarray) -> float:
        n = spk.reshape(40, 5, 60).sum(1)
        cov = np.cov(n.T, bias=True)
        return (cov.sum() - cov.trace()) / 59 / cov.trace()

    assert run.value("cv_before") == pytest.approx(cv(together), rel=1e-4)
    assert run.value("rho_before") == pytest.approx(rho(together), rel=1e-3)
    random = run.generator(1)
    apart = np.stack(
        [np.roll(row, int(torch.randint(200, (), generator=random))) for row in together.T], axis=1
    )
    assert run.value("cv_after") == pytest.approx(cv(apart), rel=1e-4)
    assert run.value("rho_after") == pytest.approx(rho(apart), abs=1e-4)
    assert run.value("rho_before") > 0.8 > 0.1 > abs(run.value("rho_after"))
    assert seen.outcomes["changes"] == "synchrony ρ"
    assert "What changes most is synchrony ρ" in text_of(run)
    rows = {row[0].split(": ")[-1]: row[1:] for row in run.extra["tables"][0]["rows"]}
    assert rows["saturation"] == ["1.00", "0.00", "0.00", "0.00"]
    for name, spk in patterns:
        assert rows[name][0] == f"{spk.numpy().mean():.2f}"
    assert rows["synchronous bursting"][3] == f"{rho(together):.2f}"


# -------------------------------------------------------------------- section 4: the frozen test


def test_the_frozen_ranges_are_those_that_were_committed() -> None:
    kept = {name: test for name, (_, test) in lesson.RANGES.items()}
    said = repr(sorted(kept.items())) + repr(sorted(lesson.LAYER_RANGES.items()))
    assert hashlib.sha256(said.encode()).hexdigest()[:16] == FROZEN


def test_the_ranges_of_the_test_reach_further_on_both_sides() -> None:
    for name, ((low, high), (test_low, test_high)) in lesson.RANGES.items():
        assert test_low < low < high < test_high, name


@pytest.mark.parametrize("kind", lesson.KINDS)
def test_a_population_is_what_its_noise_free_potentials_do(
    kind: str, seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson, "white_noise", lambda shape, *_: torch.zeros(shape))
    random = torch.Generator().manual_seed(5)
    for frozen in (False, True):
        for _ in range(12):
            spk = lesson.population(kind, frozen, random)
            one = seen.runs[-1]
            later = spk[30:]  # a start above the resting level may fire once
            if kind == "silence":
                assert not later.any()
            elif kind == "saturation":
                assert spk.all()
            elif kind == "healthy firing":
                assert later.any(0).all() and not one.cur.diff(dim=0).any(), "steady currents"
                assert (one.cur < 1).all() and (one.cur > 1 - one.beta).all()
            else:
                pulse = one.cur[:, 0] > one.cur[:, 0].min() + 1e-6
                assert later.any(0).all() and 0 < pulse.float().mean() < 0.4
                first = pulse.nonzero()[0, 0]  # once a pulse has ended, U is too low to fire
                assert not spk[first:][~pulse[first:]].any()


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("silence", 0.1, 0.5), ("saturation", 2, 5), ("healthy firing", 1, 9), ("synchronous", 0, 0)],
)
def test_a_layer_gets_the_drive_its_kind_says(kind: str, low: float, high: float, seen) -> None:
    random = torch.Generator().manual_seed(1)
    for _ in range(8):
        if kind == "synchronous":
            spk = lesson.layer_population("synchronous bursting", random)
            one = seen.runs[-1]
            busy = spk[10:].mean(1)
            assert (busy > 0).float().mean() < 0.6 and busy.max() > 0.3
            continue
        lesson.layer_population(kind, random)
        one = seen.runs[-1]
        mean = one.cur.mean().item()
        unit = 1.0 if kind == "saturation" else 1 - one.beta
        assert 0.93 * low < mean / unit < 1.07 * high
        if kind == "healthy firing":
            assert mean < 0.45


def test_halfway_and_the_rule() -> None:
    assert lesson.halfway([0.001, 0.01], [0.04, 0.5]) == pytest.approx(0.02)
    assert lesson.halfway([0.0], [0.1]) == pytest.approx(0.01), "0 counts as 0.001 on a log axis"
    limits = (0.01, 0.5, 0.1)
    assert lesson.name_of(torch.zeros(50, 4), limits) == "silence"
    assert lesson.name_of(torch.ones(50, 4), limits) == "saturation"
    assert lesson.name_of(raster(0, 400, 1, 0.2).repeat(1, 9), limits) == "synchronous bursting"
    assert lesson.name_of(raster(0, 400, 9, 0.2), limits) == "healthy firing"


def coded(kind: str) -> torch.Tensor:
    """A raster that the rule names without fail."""
    return {
        "silence": torch.zeros(100, 10),
        "saturation": torch.ones(100, 10),
        "synchronous bursting": raster(0, 100, 1, 0.2).repeat(1, 10),
        "healthy firing": raster(1, 100, 10, 0.2),
    }[kind]


def test_section_4(tmp_path: Path, seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stub populations: known errors in each test, and each set drawn from its own generator."""
    calls: list[tuple[str, object, int]] = []

    def population(kind, frozen, random):
        calls.append((kind, frozen, random.initial_seed()))
        wrong = frozen and kind == "healthy firing" and sum(c[1] is True for c in calls) % 4 == 0
        return coded("silence" if wrong else kind)

    def layer_population(kind, random):
        calls.append((kind, "layer", random.initial_seed()))
        wrong = kind == "saturation" and len(calls) % 2
        return coded("healthy firing" if wrong else kind)

    monkeypatch.setattr(lesson, "population", population)
    monkeypatch.setattr(lesson, "layer_population", layer_population)
    run = run_section(lesson.section_rule, tmp_path, smoke=False, populations=8, seed=40)
    assert [c[1:] for c in calls] == [(False, 41)] * 32 + [(True, 42)] * 32 + [("layer", 43)] * 32
    assert [c[0] for c in calls] == [kind for kind in lesson.KINDS for _ in range(8)] * 3
    # of 8 healthy ones in the frozen test every fourth is silent; of 8 saturated ones every second healthy
    assert run.value("frozen_lowest") == 6 / 8 and run.value("frozen_right") == 30 / 32
    assert run.value("other_lowest") == 4 / 8
    assert "makes 2 errors on 32 populations from wider ranges and 4 on 32" in text_of(run)
    titles = seen.titles["4_frozen_test"]
    assert titles[1].endswith("2 errors in 32") and titles[2].endswith("4 errors in 32")
    assert run.claims[0].target == run.claims[1].target == ">= 0.95"
    # limits of the stub: rates 0, 0.2 and 1; ρ near 0 and 1
    rates = [coded(kind).mean().item() for kind in lesson.KINDS]
    low = np.sqrt(1e-3 * min(rates[2:]))
    high = np.sqrt(max(rates[2:]) * rates[1])
    rho = np.sqrt(max(lesson.rho_of(coded("healthy firing")), 1e-3))
    assert titles[0].endswith(f"r = {low:.3f} and {high:.2f} and at ρ = {rho:.2f}")
    *points, between, limit = seen.lines["4_frozen_test"][
        2
    ]  # of ten populations, their mean, ρ's limit
    assert limit[0, 1] == pytest.approx(rho) and len(points) == 10
    assert between[:, 1] == pytest.approx(np.mean([p[:, 1] for p in points], axis=0))
    above = [c for p in points for c, y in p if y > rho]
    below = [c for p in points for c, y in p if y <= rho]
    assert run.value("border_low") == pytest.approx(min(above))
    assert run.value("border_high") == pytest.approx(max(below))
    assert f"{100 * min(above):.0f} to {100 * max(below):.0f} % of common noise" in text_of(run)
    healthy, burst = coded("healthy firing"), coded("synchronous bursting")
    said = f"up to {max(0, lesson.rho_of(healthy)):.2f} for healthy ones, from {lesson.rho_of(burst):.2f}"
    assert said in text_of(run)
    assert f"the fastest healthy one has {healthy.mean().item():.3f}" in text_of(run)


def test_the_frozen_test_is_named_at_another_seed(tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_rule, tmp_path, smoke=False, populations=6, seed=77)
    assert run.value("frozen_right") >= 0.9 and run.value("other_lowest") >= 0.6
    assert "is called 'healthy firing'" in text_of(run)


@pytest.mark.parametrize(("c", "rho"), [(0.0, 0.0), (1.0, 1.0)])
def test_shared_noise_is_what_it_says(c: float, rho: float, seen) -> None:
    cfg = lesson.Config(num_steps=400)
    lesson.shared_noise(cfg, c, torch.Generator().manual_seed(2))
    noise = seen.runs[-1].cur.numpy() - 1.6 * cfg.rheobase
    assert noise.std() == pytest.approx(0.5 * np.sqrt(1 - 0.81), rel=0.1)
    cov = np.corrcoef(noise.T)
    assert (cov.sum() - 60) / (60 * 59) == pytest.approx(rho, abs=0.02)


# -------------------------------------------------------------------- section 5: codes


def test_codes_have_their_signature() -> None:
    torch.manual_seed(0)
    image = torch.rand(28, 28)
    codes = lesson.three_codes(lesson.moving(image, 20))
    assert all(spk.shape == (20, 784) for spk in codes.values())
    assert codes["latency"].sum(0).max() == 1
    assert codes["rate"].mean().item() == pytest.approx(0.25, abs=0.02), "gain 0.5 of a mean of 0.5"
    moves = np.arange(20) % 4 == 0
    assert (codes["delta"][~moves] == 0).all() and (codes["delta"][moves][1:] != 0).any()
    assert {lesson.code_of(spk) for spk in codes.values()} == {"rate", "latency", "delta"}


def test_code_of_by_hand() -> None:
    spk = torch.zeros(10, 3)
    spk[[1, 5], [0, 1]] = 1
    assert lesson.code_of(spk) == "latency", "no pixel fires twice"
    spk[5, 0] = -1
    assert lesson.code_of(spk) == "delta", "most steps are silent"
    spk[:6, 2] = 1
    assert lesson.code_of(spk) == "rate"


def test_section_5(tmp_path: Path, seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test images alone are coded; every fourth rate code and half of the faint ones are misread."""
    data = marked_splits(n_test=100)
    data.y_test[0] = 3
    ramp = torch.linspace(0, 255, 784).round().reshape(1, 28, 28)
    data.x_test[:] = ramp.to(torch.uint8)
    shown = []
    moves = []

    def three_codes(film, gain=0.5):
        shown.append((round(film[0].max().item(), 3), gain))
        moves.append(int((film.diff(dim=0) != 0).any(1).sum()))
        T = len(film)
        grey = film[0]
        rate = torch.zeros(T, 784)
        n = (grey * (T - 1)).round().long()
        for k in range(T):
            rate[k] = (n > k).float()
        latency = torch.zeros(T, 784)
        first = ((1 - grey) * (T - 1)).round().long()
        ink = grey > 0.01
        latency[first[ink], torch.nonzero(ink)[:, 0]] = 1
        delta = torch.zeros(T, 784)
        delta[::4] = 1
        return {"rate": rate, "latency": latency, "delta": delta}

    names = iter(itertools.count())

    def code_of(spk):
        k = next(names)
        code, image = ("rate", "latency", "delta", "faint", "fast")[k % 5], k // 5
        if code == "rate":
            return "delta" if image % 4 == 0 else "rate"
        if code == "faint":
            return "rate" if image % 2 else "latency"
        if code == "fast":
            return "rate" if image < 90 else "delta"
        return code

    monkeypatch.setattr(lesson, "three_codes", three_codes)
    monkeypatch.setattr(lesson, "code_of", code_of)
    monkeypatch.setattr(Run, "data", lambda self, loader, **options: data)
    run = run_section(lesson.section_codes, tmp_path)
    assert {light for light, _ in shown} == {1.0}, "black and grey images are of other splits"
    assert [gain for _, gain in shown[1:300:3]] == [0.01] * 100
    T = 30
    assert moves[0] == (T - 1) // 4 and moves[2] == T - 1, "every four steps, and at every step"
    assert run.value("codes_named") == pytest.approx(275 / 300)
    assert run.value("faint_named") == 0.5 and run.value("fast_named") == pytest.approx(0.1)
    assert "50 of 100 rate codes" in text_of(run) and "10 of 100 delta codes" in text_of(run)
    assert run.value("signature_rate") == pytest.approx(1, abs=0.01)
    assert run.value("signature_latency") == pytest.approx(-1, abs=0.01)
    assert "name the code of 275 of 300 rasters" in text_of(run)
    assert seen.titles["5_codes"][0] == "Two looks name the code of 275 of 300 rasters"


# -------------------------------------------------------------------- section 6: the four looks


def some_net() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    net = lesson.Net()
    with torch.no_grad():
        net.fc2.weight.mul_(2)
    x = lesson.encode(torch.rand(12, 1, 28, 28))
    return net, x, torch.arange(12) % 10


@pytest.mark.parametrize("how", lesson.EXPECTED)
def test_four_looks_are_those_of_the_check(how: str) -> None:
    net, x, y = some_net()
    bad = lesson.broken_copy(net, how, 0)
    looks = lesson.four_looks(bad, x, y)
    found = diagnose(bad, x, y)
    assert [la.dead for la in found.layers] == pytest.approx(looks.dead)
    assert [la.saturated for la in found.layers] == pytest.approx(looks.saturated)
    assert [la.gradient for la in found.layers] == pytest.approx(looks.gradient, rel=1e-3, abs=1e-7)
    assert found.stale == pytest.approx(looks.stale, rel=1e-3, abs=1e-7)
    assert (looks.stale > 1e-4) == (how == lesson.STALE)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_broken_copy_differs_in_one_thing(seed: int) -> None:
    net, x, _ = some_net()
    _, mem = net.run(x)
    for how in lesson.EXPECTED:
        bad = lesson.broken_copy(net, how, seed)
        with torch.no_grad():
            _, first = bad.run(x)
            _, second = bad.run(x)
        assert torch.equal(first, mem) == (how in (lesson.HEALTHY, lesson.STEEP, lesson.STALE))
        assert torch.equal(first, second) == (how != lesson.STALE)
    zeroed = lesson.broken_copy(net, lesson.ZEROED, seed)
    gone = [not fc.weight.any() for fc in (zeroed.fc1, zeroed.fc2, zeroed.fc3)]
    assert gone == [seed % 2 == 0, seed % 2 == 1, False]


def test_section_6(tmp_path: Path, seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is scored on what: test images, each broken copy itself; and who was trained with what."""
    data = marked_splits()
    data.x_train.random_(0, 256)
    fits: list[tuple[bool, int]] = []
    frozen: list[int] = []

    def steep(net) -> bool:
        u = torch.full((1,), 0.1, requires_grad=True)
        net.lif1.spike_grad(u).sum().backward()
        return u.grad.item() < 0.1

    def fit(net, given, encode, *, run, seed, **options):
        assert given is data
        fits.append((steep(net), seed))
        if not net.fc1.weight.requires_grad:
            assert not net.fc2.weight.requires_grad and net.fc3.weight.requires_grad
            frozen.append(seed)

    def score(net, x, y, encode, batch_size=500) -> float:
        assert x is data.x_test and y is data.y_test
        if frozen:
            return 0.25 + 0.1 * len(frozen)
        if not net.starts_from_rest:
            return 0.5
        if steep(net):
            return 0.3 + 0.02 * (len(fits) == 3) + 0.1 * (len(fits) > 2)
        if any(not fc.weight.any() for fc in (net.fc1, net.fc2)):
            return 0.1
        if (net.fc1.weight >= 0).all():
            return 0.2
        return 0.8 if len(fits) == 1 else 0.9

    def diagnosed(net, x, y):
        torch.testing.assert_close(y, data.y_train[:32])
        name = lesson.EXPECTED[lesson.STALE] if not net.starts_from_rest else ""
        problems = (name,) if name else ()
        return SimpleNamespace(problems=problems, healthy=not name, lines=lambda: [])

    monkeypatch.setattr(lesson, "fit", fit)
    monkeypatch.setattr(lesson, "evaluate", score)
    monkeypatch.setattr(lesson, "diagnose", diagnosed)
    monkeypatch.setattr(Run, "data", lambda self, loader, **options: data)
    run = run_section(lesson.section_network, tmp_path, networks=2, seed=10)
    assert fits == [(how, seed) for how in (False, True, False) for seed in (10, 11)]
    assert frozen == [10, 11] and run.value("accuracy_last") == pytest.approx(0.4)
    assert "not trained at all it is 40.0 %" in text_of(run)
    assert run.value("network_check") == 0.4, "healthy and stale networks, of five kinds"
    assert run.value("accuracy_healthy") == pytest.approx(0.85)
    assert run.value("accuracy_steep") == pytest.approx(0.3)
    assert run.value("accuracy_steep_trained") == pytest.approx((0.42 + 0.4) / 2)
    assert run.value("accuracy_stale") == 0.5
    assert "names 2 of 8 broken networks rightly" in text_of(run)
    assert "finds nothing in 2 of 2 healthy ones" in text_of(run)
    assert "from 85.0 to 30.0 %. Networks" in text_of(run), "no reason is given for a change"
    assert "reach 41.0 % (40 to 42 over 2 seed(s)" in text_of(run)
    assert "not reset between batches of 50 images has 50.0 %" in text_of(run)
    assert seen.outcomes["after"] == "lower by some points"
    title = seen.titles["6_network_check"][0]
    assert title.startswith("Named rightly: 2 of 8 broken, 2 of 2 healthy.")
    assert "surrogate too steep" in title and lesson.ZEROED not in title


# -------------------------------------------------------------------- the network check


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> TinyNet:
    run = begin(LessonConfig(out_dir=tmp_path_factory.mktemp("03"), device="cpu"), "test")
    torch.manual_seed(0)
    net = TinyNet(num_hidden=24)
    fit(net, three_classes(), encode, run=run, epochs=6, lr=0.02, batch_size=10, quiet=True)
    return net


def encode(x: torch.Tensor) -> torch.Tensor:
    return constant_current(x, 8)


DATA = three_classes()


def look(net: torch.nn.Module):
    return diagnose(net, encode(DATA.x_train[:30]), DATA.y_train[:30], membrane_loss)


def test_numbers_of_a_layer_are_those_of_its_spikes(healthy: TinyNet) -> None:
    found = look(healthy)
    assert found.healthy and found.stale == 0 and found.lines() == []
    assert [la.name for la in found.layers] == ["lif1", "lif2"]
    reset_state(healthy)
    spk1 = torch.stack(
        [healthy.lif1(healthy.fc1(x_t)) for x_t in encode(DATA.x_train[:30])]
    )  # (T, B, N)
    share = spk1.detach().mean((0, 1))
    first = found.layers[0]
    assert first.rate == pytest.approx(share.mean().item(), abs=1e-6)
    assert first.dead == pytest.approx((share == 0).float().mean().item(), abs=1e-6)
    assert first.saturated == pytest.approx((share > 0.9).float().mean().item(), abs=1e-6)
    healthy.zero_grad()
    membrane_loss(healthy.run(encode(DATA.x_train[:30])), DATA.y_train[:30]).backward()
    assert first.gradient == pytest.approx(healthy.fc1.weight.grad.norm().item(), rel=1e-4)
    healthy.zero_grad()
    reset_state(healthy)


def test_leaves_everything_as_it_was(healthy: TinyNet) -> None:
    healthy.train()
    healthy.fc1.weight.grad = torch.full_like(healthy.fc1.weight, 3.0)
    healthy(torch.rand(5, 8))
    before = {n: m.mem.clone() for n, m in spiking_layers(healthy).items()}
    weights, rng = healthy.fc1.weight.detach().clone(), torch.get_rng_state()
    look(healthy)
    assert healthy.training and (healthy.fc1.weight.grad == 3).all()
    assert torch.equal(healthy.fc1.weight, weights) and torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(m.mem, before[n]) for n, m in spiking_layers(healthy).items())
    assert not any(m._forward_hooks for m in healthy.modules())
    healthy.zero_grad()
    reset_state(healthy)


class Deep(torch.nn.Module):
    """8–20–20–3 with any surrogate; ``stale`` leaves out the reset."""

    def __init__(self, spike_grad=None, stale: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.fcs = torch.nn.ModuleList(
            torch.nn.Linear(a, b) for a, b in ((8, 20), (20, 20), (20, 3))
        )
        self.lifs = torch.nn.ModuleList(
            snn.Leaky(beta=0.9, init_hidden=True, spike_grad=spike_grad, output=i == 2)
            for i in range(3)
        )
        self.stale = stale
        with torch.no_grad():
            for fc in self.fcs:
                fc.weight.mul_(2)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.stale:
            reset_state(self)
        out = []
        for x_t in x:
            for fc, lif in zip(self.fcs, self.lifs, strict=True):
                x_t = lif(fc(x_t))
            out.append(x_t)
        return tuple(torch.stack(o) for o in zip(*out, strict=True))


def zero(net: Deep, layer: int) -> Deep:
    with torch.no_grad():
        net.fcs[layer].weight.zero_()
        net.fcs[layer].bias.zero_()
    return net


def test_names_each_disease() -> None:
    assert look(Deep()).problems == ()
    assert look(Deep(stale=True)).problems == ("state left over from the batch before",)
    assert look(Deep(surrogate.fast_sigmoid(slope=3000))).problems == ("vanishing gradient",)
    for layer in (0, 1):
        found = look(zero(Deep(), layer))
        assert found.problems == ("silence",) and found.findings[0].where == f"lifs.{layer}"
    big = Deep()
    with torch.no_grad():
        big.fcs[0].weight.abs_().mul_(100)
    assert look(big).problems == ("saturation",)
    with torch.no_grad():
        big.fcs[0].weight.fill_(float("nan"))
    assert look(big).problems == ("potentials that are no finite numbers",)


def test_the_surrogate_that_is_blamed_lies_on_the_way() -> None:
    """The loss reads the output's potential, so the output's own surrogate passes nothing."""
    steep = surrogate.fast_sigmoid(slope=3000)
    net = Deep()
    net.lifs[2].spike_grad = steep
    assert look(net).healthy, "it is not on the way"
    net = Deep(steep)
    assert "at lifs.2 the surrogate" not in look(net).findings[0].cause
    net = Deep()
    net.lifs[1].spike_grad = steep
    for layer in (0, 1):
        net.lifs[layer].spike_grad = steep
    assert (
        "at lifs.0 the" in look(net).findings[0].cause
        or "at lifs.1 the" in look(net).findings[0].cause
    )


def test_a_gradient_of_zero_is_a_cut() -> None:
    class Cut(Deep):
        def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            reset_state(self)
            spk, mem = [], []
            for x_t in x:
                h = self.lifs[0](self.fcs[0](x_t)).detach()
                out = self.lifs[2](self.fcs[2](self.lifs[1](self.fcs[1](h))))
                spk.append(out[0])
                mem.append(out[1])
            return torch.stack(spk), torch.stack(mem)

    finding = look(Cut()).findings[0]
    assert finding.problem == "vanishing gradient" and "nothing connects" in finding.cause
    assert "detach()" in finding.remedy


def test_a_silent_output_read_by_its_membrane_is_not_ill() -> None:
    net = Deep()
    net.lifs[2].threshold.fill_(1e6)
    assert look(net).problems == ()
    by_count = diagnose(
        net,
        encode(DATA.x_train[:30]),
        DATA.y_train[:30],
        lambda out, y: torch.nn.functional.cross_entropy(out[0].sum(0), y),
    )
    assert by_count.problems == ("silence",)


def test_without_labels_without_neurons_and_with_one_step() -> None:
    assert diagnose(Deep(), encode(DATA.x_train[:30])).healthy

    class Plain(torch.nn.Linear):
        def run(self, x: torch.Tensor) -> torch.Tensor:
            return self(x)

    found = diagnose(Plain(8, 3), encode(DATA.x_train[:30]))
    assert found.layers == () and found.healthy
    assert len(diagnose(Deep(), encode(DATA.x_train[:30])[:1]).layers) == 3


def test_fit_says_what_is_wrong_and_nothing_when_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = begin(LessonConfig(out_dir=tmp_path, device="cpu"), "test")
    for net, times in ((Deep(), 0), (Deep(surrogate.fast_sigmoid(slope=3000)), 2)):
        capsys.readouterr()
        options = {"lr": 1e-4, "batch_size": 50, "check": complaints}
        fit(net, three_classes(), encode, run=run, epochs=3, **options)
        out = capsys.readouterr().out
        assert out.count("check ") == times, out
        assert out.count("Remedy:") == times
    fit(
        Deep(surrogate.fast_sigmoid(slope=3000)),
        three_classes(),
        encode,
        run=run,
        epochs=1,
        quiet=True,
        check=complaints,
    )
    assert "check " not in capsys.readouterr().out


def test_the_check_does_not_change_a_training(tmp_path: Path) -> None:
    run = begin(LessonConfig(out_dir=tmp_path, device="cpu"), "test")
    weights = []
    for quiet in (False, True):
        net = Deep()
        torch.manual_seed(3)
        fit(
            net,
            three_classes(),
            lambda x: torch.bernoulli(encode(x).clamp(0, 1)),
            run=run,
            epochs=2,
            quiet=quiet,
            check=complaints,
        )
        weights.append(net.fcs[0].weight.detach().clone())
    assert torch.equal(*weights)


# -------------------------------------------------------------------- at the edges, and the study


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "flags",
    [
        ["--num-steps=1", "--neurons=10", "--populations=1"],
        ["--beta=0.98", "--neurons=20", "--seed=3"],
    ],
)
def test_sections_1_to_5_at_the_edges(flags, tmp_path: Path, seen) -> None:
    """Hardly any steps, memory or neurons: every number stays a number and every figure is drawn."""
    seen.drawn = "--neurons=10" in flags
    for only in range(1, 6):
        more = ["--smoke", "--device=cpu", f"--out-dir={tmp_path}", f"--only={only}"]
        start(lesson.main, lesson.Config, lesson.SMOKE, lesson.FULL, [*flags, *more])


def test_study(tmp_path: Path, seen) -> None:
    """Its distances from theory, from trains made and measured once more with NumPy."""
    run = run_section(study.section_theory, tmp_path, smoke=False, num_steps=20_000)
    assert run.value("cv") < 0.02 and run.value("rho") < 0.02
    assert run.value("fano_wander") == pytest.approx(0.875 + 100 * 0.05**2 / 0.1, rel=0.05)
    assert seen.titles["1_intervals"][0].endswith("F = CV²")


def test_study_measures_what_it_says() -> None:
    spk = raster(3, 1000, 6, 0.2)
    cv, fano, rho = study.measure(spk)
    cvs, fanos = [], []
    for row in spk.numpy().T:
        isi = np.diff(np.nonzero(row)[0])
        cvs.append(isi.std(ddof=1) / isi.mean())
        n = row.reshape(10, 100).sum(1)
        fanos.append(n.var(ddof=1) / n.mean())
    assert (cv, fano) == pytest.approx((np.mean(cvs), np.mean(fanos)), rel=1e-5)
    cov = np.cov(spk.numpy().T)
    assert rho == pytest.approx((cov.sum() - cov.trace()) / 5 / cov.trace(), abs=1e-5)


def test_study_trains_are_what_they_are_called() -> None:
    random = torch.Generator().manual_seed(0)
    four = study.staged(40_000, 5, random)
    isi = np.diff(np.nonzero(four[:, 0].numpy())[0])
    assert isi.min() >= 4 and isi.mean() == pytest.approx(10, rel=0.05)
    shared = study.half_shared(40_000, 2, random)
    assert np.corrcoef(shared.numpy().T)[0, 1] == pytest.approx(0.25, abs=0.02)
