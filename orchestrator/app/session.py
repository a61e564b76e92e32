"""The composition root: settings to adapters."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.app.secrets import filled_url
from orchestrator.app.stores import Stores, stores_of
from orchestrator.errors import NotFoundError, OrchError, TargetError, UsageError
from orchestrator.model.run import Lease, Owner
from orchestrator.ports import Registry
from orchestrator.settings import Settings


class SystemClock:
    """The machine's clocks."""

    def time(self) -> float:
        """Returns seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Returns seconds that never go back."""
        return time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An open store.

    Attributes:
        settings: As loaded.
        stores: Parts, checkpoints and logs.
        registry: The truth about states.
    """

    settings: Settings
    stores: Stores
    registry: Registry

    @property
    def data(self) -> str:
        """Directory of the data sets, absolute."""
        return str(self.settings.data_dir.absolute())

    @property
    def mlflow_uri(self) -> str | None:
        """The tracking URI of the mirror, None when it is off."""
        if self.settings.mlflow_uri == "off":
            return None
        if self.settings.mlflow_uri:
            return filled_url(self.settings.mlflow_uri, self.settings)
        if self.stores.remote:  # a mirror on one machine is no mirror of what many share
            return None
        # Only what a URL would read otherwise is quoted: MLflow makes folders of what it is given.
        return "sqlite:///" + str(self.stores.layout.mirror).replace("%", "%25").replace("?", "%3F")


def store_exists(settings: Settings) -> bool:
    """Returns whether something was ever written to the configured store."""
    return settings.registry_url is not None or stores_of(settings).layout.registry.is_file()


@contextmanager
def open_session(settings: Settings, *, create: bool = False) -> Iterator[Session]:
    """Opens the configured store, and closes it.

    Args:
        settings: As loaded.
        create: Whether to make the store when there is none.

    Raises:
        NotFoundError: There is no store and `create` is False.
        UsageError: A store that is to be made lies within the data sets.
        TargetError: The store or the database cannot be used, or has no room.
    """
    from orchestrator.registry.registry import open_registry

    stores = stores_of(settings)
    if not create and not store_exists(settings):
        raise NotFoundError(
            f"no store at {stores.place}: nothing has been submitted there; "
            "`orch submit STUDY` makes it, --store or ORCH_STORE names another"
        )
    if create:
        _require_apart(stores, settings)
        require_room(stores, settings)
        stores.create()
    registry = open_registry(registry_url(settings))
    try:
        yield Session(settings=settings, stores=stores, registry=registry)
    finally:
        registry.close()


def _require_apart(stores: Stores, settings: Settings) -> None:
    """Checks that a store would not become part of a data set, which would differ with every result."""
    if stores.remote:
        return
    root, data = stores.layout.root.resolve(), settings.data_dir.resolve()
    if root.is_relative_to(data):
        raise UsageError(
            f"the store {root} lies within the data sets' folder {data}: their digests would "
            "change with every result; choose another folder (--store DIR or ORCH_STORE), or another data_dir"
        )


def require_room(stores: Stores, settings: Settings) -> None:
    """Checks that the store's disk has room to begin anything.

    Raises:
        TargetError: It has not.
    """
    least = settings.min_free_gb
    free = stores.free_bytes() if least else None
    if free is not None and free < least * 1e9:
        raise TargetError(
            f"the store {stores.place} has {free / 1e9:.2f} GB free, allowed is {least:g} GB or more; "
            "make room (orch gc, orch compact), choose another folder (--store DIR or ORCH_STORE), "
            "or lower min_free_gb"
        )


@contextmanager
def driving(session: Session, study: str) -> Iterator[Lease]:
    """Yields the right to drive a study, and gives it back.

    Raises:
        HeldError: Another driver has it.
    """
    lease = session.registry.acquire(study, new_owner(), session.settings.lease_s)
    try:
        yield lease
    finally:
        try:
            session.registry.release(lease)
        except (OrchError, OSError):
            # A full disk, say, which may be why we are here: that is told, and the lease runs out by itself.
            logging.getLogger(__name__).debug("the lease could not be given back", exc_info=True)


def registry_url(settings: Settings) -> str:
    """Returns the registry's database URL, or the path of its file: a path may hold what a URL may not."""
    if settings.registry_url:
        return filled_url(settings.registry_url, settings)
    return str(stores_of(settings).layout.registry)


def back_up(session: Session) -> None:
    """Copies a registry in a file into the store's backups; a database server has its own."""
    from orchestrator.registry.location import sqlite_file
    from orchestrator.registry.schema import backup

    if (file := sqlite_file(registry_url(session.settings))) is not None:
        backup(file, session.stores.layout.backups)


def new_owner() -> Owner:
    """Returns the identity of this process as a driver."""
    return Owner(driver=uuid.uuid4().hex[:12], host=socket.gethostname(), pid=os.getpid())


def user() -> str:
    """Returns the name of who runs this process, or a number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, a user without a name
        return str(os.getuid())


def study_file(text: str) -> Path | None:
    """Returns a path when `text` names a file rather than a recorded study; a study's name has no slash."""
    path = Path(text)
    return path if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 else None
