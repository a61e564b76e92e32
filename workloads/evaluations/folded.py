"""A trained chain folded into convolutions with bias: its error, outputs and speed beside the unfolded one.

Shapes: B images of a mini-batch, C channels, H height, W width.
Source: Zagoruyko and Komodakis 2017, sections 1 and 2.1.
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from workloads import predictions
from workloads.dirac_families import Folded
from workloads.evaluations import measurement
from workloads.evaluations.measurement import PAUSE, Measurement
from workloads.evaluations.trained import Trained
from workloads.networks.dirac import ChainNet
from workloads.networks.folding import fold


def folded(networks: list[Trained], parameters: Folded, generator: torch.Generator) -> Iterator[Measurement]:
    """Yields the loss and error of the folded network, and how it compares with the unfolded one.

    largest_difference: between two logits of an image of the mini-batch, both in double precision; and its
    decimal logarithm unless it is 0.
    seconds_per_image, folded_seconds_per_image: medians over passes of one mini-batch, the two networks in
    turn, in the precision that they were trained in; filters are parameterised anew in each unfolded pass.

    Raises:
        ValueError: A network that is no chain.
    """
    network = networks[0]
    net = network.network
    if not isinstance(net, ChainNet):
        raise ValueError(f"folded: got {network.config.network.name}, allowed is a chain of layers")
    chain = fold(net)
    logits_NK = predictions.outputs(chain, network.test)
    yield PAUSE
    x_BCHW = next(iter(network.test.batches(parameters.batch_size)))
    if x_BCHW.dim() == 5:  # several views of each image
        x_BCHW = x_BCHW[:, 0]
    difference = largest_difference(net, x_BCHW)
    yield PAUSE
    x_BCHW = x_BCHW.to(next(net.parameters()).dtype)
    seconds: dict[nn.Module, list[float]] = {net: [], chain: []}
    for repeat in range(parameters.repeats + 1):
        for each, taken in seconds.items():
            started = _now(x_BCHW.device)
            each(x_BCHW)
            passed = _now(x_BCHW.device) - started
            if repeat:  # the first pass of each is to warm up
                taken.append(passed / len(x_BCHW))
        yield replace(PAUSE, progress=repeat / (parameters.repeats + 1))
    yield measurement.of(
        logits_NK.log_softmax(-1),
        network.test.y_N,
        **_difference(difference),
        seconds_per_image=statistics.median(seconds[net]),
        folded_seconds_per_image=statistics.median(seconds[chain]),
    )


@torch.no_grad()
def largest_difference(net: ChainNet, x_BCHW: torch.Tensor) -> float:
    """Returns the greatest difference between a logit of a network and of its folded chain, float64.

    Args:
        net: In evaluation mode; it stays in its own precision.
        x_BCHW: Images.
    """
    exact = copy.deepcopy(net).double()
    return float((exact(x_BCHW.double()) - fold(exact)(x_BCHW.double())).abs().max())


def _difference(value: float) -> dict[str, float]:
    metrics = {"largest_difference": value}
    if value:
        metrics["log10_largest_difference"] = math.log10(value)
    return metrics


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
