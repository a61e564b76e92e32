"""Where a registry is: its address, and whether the file system below can carry SQLite."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from orchestrator.errors import TargetError

# Locks on these are not reliable between hosts; a SQLite file on them gets damaged sooner or later.
_NETWORK = frozenset(
    (
        *(
            "9p",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "fuse",
            "glusterfs",
            "gpfs",
            "lustre",
            "ncpfs",
            "nfs",
            "nfs4",
        ),
        *("panfs", "pvfs2", "smb3", "smbfs"),
    )
)
_LOCAL_FUSE = frozenset(["fuse.fuse-overlayfs"])  # the root of rootless containers


def parse(url: str) -> URL:
    """Returns the address with its driver filled in.

    Args:
        url: "sqlite:////abs/registry.db", "postgresql://user@host/name", or a plain path of a SQLite file.

    Raises:
        TargetError: Another kind of database, or an address that cannot be read.
    """
    if "://" not in url:
        return URL.create("sqlite", database=str(Path(url).absolute()))
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise TargetError(
            "the registry's address cannot be read (it is not shown, as it may hold a password); allowed are "
            "sqlite:////absolute/path.db, postgresql://user@host/name, or a path"
        ) from None
    backend = "postgresql" if parsed.drivername == "postgres" else parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise TargetError(
                "a registry in memory would be lost at the end; give a path: sqlite:////path.db"
            )
        return URL.create("sqlite", database=str(Path(str(parsed.database)).absolute()))
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise TargetError(f"a registry on {backend!r} is not supported; allowed are sqlite and postgresql")


def sqlite_file(url: str) -> Path | None:
    """Returns the file of a SQLite registry, None for a registry on a server.

    Raises:
        TargetError: As `parse`.
    """
    parsed = parse(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def shown(url: URL) -> str:
    """Returns the address as it may be printed: no password, no query."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    place = url.host or url.query.get("host") or "local socket"
    user = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{user}{place}{port}/{url.database or ''}"


def secrets(url: URL) -> list[str]:
    """Returns the words of an address that no message may hold."""
    found = [str(url.password)] if url.password else []
    for name in ("password", "sslpassword"):
        value = url.query.get(name)
        found += [value] if isinstance(value, str) else list(value or ())
    return [word for word in found if word]


def filesystem(path: Path, *, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Returns the type of the file system that holds a path ("ext4"), "" where the system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    target = path.resolve()
    best, kind = -1, ""
    for line in lines:
        # "36 35 98:0 /mnt1 /mnt/parent rw,noatime master:1 - ext3 /dev/root rw": the type follows " - "
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = Path(fields[4].encode().decode("unicode_escape"))
        if target.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split(" ")[0]
    return kind


def require_local(path: Path, kind: str) -> None:
    """Checks that SQLite may be used on a file system of this type.

    Raises:
        TargetError: A network file system.
    """
    family = kind.partition(".")[0]
    if (kind in _NETWORK or family in _NETWORK) and kind not in _LOCAL_FUSE:
        raise TargetError(
            f"the registry {path} lies on a network file system ({kind}), where SQLite files get damaged; "
            "put the store on a local disk (--store DIR), or use Postgres: registry = postgresql://user@host/name"
        )
