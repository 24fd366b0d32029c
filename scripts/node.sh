#!/bin/sh
# The interop suite talks to a peer written for Node. Installs Debian's when none is on the PATH; says plainly when it cannot.
set -eu

fail() {
    echo "node: $*" >&2
    exit 1
}

# 18 is what the peer asks for; its signatures come from Node's own WebCrypto.
modern() {
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 &&
        node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)'
}

if modern; then
    exit 0
fi
if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; then
    fail "$(node --version) is on the PATH and 18 or newer is needed; install it and run this again"
fi

command -v apt-get >/dev/null 2>&1 || fail "no node and npm on the PATH and no apt-get to install them with; install Node 18 or newer and run this again"
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    fail "no node and npm on the PATH, and installing them needs root; run 'apt-get install nodejs npm' as root and run this again"
fi

echo "node: none on the PATH, installing Debian's (about 200 MB)"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq </dev/null || fail "apt-get update failed; is there a network?"
# --no-install-recommends: no compilers come along. Output is kept short but errors are shown.
$as_root apt-get install -y -qq --no-install-recommends nodejs npm </dev/null >/dev/null || fail "apt-get could not install nodejs and npm; its reason is above"
modern || fail "the packages were installed but brought no Node 18 or newer with npm"
