"""Verbs about the store itself: `fsck`, `gc`, `compact`, and `orch db`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.globals import current

db = typer.Typer(no_args_is_help=True, help="The registry's database: its schema and its upgrade.")


def fsck(
    repair: Annotated[
        bool, typer.Option("--repair", help="Queue again what is lost, forget what is damaged.")
    ] = False,
) -> None:
    """Compare everything recorded with its digest. Exit 6 when something is damaged and not repaired."""
    from orchestrator.app import fsck as app
    from orchestrator.app.session import open_session

    with open_session(current.settings()) as session:
        checkpoints = session.stores.checkpoints
        found = app.examine(session, session.stores.unread(), checkpoints)
        names = app.labels(session, {key for each in found.damage for key in each.trials})
        mended = app.repair(session, found.damage, checkpoints) if repair and found.damage else None
    left = found.damage if mended is None else mended.left
    if current.json:
        current.emit(
            "fsck",
            parts=found.parts,
            checkpoints=found.checkpoints,
            damage=[
                {
                    "kind": each.kind,
                    "place": each.place,
                    "problem": each.problem,
                    "trials": list(each.trials),
                }
                for each in found.damage
            ],
            repaired=None
            if mended is None
            else {
                "waiting": list(mended.waiting),
                "studies": list(mended.studies),
                "forgotten": mended.forgotten,
            },
        )
        raise typer.Exit(6 if left else 0)
    typer.echo(f"{found.parts} parts and {found.checkpoints} checkpoints compared with their digests")
    for each in found.damage:
        whose = [names.get(key, key[:12]) for key in each.trials[:3]]
        more = f" and {len(each.trials) - 3} more" if len(each.trials) > 3 else ""
        typer.echo(f"{each.kind} {each.place}: {each.problem} ({', '.join(whose)}{more})".replace(" ()", ""))
    if mended is not None:
        typer.echo(
            f"{len(mended.waiting)} trials wait to be computed again, "
            f"{mended.forgotten} checkpoints forgotten"
        )
        for study in mended.studies:
            typer.echo(f"go on with: orch resume {study}")
    elif found.damage:
        typer.echo("`orch fsck --repair` queues again what is lost")
    for each in left if mended is not None else []:
        typer.echo(
            f"cannot be mended here: {each.place}: {each.problem}; take a copy from the store's backups"
        )
    raise typer.Exit(6 if left else 0)


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Delete it; otherwise it is only named.")] = False,
    grace: Annotated[
        float, typer.Option("--grace", metavar="SECONDS", help="Keep what was changed less long ago.")
    ] = 3600.0,
) -> None:
    """Name what nothing needs: leftovers of dead writers, old checkpoints and code. --delete deletes it."""
    from orchestrator.app import upkeep as app
    from orchestrator.app.session import open_session

    with open_session(current.settings()) as session:
        stores = session.stores
        found = app.gc(session, stores.results, stores.checkpoints, delete=delete, grace_s=grace)
    if current.json:
        current.emit(
            "gc",
            deleted=delete,
            strays=[{"path": path, "bytes": size} for path, size in found.strays],
            superseded=[{"path": each.path, "bytes": each.size_bytes} for each in found.superseded],
            code=[{"path": path, "bytes": size} for path, size in found.code],
            bytes=found.size_bytes,
        )
        return
    for path, size in found.strays:
        typer.echo(f"{path}  {size:,} bytes, named by no record")
    for each in found.superseded:
        typer.echo(f"{each.path}  {each.size_bytes:,} bytes, a finished training has a newer one")
    for path, size in found.code:
        typer.echo(f"{path}  {size:,} bytes, code that no result came from")
    what = "deleted" if delete else "could go; `orch gc --delete` deletes it"
    number = len(found.strays) + len(found.superseded) + len(found.code)
    typer.echo(f"{number} things, {found.size_bytes:,} bytes: {what}")


def compact() -> None:
    """Join the parts of results into few; readers go on, the old files stay until `orch gc --delete`."""
    from orchestrator.app import upkeep as app
    from orchestrator.app.session import open_session

    with open_session(current.settings()) as session:
        before, after = app.compact(session, session.stores.results)
    if current.json:
        current.emit("compact", before=before, after=after)
    else:
        typer.echo(f"{before} parts are {after} now")


@db.command()
def upgrade() -> None:
    """Bring the registry to this version's schema, after a copy of a SQLite one into the store's backups."""
    from orchestrator.app.database import upgrade as run

    before, after = run(current.settings())
    if current.json:
        current.emit("db", before=before, after=after)
    elif before == after:
        typer.echo(f"the registry has schema {after} already")
    else:
        typer.echo(f"the registry had {f'schema {before}' if before else 'no schema'}, now it has {after}")


@db.command()
def version() -> None:
    """Print the registry's schema and the one that this version of orch reads."""
    from orchestrator.app.database import versions

    found, wanted = versions(current.settings())
    if current.json:
        current.emit("db", schema=found, expected=wanted)
    else:
        typer.echo(f"registry: {found or 'none'}; this version of orch: {wanted}")


VERBS = (fsck, gc, compact)
