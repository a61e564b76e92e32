"""Tables of the registry. A change here needs a migration: a test compares the two.

Every name carries the prefix "orch_", so that the registry may share a database with a tracking server.
Times are seconds since the epoch on the database's clock, but for `expires_at` of a lease (see leases.py).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

PREFIX = "orch_"

# Checkpoints may be larger than 2 GiB and seeds than 2^31. SQLite's integers have 64 bits anyway, and only
# the plain type numbers rows by itself there.
INTEGER = BigInteger().with_variant(Integer(), "sqlite")


# Constraints are named so that migrations can address them.
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# A JSON text under its digest: configs, labels, provenances recur, and are stored once.
DOCUMENTS = Table(
    "orch_documents",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("body", Text, nullable=False),
)

# One `orch submit`; `token` makes a repeated insert after a lost reply harmless.
SUBMISSIONS = Table(
    "orch_submissions",
    METADATA,
    Column("study", Text, primary_key=True),
    Column("number", INTEGER, primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("git_commit", Text, nullable=False),
    Column("dirty", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("document", Text, ForeignKey("orch_documents.digest"), nullable=False),
    Column("detail", Text, nullable=False),  # JSON: patches, seeds, cells, arguments
    UniqueConstraint("token"),
)

# A Parquet part that counts.
PARTS = Table(
    "orch_parts",
    METADATA,
    Column("id", INTEGER, primary_key=True),
    Column("path", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("rows", INTEGER, nullable=False),
    Column("size_bytes", INTEGER, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("path"),
    sqlite_autoincrement=True,
)

# One computation: what it is, and its state.
TRIALS = Table(
    "orch_trials",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("workload", Text, nullable=False),
    Column("config", Text, ForeignKey("orch_documents.digest"), nullable=False),
    Column("family", Text, nullable=False),
    Column("parameters", Text, ForeignKey("orch_documents.digest"), nullable=False),
    Column("draw", INTEGER, nullable=False),
    Column("seed", INTEGER, nullable=False),
    Column("gathers", Boolean, nullable=False),
    Column("cpu", Double, nullable=False),
    Column("gpu", Double, nullable=False),
    Column("memory_gb", Double, nullable=False),
    Column("fused", Text, nullable=False),
    Column("run_order", INTEGER, nullable=False),
    Column("label", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("blocked_by", Text, nullable=True),
    Column("epoch", INTEGER, nullable=False),
    Column("code", Text, nullable=False),
    Column("git_commit", Text, nullable=False),
    Column("driver", Text, nullable=False),  # while RUNNING
    Column("lease_study", Text, nullable=False),  # whose lease the claim was made under
    Column("cancel_requested", Boolean, nullable=False),
    Column("part", INTEGER, ForeignKey("orch_parts.id"), nullable=True),
    Index(None, "state"),
    Index(None, "part"),
)

# A trial reads a parent's checkpoint.
PARENTS = Table(
    "orch_trial_parents",
    METADATA,
    Column("trial", Text, ForeignKey("orch_trials.key"), primary_key=True),
    Column("position", INTEGER, primary_key=True, autoincrement=False),
    Column("parent", Text, ForeignKey("orch_trials.key"), nullable=False),
)

# A planned observation of a study.
ASSIGNMENTS = Table(
    "orch_assignments",
    METADATA,
    Column("study", Text, primary_key=True),
    Column("position", INTEGER, primary_key=True, autoincrement=False),
    Column("cell", Text, nullable=False),
    Column("evaluation", Text, nullable=False),
    Column("labels", Text, ForeignKey("orch_documents.digest"), nullable=False),
    Column("draw", INTEGER, nullable=False),
    Column("seed", INTEGER, nullable=False),
    Column("trial", Text, ForeignKey("orch_trials.key"), nullable=False),
    UniqueConstraint("study", "cell", "evaluation", "labels", "draw", "seed"),
    Index(None, "trial"),
)

# One try at a trial; the two ids make a repeated claim or commit after a lost reply harmless.
ATTEMPTS = Table(
    "orch_attempts",
    METADATA,
    Column("trial", Text, ForeignKey("orch_trials.key"), primary_key=True),
    Column("epoch", INTEGER, primary_key=True, autoincrement=False),
    Column("driver", Text, nullable=False),
    Column("claim_id", Text, nullable=False),
    Column("commit_id", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double, nullable=True),
    Column("duration_s", Double, nullable=False),
    Column("worker", Text, ForeignKey("orch_documents.digest"), nullable=True),
    Column("outcome", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("traceback", Text, nullable=False),
    Column("provenance", Text, ForeignKey("orch_documents.digest"), nullable=True),
)

# A checkpoint that may be continued from or evaluated.
CHECKPOINTS = Table(
    "orch_checkpoints",
    METADATA,
    Column("id", INTEGER, primary_key=True),
    Column("trial", Text, ForeignKey("orch_trials.key"), nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("serial", INTEGER, nullable=False),
    Column("step", INTEGER, nullable=False),
    Column("size_bytes", INTEGER, nullable=False),
    UniqueConstraint("path"),
    Index(None, "trial", "serial"),
    sqlite_autoincrement=True,
)

# Who drives a study; `driver` is empty when nobody does. The row stays, so that epochs only grow.
LEASES = Table(
    "orch_leases",
    METADATA,
    Column("study", Text, primary_key=True),
    Column("driver", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", INTEGER, nullable=False),
    Column("epoch", INTEGER, nullable=False),
    Column("acquired_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("boot", Text, nullable=False),
)

# Something the mirror has yet to show; `revision` grows when it is asked for again meanwhile.
OUTBOX = Table(
    "orch_outbox",
    METADATA,
    Column("id", INTEGER, primary_key=True),
    Column("study", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("revision", INTEGER, nullable=False),
    UniqueConstraint("study", "kind", "key"),
    sqlite_autoincrement=True,
)

# The mirror's own id of a run.
MIRROR_RUNS = Table(
    "orch_mirror_runs",
    METADATA,
    Column("study", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
)
