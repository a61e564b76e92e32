"""Evaluates trained networks under conditions, each checkpoint loaded and forwarded once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch

from workloads import checkpoint, streams
from workloads.api import Condition, Placement, Report, from_plain
from workloads.evaluations import columns, folded, lesions, members, paths, scalings, vote
from workloads.evaluations.measurement import Measurement
from workloads.evaluations.trained import Trained
from workloads.families import FAMILIES
from workloads.placement import device_of, placed

# family -> its measurements, from networks, the family's parameters and a random generator
_MEASURED: Final[dict[str, Callable[[list[Trained], Any, torch.Generator], Iterable[Measurement]]]] = {
    "members": members.alone,
    "without": members.without,
    "vote": vote.vote,
    "delete_one": lesions.delete_one,
    "delete_random": lesions.delete_random,
    "reorder": lesions.reorder,
    "path_lengths": paths.path_lengths,
    "path_depths": paths.path_depths,
    "path_gradient": paths.path_gradient,
    "effective_paths": paths.effective_paths,
    "remaining_paths": paths.remaining_paths,
    "scalings": scalings.scalings,
    "folded": folded.folded,
    "columns": columns.columns,
    "anytime": columns.anytime,
}
_Key: TypeAlias = tuple[str, tuple[int, int, int], str, str]
# Networks of the last call that came to its end: the next bundle of a worker measures them again, mostly.
# Larger ones than this would be in the way of its next training.
KEPT_BYTES: Final = 256 * 2**20
_last: Final[dict[_Key, Trained]] = {}


def evaluate(
    checkpoints: Sequence[Path], conditions: Sequence[Condition], *, data: Path, placement: Placement
) -> Iterator[Report]:
    """Yields the measurements of each condition, in order.

    Args:
        checkpoints: Directories of finished trainings: one, or all that a family gathers.
        conditions: What to measure.
        data: Directory of the data sets.
        placement: Threads and devices.

    Raises:
        ValueError: An unknown family, a family that does not gather given several networks, or
            parameters that do not suit the network.
    """
    device = device_of(placement)
    with placed(placement):
        keys = [_identity(folder, data, device) for folder in checkpoints]
        # taken away, so that whoever is interrupted in the midst of a change leaves nothing changed behind
        kept = {key: found for key, found in _last.items() if key in keys}
        _last.clear()
        networks = [
            kept.get(key) or Trained(folder, data=data, device=device)
            for key, folder in zip(keys, checkpoints, strict=True)
        ]
    for index, condition in enumerate(conditions):
        with placed(placement):
            measurements = iter(_measurements(networks, condition))
        while True:
            # what a workload changes globally holds while it computes, not while its caller does
            with placed(placement), torch.no_grad():
                found = next(measurements, None)
            if found is None:
                break
            yield Report(index=index, metrics=found.metrics, coords=found.coords, progress=found.progress)
    if sum(each.bytes for each in networks) <= KEPT_BYTES:
        _last.update(zip(keys, networks, strict=True))


def _identity(folder: Path, data: Path, device: torch.device) -> _Key:
    """Returns what tells one loaded checkpoint from another: its file, and where its network is."""
    found = checkpoint.stamp(folder)
    return (str(folder.resolve()), found, str(data), str(device))


def _measurements(networks: list[Trained], condition: Condition) -> Iterable[Measurement]:
    family = FAMILIES.get(condition.family)
    if family is None:
        known = ", ".join(FAMILIES)
        raise ValueError(f"family: got {condition.family!r}, allowed is one of {known}")
    if len(networks) != 1 and not family.gathers:
        raise ValueError(f"{condition.family}: got {len(networks)} checkpoints, allowed is one")
    parameters: Any = from_plain(family.parameters, condition.parameters)
    # of the seed, the family and the draw alone, so that draws pair across the cells of a study
    generator = streams.generator(f"{condition.family}:{condition.draw}", condition.seed)
    return _MEASURED[condition.family](networks, parameters, generator)
