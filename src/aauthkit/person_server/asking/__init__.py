"""Asking the person: from the first 202 over the page they see to the one answer the agent hears."""
