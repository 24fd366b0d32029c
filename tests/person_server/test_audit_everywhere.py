"""Whatever changes something writes it down: every endpoint that is not only read, one after the other.

A new endpoint makes `test_every_endpoint_that_changes_something_is_walked` fail until it has a step here, or a line in
``SILENT`` with the reason why there is nothing to tell.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from starlette.routing import Route

from aauthkit.database import reading
from aauthkit.drafts import DRAFT_11
from aauthkit.keys import PrivateKey
from aauthkit.person_server.storage.schema.audit import audit
from tests.person_server.elsewhere import Provider, brought
from tests.person_server.native import BETWEEN, HERE, NativeResource, publish
from tests.person_server.revoking import provider, revoke
from tests.person_server.talking import TALKS, TalkingAgent, person_token, talking_agent
from tests.person_server.world import Agent, Person, World, code_of, world_at

pytestmark = pytest.mark.anyio

SILENT = {
    "POST /ui/administration/providers/look": "a provider is looked at; trusting it is another step",
    "POST /admin/providers/look": "a provider is looked at; trusting it is another step",
    "POST /ui/enrol": "a code was typed, and nothing is decided by that",
    "POST /person/registrations/claim": "a code was typed, and nothing is decided by that",
    "POST /ui/inbox/{id}/go": "the person goes to the resource's page; that they were there is told when it ends",
    "POST /ui/passkeys/sign-in/options": "a challenge is made",
    "POST /ui/passkeys/confirm/options": "a challenge is made",
    "POST /ui/passkeys/options": "a challenge is made",
    "POST /ui/join/{token}/options": "a challenge is made",
}
# These need a mail server; the store writes down both.
IN_TEST_NOTIFICATION = {
    "POST /ui/notification/address",
    "POST /ui/notification/confirm",
    "POST /person/notification/address",
}
# These are for servers without an identity provider.
IN_TEST_ADMINISTRATORS = {
    "POST /ui/administration/people/{id}/administrator",
    "POST /admin/people/{id}/administrator",
    "POST /ui/administration/people/{id}/name",
    "POST /admin/people/{id}/rename",
}
# These need an authenticator.
IN_TEST_PASSKEYS = {
    "POST /ui/passkeys/sign-in",
    "POST /ui/passkeys/confirm",
    "POST /ui/passkeys",
    "POST /ui/passkeys/{id}/rename",
    "POST /ui/passkeys/{id}/remove",
    "DELETE /person/passkeys/{id}",
    "POST /ui/join/{token}",
    "POST /ui/people",
    "POST /ui/people/invitations/{id}/withdraw",
}

Step = Callable[["Walk"], Awaitable[httpx2.Response]]


class Walk:
    """A world with everybody in it, and what was told in it."""

    def __init__(self, world: World, agent: TalkingAgent, person: Person) -> None:
        self.world = world
        self.agent = agent
        self.person = person

    async def told(self) -> list[str]:
        engine = self.world.open_database()
        try:
            async with reading(engine) as connection:
                query = select(audit.c.kind, audit.c.outcome).order_by(audit.c.seq)
                return [f"{row.kind} {row.outcome}" for row in await connection.execute(query)]
        finally:
            await engine.dispose()

    async def press(self, path: str, **fields: str) -> httpx2.Response:
        return await self.person.client.post(path, data=fields | {"csrf_token": await self.person.csrf()})

    async def delete(self, path: str) -> httpx2.Response:
        return await self.person.client.delete(path, headers={"X-CSRF-Token": await self.person.csrf()})

    async def asked(self, scope: str = "a:read a:write") -> tuple[httpx2.Response, str]:
        resource = NativeResource(self.world)
        presented = await person_token(self.agent, self.person, resource)
        answer = await self.agent.auth(resource.token(presented, scope=scope), presented, capabilities=TALKS)
        found = await self.person.client.get("/consent", params={"code": code_of(answer)})
        return answer, str(found.json()["pending_id"])

    async def item(self, **members: Any) -> str:
        path = "/permission" if "action" in members else "/interaction"
        assert (await self.agent.post(path, **members)).status_code == 202
        return str((await self.person.client.get("/person/inbox")).json()[0]["id"])

    async def enrolling(self) -> str:
        code = (await Agent(self.world).register()).json()["code"]
        return str((await self.person.post("/person/registrations/claim", {"code": code})).json()["id"])

    async def allowed(self) -> str:
        asked, pending_id = await self.asked()
        await self.person.decide(pending_id, True)
        answer = await self.agent.poll(asked.headers["location"])
        assert answer.status_code == 200, answer.text
        tokens = (await self.person.client.get("/person/activity", params={"kind": "token"})).json()["rows"]
        return str(tokens[0]["row"]["jti"])


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    """The person who walks administers it."""
    async with world_at(tmp_path, admin_role="administrator") as running:
        running.idp.roles["mcp-user"] = ["administrator"]
        yield running


@pytest.fixture
async def walk(world: World) -> Walk:
    person = await world.person()
    return Walk(world, await talking_agent(world), person)


async def _registered(walk: Walk) -> httpx2.Response:
    return await Agent(walk.world).register()


async def _asked(walk: Walk) -> httpx2.Response:
    return (await walk.asked())[0]


async def _decided(walk: Walk) -> httpx2.Response:
    return await walk.person.decide((await walk.asked())[1], False)


async def _answered(walk: Walk) -> httpx2.Response:
    pending, pending_id = await walk.asked()
    await walk.press(f"/ui/requests/{pending_id}/ask", question="Why?")
    return await walk.agent.respond(pending, action="clarification_response", clarification_response="So.")


async def _rule_removed(walk: Walk) -> httpx2.Response:
    await walk.person.post("/admin/consent-scopes", {"scope": "b:c"})
    return await walk.delete("/admin/consent-scopes/b:c")


async def _withdrawn(walk: Walk) -> httpx2.Response:
    return await walk.agent.withdraw((await walk.asked())[0])


async def _consent(walk: Walk) -> str:
    await walk.allowed()
    return str((await walk.person.client.get("/person/consents")).json()[0]["id"])


async def _left_out(walk: Walk) -> str:
    _, pending_id = await walk.asked()
    await walk.person.decide(pending_id, True, scopes=["a:read"])
    found = (await walk.person.client.get("/person/left-out")).json()
    return str(found[0]["id"])


async def _elsewhere(walk: Walk) -> str:
    await walk.world.person()
    found = (await walk.person.client.get("/person/sessions")).json()
    return next(str(session["id"]) for session in found if not session["current"])


async def _linked(walk: Walk) -> httpx2.Response:
    enrolment = await walk.enrolling()
    return await walk.person.post(f"/person/registrations/{enrolment}/link", {"agent_id": walk.agent.agent_id})


async def _ticket(walk: Walk) -> str:
    await walk.person.post("/person/tickets", {"minutes": 5})
    return str((await walk.person.client.get("/person/tickets")).json()[0]["id"])


async def _other_person(walk: Walk) -> str:
    await walk.world.person("other-user")
    found = await walk.person.client.get("/admin/people", params={"q": "other-user"})
    return str(found.json()["people"][0]["id"])


async def _disabled(walk: Walk) -> str:
    whose = await _other_person(walk)
    await walk.person.post(f"/admin/people/{whose}/disable")
    return whose


async def _rule_made(walk: Walk) -> str:
    await walk.person.post("/admin/policy", {"kind": "exact", "value": "x:y", "asks": True})
    return "x:y"


async def _looked_at(walk: Walk) -> str:
    """The thumbprint of its key."""
    key = PrivateKey.generate()
    publish(walk.world.network, BETWEEN, "aauth-agent.json", key, {})
    return key.thumbprint


async def _trusted(walk: Walk) -> str:
    keys = [await _looked_at(walk)]
    await walk.person.post("/admin/providers", {"issuer": BETWEEN, "keys": keys, "pinned": True})
    return BETWEEN


async def _trust_json(walk: Walk) -> httpx2.Response:
    keys = [await _looked_at(walk)]
    return await walk.person.post("/admin/providers", {"issuer": BETWEEN, "keys": keys, "pinned": False})


async def _trust_removed(walk: Walk) -> httpx2.Response:
    return await walk.person.post("/admin/providers/remove", {"issuer": await _trusted(walk)})


async def _newcomer(walk: Walk) -> str:
    """The request of an agent elsewhere, in this person's hands."""
    there = Provider(walk.world.network)
    keys = [there.key.thumbprint]
    await walk.person.post("/admin/providers", {"issuer": there.issuer, "keys": keys, "pinned": True})
    return await brought(walk.person, await there.agent(walk.world).meets())


