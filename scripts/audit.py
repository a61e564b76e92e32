"""Asks for known vulnerabilities of what requirements*.txt pin; says where it cannot run."""

from __future__ import annotations

import socket
import subprocess
import sys

from scripts.licences import FILES, ROOT

SERVICE = "api.osv.dev"
WAIT_S = 10.0


def main() -> int:
    """Returns pip-audit's exit code, 0 where it cannot run."""
    try:
        socket.create_connection((SERVICE, 443), timeout=WAIT_S).close()
    except OSError as error:
        print(f"not run here: {SERVICE} cannot be reached ({error})")
        return 0
    command = [sys.executable, "-m", "uv", "tool", "run", "pip-audit", "--vulnerability-service", "osv"]
    # The files are pinned and hashed: nothing is resolved, and nothing of them is installed.
    command += ["--disable-pip", "--require-hashes"]
    for file in FILES:
        command += ["--requirement", str(ROOT / file)]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
