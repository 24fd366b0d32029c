"""What happened, for people and their scripts: searched page by page, or exported whole as JSON lines or CSV.

A person sees their own activity. An administrator may ask for everybody's. What is exported is read in batches while
it is sent, so it costs the same memory however much there is.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from aauthkit.describing import ANY_OBJECT, COUNT, TEXT, TIME, Answer, Caller, describes, list_of, members, or_null
from aauthkit.errors import InvalidRequest, PolicyDenied
from aauthkit.person_server.audit import Head, Kind, Outcome, sentence, sentence_parts
from aauthkit.person_server.revocation.service import RevocationService
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage.audit_search import AuditReader, AuditRow, Cursor, Filter, Found
from aauthkit.person_server.web.presentation import when
from aauthkit.person_server.web.sessions import Sessions, SignedIn
from aauthkit.person_server.web.showing import Showing, page
from aauthkit.serving import answer

_CURSOR = re.compile(r"(\d{1,12})-(\d{1,15})")
_LONGEST = 256
_MOST_WORDS = 8
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_HEAD = members({"seq": COUNT, "hash": TEXT})
_ROW = members({"sentence": TEXT, "used": or_null(COUNT), "hash": TEXT, "row": ANY_OBJECT})
_PAGE = members({"rows": list_of(_ROW), "next": or_null(TEXT), "looked_back_to": or_null(TIME), "head": _HEAD})
_QUERY = dict.fromkeys(("q", "agent", "resource", "kind", "outcome", "from", "to", "whose"), TEXT)
_COLUMNS = (
    "time", "seq", "kind", "outcome", "sentence", "person", "actor", "agent_name", "agent", "resource_name", "resource",
    "scope", "via", "account", "token", "jti", "consent", "until", "detail", "hash",
)  # fmt: skip


class ActivityPages(Showing):
    """The page, its JSON and the exports; all take the same filters."""

    def __init__(
        self, settings: PersonServerSettings, *, sessions: Sessions, log: AuditReader, revocation: RevocationService
    ) -> None:
        super().__init__(settings, sessions)
        self._log = log
        self._revocation = revocation

    def routes(self) -> list[Route]:
        return [
            Route("/ui/activity", self.look, methods=["GET"]),
            Route("/ui/tokens", self.tokens, methods=["GET"]),
            Route("/person/activity", self.listed, methods=["GET"]),
            Route("/person/activity.jsonl", self.json_lines, methods=["GET"]),
            Route("/person/activity.csv", self.comma_separated, methods=["GET"]),
        ]

    # The page

    @page
    async def look(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        asked = {name: request.query_params.get(name, "") for name in _QUERY}
        found = await self._found(signed_in, request)
        older = {**{name: value for name, value in asked.items() if value}, "after": _written(found.next)}
        filters = {name: value for name, value in asked.items() if value}
        return self.show(
            "activity.html",
            signed_in,
            asked=asked,
            found=found,
            rows=[(row, parts) for row, parts in zip(found.rows, await self._told(found), strict=True)],
            standing=await self._standing(signed_in, found.rows),
            kinds=list(Kind),
            outcomes=sorted({str(outcome) for outcome in Outcome}),
            administrator=_administers(signed_in),
            head=await self._log.head(),
            older=urlencode(older) if found.next is not None else "",
            exported=urlencode(filters),
        )

    async def tokens(self, _request: Request) -> Response:
        """Where the list of tokens was: it is part of the activity."""
        return RedirectResponse("/ui/activity?kind=token", status_code=303)

    async def _told(self, found: Found) -> list[list[Any]]:
        beside = await _beside(self._log, found.rows)
        return [sentence_parts(row.event, used=_used(row, beside), names=beside.names) for row in found.rows]

    async def _standing(self, signed_in: SignedIn, rows: Sequence[AuditRow]) -> dict[int, str]:
        """What became of the person's own tokens on the page, by the number of the row that issued them."""
        own = {row.seq: row.event for row in rows if _is_own_token(row, signed_in.person.id)}
        found = await self._revocation.standing({event.jti: event.until or 0 for event in own.values()})
        return {seq: found[event.jti] for seq, event in own.items()}

    # JSON and exports

    @describes(
        "What happened, newest first; `next` of one page is `after` of the one that follows",
        Caller.PERSON,
        {200: _PAGE},
        query=_QUERY | {"after": TEXT},
        refuses=(400, 403),
    )
    async def listed(self, request: Request) -> Response:
        found = await self._found(await self._sessions.required(request), request)
        beside = await _beside(self._log, found.rows)
        head = await self._log.head()
        looked_back_to = when(found.next.at) if found.next is not None and not found.whole else None
        rows = [_row_json(row, beside) for row in found.rows]
        after = _written(found.next) or None
        return answer(200, {"rows": rows, "next": after, "looked_back_to": looked_back_to, "head": _head_json(head)})

    @describes(
        "All that matches as JSON lines; the first line is the head of the chain",
        Caller.PERSON,
        {200: Answer(shape=TEXT, media_type="application/jsonl", about="one object a line")},
        query=_QUERY,
        refuses=(400, 403),
    )
    async def json_lines(self, request: Request) -> Response:
        wanted, head = await self._wanted(request), await self._log.head()

        async def lines() -> AsyncIterator[str]:
            yield json.dumps({"head": _head_json(head)}) + "\n"
            async for text in batches(self._log, wanted, json_lines_of):
                yield text

        return _download(lines(), "application/jsonl", f"activity-{head.hash[:12]}.jsonl")

    @describes(
        "All that matches as CSV, cells made safe for spreadsheets",
        Caller.PERSON,
        {200: Answer(shape=TEXT, media_type="text/csv", about="a header line, then one line a row")},
        query=_QUERY,
        refuses=(400, 403),
    )
    async def comma_separated(self, request: Request) -> Response:
        wanted, head = await self._wanted(request), await self._log.head()

        async def lines() -> AsyncIterator[str]:
            yield csv_header()
            async for text in batches(self._log, wanted, csv_of):
                yield text

        return _download(lines(), "text/csv; charset=utf-8", f"activity-{head.hash[:12]}.csv")

    # Both

    async def _wanted(self, request: Request) -> Filter:
        return filter_of(request.query_params, await self._sessions.required(request))

    async def _found(self, signed_in: SignedIn, request: Request) -> Found:
        wanted = filter_of(request.query_params, signed_in)
        return await self._log.page(wanted, after=_cursor(request.query_params.get("after", "")))


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What a sentence says that its row does not: how many tokens approvals led to, and names of agents."""

    uses: Mapping[str, int]
    names: Mapping[str, str]


async def _beside(log: AuditReader, rows: Sequence[AuditRow]) -> Beside:
    uses = await log.uses(row.event.consent for row in rows if _is_approval(row))
    return Beside(uses=uses, names=await log.agent_names(rows))


async def batches(
    log: AuditReader, wanted: Filter, write: Callable[[Sequence[AuditRow], Beside], str]
) -> AsyncIterator[str]:
    """An export's text, batch by batch."""
    async for rows in log.all(wanted):
        yield write(rows, await _beside(log, rows))


