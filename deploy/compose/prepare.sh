#!/bin/sh
# Runs in the stack before its servers: what they need and no image brings. Again: nothing changes.
set -eu
tokens=${TOKENS:-/tokens} panels=${PANELS:-/panels} script=${RAY_PANELS:-/ray_panels.py}

python - <<'PYTHON'
import boto3

buckets = boto3.client("s3")
if "orch" not in [each["Name"] for each in buckets.list_buckets()["Buckets"]]:
    buckets.create_bucket(Bucket="orch")
PYTHON

orch db upgrade

# The page reads its token as one user, Prometheus as another, and nobody else does.
umask 077
for owner in page:1000 prometheus:65534; do
    file=$tokens/${owner%:*}
    rm -f "$file"
    printf '%s\n' "$PAGE_TOKEN" >"$file"
    chown "${owner#*:}:${owner#*:}" "$file"
done

umask 022
python "$script" "$panels"
