"""Settings: the demo's ports by default, and a wrong value refused at start in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from aauthkit.demo.backend.settings import BadSetting, Settings


def test_an_empty_environment_means_the_demos_ports() -> None:
    assert Settings.from_environment({}) == Settings()


def test_every_setting_is_read() -> None:
    settings = Settings.from_environment(
        {
            "AAUTH_LISTEN": "[::1]:9000",
            "AAUTH_STATE": "/var/lib/backend",
            "AAUTH_PROVIDER": "http://127.0.0.1:1",
            "AAUTH_DRAFT": "11",
            "AAUTH_MODE": "identity",
            "AAUTH_SCHEME": "jwks_uri",
            "AAUTH_TICKET": "once",
            "AAUTH_OIDC_ISSUER": "http://localhost:2/realms/x",
            "AAUTH_GATEWAY": "http://127.0.0.1:3",
            "AAUTH_SUPPLY_CHAIN": "http://supply-chain-agent.localhost:3",
            "AAUTH_UI_ORIGINS": "http://localhost:4, http://127.0.0.1:4",
        }
    )
    assert (settings.host, settings.port, settings.state) == ("::1", 9000, Path("/var/lib/backend"))
    assert (settings.draft, settings.mode, settings.scheme, settings.ticket) == ("11", "identity", "jwks_uri", "once")
    assert settings.ui_origins == ("http://localhost:4", "http://127.0.0.1:4")
    assert settings.market_analysis == "http://market-analysis-agent.localhost:3"
    assert settings.published_identifier == "http://backend.localhost:9000"


def test_origins_may_be_a_json_list() -> None:
    settings = Settings.from_environment({"AAUTH_UI_ORIGINS": '["http://localhost:4"]'})
    assert settings.ui_origins == ("http://localhost:4",)


def test_the_ticket_is_not_shown() -> None:
    assert "once" not in repr(Settings(ticket="once"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AAUTH_LISTEN", "8000"),
        ("AAUTH_LISTEN", "localhost:http"),
        ("AAUTH_LISTEN", "localhost:70000"),
        ("AAUTH_MODE", "mode1"),
        ("AAUTH_DRAFT", "1"),
        ("AAUTH_SCHEME", "hwk"),
        ("AAUTH_PROVIDER", "127.0.0.1:8765"),
        ("AAUTH_SUPPLY_CHAIN", "http://localhost:3000/path"),
        ("AAUTH_UI_ORIGINS", "[oops"),
        ("AAUTH_UI_ORIGINS", "localhost"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name):
        Settings.from_environment({name: value})
