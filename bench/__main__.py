"""`make bench`: one table of what AAuth costs, beside the raw Ed25519 operation and two peers, in one run.

A machine is never quiet: what is counted is the time a processor worked for us, every row is measured once in each
round, one after the other, and compared with the raw operation of the same round. The medians of all rounds are shown,
and in ± % half of what the middle half of the ratios spans. The raw operation is libsodium's over the very bytes the
request is signed over.
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

ROUNDS, CALLS = 31, 40


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
    """The rows: microseconds a call, how many times the raw work that is, and how sure that is."""
    raw = {row.name: row.seconds for row in rows}
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}}  {'µs':>8}  {'raw':>4}  {'ratio':>6}  {'± %':>5}"]
    for row in rows:
        count, name = row.raw
        ratios = [took / (count * bare) for took, bare in zip(row.seconds, raw[name], strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        lines.append(
            f"{row.name:{width}}  {median(row.seconds) * 1e6:8.1f}  {f'{count} ×':>4}  {middle:6.2f}  "
            f"{(high - low) / middle * 50:5.1f}"
        )
    return "\n".join(lines)


def _ours(parties: Parties) -> list[Row]:
    signed = parties.again("agent", 1)[0]
    base, key = _base_of(signed), parties.scene.key
    secret, public = key._sodium, key.public._material
    assert secret is not None
    signature = nacl.bindings.crypto_sign(base, secret)
    middleware, checks = Middleware(parties), Checks(parties)
    one, two = (1, "raw verify"), (2, "raw verify")

    def cold(kind: str) -> Row:
        name = f"verify, {kind} token, new"
        return Row(name=name, work=lambda: parties.verify(parties.new(kind, CALLS)), raw=two)

    def again(kind: str) -> Row:
        return Row(
            name=f"verify, {kind} token, seen before", work=lambda: parties.verify(parties.again(kind, CALLS)), raw=one
        )

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
            work=lambda: parties.verify(parties.new("agent", CALLS, keys=CALLS)),
            raw=two,
        ),
        *(row for kind in parties.kinds for row in (cold(kind), again(kind))),
        Row(
            name="ASGI middleware, seen before",
            work=lambda: middleware.requests(parties.again("agent", CALLS)),
            raw=one,
        ),
        Row(
            name="authz check in process, seen before",
            work=lambda: checks.requests(parties.again("agent", CALLS)),
            raw=one,
        ),
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

    def row(kind: str, state: str, make: Callable[[str, int], list[Message]], raw: int) -> Row:
        def work() -> float:
            messages = make(kind, CALLS)
            # It reads base64url in Signature, and nothing else (docs/interop.md).
            read = [in_base64url(message) for message in messages] if name == "aauth 0.5" else messages
            return float(peer.ask("verify", messages=read))

        return Row(name=f"{name}: verify, {kind} token, {state}", work=work, raw=(raw, "raw verify"))

    sign = lambda: float(peer.ask("sign", key=parties.scene.key, message=unsigned, token=token, calls=CALLS))  # noqa: E731
    return [
        Row(name=f"{name}: sign", work=sign, raw=(1, "raw sign")),
        *(row(kind, "new", parties.new, 2) for kind in parties.kinds),
        *(row(kind, "seen before", parties.again, 1) for kind in parties.kinds),
    ]


if __name__ == "__main__":
    main()
