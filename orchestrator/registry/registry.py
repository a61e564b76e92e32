"""The registry: one class that has the port's shape; each method is one transaction of a sibling file."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import sqlalchemy as sa

from orchestrator.errors import NotFoundError
from orchestrator.model.forecast import Past
from orchestrator.model.fusing import Verdict
from orchestrator.model.measure import Measures
from orchestrator.model.mirror import OutboxItem
from orchestrator.model.plan import Assignment, Plan, State, Trial, TrialKey, TrialStatus
from orchestrator.model.result import PartRef, Snapshot
from orchestrator.model.run import (
    Attempt,
    CheckpointRef,
    Claim,
    Lease,
    Outcome,
    Owner,
    Saved,
    Started,
    Submission,
)
from orchestrator.model.watch import Ended, Pulse
from orchestrator.ports import Clock
from orchestrator.ports import Registry as RegistryPort
from orchestrator.registry import (
    claims,
    commits,
    leases,
    measuring,
    outbox,
    reading,
    recording,
    schema,
    spending,
    watching,
)
from orchestrator.registry.engine import PATIENCE_S, Database
from orchestrator.registry.location import filesystem, parse, require_local
from orchestrator.registry.moment import Moments
from orchestrator.registry.tables import CHECKPOINTS


def open_registry(
    url: str,
    *,
    clock: Clock | None = None,
    backups: Path | None = None,
    create: bool = True,
    patience_s: float = PATIENCE_S,
) -> SqlRegistry:
    """Returns the registry at an address; a SQLite file is made or upgraded when needed.

    Args:
        url: "sqlite:////abs/registry.db", a plain path, or "postgresql://user@host/name".
        clock: Stands in for the database's clock, for tests: leases then run on `clock.time()`.
        backups: Where copies of a SQLite file go before a migration; by default "backups" beside it.
        create: Whether a missing SQLite file is made.
        patience_s: How long a busy or restarting database is asked again.

    Raises:
        NotFoundError: The file is missing, and `create` is False.
        TargetError: Unreachable, not ours, of a newer schema, on a network file system, or an older
            schema on Postgres.
        CorruptError: The SQLite file is damaged.
        OSError: The folder or the disk.
    """
    address = parse(url)
    if address.get_backend_name() == "sqlite":
        path = Path(str(address.database))
        if not create and not path.exists():
            raise NotFoundError(
                f"there is no registry at {path}; nothing has been submitted to this store yet"
            )
        require_local(path, filesystem(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        backups = backups or path.parent / "backups"
    # An address that does not answer now is wrong rather than busy: say so at once.
    probe = Database(address, patience_s=patience_s if address.get_backend_name() == "sqlite" else 0.0)
    try:
        schema.prepare(probe, backups=backups or Path())
    finally:
        probe.close()
    database = Database(address, patience_s=patience_s)
    return SqlRegistry(database, Moments(is_sqlite=database.is_sqlite, clock=clock))


@final
class SqlRegistry:
    """States, leases, plans, parts in SQLite or Postgres; threads may share it. See `ports.Registry`."""

    def __init__(self, database: Database, moments: Moments) -> None:
        """Takes a database whose schema is current; use `open_registry`."""
        self._database = database
        self._moments = moments

    # --- plans --------------------------------------------------------------------------------------------

    def record(
        self,
        submission: Submission,
        plan: Plan,
        *,
        rerun: Collection[TrialKey] = (),
        wanted: Collection[TrialKey] | None = None,
    ) -> Submission:
        """Records a plan: all of it or nothing; returns the submission with its number and id."""
        token = uuid.uuid4().hex
        return self._database.write(
            lambda connection: recording.record(
                connection, self._moments, submission, plan, rerun, wanted, token
            )
        )

    def extend(
        self, lease: Lease, trials: Mapping[TrialKey, Trial], assignments: Sequence[Assignment]
    ) -> None:
        """Adds trials and observations to the recorded plan; LeaseLostError when it is not ours to drive."""
        self._database.write(lambda connection: recording.extend(connection, lease, trials, assignments))

    def decide(self, lease: Lease, configs: Mapping[TrialKey, Mapping[str, Any]]) -> None:
        """Records the configs that searches have chosen for trainings."""
        self._database.write(lambda connection: recording.decide(connection, lease, configs))

    def regroup(self, lease: Lease, groups: Mapping[TrialKey, str]) -> None:
        """Records which trainings are fused, once that is known."""
        self._database.write(lambda connection: recording.regroup(connection, lease, groups))

    def verdicts(self) -> Sequence[Verdict]:
        """Returns what workers found on training seeds as one network, the newest last."""
        return self._database.read(reading.verdicts)

    def candidates(self, searches: Collection[TrialKey]) -> Mapping[TrialKey, Trial]:
        """Returns the recorded trainings of searches' candidates, by their numbers."""
        return self._database.read(lambda connection: reading.candidates(connection, searches))

    def studies(self) -> Sequence[Submission]:
        """Returns the latest submission of every study, by name."""
        return self._database.read(recording.studies)

    def submissions(self, study: str) -> Sequence[Submission]:
        """Returns all submissions of a study, oldest first."""
        return self._database.read(lambda connection: recording.submissions(connection, study))

    def trials(self, study: str) -> Mapping[TrialKey, Trial]:
        """Returns the recorded trials that the study's assignments need, in run order."""
        return self._database.read(lambda connection: reading.trials(connection, study))

    def keys(self, study: str) -> Collection[TrialKey]:
        """Returns the keys of the trials that the study's assignments need (parents too)."""
        return self._database.read(lambda connection: reading.keys(connection, study))

    def assignments(self, study: str) -> Sequence[Assignment]:
        """Returns the study's planned observations."""
        return self._database.read(lambda connection: reading.assignments(connection, study))

    def assigned(self, keys: Collection[TrialKey]) -> Sequence[Assignment]:
        """Returns the assignments of any study that name one of these trials."""
        return self._database.read(lambda connection: reading.assigned(connection, keys))

    def statuses(self, keys: Collection[TrialKey] | None = None) -> Mapping[TrialKey, TrialStatus]:
        """Returns the status of the trials that exist among `keys`, or of all."""
        return self._database.read(lambda connection: reading.statuses(connection, keys))

    def counts(self, study: str | None = None) -> Mapping[str, Mapping[tuple[str, State], int]]:
        """Returns for a study, or each, how many of its trials are of which stage and state."""
        return self._database.read(lambda connection: reading.counts(connection, study))

    def measures(self) -> Measures:
        """Returns how every study stands, and how much the store holds."""
        return self._database.read(lambda connection: measuring.measures(connection, self._moments))

    def snapshot(self, study: str) -> Snapshot:
        """Returns what a study's tables are made from, as it was at one moment."""
        return self._database.read(lambda connection: reading.snapshot(connection, study))

    def attempts(self, key: TrialKey) -> Sequence[Attempt]:
        """Returns every try at a trial, oldest first."""
        return self._database.read(lambda connection: reading.attempts(connection, key))

    def past(self, limit: int = 20_000) -> Sequence[Past]:
        """Returns how long trials with a result took, the newest of any study."""
        return self._database.read(lambda connection: spending.past(connection, limit))

    def spent(self, study: str) -> tuple[float, int]:
        """Returns device seconds of a study's own attempts, and bytes of its parts and checkpoints."""
        return self._database.read(lambda connection: spending.spent(connection, study))

    def trees(self) -> frozenset[str]:
        """Returns the names of the archives of code that trials were last tried in."""
        return self._database.read(spending.trees)

    def find(self, prefix: str) -> Sequence[TrialKey]:
        """Returns the trial keys that begin with `prefix`, ten at most."""
        return self._database.read(lambda connection: reading.find(connection, prefix))

    def pulse(self, study: str | None = None) -> Pulse:
        """Returns a study, or the store, at this moment in a few numbers."""
        return self._database.read(lambda connection: watching.pulse(connection, self._moments, study))

    def ended(self, study: str, limit: int = 100) -> Sequence[Ended]:
        """Returns the attempts that made the newest results of a study, newest first."""
        return self._database.read(lambda connection: watching.ended(connection, study, limit))

    def described(self, keys: Collection[TrialKey]) -> Mapping[TrialKey, Trial]:
        """Returns the recorded trials of these keys, of any study or none, in run order."""
        return self._database.read(lambda connection: watching.described(connection, keys))

    # --- leases and claims --------------------------------------------------------------------------------

    def acquire(self, study: str, owner: Owner, duration_s: float) -> Lease:
        """Takes the right to drive a study; HeldError when a live driver has it."""
        return self._database.write(
            lambda connection: leases.acquire(connection, self._moments, study, owner, duration_s)
        )

    def renew(self, lease: Lease) -> None:
        """Prolongs the lease; LeaseLostError when somebody took it."""
        self._database.write(lambda connection: leases.renew(connection, self._moments, lease))

    def release(self, lease: Lease) -> None:
        """Gives the lease back; RUNNING trials of this driver become PENDING."""
        self._database.write(lambda connection: leases.release(connection, self._moments, lease))

    def driver(self, study: str) -> Owner | None:
        """Returns the live driver of a study."""
        return self._database.read(lambda connection: leases.driver(connection, self._moments, study))

    def claim(self, lease: Lease, keys: Sequence[TrialKey]) -> Sequence[Claim]:
        """Moves PENDING trials to RUNNING under a new epoch; those taken elsewhere are left out."""
        token = uuid.uuid4().hex
        return self._database.write(
            lambda connection: claims.claim(connection, self._moments, lease, keys, token)
        )

    def commit(
        self,
        lease: Lease,
        *,
        started: Sequence[Started] = (),
        saved: Sequence[Saved] = (),
        outcomes: Sequence[Outcome] = (),
        part: PartRef | None = None,
        mirror: Sequence[tuple[str, str, str]] = (),
    ) -> frozenset[TrialKey]:
        """Records what happened in one transaction; returns the trials whose outcome was accepted.

        Of an outcome's provenance, "code" and "commit" become the status's code digest and git commit.
        The same call with the same part may be repeated: it changes nothing and returns the same.
        """
        token = part.path if part is not None else uuid.uuid4().hex
        named = {each.trial for events in (started, saved, outcomes) for each in events}

        def work(connection: sa.Connection) -> frozenset[TrialKey]:
            commit = commits.Commit(connection, self._moments, lease, token)
            commit.lock(named)
            commit.started(started)
            commit.saved(saved)
            accepted = commit.outcomes(outcomes, part)
            outbox.enqueue(connection, mirror)
            return accepted

        return self._database.write(work)

    def request_cancel(self, keys: Collection[TrialKey]) -> int:
        """Cancels trials, RUNNING ones by asking their driver; returns how many were not final."""
        return self._database.write(lambda connection: claims.request_cancel(connection, self._moments, keys))

    def requeue(self, keys: Collection[TrialKey], states: Collection[State]) -> None:
        """Lets trials in these states, and what they blocked, wait for another try."""
        self._database.write(lambda connection: recording.requeue(connection, keys, states))

    def cancel_requests(self, lease: Lease) -> frozenset[TrialKey]:
        """Returns RUNNING trials of this driver that somebody asked to cancel."""
        return self._database.read(lambda connection: claims.cancel_requests(connection, lease))

    # --- results and checkpoints --------------------------------------------------------------------------

    def parts(self, keys: Collection[TrialKey] | None = None) -> Sequence[PartRef]:
        """Returns the parts that hold the results of these trials, or all parts."""
        return self._database.read(lambda connection: reading.parts(connection, keys))

    def results(self, keys: Collection[TrialKey]) -> Mapping[TrialKey, str]:
        """Returns for each trial with a result the path of the part that holds its valid rows."""
        return self._database.read(lambda connection: reading.results(connection, keys))

    def replace_parts(self, old: Sequence[PartRef], new: PartRef) -> None:
        """Lists `new` in place of `old`; NotFoundError when some of `old` are not listed any more."""
        self._database.write(lambda connection: commits.replace_parts(connection, self._moments, old, new))

    def drop_parts(self, parts: Sequence[PartRef]) -> Sequence[TrialKey]:
        """Forgets damaged parts and the results they held; returns the trials, which wait again."""
        return self._database.write(lambda connection: commits.drop_parts(connection, parts))

    def all_checkpoints(self) -> Sequence[CheckpointRef]:
        """Returns every recorded checkpoint, by trial, a trial's newest first."""
        return self._database.read(reading.all_checkpoints)

    def damage(self) -> Sequence[str]:
        """Returns what is wrong with the registry's own storage, in words."""
        return self._database.read(reading.damage)

    def checkpoint(self, key: TrialKey) -> CheckpointRef | None:
        """Returns the newest recorded checkpoint of a trial."""
        return next(iter(self.checkpoints(key)), None)

    def checkpoints(self, key: TrialKey) -> Sequence[CheckpointRef]:
        """Returns the recorded checkpoints of a trial, newest first."""
        return self._database.read(lambda connection: reading.checkpoints(connection, key))

    def drop_checkpoint(self, checkpoint: CheckpointRef) -> None:
        """Forgets a checkpoint, before it is deleted or because it is damaged."""
        statement = sa.delete(CHECKPOINTS).where(CHECKPOINTS.c.path == checkpoint.path)
        self._database.write(lambda connection: connection.execute(statement))

    # --- the mirror's outbox ------------------------------------------------------------------------------

    def outbox(self, limit: int = 100) -> Sequence[OutboxItem]:
        """Returns waiting items, oldest first."""
        return self._database.read(lambda connection: outbox.waiting(connection, limit))

    def mirrored(self, items: Sequence[OutboxItem], run_ids: Mapping[tuple[str, str], str]) -> None:
        """Removes applied items and stores the mirror's run ids by (study, key)."""
        self._database.write(lambda connection: outbox.mirrored(connection, items, run_ids))

    def mirror_ids(self, study: str) -> Mapping[str, str]:
        """Returns key -> run id of what the mirror is known to show of a study."""
        return self._database.read(lambda connection: outbox.mirror_ids(connection, study))

    def close(self) -> None:
        """Closes connections."""
        self._database.close()


_: type[RegistryPort] = SqlRegistry
