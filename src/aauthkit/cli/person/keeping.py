"""What this server keeps secret, made or found at its start: its sealing key, its signing keys, its secret.

Earlier versions kept signing keys and secret in files of the state folder. They are taken into the database, and a file
goes once what the database holds was read back and is the same: a crash in between leaves both.
"""

from __future__ import annotations

import base64
import logging
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.clock import Clock
from aauthkit.drafts import SPOKEN
from aauthkit.keys import PrivateKey, read_private_file, write_new_private_file
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.sealed import KEY_BYTES, Sealer, keys_in
from aauthkit.person_server.signing import SigningKeys
from aauthkit.person_server.storage.keys import KeyStore

_log = logging.getLogger("aauthkit.person_server")
SEALING_KEY_VARIABLE = "AAUTH_SECRET_KEY"
SEALING_KEY_FILE = "secret-key"
_SECRET_FILE = "person-secret"
_SECRET = "derived values"


def sealer(state: Path) -> Sealer:
    """Seals with the key of the environment, or else with that of a file made once; opens with all of both.

    So a server that starts with a file can be given its key by the environment later, and back.
    """
    path, given = state / SEALING_KEY_FILE, os.environ.get(SEALING_KEY_VARIABLE)
    keys = () if given is None else keys_in(given)
    if given is None and not path.exists():
        write_new_private_file(path, base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
    if path.exists():
        keys += keys_in(read_private_file(path).decode("ascii", "replace"))
    return Sealer(keys)


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What a server that starts was given."""

    sealer: Sealer
    secrets: Secrets
    keys: SigningKeys


async def kept(engine: AsyncEngine, state: Path, clock: Clock) -> Keeping:
    """Everything, made when there is nothing; raises ``ConfigurationError`` when it cannot be opened."""
    seals = sealer(state)
    store = await key_store(engine, state, clock, seals=seals)
    keys = SigningKeys(store, clock)
    await keys.read()
    return Keeping(sealer=seals, secrets=await server_secrets(store, state), keys=keys)


async def key_store(engine: AsyncEngine, state: Path, clock: Clock, *, seals: Sealer | None = None) -> KeyStore:
    """The keys of this server, at least one for each draft."""
    store = KeyStore(engine, clock, seals or sealer(state))
    files = {draft.name: state / f"person-{draft.name}.pem" for draft in SPOKEN}
    for draft, path in files.items():
        await store.ensure_key(draft, partial(_key_in, path))
    await store.seal_anew()
    in_database = {(key.draft, key.key.thumbprint) for key in await store.keys()}
    for draft, path in files.items():
        if path.exists():
            _remove(path, is_kept=(draft, PrivateKey.load(path).thumbprint) in in_database)
    return store


async def server_secrets(store: KeyStore, state: Path) -> Secrets:
    """What handles, codes and CSRF tokens are derived from, and the seals of the audit log."""
    path = state / _SECRET_FILE
    secret = await store.ensure_secret(_SECRET, partial(_secret_in, path))
    if path.exists():
        _remove(path, is_kept=_secret_in(path) == secret)
    return Secrets(secret)


def _key_in(path: Path) -> PrivateKey:
    return PrivateKey.load(path) if path.exists() else PrivateKey.generate()


def _secret_in(path: Path) -> bytes:
    return bytes.fromhex(path.read_text().strip()) if path.exists() else os.urandom(32)


def _remove(path: Path, *, is_kept: bool) -> None:
    if is_kept:
        path.unlink()
        _log.info("%s is in the database now, sealed; the file was removed", path.name)
    else:
        _log.warning("%s is not what the database holds and is not used; remove it", path.name)
