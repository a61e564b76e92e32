"""Fractal networks against a slow recursion, counts by hand, paths enumerated, columns taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from workloads import streams
from workloads.networks.build import build, initialise
from workloads.networks.configs import (
    FractalColumn,
    FractalNet,
    FractalNetImageNet,
    Network,
)
from workloads.networks.describe import describe, path_lengths
from workloads.networks.fractal import FractalNetwork, column_state
from workloads.networks.fractal_block import FractalBlock, mean
from workloads.networks.operations import operations

THIN = (16, 32, 64, 128, 128)
SMALL = (6, 8)
FORTY: dict[str, Any] = {"columns": 4, "column_channels": (128, 64, 32, 16)}


def on(config: Network, *, classes: int = 100, channels: int = 3, size: int = 32) -> Any:
    return replace(config, classes=classes, in_channels=channels, input_size=size)


def net_of(config: Any, *, seed: int = 0) -> FractalNetwork:
    """In double precision on 8x8 images, with running statistics that are not those of its initialisation."""
    net = build(on(config, classes=5, channels=2, size=8)).double()
    initialise(net, streams.generator("initialisation", seed))
    random = torch.Generator().manual_seed(seed)
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(generator=random)
            part.running_var.uniform_(0.5, 2, generator=random)
            if part.affine:
                with torch.no_grad():
                    part.weight.uniform_(0.5, 2, generator=random)
                    part.bias.normal_(generator=random)
    assert isinstance(net, FractalNetwork)
    return net


def images(count: int = 6) -> Tensor:
    return torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


# --- joins and the recursion ------------------------------------------------------------------------


def test_a_join_is_one_mean_and_no_pair_of_pairs() -> None:
    found = mean([torch.zeros(2), torch.zeros(2), torch.full((2,), 3.0)])
    assert found.tolist() == [1.0, 1.0]  # pairs would give 0.75 or 1.5
    one = torch.ones(2)
    assert mean([one]) is one


class Recursion:
    """Equation 2, f_{C+1}(z) = [(f_C o f_C)(z)] join [conv(z)], as it stands, neighbouring joins made one.

    `open` is a fractal whose last join is yet to be done: the list of what it averages. The layers of a
    column are taken one after another, as the recursion reaches them.
    """

    def __init__(self, net: FractalNetwork, block: int) -> None:
        self.state = {key: value for key, value in net.state_dict().items()}
        self.at = f"blocks.{block}.columns"
        self.used: Counter[int] = Counter()
        self.training = net.training

    def conv(self, column: int, z: Tensor) -> Tensor:
        prefix = f"{self.at}.{column}.{self.used[column]}"
        self.used[column] += 1
        get = self.state.get
        y = F.conv2d(z, self.state[f"{prefix}.convs.0.weight"], get(f"{prefix}.convs.0.bias"), padding=1)
        if self.training:
            center, spread = y.mean((0, 2, 3)), y.var((0, 2, 3), correction=0)
        else:
            center, spread = self.state[f"{prefix}.bn.running_mean"], self.state[f"{prefix}.bn.running_var"]
        y = (y - center[:, None, None]) / (spread[:, None, None] + 1e-5).sqrt()
        if f"{prefix}.bn.weight" in self.state:
            scale, shift = self.state[f"{prefix}.bn.weight"], self.state[f"{prefix}.bn.bias"]
            y = y * scale[:, None, None] + shift[:, None, None]
        return y.clamp(min=0)

    def open(self, column: int, columns: int, z: Tensor) -> list[Tensor]:
        """The inputs of the last join of f of so many columns, the shallowest of which is `column`."""
        if columns == 1:
            return [self.conv(column, z)]
        shallow = self.conv(column, z)
        first = self.open(column + 1, columns - 1, z)
        return [shallow, *self.open(column + 1, columns - 1, torch.stack(first).mean(0))]


def blocks_of(net: FractalNetwork) -> list[FractalBlock]:
    return [block for block in net.blocks if isinstance(block, FractalBlock)]


def recursion(net: FractalNetwork, columns: int, pools: int, x: Tensor) -> Tensor:
    for block in range(len(net.blocks)):
        inputs = Recursion(net, block).open(0, columns, x)
        if block < pools:
            inputs = [F.max_pool2d(each, 2) for each in inputs]
        x = torch.stack(inputs).mean(0)
    state = net.state_dict()
    logits: Tensor = x.mean((2, 3)) @ state["head.fc.weight"].T + state["head.fc.bias"]
    return logits


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
@pytest.mark.parametrize("norm", ["affine", "caffe"])
@pytest.mark.parametrize("training", [False, True])
def test_blocks_are_the_recursion(columns: int, norm: Any, training: bool) -> None:
    net = net_of(FractalNet(columns=columns, channels=SMALL, pools=1, norm=norm)).train(training)
    expected = recursion(net, columns, 1, images())
    torch.testing.assert_close(net(images()), expected, rtol=0, atol=1e-10)


def test_columns_are_pooled_before_the_last_join() -> None:
    """The mean of maxima is no maximum of means."""
    net = net_of(FractalNet(columns=2, channels=(6,))).eval()
    state = net.state_dict()
    inputs = Recursion(net, 0).open(0, 2, images())
    after = F.max_pool2d(torch.stack(inputs).mean(0), 2)
    other = after.mean((2, 3)) @ state["head.fc.weight"].T + state["head.fc.bias"]
    assert (net(images()) - other).abs().max() > 1e-3


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_paths_and_depths_are_those_of_the_recursion(columns: int) -> None:
    def lengths(columns: int) -> Counter[int]:
        """Convolutions of a path through f_C -> how many paths: through f_{C-1} twice, or one convolution."""
        if columns == 1:
            return Counter({1: 1})
        inner = lengths(columns - 1)
        found = Counter({1: 1})
        for a, m in inner.items():
            for b, n in inner.items():
                found[a + b] += m * n
        return found

    one = lengths(columns)
    expected: Counter[int] = Counter({1: 1})  # the fully connected layer
    for _ in range(2):
        longer: Counter[int] = Counter()
        for a, m in expected.items():
            for b, n in one.items():
                longer[a + b] += m * n
        expected = longer
    config = on(FractalNet(columns=columns, channels=(16, 32)))
    assert path_lengths(config) == dict(sorted(expected.items()))
    assert sum(one.values()) == {1: 1, 2: 2, 3: 5, 4: 26}[columns]  # by hand: p -> p^2 + 1
    assert max(one) == 2 ** (columns - 1)
    assert config.printed_depth == 2 * 2 ** (columns - 1)
    arities = [len(joined) for joined in blocks_of(net_of(config))[0].joins.values() if len(joined) > 1]
    assert arities == {1: [], 2: [2], 3: [2, 3], 4: [2, 3, 2, 4]}[columns]


def test_the_printed_depths_of_tables_3_and_4() -> None:
    assert [FractalNet(columns=each).printed_depth for each in range(1, 7)] == [5, 10, 20, 40, 80, 160]
    assert [FractalColumn(column=each).printed_depth for each in range(1, 5)] == [5, 10, 20, 40]
    assert FractalNetImageNet().printed_depth == 34


# --- counts -----------------------------------------------------------------------------------------


def by_hand(
    columns: Sequence[int], channels: Sequence[int], classes: int, *, caffe: bool = False, image: int = 3
) -> int:
    """Added up from the shapes: each column's first convolution reads the block's input."""
    total, inputs = 0, image
    for outputs in channels:
        for count in columns:
            total += 9 * inputs * outputs + (count - 1) * 9 * outputs**2
            total += count * (outputs if caffe else 2 * outputs)
        inputs = outputs
    return total + (inputs + 1) * classes


@pytest.mark.parametrize(
    ("columns", "count"), [(1, 258_292), (2, 847_716), (4, 4_778_820), (5, 10_184_692), (6, 21_095_076)]
)
def test_counts_of_table_3(columns: int, count: int) -> None:
    found = describe(on(FractalNet(columns=columns, channels=THIN)))["parameters"]
    assert found == count == by_hand([2**each for each in range(columns)], THIN, 100)


@pytest.mark.parametrize(("norm", "count"), [("affine", 33_770_788), ("caffe", 33_760_484)])
def test_counts_of_fractalnet_20(norm: Any, count: int) -> None:
    channels = (64, 128, 256, 512, 512)
    assert describe(on(FractalNet(norm=norm)))["parameters"] == count
    assert count == by_hand([1, 2, 4], channels, 100, caffe=norm == "caffe")


@pytest.mark.parametrize("column", [1, 2, 3, 4])
@pytest.mark.parametrize(("width", "classes"), [(1.0, 100), (0.5, 10), (2.0, 7)])
def test_counts_of_single_columns_follow_one_rule(column: int, width: float, classes: int) -> None:
    config = on(FractalColumn(column=column, channels=THIN, width=width), classes=classes)
    expected = by_hand([2 ** (column - 1)], [int(each * width) for each in THIN], classes)
    assert describe(config)["parameters"] == expected


def test_the_count_of_fractalnet_34() -> None:
    stem = 49 * 3 * 64 + 2 * 64
    channels, columns, inputs, total = (128, 256, 512, 1024), (1, 2, 4, 8), 64, 0
    for outputs in channels:
        total += sum(9 * inputs * outputs + (n - 1) * 9 * outputs**2 + 2 * n * outputs for n in columns)
        inputs = outputs
    found = describe(on(FractalNetImageNet(), classes=1000, size=224))
    assert found["parameters"] == stem + total + 1025 * 1000 == 164_031_016
    assert found["longest_path"] == 34
    shallower = on(FractalNetImageNet(pools=3), classes=1000, size=224)
    assert describe(shallower)["parameters"] == found["parameters"]


def test_the_count_of_the_forty_layer_net_follows_its_shapes() -> None:
    """Joins as wide as their widest column; thinner ones widened by 1x1 filters without bias."""
    widths, counts, total, inputs = [128, 64, 32, 16], [1, 2, 4, 8], 0, 3
    for growth in (1, 2, 4, 8, 8):
        sizes = {0: inputs}
        for place in range(1, 9):
            joined = [c for c in range(4) if place % (8 // counts[c]) == 0]
            sizes[place] = growth * max(widths[c] for c in joined)
        for c, count in enumerate(counts):
            span, width = 8 // count, growth * widths[c]
            for position in range(count):
                read, place = sizes[position * span], (position + 1) * span
                filters = width * (9 if position % 2 else 1)
                if count == 1:  # half of each
                    filters = width // 2 + width // 2 * 9
                total += read * filters + 2 * width
                if width < sizes[place]:
                    total += width * sizes[place]
        inputs = sizes[8]
    total += (inputs + 1) * 100
    config = on(FractalNet(**FORTY, kernels="alternating"))
    assert describe(config)["parameters"] == total
    assert config.printed_depth == 40


def test_operations_of_columns() -> None:
    """By hand: 2 x 9 x inputs x outputs for each pixel of each convolution, and the last layer."""
    config = on(FractalNet(columns=3, channels=(16, 32)), size=8)
    for name, layers in (("1", 1), ("2", 2), ("3", 4)):
        expected, inputs, side = 0, 3, 8
        for outputs in (16, 32):
            expected += 2 * 9 * side**2 * (inputs * outputs + (layers - 1) * outputs**2)
            inputs, side = outputs, side // 2
        assert operations(config, column=name).flops == expected + 2 * 32 * 100
    assert operations(config, column="full").flops == operations(config).flops == describe(config)["flops"]


# --- columns alone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("column", [1, 2, 3])
@pytest.mark.parametrize("training", [False, True])
def test_a_column_taken_out_is_the_plain_net(column: int, training: bool) -> None:
    whole = net_of(FractalNet(columns=3, channels=SMALL, pools=1)).train(training)
    alone = net_of(FractalColumn(column=column, channels=SMALL, pools=1), seed=5).train(training)
    alone.load_state_dict(column_state(whole.state_dict(), column))
    expected = alone(images())
    torch.testing.assert_close(whole(images(), column=str(column)), expected, rtol=0, atol=0)
    assert sum(1 for each in alone.modules() if isinstance(each, torch.nn.Conv2d)) == 2 * 2 ** (column - 1)


def test_a_column_taken_out_starts_where_the_training_left_it() -> None:
    whole = net_of(FractalNet(columns=2, channels=SMALL, pools=1))
    taken = column_state(whole.state_dict(), 2)
    assert torch.equal(
        taken["blocks.1.columns.0.1.bn.running_mean"],
        whole.state_dict()["blocks.1.columns.1.1.bn.running_mean"],
    )
    with pytest.raises(ValueError, match="got 3, which is not a column"):
        column_state(whole.state_dict(), 3)
    wide = net_of(FractalNet(columns=2, channels=SMALL, pools=1, column_channels=(6, 3)))
    with pytest.raises(ValueError, match="columns differ in channels"):
        column_state(wide.state_dict(), 1)


def test_columns_of_unequal_width_run_alone() -> None:
    net = net_of(
        FractalNet(columns=3, channels=(8, 16), pools=1, column_channels=(8, 4, 2), kernels="half")
    ).eval()
    with torch.no_grad():
        outputs = [net(images(), column=name) for name in net.column_names]
        assert len({float(each.sum()) for each in [*outputs, net(images())]}) == 4
    assert all(each.shape == (6, 5) for each in outputs)
    assert torch.equal(net(images(), column="full"), net(images()))
    with pytest.raises(ValueError, match="column: got '4', allowed is one of 1, 2, 3, full"):
        net(images(), column="4")


def test_forward_and_backward_reach_every_parameter() -> None:
    for config in (
        FractalNet(columns=3, channels=SMALL, pools=2, dropout=(0.0, 0.4), norm="caffe"),
        FractalNet(columns=4, channels=(8, 16), pools=1, column_channels=(8, 4, 2, 1), kernels="alternating"),
    ):
        net = net_of(config)
        net(images()).logsumexp(1).sum().backward()
        assert all(each.grad is not None and bool(each.grad.isfinite().all()) for each in net.parameters())
    with torch.device("meta"):
        large = build(on(FractalNetImageNet(), classes=1000, size=224))
        assert large(torch.empty(2, 3, 224, 224)).shape == (2, 1000)


def test_the_network_of_one_column_is_that_column() -> None:
    outputs = [
        net_of(each).eval()(images())
        for each in (FractalNet(columns=1, channels=SMALL, pools=1), FractalColumn(channels=SMALL, pools=1))
    ]
    assert torch.equal(*outputs)
