"""Keycloak itself as the demo's identity provider: the realm to import, and the command line that serves it here.

It starts what `scripts/keycloak.sh` fetched and fetches nothing. The realm's passwords are printed in the
documentation, so it listens on loopback only.
"""
