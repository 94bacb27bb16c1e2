"""The training loop of lesson 09, for the other lessons, and what they read a network's answer with.

A network offers ``run(x)`` over ``x (T, B, …)``. What that returns goes to ``loss_fn(out, y)`` and
``predict(out)``; the two defaults use the output membrane averaged over time. Under torchrun the
same call trains one network in several processes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from common.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from common.data import ImageData, batches
from common.io import UserError, console, is_rank_zero, progress_allowed
from common.run import Run
from common.torchrun import join, losing_a_process, part, replicated, same_everywhere, total

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

Encode = Callable[[torch.Tensor], torch.Tensor]
Loss = Callable[[Any, torch.Tensor], torch.Tensor]
Predict = Callable[[Any], torch.Tensor]
Check = Callable[[nn.Module, torch.Tensor, torch.Tensor, Loss], Iterable[str]]


def membrane_loss(out: tuple[torch.Tensor, torch.Tensor], y: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the membrane averaged over time; ``out = (spk_rec, mem_rec)``, each ``(T, B, K)``."""
    return F.cross_entropy(out[1].mean(0), y)


def membrane_predict(out: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The class with the highest mean membrane: ``(T, B, K) → (B,)``."""
    return out[1].mean(0).argmax(1)


def count_predict(out: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The class with most output spikes: ``(T, B, K) → (B,)``. Ties go to the lower class number."""
    return out[0].sum(0).argmax(1)


def cosine(step: int, steps: int) -> float:
    """What the learning rate is multiplied by in a step: from 1 in step 0 down to 0 along a cosine."""
    return 0.5 + 0.5 * math.cos(math.pi * step / steps)


@torch.no_grad()
def evaluate(
    net: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    encode: Encode,
    *,
    predict: Predict = membrane_predict,
    batch_size: int = 500,
    device: torch.device | str | None = None,
) -> float:
    """Share of right answers over all of ``x``; ``device`` defaults to the network's.

    Under torchrun each process takes its part and all get the answer, so all have to call it.
    """
    was_training = net.training
    net.eval()
    device = device or next(net.parameters()).device
    right = torch.zeros((), device=device)
    for x_b, y_b in batches(x, y, batch_size, device=device):
        mine, weight = part(len(y_b))
        spikes = encode(x_b)[:, mine]  # encoded whole: all processes draw the same random numbers
        right += (predict(net.run(spikes)) == y_b[mine]).sum() * (weight > 0)
    net.train(was_training)
    return total(right)[0] / len(y)


def fit(
    net: nn.Module,
    data: ImageData,
    encode: Encode,
    *,
    run: Run,
    epochs: int,
    lr: float = 1e-3,
    batch_size: int = 128,
    loss_fn: Loss = membrane_loss,
    predict: Predict = membrane_predict,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    weight_decay: float = 0.0,
    name: str = "",
    resume: bool = False,
    seed: int | None = None,
    quiet: bool = False,
    groups: list[dict[str, Any]] | None = None,
    check: Check | None = None,
) -> list[dict[str, float]]:
    """Train with AdamW and a cosine-falling learning rate; keep the epoch best on validation images.

    Args:
        net: has ``run(x (T, B, …))``; is moved to the run's device and changed in place.
        encode: images ``(B, C, H, W)`` in 0..1 → what ``net.run`` takes, ``(T, B, …)``.
        augment: applied to training images before ``encode``.
        name: of the checkpoint that is written after each epoch; empty: none.
        resume: go on from that checkpoint, if there is one.
        seed: of the order of the images; None: the run's.
        groups: of the parameters, where some have a learning rate of their own; None: all ``lr``.
        quiet: print nothing (sweeps).
        check: ``check(net, spikes, y, loss_fn)`` yields lines that are printed after the first
            epoch and at the end, made with 32 training images (``tutor.network_check``).

    Returns:
        One dict an epoch: ``epoch, loss, train, val, seconds``; accuracies are shares, ``train`` is
        the running accuracy during the epoch.

    Raises:
        UserError: the checkpoint is damaged or of another training, or a process was lost.
    """
    device, n = run.device, len(data.x_train)
    net.to(device)
    join(device)
    optimizer = torch.optim.AdamW(groups or net.parameters(), lr=lr, weight_decay=weight_decay)
    order = torch.Generator().manual_seed(run.cfg.seed if seed is None else seed)
    history: list[dict[str, float]] = []
    best: dict[str, torch.Tensor] = {}
    state = {"net": net, "optimizer": optimizer, "order": order, "history": history, "best": best}
    if name:
        path = run.dir / f"checkpoint_{name}.pt"
        mark = fingerprint(
            run, net, data, epochs, lr=lr, batch_size=batch_size, weight_decay=weight_decay,
            order_seed=order.initial_seed(), loss=loss_fn, predict=predict, encode=encode, augment=augment,
        )  # fmt: skip
        if resume:
            load_checkpoint(path, mark, state, run)

    num_batches = -(-len(data.x_train) // batch_size)
    rate = partial(cosine, steps=max(1, epochs * num_batches))
    schedule = LambdaLR(optimizer, rate, last_epoch=len(history) * num_batches - 1)
    forward = replicated(net)
    started = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)
    for epoch in range(len(history) + 1, epochs + 1):
        net.train()
        loss_sum, right = torch.zeros((), device=device), torch.zeros((), device=device)
        with losing_a_process("run again with --resume" if name else "run again"):
            for x_b, y_b in track(
                batches(data.x_train, data.y_train, batch_size, generator=order, device=device),
                f"epoch {epoch}/{epochs}",
                total=num_batches,
                console=console,
                transient=True,
                disable=quiet or not progress_allowed(),
            ):
                mine, weight = part(len(y_b))  # all of the batch, and 1, without torchrun
                if augment:
                    x_b = augment(x_b)
                x_b, y_b = encode(x_b)[:, mine], y_b[mine]  # (T, B, …), (B,)
                out = forward(x_b)
                loss = loss_fn(out, y_b)
                optimizer.zero_grad()
                (loss * weight).backward()
                optimizer.step()
                schedule.step()
                if weight > 0:
                    loss_sum += loss.detach().squeeze() * len(y_b)  # snnTorch's may be (1,)
                    right += (predict(out) == y_b).sum()
            same_everywhere(net)
            all_loss, all_right = total(loss_sum, right)
            val = evaluate(net, data.x_val, data.y_val, encode, predict=predict)
        if val > max((row["val"] for row in history), default=-1.0):
            best.update({k: v.detach().clone() for k, v in net.state_dict().items()})
        row = {"epoch": epoch, "loss": all_loss / n, "train": all_right / n, "val": val}
        row["seconds"] = time.perf_counter() - started
        history.append(row)
        if not quiet:
            run.print(
                f"epoch {epoch:3d}/{epochs}  loss {row['loss']:.4f}  training {row['train']:.4f}  "
                f"validation {val:.4f}  {row['seconds']:.1f} s"
            )
        if check and not quiet and epoch == 1 < epochs:
            _look_into(net, data, encode, loss_fn, check, run)
        if name and is_rank_zero():
            save_checkpoint(path, mark, state)
    net.load_state_dict(best)
    if check and not quiet:
        _look_into(net, data, encode, loss_fn, check, run)
    return history


def _look_into(
    net: nn.Module, data: ImageData, encode: Encode, loss_fn: Loss, check: Check, run: Run
) -> None:
    """Print what ``check`` says of the network on 32 training images; draw no random numbers."""
    x, y = next(batches(data.x_train[:32], data.y_train[:32], 32, device=run.device))
    with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []):
        spikes = encode(x)
    for line in check(net, spikes, y, loss_fn) if is_rank_zero() else ():
        run.print(f"   check  {line}")


def load_weights(net: nn.Module, path: Path) -> nn.Module:
    """Put the weights of a ``.safetensors`` file into ``net``, all of them, and return it.

    Raises:
        UserError: the file is missing, damaged, or of another architecture.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"got no weights in {path}; train them first, or name another file")
    try:
        weights = load_file(path)
    except Exception as e:
        kind = type(e).__name__
        raise UserError(f"{path} is damaged or no safetensors file ({kind}); make it anew") from e
    here = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    there = {k: tuple(v.shape) for k, v in weights.items()}
    for k in sorted(here.keys() | there.keys()):
        if here.get(k) != there.get(k):
            raise UserError(
                f"{path} holds another architecture: {k} is {there.get(k, 'absent')} there, "
                f"{here.get(k, 'absent')} here; use the same sizes, or weights of this network"
            )
    net.load_state_dict(weights)
    return net
