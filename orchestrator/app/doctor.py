"""`orch doctor`: what this installation can do, and what stands in its way."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from dataclasses import dataclass

from orchestrator.app.session import open_session, store_exists
from orchestrator.app.stores import stores_of
from orchestrator.errors import OrchError
from orchestrator.settings import Settings

PACKAGES = ("torch", "torchvision", "ray", "mlflow", "sqlalchemy", "polars", "pyarrow", "scikit-learn")
LOW_DISK_GB = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding: its name, whether it is all right, and what was seen or what to do."""

    name: str
    ok: bool
    text: str


def examine(settings: Settings) -> list[Check]:
    """Returns what was found; nothing is started or written."""
    return [_python(), *map(_package, PACKAGES), _processors(), *_store(settings)]


def _python() -> Check:
    return Check(name="python", ok=True, text=f"{platform.python_version()} on {platform.platform()}")


def _package(name: str) -> Check:
    try:
        return Check(name=name, ok=True, text=importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name=name, ok=False, text="not installed; `make demo` installs the pinned requirements")


def _processors() -> Check:
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        usable = os.cpu_count() or 1
    return Check(name="processors", ok=True, text=f"{usable} usable")


def _store(settings: Settings) -> list[Check]:
    try:
        stores = stores_of(settings)
    except OrchError as error:
        return [Check(name="store", ok=False, text=str(error))]
    root = stores.layout.root
    place = next(path for path in (root, *root.parents) if path.exists())
    free_gb = shutil.disk_usage(place).free / 1e9
    checks = [
        Check(name="disk", ok=free_gb >= LOW_DISK_GB, text=f"{free_gb:.1f} GB free at {place}"),
        Check(name="writable", ok=os.access(place, os.W_OK), text=str(place)),
    ]
    try:
        stores.reach()
        if not store_exists(settings):
            return [*checks, Check(name="store", ok=True, text=f"none yet at {stores.place}")]
        with open_session(settings) as session:
            studies = len(session.registry.studies())
    except OrchError as error:
        return [*checks, Check(name="store", ok=False, text=str(error))]
    off = ", no MLflow (mlflow_uri names one)" if session.mlflow_uri is None and stores.remote else ""
    return [*checks, Check(name="store", ok=True, text=f"{stores.place}, {studies} studies{off}")]
