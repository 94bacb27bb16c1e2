"""Wrong versions of exercise 02d; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch
from snntorch import spikegen

LINEAR = {"threshold": 0.01, "normalize": True, "linear": True}


def as_given(x, num_steps):
    """5 come from black pixels"""
    spk = spikegen.latency(x, num_steps=num_steps, **LINEAR)
    return spk, 1 - spk.argmax(0) / (num_steps - 1)


def only_clipped(x, num_steps):
    """What does argmax say of a train that is 0"""
    spk = spikegen.latency(x, num_steps=num_steps, clip=True, **LINEAR)
    return spk, 1 - spk.argmax(0) / (num_steps - 1)


def step_zero_is_black(x, num_steps):
    """It fires at step 0"""
    spk = spikegen.latency(x, num_steps=num_steps, clip=True, **LINEAR)
    when = spk.argmax(0)
    return spk, torch.where(when > 0, 1 - when / (num_steps - 1), 0.0)


def logarithmic(x, num_steps):
    """is rebuilt as"""
    spk = spikegen.latency(x, num_steps=num_steps, threshold=0.01, clip=True, normalize=True)
    return spk, spk.sum(0) * (1 - spk.argmax(0) / (num_steps - 1))


def last_step_deleted(x, num_steps):
    """The ink was right before"""
    spk = spikegen.latency(x, num_steps=num_steps, **LINEAR)
    spk[-1] = 0
    return spk, spk.sum(0) * (1 - spk.argmax(0) / num_steps)
