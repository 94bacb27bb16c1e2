"""Lesson 05: decoders against scipy and brute force, information by its definition, every published number.

The sections' numbers are worked out again, in NumPy with complex numbers for angles, from the very stimuli and
counts that they drew: ``watch`` hands these over.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

from common.run import Run
from common.spiking import constant_current, reset_state

import matplotlib.pyplot as plt
import numpy as np
import pytest
import snntorch.functional as SF
import torch
from helpers import load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import Always, marked_splits
from scipy.optimize import minimize_scalar
from scipy.stats import poisson

lesson = load_script("05_population_coding")
SHAPES = ("bell", "cosine")
WINDOW = 0.5


def rates(degrees: np.ndarray, num_neurons: int, shape: str, floor: float = 3.0) -> np.ndarray:
    """Mean rates (B, N) as the docstrings of sections 1 and 2 state them."""
    preferred = (np.arange(num_neurons) + 0.5) * 360 / num_neurons - 180
    d = np.angle(np.exp(1j * np.radians(degrees[:, None] - preferred)), deg=True)
    if shape == "cosine":
        return 20 + 18 * np.cos(np.radians(d))
    return floor + 40 * np.exp(-0.5 * (d / 25.0) ** 2)


def arrows(num_neurons: int) -> np.ndarray:
    """(cos sᵢ, sin sᵢ) as complex numbers."""
    return np.exp(1j * np.radians((np.arange(num_neurons) + 0.5) * 360 / num_neurons - 180))


def off(found: np.ndarray, s: np.ndarray) -> float:
    """RMS of angular errors in degrees, by way of complex numbers."""
    error = np.angle(np.exp(1j * np.radians(np.asarray(found) - np.asarray(s))), deg=True)
    return float(np.sqrt((error**2).mean()))


def vector(counts: np.ndarray) -> np.ndarray:
    return np.angle(counts @ arrows(counts.shape[1]), deg=True)


def likelihood(counts: np.ndarray, shape: str, floor: float = 3.0) -> np.ndarray:
    """The best of 7,200 angles; no parabola."""
    grid = np.arange(-180, 180, 0.05)
    f = rates(grid, counts.shape[1], shape, floor)
    return grid[(counts @ np.log(f).T - WINDOW * f.sum(1)).argmax(1)]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch):
    """What a section draws at random, what it decodes, what it shows and what it answers."""
    seen = SimpleNamespace(stimuli=[], counts=[], decoded=[], figures={}, outcomes={})
    random_angles, draw, decode = lesson.random_angles, torch.poisson, lesson.most_likely
    toss = torch.binomial

    def angles(*args):
        seen.stimuli.append(random_angles(*args).numpy())
        return torch.from_numpy(seen.stimuli[-1])

    def counts(mean, generator=None):
        found = draw(mean, generator=generator)
        seen.counts.append(found.numpy())
        return found

    def tosses(count, prob, generator=None):
        found = toss(count, prob, generator=generator)
        seen.counts.append(found.numpy())
        return found

    def most_likely(*args, **options):
        found = decode(*args, **options)
        seen.decoded.append((*(np.asarray(a) for a in args), found.numpy()))
        return found

    def figure(self, fig, name, look=""):
        assert look, "every figure says what to look at"
        titles = [ax.get_title(loc="left") for ax in fig.axes]
        lines = [
            (i, line.get_label(), np.asarray(line.get_xydata(), dtype=float))
            for i, ax in enumerate(fig.axes)
            for line in ax.get_lines()
        ]
        bars = [[bar.get_height() for bar in ax.patches] for ax in fig.axes]
        points = {}
        for i, ax in enumerate(fig.axes):
            for container in ax.containers:
                if hasattr(container, "has_yerr"):
                    line = container.lines[0]
                    points[i, container.get_label()] = np.asarray(line.get_ydata(), dtype=float)
        keep = {"headline": fig.get_suptitle(), "titles": titles, "lines": lines, "bars": bars}
        keep["points"] = points
        seen.figures[name] = SimpleNamespace(**keep)
        plt.close(fig)
        return Path(name)

    monkeypatch.setattr(lesson, "random_angles", angles)
    monkeypatch.setattr(torch, "poisson", counts)
    monkeypatch.setattr(torch, "binomial", tosses)
    monkeypatch.setattr(lesson, "most_likely", most_likely)
    monkeypatch.setattr(Run, "figure", figure)
    monkeypatch.setattr(
        Run, "outcome", lambda self, id, measured: seen.outcomes.update({id: measured})
    )
    return seen


def few_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten bootstrap samples in place of 300: they cost most of the time."""
    full = lesson.interval_of_ratio
    monkeypatch.setattr(lesson, "interval_of_ratio", lambda e, u, g: full(e, u, g, resamples=10))


