"""21a  What is an action worth, n steps later?: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def double_dqn_target(reward: Tensor, q_net: Tensor, q_slow: Tensor, gamma: float) -> Tensor:
    """Rewards ``(B, n)`` and values of the state after them ``(B, A)``, twice → targets ``(B,)``."""
    B, n = reward.shape
    y = torch.zeros(B)
    going_on = torch.ones(B)  # 0 from the first point on
    for k in range(n):
        y = y + gamma**k * going_on * reward[:, k]
        going_on = going_on * (reward[:, k] == 0)
    best = q_net.argmax(1, keepdim=True)  # (B, 1): one network chooses
    value = q_slow.gather(1, best)[:, 0]  # (B,): the other one values
    return y + gamma**n * going_on * value
