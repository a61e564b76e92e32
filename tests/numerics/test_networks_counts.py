"""Parameters, depths, operations and paths against the printed table and closed forms written here."""

import pytest
import torch

from workloads.networks.build import build
from workloads.networks.configs import DFN, DFNIL, DFNMR, PATHS, Component, PathEnsemble, Plain, ResNet
from workloads.networks.describe import describe

CIFAR = {"classes": 10, "in_channels": 3, "input_size": 32}


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (Plain(depth=26, **CIFAR), 366_938),
        (ResNet(depth=26, **CIFAR), 369_690),
        (Plain(depth=110, **CIFAR), 1_727_962),
        (ResNet(depth=110, **CIFAR), 1_730_714),
        (DFNIL(depth=14, **CIFAR), 346_650),
        (DFNIL(plain_depth=26, **CIFAR), 346_650),
        (DFNMR(depth=14, **CIFAR), 349_402),
        (DFNMR(depth=56, **CIFAR), 1_710_426),
        (DFNMR(plain_depth=110, **CIFAR), 1_710_426),
        (DFNMR(depth=32, width=4, **CIFAR), 14_851_402),
        # Printed as 24.8M in Table 5, which no one rule gives.
        (DFNMR(depth=50, width=4, **CIFAR), 24_151_882),
        (DFN(depth=26, fusions=3, **CIFAR), 392_506),
        (DFN(depth=26, fusions=6, **CIFAR), 392_506),
        (PathEnsemble(depth=26, **CIFAR), 392_506),
        (PathEnsemble(depth=26, members="without_deepest", **CIFAR), 392_506),
        (Component(depth=26, path="LLL", **CIFAR), 26_682),
        (Component(depth=110, path="LLL", **CIFAR), 26_682),
    ],
)
def test_the_exact_table(config, parameters) -> None:
    assert describe(config)["parameters"] == parameters


def test_eight_components_not_shared() -> None:
    apart = sum(describe(Component(depth=26, path=path, **CIFAR))["parameters"] for path in PATHS)
    assert apart == 1_574_480


# --- closed forms: each network as a list of (filter side, inputs, outputs, output side) --------------


def _sides(size: int) -> tuple[int, int, int]:
    second = (size + 1) // 2
    return size, second, (second + 1) // 2


def _groups(config):
    first = int(16 * config.width)
    sides = _sides(config.input_size)
    return [(first, first, sides[0]), (first, 2 * first, sides[1]), (2 * first, 4 * first, sides[2])]


def _row(layers: int, inputs: int, outputs: int, side: int):
    return [(3, inputs if i == 0 else outputs, outputs, side) for i in range(layers)]


