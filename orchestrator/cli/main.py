"""The command line: verbs by group, one place where errors become messages and exit codes."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from orchestrator import __version__
from orchestrator.cli import (
    claims,
    data,
    plots,
    recorded,
    running,
    sharing,
    studies,
    tools,
    tracing,
    ui,
    upkeep,
)
from orchestrator.cli.globals import current, hoist
from orchestrator.errors import OrchError, StudyError, TargetError, UsageError
from orchestrator.model.place import masked

HELP = """Ablation studies from one YAML file to the paper's table.

Global flags, anywhere on the line: --store DIR or s3://... (or ORCH_STORE), --target NAME (settings of
[targets.NAME] in orch.toml), --json (standard output holds JSON only), -q/--quiet, -v/--verbose, --no-color
(or NO_COLOR), --no-input, -y/--yes, --debug.

Exit codes: 0 ok, also when there is nothing to do; 1 some trials failed; 2 usage or invalid study; 3 not
found; 5 target unreachable or not allowed; 6 results incomplete; 7 another driver holds the study; 130 / 143
interrupted and resumable; 70 a fault of orch itself.

Errors are one line each: [file:line:col: ]error[code]: what; got; allowed; next step. docs/errors.md has an
example of every code.
"""

FAULT = 70  # exit code of what is nobody's fault but ours; sysexits.h calls it EX_SOFTWARE
GARBAGE = 20_000  # new objects between two looks for cycles

app = typer.Typer(
    name="orch", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)
for group in (studies, running, recorded, plots, claims, tracing, sharing, tools, ui, upkeep):
    for verb in group.VERBS:
        app.command(name=verb.__name__.rstrip("_"))(verb)
app.add_typer(data.app, name="data")
app.add_typer(upkeep.db, name="db")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"orch {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    rest: list[str] = []
    try:
        rest = hoist(sys.argv[1:] if arguments is None else arguments)
        code = app(args=rest, prog_name="orch", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except (BrokenPipeError, SystemExit) as stop:
        # Both typer and rich turn a reader that went away (`| head`) into an exit with 1.
        if not isinstance(stop, BrokenPipeError) and not isinstance(stop.__context__, BrokenPipeError):
            raise
        _hush()
        # Nothing more can be said there; a submission, though, was cut short by it.
        return 130 if rest[:1] in (["submit"], ["resume"]) else 0
    except OrchError as error:
        if current.debug:
            raise
        _tell(error)
        return error.exit_code
    except OSError as error:
        # Full or failing disks, files that may not be read: the text names the file.
        if current.debug:
            raise
        failure = TargetError(f"{error}; --debug shows where")
        _tell(failure)
        return failure.exit_code
    except TyperException as error:
        if current.debug:
            raise
        from orchestrator.cli.usage import asks_for_help, usage_error

        if asks_for_help(error) and not current.json:
            getattr(error, "show", lambda: None)()
            return UsageError.exit_code
        usage = usage_error(error)
        _tell(usage)
        return usage.exit_code
    except Exception as error:
        if current.debug:
            raise
        _tell_fault(error)
        return FAULT
    return code if isinstance(code, int) else 0


def _tell_fault(error: Exception) -> None:
    """Tells of what no one has foreseen: one line, since a traceback helps nobody who did not write orch."""
    from orchestrator.console.text import print_fault

    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    message = (
        f"{masked(text)[:1000]}; this is a fault of orch, not of your files. What is recorded is safe; "
        "--debug shows where it happened: please report it with that"
    )
    _emit_error(type(error).__name__, "internal", message, FAULT)
    print_fault(current.err(), message)


def _tell(error: OrchError) -> None:
    from orchestrator.console.text import print_error

    problems = []
    if isinstance(error, StudyError):
        problems = [
            {"file": p.file, "line": p.line, "column": p.column, "code": p.code, "message": p.message}
            for p in error.problems
        ]
    _emit_error(type(error).__name__, error.code, str(error), error.exit_code, problems)
    print_error(current.err(), error)


def _emit_error(
    name: str, code: str, message: str, exit_code: int, problems: Sequence[Mapping[str, object]] = ()
) -> None:
    """Prints the error's document, unless a verb has printed its own: standard output holds one."""
    if current.json and not current.emitted:
        current.emit(
            "error", error=name, code=code, message=message, exit_code=exit_code, problems=list(problems)
        )


def main() -> None:
    """Entry point of the `orch` command."""
    # Modules and recorded trials are many objects that live to the end; to look for cycles among them
    # every 700 is a tenth of what a light command takes.
    gc.set_threshold(GARBAGE)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± shows ? rather than a crash
    code = run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _hush()
    sys.exit(code)


def _hush() -> None:
    """Sends what is left of standard output nowhere: its reader went away (`| head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
