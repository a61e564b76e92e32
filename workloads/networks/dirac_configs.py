"""The networks of Zagoruyko and Komodakis 2017 (DiracNets), as configurations. Torch-free.

kind                   what it is                                                     printed depth
diracnet               a chain of Dirac convolutions in three groups, pooled          4 + 6N: 2N a group
plain_dirac_baseline   the same chain of plain convolutions                           4 + 6N
diracnet_imagenet      the same for images of 224 x 224, four groups                  18, 34
dirac_resnet           a wide residual network with filters I + W                     4 + 6 x modules a stage
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, final

from workloads.networks import checks
from workloads.networks.common import Common, ThreeGroups, check_common, check_side
from workloads.networks.imagenet import UNITS
from workloads.networks.stages import Staged
from workloads.networks.veit import WRN

Gamma: TypeAlias = Literal["one", "uniform"]
GAMMAS: Final = ("one", "uniform")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DiracNet(ThreeGroups):
    """A chain without skip connections whose filters are diag(a) I + diag(b) W / ||W||.

    A 3x3 convolution with batch normalisation, three groups of layers of ReLU, 3x3 Dirac convolution and
    batch normalisation, 2x2 max pooling between the groups, ReLU, average pooling, fully connected layer. The
    first layers of groups 2 and 3 change the channels with a rectangular delta. Depth 28 has 1 + 24
    convolutions and the fully connected layer: the count of layers is that of wide residual networks.

    Source: Zagoruyko and Komodakis 2017, equation 5, section 3 and Table 1; released code.

    Attributes:
        name: The kind.
        depth: 10, 16, 22, 28, ...: 6N + 4, with 2N layers a group.
        weight_norm: Whether each filter of W has norm 1 and a scaling b (equation 5); without, the filters
            are diag(a) I + W (equation 4).
        initial_a: Scalings of the delta at first; 1 in the paper.
        initial_b: Scalings of the normalised filters at first; 0.1 in the paper.
        gamma: Scales of batch normalisation at first: "one", or "uniform" between 0 and 1 as in the released
            code. The paper does not say.
    """

    name: Literal["diracnet"] = "diracnet"
    depth: int = 28
    weight_norm: bool = True
    initial_a: float = 1.0
    initial_b: float = 0.1
    gamma: Gamma = "one"
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.depth(self.name, "depth", self.depth, period=6, offset=4)
        check_side(self, halvings=2, what="max poolings")
        _check_dirac(self)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it; the longest path is two layers shorter."""
        return self.depth

    @property
    def layers(self) -> tuple[int, ...]:
        """Dirac convolutions of each group."""
        return ((self.depth - 4) // 3,) * 3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PlainDiracBaseline(ThreeGroups):
    """The network of `DiracNet` with plain convolutions in place of its Dirac convolutions.

    Source: Zagoruyko and Komodakis 2017, section 3.1 and Figure 1, "plain".

    Attributes:
        name: The kind.
        depth: 10, 16, 22, 28, ...: 6N + 4, with 2N layers a group.
        gamma: Scales of batch normalisation at first; see `DiracNet`.
    """

    name: Literal["plain_dirac_baseline"] = "plain_dirac_baseline"
    depth: int = 28
    gamma: Gamma = "one"
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.depth(self.name, "depth", self.depth, period=6, offset=4)
        check_side(self, halvings=2, what="max poolings")
        checks.one_of("gamma", self.gamma, GAMMAS)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it; the longest path is two layers shorter."""
        return self.depth

    @property
    def layers(self) -> tuple[int, ...]:
        """Convolutions of each group."""
        return ((self.depth - 4) // 3,) * 3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DiracNetImageNet(Common):
    """A DiracNet for images of 224 x 224, with as many layers a group as the residual network of its depth.

    A 7x7 convolution of stride 2 with batch normalisation, 3x3 max pooling of stride 2, four groups of 64,
    128, 256 and 512 channels with 2x2 max pooling between them, and the end of `DiracNet`.

    Source: Zagoruyko and Komodakis 2017, section 3.5 and Table 3; released code. The printed parameters,
    11.7M and 21.8M, are the residual networks'; this chain has 11.5M and 21.6M with 1,000 classes.

    Attributes:
        name: The kind.
        depth: 18 or 34.
        weight_norm: See `DiracNet`.
        initial_a: See `DiracNet`.
        initial_b: See `DiracNet`.
        gamma: See `DiracNet`.
    """

    name: Literal["diracnet_imagenet"] = "diracnet_imagenet"
    depth: int = 18
    weight_norm: bool = True
    initial_a: float = 1.0
    initial_b: float = 0.1
    gamma: Gamma = "one"
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.one_of("depth", self.depth, (18, 34))
        _check_dirac(self)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it, that of the residual network."""
        return self.depth

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the four groups; the stem has those of the first."""
        return tuple(self.scaled(64 * 2**group) for group in range(4))

    @property
    def layers(self) -> tuple[int, ...]:
        """Dirac convolutions of each group."""
        return tuple(2 * units for units in UNITS[self.depth])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DiracResNet(ThreeGroups, Staged):
    """A residual network whose filters are I + W: skip connections outside and inside.

    It is the wide residual network of the same depth and width, which the paper takes as its baseline; that
    its "ResNet-28" has width 1 is ours to say. W is drawn as the training's `initialisation` says: normal
    with one deviation for every shape, zeros (deviation 0) or orthogonal with a gain.

    Source: Zagoruyko and Komodakis 2017, equation 8 and section 3.4.

    Attributes:
        name: The kind.
        depth: 10, 16, 22, 28, ...: 6n + 4.
        parameterised: Which filters are I + W: "all" convolutions, or those of the "branches" alone,
            so that the stem and the projections are W. The paper says "all weights" of their initial values.
    """

    name: Literal["dirac_resnet"] = "dirac_resnet"
    depth: int = 28
    parameterised: Literal["all", "branches"] = "all"
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.depth(self.name, "depth", self.depth, period=6, offset=4)
        checks.one_of("parameterised", self.parameterised, ("all", "branches"))

    @property
    def plain(self) -> WRN:
        """The wide residual network with the same modules."""
        return WRN(
            depth=self.depth,
            width=self.width,
            classes=self.classes,
            in_channels=self.in_channels,
            input_size=self.input_size,
            bn_eps=self.bn_eps,
            bn_momentum=self.bn_momentum,
        )

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return self.depth

    @property
    def stages(self) -> tuple[int, ...]:
        """Modules of each stage."""
        return self.plain.stages

    @property
    def downsampling(self) -> tuple[int, ...]:
        """Positions of the modules that change the channels."""
        return self.plain.downsampling


def _check_dirac(config: DiracNet | DiracNetImageNet) -> None:
    checks.one_of("weight_norm", config.weight_norm, (True, False))
    checks.one_of("gamma", config.gamma, GAMMAS)
    for key in ("initial_a", "initial_b"):
        object.__setattr__(config, key, checks.real(key, getattr(config, key)))


def canonical(network: DiracNet | DiracNetImageNet) -> DiracNet | DiracNetImageNet:
    """Returns the one configuration that stands for all that mean the same computation.

    Without weight normalisation there is no b.
    """
    return network if network.weight_norm else replace(network, initial_b=0.1)
