"""CIFAR and SVHN from tiny files in their published formats, resized digits, synthetic images."""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import torchvision
from torch.nn import functional

from workloads import training
from workloads.api import Placement
from workloads.configs import TrainConfig, canonical
from workloads.data import colour, digits, sets, synthetic
from workloads.data.configs import CIFAR10, CIFAR100, SVHN, Data, Digits, Synthetic, facts_of
from workloads.data.loader import Loader
from workloads.data.split import Split
from workloads.networks.configs import Plain
from workloads.recipe import SGD
from workloads.streams import Streams

CPU = torch.device("cpu")


# --- tiny files in the published formats ------------------------------------------------------------


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def cifar_files(folder: Path, *, classes: int, per_file: int, seed: int = 0) -> type[Any]:
    """Writes pickled batches as published, and returns torchvision's class with their digests in it."""
    base: Any = torchvision.datasets.CIFAR10 if classes == 10 else torchvision.datasets.CIFAR100
    root = folder / base.base_folder
    root.mkdir(parents=True)
    random = np.random.default_rng(seed)

    def write(name: str) -> list[str]:
        key = "labels" if classes == 10 else "fine_labels"
        content = {
            "data": random.integers(0, 256, (per_file, 3072), dtype=np.uint8),
            key: [int(each) for each in np.arange(per_file) % classes],
        }
        (root / name).write_bytes(pickle.dumps(content))
        return [name, md5(root / name)]

    train = [write(name) for name, _ in base.train_list]
    test = [write(name) for name, _ in base.test_list]
    meta = dict(base.meta)
    (root / meta["filename"]).write_bytes(pickle.dumps({meta["key"]: [str(each) for each in range(classes)]}))
    meta["md5"] = md5(root / meta["filename"])
    return type("Tiny", (base,), {"train_list": train, "test_list": test, "meta": meta})


def svhn_files(folder: Path, counts: dict[str, int], seed: int = 0) -> type[Any]:
    """Writes .mat files as published (images HWCN, labels 1 to 10); returns torchvision's class for them."""
    random = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    listed: dict[str, list[str]] = {}
    for part, per_class in counts.items():
        labels = np.tile(np.arange(1, 11, dtype=np.uint8), per_class)[:, None]
        images = random.integers(0, 256, (32, 32, 3, len(labels)), dtype=np.uint8)
        path = folder / f"{part}_32x32.mat"
        scipy.io.savemat(path, {"X": images, "y": labels})
        listed[part] = ["http://nowhere/", path.name, md5(path)]
    return type("Tiny", (torchvision.datasets.SVHN,), {"split_list": listed})


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes the files of a set; torchvision's class is the seam where digests go in."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        if name == "svhn":
            source = svhn_files(folder, {"train": 450, "extra": 250, "test": 4})
        else:
            source = cifar_files(folder, classes=10 if name == "cifar10" else 100, per_file=200)
        monkeypatch.setattr(torchvision.datasets, name.upper(), source)
        colour.load.cache_clear()
        return folder

    return make


# --- what is read -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read_as_torchvision_reads_it(name: str, tiny: Callable[[str], Path]) -> None:
    folder = tiny(name)
    data: Data = CIFAR10(validation=0) if name == "cifar10" else CIFAR100(validation=0)
    found = sets.load(data, folder, CPU)
    source = colour.source(name)(str(folder), train=True)
    assert len(found.train) == len(source) == (1000 if name == "cifar10" else 200)
    assert len(found.validation) == 0
    picture, label = source[7]
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    assert torch.equal(found.train.x_NCHW[7], pixels)
    assert found.train.y_N[7] == label
    # normalised by the training split, channel by channel
    whole = torch.from_numpy(source.data).double() / 255
    expected = (pixels.double() / 255 - whole.mean((0, 1, 2))[:, None, None]) / whole.std(
        (0, 1, 2), correction=0
    )[:, None, None]
    torch.testing.assert_close(found.train.images(torch.tensor([7]))[0], expected.float())
    mean_only = sets.load(type(data)(validation=0, normalise="mean"), folder, CPU)  # type: ignore[call-arg]
    expected = pixels.double() / 255 - whole.mean((0, 1, 2))[:, None, None]
    torch.testing.assert_close(mean_only.train.images(torch.tensor([7]))[0], expected.float())


