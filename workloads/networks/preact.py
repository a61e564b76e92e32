"""Networks of residual modules with normalisation and ReLU before the convolutions.

Shapes: N images, C channels, H height, W width, K classes.
Source: Veit et al. 2016, equations 1 to 3, after He et al. 2016 (identity mappings); stochastic depth: Huang
et al. 2016; wide networks: Zagoruyko and Komodakis 2016; highway networks: Srivastava et al. 2015.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.networks.common import Common
from workloads.networks.imagenet import PreActResNetImageNet
from workloads.networks.layers import Head, Norm, given, norm_of
from workloads.networks.preact_module import PreActModule
from workloads.networks.veit import WRN, Highway, PreActResNet


@final
class PreActNet(nn.Module):
    """A stem, residual modules in a row, BN-ReLU, average pooling, fully connected layer.

    Attributes:
        residual_modules: The modules in order.
    """

    def __init__(
        self,
        stem: nn.Module,
        modules: Sequence[PreActModule],
        *,
        channels: int,
        classes: int,
        norm: Norm,
        keeps: Sequence[float] = (),
        trained: int | None = None,
    ) -> None:
        """Joins the parts.

        Args:
            stem: From the image to the first module's input.
            modules: Residual modules.
            channels: Of the last module's output.
            classes: K.
            norm: Constants of batch normalisation.
            keeps: Probability of each module to be trained in a mini-batch; empty for no sampling.
            trained: Number of modules that a mini-batch trains; None for no sampling.
        """
        super().__init__()
        self.stem = stem
        self.residual_modules = nn.ModuleList(modules)
        self.bn = nn.BatchNorm2d(channels, eps=norm.eps, momentum=norm.momentum)
        self.head = Head(channels, classes)
        self._keeps, self._trained = tuple(keeps), trained
        self._dropped: frozenset[int] = frozenset()

    def draw(self, generator: torch.Generator) -> None:
        """Decides which modules the next forward pass in training mode leaves out; see `Drawn`."""
        count = len(self.residual_modules)
        if self._keeps:
            chances = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
            self._dropped = frozenset(i for i, keep in enumerate(self._keeps) if chances[i] >= keep)
        elif self._trained is not None:
            self._dropped = frozenset(torch.randperm(count, generator=generator)[self._trained :].tolist())

    @property
    def draws(self) -> bool:
        """Returns whether mini-batches leave out modules."""
        return bool(self._keeps) or self._trained is not None

    @property
    def dropped(self) -> frozenset[int]:
        """Returns the modules that the next forward pass in training mode leaves out."""
        return self._dropped

    def enter(self, x_NCHW: Tensor) -> Tensor:
        """Returns the input of the first module."""
        return cast(Tensor, self.stem(x_NCHW))

    def leave(self, x_NCHW: Tensor) -> Tensor:
        """Returns logits_NK from the output of the last module."""
        return cast(Tensor, self.head(F.relu(self.bn(x_NCHW))))

    def forward(
        self, x_NCHW: Tensor, deleted: Collection[int] = (), order: Sequence[int] | None = None
    ) -> Tensor:
        """Returns logits_NK.

        Args:
            x_NCHW: Images.
            deleted: Modules whose branch is left out; their skip connections stay where they are.
            order: The modules in the order in which they are applied, a permutation; None for as built.
        """
        gone = set(deleted) | (self._dropped if self.training else set())
        x_NCHW = self.enter(x_NCHW)
        for position in range(len(self.residual_modules)) if order is None else order:
            x_NCHW = self.residual_modules[position](x_NCHW, position in gone)
        return self.leave(x_NCHW)


def preact_resnet(config: PreActResNet) -> PreActNet:
    """Returns the pre-activation residual network on CIFAR shape."""
    outputs = tuple(each * (4 if config.bottleneck else 1) for each in config.channels)
    modules = _modules(
        config,
        config.stages,
        outputs,
        config.channels[0],
        shortcut=config.shortcut,
        bottleneck=config.bottleneck,
    )
    return _net(
        config,
        config.channels[0],
        list(modules),
        last=outputs[-1],
        survival=config.survival,
        trained=config.modules_per_batch,
        rescale=config.rescale,
    )


def highway(config: Highway) -> PreActNet:
    """Returns the highway network on CIFAR shape."""
    modules = _modules(config, config.stages, config.channels, config.channels[0], gate_bias=config.gate_bias)
    return _net(config, config.channels[0], list(modules))


def wrn(config: WRN) -> PreActNet:
    """Returns the wide residual network."""
    return _net(config, 16, list(_modules(config, config.stages, config.channels, 16)))


def preact_resnet_imagenet(config: PreActResNetImageNet) -> PreActNet:
    """Returns the pre-activation residual network for ImageNet."""
    norm, first = norm_of(config), config.scaled(64)
    stem = nn.Sequential(
        nn.Conv2d(given(config, "in_channels"), first, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(first, eps=norm.eps, momentum=norm.momentum),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
    outputs = tuple(config.scaled(256 * 2**stage) for stage in range(4))
    modules = list(_modules(config, config.stages, outputs, first, bottleneck=True))
    return PreActNet(stem, modules, channels=outputs[-1], classes=given(config, "classes"), norm=norm)


def _modules(
    config: Common,
    stages: Sequence[int],
    channels: Sequence[int],
    inputs: int,
    *,
    shortcut: str = "B",
    gate_bias: float | None = None,
    bottleneck: bool = False,
) -> Iterator[PreActModule]:
    """Yields the modules; the first of every stage but the first halves the side."""
    for stage, (count, outputs) in enumerate(zip(stages, channels, strict=True)):
        for position in range(count):
            yield PreActModule(
                inputs,
                outputs,
                middle=outputs // 4 if bottleneck else None,
                stride=2 if stage and not position else 1,
                shortcut=shortcut,
                gate_bias=gate_bias,
                norm=norm_of(config),
            )
            inputs = outputs


def _net(
    config: PreActResNet | Highway | WRN,
    first: int,
    modules: list[PreActModule],
    *,
    last: int | None = None,
    survival: float | None = None,
    trained: int | None = None,
    rescale: bool = False,
) -> PreActNet:
    count = len(modules)
    # Huang et al. 2016, equation 4: linear decay over the modules
    keeps = [] if survival is None else [1 - (i + 1) / count * (1 - survival) for i in range(count)]
    for module, keep in zip(modules, keeps, strict=False):
        module.factor = keep
    if rescale and trained is not None:
        for module in modules:
            module.factor = trained / count
    stem = nn.Conv2d(given(config, "in_channels"), first, 3, padding=1, bias=False)
    return PreActNet(
        stem,
        modules,
        channels=config.channels[2] if last is None else last,
        classes=given(config, "classes"),
        norm=norm_of(config),
        keeps=keeps,
        trained=trained,
    )
