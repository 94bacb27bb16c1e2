"""18b  Count the additions

Lesson 18, sections 2 and 6. Q, K and V are spikes of one head, (N, d) each, tensors of 0.0 and 1.0. How
many additions does a machine make that skips every zero? Count for both orders of the products:

    (Q·Kᵀ)·V    +1 for each pair of tokens (i, j) and channel in which query i and key j both fire;
                then, wherever a count of Q·Kᵀ is not 0, one addition for each spike of value j
    Q·(Kᵀ·V)    +1 for each token and pair of channels (a, b) in which key a and value b both fire;
                then, for each spike of Q in channel a, one addition for each count (a, b) that is not 0

A count that is 3 is added at once: one addition, not three. Return both numbers, in this order, as ints.
Matrix products do it in five lines. About 10 minutes.

Run:  uv run exercises/18b_count_the_additions.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import torch
from torch import Tensor


def additions(q: Tensor, k: Tensor, v: Tensor) -> tuple[int, int]:
    """Spikes ``(N, d)`` three times → additions of (Q·Kᵀ)·V, additions of Q·(Kᵀ·V)."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

NAMES = ("(Q·Kᵀ)·V", "Q·(Kᵀ·V)")


def by_loops(q: Tensor, k: Tensor, v: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
    """For each order: additions of the first product, and of the second."""
    (N, d), (Q, K, V) = q.shape, (x.bool().tolist() for x in (q, k, v))
    first, second = [0, 0], [0, 0]
    for i in range(N):
        for j in range(N):
            count = sum(Q[i][c] and K[j][c] for c in range(d))
            first[0] += count
            first[1] += sum(V[j]) if count else 0
    for a in range(d):
        for b in range(d):
            count = sum(K[j][a] and V[j][b] for j in range(N))
            second[0] += count
            second[1] += sum(Q[i][a] for i in range(N)) if count else 0
    return tuple(first), tuple(second)


def compare(got: object, q: Tensor, k: Tensor, v: Tensor, case: str) -> None:
    """Both numbers against loops; says which product is wrong, if that can be told."""
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong(f"got {got}, expected two numbers: (Q·Kᵀ)·V, then Q·(Kᵀ·V)")
    whole = [int(n) for n in got]
    parts = by_loops(q, k, v)
    if whole == [sum(parts[1]), sum(parts[0])] and whole[0] != whole[1]:
        raise Wrong(f"{case}: the two numbers are the right ones in the wrong order.")
    for name, number, (one, two) in zip(NAMES, whole, parts, strict=True):
        if number == one + two:
            continue
        smell = f"{one} in the first product and {two} in the second."
        if number == one:
            smell += " The second is missing."
        if number == two:
            smell += " The first is missing."
        raise Wrong(f"{case}, {name}: got {number} additions, expected {one + two}: {smell}")


def check_by_hand(additions) -> None:
    """two tokens, three channels: as counted with a pencil"""
    q = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    k = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    v = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    compare(additions(q, k, v), q, k, v, "2 tokens, 3 channels")


def check_counts_once(additions) -> None:
    """adds a count at once, however large it is"""
    q, k, v = torch.zeros(3, 4, 6)
    q[0], k[1] = 1, 1  # six channels in common
    v[1, 2] = 1  # one spike: the 6 is added once
    got = additions(q, k, v)
    if isinstance(got, tuple) and len(got) == 2 and int(got[0]) == 12:
        raise Wrong(
            "a count of 6 that meets one spike made 6 additions in the second product, expected 1. The number "
            "added is 6; how often something is added is another question."
        )
    compare(got, q, k, v, "one query, one key, 6 channels in common")


def check_all_fire(additions) -> None:
    """meets the bounds 2·N²·d and 2·N·d² where every neuron fires"""
    for N, d in ((7, 3), (3, 7)):
        ones = torch.ones(N, d)
        got = additions(ones, ones, ones)
        compare(got, ones, ones, ones, f"all of {N}×{d} fire")


def check_random(additions) -> None:
    """counts as loops do, for sparse spikes and for dense ones"""
    for rate in (0.1, 0.3, 0.8):
        q, k, v = (torch.rand(3, 12, 9) < rate).float()
        compare(additions(q, k, v), q, k, v, f"random spikes of rate {rate}")


EXERCISE = Exercise(
    solve=additions,
    checks=(check_by_hand, check_counts_once, check_all_fire, check_random),
    hints=(
        "The first product of an order makes as many additions as its counts are worth in all: their sum.",
        "In the second product only whether a count is 0 matters. (counts > 0).float() is a matrix of bits: how "
        "many pairs of a bit and a spike meet when it is multiplied by V?",
        "counts = q @ k.T; first = counts.sum() + ((counts > 0).float() @ v).sum(). The other order has k.T @ v, "
        "and q in front.",
    ),
    why="Zeros cost nothing in either order, but the second product meets counts, which are 0 less often than "
    "spikes: that is why N = d is only roughly where the orders change places.",
)

if __name__ == "__main__":
    EXERCISE.main()
