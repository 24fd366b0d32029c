"""The guard each agent and the tools keep for themselves: going round the gateway gains nothing.

It verifies exactly as the gateway's authorization service does and asks for the scope that the gateway's rules ask for,
but never challenges: a caller without an auth token is told so by the gateway, which holds the key for resource tokens.
Here such a call is simply 401.
"""

from __future__ import annotations

from starlette.types import ASGIApp

from aauthkit.clock import SystemClock
from aauthkit.demo.hosting.settings import Settings
from aauthkit.discovery import Discovery
from aauthkit.drafts import draft_named
from aauthkit.errors import PolicyDenied
from aauthkit.fetching import HTTPFetcher
from aauthkit.flow import AsyncFetcher
from aauthkit.httpsig.replay import ReplayCache
from aauthkit.identifiers import AgentIdentifier
from aauthkit.resource.admission import Verification
from aauthkit.resource.asgi import AAuthMiddleware, Authorize
from aauthkit.resource.deferred import INTERACTION_PATH, DeferredResponses
from aauthkit.resource.revocation_store import FileRevocations
from aauthkit.resource.settings import Require, Resource
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import VerifiedRequest

# Health and documents are for everybody. The interaction address is where a person's browser comes by, which signs
# nothing.
OPEN_PATHS = ("/health", "/.well-known/", INTERACTION_PATH)


def guarded(
    app: ASGIApp, settings: Settings, *, needs_scope: str | None, fetcher: AsyncFetcher | None = None
) -> ASGIApp:
    """`app` behind verification, able to defer its answers until a person has decided further down the chain.

    `needs_scope` is what an auth token must allow; None where it is enough to know the agent.
    """
    clock = SystemClock()
    return AAuthMiddleware(
        DeferredResponses(app, origin=settings.issuer),
        resource=resource(settings, needs_auth_token=needs_scope is not None),
        verification=Verification(
            discovery=Discovery(clock=clock, development=True),
            replays=ReplayCache(100_000),
            clock=clock,
            revocations=FileRevocations(settings.revocations, clock=clock) if settings.revocations else None,
        ),
        fetcher=fetcher or HTTPFetcher(development=True),
        open_paths=OPEN_PATHS,
        authorize=_policy(settings, needs_scope),
    )


def _policy(settings: Settings, needs_scope: str | None) -> Authorize:
    """The gateway's rules, for those who come round it: an agent of ours, with the scope."""

    async def authorize(verified: VerifiedRequest) -> None:
        token = verified.auth_token
        if token is None:
            return
        # Draft 11 tells a resource no agent; which person servers may speak for people is the trust above.
        if token.agent is not None and AgentIdentifier.parse(token.agent).domain != settings.agent_domain:
            raise PolicyDenied("Agents of this domain are not served here.")
        if needs_scope is not None and needs_scope not in token.scopes:
            raise PolicyDenied(f"The auth token does not allow {needs_scope}.")

    return authorize


def resource(settings: Settings, *, needs_auth_token: bool) -> Resource:
    """What is required here: an auth token for this very resource, or else a known agent."""
    provider = TrustedIssuer(issuer=settings.provider, domain=settings.agent_domain)
    publishing = settings.scheme == "jwks_uri" and not needs_auth_token
    signers = (provider, TrustedIssuer(issuer=settings.publisher)) if publishing else (provider,)
    tokens = {auth_tokens.TYP} if needs_auth_token else {agent_tokens.TYP, auth_tokens.TYP}
    return Resource(
        issuer=settings.issuer,
        # Identity is all that is asked beyond verification: with auth tokens as the only ones accepted, a verified
        # request is an authorized one.
        require=Require.IDENTITY,
        draft=draft_named(settings.draft),
        agent_providers=Trust.only(signers),
        auth_issuers=Trust.only([TrustedIssuer(issuer=settings.provider)]),
        development=True,
        schemes=frozenset({"jwt", "jwks_uri"} if publishing else {"jwt"}),
        token_types=frozenset(tokens),
    )
