#!/usr/bin/env bash
# A browser for tests: prints the path of Chromium, which root has apt-get install where there is none.
#
# Exit code 3: it cannot be had here, and standard error says why.
set -euo pipefail

find_it() { command -v chromium || command -v chromium-browser || command -v google-chrome || true; }

found=$(find_it)
if [ -z "$found" ]; then
    "$(dirname "$0")/debian_package.sh" chromium
    found=$(find_it)
fi
[ -n "$found" ] || { echo "apt-get installed no Chromium that could be found" >&2; exit 3; }
echo "$found"
