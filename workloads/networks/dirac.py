"""Chains of Dirac convolutions, of plain ones in the same places, and residual networks with filters I + W.

Shapes: N images, C channels, H height, W width, K classes.
Source: Zagoruyko and Komodakis 2017, Table 1, section 3 (chains), equation 8 and section 3.4 (residual
networks); released code where it says what the paper leaves open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.networks.dirac_configs import (
    DiracNet,
    DiracNetImageNet,
    DiracResNet,
    PlainDiracBaseline,
)
from workloads.networks.dirac_conv import DiracConv2d
from workloads.networks.layers import Head, given
from workloads.networks.preact import PreActNet, wrn
from workloads.networks.preact_module import PreActModule


@final
class UniformNorm(nn.BatchNorm2d):
    """Batch normalisation whose scales start uniform between 0 and 1 (released code)."""

    def draw_scale(self, generator: torch.Generator) -> None:
        """Leaves fresh scales, drawn in single precision on the generator's device."""
        drawn = torch.empty(self.weight.shape, device=generator.device, dtype=torch.float32)
        with torch.no_grad():
            self.weight.copy_(drawn.uniform_(0.0, 1.0, generator=generator))


@final
class ChainLayer(nn.Module):
    """ReLU, convolution without bias, batch normalisation; the stem has no ReLU in front.

    A ReLU at the stem's end would be followed by that of the next layer: one is enough.
    """

    def __init__(self, conv: nn.Conv2d, bn: nn.BatchNorm2d, *, relu: bool = True) -> None:
        super().__init__()
        self.conv, self.bn, self.relu = conv, bn, relu

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns the layer's output."""
        if self.relu:
            # in place: what made the input, a normalisation or a pooling, never reads its output
            x_NCHW = F.relu(x_NCHW, inplace=True)
        return cast(Tensor, self.bn(self.conv(x_NCHW)))


@final
class ChainNet(nn.Module):
    """A stem, groups of layers, ReLU, average pooling, fully connected layer.

    Attributes:
        stem: The first layer, and a max pooling after it on ImageNet.
        groups: Layers; a max pooling begins each group but the first.
        head: Average pooling and fully connected layer.
    """

    def __init__(self, stem: nn.Sequential, groups: Sequence[nn.Sequential], head: Head) -> None:
        super().__init__()
        self.stem, self.groups, self.head = stem, nn.ModuleList(groups), head

    def parts(self) -> Iterator[ChainLayer | nn.MaxPool2d]:
        """Yields the layers and poolings before the last ReLU, in the order in which they are applied."""
        for several in (self.stem, *self.groups):
            yield from cast(Iterable[ChainLayer | nn.MaxPool2d], several)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns logits_NK."""
        x_NCHW = self.stem(x_NCHW)
        for group in self.groups:
            x_NCHW = group(x_NCHW)
        return cast(Tensor, self.head(F.relu(x_NCHW, inplace=True)))


def chain(config: DiracNet | PlainDiracBaseline) -> ChainNet:
    """Returns the chain on CIFAR shape."""
    conv = nn.Conv2d(given(config, "in_channels"), config.channels[0], 3, padding=1, bias=False)
    return _net(config, nn.Sequential(_layer(config, conv, relu=False)))


def chain_imagenet(config: DiracNetImageNet) -> ChainNet:
    """Returns the chain for ImageNet."""
    conv = nn.Conv2d(given(config, "in_channels"), config.channels[0], 7, stride=2, padding=3, bias=False)
    return _net(config, nn.Sequential(_layer(config, conv, relu=False), nn.MaxPool2d(3, stride=2, padding=1)))


def dirac_resnet(config: DiracResNet) -> PreActNet:
    """Returns the residual network with filters I + W, and without them nothing else."""
    net = wrn(config.plain)
    if config.parameterised == "all":
        net.stem = _residual(cast(nn.Conv2d, net.stem))
    for module in cast(Iterable[PreActModule], net.residual_modules):
        module.convs = nn.ModuleList(_residual(cast(nn.Conv2d, conv)) for conv in module.convs)
        if config.parameterised == "all" and module.projection is not None:
            module.projection = _residual(module.projection)
    return net


def _net(config: DiracNet | PlainDiracBaseline | DiracNetImageNet, stem: nn.Sequential) -> ChainNet:
    inputs = config.channels[0]
    groups: list[nn.Sequential] = []
    for count, outputs in zip(config.layers, config.channels, strict=True):
        parts: list[nn.Module] = [nn.MaxPool2d(2)] if groups else []
        for _ in range(count):
            parts.append(_layer(config, _conv(config, inputs, outputs)))
            inputs = outputs
        groups.append(nn.Sequential(*parts))
    return ChainNet(stem, groups, Head(inputs, given(config, "classes")))


def _layer(
    config: DiracNet | PlainDiracBaseline | DiracNetImageNet, conv: nn.Conv2d, *, relu: bool = True
) -> ChainLayer:
    norm = UniformNorm if config.gamma == "uniform" else nn.BatchNorm2d
    return ChainLayer(
        conv, norm(conv.out_channels, eps=config.bn_eps, momentum=config.bn_momentum), relu=relu
    )


def _conv(config: DiracNet | PlainDiracBaseline | DiracNetImageNet, inputs: int, outputs: int) -> nn.Conv2d:
    if isinstance(config, PlainDiracBaseline):
        return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return DiracConv2d(
        inputs,
        outputs,
        3,
        padding=1,
        form="normalised" if config.weight_norm else "scaled",
        initial_a=config.initial_a,
        initial_b=config.initial_b,
    )


def _residual(conv: nn.Conv2d) -> DiracConv2d:
    """Returns a convolution of the same shape with filters I + W."""
    return DiracConv2d(
        conv.in_channels,
        conv.out_channels,
        cast(tuple[int, int], conv.kernel_size),
        stride=conv.stride,
        padding=conv.padding,
        form="delta",
    )
