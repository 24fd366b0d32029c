"""`aauth person consent-scopes`: which scopes everybody's agents need consent for."""

from __future__ import annotations

import json
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.cli.person.state import database_option, state_option, with_database
from aauthkit.person_server import storage as person_storage

_ACTOR = "The command line"


@click.command("consent-scopes")
@state_option
@database_option
@click.option("--add", multiple=True, metavar="SCOPE")
@click.option("--add-prefix", multiple=True, metavar="PREFIX")
@click.option("--remove", multiple=True, metavar="SCOPE")
@click.option("--remove-prefix", multiple=True, metavar="PREFIX")
def consent_scopes(
    state: Path,
    database: str | None,
    add: tuple[str, ...],
    add_prefix: tuple[str, ...],
    remove: tuple[str, ...],
    remove_prefix: tuple[str, ...],
) -> None:
    """Show or change the scopes everybody's agents need consent for. Each person may say otherwise for theirs."""

    async def change(engine: AsyncEngine) -> str:
        rules = person_storage.RuleStore(engine)
        for kind, added, removed in (("exact", add, remove), ("prefix", add_prefix, remove_prefix)):
            for value in added:
                await rules.set_rule(person_storage.SERVER, kind, value, required=True, actor=_ACTOR)
            for value in removed:
                await rules.remove_rule(person_storage.SERVER, kind, value, actor=_ACTOR)
        found = await rules.rules_for(person_storage.SERVER)
        return json.dumps(
            {
                "scopes": [rule.value for rule in found if rule.kind == "exact"],
                "prefixes": [rule.value for rule in found if rule.kind == "prefix"],
            }
        )

    click.echo(with_database(state, database, change))
