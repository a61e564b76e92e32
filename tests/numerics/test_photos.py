"""ImageNet from tiny folders and archives in the published layouts, and folders of one's own."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image
from torchvision.datasets import imagenet
from torchvision.transforms import v2

from tests.numerics import photo_files
from workloads import predictions, training
from workloads.api import Placement
from workloads.configs import TrainConfig, canonical
from workloads.data import photo_sets, photos, sets
from workloads.data.ahead import Waits
from workloads.data.photo_kinds import ImageFolder, ImageNet
from workloads.data.photos import MEAN, STD, PhotoLoader, Photos
from workloads.networks.configs import ResNetImageNet
from workloads.streams import Streams

CPU = torch.device("cpu")
TRAIN, VAL = 8, 4


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tiny set stands for the published one: its counts and digests go where those are kept."""
    classes = len(photo_files.CLASSES)
    monkeypatch.setattr(
        photo_sets, "PUBLISHED", {"classes": classes, "train": TRAIN * classes, "val": VAL * classes}
    )
    photo_sets.load.cache_clear()
    yield
    photo_sets.load.cache_clear()


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    photo_files.folders(tmp_path / "one" / "imagenet", photo_files.contents(train=TRAIN, val=VAL))
    return tmp_path / "one"


@pytest.fixture
def archived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "two" / "imagenet"
    for part, meta in photo_files.archives(root, photo_files.contents(train=TRAIN, val=VAL)).items():
        monkeypatch.setitem(imagenet.ARCHIVE_META, part, meta)
    return tmp_path / "two"


def data(**changes: object) -> ImageNet:
    return ImageNet(**({"size": 16, "validation": 0} | changes))  # type: ignore[arg-type]


# --- what is read -----------------------------------------------------------------------------------


def test_images_are_those_of_torchvision_resized_and_cropped_at_the_centre(unpacked: Path) -> None:
    found = sets.load(data(), unpacked, CPU)
    seen = v2.Compose(
        [
            v2.Resize(round(16 * 256 / 224)),
            v2.CenterCrop(16),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    for part, split in (("train", found.train), ("val", found.test)):
        expected = torchvision.datasets.ImageFolder(str(unpacked / "imagenet" / part))
        assert split.y_N.tolist() == expected.targets
        for position, (picture, _) in enumerate(expected):
            got = split.images(torch.tensor([position]))[0]
            torch.testing.assert_close(got, seen(picture))
    batches = list(found.test.batches(5))
    assert [len(each) for each in batches] == [5, 5, 2]
    assert torch.equal(torch.cat(batches), found.test.images(slice(0, 12)))


def test_archives_and_folders_hold_the_same_images_in_the_same_order(unpacked: Path, archived: Path) -> None:
    one, two = (sets.load(data(validation=6), folder, CPU) for folder in (unpacked, archived))
    for name in ("train", "validation", "test"):
        first, second = getattr(one, name), getattr(two, name)
        assert torch.equal(first.y_N, second.y_N)
        assert torch.equal(first.images(slice(0, 99)), second.images(slice(0, 99)))
    assert Counter(one.validation.y_N.tolist()) == {0: 2, 1: 2, 2: 2}
    assert len(one.train) == 3 * TRAIN - 6
    assert sets.check("imagenet", unpacked) == sets.check("imagenet", archived) == {"train": 24, "val": 12}
    # the archives are read where they lie
    assert sorted(path.suffix for path in (archived / "imagenet").iterdir()) == [".gz", ".tar", ".tar"]


def test_unpacking_by_torchvision_gives_a_layout_that_is_read(archived: Path) -> None:
    before = sets.load(data(), archived, CPU).test.images(slice(0, 12))
    for part in ("train", "val"):
        torchvision.datasets.ImageNet(str(archived / "imagenet"), split=part)
    photo_sets.load.cache_clear()
    found = sets.load(data(), archived, CPU)
    assert isinstance(found.test._source, photo_sets.Files)  # type: ignore[union-attr]
    assert torch.equal(found.test.images(slice(0, 12)), before)


def test_ten_crops_are_averaged_by_their_probabilities(unpacked: Path) -> None:
    found = sets.load(data(crops=10), unpacked, CPU)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 3)).double()
    got = predictions.outputs(network, found.test)
    pictures = torchvision.datasets.ImageFolder(str(unpacked / "imagenet" / "val"))
    ready = v2.Compose(
        [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
            v2.ToDtype(torch.float64),
        ]
    )
    ten = v2.Compose([v2.Resize(18), v2.TenCrop(16)])
    with torch.no_grad():
        expected = torch.stack(
            [
                torch.stack([network(ready(crop)[None])[0] for crop in ten(picture)]).softmax(1).mean(0)
                for picture, _ in pictures
            ]
        )
    torch.testing.assert_close(got.softmax(1), expected)
    one = predictions.outputs(network, sets.load(data(), unpacked, CPU).test)
    assert not torch.allclose(one.softmax(1), expected)
    # a validation image is seen once
    assert next(iter(sets.load(data(crops=10), unpacked, CPU).train.batches(4))).shape == (4, 3, 16, 16)