async def _revoked_elsewhere(walk: Walk) -> str:
    await walk.person.post(f"/consent/{await _newcomer(walk)}/agent", {"approved": True})
    bindings = (await walk.person.client.get("/person/bindings")).json()
    [agent_id] = [each["agent_id"] for each in bindings if each["provider"]]
    await walk.person.post(f"/person/bindings/{agent_id}/revoke")
    return str(agent_id)


QUESTION: dict[str, Any] = {"type": "question", "question": "Where?"}


async def _sub_agent(walk: Walk) -> httpx2.Response:
    stable = walk.agent
    body = {"sub_agent": "worker", "sub_agent_pub": PrivateKey.generate().public.as_jwk(DRAFT_11)}
    return await stable.delegated("POST", "/sub-agent", body)


async def _revoked(walk: Walk) -> httpx2.Response:
    return await revoke(walk.world, provider(walk.world), "jti-1")


async def _opened(walk: Walk) -> str:
    _, pending_id = await walk.asked()
    await walk.person.client.get(f"/ui/requests/{pending_id}")
    return pending_id


async def _question(walk: Walk) -> str:
    return await walk.item(**QUESTION)


async def _permission(walk: Walk) -> str:
    return await walk.item(action="Send")


def pressing(path: str, before: Callable[[Walk], Awaitable[str]], **fields: str) -> Step:
    """Press the button of a page; ``before`` makes what it is about, whose id goes into the path or a field."""

    async def step(walk: Walk) -> httpx2.Response:
        made = await before(walk)
        return await walk.press(path.format(made), **{name: text.format(made) for name, text in fields.items()})

    return step


