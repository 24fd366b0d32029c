#!/bin/sh
# Makes .peers/: other people's implementations of the protocol, pinned by hash, each in an environment of its own.
# The interop suite runs them as processes; nothing of theirs gets into .venv/. A second run with nothing new returns at once.
set -eu
cd "$(dirname "$0")/.."

python_peers="regent-httpsig aauth-11 aauth-01"
stamp=.peers/.made-from
wanted=$(cat requirements/interop-*.txt tests/interop/node/package*.json scripts/peers.sh | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted $(pwd)" ]; then
    exit 0
fi

say() { printf 'peers: %s\n' "$*"; }

[ -x .venv/bin/python ] || { say "there is no .venv; run 'make setup' first" >&2; exit 1; }
uv=$(command -v uv || printf '%s' .venv/bin/uv)
rm -f "$stamp"
for peer in $python_peers; do
    say "installing $peer"
    "$uv" venv --quiet --allow-existing --python .venv/bin/python ".peers/$peer"
    "$uv" pip sync --quiet --compile-bytecode --python ".peers/$peer/bin/python" --only-binary :all: --require-hashes "requirements/interop-$peer.txt"
done
say "installing @hellocoop/httpsig"
mkdir -p .peers/node
cp tests/interop/node/package.json tests/interop/node/package-lock.json .peers/node/
# --ignore-scripts: what a package would run at its installation is not needed, and not looked through.
(cd .peers/node && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null)
printf '%s' "$wanted $(pwd)" > "$stamp"
say "done: .peers/"
