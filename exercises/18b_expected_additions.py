"""18b  Which order, before a spike has been counted?

Lesson 18, section 2. A chip that skips every zero has to choose between (Q·Kᵀ)·V and Q·(Kᵀ·V) before it sees
the spikes. All that it knows are the sizes N and d of a head, and how often Q, K and V fire. Work out how many
additions it has to *expect* in either order, if every element of Q fires with the probability f_q, of K with
f_k, of V with f_v, each independently of all others:

    (Q·Kᵀ)·V    +1 for each pair of tokens (i, j) and channel in which query i and key j both fire;
                then, wherever a count of Q·Kᵀ is not 0, one addition for each spike of value j
    Q·(Kᵀ·V)    +1 for each token and pair of channels (a, b) in which key a and value b both fire;
                then, for each spike of Q in channel a, one addition for each count (a, b) that is not 0

Return both numbers, in this order. No loop and no random number: the answer is a formula. What you need is
the probability that a count is not 0. About 12 minutes, with a pencil.

Run:  uv run exercises/18b_expected_additions.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import torch


def expected_additions(
    tokens: int, channels: int, f_q: float, f_k: float, f_v: float
) -> tuple[float, float]:
    """N, d and three probabilities → expected additions of (Q·Kᵀ)·V, and of Q·(Kᵀ·V)."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

NAMES = ("(Q·Kᵀ)·V", "Q·(Kᵀ·V)")
DRAWS = 400


def counted(
    tokens: int, channels: int, f_q: float, f_k: float, f_v: float
) -> list[tuple[float, float]]:
    """For each order the additions of its two products, mean of many draws of spikes."""
    draw = torch.Generator().manual_seed(tokens + channels)
    q, k, v = (
        (torch.rand(DRAWS, tokens, channels, generator=draw) < f).float() for f in (f_q, f_k, f_v)
    )
    one, two = q @ k.transpose(1, 2), k.transpose(1, 2) @ v
    met = torch.einsum("nij,njc->", one.bool().float(), v)
    asked = torch.einsum("nia,nab->", q, two.bool().float())
    sums = [(one.sum(), met), (two.sum(), asked)]
    return [(first.item() / DRAWS, second.item() / DRAWS) for first, second in sums]


def compare(expected_additions, *how: float, exact: bool = False) -> None:
    """Both numbers against spikes that were drawn and counted; says which product is wrong, if that can be told."""
    got = expected_additions(*how)
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong(f"got {got}, expected two numbers: (Q·Kᵀ)·V, then Q·(Kᵀ·V)")
    parts = counted(*how)
    sums = [sum(pair) for pair in parts]
    near = 1e-6 if exact else 0.04
    case = "N = {}, d = {}, f_q = {:g}, f_k = {:g}, f_v = {:g}".format(*how)

    def fits(number: float, wanted: float) -> bool:
        return abs(float(number) - wanted) <= near * max(wanted, 1)

    if fits(got[0], sums[1]) and fits(got[1], sums[0]) and not fits(sums[0], sums[1]):
        raise Wrong(f"{case}: the two numbers are the right ones in the wrong order.")
    for name, number, (first, second) in zip(NAMES, got, parts, strict=True):
        if fits(number, first + second):
            continue
        smell = f"{first:.4g} in the first product and {second:.4g} in the second."
        if fits(number, first):
            smell += " The second is missing."
        elif fits(number, second):
            smell += " The first is missing."
        elif exact and number > first + second:
            smell += " A count that meets a spike makes one addition, however large it is, and none if it is 0."
        elif not exact:
            smell += " How likely is a count, a sum of so many bits, to be not 0? Then it makes one addition, not several."
        raise Wrong(
            f"{case}, {name}: got {float(number):.4g}, but {'' if exact else 'about '}{first + second:.4g} are made "
            f"when spikes are drawn: {smell}"
        )


def check_all_fire(expected_additions) -> None:
    """meets the bounds 2·N²·d and 2·N·d² where every neuron fires"""
    for tokens, channels in ((7, 3), (3, 7)):
        compare(expected_additions, tokens, channels, 1.0, 1.0, 1.0, exact=True)


def check_silence(expected_additions) -> None:
    """knows what a silent Q, K or V leaves"""
    for rates in ((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0)):
        compare(expected_additions, 5, 4, *rates, exact=True)


def check_one_product(expected_additions) -> None:
    """a count is 0 if no term of its sum is 1: dense spikes and sparse ones"""
    for rate in (0.5, 0.2, 0.05):
        compare(expected_additions, 24, 8, rate, rate, rate)
        compare(expected_additions, 8, 24, rate, rate, rate)


def check_three_rates(expected_additions) -> None:
    """keeps the three rates apart"""
    for rates in ((0.6, 0.1, 0.3), (0.1, 0.3, 0.6), (0.3, 0.6, 0.1)):
        compare(expected_additions, 16, 12, *rates)


EXERCISE = Exercise(
    solve=expected_additions,
    checks=(check_all_fire, check_silence, check_one_product, check_three_rates),
    hints=(
        "The first product: how many triples (i, j, channel) are there, and with which probability do both fire? The "
        "second: how many triples (i, j, channel of the value), with which probability is the count not 0, and does "
        "the value fire?",
        "A count is a sum of d bits, each 1 with the probability p = f_q·f_k. It is 0 if all of them are 0, which has "
        "the probability (1 − p)^d.",
        "first = N²·d·f_q·f_k + N²·d·(1 − (1 − f_q·f_k)^d)·f_v. In the other order a count is a sum of N bits, each 1 "
        "with f_k·f_v, and what meets it is a spike of Q.",
    ),
    why="With f_q = f_v the two formulas are the same at N = d, whatever the rates, and beyond it Kᵀ·V first pays. If "
    "Q fires more than V, it pays later, and if V fires more, sooner: with d = 32 from N = 42 for the rates 0.3, 0.2, "
    "0.1 of Q, K, V, and from N = 28 for 0.1, 0.2, 0.3. So rates decide as well as sizes.",
)

if __name__ == "__main__":
    EXERCISE.main()
