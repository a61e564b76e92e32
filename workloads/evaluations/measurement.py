"""What a test-time condition yields: values, and where they belong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

import torch

from workloads import predictions
from workloads.api import Coordinate


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Values of one condition at one place.

    Attributes:
        metrics: Metric name -> value; none offers a place to stop and says nothing.
        coords: Dimensions that the family adds, such as {"length": 7}.
        progress: Share of the condition's work that is done, 0 to 1.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    coords: Mapping[str, Coordinate] = field(default_factory=dict)
    progress: float = 1.0


PAUSE: Final = Measurement(progress=0.0)


def of(log_probabilities_NK: torch.Tensor, y_N: torch.Tensor, **others: float) -> Measurement:
    """Returns test_loss and test_error of log-probabilities, and other metrics given.

    Args:
        log_probabilities_NK: N images, K classes.
        y_N: Class numbers.
        others: Further metrics.
    """
    loss, error = predictions.measure(log_probabilities_NK, y_N)
    return Measurement(metrics={"test_loss": loss, "test_error": error, **others})
