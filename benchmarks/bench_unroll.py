"""Forward and backward over a whole sequence: our unroll, snnTorch's loop, other libraries, the bare linear layers.

    uv run benchmarks/bench_unroll.py                                       about two minutes on two CPU cores
    uv run --with spikingjelly --with norse benchmarks/bench_unroll.py      with the other libraries beside it

All contenders have the same weights and the same input and take turns; the tables show medians. The libraries do
the same amount of work, not the same sum: SpikingJelly decays what is left after the reset, β(U − θ), and Norse
resets to zero.
"""

from __future__ import annotations

import _root  # noqa: F401

from collections.abc import Callable
from typing import Any

from common.spiking import constant_current, over_time
from multistep import over_segments, step_through, unroll

import snntorch as snn
import torch
from side_by_side import Bench, kept_bytes, peer_versions, peers, race, start
from torch import nn

BETA = 0.9
Forward = Callable[[], torch.Tensor]


def train_steps(forwards: dict[str, Forward], net: nn.Module) -> dict[str, Callable[[], None]]:
    """Forward, the sum of the output, backward."""

    def step(forward: Forward) -> None:
        for p in net.parameters():
            p.grad = None
        forward().sum().backward()

    return {name: (lambda f=f: step(f)) for name, f in forwards.items()}


def report(
    bench: Bench, title: str, forwards: dict[str, Forward], net: nn.Module, x: torch.Tensor
) -> dict[str, Any]:
    """Time and memory of each contender as a table; returns them by name."""
    ms = race(train_steps(forwards, net), bench.args.repeats, bench.device)
    leave_out = [*net.parameters(), *net.buffers(), x]
    kept = {name: kept_bytes(forward, leave_out) / 1e6 for name, forward in forwards.items()}
    columns = ["", "ms", "speed against the loop", "MB kept for backward"]
    loop = ms["snnTorch loop"]
    rows = [[name, f"{t:.1f}", f"{loop / t:.2f}×", f"{kept[name]:.2f}"] for name, t in ms.items()]
    if bench.device.type == "cuda":
        columns.append("peak MB")
        for row, name in zip(rows, ms, strict=True):
            torch.cuda.reset_peak_memory_stats(bench.device)
            train_steps(forwards, net)[name]()
            row.append(f"{torch.cuda.max_memory_allocated(bench.device) / 1e6:.0f}")
    bench.table(title, columns, rows)
    return {"ms": ms, "kept": kept}


# ------------------------------------------------------------------------------------ a fully connected network


