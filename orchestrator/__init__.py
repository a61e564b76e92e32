"""orch: ablation studies from one YAML file to the paper's table.

The public names, loaded on first use so that `import orchestrator` stays light:
`load_study`, `plan`, `frame`, `table`.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "load_study": "orchestrator.app.notebook",
    "plan": "orchestrator.app.notebook",
    "frame": "orchestrator.app.notebook",
    "table": "orchestrator.app.notebook",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Loads a public name lazily."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
