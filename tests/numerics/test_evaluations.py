"""Test-time conditions against a naive recomputation, network by network, in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workloads import checkpoint, training
from workloads.api import Condition, Placement
from workloads.classification import WORKLOAD
from workloads.configs import TrainConfig
from workloads.data import sets
from workloads.data.configs import Digits
from workloads.evaluations import evaluate as evaluating
from workloads.evaluations import trained
from workloads.networks.build import build
from workloads.networks.configs import Component, PathEnsemble
from workloads.networks.path_ensemble import PathEnsembleNet, unrolled
from workloads.schedules import OneCycle

MEMBERS = ("LLL", "LLR", "RLR", "RRR")
RECIPE: dict[str, Any] = {"epochs": 1, "batch_size": 128, "schedule": OneCycle()}


def train(config: TrainConfig, folder: Path, seed: int = 0) -> dict[str, float]:
    """Trains, saves, and returns what the training itself measured on the test split."""
    folder.mkdir()
    for report in training.train(
        config, seeds=[seed], data=Path("nowhere"), resume={}, placement=Placement()
    ):
        last = report
    assert last.save is not None
    last.save(folder)
    return dict(last.metrics)


def evaluate(folders: list[Path], *conditions: Condition) -> list[dict[str, float]]:
    reports = list(WORKLOAD.evaluate(folders, list(conditions), data=Path("nowhere"), placement=Placement()))
    assert [report.index for report in reports] == list(range(len(conditions)))
    return [dict(report.metrics) for report in reports]


def condition(family: str, **parameters: str) -> Condition:
    return Condition(family=family, parameters=parameters, seed=0)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def expected(probabilities_NK: np.ndarray) -> dict[str, float]:
    y_N = test_split().y_N.numpy()
    errors = sum(int(np.argmax(row) != y) for row, y in zip(probabilities_NK, y_N, strict=True))
    loss = -np.mean([np.log(row[y]) for row, y in zip(probabilities_NK, y_N, strict=True)])
    return {"test_loss": float(loss), "test_error": errors / len(y_N)}


def test_split() -> Any:
    return sets.load(Digits(), Path("nowhere"), torch.device("cpu")).test


test_split.__test__ = False  # type: ignore[attr-defined]


def logits_of(network: torch.nn.Module) -> np.ndarray:
    """Image by image would be slower still; all at once rounds otherwise than batches of 256."""
    network.eval()
    with torch.no_grad():
        return network(test_split().x_NCHW).double().numpy()


@pytest.fixture(scope="module", params=["probabilities", "logits"])
def ensemble(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("ensemble") / request.param
    network = PathEnsemble(depth=8, width=0.25, members=MEMBERS, vote=request.param, bn_momentum=0.1)
    measured = train(TrainConfig(network=network, **RECIPE), folder)
    config, _ = checkpoint.read_config(folder)
    whole = build(config.network)
    whole.load_state_dict(checkpoint.read_network(folder))
    assert isinstance(whole, PathEnsembleNet)
    # the slow reference: every member as a network of its own
    logits = {path: logits_of(each) for path, each in unrolled(whole).items()}
    return request.param, folder, logits, measured


def naive_vote(rule: str, logits: list[np.ndarray]) -> np.ndarray:
    if rule == "probabilities":
        return np.mean([softmax(each) for each in logits], axis=0)
    return softmax(np.mean(logits, axis=0))


def test_each_member_alone(ensemble: Any) -> None:
    _, folder, logits, _ = ensemble
    measured = evaluate([folder], *(condition("members", member=path) for path in MEMBERS))
    for path, metrics in zip(MEMBERS, measured, strict=True):
        assert metrics == pytest.approx(expected(softmax(logits[path])), rel=1e-5)
    assert len({metrics["test_loss"] for metrics in measured}) == len(MEMBERS)


def test_the_vote_without_each_member(ensemble: Any) -> None:
    rule, folder, logits, _ = ensemble
    measured = evaluate([folder], *(condition("without", member=path) for path in MEMBERS))
    for path, metrics in zip(MEMBERS, measured, strict=True):
        rest = [logits[other] for other in MEMBERS if other != path]
        assert metrics == pytest.approx(expected(naive_vote(rule, rest)), rel=1e-5)


def test_the_trainings_own_test_is_the_vote_of_all(ensemble: Any) -> None:
    rule, _, logits, measured = ensemble
    assert measured == pytest.approx(expected(naive_vote(rule, list(logits.values()))), rel=1e-5)


def test_conditions_share_one_forward_pass(ensemble: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder, _, _ = ensemble
    calls = []
    forward = PathEnsembleNet.forward

    def counted(self: PathEnsembleNet, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(len(args[0]))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(PathEnsembleNet, "forward", counted)
    evaluating._last.clear()
    evaluate([folder], *(condition(family, member=p) for family in ("members", "without") for p in MEMBERS))
    assert calls == [256, 194]  # the 450 test images once


@pytest.mark.parametrize("rule", ["probabilities", "logits"])
def test_networks_trained_apart_vote(rule: str, tmp_path: Path) -> None:
    folders, logits = [], []
    for path in ("LLL", "LLR", "RRR"):
        folders.append(tmp_path / path)
        config = TrainConfig(network=Component(depth=8, width=0.25, path=path), **RECIPE)
        own = train(config, folders[-1])
        network = build(checkpoint.read_config(folders[-1])[0].network)
        network.load_state_dict(checkpoint.read_network(folders[-1]))
        logits.append(logits_of(network))
        assert own == pytest.approx(expected(softmax(logits[-1])), rel=1e-5)
    (metrics,) = evaluate(folders, condition("vote", combine=rule))
    assert metrics == pytest.approx(expected(naive_vote(rule, logits)), rel=1e-5)
    (single,) = evaluate(folders[:1], condition("vote", combine=rule))
    assert single == pytest.approx(expected(softmax(logits[0])), rel=1e-5)


def test_conditions_that_do_not_fit_say_so(ensemble: Any) -> None:
    _, folder, _, _ = ensemble
    with pytest.raises(ValueError, match=r"'RRL', allowed are the network's members \(LLL, LLR, RLR, RRR\)"):
        evaluate([folder], condition("members", member="RRL"))
    with pytest.raises(ValueError, match="'lesion', allowed is one of members, without, vote"):
        evaluate([folder], condition("lesion"))
    with pytest.raises(ValueError, match="members: got 2 checkpoints, allowed is one"):
        evaluate([folder, folder], condition("members", member="LLL"))
    with pytest.raises(ValueError, match="three letters"):
        evaluate([folder], condition("without", member="LL"))


def test_a_checkpoint_is_read_once(ensemble: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder, _, _ = ensemble
    read = []
    original = checkpoint.read_network
    monkeypatch.setattr(trained.checkpoint, "read_network", lambda path: read.append(path) or original(path))
    evaluate([folder], *(condition("members", member=path) for path in MEMBERS))
    assert read == [folder]


def test_a_worker_loads_the_networks_of_its_last_bundle_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "net"
    network = PathEnsemble(depth=8, width=0.25, members=MEMBERS, bn_momentum=0.1)
    train(TrainConfig(network=network, **RECIPE), folder)
    loaded: list[Path] = []

    def noted(found: Path, **options: Any) -> trained.Trained:
        loaded.append(found)
        return trained.Trained(found, **options)

    monkeypatch.setattr(evaluating, "Trained", noted)
    asked = condition("members", member="RLR"), condition("without", member="RLR")
    first = evaluate([folder], *asked)
    assert evaluate([folder], *asked) == first
    assert len(loaded) == 1
    # who stops in the midst leaves nothing behind
    reports = WORKLOAD.evaluate([folder], list(asked), data=Path("nowhere"), placement=Placement())
    next(iter(reports))
    reports.close()  # type: ignore[attr-defined]
    assert evaluate([folder], *asked) == first
    assert len(loaded) == 2
    # neither does a condition that fails
    with pytest.raises(ValueError, match="family: got 'nothing'"):
        evaluate([folder], asked[0], condition("nothing"))
    evaluate([folder], *asked)
    assert len(loaded) == 3
    # another network in the same place is another one
    other = tmp_path / "other"
    train(TrainConfig(network=network, **RECIPE), other, seed=1)
    (folder / "network.pt").unlink()
    (other / "network.pt").rename(folder / "network.pt")
    assert evaluate([folder], *asked) != first
    assert len(loaded) == 4
    monkeypatch.setattr(evaluating, "KEPT_BYTES", 10)
    evaluate([folder], *asked)
    evaluate([folder], *asked)
    assert len(loaded) == 5
