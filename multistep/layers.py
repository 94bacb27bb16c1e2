"""A convolution, BatchNorm and neurons as one layer of lesson 18; lesson 10 has the same in its plain form.

In the place of neurons ``kind`` may put ReLU (``"relu"``), or nothing (``"real"``: currents go on as they are).
"""

from __future__ import annotations

from common.spiking import over_time
from multistep.normalised import unroll_normalised

import snntorch as snn
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BETA = 0.5  # share of the potential that is left after one step


class Conv(nn.Conv2d):
    """A convolution that computes in numbers of the type ``number``; its weights are kept in float32."""

    def __init__(self, c_in: int, c_out: int, size: int, stride: int, number: torch.dtype) -> None:
        padding = size // 2 if stride == 1 else 0
        super().__init__(c_in, c_out, size, stride, padding, bias=False)
        self.number = number

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C_in, H, W)`` → ``(N, C_out, H', W')``."""
        weight = self.weight.to(self.number, memory_format=torch.channels_last)
        return F.conv2d(x.to(self.number), weight, stride=self.stride, padding=self.padding)


class Neurons(nn.Module):
    """BatchNorm and then LIF neurons; in their place ReLU, or nothing, where ``kind`` says so."""

    def __init__(self, channels: int, kind: str = "spikes") -> None:
        super().__init__()
        self.kind = kind  # "spikes", "relu" or "real"
        self.norm = nn.BatchNorm2d(channels)
        if kind == "spikes":
            self.lif = snn.Leaky(beta=BETA, init_hidden=True)

    def forward(self, cur: Tensor) -> Tensor:
        """One step after training, ``(B, C, H, W)`` → the same shape."""
        cur = self.norm(cur.float())
        if self.kind == "spikes":
            return self.lif(cur)
        return F.relu(cur) if self.kind == "relu" else cur

    def run(self, cur: Tensor) -> Tensor:
        """All steps from rest, ``(T, B, C, H, W)`` → the same shape."""
        if self.kind == "spikes":
            return unroll_normalised(self.norm, self.lif, cur)
        return over_time(self.forward, cur)


class Layer(nn.Module):
    """Convolution, max pooling if ``pool``, BatchNorm and neurons. Size 1: each token by itself."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        size: int = 1,
        *,
        stride: int = 1,
        pool: bool = False,
        kind: str = "spikes",
        number: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.pool = pool
        self.conv = Conv(c_in, c_out, size, stride, number)
        self.neurons = Neurons(c_out, kind)

    def convolve(self, x: Tensor) -> Tensor:
        """The part without a state."""
        cur = self.conv(x)
        return F.max_pool2d(cur, 2) if self.pool else cur

    def forward(self, x_t: Tensor) -> Tensor:
        """One step after training: ``(B, C_in, H, W)`` → ``(B, C_out, H', W')``."""
        return self.neurons(self.convolve(x_t))

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest: ``(T, B, C_in, H, W)`` → ``(T, B, C_out, H', W')``."""
        return self.neurons.run(over_time(self.convolve, x))
