"""A store's metrics in the Prometheus text format: the page serves them, dashboards and alerts read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator import __version__
from orchestrator.app.session import Session, open_session
from orchestrator.errors import OrchError
from orchestrator.model.measure import Measures, StudyMeasures
from orchestrator.model.plan import State
from orchestrator.settings import Settings

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# Name -> type and help, in the order in which they are written. Dashboards and alerts know these names.
METRICS: Final[Mapping[str, tuple[str, str]]] = {
    "orch_up": ("gauge", "1 when the registry answered, else 0 and nothing follows."),
    "orch_info": ("gauge", "Always 1; the version as a label."),
    "orch_trials": ("gauge", "Trials that a study needs, by stage and state."),
    "orch_trial_failures_total": ("counter", "Attempts that ended without a result, by cause."),
    "orch_trial_seconds": ("summary", "How long attempts with a result took, in seconds, by stage."),
    "orch_submission_timestamp_seconds": ("gauge", "When a study was submitted last."),
    "orch_last_result_timestamp_seconds": ("gauge", "When a study got its newest result."),
    "orch_lease_age_seconds": ("gauge", "How long a live driver has driven a study; none without one."),
    "orch_lease_remaining_seconds": ("gauge", "When a driver is given up unless it renews its lease."),
    "orch_outbox_items": ("gauge", "What MLflow has yet to show of a study."),
    "orch_store_parts": ("gauge", "Listed files of results."),
    "orch_store_part_bytes": ("gauge", "Their size."),
    "orch_store_checkpoints": ("gauge", "Recorded checkpoints."),
    "orch_store_checkpoint_bytes": ("gauge", "Their size."),
    "orch_store_free_bytes": ("gauge", "Free space on the disk of the store; none for a store in a bucket."),
}
_STAGES = ("train", "evaluate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One number of a metric.

    Attributes:
        metric: The metric's name in METRICS.
        value: The number.
        labels: Label -> value, any text.
        suffix: "_sum" or "_count" of a summary, else "".
    """

    metric: str
    value: float
    labels: Mapping[str, str]
    suffix: str = ""


# What is told of a store that does not answer.
DOWN: Final = (Sample(metric="orch_up", value=0, labels={}),)


def exposition(settings: Settings) -> str:
    """Returns the metrics of the configured store; a store that does not answer gives `orch_up 0` alone."""
    try:
        with open_session(settings) as session:
            return text(samples(session))
    except OrchError:
        return text(DOWN)


def samples(session: Session) -> list[Sample]:
    """Returns the metrics of an open store.

    Raises:
        TargetError: The registry does not answer.
    """
    measures = session.registry.measures()
    found = [
        Sample(metric="orch_up", value=1, labels={}),
        Sample(metric="orch_info", value=1, labels={"version": __version__}),
    ]
    for study, measured in measures.studies.items():
        found += _of_study(study, measured)
    return [*found, *_of_store(session, measures)]


def text(found: Iterable[Sample]) -> str:
    """Returns samples as a scraper reads them: each metric's help and type, then its samples."""
    lines = []
    by_name: dict[str, list[Sample]] = {name: [] for name in METRICS}
    for sample in found:
        by_name[sample.metric].append(sample)
    for name, held in by_name.items():
        kind, help_text = METRICS[name]
        if held:
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
        for sample in held:
            labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels.items())
            lines.append(f"{name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {sample.value!r}")
    return "\n".join(lines) + "\n"


def _of_study(study: str, measured: StudyMeasures) -> list[Sample]:
    own = {"study": study}
    stages = [stage for stage in _STAGES if any(key[0] == stage for key in measured.trials)]
    # Every state of a stage, so that a series does not end when its last trial changes.
    found = [
        Sample(
            metric="orch_trials",
            value=measured.trials.get((stage, state), 0),
            labels={**own, "stage": stage, "state": state.value},
        )
        for stage in stages
        for state in State
    ]
    found += [
        Sample(metric="orch_trial_failures_total", value=number, labels={**own, "cause": cause})
        for cause, number in sorted(measured.failures.items())
    ]
    for stage in stages:
        number, seconds = measured.results.get(stage, (0, 0.0))
        labels = {**own, "stage": stage}
        found.append(Sample(metric="orch_trial_seconds", suffix="_sum", value=seconds, labels=labels))
        found.append(Sample(metric="orch_trial_seconds", suffix="_count", value=number, labels=labels))
    single = {
        "orch_submission_timestamp_seconds": measured.submitted_at,
        "orch_last_result_timestamp_seconds": measured.result_at,
        "orch_lease_age_seconds": measured.lease_age_s,
        "orch_lease_remaining_seconds": measured.lease_left_s,
        "orch_outbox_items": measured.outbox,
    }
    return found + [
        Sample(metric=name, value=value, labels=own) for name, value in single.items() if value is not None
    ]


def _of_store(session: Session, measures: Measures) -> list[Sample]:
    values: dict[str, float] = {
        "orch_store_parts": measures.parts[0],
        "orch_store_part_bytes": measures.parts[1],
        "orch_store_checkpoints": measures.checkpoints[0],
        "orch_store_checkpoint_bytes": measures.checkpoints[1],
    }
    if (free := session.stores.free_bytes()) is not None:
        values["orch_store_free_bytes"] = free
    return [Sample(metric=name, value=value, labels={}) for name, value in values.items()]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
