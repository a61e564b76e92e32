"""News of a study for people who are elsewhere, and who wants which of them in what way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

VARIABLE: Final = re.compile(r"\$\{(?:env|secret):([A-Za-z_][A-Za-z0-9_]*)\}")


class Happened(StrEnum):
    """What people may want to be told of."""

    DONE = "done"
    FAILED = "failed"
    STALLED = "stalled"
    BUDGET = "budget"
    CLAIM = "claim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that happened to a study.

    Attributes:
        event: A `Happened`, or "test".
        text: One sentence for people.
        at: Seconds since the epoch.
        host: Machine of the driver.
        details: What else is known, plain values.
    """

    event: str
    study: str = ""
    submission: str = ""
    text: str
    at: float
    host: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyRule:
    """One `[[notify]]` of the settings: a command or a webhook.

    Attributes:
        command: Program and arguments, () for a webhook.
        webhook: As written: its URL, or one with `${secret:NAME}` or `${env:NAME}` in it; who knows it may
            write there.
        on: What it is told of.
    """

    command: tuple[str, ...] = ()
    webhook: str = field(default="", repr=False)
    on: tuple[Happened, ...] = tuple(Happened)

    def __post_init__(self) -> None:
        """Checks what can be without the environment.

        Raises:
            ValueError: Both or neither of them, or a URL that is none.
        """
        if bool(self.command) == bool(self.webhook):
            raise ValueError("give either command or webhook")
        if self.webhook and not VARIABLE.search(self.webhook):
            check_webhook(self.webhook)

    @property
    def name(self) -> str:
        """What it is, without anything that is secret."""
        if self.command:
            return f"command {self.command[0]}"
        if VARIABLE.search(self.webhook):
            return f"webhook of {', '.join(VARIABLE.findall(self.webhook))}"
        return f"webhook at {urlsplit(self.webhook).hostname}"

    @property
    def secret(self) -> bool:
        """Whether the rule itself holds what lets one write to a webhook."""
        return bool(self.webhook) and VARIABLE.search(self.webhook) is None

    def shown(self) -> dict[str, Any]:
        """Returns the rule as it may be printed: no arguments, no path of a URL."""
        what = {"command": self.command[0]} if self.command else {"webhook": _masked(self.webhook)}
        return {**what, "on": [each.value for each in self.on]}


def check_webhook(url: str) -> None:
    """Raises ValueError, without the URL, for what is no webhook."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("webhook: not a URL; write https://host/path") from None
    if parts.scheme not in ("http", "https") or not host or any(each.isspace() for each in url):
        raise ValueError("webhook: allowed are https://host/path and http://host/path")
    if "@" in parts.netloc:
        raise ValueError("webhook: a URL with a user name or password in it; a command can send those")


def rules_of(value: Any) -> tuple[NotifyRule, ...]:
    """Returns the rules that settings hold.

    Args:
        value: A list of tables, or rules.

    Raises:
        ValueError: Says which of them is wrong; never holds a URL.
    """
    if isinstance(value, Mapping | str) or not isinstance(value, Sequence):
        raise ValueError("a list of tables: write [[notify]] for each")
    found = []
    for number, each in enumerate(value, start=1):
        try:
            found.append(each if isinstance(each, NotifyRule) else _rule(each))
        except ValueError as error:
            raise ValueError(f"{_ordinal(number)} [[notify]]: {error}") from None
    return tuple(found)


def _rule(value: Any) -> NotifyRule:
    allowed = ("command", "webhook", "on")
    if not isinstance(value, Mapping):
        raise ValueError("a table with command or webhook")
    for name in value:
        if name not in allowed:
            raise ValueError(f"got {name!r}, allowed are {', '.join(allowed)}")
    command, webhook, on = value.get("command", ()), value.get("webhook", ""), value.get("on", list(Happened))
    if not isinstance(command, list | tuple) or not all(isinstance(word, str) for word in command):
        raise ValueError('command: a list of words, such as ["notify-send", "orch"]; no shell reads it')
    if not isinstance(webhook, str):
        raise ValueError("webhook: a URL as text")
    known = [each.value for each in Happened]
    if not isinstance(on, list | tuple) or not on or any(each not in known for each in on):
        raise ValueError(f"on: a list of some of {', '.join(known)}")
    return NotifyRule(
        command=tuple(command), webhook=webhook, on=tuple(each for each in Happened if each.value in on)
    )


def _masked(webhook: str) -> str:
    if VARIABLE.fullmatch(webhook):
        return webhook
    return f"{urlsplit(webhook).scheme}://{urlsplit(webhook).netloc}/***" if "://" in webhook else "***"


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"
