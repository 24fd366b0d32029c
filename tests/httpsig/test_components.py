"""Component values beyond RFC 9421's own examples: what is refused, and what two implementations could differ about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aauthkit.httpsig.components import (
    BASE_COMPONENTS,
    Component,
    MissingComponent,
    base_component_lines,
    component_lines,
    component_value,
    signature_base,
)
from aauthkit.httpsig.message import Message
from tests.vectors.published import component

MESSAGE = Message.of(
    "POST",
    "https://a.example/p?a=1&b=2&b=3&c=%7E~*&%C3%A9=x+y%20z",
    [("x-a", "1"), ("x-d", "k=1, l;p"), ("x-bad", "not a dictionary =")],
    b"",
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"@query-param";name="a"', "1"),
        ('"@query-param";name="c"', "%7E%7E*"),
        ('"@query-param";name="%C3%A9"', "x%20y%20z"),
        ('"x-d";key="k"', "1"),
        ('"x-d";key="l"', "?1;p"),
        ('"x-a";bs', ":MQ==:"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert component_value(MESSAGE, component(text)) == value


@pytest.mark.parametrize(
    "wrong",
    [
        Component("x-absent"),
        Component("X-A"),
        Component("@status"),
        Component("@unheard-of"),
        Component("@"),
        Component("@query-param"),
        Component("@query-param", (("name", "absent"),)),
        Component("@query-param", (("name", "b"),)),
        Component("@query-param", (("name", "\N{LATIN SMALL LETTER E WITH ACUTE}"),)),
        Component("@query-param", (("name", True),)),
        Component("@query-param", (("name", "a"), ("req", True))),
        Component("@method", (("req", True),)),
        Component("@path", (("key", "a"),)),
        Component("x-a", (("sf", True),)),
        Component("x-a", (("tr", True),)),
        Component("x-a", (("req", True),)),
        Component("x-a", (("bs", "yes"),)),
        Component("x-absent", (("bs", True),)),
        Component("x-d", (("key", "absent"),)),
        Component("x-d", (("key", True),)),
        Component("x-d", (("key", "k"), ("bs", True))),
        Component("x-bad", (("key", "k"),)),
        Component("x-absent", (("key", "k"),)),
    ],
    ids=repr,
)
def test_what_is_not_there_or_not_understood_is_missing(wrong: Component) -> None:
    with pytest.raises(MissingComponent):
        component_value(MESSAGE, wrong)


@pytest.mark.parametrize("name", ["@path", "@query", "@method", "@authority", "@request-target", "@target-uri", "x-a"])
def test_a_line_break_is_no_part_of_a_value(name: str) -> None:
    """RFC 9421 §2: component values contain no newline."""
    line = "a\nb"
    broken = replace(MESSAGE, path=line, query=line, method=line, authority=line, headers=(("x-a", line),))
    with pytest.raises(MissingComponent):
        component_value(broken, Component(name))


def test_what_is_not_bytes_of_a_header_is_missing() -> None:
    message = replace(MESSAGE, headers=(("x-a", "\N{SNOWMAN}"),))
    with pytest.raises(MissingComponent):
        signature_base(message, [Component("x-a")], "()")
    with pytest.raises(MissingComponent):
        component_value(message, Component("x-a", (("bs", True),)))


def test_bytes_above_ascii_are_signed_as_they_came() -> None:
    message = replace(MESSAGE, headers=(("x-a", "caf\xe9"),))
    assert signature_base(message, [Component("x-a")], "()") == b'"x-a": caf\xe9\n"@signature-params": ()'


@pytest.mark.parametrize("url", ["https://A.example:443/p?q", "http://a.example:8080", "https://a.example/%7E//x"])
def test_the_lines_of_the_base_components_are_those_of_any_components(url: str) -> None:
    """RFC 9421 §2.5; the four of AAuth-11 §11.3.3.1 are written at once."""
    message = Message.of("PUT", url, [("signature-key", " sig=hwk "), ("signature-key", "b=c")])
    for one in (message, replace(message, path="")):
        lines = base_component_lines(one, one.field("signature-key") or "")
        assert lines == component_lines(one, map(Component, BASE_COMPONENTS))
