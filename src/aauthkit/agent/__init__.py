"""The agent role: an identity, signed requests, challenges met, deferred answers waited for."""

from aauthkit.agent.agent import Agent
from aauthkit.agent.auth import AAuth
from aauthkit.agent.interaction import Interaction, open_browser, print_address, tell_nobody

__all__ = ["AAuth", "Agent", "Interaction", "open_browser", "print_address", "tell_nobody"]
