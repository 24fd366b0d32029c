#!/bin/sh
# Runs the suites of one mode, or of all, against real processes: against the system start-infra.sh started, when it runs in
# that mode; else against a fresh one with a state of its own, so nothing decided in one run answers in the next.
set -eu
cd "$(dirname "$0")/.."

usage() {
    echo "usage: scripts/run-tests.sh mode1|mode3|user-consent|all" >&2
    exit 2
}

[ $# -eq 1 ] || usage
case "$1" in
    mode1 | mode3 | user-consent) modes=$1 ;;
    all) modes="mode1 mode3 user-consent" ;;
    *) usage ;;
esac

scripts/setup.sh
# A person's browser is part of the last mode.
case "$modes" in *user-consent*) scripts/chromium.sh ;; esac
state=
stop() {
    if [ -n "$state" ]; then
        .venv/bin/aauth demo stop --state "$state" || true
        rm -rf "$state"
        state=
    fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The mode and the state directory of the system that runs now, one a line; nothing when none does.
running() {
    .venv/bin/aauth demo status --json ${AAUTH_DEMO_STATE:+--state "$AAUTH_DEMO_STATE"} |
        .venv/bin/python -c 'import json, sys; run = json.load(sys.stdin); print(run.get("mode", ""), run.get("state", ""), sep="\n")'
}

mode_of() {
    case "$1" in
        mode1) echo identity ;;
        mode3) echo autonomous ;;
        user-consent) echo user-consent ;;
    esac
}

# Suites of one mode share its system, and raw sockets and the browser come after those that speak HTTP.
suites_of() {
    case "$1" in
        mode1) echo tests/system/mode1 ;;
        mode3) echo tests/system/mode3 tests/wire/autonomous ;;
        user-consent) echo tests/system/user_consent tests/wire/user_consent tests/browser ;;
    esac
}

run_suites() {
    echo "run-tests: $(suites_of "$1")"
    # shellcheck disable=SC2046
    AAUTH_DEMO_STATE=$2 .venv/bin/python -m pytest -q $(suites_of "$1")
}

# Where somebody is asked, only a person who signed in may answer; a harness that decides without a login is no test of that.
start_fresh() {
    if [ "$1" = mode1 ]; then
        AAUTH_DEMO_STATE=$2 scripts/start-infra.sh "$1"
    else
        .venv/bin/aauth demo --mode "$(mode_of "$1")" --detach --state "$2"
    fi
}

run_mode() {
    found=$(running)
    now=$(printf '%s\n' "$found" | sed -n 1p)
    if [ "$now" = "$(mode_of "$1")" ]; then
        echo "run-tests: using the system that runs"
        run_suites "$1" "$(printf '%s\n' "$found" | sed -n 2p)"
        return
    fi
    if [ -n "$now" ]; then
        echo "run-tests: $1 needs the mode $(mode_of "$1"), but the system runs in the mode $now; run scripts/stop-infra.sh first" >&2
        return 1
    fi
    state=$(mktemp -d)
    echo "run-tests: starting the system for $1"
    start_fresh "$1" "$state" || return 1
    run_suites "$1" "$state" || return 1
    stop
}

failed=
for mode in $modes; do
    run_mode "$mode" || { failed="$failed $mode"; stop; }
done
if [ "$1" = all ]; then
    # Started with options that no mode has, by the suites themselves.
    echo "run-tests: tests/system/published"
    env -u AAUTH_DEMO_STATE .venv/bin/python -m pytest -q tests/system/published || failed="$failed published"
fi
if [ -n "$failed" ]; then
    echo "run-tests: failed:$failed" >&2
    exit 1
fi
