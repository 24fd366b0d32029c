"""Identifiers: the draft's own examples of good and bad, and every other spelling refused."""

from __future__ import annotations

import pytest

from aauthkit.errors import InvalidRequest
from aauthkit.identifiers import AgentIdentifier, endpoint_url, host_of, is_loopback, origin_of, server_identifier

GOOD = ["https://agent.example", "https://xn--nxasmq6b.example", "https://a.b-c.example", "https://93.184.216.34"]
BAD = [
    # AAuth-01 "Server Identifiers": the invalid examples
    "http://agent.example",
    "https://Agent.Example",
    "https://agent.example:8443",
    "https://agent.example/v1",
    "https://agent.example/",
    # and further
    "HTTPS://agent.example",
    "Https://agent.example",
    "https://agent.example?",
    "https://agent.example#",
    "https://agent.example?a=1",
    "https://agent.example#a",
    "https://agent.example:",
    "https://agent.example:443",
    "https://agent.example.",
    "https://.agent.example",
    "https://agent..example",
    "https://-agent.example",
    "https://agent_.example",
    "https://user@agent.example",
    "https://@agent.example",
    "https://agent.example\\",
    "https://agent.example ",
    " https://agent.example",
    "https://agent.example\n",
    "https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
    "https://agent%2eexample",
    "https://[::1]x",
    "https://evil.example[::1]",
    "https://[::1",
    "https://" + "a" * 64 + ".example",
    "https://",
    "https:agent.example",
    "//agent.example",
    "agent.example",
    "ftp://agent.example",
    "",
    None,
    1,
    b"https://agent.example",
    ["https://agent.example"],
    "https://" + "a." * 1100 + "example",
]


@pytest.mark.parametrize("value", GOOD)
@pytest.mark.conformance("11:§11.1.1-1", "11:§11.1.1-2", "11:§11.1.1-5")
def test_a_server_identifier_is_an_https_origin(value: str) -> None:
    assert server_identifier(value, development=False) == value


@pytest.mark.parametrize("value", BAD, ids=repr)
@pytest.mark.parametrize("development", [False, True])
@pytest.mark.conformance("11:§11.1.1-1", "11:§11.1.1-2", "11:§11.1.1-3", "11:§11.1.1-4", "11:§11.1.1-5")
def test_any_other_spelling_is_refused_in_development_too(value: object, development: bool) -> None:
    with pytest.raises(InvalidRequest):
        server_identifier(value, development=development)


LOOPBACK = [
    "http://localhost",
    "http://localhost:8080",
    "http://a.localhost:3000",
    "http://127.0.0.1:8765",
    "http://[::1]:1",
    "https://localhost",
]


@pytest.mark.parametrize("value", LOOPBACK)
def test_http_and_ports_are_for_loopback_names_in_development(value: str) -> None:
    assert server_identifier(value, development=True) == value
    if value != "https://localhost":
        with pytest.raises(InvalidRequest):
            server_identifier(value, development=False)


@pytest.mark.parametrize(
    "value",
    [
        "http://localhost.example:80",
        "http://127.0.0.1.example",
        "http://10.0.0.1:80",
        "http://localhost:",
        "http://localhost:080",
        "http://localhost:99999",
        "http://localhost:-1",
        "http://LOCALHOST",
        "http://localhost.",
        "http://localhost/",
        "http://evil.example[::1]:80",
        "http://[::1]x:80",
        "http://x:y@localhost",
    ],
)
def test_what_only_looks_like_loopback_is_refused_in_development(value: str) -> None:
    with pytest.raises(InvalidRequest):
        server_identifier(value, development=True)


@pytest.mark.parametrize("value", ["https://a.example/token", "https://a.example:8443/x", "https://a.example/A%20b//c"])
@pytest.mark.conformance("11:§11.1.2-1")
def test_an_endpoint_url_may_have_a_port_and_a_path(value: str) -> None:
    assert endpoint_url(value, development=False) == value


@pytest.mark.parametrize(
    "value",
    [
        "http://a.example/x",
        "https://a.example/x?",
        "https://a.example/x?a=1",
        "https://a.example/x#",
        "https://A.example/x",
        "https://u@a.example/x",
        "https://a.example/x y",
        "https://a.example/x\\y",
        "https://a.example:0x50/",
        "/x",
        "mailto:a@a.example",
        None,
        {},
    ],
    ids=repr,
)
@pytest.mark.conformance("11:§11.1.2-1")
def test_an_endpoint_url_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest):
        endpoint_url(value, development=False)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]
)
def test_names_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "localhost.example", "notlocalhost", "127.0.0.1.example", "127.1", "10.0.0.1", "::2"]
)
def test_names_of_others(host: str) -> None:
    assert not is_loopback(host)


def test_parts_of_a_url() -> None:
    assert origin_of("https://a.example:8443/x?y#z") == "https://a.example:8443"
    assert host_of("http://127.0.0.1:8765") == "127.0.0.1"


@pytest.mark.parametrize(
    "value",
    [
        "aauth:assistant-v2@agent.example",
        "aauth:cli+instance.1@tools.example",
        "aauth:_@a",
        "aauth:Agent-V2@agent.example",
        f"aauth:{'a' * 255}@agent.example",
    ],
)
@pytest.mark.conformance("11:§5.2-1", "11:§5.2-2", "11:§5.2-8", "AP-01", "PS-104", "RS-52")
def test_an_agent_identifier_reads_and_writes_the_same(value: str) -> None:
    parsed = AgentIdentifier.parse(value)
    assert str(parsed) == value
    assert f"aauth:{parsed.local}@{parsed.domain}" == value


@pytest.mark.parametrize(
    "value",
    [
        # AAuth-01 "Agent Identifiers": the invalid examples
        "My Agent@agent.example",
        "@agent.example",
        "agent@http://agent.example",
        # and further
        "aauth:My Agent@agent.example",
        "aauth:@agent.example",
        "aauth:agent@http://agent.example",
        "AAUTH:agent@agent.example",
        "aauth:agent",
        "aauth:agent@",
        "aauth:agent@agent.example@other.example",
        "aauth:agent@Agent.example",
        "aauth:agent@agent.example:443",
        "aauth:agent@agent.example/",
        "aauth:agent@agent.example.",
        "aauth:agent@agent.example\n",
        "aauth:agent\n@agent.example",
        "aauth:\N{CYRILLIC SMALL LETTER A}gent@agent.example",
        "aauth:agent@\N{CYRILLIC SMALL LETTER A}gent.example",
        f"aauth:{'a' * 256}@agent.example",
        f"aauth:agent@{'a.' * 127}example",
        "",
        None,
        {},
    ],
    ids=repr,
)
@pytest.mark.conformance("11:§5.2-1", "11:§5.2-2", "11:§5.2-3")
def test_an_agent_identifier_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest):
        AgentIdentifier.parse(value)


@pytest.mark.conformance("11:§5.2-7", "11:§5.2-8", "AP-01", "PS-104", "RS-52")
def test_agents_that_differ_in_case_are_two__5_2() -> None:
    assert AgentIdentifier.parse("aauth:Agent@agent.example") != AgentIdentifier.parse("aauth:agent@agent.example")
