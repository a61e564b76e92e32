"""Where things are in a store. Knowing it makes nothing: `create` is called before the first write."""

from __future__ import annotations

import os
import tempfile
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
    def results(self) -> Path:
        """Parquet parts."""
        return self.root / "results"

    @property
    def checkpoints(self) -> Path:
        """A folder for each trial, in it one for each checkpoint."""
        return self.root / "checkpoints"

    @property
    def logs(self) -> Path:
        """Logs of drivers and workers."""
        return self.root / "logs"

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

    def exists(self) -> bool:
        """Returns whether anything was ever written here."""
        return self.registry.exists() or self.results.exists()

    def create(self) -> None:
        """Makes the folders, with permissions by the user's umask, and checks that they take files.

        Raises:
            TargetError: It cannot be made or written; says where and why.
        """
        try:
            for folder in (self.results, self.checkpoints, self.logs, self.backups):
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
