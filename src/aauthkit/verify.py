"""The one way a request is verified, by everybody: resource, proxy front ends, person server, agent provider, CLI.

``verify_request`` performs the steps of AAuth-11 §11.3.4 in order, each a named function; then the
digest is checked against the body, then replay. It is a flow: documents it needs are yielded as ``Fetch``. It returns a
``VerifiedRequest``, which nothing else can construct, and raises the one error tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, fields, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeAlias

from aauthkit import jwt as jws
from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import Draft
from aauthkit.errors import (
    ConfigurationError,
    InvalidJWT,
    InvalidKey,
    InvalidRequest,
    InvalidSignature,
    IssuerMismatch,
    IssuerMissing,
    RevokedJWT,
    SignatureError,
    Unavailable,
    UnknownKey,
    UnsupportedAlgorithm,
    UntrustedIssuer,
    UntrustedSigner,
)
from aauthkit.flow import Flow
from aauthkit.headers import requirement
from aauthkit.httpsig.components import BASE_COMPONENTS
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import Replays, fingerprint
from aauthkit.httpsig.verify import (
    Signature,
    check_coverage,
    check_digest,
    check_parameters,
    check_signature,
    check_times,
    read_signature,
    signature_labels,
)
from aauthkit.identifiers import server_identifier
from aauthkit.jwt import JWT
from aauthkit.keys import PublicKey
from aauthkit.remembered import Remembered, Signer, VerifiedTokens, key_of
from aauthkit.revocation import Revocations
from aauthkit.sigkey import (
    ConfirmationJWT,
    DelegationJWT,
    HeaderWebKey,
    PublishedKey,
    Scheme,
    SignatureKey,
    read_scheme,
    select_member,
)
from aauthkit.sigkey.jkt_jwt import Delegation
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.tokens.agent import AgentToken, judge_agent_token
from aauthkit.tokens.auth import AuthToken, judge_auth_token
from aauthkit.tokens.claims import IN_SIGNATURE_KEY, Judge
from aauthkit.tokens.person import PersonToken, judge_person_token
from aauthkit.tokens.presented import PresentedToken
from aauthkit.trust import Trust, TrustedIssuer

DEFAULT_WINDOW = timedelta(seconds=60)
# AAuth-11 §11.3.3.1: on requests with a body to a person server, an access server or any revocation endpoint.
BODY_COMPONENTS = ("content-type", "content-digest")
_NO_PUBLISHED: Mapping[str, Trust] = MappingProxyType({})
# What draft 11 says of an issuer's documents; draft 01 calls all of it a bad token.
_ISSUER_FAULTS = (UnknownKey, IssuerMissing, IssuerMismatch)


class Level(StrEnum):
    """How much is known about the caller: a key, who acts (and for whom), or also what was allowed."""

    PSEUDONYMOUS = "pseudonymous"
    IDENTIFIED = "identified"
    AUTHORIZED = "authorized"


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What a server asks of a request. What would fail open when forgotten has no default."""

    authorities: frozenset[str]
    """The host (and port) values this server answers to; a request signed for another is refused."""
    drafts: tuple[Draft, ...]
    schemes: frozenset[str]
    """Accepted Signature-Key schemes: `hwk`, `jkt-jwt`, `jwks_uri`, `jwt`."""
    token_types: frozenset[str]
    """Accepted `typ` values under `jwt`."""
    agent_providers: Trust
    auth_issuers: Trust
    """Who may issue person tokens and auth tokens."""
    audience: str | None
    """This server's identifier; person and auth tokens must name it."""
    development: bool
    published: Mapping[str, Trust] = field(default_factory=lambda: _NO_PUBLISHED)
    """Which servers may sign for themselves with `jwks_uri`, by their `dwk` (AAuth-11 §11.3.2); agent providers
    without an entry are judged by ``agent_providers``."""
    cover_body: bool = False
    """Whether a body must be covered where the draft says so: person and access servers, revocation endpoints."""
    cover: tuple[str, ...] = ()
    """Components asked for beyond the base profile (`additional_signature_components`)."""
    algorithms: frozenset[str] | None = None
    """RFC 9421 names of the algorithms accepted of a caller's key (`accept_signature_algs`); ``None`` is every one."""
    window: timedelta = DEFAULT_WINDOW
    authority: str | None = None
    """The authority clients sign, when a proxy hides it (`authority_override`)."""
    allow_unsafe_replay: bool = False
    """Named relaxation for peers whose signer cannot tell two equal calls in a second apart (DESIGN §4 rule 1)."""

    def __post_init__(self) -> None:
        if not self.authorities and self.authority is None:
            raise ConfigurationError("A server that verifies must know the host names it answers to.")
        if not self.drafts:
            raise ConfigurationError("A server that verifies must speak a draft.")
        if {auth_tokens.TYP, person_tokens.TYP} & self.token_types and self.audience is None:
            raise ConfigurationError("A server that accepts person or auth tokens must know its own identifier.")

    @cached_property
    def reads_base64url(self) -> bool:
        """Whether one of the drafts lets a signature be written in base64url."""
        return any(draft.base64url_signatures for draft in self.drafts)


