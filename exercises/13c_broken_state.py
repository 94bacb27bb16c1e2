"""13c  Broken on purpose: the network that remembers too much

Lesson 13, section 2. The function below shows a recurrent layer one batch of sequences after the other
and returns its read-out for each batch. It runs, and the numbers look sensible. But the same batch gives
another answer each time it is shown, and the answers depend on the order of the batches: a network that
is scored in this way gets another accuracy when the test set is shuffled. Find out why, and mend it.

``lif`` is an ``snn.RLeaky(…, init_hidden=True)``: it keeps its state itself, and returns its spikes. A batch
is (T, B, 2), and B differs from batch to batch. The answer to a batch is (B, K). Memory within a sequence
is what the layer is for, and has to stay. About 5 minutes.

Run:  uv run exercises/13c_broken_state.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor, nn


def answers(
    fc: nn.Linear, lif: snn.RLeaky, fc_out: nn.Linear, sequences: list[Tensor]
) -> list[Tensor]:
    """Batches ``(T, B, 2)`` → for each the read-out of the spikes of its last five steps, ``(B, K)``."""
    lif.reset_mem()
    results = []
    for x in sequences:  # (T, B, 2)
        spk_rec = []
        for x_t in x:  # (B, 2)
            spk_rec.append(lif(fc(x_t)))
        results.append(fc_out(torch.stack(spk_rec)[-5:].mean(0)))
    return results


# ---- nothing to edit below this line


def make(seed: int = 0) -> tuple[nn.Linear, snn.RLeaky, nn.Linear]:
    """A layer of eight neurons that is never silent for long, and its read-out."""
    torch.manual_seed(seed)
    fc, fc_out = nn.Linear(2, 8), nn.Linear(8, 3)
    nn.init.uniform_(fc.weight, 0.2, 1.0)
    lif = snn.RLeaky(beta=0.95, linear_features=8, init_hidden=True)
    return fc, lif, fc_out


def by_hand(fc, lif, fc_out, x: Tensor) -> Tensor:
    """The read-out of one batch, from rest, with the state in sight."""
    one = snn.RLeaky(beta=0.95, linear_features=8)
    one.recurrent.load_state_dict(lif.recurrent.state_dict())
    spk, mem = torch.zeros(x.shape[1], 8), torch.zeros(x.shape[1], 8)
    spk_rec = []
    for x_t in x:
        spk, mem = one(fc(x_t), spk, mem)
        spk_rec.append(spk)
    return fc_out(torch.stack(spk_rec)[-5:].mean(0))


def checked(answers, *args) -> list[Tensor]:
    """The answers, if there is one for each batch."""
    got = answers(*args)
    if got is None:
        raise Wrong("got None. Is there a return?")
    if len(got) != len(args[-1]):
        raise Wrong(f"got {len(got)} answers for {len(args[-1])} batches.")
    return got


def check_repeat(answers) -> None:
    """the same batch, shown three times, gets the same answer"""
    net, x = make(), torch.rand(12, 4, 2)
    with torch.no_grad():
        first, second, third = checked(answers, *net, [x, x, x])
    if not torch.equal(first, second):
        where = (first - second).abs().amax(1).argmax().item()
        raise Wrong(
            f"sample {where} gets {first[where].tolist()} when it is shown first and {second[where].tolist()} when "
            "it is shown again. What is left in the layer when the first batch is over?"
        )
    expect(third, first, "answer (B, K)", "The third time, too.")


def check_state(answers) -> None:
    """forgets spikes and membranes between batches, of another size, too"""
    net = make()
    loud, quiet = 2 * torch.rand(12, 4, 2), torch.full((12, 6, 2), 0.15)
    with torch.no_grad():
        try:
            _, after = checked(answers, *net, [loud, quiet])
        except RuntimeError as e:
            raise Wrong(
                "a batch of 6 sequences after one of 4: the sizes do not fit. The state of the first batch is still there."
            ) from e
        alone = by_hand(*net, quiet)
    expect(
        after,
        alone,
        "answer (B, K)",
        "The loud batch before it is still heard: mem and spk both have to go.",
    )


def check_memory(answers) -> None:
    """remembers within a sequence"""
    net = make()
    silence = torch.zeros(10, 4, 2)
    with_cue = silence.clone()
    with_cue[:5] = 2.0
    with torch.no_grad():
        (got,) = checked(answers, *net, [with_cue])
        wanted = by_hand(*net, with_cue)
        (plain,) = checked(answers, *net, [silence])
    if torch.allclose(got, plain) and not torch.allclose(wanted, plain):
        raise Wrong(
            "a sequence with a strong cue at its start and one without get the same answer: the layer has "
            "forgotten within the sequence. It is to forget once a sequence, not at each step."
        )
    expect(got, wanted, "answer (B, K)", "Within a sequence the state goes on from step to step.")


def check_training(answers) -> None:
    """two updates after one another: no batch reaches back into the one before"""
    net = make()
    for i in range(2):
        (out,) = checked(answers, *net, [torch.rand(6, 4, 2)])
        try:
            out.sum().backward()
        except RuntimeError as e:
            raise Wrong(
                f"update {i + 1}: 'Trying to backward through the graph a second time'. The state that the batch "
                "starts from belongs to the one before."
            ) from e
    if net[0].weight.grad is None or not net[0].weight.grad.any():
        raise Wrong("fc gets no gradient: its history has been cut within the sequence.")


EXERCISE = Exercise(
    solve=answers,
    checks=(check_repeat, check_memory, check_state, check_training),
    hints=(
        "Which line is carried out once, though it is needed more often?",
        "A sequence begins where the loop over batches takes the next x. The layer has to be at rest there.",
        "Move lif.reset_mem() into the loop over sequences, before the loop over its steps.",
    ),
    why="A state is memory within a sequence and a leak between sequences: the better the layer remembers, the more "
    "of the last test image it takes into the next.",
)

if __name__ == "__main__":
    EXERCISE.main()
