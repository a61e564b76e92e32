"""The scalings of a trained DiracNet, layer by layer.

Source: Zagoruyko and Komodakis 2017, section 3.3.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch

from workloads.dirac_families import Scalings
from workloads.evaluations.measurement import Measurement
from workloads.evaluations.trained import Trained
from workloads.networks import scalings as found


def scalings(
    networks: list[Trained], parameters: Scalings, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields means and spreads of a and b, the median of |b| / |a|, the share of degraded planes, by layer.

    Raises:
        ValueError: A network without these scalings.
    """
    network = networks[0]
    layers = found.scalings(network.network)
    if not layers or not layers[0].ratios:
        raise ValueError(f"scalings: got {network.config.network.name}, allowed is a network with a and b")
    for each in layers:
        yield Measurement(
            coords={"layer": each.layer, "group": each.group},
            metrics={
                "mean_a": each.mean_a,
                "std_a": each.std_a,
                "mean_b": each.mean_b,
                "std_b": each.std_b,
                "median_ratio": statistics.median(each.ratios),
                "degraded_share": each.degraded(parameters.threshold),
            },
            progress=(each.layer + 1) / len(layers),
        )
