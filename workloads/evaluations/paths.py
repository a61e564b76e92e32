"""Paths through a residual network: how many of each length there are, and how much gradient they carry.

A network of n residual modules has 2^n paths: at each module one goes through its residual branch or along
its skip connection. A path's length is the number of branches that it goes through (modules, not layers).

Shapes: B images of a mini-batch, C channels, H height, W width.
Source: Veit et al. 2016, sections 5 and 6, equation 8, Figures 6 and 7; of `path_depths`, Zhao et al. 2016.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

import torch
from torch import nn
from torch.nn import functional

from workloads.evaluations.measurement import Measurement
from workloads.evaluations.trained import Trained
from workloads.lesion_families import (
    EffectivePaths,
    PathDepths,
    PathGradient,
    PathLengths,
    RemainingPaths,
)
from workloads.networks import describe

# Samples between two places to stop: a backward pass through a deep network takes a good part of a second.
_LOOK_EVERY: Final = 8


class Residual(Protocol):
    """A network whose residual modules can be entered one by one."""

    @property
    def residual_modules(self) -> Sequence[Module]:
        """Returns the modules in order."""
        ...

    def enter(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns the input of the first module."""
        ...

    def leave(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns logits (B, K) from the output of the last module."""
        ...


class Module(Protocol):
    """A residual module: its output is skip(x) + branch(x)."""

    def skip(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns what the skip connection carries."""
        ...

    def branch(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns what the residual branch adds."""
        ...


def share(modules: int, length: int) -> float:
    """Returns the share of all paths that go through `length` of `modules` modules: C(n, k) / 2^n."""
    return float(math.comb(modules, length) / 2**modules)


def remaining(modules: int, deleted: int, length: int) -> float:
    """Returns the share of the paths of a length that is left when modules are deleted.

    Source: Veit et al. 2016, equation 8: C(n - d, x) / C(n, x).
    """
    return math.comb(modules - deleted, length) / math.comb(modules, length)


def path_lengths(
    networks: list[Trained], parameters: PathLengths, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields the exact share of the paths of each length (Figure 6a)."""
    modules = _modules(networks[0])
    for length in range(modules + 1):
        yield Measurement(
            coords={"length": length},
            metrics={"path_share": share(modules, length)},
            progress=length / modules,
        )


def path_depths(
    networks: list[Trained], parameters: PathDepths, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields the exact share of the ways of each depth, their mean and standard deviation (Figure 11)."""
    counts = describe.path_lengths(networks[0].config.network)
    shares = depth_shares(counts)
    for depth, found in shares.items():
        yield Measurement(coords={"depth": depth}, metrics={"path_share": found})
    mean = math.fsum(depth * found for depth, found in shares.items())
    variance = math.fsum((depth - mean) ** 2 * found for depth, found in shares.items())
    yield Measurement(metrics={"mean_depth": mean, "std_depth": math.sqrt(variance)})


def depth_shares(counts: Mapping[int, int]) -> dict[int, float]:
    """Returns depth -> share of all ways, from depth -> number of ways, which may be beyond any float."""
    total = sum(counts.values())
    return {depth: count / total for depth, count in counts.items()}


def remaining_paths(
    networks: list[Trained], parameters: RemainingPaths, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields the exact share of the paths of each length that `deleted` modules leave (Figure 7).

    Raises:
        ValueError: More modules than there are.
    """
    modules = _modules(networks[0])
    if parameters.deleted > modules:
        raise ValueError(f"deleted: got {parameters.deleted}, the network has {modules} modules")
    for length in range(modules + 1):
        yield Measurement(
            coords={"length": length},
            metrics={"remaining_share": remaining(modules, parameters.deleted, length)},
            progress=length / modules,
        )


def path_gradient(
    networks: list[Trained], parameters: PathGradient, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields the mean norm of the gradient that arrives at the input along one path of a length (Figure 6b).

    Raises:
        ValueError: A length of more modules than there are.
    """
    network = networks[0]
    modules = _modules(network)
    if parameters.length > modules:
        raise ValueError(f"length: got {parameters.length}, the network has {modules} modules")
    norms: list[float] = []
    for sample in range(parameters.samples):
        norms.append(_sample(network, parameters.length, parameters.batch_size, generator))
        if sample % _LOOK_EVERY == _LOOK_EVERY - 1:
            yield Measurement(progress=sample / parameters.samples)
    yield Measurement(metrics=_summary(norms))


def effective_paths(
    networks: list[Trained], parameters: EffectivePaths, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields the share of the gradient that all paths of each length carry together (Figure 6c).

    It is the number of such paths times the mean norm along one, over the sum of this for all lengths.
    """
    network = networks[0]
    modules = _modules(network)
    norms: list[list[float]] = []
    for length in range(modules + 1):
        found: list[float] = []
        for sample in range(parameters.samples):
            found.append(_sample(network, length, parameters.batch_size, generator))
            if sample % _LOOK_EVERY == _LOOK_EVERY - 1:
                done = length + sample / parameters.samples
                yield Measurement(progress=done / (modules + 1))
        norms.append(found)
    totals = [share(modules, length) * _mean(found) for length, found in enumerate(norms)]
    for length, found in enumerate(norms):
        yield Measurement(
            coords={"length": length},
            metrics={
                "path_share": share(modules, length),
                "gradient_share": totals[length] / math.fsum(totals) if any(totals) else 0.0,
                **_summary(found),
            },
        )


def restricted(net: Residual, x_BCHW: torch.Tensor, taken: Sequence[bool]) -> torch.Tensor:
    """Returns logits (B, K) of the whole network, whose gradient flows along one path alone.

    The forward pass is the whole network's. Where a module is taken, the gradient goes through its branch
    only, elsewhere through its skip connection only; so the gradients of all 2^n paths sum to the whole one.

    Args:
        net: Residual network.
        x_BCHW: Images.
        taken: For each module, whether the path goes through its branch.
    """
    y_BCHW = net.enter(x_BCHW)
    for module, through in zip(net.residual_modules, taken, strict=True):
        skip_BCHW, branch_BCHW = module.skip(y_BCHW), module.branch(y_BCHW)
        y_BCHW = skip_BCHW.detach() + branch_BCHW if through else skip_BCHW + branch_BCHW.detach()
    return net.leave(y_BCHW)


@torch.enable_grad()
def _sample(network: Trained, length: int, batch_size: int, generator: torch.Generator) -> float:
    """Returns the gradient's norm at the input of one random mini-batch along one random path."""
    net: Residual = network.network  # type: ignore[assignment] # `unsuited` sees to it
    images = torch.randperm(len(network.train), generator=generator)[:batch_size]
    images = images.to(network.train.y_N.device)
    x_BCHW, y_B = network.train.images(images), network.train.y_N[images]
    modules = len(net.residual_modules)
    chosen = set(torch.randperm(modules, generator=generator)[:length].tolist())
    x_BCHW = x_BCHW.requires_grad_()
    logits_BK = restricted(net, x_BCHW, [position in chosen for position in range(modules)])
    loss = functional.cross_entropy(logits_BK, y_B)
    (gradient_BCHW,) = torch.autograd.grad(loss, x_BCHW)
    return float(gradient_BCHW.double().norm())


def _modules(network: Trained) -> int:
    assert isinstance(network.network, nn.Module)
    return int(network.config.network.modules)  # type: ignore[union-attr] # `unsuited` sees to it


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _summary(norms: Sequence[float]) -> dict[str, float]:
    """Returns the mean norm, and the mean of its decimal logarithm where no norm is 0."""
    summary = {"gradient_norm": _mean(norms)}
    if all(norms):
        summary["log10_gradient_norm"] = _mean([math.log10(norm) for norm in norms])
    return summary
