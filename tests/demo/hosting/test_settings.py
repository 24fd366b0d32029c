"""Settings are read once and a mistake in them ends the start, in words."""

from __future__ import annotations

import pytest

from aauthkit.errors import ConfigurationError
from tests.demo.hosting.world import settings_for


def test_defaults_are_the_demo_on_loopback() -> None:
    settings = settings_for("supply-chain-agent")

    assert (settings.host, settings.port, settings.loopback_only) == ("127.0.0.1", 9999, True)
    assert settings.issuer == "http://supply-chain-agent.localhost:3000"
    assert settings.peer("tools") == "http://tools.localhost:3000"
    assert (settings.mode, settings.draft, settings.scheme, settings.ticket) == ("autonomous", "01", "jwt", None)


def test_names_follow_the_gateway_s_port() -> None:
    assert settings_for("tools", AAUTH_GATEWAY="http://127.0.0.1:4000").issuer == "http://tools.localhost:4000"


@pytest.mark.parametrize(("mode", "needed"), [("identity", False), ("autonomous", True), ("user-consent", True)])
def test_auth_tokens_are_needed_in_every_mode_but_identity(mode: str, needed: bool) -> None:
    assert settings_for("tools", AAUTH_MODE=mode).needs_auth_token is needed


def test_listening_elsewhere_is_possible_and_known() -> None:
    settings = settings_for("tools", AAUTH_LISTEN="0.0.0.0:80")

    assert (settings.host, settings.port, settings.loopback_only) == ("0.0.0.0", 80, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AAUTH_LISTEN", "9999"),
        ("AAUTH_LISTEN", "127.0.0.1:"),
        ("AAUTH_LISTEN", "127.0.0.1:70000"),
        ("AAUTH_LISTEN", "127.0.0.1:²"),
        ("AAUTH_MODE", "mode3"),
        ("AAUTH_DRAFT", "1"),
        ("AAUTH_SCHEME", "hwk"),
        ("AAUTH_PROVIDER", "127.0.0.1:8765"),
        ("AAUTH_PROVIDER", "http://127.0.0.1:8765/person"),
        ("AAUTH_GATEWAY", "ftp://127.0.0.1"),
        ("AAUTH_GATEWAY", "http://[::1"),
        ("AAUTH_BACKEND", "http://backend:port"),
    ],
)
def test_mistake_names_the_setting(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_for("tools", **{name: value})

    assert refused.value.detail.startswith(name)


def test_ticket_is_not_shown() -> None:
    assert "s3cret" not in repr(settings_for("tools", AAUTH_TICKET="s3cret"))
