"""Wrong versions of exercise 14d; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def _loss(charge, mean=True):
    """A loss that adds ``charge(i, layers, arriving, made)`` SynOps at each layer and step."""

    def priced_loss(layers, x, y, price):
        mems, synops, output = [lif.init_leaky() for _, lif in layers], torch.zeros(()), 0
        for x_t in x:
            spk = x_t
            for i, (fc, lif) in enumerate(layers):
                made, mems[i] = lif(fc(spk), mems[i])
                synops = synops + charge(i, layers, spk, made)
                spk = made
            output = output + mems[-1]
        images = x.shape[1] if mean else 1
        return F.cross_entropy(output / len(x), y) + price * synops / images

    return priced_loss


def as_it_was_given(layers, x, y, price):
    """Their spikes meet no weights"""
    rule = _loss(lambda i, net, arriving, made: net[i][0].out_features * made.sum())
    return rule(layers, x, y, price)


def last_layer_left_out_only(layers, x, y, price):
    """is the width of the layer itself"""

    def charge(i, net, arriving, made):
        return net[i][0].out_features * made.sum() if i + 1 < len(net) else 0

    return _loss(charge)(layers, x, y, price)


def image_counted_as_well(layers, x, y, price):
    """The grey values are multiplied whatever the network does"""
    rule = _loss(lambda i, net, arriving, made: net[i][0].out_features * arriving.sum())
    return rule(layers, x, y, price)


def spikes_and_not_operations(layers, x, y, price):
    """expected 5·8·4 = 160"""
    rule = _loss(lambda i, net, arriving, made: arriving.sum() if i else 0)
    return rule(layers, x, y, price)


def sum_over_the_images(layers, x, y, price):
    """Divide by the number of images"""
    rule = _loss(lambda i, net, a, m: net[i][0].out_features * a.sum() if i else 0, mean=False)
    return rule(layers, x, y, price)


def gradient_cut_off(layers, x, y, price):
    """Is there a detach or an item()?"""
    rule = _loss(lambda i, net, a, m: net[i][0].out_features * a.detach().sum() if i else 0)
    return rule(layers, x, y, price)


def without_the_task(layers, x, y, price):
    """the cross entropy alone"""
    rule = _loss(lambda i, net, a, m: net[i][0].out_features * a.sum() if i else 0)
    return rule(layers, x, y, price) - rule(layers, x, y, 0.0) + 0 * price
