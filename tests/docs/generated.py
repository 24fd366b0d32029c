"""The texts in the pages that the code writes: a block whose fence names one of them must be equal to it.

``python -m tests.docs.generated`` writes all of them into the pages anew, and with them the pages of obligations and of
peers.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from itertools import groupby
from pathlib import Path

from aauthkit import jwt as jws
from aauthkit.agent import Agent
from aauthkit.agent.answers import ANSWERS, Move
from aauthkit.demo.supervisor.choices import Choices
from aauthkit.demo.supervisor.console import table
from aauthkit.demo.supervisor.parts import demo_parts
from aauthkit.person_server.asking.states import TRANSITIONS
from tests.conformance import page as conformance
from tests.docs.pages import Block, pages
from tests.docs.wire import MARKET_ANALYSIS, SUPPLY_CHAIN, Exchange, System, fields, system
from tests.interop import page as interop

Texts = dict[str, str]
_QUESTION = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": "…"}


async def texts(scratch: Path) -> Texts:
    """Every generated text, by name."""
    found = {"demo-table": demo_table(scratch), "pending-states": pending_states(), "agent-answers": agent_answers()}
    for tell in (_identity, _published, _autonomous, _user_consent, _delegation, _native, _native_delegation):
        state = scratch / tell.__name__
        state.mkdir()
        found |= await tell(state)
    return found


def demo_table(scratch: Path) -> str:
    """What `aauth demo` prints first."""
    parts = demo_parts(Choices(state=scratch))
    return table([("part", "address", "what it is"), *((part.name, part.url, part.about) for part in parts)]) + "\n"


def pending_states() -> str:
    """The table of `person_server/asking/states.py`, drawn."""
    width = max(map(len, TRANSITIONS))
    lines = [
        f"{state:<{width}} ──► {'  '.join(other for other in TRANSITIONS if other in targets) or '(the end)'}"
        for state, targets in TRANSITIONS.items()
    ]
    return "\n".join(lines) + "\n"


def agent_answers() -> str:
    """The table of `agent/answers.py`, drawn; rows with one move and section stand together."""
    groups = [
        (f"{status} {says.value}: {', '.join('any other' if row.word == '*' else row.word for row in rows)}", move)
        for (status, says, move), rows in (
            (key, list(found)) for key, found in groupby(ANSWERS, key=lambda row: (row.status, row.says, row.move))
        )
    ]
    lines = [f"{said}\n    ──► {move.value}" for said, move in (*groups, ("anything else", Move.HAND_OVER))]
    return "\n".join(lines) + "\n"


async def _identity(state: Path) -> Texts:
    async with system(state, "identity") as parts:
        agent = await parts.enrolled("backend")
        enrolment = parts.wire.exchanges[-1]
        await _ask(parts, agent)
        passed = parts.wire.exchanges[-1]
        return {
            "enrolment-request": parts.request(enrolment),
            "enrolment-answer": parts.answer(enrolment),
            "identity-request": parts.request(passed),
            "identity-upstream": parts.upstream(passed),
            "agent-token": parts.token(_presented(passed)),
        }


async def _published(state: Path) -> Texts:
    async with system(state, "identity", scheme="jwks_uri") as parts:
        await _ask(parts, await parts.published())
        return {"published-request": parts.request(parts.wire.exchanges[-1])}


async def _autonomous(state: Path) -> Texts:
    async with system(state, "autonomous") as parts:
        agent = await parts.enrolled("backend")
        await _ask(parts, agent)
        challenged, exchanged, passed = parts.wire.exchanges[-3:]
        await parts.unsigned(SUPPLY_CHAIN)
        unsigned = parts.wire.exchanges[-1]
        before = len(parts.wire.exchanges)
        await _ask(parts, agent)
        assert len(parts.wire.exchanges) == before + 1, "a run with a token cached makes one request"
        return {
            "unsigned-answer": parts.answer(unsigned),
            "challenge": parts.answer(challenged),
            "resource-token": parts.token(_in_challenge(challenged)),
            "exchange-request": parts.request(exchanged),
            "exchange-answer": parts.answer(exchanged),
            "auth-token": parts.token(_presented(passed)),
            "authorized-request": parts.request(passed),
            "authorized-upstream": parts.upstream(passed),
        }


async def _user_consent(state: Path) -> Texts:
    async with system(state, "user-consent") as parts:
        agent = await parts.enrolled("backend")
        await _ask(parts, agent, asking=parts)
        _challenged, deferred, polled, passed = parts.wire.exchanges[-4:]
        return {
            "consent-answer": parts.answer(deferred),
            "consent-poll": parts.request(polled),
            "consent-delivered": parts.answer(polled),
            "consented-token": parts.token(_presented(passed)),
        }


async def _delegation(state: Path) -> Texts:
    async with system(state, "user-consent") as parts:
        backend = await parts.enrolled("backend")
        await _ask(parts, backend, asking=parts)
        upstream = _presented(parts.wire.exchanges[-1])
        planner = await parts.enrolled("supply-chain", acts_as=SUPPLY_CHAIN)
        await _ask(parts, planner, at=MARKET_ANALYSIS, upstream_token=upstream)
        exchanged, passed = parts.wire.exchanges[-2:]
        return {
            "delegation-exchange": parts.request(exchanged),
            "delegation-token": parts.token(_presented(passed)),
        }


async def _native(state: Path) -> Texts:
    """Draft 11, where a person is asked, and what they take back."""
    async with system(state, "user-consent", draft="11") as parts:
        agent = await parts.enrolled("backend")
        await parts.unsigned(SUPPLY_CHAIN)
        unsigned = parts.wire.exchanges[-1]
        before = len(parts.wire.exchanges)
        await _ask(parts, agent, asking=parts)
        first, person, challenged, deferred, polled, passed = parts.wire.exchanges[before:]
        told = {
            "native-unsigned": parts.answer(unsigned),
            "native-agent-token": parts.token(_presented(first)),
            "native-person-required": parts.answer(first),
            "native-person-request": parts.request(person),
            "native-person-answer": parts.answer(person),
            "native-person-token": parts.token(_presented(challenged)),
            "native-challenge": parts.answer(challenged),
            "native-resource-token": parts.token(_in_challenge(challenged)),
            "native-exchange": parts.request(deferred),
            "native-deferred": parts.answer(deferred),
            "native-delivered": parts.answer(polled),
            "native-auth-token": parts.token(_presented(passed)),
            "native-upstream": parts.upstream(passed),
        }
        before = len(parts.wire.exchanges)
        await parts.revoke(agent)
        revoked = parts.wire.exchanges[before]
        return told | {"native-revocation": parts.request(revoked)}


async def _native_delegation(state: Path) -> Texts:
    async with system(state, "user-consent", draft="11") as parts:
        backend = await parts.enrolled("backend")
        await _ask(parts, backend, asking=parts)
        upstream = _presented(parts.wire.exchanges[-1])
        planner = await parts.own_provider(SUPPLY_CHAIN)
        await _ask(parts, planner, at=MARKET_ANALYSIS, upstream_token=upstream)
        person, _challenged, exchanged, passed = parts.wire.exchanges[-4:]
        return {
            "native-onward-agent-token": parts.token(_presented(person)),
            "native-onward-person": parts.request(person),
            "native-onward-exchange": parts.request(exchanged),
            "native-onward-token": parts.token(_presented(passed)),
        }


async def _ask(
    parts: System,
    agent: Agent,
    *,
    at: str = SUPPLY_CHAIN,
    asking: System | None = None,
    upstream_token: str | None = None,
) -> None:
    auth = agent.auth(on_interaction=asking.decide if asking else None, upstream_token=upstream_token)
    async with agent.http_client(auth=auth) as client:
        response = await client.post(f"{at}/", json=_QUESTION)
        assert response.status_code == 200, response.text


def _presented(exchange: Exchange) -> str:
    found = re.search(r'jwt="([^"]+)"', fields(exchange.request.headers)["signature-key"])
    assert found is not None
    return found[1]


def _in_challenge(exchange: Exchange) -> str:
    found = re.search(r'resource-token="([^"]+)"', exchange.headers["aauth-requirement"])
    assert found is not None
    return jws.parse(found[1]).raw


def rewrite(found: Texts) -> None:
    """Put the texts where the pages name them."""
    for page in pages():
        text = page.text
        for block in page.blocks():
            if block.name in found:
                text = text.replace(_fenced(block, block.text), _fenced(block, found[block.name]))
        if text != page.text:
            page.path.write_text(text, encoding="utf-8")
            print(f"{page.name}: written anew")


def _fenced(block: Block, text: str) -> str:
    return f"```{block.language} {block.name}\n{text}```"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        rewrite(asyncio.run(texts(Path(scratch))))
    conformance.write()
    interop.write()
