"""Keycloak's realm has the people and applications of the built-in one; what is missing is named with its command."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from aauthkit.demo.idp import clients, settings
from aauthkit.demo.keycloak.distribution import Distribution, environment
from aauthkit.errors import ConfigurationError


def realm() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("aauthkit.demo.keycloak").joinpath("realm.json").read_text())
    return found


def test_the_people_are_those_of_the_built_in_provider() -> None:
    rows = json.loads(files("aauthkit.demo.idp").joinpath("people.json").read_text())
    built_in = {(row["sub"], row["username"], row["email"], tuple(sorted(row["roles"]))) for row in rows}
    assert {
        (user["id"], user["username"], user["email"], tuple(sorted({"user", "admin"} & set(user["realmRoles"]))))
        for user in realm()["users"]
    } == built_in
    assert realm()["bruteForceProtected"] is True


def test_browsers_are_sent_back_to_the_same_addresses(tmp_path: Path) -> None:
    built_in = clients.clients(settings.Settings(state=tmp_path))
    for client in realm()["clients"]:
        mine = built_in[client["clientId"]]
        expected = {*mine.redirect_uris, *(f"{prefix}*" for prefix in mine.redirect_prefixes)}
        assert (client["publicClient"], set(client["redirectUris"])) == (True, expected)
        assert client["attributes"]["pkce.code.challenge.method"] == "S256"
        assert client["directAccessGrantsEnabled"] is ("password" in mine.grants)


def test_a_distribution_that_is_not_there_is_named_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AAUTH_KEYCLOAK", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"scripts/keycloak\.sh"):
        Distribution.found()


def test_without_java_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kc.sh").touch()
    monkeypatch.setenv("AAUTH_KEYCLOAK", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ConfigurationError, match="Java 17"):
        Distribution.found()


def test_it_listens_on_loopback_only_and_settings_of_another_keycloak_do_not_reach_it(tmp_path: Path) -> None:
    argv = Distribution(home=tmp_path).serve(tmp_path / "state", port=8080)
    assert "--http-host=127.0.0.1" in argv
    assert not any("AUTO_SERVER" in word for word in argv)
    given = environment({"KC_HTTP_HOST": "0.0.0.0", "PATH": "/bin"})
    assert given.keys() == {"PATH", "JAVA_OPTS"}
