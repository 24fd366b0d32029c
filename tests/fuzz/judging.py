"""Targets: keys, tokens and the documents keys are found in. What a token claims is signed here, so it is believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from aauthkit import jwt as jws
from aauthkit.clock import FixedClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.errors import AAuthError, SignatureError
from aauthkit.flow import Fetch, Fetched, run
from aauthkit.jwt import JWT
from aauthkit.keys import P256, PrivateKey, PublicKey, b64url_encode, jwks
from aauthkit.sigkey.jkt_jwt import DelegationJWT
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.tokens import resource as resource_tokens
from aauthkit.tokens.agent import judge_agent_token
from aauthkit.tokens.auth import chain_of, judge_auth_token
from aauthkit.tokens.claims import AS_PRESENTED_TOKEN, AS_RESOURCE_TOKEN, IN_SIGNATURE_KEY, Judge
from aauthkit.tokens.person import judge_person_token
from aauthkit.tokens.presented import judge_presented_token
from aauthkit.tokens.resource import judge_resource_token
from tests.fuzz.target import Target, json_of, lines_of, nothing, only, text_of
from tests.parties import AGENT, NOW, PERSON_SERVER, PROVIDER, RESOURCE

KEY = PrivateKey.generate(kid="k")
EC_KEY = PrivateKey.generate(kid="e", algorithm=P256)
DRAFTS = (DRAFT_11, DRAFT_01)


def key(data: bytes) -> None:
    for draft in DRAFTS:
        with only(SignatureError):
            read = PublicKey.from_jwk(json_of(data), draft)
            assert PublicKey.from_jwk(read.as_jwk(draft), draft) == read
            assert read.verify(b"data", data[:64]) is False


def _keys() -> list[bytes]:
    return [json.dumps(k.public.as_jwk(draft)).encode() for k in (KEY, EC_KEY) for draft in DRAFTS]


def token_text(data: bytes) -> None:
    with only(SignatureError):
        token = jws.parse(text_of(data))
        assert token.raw == text_of(data)
        assert jws.parse(_again(token)).claims == token.claims


def _again(token: JWT) -> str:
    parts = (json.dumps(dict(part)).encode() for part in (token.header, token.claims))
    return ".".join(map(b64url_encode, (*parts, token.signature)))


def token_parts(data: bytes) -> None:
    """The three parts as they are before base64url, which a mutation seldom gets right."""
    header, claims, signature = (line.encode("latin-1") for line in lines_of(data, 3))
    with only(SignatureError):
        token = jws.parse(".".join(map(b64url_encode, (header, claims, signature))))
        assert "signature" not in repr((token, token.typ, token.kid))
        for draft in DRAFTS:
            with only(SignatureError):
                token.verify(KEY.public, draft)


def _texts() -> list[bytes]:
    return [jws.encode(KEY, draft, agent_tokens.TYP, CLAIMS).encode() for draft in DRAFTS]


def _confirmed(draft: Draft) -> dict[str, Any]:
    return {"jwk": KEY.public.with_kid(None).as_jwk(draft)}


CLAIMS: dict[str, Any] = {
    "iss": PROVIDER,
    "dwk": agent_tokens.DWK,
    "sub": AGENT,
    "jti": "j",
    "cnf": _confirmed(DRAFT_11),
    "iat": NOW,
    "exp": NOW + 600,
    "ps": PERSON_SERVER,
    "parent_agent": AGENT,
}
PERSON_CLAIMS = {
    **{name: CLAIMS[name] for name in ("jti", "cnf", "iat", "exp")},
    "iss": PERSON_SERVER,
    "dwk": person_tokens.DWK,
    "aud": RESOURCE,
    "sub": "person-1",
    "mission_s256": "m",
    "tenant": "t",
}
AUTH_CLAIMS = {**PERSON_CLAIMS, "ps": PERSON_SERVER, "scope": "read write", "account": "a", "nbf": NOW}
AUTH_CLAIMS_01 = {
    **AUTH_CLAIMS,
    "cnf": _confirmed(DRAFT_01),
    "agent": AGENT,
    "act": {"sub": AGENT, "act": {"sub": "b"}},
}
RESOURCE_CLAIMS = {
    **{name: CLAIMS[name] for name in ("jti", "iat", "ps")},
    "iss": RESOURCE,
    "dwk": resource_tokens.DWK,
    "aud": PERSON_SERVER,
    "exp": NOW + 300,
    "sub": "person-1",
    "presented_jti": "p",
    "agent_jkt": KEY.thumbprint,
    "agent": AGENT,
    "scope": "read",
    "login_hint": "l",
    "interaction": {"url": "https://resource.example/i", "code": "A1B2"},
}

Judgement = Callable[[JWT, Judge], object]
JUDGEMENTS: Mapping[str, Judgement] = {
    agent_tokens.TYP: judge_agent_token,
    person_tokens.TYP: partial(judge_person_token, audience=RESOURCE),
    auth_tokens.TYP: partial(judge_auth_token, audience=RESOURCE),
    resource_tokens.TYP: partial(judge_resource_token, audience=PERSON_SERVER, agent=AGENT, agent_jkt=KEY.thumbprint),
}


def judged(typ: str, data: bytes) -> None:
    """One kind of token with any claims, in Signature-Key and in a body, in both drafts."""
    claims = json_of(data)
    if not isinstance(claims, dict):
        return
    for draft in DRAFTS:
        with only(SignatureError):
            token = jws.parse(jws.encode(KEY, draft, typ, claims))
            for errors in (IN_SIGNATURE_KEY, AS_RESOURCE_TOKEN, AS_PRESENTED_TOKEN):
                judge = Judge(draft=draft, now=NOW, development=False, errors=errors)
                with only(AAuthError):
                    found = JUDGEMENTS[typ](token, judge)
                    assert JUDGEMENTS[typ](jws.parse(_again(token)), judge) == found
                    chain_of(getattr(found, "act", None))
                with only(AAuthError):
                    judge_presented_token(token, judge, audience=RESOURCE)


def delegation(data: bytes) -> None:
    header, claims = (json_of(line.encode("latin-1")) for line in lines_of(data, 2))
    head = {"alg": "Ed25519", "typ": "jkt-s256+jwt", "jwk": KEY.public.with_kid(None).as_jwk(DRAFT_11)}
    body = {"iss": f"urn:jkt:sha-256:{KEY.thumbprint}", "iat": NOW, "exp": NOW + 9, "cnf": _confirmed(DRAFT_11)}
    parts = [good | part if isinstance(part, dict) else good for good, part in ((head, header), (body, claims))]
    signing_input = ".".join(b64url_encode(json.dumps(part).encode()) for part in parts)
    token = f"{signing_input}.{b64url_encode(KEY.sign(signing_input.encode()))}"
    with only(SignatureError):
        DelegationJWT(jwt=token).judge(drafts=DRAFTS, now=NOW)


class _Answers:
    """Answers each fetch with the next of its documents, whatever they are."""

    def __init__(self, *documents: Fetched) -> None:
        self._documents = list(documents)

    def fetch(self, request: Fetch) -> Fetched:
        return self._documents.pop(0) if len(self._documents) > 1 else self._documents[0]


def documents(data: bytes) -> None:
    """An issuer's metadata and JWKS: a key, or an error that says whose fault it is."""
    status, metadata, keys = lines_of(data, 3)
    number = {"3": 301, "4": 404, "5": 500}.get(status[:1], 200)
    fetcher = _Answers(*(Fetched(status=number, body=part.encode("latin-1")) for part in (metadata, keys)))
    for draft in DRAFTS:
        discovery = Discovery(development=False, clock=FixedClock(NOW))
        with only(AAuthError):
            found = run(discovery.key(PROVIDER, agent_tokens.DWK, "k", draft), fetcher)
            assert isinstance(found, PublicKey)


