"""Splits whose photographs are read and decoded when they are needed.

What is drawn at random comes from the training's stream, in the order of the mini-batch, before anything is
decoded; so threads do not change it, and a training that stopped in an epoch's middle continues bit-exactly.

Shapes: N images, B of a mini-batch, C channels, S side, V views of one image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar, final

import torch
from PIL import Image

from workloads.data import pictures
from workloads.data.ahead import Ahead, Waits, one_ahead
from workloads.data.photo_kinds import Photographs
from workloads.data.pictures import Draw, Pictures

# torchvision's constants for ImageNet
MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)
# "scale": the longest and shortest shorter side for a crop of 224 (He et al. 2016)
_SIDES: Final = (256 / 224, 480 / 224)
_AREA: Final = [0.08, 1.0]
_ASPECT: Final = [3 / 4, 4 / 3]
_TRIES: Final = 10
T = TypeVar("T")


@final
class Photos:
    """One split of photographs; it has what `workloads.data.split.Split` has but for the pixels in memory.

    Attributes:
        y_N: Class numbers, int64, on the device.
    """

    def __init__(
        self, source: Pictures, at: Sequence[int], y_N: torch.Tensor, *, size: int, crops: int = 1
    ) -> None:
        """Takes some of the photographs of a source.

        Args:
            source: Where they lie.
            at: Their positions in it, N.
            y_N: Their classes.
            size: S, side of what is seen.
            crops: V, views of an image that `batches` yields: 1 or 10.
        """
        self.y_N = y_N
        self.size, self.crops = size, crops
        self._source, self._at = source, at
        mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
        self._mean_C11, self._std_C11 = mean.to(y_N.device), std.to(y_N.device)

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.y_N)

    def on(self, device: torch.device) -> Photos:
        """Returns the split with its images coming to a device."""
        return Photos(self._source, self._at, self.y_N.to(device), size=self.size, crops=self.crops)

    def images(self, at_B: torch.Tensor | slice) -> torch.Tensor:
        """Returns the normalised centres (B, C, S, S) of images, float32."""
        positions = range(len(self))[at_B] if isinstance(at_B, slice) else at_B.tolist()
        return self.normalised(self.centres(positions, torch.get_num_threads()))

    def batches(self, size: int) -> Iterator[torch.Tensor]:
        """Yields all images in order, normalised: (B, C, S, S), or with ten crops (B, V, C, S, S).

        Args:
            size: Views of a batch; the last may have fewer.
        """
        each = max(1, size // self.crops)
        show = partial(pictures.centre if self.crops == 1 else pictures.ten, size=self.size)
        makers = (
            partial(self._seen, range(len(self))[start : start + each], show, torch.get_num_threads())
            for start in range(0, len(self), each)
        )
        yield from map(self.normalised, one_ahead(makers))

    def drawn(
        self,
        at_B: Sequence[int],
        draw: Callable[[Sequence[Image.Image]], Sequence[Draw]],
        threads: int,
    ) -> torch.Tensor:
        """Returns one random view of each image (B, C, S, S), bytes.

        Args:
            at_B: Positions.
            draw: Draws the views of a mini-batch, given pictures whose sizes are known.
            threads: That decode; decoding lets go of the interpreter's lock.
        """
        with ThreadPoolExecutor(threads) as pool:
            opened = list(pool.map(self._opened, at_B))
            draws = draw(opened)
            seen = list(pool.map(partial(pictures.view, size=self.size), opened, draws))
        return self._ready(seen)

    def centres(self, at_B: Sequence[int], threads: int) -> torch.Tensor:
        """Returns the centres (B, C, S, S) of images, bytes."""
        return self._seen(at_B, partial(pictures.centre, size=self.size), threads)

    def normalised(self, x_BCSS: torch.Tensor) -> torch.Tensor:
        """Returns bytes as normalised images on the device, float32."""
        x_BCSS = x_BCSS.to(self.y_N.device, non_blocking=True)
        return (x_BCSS.float() / 255 - self._mean_C11) / self._std_C11

    def _seen(
        self, at_B: Sequence[int], show: Callable[[Image.Image], torch.Tensor], threads: int
    ) -> torch.Tensor:
        with ThreadPoolExecutor(threads) as pool:
            return self._ready(list(pool.map(lambda each: show(self._opened(each)), at_B)))

    def _opened(self, position: int) -> Image.Image:
        return pictures.opened(self._source.read(self._at[position]))

    def _ready(self, seen: Sequence[torch.Tensor]) -> torch.Tensor:
        x_BCSS = torch.stack(list(seen))
        # pinned memory goes to a GPU beside what it computes
        return x_BCSS.pin_memory() if self.y_N.device.type == "cuda" else x_BCSS


@final
class PhotoLoader:
    """Mini-batches of a split of photographs; as `workloads.data.loader.Loader`, it holds no state.

    The mini-batch after one that is asked for is decoded while that one is learnt from. What it draws follows
    from where the stream stands then, so that it is the same as if it were decoded when it is asked for.

    Attributes:
        waits: How much of the time goes into waiting for it.
    """

    def __init__(self, split: Photos, data: Photographs, batch_size: int) -> None:
        """Prepares a split.

        Args:
            split: Images and their labels.
            data: Canonical configuration: its augmentation is not "auto".
            batch_size: B; the last mini-batch of an epoch may be smaller.
        """
        self._split, self._batch_size = split, batch_size
        self._augmentation, self._size = data.augmentation, data.size
        self._ahead: Ahead[tuple[torch.Tensor, bytes]] = Ahead()
        self.waits = Waits(split.y_N.device)

    def __len__(self) -> int:
        """Returns the number of mini-batches in an epoch."""
        return -(-len(self._split) // self._batch_size)

    def order(self, stream: torch.Generator) -> torch.Tensor:
        """Returns the next epoch's order: a permutation of the images' positions, int64 on the CPU."""
        return torch.randperm(len(self._split), generator=stream)

    def batch(
        self, order: torch.Tensor, position: int, augmentation: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns images (B, C, S, S) and labels (B) of one mini-batch, augmented.

        Args:
            order: The epoch's order, from `order`.
            position: Number of the mini-batch in the epoch, from 0.
            augmentation: The stream that views are drawn from; it advances.
        """
        self.waits.asked(first=position == 0)
        threads = torch.get_num_threads()
        at_B = self._at(order, position)
        before = _bytes(augmentation.get_state())
        seen_BCSS, after = self._ahead.take((at_B, before), partial(self._made, at_B, before, threads))
        self.waits.given()
        augmentation.set_state(_state(after))
        if position + 1 < len(self):
            next_B = self._at(order, position + 1)
            self._ahead.begin((next_B, after), partial(self._made, next_B, after, threads))
        y_B = self._split.y_N[torch.tensor(at_B, device=self._split.y_N.device)]
        return self._split.normalised(seen_BCSS), y_B

    def _at(self, order: torch.Tensor, position: int) -> tuple[int, ...]:
        return tuple(order[position * self._batch_size : (position + 1) * self._batch_size].tolist())

    def _made(self, at_B: Sequence[int], before: bytes, threads: int) -> tuple[torch.Tensor, bytes]:
        """Returns a mini-batch as bytes, and where the stream stands after it; called in a thread."""
        if self._augmentation == "none":
            return self._split.centres(at_B, threads), before
        stream = torch.Generator()
        stream.set_state(_state(before))
        draw = by_area if self._augmentation == "area" else partial(by_scale, size=self._size)
        seen_BCSS = self._split.drawn(at_B, partial(draw, stream=stream), threads)
        return seen_BCSS, _bytes(stream.get_state())


