"""The circuit breaker: when seeds of one cell fail alike, the cell's other seeds are not tried.

They would fail like them, after as long: a fault in the twentieth hour of a training costs each seed so much.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.model.plan import Trial, TrialKey
from orchestrator.model.run import Cause, Failure

# Seeds that fail alike before the others are held back.
ALIKE: Final = 2


class Breaker:
    """What failed in one submission, by what it has in common."""

    def __init__(self, trials: Mapping[TrialKey, Trial]) -> None:
        """Takes every trial of the submission, parents before or after their children."""
        self._trials = trials
        self._kinds: dict[TrialKey, str] = {}
        self._worked: set[TrialKey] = set()
        self._failed: dict[tuple[str, str], list[TrialKey]] = defaultdict(list)

    def worked(self, key: TrialKey) -> None:
        """Notes a trial with a result: its kind can work."""
        self._worked.add(key)

    def failed(self, key: TrialKey, failure: Failure) -> Sequence[TrialKey]:
        """Notes a trial that failed for good; returns those that differ from it in the seed only.

        They are returned once several of them failed with the same exception in the same line and none has
        worked.
        """
        if failure.cause is not Cause.ERROR:
            return ()
        kind = self._kind(key)
        alike = self._failed[(kind, signature(failure))]
        alike.append(key)
        if len(alike) < ALIKE:
            return ()
        siblings = [each for each in self._trials if self._kind(each) == kind]
        return () if self._worked & set(siblings) else [each for each in siblings if each not in alike]

    def why(self, key: TrialKey, failure: Failure) -> str:
        """Returns the message of what is held back because of a trial."""
        seeds = sorted(
            self._trials[each].seed for each in self._failed[(self._kind(key), signature(failure))]
        )
        first = ", ".join(map(str, seeds[:-1]))
        return f"not tried: seeds {first} and {seeds[-1]} failed the same way ({failure.message})"

    def _kind(self, key: TrialKey) -> str:
        """Returns what a trial is but for its seed: its config, or its family on what kinds of networks."""
        if key not in self._kinds:
            trial = self._trials[key]
            what = (trial.stage, trial.workload, trial.family, trial.config, trial.parameters)
            parents = [self._kind(parent) if parent in self._trials else parent for parent in trial.parents]
            text = json.dumps([what, trial.draw, parents], sort_keys=True, default=str)
            self._kinds[key] = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return self._kinds[key]


def signature(failure: Failure) -> str:
    """Returns what two failures have in common when they are one fault: exception and innermost line."""
    frames = [line.strip() for line in failure.traceback.splitlines() if line.lstrip().startswith("File ")]
    return f"{failure.message.split(':')[0]} {frames[-1] if frames else ''}"
