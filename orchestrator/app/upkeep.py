"""`orch gc` and `orch compact`: room on the disk, and fewer files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.app.session import Session
from orchestrator.app.stores import CODE
from orchestrator.driver.drive import BACKUP_S
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.model.plan import State
from orchestrator.model.result import PartRef
from orchestrator.model.run import CheckpointRef
from orchestrator.ports import CheckpointStore, ResultStore
from orchestrator.store import durable

# A part is on the disk before it is listed, and a checkpoint before it is recorded.
GRACE_S = 3600.0
# A driver says once an hour that it still runs the code that it began with.
DRIVEN_S = 3 * BACKUP_S
# Rows of one part after a compaction: a reader of one trial reads its part.
_ROWS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What nothing needs.

    Attributes:
        strays: Files and folders that no record names: path and bytes.
        superseded: Checkpoints of finished trainings but for the newest.
        code: Archives of code that made no recorded result and that nobody runs: path and bytes.
    """

    strays: Sequence[tuple[str, int]]
    superseded: Sequence[CheckpointRef]
    code: Sequence[tuple[str, int]]

    @property
    def size_bytes(self) -> int:
        """Bytes that go with it."""
        files = sum(size for _, size in (*self.strays, *self.code))
        return files + sum(each.size_bytes for each in self.superseded)


def gc(
    session: Session,
    results: ResultStore,
    checkpoints: CheckpointStore,
    *,
    delete: bool,
    grace_s: float = GRACE_S,
) -> Garbage:
    """Returns what nothing needs, and deletes it when asked to.

    Args:
        session: The store.
        results: Its parts.
        checkpoints: Its checkpoints.
        delete: Whether to delete.
        grace_s: What was changed less long ago is kept: somebody may be about to record it.

    Raises:
        UsageError: A grace period below nothing.
    """
    if grace_s < 0:
        raise UsageError(f"--grace: got {grace_s:g}, allowed are 0 seconds and more")
    registry = session.registry
    superseded = _superseded(session)
    if delete:
        for checkpoint in superseded:
            # the record first: what is recorded is there
            registry.drop_checkpoint(checkpoint)
            checkpoints.delete(checkpoint)
    # Listed after the grace period began, so that nothing new is taken for a stray.
    strays = [
        *results.sweep(registry.parts(), older_than_s=grace_s, dry=not delete),
        *checkpoints.sweep(
            older_than_s=grace_s,
            listed=registry.all_checkpoints(),
            dry=not delete,
        ),
        *_half_copies(session, older_than_s=grace_s, delete=delete),
    ]
    code = _unused_code(session, older_than_s=grace_s, delete=delete)
    return Garbage(strays=strays, superseded=superseded, code=code)


def _half_copies(session: Session, *, older_than_s: float, delete: bool) -> list[tuple[str, int]]:
    """Returns copies of the registry whose writer was killed: path and bytes; deletes them when asked to."""
    found = []
    for path in durable.leftovers(session.stores.layout.backups, older_than_s=older_than_s):
        found.append((path.relative_to(session.stores.layout.root).as_posix(), durable.size_of(path)))
        if delete:
            path.unlink(missing_ok=True)
    return found


def _unused_code(session: Session, *, older_than_s: float, delete: bool) -> list[tuple[str, int]]:
    """Returns archives of code that nothing came from: path and bytes; deletes them when asked to."""
    registry, stores = session.registry, session.stores
    if any(registry.driver(each.study) for each in registry.studies()):
        older_than_s = max(older_than_s, DRIVEN_S)
    found = stores.old_code(older_than_s=older_than_s)
    # Asked after the listing: what a driver has recorded meanwhile is named.
    named = registry.trees() if found else frozenset()
    unused = [(name, size) for name, size in found if name not in named]
    for name, _ in unused if delete else ():
        stores.drop_code(name)
    return [(f"{CODE}/{name}", size) for name, size in unused]


def _superseded(session: Session) -> list[CheckpointRef]:
    recorded = session.registry.all_checkpoints()
    statuses = session.registry.statuses({each.trial for each in recorded})
    found: list[CheckpointRef] = []
    newest = ""
    for checkpoint in recorded:  # a trial's newest first
        if checkpoint.trial == newest and statuses[checkpoint.trial].state in _ENDED:
            found.append(checkpoint)
        newest = checkpoint.trial
    return found


_ENDED = (State.SUCCEEDED, State.DIVERGED)


def compact(session: Session, results: ResultStore, *, rows: int = _ROWS) -> tuple[int, int]:
    """Joins parts, and returns how many there were and are; the old files stay until `gc`.

    A reader that began before goes on with the old files; another compaction that came first is no error.

    Args:
        session: The store.
        results: Its parts.
        rows: Rows of a joined part, at most, unless one part alone has more.
    """
    registry = session.registry
    before = registry.parts()
    for group in groups(before, rows):
        valid = registry.results(list(registry.statuses()))
        try:
            registry.replace_parts(group, results.compact(group, valid=valid))
        except NotFoundError:
            break  # somebody else compacts
        except ValueError:  # nothing in them is valid any more
            registry.drop_parts(group)
    return len(before), len(registry.parts())


def groups(parts: Sequence[PartRef], rows: int) -> list[list[PartRef]]:
    """Returns neighbouring parts that together have at most so many rows; single ones are left out."""
    found: list[list[PartRef]] = [[]]
    for part in parts:
        if found[-1] and sum(each.rows for each in found[-1]) + part.rows > rows:
            found.append([])
        found[-1].append(part)
    return [group for group in found if len(group) > 1]