def _bytes(state: torch.Tensor) -> bytes:
    return state.numpy().tobytes()


def _state(state: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(state), dtype=torch.uint8)


def by_scale(opened: Sequence[Image.Image], *, stream: torch.Generator, size: int) -> list[Draw]:
    """Returns views after a random resizing of the shorter side, at random places, half of them mirrored.

    Args:
        opened: The photographs.
        stream: What is drawn from.
        size: Side of the crop.
    """
    least, most = (round(size * side) for side in _SIDES)
    sides_B = torch.randint(least, most + 1, (len(opened),), generator=stream).tolist()
    places_B2 = torch.rand(len(opened), 2, generator=stream, dtype=torch.float64).tolist()
    mirrored_B = _mirrored(len(opened), stream)
    return [
        Draw(side=side, box=(top, left, size, size), mirrored=mirrored)
        for side, (top, left), mirrored in zip(sides_B, places_B2, mirrored_B, strict=True)
    ]


def by_area(opened: Sequence[Image.Image], *, stream: torch.Generator) -> list[Draw]:
    """Returns crops of random area and aspect, half of them mirrored, as torchvision draws them.

    Its RandomResizedCrop draws from torch's global generator, which belongs to the training's own thread.

    Args:
        opened: The photographs.
        stream: What is drawn from.
    """
    boxes = [_box(picture.height, picture.width, stream) for picture in opened]
    return [
        Draw(side=None, box=box, mirrored=mirrored)
        for box, mirrored in zip(boxes, _mirrored(len(opened), stream), strict=True)
    ]


def _box(height: int, width: int, stream: torch.Generator) -> tuple[int, int, int, int]:
    """Returns top, left, height and width of a crop; after ten that do not fit, the largest centre."""
    log_aspect = torch.log(torch.tensor(_ASPECT))
    for _ in range(_TRIES):
        area = height * width * torch.empty(1).uniform_(*_AREA, generator=stream).item()
        aspect = torch.exp(
            torch.empty(1).uniform_(float(log_aspect[0]), float(log_aspect[1]), generator=stream)
        ).item()
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            top, left = (
                int(torch.randint(0, room + 1, (1,), generator=stream))
                for room in (height - high, width - wide)
            )
            return top, left, high, wide
    wide, high = width, height
    if width / height < min(_ASPECT):
        high = round(wide / min(_ASPECT))
    elif width / height > max(_ASPECT):
        wide = round(high * max(_ASPECT))
    return (height - high) // 2, (width - wide) // 2, high, wide


def _mirrored(count: int, stream: torch.Generator) -> list[bool]:
    return [bool(each) for each in torch.randint(0, 2, (count,), generator=stream).tolist()]
