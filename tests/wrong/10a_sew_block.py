"""Wrong versions of exercise 10a; each docstring is a part of the message that must come."""

from __future__ import annotations


def shortcut_into_the_current(spk_in, currents, fire, connect):
    """It has to go around them"""
    return fire(currents(spk_in) + spk_in)


def shortcut_twice(spk_in, currents, fire, connect):
    """Does S_in enter the current as well"""
    made = fire(currents(spk_in) + spk_in)
    if connect == "ADD":
        return made + spk_in
    return made * spk_in if connect == "AND" else (1 - made) * spk_in


def without_neurons(spk_in, currents, fire, connect):
    """fire() was not called"""
    return spk_in if connect in ("ADD", "IAND") else 0 * spk_in


def shortcut_detached(spk_in, currents, fire, connect):
    """The derivative of A + S_in by S_in is 1"""
    made = fire(currents(spk_in))
    if connect == "ADD":
        return made + spk_in.detach()
    return made * spk_in if connect == "AND" else (1 - made) * spk_in


def no_two(spk_in, currents, fire, connect):
    """A + S_in is a sum, not a spike"""
    made = fire(currents(spk_in))
    if connect == "ADD":
        return (made + spk_in).clamp(max=1)
    return made * spk_in if connect == "AND" else (1 - made) * spk_in


def iand_swapped(spk_in, currents, fire, connect):
    """A where the input is 0"""
    made = fire(currents(spk_in))
    if connect == "ADD":
        return made + spk_in
    if connect == "AND":
        return made * spk_in
    return (1 - spk_in) * made


def neurons_without_currents(spk_in, currents, fire, connect):
    """Did the shortcut go to the neurons"""
    made = fire(spk_in)
    return made * 0 if connect == "ADD" else made
