"""Families of conditions on the columns of fractal networks, as known without torch.

Source: Larsson et al. 2017, sections 3.1 and 4, Table 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from workloads.api import Family
from workloads.ranges import is_count, one_of, require

Statistics: TypeAlias = Literal["as_trained", "re_estimated"]
_STATISTICS: Final = ("as_trained", "re_estimated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Every column of a fractal network alone, and the whole network; of a `fractal_column` that column.

    `test_loss` and `test_error` are of the test split, `train_loss` and `train_error` of the training split,
    not augmented; `depth` counts convolutions.

    Source: Larsson et al. 2017, Table 1 (deepest column alone) and Table 4.

    Attributes:
        statistics: Of batch normalisation: "as_trained", the training's running statistics, gathered under
            all sub-networks that drop-path drew; "re_estimated", those of this very column on the
            training split.
    """

    statistics: Statistics = "as_trained"

    def __post_init__(self) -> None:
        """Checks the word."""
        one_of("statistics", self.statistics, _STATISTICS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anytime:
    """What each column costs and how well it does: answers of growing latency.

    `flops` are of one image, as `orch model` counts them. `latency_s` is the median time of a forward pass of
    one mini-batch, after a few that are not counted: a property of the machine too, never bit-identical.

    Source: Larsson et al. 2017, abstract and section 3.1 (no table).

    Attributes:
        statistics: As `Columns`.
        batch_size: Images of a timed mini-batch.
        repeats: Timed forward passes.
    """

    statistics: Statistics = "as_trained"
    batch_size: int = 1
    repeats: int = 21

    def __post_init__(self) -> None:
        """Checks the word and the counts."""
        one_of("statistics", self.statistics, _STATISTICS)
        for name in ("batch_size", "repeats"):
            value = getattr(self, name)
            require(is_count(value) and value >= 1, name, value, "a whole number of at least 1")


def _without_columns(config: Any, parameters: Any) -> str | None:
    if hasattr(config.network, "column_names"):
        return None
    return f"needs a fractal network, got {config.network.name}, which has no columns"


COLUMNS: Final[dict[str, Family]] = {
    "columns": Family(
        parameters=Columns,
        metrics=("test_loss", "test_error", "train_loss", "train_error", "depth"),
        coords=("column",),
        unsuited=_without_columns,
    ),
    "anytime": Family(
        parameters=Anytime,
        metrics=("test_error", "depth", "flops", "latency_s"),
        coords=("column",),
        unsuited=_without_columns,
    ),
}