# -------------------------------------------------------------------- the equations


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e4, 1e4))
def test_wrap_keeps_the_angle(angle: float) -> None:
    found = lesson.wrap(torch.tensor([angle], dtype=torch.float64)).item()
    assert -180 <= found < 180
    assert math.cos(math.radians(found)) == pytest.approx(math.cos(math.radians(angle)), abs=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_rates_are_those_of_the_page_and_slopes_their_derivatives(shape: str) -> None:
    pop, h = lesson.Population(16, shape), 1e-4
    s = torch.linspace(-180, 179, 50, dtype=torch.float64)
    assert np.allclose(pop.rates(s), rates(s.numpy(), 16, shape))
    numeric = (pop.rates(s + h) - pop.rates(s - h)) / (2 * h)
    assert (numeric - pop.slopes(s)).abs().max() < 1e-6
    assert torch.allclose(pop.rates(s), pop.rates(s + 360))
    assert lesson.Population(1, shape).preferred.item() == 0, "section 1's one neuron"


@pytest.mark.parametrize("shape", SHAPES)
def test_information_is_the_variance_of_the_score(shape: str) -> None:
    """T·f′²/f is E[(d log P/ds)²] by its definition: the sum over all counts of one neuron."""
    pop, s, h = lesson.Population(5, shape), torch.tensor([40.0], dtype=torch.float64), 1e-3
    n = np.arange(120)[:, None]
    f = [WINDOW * pop.rates(s + d)[0].numpy() for d in (-h, 0.0, h)]
    score = (poisson.logpmf(n, f[2]) - poisson.logpmf(n, f[0])) / (2 * h)  # (counts, N)
    expected = (poisson.pmf(n, f[1]) * score**2).sum(0)
    found = WINDOW * pop.slopes(s) ** 2 / pop.rates(s)
    assert found[0].numpy() == pytest.approx(expected, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("told", [False, True])
def test_maximum_likelihood_agrees_with_scipy(shape: str, told: bool) -> None:
    pop, generator = lesson.Population(24, shape), torch.Generator().manual_seed(0)
    counts = pop.counts(lesson.random_angles(12, generator), WINDOW, generator)
    alive = torch.ones(12, 24, dtype=torch.float64)
    if told:
        alive = (torch.rand(12, 24, generator=generator) > 0.3).double()
        counts = counts * alive
    table = pop.rates(lesson.GRID)
    found = lesson.most_likely(counts, table.log(), WINDOW * alive @ table.T)
    for n, living, answer in zip(counts.numpy(), alive.numpy(), found.tolist(), strict=True):

        def cost(x: float, n=n, living=living) -> float:
            f = rates(np.array([x]), 24, shape)[0]
            return float((WINDOW * living * f - n * np.log(f)).sum())

        coarse = min(np.linspace(-180, 180, 2001), key=cost)
        around = (coarse - 0.5, coarse + 0.5)
        best = minimize_scalar(cost, bounds=around, method="bounded", options={"xatol": 1e-6})
        assert off(np.array([answer]), np.array([best.x])) < 0.02


@pytest.mark.parametrize("shape", SHAPES)
def test_counts_without_noise_are_decoded_exactly(shape: str) -> None:
    pop, s = lesson.Population(64, shape), torch.linspace(-179, 179, 37, dtype=torch.float64)
    counts, table = WINDOW * pop.rates(s), pop.rates(lesson.GRID)
    assert off(lesson.population_vector(counts, pop.preferred), s) < 1e-5
    assert off(lesson.most_likely(counts, table.log(), WINDOW * table.sum(1)), s) < 1e-3
    coarse = lesson.most_likely(counts, lesson.rounded(table.log(), 12), WINDOW * table.sum(1))
    assert off(coarse, s) < 1


def test_turning_the_counts_turns_the_answers() -> None:
    """Shift the counts by one neuron: both decoders turn by 360°/N."""
    pop, generator = lesson.Population(36), torch.Generator().manual_seed(0)
    counts = pop.counts(lesson.random_angles(200, generator), WINDOW, generator)
    table = pop.rates(lesson.GRID)
    for decode in (
        lambda n: lesson.population_vector(n, pop.preferred),
        lambda n: lesson.most_likely(n, table.log(), WINDOW * table.sum(1)),
    ):
        assert off(decode(counts.roll(1, 1)), decode(counts) + 10) < 1e-3


def test_population_vector_has_its_theoretical_spread() -> None:
    """Cosine tuning, counts Poisson: Var ≈ 2b/(N·T·A²)."""
    pop, generator = lesson.Population(512, "cosine"), torch.Generator().manual_seed(0)
    s = lesson.random_angles(3000, generator)
    found = lesson.population_vector(pop.counts(s, WINDOW, generator), pop.preferred)
    expected = math.degrees(math.sqrt(2 * 20 / (512 * WINDOW * 18**2)))
    assert lesson.rms(found - s) == pytest.approx(expected, rel=0.06)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 10), st.integers(0, 1000))
