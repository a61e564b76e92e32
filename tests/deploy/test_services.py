"""systemd units, nginx, shell scripts: looked at by the programs that read them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY, ROOT

SCRIPTS = sorted([*DEPLOY.rglob("*.sh"), *DEPLOY.rglob("*.sbatch")])
UNITS = sorted((DEPLOY / "systemd").glob("orch-*"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_shellcheck_finds_nothing(path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert os.access(path, os.X_OK)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("not run here: systemd-analyze is not installed")
    for unit in UNITS:
        # It looks for the programs, too, which are where the environment was installed.
        text = re.sub(r"/opt/orch/bin/\w+", "/usr/bin/env", unit.read_text(encoding="utf-8"))
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    command = ["systemd-analyze", "verify", *sorted(str(path) for path in tmp_path.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if line.startswith(("orch-", str(tmp_path)))]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.parametrize(
    "unit", [path for path in UNITS if path.suffix == ".service"], ids=lambda path: path.name
)
def test_services_are_no_roots_and_hold_no_secrets(unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    assert "User=orch" in text
    assert "NoNewPrivileges=yes" in text
    assert not re.search(r"Environment=\w*(PASSWORD|SECRET|TOKEN)=", text)
    assert "0.0.0.0" not in text
    if "ray start" in text:
        assert "Environment=RAY_AUTH_MODE=token" in text


def test_nginx_takes_its_file(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None or shutil.which("openssl") is None:
        pytest.skip("not run here: nginx or openssl is not installed")
    key, certificate = tmp_path / "orch.key", tmp_path / "orch.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=orch"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    text = (
        (DEPLOY / "nginx" / "orch.conf").read_text(encoding="utf-8").replace("/etc/nginx/tls", str(tmp_path))
    )
    (tmp_path / "orch.conf").write_text(text)
    places = " ".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = (
        f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {places} include {tmp_path}/orch.conf; }}"
    )
    (tmp_path / "nginx.conf").write_text(whole)
    done = subprocess.run(
        [nginx, "-t", "-e", tmp_path / "log", "-c", tmp_path / "nginx.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_nginx_leaves_ray_alone_and_keeps_no_tokens() -> None:
    text = (DEPLOY / "nginx" / "orch.conf").read_text(encoding="utf-8")
    assert set(re.findall(r"proxy_pass http://(\S+);", text)) == {"127.0.0.1:8484", "127.0.0.1:5000"}
    page = text.split("server_name orch.lab.example.org;")[1]
    assert "access_log off;" in page.split("server {")[0]


def test_the_modules_that_units_run_are_there() -> None:
    for unit in UNITS:
        for module in re.findall(r"python -m (\S+)", unit.read_text(encoding="utf-8")):
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()


def test_the_page_answers_to_its_name_behind_nginx() -> None:
    from dashboards.guard import hosts_of

    unit = (DEPLOY / "systemd" / "orch-page.service").read_text(encoding="utf-8")
    (name,) = re.findall(r"--name=(\S+)", unit)
    conf = (DEPLOY / "nginx" / "orch.conf").read_text(encoding="utf-8")
    served = re.findall(r"listen 443 ssl;\s+server_name (\S+);", conf)
    assert set(served) & hosts_of([name], 8484), "what nginx passes on as Host is one of the page's"
    assert "proxy_set_header Host $host;" in conf
