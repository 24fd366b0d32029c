"""Whether somebody proved a short while ago who they are: what risky things ask for (step-up)."""

from __future__ import annotations

from aauthkit.clock import Clock
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.sign_in.openid import SignInAnew


class StepUpRequired(SignInAnew):
    """Signed in, but too long ago for this: sign in again, or confirm with a passkey (like RFC 9470 §3)."""

    code = "step_up_required"


def is_fresh(since: float | None, settings: PersonServerSettings, clock: Clock) -> bool:
    """``since`` is when they last proved who they are, or None where nobody knows, which never is fresh."""
    return since is not None and clock.now() - since < settings.step_up_time.total_seconds()


def check_fresh(since: float | None, settings: PersonServerSettings, clock: Clock) -> None:
    """Raises `StepUpRequired`."""
    if not is_fresh(since, settings, clock):
        raise StepUpRequired("Confirm that it is you: sign in again, or use a passkey.")
