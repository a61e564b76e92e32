"""One split of a data set, and how sets are divided: by no seed, so that every study sees the same.

Shapes: N images, C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Images and labels of one split.

    Attributes:
        x_NCHW: Images: float32 and normalised, or bytes (a large set fits in memory only so).
        y_N: Class numbers, int64.
        mean_C: What is subtracted from bytes / 255; None for images that are ready.
        std_C: What they are divided by then.
    """

    x_NCHW: torch.Tensor
    y_N: torch.Tensor
    mean_C: torch.Tensor | None = None
    std_C: torch.Tensor | None = None

    def images(self, at_B: torch.Tensor | slice) -> torch.Tensor:
        """Returns normalised images (B, C, H, W), float32.

        Args:
            at_B: Their positions, on the images' device.
        """
        x_BCHW = self.x_NCHW[at_B]
        if self.mean_C is None or self.std_C is None:
            return x_BCHW
        return (x_BCHW.float() / 255 - self.mean_C[:, None, None]) / self.std_C[:, None, None]

    def batches(self, size: int) -> Iterator[torch.Tensor]:
        """Yields all images in order, normalised, so many at a time.

        Args:
            size: Images of a batch; the last may have fewer.
        """
        for start in range(0, len(self), size):
            yield self.images(slice(start, start + size))

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
