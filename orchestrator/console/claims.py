"""Verdicts of claims in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from orchestrator.console.tables import listing
from orchestrator.console.text import printable, safe
from orchestrator.model.claim import Judged, Verdict
from orchestrator.tables.render_claims import headers, rows, rule

STYLES = {Verdict.HOLDS: "green", Verdict.FAILS: "red", Verdict.UNCLEAR: "yellow", Verdict.INCOMPLETE: "dim"}


def print_claims(out: Console, judged: Sequence[Judged]) -> None:
    """Prints each claim, its verdict, its contrasts, and how it was judged."""
    for number, claim in enumerate(judged):
        if number:
            out.print()
        out.print(safe(f"{claim.name}: {claim.verdict.value}"), style=f"bold {STYLES[claim.verdict]}")
        out.print(safe(claim.says), soft_wrap=True)
        out.print(listing(headers(claim), rows(claim)))
        out.print(safe(rule(claim)), style="dim", soft_wrap=True)


def print_verdicts(out: Console, judged: Sequence[Judged]) -> None:
    """Prints one line for each claim: its verdict and what it says."""
    for claim in judged:
        says = " ".join(claim.says.split())  # on one line
        line = Text(printable(f"{claim.name}: "))
        line.append(claim.verdict.value, style=f"bold {STYLES[claim.verdict]}")
        line.append(printable(f" ({says})"))
        out.print(line, soft_wrap=True)
