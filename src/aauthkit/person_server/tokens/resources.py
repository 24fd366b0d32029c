"""What resources say: their resource tokens, the token each was given for, and their own words about themselves.

It judges and fetches; what follows from it is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_11, Draft
from aauthkit.errors import (
    AAuthError,
    InvalidPresentedToken,
    InvalidRequest,
    InvalidResourceToken,
    InvalidScope,
    RevokedPresentedToken,
    RevokedResourceToken,
    Unavailable,
)
from aauthkit.fetching import browser_address
from aauthkit.flow import AsyncFetcher, arun
from aauthkit.identifiers import endpoint_url
from aauthkit.keys import PublicKey
from aauthkit.person_server.agents.names import one_line
from aauthkit.person_server.settings import (
    ALWAYS_ASK,
    DISCOVERY_SECONDS,
    IDENTITY_SCOPES,
    PersonServerSettings,
)
from aauthkit.person_server.signing import SigningKeys
from aauthkit.person_server.storage import DecisionStore, Presented, ResourceWords, RevocationStore
from aauthkit.person_server.tokens.callers import Requester
from aauthkit.person_server.tokens.carried import judged_apart_from_expiry
from aauthkit.tokens.claims import AS_PRESENTED_TOKEN, AS_RESOURCE_TOKEN, Judge, parse, scope_values, verify
from aauthkit.tokens.presented import PresentedToken, judge_presented_token
from aauthkit.tokens.resource import DWK as RESOURCE_DWK
from aauthkit.tokens.resource import ResourceToken, judge_resource_token
from aauthkit.trust import TrustedIssuer

_log = logging.getLogger("aauthkit.person_server")
_LONGEST_NAME = 256
_LONGEST_DESCRIPTION = 1000
# AAuth-11 §15.11; another value counts as none.
_ACCESS_MODES = frozenset({"agent-token", "person-token", "session-token", "auth-token"})


@dataclass(frozen=True, kw_only=True)
class ResourceDescription:
    """What a resource says about itself. Shown to the person as its own words."""

    name: str
    scopes: Mapping[str, str]
    words: ResourceWords = field(default_factory=ResourceWords)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Judges what resources issued; every dependency is handed in."""

    settings: PersonServerSettings
    decisions: DecisionStore
    keys: SigningKeys
    discovery: Discovery
    fetcher: AsyncFetcher
    revocations: RevocationStore
    clock: Clock

    async def token(self, raw: str, requester: Requester, draft: Draft) -> ResourceToken:
        """Resource Token Verification; nothing is fetched before trust, form and claims are good."""
        token = parse(raw, AS_RESOURCE_TOKEN)
        judge = Judge(
            draft=draft, now=self.clock.now(), development=self.settings.development, errors=AS_RESOURCE_TOKEN
        )
        judged = judge_resource_token(
            token, judge, audience=self.settings.issuer, agent=requester.agent, agent_jkt=requester.jkt
        )
        if draft.person_tokens and judged.ps != self.settings.issuer:
            raise InvalidResourceToken("The resource token's ps is not this server.")
        entry = self.settings.resources.admit(judged.issuer)
        verify(token, await self._issuer_key(entry, token.kid, draft), draft, AS_RESOURCE_TOKEN)
        if judged.interaction is not None:
            # §7.2.3: the person is sent there, so the address is admitted first.
            with AS_RESOURCE_TOKEN.translated():
                browser_address(judged.interaction.url, development=self.settings.development)
        if await self.revocations.is_revoked(judged.issuer, judged.jti):
            raise RevokedResourceToken("The resource took the resource token back; call the resource again.")
        return judged

    async def presented(self, raw: str, resource_token: ResourceToken, requester: Requester) -> Presented:
        """§6.7.2 step 3: the token the resource was shown, and that the resource token is about it."""
        token = parse(raw, AS_PRESENTED_TOKEN)
        judge = Judge(
            draft=DRAFT_11, now=self.clock.now(), development=self.settings.development, errors=AS_PRESENTED_TOKEN
        )
        presented, expired = judged_apart_from_expiry(
            token, judge, lambda token, judge: judge_presented_token(token, judge, audience=resource_token.issuer)
        )
        if presented.key.thumbprint != resource_token.agent_jkt:
            raise InvalidPresentedToken("The presented token is bound to another key than the resource token.")
        # Only we issue what we accept here: no access server is federated with, so the key is our own.
        if (presented.issuer, presented.ps) != (self.settings.issuer, self.settings.issuer):
            raise InvalidPresentedToken("The presented token is not one this server issued.")
        key = self.keys.verifying(DRAFT_11.name, token.kid)
        if key is None:
            raise InvalidPresentedToken("The presented token is not signed by a key of this server.")
        verify(token, key, DRAFT_11, AS_PRESENTED_TOKEN)
        if await self.revocations.is_revoked(presented.issuer, presented.jti):
            raise RevokedPresentedToken("The presented token was revoked; get a person token, then a resource token.")
        if expired is not None:
            raise expired
        await self._check_record(presented, requester)
        if not resource_token.names(presented):
            _log.warning(
                "tampering? a resource token differs from the token it was given for: resource=%s jti=%s presented=%s",
                resource_token.issuer,
                resource_token.jti,
                presented.jti,
            )
            raise InvalidResourceToken("The resource token does not say what the presented token says.")
        return Presented(jti=presented.jti, sub=presented.sub, expires_at=presented.expires_at)

    async def _check_record(self, presented: PresentedToken, requester: Requester) -> None:
        """Whether our own record is of the same person, the same agent and the same `sub` (stricter than the text)."""
        record = await self.decisions.issued_person_token(presented.jti) or await self.decisions.issued(presented.jti)
        holder = (requester.token.issuer, requester.person_id, requester.subagent and requester.subagent.agent)
        if (
            record is None
            or (record.agent_issuer, record.person_id, record.subagent) != holder
            or (requester.upstream is None and record.agent != requester.agent)
            or await self.decisions.person_named(presented.audience, presented.sub) != requester.person_id
        ):
            raise InvalidPresentedToken("The presented token was not issued to this agent for this person.")

    async def description(self, resource: str, draft: Draft) -> ResourceDescription:
        """The resource's own words. A resource may publish none; then its identifier has to do."""
        try:
            async with asyncio.timeout(DISCOVERY_SECONDS):
                metadata = await arun(self.discovery.metadata(resource, RESOURCE_DWK), self.fetcher)
        except (AAuthError, TimeoutError):
            return ResourceDescription(name=resource, scopes={})
        scopes = metadata.get("scope_descriptions")
        access_mode = metadata.get("access_mode")
        return ResourceDescription(
            name=one_line(metadata.get(draft.metadata_name), _LONGEST_NAME) or resource,
            scopes={
                str(scope)[:256]: one_line(str(text), _LONGEST_DESCRIPTION) or str(scope)[:256]
                for scope, text in (scopes.items() if isinstance(scopes, dict) else ())
            },
            words=ResourceWords(
                published=True,
                description=_text(metadata.get("description"), _LONGEST_DESCRIPTION),
                access_mode=access_mode if isinstance(access_mode, str) and access_mode in _ACCESS_MODES else "",
                logo_uri=_logo(metadata.get("logo_uri"), development=self.settings.development),
            ),
        )

    async def _issuer_key(self, entry: TrustedIssuer, kid: str | None, draft: Draft) -> PublicKey:
        flow = self.discovery.key(entry.issuer, RESOURCE_DWK, kid, draft, jwks_uri=entry.jwks_uri)
        try:
            with AS_RESOURCE_TOKEN.translated():
                async with asyncio.timeout(DISCOVERY_SECONDS):
                    return await arun(flow, self.fetcher)
        except (Unavailable, TimeoutError) as error:
            if entry.listed:
                raise Unavailable("The resource does not answer; try again.", debug=repr(error)) from error
            # Whoever sent the token chose this resource, so its silence is the token's fault (CONTRACT §6).
            raise InvalidResourceToken("The resource named by the token does not answer.", debug=repr(error)) from error