class Dense(nn.Module):
    """784–1000–10 as in snnTorch's tutorial 5."""

    def __init__(self, num_inputs: int, num_hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(num_inputs, num_hidden), nn.Linear(num_hidden, 10)
        self.lif1, self.lif2 = snn.Leaky(beta=BETA), snn.Leaky(beta=BETA)

    def ours(self, x: torch.Tensor) -> torch.Tensor:
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))
        return unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)[1]

    def recomputed(self, x: torch.Tensor) -> torch.Tensor:
        def run(x: torch.Tensor, state: Any) -> Any:
            state1, state2 = state or (None, None)
            spk1, _, state1 = unroll(self.lif1, over_time(self.fc1, x), state1)
            _, mem2, state2 = unroll(self.lif2, over_time(self.fc2, spk1), state2, record_mem=True)
            return (mem2,), (state1, state2)

        return over_segments(run, x)[0][0]

    def loop(self, x: torch.Tensor) -> torch.Tensor:
        mem1, mem2, mem_rec = self.lif1.reset_mem(), self.lif2.reset_mem(), []
        for x_t in x:
            spk1, mem1 = self.lif1(self.fc1(x_t), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            mem_rec.append(mem2)
        return torch.stack(mem_rec)

    def bare(self, x: torch.Tensor) -> torch.Tensor:
        return over_time(self.fc2, over_time(self.fc1, x).contiguous())


def spiking_jelly(neuron: Any, mode: str) -> Any:
    """Leaky as SpikingJelly has it: U ← βU + I, soft reset at once."""
    from spikingjelly.activation_based import surrogate

    return neuron.LIFNode(
        tau=1 / (1 - BETA),
        decay_input=False,
        v_threshold=1.0,
        v_reset=None,
        detach_reset=True,
        surrogate_function=surrogate.ATan(),
        step_mode=mode,
    )


def norse_cell(norse: Any) -> Any:
    """Leaky as Norse has it: U ← U + (1 − β)(I − U), so that θ = 1 − β stands for our 1."""
    return norse.LIFBoxCell(
        p=norse.LIFBoxParameters(
            tau_mem_inv=torch.tensor((1 - BETA) / 1e-3), v_th=torch.tensor(1 - BETA)
        )
    )


def dense_peers(found: dict[str, Any], net: Dense, x: torch.Tensor) -> dict[str, Forward]:
    """The same network in the libraries that are there."""
    out: dict[str, Forward] = {}
    if "SpikingJelly" in found:
        from spikingjelly.activation_based import functional

        multi = [spiking_jelly(found["SpikingJelly"], "m") for _ in range(2)]
        single = [spiking_jelly(found["SpikingJelly"], "s") for _ in range(2)]

        def run_multi() -> torch.Tensor:
            for m in multi:
                functional.reset_net(m)
            return multi[1](over_time(net.fc2, multi[0](over_time(net.fc1, x))))

        def run_single() -> torch.Tensor:
            for m in single:
                functional.reset_net(m)
            return torch.stack([single[1](net.fc2(single[0](net.fc1(x_t)))) for x_t in x])

        out |= {"SpikingJelly, multi-step": run_multi, "SpikingJelly, single-step": run_single}
    if "Norse" in found:
        cells = [norse_cell(found["Norse"]) for _ in range(2)]

        def run_norse() -> torch.Tensor:
            state1, state2, spk_rec = None, None, []
            for x_t in x:
                spk1, state1 = cells[0](net.fc1(x_t), state1)
                spk2, state2 = cells[1](net.fc2(spk1), state2)
                spk_rec.append(spk2)
            return torch.stack(spk_rec)

        out["Norse"] = run_norse
    return out


def bench_dense(bench: Bench, found: dict[str, Any]) -> list[float]:
    """Constant and time-varying input. Returns SpikingJelly's multi-step time over ours for both, if it is there."""
    T, B, N, H = (3, 4, 20, 30) if bench.smoke else (25, 128, 784, 1000)
    net, against = Dense(N, H).to(bench.device), []
    varying = torch.rand(T, B, N, device=bench.device)
    for kind, x in (("constant", constant_current(varying[0], T)), ("time-varying", varying)):
        forwards = {
            "ours": lambda x=x: net.ours(x),
            "ours, recomputed in segments": lambda x=x: net.recomputed(x),
            "snnTorch loop": lambda x=x: net.loop(x),
            **dense_peers(found, net, x),
            "bare linear layers": lambda x=x: net.bare(x),
        }
        r = report(bench, f"{N}–{H}–10, T = {T}, B = {B}, {kind} input", forwards, net, x)
        ms = r["ms"]
        if kind == "constant":
            bench.claim(
                "constant",
                "constant input: snnTorch loop's time over ours",
                ms["snnTorch loop"] / ms["ours"],
                "×",
                ">= 2.5",
            )
        else:
            bench.claim(
                "varying_loop",
                "time-varying input: snnTorch loop's time over ours",
                ms["snnTorch loop"] / ms["ours"],
                "×",
            )
            bench.claim(
                "varying",
                "time-varying input: our time over the bare linear layers'",
                ms["ours"] / ms["bare linear layers"],
                "×",
                "<= 1.2",
            )
        if "SpikingJelly, multi-step" in ms:
            against.append(ms["SpikingJelly, multi-step"] / ms["ours"])
    return against


# ------------------------------------------------------------------------------------ a convolutional network


class Conv(nn.Module):
    """3×32×32 images: three 3×3 convolutions of 32, 64 and 64 channels, each with LIF and pooling, then 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(3, 32, 3, padding=1),
                nn.Conv2d(32, 64, 3, padding=1),
                nn.Conv2d(64, 64, 3, padding=1),
            ]
        )
        self.lifs = nn.ModuleList([snn.Leaky(beta=BETA) for _ in self.convs])
        self.pool, self.fc, self.lif_out = (
            nn.AvgPool2d(2),
            nn.Linear(64 * 16, 10),
            snn.Leaky(beta=BETA),
        )

    def over(
        self, x: torch.Tensor, neurons: list[Callable[[torch.Tensor], torch.Tensor]]
    ) -> torch.Tensor:
        """All steps of a layer at once, with the given multi-step neurons."""
        for conv, neuron in zip(self.convs, neurons, strict=False):
            x = over_time(self.pool, neuron(over_time(conv, x)))
        return neurons[-1](over_time(self.fc, x.flatten(2)))

    def stepped(
        self, x: torch.Tensor, neurons: list[Callable[[torch.Tensor], torch.Tensor]]
    ) -> torch.Tensor:
        """One step after the other, with the given single-step neurons."""
        out = []
        for x_t in x:
            for conv, neuron in zip(self.convs, neurons, strict=False):
                x_t = self.pool(neuron(conv(x_t)))
            out.append(neurons[-1](self.fc(x_t.flatten(1))))
        return torch.stack(out)

    def loop(self, x: torch.Tensor) -> torch.Tensor:
        lifs = [*self.lifs, self.lif_out]
        mems = [lif.reset_mem() for lif in lifs]

        def fire(i: int, cur: torch.Tensor) -> torch.Tensor:
            spk, mems[i] = lifs[i](cur, mems[i])
            return spk if i + 1 < len(lifs) else mems[i]

        return self.stepped(x, [lambda cur, i=i: fire(i, cur) for i in range(len(lifs))])


def bench_conv(bench: Bench, found: dict[str, Any]) -> list[float]:
    T, B = (2, 2) if bench.smoke else (4, 32)
    net = Conv().to(bench.device)
    x = constant_current(torch.rand(B, 3, 32, 32, device=bench.device), T)
    ours = [
        *(lambda c, lif=lif: unroll(lif, c)[0] for lif in net.lifs),
        lambda c: unroll(net.lif_out, c, record_mem=True)[1],
    ]
    forwards = {"ours": lambda: net.over(x, ours), "snnTorch loop": lambda: net.loop(x)}
    if "SpikingJelly" in found:
        from spikingjelly.activation_based import functional

        nodes = {m: [spiking_jelly(found["SpikingJelly"], m) for _ in range(4)] for m in "ms"}

        def run(mode: str, way: Callable[..., torch.Tensor]) -> torch.Tensor:
            for n in nodes[mode]:
                functional.reset_net(n)
            return way(x, nodes[mode])

        forwards |= {
            "SpikingJelly, multi-step": lambda: run("m", net.over),
            "SpikingJelly, single-step": lambda: run("s", net.stepped),
        }
    if "Norse" in found:
        cells = [norse_cell(found["Norse"]) for _ in range(4)]

        def run_norse() -> torch.Tensor:
            states: list[Any] = [None] * 4

            def fire(i: int, cur: torch.Tensor) -> torch.Tensor:
                spk, states[i] = cells[i](cur, states[i])
                return spk

            return net.stepped(x, [lambda cur, i=i: fire(i, cur) for i in range(4)])

        forwards["Norse"] = run_norse
    forwards["bare layers"] = lambda: net.over(x, [lambda c: c.contiguous()] * 3 + [lambda c: c])
    ms = report(bench, f"spiking CNN, 3×32×32, T = {T}, B = {B}, constant input", forwards, net, x)[
        "ms"
    ]
    bench.claim(
        "cnn",
        "CNN: snnTorch loop's time over ours",
        ms["snnTorch loop"] / ms["ours"],
        "×",
        ">= 1.5",
    )
    bench.claim(
        "cnn_limit",
        "CNN: snnTorch loop's time over that of the bare layers, which no neuron can beat",
        ms["snnTorch loop"] / ms["bare layers"],
        "×",
    )
    return [ms[n] / ms["ours"] for n in ms if n == "SpikingJelly, multi-step"]


# ------------------------------------------------------------------------------------ a recurrent network


class Recurrent(nn.Module):
    """One pixel a step: 1–128 (recurrent)–10, read by the mean of the hidden spikes' currents."""

    def __init__(self, num_hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(1, num_hidden), nn.Linear(num_hidden, 10)
        self.lif = snn.RLeaky(beta=BETA, linear_features=num_hidden)

    def ours(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(unroll(self.lif, self.fc1(x))[0])

    def recomputed(self, x: torch.Tensor) -> torch.Tensor:
        def run(x: torch.Tensor, state: Any) -> Any:
            spk, _, state = unroll(self.lif, self.fc1(x), state)
            return (self.fc2(spk),), state

        return over_segments(run, x, segments=5)[0][0]  # a fifth at a time is there

    def loop(self, x: torch.Tensor) -> torch.Tensor:
        spk, mem = self.lif.reset_mem()
        out = []
        for x_t in x:
            spk, mem = self.lif(self.fc1(x_t), spk, mem)
            out.append(self.fc2(spk))
        return torch.stack(out)


def bench_recurrent(bench: Bench, found: dict[str, Any]) -> None:
    T, B, H = (9, 2, 16) if bench.smoke else (784, 128, 128)
    net = Recurrent(H).to(bench.device)
    x = torch.rand(T, B, 1, device=bench.device)
    again = "ours, recomputed in 5 segments"
    forwards = {
        "ours": lambda: net.ours(x),
        again: lambda: net.recomputed(x),
        "snnTorch loop": lambda: net.loop(x),
    }
    fed_back = net.lif.recurrent
    if "SpikingJelly" in found:
        from spikingjelly.activation_based import functional

        node = spiking_jelly(found["SpikingJelly"], "s")

        def run_single() -> torch.Tensor:
            functional.reset_net(node)
            spk, out = torch.zeros(B, H, device=x.device), []
            for x_t in x:
                spk = node(net.fc1(x_t) + fed_back(spk))
                out.append(net.fc2(spk))
            return torch.stack(out)

        forwards["SpikingJelly, single-step"] = run_single
    if "Norse" in found:
        cell = norse_cell(found["Norse"])

        def run_norse() -> torch.Tensor:
            spk, state, out = torch.zeros(B, H, device=x.device), None, []
            for x_t in x:
                spk, state = cell(net.fc1(x_t) + fed_back(spk), state)
                out.append(net.fc2(spk))
            return torch.stack(out)

        forwards["Norse"] = run_norse
    repeats, bench.args.repeats = bench.args.repeats, max(1, bench.args.repeats // 2)
    r = report(bench, f"RLeaky, H = {H}, T = {T}, B = {B}", forwards, net, x)
    bench.args.repeats = repeats
    ms, kept = r["ms"], r["kept"]
    target = ">= 8" if bench.device.type == "cuda" else ">= 3"
    bench.claim(
        "rleaky",
        f"RLeaky, T = {T}: snnTorch loop's time over ours",
        ms["snnTorch loop"] / ms["ours"],
        "×",
        target,
    )
    bench.claim(
        "recompute_kept",
        "RLeaky, recomputed in 5 segments: bytes kept over those without",
        kept[again] / kept["ours"],
        "×",
        "<= 0.25",
    )
    bench.claim(
        "recompute_time",
        "RLeaky, recomputed in 5 segments: time over that without",
        ms[again] / ms["ours"],
        "×",
        "<= 1.4",
    )
    with torch.no_grad():
        forward = race({"ours": lambda: net.ours(x)}, bench.args.repeats, bench.device)["ours"]
    bench.claim(
        "forward_share", "RLeaky: share of the forward pass in our time", forward / ms["ours"], "1"
    )


# ------------------------------------------------------------------------------------ memory of one layer


def bench_memory(bench: Bench) -> None:
    """Bytes that a neuron layer by itself keeps, beside the loop's, with fixed and with learnt decay."""
    T, B, H = (6, 2, 8) if bench.smoke else (25, 128, 1000)
    cur = torch.rand(T, B, H, device=bench.device, requires_grad=True)
    one, rows, ratio = cur.numel() * 4, [], {}
    for name, make in (
        ("Leaky", lambda **k: snn.Leaky(beta=BETA, **k)),
        ("Synaptic", lambda **k: snn.Synaptic(alpha=0.8, beta=BETA, **k)),
        ("RLeaky", lambda **k: snn.RLeaky(beta=BETA, linear_features=H, **k)),
    ):
        for learnt in (False, True):
            neuron = make(learn_beta=learnt).to(bench.device)
            leave_out = [*neuron.parameters(), *neuron.buffers()]
            ours = kept_bytes(lambda n=neuron: unroll(n, cur), leave_out)
            loop = kept_bytes(lambda n=neuron: step_through(n, cur), leave_out)
            ratio[name, learnt] = ours / loop
            rows.append(
                [
                    name,
                    "learnt" if learnt else "fixed",
                    f"{ours / one:.2f}",
                    f"{loop / one:.2f}",
                    f"{ours / loop:.2f}",
                ]
            )
    bench.table(
        f"floats kept for backward by one layer, per neuron and step (T = {T}, B = {B}, N = {H})",
        ["neuron", "β", "ours", "snnTorch loop", "ratio"],
        rows,
    )
    bench.claim(
        "kept_fixed",
        "Leaky, fixed β: bytes kept until backward over the loop's",
        ratio["Leaky", False],
        "×",
        "<= 1.01",
    )
    bench.claim(
        "kept_learnt",
        "Leaky, learnt β: bytes kept until backward over the loop's",
        ratio["Leaky", True],
        "×",
        "<= 0.505",
    )


def main(bench: Bench) -> None:
    found = peers()
    against = bench_dense(bench, found) + bench_conv(bench, found)
    bench_recurrent(bench, found)
    bench_memory(bench)
    if against:
        bench.claim(
            "spikingjelly",
            "SpikingJelly's multi-step time over ours, smallest",
            min(against),
            "×",
            ">= 1",
        )
    bench.note = (
        f"Medians of {bench.args.repeats} interleaved runs of forward and backward with {bench.args.threads} "
        "thread(s). "
        + (f"Beside {peer_versions(list(found))}. " if found else "")
        + "Kept for backward leaves out parameters and input. The libraries do the same work, not the same "
        "sum: SpikingJelly decays what is left after the reset, β(U − θ), Norse resets to zero."
    )
    value = {c["id"]: c for c in bench.claims}
    if value["cnn"]["met"] is False:
        bare = value["cnn"]["value"] / value["cnn_limit"]["value"]
        bench.note += (
            f" CNN: {100 * bare:.0f} % of our time goes into convolutions and pooling, which the loop needs "
            "too; by PyTorch's profiler the rest is memory traffic of the neurons: spikes written, "
            "gradients of spikes and currents read and written once each."
        )
    if value["recompute_time"]["met"] is False:
        share = value["forward_share"]["value"]
        bench.note += (
            " Recomputing: four of five segments run forward twice, which alone makes "
            f"{1 + 0.8 * share:.2f}×; the rest is joining the segments' outputs and colder caches."
        )


if __name__ == "__main__":
    start(main, "bench_unroll", "forward and backward over a whole sequence", __doc__)
