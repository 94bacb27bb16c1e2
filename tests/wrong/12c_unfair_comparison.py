"""Wrong versions of exercise 12c; each docstring is a part of the message that must come."""

from __future__ import annotations

ADD, MAC, MAC_FLOAT, BYTE = 0.1, 0.3, 4.6, 1.25


def as_it_was_given(first, dense, active, spikes, updates, num_steps):
    """The chip skips zeros"""
    snn = first * MAC + spikes * ADD + (first + spikes) * BYTE
    ann = (num_steps * first + dense) * (MAC_FLOAT + BYTE)
    return snn, ann


def steps_for_the_ann(first, dense, active, spikes, updates, num_steps):
    """the ANN takes no steps: it looks once"""
    snn = first * MAC + spikes * ADD + (first + spikes) * BYTE + 4 * updates * BYTE
    return snn, (num_steps * first + active) * (MAC + BYTE)


def steps_for_the_snn_as_well(first, dense, active, spikes, updates, num_steps):
    """although spikes and updates hold all steps already"""
    snn = num_steps * first * (MAC + BYTE) + spikes * (ADD + BYTE) + 4 * updates * BYTE
    return snn, (first + active) * (MAC + BYTE)


def floats_for_the_ann(first, dense, active, spikes, updates, num_steps):
    """It is the same operation, on the same chip"""
    snn = first * MAC + spikes * ADD + (first + spikes) * BYTE + 4 * updates * BYTE
    return snn, (first + active) * (MAC_FLOAT + BYTE)


def potentials_forgotten(first, dense, active, spikes, updates, num_steps):
    """What does it have to keep between two steps"""
    snn = first * MAC + spikes * ADD + (first + spikes) * BYTE
    return snn, (first + active) * (MAC + BYTE)


def only_read(first, dense, active, spikes, updates, num_steps):
    """two bytes read, two bytes written"""
    snn = first * MAC + spikes * ADD + (first + spikes) * BYTE + 2 * updates * BYTE
    return snn, (first + active) * (MAC + BYTE)
