"""From a network to the AKD1000. On a Pi this package is all there is of the course: so Ctrl-C ends in one line here, too."""

import os
import sys
from typing import Any


def _excepthook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Python's own report of an error nobody caught, but one line for Ctrl-C."""
    if not issubclass(kind, KeyboardInterrupt):
        return sys.__excepthook__(kind, error, trace)
    print("\nstopped by Ctrl-C", file=sys.stderr, flush=True)
    os._exit(130)


if sys.excepthook is sys.__excepthook__:  # `common` is not there, or comes later
    sys.excepthook = _excepthook
