"""Which issuers are believed: a list or an explicit ``any``; an empty list trusts nobody (DESIGN §4 rule 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aauthkit.errors import UntrustedIssuer
from aauthkit.identifiers import AgentIdentifier, host_of
from aauthkit.keys import PublicKey


@dataclass(frozen=True, kw_only=True)
class TrustedIssuer:
    """One issuer; ``domain`` is the agent domain it may issue for when that is not its own host."""

    issuer: str
    domain: str | None = None
    jwks_uri: str | None = None
    pinned: frozenset[str] | None = None
    """Thumbprints (RFC 7638) of the only keys it is believed under; None: whatever it publishes."""
    listed: bool = True
    """False when admitted by ``Trust.any``: whoever sent the token chose this issuer."""

    def may_sign_with(self, key: PublicKey) -> bool:
        """Whether a key it publishes is one it is believed under."""
        return self.pinned is None or key.thumbprint in self.pinned

    def may_issue_for(self, agent: AgentIdentifier) -> bool:
        """DESIGN §4 rule 4: an agent's domain is its issuer's host unless this entry says otherwise."""
        return agent.domain == (self.domain or host_of(self.issuer))


@dataclass(frozen=True)
class Trust:
    """A decision about issuers that cannot be left out: build it with ``only``, ``any`` or ``nobody``."""

    _issuers: Mapping[str, TrustedIssuer] = field(default_factory=dict)
    _any: bool = False

    @classmethod
    def only(cls, issuers: Iterable[TrustedIssuer]) -> Trust:
        """Exactly these; none of them means nobody."""
        return cls({entry.issuer: entry for entry in issuers})

    @classmethod
    def any(cls, known: Iterable[TrustedIssuer] = ()) -> Trust:
        """Everybody whose metadata can be fetched: says so, because it looks wrong in review.

        ``known`` are those about whom more is known than that.
        """
        return cls({entry.issuer: entry for entry in known}, True)

    @classmethod
    def nobody(cls) -> Trust:
        """This kind of token is not accepted here."""
        return cls()

    def admit(self, issuer: str) -> TrustedIssuer:
        """The entry for ``issuer``; raises ``UntrustedIssuer`` without fetching anything."""
        entry = self._issuers.get(issuer)
        if entry is not None:
            return entry
        if self._any:
            return TrustedIssuer(issuer=issuer, listed=False)
        raise UntrustedIssuer("The token's issuer is not trusted here; ask the operator to add it.")

    def with_also(self, entries: Iterable[TrustedIssuer]) -> Trust:
        """The same decision with these beside it, in place of what it says of the same issuers."""
        return Trust({**self._issuers, **{entry.issuer: entry for entry in entries}}, self._any)

    @property
    def everybody(self) -> bool:
        """Whether it is ``any``."""
        return self._any

    @property
    def issuers(self) -> tuple[TrustedIssuer, ...]:
        """The listed entries."""
        return tuple(self._issuers.values())