_PROOF = object()


@dataclass(frozen=True, kw_only=True)
class VerifiedRequest:
    """A request whose signature, key, token, digest and freshness were checked; only ``verify_request`` makes one."""

    message: Message = field(repr=False)
    scheme: str
    draft: Draft
    """The draft the caller speaks, as its token or key shows."""
    key: PublicKey
    agent_token: AgentToken | None = None
    person_token: PersonToken | None = None
    auth_token: AuthToken | None = None
    delegation: Delegation | None = None
    published: PublishedKey | None = None
    token: str | None = field(default=None, repr=False)
    """The token as it was presented, for passing on as `upstream_token`; never logged."""
    kid: str | None = None
    _proof: InitVar[object] = None

    def __post_init__(self, _proof: object) -> None:
        # Not a field, so that dataclasses.replace cannot carry it over to a changed copy.
        if _proof is not _PROOF:
            raise TypeError("a VerifiedRequest comes from verify_request only")

    def over(self, message: Message) -> VerifiedRequest:
        """This caller's proof, now for ``message``: one of theirs that was verified before and held (§6.5.1)."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return VerifiedRequest(**values | {"message": message}, _proof=_PROOF)

    @property
    def level(self) -> Level:
        if self.auth_token is not None:
            return Level.AUTHORIZED
        if self.agent_token or self.person_token or self.published:
            return Level.IDENTIFIED
        return Level.PSEUDONYMOUS

    @property
    def thumbprint(self) -> str:
        """RFC 7638 thumbprint of the key that signed the request."""
        return self.key.thumbprint

    @property
    def agent(self) -> str | None:
        """The agent's identifier; for `jwks_uri` the signer's URL; ``None`` when pseudonymous.

        In draft 11 no agent identifier reaches a resource with a person or auth token: ``None`` then, too.
        """
        if self.auth_token is not None:
            return self.auth_token.agent
        if self.agent_token is not None:
            return str(self.agent_token.agent)
        return self.published.id if self.published is not None else None

    @property
    def issuer(self) -> str | None:
        """Who vouches for the key: the token's issuer, or the signer itself under `jwks_uri`."""
        if self._token is not None:
            return self._token.issuer
        return self.published.id if self.published is not None else None

    @property
    def token_type(self) -> str | None:
        if self.auth_token is not None:
            return auth_tokens.TYP
        if self.person_token is not None:
            return person_tokens.TYP
        return agent_tokens.TYP if self.agent_token is not None else None

    @property
    def jti(self) -> str | None:
        return self._token.jti if self._token is not None else None

    @property
    def expires_at(self) -> int | None:
        """When the token (or delegation) that carried the key ends, in Unix seconds."""
        bounded = self._token or self.delegation
        return bounded.expires_at if bounded is not None else None

    @property
    def _token(self) -> AgentToken | PersonToken | AuthToken | None:
        return self.auth_token or self.person_token or self.agent_token

    @property
    def presented(self) -> PresentedToken | None:
        """The person or auth token as a resource token names it (AAuth-11 §6.7); ``None`` when neither was shown."""
        token = self.auth_token if self.draft.person_tokens else None
        shown = token or self.person_token
        return PresentedToken.of(shown) if shown is not None else None

    @property
    def scopes(self) -> tuple[str, ...]:
        return self.auth_token.scopes if self.auth_token is not None else ()

    @property
    def scope(self) -> str | None:
        return self.auth_token.scope if self.auth_token is not None else None

    @property
    def sub(self) -> str | None:
        """The person, as the person or auth token directs it to this resource."""
        token = self.auth_token or self.person_token
        return token.sub if token is not None else None

    @property
    def act(self) -> Mapping[str, Any] | None:
        return self.auth_token.act if self.auth_token is not None else None

    @property
    def ps(self) -> str | None:
        """The person server: of the person who was named, else the one the agent token names."""
        if self.person_token is not None:
            return self.person_token.issuer
        token = self.auth_token or self.agent_token
        return token.ps if token is not None else None


