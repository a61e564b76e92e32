"""Plain pieces of terminal output: safe text, durations, the console itself."""

from __future__ import annotations

import sys
import unicodedata

from rich.console import Console
from rich.text import Text

from orchestrator.errors import OrchError, StudyError


def make_console(*, stderr: bool = False, no_color: bool = False) -> Console:
    """Returns a console; NO_COLOR, FORCE_COLOR and non-terminals are honoured by rich."""
    # Without a terminal rich assumes 80 columns and would cut tables that go to a file or a pipe.
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 200
    return Console(stderr=stderr, no_color=no_color or None, highlight=False, soft_wrap=False, width=width)


def safe(text: str) -> Text:
    """Returns text with its control characters shown, and no markup read in it."""
    return Text(printable(text))


def printable(text: str) -> str:
    """Returns text whose control characters are written as escapes (line ends and tabs stay)."""
    return "".join(
        char if char in "\n\t" or not unicodedata.category(char).startswith("C") else repr(char)[1:-1]
        for char in text
    )


def duration(seconds: float | None) -> str:
    """Returns "0:42", "12:05" or "3:02:11"; "?" when unknown."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def print_error(console: Console, error: OrchError) -> None:
    """Prints a failure as its message alone."""
    if isinstance(error, StudyError):
        for problem in error.problems:
            console.print(safe(str(problem)), style="red", soft_wrap=True)
        return
    console.print(safe(f"error[{error.code}]: {error}"), style="red", soft_wrap=True)


def print_fault(console: Console, message: str) -> None:
    """Prints a failure that is no OrchError."""
    console.print(safe(f"error[internal]: {message}"), style="red", soft_wrap=True)
