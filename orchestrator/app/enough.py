"""Seeds that are too few for what a study asks of them, whatever the results will be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.model.study import Study
from orchestrator.stats.estimate import SHOWS
from orchestrator.study.problems import Path
from orchestrator.study.text import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Something that a study asks for and its seeds cannot give.

    Attributes:
        path: Where it is asked for.
        key: Whether the place is the key there, not its value.
        needs: What needs how many seeds, in words.
        least: So many.
        instead: What to do but to give it more seeds.
    """

    path: Path
    key: bool
    needs: str
    least: int
    instead: str

    def message(self, seeds: int) -> str:
        """Returns what is wrong and what to do, for a study of so many seeds."""
        return f"{self.needs}, the study has {seeds}; say seeds: {self.least}, or {self.instead}"


def shortages(study: Study) -> Iterator[Shortage]:
    """Yields what a study's seeds are too few for."""
    seeds = len(study.seeds)
    for table in (*study.tables, *(plot.table for plot in study.plots)):
        interval = SHOWS[table.show].interval
        if interval is not None and interval.least > max(2, seeds):
            yield Shortage(
                path=(table.root, table.name, "show"),
                key=False,
                needs=f"the interval of {quoted(table.show)} needs at least {interval.least} seeds",
                least=interval.least,
                instead=f"show {quoted(table.show.split(' [')[0])} alone, or 'mean [ci95]'",
            )


def shortage_notes(study: Study) -> list[str]:
    """Returns what a study's seeds are too few for as notes: where they are given for this once."""
    return [
        f"{each.path[0]}.{each.path[1]}: {each.needs}, and {len(study.seeds)} were asked for"
        for each in shortages(study)
    ]
