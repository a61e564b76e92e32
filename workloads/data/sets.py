"""A data set, in memory or read as it is needed, and how a configuration finds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias, final

import torch

from workloads.data import colour, digits, photo_sets, synthetic
from workloads.data.configs import Data, Digits, Synthetic, facts_of
from workloads.data.loader import Loader
from workloads.data.photo_kinds import ImageFolder, ImageNet
from workloads.data.photos import PhotoLoader, Photos
from workloads.data.split import Split

# Sets that a process keeps on a device: its next trial reads one of them again, mostly.
KEPT: Final = 2
Images: TypeAlias = Split | Photos


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Three splits of one data set, normalised by the training split's mean and standard deviation.

    Attributes:
        train: What the network learns from.
        validation: What hyper-parameters may be chosen by; may be empty.
        test: Looked at once, at the end.
    """

    train: Images
    validation: Images
    test: Images


def load(data: Data, folder: Path, device: torch.device) -> DataSet:
    """Returns a data set on a device, where photographs come to as they are needed.

    Args:
        data: Which, and how it is split and normalised.
        folder: Directory of the data sets; embedded ones do not look there.
        device: Where the tensors are to be.

    Raises:
        FileNotFoundError: The files are not there.
        ValueError: The data's digest is not the one that is known.
    """
    if isinstance(data, Digits):
        return _moved(digits.load(data.size), device, _ready)
    if isinstance(data, Synthetic):
        return _moved(synthetic.load(replace(data, augmentation="auto")), device, _ready)
    if isinstance(data, ImageNet | ImageFolder):
        photos = [each.on(device) for each in photo_sets.load(replace(data, augmentation="auto"), folder)]
        return DataSet(train=photos[0], validation=photos[1], test=photos[2])
    return _moved(colour.load(replace(data, augmentation="auto"), folder), device, _whole)


NAMES: Final = ("digits", "synthetic", *colour.PARTS, *photo_sets.NAMES)


def check(name: str, folder: Path) -> dict[str, int]:
    """Returns part -> number of images of a set, after comparing the files with their published digests.

    Args:
        name: The set.
        folder: Directory of the data sets; of "image_folder" the folder itself.

    Raises:
        FileNotFoundError: They are not there, or not the published ones.
        ValueError: An unknown set, or files that are not those that they should be.
    """
    if name in photo_sets.NAMES:
        return photo_sets.check(name, folder)
    if name in colour.PARTS:
        return colour.check(name, folder)
    if name not in NAMES:
        raise ValueError(f"data set: got {name!r}, allowed is one of {', '.join(NAMES)}")
    whole = load(Digits() if name == "digits" else Synthetic(), folder, torch.device("cpu"))
    return {part: len(getattr(whole, part)) for part in ("train", "validation", "test")}


def fetch(name: str, folder: Path) -> dict[str, int]:
    """Downloads a set, checks it, and returns what `check` does.

    Raises:
        OSError: No network, no room, or files that are not the published ones; nothing is left behind.
        ValueError: An unknown set.
    """
    if name in colour.PARTS:
        colour.fetch(name, folder)
    return check(name, folder)


def described(name: str, folder: Path) -> dict[str, Any]:
    """Returns what a study must say of a set beside its name: field of `data` -> value.

    Raises:
        FileNotFoundError: The files are not there.
        ValueError: They are not those that they should be.
    """
    return photo_sets.described(folder) if name == "image_folder" else {}


def loader(split: Images, data: Data, batch_size: int) -> Loader | PhotoLoader:
    """Returns the mini-batches of a training split, augmented as a canonical configuration says."""
    if isinstance(split, Photos):
        assert isinstance(data, ImageNet | ImageFolder)
        return PhotoLoader(split, data, batch_size)
    facts = facts_of(data)
    augmented = data.augmentation in ("plus", "plus_plus")
    return Loader(
        split,
        batch_size=batch_size,
        padding=facts.padding if augmented else 0,
        flips=facts.flips and augmented,
        reflect=data.augmentation == "plus_plus",
    )


_kept: list[tuple[tuple[Split, Split, Split], torch.device, DataSet]] = []


def _moved(
    parts: tuple[Split, Split, Split],
    device: torch.device,
    move: Callable[[tuple[Split, Split, Split], torch.device], DataSet],
) -> DataSet:
    """Returns a set on a device; of the last `KEPT` that a process used, what is there already.

    Args:
        parts: The set in memory; the same object is the same set.
        device: The device.
        move: Brings it there.
    """
    for place, (known, where, found) in enumerate(_kept):
        if known is parts and where == device:
            _kept.append(_kept.pop(place))
            return found
    _kept.append((parts, device, move(parts, device)))
    del _kept[:-KEPT]
    return _kept[-1][2]


def _ready(parts: tuple[Split, Split, Split], device: torch.device) -> DataSet:
    """Returns small sets normalised once for all."""
    std_C, mean_C = torch.std_mean(parts[0].x_NCHW, dim=(0, 2, 3), correction=0)

    def ready(split: Split) -> Split:
        x_NCHW = (split.x_NCHW - mean_C[:, None, None]) / std_C[:, None, None]
        return Split(x_NCHW=x_NCHW.to(device), y_N=split.y_N.to(device))

    return DataSet(train=ready(parts[0]), validation=ready(parts[1]), test=ready(parts[2]))


def _whole(parts: tuple[Split, Split, Split], device: torch.device) -> DataSet:
    """Returns sets of bytes as they are."""
    train, validation, test = (_on(each, device) for each in parts)
    return DataSet(train=train, validation=validation, test=test)


def _on(split: Split, device: torch.device) -> Split:
    assert split.mean_C is not None
    assert split.std_C is not None
    return Split(
        x_NCHW=split.x_NCHW.to(device),
        y_N=split.y_N.to(device),
        mean_C=split.mean_C.to(device),
        std_C=split.std_C.to(device),
    )
