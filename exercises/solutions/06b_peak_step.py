"""06b  When does a synapse's answer peak? Model solution"""

from __future__ import annotations

import math


def peak_step(alpha: float, beta: float) -> int:
    """The step at which the answer of snn.Synaptic to one input is highest."""
    # It rises from n to n + 1 as long as (α/β)ⁿ⁺¹ < (1 − β)/(1 − α), that is n + 1 < x.
    x = math.log((1 - beta) / (1 - alpha)) / math.log(alpha / beta)
    # The first whole n with n + 1 ≥ x
    return math.ceil(x) - 1
