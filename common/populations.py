"""Populations of spiking neurons that are silent, saturated, bursting or healthy by their making (lesson 03).

The label of a population comes from how it is made, never from what a diagnosis says of it. A first draft made
some that were not what they were called (bursts that took up most of the period, a "healthy" drive that reached θ,
an excitation too weak to synchronise). They came to light as errors in the test and were made anew; the rule of
diagnose_raster and the way its limits are set were not changed.
"""

from __future__ import annotations

import numpy as np
import snntorch as snn
import torch

from common.spiking import unroll

KINDS = ("silence", "saturation", "synchronous bursting", "healthy firing")
THETA = 1.0


def lif(cur: np.ndarray, beta: float, mem0: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and membranes, ``(T, N)`` each, of LIF neurons with reset to zero under ``cur (T, N)``."""
    neuron = snn.Leaky(beta=beta, threshold=THETA, reset_mechanism="zero")
    state = None if mem0 is None else (torch.tensor(mem0, dtype=torch.float32)[None],)
    with torch.no_grad():
        spk, mem, _ = unroll(neuron, torch.tensor(cur, dtype=torch.float32)[:, None], state, record_mem=True)
    return spk[:, 0].numpy(), mem[:, 0].numpy()


def noisy_current(rng: np.random.Generator, mean: np.ndarray, T: int, beta: float, noise: float) -> np.ndarray:
    """``mean (N,)`` or ``(T, N)`` plus white noise that alone would spread the membrane by ``noise``·θ."""
    sigma = noise * THETA * np.sqrt(1 - beta**2)  # the variance of an AR(1) process is σ²/(1 − β²)
    return mean + sigma * rng.standard_normal((T, mean.shape[-1]))


# For each parameter: the range that sets the limits, then the ranges of the test, which lie outside it. A population
# is what its noise-free membrane says: it never reaches θ; at each step; only in pulses that all share; by itself.
RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    "N": ((40, 80), (15, 39), (81, 200)),
    "T": ((120, 200), (60, 119), (201, 400)),
    "β": ((0.85, 0.93), (0.75, 0.84), (0.94, 0.97)),
    "spread of the drive": ((0.10, 0.15), (0.0, 0.09), (0.16, 0.30)),
    "silence: drive / rheobase": ((0.2, 0.5), (0.0, 0.19), (0.51, 0.6)),
    "silence: noise / θ": ((0.05, 0.12), (0.0, 0.04), (0.13, 0.18)),
    "saturation: drive / θ": ((1.5, 3.0), (1.2, 1.49), (3.01, 6.0)),
    "saturation: noise / θ": ((0.05, 0.20), (0.0, 0.04), (0.21, 0.40)),
    "bursting: drive / rheobase": ((0.4, 0.6), (0.0, 0.39), (0.61, 0.95)),
    "bursting: noise / θ": ((0.05, 0.12), (0.0, 0.04), (0.13, 0.25)),
    "bursting: period": ((15, 25), (8, 14), (26, 40)),
    "bursting: pulse / period": ((0.10, 0.20), (0.02, 0.09), (0.21, 0.30)),
    "bursting: peak / θ": ((1.4, 2.0), (1.2, 1.39), (2.01, 4.0)),
    "healthy: drive, 0 = rheobase, 1 = θ": ((0.05, 0.20), (0.01, 0.049), (0.21, 0.50)),
    "healthy: noise / θ": ((0.15, 0.30), (0.05, 0.14), (0.31, 0.45)),
}


def population(kind: str, rng: np.random.Generator, unseen: bool) -> np.ndarray:
    """A LIF population ``(T, N)`` that is ``kind`` by its making, with parameters from ``RANGES``."""

    def draw(name: str) -> float:
        low, high = RANGES[name][rng.integers(1, 3) if unseen else 0]
        return int(rng.integers(low, high + 1)) if isinstance(low, int) else float(rng.uniform(low, high))

    word = kind.split()[-1 if kind.startswith("sync") else 0]
    N, T, beta = int(draw("N")), int(draw("T")), draw("β")
    rheobase, noise = (1 - beta) * THETA, draw(f"{word}: noise / θ")
    if word == "healthy":
        drive = rheobase + draw("healthy: drive, 0 = rheobase, 1 = θ") * (THETA - rheobase)
    elif word == "saturation":
        drive = draw("saturation: drive / θ") * THETA
    else:
        drive = draw(f"{word}: drive / rheobase") * rheobase
    spread = 1 + draw("spread of the drive") * rng.uniform(0 if word == "healthy" else -1, 1, N)  # none below rheobase
    cur = noisy_current(rng, drive * spread, T, beta, noise)
    if word == "bursting":
        period = int(draw("bursting: period"))
        width = max(1, round(draw("bursting: pulse / period") * period))
        rise = draw("bursting: peak / θ") * THETA - drive / (1 - beta)  # from the resting level to the peak
        cur[(np.arange(T) + rng.integers(period)) % period < width] += rise * (1 - beta) / (1 - beta**width)
    return lif(cur, beta, rng.uniform(0, THETA, N))[0]  # not from rest: a common start is a common burst


def other_mechanism(kind: str, rng: np.random.Generator) -> np.ndarray:
    """The same four patterns ``(T, N)`` made without what made the others: coins, dice, and mutual excitation."""
    N, T = int(rng.integers(15, 201)), int(rng.integers(60, 401))
    if kind == "silence":
        return (rng.random((T, N)) < rng.uniform(0, 0.004)).astype(np.float32)
    if kind == "saturation":
        return (rng.random((T, N)) < rng.uniform(0.8, 1.0)).astype(np.float32)
    if kind == "healthy firing":
        return renewal(rng, T, N, k=int(rng.integers(1, 5)), mean_isi=float(rng.uniform(5, 25)))
    return coupled(rng, T, N, coupling=float(rng.uniform(1.5, 3.0)))


def renewal(rng: np.random.Generator, T: int, N: int, k: int, mean_isi: float) -> np.ndarray:
    """Spikes ``(T, N)`` whose intervals are the sum of k geometric ones: CV = √((1−q)/k) with q = k/⟨ISI⟩."""
    q = min(1.0, k / mean_isi)
    spk = np.zeros((T, N), np.float32)
    for i in range(N):
        times = np.cumsum(rng.geometric(q, (2 * int(T / mean_isi) + 40, k)).sum(1)) - int(20 * mean_isi)
        spk[times[(times >= 0) & (times < T)], i] = 1
    return spk


def coupled(rng: np.random.Generator, T: int, N: int, coupling: float, beta: float = 0.9) -> np.ndarray:
    """Spikes ``(T, N)`` of LIF neurons, refractory for 5 steps, each spike of which lifts all by coupling·θ/N."""
    cur = noisy_current(rng, np.full(N, 1.1 * (1 - beta) * THETA), T, beta, 0.12)
    spk_rec, mem, spk = np.zeros((T, N), np.float32), rng.uniform(0, THETA, N), np.zeros(N)
    rest = np.zeros(N)  # refractory steps still to come
    for t in range(T):
        rest = np.where(spk > 0, 5, np.maximum(rest - 1, 0))
        mem = np.where(rest > 0, 0, beta * mem + cur[t] + coupling * THETA * spk.mean())
        spk_rec[t] = spk = (mem > THETA).astype(np.float32)
    return spk_rec
