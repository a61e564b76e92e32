"""Configurations of the networks: what they allow, how they say no, what means the same computation."""

import json
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.api import from_plain, kinds, to_plain
from workloads.networks.configs import (
    DFN,
    DFNIL,
    DFNMR,
    PATHS,
    Component,
    Network,
    PathEnsemble,
    Plain,
    ResNet,
    canonical,
)

KINDS = {
    "plain": Plain,
    "resnet": ResNet,
    "dfn": DFN,
    "component": Component,
    "path_ensemble": PathEnsemble,
    "dfn_il": DFNIL,
    "dfn_mr": DFNMR,
}
COMMON = {"width", "classes", "in_channels", "input_size", "bn_eps", "bn_momentum", "name", "depth"}


def test_the_union_lists_every_kind_by_its_name() -> None:
    found = kinds(Network)
    assert found is not None
    assert KINDS.items() <= found.items()
    for name, kind in found.items():
        assert kind().name == name
        assert {each.name for each in fields(kind)} >= COMMON - {"depth"}
    for name, kind in KINDS.items():
        assert kind().name == name
        assert {each.name for each in fields(kind)} >= COMMON


def test_configurations_load_no_torch() -> None:
    code = "import sys, workloads.networks.configs; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("kind", KINDS.values())
def test_plain_data_and_back(kind: type) -> None:
    config = replace(kind(), width=0.5, classes=10)
    assert from_plain(kind, json.loads(json.dumps(to_plain(config)))) == config
    assert from_plain(kind, json.loads(json.dumps(to_plain(config, defaults=False)))) == config


def test_a_list_of_members_survives_plain_data() -> None:
    config = PathEnsemble(members=("LLL", "RRR"))
    assert from_plain(PathEnsemble, json.loads(json.dumps(to_plain(config)))) == config


# --- depths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "got", "nearest"),
    [
        (lambda d: Plain(depth=d), 27, "26 and 29"),
        (lambda d: Plain(plain_depth=d), 28, "26 and 29"),
        (lambda d: Plain(depth=d), 2, "5"),
        (lambda d: Plain(depth=d), -7, "5"),
        (lambda d: ResNet(depth=d), 56 + 1, "56 and 62"),
        (lambda d: ResNet(plain_depth=d), 23, "20 and 26"),
        (lambda d: DFN(depth=d), 15, "14 and 17"),
        (lambda d: DFN(depth=d, fusions=6), 17, "14 and 20"),
        (lambda d: Component(depth=d), 25, "23 and 26"),
        (lambda d: PathEnsemble(depth=d), 112, "110 and 113"),
        (lambda d: DFNIL(depth=d), 55, "50 and 56"),
        (lambda d: DFNIL(plain_depth=d), 56, "50 and 62"),
        (lambda d: DFNMR(plain_depth=d), 56, "50 and 62"),
        (lambda d: DFNMR(depth=d), 7, "8"),
    ],
)
def test_a_depth_that_does_not_divide_names_the_nearest(build, got, nearest) -> None:
    with pytest.raises(ValueError, match=f"got {got}; nearest allowed: {nearest}$"):
        build(got)


@given(depth=st.integers(-5, 300))
@settings(max_examples=60, deadline=None)
def test_the_nearest_depths_are_allowed_and_nearest(depth: int) -> None:
    allowed = {each for each in range(-400, 700) if each >= 8 and (each - 2) % 6 == 0}
    if depth in allowed:
        assert ResNet(depth=depth).units * 6 + 2 == depth
        return
    with pytest.raises(ValueError, match="nearest allowed") as caught:
        ResNet(depth=depth)
    named = {int(each) for each in str(caught.value).split("allowed: ")[1].split(" and ")}
    best = min(abs(each - depth) for each in allowed)
    assert named <= allowed
    assert min(abs(each - depth) for each in named) == best


@pytest.mark.parametrize("depth", [26.0, "26", True])
def test_a_depth_is_an_integer(depth) -> None:
    with pytest.raises(ValueError, match="depth must be an integer"):
        DFN(depth=depth)


@pytest.mark.parametrize("kind", [Plain, ResNet, DFNIL, DFNMR])
def test_one_depth_at_most(kind) -> None:
    with pytest.raises(ValueError, match="got both depth 26 and plain_depth 50"):
        kind(depth=26, plain_depth=50)


@pytest.mark.parametrize(
    ("plain_depth", "halved"),
    [(26, 14), (38, 20), (50, 26), (62, 32), (74, 38), (98, 50), (110, 56), (194, 98)],
)
def test_the_printed_depths_of_table_4(plain_depth: int, halved: int) -> None:
    assert Plain(plain_depth=plain_depth).printed_depth == plain_depth
    assert ResNet(plain_depth=plain_depth).printed_depth == plain_depth
    for kind in (DFNIL, DFNMR):
        assert kind(plain_depth=plain_depth).printed_depth == halved
        assert canonical(kind(plain_depth=plain_depth)) == canonical(kind(depth=halved))


