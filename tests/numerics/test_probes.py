"""Looks inside a network while it trains: what they say, and that they change nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from workloads import predictions, training
from workloads.api import Placement, Report
from workloads.checkpoint import read_network
from workloads.configs import TrainConfig, canonical
from workloads.data import sets
from workloads.networks.build import build
from workloads.networks.configs import DiracNet, FractalNet
from workloads.probe_kinds import COORDS, METRICS, PROBED
from workloads.spec import SPEC

CONFIG = TrainConfig(
    network=FractalNet(columns=2, channels=(4, 8), drop_path="mixed", dropout=(0.0, 0.1)),
    epochs=3,
    batch_size=256,
    probe_every=2,
)


def run(config: TrainConfig, folder: Path, *, resume: dict[int, Path] | None = None) -> list[Report]:
    """Returns the reports of a training; the last one's checkpoint is `folder`."""
    reports = []
    for report in training.train(
        config, seeds=[4], data=folder, resume=resume or {}, placement=Placement(), report_every_s=9e9
    ):
        reports.append(report)
        if report.save is not None:
            folder.joinpath(str(len(reports))).mkdir(parents=True)
            report.save(folder / str(len(reports)))
    return reports


def test_columns_are_measured_at_their_epochs_and_nothing_else_changes(tmp_path: Path) -> None:
    probed, plain = (
        run(each, tmp_path / str(each.probe_every)) for each in (CONFIG, replace(CONFIG, probe_every=0))
    )
    inside = [report for report in probed if report.coords]
    assert [(report.step, report.coords["column"]) for report in inside] == [
        *((2, "1"), (2, "2"), (2, "full"), (3, "1"), (3, "2"), (3, "full"))
    ]
    assert all(report.save is None for report in inside)
    rest = [report for report in probed if not report.coords]
    assert [(each.step, each.metrics) for each in rest] == [(each.step, each.metrics) for each in plain]
    # what the last look says is what the network that was saved then says
    config = canonical(CONFIG)
    network = build(config.network)
    network.load_state_dict(read_network(tmp_path / "2" / str(len(probed))))
    train = sets.load(config.data, tmp_path, torch.device("cpu")).train
    for report in inside[-3:]:
        logits_NK = predictions.outputs(network, train, column=report.coords["column"])
        loss, error = predictions.measure(logits_NK.log_softmax(-1), train.y_N)
        expected = {"column_loss": pytest.approx(loss, rel=1e-6), "column_error": error}
        assert report.metrics == expected  # filters lie otherwise in memory while a network trains
    assert len({report.metrics["column_loss"] for report in inside[-3:]}) == 3


def test_a_resumed_training_looks_again_only_later(tmp_path: Path) -> None:
    whole = run(CONFIG, tmp_path / "whole")
    after_two = next(i for i, report in enumerate(whole) if report.step == 2 and report.save is not None)
    resumed = run(CONFIG, tmp_path / "resumed", resume={0: tmp_path / "whole" / str(after_two + 1)})
    assert [(each.step, each.coords, each.metrics) for each in resumed] == [
        (each.step, each.coords, each.metrics) for each in whole[after_two + 1 :]
    ]


def test_scalings_are_those_of_the_network_at_that_time(tmp_path: Path) -> None:
    config = TrainConfig(network=DiracNet(depth=10, width=0.25), epochs=1, batch_size=256, probe_every=1)
    reports = run(config, tmp_path)
    inside = [report for report in reports if report.coords]
    state = read_network(tmp_path / str(len(reports)))
    # by hand: a and b of every layer, in the order of the state
    a = [value.double() for name, value in state.items() if name.endswith(".a")]
    b = [value.double() for name, value in state.items() if name.endswith(".b")]
    assert len(inside) == len(a) == len(b) == 6
    assert [report.coords["group"] for report in inside] == [1, 1, 2, 2, 3, 3]
    for layer, report in enumerate(inside):
        assert report.coords["layer"] == layer
        assert report.metrics["mean_b"] == pytest.approx(float(b[layer].mean()), rel=1e-9)
        assert report.metrics["std_b"] == pytest.approx(float(b[layer].std(correction=0)), rel=1e-6)
        assert report.metrics["mean_a"] != 1.0
    # where no output lacks a delta, all of a counts: the second layer of each group
    for layer in (1, 3, 5):
        assert inside[layer].metrics["mean_a"] == pytest.approx(float(a[layer].mean()), rel=1e-9)
    unnormalised = replace(config, network=DiracNet(depth=10, width=0.25, weight_norm=False))
    inside = [report for report in run(unnormalised, tmp_path / "other") if report.coords]
    assert all(set(report.metrics) == {"mean_a", "std_a"} for report in inside)


def test_only_networks_with_something_to_look_at_take_probes() -> None:
    with pytest.raises(ValueError, match=r"probe_every: got 1, allowed is 0 for network\.name resnet"):
        canonical(TrainConfig(probe_every=1))
    assert canonical(replace(CONFIG, probe_every=50)).probe_every == CONFIG.epochs


def test_what_is_declared_is_what_is_reported() -> None:
    assert set(METRICS) <= set(SPEC.metrics["train"])
    assert SPEC.coords == {"train": COORDS}
    assert set(PROBED["fractalnet"]) == {"column_loss", "column_error"}
