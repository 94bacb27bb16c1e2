"""Lesson 13: its neurons and tasks against oracles, and every number it publishes against another way to it."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from common.io import ROOT
from common.lesson import begin
from multistep import sequence, unroll, unroll_adaptive
from multistep.adaptive import peak_gain
from training import arms as comparison
from training.augment import jitter
from training.clipped import warm_up

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import check_refused, load_script, run_section
from hypothesis import given
from hypothesis import strategies as st
from nets import Always, marked_splits
from scipy import stats

lesson = load_script("13_recurrent_snn")
KINDS = lesson.KINDS


@pytest.fixture(autouse=True)
def nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are looked at by people; their titles are what a test may read."""
    monkeypatch.setattr(
        lesson.Run, "figure", lambda self, fig, name, look="": lesson.plots.plt.close(fig)
    )


# -------------------------------------------------------------------- the neurons


def loop_by_hand(cur: np.ndarray, beta: float, rho: float, kappa: float) -> tuple[list, list, list]:
    """Equation (1) with plain numbers: potentials, traces, spikes."""
    mem = a = spk = 0.0
    rows: tuple[list, list, list] = ([], [], [])
    for c in cur:
        a = rho * a + spk
        mem = beta * mem + c - spk
        spk = float(mem > 1 + kappa * a)
        for row, value in zip(rows, (mem, a, spk), strict=True):
            row.append(value)
    return rows


def test_alif_is_equation_1_and_lif_is_snntorchs() -> None:
    cur = np.abs(np.sin(np.arange(80)))
    neuron = lesson.ALIF(20.0, 200.0, 0.5)
    _, _, wanted = loop_by_hand(cur, math.exp(-1 / 20), math.exp(-1 / 200), 0.5)
    assert [neuron(torch.tensor(c)).item() for c in cur] == wanted and sum(wanted) > 3
    current = torch.tensor(cur, dtype=torch.float32).reshape(80, 1)
    lif = lesson.LIF(20.0)
    spk, _, _ = unroll(snn.Leaky(beta=math.exp(-1 / 20)), current)
    assert torch.equal(torch.stack([lif(c) for c in current]), spk)


def test_adlif_swings_with_its_period_and_fades_with_tau() -> None:
    neuron = lesson.AdLIF(200.0, 40.0)
    mem = []
    for t in range(400):
        neuron(torch.tensor(0.1 if t == 0 else 0.0))
        mem.append(neuron.mem.item())
    mem = np.array(mem)
    ups = np.nonzero((mem[:-1] <= 0) & (mem[1:] > 0))[0]
    assert np.allclose(np.diff(ups), 40, atol=1.01)
    for start in (0, 40, 120):  # one period later the same, smaller by e^(−40/200)
        assert mem[start + 40 : start + 80] == pytest.approx(
            math.exp(-0.2) * mem[start : start + 40], abs=1e-6
        )


@pytest.mark.parametrize("name", [n for n, kind in KINDS.items() if not kind.gates])
def test_a_layer_has_the_neurons_of_its_name(name: str) -> None:
    """Second variable, reset, loop and synapse; time constants from a tenth of T to T."""
    torch.manual_seed(0)
    layer = sequence.SpikingLayer(1, 400, KINDS[name], 196)
    a = layer.adaptation()
    tau = -1 / torch.log(layer.beta)
    assert 19.6 <= tau.min() < 25 and 160 < tau.max() <= 196.1
    assert (layer.V is not None) == ("loop" in name or name.startswith("R"))
    assert a.reset == (0.0 if "no reset" in name or name.startswith("adLIF, loop") else 1.0)
    assert (a.alpha > 0) == (name == "RSynaptic")
    assert bool((layer.by_mem > 0).all()) == name.startswith("adLIF")
    assert a.by_spk == float(name.startswith("ALIF"))
    if name.startswith("ALIF"):
        assert torch.allclose(a.on_threshold, 1.8 * (1 - layer.decay)) and a.on_mem == 0
    if name.startswith("adLIF"):
        period = 2 * math.pi / torch.acos(1 - layer.by_mem / (2 * layer.beta))
        assert 5.9 < period.min() < 8 and 300 < period.max() < 393


def test_the_peak_gain_is_that_of_a_sine() -> None:
    """What a neuron makes of the frequency that it likes best, measured by sines."""
    torch.manual_seed(0)
    for name in ("LIF, no reset", "adLIF, no reset"):
        layer = sequence.SpikingLayer(1, 3, KINDS[name], 20)
        best = torch.zeros(3)
        t = torch.arange(300.0)
        for omega in np.linspace(0, 3.1, 60):
            cur = 1e-4 * torch.cos(omega * t)[:, None, None].expand(300, 1, 3).contiguous()
            _, x = unroll_adaptive(cur, layer.adaptation())
            best = torch.maximum(best, (x[200:] + 1).amax((0, 1)) / 1e-4)
        assert torch.allclose(best, peak_gain(layer.adaptation()), rtol=0.1)


