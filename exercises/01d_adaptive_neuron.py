"""01d  A neuron that gets tired

Lesson 01, section 6, the other way round. There, a slow current w worked against the input. Here the
*threshold* rises with each spike and falls back slowly; lesson 13 uses such a neuron as memory.

The neuron fires when U exceeds θ + a. A spike adds b to a, one step after it, together with the
reset; from step to step a keeps the share ρ of itself. The membrane is that of lesson 01 with reset to
zero. Put this into equations first, with the time of every symbol.

``cur``, ``mem``, ``spk`` and ``rise`` (this is a) have the shape (B,); ``rho`` (ρ) and ``jump`` (b) are
floats. Write the step and return S, U and a, in this order. About 10 minutes.

Run:  uv run exercises/01d_adaptive_neuron.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def adaptive_step(
    cur: Tensor,
    mem: Tensor,
    spk: Tensor,
    rise: Tensor,
    beta: float,
    threshold: float,
    rho: float,
    jump: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """From I[t+1] and the state U[t], S[t], a[t], each ``(B,)``, to ``S[t+1], U[t+1], a[t+1]``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def run_steps(adaptive_step, cur: Tensor, rho: float, jump: float, beta: float = 0.9):
    """The student's step in a loop over ``cur (T, B)``; returns spk_rec, mem_rec, rise_rec."""
    mem, spk, rise = torch.zeros(3, *cur[0].shape).unbind()
    records = []
    for cur_t in cur:
        returned = adaptive_step(cur_t, mem, spk, rise, beta, 1.0, rho, jump)
        if returned is None:
            raise Wrong("got None. Is there a return?")
        if not isinstance(returned, tuple) or len(returned) != 3:
            raise Wrong("expected three things: end with 'return spk, mem, rise'.")
        spk, mem, rise = returned
        spk = torch.as_tensor(spk).to(cur.dtype)  # True and False will do
        if not ((spk == 0) | (spk == 1)).all():
            raise Wrong("spikes that are neither 0 nor 1. The order is 'return spk, mem, rise'.")
        records.append(torch.stack((spk, mem, rise)))
    return torch.stack(records, dim=1)  # (3, T, B)


def intervals(spk: Tensor) -> Tensor:
    """Steps between the spikes of one neuron, ``spk (T,)``."""
    return torch.nonzero(spk)[:, 0].diff()


def check_plain(adaptive_step) -> None:
    """with b = 0 it is snn.Leaky with reset to zero"""
    cur = 1.5 * torch.rand(200, 8) - 0.5
    lif = snn.Leaky(beta=0.9, reset_mechanism="zero")
    mem = torch.zeros(8)
    wanted = []
    for cur_t in cur:
        spk, mem = lif(cur_t, mem)
        wanted.append(mem)
    _, mem_rec, _ = run_steps(adaptive_step, cur, 0.98, 0.0)
    smell = "After a spike the old U is cleared, before the leak and the new input."
    expect(mem_rec, torch.stack(wanted), "U (T, N)", smell)


def check_one_spike(adaptive_step) -> None:
    """one spike lifts the threshold by b, and the rise fades by ρ a step"""
    cur = torch.zeros(6, 1)
    cur[0] = 1.5
    _, _, rise_rec = run_steps(adaptive_step, cur, 0.8, 0.5)
    wanted = torch.tensor([[0.0, 0.5, 0.4, 0.32, 0.256, 0.2048]]).T
    if rise_rec[0].item() != 0:
        raise Wrong(
            f"step 0: a is {rise_rec[0].item():.4g}, expected 0. The first spike is that of step 0, "
            "and a counts it one step later, as S[t]."
        )
    smell = "The only spike is that of step 0. It lifts a by b, whole."
    expect(rise_rec[:2], wanted[:2], "a (T, N)", smell)
    smell = "After step 1 there is no spike: each step leaves the share ρ of a."
    expect(rise_rec, wanted, "a (T, N)", smell)


def check_raised(adaptive_step) -> None:
    """the threshold is θ + a"""
    cur = torch.tensor([[1.2], [1.2], [1.9]])
    spk_rec, _, _ = run_steps(adaptive_step, cur, 0.8, 0.5, beta=0.0)
    if spk_rec[1] == 1:
        raise Wrong(
            "step 1: U = 1.2 fires, though the threshold is 1 + 0.5 by now. Does a lift it?"
        )
    expect(spk_rec, torch.tensor([[1.0], [0.0], [1.0]]), "S (T, N)", "U is 1.2, 1.2 and 1.9.")


def check_tires(adaptive_step) -> None:
    """under a steady current its intervals grow, and then stay"""
    cur = torch.full((3000, 1), 0.4)
    spk_rec, _, rise_rec = run_steps(adaptive_step, cur, 0.98, 0.2)
    isi = intervals(spk_rec[:, 0])
    if len(isi) < 10:
        raise Wrong(
            f"{len(isi)} intervals in 3,000 steps, expected at least 10. Does a fade at all?"
        )
    if isi[-1] <= isi[0]:
        raise Wrong(
            f"the first interval has {isi[0]} steps, the last {isi[-1]}. It does not get tired: "
            "is a carried over from step to step?"
        )
    # In the long run a gains b a spike and loses the share 1 − ρⁿ in an interval of n steps.
    last = torch.nonzero(spk_rec[:-1, 0])[-1, 0] + 1
    low, high = (0.2 / (1 - 0.98 ** n.item()) for n in (isi[-20:].max(), isi[-20:].min()))
    got = rise_rec[last, 0].item()
    if not low - 1e-3 <= got <= high + 1e-3:
        raise Wrong(f"in the long run a peaks at {got:.3g}, expected b/(1 − ρⁿ) = {high:.3g}.")


EXERCISE = Exercise(
    solve=adaptive_step,
    checks=(check_plain, check_one_spike, check_raised, check_tires),
    hints=(
        "Three equations, three lines, in the order in which they stand. Which spike do they use?",
        "The first two lines use the spk that came in, S[t]. Only the third makes a new one.",
        "rise = rho * rise + jump * spk; mem = beta * mem * (1 - spk) + cur; spk = mem > threshold + rise.",
    ),
    why="a outlives the reset, so the neuron can tell its tenth spike from its first; U alone cannot.",
)

if __name__ == "__main__":
    EXERCISE.main()
