#!/usr/bin/env bash
# Installs a Debian package that something found missing; several processes may ask at once, for several packages.
#
#   scripts/debian_package.sh NAME
#
# Exit code 3: it cannot be had here, and standard error says why.
set -euo pipefail

name=$1
unavailable() { echo "$1" >&2; exit 3; }
is_installed() { [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$name" 2>/dev/null)" = installed ]; }

[ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null ||
    unavailable "$name is not installed, and only root could install it with apt-get"
exec 9>"${TMPDIR:-/tmp}/orch-apt-get.lock"
flock 9
is_installed ||
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$name"; } >&2 9>&- ||
    unavailable "$name is not installed, and apt-get install $name failed"
