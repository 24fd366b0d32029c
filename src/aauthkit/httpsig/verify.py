"""Reading and checking one signature of a request, given the key (RFC 9421 §3.2); choosing the key is not done here.

``read_signature`` selects the signature by the label it shares with Signature-Key and parses it; the checks that follow
are separate functions, in the profile's order, so that ``aauthkit.verify`` reads like the profile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from aauthkit.errors import ClockSkew, InvalidInput, InvalidSignature, InvalidSignatureRequest, UnsupportedAlgorithm
from aauthkit.httpsig.components import (
    BASE_COMPONENTS,
    Component,
    MissingComponent,
    base_component_lines,
    base_of,
    component_lines,
)
from aauthkit.httpsig.digest import digest_matches
from aauthkit.httpsig.fields import MalformedField, WrittenList, parse_dictionary, serialise, serialise_parameters
from aauthkit.httpsig.message import Message
from aauthkit.keys import PublicKey

MAX_COMPONENTS = 64
# Characters; a longer list of components is hardly ever seen twice, and is not kept.
_SHORT_LIST = 512
_BASE = tuple(map(Component, BASE_COMPONENTS))
_KNOWN_PARAMETERS = frozenset({"created", "expires", "nonce", "alg", "keyid", "tag"})
_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/_=-]*):")


@dataclass(frozen=True, kw_only=True, slots=True)
class Covered:
    """The list of covered components, and what is asked of it in every request."""

    components: tuple[Component, ...]
    begins_with_base: bool
    """Whether the first are ``BASE_COMPONENTS``, in their usual order."""
    text: str
    """The list as it is written in the signature base."""
    whole: frozenset[str]
    """The names of those that are covered whole, without parameters."""
    names: frozenset[str]

    @classmethod
    def of(cls, items: Sequence[Any]) -> Covered:
        components = tuple([_component(name, parameters) for name, parameters in items])
        if len(set(map(str, components))) != len(components):
            raise InvalidSignatureRequest("A component is covered twice.")
        return cls(
            components=components,
            begins_with_base=components[: len(_BASE)] == _BASE,
            text=serialise(list(items)),
            whole=frozenset(component.name for component in components if not component.parameters),
            names=frozenset(component.name for component in components),
        )

    def lines(self, message: Message) -> list[str]:
        """The lines the components make in the signature base; raises ``MissingComponent``."""
        signature_key = message.field("signature-key")
        if not self.begins_with_base or signature_key is None:
            return component_lines(message, self.components)
        lines = base_component_lines(message, signature_key)
        # One line break each; a value that brings another is named by the slow way.
        if "".join(lines).count("\n") != len(lines):
            return component_lines(message, self.components)
        return lines + component_lines(message, self.components[len(_BASE) :])


class Signature(NamedTuple):
    """A parsed signature: what it covers, its parameters and its bytes; not yet checked."""

    covered: Covered
    parameters: Mapping[str, Any]
    signature_params: str
    value: bytes

    @property
    def components(self) -> tuple[Component, ...]:
        return self.covered.components

    @property
    def created(self) -> int:
        """Unix seconds; only meaningful after ``check_times``."""
        return int(self.parameters["created"])


def signature_labels(message: Message, *, base64url: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Signature-Input and Signature as dictionaries; raises ``InvalidSignatureRequest`` when missing or malformed."""
    signature_input, signature = message.field("signature-input"), message.field("signature")
    if signature_input is None or signature is None:
        raise InvalidSignatureRequest("The request is not signed; send Signature, Signature-Input and Signature-Key.")
    if base64url:
        signature = _BYTE_SEQUENCE.sub(_to_standard_base64, signature)
    try:
        return parse_dictionary(signature_input), parse_dictionary(signature)
    except MalformedField as error:
        raise InvalidSignatureRequest(
            "Signature and Signature-Input must be structured dictionaries without duplicates."
        ) from error


def read_signature(label: str, inputs: Mapping[str, Any], signatures: Mapping[str, Any]) -> Signature:
    """The signature under ``label``; raises ``InvalidSignatureRequest`` for any other shape than RFC 9421's."""
    items, parameters = inputs[label]
    value, value_parameters = signatures[label]
    if not isinstance(items, list) or not isinstance(value, bytes) or value_parameters:
        raise InvalidSignatureRequest("Signature-Input must be an inner list and Signature a byte sequence.")
    if len(items) > MAX_COMPONENTS:
        raise InvalidSignatureRequest(f"At most {MAX_COMPONENTS} components can be covered.")
    if type(items) is WrittenList:
        return Signature(_covered(items), parameters, items.text + items.parameters, value)
    covered = Covered.of(items)
    return Signature(covered, parameters, covered.text + serialise_parameters(parameters), value)


