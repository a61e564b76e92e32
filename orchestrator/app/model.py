"""`orch model`: what a network is, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.settings import Settings
from orchestrator.study.config import bind, put
from orchestrator.study.workload import resolve
from workloads.api import Spec, load_object, to_plain

# The papers count parameters for colour images of 32 x 32, those of ImageNet's networks for 224 x 224: a
# network whose data set is not said is described so.
DATA, IMAGENET = "cifar10", "imagenet"
SHAPE = ("classes", "in_channels", "input_size")


def describe(
    name: str,
    patches: Mapping[str, Any],
    settings: Settings,
    *,
    workload: str = "classification",
    data: str | None = None,
    drawing: Path | None = None,
) -> dict[str, Any]:
    """Returns {"parameters", "longest_path", "flops", "paths"} of a network, its details and its config.

    Details are those of `Spec.details`.

    Args:
        name: Kind of the network (`network.name`).
        patches: Dotted paths inside `network` -> value.
        settings: As loaded.
        workload: Whose network.
        data: Data set that class count and input size are taken from; None for CIFAR-10's, and ImageNet's
            for networks named after it.
        drawing: File that a drawing of the network is written to, as SVG; its name is then among the keys.

    Raises:
        StudyError: An unknown network or key, or a value out of range.
        UsageError: A workload that draws nothing, or a file that cannot be written.
    """
    spec = resolve(workload, modules=settings.workload_modules)
    usual = IMAGENET if name.endswith("_imagenet") else DATA
    nested: dict[str, Any] = {"data": {"name": data or usual}, "network": {"name": name}}
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
    described = dict(load_object(spec.describe)(config)) if spec.describe else {}
    if spec.details:
        described.update(load_object(spec.details)(config))
    if drawing is not None:
        _draw(spec, config, drawing)
        described["drawing"] = str(drawing)
    described["network"] = to_plain(config.network)
    return described


def _draw(spec: Spec, config: Any, drawing: Path) -> None:
    if not spec.picture:
        raise UsageError(f"--draw: the workload {spec.name!r} draws no networks; leave the flag out")
    try:
        drawing.write_text(load_object(spec.picture)(config), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--draw {drawing}: {error.strerror}; name a file that can be written") from None
