"""`aauth person keys`: which keys the server signs with, and giving it new ones while it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.cli.person.keeping import key_store
from aauthkit.cli.person.state import database_option, state_option, with_database
from aauthkit.clock import SystemClock
from aauthkit.drafts import SPOKEN
from aauthkit.person_server.signing import PUBLISHED_AFTER, SigningKey, Stage, stages

_AT_ONCE = (
    "WARNING: EVERY TOKEN SIGNED BY THE OLD KEY IS VOID. Servers that verify notice when they fetch the keys "
    "anew, most within five minutes.\nAgents fetch a new agent token by themselves, since their own keys are not "
    "touched; what they were doing they have to begin again."
)


@click.group()
def keys() -> None:
    """The server's signing keys, one a draft."""


@keys.command("list")
@state_option
@database_option
def list_keys(state: Path, database: str | None) -> None:
    """Show the keys and what each is for: next, current, retired."""

    async def listed(engine: AsyncEngine) -> str:
        clock = SystemClock()
        kept = await (await key_store(engine, state, clock)).keys()
        now = stages(kept, clock.now())
        return "\n".join(_line(key, now[key.kid]) for key in kept if now[key.kid] is not Stage.GONE)

    click.echo(with_database(state, database, listed))


@keys.command()
@state_option
@database_option
@click.option(
    "--draft",
    "drafts",
    multiple=True,
    type=click.Choice([draft.name for draft in SPOKEN]),
    help="Only the key of this draft.  [default: every draft]",
)
@click.option(
    "--now", "at_once", is_flag=True, help="A key was stolen: the old one is gone at once, with all it signed."
)
def rotate(state: Path, database: str | None, drafts: tuple[str, ...], at_once: bool) -> None:
    """Give the server new signing keys, while it runs and without an interruption.

    A new key is published ten minutes before it signs, and the old one until a day after.
    """

    async def rotated(engine: AsyncEngine) -> str:
        store = await key_store(engine, state, SystemClock())
        change = store.replace_at_once if at_once else store.rotate
        made = [await change(draft) for draft in drafts or [draft.name for draft in SPOKEN]]
        return "\n".join(_told(key, at_once=at_once) for key in made)

    click.echo(with_database(state, database, rotated))
    if at_once:
        click.echo(_AT_ONCE, err=True)


def _line(key: SigningKey, stage: Stage) -> str:
    if stage is Stage.NEXT:
        return f"draft {key.draft}  {key.kid}  {stage}: signs from {_time(key.signs_from)}"
    until = "" if key.published_until is None else f", published until {_time(key.published_until)}"
    return f"draft {key.draft}  {key.kid}  {stage}: signs since {_time(key.signs_from)}{until}"


def _told(key: SigningKey, *, at_once: bool) -> str:
    if at_once:
        return f"draft {key.draft}: {key.kid} signs now; no earlier key is published any more"
    until = key.signs_from + PUBLISHED_AFTER.total_seconds()
    return (
        f"draft {key.draft}: {key.kid} is published now and signs from {_time(key.signs_from)}; "
        f"the one before it is published until {_time(until)}"
    )


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
