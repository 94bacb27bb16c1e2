"""Wrong versions of exercise 01d; each docstring is a part of the message that must come."""

from __future__ import annotations


def rise_not_used(cur, mem, spk, rise, beta, threshold, rho, jump):
    """Does a lift it?"""
    rise = rho * rise + jump * spk
    mem = beta * mem * (1 - spk) + cur
    return (mem > threshold).float(), mem, rise


def threshold_sinks(cur, mem, spk, rise, beta, threshold, rho, jump):
    """Does a lift it?"""
    rise = rho * rise + jump * spk
    mem = beta * mem * (1 - spk) + cur
    return (mem > threshold - rise).float(), mem, rise


def rise_is_forgotten(cur, mem, spk, rise, beta, threshold, rho, jump):
    """each step leaves the share ρ of a"""
    rise = jump * spk
    mem = beta * mem * (1 - spk) + cur
    return (mem > threshold + rise).float(), mem, rise


def jump_is_scaled(cur, mem, spk, rise, beta, threshold, rho, jump):
    """It lifts a by b, whole"""
    rise = rho * rise + (1 - rho) * jump * spk
    mem = beta * mem * (1 - spk) + cur
    return (mem > threshold + rise).float(), mem, rise


def counts_its_spike_at_once(cur, mem, spk, rise, beta, threshold, rho, jump):
    """a counts it one step later, as S[t]"""
    mem = beta * mem * (1 - spk) + cur
    spk = (mem > threshold + rise).float()
    rise = rho * rise + jump * spk
    return spk, mem, rise


def reset_by_subtraction(cur, mem, spk, rise, beta, threshold, rho, jump):
    """After a spike the old U is cleared"""
    rise = rho * rise + jump * spk
    mem = beta * mem + cur - spk * threshold
    return (mem > threshold + rise).float(), mem, rise
