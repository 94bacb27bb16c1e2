"""Lesson 18: its attention against loops and definitions, and every number it publishes against another way to it."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

from common.cost import workload
from common.io import load_weights
from common.spiking import reset_state
from multistep import unroll

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from helpers import ROOT, check_refused, load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits
from torch import Tensor, nn

lesson = load_script("18_spiking_transformers")
SMALL = {"dim": 16, "heads": 2, "blocks": 2}


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, but not drawn into files: only the numbers count here."""
    import matplotlib.pyplot as plt

    monkeypatch.setattr("common.run.Run.figure", lambda self, fig, name, look="": plt.close(fig))


def alive(arm: str, T: int = 3) -> nn.Module:
    """A small network whose BatchNorms have seen images, so that spikes flow, in evaluation mode."""
    net = lesson.photo_net(lesson.Config(**SMALL), arm, 3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
            nn.init.constant_(module.weight, 1.5)
    for _ in range(3):
        net.run(lesson.encode(torch.rand(6, 3, 32, 32), T))
    return net.eval()


def bits(*shape: int, rate: float = 0.3) -> Tensor:
    return (torch.rand(3, *shape) < rate).float()


def lif_by_hand(cur: Tensor) -> Tensor:
    """U[t] = β·U[t−1] + I[t] − θ·S[t−1], step by step."""
    mem, spk, out = torch.zeros_like(cur[0]), torch.zeros_like(cur[0]), []
    for cur_t in cur:
        mem = lesson.BETA * mem + cur_t - spk
        spk = (mem > 1).float()
        out.append(spk)
    return torch.stack(out)


# -------------------------------------------------------------------- 1  attention


@settings(max_examples=40, deadline=None)
@given(N=st.integers(1, 8), d=st.integers(1, 8), rate=st.floats(0, 1), seed=st.integers(0, 9999))
def test_by_hand_is_by_matrices(N: int, d: int, rate: float, seed: int) -> None:
    """Any N, d and rate: the integers, in both orders, and the number of additions."""
    q, k, v = (torch.rand(3, N, d, generator=torch.Generator().manual_seed(seed)) < rate).float()
    out, made = lesson.attention_by_hand(*(x.bool().tolist() for x in (q, k, v)))
    defined = torch.einsum("ic,jc,je->ie", q, k, v)  # Σ_j Σ_c q_ic·k_jc·v_je
    assert torch.equal(torch.tensor(out).float(), defined)
    assert torch.equal(lesson.spiking_attention(q, k, v), defined)
    assert made == lesson.additions(q, k, v)["(QKᵀ)V"]
    first = int((k.T @ v).sum())
    second = sum(
        int(q[i, a]) for i in range(N) for a, b in product(range(d), range(d)) if (k.T @ v)[a, b]
    )
    assert lesson.additions(q, k, v)["Q(KᵀV)"] == first + second


def test_softmax_is_pytorchs() -> None:
    q, k, v = torch.randn(3, 2, 4, 10, 8)
    theirs = F.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(lesson.softmax_attention(q, k, v), theirs, atol=1e-6)
    sharper = F.scaled_dot_product_attention(q, k, v, scale=12 / math.sqrt(8))
    assert torch.allclose(lesson.sharp_attention(q, k, v), sharper, atol=1e-5)


def test_shares_of_a_memory(tmp_path: Path) -> None:
    """Half of 16 channels: 8 in common with itself, 4 on average with each of seven others."""
    run = run_section(lesson.section_attention, tmp_path)
    keys = torch.rand(1000, 8, 16, generator=torch.Generator().manual_seed(0)).argsort(-1) < 8
    counts = torch.einsum("mic,mjc->mij", keys.double(), keys.double())
    own = counts.diagonal(dim1=1, dim2=2)
    assert (own == 8).all() and counts.mean() == pytest.approx((8 + 7 * 4) / 8, rel=0.02)
    assert run.value("share_spikes") == pytest.approx((own / counts.sum(-1)).mean().item())
    for claim, factor in (("share_softmax", 1), ("share_sharp", 12)):
        e = torch.exp(factor * counts / 4)
        share = e.diagonal(dim1=1, dim2=2) / e.sum(-1)
        assert run.value(claim) == pytest.approx(share.mean().item(), rel=1e-4)
    values = torch.rand(1000, 8, 16, generator=torch.Generator().manual_seed(1)) < 0.25
    k, v = keys[:100].float(), values[:100].float()
    made = sum(lesson.additions(a, a, b)["(QKᵀ)V"] for a, b in zip(k, v, strict=True)) / 100
    assert run.value("made") == pytest.approx(made)
    assert (
        "gets 22 % of the attention, whatever the factor; by softmax 27 %, and 99.7 % once"
        in run.findings[0]["text"]
    )


# -------------------------------------------------------------------- 2  order and scale


@given(N=st.integers(1, 40), d=st.integers(1, 40))
def test_additions_reach_their_bounds(N: int, d: int) -> None:
    counted = lesson.additions(*torch.ones(3, N, d))  # every neuron fires: equation (3)
    assert counted == {"(QKᵀ)V": 2 * N * N * d, "Q(KᵀV)": 2 * N * d * d}


def test_the_scale_is_a_threshold() -> None:
    """SN(s·z) with θ makes the spikes of SN(z) with θ/s: bit for bit, for s is a power of two."""
    z = torch.randint(0, 30, (6, 4, 8, 5)).float()
    scaled = unroll(snn.Leaky(beta=0.5), lesson.SCALE * z)[0]
    assert 0 < scaled.mean() < 1
    assert torch.equal(scaled, unroll(snn.Leaky(beta=0.5, threshold=1 / lesson.SCALE), z)[0])


def test_what_section_2_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Additions against a count by tokens and channels; the rates given."""
    rates = {"s = 1/8": [0.04, 0.1, 0.64], "BatchNorm of N = 64": [0.0, 0.16, 0.9]}
    rates |= {"DSSA": [0.02, 0.1, 0.26], "s = 2/N": [0.12, 0.09, 0.08]}
    monkeypatch.setattr(lesson, "rates_behind", lambda T, sizes, d: rates)
    run = run_section(lesson.section_order, tmp_path)
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.rand(3, 1, 256, 32, generator=draw) < 0.2).double()[:, 0]
    one, two = q @ k.T, k.T @ v
    first = one.sum() + sum((one[:, j] > 0).sum() * v[j].sum() for j in range(256))
    second = two.sum() + sum((two[a] > 0).sum() * q[:, a].sum() for a in range(32))
    assert run.value("order_additions") == pytest.approx((first / second).item())
    claims = [run.value(f"rate_{name}") for name in ("scale", "norm", "dssa", "tokens")]
    assert claims == [0.64, 0.9, 0.26, 0.08]
    memory = (256**2 + 3 * 256 * 32) / (32**2 + 3 * 256 * 32)
    assert run.value("order_memory") == pytest.approx(memory)
    text = run.findings[0]["text"]
    assert "from 16 to 256 tokens the share of neurons that fire goes from 4 to 64 %" in text
    assert "with s = 1/8, and from 0 to 90 % with a BatchNorm that has measured at N = 64" in text
    assert "With s = 2/N it goes from 12 to 8 %, with DSSA from 2 to 26 %." in text
    assert text.endswith("The two with N in their formula move least.")
    assert "of the additions (1/8 if all neurons fired)" in text
    assert "0.1 MiB a head and step, where the written-out softmax keeps 0.3" in text
    rates["s = 1/8"] = [0.1, 0.1, 0.1]
    text = run_section(lesson.section_order, tmp_path).findings[0]["text"]
    assert text.endswith("s = 1/8 moves least.")


def test_rates_behind_the_attention() -> None:
    """s = 1/8 saturates, 2/N does not; a BatchNorm fires as for a normal current at its N, and nowhere else."""
    torch.manual_seed(0)
    scaled, kept, dual, by_tokens = lesson.rates_behind(4, (16, 64, 256), 32).values()
    assert scaled[0] < 0.3 and scaled[2] > 0.95
    assert dual[2] < 2.5 * dual[0]
    assert by_tokens[0] == scaled[0] and 0.4 * scaled[0] < by_tokens[2] < scaled[0]
    normal = unroll(snn.Leaky(beta=lesson.BETA), torch.randn(4, 100_000))[0].mean().item()
    assert kept[1] == pytest.approx(normal, abs=0.05)
    assert kept[0] < 0.01 and kept[2] > 0.9


def test_a_batchnorm_keeps_what_it_has_measured() -> None:
    """The line of figure 2 is what PyTorch's BatchNorm does: trained at N = 64, in evaluation mode at another N."""
    torch.manual_seed(1)
    _, kept, *_ = lesson.rates_behind(4, (16, 64, 256), 32).values()
    norm = nn.BatchNorm1d(1, momentum=None, affine=False)
    norm(lesson.spiking_attention(*bits(4, 4, 64, 32, rate=0.2)).view(-1, 1))
    norm.eval()
    for tokens, fires in zip((16, 64, 256), kept, strict=True):
        cur = lesson.spiking_attention(*bits(4, 4, tokens, 32, rate=0.2))
        spk, _, _ = unroll(snn.Leaky(beta=lesson.BETA), norm(cur.view(-1, 1)).view(cur.shape))
        assert fires == pytest.approx(spk.mean().item(), abs=0.05)


def test_dssa_rises_since_those_heard_are_alike() -> None:
    """Its formula by hand gives the same spikes; with the values shuffled among the tokens its rate stays."""
    neuron = snn.Leaky(beta=0.5)
    rose, stayed = [], []
    for tokens in (16, 512):
        torch.manual_seed(tokens)
        x = (torch.rand(2, 4, tokens, 32) < 0.2).float()
        state = torch.get_rng_state()
        rose.append(lesson.dual_attention(x, neuron))
        torch.set_rng_state(state)
        asks, values = (x @ torch.randn(32, 32) for _ in range(2))
        asks, values = (
            F.batch_norm(y.flatten(0, 2), None, None, training=True).view_as(x)
            for y in (asks, values)
        )
        alike = asks @ x.transpose(-1, -2) / math.sqrt(x.mean() * 32)
        a = lif_by_hand(alike)
        size = math.sqrt(a.mean() * tokens)
        differ = (lif_by_hand(a @ values / size) != rose[-1]).float().mean()
        assert differ < 0.02  # PyTorch's BatchNorm divides by N, not by N − 1
        order = torch.randperm(tokens)
        stayed.append(lif_by_hand(a @ values[..., order, :] / size).mean().item())
    assert rose[1].mean() > 1.8 * rose[0].mean()
    assert stayed == pytest.approx([0.12, 0.12], abs=0.03)


@given(N=st.integers(1, 40), d=st.integers(1, 40))
def test_what_training_keeps(N: int, d: int) -> None:
    """Q, K, V and the numbers between the products; the softmax keeps its weights."""
    for core, between in (
        (lesson.softmax_attention, N * N),
        (lesson.tokens_first, N * N),
        (lesson.channels_first, d * d),
    ):
        kept = lesson.kept_for_training(core, N, d)
        assert kept * 2**20 == pytest.approx(4 * (between + 3 * N * d))


def test_where_the_orders_change_places() -> None:
    """What 18b says when it is solved: at N = d if Q and V fire alike, at any rate; else where it says."""
    solved = load_script("exercises/solutions/18b_expected_additions").expected_additions
    for rate, keys in product((0.01, 0.05, 0.2, 0.5, 1.0), repeat=2):
        for d in (4, 32):
            first, second = solved(d, d, rate, keys, rate)
            assert first == pytest.approx(second)
            later, earlier = solved(d + 1, d, rate, keys, rate), solved(d - 1, d, rate, keys, rate)
            assert later[0] > later[1] and earlier[0] < earlier[1]
    why = (ROOT / "exercises" / "18b_expected_additions.py").read_text(encoding="utf-8")
    for start, rates in ((42, (0.3, 0.2, 0.1)), (28, (0.1, 0.2, 0.3))):
        pays = [first > second for first, second in (solved(n, 32, *rates) for n in range(1, 100))]
        assert pays.index(True) + 1 == start and all(pays[start - 1 :])
        assert f"from N = {start} for" in why


# -------------------------------------------------------------------- the layers


def test_attention_is_equation_2_written_out() -> None:
    """One head after the other, one token pair after the other, with an own LIF loop."""
    torch.manual_seed(1)
    part = lesson.Attention(8, 2, lesson.spiking_attention)
    x = (torch.rand(3, 4, 8, 3, 3) < 0.5).float()
    part.run(x)
    part.eval()
    with torch.no_grad():
        made = {}
        for name in ("query", "key", "value"):
            layer = getattr(part, name)
            cur = layer.neurons.norm(layer.conv(x.flatten(0, 1))).unflatten(0, (3, 4))
            made[name] = lif_by_hand(cur).flatten(-2)  # (T, B, C, N)
        cur = torch.zeros(3, 4, 8, 9)
        for c in range(8):
            own = slice(0, 4) if c < 4 else slice(4, 8)
            for i, j in product(range(9), range(9)):
                count = (made["query"][:, :, own, i] * made["key"][:, :, own, j]).sum(-1)
                cur[:, :, c, i] += count * made["value"][:, :, c, j]
        flat = part.mixed.norm(cur.unflatten(-1, (3, 3)).flatten(0, 1)).unflatten(0, (3, 4))
        assert made["query"].mean() > 0.004
        assert torch.equal(part.run(x), lif_by_hand(flat))


@pytest.mark.parametrize("arm", lesson.PHOTOS)
def test_stepped_is_run(arm: str) -> None:
    net = alive(arm)
    x = lesson.encode(torch.rand(3, 3, 32, 32), 1 if arm == "ANN" else 4)
    with torch.no_grad():
        whole = net.run(x)
        reset_state(net)
        steps = torch.stack([net(x_t) for x_t in x])
    assert whole.std() > 0 and torch.allclose(steps, whole, atol=1e-4)


def test_arms_start_alike_and_are_as_large() -> None:
    cfg = lesson.Config()
    nets = {arm: lesson.photo_net(cfg, arm, 4) for arm in lesson.PHOTOS}
    size = {arm: sum(p.numel() for p in net.parameters()) for arm, net in nets.items()}
    mine = dict(nets["SSA"].named_parameters())
    unread = {k for k in mine if ".query." in k or ".key." in k}
    for arm in ("softmax", "no attention", "ANN"):
        other = dict(nets[arm].named_parameters())
        assert mine.keys() - other.keys() == (unread if arm == "no attention" else set())
        assert all(torch.equal(other[k], mine[k]) for k in other)
    assert size.pop("no attention") == size["SSA"] - 2 * (64 * 64 + 2 * 64)
    assert max(size.values()) < 1.02 * min(size.values())
    with torch.no_grad():
        for arm in ("SSA", "SSA, patches"):
            x = lesson.encode(torch.rand(1, 3, 32, 32), 2)
            for layer in list(nets[arm].layers)[:3]:
                x = layer.run(x)
            assert x.shape == (2, 1, 64, 8, 8)


def test_patches_do_not_look_across_borders() -> None:
    """One pixel at a corner of a patch reaches one token of the patches, and more by pooled convolutions."""
    x = torch.rand(1, 3, 32, 32)
    y = x.clone()
    y[:, :, 16, 16] = 5
    for arm, alone in (("SSA, patches", True), ("SSA", False)):
        first = alive(arm).layers[0]
        with torch.no_grad():
            moved = (first.convolve(x) != first.convolve(y)).any(1)  # (1, 8, 8), or (1, 16, 16)
        assert (int(moved.sum()) == 1) == alone


def test_who_hears_whom() -> None:
    """Behind the stem a change of one token moves no other without attention; with it, it does."""
    for core, meets in ((lesson.own_value, False), (lesson.spiking_attention, True)):
        q, k, v = bits(1, 1, 20, 8, rate=0.5)
        w = v.clone()
        w[..., 5, :] = 1 - w[..., 5, :]
        moved = (core(q, k, v) != core(q, k, w)).any(-1)[0, 0]
        assert moved[5] and (moved.sum() > 1) == meets


def test_sdsa_is_one_mask_for_all_tokens() -> None:
    torch.manual_seed(0)
    part = lesson.Attention(6, 1, lesson.shared_mask)
    x = (torch.rand(2, 3, 6, 2, 4) < 0.5).float()
    out = part.run(x)
    q, k, v = part.query.run(x), part.key.run(x), part.value.run(x)
    both = (q * k).sum((-2, -1), keepdim=True).expand_as(q)
    mask = part.mixed.run(both)
    assert (mask == mask[..., :1, :1]).all() and mask.any()
    assert torch.equal(out, mask * v)


# -------------------------------------------------------------------- 3  the memory task


def test_lists_hold_their_answers() -> None:
    for known in (64, 16):
        x, y = lesson.memory_task(300, torch.Generator().manual_seed(5), known)
        assert x.shape == (300, 75, 1, 17)
        x = x[:, :, 0].transpose(1, 2)  # (n, 17, 75)
        keys, values, question = x[..., :64], x[..., 64:74], x[..., 74]
        assert (keys.sum(-1) == 1).all() and (values[:, :16].sum(-1) == 1).all()
        assert not values[:, 16].any() and question.sum(-1).eq(1).all() and question[:, 16].all()
        which = keys.argmax(-1)
        assert which.max() == known - 1
        assert all(len(set(row[:16].tolist())) == 16 for row in which), "no key twice"
        fits = which[:, :16] == which[:, 16:]
        assert fits.sum(1).eq(1).all()
        assert torch.equal(values[:, :16].argmax(-1)[fits], y)
        assert len(set(fits.float().argmax(1).tolist())) == 16, "any place may be asked for"


def test_the_best_guess_against_drawing() -> None:
    """Sixteen values of ten: how often is a random one of them the most frequent?"""
    rng = np.random.default_rng(0)
    lists = rng.integers(0, 10, (40_000, 16))
    most = np.array([np.bincount(row, minlength=10).max() for row in lists]).mean() / 16
    assert lesson.most_frequent(20_000, torch.Generator()) == pytest.approx(most, abs=0.01)


def test_random_keys_and_no_learning() -> None:
    """Keys all alike can only guess; few channels are often enough; a channel each always is. Spikes, too."""
    assert lesson.LEFT == 32 - lesson.VALUES
    draw = torch.Generator().manual_seed(3)
    guess = lesson.most_frequent(20_000, draw)
    alike = np.mean([lesson.by_random_keys(1000, draw, 22) for _ in range(20)], axis=0)
    assert alike[0] == pytest.approx(guess, abs=0.02) and 0.1 < alike[1] < alike[0]
    few = np.mean([lesson.by_random_keys(1000, draw, 3) for _ in range(10)], axis=0)
    assert 0.8 < few[1] <= few[0] < 0.92
    assert min(lesson.by_random_keys(1000, draw, 3, dim=4096)) > 0.99
    assert min(lesson.by_random_keys(1000, draw, 6, lesson.sharp_attention)) > 0.99


def test_random_keys_against_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts by sets of channels, a list at a time; spikes step by step; equals are guessed among."""
    x, y = lesson.memory_task(200, torch.Generator().manual_seed(1))
    monkeypatch.setattr(lesson, "memory_task", lambda n, draw: (x, y))
    counts, spikes = lesson.by_random_keys(200, torch.Generator().manual_seed(2), 4)
    own = torch.rand(64, 22, generator=torch.Generator().manual_seed(2)).argsort(1)[:, :4]
    sets = [set(row.tolist()) for row in own]
    heard = torch.zeros(200, 10)
    for i in range(200):
        keys = x[i, :64, 0].argmax(0).tolist()
        for j in range(16):
            value = int(x[i, 64:74, 0, j].argmax())
            heard[i, value] += len(sets[keys[j]] & sets[keys[16]])
    cur = (heard - heard.mean()) / heard.std()
    fired = lif_by_hand(torch.stack([cur, cur])).sum(0)
    for got, scores in ((counts, heard), (spikes, fired)):
        wanted = 0.0
        for row, answer in zip(scores.tolist(), y.tolist(), strict=True):
            best = [c for c in range(10) if row[c] == max(row)]
            wanted += (answer in best) / len(best)
        assert got == pytest.approx(wanted / 200, abs=1e-5)


@pytest.mark.parametrize("factor", [1, 12])
def test_random_keys_by_a_softmax_of_32_channels(
    monkeypatch: pytest.MonkeyPatch, factor: int
) -> None:
    """The scale is the networks', √32, though keys use 22 channels."""
    x, y = lesson.memory_task(400, torch.Generator().manual_seed(1))
    monkeypatch.setattr(lesson, "memory_task", lambda n, draw: (x, y))
    core = {1: lesson.softmax_attention, 12: lesson.sharp_attention}[factor]
    got, _ = lesson.by_random_keys(400, torch.Generator().manual_seed(2), 3, core)
    own = torch.rand(64, 22, generator=torch.Generator().manual_seed(2)).argsort(1)[:, :3]
    bits_of = F.one_hot(own, 22).sum(1).double()  # (64, 22)
    which = x[:, :64, 0].argmax(1)  # (n, 17)
    counts = (bits_of[which[:, :16]] * bits_of[which[:, 16:]]).sum(-1)  # (n, 16)
    weights = torch.softmax(factor * counts / math.sqrt(32), -1)
    heard = (weights[:, None] * x[:, 64:74, 0, :16]).sum(-1).round(decimals=5)
    best = (heard == heard.max(1, keepdim=True).values).double()
    wanted = (best.gather(1, y[:, None])[:, 0] / best.sum(1)).mean().item()
    assert got == pytest.approx(wanted, abs=0.01)  # sums that are equal may differ in the last bit


def test_random_keys_written_into_the_network() -> None:
    """The weights of a MemoryNet can hold these codes: it answers as the core and neurons do by hand."""
    n, on = 2000, 3
    found = lesson.by_random_keys(n, torch.Generator().manual_seed(4), on)
    draw = torch.Generator().manual_seed(4)
    x, y = lesson.memory_task(n, draw)
    chosen = torch.rand(64, 22, generator=draw).argsort(1)[:, :on]
    net = lesson.MemoryNet(lesson.spiking_attention).eval()
    passed = torch.zeros(
        3, 32, 32
    )  # Q and K take the key's channels, V the value's; ``out`` takes all
    passed[0, range(22), range(22)] = passed[1, range(22, 32), range(22, 32)] = 2
    passed[2] = 2 * torch.eye(32)
    part = net.attention
    for layer, weight in ((part.query, 0), (part.key, 0), (part.value, 1), (net.out, 2)):
        layer.conv.weight.data = passed[weight, ..., None, None]
    first = torch.zeros(32, 75)
    first[:22, :64] = 2 * F.one_hot(chosen, 22).sum(1).T
    first[range(22, 32), range(64, 74)] = 2
    net.first.conv.weight.data = first[..., None, None]
    net.fc.weight.data = torch.eye(32)[22:]
    net.fc.bias.data.zero_()
    currents = lesson.constant_current(x, 2)
    q = part.query.run(net.first.run(currents))
    k = part.key.run(net.first.run(currents))
    v = part.value.run(net.first.run(currents))
    heard = part.attend(q, k, v)[0, :, 22:, 0, 16]  # (n, 10): what the token that asks hears
    part.mixed.norm.running_mean.fill_(heard.mean())
    part.mixed.norm.running_var.fill_(heard.var())
    with torch.no_grad():
        out = net.run(currents).mean(0)
    assert lesson.guessed_right(out, y) == pytest.approx(found[1], abs=1e-6)
    assert lesson.guessed_right(heard, y) == pytest.approx(found[0], abs=1e-6)
    assert found[1] > 0.8


class Finder(nn.Module):
    """Knows how to look up; ``wrong`` of 100 questions are answered with the next value."""

    def __init__(self, wrong: int = 0) -> None:
        super().__init__()
        self.weight, self.wrong = nn.Parameter(torch.zeros(1)), wrong

    def run(self, x: Tensor) -> Tensor:
        x = x[..., 0, :]  # (T, B, 75, 17)
        fits = (x[..., :64, :16] * x[..., :64, 16:]).sum(-2)  # (T, B, 16)
        out = (x[..., 64:74, :16] * fits.unsqueeze(-2)).sum(-1)  # (T, B, 10)
        late = torch.arange(x.shape[1]) % 100 < self.wrong
        return torch.where(late[:, None], out.roll(1, -1), out) + 0 * self.weight


@pytest.mark.parametrize("wrong", [0, 30])
def test_memory_is_scored_on_fresh_lists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: int
) -> None:
    monkeypatch.setattr(lesson, "MemoryNet", lambda **_: Finder(wrong))
    asked = []
    real = lesson.memory_task
    monkeypatch.setattr(lesson, "memory_task", lambda n, **how: asked.append(n) or real(n, **how))
    cfg = lesson.Config(device="cpu", smoke=False, out_dir=tmp_path, updates=2)
    run = lesson.Run("test", cfg, torch.device("cpu"))
    assert lesson.train_memory(cfg, run, "SSA", 0) == {"right": 1 - wrong / 100}
    assert asked == [128] * 2 + [500] * 10


