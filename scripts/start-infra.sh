#!/bin/sh
# Starts the whole system in the background, by the walkthrough's names. Returns 0 once every part is ready. DRAFT=11 in the
# environment starts it in draft 11.
set -eu
cd "$(dirname "$0")/.."

usage() {
    echo "usage: scripts/start-infra.sh mode1|mode3|user-consent" >&2
    exit 2
}

[ $# -eq 1 ] || usage
case "$1" in
    mode1) mode=identity ;;
    mode3) mode=autonomous ;;
    user-consent) mode=user-consent ;;
    *) usage ;;
esac

scripts/setup.sh
# A harness decides consents without a browser; the demo refuses this setting unless every part listens on loopback.
exec .venv/bin/aauth demo --mode "$mode" --draft "${DRAFT:-01}" --open-consent --detach ${AAUTH_DEMO_STATE:+--state "$AAUTH_DEMO_STATE"}
