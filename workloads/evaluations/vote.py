"""The vote of networks that were trained apart.

Shapes: M networks, N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from workloads import predictions
from workloads.evaluations import measurement
from workloads.evaluations.measurement import Measurement
from workloads.evaluations.trained import Trained
from workloads.families import Vote


def vote(networks: list[Trained], parameters: Vote, generator: torch.Generator) -> Iterator[Measurement]:
    """Yields the loss and error of the networks' vote.

    Raises:
        ValueError: Networks that were trained on different data sets.
    """
    tested = {replace(network.config.data, augmentation="auto") for network in networks}
    if len(tested) > 1:
        names = ", ".join(sorted(map(str, tested)))
        raise ValueError(f"vote: got networks trained on {names}, allowed is one data set")
    logits_MNK = torch.stack([network.output() for network in networks])
    yield measurement.of(predictions.log_vote(logits_MNK, parameters.combine), networks[0].test.y_N)
