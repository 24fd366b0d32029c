"""How the example's agents and tools run: settings, the A2A server, the guard, and the way to one another."""
