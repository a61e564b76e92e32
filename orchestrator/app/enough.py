"""Seeds that are too few for what a study asks of them, whatever the results will be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from orchestrator.app.adaptive import looks_of
from orchestrator.errors import StudyError
from orchestrator.model.plan import Plan
from orchestrator.model.study import Study, TableSpec
from orchestrator.stats.estimate import SHOWS
from orchestrator.stats.power import seeds_to_reject
from orchestrator.study.problems import Path, Problems
from orchestrator.study.text import quoted

CODE: Final = "too-few-seeds"
_SHOWN: Final = 3
_LEAST_OF_T: Final = 2  # whatever is corrected for: p of a t test can be as small as one likes
_ONE_EACH: Final[Mapping[str, int]] = MappingProxyType({})


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


def shortages(study: Study, contrasts: Mapping[str, int] = _ONE_EACH) -> Iterator[Shortage]:
    """Yields what a study's seeds are too few for.

    Args:
        study: As declared.
        contrasts: Table -> how many contrasts are corrected for together, where that is known.
    """
    seeds, times = len(study.seeds), looks_of(study.adaptive)
    drawn = [plot.table for plot in study.plots if plot.kind != "forest"]  # that is one of the tables
    for table in (*study.tables, *drawn):
        interval = SHOWS[table.show].interval
        if interval is not None and interval.least > max(2, seeds):
            yield Shortage(
                path=(table.root, table.name, "show"),
                key=False,
                needs=f"the interval of {quoted(table.show)} needs at least {interval.least} seeds",
                least=interval.least,
                instead=f"show {quoted(table.show.split(' [')[0])} alone, or 'mean [ci95]'",
            )
    for table in study.tables:
        count = contrasts.get(table.name, 1)
        least = _least(table, count * times, one_sided=False)
        if table.baseline and seeds < least:
            yield Shortage(
                path=(table.root, table.name, "baseline"),
                key=True,
                needs=f"{_test(table, count)} can show nothing with fewer than {least} seeds",
                least=least,
                instead=f"{_instead(table, seeds)}drop the baseline",
            )
    for claim in study.claims:
        # Each contrast of a claim is shown on its own: nothing is corrected for their number.
        least = _least(claim.table, times, one_sided=True)
        if seeds < least:
            yield Shortage(
                path=(claim.table.root, claim.name),
                key=True,
                needs=f"no claim can hold by {_test(claim.table, 1)} with fewer than {least} seeds",
                least=least,
                instead=f"{_instead(claim.table, seeds)}drop the claim",
            )


def _least(table: TableSpec, corrected: int, *, one_sided: bool) -> int:
    if table.test == "t":
        return _LEAST_OF_T
    return seeds_to_reject(corrected, alternative="greater" if one_sided else "two-sided")


def _test(table: TableSpec, count: int) -> str:
    if table.test == "t":
        return "a paired t test" if table.paired else "Welch's t test"
    return "a permutation test" + (f" corrected for {count} contrasts" if count > 1 else "")


def _instead(table: TableSpec, seeds: int) -> str:
    return "test: t, or " if table.test != "t" and seeds >= _LEAST_OF_T else ""


def note_shortages(study: Study, problems: Problems) -> None:
    """Notes what the seeds that a file declares are too few for."""
    for each in shortages(study):
        problems.add(each.path, CODE, each.message(len(study.seeds)), key=each.key)


def refuse_shortages(study: Study, plan: Plan) -> None:
    """Refuses tests that cannot reject after the correction for all contrasts of their table.

    Args:
        study: As declared.
        plan: Of all its seeds.

    Raises:
        StudyError: There are such.
    """
    counts = _contrasts(study, plan)
    problems = Problems(study.name, study.places)
    for each in shortages(study, counts) if counts else ():
        problems.add(each.path, CODE, each.message(len(study.seeds)), key=each.key)
    problems.finish()


def shortage_notes(study: Study, plan: Plan) -> list[str]:
    """Returns what a study's seeds are too few for as notes: where they are given for this once."""
    places: dict[str, list[str]] = {}
    for each in shortages(study, _contrasts(study, plan)):
        places.setdefault(each.needs, []).append(".".join(map(str, each.path[:2])))
    told = []
    for needs, found in places.items():
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        told.append(f"{', '.join(found[:_SHOWN])}{more}: {needs}; {len(study.seeds)} asked for")
    return told


def _contrasts(study: Study, plan: Plan) -> dict[str, int]:
    """Returns table -> how many contrasts it will have, of those whose test that decides."""
    tables = [each for each in study.tables if each.baseline and each.test == "permutation"]
    if not tables:
        return {}
    from orchestrator.store.frame import unmeasured
    from orchestrator.study.dimensions import dimensions
    from orchestrator.tables.contrasts import planned_contrasts

    planned = unmeasured(plan.assignments, dimensions(study))
    found: dict[str, int] = {}
    for table in tables:
        try:
            found[table.name] = max(1, planned_contrasts(table, planned))
        except StudyError:
            continue  # what it is about is known from results only
    return found
