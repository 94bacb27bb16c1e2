"""Wrong versions of exercise 06a; each docstring is a part of the message that must come."""

from __future__ import annotations


def decays_swapped(x, syn, mem, alpha, beta, threshold):
    """It faded by β"""
    spk = (mem > threshold).float()
    syn = beta * syn + x
    mem = alpha * mem + syn - spk * threshold
    return (mem > threshold).float(), syn, mem


def old_current(x, syn, mem, alpha, beta, threshold):
    """the current of the step before"""
    spk = (mem > threshold).float()
    mem = beta * mem + syn - spk * threshold
    syn = alpha * syn + x
    return (mem > threshold).float(), syn, mem


def input_feeds_the_membrane(x, syn, mem, alpha, beta, threshold):
    """what feeds the membrane is I, not x"""
    spk = (mem > threshold).float()
    syn = alpha * syn + x
    mem = beta * mem + x - spk * threshold
    return (mem > threshold).float(), syn, mem


def current_pays_too(x, syn, mem, alpha, beta, threshold):
    """The reset concerns U alone"""
    spk = (mem > threshold).float()
    syn = alpha * syn + x - spk * threshold
    mem = beta * mem + syn
    return (mem > threshold).float(), syn, mem


def never_pays(x, syn, mem, alpha, beta, threshold):
    """The spike at step 0 was not paid for"""
    syn = alpha * syn + x
    mem = beta * mem + syn
    return (mem > threshold).float(), syn, mem


def pays_at_once(x, syn, mem, alpha, beta, threshold):
    """the spike of the step before"""
    syn = alpha * syn + x
    mem = beta * mem + syn
    spk = (mem > threshold).float()
    return spk, syn, mem - spk * threshold


def threshold_leaks_too(x, syn, mem, alpha, beta, threshold):
    """Here θ leaked too"""
    spk = (mem > threshold).float()
    syn = alpha * syn + x
    mem = beta * (mem - spk * threshold) + syn
    return (mem > threshold).float(), syn, mem


def threshold_forgotten(x, syn, mem, alpha, beta, threshold):
    """the spike cost only 1"""
    spk = (mem > threshold).float()
    syn = alpha * syn + x
    mem = beta * mem + syn - spk
    return (mem > threshold).float(), syn, mem


def input_is_scaled(x, syn, mem, alpha, beta, threshold):
    """every step leaves the share α"""
    spk = (mem > threshold).float()
    syn = alpha * syn + (1 - alpha) * x
    mem = beta * mem + syn - spk * threshold
    return (mem > threshold).float(), syn, mem


def wrong_order_of_return(x, syn, mem, alpha, beta, threshold):
    """The order is 'return spk, syn, mem'"""
    spk = (mem > threshold).float()
    syn = alpha * syn + x
    mem = beta * mem + syn - spk * threshold
    return syn, mem, (mem > threshold).float()
