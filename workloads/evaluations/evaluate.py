"""Evaluates trained networks under conditions, each checkpoint loaded and forwarded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from workloads import predictions
from workloads.api import Condition, Placement, Report, from_plain
from workloads.evaluations import members, vote
from workloads.evaluations.trained import Trained
from workloads.families import FAMILIES
from workloads.placement import device_of, placed

# family -> log-probabilities (N, K) on the test split, from networks and the family's parameters
_MEASURED: Final[dict[str, Callable[[list[Trained], Any], torch.Tensor]]] = {
    "members": members.alone,
    "without": members.without,
    "vote": vote.vote,
}


def evaluate(
    checkpoints: Sequence[Path], conditions: Sequence[Condition], *, data: Path, placement: Placement
) -> Iterator[Report]:
    """Yields test_loss and test_error of each condition, in order.

    Args:
        checkpoints: Directories of finished trainings: one, or all that a family gathers.
        conditions: What to measure.
        data: Directory of the data sets.
        placement: Threads and devices.

    Raises:
        ValueError: An unknown family, a family that does not gather given several networks, or
            parameters that do not suit the network.
    """
    device = device_of(placement)
    with placed(placement):
        networks = [Trained(folder, data=data, device=device) for folder in checkpoints]
    for index, condition in enumerate(conditions):
        with placed(placement), torch.no_grad():
            family = FAMILIES.get(condition.family)
            if family is None:
                known = ", ".join(FAMILIES)
                raise ValueError(f"family: got {condition.family!r}, allowed is one of {known}")
            if len(networks) != 1 and not family.gathers:
                raise ValueError(f"{condition.family}: got {len(networks)} checkpoints, allowed is one")
            parameters: Any = from_plain(family.parameters, condition.parameters)
            log_probabilities_NK = _MEASURED[condition.family](networks, parameters)
            loss, error = predictions.measure(log_probabilities_NK, networks[0].test.y_N)
        yield Report(
            index=index,
            metrics={"test_loss": loss, "test_error": error},
            progress=1.0,
        )
