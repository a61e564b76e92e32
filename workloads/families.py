"""Families of test-time conditions on classification networks, as known without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from workloads.api import Family
from workloads.column_families import COLUMNS
from workloads.dirac_families import DIRAC
from workloads.lesion_families import LESIONS
from workloads.ranges import require

_PATH: Final = re.compile(r"[LR]{3}")
METRICS: Final = ("test_loss", "test_error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """One member of a weight-shared ensemble alone.

    Source: Zhao et al. 2016, Table 2, rows W/.

    Attributes:
        member: The member's path, such as LRR.
    """

    member: str

    def __post_init__(self) -> None:
        """Checks the path's form."""
        _check_path(self.member)


@dataclass(frozen=True, slots=True, kw_only=True)
class Without:
    """The vote of a weight-shared ensemble without one of its members; nothing is retrained.

    Source: Zhao et al. 2016, Table 3, and "Ensemble-7 w/o retraining" of Figure 5.

    Attributes:
        member: The path that is left out, such as RRR.
    """

    member: str

    def __post_init__(self) -> None:
        """Checks the path's form."""
        _check_path(self.member)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """The vote of several networks that were trained apart.

    Source: Zhao et al. 2016, Table 2, column Overall of rows W/O. The paper does not say how votes
    combine.

    Attributes:
        combine: Mean of the softmax probabilities, or softmax of the mean logits.
    """

    combine: Literal["probabilities", "logits"] = "probabilities"

    def __post_init__(self) -> None:
        """Checks the rule's name."""
        require(
            self.combine in ("probabilities", "logits"), "combine", self.combine, "probabilities or logits"
        )


def _check_path(path: object) -> None:
    fits = isinstance(path, str) and _PATH.fullmatch(path) is not None
    require(fits, "member", path, "a path of three letters L or R, such as LRR")


def _not_a_member(config: Any, parameters: Any) -> str | None:
    network = config.network
    if network.name != "path_ensemble":
        return f"needs network.name path_ensemble, got {network.name}: it has no members"
    if parameters.member not in network.paths:
        return f"member {parameters.member} is not one of the ensemble's ({', '.join(network.paths)})"
    return None


def _nobody_left(config: Any, parameters: Any) -> str | None:
    if (reason := _not_a_member(config, parameters)) is not None:
        return reason
    if len(config.network.paths) == 1:
        return f"member {parameters.member} is the ensemble's only one: nothing would vote"
    return None


def _an_ensemble(config: Any, parameters: Any) -> str | None:
    if config.network.name != "path_ensemble":
        return None
    return "gathers networks of one output each, got path_ensemble, whose members vote already"


FAMILIES: Final[dict[str, Family]] = {
    "members": Family(parameters=Members, metrics=METRICS, unsuited=_not_a_member),
    "without": Family(parameters=Without, metrics=METRICS, unsuited=_nobody_left),
    "vote": Family(parameters=Vote, metrics=METRICS, gathers=True, unsuited=_an_ensemble),
    **LESIONS,
    **DIRAC,
    **COLUMNS,
}
