"""The person's page on :3050: one HTML page, hand-written scripts, and the settings they need. It holds no token."""
