"""Writes Ray's own Grafana dashboard, of the installed version: python ray_panels.py DIR."""

from __future__ import annotations

import sys
from pathlib import Path

from ray.dashboard.modules.metrics.grafana_dashboard_factory import generate_default_grafana_dashboard

if __name__ == "__main__":
    target = Path(sys.argv[1]) / "ray.json"
    target.write_text(generate_default_grafana_dashboard()[0], encoding="utf-8")
