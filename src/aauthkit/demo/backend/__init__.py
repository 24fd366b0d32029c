"""The API behind the demo's page: checks the person's sign-in, runs their optimizations, and is itself an AAuth agent.

It never plans or analyses anything: every number it answers with came from the agents it called.
"""
