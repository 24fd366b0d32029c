"""Revocation at the person server: what is received, what it takes along, and how others are told until they know."""
