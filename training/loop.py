"""The training loop of lesson 09, for the other lessons, and the ways to read a network's answer.

A network offers ``run(x)`` over ``x (T, B, …)``; what that returns goes to ``loss_fn(out, y)`` and
``predict(out)``. Under torchrun the same call trains one network in several processes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from common.data import ImageData, batches
from common.io import UserError, is_rank_zero, live
from common.run import Run
from training.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from training.torchrun import join, losing_a_process, part, replicated, same_everywhere, total

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

Encode = Callable[[Tensor], Tensor]
Loss = Callable[[Any, Tensor], Tensor]
Predict = Callable[[Any], Tensor]


def membrane_loss(out: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    """Cross entropy of the output membrane averaged over time: ``(spk_rec, mem_rec) (T, B, K)``."""
    return F.cross_entropy(out[1].mean(0), y)


def membrane_predict(out: tuple[Tensor, Tensor]) -> Tensor:
    """The class with the highest mean membrane: ``(T, B, K) → (B,)``."""
    return out[1].mean(0).argmax(1)


def count_predict(out: tuple[Tensor, ...]) -> Tensor:
    """The class with most output spikes: ``(T, B, K) → (B,)``; the lower number of equal ones."""
    return out[0].sum(0).argmax(1)


def cosine(progress: float) -> float:
    """From 1 at the start to 0 at the end, flat at both."""
    return 0.5 + 0.5 * math.cos(math.pi * progress)


@torch.no_grad()
def evaluate(
    net: Any,
    x: Tensor,
    y: Tensor,
    encode: Encode,
    predict: Predict = membrane_predict,
    batch_size: int = 500,
) -> float:
    """Share of right answers over all of ``x``; under torchrun all processes have to call it."""
    was_training = net.training
    net.eval()
    device = next(net.parameters()).device
    right = torch.zeros((), device=device)
    for x_b, y_b in batches(x, y, batch_size, device=device):
        mine, weight = part(len(y_b))
        spikes = encode(x_b)[:, mine]  # encoded whole: all processes draw the same random numbers
        if weight > 0:
            right += (predict(net.run(spikes)) == y_b[mine]).sum()
    net.train(was_training)
    return total(right)[0] / len(y)


ROW = ("epoch", "loss", "train", "val", "seconds")
"""What ``fit`` notes after each epoch."""


def _check_history(path: Path, history: list[dict[str, float]], best: Any, net: Any) -> None:
    """A ``UserError`` if a checkpoint's rows or best weights are not those that ``fit`` writes."""
    rows_fit = all(tuple(row) == ROW for row in history)
    numbers = all(isinstance(v, (int, float)) for row in history for v in row.values())
    shapes = {name: t.shape for name, t in net.state_dict().items()}
    best_fits = {name: getattr(t, "shape", None) for name, t in best.items()} == shapes
    if not (rows_fit and numbers and (best_fits or not best)):
        raise UserError(
            f"{path} is damaged or no checkpoint of this course (its history or best weights do not "
            "fit); delete it, or run without --resume"
        )