@pytest.mark.parametrize(
    ("depth", "one_deep", "two_deep"),
    [
        (14, 8, 11),
        (20, 10, 15),
        (26, 12, 19),
        (38, 16, 27),
        (50, 20, 35),
        (56, 22, 39),
        (62, 24, 43),
        (74, 28, 51),
        (98, 36, 67),
        (110, 40, 75),
    ],
)
def test_the_component_depths_of_table_1(depth: int, one_deep: int, two_deep: int) -> None:
    printed = [5, one_deep, one_deep, one_deep, two_deep, two_deep, two_deep, depth]
    assert [Component(depth=depth, path=path).printed_depth for path in PATHS] == printed


# --- other values ---------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0.5, 1, 4, 0.0625, 1.5])
def test_widths_that_give_whole_channels(width) -> None:
    assert Plain(width=width).channels == (16 * width, 32 * width, 64 * width)


@pytest.mark.parametrize("width", [0.3, 0, -1, 1.01, float("nan"), float("inf"), True, "2"])
def test_widths_that_do_not(width) -> None:
    with pytest.raises(ValueError, match="width must"):
        Plain(width=width)


def test_a_width_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"got 0\.3 .*nearest allowed: 0\.25 and 0\.3125"):
        Plain(width=0.3)


def test_an_integer_width_is_the_same_configuration() -> None:
    assert json.dumps(to_plain(Plain(width=2))) == json.dumps(to_plain(Plain(width=2.0)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 1}, "classes must be an integer, at least 2; got 1"),
        ({"classes": True}, "classes must be an integer"),
        ({"in_channels": 0}, "in_channels must be an integer, at least 1; got 0"),
        ({"input_size": 8.0}, "input_size must be an integer"),
        ({"bn_eps": 0}, "bn_eps must be more than 0"),
        ({"bn_momentum": 1.5}, "bn_momentum must be more than 0 and at most 1, got 1.5"),
        ({"bn_momentum": float("nan")}, "bn_momentum must be a finite number"),
    ],
)
def test_values_out_of_range(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        ResNet(**changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DFN(fusions=4), "fusions must be 3 or 6; got 4"),
        (lambda: DFN(fusions="3"), "fusions must be 3 or 6; got '3'"),
        (lambda: Component(path="LRX"), "path must be 'LLL', .*got 'LRX'$"),
        (lambda: PathEnsemble(vote="mean"), "vote must be 'probabilities' or 'logits'; got 'mean'"),
        (lambda: PathEnsemble(members="al"), "or a list of paths; got 'al'; did you mean 'all'"),
        (lambda: PathEnsemble(members=()), "members must name at least one"),
        (lambda: PathEnsemble(members=("LLL", "LLL")), "each path once; got LLL more than once"),
        (lambda: PathEnsemble(members=["LLL", "lll"]), "each of members must be .*got 'lll'"),
        (lambda: PathEnsemble(members=["LLL", 3]), "each of members must be .*got 3"),
    ],
)
def test_choices(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_ensemble_has_the_released_momentum() -> None:
    assert {name: kind().bn_momentum for name, kind in KINDS.items()} == {
        name: 0.01 if name == "path_ensemble" else 0.1 for name in KINDS
    }
    assert {kind().bn_eps for kind in KINDS.values()} == {2e-5}


# --- canonical ------------------------------------------------------------------------------------


def test_the_shallowest_component_is_one_net_at_every_depth() -> None:
    assert len({canonical(Component(depth=depth, path="LLL")) for depth in (5, 14, 26, 110)}) == 1
    assert canonical(Component(depth=26, path="LLL")) == canonical(Plain(depth=5))


def test_two_depths_have_fifteen_component_nets() -> None:
    nets = {canonical(Component(depth=depth, path=path)) for depth in (14, 26) for path in PATHS}
    assert len(nets) == 15


def test_the_deepest_component_is_the_plain_net() -> None:
    component = Component(depth=26, path="RRR", width=0.5, classes=10, bn_momentum=0.2, in_channels=1)
    plain = Plain(depth=26, width=0.5, classes=10, bn_momentum=0.2, in_channels=1)
    assert canonical(component) == canonical(plain)


def test_other_components_stay_apart() -> None:
    for depth in (14, 26):
        for path in PATHS[1:-1]:
            assert canonical(Component(depth=depth, path=path)) == Component(depth=depth, path=path)


def test_one_spelling_of_members() -> None:
    assert canonical(PathEnsemble(members=tuple(reversed(PATHS)))) == PathEnsemble(members="all")
    seven = tuple(path for path in PATHS if path != "RRR")
    assert canonical(PathEnsemble(members=seven[::-1])) == PathEnsemble(members="without_deepest")
    assert canonical(PathEnsemble(members=("RRR", "RLL"))) == PathEnsemble(members=("RLL", "RRR"))
    assert PathEnsemble(members="without_deepest").paths == seven


def test_one_member_votes_alone() -> None:
    single = PathEnsemble(members=("RLR",))
    assert canonical(replace(single, vote="logits")) == canonical(single)
    assert canonical(PathEnsemble(vote="logits")) != canonical(PathEnsemble())


@pytest.mark.parametrize("kind", KINDS.values())
def test_canonical_twice_is_canonical_once_and_keeps_common_fields(kind) -> None:
    config = kind(width=2, classes=100, in_channels=3, input_size=32, bn_eps=1e-3, bn_momentum=0.5)
    once = canonical(config)
    assert canonical(once) == once
    for key in ("width", "classes", "in_channels", "input_size", "bn_eps", "bn_momentum"):
        assert getattr(once, key) == getattr(config, key)
