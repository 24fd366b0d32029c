"""Keys: JWKs, algorithms, thumbprints, key files; signs and verifies bytes, never says what they mean.

What signatures are verified with is one entry in ``ALGORITHMS`` and its JOSE name in the draft. Ed25519 goes through
libsodium (PyNaCl), everything else through ``cryptography``. A key's algorithm comes from the key, never from a header
(Signature Keys "Algorithm Selection").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import nacl.bindings
import nacl.exceptions
from cryptography.exceptions import InvalidSignature as _BadSignature
from cryptography.exceptions import UnsupportedAlgorithm as _UnknownToOpenSSL
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from aauthkit.drafts import DRAFT_11, Draft
from aauthkit.errors import ConfigurationError, InvalidKey, UnsupportedAlgorithm

# base64url to base64; what base64 has and base64url has not becomes a character of neither.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
# RFC 4648 §3.5: the last character of an incomplete group has bits that must be zero.
_LAST_CHARACTERS = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
_PADDING = {0: b"", 2: b"==", 3: b"="}
_P256_BYTES = 32
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def b64url_encode(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Strict base64url without padding; raises ``ValueError``, also for non-canonical trailing bits."""
    rest = len(text) % 4
    if rest == 1 or (rest and text[-1] not in _LAST_CHARACTERS[rest]):
        raise ValueError("not canonical base64url")
    # Both errors this can raise are ValueErrors.
    return binascii.a2b_base64(text.encode("ascii").translate(_TO_BASE64) + _PADDING[rest], strict_mode=True)


def _verify_ed25519(material: Any, data: bytes, signature: bytes) -> bool:
    if len(signature) != nacl.bindings.crypto_sign_BYTES:
        return False
    try:
        nacl.bindings.crypto_sign_open(signature + data, material)
    except nacl.exceptions.BadSignatureError:
        return False
    return True


def _verify_p256(material: Any, data: bytes, signature: bytes) -> bool:
    if len(signature) != 2 * _P256_BYTES:
        return False
    r, s = int.from_bytes(signature[:_P256_BYTES]), int.from_bytes(signature[_P256_BYTES:])
    try:
        material.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except _BadSignature:
        return False
    return True


def _only_form(signature: bytes) -> bytes:
    """libsodium accepts one encoding of an Ed25519 signature only (RFC 8032 §5.1.7: S below the order)."""
    return signature


def _lower_s(signature: bytes) -> bytes:
    s = int.from_bytes(signature[_P256_BYTES:])
    return signature[:_P256_BYTES] + min(s, _P256_ORDER - s).to_bytes(_P256_BYTES)


def _load_ed25519(jwk: Mapping[str, Any]) -> Any:
    return _ed25519_point(_member_text(jwk, "x"))


# It costs as much as verifying a signature, and the same key comes again with every new token of its agent.
@lru_cache(maxsize=4096)
def _ed25519_point(text: str) -> bytes:
    x = _member_bytes("x", text)
    if len(x) != nacl.bindings.crypto_sign_PUBLICKEYBYTES or not nacl.bindings.crypto_core_ed25519_is_valid_point(x):
        raise InvalidKey("The Ed25519 key is not a valid point; send a freshly generated key.")
    return x


def _load_p256(jwk: Mapping[str, Any]) -> Any:
    x, y = (_member_bytes(name, _member_text(jwk, name)) for name in ("x", "y"))
    if len(x) != _P256_BYTES or len(y) != _P256_BYTES:
        raise InvalidKey("The P-256 coordinates must be 32 bytes each.")
    try:
        return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()).public_key()
    except ValueError as error:
        raise InvalidKey("The P-256 key is not a point on the curve.") from error


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """One signature algorithm under its RFC 9421 name, with the JWK shape that selects it."""

    name: str
    kty: str
    crv: str
    members: tuple[str, ...]
    load: Callable[[Mapping[str, Any]], Any]
    verify: Callable[[Any, bytes, bytes], bool]
    canonical: Callable[[bytes], bytes]
    """One form for all signatures anybody can make out of a good one without the key."""


