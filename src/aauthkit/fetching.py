"""Fetching documents that others name, and calling servers they name: egress admission, no redirects, bounded time
and size (DESIGN §4 rule 6).

The address is checked after the name is resolved and the connection goes to the address that was checked, so a name
that changes its answer between check and use gains nothing. Nothing is signed here and no cookie or credential is sent.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from urllib.parse import urlsplit

import httpx2

from aauthkit.errors import InvalidRequest, Unavailable
from aauthkit.flow import Call, Fetch, Fetched
from aauthkit.identifiers import endpoint_url, is_loopback

Resolver = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, kw_only=True)
class FetchLimits:
    """Bounds of one fetch: whole time, and body size in bytes."""

    time: timedelta = timedelta(seconds=2.5)
    size: int = 131_072


class HTTPFetcher:
    """Fetches under asyncio; concurrent fetches of one URL are one request (single flight).

    ``development`` admits plain http and loopback names; without it every address must be public.
    """

    def __init__(
        self,
        *,
        development: bool,
        limits: FetchLimits | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        resolve: Resolver | None = None,
    ) -> None:
        self._development = development
        self._limits = limits or FetchLimits()
        self._resolve = resolve or _resolve
        self._client = httpx2.AsyncClient(
            transport=transport,
            timeout=self._limits.time.total_seconds(),
            follow_redirects=False,
            trust_env=False,
            # A compressed answer can be a thousand times what was sent, so none is asked for.
            headers={"Accept-Encoding": "identity", "User-Agent": "aauthkit"},
            # Connections are made to addresses, so one kept open would be reused for another name at the same
            # address, whose certificate was never looked at.
            limits=httpx2.Limits(max_keepalive_connections=0),
            # For the same reason nothing a server sets is kept: the next name at its address is another party.
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )
        self._in_flight: dict[Fetch, asyncio.Task[Fetched]] = {}

    async def fetch(self, request: Fetch) -> Fetched:
        """GET ``request.url``; raises ``InvalidRequest`` when not admitted, ``Unavailable`` when it does not answer."""
        task = self._in_flight.get(request)
        if task is None:
            task = asyncio.create_task(self._fetch(request))
            self._in_flight[request] = task
            task.add_done_callback(lambda done: self._landed(request, done))
        return await asyncio.shield(task)

    async def call(self, request: Call) -> Fetched:
        """Send ``request``; the answer is whatever comes back, a redirect too. The errors are those of ``fetch``."""
        return await self._within(request)

    def _landed(self, request: Fetch, task: asyncio.Task[Fetched]) -> None:
        self._in_flight.pop(request, None)
        if not task.cancelled():
            task.exception()  # looked at here too, since everybody who waited may have gone

    async def aclose(self) -> None:
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def __aenter__(self) -> HTTPFetcher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _fetch(self, request: Fetch) -> Fetched:
        headers = (("Accept", request.accept),)
        fetched = await self._within(Call(method="GET", url=request.url, headers=headers, patience=self._limits.time))
        if 300 <= fetched.status < 400:
            raise InvalidRequest(f"{_host(request.url)} redirects; documents are only read where they were named.")
        return fetched

    async def _within(self, call: Call) -> Fetched:
        url = call.url
        try:
            async with asyncio.timeout(call.patience.total_seconds()):
                address = await self._admit(url)
                return await self._exchange(call, address)
        except (TimeoutError, httpx2.HTTPError, OSError) as error:
            raise Unavailable(f"{_host(url)} does not answer.", debug=f"{url}: {error!r}") from error
        except httpx2.InvalidURL as error:
            raise InvalidRequest(f"{_host(url)} is named by something that is not a URL.", debug=url) from error

    async def _admit(self, url: str) -> str:
        endpoint_url(url, development=self._development)
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if is_loopback(host):
            # endpoint_url let it pass, so this is development or https; production still refuses the address.
            addresses = [host] if _is_literal(host) else ["127.0.0.1"]
        else:
            addresses = await self._resolve(host, port)
        if not addresses:
            raise Unavailable(f"{host} has no address.")
        for address in addresses:
            self._check_address(host, address)
        return addresses[0]

    def _check_address(self, host: str, address: str) -> None:
        effective = _effective(address)
        if effective.is_loopback and self._development and is_loopback(host):
            return
        if not _is_public(effective):
            raise InvalidRequest(f"{host} is not at a public address, so nothing is fetched from it.")

    async def _exchange(self, call: Call, address: str) -> Fetched:
        parts = urlsplit(call.url)
        literal = f"[{address}]" if ":" in address else address
        port = f":{parts.port}" if parts.port else ""
        target = parts._replace(netloc=f"{literal}{port}").geturl()
        async with self._client.stream(
            call.method,
            target,
            headers=[("Host", parts.netloc), *call.headers],
            content=call.body or None,
            timeout=call.patience.total_seconds(),
            extensions={"sni_hostname": parts.hostname or ""},
        ) as response:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise InvalidRequest(f"{parts.netloc} sends a compressed document although none was asked for.")
            # Nothing is followed, so what a redirect says besides is not read.
            body = b"" if 300 <= response.status_code < 400 else await self._read(response)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Fetched(status=response.status_code, headers=headers, body=body)

    async def _read(self, response: httpx2.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._limits.size:
                raise InvalidRequest("A server named in the request sends a document that is too large.")
        return bytes(body)


class SyncHTTPFetcher:
    """The same rules for blocking callers, each fetch on an event loop of its own.

    Where a loop runs already it is one in another thread: a blocking client may be used inside an async program too.
    """

    def __init__(self, *, development: bool, limits: FetchLimits | None = None) -> None:
        self._development = development
        self._limits = limits

    def fetch(self, request: Fetch) -> Fetched:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._once(request))
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, self._once(request)).result()

    async def _once(self, request: Fetch) -> Fetched:
        async with HTTPFetcher(development=self._development, limits=self._limits) as fetcher:
            return await fetcher.fetch(request)


async def _resolve(host: str, port: int) -> list[str]:
    if _is_literal(host):
        return [host]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Unavailable(f"{host} cannot be found.", debug=repr(error)) from error
    return [str(entry[4][0]) for entry in found]


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# The ways an IPv6 address carries an IPv4 one that a router or the kernel may send it to.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


def _effective(address: str) -> _Address:
    """Where a packet to ``address`` really goes: the IPv4 address inside an IPv6 one, if there is one."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed
    inner = parsed.ipv4_mapped or parsed.sixtofour
    if inner is None and not parsed.is_loopback and (parsed in _NAT64 or parsed in _COMPATIBLE):
        inner = ipaddress.IPv4Address(int(parsed) & 0xFFFF_FFFF)
    return inner or parsed


def _is_public(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast


def browser_address(url: str, *, development: bool) -> str:
    """``url`` when a person's browser may be sent there: admission by what it says, as nothing is resolved for it.

    Raises ``InvalidRequest``. Their browser resolves the name, and to send it to one is not to call it.
    """
    endpoint_url(url, development=development)
    host = urlsplit(url).hostname or ""
    if is_loopback(host) and development:
        return url
    private = not _is_public(_effective(host)) if _is_literal(host) else _is_another_writing(host)
    if is_loopback(host) or private:
        raise InvalidRequest(f"{host} is not a public address, so nobody is sent there.")
    return url


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_another_writing(host: str) -> bool:
    """Whether a browser reads the name as an IPv4 address: `2130706433` is 127.0.0.1 (WHATWG URL, §3.5)."""
    last = host.rpartition(".")[2]
    return re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) is not None


def _host(url: str) -> str:
    return urlsplit(url).netloc
