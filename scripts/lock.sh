#!/bin/sh
# Writes requirements/*.txt anew from pyproject.toml: every version and every hash, and never the address they were fetched from.
set -eu
cd "$(dirname "$0")/.."

uv=$(command -v uv || printf '%s' .venv/bin/uv)
if ! command -v "$uv" >/dev/null 2>&1; then
    echo "lock: uv is needed; run 'make setup' on a machine without uv to get the pinned one" >&2
    exit 1
fi

compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
        --no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file "$@"
}

compile requirements/dev.txt pyproject.toml --group dev --extra demo
compile requirements/uv.txt requirements/uv.in
for own in requirements/interop-*.in requirements/fuzz.in; do
    compile "${own%.in}.txt" "$own"
done
if grep -n '://' requirements/*.txt; then
    echo "lock: the lines above name an address; requirements must be names, versions and hashes only" >&2
    exit 1
fi