# --- augmentation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("augmentation", ["none", "scale", "area"])
def test_a_mini_batch_follows_from_the_streams_and_not_from_the_threads(
    augmentation: str, unpacked: Path
) -> None:
    wanted = data(augmentation=augmentation)
    split = sets.load(wanted, unpacked, CPU).train
    assert isinstance(split, Photos)
    loader = PhotoLoader(split, wanted, 5)
    assert len(loader) == 5
    found = []
    for threads in (1, 4):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        streams = Streams.of(3)
        order = loader.order(streams.order)
        global_state = torch.get_rng_state()
        found.append([loader.batch(order, position, streams.augmentation) for position in range(5)])
        assert torch.equal(torch.get_rng_state(), global_state)
        torch.set_num_threads(before)
    for (x_a, y_a), (x_b, y_b) in zip(*found, strict=True):
        assert torch.equal(x_a, x_b)
        assert torch.equal(y_a, y_b)
    assert sorted(torch.cat([y for _, y in found[0]]).tolist()) == sorted(split.y_N.tolist())
    centres = split.images(loader.order(Streams.of(3).order)[:5])
    assert torch.equal(found[0][0][0], centres) == (augmentation == "none")


def test_scale_draws_sides_places_and_mirrors_evenly() -> None:
    stream = torch.Generator().manual_seed(0)
    pictures = [Image.new("RGB", (640, 480))] * 4000
    draws = photos.by_scale(pictures, stream=stream, size=224)
    sides = [draw.side for draw in draws if draw.side is not None]
    assert (min(sides), max(sides)) == (256, 480)
    assert abs(sum(sides) / 4000 - 368) < 5 * 65 / math.sqrt(4000)
    assert abs(sum(draw.mirrored for draw in draws) / 4000 - 0.5) < 0.04
    assert abs(sum(draw.box[0] for draw in draws) / 4000 - 0.5) < 0.025


def test_a_crop_reaches_every_place_of_the_resized_photograph() -> None:
    gradient = torch.arange(24, dtype=torch.uint8).expand(3, 16, 24).contiguous()
    picture = v2.functional.to_pil_image(gradient)
    stream = torch.Generator().manual_seed(0)
    lefts = set()
    for draw in photos.by_scale([picture] * 200, stream=stream, size=14):
        fixed = photos.Draw(side=16, box=draw.box, mirrored=False)
        lefts.add(int(photos.pictures.view(picture, fixed, 14)[0, 0, 0]))
    assert lefts == set(range(11))  # 24 - 14 and one more


def test_area_draws_what_torchvision_draws() -> None:
    picture = Image.new("RGB", (50, 40))
    stream = torch.Generator().manual_seed(5)
    boxes = [draw.box for draw in photos.by_area([picture] * 20, stream=stream)]
    torch.manual_seed(5)
    expected = [
        torchvision.transforms.RandomResizedCrop.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3])
        for _ in range(20)
    ]
    assert boxes == expected


# --- training ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("augmentation", ["scale", "area"])
def test_a_training_resumes_in_the_middle_of_an_epoch_bit_exactly(
    augmentation: str, unpacked: Path, tmp_path: Path
) -> None:
    root = unpacked / "imagenet"
    config = canonical(
        TrainConfig(
            data=ImageFolder(
                path="imagenet",
                classes=3,
                digest=photo_sets.digest(root),
                size=32,
                augmentation=augmentation,  # type: ignore[arg-type]
                crops=10,
                validation=3,
            ),
            network=ResNetImageNet(depth=18, width=1 / 16),
            epochs=2,
            batch_size=8,
        )
    )
    assert (config.network.classes, config.network.input_size) == (3, 32)

    def machine() -> training.Training:
        return training.Training(config, 1, training.load(config, unpacked, CPU), CPU)

    whole = machine()
    while not (end := whole.advance(lambda: False)).ended:
        pass
    stopped = machine()
    stopped.advance(lambda: False)
    point = stopped.advance(lambda: True)
    assert 0.5 < point.progress < 1
    (tmp_path / "save").mkdir()
    stopped.save(tmp_path / "save")
    again = machine()
    again.restore(tmp_path / "save")
    while not (resumed := again.advance(lambda: False)).ended:
        pass
    assert resumed.metrics == end.metrics
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name


