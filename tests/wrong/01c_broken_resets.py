"""Wrong versions of exercise 01c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _loop(rule):
    """A neuron from ``rule(mem, cur, spk, beta, threshold, reset)``, the new potential."""

    def run_neuron(cur, beta, threshold, reset):
        mem = torch.zeros_like(cur[0])
        spk = torch.zeros_like(cur[0])
        spk_rec, mem_rec = [], []
        for cur_t in cur:
            mem = rule(mem, cur_t, spk, beta, threshold, reset)
            spk = (mem > threshold).float()
            spk_rec.append(spk)
            mem_rec.append(mem)
        return torch.stack(spk_rec), torch.stack(mem_rec)

    return run_neuron


def as_it_was_given(cur, beta, threshold, reset):
    """β made θ smaller as well"""

    def rule(mem, cur, spk, beta, threshold, reset):
        if reset == "subtract":
            return beta * (mem - spk * threshold) + cur
        return (beta * mem + cur) * (1 - spk)

    return _loop(rule)(cur, beta, threshold, reset)


def only_subtract_mended(cur, beta, threshold, reset):
    """The reset swallowed the input of step 1"""

    def rule(mem, cur, spk, beta, threshold, reset):
        if reset == "subtract":
            return beta * mem + cur - spk * threshold
        return (beta * mem + cur) * (1 - spk)

    return _loop(rule)(cur, beta, threshold, reset)


def subtract_turned_into_zero(cur, beta, threshold, reset):
    """or was paid out in spikes of θ each"""

    def rule(mem, cur, spk, beta, threshold, reset):
        return beta * mem * (1 - spk) + cur

    return _loop(rule)(cur, beta, threshold, reset)


def leak_removed(cur, beta, threshold, reset):
    """There is no spike in this"""

    def rule(mem, cur, spk, beta, threshold, reset):
        if reset == "subtract":
            return mem + cur - spk * threshold
        return mem * (1 - spk) + cur

    return _loop(rule)(cur, beta, threshold, reset)