def test_calibration_gives_the_membranes_their_scale() -> None:
    torch.manual_seed(0)
    layer = sequence.SpikingLayer(3, 50, KINDS["ALIF"], 40)
    x = torch.rand(40, 30, 3)
    layer.calibrate(x)
    quiet = lesson.replace(layer.adaptation(), by_spk=0.0, reset=0.0)
    _, mem = unroll_adaptive(layer.gain * layer.fc(x).detach(), quiet, threshold=0.0)
    assert mem.std().item() == pytest.approx(0.6, rel=1e-4)
    before = layer.gain.item()
    layer.kind = KINDS[lesson.ALIF_4]
    layer.calibrate(x)
    assert layer.gain.item() == pytest.approx(lesson.STRONGER * before)


def test_slstm_is_snntorchs() -> None:
    """The fast SLSTM is an LSTM that fires where h is above the threshold; so is snn.SLSTM."""
    torch.manual_seed(0)
    layer = sequence.GatedLayer(3, 6, KINDS["SLSTM"], 30)
    cell = snn.SLSTM(6, 6, threshold=sequence.SLSTM_THRESHOLD)
    for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell.lstm_cell, part).data = getattr(layer.lstm, f"{part}_l0").data
    x = torch.randn(25, 4, 3)
    with torch.no_grad():
        spk, _, _ = unroll(cell, layer.fc(x))
        assert torch.equal(layer(x), spk) and 0 < spk.mean() < 1


def test_gates_begin_with_time_constants_up_to_T() -> None:
    torch.manual_seed(0)
    lstm = sequence.GatedLayer(1, 500, KINDS["LSTM"], 200).lstm
    b_i, b_f = (
        (lstm.bias_ih_l0 + lstm.bias_hh_l0)[:500],
        (lstm.bias_ih_l0 + lstm.bias_hh_l0)[500:1000],
    )
    assert torch.equal(b_i, -b_f) and b_f.min() >= 0 and math.log(190) < b_f.max() <= math.log(199)


@pytest.mark.parametrize("name", [n for n, kind in KINDS.items() if not kind.gates])
def test_the_plain_form_gives_the_spikes_of_the_fast_one(name: str) -> None:
    torch.manual_seed(0)
    layer = sequence.SpikingLayer(3, 30, KINDS[name], 40)
    x = torch.rand(40, 10, 3)
    layer.calibrate(x)
    plain, fast = lesson.step_by_step(layer, x), layer(x)
    assert 0.002 < fast.mean() and (plain != fast).float().mean() < 1e-3  # a sum in another order


# -------------------------------------------------------------------- the networks and tasks


@pytest.mark.parametrize("name", list(KINDS))
def test_networks_are_as_wide_as_the_budget_allows(name: str) -> None:
    budget = lesson.count_parameters(lesson.SequenceNet(KINDS["LIF"], 20, 2))
    H = lesson.width_for(KINDS[name], 20)
    counts = [lesson.count_parameters(lesson.SequenceNet(KINDS[name], h, 2)) for h in (H, H + 1)]
    assert counts[0] <= budget < counts[1]
    formulas = {
        "LIF": H * H + 13 * H + 10,
        "adLIF, loop": 3 * H * H + 13 * H + 10,
        "LSTM": 4 * H * H + 22 * H + 10,
    }
    assert counts[0] == formulas.get(name, counts[0])


def test_images_become_sequences_row_by_row() -> None:
    x = torch.arange(2 * 784).reshape(2, 1, 28, 28) / 1568
    assert torch.equal(lesson.one_pixel_a_step(x, 784)[:, 0, 0], x[0].flatten())
    small = lesson.one_pixel_a_step(x, 200)  # 14 × 14 = 196 is the largest square
    assert small.shape == (196, 2, 1)
    assert small[1, 1, 0].item() == pytest.approx(x[1, 0, :2, 2:4].mean().item())


def test_the_answer_is_read_from_the_last_steps() -> None:
    mem = torch.zeros(28, 1, 2)
    mem[:26, :, 0], mem[26:, :, 1] = 9.0, 1.0
    assert lesson.last_steps((mem, mem)).tolist() == [[0.0, 1.0]]
    assert lesson.answer((mem, mem)).tolist() == [1]


def test_long_gradients_are_shortened_and_loops_learn_at_a_third() -> None:
    torch.manual_seed(0)
    net = lesson.SequenceNet(KINDS["adLIF, loop"], 5, 20)
    optimizer = lesson.make_optimizer(net, 0.1)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.03])
    assert {id(p) for p in optimizer.param_groups[1]["params"]} == {
        id(layer.V) for layer in net.layers
    }
    for factor, expected in ((1e6, 1.0), (1e-6, None)):
        optimizer.zero_grad()
        (factor * net.run(torch.ones(20, 2, 1))[1].sum()).backward()
        before = torch.cat([p.grad.flatten() for p in net.parameters()]).norm().item()
        optimizer.step()
        after = torch.cat([p.grad.flatten() for p in net.parameters()]).norm().item()
        assert after == pytest.approx(expected or before, rel=1e-3)


