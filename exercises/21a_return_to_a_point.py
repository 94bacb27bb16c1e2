"""21a  What is an action worth, n steps later?

Capstone A, section 1. Write the targets y of double DQN, equation (1), for B transitions over n steps:

    y = Σ_{k<n} γᵏ·r_k + γⁿ·Q⁻(s', argmax_a Q(s', a))                                         (1)

    reward   (B, n)  r_0 … r_{n−1}: +1 or −1 where a point fell, otherwise 0
    q_net    (B, A)  Q(s', ·) of the network that learns, in the state s' that comes n steps later
    q_slow   (B, A)  Q⁻(s', ·) of its slow copy, in the same state

In Pong a return ends with the first point. What comes after it, later points and the state s' alike,
belongs to the next rally, and this action is not to be praised or blamed for it. Return y (B,).
About 10 minutes.

Run:  uv run exercises/21a_return_to_a_point.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def double_dqn_target(reward: Tensor, q_net: Tensor, q_slow: Tensor, gamma: float) -> Tensor:
    """Rewards ``(B, n)`` and values of the state after them ``(B, A)``, twice → targets ``(B,)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

GAMMA = 0.9
Q_NET = torch.tensor([[0.2, 0.9, 0.4]])
Q_SLOW = torch.tensor([[0.7, 0.3, 0.1]])


def one(
    double_dqn_target, reward: list[float], q_net: Tensor = Q_NET, q_slow: Tensor = Q_SLOW
) -> float:
    """y of a single transition, as a number."""
    y = double_dqn_target(torch.tensor([reward]), q_net.clone(), q_slow.clone(), GAMMA)
    if y is None:
        raise Wrong("y: got None. Is there a return?")
    if tuple(torch.as_tensor(y).shape) != (1,):
        raise Wrong(
            f"y of one transition: got shape {tuple(torch.as_tensor(y).shape)}, expected (1,), which is (B,). "
            "gather and keepdim leave an axis of length 1."
        )
    return float(y[0])


def check_who_chooses(double_dqn_target) -> None:
    """one network chooses, the other one values"""
    got = one(double_dqn_target, [0.0]) / GAMMA
    guesses = {
        0.7: "Q⁻ of action 1. 0.70 is Q⁻ of the action that Q⁻ likes best. Who is asked for the argmax?",
        0.9: "Q⁻ of action 1. 0.90 is what Q itself says. Its choice is to be valued by Q⁻.",
        0.2: "Q⁻ of action 1. 0.20 is Q of the action that Q⁻ likes best. It is the other way round.",
        0.3 / GAMMA: "Q⁻ of action 1 times γ. γ is missing: one step lies between s and s'.",
    }
    if abs(got - 0.3) < 1e-5:
        return
    told = "no point, n = 1, Q(s') = (0.2, 0.9, 0.4), Q⁻(s') = (0.7, 0.3, 0.1)"
    for guess, smell in guesses.items():
        if abs(got - guess) < 1e-4:
            raise Wrong(f"{told}: y is γ·{got:.2f}, expected γ·0.30, {smell}")
    raise Wrong(f"{told}: y is γ·{got:.2f}, expected γ·0.30, Q⁻ of action 1, which Q likes best.")


def check_rally(double_dqn_target) -> None:
    """a true value stays true, whatever n is"""
    # The point is won by the last of 5 actions, so that Q = γ⁴ now, and γ^(4−n) after n steps.
    true = GAMMA**4
    for n in (1, 2, 3, 4):
        there = torch.full((1, 3), GAMMA ** (4 - n))
        got = one(double_dqn_target, [0.0] * n, there, there)
        if abs(got - true) < 1e-5:
            continue
        smell = "γ stands before Q⁻ once; n steps lie between s and s'."
        if abs(got - GAMMA * GAMMA ** (4 - n)) > 1e-5:
            smell = "To which power is γ raised?"
        raise Wrong(
            f"a point is won 5 actions from now, Q = γ⁴ = {true:.3f}. With n = {n} y is {got:.3f}, though "
            f"Q⁻(s') = γ^{4 - n} = {float(there[0, 0]):.3f} is right. {smell}"
        )
    for n in (5, 6, 8):
        nothing = torch.zeros(1, 3)
        reward = [0.0] * n
        reward[4] = 1.0
        got = one(double_dqn_target, reward, nothing, nothing)
        if abs(got - true) > 1e-5:
            raise Wrong(
                f"a point is won by the action at k = 4, and n = {n}: y is {got:.3f}, expected γ⁴ = "
                f"{true:.3f}. Does each reward have its own power of γ, and k = 0 the power 0?"
            )


