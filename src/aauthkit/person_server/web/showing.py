"""What every page is made with: templates, errors shown as pages, and forms whose CSRF token was checked."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from aauthkit.drafts import NATIVE
from aauthkit.errors import AAuthError, InvalidRequest, MisuseError
from aauthkit.keys import fingerprint
from aauthkit.person_server.asking.markdown import safe_html, safe_line
from aauthkit.person_server.audit import in_words
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.sign_in.openid import NotSignedIn, SignInAnew
from aauthkit.person_server.web.sessions import Sessions, SignedIn
from aauthkit.serving import read_body, text_member

P = TypeVar("P", bound="Showing")


def _day(unix_seconds: float) -> str:
    moment = datetime.fromtimestamp(unix_seconds, UTC)
    return f"{moment.day} {moment:%b %Y}"


def _initials(name: str) -> str:
    """What stands for somebody without a picture: the first letters of two words."""
    words = [word for word in "".join(c if c.isalnum() else " " for c in name).split() if word]
    return "".join(word[0] for word in words[:2]).upper() or "?"


def _markdown_line(text: str) -> Markup:
    """The same of what is one line."""
    return Markup(safe_line(text))  # noqa: S704


def _markdown(text: str) -> Markup:
    """What an agent wrote: cleaned by nh3 to a few tags without attributes, so it may stand in the page as it is."""
    return Markup(safe_html(text))  # noqa: S704


_templates = Environment(
    loader=PackageLoader("aauthkit.person_server.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_templates.filters["when"] = in_words
_templates.filters["iso"] = lambda unix_seconds: datetime.fromtimestamp(unix_seconds, UTC).isoformat()
_templates.filters["fingerprint"] = fingerprint
_templates.filters["markdown"] = _markdown
_templates.filters["markdown_line"] = _markdown_line
_templates.filters["day"] = _day
_templates.filters["initials"] = _initials


def page(handler: Callable[[P, Request], Awaitable[Response]]) -> Callable[[P, Request], Awaitable[Response]]:
    """An error on a page is a page; somebody not signed in is sent to sign in and comes back here."""

    @functools.wraps(handler)
    async def wrapped(self: P, request: Request) -> Response:
        try:
            return await handler(self, request)
        except NotSignedIn as error:
            if request.method == "GET" and request.scope["path"] != "/ui/callback":
                return self.to_login(_address(request), anew=isinstance(error, SignInAnew))
            if isinstance(error, SignInAnew):
                # What was sent is not kept; the person comes back to the page they sent it from.
                return self.to_login(_page_before(request), anew=True)
            return self.error(error, None)
        except AAuthError as error:
            return self.error(error, await self.visitor(request))

    return wrapped


class Showing:
    """Renders pages and reads forms; what they are about is its children's business."""

    def __init__(self, settings: PersonServerSettings, sessions: Sessions) -> None:
        self._settings = settings
        self._sessions = sessions

    def show(self, template: str, signed_in: SignedIn | None, *, status: int = 200, **values: Any) -> HTMLResponse:
        common = {
            "person": signed_in.person if signed_in else None,
            "csrf_token": self._sessions.csrf_token(signed_in) if signed_in else "",
            "administers": signed_in is not None and signed_in.administrator,
            "issuer": self._settings.issuer,
            "server_name": self._settings.name,
            "view": signed_in.view if signed_in else None,
        }
        return HTMLResponse(_templates.get_template(template).render(**common, **values), status_code=status)

    async def visitor(self, request: Request) -> SignedIn | None:
        """Whoever is signed in, if anybody: an error page shows as whom one looks."""
        try:
            return await self._sessions.who(request)
        except AAuthError:
            return None

    def error(self, error: AAuthError, signed_in: SignedIn | None) -> Response:
        ours = isinstance(error, MisuseError)
        response = self.show(
            "error.html", signed_in, status=500 if ours else error.status, detail="" if ours else error.detail
        )
        response.headers.update({} if ours else error.headers(NATIVE))
        return response

    def to_login(self, return_to: str, *, anew: bool = False) -> Response:
        wanted = {"return_to": return_to} | ({"anew": "1"} if anew else {})
        return RedirectResponse(f"/ui/login?{urlencode(wanted)}", status_code=303)

    async def form(self, request: Request, *, fields: int = 20) -> tuple[SignedIn, FormData]:
        """The person and the form of at most so many ``fields``, its CSRF token checked."""
        signed_in = await self._sessions.required(request)
        # Read under the common limit, so that parsing the form reads from memory.
        request._body = await read_body(request)
        form = await request.form(max_files=0, max_fields=fields)
        given = form.get("csrf_token")
        self._sessions.check_csrf(request, signed_in, given if isinstance(given, str) else None)
        return signed_in, form


def _address(request: Request) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return str(request.scope["path"]) + (f"?{query}" if query else "")


def _page_before(request: Request) -> str:
    try:
        before = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return local_page(None)
    return local_page(before.path + (f"?{before.query}" if before.query else ""))


def local_page(path: str | None) -> str:
    """A page of ours; anything else becomes the first page, so a sign-in never leads away."""
    if path is None or not path.startswith("/ui/") or "\\" in path or not path.isprintable() or len(path) > 4096:
        return "/ui/"
    return path


def text_in(form: FormData, name: str) -> str:
    value = form.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(f"The form has no {name}.")
    return value


def words_in(form: FormData, name: str, *, longest: int) -> str | None:
    """A person's own words, if they wrote any; browsers send line ends of their own. Raises `InvalidRequest`."""
    members = {name: str(form.get(name, "")).replace("\r\n", "\n").strip()}
    return text_member(members, name, longest=longest, lines=True) or None


def one_of(form: FormData, name: str, meanings: dict[str, Any]) -> Any:
    value = form.get(name)
    if not isinstance(value, str) or value not in meanings:
        raise InvalidRequest(f"The form says nothing we know for {name}.")
    return meanings[value]
