"""Calling an address of a person's: signed as this server (RFC 9421) and with the secret they were shown once.

Whoever receives it verifies either: the signature with the keys this server publishes, or the secret as Standard
Webhooks says. It goes out through the guarded fetcher: to no private address, following no redirect, within limits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta

from aauthkit.errors import Unavailable
from aauthkit.flow import AsyncCaller
from aauthkit.server_identity import ServerIdentity, sign_as_server

_PATIENCE = timedelta(seconds=10)
_PREFIX = "whsec_"


def webhook_secret(key: str) -> str:
    """What the person is shown, in the form Standard Webhooks gives it."""
    return _PREFIX + base64.b64encode(key.encode()).decode()


async def call_webhook(
    caller: AsyncCaller, identity: ServerIdentity, *, url: str, key: str, batch: str, body: bytes, now: float
) -> str:
    """What came back, for the person to see; raises ``Unavailable``, or ``InvalidRequest`` where it is not admitted."""
    call = sign_as_server(identity, "POST", url, now=now, body=body, patience=_PATIENCE)
    signed = f"{batch}.{int(now)}.".encode() + body
    mac = base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest()).decode()
    own = (("Webhook-Id", batch), ("Webhook-Timestamp", str(int(now))), ("Webhook-Signature", f"v1,{mac}"))
    answer = await caller.call(replace(call, headers=(*call.headers, *own)))
    if not 200 <= answer.status < 300:
        raise Unavailable(f"It answered {answer.status}.")
    return f"It answered {answer.status}."