ROOM = {lesson.spiking_attention: 0.95, lesson.sharp_attention: 1.0, lesson.softmax_attention: 0.6}


def test_what_section_3_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shares = {
        "SSA": [0.70, 0.72, 0.74],
        "SSA, only 16 keys": [0.98, 0.99, 1.0],
        "softmax": [0.40, 0.41, 0.45],
        "softmax × 12": [0.80, 0.90, 0.85],
        "softmax, real q, k": [1.0, 0.99, 0.98],
        "SDSA": [0.30, 0.31, 0.32],
    }
    assert list(shares) == list(lesson.MEMORIES)
    monkeypatch.setattr(
        lesson, "train_memory", lambda cfg, run, arm, seed: {"right": shares[arm][seed]}
    )
    monkeypatch.setattr(lesson, "most_frequent", lambda n, draw: 0.224)
    monkeypatch.setattr(
        lesson,
        "by_random_keys",
        lambda n, draw, on, core: (0.96 - on / 100, ROOM[core] - on / 100),
    )
    run = run_section(lesson.section_memory, tmp_path, seeds=3)
    names = {"ssa": "SSA", "softmax": "softmax", "sharp": "softmax × 12"}
    names |= {"real": "softmax, real q, k"}
    for claim, arm in names.items():
        assert run.value(claim) == pytest.approx(np.mean(shares[arm]))
    assert run.value("random_keys") == pytest.approx(0.95)
    assert run.value("random_spikes") == pytest.approx(0.94)
    text = run.findings[0]["text"]
    assert "A sharp softmax of the same spikes: +13.0 ± 10.8 points (more)" in text
    assert "a flat one: −30.0 ± 2.5 points (fewer). So it is sharpness that counts here" in text
    assert "Real q and k: +27.0 ± 7.5 points (more)" in text
    assert "SDSA answers more than the best guess without matching (22 %)" in text
    assert "codes made by hand, SSA and its neurons answer up to 94 %" in text
    assert "the core allows more than any of its trainings found" in text
    assert "a sharp softmax answers up to 99 %, a flat one up to 59" in text
    (table,) = run.extra["tables"]
    assert table["rows"][2][1:] == ["40, 41, 45 %", "−30.0 ± 2.5"]
    assert table["rows"][0][2] == table["rows"][1][2] == "", "16 keys are another task"


