"""Seeded faults: each makes a published number wrong, and names the test file that must notice.

    uv run tests/faults.py               all faults
    uv run tests/faults.py 01 09         those of these lessons (the start of the file's name)

A fault is a dict:

    file    the file that is changed, from the repository's root
    old     a piece of its source that occurs exactly once
    new     what it is replaced by
    test    the test file that must fail then, or one test in it, which is faster: file::test
    wrong   in a few words, the number that is wrong

The tests run in a temporary copy of the working tree: nothing here is touched. Each test must pass
before anything is changed, or its failing would mean nothing. The exit code is 1 if a fault
survives, or no longer fits its source. Some minutes; run by hand, not by pytest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LESSON_01 = "01_lif_neuron.py"
TEST_01 = "tests/test_01_lif_neuron.py"

FAULTS = [
    {
        "file": LESSON_01,
        "old": "mem = cfg.beta * mem + cur_t - spk * cfg.threshold",
        "new": "mem = cfg.beta * (mem - spk * cfg.threshold) + cur_t",
        "test": f"{TEST_01}::test_section_1",
        "wrong": "the neuron by hand lets θ leak: spikes that differ are no longer 0",
    },
    {
        "file": LESSON_01,
        "old": "differ = int((spk_rec != spk_by_hand).sum())",
        "new": "differ = int((spk_rec != spk_rec).sum())",
        "test": f"{TEST_01}::test_section_1",
        "wrong": "snn.Leaky is compared with itself",
    },
    {
        "file": LESSON_01,
        "old": "steady = mem_rec[-1, 0].item() / cfg.threshold",
        "new": "steady = mem_rec[-1, 0].item()",
        "test": f"{TEST_01}::test_section_1",
        "wrong": "where U ends is given in θ, but not divided by it",
    },
    {
        "file": LESSON_01,
        "old": "top.set_title(f\"{strength:g} × rheobase: {spikes(spk_rec[:, i].sum())}\")",
        "new": "top.set_title(f\"{strength:g} × rheobase: {spikes(spk_rec[:, 1].sum())}\")",
        "test": f"{TEST_01}::test_section_1",
        "wrong": "a panel's title counts the spikes of another neuron",
    },
    {
        "file": LESSON_01,
        "old": "forgotten = left < 1 / math.e",
        "new": "forgotten = left < 1 / 2",
        "test": f"{TEST_01}::test_section_2",
        "wrong": "memory: the half-life in place of the time constant",
    },
    {
        "file": LESSON_01,
        "old": "spk_rec[:, 1].sum() / spk_rec[:, 0].sum()",
        "new": "spk_rec[:, 0].sum() / spk_rec[:, 1].sum()",
        "test": f"{TEST_01}::test_section_2",
        "wrong": "the ratio of the spikes stands upside down",
    },
    {
        "file": LESSON_01,
        "old": "euler_error = np.abs(euler - solution).max()",
        "new": "euler_error = np.abs(euler - exact).mean()",
        "test": f"{TEST_01}::test_section_2",
        "wrong": "Euler's mean error is called its largest",
    },
    {
        "file": LESSON_01,
        "old": "paid = cfg.threshold * spk_rec[:-1].sum()",
        "new": "paid = cfg.threshold * spk_rec.sum() * 1.1",
        "test": f"{TEST_01}::test_section_3",
        "wrong": "input accounted for: 10 % too much",
    },
    {
        "file": LESSON_01,
        "old": "noise = 0.8 * cfg.threshold * torch.rand(",
        "new": "noise = 0.6 * cfg.threshold * torch.rand(",
        "test": f"{TEST_01}::test_section_3",
        "wrong": "zero's account is made for a weaker input than the page says",
    },
    {
        "file": LESSON_01,
        "old": "kick_spikes[reset] = int(spk_rec.sum())",
        "new": "kick_spikes[reset] = int(spk_rec[: cfg.num_steps // 8].sum())",
        "test": f"{TEST_01}::test_section_3",
        "wrong": "spikes for one input are counted over a part of the run",
    },
    {
        "file": LESSON_01,
        "old": 'simulate(drive, cfg.beta, cfg.threshold, "zero")[0].sum(0)',
        "new": 'simulate(drive, cfg.beta, cfg.threshold, "subtract")[0].sum(0)',
        "test": f"{TEST_01}::test_section_4",
        "wrong": "the f–I curve of zero is measured with subtract",
    },
    {
        "file": LESSON_01,
        "old": "agree = int((spikes_zero == predicted).sum())",
        "new": "agree = int((predicted == predicted).sum())",
        "test": f"{TEST_01}::test_section_4",
        "wrong": "the closed form is compared with itself",
    },
    {
        "file": LESSON_01,
        "old": "return np.floor(x) + 1\n",
        "new": "return np.floor(x)\n",
        "test": f"{TEST_01}::test_section_4",
        "wrong": "the closed form is one step short",
    },
    {
        "file": LESSON_01,
        "old": "period_subtract = intervals(spk_subtract[:, 0])",
        "new": "period_subtract = intervals(spk_zero[:, 0])",
        "test": f"{TEST_01}::test_section_4",
        "wrong": "subtract's interval is that of zero",
    },
    {
        "file": LESSON_01,
        "old": "scale = 0.25 * cfg.threshold * math.sqrt(1 - cfg.beta**2)",
        "new": "scale = 0.25 * cfg.threshold * (1 - cfg.beta**2)",
        "test": f"{TEST_01}::test_section_5",
        "wrong": "the noise is weaker than said: its square root is gone",
    },
    {
        "file": LESSON_01,
        "old": "noise_spikes = int(spk_rec[:, 3].sum())",
        "new": "noise_spikes = int(spk_rec[:, 2].sum())",
        "test": f"{TEST_01}::test_section_5",
        "wrong": "the spikes of the sine are called those of the noise",
    },
    {
        "file": LESSON_01,
        "old": "ramp_current = currents[\"ramp\"][first_on_ramp].item() / cfg.rheobase",
        "new": "ramp_current = currents[\"ramp\"][first_on_ramp].item() / cfg.threshold",
        "test": f"{TEST_01}::test_section_5",
        "wrong": "the current on the ramp is divided by θ, not by the rheobase",
    },
    {
        "file": LESSON_01,
        "old": "wait = torch.where(spk > 0, refractory, wait - 1)",
        "new": "wait = torch.where(spk > 0, refractory + 1, wait - 1)",
        "test": f"{TEST_01}::test_section_6",
        "wrong": "the refractory period is one step too long",
    },
    {
        "file": LESSON_01,
        "old": "mem = torch.where(wait > 0, mem, beta * mem + cur_t - w)",
        "new": "mem = torch.where(wait > 0, mem, beta * mem + cur_t - 0.9 * w)",
        "test": f"{TEST_01}::test_section_6",
        "wrong": "the slow current counts 10 % less than its equation says",
    },
    {
        "file": LESSON_01,
        "old": "slower = adapting[-1] / adapting[0]",
        "new": "slower = adapting[0] / adapting[-1]",
        "test": f"{TEST_01}::test_section_6",
        "wrong": "first interval through last: the neuron speeds up",
    },
    {
        "file": LESSON_01,
        "old": "pause = bursting.max() / bursting.min()",
        "new": "pause = bursting.max() / bursting.mean()",
        "test": f"{TEST_01}::test_section_6",
        "wrong": "the longest interval through the mean one",
    },
]  # fmt: skip


def copy_tree(target: Path) -> None:
    """Copy tracked and new files of the working tree; what git ignores stays behind."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        source = ROOT / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def passes(test: str, tree: Path) -> bool:
    """Whether ``test`` passes in the copy at ``tree``.

    Raises:
        RuntimeError: pytest could not run it at all.
    """
    # No .pyc: a second change of one file within a second would otherwise be overlooked.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest {test} ended with code {done.returncode}:\n{done.stdout}")
    return done.returncode == 0


