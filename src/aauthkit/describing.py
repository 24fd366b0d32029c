"""What an endpoint says of itself, beside the function that answers, and the one OpenAPI document made of it all.

A route whose function says nothing is left out of the document, and a test fails. Shapes are JSON Schema, written
where the answer is made. Nothing here checks a request: the endpoint does, and tests hold it to what it says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.routing import BaseRoute, Route

Schema = Mapping[str, Any]
H = TypeVar("H", bound=Callable[..., Any])

TEXT: Schema = {"type": "string"}
TRUTH: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time"}
URL: Schema = {"type": "string", "format": "uri"}
# Whatever JSON an agent sent.
ANY_OBJECT: Schema = {"type": "object"}

JSON = "application/json"
_PATH_PARAMETER = re.compile(r"{([a-z_]+)(?::path)?}")


class Caller(Enum):
    """Who may ask, and how they show who they are: the name of a security scheme of the document."""

    ANYBODY = "anybody"
    PERSON = "person"
    AGENT = "agent"
    ENROLLING = "enrolling"
    SERVER = "server"


@dataclass(frozen=True, kw_only=True)
class Browser:
    """By what a browser shows who its person is."""

    cookie: str
    page_header: str
    """Where a change by cookie carries the token of the page it was made on."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer that is not an error. Without a shape it has no body."""

    shape: Schema | None = None
    media_type: str = JSON
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one address."""

    summary: str
    caller: Caller
    answers: Mapping[int, Answer | Schema]
    takes: Schema | None = None
    """The shape of a JSON body."""
    query: Mapping[str, Schema] = field(default_factory=dict)
    """Parameters after the question mark; all may be left out."""
    refuses: tuple[int, ...] = ()
    """Statuses of errors, beside those that follow from who the caller is and from a body being read."""


def describes(
    summary: str,
    caller: Caller,
    answers: Mapping[int, Answer | Schema],
    *,
    takes: Schema | None = None,
    query: Mapping[str, Schema] | None = None,
    refuses: tuple[int, ...] = (),
) -> Callable[[H], H]:
    """Put the description on the function that answers."""
    operation = Operation(
        summary=summary, caller=caller, answers=answers, takes=takes, query=query or {}, refuses=refuses
    )

    def put(handler: H) -> H:
        handler.__dict__["operation"] = operation
        return handler

    return put


def operation_of(route: BaseRoute) -> Operation | None:
    """What a route says of itself, if it says anything."""
    found = getattr(getattr(route, "endpoint", None), "operation", None)
    return found if isinstance(found, Operation) else None


# Shapes


def members(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object; members it does not name are ignored when it is read, and may come with a later version."""
    shape: dict[str, Any] = {"type": "object", "properties": {**required, **(optional or {})}}
    return shape | ({"required": list(required)} if required else {})


def status(*accepted: str) -> Schema:
    """`{"status": …}`, and nothing else."""
    return members({"status": words(*accepted)})


def list_of(shape: Schema) -> Schema:
    return {"type": "array", "items": shape}


def map_of(shape: Schema) -> Schema:
    return {"type": "object", "additionalProperties": shape}


def words(*accepted: str) -> Schema:
    return {"type": "string", "enum": list(accepted)}


def text(longest: int, *, required: bool = False) -> Schema:
    """A text a caller sends, at most ``longest`` characters long."""
    return {"type": "string", "maxLength": longest} | ({"minLength": 1} if required else {})


def or_null(shape: Schema) -> Schema:
    return {"anyOf": [shape, {"type": "null"}]}


# A well-known document, whose members its own text names.
METADATA: Schema = {**members({"issuer": TEXT, "jwks_uri": TEXT}), "additionalProperties": True}

# The document

