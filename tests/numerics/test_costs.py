"""What a training comes to, counted: beside what it computes, reads and leaves on the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from workloads.api import Placement
from workloads.classification import WORKLOAD
from workloads.configs import TrainConfig, canonical
from workloads.costs import checkpoint_bytes, estimate
from workloads.data import sets
from workloads.data.configs import CIFAR10, SVHN, Digits, Synthetic
from workloads.data.photo_kinds import ImageFolder, ImageNet
from workloads.data.sizes import sizes_of
from workloads.networks.configs import DFN, Plain, ResNet
from workloads.networks.describe import describe

SMALL = TrainConfig(data=Synthetic(images=128), network=ResNet(depth=8, width=0.125), epochs=1)


@pytest.mark.parametrize("data", [Digits(), Synthetic(), Synthetic(images=100)])
def test_splits_have_so_many_images(data: Any) -> None:
    found = sets.load(data, Path(), torch.device("cpu"))
    sizes = sizes_of(data)
    assert sizes is not None
    assert (sizes.train, sizes.validation, sizes.test) == (
        len(found.train),
        len(found.validation),
        len(found.test),
    )


def test_splits_of_sets_that_are_not_here() -> None:
    assert sizes_of(CIFAR10(validation=5000)).train == 45_000  # type: ignore[union-attr]
    assert sizes_of(SVHN()).train == 598_388  # type: ignore[union-attr]
    assert sizes_of(ImageNet()).train == 1_231_167  # type: ignore[union-attr]
    folder = ImageFolder(path="x", classes=2, digest="names:" + "0" * 64)
    assert sizes_of(folder) is None
    assert estimate(replace(SMALL, data=folder)) is None
    assert checkpoint_bytes(replace(SMALL, data=folder)) > 0


@pytest.mark.parametrize("network", [Plain(depth=8), ResNet(depth=14, width=0.5), DFN(depth=14)])
def test_a_checkpoint_is_as_large_as_it_was_counted(network: Any, tmp_path: Path) -> None:
    config = replace(SMALL, network=network)
    (last,) = [
        report
        for report in WORKLOAD.train(config, seeds=[0], data=tmp_path, resume={}, placement=Placement())
        if report.evaluation == "test"
    ]
    assert last.save is not None
    last.save(tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert checkpoint_bytes(config) == pytest.approx(size, rel=0.1)


def test_what_there_is_to_compute_grows_with_images_epochs_and_depth() -> None:
    base, longer = estimate(SMALL), estimate(replace(SMALL, epochs=4))
    assert base is not None
    assert longer is not None
    flops = describe(canonical(SMALL).network)["flops"]
    assert base.test.flops == flops * 32
    assert base.train.flops == flops * (3 * 128 + 32 + 32)
    assert longer.train.flops == flops * (4 * (3 * 128 + 32) + 32)
    assert estimate(replace(SMALL, epochs=4, evaluate_every=2)).train.flops == longer.train.flops - 64 * flops  # type: ignore[union-attr]
    deep = estimate(replace(SMALL, network=ResNet(depth=14, width=0.125)))
    wide = estimate(replace(SMALL, network=ResNet(depth=8, width=0.5)))
    assert deep is not None
    assert wide is not None
    assert deep.train.operations / base.train.operations == pytest.approx(14 / 8, rel=0.2)
    assert wide.train.operations == base.train.operations
    assert wide.train.flops > 10 * base.train.flops
