"""Each line of each shell block is a command that exists, with options and arguments it takes. Nothing is started."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator

import click
import pytest

from aauthkit.cli.root import aauth
from tests.docs.pages import ROOT, Block, blocks

SUBSTITUTION = re.compile(r"\$\((?P<inner>[^()]*)\)")


class NotACommand(Exception):
    """A line that nobody could type with success."""


def lines(block: Block) -> Iterator[str]:
    """The commands of a block; what stands inside ``$(…)`` is one of its own."""
    for line in block.text.replace("\\\n", " ").splitlines():
        yield from (found["inner"] for found in SUBSTITUTION.finditer(line))
        if line.strip() and not line.startswith("#"):
            yield SUBSTITUTION.sub("substituted", line)


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_every_line_is_a_command_that_exists(block: Block) -> None:
    for line in lines(block):
        check(shlex.split(line, comments=True))


@pytest.mark.parametrize(
    "line",
    [
        "aauth demo --mod identity",
        "aauth demo start-part",
        "aauth person serve --listn 127.0.0.1:8765",
        "aauth nobody",
        "aauth demo --mode mode1",
        "make everything",
        "scripts/no.sh",
        "python examples/no.py",
        "pip install '.[no]'",
        "rm -rf /",
    ],
)
def test_a_line_that_cannot_work_is_found(line: str) -> None:
    with pytest.raises((NotACommand, click.ClickException)):
        check(shlex.split(line))


def check(words: list[str]) -> None:
    """Raises when the command is none, or would refuse its arguments."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[:1] == ["export"]:
        return
    name = words[0].removeprefix(".venv/bin/")
    checker = _CHECKERS.get(name) or (_script if name.startswith("scripts/") else None)
    if checker is None:
        raise NotACommand(f"{words[0]} is not a command of these pages")
    checker([name, *words[1:]])


def _aauth(words: list[str]) -> None:
    command: click.Command = aauth
    arguments = words[1:]
    context: click.Context | None = None
    while True:
        context = command.make_context(command.name or "aauth", arguments, parent=context)
        if not isinstance(command, click.Group):
            return
        rest = [*context._protected_args, *context.args]
        if not rest:
            if not command.invoke_without_command:
                raise NotACommand(f"{shlex.join(words)} names no command")
            return
        _, found, arguments = command.resolve_command(context, rest)
        assert found is not None
        command = found


def _make(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    settings = set(re.findall(r"^([A-Z]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for word in words[1:]:
        name, is_setting, _ = word.partition("=")
        if name not in (settings if is_setting else targets):
            raise NotACommand(f"make knows no {word}")


def _python(words: list[str]) -> None:
    if words[1] == "-m":
        module = ROOT / "src" / words[2].replace(".", "/")
        if words[2] not in ("http.server", "pytest", "tests.docs.generated") and not (module / "__main__.py").exists():
            raise NotACommand(f"there is no program {words[2]}")
    elif not (ROOT / words[1]).is_file():
        raise NotACommand(f"there is no file {words[1]}")


def _pip(words: list[str]) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = re.fullmatch(r"(?:aauthkit|\.)(?:\[(?P<extras>[\w,-]+)\])?", words[-1])
    if words[1] != "install" or wanted is None:
        raise NotACommand(shlex.join(words))
    unknown = set(filter(None, (wanted["extras"] or "").split(","))) - set(declared)
    if unknown:
        raise NotACommand(f"pyproject.toml has no extra {unknown}")


def _script(words: list[str]) -> None:
    if not (ROOT / words[0]).is_file():
        raise NotACommand(f"there is no {words[0]}")


def _anything(_words: list[str]) -> None:
    """Commands of the system itself."""


_CHECKERS: dict[str, Callable[[list[str]], None]] = {
    "aauth": _aauth,
    "make": _make,
    "python": _python,
    "pip": _pip,
    "curl": _anything,
    "docker": _anything,
    "kill": _anything,
}
