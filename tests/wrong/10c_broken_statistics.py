"""Wrong versions of exercise 10c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _fire(lif, cur):
    mem, spk_rec = lif.init_leaky(), []
    for cur_t in cur:
        spk, mem = lif(cur_t, mem)
        spk_rec.append(spk)
    return torch.stack(spk_rec)


def step_by_step(conv, norm, lif, x):
    """what changes in time is gone"""
    return _fire(lif, [norm(conv(x_t)) for x_t in x])


def image_by_image(conv, norm, lif, x):
    """moved 4 times in a call"""
    cur = torch.stack([norm(conv(x[:, b])) for b in range(x.shape[1])], dim=1)
    return _fire(lif, cur)


def always_running_statistics(conv, norm, lif, x):
    """Over what are mean and variance taken?"""
    training = norm.training
    norm.eval()
    cur = 3 * norm(conv(x.flatten(0, 1))).unflatten(0, x.shape[:2])
    norm.train(training)
    return _fire(lif, cur)


def steps_and_images_mixed_up(conv, norm, lif, x):
    """mixed up on the way back to (T, B, C, H, W)"""
    cur = norm(conv(x.flatten(0, 1))).unflatten(0, (x.shape[1], x.shape[0])).transpose(0, 1)
    return _fire(lif, cur)


def statistics_of_the_first_step(conv, norm, lif, x):
    """one for each channel"""
    cur = torch.stack([conv(x_t) for x_t in x])
    if not norm.training:
        return _fire(lif, norm(cur.flatten(0, 1)).unflatten(0, x.shape[:2]))
    norm(cur[0])
    mean = cur[0].mean((0, 2, 3)).view(-1, 1, 1)
    std = cur[0].std((0, 2, 3)).view(-1, 1, 1)
    return _fire(lif, (cur - mean) / std)


def state_lost_between_steps(conv, norm, lif, x):
    """One membrane, T steps"""
    cur = norm(conv(x.flatten(0, 1))).unflatten(0, x.shape[:2])
    return torch.stack([lif(cur_t, lif.init_leaky())[0] for cur_t in cur])
