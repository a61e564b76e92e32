"""A study of ten thousand trials: its pages stay light, and say so when they are still being read."""

from __future__ import annotations

import re

import pytest

from benchmarks.load_page import pages
from benchmarks.load_stores import finish, record, study_file
from tests.street.orch import Orch
from tests.unit.dashboards.visitor import visited

HEAVIEST = 150_000  # bytes of a page


@pytest.fixture(scope="module")
def orch(tmp_path_factory: pytest.TempPathFactory) -> Orch:
    folder = tmp_path_factory.mktemp("large")
    store = str(folder / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.app.run.build_executor", lambda *given, **named: None)
        record(store, [str(study_file(folder, "big", 100, 20, 5))])
    finish(store, ["big"], rows=3, undone=9000, each=1000)
    return Orch(directory=folder)


@pytest.mark.slow
def test_pages_stay_light(orch: Orch) -> None:
    with visited(orch, workload_modules=("benchmarks",)) as ask:
        first = ask("/studies/big")
        assert first.status == 200
        for path in pages(orch.directory / "store", "big"):
            answer = ask.whole(path)
            assert answer.status == 200, (path, answer.words[:300])
            if "/as/" not in path:  # a whole table is as long as it is
                assert len(answer.body) < HEAVIEST, (path, len(answer.body))
        overview = ask.whole("/studies/big")
        assert "of 10 000 results" in overview.words
        assert len(re.findall(r'class="sq s-[a-z]+" href', overview.text)) <= 400
        second = ask.whole("/studies/big?page=2")
        assert "81 to 160 of 2 000" in second.words
