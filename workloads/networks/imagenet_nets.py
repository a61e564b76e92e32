"""Post-activation networks for images of 224 x 224.

Shapes: N images, C channels, H height, W width, K classes.
Source: He et al. 2016, Table 1; Zhao et al. 2016, section 6.3 and released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, final

import torch.nn.functional as F
from torch import Tensor, nn

from workloads.networks.common import Common
from workloads.networks.imagenet import UNITS, DFN1ImageNet, DFN2ImageNet, DFNMRImageNet, ResNetImageNet
from workloads.networks.layers import ConvBN, Fusion, Head, Norm, given, norm_of

_GROUPS = 4


@final
class ImageNetClassifier(nn.Module):
    """Stem, groups one after another, head: the shape of every network here with a single line."""

    def __init__(self, config: Common, body: Sequence[nn.Module], channels: int) -> None:
        super().__init__()
        self.stem = stem(config)
        self.body = nn.Sequential(*body)
        self.head = Head(channels, given(config, "classes"))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns logits_NK."""
        return cast(Tensor, self.head(self.body(self.stem(x_NCHW))))


@final
class MergeAndRunBottlenecks(nn.Module):
    """A merge-and-run unit whose branches are bottlenecks; see `deep_fusion.MergeAndRun`."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, norm: Norm) -> None:
        super().__init__()
        self.short_a = projected(inputs, outputs, stride=stride, norm=norm)
        self.short_b = projected(inputs, outputs, stride=stride, norm=norm)
        self.branch_a = bottleneck(inputs, outputs, stride=stride, norm=norm)
        self.branch_b = bottleneck(inputs, outputs, stride=stride, norm=norm)

    def forward(self, a_NCHW: Tensor, b_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the two lines after the unit."""
        merged_NCHW = 0.5 * (self.short_a(a_NCHW) + self.short_b(b_NCHW))
        return F.relu(merged_NCHW + self.branch_a(a_NCHW)), F.relu(merged_NCHW + self.branch_b(b_NCHW))

    def join(self, a_NCHW: Tensor, b_NCHW: Tensor) -> Tensor:
        """Returns the end of the last unit: the merge once, both branches summed."""
        merged_NCHW = 0.5 * (self.short_a(a_NCHW) + self.short_b(b_NCHW))
        return F.relu(merged_NCHW + self.branch_a(a_NCHW) + self.branch_b(b_NCHW))