@dataclass(frozen=True, kw_only=True)
class _Credential:
    """What step 5 found: the key and what vouches for it."""

    key: PublicKey
    draft: Draft
    agent_token: AgentToken | None = None
    person_token: PersonToken | None = None
    auth_token: AuthToken | None = None
    delegation: Delegation | None = None
    published: PublishedKey | None = None
    kid: str | None = None

    @property
    def token(self) -> AgentToken | PersonToken | AuthToken | None:
        return self.auth_token or self.person_token or self.agent_token


TokenMemory: TypeAlias = VerifiedTokens[_Credential]


def verify_request(
    message: Message,
    requirements: Requirements,
    *,
    discovery: Discovery,
    replays: Replays,
    clock: Clock,
    revocations: Revocations | None = None,
    remembered: TokenMemory | None = None,
) -> Flow[VerifiedRequest]:
    """Verify one request; the caller drives the flow with ``run`` or ``arun``.

    ``remembered`` saves judging a token again that verified under the same ``requirements``, the very object.

    Raises ``SignatureError`` (401) or ``Unavailable`` (503, a trusted issuer does not answer).
    """
    message = _for_us(message, requirements)
    signature, member = _read_headers(message, requirements)  # step 1
    required = _required_components(message, requirements, requirements.drafts)
    lines = check_coverage(message, signature, required)  # step 2
    check_times(signature, now=clock.now(), window=requirements.window)  # step 3
    scheme = read_scheme(member, requirements.schemes)  # step 4
    credential = yield from _credential(scheme, requirements, discovery, remembered, clock.now())  # step 5
    _check_not_revoked(credential, revocations)
    _check_alphabet(message, requirements, credential.draft)
    # Step 2 again, where only the token told which draft's rules hold for the body.
    if required != (required := _required_components(message, requirements, (credential.draft,))):
        check_coverage(message, signature, required)
    _check_algorithm(credential.key, requirements)  # step 6
    check_parameters(signature, credential.key, ignore_alg=credential.draft.problem_details)
    check_signature(message, signature, credential.key, lines=lines)  # step 7
    check_digest(message, signature)
    _check_replay(message, signature, credential.key, requirements, replays, clock.now())
    return _verified(message, scheme, credential)


def _verified(message: Message, scheme: Scheme, credential: _Credential) -> VerifiedRequest:
    token = scheme.jwt if isinstance(scheme, ConfirmationJWT) else None
    # Every request has one made, and a frozen dataclass writes its fields one by one; most are those of the credential.
    request = object.__new__(VerifiedRequest)
    request.__dict__.update(credential.__dict__, message=message, scheme=scheme.name, token=token)
    return request


