"""Words of a study file: how values are written, which names and labels are allowed, what was meant."""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
LABEL_FORBIDDEN = ",=*"
LABEL_LENGTH = 64
RESERVED_DIMENSIONS = frozenset({"evaluation", "metric", "seed", "draw", "step", "variant"})
RESERVED_EVALUATIONS = frozenset({"test", "train", "network", "search"})

_COMPARED = 1000  # words that a misspelt one is compared with: a slip in a large design is told soon

# Files named so cannot be made on Windows, and names become files in exports.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)
_NAME = re.compile(NAME_PATTERN)

Scalar: TypeAlias = "bool | int | float | str | None"


class WrittenInt(int):
    """An integer that remembers how it was written, since a label is the value as written."""

    written: str


class WrittenFloat(float):
    """A number that remembers how it was written: 1e-3 stays the label "1e-3"."""

    __slots__ = ("written",)
    written: str


def written(value: Any) -> Any:
    """Returns the text of a scalar as it was written; other values unchanged."""
    if isinstance(value, str):
        return value
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.written
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return value


def plain(value: Any) -> Any:
    """Returns the value without memory of how numbers were written; containers are copied."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, WrittenInt):
        return int(value)
    if isinstance(value, WrittenFloat):
        return float(value)
    return value


def shown(value: Any) -> str:
    """Returns kind and value for messages ("string 'ten'"), escaped and cut to a readable length."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{str(value).lower()} (a boolean)"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return f"string {quoted(value)}"
    if isinstance(value, int | float):
        kind = "integer" if isinstance(value, int) else "number"
        return f"{kind} {_cut(str(written(value)))}"
    return _cut(repr(value))


def quoted(value: str) -> str:
    """Returns a text in quotes, control and invisible characters escaped, cut to a readable length."""
    return _cut(repr(value))


def quoted_path(path: Path) -> str:
    """Returns a path in quotes, control and invisible characters escaped; of a very long one its end."""
    text = str(path)
    return repr(text if len(text) <= 400 else f"...{text[-400:]}")


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def listed(words: Iterable[str], limit: int = 24) -> str:
    """Returns known words for messages: "a, b, c (and 12 more)"."""
    known = list(words)
    text = ", ".join(known[:limit]) or "none"
    return text if len(known) <= limit else f"{text} (and {len(known) - limit} more)"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Returns "; did you mean 'epochs'?" for the nearest known word, or ""."""
    folded = {each.casefold(): each for each in itertools.islice(known, _COMPARED)}
    near = difflib.get_close_matches(word.casefold()[:100], folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[near[0]]!r}?" if near else ""


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Returns the message for an unknown word: what was got, what was perhaps meant, what is known."""
    words = list(known)
    return f"unknown {kind} {quoted(word)}{suggestion(word, words)}; known: {listed(words)}"


def folded(name: str) -> str:
    """Returns the form in which two names are the same name: NFC, case folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def name_fault(name: str) -> str | None:
    """Returns why a name (of a study, factor, evaluation, table, ...) is not allowed, or None."""
    if not _NAME.fullmatch(name):
        return f"{quoted(name)} is not a name; allowed: {NAME_PATTERN} (other text goes to title or caption)"
    if name.split(".")[0].casefold() in _DEVICES:
        return f"{quoted(name)} names a device on some systems; choose another name ({NAME_PATTERN})"
    return None


def label_fault(label: str) -> str | None:
    """Returns why a label is not allowed, or None."""
    if 1 <= len(label) <= LABEL_LENGTH and label.isprintable() and not set(label) & set(LABEL_FORBIDDEN):
        return None
    return (
        f"{quoted(label)} is not a label; allowed: 1 to {LABEL_LENGTH} printable characters without "
        f"',' '=' '*'; give levels labels of your own (levels: {{LABEL: value}})"
    )