@cache
def _documents() -> tuple[bytes, ...]:
    metadata = json.dumps({"issuer": PROVIDER, "jwks_uri": f"{PROVIDER}/jwks.json"})
    sets = (
        jwks([(KEY, DRAFT_11)]),
        jwks([(KEY, DRAFT_01), (EC_KEY, DRAFT_11)]),
        {"keys": [{"kid": "k", "kty": "RSA"}]},
    )
    return tuple(f"200\n{metadata}\n{json.dumps(keys)}".encode() for keys in sets)


def _claims(*seeds: Mapping[str, Any]) -> Callable[[], list[bytes]]:
    return lambda: [json.dumps(claims).encode() for claims in seeds]


JUDGING = (
    Target(name="key", run=key, made=_keys),
    Target(name="token-text", run=token_text, made=_texts),
    Target(name="token-parts", run=token_parts, made=nothing),
    Target(name="agent-token", run=partial(judged, agent_tokens.TYP), made=_claims(CLAIMS)),
    Target(name="person-token", run=partial(judged, person_tokens.TYP), made=_claims(PERSON_CLAIMS)),
    Target(name="auth-token", run=partial(judged, auth_tokens.TYP), made=_claims(AUTH_CLAIMS, AUTH_CLAIMS_01)),
    Target(name="resource-token", run=partial(judged, resource_tokens.TYP), made=_claims(RESOURCE_CLAIMS)),
    Target(name="delegation", run=delegation, made=nothing),
    Target(name="documents", run=documents, made=_documents),
)
