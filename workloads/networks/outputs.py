"""Losses and votes over a network's logits, a single net's or an ensemble's.

Shapes: M members, N images, K classes.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor


def cross_entropy_sum(logits: Tensor, targets_N: Tensor) -> Tensor:
    """Returns the training loss: the batch mean of the cross-entropy, summed over an ensemble's members.

    The sum, not the mean, over members: shared layers then get the members' summed gradients.

    Args:
        logits: logits_NK of a single net, or logits_MNK of an ensemble.
        targets_N: Class indices.

    Source: Zhao et al. 2016, released ensemble.py (a group of eight softmax outputs).
    """
    if logits.dim() == 2:
        return F.cross_entropy(logits, targets_N)
    members, images, classes = logits.shape
    summed = F.cross_entropy(
        logits.reshape(members * images, classes), targets_N.repeat(members), reduction="sum"
    )
    return summed / images


def combine(logits_MNK: Tensor, vote: Literal["probabilities", "logits"]) -> Tensor:
    """Returns probabilities_NK of the ensemble's vote.

    Args:
        logits_MNK: Logits, members first.
        vote: "probabilities" averages the members' softmax outputs, "logits" takes the softmax of the mean
            logits. The paper does not say which it used.
    """
    if vote == "probabilities":
        return logits_MNK.softmax(dim=-1).mean(dim=0)
    return logits_MNK.mean(dim=0).softmax(dim=-1)
