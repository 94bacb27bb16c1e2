"""Akida on this machine: a chip, its simulator, or nothing, and why."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache

NO_MACOS = "there are no wheels for macOS"
INSTALL = "pip install akida==2.19.3"
MEANS = {
    "hardware": "Latency and power are the chip's own.",
    "simulator": "Accuracy, mapping and sparsity are the simulator's, which computes what the chip "
    "computes; no power was measured, and its speed is this machine's.",
    "absent": "Nothing was quantised or mapped here; hardware energy measurements were skipped, "
    "published figures stand in their place.",
}


@dataclass(frozen=True)
class AkidaStatus:
    """``state`` is ``hardware``, ``simulator`` or ``absent``; ``reason`` is a phrase for people."""

    state: str
    reason: str
    version: str = ""
    devices: int = 0

    @property
    def means(self) -> str:
        """What this state makes of the numbers: a sentence for the journal."""
        return f"Akida: {self.state} ({self.reason}). {MEANS[self.state]}"


@cache
def akida_status() -> AkidaStatus:
    """Look for the akida package and for chips that its driver shows."""
    try:
        import akida
    except ImportError as e:
        if e.name != "akida":
            return AkidaStatus("absent", f"the akida package is broken: {e}")
        how = NO_MACOS if sys.platform == "darwin" else INSTALL
        return AkidaStatus("absent", f"the akida package is not installed ({how})")
    try:
        devices = akida.devices()
    except Exception as e:  # a driver of another version, or no right to open /dev/akida0
        reason = f"the driver answered with an error: {e}"
        return AkidaStatus("simulator", reason, akida.__version__)
    if not devices:
        reason = "Found 0 Akida device(s): no card, or its driver is not loaded"
        return AkidaStatus("simulator", reason, akida.__version__)
    reason = f"Found {len(devices)} Akida device(s)"
    return AkidaStatus("hardware", reason, akida.__version__, len(devices))