def test_nothing_is_said_about_room_where_random_keys_do_worse(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        lesson, "train_memory", lambda cfg, run, arm, seed: {"right": 0.9 + seed / 100}
    )
    monkeypatch.setattr(lesson, "most_frequent", lambda n, draw: 0.224)
    monkeypatch.setattr(lesson, "by_random_keys", lambda n, draw, on, core: (0.9, 0.79 + on / 100))
    text = run_section(lesson.section_memory, tmp_path, seeds=3).findings[0]["text"]
    assert "SSA and its neurons answer up to 90 %" in text
    assert "what ends it is open" in text and "allows more" not in text
    assert "A sharp softmax of the same spikes: +0.0 ± 0.0 points (not shown to differ)" in text
    assert "sharpness that counts" not in text


def test_intervals_and_verdicts() -> None:
    mean, half = lesson.against([0.5, 0.6, 0.7], [0.4, 0.55, 0.5])  # 10, 5 and 20 points
    assert mean == pytest.approx(35 / 3)
    assert half == pytest.approx(4.302653 * np.std([10, 5, 20], ddof=1) / math.sqrt(3), rel=1e-5)
    said = [lesson.verdict(pair) for pair in ((2, 1), (-2, 1), (2, 3), (-2, 3))]
    assert said == ["more", "fewer", "not shown to differ", "not shown to differ"]
    assert lesson.signed((-1.25, 0.5)) == "−1.2 ± 0.5" and lesson.signed(None) == ""


