#!/usr/bin/env bash
# A throw-away Postgres server on a Unix socket, for tests.
#
#   scripts/postgres.sh start DIR    makes DIR and a server in it; prints its address
#   scripts/postgres.sh stop DIR     ends the server and deletes DIR
#
# Postgres refuses to run as root: as root it runs as the user "postgres", otherwise as the caller. Exit code 3:
# it cannot be had here, and standard error says why.
set -euo pipefail

usage() { echo "usage: $0 start|stop DIR" >&2; exit 2; }
unavailable() { echo "$1" >&2; exit 3; }

[ $# -eq 2 ] || usage
verb=$1 dir=$2

find_bin() {
    local candidate
    for candidate in "$(dirname "$(command -v initdb 2>/dev/null || echo /nonexistent/x)")" \
        $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -rV); do
        if [ -x "$candidate/initdb" ] && [ -x "$candidate/pg_ctl" ]; then echo "$candidate"; return; fi
    done
}

as_owner() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid postgres --regid postgres --clear-groups env HOME="$dir" LC_ALL=C.UTF-8 "$@"
    else
        LC_ALL=C.UTF-8 "$@"
    fi
}

case $verb in
start)
    bin=$(find_bin)
    if [ -z "$bin" ]; then
        "$(dirname "$0")/debian_package.sh" postgresql
        bin=$(find_bin)
    fi
    [ -n "$bin" ] || unavailable "apt-get installed no server that could be found"
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    # The path of a socket has room for 107 bytes.
    [ ${#dir} -le 80 ] || unavailable "the path $dir is too long for a Unix socket; choose a shorter one"
    if [ "$(id -u)" -eq 0 ]; then
        id postgres >/dev/null 2>&1 || unavailable "there is no user 'postgres' to run the server as"
        chown postgres: "$dir"
    fi
    chmod 700 "$dir"
    cd "$dir"
    as_owner "$bin/initdb" -D "$dir/data" -U orch -A trust --no-sync -E UTF8 >"$dir/log" 2>&1 ||
        unavailable "initdb failed: $(tail -3 "$dir/log")"
    # Durability is not what the tests of our transactions measure, and a server that dies takes DIR with it.
    as_owner "$bin/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 60 \
        -o "-c listen_addresses='' -c unix_socket_directories='$dir' -c fsync=off -c max_connections=200" \
        start >/dev/null 2>&1 || unavailable "the server did not start: $(tail -3 "$dir/server.log")"
    echo "postgresql://orch@/postgres?host=$dir"
    ;;
stop)
    [ -d "$dir" ] || exit 0
    dir=$(cd "$dir" && pwd)
    bin=$(find_bin)
    cd "$dir"
    [ -z "$bin" ] || as_owner "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
    cd / && rm -rf "$dir"
    ;;
*) usage ;;
esac
