"""Telling people who have no page open that something waits for them: by mail, or at an address of theirs."""