# -------------------------------------------------------------------- 4  photographs


def test_sums_of_spikes_with_sew_alone() -> None:
    x = lesson.encode(torch.rand(4, 3, 32, 32), 3)
    sew, membrane = alive("SSA"), alive("SSA, membrane")
    assert lesson.above_one(sew, x) > 0.01 and lesson.above_one(membrane, x) == 0
    seen = []  # the same share from what the modules are given
    blocks = [layer for layer in sew.layers if isinstance(layer, lesson.Block)]
    for block in blocks:
        for part in (block.attention.query, block.attention.key, block.attention.value):
            part.conv.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        for part in (block.out, block.hidden, block.back):
            part.conv.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        sew.run(x)
    every = torch.cat([s.flatten() for s in seen])
    assert lesson.above_one(sew, x) == pytest.approx(
        ((every > 1).sum() / (every != 0).sum()).item()
    )


def white(score):
    """An ``evaluate`` that gives ``score(net)`` for white images, which are the test's, else 0."""
    return lambda net, x, y, show, read=None: score(net) if x.min() == 255 else 0.0


def test_what_section_4_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read = {
        "SSA": [0.50, 0.52],
        "softmax": [0.51, 0.53],
        "no attention": [0.45, 0.48],
        "SSA, patches": [0.40, 0.41],
        "SSA, membrane": [0.49, 0.54],
        "ANN": [0.55, 0.57],
    }
    seen = []

    def train(cfg, run, data, arm, seed, epochs):
        seen.append((arm, seed, epochs, len(data.y_train)))
        net = lesson.photo_net(cfg, arm, seed).eval()
        net.reads = read[arm][seed]
        return net, []

    monkeypatch.setattr(lesson, "train_photos", train)
    monkeypatch.setattr(lesson, "evaluate", white(lambda net: net.reads))
    monkeypatch.setattr(
        lesson, "above_one", lambda net, x: 0.25 if net.end.__class__.__name__ == "Same" else 0.0
    )
    data = marked_splits((3, 32, 32))
    monkeypatch.setattr("common.run.Run.data", lambda self, loader, **_: data)
    longer = {
        "SSA": [0.64, 0.65, 0.66],
        "no attention": [0.61, 0.61, 0.61],
        "softmax": [0.66, 0.66, 0.66],
    }
    monkeypatch.setattr(lesson, "long_trainings", lambda: (7, longer))
    run = run_section(lesson.section_photographs, tmp_path, seeds=2, short_images=20)
    assert {row[0] for row in seen} == set(read) and {row[2:4] for row in seen} == {(1, 20)}
    assert len(seen) == 12
    assert run.value("gap_patches") == pytest.approx(-10.5)
    assert run.value("gap_membrane") == pytest.approx(0.5)
    assert run.value("long_ssa") == pytest.approx(0.65)
    assert run.value("long_none") == pytest.approx(-4)
    assert run.value("long_softmax") == pytest.approx(1)
    text = run.findings[0]["text"]
    assert "45,000 photographs, each seen 7 times, SSA reads 65.0 %" in text
    assert "Without attention: −4.0 ± 2.5 points (fewer); with" in text
    assert "with softmax: +1.0 ± 2.5 points (not shown to differ)" in text
    assert "patches −10.5 ± 6.4 (fewer)" in text
    assert "the ANN +5.0 ± 0.0 (more)" in text and "With SEW 25 % of" in text
    short, long = run.extra["tables"]
    assert short["rows"][2][3] == "−4.5 ± 6.4" and long["rows"][2][2] == "−4.0 ± 2.5"
    longer["no attention"] = [0.65, 0.64, 0.645]  # 1 point more, 1 fewer, 1.5 fewer
    text = run_section(lesson.section_photographs, tmp_path, seeds=2, short_images=20).findings[0]
    assert (
        "−0.5 ± 3.3 points (not shown to differ), so that attention may win up to 3.8 points"
        in text["text"]
    )
    assert "or cost up to 2.8; with" in text["text"]
    assert run.results[4]["ANN"].test == read["ANN"]
    kept = load_weights(lesson.photo_net(run.cfg, "SSA", 0), lesson.weights_of(run, "SSA", 0))
    ours = run.results[4]["SSA"].net.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in kept.state_dict().items())


