"""The person's access token: what is accepted, what is refused, what happens while the identity provider is away."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from aauthkit.clock import FixedClock
from aauthkit.demo.backend.people import BadToken, IdentityProviderUnavailable, People
from aauthkit.demo.backend.problems import Problem
from tests.demo.backend.doubles import ISSUER, IdentityProvider

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000.0


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def people(idp: IdentityProvider, clock: FixedClock) -> People:
    return People(issuer=ISSUER, client="supply-chain-ui", http=idp.client(), clock=clock)


def token(idp: IdentityProvider, **changed: object) -> str:
    return idp.access_token(**{"exp": int(NOW) + 60, **changed})  # type: ignore[arg-type]


async def refused(people: People, authorization: str | None) -> Problem:
    with pytest.raises(BadToken) as caught:
        await people.identify(authorization)
    assert caught.value.status == 401
    return caught.value


async def test_a_valid_token_names_the_person(people: People, idp: IdentityProvider) -> None:
    person = await people.identify(f"Bearer {token(idp)}")
    assert (person.id, person.username, person.email, person.role) == (
        "person-1",
        "mcp-user",
        "mcp-user@example.com",
        "User",
    )


async def test_a_realm_admin_has_the_admin_role(people: People, idp: IdentityProvider) -> None:
    person = await people.identify(f"Bearer {token(idp, realm_access={'roles': ['admin']})}")
    assert person.role == "Admin"


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer  ", "Basic abc", "token"])
async def test_without_a_bearer_token_the_answer_asks_to_sign_in(people: People, authorization: str | None) -> None:
    problem = await refused(people, authorization)
    assert problem.code == "login_required"
    assert problem.headers["WWW-Authenticate"] == 'Bearer realm="supply-chain"'


@pytest.mark.parametrize(
    "value", ["garbage", "a.b.c", "e30.e30.e30", "..", "bnVsbA.e30.x", "ey😀.e30.x", "x" * 10_000, "W10.e30.x"]
)
async def test_garbage_is_refused_before_the_provider_is_asked(
    people: People, idp: IdentityProvider, value: str
) -> None:
    problem = await refused(people, f"Bearer {value}")
    assert problem.code == "invalid_token"
    assert 'error="invalid_token"' in problem.headers["WWW-Authenticate"]
    assert idp.fetches == 0


async def test_a_token_one_second_before_its_end_is_accepted(people: People, idp: IdentityProvider) -> None:
    assert (await people.identify(f"Bearer {token(idp, exp=int(NOW) + 1)}")).id == "person-1"


async def test_a_token_at_its_end_is_refused(people: People, idp: IdentityProvider) -> None:
    await refused(people, f"Bearer {token(idp, exp=int(NOW))}")


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"iss": "http://localhost:8080/realms/other"},
        {"iss": None},
        {"azp": "other-client"},
        {"azp": None},
        {"sub": None},
        {"sub": 7},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"at_hash": "x"},
        {"nbf": int(NOW) + 60},
        {"header": {"typ": "id+jwt"}},
    ],
)
async def test_a_signed_token_with_a_wrong_claim_is_refused(
    people: People, idp: IdentityProvider, changed: dict[str, object]
) -> None:
    problem = await refused(people, f"Bearer {token(idp, **changed)}")
    assert problem.code == "invalid_token"


@pytest.mark.parametrize("audience", ["supply-chain-ui", ["account", "supply-chain-ui"]])
async def test_our_client_in_the_audience_is_enough(people: People, idp: IdentityProvider, audience: object) -> None:
    assert (await people.identify(f"Bearer {token(idp, azp=None, aud=audience)}")).id == "person-1"


async def test_a_token_signed_by_somebody_else_is_refused(people: People, idp: IdentityProvider) -> None:
    other = RSAKey.generate_key(2048, {"kid": "one"})
    await refused(people, f"Bearer {token(idp, key=other)}")


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(people: People, idp: IdentityProvider) -> None:
    secret = OctKey.import_key(json.dumps(idp.keys[0].as_dict(private=False)))
    forged = jwt.encode({"alg": "HS256", "kid": "one"}, {"iss": ISSUER, "sub": "x", "exp": int(NOW) + 60}, secret)
    await refused(people, f"Bearer {forged}")


async def test_an_unsigned_token_is_refused(people: People, idp: IdentityProvider) -> None:
    _, claims, _ = token(idp).split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').rstrip(b"=").decode()
    await refused(people, f"Bearer {header}.{claims}.")


async def test_keys_are_fetched_once_for_many_tokens(people: People, idp: IdentityProvider) -> None:
    for _ in range(5):
        await people.identify(f"Bearer {token(idp)}")
    assert idp.fetches == 2  # the discovery document and the keys


async def test_a_rotated_key_is_found(people: People, idp: IdentityProvider, clock: FixedClock) -> None:
    await people.identify(f"Bearer {token(idp)}")
    idp.rotate()
    clock.advance(timedelta(seconds=11))
    assert (await people.identify(f"Bearer {token(idp)}")).id == "person-1"


async def test_a_withdrawn_key_stops_working_after_ten_minutes(
    people: People, idp: IdentityProvider, clock: FixedClock
) -> None:
    old = token(idp, exp=int(NOW) + 3600)
    await people.identify(f"Bearer {old}")
    idp.rotate()
    clock.advance(timedelta(minutes=10, seconds=1))
    await refused(people, f"Bearer {old}")


async def test_a_flood_of_unknown_keys_causes_one_fetch(people: People, idp: IdentityProvider) -> None:
    await people.identify(f"Bearer {token(idp)}")
    for number in range(20):
        stranger = RSAKey.import_key({**idp.keys[0].as_dict(private=True), "kid": f"made-up-{number}"})
        await refused(people, f"Bearer {token(idp, key=stranger)}")
    assert idp.fetches == 2


async def test_an_unreachable_provider_is_unavailable_and_not_a_bad_token(
    people: People, idp: IdentityProvider
) -> None:
    idp.down = True
    with pytest.raises(IdentityProviderUnavailable) as caught:
        await people.identify(f"Bearer {token(idp)}")
    assert caught.value.status == 503
    assert caught.value.code == "identity_provider_unavailable"
    assert caught.value.headers["Retry-After"] == "5"


async def test_the_provider_is_found_again_when_it_is_back(
    people: People, idp: IdentityProvider, clock: FixedClock
) -> None:
    idp.down = True
    with pytest.raises(IdentityProviderUnavailable):
        await people.identify(f"Bearer {token(idp)}")
    idp.down = False
    clock.advance(timedelta(seconds=1))
    assert (await people.identify(f"Bearer {token(idp)}")).id == "person-1"


async def test_known_keys_go_on_working_while_the_provider_is_away(
    people: People, idp: IdentityProvider, clock: FixedClock
) -> None:
    await people.identify(f"Bearer {token(idp)}")
    idp.down = True
    clock.advance(timedelta(minutes=30))
    assert (await people.identify(f"Bearer {token(idp, exp=int(NOW) + 3600)}")).id == "person-1"


async def test_known_keys_are_not_believed_for_ever(people: People, idp: IdentityProvider, clock: FixedClock) -> None:
    await people.identify(f"Bearer {token(idp)}")
    idp.down = True
    clock.advance(timedelta(hours=1, seconds=1))
    with pytest.raises(IdentityProviderUnavailable):
        await people.identify(f"Bearer {token(idp, exp=int(NOW) + 7200)}")


async def test_a_discovery_document_of_another_issuer_is_not_believed(people: People, idp: IdentityProvider) -> None:
    idp.issuer = "http://localhost:8080/realms/other"
    with pytest.raises(IdentityProviderUnavailable):
        await people.identify(f"Bearer {token(idp)}")
