"""The driver patch, tried on stand-ins of the two files it changes: the lines it replaces, at their line numbers.

Our stand-ins take from the driver only what the patch itself quotes; what a branch chooses is named by us.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import ROOT

PATCH = ROOT / "patches" / "akida_dw_edma-kernel-6.12.patch"
KERNELS_BEFORE = r'BUILD_EXCLUSIVE_KERNEL="^(5\.(4|5|6|7|8|9|1[0-9])\.|6\.[0-8]\.)"'

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def makefile() -> str:
    """A version table as the driver's, on line 8, and its chain of branches, which ends on line 50."""
    lines = [""] * 6
    lines += [
        "AKIDA_KERNEL_VERSION_RANK := $(shell \\",
        '\tprintf "$(VERSION).$(PATCHLEVEL)\\n5.4\\n5.6\\n5.7\\n5.9\\n5.16\\n6.9\\n" | \\',
        "\tsort -V )",
    ]
    for word, (bound, below) in enumerate(
        [
            ("5.4", "too old"),
            ("5.6", "5.4"),
            ("5.7", "5.6"),
            ("5.9", "5.7"),
            ("5.16", "5.7"),
            ("6.9", "5.16"),
        ],
        start=1,
    ):
        start = "ifneq" if word == 1 else "else ifneq"
        lines += [
            f"{start} ($(word {word},$(AKIDA_KERNEL_VERSION_RANK)), {bound})",
            f"chosen := {below}",
        ]
    lines += ["#"] * (47 - len(lines))
    lines += [
        "else",
        "chosen := not supported",
        "endif",
        "",
        "all:",
        '\t@echo "$(chosen)|$(ccflags-y)|$(akida-pcie-y)"',
    ]
    return "\n".join(lines) + "\n"


def apply(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "apply", "--unidiff-zero", *more, str(PATCH)],
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """A folder that looks to the patch like a clone of the driver (a repository of its own, as git wants)."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "Makefile").write_text(makefile(), encoding="utf-8", newline="\n")
    dkms = "#\n" * 26 + KERNELS_BEFORE + "\n"
    (tmp_path / "dkms.conf").write_text(dkms, encoding="utf-8", newline="\n")
    return tmp_path


@pytest.fixture
def patched(driver: Path) -> Path:
    done = apply(driver)
    assert done.returncode == 0, done.stderr
    return driver


def choose(folder: Path, kernel: str) -> tuple[str, str, str]:
    """What the Makefile chooses for a kernel ``major.minor``: (branch, header flags, objects)."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    version, patchlevel = kernel.split(".")
    done = subprocess.run(
        ["make", "-s", f"VERSION={version}", f"PATCHLEVEL={patchlevel}", "src=SRC"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    branch, flags, objects = done.stdout.strip().split("|")
    return branch, flags, objects


def builds_for(folder: Path, release: str) -> bool:
    """Would DKMS build for this ``uname -r``? It matches the release against the pattern in dkms.conf."""
    text = (folder / "dkms.conf").read_text(encoding="utf-8")
    pattern = re.search(r'^BUILD_EXCLUSIVE_KERNEL="(.+)"$', text, re.MULTILINE)
    assert pattern
    return re.search(pattern[1], release) is not None


def test_changes_only_what_it_must(patched: Path) -> None:
    before, after = (
        makefile().splitlines(),
        (patched / "Makefile").read_text(encoding="utf-8").splitlines(),
    )
    assert [a for a, b in zip(after, before, strict=False) if a != b][0].count("6.13") == 1
    assert len(after) == len(before) + 7
    assert after[:7] == before[:7] and after[8:47] == before[8:47] and after[54:] == before[47:]


@pytest.mark.parametrize("kernel", ["6.9", "6.10", "6.12"])
def test_new_branch_is_reached(patched: Path, kernel: str) -> None:
    branch, flags, objects = choose(patched, kernel)
    assert branch == "", "an older branch was taken"
    assert flags == "-ISRC/kernel/5.16/drivers/dma"
    assert len(objects.split()) == 5 and all(
        o.startswith("akida-dw-edma/") for o in objects.split()
    )


@pytest.mark.parametrize(
    ("kernel", "branch"),
    [
        ("5.3", "too old"),
        ("5.4", "5.4"),
        ("5.6", "5.6"),
        ("5.15", "5.7"),
        ("5.16", "5.16"),
        ("6.6", "5.16"),
        ("6.8", "5.16"),
        ("6.13", "not supported"),
        ("7.0", "not supported"),
    ],
)
def test_other_kernels_choose_as_before(patched: Path, kernel: str, branch: str) -> None:
    assert choose(patched, kernel) == (branch, "", "")


def test_the_stand_in_refuses_6_12_without_the_patch(driver: Path) -> None:
    assert choose(driver, "6.12")[0] == "not supported"
    assert not builds_for(driver, "6.12.75+rpt-rpi-2712")


@pytest.mark.parametrize(
    ("release", "built"),
    [
        ("5.3.0-1", False),
        ("5.4.0-150-generic", True),
        ("5.15.0-91-generic", True),
        ("6.6.31+rpt-rpi-2712", True),
        ("6.8.0-40-generic", True),
        ("6.9.3", True),
        ("6.10.11", True),
        ("6.12.75+rpt-rpi-2712", True),
        ("6.13.0", False),
        ("6.20.1", False),
        ("6.120.1", False),
        ("7.0.0", False),
        ("16.12.0", False),
    ],
)
def test_dkms_pattern(patched: Path, release: str, built: bool) -> None:
    assert builds_for(patched, release) is built


def test_patch_does_not_apply_twice_or_to_another_file(patched: Path, driver: Path) -> None:
    assert apply(patched, "--check").returncode != 0
    (driver / "Makefile").write_text("all:\n\ttrue\n", encoding="utf-8", newline="\n")
    assert apply(driver, "--check").returncode != 0


def test_patch_has_no_context_and_says_it_is_unvalidated() -> None:
    head, diff = PATCH.read_text(encoding="utf-8").split("diff --git", 1)
    hunks = diff.splitlines()[1:]
    assert all(line.startswith(("---", "+++", "@@", "+", "-", "diff --git")) for line in hunks)
    assert "NOT VALIDATED UPSTREAM" in head and "--unidiff-zero" in head and "GPL-3.0" in head
