"""Wrong versions of exercise 00a; each docstring is a part of the message that must come."""

from __future__ import annotations


def _steps(memory, batch_size, both, weights, size=4):
    return max(0, (memory - size * weights) // (size * batch_size * both))


def weights_forgotten(memory, batch_size, num_inputs, num_neurons):
    """The weights have to fit as well"""
    return _steps(memory, batch_size, num_inputs + num_neurons, 0)


def floats_of_one_byte(memory, batch_size, num_inputs, num_neurons):
    """A float has 4 bytes"""
    return _steps(memory, batch_size, num_inputs + num_neurons, (num_inputs + 1) * num_neurons, 1)


def neurons_only(memory, batch_size, num_inputs, num_neurons):
    """Both the inputs and the potentials are kept"""
    return _steps(memory, batch_size, num_neurons, (num_inputs + 1) * num_neurons)


def batch_forgotten(memory, batch_size, num_inputs, num_neurons):
    """Every image of the batch is kept"""
    return _steps(memory, 1, num_inputs + num_neurons, (num_inputs + 1) * num_neurons)


def rounded_up(memory, batch_size, num_inputs, num_neurons):
    """2,498 steps and the weights take"""
    return _steps(memory, batch_size, num_inputs + num_neurons, (num_inputs + 1) * num_neurons) + 1


def part_of_a_step(memory, batch_size, num_inputs, num_neurons):
    """A part of a step does not fit"""
    return memory / (4 * batch_size * (num_inputs + num_neurons)) - 0.25


def below_nothing(memory, batch_size, num_inputs, num_neurons):
    """not even the weights fit"""
    weights = (num_inputs + 1) * num_neurons
    return (memory - 4 * weights) // (4 * batch_size * (num_inputs + num_neurons))


def biases_forgotten(memory, batch_size, num_inputs, num_neurons):
    """Are the biases counted"""
    return _steps(memory, batch_size, num_inputs + num_neurons, num_inputs * num_neurons)
