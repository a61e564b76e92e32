"""The digits that scikit-learn embeds: 1,797 images of 8x8, 16 grey levels.

Shapes: N images, C channels, H height, W width.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from workloads.data.configs import FACTS
from workloads.data.split import Split, stratified

TEST_IMAGES: Final = 450  # a quarter, as load_digits is usually held out
VALIDATION_IMAGES: Final = 135  # a tenth of the rest; 1,212 remain to train on
_SALT: Final = "digits"


@functools.lru_cache(maxsize=4)
def load(size: int = 8) -> tuple[Split, Split, Split]:
    """Returns train (1,212), validation (135) and test (450), stratified, values 0 to 1.

    Args:
        size: Side of the images; other than 8 they are resized bilinearly (corners not aligned).

    Raises:
        FileNotFoundError: scikit-learn is not installed.
        ValueError: The embedded images are not the known ones.
    """
    x_NHW, y_N = embedded()
    digest = "sha256:" + hashlib.sha256(x_NHW.tobytes() + y_N.tobytes()).hexdigest()
    if digest != FACTS["digits"].digest:
        raise ValueError(
            f"digits: got embedded images with digest {digest}, allowed is {FACTS['digits'].digest}; "
            "install a scikit-learn release whose load_digits is unchanged"
        )
    x_NCHW = torch.from_numpy(x_NHW)[:, None].to(torch.float32) / 16
    if size != x_NCHW.shape[-1]:
        x_NCHW = functional.interpolate(x_NCHW, size=(size, size), mode="bilinear", align_corners=False)
    labels_N = torch.from_numpy(y_N).to(torch.int64)
    test, validation, train = stratified(labels_N.tolist(), (TEST_IMAGES, VALIDATION_IMAGES), salt=_SALT)

    def part(positions: list[int]) -> Split:
        return Split(x_NCHW=x_NCHW[positions], y_N=labels_N[positions])

    return part(train), part(validation), part(test)


def embedded() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Returns images (1797, 8, 8) with values 0..16 and labels (1797,), uint8, in the file's order.

    The file is read without importing scikit-learn, which takes longer than training a small network
    for an epoch; `sklearn.datasets.load_digits` is the slow reference.

    Raises:
        FileNotFoundError: scikit-learn is not installed.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("digits: got no scikit-learn, which embeds the images; install scikit-learn")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt", encoding="ascii") as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    return rows[:, :-1].reshape(-1, 8, 8).copy(), rows[:, -1].copy()
