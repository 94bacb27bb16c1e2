"""11c  Broken on purpose: test recordings in the training

Lesson 11, section 5. A colleague makes more of few recordings: of each recording there are several
samples, the recording itself and copies of it that were turned and moved. All are shuffled and dealt out
to ``folds`` parts. In fold k, part k is tested and the others train. The accuracy is splendid, and it
is wrong. There are two faults. Find them and mend them:

    no test recording is among the training samples, in no form: neither itself nor a copy of it
    each recording is tested in exactly one fold, as it was recorded: copies are for training only

``source (M,)`` says from which recording each of the M samples was made, 0 to R − 1; ``copy (M,)`` is 0
for the recording itself and 1, 2, … for its copies. The samples lie in any order. Return two index
tensors, the training samples and the test samples of fold ``k``. The result may depend on ``seed``, and
for one seed the folds have to fit together. Folds differ in size by one recording at most.
About 10 minutes.

Run:  uv run exercises/11c_broken_folds.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import torch
from torch import Tensor


def split(source: Tensor, copy: Tensor, k: int, folds: int, seed: int) -> tuple[Tensor, Tensor]:
    """Training and test samples of fold ``k``, as indices into the samples."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(source), generator=generator)
    fold = torch.empty(len(source), dtype=torch.long)
    fold[order] = torch.arange(len(source)) % folds  # the fold of each sample
    train = (fold != k).nonzero()[:, 0]
    test = (fold == k).nonzero()[:, 0]
    return train, test


# ---- nothing to edit below this line

RECORDINGS, COPIES, FOLDS = 103, 4, 5


def samples() -> tuple[Tensor, Tensor]:
    """Recordings and their copies in random order: ``source`` and ``copy``."""
    source = torch.arange(RECORDINGS).repeat_interleave(1 + COPIES)
    copy = torch.arange(1 + COPIES).repeat(RECORDINGS)
    order = torch.randperm(len(source))
    return source[order], copy[order]


def both(
    split, source: Tensor, copy: Tensor, k: int, folds: int, seed: int
) -> tuple[Tensor, Tensor]:
    """The two index tensors, checked for their kind."""
    returned = split(source, copy, k, folds, seed)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("expected two things: the training samples and the test samples.")
    train, test = (torch.as_tensor(part).long().flatten() for part in returned)
    return train, test


def check_coin(split) -> None:
    """labels that were drawn by lot cannot be learnt: the nearest neighbour gets 10 %"""
    right = tested = 0
    for seed in range(6):
        source, copy = samples()
        label = torch.randint(0, 10, (RECORDINGS,))[source]
        recorded = torch.randn(RECORDINGS, 20)
        seen = recorded[source] + 0.1 * copy[:, None] * torch.randn(len(source), 20)
        for k in range(FOLDS):
            train, test = both(split, source, copy, k, FOLDS, seed)
            if not len(train) or not len(test):
                raise Wrong(
                    f"fold {k} has {len(train)} training and {len(test)} test samples, expected some of both."
                )
            nearest = torch.cdist(seen[test], seen[train]).argmin(1)
            right += int((label[train][nearest] == label[test]).sum())
            tested += len(test)
    share = 100 * right / tested
    if share <= 6:
        raise Wrong(
            f"labels were drawn by lot, and {share:.0f} % of the test samples are read correctly by the label of "
            "the nearest training sample, expected 10 %: fewer than by chance, so chance did not deal them out."
        )
    if share >= 14.5:
        raise Wrong(
            f"labels were drawn by lot, and yet {share:.0f} % of the test samples are read correctly by the "
            "label of the nearest training sample, expected 10 %. So training samples know the answer: "
            "copies of a test recording are among them."
        )


def check_apart(split) -> None:
    """no recording is on both sides"""
    source, copy = samples()
    for k in range(FOLDS):
        train, test = both(split, source, copy, k, FOLDS, 1)
        shared = set(source[train].tolist()) & set(source[test].tolist())
        if shared:
            raise Wrong(f"fold {k}: {len(shared)} recordings are in the test and in the training.")


def check_once(split) -> None:
    """each recording is tested once, as it was recorded"""
    source, copy = samples()
    tests = [both(split, source, copy, k, FOLDS, 2)[1] for k in range(FOLDS)]
    test = torch.cat(tests)
    copies = int((copy[test] > 0).sum())
    if copies:
        raise Wrong(
            f"{copies} of {len(test)} test samples are copies. {len(test)} tests of {RECORDINGS} recordings "
            "look like more evidence than there is: the interval comes out too narrow."
        )
    times = source[test].bincount(minlength=RECORDINGS)
    if not bool((times == 1).all()):
        r = int((times != 1).nonzero()[0])
        raise Wrong(
            f"recording {r} is tested {int(times[r])} times in {FOLDS} folds, expected once."
        )
    sizes = [len(t) for t in tests]
    if max(sizes) - min(sizes) > 1:
        raise Wrong(
            f"the folds test {sizes} recordings, expected sizes that differ by one at most."
        )


def check_all_train(split) -> None:
    """all samples of the other recordings train, copies included"""
    source, copy = samples()
    for k in range(FOLDS):
        train, test = both(split, source, copy, k, FOLDS, 3)
        tested = set(source[test].tolist())
        wanted = sum(int(s) not in tested for s in source)
        if len(set(train.tolist())) != wanted or len(train) != wanted:
            raise Wrong(
                f"fold {k} trains on {len(train)} samples, expected {wanted}: every sample, recording or "
                "copy, of each recording that is not tested."
            )


def check_chance(split) -> None:
    """recordings are dealt out by chance, and copies need not come in the same number"""
    source, copy = samples()
    keep = (copy == 0) | (torch.rand(len(source)) < 0.6)
    source, copy = source[keep], copy[keep]
    tests = []
    for seed in (4, 5):
        train, test = both(split, source, copy, 0, FOLDS, seed)
        shared = set(source[train].tolist()) & set(source[test].tolist())
        if shared:
            raise Wrong(
                "with unlike numbers of copies, a recording is on both sides. Deal out recordings, and "
                "look up the fold of each sample by its source."
            )
        tests.append(sorted(source[test].tolist()))
    if tests[0] == tests[1]:
        raise Wrong("two seeds give the same test recordings: chance has no part in the folds.")


EXERCISE = Exercise(
    solve=split,
    checks=(check_coin, check_apart, check_once, check_all_train, check_chance),
    hints=(
        "What is dealt out here: samples or recordings? And what may be in the test part?",
        "Draw a fold for each recording, 0 to R − 1; a sample belongs to the fold of its source.",
        "order = randperm(R); fold[order] = arange(R) % folds, with R = source.max() + 1; then fold[source] "
        "is (M,), and the test keeps copy == 0.",
    ),
    why="A copy of a test recording in the training is the test recording itself in other clothes; so one "
    "splits first and copies afterwards, and divides what is independent: recordings, or people.",
)

if __name__ == "__main__":
    EXERCISE.main()
