"""Wrong versions of exercise 03a; each docstring is a part of the message that must come."""

from __future__ import annotations


def _dead(spk):
    return (spk.sum(0) == 0).float().mean().item()


def rates_over_neurons(spk):
    """got one number a step, expected one a neuron"""
    return 1000 * spk.mean(1), _dead(spk), spk.mean(1).max().item()


def rates_per_step(spk):
    """That is per step"""
    return spk.mean(0), _dead(spk), spk.mean(1).max().item()


def counts_for_rates(spk):
    """the recording lasts 0.2 s"""
    return spk.sum(0), _dead(spk), spk.mean(1).max().item()


def quiet_steps_are_dead(spk):
    """one fires always, one once, and two never"""
    return 1000 * spk.mean(0), (spk.sum(1) == 0).float().mean().item(), spk.mean(1).max().item()


def dead_are_counted(spk):
    """a share of the 4 neurons, not their number"""
    return 1000 * spk.mean(0), (spk.sum(0) == 0).sum().item(), spk.mean(1).max().item()


def busiest_neuron(spk):
    """that is a row. Which step has most spikes?"""
    return 1000 * spk.mean(0), _dead(spk), spk.mean(0).max().item()


def together_is_counted(spk):
    """a share of the 5 neurons, not their number"""
    return 1000 * spk.mean(0), _dead(spk), spk.sum(1).max().item()
