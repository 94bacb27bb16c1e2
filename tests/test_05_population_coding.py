"""Lesson 05: decoders against scipy and brute force, Fisher information against its definition, invariants."""

from __future__ import annotations

from common.spiking import constant_current, reset_state

import numpy as np
import pytest
import snntorch.functional as SF
import torch
from helpers import load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import Always, marked_splits
from scipy.optimize import minimize_scalar
from scipy.stats import poisson

lesson = load_script("05_population_coding")
SHAPES = ("Gaussian", "cosine")
WINDOW = 0.5


def observed(pop: lesson.Population, trials: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return lesson.observe(pop, lesson.Config(), trials, np.random.default_rng(seed))


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e4, 1e4))
def test_wrap_keeps_the_angle(angle: float) -> None:
    w = lesson.wrap(np.array([angle]))[0]
    assert -np.pi <= w < np.pi and np.cos(w) == pytest.approx(np.cos(angle), abs=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_slopes_are_the_derivative_of_the_rates(shape: str) -> None:
    pop, s, h = (
        lesson.Population(16, shape),
        np.random.default_rng(0).uniform(-np.pi, np.pi, 50),
        1e-5,
    )
    numeric = (pop.rates(s + h) - pop.rates(s - h)) / (2 * h)
    assert np.abs(numeric - pop.slopes(s)).max() < 1e-4
    assert (pop.rates(s) > 0).all() and np.allclose(pop.rates(s), pop.rates(s + 2 * np.pi))


@pytest.mark.parametrize("shape", SHAPES)
def test_fisher_information_is_the_variance_of_the_score(shape: str) -> None:
    """J = E[(d log p/ds)²] by its definition: the sum over all counts, d log p/ds by finite differences."""
    pop, s, h = lesson.Population(5, shape), 0.7, 1e-4
    n = np.arange(120)[:, None]
    f = [WINDOW * pop.rates(np.array([s + d]))[0] for d in (-h, 0.0, h)]
    score = (poisson.logpmf(n, f[2]) - poisson.logpmf(n, f[0])) / (2 * h)  # (counts, N)
    expected = (poisson.pmf(n, f[1]) * score**2).sum()
    assert pop.fisher(np.array([s]), WINDOW)[0] == pytest.approx(expected, rel=1e-4)


def test_fisher_information_of_cosine_tuning_in_closed_form() -> None:
    """For many cosine neurons the sum is an integral: J = N·T·(b − √(b² − A²))."""
    J = lesson.Population(256, "cosine").fisher(np.linspace(-3, 3, 20), WINDOW)
    assert np.allclose(J, 256 * WINDOW * (20 - np.sqrt(20**2 - 18**2)), rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("told", [False, True])
def test_maximum_likelihood_agrees_with_scipy(shape: str, told: bool) -> None:
    pop = lesson.Population(24, shape)
    s, counts = observed(pop, 12)
    alive = (np.random.default_rng(1).random(counts.shape) > 0.3).astype(float) if told else None
    counts = counts * alive if told else counts
    found = lesson.maximum_likelihood(counts, pop, WINDOW, alive)
    for b, n in enumerate(counts):
        living = alive[b] if told else np.ones(24)

        def cost(x: float, n: np.ndarray = n, living: np.ndarray = living) -> float:
            f = pop.rates(np.array([x]))[0]
            return float((WINDOW * living * f - n * np.log(f)).sum())

        coarse = min(np.linspace(-np.pi, np.pi, 2001), key=cost)
        best = minimize_scalar(
            cost, bounds=(coarse - 0.01, coarse + 0.01), method="bounded", options={"xatol": 1e-8}
        )
        assert abs(lesson.wrap(np.array([found[b] - best.x]))[0]) < np.deg2rad(0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_free_counts_are_decoded_exactly(shape: str) -> None:
    pop, s = lesson.Population(64, shape), np.linspace(-3.1, 3.1, 37)
    counts = WINDOW * pop.rates(s)
    assert np.abs(lesson.wrap(lesson.population_vector(counts, lesson.votes(pop)) - s)).max() < 1e-6
    assert np.abs(lesson.wrap(lesson.maximum_likelihood(counts, pop, WINDOW) - s)).max() < 1e-4
    assert np.abs(lesson.wrap(lesson.quantised_likelihood(counts, pop, 16) - s)).max() < np.deg2rad(
        2
    )


def test_turning_the_population_turns_the_answer() -> None:
    """Shift the counts by one neuron: both decoders turn by 360°/N; the arithmetic mean does not at the seam."""
    pop = lesson.Population(32)
    _, counts = observed(pop, 200)
    turned, angle = np.roll(counts, 1, axis=1), 2 * np.pi / 32
    for decode in (
        lambda n: lesson.population_vector(n, lesson.votes(pop)),
        lambda n: lesson.maximum_likelihood(n, pop, WINDOW),
    ):
        assert np.abs(lesson.wrap(decode(turned) - decode(counts) - angle)).max() < 1e-3
    off = lesson.wrap(
        lesson.arithmetic_mean(turned, pop) - lesson.arithmetic_mean(counts, pop) - angle
    )
    assert np.abs(off).max() > 0.1


def test_population_vector_has_its_theoretical_spread() -> None:
    """Cosine tuning, counts Poisson: Var ≈ 2b/(N·T·A²)."""
    pop = lesson.Population(512, "cosine")
    s, counts = observed(pop, 3000)
    expected = np.rad2deg(np.sqrt(2 * 20 / (512 * WINDOW * 18**2)))
    assert lesson.rms(lesson.population_vector(counts, lesson.votes(pop)) - s) == pytest.approx(
        expected, rel=0.06
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 10), st.integers(0, 1000))
def test_quantise(bits: int, seed: int) -> None:
    w = np.random.default_rng(seed).standard_normal(200)
    codes, step, low = lesson.quantise(w, bits)
    assert codes.min() == 0 and codes.max() == 2**bits - 1 and (codes == codes.round()).all()
    assert np.abs(low + step * codes - w).max() <= step / 2 + 1e-12


def test_no_spike_at_all_is_no_crash() -> None:
    pop, nothing = lesson.Population(8), np.zeros((3, 8))
    for guess in (
        lesson.population_vector(nothing, lesson.votes(pop)),
        lesson.maximum_likelihood(nothing, pop, WINDOW),
        lesson.arithmetic_mean(nothing, pop),
        lesson.loudest(nothing, pop),
        lesson.quantised_likelihood(nothing, pop, 2),
    ):
        assert guess.shape == (3,) and np.isfinite(guess).all()


def test_shared_noise_is_a_floor() -> None:
    """A stimulus blurred by 3° cannot be known better than to 3°, whatever N is."""
    pop, cfg = lesson.Population(1024), lesson.Config(shared=3.0)
    s, counts = lesson.observe(pop, cfg, 1000, np.random.default_rng(0))
    assert 2.8 < lesson.rms(lesson.maximum_likelihood(counts, pop, cfg.window) - s) < 3.3


@pytest.mark.parametrize("num_outputs", [10, 200])
def test_class_votes_are_snntorchs(num_outputs: int) -> None:
    spk_rec = (
        torch.rand(4, 50, num_outputs, generator=torch.Generator().manual_seed(0)) < 0.3
    ).float()
    y = torch.arange(50) % 10
    ours = lesson.class_votes(spk_rec)
    theirs = SF.ce_count_loss(population_code=True, num_classes=10)
    assert torch.equal(ours, theirs._population_code(spk_rec, 10, num_outputs))
    assert (ours.argmax(1) == y).float().mean().item() == pytest.approx(
        SF.accuracy_rate(spk_rec, y, population_code=True, num_classes=10)
    )


def test_forward_is_run_step_by_step() -> None:
    torch.manual_seed(0)
    net, x = lesson.Net(32, 200), torch.rand(6, 784) * 4
    spk_rec, mem_rec = net.run(constant_current(x, 5))
    reset_state(net)
    for t in range(5):
        spk, mem = net(x)
        assert torch.equal(spk, spk_rec[t]) and torch.allclose(mem, mem_rec[t], atol=1e-5)
    assert spk_rec.any()


# ------------------------------------------------------------------------------------ what is published


def test_the_bound_is_cramer_and_raos() -> None:
    """Cosine: 1/√(N·T·(b − √(b² − A²))) in closed form. Gaussian: the sum over neurons with numeric slopes."""
    r = lesson.experiment_size(lesson.Config(trials=20))
    for N, bound in zip(lesson.SIZES, r["cosine"]["bound"], strict=True):
        J = N * WINDOW * (20 - np.sqrt(20**2 - 18**2))
        assert bound == pytest.approx(np.rad2deg(J**-0.5), rel=1e-3)
    i, h = lesson.SIZES.index(256), 1e-5
    pop, s = lesson.Population(256), np.linspace(-3, 3, 7)
    slopes = (pop.rates(s + h) - pop.rates(s - h)) / (2 * h)
    J = WINDOW * (slopes**2 / pop.rates(s)).sum(1)
    assert r["Gaussian"]["bound"][i] == pytest.approx(np.rad2deg((1 / J).mean() ** 0.5), rel=1e-3)


def test_errors_and_slopes_of_known_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders that are off by 8°/√N and by 1° everywhere: slopes −½ and 0."""
    truth = {}

    def observe(pop, cfg, trials, rng):
        truth["s"] = rng.uniform(-np.pi, np.pi, trials)
        return truth["s"], np.ones((trials, pop.N))

    def off(degrees):
        return lambda counts, *_: truth["s"] + np.deg2rad(degrees(counts.shape[1]))

    monkeypatch.setattr(lesson, "observe", observe)
    monkeypatch.setattr(lesson, "maximum_likelihood", off(lambda N: 8 * N**-0.5))
    monkeypatch.setattr(lesson, "population_vector", off(lambda N: 1.0))
    r = lesson.experiment_size(lesson.Config(trials=20))["cosine"]
    assert r["error"]["maximum likelihood"] == pytest.approx(8 * np.array(lesson.SIZES) ** -0.5)
    assert r["slope"]["maximum likelihood"] == pytest.approx(-0.5)
    assert r["slope"]["population vector"] == pytest.approx(0, abs=1e-9)


def test_damage_kills_the_share_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder whose error is the share of neurons that fire: 1 intact, 0.75 with a quarter dead."""
    monkeypatch.setattr(
        lesson, "observe", lambda pop, cfg, n, rng: (np.zeros(n), np.ones((n, pop.N)))
    )
    share = lambda counts, *_: np.deg2rad(counts.mean(1))  # noqa: E731
    monkeypatch.setattr(lesson, "population_vector", share)
    monkeypatch.setattr(lesson, "maximum_likelihood", share)
    monkeypatch.setattr(
        lesson, "quantised_likelihood", lambda n, pop, b: np.deg2rad(3.0 * b) + n[:, 0] * 0
    )
    r = lesson.experiment_damage(lesson.Config(trials=30, dead=0.25))
    assert r["dead"]["ML, intact"] == pytest.approx(np.ones(3))
    for name in ("population vector, damaged", "ML, not told who died", "ML, told who died"):
        assert r["dead"][name] == pytest.approx(np.full(3, 0.75))
    assert r["growth"]["maximum likelihood"] == pytest.approx(3.0 * np.array([lesson.BITS] * 3))


def test_judge_scores_the_test_images() -> None:
    data = marked_splits()
    assert lesson.judge(Always(2), data, 3).tolist() == [0.75, 0.75, 0]
    assert lesson.judge(Always(3), data, 3).tolist() == [0.25, 0.25, 0]
    silent = Always(2)
    silent.run = lambda x: (
        torch.zeros(*x.shape[:2], 10),
        torch.eye(10)[3].expand(*x.shape[:2], 10),
    )
    assert lesson.judge(silent, data, 3).tolist() == [0, 0.25, 1]


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    sizes = np.array(lesson.SIZES, dtype=float)
    names = ("arithmetic mean", "loudest neuron", "population vector", "maximum likelihood")
    size = {"sizes": lesson.SIZES}
    for shape, factor in (("Gaussian", 1.0), ("cosine", 2.0)):
        bound = factor * sizes**-0.5
        error = {name: bound * (1 + 0.1 * i) for i, name in enumerate(names)}
        error["population vector"] = bound * np.linspace(1.5, 1.2, 7)
        error["maximum likelihood"] = bound * np.array([1, 1, 0.9, 1.05, 1, 1, 1])
        size[shape] = {
            "error": error,
            "bound": bound,
            "slope": {name: -0.1 * i * factor for i, name in enumerate(names)},
            "slope_band": {name: (0.0, 0.0) for name in names},
        }
    dead = {
        "population vector, intact": np.array([2.0, 1.0, 0.5]),
        "population vector, damaged": np.array([4.0, 3.0, 2.0]),
        "ML, intact": np.array([1.0, 0.5, 0.25]),
        "ML, not told who died": np.array([3.0, 2.0, 1.0]),
        "ML, told who died": np.array([1.5, 0.6, 0.3]),
    }
    growth = {k: np.arange(15.0).reshape(3, 5) + 100 * i for i, k in enumerate(names[2:])}
    accuracy = {
        10: np.array([[0.80, 0.92], [0.82, 0.94]]),
        200: np.array([[0.9, 0.93], [0.89, 0.94]]),
    }
    readout = {
        "steps": [1, 10],
        "accuracy": accuracy,
        "ties": {10: np.array([[0.2, 0.0], [0.1, 0.0]]), 200: np.array([[0.02, 0.0], [0.04, 0.0]])},
        "membrane": {10: np.array([[0.85, 0.9], [0.87, 0.9]]), 200: np.zeros((2, 2))},
        "nets": {},
    }
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_: value)  # noqa: E731
    set_("experiment_one_trial", {})
    set_("experiment_size", size)
    set_("experiment_damage", {"dead": dead, "growth": growth})
    set_("experiment_readout", readout)
    value = run_main(lesson, tmp_path, monkeypatch, marked_splits(), seeds=2, dead=0.3).value
    assert value("arithmetic_mean") == pytest.approx(1024**-0.5)
    assert value("error_1024") == pytest.approx(1024**-0.5)
    assert value("slope_loudest") == -0.1 and value("slope_pv_cosine") == pytest.approx(-0.4)
    assert value("bound_ml_gaussian") == pytest.approx(0.9), "the one farthest from the bound"
    assert value("bound_pv_cosine") == pytest.approx(1.2), "the smallest of all sizes"
    assert value("dead_pv_16") == 2 and value("dead_pv_256") == 4
    assert value("dead_ml_blind_64") == 4 and value("dead_ml_told_256") == pytest.approx(1.2)
    assert [value(f"bits{b}_pv_64") for b in (2, 4, 8)] == [5, 7, 9]
    assert [value(f"bits{b}_ml_256") for b in (2, 4, 8)] == [110, 112, 114]
    assert value("mnist_10") == pytest.approx(0.81) and value("mnist_200") == pytest.approx(0.895)
    assert value("ties_10") == pytest.approx(0.15) and value("ties_200") == pytest.approx(0.03)
    assert value("mnist_gain") == pytest.approx(0.07), "the worst seed gained 0.89 − 0.82"
    assert value("mnist_gain_last") == pytest.approx(0.005)
    assert value("mnist_membrane") == pytest.approx(0.86)
