"""The code of a submission as one archive: every machine runs the same, whatever is edited meanwhile."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.errors import UsageError

ALWAYS = ("orchestrator", "workloads")
LIMIT_BYTES = 100 * 1024**2  # what a Ray cluster takes is 500 MiB; code is far below
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file, so that equal code gives equal bytes


def freeze(modules: Sequence[str], folder: Path) -> Path:
    """Returns the path of a new archive of the packages that a study's trials run.

    An uncommitted tree goes in as it is. Equal files give an equal archive, whose name holds its digest.

    Args:
        modules: Modules of the user's own workloads; the whole top-level package of each goes in.
        folder: Where to write it.

    Raises:
        UsageError: A module cannot be found, or the code is too large.
    """
    tops = dict.fromkeys([*ALWAYS, *(module.partition(".")[0] for module in modules)])
    files = [found for top in tops for found in _files(top)]
    size = sum(path.stat().st_size for _, path in files)
    if size > LIMIT_BYTES:
        name, largest = max(files, key=lambda each: each[1].stat().st_size)
        raise UsageError(
            f"the code of {', '.join(tops)} has {size / 1024**2:.0f} MiB; at most "
            f"{LIMIT_BYTES / 1024**2:.0f} MiB can travel to a cluster, and the largest file is {name} "
            f"({largest.stat().st_size / 1024**2:.0f} MiB): keep data outside of packages"
        )
    digest = hashlib.sha256()
    for name, path in files:
        digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    target = folder / f"code-{digest.hexdigest()[:16]}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


def _files(top: str) -> Iterator[tuple[str, Path]]:
    """Yields the name within the archive and the path of each file of a package or module."""
    found = importlib.util.find_spec(top)
    if found is None:
        raise UsageError(
            f"module {top!r} (of `workload_modules`) cannot be found: it cannot travel to a cluster"
        )
    roots = [Path(place) for place in found.submodule_search_locations or ()]
    if not roots and found.origin:
        yield f"{top}.py", Path(found.origin)
    for root in roots:
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root)
            if path.is_file() and not any(
                part.startswith(".") or part == "__pycache__" for part in inside.parts
            ):
                yield f"{top}/{inside.as_posix()}", path
