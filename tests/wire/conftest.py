"""What the wire suites share: the running system, agents enrolled with it, its keys, the judgement of an answer.

Which mode a suite runs in is the directory it stands in, as for the system suites.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.person_server.world import keys_of
from tests.system.running import System, Systems
from tests.wire.access_log import AccessLog
from tests.wire.decisions import DecisionLog
from tests.wire.enrolment import enrol, enrol_with_ticket
from tests.wire.parties import SUPPLY_CHAIN, Party
from tests.wire.signing import Key, header_of
from tests.wire.verdicts import Verdicts

MODES = {"autonomous": "autonomous", "user_consent": "user-consent"}

Enrolled = dict[tuple[str, str], Party]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "wire" in item.path.parts:
            item.add_marker("wire")
            item.add_marker("system")


@pytest.fixture(autouse=True)
def system(systems: Systems, request: pytest.FixtureRequest) -> System:
    return systems.in_mode(MODES[request.path.parent.name])


@pytest.fixture(scope="session")
def enrolled() -> Enrolled:
    """The agents enrolled so far, by the mode of their system and by name."""
    return {}


@pytest.fixture
def agent(system: System, enrolled: Enrolled) -> Party:
    """An agent like any other."""
    return _known(enrolled, system, "Wire agent", enrol)


@pytest.fixture
def neighbour(system: System, enrolled: Enrolled) -> Party:
    """Another agent of the same person."""
    return _known(enrolled, system, "Wire neighbour", enrol)


@pytest.fixture
def intermediary(system: System, enrolled: Enrolled) -> Party:
    """An agent that acts as the supply-chain resource, so it may extend what others were authorized for there."""
    with_ticket = partial(enrol_with_ticket, resource=f"http://{SUPPLY_CHAIN}")
    return _known(enrolled, system, "Wire intermediary", with_ticket)


@pytest.fixture
def provider_key(system: System, agent: Party) -> Key:
    """The key the person server really signs with, to make tokens in which one single thing is wrong."""
    assert system.state is not None
    pem = asyncio.run(keys_of(system.state / "person"))["01"].to_pem()
    private = load_pem_private_key(pem, password=None)
    assert isinstance(private, Ed25519PrivateKey)
    return Key(private, kid=header_of(agent.agent_token)["kid"])


@pytest.fixture
def verdicts(system: System) -> Verdicts:
    """Sends requests and judges both the answer and what the authorization service logged about it."""
    assert system.state is not None
    return Verdicts(DecisionLog(system.state / "logs" / "authz.log"))


@pytest.fixture
def access_log(system: System) -> AccessLog:
    assert system.state is not None
    return AccessLog(system.state / "logs" / "gateway.log")


def _known(enrolled: Enrolled, system: System, name: str, enrolling: Callable[[System, str], Party]) -> Party:
    if (system.mode, name) not in enrolled:
        enrolled[system.mode, name] = enrolling(system, name)
    return enrolled[system.mode, name]
