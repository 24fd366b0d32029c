"""What every page for administrators begins with: somebody signed in who is one, or a refusal.

Whatever they change for others needs a proof of who they are that is fresh, however they send it.
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse

from aauthkit.errors import PolicyDenied
from aauthkit.person_server.web.sessions import SignedIn, json_members
from aauthkit.person_server.web.showing import Showing

# A page of a list.
PAGE = 50
# A number in an address; a server has no more pages than this.
_MOST_PAGES = 100_000
_LONGEST_SEARCH = 64


class Administering(Showing):
    """Pages and JSON that are nobody else's business."""

    async def administrator(self, request: Request) -> SignedIn:
        """Raises `NotSignedIn`, and `PolicyDenied` for everybody else."""
        return _checked(await self._sessions.required(request))

    def for_others(self, signed_in: SignedIn) -> SignedIn:
        """Whoever may change now what is not theirs; raises `PolicyDenied` and `StepUpRequired`."""
        self._sessions.check_fresh_for_others(_checked(signed_in))
        return signed_in

    async def administrators_form(self, request: Request) -> tuple[SignedIn, FormData]:
        signed_in, form = await self.form(request)
        return self.for_others(signed_in), form

    async def administrators_change(self, request: Request) -> SignedIn:
        """A change without members."""
        return self.for_others(await self._sessions.changing(request))

    def show_administrator(self, template: str, signed_in: SignedIn, **values: Any) -> HTMLResponse:
        """A page with buttons, which says beforehand that they will ask."""
        return self.show(template, signed_in, fresh=self._sessions.is_fresh(signed_in), **values)

    async def administrators_members(self, request: Request) -> tuple[SignedIn, dict[str, Any]]:
        members = await json_members(request)
        return await self.administrators_change(request), members


def _checked(signed_in: SignedIn) -> SignedIn:
    if not signed_in.administrator:
        raise PolicyDenied("Only an administrator of this server does this.")
    return signed_in


def searched(request: Request) -> tuple[str, int]:
    """What is looked for, and which page of it, counted from 0."""
    text = request.query_params.get("q", "")[:_LONGEST_SEARCH].replace("\0", "").strip()
    number = request.query_params.get("page", "0")
    page = min(int(number[:6]), _MOST_PAGES) if number.isascii() and number.isdigit() else 0
    # What cannot be written as UTF-8 is nobody's name.
    return text.encode("utf-8", "replace").decode(), page
