"""Drawings of networks: folding rows loses nothing, nothing lies on anything, every form is well-formed."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from workloads.drawing import svg
from workloads.drawing.diagram import Diagram
from workloads.drawing.layout import crossings, place
from workloads.networks.build import on_meta
from workloads.networks.configs import (
    DFN,
    DFNIL,
    DFNMR,
    VGG,
    VGG15,
    WRN,
    Component,
    DFN1ImageNet,
    DFN2ImageNet,
    DFNMRImageNet,
    FractalColumn,
    FractalNet,
    FractalNetImageNet,
    Highway,
    Network,
    PathEnsemble,
    Plain,
    PreActResNet,
    ResNet,
    ResNetImageNet,
)
from workloads.networks.sketch import sketch
from workloads.networks.tracing import GATES, LAYERS, traced

NETWORKS: list[Network] = [
    Plain(depth=26),
    ResNet(depth=110),
    DFN(depth=26, fusions=3),
    DFN(depth=26, fusions=6),
    DFNIL(depth=26),
    DFNMR(depth=56),
    Component(depth=26, path="RLR"),
    PathEnsemble(depth=26),
    PreActResNet(depth=110),
    PreActResNet(depth=110, shortcut="A"),
    PreActResNet(depth=29, bottleneck=True),
    Highway(depth=20),
    WRN(depth=28, width=2),
    VGG(),
    VGG15(reading=1),
    VGG15(reading=2),
    FractalNet(columns=3),
    FractalNet(columns=4, column_channels=(128, 64, 32, 16), kernels="alternating"),
    FractalColumn(column=4),
]
LARGE: list[Network] = [
    ResNetImageNet(depth=50),
    DFNMRImageNet(),
    DFN1ImageNet(),
    DFN2ImageNet(),
    FractalNetImageNet(),
]


def on(config: Network) -> Any:
    size, classes = (224, 1000) if config in LARGE else (32, 10)
    return replace(config, classes=classes, in_channels=3, input_size=size)


def times(diagram: Diagram) -> list[int]:
    """How often each node of a diagram stands in the network: its pile, times the frames around it."""
    counts = [node.repeat for node in diagram.nodes]
    for frame in diagram.frames:
        for node in frame.nodes:
            counts[node] *= frame.repeat
    return counts


@pytest.mark.parametrize("config", NETWORKS + LARGE, ids=lambda each: f"{each.name}-{each.printed_depth}")
def test_every_layer_is_drawn_once_or_counted(config: Network) -> None:
    diagram = sketch(on(config))
    net = on_meta(on(config))
    modules = dict(net.named_modules())
    layers = [
        node
        for node in traced(net).nodes
        if node.op == "call_module" and isinstance(modules[str(node.target)], (*LAYERS, *GATES))
    ]
    drawn = zip(diagram.nodes, times(diagram), strict=True)
    assert sum(n for node, n in drawn if node.kind == "layer" and node.label != "max pooling") == len(layers)
    # from the image every node is reached, and all lead to the end
    reached = {0}
    for source, target in diagram.edges:
        assert source < target
        if source in reached:
            reached.add(target)
    assert reached == set(range(len(diagram.nodes)))
    assert {source for source, _ in diagram.edges} == set(range(len(diagram.nodes) - 1))


@pytest.mark.slow
def test_deep_networks_stay_readable() -> None:
    shallow, deep = (sketch(on(PreActResNet(depth=depth))) for depth in (20, 1202))
    assert len(deep.nodes) == len(shallow.nodes) < 25
    assert max(frame.repeat for frame in deep.frames) == 200
    # by hand: image, stem, five sorts of module of two layers and a sum, two projections, last layer
    assert len(deep.nodes) == 2 + 5 * 3 + 2 + 1


def test_a_merge_and_run_net_averages_where_its_lines_meet() -> None:
    labels = [node.label for node in sketch(on(DFNMR(depth=56))).nodes]
    assert labels.count("mean") == 6  # one in each sort of unit but the first, whose lines are both the stem
    assert "mean" not in [node.label for node in sketch(on(Highway(depth=8))).nodes]


@pytest.mark.parametrize("config", NETWORKS + LARGE, ids=lambda each: f"{each.name}-{each.printed_depth}")
def test_pictures_are_well_formed_and_hold_every_label(config: Network) -> None:
    diagram = sketch(on(config))
    text = svg.document(diagram)
    root = ElementTree.fromstring(text)
    labels = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    for node in diagram.nodes:
        assert node.label in labels
    paths = [each for each in root.iter("{http://www.w3.org/2000/svg}path") if each.get("class") == "edge"]
    assert len(paths) == len(diagram.edges)
    assert "href" not in text
    assert "nan" not in text


def test_text_is_escaped() -> None:
    from workloads.drawing.diagram import Node

    text = svg.document(
        Diagram(title="<a & b>", subtitle='"', nodes=(Node(kind="layer", label="</text><x>"),), edges=())
    )
    root = ElementTree.fromstring(text)
    assert "</text><x>" in [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("seed", range(12))
def test_nodes_keep_their_distance(seed: int) -> None:
    draws = random.Random(seed)
    count = draws.randint(2, 14)
    edges = sorted(
        {(draws.randrange(target), target) for target in range(1, count) for _ in range(draws.randint(1, 3))}
    )
    widths = [draws.uniform(10, 80) for _ in range(count)]
    layout = place(widths, edges, gap=20, lane=8)
    for row in set(layout.rows):
        spans = [
            (layout.xs[i] - widths[i] / 2, layout.xs[i] + widths[i] / 2)
            for i in range(count)
            if layout.rows[i] == row
        ]
        for (source, _), route in zip(edges, layout.routes, strict=True):
            at = row - layout.rows[source] - 1
            if 0 <= at < len(route):
                spans.append((route[at] - 4, route[at] + 4))
        for (_, right), (left, _) in itertools.pairwise(sorted(spans)):
            assert left - right >= 20 - 1e-6
    for (source, target), route in zip(edges, layout.routes, strict=True):
        assert layout.rows[source] < layout.rows[target]
        assert len(route) == layout.rows[target] - layout.rows[source] - 1


def test_crossings_are_counted_as_by_eye() -> None:
    links = [(0, 3, 1.0), (1, 2, 1.0), (1, 3, 1.0)]
    assert crossings([[0, 1], [2, 3]], links) == 1  # 0-3 and 1-2
    assert crossings([[0, 1], [3, 2]], links) == 0
    # and the places found have none where none are needed
    layout = place([30.0] * 6, [(0, 1), (0, 2), (1, 4), (2, 3), (3, 5), (4, 5)], gap=10, lane=5)
    assert (layout.xs[1] < layout.xs[2]) == (layout.xs[4] < layout.xs[3])


def test_what_everything_goes_through_stands_in_one_line() -> None:
    diagram = sketch(on(PreActResNet(depth=20)))
    layout = place([60.0] * len(diagram.nodes), diagram.edges, gap=20, lane=8)
    sums = [layout.xs[i] for i, node in enumerate(diagram.nodes) if node.kind == "sum"]
    assert max(sums) - min(sums) < 0.5
