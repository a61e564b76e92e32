"""What the pages of one study share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from dashboards.desk import Answer, Desk, Patience
from orchestrator.app import watching
from orchestrator.app.elsewhere import Cluster, cluster_of
from orchestrator.app.results import study_of, try_tables
from orchestrator.app.session import Session
from orchestrator.errors import NotFoundError
from orchestrator.model.study import Study
from orchestrator.model.table import Table
from orchestrator.model.watch import Pulse


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """A study's tables, and why others cannot be built."""

    tables: Sequence[Table]
    problems: Sequence[str]

    def one(self, name: str) -> Table:
        """Returns the table of that name.

        Raises:
            NotFoundError: There is none, or it cannot be built.
        """
        for table in self.tables:
            if table.name == name:
                return table
        known = ", ".join(table.name for table in self.tables) or "none"
        why = "; ".join(self.problems)
        raise NotFoundError(f"no table {name!r}; there are: {known}" + (f" ({why})" if why else ""))


@final
class Asked:
    """One request about one study: everything is of the same moment, and waited for together."""

    def __init__(self, desk: Desk, study: str) -> None:
        """Looks whether there is such a study.

        Raises:
            NotFoundError: There is none.
        """
        self.desk = desk
        self.study = study
        self.patience = Patience()
        self.pulse: Pulse = desk.study(study)
        self.declared: Answer[Study] = self.planned(("study",), lambda session: study_of(session, study))

    def now(self, key: tuple[str, ...], make: Callable[[Session], Any]) -> Answer[Any]:
        """Returns what changes whenever a trial does."""
        return self.desk.ask((self.study, *key), self.pulse.mark, make, self.patience)

    def planned(self, key: tuple[str, ...], make: Callable[[Session], Any]) -> Answer[Any]:
        """Returns what changes with the plan alone."""
        return self.desk.ask((self.study, *key), self.pulse.planned, make, self.patience)

    def board(self) -> Answer[watching.Board]:
        """Returns which trial is in which state."""
        return self.now(("board",), lambda session: watching.board(session, self.study))

    def line(self) -> Answer[watching.Summary]:
        """Returns the study in one line."""
        return self.now(("line",), lambda session: watching.summary(session, self.study))

    def pace(self) -> Answer[watching.Pace]:
        """Returns how fast it goes."""
        return self.now(("pace",), lambda session: watching.pace(session, self.study))

    def cluster(self) -> Answer[Cluster]:
        """Returns where Ray shows its driver."""
        return self.now(("cluster",), lambda session: cluster_of(session, self.study))

    def tables(self) -> Answer[Tables]:
        """Returns all tables as the results stand."""

        def build(session: Session) -> Tables:
            tables, problems = try_tables(session, study_of(session, self.study))
            return Tables(tables=tables, problems=[each.message for each in problems])

        return self.now(("tables",), build)

    def shown(self, **more: Any) -> dict[str, Any]:
        """Returns what every page of a study shows, and what this one does."""
        return {
            "study": self.study,
            "pulse": self.pulse,
            "declared": self.declared,
            "events": f"/studies/{self.study}/events",
            **more,
        }


def known(answer: Answer[Any], what: str) -> Any:
    """Returns an answer's value, None while it is being made.

    Raises:
        NotFoundError: It cannot be made; says why.
    """
    if answer.error:
        raise NotFoundError(f"{what}: {answer.error}")
    return answer.value
