"""The error tables of -11 as data: each code is in the tree, under the status its table gives it."""

from __future__ import annotations

import pytest

from aauthkit import errors
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import AAuthError, Challenge, SignatureError, render

Table = dict[str, int]
AUTHORIZATION_ENDPOINT: Table = {"invalid_request": 400, "invalid_scope": 400, "invalid_account": 400}
INTERACTION_ENDPOINT: Table = {"interaction_unavailable": 424}
TOKEN_ENDPOINT: Table = {
    "invalid_request": 400,
    **{f"{how}_resource_token": 400 for how in ("invalid", "expired", "revoked")},
    **{f"{how}_presented_token": 400 for how in ("invalid", "expired", "revoked")},
    **{f"{how}_upstream_token": 400 for how in ("invalid", "expired", "revoked")},
    **{f"{how}_subagent_token": 400 for how in ("invalid", "expired", "revoked")},
    "clock_skew": 400,
    "user_unreachable": 403,
    "as_unreachable": 502,
    "server_error": 500,
}
POLLING: Table = {
    "denied": 403,
    "abandoned": 403,
    "expired": 408,
    "revoked": 403,
    "invalid_code": 410,
    "slow_down": 429,
    "server_error": 500,
}
REVOCATION: Table = {"invalid_request": 400, "unsupported_iss": 403, "rate_limited": 429, "server_error": 500}
SIGNATURE = {
    "invalid_signature",
    "invalid_input",
    "unsupported_scheme",
    "unsupported_algorithm",
    "invalid_key",
    "unknown_key",
    "invalid_jwt",
    "expired_jwt",
    "revoked_jwt",
    "clock_skew",
    "issuer_missing",
    "issuer_mismatch",
}


def tree(kind: type[AAuthError] = AAuthError) -> list[type[AAuthError]]:
    found = [kind, *(one for sub in kind.__subclasses__() for one in tree(sub))]
    return [one for one in found if one.__module__ == errors.__name__]


def in_bodies() -> set[tuple[str, int]]:
    """What a body can say, and with which status; signature errors speak in their header."""
    return {(one.code, one.status) for one in tree() if not issubclass(one, SignatureError)}


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(AUTHORIZATION_ENDPOINT, marks=pytest.mark.conformance("11:§6.6.3")),
        pytest.param(INTERACTION_ENDPOINT, marks=pytest.mark.conformance("11:§7.6.3")),
        pytest.param(TOKEN_ENDPOINT, marks=pytest.mark.conformance("11:§11.9.3-2")),
        pytest.param(POLLING, marks=pytest.mark.conformance("11:§11.9.4-1")),
        pytest.param(REVOCATION, marks=pytest.mark.conformance("11:§11.12.3")),
    ],
    ids=["authorization endpoint", "interaction endpoint", "token endpoint", "polling", "revocation"],
)
def test_each_code_of_a_table_has_its_status(table: Table) -> None:
    assert {code: status for code, status in table.items() if (code, status) not in in_bodies()} == {}


@pytest.mark.conformance("11:§11.3.4-0")
def test_signature_failures_have_the_codes_of_the_profile_and_are_all_401__11_3_4() -> None:
    found = {one.code: one.status for one in tree(SignatureError)}
    assert found.keys() == SIGNATURE
    assert set(found.values()) == {401}


@pytest.mark.conformance("11:§11.6-1")
def test_a_requirement_is_never_in_www_authenticate__11_6() -> None:
    headers = render(Challenge("Ask.", requirement="requirement=person-token"), DRAFT_11).headers
    assert (headers["AAuth-Requirement"], headers["WWW-Authenticate"]) == ("requirement=person-token", "AAuth")
