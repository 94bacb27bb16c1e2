"""A residual spiking network for one GPU: its size, its recipe, and a loop that costs the processor nothing.

A layer is convolution, BatchNorm and LIF neurons; a block is one layer that halves the map, and layers of the same
width whose spikes are added to their input (SEW). Muon moves the filters, AdamW the rest; the rate rises over the
first tenth of the updates and falls to zero in a straight line. All images stay on the GPU in bfloat16. A whole
update, optimiser included, is recorded once as a CUDA graph and replayed from then on, since at two time steps the
processor takes longer to launch hundreds of kernels than the GPU to run them.

The first updates run with one time step, which is half the work, and the last with two. The trained network is shown
each image for more steps than that, since two steps say little: that costs operations, and no time of training.

No GPU has run this yet: the recipe is a guess until it has been judged by held-back images.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from common.spiking import constant_current, over_time
from multistep import fast_number, norm_and_fire
from training.muon import MuonAdamW, up_and_down

import snntorch as snn
import torch
import torch.nn.functional as F
from snntorch import surrogate
from torch import Tensor, nn

BETA = 0.5
EAGER = 3
"""updates that are launched one kernel at a time before the graph is recorded, so that everything is allocated"""


@dataclass(frozen=True)
class Recipe:
    """Size and training of the network."""

    channels: tuple[int, ...] = (64, 128, 256, 512)
    """of the first layer, and of each block behind it"""
    shortcuts: int = 1
    """layers of a block that have a way around them"""
    stages: tuple[tuple[float, int], ...] = ((1.0, 2),)
    """shares of the training, and the time steps T in each"""
    judged_steps: int = 4
    """time steps for which the trained network is shown an image"""
    epochs: int = 30
    batch_size: int = 512
    lr: float = 0.1
    """highest rate of the filters"""
    rest: float = 5e-3
    """and of all else"""
    shift: int = 2
    """pixels by which an image may be moved"""
    hole: int = 0
    """side of a square that is blanked in each training image"""
    smoothing: float = 0.1
    whitened: bool = True
    """whether the first filters start from whitened patches"""
    graph: bool = True
    """whether updates are replayed as CUDA graphs"""


RECIPE = Recipe(epochs=40, stages=((0.5, 1), (0.5, 2)), hole=8)


def train(x: Tensor, y: Tensor, seed: int, device: torch.device) -> nn.Module:
    """Train on uint8 images ``x (N, 3, 32, 32)`` with labels ``y (N,)``, on the device where they are."""
    return fit(RECIPE, x, y, seed)


# ---------------------------------------------------------------- the network


class Conv(nn.Conv2d):
    """A 3×3 convolution in the number type of its input; its weights are kept in float32."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, kernel_size=3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C_in, H, W)`` → ``(N, C_out, H, W)``."""
        weight = self.weight.to(x.dtype, memory_format=torch.channels_last)
        return F.conv2d(x, weight, padding=1)


class Layer(nn.Module):
    """Convolution → BatchNorm → LIF neurons; ``pool`` halves the map, ``shortcut`` adds the input."""

    def __init__(self, c_in: int, c_out: int, pool: bool = False, shortcut: bool = False) -> None:
        super().__init__()
        self.pool, self.shortcut = pool, shortcut
        self.conv, self.norm = Conv(c_in, c_out), nn.BatchNorm2d(c_out)
        self.lif = snn.Leaky(beta=BETA, spike_grad=surrogate.atan(2.0))

    def convolve(self, x: Tensor) -> Tensor:
        """The part without a state: ``(N, C_in, H, W)`` → ``(N, C_out, H, W)``, or half of H and W."""
        cur = self.conv(x)
        return F.max_pool2d(cur, 2) if self.pool else cur

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest, ``(T, B, C_in, H, W)`` → ``(T, B, C_out, H, W)``."""
        cur = over_time(self.convolve, x)  # the image, which stays, is convolved once
        return norm_and_fire(self.norm, self.lif, cur, x if self.shortcut else None)


class Net(nn.Module):
    """The first layer, the blocks, and a linear layer that reads the mean over time and places."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.num_steps = recipe.judged_steps
        self.number = torch.float32
        first, *blocks = recipe.channels
        layers, c_in = [Layer(3, first)], first
        for c_out in blocks:
            layers.append(Layer(c_in, c_out, pool=True))
            layers += [Layer(c_out, c_out, shortcut=True) for _ in range(recipe.shortcuts)]
            c_in = c_out
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(c_in, 10)
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("scale", torch.ones(3, 1, 1))

    def prepared(self, x: Tensor) -> Tensor:
        """uint8 images ``(B, 3, H, W)`` → currents of mean 0 and variance 1 over the training images."""
        cur = (x.float() - self.mean) / self.scale
        return cur.to(self.number, memory_format=torch.channels_last)

    def current(self, x: Tensor, num_steps: int) -> Tensor:
        """Currents ``(B, 3, H, W)``, shown at each step → the read-out's mean current ``(B, 10)``."""
        spk = constant_current(x, num_steps)  # (T, B, 3, H, W)
        for layer in self.layers:
            spk = layer.run(spk)
        return self.fc(spk.float().mean((0, 3, 4)))

    def classify(self, x: Tensor) -> Tensor:
        """uint8 images ``(B, 3, H, W)`` → classes ``(B,)``."""
        return self.current(self.prepared(x), self.num_steps).argmax(1)