def _for_us(message: Message, requirements: Requirements) -> Message:
    if requirements.authority is not None:
        return replace(message, authority=requirements.authority)
    if message.normalised_authority not in requirements.authorities:
        raise InvalidSignature("The request is signed for a host that is not this server.")
    return message


def _read_headers(message: Message, requirements: Requirements) -> tuple[Signature, SignatureKey]:
    inputs, signatures = signature_labels(message, base64url=requirements.reads_base64url)
    member = select_member(message.field("signature-key"), inputs.keys() & signatures.keys())
    return read_signature(member.label, inputs, signatures), member


def _check_alphabet(message: Message, requirements: Requirements, draft: Draft) -> None:
    """Step 1 again, where only the token told the draft: who speaks 11 writes base64, also where 01 is read."""
    if requirements.reads_base64url and not draft.base64url_signatures:
        signature_labels(message, base64url=False)


def _required_components(message: Message, requirements: Requirements, drafts: tuple[Draft, ...]) -> tuple[str, ...]:
    body = requirements.cover_body and bool(message.body) and all(draft.body_covered for draft in drafts)
    if not body and not requirements.cover:
        return BASE_COMPONENTS
    return tuple(dict.fromkeys((*BASE_COMPONENTS, *requirements.cover, *(BODY_COMPONENTS if body else ()))))


def _credential(
    scheme: Scheme, requirements: Requirements, discovery: Discovery, remembered: TokenMemory | None, now: float
) -> Flow[_Credential]:
    match scheme:
        case ConfirmationJWT():
            return (yield from _token(scheme.jwt, requirements, discovery, remembered, now))
        case HeaderWebKey():
            scheme.check_draft(requirements.drafts)
            return _Credential(key=scheme.key, draft=scheme.draft)
        case DelegationJWT():
            delegation = scheme.judge(drafts=requirements.drafts, now=now)
            return _Credential(key=delegation.ephemeral_key, draft=delegation.draft, delegation=delegation)
        case PublishedKey():
            return (yield from _published(scheme, requirements, discovery))


def _published(scheme: PublishedKey, requirements: Requirements, discovery: Discovery) -> Flow[_Credential]:
    try:
        server_identifier(scheme.id, development=requirements.development)
        entry = _trust_in_published(scheme.dwk, requirements).admit(scheme.id)
        key, draft = yield from _published_key(entry, scheme, requirements.drafts, discovery)
    except UntrustedIssuer as error:
        raise UntrustedSigner(error.detail, debug=error.debug) from error
    except InvalidRequest as error:
        raise InvalidKey(error.detail, debug=error.debug) from error
    return _Credential(key=key, draft=draft, published=scheme, kid=scheme.kid)


def _trust_in_published(dwk: str, requirements: Requirements) -> Trust:
    if dwk in requirements.published:
        return requirements.published[dwk]
    if dwk == agent_tokens.DWK:
        return requirements.agent_providers
    raise UntrustedSigner("The dwk in Signature-Key is not that of a server which may call here.")


def _published_key(
    entry: TrustedIssuer, scheme: PublishedKey, drafts: tuple[Draft, ...], discovery: Discovery
) -> Flow[tuple[PublicKey, Draft]]:
    """The key as the first draft that can read it reads it: nothing else in the request tells the draft."""
    signers = [Signer(entry=entry, dwk=scheme.dwk, kid=scheme.kid, draft=draft) for draft in drafts]
    for signer in signers[:-1]:
        try:
            return (yield from _issuer_key(signer, discovery)), signer.draft
        except (InvalidKey, UnsupportedAlgorithm):
            continue
    return (yield from _issuer_key(signers[-1], discovery)), signers[-1].draft


