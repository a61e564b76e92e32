"""The fields that fractal networks have in common, and their checks. Torch-free.

Source: Larsson et al. 2017, sections 3 and 4.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from workloads.networks import checks
from workloads.networks.common import Common, check_common

DropPath: TypeAlias = Literal["none", "local", "global", "mixed"]
LayerNorm: TypeAlias = Literal["affine", "caffe"]

FULL: Final = "full"
_MOST_COLUMNS: Final = 8
LOCAL_RATE: Final = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class FractalBlocks(Common):
    """The fields of a network of blocks, each of which a 2x2 max pooling may follow.

    Attributes:
        channels: Channels of each block, times the width.
        pools: Blocks that a 2x2 max pooling follows, from the first; None for all. Smaller images want fewer:
            8x8 digits allow 3.
        dropout: Rate in each block; empty for none. Larsson et al. 2017, section 4.1: 0, 0.1, 0.2, 0.3, 0.4.
        norm: "affine": convolutions without bias, normalisation with scale and shift; "caffe": with bias,
            without scale and shift (released template).
    """

    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    pools: int | None = None
    dropout: tuple[float, ...] = ()
    norm: LayerNorm = "affine"
    bn_eps: float = 1e-5

    @property
    def blocks(self) -> int:
        """Blocks."""
        return len(self.channels)

    @property
    def pooled(self) -> int:
        """Blocks that a pooling follows."""
        return self.blocks if self.pools is None else self.pools

    @property
    def rates(self) -> tuple[float, ...]:
        """Rate of dropout in each block."""
        return self.dropout or (0.0,) * self.blocks

    @property
    @abstractmethod
    def layers(self) -> tuple[int, ...]:
        """Convolutions of each column in one block."""

    @property
    @abstractmethod
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, from the shallowest."""

    @property
    def evaluated(self) -> tuple[str, ...]:
        """What can be evaluated alone: every column, and the whole network where it has several."""
        return (*self.column_names, FULL) if len(self.column_names) > 1 else self.column_names

    def column_depth(self, name: str) -> int:
        """Returns the convolutions of a column, or of the whole network's longest path."""
        deepest = self.layers[-1] if name == FULL else self.layers[self.column_names.index(name)]
        return self.blocks * deepest

    @property
    def widths(self) -> tuple[tuple[int, ...], ...]:
        """Channels of each column's convolutions in each block."""
        return tuple((self.scaled(each),) * len(self.layers) for each in self.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(FractalBlocks):
    """The fields of a network whose columns are joined.

    Attributes:
        columns: C. The k-th column has 2^(k-1) convolutions in each block.
        drop_path: Which inputs of joins a mini-batch trains: "local" drops each with `local_rate`, and keeps
            at least one; "global" keeps one column in the whole network; "mixed" tosses a coin between the
            two for every mini-batch.
        local_rate: Probability that local drop-path drops an input.
    """

    columns: int = 3
    drop_path: DropPath = "none"
    local_rate: float = LOCAL_RATE

    @property
    def layers(self) -> tuple[int, ...]:
        """Convolutions of each column in one block."""
        return tuple(2**column for column in range(self.columns))

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, from the shallowest: "1" has one convolution in each block."""
        return tuple(str(column + 1) for column in range(self.columns))


def check_blocks(config: FractalBlocks, *, side: int | None) -> None:
    """Checks the fields of blocks.

    Args:
        config: Its lists become tuples, its rates floats.
        side: Of the first block's input in pixels, or None where it is not known yet.
    """
    check_common(config)
    object.__setattr__(config, "channels", tuple(config.channels))
    if not config.channels:
        raise ValueError("channels must name the channels of at least one block; got an empty list")
    for value in config.channels:
        checks.whole("each of channels", value, least=1)
        check_whole(config, value)
    checks.one_of("norm", config.norm, ("affine", "caffe"))
    object.__setattr__(
        config, "dropout", tuple(checks.real("each of dropout", each) for each in config.dropout)
    )
    if config.dropout and len(config.dropout) != config.blocks:
        raise ValueError(
            f"dropout must name a rate for each of the {config.blocks} blocks, or none; "
            f"got {len(config.dropout)}"
        )
    for rate in config.dropout:
        if not 0 <= rate < 1:
            raise ValueError(f"each of dropout must be at least 0 and less than 1, got {rate!r}")
    if config.pools is not None:
        checks.whole("pools", config.pools, least=0)
        if config.pools > config.blocks:
            raise ValueError(f"pools must be at most the {config.blocks} blocks; got {config.pools}")
    if side is not None and side < 2**config.pooled:
        allowed = side.bit_length() - 1
        raise ValueError(
            f"input_size {config.input_size} is too small for {config.pooled} max poolings: they need a side "
            f"of at least {2**config.pooled} at the first block, which has {side}; "
            f"set network.pools to at most {allowed}, or take larger images (data.size, where there is one)"
        )


def check_joins(config: Joined) -> None:
    """Checks the fields of joins, and leaves the rate as a float."""
    check_columns("columns", config.columns)
    checks.one_of("drop_path", config.drop_path, ("none", "local", "global", "mixed"))
    object.__setattr__(config, "local_rate", checks.real("local_rate", config.local_rate))
    if not 0 <= config.local_rate <= 1:
        raise ValueError(f"local_rate must be at least 0 and at most 1, got {config.local_rate!r}")


def check_columns(key: str, value: object) -> None:
    """Checks a number of columns, or the position of one."""
    checks.whole(key, value, least=1)
    assert isinstance(value, int)
    if value > _MOST_COLUMNS:
        raise ValueError(
            f"{key} must be at most {_MOST_COLUMNS}, for a column has twice the layers of the one before it; "
            f"got {value}"
        )


def check_whole(config: Common, value: int) -> None:
    """Checks that the width leaves a whole number of channels."""
    if value * config.width != int(value * config.width):
        raise ValueError(f"width must give whole channels; got {value} x {config.width!r}")
