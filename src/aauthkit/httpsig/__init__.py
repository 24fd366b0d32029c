"""RFC 9421 given a key: messages, components, signing, verification, digests, replay; never fetches a key."""
