"""The person server over HTTP: endpoints for agents, JSON and pages for people."""
