"""The vote of networks that were trained apart.

Shapes: M networks, N images, K classes.
"""

from __future__ import annotations

import torch

from workloads import predictions
from workloads.evaluations.trained import Trained
from workloads.families import Vote


def vote(networks: list[Trained], parameters: Vote) -> torch.Tensor:
    """Returns log-probabilities (N, K) of the networks' vote.

    Raises:
        ValueError: Networks that were trained on different data sets.
    """
    names = {network.config.data.name for network in networks}
    if len(names) > 1:
        raise ValueError(f"vote: got networks trained on {', '.join(sorted(names))}, allowed is one data set")
    logits_MNK = torch.stack([network.output() for network in networks])
    return predictions.log_vote(logits_MNK, parameters.combine)
