#!/usr/bin/env bash
# Starts the stack and waits until every server answers; the first time it makes .env with secrets of its own.
set -euo pipefail
cd "$(dirname "$0")"

secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

if [ ! -e .env ]; then
    umask 077
    while IFS= read -r line; do
        case $line in
        *=generate) printf '%s=%s\n' "${line%%=*}" "$(secret)" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <.env.example >.env.new
    mv .env.new .env
    echo "made .env: it holds every password of the stack, and only you can read it"
fi

docker compose up --build --detach --wait "$@"
echo "page     http://127.0.0.1:8484/?token=$(sed -n 's/^PAGE_TOKEN=//p' .env)"
echo "MLflow   http://127.0.0.1:5000 (admin, MLFLOW_PASSWORD of .env)"
echo "Grafana  http://127.0.0.1:3000 (admin, GRAFANA_PASSWORD of .env)"
echo "Ray      http://127.0.0.1:8265 (RAY_AUTH_TOKEN of .env)"
