"""12c  Broken on purpose: an unfair comparison. Model solution"""

from __future__ import annotations


def energies(
    first: float, dense: float, active: float, spikes: float, updates: float, num_steps: int
) -> tuple[float, float]:
    """Energy of one picture in pJ: spiking network, ANN."""
    ADD, MAC = 0.1, 0.3  # pJ in integers
    BYTE = 1.25  # pJ to move a byte
    snn = first * MAC + spikes * ADD
    snn = snn + (first + spikes) * BYTE
    snn = snn + updates * 4 * BYTE  # two bytes read, two written
    ann = (first + active) * MAC  # once, zeros skipped, in integers
    ann = ann + (first + active) * BYTE
    return snn, ann
