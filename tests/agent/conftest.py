"""The agent is tested against the same network and scripted peers as the roles together."""

from tests.roles.conftest import agent, clock, native, network, orders, provider, sleeps

__all__ = ["agent", "clock", "native", "network", "orders", "provider", "sleeps"]
