"""Binding of configs, their canonical text, and identity."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_workload import PATHS, SPEC, Component, Member, Optimizer, PathEnsemble, Plain, ResNet, TrainConfig
from study_text import DEPTH, loaded, planned

from orchestrator.errors import StudyError
from orchestrator.study.canonical import Writer
from orchestrator.study.config import bind
from orchestrator.study.identity import canonical_json, condition_key, training_key
from workloads.api import to_plain


def test_what_is_not_said_is_the_default() -> None:
    assert bind(SPEC, {}) == TrainConfig()
    bound = bind(SPEC, {"network": {"width": 2}, "optimizer": {"lr": 1}})
    assert bound == TrainConfig(network=ResNet(width=2.0), optimizer=Optimizer(lr=1.0))
    assert type(bound.network.width) is float


def test_a_partial_group_lies_over_the_fields_own_default() -> None:
    config = replace(TrainConfig(), network=ResNet(depth=26))
    from dataclasses import dataclass, field

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Deep(TrainConfig):
        network: Plain | ResNet = field(default_factory=lambda: ResNet(depth=26))

    bound = bind(replace(SPEC, config=Deep), {"network": {"width": 0.5}})
    assert bound.network == replace(config.network, width=0.5)
    assert bind(replace(SPEC, config=Deep), {"network": {"name": "plain"}}).network == Plain()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"network": {"name": "plain", "path": "LLL"}}, "network.path belongs to component"),
        ({"network": {"nam": "plain"}}, "did you mean 'name'"),
        ({"network": 3}, "expected a mapping of fields, got integer 3"),
        ({"network": {"name": "resnet", "dropout": [0, 1]}}, "a list of 3, got 2"),
        ({"network": {"name": "resnet", "dropout": [0, 1, "x"]}}, "value 3 of the list: expected a number"),
        ({"network": {"name": "plain", "classes": "ten"}}, "expected an integer or null, got string 'ten'"),
        ({"network": {"name": "path_ensemble", "members": [1]}}, "members"),
        ({"data": {"augmentation": "pluss"}}, "did you mean 'plus'"),
        ({"optimizer": {"nesterov": 1}}, "true or false"),
        ({"network.width": 2}, "write the config nested"),
    ],
)
def test_what_the_workload_does_not_take_is_told(config: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=re.escape(message)):
        bind(SPEC, config)


networks = st.one_of(
    st.builds(
        Plain, depth=st.integers(1, 50), width=st.floats(0.1, 4), classes=st.none() | st.integers(1, 3)
    ),
    st.builds(ResNet, dropout=st.tuples(*[st.sampled_from([0.0, -0.0, 0.5, 1.0])] * 3)),
    st.builds(Component, path=st.sampled_from(PATHS), depth=st.sampled_from([14, 26])),
    st.builds(PathEnsemble, members=st.sampled_from(["all", 'é"\\', ("LLL", "RRR"), ()])),
)
configs = st.builds(
    TrainConfig,
    network=networks,
    optimizer=st.builds(Optimizer, lr=st.sampled_from([0.1, 1.0, 1e-30, 1e300])),
    epochs=st.integers(1, 3),
    note=st.text(max_size=5),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(configs, min_size=1, max_size=4))
def test_the_writer_equals_the_plain_form(many: list[TrainConfig]) -> None:
    writer = Writer(TrainConfig)
    for config in many:
        plain, identity = writer.write(config)
        assert plain == to_plain(config)
        assert list(plain) == list(to_plain(config))
        assert identity == canonical_json(to_plain(config, defaults=False))


def test_equal_values_have_equal_text() -> None:
    assert canonical_json({"b": 1.0, "a": -0.0}) == canonical_json({"a": 0, "b": 1}) == '{"a":0,"b":1}'
    assert canonical_json(2.0**60) == "1.152921504606847e+18"
    assert canonical_json({"a": True}) != canonical_json({"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_training_keys_are_stable_and_follow_what_is_computed() -> None:
    key = training_key(SPEC, TrainConfig(), 0)
    # written out: a change of this text would orphan every stored result
    text = (
        '{"config":{"network":{"classes":10,"name":"resnet"}},"data":"digest of digits","parents":[],'
        '"schema":1,"seed":0,"stage":"train","workload":["small",1]}'
    )
    assert key == hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    assert key == training_key(SPEC, to_plain(SPEC.canonical(TrainConfig())), 0)
    others = [
        training_key(SPEC, TrainConfig(), 1),
        training_key(SPEC, TrainConfig(epochs=11), 0),
        training_key(replace(SPEC, version=2), TrainConfig(), 0),
        training_key(replace(SPEC, name="other"), TrainConfig(), 0),
        training_key(replace(SPEC, data_digest=lambda config: "changed"), TrainConfig(), 0),
    ]
    assert len({key, *others}) == 6
    # a spelled-out default, and an integer where the field is a float, are the same computation
    assert key == training_key(SPEC, bind(SPEC, {"epochs": 10, "network": {"width": 1}}), 0)
    lll = [
        training_key(SPEC, TrainConfig(network=Component(depth=depth, path="LLL")), 0) for depth in (14, 26)
    ]
    assert lll[0] == lll[1]


def test_condition_keys_follow_parameters_draw_seed_and_parents() -> None:
    parent = training_key(SPEC, TrainConfig(), 0)
    key = condition_key(SPEC, "members", Member(member="LLL"), 0, 0, [parent])
    assert key == condition_key(SPEC, "members", {"member": "LLL"}, 0, 0, [parent])
    others = [
        condition_key(SPEC, "without", Member(member="LLL"), 0, 0, [parent]),
        condition_key(SPEC, "members", Member(member="RLL"), 0, 0, [parent]),
        condition_key(SPEC, "members", Member(member="LLL"), 1, 0, [parent]),
        condition_key(SPEC, "members", Member(member="LLL"), 0, 1, [parent]),
        condition_key(SPEC, "members", Member(member="LLL"), 0, 0, [parent, parent]),
    ]
    assert len({key, parent, *others}) == 7
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in (key, parent, *others))


def test_plans_use_the_same_keys_as_the_plain_functions(tmp_path: Path) -> None:
    plan = planned(
        tmp_path, DEPTH + "seeds: 2\nevaluate: {reorder: {vary: {swaps: {levels: [1, 3]}}, draws: 2}}\n"
    )
    for trial in plan.trials.values():
        if trial.stage == "train":
            assert trial.key == training_key(SPEC, trial.config, trial.seed)
        else:
            assert trial.key == condition_key(
                SPEC, trial.family, trial.parameters, trial.draw, trial.seed, trial.parents
            )


def test_names_and_resources_are_no_part_of_identity(tmp_path: Path) -> None:
    one = planned(tmp_path, DEPTH + "seeds: 2\n")
    text = "design: {type: factorial, factors: {d: {path: network.depth, levels: {a: 14, b: 26}}}}\n"
    two = planned(tmp_path, text + "seeds: 2\nresources: {gpu: 1}\nconfig: {epochs: 10}\ntitle: other\n")
    assert set(one.trials) == set(two.trials)


def test_patches_come_last(tmp_path: Path) -> None:
    from orchestrator.study.expand import expand

    text = (
        DEPTH + "  overrides: [{when: {depth: 26}, set: {epochs: 7, optimizer.lr: 1}}]\nconfig: {epochs: 5}\n"
    )
    study = loaded(tmp_path, text, patches={"optimizer.lr": 2, "network.width": 3})
    small, deep = (cell.config for cell in expand(study, SPEC))
    assert (small["epochs"], deep["epochs"]) == (5, 7)
    assert small["optimizer"]["lr"] == deep["optimizer"]["lr"] == 2.0
    assert deep["network"]["width"] == 3.0


def test_a_mapping_replaces_the_subtree(tmp_path: Path) -> None:
    text = (
        "design: {type: factorial, factors: {n: {path: network, levels: {a: {name: plain}, "
        "b: {name: resnet}}}}}\nconfig: {network: {width: 4}}\n"
    )
    plan = planned(tmp_path, text)
    assert [cell.config["network"]["width"] for cell in plan.cells] == [1.0, 1.0]
