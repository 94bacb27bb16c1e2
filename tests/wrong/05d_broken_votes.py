"""Wrong versions of exercise 05d; each docstring is a part of the message that must come."""

from __future__ import annotations


def still_interleaved(spk_rec, num_classes):
    """The loss counts outputs 0 and 1 for class 0"""
    return spk_rec.sum(0).unflatten(1, (-1, num_classes)).sum(1)


def still_without_time(spk_rec, num_classes):
    """what became of the time steps?"""
    fired = (spk_rec.sum(0) > 0).float()
    return fired.unflatten(1, (num_classes, -1)).sum(2)


def last_step_only(spk_rec, num_classes):
    """a sum, no mean"""
    return spk_rec[-1].unflatten(1, (num_classes, -1)).sum(2)


def mean_over_time(spk_rec, num_classes):
    """a sum, no mean"""
    return spk_rec.mean(0).unflatten(1, (num_classes, -1)).sum(2)


def sums_the_classes(spk_rec, num_classes):
    """images, classes"""
    return spk_rec.sum(0).unflatten(1, (num_classes, -1)).sum(1)


def any_of_a_class(spk_rec, num_classes):
    """Every spike is one vote"""
    return spk_rec.sum(0).unflatten(1, (num_classes, -1)).amax(2)
