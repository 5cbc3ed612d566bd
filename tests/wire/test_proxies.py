"""Tests of whose address a request counts for: what proxies say is believed from those that the settings name."""

from __future__ import annotations

import pytest

from forumapi.wire.client_address import Proxies

TRUSTED = ("127.0.0.1", "10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.4", "203.0.113.7"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.4", "198.51.100.4"),
        ("127.0.0.1", " 198.51.100.4 ", "198.51.100.4"),
        ("127.0.0.1", "8.8.8.8, 198.51.100.4", "198.51.100.4"),
        ("127.0.0.1", "198.51.100.4, 10.1.2.3", "198.51.100.4"),
        ("fd00::1", "2001:DB8:0::9,10.1.2.3", "2001:db8::9"),
        ("127.0.0.1", "10.1.2.3,10.1.2.4", "10.1.2.3"),
        ("127.0.0.1", "198.51.100.4, unknown", "127.0.0.1"),
        ("127.0.0.1", "unknown, 10.1.2.3", "10.1.2.3"),
        # As a listener on [::] sees those who come over IPv4.
        ("::ffff:127.0.0.1", "198.51.100.4", "198.51.100.4"),
        ("127.0.0.1", "198.51.100.4, ::ffff:10.1.2.3", "198.51.100.4"),
        ("::ffff:203.0.113.7", "198.51.100.4", "::ffff:203.0.113.7"),
        ("", "", ""),
        ("", "198.51.100.4", "198.51.100.4"),
        ("127.0.0.1", "1.1.1.1," * 400 + "198.51.100.4", "198.51.100.4"),
    ],
)
def test_the_rightmost_address_that_is_no_proxy_of_ours_counts(
    peer: str, forwarded: str, client: str
) -> None:
    proxies = Proxies(TRUSTED)
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}

    # The second answer is the one that was kept.
    assert [proxies.client_ip(environ) for _ in range(2)] == [client, client]


def test_nobody_is_believed_where_no_proxy_is_named() -> None:
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.4"}

    assert Proxies(()).client_ip(environ) == "127.0.0.1"


def test_a_socket_of_this_machine_is_believed_only_where_this_machine_is() -> None:
    environ = {"REMOTE_ADDR": "", "HTTP_X_FORWARDED_FOR": "198.51.100.4"}

    assert Proxies(("10.0.0.0/8",)).client_ip(environ) == ""


def test_a_text_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Proxies(("nonsense",))
