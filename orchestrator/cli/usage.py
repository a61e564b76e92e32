"""Usage errors of the command line in the shape of all others: what, what is known, where to read on."""

from __future__ import annotations

from typing import Any

from typer.exceptions import TyperException

from orchestrator.errors import UsageError


def asks_for_help(error: TyperException) -> bool:
    """Returns whether a group of commands was named and none of them: its help is the answer."""
    return "NoArgsIsHelp" in type(error).__name__


def usage_error(error: TyperException) -> UsageError:
    """Returns what the parser has found, with the options or commands that there are."""
    found: Any = error  # its kinds are private to typer
    text = "a command is missing" if asks_for_help(error) else str(found.format_message()).strip()
    if meant := getattr(found, "possibilities", None):
        text = f"{text.partition(' (Possible')[0]}; did you mean {' or '.join(meant)}?"
    message = text.rstrip(".").replace(". Did you mean", "; did you mean")
    context = getattr(found, "ctx", None)
    parts = [message]
    if context is not None:
        parts += [known] if (known := _known(found, context)) else []
        parts.append(
            f"{context.get_usage().replace('Usage:', 'usage:')}; `{context.command_path} --help` says more"
        )
    else:
        parts.append("`orch --help` shows every command, `orch COMMAND --help` its options")
    return UsageError("; ".join(" ".join(part.split()) for part in parts))


def _known(found: Any, context: Any) -> str:
    if getattr(found, "option_name", None) is not None:
        names = [name for each in context.command.params for name in each.opts if name.startswith("--")]
        return f"options are {', '.join(names)}" if names else "it has no options"
    commands = getattr(context.command, "commands", None)
    return f"commands are {', '.join(commands)}" if commands else ""
