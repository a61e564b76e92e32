"""Printed parameter counts beside exact ones: which are reproduced is known, one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from workloads.networks.configs import DFNMR, WRN, Network, Plain, PreActResNet, ResNet
from workloads.networks.describe import describe
from workloads.networks.printed import NOTES, PRINTED, Printed, printed

# name, depth, width, figure
NOT_REPRODUCED = {
    ("dfn_mr", 50, 4.0, "24.8M"),
    ("resnet", 1202, 1.0, "10.2M"),
    ("preact_resnet", 1001, 1.0, "10.2M"),
    ("fractalnet", 20, 1.0, "38.6M"),
    ("fractalnet", 40, 1.0, "22.9M"),
    ("diracnet_imagenet", 18, 1.0, "11.7M"),
    ("diracnet_imagenet", 34, 1.0, "21.8M"),
}


def counted(each: Printed, classes: int) -> int:
    imagenet = each.network.name.endswith("imagenet")
    filled: Any = replace(each.network, classes=classes, in_channels=3, input_size=224 if imagenet else 32)
    return describe(filled)["parameters"]


def key(each: Printed) -> tuple[str, int, float, str]:
    return each.network.name, each.network.printed_depth, float(each.network.width), each.figure


OTHERS = [each for each in PRINTED if "Table 4" not in each.source]


@pytest.mark.parametrize(
    "each",
    [
        pytest.param(
            each,
            id="-".join(map(str, key(each))),
            marks=pytest.mark.slow if each.network.printed_depth > 1000 else (),
        )
        for each in OTHERS
    ],
)
def test_what_is_reproduced(each: Printed) -> None:
    for classes in each.classes:
        assert each.gives(counted(each, classes)) == (key(each) not in NOT_REPRODUCED)
    assert each.note or key(each) not in NOT_REPRODUCED


@pytest.mark.slow
def test_table_4_prints_the_resnets_with_100_classes() -> None:
    rows = [each for each in PRINTED if "Table 4" in each.source]
    assert len(rows) == 8 * 4
    for each in rows:
        if each.network.name == "resnet":
            assert each.gives(counted(each, 100))
    # and no other column of it: these round otherwise
    assert {
        (each.network.name, each.network.printed_depth) for each in rows if not each.gives(counted(each, 100))
    } == {(name, depth) for name in ("dfn_il", "dfn_mr") for depth in (20, 26, 32, 38)}


@pytest.mark.parametrize(
    ("figure", "parameters", "gives"),
    [
        ("24.8M", 24_849_999, True),
        ("24.8M", 24_850_001, False),
        ("20M", 20_035_018, True),
        ("1.0M", 958_836, True),
    ],
)
def test_rounding_is_to_the_printed_digits(figure: str, parameters: int, gives: bool) -> None:
    assert Printed(network=Plain(), figure=figure, source="").gives(parameters) == gives


def test_only_the_printed_network_has_the_figure() -> None:
    def figures(network: Any, classes: int = 10, channels: int = 3) -> list[str]:
        return [each.figure for each in printed(replace(network, classes=classes, in_channels=channels))]

    assert figures(DFNMR(depth=56)) == figures(DFNMR(plain_depth=110)) == ["1.7M", "1.7M"]
    assert figures(PreActResNet(shortcut="A", survival=0.5)) == ["1.7M"]
    assert figures(WRN(depth=16, width=4)) == ["2.7M"]
    assert figures(WRN(depth=16, width=4), classes=100) == []
    assert figures(ResNet(depth=110), classes=7) == figures(ResNet(depth=110), channels=1) == []
    assert figures(ResNet(depth=110, width=2)) == figures(ResNet(depth=20)) == []


@pytest.mark.slow
def test_the_page_on_networks_names_every_kind_and_what_is_not_reproduced() -> None:
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
    for kind in get_args(Network):
        assert f"`{kind().name}`" in page
    for each in OTHERS:
        if key(each) in NOT_REPRODUCED:
            assert f"{counted(each, each.classes[0]):,}" in page
            assert each.figure in page
    for name in NOTES:
        assert page.count(f"`{name}`") >= 2  # in the table, and among the interpretations
