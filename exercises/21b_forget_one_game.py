"""21b  One game ends, the others go on

Capstone A, section 6. A policy that keeps its membranes takes one step a decision, for B games side by side:

    U[t] = β·U[t−1] + I[t] − S[t−1]              S[t] = 1 where U[t] > 1                      (4)

Before the first decision each U is ``charge``. Games end at different moments, and the next picture in the
place of such a game is the first one of a new game. Of that game's past the neurons must know nothing,
neither its charge nor a spike that is still to be paid for: they start anew. All other games remember.

    cur        (T, B, N)  currents I of N neurons, in T decisions of B games
    restarted  (T, B)     True where picture t is the first one of a new game
    lif        an snn.Leaky: spk, mem = lif(cur[t], mem) is one step of (4), with U[t−1] in and U[t] out

Return two tensors (T, B, N): the spikes, and the membranes U. About 10 minutes.

Run:  uv run exercises/21b_forget_one_game.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def remember(
    cur: Tensor, restarted: Tensor, lif: snn.Leaky, charge: float
) -> tuple[Tensor, Tensor]:
    """Currents ``(T, B, N)`` and restarts ``(T, B)`` → spikes and membranes ``(T, B, N)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

BETA, CHARGE = 0.8, 0.5
T, B, N = 12, 4, 4  # as many neurons as games: a mask along the wrong axis raises no error here


