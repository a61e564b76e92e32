"""Values as people read them; what other programs wrote is shown as text and never as anything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup

# Sequences that colour a terminal's text; what is left of escapes is shown as a picture of itself.
_ANSI: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
# Invisible characters that turn the direction of text, or separate lines where nobody sees it.
_HIDDEN: Final = re.compile("[\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x80-\x9f]")
_CONTROL: Final = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}


def inert(value: Any) -> Any:
    """Returns a value as a template is to print it: control characters become visible, marks for them."""
    if value is None:
        return ""
    if isinstance(value, Markup):
        return value
    return _HIDDEN.sub("\ufffd", str(value).translate(_CONTROL))


def log_text(text: str) -> str:
    """Returns a log's text without the colours that a terminal would show."""
    return _ANSI.sub("", text.replace("\r\n", "\n"))


def number(value: float | None) -> str:
    """Returns a number to four significant digits; "–" for none."""
    return "–" if value is None else f"{value:.4g}"


def count(value: float) -> str:
    """Returns a whole number with thin spaces between thousands."""
    return f"{int(value):,}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Returns "12 s", "4 min 10 s", "3 h 5 min", "2 d 4 h"; "–" when unknown."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 and seconds != whole else f"{whole} s"
    for unit, size, below, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def size(number_of_bytes: float) -> str:
    """Returns "812 B", "3.4 MB"."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number_of_bytes >= factor:
            return f"{number_of_bytes / factor:.3g} {unit}"
    return f"{int(number_of_bytes)} B"


def moment(seconds: float | None) -> Markup | str:
    """Returns a time as an element that the page's script may write in the reader's own zone."""
    if not seconds:
        return "–"
    at = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), f"{at:%Y-%m-%d %H:%M} UTC"
    )


def interval(pair: tuple[float, float] | None) -> str:
    """Returns "[1.2, 3.4]"; "–" for none."""
    return "–" if pair is None else f"[{number(pair[0])}, {number(pair[1])}]"


def place(value: str) -> str:
    """Returns a text as one segment of a path, or a value of a query."""
    return quote(value, safe="")


def query(**given: Any) -> str:
    """Returns "?a=1&b=2" of what is given and not empty; lists repeat their name."""
    pairs = []
    for name, value in given.items():
        values: Iterable[Any] = value if isinstance(value, list | tuple) else [value]
        pairs += [f"{name}={place(str(each))}" for each in values if each not in (None, "")]
    return "?" + "&".join(pairs) if pairs else ""


def labels(where: Iterable[tuple[str, str]]) -> str:
    """Returns "depth=14, sharing=W/"; "–" for none."""
    return ", ".join(f"{name}={label}" for name, label in where) or "–"


def join(found: Sequence[str], *, most: int = 6) -> str:
    """Returns the first of some texts, and how many more there are."""
    told = ", ".join(found[:most])
    return told if len(found) <= most else f"{told} and {len(found) - most} more"


FILTERS: Mapping[str, Callable[..., Any]] = {
    "count": count,
    "duration": duration,
    "interval": interval,
    "labels": labels,
    "moment": moment,
    "number": number,
    "place": place,
    "size": size,
    "some": join,
}
