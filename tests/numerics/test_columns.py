"""Columns of trained fractal networks: the nets taken out, torch's own re-estimation, counts by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.swa_utils import update_bn

from workloads import predictions, streams, training
from workloads.api import Condition, Placement
from workloads.classification import WORKLOAD
from workloads.configs import TrainConfig, canonical
from workloads.evaluations import columns
from workloads.evaluations.trained import Trained
from workloads.families import FAMILIES
from workloads.networks.build import build
from workloads.networks.configs import FractalColumn, FractalNet, FractalNetImageNet, Plain
from workloads.networks.fractal import column_state
from workloads.networks.fractal_block import FractalLayer
from workloads.schedules import OneCycle

NETWORK = FractalNet(columns=3, channels=(4, 8), drop_path="mixed", dropout=(0.0, 0.2))
RECIPE: dict[str, Any] = {"epochs": 2, "batch_size": 128, "schedule": OneCycle()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(NETWORK, tmp_path_factory.mktemp("fractal"))


def trained(network: FractalNet | FractalColumn, at: Path) -> Path:
    config = TrainConfig(network=network, **RECIPE)
    *_, last = training.train(config, seeds=[0], data=at, resume={}, placement=Placement())
    assert last.save is not None
    last.save(at)
    return at


@pytest.fixture
def network(folder: Path) -> Trained:
    return Trained(folder, data=Path("nowhere"), device=torch.device("cpu"))


def measure(folder: Path, family: str, **parameters: Any) -> dict[Any, dict[str, float]]:
    condition = Condition(family=family, parameters=parameters, seed=0)
    found = WORKLOAD.evaluate([folder], [condition], data=Path("nowhere"), placement=Placement())
    return {each.coords["column"]: dict(each.metrics) for each in found if each.metrics}


def alone(network: Trained, column: int) -> torch.nn.Module:
    """The column as a net of its own, with the training's running statistics."""
    config: Any = canonical(
        TrainConfig(network=FractalColumn(column=column, channels=(4, 8), dropout=(0.0, 0.2)), **RECIPE)
    ).network
    net = build(config)
    net.load_state_dict(column_state(network.network.state_dict(), column))
    return net


def test_every_column_is_the_net_taken_out(folder: Path, network: Trained) -> None:
    found = measure(folder, "columns")
    assert list(found) == ["1", "2", "3", "full"]
    assert [each["depth"] for each in found.values()] == [2, 4, 8, 8]
    for column in (1, 2, 3):
        net = alone(network, column)
        for split, images in (("test", network.test), ("train", network.train)):
            log_NK = predictions.outputs(net, images).log_softmax(-1)
            loss, error = predictions.measure(log_NK, images.y_N)
            assert found[str(column)][f"{split}_loss"] == pytest.approx(loss, rel=1e-6)
            assert found[str(column)][f"{split}_error"] == error
    assert len({each["test_loss"] for each in found.values()}) == 4


def test_the_whole_network_is_what_the_training_tested(folder: Path) -> None:
    reports = training.train(
        TrainConfig(network=NETWORK, **RECIPE), seeds=[0], data=folder, resume={}, placement=Placement()
    )
    *_, last = reports
    full = measure(folder, "columns")["full"]
    assert full["test_loss"] == pytest.approx(last.metrics["test_loss"], rel=1e-6)
    assert full["test_error"] == last.metrics["test_error"]


def test_a_single_column_is_measured_as_itself(tmp_path: Path) -> None:
    at = trained(FractalColumn(column=2, channels=(4, 8)), tmp_path)
    for statistics in ("as_trained", "re_estimated"):
        found = measure(at, "columns", statistics=statistics)
        assert list(found) == ["2"]
        assert found["2"]["depth"] == 4
    assert list(measure(at, "anytime", repeats=1)) == ["2"]


class Batches:
    """The training split in its own order, in whole mini-batches: what torch's re-estimation loops over."""

    def __init__(self, network: Trained) -> None:
        self.images = network.train

    def __iter__(self) -> Iterator[torch.Tensor]:
        for x_NCHW in self.images.batches(predictions.EVALUATION_BATCH):
            if len(x_NCHW) == predictions.EVALUATION_BATCH:
                yield x_NCHW