ED25519 = Algorithm(
    name="ed25519",
    kty="OKP",
    crv="Ed25519",
    members=("x",),
    load=_load_ed25519,
    verify=_verify_ed25519,
    canonical=_only_form,
)
P256 = Algorithm(
    name="ecdsa-p256-sha256",
    kty="EC",
    crv="P-256",
    members=("x", "y"),
    load=_load_p256,
    verify=_verify_p256,
    canonical=_lower_s,
)
ALGORITHMS: Mapping[tuple[str, str], Algorithm] = {(a.kty, a.crv): a for a in (ED25519, P256)}


# RFC 7518 §6, RFC 8037 §2: without these a JWK of the type is no key at all.
_REQUIRED_MEMBERS: Mapping[str, frozenset[str]] = {
    "OKP": frozenset({"crv", "x"}),
    "EC": frozenset({"crv", "x", "y"}),
    "RSA": frozenset({"n", "e"}),
}


# Of every type: what only the holder of a key knows.
_PRIVATE_MEMBERS = frozenset({"d", "k", "p", "q"})


def has_required_members(jwk: Mapping[str, Any]) -> bool:
    """Whether a JWK names its type and has the members that type cannot do without."""
    kty = jwk.get("kty")
    return isinstance(kty, str) and _REQUIRED_MEMBERS.get(kty, frozenset()) <= jwk.keys()


def fingerprint(thumbprint: str) -> str:
    """A thumbprint in the form people compare: its first 128 bits in hexadecimal, eight groups of four.

    Letters of one case and no two digits alike, unlike base64url; and nobody finds a second key with the same 128 bits.
    """
    digits = b64url_decode(thumbprint)[:16].hex().upper()
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


class PublicKey:
    """A public key that was checked: its algorithm is known and agrees with the JWK's own `alg`."""

    __slots__ = ("__dict__", "_material", "_members", "algorithm", "kid")

    def __init__(self, algorithm: Algorithm, members: Mapping[str, str], *, kid: str | None = None) -> None:
        self.algorithm = algorithm
        self.kid = kid
        self._members = {"crv": algorithm.crv, "kty": algorithm.kty, **members}
        self._material = algorithm.load(self._members)

    @classmethod
    def from_jwk(cls, jwk: object, draft: Draft) -> PublicKey:
        """Read a JWK (RFC 7517) under a draft's rules; raises ``InvalidKey`` or ``UnsupportedAlgorithm``.

        Private members are refused: a peer that sends its private key has lost it.
        """
        if not isinstance(jwk, Mapping):
            raise InvalidKey("The key is not a JSON object.")
        if not isinstance(jwk.get("kty"), str) or not _PRIVATE_MEMBERS.isdisjoint(jwk):
            raise InvalidKey("The key is not a public JWK.")
        algorithm = _algorithm_of(jwk, draft)
        _check_alg(jwk.get("alg"), algorithm, draft)
        _check_use(jwk)
        kid = jwk.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise InvalidKey("The key's kid is not a string.")
        return cls(algorithm, {name: str(jwk[name]) for name in algorithm.members if name in jwk}, kid=kid)

    @cached_property
    def thumbprint(self) -> str:
        """RFC 7638 with SHA-256, base64url."""
        canonical = json.dumps(self._members, sort_keys=True, separators=(",", ":")).encode()
        return b64url_encode(hashlib.sha256(canonical).digest())

    def as_jwk(self, draft: Draft) -> dict[str, str]:
        """The public JWK as the draft writes it: with `alg` under 11, without under 01."""
        jwk = {"kty": self.algorithm.kty, **{k: v for k, v in self._members.items() if k != "kty"}}
        if draft.jwk_alg_written:
            jwk["alg"] = draft.jose_algorithms[self.algorithm.name]
        if self.kid is not None:
            jwk["kid"] = self.kid
        return jwk

    def with_kid(self, kid: str | None) -> PublicKey:
        """The same key under another name."""
        return PublicKey(self.algorithm, {n: self._members[n] for n in self.algorithm.members}, kid=kid)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's over ``data``; false for any malformed signature."""
        return self.algorithm.verify(self._material, data, signature)

    def canonical_signature(self, signature: bytes) -> bytes:
        """The form in which a signature that verified is remembered: (r, s) and (r, n-s) are one ECDSA signature."""
        return self.algorithm.canonical(signature)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other._members == self._members

    def __hash__(self) -> int:
        return hash(self.thumbprint)

    def __repr__(self) -> str:
        return f"PublicKey({self.algorithm.name}, thumbprint={self.thumbprint})"


