"""Data sets as configuration, and what is known of them without reading them. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Augmentation: TypeAlias = Literal["auto", "none", "plus"]
_AUGMENTATIONS: Final = ("auto", "none", "plus")


def _check_augmentation(augmentation: str) -> None:
    if augmentation not in _AUGMENTATIONS:
        raise ValueError(f"augmentation: got {augmentation!r}, allowed is one of {', '.join(_AUGMENTATIONS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Digits:
    """Handwritten digits, 1,797 grey images of 8x8, embedded in scikit-learn: no download.

    Source: Alpaydin and Kaynak 1998 (UCI), the test part, as in `sklearn.datasets.load_digits`.

    Attributes:
        augmentation: "plus" crops each image after padding it by 1 pixel, with no flips, since a
            mirrored digit is another sign; "none" leaves images as they are; "auto" is "plus".
    """

    name: Literal["digits"] = "digits"
    augmentation: Augmentation = "auto"

    def __post_init__(self) -> None:
        """Checks values."""
        _check_augmentation(self.augmentation)


@dataclass(frozen=True, slots=True, kw_only=True)
class CIFAR10:
    """CIFAR-10, 60,000 colour images of 32x32.

    Source: Krizhevsky 2009; augmentation as Zhao et al. 2016, section 6.1.

    Attributes:
        augmentation: "plus" pads by 4 pixels of the mean colour, crops at random and flips every
            other image; "none" leaves images as they are; "auto" is "plus".
    """

    name: Literal["cifar10"] = "cifar10"
    augmentation: Augmentation = "auto"

    def __post_init__(self) -> None:
        """Checks values."""
        _check_augmentation(self.augmentation)


Data: TypeAlias = Digits | CIFAR10


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What planning and augmentation need to know of a data set.

    Attributes:
        classes: Number of classes.
        in_channels: Channels of an image.
        input_size: Height and width of an image, pixels.
        digest: Digest of the data, verified when they are first read.
        padding: Pixels that augmentation "plus" pads each side with before it crops.
        flips: Whether augmentation "plus" mirrors half of the images.
        auto: What augmentation "auto" means.
    """

    classes: int
    in_channels: int
    input_size: int
    digest: str
    padding: int
    flips: bool
    auto: Literal["none", "plus"]


FACTS: Final[dict[str, DataFacts]] = {
    "digits": DataFacts(
        classes=10,
        in_channels=1,
        input_size=8,
        # of the images' bytes (0..16, one byte a pixel) followed by the labels' bytes
        digest="sha256:87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826",
        padding=1,
        flips=False,
        auto="plus",
    ),
    "cifar10": DataFacts(
        classes=10,
        in_channels=3,
        input_size=32,
        digest="md5:c58f30108f718f92721af3b95e74349a",  # of the published cifar-10-python.tar.gz
        padding=4,
        flips=True,
        auto="plus",
    ),
}
