"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Brings the tables to this version."""
    op.create_table(
        "orch_documents",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_orch_documents")),
    )
    op.create_table(
        "orch_leases",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("driver", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", INTEGER, nullable=False),
        sa.Column("epoch", INTEGER, nullable=False),
        sa.Column("acquired_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("boot", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("study", name=op.f("pk_orch_leases")),
    )
    op.create_table(
        "orch_mirror_runs",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("study", "key", name=op.f("pk_orch_mirror_runs")),
    )
    op.create_table(
        "orch_outbox",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("revision", INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orch_outbox")),
        sa.UniqueConstraint("study", "kind", "key", name=op.f("uq_orch_outbox_study_kind_key")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "orch_parts",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("rows", INTEGER, nullable=False),
        sa.Column("size_bytes", INTEGER, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orch_parts")),
        sa.UniqueConstraint("path", name=op.f("uq_orch_parts_path")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "orch_submissions",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("number", INTEGER, autoincrement=False, nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("git_commit", sa.Text(), nullable=False),
        sa.Column("dirty", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document"], ["orch_documents.digest"], name=op.f("fk_orch_submissions_document")
        ),
        sa.PrimaryKeyConstraint("study", "number", name=op.f("pk_orch_submissions")),
        sa.UniqueConstraint("token", name=op.f("uq_orch_submissions_token")),
    )
    op.create_table(
        "orch_trials",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("draw", INTEGER, nullable=False),
        sa.Column("seed", INTEGER, nullable=False),
        sa.Column("gathers", sa.Boolean(), nullable=False),
        sa.Column("cpu", sa.Double(), nullable=False),
        sa.Column("gpu", sa.Double(), nullable=False),
        sa.Column("memory_gb", sa.Double(), nullable=False),
        sa.Column("fused", sa.Text(), nullable=False),
        sa.Column("run_order", INTEGER, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("blocked_by", sa.Text(), nullable=True),
        sa.Column("epoch", INTEGER, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("git_commit", sa.Text(), nullable=False),
        sa.Column("driver", sa.Text(), nullable=False),
        sa.Column("lease_study", sa.Text(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("part", INTEGER, nullable=True),
        sa.ForeignKeyConstraint(["config"], ["orch_documents.digest"], name=op.f("fk_orch_trials_config")),
        sa.ForeignKeyConstraint(
            ["parameters"], ["orch_documents.digest"], name=op.f("fk_orch_trials_parameters")
        ),
        sa.ForeignKeyConstraint(["part"], ["orch_parts.id"], name=op.f("fk_orch_trials_part")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_orch_trials")),
    )
    with op.batch_alter_table("orch_trials", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_orch_trials_part"), ["part"], unique=False)
        batch_op.create_index(batch_op.f("ix_orch_trials_state"), ["state"], unique=False)

    op.create_table(
        "orch_assignments",
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("position", INTEGER, autoincrement=False, nullable=False),
        sa.Column("cell", sa.Text(), nullable=False),
        sa.Column("evaluation", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("draw", INTEGER, nullable=False),
        sa.Column("seed", INTEGER, nullable=False),
        sa.Column("trial", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["labels"], ["orch_documents.digest"], name=op.f("fk_orch_assignments_labels")
        ),
        sa.ForeignKeyConstraint(["trial"], ["orch_trials.key"], name=op.f("fk_orch_assignments_trial")),
        sa.PrimaryKeyConstraint("study", "position", name=op.f("pk_orch_assignments")),
        sa.UniqueConstraint(
            "study",
            "cell",
            "evaluation",
            "labels",
            "draw",
            "seed",
            name=op.f("uq_orch_assignments_study_cell_evaluation_labels_draw_seed"),
        ),
    )
    with op.batch_alter_table("orch_assignments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_orch_assignments_trial"), ["trial"], unique=False)

    op.create_table(
        "orch_attempts",
        sa.Column("trial", sa.Text(), nullable=False),
        sa.Column("epoch", INTEGER, autoincrement=False, nullable=False),
        sa.Column("driver", sa.Text(), nullable=False),
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("commit_id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["provenance"], ["orch_documents.digest"], name=op.f("fk_orch_attempts_provenance")
        ),
        sa.ForeignKeyConstraint(["trial"], ["orch_trials.key"], name=op.f("fk_orch_attempts_trial")),
        sa.ForeignKeyConstraint(["worker"], ["orch_documents.digest"], name=op.f("fk_orch_attempts_worker")),
        sa.PrimaryKeyConstraint("trial", "epoch", name=op.f("pk_orch_attempts")),
    )
    op.create_table(
        "orch_checkpoints",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("trial", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("serial", INTEGER, nullable=False),
        sa.Column("step", INTEGER, nullable=False),
        sa.Column("size_bytes", INTEGER, nullable=False),
        sa.ForeignKeyConstraint(["trial"], ["orch_trials.key"], name=op.f("fk_orch_checkpoints_trial")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orch_checkpoints")),
        sa.UniqueConstraint("path", name=op.f("uq_orch_checkpoints_path")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("orch_checkpoints", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_orch_checkpoints_trial_serial"), ["trial", "serial"], unique=False
        )

    op.create_table(
        "orch_trial_parents",
        sa.Column("trial", sa.Text(), nullable=False),
        sa.Column("position", INTEGER, autoincrement=False, nullable=False),
        sa.Column("parent", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["parent"], ["orch_trials.key"], name=op.f("fk_orch_trial_parents_parent")),
        sa.ForeignKeyConstraint(["trial"], ["orch_trials.key"], name=op.f("fk_orch_trial_parents_trial")),
        sa.PrimaryKeyConstraint("trial", "position", name=op.f("pk_orch_trial_parents")),
    )


def downgrade() -> None:
    """Takes the tables back to the version before."""
    op.drop_table("orch_trial_parents")
    with op.batch_alter_table("orch_checkpoints", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_orch_checkpoints_trial_serial"))

    op.drop_table("orch_checkpoints")
    op.drop_table("orch_attempts")
    with op.batch_alter_table("orch_assignments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_orch_assignments_trial"))

    op.drop_table("orch_assignments")
    with op.batch_alter_table("orch_trials", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_orch_trials_state"))
        batch_op.drop_index(batch_op.f("ix_orch_trials_part"))

    op.drop_table("orch_trials")
    op.drop_table("orch_submissions")
    op.drop_table("orch_parts")
    op.drop_table("orch_outbox")
    op.drop_table("orch_mirror_runs")
    op.drop_table("orch_leases")
    op.drop_table("orch_documents")
