"""The token a caller presented to this agent, which it works under when it calls on (AAuth-11 §10.1.1); never shown to
a resource, only to the person server it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aauthkit.errors import CannotSign, InvalidJWT
from aauthkit.jwt import parse
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import person as person_tokens


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """``ps`` is the person server that decides for the caller's person; ``expires_at`` is in Unix seconds."""

    raw: str = field(repr=False)
    ps: str | None
    expires_at: int | None

    @classmethod
    def of(cls, raw: str) -> Upstream:
        """Read a token that was verified when it came; raises ``CannotSign`` for one that cannot be extended."""
        try:
            token = parse(raw)
        except InvalidJWT as error:
            raise CannotSign(f"The upstream token cannot be extended: {error.detail}") from error
        if token.typ not in (person_tokens.TYP, auth_tokens.TYP):
            raise CannotSign("Only a caller's person token or auth token can be extended.")
        # §10.1.1: the iss of a person token, the ps of an auth token; draft 01 has the iss alone.
        named = token.claims.get("ps") if token.typ == auth_tokens.TYP else None
        ps = named if named is not None else token.claims.get("iss")
        ends = token.claims.get("exp")
        return cls(
            raw=raw,
            ps=ps if isinstance(ps, str) else None,
            expires_at=ends if isinstance(ends, int) else None,
        )

    def check(self, now: float) -> None:
        """Raises ``CannotSign`` when it has ended: the caller has to bring a later one."""
        if self.expires_at is not None and self.expires_at <= now:
            raise CannotSign("The token of the caller this agent works for has expired; the caller has to call again.")
