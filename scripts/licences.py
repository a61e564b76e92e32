"""Writes docs/licences.md: every pinned package with its licence, as its own metadata say."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
FILES = {
    "requirements.txt": "orch itself",
    "requirements-server.txt": "servers of a team",
    "requirements-dev.txt": "development",
}
HEAD = """# Licences

<!-- Written by `python -m scripts.licences`. -->

What requirements*.txt pin, with the licence that each package's own metadata name. Nothing of it is copied
into this repository. A package for other systems only, not installed where this page was made, has "–".

| package | for | licence |
|--|--|--|
"""
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.MULTILINE)
_LONGEST = 60


def pinned() -> dict[str, str]:
    """Returns the name of every pinned package -> what it is for, of several the first."""
    found: dict[str, str] = {}
    for file, use in FILES.items():
        for name in _PIN.findall((ROOT / file).read_text(encoding="utf-8")):
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), use)
    return found


def licence(name: str) -> str:
    """Returns the licence of an installed package, "–" where it is not installed."""
    try:
        told: Any = importlib.metadata.metadata(name)  # the protocol of it lacks `get`
    except importlib.metadata.PackageNotFoundError:
        return "–"
    if expression := told.get("License-Expression"):
        return str(expression)
    classified = [
        each.rpartition(" :: ")[2].removesuffix(" License")
        for each in told.get_all("Classifier") or []
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    if classified:
        return ", ".join(dict.fromkeys(classified))
    lines = [line.strip() for line in (told.get("License") or "").splitlines() if line.strip()]
    if lines:
        return lines[0][:_LONGEST]
    files = told.get_all("License-File")
    return f"as its file {files[0]} says" if files else "not said"


def rows() -> dict[str, tuple[str, str]]:
    """Returns package -> (what it is for, licence)."""
    return {name: (use, licence(name)) for name, use in sorted(pinned().items())}


def page() -> str:
    """Returns the page."""
    lines = [f"| {name} | {use} | {told.replace('|', '/')} |" for name, (use, told) in rows().items()]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
