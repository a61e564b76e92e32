"""CIFAR-10, CIFAR-100 and SVHN, read by torchvision's classes from the files as they are published.

torchvision compares every file with its published md5 when it opens a set, so that what is read is what the
digest of the configuration says.

Shapes: N images, C channels, H height, W width.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import torch

from workloads.data import vision
from workloads.data.configs import CIFAR10, CIFAR100, SVHN
from workloads.data.split import Split, stratified

Colour: TypeAlias = CIFAR10 | CIFAR100 | SVHN

# name -> (directory inside the directory of data sets, torchvision's class, arguments of its parts)
PARTS: Final[Mapping[str, Mapping[str, dict[str, Any]]]] = MappingProxyType(
    {
        "cifar10": {"train": {"train": True}, "test": {"train": False}},
        "cifar100": {"train": {"train": True}, "test": {"train": False}},
        "svhn": {"train": {"split": "train"}, "extra": {"split": "extra"}, "test": {"split": "test"}},
    }
)
# of each class, from the training and from the extra images (Zhao et al. 2016, section 6.1)
ZHAO_HELD_OUT: Final = {"train": 400, "extra": 200}


def source(name: str) -> Callable[..., Any]:
    """Returns torchvision's class of a set."""
    found: Callable[..., Any] = getattr(vision.datasets(), name.upper())
    return found


@functools.lru_cache(maxsize=2)
def load(data: Colour, folder: Path) -> tuple[Split, Split, Split]:
    """Returns train, validation and test as bytes, with the training split's mean and standard deviation.

    Args:
        data: Configuration; its augmentation is not looked at.
        folder: Directory of the data sets.

    Raises:
        FileNotFoundError: The files are not there.
        ValueError: They are not the published ones.
    """
    test = read(data.name, "test", folder)
    train = read(data.name, "train", folder)
    salt = data.name
    if isinstance(data, SVHN) and data.split == "zhao2016":
        parts = [_zhao(train, "train"), _zhao(read(data.name, "extra", folder), "extra")]
        kept, held = (_joined([part[side] for part in parts]) for side in (0, 1))
    else:
        if isinstance(data, SVHN) and data.split == "whole":
            train = _joined([train, read(data.name, "extra", folder)])
        held_at, kept_at = stratified(train[1].tolist(), (data.validation,), salt=salt)
        kept, held = _at(train, kept_at), _at(train, held_at)
    mean_C, std_C = moments(kept[0])
    if data.normalise == "mean":
        std_C = torch.ones_like(std_C)

    def split(pair: tuple[torch.Tensor, torch.Tensor]) -> Split:
        return Split(x_NCHW=pair[0], y_N=pair[1], mean_C=mean_C, std_C=std_C)

    return split(kept), split(held), split(test)


def read(name: str, part: str, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns x_NCHW (uint8) and y_N (int64) of one part of a set.

    Raises:
        FileNotFoundError: The files are not there, or not the published ones.
    """
    try:
        found = source(name)(str(folder), download=False, **PARTS[name][part])
    except RuntimeError:  # torchvision's word for files that are missing or differ
        raise FileNotFoundError(
            f"{name}: got no {part} files that match their published md5 in {folder}; "
            f"put them there, or get them with: orch data fetch {name} {folder}"
        ) from None
    images, labels = np.asarray(found.data), np.asarray(found.targets if name != "svhn" else found.labels)
    if name != "svhn":
        images = images.transpose(0, 3, 1, 2)  # torchvision gives CIFAR with channels last, SVHN first
    x_NCHW = torch.from_numpy(np.ascontiguousarray(images))
    return x_NCHW, torch.from_numpy(labels.astype(np.int64))


def moments(x_NCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns mean and standard deviation (C,) of bytes / 255, exactly, by counting values."""
    values = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for channel in range(x_NCHW.shape[1]):
        counts = torch.bincount(x_NCHW[:, channel].flatten().int(), minlength=256).double()
        share = counts / counts.sum()
        mean.append((share * values).sum())
        std.append((share * (values - mean[-1]) ** 2).sum().sqrt())
    return torch.stack(mean).float(), torch.stack(std).float()


def check(name: str, folder: Path) -> dict[str, int]:
    """Returns part -> number of images of a set whose files are the published ones.

    Raises:
        FileNotFoundError: They are not.
    """
    return {part: len(read(name, part, folder)[1]) for part in PARTS[name]}


def fetch(name: str, folder: Path) -> None:
    """Downloads a set into a directory; when that fails the directory is as it was.

    Raises:
        OSError: No network, no room, or files that are not the published ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as waiting:
        try:
            for arguments in PARTS[name].values():
                source(name)(waiting, download=True, **arguments)
        except (OSError, RuntimeError) as error:
            raise OSError(f"{name}: could not be downloaded into {folder}: {error}") from None
        for found in Path(waiting).iterdir():
            target = folder / found.name
            if target.is_dir():
                shutil.rmtree(target)
            found.replace(target)


def _zhao(
    part: tuple[torch.Tensor, torch.Tensor], name: str
) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Returns what is trained on and what is held out of one part: so many of each class."""
    kept_at, held_at = zhao_positions(part[1], ZHAO_HELD_OUT[name], salt=f"svhn.{name}")
    return _at(part, kept_at), _at(part, held_at)


def zhao_positions(y_N: torch.Tensor, count: int, *, salt: str) -> tuple[list[int], list[int]]:
    """Returns the positions that are trained on, and those of `count` held-out images of each class.

    Raises:
        ValueError: A class with fewer images.
    """
    held: list[int] = []
    for each in range(int(y_N.max()) + 1):
        positions = (y_N == each).nonzero().flatten().tolist()
        if len(positions) < count:
            raise ValueError(f"split: class {each} has {len(positions)} images, {count} are to be held out")
        chosen, _ = stratified([0] * len(positions), (count,), salt=f"{salt}.{each}")
        held += [positions[i] for i in chosen]
    gone = set(held)
    return [i for i in range(len(y_N)) if i not in gone], sorted(held)


def _at(pair: tuple[torch.Tensor, torch.Tensor], positions: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    at = torch.tensor(positions, dtype=torch.int64)
    return pair[0][at], pair[1][at]


def _joined(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
