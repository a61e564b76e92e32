"""`orch model`: what a network is, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.settings import Settings
from orchestrator.study.config import bind, put
from orchestrator.study.workload import resolve
from workloads.api import load_object, to_plain

# The papers count parameters for colour images of 32 x 32: a network whose data set is not said is
# described so.
DATA = "cifar10"
SHAPE = ("classes", "in_channels", "input_size")


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
    shape: dict[str, Any] = {}
    for path, value in patches.items():
        steps = tuple(path.removeprefix("network.").split("."))
        if steps[-1] in SHAPE and len(steps) == 1:
            shape[steps[0]] = value
        elif not put(nested["network"], steps, value):
            raise UsageError(f"--set {path}: something above it is a single value")
    # Checked like any other key, but a network without a study may have a shape that no data set has.
    bound = bind(spec, {**nested, "network": {**nested["network"], **shape}}, file=f"orch model {name}")
    asked = {key: getattr(bound.network, key) for key in shape}
    try:
        config = spec.canonical(bind(spec, nested, file=f"orch model {name}"))
        config = replace(config, network=replace(config.network, **asked))
    except ValueError as error:
        raise UsageError(f"orch model {name}: {error}") from None
    described = dict(load_object(spec.describe)(config))
    described["network"] = to_plain(config.network)
    return described