@pytest.mark.parametrize("column", [1, 2, 3])
def test_re_estimated_statistics_are_torchs(folder: Path, network: Trained, column: int) -> None:
    """`update_bn` on the net taken out, its dropout switched off."""
    net = alone(network, column)
    for part in net.modules():
        if isinstance(part, FractalLayer):
            part.dropout.rate = 0.0
    batches: Any = Batches(network)
    assert len(list(batches)) == 4  # 1,212 images: the last 188 are left out
    update_bn(batches, net)
    log_NK = predictions.outputs(net, network.test).log_softmax(-1)
    loss, error = predictions.measure(log_NK, network.test.y_N)
    found = measure(folder, "columns", statistics="re_estimated")[str(column)]
    assert found["test_loss"] == pytest.approx(loss, rel=1e-5)
    assert found["test_error"] == error
    with columns.re_estimated(network.network, network.train, column=str(column)):
        mine = column_state(network.network.state_dict(), column)
        for name, value in net.state_dict().items():
            torch.testing.assert_close(mine[name], value, rtol=1e-5, atol=1e-6)


def test_re_estimation_leaves_the_network_as_it_was(network: Trained) -> None:
    net = network.network
    before = {name: value.clone() for name, value in net.state_dict().items()}
    momenta = [part.momentum for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    changed = 0
    with columns.re_estimated(net, network.train, column="full"):
        assert not any(part.training for part in net.modules())
        changed = sum(not torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert changed
    with pytest.raises(ValueError, match="column"), columns.re_estimated(net, network.train, column="7"):
        pass
    after = net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert momenta == [part.momentum for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert not any(part.training for part in net.modules())


def test_anytime_says_what_an_answer_costs(folder: Path) -> None:
    found = measure(folder, "anytime", batch_size=8, repeats=5)
    test = measure(folder, "columns")
    assert list(found) == ["1", "2", "3", "full"]
    assert all(each["test_error"] == test[name]["test_error"] for name, each in found.items())
    assert all(each["latency_s"] > 0 for each in found.values())
    # by hand, with 8x8 and 4x4 pixels: 2 x 9 x inputs x outputs a pixel, and the last layer
    for name, layers in (("1", 1), ("2", 2), ("3", 4)):
        first = 18 * 64 * (1 * 4 + (layers - 1) * 16)
        second = 18 * 16 * (4 * 8 + (layers - 1) * 64)
        assert found[name]["flops"] == first + second + 2 * 8 * 10
    # the last layer is in every column's count
    assert found["full"]["flops"] == sum(found[each]["flops"] for each in "123") - 2 * 160


def test_latency_is_the_median_of_what_was_timed(network: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock by hand: the five passes of the warm-up take long, then one of five is interrupted."""
    times = [100.0] * 5 + [3.0, 1.0, 50.0, 2.0, 4.0]
    ticks = iter([tick for pass_, took in enumerate(times) for tick in (1e3 * pass_, 1e3 * pass_ + took)])
    monkeypatch.setattr(columns.time, "perf_counter", lambda: next(ticks))  # type: ignore[attr-defined]
    parameters = columns.Anytime(repeats=5)  # type: ignore[attr-defined]
    generator = streams.generator("anytime:0", 0)
    with torch.no_grad():
        first = next(columns.anytime([network], parameters, generator))
    assert first.metrics["latency_s"] == 3.0


def test_planning_refuses_networks_without_columns() -> None:
    for name in ("columns", "anytime"):
        family = FAMILIES[name]
        said = family.unsuited(TrainConfig(network=Plain()), family.parameters())
        assert said == "needs a fractal network, got plain, which has no columns"
        for suited in (FractalNet(), FractalColumn(), FractalNetImageNet()):
            assert family.unsuited(TrainConfig(network=suited), family.parameters()) is None
    for bad, parameters, said in (
        ("columns", {"statistics": "fresh"}, "as_trained"),
        ("anytime", {"statistics": "fresh"}, "as_trained"),
        ("anytime", {"batch_size": 0}, "at least 1"),
        ("anytime", {"repeats": 0}, "at least 1"),
    ):
        with pytest.raises(ValueError, match=said):
            FAMILIES[bad].parameters(**parameters)
