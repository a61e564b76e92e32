"""The parts that all networks are made of.

Shapes: N images, C channels, H height, W width, K classes.
Source: Zhao et al. 2016, section 6.2: Conv-BN-ReLU with 3x3 filters is the basic layer; every "+" of the
fused nets sits between batch normalisation and ReLU. Convolutions have no bias; a layer strides by 2 exactly
where the channels change (released code, base.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, final

import torch.nn.functional as F
from torch import Tensor, nn

from workloads.networks.common import Common, ThreeGroups


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """Constants of batch normalisation.

    Attributes:
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
    """

    eps: float
    momentum: float


@final
class ConvBN(nn.Module):
    """Convolution without bias, batch normalisation and, unless a sum follows, ReLU.

    Args:
        inputs: Input channels.
        outputs: Output channels; the layer strides by 2 if they differ and `stride` does not say otherwise.
        kernel: Side of the filter, 3 or 1.
        stride: Given for the stem, whose channels change but not its side.
        relu: Whether ReLU ends the layer.
        norm: Constants of batch normalisation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 3,
        stride: int | None = None,
        relu: bool = True,
        norm: Norm,
    ) -> None:
        super().__init__()
        self.conv = conv(inputs, outputs, kernel=kernel, stride=stride)
        self.bn = nn.BatchNorm2d(outputs, eps=norm.eps, momentum=norm.momentum)
        self.relu = relu

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns the layer's output; its side is halved (rounded up) where the layer strides."""
        y_NCHW = cast(Tensor, self.bn(self.conv(x_NCHW)))
        # In place: the backward pass of batch normalisation reads its input, never its output.
        return F.relu(y_NCHW, inplace=True) if self.relu else y_NCHW


@final
class Fusion(nn.Module):
    """ReLU of the sum of several branches that read the same input.

    Source: Zhao et al. 2016, section 3 (summation as the combinator H_k) and section 6.2.
    """

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns relu(branch_1(x) + branch_2(x) + ...), summed in that order."""
        first, *others = self.branches
        total_NCHW = first(x_NCHW)
        for branch in others:
            total_NCHW = total_NCHW + branch(x_NCHW)
        return F.relu(total_NCHW)


@final
class Head(nn.Module):
    """Global average pooling and a fully connected layer with bias."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns logits_NK."""
        return cast(Tensor, self.fc(x_NCHW.mean(dim=(2, 3))))


@final
class Classifier(nn.Module):
    """Stem, groups one after another, head: the shape of every network with a single line."""

    def __init__(self, config: ThreeGroups, groups: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stem = stem(config)
        self.groups = nn.Sequential(*groups)
        self.head = head(config)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns logits_NK."""
        return cast(Tensor, self.head(self.groups(self.stem(x_NCHW))))


def conv(inputs: int, outputs: int, *, kernel: int = 3, stride: int | None = None) -> nn.Conv2d:
    """Returns a convolution without bias that keeps the side, or halves it where the channels change."""
    if stride is None:
        stride = 1 if inputs == outputs else 2
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def chain(inputs: int, outputs: int, *, layers: int, norm: Norm, last_relu: bool = True) -> nn.Sequential:
    """Returns `layers` 3x3 layers; `last_relu` False leaves the last ReLU to the sum that follows."""
    return nn.Sequential(
        *(
            ConvBN(inputs if i == 0 else outputs, outputs, relu=last_relu or i < layers - 1, norm=norm)
            for i in range(layers)
        )
    )


def shortcut(inputs: int, outputs: int, *, norm: Norm) -> nn.Module:
    """Returns the identity, or a 1x1 convolution with batch normalisation where the channels change."""
    if inputs == outputs:
        return nn.Identity()
    return ConvBN(inputs, outputs, kernel=1, relu=False, norm=norm)


def sided(x_NCHW: Tensor, channels: int) -> Tensor:
    """Returns a view (N, replicas, C of one, H, W) of replicas side by side; see `fused`."""
    return x_NCHW.view(len(x_NCHW), -1, channels, *x_NCHW.shape[2:])


def norm_of(config: Common) -> Norm:
    """Returns the configuration's constants of batch normalisation."""
    return Norm(eps=config.bn_eps, momentum=config.bn_momentum)


def stem(config: ThreeGroups) -> ConvBN:
    """Returns the first layer, which keeps the image's side."""
    return ConvBN(given(config, "in_channels"), config.channels[0], stride=1, norm=norm_of(config))


def head(config: ThreeGroups) -> Head:
    """Returns the last layer."""
    return Head(config.channels[2], given(config, "classes"))


def group_channels(config: ThreeGroups) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Returns (input channels, output channels) of each group."""
    first, second, third = config.channels
    return (first, first), (first, second), (second, third)


def given(config: Common, key: str) -> int:
    """Returns a field that the data set fills.

    Raises:
        ValueError: It is still None.
    """
    value = getattr(config, key)
    if value is None:
        raise ValueError(
            f"network.{key} is not set: give it, or fill it from the data set "
            f"(the workload's canonical() does)"
        )
    return int(value)
