"""Wrong versions of exercise 13a; each docstring is a part of the message that must come."""

from __future__ import annotations


def _mem(cur, spk, mem, beta, threshold):
    return beta * mem + cur - threshold * spk


def spike_does_not_raise(cur, spk, mem, a, beta, rho, kappa, threshold):
    """has not raised it"""
    a = rho * a
    mem = _mem(cur, spk, mem, beta, threshold)
    return (mem > threshold + kappa * a).float(), mem, a


def reset_by_the_raised_threshold(cur, spk, mem, a, beta, rho, kappa, threshold):
    """not the raised threshold"""
    a = rho * a + spk
    mem = _mem(cur, spk, mem, beta, threshold + kappa * a)
    return (mem > threshold + kappa * a).float(), mem, a


def threshold_of_the_old_trace(cur, spk, mem, a, beta, rho, kappa, threshold):
    """raised at all, and by the new a"""
    mem = _mem(cur, spk, mem, beta, threshold)
    new = (mem > threshold + kappa * a).float()
    return new, mem, rho * a + spk


def adaptation_lowers_the_threshold(cur, spk, mem, a, beta, rho, kappa, threshold):
    """0.5 is below the threshold"""
    a = rho * a + spk
    mem = _mem(cur, spk, mem, beta, threshold)
    return (mem > threshold - kappa * a).float(), mem, a


def spike_fades_at_once(cur, spk, mem, a, beta, rho, kappa, threshold):
    """the spike adds 1, after the fading"""
    a = rho * (a + spk)
    mem = _mem(cur, spk, mem, beta, threshold)
    return (mem > threshold + kappa * a).float(), mem, a
