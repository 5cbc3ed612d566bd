"""Client address, taken from configured proxies (P-60) and front ends alone."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

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
        found = _plain(address)
        return any(found in network for network in self._networks)


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
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


# ---------------------------------------------------------------- front ends

_FRONT_END: Final = re.compile(r"[a-z0-9-]{1,40}")
_KEY: Final = re.compile(r"[a-z0-9]{1,50}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
EVERY_SITE: Final = "*"


class FrontEnd(NamedTuple):
    """Front end: a program that shows sites to its own visitors, identified by `network` or by `digest`.

    `digest`: SHA-256 of its secret. `keys`: keys of its sites, or EVERY_SITE alone.
    """

    name: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    digest: str
    keys: frozenset[str]


def front_end(text: str) -> FrontEnd:
    """Parse an entry of `front_ends`: name; address, network or sha256:<hash>; sites. Raises ValueError."""
    name, known_by, *keys = [*text.split(), "", ""][: max(2, len(text.split()))]
    if not _FRONT_END.fullmatch(name):
        raise ValueError("must begin with a name of small letters, digits and hyphens")
    network = None
    if not _DIGEST.fullmatch(known_by):
        try:
            network = ipaddress.ip_network(known_by, strict=False)
        except ValueError:
            network = None
        if network is None or network.prefixlen == 0:
            raise ValueError("must name an address, a network or sha256: with the hash of a secret")
    if keys != [EVERY_SITE] and (not keys or not all(map(_KEY.fullmatch, keys))):
        raise ValueError("must end with the keys of its sites, or with * for all of them")
    return FrontEnd(name, network, "" if network else known_by, frozenset(keys))


class FrontEnds:
    """Front ends of the settings. Raises ValueError for a malformed entry."""

    def __init__(self, texts: Sequence[str]) -> None:
        named = [front_end(text) for text in texts]
        self._by_network = [one for one in named if one.network]
        self._by_digest: dict[str, list[FrontEnd]] = {}
        for one in named:
            if one.digest:
                self._by_digest.setdefault(one.digest, []).append(one)

    def find(self, peer: str, secret: str, key: str) -> str:
        """Return the name of the front end that calls from `peer`, or with `secret`, for the site `key`; "" for
        none.
        """
        if secret:
            digest = f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"
            known = self._by_digest.get(digest, [])
        else:
            known = self._at(peer)
        return next((one.name for one in known if not one.keys.isdisjoint((key, EVERY_SITE))), "")

    def holds(self, peer: str) -> bool:
        """Return True if `peer` is the address of a front end."""
        return bool(self._at(peer))

    def _at(self, peer: str) -> list[FrontEnd]:
        if not self._by_network or not peer:
            return []
        address = _plain(peer)
        return [one for one in self._by_network if one.network and address in one.network]
