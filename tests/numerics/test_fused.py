"""Seeds computed as one network: each replica is its solo run, in float64 to rounding."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from workloads import fused_training, training
from workloads.api import Placement, Report, kinds
from workloads.configs import TrainConfig, canonical
from workloads.data import sets
from workloads.data.configs import Synthetic
from workloads.data.photo_kinds import ImageFolder
from workloads.fused_training import FusedTraining
from workloads.networks import configs as nets
from workloads.placement import placed
from workloads.recipe import SGD
from workloads.schedules import Cosine
from workloads.training import Training
from workloads.unfused import unfused

CPU = torch.device("cpu")
SEEDS = (3, 1, 7)
SMALL = {
    "plain": nets.Plain(depth=8, width=0.125),
    "resnet": nets.ResNet(depth=8, width=0.125),
    "dfn": nets.DFN(depth=8, width=0.125),
    "dfn6": nets.DFN(depth=14, width=0.125, fusions=6),
    "component": nets.Component(depth=8, width=0.125, path="LRL"),
    "path_ensemble": nets.PathEnsemble(depth=8, width=0.125, members=("LLL", "LLR", "RLR")),
    "dfn_il": nets.DFNIL(depth=8, width=0.125),
    "dfn_mr": nets.DFNMR(depth=8, width=0.125),
    "preact_resnet": nets.PreActResNet(depth=14, width=0.125),
    "preact_bottleneck": nets.PreActResNet(depth=11, width=0.25, bottleneck=True),
    "preact_padded": nets.PreActResNet(depth=14, width=0.125, shortcut="A"),
    "highway": nets.Highway(depth=8, width=0.125),
    "stochastic_depth": nets.PreActResNet(depth=14, width=0.125, survival=0.3),
    "stochastic_padded": nets.PreActResNet(depth=14, width=0.125, survival=0.3, shortcut="A"),
    "some_modules": nets.PreActResNet(depth=14, width=0.125, modules_per_batch=3, rescale=True),
    "drop_path": nets.FractalNet(
        columns=3, width=1 / 16, channels=(64, 128), pools=2, drop_path="mixed", local_rate=0.4
    ),
    "drop_path_kernels": nets.FractalNet(
        columns=3,
        width=1 / 16,
        channels=(64, 128),
        pools=2,
        drop_path="local",
        local_rate=0.5,
        kernels="half",
        column_channels=(32, 32, 64),
    ),
    "dropout": nets.FractalNet(
        columns=2, width=1 / 16, channels=(64, 128), pools=2, dropout=(0.2, 0.3), drop_path="global"
    ),
    "column_dropout": nets.FractalColumn(
        column=2, width=1 / 16, channels=(64, 128), pools=2, dropout=(0.2, 0.3)
    ),
    "wrn": nets.WRN(depth=10, width=0.125),
    "vgg": nets.VGG(layers=(1, 1, 1, 1, 1), width=1 / 16, pools=3),
    "vgg15": nets.VGG15(width=1 / 16, pools=3),
    "fractalnet": nets.FractalNet(columns=3, width=1 / 16, channels=(64, 128), pools=2),
    "fractal_kernels": nets.FractalNet(
        columns=2, width=1 / 16, channels=(64, 128), pools=2, kernels="half", norm="caffe"
    ),
    "fractal_widths": nets.FractalNet(
        columns=2, width=1 / 16, channels=(64, 128), pools=2, column_channels=(32, 64)
    ),
    "fractal_column": nets.FractalColumn(column=2, width=1 / 16, channels=(64, 128), pools=2),
    "resnet_imagenet": nets.ResNetImageNet(depth=18, width=1 / 16),
    "preact_resnet_imagenet": nets.PreActResNetImageNet(depth=50, width=1 / 16),
    "dfn_mr_imagenet": nets.DFNMRImageNet(blocks=(1, 1, 1, 1), width=1 / 16),
    "dfn1_imagenet": nets.DFN1ImageNet(width=0.125),
    "dfn2_imagenet": nets.DFN2ImageNet(width=0.125),
    "fractalnet_imagenet": nets.FractalNetImageNet(columns=2, width=1 / 16, pools=2),
    "diracnet": nets.DiracNet(depth=10, width=0.125, gamma="uniform"),
    "diracnet_scaled": nets.DiracNet(depth=10, width=0.125, weight_norm=False),
    "plain_dirac_baseline": nets.PlainDiracBaseline(depth=10, width=0.125),
    "diracnet_imagenet": nets.DiracNetImageNet(depth=18, width=1 / 16),
    "dirac_resnet": nets.DiracResNet(depth=10, width=0.125),
}


def config_of(network: nets.Network, **fields: object) -> TrainConfig:
    large = network.name.endswith("_imagenet")
    whole = TrainConfig(
        network=network,
        data=Synthetic(classes=12, images=60, size=32 if large else 8, augmentation="plus"),
        epochs=5,
        batch_size=16,  # 16, 16, 16, 12 an epoch
        # fifty layers on so few images multiply a rounding error at each step of usual size
        optimizer=SGD(lr=1e-5 if large else 0.02, decay="no_bias", bias_rate=2.0),
        schedule=Cosine(),
        precision="float64",
    )
    return canonical(replace(whole, **fields))


def state_of(training: Training) -> dict[str, torch.Tensor]:
    """Everything that a training is made of, copied."""
    found = {name: each.clone() for name, each in training.network.state_dict().items()}
    return found | {"momentum": training._learner.momentum().clone(), "sums": training._sums.clone()}


def steps(training: Training | FusedTraining, count: int) -> None:
    """Advances by so many mini-batches."""
    one = training.replicas[0] if isinstance(training, FusedTraining) else training
    goal = one.finished_steps + count
    while one.finished_steps < goal:
        training.advance(lambda: one.finished_steps >= goal)


def furthest(found: Training, alone: Training) -> float:
    """Returns the largest difference of any number of two trainings, relative where numbers are large."""
    ours, theirs = state_of(found), state_of(alone)
    assert ours.keys() == theirs.keys()
    differences = [
        ((ours[name] - theirs[name]).abs() / theirs[name].abs().clamp_min(1)).max().item()
        for name in ours
        if ours[name].is_floating_point()
    ]
    for name, value in ours.items():
        if not value.is_floating_point():
            assert torch.equal(value, theirs[name]), name
    return max(differences)


def digest(folder: Path) -> str:
    """Of everything in a checkpoint."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()


