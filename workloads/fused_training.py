"""Trainings of several seeds of one configuration, computed as one network.

Each replica has its own weights, batch statistics, momentum, order, augmentation and checkpoints, and is the
training that `workloads.training` would make of its seed, up to rounding. Bits agree between two runs whose
groups are equal: a training that was interrupted and continued with the same seeds beside it is bit-identical
to one that was not. A replica that diverges ends, and its place computes on unread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, final

import torch
from torch import nn

from workloads import checkpoint
from workloads.api import Placement, Report
from workloads.configs import TrainConfig, canonical
from workloads.data import sets
from workloads.fused_learner import FusedLearner, Member
from workloads.networks.drawn import Drawn
from workloads.placement import device_of, placed
from workloads.training import REPORT_EVERY_S, Point, Training, alarm, load, reports
from workloads.training import train as train_alone
from workloads.unfused import unfused

_LOG: Final = logging.getLogger(__name__)


@final
class FusedTraining:
    """The trainings of several seeds, which advance together."""

    def __init__(
        self, config: TrainConfig, seeds: Sequence[int], data: sets.DataSet, device: torch.device
    ) -> None:
        """Initialises a network for each seed; the trainings in `replicas` may then be restored.

        Args:
            config: Canonical configuration.
            seeds: One for each replica.
            data: The data set, on the device.
            device: Where to compute.
        """
        members: list[Member] = []

        def member(network: nn.Module) -> Member:
            members.append(Member(network, config, device))
            return members[-1]

        self.replicas = [Training(config, seed, data, device, learner=member) for seed in seeds]
        generators = [each.streams.regularisation for each in self.replicas]
        self._learner = FusedLearner([each.network for each in members], config, device, generators)
        self._drawn = [
            [part for part in each.network.modules() if isinstance(part, Drawn)] for each in members
        ]
        for index, each in enumerate(members):
            each.join(self._learner, index)
        self._open = list(range(len(seeds)))

    @property
    def over(self) -> bool:
        """Whether every replica has ended."""
        return not self._open

    def advance(self, stop: Callable[[], bool]) -> dict[int, Point]:
        """Trains up to the next point of any replica that has not ended; returns where all of these stand.

        Args:
            stop: Asked after every mini-batch.
        """
        found = self._each(Training.finish)
        while not found:
            self._learn()
            found = self._each(Training.look)
            if found or stop():
                found = {index: found.get(index) or self.replicas[index].here() for index in self._open}
        self._open = [index for index in self._open if index not in found or not found[index].ended]
        return found

    def _each(self, ask: Callable[[Training], Point | None]) -> dict[int, Point]:
        points = {index: ask(self.replicas[index]) for index in self._open}
        return {index: point for index, point in points.items() if point is not None}

    def _learn(self) -> None:
        for index in self._open:
            for part in self._drawn[index]:
                part.draw(self.replicas[index].streams.modules)
        own = {index: self.replicas[index].next_batch() for index in self._open}
        first = self._open[0]
        # in the place of one that has ended anything will do
        batches = [own.get(index, own[first]) for index in range(len(self.replicas))]
        sums = self._learner.learn(batches, self.replicas[first].lr)
        for index in self._open:
            self.replicas[index].learnt(sums[index])


def train(
    config: TrainConfig,
    *,
    seeds: Sequence[int],
    data: Path,
    resume: Mapping[int, Path],
    placement: Placement,
    report_every_s: float = REPORT_EVERY_S,
) -> Iterator[Report]:
    """Yields the reports of one network for each seed; those that stand at the same step are computed as one.

    Args:
        config: Configuration, canonical or not.
        seeds: One for each network; none of them changes another's result but in rounding.
        data: Directory of the data sets.
        resume: Position in `seeds` -> checkpoint to continue from.
        placement: Threads and one device.
        report_every_s: Seconds after which an empty report offers a checkpoint; 0 for every mini-batch.

    Raises:
        ValueError: Networks that cannot be fused, a checkpoint of another training, or a device that is not
            there.
    """
    config = canonical(config)
    if (reason := unfused(config)) is not None:
        raise ValueError(f"fused: got seeds to train as one network, but {reason}; allowed is one at a time")
    if len(placement.devices) > 1:
        raise ValueError(
            f"fused: got {len(placement.devices)} devices for seeds that train as one network; allowed is one"
        )
    for indexes in _abreast(seeds, resume):
        begun = {place: resume[index] for place, index in enumerate(indexes) if index in resume}
        own = [seeds[index] for index in indexes]
        run = _together if len(own) > 1 else train_alone
        for report in run(
            config, seeds=own, data=data, resume=begun, placement=placement, report_every_s=report_every_s
        ):
            yield replace(report, index=indexes[report.index])


def _abreast(seeds: Sequence[int], resume: Mapping[int, Path]) -> list[list[int]]:
    """Returns positions of seeds whose trainings stand at the same step."""
    found: dict[tuple[int, int, bool], list[int]] = {}
    for index in range(len(seeds)):
        place = checkpoint.read_place(resume[index]) if index in resume else (0, 0, False)
        found.setdefault(place, []).append(index)
    return list(found.values())


def _together(
    config: TrainConfig,
    *,
    seeds: Sequence[int],
    data: Path,
    resume: Mapping[int, Path],
    placement: Placement,
    report_every_s: float,
) -> Iterator[Report]:
    device = device_of(placement)
    with placed(placement):
        trainings = FusedTraining(config, seeds, load(config, data, device), device)
        for index, folder in resume.items():
            trainings.replicas[index].restore(folder)
    _LOG.info("seeds %s as one network: %s", ", ".join(map(str, seeds)), trainings.replicas[0].rates())
    while not trainings.over:
        overdue = alarm(report_every_s)
        with placed(placement):
            points = trainings.advance(overdue)
        for index, point in points.items():
            yield from reports(trainings.replicas[index], point, index, placement)
