"""Wrong versions of exercise 02c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _spikes(change, threshold):
    return (change >= threshold).float() - (change <= -threshold).float()


def compares_with_the_last_frame(frames, threshold):
    """the last frame, or the level"""
    before, out = frames[0], []
    for frame in frames:
        out.append(_spikes(frame - before, threshold))
        before = frame
    return torch.stack(out)


def level_jumps_to_x(frames, threshold):
    """Does your level jump to x?"""
    level, out = frames[0], []
    for frame in frames:
        spk = _spikes(frame - level, threshold)
        level = torch.where(spk != 0, frame, level)
        out.append(spk)
    return torch.stack(out)


def level_starts_at_zero(frames, threshold):
    """The level starts at x[0]"""
    level, out = torch.zeros_like(frames[0]), []
    for frame in frames:
        spk = _spikes(frame - level, threshold)
        level = level + threshold * spk
        out.append(spk)
    return torch.stack(out)


def no_off_spikes(frames, threshold):
    """OFF where it was"""
    level, out = frames[0], []
    for frame in frames:
        spk = (frame - level >= threshold).float()
        level = level + threshold * spk
        out.append(spk)
    return torch.stack(out)


def several_spikes_a_step(frames, threshold):
    """one spike a step, no more"""
    level, out = frames[0], []
    for frame in frames:
        spk = torch.trunc((frame - level) / threshold)
        level = level + threshold * spk
        out.append(spk)
    return torch.stack(out)


def level_moves_the_wrong_way(frames, threshold):
    """S is"""
    level, out = frames[0], []
    for frame in frames:
        spk = _spikes(frame - level, threshold)
        level = level - threshold * spk
        out.append(spk)
    return torch.stack(out)


def changes_the_film(frames, threshold):
    """share its memory"""
    level, out = frames[0], []
    for frame in frames:
        spk = _spikes(frame - level, threshold)
        level += threshold * spk
        out.append(spk)
    return torch.stack(out)
