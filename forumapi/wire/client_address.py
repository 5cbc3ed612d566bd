"""Client address of a request, behind trusted proxies by X-Forwarded-For (P-60); and the network that limits count it
by.
"""

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
    """Trusted proxies of this server. `texts`: their addresses or networks, from the settings; none: no peer is
    trusted. Raises ValueError for a text that is neither.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in texts)
        self._kept = lru_cache(KEPT)(self._client)

    def client_ip(self, environ: dict[str, Any]) -> str:
        """Return the client's address, from a request's WSGI environ: that of the peer or, if the peer is a trusted
        proxy and the request has X-Forwarded-For, the last address in that which is not a trusted proxy's; the first
        address if all are. An entry that is no address ends the search, which goes from right to left: the entry right
        of it counts or, if it is the last, the peer.

        The address of a peer on a Unix socket is ""; such a peer is trusted if 127.0.0.1 is.
        """
        peer = str(environ.get("REMOTE_ADDR") or "")
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        if not forwarded or not self._networks:
            return peer
        find = self._kept if len(forwarded) <= KEPT_CHARACTERS else self._client
        return find(peer, forwarded)

    def believes(self, peer: str) -> bool:
        """Return True if the peer with this address, "" for a Unix socket, is a trusted proxy."""
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
    """Return a text as an address; an IPv4 address in its IPv6 form (`::ffff:…`) becomes IPv4. Raises ValueError for a
    text that is no address.
    """
    found = ipaddress.ip_address(text)
    return (found.version == 6 and found.ipv4_mapped) or found


@lru_cache(KEPT)
def network(ip: str) -> str:
    """Return the key under which limits count a client address: the address itself; of an IPv6 address its /64 network;
    of an IPv4 address in IPv6 form the IPv4 address.

    A text that is no address is returned as it is.
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
