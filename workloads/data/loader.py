"""Mini-batches of a data set that is whole in memory, in a random order, augmented in one go.

Shapes: N images of the set, B of a mini-batch, C channels, H height, W width, P padding.
"""

from __future__ import annotations

from typing import Final, final

import torch
from torch.nn import functional

from workloads.data.split import Split


def crops(x_NCHW: torch.Tensor, padding: int, *, reflect: bool = False) -> torch.Tensor:
    """Returns a view (N, 2P+1, 2P+1, C, H, W) of every crop of every padded image.

    Padded with zero, the mean colour of normalised images, or by reflection. The view shares one padded
    copy's memory, so that a random crop of a mini-batch is a single gather.

    Args:
        x_NCHW: Normalised images.
        padding: P, pixels added on each side.
        reflect: Whether they mirror the image, its edge not repeated.
    """
    _, _, height, width = x_NCHW.shape
    padded = functional.pad(x_NCHW, (padding,) * 4, mode="reflect" if reflect else "constant")
    return padded.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 1, 4, 5)


@final
class Loader:
    """Mini-batches of a split.

    The order of an epoch comes from one stream and augmentation from another; the position within
    an epoch is an argument, so a loader holds no state that a checkpoint would have to keep.

    Attributes:
        waits: None: a split in memory is not waited for.
    """

    waits: Final = None

    def __init__(
        self, split: Split, *, batch_size: int, padding: int, flips: bool, reflect: bool = False
    ) -> None:
        """Prepares a split.

        Args:
            split: Images and their labels.
            batch_size: B; the last mini-batch of an epoch may be smaller.
            padding: Pixels padded on each side before a random crop; 0 for no crops.
            flips: Whether half of the images are mirrored.
            reflect: Whether padding mirrors the image, rather than being the mean colour.
        """
        self._split = split
        self._batch_size = batch_size
        self._padding = padding
        self._flips = flips
        self._reflect = reflect
        # images that are ready are padded once; bytes would have no value for the mean colour
        ready = split.mean_C is None
        self._crops = crops(split.x_NCHW, padding, reflect=reflect) if padding and ready else None

    def __len__(self) -> int:
        """Returns the number of mini-batches in an epoch."""
        return -(-len(self._split) // self._batch_size)

    def order(self, stream: torch.Generator) -> torch.Tensor:
        """Returns the next epoch's order: a permutation of the images' positions, int64 on the CPU."""
        return torch.randperm(len(self._split), generator=stream)

    def batch(
        self, order: torch.Tensor, position: int, augmentation: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns images x_BCHW and labels y_B of one mini-batch, augmented.

        Args:
            order: The epoch's order, from `order`.
            position: Number of the mini-batch in the epoch, from 0.
            augmentation: The stream that crops and flips are drawn from; it advances.
        """
        device = self._split.x_NCHW.device
        at_B = order[position * self._batch_size : (position + 1) * self._batch_size]
        count = len(at_B)
        at_B = at_B.to(device)
        if not self._padding:
            x_BCHW = self._split.images(at_B)
        else:
            shifts_2B = torch.randint(0, 2 * self._padding + 1, (2, count), generator=augmentation).to(device)
            if self._crops is not None:
                x_BCHW = self._crops[at_B, shifts_2B[0], shifts_2B[1]]
            else:
                several = crops(self._split.images(at_B), self._padding, reflect=self._reflect)
                x_BCHW = several[torch.arange(count, device=device), shifts_2B[0], shifts_2B[1]]
        if self._flips:
            mirrored_B = torch.randint(0, 2, (count,), generator=augmentation).to(device).bool()
            x_BCHW = torch.where(mirrored_B[:, None, None, None], x_BCHW.flip(3), x_BCHW)
        return x_BCHW, self._split.y_N[at_B]
