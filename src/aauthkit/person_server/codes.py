"""Interaction codes and pending handles: made from the server's secret, written for people, kept as hashes.

A code and a handle are derived from the request they belong to, so the server can name them again in every answer
and after a restart although the database holds only their hashes. A code is a correlation identifier: knowing it
decides nothing (DESIGN §4 rule 9).
"""

from __future__ import annotations

import hashlib
import hmac

from aauthkit.codes import spelled


class Secrets:
    """Derives purpose-bound values from one server secret; its `repr` shows nothing."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("the server secret is at least 32 bytes")
        self._key = key

    def derive(self, purpose: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{purpose}\0{value}".encode(), "sha256")

    def token(self, purpose: str, value: str) -> str:
        """A URL-safe value of 256 bits."""
        return self.derive(purpose, value).hex()

    def code(self, pending_id: str) -> str:
        return spelled(int.from_bytes(self.derive("interaction code", pending_id)[:8]))

    def handle(self, pending_id: str) -> str:
        return self.token("pending handle", pending_id)

    def __repr__(self) -> str:
        return "Secrets(***)"


def hashed(value: str) -> str:
    """How codes, handles and session tokens are kept."""
    return hashlib.sha256(value.encode()).hexdigest()


def mark(pending_id: str) -> str:
    """What a request that waits is called in traces: the same everywhere, and good for nothing else."""
    return hashed(f"trace {pending_id}")[:16]
