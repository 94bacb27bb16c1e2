"""14c  Dual ascent: a price that finds itself

Lesson 14, section 4. A network trains, and each of its updates is made at a price λ on spikes. Write the
rule that changes the price from one update to the next, until the network spends what it may, b:

    λ ← [λ + η·(spent/b − 1)]₊              [x]₊ = max(0, x)

    train_once    a function. train_once(price) makes one update of the weights at this price, and returns
                  how many spikes the network has spent in it, a number
    budget        b, in the same unit
    eta           η
    updates       how many updates to make

Start at λ = 0. Return a list with the price that was used at each update, ``updates`` numbers.
(The lesson adds a second part, κ·excess, to the price, and its λ is the price of a whole budget, so that one
spike costs λ/b. Here it is dual ascent alone, and λ is what train_once charges for one spike.) About 5 minutes.

Run:  uv run exercises/14c_dual_ascent.py
"""

from __future__ import annotations

import _root  # noqa: F401

from collections.abc import Callable

from tutor.exercises import Exercise, Wrong


def steer(
    train_once: Callable[[float], float], budget: float, eta: float, updates: int
) -> list[float]:
    """The prices used, one for each of the ``updates``, the first of them 0."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


class Toy:
    """A "network" with one number, its spikes n, and the loss (n − wanted)²/2 + λ·n; one gradient step a call."""

    def __init__(self, wanted: float) -> None:
        self.wanted = wanted
        self.n = wanted
        self.calls = 0

    def __call__(self, price: float) -> float:
        self.calls += 1
        self.n = max(0.0, self.n - 0.1 * (self.n - self.wanted + price))
        return self.n


def prices(steer, train_once, budget: float, eta: float, updates: int) -> list[float]:
    """The student's list."""
    got = steer(train_once, budget, eta, updates)
    if got is None:
        raise Wrong("got None. Is there a return?")
    got = [float(price) for price in got]
    if len(got) != updates:
        raise Wrong(f"got {len(got)} prices for {updates} updates, expected one for each.")
    return got


def check_start(steer) -> None:
    """starts at 0, and each price is used once"""
    toy = Toy(6.0)
    used = []

    def train_once(price: float) -> float:
        used.append(float(price))
        return toy(price)

    got = prices(steer, train_once, 2.0, 0.1, 5)
    if not used or used[0] != 0:
        raise Wrong("the first update was not made at the price 0.")
    if len(used) != 5:
        raise Wrong(f"train_once was called {len(used)} times for 5 updates. Each call trains.")
    if any(abs(a - b) > 1e-9 for a, b in zip(got, used, strict=True)):
        raise Wrong(
            f"returned {[round(p, 3) for p in got]}, but the updates were made at "
            f"{[round(p, 3) for p in used]}. Note a price before it changes."
        )


def check_step(steer) -> None:
    """twice the budget: the price rises by η at every update"""
    got = prices(steer, lambda price: 14.0, 7.0, 0.1, 4)
    if got[1] < 0 or (got[1] == 0 and got[-1] == 0):
        raise Wrong(
            "14 spikes spent of 7 allowed, and the price does not rise. Above the budget a spike must get dearer."
        )
    if abs(got[1] - 0.7) < 1e-9:
        raise Wrong(
            "14 spikes spent of 7 allowed, η = 0.1: the price rises by 0.7, expected 0.1. What counts is the excess "
            "as a share of the budget, spent/b − 1: then η means the same for any budget."
        )
    wanted = [0.0, 0.1, 0.2, 0.3]
    if any(abs(a - b) > 1e-9 for a, b in zip(got, wanted, strict=True)):
        raise Wrong(
            f"14 spikes spent of 7 allowed, η = 0.1: prices {[round(p, 3) for p in got]}, expected {wanted}."
        )


def check_fall(steer) -> None:
    """below the budget the price falls again"""
    spent = iter([30.0, 30.0, 5.0, 5.0, 5.0])
    got = prices(steer, lambda price: next(spent), 10.0, 0.1, 5)
    wanted = [0.0, 0.2, 0.4, 0.35, 0.3]
    if any(abs(a - b) > 1e-9 for a, b in zip(got, wanted, strict=True)):
        if got[3] >= got[2]:
            raise Wrong(
                "only half of the budget is spent from the third update on, and the price does not fall. Cut the "
                "new price at 0, not the change."
            )
        raise Wrong(f"prices {[round(p, 3) for p in got]}, expected {wanted}.")


def check_floor(steer) -> None:
    """never below 0: nobody is paid for spiking"""
    got = prices(steer, lambda price: 2.0, 8.0, 0.1, 6)
    if min(got) < 0:
        raise Wrong(
            f"a quarter of the budget is spent, and the price goes to {min(got):.3f}. A negative price would reward "
            "spikes until the budget is used up."
        )
    if max(got) > 0:
        raise Wrong("a quarter of the budget is spent, and the price rises.")


def check_toy(steer) -> None:
    """finds the price of a network whose answer is known"""
    toy = Toy(6.0)  # at a fixed price λ it ends at n = 6 − λ
    got = prices(steer, toy, 2.0, 0.02, 3000)
    if abs(got[-1] - 4.0) > 0.05 or abs(toy.n - 2.0) > 0.05:
        raise Wrong(
            f"the toy network wants 6 spikes and ends at 6 − λ; with b = 2 the price has to end at 4, got "
            f"{got[-1]:.3f}, and {toy.n:.3f} spikes."
        )


def check_slack(steer) -> None:
    """a budget that nobody uses up has no price"""
    toy = Toy(6.0)
    got = prices(steer, toy, 9.0, 0.02, 500)
    if got[-1] != 0 or abs(toy.n - 6.0) > 1e-6:
        raise Wrong(
            f"the toy network wants 6 spikes and may spend 9: expected price 0 and 6 spikes, got {got[-1]:.3f} and "
            f"{toy.n:.3f}."
        )


EXERCISE = Exercise(
    solve=steer,
    checks=(check_start, check_step, check_fall, check_floor, check_toy, check_slack),
    hints=(
        "A loop over the updates with one number that is carried along: the price.",
        "In the loop: note the price, train at it, then change it by what was spent.",
        "price = max(0.0, price + eta * (spent / budget - 1)).",
    ),
    why="The price stands still only where the budget is met, or where it is 0 and the budget is not used up: so "
    "nobody has to know beforehand what a spike is worth.",
)

if __name__ == "__main__":
    EXERCISE.main()
