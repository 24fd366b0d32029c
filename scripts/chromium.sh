#!/bin/sh
# The browser suite drives the system's Chromium. Installs Debian's when none is on the PATH; says plainly when it cannot.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done

fail() {
    echo "chromium: $*" >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 || fail "no Chromium on the PATH and no apt-get to install it with; install Chromium and run this again"
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    fail "no Chromium on the PATH, and installing it needs root; run 'apt-get install chromium' as root and run this again"
fi

echo "chromium: none on the PATH, installing Debian's (about 250 MB)"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq </dev/null || fail "apt-get update failed; is there a network?"
# --no-install-recommends: no desktop comes along. Output is kept short but errors are shown.
$as_root apt-get install -y -qq --no-install-recommends chromium </dev/null >/dev/null || fail "apt-get could not install chromium; its reason is above"
command -v chromium >/dev/null 2>&1 || fail "the package was installed but brought no 'chromium' command"
