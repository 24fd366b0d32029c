"""The authorization service a proxy asks (Envoy ext_authz): one check, a gRPC and an HTTP front, one file."""
