#!/bin/sh
# A PostgreSQL of its own for the tests: `start FOLDER` prints its URL, `stop FOLDER` ends it. It listens on a socket in
# FOLDER and on no port, and forgets what a crash would need (fsync off). Installs Debian's when there is none.
set -eu

fail() {
    echo "postgresql: $*" >&2
    exit 1
}

# Debian keeps the server's programs out of the PATH.
find_binaries() {
    for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n -r); do
        if [ -x "$folder/initdb" ]; then
            echo "$folder"
            return
        fi
    done
    if command -v initdb >/dev/null 2>&1; then
        dirname "$(command -v initdb)"
    fi
}

install_debians() {
    command -v apt-get >/dev/null 2>&1 || fail "no PostgreSQL and no apt-get to install it with; install PostgreSQL and run this again"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        fail "no PostgreSQL, and installing it needs root; run 'apt-get install postgresql' as root and run this again"
    fi
    echo "postgresql: none found, installing Debian's (about 60 MB)" >&2
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -qq </dev/null >&2 || fail "apt-get update failed; is there a network?"
    $as_root apt-get install -y -qq --no-install-recommends postgresql </dev/null >/dev/null || fail "apt-get could not install postgresql; its reason is above"
}

# The server refuses to run as root.
unprivileged() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
    else
        "$@"
    fi
}

[ "$#" -eq 2 ] || fail "usage: postgresql.sh start|stop FOLDER"
action=$1 folder=$2
binaries=$(find_binaries)
if [ -z "$binaries" ]; then
    install_debians
    binaries=$(find_binaries)
    [ -n "$binaries" ] || fail "the package was installed but brought no initdb"
fi

case $action in
start)
    [ "$(printf %s "$folder" | wc -c)" -le 80 ] || fail "the path of $folder is too long for a socket; choose a shorter one"
    mkdir -p "$folder"
    chmod 700 "$folder"
    [ "$(id -u)" -ne 0 ] || chown postgres:postgres "$folder"
    cd "$folder"
    unprivileged "$binaries/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$folder.log" 2>&1 || {
        cat "$folder.log" >&2
        fail "initdb failed; its reason is above"
    }
    unprivileged "$binaries/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 start >/dev/null \
        -o "-c listen_addresses='' -c unix_socket_directories='$folder' -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" || {
        cat "$folder/log" >&2 || true
        fail "the server did not start; its reason is above"
    }
    rm -f "$folder.log"
    echo "postgresql+asyncpg://postgres@/postgres?host=$folder"
    ;;
stop)
    cd "$folder"
    unprivileged "$binaries/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null || fail "the server in $folder could not be stopped"
    cd /
    rm -rf "$folder"
    ;;
*)
    fail "usage: postgresql.sh start|stop FOLDER"
    ;;
esac