def check_coverage(message: Message, signature: Signature, required: tuple[str, ...]) -> list[str]:
    """Step 2: every required component is covered whole, and every covered one exists; ``invalid_input`` otherwise.

    Returned are the lines the components make in the signature base, for step 7.
    """
    whole = signature.covered.whole
    if not whole.issuperset(required):
        missing = " ".join(name for name in required if name not in whole)
        raise InvalidInput(f"The signature must also cover: {missing}.", required_input=required)
    try:
        return signature.covered.lines(message)
    except MissingComponent as error:
        raise InvalidInput(f"The signature cannot be checked: {error}.", required_input=required) from error


def check_times(signature: Signature, *, now: float, window: timedelta) -> None:
    """Step 3: ``created`` is there and within the window on either side; ``expires``, when there, is ahead."""
    created, expires = signature.parameters.get("created"), signature.parameters.get("expires")
    if type(created) is not int:
        raise InvalidSignature("The signature has no created time; sign again with created set to now.")
    seconds = window.total_seconds()
    # Both edges are inside: a whole second of `created` stands for all of that second.
    if created - seconds > int(now):
        raise ClockSkew(
            f"The signature's created time is more than {int(seconds)} seconds ahead of the clock here; set your clock."
        )
    if int(now) > created + seconds:
        raise InvalidSignature(
            f"The signature's created time is more than {int(seconds)} seconds from the clock here; "
            "check your clock and sign again."
        )
    if expires is not None and (type(expires) is not int or expires <= now):
        raise InvalidSignature("The signature has expired; sign again.")


def check_parameters(signature: Signature, key: PublicKey, *, ignore_alg: bool) -> None:
    """Step 6: the algorithm is the key's. A stated ``alg`` is ignored (AAuth-11 §11.3.3.2), or must say the same."""
    alg = signature.parameters.get("alg")
    if not ignore_alg and alg is not None and alg != key.algorithm.name:
        raise UnsupportedAlgorithm("The alg in Signature-Input is not the algorithm of the key.")
    if not signature.parameters.keys() <= _KNOWN_PARAMETERS:
        raise InvalidSignatureRequest("Signature-Input has parameters that RFC 9421 does not define.")


def check_signature(
    message: Message, signature: Signature, key: PublicKey, *, lines: Sequence[str] | None = None
) -> None:
    """Step 7: the signature itself; ``lines`` are what step 2 returned for the same message and signature."""
    try:
        if lines is None:
            lines = signature.covered.lines(message)
        base = base_of(lines, signature.signature_params)
    except MissingComponent as error:
        raise InvalidSignature("The signature cannot be checked against this request.") from error
    if not key.verify(base, signature.value):
        raise InvalidSignature("The signature does not match the request; sign exactly what is sent.")


def check_digest(message: Message, signature: Signature) -> None:
    """``content-digest``, when covered, is recomputed from the body (DESIGN §4 rule 3); an unread body fails closed.

    Draft 01 lets a body go uncovered; a digest that is there all the same must still be the body's.
    """
    digest = message.field("content-digest")
    if digest is None or not (message.body or "content-digest" in signature.covered.names):
        return
    if message.body is None:
        raise InvalidSignature("The body was not available to check its digest.")
    if not digest_matches(digest, message.body):
        raise InvalidSignature("The body does not match its Content-Digest.")


def _covered(items: WrittenList) -> Covered:
    return _covered_as_written(items.text) if len(items.text) <= _SHORT_LIST else Covered.of(items)


# Most signers cover the same few components in every request. Who sends others fills 256 short places and no more.
@lru_cache(maxsize=256)
def _covered_as_written(text: str) -> Covered:
    return Covered.of([(name, {}) for name in text[2:-2].split('" "')] if text != "()" else [])


def _component(name: object, parameters: Mapping[str, Any]) -> Component:
    if not isinstance(name, str) or name != name.lower() or not name:
        raise InvalidSignatureRequest("A covered component is a lower-case name in quotes.")
    if name == "@signature-params":
        raise InvalidSignatureRequest("@signature-params cannot be covered by name.")
    return Component(name, tuple(parameters.items()))


def _to_standard_base64(match: re.Match[str]) -> str:
    text = match.group(1).replace("-", "+").replace("_", "/")
    return f":{text}{'=' * (-len(text) % 4)}:"
