"""Verbs about data sets: `orch data list`, `check`, `fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.globals import current

app = typer.Typer(no_args_is_help=True, help="Data sets: what there is, whether it is whole, getting it.")
Name = Annotated[str, typer.Argument(help="Data set (data.name).")]
Folder = Annotated[
    Path | None,
    typer.Argument(metavar="DIR", help="Directory of the data sets; default: data_dir of orch.toml."),
]
Workload = Annotated[str, typer.Option("--workload", help="Whose data sets.")]


@app.command(name="list")
def list_(workload: Workload = "classification") -> None:
    """List the data sets of a workload."""
    from orchestrator.app.data import names

    found = names(current.settings(), workload)
    if current.json:
        current.emit("data", sets=found)
        return
    for name in found:
        typer.echo(name)


@app.command()
def check(name: Name, folder: Folder = None, workload: Workload = "classification") -> None:
    """Compare a data set's files with their published digests. Exit 1 when they differ or are missing."""
    from orchestrator.app.data import check as checked
    from orchestrator.app.data import described

    parts = checked(name, folder, current.settings(), workload)
    _show(name, parts, described(name, folder, current.settings(), workload))


@app.command()
def fetch(name: Name, folder: Folder = None, workload: Workload = "classification") -> None:
    """Download a data set and check it; when that fails nothing is left behind."""
    from orchestrator.app.data import fetch as fetched

    _show(name, fetched(name, folder, current.settings(), workload), {})


def _show(name: str, parts: dict[str, int], described: dict[str, Any]) -> None:
    if current.json:
        current.emit("data", name=name, images=parts, data=described)
        return
    counts = ", ".join(f"{part} {images:,}" for part, images in parts.items())
    typer.echo(f"{name}: whole; images: {counts}")
    if described:
        typer.echo("in a study:\n  data:")
        for key, value in described.items():
            typer.echo(f"    {key}: {value}")
