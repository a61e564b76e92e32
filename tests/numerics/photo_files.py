"""Tiny photographs in the published layouts of ImageNet: folders, and archives with a developers' kit."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

CLASSES = ("n01440764", "n01443537", "n02119789")


def picture(seed: int, *, height: int, width: int, mode: str = "RGB") -> bytes:
    """Returns a JPEG of smooth colours, different for each seed."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=95)
    return stream.getvalue()


def contents(*, train: int, val: int) -> dict[str, dict[str, dict[str, bytes]]]:
    """Returns part -> class -> file name -> content; sizes, aspects and colour modes differ."""
    found: dict[str, dict[str, dict[str, bytes]]] = {"train": {}, "val": {}}
    number = 0
    for part, count in (("train", train), ("val", val)):
        for each, name in enumerate(CLASSES):
            files: dict[str, bytes] = {}
            for image in range(count):
                number += 1
                # validation files are numbered across the classes, which alternate
                at = image * len(CLASSES) + each + 1
                file = f"{name}_{image}.JPEG" if part == "train" else f"ILSVRC2012_val_{at:08d}.JPEG"
                mode = "L" if number % 5 == 0 else "RGB"
                files[file] = picture(number, height=20 + number % 7, width=31 - number % 11, mode=mode)
            found[part][name] = files
    return found


def folders(root: Path, parts: Mapping[str, Mapping[str, Mapping[str, bytes]]]) -> None:
    """Writes part/CLASS/FILE."""
    for part, classes in parts.items():
        for name, files in classes.items():
            (root / part / name).mkdir(parents=True)
            for file, content in files.items():
                (root / part / name / file).write_bytes(content)


def archives(
    root: Path, parts: Mapping[str, Mapping[str, Mapping[str, bytes]]]
) -> dict[str, tuple[str, str]]:
    """Writes the three archives and returns part -> (file, md5), as torchvision has them."""
    root.mkdir(parents=True)
    train, val, kit = (
        root / name
        for name in ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz")
    )
    with tarfile.open(train, "w") as outer:
        for name in reversed(sorted(parts["train"])):  # no order is promised
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as inner:
                for file, content in parts["train"][name].items():
                    _add(inner, file, content)
            _add(outer, f"{name}.tar", stream.getvalue())
    flat = {file: (name, content) for name, files in parts["val"].items() for file, content in files.items()}
    with tarfile.open(val, "w") as outer:
        for file in reversed(sorted(flat)):
            _add(outer, file, flat[file][1])
    # the kit numbers classes in an order of its own, and has inner nodes of the hierarchy
    numbers = {name: 1 + (each + 1) % len(CLASSES) for each, name in enumerate(CLASSES)}
    kinds = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "f8")]
    rows = [(number, name, f"word {name}", "", 0) for name, number in numbers.items()]
    synsets = np.array([*rows, (99, "n00000001", "all", "", 3)], dtype=kinds)
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": synsets})
    answers = "".join(f"{numbers[flat[file][0]]}\n" for file in sorted(flat))
    with tarfile.open(kit, "w:gz") as outer:
        _add(outer, "ILSVRC2012_devkit_t12/data/meta.mat", meta.getvalue())
        _add(outer, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", answers.encode())
    return {
        part: (path.name, hashlib.md5(path.read_bytes()).hexdigest())
        for part, path in (("train", train), ("val", val), ("devkit", kit))
    }


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
