#!/bin/sh
# Makes .keycloak/: Keycloak's distribution, fetched with Maven, pinned by hash, built for the demo, with the realm imported
# once so that starts are quick. Installs Debian's Java and Maven when they are missing; says plainly when it cannot.
# A second run with nothing new returns at once.
set -eu
cd "$(dirname "$0")/.."

# The newest that is served and runs on Java 17.
version=26.7.3
sha256=27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f
oldest_java=17

say() { printf 'keycloak: %s\n' "$*"; }
fail() {
    say "$*" >&2
    exit 1
}

home=.keycloak/keycloak-$version
stamp=.keycloak/.made-from
wanted=$(cat scripts/keycloak.sh src/aauthkit/demo/keycloak/*.py src/aauthkit/demo/keycloak/realm.json | cksum)
java_version() {
    "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1
}
java_found() {
    found=$(java_version)
    [ -n "$found" ] && [ "$found" -ge "$oldest_java" ]
}
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted $(pwd)" ] && java_found; then
    exit 0
fi
[ -x .venv/bin/python ] || fail "there is no .venv; run 'make setup' first"

install() {
    command -v apt-get >/dev/null 2>&1 || fail "$1 is missing and there is no apt-get to install it with; install it and run this again"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        fail "$1 is missing, and installing it needs root; run 'apt-get install $2' as root and run this again"
    fi
    say "$1 is missing, installing Debian's $2"
    $as_root apt-get update -qq </dev/null || fail "apt-get update failed; is there a network?"
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "$2" </dev/null >/dev/null ||
        fail "apt-get could not install $2; its reason is above"
}

java_found || install "Java $oldest_java or newer" default-jdk-headless
java_found || fail "the Java on the PATH is older than $oldest_java; put a newer one there, or name it with JAVA_HOME"
archive=.keycloak/keycloak-$version.zip
mkdir -p .keycloak
rm -f "$stamp"
intact() { [ -f "$archive" ] && printf '%s  %s\n' "$sha256" "$archive" | sha256sum --check --status -; }
if ! intact; then
    command -v mvn >/dev/null 2>&1 || install Maven maven
    say "fetching Keycloak $version (177 MB) with Maven"
    artifact=org.keycloak:keycloak-quarkus-dist:$version:zip
    plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
    mvn --quiet --batch-mode -Dstyle.color=never $plugin:get -Dartifact=$artifact -Dtransitive=false </dev/null ||
        fail "Maven could not fetch $artifact; its reason is above"
    mvn --quiet --batch-mode -Dstyle.color=never $plugin:copy -Dartifact=$artifact -DoutputDirectory=.keycloak \
        -Dmdep.stripVersion=false -Dmdep.overWriteReleases=true </dev/null || fail "Maven could not copy $artifact"
    mv -f ".keycloak/keycloak-quarkus-dist-$version.zip" "$archive"
    intact || { rm -f "$archive"; fail "what was fetched is not Keycloak $version as it was published: its SHA-256 differs"; }
fi
say "unpacking"
rm -rf "$home"
.venv/bin/python -m zipfile -e "$archive" .keycloak
chmod +x "$home"/bin/*.sh
ln -sfn "keycloak-$version" .keycloak/current
say "building it and importing the realm"
log=.keycloak/build.log
.venv/bin/python -m aauthkit.demo.keycloak build </dev/null >"$log" 2>&1 || { cat "$log" >&2; fail "Keycloak could not be built; what it said is above"; }
# The archive stays in Maven's own cache.
rm -f "$archive"
printf '%s' "$wanted $(pwd)" >"$stamp"
say "done: $home"
