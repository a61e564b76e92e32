"""Studies that travel: exported, taken in elsewhere, and refused when somebody changed them."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.street.orch import Orch

STUDY = """
api_version: 1
study: made
workload: tests.toy_workload:SPEC
config: {steps: 2}
title: Bundled
design:
  type: factorial
  factors: {x: {path: x, levels: [1, 2, 3]}}
  overrides:
    - {when: {x: "3"}, set: {fault: FAULT, fault_at: 1, fault_seed: 1}}
seeds: 3
evaluate:
  scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}
claims:
  larger:
    says: Scaled by 3 the error is higher than by 2
    from: [scaled]
    metric: test_error
    where: {x: ["1", "2"]}
    higher: {of: {by: "3"}, than: {by: "2"}}
tables:
  errors: {from: [test, scaled], rows: x, columns: by, metric: test_error, best: min, baseline: {by: one}}
plots:
  errors: {kind: lines, x: x, from: [test, scaled], series: by, metric: test_error}
"""
FORMS = ("md", "csv", "latex", "html", "json")


def stores(tmp_path: Path, fault: str = "diverge") -> tuple[Orch, Orch]:
    """Returns two command lines, the first with a study that has run."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here, there = Orch(directory=tmp_path / "a"), Orch(directory=tmp_path / "b")
    here("submit", here.study(STUDY.replace("FAULT", fault)), code=None)
    return here, there


@pytest.mark.parametrize(
    ("name", "fault"), [pytest.param("bundle", "diverge", marks=pytest.mark.slow), ("bundle.zip", "raise")]
)
def test_tables_are_the_same_elsewhere(tmp_path: Path, name: str, fault: str) -> None:
    here, there = stores(tmp_path, fault)
    bundle = tmp_path / name
    written = here("export", "made", "--to", bundle, "--json").json
    taken = there("import", bundle, "--json").json
    assert taken["sha256"] == written["sha256"]
    assert (taken["results"], taken["known"], taken["different"]) == (written["results"], 0, [])
    assert taken["tables"] == len(FORMS)
    for form in FORMS:
        assert there("table", "made", "-f", form).out == here("table", "made", "-f", form).out
    assert there("claims", "made", "--json").json == here("claims", "made", "--json").json
    states = [orch("show", "made", "--json").json["trials"] for orch in (here, there)]
    assert states[0] == states[1]
    assert there("fsck", "--json").json["damage"] == []
    # Where a number came from has come along, and once more is nothing more.
    entry = there("trace", "made", "errors", "--row", "1", "--column", "one", "--json").json["entries"][0]
    made = entry["sources"][0]["provenance"]
    assert made["imported"] == written["sha256"][:16]
    assert there("reproduce", entry["sources"][0]["trial"], "--check", "--json").json["equal"]
    again = there("import", bundle, "--json").json
    assert (again["results"], again["known"]) == (0, written["results"])


def test_what_was_imported_is_not_trained_again(tmp_path: Path) -> None:
    here, there = stores(tmp_path)
    here("export", "made", "--to", tmp_path / "bundle")
    there("import", tmp_path / "bundle")
    more = there.study(STUDY.replace("FAULT", "diverge").replace("seeds: 3", "seeds: 4"))
    found = there("submit", more, "--json").json
    assert found["trained"] == 3  # one seed of three cells


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    here, there = stores(tmp_path)
    bundle = tmp_path / "bundle"
    here("export", "made", "--to", bundle)

    def refused() -> str:
        return there("import", bundle, code=6).err.replace("\n", " ")

    for name in ("study.json", "plan.json", "results.parquet", "errors.md", "errors.svg", "code-*.zip"):
        path = next(bundle.rglob(name))
        inside, content = path.relative_to(bundle).as_posix(), path.read_bytes()
        changed = bytearray(content)
        changed[len(content) // 2] ^= 1
        path.write_bytes(changed)
        assert f"{inside} is not what its digest says; nothing was taken" in refused()
        path.unlink()
        assert f"{inside} is missing" in refused()
        path.write_bytes(content)
    assert not (there.directory / "store").exists()  # what is refused makes no store
    assert "no store" in there("list", code=3).err
    there("import", bundle)


def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    here, there = stores(tmp_path)
    bundle = tmp_path / "bundle"
    here("export", "made", "--to", bundle)
    assert "exists already" in here("export", "made", "--to", bundle, code=2).err
    assert "no study" in here("export", "other", "--to", tmp_path / "x", code=3).err
    (tmp_path / "empty").mkdir()
    assert "has no manifest.json" in there("import", tmp_path / "empty", code=2).err.replace("\n", " ")
    assert "is no bundle" in there("import", bundle / "study.json", code=2).err.replace("\n", " ")
    (bundle / "more.txt").write_text("x")
    assert "more.txt is not listed" in there("import", bundle, code=6).err.replace("\n", " ")
    (bundle / "more.txt").unlink()
    (bundle / "link").symlink_to("/etc/passwd")
    assert "link is not listed" in there("import", bundle, code=6).err.replace("\n", " ")
    (bundle / "link").unlink()
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "version": 2}))
    assert "reads 'orch-bundle' version 1" in there("import", bundle, code=2).err.replace("\n", " ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "bundle", "empty"]


def test_names_that_lead_out_of_a_zip_are_refused(tmp_path: Path) -> None:
    here, there = stores(tmp_path)
    here("export", "made", "--to", tmp_path / "bundle.zip")
    for number, name in enumerate(("../outside", "/etc/outside", "a/../../outside", "C:\\outside")):
        bad = tmp_path / f"bad{number}.zip"
        shutil.copyfile(tmp_path / "bundle.zip", bad)
        with zipfile.ZipFile(bad, "a") as archive:
            archive.writestr(zipfile.ZipInfo(name), "x")
        said = there("import", bad, code=6).err.replace("\n", " ")
        assert "is no name of a file within a bundle" in said
    assert not list(tmp_path.rglob("outside"))


def test_another_study_of_that_name_is_not_overwritten(tmp_path: Path) -> None:
    here, there = stores(tmp_path)
    here("export", "made", "--to", tmp_path / "bundle")
    there("submit", there.study(STUDY.replace("FAULT", "diverge").replace("seeds: 3", "seeds: 2")))
    before = there("table", "made", "-f", "md").out
    assert "another study 'made'" in there("import", tmp_path / "bundle", code=2).err.replace("\n", " ")
    assert there("table", "made", "-f", "md").out == before
    shutil.rmtree(there.directory / "store")
    there("import", tmp_path / "bundle")