def answer(remember, cur: Tensor, restarted: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of the student's function, checked for their shape."""
    with torch.no_grad():
        got = remember(cur.clone(), restarted.clone(), snn.Leaky(beta=BETA), CHARGE)
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong("expected two tensors: spk_rec and mem_rec.")
    for name, x in zip(("spikes", "U"), got, strict=True):
        if tuple(torch.as_tensor(x).shape) != tuple(cur.shape):
            raise Wrong(
                f"{name}: got shape {tuple(torch.as_tensor(x).shape)}, expected {tuple(cur.shape)}."
            )
    return got


def none() -> Tensor:
    """No game restarts."""
    return torch.zeros(T, B, dtype=torch.bool)


def check_memory(remember) -> None:
    """without a restart everything is remembered"""
    cur, lif = torch.rand(T, B, N), snn.Leaky(beta=BETA)
    mem, mems, spks = torch.full((B, N), CHARGE), [], []
    for cur_t in cur:
        spk, mem = lif(cur_t, mem)
        spks.append(spk)
        mems.append(mem)
    spk_rec, mem_rec = answer(remember, cur, none())
    smell = "Is U[−1] the charge?"
    if torch.allclose(mem_rec[0], mems[0]):
        smell = "No game has restarted here. Is U handed on from decision to decision?"
    expect(mem_rec, torch.stack(mems), "U (T, B, N)", smell)
    expect(spk_rec, torch.stack(spks), "S (T, B, N)")


def check_others(remember) -> None:
    """a restart leaves the other games alone"""
    cur, restarted, t = torch.rand(T, B, N), none(), 5
    restarted[t, 2] = True
    before = answer(remember, cur, none())[1]
    changed = (answer(remember, cur, restarted)[1] != before).any(0)  # (B, N)
    others = [b for b in (0, 1, 3) if changed[b].any()]
    if not others:
        return
    which = ", ".join(map(str, others))
    smell = "Only the rows of the games that restart may be set, not the whole U."
    if changed[:, 2].all() and changed.sum() == B:
        smell = (
            "And it is neuron 2 that changed, in every game: restarted[t] is (B,), U is (B, N), and PyTorch "
            "aligns the last axes."
        )
    raise Wrong(
        f"game 2 restarted at decision {t}, and U changed in games {which}, which go on. {smell}"
    )


def check_fresh(remember) -> None:
    """a game that restarts is as good as new"""
    cur = torch.rand(T, B, N)
    for t in (0, 3, T - 1):
        restarted = none()
        restarted[t, 1] = True
        played = answer(remember, cur, restarted)[1]
        mem = played[t, 1]
        new = answer(remember, cur[t : t + 1], none()[:1])[1][0, 1]
        told = f"game 1 restarted at decision {t}: its neuron 0 has U = {mem[0]:.3f}, in a new game it is {new[0]:.3f}"
        kept = answer(remember, cur, none())[1]
        if torch.allclose(mem, new, atol=1e-5):
            continue
        if torch.allclose(played, kept, atol=1e-5):
            raise Wrong(f"{told}. It has forgotten nothing.")
        if torch.allclose(mem, kept[t, 1], atol=1e-5):
            raise Wrong(
                f"{told}. It still has the charge of the old game. Forgotten after the step is a decision too late."
            )
        if torch.allclose(mem, cur[t, 1], atol=1e-5):
            raise Wrong(f"{told}. A new game does not start at 0, but at the charge.")
        if torch.allclose(mem, torch.full_like(mem, CHARGE)):
            raise Wrong(f"{told}. That is the charge: its first picture has been lost.")
        debt = torch.isclose(mem, new - 1, atol=1e-5)
        if (debt | torch.isclose(mem, new, atol=1e-5)).all():
            raise Wrong(
                f"neuron {int(debt.nonzero()[0])} fired in the last decision of a game, and in the first one of the "
                "next game 1 is subtracted. The new game pays for a spike of the old one."
            )
        raise Wrong(f"{told}.")


def check_debt(remember) -> None:
    """it owes nothing for a spike of the game before"""
    cur, restarted = torch.zeros(2, 1, 1), torch.tensor([[False], [True]])
    cur[0] = 2.0  # U[0] = β·charge + 2 is far above 1
    spk_rec, mem_rec = answer(remember, cur, restarted)
    if not bool(spk_rec[0] == 1):
        raise Wrong(f"U[0] = {float(mem_rec[0]):.1f} lies above 1, and there is no spike.")
    got, wanted = float(mem_rec[1]), BETA * CHARGE
    if abs(got - wanted) > 1e-5:
        smell = "The new game pays for a spike of the old one." if got < wanted else ""
        raise Wrong(
            f"a neuron fired in the last decision of a game. In the first one of the next, without input, U is "
            f"{got:.2f}, expected β·charge = {wanted:.2f}. {smell}"
        )


def check_many(remember) -> None:
    """many restarts: each game in pieces, each piece played alone"""
    cur, restarted = 1.2 * torch.rand(T, B, N), torch.rand(T, B) < 0.3
    spk_rec, mem_rec = answer(remember, cur, restarted)
    if bool((mem_rec[:-1][restarted[1:]] == CHARGE).all()):
        raise Wrong(
            "in the last decision before a restart U is the charge. Is U[t−1], which you have stored, written over? "
            "torch.where gives a new tensor, mem[mask] = … writes into the old one."
        )
    for b in range(B):
        starts = [0, *(torch.nonzero(restarted[1:, b])[:, 0] + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], T], strict=True):
            alone = answer(remember, cur[start:end, b : b + 1], none()[: end - start, :1])
            for name, whole, piece in zip("SU", (spk_rec, mem_rec), alone, strict=True):
                smell = (
                    f"This piece is game {b} from decision {start} on. Alone it plays otherwise."
                )
                expect(whole[start:end, b : b + 1], piece, f"{name} (T, B, N)", smell)


EXERCISE = Exercise(
    solve=remember,
    checks=(check_memory, check_others, check_fresh, check_debt, check_many),
    hints=(
        "Write the loop without restarts first. In which line does picture t meet what is left of picture "
        "t − 1? Before it, some rows of U have to be exchanged.",
        "torch.where(mask, new, old) exchanges some of them. restarted[t] is (B,) and U is (B, N): the mask needs "
        "an axis for the neurons, restarted[t].unsqueeze(1) or restarted[t][:, None].",
        "In the loop, first: mem = torch.where(restarted[t].unsqueeze(1), charge, mem), then spk, mem = lif(cur[t], "
        "mem). lif sees in U[t−1] > 1 that a spike is to be paid for, so that debt is forgotten with U.",
    ),
    why=(
        "A membrane is the only thing that reaches from one decision to the next, so one exchange of U before the step "
        "separates two games; where it is left out, the end of a lost game moves the paddle at the start of the next."
    ),
)

if __name__ == "__main__":
    EXERCISE.main()
