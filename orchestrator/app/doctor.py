"""`orch doctor`: what this installation can do, and what stands in its way."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil

from orchestrator.app.exposure import Check, exposure
from orchestrator.app.notify import notifier_of, send_test
from orchestrator.app.packing import PAST, packing, this_machine
from orchestrator.app.session import open_session, store_exists
from orchestrator.app.stores import stores_of
from orchestrator.errors import OrchError
from orchestrator.model.notice import NotifyRule
from orchestrator.settings import Settings

PACKAGES = ("torch", "torchvision", "ray", "mlflow", "sqlalchemy", "polars", "pyarrow", "scikit-learn")
LOW_DISK_GB = 1.0


def examine(settings: Settings, *, notify: bool = False) -> list[Check]:
    """Returns what was found; nothing is started or written.

    Args:
        settings: As loaded.
        notify: Whether to send a test notice to everybody who is to be told.
    """
    told = [_told(rule, settings, send=notify) for rule in settings.notify]
    if notify and not told:
        told = [Check(name="notify", ok=False, text="nobody is to be told; write [[notify]] into orch.toml")]
    return [_python(), *map(_package, PACKAGES), _processors(), *_store(settings), *exposure(settings), *told]


def _told(rule: NotifyRule, settings: Settings, *, send: bool) -> Check:
    text = f"{rule.name}, on {', '.join(rule.on)}"
    try:
        notifier_of(rule, settings)
        problem = send_test(rule, settings) if send else ""
    except OrchError as error:
        problem = str(error)
    said = f": {problem}" if problem else ": a test notice was taken" if send else ""
    return Check(name="notify", ok=not problem, text=text + said)


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
            shared = packing(this_machine(), session.registry.past(PAST))
    except OrchError as error:
        return [*checks, Check(name="store", ok=False, text=str(error))]
    off = ", no MLflow (mlflow_uri names one)" if session.mlflow_uri is None and stores.remote else ""
    checks.append(Check(name="store", ok=True, text=f"{stores.place}, {studies} studies{off}"))
    checks.append(Check(name="packing", ok=True, text=shared.why))
    if shared.gpu:
        checks.append(Check(name="packing, GPU", ok=True, text=shared.gpu))
    return checks
