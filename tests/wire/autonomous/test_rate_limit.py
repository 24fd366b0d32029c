"""The gateway's limit for each verified agent: the noisy one is told to wait, and nobody else notices."""

from __future__ import annotations

from tests.system.running import System
from tests.wire.enrolment import enrol
from tests.wire.http1 import Answer, connected, send
from tests.wire.parties import Party, get
from tests.wire.signing import Key, Signer

# The demo lets an agent make a hundred at once and fifty a second: this many cannot all pass in ten seconds.
FAR_TOO_MANY = 700


def test_a_noisy_agent_is_told_to_wait_while_others_pass(system: System, agent: Party) -> None:
    limited = _until_limited(enrol(system, "Wire noise").authorized())
    others = [send(agent.authorized().sign(get())) for _ in range(5)]

    assert (limited.status, limited.error) == (429, "rate_limited")
    assert limited.header("retry-after") == "1"
    assert limited.header("signature-error") is None
    assert limited.header("aauth-requirement") is None
    assert [answer.status for answer in others] == [200] * 5


def test_requests_that_do_not_verify_cost_the_agent_they_name_nothing(agent: Party) -> None:
    stranger = Signer(key=Key(), signature_key=agent.authorized().signature_key)
    raw = stranger.sign(get()).raw()
    with connected() as connection:
        connection.send(raw * 200)
        statuses = {connection.answer("GET").status for _ in range(200)}

    assert statuses == {401}
    assert send(agent.authorized().sign(get())).status == 200


def _until_limited(signer: Signer) -> Answer:
    # One signature is enough: a safe request may be repeated.
    raw = signer.sign(get()).raw()
    with connected() as connection:
        for _ in range(FAR_TOO_MANY // 50):
            connection.send(raw * 50)
            answers = [connection.answer("GET") for _ in range(50)]
            limited = [answer for answer in answers if answer.status != 200]
            if limited:
                return limited[0]
    raise AssertionError(f"{FAR_TOO_MANY} requests of one agent all passed")
