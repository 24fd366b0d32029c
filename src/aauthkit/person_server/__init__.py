"""The person server: it asks the person, remembers what was decided, and issues auth tokens accordingly."""
