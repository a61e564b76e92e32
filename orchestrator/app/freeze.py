"""The code of a submission as one archive: every machine runs the same, whatever is edited meanwhile."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.app.stores import Stores

ALWAYS = ("orchestrator", "workloads")
LIMIT_BYTES = 100 * 1024**2  # what a Ray cluster takes is 500 MiB; code is far below
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file, so that equal code gives equal bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The files of some packages as they are now, an uncommitted tree as it is.

    Attributes:
        name: Of an archive of them: equal files have equal names, by digest.
        files: Name within the archive, and path.
    """

    name: str
    files: tuple[tuple[str, Path], ...]

    def packed(self) -> bytes:
        """Returns the archive; equal files give equal bytes."""
        return _packed(self.name, self.files)


def tree_of(modules: Sequence[str]) -> Tree:
    """Returns the packages that trials run: orch's own, and the top-level ones of further modules.

    Raises:
        UsageError: A module cannot be found, or the code is too large.
    """
    tops = dict.fromkeys([*ALWAYS, *(module.partition(".")[0] for module in modules)])
    files = tuple(found for top in tops for found in _files(top))
    sizes = {name: path.stat().st_size for name, path in files}
    if sum(sizes.values()) > LIMIT_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise UsageError(
            f"the code of {', '.join(tops)} has {sum(sizes.values()) / 1024**2:.0f} MiB; at most "
            f"{LIMIT_BYTES / 1024**2:.0f} MiB are frozen, and the largest file is {largest} "
            f"({sizes[largest] / 1024**2:.0f} MiB): keep data outside of packages"
        )
    digest = hashlib.sha256()
    for name, path in files:
        stat = path.stat()
        digest.update(f"{name}\0".encode() + _digest(path, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return Tree(name=f"code-{digest.hexdigest()[:16]}.zip", files=files)


def freeze(modules: Sequence[str], folder: Path) -> Path:
    """Returns the path of a new archive of the packages that a study's trials run.

    Args:
        modules: Modules of the user's own workloads; the whole top-level package of each goes in.
        folder: Where to write it.

    Raises:
        UsageError: A module cannot be found, or the code is too large.
    """
    tree = tree_of(modules)
    target = folder / tree.name
    target.write_bytes(tree.packed())
    return target


def keep(stores: Stores, modules: Sequence[str]) -> str:
    """Returns the name of the archive of the code that runs now, which the store has from then on.

    Raises:
        UsageError: A module cannot be found, or the code is too large.
        OSError: The disk; or the store cannot be reached.
    """
    tree = tree_of(modules)
    if not stores.renew_code(tree.name):
        stores.keep_code(tree.name, tree.packed())
    return tree.name


@cache
def _digest(path: Path, changed: int, size: int, inode: int) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


_last: dict[str, bytes] = {}  # the archive made last: a process seldom needs two


def _packed(name: str, files: Sequence[tuple[str, Path]]) -> bytes:
    if name not in _last:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for inside, path in files:
                archive.writestr(zipfile.ZipInfo(inside, _EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
        _last.clear()
        _last[name] = content.getvalue()
    return _last[name]


def _files(top: str) -> Iterator[tuple[str, Path]]:
    """Yields the name within the archive and the path of each file of a package or module."""
    found = importlib.util.find_spec(top)
    if found is None:
        raise UsageError(f"module {top!r} (of `workload_modules`) cannot be found: its code cannot be frozen")
    roots = [Path(place) for place in found.submodule_search_locations or ()]
    if not roots and found.origin:
        yield f"{top}.py", Path(found.origin)
    seen: set[str] = set()
    for root in roots:  # of a namespace that lies in several places the first has a module, as for imports
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root)
            name = f"{top}/{inside.as_posix()}"
            hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
            if path.is_file() and not hidden and name not in seen:
                seen.add(name)
                yield name, path
