"""Verbs about the installation and the networks: model, config, doctor, bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.globals import current
from orchestrator.cli.options import Patches


def model(
    name: Annotated[str, typer.Argument(help="Kind of the network (network.name).")],
    set_: Patches = None,
    workload: Annotated[str, typer.Option("--workload", help="Whose network.")] = "classification",
    data: Annotated[
        str | None,
        typer.Option("--data", help="Data set that gives classes and input size; default: the papers'."),
    ] = None,
    draw: Annotated[
        Path | None, typer.Option("--draw", metavar="FILE.svg", help="Write a drawing of the network.")
    ] = None,
) -> None:
    """Describe a network: parameters, longest path, FLOPs, paths. Nothing is trained or downloaded."""
    from orchestrator.app.model import describe
    from orchestrator.console.networks import network_view
    from orchestrator.study.load import parse_patch

    patches = dict(parse_patch(text) for text in set_ or ())
    described = describe(name, patches, current.settings(), workload=workload, data=data, drawing=draw)
    if current.json:
        current.emit("model", **described)
        return
    current.out().print(network_view(name, described))


def config() -> None:
    """Show every setting, its value and which source gave it."""
    from orchestrator.console.tables import listing
    from orchestrator.settings import origins

    settings = current.settings()
    sources = origins({"store": current.store, "target": current.target})
    values = settings.model_dump(mode="json")
    if current.json:
        current.emit(
            "config", settings={name: {"value": values[name], "origin": sources[name]} for name in values}
        )
        return
    rows = [
        (name, values[name], sources[name], type(settings).model_fields[name].description) for name in values
    ]
    current.out().print(listing(["setting", "value", "origin", "meaning"], rows))


def doctor(
    notify: Annotated[
        bool, typer.Option("--notify", help="Send a test notice to everybody who is to be told.")
    ] = False,
) -> None:
    """Check this installation: versions, processors, disk, store, notices. Exit 1 when something is wrong."""
    from orchestrator.app.doctor import examine
    from orchestrator.console.tables import listing

    checks = examine(current.settings(), notify=notify)
    if current.json:
        current.emit(
            "doctor", checks=[{"name": each.name, "ok": each.ok, "text": each.text} for each in checks]
        )
    else:
        rows = [(each.name, "ok" if each.ok else "PROBLEM", each.text) for each in checks]
        current.out().print(listing(["check", "", "found"], rows))
    raise typer.Exit(0 if all(each.ok for each in checks) else 1)


def bench(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="This part only; may be repeated.")
    ] = None,
    small: Annotated[bool, typer.Option("--small", help="Tiny sizes: whether it runs at all.")] = False,
) -> None:
    """Measure this machine: each figure beside what was to reach. Exit 1 when one is missed.

    All of it takes half an hour or more, on a machine that does nothing else.
    """
    from orchestrator.app.bench import bench as measure

    code, found = measure(only or (), small=small, as_json=current.json)
    if current.json:
        current.emit("bench", **found)
    raise typer.Exit(code)


VERBS = (model, config, doctor, bench)
