"""`GET /openapi.json`: the whole JSON interface of this process, the agent provider's beside it, as one document.

It is made from what the routes say of themselves (`describing.py`), once, when the server starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from aauthkit.describing import ANY_OBJECT, Browser, Caller, described, describes
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.web.sessions import CSRF_HEADER, cookie_name
from aauthkit.serving import answer

PATH = "/openapi.json"


def description(routes: Sequence[BaseRoute], settings: PersonServerSettings) -> Route:
    """The route that describes ``routes`` and itself. Anybody may read it: it names no person and no agent."""

    @describes("This document", Caller.ANYBODY, {200: ANY_OBJECT})
    async def document(_request: Request) -> Response:
        return answer(200, told, {"Cache-Control": "max-age=60"})

    route = Route(PATH, document, methods=["GET"])
    told = described(
        [*routes, route],
        title=settings.name,
        version=metadata.version("aauthkit"),
        server=settings.issuer,
        browser=Browser(cookie=cookie_name("person", settings.issuer), page_header=CSRF_HEADER),
    )
    return route
