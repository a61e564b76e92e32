"""Verdicts of claims in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from orchestrator.console.tables import listing
from orchestrator.console.text import safe
from orchestrator.model.claim import Evidence, Judged, Verdict

STYLES = {Verdict.HOLDS: "green", Verdict.FAILS: "red", Verdict.UNCLEAR: "yellow", Verdict.INCOMPLETE: "dim"}


def print_claims(out: Console, judged: Sequence[Judged]) -> None:
    """Prints each claim, its verdict, its contrasts, and how it was judged."""
    for number, claim in enumerate(judged):
        if number:
            out.print()
        out.print(safe(f"{claim.name}: {claim.verdict.value}"), style=f"bold {STYLES[claim.verdict]}")
        out.print(safe(claim.says), soft_wrap=True)
        several = any(each.where for each in claim.evidence)
        headers = ["contrast", claim.metric, "interval", "p", "n", "verdict"]
        rows = [_row(each, several) for each in claim.evidence]
        out.print(listing([*(["where"] if several else []), *headers], rows))
        out.print(safe(claim.rule + _left_out(claim)), style="dim", soft_wrap=True)


def _row(each: Evidence, several: bool) -> tuple[object, ...]:
    where = ", ".join(f"{name}={label}" for name, label in each.where)
    interval = "–" if each.interval is None else f"[{each.interval[0]:.4g}, {each.interval[1]:.4g}]"
    return (
        *((where,) if several else ()),
        each.contrast,
        "–" if each.difference is None else f"{round(each.difference, 12) + 0.0:+.4g}",
        interval,
        "–" if each.p is None else ("< 0.0001" if each.p < 1e-4 else f"{each.p:.4f}"),
        each.n,
        each.verdict.value,
    )


def _left_out(claim: Judged) -> str:
    told = []
    left_out = max((each.left_out for each in claim.evidence), default=0)
    missing = max((each.missing for each in claim.evidence), default=0)
    if left_out:
        told.append(f"up to {left_out} seeds without a value on both sides are left out")
    if missing:
        told.append(f"up to {missing} seeds are still to come")
    return "".join(f"; {each}" for each in told)
