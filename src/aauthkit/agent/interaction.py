"""When a person must act: what the application is told, and ready-made ways of sending a person there.

The agent never decides and never fetches the page; it only passes the address on (AAuth-11 §7.3, §11.6.3.2).
"""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TextIO, TypeAlias
from urllib.parse import quote


@dataclass
class Returned:
    """What a callback said when the person's browser came back (§7.3.1); ``None`` while it did not, or all was well."""

    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """A person must open ``user_url``; ``code`` is shown so that they can compare it.

    ``expires_at`` (unix seconds) is when the request ends, where the server said how long the person has.
    """

    url: str
    code: str
    pending_url: str
    expires_at: float | None = field(default=None, compare=False)
    returned: Returned = field(default_factory=Returned, compare=False, repr=False)

    @property
    def user_url(self) -> str:
        """Where to send the person, without a callback."""
        return f"{self.url}?code={quote(self.code, safe='')}"

    def user_url_with_callback(self, callback: str) -> str:
        """The same, coming back to ``callback`` afterwards; it has no security role."""
        return f"{self.user_url}&callback={quote(callback, safe='')}"


OnInteraction: TypeAlias = Callable[[Interaction], Awaitable[None] | None]
OnStatus: TypeAlias = Callable[[str], Awaitable[None] | None]
OnClarification: TypeAlias = Callable[[str, tuple[str, ...]], Awaitable[str | None] | str | None]


def open_browser(interaction: Interaction) -> None:
    """Open the page in this machine's browser."""
    webbrowser.open(interaction.user_url)


def print_address(interaction: Interaction, *, to: TextIO | None = None, qr: bool | None = None) -> None:
    """Write the address and the code to a terminal (standard error unless told otherwise).

    With ``qr`` the address is drawn as a QR code too, for a person whose browser is on their telephone; by default that
    is done on a terminal when ``segno`` is installed (the extra ``terminal``).
    """
    to = to or sys.stderr
    print(f"A person is asked. Open {interaction.user_url}\nand compare the code: {interaction.code}", file=to)
    if qr if qr is not None else to.isatty() and find_spec("segno") is not None:
        import segno

        segno.make(interaction.user_url, micro=False).terminal(to, compact=True)
    to.flush()


def tell_nobody(interaction: Interaction) -> None:
    """Only wait: the person is reached some other way."""