def check_end(double_dqn_target) -> None:
    """nothing after a point changes the target"""
    for k in (0, 2, 3):
        for point in (1.0, -1.0):
            reward = [0.0] * 4
            reward[k] = point
            wanted = GAMMA**k * point
            low = one(double_dqn_target, reward, Q_NET, Q_SLOW - 5)
            high = one(double_dqn_target, reward, Q_NET, Q_SLOW + 5)
            if abs(low - high) > 1e-5:
                raise Wrong(
                    f"rewards {[int(r) for r in reward]}: with Q⁻(s') raised by 10, y rises by "
                    f"{high - low:.2f}. The point at k = {k} ended the return, and s' belongs to the next rally."
                )
            if abs(low - wanted) > 1e-5:
                raise Wrong(
                    f"rewards {[int(r) for r in reward]}: y is {low:.3f}, expected γ^{k}·({point:+.0f}) = "
                    f"{wanted:.3f}. Is the point itself still counted?"
                )
            for later in range(k + 1, 4):
                reward[later] = -point
                got = one(double_dqn_target, reward)
                if abs(got - wanted) > 1e-5:
                    raise Wrong(
                        f"rewards {[int(r) for r in reward]}: y is {got:.3f}, expected {wanted:.3f}. The return "
                        f"crosses the point at k = {k} and counts the one at k = {later} as well."
                    )
                reward[later] = 0.0


def check_luck(double_dqn_target) -> None:
    """two networks that err independently do not flatter"""
    q_net, q_slow = torch.randn(20_000, 3), torch.randn(20_000, 3)  # all actions are worth 0
    mean = float(double_dqn_target(torch.zeros(20_000, 3), q_net, q_slow, GAMMA).mean())
    if abs(mean) > 0.04:
        raise Wrong(
            f"every action is worth 0, both networks err by 1 at random, and y is {mean:+.2f} on average. "
            "Whoever lets one network choose and value takes its luck for skill."
        )


def check_batch(double_dqn_target) -> None:
    """each transition of a batch by itself"""
    reward = torch.tensor([[0.0, 0, 0], [0, 1, 0], [-1, 0, 1], [0, 0, 0], [0, 0, -1]])
    q_net, q_slow = torch.randn(5, 3), torch.randn(5, 3)
    together = double_dqn_target(reward.clone(), q_net, q_slow, GAMMA)
    alone = []
    for i in range(5):
        row = slice(i, i + 1)
        alone.append(double_dqn_target(reward[row].clone(), q_net[row], q_slow[row], GAMMA))
    smell = "Alone this transition has another target: does a point end the other games' returns?"
    expect(together, torch.cat(alone), "y (B)", smell)


EXERCISE = Exercise(
    solve=double_dqn_target,
    checks=(check_who_chooses, check_rally, check_end, check_luck, check_batch),
    hints=(
        "Walk through the steps k = 0 … n − 1 and keep two tensors (B,): y so far, and a mask that is 1 as "
        "long as no point has fallen.",
        "At step k add γᵏ·mask·r_k to y, and only then set the mask to 0 where r_k is not 0: the point "
        "itself counts. q_slow.gather(1, best) with best (B, 1) values the chosen actions.",
        "After the loop: best = q_net.argmax(1, keepdim=True), and y + γⁿ·mask·q_slow.gather(1, best)[:, 0].",
    ),
    why=(
        "n rewards are facts and Q⁻ is a guess, so the guess is trusted only where no point has settled the "
        "matter; and of two noisy guesses one chooses and the other values, so that luck is not counted twice."
    ),
)

if __name__ == "__main__":
    EXERCISE.main()
