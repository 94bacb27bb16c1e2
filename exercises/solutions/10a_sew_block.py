"""10a  A way around the neurons: model solution"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def sew_block(
    spk_in: Tensor,
    currents: Callable[[Tensor], Tensor],
    fire: Callable[[Tensor], Tensor],
    connect: str,
) -> Tensor:
    """Spikes of the layer below → what the block hands on, both ``(T, B, C, H, W)``."""
    made = fire(currents(spk_in))  # A
    if connect == "ADD":
        return made + spk_in
    if connect == "AND":
        return made * spk_in
    return (1 - made) * spk_in