def test_every_kind_is_tried() -> None:
    found = kinds(nets.Network)
    assert found is not None
    assert {each.name for each in SMALL.values()} == set(found)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if "imagenet" in name else name for name in SMALL]
)
def test_each_replica_is_its_solo_run(name: str, tmp_path: Path) -> None:
    config = config_of(SMALL[name])
    assert unfused(config) is None
    data = sets.load(config.data, tmp_path, CPU)
    with placed(Placement()):
        together = FusedTraining(config, SEEDS, data, CPU)
        alone = [Training(config, seed, data, CPU) for seed in SEEDS]
    later = 4 if config.network.name.endswith("_imagenet") else 19  # fifty layers take their time
    for count, allowed in ((1, 1e-12), (later, 1e-8)):
        with placed(Placement()):
            steps(together, count)
        for found, expected in zip(together.replicas, alone, strict=True):
            with placed(Placement(), expected.streams.regularisation):
                steps(expected, count)
            assert furthest(found, expected) < allowed
            for name, state in expected.streams.state().items():
                assert torch.equal(found.streams.state()[name], state), name


def test_ghost_statistics_are_each_replicas_own(tmp_path: Path) -> None:
    config = config_of(nets.ResNet(depth=8, width=0.125), ghost_batch=8)
    data = sets.load(config.data, tmp_path, CPU)
    with placed(Placement()):
        together = FusedTraining(config, SEEDS, data, CPU)
        steps(together, 5)
        for found in together.replicas:
            expected = Training(config, found.seed, data, CPU)
            steps(expected, 5)
            assert furthest(found, expected) < 1e-11


def reported(
    config: TrainConfig, *, seeds: tuple[int, ...] = SEEDS, fused: bool = True, every_s: float = 9e9
) -> Iterator[Report]:
    run = fused_training.train if fused else training.train
    return run(
        config,
        seeds=seeds,
        data=Path("nowhere"),
        resume={},
        placement=Placement(fused=fused),
        report_every_s=every_s,
    )


def test_reports_are_those_of_the_seeds_one_after_another() -> None:
    config = config_of(SMALL["path_ensemble"], epochs=2)
    ours: dict[int, list[Report]] = {}
    theirs: dict[int, list[Report]] = {}
    for fused, into in ((True, ours), (False, theirs)):
        for each in reported(config, fused=fused):
            into.setdefault(each.index, []).append(each)
    assert ours.keys() == theirs.keys()
    for index, several in theirs.items():
        assert len(several) == len(ours[index])
        for found, expected in zip(ours[index], several, strict=True):
            assert (found.evaluation, found.step, found.progress) == (
                expected.evaluation,
                expected.step,
                expected.progress,
            )
            assert found.metrics == pytest.approx(expected.metrics, rel=1e-9)


