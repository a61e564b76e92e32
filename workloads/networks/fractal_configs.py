"""The fractal networks of Larsson et al. 2017 and their columns, as configurations. Torch-free.

kind                  what it is                                              printed depth
fractalnet            blocks of C intertwined columns, pooled                 blocks x 2^(C-1)
fractal_column        one column alone: a plain net                           blocks x 2^(column-1)
fractalnet_imagenet   the same blocks behind ResNet-34's first layer          2 + blocks x 2^(C-1)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, final

from workloads.networks import checks
from workloads.networks.fractal_fields import (
    LOCAL_RATE,
    FractalBlocks,
    Joined,
    check_blocks,
    check_columns,
    check_joins,
    check_whole,
)

Kernels: TypeAlias = Literal["3x3", "alternating", "half"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FractalNet(Joined):
    """Blocks of intertwined columns of 1, 2, 4, ... convolutions, joined by their mean wherever they meet.

    A join is one mean over all columns that end there, and each of them goes on from it. Pooling is done in
    each column before the last join of a block (section 3.3).

    Source: Larsson et al. 2017, equations 1 and 2, Figure 1, section 4. The 40-layer network of Table 1
    (footnote 2) has `column_channels` (128, 64, 32, 16) and a mix of filters; the paper leaves open how
    filters mix and how wide joins are, so `kernels` and the width of joins are readings of it.

    Attributes:
        name: The kind.
        column_channels: Channels of each column in the first block, the shallowest first, times the width;
            in later blocks they grow as `channels` do. A linear 1x1 convolution widens thinner columns to the
            widest that joins. None: all columns of a block have its channels.
        kernels: "3x3"; "half": each layer has half its filters 1x1, half 3x3; "alternating": layers of a
            column are 1x1 and 3x3 in turn, from 1x1, and a column of one layer has half of each.
    """

    name: Literal["fractalnet"] = "fractalnet"
    column_channels: tuple[int, ...] | None = None
    kernels: Kernels = "3x3"

    def __post_init__(self) -> None:
        """Checks every field."""
        check_blocks(self, side=self.input_size)
        check_joins(self)
        checks.one_of("kernels", self.kernels, ("3x3", "alternating", "half"))
        if self.column_channels is not None:
            _check_column_channels(self)

    @property
    def printed_depth(self) -> int:
        """Convolutions on the longest path: the paper counts no fully connected layer."""
        return self.blocks * self.layers[-1]

    @property
    def widths(self) -> tuple[tuple[int, ...], ...]:
        """Channels of each column's convolutions in each block."""
        if self.column_channels is None:
            return super(FractalNet, self).widths
        first = self.channels[0]
        return tuple(
            tuple(self.scaled(each) * channels // first for each in self.column_channels)
            for channels in self.channels
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FractalColumn(FractalBlocks):
    """One column of a fractal network, alone: a plain net with 2^(column-1) convolutions in each block.

    Source: Larsson et al. 2017, Table 4 (depths 5, 10, 20 and 40) and Figure 3, left.

    Attributes:
        name: The kind.
        column: From 1, as in Table 4.
    """

    name: Literal["fractal_column"] = "fractal_column"
    column: int = 1

    def __post_init__(self) -> None:
        """Checks every field."""
        check_columns("column", self.column)
        check_blocks(self, side=self.input_size)

    @property
    def printed_depth(self) -> int:
        """Convolutions: the paper counts no fully connected layer."""
        return self.blocks * self.layers[0]

    @property
    def layers(self) -> tuple[int, ...]:
        """Convolutions of the column in one block."""
        return (2 ** (self.column - 1),)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The column's name in the network that it could be a column of."""
        return (str(self.column),)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FractalNetImageNet(Joined):
    """FractalNet-34: four blocks of four columns between ResNet-34's first and last layers.

    Source: Larsson et al. 2017, section 4 and Table 2. Whether a pooling follows the last block is not said:
    section 3 has one after each block, ResNet-34 none after its last group; `pools` chooses.

    Attributes:
        name: The kind.
    """

    name: Literal["fractalnet_imagenet"] = "fractalnet_imagenet"
    channels: tuple[int, ...] = (128, 256, 512, 1024)
    columns: int = 4

    def __post_init__(self) -> None:
        """Checks every field."""
        # the first layer and its pooling each halve the side, rounding up
        side = None if self.input_size is None else -(-self.input_size // 4)
        check_blocks(self, side=side)
        check_joins(self)

    @property
    def printed_depth(self) -> int:
        """The first and the last layer, and the convolutions of the deepest column."""
        return 2 + self.blocks * self.layers[-1]


def canonical(
    network: FractalNet | FractalColumn | FractalNetImageNet,
) -> FractalNet | FractalColumn | FractalNetImageNet:
    """Returns the one configuration that stands for all that mean the same computation.

    What drops nothing is no drop-path, rates of 0 are no dropout, and a net of one column is that column.
    """
    pools = None if network.pools == network.blocks else network.pools
    dropout = network.dropout if any(network.dropout) else ()
    network = replace(network, pools=pools, dropout=dropout)
    if isinstance(network, FractalColumn):
        return network
    drop_path, rate = network.drop_path, network.local_rate
    if network.columns == 1 or (drop_path == "local" and rate == 0):
        drop_path = "none"
    network = replace(
        network, drop_path=drop_path, local_rate=rate if drop_path in ("local", "mixed") else LOCAL_RATE
    )
    if isinstance(network, FractalNetImageNet):
        return network
    if network.column_channels is not None:
        # of `channels` only the growth counts then: they are written as those of the widest column
        widest = max(network.column_channels)
        channels = tuple(widest * each // network.channels[0] for each in network.channels)
        equal = len(set(network.column_channels)) == 1
        column_channels = None if equal else network.column_channels
        network = replace(network, channels=channels, column_channels=column_channels)
    if network.columns == 1 and network.kernels == "3x3":
        return FractalColumn(
            column=1,
            channels=network.channels,
            pools=network.pools,
            dropout=network.dropout,
            norm=network.norm,
            width=network.width,
            classes=network.classes,
            in_channels=network.in_channels,
            input_size=network.input_size,
            bn_eps=network.bn_eps,
            bn_momentum=network.bn_momentum,
        )
    return network


def _check_column_channels(config: FractalNet) -> None:
    assert config.column_channels is not None
    object.__setattr__(config, "column_channels", tuple(config.column_channels))
    if len(config.column_channels) != config.columns:
        raise ValueError(
            f"column_channels must name the channels of each of the {config.columns} columns; "
            f"got {len(config.column_channels)}"
        )
    for value in config.column_channels:
        checks.whole("each of column_channels", value, least=1)
        check_whole(config, value)
        for channels in config.channels:
            if config.scaled(value) * channels % config.channels[0]:
                raise ValueError(
                    "column_channels must grow by whole channels as channels do: "
                    f"got {config.scaled(value)} x {channels} / {config.channels[0]}"
                )
