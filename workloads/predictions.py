"""From a network's output to a loss and an error, for single networks and for ensembles alike.

Shapes: M members, N images, K classes.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import nn

from workloads.data.sets import Images
from workloads.networks.path_ensemble import PathEnsembleNet

# Images forwarded at once when nothing is learnt: fixed, so that results do not follow memory.
EVALUATION_BATCH: Final = 256
Combine: TypeAlias = Literal["probabilities", "logits"]


def log_vote(logits_MNK: torch.Tensor, combine: Combine) -> torch.Tensor:
    """Returns log-probabilities (N, K) of a vote among members.

    Args:
        logits_MNK: The members' outputs.
        combine: "probabilities" averages the members' softmax, "logits" their outputs.
    """
    if combine == "logits":
        return logits_MNK.mean(0).log_softmax(-1)
    return logits_MNK.log_softmax(-1).logsumexp(0) - math.log(len(logits_MNK))


def log_probabilities(network: nn.Module, logits: torch.Tensor) -> torch.Tensor:
    """Returns log-probabilities (N, K) of what a network finally says.

    Args:
        network: The network.
        logits: Its output: (N, K), or (M, N, K) of an ensemble.
    """
    if logits.dim() == 2:
        return logits.log_softmax(-1)
    assert isinstance(network, PathEnsembleNet)
    return log_vote(logits, network.config.vote)


def measure(log_probabilities_NK: torch.Tensor, y_N: torch.Tensor) -> tuple[float, float]:
    """Returns mean negative log-likelihood (nats) and error (fraction).

    Args:
        log_probabilities_NK: What was predicted.
        y_N: The classes.
    """
    picked_N = log_probabilities_NK.gather(1, y_N[:, None])
    errors = int((log_probabilities_NK.argmax(1) != y_N).sum())
    return float(-picked_N.mean()), errors / len(y_N)


def top5_errors(scores_NK: torch.Tensor, y_N: torch.Tensor) -> torch.Tensor:
    """Returns how many images have a class that is not among their five highest scores, a tensor.

    Args:
        scores_NK: Logits or log-probabilities.
        y_N: The classes.
    """
    return (scores_NK.topk(5, dim=-1).indices != y_N[:, None]).all(dim=-1).sum()


@torch.no_grad()
def outputs(network: nn.Module, split: Images, **options: Any) -> torch.Tensor:
    """Returns a network's outputs for a whole split, in evaluation mode: (N, K) or (M, N, K), float64.

    In single precision the softmax of confident outputs ties at 1, and which class wins a vote would
    depend on the order in which it was computed. The network is left in the mode it was in. Of a split that
    shows several views of an image, the logarithm of the mean of their probabilities stands for the output.

    Args:
        network: The network.
        split: Images.
        options: Handed to the network's forward pass.
    """
    was_training = network.training
    network.eval()
    dtype = next(network.parameters()).dtype
    parts = []
    for x in split.batches(EVALUATION_BATCH):
        several = x.dim() == 5
        output = network((x.flatten(0, 1) if several else x).to(dtype), **options).double()
        parts.append(log_mean(output, x.shape[1]) if several else output)
    network.train(was_training)
    return torch.cat(parts, dim=-2)


def log_mean(logits: torch.Tensor, views: int) -> torch.Tensor:
    """Returns the logarithm of the mean probabilities (..., N, K) of the views of each image.

    Args:
        logits: (..., N * V, K), the views of an image together.
        views: V.
    """
    *ahead, rows, classes = logits.shape
    apart = logits.reshape(*ahead, rows // views, views, classes).log_softmax(-1)
    return torch.logsumexp(apart, dim=-2) - math.log(views)
