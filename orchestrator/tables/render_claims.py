"""Judged claims as texts: the rows of their evidence, and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.claim import Evidence, Judged
from orchestrator.tables.render_text import escape


def headers(claim: Judged) -> list[str]:
    """Returns the headers above a claim's evidence; "where" where there are several combinations."""
    several = any(each.where for each in claim.evidence)
    return [*(["where"] if several else []), "contrast", claim.metric, "interval", "p", "n", "verdict"]


def rows(claim: Judged) -> list[tuple[str, ...]]:
    """Returns the texts below the headers, a row for each contrast."""
    several = any(each.where for each in claim.evidence)
    return [_row(each, several) for each in claim.evidence]


def _row(each: Evidence, several: bool) -> tuple[str, ...]:
    where = ", ".join(f"{name}={label}" for name, label in each.where)
    interval = "–" if each.interval is None else f"[{each.interval[0]:.4g}, {each.interval[1]:.4g}]"
    return (
        *((where,) if several else ()),
        each.contrast,
        "–" if each.difference is None else f"{round(each.difference, 12) + 0.0:+.4g}",
        interval,
        "–" if each.p is None else ("< 0.0001" if each.p < 1e-4 else f"{each.p:.4f}"),
        f"{each.n}",
        each.verdict.value,
    )


def rule(claim: Judged) -> str:
    """Returns how a claim was judged, and which seeds its contrasts lack."""
    told = [claim.rule]
    left_out = max((each.left_out for each in claim.evidence), default=0)
    missing = max((each.missing for each in claim.evidence), default=0)
    if left_out:
        told.append(f"up to {left_out} seeds without a value on both sides are left out")
    if missing:
        told.append(f"up to {missing} seeds are still to come")
    return "; ".join(told)


def markdown(judged: Sequence[Judged]) -> str:
    """Returns claims as GitHub Markdown: each with its verdict, its evidence and how it was judged."""
    return "\n".join(_markdown(claim) for claim in judged)


def _markdown(claim: Judged) -> str:
    names = headers(claim)
    lines = [f"**{escape(claim.name)}: {claim.verdict.value}.** {escape(claim.says)}", ""]
    lines.append(f"| {' | '.join(map(escape, names))} |")
    lines.append(f"|{'|'.join([' :-- '] * len(names))}|")
    lines += [f"| {' | '.join(map(escape, row))} |" for row in rows(claim)]
    lines += ["", f"- {escape(rule(claim))}"]
    return "\n".join(lines) + "\n"
