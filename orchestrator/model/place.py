"""Where a store is: a directory of this machine, or a URI of an object store."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# A secret key may hold slashes, so that no '@' before the query is taken for part of a path.
_USERINFO = re.compile(r"(?<=://)[^\s?#]*@")
_BUCKET = re.compile(r"[A-Za-z0-9._-]+(:[0-9]+)?")  # of other schemes a host
_SECRETS = frozenset(
    {"access_key", "secret_key", "session_token", "account_key", "sas_token", "password", "token"}
)
_SECRET_VALUE = re.compile(rf"(?i)\b({'|'.join(sorted(_SECRETS))})=[^&#\s]*")
# What the query of an s3 URI may say; everything else about S3 is in the environment or AWS's own files.
S3_OPTIONS = ("region", "scheme", "endpoint_override")


def is_uri(text: str) -> bool:
    """Returns whether a store's place is a URI; `file:` ones are directories, see `checked`."""
    return _SCHEME.match(text) is not None


def masked(text: str) -> str:
    """Returns a place as it may be printed: without user names, passwords and keys."""
    return _SECRET_VALUE.sub(r"\1=***", _USERINFO.sub("***@", text))


def checked(text: str) -> str:
    """Returns a place in its usual form: a URI without a slash at its end, a path for a `file:` URI.

    Raises:
        ValueError: A URI with credentials in it, without a bucket, or with options that are not known.
    """
    if not text.strip():
        raise ValueError("a store is a directory or a URI such as s3://bucket/prefix")
    if not is_uri(text):
        return text
    parts = urlsplit(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "@" in parts.netloc + parts.path or _SECRETS & {name.lower() for name in options}:
        raise ValueError(
            "a store's URI holds no credentials: put them into the environment (AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY) or into ~/.aws/credentials, and write s3://bucket/prefix"
        )
    if parts.scheme == "file":
        return unquote(parts.path)
    if not _BUCKET.fullmatch(parts.netloc):
        raise ValueError("a store's URI names a bucket: s3://bucket/prefix")
    if ".." in parts.path.split("/") or parts.fragment:
        raise ValueError("a store's URI is s3://bucket/prefix, without '..' and without '#'")
    if parts.scheme == "s3" and (unknown := sorted(set(options) - set(S3_OPTIONS))):
        raise ValueError(f"an s3 URI may say {', '.join(S3_OPTIONS)} after '?', got {', '.join(unknown)}")
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{query}"


def local_name(uri: str) -> str:
    """Returns a name for what belongs to a store of that URI on this machine."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def directory(text: str) -> Path:
    """Returns the directory of a place that is none of an object store, absolute."""
    return Path(text).expanduser().absolute()
