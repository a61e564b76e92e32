"""Dashboards and alerts: every metric that they ask for is one that orch or Ray has."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import ray

from orchestrator.app.metrics import METRICS
from tests.deploy.files import DEPLOY, ROOT, read, walk

FOLDER = DEPLOY / "monitoring"
DASHBOARD = ROOT / "dashboards" / "grafana" / "orch.json"
# What Prometheus makes of a summary.
SERIES = {
    name + suffix
    for name, (kind, _) in METRICS.items()
    for suffix in (("_sum", "_count") if kind == "summary" else ("",))
}


@cache
def of_ray() -> frozenset[str]:
    """Returns the metrics of Ray's nodes: the gauges that its agent declares."""
    source = Path(ray.__file__).parent / "dashboard" / "modules" / "reporter" / "reporter_agent.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return frozenset(
        f"ray_{call.args[0].value}"
        for call in calls
        if getattr(call.func, "id", "") == "Gauge" and call.args and isinstance(call.args[0], ast.Constant)
    )


def asked(expression: str) -> set[str]:
    """Returns the metrics of a query."""
    return set(re.findall(r"\b(?:orch|ray)_\w+", re.sub(r'"[^"]*"', "", expression)))


def queries() -> dict[str, str]:
    """Returns where -> query, of the dashboard and the alerts."""
    found = {}
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", []):
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for group in read(FOLDER / "alerts.yml")["groups"]:
        found |= {rule["alert"]: rule["expr"] for rule in group["rules"]}
    return found


def test_ray_has_metrics() -> None:
    assert {"ray_node_cpu_utilization", "ray_node_mem_used"} <= of_ray()


@pytest.mark.parametrize("where", sorted(queries()))
def test_a_query_names_metrics_that_exist(where: str) -> None:
    names = asked(queries()[where])
    assert names
    assert names <= SERIES | of_ray()


def test_every_metric_of_ours_is_shown_or_watched() -> None:
    used = {name for query in queries().values() for name in asked(query)}
    assert SERIES - used == {"orch_info"}


def test_labels_are_those_of_the_metrics() -> None:
    for where, query in queries().items():
        labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query))
        assert labels <= {"study", "stage", "state", "cause"}, where


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in own) < 24
        assert not cells & own, f"{panel['title']} lies over another panel"
        cells |= own
    sources = {
        each["uid"] for each in walk(board) if isinstance(each, dict) and "uid" in each and "type" in each
    }
    assert sources == {"${datasource}"}


def test_provisioning_names_what_is_mounted() -> None:
    volumes = read(DEPLOY / "compose" / "compose.yaml")["services"]["grafana"]["volumes"]
    (provider,) = read(FOLDER / "grafana" / "dashboards.yml")["providers"]
    assert any(volume.split(":")[1].startswith(provider["options"]["path"]) for volume in volumes)
    (source,) = read(FOLDER / "grafana" / "datasources.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_the_panels_of_ray_are_those_of_the_installed_version(tmp_path: Path) -> None:
    import sys

    command = [sys.executable, str(FOLDER / "ray_panels.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    board = json.loads((tmp_path / "ray.json").read_text(encoding="utf-8"))
    assert board["uid"] == "rayDefaultDashboard"  # to which ours links
    assert "/d/rayDefaultDashboard" in DASHBOARD.read_text(encoding="utf-8")


def test_prometheus_takes_its_files(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("not run here: promtool is not installed")
    for command in (
        ["check", "config", "--syntax-only", "prometheus.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
    ):
        done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_say_what_to_do() -> None:
    for group in read(FOLDER / "alerts.yml")["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("info", "warning", "critical")
            assert {"summary", "description"} <= rule["annotations"].keys()
    jobs = {job["job_name"]: job for job in read(FOLDER / "prometheus.yml")["scrape_configs"]}
    assert jobs["orch"]["authorization"]["type"] == "Bearer"
