"""08d  What is held, and where. Model solution"""

from __future__ import annotations


def count(sizes: list[int], batch_size: int, num_steps: int) -> tuple[int, int, int]:
    """Parameters, potentials at one moment, and potentials of all steps together."""
    parameters = 0
    for inputs, neurons in zip(sizes, sizes[1:], strict=False):
        parameters += (inputs + 1) * neurons  # a weight for each input, and a bias
    state = batch_size * sum(sizes[1:])  # the inputs are no neurons
    return parameters, state, num_steps * state