def test_the_log_of_the_longer_trainings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Test images stand beside the last pass alone; three cores with three seeds each are shipped."""
    passes, shipped = lesson.long_trainings()
    rows = [row.split(",") for row in lesson.LOG.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == ["core", "lr", "seed", "epoch", "loss", "train", "val", "test"]
    assert set(shipped) == {"SSA", "no attention", "softmax"}
    assert all(len(shares) == 3 for shares in shipped.values()) and len(rows) == 1 + 9 * passes
    made = tmp_path / "log.csv"
    made.write_text(
        "core,lr,seed,epoch,loss,train,val,test\nSSA,0.1,0,1,1.5,0.5,0.6,\n"
        "SSA,0.1,0,2,1.4,0.6,0.7,0.65\nnone,0.1,0,1,1.5,0.5,0.6,\nnone,0.1,0,2,1.4,0.6,0.7,0.62\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(lesson, "LOG", made)
    assert lesson.long_trainings() == (2, {"SSA": [0.65], "none": [0.62]})


def test_a_training_is_the_one_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = {}

    def fit(net, data, show, **how):
        told.update(how, T=len(show(torch.rand(1, 3, 32, 32))), net=net)
        return [{"epoch": 1}]

    monkeypatch.setattr(lesson, "fit", fit)
    cfg = lesson.Config(device="cpu", out_dir=tmp_path, lr=0.07, num_steps=5, **SMALL)
    run = lesson.Run("test", cfg, torch.device("cpu"))
    for arm, T in (("SSA", 5), ("ANN", 1)):
        net, history = lesson.train_photos(cfg, run, None, arm, 2, 1, "one")
        assert told["T"] == T and told["net"] is net and not net.training
        assert told["loss_fn"] is lesson.smoothed_loss and told["seed"] == 2
        assert told["schedule"] is lesson.up_and_down and told["augment"] is lesson.flip_and_shift
        groups = told["optimizer"](net).param_groups
        assert groups[0]["muon"] and groups[0]["lr"] == 0.07
        convs = sum(isinstance(m, nn.Conv2d) for m in net.modules())
        assert len(groups[0]["params"]) == convs and history == [{"epoch": 1}]


# -------------------------------------------------------------------- 5  the trained network


def spiking_loops(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Q·Kᵀ·V of one image, ``(T, heads, N, d)``."""
    return torch.einsum("thic,thjc,thje->thie", q, k, v)


