"""What every lesson uses, and only plumbing. What a lesson teaches stands in that lesson.

Scripts import it before torch, which takes seconds to load: from here on Ctrl-C ends in one line.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def _excepthook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Python's own report of an error nobody caught, but one line for Ctrl-C."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print("\nstopped by Ctrl-C", file=sys.stderr, flush=True)
    os._exit(130)  # without another word from threads that still hold on


sys.excepthook = _excepthook
