"""Global flags: they may stand anywhere on the command line, before or after the verb."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.settings import Settings

SCHEMA_VERSION = 1
SWITCHES = {
    "--json": "json",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "--no-color": "no_color",
    "--no-input": "no_input",
    "-y": "yes",
    "--yes": "yes",
    "--debug": "debug",
}
# flags with a value -> what that is
VALUED = {
    "--store": "a directory or s3://bucket/prefix",
    "--target": "the name of one of orch.toml's targets",
}


@dataclass(slots=True, kw_only=True)
class Globals:
    """The global flags of this call.

    Attributes:
        json: Standard output holds JSON only.
        quiet: Progress and summaries are left out.
        verbose: More detail.
        no_color: No colours (NO_COLOR does the same).
        no_input: Never ask.
        yes: Answer every question with yes.
        debug: Show tracebacks.
        store: Directory or URI of the store.
        target: Table of orch.toml's targets whose settings are in force.
        emitted: Whether standard output has its JSON document already.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    no_input: bool = False
    yes: bool = False
    debug: bool = False
    store: str | None = None
    target: str | None = None
    emitted: bool = False

    def settings(self, **flags: Any) -> Settings:
        """Returns the settings in force with this call's flags."""
        from orchestrator.settings import load_settings

        return load_settings({"store": self.store, "target": self.target, **flags})

    def out(self) -> Console:
        """Returns the console of standard output."""
        from orchestrator.console.text import make_console

        return make_console(no_color=self.no_color)

    def err(self) -> Console:
        """Returns the console of standard error."""
        from orchestrator.console.text import make_console

        return make_console(stderr=True, no_color=self.no_color)

    def emit(self, kind: str, *, line: bool = False, **content: Any) -> None:
        """Prints one JSON document on standard output.

        Args:
            kind: What it is.
            line: Whether to print it on one line, for a stream of documents.
            content: Its fields.
        """
        self.emitted = True
        document = {"schema_version": SCHEMA_VERSION, "kind": kind, **content}
        indent = None if line else 2
        sys.stdout.write(json.dumps(document, indent=indent, allow_nan=False, default=str) + "\n")


# The flags of the call under way: set once by `hoist`, read by the verbs.
current = Globals()


def hoist(arguments: Sequence[str]) -> list[str]:
    """Takes the global flags out of a command line wherever they stand; returns the rest.

    Raises:
        UsageError: `--store` without a place, `--target` without a name.
    """
    found = Globals()
    rest: list[str] = []
    iterator = iter(arguments)
    for argument in iterator:
        if argument == "--":
            rest += [argument, *iterator]
        elif argument in SWITCHES:
            setattr(found, SWITCHES[argument], True)
        elif (flag := argument.partition("=")[0]) in VALUED:
            value = argument.partition("=")[2] if "=" in argument else next(iterator, "")
            if not value:
                raise UsageError(f"{flag} wants {VALUED[flag]}")
            setattr(found, flag.removeprefix("--"), value)
        else:
            rest.append(argument)
    for name in Globals.__slots__:
        setattr(current, name, getattr(found, name))
    return rest
