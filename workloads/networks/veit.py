"""The networks of Veit et al. 2016 on CIFAR shape and their relatives, as configurations. Torch-free.

kind            what it is                                                      printed depth
preact_resnet   modules BN-ReLU-conv-BN-ReLU-conv beside a skip connection      2 + 6 modules a stage
highway         the same modules, gated                                         2 + 6 modules a stage
wrn             the same modules, wide; a projection wherever channels change   4 + 6 modules a stage
vgg, vgg15      convolutions, batch normalisation, ReLU; max pooling            convolutions + fully connected
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, final

from workloads.networks import checks
from workloads.networks.common import Common, ThreeGroups, check_common, check_side
from workloads.networks.stages import Staged


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PreActResNet(ThreeGroups, Staged):
    """A residual network with normalisation and ReLU before the convolutions.

    Source: Veit et al. 2016, section 4 and equation 2, after He et al. 2016 (identity mappings): a 3x3
    convolution, modules BN-ReLU-conv-BN-ReLU-conv, BN-ReLU, average pooling, fully connected layer. The first
    modules of stages 2 and 3 halve the side. Stochastic depth: Huang et al. 2016.

    Attributes:
        name: The kind.
        depth: 8, 14, 20, ...; 110 in the paper, 54 modules.
        shortcut: What the skip connection is where the channels change: "A" takes every other pixel and pads
            channels with zeros, "B" is a 1x1 convolution of the normalised input. The paper says
            "downsampling projection, if any".
        survival: Stochastic depth: the probability that the last module is kept in a mini-batch, falling
            linearly from 1 before the first (Huang et al.: 0.5). When testing, each branch is scaled by
            its module's. None keeps all.
        modules_per_batch: How many modules a mini-batch trains, drawn at random (23 of 54 in section 5).
            None trains all.
        rescale: Whether the branches are scaled by the share of modules trained when testing. The paper
            does not say.
    """

    name: Literal["preact_resnet"] = "preact_resnet"
    depth: int = 110
    shortcut: Literal["A", "B"] = "B"
    survival: float | None = None
    modules_per_batch: int | None = None
    rescale: bool = False
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.depth(self.name, "depth", self.depth, period=6)
        checks.one_of("shortcut", self.shortcut, ("A", "B"))
        _check_sampling(self)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return self.depth

    @property
    def stages(self) -> tuple[int, ...]:
        """Modules of each stage."""
        return ((self.depth - 2) // 6,) * 3

    @property
    def downsampling(self) -> tuple[int, ...]:
        """Positions of the modules that change the channels."""
        return self.stages[0], 2 * self.stages[0]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Highway(ThreeGroups, Staged):
    """A residual network whose branch and skip connection are gated.

    y = f(x) t(x) + x (1 - t(x)), with t a sigmoid of a 3x3 convolution of the same normalised input that f
    reads. Where the channels change, a 1x1 convolution of that input stands for x. Stage and module are those
    of `PreActResNet`: with t = 0.5 it is that network, scaled by a half.

    Source: Veit et al. 2016, equation 3 and section 6, after Srivastava et al. 2015. The paper trains none;
    the form of the gate on images is ours.

    Attributes:
        name: The kind.
        depth: 8, 14, 20, ...
        gate_bias: Initial bias of the gates; below 0 the skip connection carries more.
    """

    name: Literal["highway"] = "highway"
    depth: int = 20
    gate_bias: float = -1.0
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.depth(self.name, "depth", self.depth, period=6)
        object.__setattr__(self, "gate_bias", checks.real("gate_bias", self.gate_bias))

    @property
    def printed_depth(self) -> int:
        """Convolutions on the longest path, gates aside, and the fully connected layer."""
        return self.depth

    @property
    def stages(self) -> tuple[int, ...]:
        """Modules of each stage."""
        return ((self.depth - 2) // 6,) * 3

    @property
    def downsampling(self) -> tuple[int, ...]:
        """Positions of the modules that change the channels."""
        return self.stages[0], 2 * self.stages[0]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WRN(ThreeGroups, Staged):
    """A wide residual network; WRN-28-10 has depth 28 and width 10.

    The stem has 16 channels whatever the width, so that the first module projects too.

    Source: Zagoruyko and Komodakis 2016 (wide residual networks), as compared with in Zagoruyko and Komodakis
    2017, Table 2: 36.5M parameters.

    Attributes:
        name: The kind.
        depth: 10, 16, 22, 28, ...: 6n + 4.
    """

    name: Literal["wrn"] = "wrn"
    depth: int = 28
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.depth(self.name, "depth", self.depth, period=6, offset=4)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return self.depth

    @property
    def stages(self) -> tuple[int, ...]:
        """Modules of each stage."""
        return ((self.depth - 4) // 6,) * 3

    @property
    def downsampling(self) -> tuple[int, ...]:
        """Positions of the modules that change the channels."""
        first = (0,) if self.width != 1 else ()
        return (*first, self.stages[0], 2 * self.stages[0])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VGG(Common):
    """A chain of 3x3 convolution, batch normalisation and ReLU in groups, with max pooling between them.

    Global average pooling and one fully connected layer end it. With the defaults it is the "VGG" of 20M
    parameters that Zagoruyko and Komodakis compare with: 16 convolutions and one fully connected layer.

    Source: Zagoruyko and Komodakis 2017, Table 2; after Simonyan and Zisserman 2015.

    Attributes:
        name: The kind.
        layers: Convolutions of each group.
        channels: Channels of each group, times the width.
        pools: Groups that a 2x2 max pooling follows, from the first.
    """

    name: Literal["vgg"] = "vgg"
    layers: tuple[int, ...] = (2, 2, 4, 4, 4)
    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    pools: int = 4
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        for key in ("layers", "channels"):
            values = tuple(getattr(self, key))
            object.__setattr__(self, key, values)
            for value in values:
                checks.whole(f"each of {key}", value, least=1)
        if not self.layers or len(self.layers) != len(self.channels):
            raise ValueError(
                "layers and channels must name equally many groups, at least one; "
                f"got {len(self.layers)} and {len(self.channels)}"
            )
        for value in self.channels:
            if value * self.width != int(value * self.width):
                raise ValueError(f"width must give whole channels; got {value} x {self.width!r}")
        _check_pools(self, self.pools, len(self.layers))

    @property
    def printed_depth(self) -> int:
        """Convolutions and the fully connected layer."""
        return sum(self.layers) + 1

    @property
    def modules(self) -> int:
        """Convolutions."""
        return sum(self.layers)

    @property
    def deletable(self) -> tuple[int, ...]:
        """Positions of the convolutions whose input has as many channels as their output."""
        firsts = [sum(self.layers[:group]) for group in range(len(self.layers))]
        changes = {
            first
            for first, before, now in zip(firsts, (None, *self.channels), self.channels, strict=False)
            if before != now
        }
        return tuple(each for each in range(self.modules) if each not in changes)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VGG15(Common):
    """The VGG net with 15 layers of 128 channels that Veit et al. delete layers of, in two readings.

    Source: Veit et al. 2016, section 4.1. The paper does not say which 15 layers: reading 1 has the 13
    convolutions of VGG-16 (groups of 2, 2, 3, 3, 3) and two fully connected layers, normalisation and ReLU
    between them; reading 2 has 14 convolutions (2, 2, 3, 3, 4) and one. No count is printed.

    Attributes:
        name: The kind.
        reading: 1 or 2.
        pools: Groups that a 2x2 max pooling follows, from the first: 5 in VGG, fewer for small images.
    """

    name: Literal["vgg15"] = "vgg15"
    reading: Literal[1, 2] = 1
    pools: int = 5
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.one_of("reading", self.reading, (1, 2))
        _check_pools(self, self.pools, 5)

    @property
    def layers(self) -> tuple[int, ...]:
        """Convolutions of each group."""
        return (2, 2, 3, 3, 3) if self.reading == 1 else (2, 2, 3, 3, 4)

    @property
    def printed_depth(self) -> int:
        """Convolutions and fully connected layers."""
        return 15

    @property
    def modules(self) -> int:
        """Convolutions."""
        return sum(self.layers)

    @property
    def deletable(self) -> tuple[int, ...]:
        """Positions of the convolutions that can be deleted: all but the first, which reads the image."""
        return tuple(range(1, self.modules))


def _check_sampling(config: PreActResNet) -> None:
    survival, trained = config.survival, config.modules_per_batch
    if survival is not None:
        object.__setattr__(config, "survival", checks.real("survival", survival))
        checks.within("survival", survival, most=1.0)
    if trained is not None:
        checks.whole("modules_per_batch", trained, least=1)
        if trained > config.modules:
            raise ValueError(
                f"modules_per_batch must be at most the network's {config.modules} modules; got {trained}"
            )
    if survival is not None and trained is not None:
        raise ValueError(
            "survival and modules_per_batch are two ways of dropping modules; give one of them, got both"
        )
    checks.one_of("rescale", config.rescale, (True, False))


def canonical(network: PreActResNet) -> PreActResNet:
    """Returns the one configuration that stands for all that mean the same computation.

    Every module in every mini-batch is no sampling; and without sampling nothing is rescaled.
    """
    survival = None if network.survival == 1.0 else network.survival
    trained = None if network.modules_per_batch == network.modules else network.modules_per_batch
    return replace(
        network,
        survival=survival,
        modules_per_batch=trained,
        rescale=network.rescale and trained is not None,
    )


def _check_pools(config: Common, pools: object, groups: int) -> None:
    checks.whole("pools", pools, least=0)
    assert isinstance(pools, int)
    if pools > groups:
        raise ValueError(f"pools must be at most the {groups} groups; got {pools}")
    check_side(config, halvings=pools, what="max poolings (pools)")
