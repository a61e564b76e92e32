"""The study files that are shipped plan as counted by hand."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.model.plan import Plan
from orchestrator.study.load import load
from orchestrator.study.plan import plan
from workloads.api import Spec, from_plain, load_object
from workloads.configs import TrainConfig
from workloads.networks.configs import PathEnsemble
from workloads.schedules import Step
from workloads.spec import SPEC

ROOT = Path(__file__).parents[3]


def planned(name: str) -> Plan:
    return plan(load(ROOT / "studies" / name), SPEC)


def counts(found: Plan) -> dict[str, int]:
    return dict(Counter(trial.family or "train" for trial in found.trials.values()))


def test_the_digits_study() -> None:
    found = planned("dfn_ensemble.yaml")
    # a depth: the fused net, eight components, Ensemble-8 and Ensemble-7
    assert len(found.cells) == 2 * (1 + 8 + 2)
    assert counts(found) == {
        "train": 3 * (2 * 1 + 2 * 7 + 1 + 2 * 2),  # LLL is the same net at both depths
        "members": 3 * 2 * 8,
        "without": 3 * 2 * 8,
        "vote": 3 * 2,
    }
    for cell in found.cells:
        config = from_plain(TrainConfig, cell.config)
        assert (config.data.name, config.epochs, config.network.width) == ("digits", 8, 0.5)
        assert config.network.bn_momentum == 0.1


def test_the_papers_study() -> None:
    found = planned("paper/dfn_ensemble.yaml")
    ten, seven = 10, 7  # depths of Table 1, and of Tables 2 and 3
    assert len(found.cells) == ten * 2 + seven * (8 + 1)
    assert counts(found) == {
        "train": 5 * (ten * 2 + seven * 7 + 1 + seven),
        "members": 5 * ten * 8,
        "without": 5 * ten * 8,
        "vote": 5 * seven,
    }
    for cell in found.cells:
        config = from_plain(TrainConfig, cell.config)
        assert (config.data.name, config.epochs, config.batch_size) == ("cifar10", 400, 64)
        assert config.schedule == Step(at=(0.5, 0.75, 0.875), factor=0.1)
        assert config.optimizer.lr == 0.1
        assert config.network.width == 1
        # the released code's, in torch's sense
        expected = 0.01 if isinstance(config.network, PathEnsemble) else 0.1
        assert config.network.bn_momentum == expected


def test_the_fractal_studies() -> None:
    """Four plain nets and one fractal net, each measured with both statistics; the fractal one is timed."""
    found = planned("larsson_table_4.yaml")
    assert counts(found) == {"train": 3 * 5, "columns": 3 * 5 * 2, "anytime": 3}
    assert counts(planned("paper/larsson_table_4.yaml")) == counts(found)
    depths = [
        [from_plain(TrainConfig, cell.config).network.printed_depth for cell in planned(name).cells]
        for name in ("larsson_table_4.yaml", "paper/larsson_table_4.yaml")
    ]
    assert depths == [[5, 10, 20, 40, 40]] * 2
    assert counts(planned("larsson_table_3.yaml")) == {"train": 3 * 6}
    # three networks on three augmentations, but no net of four columns without one
    assert counts(planned("larsson_table_1.yaml")) == {"train": 3 * 8, "columns": 3 * 8 * 2}
    # of the paper's three data sets SVHN has no augmentation
    large = planned("paper/larsson_table_1.yaml")
    assert counts(large)["train"] == 3 * (2 * 8 + 2)
    for cell in large.cells:
        config = from_plain(TrainConfig, cell.config)
        assert config.epochs == (20 if config.data.name == "svhn" else 400)
        assert config.optimizer.lr == 0.02
        assert config.batch_size == 100


def test_the_smoke_study() -> None:
    found = planned("smoke.yaml")
    assert counts(found) == {"train": 2 * 5, "members": 2 * 3, "vote": 2}


def test_the_example_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ROOT / "docs" / "examples" / "own_workload"
    monkeypatch.syspath_prepend(str(folder))
    study = load(folder / "study.yaml")
    listed = tomllib.loads((folder / "orch.toml").read_text("utf-8"))["workload_modules"]
    assert study.workload.split(".")[0] in listed
    spec = load_object(study.workload)
    assert isinstance(spec, Spec)
    # 3 penalties x 2 numbers of patients x 5 seeds
    assert counts(plan(study, spec)) == {"train": 30}
