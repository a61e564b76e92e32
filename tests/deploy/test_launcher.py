"""The files of Ray's cluster launcher: checked with the schema and the code that Ray brings for them."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
from ray.autoscaler._private.util import prepare_config, validate_config

from orchestrator.model.groups import node_groups
from tests.deploy.files import DEPLOY, is_pinned, read

FOLDER = DEPLOY / "ray"
FILES = ("aws.yaml", "gcp.yaml", "onprem.yaml")


@pytest.fixture(params=FILES)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = read(FOLDER / request.param)
    return found


def test_there_are_no_others() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.yaml")) == sorted(FILES)


def test_ray_takes_it(config: dict[str, Any]) -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    # What `ray up` does before it asks for machines.
    validate_config({"cluster_synced_files": [], **prepare_config(copy.deepcopy(config))})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "idle_timeout": 5}, schema)


def test_every_node_asks_for_the_token_and_listens_to_the_head_alone(config: dict[str, Any]) -> None:
    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    for command in starts:
        assert "RAY_AUTH_MODE=token" in command
        assert "--disable-usage-stats" in command
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert any(target.endswith("/.ray/auth_token") for target in config["file_mounts"])
    assert any("chmod 600" in command for command in config["setup_commands"])
    assert not re.search(r"RAY_AUTH_TOKEN=", json.dumps(config))


def test_machines_that_are_paid_for_go_when_they_are_idle(config: dict[str, Any]) -> None:
    if config["provider"]["type"] == "local":
        return
    assert config["idle_timeout_minutes"] <= 15
    workers = {name: each for name, each in config["available_node_types"].items() if name != "head"}
    for name, each in workers.items():
        assert each["min_workers"] == 0, name
        assert ("GPU" in each["resources"]) == (name == "gpu")
    assert "SPOT" in json.dumps(workers["gpu"]["node_config"]).upper()
    assert config["available_node_types"]["head"]["resources"] == {"CPU": 0}
    for key in ("image", "worker_image"):
        assert is_pinned(config["docker"][key])


def test_the_page_says_what_the_nodes_may_come_to() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r'scales_to = "(.*?)"', readme)
    for name in ("aws.yaml", "gcp.yaml"):
        kinds = read(FOLDER / name)["available_node_types"]
        groups = {
            (each["max_workers"], each["resources"]["CPU"], each["resources"].get("GPU", 0))
            for kind, each in kinds.items()
            if kind != "head"
        }
        assert {(each.count, each.each.cpu, each.each.gpu) for each in node_groups(text)} == groups
