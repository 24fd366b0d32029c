"""The realm's RS256 key: made at first start, 0600 in the state directory. Never published with its private half."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from aauthkit.keys import write_new_private_file

ALGORITHM = "RS256"
_KEY_FILE = "identity-provider.pem"
_BITS = 2048


class RealmKey:
    """Signs and checks the realm's tokens. RSA because every OIDC client speaks RS256; AAuth itself never uses it."""

    def __init__(self, key: RSAKey) -> None:
        self.key = key
        self.kid = key.thumbprint()[:16]

    @classmethod
    def load_or_create(cls, state: Path) -> RealmKey:
        path = state / _KEY_FILE
        if not path.exists():
            write_new_private_file(path, _new_pem())
        return cls(RSAKey.import_key(path.read_bytes()))

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": ALGORITHM, "typ": "JWT", "kid": self.kid}, claims, self.key, [ALGORITHM])

    def read(self, token: str) -> dict[str, Any] | None:
        """The claims of a token signed here; None for anything else. Time and purpose are the caller's to judge."""
        try:
            return dict(jwt.decode(token, self.key, [ALGORITHM]).claims)
        except (JoseError, ValueError):
            return None

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        public = self.key.as_dict(private=False)
        return {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": ALGORITHM}]}


def _new_pem() -> bytes:
    return rsa.generate_private_key(public_exponent=65537, key_size=_BITS).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
