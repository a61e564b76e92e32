"""Configuration: ranges, canonical forms, and what is known without torch."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workloads import CATALOG
from workloads.api import from_plain, kinds, load_object, to_plain
from workloads.configs import TrainConfig, canonical, data_digest
from workloads.data.configs import CIFAR10, FACTS, Digits
from workloads.families import FAMILIES
from workloads.initialisation import He, Normal, Orthogonal, Xavier
from workloads.networks.configs import DFNMR, Component, PathEnsemble, Plain, ResNet
from workloads.recipe import SGD
from workloads.recipes import RECIPES
from workloads.schedules import Cosine, Every, Length, Milestones, OneCycle, RemainingHalves, Step, Warmup
from workloads.spec import SPEC

ROOT = Path(__file__).parents[3]


def test_the_catalogue_names_the_spec_and_the_spec_its_runtime() -> None:
    assert load_object(CATALOG["classification"]) is SPEC
    workload = load_object(SPEC.runtime)
    assert callable(workload.train)
    assert callable(workload.evaluate)
    described = load_object(SPEC.describe)(TrainConfig(network=Plain(depth=5)))
    # counted by hand: 9*(1*16 + 16*16 + 16*32 + 32*64) + 2*(16+16+32+64) + 64*10 + 10
    assert described["parameters"] == 26_394
    assert described["longest_path"] == 5
    assert described["paths"] == 1


def test_planning_loads_no_torch() -> None:
    code = (
        "import sys; from workloads.spec import SPEC, TrainConfig; SPEC.canonical(TrainConfig()); "
        "print([m for m in ('torch', 'numpy', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_defaults_are_the_papers_recipe() -> None:
    config = TrainConfig()
    assert config.optimizer == SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    assert config.batch_size == 64
    assert [
        Step().scale(epoch, Length(epochs=400, epoch_steps=1)) for epoch in (199, 200, 299, 300, 349, 350)
    ] == pytest.approx([1, 0.1, 0.1, 0.01, 0.01, 0.001])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainConfig(epochs=0), "epochs: got 0, allowed is a whole number of at least 1"),
        (lambda: TrainConfig(epochs=True), "epochs: got True"),
        (lambda: TrainConfig(epochs=1.5), "epochs: got 1.5"),
        (lambda: TrainConfig(batch_size=1), "batch_size: got 1, .* two images"),
        (lambda: TrainConfig(initialisation="zeros"), "initialisation: got .zeros., allowed is a mapping"),
        (lambda: SGD(lr=0.0), "lr: got 0.0, allowed is a finite number above 0"),
        (lambda: SGD(lr=math.inf), "lr: got inf"),
        (lambda: SGD(momentum=1.0), "momentum: got 1.0, allowed is 0 <= momentum < 1"),
        (lambda: SGD(weight_decay=math.nan), "weight_decay: got nan"),
        (lambda: Step(at=(0.5, 0.5)), r"at: got \[0.5, 0.5\], allowed is increasing fractions"),
        (lambda: Step(at=(0.0,)), "at: got"),
        (lambda: Step(factor=0.0), "factor: got 0.0"),
        (lambda: OneCycle(warmup=1.0), "warmup: got 1.0, allowed is 0 < warmup < 1"),
        (lambda: Milestones(), "milestones: got .* either epochs or steps"),
        (lambda: Milestones(epochs=(3,), steps=(9,)), "milestones: got .* either epochs or steps"),
        (lambda: Milestones(epochs=(60, 30)), r"epochs: got \[60, 30\], allowed is increasing whole"),
        (lambda: Milestones(steps=(0,)), r"steps: got \[0\]"),
        (lambda: Every(epochs=0), "epochs: got 0, allowed is a whole number of at least 1"),
        (lambda: RemainingHalves(factor=1.0), "factor: got 1.0, allowed is 0 < factor < 1"),
        (lambda: RemainingHalves(floor=0.0), "floor: got 0.0"),
        (lambda: Warmup(steps=4, fraction=0.1), "warmup: got .* one of steps and fraction, not both"),
        (lambda: Warmup(start=2.0), "start: got 2.0, allowed is 0 <= start <= 1"),
        (lambda: Warmup(form="cosine"), "form: got 'cosine', allowed is one of constant, linear"),
        (lambda: SGD(decay="none"), "decay: got 'none', allowed is one of all, filters, no_bias"),
        (lambda: SGD(bias_rate=-1), "bias_rate: got -1"),
        (lambda: Xavier(form="normal"), "form: got 'normal', allowed is one of caffe, both"),
        (lambda: Normal(std=-1.0), "std: got -1.0"),
        (lambda: Orthogonal(gain=0.0), "gain: got 0.0, allowed is a finite number above 0"),
        (lambda: TrainConfig(ghost_batch=1), "ghost_batch: got 1, allowed is a whole number of at least 2"),
        (lambda: TrainConfig(precision="half"), "precision: got 'half', allowed is one of float32"),
        (lambda: TrainConfig(evaluate_every=0), "evaluate_every: got 0"),
        (lambda: Digits(augmentation="flip"), "augmentation: got 'flip', allowed is one of auto, none, plus"),
        (lambda: CIFAR10(augmentation=""), "augmentation: got ''"),
    ],
)
def test_values_out_of_range_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_canonical_fills_the_network_from_the_data_set() -> None:
    for data, channels, size in ((Digits(), 1, 8), (CIFAR10(), 3, 32)):
        network = canonical(TrainConfig(data=data)).network
        assert (network.classes, network.in_channels, network.input_size) == (10, channels, size)
    with pytest.raises(ValueError, match=r"network.classes: got 100, allowed is 10, as digits has"):
        canonical(TrainConfig(network=ResNet(classes=100)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TrainConfig(data=Digits()), TrainConfig(data=Digits(augmentation="plus"))),
        (
            TrainConfig(optimizer=SGD(momentum=0, nesterov=True)),
            TrainConfig(optimizer=SGD(momentum=0, nesterov=False)),
        ),
        (TrainConfig(ghost_batch=64), TrainConfig()),
        (TrainConfig(ghost_batch=63), TrainConfig(ghost_batch=100)),
        (TrainConfig(schedule=Step(warmup=Warmup(start=0.5))), TrainConfig()),
        (
            TrainConfig(optimizer=SGD(weight_decay=0, decay="filters")),
            TrainConfig(optimizer=SGD(weight_decay=0)),
        ),
        (TrainConfig(evaluate_every=100), TrainConfig(evaluate_every=8)),
        (TrainConfig(network=DFNMR(depth=56)), TrainConfig(network=DFNMR(plain_depth=110))),
        (
            TrainConfig(network=Component(depth=26, path="LLL")),
            TrainConfig(network=Component(depth=110, path="LLL")),
        ),
        (
            TrainConfig(network=PathEnsemble(members=("RRR", "LLL"))),
            TrainConfig(network=PathEnsemble(members=("LLL", "RRR"))),
        ),
        (TrainConfig(), TrainConfig(network=ResNet(classes=10, in_channels=1, input_size=8))),
    ],
)
def test_equal_computations_are_one_configuration(one: TrainConfig, other: TrainConfig) -> None:
    assert one != other
    assert canonical(one) == canonical(other)
    assert canonical(canonical(one)) == canonical(one)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 9},
        {"batch_size": 32},
        {"data": Digits(augmentation="none")},
        {"data": CIFAR10()},
        {"schedule": Cosine()},
        {"optimizer": SGD(lr=0.05)},
        {"optimizer": SGD(decay="filters")},
        {"optimizer": SGD(decay="no_bias")},
        {"optimizer": SGD(bias_rate=2)},
        {"ghost_batch": 32},
        {"precision": "bfloat16"},
        {"initialisation": Xavier()},
        {"schedule": Step(warmup=Warmup(steps=3))},
        {"network": ResNet(depth=14)},
    ],
)
def test_different_computations_stay_apart(change: dict[str, Any]) -> None:
    assert canonical(replace(TrainConfig(), **change)) != canonical(TrainConfig())


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(),
        TrainConfig(schedule=OneCycle(warmup=0.2), data=CIFAR10(augmentation="none")),
        TrainConfig(
            schedule=Milestones(epochs=(3, 5), warmup=Warmup(steps=7, form="linear")),
            initialisation=Orthogonal(gain=2.0),
            ghost_batch=32,
            precision="bfloat16",
        ),
        TrainConfig(schedule=Step(at=(0.25, 0.5)), network=PathEnsemble(members=("LLL", "LRR"))),
    ],
)
@pytest.mark.parametrize("defaults", [True, False])
def test_a_configuration_survives_json(config: TrainConfig, defaults: bool) -> None:
    plain = json.loads(json.dumps(to_plain(config, defaults=defaults)))
    assert from_plain(TrainConfig, plain) == config


def test_a_checkpoint_of_an_earlier_release_names_its_initialisation() -> None:
    plain = to_plain(TrainConfig())
    plain["initialisation"] = "he"
    for later in ("ghost_batch", "precision", "evaluate_every"):
        del plain[later]
    assert from_plain(TrainConfig, plain) == TrainConfig(initialisation=He())


def test_digests_are_constants() -> None:
    assert data_digest(TrainConfig()) == FACTS["digits"].digest
    assert data_digest(TrainConfig(data=CIFAR10())) == "md5:c58f30108f718f92721af3b95e74349a"


def test_fields_that_choose_a_kind_are_seen_as_such() -> None:
    annotations = {name: kinds(value) for name, value in _hints().items()}
    assert set(annotations["data"] or ()) == {
        *("digits", "synthetic", "cifar10", "cifar100", "svhn", "imagenet", "image_folder")
    }
    assert set(annotations["schedule"] or ()) == {
        *("step", "milestones", "remaining_halves", "every", "cosine", "one_cycle", "constant")
    }
    assert set(annotations["initialisation"] or ()) == {"he", "xavier", "normal", "orthogonal"}
    assert {"plain", "resnet", "dfn", "component", "path_ensemble"} <= set(annotations["network"] or ())
    assert annotations["optimizer"] is None


def _hints() -> dict[str, Any]:
    from workloads.api import hints

    return hints(TrainConfig)


def test_families_know_which_networks_they_suit() -> None:
    ensemble = canonical(TrainConfig(network=PathEnsemble()))
    seven = canonical(TrainConfig(network=PathEnsemble(members="without_deepest")))
    one = canonical(TrainConfig(network=PathEnsemble(members=("LRR",))))
    single = canonical(TrainConfig(network=Component(path="LRR")))
    for name in ("members", "without"):
        deepest, other = (FAMILIES[name].parameters(member=path) for path in ("RRR", "LRR"))
        unsuited = FAMILIES[name].unsuited
        assert unsuited(ensemble, deepest) is None
        assert "needs network.name path_ensemble, got component" in (unsuited(single, deepest) or "")
        assert "member RRR is not one of the ensemble's (LLL, RLL" in (unsuited(seven, deepest) or "")
        assert unsuited(seven, other) is None
        assert not FAMILIES[name].gathers
    assert FAMILIES["members"].unsuited(one, FAMILIES["members"].parameters(member="LRR")) is None
    reason = FAMILIES["without"].unsuited(one, FAMILIES["without"].parameters(member="LRR"))
    assert "nothing would vote" in (reason or "")
    assert FAMILIES["vote"].gathers
    assert FAMILIES["vote"].unsuited(single, FAMILIES["vote"].parameters()) is None
    assert "path_ensemble" in (FAMILIES["vote"].unsuited(ensemble, FAMILIES["vote"].parameters()) or "")


def test_parameters_of_families_are_checked() -> None:
    with pytest.raises(ValueError, match="member: got 'LXR', allowed is a path of three letters"):
        FAMILIES["members"].parameters(member="LXR")
    with pytest.raises(ValueError, match="combine: got 'median', allowed is probabilities or logits"):
        FAMILIES["vote"].parameters(combine="median")


def test_recipes_are_what_the_papers_print() -> None:
    """By hand, at the papers' numbers of steps: (recipe, images) -> rates after finished epochs or steps."""

    def rates(name: str, images: int, epochs: list[float]) -> list[float]:
        config = RECIPES[name]
        length = Length(epochs=config.epochs, epoch_steps=math.ceil(images / config.batch_size))
        steps = [round(each * length.epoch_steps) for each in epochs]
        return [config.optimizer.lr * config.schedule.scale(each, length) for each in steps]

    assert rates("zhao2016", 50_000, [0, 199, 200, 300, 350, 399]) == pytest.approx(
        [0.1, 0.1, 0.01, 0.001, 0.0001, 0.0001]
    )
    assert rates("zhao2016_svhn", 598_388, [19, 20, 30, 35]) == pytest.approx([0.1, 0.01, 0.001, 0.0001])
    assert rates("zhao2016_imagenet", 1_281_167, [29, 30, 60, 90]) == pytest.approx(
        [0.1, 0.01, 0.001, 0.0001]
    )
    assert rates("zhao2016_imagenet_halving", 1_281_167, [9, 10, 25]) == pytest.approx([0.1, 0.05, 0.025])
    assert rates("huang2016", 50_000, [249, 250, 375]) == pytest.approx([0.1, 0.01, 0.001])
    assert rates("larsson2017", 50_000, [0, 200, 300, 350, 375, 399]) == pytest.approx(
        [2e-2, 2e-3, 2e-4, 2e-5, 2e-6, 2e-6]
    )
    assert rates("larsson2017_imagenet", 1_281_167, [49, 50, 65]) == pytest.approx([1e-3, 1e-4, 1e-5])
    assert rates("zagoruyko2017", 50_000, [59, 60, 120, 160]) == pytest.approx([0.1, 0.02, 0.004, 0.0008])
    assert rates("zagoruyko2017_imagenet", 1_281_167, [29, 30, 60, 90]) == pytest.approx(
        [0.1, 0.01, 1e-3, 1e-4]
    )
    veit, length = RECIPES["veit2016"], Length(epochs=164, epoch_steps=391)
    assert [
        veit.optimizer.lr * veit.schedule.scale(each, length)
        for each in (0, 399, 400, 31_999, 32_000, 48_000)
    ] == pytest.approx([0.01, 0.01, 0.1, 0.1, 0.01, 0.001])
    assert 64_000 <= length.steps < 64_000 + 391


def test_recipes_leave_network_and_data_to_the_study() -> None:
    assert SPEC.recipes == RECIPES
    for name, recipe in RECIPES.items():
        assert (recipe.network, recipe.data) == (TrainConfig().network, TrainConfig().data), name
        assert canonical(recipe).optimizer == recipe.optimizer, name
    assert RECIPES["zhao2016"].ghost_batch == 32
    assert TrainConfig().ghost_batch is None
