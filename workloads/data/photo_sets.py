"""ImageNet in both of its layouts, and folders of photographs: found, compared with what is known, split.

Source: torchvision's `ImageNet` and `ImageFolder`, which say what the layouts are.
"""

from __future__ import annotations

import functools
import hashlib
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch

from workloads.data import vision
from workloads.data.photo_kinds import ImageFolder, ImageNet, Photographs
from workloads.data.photos import Photos
from workloads.data.pictures import Archived, Files, Pictures
from workloads.data.split import stratified

# What is published of ImageNet 2012: classes, and images of each part (Russakovsky et al. 2015, Table 2).
PUBLISHED: Final[Mapping[str, int]] = MappingProxyType({"classes": 1000, "train": 1_281_167, "val": 50_000})
_PARTS: Final = ("train", "val")
NAMES: Final = ("imagenet", "image_folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The photographs of one part, in the order of their classes' names and then their own.

    Attributes:
        classes: Names of the classes, sorted.
        labels: Class of each photograph.
        source: Where they lie.
    """

    classes: tuple[str, ...]
    labels: list[int]
    source: Pictures


@functools.lru_cache(maxsize=2)
def load(data: Photographs, folder: Path) -> tuple[Photos, Photos, Photos]:
    """Returns train, validation and test.

    Args:
        data: Configuration; its augmentation is not looked at.
        folder: Directory of the data sets.

    Raises:
        FileNotFoundError: The files are not there.
        ValueError: They are not those that the configuration names.
    """
    if isinstance(data, ImageNet):
        train, test = parts(folder / "imagenet")
        _published(train, test, folder / "imagenet")
    else:
        train, test = _folders(folder / data.path)
        _same(data, folder / data.path, train)
    held_at, kept_at = stratified(train.labels, (data.validation,), salt=data.name)

    def split(part: Part, at: list[int], crops: int) -> Photos:
        labels_N = torch.tensor([part.labels[i] for i in at], dtype=torch.int64)
        return Photos(part.source, at, labels_N, size=data.size, crops=crops)

    return (
        split(train, kept_at, 1),
        split(train, held_at, 1),
        split(test, list(range(len(test.labels))), data.crops),
    )


def check(name: str, folder: Path) -> dict[str, int]:
    """Returns part -> number of images.

    Of ImageNet in archives the published md5 is compared, which reads 145 GB; of ImageNet unpacked, the
    numbers of classes and images. A folder of your own is whole when each part has the same classes.

    Args:
        name: "imagenet" or "image_folder".
        folder: Directory of the data sets, or the folder of photographs itself.

    Raises:
        FileNotFoundError: Files are missing.
        ValueError: They are not the published ones.
    """
    if name == "image_folder":
        found = _folders(folder)
    else:
        root = folder / "imagenet"
        found = parts(root)
        _published(*found, root)
        if not _unpacked(root):
            for part in vision.datasets().imagenet.ARCHIVE_META:
                _whole(root, part)
    return {part: len(each.labels) for part, each in zip(_PARTS, found, strict=True)}


def described(folder: Path) -> dict[str, int | str]:
    """Returns what a study has to say of a folder of photographs: field of `data` -> value."""
    train, _ = _folders(folder)
    return {
        "name": "image_folder",
        "path": folder.resolve().name,
        "classes": len(train.classes),
        "digest": digest(folder),
    }


def digest(folder: Path) -> str:
    """Returns the digest of the sorted names and sizes of a folder's photographs."""
    lines = [
        f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\n"
        for part in _PARTS
        for path in (folder / part).rglob("*")
        if path.is_file()
    ]
    return f"names:{hashlib.sha256(''.join(sorted(lines)).encode()).hexdigest()}"


def parts(root: Path) -> tuple[Part, Part]:
    """Returns ImageNet's training and validation part, from folders or from the published archives.

    Raises:
        FileNotFoundError: Neither is there.
        ValueError: An archive that is damaged, or a developers' kit that is not the published one.
    """
    if _unpacked(root):
        return _folders(root)
    archives = {part: root / name for part, (name, _) in vision.datasets().imagenet.ARCHIVE_META.items()}
    missing = [path.name for path in archives.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"imagenet: got neither train/ and val/ nor the archives in {root} (missing: {', '.join(missing)}"
            "); it cannot be downloaded without an account: get ILSVRC2012 from image-net.org and put its "
            "three archives there, as they are or unpacked by torchvision.datasets.ImageNet"
        )
    try:
        return _archived(archives["train"], None), _archived(archives["val"], _answers(root))
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"imagenet: an archive in {root} is damaged: {error}; get it again") from None