def _convolutions(config):
    """All convolutions that a network holds."""
    first, size = int(16 * config.width), config.input_size
    found = [(3, config.in_channels, first, size)]
    for group, (inputs, outputs, side) in enumerate(_groups(config)):
        changes = inputs != outputs
        match config.name:
            case "plain":
                found += _row((config.depth - 2) // 3, inputs, outputs, side)
            case "component":
                deep = config.path[group] == "R"
                found += _row((config.depth - 2) // 3 if deep else 1, inputs, outputs, side)
            case "resnet":
                found += _row((config.depth - 2) // 3, inputs, outputs, side)
                found += [(1, inputs, outputs, side)] * changes
            case "dfn" | "path_ensemble":
                found += _row((config.depth - 2) // 3, inputs, outputs, side) + _row(1, inputs, outputs, side)
            case "dfn_il" | "dfn_mr":
                layers = 2 * (config.depth - 2) // 3  # in both branches, as many as the plain net's
                found += _row(layers // 2, inputs, outputs, side) * 2
                found += [(1, inputs, outputs, side)] * (changes * (2 if config.name == "dfn_mr" else 1))
    return found


def _parameters(config) -> int:
    last = int(64 * config.width)
    convolutions = sum(k * k * a * b + 2 * b for k, a, b, _ in _convolutions(config))
    return convolutions + last * config.classes + config.classes


def _flops(config) -> int:
    last = int(64 * config.width)
    if config.name != "path_ensemble":
        return _operations(_convolutions(config)) + 2 * last * config.classes
    # The tree of prefixes: in group g (from 0) each of the two blocks runs 2^g times; eight members classify.
    stem, deep = _convolutions(config)[:1], (config.depth - 2) // 3
    blocks = sum(
        2**g * _operations(_row(deep, inputs, outputs, side) + _row(1, inputs, outputs, side))
        for g, (inputs, outputs, side) in enumerate(_groups(config))
    )
    return _operations(stem) + blocks + 8 * 2 * last * config.classes


def _operations(convolutions) -> int:
    return sum(2 * k * k * a * b * side * side for k, a, b, side in convolutions)


def _grid():
    shapes = [
        {"classes": 10, "in_channels": 3, "input_size": 32, "width": 1},
        {"classes": 100, "in_channels": 3, "input_size": 32, "width": 2},
        {"classes": 10, "in_channels": 1, "input_size": 8, "width": 0.5},
        {"classes": 7, "in_channels": 2, "input_size": 9, "width": 0.25},
        {"classes": 2, "in_channels": 1, "input_size": 1, "width": 0.0625},
    ]
    for shape in shapes:
        for depth in (8, 14, 44):
            yield ResNet(depth=depth, **shape)
            yield Plain(depth=depth + 3, **shape)
            yield DFN(depth=depth + 3, **shape)
            yield DFN(depth=depth, fusions=6, **shape)
            yield DFNIL(depth=depth, **shape)
            yield DFNMR(depth=depth, **shape)
            yield Component(depth=depth + 3, path="RLR", **shape)
            yield PathEnsemble(depth=depth, **shape)


@pytest.mark.parametrize(
    "config", list(_grid()), ids=lambda config: f"{config.name}-{config.depth}-{config.width}"
)
def test_closed_forms(config) -> None:
    found = describe(config)
    assert found["parameters"] == _parameters(config)
    assert found["flops"] == _flops(config)
    assert found["longest_path"] == config.printed_depth
    if config.name != "component":
        assert found["longest_path"] == config.depth
    assert found["paths"] == _paths(config)


def _paths(config) -> int:
    match config.name:
        case "plain" | "component":
            return 1
        case "resnet":
            return 2 ** ((config.depth - 2) // 2)  # Zhao et al., section 3.2
        case "dfn":
            return 2**config.fusions
        case "path_ensemble":
            return len(config.paths)
        case "dfn_il":
            return 3 ** ((config.depth - 2) // 2)
        case "dfn_mr":
            return _merge_and_run_ways((config.depth - 2) // 2)


def _merge_and_run_ways(units: int) -> int:
    """Counts the ways one by one in small graphs; larger ones by what that shows, 4 * 3^(units - 1)."""
    if units > 6:
        return 4 * 3 ** (units - 1)

    def ways(node: str, unit: int) -> int:
        if unit == units:
            return 1
        # From line a: through its own branch to line a, through the merge to line a and to line b.
        if unit == units - 1:
            return 2  # the branch and the merge both end in the one sum
        other = "b" if node == "a" else "a"
        return 2 * ways(node, unit + 1) + ways(other, unit + 1)

    return ways("a", 0) + ways("b", 0)


def test_the_count_of_merge_and_run_ways() -> None:
    assert [_merge_and_run_ways(units) for units in range(1, 7)] == [4 * 3 ** (u - 1) for u in range(1, 7)]


def test_a_subset_of_members_counts_what_it_uses() -> None:
    shape = {"classes": 10, "in_channels": 1, "input_size": 8, "width": 0.5}
    alone = describe(PathEnsemble(depth=14, members=("RLR",), **shape))
    component = describe(Component(depth=14, path="RLR", **shape))
    assert alone == component
    pair = describe(PathEnsemble(depth=14, members=("LLL", "LLR"), **shape))
    assert pair["longest_path"] == component["longest_path"] - 3
    assert pair["paths"] == 2


def test_seven_members_reach_less_deep() -> None:
    found = describe(PathEnsemble(depth=26, members="without_deepest", **CIFAR))
    assert (found["longest_path"], found["paths"]) == (19, 7)


@pytest.mark.parametrize("key", ["classes", "in_channels", "input_size"])
def test_an_unfilled_configuration_is_named(key) -> None:
    shape = {**CIFAR, key: None}
    with pytest.raises(ValueError, match=rf"network\.{key} is not set"):
        describe(ResNet(**shape))


def test_describe_leaves_no_trace() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    described = describe(ResNet(depth=20, **CIFAR))
    described["parameters"] = 0
    assert describe(ResNet(depth=20, **CIFAR))["parameters"] > 0
    assert torch.equal(torch.get_rng_state(), before)
    assert next(build(ResNet(depth=20, **CIFAR)).parameters()).device.type == "cpu"
