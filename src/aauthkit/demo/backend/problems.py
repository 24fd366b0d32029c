"""How the API says no: one exception with a status, a stable code and one sentence, and the function that renders it.

It never carries a stack trace, a token or another person's data.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class Problem(Exception):
    """An answer other than success. `message` is public and says what to do."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def render(problem: Problem) -> JSONResponse:
    # `detail` repeats the sentence: the walkthrough's clients read that member.
    body = {"error": problem.code, "error_description": problem.message, "detail": problem.message}
    return JSONResponse(body, status_code=problem.status, headers=problem.headers)


CODES = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}


def install(app: FastAPI) -> None:
    """Make every failure of this application come out in the one shape."""

    app.add_exception_handler(Problem, _answer)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(RequestValidationError, _answer)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, RequestValidationError):
        return render(_of_validation(error))
    if isinstance(error, HTTPException):
        code = CODES.get(error.status_code, "invalid_request")
        return render(Problem(error.status_code, code, f"{error.detail}.", error.headers))
    if isinstance(error, Problem):
        return render(error)
    raise error


def _of_validation(error: RequestValidationError) -> Problem:
    """Name the member and what is wrong with it. The value is not repeated: it is the caller's, and may be anything."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return Problem(400, "invalid_request", "The body is not valid JSON.")
    place = ".".join(str(part) for part in first["loc"][1:]) or "body"
    return Problem(422, "invalid_request", f"{place}: {first['msg']}.")