def test_held_out_images_are_stratified_and_in_no_other_split(tiny: Callable[[str], Path]) -> None:
    folder = tiny("cifar10")
    found = sets.load(CIFAR10(validation=100), folder, CPU)
    assert Counter(found.validation.y_N.tolist()) == dict.fromkeys(range(10), 10)
    kept = {image.numpy().tobytes() for image in found.train.x_NCHW}
    held = {image.numpy().tobytes() for image in found.validation.x_NCHW}
    assert (len(kept), len(held), len(kept & held)) == (900, 100, 0)


def test_svhn_in_the_split_of_zhao_et_al(tiny: Callable[[str], Path]) -> None:
    folder = tiny("svhn")
    found = sets.load(SVHN(), folder, CPU)
    assert Counter(found.train.y_N.tolist()) == dict.fromkeys(range(10), 450 - 400 + 250 - 200)
    assert Counter(found.validation.y_N.tolist()) == dict.fromkeys(range(10), 600)
    assert len(found.test) == 40
    assert len(sets.load(SVHN(split="whole"), folder, CPU).train) == 7000
    assert len(sets.load(SVHN(split="train", validation=500), folder, CPU).train) == 4000


def test_svhn_counts_are_the_papers() -> None:
    """Zhao et al., section 6.1: 598,388 of 73,257 and 531,131 images, 400 and 200 of each class aside."""
    sizes = {"train": 73_257, "extra": 531_131}
    kept = 0
    for part, size in sizes.items():
        labels = torch.arange(size) % 10
        trained, held = colour.zhao_positions(labels, colour.ZHAO_HELD_OUT[part], salt=part)
        assert Counter(labels[held].tolist()) == dict.fromkeys(range(10), colour.ZHAO_HELD_OUT[part])
        assert set(trained).isdisjoint(held)
        kept += len(trained)
    assert kept == 598_388


def test_missing_and_damaged_files_are_told(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="orch data fetch cifar10"):
        sets.load(CIFAR10(), tmp_path / "nothing", CPU)
    folder = tiny("cifar10")
    assert sets.check("cifar10", folder) == {"train": 1000, "test": 200}
    path = folder / torchvision.datasets.CIFAR10.base_folder / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(FileNotFoundError, match="published md5"):
        sets.check("cifar10", folder)


