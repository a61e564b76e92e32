"""Members of a weight-shared ensemble: one alone, and the vote without one.

Both follow from the members' outputs, which one forward pass of the whole ensemble gives: batch
normalisation keeps each member's running statistics apart, so a member's output does not depend on
which others are computed beside it.

Shapes: M members, N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from workloads import predictions
from workloads.configs import TrainConfig
from workloads.evaluations import measurement
from workloads.evaluations.measurement import Measurement
from workloads.evaluations.trained import Trained
from workloads.families import Members, Without
from workloads.networks.configs import PathEnsemble


def alone(networks: list[Trained], parameters: Members, generator: torch.Generator) -> Iterator[Measurement]:
    """Yields the loss and error of one member.

    Raises:
        ValueError: The ensemble has no such member.
    """
    network = networks[0]
    position = _position(network, parameters.member)
    yield measurement.of(network.output()[position].log_softmax(-1), network.test.y_N)


def without(
    networks: list[Trained], parameters: Without, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields the loss and error of the vote among all members but one.

    Raises:
        ValueError: The ensemble has no such member, or no other.
    """
    network = networks[0]
    position = _position(network, parameters.member)
    logits_MNK = network.output()
    if len(logits_MNK) == 1:
        raise ValueError(f"member: got {parameters.member!r}, the ensemble's only member; nothing would vote")
    rest_MNK = torch.cat([logits_MNK[:position], logits_MNK[position + 1 :]])
    yield measurement.of(predictions.log_vote(rest_MNK, _rule(network.config)), network.test.y_N)


def _position(network: Trained, member: str) -> int:
    members: tuple[str, ...] = tuple(getattr(network.network, "members", ()))
    if member not in members:
        has = ", ".join(members) or "none: it is no path_ensemble"
        raise ValueError(f"member: got {member!r}, allowed are the network's members ({has})")
    return members.index(member)


def _rule(config: TrainConfig) -> predictions.Combine:
    assert isinstance(config.network, PathEnsemble)
    return config.network.vote
