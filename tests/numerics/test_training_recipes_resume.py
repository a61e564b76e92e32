"""Every recipe, shortened, resumes bit for bit from the middle of an epoch."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from workloads import training
from workloads.api import Placement, Report
from workloads.configs import TrainConfig, canonical
from workloads.data.split import Split
from workloads.networks.build import build
from workloads.networks.configs import DFNMR, DiracNet, FractalNet, PathEnsemble, PreActResNet
from workloads.placement import placed
from workloads.recipes import RECIPES
from workloads.schedules import Every, Milestones, Warmup
from workloads.training import train

NETWORKS: dict[str, Any] = {
    "zhao2016": DFNMR(depth=8, width=0.125),
    "veit2016": PreActResNet(depth=14, width=0.125, modules_per_batch=3),
    "huang2016": PreActResNet(depth=14, width=0.125, survival=0.5),
    "larsson2017": FractalNet(
        columns=3, channels=(4, 8), drop_path="mixed", dropout=(0.1, 0.3), norm="caffe"
    ),
    "zagoruyko2017": DiracNet(depth=10, width=0.125, gamma="uniform"),
}
# after the 3rd mini-batch, and in the second epoch
INTERRUPTED = (3, 7)


def shortened(recipe: TrainConfig, network: Any) -> TrainConfig:
    """The recipe in two epochs of six mini-batches, with its schedule's events inside them."""
    schedule = recipe.schedule
    if isinstance(schedule, Milestones) and schedule.steps:
        schedule = replace(schedule, steps=(5, 9), warmup=Warmup(steps=4))
    elif isinstance(schedule, Milestones):
        schedule = replace(schedule, epochs=(1,))
    elif isinstance(schedule, Every):
        schedule = replace(schedule, epochs=1)
    ghost = None if recipe.ghost_batch is None else 202 * recipe.ghost_batch // recipe.batch_size
    return replace(recipe, network=network, schedule=schedule, epochs=2, batch_size=202, ghost_batch=ghost)


CONFIGS = {name: shortened(each, NETWORKS[name.partition("_")[0]]) for name, each in RECIPES.items()}
CONFIGS["bfloat16"] = replace(CONFIGS["zhao2016"], precision="bfloat16")
CONFIGS["float16"] = replace(CONFIGS["zagoruyko2017"], precision="float16")
CONFIGS["float64"] = replace(CONFIGS["veit2016"], precision="float64")
CONFIGS["ensemble"] = replace(
    CONFIGS["zhao2016"], network=PathEnsemble(depth=8, width=0.125, members=("LLL", "LLR", "RLR"))
)


def reports(config: TrainConfig, every_s: float, **resume: Path) -> Iterator[Report]:
    return train(
        config,
        seeds=[3],
        data=Path("nowhere"),
        resume={0: resume["folder"]} if resume else {},
        placement=Placement(),
        report_every_s=every_s,
    )


def finish(several: Iterator[Report], folder: Path) -> tuple[list[Any], str]:
    """The measured points, exactly, and the digest of the last checkpoint."""
    seen = []
    for report in several:
        if report.metrics:
            metrics = {name: value.hex() for name, value in report.metrics.items()}
            seen.append((report.evaluation, report.step, metrics))
    folder.mkdir()
    assert report.save is not None
    report.save(folder)
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        total.update(path.name.encode() + path.read_bytes())
    return seen, total.hexdigest()


def check(config: TrainConfig, tmp_path: Path) -> None:
    expected, final = finish(reports(config, 1e9), tmp_path / "undisturbed")
    assert [(evaluation, step) for evaluation, step, _ in expected] == [
        ("train", 1),
        ("train", 2),
        ("test", 2),
    ]
    folders = {}
    for number, report in enumerate(reports(config, 0), start=1):
        if number in INTERRUPTED:
            folders[number] = tmp_path / f"after-{number}"
            folders[number].mkdir()
            assert not report.metrics
            assert report.save is not None
            report.save(folders[number])
        if number == max(INTERRUPTED):
            break
    assert len(folders) == len(INTERRUPTED)
    for number, folder in folders.items():
        later, again = finish(reports(config, 1e9, folder=folder), tmp_path / f"again-{number}")
        assert later == expected[len(expected) - len(later) :], number
        assert again == final, number


@pytest.mark.parametrize("name", CONFIGS)
def test_a_recipe_resumes_bit_for_bit(name: str, tmp_path: Path) -> None:
    check(CONFIGS[name], tmp_path)


def test_dropout_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dropping(config: Any) -> nn.Module:
        return nn.Sequential(nn.Dropout(0.2), build(config))

    plain, _ = finish(reports(CONFIGS["huang2016"], 1e9), tmp_path / "plain")
    monkeypatch.setattr(training, "build", dropping)
    (tmp_path / "dropping").mkdir()
    check(CONFIGS["huang2016"], tmp_path / "dropping")
    dropped, _ = finish(reports(CONFIGS["huang2016"], 1e9), tmp_path / "dropped")
    assert dropped != plain


def test_streams_are_apart(tmp_path: Path) -> None:
    """Drawing modules moves neither order nor augmentation nor dropout's stream."""

    def streams(network: Any) -> dict[str, torch.Tensor]:
        config = replace(CONFIGS["huang2016"], network=network)
        folder = tmp_path / str(network.survival)
        folder.mkdir()
        for number, report in enumerate(reports(config, 0), start=1):
            if number == 4:
                assert report.save is not None
                report.save(folder)
                break
        tensors = torch.load(folder / "training.pt", weights_only=True)
        return {name: each for name, each in tensors.items() if name.startswith("stream.")}

    still, drawn = (streams(PreActResNet(depth=14, width=0.125, survival=each)) for each in (None, 0.5))
    assert {name for name in still if not torch.equal(still[name], drawn[name])} == {"stream.modules"}


def test_validation_every_other_epoch() -> None:
    config = replace(CONFIGS["zhao2016"], epochs=3, evaluate_every=2)
    seen = [set(report.metrics) for report in reports(config, 1e9)]
    training_only = {"train_loss", "train_error", "lr"}
    validated = {*training_only, "validation_loss", "validation_error"}
    assert seen == [training_only, validated, validated, {"test_loss", "test_error"}]
    # looking less often changes nothing that is learnt
    often = list(reports(replace(config, evaluate_every=1), 1e9))
    seldom = list(reports(config, 1e9))
    assert often[-1].metrics == seldom[-1].metrics


def test_the_resolved_schedule_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="workloads"):
        next(reports(CONFIGS["larsson2017"], 0))
    assert "seed 3: learning rate 0.02, x0.1 after step 6 (epoch 1)" in caplog.text


def test_an_empty_validation_split_is_not_looked_at() -> None:
    config = canonical(replace(CONFIGS["zhao2016"], epochs=1))
    cpu = torch.device("cpu")
    data = training.load(config, Path("nowhere"), cpu)
    empty = Split(x_NCHW=data.validation.x_NCHW[:0], y_N=data.validation.y_N[:0])
    points = []
    with placed(Placement()):
        ours = training.Training(config, 3, replace(data, validation=empty), cpu)
        while not points or not points[-1].ended:
            points.append(ours.advance(lambda: False))
    assert [set(each.metrics) for each in points] == [
        {"train_loss", "train_error", "lr"},
        {"test_loss", "test_error"},
    ]
    with_one = list(reports(config, 1e9))
    assert points[-1].metrics == with_one[-1].metrics
