"""Under which name attempts of an address are counted."""

from __future__ import annotations

import pytest

from aauthkit.addresses import counted_as


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::1", "::/64"),
        ("", "unknown"),
        ("testclient", "unknown"),
        ("a" * 1000, "unknown"),
    ],
)
def test_a_network_that_one_party_has_is_counted_as_one(host: str, counted: str) -> None:
    assert counted_as(host) == counted
