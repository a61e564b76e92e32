"""Families of lesions and of paths through residual networks, as known without torch.

Source: Veit et al. 2016, sections 4 to 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from workloads.api import Family
from workloads.ranges import is_count, require

METRICS: Final = ("test_loss", "test_error")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOne:
    """A network without one of its modules or layers; the skip connection stays.

    Source: Veit et al. 2016, section 4.1, Figures 3, 4 and 8.

    Attributes:
        module: Position from 0: of a residual module, or of a convolution in a VGG net.
    """

    module: int

    def __post_init__(self) -> None:
        """Checks the position."""
        _check_count("module", self.module, least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRandom:
    """A network without some of its modules, drawn at random.

    Source: Veit et al. 2016, section 4.2, Figure 5(a).

    Attributes:
        count: Modules that are deleted.
    """

    count: int

    def __post_init__(self) -> None:
        """Checks the count."""
        _check_count("count", self.count, least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder:
    """A network with pairs of its modules swapped, drawn at random among those of equal shape.

    Source: Veit et al. 2016, section 4.3, Figure 5(b).

    Attributes:
        swaps: Pairs that are swapped, distinct.
    """

    swaps: int

    def __post_init__(self) -> None:
        """Checks the count."""
        _check_count("swaps", self.swaps, least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLengths:
    """The exact distribution of the lengths of paths through a residual network.

    Source: Veit et al. 2016, section 5, Figure 6(a).
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class PathDepths:
    """The exact distribution of the depths of the ways through any network, in layers.

    A depth counts the convolutions, 1x1 projections among them, and the fully connected layer on a way
    from image to logits, so that every network has one, unlike the modules of `PathLengths`. It is the
    network's: no weight matters.

    Source: Zhao et al. 2016, Appendix A.1, Figure 11 (depths of component networks, mean and standard
    deviation).
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class RemainingPaths:
    """The share of the paths of each length that a deletion leaves, exactly.

    Source: Veit et al. 2016, section 6, equation 8, Figure 7.

    Attributes:
        deleted: Modules that are deleted.
    """

    deleted: int

    def __post_init__(self) -> None:
        """Checks the count."""
        _check_count("deleted", self.deleted, least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathGradient:
    """The norm of the gradient that arrives at the input along single paths of one length.

    The loss is the mean cross-entropy of a random mini-batch of the training set, not augmented; the
    norm is of the whole mini-batch's gradient. Batch normalisation is in evaluation mode: the paper does
    not say, and statistics of the batch would couple its images.

    Source: Veit et al. 2016, section 5, Figure 6(b): 1,000 samples for each length.

    Attributes:
        length: Modules that a path goes through.
        samples: Paths, each with a mini-batch of its own.
        batch_size: Images of a mini-batch.
    """

    length: int
    samples: int = 100
    batch_size: int = 128

    def __post_init__(self) -> None:
        """Checks the counts."""
        _check_count("length", self.length, least=0)
        _check_count("samples", self.samples, least=1)
        _check_count("batch_size", self.batch_size, least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectivePaths:
    """The share of the gradient that all paths of each length carry together.

    Source: Veit et al. 2016, section 5, Figure 6(c): the number of paths of a length times the mean
    norm along one. Otherwise as `PathGradient`.

    Attributes:
        samples: Paths of each length, each with a mini-batch of its own.
        batch_size: Images of a mini-batch.
    """

    samples: int = 100
    batch_size: int = 128

    def __post_init__(self) -> None:
        """Checks the counts."""
        _check_count("samples", self.samples, least=1)
        _check_count("batch_size", self.batch_size, least=1)


def deletable(network: Any) -> Sequence[int]:
    """Returns the positions of a network's modules or layers that can be deleted; none of most kinds."""
    return getattr(network, "deletable", ())


def swappable(network: Any) -> Sequence[Sequence[int]]:
    """Returns groups of positions whose modules may be exchanged; none of a network without them."""
    return getattr(network, "interchangeable", ())


def _check_count(name: str, value: object, *, least: int) -> None:
    fits = is_count(value) and value >= least  # type: ignore[operator]
    require(fits, name, value, f"a whole number of at least {least}")


def _cannot_delete(config: Any, parameters: Any) -> str | None:
    network, allowed = config.network, deletable(config.network)
    if not allowed:
        return f"needs a network whose modules can be deleted, got {network.name}"
    if isinstance(parameters, DeleteOne) and parameters.module not in allowed:
        return f"module {parameters.module} cannot be deleted; allowed: {_ranges(allowed)}"
    if isinstance(parameters, DeleteRandom) and parameters.count > len(allowed):
        return f"count {parameters.count} is more than the network's {len(allowed)} modules"
    return None


def _cannot_reorder(config: Any, parameters: Any) -> str | None:
    groups = swappable(config.network)
    pairs = sum(len(group) * (len(group) - 1) // 2 for group in groups)
    if not groups:
        return f"needs a residual network, got {config.network.name}, whose layers cannot be exchanged"
    if isinstance(parameters, Reorder) and parameters.swaps > pairs:
        return f"swaps {parameters.swaps} is more than the network's {pairs} pairs of modules of equal shape"
    return None


def _without_paths(config: Any, parameters: Any) -> str | None:
    if not swappable(config.network):
        return f"needs a residual network, got {config.network.name}: it has no modules with skip connections"
    modules = config.network.modules
    for name in ("length", "deleted"):
        if (value := getattr(parameters, name, 0)) > modules:
            return f"{name} {value} is more than the network's {modules} modules"
    return None


def _ranges(positions: Sequence[int]) -> str:
    """Returns positions as "0-3, 5": a network has a hundred of them."""
    parts: list[list[int]] = []
    for position in positions:
        if parts and position == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], position]
        else:
            parts.append([position, position])
    return ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in parts)


LESIONS: Final[dict[str, Family]] = {
    "delete_one": Family(parameters=DeleteOne, metrics=METRICS, unsuited=_cannot_delete),
    "delete_random": Family(parameters=DeleteRandom, metrics=METRICS, random=True, unsuited=_cannot_delete),
    "reorder": Family(
        parameters=Reorder, metrics=(*METRICS, "kendall_tau"), random=True, unsuited=_cannot_reorder
    ),
    "path_lengths": Family(
        parameters=PathLengths, metrics=("path_share",), coords=("length",), unsuited=_without_paths
    ),
    "path_depths": Family(
        parameters=PathDepths, metrics=("path_share", "mean_depth", "std_depth"), coords=("depth",)
    ),
    "path_gradient": Family(
        parameters=PathGradient,
        metrics=("gradient_norm", "log10_gradient_norm"),
        random=True,
        unsuited=_without_paths,
    ),
    "effective_paths": Family(
        parameters=EffectivePaths,
        metrics=("path_share", "gradient_norm", "log10_gradient_norm", "gradient_share"),
        coords=("length",),
        random=True,
        unsuited=_without_paths,
    ),
    "remaining_paths": Family(
        parameters=RemainingPaths, metrics=("remaining_share",), coords=("length",), unsuited=_without_paths
    ),
}
