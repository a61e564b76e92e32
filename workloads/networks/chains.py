"""Chains of convolutions with max pooling between groups, as configurations. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from workloads.networks import checks
from workloads.networks.common import Common, check_common, check_side


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


def _check_pools(config: Common, pools: object, groups: int) -> None:
    checks.whole("pools", pools, least=0)
    assert isinstance(pools, int)
    if pools > groups:
        raise ValueError(f"pools must be at most the {groups} groups; got {pools}")
    check_side(config, halvings=pools, what="max poolings (pools)")
