"""`orch data`: which sets a workload reads, and whether the files are the published ones."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from orchestrator.errors import DataError, UsageError
from orchestrator.settings import Settings
from orchestrator.study.text import unknown
from orchestrator.study.workload import resolve


def names(settings: Settings, workload: str) -> list[str]:
    """Returns the names of a workload's data sets."""
    return list(_tools(settings, workload).NAMES)


def check(name: str, folder: Path | None, settings: Settings, workload: str) -> dict[str, int]:
    """Returns part -> number of images of a data set whose files are the published ones.

    Args:
        name: The data set.
        folder: Directory of the data sets, or None for the settings'.
        settings: As loaded.
        workload: Whose data set.

    Raises:
        DataError: Files that are missing or differ.
        UsageError: An unknown data set.
    """
    return _call("check", name, folder, settings, workload)


def fetch(name: str, folder: Path | None, settings: Settings, workload: str) -> dict[str, int]:
    """Downloads a data set; see `check`.

    Raises:
        DataError: It could not be downloaded; nothing is left behind.
        UsageError: An unknown data set.
    """
    return _call("fetch", name, folder, settings, workload)


def described(name: str, folder: Path | None, settings: Settings, workload: str) -> dict[str, Any]:
    """Returns what a study must say of a data set in its `data`, or nothing where its name is enough.

    Raises:
        DataError: Files that are missing.
        UsageError: An unknown data set.
    """
    if not hasattr(_tools(settings, workload), "described"):
        return {}
    return _call("described", name, folder, settings, workload)


def _call(verb: str, name: str, folder: Path | None, settings: Settings, workload: str) -> dict[str, Any]:
    tools = _tools(settings, workload)
    if name not in tools.NAMES:
        raise UsageError(unknown("data set", name, tools.NAMES))
    try:
        return dict(getattr(tools, verb)(name, folder or settings.data_dir))
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from None


def _tools(settings: Settings, workload: str) -> Any:
    spec = resolve(workload, modules=settings.workload_modules)
    if not spec.data_sets:
        raise UsageError(f"workload {spec.name!r} names no data sets")
    return importlib.import_module(spec.data_sets)
