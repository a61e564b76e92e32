"""Where a store may be, and what of it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.model.place import checked, is_uri, masked
from orchestrator.settings import load_settings


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("ORCH_STORE", raising=False)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (".orch", ".orch"),
        ("a b/c#d?e", "a b/c#d?e"),
        ("s3:/not-a-uri", "s3:/not-a-uri"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/pre/fix/", "s3://bucket/pre/fix"),
        ("s3://bucket/x?region=eu-central-1", "s3://bucket/x?region=eu-central-1"),
        ("gs://bucket/x", "gs://bucket/x"),
        ("file:///tmp/a%20b", "/tmp/a b"),
    ],
)
def test_a_place_is_kept(given: str, kept: str) -> None:
    assert checked(given) == kept
    assert load_settings({"store": given}).store == kept
    assert is_uri(kept) == kept.startswith(("s3://", "gs://"))


def test_a_path_is_a_place() -> None:
    assert load_settings({"store": Path("here") / "store"}).store == "here/store"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "a directory or a URI"),
        ("s3:///prefix", "names a bucket"),
        ("s3://bucket/a/../b", "without '..'"),
        ("s3://bucket/a#b", "without '#'"),
        ("s3://bucket/a?acl=public", "region, scheme, endpoint_override after '?', got acl"),
        ("s3://KEY:canary@bucket/a", "holds no credentials"),
        ("s3://KEY:can/canary@bucket/a", "holds no credentials"),
        ("s3://canary@bucket/a", "holds no credentials"),
        ("s3://bucket/a?secret_key=canary", "holds no credentials"),
        ("s3://bucket/a?region=x&ACCESS_KEY=canary", "holds no credentials"),
        ("abfs://box/a?sas_token=canary", "holds no credentials"),
    ],
)
def test_what_is_no_place_is_refused_without_its_secrets(given: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings({"store": given})
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


def test_secrets_are_masked_wherever_they_stand() -> None:
    text = "s3://KEY:a/b+c@bucket/x?region=r&secret_key=s/t&access_key=k: refused"
    assert masked("s3://bucket/x?region=r") == "s3://bucket/x?region=r"
    shown = masked(text)
    assert "region=r" in shown
    for secret in ("s/t", "=k", "KEY:a"):
        assert secret not in shown
