"""What is kept for backward: spikes as bits, and a long sequence in segments. The gradients stay the same."""

from __future__ import annotations

from typing import Any

from common.spiking import constant_current, over_time
from multistep import bits, over_segments, saved_for_backward, spikes_as_bits, unroll

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(1,), (8,), (3, 7, 5), (2, 3, 4, 5, 6)])
def test_bits_are_the_spikes(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    spk = (torch.rand(shape) > 0.5).to(dtype)
    found = bits.pack(spk == 1)
    assert found.dtype == torch.uint8 and len(found) == -(-spk.numel() // 8)
    again = bits.unpack(found, list(shape), dtype)
    assert again.dtype == dtype and torch.equal(again, spk)


def test_what_is_kept_as_bits_and_what_is_not() -> None:
    spk = (torch.rand(4, 6, 10, 10) > 0.7).float()
    images = spk.to(memory_format=torch.channels_last)
    for tensor in (spk, images, spk.transpose(0, 1), spk.bfloat16()):
        saved = bits._pack_if_spikes(tensor)
        assert isinstance(saved, bits.Bits) and saved.tensor.nbytes * 8 == tensor.numel()
        again = saved.restored()
        assert torch.equal(again, tensor) and again.stride() == tensor.stride()
    late = torch.zeros(5000)
    late[4000] = 0.5
    nan = torch.zeros(5000)
    nan[4000] = torch.nan
    others = [late, nan, torch.rand(5000), spk[:1, :1], spk.long(), nn.Parameter(spk)]
    for tensor in (*others, torch.ones(1, 1, 5).expand(40, 40, 5)):
        saved = bits._pack_if_spikes(tensor)
        assert not isinstance(saved, bits.Bits) and saved.restored().shape == tensor.shape


class Net(nn.Module):
    """A convolution and a dense layer over spikes, with parts that are not spikes in between."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 6, 3)
        self.fc = nn.Linear(6 * 8 * 8, 5)
        self.lifs = nn.ModuleList(snn.Leaky(beta=0.9, learn_beta=True) for _ in range(3))

    def run(self, x: Tensor) -> Tensor:
        spk, _, _ = unroll(self.lifs[0], over_time(self.conv1, 3 * x))
        spk, _, _ = unroll(self.lifs[1], over_time(self.conv2, 3 * spk))
        return unroll(self.lifs[2], over_time(self.fc, spk.flatten(2)), record_mem=True)[1]


def test_the_same_gradients_from_bits() -> None:
    torch.manual_seed(0)
    net, x, kept, grads = Net(), torch.rand(6, 4, 1, 12, 12), [], []
    leave_out = [*net.parameters(), x]
    for as_bits in (False, True):
        net.zero_grad()
        with saved_for_backward(leave_out) as count:
            if as_bits:
                with spikes_as_bits():
                    mem_rec = net.run(x)
            else:
                mem_rec = net.run(x)
            kept.append(count())
        mem_rec.square().sum().backward()
        grads.append([p.grad.clone() for p in net.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))
    dense = 6 * 4 * 6 * 8 * 8  # numbers in the input of the dense layer
    assert kept[0] - kept[1] >= dense * 4 * 31 / 32


class Long(nn.Module):
    """784–H–10 in small, over many steps."""

    def __init__(self, num_hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(16, num_hidden), nn.Linear(num_hidden, 10)
        self.lif1, self.lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

    def run(self, x: Tensor, state: Any = None) -> Any:
        state1, state2 = state or (None, None)
        spk1, _, state1 = unroll(self.lif1, over_time(self.fc1, x), state1)
        _, mem2, state2 = unroll(self.lif2, over_time(self.fc2, spk1), state2, record_mem=True)
        return (mem2,), (state1, state2)

    def loop(self, x: Tensor) -> Tensor:
        mem1, mem2, mem_rec = self.lif1.reset_mem(), self.lif2.reset_mem(), []
        for x_t in x:
            spk1, mem1 = self.lif1(self.fc1(x_t), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            mem_rec.append(mem2)
        return torch.stack(mem_rec)


def test_a_thousand_steps_in_a_tenth_of_the_memory() -> None:
    """Of the loop's, the states at the cuts included; and the gradients are those of the whole."""
    torch.manual_seed(0)
    net, x = Long(64), constant_current(torch.rand(2, 16), 1000)
    leave_out, kept, grads = [x, *net.parameters(), *net.buffers()], [], []
    with saved_for_backward(leave_out) as count:
        mem_rec = net.loop(x[:100])  # at every step the same
        loop = 10 * count()
    for forward in (lambda: net.run(x)[0][0], lambda: over_segments(net.run, x)[0][0]):
        net.zero_grad()
        with saved_for_backward(leave_out) as count:
            mem_rec = forward()
            kept.append(count())
        mem_rec.mean().backward()
        grads.append([p.grad.clone() for p in net.parameters()])
    assert kept[1] <= 0.1 * loop and kept[1] <= 0.1 * kept[0], (*kept, loop)
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)
