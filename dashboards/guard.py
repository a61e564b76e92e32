"""Who may ask: every request passes here, before any route is looked at.

In this order: the Host must be one of ours (else 403: a foreign name that points to us), the Origin, where
there is one, must be that host (else 403: a page elsewhere), and the token must be shown (else 401). So no
route can be forgotten, static files included.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import Final, final
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES: Final = 64 * 1024  # of a request's body: ours are a few hundred
SHORTEST: Final = 32  # characters of a token
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What opens the page.

    Attributes:
        token: Whoever holds it may look, cancel and resume.
        hosts: Values of the Host header that are ours, lower case, with the port.
        cookie: Name of the cookie; it bears the port, since browsers do not tell ports apart.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    hosts: frozenset[str]
    cookie: str = "orch"

    def __post_init__(self) -> None:
        if len(self.token) < SHORTEST:
            raise ValueError(f"a token has at least {SHORTEST} characters, got {len(self.token)}")

    def derived(self, use: str) -> str:
        """Returns a value that only who knows the token can make: the cookie's, and that of forms."""
        return hmac.new(self.token.encode(), use.encode(), hashlib.sha256).hexdigest()

    def shown(self, given: str, use: str = "") -> bool:
        """Returns whether a text is the token, or the value derived for a use."""
        return hmac.compare_digest(given.encode(), (self.derived(use) if use else self.token).encode())


@final
class Guard:
    """The application behind its checks; every answer bears the headers that keep a browser strict."""

    def __init__(self, inner: ASGIApp, access: Access) -> None:
        """Takes the application and what opens it."""
        self._inner = inner
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or hands it on."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        if scope["type"] != "http":  # no WebSocket is ours
            await send({"type": "websocket.close", "code": 1008})
            return

        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                added = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in own]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(strict, *refusal)
            return
        if _query(scope).get("token") and scope["method"] == "GET":
            await self._sign_in(scope, strict)
            return
        if int(_headers(scope).get("content-length", ["0"])[0] or 0) > MOST_BYTES:
            await _answer(strict, 413, "Too much", f"A request has at most {MOST_BYTES} bytes.")
            return
        await self._inner(scope, _limited(receive), strict)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        """Returns status, title and text of a refusal, or None."""
        headers = _headers(scope)
        hosts = [each.lower() for each in headers.get("host", [])]
        if len(hosts) != 1 or hosts[0] not in self._access.hosts:
            return 403, "Not this host", "This page answers to its own names only (--name NAME adds one)."
        origins = headers.get("origin", [])
        if any(urlsplit(each.lower()).netloc != hosts[0] for each in origins):
            return 403, "Not from there", "A request from another site is not answered."
        if not self._signed_in(scope, headers):
            told = "Open the whole address that orch ui printed when it started: it ends with the token."
            return 401, "Not signed in", told
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and not origins:
            return 403, "Not from a page", "Changes are asked for by this page's own forms only."
        return None

    def _signed_in(self, scope: Scope, headers: Mapping[str, list[str]]) -> bool:
        scheme, _, given = (headers.get("authorization") or [""])[0].partition(" ")
        if scheme.lower() == "bearer":
            return self._access.shown(given.strip())
        if (asked := _query(scope).get("token")) and scope["method"] in ("GET", "HEAD"):
            return self._access.shown(asked[0])
        cookies = SimpleCookie()
        try:
            cookies.load("; ".join(headers.get("cookie", [])))
        except CookieError:
            return False
        found = cookies.get(self._access.cookie)
        return found is not None and self._access.shown(found.value, "cookie")

    async def _sign_in(self, scope: Scope, send: Send) -> None:
        """Sets the cookie, and goes on to the same page without the token in its address.

        By a page of our own rather than a redirect: a browser that was sent here by another site would not
        show a strict cookie to the next address of a redirect.
        """
        path = scope["path"] if not scope["path"].startswith(("//", "/\\")) else "/"
        cookie = f"{self._access.cookie}={self._access.derived('cookie')}; Path=/; HttpOnly; SameSite=Strict"
        there = escape(path, quote=True)
        body = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>orch</title>'
            f'<meta http-equiv="refresh" content="0;url={there}">'
            f'<p>Signed in. <a href="{there}">Go on</a></p></html>'
        )
        await _send(send, 200, body.encode(), "text/html; charset=utf-8", [("set-cookie", cookie)])


def hosts_of(names: Iterable[str], port: int) -> frozenset[str]:
    """Returns the Host headers of these names at a port; a name that brings its own port keeps it.

    Browsers leave out the ports that http and https have anyway.
    """
    found = set()
    for name in names:
        bare, own = name.lower(), str(port)
        if bare.count(":") > 1 and not bare.startswith("["):
            bare = f"[{bare}]"
        elif bare.rpartition("]")[2].count(":") == 1:
            bare, _, own = bare.rpartition(":")
        found |= {f"{bare}:{own}", *([bare] if own in ("80", "443") else [])}
    return frozenset(found)


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"))


def _limited(receive: Receive) -> Receive:
    """Returns the reader of a body that ends where it grows too long, whatever its header said."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MOST_BYTES:
            return {"type": "http.disconnect"}
        return message

    return limited


async def _answer(send: Send, status: int, title: str, text: str) -> None:
    """Sends a page that tells nothing of the store."""
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title} – orch</title>'
        f"<h1>{title}</h1><p>{text}</p></html>"
    )
    extra = [("www-authenticate", 'Bearer realm="orch"')] if status == 401 else []
    await _send(send, status, body.encode(), "text/html; charset=utf-8", extra)


async def _send(send: Send, status: int, body: bytes, kind: str, extra: list[tuple[str, str]]) -> None:
    headers = [("content-type", kind), ("content-length", str(len(body))), *extra]
    lines = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def event(name: str, **content: object) -> bytes:
    """Returns a server-sent event."""
    return f"event: {name}\ndata: {json.dumps(content)}\n\n".encode()