def _token(
    raw: str, requirements: Requirements, discovery: Discovery, remembered: TokenMemory | None, now: float
) -> Flow[_Credential]:
    place = key_of(raw, requirements)
    if remembered is not None and (known := remembered.find(place, now=now)) is not None:
        if (yield from _still_published(known.signer, known.key, discovery)):
            return known.found
        remembered.forget(place)
    token = jws.parse(raw)
    credential, signer = _judged(token, requirements, now)
    key = yield from _check_issuer_signature(token, signer, discovery)
    if remembered is not None and credential.token is not None:
        until = credential.token.expires_at
        remembered.remember(
            place,
            Remembered(found=credential, rules=requirements, signer=signer, key=key, judged_at=now, expires_at=until),
        )
    return credential


def _still_published(signer: Signer, key: PublicKey, discovery: Discovery) -> Flow[bool]:
    """Whether the issuer of a remembered token publishes the key it verified with today."""
    try:
        return (yield from _issuer_key(signer, discovery)) == key
    except (SignatureError, InvalidRequest):
        # Whatever is wrong with the key is told by judging the token anew.
        return False


def _judged(token: JWT, requirements: Requirements, now: float) -> tuple[_Credential, Signer]:
    """What a token says, its claims checked, and who must have signed it; nothing is fetched."""
    typ = token.typ
    if typ not in requirements.token_types:
        raise InvalidJWT(f"The token's typ here must be one of: {' '.join(sorted(requirements.token_types))}.")
    draft = draft_of(token, requirements.drafts)
    judge = Judge(draft=draft, now=now, development=requirements.development)
    if typ == agent_tokens.TYP:
        agent_token = judge_agent_token(token, judge)
        entry = _admit(requirements.agent_providers, agent_token.issuer)
        if not entry.may_issue_for(agent_token.agent):
            raise InvalidJWT("The agent's domain is not one its issuer may name.")
        credential = _Credential(key=agent_token.key, draft=draft, agent_token=agent_token, kid=token.kid)
        return credential, _signer(token, entry, agent_tokens.DWK, draft)
    if typ == person_tokens.TYP and draft.person_tokens:
        person_token = judge_person_token(token, judge, audience=requirements.audience)
        entry = _admit(requirements.auth_issuers, person_token.issuer)
        credential = _Credential(key=person_token.key, draft=draft, person_token=person_token, kid=token.kid)
        return credential, _signer(token, entry, person_tokens.DWK, draft)
    auth_token = judge_auth_token(token, judge, audience=requirements.audience)
    entry = _admit(requirements.auth_issuers, auth_token.issuer)
    _check_speaks_for(auth_token, entry)
    credential = _Credential(key=auth_token.key, draft=draft, auth_token=auth_token, kid=token.kid)
    return credential, _signer(token, entry, auth_token.dwk, draft)


def _check_speaks_for(auth_token: AuthToken, entry: TrustedIssuer) -> None:
    """A person is known by their person server and `sub` (AAuth-11 §9.4.1, §13.7). An access server names people of
    other servers, so anybody could name anybody; only one that is listed is believed.
    """
    if auth_token.ps not in (None, auth_token.issuer) and not entry.listed:
        raise InvalidJWT("The auth token is about a person of another server, for which its issuer is not trusted.")


def _signer(token: JWT, entry: TrustedIssuer, dwk: str, draft: Draft) -> Signer:
    if token.kid is None:
        raise InvalidJWT("The token names no key; put the kid of the issuer's key in its header.")
    return Signer(entry=entry, dwk=dwk, kid=token.kid, draft=draft)


def _check_not_revoked(credential: _Credential, revocations: Revocations | None) -> None:
    """§11.12.5: a token that verifies and was withdrawn is told so, not called malformed or expired."""
    token = credential.token
    if revocations is None or token is None or not revocations.is_revoked(token.issuer, token.jti):
        return
    # Never an auth token again: its issuer would refuse a resource token that names a revoked token.
    repairable = credential.auth_token is not None and credential.draft.person_tokens
    raise RevokedJWT(
        "The token was revoked by its issuer; get a fresh one from it.",
        requirement=requirement("person-token") if repairable else None,
    )


