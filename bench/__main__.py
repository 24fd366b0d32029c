"""`make bench`: one table of what AAuth costs, beside the raw Ed25519 operation and two peers, in one run.

A machine is never quiet, so only ratios within one run mean anything: every row is measured once in each round, one
after the other, and the median round is shown with the spread of the middle half. The raw operation is libsodium's over
the very bytes the request is signed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median, quantiles

import nacl.bindings

from aauthkit.httpsig.components import signature_base
from aauthkit.httpsig.fields import parse_dictionary
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.verify import read_signature
from bench.ours import Checks, Middleware, Parties, timed
from tests.interop.peer import PEERS, Peer
from tests.interop.scene import in_base64url
from tests.parties import HOST, PERSON_SERVER, RESOURCE

ROUNDS, CALLS = 15, 60


@dataclass(kw_only=True)
class Row:
    """One measurement: ``raw`` is how many raw operations, and of which row, it cannot do without."""

    name: str
    work: Callable[[], float] = field(repr=False)
    raw: tuple[int, str]
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    parties = Parties()
    peers = _started(parties)
    try:
        rows = _ours(parties) + [row for name, peer in peers.items() for row in _theirs(name, peer, parties)]
        for _ in range(ROUNDS):
            for row in rows:
                row.seconds.append(row.work())
    finally:
        for peer in peers.values():
            peer.stop()
    print(table(rows))


def table(rows: list[Row]) -> str:
    """The rows with their medians, their spread, and how many times the raw work they take."""
    raw = {row.name: median(row.seconds) for row in rows}
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}}  {'µs':>8}  {'± %':>5}  {'of raw':>6}  {'ratio':>6}"]
    for row in rows:
        count, name = row.raw
        middle = median(row.seconds)
        low, _, high = quantiles(row.seconds, n=4)
        lines.append(
            f"{row.name:{width}}  {middle * 1e6:8.1f}  {(high - low) / middle * 50:5.1f}  {count:>6}  "
            f"{middle / (count * raw[name]):6.2f}"
        )
    return "\n".join(lines)


def _ours(parties: Parties) -> list[Row]:
    signed = parties.signed("agent", 1, tokens=1)[0]
    base, key = _base_of(signed), parties.scene.key
    secret, public = key._sodium, key.public._material
    assert secret is not None
    signature = nacl.bindings.crypto_sign(base, secret)
    middleware, checks = Middleware(parties), Checks(parties)
    warm = {kind: parties.signed(kind, CALLS, tokens=1) for kind in parties.kinds}
    one, two = (1, "raw verify"), (2, "raw verify")

    def cold(kind: str) -> Row:
        name = f"verify, {kind} token, new"
        return Row(name=name, work=lambda: parties.verify(parties.signed(kind, CALLS, tokens=CALLS)), raw=two)

    def again(kind: str) -> Row:
        return Row(name=f"verify, {kind} token, seen before", work=lambda: parties.verify(warm[kind]), raw=one)

    return [
        Row(
            name="raw sign",
            work=lambda: timed(lambda _: nacl.bindings.crypto_sign(base, secret), range(CALLS)),
            raw=(1, "raw sign"),
        ),
        Row(
            name="raw verify",
            work=lambda: timed(lambda _: nacl.bindings.crypto_sign_open(signature, public), range(CALLS)),
            raw=one,
        ),
        Row(name="sign", work=lambda: parties.sign(CALLS), raw=(1, "raw sign")),
        Row(
            name="verify, agent token, new, and its key too",
            work=lambda: parties.verify(parties.signed("agent", CALLS, tokens=CALLS, keys=CALLS)),
            raw=two,
        ),
        *(row for kind in parties.kinds for row in (cold(kind), again(kind))),
        Row(name="ASGI middleware, seen before", work=lambda: middleware.requests(warm["agent"]), raw=one),
        Row(name="authz check in process, seen before", work=lambda: checks.requests(warm["agent"]), raw=one),
    ]


def _base_of(message: Message) -> bytes:
    inputs = parse_dictionary(message.field("signature-input") or "")
    signature = read_signature("sig", inputs, parse_dictionary(message.field("signature") or ""))
    return signature_base(message, signature.components, signature.signature_params)


def _started(parties: Parties) -> dict[str, Peer]:
    documents = parties.scene.published
    peers = {
        "regent-httpsig": Peer([str(PEERS / "regent-httpsig/bin/python"), "-m", "bench.peer_regent"]),
        "aauth 0.5": Peer([str(PEERS / "aauth-11/bin/python"), "-m", "bench.peer_aauth"]),
    }
    peers["regent-httpsig"].ask("prepare", documents=documents, resource=RESOURCE, person_server=PERSON_SERVER)
    peers["aauth 0.5"].ask(
        "prepare", documents=documents, resource=RESOURCE, authority=HOST, person_server=PERSON_SERVER
    )
    return peers


def _theirs(name: str, peer: Peer, parties: Parties) -> list[Row]:
    token, unsigned = parties.scene.agent_token(), parties.unsigned()

    def messages(kind: str, tokens: int) -> list[Message]:
        made = parties.signed(kind, CALLS, tokens=tokens)
        # It reads base64url in Signature, and nothing else (docs/interop.md).
        return list(map(in_base64url, made)) if name == "aauth 0.5" else made

    def verify(kind: str, tokens: int, raw: int) -> Row:
        state = "seen before" if tokens == 1 else "new"
        work = lambda: float(peer.ask("verify", messages=messages(kind, tokens)))  # noqa: E731
        return Row(name=f"{name}: verify, {kind} token, {state}", work=work, raw=(raw, "raw verify"))

    sign = lambda: float(peer.ask("sign", key=parties.scene.key, message=unsigned, token=token, calls=CALLS))  # noqa: E731
    return [
        Row(name=f"{name}: sign", work=sign, raw=(1, "raw sign")),
        *(verify(kind, tokens, raw) for kind in parties.kinds for tokens, raw in ((CALLS, 2), (1, 1))),
    ]


if __name__ == "__main__":
    main()
