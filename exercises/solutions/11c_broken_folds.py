"""11c  Broken on purpose: test recordings in the training. Model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def split(source: Tensor, copy: Tensor, k: int, folds: int, seed: int) -> tuple[Tensor, Tensor]:
    """Training and test samples of fold ``k``, as indices into the samples."""
    generator = torch.Generator().manual_seed(seed)
    R = int(source.max()) + 1
    order = torch.randperm(R, generator=generator)
    fold = torch.empty(R, dtype=torch.long)
    fold[order] = torch.arange(R) % folds  # the fold of each recording
    of_sample = fold[source]  # (M,): a copy goes where its recording goes
    train = (of_sample != k).nonzero()[:, 0]
    test = ((of_sample == k) & (copy == 0)).nonzero()[:, 0]
    return train, test