def test_rounded(bits: int, seed: int) -> None:
    w = torch.randn(200, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    levels = np.linspace(w.min().item(), w.max().item(), 2**bits)
    nearest = levels[np.abs(w.numpy()[:, None] - levels).argmin(1)]
    assert lesson.rounded(w, bits).numpy() == pytest.approx(nearest, abs=1e-9)


def test_no_spike_at_all_is_no_crash() -> None:
    pop, nothing = lesson.Population(8), torch.zeros(3, 8, dtype=torch.float64)
    table = pop.rates(lesson.GRID)
    for guess in (
        lesson.population_vector(nothing, pop.preferred),
        lesson.most_likely(nothing, table.log(), WINDOW * table.sum(1)),
    ):
        assert guess.shape == (3,) and torch.isfinite(guess).all()


def test_interval_of_ratio() -> None:
    """For normal errors the RMS has a standard error of 1/√(2n); an interval holds what it should."""
    inside = 0
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        error = 3 * torch.randn(400, generator=generator, dtype=torch.float64)
        low, high = lesson.interval_of_ratio(error, torch.full((400,), 2.0), generator, 100)
        inside += low <= 1.5 <= high
        assert (high - low) / 2 == pytest.approx(1.96 * 1.5 / math.sqrt(800), rel=0.35)
    assert 51 <= inside <= 60


def test_slope() -> None:
    assert lesson.slope((1, 10, 100), [8.0, 0.8, 0.08]) == pytest.approx(-1)


# -------------------------------------------------------------------- the numbers of sections 1 to 4


@pytest.mark.parametrize("stimulus", [40.0, -75.0])
def test_section_1(tmp_path: Path, watch, stimulus: float) -> None:
    run = run_section(
        lesson.section_one_and_many, tmp_path, smoke=False, stimulus=stimulus, trials=1500
    )
    n, many = watch.counts
    assert n.shape == (1500,) and many.shape == (1500, 48)
    mean = WINDOW * (3 + 40 * math.exp(-(stimulus**2) / 1250))
    assert n.mean() == pytest.approx(mean, rel=0.1)
    hill = WINDOW * rates(np.array([stimulus]), 48, "bell")[0]
    assert many.mean(0) == pytest.approx(hill, abs=1)
    assert run.value("fano") == pytest.approx(n.var(ddof=1) / n.mean())
    assert run.value("fano") == pytest.approx(1 - mean / 500, abs=0.15), "500 tosses of a coin"
    curve = WINDOW * (3 + 40 * np.exp(-(np.arange(181.0) ** 2) / 1250))
    told = np.array([np.abs(curve - count).argmin() for count in n])
    known = np.mean(np.abs(told - abs(stimulus)) > 7.5)
    assert run.value("one_told") == pytest.approx(known)
    assert run.value("farthest") == pytest.approx(np.mean(told == 180))
    other = [abs(math.remainder(-angle - abs(stimulus), 360)) for angle in told]
    by_lot = (known + np.mean(np.array(other) > 7.5)) / 2
    assert run.value("one_alone") == pytest.approx(by_lot, abs=0.04)
    off_48 = np.angle(np.exp(1j * np.radians(vector(many) - stimulus)), deg=True)
    assert run.value("all_48") == pytest.approx(np.mean(np.abs(off_48) > 7.5))
    shown = watch.figures["1_one_and_many"]
    assert f"{100 * known:.0f} % if it is told the side, and" in shown.headline
    assert shown.headline.startswith(f"Off by more than 7.5°: {100 * run.value('one_alone'):.0f} %")
    assert sum(shown.bars[2]) == sum(shown.bars[4]) == sum(shown.bars[5]) == 1500
    text = run.findings[0]["text"]
    assert f"{100 * known:.0f} % of the answers are off by more than 7.5°, even if" in text
    assert text.endswith(f"{100 * run.value('all_48'):.1f} % are.")


def test_section_2(tmp_path: Path, watch) -> None:
    run = run_section(
        lesson.section_population_vector, tmp_path, smoke=False, trials=200, shared=3.0
    )
    sizes = lesson.SIZES
    errors = {name: [] for name in ("bells", "cosines", "shared", "loudest", "mean")}
    for i, num_neurons in enumerate(sizes):
        s = watch.stimuli[i]
        bells, cosines, shared = watch.counts[1 + 3 * i : 4 + 3 * i]
        preferred = np.angle(arrows(num_neurons), deg=True)
        assert bells.mean(1) == pytest.approx(WINDOW * rates(s, num_neurons, "bell").mean(1), abs=2)
        errors["bells"].append(off(vector(bells), s))
        errors["cosines"].append(off(vector(cosines), s))
        errors["shared"].append(off(vector(shared), s))
        errors["loudest"].append(off(preferred[bells.argmax(1)], s))
        errors["mean"].append(off(bells @ preferred / bells.sum(1), s))
    slopes = {k: np.polyfit(np.log(sizes), np.log(v), 1)[0] for k, v in errors.items()}
    assert run.value("slope_vector") == pytest.approx(slopes["bells"])
    assert -0.56 < slopes["bells"] < -0.44
    assert run.value("error_vector") == pytest.approx(errors["bells"][-1])
    assert run.value("error_shared") == pytest.approx(errors["shared"][-1])
    assert 2.5 < errors["shared"][-1] < 3.6, "√(3² + 0.65²), with 200 trials"
    assert run.value("slope_loudest") == pytest.approx(slopes["loudest"])
    assert run.value("error_mean") == pytest.approx(errors["mean"][-1])
    loud = errors["loudest"]
    assert (
        1 < loud[0] / loud[-1] < 2 and watch.outcomes["loudest"] == "It falls, but not to a half."
    )
    shown = watch.figures["2_population_vector"]
    assert shown.headline.endswith(f"power −{-slopes['bells']:.2f}")
    drawn = {name.split(": slope")[0]: xy[:, 1] for panel, name, xy in shown.lines if panel == 1}
    assert drawn["population vector, cosines"] == pytest.approx(errors["cosines"])
    assert drawn["population vector, bells"] == pytest.approx(errors["bells"])
    assert drawn["population vector, a tremble of 3° shared"] == pytest.approx(errors["shared"])
    answer = vector(watch.counts[0])[0]
    assert any(f"P: {answer:.0f}°" in name for _, name, _ in shown.lines)
    text = run.findings[0]["text"]
    assert f"from {errors['bells'][0]:.1f}° to {errors['bells'][-1]:.2f}°" in text
    assert f"from {loud[0]:.1f}° to {loud[-1]:.1f}°" in text
    assert run.findings[0]["main"] and "tremble of 3°" in text


def test_section_3(tmp_path: Path, watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SIZES", (16, 48, 128))
    monkeypatch.setattr(lesson, "FLOORS", (0.5, 8.0))
    calls = []

    def interval(error, unit, generator):
        calls.append((error, unit))
        return (0.9, 1.1) if len(calls) in (1, 5, 9, 13) else (1.01, 1.2)

    monkeypatch.setattr(lesson, "interval_of_ratio", interval)
    run = run_section(lesson.section_likelihood, tmp_path, smoke=False, trials=250)
    ratios = {"ML": [], "bell": [], "cosine": [], "floor": []}
    places = [(shape, N, 3.0) for shape in SHAPES for N in lesson.SIZES]
    places += [("bell", 256, floor) for floor in (0.5, 8.0)]
    for i, (shape, num_neurons, floor) in enumerate(places):
        s, counts = watch.stimuli[i], watch.counts[i]
        h = 1e-3
        f = rates(s, num_neurons, shape, floor)
        up, down = (rates(s + d, num_neurons, shape, floor) for d in (h, -h))
        information = WINDOW * ((up - down) / (2 * h)) ** 2 / f
        bound = math.sqrt((1 / information.sum(1)).mean())
        of_vector = off(vector(counts), s) / bound
        ratios["ML"].append(off(likelihood(counts, shape, floor), s) / bound)
        ratios[shape if i < 6 else "floor"].append(of_vector)
    farthest = max(ratios["ML"], key=lambda ratio: abs(ratio - 1))
    last = off(likelihood(watch.counts[2], "bell"), watch.stimuli[2])
    assert run.value("ml_over_bound") == pytest.approx(farthest, rel=2e-3)
    assert run.value("error_ml") == pytest.approx(last, rel=2e-3)
    bells, cosines = (100 * (np.median(ratios[shape]) - 1) for shape in SHAPES)
    assert run.value("vector_over_bound") == pytest.approx(bells, rel=1e-3)
    assert run.value("cosine_over_bound") == pytest.approx(cosines, rel=1e-3)
    assert run.value("ml_inside") == 4, "of eight; those of the population vector do not count"
    low, high = min(ratios["ML"]), max(ratios["ML"])
    text = run.findings[0]["text"]
    assert f"ML is {low:.2f} to {high:.2f} times" in text and "for 4 of 8 populations" in text
    assert "(theory for many neurons: 31) and" in text and "with cosines (18)." in text
    least, most = (100 * (ratio - 1) for ratio in ratios["floor"])
    said = f"{least:.0f} % at 0.5 spikes/s, {most:.0f} % at 8."
    assert text.endswith(said.replace("-", "−")) and most > bells > least
    shown = watch.figures["3_likelihood"]
    assert f"ML {low:.2f} to {high:.2f};" in shown.headline
    assert f"bells {1 + bells / 100:.2f}, with cosines {1 + cosines / 100:.2f}" in shown.headline
    assert shown.points[3, "vector"] == pytest.approx(ratios["floor"], rel=1e-4)
    assert shown.points[2, "vector, cosines"] == pytest.approx(ratios["cosine"], rel=1e-4)
    assert len(calls) == 16


def test_population_vector_pays_for_the_floor_as_theory_says() -> None:
    """Error propagation: Var ŝ = T·Σf·sin²d / (T·Σf·cos d)², against 1/J. The lesson's 31 %, without a trial."""
    for floor, low, high in ((0.1, 0.99, 1.03), (3.0, 1.28, 1.32), (10.0, 1.6, 1.7)):
        d = np.linspace(-180, 180, 1024, endpoint=False)
        f = floor + 40 * np.exp(-(d**2) / 1250)
        slopes = -d / 625 * (f - floor)
        sine, cosine = np.sin(np.radians(d)), np.cos(np.radians(d))
        error = math.degrees(math.sqrt((f * sine**2).sum()) / (f * cosine).sum())
        ratio = error * math.sqrt((slopes**2 / f).sum())
        assert low < ratio < high, floor
        found = lesson.vector_in_theory(lesson.Population(1024, "bell", 25.0, floor))
        assert found == pytest.approx(ratio, rel=1e-3)
    closed = math.sqrt(2 * 20 * (20 - math.sqrt(20**2 - 18**2))) / 18  # of cosines
    assert lesson.vector_in_theory(lesson.Population(1024, "cosine")) == pytest.approx(closed)


def test_section_4(tmp_path: Path, watch, monkeypatch: pytest.MonkeyPatch) -> None:
    few_intervals(monkeypatch)
    monkeypatch.setattr(lesson, "BITS", (2, 4))
    run = run_section(lesson.section_damage, tmp_path, smoke=False, trials=300, dead=0.25)
    s, counts = watch.stimuli[-1], watch.counts[-1]  # of 256 neurons
    assert counts.shape == (300, 256)
    # for each population not told, told, all alive; at the end two with weights of 2 bits and two with 4
    blind, told, alive = watch.decoded[-7:-4]
    left, _, expected, _ = told
    assert left.sum() / counts.sum() == pytest.approx(0.75, abs=0.02)
    f = rates(lesson.GRID.numpy(), 256, "bell")
    assert expected.sum() == pytest.approx(0.75 * WINDOW * f.sum() * 300), (
        "expects nothing of the dead"
    )
    assert blind[2] == pytest.approx(WINDOW * f.sum(1)), "not told: everybody is expected to fire"
    assert np.array_equal(blind[0], left) and np.array_equal(alive[0], counts)
    errors = {
        "ML, told who died": off(told[-1], s),
        "ML, not told": off(likelihood(left, "bell"), s),
        "ML, all alive": off(likelihood(counts, "bell"), s),
        "vector, not told": off(vector(left), s),
        "vector, all alive": off(vector(counts), s),
    }
    intact = errors["ML, all alive"]
    assert run.value("told") == pytest.approx(errors["ML, told who died"] / intact, rel=5e-3)
    assert run.value("blind") == pytest.approx(errors["ML, not told"] / intact, rel=5e-3)
    assert run.value("told") == pytest.approx(0.75**-0.5, rel=0.1) and run.value("blind") > 1.7
    assert run.claims[0].target == f"{0.93 * 0.75**-0.5:.3f}..{1.07 * 0.75**-0.5:.3f}"

    def nearest(w: np.ndarray) -> np.ndarray:
        levels = np.linspace(w.min(), w.max(), 16)
        return levels[np.abs(w[..., None] - levels).argmin(-1)]

    votes = arrows(256)
    both = nearest(np.stack([votes.real, votes.imag]))
    coarse = np.angle(counts @ (both[0] + 1j * both[1]), deg=True)
    value = off(coarse, s) / errors["vector, all alive"]
    assert run.value("bits_vector") == pytest.approx(value, rel=1e-6)
    plain, smooth = watch.decoded[-2:]
    for name, call in (("bits_ml", plain), ("bits_smooth", smooth)):
        assert call[1] == pytest.approx(nearest(np.log(f)), abs=1e-9), "16 levels"
        assert np.array_equal(call[0], counts), "exact counts, nobody dead"
        assert run.value(name) == pytest.approx(off(call[-1], s) / intact, rel=5e-3)
    assert run.value("bits_smooth") < run.value("bits_ml")
    log_l = counts @ nearest(np.log(f)).T - WINDOW * f.sum(1)
    averaged = np.stack([np.roll(log_l, k, axis=1) for k in range(-15, 16)]).mean(0)
    peak = lesson.GRID.numpy()[averaged.argmax(1)]
    assert off(smooth[-1], peak) < 0.6, "the same peak, to half a degree"
    degrees = (run.value("bits_ml") * intact, intact, run.value("bits_vector"))
    said = f"ML is off by {degrees[0]:.1f}° for {intact:.1f}°, and the vector by "
    said += (
        f"{degrees[2] * errors['vector, all alive']:.1f}°; with log L averaged first, ML is off by "
    )
    assert said + f"{run.value('bits_smooth') * intact:.1f}°." in run.findings[0]["text"]
    shown = watch.figures["4_damage"]
    for name, value in errors.items():
        assert shown.points[0, name][-1] == pytest.approx(value, rel=5e-3), name
    words = "ML {:.1f}° before, {:.1f}° if told, {:.1f}° if not"
    order = ("ML, all alive", "ML, told who died", "ML, not told")
    assert words.format(*(errors[name] for name in order)) in shown.headline
    assert "25 % dead, N = 256" in shown.headline
    text = run.findings[0]["text"]
    assert f"({0.75**-0.5:.2f} by theory)" in text
    assert f"off by {errors['ML, not told']:.1f}°, and the population vector by " in text
    assert f"vector by {errors['vector, not told']:.1f}°." in text


# -------------------------------------------------------------------- section 5


@pytest.mark.parametrize("num_outputs", [10, 200])
def test_class_votes_are_snntorchs(num_outputs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    spk_rec = (torch.rand(4, 50, num_outputs, generator=generator) < 0.3).float()
    y = torch.arange(50) % 10
    ours = lesson.class_votes(spk_rec)
    theirs = SF.ce_count_loss(population_code=True, num_classes=10)
    assert torch.equal(ours, theirs._population_code(spk_rec, 10, num_outputs))
    right = (lesson.most_votes((spk_rec, None)) == y).float().mean().item()
    options = {"population_code": True, "num_classes": 10}
    assert right == pytest.approx(SF.accuracy_rate(spk_rec, y, **options))


def test_forward_is_run_step_by_step() -> None:
    torch.manual_seed(0)
    net, x = lesson.Net(32, 200), torch.rand(6, 784) * 4
    spk_rec, mem_rec = net.run(constant_current(x, 5))
    reset_state(net)
    for t in range(5):
        spk, mem = net(x)
        assert torch.equal(spk, spk_rec[t]) and torch.allclose(mem, mem_rec[t], atol=1e-5)
    assert spk_rec.any()


def test_losses_read_what_they_are_named_for() -> None:
    spk_rec = torch.zeros(3, 2, 20)
    spk_rec[0, 0, :2] = 1  # both neurons of class 0, one step
    mem_rec = torch.randn(3, 2, 10, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1])
    votes = torch.zeros(2, 10)
    votes[0, 0] = 2
    wanted = torch.nn.functional.cross_entropy(votes, y).item()
    assert lesson.votes_loss((spk_rec, mem_rec), y).item() == pytest.approx(wanted)
    wanted = torch.nn.functional.cross_entropy(mem_rec.mean(0), y).item()
    assert lesson.potential_loss((spk_rec, mem_rec), y).item() == pytest.approx(wanted)
    assert torch.equal(lesson.highest_potential((spk_rec, mem_rec)), mem_rec.sum(0).argmax(1))
    assert lesson.is_tie((spk_rec, mem_rec)).tolist() == [0, 1], "no votes at all are a tie"


def test_shares_are_of_the_test_images() -> None:
    data = marked_splits()
    by_potential = lesson.highest_potential
    assert lesson.share_right(Always(2), data, 3, lesson.most_votes) == 0.75
    assert lesson.share_right(Always(3), data, 3, by_potential) == 0.25
    assert lesson.share_right(Always(2, spikes=3), data, 3, lesson.most_votes) == 0.25
    assert lesson.share_tied(Always(2), data, 3) == 0
    silent = Always(2)
    silent.run = lambda x: (torch.zeros(*x.shape[:2], 10), torch.zeros(*x.shape[:2], 10))
    assert lesson.share_tied(silent, data, 3) == 1


def test_dead_outputs_have_no_say() -> None:
    data, alive = marked_splits(), torch.ones(10)
    alive[2] = 0
    for read in (lesson.most_votes, lesson.highest_potential):
        assert lesson.share_right(Always(2), data, 3, read, alive) == 0
        assert lesson.share_right(Always(3), data, 3, read, alive) == 0.25


def test_section_5(tmp_path: Path, watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """No training: who is trained for what is written down, and accuracies are made up."""
    trained, killed = [], []

    def fit(net, data, show, *, loss_fn, predict, lr, seed, epochs, **_):
        net.arm = (net.fc2.out_features, loss_fn, predict)
        steps = len(show(torch.zeros(1, 1, 28, 28)))
        trained.append((*net.arm, steps, lr, seed, epochs))
        net.seed, net.steps = seed, steps

    def share_right(net, data, steps, read, alive=None):
        assert steps == net.steps
        outputs, loss, _ = net.arm
        by_potential = read is lesson.highest_potential
        base = {200: 0.90, 10: 0.80}[outputs] + 0.05 * by_potential
        base += 0.02 * (loss is lesson.potential_loss) + 0.01 * (steps > 1)
        base += {0: 0.0, 1: 0.01 * (outputs == 200)}[net.seed]
        if alive is not None:
            killed.append((outputs, int((alive == 0).sum())))
            base -= 0.1 if outputs == 200 else 0.3
        return base

    monkeypatch.setattr(lesson, "fit", fit)
    monkeypatch.setattr(lesson, "share_right", share_right)
    monkeypatch.setattr(lesson, "share_tied", lambda net, data, steps: 0.002 * 200 / net.arm[0])
    settings_ = {"num_steps": 7, "seeds": 2, "dead": 0.3, "num_hidden": 8, "epochs": 2}
    run = run_section(lesson.section_readout, tmp_path, **settings_)
    votes, potential = lesson.votes_loss, lesson.potential_loss
    for outputs, loss in ((200, votes), (10, votes), (10, potential)):
        arm = [row for row in trained if row[:2] == (outputs, loss)]
        assert [(row[3], row[5], row[6]) for row in arm] == [
            (1, 0, 2),
            (7, 0, 2),
            (1, 1, 2),
            (7, 1, 2),
        ], "each arm: both lengths, both seeds, as many epochs"
        read = lesson.highest_potential if loss is potential else lesson.most_votes
        assert all(row[2] is read for row in arm)
    assert {row[:2]: row[4] for row in trained if row[3] == 1} == {
        (200, votes): 0.01,
        (10, votes): 0.01,
        (10, potential): 0.02,
    }
    assert set(killed) == {(200, 60), (10, 3)}
    value = run.value
    assert value("gain") == pytest.approx(10.5), "90 and 91 against 80"
    assert value("read_gain") == pytest.approx(5)
    assert value("trained_gain") == pytest.approx(87 - 90.5)
    assert value("ties_10") == pytest.approx(0.04)
    assert value("lost_200") == pytest.approx(-10) and value("lost_10") == pytest.approx(-30)
    assert watch.outcomes["recovered"] == "a third to two thirds"
    text = run.findings[0]["text"]
    assert "gain 10.5 ± 6.4 points" in text, "t with one degree of freedom: 12.7·0.5"
    assert (
        "gain 5.0 ± 0.0; 10 trained for this reading stand at −3.5 ± 6.4 against the 200." in text
    )
    assert "At 7 steps the 200 gain 10.5 ± 6.4." in text
    assert "200 fall to 80 ± 6 % and 10 to 57 ± 0 %, even" in text
    shown = watch.figures["5_readout"]
    assert "10 outputs 80.0 %, the same 10 by potential 85.0 %, 10 trained for it 87.0 %" in (
        shown.headline
    )
    assert shown.bars[2] == pytest.approx([90.5, 80, 87, 80.5, 50, 57])
    assert shown.bars[1] == pytest.approx([0.2, 4, 0.2, 4])
    assert [row["accuracy"] for row in run.ledger_rows] == pytest.approx([0.9, 0.8, 0.87])


def test_a_rate_given_by_hand_is_for_all_arms(tmp_path: Path, monkeypatch) -> None:
    rates_used = set()

    def fit(*_, lr, **__):
        rates_used.add(lr)

    monkeypatch.setattr(lesson, "fit", fit)
    monkeypatch.setattr(lesson, "share_right", lambda *_: 0.5)
    monkeypatch.setattr(lesson, "share_tied", lambda *_: 0.5)
    run = run_section(lesson.section_readout, tmp_path, num_steps=1, lr=0.123, num_hidden=8)
    assert rates_used == {0.123}
    assert "steps the 200 gain" not in run.findings[0]["text"], "one length only"
