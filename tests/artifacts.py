"""What a run of MLflow holds in files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any


def artifact(client: Any, run_id: str, path: str) -> str:
    """Returns the text of an artifact; MLflow's own copy of it is not left behind."""
    with tempfile.TemporaryDirectory() as folder:
        return Path(client.download_artifacts(run_id, path, folder)).read_text()
