"""Lesson 05: decoders against scipy and brute force, Fisher information against its definition, invariants."""

from __future__ import annotations

from common.spiking import constant_current, reset_state

import numpy as np
import pytest
import snntorch.functional as SF
import torch
from helpers import load_script
from hypothesis import given, settings
from hypothesis import strategies as st
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
