"""`orch claims`: what the results say of a study's claims."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.app.results import study_frame
from orchestrator.app.session import Session
from orchestrator.errors import NotFoundError, Problem, StudyError
from orchestrator.model.claim import Judged
from orchestrator.model.study import ClaimSpec, Study


def judge_claims(session: Session, study: Study, names: Sequence[str] = ()) -> list[Judged]:
    """Returns the verdicts of a study's claims as the results stand.

    Args:
        session: The store.
        study: As recorded, or as its file says now.
        names: Which claims; all by default.

    Raises:
        NotFoundError: The study has no such claim, or none at all.
        StudyError: What some of them compare cannot be put together.
    """
    known = {claim.name: claim for claim in study.claims}
    for name in names:
        if name not in known:
            raise NotFoundError(
                f"study {study.name!r} has no claim {name!r}; it has: {', '.join(known) or 'none'}"
            )
    if not known:
        raise NotFoundError(
            f"study {study.name!r} makes no claims; `claims:` of its file is the place for them"
        )
    judged, problems = try_claims(session, study, [known[name] for name in names] or study.claims)
    if problems:
        raise StudyError(problems)
    return judged


def try_claims(
    session: Session, study: Study, claims: Sequence[ClaimSpec] | None = None
) -> tuple[list[Judged], list[Problem]]:
    """Returns the verdicts of the claims that can be judged, and what is wrong with the others.

    Args:
        session: The store.
        study: As recorded, or as its file says now.
        claims: Which of its claims; all by default.
    """
    chosen = study.claims if claims is None else claims
    if not chosen:
        return [], []
    from orchestrator.tables.claims import judge

    curves = any("train" in claim.table.evaluations for claim in chosen)
    frame = study_frame(session, study, curves=curves)
    judged: list[Judged] = []
    problems: list[Problem] = []
    for claim in chosen:
        try:
            judged.append(judge(claim, frame, places=study.places))
        except StudyError as error:
            problems += error.problems
    return judged, problems


def claims_text(judged: Sequence[Judged]) -> str:
    """Returns judged claims as Markdown."""
    from orchestrator.tables.render_claims import markdown

    return markdown(judged)
