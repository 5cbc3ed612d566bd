"""The client's address, believed only from configured proxies (P-60)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

# So many answers are kept, of lists of addresses up to so many characters: a client behind the proxy comes again.
KEPT: Final = 4096
KEPT_CHARACTERS: Final = 100

# Who comes through a unix socket is on this machine.
_HERE: Final = "127.0.0.1"


class Proxies:
    """Who is believed about the clients behind them: addresses or networks, as the settings have them.

    Raises ValueError for a text that is neither.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in texts)
        self._kept = lru_cache(KEPT)(self._client)

    def client_ip(self, environ: dict[str, Any]) -> str:
        """The peer; behind proxies that are believed the rightmost address of X-Forwarded-For that is not one of them.

        A peer without an address (a unix socket) is "", and believed where 127.0.0.1 is.
        """
        peer = str(environ.get("REMOTE_ADDR") or "")
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        if not forwarded or not self._networks:
            return peer
        find = self._kept if len(forwarded) <= KEPT_CHARACTERS else self._client
        return find(peer, forwarded)

    def believes(self, peer: str) -> bool:
        """Whether a peer is believed about the clients behind it."""
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
        found = ipaddress.ip_address(address)
        return any(found in network for network in self._networks)


@lru_cache(KEPT)
def caller(ip: str) -> str:
    """What stands for the caller at an address: of IPv6 the /64, which is what one household or server has."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if address.version == 4:
        return ip
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
