"""Names that people give their agents, and names that look like another: what is refused and what is warned of.

A name is for people's eyes, so what counts is what it looks like. It reads no database and changes nothing.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

from aauthkit.errors import InvalidRequest

LONGEST_NAME = 64
# More than any language stacks on one letter; what is higher covers the lines above it.
_MOST_MARKS = 3

# What is drawn like an ASCII letter, in the scripts with the most of them; NFKC already folds the wide, the circled and
# the mathematical ones, and `casefold` the capitals. Unicode's own list of confusables is a hundred times longer.
_DRAWN_LIKE = str.maketrans(
    {
        **dict(zip("авгеіїјкӏмнорԛѕтуџԝхьᴢ", "abreiijklmhopqstyuwxbz", strict=True)),
        **dict(zip("αβγεζηικμνορστυχω", "abyeznikmvopotuxw", strict=True)),
        **dict(zip("օոսցիհյքԁ", "onugihjpd", strict=True)),
        "0": "o",
        "1": "l",
        "5": "s",
        "i": "l",
        "|": "l",
        "!": "l",
        "ı": "l",
        "ł": "l",
        "ø": "o",
        "đ": "d",
    }
)
_PAIRS_DRAWN_LIKE = (("rn", "m"), ("vv", "w"), ("cl", "d"))


def given_name(text: str) -> str | None:
    """A person's own name for an agent, one line and normalised; None for nothing. Raises `InvalidRequest`."""
    name = " ".join(part for part in unicodedata.normalize("NFC", text).split(" ") if part)
    if not name:
        return None
    if len(name) > LONGEST_NAME:
        raise InvalidRequest(f"A name has at most {LONGEST_NAME} characters.")
    # What is not printable includes everything that turns the direction of text or has no width.
    if not name.isprintable() or _stacks_marks(name) or not any(char.isalnum() for char in name):
        raise InvalidRequest("A name is one line of letters, digits and signs that can be seen.")
    return name


def one_line(value: object, longest: int) -> str:
    """What a person can see of a text in one line: half characters, line breaks and turned-around writing are not."""
    if not isinstance(value, str):
        return ""
    return "".join(character if character.isprintable() else " " for character in value[:longest]).strip()


def skeleton(name: str) -> str:
    """What is left of a name when everything that looks alike is the same: equal skeletons, look-alike names."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    # Twice: what is drawn like an i is drawn like an l.
    letters = "".join(char for char in plain.translate(_DRAWN_LIKE).translate(_DRAWN_LIKE) if char.isalnum())
    for pair, single in _PAIRS_DRAWN_LIKE:
        letters = letters.replace(pair, single)
    return letters


def look_alikes(named: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    """For each (id, name) that looks like others: their ids, in the order given. An id may have several names."""
    groups: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for who, name in named:
        if form := skeleton(name):
            groups[form][who] = None
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for members in groups.values():
        for who in members:
            found[who] |= {other: None for other in members if other != who}
    return {who: tuple(others) for who, others in found.items() if others}


def _stacks_marks(name: str) -> bool:
    height = 0
    for char in unicodedata.normalize("NFD", name):
        height = height + 1 if unicodedata.combining(char) else 0
        if height > _MOST_MARKS:
            return True
    return False
