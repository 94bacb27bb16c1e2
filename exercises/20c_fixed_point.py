"""20c  All spikes at once, with the reset: broken on purpose

Lesson 20, section 3. The function below works out a layer of LIF neurons without walking through time.
It guesses the spikes, works out all potentials with these spikes as resets, and guesses anew:

    U[t] = Σ β^(t−s)·(I[s] − θ·S[s−1]),  s = 1 … t               S[t] = 1 if U[t] > θ else 0

``decay`` is the matrix of all β^(t−s), so U is one matrix product. The program runs, and its spikes are
wrong. There are two mistakes: one in the equation, one in when it stops. Mend both; after that the
spikes equal snn.Leaky's, for any current. ``cur`` is (T, B), and so is what comes back.
About 15 minutes.

Run:  uv run exercises/20c_fixed_point.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import snntorch as snn
import torch
from torch import Tensor


def spikes_at_once(cur: Tensor, beta: float, threshold: float) -> Tensor:
    """Currents ``(T, B)`` → the spikes of LIF neurons with reset by subtraction ``(T, B)``."""
    T = len(cur)
    steps = torch.arange(T)
    lag = steps.unsqueeze(1) - steps  # t − s, (T, T)
    decay = torch.where(lag >= 0, beta ** lag.clamp(min=0).float(), 0.0)
    spk = torch.zeros_like(cur)
    for _ in range(3):
        mem = decay @ (cur - threshold * spk)
        spk = (mem > threshold).float()
    return spk


# ---- nothing to edit below this line


def stepped(cur: Tensor, beta: float, threshold: float) -> Tensor:
    """The spikes of snn.Leaky, step by step."""
    lif = snn.Leaky(beta=beta, threshold=threshold)
    mem = lif.init_leaky()
    spk_rec = []
    for cur_t in cur:
        spk, mem = lif(cur_t, mem)
        spk_rec.append(spk)
    return torch.stack(spk_rec)


def compare(spikes_at_once, cur: Tensor, beta: float, threshold: float, smells: str) -> None:
    """A ``Wrong`` with the first step at which a spike differs."""
    got = spikes_at_once(cur.clone(), beta, threshold)
    if not isinstance(got, Tensor) or got.shape != cur.shape:
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise Wrong(f"got {shape}, expected spikes of the shape {tuple(cur.shape)}.")
    truth = stepped(cur, beta, threshold)
    if torch.equal(got, truth):
        return
    t = int((got != truth).any(1).nonzero()[0])
    wrong = int((got != truth).sum())
    raise Wrong(
        f"{wrong} of {truth.numel()} entries are wrong, the first at step {t + 1} "
        f"(of {len(cur)}, β = {beta:g}). {smells}"
    )


def check_pulse(spikes_at_once) -> None:
    """one pulse, one spike"""
    cur = torch.zeros(12, 2)
    cur[4] = torch.tensor([1.5, 2.5])
    cur[5, 1] = 0.3
    smells = (
        "The spike is paid for at its own step, or never. By the equation U[t] pays for S[t−1]."
    )
    compare(spikes_at_once, cur, 0.5, 1.0, smells)


def check_steady(spikes_at_once) -> None:
    """a steady current, many spikes"""
    smells = "Each round settles a little more of the train from the left. Are there enough rounds?"
    compare(spikes_at_once, torch.full((60, 3), 0.2), 0.9, 1.0, smells)


def check_threshold(spikes_at_once) -> None:
    """another threshold"""
    smells = "θ = 2 here: what does a spike cost?"
    compare(spikes_at_once, torch.full((60, 1), 0.7), 0.9, 2.0, smells)


def check_noise(spikes_at_once) -> None:
    """noise, a long memory"""
    smells = "When has the guess come to rest? Only if not a single spike changes in a round."
    for seed in range(3):
        draw = torch.Generator().manual_seed(seed)
        cur = 0.2 + 0.4 * torch.randn(120, 20, generator=draw)
        compare(spikes_at_once, cur, 0.98, 1.0, smells)


EXERCISE = Exercise(
    solve=spikes_at_once,
    checks=(check_pulse, check_steady, check_threshold, check_noise),
    hints=(
        "Follow a single pulse by hand: in which round does its spike appear, and in which is it gone?",
        "cur − θ·spk takes S[t] away at step t. Shift the spikes by one step: a row of zeros in "
        "front, the last row left out (torch.cat).",
        "Keep the old guess. If torch.equal(new, spk), stop. At most T + 1 rounds are needed.",
    ),
    why=(
        "After round k at least the first k steps are right, since step t needs only spikes before t. So a "
        "guess that a round does not change is right everywhere. How many rounds it takes depends on the "
        "spikes: with a long memory about two for each spike of the busiest neuron."
    ),
)

if __name__ == "__main__":
    EXERCISE.main()
