"""What the tests of deploy/ share: where its files are, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
OURS = re.compile(r"^(registry\.example\.org/)?orch:")


def read(path: Path) -> Any:
    """Returns the only document of a YAML file."""
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def documents(text: str) -> list[dict[str, Any]]:
    return [each for each in YAML(typ="safe").load_all(text) if each]


def pinned(name: str) -> str:
    """Returns the version of a package in the lock of the servers."""
    lock = (ROOT / "requirements-server.txt").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^{re.escape(name)}==(\S+)", lock, re.MULTILINE)
    return str(found)


def walk(value: Any) -> Iterator[Any]:
    """Yields a value and everything in it."""
    yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(each)


def is_pinned(image: str) -> bool:
    """Returns whether an image has a tag that names a version."""
    tag = image.rpartition("/")[2].partition(":")[2]
    return bool(re.match(r"v?\d+\.\d+", tag))
