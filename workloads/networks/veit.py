"""The networks of Veit et al. 2016 on CIFAR shape and their relatives, as configurations. Torch-free.

kind            what it is                                                      printed depth
preact_resnet   modules BN-ReLU-conv-BN-ReLU-conv beside a skip connection      2 + 6 x modules a stage
                bottlenecks                                                     2 + 9 x modules a stage
highway         the same modules, gated                                         2 + 6 x modules a stage
wrn             the same modules, wide; a projection wherever channels change   4 + 6 x modules a stage
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, final

from workloads.networks import checks
from workloads.networks.common import ThreeGroups, check_common
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
        depth: 8, 14, 20, ...; 110 in the paper, 54 modules. With bottlenecks 11, 20, 29, ..., 164, ..., 1001.
        bottleneck: Whether a module is 1x1, 3x3 and 1x1 convolutions with four times the channels at its end
            (He et al.: 164 and 1001 layers), rather than two 3x3 convolutions.
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
    bottleneck: bool = False
    shortcut: Literal["A", "B"] = "B"
    survival: float | None = None
    modules_per_batch: int | None = None
    rescale: bool = False
    bn_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Checks every field."""
        check_common(self)
        checks.one_of("bottleneck", self.bottleneck, (False, True))
        checks.depth(self.name, "depth", self.depth, period=self._period)
        checks.one_of("shortcut", self.shortcut, ("A", "B"))
        _check_sampling(self)

    @property
    def printed_depth(self) -> int:
        """The depth as the paper prints it."""
        return self.depth

    @property
    def stages(self) -> tuple[int, ...]:
        """Modules of each stage."""
        return ((self.depth - 2) // self._period,) * 3

    @property
    def downsampling(self) -> tuple[int, ...]:
        """Positions of the modules that change the channels."""
        first = (0,) if self.bottleneck else ()
        return (*first, self.stages[0], 2 * self.stages[0])

    @property
    def _period(self) -> int:
        return 9 if self.bottleneck else 6


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
