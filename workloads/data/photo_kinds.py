"""Sets of photographs of any size, as configuration. Torch-free.

Images are read and decoded as they are needed; nothing is held in memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal, TypeAlias, final

from workloads.ranges import count, one_of, require

PhotoAugmentation: TypeAlias = Literal["auto", "none", "scale", "area"]
PHOTO_AUGMENTATIONS: Final = ("auto", "none", "scale", "area")
_DIGEST: Final = re.compile(r"names:[0-9a-f]{64}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNet:
    """ImageNet of 2012: 1,281,167 photographs to train on and 50,000 to test on, in 1,000 classes.

    It lies in `imagenet/` of the directory of data sets: either the three published archives
    (ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, ILSVRC2012_devkit_t12.tar.gz), read where they are, or
    train/CLASS/*.JPEG and val/CLASS/*.JPEG, as torchvision unpacks them. The validation images of the
    competition, which papers report errors of, are the test split.

    A test image is resized, its shorter side to 8/7 of `size` (256 for 224), and cropped at the centre.
    Channels have 0.485, 0.456, 0.406 subtracted and are divided by 0.229, 0.224, 0.225 (torchvision's
    constants).

    Source: Russakovsky et al. 2015.

    Attributes:
        augmentation: "scale" resizes the shorter side to a random length between 8/7 and 15/7 of `size` (256
            to 480 for 224), crops at random and mirrors every other image (He et al. 2016, which Zhao et
            al. 2016, section 6.5, follow; their change of colours is left out); "area" crops 8 % to 100 %
            of the image at an aspect of 3/4 to 4/3 (torchvision's RandomResizedCrop) and mirrors; "none"
            takes the centre; "auto" is "scale".
        size: Side of what the network sees, pixels.
        crops: Crops that a test image's prediction is the mean of: 1, the centre, or 10, the centre and the
            corners and their mirror images, by their probabilities (Larsson et al. 2017, Table 2).
        validation: Training images held out to choose hyper-parameters by; the papers train on all (0).
    """

    name: Literal["imagenet"] = "imagenet"
    augmentation: PhotoAugmentation = "auto"
    size: int = 224
    crops: int = 1
    validation: int = 50_000

    def __post_init__(self) -> None:
        """Checks values."""
        _check(self)
        require(
            self.validation < 1_281_167,
            "validation",
            self.validation,
            "less than 1,281,167 images",
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFolder:
    """Photographs of your own: train/CLASS/* and val/CLASS/* in one directory.

    `orch data check image_folder DIR` prints the values of `classes` and `digest`. Otherwise as `ImageNet`.

    Attributes:
        path: The directory, below the directory of data sets.
        classes: Number of classes.
        digest: Of the sorted names and sizes of all files: "names:" and 64 hexadecimal digits.
        augmentation: As `ImageNet`.
        size: As `ImageNet`.
        crops: As `ImageNet`.
        validation: As `ImageNet`.
    """

    name: Literal["image_folder"] = "image_folder"
    path: str
    classes: int
    digest: str
    augmentation: PhotoAugmentation = "auto"
    size: int = 224
    crops: int = 1
    validation: int = 0

    def __post_init__(self) -> None:
        """Checks values."""
        _check(self)
        count("classes", self.classes, least=2)
        require(
            isinstance(self.digest, str) and _DIGEST.fullmatch(self.digest) is not None,
            "digest",
            self.digest,
            'what "orch data check image_folder DIR" prints',
        )
        inside = isinstance(self.path, str) and self.path != ""
        path = PurePosixPath(self.path if inside else "/")
        require(
            inside and not path.is_absolute() and ".." not in path.parts,
            "path",
            self.path,
            "a directory below the directory of data sets (data_dir)",
        )


Photographs: TypeAlias = ImageNet | ImageFolder


def _check(data: Photographs) -> None:
    one_of("augmentation", data.augmentation, PHOTO_AUGMENTATIONS)
    count("size", data.size, least=8)
    require(type(data.crops) is int and data.crops in (1, 10), "crops", data.crops, "1 or 10")
    count("validation", data.validation, least=0)
