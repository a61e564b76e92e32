"""Whether cells are what a paper trained: the values that `published.matches` names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.model.study import Published, Study
from orchestrator.study.config import RECIPE
from orchestrator.study.expand import expand
from workloads.api import Spec

_NOTHING: Final = object()


def differences(study: Study, spec: Spec, published: Published) -> dict[str, str]:
    """Returns cell -> what keeps it from being compared with the paper; "" where everything matches.

    Args:
        study: With the patches of its submission.
        spec: Its workload.
        published: Says which values must hold. `recipe` is the study's recipe; every other path is
            looked up in the cell's config, defaults included.

    Raises:
        StudyError: Configs that the workload does not take.
    """
    recipe = study.patches.get(RECIPE, study.config.get(RECIPE)) if spec.recipes else None
    found: dict[str, str] = {}
    for cell in expand(study, spec):
        told = []
        for path, allowed in published.matches.items():
            got = recipe if path == RECIPE and spec.recipes else _at(cell.config, path)
            if got not in allowed:
                told.append(f"{path} is {_text(got)}, not {' or '.join(map(_text, allowed))}")
        found[cell.name] = "; ".join(told)
    return found


def _at(config: Any, path: str) -> Any:
    for step in path.split("."):
        config = config.get(step, _NOTHING) if isinstance(config, Mapping) else _NOTHING
    return config


def _text(value: Any) -> str:
    return "not set" if value is None or value is _NOTHING else str(value)
