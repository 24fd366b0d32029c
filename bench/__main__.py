"""`make bench`: signing and verifying beside the raw Ed25519 operation, as one table of times and ratios.

Machines are noisy, so only ratios within one run mean anything. The best of several rounds is shown: what disturbs a
round only ever makes it slower.
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from dataclasses import dataclass, replace

from aauthkit.clock import FixedClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01
from aauthkit.flow import Fetch, Fetched, run
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import ReplayCache
from aauthkit.httpsig.sign import sign_message
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, jwks
from aauthkit.sigkey import ConfirmationJWT
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens.agent import build_agent_token
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import Requirements, verify_request

NOW = 1_800_000_000
PROVIDER = "https://agents.example"
ROUNDS, CALLS = 15, 400


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement; ``of`` is the raw work it cannot do without."""

    name: str
    seconds: float
    of: float


class Provider:
    """An agent provider whose documents are at hand: what is measured is this process."""

    def __init__(self, key: PrivateKey) -> None:
        self._documents = {
            f"{PROVIDER}/.well-known/aauth-agent.json": {"issuer": PROVIDER, "jwks_uri": f"{PROVIDER}/jwks.json"},
            f"{PROVIDER}/jwks.json": jwks([(key, DRAFT_01)]),
        }

    def fetch(self, request: Fetch) -> Fetched:
        return Fetched(status=200, body=json.dumps(self._documents[request.url]).encode())


def main() -> None:
    rows = measure()
    width = max(len(row.name) for row in rows)
    print(f"{'':{width}}  {'µs':>8}  {'ratio':>6}")
    for row in rows:
        print(f"{row.name:{width}}  {row.seconds * 1e6:8.1f}  {row.seconds / row.of:6.2f}")


def measure() -> list[Row]:
    provider, agent = PrivateKey.generate(), PrivateKey.generate()
    clock = FixedClock(NOW)
    token = build_agent_token(
        provider,
        DRAFT_01,
        issuer=PROVIDER,
        agent=AgentIdentifier.parse("aauth:bench@agents.example"),
        confirm=agent.public,
        ps=None,
        now=NOW,
    )
    scheme = str(ConfirmationJWT(jwt=token))
    unsigned = Message.of("GET", "https://resource.example/data")
    headers = tuple(
        (name.lower(), value) for name, value in sign_message(unsigned, agent, signature_key=scheme, created=NOW)
    )
    signed = replace(unsigned, headers=headers)
    data, discovery, replays = b"x" * 2000, Discovery(development=False, clock=clock), ReplayCache()
    signature, requirements, fetcher = agent.sign(data), _requirements(), Provider(provider)

    def verify() -> None:
        # A new message each time, as a server has: nothing computed for the last one is at hand.
        message = replace(signed)
        run(verify_request(message, requirements, discovery=discovery, replays=replays, clock=clock), fetcher)

    raw_sign = _best(lambda: agent.sign(data))
    raw_verify = _best(lambda: agent.public.verify(data, signature))
    return [
        Row(name="raw sign", seconds=raw_sign, of=raw_sign),
        Row(
            name="sign a request",
            seconds=_best(lambda: sign_message(unsigned, agent, signature_key=scheme, created=NOW)),
            of=raw_sign,
        ),
        Row(name="raw verify", seconds=raw_verify, of=raw_verify),
        Row(name="verify token and request (against two raw)", seconds=_best(verify), of=2 * raw_verify),
    ]


def _requirements() -> Requirements:
    return Requirements(
        authorities=frozenset({"resource.example"}),
        drafts=(DRAFT_01,),
        schemes=frozenset({"jwt"}),
        token_types=frozenset({agent_tokens.TYP}),
        agent_providers=Trust.only([TrustedIssuer(issuer=PROVIDER)]),
        auth_issuers=Trust.nobody(),
        audience=None,
        development=False,
    )


def _best(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=CALLS, repeat=ROUNDS)) / CALLS


if __name__ == "__main__":
    main()
