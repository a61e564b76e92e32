"""Tables of the registry. A change here needs a migration: a test compares the two.

Every name carries the prefix "orch_", so that the registry may share a database with a tracking server.
Times are seconds since the epoch on the database's clock, but for `LeaseRow.expires_at` (see leases.py).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Integer, MetaData, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PREFIX = "orch_"

# Checkpoints may be larger than 2 GiB and seeds than 2^31. SQLite's integers have 64 bits anyway, and only
# the plain type numbers rows by itself there.
_INTEGER = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """Common metadata; constraints are named so that migrations can address them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text(), float: Double(), int: _INTEGER}  # noqa: RUF012  SQLAlchemy reads it as declared


class DocumentRow(Base):
    """A JSON text under its digest: configs, labels, provenances recur, and are stored once."""

    __tablename__ = "orch_documents"
    digest: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[str]


class SubmissionRow(Base):
    """One `orch submit`; `token` makes a repeated insert after a lost reply harmless."""

    __tablename__ = "orch_submissions"
    __table_args__ = (UniqueConstraint("token"),)
    study: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    token: Mapped[str]
    file: Mapped[str]
    code: Mapped[str]
    git_commit: Mapped[str]
    dirty: Mapped[bool]
    created_at: Mapped[float]
    document: Mapped[str] = mapped_column(ForeignKey("orch_documents.digest"))
    detail: Mapped[str]  # JSON: patches, seeds, cells, arguments


class PartRow(Base):
    """A Parquet part that counts."""

    __tablename__ = "orch_parts"
    __table_args__ = (UniqueConstraint("path"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str]
    sha256: Mapped[str]
    rows: Mapped[int]
    size_bytes: Mapped[int]
    created_at: Mapped[float]


class TrialRow(Base):
    """One computation: what it is, and its state."""

    __tablename__ = "orch_trials"
    __table_args__ = (Index(None, "state"), Index(None, "part"))
    key: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str]
    workload: Mapped[str]
    config: Mapped[str] = mapped_column(ForeignKey("orch_documents.digest"))
    family: Mapped[str]
    parameters: Mapped[str] = mapped_column(ForeignKey("orch_documents.digest"))
    draw: Mapped[int]
    seed: Mapped[int]
    gathers: Mapped[bool]
    cpu: Mapped[float]
    gpu: Mapped[float]
    memory_gb: Mapped[float]
    fused: Mapped[str]
    run_order: Mapped[int]
    label: Mapped[str]
    state: Mapped[str]
    cause: Mapped[str]
    message: Mapped[str]
    blocked_by: Mapped[str | None]
    epoch: Mapped[int]
    code: Mapped[str]
    git_commit: Mapped[str]
    driver: Mapped[str]  # while RUNNING
    lease_study: Mapped[str]  # whose lease the claim was made under
    cancel_requested: Mapped[bool]
    part: Mapped[int | None] = mapped_column(ForeignKey("orch_parts.id"))


class ParentRow(Base):
    """A trial reads a parent's checkpoint."""

    __tablename__ = "orch_trial_parents"
    trial: Mapped[str] = mapped_column(ForeignKey("orch_trials.key"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent: Mapped[str] = mapped_column(ForeignKey("orch_trials.key"))


class AssignmentRow(Base):
    """A planned observation of a study."""

    __tablename__ = "orch_assignments"
    __table_args__ = (
        UniqueConstraint("study", "cell", "evaluation", "labels", "draw", "seed"),
        Index(None, "trial"),
    )
    study: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cell: Mapped[str]
    evaluation: Mapped[str]
    labels: Mapped[str] = mapped_column(ForeignKey("orch_documents.digest"))
    draw: Mapped[int]
    seed: Mapped[int]
    trial: Mapped[str] = mapped_column(ForeignKey("orch_trials.key"))


class AttemptRow(Base):
    """One try at a trial; the two ids make a repeated claim or commit after a lost reply harmless."""

    __tablename__ = "orch_attempts"
    trial: Mapped[str] = mapped_column(ForeignKey("orch_trials.key"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    driver: Mapped[str]
    claim_id: Mapped[str]
    commit_id: Mapped[str]
    started_at: Mapped[float]
    ended_at: Mapped[float | None]
    duration_s: Mapped[float]
    worker: Mapped[str | None] = mapped_column(ForeignKey("orch_documents.digest"))
    outcome: Mapped[str]
    message: Mapped[str]
    traceback: Mapped[str]
    provenance: Mapped[str | None] = mapped_column(ForeignKey("orch_documents.digest"))


class CheckpointRow(Base):
    """A checkpoint that may be continued from or evaluated."""

    __tablename__ = "orch_checkpoints"
    __table_args__ = (
        UniqueConstraint("path"),
        Index(None, "trial", "serial"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    trial: Mapped[str] = mapped_column(ForeignKey("orch_trials.key"))
    path: Mapped[str]
    digest: Mapped[str]
    serial: Mapped[int]
    step: Mapped[int]
    size_bytes: Mapped[int]


class LeaseRow(Base):
    """Who drives a study; `driver` is empty when nobody does. The row stays, so that epochs only grow."""

    __tablename__ = "orch_leases"
    study: Mapped[str] = mapped_column(primary_key=True)
    driver: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    epoch: Mapped[int]
    acquired_at: Mapped[float]
    expires_at: Mapped[float]
    boot: Mapped[str]


class OutboxRow(Base):
    """Something the mirror has yet to show; `revision` grows when it is asked for again meanwhile."""

    __tablename__ = "orch_outbox"
    __table_args__ = (UniqueConstraint("study", "kind", "key"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    study: Mapped[str]
    kind: Mapped[str]
    key: Mapped[str]
    revision: Mapped[int]


class MirrorRow(Base):
    """The mirror's own id of a run."""

    __tablename__ = "orch_mirror_runs"
    study: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str]
