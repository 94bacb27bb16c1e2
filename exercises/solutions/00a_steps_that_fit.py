"""00a  How many steps fit? Model solution"""

from __future__ import annotations


def steps_that_fit(memory: int, batch_size: int, num_inputs: int, num_neurons: int) -> int:
    """The largest number of time steps whose bytes fit into ``memory`` bytes."""
    weights = 4 * (num_inputs * num_neurons + num_neurons)
    one_step = 4 * batch_size * (num_inputs + num_neurons)
    left = memory - weights
    return max(0, left // one_step)
