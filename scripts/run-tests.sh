#!/bin/sh
# Runs the suites of one mode, or of all, against real processes: against the system start-infra.sh started, when it runs in
# that mode; else against a fresh one with a state of its own, so nothing decided in one run answers in the next. DRAFT=11 in
# the environment chooses draft 11; without it one mode runs in draft 01, and all modes run in both drafts.
set -eu
cd "$(dirname "$0")/.."

usage() {
    echo "usage: scripts/run-tests.sh mode1|mode3|user-consent|keycloak|all" >&2
    exit 2
}

[ $# -eq 1 ] || usage
case "$1" in
    mode1 | mode3 | user-consent) modes=$1 ;;
    keycloak) modes= ;;
    all) modes="mode1 mode3 user-consent" ;;
    *) usage ;;
esac
case "$1-${DRAFT:-}" in
    all-) drafts="01 11" ;;
    *-) drafts=01 ;;
    *-01 | *-11) drafts=$DRAFT ;;
    *)
        echo "run-tests: DRAFT is 01 or 11" >&2
        exit 2
        ;;
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

# The mode with the draft, and the state directory, of the system that runs now, one a line; nothing when none does.
running() {
    .venv/bin/aauth demo status --json ${AAUTH_DEMO_STATE:+--state "$AAUTH_DEMO_STATE"} |
        .venv/bin/python -c 'import json, sys; run = json.load(sys.stdin); print(run["mode"] + " in draft " + run["draft"] if run else "", run.get("state", ""), sep="\n")'
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
        mode1-*) echo tests/system/mode1 ;;
        mode3-01) echo tests/system/mode3 tests/wire/autonomous ;;
        mode3-11) echo tests/system/mode3 tests/system/mode3_11 ;;
        user-consent-01) echo tests/system/user_consent tests/wire/user_consent tests/browser ;;
        user-consent-11) echo tests/system/user_consent tests/browser ;;
    esac
}

run_suites() {
    echo "run-tests: $(suites_of "$1-$2") in draft $2"
    # shellcheck disable=SC2046
    AAUTH_DEMO_STATE=$3 .venv/bin/python -m pytest -q $(suites_of "$1-$2")
}

# Where somebody is asked, only a person who signed in may answer; a harness that decides without a login is no test of that.
start_fresh() {
    if [ "$1" = mode1 ]; then
        DRAFT=$2 AAUTH_DEMO_STATE=$3 scripts/start-infra.sh "$1"
    else
        .venv/bin/aauth demo --mode "$(mode_of "$1")" --draft "$2" --detach --state "$3"
    fi
}

run_mode() {
    found=$(running)
    now=$(printf '%s\n' "$found" | sed -n 1p)
    needed="$(mode_of "$1") in draft $2"
    if [ "$now" = "$needed" ]; then
        echo "run-tests: using the system that runs"
        run_suites "$1" "$2" "$(printf '%s\n' "$found" | sed -n 2p)"
        return
    fi
    if [ -n "$now" ]; then
        echo "run-tests: $1 needs the mode $needed, but the system runs in the mode $now; run scripts/stop-infra.sh first" >&2
        return 1
    fi
    state=$(mktemp -d)
    echo "run-tests: starting the system for $1 in draft $2"
    start_fresh "$1" "$2" "$state" || return 1
    run_suites "$1" "$2" "$state" || return 1
    stop
}

# People sign in at Keycloak itself: its own suite, and of the others what shows that nothing depends on which provider it is.
run_keycloak() {
    scripts/keycloak.sh || return 1
    scripts/chromium.sh || return 1
    state=$(mktemp -d)
    echo "run-tests: starting the system with Keycloak"
    .venv/bin/aauth demo --mode user-consent --idp keycloak --detach --state "$state" || return 1
    # Each of the two opens a browser of its own, and a process has room for one.
    AAUTH_DEMO_STATE=$state .venv/bin/python -m pytest -q tests/keycloak || return 1
    AAUTH_DEMO_STATE=$state .venv/bin/python -m pytest -q \
        tests/browser/test_story.py::test_a_person_who_says_no_on_their_phone_reads_that_nothing_was_done \
        tests/browser/test_story.py::test_a_person_consents_and_reads_the_plan_with_the_market_analysis \
        tests/system/user_consent/test_user_consent_flow.py || return 1
    stop
}

failed=
for draft in $drafts; do
    for mode in $modes; do
        run_mode "$mode" "$draft" || { failed="$failed $mode-$draft"; stop; }
    done
done
case "$1-$drafts" in
    keycloak-* | all-*01*) run_keycloak || { failed="$failed keycloak"; stop; } ;;
esac
case "$1-$drafts" in
    all-*01*)
        # Started with options that no mode has, by the suites themselves; keys published by an agent are draft 01's.
        echo "run-tests: tests/system/published"
        env -u AAUTH_DEMO_STATE -u DRAFT .venv/bin/python -m pytest -q tests/system/published || failed="$failed published"
        ;;
esac
if [ -n "$failed" ]; then
    echo "run-tests: failed:$failed" >&2
    exit 1
fi
