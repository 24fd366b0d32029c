"""What the page says of each call: which token was shown, and what that token means."""

from __future__ import annotations

import pytest

from aauthkit.demo.backend.journey import _shown_words
from aauthkit.demo.backend.presented import PERSON_TOKEN, PUBLISHED, Presented


@pytest.mark.parametrize(
    ("typ", "words"),
    [
        ("aa-agent+jwt", "Showed its agent token"),
        (PERSON_TOKEN, "Showed a person token: it says for whom the agent acts, and allows nothing."),
        ("aa-auth+jwt", "Showed an auth token with the scopes a b."),
        (PUBLISHED, "Signed with the key it publishes"),
    ],
)
def test_each_kind_of_token_is_told_for_what_it_is(typ: str, words: str) -> None:
    assert _shown_words(Presented(typ=typ, claims={"scope": "a b"})).startswith(words)
