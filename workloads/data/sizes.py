"""How many images the splits of a data set have, without reading it. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from workloads.data.configs import CIFAR10, CIFAR100, SVHN, Data, Digits, Synthetic
from workloads.data.photo_kinds import ImageNet


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Images of the three splits."""

    train: int
    validation: int
    test: int


def sizes_of(data: Data) -> Sizes | None:
    """Returns the images of the splits that a configuration names, None where only the files tell."""
    if isinstance(data, Digits):
        return Sizes(train=1_212, validation=135, test=450)
    if isinstance(data, Synthetic):
        quarter = data.images // 4
        return Sizes(train=data.images, validation=quarter, test=quarter)
    if isinstance(data, CIFAR10 | CIFAR100):
        return _held_out(50_000, data.validation, 10_000)
    if isinstance(data, SVHN):
        if data.split == "zhao2016":
            return Sizes(train=598_388, validation=6_000, test=26_032)
        return _held_out(604_388 if data.split == "whole" else 73_257, data.validation, 26_032)
    if isinstance(data, ImageNet):
        return _held_out(1_281_167, data.validation, 50_000)
    return None


def _held_out(images: int, validation: int, test: int) -> Sizes:
    return Sizes(train=images - validation, validation=validation, test=test)
