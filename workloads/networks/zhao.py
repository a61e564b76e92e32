"""The networks of Zhao et al. 2016 on CIFAR shape, as configurations. Torch-free.

Every kind reads an image through a 3x3 stem, three groups of 16, 32 and 64 channels (times `width`; the
side halves at groups 2 and 3), global average pooling and one fully connected layer. Source of all: Zhao
et al. 2016, section 6.2, and the authors' released code where it says what the paper leaves open.

    kind            what one group is                                       printed depth
    plain           x convolutions                                          2 + 3x
    resnet          units of 2 convolutions beside a shortcut               2 + 6 units
    dfn             1 or 2 fusions of a deep branch with a shallow one      2 + 3x
    component       x convolutions (R) or one (L)                           2 + 3x of the net it is part of
    path_ensemble   the 8 components, or some, with shared weights          2 + 3x
    dfn_il, dfn_mr  units of two branches of 2 convolutions each            2 + 6 units = plain_depth / 2 + 1
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, assert_never, final

from workloads.networks import checks
from workloads.networks.common import ThreeGroups, check_common, check_depths
from workloads.networks.paths import DEEPEST, PATHS, Path, group_layers, in_order


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plain(ThreeGroups):
    """A chain of convolution, batch normalisation and ReLU.

    Source: Zhao et al. 2016, Figures 2 and 3(a), section 3.1 (depth = 2 + 3x), Table 4.

    Attributes:
        name: The kind.
        depth: Convolutions and the fully connected layer: 5, 8, 11, ...; 26 when neither depth is given.
        plain_depth: The same, under the name that dfn_il and dfn_mr share.
    """

    name: Literal["plain"] = "plain"
    depth: int | None = None
    plain_depth: int | None = None

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        check_depths(self.name, self.depth, self.plain_depth, period=3, plain_period=3, plain_default=26)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return self.depth or self.plain_depth or 26

    @property
    def group_layers(self) -> tuple[int, int, int]:
        """Convolutions of each group."""
        return ((self.printed_depth - 2) // 3,) * 3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ResNet(ThreeGroups):
    """A residual network with the addition between batch normalisation and ReLU.

    Source: Zhao et al. 2016, section 6.2 and Figure 7(a), after He et al. 2016; a 1x1 convolution with batch
    normalisation projects where the channels change.

    Attributes:
        name: The kind.
        depth: 8, 14, 20, 26, ...; 26 when neither depth is given.
        plain_depth: The same, under the name that dfn_il and dfn_mr share.
    """

    name: Literal["resnet"] = "resnet"
    depth: int | None = None
    plain_depth: int | None = None

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        check_depths(self.name, self.depth, self.plain_depth, period=6, plain_period=6, plain_default=26)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return self.depth or self.plain_depth or 26

    @property
    def units(self) -> int:
        """Residual units of each group."""
        return (self.printed_depth - 2) // 6


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DFN(ThreeGroups):
    """A deeply-fused net of a deep plain net and a five-layer one, in three or six fusions.

    Source: Zhao et al. 2016, Figure 3(b) (three fusions) and 3(c) (six), section 3.2.

    Attributes:
        name: The kind.
        depth: Of the deep base network: 5, 8, 11, ... with three fusions, 8, 14, 20, ... with six.
        fusions: 3 joins a branch of x layers with one 3x3 convolution in each group; 6 halves the branch, and
            its second half runs beside an identity.
    """

    name: Literal["dfn"] = "dfn"
    depth: int = 26
    fusions: Literal[3, 6] = 3

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.one_of("fusions", self.fusions, (3, 6))
        checks.depth(f"dfn with {self.fusions} fusions", "depth", self.depth, period=self.fusions)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return self.depth

    @property
    def branch_layers(self) -> int:
        """Convolutions of the deep branch of each fusion."""
        return (self.depth - 2) // self.fusions


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Component(ThreeGroups):
    """One component network of the ensemble of a three-fusion net, trained alone: a plain net.

    Source: Zhao et al. 2016, Figure 1(c), Table 1 (depths) and Table 2, rows "W/O".

    Attributes:
        name: The kind.
        depth: Of the deep base network, so that an R group has x = (depth - 2) / 3 convolutions; the
            component's own depth is smaller but for RRR.
        path: The choice in each group: L one convolution, R x convolutions.
    """

    name: Literal["component"] = "component"
    depth: int = 26
    path: Path = "RRR"

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.one_of("path", self.path, PATHS)
        checks.depth("component", "depth", self.depth, period=3)

    @property
    def printed_depth(self) -> int:
        """The component's own depth (Zhao et al., Table 1)."""
        return 2 + sum(self.group_layers)

    @property
    def group_layers(self) -> tuple[int, int, int]:
        """Convolutions of each group."""
        return group_layers(self.path, self.depth)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PathEnsemble(ThreeGroups):
    """The conventional ensemble of a three-fusion net's components, trained together with shared weights.

    Convolutions, the scale and shift of batch normalisation, the stem and the fully connected layer are
    shared; the statistics of batch normalisation are each member's own. The loss is the sum of the members'.

    Source: Zhao et al. 2016, Figure 1(c), section 4, Tables 1 to 3, Figure 5; released ensemble.py.

    Attributes:
        name: The kind.
        depth: Of the deepest component: 5, 8, 11, ...
        members: "all" (Ensemble-8), "without_deepest" (Ensemble-7, Figure 5), or a list of paths.
        vote: What the members' mean is taken of. The paper and its code do not say; ours is a choice.
        bn_momentum: 0.01 by default: the released ensemble has MXNet momentum 0.99, its other nets 0.9. A
            training of a few hundred steps wants more.
    """

    name: Literal["path_ensemble"] = "path_ensemble"
    depth: int = 26
    members: Literal["all", "without_deepest"] | tuple[str, ...] = "all"
    vote: Literal["probabilities", "logits"] = "probabilities"
    bn_momentum: float = 0.01

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.depth("path_ensemble", "depth", self.depth, period=3)
        checks.one_of("vote", self.vote, ("probabilities", "logits"))
        if isinstance(self.members, str):
            checks.one_of("members", self.members, ("all", "without_deepest"), otherwise="a list of paths")
        else:
            object.__setattr__(self, "members", tuple(self.members))
            checks.subset("members", self.members, PATHS)

    @property
    def printed_depth(self) -> int:
        """The depth of the deepest member."""
        return max(2 + sum(group_layers(path, self.depth)) for path in self.paths)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The members' paths, in the order of the paper's tables."""
        if self.members == "all":
            return PATHS
        if self.members == "without_deepest":
            return tuple(path for path in PATHS if path != DEEPEST)
        return in_order(self.members)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DFNIL(ThreeGroups):
    """A deeply-fused net of inception-like units: shortcut and two branches, summed.

    Source: Zhao et al. 2016, Figures 6(a) and 7(b), Table 4.

    Attributes:
        name: The kind.
        depth: The printed one: 8, 14, 20, 26, ...; 14 when neither depth is given.
        plain_depth: Depth of the plain net with the same layers, 2 depth - 2: 14, 26, 38, ...
    """

    name: Literal["dfn_il"] = "dfn_il"
    depth: int | None = None
    plain_depth: int | None = None

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        check_depths(self.name, self.depth, self.plain_depth, period=6, plain_period=12, plain_default=26)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return _halved(self)

    @property
    def units(self) -> int:
        """Units of each group."""
        return (self.printed_depth - 2) // 6


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DFNMR(ThreeGroups):
    """A deeply-fused net of merge-and-run units: two lines, averaged into both at every unit.

    Source: Zhao et al. 2016, Figures 6(b) and 7(c), section 6.2 (the merge averages), Tables 4 and 5.

    Attributes:
        name: The kind.
        depth: The printed one: 8, 14, 20, 26, ...; 14 when neither depth is given.
        plain_depth: Depth of the plain net with the same layers, 2 depth - 2: 14, 26, 38, ...
    """

    name: Literal["dfn_mr"] = "dfn_mr"
    depth: int | None = None
    plain_depth: int | None = None

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        check_depths(self.name, self.depth, self.plain_depth, period=6, plain_period=12, plain_default=26)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return _halved(self)

    @property
    def units(self) -> int:
        """Units of each group."""
        return (self.printed_depth - 2) // 6


def _halved(config: DFNIL | DFNMR) -> int:
    if config.depth is not None:
        return config.depth
    return (config.plain_depth or 26) // 2 + 1


def canonical(
    network: Plain | ResNet | DFN | Component | PathEnsemble | DFNIL | DFNMR,
) -> Plain | ResNet | DFN | Component | PathEnsemble | DFNIL | DFNMR:
    """Returns the one configuration that stands for all that mean the same computation.

    A plain depth becomes the printed one, every spelling of an ensemble's members one, and a component that
    is a plain net of some depth that plain net: RRR at its own depth, LLL at depth 5 whatever it is part of.
    """
    match network:
        case Plain() | ResNet() | DFNIL() | DFNMR():
            return replace(network, depth=network.printed_depth, plain_depth=None)
        case Component():
            return _canonical_component(network)
        case PathEnsemble():
            return _canonical_ensemble(network)
        case DFN():
            return network
        case _:
            assert_never(network)


def _canonical_component(config: Component) -> Component | Plain:
    # Equal groups make a plain net. (At depth 5 an R group has one convolution, so all eight paths are LLL.)
    if len(set(config.group_layers)) > 1:
        return config
    return Plain(
        depth=config.printed_depth,
        width=config.width,
        classes=config.classes,
        in_channels=config.in_channels,
        input_size=config.input_size,
        bn_eps=config.bn_eps,
        bn_momentum=config.bn_momentum,
    )


def _canonical_ensemble(config: PathEnsemble) -> PathEnsemble:
    paths = config.paths
    members: Literal["all", "without_deepest"] | tuple[str, ...] = paths
    if paths == PATHS:
        members = "all"
    elif paths == tuple(path for path in PATHS if path != DEEPEST):
        members = "without_deepest"
    # A single member has nobody to vote with, so both votes are its softmax.
    vote = config.vote if len(paths) > 1 else "probabilities"
    return replace(config, members=members, vote=vote)
