"""Which draft a resource speaks, as far as the agent knows; nothing is sent from here.

An agent begins with the first of its drafts and falls to another one only on a resource's own word: a 401 that cannot
read the token, or a resource token written in the other draft. Such a word is not believed of a resource that has
shown it speaks draft 11, by an answer only draft 11 has or by its metadata: from then on there is no way back. Who
would force a fall has to answer for the resource at its own https origin, twice, and gains nothing by it: the agent
token of either draft is bound to a key of its own and says the same, and signatures cover the authority in both.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from aauthkit.drafts import NATIVE, Draft

# Members of resource metadata that draft 01 does not have (AAuth-11 §11.2, §11.2.4).
_NATIVE_MEMBERS = frozenset({"access_mode", "accept_signature_algs", "name"})


def shows_native(metadata: Mapping[str, Any]) -> bool:
    """Whether a resource's metadata can only be draft 11's."""
    return not _NATIVE_MEMBERS.isdisjoint(metadata)


class Dialects:
    """What was learnt of each origin; bounded, the longest unused goes first."""

    def __init__(self, drafts: tuple[Draft, ...], *, max_entries: int = 10_000) -> None:
        self.drafts = drafts
        self._guard = threading.Lock()
        self._max_entries = max_entries
        self._spoken: OrderedDict[str, Draft] = OrderedDict()
        self._certain: OrderedDict[str, None] = OrderedDict()

    def of(self, origin: str) -> Draft:
        """What to sign with for ``origin``."""
        return self._spoken.get(origin, self.drafts[0])

    def another(self, origin: str) -> Draft | None:
        """The draft to try instead; ``None`` when there is no other, or the resource is known to speak draft 11."""
        if origin in self._certain:
            return None
        spoken = self.of(origin)
        return next((draft for draft in self.drafts if draft is not spoken), None)

    def assume(self, origin: str, draft: Draft) -> None:
        """Try ``draft`` with ``origin`` from now on."""
        self._note(self._spoken, origin, draft)

    def learn(self, origin: str, draft: Draft) -> bool:
        """``origin`` gave an answer only ``draft`` has; whether that is news and the agent can follow."""
        if draft not in self.drafts or (origin in self._certain and draft is not NATIVE):
            return False
        news = self.of(origin) is not draft
        self.assume(origin, draft)
        if draft is NATIVE:
            self._note(self._certain, origin, None)
        return news

    def _note(self, entries: OrderedDict[str, Any], origin: str, value: Any) -> None:
        with self._guard:
            entries[origin] = value
            entries.move_to_end(origin)
            if len(entries) > self._max_entries:
                entries.popitem(last=False)
