"""03a  Read a raster: model solution"""

from __future__ import annotations

from torch import Tensor


def read_raster(spk: Tensor) -> tuple[Tensor, float, float]:
    """``spk (T, N)``, steps of 1 ms → rates in Hz ``(N,)``, share of dead neurons, largest share
    of neurons that fire in one step."""
    rates = 1000 * spk.mean(0)  # along a row, over time; 1,000 steps of 1 ms are a second
    dead = (rates == 0).float().mean().item()
    together = spk.mean(1).max().item()  # down a column, over neurons
    return rates, dead, together
