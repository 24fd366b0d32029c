"""Logos: what is fetched, what counts as an image, what a page shows, and what somebody hostile names as one."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from aauthkit.clock import FixedClock
from aauthkit.database import migrate, open_database
from aauthkit.fetching import FetchLimits, HTTPFetcher
from aauthkit.flow import Fetch, Fetched
from aauthkit.person_server import storage
from aauthkit.person_server.asking.images import media_type_of
from aauthkit.person_server.asking.logos import Logos
from aauthkit.person_server.storage import logos as logo_storage
from aauthkit.person_server.storage.logos import LogoStore
from tests.person_server.native import NativeResource, native_agent
from tests.person_server.world import World, code_of

pytestmark = pytest.mark.anyio

LOGO = "https://resource.example/logo.png"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


def png(width: int = 48, height: int = 48) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(20)


def gif(width: int = 48, height: int = 48) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(20)


def jpeg(width: int = 48, height: int = 48) -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width) + bytes(12)
    return b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + bytes(14) + frame


def webp(width: int = 48, height: int = 48, kind: bytes = b"VP8X") -> bytes:
    sizes = {
        b"VP8X": bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
        b"VP8L": b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little"),
        b"VP8 ": bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height),
    }
    return b"RIFF" + bytes(4) + b"WEBP" + kind + bytes(4) + sizes[kind] + bytes(8)


IMAGES: list[tuple[str, Callable[..., bytes]]] = [("png", png), ("gif", gif), ("jpeg", jpeg), ("webp", webp)]


@pytest.mark.parametrize(("kind", "made"), IMAGES)
def test_an_image_is_told_by_its_bytes_and_is_no_larger_than_a_browser_opens_gladly(
    kind: str, made: Callable[..., bytes]
) -> None:
    assert media_type_of(made()) == f"image/{kind}"
    assert media_type_of(made(2048, 2048)) == f"image/{kind}"
    assert media_type_of(made(2049, 48)) is media_type_of(made(48, 2049)) is None
    for end in range(len(made()) - 8):
        media_type_of(made()[:end])  # cut off anywhere, nothing but an answer leaves


@pytest.mark.parametrize("kind", [b"VP8 ", b"VP8L", b"VP8X"])
def test_each_form_of_webp_says_its_size(kind: bytes) -> None:
    assert media_type_of(webp(48, 32, kind)) == "image/webp"
    assert media_type_of(webp(48, 3000, kind)) is None


@pytest.mark.attack
@pytest.mark.parametrize(
    "content",
    [
        SVG,
        b"<?xml version='1.0'?>" + SVG,
        b"<!doctype html><script>alert(1)</script>",
        b"GIF<script>alert(1)</script>",
        b"\x89PNG\r\n\x1a\n<script>alert(1)</script>",
        b"RIFFaaaaWEBP<script>alert(1)</script>",
        b"\xff\xd8\xff<script>",
        b"BM" + bytes(60),
        b"\x00\x00\x01\x00",
        b"",
    ],
)
def test_what_is_no_image_is_none_whatever_it_is_called(content: bytes) -> None:
    assert media_type_of(content) is None


@pytest.fixture
async def store(tmp_path: Path, anyio_backend: str) -> AsyncIterator[LogoStore]:
    engine = open_database(tmp_path / "person.db")
    await migrate(engine, [storage.MIGRATIONS])
    yield LogoStore(engine, FixedClock(1000.0))
    await engine.dispose()


class Counting:
    """Answers with what it is given, and counts."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.asked: list[Fetch] = []
        self.gate = asyncio.Event()

    async def fetch(self, request: Fetch) -> Fetched:
        self.asked.append(request)
        if self.content is None:
            await self.gate.wait()
        return Fetched(status=200, body=self.content or png())


async def test_a_logo_is_fetched_once_a_day_and_shown_by_its_content(store: LogoStore) -> None:
    clock, network = store._clock, Counting(png())
    assert isinstance(clock, FixedClock)
    logos = Logos(store, network, clock)
    address = await logos.address(LOGO, patience=timedelta(seconds=30))
    assert address is not None
    assert await logos.content(address.removeprefix("/ui/logos/")) == ("image/png", png())
    assert [await logos.address(LOGO), len(network.asked)] == [address, 1]
    assert "image/png" in network.asked[0].accept
    clock.advance(timedelta(days=1))
    assert await logos.address(LOGO) == address  # the old one, while a new one is fetched
    await logos.aclose()
    assert len(network.asked) <= 2
    assert await logos.address("") is None


async def test_a_failure_is_remembered_for_a_while(store: LogoStore) -> None:
    clock, network = store._clock, Counting(SVG)
    assert isinstance(clock, FixedClock)
    logos = Logos(store, network, clock)
    for _ in range(3):
        assert await logos.address(LOGO, patience=timedelta(seconds=30)) is None
    assert len(network.asked) == 1
    clock.advance(timedelta(minutes=10))
    await logos.address(LOGO)
    await asyncio.sleep(0)
    assert len(network.asked) == 2
    await logos.aclose()


