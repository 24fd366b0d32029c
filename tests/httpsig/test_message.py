"""A request as a signature sees it: kept byte for byte, its headers in order, nothing private shown."""

from __future__ import annotations

import pytest

from aauthkit.httpsig.message import Message


def message(url: str = "https://a.example/", headers: tuple[tuple[str, str], ...] = ()) -> Message:
    return Message.of("get", url, headers, b"")


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("https://a.example", "/", None),
        ("https://a.example?", "/", ""),
        ("https://a.example/?", "/", ""),
        ("https://a.example/a%2Fb/../c//d", "/a%2Fb/../c//d", None),
        ("https://a.example/x?a=1&a=%202+3#fragment?x", "/x", "a=1&a=%202+3"),
        ("https://a.example/x#fragment?x", "/x", None),
    ],
)
def test_the_target_is_kept_as_it_is(url: str, path: str, query: str | None) -> None:
    made = message(url)
    assert (made.path, made.query) == (path, query)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://A.Example:443/", "a.example"),
        ("http://a.example:80/", "a.example"),
        ("http://a.example:443/", "a.example:443"),
        ("https://a.example:80/", "a.example:80"),
        ("https://a.example:8443/", "a.example:8443"),
        ("https://user:secret@a.example/", "a.example"),
        ("http://[::1]:80/", "[::1]"),
        ("http://[::80]/", "[::80]"),
    ],
)
def test_the_authority_is_in_lower_case_without_the_default_port(url: str, authority: str) -> None:
    """RFC 9421 §2.2.3."""
    assert message(url).normalised_authority == authority


def test_lines_of_a_header_are_trimmed_kept_in_order_and_joined() -> None:
    made = message(headers=(("X-A", " 1 "), ("x-b", "2"), ("x-a", "\t3")))
    assert made.field("x-a") == "1, 3"
    assert made.field_lines("x-a") == ["1", "3"]
    assert (made.field("x-c"), made.field_lines("x-c")) == (None, [])


@pytest.mark.parametrize(
    ("method", "safe"), [("GET", True), ("HEAD", True), ("OPTIONS", True), ("POST", False), ("TRACE", False)]
)
def test_methods_that_promise_no_effect(method: str, safe: bool) -> None:
    assert Message.of(method.lower(), "https://a.example/").is_safe is safe


def test_repr_shows_where_it_goes_and_not_what_it_carries() -> None:
    made = Message.of("POST", "https://a.example/p?code=secret", [("authorization", "secret")], b"secret")
    assert repr(made) == "Message('POST', 'https', 'a.example', '/p')"