def known_scopes(resource_token: ResourceToken, description: ResourceDescription, draft: Draft) -> tuple[str, ...]:
    """§11.10: a resource token includes only scopes the resource has described, or this server supports.

    Draft 01 lets a resource without descriptions ask for anything.
    """
    scopes = scope_values(resource_token.scope)
    if not draft.person_tokens:
        unknown = [scope for scope in scopes if description.scopes and scope not in {*description.scopes, *ALWAYS_ASK}]
        if unknown:
            raise InvalidScope("The resource token asks for a scope that its resource does not describe.")
        return scopes
    if not {*description.scopes, *ALWAYS_ASK, *IDENTITY_SCOPES}.issuperset(scopes):
        raise InvalidResourceToken(
            "The resource token asks for a scope that neither its resource describes nor this server supports."
        )
    return scopes


def _text(value: object, longest: int) -> str:
    """The same of a text of several lines."""
    if not isinstance(value, str):
        return ""
    return "\n".join(filter(None, (one_line(line, longest) for line in value[:longest].splitlines())))


def _logo(value: object, *, development: bool) -> str:
    """An address this server may fetch a logo from; admission of every fetch decides again."""
    named = one_line(value, _LONGEST_NAME)
    try:
        return endpoint_url(named, development=development) and named
    except InvalidRequest:
        return ""
