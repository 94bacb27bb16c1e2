"""Wrong versions of exercise 08b; each docstring is a part of the message that must come."""

from __future__ import annotations

import snntorch as snn
import torch
from snntorch import utils


def _rest(net):
    for module in net.modules():
        if isinstance(module, snn.SpikingNeuron):
            module.reset_mem()


@torch.no_grad()
def _show(net, x, num_steps):
    counts = 0
    for _ in range(num_steps):
        counts = counts + net(x)[0]
    return counts


def as_given(net, images, num_steps, batch_size):
    """What state does the second batch start from?"""
    answers = []
    for x in images.split(batch_size):
        utils.reset(net)
        answers.append(_show(net, x, num_steps).argmax(1))
    return torch.cat(answers)


def resets_children_only(net, images, num_steps, batch_size):
    """What state does the second batch start from?"""
    answers = []
    for x in images.split(batch_size):
        for module in net.children():
            if isinstance(module, snn.SpikingNeuron):
                module.reset_mem()
        answers.append(_show(net, x, num_steps).argmax(1))
    return torch.cat(answers)


def resets_at_every_step(net, images, num_steps, batch_size):
    """does the state survive a time step"""
    answers = []
    for x in images.split(batch_size):
        counts = 0
        for _ in range(num_steps):
            _rest(net)
            counts = counts + _show(net, x, 1)
        answers.append(counts.argmax(1))
    return torch.cat(answers)


def resets_after_each_batch(net, images, num_steps, batch_size):
    """the first batch needs a reset, too"""
    answers = []
    for x in images.split(batch_size):
        answers.append(_show(net, x, num_steps).argmax(1))
        _rest(net)
    return torch.cat(answers)


def resets_all_of_the_program(net, images, num_steps, batch_size):
    """has lost its state"""
    answers = []
    for x in images.split(batch_size):
        snn.Leaky.reset_hidden()
        answers.append(_show(net, x, num_steps).argmax(1))
    return torch.cat(answers)


def returns_counts(net, images, num_steps, batch_size):
    """expected (60,)"""
    counts = []
    for x in images.split(batch_size):
        _rest(net)
        counts.append(_show(net, x, num_steps))
    return torch.cat(counts)