def fit(
    net: Any,
    data: ImageData,
    encode: Encode,
    *,
    run: Run,
    epochs: int,
    lr: float = 1e-3,
    batch_size: int = 128,
    loss_fn: Loss = membrane_loss,
    predict: Predict = membrane_predict,
    augment: Callable[[Tensor], Tensor] | None = None,
    weight_decay: float = 0.0,
    groups: list[dict[str, Any]] | None = None,
    seed: int | None = None,
    name: str = "",
    resume: bool = False,
    quiet: bool = False,
    last: bool = False,
    check: Callable[..., Iterable[str]] | None = None,
    optimizer: Callable[[Any], torch.optim.Optimizer] | None = None,
    schedule: Callable[[float], float] | None = None,
) -> list[dict[str, float]]:
    """Train with AdamW and a learning rate that falls along a cosine; keep the best epoch.

    Args:
        net: has ``run(x (T, B, …))``; is moved to the run's device and changed in place.
        encode: images ``(B, C, H, W)`` in 0..1, after ``augment``, → ``(T, B, …)``.
        groups: of parameters with learning rates of their own; None: ``lr`` for all.
        seed: of the order of the images; None: the run's.
        name: of the checkpoint that each epoch ends with, and that ``resume`` goes on from.
        last: keep the last epoch, not the best: where validation images are too few to choose by.
        check: ``check(net, spikes, y, loss_fn)`` gives lines to print after the first and last epoch.
        optimizer: makes one for ``net``, in the place of AdamW; ``lr``, ``weight_decay`` and
            ``groups`` are then not used.
        schedule: the learning rate's factor by progress in 0..1; None: along a cosine from 1 to 0.

    Returns:
        One dict an epoch, ``epoch, loss, train, val, seconds``: ``train`` is the share of right
        answers during the epoch, ``val`` that on validation images after it: it finds the best.
    """
    net.to(run.device)
    join(run.device)
    make = optimizer
    if make is None:
        optimizer = torch.optim.AdamW(groups or net.parameters(), lr=lr, weight_decay=weight_decay)
    else:
        optimizer = make(net)
    seed = run.cfg.seed if seed is None else seed
    order = torch.Generator().manual_seed(seed)
    history, best = [], {}
    if name:
        path = run.dir / f"checkpoint_{name}.pt"
        state = {"net": net, "optimizer": optimizer, "order": order}
        state |= {"history": history, "best": best}
        mark = {"lr": lr, "batch_size": batch_size, "weight_decay": weight_decay, "loss": loss_fn}
        mark |= {"encode": encode, "augment": augment, "predict": predict, "order_seed": seed}
        own = {"optimizer": make, "schedule": schedule}
        mark |= {name: function for name, function in own.items() if function}
        mark = fingerprint(run, net, data, epochs, **mark)
        if resume:
            load_checkpoint(path, mark, state, run, quiet)
            _check_history(path, history, best, net)

    x, y = data.x_train, data.y_train
    num_batches = -(-len(x) // batch_size)
    steps, done = epochs * num_batches, len(history) * num_batches
    factor = schedule or cosine
    falling = LambdaLR(optimizer, lambda i: factor(i / steps), done - 1)
    forward = replicated(net)
    started = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)
    for epoch in range(len(history) + 1, epochs + 1):
        net.train()
        sums = torch.zeros(2, device=run.device)  # of the loss, and of right answers
        shuffled = batches(x, y, batch_size, generator=order, device=run.device)
        with losing_a_process("run again with --resume" if name else "run again"):
            for x_b, y_b in live(shuffled, f"epoch {epoch}/{epochs}", num_batches, quiet):
                mine, weight = part(len(y_b))  # all of the batch, and 1, without torchrun
                x_b = augment(x_b) if augment else x_b
                x_b, y_b = encode(x_b)[:, mine], y_b[mine]  # (T, B, …), (B,)
                out = forward(x_b)
                loss = loss_fn(out, y_b)
                optimizer.zero_grad()
                (loss * weight).backward()
                optimizer.step()
                falling.step()
                if weight > 0:
                    sums[0] += loss.detach().squeeze() * len(y_b)  # snnTorch's may be (1,)
                    sums[1] += (predict(out) == y_b).sum()
            same_everywhere(net)
            loss_sum, right = total(*sums)
            val = evaluate(net, data.x_val, data.y_val, encode, predict=predict)
        if val > max((row["val"] for row in history), default=-1.0):
            best.update({k: v.detach().clone() for k, v in net.state_dict().items()})
        row = {"epoch": epoch, "loss": loss_sum / len(x), "train": right / len(x), "val": val}
        history.append(row | {"seconds": time.perf_counter() - started})
        if name and is_rank_zero():
            save_checkpoint(path, mark, state)
        if not quiet:
            run.print(
                f"epoch {epoch:3d}/{epochs}  loss {row['loss']:.4f}  training {row['train']:.4f}  "
                f"validation {val:.4f}  {history[-1]['seconds']:.1f} s"
            )
        if check and not quiet and epoch in (1, epochs):
            x_b, y_b = next(batches(x[:32], y[:32], 32, device=run.device))
            with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []):
                x_b = encode(x_b)  # the random numbers that it draws are not missed later
            for line in check(net, x_b, y_b, loss_fn):
                run.print(f"   check  {line}")
    if not last:
        net.load_state_dict(best)
    return history
