"""A report as HTML: one file, no script, nothing loaded; all text escaped by the template engine."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.app.report import Report
    from orchestrator.model.run import Submission


def report_html(report: Report) -> str:
    """Returns a report as an HTML document."""
    from jinja2 import Environment, StrictUndefined

    from orchestrator.study.document import yaml_text

    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Callable[..., str]] = {
        "asked": _asked,
        "base64": lambda text: base64.b64encode(text.encode()).decode(),
        "interval": lambda pair: "–" if pair is None else f"[{_number(pair[0])}, {_number(pair[1])}]",
        "labels": lambda where: ", ".join(f"{name}={label}" for name, label in where) or "–",
        "moment": lambda seconds: f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC",
        "number": _number,
        "selection": _selection,
    }
    engine.filters.update(filters)
    template = engine.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    counts = [report.status.trainings, report.status.evaluations]
    return template.render(
        report=report,
        done=sum(number for each in counts for state, number in each.items() if state.has_result),
        planned=sum(sum(each.values()) for each in counts),
        document=yaml_text(report.study.document),
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _selection(where: Iterable[tuple[str, Sequence[str]]]) -> str:
    return ", ".join(f"{name} is {' or '.join(labels)}" for name, labels in where)


def _asked(submission: Submission) -> str:
    told = [f"--set {name}={value}" for name, value in submission.patches.items()]
    told += [f"--seeds {','.join(map(str, submission.seeds))}"] if submission.seeds is not None else []
    told += [f"--cells {each}" for each in submission.cells]
    return " ".join(told) or "all of it"
