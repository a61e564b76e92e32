"""Where photographs lie: as files of their own, or inside an archive; and how one becomes pixels.

Shapes: C channels, H height, W width, V views of one photograph.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from PIL import Image

from workloads.data import vision


class Pictures(ABC):
    """Encoded photographs by position; any number of threads may read at once."""

    @abstractmethod
    def read(self, position: int) -> bytes:
        """Returns the content of one photograph's file.

        Raises:
            OSError: It cannot be read.
        """


@final
@dataclass(frozen=True, slots=True)
class Files(Pictures):
    """Photographs in files of their own.

    Attributes:
        paths: One file for each position.
    """

    paths: Sequence[str]

    def read(self, position: int) -> bytes:
        """Returns a file's content."""
        return Path(self.paths[position]).read_bytes()


@final
@dataclass(frozen=True, slots=True)
class Archived(Pictures):
    """Photographs inside one uncompressed archive.

    Attributes:
        archive: The archive.
        places: First byte and number of bytes for each position.
    """

    archive: Path
    places: Sequence[tuple[int, int]]

    def read(self, position: int) -> bytes:
        """Returns the bytes of a member."""
        start, length = self.places[position]
        with self.archive.open("rb") as stream:
            stream.seek(start)
            return stream.read(length)


def opened(content: bytes) -> Image.Image:
    """Returns a photograph whose size is known and whose pixels are yet to be decoded.

    Raises:
        OSError: It is no picture.
    """
    return Image.open(io.BytesIO(content))


def centre(picture: Image.Image, size: int) -> torch.Tensor:
    """Returns the centre (C, size, size) of a photograph whose shorter side became 8/7 of size, bytes."""
    return _pixels(vision.transforms().center_crop(resized(picture, shorter_side(size)), [size, size]))


def ten(picture: Image.Image, size: int) -> torch.Tensor:
    """Returns ten views (V, C, size, size), bytes: corners and centre, and their mirror images."""
    views = vision.transforms().ten_crop(resized(picture, shorter_side(size)), [size, size])
    return torch.stack([_pixels(view) for view in views])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One random view of a photograph.

    Attributes:
        side: Length that the shorter side is resized to, or None to resize nothing.
        box: Top, left, height and width of the crop; as pixels where nothing is resized, else top and left
            as shares of the room that there is.
        mirrored: Whether it is mirrored.
    """

    side: int | None
    box: tuple[float, float, float, float]
    mirrored: bool


def view(picture: Image.Image, draw: Draw, size: int) -> torch.Tensor:
    """Returns a drawn view (C, size, size), bytes."""
    top, left, height, width = draw.box
    if draw.side is None:
        crop = vision.transforms().resized_crop(
            picture.convert("RGB"), int(top), int(left), int(height), int(width), [size, size]
        )
    else:
        whole = resized(picture, draw.side)
        room_y, room_x = whole.height - size, whole.width - size
        at_y, at_x = min(int(top * (room_y + 1)), room_y), min(int(left * (room_x + 1)), room_x)
        crop = vision.transforms().crop(whole, at_y, at_x, size, size)
    return _pixels(vision.transforms().horizontal_flip(crop) if draw.mirrored else crop)


def shorter_side(size: int) -> int:
    """Returns the length of a test image's shorter side: 256 for a crop of 224."""
    return round(size * 256 / 224)


def resized(picture: Image.Image, side: int) -> Image.Image:
    """Returns a photograph in colour whose shorter side has a length, by bilinear interpolation."""
    found = vision.transforms().resize(picture.convert("RGB"), [side])
    assert isinstance(found, Image.Image)
    return found


def _pixels(picture: object) -> torch.Tensor:
    pixels: torch.Tensor = vision.transforms().pil_to_tensor(picture)
    return pixels