def _unpacked(root: Path) -> bool:
    return all((root / part).is_dir() for part in _PARTS)


def _folders(root: Path) -> tuple[Part, Part]:
    found = []
    for part in _PARTS:
        if not (root / part).is_dir():
            raise FileNotFoundError(
                f"photographs: got no directory {root / part}; put them there as {part}/CLASS/FILE"
            )
        try:
            read = vision.datasets().ImageFolder(str(root / part))
        except FileNotFoundError as error:  # a class without an image, or no class at all
            raise FileNotFoundError(f"photographs: {root / part}: {error}") from None
        found.append(
            Part(
                classes=tuple(read.classes),
                labels=list(read.targets),
                source=Files([path for path, _ in read.samples]),
            )
        )
    train, test = found
    if train.classes != test.classes:
        differing = sorted(set(train.classes) ^ set(test.classes))
        raise ValueError(
            f"photographs: train and val of {root} differ in {len(differing)} classes, {differing[0]!r} "
            "among them; each class needs a directory in both"
        )
    return train, test


def _archived(archive: Path, answers: list[str] | None) -> Part:
    """Returns the photographs of an archive of archives, one a class, or of a flat one with answers."""
    found: list[tuple[str, str, int, int]] = []
    with tarfile.open(archive) as outer:
        members = [member for member in outer if member.isfile()]
        if answers is not None:
            members.sort(key=lambda member: member.name)
            if len(members) != len(answers):
                raise ValueError(
                    f"imagenet: {archive.name} has {len(members)} images, the developers' kit "
                    f"{len(answers)} answers"
                )
            for member, name in zip(members, answers, strict=True):
                found.append((name, member.name, member.offset_data, member.size))
        else:
            for member in members:
                with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                    found += [
                        (Path(member.name).stem, each.name, member.offset_data + each.offset_data, each.size)
                        for each in inner
                        if each.isfile()
                    ]
    found.sort()
    classes = tuple(sorted({name for name, *_ in found}))
    number = {name: i for i, name in enumerate(classes)}
    return Part(
        classes=classes,
        labels=[number[name] for name, *_ in found],
        source=Archived(archive, [(start, length) for _, _, start, length in found]),
    )


def _answers(root: Path) -> list[str]:
    """Returns the class names of the validation images, in the order of their file names."""
    name, _ = vision.datasets().imagenet.ARCHIVE_META["devkit"]
    _whole(root, "devkit")
    with tempfile.TemporaryDirectory() as place:  # torchvision writes beside the kit, which may be read-only
        (Path(place) / name).symlink_to((root / name).resolve())
        vision.datasets().imagenet.parse_devkit_archive(place)
        return list(vision.datasets().imagenet.load_meta_file(place)[1])


def _whole(root: Path, part: str) -> None:
    name, md5 = vision.datasets().imagenet.ARCHIVE_META[part]
    if not vision.datasets().utils.check_integrity(str(root / name), md5):
        raise ValueError(f"imagenet: {root / name} differs from the published file (md5 {md5}); get it again")


def _published(train: Part, test: Part, root: Path) -> None:
    found = {"classes": len(train.classes), "train": len(train.labels), "val": len(test.labels)}
    if train.classes != test.classes or found != dict(PUBLISHED):
        told = ", ".join(f"{name} {count:,}" for name, count in found.items())
        published = ", ".join(f"{name} {count:,}" for name, count in PUBLISHED.items())
        raise ValueError(
            f"imagenet: got {told} in {root}, published are {published}; for photographs of your own, or a "
            "part of ImageNet, use data.name image_folder"
        )


def _same(data: ImageFolder, root: Path, train: Part) -> None:
    if len(train.classes) != data.classes:
        raise ValueError(
            f"data.classes: got {data.classes}, but {root} has {len(train.classes)}; see: orch data check "
            f"image_folder {root}"
        )
    if (found := digest(root)) != data.digest:
        raise ValueError(
            f"data.digest: got {data.digest}, but {root} has {found}; either its files have changed, or the "
            f"study means others: orch data check image_folder {root}"
        )