@torch.no_grad()
def look_at(net: Net, x: Tensor, whitened: bool) -> None:
    """Fit what stands in front of the neurons to the training images ``x (N, 3, H, W)``.

    Neighbouring pixels are alike, so random filters see little but how bright a patch is, all of them the same. In
    the basis of the patches' principal components, each divided by its deviation, they see different things.
    """
    pixels = x[:10_000].float()
    net.mean.copy_(pixels.mean((0, 2, 3)).view(3, 1, 1))
    net.scale.copy_(pixels.std((0, 2, 3)).view(3, 1, 1))
    if not whitened:
        return
    cur = ((pixels[:1000] - net.mean) / net.scale).float()
    patches = F.unfold(cur, 3).transpose(1, 2).flatten(0, 1)  # (1000·30·30, 27)
    variance, axes = torch.linalg.eigh((patches.T @ patches / len(patches)).cpu())
    filters = net.layers[0].conv.weight
    mixed = torch.randn(len(filters), len(axes))
    mixed = (mixed / (variance + 0.01 * variance.mean()).sqrt()) @ axes.T
    filters.copy_(F.normalize(mixed, dim=1).view_as(filters))


# ---------------------------------------------------------------- images


class Photos:
    """The training images, on the GPU, and what an epoch shows of them."""

    def __init__(self, net: Net, x: Tensor, recipe: Recipe, seed: int) -> None:
        self.shift, self.hole = recipe.shift, recipe.hole
        self.draw = torch.Generator(x.device).manual_seed(seed)
        around = (self.shift,) * 4
        parts = [F.pad(net.prepared(part), around, mode="reflect") for part in x.split(5000)]
        self.padded = torch.cat(parts).permute(0, 2, 3, 1).contiguous()  # (N, H + 2·shift, …, 3)
        self.mirrored = self.random(2, len(x))

    def random(self, high: int, *shape: int) -> Tensor:
        """Whole numbers from 0 to ``high`` − 1."""
        return torch.randint(high, shape, generator=self.draw, device=self.draw.device)

    def order(self, count: int) -> Tensor:
        """``count`` images, each at most once."""
        return torch.randperm(len(self.padded), generator=self.draw, device=self.draw.device)[
            :count
        ]

    def shown(self, order: Tensor, epoch: int) -> Tensor:
        """The images ``order (N,)``: moved, and mirrored in every other epoch; ``(N, 3, H, W)``, channels last."""
        N, side = len(order), self.padded.shape[1] - 2 * self.shift
        place = torch.arange(side, device=order.device)
        mirrored = (self.mirrored[order] + epoch) % 2 == 1
        down, right = self.random(2 * self.shift + 1, 2, N, 1, 1)
        rows = place.view(1, side, 1) + down
        cols = torch.where(mirrored.view(N, 1, 1), side - 1 - place, place) + right
        images = self.padded[order.view(N, 1, 1), rows, cols]  # (N, H, W, 3)
        if self.hole:
            top, left = self.random(side + 1 - self.hole, 2, N, 1, 1)
            down, right = place.view(1, side, 1) - top, place.view(1, 1, side) - left
            blank = (down >= 0) & (down < self.hole) & (right >= 0) & (right < self.hole)
            images.masked_fill_(blank[..., None], 0)
        return images.permute(0, 3, 1, 2)


