"""What the person server publishes and what people and their scripts read, to the member (CONTRACT §6)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aauthkit import jwt as jws
from aauthkit.keys import fingerprint
from tests.person_server.test_pending import arrive, deferred
from tests.person_server.world import ISSUER, World, code_of

pytestmark = pytest.mark.anyio


@pytest.mark.conformance("11:§11.2.2-1", "11:§11.2.2-2", "11:§11.2.2-3", "PS-01", "PS-02", "PS-03", "PS-05")
async def test_the_metadata_names_the_endpoints_that_are_served__11_2_2(world: World) -> None:
    answer = await world.client.get("/.well-known/aauth-person.json")
    assert answer.status_code == 200
    assert answer.json() == {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
        "name": "aauthkit person server",
        "accept_signature_algs": ["Ed25519", "ES256"],
        "token_endpoint": f"{ISSUER}/token",
        "auth_token_endpoint": f"{ISSUER}/token",
        "person_token_endpoint": f"{ISSUER}/person",
        "interaction_endpoint": f"{ISSUER}/interaction",
        "permission_endpoint": f"{ISSUER}/permission",
        "revocation_endpoint": f"{ISSUER}/revoke",
        "scopes_supported": ["email", "openid", "profile", "require:user"],
        "claims_supported": ["sub", "preferred_username", "email"],
    }


async def test_health(world: World) -> None:
    assert (await world.client.get("/health")).json() == {"status": "healthy", "service": "person-server"}


async def test_a_request_is_shown_with_the_words_of_who_asks_and_of_the_resource(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource, "a:read a:write", justification="Because it is Monday.")
    shown = (await person.client.get("/consent", params={"code": code_of(first)})).json()
    now = world.clock.now()
    assert shown == {
        "pending_id": shown["pending_id"],
        "agent_name": "backend",
        "agent_id": agent.agent_id,
        "on_behalf_of": [],
        "resource_name": "A resource <b>",
        "resource_iss": resource.issuer,
        "scopes": {"a:read": "Read", "a:write": "Write"},
        "asked_scopes": ["a:write"],
        "justification": "Because it is Monday.",
        "status": "pending",
        "created_at": datetime.fromtimestamp(now, UTC).isoformat(),
        "expires_at": datetime.fromtimestamp(now + 600, UTC).isoformat(),
    } | {
        "type": "auth",
        "account": None,
        "granted_scopes": None,
        "code": code_of(first),
        "seen": shown["seen"],
        "agent": {
            "agent_id": agent.agent_id,
            "agent_name": "backend",
            "given_name": None,
            "provider": ISSUER,
            "known_since": datetime.fromtimestamp(now, UTC).isoformat(),
        },
        "acting_for": [],
        "resource_description": "",
        "resource_logo": None,
        "resource_verified": {"metadata": True, "signature": True, "encrypted": False},
        "discloses": {},
        "asked_every_time": [],
        "introduction": None,
        "durations": ["once", "hour", "day", "until_revoked"],
        "default_duration": "once",
    }


async def test_a_decision_is_answered_with_nothing_more(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    for approved in (False, True):
        decided = await person.decide(await arrive(person, await deferred(agent, resource)), approved)
        assert (decided.status_code, decided.json()) == (200, {})


async def test_agents_are_listed_with_what_they_are(world: World) -> None:
    agent, person = await world.agent(callback_origins=["http://localhost:3050"]), await world.person()
    assert (await person.client.get("/person/bindings")).json() == [
        {
            "agent_id": agent.agent_id,
            "provider": None,
            "agent_name": "backend",
            "given_name": None,
            "stable_jkt": agent.stable.thumbprint,
            "keys": [
                {
                    "stable_jkt": agent.stable.thumbprint,
                    "fingerprint": fingerprint(agent.stable.thumbprint),
                    "added_at": datetime.fromtimestamp(world.clock.now(), UTC).isoformat(),
                    "status": "active",
                }
            ],
            "created_at": datetime.fromtimestamp(world.clock.now(), UTC).isoformat(),
            "status": "active",
            "resources": [],
            "callback_origins": ["http://localhost:3050"],
            "last_used": None,
            "sub_agent_count": 0,
            "looks_like": [],
            "provider_trusted": True,
        }
    ]
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    assert (await person.client.get("/person/bindings")).json()[0]["status"] == "revoked"


async def test_issued_tokens_are_listed_by_their_claims_and_never_themselves(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    token = (await agent.ask(resource.token(agent))).json()["auth_token"]
    claims = jws.parse(token).claims
    listed = await person.client.get("/admin/issued-tokens")
    assert listed.json() == [
        {
            "jti": claims["jti"],
            "agent_id": agent.agent_id,
            "resource_iss": resource.issuer,
            "scope": "a:read",
            "act": {"sub": agent.agent_id},
            "sub": None,
            "upstream_jti": None,
            "issued_at": datetime.fromtimestamp(int(str(claims["iat"])), UTC).isoformat(),
            "expires_at": datetime.fromtimestamp(int(str(claims["exp"])), UTC).isoformat(),
        }
    ]
    assert token not in listed.text


async def test_consent_rules_are_read_added_and_taken_back_in_both_kinds(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    path, csrf = "/admin/consent-scopes", {"X-CSRF-Token": await person.csrf()}
    at_first = {"scopes": ["a:write"], "prefixes": ["email.", "profile.", "user."], "never_asked": [], "step_up": []}
    assert (await person.client.get(path)).json() == at_first

    added = await person.post(path, {"scope": "a:read"})
    assert (added.status_code, added.json()["scopes"]) == (200, ["a:read", "a:write"])
    assert (await agent.ask(resource.token(agent))).status_code == 202
    assert (await person.client.delete(f"{path}/a:read", headers=csrf)).json() == at_first
    assert (await agent.ask(resource.token(agent))).status_code == 200

    prefixed = await person.post(path, {"prefix": "a:r"})
    assert prefixed.json()["prefixes"] == ["a:r", "email.", "profile.", "user."]
    assert (await agent.ask(resource.token(agent))).status_code == 202
    removed = await person.client.delete(f"{path}/a:r", params={"kind": "prefix"}, headers=csrf)
    assert removed.json() == at_first
    assert (await agent.ask(resource.token(agent))).status_code == 200


@pytest.mark.parametrize("body", [{}, {"scope": ""}, {"scope": 5}, {"prefix": "two words"}])
async def test_a_rule_that_names_nothing_is_an_invalid_request(world: World, body: dict[str, object]) -> None:
    refused = await (await world.person()).post("/admin/consent-scopes", body)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


async def test_another_kind_of_rule_is_an_invalid_request(world: World) -> None:
    person = await world.person()
    refused = await person.client.delete(
        "/admin/consent-scopes/a:write", params={"kind": "regex"}, headers={"X-CSRF-Token": await person.csrf()}
    )
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
