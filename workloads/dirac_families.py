"""Families of measurements of DiracNets and of chains that can be folded, as known without torch.

Source: Zagoruyko and Komodakis 2017, sections 1, 2.1 and 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from workloads.api import Family
from workloads.ranges import count, is_finite, require

SCALED: Final = ("diracnet", "diracnet_imagenet")
CHAINS: Final = (*SCALED, "plain_dirac_baseline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalings:
    """The scalings a and b of each layer of a trained DiracNet, and its degraded planes.

    Source: Zagoruyko and Komodakis 2017, section 3.3, Figure 2 at the end of training.

    Attributes:
        threshold: A plane is degraded where |b| < threshold |a|: the learned part of its filter is smaller
            than that share of its delta. The paper does not say what it calls degraded. At first |b| / |a|
            is 0.1.
    """

    threshold: float = 0.01

    def __post_init__(self) -> None:
        """Checks the threshold."""
        fits = is_finite(self.threshold) and self.threshold > 0
        require(fits, "threshold", self.threshold, "a finite number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A trained chain with its normalisation and Dirac parameterisation folded into the filters.

    Source: Zagoruyko and Komodakis 2017, sections 1 and 2.1 ("no cost at all at inference").

    Attributes:
        batch_size: Images of the mini-batch that is timed, and whose outputs are compared in double
            precision.
        repeats: Timed passes; their median counts.
    """

    batch_size: int = 100
    repeats: int = 20

    def __post_init__(self) -> None:
        """Checks the counts."""
        count("batch_size", self.batch_size, least=1)
        count("repeats", self.repeats, least=1)


def _without_scalings(config: Any, parameters: Any) -> str | None:
    network = config.network
    if network.name not in SCALED:
        return f"needs network.name {' or '.join(SCALED)}, got {network.name}: it has no scalings a and b"
    if not network.weight_norm:
        return "needs network.weight_norm true, got false: without it there is no b"
    return None


def _not_a_chain(config: Any, parameters: Any) -> str | None:
    if config.network.name in CHAINS:
        return None
    return f"needs network.name {', '.join(CHAINS)}, got {config.network.name}: it cannot be folded"


DIRAC: Final[dict[str, Family]] = {
    "scalings": Family(
        parameters=Scalings,
        metrics=("mean_a", "std_a", "mean_b", "std_b", "median_ratio", "degraded_share"),
        coords=("layer", "group"),
        unsuited=_without_scalings,
    ),
    "folded": Family(
        parameters=Folded,
        metrics=(
            "test_loss",
            "test_error",
            "largest_difference",
            "log10_largest_difference",
            "seconds_per_image",
            "folded_seconds_per_image",
        ),
        unsuited=_not_a_chain,
    ),
}
