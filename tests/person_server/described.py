"""The server held to its own description: every JSON answer any test receives is compared with `/openapi.json`.

So an endpoint cannot answer a status, a member or a media type that the document does not name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx2
import jsonschema_rs

_PARAMETER = re.compile(r"{[a-z_]+}")
# The one parameter that holds slashes.
_WIDE = "{scope}"


class DescribedTransport(httpx2.AsyncBaseTransport):
    """Asks the application in process, and judges what it answers."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx2.ASGITransport(app=app)
        self._description: Description | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if "text/html" in response.headers.get("content-type", "") or request.url.path.startswith("/ui"):
            return response
        if self._description is None:
            self._description = await self._described(request)
        self._description.check(request.method, request.url.path, response, await response.aread())
        return response

    async def _described(self, request: httpx2.Request) -> Description:
        asked = httpx2.Request("GET", request.url.copy_with(raw_path=b"/openapi.json"))
        answer = await self._inner.handle_async_request(asked)
        return Description(json.loads(await answer.aread()))


class Description:
    """The document, ready to judge answers."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._components = document["components"]
        self._addresses = [(_pattern(address), methods) for address, methods in document["paths"].items()]
        self._validators: dict[int, jsonschema_rs.Validator] = {}

    def operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        found = [methods for pattern, methods in self._addresses if pattern.fullmatch(path)]
        return next((methods[method.lower()] for methods in found if method.lower() in methods), None)

    def check(self, method: str, path: str, response: httpx2.Response, body: bytes) -> None:
        """Raises ``AssertionError`` when the answer is not one that is described."""
        operation = self.operation(method, path)
        if operation is None:
            return  # no such address, or not with this method: then it is an error, and no test mistakes it
        where = f"{method} {path} answers {response.status_code}"
        told = operation["responses"].get(str(response.status_code))
        assert told is not None, f"{where}, which /openapi.json does not name"
        media_type = response.headers.get("content-type", "").partition(";")[0]
        content = told.get("content")
        if content is None:
            assert not body, f"{where} with a body, which /openapi.json does not name"
            return
        assert media_type in content, f"{where} as {media_type!r}, which /openapi.json does not name"
        if media_type.endswith("json"):
            self._validator(content[media_type]["schema"]).validate(json.loads(body))

    def _validator(self, schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
        if id(schema) not in self._validators:
            closed = {"components": self._components, "allOf": [_closed(schema)]}
            self._validators[id(schema)] = jsonschema_rs.validator_for(closed)
        return self._validators[id(schema)]


def _pattern(address: str) -> re.Pattern[str]:
    wide = address.replace(_WIDE, "\0")
    return re.compile("[^/]+".join(map(re.escape, _PARAMETER.split(wide))).replace("\0", ".+"))


def _closed(schema: Any) -> Any:
    """The same shape without room for members it does not name; clients are told to ignore those, tests are not."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    inner = {name: _closed(value) for name, value in schema.items()}
    return {"additionalProperties": False, **inner} if "properties" in schema else inner
