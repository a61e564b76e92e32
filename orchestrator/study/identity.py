"""Identity of a trial: what makes two computations the same one (design, section 4).

A key is blake2b over canonical JSON. Names of studies, factors and evaluations, resources and
logging are not in it, so a baseline trained once serves every study that names it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Final

from orchestrator.model.plan import TrialKey
from orchestrator.model.search import Search
from workloads.api import Spec, from_plain, to_plain

SCHEMA_VERSION: Final = 1
_EXACT: Final = 2.0**53  # integers up to here are floats without loss

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Returns plain data as text that equal values share: sorted keys, 1.0 as 1, -0.0 as 0.

    Raises:
        ValueError: NaN or an infinity.
    """
    return _ENCODER.encode(_level(value))


def _level(value: Any) -> Any:
    if isinstance(value, float):
        if value.is_integer() and abs(value) < _EXACT:
            return int(value)
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): _level(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_level(item) for item in value]
    return value


def same_value_text(value: Any) -> str:
    """Returns text that equal values share, for any plain value, NaN and infinities included."""
    try:
        return canonical_json(value)
    except ValueError:
        return repr(value)


def training_key(spec: Spec, config: Any, seed: int) -> TrialKey:
    """Returns the identity of training one network.

    Args:
        spec: The workload.
        config: An instance of `spec.config`, or plain data as `workloads.api.to_plain` writes it.
        seed: The seed.
    """
    instance = config if is_dataclass(config) else from_plain(spec.config, config)
    canonical = spec.canonical(instance)
    text = canonical_json(to_plain(canonical, defaults=False))
    return training_key_of(spec, text, spec.data_digest(canonical), seed)


def training_key_of(
    spec: Spec, config_json: str, data_digest: str, seed: int, parents: Sequence[TrialKey] = ()
) -> TrialKey:
    """Returns the same from the canonical config's JSON without defaults: what planning remembers.

    Args:
        spec: The workload.
        config_json: As text.
        data_digest: Of the data.
        seed: The seed.
        parents: The search that decides the rest of the config, if any.
    """
    return _digest(
        f'{{"config":{config_json},"data":{_text(data_digest)},"parents":{_keys(parents)},'
        f'"schema":{SCHEMA_VERSION},'
        f'"seed":{seed},"stage":"train","workload":{_workload(spec)}}}'
    )


def condition_key(
    spec: Spec,
    family: str,
    parameters: Any,
    draw: int,
    seed: int,
    parents: Sequence[TrialKey],
) -> TrialKey:
    """Returns the identity of one test-time condition on trained networks.

    Args:
        spec: The workload.
        family: Name of the family.
        parameters: An instance of the family's parameters, or plain data.
        draw: Number of the random instance.
        seed: The seed of the networks' training.
        parents: Keys of the trainings, in the order of the gathered factor's levels.
    """
    family_type = spec.families[family].parameters
    instance = parameters if is_dataclass(parameters) else from_plain(family_type, parameters)
    return condition_key_of(
        spec, family, canonical_json(to_plain(instance, defaults=False)), draw, seed, parents
    )


def condition_key_of(
    spec: Spec, family: str, parameters_json: str, draw: int, seed: int, parents: Sequence[TrialKey]
) -> TrialKey:
    """Returns the same from the parameters' JSON without defaults."""
    return _digest(
        f'{{"condition":{{"draw":{draw},"family":{_text(family)},"parameters":{parameters_json}}},'
        f'"parents":{_keys(parents)},"schema":{SCHEMA_VERSION},'
        f'"seed":{seed},"stage":"evaluate","workload":{_workload(spec)}}}'
    )


def search_key(spec: Spec, search: Search, bases: Sequence[tuple[str, str]]) -> TrialKey:
    """Returns the identity of a search.

    Args:
        spec: The workload.
        search: As declared.
        bases: What the cells' trainings are, as text, with the digest of their data: which hyperparameters
            they had before it is no part of it.
    """
    texts = ",".join(f"[{identity},{_text(digest)}]" for identity, digest in bases)
    return _digest(
        f'{{"bases":[{texts}],"schema":{SCHEMA_VERSION},"search":{canonical_json(search.plain())},'
        f'"seed":{search.seed},"stage":"search","workload":{_workload(spec)}}}'
    )


def candidate_key(
    spec: Spec, config_json: str, data_digest: str, seed: int, search: TrialKey, *, number: int, position: int
) -> TrialKey:
    """Returns the identity of one training of a candidate.

    Args:
        spec: The workload.
        config_json: The canonical config without defaults, as text.
        data_digest: Of the data.
        seed: Of the candidate.
        search: The search's key.
        number: Of the candidate.
        position: Of the config among those that the search is for.
    """
    return _digest(
        f'{{"candidate":[{number},{position}],"config":{config_json},"data":{_text(data_digest)},'
        f'"parents":{_keys([search])},"schema":{SCHEMA_VERSION},"seed":{seed},"stage":"tune",'
        f'"workload":{_workload(spec)}}}'
    )


def _keys(parents: Sequence[TrialKey]) -> str:
    return json.dumps(list(parents), separators=(",", ":"))


def _workload(spec: Spec) -> str:
    return f"[{_text(spec.name)},{spec.version}]"


@functools.lru_cache(maxsize=1024)
def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _digest(text: str) -> TrialKey:
    return TrialKey(hashlib.blake2b(text.encode(), digest_size=16).hexdigest())
