"""What the searches of a recorded study have come to."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orchestrator.app.mirror_facts import read_rows
from orchestrator.app.session import Session
from orchestrator.driver.candidates import candidate_of, metric_curve
from orchestrator.model.plan import State, Trial, TrialKey
from orchestrator.model.run import made_by
from orchestrator.model.search import EVALUATION, Tuned
from orchestrator.model.study import Study


def tuned(session: Session, study: Study) -> list[Tuned]:
    """Returns what the searches of a recorded study have come to, nothing for a study without any."""
    search = study.search
    if search is None:
        return []
    registry = session.registry
    parents = {key: trial for key, trial in registry.trials(study.name).items() if trial.stage == "search"}
    trials = registry.candidates(list(parents))
    statuses = registry.statuses([*parents, *trials])
    curves = candidate_curves(session, list(trials), search.metric)
    found = []
    for key, parent in parents.items():
        ended = statuses[key].state is State.SUCCEEDED
        made = made_by(registry.attempts(key))[EVALUATION] if ended else {}
        own = {each: trial for each, trial in trials.items() if trial.parents[0] == key}
        groups = [tuple(map(TrialKey, each)) for each in made.get("tried", ())] or _by_number(own)
        candidates = tuple(
            candidate_of(
                number,
                own[keys[0]].parameters["values"],
                keys,
                [statuses[each] for each in keys],
                [curves.get(each, {}) for each in keys],
                points=made["points"][number] if made else None,
                metric=search.metric,
            )
            for number, keys in enumerate(groups)
            if own.keys() >= set(keys)  # of a bundle that was written while the search ran, some may lack
        )
        found.append(
            Tuned(
                key=key,
                label=parent.label.removeprefix("search for "),
                search=search,
                candidates=candidates,
                chosen=next((each for each in candidates if made and each.number == made["candidate"]), None),
                importance=made.get("importance", {}),
                state=statuses[key].state,
            )
        )
    return found


def _by_number(trials: Mapping[TrialKey, Trial]) -> list[tuple[TrialKey, ...]]:
    numbers: dict[int, list[TrialKey]] = {}
    for key, trial in trials.items():
        numbers.setdefault(trial.draw, []).append(key)
    return [tuple(numbers[number]) for number in sorted(numbers)]


def candidate_curves(
    session: Session, keys: Collection[TrialKey], metric: str
) -> dict[TrialKey, dict[int, float]]:
    """Returns what these trainings reported of a metric: step -> value."""
    rows = read_rows(session.registry, session.stores.results, list(keys))
    return {key: metric_curve(own, metric) for key, own in rows.items()}
