"""The verb `ui`: the web page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.globals import current

if TYPE_CHECKING:
    from dashboards.mlflow_server import Served
    from orchestrator.app.elsewhere import Cluster


def ui(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free port.")] = 8484,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; beyond loopback it needs --allow-remote.")
    ] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Listen beyond this machine: behind a proxy with TLS.")
    ] = False,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A further name of the page, as a proxy's; repeat it for more."),
    ] = None,
    mlflow: Annotated[
        bool, typer.Option("--mlflow", help="MLflow's page on the store's mirror too, with a password.")
    ] = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="Tell where Ray's dashboard is: the target's, or a study's own.")
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", help="Keep the token in this file; without it there is a new one each time."
        ),
    ] = None,
) -> None:
    """Serve the store as a web page on this machine; its address, printed once, bears the token."""
    # Only this verb loads a web server.
    from dashboards.mlflow_server import mlflow_page
    from dashboards.serve import Place, prepare
    from dashboards.view import Links
    from orchestrator.app.elsewhere import clusters, mlflow_uri, remote_mlflow

    settings = current.settings()
    place = Place(
        host=host, port=port, names=tuple(name or ()), allow_remote=allow_remote, token_file=token_file
    )
    found = clusters(settings) if ray else []
    with ExitStack() as stack:
        served = stack.enter_context(mlflow_page(mlflow_uri(settings))) if mlflow else None
        links = Links(
            mlflow=served.address if served else remote_mlflow(settings),
            ray=found[0].address if found else settings.jobs_address or "",
        )
        page = prepare(settings, place, links)
        _tell(page.address, page.token, served, found, asked_ray=ray)
        page.run()


def _tell(
    address: str, token: str, served: Served | None, found: Sequence[Cluster], *, asked_ray: bool
) -> None:
    if current.json:
        current.emit(
            "ui",
            line=True,
            url=address,
            token=token,
            mlflow={"url": served.address, "user": served.user, "password": served.password}
            if served
            else None,
            ray=[{"url": each.address, "token_file": each.token} for each in found],
        )
    else:
        print(f"{address}?token={token}")
        print("whoever has this address may look, cancel and resume; Ctrl-C ends it")
        if served is not None:
            who = f" as {served.user}, password {served.password}" if served.user else ""
            print(f"MLflow, in some seconds: {served.address}{who}")
        for each in found:
            print(f"Ray: {each.address}" + (f" (token in {each.token})" if each.token else ""))
        if asked_ray and not found:
            print(
                "Ray: no study runs on a cluster with a dashboard now; a study's page shows it when one does"
            )
    sys.stdout.flush()


VERBS = (ui,)