def test_the_top_five_error_is_measured_where_there_are_many_classes(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for part, count in (("train", 2), ("val", 1)):
        for each in range(12):
            (root / part / f"c{each:02d}").mkdir(parents=True)
            for image in range(count):
                content = photo_files.picture(100 * each + image, height=20, width=24)
                (root / part / f"c{each:02d}" / f"{image}.jpg").write_bytes(content)
    described = sets.described("image_folder", root)
    config = TrainConfig(
        data=ImageFolder(**{key: value for key, value in described.items() if key != "name"}, size=32),
        network=ResNetImageNet(depth=18, width=1 / 16),
        epochs=1,
        batch_size=8,
    )
    reports = list(
        training.train(config, seeds=[0], data=tmp_path, resume={}, placement=Placement(), report_every_s=9e9)
    )
    first, last = reports[0].metrics, reports[-1].metrics
    assert 0 <= first["train_top5_error"] <= first["train_error"] <= 1
    assert 0 <= last["test_top5_error"] <= last["test_error"] <= 1
    scores = torch.randn(50, 12, generator=torch.Generator().manual_seed(0))
    y_N = torch.arange(50) % 12
    by_hand = sum(
        int(label) not in sorted(range(12), key=lambda k: -row[k])[:5]
        for row, label in zip(scores.tolist(), y_N, strict=True)
    )
    assert int(predictions.top5_errors(scores, y_N)) == by_hand


# --- what is refused --------------------------------------------------------------------------------


def test_missing_and_differing_files_are_told(
    unpacked: Path, archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match=r"ILSVRC2012_img_train\.tar.*image-net\.org"):
        sets.load(data(), tmp_path, CPU)
    name, _ = imagenet.ARCHIVE_META["train"]
    with (archived / "imagenet" / name).open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(ValueError, match="differs from the published file"):
        sets.check("imagenet", archived)
    (unpacked / "imagenet" / "val" / photo_files.CLASSES[0] / "ILSVRC2012_val_00000001.JPEG").unlink()
    with pytest.raises(ValueError, match=r"val 11 in .*published are .*val 12.*image_folder"):
        sets.load(data(), unpacked, CPU)


def test_an_archive_that_ends_early_is_told(archived: Path) -> None:
    name, _ = imagenet.ARCHIVE_META["train"]
    path = archived / "imagenet" / name
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match="imagenet: "):
        sets.load(data(), archived, CPU)


def test_a_folder_that_changed_is_told(unpacked: Path) -> None:
    root = unpacked / "imagenet"
    described = sets.described("image_folder", root)
    assert described["classes"] == 3
    wanted = ImageFolder(path="imagenet", classes=3, digest=described["digest"], size=16)
    assert len(sets.load(wanted, unpacked, CPU).train) == 24
    photo_sets.load.cache_clear()
    (root / "train" / photo_files.CLASSES[1] / "more.jpg").write_bytes(
        photo_files.picture(1, height=9, width=9)
    )
    with pytest.raises(ValueError, match=r"data\.digest: got names:.*orch data check image_folder"):
        sets.load(wanted, unpacked, CPU)
    with pytest.raises(ValueError, match=r"data\.classes: got 4, but .* has 3"):
        sets.load(ImageFolder(path="imagenet", classes=4, digest=described["digest"]), unpacked, CPU)
    (root / "val" / "new").mkdir()
    (root / "val" / "new" / "a.jpg").write_bytes(photo_files.picture(1, height=9, width=9))
    with pytest.raises(ValueError, match="differ in 1 classes, 'new'"):
        sets.check("image_folder", root)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ImageNet(crops=5), "crops: got 5, allowed is 1 or 10"),
        (lambda: ImageNet(augmentation="plus"), "augmentation"),  # type: ignore[arg-type]
        (lambda: ImageNet(validation=2_000_000), "less than 1,281,167"),
        (lambda: ImageFolder(path="/data", classes=2, digest="names:" + 64 * "0"), "data_dir"),
        (lambda: ImageFolder(path="../x", classes=2, digest="names:" + 64 * "0"), "path"),
        (lambda: ImageFolder(path="x", classes=2, digest="sha"), "orch data check image_folder DIR"),
    ],
)
def test_a_field_out_of_range_is_told(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


# --- ahead of the training --------------------------------------------------------------------------


def test_area_draws_what_torchvision_draws_of_photographs_that_no_crop_fits() -> None:
    for size in ((400, 3), (3, 400), (7, 5), (1, 1)):
        picture = Image.new("RGB", size)
        stream = torch.Generator().manual_seed(5)
        boxes = [draw.box for draw in photos.by_area([picture] * 8, stream=stream)]
        torch.manual_seed(5)
        expected = [
            torchvision.transforms.RandomResizedCrop.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3])
            for _ in range(8)
        ]
        assert boxes == expected, size


