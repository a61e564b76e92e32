"""`orch model`: counts of the papers' networks from the command line."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.street.orch import Orch


@pytest.fixture
def orch(tmp_path: Path) -> Orch:
    return Orch(directory=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ("plain --set depth=26", 366_938),
        ("resnet --set depth=110", 1_730_714),
        ("dfn_il --set depth=14", 346_650),
        ("dfn_mr --set depth=56", 1_710_426),
        ("dfn --set depth=26 --set fusions=6", 392_506),
        ("path_ensemble --set depth=26 --set members=without_deepest", 392_506),
        ("component --set depth=98 --set path=LLL", 26_682),
        ("preact_resnet --set depth=110 --set shortcut=A", 1_727_962),
        ("preact_resnet", 1_730_522),
        ("wrn --set width=10", 36_479_194),
        ("vgg", 20_035_018),
        ("dfn_mr_imagenet", 43_338_024),
        ("fractalnet_imagenet", 164_031_016),
        ("fractalnet --set columns=6 --set channels=[16,32,64,128,128] --set classes=100", 21_095_076),
        ("resnet_imagenet --set depth=101", 44_549_160),
        # the last layer has 64 weights and a bias for each of 90 classes more
        ("resnet --set depth=110 --set classes=100", 1_730_714 + 90 * 65),
        # the first has 9 weights for each of 16 channels and each of 2 input channels less
        ("plain --set depth=26 --set in_channels=1 --set input_size=8", 366_938 - 2 * 9 * 16),
    ],
)
def test_parameters_to_the_unit(orch: Orch, arguments: str, parameters: int) -> None:
    described = orch("model", *arguments.split(), "--json").json
    assert described["parameters"] == parameters
    assert set(described) >= {"parameters", "longest_path", "flops", "paths"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("resnett", "unknown string 'resnett'"),
        ("dfn_mr --set depth=57", "nearest allowed: 56 and 62"),
        ("dfn_mr --set dept=56", "did you mean 'depth'?"),
        ("resnet --set classes=x", "expected an integer"),
        ("resnet --set depth=8 --set depth.x=3", "single value"),
    ],
)
def test_what_cannot_be_is_one_clear_message(orch: Orch, arguments: str, said: str) -> None:
    done = orch("model", *arguments.split(), code=2)
    assert "Traceback" not in done.err
    assert said in done.err


def test_path_lengths_are_exact(orch: Orch) -> None:
    described = orch("model", "resnet", "--set", "depth=302", "--json").json
    assert sum(described["path_lengths"].values()) == described["paths"] == 2**150
    assert max(map(int, described["path_lengths"])) == described["longest_path"] == 302
    # the shortest has the first and last layer and two projections; no other way is as short
    assert described["path_lengths"]["4"] == 1
    assert described["path_lengths"]["5"] == 2  # one of the branches beside a projection in place of it
    assert "2^150 = 1.43 × 10^45" in orch("model", "resnet", "--set", "depth=302").out


def test_printed_figures_stand_beside_exact_ones(orch: Orch) -> None:
    (printed,) = orch("model", "dfn_mr", "--set", "depth=50", "--set", "width=4", "--json").json["printed"]
    assert printed["figure"] == "24.8M"
    assert not printed["reproduced"]
    out = orch("model", "dfn_mr", "--set", "depth=50", "--set", "width=4").out
    assert "24,151,882" in out
    assert "24.8M (Zhao et al. 2016, Table 5): no stated rule gives it" in out
    assert "20M (Zagoruyko and Komodakis 2017, Table 2): reproduced" in orch("model", "vgg").out
    assert orch("model", "vgg", "--set", "classes=7", "--json").json["printed"] == []
    assert "interpretation" in orch("model", "dfn1_imagenet").out


def test_a_drawing_is_written_where_it_is_asked_for(orch: Orch, tmp_path: Path) -> None:
    drawn = tmp_path / "net.svg"
    told = orch("model", "dfn_mr", "--set", "depth=56", "--draw", str(drawn), "--json").json
    assert told["drawing"] == str(drawn)
    assert ElementTree.parse(drawn).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert "1,710,426 parameters" in drawn.read_text(encoding="utf-8")
    missing = tmp_path / "no" / "net.svg"
    assert "name a file that can be written" in orch("model", "vgg", "--draw", str(missing), code=2).err
