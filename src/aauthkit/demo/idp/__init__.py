"""The identity provider of the demo: who the person is, told by OpenID Connect at Keycloak-shaped addresses.

It exists so that a first run needs no Keycloak. Its passwords are printed in the documentation; it never stands in
front of anything real, and it knows nothing about AAuth.
"""
