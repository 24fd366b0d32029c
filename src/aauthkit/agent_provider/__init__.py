"""The agent provider: it lets agents in by proof of their stable key and issues their agent tokens."""
