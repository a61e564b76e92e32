"""Data sets as configuration, and what is known of them without reading them. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal, TypeAlias, final

from workloads.data.photo_kinds import ImageFolder, ImageNet
from workloads.ranges import count, one_of

Augmentation: TypeAlias = Literal["auto", "none", "plus", "plus_plus"]
Normalise: TypeAlias = Literal["mean_std", "mean"]
_AUGMENTATIONS: Final = ("auto", "none", "plus", "plus_plus")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Digits:
    """Handwritten digits, 1,797 grey images of 8x8, embedded in scikit-learn: no download.

    Source: Alpaydin and Kaynak 1998 (UCI), the test part, as in `sklearn.datasets.load_digits`.

    Attributes:
        augmentation: "plus" crops each image after padding it by 1 pixel of the mean colour ("plus_plus":
            mirrored), with no flips, since a mirrored digit is another sign; "none" leaves images as they
            are; "auto" is "plus".
        size: Side of the images, pixels; other than 8 they are resized bilinearly.
    """

    name: Literal["digits"] = "digits"
    augmentation: Augmentation = "auto"
    size: int = 8

    def __post_init__(self) -> None:
        """Checks values."""
        one_of("augmentation", self.augmentation, _AUGMENTATIONS)
        count("size", self.size, least=4)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """Images of known structure, made from nothing: each class is a stripe pattern under noise.

    Class k of K is a wave of k + 1 periods across the image, at a random phase, plus noise of the same
    variance; so a linear classifier fails, and a convolution learns it in a few epochs.

    Attributes:
        augmentation: As `Digits`; "auto" is "none".
        classes: Number of classes, all of them equally frequent.
        size: Side of the images, pixels.
        images: Images of the training split; validation and test have a quarter each.
    """

    name: Literal["synthetic"] = "synthetic"
    augmentation: Augmentation = "auto"
    classes: int = 4
    size: int = 8
    images: int = 256

    def __post_init__(self) -> None:
        """Checks values."""
        one_of("augmentation", self.augmentation, _AUGMENTATIONS)
        count("classes", self.classes, least=2)
        count("size", self.size, least=4)
        count("images", self.images, least=4 * self.classes)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CIFAR10:
    """CIFAR-10, 60,000 colour images of 32x32 in 10 classes.

    Source: Krizhevsky 2009; augmentation as Zhao et al. 2016, section 6.1, and Larsson et al. 2017.

    Attributes:
        augmentation: "plus" pads by 4 pixels of the mean colour, crops at random and mirrors every
            other image; "plus_plus" pads by reflection; "none" leaves images as they are; "auto" is "plus".
        normalise: Whether images have the training split's mean subtracted and are divided by its standard
            deviation, channel by channel, or the mean only.
        validation: Training images held out to choose hyper-parameters by; the papers train on all (0).
    """

    name: Literal["cifar10"] = "cifar10"
    augmentation: Augmentation = "auto"
    normalise: Normalise = "mean_std"
    validation: int = 5000

    def __post_init__(self) -> None:
        """Checks values."""
        _check_colour(self, most=50_000)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CIFAR100:
    """CIFAR-100, 60,000 colour images of 32x32 in 100 classes.

    Source: Krizhevsky 2009.

    Attributes:
        augmentation: As `CIFAR10`.
        normalise: As `CIFAR10`.
        validation: As `CIFAR10`.
    """

    name: Literal["cifar100"] = "cifar100"
    augmentation: Augmentation = "auto"
    normalise: Normalise = "mean_std"
    validation: int = 5000

    def __post_init__(self) -> None:
        """Checks values."""
        _check_colour(self, most=50_000)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SVHN:
    """Street View House Numbers, colour images of 32x32 in 10 classes.

    Source: Netzer et al. 2011: 73,257 images to train on, 531,131 extra, 26,032 to test.

    Attributes:
        augmentation: As `CIFAR10`, but no image is mirrored; "auto" is "none", as in Zhao et al. and Larsson
            et al.
        normalise: As `CIFAR10`.
        split: "zhao2016" trains on the training and the extra images but for 400 and 200 of each class, which
            are the validation split: 598,388 images. "whole" trains on all 604,388, "train" on the 73,257.
            The last two hold out `validation` images.
        validation: Images held out, with "whole" and "train".
    """

    name: Literal["svhn"] = "svhn"
    augmentation: Augmentation = "auto"
    normalise: Normalise = "mean_std"
    split: Literal["zhao2016", "whole", "train"] = "zhao2016"
    validation: int = 0

    def __post_init__(self) -> None:
        """Checks values."""
        one_of("split", self.split, ("zhao2016", "whole", "train"))
        _check_colour(self, most=73_257)
        if self.split == "zhao2016" and self.validation:
            raise ValueError(
                f"validation: got {self.validation}, but split zhao2016 holds out 6,000 images of its own; "
                "leave it at 0, or choose split whole or train"
            )


Data: TypeAlias = Digits | Synthetic | CIFAR10 | CIFAR100 | SVHN | ImageNet | ImageFolder


def _check_colour(data: CIFAR10 | CIFAR100 | SVHN, *, most: int) -> None:
    one_of("augmentation", data.augmentation, _AUGMENTATIONS)
    one_of("normalise", data.normalise, ("mean_std", "mean"))
    count("validation", data.validation, least=0)
    if data.validation >= most:
        raise ValueError(f"validation: got {data.validation}, allowed is less than {most:,} images")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What planning and augmentation need to know of a data set.

    Attributes:
        classes: Number of classes.
        in_channels: Channels of an image.
        input_size: Height and width of an image, pixels.
        digest: Digest of the data, verified when they are first read.
        padding: Pixels that augmentation pads each side with before it crops.
        flips: Whether augmentation mirrors half of the images.
        auto: What augmentation "auto" means.
    """

    classes: int
    in_channels: int
    input_size: int
    digest: str
    padding: int
    flips: bool
    auto: Literal["none", "plus", "scale"]


