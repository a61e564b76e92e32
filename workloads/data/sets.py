"""A data set in memory, and the table of loaders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import torch

from workloads.data import digits
from workloads.data.split import Split


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Three splits of one data set, normalised by the training split's mean and standard deviation.

    Attributes:
        train: What the network learns from.
        validation: What hyper-parameters may be chosen by.
        test: Looked at once, at the end.
    """

    train: Split
    validation: Split
    test: Split


def _cifar10(folder: Path) -> tuple[Split, Split, Split]:
    raise NotImplementedError(
        f"data.name: got 'cifar10', which this version can plan but not load (looked for in {folder}); "
        "loadable is 'digits'. Choose data.name: digits to train now."
    )


LOADERS: Final[dict[str, Callable[[Path], tuple[Split, Split, Split]]]] = {
    "digits": lambda folder: digits.load(),
    "cifar10": _cifar10,
}


def load(name: str, folder: Path, device: torch.device) -> DataSet:
    """Returns a data set, whole and normalised, on a device.

    Args:
        name: A key of `LOADERS`, the `data.name` of a configuration.
        folder: Directory of the data sets; embedded ones do not look there.
        device: Where the tensors are to be.

    Raises:
        ValueError: The data's digest is not the one that is known.
        NotImplementedError: A data set that this version only plans.
    """
    train, validation, test = LOADERS[name](folder)
    std_C, mean_C = torch.std_mean(train.x_NCHW, dim=(0, 2, 3), correction=0)

    def ready(split: Split) -> Split:
        x_NCHW = (split.x_NCHW - mean_C[:, None, None]) / std_C[:, None, None]
        return Split(x_NCHW=x_NCHW.to(device), y_N=split.y_N.to(device))

    return DataSet(train=ready(train), validation=ready(validation), test=ready(test))
