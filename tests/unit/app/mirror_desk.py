"""A submitted study in a real registry, and what a driver does to it, for tests of the mirror."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from orchestrator.app.mirror import Mirror
from orchestrator.app.mirror_items import closing_items, mirror_items, opening_items
from orchestrator.model.plan import Assignment, Cell, Dimension, Plan, State, Trial, TrialKey
from orchestrator.model.result import PartRef, ResultRow
from orchestrator.model.run import Cause, Failure, Outcome, Owner, Started, Submission
from orchestrator.registry.registry import open_registry
from orchestrator.store.results import ParquetResults
from orchestrator.tracking.mlflow import MlflowTracker

STUDY = "dfn"
OWNER = Owner(driver="d1", host="here", pid=1)
DEPTHS, SEEDS, MEMBERS = ("14", "26"), (0, 1, 2), ("LLL", "RRR")


class CountedResults:
    """The real store; counts its reads."""

    def __init__(self, root: Path) -> None:
        self._store = ParquetResults(root)
        self.written: list[PartRef] = []
        self.reads = 0

    def write(self, rows: Sequence[ResultRow]) -> PartRef:
        self.written.append(self._store.write(rows))
        return self.written[-1]

    def read(self, parts: Sequence[PartRef], keys: Collection[TrialKey] | None = None) -> Sequence[ResultRow]:
        self.reads += 1
        return self._store.read(parts, keys)

    def compact(self, parts: Sequence[PartRef]) -> PartRef:
        return self._store.compact(parts)

    def sweep(
        self, listed: Sequence[PartRef], *, older_than_s: float, dry: bool = False
    ) -> Sequence[tuple[str, int]]:
        return self._store.sweep(listed, older_than_s=older_than_s, dry=dry)


def key(text: str) -> TrialKey:
    return TrialKey(text.ljust(32, "0"))


GATHERS = frozenset(key(f"g{seed}") for seed in SEEDS)


def plan() -> Plan:
    """Two depths x three seeds, two members of each net, and one gather a seed over both depths."""
    trials: dict[TrialKey, Trial] = {}
    assignments = []

    def add(trial: Trial, cell: str, evaluation: str, depth: str, member: str) -> None:
        trials[trial.key] = trial
        labels = {"depth": depth, "member": member}
        assignments.append(
            Assignment(
                study=STUDY,
                cell=cell,
                evaluation=evaluation,
                labels=labels,
                seed=trial.seed,
                trial=trial.key,
            )
        )

    for seed in SEEDS:
        for depth in DEPTHS:
            parent = key(f"t{depth}{seed}")
            config = {"network": {"depth": int(depth)}}
            training = Trial(key=parent, stage="train", workload="toy", config=config, seed=seed)
            add(training, f"depth={depth}", "test", depth, "–")
            for member in MEMBERS:
                condition = Trial(
                    key=key(f"e{depth}{member}{seed}"),
                    stage="evaluate",
                    workload="toy",
                    family="members",
                    parameters={"member": member},
                    seed=seed,
                    parents=(parent,),
                )
                add(condition, f"depth={depth}", "members", depth, member)
        vote = Trial(
            key=key(f"g{seed}"),
            stage="evaluate",
            workload="toy",
            family="vote",
            seed=seed,
            parents=tuple(key(f"t{depth}{seed}") for depth in DEPTHS),
            gathers=True,
        )
        add(vote, "", "vote", "Overall", "–")
    cells = [
        Cell(index=i, name=f"depth={depth}", labels={"depth": depth}, config={})
        for i, depth in enumerate(DEPTHS)
    ]
    dimensions = [
        Dimension(name="depth", labels=(*DEPTHS, "Overall")),
        Dimension(name="member", labels=(*MEMBERS, "–")),
    ]
    return Plan(study=STUDY, cells=cells, dimensions=dimensions, trials=trials, assignments=assignments)


def error_of(depth: str, seed: int) -> float:
    return 0.01 * int(depth) + 0.001 * seed**2


def rows_of(trial: Trial) -> list[ResultRow]:
    if trial.stage == "train":
        depth = trial.key[1:3]
        error = error_of(depth, trial.seed)
        curve = [
            ResultRow(
                trial=trial.key,
                evaluation="train",
                seed=trial.seed,
                step=step,
                metric="loss",
                value=1.0 / (step + 1),
            )
            for step in range(4)
        ]
        return [
            *curve,
            ResultRow(trial=trial.key, evaluation="test", seed=trial.seed, metric="test_error", value=error),
            ResultRow(trial=trial.key, evaluation="network", seed=trial.seed, metric="parameters", value=9.0),
        ]
    value = 0.5 if trial.family == "vote" else 0.25
    return [
        ResultRow(trial=trial.key, evaluation=trial.family, seed=trial.seed, metric="test_error", value=value)
    ]


class Desk:
    """A store with a submitted study, and what a driver does to it."""

    def __init__(self, root: Path, *, submit: bool = True) -> None:
        self.root = root
        self.url = f"sqlite:///{root}/registry.db"
        self.database = root / "mlflow.db"
        self.uri = f"sqlite:///{self.database}"
        self.registry = open_registry(self.url)
        self.results = CountedResults(root)
        self.lock = root / "mirror.lock"
        self.plan = plan()
        if submit:
            self.submission = self.submit()
            self.lease = self.registry.acquire(STUDY, OWNER, 600.0)
            self.commit(opening_items(self.submission))

    def submit(self) -> Submission:
        document = {"title": "Fusion", "tables": {"main": {"metric": "test_error", "best": "min"}}}
        new = Submission(id="", study=STUDY, document=document, created_at=1_700_000_000.0, commit="abc")
        return self.registry.record(new, self.plan)

    def commit(self, items: Sequence[tuple[str, str, str]]) -> None:
        self.registry.commit(self.lease, mirror=items)

    def run(self, *trials: Trial, state: State = State.SUCCEEDED) -> None:
        """Claims and finishes trials, and asks for their runs, as the driver does."""
        claims = self.registry.claim(self.lease, [trial.key for trial in trials])
        assert len(claims) == len(trials)
        rows = [row for claim in claims for row in rows_of(claim.trial)] if state.has_result else []
        failure = None if state.has_result else Failure(cause=Cause.ERROR, message="boom", traceback="Trace")
        outcomes = [
            Outcome(trial=claim.trial.key, epoch=claim.epoch, state=state, failure=failure)
            for claim in claims
        ]
        started = [
            Started(trial=claim.trial.key, epoch=claim.epoch, worker={"host": "w1"}) for claim in claims
        ]
        self.registry.commit(
            self.lease,
            started=started,
            outcomes=outcomes,
            part=self.results.write(rows) if rows else None,
            mirror=mirror_items(self.plan.assignments, outcomes, gathers=GATHERS),
        )

    def run_all(self) -> None:
        everything = list(self.plan.trials.values())
        for stage in ("train", "evaluate"):
            self.run(*(trial for trial in everything if trial.stage == stage))

    def close_submission(self) -> None:
        self.commit(closing_items(self.submission, self.plan.assignments, gathers=GATHERS))

    def mirror(self, **changes: Any) -> Mirror:
        options: dict[str, Any] = {
            "registry": lambda: open_registry(self.url),
            "results": self.results,
            "tracker": lambda: MlflowTracker(self.uri, direct=True),
            "lock": self.lock,
            "round_s": 0.05,
            "back_off_s": (0.05,),
        }
        return Mirror(**{**options, **changes})

    def runs(self, kind: str = "") -> list[Any]:
        if not self.database.exists():
            return []
        client: Any = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name(f"orch/{STUDY}")
        found = client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []
        return [run for run in found if kind in ("", run.data.tags["orch.kind"])]
