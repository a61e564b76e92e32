"""Looks inside a network while it trains; nothing here changes what is learnt.

columns: loss and error of every column of a fractal network, and of the whole, on the training split as it is
    (not augmented), with the running statistics of the training (Larsson et al. 2017, Figure 3).
scalings: mean and spread of a and b of every layer of a DiracNet (Zagoruyko and Komodakis 2017, Figure 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from torch import nn

from workloads import predictions
from workloads.configs import TrainConfig
from workloads.data.sets import DataSet
from workloads.evaluations.measurement import Measurement
from workloads.networks.fractal import FractalNetwork
from workloads.networks.scalings import scalings


def due(config: TrainConfig, epoch: int) -> bool:
    """Returns whether the network is looked into after so many epochs."""
    every = config.probe_every
    return every > 0 and (epoch % every == 0 or epoch == config.epochs)


def look(network: nn.Module, config: TrainConfig, data: DataSet) -> Iterator[Measurement]:
    """Yields what is measured inside a network.

    Args:
        network: In training mode, which it is left in.
        config: Canonical configuration of its training.
        data: Its data set.
    """
    yield from _PROBES[config.network.name](network, data)


def _columns(network: nn.Module, data: DataSet) -> Iterator[Measurement]:
    assert isinstance(network, FractalNetwork)
    for column in network.evaluated:
        logits_NK = predictions.outputs(network, data.train, column=column)
        loss, error = predictions.measure(logits_NK.log_softmax(-1), data.train.y_N)
        yield Measurement(coords={"column": column}, metrics={"column_loss": loss, "column_error": error})


def _scalings(network: nn.Module, data: DataSet) -> Iterator[Measurement]:
    for each in scalings(network):
        found = {
            "mean_a": each.mean_a,
            "std_a": each.std_a,
            "mean_b": each.mean_b,
            "std_b": each.std_b,
        }
        # without weight normalisation there is no b
        metrics = {name: value for name, value in found.items() if not math.isnan(value)}
        yield Measurement(coords={"layer": each.layer, "group": each.group}, metrics=metrics)


_PROBES: Final[dict[str, Callable[[nn.Module, DataSet], Iterator[Measurement]]]] = {
    "fractalnet": _columns,
    "fractal_column": _columns,
    "diracnet": _scalings,
    "diracnet_imagenet": _scalings,
}
