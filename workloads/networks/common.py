"""The fields that every network's configuration has, and their checks. Torch-free.

Source: Zhao et al. 2016, section 6.2, and the authors' released code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from workloads.networks import checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Common(ABC):
    """The fields that every kind has.

    Attributes:
        width: Multiple of all channels; 4 in Zhao et al., Table 5 (DFN-MR2 and 3). 16 times it must be whole.
        classes: Number of classes, or None for the data set's.
        in_channels: Channels of the input image, or None for the data set's.
        input_size: Side of the square input image in pixels, or None for the data set's.
        bn_eps: Added to the variance in batch normalisation; 2e-5 in the code of Zhao et al.
        bn_momentum: Weight of the newest batch in the running statistics (torch's sense). The released
            code's MXNet momentum 0.9 is 0.1 here.
    """

    width: float = 1.0
    classes: int | None = None
    in_channels: int | None = None
    input_size: int | None = None
    bn_eps: float = 2e-5
    bn_momentum: float = 0.1

    @property
    @abstractmethod
    def printed_depth(self) -> int:
        """Convolutions and the fully connected layer on the longest path."""

    def scaled(self, channels: int) -> int:
        """Returns a multiple of 16 channels times the width, a whole number."""
        return round(channels * self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeGroups(Common):
    """The fields of a network of three groups of 16, 32 and 64 channels, times the width."""

    @property
    def channels(self) -> tuple[int, int, int]:
        """Channels of the three groups; the stem has those of the first."""
        return self.scaled(16), self.scaled(32), self.scaled(64)


def check_common(config: Common) -> None:
    """Checks the common fields and leaves the real numbers among them as floats."""
    # One number, one identity: 1 and 1.0 must not be two configurations.
    for key in ("width", "bn_eps", "bn_momentum"):
        object.__setattr__(config, key, checks.real(key, getattr(config, key)))
    checks.width(config.width)
    checks.within("bn_eps", config.bn_eps, most=1.0)
    checks.within("bn_momentum", config.bn_momentum, most=1.0)
    for key, least in (("classes", 2), ("in_channels", 1), ("input_size", 1)):
        if getattr(config, key) is not None:
            checks.whole(key, getattr(config, key), least=least)


def check_side(config: Common, *, halvings: int, what: str) -> None:
    """Checks that the input is large enough to be halved so many times by pooling."""
    side = config.input_size
    if side is not None and side < 2**halvings:
        most = side.bit_length() - 1
        raise ValueError(
            f"input_size {side} is too small for {halvings} {what}: they need at least {2**halvings}; "
            f"{side} allows {most}"
        )


def check_depths(
    name: str, depth: object, plain_depth: object, *, period: int, plain_period: int, plain_default: int
) -> None:
    """Checks the pair depth and plain_depth: at most one is given, and it divides."""
    if depth is not None and plain_depth is not None:
        raise ValueError(
            f"{name}: got both depth {depth} and plain_depth {plain_depth}; give one of them, or none for "
            f"plain_depth {plain_default}"
        )
    if depth is not None:
        checks.depth(name, "depth", depth, period=period)
    if plain_depth is not None:
        checks.depth(name, "plain_depth", plain_depth, period=plain_period)
