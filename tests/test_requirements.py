"""The pins: what is written once in pyproject.toml stands equal in the two requirements files, and can be installed.

The resolving tests ask the package registry, so they are skipped where there is no uv or no network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import ROOT

FILES = ("requirements-pc.txt", "requirements-pi.txt")
AKIDA = {"akida", "cnn2snn", "quantizeml", "tensorflow"}
# Pure Python that is published as source only; everything else must have a wheel for the machine in question.
FROM_SOURCE = ("cnn2snn", "quantizeml")
NO_NETWORK = re.compile(
    r"error sending request|failed to fetch|could not connect|dns error|connection|timed out", re.I
)


def pins(lines: list[str]) -> dict[str, str]:
    """``name==version; marker  # why`` → {name: version}; blank lines and comments are left out."""
    found = {}
    for line in lines:
        line = line.split("#")[0].split(";")[0].strip()
        if not line:
            continue
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)==([0-9][0-9a-z.]*)", line)
        assert match, f"{line!r} is no exact pin (name==version)"
        name = match[1].lower().replace("_", "-")
        assert name not in found, f"{name} is pinned twice"
        found[name] = match[2]
    return found


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def project_pins() -> dict[str, str]:
    return pins(project()["project"]["dependencies"] + project()["dependency-groups"]["dev"])


def file_pins(name: str) -> dict[str, str]:
    return pins((ROOT / name).read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("name", FILES)
def test_pins_agree_with_pyproject(name: str) -> None:
    assert file_pins(name) == project_pins()


def test_the_stack_the_course_is_written_for() -> None:
    expected = {
        "torch": "2.9.1",
        "torchvision": "0.24.1",
        "torchaudio": "2.9.1",
        "snntorch": "1.0.0",
        "tonic": "1.7.0",
        "numpy": "2.1.3",
        "akida": "2.19.3",
        "cnn2snn": "2.19.3",
    }
    assert expected.items() <= project_pins().items()
    assert project_pins()["tensorflow"].startswith("2.19.")


def test_akida_stays_off_macos() -> None:
    marked = {
        re.split("[=;]", d)[0].strip()
        for d in project()["project"]["dependencies"]
        if "darwin" in d
    }
    assert marked == AKIDA


def test_no_package_index_is_named() -> None:
    for name in (*FILES, "pyproject.toml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|index-url|--index|find-links", text), (
            f"{name} names an index or an address"
        )


# What is resolved, for which machine; all at once, since a resolution mostly waits for the registry.
RESOLVED = {
    ("requirements-pc.txt", "x86_64-pc-windows-msvc"),
    ("requirements-pc.txt", "x86_64-unknown-linux-gnu"),
    ("requirements-pi.txt", "aarch64-manylinux_2_28"),
    ("pyproject.toml", "aarch64-apple-darwin"),
    ("requirements-pi.txt", "aarch64-apple-darwin"),  # has to fail: akida has no wheel for macOS
}


def compile_for(source: str, platform: str) -> subprocess.CompletedProcess[str] | None:
    """Let uv resolve ``source`` for Python 3.12 on another machine, with wheels only; None if it takes too long."""
    command = [
        "uv",
        "pip",
        "compile",
        source,
        "--python-platform",
        platform,
        "--python-version",
        "3.12",
        "--only-binary",
        ":all:",
        "--no-header",
        "--no-annotate",
        "--quiet",
        "--color",
        "never",
    ]
    for name in FROM_SOURCE:
        command += ["--no-binary", name]
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=240,
            env={**os.environ, "UV_HTTP_RETRIES": "1"},
        )
    except subprocess.TimeoutExpired:
        return None


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, str], subprocess.CompletedProcess[str] | None]:
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    with ThreadPoolExecutor(len(RESOLVED)) as pool:
        return dict(zip(RESOLVED, pool.map(lambda job: compile_for(*job), RESOLVED), strict=True))


def reached(done: subprocess.CompletedProcess[str] | None) -> subprocess.CompletedProcess[str]:
    """The answer, unless the registry did not give one."""
    if done is None:
        pytest.skip("the package registry did not answer in four minutes")
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip(
            "the package registry cannot be reached: "
            + done.stderr.strip().splitlines()[-1].strip()
        )
    return done


@pytest.mark.parametrize(
    ("name", "platform"), [job for job in sorted(RESOLVED) if "apple" not in job[1]]
)
def test_requirements_can_be_installed(answers, name: str, platform: str) -> None:
    done = reached(answers[name, platform])
    assert done.returncode == 0, f"{name} cannot be installed on {platform}:\n{done.stderr}"
    found = pins(done.stdout.splitlines())
    assert file_pins(name).items() <= found.items()
    assert "expelliarmus" not in found, (
        "C source on Python 3.12: pyproject.toml's override leaves it out"
    )
    if "aarch64" in platform:
        assert not [n for n in found if n.startswith("nvidia-")], "the Pi would get CUDA libraries"


def test_the_project_can_be_installed_on_a_mac(answers) -> None:
    done = reached(answers["pyproject.toml", "aarch64-apple-darwin"])
    assert done.returncode == 0, done.stderr
    found = pins(done.stdout.splitlines())
    wanted = {n: v for n, v in pins(project()["project"]["dependencies"]).items() if n not in AKIDA}
    assert wanted.items() <= found.items()
    assert not AKIDA & set(found)


def test_a_pin_that_cannot_be_installed_is_found(answers) -> None:
    """The tests above would notice: the Pi's pins on a Mac, where akida has no wheel."""
    done = reached(answers["requirements-pi.txt", "aarch64-apple-darwin"])
    assert done.returncode != 0 and "akida" in done.stderr


def test_the_floor_of_python_has_what_is_used() -> None:
    """``extractall(filter=…)`` came with Python 3.11.4: below it, unpacking fails after the download."""
    floor = re.search(
        r'requires-python = ">=3\.11\.(\d+)', (ROOT / "pyproject.toml").read_text("utf-8")
    )
    assert floor and int(floor[1]) >= 4