@pytest.mark.parametrize("augmentation", ["none", "scale", "area"])
def test_what_was_decoded_ahead_is_what_is_asked_for(augmentation: str, unpacked: Path) -> None:
    wanted = data(augmentation=augmentation)
    split = sets.load(wanted, unpacked, CPU).train
    assert isinstance(split, Photos)
    streams = Streams.of(3)
    one, other = (PhotoLoader(split, wanted, 5).order(streams.order) for _ in range(2))
    whole = PhotoLoader(split, wanted, 5)
    for order, position in ((one, 0), (one, 1), (other, 2), (one, 1), (one, 2), (one, 4), (other, 0)):
        before = streams.augmentation.get_state()
        plain = torch.Generator()
        plain.set_state(before)
        # a loader that has decoded nothing ahead is the plain reference
        expected = PhotoLoader(split, wanted, 5).batch(order, position, plain)
        found = whole.batch(order, position, streams.augmentation)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert torch.equal(plain.get_state(), streams.augmentation.get_state())
    streams.augmentation.manual_seed(9)  # moved by somebody else
    plain = torch.Generator().manual_seed(9)
    expected = PhotoLoader(split, wanted, 5).batch(other, 1, plain)
    assert torch.equal(whole.batch(other, 1, streams.augmentation)[0], expected[0])


def test_the_next_mini_batch_is_decoded_meanwhile(unpacked: Path) -> None:
    wanted = data()
    split = sets.load(wanted, unpacked, CPU).train
    assert isinstance(split, Photos)
    read: list[int] = []

    class Noted(photos.Pictures):
        def read(self, position: int) -> bytes:
            read.append(position)
            return source.read(position)

    source, split._source = split._source, Noted()
    loader = PhotoLoader(split, wanted, 12)
    loader.batch(torch.arange(24), 0, torch.Generator())
    deadline = time.monotonic() + 30
    while len(read) < 24 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert sorted(read) == sorted(split._at)


def test_an_error_of_the_next_mini_batch_is_told_when_it_is_its_turn(unpacked: Path) -> None:
    wanted = data()
    split = sets.load(wanted, unpacked, CPU).train
    assert isinstance(split, Photos)

    class Broken(photos.Pictures):
        def read(self, position: int) -> bytes:
            if position == split._at[20]:
                raise OSError("gone")
            return source.read(position)

    source, split._source = split._source, Broken()
    loader = PhotoLoader(split, wanted, 12)
    loader.batch(torch.arange(24), 0, torch.Generator())
    with pytest.raises(OSError, match="gone"):
        loader.batch(torch.arange(24), 1, torch.Generator())


def test_waiting_is_a_share_of_the_steps() -> None:
    now = [0.0]
    waits = Waits(CPU, lambda: now[0])

    def step(*, waited: float, learnt: float, first: bool = False) -> None:
        waits.asked(first=first)
        now[0] += waited
        waits.given()
        now[0] += learnt

    assert waits.share == 0
    step(waited=3, learnt=1, first=True)
    step(waited=3, learnt=100)  # the test of an epoch's end
    step(waited=3, learnt=2, first=True)
    step(waited=3, learnt=5)
    assert waits.share == 12 / (12 + 1 + 2)


def test_a_training_tells_how_long_its_loader_was_waited_for(
    unpacked: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = TrainConfig(
        data=ImageFolder(
            path="imagenet", classes=3, digest=photo_sets.digest(unpacked / "imagenet"), size=32, validation=0
        ),
        network=ResNetImageNet(depth=18, width=1 / 16),
        epochs=1,
        batch_size=8,
    )
    with caplog.at_level("INFO", logger="workloads.training"):
        last = list(training.train(config, seeds=[0], data=unpacked, resume={}, placement=Placement()))[-1]
    share = last.notes["loader_waited"]
    assert isinstance(share, float)
    assert 0 < share < 1
    assert "epoch 1: the loader was waited for" in caplog.text
