"""The playground as one HTML file: our JavaScript, the trained weights and a recorded game, no request.

Its parts stand in ``playground/``: page.html, style.css and the scripts; weights come from ``checkpoints``.
"""

from __future__ import annotations

import base64
from pathlib import Path

from common.io import ROOT

from markupsafe import Markup
from safetensors.numpy import load_file

FOLDER = Path(__file__).parent / "playground"
WEIGHTS = ROOT / "checkpoints" / "mnist_256.safetensors"
SCRIPTS = ("neuron.js", "network.js", "surrogate.js", "draw.js", "app.js")
PARTS = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
"""Lesson 09's layers in the order in which the page reads them, as 16-bit floats."""


def values(page_style: str, theme: str) -> dict[str, Markup | dict[str, Markup]]:
    """What the template ``page.html`` is filled with; the site's style and theme go into the one file."""
    weights = load_file(WEIGHTS)
    packed = b"".join(weights[name].astype("<f2").tobytes() for name in PARTS)
    data = {
        "weights": packed,
        "digits": (FOLDER / "digits.bin").read_bytes(),
        "game": (FOLDER / "game.bin").read_bytes(),
    }
    return {
        "page_style": Markup(page_style),
        "theme": Markup(theme),
        "scripts": Markup(script()),
        "style": Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        "data": {name: Markup(base64.b64encode(raw).decode()) for name, raw in data.items()},
    }


def script() -> str:
    """All scripts of the page as one; ``"use strict"`` counts at its beginning."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