def test_the_learning_rate_warms_up_and_falls() -> None:
    assert [warm_up(p) for p in (0.0, 0.025, 0.05)] == pytest.approx([0.0, 0.5, 1.0])
    assert warm_up(0.525) == pytest.approx(0.5) and warm_up(1.0) == pytest.approx(0.0)


@given(delay=st.integers(0, 60), batch=st.integers(1, 40), seed=st.integers(0, 1000))
def test_store_and_recall_is_the_task_it_says(delay: int, batch: int, seed: int) -> None:
    x, y = lesson.recall_batch(delay, batch, torch.Generator().manual_seed(seed))
    assert x.shape == (5 + delay + 5, batch, 5) and set(x.unique().tolist()) <= {0.0, 1.0}
    assert (x[:5, :, :4].argmax(2) == y).all() and (x[:5].sum(2) == 1).all()
    assert (x[5 : 5 + delay, :, 4] == 0).all() and (x[5 + delay :, :, 4] == 1).all()
    assert (x[5 + delay :, :, :4] == 0).all()


def test_noise_of_the_delay_has_its_rate() -> None:
    x, _ = lesson.recall_batch(500, 100, torch.Generator().manual_seed(0))
    assert abs(x[5:-5, :, :-1].mean() - 0.05) < 0.002


HEAD = "arm,lr,seed,neurons,parameters,validation,test,rate\n"


def test_seed_0_chooses_the_rate_and_the_other_seeds_are_read(tmp_path: Path) -> None:
    rows = ["A,0.003,0,8,100,0.5,,0.1", "A,0.01,0,8,100,0.7,,0.1", "A,0.03,0,8,100,0.6,,0.1"]
    rows += [
        "A,0.01,1,8,100,0.9,0.6,0.2",
        "A,0.01,2,8,100,0.9,0.8,0.4",
        "A,0.03,1,8,100,0.99,0.99,0.9",
    ]
    (tmp_path / "log.csv").write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    arm = lesson.read_arms(tmp_path / "log.csv")["A"]
    assert (arm.num_hidden, arm.parameters, arm.lr) == (8, 100, 0.01)
    assert arm.test == [60.0, 80.0] and arm.rate == pytest.approx(0.3)
    silent = ["B,0.01,0,8,100,0.5,,0.1", "B,0.01,1,8,100,0.1,0.1,0.0", "B,0.01,2,8,100,0.5,0.5,0.1"]
    (tmp_path / "log.csv").write_text(HEAD + "\n".join(rows + silent) + "\n", encoding="utf-8")
    arms = lesson.read_arms(tmp_path / "log.csv")
    assert (arms["A"].silent, arms["B"].silent) == (0, 1)


def test_the_log_of_the_arms_is_whole() -> None:
    """Every arm of the page, three seeds, a best rate with a worse one on either side, the budget kept."""
    path = ROOT / "checkpoints" / "smnist_arms.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    arms = lesson.read_arms(path)
    assert set(arms) == set(KINDS)
    for name, arm in arms.items():
        net = lesson.SequenceNet(KINDS[name], arm.num_hidden, 2)
        assert lesson.count_parameters(net) == arm.parameters <= 4938 and len(arm.test) == 3
        rates = [float(r["lr"]) for r in rows if r["arm"] == name and r["seed"] == "0"]
        assert min(rates) < arm.lr < max(rates)


