"""Component values and the signature base of RFC 9421 §2 and §2.5, for requests only.

Supported: the derived components of requests, header fields, and the parameters ``key``, ``bs`` and ``name``. ``sf``,
``tr`` and ``req`` are refused: nothing in AAuth needs them and each is one more way to disagree about bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

from aauthkit.httpsig.fields import MalformedField, parse_dictionary, serialise
from aauthkit.httpsig.message import Message

# AAuth-11 §11.3.3: what every signature covers.
BASE_COMPONENTS = ("@method", "@authority", "@path", "signature-key")
_MAX_QUERY_PARAMETERS = 200


class MissingComponent(ValueError):
    """A covered component is not in the message or not one that is understood."""


@dataclass(frozen=True, slots=True)
class Component:
    """One covered component: its name and its parameters in order."""

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        if not self.parameters:
            return f'"{self.name}"'
        return serialise((self.name, dict(self.parameters)))


_DERIVED: Mapping[str, Callable[[Message], str]] = {
    "@method": lambda m: m.method,
    "@authority": lambda m: m.normalised_authority,
    "@scheme": lambda m: m.scheme,
    "@path": lambda m: m.path or "/",
    "@query": lambda m: "?" + (m.query or ""),
    "@request-target": lambda m: m.path + ("" if m.query is None else f"?{m.query}"),
    "@target-uri": lambda m: (
        f"{m.scheme}://{m.normalised_authority}{m.path}" + ("" if m.query is None else f"?{m.query}")
    ),
}


def component_value(message: Message, component: Component) -> str:
    """The value line of one component (RFC 9421 §2.1 to §2.2.8); raises ``MissingComponent``."""
    value = _parametrised(message, component) if component.parameters else plain_value(message, component.name)
    if "\n" in value:
        raise MissingComponent(f"{component.name} has a line break in it")
    return value


def plain_value(message: Message, name: str) -> str:
    """The value of a component without parameters, which may have a line break in it; raises ``MissingComponent``."""
    derive = _DERIVED.get(name)
    value = derive(message) if derive is not None else message.field(name)
    if value is None:
        raise MissingComponent(
            f'"{name}" is not a component of a request that is understood here'
            if name.startswith("@")
            else f"the header {name} is not in the request"
        )
    return value


def signature_base(message: Message, components: Sequence[Component], signature_params: str) -> bytes:
    """RFC 9421 §2.5: what is signed; ``signature_params`` is the serialised inner list with its parameters."""
    return base_of(component_lines(message, components), signature_params)


def component_lines(message: Message, components: Iterable[Component]) -> list[str]:
    """The lines of the signature base that the components make, each with its end; raises ``MissingComponent``."""
    return [f"{component}: {component_value(message, component)}\n" for component in components]


def base_component_lines(message: Message, signature_key: str) -> list[str]:
    """The lines of ``BASE_COMPONENTS``, which are in every signature; what they hold is not looked at.

    ``component_lines`` makes the same, slowly; tests hold both to it.
    """
    return [
        f'"@method": {message.method}\n',
        f'"@authority": {message.normalised_authority}\n',
        f'"@path": {message.path or "/"}\n',
        f'"signature-key": {signature_key}\n',
    ]


def base_of(lines: Sequence[str], signature_params: str) -> bytes:
    """The signature base, from the lines of its components each with its end; raises ``MissingComponent``."""
    text = f'{"".join(lines)}"@signature-params": {signature_params}'
    # RFC 9421 §2: with a line break one value could stand for several lines of the signature base.
    if text.count("\n") != len(lines):
        raise MissingComponent("a covered value has a line break in it")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise MissingComponent("a covered value is not bytes of a header") from error


def _parametrised(message: Message, component: Component) -> str:
    if component.name == "@query-param":
        return _query_parameter(message, component)
    if component.name.startswith("@"):
        raise MissingComponent(f"{component} is not a component of a request that is understood here")
    parameters = dict(component.parameters)
    if parameters.keys() == {"bs"} and parameters["bs"] is True:
        return _binary_wrapped(message, component.name)
    if parameters.keys() == {"key"} and isinstance(parameters["key"], str):
        return _dictionary_member(message, component.name, parameters["key"])
    raise MissingComponent(f"the parameters of {component} are not understood here")


def _binary_wrapped(message: Message, name: str) -> str:
    lines = message.field_lines(name)
    if not lines:
        raise MissingComponent(f"the header {name} is not in the request")
    try:
        return ", ".join(f":{base64.b64encode(line.encode('latin-1')).decode()}:" for line in lines)
    except UnicodeEncodeError as error:
        raise MissingComponent(f"the header {name} is not bytes of a header") from error


def _dictionary_member(message: Message, name: str, key: str) -> str:
    try:
        member = parse_dictionary(message.field(name) or "").get(key)
    except MalformedField as error:
        raise MissingComponent(f"the header {name} is not a structured dictionary") from error
    if member is None:
        raise MissingComponent(f"the header {name} has no member {key}")
    return serialise(member)


def _query_parameter(message: Message, component: Component) -> str:
    parameters = dict(component.parameters)
    name = parameters.get("name")
    if parameters.keys() != {"name"} or not isinstance(name, str):
        raise MissingComponent("@query-param needs a name")
    try:
        pairs = parse_qsl(message.query or "", keep_blank_values=True, max_num_fields=_MAX_QUERY_PARAMETERS)
        found = [_form_encoded(value) for key, value in pairs if _form_encoded(key) == name]
    except ValueError as error:
        raise MissingComponent("the query cannot be taken apart") from error
    if len(found) != 1:
        raise MissingComponent(f"the query parameter {name} is not there exactly once")
    return found[0]


def _form_encoded(text: str) -> str:
    # RFC 9421 §2.2.8: the application/x-www-form-urlencoded percent-encode set, in which "~" is encoded and
    # which Python's quote never encodes.
    return quote(text, safe="*-._").replace("~", "%7E")
