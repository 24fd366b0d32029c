"""Under which name attempts of an address are counted: never more than one for what one party has at its will."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address

# What a customer of IPv6 is given at least: all of it is one party's, and 2^64 names are no limit.
_ONES = 64


def counted_as(host: str) -> str:
    """An IPv4 address itself, IPv6 as its /64; whatever is no address counts together as ``unknown``."""
    try:
        address = ip_address(host)
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), _ONES), strict=False))