class PrivateKey:
    """A private key; ``repr`` shows its thumbprint only, and it leaves the process only to a 0600 file."""

    __slots__ = ("_key", "_sodium", "public")

    def __init__(self, key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey, *, kid: str | None = None) -> None:
        self._key = key
        self.public = _public_of(key, kid)
        self._sodium = _sodium_secret(key) if isinstance(key, ed25519.Ed25519PrivateKey) else None

    @classmethod
    def generate(cls, *, algorithm: Algorithm = ED25519, kid: str | None = None) -> PrivateKey:
        """A fresh key; without ``kid`` it is named by the first characters of its thumbprint."""
        if algorithm is ED25519:
            return cls(ed25519.Ed25519PrivateKey.generate(), kid=kid)
        return cls(ec.generate_private_key(ec.SECP256R1()), kid=kid)

    @classmethod
    def from_pem(cls, pem: bytes, *, kid: str | None = None) -> PrivateKey:
        """Read an unencrypted PKCS #8 PEM; raises ``ConfigurationError``."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, _UnknownToOpenSSL) as error:
            raise ConfigurationError("The private key is not an unencrypted PKCS #8 PEM file.") from error
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return cls(key, kid=kid)
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(key, kid=kid)
        raise ConfigurationError("The private key must be Ed25519 or P-256.")

    @classmethod
    def load(cls, path: Path, *, kid: str | None = None) -> PrivateKey:
        """Read a key file; refuses one that others can read."""
        return cls.from_pem(read_private_file(path), kid=kid)

    @classmethod
    def load_or_create(cls, path: Path, *, kid: str | None = None) -> PrivateKey:
        """Read the key file, or make one, 0600, so that two starters at once agree on one key."""
        if not path.exists():
            write_new_private_file(path, cls.generate().to_pem())
        return cls.load(path, kid=kid)

    def to_pem(self) -> bytes:
        """PKCS #8 PEM, unencrypted: for a 0600 file and nothing else."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, data: bytes) -> bytes:
        """Sign; 64 bytes for both algorithms (RFC 9421 §3.3)."""
        if self._sodium is not None:
            return nacl.bindings.crypto_sign(data, self._sodium)[: nacl.bindings.crypto_sign_BYTES]
        assert isinstance(self._key, ec.EllipticCurvePrivateKey)  # noqa: S101  the constructor admits two kinds
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
        return r.to_bytes(_P256_BYTES) + s.to_bytes(_P256_BYTES)

    @property
    def algorithm(self) -> Algorithm:
        return self.public.algorithm

    @property
    def kid(self) -> str:
        return self.public.kid or self.public.thumbprint[:12]

    @property
    def thumbprint(self) -> str:
        return self.public.thumbprint

    def __repr__(self) -> str:
        return f"PrivateKey({self.algorithm.name}, thumbprint={self.thumbprint})"