def _check_algorithm(key: PublicKey, requirements: Requirements) -> None:
    accepted = requirements.algorithms
    if accepted is not None and key.algorithm.name not in accepted:
        raise UnsupportedAlgorithm("Keys of this algorithm are not accepted here.", supported=tuple(sorted(accepted)))


def _admit(trust: Trust, issuer: str) -> TrustedIssuer:
    try:
        return trust.admit(issuer)
    except UntrustedIssuer as error:
        # Signature Keys has no code of its own for this; the JWT "fails verification" here, and nothing was fetched.
        raise InvalidJWT(error.detail) from error


def _check_issuer_signature(token: JWT, signer: Signer, discovery: Discovery) -> Flow[PublicKey]:
    try:
        key = yield from _issuer_key(signer, discovery)
        token.verify(key, signer.draft)
    except (SignatureError, InvalidRequest) as error:
        if signer.draft.problem_details and isinstance(error, _ISSUER_FAULTS):
            raise
        raise IN_SIGNATURE_KEY.of(error) from error
    return key


def _issuer_key(signer: Signer, discovery: Discovery) -> Flow[PublicKey]:
    key = yield from _published_by(signer, discovery)
    if not signer.entry.may_sign_with(key):
        raise UnknownKey("The issuer is trusted here under other keys only; ask the operator to look at this one.")
    return key


def _published_by(signer: Signer, discovery: Discovery) -> Flow[PublicKey]:
    entry, dwk, kid, draft = signer
    at_hand = discovery.key_at_hand(entry.issuer, dwk, kid, draft, jwks_uri=entry.jwks_uri)
    if at_hand is not None:
        return at_hand
    try:
        return (yield from discovery.key(entry.issuer, dwk, kid, draft, jwks_uri=entry.jwks_uri))
    except Unavailable as error:
        if entry.listed:
            raise
        # Whoever sent the token chose this issuer, so its silence is the token's fault: no 5xx on hostile input.
        raise InvalidRequest("The issuer of the key does not answer.", debug=error.debug) from error


def draft_of(token: JWT, drafts: tuple[Draft, ...]) -> Draft:
    """Which of ``drafts`` a token is written in: by its `alg`, and where that is shared by its key's `alg`."""
    alg = token.header.get("alg")
    speaking = [draft for draft in drafts if alg in draft.jose_algorithms.values()]
    if not speaking:
        raise InvalidJWT("The token's alg is not accepted here.")
    if len(speaking) == 1:
        return speaking[0]
    confirmation = token.claims.get("cnf")
    jwk = confirmation.get("jwk") if isinstance(confirmation, Mapping) else None
    if isinstance(jwk, Mapping):
        matching = [draft for draft in speaking if draft.jwk_alg_written == ("alg" in jwk)]
    else:
        matching = [draft for draft in speaking if draft.auth_token_names_agent == ("agent" in token.claims)]
    return (matching or speaking)[0]


def _check_replay(
    message: Message,
    signature: Signature,
    key: PublicKey,
    requirements: Requirements,
    replays: Replays,
    now: float,
) -> None:
    if message.is_safe or requirements.allow_unsafe_replay:
        return
    value = key.canonical_signature(signature.value)
    seen = fingerprint(message, thumbprint=key.thumbprint, created=signature.created, signature=value)
    until = signature.created + requirements.window.total_seconds() + 1
    if now >= until:
        # Fetching a key took it out of the window, and the cache may have let go of what it is a copy of.
        raise InvalidSignature("The request arrived too late to tell it from a copy; sign it anew.")
    if not replays.is_new(seen, until=until, now=now):
        raise InvalidSignature("This request was already received; sign each request anew.")
