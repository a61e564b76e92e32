"""The verb `claims`: what the results say of a study's claims."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from orchestrator.cli.globals import current
from orchestrator.cli.options import StudyName
from orchestrator.errors import IncompleteError


def claims(
    study: StudyName,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM]...", help="Which claims; all by default.")
    ] = None,
) -> None:
    """Say which of a study's claims hold, with the evidence; exit 6 while results are missing."""
    from orchestrator.app.claims import judge_claims
    from orchestrator.app.results import study_of
    from orchestrator.app.session import open_session
    from orchestrator.cli.shapes import claim_shape
    from orchestrator.console.claims import print_claims
    from orchestrator.model.claim import Verdict

    with open_session(current.settings()) as session:
        found = study_of(session, study)
        judged = judge_claims(session, found, names or ())
    if current.json:
        current.emit("claims", study=found.name, claims=[claim_shape(each) for each in judged])
    else:
        print_claims(current.out(), judged)
    counts = Counter(each.verdict for each in judged)
    if counts[Verdict.INCOMPLETE]:
        raise IncompleteError(
            f"{counts[Verdict.INCOMPLETE]} of {len(judged)} claims lack results; `orch status {found.name}` "
            "says which trials are to come"
        )


VERBS = (claims,)
