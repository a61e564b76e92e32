"""What is made of names and values before MLflow sees them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_tag_name

from orchestrator.model.mirror import MirrorMetric, MirrorRun
from orchestrator.tracking import content

RUN = MirrorRun(study="s", key="a|s0", kind="training", name="a s0", params={"a": "1"})


@given(st.text(min_size=1, max_size=400))
def test_every_name_is_one_that_mlflow_takes(text: str) -> None:
    name = content.safe_name(text)
    _validate_metric_name(name)
    _validate_tag_name(name)
    assert len(name) <= content.NAME_LIMIT


@pytest.mark.parametrize("name", ["test_error", "train/loss", "network/flops", "orch.kind", "m/by layer"])
def test_good_names_stay(name: str) -> None:
    assert content.safe_name(name) == name


@given(st.text(max_size=50), st.integers(1, 40))
def test_cut_text_fits_and_begins_alike(text: str, limit: int) -> None:
    shown = content.cut(text, limit)
    assert len(shown) <= limit
    assert text.startswith(shown.removesuffix("…"))
    assert shown == text or len(text) > limit


def test_a_table_is_valid_json_whatever_it_holds() -> None:
    text = content.table_text({"x": [1.5, math.nan, -math.inf, None], "y": ["–", True, 2, {"z": 1}]})
    table = json.loads(text, parse_constant=pytest.fail)
    assert table["columns"] == ["x", "y"]
    assert table["data"] == [[1.5, "–"], ["nan", True], ["-inf", 2], [None, "{'z': 1}"]]


def test_a_digest_follows_everything_shown() -> None:
    metric = MirrorMetric(name="m", value=1.0, step=0, timestamp_ms=0)
    changed = [
        replace(RUN, status="FAILED"),
        replace(RUN, tags={"t": "1"}),
        replace(RUN, params={"a": "2"}),
        replace(RUN, metrics=[metric]),
        replace(RUN, metrics=[replace(metric, value=math.nan)]),
        replace(RUN, texts={"a.txt": "x"}),
        replace(RUN, tables={"a.json": {"x": [1]}}),
        replace(RUN, end_ms=7),
    ]
    digests = [content.tags(run)[content.DIGEST_TAG] for run in [RUN, *changed]]
    assert len(set(digests)) == len(digests)
    again = content.tags(replace(RUN, run_id="f" * 32), parent_id="e" * 32)
    assert again[content.DIGEST_TAG] == digests[0], "ids are MLflow's, not part of what is shown"


def test_kinds_do_not_share_keys() -> None:
    assert content.key_hash(RUN) != content.key_hash(replace(RUN, kind="cell"))