_SECURITY: Mapping[Caller, Mapping[str, Any]] = {
    Caller.PERSON: {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token of the person's, from the identity provider, whose application the server was "
        "told of. Whoever administers shows one whose auth_time is fresh.",
    },
    Caller.AGENT: {
        "type": "apiKey",
        "in": "header",
        "name": "Signature-Key",
        "description": "A request signed under RFC 9421 with the key of the agent token in Signature-Key (scheme jwt).",
    },
    Caller.ENROLLING: {
        "type": "apiKey",
        "in": "header",
        "name": "Signature-Key",
        "description": "A signed request whose key is delegated to by the agent's stable key (scheme jkt-jwt).",
    },
    Caller.SERVER: {
        "type": "apiKey",
        "in": "header",
        "name": "Signature-Key",
        "description": "A request signed with a key the server publishes (scheme jwks_uri).",
    },
}
# How a browser shows who its person is, instead.
_SESSION, _PAGE = "session", "page"
_SIGNED_REFUSALS = (400, 401, 403, 413, 503)
_REFUSALS: Mapping[Caller, tuple[int, ...]] = {
    Caller.ANYBODY: (),
    # 503: a bearer token is judged with the identity provider's keys.
    Caller.PERSON: (401, 503),
    Caller.AGENT: _SIGNED_REFUSALS,
    Caller.ENROLLING: _SIGNED_REFUSALS,
    Caller.SERVER: _SIGNED_REFUSALS,
}
# A body that cannot be read; for a person also a change without the token of the page.
_BODY_REFUSALS = (400, 413)
_CHANGE_REFUSALS = (403,)

_PROBLEM: Schema = members({"error": TEXT, "detail": TEXT}, {"type": TEXT})
_PROBLEM_01: Schema = members({"error": TEXT, "error_description": TEXT})


def described(
    routes: Iterable[BaseRoute], *, title: str, version: str, server: str, browser: Browser
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of all routes that say something of themselves."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = operation_of(route)
        if operation is None or not isinstance(route, Route):
            continue
        address = _PATH_PARAMETER.sub(r"{\1}", route.path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(address, {})[method.lower()] = _operation(operation, route, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": server}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {"Problem": _PROBLEM, "Problem01": _PROBLEM_01},
            "securitySchemes": {caller.value: scheme for caller, scheme in _SECURITY.items()} | _of_browsers(browser),
        },
    }


def _of_browsers(browser: Browser) -> dict[str, Any]:
    session = {"type": "apiKey", "in": "cookie", "name": browser.cookie, "description": "The session of a browser."}
    page = {
        "type": "apiKey",
        "in": "header",
        "name": browser.page_header,
        "description": "The token of a session's pages, csrf_token of GET /person/me; a change by cookie carries it.",
    }
    return {_SESSION: session, _PAGE: page}


def refusals(operation: Operation, method: str) -> list[int]:
    """Every error status the operation may answer with, other than for a bug."""
    found = {*operation.refuses, *_REFUSALS[operation.caller]}
    if operation.takes is not None:
        found |= {*_BODY_REFUSALS}
    if operation.caller is Caller.PERSON and method != "GET":
        found |= {*_CHANGE_REFUSALS}
    return sorted(found)


def _operation(operation: Operation, route: Route, method: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "summary": operation.summary,
        "tags": [operation.caller.value],
        "responses": _responses(operation, method),
    }
    if parameters := [*_in_the_path(route), *_in_the_query(operation)]:
        told["parameters"] = parameters
    if operation.takes is not None:
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": operation.takes}}}
    if operation.caller is not Caller.ANYBODY:
        told["security"] = [{operation.caller.value: []}]
    if operation.caller is Caller.PERSON:
        told["security"].append({_SESSION: []} if method == "GET" else {_SESSION: [], _PAGE: []})
    return told


def _in_the_path(route: Route) -> list[dict[str, Any]]:
    names = _PATH_PARAMETER.findall(route.path)
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names
    ]


def _in_the_query(operation: Operation) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]


def _responses(operation: Operation, method: str) -> dict[str, Any]:
    told = {str(status): _answer(status, given) for status, given in operation.answers.items()}
    for status in refusals(operation, method):
        told[str(status)] = {"description": HTTPStatus(status).phrase, "content": _problem(operation)}
    return told


def _answer(status: int, given: Answer | Schema) -> dict[str, Any]:
    answer = given if isinstance(given, Answer) else Answer(shape=given)
    told: dict[str, Any] = {"description": answer.about or HTTPStatus(status).phrase}
    if answer.shape is not None:
        told["content"] = {answer.media_type: {"schema": answer.shape}}
    return told


def _problem(operation: Operation) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if operation.caller in (Caller.AGENT, Caller.ENROLLING):
        # In draft 01's words, when the request is in that draft.
        content[JSON] = {"schema": {"$ref": "#/components/schemas/Problem01"}}
    return content