def json_lines_of(rows: Sequence[AuditRow], beside: Beside) -> str:
    return "".join(json.dumps(_row_json(row, beside), ensure_ascii=False) + "\n" for row in rows)


def csv_header() -> str:
    return ",".join(_COLUMNS) + "\r\n"


def csv_of(rows: Sequence[AuditRow], beside: Beside) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        told: dict[str, Any] = row.members | {
            "time": when(row.at),
            "until": "" if row.event.until is None else when(row.event.until),
            "sentence": sentence(row.event, used=_used(row, beside), names=beside.names),
            "hash": row.hash,
        }
        writer.writerow([_safe_cell(told[name]) for name in _COLUMNS])
    return text.getvalue()


def _safe_cell(value: object) -> str:
    text = str(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else text


def filter_of(asked: Mapping[str, str], signed_in: SignedIn) -> Filter:
    """The filter of a query string; raises `InvalidRequest` for what cannot be asked, `PolicyDenied` for whose."""
    everybody = _one(asked, "whose", {"": False, "mine": False, "everybody": True})
    if everybody and not _administers(signed_in):
        raise PolicyDenied("Only an administrator sees everybody's activity.")
    return filter_for(asked, None if everybody else signed_in.person.id)


def filter_for(asked: Mapping[str, str], person_id: str | None) -> Filter:
    words = tuple(_text(asked, "q").split())
    if len(words) > _MOST_WORDS:
        raise InvalidRequest(f"Search for at most {_MOST_WORDS} words.")
    return Filter(
        person_id=person_id,
        words=words,
        agent=_text(asked, "agent"),
        resource=_text(asked, "resource"),
        kind=_one(asked, "kind", {"": None} | {str(kind): kind for kind in Kind}),
        outcome=_one(asked, "outcome", {"": None} | {str(outcome): outcome for outcome in Outcome}),
        since=_moment(asked, "from", timedelta(0)),
        before=_moment(asked, "to", timedelta(days=1)),
    )


def _administers(signed_in: SignedIn) -> bool:
    return signed_in.administrator


def _text(asked: Mapping[str, str], name: str) -> str:
    text = asked.get(name, "").strip()
    if len(text) > _LONGEST or "\0" in text:
        raise InvalidRequest(f"What is looked for by {name} has at most {_LONGEST} characters.")
    # What cannot be written as UTF-8 stands in no row either.
    return text.encode("utf-8", "replace").decode()


def _one(asked: Mapping[str, str], name: str, meanings: Mapping[str, Any]) -> Any:
    value = asked.get(name, "")
    if value not in meanings:
        raise InvalidRequest(f"{name} is one of: {', '.join(sorted(word for word in meanings if word))}.")
    return meanings[value]


def _moment(asked: Mapping[str, str], name: str, later: timedelta) -> int | None:
    """A day, in UTC: its beginning, or with ``later`` its end."""
    text = asked.get(name, "").strip()
    if not text:
        return None
    try:
        return int((datetime.combine(date.fromisoformat(text), time(), UTC) + later).timestamp())
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{name} is a day such as 2026-12-01.") from None


def _cursor(text: str) -> Cursor | None:
    if not text:
        return None
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise InvalidRequest("after is what a page before named as its next.")
    return Cursor(at=int(found[1]), seq=int(found[2]))


def _written(cursor: Cursor | None) -> str:
    return "" if cursor is None else f"{cursor.at}-{cursor.seq}"


def _is_approval(row: AuditRow) -> bool:
    return row.event.kind is Kind.REQUEST and row.event.outcome is Outcome.APPROVED


def _is_own_token(row: AuditRow, person_id: str) -> bool:
    event = row.event
    issued = event.kind is Kind.TOKEN and event.outcome is Outcome.ISSUED
    return issued and event.person_id == person_id and event.token in ("auth", "person")


def _used(row: AuditRow, beside: Beside) -> int | None:
    return beside.uses.get(row.event.consent) if _is_approval(row) else None


def _row_json(row: AuditRow, beside: Beside) -> dict[str, Any]:
    used = _used(row, beside)
    told = sentence(row.event, used=used, names=beside.names)
    return {"sentence": told, "used": used, "hash": row.hash, "row": row.members}


def _head_json(head: Head) -> dict[str, Any]:
    return {"seq": head.seq, "hash": head.hash}


def _download(lines: AsyncIterator[str], media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(lines, media_type=media_type, headers=headers)
