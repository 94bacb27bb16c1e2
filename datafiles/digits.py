"""The digits that come with scikit-learn: real handwriting that needs no download."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F


@cache
def digits() -> tuple[torch.Tensor, ...]:
    """1,797 digits of 8×8 pixels from scikit-learn, enlarged to 28×28 ``uint8``.

    Real handwriting (UCI, Alpaydin & Kaynak 1998), but fewer and coarser than MNIST, so easier or
    harder in ways that say nothing about MNIST. 1,437 to train and validate, 360 to test.
    """
    from sklearn.datasets import load_digits

    small, target = load_digits(return_X_y=True)
    x = torch.from_numpy(small).float().view(-1, 1, 8, 8) / 16
    x = F.interpolate(x, size=(20, 20), mode="bilinear", align_corners=False)
    x = F.pad(x, (4,) * 4).mul(255).round().to(torch.uint8)  # (N, 1, 28, 28)
    y = torch.from_numpy(target).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def stand_in(key: str) -> tuple[str, tuple[str, ...], tuple[torch.Tensor, ...]]:
    """Name, classes and tensors of what stands in for a set: the digits, for CIFAR-10 in its shape."""
    name, (x, y, x_test, y_test) = "scikit-learn digits", digits()
    if key == "CIFAR10":
        name += " (3×32×32)"
        x, x_test = (F.pad(part, (2,) * 4).expand(-1, 3, -1, -1) for part in (x, x_test))
    return name, tuple("0123456789"), (x, y, x_test, y_test)
