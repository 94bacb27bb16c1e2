"""Wrong versions of exercise 11c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _deal(n, folds, seed):
    fold = torch.empty(n, dtype=torch.long)
    fold[torch.randperm(n, generator=torch.Generator().manual_seed(seed))] = torch.arange(n) % folds
    return fold


def _index(mask):
    return mask.nonzero()[:, 0]


def as_it_was_given(source, copy, k, folds, seed):
    """copies of a test recording are among them"""
    fold = _deal(len(source), folds, seed)
    return _index(fold != k), _index(fold == k)


def nothing_is_tested(source, copy, k, folds, seed):
    """and 0 test samples, expected some of both"""
    return _index(source >= 0), _index(source < 0)


def only_copies_leave_the_test(source, copy, k, folds, seed):
    """copies of a test recording are among them"""
    fold = _deal(len(source), folds, seed)
    return _index(fold != k), _index((fold == k) & (copy == 0))


def copies_are_tested(source, copy, k, folds, seed):
    """test samples are copies"""
    fold = _deal(int(source.max()) + 1, folds, seed)[source]
    return _index(fold != k), _index(fold == k)


def copies_do_not_train(source, copy, k, folds, seed):
    """every sample, recording or copy"""
    fold = _deal(int(source.max()) + 1, folds, seed)[source]
    return _index((fold != k) & (copy == 0)), _index((fold == k) & (copy == 0))


def chance_has_no_part(source, copy, k, folds, seed):
    """two seeds give the same test recordings"""
    fold = (source % folds) == k
    return _index(~fold), _index(fold & (copy == 0))


def folds_do_not_fit_together(source, copy, k, folds, seed):
    """times in 5 folds, expected once"""
    fold = _deal(int(source.max()) + 1, folds, 100 * seed + k)[source]
    return _index(fold != k), _index((fold == k) & (copy == 0))
