"""One split of a data set, and how sets are divided: by no seed, so that every study sees the same.

Shapes: N images, C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Images and labels of one split.

    Attributes:
        x_NCHW: Images, float32.
        y_N: Class numbers, int64.
    """

    x_NCHW: torch.Tensor
    y_N: torch.Tensor

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.y_N)


def stratified(labels: Sequence[int], counts: Sequence[int], *, salt: str) -> tuple[list[int], ...]:
    """Returns one sorted list of positions for each count, and one of all that remains.

    Each class gives each part its share to within one image. Which images they are follows from a
    hash of the positions, so no random generator of any library version can move the split.

    Args:
        labels: Class of each image.
        counts: Images wanted in each part.
        salt: Name of the split; another salt gives another split.

    Raises:
        ValueError: More images wanted than there are.
    """
    if sum(counts) > len(labels):
        raise ValueError(
            f"split: got parts of {list(counts)}, allowed are at most {len(labels)} images together"
        )
    order = sorted(range(len(labels)), key=lambda i: hashlib.blake2b(f"{salt}:{i}".encode()).digest())
    remaining = [[i for i in order if labels[i] == each] for each in sorted(set(labels))]
    parts: list[list[int]] = []
    for count in counts:
        total = sum(map(len, remaining))
        shares = [len(images) * count / total for images in remaining]
        takes = [int(share) for share in shares]
        # largest remainders get the images that rounding down left over; ties go to the lower class
        by_remainder = sorted(range(len(shares)), key=lambda k: takes[k] - shares[k])
        for k in by_remainder[: count - sum(takes)]:
            takes[k] += 1
        parts.append(sorted(i for images, take in zip(remaining, takes, strict=True) for i in images[:take]))
        remaining = [images[take:] for images, take in zip(remaining, takes, strict=True)]
    return (*parts, sorted(i for images in remaining for i in images))
