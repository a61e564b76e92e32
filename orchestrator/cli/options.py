"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from orchestrator.app.planning import Request

StudyFile: TypeAlias = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study file.")]
StudyName: TypeAlias = Annotated[
    str, typer.Argument(metavar="STUDY", help="A recorded study's name, or its file.")
]
Patches: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Patch the config of every cell; recorded with the submission."
    ),
]
Seeds: TypeAlias = Annotated[
    str | None,
    typer.Option("--seeds", metavar="SEEDS", help="Seeds in place of the file's: 5, 0-4 or 0,2,7."),
]
Cells: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--cells", metavar="FACTOR=LABEL,...", help="Only these cells (* fits any label); repeat it for more."
    ),
]
MaxTrials: TypeAlias = Annotated[
    int, typer.Option("--max-trials", min=1, help="Refuse a study of more trials than this.")
]
ExecutorName: TypeAlias = Annotated[
    str | None,
    typer.Option("--executor", metavar="ray|inline", help="Where trials run; inline is for debugging."),
]
MaxConcurrent: TypeAlias = Annotated[
    int | None, typer.Option("--max-concurrent", min=1, help="Bundles at once, at most.")
]
NoWait: TypeAlias = Annotated[
    bool,
    typer.Option("--no-wait", help="Start the driver in the target's cluster (jobs_address) and return."),
]


def request(
    file: Path,
    patches: Sequence[str] | None,
    seeds: str | None,
    cells: Sequence[str] | None,
    max_trials: int,
) -> Request:
    """Returns what the options ask of a study file.

    Raises:
        UsageError: A patch or a list of seeds cannot be read.
    """
    from orchestrator.app.planning import Request
    from orchestrator.study.load import parse_patch, parse_seeds

    return Request(
        file=file,
        patches=dict(parse_patch(text) for text in patches or ()),
        seeds=parse_seeds(seeds) if seeds is not None else None,
        cells=tuple(cells or ()),
        max_trials=max_trials,
    )
