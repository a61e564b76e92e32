"""The seam to what chooses the values that searches try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from orchestrator.model.plan import TrialKey
from orchestrator.model.search import Candidate, Search, Values

Curve = Sequence[tuple[int, float]]


class Sampling(Protocol):
    """One search in progress.

    What it gives follows from the search as declared and from what was asked and told before, in that order,
    and from nothing else: who asks and tells the same again is given the same.
    """

    def ask(self) -> Values:
        """Returns the values of the next candidate."""
        ...

    def pruned(self, number: int, curve: Curve) -> int | None:
        """Returns after how many points of its curve a candidate is to be ended, None for not yet.

        It is judged against the candidates that were told, whatever else runs.

        Args:
            number: Of the candidate, which was asked for and not told.
            curve: (step, value) in order; longer than in the last call for this candidate, or equal.
        """
        ...

    def tell(self, candidate: Candidate) -> None:
        """Takes in how a candidate ended."""
        ...


class Searcher(Protocol):
    """Begins searches, and says what came of them."""

    def begin(self, search: Search, key: TrialKey) -> Sampling:
        """Returns a search of which nothing was asked."""
        ...

    def importance(self, search: Search, candidates: Sequence[Candidate]) -> Mapping[str, float]:
        """Returns path -> how much of what makes values good it explains, in all 1; nothing for too few."""
        ...

    def show(self, search: Search, key: TrialKey, label: str, candidates: Sequence[Candidate]) -> None:
        """Writes what was tried where people look at it; repeated calls are harmless."""
        ...
