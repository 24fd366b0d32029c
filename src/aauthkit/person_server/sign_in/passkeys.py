"""Passkeys (WebAuthn): what a browser is asked for, and how its answer is judged. It knows no session and no page.

A challenge is made from the server's secret, for one purpose and one browser or link, so that asking for one stores
nothing and anybody may; once it was answered it is remembered until it runs out, and never accepted again. A passkey
that nobody has, a wrong signature, a counter that went back: whoever tries learns only that it was not accepted.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import encode_cbor, options_to_json_dict, parse_client_data_json
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from aauthkit.clock import Clock
from aauthkit.errors import Conflict, DeniedError, InvalidRequest, NotFound
from aauthkit.keys import b64url_decode, b64url_encode
from aauthkit.person_server.codes import Secrets, hashed
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage.passkeys import (
    AnsweredBefore,
    Challenge,
    LinkSpent,
    NameTaken,
    NewPasskey,
    Passkey,
    PasskeyStore,
    TooManyPasskeys,
)

# Those every platform makes, and RSA for older Windows.
_ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
_NONCE_BYTES, _TIME_BYTES = 16, 8
_LONGEST_NAME = 64
# WebAuthn allows an identifier 1023 bytes.
_LONGEST_ID = 1_364
_TRANSPORTS = frozenset(transport.value for transport in AuthenticatorTransport)

T = TypeVar("T")
_log = logging.getLogger("aauthkit.person_server")


class PasskeyRefused(DeniedError):
    """What the browser answered is not accepted; why is only told to the operator."""

    code = "passkey_refused"


class LinkRefused(NotFound):
    """A setup or invitation link that leads nowhere: unknown, used, withdrawn and too old look alike."""


@dataclass(frozen=True, kw_only=True)
class Passkeys:
    """The ceremonies. ``binding`` is what a challenge is good for: a session, a browser about to sign in, a link."""

    settings: PersonServerSettings
    store: PasskeyStore
    secrets: Secrets
    clock: Clock

    @property
    def possible(self) -> bool:
        """Browsers make passkeys for names only, never for an IP address."""
        return has_a_name(self.settings.issuer)

    # What a browser is asked for

    def creation(self, *, person_id: str, username: str, known: Sequence[Passkey], binding: str) -> dict[str, Any]:
        """Options of `navigator.credentials.create()`, as JSON."""
        return options_to_json_dict(
            generate_registration_options(
                rp_id=self._rp_id,
                rp_name=self.settings.name,
                user_id=person_id.encode(),
                user_name=username,
                challenge=self._challenge("create", binding),
                timeout=self._milliseconds,
                attestation=AttestationConveyancePreference.NONE,
                authenticator_selection=AuthenticatorSelectionCriteria(
                    resident_key=ResidentKeyRequirement.REQUIRED,
                    user_verification=UserVerificationRequirement.REQUIRED,
                ),
                exclude_credentials=_descriptors(known),
                supported_pub_key_algs=_ALGORITHMS,
            )
        )

    def request(self, *, binding: str, known: Sequence[Passkey] = ()) -> dict[str, Any]:
        """Options of `navigator.credentials.get()`, as JSON; without ``known`` the browser offers what it has."""
        return options_to_json_dict(
            generate_authentication_options(
                rp_id=self._rp_id,
                challenge=self._challenge("get", binding),
                timeout=self._milliseconds,
                allow_credentials=_descriptors(known),
                user_verification=UserVerificationRequirement.REQUIRED,
            )
        )

    # What it answers

    async def add(self, person_id: str, name: str, credential: object, *, binding: str) -> None:
        """One more passkey for somebody signed in. Raises `PasskeyRefused`, `Conflict`."""
        new = self._created(name, credential, binding)
        try:
            await self.store.add(person_id, new)
        except (AnsweredBefore, NameTaken) as error:
            self._refuse(error)
        except TooManyPasskeys as error:
            raise Conflict("You have as many passkeys as one may have; remove one first.") from error

    async def join(self, token: str, person_id: str, name: str, credential: object) -> None:
        """The first passkey, by a link. Raises `PasskeyRefused`, `LinkRefused`, `Conflict`."""
        new = self._created(name, credential, binding=link_binding(token))
        try:
            await self.store.join(token, person_id, new)
        except AnsweredBefore as error:
            self._refuse(error)
        except LinkSpent as error:
            raise LinkRefused(SPENT) from error
        except (NameTaken, TooManyPasskeys) as error:
            raise Conflict("This name or this passkey is taken; choose another.") from error

    async def person_of(self, credential: object, *, binding: str, only: str | None = None) -> str:
        """The id of the person who answered; with ``only`` it is that one or nobody. Raises `PasskeyRefused`."""
        members = _members(credential)
        challenge = self._answered("get", binding, members)
        passkey = await self._looked_up(members)
        known = passkey is not None and only in (None, passkey.person_id)
        verified = self._judged(
            lambda: verify_authentication_response(
                credential=members,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self.settings.issuer,
                # Somebody unknown is judged with a key nobody has, which takes as long.
                credential_public_key=b64url_decode(passkey.public_key) if passkey and known else _NOBODYS_KEY,
                credential_current_sign_count=passkey.sign_count if passkey and known else 0,
                require_user_verification=True,
            )
        )
        if passkey is None or not known or not _names(members, passkey.person_id, required=only is None):
            self._refuse("nobody's passkey, or another person's")
        try:
            noted = await self.store.used(
                passkey, sign_count=verified.new_sign_count, challenge=self._remembered(challenge)
            )
        except AnsweredBefore as error:
            self._refuse(error)
        if not noted:
            self._refuse("the counter went back")
        return passkey.person_id

    def _created(self, name: str, credential: object, binding: str) -> NewPasskey:
        members = _members(credential)
        challenge = self._answered("create", binding, members)
        verified = self._judged(
            lambda: verify_registration_response(
                credential=members,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self.settings.issuer,
                require_user_verification=True,
                supported_pub_key_algs=_ALGORITHMS,
            )
        )
        return NewPasskey(
            credential_id=b64url_encode(verified.credential_id),
            public_key=b64url_encode(verified.credential_public_key),
            sign_count=verified.sign_count,
            transports=_transports(members),
            name=passkey_name(name),
            challenge=self._remembered(challenge),
        )

    async def _looked_up(self, members: dict[str, Any]) -> Passkey | None:
        credential_id = members.get("id")
        if not isinstance(credential_id, str) or len(credential_id) > _LONGEST_ID:
            return None
        return await self.store.by_credential(credential_id)

    def _judged(self, judge: Callable[[], T]) -> T:
        try:
            return judge()
        except Exception as error:
            # Everything in it comes from outside and goes through CBOR and ASN.1; nothing but our refusal leaves.
            self._refuse(error)

    def _refuse(self, why: object) -> NoReturn:
        raise PasskeyRefused(
            "This passkey was not accepted; try again, or with another one.", debug=f"passkey refused: {why!r}"
        )

    # Challenges

    def _challenge(self, purpose: str, binding: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        expires_at = int(self.clock.now() + self.settings.challenge_time.total_seconds())
        start = nonce + expires_at.to_bytes(_TIME_BYTES)
        return start + self._seal(purpose, binding, start)

    def _answered(self, purpose: str, binding: str, members: dict[str, Any]) -> bytes:
        """The challenge in an answer, if we made it for this purpose and binding and it has not run out."""
        challenge = self._judged(lambda: parse_client_data_json(_client_data(members)).challenge)
        start, seal = challenge[: _NONCE_BYTES + _TIME_BYTES], challenge[_NONCE_BYTES + _TIME_BYTES :]
        if not hmac.compare_digest(seal, self._seal(purpose, binding, start)):
            self._refuse("a challenge that was not made for this")
        if _expiry(start) <= self.clock.now():
            self._refuse("a challenge that ran out")
        return challenge

    def _seal(self, purpose: str, binding: str, start: bytes) -> bytes:
        return self.secrets.derive("passkey challenge", f"{purpose}\0{binding}\0{start.hex()}")

    def _remembered(self, challenge: bytes) -> Challenge:
        return Challenge(hash=hashed(challenge.hex()), expires_at=_expiry(challenge))

    @property
    def _rp_id(self) -> str:
        return urlsplit(self.settings.issuer).hostname or ""

    @property
    def _milliseconds(self) -> int:
        return int(self.settings.challenge_time.total_seconds() * 1000)


SPENT = "This link leads nowhere: it was used, ran out, or never existed. Ask for a new one."


def has_a_name(issuer: str) -> bool:
    try:
        ip_address(urlsplit(issuer).hostname or "")
    except ValueError:
        return True
    return False


def link_binding(token: str) -> str:
    return f"link {hashed(token)}"


def passkey_name(text: object) -> str:
    """What a person calls a passkey, or is called themselves; raises `InvalidRequest`."""
    name = text.strip() if isinstance(text, str) else ""
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(f"A name has 1 to {_LONGEST_NAME} characters that can be shown.")
    return name


def _members(credential: object) -> dict[str, Any]:
    if not isinstance(credential, dict) or not isinstance(credential.get("response"), dict):
        raise InvalidRequest("Send what the browser answered as the member credential.")
    return credential


def _client_data(members: dict[str, Any]) -> bytes:
    return b64url_decode(members["response"]["clientDataJSON"])


def _expiry(challenge: bytes) -> float:
    return float(int.from_bytes(challenge[_NONCE_BYTES : _NONCE_BYTES + _TIME_BYTES]))


def _transports(members: dict[str, Any]) -> tuple[str, ...]:
    given = members["response"].get("transports")
    return (
        tuple(sorted(_TRANSPORTS.intersection(item for item in given if isinstance(item, str))))
        if isinstance(given, list)
        else ()
    )


def _names(members: dict[str, Any], person_id: str, *, required: bool) -> bool:
    """WebAuthn §7.2 step 6: whoever the authenticator says this is, is who the passkey belongs to."""
    handle = members["response"].get("userHandle")
    if handle is None:
        return not required
    return isinstance(handle, str) and hmac.compare_digest(
        handle.rstrip("=").encode(), b64url_encode(person_id.encode()).encode()
    )


def _descriptors(known: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=b64url_decode(passkey.credential_id),
            transports=[AuthenticatorTransport(name) for name in passkey.transports] or None,
        )
        for passkey in known
    ]


def _nobodys_key() -> bytes:
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    return encode_cbor({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)})


_NOBODYS_KEY = _nobodys_key()