def jwks(keys: Iterable[tuple[PrivateKey | PublicKey, Draft]]) -> dict[str, list[dict[str, str]]]:
    """A JWK Set (RFC 7517 §5) of public keys, each written for the draft it speaks."""
    return {
        "keys": [
            {**public.as_jwk(draft), "kid": key.kid or public.thumbprint[:12], "use": "sig"}
            for key, draft in keys
            for public in (key.public if isinstance(key, PrivateKey) else key,)
        ]
    }


def read_private_file(path: Path) -> bytes:
    """What a key file holds; raises ``ConfigurationError`` for one that others can read."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"The key file {path.name} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise ConfigurationError(f"The key file {path.name} is open to others; run chmod 600 on it.")
    return content


def write_new_private_file(path: Path, content: bytes) -> bool:
    """Create ``path`` with 0600 and ``content`` in one step; false when somebody else was first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        return True
    finally:
        Path(temporary).unlink()


def _member_text(jwk: Mapping[str, Any], name: str) -> str:
    value = jwk.get(name)
    if not isinstance(value, str) or len(value) > 64:
        raise InvalidKey(f"The key's member {name} is missing or not a string.")
    return value


def _member_bytes(name: str, text: str) -> bytes:
    try:
        return b64url_decode(text)
    except ValueError as error:
        raise InvalidKey(f"The key's member {name} is not base64url.") from error


def _algorithm_of(jwk: Mapping[str, Any], draft: Draft) -> Algorithm:
    kty, crv = jwk.get("kty"), jwk.get("crv")
    algorithm = ALGORITHMS.get((kty, crv)) if isinstance(kty, str) and isinstance(crv, str) else None
    if algorithm is None:
        if draft.jwk_alg_required and jwk.get("alg") in tuple(draft.jose_algorithms.values()):
            raise InvalidKey("The key's alg disagrees with its kty or crv.")
        raise UnsupportedAlgorithm("Keys here are Ed25519 (OKP) or P-256 (EC).")
    return algorithm


# DRAFT 01: `alg` may be absent and then follows from kty and crv; "EdDSA" names Ed25519. The fully specified name is
# accepted as well, since a key published for 11 is the same key.
# DRAFT 11 (AAuth-11 §11.3.1, §11.3.4 step 6): `alg` is required, "EdDSA" is no name, and a name we implement that
# disagrees with kty or crv makes the key, not the algorithm, the fault.
def _check_alg(alg: object, algorithm: Algorithm, draft: Draft) -> None:
    if alg is None and not draft.jwk_alg_required:
        return
    if alg == draft.jose_algorithms[algorithm.name]:
        return
    accepted = {draft.jose_algorithms[algorithm.name]}
    if not draft.jwk_alg_required:
        accepted.add(DRAFT_11.jose_algorithms[algorithm.name])
    if alg is None:
        raise UnsupportedAlgorithm("The key has no alg; every key must name its algorithm.")
    if not isinstance(alg, str):
        raise InvalidKey("The key's alg is not a string.")
    if draft.jwk_alg_required and alg not in accepted and alg in draft.jose_algorithms.values():
        raise InvalidKey("The key's alg disagrees with its kty or crv.")
    if alg not in accepted:
        raise UnsupportedAlgorithm(f"The key's alg does not name {algorithm.crv}; use {sorted(accepted)[0]}.")


def _check_use(jwk: Mapping[str, Any]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise InvalidKey("The key is not meant for signatures.")
    operations = jwk.get("key_ops")
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        raise InvalidKey("The key's key_ops do not allow verify.")


def _public_of(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey, kid: str | None) -> PublicKey:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return PublicKey(ED25519, {"x": b64url_encode(raw)}, kid=kid)
    numbers = key.public_key().public_numbers()
    x, y = (b64url_encode(n.to_bytes(_P256_BYTES)) for n in (numbers.x, numbers.y))
    return PublicKey(P256, {"x": x, "y": y}, kid=kid)


def _sodium_secret(key: ed25519.Ed25519PrivateKey) -> bytes:
    seed = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    return nacl.bindings.crypto_sign_seed_keypair(seed)[1]
