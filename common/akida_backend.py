"""Akida: is there a chip, only its simulator, or nothing? Found out once, and always said with the reason."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class AkidaStatus:
    """``state`` is ``hardware``, ``simulator`` or ``absent``; ``reason`` is a phrase for people."""

    state: str
    reason: str
    version: str = ""
    devices: int = 0


@cache
def akida_status() -> AkidaStatus:
    """Look for the akida package and for chips that its driver shows."""
    try:
        import akida
    except ImportError as e:
        how = "there are no wheels for macOS" if sys.platform == "darwin" else "pip install akida==2.19.1"
        return AkidaStatus("absent", f"the akida package is not installed ({how})" if e.name == "akida"
                           else f"the akida package is broken: {e}")
    try:
        devices = akida.devices()
    except Exception as e:  # a driver of another version, or no right to open /dev/akida0
        return AkidaStatus("simulator", f"the driver answered with an error: {e}", akida.__version__)
    if devices:
        return AkidaStatus("hardware", f"Found {len(devices)} Akida device(s)", akida.__version__, len(devices))
    return AkidaStatus("simulator", "Found 0 Akida device(s): no card, or its driver is not loaded", akida.__version__)
