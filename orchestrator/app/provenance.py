"""Which code makes a result: a digest of the workload's package, and the git commit."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workloads.api import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The code of a workload.

    Attributes:
        digest: Over the Python files of its package, 16 hex characters.
        commit: Git commit of the tree it lies in, or "".
        dirty: Whether that tree has uncommitted changes.
    """

    digest: str
    commit: str = ""
    dirty: bool = False


def code_of(spec: Spec) -> Code:
    """Returns the code that a workload's results come from, without importing it."""
    return _code(spec.runtime.partition(":")[0])


@cache
def _code(module: str) -> Code:
    # A module of a package is digested with its whole package: helpers change results too.
    top = module.partition(".")[0]
    found = importlib.util.find_spec(top)
    if found is None:
        return Code(digest="")
    roots = [Path(place) for place in found.submodule_search_locations or ()]
    files = sorted(path for root in roots for path in root.rglob("*.py"))
    if not roots and found.origin:
        files = [Path(found.origin)]
        roots = [files[0].parent]
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        root = next(root for root in roots if path.is_relative_to(root))
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.blake2b(path.read_bytes()).digest())
    where = roots[0] if roots else Path()
    return Code(
        digest=digest.hexdigest(),
        commit=_git(where, "rev-parse", "HEAD"),
        dirty=bool(_git(where, "status", "--porcelain", "--", ".")),
    )


def _git(where: Path, *arguments: str) -> str:
    # Without its optional locks: killed with us, it would leave one, and the user's git would refuse.
    command = ["git", "--no-optional-locks", "-C", str(where), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
