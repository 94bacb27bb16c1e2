"""The training loop of lesson 09, for the lessons after it (02, 05 and 07 use it before it is opened).

A network offers ``run(x)`` over ``x (T, B, …)``; what it returns goes to ``loss_fn(out, y)`` and
``predict(out)``. The two defaults are the pair that lesson 09 ends with: cross entropy on, and decision by,
the output membrane averaged over time.

Under ``torchrun --nproc-per-node N`` the same call trains one network in N processes: each batch is the one that
a single process would take, encoded alike, and every process runs its part of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from common.data import ImageData, batches
from common.distributed import (
    from_rank_zero,
    join,
    losing_a_process,
    part,
    replicated,
    same_buffers,
    total,
    world,
)
from common.io import UserError, console, is_rank_zero, progress_allowed, write_atomic
from common.run import Run

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.utils._pytree import tree_map

Encode = Callable[[torch.Tensor], torch.Tensor]
Loss = Callable[[Any, torch.Tensor], torch.Tensor]
Predict = Callable[[Any], torch.Tensor]
Check = Callable[[nn.Module, torch.Tensor, torch.Tensor, Loss], Iterable[str]]


def membrane_loss(out: tuple[torch.Tensor, torch.Tensor], y: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the output membrane averaged over time; ``out = (spk_rec, mem_rec)``, each ``(T, B, K)``."""
    return F.cross_entropy(out[1].mean(0), y)


