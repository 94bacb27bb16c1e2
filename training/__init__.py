"""The training loop of lesson 09 as plumbing: checkpoints, resuming, several processes, sweeps.

Its own modules import each other by name; lessons import ``fit`` and its company from here.
"""

from training.loop import (
    count_predict,
    evaluate,
    fit,
    membrane_loss,
    membrane_predict,
)

__all__ = ["count_predict", "evaluate", "fit", "membrane_loss", "membrane_predict"]
