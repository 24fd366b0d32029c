"""The examples run against a real person server over real sockets, and the pages show them as they are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from aauthkit.agent import Interaction
from aauthkit.authz import config, resources
from aauthkit.cli.root import aauth
from tests.docs.pages import ROOT, Block, blocks, pages
from tests.docs.serving import RunningPersonServer, free_port, person_server, served

EXAMPLES = ROOT / "examples"
pytestmark = pytest.mark.anyio


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The examples, moved to free ports and to a directory of their own."""

    person_server: RunningPersonServer
    orders: str
    older: str
    directory: Path

    def run(self, name: str) -> dict[str, Any]:
        """The names an example defines; like an import under another name than `__main__`."""
        source = (EXAMPLES / name).read_text(encoding="utf-8")
        source = source.replace("http://127.0.0.1:8765", self.person_server.issuer)
        source = source.replace("http://127.0.0.1:8100", self.orders).replace(".state/", f"{self.directory}/")
        defined: dict[str, Any] = {"__name__": name.removesuffix(".py")}
        exec(compile(source, str(EXAMPLES / name), "exec"), defined)
        return defined

    def older_orders(self) -> Any:
        """The order book with the one change that the pages tell of."""
        source = (EXAMPLES / "orders.py").read_text(encoding="utf-8")
        assert "draft=DRAFT_11" in source
        older = source.replace("DRAFT_11", "DRAFT_01").replace("http://127.0.0.1:8765", self.person_server.issuer)
        older = older.replace("http://127.0.0.1:8100", self.older).replace(".state/", f"{self.directory}/older/")
        defined: dict[str, Any] = {"__name__": "older_orders"}
        exec(compile(older, "orders.py in draft 01", "exec"), defined)
        return defined["app"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("examples")
    port, older = free_port(), free_port()
    with person_server(directory / "person", unasked=("any",)) as running:
        stage = Stage(
            person_server=running,
            orders=f"http://127.0.0.1:{port}",
            older=f"http://127.0.0.1:{older}",
            directory=directory,
        )
        with served(stage.run("orders.py")["app"], port), served(stage.older_orders(), older):
            yield stage


async def test_the_agent_reads_the_orders(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AAUTH_TICKET", await stage.person_server.ticket())
    read = stage.run("agent.py")["read"]
    answer = await read(f"{stage.orders}/orders")
    assert '"orders":["two chairs"]' in answer
    assert '"scope":"orders:read"' in answer


async def test_the_agent_needs_no_ticket_the_second_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AAUTH_TICKET", await stage.person_server.ticket())
    first = await stage.run("agent.py")["read"](f"{stage.orders}/orders")
    monkeypatch.delenv("AAUTH_TICKET")
    assert await stage.run("agent.py")["read"](f"{stage.orders}/orders") == first


async def test_the_same_agent_reads_them_where_draft_01_is_spoken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AAUTH_TICKET", await stage.person_server.ticket())
    assert '"orders":["two chairs"]' in await stage.run("agent.py")["read"](f"{stage.older}/orders")


async def test_the_agent_tells_where_the_person_decides_and_waits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AAUTH_TICKET", await stage.person_server.ticket())
    await stage.person_server.ask_for("orders:read", required=True)
    agent = stage.run("agent.py")
    tell = agent["print_address"]

    async def tell_and_decide(interaction: Interaction) -> None:
        tell(interaction)
        await approve(stage.person_server.issuer, interaction.code)

    agent["print_address"] = tell_and_decide
    try:
        answer = await agent["read"](f"{stage.orders}/orders")
    finally:
        await stage.person_server.ask_for("orders:read", required=False)
    assert "two chairs" in answer
    assert f"{stage.person_server.issuer}/ui/consent.html?code=" in capsys.readouterr().err


async def test_a_person_server_of_ones_own_asks_about_the_resource_and_then_about_the_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, asked = free_port(), []
    with person_server(tmp_path / "person") as running:
        own = Stage(person_server=running, orders=f"http://127.0.0.1:{port}", older="", directory=tmp_path)
        monkeypatch.setenv("AAUTH_TICKET", await running.ticket())
        await running.ask_for("orders:read", required=True)
        agent = own.run("agent.py")

        async def decide(interaction: Interaction) -> None:
            asked.append(interaction.code)
            await approve(running.issuer, interaction.code)

        agent["print_address"] = decide
        with served(own.run("orders.py")["app"], port):
            assert "two chairs" in await agent["read"](f"{own.orders}/orders")
    assert len(set(asked)) == len(asked) == 2


async def test_without_a_signature_the_orders_are_401(stage: Stage) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        response = await client.get(f"{stage.orders}/orders")
    assert response.status_code == 401
    assert response.headers["aauth-requirement"] == "requirement=person-token"


@pytest.mark.parametrize("block", blocks("python", "yaml"), ids=str)
def test_code_in_a_page_is_part_of_an_example(block: Block) -> None:
    assert (ROOT / block.name).is_file(), f"{block} names no file: write ```{block.language} examples/…"
    source = (ROOT / block.name).read_text(encoding="utf-8")
    indented = [textwrap.indent(block.text, " " * width) for width in (0, 4, 8)]
    assert any(text in source for text in indented), f"{block} is not a part of {block.name}"


def test_every_example_is_shown_in_a_page() -> None:
    shown = {block.name for block in blocks("python", "yaml")}
    assert {f"examples/{path.name}" for path in EXAMPLES.glob("*.*")} == shown


def test_blocks_are_in_a_language_that_is_checked() -> None:
    used = {block.language for page in pages() for block in page.blocks()}
    assert used == {"python", "yaml", "sh", "http", "json", "text"}


def test_the_gateways_file_is_accepted_as_the_service_accepts_it() -> None:
    resources.check(config.load(EXAMPLES / "gateway.yaml"))


@pytest.mark.parametrize("proxy", ["envoy", "agentgateway"])
def test_the_gateways_file_is_rendered(proxy: str, tmp_path: Path) -> None:
    out = tmp_path / "rendered"
    arguments = ["gateway", "render", "--for", proxy, "--config", str(EXAMPLES / "gateway.yaml"), "--out", str(out)]
    result = CliRunner().invoke(aauth, arguments)
    assert result.exit_code == 0, result.output
    assert "reports.localhost" in out.read_text()


async def approve(issuer: str, code: str) -> None:
    """What the person does in the page."""
    async with httpx2.AsyncClient(base_url=issuer, trust_env=False) as browser:
        found = (await browser.get("/consent", params={"code": code})).json()
        decided = await browser.post(f"/consent/{found['pending_id']}/decision", json={"approved": True})
        assert decided.status_code == 200, decided.text