@pytest.mark.attack
async def test_a_slow_logo_keeps_no_page_waiting_and_is_there_the_next_time(store: LogoStore) -> None:
    network = Counting(None)
    logos = Logos(store, network, store._clock)
    assert await logos.address(LOGO, patience=timedelta(0)) is None
    assert await logos.address(LOGO, patience=timedelta(0)) is None
    assert len(network.asked) == 1  # not once for each who looks
    network.gate.set()
    assert await logos.address(LOGO, patience=timedelta(seconds=30)) is not None
    await logos.aclose()


@pytest.mark.attack
async def test_many_slow_logos_are_not_all_fetched_at_once(store: LogoStore) -> None:
    network = Counting(None)
    logos = Logos(store, network, store._clock)
    for number in range(20):
        assert await logos.address(f"https://r{number}.example/l.png", patience=timedelta(0)) is None
    await asyncio.sleep(0)
    assert len(network.asked) == 8
    await logos.aclose()


@pytest.mark.attack
async def test_the_oldest_logos_make_way(store: LogoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logo_storage, "_MOST", 3)
    clock = store._clock
    assert isinstance(clock, FixedClock)
    for number in range(5):
        await store.keep(f"https://r{number}.example/", "image/png", png(number + 1))
        clock.advance(timedelta(seconds=1))
    found = [await store.find(f"https://r{number}.example/") for number in range(5)]
    assert [logo is not None for logo in found] == [False, False, True, True, True]


def answering(request: httpx2.Request) -> httpx2.Response:
    status, headers, content = {
        "/redirect": (302, {"location": LOGO}, b""),
        "/huge": (200, {}, png() + bytes(200_000)),
        "/missing": (404, {}, png()),
        "/svg": (200, {"content-type": "image/png"}, SVG),
        "/good": (200, {}, png()),
    }[request.url.path]
    return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(content))


@pytest.mark.attack
@pytest.mark.parametrize(
    ("url", "address", "shown"),
    [
        ("https://resource.example/good", "93.184.216.34", True),
        ("https://resource.example/redirect", "93.184.216.34", False),
        ("https://resource.example/huge", "93.184.216.34", False),
        ("https://resource.example/missing", "93.184.216.34", False),
        ("https://resource.example/svg", "93.184.216.34", False),
        ("https://resource.example/good", "10.0.0.1", False),
        ("https://resource.example/good", "127.0.0.1", False),
        ("https://resource.example/good", "169.254.169.254", False),
        ("https://resource.example/good", "::1", False),
        ("http://resource.example/good", "93.184.216.34", False),
        ("https://127.0.0.1/good", "127.0.0.1", False),
        ("file:///etc/passwd", "93.184.216.34", False),
    ],
)
async def test_a_logo_is_fetched_under_the_rules_of_every_fetch_others_aim(
    store: LogoStore, url: str, address: str, shown: bool
) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return [address]

    transport = httpx2.MockTransport(answering)
    async with HTTPFetcher(development=False, limits=FetchLimits(), transport=transport, resolve=resolve) as fetcher:
        logos = Logos(store, fetcher, store._clock)
        found = await logos.address(url, patience=timedelta(seconds=30))
        await logos.aclose()
    assert (found is not None) is shown


async def test_the_page_shows_the_logo_from_here_and_nothing_from_elsewhere(world: World) -> None:
    NativeResource(world)
    world.network.documents[LOGO] = png()
    agent, person = await native_agent(world), await world.person()
    pending = await agent.person(capabilities=["interaction"])
    page = await person.opened({"code": code_of(pending)})
    (listed,) = [line for line in page.text.splitlines() if "<img" in line]
    address = listed.partition('src="')[2].partition('"')[0]
    assert address.startswith("/ui/logos/")
    logo = await person.client.get(address)
    assert (logo.status_code, logo.content, logo.headers["content-type"]) == (200, png(), "image/png")
    assert logo.headers["x-content-type-options"] == "nosniff"
    assert "resource.example/logo" not in page.text
    assert (await world.browser().get(address)).status_code == 401
    assert (await person.client.get("/ui/logos/" + "0" * 64)).status_code == 404
    assert (await person.client.get("/ui/logos/..%2fstatic%2fperson.css")).status_code == 404


@pytest.mark.attack
@pytest.mark.parametrize("content", [SVG, b"<script>alert(1)</script>", png(30_000, 30_000)])
async def test_what_is_no_image_shows_initials(world: World, content: bytes) -> None:
    NativeResource(world, name='"><img src=x> Evil')
    world.network.documents[LOGO] = content
    agent, person = await native_agent(world), await world.person()
    pending = await agent.person(capabilities=["interaction"])
    page = await person.opened({"code": code_of(pending)})
    assert "<img" not in page.text
    assert 'aria-hidden="true">IS</span>' in page.text


@pytest.mark.attack
@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "http://resource.example/l.png",
        "//x/y",
        7,
        ['"'],
        '" onerror="x',
    ],
)
async def test_an_address_that_is_none_is_never_fetched(world: World, uri: object) -> None:
    NativeResource(world, logo_uri=uri)
    agent, person = await native_agent(world), await world.person()
    pending = await agent.person(capabilities=["interaction"])
    page = await person.opened({"code": code_of(pending)})
    assert page.status_code == 200
    assert "<img" not in page.text
    assert all("/.well-known/" in url for url in world.network.fetched)
