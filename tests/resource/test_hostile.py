"""Anything at all may be sent to what a resource of draft 11 offers; only our own errors come back, and no 5xx."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from aauthkit import protect
from aauthkit.errors import AAuthError
from aauthkit.resource.authorization import read_access_request
from aauthkit.resource.deferred import INTERACTION_PATH
from aauthkit.resource.holding import HELD_PATH, HeldInvocations
from aauthkit.resource.protect import AUTHORIZING_PATH
from aauthkit.resource.sessions import SessionTokens
from aauthkit.resource.settings import Require
from aauthkit.resource.visits import Visits, VisitSettings, normalised
from tests.resource.native import NativeBench, native_resource
from tests.resource.signing import Answer, ask, scope_of

pytestmark = pytest.mark.attack

_OFTEN = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_HEADER = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=80)


async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def site(bench: NativeBench, require: Require) -> ASGIApp:
    resource = native_resource(require=require)
    return protect(
        hello,
        resource,
        held=HeldInvocations(resource, clock=bench.clock),
        sessions=SessionTokens(resource, bytes(32), clock=bench.clock),
        visits=Visits("/login", clock=bench.clock, settings=VisitSettings(wrong_codes=10**6)),
        clock=bench.clock,
        fetcher=bench.issuers,
    )


def answered(app: ASGIApp, scope: Scope, body: bytes = b"") -> Answer:
    return asyncio.run(ask(app, scope, body))


@_OFTEN
@given(st.binary(max_size=200) | st.from_regex(rb'\{"scope": *"[^"]{0,30}"(, *"account": *.{0,20})?\}', fullmatch=True))
def test_a_wish_of_any_bytes_is_read_or_refused(body: bytes) -> None:
    try:
        asked = read_access_request(body)
    except AAuthError as error:
        assert error.status == 400  # noqa: PT017 (most examples end here, some do not)
    else:
        assert asked.scopes
        assert all(scope and scope.isascii() and " " not in scope for scope in asked.scopes)


@_OFTEN
@given(st.lists(_HEADER.map(lambda text: f"AAuth{text}") | _HEADER, max_size=3))
def test_any_authorization_is_a_session_or_none_or_refused(lines: list[str]) -> None:
    bench = NativeBench()
    headers = [("authorization", line) for line in lines]
    cover = ("authorization",) if lines else ()
    answer = answered(site(bench, Require.SESSION), bench.signed(target="/a", headers=headers, cover=cover))
    assert answer.status in (202, 400, 401)


@_OFTEN
@given(st.text(max_size=60))
def test_any_text_is_a_code_or_none(text: str) -> None:
    plain = normalised(text)
    assert plain is None or plain.isalnum()
    assert normalised(plain or "") == plain


@_OFTEN
@given(st.binary(max_size=60))
def test_any_query_at_the_interaction_address_is_4xx(query: bytes) -> None:
    scope: dict[str, Any] = {**scope_of("GET", INTERACTION_PATH), "query_string": b"code=" + query}
    assert 400 <= answered(site(NativeBench(), Require.SESSION), scope).status < 500


@_OFTEN
@given(
    st.sampled_from([HELD_PATH, AUTHORIZING_PATH, "/aauth/pending/"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#%"), max_size=60),
    st.sampled_from(["GET", "DELETE", "POST", "PUT"]),
    st.sampled_from(["agent token", "person token", "auth token"]),
)
def test_no_handle_that_was_not_given_leads_anywhere(path: str, handle: str, method: str, by: str) -> None:
    bench = NativeBench()
    answer = answered(site(bench, Require.AUTH_TOKEN), bench.signed(method, path + handle, by=by))
    assert answer.status in (401, 404)
