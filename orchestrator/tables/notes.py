"""What stands below a table: how its numbers came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.model.study import ABSENT, FailWhen, Published, TableSpec
from orchestrator.model.table import Entry
from orchestrator.stats.estimate import SHOWS, Interval
from orchestrator.stats.printed import LEVEL, MARGIN
from orchestrator.tables import numbers
from orchestrator.tables.entries import Sample
from orchestrator.tables.marks import ALPHA

_MOST_MESSAGES = 10


def notes(
    spec: TableSpec,
    samples: Mapping[tuple[int, int], Sample],
    entries: Mapping[tuple[int, int], Entry],
    names: Mapping[tuple[int, int], str],
    *,
    metrics: Sequence[str],
    compared: int,
    unjudged: str,
    draws: int,
    sampling: str = "",
    looks: int = 1,
) -> tuple[str, ...]:
    """Returns the sentences below a table.

    Args:
        spec: The table.
        samples: (row, column) -> what became of its seeds.
        entries: (row, column) -> what is printed.
        names: (row, column) -> the labels of row and column, for messages.
        metrics: Of the table.
        compared: How many entries were compared with the best of their group.
        unjudged: Why entries have no verdict, or "".
        draws: The largest number of draws behind a value.
        sampling: By which rule seeds were added, in words; "" for a fixed number.
        looks: How often the results may have been looked at meanwhile.
    """
    if not samples:
        return ("Nothing is planned that this table selects.",)
    told = [_count(samples.values()), _sampling(sampling, looks), _uncertainty(spec, entries.values())]
    told.append(_units(spec, metrics))
    if draws > 1:
        told.append(f"Values are averaged over {draws} draws within a net first.")
    if spec.average_over:
        told.append(f"Values are averaged over {', '.join(spec.average_over)} within a seed.")
    if any(entry.failures for entry in entries.values()):
        told.append(_fails(spec.fail_when))
    if any(0 < entry.n + entry.failures < entry.planned for entry in entries.values()):
        told.append("n=3/5: 3 of 5 planned seeds have entered so far.")
    if any(entry.best for entry in entries.values()):
        told.append(_best(spec))
    if compared:
        told.append(_close(spec, compared))
    if spec.baseline:
        told.append(_contrasts(spec, entries.values()))
    if spec.published is not None:
        told += _published(spec, spec.published, entries.values(), unjudged)
    return (*(sentence for sentence in told if sentence), *_messages(entries, names))


def _count(samples: Iterable[Sample]) -> str:
    planned = sorted({len(sample.outcomes) for sample in samples})
    if len(planned) > 1:
        return f"n = {planned[0]} to {planned[-1]} seeds."
    return f"n = {planned[0]} {'seed' if planned[0] == 1 else 'seeds'}."


def _sampling(rule: str, looks: int) -> str:
    if not rule:
        return ""
    return (
        f"Seeds were added by a rule: {rule}. Intervals and p hold for all {looks} looks at the results "
        "together (Bonferroni)."
    )


def _uncertainty(spec: TableSpec, entries: Iterable[Entry]) -> str:
    shown = SHOWS[spec.show]
    if shown.interval is not None:
        return _interval(shown.interval, entries)
    if not shown.spread:
        names = {
            "std": f"{spec.std} standard deviation",
            "iqm": "interquartile mean",
            "min": "smallest value",
            "max": "largest value",
        }
        name = names.get(spec.show, spec.show)
        return "Entries are numbers of seeds." if spec.show == "n" else f"Entries: {name} over seeds."
    told = f"±: {spec.std} standard deviation over seeds"
    alone = any(entry.n == 1 and entry.estimate is not None for entry in entries)
    return f"{told}; – where there is one seed." if alone else f"{told}."


def _interval(interval: Interval, entries: Iterable[Entry]) -> str:
    what = "" if interval.of == "mean" else f"Entries: {interval.of} over seeds. "
    told = f"{what}[low, high]: 95 % confidence interval of the {interval.of} over seeds ({interval.method})"
    lacking = any(0 < entry.n < interval.least and entry.estimate is not None for entry in entries)
    if lacking and interval.least > 2:
        return f"{told}; [{ABSENT}] where fewer than {interval.least} seeds have a value, too few for it."
    return f"{told}."


def _units(spec: TableSpec, metrics: Sequence[str]) -> str:
    if spec.show == "n":
        return ""
    scaled = numbers.per_cent(spec, metrics)
    fractions = [metric for metric in metrics if metric not in scaled and numbers.is_fraction(metric)]
    told = []
    if scaled:
        told.append(f"{', '.join(metric for metric in metrics if metric in scaled)} in per cent")
    if fractions:
        told.append(f"{', '.join(fractions)} as {'a fraction' if len(fractions) == 1 else 'fractions'}")
    return f"{'; '.join(told)}." if told else ""


def _fails(fail_when: FailWhen | None) -> str:
    rule = ""
    if fail_when is not None:
        rule = f" or has {fail_when.metric} {fail_when.comparison} {fail_when.threshold:g}"
    return f"A seed fails that diverged{rule}; fail: half or more of the finished seeds failed."


def _best(spec: TableSpec) -> str:
    size = "smallest" if spec.best == "min" else "largest"
    return f"Bold: {size} within {', '.join(spec.within)}." if spec.within else f"Bold: {size}."


def _close(spec: TableSpec, compared: int) -> str:
    return (
        f"Underlined: not distinguishable from the best by its seeds ({_test(spec)}, p > {ALPHA:g} after "
        f"Holm's correction for {_comparisons(compared)})."
    )


def _contrasts(spec: TableSpec, entries: Iterable[Entry]) -> str:
    found = [entry.contrast for entry in entries if entry.contrast is not None]
    tested = sum(each.p is not None for each in found)
    told = [f"vs. {', '.join(spec.baseline.values())}: difference of means over seeds"]
    if "interval" in spec.contrasts:
        method = " (Student's t)" if spec.test == "permutation" else ""
        told.append(f"[low, high] its 95 % confidence interval{method}, not corrected")
    if "p" in spec.contrasts:
        told.append(f"p of the {_test(spec)} after Holm's correction for {_comparisons(tested)}")
    missing = (
        f"; {ABSENT} with fewer than two {'common ' * spec.paired}seeds or where half failed"
        if tested < len(found)
        else ""
    )
    return f"{'; '.join(told)}{missing}."


def _published(spec: TableSpec, published: Published, entries: Iterable[Entry], unjudged: str) -> list[str]:
    found = [entry.printed for entry in entries if entry.printed is not None]
    if not found:
        return [f"{published.label}: no printed value is of an entry here."]
    told = [f"{published.label}: no verdict, since {unjudged}."] if unjudged else []
    judged = [each for each in found if each.verdict]
    if judged:
        margin = f"{MARGIN:g} printed (sample) standard deviations"
        if published.margin is not None:
            points = spec.percent and all(numbers.is_fraction(metric) for metric in spec.metrics)
            size = f"{published.margin * 100:g} points" if points else f"{published.margin:g}"
            margin = f"the study's margin of {size}"
        told.append(
            f"reproduced: the {LEVEL * 100:.0f} % interval of the difference to the printed mean lies within "
            f"{margin}; not reproduced: the difference is larger than that, and its interval excludes 0; "
            "unclear: neither (always with one seed). Each entry is judged by itself."
        )
        if any(each.std is None and each.value is not None for each in judged):
            told.append("Where no standard deviation is printed, that of our seeds stands for it.")
        if any(each.n is None and each.value is not None for each in judged):
            told.append("A printed value that does not say its n counts as one run.")
    return told


def _test(spec: TableSpec) -> str:
    if spec.test == "permutation":
        return "paired permutation test"
    return "paired t test" if spec.paired else "Welch's t test"


def _comparisons(count: int) -> str:
    return f"{count} comparison{'s' * (count != 1)}"


def _messages(entries: Mapping[tuple[int, int], Entry], names: Mapping[tuple[int, int], str]) -> list[str]:
    """Returns one line for each message, with the first entry that it is about."""
    places: dict[str, list[str]] = {}
    for place, entry in entries.items():
        if entry.message:
            kind = "blocked" if entry.status == "blocked" else "error"
            places.setdefault(f"{kind}: {entry.message}", []).append(names[place])
    told = []
    for message, found in list(places.items())[:_MOST_MESSAGES]:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        told.append(f"{found[0]}{more}: {message}")
    if len(places) > _MOST_MESSAGES:
        told.append(f"... and {len(places) - _MOST_MESSAGES} other messages.")
    return told
