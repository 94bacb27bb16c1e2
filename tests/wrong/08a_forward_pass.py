"""Wrong versions of exercise 08a; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def rests_at_every_step(layers, x):
    """put back to rest inside"""
    counts, out = [0.0] * len(layers), []
    for x_t in x:
        spk = x_t
        for i, (fc, lif) in enumerate(layers):
            spk, _ = lif(fc(spk), lif.init_leaky())
            counts[i] += spk.sum().item()
        out.append(spk)
    return torch.stack(out), counts


def one_state_for_all(layers, x):
    """one potential shared by all"""
    mem = layers[0][1].init_leaky()
    counts, out = [0.0] * len(layers), []
    for x_t in x:
        spk = x_t
        for i, (fc, lif) in enumerate(layers):
            spk, mem = lif(fc(spk), mem)
            counts[i] += spk.sum().item()
        out.append(spk)
    return torch.stack(out), counts


def spikes_of_the_step_before(layers, x):
    """not those of the step before"""
    mems = [lif.init_leaky() for _, lif in layers]
    before = [torch.zeros(x.shape[1], fc.in_features) for fc, _ in layers]
    counts, out = [0.0] * len(layers), []
    for x_t in x:
        before[0] = x_t
        now = []
        for i, (fc, lif) in enumerate(layers):
            spk, mems[i] = lif(fc(before[i]), mems[i])
            now.append(spk)
            counts[i] += spk.sum().item()
        before[1:] = now[:-1]
        out.append(now[-1])
    return torch.stack(out), counts


def forgets_to_stack(layers, x):
    """the spikes are a list"""
    mems = [lif.init_leaky() for _, lif in layers]
    out = []
    for x_t in x:
        spk = x_t
        for i, (fc, lif) in enumerate(layers):
            spk, mems[i] = lif(fc(spk), mems[i])
        out.append(spk)
    return out, [0.0] * len(layers)


def counts_the_last_step(layers, x):
    """over all steps and all images"""
    mems = [lif.init_leaky() for _, lif in layers]
    counts, out = [0.0] * len(layers), []
    for x_t in x:
        spk = x_t
        for i, (fc, lif) in enumerate(layers):
            spk, mems[i] = lif(fc(spk), mems[i])
            counts[i] = spk.sum().item()
        out.append(spk)
    return torch.stack(out), counts


def only_the_last_layer(layers, x):
    """numbers of spikes for"""
    mems = [lif.init_leaky() for _, lif in layers]
    out = []
    for x_t in x:
        spk = x_t
        for i, (fc, lif) in enumerate(layers):
            spk, mems[i] = lif(fc(spk), mems[i])
        out.append(spk)
    return torch.stack(out), [torch.stack(out).sum().item()]


def means_over_the_images(layers, x):
    """over all steps and all images"""
    mems = [lif.init_leaky() for _, lif in layers]
    counts, out = [0.0] * len(layers), []
    for x_t in x:
        spk = x_t
        for i, (fc, lif) in enumerate(layers):
            spk, mems[i] = lif(fc(spk), mems[i])
            counts[i] += spk.sum(1).mean().item()
        out.append(spk)
    return torch.stack(out), counts
