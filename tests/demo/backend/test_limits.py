"""What a caller may send: the right status, a stable code and one sentence, and never a 5xx."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.demo.backend.doubles import run

pytestmark = pytest.mark.anyio
PROTECTED = [
    ("GET", "/auth/me"),
    ("GET", "/agents/status"),
    ("GET", "/agents/status/backend"),
    ("GET", "/agents/activities"),
    ("POST", "/optimization/start"),
    ("GET", "/optimization/progress/x"),
    ("GET", "/optimization/results/x"),
    ("GET", "/optimization/all"),
    ("DELETE", "/optimization/clear"),
    ("GET", "/optimization/test-a2a-connection"),
    ("POST", "/protocol/attempts"),
]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_without_a_sign_in_every_personal_endpoint_is_401(
    anonymous: httpx2.AsyncClient, method: str, path: str
) -> None:
    answer = await anonymous.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert set(answer.json()) == {"error", "error_description", "detail"}


@pytest.mark.parametrize("path", ["/", "/health", "/auth/health"])
async def test_the_open_endpoints_need_no_sign_in(anonymous: httpx2.AsyncClient, path: str) -> None:
    assert (await anonymous.get(path)).status_code == 200


async def test_a_prompt_of_four_thousand_characters_is_accepted(api: httpx2.AsyncClient) -> None:
    assert (await api.post("/optimization/start", json={"prompt": "x" * 4000})).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "x" * 4001},
        {"custom_prompt": "x" * 4001},
        {"prompt": 7},
        {"constraints": "fast"},
        {"constraints": ["x"] * 51},
        {"constraints": ["x" * 501]},
        {"constraints": {str(number): 1 for number in range(51)}},
        {"parameters": []},
        {"months": 5},
        {"priority": "x" * 101},
        [],
        None,
    ],
)
async def test_a_body_out_of_bounds_is_422(api: httpx2.AsyncClient, body: object) -> None:
    answer = await api.post("/optimization/start", json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
    assert answer.json()["error_description"].endswith(".")


@pytest.mark.parametrize(
    "content",
    [
        b'{"parameters": {"a": NaN}}',
        b'{"constraints": {"a": -Infinity}}',
        rb'{"parameters": {"a": "\ud800"}}',
        rb'{"prompt": "\ud800"}',
    ],
)
async def test_what_json_cannot_carry_is_422(api: httpx2.AsyncClient, content: bytes) -> None:
    answer = await api.post("/optimization/start", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 60_000, b'{"a": ' * 9_000, b"1" * 10_000])
async def test_broken_json_is_a_4xx(api: httpx2.AsyncClient, content: bytes) -> None:
    answer = await api.post("/optimization/start", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"] == "invalid_request"


async def test_a_body_of_64_kib_is_read(api: httpx2.AsyncClient) -> None:
    body = b'{"ignored": "' + b"x" * (64 * 1024 - 15) + b'"}'
    answer = await api.post("/optimization/start", content=body, headers={"content-type": "application/json"})
    assert (len(body), answer.status_code) == (64 * 1024, 200)


async def test_one_byte_more_is_413(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/optimization/start", content=b"x" * (64 * 1024 + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "payload_too_large")


async def test_the_limit_holds_for_a_chunked_body(api: httpx2.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    assert (await api.post("/optimization/start", content=chunks())).status_code == 413


@pytest.mark.parametrize(("limit", "status"), [("1", 200), ("500", 200), ("0", 422), ("501", 422), ("x", 422)])
async def test_the_limit_of_activities_is_between_1_and_500(api: httpx2.AsyncClient, limit: str, status: int) -> None:
    assert (await api.get(f"/agents/activities?limit={limit}")).status_code == status


async def test_activities_are_limited_to_what_was_asked(api: httpx2.AsyncClient) -> None:
    await run(api)
    newest = (await api.get("/agents/activities?limit=1")).json()
    assert [each["action"] for each in newest] == ["Planned the purchases"]


@pytest.mark.parametrize("path", ["/nothing", "/optimization/progress/", "/optimization/progress/a/b"])
async def test_an_unknown_path_is_404(api: httpx2.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


async def test_a_wrong_method_is_405(api: httpx2.AsyncClient) -> None:
    answer = await api.put("/optimization/start", json={})
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")


async def test_a_preflight_of_the_page_is_200(anonymous: httpx2.AsyncClient) -> None:
    headers = {
        "Origin": "http://localhost:3050",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = await anonymous.options("/optimization/start", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3050"


async def test_a_preflight_of_another_origin_gets_no_permission(anonymous: httpx2.AsyncClient) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = await anonymous.options("/optimization/start", headers=headers)
    assert "access-control-allow-origin" not in answer.headers


async def test_a_refusal_can_be_read_by_the_page(anonymous: httpx2.AsyncClient) -> None:
    answer = await anonymous.get("/auth/me", headers={"Origin": "http://localhost:3050"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "http://localhost:3050")


async def test_a_foreign_host_name_is_refused(anonymous: httpx2.AsyncClient) -> None:
    assert (await anonymous.get("/", headers={"Host": "evil.example:8000"})).status_code == 400


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "backend.localhost:8000", "[::1]:8000"])
async def test_its_own_host_names_are_served(anonymous: httpx2.AsyncClient, host: str) -> None:
    assert (await anonymous.get("/", headers={"Host": host})).status_code == 200
