"""One fractal block: columns of layers that are joined wherever they meet.

With the deepest column's layers counted 1, 2, ..., D, a column of n layers ends one at every D / n-th. The
value at a place is the mean over the columns that end there, and each column's layer reads the value at the
place where its last one ended. That is equation 2 with neighbouring joins collapsed into one.

Shapes: N images, C channels, H height, W width.
Source: Larsson et al. 2017, section 3, equations 1 and 2, Figure 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from workloads.networks.fractal_configs import Kernels
from workloads.networks.layers import Norm, sided

# place -> columns whose outputs are averaged there; places that nothing leads to may be missing
Joins: TypeAlias = Mapping[int, tuple[int, ...]]


@fx.wrap
def mean(inputs_NCHW: Sequence[Tensor]) -> Tensor:
    """Returns the mean of several tensors, element by element: one mean, not pairs of pairs."""
    if len(inputs_NCHW) == 1:
        return inputs_NCHW[0]
    total_NCHW = inputs_NCHW[0] + inputs_NCHW[1]
    for each_NCHW in inputs_NCHW[2:]:
        total_NCHW += each_NCHW
    total_NCHW /= len(inputs_NCHW)
    return total_NCHW


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LayerForm:
    """What all layers of a block have in common.

    Attributes:
        norm: Constants of batch normalisation.
        caffe: Whether convolutions have a bias and normalisation no scale and shift.
        dropout: Rate between convolution and normalisation.
    """

    norm: Norm
    caffe: bool
    dropout: float


@final
class Dropout(nn.Module):
    """Drops single values in training, and scales what it keeps.

    Attributes:
        rate: Probability that a value is dropped.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns the values that are kept, scaled."""
        return F.dropout(x_NCHW, self.rate, self.training) if self.rate else x_NCHW


@final
class FractalLayer(nn.Module):
    """Convolution, dropout, batch normalisation and ReLU.

    Source: Larsson et al. 2017, section 3.3; released template (dropout between convolution and
    normalisation).

    Args:
        inputs: Input channels.
        outputs: Output channels; several filter sizes share them as equally as they can.
        sides: Sides of the filters, each once.
        form: What the block's layers have in common.
    """

    def __init__(self, inputs: int, outputs: int, *, sides: Sequence[int], form: LayerForm) -> None:
        super().__init__()
        shares = [outputs * (i + 1) // len(sides) - outputs * i // len(sides) for i in range(len(sides))]
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, share, side, padding=side // 2, bias=form.caffe)
            for share, side in zip(shares, sides, strict=True)
            if share
        )
        norm = form.norm
        self.bn = nn.BatchNorm2d(outputs, eps=norm.eps, momentum=norm.momentum, affine=not form.caffe)
        self.dropout = Dropout(form.dropout)
        self._shares, self.sided = [share for share in shares if share], False

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns the layer's output, of the input's side."""
        parts_NCHW = [conv(x_NCHW) for conv in self.convs]
        y_NCHW = parts_NCHW[0] if len(parts_NCHW) == 1 else self._beside(parts_NCHW)
        return F.relu(self.bn(self.dropout(y_NCHW)), inplace=True)

    def _beside(self, parts_NCHW: Sequence[Tensor]) -> Tensor:
        """Returns the channels of several tensors, those of each replica together."""
        if not self.sided:
            return torch.cat(list(parts_NCHW), 1)
        split = [sided(each, share) for each, share in zip(parts_NCHW, self._shares, strict=True)]
        return torch.cat(split, 2).flatten(1, 2)


@final
class FractalBlock(nn.Module):
    """Intertwined columns and their joins.

    Attributes:
        columns: Layers of each column.
        joins: All places, with the columns that end there.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        layers: Sequence[int],
        *,
        kernels: Kernels,
        form: LayerForm,
        pool: bool,
    ) -> None:
        """Makes the layers.

        Args:
            inputs: Channels of the block's input.
            widths: Channels of each column.
            layers: Layers of each column, each a power of 2, growing.
            kernels: Sides of filters; see `FractalNet`.
            form: What the layers have in common.
            pool: Whether a 2x2 max pooling ends each column, before the last join.
        """
        super().__init__()
        self.depth = layers[-1]
        self.spans = tuple(self.depth // each for each in layers)
        self.joins: Joins = {
            place: tuple(column for column, span in enumerate(self.spans) if place % span == 0)
            for place in range(1, self.depth + 1)
        }
        # a join is as wide as the widest column in it
        sizes = {place: max(widths[each] for each in joined) for place, joined in self.joins.items()}
        sizes[0] = inputs
        self.columns = nn.ModuleList(
            nn.ModuleList(
                FractalLayer(sizes[position * span], width, sides=_sides(kernels, position, count), form=form)
                for position in range(count)
            )
            for width, count, span in zip(widths, layers, self.spans, strict=True)
        )
        # (column, place) where a thinner column meets a wider one
        self.widenings = nn.ModuleDict(
            {
                f"{column}_{place}": nn.Conv2d(widths[column], sizes[place], 1, bias=form.caffe)
                for place, joined in self.joins.items()
                for column in joined
                if widths[column] < sizes[place]
            }
        )
        self.outputs = sizes[self.depth]
        self._pool = pool

    def alone(self, column: int) -> Joins:
        """Returns the joins of one column's path: none has another input."""
        span = self.spans[column]
        return {place: (column,) for place in range(span, self.depth + 1, span)}

    def forward(self, x_NCHW: Tensor, joins: Joins) -> Tensor:
        """Returns the value at the last place; what does not lead to it is not computed.

        Args:
            x_NCHW: Input.
            joins: What is averaged at each place.
        """
        values = {0: x_NCHW}
        for place in self.needed(joins):
            values[place] = mean(
                [self.branch(each, place, values[place - self.spans[each]]) for each in joins[place]]
            )
        return values[self.depth]

    def needed(self, joins: Joins) -> list[int]:
        """Returns the places that lead to the last one, in order."""
        wanted = {self.depth}
        for place in range(self.depth, 0, -1):
            if place in wanted:
                wanted |= {place - self.spans[column] for column in joins[place]}
        return sorted(wanted - {0})

    def branch(self, column: int, place: int, x_NCHW: Tensor) -> Tensor:
        """Returns a column's input of the join at a place.

        Args:
            column: The column.
            place: Where its layer ends.
            x_NCHW: The value at the place where that layer begins.
        """
        layer = cast(nn.ModuleList, self.columns[column])[place // self.spans[column] - 1]
        y_NCHW = cast(Tensor, layer(x_NCHW))
        if self._pool and place == self.depth:
            y_NCHW = F.max_pool2d(y_NCHW, 2)
        key = f"{column}_{place}"
        return cast(Tensor, self.widenings[key](y_NCHW)) if key in self.widenings else y_NCHW


def _sides(kernels: Kernels, position: int, count: int) -> tuple[int, ...]:
    """Returns the sides of the filters of a column's layer."""
    if kernels == "3x3":
        return (3,)
    if kernels == "half" or count == 1:
        return (1, 3)
    return (3,) if position % 2 else (1,)
