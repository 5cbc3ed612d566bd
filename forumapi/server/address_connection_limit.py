"""Counter of a worker's connections by client address, which holds the limit on connections of one address."""

from __future__ import annotations

from collections import Counter
from typing import Any

from forumapi.config import Config
from forumapi.wire import client_address
from forumapi.wire.client_address import Proxies
from forumapi.wire.known_front_ends import FrontEnds


class AddressConnectionLimit:
    """Counter of this worker's connections by the client's network: an IPv4 address, or the /64 of an IPv6 address.

    Not counted, under the network "": peers without an address (Unix sockets), trusted proxies, front ends.
    """

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._most = 0
        self._proxies = Proxies(())
        self._front_ends = FrontEnds(())

    def apply(self, current: Config) -> None:
        """Take over the settings: the limit (`connections_per_address`, 0 for none), the proxies and the front ends."""
        self._most = current.connections_per_address
        self._proxies = Proxies(current.trusted_proxies)
        self._front_ends = FrontEnds(current.front_ends)

    def admit(self, addr: Any) -> str | None:
        """Count a new connection from `addr`, a socket's peer, and return its network, "" for one that is not counted;
        return None, and count nothing, if the network has as many as the limit allows.
        """
        peer = str(addr[0]) if isinstance(addr, tuple) else ""
        if not peer or self._proxies.believes(peer) or self._front_ends.holds(peer):
            return ""
        network = client_address.network(peer)
        if self._most and self._count[network] >= self._most:
            return None
        self.add(network)
        return network

    def add(self, network: str) -> None:
        """Count a connection of this network, even beyond the limit; do nothing for ""."""
        if network:
            self._count[network] += 1

    def remove(self, network: str) -> None:
        """Subtract a connection of this network, which has ended, or carries live events from now on, for which there
        is another limit; do nothing for "".
        """
        if network:
            self._count[network] -= 1
            if not self._count[network]:
                del self._count[network]
