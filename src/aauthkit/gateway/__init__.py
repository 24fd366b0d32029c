"""The proxy in front of the resources: its configuration, rendered from the authorization service's file."""
