"""09d  Broken on purpose: which images choose, and which are reported? Model solution"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def choose_and_report(
    nets: list[Callable[[Tensor], Tensor]],
    x_train: Tensor,
    y_train: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    n_val: int,
) -> tuple[int, float]:
    """The place in ``nets`` of the chosen network, and the accuracy to report."""
    x_val = x_train[-n_val:]  # no network was trained on these
    y_val = y_train[-n_val:]
    best = 0
    best_accuracy = 0.0
    for i, net in enumerate(nets):
        found = (net(x_val) == y_val).float().mean().item()
        if found > best_accuracy:
            best = i
            best_accuracy = found
    reported = (nets[best](x_test) == y_test).float().mean().item()  # once, at the end
    return best, reported