def test_a_download_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, root: str, **options: Any) -> None:
            (Path(root) / "half").write_text("written")
            raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Broken)
    with pytest.raises(OSError, match=r"cifar10: could not be downloaded .* no network"):
        sets.fetch("cifar10", tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


# --- augmentation -----------------------------------------------------------------------------------


def plain_batch(
    split: Split, at: list[int], *, padding: int, flips: bool, reflect: bool, stream: torch.Generator
) -> torch.Tensor:
    """One image after the other, by slicing."""
    shifts = torch.randint(0, 2 * padding + 1, (2, len(at)), generator=stream) if padding else None
    mirrored = torch.randint(0, 2, (len(at),), generator=stream) if flips else None
    images = []
    for k, i in enumerate(at):
        assert split.mean_C is not None
        assert split.std_C is not None
        image = torch.stack(
            [(split.x_NCHW[i, c].float() / 255 - split.mean_C[c]) / split.std_C[c] for c in range(3)]
        )
        if shifts is not None:
            mode = "reflect" if reflect else "constant"
            padded = functional.pad(image[None], (padding,) * 4, mode=mode)[0]
            top, left = shifts[:, k].tolist()
            image = padded[:, top : top + image.shape[1], left : left + image.shape[2]]
        images.append(image.flip(2) if mirrored is not None and mirrored[k] else image)
    return torch.stack(images)


@pytest.mark.parametrize("reflect", [False, True])
def test_batches_of_bytes_equal_the_plain_reference(reflect: bool) -> None:
    random = torch.Generator().manual_seed(0)
    split = Split(
        x_NCHW=torch.randint(0, 256, (10, 3, 6, 6), generator=random, dtype=torch.uint8),
        y_N=torch.arange(10),
        mean_C=torch.tensor([0.4, 0.5, 0.6]),
        std_C=torch.tensor([0.2, 0.3, 0.25]),
    )
    loader = Loader(split, batch_size=4, padding=2, flips=True, reflect=reflect)
    order = loader.order(Streams.of(0).order)
    fast, slow = Streams.of(3).augmentation, Streams.of(3).augmentation
    for position in range(3):
        x_BCHW, _ = loader.batch(order, position, fast)
        at = order[position * 4 : position * 4 + 4].tolist()
        expected = plain_batch(split, at, padding=2, flips=True, reflect=reflect, stream=slow)
        assert torch.equal(x_BCHW, expected)


def test_bytes_and_ready_images_give_the_same_batches() -> None:
    random = torch.Generator().manual_seed(0)
    split = Split(
        x_NCHW=torch.randint(0, 256, (9, 3, 6, 6), generator=random, dtype=torch.uint8),
        y_N=torch.arange(9),
        mean_C=torch.tensor([0.4, 0.5, 0.6]),
        std_C=torch.tensor([0.2, 0.3, 0.25]),
    )
    ready = Split(x_NCHW=split.images(slice(None)), y_N=split.y_N)
    assert torch.equal(torch.cat(list(split.batches(4))), ready.x_NCHW)
    for reflect in (False, True):
        loaders = [
            Loader(each, batch_size=4, padding=2, flips=True, reflect=reflect) for each in (split, ready)
        ]
        order = loaders[0].order(Streams.of(0).order)
        batches = [each.batch(order, 1, Streams.of(5).augmentation)[0] for each in loaders]
        assert torch.equal(*batches)


@pytest.mark.parametrize(
    ("data", "auto", "flips"),
    [
        (Digits(), "plus", False),
        (CIFAR10(), "plus", True),
        (SVHN(), "none", False),
        (Synthetic(), "none", False),
    ],
)
def test_what_auto_means(data: Data, auto: str, flips: bool) -> None:
    assert canonical(TrainConfig(data=data)).data.augmentation == auto
    assert facts_of(data).flips == flips


# --- digits and synthetic images --------------------------------------------------------------------


def test_digits_of_another_size_are_resized_bilinearly() -> None:
    small, large = (sets.load(Digits(size=size), Path("nowhere"), CPU) for size in (8, 16))
    assert large.train.x_NCHW.shape == (1212, 1, 16, 16)
    assert torch.equal(small.train.y_N, large.train.y_N)
    assert canonical(TrainConfig(data=Digits(size=16))).network.input_size == 16
    # doubled: a new pixel lies a quarter of the way between two old ones, in both directions
    raw_small, raw_large = (digits.load(size)[0].x_NCHW[0, 0] for size in (8, 16))
    a, b, c, d = raw_small[3, 3], raw_small[3, 4], raw_small[4, 3], raw_small[4, 4]
    expected = 0.75 * (0.75 * a + 0.25 * b) + 0.25 * (0.75 * c + 0.25 * d)
    torch.testing.assert_close(raw_large[7, 7], expected)


def test_synthetic_images_are_the_same_every_time_and_can_be_learnt() -> None:
    data = Synthetic(images=512)
    first = sets.load(data, Path("nowhere"), CPU).train.x_NCHW.clone()
    synthetic.load.cache_clear()
    found = sets.load(data, Path("nowhere"), CPU)
    assert torch.equal(first, found.train.x_NCHW)
    assert Counter(found.train.y_N.tolist()) == dict.fromkeys(range(4), 128)
    config = TrainConfig(
        data=data, network=Plain(depth=8, width=0.5), epochs=8, batch_size=32, optimizer=SGD(lr=0.05)
    )
    assert last_report(config, Path("nowhere"))["test_error"] < 0.25  # chance is 0.75


# --- through the training loop ----------------------------------------------------------------------


def last_report(config: TrainConfig, folder: Path) -> dict[str, float]:
    reports = training.train(config, seeds=[0], data=folder, resume={}, placement=Placement())
    return {name: value for report in reports for name, value in report.metrics.items()}


@pytest.mark.parametrize(
    "data",
    [
        CIFAR10(validation=100),
        CIFAR10(validation=0, augmentation="plus_plus"),
        CIFAR100(validation=0, normalise="mean"),
        SVHN(),
    ],
    ids=["cifar10", "cifar10 reflected", "cifar100 mean", "svhn"],
)
def test_a_network_trains_on_every_set(data: Data, tiny: Callable[[str], Path]) -> None:
    folder = tiny(data.name)
    config = TrainConfig(data=data, network=Plain(depth=5, width=0.25), epochs=1, batch_size=256)
    found = last_report(config, folder)
    assert 0 <= found["test_error"] <= 1
    held_out = len(sets.load(canonical(config).data, folder, CPU).validation)
    assert ("validation_error" in found) == (held_out > 0)


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CIFAR10(augmentation="more"), "augmentation"),  # type: ignore[arg-type]
        (lambda: CIFAR10(validation=50_000), "validation"),
        (lambda: SVHN(validation=10), "holds out 6,000"),
        (lambda: SVHN(split="larsson"), "split"),  # type: ignore[arg-type]
        (lambda: Digits(size=2), "size"),
        (lambda: Synthetic(classes=8, images=8), "images"),
        (lambda: sets.check("mnist", Path("nowhere")), "digits, synthetic, cifar10"),
    ],
)
def test_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_a_process_keeps_the_sets_that_it_used_last() -> None:
    def load(size: int) -> sets.DataSet:
        return sets.load(Digits(size=size), Path("nowhere"), torch.device("cpu"))

    first = load(8)
    assert load(8) is first
    # how images are augmented is the loader's
    assert sets.load(Digits(augmentation="none"), Path("nowhere"), torch.device("cpu")) is first
    assert sets.load(Digits(), Path("nowhere"), torch.device("meta")) is not first
    assert load(8) is first
    for size in range(9, 9 + sets.KEPT):
        load(size)
    assert len(sets._kept) == sets.KEPT
    assert load(8) is not first


def test_mini_batches_of_bytes_are_those_of_torchvision_image_by_image() -> None:
    tv = torchvision.transforms.v2.functional
    x_NCHW = torch.randint(0, 256, (9, 3, 32, 32), dtype=torch.uint8)
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.247, 0.2435, 0.2616])
    split = Split(x_NCHW=x_NCHW, y_N=torch.arange(9), mean_C=mean, std_C=std)
    stream, same = (torch.Generator().manual_seed(4) for _ in range(2))
    order = torch.randperm(9)
    found, _ = Loader(split, batch_size=9, padding=4, flips=True).batch(order, 0, stream)
    shifts = torch.randint(0, 9, (2, 9), generator=same).T.tolist()
    mirrored = torch.randint(0, 2, (9,), generator=same).tolist()
    for got, at, (top, left), flip in zip(found, order.tolist(), shifts, mirrored, strict=True):
        image = tv.normalize(tv.to_dtype(x_NCHW[at], torch.float32, scale=True), mean.tolist(), std.tolist())
        image = tv.crop(tv.pad(image, [4, 4]), top, left, 32, 32)
        expected = tv.horizontal_flip(image) if flip else image
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)