# Digests of CIFAR, SVHN and ImageNet are those of the published archives, as torchvision verifies them.
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
    "synthetic": DataFacts(
        classes=4, in_channels=1, input_size=8, digest="synthetic:1", padding=1, flips=False, auto="none"
    ),
    "cifar10": DataFacts(
        classes=10,
        in_channels=3,
        input_size=32,
        digest="md5:c58f30108f718f92721af3b95e74349a",
        padding=4,
        flips=True,
        auto="plus",
    ),
    "cifar100": DataFacts(
        classes=100,
        in_channels=3,
        input_size=32,
        digest="md5:eb9058c3a382ffc7106e4002c42a8d85",
        padding=4,
        flips=True,
        auto="plus",
    ),
    "svhn": DataFacts(
        classes=10,
        in_channels=3,
        input_size=32,
        # train, extra, test
        digest="md5:e26dedcc434d2e4c54c9b2d4a06d8373+a93ce644f1a588dc4d68dda5feec44a7"
        "+eb5a983be6a315427106f1b164d9cef3",
        padding=4,
        flips=False,
        auto="none",
    ),
    "imagenet": DataFacts(
        classes=1000,
        in_channels=3,
        input_size=224,
        # train, val, developers' kit
        digest="md5:1d675b47d978889d74fa0da5fadfb00e+29b22e2961454d5413ddabcf34fc5622"
        "+fa75699e90414af021442c21a62c3abf",
        padding=0,
        flips=True,
        auto="scale",
    ),
}


@lru_cache(maxsize=256)
def facts_of(data: Data) -> DataFacts:
    """Returns what is known of the data set that a configuration names."""
    if isinstance(data, ImageFolder):
        facts = FACTS["imagenet"]
        return replace(facts, input_size=data.size, classes=data.classes, digest=data.digest)
    facts = FACTS[data.name]
    if isinstance(data, Digits | ImageNet):
        return replace(facts, input_size=data.size)
    if isinstance(data, Synthetic):
        return replace(facts, input_size=data.size, classes=data.classes)
    return facts
