"""The ensemble of component networks with shared weights, computed as a tree of prefixes.

Member RLR runs block R of group 1, L of group 2, R of group 3. Members whose paths begin alike have the same
activations there, hence the same batch statistics and running statistics: so each prefix of a path is
computed once and owns one set of statistics, 2 + 4 + 8 blocks for eight members instead of 24. `unrolled` is
the plain form, a network for each member, which a test holds equal.

Shapes: M members, N images, C channels, H height, W width, K classes.
Source: Zhao et al. 2016, Figure 1(c), sections 3.1 and 4; released ensemble.py: convolutions, gamma, beta,
stem and fully connected layer are shared, every batch normalisation node keeps statistics of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.networks.configs import Component, PathEnsemble
from workloads.networks.layers import Classifier, ConvBN, Norm, conv, group_channels, head, norm_of, stem
from workloads.networks.outputs import combine
from workloads.networks.paths import Path
from workloads.networks.plain import plain


@final
class RunningStatistics(nn.Module):
    """Running mean and variance of one batch normalisation at one prefix."""

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def reset_parameters(self) -> None:
        """Leaves mean 0 and variance 1."""
        self.mean.zero_()
        self.variance.fill_(1.0)


@final
class SharedConvBN(nn.Module):
    """Conv-BN-ReLU whose weights are shared by all prefixes that end in it, each with its own statistics.

    Attributes:
        normalise: Batch normalisation as a function, called as torch's is.
    """

    def __init__(self, inputs: int, outputs: int, *, prefixes: Sequence[str], norm: Norm) -> None:
        super().__init__()
        self.conv = conv(inputs, outputs)
        self.weight = nn.Parameter(torch.ones(outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.statistics = nn.ModuleDict({prefix: RunningStatistics(outputs) for prefix in prefixes})
        self.norm = norm
        self.normalise: Callable[..., Tensor] = F.batch_norm

    def reset_parameters(self) -> None:
        """Leaves scale 1 and shift 0."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x_NCHW: Tensor, prefix: str) -> Tensor:
        """Returns the layer's output; in training it updates the statistics of this prefix alone."""
        own = cast(RunningStatistics, self.statistics[prefix])
        y_NCHW = self.normalise(
            self.conv(x_NCHW),
            own.mean,
            own.variance,
            self.weight,
            self.bias,
            self.training,
            self.norm.momentum,
            self.norm.eps,
        )
        return F.relu(y_NCHW, inplace=True)


@final
class SharedBlock(nn.Module):
    """One group's block: a chain of shared layers."""

    def __init__(
        self, inputs: int, outputs: int, *, layers: int, prefixes: Sequence[str], norm: Norm
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            SharedConvBN(inputs if i == 0 else outputs, outputs, prefixes=prefixes, norm=norm)
            for i in range(layers)
        )

    def forward(self, x_NCHW: Tensor, prefix: str) -> Tensor:
        """Returns the block's output at a prefix of the paths."""
        for layer in self.layers:
            x_NCHW = layer(x_NCHW, prefix)
        return x_NCHW


@final
class PathEnsembleNet(nn.Module):
    """Component networks with shared weights; blocks that no member uses are not built.

    Attributes:
        members: The members' paths, in the order of the first axis of the logits.
    """

    def __init__(self, config: PathEnsemble) -> None:
        super().__init__()
        self.config = config
        self.members: tuple[Path, ...] = config.paths
        norm, deep = norm_of(config), (config.depth - 2) // 3
        self.stem = stem(config)
        self.groups = nn.ModuleList()
        for group, (inputs, outputs) in enumerate(group_channels(config)):
            prefixes = _prefixes(self.members, group)
            blocks = nn.ModuleDict()
            for letter, layers in (("L", 1), ("R", deep)):
                ending = [prefix for prefix in prefixes if prefix.endswith(letter)]
                if ending:
                    blocks[letter] = SharedBlock(inputs, outputs, layers=layers, prefixes=ending, norm=norm)
            self.groups.append(blocks)
        self.head = head(config)

    def forward(self, x_NCHW: Tensor, members: Sequence[str] | None = None) -> Tensor:
        """Returns logits_MNK, members first.

        Args:
            x_NCHW: Images.
            members: Which members to run, in this order; None runs all. In training only the statistics of
                these members are updated.

        Raises:
            ValueError: A path that is no member, or no path at all.
        """
        wanted = self.members if members is None else self._checked(members)
        outputs_NCHW = {"": self.stem(x_NCHW)}
        for group, blocks in enumerate(self.groups):
            outputs_NCHW = {
                prefix: cast(nn.ModuleDict, blocks)[prefix[-1]](outputs_NCHW[prefix[:-1]], prefix)
                for prefix in _prefixes(wanted, group)
            }
        # One call a member: a single product over all rows may round otherwise than the plain form's.
        return torch.stack([self.head(outputs_NCHW[path]) for path in wanted])

    def vote(self, logits_MNK: Tensor) -> Tensor:
        """Returns probabilities_NK of the members whose logits are given, all or some."""
        return combine(logits_MNK, self.config.vote)

    def _checked(self, members: Sequence[str]) -> tuple[str, ...]:
        wanted = (members,) if isinstance(members, str) else tuple(members)
        unknown = [path for path in wanted if path not in self.members]
        if unknown or not wanted:
            raise ValueError(
                f"members must be some of {', '.join(self.members)}; got {', '.join(unknown) or 'none'}"
            )
        return wanted


def _prefixes(members: Sequence[str], group: int) -> tuple[str, ...]:
    """Returns the different beginnings of the members' paths up to and with a group, in members' order."""
    return tuple(dict.fromkeys(path[: group + 1] for path in members))


def unrolled(net: PathEnsembleNet) -> dict[str, Classifier]:
    """Returns the slow reference: a component network for each member, statistics its own, weights tied.

    The networks hold the very parameters of `net` (so gradients gather there), and copies of its running
    statistics. Their logits, stacked, are the ensemble's.
    """
    return {path: _member(net, path) for path in net.members}


def _member(net: PathEnsembleNet, path: Path) -> Classifier:
    config = net.config
    member = plain(
        Component(
            path=path,
            depth=config.depth,
            width=config.width,
            classes=config.classes,
            in_channels=config.in_channels,
            bn_eps=config.bn_eps,
            bn_momentum=config.bn_momentum,
        )
    )
    member.train(net.training)
    _tie(member.stem, net.stem.conv, net.stem.bn.weight, net.stem.bn.bias)
    _copy_statistics(member.stem, net.stem.bn.running_mean, net.stem.bn.running_var)
    for group, letter in enumerate(path):
        shared_block = cast(SharedBlock, cast(nn.ModuleDict, net.groups[group])[letter])
        own_layers = cast(nn.Sequential, member.groups[group])
        for own, shared in zip(own_layers, shared_block.layers, strict=True):
            assert isinstance(own, ConvBN)
            assert isinstance(shared, SharedConvBN)
            _tie(own, shared.conv, shared.weight, shared.bias)
            statistics = cast(RunningStatistics, shared.statistics[path[: group + 1]])
            _copy_statistics(own, statistics.mean, statistics.variance)
    member.head = net.head
    return member


def _tie(own: ConvBN, convolution: nn.Conv2d, weight: nn.Parameter, bias: nn.Parameter) -> None:
    own.conv, own.bn.weight, own.bn.bias = convolution, weight, bias


def _copy_statistics(own: ConvBN, mean: Tensor | None, variance: Tensor | None) -> None:
    assert mean is not None
    assert variance is not None
    own.bn.running_mean, own.bn.running_var = mean.clone(), variance.clone()
