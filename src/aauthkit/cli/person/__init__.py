"""`aauth person`: the person server and the agent provider in one process and one database, and what an operator does.

One file a command; `application` is what `serve` serves.
"""

from __future__ import annotations

import click

from aauthkit.cli.person.audit import audit
from aauthkit.cli.person.backup import backup
from aauthkit.cli.person.composition import application
from aauthkit.cli.person.consent_scopes import consent_scopes
from aauthkit.cli.person.invite import invite
from aauthkit.cli.person.keys import keys
from aauthkit.cli.person.migrate import migrate
from aauthkit.cli.person.options import ServeOptions
from aauthkit.cli.person.serve import serve
from aauthkit.cli.person.ticket import ticket


@click.group()
def person() -> None:
    """The person server and agent provider."""


for _command in (serve, backup, invite, ticket, consent_scopes, migrate, keys, audit):
    person.add_command(_command)

__all__ = ["ServeOptions", "application", "person"]
