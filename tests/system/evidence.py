"""Proof that an answer was computed where it says: in the results themselves, and in the logs of those who worked."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import httpx2

from tests.system.running import System

GATEWAY_LOG = "gateway.log"
DECISION_LOG = "authz.log"
TOOLS_LOG = "tools.log"
SUPPLY_CHAIN = "supply-chain-agent.localhost:3000"
MARKET_ANALYSIS = "market-analysis-agent.localhost:3000"
# The gateway writes its log at least every ten seconds.
LOG_SECONDS = 20.0
# CONTRACT §8, reference data: what each period must come to.
REFERENCE = {3: ("low", 57, 0), 6: ("medium", 40, 10), 12: ("high", 0, 51)}


def is_a_plan(results: dict[str, Any]) -> None:
    """The numbers agree with each other, so they were computed and not made up one by one."""
    recommendations = results["recommendations"]
    assert recommendations, results
    for line in recommendations:
        assert line["quantity"] > 0
        assert line["total"] == line["quantity"] * line["unit_price"]
    assert results["summary"]["total_cost"] == sum(line["total"] for line in recommendations)
    assert results["reasoning"]


def is_a_market_analysis(results: dict[str, Any], months: int) -> dict[str, Any]:
    """The reference data's figures for this period, as the market-analysis agent works them out; returns its data."""
    analysis = results["market_analysis"]
    assert analysis["markdown"].startswith("#")
    data: dict[str, Any] = analysis["data"]
    surplus = sum(model["surplus"] for model in data["models"])
    gap = sum(model["gap"] for model in data["models"])
    assert (data["months"], data["risk"], surplus, gap) == (months, REFERENCE[months][0], *REFERENCE[months][1:])
    return data


def tools_were_called(system: System, data: dict[str, Any]) -> None:
    """Each call that the analysis names has an identifier that only the tools server could have given it."""
    calls = data["tool_calls"]
    assert {call["tool"] for call in calls} >= {"get_inventory", "get_headcount_plan"}
    assert len({call["request_id"] for call in calls}) == len(calls)
    if system.state is not None:
        log = (system.state / "logs" / TOOLS_LOG).read_text()
        assert [call for call in calls if call["request_id"] not in log] == []


def requests(system: System) -> list[dict[str, Any]]:
    """The gateway's access log, oldest first and complete up to now; only for a system whose state is known.

    The gateway writes its log in batches, so a request of our own is made and waited for: what came before it is there.
    """
    return _up_to_now(system, GATEWAY_LOG, "http.path")


def decisions(system: System) -> list[dict[str, Any]]:
    """What the authorization service decided, in the same way."""
    return _up_to_now(system, DECISION_LOG, "path")


def posts(lines: list[dict[str, Any]], host: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["http.host"] == host and line["http.method"] == "POST"]


def calls(decided: list[dict[str, Any]], host: str) -> list[dict[str, Any]]:
    """The decisions about what was posted to a host."""
    return [line for line in decided if line["host"] == host and line["method"] == "POST"]


def _up_to_now(system: System, log: str, path: str) -> list[dict[str, Any]]:
    assert system.state is not None
    mark = f"/mark-{uuid.uuid4()}"
    httpx2.get(f"{system.gateway}{mark}", headers={"Host": SUPPLY_CHAIN}, trust_env=False)
    deadline = time.monotonic() + LOG_SECONDS
    while True:
        lines = [line for line in _json_lines(system.state / "logs" / log) if path in line]
        if any(line[path] == mark for line in lines):
            return [line for line in lines if not line[path].startswith("/mark-")]
        assert time.monotonic() < deadline, f"{log} does not show what was just asked"
        time.sleep(0.1)


def _json_lines(path: Path) -> list[dict[str, Any]]:
    lines = (line[line.find("{") :] for line in path.read_text(errors="replace").splitlines() if "{" in line)
    return [value for line in lines if isinstance(value := _json(line), dict)]


def _json(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
