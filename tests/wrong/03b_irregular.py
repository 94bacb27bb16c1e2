"""Wrong versions of exercise 03b; each docstring is a part of the message that must come."""

from __future__ import annotations

import math

import torch


def _isi(spk):
    return torch.nonzero(spk)[:, 0].diff().float()


def silence_before_counts(spk):
    """Silence before it is no interval"""
    times = torch.nonzero(spk)[:, 0]
    isi = torch.cat([times[:1], times.diff()]).float()
    return (isi.std(correction=0) / isi.mean()).item() if len(isi) > 1 else math.nan


def divides_by_n_minus_1(spk):
    """Your σ divides by n − 1"""
    isi = _isi(spk)
    return (isi.std() / isi.mean()).item() if len(isi) > 1 else math.nan


def squared(spk):
    """the variance over the square of the mean"""
    isi = _isi(spk)
    return (isi.var(correction=0) / isi.mean() ** 2).item() if len(isi) > 1 else math.nan


def not_relative(spk):
    """That is σ, in steps"""
    isi = _isi(spk)
    return isi.std(correction=0).item() if len(isi) > 1 else math.nan


def one_interval_is_a_clock(spk):
    """nothing to compare, and 0 would call it a clock"""
    isi = _isi(spk)
    return (isi.std(correction=0) / isi.mean()).item() if len(isi) > 0 else math.nan


def cv_of_the_spikes(spk):
    """a spike every 7 steps"""
    return math.nan


def cv_of_the_steps(spk):
    """Silence before it is no interval"""
    return (spk.std(correction=0) / spk.mean()).item() if spk.sum() > 2 else math.nan