# ---------------------------------------------------------------- training


class Trainer:
    """Updates of one network. After the first ones with T steps, a recorded graph is replayed."""

    def __init__(self, net: Net, recipe: Recipe, images: Tensor, labels: Tensor, updates: int):
        self.net, self.smoothing = net, recipe.smoothing
        self.images, self.labels = images.clone(), labels.clone()  # of the batch at hand
        device = images.device
        factors = [up_and_down(i / updates) for i in range(updates)]
        self.factors = torch.tensor(factors, device=device)
        self.done = torch.zeros(1, dtype=torch.long, device=device)
        self.on_gpu = device.type == "cuda"
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.launched: dict[int, int] = {}
        self.as_graph = recipe.graph and self.on_gpu
        self.side = torch.cuda.Stream() if self.as_graph else None
        filters = [layer.conv.weight for layer in net.layers]
        taken = {id(weight) for weight in filters}
        others = [p for p in net.parameters() if id(p) not in taken]
        groups = []
        for params, rate, muon in ((filters, recipe.lr, True), (others, recipe.rest, False)):
            lr = torch.zeros((), device=device)  # a tensor, so that a graph can change it
            group = {"params": params, "lr": lr, "highest": rate, "muon": muon}
            groups.append({**group, "capturable": self.on_gpu, "fused": self.on_gpu})
        self.optimizer = MuonAdamW(groups, number=net.number)

    def launch(self, num_steps: int) -> None:
        """One update, a kernel at a time."""
        factor = self.factors[self.done]
        for group in self.optimizer.param_groups:
            group["lr"].copy_(group["highest"] * factor[0])
        out = self.net.current(self.images, num_steps)
        loss = F.cross_entropy(out, self.labels, label_smoothing=self.smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.done += 1

    def update(self, images: Tensor, labels: Tensor, num_steps: int) -> None:
        """One update with ``num_steps`` time steps."""
        self.images.copy_(images)
        self.labels.copy_(labels)
        if num_steps in self.graphs:
            self.graphs[num_steps].replay()
        elif not self.as_graph:
            self.launch(num_steps)
        elif self.launched.get(num_steps, 0) < EAGER:
            self.launched[num_steps] = self.launched.get(num_steps, 0) + 1
            self.side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.side):
                self.launch(num_steps)
            torch.cuda.current_stream().wait_stream(self.side)
        else:
            self.optimizer.zero_grad()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):  # records, and computes nothing
                self.launch(num_steps)
            self.graphs[num_steps] = graph
            graph.replay()


def steps_at(stages: tuple[tuple[float, int], ...], progress: float) -> int:
    """The time steps T when a share ``progress`` of the training is over."""
    until = 0.0
    for share, num_steps in stages:
        until += share
        if progress < until:
            return num_steps
    return stages[-1][1]


def fit(recipe: Recipe, x: Tensor, y: Tensor, seed: int) -> Net:
    """Train a network on uint8 images ``x (N, 3, H, W)`` with labels ``y (N,)``; whole batches only."""
    warnings.filterwarnings(
        "ignore", message=".*capturable=True.*"
    )  # the first updates are launched
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(seed)
    net = Net(recipe).to(x.device)
    net.number = fast_number(x.device)
    look_at(net, x, recipe.whitened)
    photos = Photos(net, x, recipe, seed)
    size = min(recipe.batch_size, len(x))
    batches = len(x) // size
    updates = recipe.epochs * batches
    trainer, done = None, 0
    for epoch in range(recipe.epochs):
        order = photos.order(batches * size)
        images, labels = photos.shown(order, epoch), y[order]
        for images_b, labels_b in zip(images.split(size), labels.split(size), strict=True):
            if trainer is None:
                trainer = Trainer(net, recipe, images_b, labels_b, updates)
            trainer.update(images_b, labels_b, steps_at(recipe.stages, done / updates))
            done += 1
    return net
