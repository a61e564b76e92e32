"""Where files are in a store's directory. Knowing it makes nothing: `create` comes before the first write.

A store in a bucket has such a directory too, on each machine that drives it, for what is no object.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import final

from orchestrator.errors import TargetError


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """Names within a store.

    Attributes:
        root: The store's folder, absolute.
    """

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).expanduser().absolute())

    @property
    def registry(self) -> Path:
        """The SQLite registry; unused when the registry is on Postgres."""
        return self.root / "registry.db"

    @property
    def backups(self) -> Path:
        """Copies of the registry."""
        return self.root / "backups"

    @property
    def mirror(self) -> Path:
        """The tracking server's database, when it is kept here."""
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """The tracking server's artifacts, when they are kept here."""
        return self.root / "mlartifacts"

    @property
    def lock(self) -> Path:
        """Held by the process that mirrors."""
        return self.root / "mirror.lock"

    @property
    def parts(self) -> Path:
        """Copies of the parts of a store in a bucket."""
        return self.root / "parts"

    def create(self, folders: Collection[str] = ()) -> None:
        """Makes the directory and folders in it, by the user's umask, and checks that they take files.

        Args:
            folders: Names, besides that of the backups.

        Raises:
            TargetError: It cannot be made or written; says where and why.
        """
        try:
            for folder in (self.backups, *(self.root / name for name in folders)):
                folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"orch")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TargetError(
                f"the store {self.root} cannot be written: {error.strerror or error} "
                f"({error.filename or self.root}); choose another folder (--store DIR or ORCH_STORE), or "
                "mend its permissions or free space"
            ) from None