def test_one_that_diverges_touches_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(SMALL["resnet"], epochs=2, precision="float32")
    undisturbed = {each.index: each for each in reported(config)}
    assert not any(each.diverged for each in undisturbed.values())
    first = FusedTraining.advance

    def poisoned(self: FusedTraining, stop: Callable[[], bool]) -> Any:
        found = first(self, stop)
        with torch.no_grad():
            next(self.replicas[1].network.parameters()).fill_(float("nan"))
        return found

    monkeypatch.setattr(FusedTraining, "advance", poisoned)
    last = {each.index: each for each in reported(config)}
    assert last[1].diverged
    assert last[1].step == 2
    for index in (0, 2):  # bit for bit
        assert last[index].evaluation == "test"
        assert last[index].metrics == undisturbed[index].metrics


@pytest.mark.parametrize("name", ["resnet", "path_ensemble", "diracnet"])
def test_a_replicas_checkpoint_is_one_of_its_solo_run(name: str, tmp_path: Path) -> None:
    config = config_of(SMALL[name], epochs=2)
    for each in reported(config, every_s=0):
        if each.progress == 0.375 and each.save is not None:  # in the midst of the first epoch
            folder = tmp_path / str(each.index)
            folder.mkdir()
            each.save(folder)
    for index, seed in enumerate(SEEDS):
        *_, last = training.train(
            config, seeds=[seed], data=tmp_path, resume={0: tmp_path / str(index)}, placement=Placement()
        )
        *_, expected = reported(config, seeds=(seed,), fused=False)
        assert last.metrics == pytest.approx(expected.metrics, rel=1e-8)


def test_continued_with_the_same_seeds_it_is_bit_identical(tmp_path: Path) -> None:
    config = config_of(SMALL["resnet"], epochs=2, precision="float32")
    ends: dict[str, dict[int, str]] = {"undisturbed": {}, "continued": {}}
    middle: dict[int, Path] = {}

    def note(kind: str, report: Report) -> None:
        if report.evaluation == "test":
            assert report.save is not None
            folder = tmp_path / kind / str(report.index)
            folder.mkdir(parents=True)
            report.save(folder)
            ends[kind][report.index] = digest(folder)

    for each in reported(config, every_s=0):
        note("undisturbed", each)
        if each.progress == 0.625:
            middle[each.index] = tmp_path / f"middle-{each.index}"
            middle[each.index].mkdir()
            assert each.save is not None
            each.save(middle[each.index])
    for each in fused_training.train(
        config, seeds=SEEDS, data=tmp_path, resume=middle, placement=Placement(fused=True)
    ):
        note("continued", each)
    assert ends["continued"].keys() == {0, 1, 2}
    assert ends["continued"] == ends["undisturbed"]


def test_seeds_at_different_steps_are_trained_to_their_ends(tmp_path: Path) -> None:
    config = config_of(SMALL["plain"], epochs=1)
    folder = tmp_path / "ahead"
    folder.mkdir()
    for each in reported(config, every_s=0):
        if each.progress == 0.5 and each.index == 1:
            assert each.save is not None
            each.save(folder)
    last = {
        each.index: each
        for each in fused_training.train(
            config, seeds=SEEDS, data=tmp_path, resume={1: folder}, placement=Placement(fused=True)
        )
    }
    expected = {each.index: each for each in reported(config, fused=False)}
    for index, each in expected.items():
        assert last[index].metrics == pytest.approx(each.metrics, rel=1e-8)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"precision": "float16"}, "loss scale"),
        ({"data": ImageFolder(path="photos", digest="names:" + "0" * 64, classes=2)}, "decoded"),
    ],
)
def test_what_cannot_be_fused_says_why(changed: dict[str, Any], reason: str) -> None:
    config = replace(TrainConfig(), **changed)
    assert reason in str(unfused(config))


def test_several_devices_are_refused(tmp_path: Path) -> None:
    reports = fused_training.train(
        TrainConfig(), seeds=[0, 1], data=tmp_path, resume={}, placement=Placement(devices=("cpu", "cpu"))
    )
    with pytest.raises(ValueError, match="2 devices"):
        next(reports)
