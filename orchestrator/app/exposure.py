"""What `orch doctor` says of who could get in: tokens, passwords, files that others may read, telemetry."""

from __future__ import annotations

import ipaddress
import os
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from orchestrator.app.secrets import filled_url
from orchestrator.app.stores import stores_of
from orchestrator.errors import OrchError
from orchestrator.model.place import masked
from orchestrator.settings import Settings

WAIT_S: Final = 3.0
_EVERYBODY: Final = "whoever reaches it can use it, and so run code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding: its name, whether it is all right, and what was seen or what to do."""

    name: str
    ok: bool
    text: str


def exposure(settings: Settings) -> Iterator[Check]:
    """Yields what is open to whom; other machines are asked for nothing but whether they want a password."""
    yield _ray(settings)
    if settings.jobs_address is not None:
        yield _asked("jobs", settings.jobs_address, "/api/jobs/", "start its head with RAY_AUTH_MODE=token")
    yield _mlflow(settings)
    yield Check(name="page", ok=True, text="`orch ui` listens on loopback and wants a token")
    yield from _files(settings)
    yield _telemetry()


def tokenless(settings: Settings) -> str:
    """Returns a warning where the cluster that is joined asks for no token, else ""."""
    if settings.ray_address is None or os.environ.get("RAY_AUTH_MODE", "").lower() == "token":
        return ""
    return (
        f"the Ray cluster at {settings.ray_address} is joined without a token: {_EVERYBODY}; set "
        "RAY_AUTH_MODE=token there and here (docs/clusters.md)"
    )


def _ray(settings: Settings) -> Check:
    if settings.ray_address is None:
        return Check(
            name="ray", ok=True, text="local clusters listen on loopback, each with a token of its own"
        )
    if warning := tokenless(settings):
        return Check(name="ray", ok=False, text=warning)
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if "RAY_AUTH_TOKEN" not in os.environ:
        if not file.is_file():
            text = (
                f"RAY_AUTH_MODE is token, and there is none: set RAY_AUTH_TOKEN, or write {file} (mode 0600)"
            )
            return Check(name="ray", ok=False, text=text)
        if problem := _open_to_others(file):
            return Check(name="ray", ok=False, text=problem)
    text = (
        f"{settings.ray_address} with a token, which can be read on its way unless TLS or a tunnel carries it"
    )
    return Check(name="ray", ok=True, text=text)


def _mlflow(settings: Settings) -> Check:
    uri = settings.mlflow_uri
    if uri == "off":
        return Check(name="mlflow", ok=True, text="off")
    if not uri or not uri.startswith(("http://", "https://")):
        return Check(name="mlflow", ok=True, text="no server: nothing listens")
    try:
        uri = filled_url(uri, settings)
    except OrchError as error:
        return Check(name="mlflow", ok=False, text=str(error))
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    found = _asked("mlflow", uri, path, "start it with --app-name basic-auth")
    host = urlsplit(uri).hostname or ""
    if found.ok and uri.startswith("http://") and not _loopback(host):
        text = f"{found.text}; over plain HTTP the password can be read on its way: use https://"
        return Check(name="mlflow", ok=True, text=text)
    return found


def _asked(name: str, address: str, path: str, cure: str) -> Check:
    """Returns whether a server lets in who says nothing of himself."""
    parts = urlsplit(address)
    plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}{path}"
    shown = masked(f"{parts.scheme}://{parts.netloc}")
    try:
        # Not through a proxy, nor with what ~/.netrc may hold.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(plain, timeout=WAIT_S):
            return Check(name=name, ok=False, text=f"{shown} asks for no password: {_EVERYBODY}; {cure}")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            return Check(name=name, ok=True, text=f"{shown} refuses who has no password or token")
        return Check(name=name, ok=False, text=f"{shown} answers {error.code}; is it the right address?")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Check(name=name, ok=False, text=f"{shown} does not answer: {masked(str(reason))}")


def _files(settings: Settings) -> Iterator[Check]:
    file = settings.secrets_file
    if file is not None:
        problem = _open_to_others(file.expanduser())
        yield Check(name="secrets", ok=not problem, text=problem or f"{file}, for its owner alone")
    try:
        root = stores_of(settings).layout.root
    except OrchError:
        return
    if root.is_dir() and root.stat().st_mode & stat.S_IWOTH:
        text = f"{root}: every user of this machine may write there, and so run code as you; chmod o-w {root}"
        yield Check(name="store's folder", ok=False, text=text)


def _open_to_others(file: Path) -> str:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    return f"{file}: others may read it (mode {mode:04o}); chmod 600 {file}" if mode & 0o077 else ""


def _telemetry() -> Check:
    told = [
        name
        for name, said in (
            ("Ray", os.environ.get("RAY_USAGE_STATS_ENABLED", "0") == "1"),
            ("MLflow", os.environ.get("MLFLOW_DISABLE_TELEMETRY", "true").lower() in ("false", "0")),
        )
        if said
    ]
    text = (
        f"{' and '.join(told)} tell their makers how they are used, as the environment asks"
        if told
        else "none"
    )
    return Check(name="telemetry", ok=True, text=text)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
