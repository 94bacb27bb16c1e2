"""Wrong versions of exercise 08d; each docstring is a part of the message that must come."""

from __future__ import annotations


def _weights(sizes, bias=1):
    return sum((a + bias) * b for a, b in zip(sizes, sizes[1:], strict=False))


def no_biases(sizes, batch_size, num_steps):
    """Each neuron has a bias, too"""
    state = batch_size * sum(sizes[1:])
    return _weights(sizes, 0), state, num_steps * state


def weights_for_each_step(sizes, batch_size, num_steps):
    """shared by all images and all steps"""
    state = batch_size * sum(sizes[1:])
    return num_steps * _weights(sizes), state, num_steps * state


def inputs_have_state(sizes, batch_size, num_steps):
    """The inputs are no neurons"""
    state = batch_size * sum(sizes)
    return _weights(sizes), state, num_steps * state


def one_image(sizes, batch_size, num_steps):
    """Each image of the batch"""
    state = sum(sizes[1:])
    return _weights(sizes), state, num_steps * state


def state_grows_with_time(sizes, batch_size, num_steps):
    """overwrites the potentials"""
    state = batch_size * num_steps * sum(sizes[1:])
    return _weights(sizes), state, state


def training_keeps_one_step(sizes, batch_size, num_steps):
    """once for each step"""
    state = batch_size * sum(sizes[1:])
    return _weights(sizes), state, state
