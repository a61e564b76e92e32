"""A schema one step newer than the code's: what an upgrade of a filled registry leads to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from orchestrator.registry import schema

REVISION = "9999"
_KEPT: list[Any] = []
TEXT = '''
"""Every row of the trials is copied: SQLite cannot add a constraint in place."""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = {revision!r}, {before!r}, None, None
def upgrade():
    with op.batch_alter_table("orch_trials", recreate="always") as table:
        table.add_column(sa.Column("mood", sa.String(), nullable=False, server_default="calm"))
    with op.batch_alter_table("orch_attempts", recreate="always") as table:
        table.add_column(sa.Column("mood", sa.String(), nullable=False, server_default="calm"))
def downgrade():
    for name in ("orch_trials", "orch_attempts"):
        with op.batch_alter_table(name) as table:
            table.drop_column("mood")
'''


@contextmanager
def newer() -> Iterator[None]:
    """A context in which this process knows the newer schema."""
    known, real = schema.known(), schema._config
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / f"{REVISION}_mood.py").write_text(TEXT.format(revision=REVISION, before=known[-1]))

        def config(*arguments: Any) -> Any:
            made = real(*arguments)
            own = Path(schema.__file__).parent / "migrations" / "versions"
            made.set_main_option("version_locations", os.pathsep.join([str(own), name]))
            return made

        with (
            mock.patch.object(schema, "_config", config),
            mock.patch.object(schema, "known", return_value=[*known, REVISION]),
        ):
            yield


def install() -> None:
    """Lets this process know the newer schema to its end."""
    context = newer()
    context.__enter__()
    _KEPT.append(context)
