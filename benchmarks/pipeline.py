"""Crop, flip and normalise: a whole set in memory beside torchvision's transforms in a DataLoader.

Shapes: N images of the set, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.load_measure import call
from benchmarks.rows import Row, paired
from benchmarks.steps import processors

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
BATCH, PADDING = 64, 4


def pipeline(small: bool) -> Iterator[Row]:
    """Yields the input pipeline, one thread, in a process of its own."""
    for row in call("benchmarks.pipeline:pipeline_rows", small).result:
        yield Row(**row)


def pipeline_rows(small: bool) -> list[dict[str, Any]]:
    """Returns the rows of `pipeline` as plain values."""
    from dataclasses import asdict

    import torch

    torch.set_num_threads(1)
    images = 256 if small else 10_000
    generator = torch.Generator().manual_seed(0)
    x_NCHW = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=generator)
    y_N = torch.randint(0, 10, (images,), generator=generator)
    repeats = 1 if small else 5
    found = []
    for workers in (0, processors()):
        row = paired(ours(x_NCHW, y_N), peer(x_NCHW, y_N, workers), repeats=repeats).row(
            "crop, flip and normalise, 32x32",
            f"torchvision in a DataLoader, {workers} workers",
            10,
            f"an epoch of {images:,} images in mini-batches of {BATCH}, one thread",
        )
        found.append(asdict(row))
    return found


def ours(x_NCHW: Any, y_N: Any) -> Any:
    """Returns what goes once through a set that is in memory as bytes."""
    import torch

    from workloads.data.loader import Loader
    from workloads.data.split import Split

    split = Split(x_NCHW=x_NCHW, y_N=y_N, mean_C=torch.tensor(MEAN), std_C=torch.tensor(STD))
    loader = Loader(split, batch_size=BATCH, padding=PADDING, flips=True)
    order, augmentation = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)

    def epoch() -> None:
        images = 0
        at_N = loader.order(order)
        for position in range(len(loader)):
            x_BCHW, _ = loader.batch(at_N, position, augmentation)
            images += len(x_BCHW)
        assert images == len(split)

    return epoch


def peer(x_NCHW: Any, y_N: Any, workers: int) -> Any:
    """Returns what goes once through torchvision's transforms, image by image, in a DataLoader."""
    loader = torchvision_loader(x_NCHW, y_N, BATCH, workers)

    def epoch() -> None:
        assert sum(len(x_BCHW) for x_BCHW, _ in loader) == len(y_N)

    return epoch


def torchvision_loader(x_NCHW: Any, y_N: Any, batch: int, workers: int) -> Any:
    """Returns a DataLoader with torchvision's transforms of a set of bytes, as everybody writes it."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.RandomCrop(32, padding=PADDING),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )

    class Set:
        def __len__(self) -> int:
            return len(y_N)

        def __getitem__(self, index: int) -> Any:
            return transform(x_NCHW[index]), int(y_N[index])

    return DataLoader(
        Set(),  # type: ignore[arg-type]
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
