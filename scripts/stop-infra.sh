#!/bin/sh
# Stops what start-infra.sh started. Stopping what is not running is not an error.
set -eu
cd "$(dirname "$0")/.."

if [ $# -ne 0 ]; then
    echo "usage: scripts/stop-infra.sh" >&2
    exit 2
fi
scripts/setup.sh
exec .venv/bin/aauth demo stop ${AAUTH_DEMO_STATE:+--state "$AAUTH_DEMO_STATE"}
