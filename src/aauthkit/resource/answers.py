"""How a resource answers an error: what ``render`` makes of it, and beside a signature failure what would be accepted.

A 403 says nothing about signatures (AAuth-11 §11.3.4), nor does a challenge to somebody whose signature verified.
"""

from __future__ import annotations

from dataclasses import replace

from aauthkit.errors import AAuthError, Rendered, SignatureError, render
from aauthkit.resource.challenge import SignatureRequired
from aauthkit.resource.settings import Resource
from aauthkit.sigkey.accept import accept_signature_alg, accept_signature_scheme


def answer_to(error: AAuthError, resource: Resource) -> Rendered:
    """The answer to a request of ``resource`` that ended in ``error``."""
    rendered = render(error, resource.draft)
    if not resource.draft.problem_details or not isinstance(error, SignatureError | SignatureRequired):
        return rendered
    # Signature Keys §4.4: on a challenge they spare a failed try, on an error they say what would have worked.
    accepted = {
        "Accept-Signature-Scheme": accept_signature_scheme(resource.schemes),
        "Accept-Signature-Alg": accept_signature_alg(resource.accepted_algorithms),
    }
    return replace(rendered, headers=rendered.headers | accepted)
