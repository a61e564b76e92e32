"""The command line: verbs by group, one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from orchestrator import __version__
from orchestrator.cli import data, recorded, running, studies, tools
from orchestrator.cli.globals import current, hoist
from orchestrator.errors import OrchError, StudyError

HELP = """Ablation studies from one YAML file to the paper's table.

Global flags, anywhere on the line: --store DIR (or ORCH_STORE), --json (standard output holds JSON only),
-q/--quiet, -v/--verbose, --no-color (or NO_COLOR), --no-input, -y/--yes, --debug.

Exit codes: 0 ok, also when there is nothing to do; 1 some trials failed; 2 usage or invalid study; 3 not
found; 5 target unreachable or not allowed; 6 results incomplete; 7 another driver holds the study; 130 / 143
interrupted and resumable.
"""

app = typer.Typer(
    name="orch", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)
for group in (studies, running, recorded, tools):
    for verb in group.VERBS:
        app.command(name=verb.__name__.rstrip("_"))(verb)
app.add_typer(data.app, name="data")


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
    try:
        rest = hoist(sys.argv[1:] if arguments is None else arguments)
        code = app(args=rest, prog_name="orch", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`| head`): not our failure, and nothing more can be said there.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - lives until the process ends
        return 0
    except OrchError as error:
        if current.debug:
            raise
        _tell(error)
        return error.exit_code
    except TyperException as error:
        # Usage errors show themselves on standard error and know their exit code.
        getattr(error, "show", lambda: None)()
        return int(getattr(error, "exit_code", 2))
    return code if isinstance(code, int) else 0


def _tell(error: OrchError) -> None:
    from orchestrator.console.text import print_error

    if current.json:
        problems = []
        if isinstance(error, StudyError):
            problems = [
                {"file": p.file, "line": p.line, "column": p.column, "code": p.code, "message": p.message}
                for p in error.problems
            ]
        current.emit(
            "error",
            error=type(error).__name__,
            message=str(error),
            exit_code=error.exit_code,
            problems=problems,
        )
    print_error(current.err(), error)


def main() -> None:
    """Entry point of the `orch` command."""
    sys.exit(run())


if __name__ == "__main__":
    main()
