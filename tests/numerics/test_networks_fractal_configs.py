"""Configurations of fractal networks: what is refused, what means the same, what their columns are called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from workloads.networks.configs import (
    FractalColumn,
    FractalNet,
    FractalNetImageNet,
    Network,
    PreActResNet,
    canonical,
)
from workloads.networks.describe import describe

THIN = (16, 32, 64, 128, 128)
FORTY: dict[str, Any] = {"columns": 4, "column_channels": (128, 64, 32, 16)}


def on(config: Network) -> Any:
    return replace(config, classes=100, in_channels=3, input_size=32)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: FractalNet(input_size=8),
            r"at least 32 at the first block, which has 8; set network\.pools",
        ),
        (lambda: FractalNet(input_size=8), "to at most 3, or take larger images"),
        (lambda: FractalNetImageNet(input_size=32), "which has 8"),
        (lambda: FractalNet(columns=0), "columns must be an integer, at least 1"),
        (lambda: FractalNet(columns=9), "at most 8"),
        (lambda: FractalColumn(column=9), "column must be at most 8"),
        (lambda: FractalNet(channels=()), "at least one block"),
        (lambda: FractalNet(dropout=(0.1,)), "a rate for each of the 5 blocks, or none; got 1"),
        (lambda: FractalNet(dropout=(0, 0, 0, 0, 1)), "less than 1, got 1.0"),
        (lambda: FractalNet(pools=6), "at most the 5 blocks"),
        (lambda: FractalNet(drop_path="globl"), "did you mean 'global'"),  # type: ignore[arg-type]
        (lambda: FractalNet(local_rate=1.5), "at least 0 and at most 1"),
        (lambda: FractalNet(norm="batch"), "'affine' or 'caffe'"),  # type: ignore[arg-type]
        (lambda: FractalNet(kernels="5x5"), "'3x3', 'alternating' or 'half'"),  # type: ignore[arg-type]
        (lambda: FractalNet(column_channels=(64, 32)), "each of the 3 columns; got 2"),
        (lambda: FractalNet(columns=2, channels=(64, 96), column_channels=(64, 3)), "grow by whole channels"),
        (lambda: FractalNet(width=0.3), "whole channels"),
        (lambda: FractalNet(channels=(65,), width=0.5), "got 65 x 0.5"),
    ],
)
def test_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_what_means_the_same_is_one_configuration() -> None:
    plain = on(FractalNet())
    for same in (
        FractalNet(pools=5),
        FractalNet(dropout=(0, 0, 0, 0, 0)),
        FractalNet(local_rate=0.5),
        FractalNet(drop_path="local", local_rate=0),
        FractalNet(column_channels=(64, 64, 64)),
    ):
        assert canonical(on(same)) == plain
    assert canonical(on(FractalNet(drop_path="global", local_rate=0.3))) == on(FractalNet(drop_path="global"))
    for other in (
        FractalNet(drop_path="mixed", local_rate=0),
        FractalNet(drop_path="local"),
        FractalNet(pools=4),
        FractalNet(dropout=(0, 0, 0, 0, 0.1)),
        FractalNet(norm="caffe"),
    ):
        assert canonical(on(other)) == on(other)
    single = FractalNet(columns=1, channels=THIN, drop_path="mixed", width=0.5)
    assert canonical(on(single)) == on(FractalColumn(column=1, channels=THIN, width=0.5))
    forty = on(FractalNet(**FORTY))
    assert canonical(forty) == canonical(replace(forty, channels=(128, 256, 512, 1024, 1024)))
    assert canonical(canonical(forty)) == canonical(forty)
    assert describe(canonical(forty)) == describe(forty)


def test_names_of_columns_tell_their_depth() -> None:
    config = FractalNet(columns=4)
    assert config.evaluated == ("1", "2", "3", "4", "full")
    assert [config.column_depth(each) for each in config.evaluated] == [5, 10, 20, 40, 40]
    alone = FractalColumn(column=4)
    assert alone.evaluated == ("4",)
    assert alone.column_depth("4") == 40
    assert not hasattr(PreActResNet(), "column_names")
