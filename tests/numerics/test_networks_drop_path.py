"""Drop-path and dropout: what is drawn how often, and what a network computes under a draw."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from workloads import streams
from workloads.networks.build import build, initialise
from workloads.networks.configs import FractalColumn, FractalNet
from workloads.networks.drawn import Drawn
from workloads.networks.fractal import FractalNetwork, column_state
from workloads.networks.fractal_block import FractalBlock, FractalLayer, Joins, LayerForm
from workloads.networks.layers import Norm

CHANNELS = (6, 8)
DRAWS = 10_000


def net_of(config: FractalNet | FractalColumn, *, seed: int = 0) -> FractalNetwork:
    net = build(replace(config, classes=5, in_channels=2, input_size=8)).double()
    initialise(net, streams.generator("initialisation", seed))
    assert isinstance(net, FractalNetwork)
    return net.train()


def dropping(kind: Any, *, columns: int = 3, rate: float = 0.15, **others: Any) -> FractalNetwork:
    return net_of(
        FractalNet(columns=columns, channels=CHANNELS, pools=1, drop_path=kind, local_rate=rate, **others)
    )


def blocks_of(net: FractalNetwork) -> list[FractalBlock]:
    return [block for block in net.blocks if isinstance(block, FractalBlock)]


def column_of(net: FractalNetwork) -> int | None:
    """The column that is drawn, or None if the draw is a local one."""
    drawn = net.drawn
    assert drawn is not None
    for column in range(len(net.column_names)):
        if drawn == [block.alone(column) for block in blocks_of(net)]:
            return column
    assert all(set(each) == set(block.joins) for each, block in zip(drawn, blocks_of(net), strict=True))
    return None


def images() -> Tensor:
    return torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def within(count: int, probability: float) -> bool:
    """Whether so many of `DRAWS` fit a probability: within 4.5 standard deviations."""
    deviation = math.sqrt(DRAWS * probability * (1 - probability))
    return abs(count - DRAWS * probability) < 4.5 * deviation


# --- what is drawn ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_local_drops_each_input_of_each_join_and_keeps_one(rate: float) -> None:
    """An input is kept if it is not dropped, or if all n are and it is the survivor: (1 - p) + p^n / n."""
    net = dropping("local", columns=4, rate=rate)
    generator = torch.Generator().manual_seed(0)
    kept: Counter[tuple[int, int, int]] = Counter()
    sizes: Counter[tuple[int, int, int]] = Counter()
    for _ in range(DRAWS):
        net.draw(generator)
        assert net.drawn is not None
        for number, joins in enumerate(net.drawn):
            for place, columns in joins.items():
                assert columns
                assert list(columns) == sorted(set(columns))
                sizes[number, place, len(columns)] += 1
                for column in columns:
                    kept[number, place, column] += 1
    for number, block in enumerate(blocks_of(net)):
        for place, columns in block.joins.items():
            n = len(columns)
            if n == 1:  # no join
                assert kept[number, place, columns[0]] == DRAWS
                continue
            for column in columns:
                assert within(kept[number, place, column], 1 - rate + rate**n / n)
            # independently: so many are kept as of n coins, but that none is one
            for size in range(1, n + 1):
                expected = math.comb(n, size) * (1 - rate) ** size * rate ** (n - size)
                expected += rate**n if size == 1 else 0
                assert within(sizes[number, place, size], expected)


def test_global_draws_one_column_for_the_whole_network() -> None:
    net = dropping("global")
    generator = torch.Generator().manual_seed(0)
    found: Counter[int | None] = Counter()
    for _ in range(DRAWS):
        net.draw(generator)
        found[column_of(net)] += 1
    assert set(found) == {0, 1, 2}
    assert all(within(count, 1 / 3) for count in found.values())


def test_mixed_tosses_a_coin_for_every_mini_batch() -> None:
    net = dropping("mixed")
    generator = torch.Generator().manual_seed(0)
    found: list[int | None] = []
    for _ in range(DRAWS):
        net.draw(generator)
        found.append(column_of(net))
    assert within(found.count(None), 0.5)
    assert all(within(found.count(column), 1 / 6) for column in range(3))
    # a coin, not in turns: neighbours agree half of the time
    changes = sum((a is None) != (b is None) for a, b in pairwise(found))
    assert within(changes, 0.5)


def test_the_stream_advances_equally_whatever_is_drawn() -> None:
    states = []
    for kind in ("local", "global", "mixed"):
        generator = torch.Generator().manual_seed(0)
        for _ in range(5):
            dropping(kind).draw(generator)
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_without_drop_path_nothing_is_drawn() -> None:
    for config in (
        FractalNet(columns=2, channels=CHANNELS, pools=1),
        FractalColumn(channels=CHANNELS, pools=1),
    ):
        net = net_of(config)
        assert isinstance(net, Drawn)
        generator = torch.Generator().manual_seed(0)
        before = generator.get_state()
        net.draw(generator)
        assert net.drawn is None
        assert torch.equal(generator.get_state(), before)


# --- what is computed -------------------------------------------------------------------------------


@pytest.mark.parametrize("column", [1, 2, 3])
def test_global_drop_path_is_the_columns_own_net(column: int) -> None:
    """Outputs, gradients and running statistics; what is not in the column is untouched."""
    net = dropping("global")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    net.draw(generator)
    while column_of(net) != column - 1:
        net.draw(generator)
    alone = net_of(FractalColumn(column=column, channels=CHANNELS, pools=1), seed=9)
    alone.load_state_dict(column_state(net.state_dict(), column))
    outputs = [each(images()) for each in (net, alone)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=0)
    for output in outputs:
        torch.autograd.backward(F.cross_entropy(output, torch.arange(6) % 5))
    named = {
        name: torch.zeros(0) if each.grad is None else each.grad for name, each in net.named_parameters()
    }
    gradients = column_state(named, column)
    for name, each in alone.named_parameters():
        assert each.grad is not None
        torch.testing.assert_close(gradients[name], each.grad, rtol=0, atol=1e-14)
    touched = column_state({name: torch.ones(()) for name in named}, column)
    assert sum(bool(each.numel()) for each in named.values()) == len(touched)
    after = net.state_dict()
    for name, value in column_state(after, column).items():
        assert torch.equal(value, alone.state_dict()[name])
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved
    assert all(f".columns.{column - 1}." in name for name in moved)


def test_a_join_divides_by_the_number_kept() -> None:
    net = dropping("none").eval()
    block = blocks_of(net)[0]
    x = images()
    first = {column: block.columns[column][0](x) for column in range(3)}  # type: ignore[index]
    deep = block.columns[2]
    middle = deep[1](first[2])  # type: ignore[index]
    second = block.columns[1][1](middle)  # type: ignore[index]
    third = deep[3](deep[2](middle))  # type: ignore[index]
    kept: Joins = {1: (2,), 2: (2,), 3: (2,), 4: (1, 2)}
    pooled = [F.max_pool2d(each, 2) for each in (second, third)]
    torch.testing.assert_close(block(x, kept), (pooled[0] + pooled[1]) / 2, rtol=0, atol=1e-12)
    one: Joins = {1: (2,), 2: (1, 2), 3: (2,), 4: (0,)}
    torch.testing.assert_close(block(x, one), F.max_pool2d(first[0], 2), rtol=0, atol=1e-12)


def test_what_leads_nowhere_is_not_run() -> None:
    net = dropping("none")
    ran: list[str] = []
    for name, part in net.named_modules():
        if isinstance(part, FractalLayer):
            part.register_forward_hook(lambda *_, name=name: ran.append(name))
    blocks_of(net)[0](images(), {1: (2,), 2: (1, 2), 3: (2,), 4: (0,)})
    assert ran == ["blocks.0.columns.0.0"]


def test_draws_are_for_training_alone() -> None:
    net = dropping("mixed")
    generator = torch.Generator().manual_seed(0)
    whole = net.eval()(images())
    for _ in range(5):
        net.draw(generator)
        assert torch.equal(net.eval()(images()), whole)
    assert not torch.equal(net.train()(images()), net.train()(images(), column="full"))


# --- dropout ----------------------------------------------------------------------------------------


def test_dropout_sits_between_convolution_and_normalisation() -> None:
    form = LayerForm(norm=Norm(eps=1e-5, momentum=0.1), caffe=False, dropout=0.4)
    layer = FractalLayer(2, 7, sides=(3,), form=form).double()
    (conv,) = layer.convs
    torch.manual_seed(3)
    found = layer(images())
    torch.manual_seed(3)
    dropped = F.dropout(conv(images()), 0.4, True)
    expected = F.relu(F.batch_norm(dropped, None, None, training=True, eps=1e-5))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert abs(float((dropped == 0).double().mean()) - 0.4) < 4.5 * math.sqrt(0.24 / dropped.numel())


def test_dropout_is_for_training_alone_and_at_its_blocks_rate() -> None:
    net = dropping("none", dropout=(0.0, 0.3))
    plain = dropping("none")
    assert torch.equal(net.eval()(images()), plain.eval()(images()))
    first = blocks_of(net)[0].train()
    joins = first.joins
    assert torch.equal(first(images(), joins), blocks_of(plain)[0].train()(images(), joins))
    assert not torch.equal(net.train()(images()), net.train()(images()))
    rates = [
        part.dropout.rate for block in blocks_of(net) for part in block.modules() if hasattr(part, "dropout")
    ]
    assert rates == [0.0] * 7 + [0.3] * 7
