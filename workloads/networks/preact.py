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
from workloads.networks.veit import WRN, Highway, PreActResNet


@final
class Gate(nn.Module):
    """The share of a highway module's branch in its output, for each value."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, bias: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.initial_bias = bias

    def reset_parameters(self) -> None:
        """Leaves the bias at its initial value."""
        assert self.conv.bias is not None
        nn.init.constant_(self.conv.bias, self.initial_bias)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns values between 0 and 1."""
        return torch.sigmoid(self.conv(x_NCHW))


@final
class PreActModule(nn.Module):
    """A residual module: its output is skip(x) + branch(x).

    Args:
        inputs: Input channels.
        outputs: Output channels.
        middle: Channels between a bottleneck's 1x1 convolutions, or None for two 3x3 convolutions.
        stride: Of the first 3x3 convolution.
        shortcut: "A" or "B" where the channels change; see `PreActResNet`.
        gate_bias: Initial bias of a highway gate, or None for no gate.
        norm: Constants of batch normalisation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        middle: int | None = None,
        stride: int = 1,
        shortcut: str = "B",
        gate_bias: float | None = None,
        norm: Norm,
    ) -> None:
        super().__init__()
        if middle is None:
            sizes = [(inputs, outputs, 3, stride), (outputs, outputs, 3, 1)]
        else:
            sizes = [(inputs, middle, 1, 1), (middle, middle, 3, stride), (middle, outputs, 1, 1)]
        self.bns = nn.ModuleList(
            nn.BatchNorm2d(size[0], eps=norm.eps, momentum=norm.momentum) for size in sizes
        )
        self.convs = nn.ModuleList(
            nn.Conv2d(source, target, kernel, stride=step, padding=kernel // 2, bias=False)
            for source, target, kernel, step in sizes
        )
        self.stride, self.grows = stride, outputs - inputs
        changes = inputs != outputs or stride != 1
        self.projection = (
            nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if changes and shortcut == "B" else None
        )
        self.gate = None if gate_bias is None else Gate(inputs, outputs, stride=stride, bias=gate_bias)
        self.factor = 1.0  # of the branch in evaluation mode

    def skip(self, x_NCHW: Tensor) -> Tensor:
        """Returns what the skip connection carries; a highway's is gated."""
        if self.projection is None and self.gate is None:
            return self._short(x_NCHW)
        active_NCHW = self._active(x_NCHW)
        skip_NCHW = self._skip(x_NCHW, active_NCHW)
        return skip_NCHW if self.gate is None else skip_NCHW * (1 - self.gate(active_NCHW))

    def branch(self, x_NCHW: Tensor) -> Tensor:
        """Returns what the residual branch adds; a highway's is gated."""
        active_NCHW = self._active(x_NCHW)
        branch_NCHW = self._branch(active_NCHW)
        return branch_NCHW if self.gate is None else branch_NCHW * self.gate(active_NCHW)

    def forward(self, x_NCHW: Tensor, deleted: bool = False) -> Tensor:
        """Returns the module's output, or only its skip connection's.

        Args:
            x_NCHW: Input.
            deleted: Whether the branch is left out.
        """
        if deleted:
            return self.skip(x_NCHW)
        # normalised once: in training every call moves the running statistics
        active_NCHW = self._active(x_NCHW)
        skip_NCHW, branch_NCHW = self._skip(x_NCHW, active_NCHW), self._branch(active_NCHW)
        if self.gate is not None:
            gate_NCHW = self.gate(active_NCHW)
            return cast(Tensor, branch_NCHW * gate_NCHW + skip_NCHW * (1 - gate_NCHW))
        return skip_NCHW + branch_NCHW

    def _active(self, x_NCHW: Tensor) -> Tensor:
        return F.relu(self.bns[0](x_NCHW), inplace=True)

    def _branch(self, active_NCHW: Tensor) -> Tensor:
        y_NCHW = self.convs[0](active_NCHW)
        for bn, conv in zip(list(self.bns)[1:], list(self.convs)[1:], strict=True):
            y_NCHW = conv(F.relu(bn(y_NCHW), inplace=True))
        return cast(Tensor, y_NCHW if self.training or self.factor == 1.0 else y_NCHW * self.factor)

    def _skip(self, x_NCHW: Tensor, active_NCHW: Tensor) -> Tensor:
        if self.projection is not None:
            return cast(Tensor, self.projection(active_NCHW))
        return self._short(x_NCHW)

    def _short(self, x_NCHW: Tensor) -> Tensor:
        if self.stride != 1:
            x_NCHW = x_NCHW[:, :, :: self.stride, :: self.stride]
        return F.pad(x_NCHW, (0, 0, 0, 0, 0, self.grows)) if self.grows else x_NCHW


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
    modules = _modules(config, config.stages, config.channels, config.channels[0], shortcut=config.shortcut)
    return _net(
        config,
        config.channels[0],
        list(modules),
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
        channels=config.channels[2],
        classes=given(config, "classes"),
        norm=norm_of(config),
        keeps=keeps,
        trained=trained,
    )
