"""13a  One step of an adaptive neuron

Lesson 13, section 1. Each spike raises this neuron's threshold, and the raise fades slowly: the neuron
remembers that it has fired. Write one step. The spike of the step before, S[t−1], does two things: it
raises a, and it takes θ (not the raised threshold) from the membrane.

    a[t] = ρ·a[t−1] + S[t−1]                            the second variable: a trace of its own spikes
    U[t] = β·U[t−1] + I[t] − θ·S[t−1]                   the membrane, as in lesson 01
    S[t] = 1 if U[t] > θ + κ·a[t] else 0                the threshold of this step

All tensors are (B, N). ``spk``, ``mem`` and ``a`` are those of the step before; return the three new
ones, in this order. About 5 minutes.

Run:  uv run exercises/13a_alif_step.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def alif_step(
    cur: Tensor,
    spk: Tensor,
    mem: Tensor,
    a: Tensor,
    beta: float,
    rho: float,
    kappa: float,
    threshold: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """From the current I[t] and the state of the step before, each ``(B, N)``, to ``spk, mem, a`` of this step."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def step(alif_step, *state: Tensor, beta=0.8, rho=0.9, kappa=0.5, threshold=1.0):
    """One step; three tensors, or a message."""
    got = alif_step(*state, beta, rho, kappa, threshold)
    if got is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(got, tuple) or len(got) != 3:
        raise Wrong("got something else than three tensors: end with 'return spk, mem, a'.")
    return got


def one(*values: float) -> Tensor:
    """Neurons of one sample: ``(1, N)``."""
    return torch.tensor([values])


def check_fades(alif_step) -> None:
    """without a spike, U keeps β of itself and a keeps ρ"""
    spk, mem, a = step(alif_step, one(0.1), one(0.0), one(0.5), one(2.0))
    expect(a, one(1.8), "a (B, N)", "a keeps the share ρ of itself a step.")
    expect(mem, one(0.5), "U (B, N)", "U keeps the share β, and the current is added.")
    expect(spk, one(0.0), "S (B, N)", "0.5 is below the threshold.")


def check_raises(alif_step) -> None:
    """a spike raises a by 1 and takes θ from U, one step later"""
    spk, mem, a = step(alif_step, one(0.0), one(1.0), one(3.0), one(2.0), threshold=1.5)
    if abs(float(a) - 1.8) < 1e-6:
        raise Wrong("a is 1.8, expected 2.8. The spike of the step before has not raised it.")
    expect(a, one(2.8), "a (B, N)", "a[t] = ρ·a[t−1] + S[t−1]: the spike adds 1, after the fading.")
    raised = 0.8 * 3.0 - (1.5 + 0.5 * 2.8)
    if abs(float(mem) - raised) < 1e-5 or abs(float(mem) - (0.8 * 3.0 - 1.5 - 1.0)) < 1e-5:
        raise Wrong(
            f"U is {float(mem):.4g}, expected 0.9. A spike takes θ, not the raised threshold."
        )
    expect(mem, one(0.9), "U (B, N)", "A spike takes θ from U.")


def check_threshold(alif_step) -> None:
    """the threshold of this step is θ + κ·a[t], with the new a"""
    # neuron 0 fired a step ago; neuron 1 did not; both have U = 1.2 now, and a = 0 before
    spk, _, a = step(alif_step, one(1.2, 1.2), one(1.0, 0.0), one(1.25, 0.0), one(0.0, 0.0))
    if spk.flatten().tolist() == [1.0, 1.0]:
        raise Wrong(
            "neuron 0 fires with U = 1.2 right after a spike, when the threshold is 1.5. Is the threshold "
            "raised at all, and by the new a?"
        )
    if spk.flatten().tolist() == [0.0, 0.0]:
        raise Wrong("neuron 1 has U = 1.2, a = 0 and θ = 1, and does not fire.")
    expect(spk, one(0.0, 1.0), "S (B, N)", "The threshold rises with a: it is θ + κ·a[t].")


def check_plain(alif_step) -> None:
    """with κ = 0 it is snn.Leaky, spike for spike"""
    cur = torch.rand(60, 2, 3)
    lif = snn.Leaky(beta=0.8)
    mem_lif = lif.init_leaky()
    spk = mem = a = torch.zeros(2, 3)
    for t, cur_t in enumerate(cur):
        wanted, mem_lif = lif(cur_t, mem_lif)
        spk, mem, a = step(alif_step, cur_t, spk, mem, a, kappa=0.0)
        expect(spk, wanted, f"step {t}: S (B, N)", "Without adaptation only the membrane is left.")


def check_rate(alif_step) -> None:
    """under a steady current the pauses grow, to the rate at which a gains what it loses"""
    beta, rho, kappa, current = 0.0, 0.99, 0.05, 1.5
    spk = mem = a = torch.zeros(1, 1)
    spikes = []
    for _ in range(3000):
        spk, mem, a = step(
            alif_step, one(current) + spk, spk, mem, a, beta=beta, rho=rho, kappa=kappa
        )  # + spk: the reset is made up for, so that U is 1.5 at each step
        spikes.append(float(spk))
    # U = 1.5 > 1 + κ·a as long as a < 10; a gains 1 a spike and loses 1 % of 10 a step: one spike in ten
    rate = sum(spikes[1000:]) / 2000
    if abs(rate - 0.1) > 0.01:
        raise Wrong(
            f"under a steady current it fires at {rate:.3f} of the steps in the long run, expected 0.1: "
            "a must settle at (U − θ)/κ = 10, where a spike in ten steps makes up for the fading."
        )


EXERCISE = Exercise(
    solve=alif_step,
    checks=(check_fades, check_raises, check_threshold, check_plain, check_rate),
    hints=(
        "Three lines, in the order of the equations. Which spike stands in the first two: the old or the new?",
        "The old spk goes into a and into the reset. The new a then goes into the threshold.",
        "a = rho * a + spk; mem = beta * mem + cur - threshold * spk; "
        "spk = (mem > threshold + kappa * a).float().",
    ),
    why="The membrane pays for a spike once and has forgotten it after a few τ; the threshold remembers it for "
    "1/(1 − ρ) steps, without a spike being needed to keep it.",
)

if __name__ == "__main__":
    EXERCISE.main()