@pytest.mark.parametrize(
    "flags",
    [
        ("--num-steps", "785"),
        ("--seeds", "1"),
        ("--updates", "0"),
        ("--num-hidden", "1"),
        ("--images", "5"),
    ],
)
def test_bad_flags_end_in_one_line(
    flags: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    check_refused(lesson, flags, capsys, tmp_path)


# -------------------------------------------------------------------- what is published


def probe_by_hand(cue: float, gap: int = 100) -> np.ndarray:
    """ALIF's spikes in the 40 steps of the probe."""
    cur = np.zeros(60 + gap)
    cur[10:20], cur[-40:] = cue, 0.2
    _, _, spk = loop_by_hand(cur, math.exp(-1 / 20), math.exp(-1 / 200), 0.5)
    return np.array(spk[-40:])


def test_section_neuron_counts_the_steps_that_differ(tmp_path: Path) -> None:
    run = run_section(lesson.section_neuron, tmp_path)
    with_cue, without = probe_by_hand(0.4), probe_by_hand(0.0)
    assert run.value("alif_differs") == (with_cue != without).sum() > 0
    assert run.value("alif_later") == with_cue.argmax() - without.argmax() == 4
    assert run.value("lif_differs") == 0 and run.value("adlif_differs") > 0
    slow = []
    for cue in (0.4, 0.0):  # τ = 200 without a second variable
        cur = np.zeros(160)
        cur[10:20], cur[-40:] = cue, 0.2
        slow.append(np.array(loop_by_hand(cur, math.exp(-1 / 200), 0.0, 0.0)[2][-40:]))
    assert run.value("slow_lif_differs") == (slow[0] != slow[1]).sum() > 0
    gaps = range(60, 141, 10)
    tells = sum((probe_by_hand(0.4, gap) != probe_by_hand(0.0, gap)).any() for gap in gaps)
    assert (
        f"Of 9 gaps, from 60 to 140 steps, they differ after {tells} in ALIF"
        in run.findings[-1]["text"]
    )


def test_section_neuron_outcome_follows_the_spikes(tmp_path: Path) -> None:
    run = lesson.Run.__new__(lesson.Run)  # only to see which of the three answers is said
    said = []
    monkey = pytest.MonkeyPatch()
    monkey.setattr(lesson.Run, "outcome", lambda self, id, measured: said.append((id, measured)))
    run_section(lesson.section_neuron, tmp_path)
    monkey.undo()
    assert ("alif_answer", "later") in said and run is not None


def test_section_layers_against_snntorch_step_by_step(tmp_path: Path) -> None:
    run = run_section(lesson.section_layers, tmp_path)
    assert run.value("slstm_silent") == 0 and run.value("slstm_forgets") == 0
    assert (
        0.4 < run.value("slstm_keeps") < 0.7
    )  # the forget gates of an untrained cell are about one half
    text = run.findings[-1]["text"]
    assert (
        "0.9^60 = 0.18 %" in text
        and "e^(−60/200) = 74 %" in text
        and 0.5 < run.value("adlif_left") < 1
    )
    low, high = text.split("snn.RSynaptic ")[1].split(" % (nine")[0].split(" to ")
    assert 5 < float(low) < float(high) < 60
    layer = snn.Leaky(beta=math.exp(-1 / 200))  # the plain neuron with adLIF's τ and input
    x = torch.randn(70, 16, 32, generator=run.generator())
    x[10:, 8:] = x[10:, :8]
    _, mem, _ = unroll(layer, 0.1 * x, record_mem=True)
    apart = (mem[:, :8] - mem[:, 8:]).flatten(1).norm(dim=1)
    assert run.value("slow_left") == pytest.approx(float(apart[-1] / apart[9]), rel=1e-4)


def test_two_pasts_differ_only_in_the_past(tmp_path: Path) -> None:
    """A layer that adds up all input keeps the distance; one that sees only the last step keeps nothing."""
    cfg = lesson.Config(out_dir=tmp_path, smoke=True, device="cpu")
    run = lesson.Run("test", cfg, torch.device("cpu"))
    kept = lesson.distance_of_pasts(lambda x: x.cumsum(0), 3, run)
    assert len(kept) == lesson.SAME + 1 and kept == pytest.approx(np.ones(len(kept)), rel=1e-3)
    assert lesson.distance_of_pasts(lambda x: x, 3, run)[1:].max() == 0


def test_named_gives_mean_and_range() -> None:
    assert lesson.named(np.array([0.5, 0.6, 1.0])) == "70 % (50 to 100)"


def test_section_digits_takes_differences_the_right_way_and_scores_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arms of a made-up log; the two trained here answer 2 (75 % of the marked test images) and 3 (25 %)."""
    tests = {"LIF": [45.0, 55.0], lesson.ALIF_4: [30.0, 50.0], lesson.RLEAKY_4: [49.0, 51.0]}
    tests |= {"ALIF": [90.0, 90.0], "RLeaky": [10.0, 30.0], "adLIF": [60.0, 80.0]}
    tests |= {"adLIF, no reset": [70.0, 86.0], "adLIF, loop": [69.0, 85.0], "LSTM": [40.0, 40.0]}
    log = {
        name: comparison.Arm(8, 100, 0.02, tests.get(name, [50.0, 52.0]), 0.25) for name in KINDS
    }
    log["SLSTM"].silent = 1
    seen = []

    def fake(kind, num_hidden, lr, seed, data, *_, **__):
        seen.append((lr, seed, len(data.x_train)))
        return Always(3 if kind == KINDS["LIF"] else 2), []

    monkeypatch.setattr(lesson, "read_arms", lambda path: log)
    monkeypatch.setattr(lesson, "train_net", fake)
    monkeypatch.setattr(lesson.Run, "data", lambda self, loader, **_: marked_splits())
    run = run_section(lesson.section_digits, tmp_path, images=10)
    assert seen == [(0.02, 1, 10)] * 2
    assert run.value("lif_anew") == 0.25 and run.value("adlif_anew") == 0.75
    assert run.value("gain_swing") == pytest.approx(19)  # adLIF − LIF, stronger input: 10, 28
    assert run.value("gain_reset") == pytest.approx(8)  # adLIF, no reset − adLIF: 10, 6
    assert run.value("gain_loop") == pytest.approx(-1)  # both with the stronger input
    text = run.findings[-1]["text"]
    n = len(marked_splits().y_test)
    assert {c.id: c.n for c in run.claims if c.n} == dict.fromkeys(
        ("lif_anew", "adlif_anew"), n
    ) | (dict.fromkeys(("gain_swing", "gain_reset", "gain_loop"), 2 * n))
    assert "is w that follows the membrane: +19.0 ± 114.4 points" in text
    told, not_told = text.split("Not told apart: ")
    assert "adLIF over LIF, stronger input; at one and the same input adLIF reads +20.0 ±" in told
    assert "a loop, plain LIF (-1.0 ± 0.0)" in told
    assert "threshold raised by spikes (-11.0 ± 114.4)" in not_told
    assert "no reset, with w (+8.0 ± 25.4)" in not_told
    assert "1 layer −26.0 ± 88.9 (not told apart from 0), 3 layers −26.0 ± 88.9 (not" in text
    assert "SLSTM's trainings read 50, 52 %; 1 of these" in text
    rows = run.extra["tables"][0]["rows"]
    assert [row[1] for row in rows if row[0] == "LIF"] == ["1 ×", "4 ×"]
    assert [(row[1], row[-1]) for row in rows if "LSTM" in row[0]] == [("–", "25.0"), ("–", "–")]


def test_intervals_are_students() -> None:
    mean, half = comparison.interval([1.0, 2.0, 4.0])
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem([1.0, 2.0, 4.0]))
    assert (mean - half, mean + half) == pytest.approx((low, high))


def test_the_interval_without_pairing_is_that_of_two_samples() -> None:
    arms = {
        k: comparison.Arm(8, 100, 0.1, v, 0.2)
        for k, v in {"a": [1.0, 2.0, 4.0], "b": [0.0, 5.0, 4.0]}.items()
    }
    low, high = stats.ttest_ind(arms["a"].test, arms["b"].test).confidence_interval(0.95)
    assert comparison.half_unpaired(arms, "a", "b") == pytest.approx((high - low) / 2)
    arms = {
        k: comparison.Arm(8, 100, 0.1, v, 0.2)
        for k, v in {"a": [1.0, 5.0, 9.0], "b": [0.0, 3.9, 8.1]}.items()
    }
    assert comparison.only_paired(arms, {"x": ("a", "b"), "y": ("a", "a")}) == "x"


def tiny_best(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    net = lesson.SequenceNet(KINDS["adLIF, loop"], 8, 16)
    net.calibrate(torch.rand(16, 20, 1))
    return net


def test_section_best_reports_the_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tiny_best()
    monkeypatch.setattr(lesson, "best_net", lambda *_: net)
    monkeypatch.setattr(lesson, "latency", lambda *_, **__: (1.5, 2.5))
    monkeypatch.setattr(lesson, "accuracy_by_step", lambda *_: np.arange(16) / 100)
    run = run_section(lesson.section_best, tmp_path, best_hidden=8)
    data = run.data(lesson.mnist)
    x = lesson.one_pixel_a_step(data.x_test.float() / 255, 16)
    with torch.no_grad():
        mem = net.run(x)[1]  # T = 16: the last fourteenth is one step
        fired = sum(spk[:, :500].sum().item() for spk in net.hidden(x))
    n = len(data.y_test)
    assert run.value("accuracy") == pytest.approx(
        (mem[-1].argmax(1) == data.y_test).sum().item() / n
    )
    assert run.value("half_way") == 0.07  # after 8 of 16 steps
    seen = min(500, n)
    assert run.value("spikes") == pytest.approx(fired / seen)
    assert run.value("rate") == pytest.approx(fired / seen / 16 / 16)
    row = run.ledger_rows[0]
    assert row["parameters"] == sum(p.numel() for p in net.parameters()) and row["n"] == n


def test_costs_by_hand() -> None:
    net, x = tiny_best(2), 2 * torch.rand(16, 4, 1)
    with torch.no_grad():
        first, second = (spk.sum().item() / 4 for spk in net.hidden(x))
    found = lesson.operations(net, x)
    assert first > 0 and found["spikes"] == pytest.approx(first + second)
    assert found["synops"] == pytest.approx(first * (8 + 8) + second * (8 + 10))
    assert found["macs"] == 16 * 8


def test_accuracy_by_step_reads_the_steps_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that says 2 until step 100 and 3 from then on; the window at 196 steps is 14."""

    class Turns(Always):
        def run(self, x: torch.Tensor):
            mem = torch.zeros(len(x), x.shape[1], 10)
            mem[:100, :, 2], mem[100:, :, 3] = 1.0, 1.0
            return mem, mem

    curve = lesson.accuracy_by_step(Turns(2), marked_splits(), lesson.Config(num_steps=196))
    assert len(curve) == 196 and curve[50] == 0.75 and curve[195] == 0.25
    assert curve[105] == 0.75 and curve[108] == 0.25  # the majority of 14 steps turns at 107


def test_the_checkpoint_is_the_network_that_is_described() -> None:
    """The committed weights load, and read the first 100 test images of the real set or the stand-in's shape."""
    path = ROOT / "checkpoints" / "smnist_196.safetensors"
    net = lesson.SequenceNet(KINDS["adLIF, loop"], 128, 196)
    net.load_state_dict(lesson.load_file(path))
    assert lesson.count_parameters(net) == 50_826
    log = (ROOT / "checkpoints" / "smnist_196.csv").read_text(encoding="utf-8").splitlines()
    assert log[0].startswith("epoch,loss,train,val") and len(log) == 9


def test_a_missing_checkpoint_is_said_in_a_line(tmp_path: Path) -> None:
    cfg = lesson.Config(num_steps=100, out_dir=tmp_path, device="cpu")
    with pytest.raises(lesson.UserError, match="run with --train"):
        lesson.best_net(None, cfg, None)


def test_moved_images_come_after_those_that_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rounds; the second is a little worse on validation images than the first, and is not kept."""
    calls = []
    val = (0.5, 0.9, 0.8)

    def fit(net, data, encode, **how):
        calls.append(how)
        with torch.no_grad():
            net.fc_out.bias.fill_(len(calls))
        rows = []
        for k in range(1, how["epochs"] + 1):
            row = (k, 0.5, 0.6, val[len(calls) - 1], 10.0 * k)
            rows.append(dict(zip(("epoch", "loss", "train", "val", "seconds"), row, strict=True)))
        return rows

    monkeypatch.setattr(lesson, "fit", fit)
    cfg = lesson.Config(
        num_steps=16,
        train=True,
        best_epochs=2,
        moved_epochs=8,
        best_hidden=8,
        out_dir=tmp_path,
        device="cpu",
    )
    run = begin(cfg, "test")
    net = lesson.best_net(marked_splits(), cfg, run)
    still, moved, again = calls
    assert "augment" not in still and still["name"] == "smnist_16" and still["epochs"] == 2
    assert moved["augment"].func is jitter and moved["augment"].keywords == {"shift": 1}
    assert again["augment"] is moved["augment"] and again["seed"] == moved["seed"] + 1
    assert moved["name"] == "smnist_16_moved" and moved["epochs"] == 6
    assert again["name"] == "smnist_16_moved2" and again["epochs"] == 2
    rates = [call["optimizer"].keywords["lr"] for call in calls]
    assert rates == pytest.approx([1e-2, 5e-3, 3e-3])
    assert (net.fc_out.bias == 2).all(), "the weights of the first round are kept"
    log = lesson.best_log(cfg, run)
    assert log[:, 0].tolist() == list(range(1, 11))
    assert log[:, 4].tolist() == [10 * epoch for epoch in range(1, 11)]


class Forgets(torch.nn.Module):
    """Names the symbol after a delay of up to five steps, and the next one after a longer delay."""

    def run(self, x: torch.Tensor):
        y = x[:5, :, :4].sum(0).argmax(1)
        wrong = 0 if len(x) - 10 <= 5 else 1
        mem = torch.zeros(len(x), len(y), 4)
        mem[-5:] = torch.eye(4)[(y + wrong) % 4]
        return mem, mem


def test_section_recall_reads_the_longest_trained_delay_and_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its loop the network is wrong everywhere; delays are 5 (trained) and 10 (new)."""
    trained = []
    monkeypatch.setattr(
        lesson,
        "train_recall",
        lambda name, lr, seed, *_: trained.append((name, lr, seed)) or Forgets(),
    )
    wrong = torch.zeros(20, 20, 4)
    monkeypatch.setattr(lesson, "run_cut", lambda net, x: (wrong, net.run(x)[1].roll(1, 2)))
    monkeypatch.setattr(lesson, "draw_loop", lambda *_: torch.tensor([3.0, 0.5, 4.0, 2.0]))
    run = run_section(lesson.section_recall, tmp_path, seeds=2)
    assert run.value("recall_loop") == 0 and run.value("recall_cut") == 0
    for id in ("lif", "alif", "adlif"):
        assert run.value(f"recall_{id}") == 1
    text = run.findings[-1]["text"]
    assert "It is the loop that holds the symbol: with V = 0" in text
    assert (
        "they forget sooner than LIF, which never had a loop (0 % (0 to 0) and 100 % (100 to 100) after 5 steps)"
        in text
    )
    assert (
        "symbol 2 is held by near silence: 0.5 spikes a step in layer 1, the next one up 2.0"
        in text
    )
    assert "name 0 % (0 to 0) after 5 steps" in text and text.endswith("(0 to 0) after 10.")
    # both rates with the run's seed, then the first of equal ones with two new seeds
    mine = [(lr, seed) for name, lr, seed in trained if name == "LIF"]
    assert mine == [(1e-2, 0), (3e-2, 0), (1e-2, 1), (1e-2, 2)]
    assert lesson.recall(Forgets(), 20, 0, run.cfg, run) == [1.0, 0.0]


def test_a_delay_without_noise_is_empty(tmp_path: Path) -> None:
    cfg = lesson.Config(out_dir=tmp_path, smoke=True, device="cpu")
    run = lesson.Run("test", cfg, torch.device("cpu"))
    seen = []

    class Watches(Forgets):
        def run(self, x: torch.Tensor):
            seen.append(x[5:-5].sum().item())
            return super().run(x)

    lesson.recall(Watches(), 50, 0, cfg, run)
    lesson.recall(Watches(), 50, 0, cfg, run, noise=False)
    assert min(seen[:2]) > 0 and seen[2:] == [0.0, 0.0]


def test_a_cut_loop_is_whole_until_the_symbol_is_over() -> None:
    """Up to step 5 as the trained network, from then on as one whose V is 0; the read-out is its own."""
    torch.manual_seed(0)
    net = lesson.SequenceNet(KINDS["RLeaky"], 12, 50, 5, 4)
    x, _ = lesson.recall_batch(30, 8, torch.Generator().manual_seed(0))
    net.calibrate(x)
    layer = net.layers[0]
    layer.loop_gain *= 20  # a loop that matters
    whole, cut = lesson.step_by_step(layer, x), lesson.step_by_step(layer, x, 5)
    assert torch.equal(whole[:5], cut[:5]) and (whole[5:] != cut[5:]).any()
    mem, spk = torch.zeros(8, 12), torch.zeros(8, 12)
    with torch.no_grad():
        for t, x_t in enumerate(x):
            back = spk @ (layer.loop_gain * layer.V).t() if t < 5 else 0
            mem = layer.beta * mem + layer.gain * layer.fc(x_t) + back - spk
            spk = (mem > 1).float()
            assert torch.equal(spk, cut[t])
        for layer in net.layers:
            layer.V.zero_()
        assert torch.allclose(lesson.run_cut(net, x)[1], net.run(x)[1], atol=1e-4)


def test_telling_counts_neurons_that_part_the_symbols_late_in_the_delay() -> None:
    spk = torch.zeros(60, 4, 5)
    spk[40, 1, 0] = 1  # fires for one symbol: tells
    spk[40, :, 1] = 1  # for all four
    spk[10, 2, 2] = 1  # too early
    spk[57, 3, 3] = 1  # when asked
    assert lesson.telling(spk) == 1


def test_four_symbols_have_the_same_noise(tmp_path: Path) -> None:
    cfg = lesson.Config(out_dir=tmp_path, smoke=True, device="cpu")
    x = lesson.one_noise(lesson.Run("test", cfg, torch.device("cpu")))
    assert torch.equal(x[0, :, :4], torch.eye(4)) and x[5:-5].sum() > 0
    assert (x[5:] == x[5:, :1]).all()


def test_a_loop_learns_to_remember(tmp_path: Path) -> None:
    """Sixty updates on delays up to five: far above chance."""
    cfg = lesson.Config(out_dir=tmp_path, smoke=True, updates=60, num_hidden=32, device="cpu")
    run = lesson.Run("test", cfg, torch.device("cpu"))
    net = lesson.train_recall("RLeaky", 3e-2, 0, cfg, run)
    tau = -1 / torch.log(net.layers[0].beta)
    assert 5 <= tau.min() and tau.max() <= 50.01
    assert lesson.recall(net, 300, 5, cfg, run)[0] > 0.5


def test_section_lags_against_powers_of_beta(tmp_path: Path) -> None:
    run = run_section(lesson.section_lags, tmp_path, seeds=2)
    assert run.value("lag_constant") == pytest.approx(50, rel=0.01)
    for id, name in (
        ("lag_default", lesson.ARCTAN),
        ("lag_cut", lesson.CUT),
        ("lag_triangle", lesson.TRIANGLE),
    ):
        curves = [lesson.gradient_by_lag(lesson.LAGS[name], 20, seed)[0] for seed in (0, 1)]
        far = np.mean([np.log10(curve[-1]) for curve in curves])
        assert run.value(id) == pytest.approx(far, abs=0.00501)
    for id, slope_of in (
        ("lag_predicted", lambda x: 1 / (1 + (math.pi * x) ** 2)),
        ("lag_triangle_predicted", lambda x: 0.5 * (1 - x.abs()).clamp(min=0)),
    ):
        discs = []
        for seed in (0, 1):  # the same layer again, and σ′ from its own potentials
            torch.manual_seed(seed)
            layer = lesson.SequenceNet(lesson.LOOP, 64, 20, num_inputs=64).layers[0]
            cur = 0.05 + 0.25 * torch.randn(20, 16, 64)
            V = torch.nn.Linear(64, 64).weight
            a = lesson.replace(layer.adaptation(), beta=math.exp(-1 / 50))
            _, x = unroll_adaptive(cur, a, V)
            slope = slope_of(x.detach()).mean(0)  # averaged over the steps
            discs.append(math.sqrt(float((slope**2).mean()) / 3))
        wanted = 19 * np.log10(math.exp(-1 / 50) + np.mean(discs))
        assert run.value(id) == pytest.approx(wanted, abs=0.00501)


def test_sections_3_and_5_take_the_resets_gradient_along() -> None:
    """One neuron without a loop of its own weight: a step back multiplies by β − σ′, not by β."""
    lag = lesson.LAGS[lesson.SCALED]
    assert lag.surrogate is lesson.triangle and not lag.default
    torch.manual_seed(0)
    layer = sequence.SpikingLayer(4, 3, KINDS["RLeaky"], 20)
    with torch.no_grad():
        layer.V.zero_()
    cur = torch.full((2, 1, 3), 0.4).requires_grad_()
    spk, _ = unroll_adaptive(cur, layer.adaptation(), layer.V, reset_grad=True)
    spk[1].sum().backward()
    ratio = cur.grad[0, 0] / cur.grad[1, 0]
    slope = lesson.triangle(torch.tensor(0.4 - 1))
    assert torch.allclose(ratio, layer.beta - slope, atol=1e-5)


def test_the_disc_has_the_radius_of_the_v_in_use() -> None:
    """√(H·var V · mean σ′²): 1/√3 of σ′ as snn.RLeaky begins, 1 − β of it for the scaled V; no loop, no disc."""
    (_, default), (_, scaled), (_, none) = (
        lesson.gradient_by_lag(lesson.LAGS[name], 10, 0)
        for name in (lesson.TRIANGLE, lesson.SCALED, "LIF")
    )
    assert none == [0.0, 0.0]
    assert 0 < scaled[1] <= scaled[0] <= 0.5 * (1 - math.exp(-1 / 50)) < default[0] <= 0.5 / 3**0.5


def test_surrogates_of_section_6() -> None:
    x = torch.tensor([-1.5, -0.5, 0.0, 0.5, 2.0])
    assert torch.allclose(lesson.arctan(x), 1 / (1 + (math.pi * x) ** 2))
    assert lesson.arctan_cut(x)[[0, 4]].tolist() == [0.0, 0.0]
    assert torch.equal(lesson.arctan_cut(x)[1:4], lesson.arctan(x)[1:4])


def test_the_error_of_a_lif_layer_shrinks_by_beta_a_step() -> None:
    curve, _ = lesson.gradient_by_lag(lesson.LAGS["LIF"], 30, 3)
    assert curve == pytest.approx(math.exp(-1 / 50) ** np.arange(30), rel=1e-4)


def test_a_missed_target_is_explained_by_the_log() -> None:
    """Columns: epoch, loss, train, val, seconds."""
    log = np.array([[1, 0.5, 0.95, 0.970, 9], [2, 0.1, 0.987, 0.975, 18], [3, 0, 1, 0.96, 27]])
    said = lesson.why_missed(log, 0, 0.973)
    assert "of 3 passes validation images chose number 2. In it 98.7 % of the training" in said
    assert "97.5 % of the validation images and 97.3 % of the test images" in said
    assert "gap of 1.4 points asks for more images" in said and "flatter" not in said
    assert "lie close together" in lesson.why_missed(log[:1], 0, 0.95)
    assert "gap of 1.4 points asks for images that are changed more" in (
        lesson.why_missed(log, 3, 0.973)
    )
    assert "flatter the pass that they chose among 3" in lesson.why_missed(log, 3, 0.969)


def test_the_log_of_784_steps_is_that_of_its_checkpoint() -> None:
    log = np.loadtxt(lesson.ROOT / "checkpoints" / "smnist_784.csv", delimiter=",", skiprows=1)
    passes = lesson.Config().best_epochs + lesson.FULL["moved_epochs"]
    assert log[:, 0].tolist() == list(range(1, passes + 1))
    assert log[:, 3].argmax() == 19, "the last pass of the second round is kept"
    told = [round(100 * log[:end, 3].max(), 1) for end in (8, 14, 20)]
    assert told == [97.5, 97.8, 98.0], "section 4 names them"