def verdict(fault: dict[str, str], tree: Path) -> str:
    """Apply one fault to the copy, run its test, and put the file back."""
    path = tree / fault["file"]
    source = path.read_text(encoding="utf-8")
    found = source.count(fault["old"])
    if found != 1:
        return f"NO LONGER FITS (its old text occurs {found} times)"
    path.write_text(source.replace(fault["old"], fault["new"]), encoding="utf-8")
    try:
        return "SURVIVED" if passes(fault["test"], tree) else "caught"
    finally:
        path.write_text(source, encoding="utf-8")


def main(lessons: list[str]) -> int:
    chosen = [f for f in FAULTS if not lessons or f["file"].startswith(tuple(lessons))]
    if not chosen:
        files = ", ".join(sorted({f["file"] for f in FAULTS}))
        print(
            f"error: no fault for {' '.join(lessons)}; there are some for {files}", file=sys.stderr
        )
        return 2
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        for test in sorted({f["test"] for f in chosen}):
            if not passes(test, tree):
                print(f"error: {test} fails without any fault; mend that first", file=sys.stderr)
                return 2
        bad = 0
        for number, fault in enumerate(chosen, 1):
            result = verdict(fault, tree)
            bad += result != "caught"
            print(f"{number:3}  {result:<9} {fault['file']}: {fault['wrong']}", flush=True)
    print(f"\n{len(chosen) - bad} of {len(chosen)} faults were caught")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