@final
class MergeAndRunImageNet(nn.Module):
    """Merge-and-run units in a row; both lines begin as the stem's output."""

    def __init__(self, config: DFNMRImageNet) -> None:
        super().__init__()
        norm = norm_of(config)
        self.stem = stem(config)
        units: list[MergeAndRunBottlenecks] = []
        inputs = config.scaled(64)
        for group, (count, outputs) in enumerate(zip(config.blocks, wide(config), strict=True)):
            for position in range(count):
                stride = 2 if group and not position else 1
                units.append(MergeAndRunBottlenecks(inputs, outputs, stride=stride, norm=norm))
                inputs = outputs
        self.units = nn.ModuleList(units)
        self.head = Head(inputs, given(config, "classes"))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns logits_NK."""
        a_NCHW = b_NCHW = self.stem(x_NCHW)
        *units, last = self.units
        for unit in units:
            a_NCHW, b_NCHW = unit(a_NCHW, b_NCHW)
        return cast(Tensor, self.head(cast(MergeAndRunBottlenecks, last).join(a_NCHW, b_NCHW)))


def resnet_imagenet(config: ResNetImageNet) -> ImageNetClassifier:
    """Returns the residual network; its parameters are those of torchvision's net of the same depth."""
    norm = norm_of(config)
    outputs_of = wide(config) if config.bottleneck else tuple(each // 4 for each in wide(config))
    branch = bottleneck if config.bottleneck else basic
    body: list[nn.Module] = []
    inputs = config.scaled(64)
    for group, (count, outputs) in enumerate(zip(config.units, outputs_of, strict=True)):
        for position in range(count):
            stride = 2 if group and not position else 1
            body.append(
                Fusion(
                    [
                        projected(inputs, outputs, stride=stride, norm=norm),
                        branch(inputs, outputs, stride=stride, norm=norm),
                    ]
                )
            )
            inputs = outputs
    return ImageNetClassifier(config, body, inputs)


def dfn_mr_imagenet(config: DFNMRImageNet) -> MergeAndRunImageNet:
    """Returns the merge-and-run net with bottleneck branches."""
    return MergeAndRunImageNet(config)


def dfn1_imagenet(config: DFN1ImageNet) -> ImageNetClassifier:
    """Returns our reading of DFN1: every fusion of ResNet-50 has a 1x1 convolution as its shortcut."""
    norm = norm_of(config)
    body: list[nn.Module] = []
    inputs = config.scaled(64)
    for group, (count, outputs) in enumerate(zip(UNITS[50], wide(config), strict=True)):
        for position in range(count):
            stride = 2 if group and not position else 1
            short = ConvBN(inputs, outputs, kernel=1, stride=stride, relu=False, norm=norm)
            body.append(Fusion([short, bottleneck(inputs, outputs, stride=stride, norm=norm)]))
            inputs = outputs
    return ImageNetClassifier(config, body, inputs)


def dfn2_imagenet(config: DFN2ImageNet) -> ImageNetClassifier:
    """Returns our reading of DFN2: a fusion spans two bottlenecks of ResNet-50 where a group has two left."""
    norm = norm_of(config)
    body: list[nn.Module] = []
    inputs = config.scaled(64)
    for group, (count, outputs) in enumerate(zip(UNITS[50], wide(config), strict=True)):
        for first in range(0, count, 2):
            stride = 2 if group and not first else 1
            short = projected(inputs, outputs, stride=stride, norm=norm)
            deep: list[nn.Module] = [*bottleneck(inputs, outputs, stride=stride, norm=norm)]
            if first + 1 < count:
                deep += [nn.ReLU(), *bottleneck(outputs, outputs, stride=1, norm=norm)]
            body.append(Fusion([short, nn.Sequential(*deep)]))
            inputs = outputs
    return ImageNetClassifier(config, body, inputs)


def wide(config: Common) -> tuple[int, ...]:
    """Returns the output channels of each group's bottlenecks: 256, 512, 1024, 2048 times the width."""
    return tuple(config.scaled(256 * 2**group) for group in range(_GROUPS))


def stem(config: Common) -> nn.Sequential:
    """Returns the first layer and its pooling, which leave a quarter of the image's side."""
    first = ConvBN(given(config, "in_channels"), config.scaled(64), kernel=7, stride=2, norm=norm_of(config))
    return nn.Sequential(first, nn.MaxPool2d(3, stride=2, padding=1))


def bottleneck(inputs: int, outputs: int, *, stride: int, norm: Norm) -> nn.Sequential:
    """Returns 1x1, 3x3 and 1x1 layers, the last without ReLU; the 3x3 has the stride."""
    middle = outputs // 4
    return nn.Sequential(
        ConvBN(inputs, middle, kernel=1, stride=1, norm=norm),
        ConvBN(middle, middle, stride=stride, norm=norm),
        ConvBN(middle, outputs, kernel=1, stride=1, relu=False, norm=norm),
    )


def basic(inputs: int, outputs: int, *, stride: int, norm: Norm) -> nn.Sequential:
    """Returns two 3x3 layers, the last without ReLU."""
    return nn.Sequential(
        ConvBN(inputs, outputs, stride=stride, norm=norm),
        ConvBN(outputs, outputs, stride=1, relu=False, norm=norm),
    )


def projected(inputs: int, outputs: int, *, stride: int, norm: Norm) -> nn.Module:
    """Returns the identity, or a 1x1 convolution with batch normalisation where the shape changes."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return ConvBN(inputs, outputs, kernel=1, stride=stride, relu=False, norm=norm)
