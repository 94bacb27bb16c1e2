"""Wrong versions of exercise 01a; each docstring is a part of the message that must come."""

from __future__ import annotations


def spike_not_paid_for(cur, mem, beta, threshold):
    """The spike at step 0 was not paid for"""
    mem = beta * mem + cur
    return (mem > threshold).float(), mem


def threshold_leaks_too(cur, mem, beta, threshold):
    """Here θ leaked too"""
    spk = (mem > threshold).float()
    mem = beta * (mem - spk * threshold) + cur
    return (mem > threshold).float(), mem


def pays_at_once(cur, mem, beta, threshold):
    """the spike of the step before"""
    mem = beta * mem + cur
    spk = (mem > threshold).float()
    return spk, mem - spk * threshold


def threshold_forgotten(cur, mem, beta, threshold):
    """the spike cost only 1"""
    spk = (mem > threshold).float()
    mem = beta * mem + cur - spk
    return (mem > threshold).float(), mem


def leaks_by_the_wrong_share(cur, mem, beta, threshold):
    """every step leaves the share β"""
    spk = (mem > threshold).float()
    mem = (1 - beta) * mem + cur - spk * threshold
    return (mem > threshold).float(), mem


def resets_to_zero(cur, mem, beta, threshold):
    """This is the reset to zero"""
    spk = (mem > threshold).float()
    mem = beta * mem * (1 - spk) + cur
    return (mem > threshold).float(), mem


def fires_at_the_threshold(cur, mem, beta, threshold):
    """snnTorch compares with >"""
    spk = (mem > threshold).float()
    mem = beta * mem + cur - spk * threshold
    return (mem >= threshold).float(), mem


def current_is_scaled(cur, mem, beta, threshold):
    """goes in whole: nothing multiplies it"""
    spk = (mem > threshold).float()
    mem = beta * mem + (1 - beta) * cur - spk * threshold
    return (mem > threshold).float(), mem


def wrong_order_of_return(cur, mem, beta, threshold):
    """Spikes come first"""
    spk = (mem > threshold).float()
    mem = beta * mem + cur - spk * threshold
    return mem, (mem > threshold).float()
