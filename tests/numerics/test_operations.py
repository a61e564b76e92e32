"""Operations counted by layers, and torch's own count of the same forward pass."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from workloads.networks import build as networks
from workloads.networks.build import build
from workloads.networks.configs import DFN, ResNet
from workloads.networks.operations import operations

KINDS = list(networks._MAKERS)
DIGITS = {"classes": 10, "in_channels": 1, "input_size": 8}


def by_torch(config: Any) -> int:
    side = config.input_size
    with torch.device("meta"):
        net, image_1CHW = build(config).eval(), torch.empty(1, config.in_channels, side, side)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net(image_1CHW)
    return int(counter.get_total_flops())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_has_as_many_as_torch_counts(kind: Any) -> None:
    shape = {"classes": 10, "in_channels": 3, "input_size": 224 if "ImageNet" in kind.__name__ else 32}
    config = dataclasses.replace(kind(), **shape)
    assert operations(config).flops == by_torch(config)


@pytest.mark.parametrize("width", [0.5, 8])  # run, and followed on the meta device
def test_networks_are_counted_alike_however_large(width: float) -> None:
    config = DFN(depth=14, width=width, **DIGITS)
    assert operations(config).flops == by_torch(config)


def test_layers_are_counted_as_they_are_called() -> None:
    # stem, 12 convolutions in 6 units, 2 projections, the fully connected layer
    assert operations(ResNet(depth=14, **DIGITS)).calls == 1 + 12 + 2 + 1


def test_random_numbers_go_on_as_if_nothing_had_been_counted() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    operations(ResNet(depth=8, **DIGITS))
    assert torch.equal(torch.rand(2), expected)
