"""10c  Broken on purpose: a layer that cannot see time

Lesson 10, section 3. The loop below is that of lesson 08, with a BatchNorm between convolution and
neurons. It runs, a network of such layers trains, and its loss falls. But in training a batch whose images
all grow in contrast from step to step gives the same spikes as one whose images stay as they are, and in
eval mode it does not. Find out what BatchNorm takes its mean and variance of, and mend it:

    one mean and one variance for each channel, over all steps, images and places together

BatchNorm's running statistics (which eval mode uses) have to be moved once a call, by the same numbers.
``x`` is (T, B, C_in, H, W), the spikes (T, B, C, H, W). About 10 minutes.

Run:  uv run exercises/10c_broken_statistics.py
"""

from __future__ import annotations

import _root  # noqa: F401

import copy

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor, nn


def layer(conv: nn.Conv2d, norm: nn.BatchNorm2d, lif: snn.Leaky, x: Tensor) -> Tensor:
    """Convolution, BatchNorm and neurons over all steps: ``(T, B, C_in, H, W)`` → ``(T, B, C, H, W)``."""
    mem = lif.init_leaky()
    spk_rec = []
    for x_t in x:  # (B, C_in, H, W)
        cur = norm(conv(x_t))  # (B, C, H, W)
        spk, mem = lif(cur, mem)
        spk_rec.append(spk)
    return torch.stack(spk_rec)


# ---- nothing to edit below this line


def make(channels: int = 3) -> tuple[nn.Conv2d, nn.BatchNorm2d, snn.Leaky]:
    """One layer, in training mode; β is 0, so that each step shows its own current."""
    conv = nn.Conv2d(2, channels, 3, padding=1, bias=False)
    return conv, nn.BatchNorm2d(channels), snn.Leaky(beta=0.0, reset_mechanism="none")


def currents(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """``(T, B, C_in, H, W)`` → ``(T, B, C, H, W)``."""
    return conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def check_growing(layer) -> None:
    """fires more at a step with a stronger input"""
    conv, norm, lif = make()
    with torch.no_grad():
        image = torch.randn(8, 2, 6, 6)
        spk = layer(conv, norm, lif, torch.stack([image, 4 * image]))
    if not isinstance(spk, Tensor) or spk.shape != (2, 8, 3, 6, 6):
        raise Wrong(
            f"spikes: got {getattr(spk, 'shape', spk)}, expected (2, 8, 3, 6, 6): (T, B, C, H, W)"
        )
    with torch.no_grad():
        cur = currents(conv, torch.stack([image, 4 * image]))
        cur = (cur - cur.mean((0, 1, 3, 4), keepdim=True)) / cur.std((0, 1, 3, 4), keepdim=True)
    wanted, got = (cur > 1).float().mean((2, 3, 4)), spk.mean((2, 3, 4))  # (T, B)
    there = torch.allclose(got, wanted, atol=0.02)
    elsewhere = torch.allclose(*(one.flatten().sort().values for one in (got, wanted)), atol=0.02)
    if elsewhere and not there:
        raise Wrong(
            "mean and variance are right, and the spikes stand in other places than they should: steps and "
            "images are mixed up on the way back to (T, B, C, H, W)."
        )
    weak, strong = spk[0].mean().item(), spk[1].mean().item()
    if abs(weak - strong) < 1e-3:
        raise Wrong(
            f"step 2 has four times the input of step 1, and {100 * strong:.0f} % of the neurons fire at both. "
            "Each step is brought to mean 0 and variance 1 by itself: what changes in time is gone."
        )
    if strong < 2 * weak:
        raise Wrong(
            f"step 2 has four times the input of step 1: {100 * weak:.0f} % and {100 * strong:.0f} % of the "
            "neurons fire, expected far more at step 2. Over what are mean and variance taken?"
        )


def check_statistics(layer) -> None:
    """moves the running statistics once, by mean and variance of all steps together"""
    conv, norm, lif = make()
    x = torch.randn(5, 4, 2, 6, 6) * torch.arange(1, 6).view(5, 1, 1, 1, 1) + 1
    with torch.no_grad():
        layer(conv, norm, lif, x)
        cur = currents(conv, x)  # (T, B, C, H, W)
    count = int(norm.num_batches_tracked)
    if count == 0:
        raise Wrong(
            "the running statistics have not moved: in eval mode nothing would be known of the data."
        )
    if count != 1:
        raise Wrong(
            f"the running statistics were moved {count} times in a call, expected once: the last steps would "
            "count more than the first."
        )
    by_channel = cur.transpose(0, 2).flatten(1)  # (C, T·B·H·W)
    smell = "Mean and variance over steps, images and places: one for each channel."
    expect(norm.running_mean, 0.1 * by_channel.mean(1), "running mean (C,)", smell)
    expect(norm.running_var, 0.9 + 0.1 * by_channel.var(1), "running variance (C,)", smell)


def check_spikes(layer) -> None:
    """gives the spikes of currents with mean 0 and variance 1 over all steps"""
    conv, norm, lif = make()
    x = torch.randn(4, 3, 2, 6, 6) * torch.tensor([0.5, 1, 2, 4]).view(4, 1, 1, 1, 1)
    with torch.no_grad():
        spk = layer(conv, norm, lif, x)
        cur = currents(conv, x)
        mean = cur.mean((0, 1, 3, 4), keepdim=True)
        var = cur.var((0, 1, 3, 4), keepdim=True, correction=0)
        wanted = ((cur - mean) / (var + norm.eps).sqrt() > 1).float()
    smell = "β is 0 here, so a neuron fires where its normalised current is above 1."
    expect(spk, wanted, "spikes (T, B, C, H, W)", smell)


def check_eval(layer) -> None:
    """uses the running statistics in eval mode, and keeps the membranes from step to step"""
    conv, norm, _ = make()
    lif = snn.Leaky(beta=0.9)
    norm.running_mean.fill_(0.3)
    norm.running_var.fill_(0.2)
    norm.eval()
    before = copy.deepcopy(norm.state_dict())
    x = torch.randn(6, 3, 2, 6, 6)
    with torch.no_grad():
        spk = layer(conv, norm, lif, x)
        mem, wanted = lif.init_leaky(), []
        for cur in (currents(conv, x) - 0.3) / (0.2 + norm.eps) ** 0.5:
            one, mem = lif(cur, mem)
            wanted.append(one)
    if any(not torch.equal(before[name], value) for name, value in norm.state_dict().items()):
        raise Wrong(
            "in eval mode the running statistics were moved: test images would change the network."
        )
    expect(
        spk, torch.stack(wanted), "spikes in eval mode (T, B, C, H, W)", "One membrane, T steps."
    )


EXERCISE = Exercise(
    solve=layer,
    checks=(check_growing, check_statistics, check_spikes, check_eval),
    hints=(
        "norm sees one step at a time. What are the mean and the variance of one step, after norm?",
        "Convolution and BatchNorm have no memory of their own, so they may leave the loop. norm takes (N, C, H, "
        "W): make one batch of all steps and images.",
        "cur = norm(conv(x.flatten(0, 1))).unflatten(0, x.shape[:2]) before the loop; then "
        "for cur_t in cur: spk, mem = lif(cur_t, mem).",
    ),
    why="A change of strength from one step to the next is a difference between the statistics of steps. A norm for "
    "each step removes it in training, and eval mode, which has one set of statistics for all steps, brings it "
    "back: the network is asked in another state than it was trained in.",
)

if __name__ == "__main__":
    EXERCISE.main()
