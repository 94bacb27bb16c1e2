"""Wrong versions of exercise 08c; each docstring is a part of the message that must come."""

from __future__ import annotations

import snntorch as snn
import torch


@torch.no_grad()
def _spikes(layers, x):
    fc1, fc2 = layers
    lif1, lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)
    mem1, mem2 = lif1.init_leaky(), lif2.init_leaky()
    out = []
    for x_t in x:
        spk1, mem1 = lif1(fc1(x_t), mem1)
        spk2, mem2 = lif2(fc2(spk1), mem2)
        out.append(spk2)
    return torch.stack(out)


def as_given(layers, images, num_steps):
    """What passes from one image to the next?"""
    return _spikes(layers, torch.stack([images] * num_steps, 1)).sum(1).argmax(1)


def only_the_input_mended(layers, images, num_steps):
    """which one has to vanish"""
    return _spikes(layers, torch.stack([images] * num_steps)).sum(1).argmax(1)


def only_the_reading_mended(layers, images, num_steps):
    """which one has to vanish"""
    return _spikes(layers, torch.stack([images] * num_steps, 1)).sum(0).argmax(1)


def last_step_only(layers, images, num_steps):
    """most spikes over all steps"""
    return _spikes(layers, torch.stack([images] * num_steps))[-1].argmax(1)


def counts_classes_not_spikes(layers, images, num_steps):
    """the classes are 0 to 3"""
    return _spikes(layers, torch.stack([images] * num_steps)).sum(2).argmax(0) + 4