def posting(path: str, before: Callable[[Walk], Awaitable[str]], **members: Any) -> Step:
    async def step(walk: Walk) -> httpx2.Response:
        return await walk.person.post(path.format(await before(walk)), members)

    return step


def deleting(path: str, before: Callable[[Walk], Awaitable[str]]) -> Step:
    async def step(walk: Walk) -> httpx2.Response:
        return await walk.delete(path.format(await before(walk)))

    return step


async def _agent_id(walk: Walk) -> str:
    return walk.agent.agent_id


async def _pending(walk: Walk) -> str:
    return (await walk.asked())[1]


ALLOWED: Callable[[Walk], Awaitable[str]] = Walk.allowed
ENROLLING: Callable[[Walk], Awaitable[str]] = Walk.enrolling


# Each endpoint, what is done at it, and the event that is told of it.
async def _signed_out_by_the_provider(walk: Walk) -> httpx2.Response:
    token = walk.world.idp.logout_token(sub="subject-of-mcp-user")
    return await walk.world.browser().post("/ui/provider-logout", data={"logout_token": token})


STEPS: dict[str, tuple[str, Step]] = {
    "POST /register": ("agent asked", _registered),
    "POST /refresh": ("token issued", lambda walk: walk.agent.delegated("POST", "/refresh", {})),
    "POST /sub-agent": ("token issued", _sub_agent),
    "POST /person/registrations/{id}/approve": (
        "agent approved",
        posting("/person/registrations/{}/approve", ENROLLING),
    ),
    "POST /person/registrations/{id}/deny": ("agent denied", posting("/person/registrations/{}/deny", ENROLLING)),
    "POST /ui/enrolments/{id}": ("agent denied", pressing("/ui/enrolments/{}", ENROLLING, decision="deny")),
    "POST /person/registrations/{id}/link": ("agent linked", _linked),
    "POST /person/bindings/{agent_id}/rename": (
        "agent renamed",
        posting("/person/bindings/{}/rename", _agent_id, name="Mine"),
    ),
    "POST /ui/agents/{agent_id}/name": ("agent renamed", pressing("/ui/agents/{}/name", _agent_id, name="Mine")),
    "POST /person/tickets": ("ticket added", posting("/person/tickets", _agent_id, minutes=5)),
    "POST /ui/tickets": ("ticket added", pressing("/ui/tickets", _agent_id, minutes="5")),
    "DELETE /person/tickets/{id}": ("ticket removed", deleting("/person/tickets/{}", _ticket)),
    "POST /ui/tickets/{id}/withdraw": ("ticket removed", pressing("/ui/tickets/{}/withdraw", _ticket)),
    "POST /person": ("request asked", lambda walk: walk.agent.person(HERE, capabilities=TALKS)),
    "POST /token": ("request asked", _asked),
    "POST /interaction": ("question asked", lambda walk: walk.agent.post("/interaction", **QUESTION)),
    "POST /permission": ("permission asked", lambda walk: walk.agent.post("/permission", action="Send")),
    "POST /pending/{handle}": ("clarification answered", _answered),
    "DELETE /pending/{handle}": ("request withdrawn", _withdrawn),
    "POST /revoke": ("revocation received", _revoked),
    "POST /consent/{pending_id}/decision": ("request denied", _decided),
    "POST /consent/{pending_id}/agent": ("agent approved", posting("/consent/{}/agent", _newcomer, approved=True)),
    "POST /ui/requests/{pending_id}/let-in": (
        "agent denied",
        pressing("/ui/requests/{}/let-in", _newcomer, decision="deny"),
    ),
    "POST /person/bindings/{agent_id}/again": (
        "agent approved",
        posting("/person/bindings/{}/again", _revoked_elsewhere),
    ),
    "POST /ui/agents/{agent_id}/again": ("agent approved", pressing("/ui/agents/{}/again", _revoked_elsewhere)),
    "POST /person/bindings/{agent_id}/revoke": ("agent revoked", posting("/person/bindings/{}/revoke", _agent_id)),
    "POST /person/tokens/{jti}/revoke": ("token revoked", posting("/person/tokens/{}/revoke", ALLOWED)),
    "DELETE /person/consents/{id}": ("consent withdrawn", deleting("/person/consents/{}", _consent)),
    "DELETE /person/left-out/{id}": ("rule removed", deleting("/person/left-out/{}", _left_out)),
    "POST /ui/ask-again": ("rule removed", pressing("/ui/ask-again", _left_out, left_out_id="{}")),
    "POST /admin/consent-scopes": ("rule set", posting("/admin/consent-scopes", _agent_id, scope="x:y")),
    "DELETE /admin/consent-scopes/{scope:path}": ("rule removed", _rule_removed),
    "POST /ui/requests/{pending_id}/ask": (
        "clarification asked",
        pressing("/ui/requests/{}/ask", _pending, question="Why?"),
    ),
    "POST /ui/decide/{pending_id}": ("request abandoned", pressing("/ui/decide/{}", _opened, decision="leave")),
    "POST /ui/inbox/{id}/answer": ("question answered", pressing("/ui/inbox/{}/answer", _question, answer="There.")),
    "POST /ui/inbox/{id}/decline": ("question denied", pressing("/ui/inbox/{}/decline", _question)),
    "POST /ui/inbox/{id}/permission": (
        "permission approved",
        pressing("/ui/inbox/{}/permission", _permission, decision="once"),
    ),
    "POST /ui/permissions": (
        "rule set",
        pressing("/ui/permissions", _agent_id, agent_id="{}", action="Send", say="grant"),
    ),
    "POST /person/inbox/{id}": ("permission denied", posting("/person/inbox/{}", _permission, granted=False)),
    "POST /ui/sessions/end-others": ("session ended", pressing("/ui/sessions/end-others", _elsewhere)),
    "POST /ui/sessions/{id}/end": ("session ended", pressing("/ui/sessions/{}/end", _elsewhere)),
    "DELETE /person/sessions": ("session ended", deleting("/person/sessions", _elsewhere)),
    "DELETE /person/sessions/{id}": ("session ended", deleting("/person/sessions/{}", _elsewhere)),
    "POST /ui/logout": ("session closed", pressing("/ui/logout", _agent_id)),
    "POST /ui/provider-logout": ("session ended", _signed_out_by_the_provider),
    "POST /ui/revoke": ("agent revoked", pressing("/ui/revoke", _agent_id, agent_id="{}")),
    "POST /ui/tokens/revoke": ("token revoked", pressing("/ui/tokens/revoke", ALLOWED, jti="{}")),
    "POST /ui/withdraw": ("consent withdrawn", pressing("/ui/withdraw", _consent, consent_id="{}")),
    "POST /person/notification/email": (
        "setting changed",
        posting("/person/notification/email", _agent_id, tell=False),
    ),
    "POST /person/notification/webhook": (
        "setting changed",
        posting("/person/notification/webhook", _agent_id, url=None),
    ),
    "POST /ui/notification/email": ("setting changed", pressing("/ui/notification/email", _agent_id, tell="no")),
    "POST /ui/notification/webhook": ("setting changed", pressing("/ui/notification/webhook", _agent_id, tell="no")),
    "POST /ui/administration/people/{id}/disable": (
        "person disabled",
        pressing("/ui/administration/people/{}/disable", _other_person),
    ),
    "POST /admin/people/{id}/disable": ("person disabled", posting("/admin/people/{}/disable", _other_person)),
    "POST /ui/administration/people/{id}/enable": (
        "person approved",
        pressing("/ui/administration/people/{}/enable", _disabled),
    ),
    "POST /admin/people/{id}/enable": ("person approved", posting("/admin/people/{}/enable", _disabled)),
    "POST /ui/administration/agents/revoke": (
        "agent revoked",
        pressing("/ui/administration/agents/revoke", _agent_id, agent_id="{}"),
    ),
    "POST /admin/agents/{agent_id}/revoke": ("agent revoked", posting("/admin/agents/{}/revoke", _agent_id)),
    "POST /ui/administration/enrolments/{id}/decline": (
        "agent denied",
        pressing("/ui/administration/enrolments/{}/decline", ENROLLING),
    ),
    "POST /admin/enrolments/{id}/decline": ("agent denied", posting("/admin/enrolments/{}/decline", ENROLLING)),
    "POST /ui/administration/policy": (
        "rule set",
        pressing("/ui/administration/policy", _agent_id, kind="exact", value="x:y", ask="yes"),
    ),
    "POST /admin/policy": ("rule set", posting("/admin/policy", _agent_id, kind="exact", value="x:y", asks=True)),
    "POST /ui/administration/policy/remove": (
        "rule removed",
        pressing("/ui/administration/policy/remove", _rule_made, kind="exact", value="{}"),
    ),
    "POST /admin/policy/remove": (
        "rule removed",
        posting("/admin/policy/remove", _rule_made, kind="exact", value="x:y"),
    ),
    "POST /ui/administration/providers": (
        "provider set",
        pressing("/ui/administration/providers", _looked_at, issuer=BETWEEN, keys="{}", how="pinned"),
    ),
    "POST /admin/providers": ("provider set", _trust_json),
    "POST /ui/administration/providers/remove": (
        "provider removed",
        pressing("/ui/administration/providers/remove", _trusted, issuer="{}"),
    ),
    "POST /admin/providers/remove": ("provider removed", _trust_removed),
    "POST /ui/rules": ("rule set", pressing("/ui/rules", _agent_id, kind="exact", value="x:y", ask="yes")),
}


@pytest.mark.parametrize("endpoint", STEPS)
async def test_what_an_endpoint_changes_is_written_down(walk: Walk, endpoint: str) -> None:
    event, step = STEPS[endpoint]
    before = await walk.told()
    answer = await step(walk)
    assert answer.status_code < 400, answer.text
    told = await walk.told()
    assert event in told[len(before) :]


async def test_every_endpoint_that_changes_something_is_walked(world: World) -> None:
    found = {
        f"{method} {route.path}"
        for route in world.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method not in ("GET", "HEAD")
    }
    walked = {*STEPS, *SILENT, *IN_TEST_PASSKEYS, *IN_TEST_NOTIFICATION, *IN_TEST_ADMINISTRATORS}
    assert found - walked == set(), "give it a step in STEPS, and the store a row (person_server/storage/audit.py)"
    assert walked - found == set(), "these are gone"
