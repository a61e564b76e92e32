"""The image-classification workload: what `SPEC.runtime` and `SPEC.describe` name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, final

from workloads import fused_training, training
from workloads.api import Condition, Placement, Report, Workload
from workloads.configs import TrainConfig, canonical
from workloads.drawing import svg
from workloads.evaluations import evaluate as evaluations
from workloads.networks import describe as networks
from workloads.networks import printed
from workloads.networks.configs import Network
from workloads.networks.sketch import sketch


@final
class Classification:
    """Trains image classifiers, and measures trained ones under test-time conditions."""

    def train(
        self,
        config: TrainConfig,
        *,
        seeds: Sequence[int],
        data: Path,
        resume: Mapping[int, Path],
        placement: Placement,
    ) -> Iterator[Report]:
        """Yields the reports of one network for each seed; see `training` and `fused_training`."""
        train = fused_training.train if placement.fused and len(seeds) > 1 else training.train
        return train(config, seeds=seeds, data=data, resume=resume, placement=placement)

    def evaluate(
        self,
        checkpoints: Sequence[Path],
        conditions: Sequence[Condition],
        *,
        data: Path,
        placement: Placement,
    ) -> Iterator[Report]:
        """Yields each condition's measurements; see `workloads.evaluations.evaluate.evaluate`."""
        return evaluations.evaluate(checkpoints, conditions, data=data, placement=placement)


def describe(config: TrainConfig) -> Mapping[str, float]:
    """Returns parameters, longest_path, flops and paths of the network that a configuration trains."""
    return networks.describe(_network(config))


def details(config: TrainConfig) -> Mapping[str, object]:
    """Returns what `orch model` says of a network besides its description.

    path_lengths: layers of a way from image to logits -> number of such ways, exactly.
    printed: what papers print of it: figure, source, whether our exact count is that figure, note.
    notes: what must be known before these are read.
    """
    network = _network(config)
    parameters = networks.describe(network)["parameters"]
    return {
        "path_lengths": networks.path_lengths(network),
        "printed": [
            {
                "figure": each.figure,
                "source": each.source,
                "reproduced": each.gives(parameters),
                "note": each.note,
            }
            for each in printed.printed(network)
        ],
        "notes": [printed.NOTES[network.name]] if network.name in printed.NOTES else [],
    }


def picture(config: TrainConfig) -> str:
    """Returns a drawing of the network that a configuration trains, as an SVG document."""
    return svg.document(sketch(_network(config)))


def _network(config: TrainConfig) -> Network:
    network = config.network
    if None in (network.classes, network.in_channels, network.input_size):
        network = canonical(config).network
    return network


WORKLOAD: Final = Classification()
_PROOF: Workload = WORKLOAD
