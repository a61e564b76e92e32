"""What a training comes to, counted on the network that it builds: nothing is trained, no data is read."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from workloads.api import Cost, Work
from workloads.configs import TrainConfig, canonical
from workloads.data.sizes import sizes_of
from workloads.networks.build import on_meta
from workloads.networks.configs import Network
from workloads.networks.operations import operations

# Forward and backward: the gradients by inputs and by weights take as much as the forward pass, each.
_LEARN: Final = 3
_EVALUATION_BATCH: Final = 256
# Of a checkpoint (workloads/checkpoint.py): each tensor's own header, five streams, JSON.
_TENSOR_BYTES, _OTHER_BYTES = 300, 31_000
_FLOAT: Final = 4


def estimate(config: TrainConfig) -> Cost | None:
    """Returns what a training by a configuration comes to; None where only its data tell.

    What looks inside the network (`probe_every`) is not counted, nor are parts that a mini-batch leaves out.

    Args:
        config: Canonical or not.
    """
    config = canonical(config)
    sizes = sizes_of(config.data)
    if sizes is None:
        return None
    flops, layers = _forward(config.network)
    crops = getattr(config.data, "crops", 1)
    looks = math.ceil(config.epochs / config.evaluate_every)
    test = Work(
        flops=flops * sizes.test * crops,
        operations=layers * math.ceil(sizes.test * crops / _EVALUATION_BATCH),
    )
    steps = config.epochs * math.ceil(sizes.train / config.batch_size)
    seen = looks * sizes.validation
    train = Work(
        flops=flops * (_LEARN * config.epochs * sizes.train + seen) + test.flops,
        operations=layers * (_LEARN * steps + math.ceil(seen / _EVALUATION_BATCH)) + test.operations,
    )
    return Cost(train=train, test=test)


def checkpoint_bytes(config: TrainConfig) -> float:
    """Returns the bytes of a complete checkpoint of a training.

    Args:
        config: Canonical or not.
    """
    config = canonical(config)
    parameters, state_bytes, tensors = _held(config.network)
    sizes = sizes_of(config.data)
    width = 2 if config.precision == "float64" else 1
    order_bytes = 8 * sizes.train if sizes is not None else 0
    return width * (state_bytes + _FLOAT * parameters) + tensors * _TENSOR_BYTES + order_bytes + _OTHER_BYTES


@lru_cache(maxsize=1024)
def _held(config: Network) -> tuple[int, int, int]:
    """Returns parameters of a network, and bytes and number of the tensors of its state."""
    net = on_meta(config)
    state = net.state_dict()
    size_bytes = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    return sum(parameter.numel() for parameter in net.parameters()), size_bytes, len(state)


@lru_cache(maxsize=1024)
def _forward(config: Network) -> tuple[int, int]:
    """Returns floating-point operations of one image's forward pass, and calls of layers."""
    counted = operations(config)
    return counted.flops, max(1, counted.calls)
