#!/bin/sh
# Runs the suites of one mode, or of all, against real processes: against the system start-infra.sh started, when it runs in
# that mode; else against a fresh one with a state of its own, so nothing decided in one run answers in the next. DRAFT=11 in
# the environment chooses draft 11; without it one mode runs in draft 01, and keycloak and all run in both drafts.
set -eu
cd "$(dirname "$0")/.."

# One system a line: the words that ask for it, its mode, draft and identity provider, and what runs against it. Suites of one
# line share its system; raw sockets and the browser come after those that speak HTTP. With Keycloak it is the same suites:
# all has those in which it takes part most, keycloak has them whole. The last are started with options that no mode has, by
# the suites themselves; keys published by an agent are draft 01's.
table() {
    cat <<'END'
mode1,all        identity     01 dev      tests/system/mode1
mode3,all        autonomous   01 dev      tests/system/mode3 tests/wire/autonomous
user-consent,all user-consent 01 dev      tests/system/user_consent tests/wire/user_consent tests/browser
mode1,all        identity     11 dev      tests/system/mode1
mode3,all        autonomous   11 dev      tests/system/mode3 tests/system/mode3_11
user-consent,all user-consent 11 dev      tests/system/user_consent tests/browser
all              autonomous   01 keycloak tests/system/mode3/test_mode3_flow.py tests/system/mode3/test_backend_api.py
all              user-consent 01 keycloak tests/keycloak tests/system/user_consent/test_user_consent_flow.py tests/browser/test_story.py::test_a_person_consents_and_reads_the_plan_with_the_market_analysis
keycloak         identity     01 keycloak tests/system/mode1
keycloak         autonomous   01 keycloak tests/system/mode3
keycloak         user-consent 01 keycloak tests/keycloak tests/system/user_consent tests/browser
keycloak         autonomous   11 keycloak tests/system/mode3 tests/system/mode3_11
keycloak         user-consent 11 keycloak tests/system/user_consent tests/browser
all              its-own      01 dev      tests/system/published
END
}

usage() {
    echo "usage: scripts/run-tests.sh mode1|mode3|user-consent|keycloak|all" >&2
    exit 2
}

[ $# -eq 1 ] || usage
case "$1" in
    mode1 | mode3 | user-consent) drafts=${DRAFT:-01} ;;
    keycloak | all) drafts=${DRAFT:-"01 11"} ;;
    *) usage ;;
esac
case "$drafts" in
    01 | 11 | "01 11") ;;
    *)
        echo "run-tests: DRAFT is 01 or 11" >&2
        exit 2
        ;;
esac

scripts/setup.sh
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

# The mode, draft and identity provider of the system that runs now, then its state directory, one a line; nothing when none does.
running() {
    .venv/bin/aauth demo status --json ${AAUTH_DEMO_STATE:+--state "$AAUTH_DEMO_STATE"} |
        .venv/bin/python -c 'import json, sys; run = json.load(sys.stdin); run and print("{mode} {draft} {idp}\n{state}".format_map(run))'
}

# Where somebody is asked, only a person who signed in may answer; a harness that decides without a login is no test of that.
start_fresh() {
    state=$(mktemp -d)
    echo "run-tests: starting the system: mode $1, draft $2, identity provider $3"
    if [ "$1 $3" = "identity dev" ]; then
        DRAFT=$2 AAUTH_DEMO_STATE=$state scripts/start-infra.sh mode1
    else
        .venv/bin/aauth demo --mode "$1" --draft "$2" --idp "$3" --detach --state "$state"
    fi
}

# Whether the system that runs is what a line needs. With the built-in provider runs what is about no provider: any other does.
serves() {
    case "$4" in
        "$1 $2 dev"*) [ "$3" = dev ] ;;
        "$1 $2 "*) true ;;
        *) false ;;
    esac
}

# One line of the table: mode, draft, identity provider, suites.
run_line() {
    mode=$1 draft=$2 idp=$3
    shift 3
    if [ "$mode" = its-own ]; then
        echo "run-tests: $*"
        env -u AAUTH_DEMO_STATE -u DRAFT .venv/bin/python -m pytest -q "$@"
        return
    fi
    case "$idp" in keycloak) scripts/keycloak.sh || return 1 ;; esac
    case "$mode" in user-consent) scripts/chromium.sh || return 1 ;; esac
    found=$(running)
    used=$(printf '%s\n' "$found" | sed -n 2p)
    if [ -z "$found" ]; then
        start_fresh "$mode" "$draft" "$idp" || return 1
        used=$state
    elif serves "$mode" "$draft" "$idp" "$found"; then
        echo "run-tests: using the system that runs"
    else
        echo "run-tests: these suites need $mode, draft $draft, $idp; the system that runs is otherwise: run scripts/stop-infra.sh first" >&2
        return 1
    fi
    echo "run-tests: $* in draft $draft"
    AAUTH_DEMO_STATE=$used .venv/bin/python -m pytest -q "$@" || return 1
    stop
}

run_asked() {
    failed=
    while read -r words mode draft idp suites; do
        case ",$words, $drafts" in *",$1,"*"$draft"*) ;; *) continue ;; esac
        # What runs reads no line of the table.
        # shellcheck disable=SC2086
        run_line "$mode" "$draft" "$idp" $suites </dev/null || { failed="$failed $mode-$draft-$idp"; stop; }
    done <<END
$(table)
END
}

run_asked "$1"
if [ -n "$failed" ]; then
    echo "run-tests: failed:$failed" >&2
    exit 1
fi
