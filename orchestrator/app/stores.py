"""From a store's place to the adapters: a directory, or a bucket with a small directory beside it."""

from __future__ import annotations

import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, final

import platformdirs

from orchestrator.errors import UsageError
from orchestrator.model.place import directory, is_uri, local_name
from orchestrator.store.durable import is_older, make_folder, size_of, write_file
from orchestrator.store.layout import Layout

if TYPE_CHECKING:
    from orchestrator.ports import CheckpointStore, LogStore
    from orchestrator.settings import Settings
    from orchestrator.store.objects import Objects
    from orchestrator.store.results import ParquetResults

FOLDERS = ("results", "checkpoints", "logs")
CODE = "code"  # archives of the code that trials ran
_RENEWED_S = 1800.0


@final
class Stores:
    """A store's parts, checkpoints and logs, and its directory on this machine."""

    def __init__(self, place: str) -> None:
        """Takes a place as `Settings.store` has it; nothing is made or reached."""
        self.remote = is_uri(place)
        root = (
            Path(platformdirs.user_state_dir("orch")) / "stores" / local_name(place)
            if self.remote
            else directory(place)
        )
        self.layout = Layout(root)
        self.place = place if self.remote else str(self.layout.root)

    @cached_property
    def results(self) -> ParquetResults:
        """The parts."""
        return self._results(self.layout.parts)

    def unread(self) -> ParquetResults:
        """Returns the parts for one who wants to see their bytes anew: no copy is trusted."""
        return self._results(None)

    @cached_property
    def checkpoints(self) -> CheckpointStore:
        """The checkpoints."""
        from orchestrator.store.checkpoints import DirectoryCheckpoints
        from orchestrator.store.object_checkpoints import ObjectCheckpoints

        return ObjectCheckpoints(self.objects) if self.remote else DirectoryCheckpoints(self.layout.root)

    @cached_property
    def logs(self) -> LogStore:
        """The trials' logs."""
        from orchestrator.store.logs import DirectoryLogs, ObjectLogs

        return ObjectLogs(self.objects) if self.remote else DirectoryLogs(self.layout.root)

    def renew_code(self, name: str) -> bool:
        """Returns whether an archive of code is kept, which from then on counts as new: somebody runs it."""
        if self.remote:
            archives = {each.name: each for each in self.objects.found(CODE)}
            found = archives.get(f"{CODE}/{name}")
            # An object is renewed by writing it again, as who asks does where there is none.
            return found is not None and not found.older_than(_RENEWED_S)
        try:
            os.utime(self.layout.root / CODE / name)
        except FileNotFoundError:
            return False
        return True

    def old_code(self, *, older_than_s: float) -> list[tuple[str, int]]:
        """Returns the archives of code, and what is left of half ones, that are so old: name and bytes."""
        if self.remote:
            return [
                (each.name.removeprefix(f"{CODE}/"), each.size)
                for each in self.objects.found(CODE)
                if each.older_than(older_than_s)
            ]
        folder = self.layout.root / CODE
        return [
            (path.name, size_of(path))
            for path in sorted(folder.glob("*") if folder.is_dir() else ())
            if is_older(path, older_than_s)
        ]

    def drop_code(self, name: str) -> None:
        """Deletes an archive of code; nothing happens where it is gone."""
        if self.remote:
            self.objects.delete([f"{CODE}/{name}"])
        else:
            (self.layout.root / CODE / name).unlink(missing_ok=True)

    def keep_code(self, name: str, content: bytes) -> None:
        """Keeps an archive of code, whole or not at all."""
        if self.remote:
            self.objects.put(f"{CODE}/{name}", content)
        else:
            make_folder(self.layout.root / CODE)
            write_file(self.layout.root / CODE / name, content)

    def code(self, name: str) -> bytes | None:
        """Returns an archive of code, or None."""
        try:
            if self.remote:
                return self.objects.read(f"{CODE}/{name}")
            return (self.layout.root / CODE / name).read_bytes()
        except FileNotFoundError:
            return None

    def create(self) -> None:
        """Makes the folders of a directory, or checks that the bucket answers.

        Raises:
            TargetError: It cannot be made, written or reached.
        """
        self.layout.create(() if self.remote else FOLDERS)
        self.reach()

    def free_bytes(self) -> int | None:
        """Returns the room where the store is or will be, None for a bucket and where it cannot be known."""
        if self.remote:
            return None
        root = self.layout.root
        try:
            usage = shutil.disk_usage(next(path for path in (root, *root.parents) if path.exists()))
        except OSError:  # a folder above it that this user may not enter, say
            return None
        return usage.free if usage.total else None  # no disk: /proc, say

    def reach(self) -> None:
        """Checks that the bucket of a store answers.

        Raises:
            TargetError: It does not, or there is none.
        """
        if self.remote:
            self.objects.require()

    @cached_property
    def objects(self) -> Objects:
        """The bucket of a store that has one."""
        from orchestrator.store.objects import Objects

        return Objects(self.place)

    def _results(self, copies: Path | None) -> ParquetResults:
        from orchestrator.store.part_files import PartFolder, PartObjects
        from orchestrator.store.results import ParquetResults

        return ParquetResults(
            PartObjects(self.objects, copies) if self.remote else PartFolder(self.layout.root)
        )


def stores_of(settings: Settings) -> Stores:
    """Returns the configured store.

    Raises:
        UsageError: A store in a bucket without a database for its registry.
    """
    found = Stores(settings.store)
    if found.remote and settings.registry_url is None:
        raise UsageError(
            f"the store {settings.store} is no place for a database: its registry needs one. Write "
            'registry_url = "postgresql://user@host/orch" into orch.toml (or set ORCH_REGISTRY_URL); for one '
            'machine that alone uses the store "sqlite:////home/me/registry.db" will do'
        )
    return found