def membrane_predict(out: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The class with the highest mean membrane: ``(T, B, K) → (B,)``."""
    return out[1].mean(0).argmax(1)


def count_predict(out: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The class with most output spikes: ``(T, B, K) → (B,)``. Ties go to the lower class number."""
    return out[0].sum(0).argmax(1)


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
    """Share of right answers over all of ``x``, weighted by sample. ``device`` defaults to the network's.

    Under torchrun, once ``fit`` has joined the processes, each takes its part and all get the answer; so all have
    to call it.
    """
    was_training = net.training
    net.eval()
    device = device or next(net.parameters()).device
    right = torch.zeros((), device=device)
    for x_b, y_b in batches(x, y, batch_size, device=device):
        mine, weight = part(len(y_b))
        x_b = encode(x_b)  # the whole batch, so that every process draws the same random numbers
        if weight:
            right += (predict(net.run(_only(x_b, mine))) == y_b[mine]).sum()
    net.train(was_training)
    return total(right)[0] / len(y)


def _only(x: torch.Tensor, mine: slice) -> torch.Tensor:
    """This process's samples of ``x (T, B, …)``; ``x`` itself if that is all of them."""
    return x if mine == slice(0, x.shape[1]) else x[:, mine]


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
    """Train with Adam and a cosine-falling learning rate; leave the epoch that was best on the validation images.

    Args:
        net: has ``run(x (T, B, …))``; is moved to the run's device and changed in place.
        encode: images ``(B, C, H, W)`` in 0..1 → what ``net.run`` takes, ``(T, B, …)``.
        augment: applied to training images before ``encode``.
        name: of the checkpoint, for lessons that train several networks and want to resume; empty: no checkpoint.
        resume: go on from that checkpoint if there is one.
        groups: of the parameters, where some have a learning rate of their own; None: all with ``lr``.
        quiet: print nothing (sweeps).
        check: a look into the network after the first epoch and at the end, on 32 training images; each line that
            ``check(net, spikes, y, loss_fn)`` yields is printed (``tutor.network_check.complaints``).

    Returns:
        One dict an epoch: ``epoch, loss, train, val, seconds``; accuracies are shares, ``train`` is the
        running accuracy during the epoch.

    Raises:
        UserError: the checkpoint is damaged or of another network.
        KeyboardInterrupt: after the last finished epoch has been restored; its checkpoint is on disk.
    """
    device, path = run.device, run.dir / f"checkpoint_{name}.pt"
    net.to(device)
    join(device)
    optimizer = torch.optim.AdamW(groups or net.parameters(), lr=lr, weight_decay=weight_decay)
    steps = epochs * -(-len(data.x_train) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    generator = torch.Generator().manual_seed(run.cfg.seed if seed is None else seed)
    history: list[dict[str, float]] = []
    best: dict[str, torch.Tensor] = {}
    saved = _read_checkpoint(path, net) if resume and name else None
    if saved is not None:
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        generator.set_state(saved["generator"])
        torch.set_rng_state(saved["rng"])
        history, best = saved["history"], saved["best"]
        run.print(f"resume    {path.name}: {len(history)} of {epochs} epochs are done")
    elif resume and name:
        run.print(f"resume    no {path.name} yet: starting from the beginning")

    forward = replicated(net)
    advice = (
        f"run again with --resume to go on after the last finished epoch ({path.name})"
        if name
        else "run again"
    )
    started = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)
    for epoch in range(len(history) + 1, epochs + 1):
        net.train()
        loss_sum, right = torch.zeros((), device=device), torch.zeros((), device=device)
        with (
            losing_a_process(advice),
            _live_line(
                f"epoch {epoch}/{epochs}", -(-len(data.x_train) // batch_size), quiet
            ) as tick,
        ):
            for x_b, y_b in batches(
                data.x_train, data.y_train, batch_size, generator=generator, device=device
            ):
                mine, weight = part(len(y_b))  # all of it, and 1, in a single process
                x_b, y_b = encode(augment(x_b) if augment else x_b), y_b[mine]
                out = forward(_only(x_b, mine))
                loss = loss_fn(out, y_b)
                optimizer.zero_grad(set_to_none=True)
                (loss if weight == 1 else loss * weight).backward()
                optimizer.step()
                schedule.step()
                if weight:
                    loss_sum += loss.detach().squeeze() * len(
                        y_b
                    )  # some snnTorch losses have shape (1,)
                    right += (predict(out) == y_b).sum()
                tick()
            same_buffers(net)
            n = len(data.y_train)
            all_loss, all_right = total(loss_sum, right)
            val = evaluate(net, data.x_val, data.y_val, encode, predict=predict)
        row = {
            "epoch": epoch,
            "loss": all_loss / n,
            "train": all_right / n,
            "val": val,
            "seconds": time.perf_counter() - started,
        }
        if not history or row["val"] > max(h["val"] for h in history):
            best = {k: v.detach().clone() for k, v in net.state_dict().items()}
        history.append(row)
        if not quiet:
            run.print(
                f"epoch {epoch:3d}/{epochs}  loss {row['loss']:.4f}  training {row['train']:.4f}  "
                f"validation {row['val']:.4f}  {row['seconds']:.1f} s"
            )
            if check and epoch == 1 < epochs:
                _look_into(net, data, encode, loss_fn, check, run)
        if name and is_rank_zero():
            state = {
                "model": net.state_dict(),
                "best": best,
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "generator": generator.get_state(),
                "rng": torch.get_rng_state(),
                "history": history,
            }
            write_atomic(path, lambda tmp, state=state: torch.save(state, tmp))
    net.load_state_dict(best)
    if check and not quiet:
        _look_into(net, data, encode, loss_fn, check, run)
    return history


def _read_checkpoint(path: Path, net: nn.Module) -> dict[str, Any] | None:
    """The checkpoint as process 0 sees it, for all of them; None if there is none."""
    saved: Any = None
    if is_rank_zero():
        try:
            saved = load_checkpoint(path, net) if path.is_file() else None
        except UserError as e:
            saved = e
    if world()[1] > 1:  # sent as CPU tensors: "cuda:0" is another GPU, or none, for the others
        saved = from_rank_zero(
            tree_map(lambda v: v.cpu() if isinstance(v, torch.Tensor) else v, saved)
        )
    if isinstance(saved, UserError):
        raise saved
    if saved is not None:
        net.load_state_dict(saved["model"])
    return saved


def _look_into(
    net: nn.Module, data: ImageData, encode: Encode, loss_fn: Loss, check: Check, run: Run
) -> None:
    """Print what ``check`` says of the network on 32 training images."""
    if not is_rank_zero():
        return
    x, y = next(batches(data.x_train[:32], data.y_train[:32], 32, device=run.device))
    with torch.random.fork_rng(
        [run.device] if run.device.type == "cuda" else []
    ):  # encode may draw random numbers
        spikes = encode(x)
    for line in check(net, spikes, y, loss_fn):
        run.print(f"   check  {line}")


def load_checkpoint(path: Path, net: nn.Module) -> dict[str, Any]:
    """Read a training checkpoint and put its weights into ``net``.

    Raises:
        UserError: the file is damaged, or its weights are of another architecture.
    """
    try:
        saved = torch.load(path, map_location=next(net.parameters()).device, weights_only=True)
        weights = saved["model"]
    except Exception as e:  # a truncated file fails in many ways: zip, pickle, end of file
        raise UserError(
            f"{path} cannot be read ({type(e).__name__}): it is damaged or no checkpoint of this course; "
            "delete it, or run without --resume"
        ) from e
    check_weights(weights, net, path)
    net.load_state_dict(weights)
    # the random states live on the CPU whatever the device of the weights
    return saved | {k: saved[k].cpu() for k in ("generator", "rng")}


def load_weights(net: nn.Module, path: Path) -> nn.Module:
    """Put the weights of a ``.safetensors`` file into ``net`` and return it.

    Raises:
        UserError: the file is missing, damaged, or of another architecture.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"got no weights in {path}; train them first, or name another file")
    try:
        weights = load_file(path)
    except Exception as e:
        raise UserError(
            f"{path} is damaged or no safetensors file ({type(e).__name__}); make it anew"
        ) from e
    check_weights(weights, net, path)
    net.load_state_dict(weights)
    return net


def check_weights(weights: dict[str, torch.Tensor], net: nn.Module, path: Path) -> None:
    """Compare names and shapes with those of ``net``.

    Raises:
        UserError: naming the first tensor that differs.
    """
    here = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    there = {k: tuple(v.shape) for k, v in weights.items()}
    for k in sorted(here.keys() | there.keys()):
        if here.get(k) != there.get(k):
            raise UserError(
                f"{path} holds another architecture: {k} is {there.get(k, 'absent')} there, "
                f"{here.get(k, 'absent')} here; use the same sizes, or run without --resume"
            )


class _live_line:
    """A progress bar in a terminal; nothing in a log file."""

    def __init__(self, text: str, total: int, quiet: bool) -> None:
        self.on = progress_allowed() and not quiet
        self.text, self.total = text, total

    def __enter__(self) -> Callable[[], None]:
        if not self.on:
            return lambda: None
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            transient=True,
            console=console,
        )
        self.bar.start()
        task = self.bar.add_task(self.text, total=self.total)
        return lambda: self.bar.advance(task)

    def __exit__(self, *error: object) -> None:
        if self.on:
            self.bar.stop()
