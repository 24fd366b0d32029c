"""Trusted agent providers, for administrators: looked at, trusted as they are or pinned to their keys, removed.

Looking changes nothing. What a provider says of itself is shown as its own words.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import TEXT, TIME, TRUTH, Caller, describes, list_of, members, or_null, text
from aauthkit.errors import InvalidRequest
from aauthkit.keys import fingerprint
from aauthkit.person_server.agents.providers import Looked, TrustedProviders
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage.trusted import TrustedProvider
from aauthkit.person_server.web.administering import Administering
from aauthkit.person_server.web.presentation import when
from aauthkit.person_server.web.sessions import Sessions
from aauthkit.person_server.web.showing import one_of, page, text_in
from aauthkit.serving import answer, text_member

_LONGEST_ISSUER, _MOST_KEYS, _LONGEST_KEY = 2048, 100, 64

_PROVIDER = members(
    {
        "issuer": TEXT,
        "name": TEXT,
        "pinned_to": or_null(list_of(TEXT)),
        "looked_at": TIME,
        "looked_by": TEXT,
    }
)
_ISSUER = {"issuer": text(_LONGEST_ISSUER, required=True)}
_LOOKED = members(
    {
        "issuer": TEXT,
        "name": TEXT,
        "agent_domain": TEXT,
        "keys": list_of(members({"kid": TEXT, "thumbprint": TEXT, "fingerprint": TEXT, "alg": TEXT})),
    }
)
_TRUSTED = members({**_ISSUER, "keys": list_of(text(_LONGEST_KEY, required=True)), "pinned": TRUTH})


class ProviderPages(Administering):
    """The page, and the same as JSON."""

    def __init__(self, settings: PersonServerSettings, *, sessions: Sessions, providers: TrustedProviders) -> None:
        super().__init__(settings, sessions)
        self._providers = providers

    def routes(self) -> list[Route]:
        return [
            Route("/ui/administration/providers", self.show_all, methods=["GET"]),
            Route("/ui/administration/providers", self.trust, methods=["POST"]),
            Route("/ui/administration/providers/look", self.look, methods=["POST"]),
            Route("/ui/administration/providers/look", self.look_again, methods=["GET"]),
            Route("/ui/administration/providers/remove", self.remove, methods=["POST"]),
            Route("/admin/providers", self.listed, methods=["GET"]),
            Route("/admin/providers", self.trust_json, methods=["POST"]),
            Route("/admin/providers/look", self.look_json, methods=["POST"]),
            Route("/admin/providers/remove", self.remove_json, methods=["POST"]),
        ]

    # Pages

    @page
    async def show_all(self, request: Request) -> Response:
        signed_in = await self.administrator(request)
        return self.show_administrator(
            "administration_providers.html",
            signed_in,
            providers=await self._providers.all(),
            configured=self._settings.intermediaries,
            own=self._settings.issuer,
        )

    @page
    async def look(self, request: Request) -> Response:
        """What is there now, and the question whether to trust it."""
        signed_in, form = await self.administrators_form(request)
        looked = await self._providers.look(text_in(form, "issuer"))
        before = {each.issuer: each for each in await self._providers.all()}.get(looked.issuer)
        return self.show("administration_provider.html", signed_in, looked=looked, before=before)

    @page
    async def look_again(self, request: Request) -> Response:
        """Where somebody comes back to who was sent to sign in from the page that looking made."""
        await self.administrator(request)
        return _back()

    @page
    async def trust(self, request: Request) -> Response:
        signed_in, form = await self.administrators_form(request)
        seen = frozenset(text_in(form, "keys").split())
        pinned = one_of(form, "how", {"pinned": True, "as-it-is": False})
        await self._providers.add(text_in(form, "issuer"), seen=seen, pinned=pinned, by=signed_in.person)
        return _back()

    @page
    async def remove(self, request: Request) -> Response:
        signed_in, form = await self.administrators_form(request)
        await self._providers.remove(text_in(form, "issuer"), by=signed_in.person)
        return _back()

    # JSON

    @describes("Agent providers trusted here", Caller.PERSON, {200: list_of(_PROVIDER)}, refuses=(403,))
    async def listed(self, request: Request) -> Response:
        await self.administrator(request)
        return answer(200, [_provider_json(found) for found in await self._providers.all()])

    @describes(
        "What an agent provider publishes now",
        Caller.PERSON,
        {200: _LOOKED},
        takes=members(_ISSUER),
        refuses=(409, 503),
    )
    async def look_json(self, request: Request) -> Response:
        _, wanted = await self.administrators_members(request)
        return answer(200, _looked_json(await self._providers.look(_issuer(wanted))))

    @describes(
        "Trust an agent provider as it was seen",
        Caller.PERSON,
        {200: _PROVIDER},
        takes=_TRUSTED,
        refuses=(409, 503),
    )
    async def trust_json(self, request: Request) -> Response:
        """``keys`` are the thumbprints that were seen; with ``pinned`` it is believed under these only."""
        signed_in, wanted = await self.administrators_members(request)
        pinned, seen = wanted.get("pinned"), _keys(wanted)
        if not isinstance(pinned, bool):
            raise InvalidRequest("The member pinned is true or false.")
        return answer(
            200,
            _provider_json(await self._providers.add(_issuer(wanted), seen=seen, pinned=pinned, by=signed_in.person)),
        )

    @describes(
        "No longer trust an agent provider", Caller.PERSON, {200: members({})}, takes=members(_ISSUER), refuses=(404,)
    )
    async def remove_json(self, request: Request) -> Response:
        signed_in, wanted = await self.administrators_members(request)
        await self._providers.remove(_issuer(wanted), by=signed_in.person)
        return answer(200, {})


def _back() -> Response:
    return RedirectResponse("/ui/administration/providers", status_code=303)


def _issuer(wanted: dict[str, Any]) -> str:
    return text_member(wanted, "issuer", longest=_LONGEST_ISSUER, required=True) or ""


def _keys(wanted: dict[str, Any]) -> frozenset[str]:
    keys = wanted.get("keys")
    if not isinstance(keys, list) or len(keys) > _MOST_KEYS or not all(isinstance(key, str) for key in keys):
        raise InvalidRequest("The member keys is the list of thumbprints you saw.")
    return frozenset(keys)


def _looked_json(looked: Looked) -> dict[str, Any]:
    return {
        "issuer": looked.issuer,
        "name": looked.name,
        "agent_domain": looked.agent_domain,
        "keys": [
            {
                "kid": key.kid,
                "thumbprint": key.thumbprint,
                "fingerprint": fingerprint(key.thumbprint),
                "alg": key.algorithm,
            }
            for key in looked.keys
        ],
    }


def _provider_json(found: TrustedProvider) -> dict[str, Any]:
    return {
        "issuer": found.issuer,
        "name": found.name,
        "pinned_to": None if found.pinned is None else sorted(found.pinned),
        "looked_at": when(found.looked_at),
        "looked_by": found.looked_by,
    }
