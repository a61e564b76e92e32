"""Lesions of a trained network: residual modules or layers deleted or reordered, nothing retrained.

A module that is deleted leaves its skip connection, at a change of channels the projection with the
normalisation and ReLU that feed it. The network is in evaluation mode and its statistics stay those of
the training. Where modules were trained with stochastic depth, those that remain keep their survival
factors.

Source: Veit et al. 2016, section 4, Figures 3, 4, 5 and 8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from workloads import predictions
from workloads.evaluations import measurement
from workloads.evaluations.measurement import Measurement
from workloads.evaluations.trained import Trained
from workloads.lesion_families import DeleteOne, DeleteRandom, Reorder, deletable, swappable


def delete_one(
    networks: list[Trained], parameters: DeleteOne, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields the loss and error without one module.

    Raises:
        ValueError: No such module, or one that cannot be deleted.
    """
    network = networks[0]
    allowed = deletable(network.config.network)
    if parameters.module not in allowed:
        raise ValueError(f"module: got {parameters.module}, which is not one of the network's {allowed}")
    yield _run(network, {"deleted": [parameters.module]})


def delete_random(
    networks: list[Trained], parameters: DeleteRandom, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields the loss and error without `count` modules, drawn without replacement.

    One draw's modules for a small count are among those for a larger one, so that the errors of one draw
    trace a curve.

    Raises:
        ValueError: More modules than there are.
    """
    network = networks[0]
    allowed = deletable(network.config.network)
    if parameters.count > len(allowed):
        raise ValueError(f"count: got {parameters.count}, the network has {len(allowed)} modules to delete")
    order = torch.randperm(len(allowed), generator=generator).tolist()
    yield _run(network, {"deleted": [allowed[each] for each in order[: parameters.count]]})


def reorder(
    networks: list[Trained], parameters: Reorder, generator: torch.Generator
) -> Iterator[Measurement]:
    """Yields the loss, the error and Kendall's tau after swaps of modules of equal shape.

    The pairs are distinct, drawn without replacement from all pairs of modules inside a stage that change no
    channels, and swapped one after the other. Tau compares the resulting order of all such modules of the
    network with the original one.

    Raises:
        ValueError: More swaps than there are pairs.
    """
    network = networks[0]
    groups = swappable(network.config.network)
    order = swapped(_modules(network), groups, parameters.swaps, generator)
    free = [position for group in groups for position in group]
    from scipy import stats  # a second of every worker, of which few come here

    tau = float(stats.kendalltau(free, [order[position] for position in free]).statistic)
    yield _run(network, {"order": order}, kendall_tau=tau)


def swapped(
    modules: int, groups: Sequence[Sequence[int]], swaps: int, generator: torch.Generator
) -> list[int]:
    """Returns the modules in the order that they are applied in after random swaps.

    Args:
        modules: How many there are.
        groups: Positions that may be exchanged with each other.
        swaps: Number of pairs.
        generator: Draws the pairs.

    Raises:
        ValueError: More swaps than there are pairs.
    """
    pairs = [(a, b) for group in groups for i, a in enumerate(group) for b in group[i + 1 :]]
    if swaps > len(pairs):
        raise ValueError(f"swaps: got {swaps}, the network has {len(pairs)} pairs of modules of equal shape")
    order = list(range(modules))
    for drawn in torch.randperm(len(pairs), generator=generator)[:swaps].tolist():
        a, b = pairs[drawn]
        order[a], order[b] = order[b], order[a]
    return order


def _modules(network: Trained) -> int:
    return int(network.config.network.modules)  # type: ignore[union-attr] # `unsuited` sees to it


def _run(network: Trained, lesion: dict[str, list[int]], **others: float) -> Measurement:
    logits_NK = predictions.outputs(network.network, network.test, **lesion)
    return measurement.of(logits_NK.log_softmax(-1), network.test.y_N, **others)
