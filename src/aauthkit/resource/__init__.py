"""The resource role: verify a request, challenge for more, apply policy, publish metadata."""
