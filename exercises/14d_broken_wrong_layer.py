"""14d  Broken on purpose: the price on the wrong layer

Lesson 14, sections 1 and 6. The function below is the loss of a network that is to save synaptic
operations: the loss of the task, and a price for each SynOp of an image. It runs, its training gets
quieter, and yet the chip's energy meter hardly falls. Something is counted that costs nothing, and
something that costs much is not counted. Find it and mend it.

    layers      a list of pairs (linear layer, neurons), the first of them sees the image
    x           (T, B, inputs): grey values, not spikes. Their multiplications are no SynOps here
    y           (B,): the right classes; the potentials of the last neurons are the answer

A spike costs as many SynOps as it meets weights on its way to the next layer. The spikes of the last
neurons go nowhere. About 10 minutes.

Run:  uv run exercises/14d_broken_wrong_layer.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import snntorch as snn
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def priced_loss(
    layers: list[tuple[nn.Linear, snn.Leaky]], x: Tensor, y: Tensor, price: float
) -> Tensor:
    """Cross entropy of the mean output potential, and ``price`` times the SynOps of an image."""
    mems = [lif.init_leaky() for _, lif in layers]
    synops = torch.zeros(())
    output = torch.zeros(())
    for x_t in x:
        spk = x_t  # (B, inputs)
        for i, (fc, lif) in enumerate(layers):
            spk, mems[i] = lif(fc(spk), mems[i])  # (B, outputs of fc)
            synops = synops + fc.out_features * spk.sum()
        output = output + mems[-1]  # (B, classes)
    T, B, _ = x.shape
    return F.cross_entropy(output / T, y) + price * synops / B


# ---- nothing to edit below this line


def network(*sizes: int) -> list[tuple[nn.Linear, snn.Leaky]]:
    """Linear layers and Leaky neurons."""
    torch.manual_seed(1)
    layers = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layers.append((nn.Linear(inputs, outputs), snn.Leaky(beta=0.5)))
    return layers


def firing(layers: list[tuple[nn.Linear, snn.Leaky]], which: int) -> None:
    """Make every neuron of layer ``which`` fire at every step, and all others stay silent."""
    with torch.no_grad():
        for i, (fc, _) in enumerate(layers):
            fc.weight.zero_()
            fc.bias.fill_(5.0 if i == which else -5.0)


def price_of(priced_loss, layers, x: Tensor, y: Tensor) -> float:
    """What the second term of the loss is at the price 1: SynOps of an image."""
    with torch.no_grad():
        returned = priced_loss(layers, x, y, 1.0), priced_loss(layers, x, y, 0.0)
    if returned[0] is None:
        raise Wrong("got None. Is there a return?")
    return float(returned[0]) - float(returned[1])


def check_task(priced_loss) -> None:
    """at the price 0 it is the loss of the task"""
    layers = network(6, 8, 3)
    x, y = 3 * torch.rand(4, 5, 6), torch.tensor([0, 1, 2, 0, 1])
    mems, output = [lif.init_leaky() for _, lif in layers], 0
    with torch.no_grad():
        for x_t in x:
            spk = x_t
            for i, (fc, lif) in enumerate(layers):
                spk, mems[i] = lif(fc(spk), mems[i])
            output = output + mems[-1]
        wanted = F.cross_entropy(output / 4, y).item()
        got = float(priced_loss(layers, x, y, 0.0))
    if abs(got - wanted) > 1e-4:
        raise Wrong(
            f"at the price 0: got {got:.4f}, expected {wanted:.4f}, the cross entropy alone."
        )


def check_output(priced_loss) -> None:
    """spikes that go nowhere are free"""
    layers = network(6, 8, 4, 3)
    firing(layers, which=2)
    got = price_of(priced_loss, layers, torch.zeros(5, 2, 6), torch.tensor([0, 1]))
    if abs(got) > 1e-3:
        raise Wrong(
            f"only the last neurons fire, and an image is charged {got:.0f} SynOps, expected 0. Their spikes meet "
            "no weights. Which line adds them?"
        )


def check_hidden(priced_loss) -> None:
    """a hidden spike costs the weights that it meets next"""
    for which, size, fan_out in ((0, 8, 4), (1, 4, 3)):
        layers = network(6, 8, 4, 3)
        firing(layers, which)
        got = price_of(priced_loss, layers, torch.zeros(5, 3, 6), torch.tensor([0, 1, 2]))
        wanted = 5 * size * fan_out
        if abs(got - wanted) < 1e-2:
            continue
        who = f"in 6–8–4–3 the {size} neurons of hidden layer {which + 1} fire at 5 steps: charged {got:.0f} SynOps"
        if abs(got - 5 * size * size) < 1e-2:
            raise Wrong(
                f"{who}, expected {wanted}. {size} is the width of the layer itself. Their spikes are sent on to "
                f"{fan_out} neurons."
            )
        if abs(got - 3 * wanted) < 1e-2:
            raise Wrong(f"{who}, expected {wanted}. Divide by the number of images.")
        raise Wrong(f"{who}, expected 5·{size}·{fan_out} = {wanted}.")


def check_image(priced_loss) -> None:
    """the grey values of the image are no spikes"""
    layers = network(6, 8, 3)
    firing(layers, which=5)  # nobody fires
    got = price_of(priced_loss, layers, torch.ones(5, 2, 6), torch.tensor([0, 1]))
    if abs(got) > 1e-3:
        raise Wrong(
            f"nobody fires, and an image is charged {got:.0f} SynOps, expected 0. The grey values are multiplied "
            "whatever the network does; they are not counted here."
        )


def check_gradient(priced_loss) -> None:
    """the price pushes the weights behind which spikes are paid for, and no others"""
    layers = network(6, 8, 4, 3)
    x, y = 3 * torch.rand(4, 5, 6), torch.tensor([0, 1, 2, 0, 1])
    with torch.no_grad():
        for fc, _ in layers:
            fc.bias.fill_(0.9)
    biases = [fc.bias for fc, _ in layers]
    price = priced_loss(layers, x, y, 1.0) - priced_loss(layers, x, y, 0.0)
    if not isinstance(price, Tensor) or not price.requires_grad:
        raise Wrong(
            "no gradient of the price gets back to the weights. Is there a detach or an item()?"
        )
    first, second, last = torch.autograd.grad(price, biases, allow_unused=True)
    if first is None or second is None or not (first > 1e-3).any() or not (second > 1e-3).any():
        raise Wrong(
            "no gradient of the price gets back to the hidden layers. Is there a detach or an item()?"
        )
    if last is not None and last.abs().max() > 1e-3:
        raise Wrong("the price pushes the last layer, whose spikes go nowhere.")


EXERCISE = Exercise(
    solve=priced_loss,
    checks=(check_task, check_output, check_hidden, check_image, check_gradient),
    hints=(
        "Take a network 6–8–4–3 and go through the inner loop by hand: with which number is each layer's spikes "
        "multiplied, and with which should it be?",
        "A spike is paid for where it arrives, not where it is made: what goes into fc, and how many outputs fc has.",
        "Move the line before the call of the layer, and leave out the first layer: if i > 0: synops = synops + "
        "fc.out_features * spk.sum().",
    ),
    why="A spike costs what stands behind its neuron, not what stands in front of it. A price on the wrong layer "
    "makes a network quieter where it was cheap already.",
)

if __name__ == "__main__":
    EXERCISE.main()
