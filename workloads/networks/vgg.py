"""Chains of convolutions with max pooling between groups, from which single layers can be deleted.

Shapes: N images, C channels, H height, W width, K classes.
Source: Veit et al. 2016, section 4.1; Zagoruyko and Komodakis 2017, Table 2; Simonyan and Zisserman 2015.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast, final

import torch.nn.functional as F
from torch import Tensor, nn

from workloads.networks.chains import VGG, VGG15
from workloads.networks.common import Common
from workloads.networks.layers import ConvBN, Head, given, norm_of


@final
class Hidden(nn.Module):
    """A fully connected layer with batch normalisation and ReLU, on average-pooled images."""

    def __init__(self, channels: int, *, config: Common) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, channels)
        self.bn = nn.BatchNorm2d(channels, eps=config.bn_eps, momentum=config.bn_momentum)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns the layer's output (N, C, 1, 1)."""
        y_NC = self.fc(x_NCHW.mean(dim=(2, 3)))
        return F.relu(self.bn(y_NC[:, :, None, None]))


@final
class VGGNet(nn.Module):
    """Groups of Conv-BN-ReLU, pooled, and the fully connected layers."""

    def __init__(self, config: VGG | VGG15, *, channels: Sequence[int], hidden: bool) -> None:
        super().__init__()
        inputs = given(config, "in_channels")
        layers: list[ConvBN] = []
        for count, outputs in zip(config.layers, channels, strict=True):
            for _ in range(count):
                layers.append(ConvBN(inputs, outputs, stride=1, norm=norm_of(config)))
                inputs = outputs
        self.layers = nn.ModuleList(layers)
        ends = [sum(config.layers[: group + 1]) - 1 for group in range(config.pools)]
        self._pooled = frozenset(ends)
        self.hidden = Hidden(inputs, config=config) if hidden else None
        self.head = Head(inputs, given(config, "classes"))

    def forward(self, x_NCHW: Tensor, deleted: Collection[int] = ()) -> Tensor:
        """Returns logits_NK.

        Args:
            x_NCHW: Images.
            deleted: Convolutions left out, with their normalisation and ReLU; the pooling stays.
        """
        for position, layer in enumerate(self.layers):
            if position not in deleted:
                x_NCHW = layer(x_NCHW)
            if position in self._pooled:
                x_NCHW = F.max_pool2d(x_NCHW, 2)
        if self.hidden is not None:
            x_NCHW = self.hidden(x_NCHW)
        return cast(Tensor, self.head(x_NCHW))


def vgg(config: VGG) -> VGGNet:
    """Returns the VGG net with one fully connected layer."""
    return VGGNet(config, channels=[config.scaled(each) for each in config.channels], hidden=False)


def vgg15(config: VGG15) -> VGGNet:
    """Returns the VGG net of 128 channels in the reading that the configuration says."""
    return VGGNet(config, channels=[config.scaled(128)] * 5, hidden=config.reading == 1)
