"""Fractal networks: blocks in a row, and which of their paths a mini-batch trains.

Shapes: N images, C channels, H height, W width, K classes.
Source: Larsson et al. 2017, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import cast, final

import torch
from torch import Tensor, nn

from workloads.networks.fractal_block import FractalBlock, Joins, LayerForm
from workloads.networks.fractal_configs import FractalColumn, FractalNet, FractalNetImageNet
from workloads.networks.fractal_fields import FULL, DropPath, Joined
from workloads.networks.imagenet_nets import stem
from workloads.networks.layers import Head, given, norm_of


@final
class DropPaths:
    """Draws which inputs of its joins a mini-batch trains.

    Source: Larsson et al. 2017, section 3.1. A mean over what is kept needs no rescaling.
    """

    def __init__(self, kind: DropPath, local_rate: float) -> None:
        """Takes the kind and the probability that local drop-path drops an input."""
        self._kind, self._rate = kind, local_rate

    def draw(self, blocks: list[FractalBlock], generator: torch.Generator) -> list[Joins] | None:
        """Returns the joins of each block, or None for all; the generator advances equally every time.

        Args:
            blocks: In order.
            generator: On the CPU.
        """
        if self._kind == "none":
            return None
        # one number for the coin, one for the column, for each join one an input and one for the survivor
        count = 2 + sum(len(joined) + 1 for block in blocks for joined in block.joins.values())
        numbers = iter(torch.rand(count, generator=generator, dtype=torch.float64).tolist())
        coin, column = next(numbers), next(numbers)
        if self._kind == "global" or (self._kind == "mixed" and coin < 0.5):
            kept = int(column * len(blocks[0].columns))
            return [block.alone(kept) for block in blocks]
        return [
            {place: self._local(joined, numbers) for place, joined in block.joins.items()} for block in blocks
        ]

    def _local(self, joined: tuple[int, ...], numbers: Iterator[float]) -> tuple[int, ...]:
        chances = [next(numbers) for _ in joined]
        survivor = joined[int(next(numbers) * len(joined))]
        kept = tuple(column for column, chance in zip(joined, chances, strict=True) if chance >= self._rate)
        return kept or (survivor,)


@final
class FractalNetwork(nn.Module):
    """Blocks, average pooling, one fully connected layer; a single column is one with one column.

    Attributes:
        blocks: In order.
        column_names: Names of the columns, from the shallowest.
        evaluated: What can be run alone: every column, and "full" where there are several.
    """

    def __init__(self, config: FractalNet | FractalColumn | FractalNetImageNet) -> None:
        super().__init__()
        if isinstance(config, FractalNetImageNet):
            self.stem: nn.Module = stem(config)
            inputs = config.scaled(64)
        else:
            self.stem, inputs = nn.Identity(), given(config, "in_channels")
        # every column's last layers are joined at the width of the widest
        sizes = [inputs, *(max(widths) for widths in config.widths)]
        self.blocks = nn.ModuleList(
            FractalBlock(
                size,
                widths,
                config.layers,
                kernels=config.kernels if isinstance(config, FractalNet) else "3x3",
                form=LayerForm(norm=norm_of(config), caffe=config.norm == "caffe", dropout=rate),
                pool=position < config.pooled,
            )
            for position, ((size, _), widths, rate) in enumerate(
                zip(pairwise(sizes), config.widths, config.rates, strict=True)
            )
        )
        self.head = Head(sizes[-1], given(config, "classes"))
        self.column_names, self.evaluated = config.column_names, config.evaluated
        self._drop_paths = DropPaths("none", 0.0)
        if isinstance(config, Joined):
            self._drop_paths = DropPaths(config.drop_path, config.local_rate)
        self._drawn: list[Joins] | None = None
        paths = isinstance(config, Joined) and config.drop_path != "none"
        self._draws = paths or any(config.rates)

    def draw(self, generator: torch.Generator) -> None:
        """Decides what the next forward pass in training mode averages; see `Drawn`."""
        self._drawn = self._drop_paths.draw(list(self._fractal_blocks()), generator)

    @property
    def draws(self) -> bool:
        """Returns whether mini-batches leave out paths or values."""
        return self._draws

    @property
    def drawn(self) -> list[Joins] | None:
        """Returns what the next forward pass in training mode averages in each block, or None for all."""
        return self._drawn

    def forward(self, x_NCHW: Tensor, column: str | None = None) -> Tensor:
        """Returns logits_NK.

        Args:
            x_NCHW: Images.
            column: Name of the column to compute alone, or "full" for all of them; None for all, less what
                drop-path drops in training mode.

        Raises:
            ValueError: The network has no such column.
        """
        x_NCHW = self.stem(x_NCHW)
        for block, joins in zip(self._fractal_blocks(), self._joins(column), strict=True):
            x_NCHW = block(x_NCHW, joins)
        return cast(Tensor, self.head(x_NCHW))

    def _joins(self, column: str | None) -> list[Joins]:
        if column is None and self.training and self._drawn is not None:
            return self._drawn
        if column is None or column == FULL:
            return [block.joins for block in self._fractal_blocks()]
        if column not in self.column_names:
            known = ", ".join((*self.column_names, FULL))
            raise ValueError(f"column: got {column!r}, allowed is one of {known}")
        return [block.alone(self.column_names.index(column)) for block in self._fractal_blocks()]

    def _fractal_blocks(self) -> Iterator[FractalBlock]:
        for block in self.blocks:
            assert isinstance(block, FractalBlock)
            yield block


def column_state(state: dict[str, Tensor], column: int) -> dict[str, Tensor]:
    """Returns a column's part of a fractal network's state dict, as a `fractal_column` loads it.

    Args:
        state: State dict of a `fractalnet` whose columns have equal channels.
        column: From 1.

    Raises:
        ValueError: There is no such column, or it has widening convolutions, which a column alone has not.
    """
    if any(".widenings." in key for key in state):
        raise ValueError(
            "column_channels: got a network whose columns differ in channels; only columns of equal channels "
            "are plain nets (forward(x, column=...) runs any)"
        )
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        before, middle, after = key.partition(".columns.")
        if not middle:
            found[key] = value
            continue
        number, _, rest = after.partition(".")
        if int(number) == column - 1:
            found[f"{before}{middle}0.{rest}"] = value
    if not any(".columns." in key for key in found):
        raise ValueError(f"column: got {column}, which is not a column of the network; they count from 1")
    return found
