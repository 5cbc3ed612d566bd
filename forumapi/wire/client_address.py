"""Client address of a request, taken from trusted proxies alone (P-60), and the network by which it is counted."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

# Cached results, and the longest X-Forwarded-For that is cached: a client behind the proxy sends many requests.
KEPT: Final = 4096
KEPT_CHARACTERS: Final = 100

# The peer of a Unix socket is on this machine.
_HERE: Final = "127.0.0.1"


class Proxies:
    """Trusted proxies: addresses or networks, as in the settings.

    Raises ValueError for a text that is neither.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in texts)
        self._kept = lru_cache(KEPT)(self._client)

    def client_ip(self, environ: dict[str, Any]) -> str:
        """Return the client's address: the peer or, behind trusted proxies, the rightmost other one of X-Forwarded-For.

        A peer without an address (a Unix socket) is "", and trusted if 127.0.0.1 is.
        """
        peer = str(environ.get("REMOTE_ADDR") or "")
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        if not forwarded or not self._networks:
            return peer
        find = self._kept if len(forwarded) <= KEPT_CHARACTERS else self._client
        return find(peer, forwarded)

    def believes(self, peer: str) -> bool:
        """Return True if a peer is a trusted proxy."""
        return bool(self._networks) and self._believes(peer or _HERE)

    def _client(self, peer: str, forwarded: str) -> str:
        if not self._believes(peer or _HERE):
            return peer
        last = peer
        for hop in reversed(forwarded.split(",")):
            try:
                last = str(ipaddress.ip_address(hop.strip()))
            except ValueError:
                return last
            if not self._believes(last):
                return last
        return last

    def _believes(self, address: str) -> bool:
        found = plain(address)
        return any(found in network for network in self._networks)


def plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse an address; an IPv4-mapped IPv6 address, as on [::], becomes IPv4."""
    found = ipaddress.ip_address(text)
    return (found.version == 6 and found.ipv4_mapped) or found


@lru_cache(KEPT)
def network(ip: str) -> str:
    """Return the network by which an address is counted: itself; for IPv6 its /64, which one household or server
    has.
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if address.version == 4:
        return ip
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
