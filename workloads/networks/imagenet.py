"""Networks for images of 224 x 224, as configurations. Torch-free.

All read the image through a 7x7 convolution of stride 2 and a 3x3 max pooling of stride 2, and end in average
pooling and one fully connected layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from workloads.networks import checks
from workloads.networks.common import Common, check_common
from workloads.networks.stages import Staged

# depth -> residual units of each group (He et al. 2016, Table 1)
UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
# depth -> modules of each stage; 200 is that of He et al. 2016 (identity mappings), section 4
PREACT_UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetImageNet(Common):
    """A residual network of basic units (18, 34) or bottlenecks (50, 101, 152), the stride in the 3x3.

    Source: He et al. 2016, Table 1; Zhao et al. 2016, section 6.3 (ResNet-101, Table 6; ResNet-50, Table 7).

    Attributes:
        name: The kind.
        depth: 18, 34, 50, 101 or 152.
    """

    name: Literal["resnet_imagenet"] = "resnet_imagenet"
    depth: int = 50
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.one_of("depth", self.depth, tuple(UNITS))

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return self.depth

    @property
    def bottleneck(self) -> bool:
        """Whether a unit is 1x1, 3x3, 1x1 rather than two 3x3 convolutions."""
        return self.depth >= 50

    @property
    def units(self) -> tuple[int, ...]:
        """Units of each group."""
        return UNITS[self.depth]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PreActResNetImageNet(Common, Staged):
    """A residual network of pre-activation bottlenecks.

    Source: Veit et al. 2016, section 4.1 and Figure 4 (ResNet-200, 66 modules), after He et al. 2016
    (identity mappings).

    Attributes:
        name: The kind.
        depth: 50, 101, 152 or 200.
    """

    name: Literal["preact_resnet_imagenet"] = "preact_resnet_imagenet"
    depth: int = 200
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.one_of("depth", self.depth, tuple(PREACT_UNITS))

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return self.depth

    @property
    def stages(self) -> tuple[int, ...]:
        """Modules of each stage."""
        return PREACT_UNITS[self.depth]

    @property
    def downsampling(self) -> tuple[int, ...]:
        """Positions of the modules that change the channels: the first of every stage."""
        return tuple(sum(self.stages[:stage]) for stage in range(len(self.stages)))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DFNMRImageNet(Common):
    """A deeply-fused net of merge-and-run units with bottleneck branches.

    Source: Zhao et al. 2016, section 6.3 and Table 6: units 2, 2, 8, 2 and 43.3M parameters; released code.

    Attributes:
        name: The kind.
        blocks: Merge-and-run units of each group.
    """

    name: Literal["dfn_mr_imagenet"] = "dfn_mr_imagenet"
    blocks: tuple[int, ...] = (2, 2, 8, 2)

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if len(self.blocks) != 4:
            raise ValueError(f"blocks must name the units of 4 groups; got {len(self.blocks)}")
        for units in self.blocks:
            checks.whole("each of blocks", units, least=1)

    @property
    def printed_depth(self) -> int:
        """Convolutions and the fully connected layer on the longest path."""
        return 2 + 3 * sum(self.blocks)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DFN1ImageNet(Common):
    """An interpretation of DFN1: ResNet-50 with a 1x1 convolution as the shortcut of every fusion.

    Zhao et al. 2016, Figure 10, draws it; the figure is not to be had. The text says of DFN1: 50 layers,
    as many component networks as ResNet-50, much deeper ones, the shallowest deeper than ResNet-50's. This
    net has those properties (shallowest 18 layers, mean 34, against 6 and 28); nothing says that it is the
    paper's.

    Attributes:
        name: The kind.
    """

    name: Literal["dfn1_imagenet"] = "dfn1_imagenet"

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return 50


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DFN2ImageNet(Common):
    """An interpretation of DFN2: ResNet-50 with shortcuts that span two bottlenecks where there are two.

    Zhao et al. 2016, Figure 10, draws it; the figure is not to be had. The text says of DFN2: 50 layers,
    fewer component networks than ResNet-50, all of them among ResNet-50's. This net has those properties;
    nothing says that it is the paper's.

    Attributes:
        name: The kind.
    """

    name: Literal["dfn2_imagenet"] = "dfn2_imagenet"

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return 50
