"""The tokens of AAuth, one file a token with build and judge side by side.

``judge`` reads the claims of a parsed JWT and checks everything that needs no key; the caller then decides whether the
issuer is trusted, finds its key, and calls ``JWT.verify``. Judging first means nothing is fetched for a token that
would be refused anyway (DESIGN §4).
"""
