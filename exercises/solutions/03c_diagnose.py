"""03c  Diagnose a population: model solution"""

from __future__ import annotations

from torch import Tensor


def diagnose(spk: Tensor) -> str:
    """The name of the pattern of ``spk (T, N)``."""
    rate = spk.mean(0)  # (N,), along the rows
    if (rate == 0).float().mean() >= 0.9:
        return "silence"
    if (rate > 0.9).float().mean() >= 0.3:
        return "saturation"
    # Here some neuron varies, so that the division below is safe.
    N = spk.shape[1]
    together = spk.mean(1).var(correction=0)  # down the columns: the mean neuron, over time
    each = spk.var(0, correction=0).mean()
    rho = (together / each - 1 / N) / (1 - 1 / N)
    if rho > 0.3:
        return "synchronous bursting"
    return "healthy firing"