def test_disturbances_move_what_they_say() -> None:
    torch.manual_seed(0)
    q, k, v = bits(2, 3, 2, 9, 5, rate=0.5)  # (T, B, heads, N, d)
    usual = torch.einsum("tbhic,tbhjc,tbhje->tbhie", q, k, v)
    for i in range(3):  # image i is asked by image i − 1
        foreign = spiking_loops(q[:, i - 1], k[:, i], v[:, i])
        assert torch.equal(lesson.foreign_queries(q, k, v)[:, i], foreign)
    same = lesson.mean_answer(q, k, v)
    assert same.shape == usual.shape
    assert all(torch.allclose(same[..., i, :], usual.sum(-2) / 9) for i in range(9))
    told = lesson.other_values(q, k, v)
    assert not torch.equal(told, usual) and told.sum() > 0
    other = torch.einsum("tbhic,tbhjc,tbhje->tbhie", q, k.roll(1, 1), v.roll(1, 1))
    assert torch.equal(lesson.other_image(q, k, v), other)
    assert not lesson.no_answer(q, k, v).any()


def test_answers_with_another_core() -> None:
    """All blocks take the core, and have their own again afterwards."""
    net, cfg = alive("SSA"), lesson.Config(**SMALL)
    images = torch.randint(0, 255, (40, 3, 32, 32), dtype=torch.uint8)
    used = []

    def core(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        used.append(q.shape)
        return lesson.no_answer(q, k, v)

    with torch.no_grad():
        usual = net.run(lesson.encode(images.float() / 255, cfg.num_steps)).mean(0).argmax(1)
    assert torch.equal(lesson.answers(net, images, cfg, lesson.spiking_attention), usual)
    silent = lesson.answers(net, images, cfg, core)
    assert used == [(2, 40, 2, 64, 8)] * 2 and silent.shape == (40,)
    assert torch.equal(lesson.answers(net, images, cfg, lesson.spiking_attention), usual)
    cores = [b.attention.core for b in net.layers if isinstance(b, lesson.Block)]
    assert cores == [lesson.spiking_attention] * 2


def test_maps_of_known_queries() -> None:
    """Four tokens, 3 steps, 5 images, 2 heads: each hears itself; or all alike."""
    for q, wanted in ((torch.eye(4), torch.eye(4)), (torch.ones(4, 4), torch.full((4, 4), 0.25))):
        many = q.expand(3, 5, 2, 4, 4)
        maps = lesson.attention_maps(many, many)
        assert maps.shape == (5, 4, 4) and torch.allclose(maps, wanted.expand(5, 4, 4))


def test_heard_are_the_bits_of_every_block() -> None:
    net, x = alive("SSA"), lesson.encode(torch.rand(3, 3, 32, 32), 2)
    with torch.no_grad():
        usual = net.run(x)
        found = lesson.heard(net, x)
        assert torch.equal(net.run(x), usual), "the cores are what they were"
    assert len(found) == 2
    for qkv in found:
        assert all(y.shape == (2, 3, 2, 64, 8) and torch.equal(y, y.bool().float()) for y in qkv)


def test_the_image_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class that goes with a foreign memory is that of the image whose values come, batch by batch."""
    monkeypatch.setattr(lesson, "BATCH", 3)
    y = torch.arange(7)
    assert lesson.of_the_image_before(y).tolist() == [2, 0, 1, 5, 3, 4, 6]
    v = y[:3].float().view(1, 3, 1, 1, 1)
    ones = torch.ones_like(v)
    assert lesson.other_image(ones, ones, v).flatten().tolist() == [2, 0, 1]


def test_what_section_5_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of 40 answers 30 are right; a disturbance costs so many of them; 12 go with the foreign memory."""
    costs = {lesson.spiking_attention: 0, lesson.other_values: 8, lesson.other_image: 16}
    costs |= {lesson.no_answer: 8, lesson.foreign_queries: 1, lesson.mean_answer: 0}
    data = marked_splits((3, 32, 32))
    data.y_test = torch.arange(40) % 10
    data.y_test[20] = data.y_test[19]  # a pair of one class, which is answered with another
    foreign = data.y_test.roll(1)

    def named(net, images, cfg, core):
        out = torch.full((40,), -1)
        out[: 30 - costs[core]] = data.y_test[: 30 - costs[core]]
        if core is lesson.other_image:
            out[28:] = foreign[28:]
        return out

    monkeypatch.setattr(lesson, "answers", named)
    monkeypatch.setattr(lesson, "long_network", lambda cfg, run, data: alive("SSA"))
    q = torch.ones(2, 40, 2, 64, 8)
    monkeypatch.setattr(lesson, "heard", lambda net, x: [(q, q, q)])
    monkeypatch.setattr("common.run.Run.data", lambda self, loader, **_: data)
    run = run_section(lesson.section_trained, tmp_path)
    assert run.value("accuracy") == 0.75 and run.value("follows") == pytest.approx(12 / 40)
    lost = [run.value(f"lost_{name}") for name in ("mean", "values", "image", "all")]
    assert lost == pytest.approx([0, 20, 40, 20])
    text = run.findings[0]["text"]
    half = 196 * math.sqrt(0.2 * 0.8 / 39)
    assert f"and 20.0 ± {half:.1f} points less without an answer from its attention" in text
    assert (
        run.findings[0]["main"]
        and "Much depends on who asks: another image's queries cost 2.5" in text
    )
    assert f"behind which key is worth 20.0 ± {half:.1f}" in text
    assert "No worse than none" in text and "in 30 % of the cases" in text  # 40 ± 15 and 20 ± 13
    assert "names that image's class (31 % where the two classes differ)" in text
    costs |= {lesson.foreign_queries: 0, lesson.other_values: 0, lesson.other_image: 28}
    text = run_section(lesson.section_trained, tmp_path).findings[0]["text"]
    assert (
        "Who asks matters for less than 1/" in text
        and "(up to 1.6 % in the figure), but one mean answer for all tokens" in text
    )
    assert "is not shown to matter" in text and "Worse than none is the memory" in text


def test_the_shipped_weights_and_their_log() -> None:
    cfg = lesson.Config()
    net = load_weights(lesson.photo_net(cfg, "SSA", 0), lesson.SHIPPED)
    assert (cfg.dim, cfg.heads, cfg.blocks) == (64, 2, 1)
    assert all(torch.isfinite(p).all() for p in net.parameters())
    log = lesson.SHIPPED.with_suffix(".csv").read_text(encoding="utf-8").splitlines()
    assert log[0] == "epoch,loss,train,val" and len(log) == 1 + cfg.epochs
    assert lesson.SHIPPED.parent == ROOT / "checkpoints"


def test_another_size_is_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = []

    def train(cfg, run, data, arm, seed, epochs, name=""):
        told.append((arm, epochs, name))
        row = {"epoch": 1, "loss": 1.5, "train": 0.25, "val": 0.5}
        return lesson.photo_net(cfg, arm, seed), [row]

    monkeypatch.setattr(lesson, "train_photos", train)
    cfg = lesson.Config(device="cpu", out_dir=tmp_path, epochs=4, **SMALL)
    run = lesson.Run("test", cfg, torch.device("cpu"))
    lesson.long_network(cfg, run, None)
    assert told == [("SSA", 4, "long")]
    assert (run.dir / "log.csv").read_text() == "epoch,loss,train,val\n1,1.5000,0.2500,0.5000\n"


# -------------------------------------------------------------------- 6  cost


class Pair(nn.Module):
    """Answers with two things, as NeuroBench expects of snnTorch's networks."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x_t: Tensor) -> tuple[Tensor, None]:
        return self.net(x_t), None


def test_operations_against_neurobench() -> None:
    """Where all between layers is 0 or 1 NeuroBench counts the same additions; Q, K, V come on top."""
    net, x = alive("SSA, membrane"), lesson.encode(torch.rand(4, 3, 32, 32), 3)
    found, theirs = lesson.operations(net, x), workload(Pair(net).eval(), x)
    core = sum(min(lesson.additions(*qkv).values()) for qkv in lesson.heard(net, x)) / 4
    assert found["core_adds"] == pytest.approx(core) and core > 0
    assert found["adds"] - core == pytest.approx(theirs["acs"], rel=1e-5)
    assert found["macs"] == pytest.approx(theirs["macs"] / 3, rel=1e-5), "a still image, once"
    assert found["core_macs"] == found["exponentials"] == 0
    stem, block = 8 * 16**2 + 16 * 8**2, 8 * 16 * 8**2  # a block: 1, Q, K, V, 1, 1 and a hidden 2
    neurons = stem + 2 * block + 16 * 8**2
    assert found["updates"] == 3 * neurons


def test_operations_of_an_ann_skip_zeros_too() -> None:
    net, x = alive("ANN"), lesson.encode(torch.rand(4, 3, 32, 32), 1)
    found = lesson.operations(net, x)
    seen = []
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(
                lambda m, args, out: seen.append((m, (args[0] != 0).float()))
            )
    with torch.no_grad():
        net.run(x)
        total = 0.0
        for layer, ones in seen:
            size = layer.kernel_size[0]
            weight = torch.ones(layer.out_channels, layer.in_channels, size, size)
            total += F.conv2d(ones, weight, padding=layer.padding).sum().item()
    tokens, d, heads, blocks = 64, 8, 2, 2
    core = 2 * blocks * heads * tokens**2 * d  # real numbers: nothing is zero
    assert found["core_macs"] == pytest.approx(core, rel=0.01) and found["adds"] == 0
    assert found["macs"] == pytest.approx(total / 4 + core + 16 * 10, rel=1e-3)
    assert found["exponentials"] == blocks * heads * tokens**2 and found["updates"] == 0


def test_operations_of_a_core() -> None:
    q, k, v = bits(2, 3, 2, 9, 5)
    assert lesson.core_operations(lesson.own_value, q, k, v, True) == {}
    soft = lesson.core_operations(lesson.softmax_attention, q, k, v, True)
    both = torch.einsum("tbhic,tbhjc->", q, k).item()
    assert soft == {
        "core_adds": pytest.approx(both + 9 * v.sum().item()),
        "exponentials": 2 * 3 * 2 * 81,
    }
    counted = lesson.additions(q, k, v)
    spiking = lesson.core_operations(lesson.spiking_attention, q, k, v, True)
    assert spiking == {"core_adds": min(counted.values())}


def test_without_attention_nothing_unread_is_counted() -> None:
    """Its additions are those of SSA's layers but Q and K; a network without them runs and steps."""
    x = lesson.encode(torch.rand(2, 3, 32, 32), 2)
    net = alive("no attention")
    names = {name for name, *_ in lesson.calls(net, x)}
    assert any(".attention.value." in name for name in names)
    assert not any(".query." in name or ".key." in name for name in names)
    found = lesson.operations(net, x)
    assert found["core_adds"] == 0 and found["adds"] > 0


def test_another_core_is_another_sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--resume` takes over nothing that an edited core, task or arm would have made otherwise."""
    seen = []
    monkeypatch.setattr(
        "training.seeds.sweep", lambda run, work, tasks, marks, resume: seen.append(marks) or []
    )
    cfg = lesson.Config(out_dir=tmp_path, seeds=2)
    run = lesson.Run("test", cfg, torch.device("cpu"))

    def marks(arms: dict = lesson.MEMORIES, *code: object) -> dict[str, str]:
        built = lesson.built_from(*code)
        with pytest.raises(KeyError):  # no training took place
            lesson.all_trainings(run, lesson.train_memory, arms, [1], built)
        return seen[-1]

    usual = marks()
    assert usual == marks()
    other = marks(lesson.MEMORIES | {"SSA": {"core": lesson.sharp_attention}})
    assert {k for k in usual if usual[k] != other[k]} == {f"train_memory SSA {s}" for s in (0, 1)}
    assert not set(usual.values()) & set(marks(lesson.MEMORIES, lesson.memory_task).values())
    monkeypatch.setattr(lesson, "CORES", lesson.CORES[:-1])
    assert not set(usual.values()) & set(marks().values())


def test_what_section_6_publishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("adds", "macs", "core_adds", "core_macs", "exponentials", "updates")
    costs = {
        "SSA": (1000.0, 100.0, 50.0, 0.0, 0.0, 20.0),
        "softmax": (1100.0, 100.0, 90.0, 0.0, 8.0, 20.0),
        "no attention": (950.0, 100.0, 0.0, 0.0, 0.0, 16.0),
        "ANN": (0.0, 900.0, 0.0, 300.0, 4.0, 0.0),
        "long": (4000.0, 200.0, 100.0, 0.0, 0.0, 20.0),
    }
    nets = {name: alive("SSA") for name in costs}
    known = {id(net): name for name, net in nets.items()}
    monkeypatch.setattr(
        lesson, "operations", lambda net, x: dict(zip(names, costs[known[id(net)]], strict=True))
    )
    tests = {"SSA": [0.50, 0.52], "ANN": [0.55, 0.55]}
    arms = {a: lesson.Arm(tests.get(a, [0.5, 0.5]), nets[a]) for a in costs if a != "long"}
    data = marked_splits((3, 32, 32))
    trained = lesson.Trained(nets["long"], data, 0.72)
    given = {4: arms, 5: trained}
    monkeypatch.setattr("common.run.Run.result_of", lambda self, section: given[section.number])
    run = run_section(lesson.section_cost, tmp_path, seeds=2)
    ssa, ann = 0.9 * 1000 + 4.6 * 100, 4.6 * 900
    assert run.value("energy") == pytest.approx(ann / ssa)
    assert run.value("core_energy") == pytest.approx(4.6 * 300 / (0.9 * 50))
    assert run.value("core_adds") == 50 and run.value("core_macs") == 300
    assert run.value("core_share") == pytest.approx(0.025)
    assert run.value("gap_ann") == pytest.approx(4)
    (row,) = run.ledger_rows
    assert (row["accuracy"], row["synops"], row["macs"], row["n"]) == (0.72, 4000, 200, 40)
    assert row["energy_estimated_nj"] == pytest.approx((0.9 * 4000 + 4.6 * 200) / 1000)
    assert row["parameters"] == sum(p.numel() for p in nets["long"].parameters())
    text = run.findings[0]["text"]
    assert "reads +4.0 ± 12.7 points (not shown to differ)" in text
    assert (
        "SSA makes 50 additions an image in Q·Kᵀ·V. A softmax of the same spikes makes 90" in text
    )
    assert "and 8 exponentials, which are not priced" in text
    assert f"takes {100 * (1 - ssa / (0.9 * 1100 + 460)):.1f} % less energy" in text
    assert (
        f"takes {ann / ssa:.1f} times SSA's energy, or {ann / (ssa + 5.5 * 20):.1f} times with"
        in text
    )
    assert f"which take {5.5 * 20 / 45:.0f} times the energy of its Q·Kᵀ·V" in text
    shown = lesson.encode(data.x_test[:100].float() / 255, run.cfg.num_steps)
    qkv = lesson.heard(nets["SSA"], shown)
    first = sum(lesson.additions(*bits)["(QKᵀ)V"] for bits in qkv) / len(data.x_test[:100])
    factors = (
        f"5.1 by the operation × {first / 50:.1f} by the order × {300 / first:.1f} by skipped zeros"
    )
    assert factors in text and f"takes 1/{4.6 / 0.9 * 300 / 50:.0f}: 5.1" in text
    first_row, last_row = (table["rows"] for table in run.extra["tables"])
    assert len(first_row) == len(last_row) == 5
    saved = (4.6 * 300 - 0.9 * 50) / (ann - ssa)
    assert f"Of what SSA saves against it, {100 * saved:.0f} % is saved in Q·Kᵀ·V" in text
    assert f"{100 * 4.6 * 100 / ssa:.0f} % is the first convolution" in text


@pytest.mark.parametrize(
    "flags",
    [
        ("--dim", "7"),
        ("--heads", "0"),
        ("--short-images", "5"),
        ("--seeds", "1"),
        ("--lr", "nan"),
        ("--heads", "5"),
        ("--blocks", "two"),
    ],
)
def test_bad_flags_end_in_one_line(
    flags: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    check_refused(lesson, flags, capsys, tmp_path)
