#!/bin/sh
# Fuzzes with atheris: scripts/fuzz.sh [TARGET...], FUZZ_SECONDS (20) for each; the targets are those of tests/fuzz/targets.py.
# atheris is pinned by hash in a folder of its own, .fuzz/, and never gets into .venv/.
set -eu
cd "$(dirname "$0")/.."

[ -x .venv/bin/python ] || { echo "fuzz: there is no .venv; run 'make setup' first" >&2; exit 1; }
wanted=$(cat requirements/fuzz.txt scripts/fuzz.sh | cksum)
if [ "$(cat .fuzz/.made-from 2>/dev/null)" != "$wanted $(pwd)" ]; then
    echo "fuzz: installing atheris"
    rm -rf .fuzz
    uv=$(command -v uv || printf '%s' .venv/bin/uv)
    "$uv" pip install --quiet --python .venv/bin/python --target .fuzz --only-binary :all: --require-hashes -r requirements/fuzz.txt
    printf '%s' "$wanted $(pwd)" > .fuzz/.made-from
fi
PYTHONPATH=.fuzz exec .venv/bin/python -m tests.fuzz "$@"
