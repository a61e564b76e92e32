"""Renews requirements*.txt: every package pinned, with its files' hashes.

The files name no index: they install from whatever index pip is set up for.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Pinned and hashed; renew with `make lock`.\n"
FILES: dict[str, list[str]] = {
    "requirements.txt": [],
    "requirements-server.txt": ["--extra", "server"],
    "requirements-dev.txt": ["--extra", "dev", "--extra", "postgres"],
}


def compile_file(name: str, extras: list[str]) -> None:
    """Writes one requirements file."""
    target = ROOT / name
    command = [
        *[sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "scripts/build-requirements.in"],
        *["--universal", "--python-version", "3.11", "--generate-hashes", "--upgrade", "--quiet"],
        *["--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header"],
        *extras,
        *["--output-file", str(target)],
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    target.write_text(HEADER + target.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    for name, extras in FILES.items():
        compile_file(name, extras)
