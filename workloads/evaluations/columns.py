"""Columns of a fractal network as networks of their own: what they achieve, and what they cost.

Shapes: N images, C channels, H height, W width.
Source: Larsson et al. 2017, sections 3.1 and 4.2, Tables 1 and 4.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from workloads import predictions
from workloads.column_families import Anytime, Columns, Statistics
from workloads.data.sets import Images
from workloads.evaluations.measurement import Measurement
from workloads.evaluations.trained import Trained
from workloads.networks.configs import FractalColumn, FractalNet, FractalNetImageNet
from workloads.networks.operations import operations

# Forward passes before the first that is timed: memory is taken and algorithms are chosen in them.
_WARM_UP = 5


def columns(
    networks: list[Trained], parameters: Columns, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields loss and error of every column, and of the whole network, on the test and the training split."""
    network = networks[0]
    config = _config(network)
    names = config.evaluated
    for position, name in enumerate(names):
        with _normalised(network, name, parameters.statistics):
            metrics: dict[str, float] = {"depth": config.column_depth(name)}
            for split, images in (("test", network.test), ("train", network.train)):
                log_NK = predictions.outputs(network.network, images, column=name).log_softmax(-1)
                metrics[f"{split}_loss"], metrics[f"{split}_error"] = predictions.measure(log_NK, images.y_N)
                yield Measurement(progress=(position + 0.5) / len(names))
        yield Measurement(coords={"column": name}, metrics=metrics, progress=(position + 1) / len(names))


def anytime(
    networks: list[Trained], parameters: Anytime, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields error, operations and latency of every column, and of the whole network."""
    network = networks[0]
    config = _config(network)
    for position, name in enumerate(config.evaluated):
        with _normalised(network, name, parameters.statistics):
            log_NK = predictions.outputs(network.network, network.test, column=name).log_softmax(-1)
            metrics = {
                "test_error": predictions.measure(log_NK, network.test.y_N)[1],
                "depth": config.column_depth(name),
                "flops": operations(config, column=name).flops,
                "latency_s": _latency_s(network, name, parameters),
            }
        yield Measurement(
            coords={"column": name}, metrics=metrics, progress=(position + 1) / len(config.evaluated)
        )


@contextmanager
def re_estimated(network: nn.Module, images: Images, **options: Any) -> Iterator[None]:
    """Runs its body with running statistics of batch normalisation that are of this split and these options.

    They are the mean over mini-batches, in the split's own order, of the batches' means and variances; a
    smaller last mini-batch is left out. Everything but normalisation is in evaluation mode: nothing is
    dropped. The training's statistics come back at the end.

    Args:
        network: In evaluation mode.
        images: What statistics are taken of.
        options: Handed to the network's forward pass; layers that it does not run have no statistics.
    """
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    kept = [{name: value.clone() for name, value in norm.named_buffers()} for norm in norms]
    momenta = [norm.momentum for norm in norms]
    dtype = next(network.parameters()).dtype
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a mean in which all mini-batches weigh the same
            norm.train()
        for position, x_NCHW in enumerate(images.batches(predictions.EVALUATION_BATCH)):
            if not position or len(x_NCHW) == predictions.EVALUATION_BATCH:
                network(x_NCHW.to(dtype), **options)
        for norm in norms:
            norm.eval()
        yield
    finally:
        for norm, momentum, buffers in zip(norms, momenta, kept, strict=True):
            norm.momentum = momentum
            norm.eval()
            for name, value in buffers.items():
                norm.get_buffer(name).copy_(value)


def _normalised(network: Trained, column: str, kind: Statistics) -> AbstractContextManager[None]:
    if kind == "as_trained":
        return nullcontext()
    return re_estimated(network.network, network.train, column=column)


def _latency_s(network: Trained, column: str, parameters: Anytime) -> float:
    """Returns the median time of a forward pass of a mini-batch of test images."""
    x_NCHW = next(iter(network.test.batches(parameters.batch_size)))
    if x_NCHW.dim() == 5:
        x_NCHW = x_NCHW[:, 0]  # of several views of an image the first
    x_NCHW = x_NCHW.to(next(network.network.parameters()).dtype)
    took_s: list[float] = []
    for _ in range(_WARM_UP + parameters.repeats):
        _wait(x_NCHW.device)
        begun = time.perf_counter()
        network.network(x_NCHW, column=column)
        _wait(x_NCHW.device)
        took_s.append(time.perf_counter() - begun)
    return statistics.median(took_s[_WARM_UP:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _config(network: Trained) -> FractalNet | FractalColumn | FractalNetImageNet:
    config = network.config.network
    assert isinstance(config, FractalNet | FractalColumn | FractalNetImageNet)  # `unsuited` sees to it
    return config
