"""`orch model`: what a network is, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.settings import Settings
from orchestrator.study.config import bind
from orchestrator.study.workload import resolve
from workloads.api import load_object, to_plain

# The papers count parameters for colour images of 32 x 32: a network whose data set is not said is
# described so.
DATA = "cifar10"


def describe(
    name: str,
    patches: Mapping[str, Any],
    settings: Settings,
    *,
    workload: str = "classification",
    data: str = DATA,
) -> dict[str, Any]:
    """Returns {"parameters", "longest_path", "flops", "paths"} of a network, and its config.

    Args:
        name: Kind of the network (`network.name`).
        patches: Dotted paths inside `network` -> value.
        settings: As loaded.
        workload: Whose network.
        data: Data set that class count and input size are taken from.

    Raises:
        StudyError: An unknown network or key, or a value out of range.
    """
    spec = resolve(workload, modules=settings.workload_modules)
    nested: dict[str, Any] = {"data": {"name": data}, "network": {"name": name}}
    for path, value in patches.items():
        group = nested["network"]
        *outer, last = path.removeprefix("network.").split(".")
        for part in outer:
            group = group.setdefault(part, {})
        group[last] = value
    config = spec.canonical(bind(spec, nested, file=f"orch model {name}"))
    described = dict(load_object(spec.describe)(config))
    described["network"] = to_plain(config.network)
    return described
