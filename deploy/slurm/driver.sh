#!/bin/bash
# Runs on the job's first node, within its Ray cluster:  driver.sh RUN STUDY.yaml [OPTIONS OF orch submit]
# RUN is a directory that every node sees: `stop` appears in it when time is up, `code` is what the driver ended with.
set -uo pipefail

run=$1
shift
export ORCH_RAY_ADDRESS=${ORCH_RAY_ADDRESS:-auto}

# A driver of this study that died on another node holds its lease for a minute.
patience=${ORCH_SLURM_PATIENCE:-120}
until_s=$((SECONDS + patience))
while :; do
    orch submit "$@" &
    driver=$!
    told=
    while kill -0 "$driver" 2>/dev/null; do
        if [ -e "$run/stop" ] && [ -z "$told" ]; then
            kill -TERM "$driver"
            told=1
        fi
        sleep 1
    done
    wait "$driver"
    code=$?
    if [ "$code" -ne 7 ] || [ -e "$run/stop" ] || [ "$SECONDS" -ge "$until_s" ]; then
        break
    fi
    sleep "${ORCH_SLURM_PAUSE:-10}"
done
echo "$code" >"$run/code.tmp" && mv "$run/code.tmp" "$run/code"
exit "$code"
